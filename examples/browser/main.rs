//! A server browser in the terminal: the live list with a filter line, details, joining, chat, friends, invites, diagnosis.
//!
//! ```sh
//! cargo run --example browser -- --game com.example.boxes --player Bob --identity bob.key
//! ```
//!
//! Beside three `cargo run --example host -- --game com.example.boxes --loopback …`, sorted by their attribute `map`, while
//! somebody types a filter (captured with tmux at 80x24; all screens here without their empty lines):
//!
//! ```text
//!  lansession browser · com.example.boxes                          Bob (5DFA941B)
//!  1 Sessions (3)  2 Recent  3 Friends  4 Invites  5 Diagnosis  6 Session
//! ┌ Sessions by map, smallest first ─────────────────────────────────────────────┐
//! │ Name                      Players      Ping State             map            │
//! │ late night                    1/1    0.4 ms full              "dust"         │
//! │ Ada's room                    1/4    0.3 ms open              "dust"         │
//! │ Cem's den                     1/2    0.5 ms open, password    "nuke"         │
//! └──────────────────────────────────────────────────────────────────────────────┘
//!  filter: map = "dust"
//!              ^ `=` alone is no comparison: write `==`
//! Type a filter, as map == "dust" and @open_slots > 0    Enter done
//! ```
//!
//! From within a session, after a friend was invited and did not want to come:
//!
//! ```text
//!  lansession browser · com.example.boxes                          Bob (77SY5GXA)
//!  1 Sessions (1)  2 Recent  3 Friends  4 Invites  5 Diagnosis  6 Session
//! ┌ Ada's room · 8A3-57P ────────────────────────────────────────────────────────┐
//! │ 2/4 players · public · lobby · revision 1.2                                  │
//! │ attributes: map="dust"                                                       │
//! │ the game's own ports: game at 127.0.0.1:7777                                 │
//! └──────────────────────────────────────────────────────────────────────────────┘
//! ┌ Members ───────────────────────┐┌ What happens ──────────────────────────────┐
//! │  0 Ada                     host││ * you invite Dee                           │
//! │  1 Bob                      you││ * the invite to Dee: delivered             │
//! │                                ││ * the invite to Dee: rejected              │
//! └────────────────────────────────┘└────────────────────────────────────────────┘
//!  You are not ready.
//!
//! t talk  r ready  d link  i invite a friend  f befriend  l leave  ? help  q quit
//! ```
//!
//! And at the friend's, once Bob has let friends find him:
//!
//! ```text
//!  lansession browser · com.example.boxes                          Dee (ZQAB1S67)
//!  1 Sessions (1)  2 Recent  3 Friends  4 Invites (1)  5 Diagnosis  6 Session
//! ┌ Friends · they cannot find you ──────────────────────────────────────────────┐
//! │ You are ZQAB1S67T6NPFNCTWWZACZ0TVRT91Z9PQT99VPM6J981P93T7VS0                 │
//! │ Bob                          77SY5GXA in Ada's room                          │
//! └──────────────────────────────────────────────────────────────────────────────┘
//!
//!
//! a add  x remove  Enter join the friend  i invite  p be found  ? help  q quit
//! ```
//!
//! How it is made: `app` is all of it but the terminal. Keys change a model, the model is drawn into a buffer, and one file,
//! `live.rs`, does with a [`FrameLoop`](lansession::FrameLoop) what the model asks for; so `tests/browser.rs` presses keys
//! and reads screens. There is no tokio and no thread of its own in it.

#[path = "../common/mod.rs"]
mod common;

mod app;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use app::Model;
use app::live::Live;
use common::saved::{Saved, default_path};
use common::{Failure, args::Args};
use lansession::JoinLink;
use ratatui::crossterm::event::{self, Event};
use ratatui::crossterm::terminal;

const USAGE: &str = "browser --game ID [--player NAME] [--identity FILE] [--saved FILE | --no-saved] [--link URI]
     [--interface NAME|ADDR]... [--loopback] [--beacon-port P] [--game-version N] [--no-mdns] [--no-beacon]
? in the browser shows its keys. Recent hosts and friends are kept in --saved, by default
$XDG_STATE_HOME/lansession/ID.json or ~/.local/state/lansession/ID.json; friends know you by your --identity.
A --link is given to the browser of this game that runs already, if one does: what a system is told to start for links.
0 quit, 1 the system refuses, 2 bad words";

/// How long a frame waits for a key.
const FRAME: Duration = Duration::from_millis(33);

fn main() -> ExitCode {
    if std::env::args().any(|word| word == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match run() {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(terminal)) => {
            eprintln!("browser: the terminal: {terminal}");
            ExitCode::FAILURE
        }
        Err(error) => common::failed("browser", &error, USAGE),
    }
}

/// What became of the terminal, once the words were right and the library runs.
fn run() -> Result<io::Result<()>, Failure> {
    let mut args = Args::from_env();
    let game = args.peek("--game")?;
    let builder = common::lan(&mut args)?;
    let passing = args.peek("--identity").is_err();
    let profile = common::profile(&mut args, "player")?;
    let named = args.one("--saved")?.map(PathBuf::from);
    let forget = args.flag("--no-saved");
    let link: Option<JoinLink> = args.parsed("--link")?;
    args.done()?;
    if let Some(link) = &link {
        if lansession::hand_over(&game, link)? {
            println!("the browser that runs has the link");
            return Ok(Ok(()));
        }
    }

    let saved = Saved::open(if forget { None } else { named.or_else(|| default_path(&game)) });
    let (mut live, mut model) = Live::start(builder, &game, profile, saved)?;
    model.passing = passing;
    if let Some(link) = &link {
        model.offer(link);
    }
    let shown = show(&mut live, &mut model);
    live.close();
    Ok(shown)
}

fn show(live: &mut Live, model: &mut Model) -> io::Result<()> {
    // No escape sequences where there is no terminal; keys that are read one by one already are given back.
    let mut terminal = ratatui::try_init().inspect_err(|_| drop(terminal::disable_raw_mode()))?;
    let shown = loop {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if !live.step(model, now) {
            break Ok(());
        }
        if let Err(error) = terminal.draw(|frame| app::draw::draw(frame, model)).and_then(|_| keys(model)) {
            break Err(error);
        }
    };
    ratatui::restore();
    shown
}

/// All keys that are there, waited for at most a frame.
fn keys(model: &mut Model) -> io::Result<()> {
    let mut wait = FRAME;
    while event::poll(wait)? {
        if let Event::Key(key) = event::read()? {
            model.key(key);
        }
        wait = Duration::ZERO;
    }
    Ok(())
}
