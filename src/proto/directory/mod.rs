//! What a finder knows: one entry per session, whatever the paths (protocol.md, "Discovery, finder").
//!
//! Only an echo of an own nonce confirms an entry; whatever a recording could say makes at most a short-lived one. What is
//! shown is probed when it falls silent; nothing is dropped on silence alone.

mod accept;
mod claims;
mod entry;
mod life;
mod mdns;
mod own;
mod verify;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::clock::Moment;
use super::io::Via;
use super::lan::{Asked, Bucket, BucketTable, Cx, Dice, Net};
use super::limits;
use super::tuning::Tuning;
use crate::types::{Found, HostKey, PublicFacts, SessionId, SessionKey, Sources, WIRE_MAJOR};
use crate::wire::frame::Reign;

use claims::Claims;
use entry::{Check, Entry};
use verify::Verifier;

pub(crate) use claims::{Claimant, Proof};
pub(crate) use own::Own;

/// What a call brought about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// New, or other than before.
    Touched(SessionKey),
    /// Only its round trip is another.
    Ping(SessionKey),
    Lost(SessionKey),
    /// Ask this host for this session's advert: its address has echoed.
    Fetch {
        id: SessionId,
        to: SocketAddr,
        via: Via,
    },
    /// Ask everybody for this session: its own address does not answer.
    AskAll(SessionId),
    /// Fetch this host's proof that the session goes on with it.
    Claim(Claimant),
    /// Its entry has another host now.
    Moved(SessionKey),
}

/// A datagram's surroundings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) from: SocketAddr,
    pub(crate) via: Via,
    /// It came to the shared port.
    pub(crate) shared: bool,
    /// The nonce it echoes is ours.
    pub(crate) asked: Option<Asked>,
}

/// The end of a session's listing.
#[derive(Debug, Clone, Copy)]
struct Tombstone {
    /// Who said so, and in which reign.
    host_key: HostKey,
    reign: Reign,
    incarnation: u64,
    /// It may be listed again by a higher number; `None`: this incarnation is over for ever.
    sequence: Option<u32>,
    until: Moment,
}

/// Sessions that were listed on hearsay and never gave an echo: a recording may say the same all evening. They are asked
/// again when they are heard again, and listed once they answer.
#[derive(Debug, Default)]
struct Doubts(VecDeque<SessionKey>);

impl Doubts {
    fn add(&mut self, key: SessionKey) {
        if !self.contains(&key) {
            self.0.push_back(key);
        }
        while self.0.len() > limits::DOUBTS {
            self.0.pop_front();
        }
    }

    fn contains(&self, key: &SessionKey) -> bool {
        self.0.contains(key)
    }
}

/// How many hosts there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Count {
    pub(crate) hosts: usize,
    pub(crate) total: usize,
    pub(crate) median: usize,
}

/// All entries.
#[derive(Debug)]
pub(crate) struct Directory {
    entries: BTreeMap<SessionKey, Entry>,
    deadlines: BTreeSet<(Moment, SessionKey)>,
    tombstones: BTreeMap<SessionKey, Tombstone>,
    buried: VecDeque<SessionKey>,
    doubts: Doubts,
    claims: Claims,
    instances: mdns::Instances,
    verifier: Verifier,
    /// Requests to addresses that have proved nothing.
    unproven: BucketTable,
    unproven_targets: Bucket,
    unshown: Bucket,
    ask_all: Bucket,
    changes: VecDeque<Change>,
    /// Somebody looks: without a reader nothing is probed.
    active: bool,
    our_version: u32,
    version: u64,
    tuning: Arc<Tuning>,
}

impl Directory {
    pub(crate) fn new(dice: &mut Dice, our_version: u32, tuning: Arc<Tuning>) -> Self {
        Self {
            entries: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            tombstones: BTreeMap::new(),
            buried: VecDeque::new(),
            doubts: Doubts::default(),
            claims: Claims::default(),
            instances: mdns::Instances::default(),
            verifier: Verifier::new(dice),
            unproven: BucketTable::new(dice.number(), limits::LIMITER_SLOTS),
            unproven_targets: Bucket::default(),
            unshown: Bucket::default(),
            ask_all: Bucket::default(),
            changes: VecDeque::new(),
            active: false,
            our_version,
            version: 0,
            tuning,
        }
    }

    pub(crate) fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    pub(crate) fn found(&self, key: &SessionKey) -> Option<&Found> {
        self.entries.get(key).map(|entry| &entry.found)
    }

