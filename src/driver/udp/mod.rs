//! All UDP sockets: one per interface address, the shared beacon port, routed ones, probes.
//!
//! A socket bound to an interface's address hears unicast only, so answers to this process reach this process even where
//! ten share the beacon port. A socket that fails is opened again with a growing pause and takes nothing down with it.

mod socket;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use self::socket::{BUFFER, Open, Place};
use super::quiet::Quiet;
use crate::proto::io::{Arrival, Interface, SendFailure, Transmit, Via};
use crate::types::PathKind;
use crate::wire::datagram::PROBE_SIZE;

/// Connected probe sockets; the least recently used makes room.
const PROBES: usize = 64;
/// A probe is answered or repeated much sooner.
const PROBE_IDLE: Duration = Duration::from_secs(10);
/// Unicast askers of the beacon port remembered; an older one is answered by another socket.
const ASKERS: usize = 64;
/// Reads that fail in a row before a socket counts as dead.
const READ_ERRORS: u8 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Below the five seconds within which discovery is to be back after a fault.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Ports and groups.
#[derive(Debug, Clone)]
pub(super) struct Ports {
    pub(super) beacon: u16,
    pub(super) unicast: u16,
    pub(super) group_v4: Ipv4Addr,
    pub(super) group_v6: Ipv6Addr,
}

/// One socket that is to be open, and the one that is.
#[derive(Debug)]
struct Slot {
    place: Place,
    open: Option<Open>,
    /// Why it is not open, in the system's words.
    why: String,
    /// Its address is still on its way: IPv6 looks for a second whether somebody else has it.
    passing: bool,
    /// What it was bound to last; 0 before it ever was.
    port: u16,
    retry: Instant,
    pause: Duration,
    errors: u8,
}

#[derive(Debug)]
struct Probe {
    via: Via,
    to: SocketAddr,
    open: Open,
    used: Instant,
}

#[derive(Debug)]
pub(super) struct Udp {
    ports: Ports,
    /// Datagrams at the beacon port count only from the interfaces listed.
    restricted: bool,
    interfaces: Vec<Interface>,
    slots: Vec<Slot>,
    /// What the sockets of interfaces are to be bound to: what the first of them got.
    port: u16,
    probes: Vec<Probe>,
    /// Who asked the beacon port by unicast lately: their answers leave by it, or a firewall on their side drops them.
    askers: VecDeque<SocketAddr>,
    buffer: Box<[u8]>,
    /// The slot to read first, so that a flood on one starves no other.
    first: usize,
    dropped: u64,
    quiet: Quiet,
}

impl Udp {
    pub(super) fn new(ports: Ports, restricted: bool) -> Self {
        Self {
            port: ports.unicast,
            ports,
            restricted,
            interfaces: Vec::new(),
            slots: Vec::new(),
            probes: Vec::new(),
            askers: VecDeque::new(),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            first: 0,
            dropped: 0,
            quiet: Quiet::default(),
        }
    }

    /// Opens what is missing for these interfaces, closes what is left over, and keeps the rest.
    pub(super) fn update(&mut self, interfaces: Vec<Interface>) {
        let gone: Vec<_> = self.interfaces.iter().filter(|old| !interfaces.contains(old)).cloned().collect();
        self.interfaces = interfaces;
        let mut wanted: Vec<Place> = self.interfaces.iter().cloned().map(Place::Interface).collect();
        for v6 in [false, true] {
            if self.interfaces.iter().any(|interface| interface.address.is_ipv6() == v6) {
                wanted.push(Place::Shared { v6 });
            }
        }
        self.slots.retain(|slot| matches!(slot.place, Place::Routed { .. }) || wanted.contains(&slot.place));
        self.probes.retain(|probe| match probe.via {
            Via::Interface { address, .. } => !gone.iter().any(|interface| interface.address == address),
            Via::Routed => true,
        });
        for place in wanted {
            if !self.slots.iter().any(|slot| slot.place == place) {
                self.add(place);
            }
        }
        for slot in &self.slots {
            let (Some(open), Place::Shared { v6 }) = (&slot.open, &slot.place) else { continue };
            for interface in gone.iter().filter(|interface| interface.address.is_ipv6() == *v6) {
                open.leave(interface, &self.ports);
            }
            join(open, *v6, &self.interfaces, &self.ports);
        }
    }

    pub(super) fn close(&mut self) {
        self.interfaces.clear();
        self.slots.clear();
        self.probes.clear();
        self.askers.clear();
    }

