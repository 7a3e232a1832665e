//! Friends, invites and presence between machines: who gets in, who is told what, and what the wire shows of it.

use super::capture::{Capture, Transport};
use super::inside::{SCRATCH, in_namespaces};
use super::lan::{Lan, Node};
use super::process::{Event, Proc};
use super::timing::{SECOND, Times, pause};

/// A player whose account is known before it plays.
struct Player<'a> {
    node: &'a Node,
    name: &'static str,
    identity: String,
    account: String,
}

impl<'a> Player<'a> {
    fn new(node: &'a Node, name: &'static str) -> Self {
        let identity = format!("{SCRATCH}/{name}.id");
        let shown = node.client("account", &["--identity", &identity]);
        let account = shown.expect("account", 5 * SECOND).text("/account").to_owned();
        assert_eq!(shown.exit(5 * SECOND), Some(0), "{}", shown.transcript());
        Self { node, name, identity, account }
    }

    fn words<'b>(&'b self, words: &[&'b str]) -> Vec<&'b str> {
        [&["--player", self.name, "--identity", &self.identity], words].concat()
    }

    fn hosts(&self, words: &[&str]) -> Proc {
        self.node.host("arena", &self.words(words))
    }

    fn joins(&self, words: &[&str]) -> Proc {
        let join = self.node.client("join", &self.words(&[&["--name", "arena"], words].concat()));
        join.expect("joined", 8 * SECOND);
        join
    }

    fn refused(&self, words: &[&str]) -> String {
        let join = self.node.client("join", &self.words(words));
        let reason = join.expect("refused", 8 * SECOND).text("/reason").to_owned();
        assert_eq!(join.exit(3 * SECOND), Some(3), "{}", join.transcript());
        reason
    }

    fn waits(&self, words: &[&str]) -> Proc {
        let wait = self.node.client("wait", &self.words(words));
        wait.expect("account", 5 * SECOND);
        // Its sockets open a moment after it says who it is.
        pause(300);
        wait
    }

    /// What others put on their command line to have it as a friend.
    fn as_friend(&self) -> [&str; 2] {
        ["--friend", &self.account]
    }
}

/// Somebody who never comes.
fn account(number: u16) -> String {
    let mut seed = [7; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    lansession::Identity::from_seed(seed).expect("a seed").account().to_string()
}

fn state(program: &Proc, since: std::time::Instant, state: &str) -> Event {
    program.expect_where("invite_updated", since, 5 * SECOND, |event| event.json["state"] == state)
}

/// The invite as a file, as somebody would get hold of it.
fn stolen(received: &Event, name: &str) -> String {
    let path = format!("{SCRATCH}/{name}.invite");
    std::fs::write(&path, received.field("/invite/whole").to_string()).expect("a scratch file");
    path
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn friends_of_any_member_get_in_and_no_list_of_friends_travels() {
    in_namespaces(90 * SECOND, || {
        let lan = Lan::new(4);
        let player = |at: usize, name| Player::new(&lan.nodes[at], name);
        let (ada, bob, cem, dee) = (player(0, "Ada"), player(1, "Bob"), player(2, "Cem"), player(3, "Dee"));
        let host = ada.hosts(&[&["--policy", "friends_only", "--listed"], &bob.as_friend()[..]].concat());
        // Bob has a thousand friends: 32 kB if they travelled.
        let others: Vec<String> = (0..1_000).map(account).collect();
        let mut friends: Vec<&str> = cem.as_friend().to_vec();
        others.iter().for_each(|other| friends.extend(["--friend", other.as_str()]));
        let member = bob.joins(&friends);
        pause(500);
        let capture = Capture::start(&lan.segment);
        let came = cem.joins(&[]);
        assert_eq!(dee.refused(&["--name", "arena"]), "join.not_friend");
        let packets = capture.stop();
        let newcomer =
            host.expect_where("member_joined", came.started, 3 * SECOND, |e| e.text("/member/name") == "Cem");
        assert_eq!(newcomer.account(), cem.account);
        let tcp: usize = packets.iter().filter(|p| p.transport == Transport::Tcp).map(|p| p.payload.len()).sum();
        println!("TCP of two joins, a snapshot each and two rounds of questions: {tcp} bytes, each seen twice");
        assert!(tcp < 2 * 16_384, "{tcp} bytes");
        drop((member, host));
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn an_invite_is_delivered_and_lets_its_account_in_once_and_nobody_else() {
    in_namespaces(120 * SECOND, || {
        let lan = Lan::new(3);
        let player = |at: usize, name| Player::new(&lan.nodes[at], name);
        let (ada, bob, cem) = (player(0, "Ada"), player(1, "Bob"), player(2, "Cem"));
        let host = ada.hosts(&["--policy", "invite_only", "--hidden"]);
        let waits = bob.waits(&[&["--invites", "friends"], &ada.as_friend()[..]].concat());
        let mut delivered = Times::default();

        // Rejected: the inviter is told, and the invite is worth nothing any more.
        let at = host.line(&format!("invite {}", bob.account));
        let received = waits.expect_where("invite_received", at, 5 * SECOND, |_| true);
        delivered.between(at, received.at);
        assert_eq!(received.text("/invite/inviter"), ada.account);
        state(&host, at, "delivered");
        let file = stolen(&received, "first");
        let at = waits.line(&format!("reject {}", received.text("/invite/id")));
        state(&host, at, "rejected");
        waits.line("quit");
        assert_eq!(waits.exit(5 * SECOND), Some(0), "{}", waits.transcript());
        assert_ne!(bob.refused(&["--invite", &file]), "join.full");

        // Another account with the same invite is not invited; the invitee is.
        let waits = bob.waits(&[&["--invites", "friends"], &ada.as_friend()[..]].concat());
        for _ in 0..2 {
            let at = host.line(&format!("invite {}", bob.account));
            let received = waits.expect_where("invite_received", at, 5 * SECOND, |_| true);
            delivered.between(at, received.at);
            let at = waits.line(&format!("reject {}", received.text("/invite/id")));
            state(&host, at, "rejected");
        }
        let at = host.line(&format!("invite {}", bob.account));
        let received = waits.expect_where("invite_received", at, 5 * SECOND, |_| true);
        delivered.between(at, received.at);
        let file = stolen(&received, "second");
        assert_eq!(cem.refused(&["--invite", &file]), "join.not_invited");
        let at = waits.line(&format!("accept {}", received.text("/invite/id")));
        waits.expect_where("ui_join_requested", at, SECOND, |e| e.text("/by") == "invite");
        waits.expect_where("joined", at, 5 * SECOND, |_| true);
        state(&host, at, "accepted");
        delivered.all_within("invite delivered", 100.0);

        // Of another one the time runs out: the host refuses it by name.
        let waits = cem.waits(&["--invites", "anyone"]);
        let at = host.line(&format!("invite {} 1", cem.account));
        let received = waits.expect_where("invite_received", at, 5 * SECOND, |_| true);
        let file = stolen(&received, "third");
        state(&host, at, "expired");
        waits.line("quit");
        assert_eq!(waits.exit(5 * SECOND), Some(0), "{}", waits.transcript());
        assert_eq!(cem.refused(&["--invite", &file]), "join.invite_expired");
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn an_invite_to_nobody_is_unreachable_within_its_deadline_and_a_stranger_is_not_heard() {
    in_namespaces(90 * SECOND, || {
        let lan = Lan::new(3);
        let player = |at: usize, name| Player::new(&lan.nodes[at], name);
        let (ada, bob, cem) = (player(0, "Ada"), player(1, "Bob"), player(2, "Cem"));
        let host = ada.hosts(&[]);
        let at = host.line(&format!("invite {}", bob.account));
        let told = state(&host, at, "unreachable");
        assert!(told.at - at <= 4 * SECOND, "after {:?}", told.at - at);
        // Cem takes invites of friends only, and Ada is none.
        let waits = cem.waits(&["--invites", "friends"]);
        let capture = Capture::start(&lan.segment);
        let at = host.line(&format!("invite {}", cem.account));
        state(&host, at, "unreachable");
        assert!(waits.all("invite_received").is_empty(), "{}", waits.transcript());
        let address: std::net::IpAddr = "10.50.0.3".parse().expect("an address");
        let told = capture.stop().into_iter().filter(|p| p.source == address).count();
        assert_eq!(told, 0, "the stranger's machine answers as an empty place does");
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn friends_find_a_player_and_strangers_find_nothing() {
    in_namespaces(90 * SECOND, || {
        let lan = Lan::new(3);
        let player = |at: usize, name| Player::new(&lan.nodes[at], name);
        let (ada, bob, cem) = (player(0, "Ada"), player(1, "Bob"), player(2, "Cem"));
        let words = [&["--policy", "friends_only", "--hidden", "--presence"], &bob.as_friend()[..]].concat();
        let _host = ada.hosts(&words);
        pause(500);
        let seen = bob.node.client("where", &bob.words(&["--account", &ada.account]));
        assert_eq!(seen.expect("found", 5 * SECOND).name(), "arena");
        let link = seen.expect("found", SECOND);
        assert_eq!(seen.exit(5 * SECOND), Some(0), "{}", seen.transcript());
        assert!(!link.sources().is_empty());
        // The private flag is for one's own sessions: refused here, and no packet leaves.
        let capture = Capture::start(&lan.segment);
        let asked = cem.node.client("where", &cem.words(&["--account", &ada.account, "--private"]));
        assert_eq!(asked.exit(5 * SECOND), Some(1), "{}", asked.transcript());
        assert!(asked.stderr().contains("asks for itself and nobody else"), "{}", asked.transcript());
        let address: std::net::IpAddr = "10.50.0.3".parse().expect("an address");
        assert_eq!(capture.stop().iter().filter(|p| p.source == address && p.transport == Transport::Udp).count(), 0);
        // Without it a stranger asks, and hears what it would hear of nobody.
        let capture = Capture::start(&lan.segment);
        let asked = cem.node.client("where", &cem.words(&["--account", &ada.account]));
        assert_eq!(asked.exit(8 * SECOND), Some(1), "{}", asked.transcript());
        let ada_at: std::net::IpAddr = "10.50.0.1".parse().expect("an address");
        let from_ada = |p: &&super::capture::Packet| p.source == ada_at;
        let answers = capture.stop().iter().filter(from_ada).count();
        assert_eq!(answers, 0, "the host of a hidden session says nothing at all to a stranger");
    });
}
