//! Which signatures are worth checking now: strict classes with budgets of their own, so that a flood of
//! one kind takes nothing from the others.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::proto::clock::Moment;
use crate::proto::lan::{Bucket, BucketTable, Dice};
use crate::proto::limits;

/// Why a datagram deserves a look, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// To our own socket, with a nonce that went to one address alone.
    Answer,
    /// Under a key that is known, with a nonce that went out to all.
    KnownCast,
    /// With a nonce that went out to all.
    Cast,
    /// Under a key that is known: anybody may put it into a forgery.
    Known,
    /// Nobody asked.
    Unsolicited,
}

#[derive(Debug)]
pub(super) struct Verifier {
    classes: [Bucket; 5],
    sources: BucketTable,
    /// By source and class, where a class is under pressure.
    pressed: BucketTable,
    repeats: VecDeque<u64>,
    secret: u64,
}

impl Verifier {
    pub(super) fn new(dice: &mut Dice) -> Self {
        Self {
            classes: [Bucket::default(); 5],
            sources: BucketTable::new(dice.number(), limits::LIMITER_SLOTS),
            pressed: BucketTable::new(dice.number(), limits::LIMITER_SLOTS),
            repeats: VecDeque::new(),
            secret: dice.number(),
        }
    }

    /// Whether one more signature of this class from this source may be checked now.
    pub(super) fn allows(&mut self, now: Moment, class: Class, from: IpAddr) -> bool {
        let (at, burst, every) = match class {
            Class::Answer => (0, 1_024, Duration::from_micros(250)),
            Class::KnownCast => (1, 512, Duration::from_micros(1_000)),
            Class::Cast => (2, 512, Duration::from_micros(500)),
            Class::Known => (3, 512, Duration::from_micros(1_000)),
            Class::Unsolicited => (4, 256, Duration::from_micros(1_000)),
        };
        // Where more than half is used up, each address gets only little: who floods by many crowds out himself.
        let calm = self.classes[at].has(now, burst / 2, every);
        let fair = match class {
            Class::Answer => true,
            _ => {
                self.sources.of_ip(from).take(now, 64, Duration::from_millis(10))
                    && (calm
                        || self.pressed.of_with(SocketAddr::new(from, 0), at as u64).take(
                            now,
                            4,
                            Duration::from_millis(200),
                        ))
            }
        };
        fair && self.classes[at].take(now, burst, every)
    }

    /// Whether these very bytes were verified just now: the network doubled them.
    pub(super) fn is_repeat(&self, bytes: &[u8]) -> bool {
        self.repeats.contains(&self.print(bytes))
    }

    pub(super) fn verified(&mut self, bytes: &[u8]) {
        if self.repeats.len() >= limits::REPEATS {
            self.repeats.pop_front();
        }
        let print = self.print(bytes);
        self.repeats.push_back(print);
    }

    /// The signature tells two datagrams apart; the secret keeps a sender from aiming at another's print.
    fn print(&self, bytes: &[u8]) -> u64 {
        let mut print = self.secret ^ bytes.len() as u64;
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0_u64, |word, &byte| (word << 8) | u64::from(byte));
            print = (print ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
        print ^ (print >> 31)
    }
}
