//! How long a member may stay in each state, as in MPSD's session templates.

use std::time::Duration;

use super::error::Error;

/// After how long a member's state ends by itself: `None` = never, zero = at once.
///
/// ```
/// use std::time::Duration;
/// use lansession::{MemberTimeouts, SessionSettings};
/// let timeouts = MemberTimeouts::new().inactive(Some(Duration::from_secs(60)));
/// assert_eq!(timeouts.reserved, Some(Duration::from_secs(30)));
/// assert!(SessionSettings::new("room").timeouts(timeouts).check().is_ok());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize), serde(default))]
pub struct MemberTimeouts {
    /// A reserved seat is free again after this; 30 s.
    #[doc(alias = "reservedRemovalTimeout")]
    pub reserved: Option<Duration>,
    /// A member that is `ready` (on its way into the match) is `inactive` after this; 180 s.
    #[doc(alias = "readyRemovalTimeout")]
    pub ready: Option<Duration>,
    /// An inactive member's seat is free again after this; never. (MPSD's own default is at once.)
    #[doc(alias = "inactiveRemovalTimeout")]
    pub inactive: Option<Duration>,
    /// A session without any member is destroyed after this; never. Only a dedicated host has such a session.
    #[doc(alias = "sessionEmptyTimeout")]
    pub empty: Option<Duration>,
}

impl MemberTimeouts {
    /// The longest, 24 h.
    pub const MAX: Duration = Duration::from_secs(24 * 60 * 60);

    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self {
            reserved: Some(Duration::from_secs(30)),
            ready: Some(Duration::from_secs(180)),
            inactive: None,
            empty: None,
        }
    }

    /// See [`MemberTimeouts::reserved`](#structfield.reserved).
    #[must_use]
    pub fn reserved(mut self, after: Option<Duration>) -> Self {
        self.reserved = after;
        self
    }

    /// See [`MemberTimeouts::ready`](#structfield.ready).
    #[must_use]
    pub fn ready(mut self, after: Option<Duration>) -> Self {
        self.ready = after;
        self
    }

    /// See [`MemberTimeouts::inactive`](#structfield.inactive).
    #[must_use]
    pub fn inactive(mut self, after: Option<Duration>) -> Self {
        self.inactive = after;
        self
    }

    /// See [`MemberTimeouts::empty`](#structfield.empty).
    #[must_use]
    pub fn empty(mut self, after: Option<Duration>) -> Self {
        self.empty = after;
        self
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let all =
            [("reserved", self.reserved), ("ready", self.ready), ("inactive", self.inactive), ("empty", self.empty)];
        match all.iter().find(|(_, after)| after.is_some_and(|after| after > Self::MAX)) {
            Some((name, _)) => Err(Error::invalid(format!("the timeout {name} is over 24 h; None means never"))),
            None => Ok(()),
        }
    }
}

impl Default for MemberTimeouts {
    fn default() -> Self {
        Self::new()
    }
}
