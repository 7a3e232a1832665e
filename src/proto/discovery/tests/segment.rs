//! One Ethernet segment: loss per receiver, delay, ARP; deterministic by seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use crate::proto::io::{Arrival, Transmit};
use crate::proto::lan::Dice;
use crate::types::{Attributes, Identity, JoinPolicy, PathKind, Phase, PublicFacts};
use crate::wire::datagram::{Kind, Prefix};

pub(super) const PORT: u16 = 7_777;

pub(super) struct Node {
    pub(super) discovery: Discovery,
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) publication: Option<Publication>,
    pub(super) alive: bool,
    /// Every datagram that came here.
    pub(super) heard: Vec<Arrival>,
    pub(super) lan_events: Vec<LanEvent>,
    pub(super) lost: Vec<SessionKey>,
    pub(super) ended: Vec<SessionKey>,
    pub(super) mdns: Vec<MdnsAction>,
    pub(super) claims: Vec<Claimant>,
    pub(super) moved: Vec<SessionKey>,
    lists: BTreeMap<u64, Arc<[Found]>>,
    events: BTreeMap<u64, Vec<BrowserEvent>>,
    done: BTreeMap<u64, Vec<Found>>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Arrive { to: usize, from: SocketAddr, local: IpAddr, shared: bool, bytes: Vec<u8> },
    Unreachable { to: usize, address: SocketAddr },
}

pub(super) struct Segment {
    pub(super) nodes: Vec<Node>,
    pub(super) passes: fn(PathKind) -> bool,
    pub(super) loopback_only: bool,
    pub(super) loss: f64,
    /// Datagrams, those to all, and distinct questions to all.
    pub(super) sent: u64,
    pub(super) casts: u64,
    pub(super) questions: usize,
    pub(super) print: u64,
    nonces: BTreeSet<Vec<u8>>,
    queue: BinaryHeap<Reverse<(Moment, u64, What)>>,
    order: u64,
    clock: Moment,
    dice: Dice,
    arp: BTreeSet<(IpAddr, IpAddr)>,
    /// A node's last wake-up that was asked for.
    seed: u64,
}

pub(super) fn facts(name: &str) -> PublicFacts {
    let mut attributes = Attributes::new();
    attributes.set("map", "dust").unwrap();
    PublicFacts {
        matchmaking: false,
        mobile: false,
        anti_cheat: false,
        allow_sanctioned: true,
        name: name.into(),
        version: 1,
        revision: 1,
        members: 1,
        max_members: 4,
        open_slots: 3,
        reserved_slots: 0,
        policy: JoinPolicy::Public,
        phase: Phase::Lobby,
        password: false,
        closed: false,
        locked: false,
        join_in_progress: false,
        dedicated: false,
        keywords: Vec::new(),
        attributes,
        ports: Vec::new(),
    }
}

pub(super) fn publication(number: u8) -> Publication {
    let identity = Identity::from_seed([number + 1; 32]).unwrap();
    let founder = identity.public().into();
    let salt = u64::from(number);
    Publication {
        key: SessionKey { id: hash::derived_id(founder, salt), founder },
        identity,
        salt,
        id_derived: true,
        account_shown: false,
        incarnation: 1_000,
        term: 1,
        tcp_port: 5_000 + u16::from(number),
        listed: true,
        facts: facts(&format!("host {number}")),
        lineage: Vec::new(),
        migratable: false,
    }
}

