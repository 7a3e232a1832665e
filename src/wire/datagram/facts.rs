//! The facts part of an advert: all that a stranger may know, in one run of bytes (protocol.md, "Facts part").
//!
//! It holds no sequence number, echo or lifetime, so it stays the same, byte for byte, until the session changes; its
//! digest tells a finder by one probe whether it missed a change.

use bincode::de::{Decode, Decoder};
use bincode::error::DecodeError;

use crate::types::{PublicFacts, SessionSettings, is_displayable};
use crate::wire::bytes::{Reader, Writer};
use crate::wire::codec::{self, Numbered};
use crate::wire::hash;
use crate::wire::sign::SIGNATURE;
use crate::wire::values::{self, PublicAttributes};
use crate::wire::{WireError, WireResult};

use super::MAX_DATAGRAM;
use super::advert::MOMENT;
use super::prefix::{Kind, SIGNED_PREFIX, open_signed};

/// What keywords and attributes together have at least, in encoded bytes.
#[cfg(test)]
pub(crate) const MIN_ATTRIBUTE_BYTES: usize = 765;
/// The facts' fixed fields after the name.
const FIXED: usize = 24;
/// What a host that is not the founder adds: founder and digest of the lineage, with the extension's header.
const LINEAGE: usize = 52;
/// What a migratable session will add (its order's revision and digest, with the extension's header), kept free.
const SUCCESSION: usize = 24;
/// All but the name's text, keywords, attributes and ports: those in the worst case of a later host.
const FRAME: usize = SIGNED_PREFIX + 1 + FIXED + MOMENT + LINEAGE + SUCCESSION + SIGNATURE;

mod switch {
    pub(super) const CLOSED: u8 = 1;
    pub(super) const LOCKED: u8 = 2;
    pub(super) const JOIN_IN_PROGRESS: u8 = 4;
    pub(super) const DEDICATED: u8 = 8;
    pub(super) const MATCHMAKING: u8 = 16;
    pub(super) const MOBILE: u8 = 32;
    pub(super) const ANTI_CHEAT: u8 = 64;
    pub(super) const ALLOW_SANCTIONED: u8 = 128;
}

/// Whether the facts fit into an advert, whoever will be the host and however long its name; else the bytes over.
pub(crate) fn budget_check(facts: &PublicFacts) -> Result<(), usize> {
    let size = FRAME.saturating_add(SessionSettings::MAX_NAME).saturating_add(variable(facts).len());
    match size.saturating_sub(MAX_DATAGRAM) {
        0 => Ok(()),
        over => Err(over),
    }
}

/// Keywords, attributes and ports.
fn variable(facts: &PublicFacts) -> Vec<u8> {
    let mut bytes = codec::encode(&facts.keywords);
    bytes.extend(codec::encode(&PublicAttributes(facts.attributes.clone())));
    bytes.extend(codec::encode(&facts.ports));
    bytes
}

struct Variable {
    keywords: Vec<String>,
    attributes: PublicAttributes,
    ports: Vec<(String, u16)>,
}

impl<C> Decode<C> for Variable {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        Ok(Self { keywords: values::keywords(from)?, attributes: Decode::decode(from)?, ports: values::ports(from)? })
    }
}

/// The digest of these facts as this version encodes them.
pub(super) fn digest(facts: &PublicFacts) -> [u8; 8] {
    let mut writer = Writer::default();
    write(&mut writer, facts);
    hash::facts_digest(writer.as_bytes())
}

/// The digest of the facts part of an advert that came: of its bytes as sent.
pub(crate) fn facts_digest_of(datagram: &[u8]) -> WireResult<[u8; 8]> {
    let (_, _, _, mut reader) = open_signed(Kind::Advert, datagram)?;
    let start = reader.rest();
    read(&mut reader)?;
    let length = start.len().saturating_sub(reader.len());
    Ok(hash::facts_digest(start.get(..length).unwrap_or_default()))
}

pub(super) fn write(writer: &mut Writer, facts: &PublicFacts) {
    let switches = [
        (facts.closed, switch::CLOSED),
        (facts.locked, switch::LOCKED),
        (facts.join_in_progress, switch::JOIN_IN_PROGRESS),
        (facts.dedicated, switch::DEDICATED),
        (facts.matchmaking, switch::MATCHMAKING),
        (facts.mobile, switch::MOBILE),
        (facts.anti_cheat, switch::ANTI_CHEAT),
        (facts.allow_sanctioned, switch::ALLOW_SANCTIONED),
    ];
    writer
        .short(facts.name.as_bytes())
        .u32(facts.version)
        .u64(facts.revision)
        .u16(facts.members)
        .u16(facts.max_members)
        .u16(facts.open_slots)
        .u16(facts.reserved_slots)
        .u8(facts.policy.number())
        .u8(facts.phase.number())
        .u8(facts.password.into())
        .u8(switches.into_iter().filter(|(on, _)| *on).fold(0, |bits, (_, bit)| bits | bit))
        .bytes(&variable(facts));
}

