//! One machine's vote for the next host, and a candidate's count of them (protocol.md, "Votes").
//!
//! Both live in memory only, under a seat key that a restarted machine does not have: so a vote cannot be forgotten and
//! given twice.

use crate::types::{Identity, Revision};
use crate::wire::frame::{Ballot, MAX_VOTERS, Order, Reign, Takeover, Vote};

use super::standing::Standing;

/// How far ahead of what is known here a promised term may be: a liar could else use up all terms at once.
const MAX_LEAP: u32 = 1_024;

/// Which of two orders of one branch is the later.
pub(in super::super) fn age(order: &Order) -> (u32, u32) {
    (order.reign.term, order.cfg)
}

/// What one machine has promised in one branch of its session's history.
#[derive(Debug, Clone)]
pub(in super::super) struct Promise {
    pub(in super::super) branch: Reign,
    promised: u32,
    voted: Option<Vote>,
}

impl Promise {
    /// The highest term that was promised in the branch of this reign.
    pub(in super::super) fn term_in(all: &[Self], reign: Reign) -> u32 {
        let of_branch = all.iter().filter(|promise| promise.branch.same_branch(reign));
        of_branch.map(|promise| promise.promised).max().unwrap_or(0)
    }

    #[cfg(test)]
    pub(in super::super) fn of_test(branch: Reign, promised: u32) -> Self {
        Self { branch, promised, voted: None }
    }
}

/// Branches of one session that are remembered.
const BRANCHES: usize = 16;

impl Standing {
    /// From now on votes are for this branch. What was promised in the former one still counts, should that one go on: who
    /// forgets it votes twice.
    pub(in super::super) fn enter_branch(&mut self, reign: Reign) {
        if reign.same_branch(self.branch) {
            return;
        }
        let former = Promise { branch: self.branch, promised: self.promised, voted: self.voted.take() };
        self.past.retain(|past| !past.branch.same_branch(former.branch));
        self.past.push(former);
        if self.past.len() > BRANCHES {
            self.past.remove(0);
        }
        let known = self.past.iter().find(|past| past.branch.same_branch(reign)).cloned();
        self.branch = reign;
        (self.promised, self.voted) = known.map_or((0, None), |known| (known.promised, known.voted));
    }

    /// All that it has promised, for the host that it becomes.
    pub(in super::super) fn promises(&self) -> Vec<Promise> {
        let own = Promise { branch: self.branch, promised: self.promised, voted: self.voted.clone() };
        let others = self.past.iter().filter(|past| !past.branch.same_branch(self.branch));
        others.cloned().chain([own]).collect()
    }

    /// The lowest term that this machine has not promised nor seen begun, less one.
    pub(in super::super) fn floor(&self) -> u32 {
        let ordered = self.succession.as_ref().map_or(0, |succession| succession.order.reign.term);
        self.promised.max(ordered)
    }

    /// No vote for this term or an earlier one any more.
    pub(in super::super) fn promise(&mut self, term: u32) {
        self.promised = self.promised.max(term);
    }

    /// The vote for a candidate whose state is at `theirs`, where the own one is at `have`. The same vote again for the same
    /// candidate and term; else none below or at what was promised, none for another branch, none for a state that lacks
    /// what this machine has seen.
    pub(in super::super) fn cast(&mut self, ballot: Ballot, theirs: Revision, have: Revision) -> Option<Vote> {
        if let Some(vote) = self.voted.as_ref().filter(|vote| vote.ballot == ballot) {
            return Some(vote.clone());
        }
        let order = &self.succession.as_ref()?.order;
        let (floor, term) = (self.floor(), ballot.reign.term);
        let here = ballot.session == order.session
            && ballot.incarnation == order.incarnation
            && ballot.reign.same_branch(order.reign)
            && ballot.reign.same_branch(self.branch);
        if !here || term <= floor || term > floor.saturating_add(MAX_LEAP) || theirs < have {
            return None;
        }
        let vote = self.sign(ballot, order.clone());
        self.promised = term;
        self.voted = Some(vote.clone());
        Some(vote)
    }

    fn sign(&self, ballot: Ballot, order: Order) -> Vote {
        Vote { ballot, voter: self.seat_key.public(), signature: ballot.sign(&self.seat_key), order }
    }

