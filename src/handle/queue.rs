//! Bounded event queues: one per subscriber, so that a slow reader costs itself events and nobody else anything.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::types::{BrowserEvent, BrowserId, Event, LanEvent, SessionEvent, SessionKey, UserEvent};

/// Events that wait for one reader, beyond what a fresh subscription starts with; about 200 bytes each.
pub(super) const EVENTS: usize = 1_024;

/// What a queue may do with an event when it overflows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark {
    /// Drop and count it.
    Plain,
    /// Drop and count it; a reader that took it has been told of this entry.
    Found(BrowserId, SessionKey),
    /// Keep it for a reader that was told of this entry.
    Lost(BrowserId, SessionKey),
    /// Keep it.
    Last,
}

/// An event that can travel in a queue.
pub(super) trait Queued: Clone + Send + 'static {
    /// Whether what is kept is older than what `refresh` tells. In one seat's queue its end comes after its last state;
    /// in the queue of the whole an end is of a seat that `refresh` tells no more of, and a user's next seat in the same
    /// session must not seem to end with the former.
    const KEPT_FIRST: bool = false;

    fn mark(&self) -> Mark;

    /// What tells a reader that it missed so many.
    fn lagged(missed: u64) -> Self;

    /// How many events are missed if this one is dropped: of a state none, it comes again.
    fn weight(&self) -> u64 {
        1
    }
}

impl Queued for SessionEvent {
    fn mark(&self) -> Mark {
        if matches!(self, Self::Left { .. }) { Mark::Last } else { Mark::Plain }
    }

    fn lagged(missed: u64) -> Self {
        Self::Lagged { missed }
    }

    fn weight(&self) -> u64 {
        match self {
            Self::Joined { .. } => 0,
            Self::Lagged { missed } => *missed,
            _ => 1,
        }
    }
}

/// The browser's own queue knows one browser.
const THIS: BrowserId = BrowserId(0);

impl Queued for BrowserEvent {
    fn mark(&self) -> Mark {
        match self {
            Self::Found(found) => Mark::Found(THIS, found.key()),
            Self::Lost(key) => Mark::Lost(THIS, *key),
            _ => Mark::Plain,
        }
    }

    fn lagged(missed: u64) -> Self {
        Self::Lagged { missed }
    }

    fn weight(&self) -> u64 {
        if let Self::Lagged { missed } = self { *missed } else { 1 }
    }
}

impl Queued for UserEvent {
    fn mark(&self) -> Mark {
        if matches!(self, Self::SignedOut) { Mark::Last } else { Mark::Plain }
    }

    fn lagged(missed: u64) -> Self {
        Self::Lagged { missed }
    }

    fn weight(&self) -> u64 {
        if let Self::Lagged { missed } = self { *missed } else { 1 }
    }
}

impl Queued for Event {
    const KEPT_FIRST: bool = true;

    fn mark(&self) -> Mark {
        match self {
            Self::Session { what, .. } => what.mark(),
            Self::User { what, .. } => what.mark(),
            Self::Browser { browser, what: BrowserEvent::Found(found) } => Mark::Found(*browser, found.key()),
            Self::Browser { browser, what: BrowserEvent::Lost(key) } => Mark::Lost(*browser, *key),
            Self::Lan(LanEvent::Closed) => Mark::Last,
            _ => Mark::Plain,
        }
    }

    fn lagged(missed: u64) -> Self {
        Self::Lan(LanEvent::Lagged(missed))
    }

    fn weight(&self) -> u64 {
        match self {
            Self::Session { what, .. } => what.weight(),
            Self::Browser { what, .. } => what.weight(),
            Self::User { what, .. } => what.weight(),
            Self::Lan(LanEvent::Lagged(missed)) => *missed,
            _ => 1,
        }
    }
}

