//! Datagrams: who hears a broadcast, a multicast, a unicast, and what the operating system says where nobody can.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::fault::{Passage, between};
use super::topology::scoped;
use super::world::{What, World};
use crate::proto::clock::Moment;
use crate::proto::io::{Arrival, SendFailure, Transmit, Via};
use crate::types::PathKind;
use crate::wire::datagram::PROBE_SIZE;

/// Datagrams of 300 bytes that a default socket buffer holds on Linux, and how fast a process empties it.
pub(super) const BUFFER: usize = 166;
const BUFFER_DRAIN: f64 = 20_000.0;
/// A large datagram takes more of the buffer: 92 of 1,200 bytes fill it.
const LARGE: usize = 600;
const LARGE_WEIGHT: f64 = 166.0 / 92.0;
/// Between processes of one machine.
const LOCAL: (Duration, Duration) = (Duration::from_micros(10), Duration::from_micros(50));
/// Linux asks three times, a second apart.
const ARP_TRIES: u32 = 3;
const ARP_RETRY: Duration = Duration::from_secs(1);

/// How the network is where nothing is wrong with it.
#[derive(Debug, Clone)]
pub(crate) struct Conditions {
    /// One way, between two machines.
    pub(crate) delay: (Duration, Duration),
    /// The first unicast between two machines needs a broadcast and a reply, which can be lost.
    pub(crate) cold_arp: bool,
    /// Socket buffers are finite.
    pub(crate) socket_buffer: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        let delay = (Duration::from_micros(200), Duration::from_millis(2));
        Self { delay, cold_arp: false, socket_buffer: false }
    }
}

/// When a machine knows (or knew) another's hardware address.
#[derive(Debug, Clone, Copy)]
pub(super) enum ArpState {
    Known(Moment),
    /// Nobody answered; asked again after that.
    Failed(Moment),
}

impl World {
    /// How long something takes from one node to another, and in how many copies; `None` where it is lost.
    pub(super) fn pass(
        &mut self,
        from: usize,
        to: usize,
        segment: usize,
        path: Option<PathKind>,
        bytes: &[u8],
    ) -> Option<(Duration, usize)> {
        if from == to {
            return Some((between(&mut self.rng, LOCAL.0, LOCAL.1), 1));
        }
        let Self { faults, rng, topology, now, conditions, .. } = self;
        let Passage { extra, copies } = faults.judge(rng, topology, *now, (from, to), segment, path, bytes)?;
        Some((between(rng, conditions.delay.0, conditions.delay.1) + extra, copies))
    }

    /// When a unicast can leave: now, or once the other's hardware address is known.
    pub(super) fn resolve(
        &mut self,
        from: usize,
        source: IpAddr,
        to: usize,
        target: IpAddr,
        segment: usize,
    ) -> Option<Moment> {
        if !self.conditions.cold_arp || from == to {
            return Some(self.now);
        }
        match self.arp.get(&(from, target)) {
            Some(ArpState::Known(at)) => return Some(self.now.max(*at)),
            Some(ArpState::Failed(until)) if self.now < *until => return None,
            _ => {}
        }
        for attempt in 0..ARP_TRIES {
            let asked = self.now + ARP_RETRY * attempt;
            let Some((there, _)) = self.pass(from, to, segment, None, &[]) else { continue };
            // Who is asked learns the asker's address from the question.
            self.arp.entry((to, source)).or_insert(ArpState::Known(asked + there));
            let Some((back, _)) = self.pass(to, from, segment, None, &[]) else { continue };
            let known = asked + there + back;
            self.arp.insert((from, target), ArpState::Known(known));
            return Some(known);
        }
        self.arp.insert((from, target), ArpState::Failed(self.now + ARP_RETRY * ARP_TRIES));
        None
    }

