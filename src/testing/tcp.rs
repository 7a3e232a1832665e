//! Control connections without TLS: ordered, delayed, lossless while the way is whole, silent while it is cut.
//!
//! What TLS would prove is taken as proven: the dialler's key from its `Dial`, the listener's from its `Listen`; the
//! binding is drawn. Each frame travels as one unit. A unit that a fault drops is sent again, as TCP does, and those behind
//! it wait.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::dial::{Dial, Listener};
use super::world::{What, World};
use crate::proto::clock::Moment;
use crate::proto::disturb::Disturbance;
use crate::proto::io::{Closed, LinkEvent, LinkId};
use crate::types::{HostKey, PublicKey, SessionKey};

/// What both kernels take before a writer has to wait.
const WINDOW: usize = 256 << 10;
/// A lost segment is sent again after this, doubling up to `SLOWEST`, so that a healed way is soon used.
const RETRANSMIT: Duration = Duration::from_millis(200);
const SLOWEST: Duration = Duration::from_millis(1_600);
/// A flushing close gives up after this.
const FLUSH: Duration = Duration::from_secs(1);
/// From a write to its report, and to the order of things that leave together.
pub(super) const TICK: Duration = Duration::from_micros(1);
/// The frame's header: length 2, kind 1, flags 1.
const HEADER: usize = 4;

/// What travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unit {
    SynAck,
    /// The dialler's acknowledgement: now the listener's side may accept.
    Accepted,
    Hello,
    ServerHello,
    Finished,
    Frame(Vec<u8>),
    /// The handshake failed at the other end.
    Alert,
    Fin,
    Rst,
}

impl Unit {
    fn size(&self) -> usize {
        if let Self::Frame(bytes) = self { bytes.len() } else { 0 }
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct End {
    pub(super) process: usize,
    pub(super) node: usize,
    pub(super) link: LinkId,
    pub(super) address: SocketAddr,
    pub(super) key: PublicKey,
    /// Its engine knows of it. (A listener's does from `Incoming` on.)
    pub(super) known: bool,
    /// TLS stands.
    pub(super) open: bool,
    /// Its process closed it, or is gone, or was told that it is.
    pub(super) gone: bool,
    /// Came while nobody read.
    pub(super) unread: VecDeque<Unit>,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Not taken by the kernel: the window is full.
    pub(super) pending: VecDeque<Unit>,
    /// Taken, and not under way: something before it was lost.
    pub(super) wire: VecDeque<Unit>,
    /// Taken and not read by the other side.
    pub(super) buffered: usize,
    pub(super) last: Moment,
    pub(super) retrying: bool,
    pub(super) backoff: u32,
    /// Its end was taken by the kernel: this side has closed.
    pub(super) closing: bool,
}

/// A connection: end 0 dialled, end 1 listened; flow `n` leaves end `n`.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) ends: [End; 2],
    pub(super) flows: [Flow; 2],
    pub(super) session: SessionKey,
    pub(super) expect: Option<HostKey>,
    pub(super) binding: [u8; 32],
    pub(super) fallback: bool,
}

/// All listeners, dials and connections.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// By node and port.
    pub(super) listeners: BTreeMap<(usize, u16), Listener>,
    pub(super) dials: BTreeMap<(usize, LinkId), Dial>,
    pub(super) connections: BTreeMap<u64, Connection>,
    pub(super) links: BTreeMap<(usize, LinkId), (u64, usize)>,
    pub(super) next: u64,
}

impl Streams {
    pub(super) fn end(&self, connection: u64, end: usize) -> Option<&End> {
        self.connections.get(&connection)?.ends.get(end)
    }

    fn end_mut(&mut self, connection: u64, end: usize) -> Option<&mut End> {
        self.connections.get_mut(&connection)?.ends.get_mut(end)
    }

    fn flow_mut(&mut self, connection: u64, from: usize) -> Option<&mut Flow> {
        self.connections.get_mut(&connection)?.flows.get_mut(from)
    }

    /// The process that is told of what comes to this end; none for what its kernel handles alone.
    pub(super) fn reader(&self, connection: u64, end: usize) -> Option<usize> {
        self.end(connection, end).filter(|end| !end.gone).map(|end| end.process)
    }
}

