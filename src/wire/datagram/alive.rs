//! The answer to a probe, signed (protocol.md, "Alive").

use crate::types::{HostKey, Identity, SessionId};
use crate::wire::sign::{self, Context};
use crate::wire::{WireResult, extension};

use super::prefix::{GameTag, Kind, open_signed, start_signed};

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

impl Alive {
    /// The datagram, signed by the host key, which must be `host`'s.
    pub(crate) fn encode(&self, game: GameTag, host: &Identity) -> Vec<u8> {
        let mut bytes = self.statement(game);
        let signature = sign::sign(Context::Alive, host, &bytes);
        bytes.extend_from_slice(&signature);
        bytes
    }

    /// All bytes before the signature.
    pub(crate) fn statement(&self, game: GameTag) -> Vec<u8> {
        let mut writer = start_signed(Kind::Alive, 0, game, self.host_key, self.id);
        writer.u64(self.incarnation).u32(self.term).u32(self.sequence).u64(self.echo).u16(self.ttl).bytes(&self.digest);
        writer.into_bytes()
    }

    /// Reads one; the signature is not verified here.
    pub(crate) fn decode(bytes: &[u8]) -> WireResult<Self> {
        let (_, host_key, id, mut reader) = open_signed(Kind::Alive, bytes)?;
        let alive = Self {
            host_key,
            id,
            incarnation: reader.u64()?,
            term: reader.u32()?,
            sequence: reader.u32()?,
            echo: reader.u64()?,
            ttl: reader.u16()?,
            digest: reader.array()?,
        };
        extension::skip(&mut reader)?;
        Ok(alive)
    }
}
