//! The query: who is there, that fits (protocol.md, "Query").

use crate::types::{Node, OrderBy, PathKind, RoomCode, SessionId};
use crate::wire::bytes::{Reader, Writer};
use crate::wire::codec::{self, Numbered, message};
use crate::wire::filter::MAX_FILTER;
use crate::wire::values::number;
use crate::wire::{WireError, WireResult, extension};

use super::prefix::{GameTag, Kind, open, start};
use super::{MAX_DATAGRAM, QUERY_SIZE};

/// The most tags of known sessions.
pub(crate) const MAX_KNOWN_TAGS: usize = 40;
/// The most bytes of a Bloom filter of known sessions.
pub(crate) const MAX_BLOOM: usize = 1_100;
/// The most hashes of one.
pub(crate) const MAX_BLOOM_HASHES: u8 = 16;
/// The longest order, in bytes: field 33, direction 9, threshold 9, with their tags.
const MAX_RANK: usize = 64;

mod flag {
    pub(super) const MANY: u8 = 1;
    pub(super) const RENEW: u8 = 2;
    pub(super) const COOKIE: u8 = 4;
}

/// A question to all hosts, or to one address. Nothing in it is signed: an asker is anonymous.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    pub(crate) nonce: u64,
    /// The sender has just heard many others ask: answer once to all.
    pub(crate) many: bool,
    /// Only keeps the interest alive; nobody answers.
    pub(crate) renew: bool,
    /// The host's own cookie, from a [`Hint`](super::Hint): this address is proven, so the answer may be longer.
    pub(crate) cookie: Option<[u8; 16]>,
    /// The path this copy goes by; the answer names it.
    pub(crate) path: PathKind,
    pub(crate) target: Target,
    /// At most so many are wanted; 0 = all. With it, hosts beyond 256 draw a sample.
    pub(crate) take: u8,
    /// How many answers the asker expects; 0 = unknown.
    pub(crate) expect: u16,
    /// The longest answer window the asker waits for, in ms; 0 = the default.
    pub(crate) cap: u16,
    pub(crate) rank: Option<Rank>,
    pub(crate) filter: Option<Node>,
    pub(crate) known: Known,
}

/// Only this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Any,
    Session(SessionId),
    Code(RoomCode),
}

/// The order of a "take", and the score from which on an answer is wanted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rank {
    pub(crate) order: OrderBy,
    pub(crate) threshold: Option<f64>,
}

/// Sessions the asker knows in their present state; they keep silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    None,
    /// Up to 40 tags, see [`crate::wire::hash::known_tag`].
    Tags(Vec<[u8; 6]>),
    /// A Bloom filter over the same tags, at most 1,100 bytes, and its number of hashes.
    Bloom {
        bits: Vec<u8>,
        hashes: u8,
    },
}

message! { Rank { order, threshold = |d: &mut D| codec::option(d, number) } }

impl Query {
    /// The datagram, padded to [`QUERY_SIZE`]. Known answers that would lead over [`MAX_DATAGRAM`] are left out: that
    /// costs an answer too many, never one too few. See [`room_for_known`](Self::room_for_known).
    pub(crate) fn encode(&self, game: GameTag) -> Vec<u8> {
        let mut writer = self.without_known(game);
        let mut known = Writer::default();
        self.known.write(&mut known);
        if writer.len().saturating_add(known.len()) > MAX_DATAGRAM {
            known = Writer::default();
            Known::None.write(&mut known);
        }
        writer.bytes(known.as_bytes()).pad(QUERY_SIZE);
        writer.into_bytes()
    }

    /// So many bytes are left for known answers: of a Bloom filter's bits, or six for each tag.
    pub(crate) fn room_for_known(&self) -> usize {
        // Tag 1, hashes 1, length 2.
        MAX_DATAGRAM.saturating_sub(self.without_known(GameTag([0; 8])).len()).saturating_sub(4).min(MAX_BLOOM)
    }

