//! What the engine says becomes what users see: answers, snapshots, lists, events.
//!
//! In frame mode answers and new seats are seen at once, all else waits in the inbox for the next update.

use std::sync::{Arc, Weak};

use super::core::{After, Core, Inner, Kind};
use super::inbox::{Inbox, Staged};
use super::pending::{Outcome, Slot};
use super::queue::{EVENTS, Queue};
use super::seat::{Seat, SeatCell, SeatClaim};
use super::watch::Cell;
use crate::proto::io::{Answer, Output, RequestId, SeatId};
use crate::types::{
    AccountId, BrowserEvent, BrowserId, Error, ErrorKind, Event, LanEvent, Left, Result, Revision, SessionEvent,
    SessionSnapshot, UserEvent,
};

impl Core {
    /// Takes one output of the engine. Never blocks, never calls user code but wakers.
    pub(crate) fn deliver(&self, output: Output) {
        let Some(this) = self.this() else { return };
        self.with(|inner, after| match output {
            Output::Done { request, result } => inner.done(after, &this, request, result),
            Output::SeatOpened(opened) => {
                let id = opened.seat;
                inner.seats.entry(id).or_insert_with(|| Arc::new(SeatCell::new(Seat::new(*opened))));
            }
            other => inner.accept(after, other),
        });
        self.staged().notify_all();
    }

    /// Frame mode's update: applies what came since the last one; its events in their order.
    pub(crate) fn commit(&self) -> Vec<Event> {
        self.with(|inner, after| {
            let mut told = Vec::new();
            for staged in inner.inbox.as_mut().map(Inbox::take).unwrap_or_default() {
                inner.apply(after, staged, Some(&mut told));
            }
            told
        })
    }

    /// Ends frame mode: from now on things are seen when they come.
    pub(crate) fn unlatch(&self) {
        self.with(|inner, after| {
            for staged in inner.inbox.take().map(|mut inbox| inbox.take()).unwrap_or_default() {
                inner.apply(after, staged, None);
            }
        });
    }

    pub(super) fn subscribe(&self) -> Arc<Queue<Event>> {
        self.with(|inner, _| {
            let mut first = Vec::new();
            for cell in inner.seats.values() {
                let seat = cell.lock();
                if seat.told && seat.ended.is_none() {
                    first.extend(seat.opening().into_iter().map(|what| of_seat(&seat, what)));
                }
            }
            let queue = Arc::new(Queue::new(first, EVENTS));
            if inner.is_over() {
                let _ = queue.close();
            }
            inner.events.push(Arc::downgrade(&queue));
            queue
        })
    }

    pub(super) fn subscribe_user(&self, account: AccountId, generation: u64) -> Arc<Queue<UserEvent>> {
        let queue = Arc::new(Queue::new(Vec::new(), EVENTS));
        self.with(|inner, _| match inner.users.get_mut(&account) {
            Some(user) if user.generation == generation && !inner.stopped => user.events.push(Arc::downgrade(&queue)),
            _ => drop(queue.close()),
        });
        queue
    }

    pub(super) fn subscribe_browser(&self, browser: BrowserId) -> Arc<Queue<BrowserEvent>> {
        self.with(|inner, _| {
            let stopped = inner.stopped;
            let Some(listing) = inner.browsers.get_mut(&browser) else {
                let queue = Arc::new(Queue::new(Vec::new(), EVENTS));
                let _ = queue.close();
                return queue;
            };
            let first = listing.list.iter().cloned().map(BrowserEvent::Found).collect();
            let queue = Arc::new(Queue::new(first, EVENTS));
            if stopped {
                let _ = queue.close();
            }
            listing.events.push(Arc::downgrade(&queue));
            queue
        })
    }
}

impl SeatClaim {
    pub(super) fn subscribe(&self) -> Arc<Queue<SessionEvent>> {
        let mut seat = self.lock();
        let mut first = seat.opening();
        first.extend(seat.ended.clone().map(|why| SessionEvent::Left { why }));
        let queue = Arc::new(Queue::new(first, EVENTS));
        if seat.ended.is_some() {
            let _ = queue.close();
        } else {
            seat.events.push(Arc::downgrade(&queue));
        }
        queue
    }

    pub(super) fn watch(&self) -> Arc<Cell<SessionSnapshot>> {
        let mut seat = self.lock();
        let cell = Arc::new(Cell::new(Arc::clone(&seat.snapshot), seat.ended.is_some()));
        seat.watches.push(Arc::downgrade(&cell));
        cell
    }
}

fn of_seat(seat: &Seat, what: SessionEvent) -> Event {
    Event::Session { user: seat.user, session: seat.snapshot.key.id, what }
}

