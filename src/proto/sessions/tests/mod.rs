//! `Sessions` of several processes over links in memory, under one virtual clock.

mod crowd;
mod hostile;
mod invites;
mod life;
mod merge;
mod migration;
mod order;
mod parties;
mod places;
mod random;
mod refusals;
mod resume;
mod rivals;
mod roles;
mod states;
mod succession;
mod trouble;
mod vouch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::ChaCha12Rng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::proto::io::{Closed, Command, SeatOpened};
use crate::types::{
    Attributes, Identity, MemberUpdate, Password, Phase, Reason, Revision, SessionSettings, SettingsUpdate, Verdict,
};
use crate::wire::frame::header;
use crate::wire::hash;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const VERSION: u32 = 7;

/// What one seat's user saw.
#[derive(Debug)]
struct Watched {
    opened: SeatOpened,
    events: Vec<SessionEvent>,
    snapshot: Arc<SessionSnapshot>,
    keys: Vec<(AccountId, crate::types::Secret)>,
    bans: Vec<AccountId>,
    succession: crate::proto::io::SuccessionView,
    left: Option<Left>,
}

struct Node {
    sessions: Sessions,
    ip: IpAddr,
    alive: bool,
    /// Whether its system derives keys.
    threads: bool,
    users: Vec<AccountId>,
    done: BTreeMap<RequestId, Result<Answer, Error>>,
    seats: BTreeMap<SeatId, Watched>,
    /// In the order they came: requests and seats' events.
    transcript: Vec<String>,
    adverts: BTreeMap<SessionKey, Publication>,
    events: Vec<SessionsEvent>,
    next_request: u64,
    next_incoming: u64,
    signed_out: Vec<AccountId>,
}

type End = (usize, LinkId);

struct Net {
    now: Moment,
    nodes: Vec<Node>,
    queue: BTreeMap<(Moment, u64), (usize, LinkEvent)>,
    sequence: u64,
    peers: BTreeMap<End, End>,
    last: BTreeMap<End, Moment>,
    /// Machines in different groups do not reach each other.
    walls: BTreeMap<usize, u8>,
    listeners: BTreeMap<SocketAddr, (usize, SessionKey, PublicKey)>,
    delay: Duration,
    jitter: u64,
    rng: ChaCha12Rng,
    /// Machines that neither send nor hear anything.
    dark: BTreeSet<usize>,
    /// Ends whose process reads nothing: what is sent to them waits.
    deaf: BTreeMap<End, VecDeque<Vec<u8>>>,
    /// Frames to drop on their way to this end.
    swallow: BTreeMap<usize, u32>,
    frames: BTreeMap<u8, u32>,
    /// Listeners opened.
    listened: u16,
    /// Machines whose listeners nobody reaches.
    walled: BTreeSet<usize>,
}

use crate::types::PublicKey;

impl Net {
    fn new(seed: u64) -> Self {
        Self {
            now: Moment::ZERO + SECOND,
            nodes: Vec::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            peers: BTreeMap::new(),
            last: BTreeMap::new(),
            walls: BTreeMap::new(),
            listeners: BTreeMap::new(),
            delay: MS,
            jitter: 0,
            rng: ChaCha12Rng::seed_from_u64(seed),
            dark: BTreeSet::new(),
            deaf: BTreeMap::new(),
            swallow: BTreeMap::new(),
            frames: BTreeMap::new(),
            listened: 0,
            walled: BTreeSet::new(),
        }
    }

    fn tuning() -> Tuning {
        Tuning { password_rounds: NonZeroU32::MIN, ..Tuning::default() }
    }

    fn node(&mut self) -> usize {
        self.node_with(VERSION, Self::tuning())
    }

