//! Seats that one account holds for others (protocol.md, "Reservations and parties").
//!
//! A reserved seat is a member in the state `reserved` that nobody has come for. Its time is a deadline of `states`; the
//! rows here only say which seats belong together, and who may change them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::core::Core;
use super::admit::millis;
use super::party::Place;
use super::seat::Seat;
use super::{HostAuthority, Reply};
use crate::proto::clock::Moment;
use crate::proto::io::RequestId;
use crate::proto::limits;
use crate::types::{
    AccountId, Error, ErrorKind, Left, Reason, Refusal, Reservation, ReservationChange, ReservationId, ReserveRequest,
    Revision,
};
use crate::wire::frame::{Cause, Change, KeptReservation};

#[derive(Debug)]
struct Row {
    leader: AccountId,
    version: u32,
    accounts: Vec<AccountId>,
    role: Option<String>,
    ttl: Option<Duration>,
    /// The request that made it, so that the same one, sent again, finds it.
    made_by: Option<Cause>,
}

/// A change of one reservation.
#[derive(Debug, Clone)]
pub(in super::super) struct Amendment {
    pub(in super::super) id: ReservationId,
    /// Only if this is its version.
    pub(in super::super) expected: Option<u32>,
    pub(in super::super) change: ReservationChange,
}

/// Which reserved seats belong together.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    /// A row without accounts is over; it goes with the next reservation.
    rows: BTreeMap<ReservationId, Row>,
}

impl Reservations {
    fn row_of(&self, account: AccountId) -> Option<&Row> {
        self.rows.values().find(|row| row.accounts.contains(&account))
    }

    /// Whose seats are held together with this one.
    pub(super) fn beside(&self, account: AccountId) -> impl Iterator<Item = AccountId> + '_ {
        self.row_of(account).into_iter().flat_map(|row| row.accounts.iter().copied()).filter(move |a| *a != account)
    }

    pub(super) fn ttl_of(&self, account: AccountId) -> Option<Duration> {
        self.row_of(account).and_then(|row| row.ttl)
    }

    /// Who holds this account's seat.
    pub(super) fn leader_of(&self, account: AccountId) -> Option<AccountId> {
        self.row_of(account).map(|row| row.leader)
    }

    /// The seats of one reservation.
    pub(super) fn seats_of(&self, id: ReservationId) -> &[AccountId] {
        self.rows.get(&id).map_or(&[], |row| &row.accounts)
    }

    /// These accounts' seats are held no more: claimed, or free.
    pub(super) fn release(&mut self, gone: &BTreeSet<AccountId>) {
        for row in self.rows.values_mut() {
            let before = row.accounts.len();
            row.accounts.retain(|account| !gone.contains(account));
            row.version = row.version.saturating_add(u32::from(row.accounts.len() < before));
        }
    }

    /// The seats that this account holds for others.
    pub(super) fn of_leader(&self, leader: AccountId) -> impl Iterator<Item = AccountId> + '_ {
        self.rows.values().filter(move |row| row.leader == leader).flat_map(|row| row.accounts.iter().copied())
    }

    /// The reservation that this request has made.
    pub(super) fn made_by(&self, cause: Cause) -> Option<ReservationId> {
        self.rows.iter().find(|(_, row)| row.made_by == Some(cause)).map(|(&id, _)| id)
    }

    /// Why this leader cannot hold so many more seats, in one reservation more.
    pub(super) fn limit(&self, leader: AccountId, more: usize, another: bool) -> Option<Refusal> {
        let refused = |why: String| Some(Refusal::Refused(Reason::from(why)));
        let rows = self.rows.values().filter(|row| !row.accounts.is_empty()).count();
        if another && rows >= limits::RESERVATIONS {
            return refused(format!("the session has {rows} reservations, which is the most"));
        }
        if self.of_leader(leader).count() + more > limits::RESERVED_SEATS {
            return refused(format!("one account holds at most {} seats for others", limits::RESERVED_SEATS));
        }
        None
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn has(&self, account: AccountId) -> bool {
        let rows = self.rows.values().filter(|row| row.accounts.contains(&account)).count();
        assert!(rows <= 1, "{account:?} is in {rows} reservations");
        rows == 1
    }

    pub(super) fn insert(&mut self, id: ReservationId, leader: AccountId, what: &ReserveRequest, by: Option<Cause>) {
        self.rows.retain(|_, row| !row.accounts.is_empty());
        // The numbers of a restarted member's requests begin anew.
        self.rows.values_mut().filter(|row| by.is_some() && row.made_by == by).for_each(|row| row.made_by = None);
        let ReserveRequest { accounts, role, ttl } = what.clone();
        self.rows.insert(id, Row { leader, version: 1, accounts, role, ttl, made_by: by });
    }
}