impl Segment {
    pub(super) fn new(seed: u64, loss: f64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Self {
            nodes: Vec::new(),
            passes: |_| true,
            loopback_only: false,
            loss,
            sent: 0,
            casts: 0,
            questions: 0,
            print: 0,
            nonces: BTreeSet::new(),
            queue: BinaryHeap::new(),
            order: 0,
            clock: Moment::from_micros(1_000_000),
            dice: Dice::new(bytes),
            arp: BTreeSet::new(),
            seed,
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.clock
    }

    pub(super) fn node(&mut self, number: u8) -> usize {
        self.node_with(number, |_| {})
    }

    pub(super) fn node_with(&mut self, number: u8, change: impl Fn(&mut DiscoveryConfig)) -> usize {
        let mut config = DiscoveryConfig {
            game: "game".into(),
            version: 1,
            beacon_port: PORT,
            beacons: true,
            mdns: false,
            targets: Vec::new(),
            tuning: Arc::default(),
        };
        change(&mut config);
        let mut seed = [number; 32];
        seed[..8].copy_from_slice(&self.seed.to_be_bytes());
        let v4 = if self.loopback_only { Ipv4Addr::LOCALHOST } else { Ipv4Addr::new(10, 0, 0, number + 1) };
        let address = IpAddr::V4(v4);
        let mut discovery = Discovery::new(config, seed);
        discovery
            .handle_interfaces(self.clock, &[Interface { port: 40_000 + u16::from(number), ..self.interface(v4) }]);
        self.nodes.push(Node {
            discovery,
            address,
            port: 40_000 + u16::from(number),
            publication: None,
            alive: true,
            heard: Vec::new(),
            lan_events: Vec::new(),
            lost: Vec::new(),
            ended: Vec::new(),
            mdns: Vec::new(),
            claims: Vec::new(),
            moved: Vec::new(),
            lists: BTreeMap::new(),
            events: BTreeMap::new(),
            done: BTreeMap::new(),
        });
        let node = self.nodes.len() - 1;
        self.drain(node);
        node
    }

    pub(super) fn interface(&self, v4: Ipv4Addr) -> Interface {
        let loopback = v4.is_loopback();
        Interface {
            index: if loopback { 1 } else { 2 },
            name: if loopback { "lo" } else { "eth0" }.into(),
            address: IpAddr::V4(v4),
            prefix: if loopback { 8 } else { 24 },
            broadcast: (!loopback).then_some(Ipv4Addr::new(10, 0, 0, 255)),
            loopback,
            point_to_point: false,
            wireless: false,
            port: 40_000,
            deaf: None,
        }
    }

    /// Puts a node into another subnet; broadcasts do not get there.
    pub(super) fn move_to(&mut self, node: usize, v4: Ipv4Addr) {
        let interface = Interface { broadcast: None, port: self.nodes[node].port, ..self.interface(v4) };
        self.nodes[node].address = IpAddr::V4(v4);
        self.nodes[node].discovery.handle_interfaces(self.clock, &[interface]);
        self.drain(node);
    }

    pub(super) fn host(&mut self, number: u8) -> usize {
        self.host_with(number, |_| {})
    }

    pub(super) fn host_with(&mut self, number: u8, change: impl Fn(&mut DiscoveryConfig)) -> usize {
        let node = self.node_with(number, change);
        self.nodes[node].publication = Some(publication(number));
        self.publish(node);
        node
    }

    pub(super) fn publish(&mut self, node: usize) {
        let what = self.nodes[node].publication.clone().unwrap();
        self.nodes[node].discovery.publish(self.clock, what);
        self.drain(node);
    }

    pub(super) fn withdraw(&mut self, node: usize, reason: GoodbyeReason) {
        let key = self.key(node);
        self.nodes[node].discovery.withdraw(self.clock, key, reason);
        self.drain(node);
    }

    pub(super) fn kill(&mut self, node: usize) {
        self.nodes[node].alive = false;
    }

    pub(super) fn key(&self, node: usize) -> SessionKey {
        self.nodes[node].publication.as_ref().unwrap().key
    }

    pub(super) fn shared_address(&self, node: usize) -> SocketAddr {
        SocketAddr::new(self.nodes[node].address, PORT)
    }

    pub(super) fn browse(&mut self, node: usize, id: u64, query: SessionQuery) {
        self.nodes[node].discovery.open(self.clock, QueryId(id), query, Mode::Browse);
        self.drain(node);
    }

    pub(super) fn find(&mut self, node: usize, id: u64, query: SessionQuery) {
        self.nodes[node].discovery.open(self.clock, QueryId(id), query, Mode::Find);
        self.drain(node);
    }

    pub(super) fn list(&self, node: usize, id: u64) -> Arc<[Found]> {
        self.nodes[node].lists.get(&id).cloned().unwrap_or_else(|| Arc::from([]))
    }

    pub(super) fn events(&self, node: usize, id: u64) -> Vec<BrowserEvent> {
        self.nodes[node].events.get(&id).cloned().unwrap_or_default()
    }

    pub(super) fn done(&self, node: usize, id: u64) -> Option<Vec<Found>> {
        self.nodes[node].done.get(&id).cloned()
    }

    /// Something that no node sent.
    pub(super) fn inject(&mut self, to: usize, from: &str, shared: bool, bytes: Vec<u8>) {
        let arrival = self.arrival(to, from.parse().unwrap(), shared, bytes);
        self.nodes[to].discovery.handle_arrival(self.clock, &arrival);
        self.drain(to);
    }

    fn arrival(&self, to: usize, from: SocketAddr, shared: bool, bytes: Vec<u8>) -> Arrival {
        let local = self.nodes[to].address;
        Arrival { interface: if self.loopback_only { 1 } else { 2 }, local, from, shared, bytes }
    }

    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.clock + duration;
        self.run_until(duration, |_| false);
        self.clock = end;
    }

    /// Runs until the condition holds; `None` where that did not come in time.
    pub(super) fn run_until(&mut self, duration: Duration, holds: impl Fn(&Self) -> bool) -> Option<()> {
        let end = self.clock + duration;
        for _ in 0..4_000_000_u32 {
            if holds(self) {
                return Some(());
            }
            let wake = |node: &Node| if node.alive { node.discovery.poll_timeout() } else { None };
            let timer = self.nodes.iter().enumerate().filter_map(|(at, node)| wake(node).map(|t| (t, at))).min();
            let message = self.queue.peek().map(|Reverse((at, _, _))| *at);
            let next = timer.map(|(at, _)| at).into_iter().chain(message).min()?;
            if next > end {
                return None;
            }
            self.clock = self.clock.max(next);
            if message.is_some_and(|at| at <= next) {
                if let Some(Reverse((_, _, what))) = self.queue.pop() {
                    self.happen(what);
                }
            } else if let Some((_, node)) = timer {
                for _ in 0..3 {
                    self.nodes[node].discovery.handle_timeout(self.clock);
                }
                let stuck = self.nodes[node].discovery.poll_timeout().is_some_and(|at| at <= self.clock);
                assert!(!stuck, "a timer that does not move: {:?}", self.nodes[node].discovery.timers());
                self.drain(node);
            }
        }
        panic!("too many events");
    }

