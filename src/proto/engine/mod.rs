//! The composer: hands inputs to [`Discovery`] (who is there), [`Sessions`] (who is in) and [`Social`] (who is where), and
//! joins what each asks of the others; `matchmaking` drives the last two with a machine for each starter. It decides nothing
//! else, but in `social` who may know where a user is.
//!
//! Call order: any `handle_*`, then drain [`poll_transmit`](Engine::poll_transmit), [`poll_action`](Engine::poll_action)
//! and [`poll_output`](Engine::poll_output), then sleep until [`poll_timeout`](Engine::poll_timeout).
//!
//! # A join, from the call to its first event
//!
//! 1. `User::join` (`handle::user`) checks what needs no network, leaves a slot for the answer in `handle::core` and queues
//!    [`Command::Join`]; the `Pending` is the caller's end of the slot.
//! 2. The driver's task (`driver::turn`; on the virtual LAN, `testing`) gives the command to [`Engine::handle_command`].
//! 3. `resolve` makes addresses of it. An entry whose addresses are proven is dialled at once; for an id, a code, a link or a
//!    typed address a query is opened (`Asker::Join`) and discovery's list waited for.
//! 4. [`Sessions::join`] makes a `JoinAttempt`. With a password, [`Action::Derive`] comes first: `handle_derived` goes on.
//! 5. One [`Action::Dial`] per address, staggered. The driver's link does TCP and TLS and tells [`LinkEvent::Open`] with the
//!    peer's proven key and the channel's binding. The first that opens says `Frame::Join`, the others are closed.
//! 6. At the host the same connection is `Incoming`, `HelloBegun` (`sessions::doorman` gives each stage its time), `Open`: a
//!    guest. `sessions::host::admit` judges its Join in the fixed order, and refuses, waits (wrong password, challenge, the
//!    game's admission) or seats: one commit with its delta to all members, then `Frame::Accept`.
//! 7. `JoinAttempt` verifies the Accept (`join::spec`), says `Ack`, and hands the link to a new `MemberSeat`: its `Owner`
//!    changes from `Join` to `Member`, so whatever the link says from now on goes there.
//! 8. `MemberSeat::new` outputs [`Output::SeatOpened`], the keys, [`Output::Done`], then the first events, in this order.
//!    `handle::deliver` makes of them a seat, a filled slot, and `Joined` followed by a `MemberJoined` per member: a
//!    `Pending` is ready before the first event it caused.
//!
//! A `Pending` that is dropped before 8 queues [`Command::Cancel`]; where its seat was on the way already, `deliver` finds
//! nobody waiting and leaves it again.

mod accounts;
mod close;
mod hosts;
#[cfg(all(test, feature = "testing"))]
mod inspect;
mod matchmaking;
mod queries;
mod resolve;
mod social;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rand::{RngExt, SeedableRng, rngs::ChaCha12Rng};

use crate::types::{Error, Found, HostKey, LanEvent, SessionKey, SessionQuery};

use super::clock::Moment;
use super::discovery::{Discovery, DiscoveryConfig, DiscoveryEvent, Mode, Proof, Publication, QueryId};
use super::io::{
    Action, Answer, Arrival, Command, Interface, LinkEvent, MdnsEvent, Output, RequestId, SendFailure, Transmit,
};
use super::lineage::Lineages;
use super::machine::Machine;
use super::sessions::{Publication as Listing, Sessions, SessionsEvent};
use super::social::{AskId, Social};
use super::tuning::Tuning;
use crate::wire::hash;
use accounts::AccountFind;
use close::Closing;
use matchmaking::Matchmaking;
use queries::{Asker, too_many_queries};
use resolve::Resolve;

/// What one engine is made with.
#[derive(Debug, Clone)]
pub(crate) struct EngineConfig {
    pub(crate) game: String,
    pub(crate) version: u32,
    pub(crate) beacon_port: u16,
    pub(crate) beacons: bool,
    pub(crate) mdns: bool,
    pub(crate) targets: Vec<SocketAddr>,
    pub(crate) tuning: Arc<Tuning>,
}

