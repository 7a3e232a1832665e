//! The probe: "do you live?" (protocol.md, "Probe").

use crate::types::SessionId;

/// A unicast question to one session's host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) nonce: u64,
    pub(crate) id: SessionId,
    /// The first 8 bytes of SHA-256 over the host key.
    pub(crate) host_tag: [u8; 8],
    /// The digest of the advert the asker holds; zero = none.
    pub(crate) known_digest: [u8; 8],
}
