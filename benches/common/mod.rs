//! Times and Markdown tables. No framework: one whose tree is free of second versions and builds with Rust 1.85 was not
//! to be had, and what is needed is this.
#![allow(dead_code, reason = "each benchmark uses a part of it")]

use std::time::{Duration, Instant};

/// Rounds of one case are counted in samples of about this length.
const SAMPLE: Duration = Duration::from_millis(2);
/// The samples of one case.
const SAMPLES: usize = 150;

/// Nanoseconds of one round: the least, the median and the 95th percentile over all samples.
pub(crate) fn time(run: &dyn Fn()) -> [f64; 3] {
    let mut rounds = 1_u32;
    loop {
        let taken = sample(run, rounds);
        if taken >= SAMPLE || rounds >= 1 << 24 {
            break;
        }
        // Towards the sample's length, at most tenfold: the first rounds are cold.
        let factor = (SAMPLE.as_secs_f64() / taken.as_secs_f64().max(1e-9)).clamp(1.2, 10.0);
        rounds = (f64::from(rounds) * factor).ceil() as u32;
    }
    let mut all: Vec<f64> = (0..SAMPLES).map(|_| sample(run, rounds).as_nanos() as f64 / f64::from(rounds)).collect();
    all.sort_by(f64::total_cmp);
    [all[0], quantile(&all, 0.5), quantile(&all, 0.95)]
}

fn sample(run: &dyn Fn(), rounds: u32) -> Duration {
    let start = Instant::now();
    for _ in 0..rounds {
        run();
    }
    start.elapsed()
}

/// Of sorted figures; 0.5 is the median.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let last = sorted.len().saturating_sub(1) as f64;
    let (low, high) = ((last * part).floor() as usize, (last * part).ceil() as usize);
    (sorted[low] + sorted[high]) / 2.0
}

/// The median; none of nothing.
pub(crate) fn median(figures: &[f64]) -> Option<f64> {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| quantile(&sorted, 0.5))
}

/// Nanoseconds as text with a unit.
pub(crate) fn short(nanos: f64) -> String {
    match nanos {
        n if n < 1e3 => format!("{n:.0} ns"),
        n if n < 1e5 => format!("{:.2} µs", n / 1e3),
        n if n < 1e6 => format!("{:.0} µs", n / 1e3),
        n => format!("{:.2} ms", n / 1e6),
    }
}

/// A Markdown table, printed row by row.
pub(crate) fn heading(title: &str, columns: &[&str]) {
    println!("\n### {title}\n\n| {} |", columns.join(" | "));
    println!("|{}", "---|".repeat(columns.len()));
}

pub(crate) fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

/// The table of some cases: name, bytes, one round.
pub(crate) fn cases(title: &str, cases: Vec<lansession::bench::Case>) {
    heading(title, &["what", "bytes", "median", "least", "95 %", "per second"]);
    // `cargo bench -- WORD` measures the cases whose name contains it.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    for (name, bytes, run) in cases {
        if !words.is_empty() && !words.iter().any(|word| name.contains(word.as_str())) {
            continue;
        }
        let [least, median, late] = time(&run);
        let rate = format!("{:.0}", 1e9 / median);
        row(&[name.into(), bytes.to_string(), short(median), short(least), short(late), rate]);
    }
}
