//! The invites of one session: rows that only its host keeps (protocol.md, "Invites").
//!
//! An invite is no token: whoever presents it has proved its account in TLS, and the row says which account it is for.
//! Its time is the host's, and is over exactly when it is, whatever comes in that moment.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::super::core::Core;
use super::super::publication::SessionsEvent;
use super::HostAuthority;
use super::admit::millis;
use crate::proto::clock::Moment;
use crate::proto::io::{Answer, LinkId, RequestId};
use crate::proto::limits;
use crate::types::{
    AccountId, Error, ErrorKind, Invite, InviteId, InviteRequest, InviteState, JoinLink, Refusal, Revision,
    SessionEvent,
};
use crate::wire::frame::{DoneResult, Frame, KeptInvite};

/// One invite.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    id: InviteId,
    inviter: AccountId,
    invitee: AccountId,
    /// Until when a seat is held.
    hold: Option<Moment>,
    passes_password: bool,
    deadline: Moment,
}

impl Row {
    fn counts(&self, now: Moment) -> bool {
        self.deadline > now
    }

    fn holds(&self, now: Moment) -> bool {
        self.counts(now) && self.hold.is_some_and(|until| until > now)
    }
}

#[derive(Debug, Default)]
pub(super) struct Invites {
    /// In the order in which they were made.
    rows: Vec<Row>,
    /// Of those that have a seat and have not said a word from it yet: a link that breaks then must not cost the invite.
    aside: Vec<Row>,
    /// Whose invite was over when, the latest last: told as expired and not as never made.
    expired: VecDeque<(InviteId, AccountId)>,
    /// What inviters whose link is lost have not been told.
    untold: VecDeque<(AccountId, Frame)>,
}

impl Invites {
    /// Whether an invite of this account counts.
    pub(super) fn names(&self, account: AccountId, now: Moment) -> bool {
        self.rows.iter().any(|row| row.invitee == account && row.counts(now))
    }

    /// Whether one of them stands for the password, too.
    pub(super) fn pass_password(&self, account: AccountId, now: Moment) -> bool {
        self.rows.iter().any(|row| row.invitee == account && row.passes_password && row.counts(now))
    }

    /// Whether what an account without an invite presents was one of its own.
    pub(super) fn refusal(&self, presented: Option<[u8; 16]>, account: AccountId) -> Option<Refusal> {
        let presented = super::vouch::presented(presented)?;
        let of = |id: InviteId, invitee: AccountId| id == presented && invitee == account;
        let late = self.rows.iter().any(|row| of(row.id, row.invitee));
        let expired = self.expired.iter().any(|(id, invitee)| of(*id, *invitee));
        (late || expired).then_some(Refusal::InviteExpired)
    }

    /// Seats held for accounts other than this one.
    pub(super) fn held(&self, but: Option<AccountId>, now: Moment) -> usize {
        self.rows.iter().filter(|row| row.holds(now) && Some(row.invitee) != but).count()
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        self.rows.iter().flat_map(|row| [Some(row.deadline), row.hold]).flatten().min()
    }

    /// An account takes its seat, in this very commit: all its invites are used, by whichever it came.
    pub(super) fn set_aside(&mut self, account: AccountId) {
        let used = self.take(|row| row.invitee == account);
        self.aside.extend(used);
    }

    /// Its seat is free again before it was confirmed; what has expired meanwhile is due at once.
    pub(super) fn put_back(&mut self, account: AccountId) {
        let unused = take_from(&mut self.aside, |row| row.invitee == account);
        self.rows.extend(unused);
    }

    pub(super) fn held_for(&self, now: Moment) -> impl Iterator<Item = AccountId> + '_ {
        self.rows.iter().filter(move |row| row.holds(now)).map(|row| row.invitee)
    }

    /// A seat is this account's, or reserved for it: none is held for it beside that.
    pub(super) fn seated(&mut self, account: AccountId) {
        self.rows.iter_mut().filter(|row| row.invitee == account).for_each(|row| row.hold = None);
    }

    fn take(&mut self, which: impl Fn(&Row) -> bool) -> Vec<Row> {
        take_from(&mut self.rows, which)
    }

    /// All that count against the limits.
    fn open(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().chain(&self.aside)
    }

    fn is_over(&mut self, row: &Row) {
        self.expired.push_back((row.id, row.invitee));
        if self.expired.len() > limits::EXPIRED_INVITES {
            self.expired.pop_front();
        }
    }
}