    /// The ballot on which this machine stands itself, with its own vote: the first term above all that was promised here
    /// or is known to be promised elsewhere. None where it would not serve, or is not in the order.
    pub(in super::super) fn stand(&mut self, seen: u32, given: Option<u32>) -> Option<Tally> {
        let order = self.succession.as_ref()?.order.clone();
        let host = self.host.as_ref()?.public().into();
        let own = order.voters.get(order.position(self.seat_key.public())?)?;
        if own.host != Some(host) {
            return None;
        }
        let seen = seen.min(self.floor().saturating_add(MAX_LEAP));
        let term = self.floor().max(seen).checked_add(1)?;
        // The vote of a host that abdicated is for one term only.
        let term = given.filter(|given| *given >= term).unwrap_or(term);
        let ballot = Ballot {
            session: order.session,
            incarnation: order.incarnation,
            reign: Reign { term, ..order.reign },
            candidate: self.seat_key.public(),
            host,
        };
        let vote = self.sign(ballot, order);
        self.promised = term;
        self.voted = Some(vote.clone());
        let mut tally = Tally::new(ballot);
        tally.add(vote);
        Some(tally)
    }
}

/// The votes that a candidate has.
#[derive(Debug, Clone)]
pub(in super::super) struct Tally {
    pub(in super::super) ballot: Ballot,
    votes: Vec<Vote>,
}

impl Tally {
    pub(in super::super) fn new(ballot: Ballot) -> Self {
        Self { ballot, votes: Vec::new() }
    }

    /// Takes a vote; whether it is one, and new.
    pub(in super::super) fn add(&mut self, vote: Vote) -> bool {
        let known = self.votes.iter().any(|known| known.voter == vote.voter);
        // Two electorates may differ; whoever is in neither must not fill this.
        let room = self.votes.len() < 2 * MAX_VOTERS;
        let good = !known && room && vote.ballot == self.ballot && self.ballot.verify(vote.voter, &vote.signature);
        if good {
            self.votes.push(vote);
        }
        good
    }

    /// The takeover, if most machines of this order have voted. A vote that came with a later order does not count before
    /// that one is adopted: whoever counts in an old electorate may win beside another.
    pub(in super::super) fn takeover(&self, order: &Order) -> Option<Takeover> {
        let candidate = order.position(self.ballot.candidate)?;
        // The host itself, voted for again.
        let own = (candidate == 0).then_some(order.host_key);
        if order.voters.get(candidate)?.host.or(own) != Some(self.ballot.host)
            || !self.ballot.reign.same_branch(order.reign)
        {
            return None;
        }
        let counted = self.votes.iter().filter(|vote| age(&vote.order) <= age(order));
        let mut votes: Vec<(u16, [u8; 64])> = counted
            .filter_map(|vote| Some((u16::try_from(order.position(vote.voter)?).ok()?, vote.signature)))
            .collect();
        votes.sort_unstable_by_key(|(at, _)| *at);
        let candidate = u16::try_from(candidate).ok()?;
        let own = votes.iter().any(|(at, _)| *at == candidate);
        (own && votes.len() >= order.quorum()).then(|| Takeover {
            order: order.clone(),
            reign: self.ballot.reign,
            candidate,
            votes,
        })
    }
}

