//! The datagrams (protocol.md, "Datagrams").
//!
//! Every datagram starts with a 16-byte prefix: magic 4, major 1, kind 1, flags 1, zero 1, game tag 8. Signed kinds go on
//! with the host key (32) and the session id (16), 64 bytes in all, frozen for every major version; their last 64 bytes
//! are the signature over context and everything before it.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{WireError, WireResult};

mod advert;
mod alive;
mod death;
mod facts;
mod goodbye;
mod hint;
mod locate;
mod prefix;
mod probe;
mod query;
#[cfg(test)]
mod tests;

pub(crate) use advert::{Advert, ForeignAdvert, Lineage};
pub(crate) use alive::Alive;
pub(crate) use death::DeathNotice;
#[cfg(test)]
pub(crate) use facts::MIN_ATTRIBUTE_BYTES;
pub(crate) use facts::{budget_check, facts_bytes, facts_digest_of, facts_of};
pub(crate) use goodbye::{Goodbye, GoodbyeReason};
pub(crate) use hint::Hint;
#[cfg(test)]
pub(crate) use locate::LOCATE_SIZE;
pub(crate) use locate::{Locate, LocatePurpose, SealedLocate};
pub(crate) use prefix::{GameTag, Kind, Prefix};
pub(crate) use probe::Probe;
#[cfg(test)]
pub(crate) use query::Rank;
pub(crate) use query::{Known, Query, Target};

/// The UDP port on which every host and every finder listens, unless the game chooses another.
pub(crate) const BEACON_PORT: u16 = 29_417;
/// The IPv4 group, of the administratively scoped block (RFC 2365).
pub(crate) const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 255, 76, 83);
/// The IPv6 group, link-local (RFC 4291 section 2.7).
pub(crate) const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0x4c, 0x414e);

/// The largest datagram: what passes every link unfragmented with room for tunnels.
pub(crate) const MAX_DATAGRAM: usize = 1_200;
/// What a query is padded to, so that no hint or short advert is larger than what asked for it.
pub(crate) const QUERY_SIZE: usize = 512;
/// What a probe is padded to; an [`Alive`] is not larger.
pub(crate) const PROBE_SIZE: usize = 176;

/// A request has its full size: else an answer would be larger than what asked for it.
fn padded(bytes: &[u8], size: usize) -> WireResult<()> {
    if bytes.len() < size { Err(WireError::Short) } else { Ok(()) }
}
