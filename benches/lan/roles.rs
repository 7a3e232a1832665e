//! What a process on a node does: it hosts, finds once or browses, and writes one JSON line for each thing that happens.

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use lansession::{BrowserEvent, Lan, SessionQuery, SessionSettings};
use serde_json::{Value, json};

/// What ends a process.
type Failure = Box<dyn std::error::Error>;

const LONG: Duration = Duration::from_secs(30);

/// Time since right before the first call of the library.
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        let clock = Self(Instant::now());
        clock.say("start", json!({}));
        clock
    }

    fn say(&self, event: &str, mut what: Value) {
        what["event"] = event.into();
        what["at_ms"] = (self.0.elapsed().as_secs_f64() * 1e3).into();
        let mut out = std::io::stdout().lock();
        // Nobody listens any more where this fails, and the next read of the input ends the process.
        let _ = writeln!(out, "{what}").and_then(|()| out.flush());
    }

    /// Memory and processor time of this process so far.
    fn usage(&self) {
        let figure = |file: &str, key: &str| -> Option<u64> {
            let text = std::fs::read_to_string(file).ok()?;
            text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
        };
        let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let cpu: u64 = tasks
            .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
            .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
            .sum();
        let rss = figure("/proc/self/status", "VmRSS:");
        let own = figure("/proc/self/smaps_rollup", "Private_Dirty:");
        self.say("usage", json!({ "rss_kib": rss, "private_kib": own, "cpu_ns": cpu }));
    }
}

/// Lines of the standard input, until its end.
fn lines() -> Receiver<String> {
    let (to, from) = channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                break;
            }
        }
    });
    from
}

fn done(run: impl FnOnce() -> Result<(), Failure>) -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Hosts a session until `quit` or the input's end.
pub(crate) fn advertise(name: &str) -> ExitCode {
    done(|| {
        let input = lines();
        let clock = Clock::start();
        let lan = Lan::builder(super::GAME).start()?;
        let settings = SessionSettings::new(name).max_members(8).attr("map", "dust").attr("mode", "ffa");
        let session = lan.sign_in("Host")?.host(settings).wait(LONG)?;
        clock.say("ready", json!({}));
        while let Ok(line) = input.recv() {
            match line.as_str() {
                "usage" => clock.usage(),
                _ => break,
            }
        }
        session.destroy().wait(LONG)?;
        Ok(lan.close().wait(LONG)?)
    })
}

/// Finds so many sessions, for at most so many seconds.
pub(crate) fn seek(count: &str, seconds: &str) -> ExitCode {
    done(|| {
        let (count, seconds) = (count.parse()?, seconds.parse()?);
        let clock = Clock::start();
        let lan = Lan::builder(super::GAME).start()?;
        let query = SessionQuery::new().enough(count).timeout(Duration::from_secs(seconds));
        let found = lan.find(query).wait(LONG)?;
        clock.say("found", json!({ "count": found.len() }));
        Ok(lan.close().wait(LONG)?)
    })
}

/// Browses until `quit` or the input's end.
pub(crate) fn browse() -> ExitCode {
    done(|| {
        let input = lines();
        let clock = Clock::start();
        let lan = Lan::builder(super::GAME).start()?;
        let list = lan.browse(SessionQuery::new())?;
        let mut events = list.events();
        let mut names = std::collections::BTreeMap::new();
        loop {
            match events.wait(Duration::from_millis(50)) {
                Some(BrowserEvent::Found(found)) => {
                    clock.say("found", json!({ "session": { "name": found.name() } }));
                    names.insert(found.key(), found.name().to_owned());
                }
                Some(BrowserEvent::Lost(key)) => {
                    clock.say("lost", json!({ "session": { "name": names.remove(&key) } }));
                }
                _ => {}
            }
            match input.try_recv() {
                Ok(line) if line == "usage" => clock.usage(),
                Err(std::sync::mpsc::TryRecvError::Empty) => {}
                _ => break,
            }
        }
        Ok(lan.close().wait(LONG)?)
    })
}
