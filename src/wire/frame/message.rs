//! What is said over a control connection (protocol.md, "Frames").

use crate::types::{
    AccountId, AccountRow, Attributes, External, GameState, HostKey, InviteId, InviteRequest, InviteState, Left,
    MemberStatus, MemberUpdate, Refusal, Reservation, ReservationChange, ReservationId, Revision, SessionId,
    SessionKey, SessionSnapshot,
};

use super::keeper::Keeper;
use super::social::VouchAsk;
use super::state::Delta;
use super::succession::{Abdicate, Follow, OrderAck, Pulled, Stand, Succession, Takeover, Vote, VoteAsk, Way};
use super::users::Deliver;
use std::net::SocketAddr;

/// One message. `J` = joiner or member to host, `H` = host to joiner or member, `U` = between users,
/// `P` = between machines of one session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Frame {
    /// J 1: may I have a seat?
    Join(Box<Join>),
    /// J 2: the seat is wanted; only now it is confirmed.
    Ack,
    /// J 3: numbered 1, 2, 3… per seat; a number takes effect once.
    Request { number: u32, body: Request },
    /// J 4: gives the seat up.
    Leave,
    /// J 5: a delta is missing; I have this one.
    Resync { have: Revision },
    /// J, H 6: nothing but a sign of life.
    Heartbeat,
    /// J 7: whether the joiner of that question is a friend.
    Vouch { ask: u64, yes: bool },
    /// J 8, before a seat: the invitee does not want this invite.
    RejectInvite { invite: InviteId },
    /// H 24: is this joiner a friend of yours?
    VouchAsk(Box<VouchAsk>),
    /// H 25, to the inviter: what became of its invite.
    InviteState { invite: InviteId, account: AccountId, state: InviteState },
    /// J 9: the host of a worse session asks a better one for seats; no seat is asked for here.
    MergeAsk(Box<MergeAsk>),
    /// J 10: this member does not move any more.
    Stay,
    /// J 12: what this machine is to the succession.
    Stand(Box<Stand>),
    /// J 13: the latest order has come.
    OrderAck(OrderAck),
    /// J 14, before a seat or without one: how did you come to be host?
    LineageAsk { session: SessionKey },
    /// H 16: here is the seat.
    Accept(Box<Accept>),
    /// H 17: no; the connection closes after it.
    Refuse { refusal: Refusal, sticky: bool },
    /// H 18: the whole state.
    Snapshot(Box<SessionSnapshot>),
    /// H 19: one commit.
    Delta(Delta),
    /// H 20: the answer to a request, after the delta it caused.
    Done { number: u32, result: DoneResult },
    /// H 21: a lobby message.
    Message { from: Option<AccountId>, data: Vec<u8> },
    /// H 22, the last frame before a deliberate close: the seat has ended, or the session.
    End { why: Left },
    /// H 23, before a deliberate close: the session goes on there.
    NotHost(Box<Way>),
    /// H 26: the answer to a MergeAsk; the connection closes after it.
    MergeAnswer(MergeAnswer),
    /// H 27: a seat is held for this member there; it shall go.
    Move(Box<Move>),
    /// H 29: who goes on after this host.
    Succession(Box<Succession>),
    /// H 30, to the first successors: what else the host knows.
    Keep(Box<Keeper>),
    /// H 31, to the same: the game's own state.
    GameState(GameState),
    /// P 48: the host is gone; this machine waits for the next one here.
    Follow(Box<Follow>),
    /// P 49: it may wait here.
    Parked,
    /// P 50: the host lives.
    HostAlive,
    /// P 51: vote for me.
    VoteAsk(Box<VoteAsk>),
    /// P 52: my vote.
    Vote(Box<Vote>),
    /// P 53: no vote; I have promised this term, and hold this state.
    NoVote { promised: u32, have: Revision },
    /// P 54: give me what you have.
    Pull,
    /// P 55: what I have.
    Pulled(Box<Pulled>),
    /// P 56: I am the host; come back to your seat.
    Won { lineage: Vec<Takeover> },
    /// P 57, from one host of a session to another: mine is the session that goes on.
    Claim(Box<Way>),
    /// P 58, host to its first successor: you have all of it at this revision, be ready.
    Prepare { revision: Revision },
    /// P 59: I have, and am.
    Prepared { revision: Revision },
    /// P 60, host to members: I am host no more.
    Abdicate(Box<Abdicate>),
    /// P 61, the answer to a LineageAsk.
    Lineage { lineage: Vec<Takeover> },
    /// U 32, from the inviter's process to the invitee's: an invite.
    Deliver(Box<Deliver>),
    /// U 33: it is in the inbox.
    Received { invite: InviteId },
    /// U 34: sessions of the account that was asked for.
    Rows(Vec<AccountRow>),
    /// H 255, frozen for all majors, the only frame under the ALPN `lansession`: `ours` is the sender's major and game
    /// version.
    Incompatible { major: u8, version: u32 },
}

