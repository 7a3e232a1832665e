//! Friends, invites, presence and links from outside: the one file that knows the library's calls for them.

use std::collections::BTreeMap;
use std::time::Duration;

use lansession::{
    AccountId, Found, Invite, InviteId, InviteState, InvitesFrom, Pending, Result, Session, SessionEvent, SessionQuery,
    UiTarget, User, UserEvent,
};

use super::{Model, Tab};
use crate::common::saved::Memory;

/// How often friends are asked for while their list is on the screen.
const ASK_FRIENDS: Duration = Duration::from_secs(5);

/// An invite as the list shows it.
#[derive(Debug, Clone)]
pub(crate) struct InviteRow {
    pub(crate) invite: Invite,
    /// Since 1970, by this machine's clock; the host's decides.
    pub(crate) expires: Duration,
}

/// What is asked for on behalf of the player, beside sessions.
pub(crate) struct Social {
    /// When each invite that waits runs out.
    expires: BTreeMap<InviteId, Duration>,
    finding: Option<(Vec<AccountId>, Pending<Vec<Found>>)>,
    /// When friends were asked for last, and how many of them since the first.
    asked: Duration,
    done: usize,
}

impl Social {
    /// Friends may invite, and links that are opened elsewhere arrive here.
    pub(crate) fn start(user: &User, memory: &Memory) -> Result<Self> {
        let social = Self { expires: BTreeMap::new(), finding: None, asked: Duration::ZERO, done: 0 };
        social.set_friends(user, memory)?;
        user.receive_invites(InvitesFrom::Friends)?;
        // Another window of this game may have them: then it is the one that links open in.
        let _ = user.receive_links();
        Ok(social)
    }

    pub(crate) fn set_friends(&self, user: &User, memory: &Memory) -> Result<()> {
        user.set_friends(memory.friends.iter().map(|friend| friend.account))
    }

    pub(crate) fn invite(&self, session: &Session, account: AccountId) -> Pending<Vec<InviteId>> {
        session.invite(account)
    }

    pub(crate) fn accept(&self, user: &User, invite: InviteId) -> Result<()> {
        user.accept(invite)
    }

    pub(crate) fn reject(&self, user: &User, invite: InviteId) -> Pending<()> {
        user.reject(invite)
    }

    /// One frame.
    pub(crate) fn step(&mut self, user: &User, session: Option<&Session>, model: &mut Model) {
        self.show(user, session, model);
        let invites = user.invites();
        self.expires.retain(|id, _| invites.iter().any(|invite| invite.id == *id));
        let rows = invites.into_iter().map(|invite| {
            let expires = *self.expires.entry(invite.id).or_insert(model.now.saturating_add(invite.expires_in));
            InviteRow { invite, expires }
        });
        model.invited(rows.collect());
        self.find(user, model);
    }

    /// Lets friends find the player in its session, or not, as the model says.
    fn show(&self, user: &User, session: Option<&Session>, model: &mut Model) {
        let wanted = session.filter(|_| model.visible);
        if wanted.map(Session::key) == user.presence().map(|session| session.key()) {
            return;
        }
        if let Err(error) = user.set_presence(wanted) {
            model.visible = false;
            model.notice(format!("Friends cannot find you: {error}"));
        }
    }

    /// Asks where friends are, some at a time, while one looks at them.
    fn find(&mut self, user: &User, model: &mut Model) {
        if let Some((accounts, mut pending)) = self.finding.take() {
            match pending.try_take() {
                None => self.finding = Some((accounts, pending)),
                Some(found) => {
                    accounts.iter().for_each(|account| drop(model.whereabouts.remove(account)));
                    let found = found.unwrap_or_else(|error| {
                        model.notice(format!("Friends: {error}"));
                        Vec::new()
                    });
                    for found in found {
                        if let Some(account) = found.matched().map(|matched| matched.account) {
                            model.whereabouts.insert(account, found);
                        }
                    }
                }
            }
            return;
        }
        let friends = &model.memory.friends;
        let first_of_round = self.done >= friends.len();
        let due = !first_of_round || model.now.saturating_sub(self.asked) >= ASK_FRIENDS;
        if model.tab != Tab::Friends || friends.is_empty() || !due {
            return;
        }
        if first_of_round {
            (self.done, self.asked) = (0, model.now);
        }
        let some = friends.iter().skip(self.done).take(SessionQuery::MAX_ACCOUNTS);
        let accounts: Vec<AccountId> = some.map(|friend| friend.account).collect();
        self.done += accounts.len();
        let found = user.find(SessionQuery::new().accounts(accounts.iter().copied()));
        self.finding = Some((accounts, found));
    }

    /// What becomes of the invites that this player sent.
    pub(crate) fn session_event(&self, model: &mut Model, event: &SessionEvent) {
        if let SessionEvent::InviteUpdated { account, state, .. } = event {
            let name = model.friend(*account).map_or_else(|| format!("{account:?}"), |friend| friend.name.clone());
            if let Some(room) = &mut model.room {
                room.tell(format!("* the invite to {name}: {state}"));
            }
        }
    }

    pub(crate) fn user_event(&self, model: &mut Model, event: &UserEvent) {
        match event {
            UserEvent::InviteReceived(invite) => {
                model.notice(format!("{} invites you to {}: see tab 4", invite.inviter_name, invite.name));
            }
            UserEvent::InviteEnded { state: state @ (InviteState::Expired | InviteState::Revoked), .. } => {
                model.notice(format!("An invite is {state}"));
            }
            UserEvent::UiJoinRequested { target: UiTarget::Invite(invite), .. } => model.join_invited(invite),
            UserEvent::UiJoinRequested { target: UiTarget::Link(link), .. } => model.offer(link),
            _ => {}
        }
    }
}
