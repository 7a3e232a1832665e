//! Hostile load on real sockets (issue 4, acceptance 5; pains 10 and 23): the host goes on serving, finders keep what is
//! real, and neither grows. The figures of the README's "Under attack" are what these tests print.

use super::attack::{self, BEACON, Flood, KINDS};
use super::capture::{Capture, Transport};
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

/// It failed while hosts were counted unverified (answers were put off for seconds or for good), while echoes of known keys
/// shared the budget of forgeries in their name (71 finds of 100), and while a crowd of questions silenced a finder that
/// nobody had answered, few slots held the limits and the listener's backlog was 128 (85 finds of 100, joins of 3 s).
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
            pause(250);
            finds.add(find(player));
            pause(250);
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
            // One address gets ten answers a second; nobody looks for sessions more often.
            pause(250);
            finds.add(find(player));
            pause(250);
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

/// Fakes with good signatures, under keys made for it, that copy the real session's name and facts. Fails when a question
/// for one session waits in the window of all the hosts that there seem to be: it was not found within 5 s.
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_23_a_flood_of_fake_hosts_fills_no_memory_and_displaces_no_real_one() {
    in_namespaces(180 * SECOND, || {
        let lan = Lan::new(5);
        let [host_node, browsing, player, attacker, _] = &lan.nodes[..] else { unreachable!() };
        let host = arena(host_node, &[]);
        let id = host.expect("ready", SECOND).id().to_owned();
        let browser = browsing.client("browse", &[]);
        browser.expect("found", 5 * SECOND);
        let sample = attack::sample(attacker, "10.50.0.1");
        pause(1_000);
        let before = (Usage::of(&host), Usage::of(&browser));
        let fakes = Flood { kinds: "valid,forged", per_second: 4_000, seconds: 60, spoofed: true, to: BOTH };
        let _flood = attack::datagrams(attacker, fakes, &sample);
        let mut joins = Times::default();
        for _ in 0..20 {
            pause(700);
            let join = player.client("join", &["--id", &id, "--player", "Bob", "--timeout", "8s"]);
            joins.add(join.expect("joined", 10 * SECOND).at_ms());
            join.line("leave");
            assert_eq!(join.exit(5 * SECOND), Some(0), "{}", join.transcript());
        }
        let after = (Usage::of(&host), Usage::of(&browser));
        let (mut listed, mut most) = (0_usize, 0);
        for event in browser.events() {
            match event.kind.as_str() {
                "found" => listed += 1,
                "lost" => listed -= 1,
                _ => {}
            }
            most = most.max(listed);
        }
        println!("join by id among fakes: {joins}; at most {most} sessions were listed");
        println!(
            "memory: host {} KiB more, finder {} KiB more",
            after.0.growth_since(&before.0),
            after.1.growth_since(&before.1)
        );
        assert!((100..=4_096).contains(&most), "{most} listed");
        let lost = browser.all("lost");
        assert!(lost.iter().all(|event| event.id() != id), "the real one was lost");
        assert!(after.0.growth_since(&before.0) < GROWTH && after.1.growth_since(&before.1) < GROWTH);
        assert!(joins.within(1_000.0) * 100 >= joins.len() * 95, "{joins}");
    });
}

/// TLS garbage, whole handshakes with fresh keys and then silence, garbage, half a frame or a message without end: each for
/// a while, four connections at a time.
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn floods_of_joins_that_are_none_keep_no_joiner_out_and_disturb_no_member() {
    in_namespaces(240 * SECOND, || {
        let lan = Lan::new(4);
        let [host_node, player, sitting, attacker] = &lan.nodes[..] else { unreachable!() };
        let host = arena(host_node, &["--no-mdns"]);
        let member = sitting.client("join", &["--name", "arena", "--player", "Zed"]);
        member.expect("joined", 5 * SECOND);
        pause(1_000);
        let before = Usage::of(&host);
        for (round, how) in ["noise", "silence", "garbage", "cut", "big"].into_iter().enumerate() {
            let flood = attack::joins(attacker, &door(), how, 4, 8);
            let begun = Usage::of(&host);
            let mut joins = Times::default();
            for _ in 0..10 {
                joins.add(join(player));
                pause(100);
            }
            serves(&host, &member, round);
            println!("{how}: the host used {:.0} % of a core", Usage::of(&host).cores_since(&begun));
            most_within(&format!("find and join beside `{how}`"), &joins, 500.0, 90);
            flood.exit(15 * SECOND);
            let done: u64 = flood.all("sent").iter().map(|event| event.number("/count")).sum();
            println!("{how}: {done} connections");
            assert!(done > 50, "{}", flood.transcript());
        }
        let growth = Usage::of(&host).growth_since(&before);
        println!("memory: host {growth} KiB more");
        assert!(growth < GROWTH, "{growth} KiB");
        assert_eq!(host.newcomers().len(), 51, "nobody else had a seat: {}", host.transcript());
    });
}

/// Fails when the daemon's cache is looked at every 10 s only: 20 MiB were seen then.
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn a_flood_of_mdns_replies_fills_no_memory_and_hides_no_session() {
    in_namespaces(120 * SECOND, || {
        let lan = Lan::new(4);
        let [host_node, browsing, player, attacker] = &lan.nodes[..] else { unreachable!() };
        let host = arena(host_node, &[]);
        let browser = browsing.client("browse", &[]);
        browser.expect("found", 5 * SECOND);
        pause(1_000);
        let before = (Usage::of(&host), Usage::of(&browser));
        let _flood = attack::mdns(attacker, 3_000, 30);
        let (mut finds, mut most) = (Times::default(), (0, 0));
        for _ in 0..25 {
            pause(1_000);
            finds.add(find(player));
            let now = (Usage::of(&host), Usage::of(&browser));
            most.0 = most.0.max(now.0.growth_since(&before.0));
            most.1 = most.1.max(now.1.growth_since(&before.1));
        }
        println!("memory under mDNS replies: host at most {} KiB more, finder at most {} KiB more", most.0, most.1);
        most_within("find beside a flood of mDNS replies", &finds, 100.0, 90);
        assert!(most.0 < GROWTH / 2 && most.1 < GROWTH / 2, "{most:?}");
        assert!(browser.all("lost").is_empty(), "{}", browser.transcript());
    });
}

/// Fails when the sockets of interfaces keep the system's hop limit.
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn what_goes_to_the_link_has_one_hop() {
    in_namespaces(60 * SECOND, || {
        let lan = Lan::new(3);
        let capture = Capture::start(&lan.segment);
        let _host = arena(&lan.nodes[0], &["--no-mdns"]);
        let browser = lan.nodes[1].client("browse", &["--no-mdns"]);
        browser.expect("found", 5 * SECOND);
        join(&lan.nodes[2]);
        // Long enough for beacons, and for a probe of what has fallen silent.
        pause(6_000);
        let packets = capture.stop();
        let ours = |packet: &&super::capture::Packet| packet.transport == Transport::Udp && packet.target_port != 5353;
        let datagrams: Vec<_> = packets.iter().filter(ours).collect();
        let of = |shared: bool| datagrams.iter().filter(|packet| (packet.target_port == BEACON) == shared).count();
        assert!(of(true) >= 4 && of(false) >= 1, "{} and {}", of(true), of(false));
        assert!(datagrams.iter().all(|packet| packet.hops == 1), "{datagrams:?}");
    });
}
