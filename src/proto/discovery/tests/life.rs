//! Liveness, restarts, interfaces, mDNS.

use super::segment::publication;
use super::*;
use crate::proto::io::MdnsEvent;
use crate::types::Source;
use crate::wire::datagram::{Kind, Prefix};
use crate::wire::txt::{self, Txt};

fn is_probe(bytes: &[u8]) -> bool {
    Prefix::peek(bytes).is_ok_and(|prefix| prefix.known_kind() == Some(Kind::Probe))
}

#[test]
fn a_killed_host_is_lost_within_7800_ms_and_none_that_lives() {
    for seed in 0..10 {
        let mut lan = Segment::new(200 + seed, 0.2);
        let hosts: Vec<_> = (0..5).map(|n| lan.host(n)).collect();
        let finder = lan.node(100);
        lan.browse(finder, 1, SessionQuery::new());
        lan.run(20_000 * MS);
        assert_eq!(lan.list(finder, 1).len(), 5);
        lan.kill(hosts[2]);
        lan.run_until(7_900 * MS, |lan| lan.list(finder, 1).len() == 4).expect("lost");
        lan.run(60_000 * MS);
        assert_eq!(lan.list(finder, 1).len(), 4, "seed {seed}: a false loss");
        assert_eq!(lan.nodes[finder].lost, [lan.key(hosts[2])]);
    }
}

#[test]
fn a_goodbye_is_heard_within_250_ms_at_a_fifth_lost() {
    let mut missed = 0;
    for seed in 0..50 {
        let mut lan = Segment::new(300 + seed, 0.2);
        lan.passes = |path| path == PathKind::Ipv4Multicast;
        let host = lan.host(1);
        let finder = lan.node(100);
        lan.browse(finder, 1, SessionQuery::new());
        lan.run(3_000 * MS);
        lan.withdraw(host, GoodbyeReason::Ended);
        missed += usize::from(lan.run_until(253 * MS, |lan| lan.list(finder, 1).is_empty()).is_none());
        lan.run(3_000 * MS);
        assert_eq!(lan.nodes[finder].ended, [lan.key(host)], "told once, however often it is said");
    }
    assert!(missed <= 1, "{missed} of 50");
}

#[test]
fn an_unreachable_port_is_believed_the_second_time() {
    let mut lan = Segment::new(9, 0.0);
    lan.loopback_only = true;
    let host = lan.host(1);
    let finder = lan.node(2);
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(3_000 * MS);
    lan.kill(host);
    let (now, key) = (lan.now(), lan.key(host));
    lan.nodes[finder].discovery.suspect(now, key);
    lan.drain(finder);
    lan.run_until(120 * MS, |lan| lan.list(finder, 1).is_empty()).expect("lost at once");
}

#[test]
fn a_suspicion_of_a_living_host_does_nothing() {
    let mut lan = Segment::new(10, 0.2);
    let host = lan.host(1);
    let finder = lan.node(2);
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(3_000 * MS);
    let key = lan.key(host);
    for _ in 0..10 {
        let now = lan.now();
        lan.nodes[finder].discovery.suspect(now, key);
        lan.drain(finder);
        lan.run(1_000 * MS);
    }
    assert_eq!(lan.list(finder, 1).len(), 1);
}

#[test]
fn a_members_word_pulls_the_check_forward() {
    let mut lan = Segment::new(11, 0.0);
    let host = lan.host(1);
    let (member, finder) = (lan.node(2), lan.node(3));
    for node in [member, finder] {
        lan.browse(node, 1, SessionQuery::new());
    }
    lan.run(3_000 * MS);
    lan.kill(host);
    let (now, key) = (lan.now(), lan.key(host));
    lan.nodes[member].discovery.death_notice(now, key, obituary(key, 1_000), 0);
    lan.drain(member);
    lan.run_until(1_200 * MS, |lan| lan.list(finder, 1).is_empty()).expect("twenty probes 50 ms apart");
}