/// One machine goes on without the others: a new branch, which gives way to any with fewer forks. Its term is so far from
/// the former that revisions of two branches never look alike.
pub(in super::super) fn fork(
    order: &Order,
    seat_key: &Identity,
    host: &Identity,
    branch: u64,
    random: u32,
) -> Option<Takeover> {
    let candidate = order.position(seat_key.public())?;
    let term = order.reign.term.checked_add(1)?.checked_add(1 + random % 65_536)?;
    let reign = Reign { forks: order.reign.forks.checked_add(1)?, branch: branch.max(1), term };
    let ballot = Ballot {
        session: order.session,
        incarnation: order.incarnation,
        reign,
        candidate: seat_key.public(),
        host: host.public().into(),
    };
    let candidate = u16::try_from(candidate).ok()?;
    Some(Takeover { order: order.clone(), reign, candidate, votes: vec![(candidate, ballot.sign(seat_key))] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{HostKey, Migration, SessionId, SessionKey};
    use crate::wire::frame::{Succession, Voter};

    fn key(number: u8) -> Identity {
        Identity::from_seed([number; 32]).unwrap()
    }

    fn session() -> SessionKey {
        SessionKey { id: SessionId::from_name("room"), founder: key(1).public().into() }
    }

    fn order_of(reign: Reign, cfg: u32, voters: &[u8]) -> Order {
        let voter = |&n: &u8| Voter { seat: key(101 + n).public(), host: (n > 0).then(|| key(51 + n).public().into()) };
        let order = Order {
            session: session(),
            host_key: key(1).public().into(),
            incarnation: 7,
            reign,
            cfg,
            policy: Migration::AnySurvivor,
            host_silence: 2_500,
            voters: voters.iter().map(voter).collect(),
            signature: [0; 64],
        };
        order.sign(&key(1))
    }

    fn standing(n: u8, order: Order) -> Standing {
        Standing {
            seat_key: key(101 + n),
            stands: true,
            host: Some(key(51 + n)),
            port: 1,
            addresses: Vec::new(),
            succession: Some(Succession { order, successors: Vec::new(), lineage: Vec::new() }),
            former: None,
            keeper: None,
            state: None,
            promised: 0,
            voted: None,
            branch: Reign::FOUNDER,
            past: Vec::new(),
            guests: std::collections::BTreeMap::new(),
        }
    }

    fn ballot(n: u8, term: u32) -> Ballot {
        Ballot {
            session: session(),
            incarnation: 7,
            reign: Reign { term, ..Reign::FOUNDER },
            candidate: key(101 + n).public(),
            host: key(51 + n).public().into(),
        }
    }

    const HAVE: Revision = Revision { term: 1, number: 9 };
    const FIRST: Reign = Reign::FOUNDER;

    /// Fails when `cast` does not look at what was promised.
    #[test]
    fn one_vote_per_term_and_never_in_an_earlier_one() {
        let mut voter = standing(3, order_of(FIRST, 1, &[0, 1, 2, 3]));
        let first = voter.cast(ballot(1, 2), HAVE, HAVE).unwrap();
        assert!(first.ballot.verify(first.voter, &first.signature));
        assert_eq!(voter.cast(ballot(1, 2), HAVE, HAVE), Some(first), "the same vote again");
        assert_eq!(voter.cast(ballot(2, 2), HAVE, HAVE), None, "another candidate in the same term");
        assert!(voter.cast(ballot(2, 3), HAVE, HAVE).is_some());
        assert_eq!(voter.cast(ballot(1, 2), HAVE, HAVE), None, "an earlier term");
        assert_eq!(voter.cast(ballot(1, 1), HAVE, HAVE), None, "the host's own");
        assert_eq!(voter.promised, 3);
    }

    /// Fails when `cast` compares no revisions, no branch, or no leap.
    #[test]
    fn no_vote_for_a_state_that_lacks_something_nor_for_another_branch() {
        let mut voter = standing(3, order_of(FIRST, 1, &[0, 1, 2, 3]));
        let behind = Revision { number: 8, ..HAVE };
        assert_eq!(voter.cast(ballot(1, 2), behind, HAVE), None);
        let elsewhere = Ballot { reign: Reign { forks: 1, branch: 9, term: 2 }, ..ballot(1, 2) };
        assert_eq!(voter.cast(elsewhere, HAVE, HAVE), None);
        assert_eq!(voter.cast(Ballot { incarnation: 8, ..ballot(1, 2) }, HAVE, HAVE), None);
        assert_eq!(voter.cast(ballot(1, u32::MAX), HAVE, HAVE), None, "all terms at once");
        assert_eq!((voter.promised, &voter.voted), (0, &None), "and nothing was promised by that");
        assert!(voter.cast(ballot(1, 2), HAVE, HAVE).is_some());
    }

    #[test]
    fn a_candidate_stands_above_everything_promised_and_votes_for_itself() {
        let mut candidate = standing(1, order_of(FIRST, 1, &[0, 1, 2, 3]));
        assert_eq!(candidate.stand(0, None).unwrap().ballot.reign.term, 2);
        assert_eq!(candidate.stand(5, None).unwrap().ballot.reign.term, 6);
        assert_eq!(candidate.cast(ballot(2, 6), HAVE, HAVE), None, "its own vote is given");
        assert_eq!(candidate.stand(0, Some(9)).unwrap().ballot.reign.term, 9, "the term of an abdication");
        assert_eq!(candidate.stand(0, Some(9)).unwrap().ballot.reign.term, 10, "which was used");
        let leap = candidate.stand(u32::MAX, None).unwrap().ballot.reign.term;
        assert!(leap < 2_000, "a liar's promise uses up no terms: {leap}");
        candidate.host = None;
        assert!(candidate.stand(0, None).is_none());
        assert!(standing(4, order_of(FIRST, 1, &[0, 1, 2])).stand(0, None).is_none(), "not in the order");
    }

    fn votes(tally: &mut Tally, order: &Order, voters: &[u8]) {
        for &n in voters {
            assert!(tally.add(standing(n, order.clone()).cast(tally.ballot, HAVE, HAVE).unwrap()));
        }
    }

    #[test]
    fn a_majority_of_the_order_makes_a_takeover_that_verifies() {
        let order = order_of(FIRST, 1, &[0, 1, 2, 3]);
        let mut tally = standing(1, order.clone()).stand(0, None).unwrap();
        votes(&mut tally, &order, &[3]);
        assert_eq!(tally.takeover(&order), None, "two of four");
        let again = standing(3, order.clone()).cast(tally.ballot, HAVE, HAVE).unwrap();
        assert!(!tally.add(again), "one machine counts once");
        let other = standing(2, order.clone()).cast(ballot(2, 2), HAVE, HAVE).unwrap();
        assert!(!tally.add(other), "a vote for another");
        let mut forged = standing(2, order.clone()).cast(tally.ballot, HAVE, HAVE).unwrap();
        forged.voter = key(101).public();
        assert!(!tally.add(forged));
        votes(&mut tally, &order, &[2]);
        let takeover = tally.takeover(&order).unwrap();
        let made = takeover.verify(session(), 7, key(1).public().into(), FIRST);
        assert_eq!(made, Some(HostKey::from(key(52).public())));
    }

    /// Fails when votes with a later order count before it is adopted.
    #[test]
    fn votes_of_a_later_electorate_count_only_in_it() {
        let (old, new) = (order_of(FIRST, 1, &[0, 1, 2]), order_of(FIRST, 2, &[0, 1, 2, 3, 4]));
        let mut tally = standing(1, old.clone()).stand(0, None).unwrap();
        votes(&mut tally, &new, &[2]);
        assert_eq!(tally.takeover(&old), None, "two of three, but one of them knows that there are five");
        assert_eq!(tally.takeover(&new), None);
        votes(&mut tally, &new, &[3]);
        assert!(tally.takeover(&new).is_some());
    }

    /// Fails when a branch that is entered again begins with nothing promised.
    #[test]
    fn what_was_promised_in_a_branch_counts_when_it_is_entered_again() {
        let mut voter = standing(3, order_of(FIRST, 1, &[0, 1, 2, 3]));
        let given = voter.cast(ballot(1, 4), HAVE, HAVE);
        assert!(given.is_some());
        voter.enter_branch(Reign { forks: 1, branch: 9, term: 70 });
        assert_eq!((voter.promised, &voter.voted), (0, &None));
        assert!(voter.cast(ballot(2, 5), HAVE, HAVE).is_none(), "no vote for the branch that was left");
        voter.enter_branch(Reign { term: 2, ..FIRST });
        assert_eq!(voter.cast(ballot(2, 4), HAVE, HAVE), None);
        assert_eq!(voter.cast(ballot(1, 4), HAVE, HAVE), given);
    }

    #[test]
    fn a_fork_is_a_branch_of_its_own_and_its_term_is_far() {
        let order = order_of(FIRST, 1, &[0, 1]);
        let takeover = fork(&order, &key(102), &key(52), 0, 70_000).unwrap();
        assert_eq!((takeover.reign.forks, takeover.reign.branch), (1, 1), "0 is the founder's");
        assert!(takeover.reign.term > 4_000);
        let made = takeover.verify(session(), 7, key(1).public().into(), FIRST);
        assert_eq!(made, Some(HostKey::from(key(52).public())));
        assert!(FIRST.supersedes(takeover.reign));
    }
}
