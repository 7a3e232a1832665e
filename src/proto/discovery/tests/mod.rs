//! A few instances on one virtual segment: what is found, how fast, and what a stranger cannot do.

mod attacks;
mod claims;
mod floods;
mod life;
mod segment;

use std::time::Duration;

use super::*;
use crate::types::{PathKind, attr};
use segment::Segment;

const MS: Duration = Duration::from_millis(1);

/// What a member says of its founder's death.
fn obituary(key: SessionKey, incarnation: u64) -> DeathNotice {
    DeathNotice { id: key.id, host_tag: hash::host_tag(key.founder), incarnation, term: 1, sequence: 0 }
}

#[test]
fn ten_hosts_are_found_in_one_round_trip_by_one_question() {
    for seed in 0..20 {
        let mut lan = Segment::new(seed, 0.0);
        for host in 0..10 {
            lan.host(host);
        }
        let finder = lan.node(100);
        lan.run(5_000 * MS);
        lan.browse(finder, 1, SessionQuery::new());
        let start = lan.now();
        let sent = lan.questions;
        lan.run_until(1_000 * MS, |lan| lan.list(finder, 1).len() == 10).expect("all found");
        // Listening 2, two ways of at most 2, ARP another two.
        assert!(lan.now().since(start) <= 11 * MS, "seed {seed}: {:?}", lan.now().since(start));
        lan.run(1_500 * MS);
        assert_eq!(lan.questions - sent, 1, "seed {seed}");
        let list = lan.list(finder, 1);
        assert!(
            list.iter().all(|found| found.is_confirmed() && found.ping().is_some() && !found.addresses().is_empty())
        );
    }
}

#[test]
fn at_a_fifth_lost_and_cold_arp_all_twenty_are_found_within_a_second() {
    let (mut late, mut finds) = (0, 0);
    for seed in 0..100 {
        let mut lan = Segment::new(1_000 + seed, 0.2);
        // One way only: the copies of other ways would make it easier.
        lan.passes = |path| path == PathKind::Ipv4Multicast;
        for host in 0..20 {
            lan.host(host);
        }
        let finder = lan.node(100);
        lan.run(5_000 * MS);
        lan.browse(finder, 1, SessionQuery::new());
        finds += 20;
        if lan.run_until(1_000 * MS, |lan| lan.list(finder, 1).len() == 20).is_none() {
            late += 20 - lan.list(finder, 1).len();
        }
    }
    assert!(late * 1_000 <= finds, "{late} of {finds} not found in time");
}

#[test]
fn a_find_ends_by_enough_or_at_its_timeout() {
    let mut lan = Segment::new(1, 0.0);
    let hosts: Vec<_> = (0..3).map(|n| lan.host(n)).collect();
    let finder = lan.node(9);
    lan.run(3_000 * MS);
    let start = lan.now();
    lan.find(finder, 1, SessionQuery::new().enough(2));
    lan.find(finder, 2, SessionQuery::new().timeout(500 * MS));
    lan.find(finder, 3, SessionQuery::new().id(lan.key(hosts[1]).id));
    lan.find(finder, 4, SessionQuery::new().code(crate::types::RoomCode::of(lan.key(hosts[2]))));
    lan.run_until(1_000 * MS, |lan| lan.done(finder, 1).is_some()).unwrap();
    assert!(lan.now().since(start) < 100 * MS);
    lan.run_until(1_000 * MS, |lan| lan.done(finder, 3).is_some() && lan.done(finder, 4).is_some()).unwrap();
    assert!(lan.now().since(start) < 100 * MS);
    assert_eq!(lan.done(finder, 3).unwrap()[0].key(), lan.key(hosts[1]));
    assert_eq!(lan.done(finder, 4).unwrap()[0].key(), lan.key(hosts[2]));
    lan.run_until(1_000 * MS, |lan| lan.done(finder, 2).is_some()).unwrap();
    assert_eq!(lan.now().since(start), 500 * MS);
    assert_eq!(lan.done(finder, 2).unwrap().len(), 3);
    lan.run(10 * MS);
    assert!(!lan.nodes[finder].discovery.wants_sockets());
}

#[test]
fn a_newcomer_a_change_and_a_goodbye_show_at_once() {
    let mut lan = Segment::new(2, 0.0);
    let finder = lan.node(9);
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(10_000 * MS);
    let host = lan.host(1);
    let start = lan.now();
    lan.run_until(200 * MS, |lan| lan.list(finder, 1).len() == 1).expect("seen");
    assert!(lan.now().since(start) <= 60 * MS);
    lan.run(3_000 * MS);
    assert!(lan.list(finder, 1)[0].is_confirmed());

    lan.nodes[host].publication.as_mut().unwrap().facts.name = "renamed".into();
    lan.nodes[host].publication.as_mut().unwrap().facts.revision += 1;
    lan.publish(host);
    let start = lan.now();
    lan.run_until(200 * MS, |lan| lan.list(finder, 1)[0].name() == "renamed").expect("changed");
    assert!(lan.now().since(start) <= 50 * MS);

    lan.withdraw(host, GoodbyeReason::Ended);
    let start = lan.now();
    lan.run_until(300 * MS, |lan| lan.list(finder, 1).is_empty()).expect("gone");
    assert!(lan.now().since(start) <= 25 * MS);
    let events = lan.events(finder, 1);
    assert_eq!(events.iter().filter(|event| matches!(event, BrowserEvent::Found(_))).count(), 1);
    assert_eq!(events.iter().filter(|event| matches!(event, BrowserEvent::Lost(_))).count(), 1);
    lan.run(20_000 * MS);
    assert!(lan.list(finder, 1).is_empty());
}