impl Reservations {
    /// As successors keep them.
    pub(super) fn kept(&self) -> Vec<KeptReservation> {
        let rows = self.rows.iter().filter(|(_, row)| !row.accounts.is_empty());
        let kept = rows.map(|(&id, row)| KeptReservation {
            id,
            leader: row.leader,
            version: row.version,
            accounts: row.accounts.clone(),
            role: row.role.clone(),
            ttl: row.ttl.map(millis),
            made_by: row.made_by.map(|cause| (cause.account, cause.number)),
        });
        kept.collect()
    }

    /// The same, at a host that goes on: of the seats that are held there.
    pub(super) fn restored(kept: &[KeptReservation], held: impl Fn(AccountId) -> bool) -> Self {
        let row = |kept: &KeptReservation| Row {
            leader: kept.leader,
            version: kept.version,
            accounts: kept.accounts.iter().copied().filter(|account| held(*account)).collect(),
            role: kept.role.clone(),
            ttl: kept.ttl.map(|left| Duration::from_millis(left.into())),
            made_by: kept.made_by.map(|(account, number)| Cause { account, number }),
        };
        Self { rows: kept.iter().map(|kept| (kept.id, row(kept))).collect() }
    }
}

impl HostAuthority {
    /// Holds seats for other accounts, all or none, in one revision. Every error is a refusal.
    pub(super) fn reserve(
        &mut self,
        core: &mut Core,
        leader: AccountId,
        what: &ReserveRequest,
        cause: Option<Cause>,
        reply: impl FnOnce(ReservationId) -> Reply,
    ) -> Result<(Revision, ReservationId), Error> {
        if let Some(refusal) = self.reservations.limit(leader, what.accounts.len(), true) {
            return Err(Error::refused(refusal));
        }
        self.check_held(core, &what.accounts, what.role.as_deref())?;
        let id = ReservationId::from_bytes(core.random());
        self.reservations.insert(id, leader, what, cause);
        let changes = self.hold(core, &what.accounts, what.role.as_deref());
        Ok((self.commit(core, &changes, cause, reply(id)), id))
    }

    /// Whether a seat can be held for each of these.
    fn check_held(&self, core: &Core, accounts: &[AccountId], role: Option<&str>) -> Result<(), Error> {
        let (state, now) = (self.doc.state(), core.now);
        if let Some(account) = accounts.iter().find(|account| self.bans.contains(account)) {
            return Err(Error::refused_because(Refusal::Banned, format!("account {account:?} is banned")));
        }
        if let Some(account) = accounts.iter().find(|account| state.member(**account).is_some()) {
            let why = format!("account {account:?} has a seat in the session, or one is held for it");
            return Err(Error::refused_because(Refusal::AlreadyMember, why));
        }
        state.joinable().map_err(Error::refused)?;
        self.frozen_refusal(core).map_or(Ok(()), |why| Err(Error::refused(why)))?;
        let wanted: Vec<_> = accounts.iter().map(|account| (*account, role)).collect();
        if let Some(refusal) = self.roles_refusal(&wanted) {
            return Err(Error::refused(refusal));
        }
        let needed = accounts.iter().copied().collect();
        let free = usize::from(self.public_seats(now)).saturating_sub(self.merge.held(&needed, now));
        match accounts.len().saturating_sub(free) {
            0 => Ok(()),
            short => Err(Error::refused_because(Refusal::Full, format!("the session is full: {short} seats short"))),
        }
    }

    /// The reserved seats of these accounts, nobody in them.
    pub(super) fn hold(&mut self, core: &mut Core, accounts: &[AccountId], role: Option<&str>) -> Vec<Change> {
        for account in accounts {
            self.seats.insert(*account, Seat::held(core.now, core.random()));
        }
        let places = accounts.iter().map(|account| Place::held(*account, role.map(str::to_owned)));
        self.members_of(places.collect()).into_iter().map(Change::MemberJoined).collect()
    }

