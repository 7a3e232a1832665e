//! Who may come in by policy, and the rounds in which members are asked whether a joiner is a friend of theirs
//! (protocol.md, "Friends of members").
//!
//! A question carries the joiner's knock, so a host can ask about nobody who did not come. A member that lies lets in
//! whom it likes: that is the policy. No list of friends travels, and a member's `no` is the same as its silence.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::super::core::Core;
use super::HostAuthority;
use super::admit::{Guest, Waiting};
use crate::proto::clock::Moment;
use crate::proto::io::LinkId;
use crate::proto::limits;
use crate::proto::links::{Bucket, encode};
use crate::types::{AccountId, InviteId, JoinPolicy, Refusal};
use crate::wire::frame::{Change, Frame, Join, VouchAsk};

/// What a session remembers of its rounds.
#[derive(Debug)]
pub(super) struct Vouching {
    rounds: Bucket,
    /// From where the joiner of a round came, and until when nobody else from there has one: whoever hangs up gains none.
    sources: BTreeMap<IpAddr, Moment>,
    /// Whom no member of this roster knew, and until when that counts.
    no: BTreeMap<AccountId, Moment>,
}

/// One joiner's round.
#[derive(Debug)]
pub(super) struct Round {
    ask: u64,
    /// The members that said yes. Kept beside the guest, for the checks are made again after the game's word.
    yes: BTreeSet<AccountId>,
}

impl Vouching {
    pub(super) fn new(now: Moment) -> Self {
        Self { rounds: Bucket::new(now), sources: BTreeMap::new(), no: BTreeMap::new() }
    }

    /// Others are there to be asked now.
    pub(super) fn roster_changed(&mut self, changes: &[Change]) {
        let roster = |change: &Change| {
            matches!(
                change,
                Change::MemberJoined(_) | Change::MemberClaimed(_) | Change::MemberLeft { .. } | Change::MemberBack(_)
            )
        };
        if changes.iter().any(roster) {
            self.no.clear();
        }
    }

    fn knows(&mut self, now: Moment, account: AccountId) -> bool {
        self.no.retain(|_, until| *until > now);
        self.no.contains_key(&account)
    }

    /// One round per source address, and few in all: keys are free, and each question costs every member.
    fn take_round(&mut self, core: &Core, source: IpAddr) -> Result<(), Duration> {
        let now = core.now;
        self.sources.retain(|_, until| *until > now);
        if let Some(until) = self.sources.get(&source) {
            return Err(until.since(now));
        }
        self.rounds.take(now, core.tuning.vouch_round, limits::VOUCH_ROUNDS)?;
        self.sources.insert(source, now + core.tuning.vouch);
        Ok(())
    }

    fn note(&mut self, account: AccountId, until: Moment) {
        if self.no.len() >= limits::VOUCH_NOS {
            let oldest = self.no.iter().min_by_key(|(_, until)| **until).map(|(&account, _)| account);
            oldest.map(|account| self.no.remove(&account));
        }
        self.no.insert(account, until);
    }
}

impl HostAuthority {
    /// What the policy says to somebody without a seat, as it is now.
    pub(super) fn policy_refusal(&self, core: &Core, guest: &Guest, join: &Join) -> Option<Refusal> {
        let account = guest.account();
        match self.doc.state().policy {
            JoinPolicy::Public => None,
            _ if self.invites.names(account, core.now) => None,
            JoinPolicy::InviteOnly => Some(self.invites.refusal(join.invite, account).unwrap_or(Refusal::NotInvited)),
            JoinPolicy::FriendsOnly => self.stranger(core, guest, join),
        }
    }

    /// Under friends only: a friend of the host, or of a member that said so and still is one.
    fn stranger(&self, core: &Core, guest: &Guest, join: &Join) -> Option<Refusal> {
        let account = guest.account();
        let vouched = |round: &Round| round.yes.iter().any(|member| self.seats.contains_key(member));
        if core.friends.contains(self.user.identity.account(), account) || guest.round.as_ref().is_some_and(vouched) {
            return None;
        }
        // Until its round is over it is no more than a stranger: that is what makes the round begin.
        let expired = guest.round.as_ref().and_then(|_| self.invites.refusal(join.invite, account));
        Some(expired.unwrap_or(Refusal::NotFriend))
    }

    /// Asks the members; the answer is theirs within `vouch`.
    pub(super) fn ask_members(&mut self, core: &mut Core, id: LinkId, join: Box<Join>) {
        let ask = u64::from_be_bytes(core.random());
        let Some(guest) = self.guests.get_mut(&id) else { return };
        let (account, source) = (guest.account(), guest.source());
        guest.round = Some(Round { ask, yes: BTreeSet::new() });
        let question = join.knock.map(|knock| VouchAsk {
            ask,
            account,
            session: join.session,
            incarnation: join.incarnation,
            peer_incarnation: join.peer_incarnation,
            knock,
        });
        let question = question.filter(|question| question.verify(self.host_key()));
        let Some(question) = question.filter(|_| !self.vouching.knows(core.now, account)) else {
            let refusal = self.invites.refusal(join.invite, account).unwrap_or(Refusal::NotFriend);
            self.refuse(core, id, refusal);
            return;
        };
        if let Err(after) = self.vouching.take_round(core, source) {
            self.refuse(core, id, Refusal::TooManyRequests { after });
            return;
        }
        let until = core.now + core.tuning.vouch;
        self.wait(id, Waiting::Vouch { until, join });
        let message = encode(&Frame::VouchAsk(Box::new(question)));
        for seat in self.seats.values_mut().filter(|seat| seat.confirmed) {
            seat.deliver(core, &message);
        }
    }

    /// A member's word. A `no` changes nothing: the round takes its time in any case, so nobody can tell who was asked.
    pub(super) fn vouched(&mut self, core: &mut Core, member: AccountId, ask: u64, yes: bool) {
        if !yes {
            return;
        }
        let of = |guest: &Guest| guest.round.as_ref().is_some_and(|round| round.ask == ask);
        let Some((&id, guest)) = self.guests.iter_mut().find(|(_, guest)| of(guest)) else { return };
        if let Some(round) = &mut guest.round {
            round.yes.insert(member);
        }
        // The first yes ends the round; later ones count if that member is gone when the game has said its word.
        if !matches!(guest.waiting, Some(Waiting::Vouch { .. })) {
            return;
        }
        self.wake = None;
        self.vouching.sources.remove(&guest.source());
        if let Some(Waiting::Vouch { join, .. }) = guest.waiting.take() {
            self.judge_and_answer(core, id, join);
        }
    }

    /// Nobody said yes in time. All is judged as it is now: the policy may be another one.
    pub(super) fn round_over(&mut self, core: &mut Core, id: LinkId, join: Box<Join>) {
        if let Some(guest) = self.guests.get(&id) {
            self.vouching.note(guest.account(), core.now + core.tuning.vouch_no);
        }
        self.judge_and_answer(core, id, join);
    }
}

/// What a joiner presented.
pub(super) fn presented(invite: Option<[u8; 16]>) -> Option<InviteId> {
    invite.map(InviteId::from_bytes)
}

#[cfg(all(test, feature = "testing"))]
impl Vouching {
    pub(super) fn sizes(&self, census: &mut limits::Census) {
        census.push(("strangers remembered", self.no.len(), limits::VOUCH_NOS));
    }
}
