//! Line 5: filters at the host, and filters, order, take and enough over real sockets.

use std::path::Path;

use super::capture::{Capture, Transport};
use super::inside::{feed, in_namespaces};
use super::lan::{Lan, Node};
use super::process::Proc;
use super::timing::{SECOND, pause};

/// The hardware address of the node's `eth0`.
fn hardware(node: &Node) -> [u8; 6] {
    let text = feed(node.command(Path::new("ip")).args(["-o", "link", "show", "eth0"]), "");
    let word = text.split("link/ether ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an address");
    let bytes: Vec<u8> = word.split(':').map(|pair| u8::from_str_radix(pair, 16).expect("hex")).collect();
    bytes.try_into().expect("six bytes")
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_5_a_definitely_false_filter_draws_no_answer() {
    in_namespaces(60 * SECOND, || {
        let lan = Lan::new(3);
        let _no = lan.nodes[1].host("no", &["--attr", "map=dust", "--no-mdns"]);
        let _yes = lan.nodes[2].host("yes", &["--attr", "map=nuke", "--no-mdns"]);
        pause(3_000); // the announcements are over
        let capture = Capture::start(&lan.segment);
        let find = lan.nodes[0].client("find", &["--filter", "map == \"nuke\"", "--timeout", "1s", "--no-mdns"]);
        assert_eq!(find.exit(4 * SECOND), Some(0), "{}", find.transcript());
        let packets = capture.stop();
        assert_eq!(find.all("found").iter().map(|e| e.name().to_owned()).collect::<Vec<_>>(), ["yes"]);
        // Neither host beacons in this second: the first beacon after a question comes after 3.2 s at the soonest.
        let sent_by = |node: &Node| {
            let hardware = hardware(node);
            packets.iter().filter(|p| p.transport == Transport::Udp && p.source_hardware == hardware).count()
        };
        assert!(sent_by(&lan.nodes[0]) > 0, "the capture shows the question");
        assert!(sent_by(&lan.nodes[2]) > 0, "the capture shows the answer of the host that fits");
        assert_eq!(sent_by(&lan.nodes[1]), 0, "the host that does not fit is silent");
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_5_filters_order_take_and_enough_are_honoured() {
    in_namespaces(120 * SECOND, || {
        let lan = Lan::new(6);
        let rooms: [(&str, &[&str]); 5] = [
            ("a", &["--attr", "map=dust", "--attr", "skill=100", "--max-members", "4", "--keyword", "Casual"]),
            ("b", &["--attr", "map=nuke", "--attr", "skill=900", "--max-members", "2", "--keyword", "ranked"]),
            ("c", &["--attr", "map=dust", "--attr", "skill=1250", "--max-members", "8", "--attr", "pi=3.5"]),
            ("d", &["--attr", "map=mill", "--attr", "skill=2000", "--max-members", "16", "--attr", "hard=true"]),
            ("e", &["--attr", "skill=\"1200\"", "--max-members", "3"]),
        ];
        let _hosts: Vec<Proc> =
            rooms.iter().enumerate().map(|(at, (name, words))| lan.nodes[at + 1].host(name, words)).collect();
        let find = |words: &[&str]| -> Vec<String> {
            let find = lan.nodes[0].client("find", words);
            let code = find.exit(8 * SECOND);
            let found: Vec<String> = find.all("found").iter().map(|e| e.name().to_owned()).collect();
            assert_eq!(code, Some(i32::from(found.is_empty())), "{}", find.transcript());
            pause(400);
            found
        };
        let filter = |text: &str| -> String {
            let mut names = find(&["--filter", text, "--timeout", "1s"]);
            names.sort();
            names.concat()
        };
        assert_eq!(filter("map == \"dust\""), "ac");
        assert_eq!(filter("map != 'dust'"), "bde", "a missing key matches only !=, not in, missing");
        assert_eq!(filter("skill >= 900 and skill < 2000"), "bc", "a value of another type is as missing");
        assert_eq!(filter("map in ['nuke', 'mill'] or map missing"), "bde");
        assert_eq!(filter("not (map in ['nuke', 'mill'])"), "ace");
        assert_eq!(filter("pi > 3 or hard == true"), "cd");
        assert_eq!(filter("map prefix 'mi' or map contains 'us'"), "acd");
        assert_eq!(filter("@max_members >= 4 and @open_slots > 0"), "acd");
        assert_eq!(filter("@name == 'e'"), "e");
        assert_eq!(filter("@ping_ms < 1000"), "abcde", "what a host cannot know does not silence it");
        assert_eq!(filter("@ping_ms < 0"), "", "and is judged by the finder");
        assert_eq!(filter("secret >= 512"), "");
        let mut casual = find(&["--keyword", "casual", "--timeout", "1s"]);
        casual.sort();
        assert_eq!(casual, ["a"], "keywords fold ASCII case");
        assert_eq!(find(&["--order", "skill", "--timeout", "1500ms"]).concat(), "abcde");
        assert_eq!(find(&["--order", "@max_members:desc", "--take", "2", "--timeout", "1500ms"]), ["d", "c"]);
        assert_eq!(find(&["--order", "skill:near 1000", "--take", "3", "--timeout", "1500ms"]), ["b", "c", "a"]);
        assert_eq!(find(&["--take", "3", "--timeout", "1500ms"]).len(), 3);
        // Enough ends it early.
        let find = lan.nodes[0].client("find", &["--enough", "2", "--timeout", "8s"]);
        assert_eq!(find.exit(4 * SECOND), Some(0), "{}", find.transcript());
        assert!(find.all("found").len() >= 2, "{}", find.transcript());
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_5_a_browser_sees_a_room_enter_and_leave_its_filter() {
    in_namespaces(60 * SECOND, || {
        let lan = Lan::new(2);
        let host = lan.nodes[0].host("arena", &["--attr", "map=dust"]);
        let browse = lan.nodes[1].client("browse", &["--filter", "map == 'nuke'"]);
        pause(2_000);
        assert!(browse.all("found").is_empty(), "{}", browse.transcript());
        let at = host.line("set map=nuke");
        browse.expect_where("found", at, 2 * SECOND, |e| e.name() == "arena");
        pause(1_500);
        let at = host.line("set map=mill");
        browse.expect_where("lost", at, 2 * SECOND, |_| true);
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_5_a_filter_on_a_members_only_attribute_reveals_nothing() {
    in_namespaces(90 * SECOND, || {
        let lan = Lan::new(3);
        let words = ["--attr", "map=dust", "--no-mdns"];
        // Two rooms that differ in nothing but what is for members.
        let hosts = [
            lan.nodes[1].host("seven", &[&words[..], &["--members-attr", "seed=7"]].concat()),
            lan.nodes[2].host("eight", &[&words[..], &["--members-attr", "seed=8"]].concat()),
        ];
        pause(3_000); // the announcements are over
        for (filter, all) in [
            ("seed == 7", false),
            ("seed > 0", false),
            ("seed exists", false),
            ("seed in [7, 8]", false),
            ("seed missing", true),
            ("seed != 7", true),
            ("not (seed == 7)", true),
            ("map == 'dust' and seed != 8", true),
        ] {
            let capture = Capture::start(&lan.segment);
            let find = lan.nodes[0].client("find", &["--filter", filter, "--timeout", "700ms", "--no-mdns"]);
            let code = find.exit(4 * SECOND);
            let packets = capture.stop();
            let found = find.all("found");
            assert_eq!(found.len(), if all { 2 } else { 0 }, "{filter}: {}", find.transcript());
            assert_eq!(code, Some(i32::from(!all)), "{filter}: {}", find.transcript());
            assert!(found.iter().all(|event| event.json["session"]["attributes"].get("seed").is_none()));
            // An answer carries the nonce of its question; a beacon does not.
            let udp = || packets.iter().filter(|p| p.transport == Transport::Udp);
            let asked: Vec<&[u8]> =
                udp().filter(|p| p.payload.get(5) == Some(&1)).filter_map(|p| p.payload.get(16..24)).collect();
            assert!(!asked.is_empty(), "the capture shows the question");
            for node in &lan.nodes[1..] {
                let hardware = hardware(node);
                let echoes = |payload: &[u8]| payload.windows(8).any(|window| asked.contains(&window));
                let answered = udp().any(|p| p.source_hardware == hardware && echoes(&p.payload));
                // Where it is definitely false for every stranger both are silent, else both answer.
                assert_eq!(answered, all, "{filter}: {}", node.name());
            }
            pause(400);
        }
        let join = lan.nodes[0].client("join", &["--name", "seven"]);
        assert_eq!(join.expect("joined", 5 * SECOND).number("/session/attributes/seed"), 7, "members see it");
        drop(hosts);
    });
}
