//! One join of several local users (protocol.md, "Reservations and parties"): the leader's Join brings the seats of all, then
//! each of the others takes its own up over a link of its own. The answer is given when all have theirs; if one cannot,
//! all leave.

use super::Sessions;
use super::core::{Core, Owner};
use super::join::{JoinAttempt, JoinSpec, Outcome, Resolved, Seated};
use super::member::MemberSeat;
use crate::proto::io::{Answer, LocalUser, RequestId, SeatId};
use crate::types::{AccountId, Error, ErrorKind, Left};

/// The leader has its seat, the others are on their way to theirs.
#[derive(Debug)]
pub(super) struct Party {
    /// What the leader's join knew.
    spec: JoinSpec,
    local_name: String,
    to: Resolved,
    /// By place: the leader first, then the others in the order of the request.
    seats: Vec<Option<SeatId>>,
    /// The joins under way, with the place of each.
    attaching: Vec<(RequestId, usize)>,
}

impl Party {
    /// The party of a join that has its seat, where it has one.
    pub(super) fn of(join: &JoinAttempt, seated: &Seated) -> Option<Self> {
        if join.spec.party.is_empty() {
            return None;
        }
        let snapshot = &seated.accept.snapshot;
        let to = Resolved {
            key: Some(snapshot.key),
            host_key: Some(snapshot.host_key),
            incarnation: join.spec.incarnation,
            version: None,
            migratable: false,
            candidates: seated.addresses.clone(),
            deadline: seated.deadline,
        };
        Some(Self {
            spec: join.spec.clone(),
            local_name: join.local_name.clone(),
            to,
            seats: vec![None; join.spec.party.len() + 1],
            attaching: Vec::new(),
        })
    }

    fn has(&self, ours: &impl Fn(AccountId) -> bool) -> bool {
        self.spec.accounts().any(ours)
    }
}

impl Sessions {
    /// A join came to its end: a seat, or none.
    pub(super) fn join_ended(&mut self, request: RequestId, outcome: Option<Outcome>) {
        let Some(outcome) = outcome else { return };
        let Some(join) = self.joins.remove(&request) else { return };
        match outcome {
            Outcome::Failed(error) if self.is_attach(request) => self.attach_failed(request, &join, &error),
            Outcome::Failed(error) => self.core.done(request, Err(error)),
            Outcome::Said => self.core.done(request, Ok(Answer::Unit)),
            Outcome::Seated(seated) => {
                let seat = self.core.seat_id();
                self.core.owners.insert(seated.link.id, Owner::Member(seat));
                let party = Party::of(&join, &seated);
                let mut member = MemberSeat::new(&self.core, seat, join.local_name, join.spec, *seated);
                member.enter_succession(&mut self.core);
                self.members.insert(seat, member);
                match party {
                    Some(party) => self.attach_party(request, seat, party),
                    None if self.is_attach(request) => self.attached(request, seat),
                    None => self.tell_seats(&[seat], |core| core.done(request, Ok(Answer::Seat(seat)))),
                }
            }
        }
    }

    /// New seats are told of: the seats, the answer, then their first events.
    fn tell_seats(&mut self, seats: &[SeatId], answer: impl FnOnce(&mut Core)) {
        for seat in seats {
            if let Some(member) = self.members.get_mut(seat) {
                member.open(&mut self.core);
            }
        }
        answer(&mut self.core);
        for seat in seats {
            let Some(member) = self.members.get_mut(seat) else { continue };
            member.begin(&mut self.core);
            let key = member.key;
            self.stand(key);
        }
    }

    /// The other users of a join, each able to take a seat under this name.
    pub(super) fn companions(
        &mut self,
        accounts: &[AccountId],
        local_name: &str,
    ) -> Result<Vec<(LocalUser, [u8; 16])>, Error> {
        let mut users = Vec::new();
        for &account in accounts {
            self.check_name(account, local_name)?;
            let user = self.user(account)?.clone();
            users.push((user, self.core.random()));
        }
        Ok(users)
    }

    /// Whether somebody of a party joins under this name.
    pub(super) fn party_uses(&self, account: AccountId, local_name: &str) -> bool {
        let mine = |spec: &JoinSpec| spec.accounts().any(|other| other == account);
        let joins = self.joins.values().any(|join| join.local_name == local_name && mine(&join.spec));
        joins || self.parties.values().any(|p| p.local_name == local_name && mine(&p.spec))
    }

