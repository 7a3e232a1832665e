//! When an entry is probed and when it is lost (protocol.md, "Discovery, finder").

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::entry::{Check, Entry};
use super::{Change, Directory};
use crate::proto::clock::Moment;
use crate::proto::io::Via;
use crate::proto::lan::{Cx, Purpose};
use crate::proto::tuning::Tuning;
use crate::types::{HostKey, SessionId, SessionKey, WIRE_MAJOR};
use crate::wire::datagram::Probe;
use crate::wire::hash;

/// Tries for an echo of an entry that never gave one, and the first gap; each further one is twice as long.
const CONFIRM_TRIES: u32 = 6;
const CONFIRM_GAP: Duration = Duration::from_millis(200);
/// Within this the round trip of a shown entry is measured, where no answer told it; a lost probe is repeated, the first
/// time after this gap, and each further one after twice as long.
pub(super) const MEASURE_WITHIN: Duration = Duration::from_millis(200);
const MEASURE_TRIES: u32 = 3;
const MEASURE_GAP: Duration = Duration::from_millis(500);

/// When an entry is to be looked at. One of our own never is: a deadline of it would be due for ever.
fn next_look(entry: &Entry, active: bool, tuning: &Tuning) -> Option<Moment> {
    if entry.own {
        return None;
    }
    let unconfirmed = if entry.major != WIRE_MAJOR {
        Some(entry.heard + tuning.unconfirmed_life)
    } else {
        entry.echoed.is_none().then(|| entry.first + tuning.unconfirmed_life)
    };
    let always = [entry.check.map(|check| check.next), entry.trial.and_then(|trial| trial.next), unconfirmed];
    let shown = if active && entry.major == WIRE_MAJOR {
        let unheard = if entry.check.is_none() { due(entry, tuning) } else { None };
        [entry.confirm.map(|(at, _)| at), entry.measure.map(|(at, _)| at), unheard]
    } else {
        [None; 3]
    };
    always.into_iter().chain(shown).flatten().min()
}

