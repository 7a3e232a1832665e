//! A small game over the LAN: runners on one board collect gems, and one of them is "it".
//!
//! ```text
//! cargo run --example game_loop                                   # a menu: host a room, or join one
//! cargo run --example game_loop -- --host --name Ada --bots 3     # a room with three bots to play against
//! cargo run --example game_loop -- --join K7Q-F2M --name Bob      # by the room's code, its name or its link
//! cargo run --example game_loop -- --bots 4 --headless --seconds 5
//! ```
//!
//! Made to be copied from. `player.rs` and `room.rs` are what a game with a frame loop does with this library: one
//! `frames.update()` a frame, requests polled and never waited for. `net.rs` is the game's own UDP, at the port that
//! `session.endpoint("game")` gives, each packet authenticated with `session.game_key(account)`; `board.rs` the rules, which
//! the host alone applies; `screen.rs` and `app.rs` the terminal; `bots.rs` players without one. No async, no runtime.
//!
//! The lobby, in a terminal of 80 by 24 (tmux; Ada hosts, Ana and Ben are bots, Bob is another process):
//!
//! ```text
//!  Gems · Ada's room · code 2SC-YYJ · 4/8 players · lobby
//! ┌ Players ─────────────────────────────────────────────────────────────────────┐
//! │ [ ]        Ada                host                                           │
//! │ [x] ready  Ana                                                               │
//! │ [x] ready  Ben                                                               │
//! │ [x] ready  Bob                                                               │
//! └──────────────────────────────────────────────────────────────────────────────┘
//! ┌ Chat ────────────────────────────────────────────────────────────────────────┐
//! │Ana came in                                                                   │
//! │Ben came in                                                                   │
//! │Ben: hi                                                                       │
//! │Ana: hi                                                                       │
//! │Bob came in                                                                   │
//! │Bob: hello from Bob                                                           │
//! │Ada: good luck, all                                                           │
//! └──────────────────────────────────────────────────────────────────────────────┘
//! Others join from their list, by the code 2SC-YYJ, or by the link
//! lansession:JRY0KTYWRM6N78VVVSBW436ZQG?g=com.example.gems&f=JKYBWTM51VDSMEQXYBWFW
//! 877QS5QTRX160V60BB3B5QKV512BW1G&a=127.0.0.1:33065&a=%5B::1%5D:33065
//!
//!
//!
//!
//! Tab ready · Enter start · type to chat, Enter say it · Esc end the room
//! ```
//!
//! And the board, as Bob sees it:
//!
//! ```text
//!  Gems · Ada's room · code 2SC-YYJ · 4/8 players · playing
//! ┌────────────────────────────────────────────────┐┌ Scores ────────────────────┐
//! │B4        <>              <>                    ││ time 0:13   meetings 0     │
//! │      <>                                        ││                            │
//! │        ▒▒▒▒                        ▒▒▒▒        ││ A2 Ana          5          │
//! │        ▒▒                            ▒▒        ││ B3 Ben          4          │
//! │                    ▒▒▒▒▒▒▒▒                    ││ A1 Ada          0 IT       │
//! │              A1                  <>            ││ B4 Bob          0    you   │
//! │    ▒▒▒▒            ▒▒    ▒▒            ▒▒▒▒    ││                            │
//! │      ▒▒                                ▒▒      ││ <> a gem is a point        │
//! │      ▒▒                                ▒▒      ││ IT takes one where it lands│
//! │    ▒▒▒▒            ▒▒    ▒▒            ▒▒▒▒    ││                            │
//! │    <>                            <>            ││                            │
//! │      B3            ▒▒▒▒▒▒▒▒                    ││                            │
//! │        ▒▒                            ▒▒        ││                            │
//! │        ▒▒▒▒                        ▒▒▒▒        ││                            │
//! │        A2                                      ││                            │
//! │                                                ││                            │
//! └────────────────────────────────────────────────┘└────────────────────────────┘
//! Ada: good luck, all
//! The game is on.
//!
//!
//! arrows or w a s d run · Space stop · Enter chat · Esc leave
//! ```