impl Inner {
    fn done(&mut self, after: &mut After, this: &Arc<Core>, request: RequestId, result: Result<Answer, Error>) {
        let mut waiter = self.requests.remove(&request);
        let mut opened = Vec::new();
        let unknown = || Error::new(ErrorKind::Internal, "the engine answered with a seat it did not open");
        let outcome = result.and_then(|answer| {
            Ok(match answer {
                Answer::Unit => Outcome::Unit,
                Answer::Revision(revision) => Outcome::Revision(revision),
                Answer::Version(version) => Outcome::Version(version),
                Answer::Diagnosis(diagnosis) => Outcome::Diagnosis(diagnosis),
                Answer::Invites(ids) => Outcome::Invites(ids),
                Answer::Found(list) => {
                    if let Some(Kind::Find(asker)) = waiter.as_ref().map(|waiter| waiter.kind) {
                        // Whoever has signed out meanwhile gets its answer and leaves nothing behind.
                        let here = |account| self.users.get(&account).is_some_and(|user| !user.leaving);
                        if asker.is_none_or(here) {
                            self.finds.insert(asker, list.clone());
                        }
                    }
                    Outcome::Found(list)
                }
                Answer::Reservation(at, reservation) => Outcome::Reservation(at, reservation),
                Answer::Seat(id) => {
                    opened.push(id);
                    Outcome::Seat(self.claim(this, id).ok_or_else(unknown)?)
                }
                Answer::Seats(ids) => {
                    opened.clone_from(&ids);
                    let claims = ids.into_iter().map(|id| self.claim(this, id).ok_or_else(unknown));
                    Outcome::Seats(claims.collect::<Result<_>>()?)
                }
            })
        });
        let kind = waiter.as_ref().map(|waiter| waiter.kind);
        let detached = waiter.as_mut().filter(|waiter| waiter.slot.is_none());
        let seats = detached.map(|waiter| std::mem::take(&mut waiter.seats)).unwrap_or_default();
        match (waiter.map(|waiter| waiter.slot), outcome) {
            (Some(Some(slot)), outcome) => {
                let now = match outcome {
                    Ok(outcome) => match outcome.revision() {
                        Some(at) => self.owe(kind, at, &slot, outcome).map(Ok),
                        None => Some(Ok(outcome)),
                    },
                    Err(error) => Some(Err(error)),
                };
                if let Some(outcome) = now {
                    after.wakers.extend(slot.fill(outcome));
                }
                after.slots.push(slot);
            }
            // Detached: a seat stays.
            (Some(None), Ok(outcome)) => {
                outcome.seats().iter().for_each(SeatClaim::keep);
                after.outcomes.push(outcome);
            }
            (Some(None), Err(error)) => self.trouble(after, &error),
            // Nobody asks any more: a seat that came too late is left again.
            (None, Ok(outcome)) => after.outcomes.push(outcome),
            (None, Err(_)) => {}
        }
        for &seat in &opened {
            if kind == Some(Kind::Opening { presence: true }) {
                self.show_presence(after, seat);
            }
            self.announce(after, seat);
        }
        // Users without a handle that only this request held here.
        for account in seats {
            self.sign_out_orphan(after, account);
        }
    }

    /// Puts an answer off until the state it speaks of can be read: who has changed a setting and looks at the snapshot
    /// shall see it. In frame mode that state comes with an update, and the answer does not wait for it. What need not be
    /// put off is given back.
    fn owe(&self, kind: Option<Kind>, at: Revision, slot: &Arc<Slot>, outcome: Outcome) -> Option<Outcome> {
        let Some(Kind::Change(id)) = kind.filter(|_| self.inbox.is_none()) else { return Some(outcome) };
        let Some(cell) = self.seats.get(&id) else { return Some(outcome) };
        let mut seat = cell.lock();
        if seat.snapshot.revision >= at || seat.ended.is_some() {
            return Some(outcome);
        }
        seat.owed.push((at, Arc::clone(slot), outcome));
        None
    }

    fn claim(&mut self, this: &Arc<Core>, id: SeatId) -> Option<SeatClaim> {
        let cell = self.seats.get(&id)?;
        let mut seat = cell.lock();
        if seat.unclaimed {
            seat.unclaimed = false;
        } else {
            seat.claims = seat.claims.saturating_add(1);
        }
        drop(seat);
        Some(SeatClaim::counted(Arc::clone(this), id, Arc::clone(cell)))
    }

    /// Tells of a new seat, once; after its answer, so that a `Pending` is ready before the first event it caused.
    fn announce(&mut self, after: &mut After, id: SeatId) {
        let Some(cell) = self.seats.get(&id) else { return };
        let mut seat = cell.lock();
        if std::mem::replace(&mut seat.announced, true) {
            return;
        }
        drop(seat);
        self.stage(after, Staged::Announce(id));
    }

