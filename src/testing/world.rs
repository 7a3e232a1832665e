//! One clock, one heap of things to come, and the processes they happen to.
//!
//! The heap is ordered by time, then by the order in which things were scheduled; chance comes from one seeded stream. So
//! the same seed and the same calls give the same run, to the byte.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::IpAddr;
use std::time::Duration;

use rand::rngs::ChaCha12Rng;
use rand::{Rng, SeedableRng};

use super::fault::Faults;
use super::mdns::Registry;
use super::net::{ArpState, Conditions};
use super::process::Process;
use super::tcp::{Streams, Unit};
use super::topology::Topology;
use super::traffic::{Traffic, Transcript};
use crate::proto::clock::Moment;
use crate::proto::io::{Action, Arrival, Command, LinkEvent, LinkId, MdnsEvent, Output, SendFailure, Transmit};
use crate::proto::machine::Machine;
use crate::types::SessionKey;
use crate::wire::hash;

/// The wall clock at the start, in Unix milliseconds.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// So many wakes within so little time are no work but a loop.
const SPINS: u32 = 1_000;
const SPIN: Duration = Duration::from_millis(2);

/// What is to come.
pub(super) enum What {
    /// The process asked to be woken about now.
    Wake(usize),
    Thaw(usize),
    Interfaces(usize),
    Datagram(usize, Box<Arrival>),
    /// It comes to the socket's buffer, where buffers are finite.
    Buffer(usize, Box<Arrival>),
    Failure(usize, Box<SendFailure>),
    Listening(usize, SessionKey, Result<u16, String>),
    Link(usize, LinkEvent),
    Mdns(usize, MdnsEvent),
    Derived(usize, u64, [u8; 32]),
    /// What the process's own simulated fault held back leaves.
    Leaves(usize, Box<Transmit>),
    /// A dial's next attempt.
    Syn(usize, LinkId),
    /// It comes to the node.
    SynAt {
        process: usize,
        link: LinkId,
        node: usize,
    },
    /// Something of a connection comes to one end.
    Stream {
        connection: u64,
        to: usize,
        unit: Unit,
    },
    /// Send again what that end could not send.
    Retry {
        connection: u64,
        from: usize,
    },
    /// The time for its handshake is over.
    Handshake {
        connection: u64,
    },
    /// Close that end now, whatever is queued.
    Cut {
        connection: u64,
        end: usize,
    },
}

