//! How commits, refusals and endings travel (protocol.md, "State", "Codes").

use std::time::Duration;

use bincode::de::{Decode, Decoder};
use bincode::enc::{Encode, Encoder};
use bincode::error::{DecodeError, EncodeError};

use super::MAX_CHANGES;
use super::state::{Change, Delta, SettingChange};
use crate::types::{Left, Reason, Refusal, SessionSettings};
use crate::wire::bytes::Reader;
use crate::wire::codec::{self, message};
use crate::wire::{WireResult, extension, values};

message! {
    Delta {
        revision, cause,
        changes = |d: &mut D| codec::list(d, MAX_CHANGES, Change::decode),
        digest,
    }
}

impl Encode for Change {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::MemberLeft { account, why } => (0_u32, account, why).encode(to),
            Self::MemberJoined(member) => (1_u32, member).encode(to),
            Self::MemberAway(account) => (2_u32, account).encode(to),
            Self::MemberBack(account) => (3_u32, account).encode(to),
            Self::MemberUpdated { account, update, status } => (4_u32, account, update, status).encode(to),
            Self::Setting(setting) => (5_u32, setting).encode(to),
            Self::Phase(phase) => (6_u32, phase).encode(to),
            Self::Turn(accounts) => (7_u32, accounts).encode(to),
            Self::Role { account, role } => (8_u32, account, role).encode(to),
            Self::MemberClaimed(member) => (9_u32, member).encode(to),
        }
    }
}

impl<C> Decode<C> for Change {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        Ok(match u32::decode(from)? {
            0 => Self::MemberLeft { account: Decode::decode(from)?, why: Decode::decode(from)? },
            1 => Self::MemberJoined(Decode::decode(from)?),
            2 => Self::MemberAway(Decode::decode(from)?),
            3 => Self::MemberBack(Decode::decode(from)?),
            4 => Self::MemberUpdated {
                account: Decode::decode(from)?,
                update: Decode::decode(from)?,
                status: Decode::decode(from)?,
            },
            5 => Self::Setting(Decode::decode(from)?),
            6 => Self::Phase(Decode::decode(from)?),
            7 => Self::Turn(values::turn(from)?),
            8 => Self::Role { account: Decode::decode(from)?, role: values::role(from)? },
            9 => Self::MemberClaimed(Decode::decode(from)?),
            // A change that cannot be applied leaves a state that nobody has.
            _ => return Err(DecodeError::Other("unknown change")),
        })
    }
}

impl Encode for SettingChange {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::Name(name) => (0_u32, name).encode(to),
            Self::Schema(name) => (1_u32, name).encode(to),
            Self::MaxMembers(count) => (2_u32, count).encode(to),
            Self::ReservedSlots(count) => (3_u32, count).encode(to),
            Self::Policy(policy) => (4_u32, policy).encode(to),
            Self::Listed(on) => (5_u32, on).encode(to),
            Self::Closed(on) => (6_u32, on).encode(to),
            Self::Locked(on) => (7_u32, on).encode(to),
            Self::JoinInProgress(on) => (8_u32, on).encode(to),
            Self::Keywords(words) => (9_u32, words).encode(to),
            Self::Ports(ports) => (10_u32, ports).encode(to),
            Self::Attribute { name, value } => (11_u32, name, value).encode(to),
            Self::Roles(roles) => (12_u32, roles).encode(to),
            Self::Timeouts(timeouts) => (13_u32, timeouts).encode(to),
            Self::ReadyGate(on) => (14_u32, on).encode(to),
            Self::Mobile(on) => (15_u32, on).encode(to),
        }
    }
}