    /// Every entry with its version: equal versions are equal but for the round trips.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Found, u64)> {
        self.entries.values().filter(|entry| !entry.doubted).map(|entry| (&entry.found, entry.version))
    }

    pub(crate) fn incompatible(&self) -> usize {
        let other =
            |entry: &&Entry| entry.major != WIRE_MAJOR || entry.incompatible || entry.facts.version != self.our_version;
        self.entries.values().filter(other).count()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn others(&self) -> usize {
        self.entries.values().filter(|entry| !entry.own).count()
    }

    /// Entries in their present state that need no confirmation now.
    pub(crate) fn settled(&self) -> impl Iterator<Item = (SessionKey, u64, u32, u64)> {
        let settled = |entry: &&Entry| entry.echoed.is_some() && entry.check.is_none() && !entry.own;
        self.entries.values().filter(settled).map(|e| (e.key, e.incarnation, e.term, e.facts.revision))
    }

    /// A host's address counts its word once; the largest of three or more is not believed.
    pub(crate) fn count(&self, now: Moment) -> Count {
        let mut told = BTreeMap::<IpAddr, usize>::new();
        let mut hosts = 0;
        for entry in self.entries.values().filter(|entry| entry.major == WIRE_MAJOR) {
            let lately = entry.many && now.since(entry.heard) < Duration::from_secs(10);
            if entry.confirmed() || lately {
                hosts += 1;
                if !entry.own {
                    let most = told.entry(entry.source).or_default();
                    *most = (*most).max(entry.hosts_heard.into());
                }
            }
        }
        let mut told: Vec<usize> = told.into_values().collect();
        told.sort_unstable();
        // Of two the smaller, and no more than is plausible beside who has answered: one liar must not widen the windows.
        let median = told.get(told.len().saturating_sub(1) / 2).copied().unwrap_or(0).min(hosts * 16 + 64);
        let total = match told.as_slice() {
            [.., second, _] if told.len() > 2 => *second,
            [.., last] => *last,
            [] => 0,
        };
        Count { hosts, total, median }
    }

    /// A reader came, or the last one went. What was heard while nobody looked is trusted only if it is fresh.
    pub(crate) fn set_active(&mut self, cx: &mut Cx<'_>, active: bool) {
        if active == self.active {
            return;
        }
        self.active = active;
        if !active {
            self.claims.clear();
        }
        let old = cx.now - cx.tuning.suspect_late;
        let stale = self.entries.values().filter(|e| active && !e.own && e.heard < old).map(|e| e.key);
        for key in stale.collect::<Vec<_>>() {
            self.forget(key);
        }
        for key in self.entries.keys().copied().collect::<Vec<_>>() {
            if !active {
                self.set_shown(cx, key, false);
                if let Some(entry) = self.entries.get_mut(&key) {
                    entry.check = entry.check.filter(|check| check.gap == cx.tuning.probe_gap_urgent);
                }
            }
            self.schedule(key);
        }
    }

    /// The sockets were closed: nothing that was heard before counts when they open again.
    pub(crate) fn clear(&mut self) {
        for key in self.entries.values().filter(|entry| !entry.own).map(|entry| entry.key).collect::<Vec<_>>() {
            self.forget(key);
        }
        self.instances = mdns::Instances::default();
        self.claims.clear();
    }

    /// Whether a reader sees it.
    pub(crate) fn set_shown(&mut self, cx: &mut Cx<'_>, key: SessionKey, shown: bool) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if entry.shown == shown {
            return;
        }
        entry.shown = shown;
        if shown {
            entry.quiet = entry.heard + cx.dice.between(cx.tuning.suspect, cx.tuning.suspect_late);
            if let Some((next, 0)) = &mut entry.confirm {
                *next = cx.now;
            }
            if !entry.own && !entry.addresses.iter().any(|proven| proven.exact) {
                entry.measure = Some((cx.now + cx.dice.within(life::MEASURE_WITHIN), 0));
            }
        } else {
            entry.quiet = entry.heard + unshown_patience(cx.tuning, entry.interval);
            entry.measure = None;
        }
        self.schedule(key);
    }

    /// Addresses of interfaces that are gone prove nothing any more.
    pub(crate) fn interfaces_changed(&mut self, cx: &mut Cx<'_>) {
        let lives = |via: &Via| match via {
            Via::Routed => true,
            Via::Interface { index, address } => {
                cx.net.interfaces().iter().any(|i| i.index == *index && i.address == *address)
            }
        };
        let own = own_addresses(cx.net);
        for key in self.entries.keys().copied().collect::<Vec<_>>() {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            if entry.own {
                entry.own_addresses.clone_from(&own);
            } else {
                let before = entry.addresses.len();
                entry.addresses.retain(|proven| lives(&proven.via));
                entry.hints.retain(|(_, via)| lives(via));
                if entry.addresses.len() < before && entry.addresses.is_empty() && entry.check.is_none() {
                    entry.check = Some(Check { tries: 0, next: cx.now, gap: cx.tuning.probe_gap });
                }
            }
            self.refresh(key);
            self.schedule(key);
        }
        self.instances.again(cx.now);
    }

    fn insert(&mut self, entry: Entry) {
        let key = entry.key;
        self.version += 1;
        let (version, data) = (self.version, entry.data(self.our_version));
        let entry = Entry { version, found: Found::new(data), ..entry };
        self.entries.insert(key, entry);
        self.changes.push_back(Change::Touched(key));
        self.schedule(key);
    }

    /// Rebuilds what readers see, and tells of it where it differs.
    fn refresh(&mut self, key: SessionKey) {
        let our_version = self.our_version;
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let data = entry.data(our_version);
        if entry::differs(entry.found.data(), &data) {
            self.version += 1;
            entry.version = self.version;
            self.changes.push_back(Change::Touched(key));
        } else if entry::ping_differs(entry.found.data(), &data) {
            self.changes.push_back(Change::Ping(key));
        } else {
            return;
        }
        entry.found = Found::new(data);
    }

    fn lose(&mut self, key: SessionKey) {
        if self.forget(key) {
            self.changes.push_back(Change::Lost(key));
        }
    }

    /// Drops an entry of which nothing is known any more, which is not that it is lost.
    fn forget(&mut self, key: SessionKey) -> bool {
        let Some(entry) = self.entries.remove(&key) else { return false };
        if let Some(at) = entry.deadline {
            self.deadlines.remove(&(at, key));
        }
        self.instances.entry_gone(key);
        true
    }

    fn lose_if(&mut self, key: SessionKey, which: impl Fn(&Entry) -> bool) {
        if self.entries.get(&key).is_some_and(which) {
            self.lose(key);
        }
    }

    fn bury(&mut self, now: Moment, key: SessionKey, sequence: Option<u32>, tuning: &Tuning) {
        let Some(&Entry { host_key, reign, incarnation, .. }) = self.entries.get(&key) else { return };
        let stone = Tombstone { host_key, reign, incarnation, sequence, until: now + tuning.tombstone };
        if self.tombstones.insert(key, stone).is_none() {
            self.buried.push_back(key);
        }
        while self.buried.len() > limits::TOMBSTONES {
            if let Some(oldest) = self.buried.pop_front() {
                self.tombstones.remove(&oldest);
            }
        }
    }

    /// Whether this state of the session is known to be over.
    /// An echo of our own nonce tells a living earlier run (its clock went back) from a recording of one.
    fn is_buried(
        &self,
        now: Moment,
        key: SessionKey,
        host_key: HostKey,
        (incarnation, sequence): (u64, u32),
        echoes: bool,
    ) -> bool {
        self.tombstones.get(&key).filter(|stone| stone.until > now).is_some_and(|stone| {
            match incarnation.cmp(&stone.incarnation) {
                Ordering::Less => !echoes,
                // Another host has numbers of its own; whether its reign may follow an ended one, its proof tells. What was
                // ended by a survivor alone still lives where its founder echoes.
                Ordering::Equal => {
                    let lives = echoes && Reign::FOUNDER.supersedes(stone.reign);
                    stone.sequence.map_or(host_key == stone.host_key || (host_key == key.founder && !lives), |ended| {
                        host_key == stone.host_key && sequence <= ended
                    })
                }
                Ordering::Greater => false,
            }
        })
    }

    /// Makes room for one more from this source, or says that there is none: a flood crowds out itself.
    ///
    /// A place that is shown is given up too, where its holder had time to answer us alone and did not: else fakes in a
    /// machine's name would keep its own session out.
    fn make_room(&mut self, now: Moment, host_key: HostKey, source: IpAddr) -> bool {
        let under_key = self.entries.values().filter(|entry| entry.host_key == host_key).count();
        if under_key >= limits::ENTRIES_PER_HOST_KEY {
            return false;
        }
        let from_source = self.entries.values().filter(|entry| entry.source == source && !entry.own).count();
        if from_source >= limits::ENTRIES_PER_SOURCE {
            return self.evict_from(now, source);
        }
        if self.entries.len() < limits::ENTRIES {
            return true;
        }
        let mut sources = BTreeMap::<IpAddr, usize>::new();
        for entry in self.entries.values().filter(|entry| !entry.own) {
            *sources.entry(entry.source).or_default() += 1;
        }
        let largest = sources.into_iter().max_by_key(|(_, count)| *count).map(|(source, _)| source);
        largest.is_some_and(|source| self.evict_from(now, source))
    }

    /// The oldest that nobody sees goes, unconfirmed before confirmed.
    fn evict_from(&mut self, now: Moment, source: IpAddr) -> bool {
        let exact = |entry: &Entry| entry.addresses.iter().any(|proven| proven.exact);
        let idle = |entry: &Entry| !exact(entry) && now.since(entry.first) >= Duration::from_millis(250);
        let may = |entry: &&Entry| entry.source == source && !entry.own && (!entry.shown || idle(entry));
        let of_source = self.entries.values().filter(may);
        let victim = of_source.min_by_key(|e| (e.shown, e.confirmed(), e.heard)).map(|entry| entry.key);
        victim.is_some_and(|key| {
            self.lose(key);
            true
        })
    }
}