    fn node_with(&mut self, version: u32, tuning: Tuning) -> usize {
        let at = self.nodes.len();
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        let ip = IpAddr::from([10, 0, u8::try_from(at / 250).unwrap(), u8::try_from(at % 250 + 1).unwrap()]);
        let mut sessions = Sessions::new(version, tuning, seed);
        sessions.handle_addresses(&[ip]);
        self.nodes.push(Node {
            sessions,
            ip,
            alive: true,
            threads: true,
            users: Vec::new(),
            done: BTreeMap::new(),
            seats: BTreeMap::new(),
            transcript: Vec::new(),
            adverts: BTreeMap::new(),
            events: Vec::new(),
            next_request: 1,
            next_incoming: 1,
            signed_out: Vec::new(),
        });
        self.user(at, &format!("user{at}"));
        at
    }

    fn user(&mut self, node: usize, name: &str) -> AccountId {
        let mut seed = [0; 32];
        self.rng.fill_bytes(&mut seed);
        self.user_with(node, name, seed)
    }

    fn user_with(&mut self, node: usize, name: &str, seed: [u8; 32]) -> AccountId {
        let identity = Identity::from_seed(seed).unwrap();
        let account = identity.account();
        self.nodes[node].sessions.sign_in(LocalUser { identity, name: name.into(), external: None });
        self.nodes[node].users.push(account);
        account
    }

    fn account(&self, node: usize) -> AccountId {
        self.nodes[node].users[0]
    }

    fn request(&mut self, node: usize) -> RequestId {
        let id = RequestId(self.nodes[node].next_request);
        self.nodes[node].next_request += 1;
        id
    }

    fn host(&mut self, node: usize, what: impl Into<HostRequest>) -> (SeatId, SessionKey) {
        let request = self.request(node);
        let account = self.account(node);
        let unix = self.now.as_micros() / 1_000;
        self.nodes[node].sessions.host(self.now, request, account, what.into(), unix);
        self.settle();
        let seat = self.seat_of(node, request);
        (seat, self.nodes[node].seats[&seat].snapshot.key)
    }

    fn seat_of(&self, node: usize, request: RequestId) -> SeatId {
        match &self.nodes[node].done[&request] {
            Ok(Answer::Seat(seat)) => *seat,
            other => panic!("no seat: {other:?}"),
        }
    }

    fn address(&self, key: SessionKey) -> SocketAddr {
        let hosted = |at: usize, k: SessionKey| k == key && self.nodes[at].sessions.hosts.contains_key(&key);
        let hosted = self.listeners.iter().find(|(_, (at, k, _))| hosted(*at, *k));
        // One that is crowned in place of another is kept under the key of its own session.
        let any = || self.listeners.iter().find(|(_, (_, k, _))| *k == key);
        *hosted.or_else(any).expect("nobody listens").0
    }

    fn resolved(&self, key: SessionKey) -> Resolved {
        Resolved {
            key: Some(key),
            host_key: Some(self.listeners[&self.address(key)].2.into()),
            incarnation: 0,
            version: None,
            migratable: false,
            candidates: vec![self.address(key)],
            deadline: self.now + Duration::from_secs(5),
        }
    }

    fn join_command(password: Option<&str>) -> JoinCommand {
        // What discovery makes of a target is not looked at here.
        let target = crate::proto::io::JoinTarget::Address("127.0.0.1:1".parse().unwrap());
        JoinCommand { password: password.map(Password::from), ..JoinCommand::of(target) }
    }

    fn ask_join_with(&mut self, node: usize, what: JoinCommand, to: Resolved) -> RequestId {
        let request = self.request(node);
        let account = self.account(node);
        self.nodes[node].sessions.join(self.now, request, account, what, to);
        self.drain();
        request
    }

    fn ask_join(&mut self, node: usize, key: SessionKey) -> RequestId {
        let to = self.resolved(key);
        self.ask_join_with(node, Self::join_command(None), to)
    }

    fn join(&mut self, node: usize, key: SessionKey) -> SeatId {
        let request = self.ask_join(node, key);
        self.settle();
        self.seat_of(node, request)
    }

