//! The example programs over loopback: every event, exit code and flag that README and `--help` promise.
//!
//! It runs the programs of this build, which `cargo test` builds before it. Everything waited for has a bound.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(all(unix, feature = "net"))]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lansession::{Lan, Preset};
use serde_json::Value;

use programs::process::{self, Proc};

mod programs;

const SOON: Duration = Duration::from_secs(20);

/// One LAN on loopback: a port and a game of its own.
struct Game {
    port: String,
    id: String,
}

impl Game {
    fn new(name: &str) -> Self {
        // A free port of the system's own choice would be given to the next socket that asks for any.
        let port = Lan::builder("test.port").preset(Preset::Loopback).start().unwrap().beacon_port();
        Self { port: port.to_string(), id: format!("test.{name}.{}", std::process::id()) }
    }

    fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(example(program));
        command.args(words).args(["--json", "--game", &self.id, "--loopback", "--beacon-port", &self.port]);
        command
    }

    fn start(&self, program: &str, words: &[&str]) -> Proc {
        Proc::start(&mut self.command(program, words), format!("{program} {}", words.join(" ")))
    }

    fn host(&self, words: &[&str]) -> Proc {
        let host = self.start("host", &[&["--name", "arena", "--player", "Ada"], words].concat());
        host.expect("ready", SOON);
        host
    }

    fn client(&self, words: &[&str]) -> Proc {
        self.start("client", words)
    }

    /// A client that is in.
    fn member(&self, player: &str) -> Proc {
        let member = self.client(&["join", "--name", "arena", "--player", player]);
        member.expect("joined", SOON);
        member
    }

    /// A client that ends with this code.
    fn ends(&self, code: i32, words: &[&str]) -> Proc {
        let client = self.client(words);
        assert_eq!(client.exit(SOON), Some(code), "{}", client.transcript());
        client
    }

    fn refused(&self, reason: &str, words: &[&str]) {
        let client = self.ends(3, &[&["join", "--name", "arena"], words].concat());
        let refused = client.expect("refused", SOON);
        assert_eq!(refused.text("/reason"), reason, "{}", refused.json);
        assert!(refused.number("/code") >= 100 && refused.text("/text").contains(' '), "{}", refused.json);
    }
}

fn example(name: &str) -> PathBuf {
    // target/PROFILE/deps/examples-HASH
    let this = std::env::current_exe().unwrap();
    let path = this.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(path.exists(), "{} is not built: cargo build --examples", path.display());
    path
}

/// A file of this test's own.
fn file(name: &str) -> String {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{}", std::process::id())).to_str().unwrap().to_owned()
}

fn ended(program: &Proc, code: i32) {
    assert_eq!(program.exit(SOON), Some(code), "{}", program.transcript());
}

