//! What members ask for their own seat's state and role, and for seats of others (protocol.md, "Members").

use std::time::Duration;

use super::super::core::Core;
use super::seated::too_many;
use super::{Amendment, HostAuthority, Reply};
use crate::proto::limits;
use crate::types::{AccountId, Error, MemberStatus, Reservation, ReservationId, ReserveRequest, Revision};
use crate::wire::frame::{Cause, DoneResult, Frame, Request};

impl HostAuthority {
    pub(super) fn place_request(&mut self, core: &mut Core, account: AccountId, number: u32, body: Request) {
        let cause = Some(Cause { account, number });
        let result = self.take_update(core, account).and_then(|()| match body {
            Request::Register => self.register(core, account, cause).map(|at| (at, None)),
            Request::SetStatus(status) => {
                self.change_status(core, account, status, cause, Reply::Nobody).map(|at| (at, None))
            }
            Request::SetRole(role) => self.change_role(core, account, role, cause, Reply::Nobody).map(|at| (at, None)),
            Request::Reserve { accounts, role, ttl } => {
                let ttl = ttl.map(|millis| Duration::from_millis(millis.into()).min(Reservation::MAX_TTL));
                let what = ReserveRequest { accounts, role, ttl };
                what.check()?;
                self.reserve(core, account, &what, cause, |_| Reply::Nobody).map(|(at, id)| (at, Some(id)))
            }
            Request::ChangeReservation { id, expected, change } => {
                change.check()?;
                let amendment = Amendment { id, expected, change };
                self.amend(core, account, &amendment, cause, Reply::Nobody).map(|at| (at, Some(id)))
            }
            // The others are answered where they come in.
            _ => Ok((self.doc.revision(), None)),
        });
        if result.is_ok() {
            self.note_applied(account, number);
        }
        match result {
            Ok((revision, Some(id))) => self.reply_reservation(core, account, number, revision, id),
            Ok((revision, None)) => self.reply(core, account, number, Ok(revision)),
            Err(error) => self.reply(core, account, number, Err(error)),
        }
    }

    fn take_update(&mut self, core: &Core, account: AccountId) -> Result<(), Error> {
        let Some(seat) = self.seats.get_mut(&account) else { return Ok(()) };
        seat.updates.take(core.now, core.tuning.update_interval, limits::UPDATE_BURST).map_err(too_many)
    }

    /// `reserved` becomes `active`; who is registered already has succeeded.
    fn register(&mut self, core: &mut Core, account: AccountId, cause: Option<Cause>) -> Result<Revision, Error> {
        let reserved = self.doc.state().member(account).is_some_and(|m| m.status == MemberStatus::Reserved);
        if reserved {
            self.change_status(core, account, MemberStatus::Active, cause, Reply::Nobody)
        } else {
            Ok(self.doc.revision())
        }
    }

    /// A request that took effect before its answer was lost.
    pub(super) fn repeated(&mut self, core: &mut Core, account: AccountId, number: u32, body: &Request) {
        let revision = self.doc.revision();
        let id = match body {
            Request::Reserve { .. } => self.reservations.made_by(Cause { account, number }),
            Request::ChangeReservation { id, .. } => Some(*id),
            _ => None,
        };
        match id {
            Some(id) => self.reply_reservation(core, account, number, revision, id),
            None => self.reply(core, account, number, Ok(revision)),
        }
    }

    fn reply_reservation(
        &mut self,
        core: &mut Core,
        account: AccountId,
        number: u32,
        revision: Revision,
        id: ReservationId,
    ) {
        let result = DoneResult::Reserved(revision, self.reservation(core.now, id));
        self.insist(core, account, &Frame::Done { number, result });
    }
}
