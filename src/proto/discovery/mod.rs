//! Who is there: the composer of announcer, finder and directory (protocol.md, "Discovery, host" and "Discovery, finder").
//!
//! Call order: any `handle_*` or command, then drain `poll_transmit` and `poll_event` until each says `None`, then sleep
//! until `poll_timeout`. A forgotten drain delays, it never corrupts. The same seed and calls give the same bytes.

mod inbound;
mod paths;
mod rendezvous;
#[cfg(test)]
mod tests;
mod views;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use super::announcer::Announcer;
use super::clock::Moment;
use super::directory::{Change, Directory, Own};
pub(crate) use super::directory::{Claimant, Proof};
use super::finder::{Finder, KnownSession, Sight, Wish};
use super::io::{Interface, MdnsAction, SendFailure, Transmit, Via};
use super::lan::{Bucket, Cx, Dice, Net, Nonces, Purpose};
use super::limits;
use super::tuning::Tuning;
use crate::types::{BrowserEvent, Diagnosis, Filter, Found, HostKey, LanEvent, PathKind, SessionKey, SessionQuery};
use crate::wire::datagram::{DeathNotice, GameTag, GoodbyeReason, Kind, Prefix, Target};
use crate::wire::filter::filter_fits;
use crate::wire::frame::Reign;
use crate::wire::hash;

use paths::Paths;
use rendezvous::Rendezvous;
use views::{Told, View};

pub(crate) use super::announcer::Publication;
pub(crate) use views::Mode;

/// One find or browse; drawn by whoever opens it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct QueryId(pub(crate) u64);

/// What discovery is told once.
#[derive(Debug, Clone)]
pub(crate) struct DiscoveryConfig {
    /// The game's id: others are not seen.
    pub(crate) game: String,
    pub(crate) version: u32,
    /// The UDP port that all instances share.
    pub(crate) beacon_port: u16,
    /// Without: nothing is broadcast or multicast; unicast questions are asked and answered.
    pub(crate) beacons: bool,
    pub(crate) mdns: bool,
    /// Always asked by unicast: peers that no broadcast reaches.
    pub(crate) targets: Vec<SocketAddr>,
    pub(crate) tuning: Arc<Tuning>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DiscoveryEvent {
    /// A browse's list as it is now, and what led to it.
    List {
        query: QueryId,
        list: Arc<[Found]>,
        events: Vec<BrowserEvent>,
    },
    /// A find has ended; its query is closed.
    Done {
        query: QueryId,
        found: Vec<Found>,
    },
    /// Open the UDP sockets, or close them.
    Sockets(bool),
    Mdns(MdnsAction),
    Lan(LanEvent),
    /// An entry is gone, whoever looked at it.
    Lost(SessionKey),
    /// A listed session's host said, signed, that it is over.
    Ended(SessionKey),
    /// Fetch this host's proof that a session goes on with it, and tell it by [`Discovery::handle_proof`].
    Claim(Claimant),
    /// A listed session goes on with another host.
    Moved(SessionKey),
}

/// Discovery of one process.
#[derive(Debug)]
pub(crate) struct Discovery {
    config: DiscoveryConfig,
    game: GameTag,
    dice: Dice,
    net: Net,
    nonces: Nonces,
    announcer: Announcer,
    finder: Finder,
    directory: Directory,
    views: BTreeMap<QueryId, View>,
    rendezvous: Rendezvous,
    paths: Paths,
    out: VecDeque<Transmit>,
    /// What one interface may carry of ours to all, whatever asks for it; goodbyes are outside.
    casts: BTreeMap<u32, Bucket>,
    events: VecDeque<DiscoveryEvent>,
    sockets: bool,
    /// A session is being opened or hosted, listed or not: its link needs this machine's addresses.
    held: bool,
    /// Death notices that wait for their moment.
    notices: Vec<(Moment, SessionKey, DeathNotice)>,
    /// The last moment that was told.
    now: Moment,
}

/// The parts of [`Discovery`] that an engine's call needs beside the engine itself.
macro_rules! cx {
    ($self:ident, $now:expr) => {
        &mut Cx {
            now: $now,
            net: &$self.net,
            nonces: &mut $self.nonces,
            dice: &mut $self.dice,
            out: &mut $self.out,
            tuning: &$self.config.tuning,
            game: $self.game,
            beacons: $self.config.beacons,
        }
    };
}
use cx;

impl Discovery {
    pub(crate) fn new(config: DiscoveryConfig, seed: [u8; 32]) -> Self {
        let mut dice = Dice::new(seed);
        Self {
            game: hash::game_tag(&config.game),
            net: Net::new(config.beacon_port),
            nonces: Nonces::default(),
            announcer: Announcer::new(&mut dice),
            finder: Finder::new(&mut dice, config.targets.clone()),
            directory: Directory::new(&mut dice, config.version, Arc::clone(&config.tuning)),
            views: BTreeMap::new(),
            rendezvous: Rendezvous::new(config.mdns),
            paths: Paths::default(),
            out: VecDeque::new(),
            casts: BTreeMap::new(),
            events: VecDeque::new(),
            sockets: false,
            held: false,
            notices: Vec::new(),
            now: Moment::ZERO,
            dice,
            config,
        }
    }

