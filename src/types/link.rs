//! The join link: what a QR code, a chat message or the platform's own UI hands over.

use std::net::SocketAddr;

use super::id::SessionKey;
use super::key::HostKey;

/// A `lansession:` URI: a session's id, its founder's key, the host's key and addresses; never a password.
///
/// Text form (protocol.md, "Join link"): `lansession:ID?g=GAME&f=FOUNDER&h=HOST&a=ADDR:PORT&a=…`, at most 2 KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinLink {
    pub(crate) game: String,
    pub(crate) key: SessionKey,
    pub(crate) host_key: HostKey,
    /// Control addresses, best first, at most 8.
    pub(crate) addresses: Vec<SocketAddr>,
}
