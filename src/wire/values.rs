//! How the nouns travel (protocol.md, "Types").

use std::time::Duration;

use bincode::de::{Decode, Decoder};
use bincode::enc::{Encode, Encoder};
use bincode::error::{DecodeError, EncodeError};

use super::codec::{self, message, numbered};
use crate::types::{
    AccountId, Attribute, Attributes, External, HostKey, InviteId, JoinPolicy, LinkState, Member, MemberStatus,
    MemberTimeouts, MemberUpdate, PathKind, Phase, Profile, PublicKey, Reason, Revision, Role, SessionId, SessionKey,
    SessionSettings, SessionSnapshot, Value, Visibility,
};

macro_rules! raw {
    ($($type:ty: |$bytes:ident| $make:expr),* $(,)?) => {
        $(impl Encode for $type {
            fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
                self.as_bytes().encode(to)
            }
        }

        impl<C> Decode<C> for $type {
            fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
                let $bytes = Decode::decode(from)?;
                $make
            }
        })*
    };
}

raw! {
    PublicKey: |bytes| Self::from_bytes(bytes).map_err(|_| DecodeError::Other("weak key")),
    SessionId: |bytes| Ok(Self::from_bytes(bytes)),
    InviteId: |bytes| Ok(Self::from_bytes(bytes)),
    AccountId: |bytes| Self::from_bytes(bytes).map_err(|_| DecodeError::Other("weak key")),
    HostKey: |bytes| Self::from_bytes(bytes).map_err(|_| DecodeError::Other("weak key")),
}

numbered! { JoinPolicy { Public = 0, FriendsOnly = 1, InviteOnly = 2 } unknown: Some(Self::InviteOnly) }
numbered! { Phase { Lobby = 0, InProgress = 1, Ended = 2 } unknown: Some(Self::Ended) }
numbered! { Visibility { Public = 0, Members = 1, Host = 2 } unknown: Some(Self::Host) }
numbered! { MemberStatus { Reserved = 0, Inactive = 1, Ready = 2, Active = 3 } unknown: None }
numbered! { LinkState { Connected = 0, Away = 1 } unknown: None }
numbered! {
    PathKind {
        LimitedBroadcast = 0, DirectedBroadcast = 1, Ipv4Multicast = 2, Ipv6Multicast = 3, Unicast = 4, Mdns = 5,
    } unknown: Some(Self::Unicast)
}

message! { SessionKey { id, founder } }
message! { Revision { term, number } }
message! { Attribute { value, visibility } }
message! {
    Member {
        account, name = codec::name::<{ Profile::MAX_NAME }, _>, external, number, status, link, ready, is_host,
        role = role, attributes, joined_revision,
    }
}
message! {
    MemberUpdate {
        name = |d: &mut D| codec::option(d, codec::name::<{ Profile::MAX_NAME }, _>),
        ready,
        set = |d: &mut D| codec::list(d, Attributes::MAX_COUNT, |d| Ok((attribute_name(d)?, Attribute::decode(d)?))),
        remove = |d: &mut D| codec::list(d, Attributes::MAX_COUNT, attribute_name),
    }
}
message! {
    SessionSnapshot {
        key, revision, host, host_key,
        name = codec::name::<{ SessionSettings::MAX_NAME }, _>,
        schema = codec::text::<{ SessionSettings::MAX_SCHEMA }, _>,
        version, max_members, reserved_slots, policy, phase, listed, closed, locked, join_in_progress, password,
        dedicated,
        keywords = keywords,
        attributes,
        ports = ports,
        members = |d: &mut D| codec::list(d, usize::from(SessionSettings::MAX_MEMBERS), Member::decode),
        roles = roles,
        turn = turn,
        timeouts, ready_gate, matchmaking, mobile, anti_cheat, allow_sanctioned, migration,
    }
}

message! {
    Role { name = codec::name::<{ Role::MAX_NAME }, _>, target, max }
}
impl Encode for MemberTimeouts {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        let millis = |after: Duration| u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        [self.reserved, self.ready, self.inactive, self.empty].iter().try_for_each(|after| after.map(millis).encode(to))
    }
}

impl<C> Decode<C> for MemberTimeouts {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        let (reserved, ready) = (timeout(from)?, timeout(from)?);
        let (inactive, empty) = (timeout(from)?, timeout(from)?);
        Ok(Self::new().reserved(reserved).ready(ready).inactive(inactive).empty(empty))
    }
}

/// Whole milliseconds; `None` is never.
fn timeout<D: Decoder>(from: &mut D) -> Result<Option<Duration>, DecodeError> {
    codec::option(from, |from| {
        let after = Duration::from_millis(u32::decode(from)?.into());
        if after > MemberTimeouts::MAX { Err(DecodeError::LimitExceeded) } else { Ok(after) }
    })
}

/// A member's role.
pub(crate) fn role<D: Decoder>(from: &mut D) -> Result<Option<String>, DecodeError> {
    codec::option(from, codec::name::<{ Role::MAX_NAME }, _>)
}

/// The roles of a session.
pub(crate) fn roles<D: Decoder>(from: &mut D) -> Result<Vec<Role>, DecodeError> {
    codec::list(from, SessionSettings::MAX_ROLES, Role::decode)
}

