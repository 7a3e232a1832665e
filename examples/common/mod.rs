//! What the example programs share: words of the command line, lines of output, what ends a program.

#![allow(dead_code)] // each program uses its part

pub(crate) mod args;
pub(crate) mod output;
#[cfg(feature = "serde")]
pub(crate) mod saved;
pub(crate) mod social;

use std::process::ExitCode;

use lansession::{Error, ErrorKind, Events, Identity, Lan, LanBuilder, Preset, Profile, Session, SessionEvent, Value};

use args::Args;
use output::Output;

/// Anything that ends a program with a message.
pub(crate) type Failure = Box<dyn std::error::Error>;

/// A value of the command line: `12` integer, `1.5` float, `true` / `false`, `"12"` string, anything else string.
pub(crate) fn value(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => {
            if let Some(quoted) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                return Value::String(quoted.to_owned());
            }
            if let Ok(int) = text.parse() {
                return Value::Int(int);
            }
            let numeric = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
            match text.parse::<f64>() {
                Ok(float) if numeric && float.is_finite() => Value::Float(float),
                _ => Value::String(text.to_owned()),
            }
        }
    }
}

/// `KEY=VALUE`.
pub(crate) fn attribute(text: &str) -> Result<(String, Value), Failure> {
    let (key, text) = text.split_once('=').ok_or_else(|| format!("{text:?} is not KEY=VALUE"))?;
    Ok((key.to_owned(), value(text)))
}

/// The library, after the flags that all programs take.
pub(crate) fn lan(args: &mut Args) -> Result<LanBuilder, Failure> {
    let mut lan = Lan::builder(args.required("--game")?);
    if args.flag("--loopback") {
        // The preset's random port is for tests; two programs that are to meet need one port.
        lan = lan.preset(Preset::Loopback).beacon_port(LanBuilder::BEACON_PORT);
    }
    for interface in args.all("--interface")? {
        lan = lan.interface(interface);
    }
    if let Some(port) = args.parsed("--beacon-port")? {
        lan = lan.beacon_port(port);
    }
    if let Some(version) = args.parsed("--game-version")? {
        lan = lan.version(version);
    }
    if args.flag("--no-mdns") {
        lan = lan.mdns(false);
    }
    if args.flag("--no-beacon") {
        lan = lan.beacons(false);
    }
    Ok(lan)
}

/// Who plays: `--player NAME`, and `--identity FILE` to be the same account next time.
pub(crate) fn profile(args: &mut Args, name: &str) -> Result<Profile, Failure> {
    let profile = Profile::new(args.one("--player")?.unwrap_or_else(|| name.to_owned()));
    Ok(match args.one("--identity")? {
        Some(file) => profile.identity(Identity::load_or_create(file)?),
        None => profile,
    })
}

/// The password in a file, without its last line end; the command line itself is public on most systems.
pub(crate) fn password(args: &mut Args) -> Result<Option<String>, Failure> {
    let Some(file) = args.one("--password-file")? else { return Ok(None) };
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Lines of standard input.
pub(crate) type Lines = tokio::sync::mpsc::Receiver<String>;

/// Lines of standard input, read by a thread of its own; the channel closes at the end of input.
pub(crate) fn lines() -> Lines {
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(line) = line else { break };
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The next line, or never after the end of input.
pub(crate) async fn next_line(lines: &mut Lines) -> String {
    match lines.recv().await {
        Some(line) => line.trim().to_owned(),
        None => std::future::pending().await,
    }
}

/// SIGINT and SIGTERM, or Ctrl-C where there are no signals. Listened for from the moment it is made: one that comes
/// before the program waits for it is not lost.
pub(crate) struct Stop {
    #[cfg(unix)]
    signals: Option<(tokio::signal::unix::Signal, tokio::signal::unix::Signal)>,
}

impl Stop {
    #[cfg(unix)]
    pub(crate) fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self { signals: signal(SignalKind::interrupt()).ok().zip(signal(SignalKind::terminate()).ok()) }
    }

    #[cfg(not(unix))]
    pub(crate) fn new() -> Self {
        Self {}
    }

    /// Returns at the first signal.
    pub(crate) async fn wait(&mut self) {
        #[cfg(unix)]
        if let Some((int, term)) = &mut self.signals {
            tokio::select! {
                _ = int.recv() => {}
                _ = term.recv() => {}
            }
            return;
        }
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Prints what is still told after the seat was given up, up to its last event.
pub(crate) async fn last_words(session: &Session, events: &mut Events<SessionEvent>, output: &Output) {
    let all = async {
        while let Some(event) = events.next().await {
            output.session(session, &event);
            if matches!(event, SessionEvent::Left { .. }) {
                break;
            }
        }
    };
    // It is there at once, or never.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(1), all).await;
}

/// What a program ends with after an error: 2 and its usage where the words were wrong, 1 where something else was.
pub(crate) fn failed(program: &str, error: &Failure, usage: &str) -> ExitCode {
    match error.downcast_ref::<Error>() {
        Some(error) if error.kind() != ErrorKind::InvalidArgument => {
            eprintln!("{program}: {error}");
            ExitCode::from(1)
        }
        _ => {
            eprintln!("{program}: {error}\n\nusage: {usage}");
            ExitCode::from(2)
        }
    }
}