impl Invites {
    /// As successors keep them, with the times that are left.
    pub(super) fn kept(&self, now: Moment) -> (Vec<KeptInvite>, Vec<(InviteId, AccountId)>) {
        let kept = |row: &Row, aside| KeptInvite {
            id: row.id,
            inviter: row.inviter,
            invitee: row.invitee,
            passes_password: row.passes_password,
            aside,
            left: millis(row.deadline.since(now)),
            hold: row.hold.map(|until| millis(until.since(now))),
        };
        let rows = self.rows.iter().map(|row| kept(row, false));
        let all = rows.chain(self.aside.iter().map(|row| kept(row, true)));
        (all.collect(), self.expired.iter().copied().collect())
    }

    /// Those that still may be used, out of these ids.
    pub(super) fn open_of(&self, ids: &[InviteId]) -> bool {
        self.open().any(|row| ids.contains(&row.id))
    }

    /// The same, at a host that goes on: each has the time that was left.
    pub(super) fn restored(now: Moment, kept: &[KeptInvite], expired: &[(InviteId, AccountId)]) -> Self {
        let row = |kept: &KeptInvite| Row {
            id: kept.id,
            inviter: kept.inviter,
            invitee: kept.invitee,
            hold: kept.hold.map(|left| now + Duration::from_millis(left.into())),
            passes_password: kept.passes_password,
            deadline: now + Duration::from_millis(kept.left.into()),
        };
        let (aside, rows): (Vec<_>, Vec<_>) = kept.iter().partition(|kept| kept.aside);
        Self {
            rows: rows.into_iter().map(row).collect(),
            aside: aside.into_iter().map(row).collect(),
            expired: expired.iter().copied().collect(),
            untold: VecDeque::new(),
        }
    }
}

fn take_from(rows: &mut Vec<Row>, which: impl Fn(&Row) -> bool) -> Vec<Row> {
    let (taken, left) = std::mem::take(rows).into_iter().partition(|row| which(row));
    *rows = left;
    taken
}

impl HostAuthority {
    // ------------------------------------------------------------------------------------- making and taking back

    /// Rows for all these accounts, or for none. An account that this inviter has invited already keeps its id.
    pub(super) fn make_invites(
        &mut self,
        core: &mut Core,
        inviter: AccountId,
        what: &InviteRequest,
    ) -> Result<Vec<InviteId>, Error> {
        self.expire_invites(core);
        self.check_invites(core.now, inviter, what)?;
        let (now, deadline) = (core.now, core.now + what.ttl);
        let hold = what.hold.then(|| deadline.min(now + core.tuning.invite_hold));
        let mut ids = Vec::new();
        for &invitee in &what.invitees {
            let same = |row: &&mut Row| row.inviter == inviter && row.invitee == invitee;
            let id = match self.invites.rows.iter_mut().find(same) {
                // A seat that was held is held no longer for being asked for again.
                Some(row) => {
                    row.hold = if what.hold { row.hold.or(hold) } else { None };
                    (row.deadline, row.passes_password) = (deadline, what.passes_password);
                    row.id
                }
                None => {
                    let id = InviteId::from_bytes(core.random());
                    let passes_password = what.passes_password;
                    self.invites.rows.push(Row { id, inviter, invitee, hold, passes_password, deadline });
                    id
                }
            };
            ids.push(id);
        }
        self.holds_changed(core);
        Ok(ids)
    }

    fn check_invites(&self, now: Moment, inviter: AccountId, what: &InviteRequest) -> Result<(), Error> {
        what.check()?;
        if what.passes_password && !self.owns(inviter) {
            return Err(Error::new(ErrorKind::NotOwner, "only the session's host may let an invite pass the password"));
        }
        for &invitee in &what.invitees {
            if self.doc.state().member(invitee).is_some() {
                let why = format!("account {invitee:?} is a member of the session");
                return Err(Error::new(ErrorKind::AlreadyExists, why));
            }
            if self.bans.contains(&invitee) {
                let why = format!("account {invitee:?} is banned from the session");
                return Err(Error::new(ErrorKind::Forbidden, why));
            }
        }
        let open = || self.invites.open();
        let own = |row: &&Row| row.inviter == inviter;
        let again = |invitee: &&AccountId| open().filter(own).any(|row| row.invitee == **invitee);
        let new = what.invitees.len() - what.invitees.iter().filter(again).count();
        let over = open().filter(own).count() + new > limits::INVITES_PER_MEMBER;
        if over || open().count() + new > limits::INVITES {
            let of = open().filter(|row| !over || row.inviter == inviter);
            let after = of.map(|row| row.deadline).min().map_or(Duration::ZERO, |at| at.since(now));
            return Err(Error::refused(Refusal::TooManyRequests { after }));
        }
        if what.hold { self.check_hold(now, inviter, what) } else { Ok(()) }
    }