    /// Sends now, later or never, as the process's own simulated fault has it.
    pub(super) fn pass_on(&mut self, process: usize, transmit: Transmit) {
        let Some(own) = self.processes.get_mut(process) else { return };
        let Some(judge) = &mut own.disturbance else { return self.transmit(process, transmit) };
        match judge.datagram() {
            Some(Duration::ZERO) => self.transmit(process, transmit),
            Some(late) => self.schedule(late, What::Leaves(process, Box::new(transmit))),
            None => self.transcript.note(self.now, process, "loses", transmit.to.to_string(), &transmit.bytes),
        }
    }

    pub(super) fn transmit(&mut self, process: usize, transmit: Transmit) {
        let Some(own) = self.processes.get(process).filter(|own| own.alive) else { return };
        let Some(host) = self.topology.nodes.get(own.node) else { return };
        let Transmit { via, to, path, bytes } = transmit;
        let node = own.node;
        // Which interface, from which address and port.
        let leaving = match via {
            Via::Interface { index, address } => {
                let socket = own.sockets.iter().find(|s| s.index == index && s.address == address);
                let attachment = host.at(index).filter(|attachment| attachment.has(address));
                socket.zip(attachment).map(|(socket, attachment)| (attachment.clone(), address, socket.port))
            }
            Via::Routed if !own.sockets_open => None,
            Via::Routed => host.route(to).and_then(|(at, address)| {
                host.attachments.get(at).map(|attachment| (attachment.clone(), address, own.routed_port))
            }),
        };
        let Some((attachment, source, port)) = leaving else {
            return self.refuse(process, via, to, path, "network is unreachable");
        };
        if source.is_ipv4() != to.is_ipv4() {
            return self.refuse(process, via, to, path, "address family not supported");
        }
        self.traffic.datagrams += 1;
        self.traffic.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        *self.traffic.by_path.entry(path).or_insert(0) += 1;
        match self.traffic.by_node.get_mut(&host.name) {
            Some(count) => *count += 1,
            None => drop(self.traffic.by_node.insert(host.name.clone(), 1)),
        }
        self.transcript.note(self.now, process, "sends", to.to_string(), &bytes);
        let target = to.ip();
        let limited = target == IpAddr::V4(Ipv4Addr::BROADCAST);
        let directed = matches!(target, IpAddr::V4(v4) if attachment.broadcasts().any(|own| own == v4));
        if limited || directed || target.is_multicast() {
            let loopback = attachment.is_loopback();
            let tunnel = attachment.nic.point_to_point && !target.is_multicast();
            if tunnel || (loopback && (limited || target.is_ipv6())) {
                return self.refuse(process, via, to, path, "network is unreachable");
            }
            return self.broadcast(node, attachment.segment, source, port, to, path, &bytes);
        }
        self.unicast(process, node, attachment.segment, (via, source, port), to, path, &bytes);
    }

    fn refuse(&mut self, process: usize, via: Via, to: SocketAddr, path: PathKind, why: &str) {
        let failure = SendFailure { via, to, path, why: why.to_owned(), unreachable: false };
        self.schedule(Duration::ZERO, What::Failure(process, Box::new(failure)));
    }