impl<C> Decode<C> for SettingChange {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        Ok(match u32::decode(from)? {
            0 => Self::Name(codec::name::<{ SessionSettings::MAX_NAME }, _>(from)?),
            1 => Self::Schema(codec::text::<{ SessionSettings::MAX_SCHEMA }, _>(from)?),
            2 => Self::MaxMembers(Decode::decode(from)?),
            3 => Self::ReservedSlots(Decode::decode(from)?),
            4 => Self::Policy(Decode::decode(from)?),
            5 => Self::Listed(Decode::decode(from)?),
            6 => Self::Closed(Decode::decode(from)?),
            7 => Self::Locked(Decode::decode(from)?),
            8 => Self::JoinInProgress(Decode::decode(from)?),
            9 => Self::Keywords(values::keywords(from)?),
            10 => Self::Ports(values::ports(from)?),
            11 => Self::Attribute { name: values::attribute_name(from)?, value: Decode::decode(from)? },
            12 => Self::Roles(values::roles(from)?),
            13 => Self::Timeouts(Decode::decode(from)?),
            14 => Self::ReadyGate(Decode::decode(from)?),
            15 => Self::Mobile(Decode::decode(from)?),
            _ => return Err(DecodeError::Other("unknown setting")),
        })
    }
}

/// The most bytes of a refusal's or an ending's details.
const MAX_DETAILS: usize = 1_024;

/// A code, then its details with their length: a code that a version does not know can still be shown.
fn coded<E: Encoder>(code: u16, details: Vec<u8>, to: &mut E) -> Result<(), EncodeError> {
    (code, details).encode(to)
}

/// Reads details; a later version may have put extensions behind those that this one knows.
fn details<T: Decode<()>>(bytes: &[u8]) -> Result<T, DecodeError> {
    let read = || -> WireResult<T> {
        let (value, rest) = codec::decode_front(bytes, MAX_DETAILS)?;
        extension::skip(&mut Reader::new(rest))?;
        Ok(value)
    };
    read().map_err(|_| DecodeError::Other("details of a code"))
}

fn milliseconds(after: Duration) -> u32 {
    u32::try_from(after.as_millis()).unwrap_or(u32::MAX)
}

impl Encode for Refusal {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        let details = match self {
            Self::Incompatible { ours, theirs } => codec::encode(&(ours, theirs)),
            Self::Refused(reason) => codec::encode(reason),
            Self::TooManyRequests { after } | Self::Migrating { after } => codec::encode(&milliseconds(*after)),
            _ => Vec::new(),
        };
        coded(self.code(), details, to)
    }
}

impl<C> Decode<C> for Refusal {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        let code = u16::decode(from)?;
        let bytes = codec::bytes::<MAX_DETAILS, _>(from)?;
        if let Some(refusal) = Self::of_code(code) {
            return Ok(refusal);
        }
        if code == (Self::Incompatible { ours: 0, theirs: 0 }).code() {
            let (ours, theirs) = details(&bytes)?;
            return Ok(Self::Incompatible { ours, theirs });
        }
        if code == Self::Refused(Reason::default()).code() {
            return details(&bytes).map(Self::Refused);
        }
        if code == (Self::TooManyRequests { after: Duration::ZERO }).code() {
            let after = Duration::from_millis(details::<u32>(&bytes)?.into());
            return Ok(Self::TooManyRequests { after });
        }
        if code == (Self::Migrating { after: Duration::ZERO }).code() {
            let after = Duration::from_millis(details::<u32>(&bytes)?.into());
            return Ok(Self::Migrating { after });
        }
        Ok(Self::Refused(Reason::new(code.into(), "a refusal of a newer version")))
    }
}

impl Encode for Left {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        let details = match self {
            Self::Kicked(reason) | Self::Banned(reason) => codec::encode(reason),
            _ => Vec::new(),
        };
        coded(self.code(), details, to)
    }
}

impl<C> Decode<C> for Left {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        let code = u16::decode(from)?;
        let bytes = codec::bytes::<MAX_DETAILS, _>(from)?;
        let plain = [
            Self::Left,
            Self::Destroyed,
            Self::HostLost,
            Self::Superseded,
            Self::SignedOut,
            Self::Shutdown,
            Self::Expired,
            Self::Moved,
        ];
        if let Some(left) = plain.into_iter().find(|left| left.code() == code) {
            return Ok(left);
        }
        if code == Self::Kicked(Reason::default()).code() {
            return details(&bytes).map(Self::Kicked);
        }
        if code == Self::Banned(Reason::default()).code() {
            return details(&bytes).map(Self::Banned);
        }
        Ok(Self::Kicked(Reason::new(code.into(), "an ending of a newer version")))
    }
}
