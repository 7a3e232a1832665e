//! One hosted session: its facts, its sequence, and what it is about to say.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use crate::proto::clock::Moment;
use crate::proto::io::Via;
use crate::proto::lan::{Bucket, Cx, Way};
use crate::proto::limits;
use crate::types::{HostKey, Identity, PathKind, PublicFacts, SessionKey};
use crate::wire::datagram::{Advert, Goodbye, GoodbyeReason, Lineage};
use crate::wire::frame::{Takeover, lineage_digest};

/// A session to be found, as its host tells it.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    pub(crate) key: SessionKey,
    /// The host key's pair: it signs.
    pub(crate) identity: Identity,
    pub(crate) salt: u64,
    pub(crate) id_derived: bool,
    pub(crate) account_shown: bool,
    pub(crate) incarnation: u64,
    pub(crate) term: u32,
    pub(crate) tcp_port: u16,
    /// A session that is not listed says nothing at all over UDP.
    pub(crate) listed: bool,
    pub(crate) facts: PublicFacts,
    /// How this host came to be it; empty at the founder.
    pub(crate) lineage: Vec<Takeover>,
    /// The session can outlive this host.
    pub(crate) migratable: bool,
}

/// An answer that waits in its window.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) at: Moment,
    pub(super) to: SocketAddr,
    pub(super) via: Via,
    pub(super) nonce: u64,
    pub(super) path: PathKind,
    /// The question's size: the answer may not be longer.
    pub(super) room: usize,
}

/// A multicast answer that waits in its window.
#[derive(Debug)]
pub(super) struct Cast {
    pub(super) at: Moment,
    pub(super) window: Duration,
    pub(super) tries: u32,
    pub(super) nonce: u64,
    pub(super) many: bool,
    pub(super) ways: Vec<Way>,
}

/// A finder that asked.
#[derive(Debug)]
struct Asker {
    addr: SocketAddr,
    nonce: u64,
    at: Moment,
}

#[derive(Debug)]
pub(super) struct Hosted {
    pub(super) what: Publication,
    pub(super) since: Moment,
    pub(super) sequence: u32,
    pub(super) pending: Vec<Pending>,
    pub(super) cast: Option<Cast>,
    pub(super) last_cast: Option<Moment>,
    pub(super) beacon: Moment,
    /// When to announce, in order, and whether that is a repeat.
    pub(super) announce: VecDeque<(Moment, bool)>,
    pub(super) announce_tries: u32,
    pub(super) changes: Bucket,
    pub(super) bucket: Bucket,
    pub(super) relief: Bucket,
    pub(super) digest: [u8; 8],
    pub(super) lineage: Option<Lineage>,
    askers: VecDeque<Asker>,
}

/// What one advert says beside the facts.
pub(super) struct Saying {
    pub(super) echo: u64,
    pub(super) many: bool,
    pub(super) path: PathKind,
    pub(super) interval: Duration,
    pub(super) hosts: usize,
    pub(super) udp_port: u16,
}

impl Hosted {
    pub(super) fn new(now: Moment, what: Publication) -> Self {
        let digest = || lineage_digest(what.key, what.incarnation, &what.lineage);
        let lineage = (!what.lineage.is_empty()).then(|| Lineage { founder: what.key.founder, digest: digest() });
        let mut hosted = Self {
            lineage,
            what,
            since: now,
            sequence: 1,
            pending: Vec::new(),
            cast: None,
            last_cast: None,
            beacon: now,
            announce: VecDeque::new(),
            announce_tries: 0,
            changes: Bucket::default(),
            bucket: Bucket::default(),
            relief: Bucket::default(),
            digest: [0; 8],
            askers: VecDeque::new(),
        };
        let saying =
            Saying { echo: 0, many: false, path: PathKind::Unicast, interval: Duration::ZERO, hosts: 1, udp_port: 0 };
        hosted.digest = hosted.advert(now, &saying).facts_digest();
        hosted
    }

    /// Whether this very question of this finder was answered already: its copies come by several paths.
    pub(super) fn knows_question(&self, addr: SocketAddr, nonce: u64) -> bool {
        self.askers.iter().any(|asker| asker.addr == addr && asker.nonce == nonce)
    }

    /// Notes the question; whether its finder was answered a moment ago and still asks.
    pub(super) fn note_question(&mut self, now: Moment, addr: SocketAddr, nonce: u64, memory: Duration) -> bool {
        while self.askers.front().is_some_and(|asker| asker.at + memory < now) || self.askers.len() >= limits::ASKERS {
            self.askers.pop_front();
        }
        let again = self.askers.iter().any(|asker| asker.addr == addr);
        self.askers.push_back(Asker { addr, nonce, at: now });
        again
    }

    pub(super) fn advert(&self, now: Moment, saying: &Saying) -> Advert {
        let tenths = |d: Duration| u16::try_from(d.as_millis() / 100).unwrap_or(u16::MAX);
        let what = &self.what;
        let life = if saying.interval.is_zero() { Duration::from_secs(120) } else { saying.interval.mul_f64(3.5) };
        Advert {
            host_key: what.identity.public().into(),
            id: what.key.id,
            many: saying.many,
            old: now.since(self.since) > Duration::from_secs(60),
            migratable: what.migratable,
            id_derived: what.id_derived,
            account_shown: what.account_shown,
            salt: what.salt,
            incarnation: what.incarnation,
            term: what.term,
            sequence: self.sequence,
            echo: saying.echo,
            ttl: tenths(life),
            interval: tenths(saying.interval),
            hosts_heard: u16::try_from(saying.hosts).unwrap_or(u16::MAX),
            tcp_port: what.tcp_port,
            udp_port: saying.udp_port,
            path: saying.path,
            facts: what.facts.clone(),
            lineage: self.lineage.clone(),
            incompatible: false,
        }
    }

    /// The signed goodbye; one sequence number above all that was said.
    pub(super) fn goodbye(&self, cx: &Cx<'_>, reason: GoodbyeReason, next: Option<HostKey>) -> Vec<u8> {
        let what = &self.what;
        let goodbye = Goodbye {
            host_key: what.identity.public().into(),
            id: what.key.id,
            incarnation: what.incarnation,
            term: what.term,
            sequence: self.sequence.saturating_add(1),
            reason,
            next,
        };
        goodbye.encode(cx.game, &what.identity)
    }

    pub(super) fn next(&self, beacons: bool) -> Option<Moment> {
        if !self.what.listed {
            return None;
        }
        let pending = self.pending.iter().map(|pending| pending.at).min();
        let cast = self.cast.as_ref().map(|cast| cast.at);
        let announce = self.announce.iter().map(|(at, _)| *at).min();
        let beacon = beacons.then_some(self.beacon);
        [pending, cast, announce, beacon].into_iter().flatten().min()
    }
}

#[cfg(all(test, feature = "testing"))]
impl Hosted {
    pub(super) fn sizes(&self, census: &mut limits::Census) {
        census.push(("pending answers", self.pending.len(), limits::PENDING_ANSWERS));
        census.push(("askers", self.askers.len(), limits::ASKERS));
    }
}
