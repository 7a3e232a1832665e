//! Figures of a measurement, and a quiet moment to take them in.

use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Some figures in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<f64>);

impl Times {
    pub(crate) fn add(&mut self, ms: f64) {
        self.0.push(ms);
    }

    /// From one moment to another; nothing when it was the other way round.
    pub(crate) fn between(&mut self, from: Instant, to: Instant) {
        self.add(to.saturating_duration_since(from).as_secs_f64() * 1e3);
    }

    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many are at most this.
    pub(crate) fn within(&self, limit: f64) -> usize {
        self.0.iter().filter(|ms| **ms <= limit).count()
    }

    pub(crate) fn worst(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    /// Every figure is at most this.
    pub(crate) fn all_within(&self, what: &str, limit: f64) {
        println!("{what}: {self}; limit {limit} ms for each");
        assert!(!self.0.is_empty() && self.worst() <= limit, "{what}: {self}, more than {limit} ms");
    }

    /// The median is at most this.
    pub(crate) fn median_within(&self, what: &str, limit: f64) {
        println!("{what}: {self}; limit {limit} ms for the median");
        assert!(self.median() <= limit, "{what}: {self}, the median is more than {limit} ms");
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "median {:.1} ms, worst {:.1} ms of", self.median(), self.worst())?;
        self.0.iter().try_for_each(|ms| write!(f, " {ms:.1}"))
    }
}

/// Waits until the machine has been four fifths idle for 0.3 s, but at most 10 s.
pub(crate) fn quiet() {
    let read = || {
        let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let figures: Vec<u64> = text
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(1)
            .filter_map(|word| word.parse().ok())
            .collect();
        (figures.get(3).copied().unwrap_or_default(), figures.iter().sum::<u64>())
    };
    let end = Instant::now() + 10 * SECOND;
    while Instant::now() < end {
        let (idle, all) = read();
        thread::sleep(Duration::from_millis(300));
        let (idle_now, all_now) = read();
        if (idle_now - idle) * 5 >= (all_now - all) * 4 {
            return;
        }
    }
}

/// A pause between two measurements.
pub(crate) fn pause(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}
