//! A host above whose term somebody has promised a vote: an election came to nothing, and whoever promised does not count for
//! its orders any more. It is voted for again, above all promises (protocol.md, "Reaffirmed").

use super::super::core::Core;
use super::super::member::Tally;
use super::HostAuthority;
use crate::proto::clock::Moment;
use crate::proto::links::encode;
use crate::types::{AccountId, Revision, Visibility};
use crate::wire::frame::{Ballot, Frame, MAX_LINEAGE, Reign, Takeover, Vote, VoteAsk};

/// Of the chain of hosts, so much is left for those that are lost.
const LEFT_FOR_CRASHES: usize = 4;

/// The vote that is under way.
#[derive(Debug)]
pub(super) struct Reaffirm {
    tally: Tally,
    until: Moment,
}

impl Reaffirm {
    /// The term for which it votes for itself.
    pub(super) fn term(&self) -> u32 {
        self.tally.ballot.reign.term
    }
}

impl HostAuthority {
    pub(super) fn reaffirm_deadline(&self) -> Option<Moment> {
        self.passing.reaffirm.as_ref().map(|reaffirm| reaffirm.until)
    }

    /// Asks, where somebody has promised a later term; again after a while, where too few answered.
    pub(super) fn reaffirm(&mut self, core: &mut Core) {
        if self.passing.reaffirm.as_ref().is_some_and(|reaffirm| reaffirm.until > core.now) {
            return;
        }
        self.passing.reaffirm = None;
        let floor = self.own_floor();
        let Some(rule) = &self.succession else { return };
        let (Some(promised), Some(last)) = (rule.promised, &rule.succession) else { return };
        let Some(term) = promised.max(floor).checked_add(1) else { return };
        if rule.lineage.len() + LEFT_FOR_CRASHES >= MAX_LINEAGE {
            return;
        }
        let ballot = Ballot {
            session: self.key,
            incarnation: self.incarnation,
            reign: Reign { term, ..rule.reign },
            candidate: rule.seat_key.public(),
            host: self.host.public().into(),
        };
        let mut tally = Tally::new(ballot);
        let (voter, signature) = (rule.seat_key.public(), ballot.sign(&rule.seat_key));
        tally.add(Vote { ballot, voter, signature, order: last.order.clone() });
        self.passing.reaffirm = Some(Reaffirm { tally, until: core.now + core.tuning.ballot });
        self.wake = None;
        let ask = Frame::VoteAsk(Box::new(VoteAsk { ballot, have: self.doc.revision() }));
        for account in self.seats.keys().copied().collect::<Vec<_>>() {
            self.insist(core, account, &ask);
        }
    }

    pub(super) fn vote_of_member(&mut self, core: &mut Core, vote: Vote) {
        let Some(reaffirm) = &mut self.passing.reaffirm else { return };
        reaffirm.tally.add(vote);
        let last = self.succession.as_ref().and_then(|rule| rule.succession.as_ref());
        if let Some(takeover) = last.and_then(|last| reaffirm.tally.takeover(&last.order)) {
            self.begin_term(core, takeover);
        }
    }

    pub(super) fn no_vote_of_member(&mut self, account: AccountId, promised: u32) {
        if let Some(rule) = self.succession.as_mut().filter(|_| self.seats.contains_key(&account)) {
            if promised > rule.reign.term {
                rule.promised = rule.promised.max(Some(promised));
            }
        }
    }

    /// The same host in another term: members have the whole state in it, and its first order.
    fn begin_term(&mut self, core: &mut Core, takeover: Takeover) {
        self.passing.reaffirm = None;
        self.wake = None;
        let reign = takeover.reign;
        if let Some(rule) = &mut self.succession {
            rule.begin(takeover);
        }
        let number = self.doc.revision().number.saturating_add(1);
        self.doc.apply(Revision { term: reign.term, number }, &[]);
        (self.log_bytes, self.passing.began) = (0, number);
        self.log.clear();
        self.published = None;
        self.review(core);
        let snapshot = encode(&Frame::Snapshot(Box::new(self.doc.visible_to(Visibility::Members))));
        for seat in self.seats.values_mut() {
            seat.deliver(core, &snapshot);
        }
        let state = std::sync::Arc::new(self.doc.state().clone());
        core.tell(self.seat, Vec::new(), Some(state));
        self.publish(core);
    }
}