    pub(super) fn amend(
        &mut self,
        core: &mut Core,
        leader: AccountId,
        amendment: &Amendment,
        cause: Option<Cause>,
        reply: Reply,
    ) -> Result<Revision, Error> {
        let Amendment { id, expected, ref change } = *amendment;
        let row = self.reservations.rows.get(&id).filter(|row| !row.accounts.is_empty());
        let Some(row) = row else {
            return Err(Error::new(ErrorKind::NotFound, format!("reservation {id:?} is over, or never was")));
        };
        if row.leader != leader {
            return Err(Error::new(ErrorKind::NotOwner, "only the account that made a reservation may change it"));
        }
        if expected.is_some_and(|expected| expected != row.version) {
            let why = format!("the reservation has changed since: its version is {}", row.version);
            return Err(Error::new(ErrorKind::Stale, why));
        }
        match change {
            ReservationChange::Extend(more) => self.extend(core, leader, id, more, cause, reply),
            ReservationChange::Shrink(fewer) => {
                if let Some(other) = fewer.iter().find(|account| !row.accounts.contains(account)) {
                    let why = format!("account {other:?} is not in this reservation, or has claimed its seat");
                    return Err(Error::new(ErrorKind::NotFound, why));
                }
                Ok(self.vacate(core, fewer, &Left::Left, Vec::new(), cause, reply))
            }
            ReservationChange::Cancel => {
                let all = row.accounts.clone();
                Ok(self.vacate(core, &all, &Left::Left, Vec::new(), cause, reply))
            }
            ReservationChange::Renew => {
                let after = row.ttl.or(self.doc.state().timeouts.reserved);
                let accounts = row.accounts.clone();
                for account in accounts {
                    self.deadlines.set(account, after.map(|after| core.now + after));
                }
                self.touch(id);
                self.wake = None;
                Ok(self.commit_some(core, &[], cause, reply))
            }
        }
    }

    fn extend(
        &mut self,
        core: &mut Core,
        leader: AccountId,
        id: ReservationId,
        more: &[AccountId],
        cause: Option<Cause>,
        reply: Reply,
    ) -> Result<Revision, Error> {
        if let Some(refusal) = self.reservations.limit(leader, more.len(), false) {
            return Err(Error::refused(refusal));
        }
        let role = self.reservations.rows.get(&id).and_then(|row| row.role.clone());
        self.check_held(core, more, role.as_deref())?;
        self.touch(id);
        if let Some(row) = self.reservations.rows.get_mut(&id) {
            row.accounts.extend_from_slice(more);
        }
        let changes = self.hold(core, more, role.as_deref());
        Ok(self.commit(core, &changes, cause, reply))
    }

    fn touch(&mut self, id: ReservationId) {
        if let Some(row) = self.reservations.rows.get_mut(&id) {
            row.version = row.version.saturating_add(1);
        }
        self.touch_kept();
    }

    /// A reservation as it is; one that is over holds nothing.
    pub(super) fn reservation(&self, now: Moment, id: ReservationId) -> Reservation {
        let (version, accounts) =
            self.reservations.rows.get(&id).map_or((0, Vec::new()), |row| (row.version, row.accounts.clone()));
        let until = accounts.first().and_then(|account| self.deadlines.get(*account));
        Reservation { id, version, accounts, expires_in: until.map(|until| until.since(now)) }
    }

    pub(in super::super) fn reserve_here(&mut self, core: &mut Core, request: RequestId, what: &ReserveRequest) {
        let leader = self.user.identity.account();
        if let Err(error) = self.reserve(core, leader, what, None, |id| Reply::Reservation(request, id)) {
            core.done(request, Err(error));
        }
    }

    pub(in super::super) fn amend_here(&mut self, core: &mut Core, request: RequestId, amendment: &Amendment) {
        let (leader, reply) = (self.user.identity.account(), Reply::Reservation(request, amendment.id));
        if let Err(error) = self.amend(core, leader, amendment, None, reply) {
            core.done(request, Err(error));
        }
    }
}

#[cfg(all(test, feature = "testing"))]
impl Reservations {
    pub(super) fn sizes(&self, census: &mut limits::Census) {
        census.push(("reservations", self.rows.len(), limits::RESERVATIONS));
    }
}
