//! The hint: "my advert is longer than your question; ask again with this cookie" (protocol.md, "Hint").

use crate::types::{HostKey, SessionId};
use crate::wire::{WireResult, extension};

use super::prefix::{GameTag, Kind, host_key, open, start};

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

impl Hint {
    /// The datagram.
    pub(crate) fn encode(&self, game: GameTag) -> Vec<u8> {
        let mut writer = start(Kind::Hint, 0, game);
        writer
            .bytes(self.host_key.as_bytes())
            .bytes(self.id.as_bytes())
            .u64(self.echo)
            .bytes(&self.cookie)
            .u16(self.size);
        writer.into_bytes()
    }

    /// Reads one.
    pub(crate) fn decode(bytes: &[u8]) -> WireResult<Self> {
        let (_, mut reader) = open(Kind::Hint, bytes)?;
        let hint = Self {
            host_key: host_key(&mut reader)?,
            id: SessionId::from_bytes(reader.array()?),
            echo: reader.u64()?,
            cookie: reader.array()?,
            size: reader.u16()?,
        };
        extension::skip(&mut reader)?;
        Ok(hint)
    }
}
