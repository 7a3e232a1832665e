//! A member's word on joiners, and the invites that it made (protocol.md, "Friends of members" and "Invites").

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::super::core::Core;
use super::super::host::ANY_SESSION;
use super::super::publication::SessionsEvent;
use super::{MemberSeat, Side};
use crate::proto::clock::Moment;
use crate::proto::io::{Answer, RequestId};
use crate::proto::limits;
use crate::proto::links::Bucket;
use crate::types::{
    AccountId, Error, ErrorKind, HostKey, Invite, InviteId, InviteRequest, InviteState, JoinLink, JoinPolicy,
    SessionEvent, SessionKey,
};
use crate::wire::frame::{Frame, Request, VouchAsk};

/// What a seat remembers of the questions it was asked, and of the invites it made.
#[derive(Debug)]
pub(super) struct Social {
    /// Whom it was asked about and had no yes for, the latest last.
    asked: VecDeque<AccountId>,
    yes: Bucket,
    no: Bucket,
    /// Open invites made from this seat.
    invites: VecDeque<(InviteId, AccountId)>,
}

impl Social {
    pub(super) fn new(now: Moment) -> Self {
        Self { asked: VecDeque::new(), yes: Bucket::new(now), no: Bucket::new(now), invites: VecDeque::new() }
    }

    fn forget(&mut self, invite: InviteId) -> Option<AccountId> {
        let at = self.invites.iter().position(|(id, _)| *id == invite)?;
        self.invites.remove(at).map(|(_, account)| account)
    }
}

impl MemberSeat {
    /// The host asks whether a joiner is a friend. Answered at most once with no, at most six times a minute with either
    /// word; a yes may be repeated, for the host knows it. So a host that asks about everybody draws few lines of anybody's
    /// circle, and a crowd of strangers cannot use up the answers that friends need.
    pub(super) fn vouch(&mut self, core: &mut Core, question: &VouchAsk) {
        let blind = SessionKey { id: ANY_SESSION, founder: self.view.state().host_key };
        let here = question.session == self.key || question.session == blind;
        let friends_only = self.view.state().policy == JoinPolicy::FriendsOnly;
        if !here || !friends_only || self.social.asked.contains(&question.account) {
            return;
        }
        // Unread where it is forged, whoever it is about: an answer, or none the second time, would tell a friend.
        if !question.verify(self.view.state().host_key) {
            return;
        }
        let friend = core.friends.contains(self.account(), question.account);
        let (now, every) = (core.now, core.tuning.vouch_answer);
        let bucket = if friend { &mut self.social.yes } else { &mut self.social.no };
        if bucket.take(now, every, limits::VOUCH_ANSWERS).is_err() {
            return;
        }
        if !friend {
            self.social.asked.push_back(question.account);
            if self.social.asked.len() > limits::VOUCHED {
                self.social.asked.pop_front();
            }
        }
        if let Side::Linked(link) = &mut self.side {
            link.send(now, &mut core.actions, &Frame::Vouch { ask: question.ask, yes: friend });
        }
    }

    /// Where its session is served, if that is hidden.
    pub(in super::super) fn hidden(&self) -> Option<(SessionKey, HostKey, u64, Vec<SocketAddr>)> {
        let hidden = !self.view.state().listed;
        hidden.then(|| (self.key, self.view.state().host_key, self.spec.incarnation, self.addresses.clone()))
    }

    /// The user has other friends now: a no that was said of one of them is not the last word.
    pub(in super::super) fn friends_changed(&mut self, core: &Core) {
        let user = self.account();
        self.social.asked.retain(|account| !core.friends.contains(user, *account));
    }

    /// The host's rows for what this seat asked for.
    pub(super) fn invited(&mut self, core: &mut Core, request: RequestId, what: &InviteRequest, ids: Vec<InviteId>) {
        if ids.len() != what.invitees.len() {
            let why = "the host answered with another number of invites";
            core.done(request, Err(Error::new(ErrorKind::Refused, why)));
            return;
        }
        core.done(request, Ok(Answer::Invites(ids.clone())));
        let state = self.view.state();
        let addresses: Vec<_> = self.addresses.iter().take(JoinLink::MAX_ADDRESSES).copied().collect();
        for (id, &invitee) in ids.into_iter().zip(&what.invitees) {
            core.events.push_back(SessionsEvent::InviteMade(Box::new(Invite {
                id,
                session: self.key,
                host_key: state.host_key,
                incarnation: self.spec.incarnation,
                name: state.name.clone(),
                inviter: self.spec.account(),
                inviter_name: self.spec.user.name.clone(),
                invitee,
                addresses: addresses.clone(),
                expires_in: what.ttl,
                hold: what.hold,
            })));
            self.social.forget(id);
            self.social.invites.push_back((id, invitee));
            if self.social.invites.len() > limits::INVITES {
                self.social.invites.pop_front();
            }
        }
    }

    /// The host's word on one of them.
    pub(super) fn invite_state(&mut self, core: &mut Core, invite: InviteId, account: AccountId, state: InviteState) {
        if let Some(invitee) = state.is_final().then(|| self.social.forget(invite)).flatten() {
            let inviter = self.account();
            core.events.push_back(SessionsEvent::InviteOver { inviter, invitee, invite, state });
        }
        self.tell(core, vec![SessionEvent::InviteUpdated { invite, account, state }], None);
    }

    /// The word of this machine on one of them. A seat that is held for who cannot be told of it is given up.
    pub(in super::super) fn invite_delivery(&mut self, core: &mut Core, invite: InviteId, state: InviteState) {
        let made = self.social.invites.iter().find(|(id, _)| *id == invite);
        let Some(&(_, account)) = made else { return };
        self.tell(core, vec![SessionEvent::InviteUpdated { invite, account, state }], None);
        if let (InviteState::Unreachable, Side::Linked(link)) = (state, &mut self.side) {
            let (number, body) = (self.next_number, Request::Revoke { invite, hold_only: true });
            self.next_number += 1;
            link.send(core.now, &mut core.actions, &Frame::Request { number, body });
        }
    }
}