mod app;
#[allow(dead_code, reason = "each example uses its part")]
#[path = "../common/args.rs"]
mod args;
mod board;
mod bots;
mod net;
mod player;
mod room;
mod screen;

use std::process::ExitCode;
use std::time::Duration;

use lansession::{Error, ErrorKind, Lan, LanBuilder, Preset};

use app::{App, First};
use args::Args;
use bots::Bot;
use player::{Player, Setup};

/// Anything that ends the program with a message.
pub(crate) type Failure = Box<dyn std::error::Error>;

const GAME: &str = "com.example.gems";

const USAGE: &str = "game_loop [--host | --join CODE|NAME|LINK] [--name PLAYER] [--bots N] [--seconds N] [--headless]
          [--game ID] [--loopback] [--beacon-port P]
--seconds: how long a round of this host takes, 60 by default, 1 to 3000; --bots: 0 to 7 that play against you
--headless: no terminal; 1 to 8 bots play one round on this machine's loopback
exit: 0 played (headless: and all of it happened), 1 something failed, 2 bad words";

fn main() -> ExitCode {
    if std::env::args().any(|word| word == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let what = match words(Args::from_env()) {
        Ok(what) => what,
        Err(error) => return wrong(&error),
    };
    match run(what) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("game_loop: not all of it happened");
            ExitCode::FAILURE
        }
        // A name that is too long, a port that is none: found by the library.
        Err(error) if error.downcast_ref::<Error>().is_some_and(|e| e.kind() == ErrorKind::InvalidArgument) => {
            wrong(&error)
        }
        Err(error) => {
            eprintln!("game_loop: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wrong(error: &Failure) -> ExitCode {
    eprintln!("game_loop: {error}\n\nusage: {USAGE}");
    ExitCode::from(2)
}

/// What the command line says.
struct Words {
    setup: Setup,
    name: String,
    first: First,
    bots: usize,
    headless: bool,
}

fn words(mut args: Args) -> Result<Words, Failure> {
    let headless = args.flag("--headless");
    let loopback = args.flag("--loopback") || headless;
    let port = args.parsed("--beacon-port")?;
    let mut lan = Lan::builder(args.one("--game")?.unwrap_or_else(|| GAME.to_owned()));
    if loopback {
        lan = lan.preset(Preset::Loopback);
        // The preset's random port is for tests, as the headless party is; programs that are to meet need one port.
        let port = match port {
            Some(port) => port,
            None if headless => lan.clone().start()?.beacon_port(),
            None => LanBuilder::BEACON_PORT,
        };
        lan = lan.beacon_port(port);
    } else if let Some(port) = port {
        lan = lan.beacon_port(port);
    }
    let seconds: u64 = args.parsed("--seconds")?.unwrap_or(60);
    let bots: usize = args.parsed("--bots")?.unwrap_or(if headless { 4 } else { 0 });
    let first = match (args.flag("--host"), args.one("--join")?) {
        (true, Some(_)) => return Err("--host or --join, not both".into()),
        (true, None) => First::Host,
        (false, Some(text)) => First::Join(text),
        (false, None) => First::Menu,
    };
    let name = args.one("--name")?.or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "Player".to_owned());
    args.done()?;
    if !(1..=3_000).contains(&seconds) {
        return Err(format!("--seconds {seconds}: 1 to 3000").into());
    }
    if if headless { !(1..=8).contains(&bots) } else { bots > 7 } {
        return Err(format!("--bots {bots}: headless 1 to 8, else 0 to 7").into());
    }
    Ok(Words { setup: Setup { lan, loopback, round: Duration::from_secs(seconds) }, name, first, bots, headless })
}

fn run(what: Words) -> Result<bool, Failure> {
    let Words { setup, name, first, bots, headless } = what;
    if headless {
        return bots::party(&setup, bots);
    }
    let bots = (0..bots).map(|number| Bot::new(setup.clone(), number)).collect::<Result<Vec<_>, _>>()?;
    App::new(Player::new(setup, &name)?, bots, first).run()?;
    Ok(true)
}
