//! The engine's time from the system's: microseconds since the driver was made, suspends included.
//!
//! `Instant` stands still while a Linux machine sleeps, and every peer's does not: without the sleep's length a host would
//! wake up in the belief that nothing happened (design of stalls, session rules 2.6).

use std::time::Duration;

use tokio::time::Instant;

use crate::proto::clock::Moment;

/// A sleep shorter than this is below what `/proc/uptime` and scheduling can tell.
const SHORTEST_SLEEP: Duration = Duration::from_secs(1);
/// No timer is set further ahead; the engine is asked again then.
const FURTHEST: Duration = Duration::from_secs(24 * 3_600);

#[derive(Debug)]
pub(super) struct Clock {
    start: Instant,
    /// The system's uptime, sleep included, at `start`.
    booted: Option<Duration>,
    slept: Duration,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), booted: uptime(), slept: Duration::ZERO }
    }

    pub(super) fn now(&self) -> Moment {
        Moment::ZERO + self.start.elapsed() + self.slept
    }

    /// When to wake for a moment.
    pub(super) fn instant(&self, moment: Moment) -> Instant {
        let now = Instant::now();
        let ahead = moment.since(self.now()).min(FURTHEST);
        now + ahead
    }

    /// Adds what the system slept since the last call.
    pub(super) fn catch_up(&mut self) {
        let (Some(booted), Some(uptime)) = (self.booted, uptime()) else { return };
        let slept = uptime.saturating_sub(booted).saturating_sub(self.start.elapsed());
        if slept > self.slept + SHORTEST_SLEEP {
            tracing::debug!(target: "lansession::driver", seconds = (slept - self.slept).as_secs(), "the system slept");
            self.slept = slept;
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn uptime() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn uptime() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_moment_gives_a_timer_and_no_overflow() {
        let clock = Clock::new();
        assert!(clock.instant(Moment::from_micros(u64::MAX)) > Instant::now());
        assert!(clock.instant(Moment::ZERO) <= Instant::now());
    }

    #[test]
    fn a_sleep_is_added_once() {
        let mut clock = Clock::new();
        let Some(booted) = clock.booted else { return };
        clock.booted = Some(booted.saturating_sub(Duration::from_secs(10)));
        let before = clock.now();
        clock.catch_up();
        let first = clock.now().since(before);
        clock.catch_up();
        assert!(first >= Duration::from_secs(9), "{first:?}");
        assert!(clock.now().since(before) < Duration::from_secs(12));
    }
}