/// All engines of one [`Lan`](crate::Lan).
#[derive(Debug)]
pub(crate) struct Engine {
    config: EngineConfig,
    unix_ms: u64,
    discovery: Discovery,
    sessions: Sessions,
    askers: BTreeMap<QueryId, Asker>,
    next_query: u64,
    joins: BTreeMap<RequestId, Resolve>,
    matchmaking: Matchmaking,
    account_finds: BTreeMap<RequestId, AccountFind>,
    social: Social,
    lineages: Lineages,
    /// Proofs of hosts to which a session of ours is on its way.
    proofs: BTreeMap<SessionKey, (HostKey, Proof)>,
    /// For which find an account is asked for.
    account_asks: BTreeMap<AskId, RequestId>,
    addresses: Vec<IpAddr>,
    closing: Option<Closing>,
    actions: VecDeque<Action>,
    outputs: VecDeque<Output>,
}

impl Engine {
    /// An engine with nothing in it. `unix_ms` is the wall clock now: it makes incarnations rise, and
    /// dates questions where an account is.
    pub(crate) fn new(config: EngineConfig, seed: [u8; 32], unix_ms: u64) -> Self {
        let mut rng = ChaCha12Rng::from_seed(seed);
        let discovery = DiscoveryConfig {
            game: config.game.clone(),
            version: config.version,
            beacon_port: config.beacon_port,
            beacons: config.beacons,
            mdns: config.mdns,
            targets: config.targets.clone(),
            tuning: Arc::clone(&config.tuning),
        };
        Self {
            unix_ms,
            discovery: Discovery::new(discovery, rng.random()),
            sessions: Sessions::new(config.version, (*config.tuning).clone(), rng.random()),
            social: Social::new(
                hash::game_tag(&config.game),
                Arc::clone(&config.tuning),
                rng.random(),
                unix_ms,
                config.targets.clone(),
            ),
            lineages: Lineages::new(Arc::clone(&config.tuning), rng.random()),
            proofs: BTreeMap::new(),
            account_asks: BTreeMap::new(),
            config,
            askers: BTreeMap::new(),
            next_query: 1,
            joins: BTreeMap::new(),
            account_finds: BTreeMap::new(),
            matchmaking: Matchmaking::new(rng),
            addresses: Vec::new(),
            closing: None,
            actions: VecDeque::new(),
            outputs: VecDeque::new(),
        }
    }
}

impl Machine for Engine {
    // ------------------------------------------------------------------------------------------------- inputs

