//! A join with company: all get their seats in one revision, or none does (protocol.md, "Reservations and parties").
//!
//! A companion with a proof is another local user of the joiner's process: it is a member at once and comes over a link of
//! its own. One without is an account that is not there yet: its seat is reserved.

use std::collections::BTreeSet;

use super::super::bounds::{attribute_bytes, member_budget, members_own};
use super::super::core::Core;
use super::HostAuthority;
use super::seat::Seat;
use crate::proto::clock::Moment;
use crate::proto::links::Link;
use crate::types::{AccountId, Attributes, External, LinkState, Member, MemberStatus, Reason, Refusal, ReserveRequest};
use crate::wire::frame::{Change, Join};
use crate::wire::hash;

/// A seat to be given.
#[derive(Debug)]
pub(super) struct Place {
    account: AccountId,
    name: String,
    external: Option<External>,
    attributes: Attributes,
    status: MemberStatus,
    link: LinkState,
    role: Option<String>,
}

impl Place {
    /// For an account that has not come: nothing is known of it but its key.
    pub(super) fn held(account: AccountId, role: Option<String>) -> Self {
        Self {
            account,
            name: format!("{account:?}"),
            external: None,
            attributes: Attributes::new(),
            status: MemberStatus::Reserved,
            link: LinkState::Away,
            role,
        }
    }
}

impl HostAuthority {
    /// Whether a seat is held for this account that it has not claimed.
    pub(super) fn is_held(&self, account: AccountId) -> bool {
        self.seats.get(&account).is_some_and(|seat| seat.held)
    }

    /// Role and seat, for the joiner and all whom it brings: one answer for the whole party.
    pub(super) fn place_refusal(
        &self,
        now: Moment,
        account: AccountId,
        binding: &[u8; 32],
        join: &Join,
    ) -> Option<Refusal> {
        let state = self.doc.state();
        let refused = |why: String| Some(Refusal::Refused(Reason::from(why)));
        let mut party = BTreeSet::from([account]);
        for companion in &join.party {
            if self.bans.contains(&companion.account) {
                return Some(Refusal::Banned);
            }
            // A reserved seat is claimed by its own account, and that has to be here for it.
            let claims = companion.proof.is_some() && self.is_held(companion.account);
            if !party.insert(companion.account) || (state.member(companion.account).is_some() && !claims) {
                return Some(Refusal::AlreadyMember);
            }
            if companion.proof.is_some() && state.host == Some(companion.account) {
                return Some(Refusal::AlreadyMember);
            }
            let genuine = |proof| companion.verify(proof, binding, join.session.id, self.host_key(), &join.nonce);
            if !companion.proof.as_ref().is_none_or(genuine) {
                return refused(format!("the proof of account {:?} does not hold", companion.account));
            }
        }
        let roles = join.party.iter().map(|companion| (companion.account, companion.role.as_deref()));
        let mine = std::iter::once((account, join.role.as_deref()));
        let wanted: Vec<_> = mine.chain(roles).map(|(of, role)| (of, role.or(self.held_role(of)))).collect();
        if let Some(refusal) = self.roles_refusal(&wanted) {
            return Some(refusal);
        }
        party.retain(|account| !self.is_held(*account));
        if self.is_full_for(account, &party, now) {
            return Some(Refusal::Full);
        }
        let held = join.party.iter().filter(|companion| companion.proof.is_none()).count();
        if held > 0 {
            if let Some(refusal) = self.reservations.limit(account, held, true) {
                return Some(refusal);
            }
            // Its id is the joiner's choice: another's seats would be nobody's.
            if !self.reservations.seats_of(hash::party_id(&join.nonce)).is_empty() {
                return refused("the session has a reservation of this join".to_owned());
            }
        }
        let all = std::iter::once(&join.attributes).chain(join.party.iter().map(|companion| &companion.attributes));
        let over = all.map(|attributes| attribute_bytes(attributes).saturating_sub(member_budget(state.max_members)));
        match over.max() {
            None | Some(0) => None,
            Some(over) => refused(format!("the member's attributes are {over} bytes over this session's bound")),
        }
    }