fn other(end: usize) -> usize {
    1 - end.min(1)
}

impl World {
    // ----------------------------------------------------------------------------------------------------- sending

    pub(super) fn send(&mut self, process: usize, link: LinkId, bytes: Vec<u8>) {
        let Some(&(connection, end)) = self.streams.links.get(&(process, link)) else { return };
        if self.streams.end(connection, end).is_none_or(|end| end.gone || !end.open) {
            return;
        }
        let kind = bytes.get(2).map(u8::to_string).unwrap_or_default();
        self.transcript.note(self.now, process, "sends frame", kind, &bytes);
        self.traffic.frames += 1;
        self.traffic.frame_bytes += u64::try_from(bytes.len()).unwrap_or(0);
        self.queue(connection, end, Unit::Frame(bytes));
    }

    pub(super) fn queue(&mut self, connection: u64, from: usize, unit: Unit) {
        if let Some(flow) = self.streams.flow_mut(connection, from) {
            flow.pending.push_back(unit);
            self.pump(connection, from);
        }
    }

    /// Lets the kernel take what fits, and sends what it can.
    fn pump(&mut self, connection: u64, from: usize) {
        let Some(own) = self.streams.connections.get_mut(&connection) else { return };
        let (Some(flow), Some(end)) = (own.flows.get_mut(from), own.ends.get(from)) else { return };
        let mut written = Vec::new();
        while let Some(size) = flow.pending.front().map(Unit::size) {
            if flow.buffered > 0 && size > 0 && flow.buffered + size > WINDOW {
                break;
            }
            flow.buffered += size;
            flow.closing |= flow.pending.front() == Some(&Unit::Fin);
            flow.wire.extend(flow.pending.pop_front());
            if size > 0 {
                written.push(size);
            }
        }
        let (process, link, gone, retrying) = (end.process, end.link, end.gone, flow.retrying);
        if !gone {
            for bytes in written {
                self.schedule(TICK, What::Link(process, LinkEvent::Written { link, bytes }));
            }
        }
        if !retrying {
            self.transmit_wire(connection, from);
        }
        self.finish_close(connection, from);
    }

    fn transmit_wire(&mut self, connection: u64, from: usize) {
        loop {
            let Some(own) = self.streams.connections.get(&connection) else { return };
            let Some(flow) = own.flows.get(from) else { return };
            let Some(unit) = flow.wire.front().cloned() else { return };
            let (last, backoff) = (flow.last, flow.backoff);
            match self.stream_path(connection, from, &unit) {
                Some(at) => {
                    let at = at.max(last + TICK);
                    let Some(flow) = self.streams.flow_mut(connection, from) else { return };
                    flow.wire.pop_front();
                    (flow.last, flow.backoff) = (at, 0);
                    self.schedule_at(at, What::Stream { connection, to: other(from), unit });
                }
                None => {
                    let Some(flow) = self.streams.flow_mut(connection, from) else { return };
                    (flow.retrying, flow.backoff) = (true, backoff + 1);
                    let wait = (RETRANSMIT * (1 << backoff.min(3))).min(SLOWEST);
                    return self.schedule(wait, What::Retry { connection, from });
                }
            }
        }
    }

    pub(super) fn retry(&mut self, connection: u64, from: usize) {
        let Some(flow) = self.streams.flow_mut(connection, from) else { return };
        flow.retrying = false;
        self.transmit_wire(connection, from);
    }

    /// When something that leaves now arrives; `None` where it is lost.
    fn stream_path(&mut self, connection: u64, from: usize, unit: &Unit) -> Option<Moment> {
        let own = self.streams.connections.get(&connection)?;
        let (here, there) = (own.ends.get(from)?, own.ends.get(other(from))?);
        let (process, node, target) = (here.process, here.node, there.node);
        let (source, to): (IpAddr, IpAddr) = (here.address.ip(), there.address.ip());
        if !self.topology.nodes.get(node)?.owns(source) {
            return None;
        }
        let own_segment = self.topology.nodes.get(node)?.attachments.iter().find(|a| a.has(source))?.segment;
        let way = self.topology.way(node, own_segment, to, true).filter(|way| way.node == target)?;
        let leaves = self.resolve(node, source, way.node, to, own_segment)?;
        let bytes: &[u8] = if let Unit::Frame(bytes) = unit { bytes } else { &[] };
        // What the kernel sends by itself is not late.
        let written = !matches!(unit, Unit::SynAck | Unit::Accepted | Unit::Rst);
        let judge = self.processes.get_mut(process).and_then(|own| own.disturbance.as_mut());
        let late = judge.filter(|_| written).map_or(Duration::ZERO, Disturbance::late);
        let (delay, _) = self.pass(node, target, own_segment, None, bytes)?;
        Some(leaves + delay + late)
    }