#[test]
fn ten_processes_of_one_machine_all_see_all_even_with_loopback_alone() {
    let mut lan = Segment::new(3, 0.0);
    lan.loopback_only = true;
    let nodes: Vec<_> = (0..10).map(|n| lan.host(n)).collect();
    for &node in &nodes {
        lan.browse(node, 1, SessionQuery::new());
    }
    lan.run(2_000 * MS);
    for &node in &nodes {
        assert_eq!(lan.list(node, 1).len(), 10, "own and nine others");
        let keys: BTreeSet<_> = lan.list(node, 1).iter().map(Found::key).collect();
        assert_eq!(keys.len(), 10);
    }
    lan.kill(nodes[3]);
    lan.run(8_000 * MS);
    for &node in nodes.iter().filter(|node| **node != nodes[3]) {
        assert_eq!(lan.list(node, 1).len(), 9);
    }
}

#[test]
fn nothing_is_sent_before_the_first_and_after_the_last() {
    let mut lan = Segment::new(4, 0.0);
    let node = lan.node(1);
    lan.run(5_000 * MS);
    assert_eq!(lan.sent, 0);
    assert!(!lan.nodes[node].discovery.wants_sockets());
    lan.browse(node, 1, SessionQuery::new());
    assert!(lan.nodes[node].discovery.wants_sockets());
    lan.run(5_000 * MS);
    let now = lan.now();
    lan.nodes[node].discovery.close(now, QueryId(1));
    lan.drain(node);
    let sent = lan.sent;
    lan.run(60_000 * MS);
    assert_eq!(lan.sent, sent);
    assert!(!lan.nodes[node].discovery.wants_sockets());
}

#[test]
fn without_beacons_nothing_goes_to_all_and_a_typed_address_still_works() {
    let mut lan = Segment::new(5, 0.0);
    let host = lan.host_with(1, |config| config.beacons = false);
    let finder = lan.node_with(2, |config| config.beacons = false);
    lan.run(2_000 * MS);
    lan.browse(finder, 1, SessionQuery::new().at(lan.shared_address(host)));
    lan.run(3_000 * MS);
    assert_eq!(lan.casts, 0);
    let list = lan.list(finder, 1);
    assert_eq!(list.len(), 1);
    assert!(list[0].sources().contains(crate::types::Source::Direct));
    lan.run(60_000 * MS);
    assert_eq!(lan.list(finder, 1).len(), 1, "kept alive by probes");
    lan.withdraw(host, GoodbyeReason::Ended);
    lan.run(300 * MS);
    assert_eq!(lan.list(finder, 1).len(), 0, "a goodbye by unicast to who probed");
    assert_eq!(lan.casts, 0);
}

#[test]
fn a_configured_peer_beyond_a_router_is_like_any_other_entry() {
    let mut lan = Segment::new(30, 0.1);
    lan.passes = |_| false;
    let host = lan.host(1);
    let target = lan.shared_address(host);
    let finder = lan.node_with(2, |config| config.targets = vec![target]);
    lan.move_to(finder, "10.9.0.2".parse().unwrap());
    lan.run(2_000 * MS);
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(1_000 * MS);
    let list = lan.list(finder, 1);
    assert_eq!(list.len(), 1);
    assert!(list[0].sources().contains(crate::types::Source::Direct));
    lan.run(60_000 * MS);
    assert_eq!(lan.list(finder, 1).len(), 1, "probes go through the router too");
    let before = lan.sent;
    lan.run(10_000 * MS);
    assert!(lan.sent - before < 20, "{}", lan.sent - before);
    lan.withdraw(host, GoodbyeReason::Ended);
    lan.run(400 * MS);
    assert!(lan.list(finder, 1).is_empty(), "a goodbye by unicast");
}

#[test]
fn an_advert_longer_than_the_question_comes_by_a_cookie() {
    let mut lan = Segment::new(6, 0.0);
    let host = lan.host(1);
    let publication = lan.nodes[host].publication.as_mut().unwrap();
    publication.facts.attributes.set("map", "x".repeat(600)).unwrap();
    lan.publish(host);
    let finder = lan.node(2);
    lan.run(3_000 * MS);
    let start = lan.now();
    lan.browse(finder, 1, SessionQuery::new());
    lan.run_until(1_000 * MS, |lan| lan.list(finder, 1).len() == 1).unwrap();
    assert!(lan.now().since(start) < 20 * MS);
}

