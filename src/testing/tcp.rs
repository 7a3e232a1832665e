//! Control connections without TLS: ordered, delayed, lossless while the way is whole, silent while it is cut.
//!
//! What TLS would prove is taken as proven: the dialler's key from its `Dial`, the listener's from its `Listen`; the
//! binding is drawn. Each frame travels as one unit. A unit that a fault drops is sent again, as TCP does, and those behind
//! it wait.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::topology::scoped;
use super::world::{What, World};
use crate::proto::clock::Moment;
use crate::proto::io::{Closed, LinkEvent, LinkId};
use crate::types::{HostKey, Identity, PublicKey, SessionKey};

/// What both kernels take before a writer has to wait.
const WINDOW: usize = 256 << 10;
/// A lost SYN is sent again after this, then after twice that.
const SYN_RETRY: Duration = Duration::from_secs(1);
/// A dial without an answer.
const DIAL: Duration = Duration::from_secs(3);
/// A connection without a handshake.
const HANDSHAKE: Duration = Duration::from_secs(2);
/// A lost segment is sent again after this, doubling up to `SLOWEST`, so that a healed way is soon used.
const RETRANSMIT: Duration = Duration::from_millis(200);
const SLOWEST: Duration = Duration::from_millis(1_600);
/// A flushing close gives up after this.
const FLUSH: Duration = Duration::from_secs(1);
/// From a write to its report, and to the order of things that leave together.
const TICK: Duration = Duration::from_micros(1);
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

/// A session's listener.
#[derive(Debug)]
struct Listener {
    process: usize,
    session: SessionKey,
    key: Identity,
}

/// A dial without an answer yet.
#[derive(Debug)]
struct Dial {
    to: SocketAddr,
    expect: Option<HostKey>,
    key: PublicKey,
    began: Moment,
    tries: u32,
    source: SocketAddr,
    segment: usize,
}

/// One end of a connection.
#[derive(Debug)]
struct End {
    process: usize,
    node: usize,
    link: LinkId,
    address: SocketAddr,
    key: PublicKey,
    /// Its engine knows of it. (A listener's does from `Incoming` on.)
    known: bool,
    /// TLS stands.
    open: bool,
    /// Its process closed it, or is gone, or was told that it is.
    gone: bool,
    /// Came while nobody read.
    unread: VecDeque<Unit>,
}

/// One direction.
#[derive(Debug, Default)]
struct Flow {
    /// Not taken by the kernel: the window is full.
    pending: VecDeque<Unit>,
    /// Taken, and not under way: something before it was lost.
    wire: VecDeque<Unit>,
    /// Taken and not read by the other side.
    buffered: usize,
    last: Moment,
    retrying: bool,
    backoff: u32,
    /// Its end was taken by the kernel: this side has closed.
    closing: bool,
}

/// A connection: end 0 dialled, end 1 listened; flow `n` leaves end `n`.
#[derive(Debug)]
struct Connection {
    ends: [End; 2],
    flows: [Flow; 2],
    session: SessionKey,
    expect: Option<HostKey>,
    binding: [u8; 32],
    fallback: bool,
}

/// All listeners, dials and connections.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// By node and port.
    listeners: BTreeMap<(usize, u16), Listener>,
    dials: BTreeMap<(usize, LinkId), Dial>,
    connections: BTreeMap<u64, Connection>,
    links: BTreeMap<(usize, LinkId), (u64, usize)>,
    next: u64,
}