    /// A join that fails, and why; the session sees nothing of it.
    fn refused(&mut self, node: usize, key: SessionKey) -> Refusal {
        let request = self.ask_join(node, key);
        self.refusal(node, request)
    }

    fn refusal(&mut self, node: usize, request: RequestId) -> Refusal {
        self.run(Duration::from_secs(6));
        match &self.nodes[node].done[&request] {
            Err(error) => error.refusal().expect("a refusal").clone(),
            Ok(answer) => panic!("not refused: {answer:?}"),
        }
    }

    fn command(&mut self, node: usize, command: impl FnOnce(RequestId) -> Command) -> RequestId {
        let request = self.request(node);
        self.nodes[node].sessions.command(self.now, command(request));
        self.drain();
        request
    }

    fn update(&mut self, node: usize, seat: SeatId, update: SettingsUpdate, expected: Option<Revision>) -> RequestId {
        self.command(node, |request| Command::Update { request, seat, update: Box::new(update), expected })
    }

    fn update_me(&mut self, node: usize, seat: SeatId, update: MemberUpdate) -> RequestId {
        self.command(node, |request| Command::UpdateMe { request, seat, update: Box::new(update) })
    }

    fn kick(&mut self, node: usize, seat: SeatId, account: AccountId, ban: bool) -> RequestId {
        let reason = Reason::new(3, "afk");
        self.command(node, |request| Command::Kick { request, seat, account, reason, ban })
    }

    fn say(&mut self, node: usize, seat: SeatId, text: &str) -> RequestId {
        let data = text.as_bytes().into();
        self.command(node, |request| Command::Say { request, seat, data })
    }

    fn leave(&mut self, node: usize, seat: SeatId) -> RequestId {
        self.command(node, |request| Command::Leave { request: Some(request), seat })
    }

    fn answer(&self, node: usize, request: RequestId) -> Result<Answer, Error> {
        self.nodes[node].done.get(&request).expect("an answer").clone()
    }

    fn seat(&self, node: usize, seat: SeatId) -> &Watched {
        &self.nodes[node].seats[&seat]
    }

    fn view(&self, node: usize, seat: SeatId) -> &SessionSnapshot {
        &self.nodes[node].seats[&seat].snapshot
    }

    fn take_events(&mut self, node: usize, seat: SeatId) -> Vec<SessionEvent> {
        std::mem::take(&mut self.nodes[node].seats.get_mut(&seat).unwrap().events)
    }

    // ------------------------------------------------------------------------------------------------- the network