#[test]
fn a_restart_under_the_same_key_is_lost_and_found() {
    let mut lan = Segment::new(12, 0.0);
    let host = lan.host(1);
    let finder = lan.node(2);
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(3_000 * MS);
    lan.kill(host);
    let again = lan.node(1);
    let mut what = publication(1);
    what.incarnation = 2_000;
    what.facts.name = "again".into();
    lan.nodes[again].publication = Some(what);
    lan.publish(again);
    lan.run_until(2_000 * MS, |lan| lan.list(finder, 1).iter().any(|found| found.name() == "again")).unwrap();
    lan.run(10_000 * MS);
    assert_eq!(lan.list(finder, 1).len(), 1);
    let kinds: Vec<_> = lan
        .events(finder, 1)
        .iter()
        .filter_map(|event| match event {
            BrowserEvent::Found(found) => Some(found.name().to_owned()),
            BrowserEvent::Lost(_) => Some("lost".to_owned()),
            _ => None,
        })
        .collect();
    assert_eq!(kinds, ["host 1", "lost", "again"]);
}

#[test]
fn hidden_and_listed_again() {
    let mut lan = Segment::new(13, 0.0);
    let host = lan.host(1);
    let finder = lan.node(2);
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(3_000 * MS);
    lan.nodes[host].publication.as_mut().unwrap().listed = false;
    lan.publish(host);
    lan.run(300 * MS);
    assert!(lan.list(finder, 1).is_empty());
    let now = lan.now();
    lan.nodes[finder].discovery.refresh(now, QueryId(1));
    lan.run(5_000 * MS);
    assert!(lan.list(finder, 1).is_empty(), "it answers nothing");
    lan.nodes[host].publication.as_mut().unwrap().listed = true;
    lan.publish(host);
    lan.run(100 * MS);
    assert_eq!(lan.list(finder, 1).len(), 1);
}

#[test]
fn an_interface_that_comes_back_is_used_at_once() {
    let mut lan = Segment::new(14, 0.0);
    lan.host(1);
    let finder = lan.node(2);
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(3_000 * MS);
    let now = lan.now();
    lan.nodes[finder].discovery.handle_interfaces(now, &[]);
    lan.drain(finder);
    lan.run(10_000 * MS);
    assert!(lan.list(finder, 1).is_empty());
    let up = lan.interface("10.0.0.3".parse().unwrap());
    let now = lan.now();
    lan.nodes[finder].discovery.handle_interfaces(now, &[up]);
    lan.drain(finder);
    lan.run(50 * MS);
    assert_eq!(lan.list(finder, 1).len(), 1);
    assert!(
        lan.nodes[finder]
            .lan_events
            .iter()
            .any(|event| matches!(event, LanEvent::Interfaces(names) if names == &["eth0"]))
    );
}

#[test]
fn found_by_each_single_path() {
    let paths: [fn(PathKind) -> bool; 3] = [
        |path| path == PathKind::LimitedBroadcast,
        |path| path == PathKind::DirectedBroadcast,
        |path| path == PathKind::Ipv4Multicast,
    ];
    for passes in paths {
        let mut lan = Segment::new(15, 0.0);
        lan.passes = passes;
        lan.host(1);
        let finder = lan.node(2);
        lan.run(3_000 * MS);
        lan.browse(finder, 1, SessionQuery::new());
        lan.run(50 * MS);
        assert_eq!(lan.list(finder, 1).len(), 1);
    }
}

fn resolved(lan: &Segment, host: usize, address: &str) -> MdnsEvent {
    let what = lan.nodes[host].publication.as_ref().unwrap();
    let txt = Txt {
        major: 1,
        game: hash::game_tag("game"),
        id: what.key.id,
        host_label: hash::host_label(what.key.founder),
        udp_port: lan.nodes[host].port,
        version: 1,
        name: None,
    };
    MdnsEvent::Resolved {
        instance: "x".into(),
        addresses: vec![SocketAddr::new(address.parse().unwrap(), what.tcp_port)],
        txt: txt::encode(&txt),
    }
}

