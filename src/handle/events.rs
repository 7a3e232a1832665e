//! A subscription as its reader holds it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::backend::Drive;
use super::queue::{Queue, Queued};

/// What happens, in order, from [`Lan::events`](crate::Lan::events), [`Session::events`](crate::Session::events) and their
/// like: await [`next`](Self::next), poll [`try_next`](Self::try_next) each frame, or block in [`wait`](Self::wait).
///
/// Each subscription has a queue of its own. One that is not read for more than about a thousand events loses them and
/// gets `Lagged` with their number; a session's then starts again with `Joined` and the present state. The end of a seat and
/// the loss of a listed session are never dropped. A subscription carries ids and keeps no seat.
///
/// ```
/// # if cfg!(not(feature = "net")) { return Ok(()) }
/// # use lansession::{Lan, Preset, SessionEvent, SessionSettings};
/// # use std::time::Duration;
/// let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
/// let room = lan.sign_in("Ada")?.host(SessionSettings::new("room")).wait(Duration::from_secs(5))?;
/// let mut events = room.events();
/// assert!(matches!(events.try_next(), Some(SessionEvent::Joined { .. })));
/// # Ok::<(), lansession::Error>(())
/// ```
#[must_use = "a subscription that is dropped hears nothing"]
pub struct Events<T> {
    queue: Arc<dyn Source<T>>,
    drive: Option<Arc<dyn Drive>>,
}

/// A queue without its bounds: keeps [`Queued`] out of the public signatures.
trait Source<T>: Send + Sync {
    fn pop(&self) -> Option<T>;
    fn poll_pop(&self, cx: &mut Context<'_>) -> Poll<Option<T>>;
    fn wait_pop(&self, longest: Duration) -> Option<T>;
    fn is_ended(&self) -> bool;
    fn part(&self);
}

impl<T: Queued> Source<T> for Queue<T> {
    fn pop(&self) -> Option<T> {
        Self::pop(self)
    }

    fn poll_pop(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        Self::poll_pop(self, cx)
    }

    fn wait_pop(&self, longest: Duration) -> Option<T> {
        Self::wait_pop(self, longest)
    }

    fn is_ended(&self) -> bool {
        Self::is_ended(self)
    }

    fn part(&self) {
        Self::part(self);
    }
}

impl<T> Events<T> {
    pub(super) fn new(queue: Arc<Queue<T>>, drive: Option<Arc<dyn Drive>>) -> Self
    where
        T: Queued,
    {
        Self { queue, drive }
    }

    /// The next event; `None` once nothing more can come.
    #[allow(clippy::should_implement_trait)] // as a stream's `next`: a future
    pub fn next(&mut self) -> Next<'_, T> {
        Next { events: self }
    }

    /// The next event, if one is there. Never blocks.
    pub fn try_next(&mut self) -> Option<T> {
        self.queue.pop()
    }

    /// The next event, waited for at most so long. Where `None` comes, [`is_ended`](Self::is_ended) tells the end from the
    /// timeout.
    ///
    /// In frame mode events come with each update and at no other time.
    pub fn wait(&mut self, longest: Duration) -> Option<T> {
        match &self.drive {
            Some(drive) => turn_until(&**drive, longest, || {
                let event = self.queue.pop();
                if event.is_none() && self.queue.is_ended() { Some(None) } else { event.map(Some) }
            })
            .flatten(),
            None => self.queue.wait_pop(longest),
        }
    }

    /// Whether all has been read and nothing more can come.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.queue.is_ended()
    }
}

/// Turns a virtual clock until `check` says something or the time is over.
pub(super) fn turn_until<R>(drive: &dyn Drive, longest: Duration, mut check: impl FnMut() -> Option<R>) -> Option<R> {
    let longest = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
    let deadline = drive.now_micros().saturating_add(longest);
    loop {
        if let Some(found) = check() {
            return Some(found);
        }
        if !drive.turn(deadline) {
            return check();
        }
    }
}

impl<T> Drop for Events<T> {
    fn drop(&mut self) {
        self.queue.part();
    }
}

impl<T> fmt::Debug for Events<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("ended", &self.is_ended()).finish_non_exhaustive()
    }
}

/// The future of [`Events::next`]. Dropping it loses no event.
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Next<'a, T> {
    events: &'a mut Events<T>,
}

impl<T> Future for Next<'_, T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.events.queue.poll_pop(cx)
    }
}
