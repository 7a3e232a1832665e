//! Answers to questions and probes (protocol.md, "Discovery, host").

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::Announcer;
use super::hosted::{Cast, Hosted, Pending, Saying};
use super::say::{burst, refill, relief, udp_port};
use crate::proto::clock::Moment;
use crate::proto::io::Via;
use crate::proto::lan::{Cx, Way};
use crate::proto::limits;
use crate::types::{Filter, HostKey, PathKind, RoomCode, SessionKey};
use crate::wire::datagram::{Alive, Hint, Probe, Query, Target};
use crate::wire::hash;
use crate::wire::sign::SIGNATURE;

/// Who asks, and how an answer gets there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asker {
    pub(crate) from: SocketAddr,
    /// `Routed`: from beyond the link, so nothing but a hint goes there without a cookie.
    pub(crate) via: Via,
    /// The question's size.
    pub(crate) size: usize,
}

/// At most so many signatures for strangers at once, and this often.
const SIGNING: (u32, Duration) = (512, Duration::from_micros(500));

impl Announcer {
    /// A question to all, or to us.
    pub(crate) fn handle_question(&mut self, cx: &mut Cx<'_>, query: &Query, asker: Asker) {
        let way = cx.net.way_of(asker.via, query.path);
        if let Some(way) = way {
            self.lease(cx, way);
        }
        if query.renew {
            return;
        }
        let cookie = query.cookie.is_some_and(|cookie| self.is_cookie(cx.now, asker.from, cookie));
        if asker.via == Via::Routed && cookie {
            self.note_proven(cx.now, asker.from.ip());
        }
        let keys: Vec<_> =
            self.hosted.iter().filter(|(_, h)| h.what.listed && wanted(h, query)).map(|(k, _)| *k).collect();
        for key in keys {
            match way {
                // To us alone: at once. From beyond the link likewise; what may go there is decided when it is sent.
                None => self.answer_one(cx, key, query, asker, cookie),
                Some(way) => self.answer_all(cx, key, query, asker, way),
            }
        }
    }

    fn answer_one(&mut self, cx: &mut Cx<'_>, key: SessionKey, query: &Query, asker: Asker, cookie: bool) {
        if !self.may_answer(cx, asker.from, query) {
            return;
        }
        let room = if cookie { usize::MAX } else { asker.size };
        let pending =
            Pending { at: cx.now, to: asker.from, via: asker.via, nonce: query.nonce, path: PathKind::Unicast, room };
        self.answer(cx, key, &pending, cookie || asker.via != Via::Routed);
    }

    fn answer_all(&mut self, cx: &mut Cx<'_>, key: SessionKey, query: &Query, asker: Asker, way: Way) {
        let Some(hosted) = self.hosted.get_mut(&key) else { return };
        if hosted.knows_question(asker.from, query.nonce) {
            return;
        }
        let again = hosted.note_question(cx.now, asker.from, query.nonce, cx.tuning.answered);
        let since = hosted.since;
        // A question for one session is answered by one host, so no window and no share in a limit is needed for it; and who
        // counts for many, with free keys and forged addresses, delays nobody who knows where to go.
        let hosts = if query.target == Target::Any { self.crowd(cx, since) } else { 1 };
        // A stranger's word widens the window, but not without bound: all wait for one multicast.
        let told = if query.target == Target::Any { usize::from(query.expect) } else { 1 };
        let expected = hosts.max(told.min(hosts.max(64) * 4));
        let (mc_slot, uni_slot) = (Self::mc_slot(cx), Self::uni_slot(cx));
        let may_answer = self.may_answer(cx, asker.from, query);
        let Some(hosted) = self.hosted.get_mut(&key) else { return };
        if let Some(cast) = &mut hosted.cast {
            if !cast.ways.contains(&way) {
                cast.ways.push(way);
            }
            if hosts > 50 {
                return;
            }
        }
        let pending_for_many = (250 / hosts.max(1)).clamp(2, 6);
        let many = query.many || hosted.pending.len() + 1 >= pending_for_many.max(2) && hosts > 1;
        // A finder that could not be answered must not be left in silence: the limiter would be the weapon.
        let by_cast = cx.beacons && hosted.cast.is_none() && (many || again || !may_answer);
        let paid = by_cast
            && (hosted.bucket.take(cx.now, burst(hosts), refill(hosts))
                || !may_answer && !again && hosted.relief.take(cx.now, 1, relief(hosts)));
        if paid {
            let window = window(expected, mc_slot, cx.tuning.mc_cap, cx.tuning.prompt_answers).max(cx.tuning.mc_window);
            let gap = window.max(cx.tuning.mc_gap);
            let earliest = hosted.last_cast.map_or(cx.now, |last| last + gap).max(cx.now);
            let at = earliest + cx.dice.within(window);
            hosted.cast = Some(Cast { at, window, tries: 0, nonce: query.nonce, many, ways: vec![way] });
            if hosts > 50 {
                hosted.pending.clear();
                return;
            }
        }
        if !may_answer || hosted.pending.len() >= limits::PENDING_ANSWERS {
            return;
        }
        let cap = cx.tuning.uni_cap.max(Duration::from_millis(query.cap.into())).min(cx.tuning.mc_cap);
        let at = cx.now + cx.dice.within(window(expected, uni_slot, cap, cx.tuning.prompt_answers));
        let pending =
            Pending { at, to: asker.from, via: asker.via, nonce: query.nonce, path: query.path, room: asker.size };
        if at <= cx.now {
            self.answer(cx, key, &pending, true);
        } else {
            hosted.pending.push(pending);
        }
    }

