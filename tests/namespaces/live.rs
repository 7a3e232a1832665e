//! Line 3 in a running `browse`: a newcomer, a settings change, a graceful end, a death (pain 5).

use std::time::Duration;

use super::inside::in_namespaces;
use super::lan::Lan;
use super::timing::{SECOND, Times, pause, quiet};

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_3_a_newcomer_shows_in_a_running_browse_within_50_ms() {
    in_namespaces(120 * SECOND, || {
        let lan = Lan::new(7);
        let _old = lan.nodes[1].host("old", &[]);
        let browse = lan.nodes[0].client("browse", &[]);
        browse.expect("found", 5 * SECOND);
        pause(3_000);
        let (mut times, mut after_ready) = (Times::default(), Times::default());
        let mut hosts = Vec::new();
        for (at, node) in lan.nodes.iter().enumerate().skip(2) {
            quiet();
            let name = format!("new{at}");
            let host = node.host(&name, &[]);
            let ready = host.expect("ready", SECOND);
            let found = browse.expect_where("found", host.started, 3 * SECOND, |e| e.name() == name);
            // From the start of the command by its own clock, so without the time the process took to load.
            let start = ready.at.checked_sub(Duration::from_secs_f64(ready.at_ms() / 1e3)).expect("after boot");
            times.between(start, found.at);
            after_ready.between(ready.at, found.at);
            hosts.push(host);
            pause(1_500);
        }
        println!("for information, from the line `ready`: {after_ready}");
        times.all_within("newcomer, from the start of `host`", 50.0);
        assert_eq!(browse.all("found").len(), 6, "{}", browse.transcript());
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_3_a_settings_change_shows_to_browsers_and_members_within_50_ms() {
    in_namespaces(120 * SECOND, || {
        let lan = Lan::new(3);
        let host = lan.nodes[0].host("arena", &["--attr", "map=m0", "--attr", "mode=ctf"]);
        let browse = lan.nodes[1].client("browse", &[]);
        browse.expect("found", 5 * SECOND);
        let member = lan.nodes[2].client("join", &["--name", "arena", "--player", "Bob"]);
        member.expect("joined", 5 * SECOND);
        pause(2_500);
        let (mut browsers, mut members) = (Times::default(), Times::default());
        for round in 1..=8 {
            quiet();
            let map = format!("m{round}");
            let at = host.line(&format!("set map={map}"));
            let new = |e: &super::process::Event| {
                e.json.pointer("/session/attributes/map").is_some_and(|v| v == map.as_str())
            };
            let seen = browse.expect_where("updated", at, 3 * SECOND, new);
            assert_eq!(seen.text("/session/attributes/mode"), "ctf", "the rest stays");
            browsers.between(at, seen.at);
            members.between(at, member.expect_where("settings_changed", at, 3 * SECOND, |_| true).at);
            pause(1_300);
        }
        browsers.all_within("settings change, at a browser", 50.0);
        members.all_within("settings change, at a member", 50.0);
        assert_eq!(browse.all("found").len(), 1, "a change is no new entry: {}", browse.transcript());
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_3_pain_05_a_graceful_quit_shows_as_lost_within_250_ms() {
    in_namespaces(120 * SECOND, || {
        let lan = Lan::new(6);
        let hosts: Vec<_> = (1..6).map(|at| lan.nodes[at].host(&format!("h{at}"), &[])).collect();
        let browse = lan.nodes[0].client("browse", &[]);
        browse.until("five entries", 5 * SECOND, |events| {
            (events.iter().filter(|e| e.kind == "found").count() == 5).then_some(())
        });
        pause(2_000);
        let mut times = Times::default();
        for (at, host) in hosts.iter().enumerate() {
            quiet();
            let id = host.expect("ready", SECOND).id().to_owned();
            // Both ways to end gracefully.
            let when = if at % 2 == 0 { host.line("quit") } else { host.signal("TERM") };
            let lost = browse.expect_where("lost", when, 10 * SECOND, |e| e.id() == id);
            times.between(when, lost.at);
            assert_eq!(host.exit(3 * SECOND), Some(0), "{}", host.transcript());
            pause(300);
        }
        times.all_within("graceful quit, at a browser", 250.0);
        pause(3_000);
        assert_eq!(browse.all("found").len(), 5, "nothing comes back: {}", browse.transcript());
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn line_3_pain_05_a_killed_host_is_lost_within_8_s_and_host_lost_at_members_within_3_s() {
    in_namespaces(180 * SECOND, || {
        let lan = Lan::new(6);
        let keeper = lan.nodes[5].host("keeper", &[]);
        let browse = lan.nodes[0].client("browse", &[]);
        let (mut browsers, mut members) = (Times::default(), Times::default());
        for at in 1..=3 {
            let name = format!("victim{at}");
            let host = lan.nodes[at].host(&name, &[]);
            let id = browse.expect_where("found", host.started, 5 * SECOND, |e| e.name() == name).id().to_owned();
            let member = lan.nodes[4].client("join", &["--name", &name, "--player", "Bob"]);
            member.expect("joined", 5 * SECOND);
            pause(2_000);
            quiet();
            let killed = host.signal("KILL");
            let gone = member.expect_where("host_lost", killed, 20 * SECOND, |_| true);
            members.between(killed, gone.at);
            assert_eq!(member.exit(3 * SECOND), Some(5), "{}", member.transcript());
            let lost = browse.expect_where("lost", killed, 20 * SECOND, |e| e.id() == id);
            browsers.between(killed, lost.at);
        }
        members.all_within("SIGKILL of the host, `host_lost` at a member", 3_000.0);
        browsers.all_within("SIGKILL of the host, `lost` at a browser", 8_000.0);
        assert_eq!(browse.all("lost").len(), 3, "only the dead are lost: {}", browse.transcript());
        drop(keeper);
    });
}
