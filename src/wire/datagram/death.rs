//! A member's word that the host died: a hint that pulls a probe forward (protocol.md, "Death notice").

use crate::types::SessionId;

/// Unsigned: it can end nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeathNotice {
    pub(crate) id: SessionId,
    pub(crate) host_tag: [u8; 8],
    pub(crate) incarnation: u64,
    pub(crate) term: u32,
    pub(crate) sequence: u32,
}
