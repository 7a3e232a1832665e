//! Who is where: asking for accounts and being asked, invites on their way and in their inboxes, presence (protocol.md,
//! "Locate", "Links between users", "Invites" and "Presence").
//!
//! Call order: any `handle_*` or command, then drain `poll_action`, `poll_output` and `poll_event` until each says `None`,
//! then sleep until `poll_timeout`. Whether an asker may know is the composer's word: it knows friends and sessions. What
//! must be so before that question is even put is decided here.

mod answer;
mod ask;
mod inbox;
mod invites;
mod reach;
mod seen;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use self::answer::Answers;
use self::ask::{Answer, Ask, Wanted};
use self::inbox::Inbox;
use super::clock::Moment;
use super::io::{Action, Arrival, LinkEvent, LinkId, LocalUser, Output};
use super::lan::{Bucket, Cx, Dice};
use super::limits;
use super::tuning::Tuning;
use crate::types::{
    AccountId, AccountRow, Identity, Invite, InviteId, InviteState, InvitesFrom, SessionId, SessionKey,
};
use crate::wire::datagram::{GameTag, LocatePurpose};
use crate::wire::frame::{Deliver, Frame, Pointer};

pub(crate) use self::answer::{Asked, Reaction};

/// One question of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AskId(pub(crate) u64);

/// For the composer.
#[derive(Debug, PartialEq)]
pub(crate) enum SocialEvent {
    /// What became of an invite's delivery: delivered, or unreachable.
    Invite { inviter: AccountId, session: SessionKey, invite: InviteId, state: InviteState },
    /// An account's own process has answered.
    Rows { ask: AskId, account: AccountId, rows: Vec<AccountRow> },
}

/// A local user, as far as others may hear of it.
#[derive(Debug)]
struct Local {
    identity: Identity,
    receives: InvitesFrom,
    presence: Option<SessionKey>,
    inbox: Inbox,
}

impl Local {
    fn takes_part(&self) -> bool {
        self.receives != InvitesFrom::Nobody || self.presence.is_some()
    }
}

/// The social half of one process.
#[derive(Debug)]
pub(crate) struct Social {
    tuning: Arc<Tuning>,
    game: GameTag,
    dice: Dice,
    /// The wall clock at moment zero; only Locates are compared with it.
    unix_ms: u64,
    /// Configured peers that no broadcast reaches.
    targets: Vec<SocketAddr>,
    users: BTreeMap<AccountId, Local>,
    asks: BTreeMap<AskId, Ask>,
    answers: Answers,
    /// Of senders of invites.
    senders: BTreeMap<AccountId, Bucket>,
    next_ask: u64,
    next_link: u64,
    /// There is somewhere to send.
    has_ways: bool,
    actions: VecDeque<Action>,
    outputs: VecDeque<Output>,
    events: VecDeque<SocialEvent>,
}

/// Links dialled here have even numbers from this on: below are those of the sessions.
const FIRST_LINK: u64 = 1 << 62;

