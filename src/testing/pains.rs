//! Pains of LAN games that fit the virtual LAN, each test with the number of its row (`tests/pains.rs`).
//!
//! A test that says "Fails when …" was seen to fail with that protection taken out.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Fault, Nic, VirtualLan};
use crate::types::{
    BrowserEvent, ErrorKind, Left, PathKind, Refusal, SessionEvent, SessionQuery, SessionSettings, SettingsUpdate,
};
use crate::{Browser, Lan, Session};

pub(super) const GAME: &str = "com.example.boxes";
const SECOND: Duration = Duration::from_secs(1);

pub(super) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn start(net: &VirtualLan, node: &str) -> Lan {
    net.lan(node, GAME).start().unwrap()
}

fn host(net: &VirtualLan, node: &str) -> Session {
    let ada = start(net, node).sign_in("Ada").unwrap();
    ada.host(SessionSettings::new(node)).wait(SECOND).unwrap()
}

fn browse(net: &VirtualLan, node: &str) -> Browser {
    start(net, node).browse(SessionQuery::new()).unwrap()
}

/// No datagram passes; connections do.
fn unseen() -> Fault {
    let datagrams = [
        PathKind::LimitedBroadcast,
        PathKind::DirectedBroadcast,
        PathKind::Ipv4Multicast,
        PathKind::Ipv6Multicast,
        PathKind::Mdns,
        PathKind::Unicast,
    ];
    datagrams.into_iter().fold(Fault::silence(), Fault::path)
}

/// How often a browser said found and lost since the last look.
pub(super) fn told(events: &mut crate::Events<BrowserEvent>) -> (usize, usize) {
    let (mut found, mut lost) = (0, 0);
    while let Some(event) = events.try_next() {
        found += usize::from(matches!(event, BrowserEvent::Found(_)));
        lost += usize::from(matches!(event, BrowserEvent::Lost(_)));
    }
    (found, lost)
}

// --------------------------------------------------------------------------------------------------------- 5, ghosts

/// Fails when the goodbye is said once instead of five times (`goodbye_at`).
#[test]
fn pain_05_a_goodbye_reaches_all_ten_finders_within_2_s_at_30_percent_loss() {
    for seed in 0..20 {
        let net = VirtualLan::new(seed);
        let room = host(&net, "host");
        let browsers: Vec<Browser> = (0..10).map(|n| browse(&net, &format!("f{n}"))).collect();
        net.run_until(3 * SECOND, || browsers.iter().all(|browser| browser.list().len() == 1)).unwrap();
        net.advance(2 * SECOND);
        let _loss = net.fault(Fault::loss(0.3));
        drop(room);
        net.run_until(2 * SECOND, || browsers.iter().all(|browser| browser.list().is_empty())).unwrap();
        net.advance(10 * SECOND);
        assert!(browsers.iter().all(|browser| browser.list().is_empty()), "seed {seed}: it came back");
    }
}

/// Fails when four probes without an answer make an entry lost instead of twenty (`probe_tries`).
#[test]
fn pain_05_nothing_that_lives_is_lost_in_an_hour_at_a_fifth_of_loss() {
    let net = VirtualLan::new(6);
    let _rooms: Vec<Session> = (0..3).map(|n| host(&net, &format!("h{n}"))).collect();
    let browser = browse(&net, "finder");
    let _loss = net.fault(Fault::loss(0.2));
    net.run_until(3 * SECOND, || browser.list().len() == 3).unwrap();
    let mut events = browser.events();
    let _found = told(&mut events);
    for _ in 0..60 {
        net.advance(60 * SECOND);
        assert_eq!(told(&mut events).1, 0, "at {:?}", net.now());
    }
}

// -------------------------------------------------------------------------------------------------- 9, sleep and flaps

fn wired() -> [Nic; 2] {
    [Nic::loopback(), Nic::new("eth0", "lan").address("10.77.0.1/16").address("fe80::1/64")]
}

/// Fails when a changed list of interfaces makes no host announce itself (`Announcer::interfaces_changed`).
#[test]
fn pain_09_a_link_that_was_down_for_a_second_or_for_minutes_is_seen_again_within_6_s() {
    for (seed, down) in [(1, SECOND), (2, 15 * SECOND), (3, 180 * SECOND), (4, 1_800 * SECOND)] {
        for node in ["host", "finder"] {
            let net = VirtualLan::new(seed);
            let _room = host(&net, "host");
            let browser = browse(&net, "finder");
            net.run_until(SECOND, || browser.list().len() == 1).unwrap();
            let up = net.world().topology.nodes[usize::from(node == "finder")].attachments.clone();
            net.set_interfaces(node, []).unwrap();
            net.advance(down);
            net.set_interfaces(node, up.into_iter().map(|attachment| attachment.nic)).unwrap();
            let confirmed = || browser.list().iter().any(|found| found.is_confirmed() && !found.is_silent());
            net.run_until(6 * SECOND, confirmed).unwrap();
        }
    }
}

