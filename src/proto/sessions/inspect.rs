//! What a test of a whole run may look at inside.

use super::Sessions;
use super::host::{HostAuthority, HostView};
use crate::proto::clock::Moment;
use crate::proto::io::SeatId;
use crate::proto::limits::{self, Census};
use crate::types::{AccountId, PublicKey, SessionKey, SessionSnapshot};
use crate::wire::frame::{Order, Reign, Takeover, Vote};

/// One member's seat at its own end.
pub(crate) struct MemberView<'a> {
    pub(crate) account: AccountId,
    pub(crate) key: SessionKey,
    pub(crate) linked: bool,
    pub(crate) state: &'a SessionSnapshot,
    pub(crate) seat: SeatId,
    /// Of the host that it follows, and how that one came to be host.
    pub(crate) reign: Reign,
    pub(crate) lineage: &'a [Takeover],
    pub(crate) voter: Option<VoterView<'a>>,
}

/// A member's machine in the succession.
pub(crate) struct VoterView<'a> {
    pub(crate) key: PublicKey,
    /// The branch of its votes, and the highest term that it has promised or seen in it.
    pub(crate) branch: Reign,
    pub(crate) promised: u32,
    pub(crate) voted: Option<&'a Vote>,
    pub(crate) order: Option<&'a Order>,
    /// It has the host's own half, or the game's state; and it may.
    pub(crate) keeps: bool,
    pub(crate) may_keep: bool,
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
            seat: member.seat,
            reign: member.heir.reign,
            lineage: &member.heir.lineage,
            voter: member.standing.as_ref().map(|standing| VoterView {
                key: standing.seat_key.public(),
                branch: standing.branch,
                promised: standing.promised,
                voted: standing.voted.as_ref(),
                order: standing.succession.as_ref().map(|succession| &succession.order),
                keeps: standing.keeper.is_some() || standing.state.is_some(),
                may_keep: standing.is_keeper(),
            }),
        })
    }

    /// Panics where a host's state contradicts itself.
    pub(crate) fn check(&self, now: Moment) {
        self.hosts.values().for_each(|host| host.check_invariants(now));
    }

    pub(crate) fn sizes(&self, census: &mut Census) {
        census.push(("users", self.users.len(), limits::USERS));
        census.push(("hosted sessions", self.hosts.len(), limits::HOSTED));
        // Sources from which seats are held have places of their own; a seat may have ended since.
        let own: usize = self.hosts.values().map(|host| usize::from(host.state().max_members)).sum();
        census.push(("connections without a seat", self.core.doorman.len(), limits::PRE_SEAT + own));
        self.hosts.values().for_each(|host| host.sizes(census));
        for member in self.members.values() {
            census.push(("requests", member.open_requests(), limits::REQUESTS));
        }
    }
}
