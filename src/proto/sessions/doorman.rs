//! Who may stand at the door: connections that hold no seat (protocol.md, "Before the seat").
//!
//! Keys are free and connects are cheap, so the cap never refuses a newcomer: it evicts, from the source with the most
//! such connections, the one with the least progress, the oldest first. Silent connects, however many and from wherever,
//! so cost a joiner nothing. A source from which seats are held has as many places more: members that lost their host
//! together come back together.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::proto::clock::Moment;
use crate::proto::io::LinkId;
use crate::proto::limits::PRE_SEAT;
use crate::proto::tuning::Tuning;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Nothing was sent.
    Silent,
    /// A TLS record begins.
    Hello,
    /// The key is proved.
    Open,
    /// It has asked for a seat and waits for a word: it has no deadline here, what it waits for has.
    Joining,
}

#[derive(Debug)]
struct Guest {
    source: IpAddr,
    stage: Stage,
    deadline: Option<Moment>,
    arrived: u64,
}

#[derive(Debug, Default)]
pub(super) struct Doorman {
    guests: BTreeMap<LinkId, Guest>,
    arrivals: u64,
}

impl Doorman {
    /// Whether it may be that nobody comes in but for another.
    pub(super) fn is_crowded(&self) -> bool {
        self.guests.len() >= PRE_SEAT
    }

    /// Lets a connection in; the one to close for it, if the door is crowded. `roster` says from where how many seats are
    /// held; it is looked at only where the door [is crowded](Self::is_crowded).
    pub(super) fn admit(
        &mut self,
        now: Moment,
        tuning: &Tuning,
        link: LinkId,
        source: IpAddr,
        roster: &BTreeMap<IpAddr, usize>,
    ) -> Option<LinkId> {
        let evicted = if self.is_crowded() { self.victim(source, roster) } else { None };
        if let Some(evicted) = evicted {
            self.guests.remove(&evicted);
        }
        self.arrivals += 1;
        let deadline = Some(now + tuning.first_byte);
        self.guests.insert(link, Guest { source, stage: Stage::Silent, deadline, arrived: self.arrivals });
        evicted
    }

    /// Whom the newcomer costs its place: nobody while its source has places of its own, or the others keep to theirs.
    fn victim(&self, newcomer: IpAddr, roster: &BTreeMap<IpAddr, usize>) -> Option<LinkId> {
        let own = |source: &IpAddr| roster.get(source).copied().unwrap_or_default();
        let mut per_source = BTreeMap::<IpAddr, usize>::new();
        for guest in self.guests.values() {
            *per_source.entry(guest.source).or_default() += 1;
        }
        if per_source.get(&newcomer).copied().unwrap_or_default() < own(&newcomer) {
            return None;
        }
        let over: BTreeMap<_, _> =
            per_source.into_iter().map(|(source, count)| (source, count.saturating_sub(own(&source)))).collect();
        if over.values().sum::<usize>() < PRE_SEAT {
            return None;
        }
        let over = |guest: &Guest| over.get(&guest.source).copied().unwrap_or_default();
        self.guests
            .iter()
            .min_by_key(|(_, guest)| (usize::MAX - over(guest), guest.stage, guest.arrived))
            .map(|(&link, _)| link)
    }

    /// It came further; stages never go back.
    pub(super) fn reached(&mut self, now: Moment, tuning: &Tuning, link: LinkId, stage: Stage) {
        if let Some(guest) = self.guests.get_mut(&link) {
            if stage > guest.stage {
                guest.stage = stage;
                guest.deadline = match stage {
                    Stage::Silent => Some(now + tuning.first_byte),
                    Stage::Hello => Some(now + tuning.handshake),
                    Stage::Open => Some(now + tuning.join_frame),
                    Stage::Joining => None,
                };
            }
        }
    }

    pub(super) fn remove(&mut self, link: LinkId) {
        self.guests.remove(&link);
    }

    /// Those that used up the time of their stage.
    pub(super) fn expired(&self, now: Moment) -> Vec<LinkId> {
        self.guests.iter().filter(|(_, g)| g.deadline.is_some_and(|at| at <= now)).map(|(&link, _)| link).collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.guests.values().filter_map(|guest| guest.deadline).min()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.guests.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn nobody() -> BTreeMap<IpAddr, usize> {
        BTreeMap::new()
    }

    #[test]
    fn a_crowd_loses_its_least_advanced_and_oldest_and_others_lose_nothing() {
        let (mut door, tuning, now) = (Doorman::default(), Tuning::default(), Moment::ZERO);
        assert_eq!(door.admit(now, &tuning, LinkId(1), source(1), &nobody()), None);
        for link in 0..63 {
            assert_eq!(door.admit(now, &tuning, LinkId(1_001 + link), source(2), &nobody()), None);
        }
        door.reached(now, &tuning, LinkId(1_001), Stage::Hello);
        assert_eq!(door.admit(now, &tuning, LinkId(3), source(3), &nobody()), Some(LinkId(1_002)));
        assert_eq!(door.admit(now, &tuning, LinkId(5), source(3), &nobody()), Some(LinkId(1_003)));
        assert_eq!(door.len(), PRE_SEAT);
    }

    #[test]
    fn whoever_makes_progress_from_the_crowds_own_address_stays() {
        let (mut door, tuning, now) = (Doorman::default(), Tuning::default(), Moment::ZERO);
        door.admit(now, &tuning, LinkId(1), source(1), &nobody());
        door.reached(now, &tuning, LinkId(1), Stage::Hello);
        for link in 1..1_000 {
            assert_ne!(door.admit(now, &tuning, LinkId(link * 2 + 1), source(1), &nobody()), Some(LinkId(1)));
        }
    }

    /// Fails when `roster` is not looked at: the 65th of the roster then evicts the first.
    #[test]
    fn a_whole_roster_comes_back_from_one_address_and_strangers_there_gain_nothing_by_it() {
        let (mut door, tuning, now) = (Doorman::default(), Tuning::default(), Moment::ZERO);
        let roster = BTreeMap::from([(source(1), 100)]);
        for link in 0..100 {
            assert_eq!(door.admit(now, &tuning, LinkId(link * 2 + 1), source(1), &roster), None);
        }
        // Beyond it that source is one of all.
        for link in 100..164 {
            assert_eq!(door.admit(now, &tuning, LinkId(link * 2 + 1), source(1), &roster), None);
        }
        assert_eq!(door.admit(now, &tuning, LinkId(999), source(1), &roster), Some(LinkId(1)));
        assert_eq!(door.admit(now, &tuning, LinkId(1_001), source(2), &roster), Some(LinkId(3)));
        assert_eq!(door.len(), 164);
    }

    #[test]
    fn each_stage_has_its_own_time() {
        let (mut door, tuning) = (Doorman::default(), Tuning::default());
        let start = Moment::ZERO;
        door.admit(start, &tuning, LinkId(1), source(1), &nobody());
        assert_eq!(door.next_deadline(), Some(start + tuning.first_byte));
        assert!(door.expired(start + tuning.first_byte - std::time::Duration::from_micros(1)).is_empty());
        assert_eq!(door.expired(start + tuning.first_byte), [LinkId(1)]);
        door.reached(start, &tuning, LinkId(1), Stage::Open);
        assert_eq!(door.next_deadline(), Some(start + tuning.join_frame));
        door.reached(start, &tuning, LinkId(1), Stage::Hello);
        door.reached(start, &tuning, LinkId(1), Stage::Joining);
        assert_eq!(door.next_deadline(), None);
    }
}
