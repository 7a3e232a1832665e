//! The query: who is there, that fits (protocol.md, "Query").

use crate::types::{Node, OrderBy, PathKind, RoomCode, SessionId};

/// A question to all hosts, or to one address. Nothing in it is signed: an asker is anonymous.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    pub(crate) nonce: u64,
    /// The sender has just heard many others ask: answer once to all.
    pub(crate) many: bool,
    /// Only keeps the interest alive; nobody answers.
    pub(crate) renew: bool,
    /// Sessions that are not listed answer too: for a query by id over a proven or typed address.
    pub(crate) cookie: Option<[u8; 16]>,
    /// The path this copy goes by; the answer names it.
    pub(crate) path: PathKind,
    pub(crate) target: Target,
    /// At most so many are wanted; 0 = all. With it, hosts beyond 256 draw a sample.
    pub(crate) take: u8,
    /// How many answers the asker expects; 0 = unknown.
    pub(crate) expect: u16,
    /// The longest answer window the asker waits for, in ms; 0 = the default.
    pub(crate) cap: u16,
    pub(crate) rank: Option<Rank>,
    pub(crate) filter: Option<Node>,
    pub(crate) known: Known,
}

/// Only this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Any,
    Session(SessionId),
    Code(RoomCode),
}

/// The order of a "take", and the score from which on an answer is wanted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rank {
    pub(crate) order: OrderBy,
    pub(crate) threshold: Option<f64>,
}

/// Sessions the asker knows in their present state; they keep silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    None,
    /// Up to 40 tags, see [`crate::wire::hash::known_tag`].
    Tags(Vec<[u8; 6]>),
    /// A Bloom filter over the same tags, at most 1,100 bytes, and its number of hashes.
    Bloom { bits: Vec<u8>, hashes: u8 },
}
