//! The long run: sessions that come and go over real sockets on loopback, for `LANSESSION_SOAK` seconds (default 60), and
//! a process that is not larger at the end. Alone in its process, because it measures that: memory (`VmRSS`), threads and
//! descriptors.
//!
//! ```text
//! LANSESSION_SOAK=2400 cargo test --release --test soak -- --ignored --nocapture
//! ```
//!
//! One line a minute says how it goes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(all(feature = "net", target_os = "linux"))]

use std::fmt::Debug;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use lansession::{
    AccountId, Browser, BrowserEvent, Events, Filter, JoinLink, Lan, LanBuilder, Left, MemberUpdate, Phase, Preset,
    Session, SessionEvent, SessionQuery, SessionSettings, SettingsUpdate, User,
};

const GAME: &str = "com.example.soak";
/// No step takes so long on a machine that works.
const LONG: Duration = Duration::from_secs(30);
/// Memory may be larger at the end by this, whatever the length of the run: the allocator's play.
const PLAY: u64 = 4 << 20;

fn builder() -> LanBuilder {
    Lan::builder(GAME).preset(Preset::Loopback)
}

/// Reads on until the event that is meant.
#[track_caller]
fn until<T: Debug, R>(events: &mut Events<T>, mut pick: impl FnMut(&T) -> Option<R>) -> R {
    let end = Instant::now() + LONG;
    let mut seen = Vec::new();
    while let Some(event) = events.wait(end.saturating_duration_since(Instant::now())) {
        if let Some(found) = pick(&event) {
            return found;
        }
        seen.push(event);
    }
    panic!("not among {:?}", seen.split_off(seen.len().saturating_sub(4)));
}

/// A cable between a member and its host that can be cut: bytes both ways, one thread each.
struct Cable {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    accepting: Option<JoinHandle<()>>,
}

