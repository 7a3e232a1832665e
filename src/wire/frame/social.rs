//! What friends and invites need on the wire: knock, question, request (protocol.md, "Friends of members" and
//! "Invites").

use std::time::Duration;

use bincode::de::{Decode, Decoder};
use bincode::enc::{Encode, Encoder};
use bincode::error::{DecodeError, EncodeError};

use crate::types::{AccountId, HostKey, Identity, InviteId, InviteRequest, InviteState, SessionKey};
use crate::wire::bytes::Writer;
use crate::wire::codec::{self, message, numbered};
use crate::wire::sign::{self, Context};

/// The host's question to its members whether a joiner is a friend of theirs. All but `ask` are the joiner's own words,
/// from its Join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VouchAsk {
    /// Names the answer.
    pub(crate) ask: u64,
    pub(crate) account: AccountId,
    /// As the joiner asked for it.
    pub(crate) session: SessionKey,
    pub(crate) incarnation: u64,
    pub(crate) peer_incarnation: u64,
    pub(crate) knock: [u8; 64],
}

message! { VouchAsk { ask, account, session, incarnation, peer_incarnation, knock } }

impl VouchAsk {
    /// Whether that account really came to this session at this host.
    #[must_use]
    pub(crate) fn verify(&self, host: HostKey) -> bool {
        let statement = statement(self.session, host, self.incarnation, self.peer_incarnation);
        sign::verify(Context::Knock, self.account.public_key(), &statement, &self.knock)
    }
}

/// The joiner's word that it comes to this session at this host, this time.
pub(crate) fn knock(
    account: &Identity,
    session: SessionKey,
    host: HostKey,
    incarnation: u64,
    peer_incarnation: u64,
) -> [u8; 64] {
    sign::sign(Context::Knock, account, &statement(session, host, incarnation, peer_incarnation))
}

fn statement(session: SessionKey, host: HostKey, incarnation: u64, peer_incarnation: u64) -> Vec<u8> {
    let mut writer = Writer::default();
    writer
        .bytes(session.id.as_bytes())
        .bytes(session.founder.as_bytes())
        .bytes(host.as_bytes())
        .u64(incarnation)
        .u64(peer_incarnation);
    writer.into_bytes()
}

numbered! {
    InviteState { Delivered = 0, Accepted = 1, Rejected = 2, Expired = 3, Unreachable = 4, Revoked = 5 }
    unknown: Some(Self::Revoked)
}

impl Encode for InviteRequest {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        let ttl_ms = u32::try_from(self.ttl.as_millis()).unwrap_or(u32::MAX);
        (&self.invitees, ttl_ms, self.hold, self.passes_password).encode(to)
    }
}

impl<C> Decode<C> for InviteRequest {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        let invitees = codec::list(from, Self::MAX_INVITEES, AccountId::decode)?;
        let ttl = Duration::from_millis(u32::decode(from)?.into());
        Ok(Self::new(invitees).ttl(ttl).hold(bool::decode(from)?).passes_password(bool::decode(from)?))
    }
}

/// The ids of one request's invites, in the order of its accounts.
pub(super) fn invite_ids<D: Decoder>(from: &mut D) -> Result<Vec<InviteId>, DecodeError> {
    codec::list(from, InviteRequest::MAX_INVITEES, |from| Decode::decode(from).map(InviteId::from_bytes))
}

/// Their bytes.
pub(super) fn invite_bytes(ids: &[InviteId]) -> Vec<[u8; 16]> {
    ids.iter().map(|id| id.to_bytes()).collect()
}
