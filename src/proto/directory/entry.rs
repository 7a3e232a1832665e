//! One session as this finder holds it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::proto::clock::Moment;
use crate::proto::io::Via;
use crate::proto::limits;
use crate::types::{Found, FoundAddress, FoundData, HostKey, PublicFacts, SessionKey, Sources};
use crate::wire::datagram::Advert;
use crate::wire::frame::Reign;

use super::claims::Trial;

/// An address that has echoed a nonce of ours.
#[derive(Debug, Clone)]
pub(super) struct Proven {
    pub(super) to: SocketAddr,
    pub(super) via: Via,
    pub(super) rtts: Vec<Duration>,
    /// `rtts` come from probes, which nothing delays.
    pub(super) exact: bool,
    pub(super) heard: Moment,
    /// Port unreachable so many times in a row.
    pub(super) refused: u32,
}

impl Proven {
    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtts.iter().min().copied()
    }

    pub(super) fn measure(&mut self, rtt: Duration, exact: bool) {
        if exact && !self.exact {
            self.rtts.clear();
        } else if self.exact && !exact {
            return;
        }
        self.exact = exact;
        if self.rtts.len() >= 8 {
            self.rtts.remove(0);
        }
        self.rtts.push(rtt);
    }
}

/// Probing of a confirmed entry that fell silent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Check {
    pub(super) tries: u32,
    pub(super) next: Moment,
    pub(super) gap: Duration,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: SessionKey,
    pub(super) host_key: HostKey,
    pub(super) incarnation: u64,
    pub(super) term: u32,
    pub(super) sequence: u32,
    pub(super) facts: PublicFacts,
    pub(super) digest: [u8; 8],
    pub(super) tcp_port: u16,
    pub(super) major: u8,
    pub(super) incompatible: bool,
    pub(super) own: bool,
    /// Own sessions: the addresses of this machine.
    pub(super) own_addresses: Vec<IpAddr>,
    pub(super) hosts_heard: u16,
    pub(super) interval: Duration,
    pub(super) many: bool,
    /// Whence it first came: for the caps.
    pub(super) source: IpAddr,
    pub(super) addresses: Vec<Proven>,
    /// Addresses it was heard from and that have proved nothing.
    pub(super) hints: Vec<(SocketAddr, Via)>,
    pub(super) sources: Sources,
    pub(super) first: Moment,
    /// The last valid packet.
    pub(super) heard: Moment,
    /// The last echo of a nonce of ours.
    pub(super) echoed: Option<Moment>,
    /// When silence becomes suspicious.
    pub(super) quiet: Moment,
    /// No check before, whatever is due: others go first.
    pub(super) not_before: Moment,
    pub(super) check: Option<Check>,
    /// The next try to get an echo at all, and how many there were.
    pub(super) confirm: Option<(Moment, u32)>,
    /// When to measure the round trip, and how often that was tried.
    pub(super) measure: Option<(Moment, u32)>,
    pub(super) noticed: Option<Moment>,
    /// When a recording or a restart last said that there is another run.
    pub(super) suspected: Option<Moment>,
    /// Its id derives from the founder's key.
    pub(super) derived: bool,
    /// It was here before and never gave an echo: not listed until it does.
    pub(super) doubted: bool,
    pub(super) shown: bool,
    pub(super) silent: bool,
    /// The reign of its host.
    pub(super) reign: Reign,
    /// The hosts before.
    pub(super) former: Vec<(HostKey, Reign)>,
    /// It can outlive its host.
    pub(super) migratable: bool,
    /// Its host is gone, another one may come.
    pub(super) migrating: bool,
    /// Who goes on, said its host.
    pub(super) next_host: Option<HostKey>,
    /// Somebody claims it: does its host live?
    pub(super) trial: Option<Trial>,
    pub(super) deadline: Option<Moment>,
    /// One more with each change that a reader should be told of.
    pub(super) version: u64,
    pub(super) found: Found,
}

impl Entry {
    pub(super) fn order(&self) -> (u64, u32, u32) {
        (self.incarnation, self.term, self.sequence)
    }

    /// Whether this was its host once, and says so in no later term than it was; and its reign would not stand before the
    /// present one. The members of a former host may have affirmed it since.
    pub(super) fn is_past(&self, host_key: HostKey, term: u32) -> bool {
        let past =
            |(host, reign): &(HostKey, Reign)| *host == host_key && term <= reign.term && !reign.supersedes(self.reign);
        self.former.iter().any(past)
    }

    /// What its host says now.
    pub(super) fn adopt(&mut self, advert: &Advert, digest: [u8; 8]) {
        self.term = advert.term;
        self.reign.term = advert.term;
        self.sequence = advert.sequence;
        self.digest = digest;
        self.tcp_port = advert.tcp_port;
        self.incompatible = advert.incompatible;
        self.migratable = advert.migratable;
        self.hosts_heard = advert.hosts_heard;
        self.interval = Duration::from_millis(u64::from(advert.interval) * 100);
        self.many = advert.many;
        self.facts = advert.facts.clone();
    }

