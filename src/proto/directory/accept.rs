//! What came in, and what it may change (protocol.md, "Discovery, finder").

use std::time::Duration;

use super::entry::{Check, Entry};
use super::verify::Class;
use super::{Change, Directory, Heard, blank, unshown_patience};
use crate::proto::lan::{Asked, Cx, Purpose};
use crate::proto::limits;
use crate::types::{HostKey, JoinPolicy, Phase, PublicFacts, SessionId, SessionKey, Source, WIRE_MAJOR};
use crate::wire::datagram::{Advert, Alive, DeathNotice, ForeignAdvert, Goodbye, GoodbyeReason, facts_digest_of};
use crate::wire::hash;
use crate::wire::sign::{Context, verify_datagram};

impl Directory {
    /// An advert; true where its signature was verified.
    pub(crate) fn handle_advert(&mut self, cx: &mut Cx<'_>, advert: Advert, heard: &Heard<'_>) -> bool {
        let key = SessionKey { id: advert.id, founder: advert.founder() };
        let (order, host_key) = ((advert.incarnation, advert.sequence), advert.host_key);
        if self.is_buried(cx.now, key, host_key, order, heard.asked.is_some()) {
            return false;
        }
        if self.is_claim(key, &advert) {
            return self.handle_claim(cx, key, advert, heard);
        }
        if self.verifier.is_repeat(heard.bytes) {
            self.note_address(cx, key, heard);
            return false;
        }
        // A derived id is its founder's alone; who merely chose the same one would make it ambiguous for all.
        let derived = advert.id_derived;
        if !derived && self.entries.values().any(|entry| entry.key.id == key.id && entry.derived && entry.key != key) {
            return false;
        }
        let known = self.entries.get(&key);
        // Who looks for nothing need not learn of anybody: a host alone checks no signatures of others.
        if known.is_some_and(|entry| entry.own) || (known.is_none() && !self.active) {
            return false;
        }
        if let (Some(entry), None) = (known, heard.asked) {
            // Only a higher number counts: what is not above could be a recording.
            if advert.order() <= entry.order() && entry.major == WIRE_MAJOR {
                return false;
            }
            let told = entry.suspected.is_some_and(|at| cx.now.since(at) < cx.tuning.notice_interval);
            if advert.incarnation != entry.incarnation && told {
                return false;
            }
        }
        // A nonce that went to all was overheard by all: only one that went to a single address is worth the best class.
        let single = heard.asked.is_some_and(|asked| !matches!(asked.purpose, Purpose::Question { .. }));
        let class = match (heard.asked, known.is_some()) {
            (Some(_), _) if single && !heard.shared => Class::Answer,
            (_, true) => Class::Known,
            (Some(_), false) => Class::Cast,
            (None, false) => Class::Unsolicited,
        };
        let key_bytes = advert.host_key.public_key();
        if !self.verifier.allows(cx.now, class, heard.from.ip())
            || !verify_datagram(Context::Advert, key_bytes, heard.bytes)
        {
            return false;
        }
        self.verifier.verified(heard.bytes);
        let other_run = |entry: &Entry| entry.incarnation != advert.incarnation && entry.major == WIRE_MAJOR;
        if heard.asked.is_none() && self.entries.get(&key).is_some_and(other_run) {
            // Another run, says what may be a recording; only an echo displaces what lives.
            self.suspect_from(cx, key, heard);
            return true;
        }
        if !self.entries.contains_key(&key) && !self.make_room(cx.now, advert.host_key, heard.from.ip()) {
            return true;
        }
        self.apply(cx, key, advert, heard);
        true
    }

    /// The very same datagram from another address: of a host with two, or sent again by anybody. A hint, no more.
    fn note_address(&mut self, cx: &mut Cx<'_>, key: SessionKey, heard: &Heard<'_>) {
        let Some(entry) = self.entries.get_mut(&key).filter(|entry| !entry.own && entry.confirmed()) else { return };
        if entry.hint(heard.from, heard.via) && entry.confirm.is_none() {
            entry.confirm = Some((cx.now + cx.dice.within(cx.tuning.confirm_within), 0));
            self.schedule(key);
        }
    }