    /// Takes what a user asks for.
    fn handle_command(&mut self, now: Moment, command: Command) {
        if self.closing.is_some() {
            self.refuse_closed(&command);
            return;
        }
        match command {
            Command::SignIn { user } => {
                self.social.sign_in(&user);
                self.sessions.sign_in(user);
            }
            Command::SignOut { request, account } => {
                let theirs = self.joins.iter().filter(|(_, join)| join.account() == account);
                for join in theirs.map(|(&join, _)| join).collect::<Vec<_>>() {
                    self.cancel(now, join);
                }
                for starter in self.matchmaking.of(account) {
                    self.cancel_matchmaking(now, starter);
                }
                self.social.sign_out(now, account);
                self.sessions.sign_out(now, request, account);
            }
            Command::Host { request, account, what } => {
                let unix_ms = self.unix_ms.saturating_add(now.as_micros() / 1_000);
                match self.check_starters(account, &what.local_name) {
                    Ok(()) => self.sessions.host(now, request, account, *what, unix_ms),
                    Err(error) => self.done(request, Err(error)),
                }
            }
            Command::Join { request, account, what } => match self.check_starters(account, &what.local_name) {
                Ok(()) => self.join(now, request, account, *what),
                Err(error) => self.done(request, Err(error)),
            },
            Command::Matchmake { request, account, what } => self.matchmake(now, request, account, *what),
            Command::Find { request, account, query } => self.find(now, request, account, *query),
            Command::Cancel { request } => self.cancel(now, request),
            Command::OpenBrowser { browser, query } => {
                if self.open(now, Asker::Browser(browser), *query, Mode::Browse).is_none() {
                    self.outputs.push_back(Output::Lan(LanEvent::Trouble(too_many_queries())));
                }
            }
            Command::SetQuery { browser, query } => {
                if let Some(id) = self.query_of(Asker::Browser(browser)) {
                    self.discovery.set_query(now, id, *query);
                }
            }
            Command::Refresh { browser } => {
                if let Some(id) = self.query_of(Asker::Browser(browser)) {
                    self.discovery.refresh(now, id);
                }
            }
            Command::CloseBrowser { browser } => self.close_query(now, Asker::Browser(browser)),
            Command::Diagnose { request } => {
                let diagnosis = self.discovery.diagnose();
                self.done(request, Ok(Answer::Diagnosis(diagnosis)));
            }
            Command::Close { request } => self.close(now, request),
            Command::ReceiveInvites { .. }
            | Command::SetPresence { .. }
            | Command::AcceptInvite { .. }
            | Command::RejectInvite { .. } => self.social_command(now, command),
            other => self.sessions.command(now, other),
        }
        self.route(now);
    }

    /// Takes a datagram.
    fn handle_arrival(&mut self, now: Moment, arrival: Arrival) {
        if !self.heard_locate(now, &arrival) {
            self.discovery.handle_arrival(now, &arrival);
        }
        self.route(now);
    }

    /// Takes the usable interfaces, whenever they change.
    fn handle_interfaces(&mut self, now: Moment, interfaces: Vec<Interface>) {
        self.addresses = own_addresses(&interfaces);
        self.sessions.handle_addresses(&self.addresses);
        self.discovery.handle_interfaces(now, &interfaces);
        self.discovery.with_cx(now, |cx| self.social.handle_timeout(cx));
        self.route(now);
    }

    /// Takes the word that a send failed.
    fn handle_send_failure(&mut self, now: Moment, failure: SendFailure) {
        self.discovery.handle_send_failure(now, &failure);
        self.route(now);
    }

    /// Takes what happened to a connection.
    fn handle_link(&mut self, now: Moment, event: LinkEvent) {
        if self.social.owns(&event) {
            self.social.handle_link(now, event);
        } else if self.lineages.owns(&event) {
            self.lineages.handle_link(now, event);
        } else {
            self.sessions.handle_link(now, event);
        }
        self.route(now);
    }

    /// Takes the answer to [`Action::Listen`]: the port, or why there is none.
    fn handle_listening(&mut self, now: Moment, session: SessionKey, result: Result<u16, String>) {
        if self.social.listens(session) {
            self.discovery.with_cx(now, |cx| self.social.handle_listening(cx, session, result));
        } else {
            self.sessions.handle_listening(now, session, result);
        }
        self.route(now);
    }

    /// Takes what the mDNS adapter heard.
    fn handle_mdns(&mut self, now: Moment, event: MdnsEvent) {
        self.discovery.handle_mdns(now, event);
        self.route(now);
    }

    /// Takes the answer to [`Action::Derive`]: the key, or why there is none.
    fn handle_derived(&mut self, now: Moment, id: u64, key: Result<[u8; 32], String>) {
        self.sessions.handle_derived(now, id, key);
        self.route(now);
    }

    /// Does what is due.
    fn handle_timeout(&mut self, now: Moment) {
        self.discovery.handle_timeout(now);
        self.sessions.handle_timeout(now);
        self.discovery.with_cx(now, |cx| self.social.handle_timeout(cx));
        self.lineages.handle_timeout(now);
        self.joins_due(now);
        self.matchmaking_timeout(now);
        self.account_finds_due(now);
        if let Some(closing) = &mut self.closing {
            if closing.stop_at <= now && !closing.stopped {
                closing.stopped = true;
                self.actions.push_back(Action::Stop);
            }
        }
        self.route(now);
    }