/// How long an entry that nobody sees may be silent.
fn unshown_patience(tuning: &Tuning, interval: Duration) -> Duration {
    interval.mul_f64(1.25).max(tuning.suspect_late)
}

fn own_addresses(net: &Net) -> Vec<IpAddr> {
    let mut own: Vec<_> = net.interfaces().iter().map(|i| (i.loopback, i.address.is_ipv6(), i.address)).collect();
    own.sort();
    own.dedup();
    own.into_iter().map(|(_, _, address)| address).take(limits::ADDRESSES).collect()
}

fn blank(now: Moment, key: SessionKey, host_key: HostKey, source: IpAddr, facts: PublicFacts) -> Entry {
    let data = crate::types::FoundData {
        key,
        host_key,
        incarnation: 0,
        term: 1,
        facts: facts.clone(),
        major: WIRE_MAJOR,
        incompatible: false,
        our_version: 0,
        addresses: Vec::new(),
        sources: Sources::default(),
        confirmed: false,
        silent: false,
        migrating: false,
        migratable: false,
        listed: true,
        matched: None,
        started: 0,
    };
    Entry {
        key,
        host_key,
        incarnation: 0,
        term: 1,
        sequence: 0,
        facts,
        digest: [0; 8],
        tcp_port: 0,
        major: WIRE_MAJOR,
        incompatible: false,
        own: false,
        own_addresses: Vec::new(),
        hosts_heard: 0,
        interval: Duration::ZERO,
        many: false,
        source,
        addresses: Vec::new(),
        hints: Vec::new(),
        sources: Sources::default(),
        first: now,
        heard: now,
        echoed: None,
        quiet: now,
        not_before: now,
        check: None,
        confirm: None,
        measure: None,
        noticed: None,
        suspected: None,
        derived: false,
        doubted: false,
        shown: false,
        silent: false,
        reign: Reign::FOUNDER,
        former: Vec::new(),
        migratable: false,
        migrating: false,
        next_host: None,
        trial: None,
        deadline: None,
        version: 0,
        found: Found::new(data),
    }
}