    fn apply(&mut self, cx: &mut Cx<'_>, key: SessionKey, advert: Advert, heard: &Heard<'_>) {
        // A restart is the end of one entry and the start of another.
        self.lose_if(key, |entry| entry.incarnation != advert.incarnation);
        let derived = advert.id_derived;
        if derived {
            self.drop_borrowers(key);
        }
        let new = !self.entries.contains_key(&key);
        let digest = facts_digest_of(heard.bytes).unwrap_or_default();
        let mdns = self.instances.claim(key, advert.host_key);
        let mut entry = self.entries.remove(&key).unwrap_or_else(|| {
            let mut entry = blank(cx.now, key, advert.host_key, heard.from.ip(), advert.facts.clone());
            entry.incarnation = advert.incarnation;
            entry.derived = derived;
            entry.doubted = heard.asked.is_none() && self.doubts.contains(&key);
            entry
        });
        let newest = new || advert.order() >= entry.order();
        if newest {
            entry.adopt(&advert, digest);
        }
        let purpose = heard.asked.map(|asked| asked.purpose);
        match purpose {
            Some(Purpose::Target) => entry.sources.insert(Source::Direct),
            Some(Purpose::Fetch | Purpose::Probe) if mdns || !new => false,
            _ => entry.sources.insert(Source::Beacon),
        };
        if mdns {
            entry.sources.insert(Source::Mdns);
        }
        self.alive(cx, &mut entry, heard);
        if new {
            self.insert(entry);
        } else {
            self.entries.insert(key, entry);
            self.refresh(key);
            self.schedule(key);
        }
    }

    /// Entries that merely chose an id which is derived from this one's founder.
    pub(super) fn drop_borrowers(&mut self, key: SessionKey) {
        let borrows = |entry: &&Entry| entry.key.id == key.id && entry.key != key && !entry.derived;
        for other in self.entries.values().filter(borrows).map(|entry| entry.key).collect::<Vec<_>>() {
            self.lose(other);
        }
    }

    /// Its host was heard.
    pub(super) fn refreshed(&mut self, cx: &mut Cx<'_>, entry: &mut Entry) {
        entry.heard = cx.now;
        entry.check = None;
        entry.silent = false;
        (entry.migrating, entry.next_host) = (false, None);
        entry.quiet = if entry.shown {
            cx.now + cx.dice.between(cx.tuning.suspect, cx.tuning.suspect_late)
        } else {
            cx.now + unshown_patience(cx.tuning, entry.interval)
        };
    }

    /// A valid packet of its host: proof where it echoes, life in any case.
    fn alive(&mut self, cx: &mut Cx<'_>, entry: &mut Entry, heard: &Heard<'_>) {
        self.refreshed(cx, entry);
        if let Some(asked) = heard.asked {
            entry.echoed = Some(cx.now);
            entry.confirm = None;
            entry.doubted = false;
            entry.prove(cx.now, heard.from, heard.via, round_trip(cx, asked, heard));
        } else if entry.echoed.is_none() {
            entry.hint(heard.from, heard.via);
            if entry.confirm.is_none() {
                let wait = if entry.shown { Duration::ZERO } else { cx.dice.within(cx.tuning.confirm_within) };
                entry.confirm = Some((cx.now + wait, 0));
            }
        } else if entry.hint(heard.from, heard.via) {
            // A further address of a living host: one probe tells whether it can be joined there.
            entry.confirm = Some((cx.now + cx.dice.within(cx.tuning.confirm_within), 0));
        }
    }

    /// The answer to a probe.
    pub(crate) fn handle_alive(&mut self, cx: &mut Cx<'_>, alive: &Alive, heard: &Heard<'_>) {
        let Some(asked) = heard.asked else { return };
        let Some(key) = self.of_host(alive.id, alive.host_key) else {
            if asked.purpose != Purpose::Probe || !self.claim_lives(cx, alive, heard) {
                self.stranger_lives(cx, alive, heard, asked);
            }
            return;
        };
        let by_mdns = self.instances.names(key.id, alive.host_key);
        let known = self.entries.get(&key).is_some_and(|entry| !entry.own);
        if (!known && !by_mdns)
            || asked.purpose != Purpose::Probe
            || self.is_buried(cx.now, key, alive.host_key, (alive.incarnation, alive.sequence), true)
            || !self.verifier.allows(cx.now, Class::Answer, heard.from.ip())
            || !verify_datagram(Context::Alive, alive.host_key.public_key(), heard.bytes)
        {
            return;
        }
        let fetch = Change::Fetch { id: alive.id, to: heard.from, via: heard.via };
        let Some(mut entry) = self.entries.remove(&key) else {
            self.changes.push_back(fetch);
            return;
        };
        let same = (entry.incarnation, entry.term, entry.digest) == (alive.incarnation, alive.term, alive.digest);
        if !same {
            self.changes.push_back(fetch);
        }
        if entry.incarnation == alive.incarnation {
            entry.sequence = entry.sequence.max(alive.sequence);
            entry.measure = None;
            self.alive(cx, &mut entry, heard);
        }
        self.entries.insert(key, entry);
        self.refresh(key);
        self.schedule(key);
    }

