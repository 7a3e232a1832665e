//! All control connections: listeners, dials, and the table of what is open.
//!
//! Each link is a task. What it tells comes by one channel, in which every link has a few places: a peer that floods waits
//! for its own and slows nobody else. After `Closed` nothing of a link is told any more.

mod budget;
mod link;
mod listener;
mod slow;

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep_until};

use self::budget::Budget;
use self::link::{Delivery, Order, Outbox};
use self::listener::Listener;
use super::quiet::Quiet;
use super::{Config, interfaces, tls};
use crate::proto::disturb::Disturbance;
use crate::proto::io::{Closed, LinkEvent, LinkId};
use crate::types::{HostKey, Identity, SessionKey};

/// Connections in all: descriptors are bounded whatever the engine admits (it has its own, smaller caps).
const LINKS: usize = 1_024;
/// Accepted per listener and turn.
const ACCEPTS: usize = 8;
/// What is queued goes out within this, or not at all.
const FLUSH: Duration = Duration::from_secs(1);
/// No descriptor was left: no use in asking again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

struct Entry {
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
    open: bool,
    closing: bool,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Listening {
    session: SessionKey,
    listener: Listener,
    config: Arc<ServerConfig>,
}

pub(super) struct Links {
    settings: Config,
    /// Judges for streams, where they are late.
    disturbance: Option<Disturbance>,
    table: BTreeMap<LinkId, Entry>,
    listeners: Vec<Listening>,
    events: mpsc::UnboundedReceiver<Delivery>,
    sender: mpsc::UnboundedSender<Delivery>,
    /// What this table has to tell itself.
    told: VecDeque<LinkEvent>,
    /// Links that flush, with the time their patience ends; in order.
    closing: VecDeque<(Instant, LinkId)>,
    alarm: Option<Pin<Box<Sleep>>>,
    /// Accepting pauses until then.
    paused: Option<Pin<Box<Sleep>>>,
    budget: Arc<Budget>,
    next: u64,
    quiet: Quiet,
}

impl Links {
    pub(super) fn new(settings: Config) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let disturbance = settings.disturbance();
        Self {
            settings,
            disturbance,
            table: BTreeMap::new(),
            listeners: Vec::new(),
            events,
            sender,
            told: VecDeque::new(),
            closing: VecDeque::new(),
            alarm: None,
            paused: None,
            budget: Budget::new(),
            next: 1,
            quiet: Quiet::default(),
        }
    }

    pub(super) fn listen(&mut self, session: SessionKey, key: &Identity, port: u16) -> Result<u16, String> {
        self.unlisten(session);
        let config = tls::server(key).map_err(|error| error.to_string())?;
        let listener = Listener::new(port, self.settings.loopback_only).map_err(|error| error.to_string())?;
        let port = listener.port;
        self.listeners.push(Listening { session, listener, config });
        Ok(port)
    }

    /// Takes no more connections for a session; those that stand stay.
    pub(super) fn unlisten(&mut self, session: SessionKey) {
        self.listeners.retain(|listening| listening.session != session);
    }

    pub(super) fn dial(&mut self, link: LinkId, to: SocketAddr, expect: Option<HostKey>, identity: &Identity) {
        let config = match tls::client(identity, expect) {
            Ok(config) if self.table.len() < LINKS => config,
            _ => return self.told.push_back(LinkEvent::Closed { link, why: Closed::Unreachable }),
        };
        let (orders, inbox) = mpsc::unbounded_channel();
        let task = tokio::spawn(link::dial(to, config, self.outbox(link), inbox));
        self.table.insert(link, Entry { orders, task, open: false, closing: false });
    }

    fn outbox(&mut self, link: LinkId) -> Outbox {
        let judge = self.disturbance.as_mut().and_then(Disturbance::for_stream);
        Outbox::new(link, self.sender.clone(), judge, FLUSH + self.settings.simulate.longest())
    }

    pub(super) fn send(&mut self, link: LinkId, bytes: Vec<u8>) {
        if let Some(entry) = self.table.get(&link) {
            // A link that ended has its `Closed` on the way.
            let _ended = entry.orders.send(Order::Send(bytes));
        }
    }

    pub(super) fn close(&mut self, link: LinkId, flush: bool) {
        let Some(entry) = self.table.get_mut(&link) else { return };
        if flush && entry.open {
            if !entry.closing {
                entry.closing = true;
                let _ended = entry.orders.send(Order::Flush);
                self.closing.push_back((Instant::now() + FLUSH + self.settings.simulate.longest(), link));
            }
            return;
        }
        self.table.remove(&link);
        self.told.push_back(LinkEvent::Closed { link, why: Closed::ByUs });
    }