#[test]
fn equal_seeds_give_equal_transcripts() {
    let transcript = || {
        let mut lan = Segment::new(7, 0.1);
        for host in 0..4 {
            lan.host(host);
        }
        let finder = lan.node(9);
        lan.browse(finder, 1, SessionQuery::new());
        lan.run(3_000 * MS);
        (lan.sent, lan.print)
    };
    assert_eq!(transcript(), transcript());
}

#[test]
fn a_diagnosis_names_paths_and_says_what_to_do() {
    let mut lan = Segment::new(8, 0.0);
    let finder = lan.node(1);
    assert!(lan.nodes[finder].discovery.diagnose().advice.contains("Nothing was asked"));
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(3_000 * MS);
    let diagnosis = lan.nodes[finder].discovery.diagnose();
    assert!(diagnosis.advice.contains("nothing came back"), "{diagnosis}");
    assert!(diagnosis.paths.iter().filter(|path| path.sent > 0).count() >= 3);
    let host = lan.host(2);
    lan.run(1_000 * MS);
    let diagnosis = lan.nodes[finder].discovery.diagnose();
    assert!(diagnosis.advice.contains("nothing is wrong"), "{diagnosis}");
    assert_eq!(diagnosis.sessions, 1);
    lan.kill(host);
    let now = lan.now();
    let failure = SendFailure {
        via: Via::Interface { index: 2, address: lan.nodes[finder].address },
        to: "255.255.255.255:7".parse().unwrap(),
        path: PathKind::LimitedBroadcast,
        why: "Operation not permitted".into(),
        unreachable: false,
    };
    lan.nodes[finder].lan_events.clear();
    for _ in 0..10 {
        lan.nodes[finder].discovery.handle_send_failure(now, &failure);
    }
    lan.drain(finder);
    assert_eq!(lan.nodes[finder].lan_events.len(), 1, "once a minute");
    assert!(lan.nodes[finder].discovery.diagnose().to_string().contains("not permitted"));
}

#[test]
fn a_beacon_port_that_cannot_be_heard_is_trouble_until_it_can() {
    let mut lan = Segment::new(9, 0.0);
    let finder = lan.node(1);
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(100 * MS);
    let up = Interface { port: lan.nodes[finder].port, ..lan.interface("10.0.0.2".parse().unwrap()) };
    let down = Interface { deaf: Some("Address already in use".into()), ..up.clone() };
    let told = |lan: &mut Segment, interface: &Interface, wait| {
        lan.nodes[finder].lan_events.clear();
        let now = lan.now();
        lan.nodes[finder].discovery.handle_interfaces(now, std::slice::from_ref(interface));
        lan.drain(finder);
        lan.run(wait);
        lan.nodes[finder].lan_events.clone()
    };
    let events = told(&mut lan, &down, 5_000 * MS);
    assert!(
        matches!(&events[..], [LanEvent::Trouble(why)] if why.contains("port 7777 over IPv4") && why.contains("in use")),
        "{events:?}"
    );
    let diagnosis = lan.nodes[finder].discovery.diagnose();
    assert!(
        diagnosis.advice.contains("Address already in use") && diagnosis.advice.contains("close the"),
        "{diagnosis}"
    );
    let failing = |path: &crate::types::PathReport| matches!(&path.state, crate::types::PathState::Failing(_));
    assert_eq!(diagnosis.paths.iter().filter(|path| failing(path)).count(), 3, "{diagnosis}");
    assert!(matches!(&told(&mut lan, &up, 1_000 * MS)[..], [LanEvent::Recovered(_)]));
    let diagnosis = lan.nodes[finder].discovery.diagnose();
    assert!(!diagnosis.paths.iter().any(failing), "{diagnosis}");
    // Again within the minute: told once it has lasted that long.
    assert_eq!(told(&mut lan, &down, 1_000 * MS), []);
    assert_eq!(told(&mut lan, &up, 1_000 * MS), [], "what was not told does not recover");
    assert!(matches!(&told(&mut lan, &down, 120_000 * MS)[..], [LanEvent::Trouble(_)]));
}

#[test]
fn a_question_is_no_deeper_than_a_host_reads() {
    // The deepest filter that ends in `or`: what the query adds by itself is one level more.
    let mut filter = attr("a").exists();
    while filter.0.depth() < Filter::MAX_DEPTH {
        let test = attr("a").exists();
        filter = if filter.0.depth() % 2 == 0 { filter & test } else { filter | test };
    }
    let query = SessionQuery::new().filter(filter.clone()).version_up_to(7);
    assert!(query.check().is_ok() && query.asked().check().is_err());
    assert_eq!(wish(&query, Mode::Find).filter, Some(filter.0), "the rest is left to the finder");
}
