//! The wire in memory: links and datagrams between a few engines, one clock, and who hears what.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::input::Input;
use super::mischief::Guest;
use super::node::{BEACON_PORT, Node};
use crate::proto::clock::Moment;
use crate::proto::io::{Action, Arrival, Closed, LinkEvent, LinkId, MdnsAction, MdnsEvent, SendFailure, Transmit};
use crate::proto::machine::Machine;
use crate::types::{HostKey, PublicKey, SessionKey};
use crate::wire::frame::{HEADER, header};
use crate::wire::hash;

pub(super) const NODES: usize = 3;
const TRIP: Duration = Duration::from_millis(1);
/// The most that happens in one operation; an input that brings more about is slow, not wrong.
const STEPS: usize = 4_000;
/// Frames and datagrams remembered, to be said again.
const HEARD: usize = 24;

/// One end of a link: the engine and its name for it.
pub(super) type End = (usize, LinkId);

/// Where the other end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Far {
    Engine(End),
    /// The input speaks there.
    Input,
}

/// What others resolve by mDNS.
pub(super) struct Instance {
    pub(super) host: usize,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) txt: Vec<(String, String)>,
}

enum Event {
    Link(LinkEvent),
    Datagram(Arrival),
    Failure(SendFailure),
    Interfaces,
    Listening(SessionKey, Result<u16, String>),
    Derived(u64, Result<[u8; 32], String>),
    Mdns(MdnsEvent),
}

pub(super) struct Net {
    pub(super) now: Moment,
    pub(super) nodes: Vec<Node>,
    queue: BTreeMap<(Moment, u64), (usize, Event)>,
    sequence: u64,
    pub(super) ends: BTreeMap<End, Far>,
    /// What leaves first arrives first.
    last: BTreeMap<End, Moment>,
    pub(super) listeners: BTreeMap<SocketAddr, (usize, SessionKey, PublicKey)>,
    next_port: u16,
    bindings: u64,
    /// Without their headers: kind, whether more follows, payload.
    pub(super) frames: VecDeque<(u8, bool, Vec<u8>)>,
    pub(super) datagrams: VecDeque<Vec<u8>>,
    /// Registered by mDNS.
    pub(super) instances: BTreeMap<SessionKey, Instance>,
    pub(super) guests: Vec<Guest>,
}

impl Net {
    /// Three processes; the first hosts as the input says, and so many of the others join.
    pub(super) fn new(input: &mut Input<'_>, joined: usize) -> Self {
        let now = Moment::ZERO + Duration::from_secs(1);
        let mut net = Self {
            now,
            nodes: (0..NODES).map(|at| Node::new(at, now)).collect(),
            queue: BTreeMap::new(),
            sequence: 0,
            ends: BTreeMap::new(),
            last: BTreeMap::new(),
            listeners: BTreeMap::new(),
            next_port: 40_000,
            bindings: 0,
            frames: VecDeque::new(),
            datagrams: VecDeque::new(),
            instances: BTreeMap::new(),
            guests: Vec::new(),
        };
        net.host(0, input);
        net.run(TRIP * 5);
        for at in 1..=joined {
            net.join_first(at);
        }
        if joined > 0 {
            net.run(Duration::from_millis(300));
        }
        net.check();
        net
    }

    // ------------------------------------------------------------------------------------------------------- time