    // ------------------------------------------------------------------------------------------------ hosting

    /// A session to be found, new or changed. The caller keeps to [`limits::HOSTED`].
    pub(crate) fn publish(&mut self, now: Moment, what: Publication) {
        self.now = now;
        let own = Own {
            key: what.key,
            host_key: what.identity.public().into(),
            incarnation: what.incarnation,
            reign: Reign { term: what.term, ..what.lineage.last().map_or(Reign::FOUNDER, |step| step.reign) },
            tcp_port: what.tcp_port,
            facts: what.facts.clone(),
            former: what.lineage.iter().map(|step| (step.order.host_key, step.order.reign)).collect(),
            migratable: what.migratable,
        };
        if what.listed {
            self.directory.set_own(now, &self.net, own);
        } else {
            self.directory.drop_own(what.key);
        }
        self.rendezvous.publish(&what);
        self.announcer.publish(cx!(self, now), what);
        self.settle(now);
    }

    /// A session that is over, or goes on elsewhere: goodbye, five times.
    pub(crate) fn withdraw(&mut self, now: Moment, key: SessionKey, reason: GoodbyeReason) {
        self.now = now;
        if reason == GoodbyeReason::Ended {
            self.directory.end_own(now, key);
        } else {
            self.directory.drop_own(key);
        }
        self.rendezvous.withdraw(key);
        self.announcer.withdraw(cx!(self, now), key, reason, None);
        self.settle(now);
    }

    /// A session that goes on with another host, whose key may be known: finders hold its entry for that one.
    pub(crate) fn hand_over(&mut self, now: Moment, key: SessionKey, next: Option<HostKey>) {
        self.now = now;
        self.rendezvous.withdraw(key);
        self.directory.hand_over_own(cx!(self, now), key, next);
        self.announcer.withdraw(cx!(self, now), key, GoodbyeReason::Handover, next);
        self.settle(now);
    }

    /// Keeps the sockets open, listed sessions or not.
    pub(crate) fn hold_sockets(&mut self, now: Moment, held: bool) {
        if self.held != held {
            self.held = held;
            self.now = now;
            self.settle(now);
        }
    }

    /// Signed goodbyes of all that is listed, to be sent at once by a process that ends now.
    pub(crate) fn farewell(&mut self) -> Vec<Transmit> {
        let now = self.now;
        self.announcer.farewell(cx!(self, now))
    }

    // ------------------------------------------------------------------------------------------------ finding

    /// Starts a find or a browse. The caller keeps to [`limits::QUERIES`].
    pub(crate) fn open(&mut self, now: Moment, id: QueryId, query: SessionQuery, mode: Mode) {
        self.now = now;
        self.directory.set_active(cx!(self, now), true);
        self.finder.open(cx!(self, now), id.0, wish(&query, mode));
        self.views.insert(id, View::new(now, query, mode));
        self.settle(now);
    }

