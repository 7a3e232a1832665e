//! The control frames (protocol.md, "Control channel").
//!
//! On the stream each frame is: length of the payload 2, kind 1, flags 1 (bit 0: more parts follow), payload. A message
//! that does not fit one frame goes in parts of one kind, at most 1 MiB together. The payload is `bincode`, then extensions.

mod changes;
mod encoding;
mod keeper;
#[cfg(test)]
pub(crate) mod made;
mod message;
mod parts;
mod proof;
mod reservations;
mod social;
mod state;
mod succession;
#[cfg(test)]
mod tests;
mod users;

pub(crate) use encoding::kind;
pub(crate) use keeper::{Keeper, KeptInvite, KeptReservation, KeptSeat};
#[cfg(test)]
pub(crate) use keeper::{MAX_BANS, MAX_GONE, MAX_INVITES, MAX_LEAVERS, MAX_RESERVATIONS};
pub(crate) use message::{
    Accept, Cause, Companion, DoneResult, Frame, Grant, Join, MergeAnswer, MergeAsk, Move, Proof, Request, Resume,
    Resumed,
};
pub(crate) use parts::{Assembler, header, split};
pub(crate) use proof::{frames, join_fits, view_digest};
pub(crate) use social::{VouchAsk, knock};
pub(crate) use state::{Change, Delta, SettingChange};
pub(crate) use succession::{
    Abdicate, Ballot, Follow, MAX_ABDICATION, MAX_LINEAGE, MAX_VOTERS, MAX_WAYS, Order, OrderAck, Pulled, Reign, Stand,
    Succession, Successor, Takeover, Vote, VoteAsk, Voter, Way, follow, lineage_digest,
};
pub(crate) use users::{Deliver, Pointer};

/// The longest payload of one frame.
pub(crate) const MAX_FRAME: usize = 65_535;
/// The longest message, over all its parts.
pub(crate) const MAX_MESSAGE: usize = 1 << 20;
/// The longest message of a peer that holds no seat.
pub(crate) const MAX_PRE_SEAT: usize = 8 << 10;
/// The longest [`Frame::Claim`] or [`Frame::Lineage`]: the longest proof of a takeover that a peer without a seat may bring: sixteen of fifteen votes each.
pub(crate) const MAX_PROOF: usize = 48 << 10;
/// The longest message of a link between users.
pub(crate) const MAX_SOCIAL: usize = 32 << 10;
/// The most sessions of one answer to a Locate.
pub(crate) const MAX_ROWS: usize = 16;
/// The frame's header.
pub(crate) const HEADER: usize = 4;
/// The most members of one session.
pub(crate) const MAX_MEMBERS: usize = crate::types::SessionSettings::MAX_MEMBERS as usize;
/// The longest ticket of a join.
pub(crate) const MAX_TICKET: usize = 1_024;
/// The most accounts that one join brings along.
pub(crate) const MAX_PARTY: usize = 15;
/// The most accounts for which one MergeAsk wants seats.
pub(crate) const MAX_MERGE: usize = 64;
/// The most addresses of a Move.
pub(crate) const MAX_ADDRESSES: usize = 8;
/// The longest lobby message.
pub(crate) const MAX_SAY: usize = 1_024;
/// The longest text of a failure.
pub(crate) const MAX_TEXT: usize = 512;
/// The most changes of one commit: every member out, and every setting.
pub(crate) const MAX_CHANGES: usize = 2_048;
