//! Whole `Lan`s on this machine's loopback interface.
#![cfg(feature = "mdns")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use lansession::{Event, Lan, LanEvent, PathKind, PathState, Preset, SessionQuery, SessionSettings, Source};

const WAIT: Duration = Duration::from_secs(10);

#[test]
fn by_mdns_alone_each_of_two_hosts_on_one_machine_is_found() {
    // No other process of this game at the same time.
    let game = format!("com.example.loopback{}", std::process::id());
    let lan = |port: Option<u16>| {
        let builder = Lan::builder(game.clone()).preset(Preset::Loopback).mdns(true).beacons(false);
        port.into_iter().fold(builder, lansession::LanBuilder::beacon_port).start().unwrap()
    };
    let one = lan(None);
    let two = lan(Some(one.beacon_port()));
    let guest = lan(Some(one.beacon_port()));
    let _one = one.sign_in("Ada").unwrap().host(SessionSettings::new("one")).wait(WAIT).unwrap();
    let _two = two.sign_in("Ben").unwrap().host(SessionSettings::new("two")).wait(WAIT).unwrap();
    let found = guest.find(SessionQuery::new().enough(2).timeout(WAIT)).wait(2 * WAIT).unwrap();
    let mut names: Vec<&str> = found.iter().map(lansession::Found::name).collect();
    names.sort_unstable();
    assert_eq!(names, ["one", "two"]);
    assert!(found.iter().all(|found| found.sources().contains(Source::Mdns)));
    // Each can be joined, under its own name.
    let bob = guest.sign_in("Bob").unwrap();
    for found in &found {
        let seat = bob.join(lansession::JoinRequest::from(found).local_name(found.name())).wait(WAIT).unwrap();
        assert_eq!(seat.snapshot().name, found.name());
    }
}

#[test]
fn a_beacon_port_that_another_program_keeps_is_named_until_it_is_free() {
    let taken = UdpSocket::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
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
