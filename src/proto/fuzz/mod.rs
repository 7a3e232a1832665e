//! Fuzzing of the engines: bytes become operations (commands, frames sound and damaged, datagrams, lost links, time), which
//! three engines on one wire in memory get, and after each of them what must always hold is checked.
//!
//! | target | who misbehaves |
//! | --- | --- |
//! | [`guests`] | raw connections to a host: any frame in any order, half-open ones, floods |
//! | [`peers`] | what comes over a standing link, both ways: replayed, damaged and made up frames; datagrams too |
//! | [`party`] | nobody: users do what they like, links break, processes die, networks part |
//!
//! Everything comes from the input, so an input that breaks something breaks it always. `tests` replays the committed ones.

mod commands;
mod input;
mod mischief;
mod net;
mod node;
#[cfg(test)]
mod tests;
mod watch;

use std::time::Duration;

use self::input::Input;
use self::net::Net;

/// What an operation is, by its first byte.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Command,
    Time,
    /// A raw connection: opens, says something, goes.
    Guest,
    /// A frame that its sender never sent, on a link that stands.
    Frame,
    /// A datagram from nobody.
    Datagram,
    /// Links that break, cables, crashes.
    Trouble,
}

/// What of 16 operations is what.
type Weights = [(u8, Kind); 6];

const GUESTS: Weights =
    [(2, Kind::Command), (4, Kind::Time), (16, Kind::Guest), (0, Kind::Frame), (0, Kind::Datagram), (0, Kind::Trouble)];
const PEERS: Weights = [
    (3, Kind::Command),
    (5, Kind::Time),
    (0, Kind::Guest),
    (12, Kind::Frame),
    (15, Kind::Datagram),
    (16, Kind::Trouble),
];
const PARTY: Weights = [
    (10, Kind::Command),
    (13, Kind::Time),
    (0, Kind::Guest),
    (0, Kind::Frame),
    (0, Kind::Datagram),
    (16, Kind::Trouble),
];

/// The most operations of one input; what follows is not read.
const OPERATIONS: usize = 48;
/// Longer than every close takes.
const CLOSING: Duration = Duration::from_secs(1);

/// A host and raw connections to it.
pub fn guests(bytes: &[u8]) {
    run(bytes, &GUESTS, 0);
}

/// Engines that trust each other's keys and get whatever comes.
pub fn peers(bytes: &[u8]) {
    run(bytes, &PEERS, 2);
}

/// Engines and users on a bad network.
pub fn party(bytes: &[u8]) {
    run(bytes, &PARTY, 1);
}

fn run(bytes: &[u8], weights: &Weights, joined: usize) {
    #[cfg(fuzzing)]
    crate::wire::sign::stand_in::begin();
    let mut input = Input::new(bytes);
    let mut net = Net::new(&mut input, joined);
    for _ in 0..OPERATIONS {
        let Some(byte) = input.next() else { break };
        let kind = weights.iter().find(|(below, _)| byte & 15 < *below).map_or(Kind::Command, |(_, kind)| *kind);
        let choice = byte >> 4;
        match kind {
            Kind::Command => net.command(usize::from(choice & 3) % net::NODES, &mut input),
            Kind::Time => net.run(span(choice)),
            Kind::Guest => net.guest(choice, &mut input),
            Kind::Frame => net.frame(choice, &mut input),
            Kind::Datagram => net.datagram(choice, &mut input),
            Kind::Trouble => net.trouble(choice, &mut input),
        }
        net.check();
    }
    net.close_all();
    net.run(CLOSING);
    net.check_closed();
}

fn span(choice: u8) -> Duration {
    const SPANS: [u64; 16] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 3_000, 5_000, 10_000, 20_000, 40_000];
    Duration::from_millis(SPANS.get(usize::from(choice)).copied().unwrap_or(1))
}
