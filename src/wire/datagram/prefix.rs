//! The prefix of every datagram, frozen for all major versions (protocol.md, "Prefix").

/// SHA-256(context ‖ game id)[..8]: compared before anything else is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GameTag(pub(crate) [u8; 8]);

/// What a datagram is. Unknown kinds are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Query,
    Advert,
    Hint,
    Probe,
    Alive,
    Goodbye,
    Death,
}

/// The first 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) major: u8,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) game: GameTag,
}