    pub(super) fn fire_answers(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        let now = cx.now;
        let Some(hosted) = self.hosted.get_mut(&key) else { return };
        let (due, later): (Vec<_>, Vec<_>) = hosted.pending.drain(..).partition(|pending| pending.at <= now);
        hosted.pending = later;
        for pending in due {
            self.answer(cx, key, &pending, true);
        }
    }

    /// Sends one answer: the advert, or a hint where the advert is longer than the question, or where the asker is beyond
    /// the link and has not proved its address.
    fn answer(&mut self, cx: &mut Cx<'_>, key: SessionKey, to: &Pending, proven: bool) {
        let interval = self.interval(cx);
        let hosts = self.hosts(cx.now);
        let udp_port = udp_port(cx);
        if !self.signing.take(cx.now, SIGNING.0, SIGNING.1) {
            return self.relieve(cx, key, to, hosts);
        }
        let cookie = hash::cookie(&self.cookie_secret, to.to, minute(cx.now));
        let Some(hosted) = self.hosted.get(&key) else { return };
        let saying = Saying { echo: to.nonce, many: false, path: to.path, interval, hosts, udp_port };
        let advert = hosted.advert(cx.now, &saying);
        let size = advert.statement(cx.game).len() + SIGNATURE;
        let bytes = if proven && size <= to.room {
            advert.encode(cx.game, &hosted.what.identity)
        } else {
            let size = u16::try_from(size).unwrap_or(u16::MAX);
            let hint = Hint { host_key: advert.host_key, id: advert.id, echo: to.nonce, cookie, size };
            hint.encode(cx.game)
        };
        cx.send(to.via, to.to, Arc::from(bytes));
    }

    /// No signature is left for one asker: one to all, soon.
    fn relieve(&mut self, cx: &mut Cx<'_>, key: SessionKey, to: &Pending, hosts: usize) {
        let Via::Interface { index, .. } = to.via else { return };
        let Some(hosted) = self.hosted.get_mut(&key) else { return };
        if !cx.beacons || hosted.cast.is_some() || !hosted.relief.take(cx.now, 1, relief(hosts)) {
            return;
        }
        let ways = cx.net.ways().into_iter().filter(|way| way.index == index).collect();
        let window = cx.tuning.mc_window;
        let at = cx.now + cx.dice.within(window);
        hosted.cast = Some(Cast { at, window, tries: 0, nonce: to.nonce, many: false, ways });
    }

    /// "Do you live?"
    pub(crate) fn handle_probe(&mut self, cx: &mut Cx<'_>, probe: &Probe, asker: Asker) {
        if asker.via == Via::Routed && !self.proven.contains_key(&asker.from.ip()) {
            return;
        }
        let fits = |hosted: &&Hosted| {
            hosted.what.listed
                && hosted.what.key.id == probe.id
                // Zeros name any host: who comes by a DNS-SD record knows only a label of the key.
                && (probe.host_tag == [0; 8]
                    || hash::host_tag(hosted.what.identity.public().into()) == probe.host_tag)
        };
        let Some(key) = self.hosted.values().find(fits).map(|hosted| hosted.what.key) else { return };
        if asker.via == Via::Routed {
            self.note_proven(cx.now, asker.from.ip());
        }
        self.note_probe(cx, asker);
        self.lease_for_probe(cx, asker.via);
        // A dying finder's entry is probed twenty times in 2.8 s; ten finders may share an address.
        let source = self.limiters.probes.of_ip(asker.from.ip());
        if !source.take(cx.now, 200, Duration::from_millis(10)) || !self.living.take(cx.now, SIGNING.0, SIGNING.1) {
            return;
        }
        let ttl = u16::try_from(self.interval(cx).mul_f64(3.5).as_millis() / 100).unwrap_or(u16::MAX);
        let Some(hosted) = self.hosted.get(&key) else { return };
        let alive = Alive {
            host_key: HostKey::from(hosted.what.identity.public()),
            id: key.id,
            incarnation: hosted.what.incarnation,
            term: hosted.what.term,
            sequence: hosted.sequence,
            echo: probe.nonce,
            ttl,
            digest: hosted.digest,
        };
        let bytes = alive.encode(cx.game, &hosted.what.identity);
        if bytes.len() <= asker.size {
            cx.send(asker.via, asker.from, Arc::from(bytes));
        }
    }

