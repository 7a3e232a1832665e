//! Doors for links from other processes of a game: who stands there is checked, one bounded frame is read, one byte said
//! (protocol.md, "Hand-over of links"). Each open door is a task; the api layer finds the place and opens it.

#[cfg(unix)]
mod socket;
#[cfg(unix)]
use socket as kind;
#[cfg(windows)]
mod pipe;
#[cfg(windows)]
use pipe as kind;
#[cfg(not(any(unix, windows)))]
mod nowhere;
#[cfg(not(any(unix, windows)))]
use nowhere as kind;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) use self::kind::Entrance;
use crate::handle::backend::TakeLink;
use crate::types::{ErrorKind, JoinLink};

/// The link was taken.
pub(crate) const TAKEN: u8 = 0;
/// It is no link, or none of this game.
pub(crate) const REFUSED: u8 = 1;
/// Too many in this second.
pub(crate) const TOO_MANY: u8 = 2;
/// The user that received links does not any more.
pub(crate) const GONE: u8 = 3;

/// How long one process may take to say its link. They are served one after the other: all are of one user.
const PATIENCE: Duration = Duration::from_millis(500);
/// After a failure of the door itself, which would else be met again at once.
const PAUSE: Duration = Duration::from_millis(100);

/// The frame that carries a link: its length in two bytes, big endian, then its text.
pub(crate) fn frame(link: &JoinLink) -> Vec<u8> {
    let text = link.to_string();
    // A link's text is at most 2 KiB.
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

/// A door that is to be served.
pub(crate) struct Door {
    entrance: Entrance,
    take: TakeLink,
    closed: oneshot::Receiver<()>,
}

/// Keeps a door open; dropped, it closes it.
pub(crate) struct Key {
    _open: oneshot::Sender<()>,
}

impl Door {
    pub(crate) fn new(entrance: Entrance, take: TakeLink) -> (Self, Key) {
        let (open, closed) = oneshot::channel();
        (Self { entrance, take, closed }, Key { _open: open })
    }

    async fn serve(self) {
        let Self { entrance, take, mut closed } = self;
        let mut serving = pin!(kind::serve(entrance, take));
        let end = |cx: &mut Context<'_>| {
            let over = pin!(&mut closed).poll(cx).is_ready();
            if over { Poll::Ready(()) } else { serving.as_mut().poll(cx) }
        };
        poll_fn(end).await;
    }
}

/// The doors of one driver; they close with it.
#[derive(Default)]
pub(super) struct Doors(Vec<JoinHandle<()>>);

impl Doors {
    pub(super) fn open(&mut self, door: Door) {
        self.0.retain(|task| !task.is_finished());
        self.0.push(tokio::spawn(door.serve()));
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

/// Reads one link, within its time and its bound, and offers it.
async fn receive(stream: &mut (impl AsyncRead + Unpin), take: &TakeLink) -> u8 {
    match timeout(PATIENCE, read(stream)).await {
        Ok(Ok(link)) => match take(link) {
            Ok(()) => TAKEN,
            Err(error) if error.kind() == ErrorKind::TooManyRequests => TOO_MANY,
            Err(error) if error.kind() == ErrorKind::InvalidArgument => REFUSED,
            Err(_) => GONE,
        },
        Ok(Err(_)) | Err(_) => REFUSED,
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<JoinLink> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).await?;
    let length = usize::from(u16::from_be_bytes(head));
    if length > JoinLink::MAX_TEXT {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = vec![0; length];
    stream.read_exact(&mut text).await?;
    let text = String::from_utf8(text).map_err(|_| io::ErrorKind::InvalidData)?;
    text.parse().map_err(|_| io::ErrorKind::InvalidData.into())
}