    fn held_role(&self, account: AccountId) -> Option<&str> {
        self.doc.state().member(account).and_then(|member| member.role.as_deref())
    }

    /// Seats a joiner and its party; the changes that say so, all for one commit.
    pub(super) fn place(&mut self, core: &mut Core, account: AccountId, link: Link, join: &Join) -> Vec<Change> {
        let host_id = self.key.id;
        let leader = Place {
            account,
            name: join.name.clone(),
            external: join.external.clone(),
            attributes: members_own(&join.attributes),
            status: join.status,
            link: LinkState::Connected,
            role: join.role.clone(),
        };
        let mut places = vec![leader];
        let mut held = Vec::new();
        for companion in &join.party {
            if companion.proof.is_none() {
                held.push(companion.account);
                places.push(Place::held(companion.account, companion.role.clone()));
                continue;
            }
            places.push(Place {
                account: companion.account,
                name: companion.name.clone(),
                external: companion.external.clone(),
                attributes: members_own(&companion.attributes),
                status: join.status,
                // Its process is there: the leader's link says so until its own does.
                link: LinkState::Connected,
                role: companion.role.clone(),
            });
            self.leavers.retain(|leaver| *leaver != companion.account);
        }
        let members = self.members_of(places);
        let claims: Vec<_> = members.iter().map(|member| self.is_held(member.account)).collect();
        for companion in &join.party {
            let mut seat = match companion.proof {
                Some(_) => Seat::awaited(core.now, companion.nonce, core.now + core.tuning.confirm, account),
                None => Seat::held(core.now, companion.nonce),
            };
            seat.proved = join.password_proof.is_some();
            self.seats.insert(companion.account, seat);
        }
        let mut seat = Seat::new(core.now, host_id, link, join.nonce, join.peer_incarnation);
        seat.proved = join.password_proof.is_some();
        self.seats.insert(account, seat);
        if !held.is_empty() {
            let id = hash::party_id(&join.nonce);
            self.reservations.insert(id, account, &ReserveRequest::from(held), None);
        }
        let change =
            |(member, claims)| if claims { Change::MemberClaimed(member) } else { Change::MemberJoined(member) };
        members.into_iter().zip(claims).map(change).collect()
    }

    /// The members that these places make: each with the lowest number that is free, one with a seat with that seat's.
    pub(super) fn members_of(&self, places: Vec<Place>) -> Vec<Member> {
        let state = self.doc.state();
        // They are in the order of their numbers, so one pass finds the gaps.
        let mut taken = state.members.iter().map(|member| member.number).peekable();
        let mut free = (0..=u16::MAX).filter(|number| taken.next_if_eq(number).is_none());
        let joined_revision = state.revision.number + 1;
        let member = |place: Place| {
            let Place { account, name, external, attributes, status, link, role } = place;
            let held = state.member(account);
            Member {
                account,
                name,
                external,
                number: held.map_or_else(|| free.next().unwrap_or(u16::MAX), |held| held.number),
                status,
                link,
                ready: false,
                is_host: false,
                role: role.or_else(|| held.and_then(|held| held.role.clone())),
                attributes,
                joined_revision: held.map_or(joined_revision, |held| held.joined_revision),
            }
        };
        places.into_iter().map(member).collect()
    }

    /// Who goes with a member that goes: companions on the way to the seats it took for them; and the seats it holds for
    /// others, where it was removed, or where nothing else would ever free them.
    pub(super) fn followers(&self, leader: AccountId, removed: bool) -> Vec<AccountId> {
        let awaited = self.seats.iter().filter(|(_, seat)| seat.leader == Some(leader)).map(|(&account, _)| account);
        let held = self.reservations.of_leader(leader);
        awaited.chain(held.filter(|account| removed || self.deadlines.get(*account).is_none())).collect()
    }
}