    // ------------------------------------------------------------------------------------------------ outputs

    /// The next datagram to send.
    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.discovery.poll_transmit()
    }

    /// The next thing to do.
    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next thing for users.
    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due next.
    fn poll_timeout(&mut self) -> Option<Moment> {
        let joins = self.joins.values().map(Resolve::due).min();
        let stop = self.closing.as_ref().filter(|closing| !closing.stopped).map(|closing| closing.stop_at);
        let accounts = self.account_finds.values().map(AccountFind::deadline).min();
        let social = self.social.poll_timeout();
        let lineages = self.lineages.poll_timeout();
        let rooms =
            [self.discovery.poll_timeout(), self.sessions.poll_timeout(), social, lineages, self.matchmaking_due()];
        rooms.into_iter().chain([joins, accounts, stop]).flatten().min()
    }

    /// Signed goodbyes of everything hosted, to be sent at once where the process goes down.
    fn farewell(&mut self) -> Vec<Transmit> {
        self.discovery.farewell()
    }
}

impl Engine {
    // ------------------------------------------------------------------------------------------------ routing

    /// Moves what each half has for the other, or for the outside, until both are drained.
    fn route(&mut self, now: Moment) {
        loop {
            // Before a session listens, so that its link has addresses from the start.
            let held = self.sessions.is_hosting() || self.social.holds_sockets();
            self.discovery.hold_sockets(now, held);
            let mut moved = false;
            while let Some(event) = self.sessions.poll_event() {
                moved = true;
                self.route_sessions(now, event);
            }
            while let Some(event) = self.discovery.poll_event() {
                moved = true;
                self.route_discovery(now, event);
            }
            while let Some(event) = self.social.poll_event() {
                moved = true;
                self.route_social(now, event);
            }
            while let Some((wanted, outcome)) = self.lineages.poll_event() {
                moved = true;
                self.proof_came(now, wanted, outcome);
            }
            while let Some(output) = self.sessions.poll_output() {
                if let Some(output) = self.withhold(now, output) {
                    self.seat_opened(&output);
                    self.outputs.push_back(output);
                }
            }
            // After all that its seats had to say.
            moved |= self.drive_matchmaking(now);
            if !moved {
                break;
            }
        }
        self.end_seeks(now);
        self.end_presences();
        while let Some(output) = self.social.poll_output() {
            self.outputs.push_back(output);
        }
        while let Some(action) = self.social.poll_action() {
            self.actions.push_back(action);
        }
        while let Some(action) = self.lineages.poll_action() {
            self.actions.push_back(action);
        }
        while let Some(action) = self.sessions.poll_action() {
            self.actions.push_back(action);
        }
    }

    pub(super) fn route_sessions(&mut self, now: Moment, event: SessionsEvent) {
        match event {
            SessionsEvent::Publish(listing) => self.discovery.publish(now, publication(*listing)),
            SessionsEvent::Withdraw { key, reason } => self.discovery.withdraw(now, key, reason),
            SessionsEvent::HostSuspect { key } => {
                if let Some(entry) = self.discovery.entry(&key) {
                    self.sessions.handle_host_addresses(now, key, &addresses_of(&entry));
                }
                self.discovery.suspect(now, key);
                if self.query_of(Asker::Seek(key)).is_none() {
                    // Where there are too many queries already, the known addresses have to do.
                    let _ = self.open(now, Asker::Seek(key), SessionQuery::new().id(key.id), Mode::Browse);
                }
            }
            SessionsEvent::InviteMade(invite) => self.invite_made(now, &invite),
            SessionsEvent::InviteOver { inviter, invitee, invite, state } => {
                self.social.invite_over(inviter, invitee, invite, state);
            }
            SessionsEvent::InviteRefused { invitee, invite, state } => {
                // Before the answer of the join.
                let inbox = self.social.take_out(invitee, invite, state);
                self.outputs.extend(inbox);
            }
            SessionsEvent::HostDead { key, rank, notice } => {
                self.discovery.suspect(now, key);
                self.discovery.death_notice(now, key, notice, rank);
            }
            SessionsEvent::HandedOver { key, next } => {
                self.discovery.hand_over(now, key, next);
                self.handed_over(now, key);
            }
            SessionsEvent::Superseded { way, reached } => self.superseded(now, *way, reached),
            SessionsEvent::Merge { seat, outcome } => self.merging(now, seat, outcome),
            SessionsEvent::Move { seat, to } => self.asked_to_move(now, seat, to),
        }
    }

