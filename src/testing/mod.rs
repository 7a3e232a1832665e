//! A virtual LAN for tests: the real handles and the real engines on one seeded clock, without sockets and threads.
//!
//! Nodes are machines, plugged into one segment unless [`VirtualLan::set_interfaces`] says otherwise. Time stands still until
//! somebody waits for something: `Pending::wait`, `Events::wait`, [`VirtualLan::run_until`], [`VirtualLan::advance`] and
//! [`VirtualLan::block_on`] turn the clock, which jumps from one thing that happens to the next. Same seed, same calls: same
//! run, to the byte; [`VirtualLan::transcript`] shows it.
//!
//! Only control connections and mDNS are modelled and not run: no TLS, no DNS. Everything else is what a game ships.
//!
//! ```
//! use std::time::Duration;
//! use lansession::testing::{Fault, VirtualLan};
//! use lansession::{Field, SessionSettings};
//! const SECOND: Duration = Duration::from_secs(1);
//!
//! let net = VirtualLan::new(42);
//! let host = net.lan("host", "com.example.boxes").start()?;
//! let guest = net.lan("guest", "com.example.boxes").start()?;
//! let ada = host.sign_in("Ada")?;
//! let room = ada.host(SessionSettings::new("Ada's room").max_members(2)).wait(SECOND)?;
//! let bad_radio = net.fault(Fault::loss(0.2));
//! let bob = guest.sign_in("Bob")?;
//! let found = bob.find(Field::OPEN_SLOTS.gt(0)).wait(3 * SECOND)?;
//! drop(bad_radio);
//! let seat = bob.join(&found[0]).wait(3 * SECOND)?;
//! net.run_until(SECOND, || room.snapshot().members.len() == 2)?;
//! seat.leave().wait(SECOND)?;
//! net.run_until(SECOND, || room.snapshot().members.len() == 1)?;
//! assert!(net.traffic().datagrams < 200);
//! # Ok::<(), lansession::Error>(())
//! ```

mod backend;
mod dial;
mod fakes;
mod fault;
mod invite;
mod mdns;
mod net;
mod process;
mod tcp;
mod topology;
mod traffic;
mod users;
mod world;

#[cfg(test)]
mod chaos;
#[cfg(test)]
mod large;
#[cfg(test)]
mod pains;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

pub use backend::play;
pub use fakes::{FakeFound, FakeMember, FakeSnapshot, found, member, snapshot};
pub use fault::{Fault, FaultGuard};
pub use invite::{FakeInvite, invite};
pub use topology::Nic;
pub use traffic::Traffic;

use self::world::World;
use crate::handle::LanBuilder;
use crate::proto::clock::Moment;
use crate::types::{Error, ErrorKind, Result};

/// The world, and who may turn it: one at a time.
#[derive(Debug)]
pub(crate) struct Shared {
    world: Mutex<World>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("seed", &self.seed).field("now", &self.now()).finish_non_exhaustive()
    }
}

/// At least so often the clock stops for a look at a condition.
const LOOK: Duration = Duration::from_millis(1);
/// A future that is not done after so much virtual time never will be.
const LONGEST: Duration = Duration::from_secs(600);

/// A LAN that is not there: see the [module's page](self).
///
/// Node names are free; the first mention makes the machine, with `lo` and with `eth0` on the segment `lan`, an IPv4 and a
/// link-local IPv6 address. Its handles end with it: they answer `Stopped`. Where a test panics, the seed is printed.
#[derive(Debug)]
pub struct VirtualLan {
    shared: Arc<Shared>,
    seed: u64,
}

