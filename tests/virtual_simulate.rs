//! `LanBuilder::simulate` on the virtual LAN: the same fault as over sockets, with nothing left to chance.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use lansession::testing::VirtualLan;
use lansession::{ErrorKind, NetworkFault, SessionQuery, SessionSettings};

const SECOND: Duration = Duration::from_secs(1);
const GAME: &str = "com.example.simulate";

#[test]
fn what_the_sender_loses_is_not_sent_and_what_it_delays_comes_late() {
    let net = VirtualLan::new(1);
    let host = net.lan("host", GAME).simulate(NetworkFault::new().loss(1.0)).start().unwrap();
    let guest = net.lan("guest", GAME).start().unwrap();
    let room = host.sign_in("Ada").unwrap().host(SessionSettings::new("room")).wait(SECOND).unwrap();
    let bob = guest.sign_in("Bob").unwrap();
    assert!(bob.find(SessionQuery::new()).wait(3 * SECOND).unwrap().is_empty());
    assert_eq!(net.traffic().of("host"), 0, "lost before it is sent");
    assert!(net.traffic().of("guest") > 0 && net.transcript().contains(" loses "));
    bob.join(room.link()).wait(3 * SECOND).unwrap().leave().wait(SECOND).unwrap();

    let latency = Duration::from_millis(100);
    let late = net.lan("late", GAME).simulate(NetworkFault::new().latency(latency)).start().unwrap();
    let room = late.sign_in("Cid").unwrap().host(SessionSettings::new("late room")).wait(SECOND).unwrap();
    let before = net.now();
    bob.find(SessionQuery::new().enough(1)).wait(3 * SECOND).unwrap();
    assert!(net.now() - before >= latency);
    let before = net.now();
    let seat = bob.join(room.link()).wait(3 * SECOND).unwrap();
    // The handshake and the welcome, one flight each.
    assert!(net.now() - before >= 2 * latency);
    let mut events = seat.events();
    while events.try_next().is_some() {}
    let before = net.now();
    room.say(*b"x").detach();
    events.wait(SECOND).unwrap();
    assert!((latency..latency + Duration::from_millis(10)).contains(&(net.now() - before)));
}

#[test]
fn a_seed_of_its_own_repeats_and_bounds_hold() {
    let run = |seed| {
        let net = VirtualLan::new(5);
        let bad = NetworkFault::new().loss(0.5).jitter(Duration::from_millis(20)).seed(seed);
        let host = net.lan("host", GAME).simulate(bad).start().unwrap();
        let _room = host.sign_in("Ada").unwrap().host(SessionSettings::new("room")).wait(SECOND).unwrap();
        let guest = net.lan("guest", GAME).start().unwrap();
        let found = guest.find(SessionQuery::new().enough(1)).wait(3 * SECOND).unwrap();
        assert_eq!(found.len(), 1);
        net.transcript()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    let net = VirtualLan::new(5);
    let error = net.lan("host", GAME).simulate(NetworkFault::new().latency(2 * SECOND)).start().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}
