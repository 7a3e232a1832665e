//! What the sessions tell discovery, through the composer.

use std::net::SocketAddr;

use crate::proto::io::SeatId;
use crate::types::{
    AccountId, AccountRow, Error, HostKey, Identity, Invite, InviteId, InviteState, PublicFacts, SessionKey,
    SessionSnapshot,
};
use crate::wire::datagram::{DeathNotice, GoodbyeReason, budget_check};
use crate::wire::frame::{Move, Takeover, Way};

/// How a merge goes, at the session that asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merging {
    /// The other one asks a third: again in a moment.
    Busy,
    /// The other one takes nobody of ours, or was not reached.
    Refused,
    /// Members were told to go; with `own` there is a seat for the host as well.
    Granted { own: bool },
    /// The time for it has passed, or the other one asked us and ours is the better.
    Over,
}

/// For discovery, and for matchmaking.
#[derive(Debug, Clone)]
pub(crate) enum SessionsEvent {
    /// Advertise this session, or its new facts; only for listed sessions.
    Publish(Box<Publication>),
    /// Say goodbye for it: it has ended, or is hidden from now on.
    Withdraw { key: SessionKey, reason: GoodbyeReason },
    /// A member of ours does not hear this host: look for it.
    HostSuspect { key: SessionKey },
    /// A member of ours has proof that this host is gone; its place among the members, and what others are told.
    HostDead { key: SessionKey, rank: u32, notice: DeathNotice },
    /// This session goes on with another host, whose key may be known: say goodbye for it.
    HandedOver { key: SessionKey, next: Option<HostKey> },
    /// Another host says that a session hosted here is its own, and its proof stands before ours. Where it was not dialled
    /// for that (`reached`), see whether it can be.
    Superseded { way: Box<Way>, reached: bool },
    /// A local user invites somebody and the host has its row: find the invitee's game and deliver it.
    InviteMade(Box<Invite>),
    /// The host's last word on an invite of a local user.
    InviteOver { inviter: AccountId, invitee: AccountId, invite: InviteId, state: InviteState },
    /// A host refused a local user that came with this invite: it does not count any more.
    InviteRefused { invitee: AccountId, invite: InviteId, state: InviteState },
    /// How it goes with the merge that this host's session asked for.
    Merge { seat: SeatId, outcome: Merging },
    /// The host says that a seat is held for this one there.
    Move { seat: SeatId, to: Move },
}

/// All that an advert is made of, beside what discovery itself knows.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    pub(crate) key: SessionKey,
    /// Signs the adverts; its key is the host key.
    pub(crate) host: Identity,
    pub(crate) id_derived: bool,
    pub(crate) account_shown: bool,
    pub(crate) salt: u64,
    pub(crate) incarnation: u64,
    pub(crate) term: u32,
    pub(crate) tcp_port: u16,
    pub(crate) facts: PublicFacts,
    /// How this host came to be it; empty at the founder.
    pub(crate) lineage: Vec<Takeover>,
    /// The session can outlive this host.
    pub(crate) migratable: bool,
}

/// A state as the seat of this member shows it: no more than an advert would say of the session itself.
pub(super) fn row(
    state: &SessionSnapshot,
    account: AccountId,
    incarnation: u64,
    addresses: Vec<SocketAddr>,
) -> Option<AccountRow> {
    let member = state.member(account)?;
    Some(AccountRow {
        key: state.key,
        host_key: state.host_key,
        incarnation,
        term: state.revision.term,
        facts: PublicFacts::of(state),
        listed: state.listed,
        shown: false,
        addresses,
        member: account,
        status: member.status,
        my_turn: state.turn.contains(&account),
        started: incarnation,
    })
}

/// Whether a state's public facts fit one advert.
pub(super) fn check_budget(state: &SessionSnapshot) -> Result<(), Error> {
    budget_check(&PublicFacts::of(state)).map_err(|over| {
        Error::invalid(format!("the public attributes and keywords are {over} bytes over what one advert holds"))
    })
}
