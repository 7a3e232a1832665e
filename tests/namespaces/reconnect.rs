//! Pain 7 over real sockets: a cable that is out for 20 s and an address that changes cost no seat, and nothing in it.

use std::time::Instant;

use super::inside::in_namespaces;
use super::lan::Lan;
use super::process::{Event, Proc};
use super::timing::{SECOND, Times, pause};

/// A player's own account.
fn account(join: &Proc) -> String {
    let me = |event: &&Event| event.kind == "member_joined" && event.json["me"] == true;
    join.until("its own seat", 5 * SECOND, |events| events.iter().find(me).map(|event| event.account().to_owned()))
}

fn joined(lan: &Lan, at: usize, player: &str) -> Proc {
    let join = lan.nodes[at].client("join", &["--name", "arena", "--player", player]);
    join.expect("joined", 8 * SECOND);
    join
}

/// Somebody saw this member's link in that state; when.
fn sees(who: &Proc, account: &str, link: &str, since: Instant) -> Instant {
    let seen = who.expect_where("member_updated", since, 8 * SECOND, |event| {
        event.account() == account && event.text("/member/link") == link
    });
    seen.at
}

fn texts(who: &Proc) -> Vec<String> {
    who.all("message").iter().map(|event| event.text("/text").to_owned()).collect()
}

/// The values of an attribute in the order in which somebody saw them set.
fn set(who: &Proc, name: &str) -> Vec<String> {
    let changes = who.all("settings_changed");
    let changes = changes.iter().flat_map(|event| event.field("/changes").as_array().cloned().unwrap_or_default());
    let named = changes.filter(|change| change["name"] == name);
    named.map(|change| change["new"].to_string()).collect()
}

/// Nobody lost a seat, nobody got a second one.
fn undisturbed(host: &Proc, members: &[&Proc]) {
    assert_eq!(host.newcomers().len(), members.len(), "{}", host.transcript());
    for who in members.iter().chain([&host]) {
        assert!(who.all("member_left").is_empty(), "{}", who.transcript());
        assert!(who.all("joined").len() <= 1, "{}", who.transcript());
    }
}

/// What it rests on is taken out, one after the other, in `tests/virtual_reconnect.rs`.
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_07_a_cable_pulled_for_20_seconds_loses_nothing() {
    in_namespaces(120 * SECOND, || {
        let lan = Lan::new(4);
        let host = lan.nodes[0].host("arena", &["--max-members", "3", "--attr", "map=m0", "--player", "Ada"]);
        let (bob, cid) = (joined(&lan, 1, "Bob"), joined(&lan, 2, "Cid"));
        let player = account(&bob);
        pause(8_000);

        lan.nodes[1].batch("link set eth0 down\n");
        let down = Instant::now();
        bob.expect_where("reconnecting", down, 5 * SECOND, |_| true);
        sees(&host, &player, "away", down);
        sees(&cid, &player, "away", down);
        bob.line("say once");
        for round in 1..=5 {
            host.line(&format!("set map=m{round}"));
            pause(2_000);
        }
        let late = lan.nodes[3].client("join", &["--name", "arena", "--player", "Dee"]);
        assert_eq!(late.expect("refused", 8 * SECOND).text("/reason"), "join.full", "{}", late.transcript());
        std::thread::sleep((20 * SECOND).saturating_sub(down.elapsed()));

        lan.nodes[1].batch("link set eth0 up\n");
        let up = Instant::now();
        let mut times = Times::default();
        times.between(up, bob.expect_where("reconnected", up, 10 * SECOND, |_| true).at);
        sees(&host, &player, "connected", up);
        sees(&cid, &player, "connected", up);
        for who in [&host, &bob, &cid] {
            who.expect_where("message", up, 5 * SECOND, |_| true);
        }
        pause(1_000);
        times.all_within("cable in again, seat taken up", 6_000.0);
        for who in [&host, &bob, &cid] {
            assert_eq!(texts(who), ["once"], "{}", who.transcript());
            assert_eq!(set(who, "map"), ["\"m1\"", "\"m2\"", "\"m3\"", "\"m4\"", "\"m5\""], "{}", who.transcript());
        }
        undisturbed(&host, &[&bob, &cid]);
        bob.line("leave");
        assert_eq!(bob.exit(3 * SECOND), Some(0), "{}", bob.transcript());
        host.expect_where("member_left", up, 3 * SECOND, |event| event.account() == player);
    });
}

/// Once with the link down between, once as a new lease: the host believes in the old address until it hears of the new.
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_07_a_member_with_a_new_address_is_the_same_member() {
    in_namespaces(120 * SECOND, || {
        let lan = Lan::new(3);
        let host = lan.nodes[0].host("arena", &["--max-members", "3", "--attr", "map=m0", "--player", "Ada"]);
        let (bob, cid) = (joined(&lan, 1, "Bob"), joined(&lan, 2, "Cid"));
        let player = account(&bob);
        pause(8_000);
        let mut times = Times::default();
        for (round, number) in [(1, 77), (2, 78)] {
            let took = Instant::now();
            if round == 1 {
                lan.nodes[1].batch("link set eth0 down\naddr flush dev eth0\n");
                sees(&host, &player, "away", took);
                host.line("set map=m1");
                pause(2_000);
                lan.nodes[1].batch(&format!("addr add 10.50.0.{number}/24 brd + dev eth0\nlink set eth0 up\n"));
            } else {
                lan.nodes[1].batch(&format!("addr flush dev eth0\naddr add 10.50.0.{number}/24 brd + dev eth0\n"));
                host.line("set map=m2");
            }
            let again = Instant::now();
            times.between(again, bob.expect_where("reconnected", took, 12 * SECOND, |_| true).at);
            sees(&host, &player, "connected", took);
            bob.line(&format!("say round {round}"));
            cid.expect_where("message", again, 5 * SECOND, |event| event.text("/text") == format!("round {round}"));
        }
        times.all_within("new address, seat taken up", 8_000.0);
        assert_eq!(set(&bob, "map"), ["\"m1\"", "\"m2\""], "{}", bob.transcript());
        undisturbed(&host, &[&bob, &cid]);
    });
}