    fn post(&mut self, at: Moment, node: usize, event: LinkEvent) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), (node, event));
    }

    /// When something that leaves now arrives at an end: never before what left earlier.
    fn arrival(&mut self, to: End) -> Moment {
        let jitter = if self.jitter > 0 { self.rng.next_u64() % self.jitter } else { 0 };
        let at = self.now + self.delay + Duration::from_micros(jitter);
        let last = self.last.entry(to).or_default();
        *last = at.max(*last);
        *last
    }

    fn dial(
        &mut self,
        from: usize,
        link: LinkId,
        to: SocketAddr,
        expect: Option<crate::types::HostKey>,
        peer: PublicKey,
    ) {
        let trip = self.delay;
        let target = self.nodes.iter().position(|node| node.ip == to.ip());
        let shut = |target| self.cut_off(target, from) || self.walled.contains(&target);
        let lost = target.is_none_or(shut);
        let closed = |why| LinkEvent::Closed { link, why };
        let Some(&(host, session, key)) = self.listeners.get(&to) else {
            let (after, why) = if lost { (3 * SECOND, Closed::Unreachable) } else { (trip * 2, Closed::Refused) };
            self.post(self.now + after, from, closed(why));
            return;
        };
        if lost {
            self.post(self.now + 3 * SECOND, from, closed(Closed::Unreachable));
            return;
        }
        let incoming = LinkId(self.nodes[host].next_incoming);
        self.nodes[host].next_incoming += 2;
        let port = 40_000 + u16::try_from(link.0 % 20_000).unwrap();
        let remote = SocketAddr::new(self.nodes[from].ip, port);
        self.post(self.now + trip, host, LinkEvent::Incoming { link: incoming, session, remote });
        self.post(self.now + trip * 3, host, LinkEvent::HelloBegun { link: incoming });
        if expect.is_some_and(|expect| expect.public_key() != key) {
            self.post(self.now + trip * 4, from, closed(Closed::WrongKey));
            self.post(self.now + trip * 5, host, LinkEvent::Closed { link: incoming, why: Closed::Handshake });
            return;
        }
        self.peers.insert((from, link), (host, incoming));
        self.peers.insert((host, incoming), (from, link));
        let mut binding = [0; 32];
        self.rng.fill_bytes(&mut binding);
        let open = |link, peer, local, remote| LinkEvent::Open { link, peer, binding, local, remote, fallback: false };
        self.post(self.now + trip * 4, from, open(link, key, remote, to));
        self.post(self.now + trip * 5, host, open(incoming, peer, to, remote));
        self.last.insert((from, link), self.now + trip * 4);
        self.last.insert((host, incoming), self.now + trip * 5);
    }

    /// Whether nothing that one sends comes to the other.
    fn cut_off(&self, a: usize, b: usize) -> bool {
        let apart = self.walls.get(&a) != self.walls.get(&b);
        self.dark.contains(&a) || self.dark.contains(&b) || apart
    }

    fn send(&mut self, from: End, bytes: Vec<u8>) {
        let Some(&to) = self.peers.get(&from) else { return };
        if let Some(waiting) = self.deaf.get_mut(&to) {
            waiting.push_back(bytes);
            return;
        }
        if self.cut_off(from.0, to.0) {
            return;
        }
        let (length, kind, more) = header([bytes[0], bytes[1], bytes[2], bytes[3]]);
        assert_eq!(length, bytes.len() - 4);
        *self.frames.entry(kind).or_default() += 1;
        if std::env::var_os("TRACE").is_some() {
            eprintln!("{:?} {from:?} -> {to:?} kind {kind}", self.now);
        }
        let at = self.arrival(to);
        self.post(at, from.0, LinkEvent::Written { link: from.1, bytes: bytes.len() });
        let delta = crate::wire::frame::kind::DELTA;
        if let Some(left) = self.swallow.get_mut(&to.0).filter(|left| **left > 0 && kind == delta) {
            *left -= 1;
            return;
        }
        self.post(at, to.0, LinkEvent::Frame { link: to.1, kind, more, payload: bytes[4..].to_vec() });
    }

    fn close(&mut self, from: End) {
        let Some(to) = self.peers.remove(&from) else { return };
        if self.cut_off(from.0, to.0) || self.deaf.contains_key(&to) {
            return;
        }
        self.peers.remove(&to);
        let at = self.arrival(to);
        if std::env::var_os("TRACE").is_some() {
            eprintln!("{:?} {from:?} -> {to:?} close", self.now);
        }
        self.post(at, to.0, LinkEvent::Closed { link: to.1, why: Closed::ByPeer });
    }

    /// The process is killed: its system closes what it had.
    fn kill(&mut self, node: usize) {
        self.nodes[node].alive = false;
        self.listeners.retain(|_, (host, ..)| *host != node);
        for end in self.peers.keys().filter(|(at, _)| *at == node).copied().collect::<Vec<_>>() {
            self.close(end);
        }
    }

    /// Breaks every link of a node, and nothing else.
    fn cut_links(&mut self, node: usize) {
        for end in self.peers.keys().filter(|(at, _)| *at == node).copied().collect::<Vec<_>>() {
            if let Some(to) = self.peers.remove(&end) {
                self.peers.remove(&to);
                for (node, link) in [end, to] {
                    self.post(self.now, node, LinkEvent::Closed { link, why: Closed::Broken });
                }
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.drain();
        loop {
            let event = self.queue.keys().next().copied();
            let timer = self.nodes.iter_mut().enumerate().filter(|(_, node)| node.alive);
            let timer = timer.filter_map(|(at, node)| node.sessions.poll_timeout().map(|when| (when, at))).min();
            let next = [event.map(|(at, _)| at), timer.map(|(at, _)| at)].into_iter().flatten().min();
            let Some(next) = next.filter(|at| *at <= end) else { break };
            self.now = next.max(self.now);
            match event.filter(|(at, _)| *at <= next) {
                Some(key) => {
                    let (node, event) = self.queue.remove(&key).unwrap();
                    if self.nodes[node].alive {
                        self.nodes[node].sessions.handle_link(self.now, event);
                    }
                }
                None => {
                    let (_, node) = timer.unwrap();
                    self.nodes[node].sessions.handle_timeout(self.now);
                }
            }
            self.drain();
        }
        self.now = end;
    }

    /// Long enough for everything that is under way on healthy links.
    fn settle(&mut self) {
        self.run(self.delay * 20 + Duration::from_micros(self.jitter * 10));
    }

    fn drain(&mut self) {
        for at in 0..self.nodes.len() {
            while let Some(output) = self.nodes[at].sessions.poll_output() {
                self.nodes[at].output(output);
            }
            while let Some(event) = self.nodes[at].sessions.poll_event() {
                self.nodes[at].event(event);
            }
            while let Some(action) = self.nodes[at].sessions.poll_action() {
                if self.nodes[at].alive {
                    self.act(at, action);
                }
            }
            while let Some(output) = self.nodes[at].sessions.poll_output() {
                self.nodes[at].output(output);
            }
            while let Some(event) = self.nodes[at].sessions.poll_event() {
                self.nodes[at].event(event);
            }
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        match action {
            Action::Listen { session, key, .. } => {
                self.listened += 1;
                let port = 50_000 + self.listened;
                let address = SocketAddr::new(self.nodes[at].ip, port);
                self.listeners.insert(address, (at, session, key.public()));
                self.nodes[at].sessions.handle_listening(self.now, session, Ok(port));
            }
            Action::Unlisten { session } => self.listeners.retain(|_, (host, key, _)| *host != at || *key != session),
            Action::Dial { link, to, expect, identity } => self.dial(at, link, to, expect, identity.public()),
            Action::Send { link, bytes } => self.send((at, link), bytes),
            Action::Close { link, .. } => self.close((at, link)),
            Action::Derive { id, password, salt, rounds } => {
                let key = hash::password_key(password.as_bytes(), &salt, rounds);
                let key = if self.nodes[at].threads { Ok(key) } else { Err("no thread".into()) };
                self.nodes[at].sessions.handle_derived(self.now, id, key);
            }
            Action::Sockets { .. } | Action::Mdns(_) | Action::Stop => unreachable!("not of this half"),
        }
    }
}

impl Node {
    fn output(&mut self, output: Output) {
        match output {
            Output::Done { request, result } => {
                self.transcript.push(format!("done {}", request.0));
                assert!(self.done.insert(request, result).is_none(), "answered twice");
            }
            Output::SeatOpened(opened) => {
                self.transcript.push(format!("opened {}", opened.seat.0));
                let (seat, snapshot) = (opened.seat, opened.snapshot.clone());
                let (events, keys, bans) = (Vec::new(), Vec::new(), Vec::new());
                let succession = crate::proto::io::SuccessionView::default();
                let watched = Watched { opened: *opened, events, snapshot, keys, bans, succession, left: None };
                assert!(self.seats.insert(seat, watched).is_none());
            }
            Output::Seat { seat, events, snapshot } => {
                let watched = self.seats.get_mut(&seat).expect("opened before");
                if let Some(snapshot) = snapshot {
                    // The branch that goes on may have the lower term.
                    let moved = events.iter().any(|event| matches!(event, SessionEvent::HostChanged { .. }));
                    assert!(moved || snapshot.revision >= watched.snapshot.revision, "a revision went back");
                    watched.snapshot = snapshot;
                }
                for event in events {
                    assert_eq!(watched.left, None, "{event:?} after the end");
                    if let Some(revision) = event.revision() {
                        assert!(revision <= watched.snapshot.revision, "an event ahead of its snapshot");
                    }
                    if let SessionEvent::Left { why } = &event {
                        watched.left = Some(why.clone());
                    }
                    self.transcript.push(format!("seat {} {}", seat.0, name_of(&event)));
                    watched.events.push(event);
                }
            }
            Output::SeatKeys { seat, keys } => self.seats.get_mut(&seat).expect("opened before").keys = keys,
            Output::User { user, .. } => self.signed_out.push(user),
            Output::SeatSuccession { seat, what } => {
                self.seats.get_mut(&seat).expect("opened before").succession = *what;
            }
            Output::SeatBans { seat, bans } => self.seats.get_mut(&seat).expect("opened before").bans = bans,
            Output::Invites { .. } | Output::SeatAddresses { .. } | Output::Browser { .. } | Output::Lan(_) => {}
        }
    }

    fn event(&mut self, event: SessionsEvent) {
        match &event {
            SessionsEvent::Publish(publication) => {
                self.adverts.insert(publication.key, (**publication).clone());
            }
            SessionsEvent::Withdraw { key, .. } => {
                assert!(self.adverts.remove(key).is_some(), "withdrawn and not published");
            }
            SessionsEvent::HandedOver { key, .. } => {
                assert!(self.adverts.remove(key).is_some(), "handed over and not published");
            }
            SessionsEvent::Superseded { .. }
            | SessionsEvent::HostSuspect { .. }
            | SessionsEvent::HostDead { .. }
            | SessionsEvent::InviteMade(_)
            | SessionsEvent::InviteOver { .. }
            | SessionsEvent::InviteRefused { .. }
            | SessionsEvent::Merge { .. }
            | SessionsEvent::Move { .. } => {}
        }
        self.events.push(event);
    }
}

fn name_of(event: &SessionEvent) -> &'static str {
    match event {
        SessionEvent::Joined { .. } => "joined",
        SessionEvent::MemberJoined { present_before: true, .. } => "present",
        SessionEvent::MemberJoined { .. } => "member joined",
        SessionEvent::MemberLeft { .. } => "member left",
        SessionEvent::MemberAway { .. } => "away",
        SessionEvent::MemberBack { .. } => "back",
        SessionEvent::MemberUpdated { .. } => "member updated",
        SessionEvent::SettingsChanged { .. } => "settings",
        SessionEvent::TurnChanged { .. } => "turn",
        SessionEvent::PhaseChanged { .. } => "phase",
        SessionEvent::Message { .. } => "message",
        SessionEvent::JoinAsked(_) => "asked",
        SessionEvent::InviteUpdated { .. } => "invite",
        SessionEvent::Reconnecting => "reconnecting",
        SessionEvent::Reconnected => "reconnected",
        SessionEvent::HostChanged { .. } => "host changed",
        SessionEvent::BecameHost { .. } => "became host",
        SessionEvent::QuorumLost => "quorum lost",
        SessionEvent::QuorumRegained => "quorum regained",
        SessionEvent::Lagged { .. } => "lagged",
        SessionEvent::Left { .. } => "left",
    }
}

fn names(events: &[SessionEvent]) -> Vec<&'static str> {
    events.iter().map(name_of).collect()
}

fn room(max: u16) -> SessionSettings {
    SessionSettings::new("room").max_members(max)
}