    /// The leader is seated: the others dial.
    pub(super) fn attach_party(&mut self, request: RequestId, seat: SeatId, mut party: Party) {
        if let Some(first) = party.seats.first_mut() {
            *first = Some(seat);
        }
        party.spec.key = party.to.key;
        party.spec.host_key = party.to.host_key;
        let companions = party.spec.party.clone();
        let mut joins = Vec::new();
        for ((user, nonce), place) in companions.into_iter().zip(1..) {
            let attach = self.core.attach_id();
            let incarnation = u64::from_be_bytes(self.core.random());
            let spec = party.spec.of_companion(user, nonce, incarnation);
            let to = party.to.clone();
            match JoinAttempt::new(&mut self.core, attach, party.local_name.clone(), spec, None, to) {
                Ok(join) => joins.push((attach, join)),
                Err(error) => {
                    self.parties.insert(request, party);
                    self.end_party(request, error);
                    return;
                }
            }
            party.attaching.push((attach, place));
        }
        self.parties.insert(request, party);
        for (attach, join) in joins {
            self.joins.insert(attach, join);
            self.time_out_join(attach);
        }
    }

    fn party_of(&self, attach: RequestId) -> Option<(RequestId, usize)> {
        self.parties.iter().find_map(|(&request, party)| {
            party.attaching.iter().find(|(id, _)| *id == attach).map(|(_, place)| (request, *place))
        })
    }

    /// Whether this is the join of a companion, which nobody waits for by itself.
    pub(super) fn is_attach(&self, attach: RequestId) -> bool {
        self.party_of(attach).is_some()
    }

    pub(super) fn attached(&mut self, attach: RequestId, seat: SeatId) {
        let Some((request, place)) = self.party_of(attach) else { return };
        let Some(party) = self.parties.get_mut(&request) else { return };
        party.attaching.retain(|(id, _)| *id != attach);
        if let Some(slot) = party.seats.get_mut(place) {
            *slot = Some(seat);
        }
        if !party.attaching.is_empty() {
            return;
        }
        let Some(party) = self.parties.remove(&request) else { return };
        let seats: Vec<_> = party.seats.into_iter().flatten().collect();
        let answer = Answer::Seats(seats.clone());
        self.tell_seats(&seats, |core| core.done(request, Ok(answer)));
    }

    pub(super) fn attach_failed(&mut self, attach: RequestId, join: &JoinAttempt, error: &Error) {
        let Some((request, _)) = self.party_of(attach) else { return };
        let name = &join.spec.user.name;
        let why = format!("{name} could not take its seat, so the whole party has left: {error}");
        let error = match error.refusal() {
            Some(refusal) => Error::refused_because(refusal.clone(), why),
            None => Error::new(error.kind(), why),
        };
        self.end_party(request, error);
    }

    /// A seat of a party ended before all had theirs.
    pub(super) fn party_lost(&mut self, seat: SeatId, why: &Left) {
        let lost = self.parties.iter().find(|(_, party)| party.seats.contains(&Some(seat))).map(|(&id, _)| id);
        if let Some(request) = lost {
            let why = format!("a seat of the party ended, so all have left: {why}");
            self.end_party(request, Error::new(ErrorKind::Ended, why));
        }
    }

    /// All leave, and whoever asked is answered.
    pub(super) fn end_party(&mut self, request: RequestId, error: Error) {
        let Some(party) = self.parties.remove(&request) else { return };
        for (attach, _) in party.attaching {
            if let Some(mut join) = self.joins.remove(&attach) {
                join.give_up(&mut self.core);
            }
        }
        for seat in party.seats.into_iter().flatten() {
            if let Some(member) = self.members.remove(&seat) {
                let key = member.key;
                member.leave(&mut self.core, Left::Left);
                self.stand(key);
            }
        }
        self.core.done(request, Err(error));
    }

    pub(super) fn end_parties(&mut self, ours: &impl Fn(AccountId) -> bool) {
        let theirs: Vec<_> = self.parties.iter().filter(|(_, p)| p.has(ours)).map(|(&request, _)| request).collect();
        for request in theirs {
            self.end_party(request, Error::refused(crate::types::Refusal::Cancelled));
        }
    }
}
