//! What a process takes of its machine, and what its machine received, as the kernel counts it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::inside::feed;
use super::lan::Node;
use super::process::Proc;

/// Memory and processor time of a process at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    at: Instant,
    /// `VmRSS`, in KiB.
    pub(crate) memory: u64,
    /// User and system time.
    cpu: Duration,
}

impl Usage {
    pub(crate) fn of(proc: &Proc) -> Self {
        let folder = outer(proc);
        let read = |file: &str| fs::read_to_string(folder.join(file)).expect("a running process");
        let (status, stat) = (read("status"), read("stat"));
        let memory = field(&status, "VmRSS:").trim_end_matches("kB").trim().parse().expect("a number");
        // After the name in brackets: state is field 3, utime 14, stime 15 (proc_pid_stat(5)), in ticks of 10 ms.
        let rest: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
        let ticks: u64 = rest[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
        Self { at: Instant::now(), memory, cpu: Duration::from_millis(ticks * 10) }
    }

    /// How much of one core it used since `before`, in hundredths.
    pub(crate) fn cores_since(&self, before: &Self) -> f64 {
        (self.cpu - before.cpu).as_secs_f64() / (self.at - before.at).as_secs_f64() * 100.0
    }

    /// KiB more than `before`; 0 where it is less.
    pub(crate) fn growth_since(&self, before: &Self) -> u64 {
        self.memory.saturating_sub(before.memory)
    }
}

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name}")).trim()
}

/// The folder in /proc, which still counts as the process namespace outside does.
fn outer(proc: &Proc) -> std::path::PathBuf {
    let own = fs::read_link("/proc/self/ns/pid").expect("a process namespace");
    let inner = proc.pid().to_string();
    let entries = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok).map(|entry| entry.path());
    let is_it = |path: &std::path::PathBuf| {
        let status = fs::read_to_string(path.join("status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
        numbers.split_whitespace().last() == Some(&inner)
            && fs::read_link(path.join("ns/pid")).is_ok_and(|namespace| namespace == own)
    };
    entries.into_iter().find(is_it).unwrap_or_else(|| panic!("{proc:?} is not in /proc"))
}

/// Datagrams that reached a machine's sockets, and that found a full one.
pub(crate) fn received(node: &Node) -> (u64, u64) {
    let text = feed(node.command(Path::new("cat")).arg("/proc/net/snmp"), "");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, figures) = (lines.next().expect("names"), lines.next().expect("figures"));
    let get = |wanted: &str| {
        let at = names.split(' ').position(|name| name == wanted).expect("a counter");
        figures.split(' ').nth(at).and_then(|figure| figure.parse().ok()).expect("a number")
    };
    (get("InDatagrams"), get("RcvbufErrors"))
}
