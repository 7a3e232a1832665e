//! How a connection begins: listeners, SYNs, refusals.

use std::collections::VecDeque;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::time::Duration;

use super::tcp::{Connection, End, Flow, TICK, Unit};
use super::topology::scoped;
use super::world::{What, World};
use crate::proto::clock::Moment;
use crate::proto::io::{Closed, LinkEvent, LinkId};
use crate::types::{HostKey, Identity, PublicKey, SessionKey};

/// A lost SYN is sent again after this, then after twice that.
const SYN_RETRY: Duration = Duration::from_secs(1);
/// A dial without an answer.
const DIAL: Duration = Duration::from_secs(3);
/// A connection without a handshake.
const HANDSHAKE: Duration = Duration::from_secs(2);

/// A session's listener.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) process: usize,
    pub(super) session: SessionKey,
    pub(super) key: Identity,
}

/// A dial without an answer yet.
#[derive(Debug)]
pub(super) struct Dial {
    pub(super) to: SocketAddr,
    pub(super) expect: Option<HostKey>,
    pub(super) key: PublicKey,
    pub(super) began: Moment,
    pub(super) tries: u32,
    pub(super) source: SocketAddr,
    pub(super) segment: usize,
}

impl World {
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
}
