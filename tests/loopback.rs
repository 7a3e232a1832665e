//! Whole `Lan`s on this machine's loopback interface. Those with mDNS are in the namespace suite: the mDNS daemon joins its
//! group on every interface before it can be told not to.
#![cfg(feature = "net")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use lansession::{Event, Lan, LanEvent, PathKind, PathState, Preset, SessionQuery};

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
