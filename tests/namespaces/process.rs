//! A program that runs on a node: its `--json` lines as events with the time they arrived, its input, its end.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::inside::run;
use super::timing::SECOND;

/// One `--json` line.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// When it arrived here.
    pub(crate) at: Instant,
    /// Its `event`.
    pub(crate) kind: String,
    pub(crate) json: Value,
}

/// A running program; killed when dropped.
pub(crate) struct Proc {
    title: String,
    child: Mutex<Child>,
    stdin: Mutex<Option<ChildStdin>>,
    output: Arc<Output>,
    /// When it was started.
    pub(crate) started: Instant,
}

#[derive(Default)]
struct Output {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    events: Vec<Event>,
    /// Everything it wrote, for the message of a failed test.
    transcript: Vec<String>,
    stderr: String,
    open: u8,
}

impl Event {
    /// Milliseconds since the start of the command, by its own clock.
    pub(crate) fn at_ms(&self) -> f64 {
        self.json["at_ms"].as_f64().unwrap_or_else(|| panic!("no at_ms in {}", self.json))
    }

    /// A field by JSON pointer.
    pub(crate) fn field(&self, pointer: &str) -> &Value {
        self.json.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {}", self.json))
    }

    /// A text by JSON pointer.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.field(pointer).as_str().unwrap_or_else(|| panic!("{pointer} is no text in {}", self.json))
    }

    /// A number by JSON pointer.
    pub(crate) fn number(&self, pointer: &str) -> u64 {
        self.field(pointer).as_u64().unwrap_or_else(|| panic!("{pointer} is no number in {}", self.json))
    }

    /// The session's name.
    pub(crate) fn name(&self) -> &str {
        self.text("/session/name")
    }

    /// The session's id.
    pub(crate) fn id(&self) -> &str {
        self.text("/session/id")
    }

    /// The account of the member the event is about.
    pub(crate) fn account(&self) -> &str {
        self.text("/member/account")
    }

    /// Whether somebody came who was not there before.
    fn is_newcomer(&self) -> bool {
        self.kind == "member_joined" && self.json["present_before"] != true && self.json["me"] != true
    }

    /// The session's sources, sorted.
    pub(crate) fn sources(&self) -> Vec<&str> {
        let list = self.field("/session/sources").as_array().expect("sources is a list");
        let mut sources: Vec<_> = list.iter().filter_map(Value::as_str).collect();
        sources.sort_unstable();
        sources
    }
}

