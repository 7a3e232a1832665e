//! A member's seat as the host holds it: its link, its queue, its requests.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::super::core::Core;
use super::token::SeatToken;
use crate::proto::clock::Moment;
use crate::proto::limits;
use crate::proto::links::{Bucket, Encoded, Link, encode};
use crate::proto::tuning::Tuning;
use crate::types::{AccountId, InviteId, Revision, SessionId};
use crate::wire::frame::{Frame, MAX_MESSAGE};
use crate::wire::hash;

#[derive(Debug)]
pub(super) struct Seat {
    /// `None` while the member is away.
    pub(super) link: Option<Link>,
    /// Whether the link has its `Accept`, so deltas may follow.
    pub(super) receiving: bool,
    /// Same account and same nonce = the same seat again.
    pub(super) nonce: [u8; 16],
    pub(super) peer_incarnation: u64,
    /// What brings its member back over another link.
    pub(super) token: SeatToken,
    /// Where its latest link came from.
    pub(super) source: Option<IpAddr>,
    /// Until its holder's first word the seat is free again at once when the link closes.
    pub(super) confirmed: bool,
    /// Whether it proved the password, where there is one; an invite may stand for it.
    pub(super) proved: bool,
    /// The invites of its latest requests, by their numbers: for an answer that was lost.
    pub(super) invited: VecDeque<(u32, Vec<InviteId>)>,
    /// What the game itself may use as a key with this member.
    pub(super) game_key: [u8; 32],
    pub(super) accepted: Moment,
    pub(super) away_until: Option<Moment>,
    pub(super) applied: Applied,
    pub(super) says: Bucket,
    pub(super) updates: Bucket,
    /// The queue was full: deltas are dropped, a snapshot follows once it has drained.
    collapsed: bool,
    /// Reserved for its account, which has not come for it yet.
    pub(super) held: bool,
    /// Who took it for its account in a join of several, until that account's own link is there.
    pub(super) leader: Option<AccountId>,
    /// The seat whose process brought this one along.
    pub(super) machine: Option<AccountId>,
    /// A long message that deltas need not wait for: its bytes, and those until it is written, what stands before it included.
    transfer: (usize, usize),
    last_resync: Option<Moment>,
    resync: Option<Revision>,
}

impl Seat {
    pub(super) fn new(now: Moment, session: SessionId, link: Link, nonce: [u8; 16], peer_incarnation: u64) -> Self {
        Self {
            game_key: hash::bound(&link.binding, "game", session),
            source: Some(link.remote.ip()),
            link: Some(link),
            peer_incarnation,
            ..Self::without_link(now, nonce)
        }
    }

    fn without_link(now: Moment, nonce: [u8; 16]) -> Self {
        Self {
            link: None,
            receiving: false,
            nonce,
            peer_incarnation: 0,
            token: SeatToken::default(),
            source: None,
            confirmed: false,
            game_key: [0; 32],
            proved: false,
            invited: VecDeque::new(),
            accepted: now,
            away_until: None,
            applied: Applied::default(),
            says: Bucket::new(now),
            updates: Bucket::new(now),
            collapsed: false,
            held: false,
            leader: None,
            machine: None,
            transfer: (0, 0),
            last_resync: None,
            resync: None,
        }
    }

    /// For an account that is not there.
    pub(super) fn held(now: Moment, nonce: [u8; 16]) -> Self {
        Self { held: true, ..Self::without_link(now, nonce) }
    }

    /// For another local user of a joiner: its link is on the way.
    pub(super) fn awaited(now: Moment, nonce: [u8; 16], until: Moment, leader: AccountId) -> Self {
        Self { away_until: Some(until), leader: Some(leader), machine: Some(leader), ..Self::without_link(now, nonce) }
    }

    /// Another connection takes the seat over; the former link, if there was one.
    pub(super) fn attach(&mut self, now: Moment, session: SessionId, link: Link) -> Option<Link> {
        self.game_key = hash::bound(&link.binding, "game", session);
        self.receiving = false;
        self.collapsed = false;
        self.resync = None;
        self.accepted = now;
        self.away_until = None;
        self.leader = None;
        self.source = Some(link.remote.ip());
        self.transfer = (0, 0);
        self.link.replace(link)
    }

    /// Queues a commit or a lobby message; over the cap, it is dropped and a snapshot will follow.
    pub(super) fn deliver(&mut self, core: &mut Core, message: &Encoded) {
        let Some(link) = self.link.as_mut().filter(|_| self.receiving) else { return };
        let (size, left) = self.transfer;
        let queued = link.queued().saturating_sub(size.min(left));
        let full = queued > 0 && queued + super::size_of(message) > limits::SEND_QUEUE;
        self.collapsed |= full;
        if !self.collapsed {
            link.send_encoded(core.now, &mut core.actions, message);
        }
    }

    /// Queues what must not be dropped; false where even that is too much: the link is to be given up.
    #[must_use]
    pub(super) fn insist(&mut self, core: &mut Core, frame: &Frame) -> bool {
        self.link.is_none() || self.insist_encoded(core, &encode(frame))
    }

    /// The same for a message that is encoded already.
    #[must_use]
    pub(super) fn insist_encoded(&mut self, core: &mut Core, message: &Encoded) -> bool {
        let Some(link) = &mut self.link else { return true };
        link.send_encoded(core.now, &mut core.actions, message);
        // One snapshot may be under way beside the queue.
        link.queued() <= MAX_MESSAGE + 2 * limits::SEND_QUEUE
    }

