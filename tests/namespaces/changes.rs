//! Rows 6, 9 and 18: one entry whatever the ways, links that go and come, and a join that means one session.

use std::time::Instant;

use super::inside::{SCRATCH, in_namespaces};
use super::lan::{Lan, Node, Segment};
use super::player;
use super::process::{Event, Proc};
use super::rules::Drops;
use super::timing::{SECOND, Times, pause};

/// Two machines with three interfaces each, both families, mDNS and beacons: one found, however long one looks. A new
/// address is an update, a new run of the host is a new session. (Of the two families of one interface the entry may name
/// only the one that was heard first.)
///
/// Fails when the address that an advert came from is part of an entry's key (`Directory::handle_advert`).
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_06_three_interfaces_both_families_and_both_ways_make_one_entry() {
    in_namespaces(120 * SECOND, || {
        let segments: Vec<Segment> = (0..3).map(|at| Segment::new(at, 24)).collect();
        let (here, there) = (Node::new("here"), Node::new("there"));
        for (at, segment) in segments.iter().enumerate() {
            segment.plug(&here, &format!("eth{at}"));
            segment.plug(&there, &format!("eth{at}"));
        }
        [&here, &there].into_iter().for_each(Node::settle);
        let browse = there.client("browse", &[]);
        pause(1_000);
        let host = here.host("arena", &["--control-port", "40123"]);
        let on = |event: &Event, start: &str| {
            let all = event.field("/session/addresses").as_array().expect("addresses");
            all.iter().any(|a| a.as_str().is_some_and(|a| a.starts_with(start)))
        };
        browse.until("an entry with all addresses and both sources", 15 * SECOND, |events| {
            let fits = |e: &&Event| {
                e.json.get("session").is_some()
                    && ["10.50.", "10.51.", "10.52."].iter().all(|start| on(e, start))
                    && e.sources() == ["beacon", "mdns"]
            };
            events.iter().find(fits).map(|_| ())
        });
        pause(3_000);
        assert_eq!((browse.all("found").len(), browse.all("lost").len()), (1, 0), "{}", browse.transcript());

        // Another address on one of them.
        let moved = Instant::now();
        here.batch("addr del 10.51.0.1/24 dev eth1\naddr add 10.51.0.77/24 brd + dev eth1\n");
        browse.expect_where("updated", moved, 10 * SECOND, |e| on(e, "10.51.0.77:"));
        assert_eq!((browse.all("found").len(), browse.all("lost").len()), (1, 0), "{}", browse.transcript());

        // The same name on the same port, once more.
        let old = host.expect("ready", SECOND).id().to_owned();
        let killed = host.signal("KILL");
        assert_eq!(host.exit(SECOND), None);
        let again = here.host("arena", &["--control-port", "40123"]);
        let new = again.expect("ready", SECOND).id().to_owned();
        assert_ne!(old, new);
        browse.expect_where("lost", killed, 9 * SECOND, |e| e.id() == old);
        let found = browse.expect_where("found", killed, 9 * SECOND, |_| true);
        assert_eq!(found.id(), new);
        pause(2_000);
        assert_eq!((browse.all("found").len(), browse.all("lost").len()), (2, 1), "{}", browse.transcript());
    });
}

/// When a list has a session again: found anew, or never lost and confirmed.
fn seen(browse: &Proc, name: &str, since: Instant) -> Instant {
    let is = |e: &Event| e.json.pointer("/session/name").is_some_and(|n| n == name);
    let end = Instant::now() + 12 * SECOND;
    loop {
        let events = browse.events();
        let id = events.iter().rev().find(|e| is(e)).map(|e| e.id().to_owned());
        let mine = |e: &&Event| e.json.pointer("/session/id").and_then(|i| i.as_str()) == id.as_deref();
        let last = events.iter().rev().find(mine);
        if let Some(last) = last.filter(|e| e.kind != "lost" && e.field("/session/confirmed") == true) {
            return last.at.max(since);
        }
        assert!(Instant::now() < end, "{name} is not seen again: {}", browse.transcript());
        pause(20);
    }
}

/// Five hosts, each with a trouble of its own, and one list: a link that is down for a second, one that is down for half a
/// minute, a new address, an interface that comes after the start, a process that is stopped for a minute. Each is seen
/// again within six seconds after its trouble is over. (Minutes of a link that is down pass on the virtual LAN.)
///
/// Fails when the interfaces are listed once at the start (`driver::turn`).
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_09_links_addresses_and_processes_that_went_away_are_seen_again_within_6_s() {
    in_namespaces(150 * SECOND, || {
        let lan = Lan::new(6);
        let late = Node::new("late");
        let names = ["blink", "pulled", "moved", "stopped"];
        let hosts: Vec<Proc> = names.iter().zip(&lan.nodes).map(|(name, node)| node.host(name, &[])).collect();
        let unplugged = late.host("late", &[]);
        let browse = lan.nodes[5].client("browse", &[]);
        for name in names {
            seen(&browse, name, browse.started);
        }
        pause(2_000);
        let stopped = hosts[3].signal("STOP");
        lan.nodes[1].batch("link set eth0 down\n");
        let pulled = Instant::now();
        let mut times = Times::default();
        let mut back = |name: &str, over: Instant| {
            let at = seen(&browse, name, over);
            println!("{name}: seen {:?} after it was over", at.saturating_duration_since(over));
            times.between(over, at);
        };

        lan.nodes[0].batch("link set eth0 down\n");
        pause(1_000);
        lan.nodes[0].batch("link set eth0 up\n");
        back("blink", Instant::now());

        lan.nodes[2].batch("addr flush dev eth0 scope global\naddr add 10.50.0.99/24 brd + dev eth0\n");
        let moved = Instant::now();
        let at = browse.until("the new address", 8 * SECOND, |events| {
            let new = |e: &&Event| e.json.to_string().contains("10.50.0.99:");
            events.iter().find(new).map(|e| e.at)
        });
        println!("moved: seen at its new address after {:?}", at.saturating_duration_since(moved));
        assert!(at.saturating_duration_since(moved) <= 6 * SECOND);

        lan.segment.plug(&late, "eth0");
        back("late", Instant::now());

        pause(u64::try_from(30_000_u128.saturating_sub(pulled.elapsed().as_millis())).expect("less than 30 s"));
        lan.nodes[1].batch("link set eth0 up\n");
        back("pulled", Instant::now());

        pause(u64::try_from(60_000_u128.saturating_sub(stopped.elapsed().as_millis())).expect("less than 60 s"));
        let over = hosts[3].signal("CONT");
        browse.expect_where("lost", stopped, SECOND, |e| e.id() == hosts[3].expect("ready", SECOND).id());
        back("stopped", over);
        times.all_within("seen again", 6_000.0);
        drop(unplugged);
    });
}

