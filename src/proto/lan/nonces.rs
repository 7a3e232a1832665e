//! The nonces this side has sent and still accepts: the only proof that an answer is no recording.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::Dice;
use crate::proto::clock::Moment;
use crate::proto::limits;

/// For what a nonce was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A question to all. `prompt`: few hosts were expected, so answers come without a window and tell the round trip.
    Question { prompt: bool },
    /// A question to a typed or configured address.
    Target,
    /// A probe of one host.
    Probe,
    /// A question to one host whose address is proven.
    Fetch,
}

/// One nonce of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) at: Moment,
    pub(crate) purpose: Purpose,
}

/// All that are out.
#[derive(Debug, Default)]
pub(crate) struct Nonces {
    asked: BTreeMap<u64, Asked>,
    order: VecDeque<u64>,
}

impl Nonces {
    /// Draws a nonce for something that is sent now.
    pub(crate) fn draw(&mut self, now: Moment, dice: &mut Dice, purpose: Purpose) -> u64 {
        let nonce = dice.nonce();
        if self.order.len() >= limits::NONCES {
            if let Some(oldest) = self.order.pop_front() {
                self.asked.remove(&oldest);
            }
        }
        self.order.push_back(nonce);
        self.asked.insert(nonce, Asked { at: now, purpose });
        nonce
    }

    /// What was asked under this nonce, if it was ours and is not older than `life`.
    pub(crate) fn get(&mut self, now: Moment, nonce: u64, life: Duration) -> Option<Asked> {
        while let Some(oldest) = self.order.front() {
            if self.asked.get(oldest).is_some_and(|asked| asked.at + life >= now) {
                break;
            }
            self.asked.remove(oldest);
            self.order.pop_front();
        }
        self.asked.get(&nonce).copied()
    }

    /// Whether it is one of ours, however old within what is remembered.
    pub(crate) fn is_ours(&self, nonce: u64) -> bool {
        self.asked.contains_key(&nonce)
    }
}

#[cfg(all(test, feature = "testing"))]
impl Nonces {
    pub(crate) fn len(&self) -> usize {
        self.asked.len().max(self.order.len())
    }
}