    /// Queues a long message, beside the queue's cap; one at a time.
    pub(super) fn transfer(&mut self, core: &mut Core, message: &Encoded) {
        if let Some(link) = &mut self.link {
            link.send_encoded(core.now, &mut core.actions, message);
            self.transfer = (super::size_of(message), link.queued());
        }
    }

    /// Whether the last of them is under way.
    pub(super) fn is_transferring(&self) -> bool {
        self.transfer.1 > 0
    }

    /// Some bytes were taken; whether it is time for the snapshot that stands for what was dropped.
    #[must_use]
    pub(super) fn written(&mut self, now: Moment, bytes: usize) -> bool {
        let Some(link) = &mut self.link else { return false };
        link.written(now, bytes);
        self.transfer.1 = self.transfer.1.saturating_sub(bytes);
        self.receiving && self.collapsed && link.queued() <= limits::SEND_QUEUE / 2
    }

    /// The snapshot stands for every delta that was dropped.
    pub(super) fn send_snapshot(&mut self, core: &mut Core, message: &Encoded) {
        self.collapsed = false;
        if let Some(link) = &mut self.link {
            link.send_encoded(core.now, &mut core.actions, message);
        }
    }

    /// The member missed something. Answered at most once per interval; the last question counts.
    pub(super) fn ask_resync(&mut self, have: Revision) {
        self.resync = Some(have);
    }

    fn resync_at(&self, tuning: &Tuning) -> Option<Moment> {
        self.resync.map(|_| self.last_resync.map_or(Moment::ZERO, |last| last + tuning.resync))
    }

    /// A resync that is due.
    pub(super) fn take_resync(&mut self, now: Moment, tuning: &Tuning) -> Option<Revision> {
        let due = self.receiving && self.resync_at(tuning).is_some_and(|at| at <= now);
        if !due {
            return None;
        }
        self.last_resync = Some(now);
        self.resync.take()
    }

    pub(super) fn is_collapsed(&self) -> bool {
        self.collapsed
    }

    pub(super) fn deadline(&self, tuning: &Tuning, silence: Duration) -> Option<Moment> {
        let Some(link) = &self.link else { return self.away_until };
        let confirm = (!self.confirmed).then(|| self.accepted + tuning.confirm);
        let mut next = link.heartbeat_at(tuning.heartbeat).min(link.silent_at(silence));
        for at in [link.stalled_at(tuning.stalled_reader), confirm, self.resync_at(tuning)].into_iter().flatten() {
            next = next.min(at);
        }
        Some(next)
    }

    pub(super) fn excuse(&mut self, now: Moment, by: Duration) {
        if let Some(link) = &mut self.link {
            link.excuse(now);
        }
        self.accepted = self.accepted + by;
        self.away_until = self.away_until.map(|at| at + by);
    }
}

/// Which request numbers took effect: the highest, and a bit for each of the 64 up to it.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Applied {
    high: u32,
    window: u64,
}

impl Applied {
    pub(in super::super) fn contains(self, number: u32) -> bool {
        match self.high.checked_sub(number) {
            None => false,
            Some(back) => back >= 64 || self.window & (1 << back) != 0,
        }
    }

    pub(in super::super) fn insert(&mut self, number: u32) {
        match self.high.checked_sub(number) {
            None => {
                self.window = self.window.checked_shl(number - self.high).unwrap_or(0) | 1;
                self.high = number;
            }
            Some(back) if back < 64 => self.window |= 1 << back,
            Some(_) => {}
        }
    }

    /// What took effect by either.
    pub(in super::super) fn and(self, other: Self) -> Self {
        let (older, newer) = if self.high < other.high { (self, other) } else { (other, self) };
        let window = older.window.checked_shl(newer.high - older.high).unwrap_or(0);
        Self { window: newer.window | window, ..newer }
    }
}

/// As it is kept by successors.
impl From<(u32, u64)> for Applied {
    fn from((high, window): (u32, u64)) -> Self {
        Self { high, window }
    }
}

impl From<Applied> for (u32, u64) {
    fn from(applied: Applied) -> Self {
        (applied.high, applied.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_counts_once_and_a_refused_one_may_come_again() {
        let mut applied = Applied::default();
        assert!(!applied.contains(1));
        applied.insert(1);
        applied.insert(3);
        assert!(applied.contains(1) && !applied.contains(2) && applied.contains(3) && !applied.contains(4));
        applied.insert(2);
        assert!(applied.contains(2));
        applied.insert(100);
        assert!(applied.contains(3) && applied.contains(100) && !applied.contains(99) && !applied.contains(101));
    }

    #[test]
    fn what_either_knows_took_effect() {
        let of = |numbers: &[u32]| {
            let mut applied = Applied::default();
            numbers.iter().for_each(|&number| applied.insert(number));
            applied
        };
        for (a, b) in [(&[1, 3][..], &[2, 5][..]), (&[70], &[1, 69]), (&[200], &[3]), (&[], &[4])] {
            let all = [a, b].concat();
            for both in [of(a).and(of(b)), of(b).and(of(a))] {
                assert!(all.iter().all(|&number| both.contains(number)), "{a:?} {b:?}");
                assert_eq!(<(u32, u64)>::from(both), of(&[a, b].concat()).into(), "{a:?} {b:?}");
            }
        }
    }
}