    /// The entry of this id under this host.
    pub(crate) fn of_host(&self, id: SessionId, host_key: HostKey) -> Option<SessionKey> {
        self.entries.values().find(|entry| entry.key.id == id && entry.host_key == host_key).map(|entry| entry.key)
    }

    /// A host that DNS-SD named, and that is not listed: its advert makes the entry.
    fn stranger_lives(&mut self, cx: &mut Cx<'_>, alive: &Alive, heard: &Heard<'_>, asked: Asked) {
        let key = SessionKey { id: alive.id, founder: alive.host_key };
        if asked.purpose == Purpose::Probe
            && self.instances.names(alive.id, alive.host_key)
            && !self.is_buried(cx.now, key, alive.host_key, (alive.incarnation, alive.sequence), true)
            && self.verifier.allows(cx.now, Class::Answer, heard.from.ip())
            && verify_datagram(Context::Alive, alive.host_key.public_key(), heard.bytes)
        {
            self.changes.push_back(Change::Fetch { id: alive.id, to: heard.from, via: heard.via });
        }
    }

    /// Its host says that it is over; true where that was believed.
    pub(crate) fn handle_goodbye(&mut self, cx: &mut Cx<'_>, goodbye: &Goodbye, heard: &Heard<'_>) -> bool {
        let key = self.of_host(goodbye.id, goodbye.host_key);
        let Some((key, entry)) = key.and_then(|key| self.entries.get(&key).map(|entry| (key, entry))) else {
            return self.is_signed(cx, goodbye, heard);
        };
        let counts = !entry.own
            && entry.host_key == goodbye.host_key
            && entry.incarnation == goodbye.incarnation
            && entry.term <= goodbye.term
            && (goodbye.reason == GoodbyeReason::Ended || goodbye.sequence > entry.sequence);
        if !counts
            || !self.verifier.allows(cx.now, Class::Known, heard.from.ip())
            || !verify_datagram(Context::Goodbye, goodbye.host_key.public_key(), heard.bytes)
        {
            return false;
        }
        match goodbye.reason {
            GoodbyeReason::Ended => self.bury(cx.now, key, None, cx.tuning),
            GoodbyeReason::Unlisted => self.bury(cx.now, key, Some(goodbye.sequence), cx.tuning),
            GoodbyeReason::Handover => {
                if let Some(entry) = self.entries.get_mut(&key) {
                    // Its copies, and recordings of it, say nothing more.
                    entry.sequence = goodbye.sequence;
                    entry.heard = cx.now;
                }
                self.hold(cx, key, goodbye.next);
                return true;
            }
        }
        self.lose(key);
        true
    }

    /// A goodbye of a session that is not listed here: it may still be counted among the hosts.
    fn is_signed(&mut self, cx: &mut Cx<'_>, goodbye: &Goodbye, heard: &Heard<'_>) -> bool {
        !self.tombstones.contains_key(&SessionKey { id: goodbye.id, founder: goodbye.host_key })
            && self.verifier.allows(cx.now, Class::Unsolicited, heard.from.ip())
            && verify_datagram(Context::Goodbye, goodbye.host_key.public_key(), heard.bytes)
    }

