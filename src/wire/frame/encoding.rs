//! How the messages travel (protocol.md, "Messages").

use bincode::de::{Decode, Decoder};
use bincode::enc::{Encode, Encoder};
use bincode::error::{DecodeError, EncodeError};
use std::net::SocketAddr;

use super::message::{
    Accept, Cause, Companion, DoneResult, Frame, Grant, Join, MergeAnswer, MergeAsk, Move, Proof, Request,
};
use super::social::{invite_bytes, invite_ids};
use super::succession::{Takeover, lineage};
use super::users::Rows;
use super::{MAX_ADDRESSES, MAX_MERGE, MAX_MESSAGE, MAX_PARTY, MAX_SAY, MAX_TEXT, MAX_TICKET, reservations};
use crate::types::{AccountId, InviteId, InviteState, Profile, Refusal, Revision};
use crate::wire::bytes::{Reader, Writer};
use crate::wire::codec::{self, message};
use crate::wire::{WireError, WireResult, extension, values};

message! {
    Join {
        session, incarnation, nonce, peer_incarnation, version,
        name = codec::name::<{ Profile::MAX_NAME }, _>,
        external, attributes,
        ticket = codec::bytes::<MAX_TICKET, _>,
        password_proof,
        knock, invite,
        role = values::role,
        status,
        party = |d: &mut D| codec::list(d, MAX_PARTY, Companion::decode),
    }
}
message! {
    Companion {
        account,
        name = codec::name::<{ Profile::MAX_NAME }, _>,
        external, attributes, nonce,
        role = values::role,
        proof,
    }
}
message! { Accept { number, token, grant, host, password_proof, host_silence, grace, snapshot } }
message! { Grant { session, founder, revision, account, peer_incarnation, signature } }
message! { Proof { account, signature } }
message! { Cause { account, number } }
message! { MergeAsk { session, from, taken, accounts = |d: &mut D| codec::list(d, MAX_MERGE, AccountId::decode) } }
message! { Move { session, host_key, addresses = |d: &mut D| codec::list(d, MAX_ADDRESSES, SocketAddr::decode) } }

impl Encode for MergeAnswer {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::Busy => 0_u32.encode(to),
            Self::NotBetter => 1_u32.encode(to),
            Self::Granted(seats) => (2_u32, seats).encode(to),
        }
    }
}

impl<C> Decode<C> for MergeAnswer {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        match u32::decode(from)? {
            0 => Ok(Self::Busy),
            1 => Ok(Self::NotBetter),
            2 => Decode::decode(from).map(Self::Granted),
            _ => Err(DecodeError::Other("unknown answer")),
        }
    }
}

impl Encode for Request {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::UpdateMe(update) => (0_u32, update).encode(to),
            Self::Say(data) => (1_u32, data).encode(to),
            Self::Register => 2_u32.encode(to),
            Self::SetStatus(status) => (3_u32, status).encode(to),
            Self::SetRole(role) => (4_u32, role).encode(to),
            Self::Reserve { accounts, role, ttl } => (5_u32, accounts, role, ttl).encode(to),
            Self::ChangeReservation { id, expected, change } => (6_u32, id, expected, change).encode(to),
            Self::Invite(request) => (7_u32, request).encode(to),
            Self::Revoke { invite, hold_only } => (8_u32, invite.to_bytes(), hold_only).encode(to),
        }
    }
}

impl<C> Decode<C> for Request {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        match u32::decode(from)? {
            0 => Decode::decode(from).map(Self::UpdateMe),
            1 => codec::bytes::<MAX_SAY, _>(from).map(Self::Say),
            2 => Ok(Self::Register),
            3 => Decode::decode(from).map(Self::SetStatus),
            4 => values::role(from).map(Self::SetRole),
            5 => Ok(Self::Reserve {
                accounts: reservations::accounts(from)?,
                role: values::role(from)?,
                ttl: Decode::decode(from)?,
            }),
            6 => Ok(Self::ChangeReservation {
                id: Decode::decode(from)?,
                expected: Decode::decode(from)?,
                change: Decode::decode(from)?,
            }),
            7 => Decode::decode(from).map(Self::Invite),
            8 => Ok(Self::Revoke {
                invite: Decode::decode(from).map(InviteId::from_bytes)?,
                hold_only: Decode::decode(from)?,
            }),
            _ => Err(DecodeError::Other("unknown request")),
        }
    }
}

