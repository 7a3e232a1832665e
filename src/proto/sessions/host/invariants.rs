//! What must hold at a host between any two steps, for random tests.

use std::collections::BTreeSet;

use super::HostAuthority;
use crate::proto::clock::Moment;
#[cfg(all(test, feature = "testing"))]
use crate::proto::io::SeatId;
#[cfg(all(test, feature = "testing"))]
use crate::proto::limits;
use crate::types::MemberStatus;
#[cfg(all(test, feature = "testing"))]
use crate::types::{AccountId, HostKey, PublicKey, SessionKey, SessionSnapshot};
#[cfg(all(test, feature = "testing"))]
use crate::wire::frame::{Order, Reign, Takeover};

impl HostAuthority {
    pub(in super::super) fn check_invariants(&self, now: Moment) {
        let state = self.doc.state();
        let members: BTreeSet<_> = state.members.iter().map(|member| member.account).collect();
        assert_eq!(members.len(), state.members.len(), "one seat an account");
        let max = usize::from(state.max_members);
        assert!(members.len() <= max, "{} members of {max}", members.len());
        let granted: BTreeSet<_> = self.merge.granted(now).collect();
        assert!(granted.is_disjoint(&members), "a grant outlives its use");
        let promised = members.iter().copied().chain(granted).chain(self.invites.held_for(now));
        let promised = promised.collect::<BTreeSet<_>>().len();
        assert!(promised <= max, "{promised} seats are promised of {max}");

        let seated: BTreeSet<_> = self.seats.keys().copied().chain(state.host).collect();
        assert_eq!(seated, members, "a seat each");
        for (account, seat) in &self.seats {
            // The host that let it in may have heard it before it was lost itself.
            let waited_for = seat.away_until.is_some() && !self.lineage().is_empty();
            let known = seat.confirmed || seat.link.is_some() || seat.held || seat.leader.is_some() || waited_for;
            assert!(known, "{account:?} never said a word, and its seat outlives its link");
        }
        for member in &state.members {
            let deadline = self.deadlines.get(member.account);
            let timeouts = &state.timeouts;
            let timed = match member.status {
                MemberStatus::Active => Some(false),
                MemberStatus::Ready => Some(timeouts.ready.is_some()),
                MemberStatus::Inactive => Some(timeouts.inactive.is_some() && !member.is_host),
                // One that was never taken up may become host: it is not free before the session ends.
                MemberStatus::Reserved if member.is_host => Some(false),
                MemberStatus::Reserved => timeouts.reserved.map(|_| true),
            };
            assert!(timed.is_none_or(|timed| timed == deadline.is_some()), "{member:?}: {deadline:?}");
            assert!(deadline.is_none_or(|at| at >= now), "{member:?} is late");
            let held = self.is_held(member.account);
            assert_eq!(held, self.reservations.has(member.account), "{member:?}: seats that are held have a row");
            assert!(!held || member.status == MemberStatus::Reserved, "{member:?} has not taken its seat");
            let forever = held
                && deadline.is_none()
                && !self.reservations.leader_of(member.account).is_some_and(|leader| members.contains(&leader));
            assert!(!forever || state.dedicated, "{member:?}: nothing ever frees this seat");
        }
        assert!(self.deadlines.accounts().all(|account| members.contains(&account)), "a deadline of nobody");
        for role in &state.roles {
            let taken = state.members.iter().filter(|member| member.role.as_deref() == Some(&role.name)).count();
            assert!(role.max.is_none_or(|max| taken <= usize::from(max)), "{taken} have the role {role:?}");
        }
        assert!(state.turn.iter().all(|account| members.contains(account)), "the turn of nobody");
    }
}

/// What a test of a whole run looks at.
#[cfg(all(test, feature = "testing"))]
pub(crate) struct HostView<'a> {
    pub(crate) key: SessionKey,
    pub(crate) incarnation: u64,
    pub(crate) open: bool,
    /// With what only the host sees.
    pub(crate) state: &'a SessionSnapshot,
    pub(crate) bans: &'a BTreeSet<AccountId>,
    pub(crate) seat: SeatId,
    pub(crate) user: AccountId,
    pub(crate) host_key: HostKey,
    pub(crate) reign: Reign,
    /// How it came to be host, and the number of its first revision as that.
    pub(crate) lineage: &'a [Takeover],
    pub(crate) began: u64,
    /// Signs its own votes.
    pub(crate) voter: Option<PublicKey>,
    pub(crate) order: Option<&'a Order>,
}

#[cfg(all(test, feature = "testing"))]
impl HostAuthority {
    pub(in super::super) fn inspect(&self) -> HostView<'_> {
        HostView {
            key: self.key,
            incarnation: self.incarnation,
            open: self.opening.is_none(),
            state: self.doc.state(),
            bans: &self.bans,
            seat: self.seat,
            user: self.user.identity.account(),
            host_key: self.host_key(),
            reign: self.reign(),
            lineage: self.lineage(),
            began: self.passing.began,
            voter: self.succession.as_ref().map(|rule| rule.seat_key.public()),
            order: self.succession.as_ref().and_then(|rule| rule.succession.as_ref()).map(|last| &last.order),
        }
    }

    pub(in super::super) fn sizes(&self, census: &mut limits::Census) {
        census.push(("bans", self.bans.len(), limits::BANS));
        census.push(("leavers", self.leavers.len(), limits::LEAVERS));
        census.push(("gone", self.gone.len(), limits::GONE));
        census.push(("delta log", self.log.len(), limits::DELTA_LOG));
        census.push(("bytes of the delta log", self.log_bytes, limits::DELTA_LOG_BYTES));
        let seats = usize::from(self.doc.state().max_members);
        census.push(("guests", self.guests.len(), limits::PRE_SEAT + seats));
        census.push(("rivals told", self.rivals.told(), limits::RIVALS));
        let asked = self.guests.values().filter(|guest| guest.is_asked()).count();
        census.push(("admissions", asked, limits::ADMISSIONS));
        self.invites.sizes(census);
        self.merge.sizes(census);
        self.vouching.sizes(census);
        self.reservations.sizes(census);
    }
}