impl Cable {
    fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let streams = Arc::new(Mutex::new(Vec::new()));
        let (end, held) = (Arc::clone(&ended), Arc::clone(&streams));
        let accepting = thread::spawn(move || {
            let mut copying = Vec::new();
            while !end.load(Ordering::Relaxed) {
                let Ok((near, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(2));
                    continue;
                };
                near.set_nonblocking(false).unwrap();
                let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
                let pairs = [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)];
                for (from, to) in pairs {
                    held.lock().unwrap().push(from.try_clone().unwrap());
                    copying.push(thread::spawn(move || copy(from, to)));
                }
            }
            copying.into_iter().for_each(|thread| thread.join().unwrap());
        });
        Self { address, ended, streams, accepting: Some(accepting) }
    }

    /// The connections that stand break; a new one can be made.
    fn cut(&self) {
        for stream in self.streams.lock().unwrap().drain(..) {
            let _broken = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // What was accepted last may be on its way into the list.
        while self.accepting.as_ref().is_some_and(|thread| !thread.is_finished()) {
            self.cut();
            thread::sleep(Duration::from_millis(1));
        }
        self.accepting.take().unwrap().join().unwrap();
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _both = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Those who are there from the first round to the last.
struct Evening {
    port: u16,
    hosts: Lan,
    /// On a beacon port of its own, so that it finds nobody and joins by the ways it is given.
    cabled: Lan,
    watcher: Browser,
    seen: Events<BrowserEvent>,
    /// A session that never ends, and a member of it whose events nobody reads.
    tavern: Session,
    _regular: (User, Session, Events<SessionEvent>),
}

impl Evening {
    fn new() -> Self {
        let hosts = builder().start().unwrap();
        let port = hosts.beacon_port();
        let guests = builder().beacon_port(port).start().unwrap();
        let watcher = guests.browse(SessionQuery::new()).unwrap();
        let seen = watcher.events();
        let tavern = hosts.sign_in("Otto").unwrap().host(SessionSettings::new("tavern").max_members(32));
        let tavern = tavern.wait(LONG).unwrap();
        let dora = guests.sign_in("Dora").unwrap();
        let seat = dora.join(tavern.link()).wait(LONG).unwrap();
        let unread = seat.events();
        let cabled = builder().start().unwrap();
        Self { port, hosts, cabled, watcher, seen, tavern, _regular: (dora, seat, unread) }
    }

    /// A session from its creation to its end: found, joined in two ways, changed, a link cut and mended, a kick, a leave.
    fn round(&mut self, round: u32) {
        let number = i64::from(round);
        let ada = self.hosts.sign_in("Ada").unwrap();
        let settings = SessionSettings::new(format!("room {round}")).max_members(8).attr("round", number);
        let room = ada.host(settings).wait(LONG).unwrap();
        let key = room.key();
        let mut at_host = room.events();
        until(&mut self.seen, |event| matches!(event, BrowserEvent::Found(found) if found.key() == key).then_some(()));

        // One on a machine that was just switched on, by its own search.
        let visiting = builder().beacon_port(self.port).start().unwrap();
        let bob = visiting.sign_in("Bob").unwrap();
        let only: Filter = format!("round == {round}").parse().unwrap();
        let found = bob.find(SessionQuery::new().filter(only).enough(1).timeout(LONG)).wait(LONG).unwrap();
        assert_eq!(found[0].key(), key);
        let bobs = bob.join(&found[0]).wait(LONG).unwrap();
        // One by a link, over a cable that will break, and into the tavern too.
        let cable = Cable::to(room.control_port());
        let link = JoinLink::new(GAME, key, room.link().host_key(), [cable.address]).unwrap();
        let cid = self.cabled.sign_in("Cid").unwrap();
        let cids = cid.join(link).wait(LONG).unwrap();
        let drink = lansession::JoinRequest::from(self.tavern.link()).local_name("tavern");
        let drink = cid.join(drink).wait(LONG).unwrap();

        for value in 0..8_i64 {
            room.update(SettingsUpdate::new().set("score", number * 8 + value)).wait(LONG).unwrap();
            self.tavern.update(SettingsUpdate::new().set("guests", number)).wait(LONG).unwrap();
            let me = MemberUpdate::new().ready(value % 2 == 0).set("hat", value);
            bobs.update_me(me).wait(LONG).unwrap();
            // A member may say eight things at once.
            if value % 2 == 0 {
                cids.say(vec![7; 512]).wait(LONG).unwrap();
            }
            drink.update_me(MemberUpdate::new().set("round", number)).wait(LONG).unwrap();
        }
        room.set_phase(Phase::InProgress).wait(LONG).unwrap();

        cable.cut();
        let who = |event: &SessionEvent, wanted: AccountId| match event {
            SessionEvent::MemberBack { account, .. } => (*account == wanted).then_some(()),
            SessionEvent::MemberLeft { member, why, .. } => panic!("{} is gone: {why:?}", member.name),
            _ => None,
        };
        until(&mut at_host, |event| who(event, cid.id()));
        cids.say(*b"again").wait(LONG).unwrap();

        let mut at_bob = bobs.events();
        room.kick(bob.id(), "late").wait(LONG).unwrap();
        let why = until(&mut at_bob, |event| match event {
            SessionEvent::Left { why, .. } => Some(why.clone()),
            _ => None,
        });
        assert!(matches!(why, Left::Kicked(_)), "{why:?}");
        // A leave that is said, one by a dropped handle, one by the whole user.
        match round % 3 {
            0 => cids.leave().wait(LONG).unwrap(),
            1 => drop(cids),
            _ => {}
        }
        cid.sign_out().wait(LONG).unwrap();
        drop((drink, cable));
        match round % 4 {
            0 => drop((visiting, bob)),
            _ => visiting.close().wait(LONG).unwrap(),
        }
        match round % 2 {
            0 => room.destroy().wait(LONG).unwrap(),
            _ => drop(room),
        }
        until(&mut self.seen, |event| matches!(event, BrowserEvent::Lost(lost) if *lost == key).then_some(()));
        ada.sign_out().wait(LONG).unwrap();
        let end = Instant::now() + LONG;
        while self.tavern.snapshot().members.len() != 2 {
            assert!(Instant::now() < end, "{}", self.tavern.dump());
            thread::sleep(Duration::from_millis(2));
        }
        assert!(self.watcher.list().len() <= 2, "{:?}", self.watcher.list());
    }
}

/// What the process takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sample {
    memory: u64,
    threads: usize,
    descriptors: usize,
}

fn sample() -> Sample {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let memory = line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() << 10;
    let count = |what: &str| std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
    Sample { memory, threads: count("task"), descriptors: count("fd") }
}

/// Waits until nothing of the rounds before is left but what they are compared with.
fn settled(threads: usize, descriptors: usize) -> Sample {
    let end = Instant::now() + LONG;
    loop {
        let now = sample();
        if now.threads <= threads && now.descriptors <= descriptors {
            return now;
        }
        assert!(Instant::now() < end, "more than {threads} threads and {descriptors} descriptors: {now:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn median(samples: &[Sample]) -> u64 {
    let mut memory: Vec<u64> = samples.iter().map(|sample| sample.memory).collect();
    memory.sort_unstable();
    memory[memory.len() / 2]
}

#[test]
#[ignore = "a minute or more: run by .ci/run"]
fn hours_of_sessions_leave_the_process_as_large_as_it_was() {
    let seconds = std::env::var("LANSESSION_SOAK").map_or(60, |text| text.parse::<u64>().expect("seconds"));
    let mut evening = Evening::new();
    // What a process opens once and keeps.
    (0..4).for_each(|round| evening.round(round));
    thread::sleep(Duration::from_secs(3));
    let first = sample();
    let (start, whole) = (Instant::now(), Duration::from_secs(seconds));
    let (mut samples, mut round, mut told) = (Vec::new(), 4, Instant::now());
    while start.elapsed() < whole {
        evening.round(round);
        round += 1;
        samples.push(sample());
        if told.elapsed() >= Duration::from_secs(60) {
            told = Instant::now();
            println!("{:5} s, {round:6} rounds: {:?}", start.elapsed().as_secs(), sample());
        }
    }
    let last = settled(first.threads, first.descriptors);
    // A quarter to warm up (tables fill to their caps), then the second quarter against the last.
    let quarter = samples.len() / 4;
    assert!(quarter > 0, "no round in a quarter of the time");
    let (early, late) = (median(&samples[quarter..quarter * 2]), median(&samples[quarter * 3..]));
    let most = samples.iter().map(|sample| sample.memory).max().unwrap();
    println!(
        "soak: {seconds} s, {round} rounds: resident at the start {} KiB, in the second quarter {} KiB, in the last {} KiB, \
         at most {} KiB; threads {} then {}, descriptors {} then {}",
        first.memory >> 10,
        early >> 10,
        late >> 10,
        most >> 10,
        first.threads,
        last.threads,
        first.descriptors,
        last.descriptors
    );
    assert!(late <= early + PLAY, "memory grew from {early} to {late} bytes");
}
