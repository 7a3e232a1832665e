//! The hint: "my advert is longer than your question; ask again with this cookie" (protocol.md, "Hint").

use crate::types::{HostKey, SessionId};

/// Unsigned; it starts a fetch and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) host_key: HostKey,
    pub(crate) id: SessionId,
    pub(crate) echo: u64,
    pub(crate) cookie: [u8; 16],
    /// The size of the advert.
    pub(crate) size: u16,
}
