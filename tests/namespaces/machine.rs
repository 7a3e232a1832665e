//! Line 4 (pain 16): ten hosts and ten finders on one machine, with a LAN and with loopback only.

use std::collections::BTreeSet;

use super::inside::in_namespaces;
use super::lan::{Lan, Node};
use super::process::Proc;
use super::timing::{SECOND, pause};

const COUNT: usize = 10;

fn names(events: &[super::process::Event]) -> BTreeSet<String> {
    events.iter().filter(|e| e.kind == "found").map(|e| e.name().to_owned()).collect()
}

fn all_see_all(node: &Node) {
    let hosts: Vec<Proc> = (0..COUNT).map(|at| node.start_host(&format!("h{at}"), &[])).collect();
    for host in &hosts {
        host.expect("ready", 15 * SECOND);
    }
    let wanted: BTreeSet<String> = (0..COUNT).map(|at| format!("h{at}")).collect();

    // Ten one-shot finders at once.
    let finders: Vec<Proc> = (0..COUNT).map(|_| node.client("find", &["--enough", "10", "--timeout", "5s"])).collect();
    for find in &finders {
        assert_eq!(find.exit(10 * SECOND), Some(0), "{}", find.transcript());
        assert_eq!(names(&find.events()), wanted, "{}", find.transcript());
        assert_eq!(find.all("found").len(), COUNT, "each once: {}", find.transcript());
    }

    // Ten running ones.
    let browsers: Vec<Proc> = (0..COUNT).map(|_| node.client("browse", &[])).collect();
    for browse in &browsers {
        browse.until("all ten", 8 * SECOND, |events| (names(events) == wanted).then_some(()));
    }

    // A dead finder hurts none: a change still reaches the nine others.
    browsers[3].signal("KILL");
    pause(300);
    let at = hosts[7].line("set map=dust");
    for (_, browse) in browsers.iter().enumerate().filter(|(at, _)| *at != 3) {
        browse.expect_where("updated", at, 3 * SECOND, |e| {
            e.name() == "h7" && e.json.pointer("/session/attributes/map").is_some_and(|v| v == "dust")
        });
    }

    // A dead host hurts none: it alone is lost, and the others can still be found and joined.
    let id = hosts[5].expect("ready", SECOND).id().to_owned();
    let killed = hosts[5].signal("KILL");
    for (_, browse) in browsers.iter().enumerate().filter(|(at, _)| *at != 3) {
        browse.expect_where("lost", killed, 9 * SECOND, |e| e.id() == id);
    }
    pause(3_000);
    for (_, browse) in browsers.iter().enumerate().filter(|(at, _)| *at != 3) {
        assert_eq!(browse.all("lost").len(), 1, "{}", browse.transcript());
    }
    let find = node.client("find", &["--enough", "9", "--timeout", "5s"]);
    assert_eq!(find.exit(10 * SECOND), Some(0), "{}", find.transcript());
    assert_eq!(names(&find.events()).len(), COUNT - 1, "{}", find.transcript());
    let member = node.client("join", &["--name", "h6", "--player", "Bob"]);
    member.expect("joined", 5 * SECOND);
    member.line("leave");
    assert_eq!(member.exit(3 * SECOND), Some(0), "{}", member.transcript());
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_4_pain_16_ten_hosts_and_ten_finders_on_one_machine_all_see_all() {
    in_namespaces(120 * SECOND, || {
        let lan = Lan::new(2);
        all_see_all(&lan.nodes[0]);
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_4_pain_16_the_same_with_only_loopback_up() {
    in_namespaces(120 * SECOND, || all_see_all(&Node::new("alone")));
}
