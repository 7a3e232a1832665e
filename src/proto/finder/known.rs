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
