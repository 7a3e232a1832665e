//! Hosts that say a session goes on with them (protocol.md, "Claims").
//!
//! A claim is a stranger's word until three things are true: the claimant echoes a nonce of ours, its lineage is proved, and
//! the host that we know is silent. Until then it moves nothing, ends nothing and keeps nothing alive.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::entry::Entry;
use super::life::send_probe;
use super::verify::Class;
use super::{Change, Directory, Heard, blank};
use crate::proto::clock::Moment;
use crate::proto::io::Via;
use crate::proto::lan::{Cx, Purpose};
use crate::proto::limits;
use crate::types::{HostKey, SessionKey, Source, WIRE_MAJOR};
use crate::wire::datagram::{Advert, Alive, facts_digest_of};
use crate::wire::frame::Reign;
use crate::wire::hash;
use crate::wire::sign::{Context, verify_datagram};

/// Tries for an echo of a claimant that was only heard, and the first gap; each further one is twice as long.
const ECHO_TRIES: u32 = 4;
const ECHO_GAP: Duration = Duration::from_millis(150);
/// Fetches of one claimant's proof that come to nothing.
const FETCH_TRIES: u32 = 6;

/// A host whose proof is to be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claimant {
    pub(crate) key: SessionKey,
    pub(crate) host_key: HostKey,
    pub(crate) incarnation: u64,
    pub(crate) term: u32,
    pub(crate) digest: [u8; 16],
    /// Its control port, where it echoed.
    pub(crate) at: SocketAddr,
}

/// What the fetch of a proof came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The reign it leads to, and the hosts before.
    Holds {
        reign: Reign,
        former: Vec<(HostKey, Reign)>,
    },
    Forged,
    Unreachable,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// It has echoed nothing.
    Heard,
    Fetching,
    /// Proved; the former host is still being asked.
    Proved {
        reign: Reign,
        former: Vec<(HostKey, Reign)>,
    },
}

/// An address that echoed, and the round trip where one was measured.
type Echo = (SocketAddr, Via, Option<(Duration, bool)>);

#[derive(Debug)]
struct Claim {
    advert: Advert,
    digest: [u8; 8],
    source: IpAddr,
    hints: Vec<(SocketAddr, Via)>,
    proven: Option<Echo>,
    direct: bool,
    stage: Stage,
    /// The next try for an echo, or to fetch.
    next: Option<Moment>,
    tries: u32,
    heard: Moment,
}

/// Asking the host that we know whether it lives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trial {
    since: Moment,
    tries: u32,
    /// `None`: the time is up.
    pub(super) next: Option<Moment>,
}

#[derive(Debug, Default)]
pub(super) struct Claims {
    open: BTreeMap<(SessionKey, HostKey), Claim>,
    /// Who is not listened to, until when.
    refused: VecDeque<(SessionKey, HostKey, Moment)>,
}

impl Claims {
    pub(super) fn clear(&mut self) {
        self.open.clear();
    }

    pub(super) fn next(&self, life: Duration) -> Option<Moment> {
        self.open.values().map(|claim| claim.next.map_or(claim.heard + life, |at| at.min(claim.heard + life))).min()
    }

    /// The host that answered in their place is gone, or sends there itself: they may be heard again.
    pub(super) fn forgive(&mut self, key: SessionKey) {
        self.refused.retain(|(refused, ..)| *refused != key);
    }

    fn is_refused(&self, now: Moment, key: SessionKey, host_key: HostKey) -> bool {
        self.refused.iter().any(|(k, h, until)| *k == key && *h == host_key && *until > now)
    }

    fn refuse(&mut self, now: Moment, key: SessionKey, host_key: HostKey, wait: Duration) {
        self.open.remove(&(key, host_key));
        self.refused.retain(|(k, h, until)| (*k, *h) != (key, host_key) && *until > now);
        if self.refused.len() >= limits::CLAIMS_REFUSED {
            self.refused.pop_front();
        }
        self.refused.push_back((key, host_key, now + wait));
    }

