//! One open link: parts into messages, messages into frames, and what is known of its health.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::proto::clock::Moment;
use crate::proto::io::{Action, LinkId};
use crate::types::PublicKey;
use crate::wire::frame::{Assembler, Frame, frames};

/// A message as it goes onto the stream: its frames, headers included. Shared, because a delta goes to every member.
pub(crate) type Encoded = Arc<[Vec<u8>]>;

pub(crate) fn encode(frame: &Frame) -> Encoded {
    frames(frame).into()
}

/// A peer whose key is proved, at the other end of a link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) peer: PublicKey,
    /// The channel's exporter value, the same on both sides.
    pub(crate) binding: [u8; 32],
    pub(crate) remote: SocketAddr,
    assembler: Assembler,
    queued: usize,
    heard: Moment,
    sent: Moment,
    /// When the peer last took something, or when the queue last began to fill.
    moved: Moment,
}

impl Link {
    pub(crate) fn new(now: Moment, id: LinkId, peer: PublicKey, binding: [u8; 32], remote: SocketAddr) -> Self {
        Self {
            id,
            peer,
            binding,
            remote,
            assembler: Assembler::default(),
            queued: 0,
            heard: now,
            sent: now,
            moved: now,
        }
    }

    /// One frame came. `Ok(None)`: more parts are to come, or the kind is unknown and ignored.
    pub(crate) fn receive(
        &mut self,
        now: Moment,
        kind: u8,
        more: bool,
        payload: Vec<u8>,
        limit: usize,
    ) -> Result<Option<Frame>, ()> {
        self.heard = now;
        match self.assembler.push(kind, more, payload, limit).map_err(|_| ())? {
            Some((kind, message)) => Frame::decode(kind, &message).map_err(|_| ()),
            None => Ok(None),
        }
    }

    pub(crate) fn send(&mut self, now: Moment, actions: &mut VecDeque<Action>, frame: &Frame) {
        self.send_encoded(now, actions, &encode(frame));
    }

    pub(crate) fn send_encoded(&mut self, now: Moment, actions: &mut VecDeque<Action>, message: &Encoded) {
        if self.queued == 0 {
            self.moved = now;
        }
        self.sent = now;
        for frame in message.iter() {
            self.queued += frame.len();
            actions.push_back(Action::Send { link: self.id, bytes: frame.clone() });
        }
    }

    pub(crate) fn written(&mut self, now: Moment, bytes: usize) {
        self.queued = self.queued.saturating_sub(bytes);
        self.moved = now;
    }

    /// Bytes queued that the system has not taken yet.
    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    pub(crate) fn heartbeat_at(&self, every: Duration) -> Moment {
        self.sent + every
    }

    pub(crate) fn silent_at(&self, after: Duration) -> Moment {
        self.heard + after
    }

    pub(crate) fn stalled_at(&self, after: Duration) -> Option<Moment> {
        (self.queued > 0).then(|| self.moved + after)
    }

    /// This process itself slept: nobody else is to blame for the silence.
    pub(crate) fn excuse(&mut self, now: Moment) {
        self.heard = now;
        self.moved = now;
    }
}

/// Tokens for one peer's requests: `burst` at once, then one per interval.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    /// When the bucket would be full again.
    full_at: Moment,
}

impl Bucket {
    pub(crate) fn new(now: Moment) -> Self {
        Self { full_at: now }
    }

    /// Takes a token, or says how long until there is one.
    pub(crate) fn take(&mut self, now: Moment, interval: Duration, burst: u32) -> Result<(), Duration> {
        let full_at = self.full_at.max(now) + interval;
        let over = full_at.since(now).saturating_sub(interval * burst);
        if !over.is_zero() {
            return Err(over);
        }
        self.full_at = full_at;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let (interval, start) = (Duration::from_millis(100), Moment::from_micros(5_000_000));
        let mut bucket = Bucket::new(Moment::ZERO);
        for _ in 0..8 {
            assert_eq!(bucket.take(start, interval, 8), Ok(()));
        }
        assert_eq!(bucket.take(start, interval, 8), Err(interval));
        assert_eq!(bucket.take(start + interval, interval, 8), Ok(()));
        assert!(bucket.take(start + interval, interval, 8).is_err());
    }
}