#[test]
fn one_session_from_ready_to_destroyed() {
    let game = Game::new("story");
    let list = game.client(&["browse"]);
    let host = game.host(&[
        "--max-members",
        "4",
        "--attr",
        "map=dust",
        "--attr",
        "skill=12",
        "--attr",
        "pace=1.5",
        "--attr",
        "hard=true",
        "--attr",
        "tag=\"12\"",
        "--keyword",
        "Casual",
        "--game-port",
        "7777",
        "--game-version",
        "0",
    ]);
    let ready = host.expect("ready", SOON);
    let find = game.ends(0, &["find", "--enough", "1", "--filter", "map == \"dust\" and @open_slots > 0"]);
    let found = find.expect("found", SOON);
    for event in [&ready, &found] {
        assert!(event.at_ms() > 0.0);
        let mut fields: Vec<&str> = event.field("/session").as_object().unwrap().keys().map(String::as_str).collect();
        fields.sort_unstable();
        let all = "addresses attributes code confirmed host_key id keywords max_members members name open_slots \
                   password phase ping_ms policy ports sources version";
        assert_eq!(fields.join(" "), all);
        assert_eq!(event.name(), "arena");
        assert_eq!(event.id(), ready.id());
        assert_eq!(event.text("/session/host_key"), ready.text("/session/host_key"));
        let attributes: Value =
            serde_json::from_str(r#"{"map":"dust","skill":12,"pace":1.5,"hard":true,"tag":"12"}"#).unwrap();
        assert_eq!(*event.field("/session/attributes"), attributes);
        assert_eq!(event.text("/session/keywords/0"), "casual");
        assert_eq!(event.number("/session/ports/game"), 7777);
        assert_eq!((event.number("/session/members"), event.number("/session/max_members")), (1, 4));
        assert_eq!(event.number("/session/open_slots"), 3);
        assert_eq!((event.text("/session/policy"), event.text("/session/phase")), ("public", "lobby"));
        assert_eq!(event.number("/session/version"), 0);
        assert_eq!(event.json["session"]["password"], false);
    }
    assert_eq!((found.json["session"]["confirmed"].clone(), found.sources()), (true.into(), vec!["beacon"]));
    // Measured, unless the answer that came first was the one to all: it waits for others and tells no round trip.
    let ping = found.field("/session/ping_ms");
    assert!(ping.is_f64() || ping.is_null(), "{}", found.json);
    assert!(found.text("/session/addresses/0").starts_with("127.0.0.1:"), "{}", found.json);
    assert_eq!(list.expect("found", SOON).id(), ready.id());

    let bob = game.member("Bob");
    assert_eq!(bob.expect("joined", SOON).number("/session/members"), 2);
    let came = host.newcomer(bob.started);
    assert_eq!((came.text("/member/name"), came.number("/member/number")), ("Bob", 1));
    let at = bob.line("ready on");
    let ready_now = host.expect_where("member_updated", at, SOON, |event| event.json["member"]["ready"] == true);
    assert_eq!(ready_now.account(), came.account());

    let at = host.line("set map=nuke");
    for program in [&host, &bob] {
        let changed = program.expect_where("settings_changed", at, SOON, |_| true);
        let change: Value =
            serde_json::from_str(r#"[{"setting":"attribute","name":"map","old":"dust","new":"nuke"}]"#).unwrap();
        assert_eq!(*changed.field("/changes"), change);
        assert_eq!(changed.text("/session/attributes/map"), "nuke");
    }
    list.expect_where("updated", at, SOON, |event| event.json["session"]["attributes"]["map"] == "nuke");
    for (line, setting, new) in [("max 3", "max_members", "3"), ("start", "phase", "\"in_progress\"")] {
        let at = host.line(line);
        let fits = |event: &process::Event| event.json["changes"][0]["setting"] == setting;
        let changed = bob.expect_where("settings_changed", at, SOON, fits);
        assert_eq!(changed.field("/changes/0/new").to_string(), new);
    }
    let at = host.line("unset skill");
    bob.expect_where("settings_changed", at, SOON, |event| event.json["changes"][0]["new"].is_null());

    let at = host.line("say good luck");
    assert_eq!(bob.expect_where("message", at, SOON, |_| true).text("/text"), "good luck");
    let at = bob.line("say thanks");
    let message = host.expect_where("message", at, SOON, |event| event.json["text"] == "thanks");
    assert_eq!(message.text("/from"), came.account());

    let at = host.line("jip off");
    bob.expect_where("settings_changed", at, SOON, |event| event.json["changes"][0]["new"] == false);
    game.refused("join.in_progress", &[]);
    let at = host.line("lobby");
    bob.expect_where("settings_changed", at, SOON, |event| event.json["changes"][0]["new"] == "lobby");
    let cem = game.member("Cem");
    let at = cem.line("leave");
    ended(&cem, 0);
    assert_eq!(cem.expect("left", SOON).text("/reason"), "left.left");
    for program in [&host, &bob] {
        let gone = program.expect_where("member_left", at, SOON, |_| true);
        assert_eq!((gone.text("/member/name"), gone.text("/reason")), ("Cem", "left.left"));
    }

    let at = host.line("quit");
    ended(&host, 0);
    assert_eq!(host.expect("destroyed", SOON).name(), "arena");
    assert_eq!(bob.expect_where("destroyed", at, SOON, |_| true).text("/reason"), "left.destroyed");
    ended(&bob, 4);
    assert_eq!(list.expect_where("lost", at, SOON, |_| true).name(), "arena");
    list.line("quit");
    ended(&list, 0);
}

#[test]
fn nothing_found_is_1_with_the_diagnosis() {
    let game = Game::new("nothing");
    let _host = game.host(&["--attr", "map=dust"]);
    for words in [&["find"], &["join"]] {
        let words = [&words[..], &["--filter", "map == 'nuke'", "--timeout", "300ms"]].concat();
        let client = game.ends(1, &words);
        let diagnosis = client.expect("diagnosis", SOON);
        assert!(client.stderr().contains(diagnosis.text("/advice")), "{}", client.transcript());
        assert!(diagnosis.number("/paths/0/sent") > 0 && client.all("found").is_empty(), "{}", client.transcript());
    }
}

#[test]
fn every_refusal_is_3_with_its_reason_and_a_kick_is_4() {
    let game = Game::new("refusals");
    let (word, wrong, account) = (file("word"), file("wrong"), file("account"));
    std::fs::write(&word, "swordfish\n").unwrap();
    std::fs::write(&wrong, "sardine\n").unwrap();
    let host = game.host(&["--max-members", "2", "--password-file", &word]);
    game.refused("join.bad_password", &[]);
    game.refused("join.bad_password", &["--password-file", &wrong]);
    let bob = game.client(&["join", "--name", "arena", "--player", "Bob", "--password-file", &word]);
    bob.expect("joined", SOON);
    game.refused("join.full", &["--password-file", &word]);
    let at = host.line("kick Bob too slow");
    let kicked = bob.expect_where("kicked", at, SOON, |_| true);
    assert_eq!((kicked.text("/reason"), kicked.text("/text")), ("left.kicked", "too slow"));
    ended(&bob, 4);
    host.line("close");
    host.expect_where("settings_changed", at, SOON, |event| event.json["changes"][0]["setting"] == "closed");
    game.refused("join.closed", &["--password-file", &word]);
    let at = host.line("open");
    host.expect_where("settings_changed", at, SOON, |event| event.json["changes"][0]["new"] == false);
    let cem = game.client(&["join", "--name", "arena", "--identity", &account, "--password-file", &word]);
    cem.expect("joined", SOON);
    let prefix = host.expect_where("member_joined", at, SOON, |_| true).account()[..8].to_owned();
    host.line(&format!("ban {prefix}"));
    ended(&cem, 4);
    assert_eq!(cem.expect("kicked", SOON).text("/reason"), "left.banned");
    game.refused("join.banned", &["--identity", &account, "--password-file", &word]);
    game.refused("join.incompatible", &["--game-version", "2", "--password-file", &word]);
    for path in [word, wrong, account] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn by_name_id_code_link_and_address() {
    let game = Game::new("ways");
    let host = game.host(&[]);
    let ready = host.expect("ready", SOON);
    let at = format!("127.0.0.1:{}", game.port);
    let ways: [&[&str]; 6] = [
        &["--name", "arena"],
        &["--id", ready.id()],
        &["--code", ready.text("/code")],
        &["--link", ready.text("/link")],
        &["--at", "127.0.0.1", "--no-beacon"],
        &["--at", &at, "--code", ready.text("/code")],
    ];
    for way in ways {
        let client = game.client(&[&["join"], way].concat());
        assert_eq!(client.expect("joined", SOON).id(), ready.id());
        client.line("leave");
        ended(&client, 0);
    }
    // On one machine a unicast to the shared port reaches one of those that share it, so the host may not have heard it.
    let find = game.ends(0, &["find", "--at", &at, "--no-beacon", "--enough", "1"]);
    assert_eq!(find.expect("found", SOON).id(), ready.id());
}

#[test]
fn members_attributes_are_shown_inside_only_and_move_no_filter() {
    let game = Game::new("hidden");
    let host = game.host(&["--members-attr", "seed=7", "--attr", "map=dust"]);
    for filter in ["seed == 7", "seed > 0", "seed exists"] {
        game.ends(1, &["find", "--timeout", "300ms", "--filter", filter]);
    }
    let find = game.ends(0, &["find", "--enough", "1", "--filter", "seed missing"]);
    assert_eq!(find.expect("found", SOON).field("/session/attributes").to_string(), "{\"map\":\"dust\"}");
    let bob = game.member("Bob");
    assert_eq!(bob.expect("joined", SOON).number("/session/attributes/seed"), 7);
    let at = host.line("set seed=8");
    bob.expect_where("settings_changed", at, SOON, |event| event.json["session"]["attributes"]["seed"] == 8);
    game.ends(1, &["find", "--timeout", "300ms", "--filter", "seed == 8"]);
}

#[test]
fn a_killed_host_is_5() {
    let game = Game::new("killed");
    let host = game.host(&[]);
    let bob = game.member("Bob");
    let at = host.signal("KILL");
    assert_eq!(bob.expect_where("host_lost", at, SOON, |_| true).text("/reason"), "left.host_lost");
    ended(&bob, 5);
}

#[test]
fn signals_end_gracefully_and_the_end_of_input_ends_nothing() {
    let game = Game::new("signals");
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" \"$@\" < /dev/null"]).arg(example("host"));
    command.args(game.command("host", &["--name", "arena"]).get_args());
    let host = Proc::start(&mut command, "host without input".into());
    host.expect("ready", SOON);
    let bob = game.member("Bob");
    let cem = game.member("Cem");
    let list = game.client(&["browse"]);
    list.expect("found", SOON);
    let at = cem.signal("TERM");
    ended(&cem, 0);
    assert_eq!(cem.expect("left", SOON).text("/reason"), "left.left");
    host.expect_where("member_left", at, SOON, |event| event.json["reason"] == "left.left");
    list.signal("INT");
    ended(&list, 0);
    let at = host.signal("TERM");
    ended(&host, 0);
    bob.expect_where("destroyed", at, SOON, |_| true);
    ended(&bob, 4);
}

#[test]
fn bad_words_are_2_with_the_usage_and_help_is_0() {
    let bad: [(&str, &[&str]); 17] = [
        ("host", &[]),
        ("host", &["--game", "g"]),
        ("host", &["--game", "g", "--name", ""]),
        ("host", &["--game", "g", "--name", "n", "--max-members", "many"]),
        ("host", &["--game", "g", "--name", "n", "--max-members", "0"]),
        ("host", &["--game", "g", "--name", "n", "--attr", "map"]),
        ("host", &["--game", "g", "--name", "n", "--attr", "@map=1"]),
        ("host", &["--game", "g", "--name", "n", "--policy", "secret"]),
        ("host", &["--game", "g", "--name", "n", "--password-file", "/nowhere/word"]),
        ("host", &["--game", "g", "--name", "n", "--bogus"]),
        ("client", &["--game", "g"]),
        ("client", &["look", "--game", "g"]),
        ("client", &["find", "--game", "g", "--filter", "map ="]),
        ("client", &["find", "--game", "g", "--timeout", "soon"]),
        ("client", &["find", "--game", "g", "--take", "101"]),
        ("client", &["join", "--game", "g", "--code", "AAA"]),
        ("client", &["join", "--game", "g", "--name", "n", "--code", "AAA-AAA"]),
    ];
    for (program, words) in bad {
        let output = Command::new(example(program)).args(words).arg("--loopback").output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{program} {words:?}: {said}");
        assert!(said.starts_with(program) && said.contains("\nusage: "), "{program} {words:?}: {said}");
    }
    for program in ["host", "client"] {
        let output = Command::new(example(program)).arg("--help").output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8(output.stdout).unwrap().starts_with(program));
    }
}

#[test]
fn the_readme_names_every_flag() {
    let readme = std::fs::read_to_string("README.md").unwrap();
    for program in ["host", "client"] {
        let output = Command::new(example(program)).arg("--help").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        for flag in help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).filter(|w| w.starts_with("--")) {
            assert!(readme.contains(flag), "README does not name {flag} of {program}");
        }
    }
}