/// One subscriber's events.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    cap: usize,
    /// Entries whose `Found` the reader took and whose `Lost` it did not.
    told: BTreeSet<(BrowserId, SessionKey)>,
    closed: bool,
    waker: Option<Waker>,
}

impl<T: Queued> Queue<T> {
    /// A queue that starts with these and takes `cap` more.
    pub(super) fn new(first: Vec<T>, cap: usize) -> Self {
        let cap = cap.saturating_add(first.len());
        let state = State { items: first.into(), cap, told: BTreeSet::new(), closed: false, waker: None };
        Self { state: Mutex::new(state), arrived: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds events; on overflow drops what may be dropped and puts `Lagged` and `refresh` in its place. The waker is to be
    /// woken once no lock is held.
    #[must_use]
    pub(super) fn push(&self, events: &[T], refresh: &dyn Fn() -> Vec<T>) -> Option<Waker> {
        let mut state = self.lock();
        if state.closed || events.is_empty() {
            return None;
        }
        let all = state.items.len().saturating_add(events.len());
        state.items.extend(events.iter().cloned());
        if all > state.cap {
            state.shrink(refresh);
        }
        self.arrived.notify_all();
        state.waker.take()
    }

    /// Nothing more comes; what waits can still be read.
    #[must_use]
    pub(super) fn close(&self) -> Option<Waker> {
        let mut state = self.lock();
        state.closed = true;
        self.arrived.notify_all();
        state.waker.take()
    }

    pub(super) fn pop(&self) -> Option<T> {
        self.lock().pop()
    }

    /// Closed, and all of it read.
    pub(super) fn is_ended(&self) -> bool {
        let state = self.lock();
        state.closed && state.items.is_empty()
    }

    pub(super) fn poll_pop(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.lock();
        match state.pop() {
            Some(event) => Poll::Ready(Some(event)),
            None if state.closed => Poll::Ready(None),
            None => {
                let former = state.waker.replace(cx.waker().clone());
                drop(state);
                drop(former);
                Poll::Pending
            }
        }
    }

    /// The reader goes. Its waker is dropped here and not where the core's lock is held: that may drop a whole task.
    pub(super) fn part(&self) {
        let waker = self.lock().waker.take();
        drop(waker);
    }

    pub(super) fn wait_pop(&self, longest: Duration) -> Option<T> {
        let waiting = |state: &mut State<T>| state.items.is_empty() && !state.closed;
        let (mut state, _) =
            self.arrived.wait_timeout_while(self.lock(), longest, waiting).unwrap_or_else(PoisonError::into_inner);
        state.pop()
    }
}

impl<T: Queued> State<T> {
    fn pop(&mut self) -> Option<T> {
        let event = self.items.pop_front()?;
        match event.mark() {
            Mark::Found(browser, key) => {
                self.told.insert((browser, key));
            }
            Mark::Lost(browser, key) => {
                self.told.remove(&(browser, key));
            }
            Mark::Plain | Mark::Last => {}
        }
        Some(event)
    }

    fn shrink(&mut self, refresh: &dyn Fn() -> Vec<T>) {
        let mut missed = 0_u64;
        let mut kept = Vec::new();
        // An entry that flaps while nobody reads must not grow the queue: one `Lost` of each is enough.
        let mut lost = BTreeSet::new();
        for event in self.items.drain(..) {
            let stays = match event.mark() {
                Mark::Last => true,
                Mark::Lost(browser, key) => self.told.contains(&(browser, key)) && lost.insert((browser, key)),
                Mark::Plain | Mark::Found(..) => false,
            };
            if stays {
                kept.push(event);
            } else {
                missed = missed.saturating_add(event.weight());
            }
        }
        self.items.push_back(T::lagged(missed));
        let (older, newer) = if T::KEPT_FIRST { (kept, refresh()) } else { (refresh(), kept) };
        self.items.extend(older.into_iter().chain(newer));
        self.cap = self.cap.max(self.items.len().saturating_add(EVENTS / 2));
    }
}