    /// Another query for the same list.
    pub(crate) fn set_query(&mut self, now: Moment, id: QueryId, query: SessionQuery) {
        self.now = now;
        let Some(view) = self.views.get_mut(&id) else { return };
        let wish = wish(&query, view.mode);
        view.set_query(now, query);
        self.finder.open(cx!(self, now), id.0, wish);
        self.settle(now);
    }

    /// Asks anew.
    pub(crate) fn refresh(&mut self, now: Moment, id: QueryId) {
        self.now = now;
        self.finder.refresh(now, id.0);
    }

    /// Nobody waits for it any more.
    pub(crate) fn close(&mut self, now: Moment, id: QueryId) {
        self.now = now;
        self.views.remove(&id);
        self.finder.close(id.0);
        self.settle(now);
    }

    /// A control channel died: is its host still there? Ends with [`DiscoveryEvent::Lost`] or with silence.
    pub(crate) fn suspect(&mut self, now: Moment, key: SessionKey) {
        self.now = now;
        self.directory.suspect(cx!(self, now), key);
        self.directory.handle_timeout(cx!(self, now));
        self.settle(now);
    }

    /// A member knows that its host died: others should look. Two speak at first, by their `rank` among the members; each
    /// pair after them only if none of those before was heard.
    pub(crate) fn death_notice(&mut self, now: Moment, key: SessionKey, death: DeathNotice, rank: u32) {
        self.now = now;
        if self.notices.len() < limits::HOSTED && self.notices.iter().all(|(_, other, _)| *other != key) {
            let delay = self.config.tuning.notice_delay;
            let at = now + delay * (rank / 2).min(64) + self.dice.within(delay);
            self.notices.push((at, key, death));
            // The seat that knew it may be the last that needed sockets.
            self.settle(now);
        }
    }

    /// What came of fetching a claimant's proof.
    pub(crate) fn handle_proof(&mut self, now: Moment, key: SessionKey, host_key: HostKey, proof: Proof) {
        self.now = now;
        self.directory.handle_proof(cx!(self, now), key, host_key, proof);
        self.directory.handle_timeout(cx!(self, now));
        self.settle(now);
    }

    /// Lends another room what it needs to send: the interfaces, the clock, this queue. What it sends counts in diagnoses.
    pub(crate) fn with_cx<R>(&mut self, now: Moment, act: impl FnOnce(&mut Cx<'_>) -> R) -> R {
        self.now = now;
        act(cx!(self, now))
    }

    // ------------------------------------------------------------------------------------------------- inputs

    /// The usable interfaces, all of them.
    pub(crate) fn handle_interfaces(&mut self, now: Moment, interfaces: &[Interface]) {
        self.now = now;
        // Where we can be reached: without a word on what can be heard.
        let reach = |list: &[Interface]| -> BTreeSet<Interface> {
            list.iter().map(|interface| Interface { deaf: None, ..interface.clone() }).collect()
        };
        let (before, after) = (reach(self.net.interfaces()), reach(interfaces));
        let bare = |list: &BTreeSet<Interface>| list.iter().map(Interface::bare).collect::<Vec<_>>();
        let moved = bare(&before) != bare(&after);
        self.net.set(interfaces);
        self.casts.retain(|index, _| interfaces.iter().any(|interface| interface.index == *index));
        if moved {
            self.paths.interfaces_changed(&self.net);
        }
        self.paths.hearing(now, &self.net);
        if before == after {
            return;
        }
        let added = after.difference(&before).next().is_some();
        self.announcer.interfaces_changed(cx!(self, now), added);
        self.finder.interfaces_changed(cx!(self, now), added);
        self.directory.interfaces_changed(cx!(self, now));
        self.handle_timeout(now);
    }

    /// A send that failed: noted, and where it was an unreachable port, believed the second time.
    pub(crate) fn handle_send_failure(&mut self, now: Moment, failure: &SendFailure) {
        self.now = now;
        self.paths.failed(now, &self.net, failure);
        if failure.unreachable {
            self.directory.handle_unreachable(cx!(self, now), failure.to);
        }
        self.settle(now);
    }

    /// Time went on.
    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        self.now = now;
        self.announcer.handle_timeout(cx!(self, now));
        self.directory.handle_timeout(cx!(self, now));
        for id in self.finder.due(now) {
            let sight = self.sight(now, QueryId(id));
            self.finder.ask(cx!(self, now), id, &sight);
        }
        let (due, later): (Vec<_>, Vec<_>) = self.notices.drain(..).partition(|(at, ..)| *at <= now);
        self.notices = later;
        for (_, key, death) in due {
            let death = DeathNotice { sequence: self.directory.sequence(&key), ..death };
            let (ways, bytes) = (self.net.ways(), death.encode(self.game));
            cx!(self, now).cast(&ways, |_| Some(bytes.clone()));
        }
        self.settle(now);
    }

