//! Friends and invites, as the whole process sees them: what users set and ask for, and what finding an invitee came to.

use super::Sessions;
use super::join::{JoinAttempt, JoinSpec, Resolved};
use crate::proto::clock::Moment;
use crate::proto::io::{Command, RequestId};
use crate::types::{AccountId, Attributes, Error, Invite, InviteId, InviteState, MemberStatus, SessionKey};
use crate::wire::frame::Request;

impl Sessions {
    pub(super) fn social(&mut self, command: Command) {
        match command {
            Command::SetFriends { account, friends } if self.users.contains_key(&account) => {
                self.core.friends.set(account, friends.into_iter().collect());
                let own = self.members.values_mut().filter(|member| member.account() == account);
                own.for_each(|member| member.friends_changed(&self.core));
            }
            Command::Invite { request, seat, what } => {
                if let Some(member) = self.members.get_mut(&seat) {
                    member.request(&mut self.core, request, Request::Invite(*what));
                } else {
                    let addresses = self.addresses.clone();
                    self.at_host(request, seat, |host, core| host.invite(core, request, &what, &addresses));
                }
            }
            Command::Revoke { request, seat, invite } => {
                if let Some(member) = self.members.get_mut(&seat) {
                    member.request(&mut self.core, request, Request::Revoke { invite, hold_only: false });
                } else {
                    self.at_host(request, seat, |host, core| host.revoke(core, request, invite));
                }
            }
            _ => {}
        }
    }

    /// Whether an account is a friend of a local user.
    pub(crate) fn is_friend(&self, user: AccountId, account: AccountId) -> bool {
        self.core.friends.contains(user, account)
    }

    /// This machine's word on an invite of a local user: `Delivered` or `Unreachable`. One that has ended meanwhile is not
    /// told of any more.
    pub(crate) fn invite_delivery(
        &mut self,
        now: Moment,
        session: SessionKey,
        inviter: AccountId,
        invite: InviteId,
        state: InviteState,
    ) {
        self.core.now = now;
        if let Some(host) = self.hosts.get_mut(&session).filter(|host| host.owns(inviter)) {
            host.invite_delivery(&mut self.core, invite, state);
        } else if let Some(member) =
            self.members.values_mut().find(|member| member.key == session && member.account() == inviter)
        {
            member.invite_delivery(&mut self.core, invite, state);
        }
    }

    /// Tells a session's host that a local user does not want an invite; answered once the host has heard it. An invite
    /// that does not count any more is rejected all the same.
    pub(crate) fn reject_invite(&mut self, now: Moment, request: RequestId, invite: &Invite, deadline: Moment) {
        self.core.now = now;
        match self.new_rejection(request, invite, deadline) {
            Ok(join) => {
                self.joins.insert(request, join);
                self.time_out_join(request);
            }
            Err(error) => self.core.done(request, Err(error)),
        }
    }

    fn new_rejection(&mut self, request: RequestId, invite: &Invite, deadline: Moment) -> Result<JoinAttempt, Error> {
        let to = Resolved::of_invite(invite, deadline);
        let spec = JoinSpec {
            user: self.user(invite.invitee)?.clone(),
            key: to.key,
            host_key: to.host_key,
            incarnation: to.incarnation,
            nonce: self.core.random(),
            peer_incarnation: u64::from_be_bytes(self.core.random()),
            ticket: Vec::new(),
            attributes: Attributes::new(),
            invite: Some(invite.id),
            password_key: None,
            patient: true,
            can_host: false,
            rounds: self.core.tuning.password_rounds,
            role: None,
            status: MemberStatus::Active,
            party: Vec::new(),
            reserve_for: Vec::new(),
        };
        let join = JoinAttempt::new(&mut self.core, request, String::new(), spec, None, to)?;
        Ok(join.rejecting(invite.id))
    }

    /// Where a hidden session is served that a local user hosts or is a member of. Nobody on the LAN can be asked for it.
    pub(crate) fn hidden(&self, fits: impl Fn(SessionKey) -> bool, deadline: Moment) -> Option<Resolved> {
        let hosted = self.hosts.values().filter(|host| fits(host.key)).find_map(|host| host.hidden(&self.addresses));
        let (key, host_key, incarnation, candidates) = hosted.or_else(|| {
            let member = self.members.values().filter(|member| fits(member.key));
            member.filter_map(super::member::MemberSeat::hidden).next()
        })?;
        let host_key = Some(host_key);
        let version = Some(self.core.version);
        Some(Resolved { key: Some(key), host_key, incarnation, version, migratable: false, candidates, deadline })
    }
}

impl Resolved {
    /// As the invite says.
    pub(crate) fn of_invite(invite: &Invite, deadline: Moment) -> Self {
        Self {
            key: Some(invite.session),
            host_key: Some(invite.host_key),
            incarnation: invite.incarnation,
            version: None,
            migratable: false,
            candidates: invite.addresses.clone(),
            deadline,
        }
    }
}