impl Social {
    pub(crate) fn new(
        game: GameTag,
        tuning: Arc<Tuning>,
        seed: [u8; 32],
        unix_ms: u64,
        targets: Vec<SocketAddr>,
    ) -> Self {
        Self {
            tuning,
            game,
            dice: Dice::new(seed),
            unix_ms,
            targets,
            users: BTreeMap::new(),
            asks: BTreeMap::new(),
            answers: Answers::new(),
            senders: BTreeMap::new(),
            next_ask: 1,
            next_link: FIRST_LINK,
            has_ways: false,
            actions: VecDeque::new(),
            outputs: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    fn unix_s(&self, now: Moment) -> u64 {
        self.unix_ms.saturating_add(now.as_micros() / 1_000) / 1_000
    }

    fn link_id(&mut self) -> LinkId {
        let id = LinkId(self.next_link);
        self.next_link += 2;
        id
    }

    // -------------------------------------------------------------------------------------------------- users

    pub(crate) fn sign_in(&mut self, user: &LocalUser) {
        let local = Local {
            identity: user.identity.clone(),
            receives: InvitesFrom::Nobody,
            presence: None,
            inbox: Inbox::default(),
        };
        self.users.entry(user.identity.account()).or_insert(local);
    }

    /// Nothing more is answered, asked or kept for this user.
    pub(crate) fn sign_out(&mut self, now: Moment, account: AccountId) {
        let held = self.users.remove(&account).is_some_and(|user| user.inbox.next().is_some());
        if held {
            self.outputs.push_back(Output::Invites { user: account, list: Arc::from([]) });
        }
        self.answers.expire(now, &mut self.actions, Some(account));
        self.end_asks(|ask| ask.asker() == account);
    }

    /// All ends.
    pub(crate) fn shutdown(&mut self, now: Moment) {
        for account in self.users.keys().copied().collect::<Vec<_>>() {
            self.sign_out(now, account);
        }
    }

    pub(crate) fn receive_invites(&mut self, account: AccountId, from: InvitesFrom) {
        if let Some(user) = self.users.get_mut(&account) {
            user.receives = from;
        }
    }

    /// The session in which friends may see this user; its seat there is the composer's to check.
    pub(crate) fn set_presence(&mut self, account: AccountId, session: Option<SessionKey>) {
        if let Some(user) = self.users.get_mut(&account) {
            user.presence = session;
        }
    }

    pub(crate) fn presence(&self, account: AccountId) -> Option<SessionKey> {
        self.users.get(&account)?.presence
    }

    /// Every user with its presence session.
    pub(crate) fn presences(&self) -> Vec<(AccountId, SessionKey)> {
        self.users.iter().filter_map(|(&account, user)| Some((account, user.presence?))).collect()
    }

    /// Who may answer anything at all.
    pub(crate) fn participants(&self) -> Vec<AccountId> {
        self.users.iter().filter(|(_, user)| user.takes_part()).map(|(&account, _)| account).collect()
    }

    /// From whom a user takes invites.
    pub(crate) fn receives(&self, account: AccountId) -> InvitesFrom {
        self.users.get(&account).map(|user| user.receives).unwrap_or_default()
    }

    /// Whether sockets are needed: somebody may be asked, or asks.
    pub(crate) fn holds_sockets(&self) -> bool {
        !self.asks.is_empty() || self.users.values().any(Local::takes_part)
    }

    // ------------------------------------------------------------------------------------------------- asking

    /// Delivers an invite that the host has made, from this inviter here. Ends with [`SocialEvent::Invite`].
    pub(crate) fn deliver(&mut self, now: Moment, invite: &Invite) {
        let Some(user) = self.users.get(&invite.inviter) else { return };
        let pointer = Pointer {
            game: self.game.0,
            session: invite.session,
            incarnation: invite.incarnation,
            host_key: invite.host_key,
            invite: invite.id,
            inviter: invite.inviter,
            invitee: invite.invitee,
            flags: Pointer::hold_flag(invite.hold),
            lifetime: u32::try_from(invite.expires_in.as_secs()).unwrap_or(u32::MAX).max(1),
            signature: [0; 64],
        };
        let deliver = Deliver {
            pointer: pointer.signed(&user.identity),
            name: invite.name.clone(),
            inviter_name: invite.inviter_name.clone(),
            addresses: invite.addresses.clone(),
        };
        let deadline = now + self.tuning.invite_delivery;
        if self.ask(invite.inviter, invite.invitee, Wanted::Deliver(Box::new(deliver)), deadline).is_none() {
            self.told(invite, InviteState::Unreachable);
        }
    }

    /// Asks for the sessions of an account, in this user's name: of a friend its presence session, of the user itself all
    /// that another machine has. Answers come as [`SocialEvent::Rows`] until the deadline.
    pub(crate) fn ask_rows(&mut self, asker: AccountId, target: AccountId, deadline: Moment) -> Option<AskId> {
        let purpose = if asker == target { LocatePurpose::Sessions } else { LocatePurpose::Presence };
        self.ask(asker, target, Wanted::Rows(purpose), deadline)
    }

    fn ask(&mut self, asker: AccountId, target: AccountId, wanted: Wanted, deadline: Moment) -> Option<AskId> {
        if self.asks.len() >= limits::ASKS {
            return None;
        }
        let identity = self.users.get(&asker)?.identity.clone();
        let listener = Identity::from_seed(self.dice.bytes()).ok()?;
        let id = *self.dice.bytes().first_chunk()?;
        let key = SessionKey { id: SessionId::from_bytes(id), founder: listener.public().into() };
        let ask = Ask::new(identity, target, wanted, listener, key, deadline);
        ask.listen(&mut self.actions);
        let id = AskId(self.next_ask);
        self.next_ask += 1;
        self.asks.insert(id, ask);
        Some(id)
    }

    /// The answer is not wanted any more.
    pub(crate) fn end_ask(&mut self, id: AskId) {
        if let Some(ask) = self.asks.remove(&id) {
            ask.end(&mut self.actions);
        }
    }

    fn end_asks(&mut self, over: impl Fn(&Ask) -> bool) {
        let ids: Vec<AskId> = self.asks.iter().filter(|(_, ask)| over(ask)).map(|(&id, _)| id).collect();
        ids.into_iter().for_each(|id| self.end_ask(id));
    }

    fn told(&mut self, invite: &Invite, state: InviteState) {
        let Invite { inviter, session, id, .. } = *invite;
        self.events.push_back(SocialEvent::Invite { inviter, session, invite: id, state });
    }

    /// Whether a listener is ours.
    pub(crate) fn listens(&self, session: SessionKey) -> bool {
        self.asks.values().any(|ask| ask.key == session)
    }

    /// The answer to `Action::Listen`; a listener that cannot be had ends the ask.
    pub(crate) fn handle_listening(&mut self, cx: &mut Cx<'_>, session: SessionKey, result: Result<u16, String>) {
        let Some((&id, ask)) = self.asks.iter_mut().find(|(_, ask)| ask.key == session) else { return };
        match result {
            Ok(port) => ask.listening(port),
            Err(_) => return self.time_out(id),
        }
        self.cast(cx);
    }

    fn cast(&mut self, cx: &mut Cx<'_>) {
        let posts = ask::posts(cx.net, &self.targets);
        self.has_ways = !posts.is_empty();
        let unix_s = self.unix_s(cx.now);
        for ask in self.asks.values_mut() {
            ask.cast(cx, &mut self.dice, unix_s, &posts);
        }
    }

    /// The end of an ask that may be without an answer.
    fn time_out(&mut self, id: AskId) {
        let Some(ask) = self.asks.remove(&id) else { return };
        if let (Some((session, invite)), false) = (ask.invite(), ask.answered) {
            let (inviter, state) = (ask.asker(), InviteState::Unreachable);
            self.events.push_back(SocialEvent::Invite { inviter, session, invite, state });
        }
        ask.end(&mut self.actions);
    }

    // ---------------------------------------------------------------------------------------------- answering

    /// A Locate that came; `accounts` are the users here that may answer anything. What it asks, if it is for one of them
    /// and all that can be checked here is right.
    pub(crate) fn handle_locate(&mut self, cx: &Cx<'_>, arrival: &Arrival, accounts: &[AccountId]) -> Option<Asked> {
        let unix_s = self.unix_s(cx.now);
        let asks = &self.asks;
        self.answers
            .hear(cx, arrival, accounts, &self.targets, unix_s, |locate| asks.values().any(|ask| ask.is_own(locate)))
    }

    /// The asker may know: it is dialled.
    pub(crate) fn react(&mut self, now: Moment, asked: Asked, reaction: Reaction) {
        let Some(user) = self.users.get(&asked.user) else { return };
        let identity = user.identity.clone();
        let (link, unix_s) = (self.link_id(), self.unix_s(now));
        self.answers.react(now, &self.tuning, &mut self.actions, (link, identity), (asked, reaction, unix_s));
    }

    // -------------------------------------------------------------------------------------------------- links

    /// Whether what happened on a link is this room's.
    pub(crate) fn owns(&self, event: &LinkEvent) -> bool {
        match event {
            LinkEvent::Incoming { session, .. } => self.listens(*session),
            LinkEvent::HelloBegun { link }
            | LinkEvent::Open { link, .. }
            | LinkEvent::Frame { link, .. }
            | LinkEvent::Written { link, .. }
            | LinkEvent::Closed { link, .. } => {
                link.0 >= FIRST_LINK && link.0 % 2 == 0 || self.asks.values().any(|ask| ask.has(*link))
            }
        }
    }

    pub(crate) fn handle_link(&mut self, now: Moment, event: LinkEvent) {
        let link = match &event {
            LinkEvent::Incoming { link, session, .. } => {
                if let Some(ask) = self.asks.values_mut().find(|ask| ask.key == *session) {
                    ask.incoming(now, &self.tuning, &mut self.actions, *link);
                }
                return;
            }
            LinkEvent::HelloBegun { link }
            | LinkEvent::Open { link, .. }
            | LinkEvent::Frame { link, .. }
            | LinkEvent::Written { link, .. }
            | LinkEvent::Closed { link, .. } => *link,
        };
        if self.answers.has(link) {
            let brought = self.answers.handle_link(now, &self.tuning, &mut self.actions, event);
            if let Some(brought) = brought {
                let invite = self.take_delivered(now, brought);
                let word = invite.map(|invite| Frame::Received { invite });
                self.answers.finish(now, &mut self.actions, link, word.as_ref());
            }
            return;
        }
        let Some((&id, ask)) = self.asks.iter_mut().find(|(_, ask)| ask.has(link)) else { return };
        let before = ask.answered;
        let answer = ask.handle_link(now, &self.tuning, &mut self.actions, event);
        let (inviter, account) = (ask.asker(), ask.target);
        match (answer, ask.invite()) {
            (Some(Answer::Received), Some((session, invite))) if !before => {
                let state = InviteState::Delivered;
                self.events.push_back(SocialEvent::Invite { inviter, session, invite, state });
            }
            (Some(Answer::Rows(rows)), _) => {
                self.events.push_back(SocialEvent::Rows { ask: id, account, rows });
            }
            _ => {}
        }
    }

    // --------------------------------------------------------------------------------------------------- time

    /// Does what is due; also after the interfaces have changed.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now;
        self.answers.expire(now, &mut self.actions, None);
        for ask in self.asks.values_mut() {
            ask.expire(now, &mut self.actions);
        }
        let over: Vec<AskId> = self.asks.iter().filter(|(_, ask)| ask.deadline <= now).map(|(&id, _)| id).collect();
        over.into_iter().for_each(|id| self.time_out(id));
        for account in self.users.keys().copied().collect::<Vec<_>>() {
            let ids = self.users.get_mut(&account).map(|user| user.inbox.expire(now)).unwrap_or_default();
            self.all_ended(account, ids, InviteState::Expired);
        }
        self.cast(cx);
    }

    #[must_use]
    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        let asks = self.asks.values().map(|ask| ask.poll_timeout(&self.tuning, self.has_ways)).min();
        let inboxes = self.users.values().filter_map(|user| user.inbox.next()).min();
        [asks, inboxes, self.answers.poll_timeout()].into_iter().flatten().min()
    }

    #[must_use]
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    #[must_use]
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    #[must_use]
    pub(crate) fn poll_event(&mut self) -> Option<SocialEvent> {
        self.events.pop_front()
    }
}

#[cfg(all(test, feature = "testing"))]
impl Social {
    pub(crate) fn questions(&self) -> usize {
        self.asks.len()
    }

    pub(crate) fn sizes(&self, census: &mut limits::Census) {
        census.push(("asks", self.asks.len(), limits::ASKS));
        census.push(("senders of invites", self.senders.len(), limits::LOCATE_ASKERS));
        census.extend(self.users.values().map(|user| ("inbox", user.inbox.list().len(), limits::INBOX)));
        self.answers.sizes(census);
    }
}