/// The wall clock of a game that hosts and browses goes a day forth, and a day back: nothing is lost, and what comes then
/// is found.
///
/// Fails when the engine's time is the wall clock (`driver::clock`).
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_09_a_wall_clock_that_moves_a_day_loses_nothing() {
    in_namespaces(60 * SECOND, || {
        let lan = Lan::new(3);
        let orders = std::path::PathBuf::from(format!("{SCRATCH}/clock"));
        let order = |text: &str| {
            std::fs::write(orders.with_extension("part"), text).expect("a scratch file");
            std::fs::rename(orders.with_extension("part"), &orders).expect("a scratch file");
        };
        order("nothing");
        let game = player::start(&lan.nodes[0], "game", &orders, 60);
        let browse = lan.nodes[1].client("browse", &[]);
        seen(&browse, "game", browse.started);
        let lists = |name: &str, since: Instant| {
            let has = |e: &Event| e.field("/names").as_array().is_some_and(|all| all.iter().any(|n| n == name));
            game.expect_where("list", since, 6 * SECOND, has)
        };
        for (at, moved) in ["clock 86400", "clock -86400"].into_iter().enumerate() {
            let since = Instant::now();
            order(moved);
            pause(7_000);
            let name = format!("new{at}");
            let _new = lan.nodes[2].host(&name, &[]);
            lists(&name, since);
        }
        assert!(
            browse.all("lost").iter().all(|e| e.id() != game.expect("ready", SECOND).text("/id")),
            "{}",
            browse.transcript()
        );
        assert!(game.all("trouble").is_empty() && game.all("log").is_empty(), "{}", game.transcript());
    });
}

/// Thirty joins of a full session over a link that loses a fifth of all frames: each ends with the host's word, none with a
/// mere broken connection; and none comes back by itself.
///
/// Fails when the host closes without waiting for its last words (`Action::Close { flush: false }`).
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_18_a_refusal_is_delivered_before_the_close_at_a_fifth_of_loss() {
    in_namespaces(120 * SECOND, || {
        let lan = Lan::new(4);
        let host = lan.nodes[0].host("arena", &["--player", "Ada", "--max-members", "1"]);
        let link = host.expect("ready", SECOND).text("/link").to_owned();
        lan.segment.drops(&[Drops::Percent(20)]);
        let (mut refused, mut unreached) = (0, 0);
        for _ in 0..5 {
            let joins: Vec<Proc> =
                (0..6).map(|at| lan.nodes[1 + at % 3].client("join", &["--link", &link, "--player", "Bob"])).collect();
            for join in &joins {
                let reason = join.expect("refused", 15 * SECOND).text("/reason").to_owned();
                assert_eq!(join.exit(3 * SECOND), Some(3), "{}", join.transcript());
                match reason.as_str() {
                    "join.full" => refused += 1,
                    // No packet of the dial came through in its time.
                    "join.host_unreachable" | "join.timed_out" => unreached += 1,
                    other => panic!("{other}: {}", join.transcript()),
                }
            }
        }
        println!("{refused} of 30 were told, {unreached} were not reached");
        assert!(refused >= 24, "{refused} of 30 were told");
        assert!(host.newcomers().is_empty(), "{}", host.transcript());
    });
}

/// A host is killed and another session starts on the same address and port: who comes with the old one's link is refused.
///
/// Fails when the dialler does not check the host's key: the host, which looks at the session that a join names, then says
/// `join.not_found`.
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_18_a_join_names_its_session_and_a_new_one_on_the_same_port_refuses_it() {
    in_namespaces(60 * SECOND, || {
        let lan = Lan::new(2);
        let old = lan.nodes[0].host("old", &["--control-port", "40123"]);
        let link = old.expect("ready", SECOND).text("/link").to_owned();
        old.signal("KILL");
        assert_eq!(old.exit(SECOND), None);
        let new = lan.nodes[0].host("new", &["--control-port", "40123"]);
        let join = lan.nodes[1].client("join", &["--link", &link, "--player", "Bob"]);
        let reason = join.expect("refused", 15 * SECOND).text("/reason").to_owned();
        // It never gets so far as to ask: the door shows another key than the link names.
        assert_eq!(reason, "join.host_unreachable", "{}", join.transcript());
        assert_eq!(join.exit(3 * SECOND), Some(3), "{}", join.transcript());
        assert!(new.newcomers().is_empty(), "{}", new.transcript());
    });
}