#[test]
fn pain_09_a_flapping_link_makes_no_storm() {
    let net = VirtualLan::new(5);
    let _room = host(&net, "host");
    let browser = browse(&net, "finder");
    net.run_until(SECOND, || browser.list().len() == 1).unwrap();
    let before = net.traffic();
    // Every 1.3 s for two minutes: faster than the interfaces are looked at.
    for turn in 0..92 {
        if turn % 2 == 0 {
            net.set_interfaces("host", []).unwrap();
        } else {
            net.set_interfaces("host", wired()).unwrap();
        }
        net.advance(ms(1_300));
    }
    net.set_interfaces("host", wired()).unwrap();
    net.run_until(6 * SECOND, || browser.list().iter().any(|found| !found.is_silent())).unwrap();
    let since = net.traffic().since(&before);
    println!("two minutes of flapping: {since:?}");
    assert!(since.of("host") <= 46 * 4 * 6, "{since:?}");
}

// ------------------------------------------------------------------------------------------------- 11, six addresses

/// The host's link names six addresses, and the guest's machine reaches only the last.
fn six(net: &VirtualLan) -> Session {
    let dead = |at: u8| Nic::new(format!("docker{at}"), format!("far{at}")).address(&format!("172.{}.0.1/16", 17 + at));
    let nics = (0..5).map(dead).chain([Nic::new("eth0", "lan").address("10.77.0.1/16")]);
    net.set_interfaces("host", nics).unwrap();
    host(net, "host")
}

/// (Passes with a stagger of 3 s too: the link's session is found, and the address that answered is dialled first.)
#[test]
fn pain_11_of_six_addresses_one_works_and_is_joined_within_500_ms() {
    for seed in 0..20 {
        let net = VirtualLan::new(seed);
        let room = six(&net);
        assert_eq!(room.link().addresses().len(), 6, "{}", room.link());
        let bob = start(&net, "guest").sign_in("Bob").unwrap();
        let before = net.now();
        let _seat = bob.join(room.link()).wait(6 * SECOND).unwrap();
        assert!(net.now() - before <= ms(500), "seed {seed}: {:?}", net.now() - before);
    }
}

/// Six addresses of the own link, of which nobody has the first five: no order of the addresses helps.
///
/// Fails when they are dialled one after the other (a stagger of 3 s), and when the first alone is.
#[test]
fn pain_11_of_six_addresses_on_the_link_the_last_works_and_is_joined_within_500_ms() {
    for seed in 0..20 {
        let net = VirtualLan::new(seed);
        let room = host(&net, "host");
        let bob = start(&net, "guest").sign_in("Bob").unwrap();
        let told = room.link();
        let works = told.addresses().iter().copied().find(SocketAddr::is_ipv4).unwrap();
        let nobody = (1..6).map(|at| SocketAddr::from(([10, 77, 200, at], works.port())));
        let link = crate::JoinLink::new(GAME, told.key(), told.host_key(), nobody.chain([works])).unwrap();
        // Were it found, only the address that answered would be dialled.
        let _unfound = net.fault(unseen());
        let before = net.now();
        let _seat = bob.join(link).wait(6 * SECOND).unwrap();
        assert!(net.now() - before <= ms(500), "seed {seed}: {:?}", net.now() - before);
    }
}

/// Fails when only the first is dialled.
#[test]
fn pain_11_where_none_works_the_refusal_names_all_six() {
    let net = VirtualLan::new(1);
    let room = six(&net);
    let mut named: Vec<SocketAddr> = room.link().addresses().to_vec();
    net.cut("host", "guest");
    let bob = start(&net, "guest").sign_in("Bob").unwrap();
    let error = bob.join(room.link()).wait(20 * SECOND).unwrap_err();
    let Some(Refusal::HostUnreachable { tried }) = error.refusal() else { panic!("{error:?}") };
    let mut tried = tried.clone();
    tried.sort();
    named.sort();
    assert_eq!(tried, named);
}

// ------------------------------------------------------------------------------------------------------- 17, versions

