//! A host that goes: it hands over to a successor that has everything, or only says for whom it votes (protocol.md,
//! "Handoff").

use std::net::IpAddr;

use super::super::core::Core;
use super::super::member::{Fallen, Promise};
use super::{HostAuthority, Reply};
use crate::proto::clock::Moment;
use crate::proto::io::{Action, Answer, LinkId, Output, RequestId};
use crate::proto::links::Link;
use crate::types::{AccountId, Error, ErrorKind, Left, Refusal, Revision, Visibility};
use crate::wire::frame::{Abdicate, Ballot, Change, Frame, MAX_ABDICATION, Reign, Vote, Way};

use super::super::publication::SessionsEvent;
use super::admit::Guest;
use super::reaffirm::Reaffirm;

/// What a host does towards its end as one.
#[derive(Debug, Default)]
pub(super) struct Passing {
    /// The number of its first revision.
    pub(super) began: u64,
    /// What its machine has promised before.
    promises: Vec<Promise>,
    handoff: Option<Handoff>,
    pub(super) reaffirm: Option<Reaffirm>,
    /// It is host no more.
    passed: Option<Passed>,
}

#[derive(Debug)]
struct Handoff {
    request: Option<RequestId>,
    /// Its own seat ends.
    leaves: Option<Left>,
    /// To whom, in this order; the first is being asked.
    to: Vec<AccountId>,
    until: Moment,
    give_up: Moment,
}

/// What becomes of the seat of a host that was.
#[derive(Debug)]
pub(in super::super) struct Passed {
    pub(in super::super) request: Option<RequestId>,
    pub(in super::super) leaves: Option<Left>,
    /// For whom it voted.
    pub(in super::super) votes: Vec<Vote>,
}

impl HostAuthority {
    pub(in super::super) fn passed(&mut self) -> Option<Passed> {
        self.passing.passed.take()
    }

    pub(in super::super) fn is_passing(&self) -> bool {
        self.passing.handoff.is_some()
    }

    /// Who could go on at once: of the last order, and here.
    fn ready_successors(&self) -> Vec<AccountId> {
        let Some(last) = self.succession.as_ref().and_then(|rule| rule.succession.as_ref()) else { return Vec::new() };
        let pairs = last.order.voters.iter().zip(&last.successors).filter(|(voter, _)| voter.host.is_some());
        let here = |account: &AccountId| self.seats.get(account).is_some_and(|seat| seat.link.is_some());
        pairs.map(|(_, successor)| successor.account).filter(here).collect()
    }

    /// Whether somebody may go on after this host.
    pub(in super::super) fn has_successor(&self) -> bool {
        self.opening.is_none() && !self.ready_successors().is_empty()
    }

    /// Hands over to `to`, or to the first in order, who is asked whether it has everything. With `leaves` the own seat ends;
    /// it then goes even where nobody answers.
    pub(in super::super) fn hand_over(
        &mut self,
        core: &mut Core,
        request: Option<RequestId>,
        to: Option<AccountId>,
        leaves: Option<Left>,
    ) {
        let mut ready = self.ready_successors();
        if let Some(to) = to {
            ready.retain(|account| *account == to);
        }
        if self.passing.handoff.is_some() || ready.is_empty() {
            let why = if self.passing.handoff.is_some() {
                "the session is being handed over"
            } else if self.succession.is_none() {
                "the session ends with its host: it was made without migration"
            } else {
                "no member that may go on as host is there"
            };
            if let Some(request) = request {
                core.done(request, Err(Error::new(ErrorKind::InvalidState, why)));
            }
            return;
        }
        let (until, give_up) = (core.now + core.tuning.handoff_ready, core.now + core.tuning.handoff);
        self.passing.handoff = Some(Handoff { request, leaves, to: ready, until, give_up });
        self.prepare_first(core);
    }

    fn prepare_first(&mut self, core: &mut Core) {
        self.wake = None;
        let Some(&account) = self.passing.handoff.as_ref().and_then(|handoff| handoff.to.first()) else { return };
        self.keep_now(core, account);
        let revision = self.doc.revision();
        self.insist(core, account, &Frame::Prepare { revision });
    }

    /// It has everything. What changed since goes to it before the last word.
    pub(super) fn prepared(&mut self, core: &mut Core, account: AccountId, _: Revision) {
        let asked = |handoff: &&mut Handoff| handoff.to.first() == Some(&account);
        if self.passing.handoff.as_mut().filter(asked).is_some() {
            self.abdicate(core, Some(account));
        }
    }