    fn without_known(&self, game: GameTag) -> Writer {
        let flags = [(self.many, flag::MANY), (self.renew, flag::RENEW), (self.cookie.is_some(), flag::COOKIE)];
        let flags = flags.into_iter().filter(|(on, _)| *on).fold(0, |bits, (_, bit)| bits | bit);
        let (target, what) = match self.target {
            Target::Any => (0, [0; 16]),
            Target::Session(id) => (1, id.to_bytes()),
            Target::Code(code) => {
                let mut what = Writer::default();
                what.u32(code.bits()).pad(16);
                (2, what.as_bytes().first_chunk().copied().unwrap_or_default())
            }
        };
        let mut writer = start(Kind::Query, flags, game);
        writer
            .u64(self.nonce)
            .u8(self.path.number())
            .u8(target)
            .bytes(&what)
            .u8(self.take)
            .u16(self.expect)
            .u16(self.cap)
            .bytes(&self.cookie.unwrap_or_default());
        let filter = self.filter.as_ref().map(codec::encode).unwrap_or_default();
        // A filter that does not fit was kept back by the finder; cut, it would not be read.
        writer.long(if filter.len() > MAX_FILTER { &[] } else { &filter });
        writer.short(&self.rank.as_ref().map(codec::encode).unwrap_or_default());
        writer
    }

    /// Reads one. A short one is refused, since the answer must not be larger than what asked for it.
    pub(crate) fn decode(bytes: &[u8]) -> WireResult<Self> {
        let (flags, mut reader) = open(Kind::Query, bytes)?;
        super::padded(bytes, QUERY_SIZE)?;
        let nonce = reader.u64()?;
        let path = PathKind::from_number(reader.u8()?.into()).ok_or(WireError::Value)?;
        let target = read_target(&mut reader)?;
        let (take, expect, cap) = (reader.u8()?, reader.u16()?, reader.u16()?);
        let cookie = reader.array()?;
        let length = reader.u16()?;
        let filter = reader.take(length.into())?;
        let length = reader.u8()?;
        let rank = reader.take(length.into())?;
        let query = Self {
            nonce,
            many: flags & flag::MANY != 0,
            renew: flags & flag::RENEW != 0,
            cookie: (flags & flag::COOKIE != 0).then_some(cookie),
            path,
            target,
            take,
            expect,
            cap,
            rank: if rank.is_empty() { None } else { Some(codec::decode(rank, MAX_RANK)?) },
            filter: if filter.is_empty() { None } else { Some(codec::decode(filter, MAX_FILTER)?) },
            known: Known::read(&mut reader)?,
        };
        extension::skip(&mut reader)?;
        Ok(query)
    }
}

fn read_target(reader: &mut Reader<'_>) -> WireResult<Target> {
    let kind = reader.u8()?;
    let what: [u8; 16] = reader.array()?;
    match kind {
        0 => Ok(Target::Any),
        1 => Ok(Target::Session(SessionId::from_bytes(what))),
        2 => RoomCode::from_bits(Reader::new(&what).u32()?).map(Target::Code).ok_or(WireError::Value),
        _ => Err(WireError::Value),
    }
}

impl Known {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::None => {
                writer.u8(0);
            }
            Self::Tags(tags) => {
                let all: Vec<u8> = tags.iter().take(MAX_KNOWN_TAGS).flatten().copied().collect();
                writer.u8(1).u8(u8::try_from(tags.len().min(MAX_KNOWN_TAGS)).unwrap_or_default()).bytes(&all);
            }
            Self::Bloom { bits, hashes } => {
                writer.u8(2).u8(*hashes).long(bits);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> WireResult<Self> {
        match reader.u8()? {
            0 => Ok(Self::None),
            1 => {
                let count = usize::from(reader.u8()?);
                if count > MAX_KNOWN_TAGS {
                    return Err(WireError::Bound);
                }
                (0..count).map(|_| reader.array()).collect::<WireResult<_>>().map(Self::Tags)
            }
            2 => {
                let hashes = reader.u8()?;
                let length = usize::from(reader.u16()?);
                // No hash at all would match every session, and silence every host.
                if hashes == 0 || hashes > MAX_BLOOM_HASHES || length == 0 || length > MAX_BLOOM {
                    return Err(WireError::Bound);
                }
                Ok(Self::Bloom { bits: reader.take(length)?.to_vec(), hashes })
            }
            _ => Err(WireError::Value),
        }
    }

    /// Whether the session of this tag is among them.
    pub(crate) fn contains(&self, tag: [u8; 6]) -> bool {
        match self {
            Self::None => false,
            Self::Tags(tags) => tags.contains(&tag),
            Self::Bloom { bits, hashes } => crate::wire::hash::bloom_contains(bits, *hashes, tag),
        }
    }
}