    /// Room for one more: what never echoed gives way, and what is not proved of an address that has several; first of
    /// whoever has most.
    fn make_room(&mut self, key: SessionKey) -> bool {
        let of_key = self.open.keys().filter(|(k, _)| *k == key).count();
        let crowded = of_key >= limits::CLAIMS_PER_SESSION;
        if !crowded && self.open.len() < limits::CLAIMS {
            return true;
        }
        let mut sources = BTreeMap::<IpAddr, usize>::new();
        for claim in self.open.values() {
            *sources.entry(claim.source).or_default() += 1;
        }
        let weight = |claim: &Claim| sources.get(&claim.source).copied().unwrap_or_default();
        let idle = |claim: &Claim| match claim.stage {
            Stage::Heard => true,
            Stage::Fetching => weight(claim) > 1,
            Stage::Proved { .. } => false,
        };
        let may = |(k, _): &Rival, claim: &Claim| idle(claim) && (!crowded || *k == key);
        let of = self.open.iter().filter(|(k, claim)| may(k, claim));
        let victim = of.max_by_key(|(_, claim)| (weight(claim), std::cmp::Reverse(claim.heard))).map(|(k, _)| *k);
        victim.is_some_and(|victim| self.open.remove(&victim).is_some())
    }
}

/// A session, and who says that it is its host.
type Rival = (SessionKey, HostKey);

impl Directory {
    #[cfg(test)]
    pub(crate) fn claimants(&self) -> usize {
        self.claims.open.len()
    }

    /// Whether this advert comes from another host than the one we know, or from one that did not found its session.
    pub(super) fn is_claim(&self, key: SessionKey, advert: &Advert) -> bool {
        match self.entries.get(&key).filter(|entry| entry.major == WIRE_MAJOR) {
            Some(entry) => entry.host_key != advert.host_key,
            None => advert.lineage.is_some(),
        }
    }

    /// The advert of a claimant; true where its signature was verified.
    pub(super) fn handle_claim(&mut self, cx: &mut Cx<'_>, key: SessionKey, advert: Advert, heard: &Heard<'_>) -> bool {
        let at = (key, advert.host_key);
        let known = self.entries.get(&key);
        if (known.is_none() && !self.active) || self.claims.is_refused(cx.now, key, advert.host_key) {
            return false;
        }
        // The hosts before the one we know are no news, living or recorded.
        let past =
            |entry: &Entry| entry.incarnation == advert.incarnation && entry.is_past(advert.host_key, advert.term);
        if known.is_some_and(past) {
            return false;
        }
        if self.verifier.is_repeat(heard.bytes) {
            if let Some(claim) = self.claims.open.get_mut(&at) {
                claim.hint(heard);
            }
            return false;
        }
        let single = heard.asked.is_some_and(|asked| !matches!(asked.purpose, Purpose::Question { .. }));
        let class = match heard.asked {
            Some(_) if single && !heard.shared => Class::Answer,
            Some(_) => Class::Cast,
            None => Class::Unsolicited,
        };
        if !self.verifier.allows(cx.now, class, heard.from.ip())
            || !verify_datagram(Context::Advert, advert.host_key.public_key(), heard.bytes)
        {
            return false;
        }
        self.verifier.verified(heard.bytes);
        if !self.claims.open.contains_key(&at) && !self.claims.make_room(key) {
            return true;
        }
        let shown = self.entries.get(&key).is_some_and(|entry| entry.shown);
        let wait = if shown { Duration::ZERO } else { cx.dice.within(cx.tuning.claim_again) };
        let digest = facts_digest_of(heard.bytes).unwrap_or_default();
        let claim = self.claims.open.entry(at).or_insert_with(|| Claim {
            advert: advert.clone(),
            digest,
            source: heard.from.ip(),
            hints: Vec::new(),
            proven: None,
            direct: false,
            stage: Stage::Heard,
            next: Some(cx.now + wait),
            tries: 0,
            heard: cx.now,
        });
        let other = (claim.advert.incarnation, claim.advert.term) != (advert.incarnation, advert.term);
        if heard.asked.is_none() && (other || advert.order() <= claim.advert.order()) {
            // What may be a recording changes nothing that is known.
            claim.hint(heard);
            return true;
        }
        if other {
            claim.stage = Stage::Heard;
            claim.proven = None;
        }
        claim.advert = advert;
        claim.digest = digest;
        claim.heard = cx.now;
        // A question to all was overheard by all: who answers it under a false address would be dialled there. So an answer to it
        // is hearsay, and the claimant is asked alone.
        let Some(asked) = heard.asked.filter(|_| single) else {
            // Who could not be reached then may be reached now, and elsewhere.
            if claim.proven.is_none() && claim.next.is_none() {
                claim.hints.clear();
                claim.tries = 0;
                claim.next = Some(cx.now + wait);
            }
            claim.hint(heard);
            if heard.asked.is_some() && claim.proven.is_none() && claim.tries == 0 {
                claim.next = Some(cx.now);
            }
            return true;
        };
        if claim.proven.is_none() {
            claim.tries = 0;
        }
        claim.direct |= asked.purpose == Purpose::Target;
        claim.proven = Some((heard.from, heard.via, super::accept::round_trip(cx, asked, heard)));
        if claim.stage == Stage::Heard {
            self.examine(cx, at.0, at.1);
        }
        true
    }

