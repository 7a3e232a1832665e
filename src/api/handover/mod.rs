//! A link from one process of a game to another of the same user: where they meet, who may have the place, and the side of
//! the one that brings the link (protocol.md, "Hand-over of links"). The driver serves the other side.

#[cfg(windows)]
mod pipe;
#[cfg(windows)]
use pipe as kind;
#[cfg(unix)]
mod socket;
#[cfg(unix)]
use socket as kind;
#[cfg(not(any(unix, windows)))]
mod nowhere;
#[cfg(not(any(unix, windows)))]
use nowhere as kind;

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::lock::Lock;
use crate::driver::doors::{Entrance, GONE, REFUSED, TAKEN, TOO_MANY, frame};
use crate::handle::check_game;
use crate::types::{Error, ErrorKind, JoinLink, Refusal, Result};
use crate::wire::hash;

pub(super) use self::kind::Place;

/// How long a process with a link waits for the one that receives it: that one reads at once, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(2);

/// Hands a join link to the process of this game that runs already and [receives them](crate::User::receive_links), under
/// the same user of this machine; there it is opened as by [`User::open_link`](crate::User::open_link). For the program
/// that the system starts when a link is clicked: where this says `true` it has nothing more to do, and where it says
/// `false` nobody receives links and it starts as ever, with the link as its own. Blocks for at most about two seconds;
/// without a [`Lan`](crate::Lan), a socket of the network or a packet.
///
/// ```
/// use lansession::{HostKey, JoinLink, SessionId, SessionKey, hand_over};
/// let founder = HostKey::from_bytes([9; 32])?;
/// let key = SessionKey { id: SessionId::from_name("arena-7"), founder };
/// let link = JoinLink::new("com.example.nobody-plays-this", key, founder, [])?;
/// assert!(!hand_over("com.example.nobody-plays-this", &link)?);
/// # Ok::<(), lansession::Error>(())
/// ```
///
/// # Errors
/// `InvalidArgument` for a link to another game; `TooManyRequests` where the running game has got its four links of this
/// second; `InvalidState` where its user has signed out meanwhile; `Io` naming the directory where it is not this user's
/// alone, or what the system says; `TimedOut` where the running game hangs.
#[doc(alias = "OnUISessionJoinRequested")]
pub fn hand_over(game: &str, link: &JoinLink) -> Result<bool> {
    check_game(game, link)?;
    let Some(directory) = kind::directory() else { return Ok(false) };
    let answer = kind::bring(&directory, game, &frame(link)).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            Error::new(ErrorKind::TimedOut, "the running game did not take the link in time")
        }
        _ => failed(&directory, &error),
    })?;
    match answer {
        None => Ok(false),
        Some(TAKEN) => Ok(true),
        Some(TOO_MANY) => Err(Error::refused(Refusal::TooManyRequests { after: Duration::from_secs(1) })),
        Some(REFUSED) => Err(Error::new(ErrorKind::InvalidArgument, "the running game refused the link")),
        Some(GONE) => Err(Error::new(ErrorKind::InvalidState, "the running game's user has signed out")),
        Some(other) => Err(Error::new(ErrorKind::Io, format!("the running game answered {other}"))),
    }
}

/// Takes the place where links of this game are received.
pub(super) fn open(game: &str) -> Result<(Entrance, Place)> {
    let directory = kind::directory().ok_or_else(|| {
        Error::new(ErrorKind::Unsupported, "this user has neither a runtime nor a cache directory for a local socket")
    })?;
    kind::open(&directory, game).map_err(|error| failed(&directory, &error))?.ok_or_else(|| {
        Error::new(
            ErrorKind::AlreadyExists,
            "another process of this game, or another user of this one, receives links",
        )
    })
}

fn failed(directory: &Path, error: &io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("hand-over of links in {}: {error}", directory.display()))
}

/// The name of a game's place: no game id need be a file's name.
fn place_name(game: &str) -> String {
    let mut name = String::with_capacity(16);
    for byte in hash::game_tag(game).0 {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The right to a place: one process has it, and of this process one user; that of a dead process is taken over.
fn take(directory: &Path, game: &str) -> io::Result<Option<Lock>> {
    // A lock tells processes apart; within this one its making must not be met by another.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    Lock::take(&directory.join(place_name(game) + ".lock"))
}

/// An absolute directory from the environment.
fn from_env(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}