    pub(super) fn accept(&mut self, after: &mut After, output: Output) {
        match &output {
            Output::Seat { seat, .. } => self.announce(after, *seat),
            // A seat that nobody could look at yet comes with its keys and addresses.
            Output::SeatKeys { seat, .. } | Output::SeatAddresses { seat, .. } if self.is_new(*seat) => {
                return self.apply(after, Staged::Output(output), None);
            }
            Output::Lan(LanEvent::Closed) => self.closed = true,
            _ => {}
        }
        self.stage(after, Staged::Output(output));
    }

    fn is_new(&self, id: SeatId) -> bool {
        self.seats.get(&id).is_some_and(|cell| !cell.lock().announced)
    }

    pub(super) fn accept_stop(&mut self, after: &mut After) {
        self.stage(after, Staged::Stop);
    }

    fn stage(&mut self, after: &mut After, staged: Staged) {
        match &mut self.inbox {
            Some(inbox) => inbox.push(staged),
            None => self.apply(after, staged, None),
        }
    }

    /// Makes one thing seen. `told` gets the events, for the frame loop.
    fn apply(&mut self, after: &mut After, staged: Staged, told: Option<&mut Vec<Event>>) {
        match staged {
            Staged::Announce(id) => {
                let Some(cell) = self.seats.get(&id) else { return };
                let mut seat = cell.lock();
                seat.told = true;
                let events = seat.opening().into_iter().map(|what| of_seat(&seat, what)).collect();
                drop(seat);
                self.tell(after, told, events);
            }
            Staged::Output(Output::Seat { seat, events, snapshot }) => {
                self.apply_seat(after, told, seat, events, snapshot);
            }
            Staged::Output(Output::SeatKeys { seat, keys }) => {
                if let Some(cell) = self.seats.get(&seat) {
                    cell.lock().keys = keys;
                }
            }
            Staged::Output(Output::SeatAddresses { seat, addresses, port }) => {
                if let Some(cell) = self.seats.get(&seat) {
                    let mut seat = cell.lock();
                    seat.addresses = addresses;
                    seat.control_port = port.unwrap_or(seat.control_port);
                }
            }
            Staged::Output(Output::SeatBans { seat, bans }) => {
                if let Some(cell) = self.seats.get(&seat) {
                    cell.lock().bans = bans;
                }
            }
            Staged::Output(Output::SeatSuccession { seat, what }) => {
                if let Some(cell) = self.seats.get(&seat) {
                    cell.lock().succession = what;
                }
            }
            Staged::Output(Output::Browser { browser, list, events }) => {
                let Some(listing) = self.browsers.get_mut(&browser) else { return };
                listing.list = list;
                push_all(&mut listing.events, after, &events, &Vec::new);
                let events = events.into_iter().map(|what| Event::Browser { browser, what }).collect();
                self.tell(after, told, events);
            }
            Staged::Output(Output::Invites { user, list }) => {
                if let Some(entry) = self.users.get_mut(&user) {
                    entry.invites = list;
                }
            }
            Staged::Output(Output::User { user, event }) => {
                if event == UserEvent::SignedOut {
                    self.signed_out(after, user);
                } else if let Some(entry) = self.users.get_mut(&user) {
                    push_all(&mut entry.events, after, std::slice::from_ref(&event), &Vec::new);
                }
                self.tell(after, told, vec![Event::User { user, what: event }]);
            }
            Staged::Output(Output::Lan(event)) => {
                self.closed_told |= event == LanEvent::Closed;
                self.tell(after, told, vec![Event::Lan(event)]);
            }
            // Both are taken in when they come.
            Staged::Output(Output::Done { .. } | Output::SeatOpened(_)) => {}
            Staged::Stop => self.apply_stop(after, told),
        }
    }