/// The facts part alone, as it stands in an advert.
pub(crate) fn facts_bytes(facts: &PublicFacts) -> Vec<u8> {
    let mut writer = Writer::default();
    write(&mut writer, facts);
    writer.into_bytes()
}

/// Reads what [`facts_bytes`] wrote, all of it.
pub(crate) fn facts_of(bytes: &[u8]) -> WireResult<PublicFacts> {
    let mut reader = Reader::new(bytes);
    let facts = read(&mut reader)?;
    reader.end()?;
    Ok(facts)
}

/// The name that follows the prefix of every major version's advert.
pub(super) fn read_name(reader: &mut Reader<'_>) -> WireResult<String> {
    let length = usize::from(reader.u8()?);
    if length > SessionSettings::MAX_NAME {
        return Err(WireError::Bound);
    }
    let name = std::str::from_utf8(reader.take(length)?).map_err(|_| WireError::Value)?;
    if name.is_empty() || !is_displayable(name) { Err(WireError::Value) } else { Ok(name.to_owned()) }
}

pub(super) fn read(reader: &mut Reader<'_>) -> WireResult<PublicFacts> {
    let name = read_name(reader)?;
    let (version, revision) = (reader.u32()?, reader.u64()?);
    let (members, max_members) = (reader.u16()?, reader.u16()?);
    let (open_slots, reserved_slots) = (reader.u16()?, reader.u16()?);
    let policy = Numbered::from_number(reader.u8()?.into()).ok_or(WireError::Value)?;
    let phase = Numbered::from_number(reader.u8()?.into()).ok_or(WireError::Value)?;
    // An unknown method counts as a password: the joiner's proof will fail, but nobody is told that there is none.
    let password = reader.u8()? != 0;
    let switches = reader.u8()?;
    let bytes = reader.rest();
    let (Variable { keywords, attributes, ports }, rest) = codec::decode_front(bytes, MAX_DATAGRAM)?;
    *reader = Reader::new(rest);
    let facts = PublicFacts {
        name,
        version,
        revision,
        members,
        max_members,
        open_slots,
        reserved_slots,
        policy,
        phase,
        password,
        closed: switches & switch::CLOSED != 0,
        locked: switches & switch::LOCKED != 0,
        join_in_progress: switches & switch::JOIN_IN_PROGRESS != 0,
        dedicated: switches & switch::DEDICATED != 0,
        matchmaking: switches & switch::MATCHMAKING != 0,
        mobile: switches & switch::MOBILE != 0,
        anti_cheat: switches & switch::ANTI_CHEAT != 0,
        allow_sanctioned: switches & switch::ALLOW_SANCTIONED != 0,
        keywords,
        attributes: attributes.0,
        ports,
    };
    // One form only: else the digest of the same facts would depend on how long their varints were written.
    if variable(&facts).len() != bytes.len().saturating_sub(rest.len()) {
        return Err(WireError::Value);
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Attributes, JoinPolicy, Phase};

    /// Facts whose keywords and attributes take exactly `bytes`, their two counts included.
    fn filled(bytes: usize) -> PublicFacts {
        let mut attributes = Attributes::new();
        // Name 2, tag 1, length 3 (from 251 on), counts 2.
        attributes.set("a", "x".repeat(bytes - 2 - 2 - 1 - 3)).unwrap();
        PublicFacts {
            matchmaking: false,
            mobile: false,
            anti_cheat: false,
            allow_sanctioned: true,
            name: "n".into(),
            version: 1,
            revision: 1,
            members: 1,
            max_members: 8,
            open_slots: 7,
            reserved_slots: 0,
            policy: JoinPolicy::Public,
            phase: Phase::Lobby,
            password: false,
            closed: false,
            locked: false,
            join_in_progress: true,
            dedicated: false,
            keywords: Vec::new(),
            attributes,
            ports: (0..8).map(|at| (format!("port-no{at}"), u16::MAX)).collect(),
        }
    }

    #[test]
    fn the_budget_is_at_least_what_is_promised_beside_the_longest_ports() {
        assert_eq!(FRAME, 272);
        let ports = 1 + 8 * (1 + 8 + 3);
        assert_eq!(MAX_DATAGRAM - FRAME - 64 - ports, 767);
        assert_eq!(budget_check(&filled(767)), Ok(()));
        assert_eq!(budget_check(&filled(768)), Err(1));
        assert_eq!(budget_check(&filled(867)), Err(100));
        const { assert!(MIN_ATTRIBUTE_BYTES <= 767) };
        let mut plain = filled(863);
        plain.ports.clear();
        assert_eq!(budget_check(&plain), Ok(()));
    }
}
