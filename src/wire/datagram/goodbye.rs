//! The goodbye, signed (protocol.md, "Goodbye").

use crate::types::{HostKey, Identity, SessionId};
use crate::wire::sign::{self, Context};
use crate::wire::{WireError, WireResult, extension};

use super::prefix::{GameTag, Kind, open_signed, start_signed};

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

impl GoodbyeReason {
    fn number(self) -> u8 {
        match self {
            Self::Ended => 0,
            Self::Handover => 1,
            Self::Unlisted => 2,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::Ended, Self::Handover, Self::Unlisted].into_iter().find(|reason| reason.number() == number)
    }
}

impl Goodbye {
    /// The datagram, signed by the host key, which must be `host`'s.
    pub(crate) fn encode(&self, game: GameTag, host: &Identity) -> Vec<u8> {
        let mut bytes = self.statement(game);
        let signature = sign::sign(Context::Goodbye, host, &bytes);
        bytes.extend_from_slice(&signature);
        bytes
    }

    /// All bytes before the signature.
    pub(crate) fn statement(&self, game: GameTag) -> Vec<u8> {
        let mut writer = start_signed(Kind::Goodbye, 0, game, self.host_key, self.id);
        writer
            .u64(self.incarnation)
            .u32(self.term)
            .u32(self.sequence)
            .u8(self.reason.number())
            .bytes(&self.next.map_or([0; 32], HostKey::to_bytes));
        writer.into_bytes()
    }

    /// Reads one; the signature is not verified here.
    pub(crate) fn decode(bytes: &[u8]) -> WireResult<Self> {
        let (_, host_key, id, mut reader) = open_signed(Kind::Goodbye, bytes)?;
        let goodbye = Self {
            host_key,
            id,
            incarnation: reader.u64()?,
            term: reader.u32()?,
            sequence: reader.u32()?,
            reason: GoodbyeReason::from_number(reader.u8()?).ok_or(WireError::Value)?,
            next: match reader.array()? {
                // Zero is no key that anybody may hold.
                zero if zero == [0; 32] => None,
                key => Some(HostKey::from_bytes(key).map_err(|_| WireError::Value)?),
            },
        };
        extension::skip(&mut reader)?;
        Ok(goodbye)
    }
}
