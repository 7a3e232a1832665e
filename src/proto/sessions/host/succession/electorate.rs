//! Whose votes count under one host, and which of its orders most of them have (protocol.md, "Succession").
//!
//! The rule is Raft's for one server at a time: an order differs from the one before it by one machine at most, and
//! replaces it only once more than half of the machines in it have said that they have it. So of two orders in a row, any
//! majority of the one shares a machine with any majority of the other, and there is one next host at most. A host that is
//! cut off from most of its machines therefore cannot make itself their majority.

use std::collections::BTreeSet;

use crate::types::PublicKey;
use crate::wire::frame::Voter;

/// The voters of the present order.
#[derive(Debug, Clone)]
pub(in crate::proto::sessions) struct Electorate {
    cfg: u32,
    /// The host's own first.
    voters: Vec<Voter>,
    /// Who has this order; the host itself does.
    acks: BTreeSet<PublicKey>,
    /// Who has left for good and gives no vote to anybody any more: they need not say that they have an order.
    resigned: BTreeSet<PublicKey>,
}

impl Electorate {
    /// A founder's: itself alone.
    pub(super) fn alone(own: PublicKey) -> Self {
        Self::of(vec![Voter { seat: own, host: None }])
    }

    /// After a takeover: the machines of the order by which it was made. The new host comes first; its first order is theirs,
    /// and is not changed before most of them have it.
    pub(super) fn adopted(own: PublicKey, voters: &[Voter]) -> Self {
        let others = voters.iter().filter(|voter| voter.seat != own).copied();
        Self::of(std::iter::once(Voter { seat: own, host: None }).chain(others).collect())
    }

    fn of(voters: Vec<Voter>) -> Self {
        let mut this = Self { cfg: 1, voters, acks: BTreeSet::new(), resigned: BTreeSet::new() };
        this.begin();
        this
    }

    pub(super) fn cfg(&self) -> u32 {
        self.cfg
    }

    pub(super) fn voters(&self) -> &[Voter] {
        &self.voters
    }

    pub(super) fn acked(&self) -> usize {
        self.acks.len()
    }

    pub(super) fn has(&self, seat: PublicKey) -> bool {
        self.voters.iter().any(|voter| voter.seat == seat)
    }

