//! What happened, as data: events carry ids, never handles.

use std::sync::Arc;
use std::time::Duration;

use super::found::Found;
use super::id::{BrowserId, InviteId, SessionId, SessionKey};
use super::identity::External;
use super::invite::{Invite, InviteState, UiTarget};
use super::key::AccountId;
use super::left::Left;
use super::member::Member;
use super::migration::GameState;
use super::reason::Reason;
use super::settings::Phase;
use super::snapshot::{Revision, SessionSnapshot};
use super::update::{AttributeChange, SettingsChange};

/// Anything that happened in one [`Lan`](crate::Lan).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant, reason = "events are taken one by one; a box would be in the way of every match")]
pub enum Event {
    /// In a session of this process.
    #[non_exhaustive]
    Session {
        /// The local user whose seat it is.
        user: AccountId,
        /// The session.
        session: SessionId,
        /// What happened.
        what: SessionEvent,
    },
    /// To a local user.
    #[non_exhaustive]
    User {
        /// The user.
        user: AccountId,
        /// What happened.
        what: UserEvent,
    },
    /// In a browser's list.
    #[non_exhaustive]
    Browser {
        /// The browser.
        browser: BrowserId,
        /// What happened.
        what: BrowserEvent,
    },
    /// To the whole.
    Lan(LanEvent),
}

/// What happens in one session, to one seat.
///
/// First [`Joined`](Self::Joined), then [`MemberJoined`](Self::MemberJoined) with `present_before` for each who was there,
/// then changes in the order of the host's revisions, the same for all members; last [`Left`](Self::Left), and nothing
/// after it. Inside one revision: left, joined, away and back, member updated, settings, turn, phase.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The seat is taken; also sent again after [`Lagged`](Self::Lagged).
    #[non_exhaustive]
    #[doc(alias = "OnSessionJoined")]
    Joined {
        /// The state at that moment.
        snapshot: Arc<SessionSnapshot>,
    },
    /// A member came, or was there before (`present_before`).
    #[non_exhaustive]
    #[doc(alias = "AddSessionMember")]
    MemberJoined {
        /// The member.
        member: Member,
        /// Whether it had its seat when this one was taken.
        present_before: bool,
        /// At which revision.
        revision: Revision,
    },
    /// A member is gone.
    #[non_exhaustive]
    #[doc(alias = "RemoveSessionMember")]
    MemberLeft {
        /// The member, as it was.
        member: Member,
        /// Why.
        why: Left,
        /// At which revision.
        revision: Revision,
    },
    /// The host does not hear a member; its seat is held.
    #[non_exhaustive]
    MemberAway {
        /// Who.
        account: AccountId,
        /// At which revision.
        revision: Revision,
    },
    /// The host hears it again.
    #[non_exhaustive]
    MemberBack {
        /// Who.
        account: AccountId,
        /// At which revision.
        revision: Revision,
    },
    /// A member changed its name, ready flag or attributes.
    #[non_exhaustive]
    MemberUpdated {
        /// The member, as it is now.
        member: Member,
        /// Its attributes that changed.
        changes: Vec<AttributeChange>,
        /// At which revision.
        revision: Revision,
    },
    /// The host changed settings.
    #[non_exhaustive]
    #[doc(alias = "OnSessionUpdated")]
    SettingsChanged {
        /// Each with its old and new value.
        changes: Vec<SettingsChange>,
        /// At which revision.
        revision: Revision,
    },
    /// The host gave the turn to others.
    #[non_exhaustive]
    TurnChanged {
        /// Whose turn it was.
        old: Vec<AccountId>,
        /// Whose turn it is.
        new: Vec<AccountId>,
        /// At which revision.
        revision: Revision,
    },
    /// Lobby, in progress, ended.
    #[non_exhaustive]
    PhaseChanged {
        /// The phase before.
        old: Phase,
        /// The phase now.
        new: Phase,
        /// At which revision.
        revision: Revision,
    },
    /// A lobby message.
    #[non_exhaustive]
    Message {
        /// From whom; `None` from a dedicated host.
        from: Option<AccountId>,
        /// At most 1 KiB.
        data: Arc<[u8]>,
    },
    /// At the host: may this account join? Answer with [`Session::answer`](crate::Session::answer) before the deadline.
    JoinAsked(JoinAsk),
    /// An invite of this user into this session: what became of it. `Delivered` or `Unreachable` is the word of one's own
    /// machine, the others are the host's.
    #[non_exhaustive]
    InviteUpdated {
        /// Which.
        invite: InviteId,
        /// Who is invited.
        account: AccountId,
        /// What became of it.
        state: InviteState,
    },
    /// The link to the host is lost; coming back by itself. What is asked of the host meanwhile waits.
    Reconnecting,
    /// The session goes on under another host.
    #[non_exhaustive]
    HostChanged {
        /// The host before; `None` where that was a dedicated one.
        old: Option<AccountId>,
        /// The host now.
        new: Option<AccountId>,
        /// Its first revision.
        revision: Revision,
        /// So many revisions that this member had seen are gone with the old host.
        discarded: u64,
    },
    /// This member is the host from now on: what only a host may do works, and falls to it.
    #[non_exhaustive]
    BecameHost {
        /// The game's own state as the former host gave it last, if it came.
        state: Option<GameState>,
        /// The first revision of its own.
        revision: Revision,
    },
    /// At the host: most of the machines that vote are away. They may go on without this one, and what happens here from
    /// now on would be gone then: a game may pause.
    QuorumLost,
    /// At the host: most are there again.
    QuorumRegained,
    /// The link stands again. Each change that was missed follows in its order, this member's own `MemberAway` and
    /// `MemberBack` among them; where the host has no record of them any more, only what has changed in all.
    Reconnected,
    /// The reader was slow and this many events were dropped; `Joined` with the present state follows.
    #[non_exhaustive]
    Lagged {
        /// How many.
        missed: u64,
    },
    /// The seat ended; nothing follows.
    #[non_exhaustive]
    #[doc(alias = "OnSessionLeft")]
    Left {
        /// Why.
        why: Left,
    },
}

