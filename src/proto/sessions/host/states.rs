//! How long a member stays in each state (protocol.md, "Member states").
//!
//! One deadline a member, set when it enters a state and cancelled when it leaves it. These are promises to members, not
//! guesses about links: a deadline that is due comes before whatever else happens at its moment, and a host that slept
//! puts none off.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::bounds::check_status;
use super::super::core::Core;
use super::admit::millis;
use super::{HostAuthority, Reply};
use crate::proto::clock::Moment;
use crate::proto::io::{Answer, RequestId};
use crate::types::{AccountId, Error, ErrorKind, Left, MemberStatus, MemberUpdate, Revision};
use crate::wire::frame::{Cause, Change, SettingChange};

/// When members' states end by themselves.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    of: BTreeMap<AccountId, Moment>,
    order: BTreeSet<(Moment, AccountId)>,
    /// When the session ends for want of members.
    empty: Option<Moment>,
    /// It was opened without members, and none has come yet.
    fresh: bool,
}

impl Deadlines {
    pub(super) fn set(&mut self, account: AccountId, at: Option<Moment>) {
        if let Some(former) = self.of.remove(&account) {
            self.order.remove(&(former, account));
        }
        if let Some(at) = at {
            self.of.insert(account, at);
            self.order.insert((at, account));
        }
    }

    pub(super) fn get(&self, account: AccountId) -> Option<Moment> {
        self.of.get(&account).copied()
    }

    /// As successors keep them: the times that are left.
    pub(super) fn kept(&self, now: Moment) -> Vec<(AccountId, u32)> {
        self.of.iter().map(|(&account, at)| (account, millis(at.since(now)))).collect()
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn accounts(&self) -> impl Iterator<Item = AccountId> + '_ {
        assert_eq!(self.of.len(), self.order.len(), "one deadline a member");
        self.of.keys().copied()
    }

    pub(super) fn next(&self) -> Option<Moment> {
        self.order.first().map(|(at, _)| *at).into_iter().chain(self.empty).min()
    }

    fn due(&self, now: Moment) -> Vec<AccountId> {
        self.order.iter().take_while(|(at, _)| *at <= now).map(|(_, account)| *account).collect()
    }
}

impl HostAuthority {
    /// Follows a commit: who entered a state has its time, who left one has none.
    pub(super) fn follow(&mut self, now: Moment, changes: &[Change]) {
        let gone = changes.iter().filter_map(|change| match change {
            Change::MemberLeft { account, .. } => Some(*account),
            Change::MemberClaimed(member) => Some(member.account),
            _ => None,
        });
        self.reservations.release(&gone.collect::<BTreeSet<_>>());
        for change in changes {
            match change {
                Change::MemberJoined(member) => {
                    self.merge.claimed(member.account);
                    self.invites.seated(member.account);
                    self.arm(now, member.account);
                }
                Change::MemberUpdated { account, status: Some(_), .. } => self.arm(now, *account),
                // A claim that stays reserved goes on with the time it has.
                Change::MemberClaimed(member) if member.status != MemberStatus::Reserved => {
                    self.arm(now, member.account);
                }
                Change::MemberLeft { account, .. } => self.deadlines.set(*account, None),
                Change::Setting(SettingChange::Timeouts(_)) => self.arm_all(now),
                _ => {}
            }
        }
        if !self.doc.state().members.is_empty() {
            (self.deadlines.empty, self.deadlines.fresh) = (None, false);
        } else if self.deadlines.empty.is_none() {
            self.arm_empty(now);
        }
    }

    /// The session is open.
    pub(super) fn opened(&mut self, now: Moment) {
        self.deadlines.fresh = self.doc.state().members.is_empty();
        if self.deadlines.fresh {
            self.arm_empty(now);
        }
        self.wake = None;
    }

    /// One without members waits for its first as long as it may be empty; only where that is no time at all it waits
    /// without end, or it could never have one.
    fn arm_empty(&mut self, now: Moment) {
        let endless = |after: &Duration| self.deadlines.fresh && after.is_zero();
        let after = self.doc.state().timeouts.empty.filter(|after| !endless(after));
        self.deadlines.empty = after.map(|after| now + after);
    }

    fn arm(&mut self, now: Moment, account: AccountId) {
        let Some(member) = self.doc.state().member(account) else { return };
        let timeouts = self.doc.state().timeouts;
        let after = match member.status {
            MemberStatus::Active => None,
            MemberStatus::Ready => timeouts.ready,
            // The host's own seat is never free before its session ends.
            _ if member.is_host => None,
            MemberStatus::Inactive => timeouts.inactive,
            MemberStatus::Reserved => return self.arm_reserved(now, account, timeouts.reserved),
        };
        self.deadlines.set(account, after.map(|after| now + after));
    }

