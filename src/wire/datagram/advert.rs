//! The advert: all public facts of one session, signed (protocol.md, "Advert").

use crate::types::{HostKey, Identity, PathKind, PublicFacts, SessionId, WIRE_MAJOR};
use crate::wire::bytes::{Reader, Writer};
use crate::wire::codec::Numbered;
use crate::wire::sign::{self, Context, SIGNATURE};
use crate::wire::{WireError, WireResult, extension, hash};

use super::prefix::{GameTag, Kind, Prefix, host_key, open_signed, start_signed};
use super::{MAX_DATAGRAM, facts};

/// What follows the facts: the fields of this one datagram.
pub(super) const MOMENT: usize = 43;
/// The extension that names founder and lineage.
const LINEAGE: u16 = 1;

mod flag {
    pub(super) const MANY: u8 = 1;
    pub(super) const OLD: u8 = 2;
    pub(super) const MIGRATABLE: u8 = 4;
    pub(super) const ID_DERIVED: u8 = 16;
    pub(super) const ACCOUNT_SHOWN: u8 = 32;
}

/// One session as its host tells it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Advert {
    pub(crate) host_key: HostKey,
    pub(crate) id: SessionId,
    /// Sent by multicast because many asked: others need not ask.
    pub(crate) many: bool,
    /// The host has been up for more than a minute.
    pub(crate) old: bool,
    /// The session can outlive its host.
    pub(crate) migratable: bool,
    /// The id derives from founder key and `salt`; the decoder has checked it.
    pub(crate) id_derived: bool,
    /// The host key is the host's account.
    pub(crate) account_shown: bool,
    pub(crate) salt: u64,
    /// Unix milliseconds at the session's creation, or more; it only sorts.
    pub(crate) incarnation: u64,
    pub(crate) term: u32,
    pub(crate) sequence: u32,
    /// The asker's nonce in an answer, 0 in a beacon.
    pub(crate) echo: u64,
    /// How long this counts, in 100 ms.
    pub(crate) ttl: u16,
    /// The time to the next beacon, in 100 ms; 0 where none is planned.
    pub(crate) interval: u16,
    /// Distinct hosts the sender hears, itself included.
    pub(crate) hosts_heard: u16,
    pub(crate) tcp_port: u16,
    pub(crate) udp_port: u16,
    /// The path by which the question came, or by which this beacon goes.
    pub(crate) path: PathKind,
    pub(crate) facts: PublicFacts,
    /// Where the host is not the founder.
    pub(crate) lineage: Option<Lineage>,
    /// An extension this version does not know and must not ignore: shown, not joinable.
    pub(crate) incompatible: bool,
}

/// From whom the session came, where term > 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lineage {
    pub(crate) founder: HostKey,
    pub(crate) digest: [u8; 16],
}

/// What can be read of another major version's advert: the frozen prefix and the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForeignAdvert {
    pub(crate) major: u8,
    pub(crate) host_key: HostKey,
    pub(crate) id: SessionId,
    pub(crate) name: String,
}

impl Advert {
    pub(crate) fn founder(&self) -> HostKey {
        self.lineage.as_ref().map_or(self.host_key, |lineage| lineage.founder)
    }

    /// What orders two adverts of one session; an echo of one's own nonce overrides it.
    pub(crate) fn order(&self) -> (u64, u32, u32) {
        (self.incarnation, self.term, self.sequence)
    }
}

impl Advert {
    /// The datagram, signed by the host key, which must be `host`'s.
    pub(crate) fn encode(&self, game: GameTag, host: &Identity) -> Vec<u8> {
        let mut bytes = self.statement(game);
        let signature = sign::sign(Context::Advert, host, &bytes);
        bytes.extend_from_slice(&signature);
        bytes
    }