    pub(super) fn handoff_deadline(&self) -> Option<Moment> {
        self.passing.handoff.as_ref().map(|handoff| handoff.until.min(handoff.give_up))
    }

    pub(super) fn time_out_handoff(&mut self, core: &mut Core) {
        let Some(handoff) = self.passing.handoff.as_mut().filter(|handoff| handoff.until <= core.now) else { return };
        if !handoff.to.is_empty() {
            handoff.to.remove(0);
        }
        handoff.until = (core.now + core.tuning.handoff_ready).min(handoff.give_up);
        if !handoff.to.is_empty() && core.now < handoff.give_up {
            self.prepare_first(core);
        } else if handoff.leaves.is_some() {
            // It goes in any case; whoever has what it had goes on.
            self.abdicate(core, None);
        } else if let Some(Handoff { request: Some(request), .. }) = self.passing.handoff.take() {
            core.done(request, Err(Error::new(ErrorKind::TimedOut, "no successor was ready in time")));
        }
    }

    /// Ends this host's reign in one step: the last of its state to its successors, then its votes for the first of them, and
    /// no other vote after those.
    pub(in super::super) fn abdicate(&mut self, core: &mut Core, first: Option<AccountId>) {
        let Some(Handoff { request, leaves, .. }) = self.passing.handoff.take() else { return };
        self.pass(core, first, request, leaves);
    }

    /// As [`abdicate`](Self::abdicate), where there is no time to ask anybody.
    pub(in super::super) fn leave_at_once(&mut self, core: &mut Core, why: Left) {
        self.end_handoff(core);
        self.pass(core, None, None, Some(why));
    }

    /// A handoff comes to nothing, for the host ends otherwise: who waits for it is answered.
    pub(super) fn end_handoff(&mut self, core: &mut Core) {
        let Some(Handoff { request: Some(request), leaves, .. }) = self.passing.handoff.take() else { return };
        // Who wanted to leave has its will.
        let gone = Err(Error::new(ErrorKind::Ended, "the session ended here before it was handed over"));
        core.done(request, if leaves.is_some() { Ok(Answer::Unit) } else { gone });
    }

    fn pass(&mut self, core: &mut Core, first: Option<AccountId>, request: Option<RequestId>, leaves: Option<Left>) {
        self.end_merge(core);
        self.end_dials(core);
        self.end_telling(core);
        if let (Some(_), Some(own)) = (&leaves, self.doc.state().host) {
            self.commit(core, &[Change::MemberLeft { account: own, why: Left::Left }], None, Reply::Nobody);
        }
        let mut to: Vec<_> = first.into_iter().collect();
        to.extend(self.ready_successors().into_iter().filter(|account| Some(*account) != first));
        // One that has everything and says so needs no other beside it, and no promise beyond its term is given.
        to.truncate(if first.is_some() { 1 } else { MAX_ABDICATION });
        for &account in &to {
            self.keep_now(core, account);
        }
        let votes = self.votes_for(&to);
        let last = Frame::Abdicate(Box::new(Abdicate { have: self.doc.revision(), votes: votes.clone() }));
        for seat in self.seats.values_mut() {
            if let Some(mut link) = seat.link.take() {
                link.send(core.now, &mut core.actions, &last);
                core.close(link.id, true);
            }
        }
        self.seat_of.clear();
        let after = core.tuning.mm_migrating;
        for id in self.guests.keys().copied().collect::<Vec<_>>() {
            self.refuse(core, id, Refusal::Migrating { after });
        }
        if self.published.take().is_some() || self.unlisted {
            let next = votes.first().map(|vote| vote.ballot.host);
            core.events.push_back(SessionsEvent::HandedOver { key: self.key, next });
        }
        self.passing.passed = Some(Passed { request, leaves, votes });
    }

    /// The highest term in which this machine has voted in this branch, its own included: while it stood for its reign it may
    /// have promised a later one to another.
    pub(super) fn own_floor(&self) -> u32 {
        let reign = self.reign();
        let again = self.passing.reaffirm.as_ref().map_or(0, Reaffirm::term);
        reign.term.max(again).max(Promise::term_in(&self.passing.promises, reign))
    }

