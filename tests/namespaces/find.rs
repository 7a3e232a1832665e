//! Line 2: how soon a cold `find` sees a session, by beacons, by mDNS, and by both at once (pains 6).

use super::inside::in_namespaces;
use super::lan::Lan;
use super::timing::{SECOND, Times, pause, quiet};

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_2_a_cold_find_by_beacons_alone_takes_10_ms_in_the_median_of_20() {
    in_namespaces(240 * SECOND, || {
        let lan = Lan::new(2);
        let _host = lan.nodes[0].host("arena", &["--no-mdns"]);
        pause(2_000);
        let (mut inside, mut outside) = (Times::default(), Times::default());
        for _ in 0..20 {
            lan.nodes.iter().for_each(super::lan::Node::forget_neighbours);
            quiet();
            let find = lan.nodes[1].client("find", &["--enough", "1", "--no-mdns", "--timeout", "2s"]);
            let found = find.expect("found", 3 * SECOND);
            assert_eq!(found.name(), "arena");
            inside.add(found.at_ms());
            outside.between(find.started, found.at);
            assert_eq!(find.exit(3 * SECOND), Some(0), "{}", find.transcript());
            pause(500);
        }
        println!("for information, from outside, with the start of the process: {outside}");
        inside.median_within("cold find, beacons only", 10.0);
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_2_a_cold_find_by_mdns_alone_takes_1_s() {
    in_namespaces(120 * SECOND, || {
        let lan = Lan::new(2);
        let _host = lan.nodes[0].host("arena", &["--no-beacon"]);
        pause(4_000);
        let mut times = Times::default();
        for _ in 0..5 {
            quiet();
            let find = lan.nodes[1].client("find", &["--enough", "1", "--no-beacon", "--timeout", "5s"]);
            let found = find.expect("found", 6 * SECOND);
            assert_eq!((found.name(), found.sources().contains(&"mdns")), ("arena", true), "{}", found.json);
            times.add(found.at_ms());
            pause(3_000);
        }
        times.all_within("cold find, mDNS only", 1_000.0);
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_2_by_mdns_alone_two_hosts_on_one_machine_are_both_found() {
    in_namespaces(60 * SECOND, || {
        let lan = Lan::new(2);
        let _arena = lan.nodes[0].host("arena", &["--no-beacon"]);
        let _castle = lan.nodes[0].host("castle", &["--no-beacon"]);
        pause(3_000);
        // From another machine, and from their own.
        for node in [1, 0] {
            let find = lan.nodes[node].client("find", &["--enough", "2", "--no-beacon", "--timeout", "5s"]);
            assert_eq!(find.exit(8 * SECOND), Some(0), "{}", find.transcript());
            let found = find.all("found");
            let mut names: Vec<&str> = found.iter().map(|found| found.name()).collect();
            names.sort_unstable();
            assert_eq!(names, ["arena", "castle"], "from {node}: {}", find.transcript());
        }
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_2_pain_06_by_both_there_is_one_entry_with_both_sources() {
    in_namespaces(60 * SECOND, || {
        let lan = Lan::new(2);
        let _host = lan.nodes[0].host("arena", &[]);
        let browse = lan.nodes[1].client("browse", &[]);
        browse.until("an entry with both sources", 8 * SECOND, |events| {
            events.iter().filter(|e| e.json.get("session").is_some()).find(|e| {
                let sources = e.sources();
                sources.contains(&"beacon") && sources.contains(&"mdns")
            })?;
            Some(())
        });
        pause(4_000);
        let found = browse.all("found");
        assert_eq!(found.len(), 1, "one entry: {}", browse.transcript());
        assert!(browse.all("lost").is_empty(), "{}", browse.transcript());
        // Both families led to that one entry, and a one-shot find lists it once, too.
        let find = lan.nodes[1].client("find", &["--timeout", "2s"]);
        assert_eq!(find.exit(6 * SECOND), Some(0), "{}", find.transcript());
        assert_eq!(find.all("found").len(), 1, "{}", find.transcript());
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_02_a_find_that_finds_nothing_says_why_and_exits_1() {
    in_namespaces(60 * SECOND, || {
        let lan = Lan::new(2);
        let find = lan.nodes[1].client("find", &["--timeout", "1s"]);
        assert_eq!(find.exit(4 * SECOND), Some(1), "{}", find.transcript());
        let said = find.stderr();
        assert!(said.contains("eth0") && said.lines().count() > 1, "the diagnosis names interface and paths: {said}");
    });
}
