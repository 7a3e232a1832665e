//! Invites: what one sends, what arrives, and what becomes of it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use super::error::Error;
use super::id::{InviteId, SessionId, SessionKey};
use super::key::{AccountId, HostKey};
use super::link::JoinLink;

/// Whom to invite into a session, and how. Any member may invite; the host keeps the invite and counts its time.
///
/// ```
/// use std::time::Duration;
/// use lansession::{Identity, InviteRequest};
/// # fn main() -> lansession::Result<()> {
/// let friend = Identity::from_seed([7; 32])?.account();
/// let request = InviteRequest::from(friend).ttl(Duration::from_secs(60)).hold(true);
/// assert_eq!(request.invitees(), [friend]);
/// assert!(request.check().is_ok());
/// assert!(InviteRequest::from([]).check().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteRequest {
    pub(crate) invitees: Vec<AccountId>,
    pub(crate) ttl: Duration,
    pub(crate) hold: bool,
    pub(crate) passes_password: bool,
}

impl InviteRequest {
    /// The most accounts of one request, and the most open invites of one inviter.
    pub const MAX_INVITEES: usize = 16;
    /// The shortest life.
    pub const MIN_TTL: Duration = Duration::from_secs(1);
    /// The longest life, 24 h.
    pub const MAX_TTL: Duration = Duration::from_secs(24 * 60 * 60);

    /// Invites these accounts, each once.
    #[must_use]
    pub fn new(invitees: impl IntoIterator<Item = AccountId>) -> Self {
        let mut each = Vec::new();
        for invitee in invitees {
            if !each.contains(&invitee) {
                each.push(invitee);
            }
        }
        Self { invitees: each, ttl: Duration::from_secs(300), hold: false, passes_password: false }
    }

    /// How long the invite counts, by the host's clock from the moment it is made: 300 s by default, 1 s to 24 h.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Holds a seat for the invitee, for at most 60 s; off by default. One member holds at most one seat this way, and all
    /// of them together at most half of those that are open.
    #[must_use]
    pub fn hold(mut self, hold: bool) -> Self {
        self.hold = hold;
        self
    }

    /// The invitee needs no password; off by default, and the host's to say.
    #[must_use]
    pub fn passes_password(mut self, passes: bool) -> Self {
        self.passes_password = passes;
        self
    }

    /// Who is invited.
    #[must_use]
    pub fn invitees(&self) -> &[AccountId] {
        &self.invitees
    }

    /// Whether the values keep their bounds.
    ///
    /// # Errors
    /// `InvalidArgument` naming the value and its bound.
    pub fn check(&self) -> Result<(), Error> {
        let count = self.invitees.len();
        if count == 0 || count > Self::MAX_INVITEES {
            return Err(Error::invalid(format!("an invite names {count} accounts, it must be 1 to 16")));
        }
        if self.ttl < Self::MIN_TTL || self.ttl > Self::MAX_TTL {
            let ttl = self.ttl.as_millis();
            return Err(Error::invalid(format!("the time to live of an invite is {ttl} ms, it must be 1 s to 24 h")));
        }
        if self.hold && count > 1 {
            return Err(Error::invalid("one member holds one seat by invite: hold goes with one account"));
        }
        Ok(())
    }
}

impl From<AccountId> for InviteRequest {
    fn from(invitee: AccountId) -> Self {
        Self::new([invitee])
    }
}

impl<const N: usize> From<[AccountId; N]> for InviteRequest {
    fn from(invitees: [AccountId; N]) -> Self {
        Self::new(invitees)
    }
}

impl From<Vec<AccountId>> for InviteRequest {
    fn from(invitees: Vec<AccountId>) -> Self {
        Self::new(invitees)
    }
}

impl From<&[AccountId]> for InviteRequest {
    fn from(invitees: &[AccountId]) -> Self {
        Self::new(invitees.iter().copied())
    }
}

/// An invite as its invitee holds it: a pointer to a row that the host keeps. Only the invitee's own account can use it,
/// so it is no secret; whether it still counts the host alone knows.
///
/// Join with it: `user.join(&invite)`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize))]
pub struct Invite {
    /// The invite's own id.
    pub id: InviteId,
    /// What names the session.
    pub session: SessionKey,
    /// The key its host served under when the invite was made.
    pub host_key: HostKey,
    /// Which run of that session: a host that came back has no invites of before.
    pub incarnation: u64,
    /// The session's name, 1 to 64 bytes, in the inviter's words: show it, rely on nothing.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "super::serde::name"))]
    pub name: String,
    /// Who invites, proven by its key.
    pub inviter: AccountId,
    /// The inviter's display name, 1 to 64 bytes.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "super::serde::name"))]
    pub inviter_name: String,
    /// Who is invited.
    pub invitee: AccountId,
    /// The host's control addresses, best first, at most 8: hints.
    pub addresses: Vec<SocketAddr>,
    /// How long it counted when it was made or delivered; a host's clock decides, this is for display.
    pub expires_in: Duration,
    /// Whether a seat is held.
    pub hold: bool,
}

impl Invite {
    /// The session's id.
    #[must_use]
    pub fn session_id(&self) -> SessionId {
        self.session.id
    }
}

/// What became of an invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum InviteState {
    /// The invitee's running game has it.
    Delivered,
    /// The invitee has its seat.
    Accepted,
    /// The invitee does not want it.
    Rejected,
    /// Its time is over.
    Expired,
    /// No running game of the invitee was found, or none that takes invites of this inviter.
    Unreachable,
    /// Taken back, or its inviter was removed from the session.
    Revoked,
}

impl InviteState {
    /// Whether nothing follows: the invite cannot be used any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Accepted | Self::Rejected | Self::Expired | Self::Revoked)
    }
}

impl fmt::Display for InviteState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delivered => "delivered",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Unreachable => "unreachable",
            Self::Revoked => "revoked",
        })
    }
}

/// From whom a user receives invites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum InvitesFrom {
    /// From nobody: no socket is open for it, nothing is answered.
    #[default]
    Nobody,
    /// From [friends](crate::User::set_friends) and from members of the sessions one is in.
    Friends,
    /// From any account.
    Anyone,
}

/// Where a link or an accepted invite leads; the game then joins, or asks the player first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum UiTarget {
    /// A join link: from a QR code, a chat, the platform's own UI.
    Link(JoinLink),
    /// An invite that the player accepted.
    Invite(Invite),
}

impl From<JoinLink> for UiTarget {
    fn from(link: JoinLink) -> Self {
        Self::Link(link)
    }
}

impl From<Invite> for UiTarget {
    fn from(invite: Invite) -> Self {
        Self::Invite(invite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(seed: u8) -> AccountId {
        crate::types::Identity::from_seed([seed; 32]).unwrap().account()
    }

    #[test]
    fn an_account_is_invited_once_and_bounds_are_told() {
        let (ada, bob) = (account(1), account(2));
        assert_eq!(InviteRequest::from(vec![ada, bob, ada]).invitees(), [ada, bob]);
        let refused = |request: InviteRequest| request.check().unwrap_err().to_string();
        assert!(refused(InviteRequest::new((1..18).map(account))).contains("names 17 accounts"));
        assert!(refused(InviteRequest::from(ada).ttl(Duration::ZERO)).contains("0 ms"));
        assert!(refused(InviteRequest::from(ada).ttl(InviteRequest::MAX_TTL * 2)).contains("24 h"));
        assert!(refused(InviteRequest::from([ada, bob]).hold(true)).contains("one account"));
        assert!(InviteRequest::new((1..17).map(account)).check().is_ok());
    }
}
