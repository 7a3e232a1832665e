//! A value that changes, for readers who want the latest and not each.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::backend::Drive;
use super::events::turn_until;

pub(super) struct Cell<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    value: Arc<T>,
    fresh: bool,
    closed: bool,
    waker: Option<Waker>,
}

impl<T> State<T> {
    fn take(&mut self) -> Option<Arc<T>> {
        std::mem::take(&mut self.fresh).then(|| Arc::clone(&self.value))
    }
}

impl<T> Cell<T> {
    pub(super) fn new(value: Arc<T>, closed: bool) -> Self {
        Self { state: Mutex::new(State { value, fresh: false, closed, waker: None }), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[must_use]
    pub(super) fn set(&self, value: &Arc<T>) -> Option<Waker> {
        let mut state = self.lock();
        state.value = Arc::clone(value);
        state.fresh = true;
        self.changed.notify_all();
        state.waker.take()
    }

    #[must_use]
    pub(super) fn close(&self) -> Option<Waker> {
        let mut state = self.lock();
        state.closed = true;
        self.changed.notify_all();
        state.waker.take()
    }
}

/// The latest value of something that changes, from [`Session::watch`](crate::Session::watch). Values in between may be
/// skipped; [`Session::events`](crate::Session::events) has each change.
///
/// ```
/// # if cfg!(not(feature = "net")) { return Ok(()) }
/// # use lansession::{Lan, Preset, SessionSettings, SettingsUpdate};
/// # use std::time::Duration;
/// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
/// # let room = lan.sign_in("Ada")?.host(SessionSettings::new("room")).wait(Duration::from_secs(5))?;
/// let mut watch = room.watch();
/// assert_eq!(watch.current().name, "room");
/// room.update(SettingsUpdate::new().name("arena")).wait(Duration::from_secs(5))?;
/// assert_eq!(watch.wait(Duration::from_secs(5)).unwrap().name, "arena");
/// # Ok::<(), lansession::Error>(())
/// ```
pub struct Watch<T> {
    cell: Arc<Cell<T>>,
    drive: Option<Arc<dyn Drive>>,
}

impl<T> Watch<T> {
    pub(super) fn new(cell: Arc<Cell<T>>, drive: Option<Arc<dyn Drive>>) -> Self {
        Self { cell, drive }
    }

    /// The value as it is.
    #[must_use]
    pub fn current(&self) -> Arc<T> {
        Arc::clone(&self.cell.lock().value)
    }

    /// Waits until the value is another than the one this watch started with or gave out last; `None` once it can change
    /// no more.
    pub fn changed(&mut self) -> Changed<'_, T> {
        Changed { watch: self }
    }

    /// The value, if it has changed since. Never blocks.
    pub fn try_changed(&mut self) -> Option<Arc<T>> {
        self.cell.lock().take()
    }

    /// As [`changed`](Self::changed), blocking, and `None` also after so long.
    pub fn wait(&mut self, longest: Duration) -> Option<Arc<T>> {
        if let Some(drive) = &self.drive {
            return turn_until(&**drive, longest, || {
                let mut state = self.cell.lock();
                let value = state.take();
                if value.is_none() && state.closed { Some(None) } else { value.map(Some) }
            })
            .flatten();
        }
        let waiting = |state: &mut State<T>| !state.fresh && !state.closed;
        let locked = self.cell.changed.wait_timeout_while(self.cell.lock(), longest, waiting);
        let (mut state, _) = locked.unwrap_or_else(PoisonError::into_inner);
        state.take()
    }
}

impl<T> Drop for Watch<T> {
    fn drop(&mut self) {
        // Here and not where the core's lock is held: the last waker may drop a whole task.
        let waker = self.cell.lock().waker.take();
        drop(waker);
    }
}

impl<T: fmt::Debug> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("current", &self.current()).finish_non_exhaustive()
    }
}

/// The future of [`Watch::changed`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Changed<'a, T> {
    watch: &'a mut Watch<T>,
}

impl<T> fmt::Debug for Changed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changed").finish_non_exhaustive()
    }
}

impl<T> Future for Changed<'_, T> {
    type Output = Option<Arc<T>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Arc<T>>> {
        let mut state = self.watch.cell.lock();
        match state.take() {
            Some(value) => Poll::Ready(Some(value)),
            None if state.closed => Poll::Ready(None),
            None => {
                let former = state.waker.replace(cx.waker().clone());
                drop(state);
                drop(former);
                Poll::Pending
            }
        }
    }
}
