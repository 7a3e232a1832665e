//! Who holds a seat, and in which state.

use std::fmt;

use super::attributes::Attributes;
use super::identity::External;
use super::key::AccountId;

/// A seat's state, after MPSD's member states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum MemberStatus {
    /// Held for an account that has not registered.
    Reserved,
    /// Registered, not taking part.
    Inactive,
    /// Registered, about to take part.
    Ready,
    /// Taking part.
    Active,
}

/// Whether a member's connection stands; its own axis beside [`MemberStatus`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum LinkState {
    /// The host hears it.
    Connected,
    /// The host does not hear it; the seat is held for a while.
    Away,
}

/// One member of a session.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[doc(alias = "FSessionMember")]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize))]
pub struct Member {
    /// Its account.
    pub account: AccountId,
    /// Its display name, 1 to 64 bytes.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "super::serde::name"))]
    pub name: String,
    /// The embedding service's own account id, where it gave one.
    pub external: Option<External>,
    /// A small number that stays the same while it is seated: the lowest free one at its join.
    pub number: u16,
    /// The seat's state.
    pub status: MemberStatus,
    /// Whether its connection stands.
    pub link: LinkState,
    /// Its own "I am ready".
    pub ready: bool,
    /// Whether it is the session's host.
    pub is_host: bool,
    /// Its role or team, where the session has some.
    pub role: Option<String>,
    /// Its own attributes.
    pub attributes: Attributes,
    /// The revision at which it got its seat.
    pub joined_revision: u64,
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {} ({:?})", self.number, self.name, self.account)
    }
}
