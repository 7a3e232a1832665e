//! The datagrams (protocol.md, "Datagrams").
//!
//! Every datagram starts with a 16-byte prefix: magic 4, major 1, kind 1, flags 1, zero 1, game tag 8. Signed kinds go on
//! with the host key (32) and the session id (16), 64 bytes in all, frozen for every major version; their last 64 bytes
//! are the signature over context and everything before it.

mod advert;
mod alive;
mod death;
mod goodbye;
mod hint;
mod prefix;
mod probe;
mod query;

pub(crate) use advert::{Advert, ForeignAdvert, Lineage};
pub(crate) use alive::Alive;
pub(crate) use death::DeathNotice;
pub(crate) use goodbye::{Goodbye, GoodbyeReason};
pub(crate) use hint::Hint;
pub(crate) use prefix::{GameTag, Kind, Prefix};
pub(crate) use probe::Probe;
pub(crate) use query::{Known, Query, Rank, Target};

/// The largest datagram: what passes every link unfragmented with room for tunnels.
pub(crate) const MAX_DATAGRAM: usize = 1_200;
/// What a query is padded to, so that no hint or short advert is larger than what asked for it.
pub(crate) const QUERY_SIZE: usize = 512;
/// What a probe is padded to; an [`Alive`] is not larger.
pub(crate) const PROBE_SIZE: usize = 176;