    /// A claimant's answer to our probe; whether it was one.
    pub(super) fn claim_lives(&mut self, cx: &mut Cx<'_>, alive: &Alive, heard: &Heard<'_>) -> bool {
        let named = |(key, host): &&Rival| key.id == alive.id && *host == alive.host_key;
        let Some(at) = self.claims.open.keys().find(named).copied() else { return false };
        if !self.verifier.allows(cx.now, Class::Answer, heard.from.ip())
            || !verify_datagram(Context::Alive, alive.host_key.public_key(), heard.bytes)
        {
            return true;
        }
        let Some(claim) = self.claims.open.get_mut(&at) else { return true };
        let Some(asked) = heard.asked else { return true };
        if (claim.advert.incarnation, claim.advert.term) != (alive.incarnation, alive.term) {
            // The advert that we have is not what it says now.
            self.changes.push_back(Change::Fetch { id: alive.id, to: heard.from, via: heard.via });
            return true;
        }
        claim.heard = cx.now;
        if claim.proven.is_none() {
            claim.tries = 0;
        }
        claim.advert.sequence = claim.advert.sequence.max(alive.sequence);
        claim.proven = Some((heard.from, heard.via, super::accept::round_trip(cx, asked, heard)));
        if claim.stage == Stage::Heard {
            self.examine(cx, at.0, at.1);
        }
        true
    }

    /// It lives: now its proof is worth a connection, and the former host is asked whether it lives too.
    fn examine(&mut self, cx: &mut Cx<'_>, key: SessionKey, host_key: HostKey) {
        let Some(claim) = self.claims.open.get_mut(&(key, host_key)) else { return };
        let Some((from, ..)) = claim.proven else { return };
        let advert = &claim.advert;
        claim.next = None;
        let founder = advert.lineage.is_none();
        let then = |(host, reign): &&(HostKey, Reign)| *host == host_key && reign.term == advert.term;
        let known = self.entries.get(&key).and_then(|entry| entry.former.iter().find(then));
        if let Some(lineage) = advert.lineage.as_ref().filter(|_| known.is_none()) {
            claim.stage = Stage::Fetching;
            let at = SocketAddr::new(from.ip(), advert.tcp_port);
            let at = if let (SocketAddr::V6(from), SocketAddr::V6(mut to)) = (from, at) {
                to.set_scope_id(from.scope_id());
                SocketAddr::V6(to)
            } else {
                at
            };
            let (incarnation, term, digest) = (advert.incarnation, advert.term, lineage.digest);
            self.changes.push_back(Change::Claim(Claimant { key, host_key, incarnation, term, digest, at }));
        } else {
            let reign = known.map_or(Reign::FOUNDER, |(_, reign)| *reign);
            claim.stage = Stage::Proved { reign, former: Vec::new() };
            debug_assert!(founder || known.is_some());
        }
        if let Some(entry) = self.entries.get_mut(&key) {
            let needless = entry.own || entry.migrating || entry.next_host == Some(host_key);
            if !needless && entry.trial.is_none_or(|trial| trial.next.is_none()) {
                entry.trial = Some(Trial { since: cx.now, tries: 0, next: Some(cx.now) });
                self.schedule(key);
            }
        }
        self.judge(cx, key, host_key);
    }

