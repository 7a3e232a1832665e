//! The ends of a seat and of a session over real sockets: leave, kick, destroy, with their exit codes (pains 18, 25).

use super::capture::Capture;
use super::inside::in_namespaces;
use super::lan::Lan;
use super::timing::{SECOND, pause};

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn members_see_each_other_come_and_go_and_the_end_of_the_session() {
    in_namespaces(60 * SECOND, || {
        let lan = Lan::new(3);
        let host = lan.nodes[0].host("arena", &["--player", "Ada"]);
        let bob = lan.nodes[1].client("join", &["--name", "arena", "--player", "Bob"]);
        bob.expect("joined", 5 * SECOND);
        let cid = lan.nodes[2].client("join", &["--name", "arena", "--player", "Cid"]);
        let joined = cid.expect("joined", 5 * SECOND);
        assert_eq!(joined.number("/session/members"), 3, "{}", joined.json);
        assert_eq!(bob.newcomer(cid.started).text("/member/name"), "Cid");
        let said = host.line("say good luck");
        let message = bob.expect_where("message", said, SECOND, |_| true);
        assert!(message.json.to_string().contains("good luck"), "{}", message.json);
        // A player leaves: seat free at once, the others are told.
        let left = cid.line("leave");
        assert_eq!(cid.exit(3 * SECOND), Some(0), "{}", cid.transcript());
        host.expect_where("member_left", left, SECOND, |_| true);
        bob.expect_where("member_left", left, SECOND, |_| true);
        // The host ends it.
        let quit = host.line("quit");
        bob.expect_where("destroyed", quit, SECOND, |_| true);
        assert_eq!(bob.exit(3 * SECOND), Some(4), "{}", bob.transcript());
        assert_eq!(host.exit(3 * SECOND), Some(0), "{}", host.transcript());
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_18_the_kicked_one_is_told_why_and_does_not_come_back_by_itself() {
    in_namespaces(60 * SECOND, || {
        let lan = Lan::new(2);
        let host = lan.nodes[0].host("arena", &[]);
        let bob = lan.nodes[1].client("join", &["--name", "arena", "--player", "Bob"]);
        bob.expect("joined", 5 * SECOND);
        let account = host.newcomer(bob.started).account().to_owned();
        let kick = host.line(&format!("kick {account} griefing"));
        let kicked = bob.expect_where("kicked", kick, SECOND, |_| true);
        assert!(kicked.json.to_string().contains("griefing"), "{}", kicked.json);
        assert_eq!(bob.exit(3 * SECOND), Some(4), "{}", bob.transcript());
        host.expect_where("member_left", kick, SECOND, |_| true);
        pause(2_000);
        assert_eq!(host.newcomers().len(), 1, "nobody came back: {}", host.transcript());
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_25_after_the_end_there_is_silence() {
    in_namespaces(60 * SECOND, || {
        let lan = Lan::new(2);
        let host = lan.nodes[0].host("arena", &[]);
        let find = lan.nodes[1].client("find", &["--enough", "1"]);
        assert_eq!(find.exit(5 * SECOND), Some(0), "{}", find.transcript());
        host.line("quit");
        assert_eq!(host.exit(3 * SECOND), Some(0), "{}", host.transcript());
        let capture = Capture::start(&lan.segment);
        pause(3_000);
        let packets = capture.stop();
        assert!(packets.is_empty(), "{packets:?}");
    });
}
