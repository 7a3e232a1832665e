//! Why a join did not lead to a seat.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::reason::Reason;

/// Why a join was not granted. All but [`TooManyRequests`](Self::TooManyRequests), [`TimedOut`](Self::TimedOut) and
/// [`HostUnreachable`](Self::HostUnreachable) are sticky: nothing tries again by itself.
///
/// The host checks in this order and answers with the first that applies: version, session, ban, password, policy,
/// phase and switches, role, seat, the game's own admission.
///
/// ```
/// use lansession::Refusal;
/// assert_eq!(Refusal::Full.id(), "join.full");
/// assert_eq!(Refusal::Full.code(), 100);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Refusal {
    /// Every seat is taken or reserved.
    Full,
    /// The role that was asked for is full.
    RoleFull,
    /// The session takes no new members.
    Closed,
    /// The session is locked to those who were in it.
    Locked,
    /// The match runs, and joining in progress is off.
    InProgress,
    /// This account has a seat in the session.
    AlreadyMember,
    /// The session is for invited accounts.
    NotInvited,
    /// The invite has expired.
    InviteExpired,
    /// The session is for friends of its members.
    NotFriend,
    /// The password is missing or wrong.
    BadPassword,
    /// This account is banned from the session.
    Banned,
    /// The two games do not speak the same version.
    #[non_exhaustive]
    Incompatible {
        /// The version here.
        ours: u32,
        /// The version of the host.
        theirs: u32,
    },
    /// No such session at that host, or none that may be seen.
    NotFound,
    /// Several sessions fit the id or code; join one of them by its entry.
    Ambiguous,
    /// The game at the host refused.
    Refused(Reason),
    /// None of the addresses answered.
    #[non_exhaustive]
    HostUnreachable {
        /// The addresses that were tried.
        tried: Vec<SocketAddr>,
    },
    /// The deadline of the join passed.
    TimedOut,
    /// The join was cancelled.
    Cancelled,
    /// The host has more joins at hand than it takes.
    #[non_exhaustive]
    TooManyRequests {
        /// When to try again.
        after: Duration,
    },
    /// The session is on its way into another one.
    #[non_exhaustive]
    Migrating {
        /// When to try again.
        after: Duration,
    },
}

impl Refusal {
    /// A number that never changes its meaning; 100 and above.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Full => 100,
            Self::RoleFull => 101,
            Self::Closed => 102,
            Self::Locked => 103,
            Self::InProgress => 104,
            Self::AlreadyMember => 105,
            Self::NotInvited => 106,
            Self::InviteExpired => 107,
            Self::NotFriend => 108,
            Self::BadPassword => 109,
            Self::Banned => 110,
            Self::Incompatible { .. } => 111,
            Self::NotFound => 112,
            Self::Ambiguous => 113,
            Self::Refused(_) => 114,
            Self::HostUnreachable { .. } => 115,
            Self::TimedOut => 116,
            Self::Cancelled => 117,
            Self::TooManyRequests { .. } => 118,
            Self::Migrating { .. } => 119,
        }
    }

    /// The refusal of this code, where the code says all of it.
    pub(crate) fn of_code(code: u16) -> Option<Self> {
        let plain = [
            Self::Full,
            Self::RoleFull,
            Self::Closed,
            Self::Locked,
            Self::InProgress,
            Self::AlreadyMember,
            Self::NotInvited,
            Self::InviteExpired,
            Self::NotFriend,
            Self::BadPassword,
            Self::Banned,
            Self::NotFound,
            Self::Ambiguous,
            Self::HostUnreachable { tried: Vec::new() },
            Self::TimedOut,
            Self::Cancelled,
        ];
        plain.into_iter().find(|refusal| refusal.code() == code)
    }

    /// The localisation key, `join.full`.
    #[must_use]
    pub fn id(&self) -> &'static str {
        match self {
            Self::Full => "join.full",
            Self::RoleFull => "join.role_full",
            Self::Closed => "join.closed",
            Self::Locked => "join.locked",
            Self::InProgress => "join.in_progress",
            Self::AlreadyMember => "join.already_member",
            Self::NotInvited => "join.not_invited",
            Self::InviteExpired => "join.invite_expired",
            Self::NotFriend => "join.not_friend",
            Self::BadPassword => "join.bad_password",
            Self::Banned => "join.banned",
            Self::Incompatible { .. } => "join.incompatible",
            Self::NotFound => "join.not_found",
            Self::Ambiguous => "join.ambiguous",
            Self::Refused(_) => "join.refused",
            Self::HostUnreachable { .. } => "join.host_unreachable",
            Self::TimedOut => "join.timed_out",
            Self::Cancelled => "join.cancelled",
            Self::TooManyRequests { .. } => "join.too_many_requests",
            Self::Migrating { .. } => "join.migrating",
        }
    }

    /// Whether trying again with nothing changed is pointless.
    #[must_use]
    pub fn is_sticky(&self) -> bool {
        !matches!(
            self,
            Self::TooManyRequests { .. } | Self::Migrating { .. } | Self::TimedOut | Self::HostUnreachable { .. }
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the session is full"),
            Self::RoleFull => f.write_str("that role is full"),
            Self::Closed => f.write_str("the session takes no new members"),
            Self::Locked => f.write_str("the session is locked"),
            Self::InProgress => f.write_str("the match has started and nobody may join it now"),
            Self::AlreadyMember => f.write_str("this account has a seat in the session"),
            Self::NotInvited => f.write_str("the session is for invited players"),
            Self::InviteExpired => f.write_str("the invite has expired"),
            Self::NotFriend => f.write_str("the session is for friends of its members"),
            Self::BadPassword => f.write_str("the password is missing or wrong"),
            Self::Banned => f.write_str("this account is banned from the session"),
            Self::Incompatible { ours, theirs } => {
                write!(f, "the versions do not fit: version {ours} here, version {theirs} at the host")
            }
            Self::NotFound => f.write_str("no such session"),
            Self::Ambiguous => f.write_str("several sessions fit; choose one from the list"),
            Self::Refused(reason) => write!(f, "the host refused: {reason}"),
            Self::HostUnreachable { tried } if tried.is_empty() => {
                f.write_str("the host is unreachable: no address is known")
            }
            Self::HostUnreachable { tried } => {
                f.write_str("the host is unreachable; tried ")?;
                for (at, address) in tried.iter().enumerate() {
                    write!(f, "{}{address}", if at > 0 { ", " } else { "" })?;
                }
                Ok(())
            }
            Self::TimedOut => f.write_str("the join timed out"),
            Self::Cancelled => f.write_str("the join was cancelled"),
            Self::TooManyRequests { after } => {
                write!(f, "the host is busy; try again in {:.1} s", after.as_secs_f64())
            }
            Self::Migrating { after } => {
                write!(f, "the session is moving; try again in {:.1} s", after.as_secs_f64())
            }
        }
    }
}
