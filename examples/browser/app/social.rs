//! Friends and invites: the one file that knows the library's calls for them.

use std::time::Duration;

use lansession::{
    AccountId, InviteId, JoinRequest, Pending, Result, Session, SessionEvent, SessionId, User, UserEvent,
};

use super::{Model, Target};
use crate::common::saved::Memory;

/// An invite as the list shows it.
#[derive(Debug, Clone)]
pub(crate) struct InviteRow {
    pub(crate) id: InviteId,
    pub(crate) session: String,
    pub(crate) inviter: String,
    /// Since 1970, by this machine's clock; the host's decides.
    pub(crate) expires: Duration,
    pub(crate) session_id: SessionId,
}

impl InviteRow {
    pub(crate) fn request(&self) -> JoinRequest {
        self.session_id.into()
    }
}

pub(crate) struct Social {}

impl Social {
    pub(crate) fn start(_: &User, _: &Memory) -> Result<Self> {
        Ok(Self {})
    }

    pub(crate) fn set_friends(&self, _: &User, _: &Memory) -> Result<()> {
        Ok(())
    }

    pub(crate) fn step(&mut self, _: &User, _: Option<&Session>, _: &mut Model) {}

    pub(crate) fn accept(&self, _: &User, _: InviteId) -> Result<()> {
        Ok(())
    }

    pub(crate) fn reject(&self, _: &User, _: InviteId) -> Option<Pending<()>> {
        None
    }

    pub(crate) fn invite(&self, _: &Session, _: AccountId) -> Option<Pending<()>> {
        None
    }

    pub(crate) fn session_event(&mut self, _: &mut Model, _: &SessionEvent) {}

    pub(crate) fn user_event(&mut self, _: &mut Model, _: &UserEvent) -> Option<Target> {
        None
    }
}

#[cfg(test)]
impl InviteRow {
    /// One for the screens' tests.
    pub(crate) fn fake(session: &str, inviter: &str, expires: Duration) -> Self {
        let (id, session_id) = (InviteId::from_bytes([7; 16]), SessionId::from_name(session));
        Self { id, session: session.to_owned(), inviter: inviter.to_owned(), expires, session_id }
    }
}
