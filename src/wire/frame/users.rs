//! What goes between users' processes: invites and rows (protocol.md, "Links between users").

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use bincode::de::{Decode, Decoder};
use bincode::enc::{Encode, Encoder};
use bincode::error::{DecodeError, EncodeError};

use super::MAX_ROWS;
use crate::types::{
    AccountId, AccountRow, HostKey, Identity, InviteId, JoinLink, MemberStatus, Profile, SessionKey, SessionSettings,
};
use crate::wire::bytes::Writer;
use crate::wire::codec::{self, message};
use crate::wire::datagram::{GameTag, MAX_DATAGRAM, facts_bytes, facts_of};
use crate::wire::sign::{self, Context};

/// An invite as it is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deliver {
    pub(crate) pointer: Pointer,
    /// The session's name.
    pub(crate) name: String,
    pub(crate) inviter_name: String,
    /// The host's control addresses: hints.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// The inviter's signed pointer to a row that the host keeps. Worthless without the invitee's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer {
    pub(crate) game: [u8; 8],
    pub(crate) session: SessionKey,
    pub(crate) incarnation: u64,
    pub(crate) host_key: HostKey,
    pub(crate) invite: InviteId,
    pub(crate) inviter: AccountId,
    pub(crate) invitee: AccountId,
    /// Bit 0: a seat is held.
    pub(crate) flags: u16,
    /// Seconds from now on.
    pub(crate) lifetime: u32,
    pub(crate) signature: [u8; 64],
}

impl Pointer {
    const HOLD: u16 = 1;

    pub(crate) fn hold_flag(hold: bool) -> u16 {
        if hold { Self::HOLD } else { 0 }
    }

    pub(crate) fn hold(&self) -> bool {
        self.flags & Self::HOLD != 0
    }

    /// Signs it; `inviter` is the inviter's identity.
    #[must_use]
    pub(crate) fn signed(mut self, inviter: &Identity) -> Self {
        self.signature = sign::sign(Context::Invite, inviter, &self.statement());
        self
    }

    /// Whether the inviter it names has signed it.
    #[must_use]
    pub(crate) fn verify(&self) -> bool {
        sign::verify(Context::Invite, self.inviter.public_key(), &self.statement(), &self.signature)
    }

    /// Whether it is for this game.
    pub(crate) fn is_of(&self, game: GameTag) -> bool {
        self.game == game.0
    }

    fn statement(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer
            .bytes(&self.game)
            .bytes(self.session.id.as_bytes())
            .bytes(self.session.founder.as_bytes())
            .u64(self.incarnation)
            .bytes(self.host_key.as_bytes())
            .bytes(self.invite.as_bytes())
            .bytes(self.inviter.as_bytes())
            .bytes(self.invitee.as_bytes())
            .u16(self.flags)
            .u32(self.lifetime);
        writer.into_bytes()
    }
}

message! {
    Pointer { game, session, incarnation, host_key, invite, inviter, invitee, flags, lifetime, signature }
}

impl Encode for Deliver {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        (&self.pointer, &self.name, &self.inviter_name).encode(to)?;
        encode_addresses(&self.addresses, to)
    }
}

impl<C> Decode<C> for Deliver {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        Ok(Self {
            pointer: Decode::decode(from)?,
            name: codec::name::<{ SessionSettings::MAX_NAME }, _>(from)?,
            inviter_name: codec::name::<{ Profile::MAX_NAME }, _>(from)?,
            addresses: addresses(from)?,
        })
    }
}

fn encode_addresses<E: Encoder>(addresses: &[SocketAddr], to: &mut E) -> Result<(), EncodeError> {
    let raw = |address: &SocketAddr| {
        let ip = match address.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        (ip.octets(), address.port())
    };
    addresses.iter().take(JoinLink::MAX_ADDRESSES).map(raw).collect::<Vec<_>>().encode(to)
}

/// Addresses of a control port; link-local ones have no scope here.
fn addresses<D: Decoder>(from: &mut D) -> Result<Vec<SocketAddr>, DecodeError> {
    codec::list(from, JoinLink::MAX_ADDRESSES, |from| {
        let ip = Ipv6Addr::from(<[u8; 16]>::decode(from)?);
        let ip = ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4);
        let port = u16::decode(from)?;
        if port == 0 || ip.is_unspecified() || ip.is_multicast() {
            return Err(DecodeError::Other("an address that nobody can connect to"));
        }
        Ok(SocketAddr::new(ip, port))
    })
}

/// At most 16 rows.
pub(super) struct Rows(pub(super) Vec<AccountRow>);

impl<C> Decode<C> for Rows {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        codec::list(from, MAX_ROWS, AccountRow::decode).map(Self)
    }
}

impl Encode for AccountRow {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        (self.key, self.host_key, self.incarnation, self.term).encode(to)?;
        facts_bytes(&self.facts).encode(to)?;
        (self.listed, self.shown).encode(to)?;
        encode_addresses(&self.addresses, to)?;
        (self.member, self.status, self.my_turn, self.started).encode(to)
    }
}

impl<C> Decode<C> for AccountRow {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        Ok(Self {
            key: Decode::decode(from)?,
            host_key: Decode::decode(from)?,
            incarnation: Decode::decode(from)?,
            term: Decode::decode(from)?,
            facts: facts_of(&codec::bytes::<MAX_DATAGRAM, _>(from)?)
                .map_err(|_| DecodeError::Other("facts that no advert may have"))?,
            listed: Decode::decode(from)?,
            shown: Decode::decode(from)?,
            addresses: addresses(from)?,
            member: Decode::decode(from)?,
            status: MemberStatus::decode(from)?,
            my_turn: Decode::decode(from)?,
            started: Decode::decode(from)?,
        })
    }
}
