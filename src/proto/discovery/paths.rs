//! What went out and came in by each way, what fails, and what a player can do about it (pains 2 and 3).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::proto::clock::Moment;
use crate::proto::io::{SendFailure, Transmit, Via};
use crate::proto::lan::{Net, Way};
use crate::types::{Diagnosis, LanEvent, PathKind, PathReport, PathState};

#[derive(Debug, Default)]
struct Tally {
    sent: u64,
    heard: u64,
    failed: u64,
    /// The last failure, and what the system said.
    failing: Option<(Moment, String)>,
    told: Option<Moment>,
    /// Something went out since the last failure was over, and has not failed yet.
    tried: Option<Moment>,
}

/// Failures of one cause are told at most once in this.
const TELL: Duration = Duration::from_secs(60);
/// A way that was used for so long without a failure works again.
const QUIET: Duration = Duration::from_secs(2);
/// And a send has failed by then, or not at all.
const TRIED: Duration = Duration::from_millis(100);

/// All ways of all interfaces, and unicast.
#[derive(Debug, Default)]
pub(super) struct Paths {
    ways: BTreeMap<Way, Tally>,
    routed: Tally,
    mdns: Option<String>,
    mdns_heard: u64,
    mdns_told: Option<Moment>,
    /// By whether it is IPv6: why the beacon port cannot be heard, and whether that was told.
    deaf: BTreeMap<bool, (String, bool)>,
    deaf_told: BTreeMap<bool, Moment>,
    events: Vec<LanEvent>,
}

impl Paths {
    fn tally(&mut self, via: Via, path: PathKind) -> &mut Tally {
        match via {
            Via::Interface { index, address } => self.ways.entry(Way { index, address, path }).or_default(),
            Via::Routed => &mut self.routed,
        }
    }

    pub(super) fn sent(&mut self, now: Moment, net: &Net, transmit: &Transmit) {
        self.tell_deaf(now, net);
        let tally = self.tally(transmit.via, transmit.path);
        tally.sent += 1;
        let over = tally.failing.as_ref().is_some_and(|(at, _)| now.since(*at) > QUIET);
        // One that just leaves may fail like those before: only an earlier one that did not tells.
        let tried = over.then(|| *tally.tried.get_or_insert(now));
        if tried.is_some_and(|at| now.since(at) >= TRIED) {
            tally.failing = None;
            if tally.told.take().is_some() {
                let name = name(net, transmit.via);
                self.events.push(LanEvent::Recovered(format!("{name} by {} works again", transmit.path)));
            }
        }
    }

    pub(super) fn heard(&mut self, via: Via, path: PathKind) {
        self.tally(via, path).heard += 1;
    }

    pub(super) fn failed(&mut self, now: Moment, net: &Net, failure: &SendFailure) {
        let tally = self.tally(failure.via, failure.path);
        tally.failed += 1;
        tally.failing = Some((now, failure.why.clone()));
        tally.tried = None;
        // One host that is gone is no trouble of this machine.
        let quiet = failure.path == PathKind::Unicast || tally.told.is_some_and(|at| now.since(at) < TELL);
        if !quiet {
            tally.told = Some(now);
            let name = name(net, failure.via);
            self.events.push(LanEvent::Trouble(format!("{name} by {}: {}", failure.path, failure.why)));
        }
    }

    pub(super) fn mdns_works(&mut self) {
        if self.mdns.take().is_some() && self.mdns_told.is_some() {
            self.mdns_told = None;
            self.events.push(LanEvent::Recovered("mDNS works again".into()));
        }
    }

    pub(super) fn mdns_heard(&mut self) {
        self.mdns_heard += 1;
    }

    pub(super) fn mdns_failed(&mut self, now: Moment, why: String) {
        if self.mdns_told.is_none_or(|at| now.since(at) >= TELL) {
            self.mdns_told = Some(now);
            self.events.push(LanEvent::Trouble(format!("mDNS: {why}")));
        }
        self.mdns = Some(why);
    }