    /// At a host that goes on: each state has the time that was left; one of which nothing is known begins anew.
    pub(super) fn restore_deadlines(&mut self, now: Moment, left: &[(AccountId, u32)]) {
        let own = self.user.identity.account();
        let state = self.doc.state();
        // The copy may be older than the status, and of that there may be no end.
        let ends = |status| match status {
            MemberStatus::Active => false,
            MemberStatus::Ready => state.timeouts.ready.is_some(),
            MemberStatus::Inactive => state.timeouts.inactive.is_some(),
            MemberStatus::Reserved => true,
        };
        let members: Vec<_> = state.members.iter().map(|member| (member.account, ends(member.status))).collect();
        for (account, ends) in members {
            let known =
                left.iter().find(|(of, _)| *of == account).map(|(_, left)| Duration::from_millis((*left).into()));
            match known {
                Some(left) if ends && account != own => {
                    self.deadlines.set(account, Some(now + left));
                }
                _ => self.arm(now, account),
            }
        }
    }

    /// All seats of one reservation end together.
    fn arm_reserved(&mut self, now: Moment, account: AccountId, timeout: Option<Duration>) {
        let together = self.reservations.beside(account).find_map(|other| self.deadlines.get(other));
        let after = self.reservations.ttl_of(account).or(timeout);
        self.deadlines.set(account, together.or_else(|| after.map(|after| now + after)));
    }

    /// Other timeouts: they count from now on. A reservation with a time of its own keeps it, and so does one whose leader
    /// has left where there is no other: nobody could end it.
    fn arm_all(&mut self, now: Moment) {
        let state = self.doc.state();
        let left = |leader| !self.owns(leader) && state.member(leader).is_none();
        let orphan =
            |account| state.timeouts.reserved.is_none() && self.reservations.leader_of(account).is_some_and(left);
        let keeps = |account| self.reservations.ttl_of(account).is_some() || orphan(account);
        let members = state.members.iter().map(|member| member.account);
        let members: Vec<_> = members.filter(|account| !keeps(*account)).collect();
        for account in &members {
            self.deadlines.set(*account, None);
        }
        for account in members {
            self.arm(now, account);
        }
        self.deadlines.empty = None;
    }

    /// Ends the states whose time is up; all that end at one moment do so in one revision.
    pub(in super::super) fn expire(&mut self, core: &mut Core) {
        // `ready` may become `inactive` and that end at once; nothing goes further.
        for _ in 0..3 {
            let due = self.deadlines.due(core.now);
            if due.is_empty() {
                return;
            }
            let (mut gone, mut changes) = (Vec::new(), Vec::new());
            for account in due {
                match self.doc.state().member(account).map(|member| member.status) {
                    Some(MemberStatus::Ready) => changes.push(status_change(account, MemberStatus::Inactive)),
                    Some(MemberStatus::Reserved | MemberStatus::Inactive) => gone.push(account),
                    Some(MemberStatus::Active) | None => self.deadlines.set(account, None),
                }
            }
            for account in &gone {
                self.end_link(core, *account, Some(Left::Expired));
            }
            self.vacate(core, &gone, &Left::Expired, changes, None, Reply::Nobody);
        }
    }

    /// Whether nobody has been in it for as long as it may be empty.
    pub(super) fn is_abandoned(&self, now: Moment) -> bool {
        self.deadlines.empty.is_some_and(|at| at <= now)
    }

    /// A member's own word on its state; one without effect makes no revision.
    pub(super) fn change_status(
        &mut self,
        core: &mut Core,
        account: AccountId,
        status: MemberStatus,
        cause: Option<Cause>,
        reply: Reply,
    ) -> Result<Revision, Error> {
        check_status(self.doc.state(), account, status)?;
        let same = self.doc.state().member(account).is_some_and(|member| member.status == status);
        let change = (!same).then(|| status_change(account, status));
        Ok(self.commit_some(core, change.as_slice(), cause, reply))
    }

    pub(in super::super) fn set_status(&mut self, core: &mut Core, request: RequestId, status: MemberStatus) {
        let account = self.user.identity.account();
        // A dedicated host holds none; one that is reserved for its user is taken by a join, or nothing would ever free it.
        if self.is_held(account) {
            core.done(request, Err(Error::new(ErrorKind::InvalidState, "the seat is reserved and was not taken yet")));
            return;
        }
        if let Err(error) = self.change_status(core, account, status, None, Reply::Revision(request)) {
            core.done(request, Err(error));
        }
    }

    /// Commits what there is to commit; nothing is a success at the present revision.
    pub(super) fn commit_some(
        &mut self,
        core: &mut Core,
        changes: &[Change],
        cause: Option<Cause>,
        reply: Reply,
    ) -> Revision {
        if !changes.is_empty() {
            return self.commit(core, changes, cause, reply);
        }
        let revision = self.doc.revision();
        self.answer_reply(core, reply, revision);
        revision
    }

    /// Answers whoever waits here for a commit.
    pub(super) fn answer_reply(&self, core: &mut Core, reply: Reply, revision: Revision) {
        match reply {
            Reply::Nobody => {}
            Reply::Unit(request) => core.done(request, Ok(Answer::Unit)),
            Reply::Revision(request) => core.done(request, Ok(Answer::Revision(revision))),
            Reply::Reservation(request, id) => {
                let reservation = self.reservation(core.now, id);
                core.done(request, Ok(Answer::Reservation(revision, reservation)));
            }
        }
    }
}

fn status_change(account: AccountId, status: MemberStatus) -> Change {
    Change::MemberUpdated { account, update: MemberUpdate::new(), status: Some(status) }
}