impl VirtualLan {
    /// An empty LAN whose chance comes from this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let world = Mutex::new(World::new(seed));
        Self { shared: Arc::new(Shared { world }), seed }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.shared.lock()
    }

    /// A builder as [`Lan::builder`](crate::Lan::builder) gives it, for one process on this machine. Another one for the same
    /// name is another process on the same machine, with the same addresses.
    pub fn lan(&self, node: &str, game: impl Into<String>) -> LanBuilder {
        let id = self.world().node(node);
        LanBuilder::new(game.into()).backend(backend::backend(&self.shared, id))
    }

    // --------------------------------------------------------------------------------------------------- the clock

    /// The virtual time since the LAN was made.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.world().now().since(Moment::ZERO)
    }

    /// Lets this much time pass, and all that happens in it.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use lansession::testing::*;
    /// # use lansession::*;
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # let net = VirtualLan::new(1);
    /// # let host = net.lan("host", "com.example.boxes").start()?;
    /// # let guest = net.lan("guest", "com.example.boxes").start()?;
    /// # let room = host.sign_in("Ada")?.host(SessionSettings::new("room")).wait(SECOND)?;
    /// # let seat = guest.sign_in("Bob")?.join(room.link()).wait(SECOND)?;
    /// net.crash("host");
    /// net.advance(60 * SECOND); // at once
    /// assert!(seat.dump().contains("ended: "));
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn advance(&self, duration: Duration) {
        let mut world = self.world();
        let deadline = world.now() + duration;
        world.run(deadline);
        // What users were told may have made them ask for something at the last moment.
        world.take_commands();
    }

    /// Lets one frame's time pass and nothing else: [`advance`](Self::advance) by another name, for the test of a game loop.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use lansession::testing::*;
    /// # use lansession::*;
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// let net = VirtualLan::new(1);
    /// let mut frames = net.lan("host", "com.example.boxes").start_frames()?;
    /// let mut room = frames.lan().sign_in("Ada")?.host(SessionSettings::new("room"));
    /// let mut drawn = 0;
    /// while room.ready().is_none() {
    ///     net.frame(Duration::from_millis(16));
    ///     drawn += frames.update().filter(|event| matches!(event, Event::Session { .. })).count();
    /// }
    /// assert_eq!(drawn, 2); // Joined, and the MemberJoined of Ada herself
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn frame(&self, dt: Duration) {
        self.advance(dt);
    }

    /// Lets time pass until the condition holds, and not more than `longest`. It is looked at after each thing that users
    /// are told, and at least once a millisecond.
    ///
    /// # Errors
    /// `TimedOut` naming the place of the call, which says what was awaited, and the seed.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use lansession::testing::VirtualLan;
    /// let net = VirtualLan::new(42);
    /// let error = net.run_until(Duration::from_secs(5), || 1 > 2).unwrap_err().to_string();
    /// assert!(error.contains(file!()) && error.contains("5s") && error.contains("seed 42"));
    /// ```
    #[track_caller]
    pub fn run_until(&self, longest: Duration, mut condition: impl FnMut() -> bool) -> Result<()> {
        let awaited = Location::caller();
        let deadline = self.world().now() + longest;
        loop {
            if condition() {
                return Ok(());
            }
            let mut world = self.world();
            if world.now() >= deadline {
                let why = format!(
                    "what {awaited} awaits did not come within {longest:?} of virtual time (seed {})",
                    self.seed
                );
                return Err(Error::new(ErrorKind::TimedOut, why));
            }
            let next = (world.now() + LOOK).min(deadline);
            world.turn(next);
        }
    }

    /// Runs a future to its end, turning the clock whenever it waits.
    ///
    /// # Panics
    /// Where it still waits after ten minutes of virtual time; the message names the seed.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use lansession::testing::*;
    /// # use lansession::*;
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # let net = VirtualLan::new(1);
    /// # let host = net.lan("host", "com.example.boxes").start()?;
    /// # let guest = net.lan("guest", "com.example.boxes").start()?;
    /// # let room = host.sign_in("Ada")?.host(SessionSettings::new("room")).wait(SECOND)?;
    /// let left = net.block_on(async {
    ///     let seat = guest.sign_in("Bob")?.join(room.link()).await?;
    ///     let mut events = seat.events();
    ///     room.destroy().await?;
    ///     while let Some(event) = events.next().await {
    ///         if let SessionEvent::Left { why, .. } = event { return Ok(why) }
    ///     }
    ///     unreachable!("the last event is Left")
    /// });
    /// assert_eq!(left, Ok::<Left, Error>(Left::Destroyed));
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        let deadline = self.world().now() + LONGEST;
        loop {
            if woken.0.swap(false, Ordering::Relaxed) {
                if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                    return output;
                }
                continue;
            }
            let more = self.world().turn(deadline);
            let stuck = !more && !woken.0.load(Ordering::Relaxed);
            assert!(!stuck, "the future still waits after {LONGEST:?} of virtual time (seed {})", self.seed);
        }
    }

    // ----------------------------------------------------------------------------------------------- what goes wrong

    /// Something is wrong with the network until the guard is dropped: a [`Fault`], or a
    /// [`NetworkFault`](crate::NetworkFault) between all machines.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use lansession::testing::*;
    /// # use lansession::*;
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # let net = VirtualLan::new(1);
    /// # let host = net.lan("host", "com.example.boxes").start()?;
    /// # let guest = net.lan("guest", "com.example.boxes").start()?;
    /// # let room = host.sign_in("Ada")?.host(SessionSettings::new("room")).wait(SECOND)?;
    /// let bob = guest.sign_in("Bob")?;
    /// let silence = net.fault(Fault::silence().between("host", "guest"));
    /// assert!(bob.find(SessionQuery::new()).wait(2 * SECOND)?.is_empty());
    /// drop(silence);
    /// let bad_wifi = net.fault(NetworkFault::new().latency(Duration::from_millis(30)).loss(0.2));
    /// assert_eq!(bob.find(SessionQuery::new()).wait(2 * SECOND)?.len(), 1);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn fault(&self, fault: impl Into<Fault>) -> FaultGuard {
        self.rule(fault.into().into_rule())
    }

    pub(crate) fn rule(&self, rule: fault::Rule) -> FaultGuard {
        let id = self.world().faults.add(rule);
        FaultGuard { shared: Arc::downgrade(&self.shared), id }
    }

    /// These two nodes do not reach each other until [`heal`](Self::heal). Their connections stay and are silent.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use lansession::testing::*;
    /// # use lansession::*;
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # let net = VirtualLan::new(1);
    /// # let host = net.lan("host", "com.example.boxes").start()?;
    /// # let guest = net.lan("guest", "com.example.boxes").start()?;
    /// # let room = host.sign_in("Ada")?.host(SessionSettings::new("room")).wait(SECOND)?;
    /// # let seat = guest.sign_in("Bob")?.join(room.link()).wait(SECOND)?;
    /// net.cut("host", "guest");
    /// net.run_until(10 * SECOND, || room.snapshot().members[1].link == LinkState::Away)?;
    /// net.heal("host", "guest");
    /// net.run_until(10 * SECOND, || room.snapshot().members[1].link == LinkState::Connected)?;
    /// # drop(seat);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn cut(&self, a: &str, b: &str) {
        let mut world = self.world();
        let (a, b) = (world.node(a), world.node(b));
        world.faults.cuts.insert((a.min(b), a.max(b)));
    }

    /// Ends a [`cut`](Self::cut).
    pub fn heal(&self, a: &str, b: &str) {
        let mut world = self.world();
        let (a, b) = (world.node(a), world.node(b));
        world.faults.cuts.remove(&(a.min(b), a.max(b)));
    }

    /// Kills all processes of a node without a word, as SIGKILL does: their sockets vanish, who is connected sees the
    /// connection end, who dials is refused. Their handles answer `Stopped`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use lansession::testing::*;
    /// # use lansession::*;
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # let net = VirtualLan::new(1);
    /// # let host = net.lan("host", "com.example.boxes").start()?;
    /// # let guest = net.lan("guest", "com.example.boxes").start()?;
    /// # let room = host.sign_in("Ada")?.host(SessionSettings::new("room")).wait(SECOND)?;
    /// # let seat = guest.sign_in("Bob")?.join(room.link()).wait(SECOND)?;
    /// let mut events = seat.events();
    /// net.crash("host");
    /// assert_eq!(room.say(*b"x").wait(SECOND).unwrap_err().kind(), ErrorKind::Stopped);
    /// let left = std::iter::from_fn(|| events.wait(60 * SECOND)).last();
    /// assert!(matches!(left, Some(SessionEvent::Left { why: Left::HostLost, .. })));
    ///
    /// net.restart("host");
    /// let next = net.lan("host", "com.example.boxes").start()?;
    /// let _room = next.sign_in("Ada")?.host(SessionSettings::new("room")).wait(SECOND)?;
    /// assert_eq!(guest.find(SessionQuery::new().enough(1)).wait(2 * SECOND)?.len(), 1);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn crash(&self, node: &str) {
        let mut world = self.world();
        let id = world.node(node);
        world.crash(id);
    }

    /// Crashes a node and lets it start anew: [`lan`](Self::lan) makes its next process.
    pub fn restart(&self, node: &str) {
        let mut world = self.world();
        let id = world.node(node);
        world.restart(id);
    }

    /// Stops all processes of a node for so long, as SIGSTOP does: what comes meanwhile waits in the kernel's buffers.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use lansession::testing::*;
    /// # use lansession::*;
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # let net = VirtualLan::new(1);
    /// # let host = net.lan("host", "com.example.boxes").start()?;
    /// # let guest = net.lan("guest", "com.example.boxes").start()?;
    /// # let room = host.sign_in("Ada")?.host(SessionSettings::new("room")).wait(SECOND)?;
    /// # let seat = guest.sign_in("Bob")?.join(room.link()).wait(SECOND)?;
    /// net.freeze("guest", 5 * SECOND); // a debugger, a slow disk
    /// net.advance(10 * SECOND);
    /// assert_eq!(room.snapshot().members.len(), 2);
    /// # drop(seat);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn freeze(&self, node: &str, duration: Duration) {
        let mut world = self.world();
        let id = world.node(node);
        world.freeze(id, duration);
    }

    /// Replaces a node's interfaces; none is a pulled cable. Its processes notice within two seconds, as over real sockets.
    ///
    /// # Errors
    /// `InvalidArgument` for an address that was none.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use lansession::testing::*;
    /// # use lansession::*;
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # let net = VirtualLan::new(1);
    /// # let host = net.lan("host", "com.example.boxes").start()?;
    /// # let guest = net.lan("guest", "com.example.boxes").start()?;
    /// # let room = host.sign_in("Ada")?.host(SessionSettings::new("room")).wait(SECOND)?;
    /// net.set_interfaces("host", [])?; // the cable is out
    /// net.advance(3 * SECOND);
    /// assert!(guest.find(SessionQuery::new()).wait(2 * SECOND)?.is_empty());
    /// net.set_interfaces("host", [Nic::loopback(), Nic::new("wlan0", "lan").address("10.77.0.200/24")])?;
    /// net.advance(3 * SECOND);
    /// let found = guest.find(SessionQuery::new().enough(1)).wait(2 * SECOND)?;
    /// assert_eq!(found[0].addresses()[0].addr.ip().to_string(), "10.77.0.200");
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn set_interfaces(&self, node: &str, interfaces: impl IntoIterator<Item = Nic>) -> Result<()> {
        let interfaces: Vec<Nic> = interfaces.into_iter().collect();
        if let Some(problem) = interfaces.iter().find_map(|nic| nic.problem.clone()) {
            return Err(problem);
        }
        let mut world = self.world();
        let id = world.node(node);
        world.plug(id, interfaces);
        Ok(())
    }

    // ------------------------------------------------------------------------------------------------ what was sent

    /// What was sent since the start: a budget of packets is an assertion in the game's own tests.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use lansession::testing::*;
    /// # use lansession::*;
    /// # const SECOND: Duration = Duration::from_secs(1);
    /// # let net = VirtualLan::new(1);
    /// # let host = net.lan("host", "com.example.boxes").start()?;
    /// # let guest = net.lan("guest", "com.example.boxes").start()?;
    /// # let room = host.sign_in("Ada")?.host(SessionSettings::new("room")).wait(SECOND)?;
    /// # let seat = guest.sign_in("Bob")?.join(room.link()).wait(SECOND)?;
    /// let before = net.traffic();
    /// net.advance(60 * SECOND);
    /// let idle = net.traffic().since(&before);
    /// assert!(idle.datagrams < 100 && idle.frame_bytes < 2_000 && idle.of("guest") == 0);
    /// # drop((room, seat));
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.world().traffic.clone()
    }

    /// Everything that was sent, heard and said, a line each: the same for the same seed and the same calls. Its first line
    /// is a digest over all of it; of very long runs only the last 100,000 lines follow.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use lansession::testing::VirtualLan;
    /// # use lansession::SessionQuery;
    /// let run = |seed| {
    ///     let net = VirtualLan::new(seed);
    ///     let lan = net.lan("guest", "com.example.boxes").start()?;
    ///     lan.find(SessionQuery::new()).wait(Duration::from_secs(2))?;
    ///     Ok::<String, lansession::Error>(net.transcript())
    /// };
    /// assert_eq!(run(1)?, run(1)?);
    /// assert_ne!(run(1)?, run(2)?);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[must_use]
    pub fn transcript(&self) -> String {
        self.world().transcript()
    }
}

