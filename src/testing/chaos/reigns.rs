//! What must hold of a session that moves from host to host (protocol.md, "Host migration"): who reigned, who voted for whom,
//! which orders were made and who had them. Everything is seen inside the engines, after each step.
//!
//! | | |
//! |---|---|
//! | S1 | one host in each term of a branch, and no vote of a later electorate counted in an earlier one |
//! | S2 | one vote of each machine in a term of a branch: those that it remembers and those in takeovers |
//! | S3 | orders in a row differ by one machine, and one is replaced once most of its machines have it |
//! | S4 | promised term, order and revision never go back inside a branch at one machine |
//! | S5 | a seat is a host's or a member's, and goes from a reign to one that supersedes it or came out of it |
//! | S15 | nobody is host without a chain of proofs from the founder |
//! | S16 | a host's first revision is behind all that those had who voted for it |
//! | S17 | nobody who follows a host that it hears votes for another |
//! | S21 | what only the host knows is at the first successors and nowhere else |

use std::collections::{BTreeMap, BTreeSet};

use super::invariants::check;
use crate::proto::io::SeatId;
use crate::proto::sessions::{HostView, MemberView, VoterView};
use crate::types::{HostKey, PublicKey, Revision, SessionKey};
use crate::wire::frame::{Order, Reign, Takeover, follow};

/// One run of a session: its key may be used again.
type Run = (SessionKey, u64);

/// What one machine was last seen with.
struct Last {
    reign: Reign,
    revision: Revision,
    linked: bool,
}

struct Voted {
    candidate: PublicKey,
    /// Of the order that came with it, and of the state that it had; where that was seen.
    had: Option<((u32, u32), Revision)>,
}

struct Made {
    voters: BTreeSet<PublicKey>,
    holders: BTreeSet<PublicKey>,
}

#[derive(Default)]
pub(super) struct Reigns {
    hosts: BTreeMap<(Run, Reign), HostKey>,
    votes: BTreeMap<(Run, Reign, PublicKey), Voted>,
    orders: BTreeMap<(Run, Reign, u32), Made>,
    /// The last order of each reign.
    latest: BTreeMap<(Run, Reign), u32>,
    seats: BTreeMap<(usize, SeatId), Last>,
    promised: BTreeMap<(PublicKey, u16, u64), u32>,
    held: BTreeMap<PublicKey, (Reign, u32)>,
    /// The seat keys in each process, and those that are there no more.
    present: BTreeMap<usize, Vec<PublicKey>>,
    gone: BTreeSet<PublicKey>,
}

fn age(order: &Order) -> (u32, u32) {
    (order.reign.term, order.cfg)
}

impl Reigns {
    pub(super) fn host(&mut self, process: usize, host: &HostView<'_>) -> Result<(), String> {
        let (run, reign) = ((host.key, host.incarnation), host.reign);
        let known = self.hosts.get(&(run, reign)).copied();
        check(known.is_none_or(|known| known == host.host_key), || {
            format!("S1: {:?} has two hosts in {reign:?}", host.key)
        })?;
        if known.is_none() {
            self.hosts.insert((run, reign), host.host_key);
            let made = follow(host.key, host.incarnation, host.lineage);
            // Without a policy there is one host and one term.
            let proved = host.voter.is_none() || made == Some((host.host_key, reign));
            check(proved, || format!("S15: {:?} has a host without a proof in {reign:?}", host.key))?;
            if let Some(takeover) = host.lineage.last() {
                self.takeover(run, takeover, host)?;
            }
        }
        self.moved((process, host.seat), reign, host.lineage, host.state.revision, None)?;
        if let Some(order) = host.order {
            self.order(run, order)?;
        }
        Ok(())
    }

    fn takeover(&mut self, run: Run, takeover: &Takeover, host: &HostView<'_>) -> Result<(), String> {
        let (order, reign) = (&takeover.order, takeover.reign);
        let place = |at: u16| order.voters.get(usize::from(at)).map(|voter| voter.seat);
        let Some(candidate) = place(takeover.candidate) else { return Ok(()) };
        let mut highest = None;
        for voter in takeover.votes.iter().filter_map(|&(at, _)| place(at)) {
            self.vote(run, reign, voter, candidate, None)?;
            let had = self.votes.get(&(run, reign, voter)).and_then(|voted| voted.had);
            check(had.is_none_or(|(of, _)| of <= age(order)), || {
                format!("S1: a vote of the electorate {had:?} counted in that of {:?}", age(order))
            })?;
            highest = highest.max(had.map(|(_, revision)| revision));
        }
        let behind = reign.same_branch(order.reign) && highest.is_some_and(|had: Revision| had.number >= host.began);
        check(!behind, || format!("S16: {reign:?} begins at {} and a voter had {highest:?}", host.began))
    }

    fn vote(
        &mut self,
        run: Run,
        reign: Reign,
        voter: PublicKey,
        candidate: PublicKey,
        had: Option<((u32, u32), Revision)>,
    ) -> Result<(), String> {
        let voted = self.votes.entry((run, reign, voter)).or_insert(Voted { candidate, had });
        check(voted.candidate == candidate, || format!("S2: {voter:?} has two votes in {reign:?} of {:?}", run.0))
    }

