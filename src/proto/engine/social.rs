//! Who may know where a user is: what the social room hears is judged by what the sessions know, and back.
//!
//! A question that may not be answered ends here without a trace: nothing is queued, sent or remembered.

use super::Engine;
use crate::proto::clock::Moment;
use crate::proto::io::{Arrival, Command, Output, RequestId};
use crate::proto::social::{Asked, Reaction, SocialEvent};
use crate::types::{AccountId, AccountRow, Error, ErrorKind, Invite, InviteState, InvitesFrom};
use crate::wire::datagram::{Kind, LocatePurpose, Prefix};

impl Engine {
    /// Takes a Locate of this game; `false` for anything else.
    pub(super) fn heard_locate(&mut self, now: Moment, arrival: &Arrival) -> bool {
        let Ok(prefix) = Prefix::peek(&arrival.bytes) else { return false };
        if prefix.known_kind() != Some(Kind::Locate) {
            return false;
        }
        let accounts = self.participants();
        // Where nobody takes part there is not even a trial opening.
        if !accounts.is_empty() {
            let Self { discovery, social, .. } = self;
            let asked = discovery.with_cx(now, |cx| social.handle_locate(cx, arrival, &accounts));
            if let Some((asked, reaction)) = asked.and_then(|asked| self.reaction(&asked).map(|to| (asked, to))) {
                self.social.react(now, asked, reaction);
            }
        }
        true
    }

    /// Who receives invites, shows a session, or has one that the same account may ask for from another machine.
    fn participants(&self) -> Vec<AccountId> {
        let mut accounts = self.social.participants();
        accounts.extend(self.sessions.seated_accounts());
        accounts.sort_unstable();
        accounts.dedup();
        accounts
    }

    /// What an asker gets; `None` is silence.
    fn reaction(&self, asked: &Asked) -> Option<Reaction> {
        let (user, asker) = (asked.user, asked.asker);
        let rows = |rows: Vec<AccountRow>| (!rows.is_empty()).then_some(Reaction::Rows(rows));
        match asked.purpose {
            LocatePurpose::Invite => {
                self.may_invite(user, asker).then(|| Reaction::Invite { stranger: !self.is_known(user, asker) })
            }
            LocatePurpose::Presence if user == asker || self.sessions.is_friend(user, asker) => {
                rows(self.rows_for_friends(user).into_iter().filter(|row| row.shown).collect())
            }
            LocatePurpose::Sessions if user == asker => rows(self.sessions.rows(user)),
            LocatePurpose::Presence | LocatePurpose::Sessions => None,
        }
    }

    /// A user's sessions, the one marked that it shows to its friends.
    pub(super) fn rows_for_friends(&self, user: AccountId) -> Vec<AccountRow> {
        let shown = self.social.presence(user);
        let mark = |row: AccountRow| AccountRow { shown: shown == Some(row.key), ..row };
        self.sessions.rows(user).into_iter().map(mark).collect()
    }

    /// A friend, or a member of a session that the user is in.
    fn is_known(&self, user: AccountId, asker: AccountId) -> bool {
        user == asker || self.sessions.is_friend(user, asker) || self.sessions.is_with(user, asker)
    }

    fn may_invite(&self, user: AccountId, inviter: AccountId) -> bool {
        match self.social.receives(user) {
            InvitesFrom::Nobody => false,
            InvitesFrom::Friends => self.is_known(user, inviter),
            InvitesFrom::Anyone => true,
        }
    }

    pub(super) fn route_social(&mut self, now: Moment, event: SocialEvent) {
        match event {
            SocialEvent::Invite { inviter, session, invite, state } => {
                self.sessions.invite_delivery(now, session, inviter, invite, state);
            }
            SocialEvent::Rows { ask, account, rows } => {
                if let Some(&request) = self.account_asks.get(&ask) {
                    self.account_rows(now, request, account, rows);
                }
            }
        }
    }

    /// The host has the row of an invite that a user here asked for: to the invitee, who may be a user here as well.
    pub(super) fn invite_made(&mut self, now: Moment, invite: &Invite) {
        let (inviter, invitee) = (invite.inviter, invite.invitee);
        let taken = self.sessions.is_own(invitee)
            && self.may_invite(invitee, inviter)
            && self.social.take(now, invite.clone(), !self.is_known(invitee, inviter));
        if taken {
            let state = InviteState::Delivered;
            self.sessions.invite_delivery(now, invite.session, inviter, invite.id, state);
        } else {
            self.social.deliver(now, invite);
        }
    }

    pub(super) fn social_command(&mut self, now: Moment, command: Command) {
        match command {
            Command::ReceiveInvites { account, from } => self.social.receive_invites(account, from),
            Command::SetPresence { account, session } => self.social.set_presence(account, session),
            Command::AcceptInvite { account, invite } => self.social.accept(account, invite),
            Command::RejectInvite { request, account, invite } => {
                match self.social.end(account, invite, InviteState::Rejected) {
                    Some(invite) => {
                        let deadline = now + self.config.tuning.join;
                        self.sessions.reject_invite(now, request, &invite, deadline);
                    }
                    None => self.done(request, Err(Error::new(ErrorKind::NotFound, "the user has no such invite"))),
                }
            }
            _ => {}
        }
    }

    /// What the sessions told users, as far as it matters here: a seat that is taken uses up the invites to it.
    pub(super) fn seat_opened(&mut self, output: &Output) {
        if let Output::SeatOpened(opened) = output {
            let inbox = self.social.seated(opened.user, opened.snapshot.key);
            self.outputs.extend(inbox);
        }
    }

    /// A presence ends with its seat.
    pub(super) fn end_presences(&mut self) {
        for (account, session) in self.social.presences() {
            if !self.sessions.has_seat(account, session) {
                self.social.set_presence(account, None);
            }
        }
    }

    /// Asks the LAN for an account, for a find by this user.
    pub(super) fn ask_for(&mut self, request: RequestId, asker: AccountId, account: AccountId, deadline: Moment) {
        if let Some(ask) = self.social.ask_rows(asker, account, deadline) {
            self.account_asks.insert(ask, request);
        }
    }

    /// A find has its answer, or nobody wants it: its questions end.
    pub(super) fn end_asks_of(&mut self, request: RequestId) {
        let asks = self.account_asks.iter().filter(|(_, whose)| **whose == request);
        for ask in asks.map(|(&ask, _)| ask).collect::<Vec<_>>() {
            self.account_asks.remove(&ask);
            self.social.end_ask(ask);
        }
    }
}