    /// The interfaces with what became of their sockets.
    pub(super) fn interfaces(&self) -> Vec<Interface> {
        let slot = |place: &Place| self.slots.iter().find(|slot| slot.place == *place);
        let closed = |v6| slot(&Place::Shared { v6 }).filter(|slot| slot.open.is_none());
        let told = |interface: &Interface| Interface {
            port: slot(&Place::Interface(interface.clone())).map_or(0, |slot| slot.port),
            deaf: closed(interface.address.is_ipv6()).map(|slot| slot.why.clone()),
            ..interface.clone()
        };
        self.interfaces.iter().map(told).collect()
    }

    /// Opens again what failed and whose pause is over; closes probes that are not used any more.
    pub(super) fn maintain(&mut self) {
        let now = Instant::now();
        self.probes.retain(|probe| now.duration_since(probe.used) < PROBE_IDLE);
        let due = |slot: &Slot| slot.open.is_none() && slot.retry <= now;
        for at in 0..self.slots.len() {
            if self.slots.get(at).is_some_and(due) {
                self.open(at);
            }
        }
    }

    fn open(&mut self, at: usize) {
        let first = self.slots.iter().all(|slot| slot.port == 0);
        let Some(slot) = self.slots.get_mut(at) else { return };
        slot.try_open(&self.ports, self.port, &self.interfaces, &mut self.quiet);
        if first && slot.port != 0 {
            self.port = slot.port;
        }
    }

    /// Whether something waits to be opened again.
    pub(super) fn is_broken(&self) -> bool {
        self.slots.iter().any(|slot| slot.open.is_none())
    }

    pub(super) fn send(&mut self, transmit: &Transmit) -> Result<(), SendFailure> {
        // Probes go out by a connected socket, which is told when nobody listens at the other end any more. Nothing else of
        // ours has just this size and a single receiver, and if it had, it would only go out by a port of its own. One to
        // the beacon port is answered from another port, which a connected socket would not hear.
        let answered_from_there = transmit.to.port() != self.ports.beacon;
        let probe = transmit.path == PathKind::Unicast && transmit.bytes.len() == PROBE_SIZE;
        let result = if probe && answered_from_there { self.send_probe(transmit) } else { self.send_plain(transmit) };
        let Err(error) = result else { return Ok(()) };
        let cause = match error.kind() {
            // The queue is full: lost like any datagram, the engine repeats what matters.
            io::ErrorKind::WouldBlock => {
                self.dropped += 1;
                tracing::debug!(target: "lansession::discovery", dropped = self.dropped, "send queue full");
                return Ok(());
            }
            io::ErrorKind::PermissionDenied => "a datagram was not permitted",
            io::ErrorKind::NetworkUnreachable => "a network is unreachable",
            io::ErrorKind::HostUnreachable => "a host is unreachable",
            io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => "",
            _ => "a datagram could not be sent",
        };
        if !cause.is_empty() {
            if let Some(held) = self.quiet.may_warn(cause) {
                tracing::warn!(target: "lansession::discovery", %error, to = %transmit.to, held, "{cause}");
            }
        }
        Err(failure(transmit.via, transmit.to, transmit.path, &error))
    }