    fn route_discovery(&mut self, now: Moment, event: DiscoveryEvent) {
        match event {
            DiscoveryEvent::List { query, list, events } => match self.askers.get(&query) {
                Some(Asker::Browser(browser)) => {
                    self.outputs.push_back(Output::Browser { browser: *browser, list, events });
                }
                Some(Asker::Join(request)) => self.join_heard(now, *request, &list),
                Some(&Asker::Matchmake(request)) => self.starter_heard(now, request, list),
                Some(&Asker::Seek(key)) => {
                    let of = |found: &&Found| found.key() == key;
                    let addresses: Vec<_> = list.iter().filter(of).flat_map(addresses_of).collect();
                    if !addresses.is_empty() {
                        self.host_moved(now, key);
                        self.sessions.handle_host_addresses(now, key, &addresses);
                    }
                }
                Some(Asker::Find(_)) | None => {}
            },
            DiscoveryEvent::Done { query, found } => match self.askers.remove(&query) {
                Some(Asker::Find(request)) => self.done(request, Ok(Answer::Found(found))),
                Some(Asker::Join(request)) => self.join_searched(now, request, &found),
                Some(Asker::Browser(_) | Asker::Matchmake(_) | Asker::Seek(_)) | None => {}
            },
            DiscoveryEvent::Sockets(open) => self.actions.push_back(Action::Sockets { open }),
            DiscoveryEvent::Mdns(action) => self.actions.push_back(Action::Mdns(action)),
            DiscoveryEvent::Lan(event) => self.outputs.push_back(Output::Lan(event)),
            DiscoveryEvent::Ended(key) => self.sessions.handle_host_ended(now, key),
            DiscoveryEvent::Claim(claimant) => self.claimed(now, claimant),
            DiscoveryEvent::Moved(key) => self.host_moved(now, key),
            DiscoveryEvent::Lost(_) => {}
        }
    }

    /// What must hold between any two steps, for tests and fuzzing.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn check_invariants(&self, now: Moment) {
        self.sessions.check_invariants(now);
    }

    fn done(&mut self, request: RequestId, result: Result<Answer, Error>) {
        self.outputs.extend(self.matchmaking.answered(request, result));
    }
}

fn addresses_of(found: &Found) -> Vec<SocketAddr> {
    found.addresses().iter().map(|address| address.addr).collect()
}

/// This machine's addresses as a host would name them: those others can reach first, loopback last.
fn own_addresses(interfaces: &[Interface]) -> Vec<IpAddr> {
    let rank = |interface: &Interface| {
        let link_local = match interface.address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        (interface.loopback, link_local, interface.point_to_point, interface.address.is_ipv6())
    };
    let mut sorted: Vec<&Interface> = interfaces.iter().collect();
    sorted.sort_by_key(|interface| rank(interface));
    sorted.iter().map(|interface| interface.address).collect()
}

fn publication(listing: Listing) -> Publication {
    let Listing { key, host, id_derived, account_shown, salt, incarnation, term, tcp_port, facts, lineage, migratable } =
        listing;
    Publication {
        key,
        identity: host,
        salt,
        id_derived,
        account_shown,
        incarnation,
        term,
        tcp_port,
        listed: true,
        facts,
        lineage,
        migratable,
    }
}