    pub(super) fn confirmed(&self) -> bool {
        self.own || self.echoed.is_some()
    }

    pub(super) fn data(&self, our_version: u32) -> FoundData {
        let mut addresses: Vec<FoundAddress> = if self.own {
            let own = self.own_addresses.iter();
            own.map(|ip| FoundAddress::new(SocketAddr::new(*ip, self.tcp_port), None)).collect()
        } else {
            let mut proven: Vec<&Proven> = self.addresses.iter().collect();
            proven.sort_by_key(|p| (p.rtt().map_or(u128::MAX, |rtt| rtt.as_millis()), p.to));
            proven.iter().map(|p| FoundAddress::new(with_port(p.to, self.tcp_port), p.rtt())).collect()
        };
        let mut seen = Vec::new();
        addresses.retain(|address| {
            let new = !seen.contains(&address.addr);
            seen.push(address.addr);
            new
        });
        FoundData {
            key: self.key,
            host_key: self.host_key,
            incarnation: self.incarnation,
            term: self.term,
            facts: self.facts.clone(),
            major: self.major,
            incompatible: self.incompatible,
            our_version,
            addresses,
            sources: self.sources,
            confirmed: self.confirmed(),
            silent: self.silent,
            migrating: self.migrating,
            migratable: self.migratable,
            listed: true,
            matched: None,
            started: self.incarnation,
        }
    }

    /// An echo came from here.
    pub(super) fn prove(&mut self, now: Moment, to: SocketAddr, via: Via, rtt: Option<(Duration, bool)>) {
        self.hints.retain(|(hint, _)| *hint != to);
        let at = match self.addresses.iter().position(|proven| proven.to == to) {
            Some(at) => at,
            None => {
                if self.addresses.len() >= limits::ADDRESSES {
                    // The longest silent one gives way, and sooner one that only echoed what all could hear; a hint never
                    // pushes out a proven one.
                    let weakest = self.addresses.iter().enumerate().min_by_key(|(_, p)| (p.exact, p.heard));
                    let oldest = weakest.map(|(at, _)| at);
                    if let Some(oldest) = oldest {
                        self.addresses.remove(oldest);
                    }
                }
                let proven = Proven { to, via, rtts: Vec::new(), exact: false, heard: now, refused: 0 };
                self.addresses.push(proven);
                self.addresses.len() - 1
            }
        };
        if let Some(proven) = self.addresses.get_mut(at) {
            proven.heard = now;
            proven.via = via;
            proven.refused = 0;
            if let Some((rtt, exact)) = rtt {
                proven.measure(rtt, exact);
            }
        }
    }

    /// It was heard from here, which proves nothing.
    pub(super) fn hint(&mut self, from: SocketAddr, via: Via) -> bool {
        let known = self.addresses.iter().any(|p| p.to == from) || self.hints.iter().any(|(hint, _)| *hint == from);
        if known || self.hints.len() >= limits::HINTED_ADDRESSES {
            return false;
        }
        self.hints.push((from, via));
        true
    }

    /// Where the n-th try of a probe goes: each address twice in a row, since two refusals in a row count.
    pub(super) fn aim(&self, tries: u32) -> Option<(SocketAddr, Via)> {
        let mut proven: Vec<&Proven> = self.addresses.iter().collect();
        proven.sort_by_key(|p| (p.refused, !p.exact, std::cmp::Reverse(p.heard), p.to));
        let at = (tries as usize / 2) % proven.len().max(1);
        proven.get(at).map(|p| (p.to, p.via))
    }
}

fn with_port(mut addr: SocketAddr, port: u16) -> SocketAddr {
    addr.set_port(port);
    addr
}

/// Whether a reader should be told: all but the round trips.
pub(super) fn differs(old: &FoundData, new: &FoundData) -> bool {
    let addrs = |data: &FoundData| {
        let mut addrs: Vec<SocketAddr> = data.addresses.iter().map(|a| a.addr).collect();
        addrs.sort();
        addrs
    };
    (old.host_key, old.incarnation, old.term, old.major, old.incompatible)
        != (new.host_key, new.incarnation, new.term, new.major, new.incompatible)
        || (old.sources, old.confirmed, old.silent, old.migrating)
            != (new.sources, new.confirmed, new.silent, new.migrating)
        || old.facts != new.facts
        || addrs(old) != addrs(new)
}

/// Whether the round trip is another by more than jitter.
pub(super) fn ping_differs(old: &FoundData, new: &FoundData) -> bool {
    let ping = |data: &FoundData| data.addresses.iter().filter_map(|a| a.rtt).min();
    match (ping(old), ping(new)) {
        (None, None) => false,
        (Some(old), Some(new)) => {
            let by = old.max(new) - old.min(new);
            by > Duration::from_millis(1) && by * 4 > old
        }
        _ => true,
    }
}