    /// Flushes and closes everything, listeners at once.
    pub(super) fn close_all(&mut self) {
        self.listeners.clear();
        let all: Vec<_> = self.table.keys().copied().collect();
        for link in all {
            self.close(link, true);
        }
    }

    /// Whether a link still says its last words.
    pub(super) fn is_flushing(&self) -> bool {
        self.table.values().any(|entry| entry.closing)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// At most `budget` events; whether more may wait.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, budget: usize, events: &mut Vec<LinkEvent>) -> bool {
        let accepted = self.poll_accept(cx);
        self.poll_alarm(cx);
        let mut taken = 0;
        while taken < budget {
            // Our own first: they may be the `Closed` of what still has events on the way.
            if let Some(event) = self.told.pop_front() {
                events.push(event);
            } else if let Poll::Ready(Some(delivery)) = self.events.poll_recv(cx) {
                if self.counts(&delivery.event) {
                    events.push(delivery.event);
                }
            } else {
                return accepted || taken > 0;
            }
            taken += 1;
        }
        true
    }

    /// Whether an event is still to be told, and what it means for the table.
    fn counts(&mut self, event: &LinkEvent) -> bool {
        match event {
            LinkEvent::Incoming { link, .. } | LinkEvent::HelloBegun { link } => self.table.contains_key(link),
            LinkEvent::Open { link, .. } => match self.table.get_mut(link) {
                Some(entry) => {
                    entry.open = true;
                    true
                }
                None => false,
            },
            // Nobody waits for the frames of a link that we are closing.
            LinkEvent::Frame { link, .. } => self.table.get(link).is_some_and(|entry| !entry.closing),
            LinkEvent::Written { link, .. } => self.table.contains_key(link),
            LinkEvent::Closed { link, .. } => self.table.remove(link).is_some(),
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(paused) = &mut self.paused {
            if paused.as_mut().poll(cx).is_pending() {
                return false;
            }
            self.paused = None;
        }
        let mut incoming = Vec::new();
        for listening in &self.listeners {
            for _ in 0..ACCEPTS {
                match listening.listener.poll_accept(cx) {
                    Poll::Pending => break,
                    Poll::Ready(Ok((stream, remote))) => {
                        incoming.push((listening.session, Arc::clone(&listening.config), stream, remote));
                    }
                    Poll::Ready(Err(error)) if is_passing(&error) => {}
                    Poll::Ready(Err(error)) => {
                        if let Some(held) = self.quiet.may_warn("accept") {
                            tracing::warn!(target: "lansession::link", %error, held, "a connection could not be accepted");
                        }
                        let mut pause = Box::pin(sleep_until(Instant::now() + ACCEPT_PAUSE));
                        let _armed = pause.as_mut().poll(cx);
                        self.paused = Some(pause);
                        break;
                    }
                }
            }
        }
        let any = !incoming.is_empty();
        for (session, config, stream, remote) in incoming {
            self.accept(session, config, stream, remote);
        }
        any
    }

    fn accept(&mut self, session: SessionKey, config: Arc<ServerConfig>, stream: TcpStream, remote: SocketAddr) {
        if self.table.len() >= LINKS {
            if let Some(held) = self.quiet.may_warn("links") {
                tracing::warn!(target: "lansession::link", held, "too many connections, a new one was closed");
            }
            return;
        }
        // The listener is on every address; the user may have chosen some.
        let local = stream.local_addr().map(|local| local.ip());
        if !local.is_ok_and(|local| self.may_serve(local)) {
            return;
        }
        let link = LinkId(self.next);
        self.next += 2;
        let (orders, inbox) = mpsc::unbounded_channel();
        let out = self.outbox(link);
        let task = tokio::spawn(link::accept(stream, remote, config, Arc::clone(&self.budget), out, inbox));
        self.table.insert(link, Entry { orders, task, open: false, closing: false });
        self.told.push_back(LinkEvent::Incoming { link, session, remote });
    }

    fn may_serve(&self, local: IpAddr) -> bool {
        self.settings.interfaces.is_empty()
            || interfaces::list(&self.settings)
                .is_ok_and(|list| list.iter().any(|interface| interface.address == local))
    }

    /// Ends the patience with links that do not take what they were to be told.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) {
        loop {
            let Some((until, link)) = self.closing.front().copied() else { return };
            let late = until <= Instant::now();
            if late || !self.table.contains_key(&link) {
                self.closing.pop_front();
                self.close(link, false);
                continue;
            }
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(until)));
            if alarm.deadline() != until {
                alarm.as_mut().reset(until);
            }
            if alarm.as_mut().poll(cx).is_pending() {
                return;
            }
        }
    }
}

/// The one connection failed, not the listener (accept(2), "Error handling").
fn is_passing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted | Kind::ConnectionReset | Kind::ConnectionRefused | Kind::Interrupted | Kind::TimedOut
    )
}
