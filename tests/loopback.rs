//! Whole `Lan`s on this machine's loopback interface.
#![cfg(feature = "mdns")]

use std::time::Duration;

use lansession::{Lan, Preset, SessionQuery, SessionSettings, Source};

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