    fn post(&mut self, at: Moment, node: usize, event: Event) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), (node, event));
    }

    pub(super) fn post_link(&mut self, after: Duration, node: usize, event: LinkEvent) {
        self.post(self.now + after, node, Event::Link(event));
    }

    pub(super) fn post_datagram(&mut self, node: usize, arrival: Arrival) {
        self.post(self.now + TRIP, node, Event::Datagram(arrival));
    }

    pub(super) fn post_failure(&mut self, node: usize, failure: SendFailure) {
        self.post(self.now + TRIP, node, Event::Failure(failure));
    }

    pub(super) fn post_mdns(&mut self, node: usize, event: MdnsEvent) {
        self.post(self.now + TRIP, node, Event::Mdns(event));
    }

    pub(super) fn look_at_interfaces(&mut self, node: usize) {
        self.post(self.now, node, Event::Interfaces);
    }

    /// Lets an engine handle something, and takes what it has to say.
    pub(super) fn with(&mut self, at: usize, handle: impl FnOnce(&mut dyn Machine, Moment)) {
        let Some(node) = self.nodes.get_mut(at).filter(|node| !node.stopped) else { return };
        let age = node.age(self.now);
        node.touched();
        handle(&mut node.engine, age);
        self.drain(at);
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..STEPS {
            let event = self.queue.keys().next().copied();
            let now = self.now;
            let alive = self.nodes.iter_mut().filter(|node| !node.stopped);
            let timer = alive.filter_map(|node| node.due(now).map(|due| (due, node.at))).min();
            let first = [event.map(|(at, _)| at), timer.map(|(at, _)| at)].into_iter().flatten().min();
            let Some(first) = first.filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = first.max(self.now);
            if let Some(key) = event.filter(|(at, _)| *at <= first) {
                if let Some((node, event)) = self.queue.remove(&key) {
                    self.happen(node, event);
                }
            } else if let Some((_, at)) = timer {
                let now = self.now;
                if let Some(node) = self.nodes.get_mut(at) {
                    node.count_wake(now);
                }
                self.with(at, |engine, now| engine.handle_timeout(now));
            }
        }
    }

    fn happen(&mut self, at: usize, event: Event) {
        let Some(node) = self.nodes.get(at) else { return };
        let hears = node.sockets && !node.dark;
        let interfaces = node.interfaces();
        match event {
            Event::Link(event) => {
                if let LinkEvent::Closed { link, .. } = event {
                    self.ends.remove(&(at, link));
                }
                self.with(at, |engine, now| engine.handle_link(now, event));
            }
            Event::Datagram(arrival) if hears => self.with(at, |engine, now| engine.handle_arrival(now, arrival)),
            Event::Datagram(_) => {}
            Event::Failure(failure) => self.with(at, |engine, now| engine.handle_send_failure(now, failure)),
            Event::Interfaces if node.sockets => {
                self.with(at, |engine, now| engine.handle_interfaces(now, interfaces));
            }
            Event::Interfaces => {}
            Event::Listening(session, port) => {
                self.with(at, |engine, now| engine.handle_listening(now, session, port));
            }
            Event::Derived(id, key) => self.with(at, |engine, now| engine.handle_derived(now, id, key)),
            Event::Mdns(event) => self.with(at, |engine, now| engine.handle_mdns(now, event)),
        }
    }

    fn drain(&mut self, at: usize) {
        let (mut transmits, mut actions) = (Vec::new(), Vec::new());
        if let Some(node) = self.nodes.get_mut(at) {
            while let Some(transmit) = node.engine.poll_transmit() {
                transmits.push(transmit);
            }
            while let Some(action) = node.engine.poll_action() {
                actions.push(action);
            }
            while let Some(output) = node.engine.poll_output() {
                node.watch.output(output);
            }
        }
        for transmit in transmits {
            self.transmit(at, &transmit);
        }
        for action in actions {
            self.act(at, action);
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        let Some(node) = self.nodes.get_mut(at) else { return };
        let (ip, poor) = (node.ip(), node.poor);
        match action {
            Action::Sockets { open } => {
                node.sockets = open;
                self.look_at_interfaces(at);
            }
            Action::Listen { session, key, port } => {
                let port = if port == 0 { self.next_port } else { port };
                self.next_port = self.next_port.checked_add(1).unwrap_or(40_000);
                let result = if poor { Err("no descriptor is left".to_owned()) } else { Ok(port) };
                if !poor {
                    self.listeners.insert(SocketAddr::new(ip, port), (at, session, key.public()));
                }
                self.post(self.now, at, Event::Listening(session, result));
            }
            Action::Unlisten { session } => self.listeners.retain(|_, (host, key, _)| *host != at || *key != session),
            Action::Dial { link, to, expect, identity } => self.dial((at, link), to, expect, identity.public()),
            Action::Send { link, bytes } => self.send((at, link), &bytes),
            Action::Close { link, .. } => self.close((at, link)),
            Action::Derive { id, password, salt, rounds } => {
                let key = if poor {
                    Err("no thread is left".to_owned())
                } else {
                    Ok(hash::password_key(password.as_bytes(), &salt, rounds))
                };
                self.post(self.now + TRIP, at, Event::Derived(id, key));
            }
            Action::Mdns(MdnsAction::Register { session, port, txt }) => {
                let addresses = vec![SocketAddr::new(ip, port)];
                self.instances.insert(session, Instance { host: at, addresses, txt });
                self.post(self.now + TRIP, at, Event::Mdns(MdnsEvent::Registered { session }));
            }
            Action::Mdns(MdnsAction::Unregister { session }) => drop(self.instances.remove(&session)),
            Action::Mdns(MdnsAction::Browse | MdnsAction::StopBrowse) => {}
            Action::Stop => {
                assert!(!node.stopped, "stopped twice");
                node.stopped = true;
            }
        }
    }

    // -------------------------------------------------------------------------------------------------- datagrams

    fn transmit(&mut self, at: usize, transmit: &Transmit) {
        assert!(transmit.bytes.len() <= 1_472, "a datagram of {} bytes", transmit.bytes.len());
        let Some(node) = self.nodes.get(at) else { return };
        let (from, open) = (node.address(), node.plugged && !node.dark);
        remember(&mut self.datagrams, transmit.bytes.to_vec());
        if !open {
            return;
        }
        let to_all = match transmit.to.ip() {
            IpAddr::V4(v4) => v4.is_multicast() || v4.octets().last() == Some(&255),
            IpAddr::V6(v6) => v6.is_multicast(),
        };
        for other in (0..self.nodes.len()).filter(|other| *other != at) {
            let Some(node) = self.nodes.get(other) else { continue };
            if node.plugged && (to_all || node.ip() == transmit.to.ip()) {
                let shared = to_all || transmit.to.port() == BEACON_PORT;
                let arrival = Arrival { interface: 2, local: node.ip(), from, shared, bytes: transmit.bytes.to_vec() };
                self.post_datagram(other, arrival);
            }
        }
    }

    // ------------------------------------------------------------------------------------------------------ links

    fn lost(&self, a: usize, b: usize) -> bool {
        [a, b].into_iter().any(|at| self.nodes.get(at).is_none_or(|node| node.dark || !node.plugged))
    }

    /// When something that leaves now comes to this end.
    fn arrival(&mut self, to: End) -> Moment {
        let at = self.now + TRIP;
        let last = self.last.entry(to).or_default();
        *last = at.max(*last);
        *last
    }

    pub(super) fn binding(&mut self) -> [u8; 32] {
        self.bindings += 1;
        let mut binding = [0; 32];
        for (to, from) in binding.iter_mut().zip(self.bindings.to_be_bytes()) {
            *to = from;
        }
        binding
    }

    /// An end for a connection that comes to a listener.
    pub(super) fn incoming(&mut self, host: usize) -> LinkId {
        let Some(node) = self.nodes.get_mut(host) else { return LinkId(1) };
        let link = LinkId(node.next_incoming);
        node.next_incoming += 2;
        link
    }

    fn dial(&mut self, from: End, to: SocketAddr, expect: Option<HostKey>, peer: PublicKey) {
        let closed = |why| LinkEvent::Closed { link: from.1, why };
        let target = self.nodes.iter().position(|node| node.ip() == to.ip());
        if target.is_none_or(|target| self.lost(from.0, target)) {
            self.post_link(3_000 * TRIP, from.0, closed(Closed::Unreachable));
            return;
        }
        let Some(&(host, session, key)) = self.listeners.get(&to) else {
            self.post_link(2 * TRIP, from.0, closed(Closed::Refused));
            return;
        };
        let incoming = self.incoming(host);
        let port = 45_000 + u16::try_from(from.1.0 % 10_000).unwrap_or_default();
        let remote = SocketAddr::new(super::node::ip(from.0), port);
        self.post_link(TRIP, host, LinkEvent::Incoming { link: incoming, session, remote });
        self.post_link(3 * TRIP, host, LinkEvent::HelloBegun { link: incoming });
        if expect.is_some_and(|expect| expect.public_key() != key) {
            self.post_link(4 * TRIP, from.0, closed(Closed::WrongKey));
            self.post_link(5 * TRIP, host, LinkEvent::Closed { link: incoming, why: Closed::Handshake });
            return;
        }
        self.ends.insert(from, Far::Engine((host, incoming)));
        self.ends.insert((host, incoming), Far::Engine(from));
        let binding = self.binding();
        let open = |link, peer, local, remote| LinkEvent::Open { link, peer, binding, local, remote, fallback: false };
        self.post_link(4 * TRIP, from.0, open(from.1, key, remote, to));
        self.post_link(5 * TRIP, host, open(incoming, peer, to, remote));
        self.last.insert(from, self.now + 4 * TRIP);
        self.last.insert((host, incoming), self.now + 5 * TRIP);
    }

    fn send(&mut self, from: End, bytes: &[u8]) {
        let Some((head, payload)) = bytes.split_first_chunk::<HEADER>() else { panic!("a frame without a header") };
        let (length, kind, more) = header(*head);
        assert_eq!(length, payload.len(), "a frame says its length");
        remember(&mut self.frames, (kind, more, payload.to_vec()));
        let Some(&far) = self.ends.get(&from) else { return };
        let written = LinkEvent::Written { link: from.1, bytes: bytes.len() };
        match far {
            Far::Input => self.post_link(TRIP, from.0, written),
            Far::Engine(to) if !self.lost(from.0, to.0) => {
                self.post_link(TRIP, from.0, written);
                let at = self.arrival(to);
                let event = LinkEvent::Frame { link: to.1, kind, more, payload: payload.to_vec() };
                self.post(at, to.0, Event::Link(event));
            }
            Far::Engine(_) => {}
        }
    }

    /// This end is closed; the other one hears of it, where it can.
    pub(super) fn close(&mut self, from: End) {
        let Some(far) = self.ends.remove(&from) else { return };
        let Far::Engine(to) = far else { return };
        if !self.lost(from.0, to.0) && self.ends.remove(&to).is_some() {
            let at = self.arrival(to);
            self.post(at, to.0, Event::Link(LinkEvent::Closed { link: to.1, why: Closed::ByPeer }));
        }
    }

    /// Both ends break.
    pub(super) fn cut(&mut self, end: End) {
        for (at, link) in [Some(end), self.ends.get(&end).and_then(|far| far.engine())].into_iter().flatten() {
            if self.ends.remove(&(at, link)).is_some() {
                self.post_link(Duration::ZERO, at, LinkEvent::Closed { link, why: Closed::Broken });
            }
        }
    }

    /// The process is killed: its system closes what it had. It starts again at once.
    pub(super) fn restart(&mut self, at: usize) {
        self.listeners.retain(|_, (host, ..)| *host != at);
        self.instances.retain(|_, instance| instance.host != at);
        for end in self.ends_of(at) {
            self.close(end);
        }
        self.queue.retain(|_, (node, _)| *node != at);
        let now = self.now;
        if let Some(node) = self.nodes.get_mut(at) {
            node.restart(now);
        }
        self.drain(at);
    }

    pub(super) fn ends_of(&self, at: usize) -> Vec<End> {
        self.ends.keys().filter(|(node, _)| *node == at).copied().collect()
    }

    // ----------------------------------------------------------------------------------------------------- checks

    /// What must hold between any two steps.
    pub(super) fn check(&mut self) {
        let now = self.now;
        for at in 0..self.nodes.len() {
            // What is due now is done first.
            if self.nodes.get_mut(at).is_some_and(|node| !node.stopped && node.engine.poll_timeout().is_some()) {
                self.with(at, |engine, now| engine.handle_timeout(now));
            }
            if let Some(node) = self.nodes.get(at).filter(|node| !node.stopped) {
                node.engine.check_invariants(node.age(now));
            }
        }
    }

    pub(super) fn check_closed(&self) {
        for node in &self.nodes {
            node.watch.check_closed();
            assert!(node.stopped, "engine {} does not stop", node.at);
        }
        assert!(self.listeners.is_empty(), "listeners of nobody: {:?}", self.listeners.keys());
    }
}

impl Far {
    fn engine(self) -> Option<End> {
        match self {
            Self::Engine(end) => Some(end),
            Self::Input => None,
        }
    }
}

fn remember<T>(heard: &mut VecDeque<T>, what: T) {
    if heard.len() >= HEARD {
        heard.pop_front();
    }
    heard.push_back(what);
}