impl Directory {
    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        let entries = self.deadlines.first().map(|(at, _)| *at);
        let instances = if self.active { self.instances.next() } else { None };
        let claims = self.claims.next(self.tuning.claim_life);
        entries.into_iter().chain(instances).chain(claims).min()
    }

    pub(crate) fn handle_timeout(&mut self, cx: &mut Cx<'_>) {
        while let Some(&(at, key)) = self.deadlines.first() {
            if at > cx.now {
                break;
            }
            self.deadlines.remove(&(at, key));
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.deadline = None;
            }
            self.look(cx, key);
            self.schedule(key);
        }
        self.claims_due(cx);
        if self.active {
            self.probe_instances(cx);
        }
    }

    /// Whether somebody waits for the outcome of a check although nobody looks at the list.
    pub(crate) fn is_checking(&self) -> bool {
        self.entries.values().any(|entry| entry.check.is_some())
    }

    /// When to look at an entry again.
    pub(super) fn schedule(&mut self, key: SessionKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let next = next_look(entry, self.active, &self.tuning);
        if let Some(old) = entry.deadline.take() {
            self.deadlines.remove(&(old, key));
        }
        if let Some(at) = next {
            entry.deadline = Some(at);
            self.deadlines.insert((at, key));
        }
    }

    fn look(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        let Some(entry) = self.entries.get(&key) else { return };
        let now = cx.now;
        if entry.own {
            return;
        }
        let life = cx.tuning.unconfirmed_life;
        let foreign = entry.major != WIRE_MAJOR;
        if (foreign && entry.heard + life <= now) || (!foreign && entry.echoed.is_none() && entry.first + life <= now) {
            self.doubts.add(key);
            self.lose(key);
            return;
        }
        self.try_former(cx, key);
        if self.entries.get(&key).is_some_and(|entry| entry.check.is_some_and(|check| check.next <= now)) {
            self.check(cx, key);
        }
        if !self.active {
            return;
        }
        self.confirm(cx, key);
        self.measure(cx, key);
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if entry.check.is_none() && due(entry, cx.tuning).is_some_and(|at| at <= now) {
            if entry.shown || self.unshown.take(now, 5, Duration::from_millis(200)) {
                entry.check = Some(Check { tries: 0, next: now, gap: cx.tuning.probe_gap });
                // Where only beacons come through, one round of probes in a while is enough.
                entry.not_before = now + cx.tuning.unconfirmed_life;
                self.check(cx, key);
            } else {
                entry.not_before = now + Duration::from_millis(200);
            }
        }
    }

    /// One of the twenty probes of a silent entry.
    fn check(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let Some(check) = &mut entry.check else { return };
        if check.tries >= cx.tuning.probe_tries {
            return self.given_up(cx, key);
        }
        let tries = check.tries;
        check.tries += 1;
        check.next = cx.now + check.gap;
        let aim = entry.aim(tries);
        let hint = entry.hints.first().copied();
        if tries == cx.tuning.probe_silent && !entry.silent {
            entry.silent = true;
            self.refresh(key);
        }
        if tries == cx.tuning.probe_tries / 2 && self.ask_all.take(cx.now, 4, Duration::from_millis(500)) {
            self.changes.push_back(Change::AskAll(key.id));
        }
        match (aim, hint) {
            (Some((to, via)), _) => self.probe(cx, key, to, via),
            (None, Some((to, via))) if self.may_bother(cx.now, to) => self.probe(cx, key, to, via),
            _ => {}
        }
    }

    /// Nobody is there any more. A session that can outlive its host is held a while: the next one makes itself known.
    fn given_up(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let until = entry.heard + cx.tuning.migrating_hold;
        if !(entry.migratable || entry.next_host.is_some()) || until <= cx.now {
            return self.lose(key);
        }
        let began = !entry.migrating;
        (entry.migrating, entry.silent) = (true, true);
        let tries = cx.tuning.probe_tries;
        let gap = cx.tuning.migrating_ask;
        entry.check = Some(Check { tries, next: (cx.now + gap).min(until), gap });
        let aim = entry.aim(0).filter(|_| entry.next_host.is_none());
        if self.ask_all.take(cx.now, 4, Duration::from_millis(500)) {
            self.changes.push_back(Change::AskAll(key.id));
        }
        // It may have been away itself.
        if let Some((to, via)) = aim {
            self.probe(cx, key, to, via);
        }
        if began {
            self.claims.forgive(key);
            self.refresh(key);
            self.judge_all(cx, key);
        }
    }

    /// Its host is gone by its own word, or certainly: the entry waits for the next.
    pub(super) fn hold(&mut self, cx: &mut Cx<'_>, key: SessionKey, next: Option<HostKey>) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.next_host = next.or(entry.next_host);
        entry.migratable = true;
        self.given_up(cx, key);
        self.schedule(key);
    }

    /// Tries to get an echo from an address that gave none yet.
    fn confirm(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let Some((_, tries)) = entry.confirm.filter(|(at, _)| *at <= cx.now) else { return };
        let living = entry.echoed.is_some();
        let hints = entry.hints.clone();
        if tries >= CONFIRM_TRIES || hints.is_empty() || (living && tries >= 2) {
            entry.confirm = None;
            entry.hints.clear();
            return;
        }
        entry.confirm = Some((cx.now + CONFIRM_GAP * (1 << tries), tries + 1));
        let (shown, id) = (entry.shown, key.id);
        let at = tries as usize % hints.len();
        // A living host's further addresses are tried all; of an unknown one the same few in turn.
        let aims: Vec<_> = if living { hints } else { hints.get(at).copied().into_iter().collect() };
        for (to, via) in aims {
            if self.may_bother(cx.now, to) {
                self.probe(cx, key, to, via);
            }
        }
        // Where a firewall passes only the shared port, a question to all still gets an answer.
        if matches!(tries, 2 | 4) && shown && !living && self.ask_all.take(cx.now, 4, Duration::from_millis(500)) {
            self.changes.push_back(Change::AskAll(id));
        }
    }

    fn measure(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let Some((_, tries)) = entry.measure.filter(|(at, _)| *at <= cx.now) else { return };
        entry.measure = None;
        if let Some((to, via)) = entry.aim(0) {
            // The answer takes this back.
            if tries + 1 < MEASURE_TRIES {
                entry.measure = Some((cx.now + MEASURE_GAP * (1 << tries), tries + 1));
            }
            self.probe(cx, key, to, via);
        }
    }

    /// Requests to an address that has echoed nothing yet are few, short and stay on the link: whoever forges an advert or
    /// an mDNS record must not make every finder knock at a door of his choice.
    pub(super) fn may_bother(&mut self, now: Moment, to: SocketAddr) -> bool {
        let (burst, every) = (6, Duration::from_millis(1_700));
        // Repeats count in the whole as well: a first try that was refused must not make the second one free.
        self.unproven.of(to).has(now, burst, every)
            && self.unproven_targets.take(now, 100, Duration::from_millis(10))
            && self.unproven.of(to).take(now, burst, every)
    }

    pub(super) fn probe(&mut self, cx: &mut Cx<'_>, key: SessionKey, to: SocketAddr, via: Via) {
        let Some(entry) = self.entries.get(&key) else { return };
        send_probe(cx, key.id, hash::host_tag(entry.host_key), entry.digest, to, via);
    }

    /// Nobody listens at this address any more, says the operating system.
    pub(crate) fn handle_unreachable(&mut self, cx: &mut Cx<'_>, to: SocketAddr) {
        // One of our own may have been another's before: that its former host is gone says nothing of it.
        let using = |entry: &&Entry| !entry.own && entry.addresses.iter().any(|proven| proven.to == to);
        for key in self.entries.values().filter(using).map(|entry| entry.key).collect::<Vec<_>>() {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            if let Some(proven) = entry.addresses.iter_mut().find(|proven| proven.to == to) {
                proven.refused += 1;
            }
            let all = entry.addresses.iter().all(|proven| proven.refused > 0);
            let count: u32 = entry.addresses.iter().map(|proven| proven.refused).sum();
            if all && count >= 2 {
                if !entry.migrating {
                    self.given_up(cx, key);
                    self.schedule(key);
                }
                continue;
            }
            let soon = cx.now + cx.tuning.probe_gap_urgent;
            match &mut entry.check {
                Some(check) => check.next = check.next.min(soon),
                None => entry.check = Some(Check { tries: 0, next: soon, gap: cx.tuning.probe_gap_urgent }),
            }
            self.schedule(key);
        }
    }
}

/// When a confirmed entry is to be probed: it is silent, or has only beaconed for long.
fn due(entry: &Entry, tuning: &Tuning) -> Option<Moment> {
    let echo = entry.echoed? + if entry.shown { tuning.echo_life } else { tuning.echo_life_unshown };
    let silent = entry.quiet;
    // Silence is never put off: that is what "lost within 8 s" rests on.
    Some(if entry.shown { silent.min(echo.max(entry.not_before)) } else { silent.min(echo).max(entry.not_before) })
}

/// A host tag of zeros names any host: a DNS-SD record tells the id, and only a label of the key.
pub(super) fn send_probe(
    cx: &mut Cx<'_>,
    id: SessionId,
    host_tag: [u8; 8],
    known_digest: [u8; 8],
    to: SocketAddr,
    via: Via,
) {
    let nonce = cx.nonces.draw(cx.now, cx.dice, Purpose::Probe);
    let probe = Probe { nonce, id, host_tag, known_digest };
    let bytes = probe.encode(cx.game);
    cx.send(via, to, Arc::from(bytes));
}