    /// Half of the machines, and one.
    pub(super) fn quorum(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    /// Whether most have the present order.
    pub(super) fn is_acked(&self) -> bool {
        self.acks.len() >= self.quorum()
    }

    /// One machine has an order.
    pub(super) fn ack(&mut self, seat: PublicKey, cfg: u32) {
        if cfg == self.cfg && self.has(seat) {
            self.acks.insert(seat);
        }
    }

    /// One machine has left of its own accord.
    pub(super) fn resign(&mut self, seat: PublicKey) {
        if self.has(seat) {
            self.resigned.insert(seat);
            self.acks.insert(seat);
        }
    }

    /// One step towards the machines that shall vote, in their rank and without the host: the next order, if one is due and
    /// may be made.
    #[must_use]
    pub(super) fn step(&mut self, wanted: &[Voter]) -> bool {
        let (Some(own), true) = (self.voters.first().copied(), self.is_acked()) else { return false };
        let is_wanted = |seat: PublicKey| wanted.iter().any(|voter| voter.seat == seat);
        let others = || self.voters.iter().skip(1);
        let out = others().find(|voter| !is_wanted(voter.seat)).map(|voter| voter.seat);
        let new = wanted.iter().find(|voter| out.is_none() && !self.has(voter.seat)).map(|voter| voter.seat);
        let ranked = wanted.iter().filter(|voter| self.has(voter.seat) || Some(voter.seat) == new).copied();
        // Who goes with one of the next orders still votes in this one, and goes on as host no more.
        let leaving = others().filter(|voter| !is_wanted(voter.seat) && Some(voter.seat) != out);
        let leaving = leaving.map(|voter| Voter { host: None, ..*voter });
        let next: Vec<_> = std::iter::once(own).chain(ranked).chain(leaving).collect();
        if next == self.voters {
            return false;
        }
        self.voters = next;
        self.cfg = self.cfg.saturating_add(1);
        self.begin();
        true
    }

    /// A new order: the host has it, and whoever need not say so.
    fn begin(&mut self) {
        let seats: BTreeSet<_> = self.voters.iter().map(|voter| voter.seat).collect();
        self.resigned.retain(|seat| seats.contains(seat));
        self.acks.clone_from(&self.resigned);
        self.acks.extend(self.voters.first().map(|own| own.seat));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Identity;

    fn seat(number: u8) -> PublicKey {
        Identity::from_seed([number; 32]).unwrap().public()
    }

    fn voter(number: u8) -> Voter {
        Voter { seat: seat(number), host: Some(seat(100 + number).into()) }
    }

    fn voters(numbers: &[u8]) -> Vec<Voter> {
        numbers.iter().map(|&number| voter(number)).collect()
    }

    fn set(electorate: &Electorate) -> BTreeSet<PublicKey> {
        electorate.voters().iter().map(|voter| voter.seat).collect()
    }

    #[test]
    fn a_founder_alone_is_its_own_majority_and_grows_one_by_one() {
        let mut own = Electorate::alone(seat(1));
        assert!(own.is_acked());
        assert!(own.step(&voters(&[2, 3])), "the first change");
        assert_eq!((own.cfg(), own.voters().len(), own.quorum()), (2, 2, 2));
        assert!(!own.step(&voters(&[2, 3])), "not before most have it");
        own.ack(seat(3), 2);
        own.ack(seat(2), 1);
        assert!(!own.step(&voters(&[2, 3])), "a machine that does not vote, and an older order, count for nothing");
        own.ack(seat(2), 2);
        assert!(own.step(&voters(&[2, 3])));
        assert_eq!((own.cfg(), own.voters().len()), (3, 3));
    }

    #[test]
    fn a_new_host_changes_nothing_before_most_have_its_first_order() {
        let mut own = Electorate::adopted(seat(2), &voters(&[1, 2, 3, 4]));
        assert_eq!(own.voters().first(), Some(&Voter { seat: seat(2), host: None }));
        assert!(!own.step(&voters(&[3, 4])), "Raft's erratum: the first order of a term must be acked, too");
        own.ack(seat(3), 1);
        assert!(!own.step(&voters(&[3, 4])));
        own.ack(seat(4), 1);
        assert!(own.step(&voters(&[3, 4])));
        assert_eq!(set(&own), [seat(2), seat(3), seat(4)].into());
    }

    #[test]
    fn who_left_of_its_own_accord_holds_nothing_up_and_who_vanished_does() {
        let mut own = Electorate::adopted(seat(1), &voters(&[1, 2, 3]));
        own.ack(seat(2), 1);
        own.resign(seat(3));
        assert!(own.step(&voters(&[2])));
        own.resign(seat(2));
        assert!(own.step(&[]) && own.is_acked(), "both left: the host is alone");
        let mut own = Electorate::adopted(seat(1), &voters(&[1, 2, 3]));
        own.ack(seat(2), 1);
        assert!(own.step(&voters(&[2])));
        assert!(!own.step(&[]), "two of two are needed and one has vanished");
    }

    /// All that can happen to three machines and a host, four moves deep: whoever wants in or out, whoever acks.
    #[test]
    fn orders_in_a_row_share_a_machine_in_every_majority() {
        #[derive(Clone)]
        struct World {
            electorate: Electorate,
            wanted: u8,
            depth: u32,
        }
        let mut seen = 0_u32;
        let mut open = Vec::new();
        for first in 0..8 {
            let own: Vec<u8> = std::iter::once(1).chain(members(first)).collect();
            open.push(World { electorate: Electorate::adopted(seat(1), &voters(&own)), wanted: first, depth: 0 });
        }
        while let Some(world) = open.pop() {
            seen += 1;
            if world.depth == 4 {
                continue;
            }
            for number in 2..=4 {
                let mut next = world.clone();
                next.depth += 1;
                next.electorate.ack(seat(number), next.electorate.cfg());
                open.push(next);
            }
            for wanted in (0..8).filter(|wanted| (wanted ^ world.wanted).count_ones() <= 2) {
                let mut next = world.clone();
                (next.depth, next.wanted) = (world.depth + 1, wanted);
                let before = next.electorate.clone();
                let list: Vec<u8> = members(wanted).collect();
                if next.electorate.step(&voters(&list)) {
                    check(&before, &next.electorate);
                }
                open.push(next);
            }
        }
        assert!(seen > 10_000, "{seen}");
    }

    fn members(bits: u8) -> impl Iterator<Item = u8> {
        (0..3).filter(move |bit| bits & (1 << bit) != 0).map(|bit| bit + 2)
    }

    /// S3 of the invariants, and what it is for.
    fn check(before: &Electorate, after: &Electorate) {
        assert_eq!(after.cfg(), before.cfg() + 1);
        assert!(before.is_acked(), "an order is replaced once most have it");
        let (old, new) = (set(before), set(after));
        assert!(old.symmetric_difference(&new).count() <= 1, "one machine at a time");
        assert!(before.voters().first() == after.voters().first(), "the host stays");
        for left in subsets(&old).filter(|some| some.len() >= before.quorum()) {
            for right in subsets(&new).filter(|some| some.len() >= after.quorum()) {
                assert!(!left.is_disjoint(&right), "{left:?} and {right:?} could both make a host");
            }
        }
    }

    fn subsets(all: &BTreeSet<PublicKey>) -> impl Iterator<Item = BTreeSet<PublicKey>> + '_ {
        (0_u32..1 << all.len())
            .map(|bits| all.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0).map(|(_, seat)| *seat).collect())
    }
}
