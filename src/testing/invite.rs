//! An invite that nobody sent, for tests of a game's own screens.

use std::net::SocketAddr;
use std::time::Duration;

use ring::digest::{SHA256, digest};

use super::fakes::{key_named, session_named};
use crate::types::{AccountId, Invite, InviteId};

/// An invite of `inviter` into the session of that name, to an account `Player`: it counts for 300 s and holds no seat. The
/// same names give the same ids, and the session's are those of [`found`](super::found) and [`snapshot`](super::snapshot).
///
/// ```
/// use lansession::testing::{found, invite, member};
/// use lansession::SessionSettings;
/// let invite = invite("room", "Ada").build();
/// assert_eq!((invite.name.as_str(), invite.inviter_name.as_str()), ("room", "Ada"));
/// assert_eq!(invite.inviter, member("Ada").build().account);
/// assert_eq!(invite.session, found(SessionSettings::new("room")).build().key());
/// ```
#[must_use]
pub fn invite(session: impl Into<String>, inviter: impl Into<String>) -> FakeInvite {
    let (name, inviter_name) = (session.into(), inviter.into());
    let key = session_named(&name);
    let mut id = [0; 16];
    let drawn = digest(&SHA256, format!("invite of {inviter_name} to {name}").as_bytes());
    id.iter_mut().zip(drawn.as_ref()).for_each(|(to, from)| *to = *from);
    FakeInvite(Invite {
        id: InviteId::from_bytes(id),
        session: key,
        host_key: key.founder,
        incarnation: 1,
        name,
        inviter: key_named(&inviter_name),
        inviter_name,
        invitee: key_named("Player"),
        addresses: vec![SocketAddr::from(([10, 77, 0, 1], 40_001))],
        expires_in: Duration::from_secs(300),
        hold: false,
    })
}

/// Builds an [`Invite`]; made by [`invite`].
#[derive(Debug, Clone)]
pub struct FakeInvite(Invite);

impl FakeInvite {
    /// Who is invited.
    #[must_use]
    pub fn invitee(mut self, account: AccountId) -> Self {
        self.0.invitee = account;
        self
    }

    /// How long it counts.
    #[must_use]
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.0.expires_in = time;
        self
    }

    /// Whether a seat is held.
    #[must_use]
    pub fn hold(mut self, hold: bool) -> Self {
        self.0.hold = hold;
        self
    }

    /// The invite.
    #[must_use]
    pub fn build(self) -> Invite {
        self.0
    }
}