    fn check_hold(&self, now: Moment, inviter: AccountId, what: &InviteRequest) -> Result<(), Error> {
        let mut others = self.invites.rows.iter().filter(|row| row.holds(now) && !what.invitees.contains(&row.invitee));
        if others.any(|row| row.inviter == inviter) {
            return Err(Error::new(ErrorKind::InvalidState, "this member holds a seat by another invite already"));
        }
        let invitees = what.invitees.iter().copied().collect();
        let free = self.free_seats().saturating_sub(self.merge.held(&invitees, now));
        let held = self.invites.held(what.invitees.first().copied(), now);
        if (held + 1) * 2 > free {
            let why = format!("{held} of {free} open seats are held; invites hold at most half of them");
            return Err(Error::new(ErrorKind::InvalidState, why));
        }
        Ok(())
    }

    /// Takes an invite back, or only gives its seat up: its inviter may, and the host. The rows that have ended by it.
    pub(super) fn take_back(
        &mut self,
        core: &mut Core,
        by: AccountId,
        invite: InviteId,
        hold_only: bool,
    ) -> Result<Vec<Row>, Error> {
        self.expire_invites(core);
        let allowed = self.owns(by);
        let row = self.invites.rows.iter_mut().find(|row| row.id == invite && (allowed || row.inviter == by));
        let Some(row) = row else {
            return Err(Error::new(ErrorKind::NotFound, format!("there is no open invite {invite:?} of this member")));
        };
        if hold_only {
            row.hold = None;
            self.holds_changed(core);
            return Ok(Vec::new());
        }
        Ok(self.invites.take(|row| row.id == invite))
    }

    /// Kicked or banned: nothing that it gave away counts any more. One that leaves has given its word and keeps it.
    pub(super) fn revoke_invites_of(&mut self, core: &mut Core, account: AccountId, banned: bool) {
        self.invites_used(core, account);
        self.invites.aside.retain(|row| row.inviter != account);
        self.end_invites(core, InviteState::Revoked, |row| {
            row.inviter == account || (banned && row.invitee == account)
        });
    }

    // ---------------------------------------------------------------------------------------------------- their ends

    /// The seat is confirmed, or its holder had it and was removed.
    pub(super) fn invites_used(&mut self, core: &mut Core, account: AccountId) {
        let used = take_from(&mut self.invites.aside, |row| row.invitee == account);
        self.tell_inviters(core, &used, InviteState::Accepted);
    }

    /// A proven account without a seat does not want its invite. What is answered does not tell whether there was one.
    pub(super) fn reject_invite(&mut self, core: &mut Core, link: LinkId, account: AccountId, invite: InviteId) {
        self.expire_invites(core);
        self.end_invites(core, InviteState::Rejected, |row| row.id == invite && row.invitee == account);
        let result = DoneResult::Ok(Revision { term: 0, number: 0 });
        self.dismiss(core, link, &Frame::Done { number: 0, result });
    }

    pub(super) fn expire_invites(&mut self, core: &mut Core) {
        let now = core.now;
        if self.invites.deadline().is_none_or(|at| at > now) {
            return;
        }
        for row in self.invites.rows.iter_mut().filter(|row| row.hold.is_some_and(|until| until <= now)) {
            row.hold = None;
        }
        self.holds_changed(core);
        for row in self.invites.rows.clone().iter().filter(|row| !row.counts(now)) {
            self.invites.is_over(row);
        }
        self.end_invites(core, InviteState::Expired, |row| !row.counts(now));
    }

    fn end_invites(&mut self, core: &mut Core, state: InviteState, which: impl Fn(&Row) -> bool) {
        let ended = self.invites.take(which);
        self.tell_inviters(core, &ended, state);
    }

    pub(super) fn tell_inviters(&mut self, core: &mut Core, ended: &[Row], state: InviteState) {
        for row in ended {
            self.tell_inviter(core, row, state);
        }
        if !ended.is_empty() {
            self.holds_changed(core);
        }
    }

    fn tell_inviter(&mut self, core: &mut Core, row: &Row, state: InviteState) {
        let Row { id: invite, inviter, invitee: account, .. } = *row;
        if self.owns(inviter) {
            if state.is_final() {
                core.events.push_back(SessionsEvent::InviteOver { inviter, invitee: account, invite, state });
            }
            core.tell(self.seat, vec![SessionEvent::InviteUpdated { invite, account, state }], None);
            return;
        }
        let frame = Frame::InviteState { invite, account, state };
        match self.seats.get(&inviter) {
            Some(seat) if seat.link.is_some() && seat.receiving => self.insist(core, inviter, &frame),
            Some(_) => {
                self.invites.untold.push_back((inviter, frame));
                if self.invites.untold.len() > limits::EXPIRED_INVITES {
                    self.invites.untold.pop_front();
                }
            }
            None => {}
        }
    }

