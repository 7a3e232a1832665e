//! The answer to a probe, signed (protocol.md, "Alive").

use crate::types::{HostKey, SessionId};

/// "I live, and my advert's digest is this."
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Alive {
    pub(crate) host_key: HostKey,
    pub(crate) id: SessionId,
    pub(crate) incarnation: u64,
    pub(crate) term: u32,
    pub(crate) sequence: u32,
    pub(crate) echo: u64,
    /// In 100 ms.
    pub(crate) ttl: u16,
    /// The first 8 bytes of SHA-256 over the facts part of the present advert, see
    /// [`crate::wire::hash::facts_digest`].
    pub(crate) digest: [u8; 8],
}