    /// Reads at most `budget` datagrams, round the sockets. What a probe's socket reports goes to `failures`.
    /// Returns whether more may wait.
    pub(super) fn receive(
        &mut self,
        cx: &mut Context<'_>,
        budget: usize,
        arrivals: &mut Vec<Arrival>,
        failures: &mut Vec<SendFailure>,
    ) -> bool {
        let mut left = budget;
        // Half for the probes' answers: few, and each was asked for.
        self.receive_probes(cx, &mut left, arrivals, failures);
        let count = self.slots.len();
        // Each slot at most its share before the others had theirs; a second round takes what is left.
        let share = (left / count.max(1)).max(4);
        for offset in 0..count * 2 {
            let index = (self.first + offset) % count;
            let Some(slot) = self.slots.get_mut(index) else { break };
            for _ in 0..share {
                if left == 0 {
                    self.first = (index + 1) % count;
                    return true;
                }
                let Some(open) = &slot.open else { break };
                match open.poll_read(cx, &mut self.buffer) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(arrival)) => {
                        left -= 1;
                        slot.errors = 0;
                        let known = |arrival: &Arrival| {
                            !self.restricted
                                || !arrival.shared
                                || self.interfaces.iter().any(|interface| interface.index == arrival.interface)
                        };
                        let arrival = arrival.filter(known);
                        if let Some(arrival) = arrival.as_ref().filter(|arrival| arrival.shared) {
                            note_asker(&mut self.askers, &self.interfaces, arrival);
                        }
                        arrivals.extend(arrival);
                    }
                    Poll::Ready(Err(error)) => {
                        left -= 1;
                        slot.read_failed(&error);
                    }
                }
            }
        }
        // The last reads may have ended at a share and not at an empty queue.
        left < budget
    }

    fn receive_probes(
        &mut self,
        cx: &mut Context<'_>,
        left: &mut usize,
        arrivals: &mut Vec<Arrival>,
        failures: &mut Vec<SendFailure>,
    ) {
        let reserve = *left / 2;
        let mut dead = Vec::new();
        for (index, probe) in self.probes.iter_mut().enumerate() {
            if let Poll::Ready(error) = probe.open.poll_error(cx) {
                *left = left.saturating_sub(1);
                failures.push(failure(probe.via, probe.to, PathKind::Unicast, &error));
            }
            // An answer, an error, and then nothing: a peer that floods waits for the next turn.
            for _ in 0..4 {
                if *left <= reserve {
                    break;
                }
                match probe.open.poll_read(cx, &mut self.buffer) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(arrival)) => {
                        *left -= 1;
                        arrivals.extend(arrival);
                    }
                    Poll::Ready(Err(error)) => {
                        *left -= 1;
                        if is_unreachable(&error) {
                            failures.push(failure(probe.via, probe.to, PathKind::Unicast, &error));
                        } else {
                            dead.push(index);
                            break;
                        }
                    }
                }
            }
        }
        for index in dead.into_iter().rev() {
            self.probes.swap_remove(index);
        }
        if self.probes.len() > 1 {
            self.probes.rotate_left(1);
        }
    }

    fn send_plain(&mut self, transmit: &Transmit) -> io::Result<()> {
        let by_beacon_port = transmit.via == Via::Routed && self.askers.contains(&transmit.to);
        let open = |slot: &Slot| slot.open.is_some() && slot.place == Place::Shared { v6: transmit.to.is_ipv6() };
        let by_beacon_port = by_beacon_port && self.slots.iter().any(open);
        let wanted = |place: &Place| match (place, transmit.via) {
            (Place::Interface(interface), Via::Interface { index, address }) => {
                interface.index == index && interface.address == address
            }
            (Place::Shared { v6 }, Via::Routed) if by_beacon_port => *v6 == transmit.to.is_ipv6(),
            (Place::Routed { .. }, Via::Routed) if by_beacon_port => false,
            (Place::Routed { v6 }, Via::Routed) => *v6 == transmit.to.is_ipv6(),
            _ => false,
        };
        let mut found = self.slots.iter().position(|slot| wanted(&slot.place));
        if found.is_none() && transmit.via == Via::Routed {
            found = Some(self.slots.len());
            self.add(Place::Routed { v6: transmit.to.is_ipv6() });
        }
        let slot = found.and_then(|index| self.slots.get_mut(index));
        let Some(slot) = slot else {
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "the interface is gone"));
        };
        let Some(open) = &slot.open else {
            // Lost without a word; the engine says all again once the socket stands.
            return if slot.passing { Ok(()) } else { Err(io::Error::other(slot.why.clone())) };
        };
        let result = open.send(&transmit.bytes, transmit.to);
        match &result {
            Err(error) if is_dead(error) => slot.broke(error),
            _ => {}
        }
        result
    }

    fn send_probe(&mut self, transmit: &Transmit) -> io::Result<()> {
        let (via, to) = (transmit.via, transmit.to);
        let known = self.probes.iter().position(|probe| probe.via == via && probe.to == to);
        let index = match known {
            Some(index) => index,
            None => {
                let Ok(open) = Open::new(&Place::Probe { via, to }, &self.ports, 0) else {
                    // Out of descriptors or of routes: the plain socket tells which, and may still get through.
                    return self.send_plain(transmit);
                };
                if self.probes.len() >= PROBES {
                    let oldest = self.probes.iter().enumerate().min_by_key(|(_, probe)| probe.used);
                    if let Some((oldest, _)) = oldest {
                        self.probes.swap_remove(oldest);
                    }
                }
                self.probes.push(Probe { via, to, open, used: Instant::now() });
                self.probes.len() - 1
            }
        };
        let Some(probe) = self.probes.get_mut(index) else { return Ok(()) };
        probe.used = Instant::now();
        let result = probe.open.send_connected(&transmit.bytes);
        match &result {
            // The answer to an earlier probe, told here and not on a read. This one has not left.
            Err(error) if is_unreachable(error) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => drop(self.probes.swap_remove(index)),
            Ok(()) => {}
        }
        result
    }

    fn add(&mut self, place: Place) {
        let retry = Instant::now();
        let (why, pause) = (String::new(), FIRST_PAUSE);
        self.slots.push(Slot { place, open: None, why, passing: false, port: 0, retry, pause, errors: 0 });
        self.open(self.slots.len() - 1);
    }
}

