//! Warnings that cannot flood a log: one a minute per cause.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

const PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Quiet(BTreeMap<&'static str, (Instant, u64)>);

impl Quiet {
    /// Whether to warn of `cause` now, and how often it was held back before.
    pub(super) fn may_warn(&mut self, cause: &'static str) -> Option<u64> {
        let now = Instant::now();
        match self.0.get_mut(cause) {
            Some((last, held)) if now.duration_since(*last) < PAUSE => {
                *held += 1;
                None
            }
            Some((last, held)) => {
                *last = now;
                Some(std::mem::take(held))
            }
            None => {
                self.0.insert(cause, (now, 0));
                Some(0)
            }
        }
    }
}