#[cfg(any(test, feature = "testing"))]
impl SessionEvent {
    /// The revision that it belongs to, where it belongs to one: for tests of their order.
    pub(crate) fn revision(&self) -> Option<Revision> {
        match self {
            Self::MemberJoined { revision, .. }
            | Self::MemberLeft { revision, .. }
            | Self::MemberAway { revision, .. }
            | Self::MemberBack { revision, .. }
            | Self::MemberUpdated { revision, .. }
            | Self::SettingsChanged { revision, .. }
            | Self::TurnChanged { revision, .. }
            | Self::HostChanged { revision, .. }
            | Self::PhaseChanged { revision, .. } => Some(*revision),
            _ => None,
        }
    }
}

/// A join that waits for the game's word.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize))]
pub struct JoinAsk {
    /// What to answer to.
    pub id: u64,
    /// The session.
    pub session: SessionId,
    /// The account, proven by its key.
    pub account: AccountId,
    /// Its display name.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "super::serde::name"))]
    pub name: String,
    /// The account id it claims at the embedding service; check it with the ticket.
    pub external: Option<External>,
    /// The game's own bytes, at most 1,024.
    #[cfg_attr(feature = "serde", serde(with = "super::serde::hex"))]
    pub ticket: Vec<u8>,
    /// The other local users of its process that are to be seated with it; they come under its ticket.
    #[cfg_attr(feature = "serde", serde(default))]
    pub party: Vec<AccountId>,
    /// 32 bytes that only this connection has: what a ticket may be bound to.
    #[cfg_attr(feature = "serde", serde(with = "super::serde::hex"))]
    pub binding: [u8; 32],
    /// How long an answer is waited for; none is a refusal.
    pub deadline: Duration,
}

/// The answer to a [`JoinAsk`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Let it in, if a seat is still free.
    Admit,
    /// Refuse it; the joiner gets [`Refusal::Refused`](crate::Refusal::Refused) with this reason.
    Refuse(Reason),
}

/// What happens in a browser's list: per key `Found`, then any number of `Updated`, then `Lost`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BrowserEvent {
    /// A session that fits.
    Found(Found),
    /// It changed.
    #[non_exhaustive]
    Updated {
        /// As it was.
        old: Found,
        /// As it is.
        new: Found,
    },
    /// It is gone, or fits no more.
    Lost(SessionKey),
    /// The reader was slow and this many events were dropped; read the list.
    #[non_exhaustive]
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// What happens to a local user.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserEvent {
    /// Signed out; its sessions have ended before.
    SignedOut,
    /// The player wants in: a link was opened, here or by another process of this game, or an invite accepted. Nothing was
    /// dialled yet; show where it leads and, if it shall be, join with it.
    #[non_exhaustive]
    #[doc(alias = "OnUISessionJoinRequested")]
    UiJoinRequested {
        /// What to join: [`User::join`](crate::User::join) takes it.
        target: UiTarget,
    },
    /// The reader was slow and this many events were dropped.
    #[non_exhaustive]
    Lagged {
        /// How many.
        missed: u64,
    },
    /// Somebody [invites](crate::Session::invite) this user; it is among [`User::invites`](crate::User::invites) now.
    #[doc(alias = "OnSessionInviteReceived")]
    InviteReceived(Invite),
    /// An invite is no longer among [`User::invites`](crate::User::invites).
    #[non_exhaustive]
    InviteEnded {
        /// Which.
        id: InviteId,
        /// Why: accepted, rejected, expired; revoked also where a newer one or too many others took its place.
        state: InviteState,
    },
    /// How a [`User::matchmake`](crate::User::matchmake) goes.
    #[non_exhaustive]
    #[doc(alias = "OnMatchmakingProgress")]
    Matchmaking {
        /// Its local name: that of the session it will end in.
        local_name: String,
        /// What it does now.
        progress: Progress,
    },
}

/// What matchmaking does. Until it is settled its seats are not seen as sessions: one may be left for a better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Looks for sessions.
    Searching,
    /// Asks the best one for a seat.
    #[non_exhaustive]
    Joining {
        /// Which.
        session: SessionId,
    },
    /// Made a session of its own, for there was none.
    #[non_exhaustive]
    Created {
        /// Which.
        session: SessionId,
    },
    /// Has a seat, in a session of so many members now.
    #[non_exhaustive]
    Waiting {
        /// How many, itself included.
        members: u16,
    },
    /// Two sessions become one: on the way from one to the other.
    #[non_exhaustive]
    Moving {
        /// The one it leaves.
        from: SessionId,
        /// The one it goes to.
        to: SessionId,
    },
}

/// What happens to the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum LanEvent {
    /// The usable interfaces changed: their names.
    Interfaces(Vec<String>),
    /// Something fails: a path, a socket, a request nobody waited for. At most once a minute per cause.
    Trouble(String),
    /// It works again.
    Recovered(String),
    /// Closed.
    Closed,
    /// The reader was slow and this many events were dropped.
    Lagged(u64),
}
