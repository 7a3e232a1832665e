//! What users of one engine may be told, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::proto::io::{Answer, Output, RequestId, SeatId};
use crate::types::{
    AccountId, BrowserEvent, BrowserId, Error, Found, Invite, LanEvent, ReservationId, Revision, SessionEvent,
    SessionKey, SessionSnapshot,
};

/// What one seat's user saw.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) user: AccountId,
    pub(super) snapshot: Arc<SessionSnapshot>,
    pub(super) is_host: bool,
    pub(super) left: bool,
    events: usize,
    last: Option<Revision>,
}

/// What the users of one engine saw.
#[derive(Debug, Default)]
pub(super) struct Watch {
    next_request: u64,
    /// Without an answer.
    pub(super) open: BTreeSet<RequestId>,
    /// Nobody waits for these any more.
    cancelled: BTreeSet<RequestId>,
    pub(super) seats: BTreeMap<SeatId, Seat>,
    pub(super) reservations: Vec<ReservationId>,
    pub(super) inbox: BTreeMap<AccountId, Arc<[Invite]>>,
    /// What browsers and finds showed last.
    pub(super) found: Vec<Found>,
    browsers: BTreeMap<BrowserId, BTreeSet<SessionKey>>,
    pub(super) asks: Vec<u64>,
    closed: bool,
    /// Whether a peer may have told this engine what no engine of ours says.
    pub(super) lied_to: bool,
}

impl Watch {
    pub(super) fn request(&mut self) -> RequestId {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.open.insert(request);
        request
    }

    pub(super) fn cancel(&mut self, request: RequestId) {
        if self.open.remove(&request) {
            self.cancelled.insert(request);
        }
    }

    pub(super) fn browse(&mut self, browser: BrowserId) {
        self.browsers.insert(browser, BTreeSet::new());
    }

    pub(super) fn end_browse(&mut self, browser: BrowserId) {
        self.browsers.remove(&browser);
    }

    pub(super) fn browsers(&self) -> Vec<BrowserId> {
        self.browsers.keys().copied().collect()
    }

    /// Seats that have not ended.
    pub(super) fn live(&self) -> Vec<SeatId> {
        self.seats.iter().filter(|(_, seat)| !seat.left).map(|(&seat, _)| seat).collect()
    }

    pub(super) fn output(&mut self, output: Output) {
        match output {
            Output::Done { request, result } => self.done(request, result),
            Output::SeatOpened(opened) => {
                let seat = Seat {
                    user: opened.user,
                    snapshot: opened.snapshot,
                    is_host: opened.is_host,
                    left: false,
                    events: 0,
                    last: None,
                };
                assert!(self.seats.insert(opened.seat, seat).is_none(), "opened twice");
            }
            Output::Seat { seat, events, snapshot } => self.events(seat, events, snapshot),
            Output::SeatKeys { seat, .. }
            | Output::SeatBans { seat, .. }
            | Output::SeatAddresses { seat, .. }
            | Output::SeatSuccession { seat, .. } => {
                assert!(self.seats.contains_key(&seat), "of a seat that was never opened");
            }
            Output::Invites { user, list } => drop(self.inbox.insert(user, list)),
            Output::Browser { browser, list, events } => self.list(browser, &list, events),
            Output::Lan(LanEvent::Closed) => {
                assert!(!self.closed, "closed twice");
                self.closed = true;
            }
            Output::User { .. } | Output::Lan(_) => {}
        }
    }

    fn done(&mut self, request: RequestId, result: Result<Answer, Error>) {
        let waited = self.open.remove(&request) || self.cancelled.remove(&request);
        assert!(waited, "{request:?} is answered twice or was never asked: {result:?}");
        match result {
            Ok(Answer::Seat(seat)) => assert!(self.seats.contains_key(&seat), "an answer before its seat"),
            Ok(Answer::Seats(seats)) => {
                assert!(seats.iter().all(|seat| self.seats.contains_key(seat)), "an answer before its seats");
            }
            Ok(Answer::Reservation(_, reservation)) => self.reservations.push(reservation.id),
            Ok(Answer::Found(found)) => self.found = found,
            Ok(_) => {}
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }

    fn events(&mut self, id: SeatId, events: Vec<SessionEvent>, snapshot: Option<Arc<SessionSnapshot>>) {
        let lied_to = self.lied_to;
        let Some(seat) = self.seats.get_mut(&id) else { panic!("{id:?} was never opened: {events:?}") };
        assert!(!seat.left, "{id:?} has ended: {events:?}");
        if let Some(snapshot) = snapshot {
            let (before, after) = (seat.snapshot.revision, snapshot.revision);
            // A host that lies may say any term; the next host's own counts after it.
            let forged = lied_to && after.term != before.term;
            assert!(forged || after >= before, "revision {after} after {before}");
            if forged && after < before {
                seat.last = None;
            }
            let (members, max) = (snapshot.members.len(), usize::from(snapshot.max_members));
            assert!(lied_to || members <= max, "{members} members of {max}");
            let accounts: BTreeSet<_> = snapshot.members.iter().map(|member| member.account).collect();
            assert_eq!(accounts.len(), members, "one seat an account");
            seat.snapshot = snapshot;
        }
        for event in events {
            assert!(!seat.left, "{event:?} after the end");
            assert_eq!(seat.events == 0, matches!(event, SessionEvent::Joined { .. }), "{event:?} and Joined is first");
            seat.events += 1;
            if let Some(revision) = event.revision() {
                assert!(revision <= seat.snapshot.revision, "{event:?} ahead of its snapshot");
                assert!(seat.last <= Some(revision), "revisions go back");
                seat.last = Some(revision);
            }
            match event {
                SessionEvent::JoinAsked(ask) => self.asks.push(ask.id),
                SessionEvent::Left { .. } => seat.left = true,
                _ => {}
            }
        }
    }

    fn list(&mut self, browser: BrowserId, list: &[Found], events: Vec<BrowserEvent>) {
        let Some(shown) = self.browsers.get_mut(&browser) else { panic!("{browser:?} is not open") };
        for event in events {
            match event {
                BrowserEvent::Found(found) => assert!(shown.insert(found.key()), "found twice"),
                BrowserEvent::Updated { old, new } => {
                    assert!(old.key() == new.key() && shown.contains(&new.key()), "updated and not shown");
                }
                BrowserEvent::Lost(key) => assert!(shown.remove(&key), "lost and not shown"),
                BrowserEvent::Lagged { .. } => {}
            }
        }
        let keys: BTreeSet<_> = list.iter().map(Found::key).collect();
        assert_eq!(keys.len(), list.len(), "one entry a session");
        assert_eq!(keys, *shown, "the events do not make the list");
        self.found = list.to_vec();
    }

    /// After a close, and time for it: every request has its answer and every seat its end.
    pub(super) fn check_closed(&self) {
        assert!(self.closed, "the LAN is not closed");
        assert!(self.open.is_empty(), "without an answer: {:?}", self.open);
        assert_eq!(self.live(), [], "seats that have not ended");
    }
}