    fn note_probe(&mut self, cx: &mut Cx<'_>, asker: Asker) {
        if self.listeners.len() < limits::LISTENERS || self.listeners.contains_key(&asker.from) {
            self.listeners.insert(asker.from, (asker.via, cx.now));
        } else if let Some(oldest) = self.listeners.iter().min_by_key(|(_, (_, at))| *at).map(|(addr, _)| *addr) {
            self.listeners.remove(&oldest);
            self.listeners.insert(asker.from, (asker.via, cx.now));
        }
        self.probes.push_back(cx.now);
        let from = cx.now - cx.tuning.hot_window;
        while self.probes.front().is_some_and(|&at| at < from) || self.probes.len() > cx.tuning.hot_probes {
            self.probes.pop_front();
        }
        if self.probes.len() >= cx.tuning.hot_probes && cx.beacons {
            self.hot_until = cx.now + cx.tuning.hot_for;
            let soon = cx.now + cx.tuning.beacon;
            for hosted in self.hosted.values_mut() {
                hosted.beacon = hosted.beacon.min(soon);
            }
        }
    }

    /// Who probes looks at us, and may have come by our announcement without a question that we heard.
    fn lease_for_probe(&mut self, cx: &mut Cx<'_>, via: Via) {
        let Via::Interface { index, .. } = via else { return };
        let leased = |(way, until): (&Way, &Moment)| way.index == index && *until > cx.now;
        if !self.leases.iter().any(leased) {
            for way in cx.net.ways().into_iter().filter(|way| way.index == index) {
                self.lease(cx, way);
            }
        }
    }

    /// A question keeps the beacons on its way going for a while.
    fn lease(&mut self, cx: &mut Cx<'_>, way: Way) {
        let until = cx.now + cx.tuning.lease;
        let asleep = self.leases.values().all(|&until| until <= cx.now);
        self.leases.insert(way, until);
        if asleep {
            let interval = self.interval(cx);
            for hosted in self.hosted.values_mut() {
                let next = cx.now + cx.dice.between(interval.mul_f64(0.8), interval.mul_f64(1.2));
                hosted.beacon = hosted.beacon.min(next);
            }
        }
    }

    /// Unicast answers to one address, of one host: few where there are many hosts, so that all together a forged
    /// question cannot bury its victim.
    fn may_answer(&mut self, cx: &mut Cx<'_>, from: SocketAddr, query: &Query) -> bool {
        let hosts = if query.target == Target::Any { self.hosts(cx.now).max(1) } else { 1 };
        let sessions = u32::try_from(self.hosted.len().max(1)).unwrap_or(u32::MAX);
        let burst = if hosts > 100 { 1 } else { u32::try_from((800 / hosts).clamp(3, 20)).unwrap_or(3) };
        let burst = burst.saturating_mul(sessions);
        let every = Duration::from_secs_f64(1.0 / (400.0 / hosts as f64).clamp(0.2, 10.0));
        let source = self.limiters.source.of_ip(from.ip()).has(cx.now, burst, every);
        source
            && self.limiters.peer.of(from).take(cx.now, 6 * sessions, Duration::from_secs(1))
            && self.limiters.source.of_ip(from.ip()).take(cx.now, burst, every)
    }

    fn is_cookie(&self, now: Moment, from: SocketAddr, cookie: [u8; 16]) -> bool {
        let minute = minute(now);
        let differs = |minute| {
            let ours = hash::cookie(&self.cookie_secret, from, minute);
            // All bytes, whatever the first say: the time it takes must not tell how much of a guess is right.
            ours.iter().zip(cookie).fold(0, |bits, (ours, theirs)| bits | (ours ^ theirs)) != 0
        };
        !(differs(minute) & differs(minute.wrapping_sub(1)))
    }

    fn note_proven(&mut self, now: Moment, from: IpAddr) {
        self.proven.retain(|_, at| now.since(*at) < Duration::from_secs(600));
        if self.proven.len() < limits::LISTENERS || self.proven.contains_key(&from) {
            self.proven.insert(from, now);
        }
    }
}

fn minute(now: Moment) -> u64 {
    now.as_micros() / 60_000_000
}

fn window(expected: usize, slot: Duration, cap: Duration, prompt: u16) -> Duration {
    if expected <= prompt.into() {
        return Duration::ZERO;
    }
    slot.saturating_mul(u32::try_from(expected).unwrap_or(u32::MAX)).min(cap)
}

/// Whether the question is for this session, does not definitely exclude it, and does not know it already.
fn wanted(hosted: &Hosted, query: &Query) -> bool {
    let what = &hosted.what;
    let target = match query.target {
        Target::Any => true,
        Target::Session(id) => id == what.key.id,
        Target::Code(code) => code == RoomCode::of(what.key),
    };
    let filter = || query.filter.as_ref().is_none_or(|node| !excluded(node, what));
    let known = || {
        let tag = hash::known_tag(query.nonce, what.key, what.incarnation, what.term, what.facts.revision);
        query.known.contains(tag)
    };
    target && filter() && !known()
}

fn excluded(node: &crate::types::Node, what: &super::Publication) -> bool {
    let verdict = Filter(node.clone()).verdict_at_host(&what.facts, what.identity.public().into());
    matches!(verdict, crate::types::Truth::False)
}
