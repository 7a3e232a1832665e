//! Links from one process of a game to another, over the local socket: two processes of the example, and a socket of ours
//! that says what no game says.
//!
//! It runs the programs of this build, which `cargo test` builds before it. Everything waited for has a bound.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(all(unix, feature = "net"))]

use std::fs::{self, DirBuilder, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lansession::{
    ErrorKind, Event, Events, HostKey, JoinLink, Lan, Preset, SessionId, SessionKey, UiTarget, UserEvent, hand_over,
};

use programs::process::Proc;

mod programs;

const SOON: Duration = Duration::from_secs(20);

/// One user's login: a game, a runtime directory, a port on loopback.
struct Login {
    game: String,
    port: String,
    runtime: PathBuf,
}

impl Login {
    fn new(name: &str) -> Self {
        // Not under target: a socket's path has about a hundred bytes.
        let runtime = std::env::temp_dir().join(format!("lansession-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&runtime);
        DirBuilder::new().mode(0o700).create(&runtime).unwrap();
        let port = Lan::builder("test.port").preset(Preset::Loopback).start().unwrap().beacon_port();
        Self { game: format!("test.{name}.{}", std::process::id()), port: port.to_string(), runtime }
    }

    fn start(&self, program: &str, words: &[&str]) -> Proc {
        // target/PROFILE/deps/handover-HASH
        let this = std::env::current_exe().unwrap();
        let program_path = this.ancestors().nth(2).unwrap().join("examples").join(program);
        assert!(program_path.exists(), "{} is not built: cargo build --examples", program_path.display());
        let mut command = Command::new(program_path);
        command.args(words).args(["--json", "--game", &self.game, "--loopback", "--beacon-port", &self.port]);
        command.env("XDG_RUNTIME_DIR", &self.runtime);
        Proc::start(&mut command, format!("{program} {}", words.join(" ")))
    }

    /// The process that receives links.
    fn first(&self) -> Proc {
        let first = self.start("client", &["browse", "--receive-links"]);
        first.expect("receiving_links", SOON);
        first
    }

    fn open(&self, link: &JoinLink) -> Proc {
        self.start("client", &["open", &link.to_string()])
    }

    fn link(&self, name: &str) -> JoinLink {
        let founder = HostKey::from_bytes([9; 32]).unwrap();
        let key = SessionKey { id: SessionId::from_name(name), founder };
        JoinLink::new(self.game.clone(), key, founder, ["192.168.0.7:40000".parse().unwrap()]).unwrap()
    }

    fn directory(&self) -> PathBuf {
        self.runtime.join("lansession")
    }

    fn file(&self, ending: &str) -> PathBuf {
        let all: Vec<PathBuf> = fs::read_dir(self.directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
        let with = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == ending);
        all.iter().find(with).unwrap_or_else(|| panic!("no .{ending} in {all:?}")).clone()
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.runtime);
    }
}

fn ended(program: &Proc, code: i32) {
    assert_eq!(program.exit(SOON), Some(code), "{}", program.transcript());
}

fn said(program: &Proc, code: i32, why: &str) {
    ended(program, code);
    assert!(program.stderr().contains(why), "{}", program.transcript());
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says these bytes and what came back; `None` where the socket was closed without a word.
fn say(socket: &Path, bytes: &[u8]) -> Option<u8> {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    // The other side may have had enough before it has read all of it.
    let _ = stream.write_all(bytes);
    let mut answer = [0];
    stream.read_exact(&mut answer).ok().map(|()| answer[0])
}

fn frame(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

#[test]
fn a_second_process_hands_its_link_to_the_first() {
    let login = Login::new("two");
    let link = login.link("arena");
    let first = login.first();
    assert_eq!((mode(&login.directory()), mode(&login.file("sock"))), (0o700, 0o600));
    let second = login.open(&link);
    ended(&second, 0);
    second.expect("handed_over", SOON);
    let asked = first.expect("ui_join_requested", SOON);
    assert_eq!(asked.text("/link"), link.to_string());
    assert_eq!(asked.text("/session/id"), link.id().to_string());

    // One process receives links; another is told so, and a link to another game is none of theirs.
    said(&login.start("client", &["browse", "--receive-links"]), 1, "receives links");
    let foreign = link.to_string().replace("test.two", "test.three");
    said(&login.start("client", &["open", &foreign]), 2, "the link is of the game");
    assert_eq!(first.all("ui_join_requested").len(), 1);

    // The place is given up with the process, in order or not.
    let socket = login.file("sock");
    first.line("quit");
    ended(&first, 0);
    assert!(!socket.exists());
    assert_eq!(fs::read_dir(login.directory()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn where_nobody_receives_links_the_opener_is_the_first_process_and_asks_before_it_joins() {
    let login = Login::new("alone");
    let host = login.start("host", &["--name", "arena", "--player", "Ada"]);
    let ready = host.expect("ready", SOON);
    // The host prints its link only where one looks at its snapshot; what is in it is known.
    let id: SessionId = ready.id().parse().unwrap();
    let founder: HostKey = ready.text("/session/host_key").parse().unwrap();
    let address = ready.field("/session/addresses/0").as_str().unwrap().parse().unwrap();
    let link = JoinLink::new(login.game.clone(), SessionKey { id, founder }, founder, [address]).unwrap();
    let opener = login.open(&link);
    opener.expect("ui_join_requested", SOON);
    // It receives further ones itself now.
    let other = login.link("other");
    ended(&login.open(&other), 0);
    opener.until("the second link", SOON, |events| {
        events
            .iter()
            .find(|event| event.kind == "ui_join_requested" && event.text("/link") == other.to_string())
            .cloned()
    });
    ended(&login.open(&link), 0);
    opener.until("the third link", SOON, |events| {
        (events.iter().filter(|event| event.kind == "ui_join_requested").count() == 3).then_some(())
    });
    assert!(host.all("member_joined").iter().all(|event| event.field("/me") == true), "nobody joins unasked");
    opener.line("yes");
    opener.expect("joined", SOON);
    host.until("a newcomer", SOON, |events| {
        events.iter().find(|event| event.kind == "member_joined" && event.json["me"] != true).cloned()
    });
    opener.line("leave");
    ended(&opener, 0);
}

#[test]
fn what_a_dead_process_left_is_replaced() {
    let login = Login::new("stale");
    let first = login.first();
    let socket = login.file("sock");
    first.signal("KILL");
    assert_eq!(first.exit(SOON), None);
    assert!(socket.exists(), "SIGKILL cleans nothing up");
    assert!(UnixStream::connect(&socket).is_err());
    let second = login.first();
    ended(&login.open(&login.link("arena")), 0);
    second.expect("ui_join_requested", SOON);
}

#[test]
fn a_process_that_goes_without_a_word_has_not_taken_the_link() {
    let login = Login::new("going");
    let first = login.first();
    let socket = login.file("sock");
    first.line("quit");
    ended(&first, 0);
    // One that closes while the link is on its way.
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let going = std::thread::spawn(move || drop(listener.accept()));
    let opener = login.open(&login.link("arena"));
    opener.expect("ui_join_requested", SOON);
    going.join().unwrap();
}

#[test]
fn a_place_that_others_have_rights_in_is_refused_by_both_sides() {
    let login = Login::new("rights");
    DirBuilder::new().mode(0o700).create(login.directory()).unwrap();
    for mode in [0o755, 0o770, 0o701] {
        fs::set_permissions(login.directory(), Permissions::from_mode(mode)).unwrap();
        let why = format!("others have rights in it (mode {mode:o}, it must be 700)");
        said(&login.start("client", &["browse", "--receive-links"]), 1, &why);
        said(&login.open(&login.link("arena")), 1, &why);
    }
    assert_eq!(fs::read_dir(login.directory()).unwrap().count(), 0);
    // A link to another directory is no directory.
    fs::remove_dir(login.directory()).unwrap();
    std::os::unix::fs::symlink(std::env::temp_dir(), login.directory()).unwrap();
    said(&login.start("client", &["browse", "--receive-links"]), 1, "it is no directory");
    said(&login.open(&login.link("arena")), 1, "it is no directory");
    fs::remove_file(login.directory()).unwrap();
    // What lies in the socket's place and is none is not spoken to.
    let first = login.first();
    let socket = login.file("sock");
    fs::remove_file(&socket).unwrap();
    fs::write(&socket, "no socket").unwrap();
    said(&login.open(&login.link("arena")), 1, "no socket of this user");
    drop(first);
}

#[test]
fn garbage_is_refused_and_four_links_a_second_are_taken() {
    let login = Login::new("garbage");
    let first = login.first();
    let socket = login.file("sock");
    let link = login.link("arena").to_string();
    let over = format!("{link}&x={}", "x".repeat(2_048));
    for bytes in [
        frame(&over),
        vec![0xff; 70_000],
        vec![0; 2],
        frame("http://example.com"),
        frame("lansession:"),
        [&[0, 4], &[0xff_u8; 4][..]].concat(),
        frame(&link.replace("test.garbage", "test.other")),
    ] {
        // Where it does not read all of it, the system may take its answer away with the rest.
        let answer = say(&socket, &bytes);
        assert!(matches!(answer, Some(1) | None), "{answer:?} to {} bytes", bytes.len());
    }
    // One that says half of it is given up, and holds nobody up for long.
    let mut half = UnixStream::connect(&socket).unwrap();
    half.write_all(&frame(&link)[..20]).unwrap();
    let started = Instant::now();
    assert_eq!(say(&socket, &frame(&link)), Some(0));
    assert!(started.elapsed() < SOON);
    first.expect("ui_join_requested", SOON);
    assert_eq!(first.all("ui_join_requested").len(), 1, "nothing that was refused is shown");

    // Three more have room in this second, at most; how many of these fall into one depends on this machine, so the last
    // is one that comes right after four.
    let mut refused = 0;
    until("a fifth link in a second", || {
        let answers: Vec<_> = (0..5).map(|_| say(&socket, &frame(&link)).unwrap()).collect();
        refused += answers.iter().filter(|answer| **answer == 2).count();
        assert!(answers.iter().all(|answer| matches!(answer, 0 | 2)), "{answers:?}");
        refused > 0
    });
    let taken = |first: &Proc| first.all("ui_join_requested").len();
    // It goes on taking them afterwards.
    let before = taken(&first);
    until("room for another", || say(&socket, &frame(&link)) == Some(0));
    until("its event", || taken(&first) > before);
    first.line("quit");
    ended(&first, 0);
}

/// Runs one test of this file in a process of its own, with a runtime directory of its own.
fn alone(login: &Login, name: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--ignored", "--nocapture"]).env("XDG_RUNTIME_DIR", &login.runtime);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn in_one_process_the_first_user_gets_them() {
    alone(&Login::new("one"), "child_several_users_and_lans");
}

fn shown(events: &mut Events<UserEvent>) -> JoinLink {
    match events.wait(SOON) {
        Some(UserEvent::UiJoinRequested { target: UiTarget::Link(link), .. }) => link,
        other => panic!("{other:?}"),
    }
}

#[test]
#[ignore = "run by in_one_process_the_first_user_gets_them, with a runtime directory of its own"]
fn child_several_users_and_lans() {
    let game = "test.handover.child";
    let founder = HostKey::from_bytes([9; 32]).unwrap();
    let key = SessionKey { id: SessionId::from_name("arena"), founder };
    let link = JoinLink::new(game, key, founder, []).unwrap();
    assert!(!hand_over(game, &link).unwrap(), "nobody is there");
    let lan = || Lan::builder(game).preset(Preset::Loopback);
    let (one, two) = (lan().start().unwrap(), lan().start().unwrap());
    let (ada, ann, bob) = (one.sign_in("Ada").unwrap(), one.sign_in("Ann").unwrap(), two.sign_in("Bob").unwrap());
    ada.receive_links().unwrap();
    ada.receive_links().unwrap();
    for other in [&ann, &bob] {
        assert_eq!(other.receive_links().unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
    let mut events = ada.events();
    assert!(hand_over(game, &link).unwrap());
    assert_eq!(shown(&mut events), link);
    assert_eq!(hand_over("test.another", &link).unwrap_err().kind(), ErrorKind::InvalidArgument);

    // Until sign-out; then it is anybody's. In frame mode the event comes with an update.
    ada.sign_out().wait(SOON).unwrap();
    assert!(!hand_over(game, &link).unwrap());
    bob.receive_links().unwrap();
    let mut events = bob.events();
    assert!(hand_over(game, &link).unwrap());
    assert_eq!(shown(&mut events), link);
    two.close().wait(SOON).unwrap();
    assert!(!hand_over(game, &link).unwrap());
    let mut frames = lan().start_frames().unwrap();
    let cid = frames.lan().sign_in("Cid").unwrap();
    cid.receive_links().unwrap();
    assert!(hand_over(game, &link).unwrap());
    until("the update that shows the link", || {
        frames.update().any(|event| matches!(event, Event::User { what: UserEvent::UiJoinRequested { .. }, .. }))
    });
    // The last handle dropped is as good as a sign-out.
    drop((cid, frames));
    until("the place", || !hand_over(game, &link).unwrap());

    // In a runtime that is the caller's own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut work = None;
        let given = lan().start_with(|it| work = Some(tokio::spawn(it))).unwrap();
        let dan = given.sign_in("Dan").unwrap();
        dan.receive_links().unwrap();
        let mut events = dan.events();
        let (handed, same) = (link.clone(), link.clone());
        let handing = tokio::task::spawn_blocking(move || hand_over(game, &handed));
        let event = events.next().await;
        assert!(matches!(event, Some(UserEvent::UiJoinRequested { target: UiTarget::Link(link), .. }) if link == same));
        assert!(handing.await.unwrap().unwrap());
        given.close().await.unwrap();
        work.unwrap().await.unwrap();
    });
    assert!(!hand_over(game, &link).unwrap());
}
