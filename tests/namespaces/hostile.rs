//! Hostile load on real sockets (issue 4, acceptance 5; pains 10 and 23): the host goes on serving, finders keep what is
//! real, and neither grows. The figures of the README's "Under attack" are what these tests print.

use super::attack::{self, Flood, KINDS};
use super::helper;
use super::inside::in_namespaces;
use super::lan::{Lan, Node};
use super::process::Proc;
use super::timing::{SECOND, Times, pause, quiet};
use super::usage::{Usage, received};

const PORT: &str = "40123";
/// What memory may grow by under any attack here, in KiB.
const GROWTH: u64 = 32 << 10;
/// To everybody on the link, and to the host alone.
const BOTH: &str = "10.50.0.255:29417,10.50.0.1:29417";

fn door() -> String {
    format!("10.50.0.1:{PORT}")
}

/// A find of a process that was just started: to the entry, from its start.
fn find(node: &Node) -> f64 {
    let find = node.client("find", &["--filter", "real == true", "--enough", "1", "--timeout", "5s"]);
    let at = find.until("an end", 8 * SECOND, |events| {
        events.iter().find(|e| e.kind == "found" || e.kind == "diagnosis").map(super::process::Event::at_ms)
    });
    find.exit(5 * SECOND);
    at
}

/// A join of a process that was just started: found and seated, from its start.
fn join(node: &Node) -> f64 {
    let join = node.client("join", &["--name", "arena", "--player", "Bob", "--timeout", "8s"]);
    let joined = join.expect("joined", 10 * SECOND);
    join.line("leave");
    assert_eq!(join.exit(5 * SECOND), Some(0), "{}", join.transcript());
    joined.at_ms()
}

fn arena(node: &Node, words: &[&str]) -> Proc {
    let all = [&["--control-port", PORT, "--max-members", "16", "--attr", "real=true"], words].concat();
    node.host("arena", &all)
}

/// `of` in a hundred are at most `limit` milliseconds.
fn most_within(what: &str, times: &Times, limit: f64, of: usize) {
    let (good, all) = (times.within(limit), times.len());
    println!("{what}: {times}; within {limit} ms: {good} of {all}");
    assert!(good * 100 >= all * of, "{what}: {times}; only {good} of {all} within {limit} ms");
}

/// A member serves to see whether the host goes on serving: it is told of each change.
fn serves(host: &Proc, member: &Proc, number: usize) {
    let at = host.line(&format!("set round={number}"));
    member.expect_where("settings_changed", at, 2 * SECOND, |_| true);
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn acceptance_5_20000_forged_datagrams_a_second_and_1000_half_open_connections() {
    in_namespaces(400 * SECOND, || {
        let lan = Lan::new(5);
        let [host_node, browsing, player, attacker, second] = &lan.nodes[..] else { unreachable!() };
        let host = arena(host_node, &[]);
        let browser = browsing.client("browse", &[]);
        browser.expect("found", 5 * SECOND);
        let sample = attack::sample(attacker, "10.50.0.1");
        quiet();
        let (mut finds, mut joins) = (Times::default(), Times::default());
        for _ in 0..10 {
            finds.add(find(player));
            joins.add(join(player));
        }
        println!("without an attack: find {finds}");
        println!("without an attack: find and join {joins}");

        let before = (Usage::of(&host), Usage::of(&browser));
        let flood = Flood { kinds: KINDS, per_second: 20_000, seconds: 300, spoofed: true, to: BOTH };
        let flood = attack::datagrams(attacker, flood, &sample);
        let _half = attack::syns(second, &door(), 1_000, 300);
        let held = helper::flood(second, door().parse().expect("an address"), 1_000, 300);
        held.expect("flooded", 20 * SECOND);
        pause(2_000);
        let (begun, early) = (received(host_node), Usage::of(&host));
        let sent = |proc: &Proc| {
            let last = proc.all("sent").pop().expect("a count");
            (last.number("/count"), last.number("/ms"))
        };
        let from = sent(&flood);
        let (mut finds, mut joins) = (Times::default(), Times::default());
        for _ in 0..100 {
            finds.add(find(player));
            joins.add(join(player));
        }
        let (to, ended) = (sent(&flood), received(host_node));
        let after = (Usage::of(&host), Usage::of(&browser));
        let rate = (to.0 - from.0) as f64 / (to.1 - from.1) as f64 * 1e3;
        println!(
            "{rate:.0} datagrams a second were sent; {} reached the host's sockets, {} found one full",
            ended.0 - begun.0,
            ended.1 - begun.1
        );
        println!("find: {finds}\njoin: {joins}");
        println!("the host used {:.0} % of a core", after.0.cores_since(&early));
        println!(
            "memory: host {} KiB, {} more; finder {} KiB, {} more",
            after.0.memory,
            after.0.growth_since(&before.0),
            after.1.memory,
            after.1.growth_since(&before.1)
        );
        assert!(rate >= 18_000.0, "the attacker sent only {rate:.0} a second");
        most_within("find under attack", &finds, 100.0, 95);
        most_within("find and join under attack", &joins, 300.0, 95);
        assert!(after.0.growth_since(&before.0) < GROWTH && after.1.growth_since(&before.1) < GROWTH);
        assert!(browser.all("lost").is_empty(), "{}", browser.transcript());
        assert_eq!(browser.all("found").len(), 1, "{}", browser.transcript());
    });
}