    /// What came of fetching a claimant's proof.
    pub(crate) fn handle_proof(&mut self, cx: &mut Cx<'_>, key: SessionKey, host_key: HostKey, proof: Proof) {
        let Some(claim) = self.claims.open.get_mut(&(key, host_key)).filter(|claim| claim.stage == Stage::Fetching)
        else {
            return;
        };
        match proof {
            Proof::Holds { reign, former } => {
                claim.stage = Stage::Proved { reign, former };
                self.judge(cx, key, host_key);
            }
            Proof::Forged => self.claims.refuse(cx.now, key, host_key, cx.tuning.claim_ignored),
            // Many finders dial at once after a takeover; most of them a little later.
            Proof::Unreachable if claim.tries < FETCH_TRIES => {
                claim.tries += 1;
                claim.stage = Stage::Heard;
                claim.next = Some(cx.now + cx.dice.between(cx.tuning.claim_again, cx.tuning.claim_again * 5));
            }
            Proof::Unreachable => self.claims.refuse(cx.now, key, host_key, cx.tuning.claim_ignored),
        }
    }

    /// Whether this claim counts by now; where it does, the entry moves.
    fn judge(&mut self, cx: &mut Cx<'_>, key: SessionKey, host_key: HostKey) {
        let Some(claim) = self.claims.open.get(&(key, host_key)) else { return };
        let Stage::Proved { reign, .. } = claim.stage else { return };
        let incarnation = claim.advert.incarnation;
        let over = |stone: &super::Tombstone| {
            stone.until > cx.now
                && stone.sequence.is_none()
                && (incarnation < stone.incarnation
                    || (incarnation == stone.incarnation && !reign.supersedes(stone.reign)))
        };
        if self.tombstones.get(&key).is_some_and(over) {
            return self.claims.refuse(cx.now, key, host_key, cx.tuning.claim_ignored);
        }
        let Some(entry) = self.entries.get(&key) else { return self.follow(cx, key, host_key) };
        let stands = incarnation != entry.incarnation || reign.supersedes(entry.reign);
        // A survivor that goes on alone stands over nobody: it is followed where there is nobody else, and only then.
        let better = stands || reign.forks > entry.reign.forks;
        if entry.own {
            // The session's own host judges for itself.
            return self.claims.refuse(cx.now, key, host_key, cx.tuning.claim_life);
        }
        if !better {
            return self.claims.refuse(cx.now, key, host_key, cx.tuning.claim_ignored);
        }
        // Who has just come has no host to be faithful to: of two that live, the better one.
        let fresh = stands && incarnation == entry.incarnation && cx.now.since(entry.first) < cx.tuning.claim_fresh;
        if entry.migrating || entry.next_host == Some(host_key) || fresh {
            return self.follow(cx, key, host_key);
        }
        let Some(trial) = entry.trial else { return };
        let answered = entry.echoed.is_some_and(|at| at > trial.since);
        if answered {
            self.claims.refuse(cx.now, key, host_key, cx.tuning.claim_ignored);
        } else if trial.next.is_none() {
            self.follow(cx, key, host_key);
        }
    }

    /// One of the four questions to the host that we know.
    pub(super) fn try_former(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let Some(trial) = entry.trial.as_mut().filter(|trial| trial.next.is_some_and(|at| at <= cx.now)) else {
            return;
        };
        let (tries, since) = (trial.tries, trial.since);
        let answered = entry.echoed.is_some_and(|at| at > since);
        if answered || tries >= cx.tuning.claim_probes {
            trial.next = None;
            self.judge_all(cx, key);
            return;
        }
        trial.tries += 1;
        trial.next = Some(cx.now + cx.tuning.claim_probe);
        // Each address in its turn: a host with two is not silent because one of them is.
        let count = u32::try_from(entry.addresses.len().max(1)).unwrap_or(1);
        let aims: Vec<_> = (0..count).filter_map(|at| entry.aim(at * 2)).collect();
        let hint = entry.hints.first().copied();
        for (to, via) in &aims {
            self.probe(cx, key, *to, *via);
        }
        if let Some((to, via)) = hint.filter(|_| aims.is_empty()) {
            if self.may_bother(cx.now, to) {
                self.probe(cx, key, to, via);
            }
        }
    }

