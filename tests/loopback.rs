//! Whole `Lan`s on this machine's loopback interface. Those with mDNS are in the namespace suite: the mDNS daemon joins its
//! group on every interface before it can be told not to.
#![cfg(feature = "net")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use lansession::{
    Event, Lan, LanEvent, NetworkFault, PathKind, PathState, Preset, SessionEvent, SessionQuery, SessionSettings,
};

const WAIT: Duration = Duration::from_secs(10);

#[test]
fn a_beacon_port_that_another_program_keeps_is_named_until_it_is_free() {
    let port = Lan::builder("com.example.taken").preset(Preset::Loopback).start().unwrap().beacon_port();
    let taken = UdpSocket::bind(("0.0.0.0", port)).unwrap();
    let lan = Lan::builder("com.example.taken").preset(Preset::Loopback).beacon_port(port).start().unwrap();
    let mut events = lan.events();
    let mut next = || match events.wait(WAIT).expect("an event") {
        Event::Lan(event) => event,
        other => panic!("{other:?}"),
    };
    let mut until = |fits: fn(&LanEvent) -> bool| {
        let end = Instant::now() + WAIT;
        while !fits(&next()) {
            assert!(Instant::now() < end);
        }
    };
    let _browser = lan.browse(SessionQuery::new()).unwrap();
    until(|event| matches!(event, LanEvent::Trouble(why) if why.contains("over IPv4 cannot be heard")));
    let diagnosis = lan.diagnose().wait(WAIT).unwrap();
    let failing = |path: &&lansession::PathReport| matches!(path.state, PathState::Failing(_));
    let paths: Vec<PathKind> = diagnosis.paths.iter().filter(failing).map(|path| path.path).collect();
    assert_eq!(paths, [PathKind::DirectedBroadcast, PathKind::Ipv4Multicast], "{diagnosis}");
    assert!(diagnosis.advice.contains(&port.to_string()) && diagnosis.advice.contains("close the"), "{diagnosis}");
    drop(taken);
    until(|event| matches!(event, LanEvent::Recovered(_)));
    assert!(!lan.diagnose().wait(WAIT).unwrap().paths.iter().any(|path| failing(&path)));
}

#[test]
fn a_game_on_a_simulated_bad_network_finds_joins_and_hears() {
    let ms = Duration::from_millis;
    let bad = NetworkFault::new().latency(ms(15)).jitter(ms(15)).loss(0.3).seed(11);
    let start = |port: Option<u16>| {
        let builder = Lan::builder("com.example.bad").preset(Preset::Loopback).simulate(bad);
        port.map_or(builder.clone(), |port| builder.beacon_port(port)).start().unwrap()
    };
    let host = start(None);
    let guest = start(Some(host.beacon_port()));
    let (ada, bob) = (host.sign_in("Ada").unwrap(), guest.sign_in("Bob").unwrap());
    let room = ada.host(SessionSettings::new("room")).wait(WAIT).unwrap();
    let found = bob.find(SessionQuery::new().enough(1).timeout(WAIT)).wait(WAIT).unwrap();
    let seat = bob.join(&found[0]).wait(WAIT).unwrap();
    let mut events = seat.events();
    for number in 0..8_u8 {
        room.say([number]).wait(WAIT).unwrap();
    }
    let mut said = Vec::new();
    while said.len() < 8 {
        if let SessionEvent::Message { data, .. } = events.wait(WAIT).expect("an event") {
            said.push(data[0]);
        }
    }
    assert_eq!(said, [0, 1, 2, 3, 4, 5, 6, 7]);
    seat.leave().wait(WAIT).unwrap();
}

#[test]
fn where_everything_is_lost_nothing_is_found_and_a_typed_link_still_joins() {
    let none = NetworkFault::new().loss(1.0);
    let host = Lan::builder("com.example.lost").preset(Preset::Loopback).simulate(none).start().unwrap();
    let port = host.beacon_port();
    let guest = Lan::builder("com.example.lost").preset(Preset::Loopback).beacon_port(port).simulate(none);
    let guest = guest.start().unwrap();
    let room = host.sign_in("Ada").unwrap().host(SessionSettings::new("room")).wait(WAIT).unwrap();
    let bob = guest.sign_in("Bob").unwrap();
    assert!(bob.find(SessionQuery::new().timeout(Duration::from_millis(300))).wait(WAIT).unwrap().is_empty());
    // TCP loses nothing.
    let seat = bob.join(room.link()).wait(WAIT).unwrap();
    assert_eq!(seat.snapshot().members.len(), 2);
}