    /// One vote for each, in a term of its own.
    fn votes_for(&self, to: &[AccountId]) -> Vec<Vote> {
        let Some(rule) = &self.succession else { return Vec::new() };
        let Some(last) = &rule.succession else { return Vec::new() };
        let mut votes = Vec::new();
        for (term, account) in (self.own_floor().saturating_add(1)..).zip(to) {
            let place = last.successors.iter().position(|successor| successor.account == *account);
            let voter = place.and_then(|place| last.order.voters.get(place));
            let Some((seat, host)) = voter.and_then(|voter| Some((voter.seat, voter.host?))) else { continue };
            let reign = Reign { term, ..rule.reign };
            let ballot = Ballot { session: self.key, incarnation: self.incarnation, reign, candidate: seat, host };
            let signature = ballot.sign(&rule.seat_key);
            votes.push(Vote { ballot, voter: rule.seat_key.public(), signature, order: last.order.clone() });
        }
        votes
    }

    // ----------------------------------------------------------------------------------------- those who come to it

    /// Who waited for the next host is a guest of it now.
    pub(in super::super) fn adopt_guest(&mut self, core: &mut Core, link: Link, waits: bool) {
        let id = link.id;
        self.guests.insert(id, Guest { link, waiting: None, round: None });
        self.wake = None;
        if waits {
            self.say_won(core, id);
        }
    }

    /// Somebody looks for the next host: it is here.
    pub(super) fn say_won(&mut self, core: &mut Core, id: LinkId) {
        let lineage = self.lineage().to_vec();
        let frame = Frame::Won { lineage, began: self.passing.began };
        if let Some(guest) = self.guests.get_mut(&id) {
            guest.link.send(core.now, &mut core.actions, &frame);
        }
    }

    // ------------------------------------------------------------------------------------------- as another host sees it

    /// Its first revision is out: finders hear of it, and its user whom it keeps out.
    pub(in super::super) fn begin_reign(&mut self, core: &mut Core, promises: Vec<Promise>) {
        self.passing.promises = promises;
        self.passing.began = self.doc.revision().number;
        let bans = self.bans.iter().copied().collect();
        core.outputs.push_back(Output::SeatBans { seat: self.seat, bans });
        self.publish(core);
    }

    pub(in super::super) fn port(&self) -> u16 {
        self.port
    }

    pub(in super::super) fn is_dedicated(&self) -> bool {
        self.doc.state().host.is_none()
    }

    /// What a seat is made of that was this host's.
    pub(in super::super) fn fall(&self, core: &Core, addresses: Vec<IpAddr>) -> Option<Fallen> {
        let rule = self.succession.as_ref()?;
        Some(Fallen {
            seat: self.seat,
            local_name: self.local_name.clone(),
            user: self.user.clone(),
            view: self.doc.visible_to(Visibility::Members),
            incarnation: self.incarnation,
            password_key: self.password_key.clone(),
            silence: self.silence,
            grace: self.grace,
            host: self.host.clone(),
            port: self.port,
            addresses,
            seat_key: rule.seat_key.clone(),
            reign: rule.reign,
            lineage: rule.lineage.clone(),
            began: self.passing.began,
            succession: rule.succession.clone(),
            keeper: self.keeper(core.now),
            state: rule.state.clone(),
            promises: self.passing.promises.clone(),
            promised: self.own_floor(),
        })
    }

    /// The session goes on there: all who are here or come are told.
    pub(in super::super) fn give_way(&mut self, core: &mut Core, way: &Way) {
        self.end_merge(core);
        self.end_handoff(core);
        self.end_dials(core);
        self.end_telling(core);
        let frame = Frame::NotHost(Box::new(way.clone()));
        for id in self.guests.keys().copied().collect::<Vec<_>>() {
            self.dismiss(core, id, &frame);
        }
        for seat in self.seats.values_mut() {
            if let Some(mut link) = seat.link.take() {
                link.send(core.now, &mut core.actions, &frame);
                core.close(link.id, true);
            }
        }
        self.seat_of.clear();
        if self.published.take().is_some() || self.unlisted {
            core.events.push_back(SessionsEvent::HandedOver { key: self.key, next: Some(way.host_key) });
        }
    }

    pub(in super::super) fn close_listener(&self, core: &mut Core) {
        core.actions.push_back(Action::Unlisten { session: self.key });
    }
}

#[cfg(test)]
impl HostAuthority {
    pub(in super::super) fn promise_before(&mut self, term: u32) {
        let reign = self.reign();
        self.passing.promises.push(Promise::of_test(reign, term));
    }
}
