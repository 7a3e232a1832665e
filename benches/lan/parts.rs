//! What is measured, part by part, each as a Markdown table.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::Instant;

use crate::common::{heading, median, row};
use crate::inside::run as command;
use crate::lan::{Lan, Node};
use crate::process::Proc;
use crate::rules::Drops;
use crate::timing::{SECOND, pause, quiet};

/// Runs of one figure.
const RUNS: usize = 7;
/// Between two finders of one address, so that no host's limiter by address is met.
const BETWEEN: u64 = 600;

/// Runs the parts that are named, or all.
pub(crate) fn run(words: &[&str]) {
    let wanted = |part| words.is_empty() || words.contains(&part);
    let bench = Bench { lan: Lan::new(101), waits: Cell::new(40) };
    let mut hosts = Vec::new();
    // Before anybody has asked: hosts that were heard asking beacon for a minute.
    if wanted("idle") {
        bench.fill(&mut hosts, 10);
        bench.idle(&hosts);
    }
    if wanted("change") {
        bench.fill(&mut hosts, 10);
        bench.change();
    }
    if wanted("find") {
        heading(
            "A finder that is opened, on a clean LAN: milliseconds from its first call, medians of 7",
            &["hosts", "first", "all", "all, nobody in any ARP table", "slowest", "complete"],
        );
        for count in [1, 10, 50, 100] {
            // One host: the others would answer too.
            hosts.truncate(count);
            bench.fill(&mut hosts, count);
            bench.find(count);
        }
    }
    if wanted("loss") {
        hosts.truncate(20);
        bench.fill(&mut hosts, 20);
        bench.loss();
    }
}

struct Bench {
    lan: Lan,
    /// So many waits for a quiet machine are left.
    waits: Cell<u32>,
}

impl Bench {
    fn start(&self, node: &Node, words: &[&str]) -> Proc {
        let exe = std::env::current_exe().expect("the path of this program");
        Proc::start(node.command(&exe).args(words), format!("{}: {}", node.name(), words.join(" ")))
    }

    /// Hosts h1, h2 and so on, each on its node; node 0 is the finder's.
    fn fill(&self, hosts: &mut Vec<Proc>, count: usize) {
        while hosts.len() < count {
            let from = hosts.len();
            // A few at a time: a hundred that start at once are another measurement.
            for at in from + 1..=count.min(from + 10) {
                hosts.push(self.start(&self.lan.nodes[at], &["adv", &format!("h{at}")]));
            }
            hosts[from..].iter().for_each(|host| drop(host.expect("ready", 30 * SECOND)));
        }
        pause(4_000);
    }

    fn quiet(&self) {
        if self.waits.get() > 0 {
            let start = Instant::now();
            quiet();
            // On a machine that never is, a wait takes ten seconds.
            let cost = if start.elapsed() > SECOND { 8 } else { 0 };
            self.waits.set(self.waits.get().saturating_sub(cost));
        }
    }

    /// Milliseconds until so many were found; nothing when they were not.
    fn seek(&self, count: usize) -> Option<f64> {
        self.quiet();
        let seek = self.start(&self.lan.nodes[0], &["seek", &count.to_string(), "5"]);
        let found = seek.expect("found", 20 * SECOND);
        seek.exit(10 * SECOND);
        pause(BETWEEN);
        (found.number("/count") == count as u64).then(|| found.at_ms())
    }

    fn find(&self, count: usize) {
        let first: Vec<f64> = (0..RUNS).filter_map(|_| self.seek(1)).collect();
        let all: Vec<f64> = (0..RUNS).filter_map(|_| self.seek(count)).collect();
        let cold: Vec<f64> = (0..RUNS)
            .filter_map(|_| {
                self.lan.nodes.iter().take(count + 1).for_each(Node::forget_neighbours);
                self.seek(count)
            })
            .collect();
        let complete = format!("{} of {}", all.len() + cold.len(), 2 * RUNS);
        row(&[count.to_string(), ms(&first), ms(&all), ms(&cold), worst(&[all, cold].concat()), complete]);
    }

    /// One browser on node 0 while hosts come, go and die.
    fn change(&self) {
        let browser = self.start(&self.lan.nodes[0], &["browse"]);
        let shown = |events: &[crate::process::Event]| {
            let names: BTreeSet<_> = events.iter().filter(|e| e.kind == "found").map(|e| e.name().to_owned()).collect();
            (names.len() >= 10).then_some(())
        };
        browser.until("ten hosts", 20 * SECOND, shown);
        pause(6_000);
        let (mut newcomers, mut goodbyes, mut kills) = (Vec::new(), Vec::new(), Vec::new());
        let mut late = Vec::new();
        for at in 11..=11 + 2 * RUNS {
            let name = format!("h{at}");
            self.quiet();
            let host = self.start(&self.lan.nodes[at], &["adv", &name]);
            let start = host.expect("start", 10 * SECOND).at;
            let found = browser.expect_where("found", start, 20 * SECOND, |e| e.name() == name);
            newcomers.push(between(start, found.at));
            host.expect("ready", 10 * SECOND);
            late.push((name, host));
            pause(700);
        }
        pause(3_000);
        for (name, host) in late.drain(..RUNS) {
            let said = host.line("quit");
            let lost = browser.expect_where("lost", said, 20 * SECOND, |e| e.name() == name);
            goodbyes.push(between(said, lost.at));
            pause(300);
        }
        // All at different moments of their beacons' rhythm, waited for together.
        let killed: Vec<_> = late
            .iter()
            .map(|(name, host)| {
                pause(650);
                (name, host.signal("KILL"))
            })
            .collect();
        for (name, at) in killed {
            let lost = browser.expect_where("lost", at, 20 * SECOND, |e| e.name() == *name);
            kills.push(between(at, lost.at));
        }
        heading("What a browser sees, ten hosts there: milliseconds", &["what", "median", "slowest", "of"]);
        for (what, figures) in [
            ("newcomer, from its first call", newcomers),
            ("goodbye, from the word to the host", goodbyes),
            ("`kill -9`", kills),
        ] {
            row(&[what.into(), ms(&figures), worst(&figures), figures.len().to_string()]);
        }
    }