/// The request for seats in a better session (protocol.md, "Matchmaking"). The connection's key is the asking session's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MergeAsk {
    /// The session that is asked.
    pub(crate) session: SessionKey,
    /// The one that asks; its founder's key is the one of this connection.
    pub(crate) from: SessionKey,
    /// The seats it has taken; it is mobile, or it would not ask.
    pub(crate) taken: u16,
    /// For whom, in the order in which they would go; the host itself last, and only if all others are named.
    pub(crate) accounts: Vec<AccountId>,
}

/// What the better session says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MergeAnswer {
    /// It asks another one itself: again in a moment.
    Busy,
    /// It is not the better one of the two, or takes nobody.
    NotBetter,
    /// Seats are held for the first so many accounts.
    Granted(u16),
}

/// Where a member shall go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) session: SessionKey,
    pub(crate) host_key: HostKey,
    /// Control addresses, best first, at most 8; a scope is not sent.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// The request for a seat.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Join {
    pub(crate) session: SessionKey,
    /// The host's incarnation as advertised; 0 where it is not known.
    pub(crate) incarnation: u64,
    /// Same account and same nonce = the same Accept again.
    pub(crate) nonce: [u8; 16],
    /// Drawn at each attach, never stored: a restarted process is a new peer.
    pub(crate) peer_incarnation: u64,
    /// The joiner's game version.
    pub(crate) version: u32,
    pub(crate) name: String,
    pub(crate) external: Option<External>,
    /// The seat's own attributes.
    pub(crate) attributes: Attributes,
    /// The game's bytes for the host's admission, at most 1,024.
    pub(crate) ticket: Vec<u8>,
    /// HMAC-SHA256(K, "joiner" ‖ binding ‖ account ‖ host key).
    pub(crate) password_proof: Option<[u8; 32]>,
    /// The joiner's signature for this session, so that a host can ask only about accounts that really came: the question
    /// to members whether it is a friend of theirs carries it.
    pub(crate) knock: Option<[u8; 64]>,
    /// The invite that brings it.
    pub(crate) invite: Option<[u8; 16]>,
    /// The role it wants.
    pub(crate) role: Option<String>,
    /// The state of the new seat; `Reserved` is registered later.
    pub(crate) status: MemberStatus,
    /// Who comes with it: all or none, in one revision.
    pub(crate) party: Vec<Companion>,
}

/// One more account of a join.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Companion {
    pub(crate) account: AccountId,
    pub(crate) name: String,
    pub(crate) external: Option<External>,
    pub(crate) attributes: Attributes,
    /// As the nonce of a join of its own: with it the seat is taken up over a link of its own.
    pub(crate) nonce: [u8; 16],
    pub(crate) role: Option<String>,
    /// Another local user's word: seated at once. Without it the seat is reserved.
    pub(crate) proof: Option<[u8; 64]>,
}

/// The seat.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Accept {
    pub(crate) number: u16,
    /// For coming back to this seat.
    pub(crate) token: [u8; 32],
    pub(crate) grant: Grant,
    /// The host's account, proven over this channel; `None` for a dedicated host.
    pub(crate) host: Option<Proof>,
    /// HMAC-SHA256(K, "host" ‖ binding ‖ account ‖ host key): an impostor cannot accept everybody.
    pub(crate) password_proof: Option<[u8; 32]>,
    /// Milliseconds of silence after which a link counts as lost.
    pub(crate) host_silence: u32,
    /// Milliseconds for which a lost link's seat is held.
    pub(crate) grace: u32,
    pub(crate) snapshot: SessionSnapshot,
}

/// The host's signed word that this account has this seat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) session: SessionId,
    pub(crate) founder: HostKey,
    pub(crate) revision: Revision,
    pub(crate) account: AccountId,
    pub(crate) peer_incarnation: u64,
    pub(crate) signature: [u8; 64],
}

/// An account, proven over one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) account: AccountId,
    pub(crate) signature: [u8; 64],
}

/// What a member may ask of the host.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    UpdateMe(MemberUpdate),
    /// At most 1 KiB.
    Say(Vec<u8>),
    /// `reserved` becomes `active`; a second one is a success.
    Register,
    // States, roles, reservations.
    /// The own seat's state; never back to `reserved`.
    SetStatus(MemberStatus),
    /// The own seat's role.
    SetRole(Option<String>),
    Reserve {
        accounts: Vec<AccountId>,
        role: Option<String>,
        /// Milliseconds; `None`: as long as the session's timeouts say.
        ttl: Option<u32>,
    },
    ChangeReservation {
        id: ReservationId,
        /// Only if this is its version.
        expected: Option<u32>,
        change: ReservationChange,
    },
    /// Rows for these accounts.
    Invite(InviteRequest),
    /// Takes an invite back, or gives up only the seat that it holds.
    Revoke {
        invite: InviteId,
        hold_only: bool,
    },
}

/// Whom a commit answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) account: AccountId,
    pub(crate) number: u32,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DoneResult {
    Ok(Revision),
    /// Invites, in the order of the accounts.
    Invited(Revision, Vec<InviteId>),
    /// An [`ErrorKind`](crate::ErrorKind)'s code and a text for the log.
    Failed {
        code: u16,
        text: String,
        retry_after_ms: u32,
    },
    Reserved(Revision, Reservation),
}