    pub(super) fn interfaces_changed(&mut self, net: &Net) {
        self.ways.retain(|way, _| net.interfaces().iter().any(|i| i.index == way.index && i.address == way.address));
        let mut names: Vec<String> = net.interfaces().iter().map(|i| i.name.clone()).collect();
        names.dedup();
        self.events.push(LanEvent::Interfaces(names));
    }

    /// Whether the beacon port can be heard, as the interfaces say it now.
    pub(super) fn hearing(&mut self, now: Moment, net: &Net) {
        for v6 in [false, true] {
            let mut family = net.interfaces().iter().filter(|i| i.address.is_ipv6() == v6).peekable();
            let any = family.peek().is_some();
            match (family.find_map(|interface| interface.deaf.clone()), self.deaf.remove(&v6)) {
                (Some(why), before) => {
                    self.deaf.insert(v6, (why, before.is_some_and(|(_, told)| told)));
                }
                (None, Some((_, true))) if any => {
                    let event = format!("{} can be heard again", beacon_port(net, v6));
                    self.events.push(LanEvent::Recovered(event));
                }
                (None, _) => {}
            }
        }
        self.tell_deaf(now, net);
    }

    fn tell_deaf(&mut self, now: Moment, net: &Net) {
        for (v6, (why, told)) in self.deaf.iter_mut().filter(|(_, (_, told))| !told) {
            if self.deaf_told.get(v6).is_none_or(|at| now.since(*at) >= TELL) {
                *told = true;
                self.deaf_told.insert(*v6, now);
                self.events.push(LanEvent::Trouble(format!("{} cannot be heard: {why}", beacon_port(net, *v6))));
            }
        }
    }

    pub(super) fn take_events(&mut self) -> Vec<LanEvent> {
        std::mem::take(&mut self.events)
    }

    /// Every way with a word on how it does, and a sentence for the player.
    pub(super) fn diagnose(
        &self,
        net: &Net,
        mdns: bool,
        sessions: usize,
        others: usize,
        incompatible: usize,
    ) -> Diagnosis {
        let mut ways: Vec<Way> = net.ways();
        ways.extend(self.ways.keys().filter(|way| !net.ways().contains(way)));
        let report = |interface: String, address: Option<IpAddr>, path, tally: &Tally| PathReport {
            interface,
            address,
            path,
            sent: tally.sent,
            heard: tally.heard,
            failed: tally.failed,
            state: state(tally),
        };
        let none = Tally::default();
        let mut paths: Vec<PathReport> = ways
            .iter()
            .map(|way| {
                let via = Via::Interface { index: way.index, address: way.address };
                let tally = self.ways.get(way).unwrap_or(&none);
                let mut report = report(interface_name(net, via), Some(way.address), way.path, tally);
                let v6 = way.address.is_ipv6();
                // Questions to one address and their answers do not need it.
                let deaf = self.deaf.get(&v6).filter(|_| way.path != PathKind::Unicast && tally.failing.is_none());
                if let Some((why, _)) = deaf {
                    report.state = PathState::Failing(format!("{} cannot be heard: {why}", beacon_port(net, v6)));
                }
                report
            })
            .collect();
        if self.routed.sent + self.routed.heard + self.routed.failed > 0 {
            paths.push(report("routed".into(), None, PathKind::Unicast, &self.routed));
        }
        if mdns {
            let failing = self.mdns.clone().map(|why| (Moment::ZERO, why));
            let tally = Tally { heard: self.mdns_heard, failing, ..Tally::default() };
            paths.push(report("mdns".into(), None, PathKind::Mdns, &tally));
        }
        let advice = self.advice(net, sessions, others, incompatible);
        Diagnosis { paths, sessions, incompatible, advice }
    }

