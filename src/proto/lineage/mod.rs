//! Fetches the proofs of takeovers: dials a host that claims a session, asks for its lineage, and verifies it (protocol.md,
//! "Claims").
//!
//! The dial counts only the key that is to be proved, so an answer also shows that this host lives and can be reached.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use rand::rngs::ChaCha12Rng;
use rand::{Rng, SeedableRng};

use super::clock::Moment;
use super::io::{Action, LinkEvent, LinkId};
use super::limits;
use super::links::{Bucket, Link};
use super::tuning::Tuning;
use crate::types::{HostKey, Identity, SessionKey};
use crate::wire::frame::{Frame, MAX_PROOF, Reign, Takeover, follow, lineage_digest};

/// A host that is to prove itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) session: SessionKey,
    pub(crate) incarnation: u64,
    pub(crate) host_key: HostKey,
    pub(crate) term: u32,
    pub(crate) digest: [u8; 16],
    /// Where it says that it listens.
    pub(crate) at: Vec<SocketAddr>,
    /// It must answer now, whatever was proved before.
    pub(crate) anew: bool,
}

impl Wanted {
    fn is(&self, other: &Self) -> bool {
        (self.session, self.host_key) == (other.session, other.host_key)
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Proved {
        reign: Reign,
        lineage: Arc<[Takeover]>,
    },
    /// It answered, and that was no proof.
    Forged,
    /// It did not answer, or there are too many to ask.
    Unreachable,
}

#[derive(Debug)]
struct Fetch {
    wanted: Wanted,
    link: Option<Link>,
    dials: usize,
    until: Moment,
}

/// A proof that was verified.
#[derive(Debug)]
struct Kept {
    session: SessionKey,
    incarnation: u64,
    host_key: HostKey,
    digest: [u8; 16],
    reign: Reign,
    lineage: Arc<[Takeover]>,
}

/// Links dialled here have even numbers from this on, up to those of the social room.
const FIRST_LINK: u64 = 1 << 61;
const LAST_LINK: u64 = 1 << 62;

/// All fetches of one process.
#[derive(Debug)]
pub(crate) struct Lineages {
    tuning: Arc<Tuning>,
    rng: ChaCha12Rng,
    /// By the number of the fetch.
    open: BTreeMap<u64, Fetch>,
    links: BTreeMap<LinkId, u64>,
    waiting: VecDeque<Wanted>,
    kept: VecDeque<Kept>,
    bucket: Bucket,
    next: u64,
    next_link: u64,
    actions: VecDeque<Action>,
    events: VecDeque<(Wanted, Outcome)>,
}

impl Lineages {
    pub(crate) fn new(tuning: Arc<Tuning>, seed: [u8; 32]) -> Self {
        Self {
            tuning,
            rng: ChaCha12Rng::from_seed(seed),
            open: BTreeMap::new(),
            links: BTreeMap::new(),
            waiting: VecDeque::new(),
            kept: VecDeque::new(),
            bucket: Bucket::new(Moment::ZERO),
            next: 0,
            next_link: FIRST_LINK,
            actions: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Asks a host for its proof; one that is being asked already is not asked twice.
    pub(crate) fn fetch(&mut self, now: Moment, wanted: Wanted) {
        let known = self.kept.iter().find(|kept| {
            let same = (kept.session, kept.incarnation, kept.host_key, kept.digest)
                == (wanted.session, wanted.incarnation, wanted.host_key, wanted.digest);
            same && !wanted.anew && kept.reign.term == wanted.term
        });
        if let Some(kept) = known {
            let outcome = Outcome::Proved { reign: kept.reign, lineage: Arc::clone(&kept.lineage) };
            self.events.push_back((wanted, outcome));
            return;
        }
        let asked = self.open.values().map(|fetch| &fetch.wanted).chain(&self.waiting).any(|other| other.is(&wanted));
        if asked {
            return;
        }
        if wanted.at.is_empty() || self.waiting.len() >= limits::LINEAGES_WAITING {
            self.events.push_back((wanted, Outcome::Unreachable));
            return;
        }
        self.waiting.push_back(wanted);
        self.dial_waiting(now);
    }

    /// Of a session one at each address, and three in all: who cannot prove it holds up nobody elsewhere.
    fn dial_waiting(&mut self, now: Moment) {
        while self.open.len() < limits::LINEAGE_FETCHES {
            let of = |wanted: &Wanted| {
                let same = self.open.values().filter(|fetch| fetch.wanted.session == wanted.session);
                same.map(|fetch| fetch.wanted.at.first().map(SocketAddr::ip)).collect::<Vec<_>>()
            };
            let free = |wanted: &Wanted| {
                let of = of(wanted);
                of.len() < limits::LINEAGES_PER_SESSION && !of.contains(&wanted.at.first().map(SocketAddr::ip))
            };
            let Some(at) = self.waiting.iter().position(free) else { return };
            let Some(wanted) = self.waiting.remove(at) else { return };
            if self.bucket.take(now, self.tuning.lineage_interval, limits::LINEAGE_BURST).is_err() {
                self.events.push_back((wanted, Outcome::Unreachable));
                continue;
            }
            self.dial(now, wanted);
        }
    }

    fn dial(&mut self, now: Moment, wanted: Wanted) {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        // Nobody is shown an account for looking at a list.
        let Ok(identity) = Identity::from_seed(seed) else { return };
        let number = self.next;
        self.next += 1;
        for &to in &wanted.at {
            let link = LinkId(self.next_link);
            self.next_link += 2;
            self.links.insert(link, number);
            let expect = Some(wanted.host_key);
            self.actions.push_back(Action::Dial { link, to, expect, identity: identity.clone() });
        }
        let (dials, until) = (wanted.at.len(), now + self.tuning.lineage_fetch);
        self.open.insert(number, Fetch { wanted, link: None, dials, until });
    }

    pub(crate) fn owns(&self, event: &LinkEvent) -> bool {
        match event {
            LinkEvent::Incoming { .. } => false,
            LinkEvent::HelloBegun { link }
            | LinkEvent::Open { link, .. }
            | LinkEvent::Frame { link, .. }
            | LinkEvent::Written { link, .. }
            | LinkEvent::Closed { link, .. } => (FIRST_LINK..LAST_LINK).contains(&link.0) && link.0 % 2 == 0,
        }
    }

    pub(crate) fn handle_link(&mut self, now: Moment, event: LinkEvent) {
        match event {
            LinkEvent::Open { link, peer, binding, remote, fallback, .. } => {
                let Some(&number) = self.links.get(&link) else { return };
                let Some(fetch) = self.open.get_mut(&number) else { return };
                if fallback || fetch.link.is_some() {
                    return self.close(link);
                }
                let mut open = Link::new(now, link, peer, binding, remote);
                open.send(now, &mut self.actions, &Frame::LineageAsk { session: fetch.wanted.session });
                fetch.link = Some(open);
            }
            LinkEvent::Frame { link, kind, more, payload } => {
                let Some(&number) = self.links.get(&link) else { return };
                let open = self.open.get_mut(&number).and_then(|fetch| fetch.link.as_mut());
                let Some(open) = open.filter(|open| open.id == link) else { return };
                let outcome = match open.receive(now, kind, more, payload, MAX_PROOF) {
                    Ok(Some(Frame::Lineage { lineage })) => self.judge(number, lineage),
                    Ok(None | Some(Frame::Heartbeat)) => return,
                    Ok(Some(_)) | Err(()) => Outcome::Forged,
                };
                self.end(now, number, outcome);
            }
            LinkEvent::Closed { link, .. } => {
                let Some(number) = self.links.remove(&link) else { return };
                let Some(fetch) = self.open.get_mut(&number) else { return };
                fetch.dials = fetch.dials.saturating_sub(1);
                let asked = fetch.link.as_ref().is_some_and(|open| open.id == link);
                if asked || fetch.dials == 0 {
                    // A crowded door closes without a word.
                    self.end(now, number, Outcome::Unreachable);
                }
            }
            LinkEvent::Incoming { .. } | LinkEvent::HelloBegun { .. } | LinkEvent::Written { .. } => {}
        }
    }

    fn judge(&mut self, number: u64, lineage: Vec<Takeover>) -> Outcome {
        let Some(Fetch { wanted, .. }) = self.open.get(&number) else { return Outcome::Forged };
        let &Wanted { session, incarnation, host_key, term, digest, .. } = wanted;
        // The digest first: it costs two hashes, not two hundred signatures.
        if lineage_digest(session, incarnation, &lineage) != digest {
            return Outcome::Forged;
        }
        match follow(session, incarnation, &lineage) {
            Some((host, reign)) if host == host_key && reign.term == term => {
                let lineage: Arc<[Takeover]> = lineage.into();
                if self.kept.len() >= limits::LINEAGES_KEPT {
                    self.kept.pop_front();
                }
                let kept = Kept { session, incarnation, host_key, digest, reign, lineage: Arc::clone(&lineage) };
                self.kept.push_back(kept);
                Outcome::Proved { reign, lineage }
            }
            _ => Outcome::Forged,
        }
    }

    fn end(&mut self, now: Moment, number: u64, outcome: Outcome) {
        let Some(fetch) = self.open.remove(&number) else { return };
        let links: Vec<LinkId> = self.links.iter().filter(|(_, of)| **of == number).map(|(&link, _)| link).collect();
        links.into_iter().for_each(|link| self.close(link));
        self.events.push_back((fetch.wanted, outcome));
        self.dial_waiting(now);
    }

    fn close(&mut self, link: LinkId) {
        if self.links.remove(&link).is_some() {
            self.actions.push_back(Action::Close { link, flush: false });
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        let late: Vec<u64> = self.open.iter().filter(|(_, fetch)| fetch.until <= now).map(|(&n, _)| n).collect();
        for number in late {
            self.end(now, number, Outcome::Unreachable);
        }
    }

    #[must_use]
    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        self.open.values().map(|fetch| fetch.until).min()
    }

    #[must_use]
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    #[must_use]
    pub(crate) fn poll_event(&mut self) -> Option<(Wanted, Outcome)> {
        self.events.pop_front()
    }
}