    fn happen(&mut self, what: What) {
        match what {
            What::Arrive { to, from, local: _, shared, bytes } => {
                if !self.nodes[to].alive {
                    return;
                }
                let arrival = self.arrival(to, from, shared, bytes);
                self.nodes[to].discovery.handle_arrival(self.clock, &arrival);
                self.nodes[to].heard.push(arrival);
                self.drain(to);
            }
            What::Unreachable { to, address } => {
                let via = Via::Interface { index: 2, address: self.nodes[to].address };
                let why = "Connection refused".to_owned();
                let failure = SendFailure { via, to: address, path: PathKind::Unicast, why, unreachable: true };
                self.nodes[to].discovery.handle_send_failure(self.clock, &failure);
                self.drain(to);
            }
        }
    }

    pub(super) fn drain(&mut self, node: usize) {
        while let Some(transmit) = self.nodes[node].discovery.poll_transmit() {
            self.send(node, transmit);
        }
        while let Some(event) = self.nodes[node].discovery.poll_event() {
            let node = &mut self.nodes[node];
            match event {
                DiscoveryEvent::List { query, list, events } => {
                    node.lists.insert(query.0, list);
                    node.events.entry(query.0).or_default().extend(events);
                }
                DiscoveryEvent::Done { query, found } => {
                    node.done.insert(query.0, found);
                }
                DiscoveryEvent::Lan(event) => node.lan_events.push(event),
                DiscoveryEvent::Lost(key) => node.lost.push(key),
                DiscoveryEvent::Ended(key) => node.ended.push(key),
                DiscoveryEvent::Claim(claimant) => node.claims.push(claimant),
                DiscoveryEvent::Moved(key) => node.moved.push(key),
                DiscoveryEvent::Mdns(action) => node.mdns.push(action),
                DiscoveryEvent::Sockets(_) => {}
            }
        }
    }

    fn send(&mut self, node: usize, transmit: Transmit) {
        self.sent += 1;
        for byte in transmit.bytes.iter() {
            self.print = self.print.wrapping_mul(31).wrapping_add(u64::from(*byte));
        }
        let sender = &self.nodes[node];
        let from = SocketAddr::new(sender.address, sender.port);
        if transmit.path != PathKind::Unicast {
            self.casts += 1;
            let prefix = Prefix::peek(&transmit.bytes).unwrap();
            if prefix.known_kind() == Some(Kind::Query) && self.nonces.insert(transmit.bytes[16..24].to_vec()) {
                self.questions += 1;
            }
            if !(self.passes)(transmit.path) {
                return;
            }
            for to in 0..self.nodes.len() {
                if to != node && self.dice.unit() < self.loss {
                    continue;
                }
                let delay = self.delay();
                self.push(
                    delay,
                    What::Arrive { to, from, local: transmit.to.ip(), shared: true, bytes: transmit.bytes.to_vec() },
                );
            }
            return;
        }
        let ip = transmit.to.ip();
        let own_socket = |n: &Node| n.alive && n.address == ip && n.port == transmit.to.port();
        let shared_socket = |n: &Node| n.alive && n.address == ip && transmit.to.port() == PORT;
        let own = self.nodes.iter().position(own_socket);
        let to = own.or_else(|| self.nodes.iter().position(shared_socket));
        let machine = self.nodes.iter().any(|n| n.address == ip);
        let Some(wait) = self.resolve(from.ip(), ip) else { return };
        if self.dice.unit() < self.loss {
            return;
        }
        let delay = wait + self.delay();
        match to {
            Some(to) => {
                let shared = own.is_none();
                self.push(delay, What::Arrive { to, from, local: ip, shared, bytes: transmit.bytes.to_vec() });
            }
            None if machine && self.loopback_only => {
                self.push(delay, What::Unreachable { to: node, address: transmit.to })
            }
            None => {}
        }
    }

    /// ARP: a broadcast and a reply, each may be lost, thrice a second apart; `None` where all three were.
    fn resolve(&mut self, from: IpAddr, to: IpAddr) -> Option<Duration> {
        if from == to || self.arp.contains(&(from, to)) {
            return Some(Duration::ZERO);
        }
        for attempt in 0..3 {
            if self.dice.unit() >= self.loss && self.dice.unit() >= self.loss {
                self.arp.insert((from, to));
                self.arp.insert((to, from));
                return Some(Duration::from_secs(attempt) + self.delay() + self.delay());
            }
        }
        None
    }

    fn delay(&mut self) -> Duration {
        self.dice.between(Duration::from_micros(200), Duration::from_millis(2))
    }

    fn push(&mut self, delay: Duration, what: What) {
        self.order += 1;
        self.queue.push(Reverse((self.clock + delay, self.order, what)));
    }
}