    fn loss(&self) {
        self.lan.segment.drops(&[Drops::Percent(20)]);
        let (mut second, mut three, mut complete, mut last) = (0, 0, 0, Vec::new());
        const LOSSY: usize = 10;
        for _ in 0..LOSSY {
            self.lan.nodes.iter().take(21).for_each(Node::forget_neighbours);
            self.quiet();
            let browser = self.start(&self.lan.nodes[0], &["browse"]);
            browser.expect("start", 10 * SECOND);
            pause(3_200);
            let times: Vec<f64> = browser.all("found").iter().map(crate::process::Event::at_ms).collect();
            let within = |limit: f64| times.iter().filter(|ms| **ms <= limit).count();
            second += within(1_000.0);
            three += within(3_000.0);
            complete += usize::from(within(1_000.0) == 20);
            last.extend(times.into_iter().fold(None, |a: Option<f64>, b| Some(a.map_or(b, |a| a.max(b)))));
            drop(browser);
            pause(BETWEEN);
        }
        self.lan.segment.drops(&[]);
        heading(
            "20 % of all frames lost, 20 hosts, nobody in any ARP table, ten runs",
            &["found within 1 s", "within 3 s", "all 20 within 1 s", "last one, median ms"],
        );
        let share = |count: usize| format!("{:.1} %", count as f64 / (20 * LOSSY) as f64 * 100.0);
        row(&[share(second), share(three), format!("{complete} of {LOSSY} runs"), ms(&last)]);
    }

    /// Frames that the nodes' interfaces have sent so far.
    fn sent(&self, nodes: std::ops::RangeInclusive<usize>) -> u64 {
        nodes
            .map(|at| {
                let text = command("ip", &["-n", self.lan.nodes[at].name(), "-s", "-j", "link", "show", "eth0"]);
                let links: serde_json::Value = serde_json::from_str(&text).expect("ip writes JSON");
                links.pointer("/0/stats64/tx/packets").and_then(serde_json::Value::as_u64).expect("a count")
            })
            .sum()
    }

    /// Ten hosts that nobody asks, then the same with a browser.
    fn idle(&self, hosts: &[Proc]) {
        heading(
            "Ten idle hosts: frames, memory and processor of each",
            &[
                "case",
                "frames a minute, all ten",
                "of ten namespaces without a host",
                "RSS MiB",
                "private MiB",
                "CPU ppm",
            ],
        );
        // Start-up's announcements, over three protocols, are over.
        pause(12_000);
        self.idle_row("alone", hosts, None, 60);
        let browser = self.start(&self.lan.nodes[0], &["browse"]);
        browser.expect("start", 10 * SECOND);
        pause(12_000);
        self.idle_row("with a browser", hosts, Some(&browser), 30);
    }

    fn idle_row(&self, case: &str, hosts: &[Proc], browser: Option<&Proc>, seconds: u64) {
        let everyone: Vec<&Proc> = hosts.iter().chain(browser).collect();
        let before: Vec<_> = everyone.iter().map(|host| usage(host)).collect();
        let (start, hosting, empty) = (Instant::now(), self.sent(1..=10), self.sent(11..=20));
        pause(seconds * 1_000);
        let minutes = start.elapsed().as_secs_f64() / 60.0;
        let (hosting, empty) = (self.sent(1..=10) - hosting, self.sent(11..=20) - empty);
        let after: Vec<_> = everyone.iter().map(|host| usage(host)).collect();
        let figures = |range: std::ops::Range<usize>| -> [String; 3] {
            let of = |key: fn(&Usage) -> f64| after[range.clone()].iter().map(key).collect::<Vec<_>>();
            let cpu: Vec<f64> =
                range.clone().map(|at| (after[at].cpu - before[at].cpu) / (minutes * 60e9) * 1e6).collect();
            [of(|u| u.rss), of(|u| u.private), cpu]
                .map(|figures| median(&figures).map_or("–".into(), |m| format!("{m:.1}")))
        };
        let per_minute = |count: u64| format!("{:.0}", count as f64 / minutes);
        let [rss, private, cpu] = figures(0..hosts.len());
        row(&[format!("hosts {case}"), per_minute(hosting), per_minute(empty), rss, private, cpu]);
        if browser.is_some() {
            let [rss, private, cpu] = figures(hosts.len()..everyone.len());
            row(&["the browser".into(), "–".into(), "–".into(), rss, private, cpu]);
        }
    }
}

struct Usage {
    rss: f64,
    private: f64,
    cpu: f64,
}

fn usage(process: &Proc) -> Usage {
    let asked = process.line("usage");
    let usage = process.expect_where("usage", asked, 5 * SECOND, |_| true);
    let figure = |key: &str| usage.field(key).as_f64().unwrap_or(f64::NAN);
    Usage { rss: figure("/rss_kib") / 1024.0, private: figure("/private_kib") / 1024.0, cpu: figure("/cpu_ns") }
}

fn between(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1e3
}

/// The median, or a dash.
fn ms(figures: &[f64]) -> String {
    median(figures).map_or("–".into(), |ms| format!("{ms:.1}"))
}

fn worst(figures: &[f64]) -> String {
    figures.iter().copied().reduce(f64::max).map_or("–".into(), |ms| format!("{ms:.1}"))
}
