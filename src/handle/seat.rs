//! One local user's seat as the core keeps it, and the counted hold that handles have on it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::core::{After, Core};
use super::pending::{Outcome, Slot};
use super::queue::Queue;
use super::watch::Cell;
use crate::proto::io::{SeatId, SeatOpened, SuccessionView};
use crate::types::{
    AccountId, Found, FoundAddress, FoundData, Left, Member, PublicFacts, ReservationId, Revision, Secret,
    SessionEvent, SessionSnapshot, Source, Sources,
};

/// What is known of a seat.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) user: AccountId,
    pub(super) local_name: String,
    pub(super) is_host: bool,
    pub(super) control_port: u16,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) keys: Vec<(AccountId, Secret)>,
    /// At the host, whom it keeps out.
    pub(super) bans: Vec<AccountId>,
    /// What goes on after the host.
    pub(super) succession: Box<SuccessionView>,
    pub(super) snapshot: Arc<SessionSnapshot>,
    /// What its join reserved for others.
    pub(super) reservation: Option<ReservationId>,
    /// Claims in the hands of users; 1 for the answer that is still on its way.
    pub(super) claims: usize,
    pub(super) unclaimed: bool,
    /// Stays without any claim.
    pub(super) keep: bool,
    /// Somebody asked to leave or destroy.
    pub(super) leaving: bool,
    pub(super) ended: Option<Left>,
    /// Its first events were queued, or in frame mode staged.
    pub(super) announced: bool,
    /// They have been told.
    pub(super) told: bool,
    /// The engine's first events have come.
    pub(super) heard: bool,
    /// Answers that wait for the state they speak of.
    pub(super) owed: Vec<(Revision, Arc<Slot>, Outcome)>,
    pub(super) events: Vec<Weak<Queue<SessionEvent>>>,
    pub(super) watches: Vec<Weak<Cell<SessionSnapshot>>>,
}

impl Seat {
    pub(super) fn new(opened: SeatOpened) -> Self {
        let SeatOpened { seat: _, user, local_name, is_host, host_addresses, control_port, snapshot, reservation } =
            opened;
        Self {
            user,
            local_name,
            is_host,
            control_port,
            addresses: host_addresses,
            keys: Vec::new(),
            bans: Vec::new(),
            succession: Box::default(),
            snapshot,
            reservation,
            claims: 1,
            unclaimed: true,
            keep: false,
            leaving: false,
            ended: None,
            announced: false,
            told: false,
            heard: false,
            owed: Vec::new(),
            events: Vec::new(),
            watches: Vec::new(),
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.ended.is_none() && !self.leaving
    }

    /// Answers those who wait for a state that is there now, or can come no more.
    pub(super) fn settle(&mut self, after: &mut After, ended: bool) {
        let now = self.snapshot.revision;
        let (due, owed) = std::mem::take(&mut self.owed).into_iter().partition(|(at, ..)| ended || *at <= now);
        self.owed = owed;
        let due: Vec<(Revision, Arc<Slot>, Outcome)> = due;
        for (_, slot, outcome) in due {
            after.wakers.extend(slot.fill(Ok(outcome)));
            after.slots.push(slot);
        }
    }

    /// What a subscription starts with: the state, each other member, then this one. So there is no gap between the state
    /// and the first change.
    pub(super) fn opening(&self) -> Vec<SessionEvent> {
        let snapshot = &self.snapshot;
        let joined = |member: &Member| SessionEvent::MemberJoined {
            member: member.clone(),
            present_before: member.account != self.user,
            revision: snapshot.revision,
        };
        let (own, others): (Vec<_>, Vec<_>) = snapshot.members.iter().partition(|member| member.account == self.user);
        let first = SessionEvent::Joined { snapshot: Arc::clone(snapshot) };
        std::iter::once(first).chain(others.into_iter().map(joined)).chain(own.into_iter().map(joined)).collect()
    }

    /// The host's control addresses, best first.
    pub(super) fn control_addresses(&self) -> Vec<SocketAddr> {
        self.addresses.iter().map(|&ip| SocketAddr::new(ip, self.control_port)).collect()
    }

    /// The session as a finder would list it; what `Lan::known` says of own and joined ones.
    pub(super) fn as_found(&self) -> Found {
        let state = &*self.snapshot;
        let mut sources = Sources::default();
        sources.insert(Source::Direct);
        Found::new(FoundData {
            key: state.key,
            host_key: state.host_key,
            incarnation: 0,
            term: state.revision.term,
            facts: PublicFacts::of(state),
            major: 1,
            incompatible: false,
            our_version: state.version,
            addresses: self.control_addresses().into_iter().map(|addr| FoundAddress::new(addr, None)).collect(),
            sources,
            confirmed: true,
            silent: false,
            migrating: false,
            migratable: false,
            listed: state.listed,
            matched: None,
            started: 0,
        })
    }
}

/// A seat under its lock, which is taken after the core's and before any queue's.
#[derive(Debug)]
pub(super) struct SeatCell(Mutex<Seat>);

impl SeatCell {
    pub(super) fn new(seat: Seat) -> Self {
        Self(Mutex::new(seat))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Seat> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One hold on a seat. The seat is left when the last one is dropped, unless it is kept.
#[derive(Debug)]
pub(super) struct SeatClaim {
    core: Arc<Core>,
    id: SeatId,
    cell: Arc<SeatCell>,
}

impl SeatClaim {
    /// For a claim that has been counted.
    pub(super) fn counted(core: Arc<Core>, id: SeatId, cell: Arc<SeatCell>) -> Self {
        Self { core, id, cell }
    }

    pub(super) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(super) fn id(&self) -> SeatId {
        self.id
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Seat> {
        self.cell.lock()
    }

    pub(super) fn keep(&self) {
        self.lock().keep = true;
    }
}

impl Clone for SeatClaim {
    fn clone(&self) -> Self {
        let mut seat = self.lock();
        seat.claims = seat.claims.saturating_add(1);
        drop(seat);
        Self { core: Arc::clone(&self.core), id: self.id, cell: Arc::clone(&self.cell) }
    }
}

impl Drop for SeatClaim {
    fn drop(&mut self) {
        self.core.release(self.id);
    }
}