    // --------------------------------------------------------------------------------------------------- receiving

    pub(super) fn unit_arrives(&mut self, connection: u64, end: usize, unit: Unit) {
        let Some(own) = self.streams.end_mut(connection, end) else { return };
        if own.gone {
            if !matches!(unit, Unit::Fin | Unit::Rst | Unit::Alert) {
                self.reset(connection, end);
            }
            return;
        }
        let stalled = self.topology.nodes.get(own.node).is_some_and(|node| node.stalled);
        if own.open && unit != Unit::Rst && (stalled || !own.unread.is_empty()) {
            own.unread.push_back(unit);
            return;
        }
        self.read(connection, end, unit);
    }

    /// Nobody has this connection at this end any more, says its kernel: behind what it has sent before.
    fn reset(&mut self, connection: u64, end: usize) {
        let Some(at) = self.stream_path(connection, end, &Unit::Rst) else { return };
        let Some(flow) = self.streams.flow_mut(connection, end).filter(|flow| flow.wire.is_empty()) else { return };
        let at = at.max(flow.last + TICK);
        flow.last = at;
        self.schedule_at(at, What::Stream { connection, to: other(end), unit: Unit::Rst });
    }

    /// Reads again what came while nobody did.
    #[cfg(test)]
    pub(crate) fn stall(&mut self, node: usize, stalled: bool) {
        let Some(host) = self.topology.nodes.get_mut(node) else { return };
        host.stalled = stalled;
        if stalled {
            return;
        }
        let here: Vec<(u64, usize)> = self
            .streams
            .connections
            .iter()
            .flat_map(|(&id, own)| {
                own.ends.iter().enumerate().filter(|(_, e)| e.node == node).map(move |(at, _)| (id, at))
            })
            .collect();
        for (connection, end) in here {
            let unread = self.streams.end_mut(connection, end).map(|end| std::mem::take(&mut end.unread));
            for unit in unread.unwrap_or_default() {
                if self.streams.reader(connection, end).is_some() {
                    self.read(connection, end, unit);
                }
            }
        }
    }

    fn read(&mut self, connection: u64, end: usize, unit: Unit) {
        let Some(own) = self.streams.connections.get_mut(&connection) else { return };
        let (expect, binding, fallback, session) = (own.expect, own.binding, own.fallback, own.session);
        let [dialler, listener] = &mut own.ends;
        let (here, there) = if end == 0 { (dialler, listener) } else { (listener, dialler) };
        let (process, link, local, remote, peer) = (here.process, here.link, here.address, there.address, there.key);
        match unit {
            Unit::SynAck => {
                self.queue(connection, 0, Unit::Accepted);
                self.queue(connection, 0, Unit::Hello);
            }
            Unit::Accepted => {
                here.known = true;
                self.tell(process, LinkEvent::Incoming { link, session, remote });
            }
            Unit::Hello => {
                self.tell(process, LinkEvent::HelloBegun { link });
                self.queue(connection, 1, Unit::ServerHello);
            }
            Unit::ServerHello if expect.is_some_and(|key| key.public_key() != peer) => {
                self.queue(connection, 0, Unit::Alert);
                self.gone(connection, 0, Closed::WrongKey);
            }
            Unit::ServerHello => {
                here.open = true;
                self.queue(connection, 0, Unit::Finished);
                self.tell(process, LinkEvent::Open { link, peer, binding, local, remote, fallback });
            }
            Unit::Finished => {
                here.open = true;
                self.tell(process, LinkEvent::Open { link, peer, binding, local, remote, fallback });
            }
            Unit::Frame(bytes) => {
                let size = bytes.len();
                if let Some(flow) = self.streams.flow_mut(connection, other(end)) {
                    flow.buffered = flow.buffered.saturating_sub(size);
                }
                self.pump(connection, other(end));
                self.frames(connection, end, (process, link), &bytes);
            }
            Unit::Alert => self.gone(connection, end, Closed::Handshake),
            Unit::Fin | Unit::Rst => self.gone(connection, end, Closed::ByPeer),
        }
    }

