//! The host's side of discovery: answers, beacons, announcements, goodbyes (protocol.md, "Discovery, host").
//!
//! Its constants are in [`tuning`](crate::proto::tuning). A hidden
//! session says nothing over UDP, whoever asks.

mod answer;
mod census;
mod hosted;
mod say;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::clock::Moment;
use super::io::{Transmit, Via};
use super::lan::{Bucket, BucketTable, Cx, Dice, Net, Way};
use super::limits;
use super::tuning::Tuning;
use crate::types::{HostKey, SessionId, SessionKey};
use crate::wire::datagram::GoodbyeReason;

use census::{Census, Sense};
use hosted::Hosted;

pub(crate) use answer::Asker;
pub(crate) use hosted::Publication;

/// A session that said goodbye and still repeats it.
#[derive(Debug)]
struct Leaving {
    bytes: Arc<[u8]>,
    at: VecDeque<Moment>,
    /// Whom no multicast reaches.
    peers: Vec<(Via, SocketAddr)>,
}

/// All hosted sessions of one process.
#[derive(Debug)]
pub(crate) struct Announcer {
    hosted: BTreeMap<SessionKey, Hosted>,
    leaving: Vec<Leaving>,
    census: Census,
    sense: Sense,
    /// Ways by which questions came, until when.
    leases: BTreeMap<Way, Moment>,
    limiters: Limiters,
    /// Signatures for answers: a question costs us 29 µs, so there is a bound to what questions can cost.
    signing: Bucket,
    /// The same for answers to probes: neither flood silences the other.
    living: Bucket,
    /// The same for signatures that are checked only to count hosts.
    counting: Bucket,
    probes: VecDeque<Moment>,
    hot_until: Moment,
    /// Peers beyond a router that proved their address by a cookie; probes come from ports of their own.
    proven: BTreeMap<IpAddr, Moment>,
    /// Who probed us lately: a goodbye goes to those whom no multicast reaches.
    listeners: BTreeMap<SocketAddr, (Via, Moment)>,
    cookie_secret: [u8; 32],
}

/// An advert that came, as far as it counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heard {
    pub(crate) host: HostKey,
    pub(crate) id: SessionId,
    pub(crate) from: IpAddr,
    pub(crate) life: Duration,
    /// Its signature was checked just now.
    pub(crate) verified: bool,
}

/// Answers by whom they go to.
#[derive(Debug)]
struct Limiters {
    /// By address and port.
    peer: BucketTable,
    /// By address.
    source: BucketTable,
    /// Answers to probes, by address: of their own, or questions in a finder's name would cost it its entries.
    probes: BucketTable,
    /// Signatures that are checked to count hosts, by the address they came from.
    counts: BucketTable,
}

/// So many signatures are checked at once to count hosts, and this often: a fiftieth of a core.
const COUNTING: (u32, Duration) = (512, Duration::from_millis(3));
/// The same for one address: what it may count for.
const COUNTING_SOURCE: (u32, Duration) = (limits::HOSTS_COUNTED_PER_SOURCE as u32, Duration::from_secs(1));