impl Proc {
    /// Starts the command; `title` names it in messages.
    pub(crate) fn start(command: &mut Command, title: String) -> Self {
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{title}: {e}"));
        let output = Arc::new(Output::default());
        output.lock().open = 2;
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        let to = Arc::clone(&output);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                to.line(line);
            }
            to.closed();
        });
        let to = Arc::clone(&output);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut state = to.lock();
                state.stderr.push_str(&line);
                state.stderr.push('\n');
                state.transcript.push(format!("! {line}"));
            }
            to.closed();
        });
        let stdin = Mutex::new(child.stdin.take());
        Self { title, child: Mutex::new(child), stdin, output, started }
    }

    /// Its number in the process namespace of the test.
    pub(crate) fn pid(&self) -> u32 {
        self.child.lock().expect("no waiter panics").id()
    }

    /// The first event of this kind since the start.
    pub(crate) fn expect(&self, kind: &str, within: Duration) -> Event {
        self.expect_where(kind, self.started, within, |_| true)
    }

    /// The first event of this kind that arrived at `since` or later and fits.
    pub(crate) fn expect_where(
        &self,
        kind: &str,
        since: Instant,
        within: Duration,
        fits: impl Fn(&Event) -> bool,
    ) -> Event {
        self.until(kind, within, |events| events.iter().find(|e| e.kind == kind && e.at >= since && fits(e)).cloned())
    }

    /// Waits until `look` sees what it looks for among all events. Panics with what the program wrote when the time is
    /// over or the program has ended.
    pub(crate) fn until<T>(&self, what: &str, within: Duration, look: impl Fn(&[Event]) -> Option<T>) -> T {
        let end = Instant::now() + within;
        let mut state = self.output.lock();
        loop {
            if let Some(found) = look(&state.events) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            let over = state.open == 0;
            if left.is_zero() || over {
                let why = if over { "ended" } else { "is silent" };
                let transcript = state.transcript.join("\n  ");
                drop(state);
                panic!("{} {why}; waited {within:?} for {what}; it wrote:\n  {transcript}", self.title);
            }
            state = self.output.changed.wait_timeout(state, left).expect("no reader panics").0;
        }
    }

    /// Every event so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.output.lock().events.clone()
    }

    /// Every event of this kind so far.
    pub(crate) fn all(&self, kind: &str) -> Vec<Event> {
        self.output.lock().events.iter().filter(|e| e.kind == kind).cloned().collect()
    }

    /// The `member_joined` of those who came while it was there.
    pub(crate) fn newcomers(&self) -> Vec<Event> {
        self.events().into_iter().filter(Event::is_newcomer).collect()
    }

    /// The first who came at `since` or later.
    pub(crate) fn newcomer(&self, since: Instant) -> Event {
        self.expect_where("member_joined", since, SECOND, Event::is_newcomer)
    }

    /// What it wrote on standard error.
    pub(crate) fn stderr(&self) -> String {
        self.output.lock().stderr.clone()
    }

    /// Everything it wrote, for messages.
    pub(crate) fn transcript(&self) -> String {
        format!("{}:\n  {}", self.title, self.output.lock().transcript.join("\n  "))
    }

    /// Writes a line to its standard input; returns when that was.
    pub(crate) fn line(&self, text: &str) -> Instant {
        let mut stdin = self.stdin.lock().expect("no writer panics");
        let pipe = stdin.as_mut().expect("standard input is open");
        let at = Instant::now();
        pipe.write_all(format!("{text}\n").as_bytes()).unwrap_or_else(|e| panic!("{}: {text}: {e}", self.title));
        at
    }

    /// Sends a signal (`TERM`, `KILL`, `STOP`, `CONT`, `INT`); returns when that was.
    pub(crate) fn signal(&self, name: &str) -> Instant {
        let pid = self.child.lock().expect("no waiter panics").id().to_string();
        let at = Instant::now();
        run("sh", &["-c", "kill -s \"$0\" \"$1\"", name, &pid]);
        at
    }

    /// Waits for its end and for everything it wrote; the exit code, `None` after a signal.
    pub(crate) fn exit(&self, within: Duration) -> Option<i32> {
        let end = Instant::now() + within;
        loop {
            let status = self.child.lock().expect("no waiter panics").try_wait();
            if let Some(status) = status.expect("a child can be waited for") {
                self.drained(end);
                return status.code();
            }
            assert!(Instant::now() < end, "{} still runs after {within:?}; {}", self.title, self.transcript());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until both its outputs are closed: the readers have then seen all of it.
    fn drained(&self, end: Instant) {
        let mut state = self.output.lock();
        while state.open > 0 && Instant::now() < end {
            let left = end.saturating_duration_since(Instant::now());
            state = self.output.changed.wait_timeout(state, left).expect("no reader panics").0;
        }
    }
}

impl Drop for Proc {
    fn drop(&mut self) {
        if let Ok(child) = self.child.get_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl fmt::Debug for Proc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}

impl Output {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no reader panics")
    }

    fn line(&self, line: String) {
        let at = Instant::now();
        let json: Option<Value> = serde_json::from_str(&line).ok();
        let mut state = self.lock();
        state.transcript.push(line);
        if let Some((json, kind)) = json.and_then(|j| j["event"].as_str().map(str::to_owned).map(|kind| (j, kind))) {
            state.events.push(Event { at, kind, json });
        }
        drop(state);
        self.changed.notify_all();
    }

    fn closed(&self) {
        self.lock().open -= 1;
        self.changed.notify_all();
    }
}