/// Not promised: for this crate's own tests.
#[cfg(test)]
impl VirtualLan {
    /// Whether the first unicast between two machines costs a broadcast and a reply, either of which may be lost.
    pub(crate) fn cold_arp(&self, on: bool) {
        self.world().conditions.cold_arp = on;
    }

    /// Whether socket buffers are as small as Linux's default.
    pub(crate) fn socket_buffers(&self, on: bool) {
        self.world().conditions.socket_buffer = on;
    }

    /// Writes no transcript: nobody will read it.
    pub(crate) fn mute(&self) {
        self.world().transcript.mute();
    }

    /// Whether nobody on this node reads from its connections.
    pub(crate) fn stall(&self, node: &str, stalled: bool) {
        let mut world = self.world();
        let id = world.node(node);
        world.stall(id, stalled);
    }

    /// Whether this node speaks only the ALPN that is frozen for all majors.
    pub(crate) fn old_alpn(&self, node: &str, old: bool) {
        let mut world = self.world();
        let id = world.node(node);
        if let Some(node) = world.topology.nodes.get_mut(id) {
            node.fallback = old;
        }
    }
}

impl Drop for VirtualLan {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the virtual LAN's seed was {} (at {:?} of its time)", self.seed, self.now());
        }
        self.world().stop_all();
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}