/// Whose turn it is.
pub(crate) fn turn<D: Decoder>(from: &mut D) -> Result<Vec<AccountId>, DecodeError> {
    codec::list(from, usize::from(SessionSettings::MAX_MEMBERS), AccountId::decode)
}

/// The keywords of a session.
pub(crate) fn keywords<D: Decoder>(from: &mut D) -> Result<Vec<String>, DecodeError> {
    codec::list(from, SessionSettings::MAX_KEYWORDS, codec::name::<{ SessionSettings::MAX_KEYWORD }, _>)
}

/// The named ports of a session.
pub(crate) fn ports<D: Decoder>(from: &mut D) -> Result<Vec<(String, u16)>, DecodeError> {
    codec::list(from, SessionSettings::MAX_PORTS, |from| {
        let name = codec::name::<{ SessionSettings::MAX_PORT_NAME }, _>(from)?;
        match u16::decode(from)? {
            0 => Err(DecodeError::Other("port 0")),
            port => Ok((name, port)),
        }
    })
}

/// An attribute's name; those with @ are the built-in fields, so none may travel.
pub(crate) fn attribute_name<D: Decoder>(from: &mut D) -> Result<String, DecodeError> {
    let name = codec::name::<{ Attributes::MAX_NAME }, _>(from)?;
    if name.starts_with('@') { Err(DecodeError::Other("attribute with @")) } else { Ok(name) }
}

/// Attributes by ascending name, each read by `read`.
fn ascending<D: Decoder>(
    from: &mut D,
    mut read: impl FnMut(&mut D) -> Result<Attribute, DecodeError>,
) -> Result<Attributes, DecodeError> {
    let mut last = String::new();
    let mut attributes = Attributes::new();
    for _ in 0..codec::length(from, Attributes::MAX_COUNT)? {
        let name = attribute_name(from)?;
        if name <= last {
            return Err(DecodeError::Other("attribute names do not ascend"));
        }
        let attribute = read(from)?;
        attributes.insert(name.clone(), attribute).map_err(|_| DecodeError::Other("refused attribute"))?;
        last = name;
    }
    Ok(attributes)
}

fn write_length<E: Encoder>(length: usize, to: &mut E) -> Result<(), EncodeError> {
    u64::try_from(length).unwrap_or(u64::MAX).encode(to)
}

impl Encode for Attributes {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        write_length(self.len(), to)?;
        self.iter().try_for_each(|(name, attribute)| {
            name.encode(to)?;
            attribute.encode(to)
        })
    }
}

impl<C> Decode<C> for Attributes {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        ascending(from, Attribute::decode)
    }
}

/// Attributes in an advert: public all, so none says it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PublicAttributes(pub(crate) Attributes);

impl Encode for PublicAttributes {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        write_length(self.0.len(), to)?;
        self.0.iter().try_for_each(|(name, attribute)| {
            name.encode(to)?;
            attribute.value.encode(to)
        })
    }
}

impl<C> Decode<C> for PublicAttributes {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        ascending(from, |from| Ok(Attribute { value: Value::decode(from)?, visibility: Visibility::Public })).map(Self)
    }
}

impl Encode for Value {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::String(text) => (0_u32, text).encode(to),
            Self::Int(int) => (1_u32, int).encode(to),
            Self::Float(float) => (2_u32, float).encode(to),
            Self::Bool(flag) => (3_u32, flag).encode(to),
            Self::Bytes(bytes) => (4_u32, bytes).encode(to),
            Self::List(list) => (5_u32, list).encode(to),
        }
    }
}

impl<C> Decode<C> for Value {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        const MAX: usize = Attributes::MAX_VALUE;
        Ok(match u32::decode(from)? {
            0 => Self::String(codec::text::<MAX, _>(from)?),
            1 => Self::Int(Decode::decode(from)?),
            2 => Self::Float(number(from)?),
            3 => Self::Bool(Decode::decode(from)?),
            4 => Self::Bytes(codec::bytes::<MAX, _>(from)?),
            5 => {
                let list = codec::list(from, Attributes::MAX_LIST, codec::text::<MAX, _>)?;
                if list.iter().map(String::len).sum::<usize>() > MAX {
                    return Err(DecodeError::LimitExceeded);
                }
                Self::List(list)
            }
            _ => return Err(DecodeError::Other("unknown type of value")),
        })
    }
}

/// A float that is not NaN, which equals nothing and has no order.
pub(crate) fn number<D: Decoder>(from: &mut D) -> Result<f64, DecodeError> {
    let float = f64::decode(from)?;
    if float.is_nan() { Err(DecodeError::Other("NaN")) } else { Ok(float) }
}

impl Encode for External {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        (self.provider(), self.id()).encode(to)
    }
}

impl<C> Decode<C> for External {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        let provider = codec::name::<{ Self::MAX_PROVIDER }, _>(from)?;
        let id = codec::bytes::<{ Self::MAX_ID }, _>(from)?;
        Self::new(provider, id).map_err(|_| DecodeError::Other("external id"))
    }
}

impl Encode for Reason {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        (self.code(), codec::clip(self.text(), Self::MAX_TEXT)).encode(to)
    }
}

impl<C> Decode<C> for Reason {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        let code = u32::decode(from)?;
        Ok(Self::new(code, codec::text::<{ Self::MAX_TEXT }, _>(from)?))
    }
}