#[test]
fn a_session_found_by_mdns_alone_is_one_entry_with_that_source() {
    let mut lan = Segment::new(16, 0.0);
    lan.passes = |_| false;
    let host = lan.host(1);
    let finder = lan.node_with(2, |config| config.mdns = true);
    lan.run(3_000 * MS);
    lan.browse(finder, 1, SessionQuery::new());
    assert!(lan.nodes[finder].mdns.contains(&MdnsAction::Browse));
    let (now, event) = (lan.now(), resolved(&lan, host, "10.0.0.2"));
    lan.nodes[finder].discovery.handle_mdns(now, event);
    lan.drain(finder);
    lan.run(100 * MS);
    let list = lan.list(finder, 1);
    assert_eq!(list.len(), 1);
    assert!(list[0].is_confirmed());
    assert_eq!(list[0].sources().iter().collect::<Vec<_>>(), [Source::Mdns]);
    assert_eq!(list[0].addresses()[0].addr.to_string(), "10.0.0.2:5001");
    // Removed there: the source goes, the entry stays as long as it answers.
    let now = lan.now();
    lan.nodes[finder].discovery.handle_mdns(now, MdnsEvent::Removed { instance: "x".into() });
    lan.drain(finder);
    lan.run(20_000 * MS);
    assert_eq!(lan.list(finder, 1).len(), 1);
    assert!(!lan.list(finder, 1)[0].sources().contains(Source::Mdns));
    assert_eq!(lan.events(finder, 1).iter().filter(|e| matches!(e, BrowserEvent::Found(_))).count(), 1);
}

#[test]
fn an_mdns_record_that_points_elsewhere_brings_no_packet_off_the_link_and_no_entry() {
    let mut lan = Segment::new(17, 0.0);
    lan.passes = |_| false;
    let host = lan.host(1);
    let bystander = lan.node(7);
    let finder = lan.node_with(2, |config| config.mdns = true);
    lan.run(3_000 * MS);
    lan.browse(finder, 1, SessionQuery::new());
    let before = lan.sent - lan.casts;
    for address in ["8.8.8.8", "127.0.0.1", "10.0.0.255", "224.0.0.251", "0.0.0.0"] {
        let (now, event) = (lan.now(), resolved(&lan, host, address));
        lan.nodes[finder].discovery.handle_mdns(now, event);
        lan.drain(finder);
        lan.run(5_000 * MS);
    }
    assert_eq!(lan.sent - lan.casts, before, "nothing by unicast");
    let (now, event) = (lan.now(), resolved(&lan, host, "10.0.0.8"));
    lan.nodes[finder].discovery.handle_mdns(now, event);
    lan.drain(finder);
    lan.run(30_000 * MS);
    assert!(lan.list(finder, 1).is_empty());
    let knocks = lan.nodes[bystander].heard.iter().filter(|arrival| is_probe(&arrival.bytes)).count();
    assert!(knocks <= 9, "{knocks}");
}

#[test]
fn the_port_of_our_sockets_is_registered_at_once() {
    let mut lan = Segment::new(18, 0.0);
    let host = lan.host_with(1, |config| config.mdns = true);
    let actions = &lan.nodes[host].mdns;
    assert_eq!(actions.len(), 1, "{actions:?}");
    let MdnsAction::Register { port, txt, .. } = &actions[0] else { panic!("{actions:?}") };
    assert_eq!(*port, 5_001);
    assert_eq!(txt::decode(txt).unwrap().udp_port, 40_001);
    lan.withdraw(host, GoodbyeReason::Ended);
    assert!(matches!(lan.nodes[host].mdns.last(), Some(MdnsAction::Unregister { .. })));
}