    /// A broadcast or multicast: every process on the segment that has the port open hears it, the sender too.
    #[allow(clippy::too_many_arguments)] // one datagram, spelled by its parts
    fn broadcast(
        &mut self,
        node: usize,
        segment: usize,
        source: IpAddr,
        port: u16,
        to: SocketAddr,
        path: PathKind,
        bytes: &Arc<[u8]>,
    ) {
        let members: Vec<(usize, usize)> = self.topology.members(segment).to_vec();
        let target = to.ip();
        for (receiver, at) in members {
            let Some(host) = self.topology.nodes.get(receiver) else { continue };
            let Some(attachment) = host.attachments.get(at) else { continue };
            let takes = match target {
                IpAddr::V4(v4) if !v4.is_multicast() && v4 != Ipv4Addr::BROADCAST => {
                    attachment.broadcasts().any(|own| own == v4)
                }
                _ => attachment.has_family_of(target),
            };
            let index = attachment.index;
            let listening = host.processes.iter().copied().filter(|&process| {
                self.processes
                    .get(process)
                    .is_some_and(|own| own.alive && own.sockets_open && own.beacon_port == to.port())
            });
            let listening: Vec<usize> = listening.collect();
            if !takes || listening.is_empty() {
                continue;
            }
            // One wire to each machine: its processes hear it together or not at all.
            let Some((delay, copies)) = self.pass(node, receiver, segment, Some(path), bytes) else { continue };
            for _ in 0..copies {
                for &process in &listening {
                    let from = scoped(source, port, index);
                    self.arrive(process, self.now + delay, index, target, from, true, bytes);
                }
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // one datagram, spelled by its parts
    fn unicast(
        &mut self,
        process: usize,
        node: usize,
        segment: usize,
        (via, source, port): (Via, IpAddr, u16),
        to: SocketAddr,
        path: PathKind,
        bytes: &Arc<[u8]>,
    ) {
        let target = to.ip();
        // An address nobody has: silence, as on a LAN until the neighbour table gives up.
        let Some(way) = self.topology.way(node, segment, target, via == Via::Routed) else { return };
        let Some(leaves) = self.resolve(node, source, way.node, target, segment) else { return };
        let Some((delay, copies)) = self.pass(node, way.node, segment, Some(path), bytes) else { return };
        let at = leaves + delay;
        let Some(host) = self.topology.nodes.get(way.node) else { return };
        let alive = |&&other: &&usize| self.processes.get(other).is_some_and(|own| own.alive && own.sockets_open);
        let open: Vec<usize> = host.processes.iter().filter(alive).copied().collect();
        let owner = open.iter().copied().find(|&other| {
            self.processes.get(other).is_some_and(|own| {
                own.routed_port == to.port() || own.sockets.iter().any(|s| s.address == target && s.port == to.port())
            })
        });
        let sharing: Vec<usize> = open
            .into_iter()
            .filter(|&other| self.processes.get(other).is_some_and(|own| own.beacon_port == to.port()))
            .collect();
        // Linux gives it to one of the sockets that share the port, by a hash of the two ends.
        let pick = usize::from(port).checked_rem(sharing.len()).and_then(|at| sharing.get(at)).copied();
        let from = scoped(source, port, way.index);
        match owner.map(|owner| (owner, false)).or(pick.map(|one| (one, true))) {
            Some((receiver, shared)) => {
                for _ in 0..copies {
                    self.arrive(receiver, at, way.index, target, from, shared, bytes);
                }
            }
            // Only probes go by a connected socket, and only that one is told when nobody listens.
            None if bytes.len() != PROBE_SIZE => {}
            None => {
                let Some((back, _)) = self.pass(way.node, node, segment, None, &[]) else { return };
                let why = "connection refused".to_owned();
                let failure = SendFailure { via, to, path, why, unreachable: true };
                self.schedule_at(at + back, What::Failure(process, Box::new(failure)));
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // one datagram, spelled by its parts
    fn arrive(
        &mut self,
        process: usize,
        at: Moment,
        interface: u32,
        local: IpAddr,
        from: SocketAddr,
        shared: bool,
        bytes: &Arc<[u8]>,
    ) {
        let arrival = Box::new(Arrival { interface, local, from, shared, bytes: bytes.to_vec() });
        let what = if self.conditions.socket_buffer { What::Buffer } else { What::Datagram };
        self.schedule_at(at, what(process, arrival));
    }

    /// A datagram comes to a socket's buffer: it is read when those before it were, or lost where the buffer is full.
    pub(super) fn buffer(&mut self, process: usize, arrival: Box<Arrival>) {
        let now = self.now;
        let Some(own) = self.processes.get_mut(process) else { return };
        let (fill, since) = own.backlog;
        let left = (fill - now.since(since).as_secs_f64() * BUFFER_DRAIN).max(0.0);
        let weight = if arrival.bytes.len() > LARGE { LARGE_WEIGHT } else { 1.0 };
        #[allow(clippy::cast_precision_loss)] // 166
        if left + weight > BUFFER as f64 {
            return;
        }
        own.backlog = (left + weight, now);
        self.schedule(Duration::from_secs_f64(left / BUFFER_DRAIN), What::Datagram(process, arrival));
    }
}
