//! A session as an account's seat in it shows it: what a query by account answers with.

use std::net::SocketAddr;

use super::facts::PublicFacts;
use super::id::SessionKey;
use super::key::{AccountId, HostKey};
use super::member::MemberStatus;

/// The member by which a query for accounts found a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize))]
pub struct MatchedMember {
    /// The account that was asked for.
    pub account: AccountId,
    /// The state of its seat.
    pub status: MemberStatus,
    /// Whether it is in the session's turn list.
    pub my_turn: bool,
}

/// Who sees a session, after MPSD's visibility.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum SessionVisibility {
    /// Advertised, and anybody may ask to join.
    Open,
    /// Advertised; friends or invited accounts alone may join.
    Visible,
    /// Not advertised.
    Private,
    /// Advertised, without a free public seat. Derived, never set.
    Full,
}

/// One session of one account: where an account's own process tells of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AccountRow {
    pub(crate) key: SessionKey,
    pub(crate) host_key: HostKey,
    pub(crate) incarnation: u64,
    pub(crate) term: u32,
    pub(crate) facts: PublicFacts,
    /// Whether it is advertised; one that is not is private.
    pub(crate) listed: bool,
    /// Whether its member shows it to friends (presence): it may be told without being listed.
    pub(crate) shown: bool,
    /// The host's control addresses, best first.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Whose seat this is.
    pub(crate) member: AccountId,
    pub(crate) status: MemberStatus,
    /// Whether the member is in the turn list.
    pub(crate) my_turn: bool,
    /// Unix milliseconds.
    pub(crate) started: u64,
}
