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
/// # if cfg!(not(feature = "net")) { return Ok(()) }
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
    /// A loop whose next update yields these events.
    #[cfg(feature = "testing")]
    pub(crate) fn played(lan: Lan, events: impl IntoIterator<Item = Event>) -> Self {
        Self { lan, batch: events.into_iter().collect(), open: true }
    }

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
        #[expect(
            clippy::disallowed_methods,
            reason = "a real thread waits here; a virtual network turns its own clock above"
        )]
        let (start, elapsed) = (Instant::now(), Instant::elapsed);
        loop {
            let event = self.poll_event();
            let left = longest.saturating_sub(elapsed(&start));
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::handle::fake::{Fake, found, snapshot, take};
    use crate::handle::{Session, User};
    use crate::proto::io::{Answer, Output, SeatId};
    use crate::types::*;

    const SHORT: Duration = Duration::from_millis(100);

    struct Setup {
        fake: Arc<Fake>,
        frames: FrameLoop,
        ada: User,
        room: Session,
    }

    /// Ada hosts; the events of that are behind.
    fn setup(fake: Arc<Fake>) -> Setup {
        let mut frames = fake.builder().start_frames().unwrap();
        let ada = frames.lan().sign_in("Ada").unwrap();
        let room = fake.hosted(&ada, 1);
        assert_eq!(frames.update().len(), 2);
        Setup { fake, frames, ada, room }
    }

    fn message() -> SessionEvent {
        SessionEvent::Message { from: None, data: Arc::from(*b"x") }
    }

    #[test]
    fn nothing_that_is_read_changes_between_two_updates() {
        let Setup { fake, mut frames, ada, room } = setup(Arc::default());
        let rooms = frames.lan().browse(SessionQuery::new()).unwrap();
        let (mut events, mut whole, mut watch) = (room.events(), frames.lan().events(), room.watch());
        while events.try_next().is_some() || whole.try_next().is_some() {}

        fake.happens(1, vec![message()], Some(snapshot(2, &[&ada])));
        fake.say(Output::SeatKeys { seat: SeatId(1), keys: vec![(ada.id(), [1; 32].into())] });
        fake.say(Output::SeatAddresses { seat: SeatId(1), addresses: Vec::new(), port: None });
        let list = BrowserEvent::Found(found(1));
        fake.say(Output::Browser { browser: rooms.id(), list: Arc::from([found(1)]), events: vec![list] });
        assert_eq!(room.snapshot().revision.number, 1);
        assert_eq!((rooms.list().len(), frames.lan().known(found(1).id())), (0, None));
        assert!(room.game_key(ada.id()).is_err() && room.endpoint("game").is_ok());
        assert!(events.try_next().is_none() && whole.try_next().is_none() && watch.try_changed().is_none());

        let mut update = frames.update();
        assert!(matches!(update.next(), Some(Event::Session { what: SessionEvent::Message { .. }, .. })));
        drop(update);
        assert_eq!((room.snapshot().revision.number, rooms.list().len()), (2, 1));
        assert!(room.game_key(ada.id()).is_ok() && room.endpoint("game").is_err());
        assert!(events.try_next().is_some() && whole.try_next().is_some() && watch.try_changed().is_some());
        assert_eq!(frames.update().len(), 0, "what was not iterated over is dropped");
    }

    #[test]
    fn answers_and_a_new_seat_do_not_wait_for_a_frame_and_its_events_do() {
        let Setup { fake, mut frames, ada, room: _room } = setup(Arc::default());
        let mut pending = ada.join(crate::JoinRequest::from(SessionId::from_name("b")).local_name("b"));
        let request = fake.request();
        let state = fake.open(&ada, 2, false);
        fake.say(Output::SeatKeys { seat: SeatId(2), keys: vec![(ada.id(), [1; 32].into())] });
        fake.answer(request, Answer::Seat(SeatId(2)));
        let seat = take(&mut pending).unwrap();
        assert_eq!(seat.snapshot(), state);
        assert!(seat.game_key(ada.id()).is_ok());
        let mut own = seat.events();
        assert!(matches!(own.try_next(), Some(SessionEvent::Joined { .. })));

        fake.happens(2, vec![message()], Some(snapshot(2, &[&ada])));
        assert_eq!(seat.snapshot().revision.number, 1);
        let events: Vec<Event> = frames.update().collect();
        let Event::Session { what: SessionEvent::Joined { snapshot }, .. } = &events[0] else { panic!("{events:?}") };
        assert_eq!(*snapshot, state, "the first event tells the first state");
        assert_eq!(events.len(), 3);
        assert_eq!(seat.snapshot().revision.number, 2);
        assert!(matches!(own.try_next(), Some(SessionEvent::MemberJoined { present_before: false, .. })));
        assert_eq!((own.try_next(), own.try_next()), (Some(message()), None), "told once");
    }

    #[test]
    fn polled_events_come_in_batches_that_end_with_none() {
        let Setup { fake, mut frames, ada, room } = setup(Arc::default());
        assert!(frames.poll_event().is_none());
        fake.happens(1, vec![message(), message()], Some(snapshot(2, &[&ada])));
        assert!(frames.poll_event().is_some());
        assert_eq!(room.snapshot().revision.number, 2);
        fake.happens(1, vec![message()], Some(snapshot(3, &[&ada])));
        assert!(frames.poll_event().is_some() && frames.poll_event().is_none());
        assert_eq!(room.snapshot().revision.number, 2, "the batch is over, the next has not begun");
        assert!(frames.poll_event().is_some());
        assert_eq!(room.snapshot().revision.number, 3);
    }

    #[test]
    fn a_loop_waits_on_either_clock() {
        let Setup { fake, mut frames, .. } = setup(Arc::default());
        assert!(frames.wait_event(Duration::ZERO).is_none());
        let core = fake.core();
        let later = std::thread::spawn(move || {
            core.deliver(Output::Seat { seat: SeatId(1), events: vec![message()], snapshot: None });
        });
        assert!(frames.wait_event(Duration::from_secs(10)).is_some());
        later.join().unwrap();

        let Setup { fake, mut frames, .. } = setup(Fake::with_clock());
        let clock = fake.clock.clone().unwrap();
        let event = Output::Seat { seat: SeatId(1), events: vec![message()], snapshot: None };
        clock.says.lock().unwrap().extend([Output::SeatKeys { seat: SeatId(1), keys: Vec::new() }, event]);
        assert!(frames.wait_event(SHORT).is_some());
        assert!(frames.wait_event(SHORT).is_none());
    }

    #[test]
    fn a_loop_that_does_not_update_keeps_the_state_and_counts_what_it_dropped() {
        let Setup { fake, mut frames, ada, room } = setup(Arc::default());
        let rooms = frames.lan().browse(SessionQuery::new()).unwrap();
        let list = |events| Output::Browser { browser: rooms.id(), list: Arc::from([found(7)]), events };
        fake.say(list(vec![BrowserEvent::Found(found(1))]));
        drop(frames.update());
        for number in 2..20_000 {
            fake.happens(1, vec![message()], Some(snapshot(number, &[&ada])));
            let other = found(number % 9 + 2);
            fake.say(list(vec![BrowserEvent::Found(other.clone()), BrowserEvent::Lost(other.key())]));
        }
        fake.say(list(vec![BrowserEvent::Lost(found(1).key())]));
        fake.happens(1, vec![SessionEvent::Left { why: Left::HostLost }], None);
        assert_eq!(room.snapshot().revision.number, 1);
        let events: Vec<Event> = frames.update().collect();
        assert!(events.len() < 20_000, "{}", events.len());
        assert_eq!((room.snapshot().revision.number, rooms.list().len()), (19_999, 1));
        let mut missed = 0;
        let (mut told, mut left, mut lost) = (0, 0, 0);
        for event in &events {
            match event {
                Event::Session { what: SessionEvent::Lagged { missed: more }, .. } => missed += more,
                Event::Session { what: SessionEvent::Message { .. }, .. } => told += 1,
                Event::Session { what: SessionEvent::Left { .. }, .. } => left += 1,
                Event::Browser { what: BrowserEvent::Lost(key), .. } if *key == found(1).key() => lost += 1,
                _ => {}
            }
        }
        assert_eq!((missed + told, left, lost), (19_998, 1, 1));
    }

    #[test]
    fn without_its_loop_a_lan_is_seen_as_it_comes() {
        let Setup { fake, frames, ada, room } = setup(Arc::default());
        fake.happens(1, vec![], Some(snapshot(2, &[&ada])));
        drop(frames);
        assert_eq!(room.snapshot().revision.number, 2);
        fake.happens(1, vec![], Some(snapshot(3, &[&ada])));
        assert_eq!(room.snapshot().revision.number, 3);
    }

    #[test]
    fn a_stop_is_seen_at_the_next_update() {
        let Setup { fake, mut frames, room, .. } = setup(Arc::default());
        fake.core().stopped();
        assert!(room.say(*b"x").wait(SHORT).is_err());
        let last: Vec<Event> = frames.update().collect();
        assert!(matches!(&last[0], Event::Session { what: SessionEvent::Left { why: Left::Shutdown }, .. }));
        assert_eq!(last[1], Event::Lan(LanEvent::Closed));
        assert!(frames.wait_event(Duration::from_secs(10)).is_none());
    }

    #[test]
    fn a_subscription_after_the_end_has_ended() {
        let Setup { fake, mut frames, .. } = setup(Arc::default());
        fake.core().stopped();
        let mut before = frames.lan().events();
        assert!(!before.is_ended(), "the stop is seen at the next update");
        drop(frames.update());
        while before.try_next().is_some() {}
        let after = frames.lan().events();
        assert!(before.is_ended() && after.is_ended(), "nothing more can come");
    }

    #[test]
    fn a_loop_that_does_not_update_is_told_of_an_end_before_the_seat_that_came_after() {
        let Setup { fake, mut frames, ada, room } = setup(Arc::default());
        fake.happens(1, vec![SessionEvent::Left { why: Left::HostLost }], None);
        let _again = fake.hosted(&ada, 2);
        for number in 2..5_000 {
            fake.happens(2, vec![message()], Some(snapshot(number, &[&ada])));
        }
        let seated = frames.update().filter_map(|event| match event {
            Event::Session { what: SessionEvent::Joined { .. }, .. } => Some(true),
            Event::Session { what: SessionEvent::Left { .. }, .. } => Some(false),
            _ => None,
        });
        // The seat's first state, and its present one after what was dropped.
        assert_eq!(seated.collect::<Vec<_>>(), [false, true, true]);
        drop(room);
    }

    #[test]
    fn a_list_that_changes_for_ever_stays_bounded_and_tells_no_loss_of_what_was_not_found() {
        let Setup { fake, mut frames, .. } = setup(Arc::default());
        let rooms = frames.lan().browse(SessionQuery::new()).unwrap();
        for number in 0..20_000 {
            let (new, old) = (found(number + 1), found(number).key());
            let events = vec![BrowserEvent::Found(new.clone()), BrowserEvent::Lost(old)];
            fake.say(Output::Browser { browser: rooms.id(), list: Arc::from([new]), events });
        }
        let (mut missed, mut told) = (0, Vec::new());
        for event in frames.update() {
            match event {
                Event::Browser { what: BrowserEvent::Lagged { missed: more }, .. } => missed += more,
                Event::Browser { what: BrowserEvent::Found(found), .. } => told.push((true, found.key())),
                Event::Browser { what: BrowserEvent::Lost(key), .. } => told.push((false, key)),
                _ => {}
            }
        }
        assert!(missed > 0 && told.len() < 10_000, "{}", told.len());
        // After `Lagged` the list is to be read: whatever is lost then was in it, or was never told.
        let before = told.iter().position(|(found, _)| *found).unwrap_or(told.len());
        assert!(before <= 1, "{before} losses of sessions that nobody was told of");
    }
}
