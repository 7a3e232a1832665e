//! The prefix of every datagram, frozen for all major versions (protocol.md, "Prefix").

use crate::types::{HostKey, SessionId, WIRE_MAJOR};
use crate::wire::bytes::{Reader, Writer};
use crate::wire::sign::SIGNATURE;
use crate::wire::{WireError, WireResult};

use super::MAX_DATAGRAM;

/// The first four bytes.
pub(crate) const MAGIC: [u8; 4] = *b"lans";
/// The prefix of every datagram.
pub(crate) const PREFIX: usize = 16;
/// The prefix of the signed ones: host key and session id too.
pub(crate) const SIGNED_PREFIX: usize = 64;

/// SHA-256(context ‖ game id)[..8]: compared before anything else is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GameTag(pub(crate) [u8; 8]);

/// What a datagram is. Unknown kinds are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Query,
    Locate,
    Advert,
    Hint,
    Probe,
    Alive,
    Goodbye,
    Death,
}

impl Kind {
    pub(crate) const ALL: [Self; 8] =
        [Self::Query, Self::Probe, Self::Locate, Self::Advert, Self::Hint, Self::Alive, Self::Goodbye, Self::Death];

    /// Requests lie below 128, all others above: no kind is both, so no two hosts can be made to answer each other.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Query => 1,
            Self::Probe => 2,
            Self::Locate => 3,
            Self::Advert => 129,
            Self::Hint => 130,
            Self::Alive => 131,
            Self::Goodbye => 132,
            Self::Death => 133,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// The first 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub(crate) major: u8,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) game: GameTag,
}

impl Prefix {
    /// Reads the prefix of any major version.
    pub(crate) fn peek(bytes: &[u8]) -> WireResult<Self> {
        let mut reader = Reader::new(bytes);
        if reader.array()? != MAGIC {
            return Err(WireError::Magic);
        }
        let (major, kind, flags) = (reader.u8()?, reader.u8()?, reader.u8()?);
        reader.u8()?;
        Ok(Self { major, kind, flags, game: GameTag(reader.array()?) })
    }

    /// The kind, where this version knows it.
    pub(crate) fn known_kind(&self) -> Option<Kind> {
        Kind::from_number(self.kind)
    }
}

/// Starts a datagram.
pub(super) fn start(kind: Kind, flags: u8, game: GameTag) -> Writer {
    let mut writer = Writer::default();
    writer.bytes(&MAGIC).u8(WIRE_MAJOR).u8(kind.number()).u8(flags).u8(0).bytes(&game.0);
    writer
}

/// Starts a signed datagram.
pub(super) fn start_signed(kind: Kind, flags: u8, game: GameTag, host: HostKey, id: SessionId) -> Writer {
    let mut writer = start(kind, flags, game);
    writer.bytes(host.as_bytes()).bytes(id.as_bytes());
    writer
}

/// The flags of a datagram of this kind and version, and what follows its prefix.
pub(super) fn open(kind: Kind, bytes: &[u8]) -> WireResult<(u8, Reader<'_>)> {
    let prefix = Prefix::peek(bytes)?;
    if prefix.major != WIRE_MAJOR {
        return Err(WireError::Major(prefix.major));
    }
    if prefix.kind != kind.number() {
        return Err(WireError::Value);
    }
    if bytes.len() > MAX_DATAGRAM {
        return Err(WireError::Bound);
    }
    Ok((prefix.flags, Reader::new(bytes.get(PREFIX..).ok_or(WireError::Short)?)))
}

/// As [`open`], for a signed kind: also who signs for which session; the signature is left out. It is not verified here.
pub(super) fn open_signed(kind: Kind, bytes: &[u8]) -> WireResult<(u8, HostKey, SessionId, Reader<'_>)> {
    let (flags, reader) = open(kind, bytes)?;
    let statement = reader.len().checked_sub(SIGNATURE).ok_or(WireError::Short)?;
    let mut reader = Reader::new(reader.rest().get(..statement).ok_or(WireError::Short)?);
    let host = host_key(&mut reader)?;
    let id = SessionId::from_bytes(reader.array()?);
    Ok((flags, host, id, reader))
}

/// A host key; weak ones are refused.
pub(super) fn host_key(reader: &mut Reader<'_>) -> WireResult<HostKey> {
    HostKey::from_bytes(reader.array()?).map_err(|_| WireError::Value)
}
