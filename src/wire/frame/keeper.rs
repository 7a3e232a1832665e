//! What only the host knows of its session, as it goes to its first successors (protocol.md, "Keeper part").

use bincode::de::Decode;

use crate::types::{AccountId, Attributes, InviteId, InviteRequest, Left, ReservationId, Revision, Role};
use crate::wire::codec::{self, message};

use super::MAX_MEMBERS;
use super::reservations::accounts;

/// The most accounts banned.
pub(crate) const MAX_BANS: usize = 1_024;
/// The most leavers a locked session takes back.
pub(crate) const MAX_LEAVERS: usize = 32;
/// The most endings of seats remembered.
pub(crate) const MAX_GONE: usize = 64;
/// The most invites, and the most that are remembered as expired.
pub(crate) const MAX_INVITES: usize = 64;
/// The most reservations.
pub(crate) const MAX_RESERVATIONS: usize = 32;
/// The most requests of one member whose invites are remembered.
const MAX_INVITED: usize = 32;

/// H 30: the host's own half of the state.
#[derive(Clone, PartialEq)]
pub(crate) struct Keeper {
    /// At which it was so.
    pub(crate) revision: Revision,
    /// Of the last change of settings.
    pub(crate) settings: Revision,
    /// What the session's id derives from.
    pub(crate) salt: u64,
    pub(crate) id_derived: bool,
    /// Ask the game about each joiner.
    pub(crate) admission: bool,
    /// Milliseconds of silence after which a link counts as lost, and for which its seat is held then.
    pub(crate) silence: u32,
    pub(crate) grace: u32,
    /// K of "Password".
    pub(crate) password_key: Option<[u8; 32]>,
    /// All of them, whoever may see them.
    pub(crate) attributes: Attributes,
    pub(crate) bans: Vec<AccountId>,
    pub(crate) leavers: Vec<AccountId>,
    /// Join nonces of seats that have ended, and why.
    pub(crate) gone: Vec<([u8; 16], Left)>,
    pub(crate) seats: Vec<KeptSeat>,
    /// Milliseconds until these members' states end.
    pub(crate) deadlines: Vec<(AccountId, u32)>,
    pub(crate) invites: Vec<KeptInvite>,
    /// Invites that are over, and whose they were.
    pub(crate) expired_invites: Vec<(InviteId, AccountId)>,
    pub(crate) reservations: Vec<KeptReservation>,
}

/// One seat, beside what members know of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct KeptSeat {
    pub(crate) account: AccountId,
    pub(crate) nonce: [u8; 16],
    pub(crate) peer_incarnation: u64,
    /// Hashes of the tokens with which its holder may come back: the present one, and the one before it.
    pub(crate) tokens: Vec<[u8; 32]>,
    pub(crate) confirmed: bool,
    pub(crate) proved: bool,
    pub(crate) held: bool,
    /// Who took it for its account in a join of several, until that account has come.
    pub(crate) leader: Option<AccountId>,
    /// Which of its requests took effect: the highest number, and a bit for each of the 64 up to it.
    pub(crate) applied: (u32, u64),
    /// The invites that requests of it have made, by their numbers.
    pub(crate) invited: Vec<(u32, Vec<InviteId>)>,
}

/// One invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeptInvite {
    pub(crate) id: InviteId,
    pub(crate) inviter: AccountId,
    pub(crate) invitee: AccountId,
    pub(crate) passes_password: bool,
    /// Its invitee has a seat and has not said a word from it yet.
    pub(crate) aside: bool,
    /// Milliseconds until it is over, and for which it holds a seat.
    pub(crate) left: u32,
    pub(crate) hold: Option<u32>,
}

/// Seats that one account holds for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeptReservation {
    pub(crate) id: ReservationId,
    pub(crate) leader: AccountId,
    pub(crate) version: u32,
    pub(crate) accounts: Vec<AccountId>,
    pub(crate) role: Option<String>,
    /// Milliseconds; `None`: as long as the session's timeouts say.
    pub(crate) ttl: Option<u32>,
    /// The request that made it.
    pub(crate) made_by: Option<(AccountId, u32)>,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keeper {{ revision: {}, {} seats, {} bans }}", self.revision, self.seats.len(), self.bans.len())
    }
}

impl std::fmt::Debug for KeptSeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeptSeat {{ account: {:?} }}", self.account)
    }
}

message! {
    Keeper {
        revision, settings, salt, id_derived, admission, silence, grace, password_key, attributes,
        bans = |d: &mut D| codec::list(d, MAX_BANS, AccountId::decode),
        leavers = |d: &mut D| codec::list(d, MAX_LEAVERS, AccountId::decode),
        gone = |d: &mut D| codec::list(d, MAX_GONE, Decode::decode),
        seats = |d: &mut D| codec::list(d, MAX_MEMBERS, KeptSeat::decode),
        deadlines = |d: &mut D| codec::list(d, MAX_MEMBERS, Decode::decode),
        invites = |d: &mut D| codec::list(d, MAX_INVITES, KeptInvite::decode),
        expired_invites = |d: &mut D| codec::list(d, MAX_INVITES, Decode::decode),
        reservations = |d: &mut D| codec::list(d, MAX_RESERVATIONS, KeptReservation::decode),
    }
}
message! {
    KeptSeat {
        account, nonce, peer_incarnation,
        tokens = |d: &mut D| codec::list(d, 2, Decode::decode),
        confirmed, proved, held, leader, applied,
        invited = |d: &mut D| codec::list(d, MAX_INVITED, |d| {
            Ok((u32::decode(d)?, codec::list(d, InviteRequest::MAX_INVITEES, InviteId::decode)?))
        }),
    }
}
message! { KeptInvite { id, inviter, invitee, passes_password, aside, left, hold } }
message! {
    KeptReservation {
        id, leader, version,
        accounts = accounts,
        role = |d: &mut D| codec::option(d, codec::name::<{ Role::MAX_NAME }, _>),
        ttl, made_by,
    }
}