    /// S3.
    fn order(&mut self, run: Run, order: &Order) -> Result<(), String> {
        let (reign, cfg) = (order.reign, order.cfg);
        let last = self.latest.insert((run, reign), cfg);
        if last == Some(cfg) {
            return Ok(());
        }
        let voters: BTreeSet<_> = order.voters.iter().map(|voter| voter.seat).collect();
        if let Some((last, made)) = last.and_then(|last| Some((last, self.orders.get(&(run, reign, last))?))) {
            let changed = made.voters.symmetric_difference(&voters).count();
            let steps = usize::try_from(cfg.saturating_sub(last)).unwrap_or(0);
            check(cfg > last && changed <= steps, || {
                format!("S3: {changed} machines changed from order {last} to {cfg} of {reign:?}")
            })?;
            // Who is there no more may have resigned.
            let have = made.voters.iter().filter(|seat| made.holders.contains(seat) || self.gone.contains(seat));
            let (have, quorum) = (have.count() + 1, made.voters.len() / 2 + 1);
            check(steps > 1 || have >= quorum, || {
                format!("S3: order {last} of {reign:?} was replaced while {have} of {} had it", made.voters.len())
            })?;
        }
        self.orders.insert((run, reign, cfg), Made { voters, holders: BTreeSet::new() });
        Ok(())
    }

    pub(super) fn member(&mut self, process: usize, seat: &MemberView<'_>) -> Result<(), String> {
        let at = (process, seat.seat);
        let was_linked = self.seats.get(&at).is_some_and(|last| last.linked);
        self.moved(at, seat.reign, seat.lineage, seat.state.revision, Some(seat.linked))?;
        match &seat.voter {
            Some(voter) => self.voter(seat, voter, was_linked && seat.linked),
            None => Ok(()),
        }
    }

    fn voter(&mut self, seat: &MemberView<'_>, voter: &VoterView<'_>, follows: bool) -> Result<(), String> {
        let branch = (voter.key, voter.branch.forks, voter.branch.branch);
        let before = self.promised.insert(branch, voter.promised).unwrap_or(0);
        check(before <= voter.promised, || format!("S4: a promise of {before} became {}", voter.promised))?;
        if let Some(order) = voter.order {
            let run = (order.session, order.incarnation);
            let own = (order.reign, order.cfg);
            if self.held.insert(voter.key, own) != Some(own) {
                if let Some(made) = self.orders.get_mut(&(run, order.reign, order.cfg)) {
                    made.holders.insert(voter.key);
                }
            }
        }
        if let Some(vote) = voter.voted {
            let ballot = &vote.ballot;
            let run = (ballot.session, ballot.incarnation);
            if !self.votes.contains_key(&(run, ballot.reign, vote.voter)) {
                let host = voter.order.and_then(|order| order.voters.first()).map(|host| host.seat);
                let elsewhere = vote.voter == voter.key && host != Some(ballot.candidate);
                check(!(follows && elsewhere), || {
                    format!("S17: a machine that follows the host of {:?} votes for another", seat.key)
                })?;
            }
            let had = (vote.voter == voter.key).then(|| (age(&vote.order), seat.state.revision));
            self.vote(run, ballot.reign, vote.voter, ballot.candidate, had)?;
        }
        // Who was host itself has it until the next one's first order.
        let own = voter.order.is_none_or(|order| order.voters.first().is_some_and(|host| host.seat == voter.key));
        check(!voter.keeps || voter.may_keep || own, || {
            format!("S21: a machine that is no keeper of {:?} has the host's own part", seat.key)
        })
    }

    /// S4 of revisions, S5.
    fn moved(
        &mut self,
        at: (usize, SeatId),
        reign: Reign,
        lineage: &[Takeover],
        revision: Revision,
        linked: Option<bool>,
    ) -> Result<(), String> {
        let new = Last { reign, revision, linked: linked.unwrap_or(true) };
        let Some(last) = self.seats.insert(at, new) else { return Ok(()) };
        // Who goes on alone does so from the last order that it has, which may be older than the host that it followed.
        let alone = linked.is_none() && reign.forks > last.reign.forks;
        let descends = || alone || lineage.iter().any(|takeover| takeover.order.reign == last.reign);
        let onward = last.reign == reign || reign.supersedes(last.reign) || descends();
        check(onward, || format!("S5: {at:?} goes from {:?} back to {reign:?}", last.reign))?;
        // One that follows another branch already may have no state of it yet.
        let of_reign = last.revision.term == last.reign.term;
        let back = of_reign && reign.same_branch(last.reign) && revision < last.revision;
        check(!back, || format!("S4: {at:?} goes from {} back to {revision} in {reign:?}", last.revision))
    }

    /// The seat keys of one process as they are now; none, when it is no more.
    pub(super) fn present(&mut self, process: usize, keys: Vec<PublicKey>) {
        if self.present.get(&process) == Some(&keys) {
            return;
        }
        let before = self.present.insert(process, keys).unwrap_or_default();
        let keys = self.present.get(&process);
        self.gone.extend(before.into_iter().filter(|key| keys.is_none_or(|keys| !keys.contains(key))));
    }
}
