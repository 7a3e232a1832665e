//! Invites as they come into inboxes here, and go out of them (protocol.md, "Invites").

use super::Social;
use super::answer::{Brought, take_of};
use super::inbox::DISPLACED;
use super::reach;
use crate::proto::clock::Moment;
use crate::proto::io::Output;
use crate::proto::limits;
use crate::types::{AccountId, Invite, InviteId, InviteRequest, InviteState, SessionKey, UiTarget, UserEvent};
use crate::wire::frame::Deliver;

impl Social {
    /// What came over a link is an invite for the user that was asked for, by the one who asked.
    pub(super) fn take_delivered(&mut self, now: Moment, brought: Brought) -> Option<InviteId> {
        let Brought { user, asker, stranger, deliver, remote } = brought;
        let Deliver { pointer, name, inviter_name, mut addresses } = *deliver;
        let ours = pointer.is_of(self.game) && pointer.invitee == user && pointer.inviter == asker;
        if !ours || pointer.lifetime == 0 || !pointer.verify() {
            return None;
        }
        reach::sort(&mut addresses, remote);
        let lifetime = std::time::Duration::from_secs(pointer.lifetime.into());
        let invite = Invite {
            id: pointer.invite,
            session: pointer.session,
            host_key: pointer.host_key,
            incarnation: pointer.incarnation,
            name,
            inviter: pointer.inviter,
            inviter_name,
            invitee: pointer.invitee,
            addresses,
            expires_in: lifetime.min(InviteRequest::MAX_TTL),
            hold: pointer.hold(),
        };
        let id = invite.id;
        self.take(now, invite, stranger).then_some(id)
    }

    /// Puts an invite into its invitee's inbox; whether it was taken. Who may invite was decided before.
    pub(crate) fn take(&mut self, now: Moment, invite: Invite, stranger: bool) -> bool {
        let account = invite.invitee;
        let Some(user) = self.users.get_mut(&account) else { return false };
        if !take_of(&mut self.senders, now, invite.inviter, limits::INVITE_BURST, self.tuning.invite_interval) {
            return false;
        }
        let again = user.inbox.get(invite.id).is_some();
        let Some(displaced) = user.inbox.take(now, invite.clone(), stranger) else { return false };
        self.show(account);
        for id in displaced {
            self.ended(account, id, DISPLACED);
        }
        if !again {
            self.tell(account, UserEvent::InviteReceived(invite));
        }
        true
    }

    /// What is held for a user.
    pub(crate) fn invite(&self, account: AccountId, id: InviteId) -> Option<&Invite> {
        self.users.get(&account)?.inbox.get(id)
    }

    /// The player wants in: the game is to join.
    pub(crate) fn accept(&mut self, account: AccountId, id: InviteId) {
        if let Some(invite) = self.invite(account, id).cloned() {
            self.tell(account, UserEvent::UiJoinRequested { target: UiTarget::Invite(invite) });
        }
    }

    /// Takes an invite out of the inbox.
    pub(crate) fn end(&mut self, account: AccountId, id: InviteId, state: InviteState) -> Option<Invite> {
        let invite = self.users.get_mut(&account)?.inbox.remove(id)?;
        self.show(account);
        self.ended(account, id, state);
        Some(invite)
    }

    /// The host does not count this invite any more. The new inbox, to be shown before whoever asked the host is answered.
    pub(crate) fn take_out(&mut self, account: AccountId, id: InviteId, state: InviteState) -> Option<Output> {
        self.users.get_mut(&account)?.inbox.remove(id)?;
        self.ended(account, id, state);
        self.list(account)
    }

    /// The user has its seat: its invites into that session have done their work. The new inbox, to be shown before the
    /// seat; the events come after it.
    pub(crate) fn seated(&mut self, account: AccountId, session: SessionKey) -> Option<Output> {
        let ids = self.users.get_mut(&account)?.inbox.remove_of(session);
        if ids.is_empty() {
            return None;
        }
        for id in ids {
            self.ended(account, id, InviteState::Accepted);
        }
        self.list(account)
    }

    pub(super) fn all_ended(&mut self, account: AccountId, ids: Vec<InviteId>, state: InviteState) {
        if !ids.is_empty() {
            self.show(account);
        }
        for id in ids {
            self.ended(account, id, state);
        }
    }

    fn ended(&mut self, account: AccountId, id: InviteId, state: InviteState) {
        self.tell(account, UserEvent::InviteEnded { id, state });
    }

    fn tell(&mut self, user: AccountId, event: UserEvent) {
        self.outputs.push_back(Output::User { user, event });
    }

    /// The list before the event that speaks of it.
    fn show(&mut self, account: AccountId) {
        let list = self.list(account);
        self.outputs.extend(list);
    }

    fn list(&self, account: AccountId) -> Option<Output> {
        let list = self.users.get(&account)?.inbox.list();
        Some(Output::Invites { user: account, list: list.into() })
    }

    /// The host's last word on an invite of a user here: its delivery ends, and what is held for a user here that was to
    /// have it. The inbox of another machine learns it when its user comes.
    pub(crate) fn invite_over(&mut self, inviter: AccountId, invitee: AccountId, id: InviteId, state: InviteState) {
        self.end_asks(|ask| ask.asker() == inviter && ask.invite().is_some_and(|(_, carried)| carried == id));
        let held = self.invite(invitee, id).is_some_and(|invite| invite.inviter == inviter);
        if held && state == InviteState::Revoked {
            let _ = self.end(invitee, id, state);
        }
    }
}