    /// Somebody says that a host died: the next look at a shown entry comes now. It ends nothing.
    pub(crate) fn handle_death(&mut self, cx: &mut Cx<'_>, death: &DeathNotice) {
        let named = |entry: &&Entry| {
            entry.key.id == death.id
                && entry.term == death.term
                && (death.incarnation == 0 || death.incarnation == entry.incarnation)
                && (entry.shown && !entry.own && !entry.migrating)
                && hash::host_tag(entry.host_key) == death.host_tag
        };
        let Some(key) = self.entries.values().find(named).map(|entry| entry.key) else { return };
        let Some(entry) = self.entries.get_mut(&key) else { return };
        if entry.noticed.is_some_and(|at| cx.now.since(at) < cx.tuning.notice_interval) {
            return;
        }
        entry.noticed = Some(cx.now);
        self.suspect(cx, key);
    }

    /// Looks at once, with short gaps: the control channel died, or somebody says so.
    pub(crate) fn suspect(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let urgent = cx.tuning.probe_gap_urgent;
        if !entry.own && entry.check.is_none_or(|check| check.gap != urgent) {
            entry.check = Some(Check { tries: 0, next: cx.now, gap: urgent });
        }
        self.schedule(key);
    }

    /// Another run of a session that is listed, from an address that may be new: ask there.
    fn suspect_from(&mut self, cx: &mut Cx<'_>, key: SessionKey, heard: &Heard<'_>) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.suspected = Some(cx.now);
        entry.hint(heard.from, heard.via);
        if entry.confirm.is_none() {
            entry.confirm = Some((cx.now, 0));
        }
        if entry.check.is_none() {
            entry.check = Some(Check { tries: 0, next: cx.now, gap: cx.tuning.probe_gap });
        }
        self.schedule(key);
    }

    /// Another major version's advert: it is shown, and nothing is asked.
    pub(crate) fn handle_foreign(&mut self, cx: &mut Cx<'_>, foreign: &ForeignAdvert, heard: &Heard<'_>) {
        let key = SessionKey { id: foreign.id, founder: foreign.host_key };
        let others = self.entries.values().filter(|entry| entry.major != WIRE_MAJOR).count();
        let known = self.entries.get(&key).map(|entry| entry.major);
        if !self.active {
            return;
        }
        let fits = match known {
            Some(major) => major != WIRE_MAJOR,
            None => others < limits::FOREIGN_ENTRIES,
        };
        if !fits
            || self.verifier.is_repeat(heard.bytes)
            || !self.verifier.allows(cx.now, Class::Unsolicited, heard.from.ip())
            || !verify_datagram(Context::Advert, foreign.host_key.public_key(), heard.bytes)
        {
            return;
        }
        self.verifier.verified(heard.bytes);
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.heard = cx.now;
            entry.facts.name.clone_from(&foreign.name);
            self.refresh(key);
            self.schedule(key);
            return;
        }
        if !self.make_room(cx.now, foreign.host_key, heard.from.ip()) {
            return;
        }
        let mut entry = blank(cx.now, key, foreign.host_key, heard.from.ip(), closed_facts(foreign.name.clone()));
        entry.major = foreign.major;
        entry.incompatible = true;
        entry.sources.insert(Source::Beacon);
        self.insert(entry);
    }

    /// The last number that its host was heard to say.
    pub(crate) fn sequence(&self, key: &SessionKey) -> u32 {
        self.entries.get(key).map_or(0, |entry| entry.sequence)
    }
}

/// From question to answer, where nothing but the way delayed it; and whether a probe measured it.
pub(super) fn round_trip(cx: &Cx<'_>, asked: Asked, heard: &Heard<'_>) -> Option<(Duration, bool)> {
    let rtt = cx.now.since(asked.at);
    match asked.purpose {
        Purpose::Probe => Some((rtt, true)),
        Purpose::Target | Purpose::Fetch => Some((rtt, false)),
        Purpose::Question { prompt: true } if !heard.shared => Some((rtt, false)),
        Purpose::Question { .. } => None,
    }
}

/// What is not known of another major version counts as the most restrictive.
fn closed_facts(name: String) -> PublicFacts {
    PublicFacts {
        matchmaking: false,
        mobile: false,
        anti_cheat: false,
        allow_sanctioned: true,
        name,
        version: 0,
        revision: 0,
        members: 0,
        max_members: 0,
        open_slots: 0,
        reserved_slots: 0,
        policy: JoinPolicy::InviteOnly,
        phase: Phase::Ended,
        password: false,
        closed: true,
        locked: true,
        join_in_progress: false,
        dedicated: false,
        keywords: Vec::new(),
        attributes: crate::types::Attributes::new(),
        ports: Vec::new(),
    }
}
