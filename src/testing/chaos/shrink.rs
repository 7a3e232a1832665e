//! The smallest schedule that still fails: steps, keyed faults, weather and time go as long as the same invariant breaks
//! without them.

use std::time::Duration;

use super::air::Weather;
use super::schedule::Schedule;
use super::{Broken, play};
use crate::proto::clock::Moment;

/// Runs at most.
const RUNS: usize = 400;

/// The number of the invariant.
fn name(broken: &Broken) -> &str {
    broken.what.split_once(':').map_or(broken.what.as_str(), |(name, _)| name)
}

struct Shrinker {
    best: Schedule,
    broken: Broken,
    runs: usize,
}

impl Shrinker {
    fn is_out(&self) -> bool {
        self.runs >= RUNS
    }

    /// Takes what is smaller and still fails.
    fn attempt(&mut self, change: impl FnOnce(&mut Schedule)) -> bool {
        let mut smaller = self.best.clone();
        change(&mut smaller);
        if self.is_out() || smaller == self.best {
            return false;
        }
        self.runs += 1;
        match play(&smaller) {
            Err(broken) if name(&broken) == name(&self.broken) => {
                (self.best, self.broken) = (smaller, broken);
                true
            }
            _ => false,
        }
    }

    /// Drops runs of steps, halves first, then single ones, until none can go.
    fn drop_steps(&mut self) {
        let mut size = self.best.steps.len().div_ceil(2);
        while size > 0 && !self.is_out() {
            let (mut at, mut any) = (0, false);
            while at < self.best.steps.len() {
                let end = (at + size).min(self.best.steps.len());
                if self.attempt(|schedule| drop(schedule.steps.drain(at..end))) {
                    any = true;
                } else {
                    at += size;
                }
            }
            size = match size {
                1 if any => 1,
                1 => 0,
                more => more / 2,
            };
        }
    }
}

pub(super) fn shrink(first: Schedule, broken: Broken) -> (Schedule, Broken) {
    let mut this = Shrinker { best: first, broken, runs: 0 };
    // What comes later cannot have done it.
    let at = this.broken.at;
    this.attempt(|schedule| schedule.steps.retain(|step| step.at <= at));
    this.attempt(|schedule| schedule.weather = Weather::default());
    this.attempt(|schedule| (schedule.cold_arp, schedule.socket_buffer) = (false, false));
    this.attempt(|schedule| schedule.mdns = false);
    this.attempt(|schedule| schedule.keyed.clear());
    this.attempt(|schedule| schedule.steps.retain(|step| step.node < schedule.nodes));
    this.drop_steps();
    for at in (0..this.best.keyed.len()).rev() {
        this.attempt(|schedule| {
            schedule.keyed.remove(at);
        });
    }
    let last = this.best.steps.last().map_or(Moment::ZERO, |step| step.at);
    this.attempt(|schedule| schedule.heal = last + Duration::from_millis(500));
    (this.best, this.broken)
}