impl Streams {
    fn end(&self, connection: u64, end: usize) -> Option<&End> {
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
    // -------------------------------------------------------------------------------------------------- listening

    pub(super) fn listen(&mut self, process: usize, session: SessionKey, key: Identity, port: u16) {
        let Some(node) = self.processes.get(process).map(|own| own.node) else { return };
        let Some(host) = self.topology.nodes.get_mut(node) else { return };
        let port = if port == 0 { host.ephemeral() } else { port };
        let result = match self.streams.listeners.entry((node, port)) {
            Entry::Occupied(_) => Err(format!("port {port} is in use")),
            Entry::Vacant(free) => {
                free.insert(Listener { process, session, key });
                Ok(port)
            }
        };
        self.schedule(Duration::from_micros(100), What::Listening(process, session, result));
    }

    pub(super) fn unlisten(&mut self, process: usize, session: SessionKey) {
        self.streams.listeners.retain(|_, own| own.process != process || own.session != session);
    }

    // ---------------------------------------------------------------------------------------------------- dialling

    pub(super) fn dial(
        &mut self,
        process: usize,
        link: LinkId,
        to: SocketAddr,
        expect: Option<HostKey>,
        identity: Identity,
    ) {
        let Some(node) = self.processes.get(process).map(|own| own.node) else { return };
        self.transcript.note(self.now, process, "dials", to.to_string(), &[]);
        let Some(host) = self.topology.nodes.get_mut(node) else { return };
        let route =
            host.route(to).and_then(|(at, source)| host.attachments.get(at).map(|a| (a.segment, a.index, source)));
        let Some((segment, index, source)) = route else {
            let why = Closed::Unreachable;
            return self.schedule(TICK, What::Link(process, LinkEvent::Closed { link, why }));
        };
        let source = scoped(source, host.ephemeral(), index);
        let key = identity.public();
        let dial = Dial { to, expect, key, began: self.now, tries: 0, source, segment };
        self.streams.dials.insert((process, link), dial);
        self.syn(process, link);
    }

    /// One attempt at a dial.
    pub(super) fn syn(&mut self, process: usize, link: LinkId) {
        let Some(node) = self.processes.get(process).filter(|own| own.alive).map(|own| own.node) else { return };
        let Some(dial) = self.streams.dials.get_mut(&(process, link)) else { return };
        if self.now.since(dial.began) >= DIAL {
            self.streams.dials.remove(&(process, link));
            return self.tell(process, LinkEvent::Closed { link, why: Closed::Unreachable });
        }
        let wait = SYN_RETRY * (1 << dial.tries.min(4));
        dial.tries += 1;
        let left = DIAL.saturating_sub(self.now.since(dial.began));
        let (source, to, segment) = (dial.source, dial.to, dial.segment);
        let way = self.topology.way(node, segment, to.ip(), true);
        let leaves =
            way.and_then(|way| self.resolve(node, source.ip(), way.node, to.ip(), segment).map(|at| (way.node, at)));
        let arrives = leaves.and_then(|(target, at)| {
            self.pass(node, target, segment, None, &[]).map(|(delay, _)| (target, at + delay))
        });
        if let Some((target, at)) = arrives {
            self.schedule_at(at, What::SynAt { process, link, node: target });
        }
        // Again if nothing comes back by then; an answered dial is no longer in the table.
        self.schedule(wait.min(left).max(TICK), What::Syn(process, link));
    }

    /// The SYN comes to a machine: its kernel answers.
    pub(super) fn syn_arrives(&mut self, process: usize, link: LinkId, node: usize) {
        let Some(dialler) = self.processes.get(process).filter(|own| own.alive).map(|own| own.node) else { return };
        let Some(dial) = self.streams.dials.get(&(process, link)) else { return };
        let (to, segment) = (dial.to, dial.segment);
        let listener = self.streams.listeners.get(&(node, to.port())).map(|l| (l.process, l.session, l.key.public()));
        let Some((listening, session, host_key)) = listener else {
            // RST: nobody listens there.
            let Some((back, _)) = self.pass(node, dialler, segment, None, &[]) else { return };
            self.streams.dials.remove(&(process, link));
            return self.schedule(back, What::Link(process, LinkEvent::Closed { link, why: Closed::Refused }));
        };
        let Some(dial) = self.streams.dials.remove(&(process, link)) else { return };
        let binding = self.draw();
        let Some(own) = self.processes.get_mut(listening) else { return };
        let accepted = LinkId(own.next_link);
        own.next_link += 2;
        let old = |node: usize| self.topology.nodes.get(node).is_some_and(|node| node.fallback);
        let fallback = old(node) || old(dialler);
        let id = self.streams.next;
        self.streams.next += 1;
        let end = |process, node, link, address, key, known| End {
            process,
            node,
            link,
            address,
            key,
            known,
            open: false,
            gone: false,
            unread: VecDeque::new(),
        };
        let ends = [
            end(process, dialler, link, dial.source, dial.key, true),
            end(listening, node, accepted, to, host_key, false),
        ];
        let flows = [Flow::default(), Flow::default()];
        let expect = dial.expect;
        let connection = Connection { ends, flows, session, expect, binding, fallback };
        self.streams.connections.insert(id, connection);
        self.streams.links.insert((process, link), (id, 0));
        self.streams.links.insert((listening, accepted), (id, 1));
        self.schedule(HANDSHAKE, What::Handshake { connection: id });
        self.queue(id, 1, Unit::SynAck);
    }

    /// The time for a handshake is over; the listener's side has its engine's own deadlines.
    pub(super) fn handshake_over(&mut self, connection: u64) {
        if self.streams.end(connection, 0).is_some_and(|end| !end.open && !end.gone) {
            self.gone(connection, 0, Closed::Unreachable);
            self.queue(connection, 0, Unit::Fin);
        }
    }

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

    fn queue(&mut self, connection: u64, from: usize, unit: Unit) {
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
        let (node, target) = (here.node, there.node);
        let (source, to): (IpAddr, IpAddr) = (here.address.ip(), there.address.ip());
        if !self.topology.nodes.get(node)?.owns(source) {
            return None;
        }
        let own_segment = self.topology.nodes.get(node)?.attachments.iter().find(|a| a.has(source))?.segment;
        let way = self.topology.way(node, own_segment, to, true).filter(|way| way.node == target)?;
        let leaves = self.resolve(node, source, way.node, to, own_segment)?;
        let bytes: &[u8] = if let Unit::Frame(bytes) = unit { bytes } else { &[] };
        let (delay, _) = self.pass(node, target, own_segment, None, bytes)?;
        Some(leaves + delay)
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
    fn gone(&mut self, connection: u64, end: usize, why: Closed) {
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