    /// What a member missed while its link was lost.
    pub(super) fn tell_untold(&mut self, core: &mut Core, member: AccountId) {
        let (its, others) = std::mem::take(&mut self.invites.untold).into_iter().partition(|(of, _)| *of == member);
        self.invites.untold = others;
        let its: VecDeque<(AccountId, Frame)> = its;
        for (_, frame) in its {
            self.insist(core, member, &frame);
        }
    }

    // --------------------------------------------------------------------------------------------------------- seats

    fn free_seats(&self) -> usize {
        let state = self.doc.state();
        usize::from(state.max_members).saturating_sub(state.members.len())
    }

    /// Whether too few seats are left for a joiner and whom it brings; `needed` are those of them that have none yet. Seats
    /// that are held are for whom they are held, by an invite or by a grant; reserved slots are for the invited, and for
    /// whom they bring.
    pub(super) fn is_full_for(&self, account: AccountId, needed: &BTreeSet<AccountId>, now: Moment) -> bool {
        if needed.is_empty() {
            return false;
        }
        let granted = self.merge.held(needed, now);
        let promised = self.invites.names(account, now) || self.merge.are_granted(needed, now);
        let public = !promised && needed.len() + granted > usize::from(self.doc.state().open_slots());
        let held = |row: &&Row| row.holds(now) && !needed.contains(&row.invitee);
        public || self.free_seats() < needed.len() + granted + self.invites.rows.iter().filter(held).count()
    }

    /// Public seats, without those that are held.
    pub(super) fn public_seats(&self, now: Moment) -> u16 {
        let left = self.free_seats().saturating_sub(self.invites.held(None, now));
        self.doc.state().open_slots().min(u16::try_from(left).unwrap_or(u16::MAX))
    }

    fn holds_changed(&mut self, core: &mut Core) {
        self.wake = None;
        self.touch_kept();
        self.publish(core);
    }

    // ---------------------------------------------------------------------------------------------- the host's user

    pub(in super::super) fn invite(
        &mut self,
        core: &mut Core,
        request: RequestId,
        what: &InviteRequest,
        addresses: &[IpAddr],
    ) {
        let inviter = self.user.identity.account();
        let made = self.make_invites(core, inviter, what);
        core.done(request, made.clone().map(Answer::Invites));
        let addresses = addresses.iter().map(|&ip| SocketAddr::new(ip, self.port));
        let addresses: Vec<_> = addresses.take(JoinLink::MAX_ADDRESSES).collect();
        for (id, &invitee) in made.unwrap_or_default().into_iter().zip(&what.invitees) {
            core.events.push_back(SessionsEvent::InviteMade(Box::new(Invite {
                id,
                session: self.key,
                host_key: self.host_key(),
                incarnation: self.incarnation,
                name: self.doc.state().name.clone(),
                inviter,
                inviter_name: self.user.name.clone(),
                invitee,
                addresses: addresses.clone(),
                expires_in: what.ttl,
                hold: what.hold,
            })));
        }
    }

    pub(in super::super) fn revoke(&mut self, core: &mut Core, request: RequestId, invite: InviteId) {
        let ended = self.take_back(core, self.user.identity.account(), invite, false);
        core.done(request, ended.as_ref().map(|_| Answer::Unit).map_err(Clone::clone));
        self.tell_inviters(core, &ended.unwrap_or_default(), InviteState::Revoked);
    }

    /// The word of this machine on an invite of the host's user.
    pub(in super::super) fn invite_delivery(&mut self, core: &mut Core, invite: InviteId, state: InviteState) {
        let own = self.user.identity.account();
        let Some(row) = self.invites.rows.iter().find(|row| row.id == invite && row.inviter == own).copied() else {
            return;
        };
        self.tell_inviter(core, &row, state);
        if state == InviteState::Unreachable {
            let _ = self.take_back(core, own, invite, true);
        }
    }
}

#[cfg(all(test, feature = "testing"))]
impl Invites {
    pub(super) fn sizes(&self, census: &mut limits::Census) {
        census.push(("invites", self.rows.len(), limits::INVITES));
        census.push(("expired invites", self.expired.len(), limits::EXPIRED_INVITES));
        census.push(("untold invites", self.untold.len(), limits::EXPIRED_INVITES));
    }
}
