//! Line 6: each way alone suffices (pain 4), and one dead interface silences no other (pain 1).

use super::inside::in_namespaces;
use super::lan::{Lan, Node, Segment};
use super::process::Proc;
use super::rules::{Drops, PATHS};
use super::timing::{SECOND, pause};

/// Only `path` passes: the session is found by it, in `limit_ms`, and joined.
fn suffices(lan: &Lan, path: Drops, limit_ms: f64) {
    let others: Vec<Drops> = PATHS.into_iter().filter(|other| *other != path).collect();
    lan.segment.drops(&others);
    let host = lan.nodes[0].host("arena", &[]);
    pause(2_500);
    let find = lan.nodes[1].client("find", &["--enough", "1", "--timeout", "6s"]);
    let found = find.expect("found", 8 * SECOND);
    println!("{path:?} alone: found after {:.1} ms", found.at_ms());
    assert!(found.at_ms() <= limit_ms, "{path:?} alone took {:.1} ms", found.at_ms());
    assert_eq!(found.name(), "arena");
    let join = lan.nodes[1].client("join", &["--name", "arena", "--player", "Bob"]);
    join.expect("joined", 8 * SECOND);
    join.line("leave");
    assert_eq!(join.exit(3 * SECOND), Some(0), "{}", join.transcript());
    host.line("quit");
    assert_eq!(host.exit(3 * SECOND), Some(0), "{}", host.transcript());
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_6_pain_04_limited_broadcast_alone_suffices() {
    in_namespaces(60 * SECOND, || suffices(&Lan::new(2), Drops::LimitedBroadcast, 1_000.0));
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_6_pain_04_directed_broadcast_alone_suffices() {
    in_namespaces(60 * SECOND, || suffices(&Lan::new(2), Drops::DirectedBroadcast, 1_000.0));
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_6_pain_04_directed_broadcast_alone_suffices_in_a_16() {
    in_namespaces(60 * SECOND, || suffices(&Lan::masked(2, 16), Drops::DirectedBroadcast, 1_000.0));
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_6_pain_04_directed_broadcast_alone_suffices_in_a_25() {
    in_namespaces(60 * SECOND, || suffices(&Lan::masked(2, 25), Drops::DirectedBroadcast, 1_000.0));
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_6_pain_04_ipv4_multicast_alone_suffices() {
    in_namespaces(60 * SECOND, || suffices(&Lan::new(2), Drops::Ipv4Multicast, 1_000.0));
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_6_pain_04_ipv6_multicast_alone_suffices() {
    in_namespaces(60 * SECOND, || suffices(&Lan::new(2), Drops::Ipv6Multicast, 1_000.0));
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_6_pain_04_mdns_alone_suffices() {
    in_namespaces(60 * SECOND, || suffices(&Lan::new(2), Drops::Mdns, 3_000.0));
}

/// By a typed address, by a link, and by the same link once more, which is what a list of recent hosts keeps (the list
/// itself: `tests/browser.rs`).
///
/// Fails when typed addresses are not asked by unicast (`Finder::ask_targets`), and when a link's addresses are not dialled
/// where its session was not found (`Engine::joins_due`).
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_14_where_all_five_are_dropped_a_typed_address_and_a_link_suffice() {
    in_namespaces(60 * SECOND, || {
        let lan = Lan::new(2);
        lan.segment.drops(&PATHS);
        let host = lan.nodes[0].host("arena", &[]);
        let none = lan.nodes[1].client("find", &["--timeout", "1s"]);
        assert_eq!(none.exit(5 * SECOND), Some(1), "{}", none.transcript());
        let find = lan.nodes[1].client("find", &["--at", "10.50.0.1", "--enough", "1", "--timeout", "3s"]);
        let found = find.expect("found", 4 * SECOND);
        assert!(found.sources().contains(&"direct"), "{}", found.json);
        let link = host.expect("ready", SECOND).text("/link").to_owned();
        let typed = ["--at", "10.50.0.1", "--name", "arena"];
        for words in [&typed[..], &["--link", &link], &["--link", &link]] {
            let join = lan.nodes[1].client("join", &[words, &["--player", "Bob"]].concat());
            let joined = join.expect("joined", 5 * SECOND);
            println!("{}: joined after {:.1} ms", words[0], joined.at_ms());
            join.line("leave");
            assert_eq!(join.exit(3 * SECOND), Some(0), "{}", join.transcript());
        }
    });
}

/// One node with a dead interface that every route prefers and three live ones, and one node on each of those.
struct Star {
    centre: Node,
    rays: Vec<Node>,
    _segments: Vec<Segment>,
}

fn star() -> Star {
    let centre = Node::new("centre");
    let segments: Vec<_> = (0..3).map(|at| Segment::new(at, 24)).collect();
    let first = &segments[0];
    first.plug_dead(&centre, "dead0");
    centre.default_route("dead0");
    let rays: Vec<_> = (0..3).map(|at| Node::new(&format!("ray{at}"))).collect();
    for (at, (segment, ray)) in segments.iter().zip(&rays).enumerate() {
        segment.plug(&centre, &format!("eth{at}"));
        segment.plug(ray, "eth0");
        ray.default_route("eth0");
    }
    centre.settle();
    rays.iter().for_each(Node::settle);
    Star { centre, rays, _segments: segments }
}

/// Fails when only the first interface is used (`Discovery::handle_interfaces`).
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_6_pain_01_a_host_with_a_dead_preferred_interface_is_found_on_each_live_one() {
    in_namespaces(60 * SECOND, || {
        let star = star();
        let _host = star.centre.host("arena", &["--no-mdns"]);
        pause(1_500);
        for (at, ray) in star.rays.iter().enumerate() {
            let find = ray.client("find", &["--enough", "1", "--no-mdns", "--timeout", "4s"]);
            let found = find.expect("found", 5 * SECOND);
            println!("on interface {at}: {:.1} ms", found.at_ms());
            assert!(found.at_ms() <= 1_000.0, "{}", found.json);
            let join = ray.client("join", &["--name", "arena", "--no-mdns", "--player", "Bob"]);
            join.expect("joined", 5 * SECOND);
        }
    });
}

/// Fails when questions leave by the first interface only (`Net::ways`).
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_6_pain_01_a_finder_with_a_dead_preferred_interface_finds_on_each_live_one() {
    in_namespaces(60 * SECOND, || {
        let star = star();
        let _hosts: Vec<Proc> =
            star.rays.iter().enumerate().map(|(at, ray)| ray.host(&format!("h{at}"), &["--no-mdns"])).collect();
        pause(1_500);
        let find = star.centre.client("find", &["--enough", "3", "--no-mdns", "--timeout", "4s"]);
        assert_eq!(find.exit(6 * SECOND), Some(0), "{}", find.transcript());
        let found = find.all("found");
        let mut names: Vec<&str> = found.iter().map(super::process::Event::name).collect();
        names.sort_unstable();
        assert_eq!(names, ["h0", "h1", "h2"], "{}", find.transcript());
        assert!(found.iter().all(|e| e.at_ms() <= 1_000.0), "{}", find.transcript());
    });
}
