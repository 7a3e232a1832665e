//! The goodbye, signed (protocol.md, "Goodbye").

use crate::types::{HostKey, SessionId};

/// The end of one incarnation's listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Goodbye {
    pub(crate) host_key: HostKey,
    pub(crate) id: SessionId,
    pub(crate) incarnation: u64,
    pub(crate) term: u32,
    pub(crate) sequence: u32,
    pub(crate) reason: GoodbyeReason,
    /// The next host's key after a handover.
    pub(crate) next: Option<HostKey>,
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GoodbyeReason {
    /// The session is over.
    Ended,
    /// Another host goes on.
    Handover,
    /// It goes on, hidden.
    Unlisted,
}