    pub(super) fn judge_all(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        let hosts: Vec<HostKey> = self.claims.open.keys().filter(|(k, _)| *k == key).map(|(_, host)| *host).collect();
        for host_key in hosts {
            self.judge(cx, key, host_key);
        }
    }

    /// The session goes on with this host: its entry moves, or there is one at last.
    fn follow(&mut self, cx: &mut Cx<'_>, key: SessionKey, host_key: HostKey) {
        let Some(claim) = self.claims.open.remove(&(key, host_key)) else { return };
        let Stage::Proved { reign, former } = claim.stage else { return };
        let advert = claim.advert;
        self.lose_if(key, |entry| entry.incarnation != advert.incarnation);
        let mdns = self.instances.claim(key, host_key);
        let new = !self.entries.contains_key(&key);
        if new {
            if !self.make_room(cx.now, host_key, claim.source) {
                return;
            }
            if advert.id_derived {
                self.drop_borrowers(key);
            } else if self.entries.values().any(|entry| entry.key.id == key.id && entry.derived) {
                return;
            }
        }
        let mut entry = self
            .entries
            .remove(&key)
            .unwrap_or_else(|| blank(cx.now, key, host_key, claim.source, advert.facts.clone()));
        // What the old one said of others, and where it was, is the old one's.
        entry.addresses.clear();
        entry.hints.clear();
        entry.host_key = host_key;
        entry.incarnation = advert.incarnation;
        entry.derived = advert.id_derived;
        entry.reign = reign;
        if !former.is_empty() {
            entry.former = former;
        }
        entry.former.retain(|(host, _)| *host != host_key);
        entry.migrating = false;
        entry.next_host = None;
        entry.trial = None;
        entry.noticed = None;
        entry.doubted = false;
        entry.adopt(&advert, claim.digest);
        entry.sources.insert(if claim.direct { Source::Direct } else { Source::Beacon });
        if mdns {
            entry.sources.insert(Source::Mdns);
        }
        self.refreshed(cx, &mut entry);
        entry.echoed = Some(cx.now);
        entry.confirm = None;
        if let Some((to, via, rtt)) = claim.proven {
            entry.prove(cx.now, to, via, rtt);
        }
        for (to, via) in claim.hints {
            if entry.hint(to, via) {
                entry.confirm = Some((cx.now + cx.dice.within(cx.tuning.confirm_within), 0));
            }
        }
        if new {
            self.insert(entry);
        } else {
            self.entries.insert(key, entry);
            self.refresh(key);
            self.schedule(key);
            self.changes.push_back(Change::Moved(key));
        }
        // Others are judged by the new reign.
        self.judge_all(cx, key);
    }

    /// Claims that are due: for an echo, for another try, or for the end.
    pub(super) fn claims_due(&mut self, cx: &mut Cx<'_>) {
        let life = cx.tuning.claim_life;
        self.claims.open.retain(|_, claim| claim.heard + life > cx.now);
        let due = |claim: &Claim| claim.next.is_some_and(|at| at <= cx.now);
        let at: Vec<Rival> = self.claims.open.iter().filter(|(_, c)| due(c)).map(|(at, _)| *at).collect();
        for (key, host_key) in at {
            let Some(claim) = self.claims.open.get_mut(&(key, host_key)) else { continue };
            if claim.proven.is_some() {
                self.examine(cx, key, host_key);
                continue;
            }
            let tries = claim.tries;
            claim.tries += 1;
            claim.next = (tries + 1 < ECHO_TRIES).then(|| cx.now + ECHO_GAP * (1 << tries));
            let digest = claim.digest;
            let Some(&(to, via)) = claim.hints.get(tries as usize % claim.hints.len().max(1)) else { continue };
            if self.may_bother(cx.now, to) {
                send_probe(cx, key.id, hash::host_tag(host_key), digest, to, via);
            }
        }
    }
}

impl Claim {
    fn hint(&mut self, heard: &Heard<'_>) {
        let known = self.hints.iter().any(|(to, _)| *to == heard.from);
        if !known && self.hints.len() < limits::HINTED_ADDRESSES && self.proven.is_none_or(|(to, ..)| to != heard.from)
        {
            self.hints.push((heard.from, heard.via));
        }
    }
}
