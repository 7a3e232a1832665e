//! The share of a core that strangers' handshakes may take: half, measured, not counted.
//!
//! Fair over sources: while the budget is spent, a source waits in proportion to the handshakes it has open, so one with
//! fifty is served a fiftieth as often as a newcomer.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// Microseconds of work earned per microsecond passed, as a fraction of this.
const SHARE: i64 = 2;
/// What an idle time saves up: about two hundred handshakes at once.
const BURST: i64 = 100_000;
/// No single wait is longer.
const LONGEST_WAIT: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Budget(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Microseconds of work that may be done; negative once overdrawn.
    credit: i64,
    at: Instant,
    open: BTreeMap<IpAddr, u32>,
}

impl Budget {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { credit: BURST, at: Instant::now(), open: BTreeMap::new() })))
    }

    /// Runs a stranger's handshake within the budget.
    pub(super) fn metered<F: Future>(self: &Arc<Self>, source: IpAddr, work: F) -> Metered<F> {
        *self.lock().open.entry(source).or_insert(0) += 1;
        Metered { work: Box::pin(work), budget: Arc::clone(self), source, pause: None }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, source: IpAddr) -> Option<Duration> {
        let mut state = self.lock();
        let now = Instant::now();
        let passed = i64::try_from(now.duration_since(state.at).as_micros()).unwrap_or(i64::MAX);
        state.at = now;
        state.credit = state.credit.saturating_add(passed / SHARE).min(BURST);
        if state.credit > 0 {
            return None;
        }
        let open = state.open.get(&source).copied().unwrap_or(1);
        let missing = Duration::from_micros(state.credit.unsigned_abs().saturating_mul(SHARE.unsigned_abs()));
        Some((missing + Duration::from_millis(1)).saturating_mul(open).min(LONGEST_WAIT))
    }

    fn charge(&self, work: Duration) {
        let mut state = self.lock();
        state.credit = state.credit.saturating_sub(i64::try_from(work.as_micros()).unwrap_or(i64::MAX));
    }
}

/// A handshake whose every step is measured and waits while the budget is spent.
pub(super) struct Metered<F> {
    work: Pin<Box<F>>,
    budget: Arc<Budget>,
    source: IpAddr,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        loop {
            if let Some(pause) = &mut this.pause {
                if pause.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                this.pause = None;
            }
            match this.budget.wait(this.source) {
                Some(wait) => this.pause = Some(Box::pin(sleep(wait))),
                None => break,
            }
        }
        let begun = Instant::now();
        let result = this.work.as_mut().poll(cx);
        this.budget.charge(begun.elapsed());
        result
    }
}

impl<F> Drop for Metered<F> {
    fn drop(&mut self) {
        let mut state = self.budget.lock();
        if let Some(open) = state.open.get_mut(&self.source) {
            *open -= 1;
            if *open == 0 {
                state.open.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_over_the_budget_waits_and_sources_are_forgotten() {
        let budget = Budget::new();
        let (few, many): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
        assert_eq!(budget.metered(few, async { 7 }).await, 7);
        budget.charge(Duration::from_secs(1));
        let held: Vec<_> = (0..20).map(|_| budget.metered(many, async {})).collect();
        let one = budget.metered(few, async {});
        budget.lock().credit = -1_000;
        assert!(budget.wait(few).unwrap() < budget.wait(many).unwrap());
        drop((held, one));
        assert!(budget.lock().open.is_empty());
    }

    #[tokio::test]
    async fn an_overdrawn_budget_recovers() {
        let budget = Budget::new();
        budget.charge(Duration::from_micros(u64::try_from(BURST).unwrap() + 10_000));
        budget.metered([10, 0, 0, 1].into(), async {}).await;
        assert!(budget.lock().credit >= 0);
    }
}