    fn apply_seat(
        &mut self,
        after: &mut After,
        told: Option<&mut Vec<Event>>,
        id: SeatId,
        mut events: Vec<SessionEvent>,
        snapshot: Option<Arc<SessionSnapshot>>,
    ) {
        let Some(cell) = self.seats.get(&id).cloned() else { return };
        let mut seat = cell.lock();
        if seat.ended.is_some() {
            return;
        }
        if !std::mem::replace(&mut seat.heard, true) {
            strip_opening(&mut events);
        }
        if let Some(at) = events.iter().position(|event| matches!(event, SessionEvent::Left { .. })) {
            events.truncate(at.saturating_add(1));
        }
        if let Some(snapshot) = snapshot.filter(|snapshot| **snapshot != *seat.snapshot) {
            seat.watches.retain(|watch| {
                let watch = watch.upgrade();
                after.wakers.extend(watch.as_ref().and_then(|watch| watch.set(&snapshot)));
                watch.is_some()
            });
            seat.snapshot = snapshot;
        }
        // What may be asked of the seat changes with its host. A revision that another host discarded never comes.
        let moved = events.iter().any(|event| matches!(event, SessionEvent::HostChanged { .. }));
        // A dedicated host has no account, and stays what it is.
        if let Some(host) = seat.snapshot.host {
            seat.is_host = host == seat.user;
        }
        // Before the events: a `Pending` is ready before the first event it caused.
        seat.settle(after, moved || matches!(events.last(), Some(SessionEvent::Left { .. })));
        let now = Arc::clone(&seat.snapshot);
        push_all(&mut seat.events, after, &events, &|| vec![SessionEvent::Joined { snapshot: Arc::clone(&now) }]);
        if let Some(SessionEvent::Left { why }) = events.last() {
            seat.ended = Some(why.clone());
            close_all(&seat.events, after);
            after.wakers.extend(seat.watches.iter().filter_map(Weak::upgrade).filter_map(|watch| watch.close()));
        }
        let (user, ended, held) = (seat.user, seat.ended.is_some(), seat.claims > 0);
        let events = events.into_iter().map(|what| of_seat(&seat, what)).collect();
        drop(seat);
        if ended {
            let presence = self.users.get_mut(&user).map(|user| &mut user.presence);
            if let Some(presence) = presence.filter(|presence| presence.is_some_and(|(seat, _)| seat == id)) {
                *presence = None;
            }
        }
        if ended && !held {
            self.seats.remove(&id);
        }
        self.tell(after, told, events);
        if ended {
            self.sign_out_orphan(after, user);
        }
    }

    fn apply_stop(&mut self, after: &mut After, mut told: Option<&mut Vec<Event>>) {
        let seats: Vec<SeatId> = self.seats.keys().copied().collect();
        for seat in seats {
            let left = vec![SessionEvent::Left { why: Left::Shutdown }];
            self.apply_seat(after, told.as_deref_mut(), seat, left, None);
        }
        for listing in self.browsers.values() {
            close_all(&listing.events, after);
        }
        let present = self.users.values().map(|user| &user.events);
        present.chain(self.departing.values().flatten()).for_each(|events| close_all(events, after));
        self.departing.clear();
        if !std::mem::replace(&mut self.closed_told, true) {
            self.tell(after, told, vec![Event::Lan(LanEvent::Closed)]);
        }
        close_all(&self.events, after);
    }

    /// The oldest sign-in of this account whose end was asked for has ended.
    fn signed_out(&mut self, after: &mut After, account: AccountId) {
        if !self.departing.contains_key(&account) && self.users.get(&account).is_some_and(|user| user.leaving) {
            self.departs(after, account);
        }
        let Some(departing) = self.departing.get_mut(&account) else { return };
        if let Some(mut events) = departing.pop_front() {
            push_all(&mut events, after, &[UserEvent::SignedOut], &Vec::new);
            close_all(&events, after);
        }
        if departing.is_empty() {
            self.departing.remove(&account);
        }
    }

    fn tell(&mut self, after: &mut After, told: Option<&mut Vec<Event>>, events: Vec<Event>) {
        let seats = &self.seats;
        let refresh = || {
            let joined = seats.values().filter_map(|cell| {
                let seat = cell.lock();
                let snapshot = Arc::clone(&seat.snapshot);
                (seat.told && seat.ended.is_none()).then(|| of_seat(&seat, SessionEvent::Joined { snapshot }))
            });
            joined.collect()
        };
        push_all(&mut self.events, after, &events, &refresh);
        if let Some(told) = told {
            told.extend(events);
        }
    }
}

/// The engine's first events say what [`Seat::opening`] says; subscribers have heard it.
fn strip_opening(events: &mut Vec<SessionEvent>) {
    let Some(SessionEvent::Joined { snapshot }) = events.first() else { return };
    let at = snapshot.revision;
    let told = |event: &&SessionEvent| matches!(event, SessionEvent::MemberJoined { revision, .. } if *revision == at);
    let count = events.iter().skip(1).take_while(told).count();
    events.drain(..=count);
}

fn push_all<T: super::queue::Queued>(
    queues: &mut Vec<Weak<Queue<T>>>,
    after: &mut After,
    events: &[T],
    refresh: &dyn Fn() -> Vec<T>,
) {
    queues.retain(|queue| {
        let queue = queue.upgrade();
        after.wakers.extend(queue.as_ref().and_then(|queue| queue.push(events, refresh)));
        queue.is_some()
    });
}

pub(super) fn close_all<T: super::queue::Queued>(queues: &[Weak<Queue<T>>], after: &mut After) {
    after.wakers.extend(queues.iter().filter_map(Weak::upgrade).filter_map(|queue| queue.close()));
}