struct Scheduled {
    at: Moment,
    sequence: u64,
    what: What,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

/// Everything.
pub(crate) struct World {
    pub(super) seed: u64,
    pub(super) now: Moment,
    pub(super) rng: ChaCha12Rng,
    heap: BinaryHeap<Reverse<Scheduled>>,
    sequence: u64,
    pub(super) topology: Topology,
    pub(super) processes: Vec<Process>,
    pub(super) faults: Faults,
    pub(super) conditions: Conditions,
    pub(super) arp: BTreeMap<(usize, IpAddr), ArpState>,
    pub(super) streams: Streams,
    pub(super) mdns: Registry,
    pub(super) traffic: Traffic,
    pub(super) transcript: Transcript,
    /// Outputs delivered so far.
    delivered: u64,
    next_port: u16,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            now: Moment::ZERO,
            rng: ChaCha12Rng::seed_from_u64(seed),
            heap: BinaryHeap::new(),
            sequence: 0,
            topology: Topology::default(),
            processes: Vec::new(),
            faults: Faults::default(),
            conditions: Conditions::default(),
            arp: BTreeMap::new(),
            streams: Streams::default(),
            mdns: Registry::default(),
            traffic: Traffic::default(),
            transcript: Transcript::default(),
            delivered: 0,
            next_port: 20_000,
        }
    }

    pub(crate) fn now(&self) -> Moment {
        self.now
    }

    /// 32 bytes of the seeded stream.
    pub(crate) fn draw(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// A beacon port that no other process has by itself.
    pub(crate) fn loopback_port(&mut self) -> u16 {
        self.next_port = self.next_port.checked_add(1).filter(|&port| port < 32_768).unwrap_or(20_000);
        self.next_port
    }

    pub(crate) fn unix_ms(&self) -> u64 {
        EPOCH_MS + self.now.as_micros() / 1_000
    }

    /// The machine of this name, made where there is none.
    pub(crate) fn node(&mut self, name: &str) -> usize {
        self.topology.find(name).unwrap_or_else(|| self.topology.add(name))
    }

    pub(crate) fn is_crashed(&self, node: usize) -> bool {
        self.topology.nodes.get(node).is_some_and(|node| node.crashed)
    }

    pub(super) fn schedule(&mut self, after: Duration, what: What) {
        self.schedule_at(self.now + after, what);
    }

    pub(super) fn schedule_at(&mut self, at: Moment, what: What) {
        self.sequence += 1;
        self.heap.push(Reverse(Scheduled { at: at.max(self.now), sequence: self.sequence, what }));
    }

    /// Lets an engine handle something, then takes what it has to say.
    pub(super) fn with(&mut self, process: usize, handle: impl FnOnce(&mut dyn Machine, Moment)) {
        let now = self.now;
        let Some(own) = self.processes.get_mut(process).filter(|own| own.alive) else { return };
        let age = own.age(now);
        handle(&mut *own.machine, age);
        self.drain(process);
    }

    fn drain(&mut self, process: usize) {
        let Some(own) = self.processes.get_mut(process) else { return };
        let (mut transmits, mut actions) = (Vec::new(), Vec::new());
        while let Some(transmit) = own.machine.poll_transmit() {
            transmits.push(transmit);
        }
        while let Some(action) = own.machine.poll_action() {
            actions.push(action);
        }
        while let Some(output) = own.machine.poll_output() {
            self.transcript.note(self.now, process, "says", describe(&output), &[]);
            self.delivered += 1;
            own.users.deliver(output);
        }
        for transmit in transmits {
            self.pass_on(process, transmit);
        }
        for action in actions {
            self.act(process, action);
        }
        self.arrange_wake(process);
    }

    pub(super) fn arrange_wake(&mut self, process: usize) {
        let now = self.now;
        let Some(own) = self.processes.get_mut(process).filter(|own| own.alive) else { return };
        let Some(at) = own.timeout() else { return };
        // A deadline that has passed comes a microsecond later, so that no engine can stop the clock.
        let at = at.max(now + Duration::from_micros(1));
        if own.wake.is_none_or(|before| at < before) {
            own.wake = Some(at);
            self.schedule_at(at, What::Wake(process));
        }
    }

    fn woken(&mut self, process: usize) {
        let now = self.now;
        let Some(own) = self.processes.get_mut(process).filter(|own| own.alive) else { return };
        if own.wake.is_some_and(|at| at <= now) {
            own.wake = None;
        }
        if own.timeout().is_some_and(|at| at <= now) {
            self.count_wake(process);
            self.with(process, |machine, now| machine.handle_timeout(now));
        } else {
            self.arrange_wake(process);
        }
    }

    /// An engine that asks to be woken at a time that has passed, again and again, would take a whole core over real
    /// sockets: better a test that fails than one that is slow.
    fn count_wake(&mut self, process: usize) {
        let (now, seed) = (self.now, self.seed);
        let Some(own) = self.processes.get_mut(process) else { return };
        if now.since(own.wakes.1) > SPIN {
            own.wakes = (0, now);
        }
        own.wakes.0 += 1;
        assert!(own.wakes.0 < SPINS, "the engine of {:?} spins at {now:?} (seed {seed})", own.name);
    }

    fn act(&mut self, process: usize, action: Action) {
        let Some(own) = self.processes.get_mut(process).filter(|own| own.alive) else { return };
        match action {
            Action::Sockets { open: true } if own.sockets_open => {}
            Action::Sockets { open: true } => {
                own.sockets_open = true;
                self.schedule(Duration::ZERO, What::Interfaces(process));
            }
            Action::Sockets { open: false } => {
                (own.sockets_open, own.interfaces) = (false, None);
                own.sockets.clear();
            }
            Action::Listen { session, key, port } => self.listen(process, session, key, port),
            Action::Unlisten { session } => self.unlisten(process, session),
            Action::Dial { link, to, expect, identity } => self.dial(process, link, to, expect, identity),
            Action::Send { link, bytes } => self.send(process, link, bytes),
            Action::Close { link, flush } => self.close(process, link, flush),
            Action::Mdns(action) => self.mdns_act(process, action),
            Action::Derive { id, password, salt, rounds } => {
                let key = hash::password_key(password.as_bytes(), &salt, rounds);
                self.schedule(Duration::from_millis(1), What::Derived(process, id, key));
            }
            Action::Stop => self.kill(process),
        }
    }

    // ----------------------------------------------------------------------------------------------------- time

    /// Takes what users asked for since the last time.
    pub(crate) fn take_commands(&mut self) {
        for process in 0..self.processes.len() {
            while let Some(command) = self.next_command(process) {
                self.with(process, |machine, now| machine.handle_command(now, command));
            }
        }
    }

    fn next_command(&mut self, process: usize) -> Option<Command> {
        let own = self.processes.get_mut(process).filter(|own| own.alive)?;
        if self.topology.nodes.get(own.node).is_some_and(|node| node.frozen) {
            return None;
        }
        own.users.take_command()
    }

    /// Goes to the next thing that happens at or before `deadline` and lets it happen. Where nothing is left until then,
    /// sets the clock to `deadline` and says `false`.
    pub(crate) fn step(&mut self, deadline: Moment) -> bool {
        let due = self.heap.peek().is_some_and(|Reverse(next)| next.at <= deadline);
        let Some(Reverse(next)) = (if due { self.heap.pop() } else { None }) else {
            self.now = self.now.max(deadline);
            return false;
        };
        self.now = next.at;
        self.happen(next.what);
        true
    }

    /// Like [`step`](Self::step), but goes on until users were told something, or until `deadline`.
    pub(crate) fn turn(&mut self, deadline: Moment) -> bool {
        let before = self.delivered;
        // What is answered at once takes no time.
        self.take_commands();
        while self.delivered == before {
            if !self.step(deadline) {
                return false;
            }
        }
        true
    }

    pub(crate) fn run(&mut self, deadline: Moment) {
        self.take_commands();
        while self.step(deadline) {}
    }

    fn is_frozen(&self, process: usize) -> bool {
        let node = self.processes.get(process).map(|own| own.node);
        node.and_then(|node| self.topology.nodes.get(node)).is_some_and(|node| node.frozen)
    }

    /// Who cannot be told while it is frozen.
    fn told(&self, what: &What) -> Option<usize> {
        match *what {
            What::Wake(process)
            | What::Interfaces(process)
            | What::Datagram(process, _)
            | What::Failure(process, _)
            | What::Listening(process, ..)
            | What::Link(process, _)
            | What::Mdns(process, _)
            | What::Derived(process, ..)
            | What::Leaves(process, _) => Some(process),
            What::Stream { connection, to, .. } => self.streams.reader(connection, to),
            What::Thaw(_) | What::Syn(..) | What::SynAt { .. } | What::Retry { .. } => None,
            // The kernel's.
            What::Buffer(..) => None,
            What::Handshake { .. } | What::Cut { .. } => None,
        }
    }

    fn happen(&mut self, what: What) {
        if let Some(process) = self.told(&what).filter(|&process| self.is_frozen(process)) {
            if let Some(own) = self.processes.get_mut(process).filter(|own| own.alive) {
                let datagram = matches!(what, What::Datagram(..));
                if !datagram || own.held_datagrams < super::net::BUFFER {
                    own.held_datagrams += usize::from(datagram);
                    own.held.push(what);
                }
            }
            return;
        }
        match what {
            What::Wake(process) => self.woken(process),
            What::Thaw(node) => self.thaw(node),
            What::Leaves(process, transmit) => self.transmit(process, *transmit),
            What::Interfaces(process) => self.look_at_interfaces(process),
            What::Buffer(process, arrival) => self.buffer(process, arrival),
            What::Datagram(process, arrival) => {
                if self.processes.get(process).is_some_and(|own| own.sockets_open) {
                    self.with(process, |machine, now| machine.handle_arrival(now, *arrival));
                }
            }
            What::Failure(process, failure) => {
                self.transcript.note(self.now, process, "fails", failure.why.clone(), &[]);
                self.with(process, |machine, now| machine.handle_send_failure(now, *failure));
            }
            What::Listening(process, session, result) => {
                self.with(process, |machine, now| machine.handle_listening(now, session, result));
            }
            What::Link(process, event) => self.tell(process, event),
            What::Mdns(process, event) => self.with(process, |machine, now| machine.handle_mdns(now, event)),
            What::Derived(process, id, key) => {
                self.with(process, |machine, now| machine.handle_derived(now, id, Ok(key)));
            }
            What::Syn(process, link) => self.syn(process, link),
            What::SynAt { process, link, node } => self.syn_arrives(process, link, node),
            What::Stream { connection, to, unit } => self.unit_arrives(connection, to, unit),
            What::Retry { connection, from } => self.retry(connection, from),
            What::Handshake { connection } => self.handshake_over(connection),
            What::Cut { connection, end } => self.cut_off(connection, end),
        }
    }

    /// Tells an engine about a connection.
    pub(super) fn tell(&mut self, process: usize, event: LinkEvent) {
        match &event {
            LinkEvent::Frame { kind, payload, .. } => {
                self.transcript.note(self.now, process, "hears frame", kind.to_string(), payload);
            }
            LinkEvent::Closed { why, .. } => {
                self.transcript.note(self.now, process, "link closed", format!("{why:?}"), &[]);
            }
            LinkEvent::Open { fallback, .. } => {
                self.transcript.note(self.now, process, "link open", if *fallback { "fallback" } else { "" }, &[]);
            }
            LinkEvent::Incoming { .. } | LinkEvent::HelloBegun { .. } | LinkEvent::Written { .. } => {}
        }
        self.with(process, |machine, now| machine.handle_link(now, event));
    }

    pub(crate) fn transcript(&self) -> String {
        let names: Vec<String> = self.processes.iter().map(|process| process.name.clone()).collect();
        self.transcript.text(self.seed, &names)
    }
}

fn describe(output: &Output) -> String {
    match output {
        Output::Done { request, result: Ok(_) } => format!("done {}", request.0),
        Output::Done { request, result: Err(error) } => format!("done {}: {error:?}", request.0),
        Output::SeatOpened(opened) => format!("seat {} opened", opened.seat.0),
        Output::Seat { seat, events, .. } => format!("seat {}: {} events", seat.0, events.len()),
        Output::SeatKeys { seat, keys } => format!("seat {}: {} keys", seat.0, keys.len()),
        Output::SeatAddresses { seat, addresses, .. } => format!("seat {}: addresses {addresses:?}", seat.0),
        Output::SeatSuccession { seat, what } => {
            format!("seat {}: order {} of {}", seat.0, what.cfg, what.voters.len())
        }
        Output::SeatBans { seat, bans } => format!("seat {}: {} bans", seat.0, bans.len()),
        Output::Browser { browser, list, events } => {
            format!("browser {}: {} events, {} listed", browser.0, events.len(), list.len())
        }
        Output::Invites { list, .. } => format!("invites: {}", list.len()),
        Output::User { event, .. } => format!("user: {event:?}"),
        Output::Lan(event) => format!("lan: {event:?}"),
    }
}
