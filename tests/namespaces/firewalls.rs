//! Row 2: a firewall drops without a word. Found wherever one way is open; where none is, the diagnosis says what was
//! sent, what was heard, and on which interface.

use std::path::Path;

use super::inside::{feed, in_namespaces};
use super::lan::{Lan, Node, in_namespace};
use super::process::{Event, Proc};
use super::rules::Drops;
use super::timing::{SECOND, pause};

/// This node's own firewall, as `nft` reads it; an empty one is none.
pub(crate) fn firewall(node: &Node, input: &str) {
    let text = format!(
        "table inet wall {{}}\ndelete table inet wall\ntable inet wall {{\nchain in {{\n\
         type filter hook input priority 0; policy accept;\niif lo accept\n{input}\n}}\n}}\n"
    );
    feed(in_namespace(node.name(), Path::new("nft")).args(["-f", "-"]), &text);
}

/// Finds nothing, and says so, with every way of `eth0`, within three seconds.
fn diagnosed(lan: &Lan) {
    let find = lan.nodes[1].client("find", &["--enough", "1", "--timeout", "2s"]);
    let diagnosis = find.expect("diagnosis", 3 * SECOND);
    assert!(diagnosis.at_ms() <= 3_000.0, "{}", diagnosis.json);
    assert_eq!(find.exit(SECOND), Some(1), "{}", find.transcript());
    let paths = diagnosis.field("/paths").as_array().expect("paths").clone();
    let of = |path: &str| {
        let one = paths.iter().find(|p| p["interface"] == "eth0" && p["path"] == path);
        one.unwrap_or_else(|| panic!("nothing of {path}: {}", diagnosis.json)).clone()
    };
    for path in ["limited broadcast", "directed broadcast", "IPv4 multicast", "IPv6 multicast"] {
        let report = of(path);
        assert!(report["sent"].as_u64() > Some(0) && report["heard"] == 0 && report["failed"] == 0, "{report}");
    }
    let advice = diagnosis.text("/advice");
    assert!(advice.contains("firewall"), "{advice}");
}

fn by_link(lan: &Lan, host: &Proc) {
    let link = host.expect("ready", SECOND).text("/link").to_owned();
    let join = lan.nodes[1].client("join", &["--link", &link, "--player", "Bob"]);
    join.expect("joined", 6 * SECOND);
}

fn found(lan: &Lan) -> Event {
    let find = lan.nodes[1].client("find", &["--enough", "1", "--timeout", "4s"]);
    let found = find.expect("found", 5 * SECOND);
    assert_eq!(found.name(), "arena");
    let join = lan.nodes[1].client("join", &["--name", "arena", "--player", "Bob"]);
    join.expect("joined", 6 * SECOND);
    join.line("leave");
    assert_eq!(join.exit(3 * SECOND), Some(0), "{}", join.transcript());
    found
}

/// The finder's firewall lets in what belongs to something it asked by unicast: nothing of a question to all. TCP is open to
/// those who have the link. (A typed address does not pass such a firewall: the answer leaves by the host's own port, not
/// by the one that was asked.)
///
/// Fails when the diagnosis counts no datagrams (`Paths::sent`).
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_02_a_firewall_at_the_finder_is_diagnosed_and_a_link_passes_it() {
    in_namespaces(60 * SECOND, || {
        let lan = Lan::new(2);
        let host = lan.nodes[0].host("arena", &[]);
        firewall(&lan.nodes[1], "ct state established accept\nmeta l4proto udp drop");
        diagnosed(&lan);
        by_link(&lan, &host);
    });
}

/// Nothing gets in at the host: no question, whoever asks. Its door is open to those who have the link.
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_02_a_firewall_at_the_host_is_diagnosed_and_its_link_passes_it() {
    in_namespaces(60 * SECOND, || {
        let lan = Lan::new(2);
        firewall(&lan.nodes[0], "meta l4proto udp drop");
        let host = lan.nodes[0].host("arena", &[]);
        pause(2_000);
        diagnosed(&lan);
        by_link(&lan, &host);
    });
}

/// Multicasts, broadcasts and multicast DNS each dropped at the finder's own firewall: the others suffice, at once.
///
/// Fails when questions go out by multicast only (`Net::ways` without broadcasts).
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_02_a_firewall_that_drops_one_kind_of_way_hides_nothing() {
    in_namespaces(90 * SECOND, || {
        let lan = Lan::new(2);
        let _host = lan.nodes[0].host("arena", &[]);
        pause(1_500);
        for (what, drops) in [
            ("multicast", &[Drops::Ipv4Multicast, Drops::Ipv6Multicast, Drops::Mdns][..]),
            ("broadcast", &[Drops::LimitedBroadcast, Drops::DirectedBroadcast]),
            ("5353", &[Drops::Mdns]),
        ] {
            lan.segment.drops(drops);
            let found = found(&lan);
            println!("without {what}: found after {:.1} ms", found.at_ms());
            assert!(found.at_ms() <= 1_000.0, "without {what}: {}", found.json);
        }
    });
}
