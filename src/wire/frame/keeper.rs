//! What only the host knows of its session, as it goes to its first successors (protocol.md, "Keeper part").

use bincode::de::Decode;

use crate::types::{AccountId, Attributes, Revision};
use crate::wire::codec::{self, message};

use super::MAX_MEMBERS;

/// The most accounts banned.
pub(crate) const MAX_BANS: usize = 1_024;
/// The most leavers a locked session takes back.
pub(crate) const MAX_LEAVERS: usize = 32;

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
    /// K of "Password".
    pub(crate) password_key: Option<[u8; 32]>,
    /// All of them, whoever may see them.
    pub(crate) attributes: Attributes,
    pub(crate) bans: Vec<AccountId>,
    pub(crate) leavers: Vec<AccountId>,
    pub(crate) seats: Vec<KeptSeat>,
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
    /// Which of its requests took effect: the highest number, and a bit for each of the 64 up to it.
    pub(crate) applied: (u32, u64),
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
        revision, settings, salt, id_derived, admission, password_key, attributes,
        bans = |d: &mut D| codec::list(d, MAX_BANS, AccountId::decode),
        leavers = |d: &mut D| codec::list(d, MAX_LEAVERS, AccountId::decode),
        seats = |d: &mut D| codec::list(d, MAX_MEMBERS, KeptSeat::decode),
    }
}
message! {
    KeptSeat {
        account, nonce, peer_incarnation,
        tokens = |d: &mut D| codec::list(d, 2, Decode::decode),
        confirmed, proved, held, applied,
    }
}