    // ------------------------------------------------------------------------------------------------ outputs

    #[must_use]
    pub(crate) fn poll_transmit(&mut self) -> Option<Transmit> {
        loop {
            let transmit = self.out.pop_front()?;
            if self.may_leave(&transmit) {
                self.paths.sent(self.now, &self.net, &transmit);
                return Some(transmit);
            }
        }
    }

    fn may_leave(&mut self, transmit: &Transmit) -> bool {
        let (Via::Interface { index, .. }, false) = (transmit.via, transmit.path == PathKind::Unicast) else {
            return true;
        };
        let goodbye = Prefix::peek(&transmit.bytes).is_ok_and(|prefix| prefix.known_kind() == Some(Kind::Goodbye));
        goodbye
            || self.casts.entry(index).or_default().take(
                self.now,
                limits::INTERFACE_CASTS,
                self.config.tuning.interface_cast,
            )
    }

    #[must_use]
    pub(crate) fn poll_event(&mut self) -> Option<DiscoveryEvent> {
        self.events.extend(self.paths.take_events().into_iter().map(DiscoveryEvent::Lan));
        self.events.pop_front()
    }

    #[must_use]
    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        let views = self.views.values().filter_map(View::next).min();
        let notices = self.notices.iter().map(|(at, ..)| *at).min();
        let announcer = self.announcer.poll_timeout(self.config.beacons);
        let all = [announcer, self.finder.poll_timeout(), self.directory.poll_timeout()];
        all.into_iter().chain([views, notices]).flatten().min()
    }

    #[cfg(test)]
    fn timers(&self) -> impl std::fmt::Debug {
        let views = self.views.values().filter_map(View::next).min();
        let announcer = self.announcer.poll_timeout(self.config.beacons);
        (self.now, announcer, self.finder.poll_timeout(), self.directory.poll_timeout(), views)
    }

    /// An entry as it is now.
    pub(crate) fn entry(&self, key: &SessionKey) -> Option<Found> {
        self.directory.found(key).cloned()
    }

    /// Every path of every interface, and what to do.
    pub(crate) fn diagnose(&self) -> Diagnosis {
        let sessions = self.directory.iter().count();
        let (others, incompatible) = (self.directory.others(), self.directory.incompatible());
        self.paths.diagnose(&self.net, self.config.mdns, sessions, others, incompatible)
    }

    /// Whether UDP sockets are needed: something is hosted, sought, checked or still says goodbye.
    pub(crate) fn wants_sockets(&self) -> bool {
        let saying = !self.notices.is_empty();
        self.held || saying || self.announcer.is_active() || !self.views.is_empty() || self.directory.is_checking()
    }

    // ----------------------------------------------------------------------------------------------- plumbing

    fn sight(&self, now: Moment, id: QueryId) -> Sight {
        let count = self.directory.count(now);
        let known = self.directory.settled();
        let known = known.map(|(key, incarnation, term, revision)| KnownSession { key, incarnation, term, revision });
        let view = self.views.get(&id);
        let satisfied = view.is_some_and(|view| view.satisfied(self.directory.iter().map(|(found, _)| found)));
        Sight { hosts: count.hosts, total: count.total, median: count.median, satisfied, known: known.collect() }
    }

