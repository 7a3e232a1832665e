//! A game on a node: it hosts a session, keeps a list open and prints what it is told and what the library logs.

use std::env;
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use lansession::{Event, Lan, LanEvent, SessionQuery, SessionSettings};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Level, Metadata, Subscriber};

use super::helper;
use super::lan::Node;
use super::native;
use super::process::Proc;

/// Hosts a session of that name and browses, and tells what its game is told and what is logged. Its UDP sockets and its
/// clock obey the file `orders` (see `c/deny.c`).
pub(crate) fn start(node: &Node, name: &str, orders: &Path, seconds: u64) -> Proc {
    let (deny, what) = (native::deny(), format!("{name} {seconds}"));
    helper::start(node.name(), "player::acts", &what, &[("LD_PRELOAD", deny.as_path()), ("LANSESSION_DENY", orders)])
}

/// No test: what the function above starts. It does nothing when it is run as a test.
#[test]
#[ignore = "started by other tests"]
fn acts() {
    let Ok(text) = env::var(helper::ACT) else { return };
    let (name, seconds) = text.split_once(' ').expect("a name and a time");
    println!();
    play(name, seconds.parse().expect("a number"));
}

/// Prints a line for each warning and error of the library.
struct Log;

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!("{}={value:?} ", field.name()));
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("lansession") && *metadata.level() <= Level::WARN
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        println!("{}", json!({ "event": "log", "text": text.0 }));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Plays for so long. Whatever panics ends it with a code that is not 0.
fn play(name: &str, seconds: u64) {
    tracing::subscriber::set_global_default(Log).expect("the first subscriber");
    let lan = Lan::builder(super::GAME).start().expect("a start");
    let mut events = lan.events();
    let ada = lan.sign_in(name).expect("a user");
    let room = ada.host(SessionSettings::new(name)).wait(Duration::from_secs(5)).expect("a session");
    let browser = lan.browse(SessionQuery::new()).expect("a browser");
    println!("{}", json!({ "event": "ready", "id": room.id().to_string() }));
    let (end, mut before) = (Instant::now() + Duration::from_secs(seconds), Vec::new());
    while Instant::now() < end {
        match events.wait(Duration::from_millis(20)) {
            Some(Event::Lan(LanEvent::Trouble(text))) => println!("{}", json!({ "event": "trouble", "text": text })),
            Some(Event::Lan(LanEvent::Recovered(text))) => {
                println!("{}", json!({ "event": "recovered", "text": text }))
            }
            _ => {}
        }
        let found = browser.list();
        let reached = found.iter().filter(|found| found.is_confirmed() && !found.is_silent());
        let mut names: Vec<String> = reached.map(|found| found.name().to_owned()).collect();
        names.sort();
        if names != before {
            println!("{}", json!({ "event": "list", "names": names }));
            before = names;
        }
    }
    println!("{}", json!({ "event": "over" }));
}