    fn advice(&self, net: &Net, sessions: usize, others: usize, incompatible: usize) -> String {
        let real = net.interfaces().iter().any(|i| !i.loopback);
        let sum = |f: fn(&Tally) -> u64| {
            self.ways.iter().filter(|(way, _)| !way.address.is_loopback()).map(|(_, t)| f(t)).sum::<u64>()
        };
        let (sent, heard, failed) = (sum(|t| t.sent), sum(|t| t.heard) + self.mdns_heard, sum(|t| t.failed));
        let denied = self.ways.values().filter_map(|tally| tally.failing.as_ref()).map(|(_, why)| why).next();
        if let Some((v6, (why, _))) = self.deaf.first_key_value() {
            return format!(
                "{} cannot be opened (\"{why}\"), so this machine hears no questions and no announcements: close the \
                 program that uses the port, or choose another beacon port for all players.",
                beacon_port(net, *v6)
            );
        }
        if others > 0 && incompatible >= sessions {
            return "Sessions were heard, but all of another version: update the game on one side.".into();
        }
        if others > 0 {
            return format!("{others} sessions of others are known; nothing is wrong here.");
        }
        if !real {
            return "This machine is on no network: only games on this machine can be found. Connect the cable or Wi-Fi."
                .into();
        }
        if sent == 0 && failed == 0 {
            return "Nothing was asked yet: open the list, wait three seconds and look again.".into();
        }
        if let (true, Some(why)) = (failed >= sent.max(1) || heard == 0, denied) {
            return format!(
                "The system refuses to send (\"{why}\"): allow the game local network access in the firewall or privacy settings."
            );
        }
        if heard > 0 {
            return "Other machines are heard, but no session that fits: check that a session is hosted and listed, and the filter."
                .into();
        }
        "Questions went out and nothing came back: nobody hosts, a firewall on this or the host's machine drops UDP, or the \
         Wi-Fi keeps its clients apart. Allow the game in both firewalls, or join by typing the host's address."
            .into()
    }
}

fn state(tally: &Tally) -> PathState {
    match &tally.failing {
        Some((_, why)) => PathState::Failing(why.clone()),
        None if tally.heard > 0 => PathState::Working,
        None if tally.sent > 0 => PathState::Unanswered,
        None => PathState::Idle,
    }
}

fn interface_name(net: &Net, via: Via) -> String {
    let Via::Interface { index, .. } = via else { return "routed".into() };
    let named = net.interfaces().iter().find(|interface| interface.index == index);
    named.map_or_else(|| format!("interface {index}"), |interface| interface.name.clone())
}

fn beacon_port(net: &Net, v6: bool) -> String {
    format!("UDP port {} over {}", net.port(), if v6 { "IPv6" } else { "IPv4" })
}

fn name(net: &Net, via: Via) -> String {
    match via {
        Via::Interface { address, .. } => format!("{} {address}", interface_name(net, via)),
        Via::Routed => "routed".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_way_that_always_fails_is_no_news_and_one_that_works_again_is() {
        let (mut paths, net) = (Paths::default(), Net::new(7));
        let via = Via::Interface { index: 2, address: IpAddr::from([10, 0, 0, 1]) };
        let (to, path) = ("255.255.255.255:7".parse().unwrap(), PathKind::LimitedBroadcast);
        let transmit = Transmit { via, to, path, bytes: Arc::from([0]) };
        let failure = SendFailure { via, to, path, why: "Operation not permitted".into(), unreachable: false };
        let mut now = Moment::ZERO;
        for _ in 0..14 {
            now = now + Duration::from_secs(4);
            paths.sent(now, &net, &transmit);
            paths.failed(now, &net, &failure);
        }
        assert_eq!(paths.take_events().len(), 1);
        for _ in 0..3 {
            now = now + Duration::from_secs(4);
            paths.sent(now, &net, &transmit);
        }
        assert!(matches!(paths.take_events().as_slice(), [LanEvent::Recovered(_)]));
    }
}