impl Slot {
    fn try_open(&mut self, ports: &Ports, port: u16, interfaces: &[Interface], quiet: &mut Quiet) {
        // Where it was before others know it.
        match Open::new(&self.place, ports, if self.port == 0 { port } else { self.port }) {
            Ok(open) => {
                if matches!(self.place, Place::Interface(_)) {
                    self.port = open.port();
                }
                if let Place::Shared { v6 } = self.place {
                    join(&open, v6, interfaces, ports);
                }
                self.open = Some(open);
                self.passing = false;
                self.pause = FIRST_PAUSE;
                self.errors = 0;
            }
            Err(error) => {
                let cause = match self.place {
                    Place::Shared { .. } => "the beacon port could not be opened",
                    _ => "a UDP socket could not be opened",
                };
                self.passing = error.kind() == io::ErrorKind::AddrNotAvailable && self.pause < LONGEST_PAUSE;
                if !self.passing {
                    if let Some(held) = quiet.may_warn(cause) {
                        tracing::warn!(target: "lansession::discovery", %error, place = ?self.place, held, "{cause}");
                    }
                }
                self.broke(&error);
            }
        }
    }

    fn read_failed(&mut self, error: &io::Error) {
        // Windows tells an unconnected socket of a port unreachable, without saying where; a cut datagram is an error
        // there too.
        if is_unreachable(error) || matches!(error.kind(), io::ErrorKind::Interrupted) {
            return;
        }
        self.errors += 1;
        if self.errors >= READ_ERRORS || is_dead(error) {
            self.broke(error);
        }
    }

    fn broke(&mut self, error: &io::Error) {
        tracing::debug!(target: "lansession::discovery", %error, place = ?self.place, "socket closed, opening it again");
        self.open = None;
        self.why = error.to_string();
        self.retry = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

/// Only unicasts from other machines: of broadcasts there are many, and their answers leave by the interface's socket.
fn note_asker(askers: &mut VecDeque<SocketAddr>, interfaces: &[Interface], arrival: &Arrival) {
    let own = |ip: IpAddr| interfaces.iter().any(|interface| interface.address == ip);
    if !own(arrival.local) || askers.contains(&arrival.from) {
        return;
    }
    if askers.len() >= ASKERS {
        askers.pop_front();
    }
    askers.push_back(arrival.from);
}

fn join(shared: &Open, v6: bool, interfaces: &[Interface], ports: &Ports) {
    let mut seen = Vec::new();
    for interface in interfaces.iter().filter(|interface| interface.address.is_ipv6() == v6) {
        // IPv6 joins by interface, so once for all its addresses.
        if v6 && seen.contains(&interface.index) {
            continue;
        }
        seen.push(interface.index);
        if let Err(error) = shared.join(interface, ports) {
            tracing::debug!(target: "lansession::discovery", %error, name = interface.name, "no multicast here");
        }
    }
}

fn failure(via: Via, to: SocketAddr, path: PathKind, error: &io::Error) -> SendFailure {
    SendFailure { via, to, path, why: error.to_string(), unreachable: is_unreachable(error) }
}

/// ICMP port unreachable. Windows calls it a reset.
fn is_unreachable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

/// The socket itself is gone: a phone's system took it in the background. (An address that is gone shows in the list of
/// interfaces; macOS says "not available" for a mere missing route.)
fn is_dead(error: &io::Error) -> bool {
    const EBADF: i32 = 9;
    const ENXIO: i32 = 6;
    const ENODEV: i32 = 19;
    let taken = cfg!(unix) && matches!(error.raw_os_error(), Some(EBADF | ENXIO | ENODEV));
    taken || matches!(error.kind(), io::ErrorKind::NotConnected | io::ErrorKind::BrokenPipe)
}
