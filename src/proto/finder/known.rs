//! Known answers: who is in this list need not answer (protocol.md, "Query"). No bearing on liveness.

use crate::proto::lan::Cx;
use crate::types::SessionKey;
use crate::wire::datagram::{Known, Query};
use crate::wire::hash::{bloom_insert, known_tag};

/// One entry in its present state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KnownSession {
    pub(crate) key: SessionKey,
    pub(crate) incarnation: u64,
    pub(crate) term: u32,
    pub(crate) revision: u64,
}

/// The most tags that are listed singly.
const TAGS: usize = 40;
const HASHES: u8 = 7;

/// At most 40 tags; beyond that a Bloom filter of 200 bytes, or as many as fit. None where it would be so full that it
/// silences hosts it does not hold.
pub(super) fn known(cx: &mut Cx<'_>, query: &Query, sessions: &[KnownSession]) -> Known {
    let tag = |s: &KnownSession| known_tag(query.nonce, s.key, s.incarnation, s.term, s.revision);
    let room = query.room_for_known();
    if sessions.is_empty() {
        return Known::None;
    }
    if sessions.len() <= TAGS && sessions.len() * 6 <= room {
        return Known::Tags(sessions.iter().map(tag).collect());
    }
    let size = if sessions.len() <= 128 { 200.min(room) } else { room };
    // Fill under 0.42 with 7 hashes is a false answer in 400; over it, 40 random tags are better than silence.
    let places = sessions.len() * usize::from(HASHES);
    if size == 0 || places * 2 > size * 8 * 3 {
        let mut some = Vec::new();
        for _ in 0..TAGS.min(room / 6) {
            if let Some(session) = sessions.get(cx.dice.below(sessions.len())) {
                some.push(tag(session));
            }
        }
        some.sort_unstable();
        some.dedup();
        return if some.is_empty() { Known::None } else { Known::Tags(some) };
    }
    let mut bits = vec![0; size];
    for session in sessions {
        bloom_insert(&mut bits, HASHES, tag(session));
    }
    Known::Bloom { bits, hashes: HASHES }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::proto::clock::Moment;
    use crate::proto::lan::{Dice, Net, Nonces};
    use crate::proto::tuning::Tuning;
    use crate::types::{Identity, PathKind, SessionId};
    use crate::wire::datagram::{GameTag, Target};
    use crate::wire::hash::bloom_contains;

    /// What a question says of so many sessions, and their tags.
    fn said(count: u64) -> (Known, Vec<[u8; 6]>) {
        let founder = Identity::from_seed([1; 32]).unwrap().public().into();
        let session = |number: u64| {
            let key = SessionKey { id: SessionId::from_name(&number.to_string()), founder };
            KnownSession { key, incarnation: 1, term: 1, revision: number }
        };
        let sessions: Vec<_> = (0..count).map(session).collect();
        let query = Query {
            nonce: 7,
            many: false,
            renew: false,
            cookie: None,
            path: PathKind::LimitedBroadcast,
            target: Target::Any,
            take: 0,
            expect: 0,
            cap: 0,
            rank: None,
            filter: None,
            known: Known::None,
        };
        let tags = sessions.iter().map(|s| known_tag(7, s.key, s.incarnation, s.term, s.revision)).collect();
        let (net, tuning) = (Net::new(20_000), Tuning::default());
        let (mut nonces, mut dice, mut out) = (Nonces::default(), Dice::new([1; 32]), VecDeque::new());
        let mut cx = Cx {
            now: Moment::ZERO,
            net: &net,
            nonces: &mut nonces,
            dice: &mut dice,
            out: &mut out,
            tuning: &tuning,
            game: GameTag([0; 8]),
            beacons: true,
        };
        (known(&mut cx, &query, &sessions), tags)
    }

    #[test]
    fn few_are_listed_many_are_filtered_and_too_many_are_drawn() {
        assert_eq!(said(0).0, Known::None);
        for count in [1, 40] {
            let (known, tags) = said(count);
            assert_eq!(known, Known::Tags(tags));
        }
        for (count, bytes) in [(41, 200), (128, 200), (129, 1_000), (1_000, 1_000)] {
            let (Known::Bloom { bits, hashes }, tags) = said(count) else { panic!("{count} are no filter") };
            assert!(bits.len() >= bytes && bits.len() <= 1_100, "{count}: {}", bits.len());
            assert!(tags.iter().all(|tag| bloom_contains(&bits, hashes, *tag)));
            // Hardly anybody else is silenced.
            let others = (0..1_000_u16).filter(|other| {
                let [high, low] = other.to_be_bytes();
                bloom_contains(&bits, hashes, [0xee, high, low, high, low, 0xdd])
            });
            assert!(others.count() < 30, "{count}");
        }
        let (Known::Tags(some), tags) = said(2_000) else { panic!("a filter that is full") };
        assert!((30..=TAGS).contains(&some.len()) && some.iter().all(|tag| tags.contains(tag)));
    }
}