    /// All bytes before the signature.
    pub(crate) fn statement(&self, game: GameTag) -> Vec<u8> {
        let flags = [
            (self.many, flag::MANY),
            (self.old, flag::OLD),
            (self.migratable, flag::MIGRATABLE),
            (self.id_derived, flag::ID_DERIVED),
            (self.account_shown, flag::ACCOUNT_SHOWN),
        ];
        let flags = flags.into_iter().filter(|(on, _)| *on).fold(0, |bits, (_, bit)| bits | bit);
        let mut writer = start_signed(Kind::Advert, flags, game, self.host_key, self.id);
        facts::write(&mut writer, &self.facts);
        writer
            .u64(self.salt)
            .u64(self.incarnation)
            .u32(self.term)
            .u32(self.sequence)
            .u64(self.echo)
            .u16(self.ttl)
            .u16(self.interval)
            .u16(self.hosts_heard)
            .u16(self.tcp_port)
            .u16(self.udp_port)
            .u8(self.path.number());
        if let Some(lineage) = &self.lineage {
            let mut body = Writer::default();
            body.bytes(lineage.founder.as_bytes()).bytes(&lineage.digest);
            writer.u16(LINEAGE).long(body.as_bytes());
        }
        writer.into_bytes()
    }

    /// Reads an advert; the signature is not verified here (see [`sign::verify_datagram`]), the derived id is.
    pub(crate) fn decode(bytes: &[u8]) -> WireResult<Self> {
        let (flags, host_key, id, mut reader) = open_signed(Kind::Advert, bytes)?;
        let facts = facts::read(&mut reader)?;
        let mut advert = Self {
            host_key,
            id,
            many: flags & flag::MANY != 0,
            old: flags & flag::OLD != 0,
            migratable: flags & flag::MIGRATABLE != 0,
            id_derived: flags & flag::ID_DERIVED != 0,
            account_shown: flags & flag::ACCOUNT_SHOWN != 0,
            salt: reader.u64()?,
            incarnation: reader.u64()?,
            term: reader.u32()?,
            sequence: reader.u32()?,
            echo: reader.u64()?,
            ttl: reader.u16()?,
            interval: reader.u16()?,
            hosts_heard: reader.u16()?,
            tcp_port: reader.u16()?,
            udp_port: reader.u16()?,
            path: PathKind::from_number(reader.u8()?.into()).ok_or(WireError::Value)?,
            facts,
            lineage: None,
            incompatible: false,
        };
        let extensions = extension::read(&mut reader, &[LINEAGE])?;
        advert.lineage = extensions.get(LINEAGE).map(lineage).transpose()?;
        advert.incompatible = extensions.critical.is_some();
        if advert.term == 0 || (advert.term == 1 && advert.lineage.is_some()) {
            return Err(WireError::Value);
        }
        // So that no bare id can be squatted: who does not know a key whose hash it is cannot advertise it.
        if advert.id_derived && hash::derived_id(advert.founder(), advert.salt) != id {
            return Err(WireError::Value);
        }
        Ok(advert)
    }

    /// The digest of the facts, for an [`Alive`](super::Alive). Of an advert that came, take
    /// [`facts_digest_of`](super::facts_digest_of) its bytes: a value that this version does not know is not kept here.
    pub(crate) fn facts_digest(&self) -> [u8; 8] {
        facts::digest(&self.facts)
    }
}

fn lineage(bytes: &[u8]) -> WireResult<Lineage> {
    let mut reader = Reader::new(bytes);
    let lineage = Lineage { founder: host_key(&mut reader)?, digest: reader.array()? };
    reader.end()?;
    Ok(lineage)
}

impl ForeignAdvert {
    /// Reads what is frozen of another major version's advert. The signature, under the same context, is for the caller
    /// to verify.
    pub(crate) fn decode(bytes: &[u8]) -> WireResult<Self> {
        let Prefix { major, kind, .. } = Prefix::peek(bytes)?;
        if kind != Kind::Advert.number() || major == WIRE_MAJOR {
            return Err(WireError::Value);
        }
        if bytes.len() > MAX_DATAGRAM {
            return Err(WireError::Bound);
        }
        let statement = bytes.len().checked_sub(SIGNATURE).ok_or(WireError::Short)?;
        let mut reader = Reader::new(bytes.get(super::prefix::PREFIX..statement).ok_or(WireError::Short)?);
        let host_key = host_key(&mut reader)?;
        let id = SessionId::from_bytes(reader.array()?);
        Ok(Self { major, host_key, id, name: facts::read_name(&mut reader)? })
    }
}
