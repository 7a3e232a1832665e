//! What a test of a whole run may look at inside.

use super::Sessions;
use super::host::{HostAuthority, HostView};
use crate::proto::clock::Moment;
use crate::proto::limits::{self, Census};
use crate::types::{AccountId, SessionKey, SessionSnapshot};

/// One member's seat at its own end.
pub(crate) struct MemberView<'a> {
    pub(crate) account: AccountId,
    pub(crate) key: SessionKey,
    pub(crate) linked: bool,
    pub(crate) state: &'a SessionSnapshot,
}

impl Sessions {
    pub(crate) fn hosted(&self) -> impl Iterator<Item = HostView<'_>> {
        self.hosts.values().map(HostAuthority::inspect)
    }

    /// What a member of that session should see.
    pub(crate) fn shown(&self, key: SessionKey) -> Option<SessionSnapshot> {
        self.hosts.get(&key).map(HostAuthority::view)
    }

    pub(crate) fn seats(&self) -> impl Iterator<Item = MemberView<'_>> {
        self.members.values().map(|member| MemberView {
            account: member.account(),
            key: member.key,
            linked: member.is_linked(),
            state: member.state(),
        })
    }

    /// Panics where a host's state contradicts itself.
    pub(crate) fn check(&self, now: Moment) {
        self.hosts.values().for_each(|host| host.check_invariants(now));
    }

    pub(crate) fn sizes(&self, census: &mut Census) {
        census.push(("users", self.users.len(), limits::USERS));
        census.push(("hosted sessions", self.hosts.len(), limits::HOSTED));
        census.push(("connections without a seat", self.core.doorman.len(), limits::PRE_SEAT));
        self.hosts.values().for_each(|host| host.sizes(census));
        for member in self.members.values() {
            census.push(("requests", member.open_requests(), limits::REQUESTS));
        }
    }
}