impl Encode for DoneResult {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::Ok(revision) => (0_u32, revision).encode(to),
            Self::Invited(revision, ids) => (2_u32, revision, invite_bytes(ids)).encode(to),
            Self::Failed { code, text, retry_after_ms } => {
                (1_u32, code, codec::clip(text, MAX_TEXT), retry_after_ms).encode(to)
            }
            Self::Reserved(revision, reservation) => (3_u32, revision, reservation).encode(to),
        }
    }
}

impl<C> Decode<C> for DoneResult {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        match u32::decode(from)? {
            0 => Decode::decode(from).map(Self::Ok),
            1 => Ok(Self::Failed {
                code: Decode::decode(from)?,
                text: codec::text::<MAX_TEXT, _>(from)?,
                retry_after_ms: Decode::decode(from)?,
            }),
            3 => Ok(Self::Reserved(Decode::decode(from)?, Decode::decode(from)?)),
            2 => Ok(Self::Invited(Decode::decode(from)?, invite_ids(from)?)),
            _ => Err(DecodeError::Other("unknown result")),
        }
    }
}

/// The numbers of the kinds: 1 to 15 a joiner or member sends, 16 to 31 a host; 32 to 47 go between users.
pub(crate) mod kind {
    pub(crate) const JOIN: u8 = 1;
    pub(crate) const ACK: u8 = 2;
    pub(crate) const REQUEST: u8 = 3;
    pub(crate) const LEAVE: u8 = 4;
    pub(crate) const RESYNC: u8 = 5;
    pub(crate) const HEARTBEAT: u8 = 6;
    pub(crate) const VOUCH: u8 = 7;
    pub(crate) const REJECT_INVITE: u8 = 8;
    pub(crate) const MERGE_ASK: u8 = 9;
    pub(crate) const STAY: u8 = 10;
    pub(crate) const STAND: u8 = 12;
    pub(crate) const ORDER_ACK: u8 = 13;
    pub(crate) const LINEAGE_ASK: u8 = 14;
    pub(crate) const ACCEPT: u8 = 16;
    pub(crate) const REFUSE: u8 = 17;
    pub(crate) const SNAPSHOT: u8 = 18;
    pub(crate) const DELTA: u8 = 19;
    pub(crate) const DONE: u8 = 20;
    pub(crate) const MESSAGE: u8 = 21;
    pub(crate) const END: u8 = 22;
    pub(crate) const NOT_HOST: u8 = 23;
    pub(crate) const VOUCH_ASK: u8 = 24;
    pub(crate) const INVITE_STATE: u8 = 25;
    pub(crate) const MERGE_ANSWER: u8 = 26;
    pub(crate) const MOVE: u8 = 27;
    pub(crate) const SUCCESSION: u8 = 29;
    pub(crate) const KEEP: u8 = 30;
    pub(crate) const GAME_STATE: u8 = 31;
    pub(crate) const DELIVER: u8 = 32;
    pub(crate) const RECEIVED: u8 = 33;
    pub(crate) const ROWS: u8 = 34;
    pub(crate) const FOLLOW: u8 = 48;
    pub(crate) const PARKED: u8 = 49;
    pub(crate) const HOST_ALIVE: u8 = 50;
    pub(crate) const VOTE_ASK: u8 = 51;
    pub(crate) const VOTE: u8 = 52;
    pub(crate) const NO_VOTE: u8 = 53;
    pub(crate) const PULL: u8 = 54;
    pub(crate) const PULLED: u8 = 55;
    pub(crate) const WON: u8 = 56;
    pub(crate) const CLAIM: u8 = 57;
    pub(crate) const PREPARE: u8 = 58;
    pub(crate) const PREPARED: u8 = 59;
    pub(crate) const ABDICATE: u8 = 60;
    pub(crate) const LINEAGE: u8 = 61;
    pub(crate) const INCOMPATIBLE: u8 = 255;
}

struct Numbered<T> {
    number: u32,
    body: T,
}

struct Refuse {
    refusal: Refusal,
    sticky: bool,
}

struct Message {
    from: Option<AccountId>,
    data: Vec<u8>,
}

struct NoVote {
    promised: u32,
    have: Revision,
}

struct Chain {
    lineage: Vec<Takeover>,
}

struct InviteNews {
    invite: [u8; 16],
    account: AccountId,
    state: InviteState,
}

impl<C, T: Decode<C>> Decode<C> for Numbered<T> {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        Ok(Self { number: Decode::decode(from)?, body: Decode::decode(from)? })
    }
}

message! { Refuse { refusal, sticky } }
message! { Message { from, data = codec::bytes::<MAX_SAY, _> } }
message! { NoVote { promised, have } }
message! { Chain { lineage = lineage } }
message! { InviteNews { invite, account, state } }