impl Announcer {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        Self {
            hosted: BTreeMap::new(),
            leaving: Vec::new(),
            census: Census::default(),
            sense: Sense::default(),
            leases: BTreeMap::new(),
            limiters: Limiters {
                peer: BucketTable::new(dice.number(), limits::LIMITER_PEER_SLOTS),
                source: BucketTable::new(dice.number(), limits::LIMITER_SLOTS),
                probes: BucketTable::new(dice.number(), limits::LIMITER_SLOTS),
                counts: BucketTable::new(dice.number(), limits::LIMITER_SLOTS),
            },
            signing: Bucket::default(),
            living: Bucket::default(),
            counting: Bucket::default(),
            probes: VecDeque::new(),
            hot_until: Moment::ZERO,
            proven: BTreeMap::new(),
            listeners: BTreeMap::new(),
            cookie_secret: dice.bytes(),
        }
    }

    /// Whether anything is hosted or a goodbye is still to be repeated.
    pub(crate) fn is_active(&self) -> bool {
        !self.hosted.is_empty() || !self.leaving.is_empty()
    }

    pub(crate) fn publications(&self) -> impl Iterator<Item = &Publication> {
        self.hosted.values().map(|hosted| &hosted.what)
    }

    /// Whether this session is one of ours, listed or not.
    pub(crate) fn is_ours(&self, host: HostKey, id: SessionId) -> bool {
        self.hosted
            .values()
            .any(|hosted| hosted.what.key.id == id && HostKey::from(hosted.what.identity.public()) == host)
    }

    /// A session that is new or has changed.
    pub(crate) fn publish(&mut self, cx: &mut Cx<'_>, what: Publication) {
        let key = what.key;
        let Some(hosted) = self.hosted.get_mut(&key) else {
            let listed = what.listed;
            self.hosted.insert(key, Hosted::new(cx.now, what));
            if listed {
                self.announce(cx, key);
            }
            return;
        };
        let was_listed = hosted.what.listed;
        let reign = |what: &Publication| (what.term, what.tcp_port, what.migratable);
        let changed = hosted.what.facts != what.facts || reign(&hosted.what) != reign(&what);
        let listed = what.listed;
        if was_listed && !listed {
            let bytes = hosted.goodbye(cx, GoodbyeReason::Unlisted, None);
            hosted.what = what;
            hosted.sequence = hosted.sequence.saturating_add(1);
            hosted.pending.clear();
            hosted.cast = None;
            hosted.announce.clear();
            self.leave(cx, bytes);
            return;
        }
        let sequence = hosted.sequence;
        let mut renewed = Hosted::new(hosted.since, what);
        std::mem::swap(&mut renewed.what, &mut hosted.what);
        hosted.digest = renewed.digest;
        hosted.lineage = renewed.lineage.take();
        // Listed again it must be above its own goodbye, or finders take it for what that ended.
        hosted.sequence = sequence.saturating_add(u32::from(changed || listed != was_listed));
        if listed && !was_listed {
            self.announce(cx, key);
        } else if listed && changed {
            self.tell_change(cx, key);
        }
    }

    /// The session is over, or goes on elsewhere or hidden.
    pub(crate) fn withdraw(&mut self, cx: &mut Cx<'_>, key: SessionKey, reason: GoodbyeReason, next: Option<HostKey>) {
        if reason == GoodbyeReason::Unlisted {
            // Its number is kept: listed again it must be above its own goodbye.
            if let Some(hosted) = self.hosted.get(&key) {
                let what = Publication { listed: false, ..hosted.what.clone() };
                self.publish(cx, what);
            }
            return;
        }
        let Some(hosted) = self.hosted.remove(&key) else { return };
        if hosted.what.listed {
            let bytes = hosted.goodbye(cx, reason, next);
            self.leave(cx, bytes);
        }
    }

    /// Signed goodbyes of everything that is listed, for a process that has no time left to repeat them.
    pub(crate) fn farewell(&self, cx: &mut Cx<'_>) -> Vec<Transmit> {
        let mut out = VecDeque::new();
        let ways = cx.net.ways();
        for hosted in self.hosted.values().filter(|hosted| hosted.what.listed) {
            let bytes = hosted.goodbye(cx, GoodbyeReason::Ended, None);
            std::mem::swap(cx.out, &mut out);
            cx.cast(&ways, |_| Some(bytes.clone()));
            let shared: Arc<[u8]> = Arc::from(bytes.as_slice());
            for (via, to) in self.unreached(cx) {
                cx.send(via, to, Arc::clone(&shared));
            }
            std::mem::swap(cx.out, &mut out);
        }
        for leaving in &self.leaving {
            std::mem::swap(cx.out, &mut out);
            cx.cast(&ways, |_| Some(leaving.bytes.to_vec()));
            std::mem::swap(cx.out, &mut out);
        }
        out.into()
    }

    /// New interfaces: what came up hears of us at once.
    pub(crate) fn interfaces_changed(&mut self, cx: &mut Cx<'_>, added: bool) {
        let ways: BTreeSet<Way> = cx.net.ways().into_iter().collect();
        self.leases.retain(|way, _| ways.contains(way));
        self.listeners.retain(|_, (via, _)| *via == Via::Routed || via_lives(cx.net, *via));
        if added {
            let keys: Vec<_> = self.hosted.iter().filter(|(_, h)| h.what.listed).map(|(key, _)| *key).collect();
            for key in keys {
                self.announce(cx, key);
            }
        }
    }

    /// An advert of another host: it counts for the windows once its signature was seen to be good, by the finder or here.
    /// Were forged ones counted, a flood of them from many addresses would stretch the windows until nobody is answered.
    pub(crate) fn heard_host(&mut self, now: Moment, advert: &Heard, verify: impl FnOnce() -> bool) {
        let Heard { host, id, from, life, verified } = *advert;
        let counts = self.census.renewed(now, host, id, life) || verified || self.may_check(now, from) && verify();
        if counts {
            self.census.heard(now, host, id, from, life);
        }
    }

    fn may_check(&mut self, now: Moment, from: IpAddr) -> bool {
        let (burst, every) = COUNTING_SOURCE;
        // Nobody asks a process that hosts nothing.
        !self.hosted.is_empty()
            && self.limiters.counts.of_ip(from).take(now, burst, every)
            && self.counting.take(now, COUNTING.0, COUNTING.1)
    }

    pub(crate) fn heard_goodbye(&mut self, host: HostKey, id: SessionId) {
        self.census.gone(host, id);
    }

    /// Something to all was heard.
    pub(crate) fn heard_cast(&mut self, now: Moment) {
        self.sense.hit(now);
    }

    /// Sessions heard, our own included.
    pub(crate) fn hosts(&mut self, now: Moment) -> usize {
        self.census.count(now) + self.hosted.values().filter(|hosted| hosted.what.listed).count()
    }

    pub(crate) fn poll_timeout(&self, beacons: bool) -> Option<Moment> {
        let hosted = self.hosted.values().filter_map(|hosted| hosted.next(beacons)).min();
        let leaving = self.leaving.iter().filter_map(|leaving| leaving.at.front().copied()).min();
        hosted.into_iter().chain(leaving).min()
    }

    pub(crate) fn handle_timeout(&mut self, cx: &mut Cx<'_>) {
        for at in 0..self.leaving.len() {
            self.repeat_goodbye(cx, at);
        }
        self.leaving.retain(|leaving| !leaving.at.is_empty());
        let keys: Vec<_> = self.hosted.keys().copied().collect();
        for key in keys {
            self.fire_cast(cx, key);
            self.fire_answers(cx, key);
            self.fire_announcement(cx, key);
            self.fire_beacon(cx, key);
        }
    }

    fn leave(&mut self, cx: &mut Cx<'_>, bytes: Vec<u8>) {
        let at = cx.tuning.goodbye_at.iter().map(|after| cx.now + *after).collect();
        let peers = self.unreached(cx);
        self.leaving.push(Leaving { bytes: Arc::from(bytes), at, peers });
        self.repeat_goodbye(cx, self.leaving.len() - 1);
        self.leaving.retain(|leaving| !leaving.at.is_empty());
    }

    fn repeat_goodbye(&mut self, cx: &mut Cx<'_>, at: usize) {
        let Some(leaving) = self.leaving.get_mut(at) else { return };
        if leaving.at.front().is_none_or(|&at| at > cx.now) {
            return;
        }
        while leaving.at.front().is_some_and(|&next| next <= cx.now) {
            leaving.at.pop_front();
        }
        let ways = cx.net.ways();
        cx.cast(&ways, |_| Some(leaving.bytes.to_vec()));
        for (via, to) in leaving.peers.clone() {
            cx.send(via, to, Arc::clone(&leaving.bytes));
        }
    }

    /// Those who probe us and hear no multicast of ours.
    fn unreached(&self, cx: &Cx<'_>) -> Vec<(Via, SocketAddr)> {
        let fresh = cx.now - Duration::from_secs(60);
        let wanted = |via: Via| !cx.beacons || via == Via::Routed;
        let peers = self.listeners.iter().filter(|(_, (via, at))| wanted(*via) && *at >= fresh);
        peers.map(|(to, (via, _))| (*via, *to)).collect()
    }

    fn mc_slot(cx: &Cx<'_>) -> Duration {
        if cx.net.wireless() { cx.tuning.mc_slot_wireless } else { cx.tuning.mc_slot }
    }

    fn uni_slot(cx: &Cx<'_>) -> Duration {
        if cx.net.wireless() { cx.tuning.uni_slot_wireless } else { cx.tuning.uni_slot }
    }

    /// The first 2 s count as among many: at a power-on nobody has heard anybody.
    fn crowd(&mut self, cx: &Cx<'_>, since: Moment) -> usize {
        let hosts = self.hosts(cx.now);
        if cx.now.since(since) < Duration::from_secs(2) { hosts.max(100) } else { hosts }
    }

    fn interval(&mut self, cx: &Cx<'_>) -> Duration {
        let Tuning { beacon, beacon_idle, beacons_per_second, .. } = *cx.tuning;
        let hosts = u32::try_from(self.hosts(cx.now)).unwrap_or(u32::MAX);
        let shared = |per_second: u32| Duration::from_secs_f64(f64::from(hosts) / f64::from(per_second.max(1)));
        if !cx.beacons {
            Duration::ZERO
        } else if cx.now < self.hot_until {
            beacon
        } else if self.leases.values().any(|&until| until > cx.now) {
            beacon.max(shared(beacons_per_second))
        } else {
            beacon_idle.max(shared(10))
        }
    }

    /// The ways of beacons: those by which questions came; else one per interface.
    fn beacon_ways(&mut self, cx: &Cx<'_>) -> Vec<Way> {
        self.leases.retain(|_, until| *until > cx.now);
        if self.leases.is_empty() { cx.net.thrifty_ways() } else { self.leases.keys().copied().collect() }
    }
}

fn via_lives(net: &Net, via: Via) -> bool {
    match via {
        Via::Routed => true,
        Via::Interface { index, address } => net.interfaces().iter().any(|i| i.index == index && i.address == address),
    }
}

#[cfg(all(test, feature = "testing"))]
impl Announcer {
    pub(crate) fn sizes(&self, census: &mut limits::Census) {
        for hosted in self.hosted.values() {
            hosted.sizes(census);
        }
        census.push(("hosts counted", self.census.len(), limits::HOSTS_COUNTED));
        census.push(("listeners", self.listeners.len(), limits::LISTENERS));
    }
}