#[cfg(all(test, feature = "testing"))]
impl Directory {
    /// The reign in which this session was told to have ended.
    pub(crate) fn ended(&self, key: &SessionKey) -> Option<Reign> {
        self.tombstones.get(key).filter(|stone| stone.sequence.is_none()).map(|stone| stone.reign)
    }

    pub(crate) fn sizes(&self, census: &mut limits::Census) {
        let (mut keys, mut sources) = (BTreeMap::<HostKey, usize>::new(), BTreeMap::<IpAddr, usize>::new());
        for entry in self.entries.values().filter(|entry| !entry.own) {
            *keys.entry(entry.host_key).or_default() += 1;
            *sources.entry(entry.source).or_default() += 1;
            census.push(("addresses", entry.addresses.len(), limits::ADDRESSES));
            census.push(("hinted addresses", entry.hints.len(), limits::HINTED_ADDRESSES));
        }
        let own = self.entries.values().filter(|entry| entry.own).count();
        census.push(("entries", self.entries.len() - own, limits::ENTRIES));
        census.extend(keys.into_values().map(|count| ("entries of a key", count, limits::ENTRIES_PER_HOST_KEY)));
        census.extend(sources.into_values().map(|count| ("entries of a source", count, limits::ENTRIES_PER_SOURCE)));
        census.push(("tombstones", self.tombstones.len().max(self.buried.len()), limits::TOMBSTONES));
        census.push(("doubts", self.doubts.0.len(), limits::DOUBTS));
        census.push(("mDNS instances", self.instances.len(), limits::MDNS_INSTANCES));
    }
}