impl Frame {
    /// The kind and the payload, for [`split`](super::split).
    pub(crate) fn encode(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Join(join) => (kind::JOIN, codec::encode(join)),
            Self::Ack => (kind::ACK, Vec::new()),
            Self::Request { number, body } => (kind::REQUEST, codec::encode(&(number, body))),
            Self::Leave => (kind::LEAVE, Vec::new()),
            Self::Resync { have } => (kind::RESYNC, codec::encode(have)),
            Self::Heartbeat => (kind::HEARTBEAT, Vec::new()),
            Self::Vouch { ask, yes } => (kind::VOUCH, codec::encode(&(ask, yes))),
            Self::RejectInvite { invite } => (kind::REJECT_INVITE, codec::encode(&invite.to_bytes())),
            Self::VouchAsk(ask) => (kind::VOUCH_ASK, codec::encode(ask)),
            Self::InviteState { invite, account, state } => {
                (kind::INVITE_STATE, codec::encode(&(invite.to_bytes(), account, state)))
            }
            Self::MergeAsk(ask) => (kind::MERGE_ASK, codec::encode(ask)),
            Self::Stay => (kind::STAY, Vec::new()),
            Self::MergeAnswer(answer) => (kind::MERGE_ANSWER, codec::encode(answer)),
            Self::Move(to) => (kind::MOVE, codec::encode(to)),
            Self::Accept(accept) => (kind::ACCEPT, codec::encode(accept)),
            Self::Refuse { refusal, sticky } => (kind::REFUSE, codec::encode(&(refusal, sticky))),
            Self::Snapshot(snapshot) => (kind::SNAPSHOT, codec::encode(snapshot)),
            Self::Delta(delta) => (kind::DELTA, codec::encode(delta)),
            Self::Done { number, result } => (kind::DONE, codec::encode(&(number, result))),
            Self::Message { from, data } => (kind::MESSAGE, codec::encode(&(from, data))),
            Self::End { why } => (kind::END, codec::encode(why)),
            Self::NotHost(way) => (kind::NOT_HOST, codec::encode(way)),
            Self::Stand(stand) => (kind::STAND, codec::encode(stand)),
            Self::OrderAck(ack) => (kind::ORDER_ACK, codec::encode(ack)),
            Self::LineageAsk { session } => (kind::LINEAGE_ASK, codec::encode(session)),
            Self::Succession(succession) => (kind::SUCCESSION, codec::encode(succession)),
            Self::Keep(keeper) => (kind::KEEP, codec::encode(keeper)),
            Self::GameState(state) => (kind::GAME_STATE, codec::encode(state)),
            Self::Follow(follow) => (kind::FOLLOW, codec::encode(follow)),
            Self::Parked => (kind::PARKED, Vec::new()),
            Self::HostAlive => (kind::HOST_ALIVE, Vec::new()),
            Self::VoteAsk(ask) => (kind::VOTE_ASK, codec::encode(ask)),
            Self::Vote(vote) => (kind::VOTE, codec::encode(vote)),
            Self::NoVote { promised, have } => (kind::NO_VOTE, codec::encode(&(promised, have))),
            Self::Pull => (kind::PULL, Vec::new()),
            Self::Pulled(pulled) => (kind::PULLED, codec::encode(pulled)),
            Self::Won { lineage } => (kind::WON, codec::encode(lineage)),
            Self::Claim(way) => (kind::CLAIM, codec::encode(way)),
            Self::Prepare { revision } => (kind::PREPARE, codec::encode(revision)),
            Self::Prepared { revision } => (kind::PREPARED, codec::encode(revision)),
            Self::Abdicate(abdicate) => (kind::ABDICATE, codec::encode(abdicate)),
            Self::Lineage { lineage } => (kind::LINEAGE, codec::encode(lineage)),
            Self::Deliver(deliver) => (kind::DELIVER, codec::encode(deliver)),
            Self::Received { invite } => (kind::RECEIVED, codec::encode(invite)),
            Self::Rows(rows) => (kind::ROWS, codec::encode(rows)),
            Self::Incompatible { major, version } => {
                let mut writer = Writer::default();
                writer.u8(*major).u32(*version);
                (kind::INCOMPATIBLE, writer.into_bytes())
            }
        }
    }

    /// Reads a message. `None` is a kind that this version does not know: it is ignored.
    pub(crate) fn decode(kind: u8, payload: &[u8]) -> WireResult<Option<Self>> {
        Ok(Some(match kind {
            kind::JOIN => Self::Join(read(payload)?),
            kind::ACK => empty(payload, Self::Ack)?,
            kind::REQUEST => {
                let Numbered { number, body } = read(payload)?;
                Self::Request { number, body }
            }
            kind::LEAVE => empty(payload, Self::Leave)?,
            kind::RESYNC => Self::Resync { have: read::<Revision>(payload)? },
            kind::HEARTBEAT => empty(payload, Self::Heartbeat)?,
            kind::VOUCH => {
                let (ask, yes) = read(payload)?;
                Self::Vouch { ask, yes }
            }
            kind::REJECT_INVITE => Self::RejectInvite { invite: InviteId::from_bytes(read(payload)?) },
            kind::VOUCH_ASK => Self::VouchAsk(read(payload)?),
            kind::INVITE_STATE => {
                let InviteNews { invite, account, state } = read(payload)?;
                Self::InviteState { invite: InviteId::from_bytes(invite), account, state }
            }
            kind::MERGE_ASK => Self::MergeAsk(read(payload)?),
            kind::STAY => empty(payload, Self::Stay)?,
            kind::MERGE_ANSWER => Self::MergeAnswer(read(payload)?),
            kind::MOVE => Self::Move(read(payload)?),
            kind::ACCEPT => Self::Accept(read(payload)?),
            kind::REFUSE => {
                let Refuse { refusal, sticky } = read(payload)?;
                Self::Refuse { refusal, sticky }
            }
            kind::SNAPSHOT => Self::Snapshot(read(payload)?),
            kind::DELTA => Self::Delta(read(payload)?),
            kind::DONE => {
                let Numbered { number, body } = read(payload)?;
                Self::Done { number, result: body }
            }
            kind::MESSAGE => {
                let Message { from, data } = read(payload)?;
                Self::Message { from, data }
            }
            kind::DELIVER => Self::Deliver(read(payload)?),
            kind::RECEIVED => Self::Received { invite: read(payload)? },
            kind::ROWS => Self::Rows(read::<Rows>(payload)?.0),
            kind::END => Self::End { why: read(payload)? },
            kind::NOT_HOST => Self::NotHost(read(payload)?),
            kind::STAND => Self::Stand(read(payload)?),
            kind::ORDER_ACK => Self::OrderAck(read(payload)?),
            kind::LINEAGE_ASK => Self::LineageAsk { session: read(payload)? },
            kind::SUCCESSION => Self::Succession(read(payload)?),
            kind::KEEP => Self::Keep(read(payload)?),
            kind::GAME_STATE => Self::GameState(read(payload)?),
            kind::FOLLOW => Self::Follow(read(payload)?),
            kind::PARKED => empty(payload, Self::Parked)?,
            kind::HOST_ALIVE => empty(payload, Self::HostAlive)?,
            kind::VOTE_ASK => Self::VoteAsk(read(payload)?),
            kind::VOTE => Self::Vote(read(payload)?),
            kind::NO_VOTE => {
                let NoVote { promised, have } = read(payload)?;
                Self::NoVote { promised, have }
            }
            kind::PULL => empty(payload, Self::Pull)?,
            kind::PULLED => Self::Pulled(read(payload)?),
            kind::WON => Self::Won { lineage: read::<Chain>(payload)?.lineage },
            kind::CLAIM => Self::Claim(read(payload)?),
            kind::PREPARE => Self::Prepare { revision: read(payload)? },
            kind::PREPARED => Self::Prepared { revision: read(payload)? },
            kind::ABDICATE => Self::Abdicate(read(payload)?),
            kind::LINEAGE => Self::Lineage { lineage: read::<Chain>(payload)?.lineage },
            kind::INCOMPATIBLE => {
                // Frozen: whatever a later major version appends is not looked at.
                let mut reader = Reader::new(payload);
                Self::Incompatible { major: reader.u8()?, version: reader.u32()? }
            }
            _ => return Ok(None),
        }))
    }
}

/// A body and the extensions after it.
fn read<T: Decode<()>>(payload: &[u8]) -> WireResult<T> {
    let (body, rest) = codec::decode_front(payload, MAX_MESSAGE)?;
    extension::skip(&mut Reader::new(rest))?;
    Ok(body)
}

fn empty(payload: &[u8], frame: Frame) -> WireResult<Frame> {
    if payload.len() > MAX_MESSAGE {
        return Err(WireError::Bound);
    }
    extension::skip(&mut Reader::new(payload))?;
    Ok(frame)
}
