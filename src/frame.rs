//! The frame pump: events once a frame, and nothing that changes in between.

use std::collections::VecDeque;
use std::collections::vec_deque::Drain;
use std::time::{Duration, Instant};

use crate::handle::{Lan, LanBuilder};
use crate::types::{Event, Result};

impl LanBuilder {
    /// Starts for a game with a frame loop, as [`start`](Self::start) does, and latched: see [`FrameLoop`].
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_frames(self) -> Result<FrameLoop> {
        let lan = self.start_as(true)?;
        Ok(FrameLoop { lan, batch: VecDeque::new(), open: false })
    }
}

/// A [`Lan`] that moves with a game's frames: between two updates nothing that [`Session::snapshot`](crate::Session),
/// [`Browser::list`](crate::Browser) and their like return changes, so one frame sees one state.
///
/// Call [`update`](Self::update) once a frame. Its work goes on in between: heartbeats and answers do not wait for frames,
/// and a [`Pending`](crate::Pending) is ready when its answer comes, with the first state of a seat that it opens. A game
/// that loads a level for a minute loses no seat; events beyond some thousands are then folded into a `Lagged` and the
/// present state. When the loop is dropped while other handles live, things are seen when they come.
///
/// ```
/// # use std::time::Duration;
/// use lansession::{Event, Lan, Preset, SessionEvent, SessionSettings};
/// let mut frames = Lan::builder("com.example.boxes").preset(Preset::Loopback).start_frames()?;
/// let mut room = frames.lan().sign_in("Ada")?.host(SessionSettings::new("Ada's room"));
/// let mut players = 0;
/// while players == 0 {
///     for event in frames.update() {
///         if let Event::Session { what: SessionEvent::MemberJoined { .. }, .. } = event { players += 1 }
///     }
/// #   std::thread::sleep(Duration::from_millis(2));
///     // draw a frame
/// }
/// assert_eq!(room.ready().unwrap().unwrap().snapshot().members.len(), players);
/// # Ok::<(), lansession::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "without updates nothing is seen to change"]
pub struct FrameLoop {
    lan: Lan,
    batch: VecDeque<Event>,
    /// `poll_event` is within a batch.
    open: bool,
}

impl FrameLoop {
    /// The `Lan`, for signing in and looking around.
    #[must_use]
    pub fn lan(&self) -> &Lan {
        &self.lan
    }

    /// Takes over what happened since the last update, and returns its events in their order. Never blocks. Events that are
    /// not iterated over are dropped; the states they led to are in place.
    pub fn update(&mut self) -> Drain<'_, Event> {
        let events = self.lan.core().commit();
        self.batch.extend(events);
        self.open = false;
        self.batch.drain(..)
    }

    /// The same one event at a time: the first call updates, the following ones give its events until `None`, the next one
    /// updates again.
    pub fn poll_event(&mut self) -> Option<Event> {
        if !self.open && self.batch.is_empty() {
            self.batch.extend(self.lan.core().commit());
        }
        let event = self.batch.pop_front();
        self.open = event.is_some();
        event
    }

    /// As [`poll_event`](Self::poll_event), and where nothing happened yet waits for something, at most so long: for a
    /// server without frames, or a loop that sleeps.
    pub fn wait_event(&mut self, longest: Duration) -> Option<Event> {
        let core = self.lan.core().clone();
        if let Some(drive) = core.drive() {
            let longest = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
            let deadline = drive.now_micros().saturating_add(longest);
            loop {
                let event = self.poll_event();
                if event.is_some() || (!core.has_staged() && !drive.turn(deadline)) {
                    return event.or_else(|| self.poll_event());
                }
            }
        }
        let start = Instant::now();
        loop {
            let event = self.poll_event();
            let left = longest.saturating_sub(start.elapsed());
            if event.is_some() || left.is_zero() || core.is_over() {
                return event;
            }
            core.wait_staged(left);
        }
    }
}

impl Drop for FrameLoop {
    fn drop(&mut self) {
        self.lan.core().unlatch();
    }
}