    /// One queued buffer is one frame, or several.
    fn frames(&mut self, connection: u64, end: usize, (process, link): (usize, LinkId), bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let frame = rest.split_at_checked(HEADER).and_then(|(header, body)| {
                let &[high, low, kind, flags] = header else { return None };
                let (payload, rest) = body.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
                Some((kind, flags & 1 != 0, payload, rest))
            });
            let Some((kind, more, payload, after)) = frame else {
                self.gone(connection, end, Closed::Protocol);
                return self.queue(connection, end, Unit::Fin);
            };
            if self.streams.end(connection, end).is_none_or(|end| end.gone) {
                return;
            }
            self.tell(process, LinkEvent::Frame { link, kind, more, payload: payload.to_vec() });
            rest = after;
        }
    }

    // ----------------------------------------------------------------------------------------------------- closing

    pub(super) fn close(&mut self, process: usize, link: LinkId, flush: bool) {
        if self.streams.dials.remove(&(process, link)).is_some() {
            let why = Closed::ByUs;
            return self.schedule(TICK, What::Link(process, LinkEvent::Closed { link, why }));
        }
        let Some(&(connection, end)) = self.streams.links.get(&(process, link)) else { return };
        let Some(flow) = self.streams.flow_mut(connection, end) else { return };
        if !flush {
            flow.pending.clear();
        }
        let waits = !flow.pending.is_empty();
        self.queue(connection, end, Unit::Fin);
        if waits {
            self.schedule(FLUSH, What::Cut { connection, end });
        }
    }

    /// A close of ours is done once the kernel has taken the FIN.
    fn finish_close(&mut self, connection: u64, end: usize) {
        let Some(own) = self.streams.connections.get(&connection) else { return };
        let (Some(flow), Some(here)) = (own.flows.get(end), own.ends.get(end)) else { return };
        if flow.closing && !here.gone {
            let (process, link) = (here.process, here.link);
            self.forget(connection, end);
            self.schedule(TICK, What::Link(process, LinkEvent::Closed { link, why: Closed::ByUs }));
        }
    }

    /// The time for flushing is over.
    pub(super) fn cut_off(&mut self, connection: u64, end: usize) {
        if self.streams.end(connection, end).is_none_or(|end| end.gone) {
            return;
        }
        if let Some(flow) = self.streams.flow_mut(connection, end) {
            flow.pending.clear();
            flow.pending.push_back(Unit::Fin);
            self.pump(connection, end);
        }
    }

    /// This end learns that the connection is gone.
    pub(super) fn gone(&mut self, connection: u64, end: usize, why: Closed) {
        let Some(own) = self.streams.end(connection, end).filter(|own| !own.gone) else { return };
        let (process, link, known) = (own.process, own.link, own.known);
        self.forget(connection, end);
        if known {
            self.tell(process, LinkEvent::Closed { link, why });
        }
    }

    fn forget(&mut self, connection: u64, end: usize) {
        let Some(own) = self.streams.end_mut(connection, end) else { return };
        own.gone = true;
        own.unread.clear();
        let link = (own.process, own.link);
        self.streams.links.remove(&link);
        if self.streams.connections.get(&connection).is_some_and(|own| own.ends.iter().all(|end| end.gone)) {
            self.streams.connections.remove(&connection);
        }
    }

    /// A process died: its kernel closes what it had.
    pub(super) fn abandon_streams(&mut self, process: usize) {
        self.streams.listeners.retain(|_, own| own.process != process);
        self.streams.dials.retain(|&(own, _), _| own != process);
        let links: Vec<(u64, usize)> =
            self.streams.links.iter().filter(|((own, _), _)| *own == process).map(|(_, &at)| at).collect();
        for (connection, end) in links {
            if let Some(flow) = self.streams.flow_mut(connection, end) {
                flow.pending.clear();
            }
            self.queue(connection, end, Unit::Fin);
            self.forget(connection, end);
        }
    }
}
