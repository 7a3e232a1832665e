//! Line 8: seats and refusals. Every refused player gets its own reason; none is lost.

use super::inside::{SCRATCH, in_namespaces};
use super::lan::{Lan, Node};
use super::process::Proc;
use super::timing::{SECOND, pause};

/// Joins and is refused: the reason, after the exit code 3.
fn refused(node: &Node, words: &[&str]) -> String {
    let join = node.client("join", &[&["--name", "arena", "--player", "Bob"], words].concat());
    let reason = join.expect("refused", 8 * SECOND).text("/reason").to_owned();
    assert_eq!(join.exit(3 * SECOND), Some(3), "{}", join.transcript());
    assert!(join.all("joined").is_empty(), "{}", join.transcript());
    reason
}

/// Joins.
fn joined(node: &Node, words: &[&str]) -> Proc {
    let join = node.client("join", &[&["--name", "arena", "--player", "Bob"], words].concat());
    join.expect("joined", 8 * SECOND);
    join
}

fn leave(join: &Proc) {
    join.line("leave");
    assert_eq!(join.exit(3 * SECOND), Some(0), "{}", join.transcript());
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_8_of_20_joiners_at_once_exactly_the_free_seats_are_taken() {
    in_namespaces(120 * SECOND, || {
        let lan = Lan::new(6);
        let host = lan.nodes[0].host("arena", &["--max-members", "4", "--player", "Ada"]);
        let free = usize::try_from(host.expect("ready", SECOND).number("/session/open_slots")).expect("a few");
        assert_eq!(free, 3, "the host has the fourth");
        pause(1_000);
        let joins: Vec<Proc> = (0..20)
            .map(|at| {
                let player = format!("P{at}");
                lan.nodes[1 + at % 5].client("join", &["--name", "arena", "--player", &player])
            })
            .collect();
        let mut seats = Vec::new();
        for join in &joins {
            let seat = join.until("joined or refused", 15 * SECOND, |events| {
                let end = events.iter().find(|e| e.kind == "joined" || e.kind == "refused")?;
                Some(end.kind == "joined")
            });
            if seat {
                seats.push(join);
            } else {
                assert_eq!(join.expect("refused", SECOND).text("/reason"), "join.full", "{}", join.transcript());
                assert_eq!(join.exit(3 * SECOND), Some(3), "{}", join.transcript());
            }
        }
        assert_eq!(seats.len(), free, "exactly the free seats");
        pause(500);
        assert_eq!(host.newcomers().len(), free, "{}", host.transcript());
        // A seat that is left is free at once.
        leave(seats[0]);
        assert_eq!(seats.len(), 3);
        let next = joined(&lan.nodes[1], &[]);
        assert_eq!(refused(&lan.nodes[2], &[]), "join.full");
        leave(&next);
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_8_close_in_progress_kick_and_ban_each_have_their_own_reason() {
    in_namespaces(120 * SECOND, || {
        let lan = Lan::new(2);
        let (host, node) = (lan.nodes[0].host("arena", &["--player", "Ada"]), &lan.nodes[1]);
        host.line("close");
        pause(300);
        assert_eq!(refused(node, &[]), "join.closed");
        host.line("open");
        pause(300);
        leave(&joined(node, &[]));
        host.line("jip off");
        host.line("start");
        pause(300);
        assert_eq!(refused(node, &[]), "join.in_progress");
        host.line("lobby");
        pause(300);

        let identity = format!("{SCRATCH}/bob.id");
        let mine = ["--identity", identity.as_str()];
        let first = joined(node, &mine);
        let account = |since| host.newcomer(since).account().to_owned();
        let at = host.line(&format!("kick {} griefing", account(first.started)));
        let kicked = first.expect_where("kicked", at, SECOND, |_| true);
        assert!(kicked.json.to_string().contains("griefing"), "{}", kicked.json);
        // A kick is no ban: it may come back when asked to.
        let second = joined(node, &mine);
        let at = host.line(&format!("ban {} enough", account(second.started)));
        second.expect_where("kicked", at, SECOND, |e| e.json.to_string().contains("enough"));
        assert_eq!(second.exit(3 * SECOND), Some(4), "{}", second.transcript());
        assert_eq!(refused(node, &mine), "join.banned");
        // Another key is another player.
        leave(&joined(node, &[]));
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_8_a_password_lets_in_and_keeps_out() {
    in_namespaces(60 * SECOND, || {
        let lan = Lan::new(2);
        let file = |name: &str, text: &str| {
            let path = format!("{SCRATCH}/{name}");
            std::fs::write(&path, text).expect("a scratch file");
            path
        };
        let (right, wrong) = (file("right", "open sesame\n"), file("wrong", "open barley\n"));
        let host = lan.nodes[0].host("arena", &["--password-file", &right]);
        let find = lan.nodes[1].client("find", &["--enough", "1"]);
        let found = find.expect("found", 5 * SECOND);
        assert!(found.field("/session/password").as_bool() != Some(false), "shown as locked by a password: {found:?}");
        assert_eq!(refused(&lan.nodes[1], &[]), "join.bad_password");
        assert_eq!(refused(&lan.nodes[1], &["--password-file", &wrong]), "join.bad_password");
        leave(&joined(&lan.nodes[1], &["--password-file", &right]));
        for secret in ["open sesame", "open barley"] {
            assert!(!host.transcript().contains(secret), "a password was printed");
        }
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn a_session_that_is_not_there_is_not_joined_and_the_diagnosis_says_why() {
    in_namespaces(60 * SECOND, || {
        let lan = Lan::new(2);
        let _host = lan.nodes[0].host("arena", &[]);
        let join = lan.nodes[1].client("join", &["--name", "elsewhere", "--timeout", "1s"]);
        assert_eq!(join.exit(6 * SECOND), Some(1), "{}", join.transcript());
        assert!(join.stderr().contains("eth0"), "{}", join.transcript());
    });
}