/// Fails when an entry of another version can be joined (`Found::joinable`). (Not when only the host's own question for the
/// version, `HostAuthority::judge`, is taken out.)
#[test]
fn pain_17_the_entry_shows_another_version_and_a_join_is_told_so_at_once() {
    let net = VirtualLan::new(17);
    let room = host(&net, "host");
    let newer = net.lan("newer", GAME).version(9).start().unwrap();
    let found = newer.find(SessionQuery::new().enough(1)).wait(2 * SECOND).unwrap();
    assert!(matches!(found[0].joinable(), Err(Refusal::Incompatible { ours: 9, theirs: 0, .. })));
    let bob = newer.sign_in("Bob").unwrap();
    let before = net.now();
    let error = bob.join(room.link()).wait(6 * SECOND).unwrap_err();
    assert!(matches!(error.refusal(), Some(Refusal::Incompatible { ours: 9, theirs: 0, .. })), "{error:?}");
    // Three round trips of at most 4 ms, and 50 ms more where the first address of the link is not the best.
    assert!(net.now() - before <= ms(100), "{:?}", net.now() - before);

    // Where no datagram passes nobody knows it before the host says so; 150 ms of it is the search.
    let _unseen = net.fault(unseen());
    let before = net.now();
    let error = bob.join(room.link()).wait(6 * SECOND).unwrap_err();
    assert!(matches!(error.refusal(), Some(Refusal::Incompatible { ours: 9, theirs: 0, .. })), "{error:?}");
    assert!(net.now() - before <= ms(250), "{:?}", net.now() - before);
    assert_eq!(room.snapshot().members.len(), 1);
}

// ------------------------------------------------------------------------------------------------------- 18, refusals

/// The close of the virtual TCP writes what is queued in any case: that this protection bites is shown in `tests/namespaces`.
#[test]
fn pain_18_a_refusal_comes_before_the_close_at_30_percent_loss_and_nobody_tries_again() {
    for seed in 0..30 {
        let net = VirtualLan::new(seed);
        let settings = SessionSettings::new("full").max_members(1);
        let room = start(&net, "host").sign_in("Ada").unwrap().host(settings).wait(SECOND).unwrap();
        let bob = start(&net, "guest").sign_in("Bob").unwrap();
        let loss = net.fault(Fault::loss(0.3));
        let error = bob.join(room.link()).wait(30 * SECOND).unwrap_err();
        // A machine that no packet reaches in time is no refusal.
        let unreached =
            matches!(error.refusal(), Some(Refusal::HostUnreachable { .. })) || error.kind() == ErrorKind::TimedOut;
        assert!(unreached || error.refusal() == Some(&Refusal::Full), "seed {seed}: {error:?}");
        drop(loss);
        net.advance(SECOND);
        let before = net.traffic();
        net.advance(60 * SECOND);
        assert_eq!(net.traffic().since(&before).frames, 0, "seed {seed}: it came again");
    }
}

#[test]
fn pain_18_a_new_session_on_the_same_address_and_port_refuses_a_join_of_the_old_one() {
    let net = VirtualLan::new(18);
    let on = |name: &str| {
        let request = crate::types::HostRequest::new(SessionSettings::new(name)).control_port(4_711);
        start(&net, "host").sign_in("Ada").unwrap().host(request).wait(SECOND).unwrap()
    };
    let old = on("old");
    let link = old.link();
    net.crash("host");
    net.restart("host");
    let new = on("new");
    assert_eq!(new.link().addresses(), link.addresses());
    let bob = start(&net, "guest").sign_in("Bob").unwrap();
    let error = bob.join(link).wait(10 * SECOND).unwrap_err();
    assert!(error.refusal().is_some(), "{error:?}");
    assert_eq!(new.snapshot().members.len(), 1);
}

// --------------------------------------------------------------------------------------------------- 24, a slow reader

/// Fails when the reader's queue has no bound, and when what it holds of a gap is not the whole state (`Queue::push`
/// without its `refresh`).
#[test]
fn pain_24_a_reader_that_slept_for_5000_changes_reads_the_last_state_and_the_end() {
    let net = VirtualLan::new(24);
    let room = host(&net, "host");
    let bob = start(&net, "guest").sign_in("Bob").unwrap();
    let seat = bob.join(room.link()).wait(6 * SECOND).unwrap();
    let mut asleep = seat.events();
    for round in 0..5_000 {
        room.update(SettingsUpdate::new().set("round", round)).wait(SECOND).unwrap();
    }
    net.advance(5 * SECOND);
    let state = seat.snapshot();
    assert_eq!(state.attributes.get("round"), Some(&4_999.into()));
    room.destroy().wait(SECOND).unwrap();
    net.advance(SECOND);
    let (mut missed, mut last, mut end) = (0, None, None);
    let mut gap = false;
    while let Some(event) = asleep.try_next() {
        assert_eq!(end, None, "nothing comes after the end");
        assert!(!gap || matches!(event, SessionEvent::Joined { .. }), "after a gap comes all of the state: {event:?}");
        gap = matches!(event, SessionEvent::Lagged { .. });
        match event {
            SessionEvent::Lagged { missed: more } => missed += more,
            SessionEvent::Joined { snapshot } => last = Some(snapshot.revision),
            SessionEvent::SettingsChanged { revision, .. } => last = Some(revision),
            SessionEvent::Left { why, .. } => end = Some(why),
            _ => {}
        }
    }
    assert!(missed > 1_000, "{missed}");
    assert_eq!((last, end), (Some(state.revision), Some(Left::Destroyed)));
}
