//! The probe: "do you live?" (protocol.md, "Probe").

use crate::types::SessionId;
use crate::wire::{WireResult, extension};

use super::PROBE_SIZE;
use super::prefix::{GameTag, Kind, open, start};

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

impl Probe {
    /// The datagram, padded to [`PROBE_SIZE`].
    pub(crate) fn encode(&self, game: GameTag) -> Vec<u8> {
        let mut writer = start(Kind::Probe, 0, game);
        writer.u64(self.nonce).bytes(self.id.as_bytes()).bytes(&self.host_tag).bytes(&self.known_digest);
        writer.pad(PROBE_SIZE);
        writer.into_bytes()
    }

    /// Reads one. A short one is refused, since the answer must not be larger than what asked for it.
    pub(crate) fn decode(bytes: &[u8]) -> WireResult<Self> {
        let (_, mut reader) = open(Kind::Probe, bytes)?;
        super::padded(bytes, PROBE_SIZE)?;
        let probe = Self {
            nonce: reader.u64()?,
            id: SessionId::from_bytes(reader.array()?),
            host_tag: reader.array()?,
            known_digest: reader.array()?,
        };
        extension::skip(&mut reader)?;
        Ok(probe)
    }
}
