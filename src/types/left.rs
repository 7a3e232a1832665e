//! Why a seat ended.

use std::fmt;

use super::reason::Reason;

/// Why a member is no longer in a session.
///
/// ```
/// use lansession::Left;
/// assert_eq!(Left::HostLost.id(), "left.host_lost");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Left {
    /// It left.
    Left,
    /// The host removed it.
    Kicked(Reason),
    /// The host removed it and will not let it back.
    Banned(Reason),
    /// The host ended the session.
    Destroyed,
    /// The host is gone.
    HostLost,
    /// Another connection of the same seat took its place.
    Superseded,
    /// The user signed out.
    SignedOut,
    /// The library was closed.
    Shutdown,
    /// Its link was lost and the time for coming back has passed, or a reservation ran out.
    Expired,
    /// The session moved into another one, and this member with it (matchmaking).
    Moved,
}

impl Left {
    /// A number that never changes its meaning; 200 and above.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Left => 200,
            Self::Kicked(_) => 201,
            Self::Banned(_) => 202,
            Self::Destroyed => 203,
            Self::HostLost => 204,
            Self::Superseded => 205,
            Self::SignedOut => 206,
            Self::Shutdown => 207,
            Self::Expired => 208,
            Self::Moved => 209,
        }
    }

    /// The localisation key, `left.kicked`.
    #[must_use]
    pub fn id(&self) -> &'static str {
        match self {
            Self::Left => "left.left",
            Self::Kicked(_) => "left.kicked",
            Self::Banned(_) => "left.banned",
            Self::Destroyed => "left.destroyed",
            Self::HostLost => "left.host_lost",
            Self::Superseded => "left.superseded",
            Self::SignedOut => "left.signed_out",
            Self::Shutdown => "left.shutdown",
            Self::Expired => "left.expired",
            Self::Moved => "left.moved",
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Left => f.write_str("left"),
            Self::Kicked(reason) => write!(f, "kicked: {reason}"),
            Self::Banned(reason) => write!(f, "banned: {reason}"),
            Self::Destroyed => f.write_str("the host ended the session"),
            Self::HostLost => f.write_str("the host is gone"),
            Self::Superseded => f.write_str("replaced by a newer connection of the same seat"),
            Self::SignedOut => f.write_str("signed out"),
            Self::Shutdown => f.write_str("shut down"),
            Self::Expired => f.write_str("did not come back in time"),
            Self::Moved => f.write_str("moved to another session"),
        }
    }
}