    /// Carries changes to the views and brings sockets and mDNS to what is wanted; last in every call.
    fn settle(&mut self, now: Moment) {
        loop {
            self.route_changes(now);
            if !self.draw(now) {
                break;
            }
        }
        let wanted = self.wants_sockets();
        if wanted != self.sockets {
            self.sockets = wanted;
            self.finder.set_open(now, wanted);
            self.events.push_back(DiscoveryEvent::Sockets(wanted));
            if !wanted {
                self.directory.clear();
                self.route_changes(now);
            }
        }
        let browse = !self.views.is_empty();
        for action in self.rendezvous.settle(self.net.own_port(), self.game, browse) {
            self.events.push_back(DiscoveryEvent::Mdns(action));
        }
    }

    fn route_changes(&mut self, now: Moment) {
        while let Some(change) = self.directory.poll_change() {
            match change {
                Change::Touched(_) => self.touch(now, false),
                Change::Ping(_) => self.touch(now, true),
                Change::Lost(key) => {
                    self.touch(now, false);
                    self.events.push_back(DiscoveryEvent::Lost(key));
                }
                Change::Fetch { id, to, via } => {
                    let purpose = if via == Via::Routed { Purpose::Target } else { Purpose::Fetch };
                    self.finder.fetch(cx!(self, now), id, None, to, via, purpose);
                }
                Change::Claim(claimant) => self.events.push_back(DiscoveryEvent::Claim(claimant)),
                Change::Moved(key) => self.events.push_back(DiscoveryEvent::Moved(key)),
                Change::AskAll(id) => self.finder.ask_all_for(cx!(self, now), id),
            }
        }
    }

    fn touch(&mut self, now: Moment, ping: bool) {
        let entries = self.directory.len();
        for view in self.views.values_mut() {
            view.touch(now, ping, entries, &self.config.tuning);
        }
    }

    /// Draws the lists that are due; true where that moved anything.
    fn draw(&mut self, now: Moment) -> bool {
        let mut done = Vec::new();
        let mut drawn = false;
        for (id, view) in &mut self.views {
            if view.next().is_none_or(|at| at > now) {
                continue;
            }
            drawn = true;
            match view.draw(now, self.directory.iter()) {
                Some(Told::List { list, events }) => {
                    self.events.push_back(DiscoveryEvent::List { query: *id, list, events });
                }
                Some(Told::Done(found)) => {
                    self.events.push_back(DiscoveryEvent::Done { query: *id, found });
                    done.push(*id);
                }
                None => {}
            }
        }
        for id in &done {
            self.views.remove(id);
            self.finder.close(id.0);
        }
        if drawn {
            let shown: BTreeSet<SessionKey> = self.views.values().flat_map(View::shown).collect();
            for key in self.directory.iter().map(|(found, _)| found.key()).collect::<Vec<_>>() {
                self.directory.set_shown(cx!(self, now), key, shown.contains(&key));
            }
        }
        if self.views.is_empty() {
            self.directory.set_active(cx!(self, now), false);
        }
        drawn
    }
}

fn wish(query: &SessionQuery, mode: Mode) -> Wish {
    let target = match (query.id, query.code) {
        (Some(id), _) => Target::Session(id),
        (None, Some(code)) => Target::Code(code),
        (None, None) => Target::Any,
    };
    let asked = [query.asked(), query.filter.clone()];
    let read = |filter: &Filter| filter.check_bounds().is_ok() && filter_fits(&filter.0).is_ok();
    let fits = |filter: &Filter| *filter != Filter::all() && read(filter);
    Wish {
        // What is too long for a question, or deeper than a host reads, is left to the views.
        filter: asked.into_iter().find(fits).map(|filter| filter.0),
        target,
        targets: query.targets.clone(),
        lasting: mode == Mode::Browse,
    }
}

#[cfg(all(test, feature = "testing"))]
impl Discovery {
    pub(crate) fn ended(&self, key: &SessionKey) -> Option<Reign> {
        self.directory.ended(key)
    }

    pub(crate) fn sizes(&self, census: &mut limits::Census) {
        self.announcer.sizes(census);
        self.directory.sizes(census);
        census.push(("queries", self.views.len(), limits::QUERIES));
        census.push(("nonces", self.nonces.len(), limits::NONCES));
    }
}
