//! A member's word that the host died: a hint that pulls a probe forward (protocol.md, "Death notice").

use crate::types::SessionId;
use crate::wire::{WireResult, extension};

use super::prefix::{GameTag, Kind, open, start};

/// Unsigned: it can end nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeathNotice {
    pub(crate) id: SessionId,
    pub(crate) host_tag: [u8; 8],
    pub(crate) incarnation: u64,
    pub(crate) term: u32,
    pub(crate) sequence: u32,
}

impl DeathNotice {
    /// The datagram.
    pub(crate) fn encode(&self, game: GameTag) -> Vec<u8> {
        let mut writer = start(Kind::Death, 0, game);
        writer.bytes(self.id.as_bytes()).bytes(&self.host_tag).u64(self.incarnation).u32(self.term).u32(self.sequence);
        writer.into_bytes()
    }

    /// Reads one.
    pub(crate) fn decode(bytes: &[u8]) -> WireResult<Self> {
        let (_, mut reader) = open(Kind::Death, bytes)?;
        let notice = Self {
            id: SessionId::from_bytes(reader.array()?),
            host_tag: reader.array()?,
            incarnation: reader.u64()?,
            term: reader.u32()?,
            sequence: reader.u32()?,
        };
        extension::skip(&mut reader)?;
        Ok(notice)
    }
}
