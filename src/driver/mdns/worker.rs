//! The thread beside the daemon: keeps it alive, drains it at once, and hands each driver its own.
//!
//! What `mdns-sd` needs watching for: a full event channel closes without a word (so drain, and browse again), a second
//! browse of a type ends the first (so one browse, fanned out), a port that cannot be bound shows nowhere (so judge by our
//! own announcement), its cache grows without bound under spoofed records (so start it anew above a cap).

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use mdns_sd::{
    DaemonEvent, Error, IfKind, IfPredicate, Receiver, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent,
    ServiceInfo, UnregisterStatus,
};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep, timeout};

use super::hub::{Client, Order, Setup};
use super::parting::Parting;
use crate::proto::io::{MdnsAction, MdnsEvent};
use crate::types::SessionKey;

const SERVICE: &str = "_lansession._tcp.local.";
/// Every wait for the daemon has an end.
const ANSWER: Duration = Duration::from_secs(1);
/// A goodbye takes a second.
const GOODBYE: Duration = Duration::from_millis(1_500);
const TICK: Duration = Duration::from_secs(1);
/// Without our own announcement by then, the daemon has no socket.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(8);
/// Records in the daemon's cache: about 700 spoofed instances, and 2 MB.
const CACHE: i64 = 4_096;
/// Instances remembered for a driver that browses later.
const KNOWN: usize = 512;
const ADDRESSES: usize = 8;
const TXT_PAIRS: usize = 16;
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

type Next<T> = Pin<Box<dyn Future<Output = Option<T>> + Send>>;

/// A receiver as something to poll.
struct Feed<T> {
    receiver: Receiver<T>,
    next: Option<Next<T>>,
}

impl<T: Send + 'static> Feed<T> {
    fn new(receiver: Receiver<T>) -> Self {
        Self { receiver, next: None }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let receiver = &self.receiver;
        let next = self.next.get_or_insert_with(|| {
            let receiver = receiver.clone();
            Box::pin(async move { receiver.recv_async().await.ok() })
        });
        let result = next.as_mut().poll(cx);
        if result.is_ready() {
            self.next = None;
        }
        result
    }
}

struct Daemon {
    daemon: ServiceDaemon,
    monitor: Feed<DaemonEvent>,
    browse: Option<Feed<ServiceEvent>>,
}

struct Registration {
    client: Client,
    session: SessionKey,
    info: ServiceInfo,
    /// The daemon's full queue has not taken it yet.
    waiting: bool,
    since: Instant,
    seen: bool,
}

struct Seat {
    events: mpsc::Sender<MdnsEvent>,
    browsing: bool,
}

struct Worker {
    setup: Setup,
    daemon: Option<Daemon>,
    clients: BTreeMap<Client, Seat>,
    registrations: Vec<Registration>,
    /// What the daemon has been told to say goodbye to, since when.
    goodbyes: Vec<(Feed<UnregisterStatus>, Option<Parting>, Instant)>,
    /// What was resolved, by full instance name.
    known: BTreeMap<String, MdnsEvent>,
    /// No daemon before this.
    restart: Instant,
    pause: Duration,
}

enum Input {
    Order(Option<Order>),
    Browse(Option<ServiceEvent>),
    Monitor(Option<DaemonEvent>),
    Tick,
}

/// Serves until the last driver has let go.
pub(super) async fn run(setup: Setup, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut worker = Worker {
        setup,
        daemon: None,
        clients: BTreeMap::new(),
        registrations: Vec::new(),
        goodbyes: Vec::new(),
        known: BTreeMap::new(),
        restart: Instant::now(),
        pause: FIRST_PAUSE,
    };
    let mut tick: Pin<Box<Sleep>> = Box::pin(sleep(TICK));
    loop {
        let input = poll_fn(|cx| worker.poll(cx, &mut orders, &mut tick)).await;
        match input {
            Input::Order(Some(order)) => worker.order(order),
            Input::Order(None) => break,
            Input::Browse(Some(event)) => worker.heard(event),
            Input::Browse(None) => {
                // Its channel was full; the next tick browses again.
                if let Some(daemon) = &mut worker.daemon {
                    daemon.browse = None;
                }
            }
            Input::Monitor(Some(event)) => worker.monitor(event),
            Input::Monitor(None) => worker.failed("the mDNS daemon ended"),
            Input::Tick => {
                tick.as_mut().reset(Instant::now() + TICK);
                worker.tick().await;
            }
        }
    }
    worker.end().await;
}

impl Worker {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        orders: &mut mpsc::UnboundedReceiver<Order>,
        tick: &mut Pin<Box<Sleep>>,
    ) -> Poll<Input> {
        if let Poll::Ready(order) = orders.poll_recv(cx) {
            return Poll::Ready(Input::Order(order));
        }
        if tick.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Input::Tick);
        }
        self.goodbyes.retain_mut(|(answer, ..)| answer.poll(cx).is_pending());
        let Some(daemon) = &mut self.daemon else { return Poll::Pending };
        if let Poll::Ready(event) = daemon.monitor.poll(cx) {
            return Poll::Ready(Input::Monitor(event));
        }
        let Some(browse) = &mut daemon.browse else { return Poll::Pending };
        browse.poll(cx).map(Input::Browse)
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Attach(client, events) => drop(self.clients.insert(client, Seat { events, browsing: false })),
            Order::Act(client, MdnsAction::Register { session, port, txt }, _) => {
                self.register(client, session, port, &txt);
            }
            Order::Act(client, MdnsAction::Unregister { session }, parting) => {
                self.unregister(parting, |registration| {
                    registration.client == client && registration.session == session
                });
            }
            Order::Act(client, MdnsAction::Browse, _) => self.browse(client, true),
            Order::Act(client, MdnsAction::StopBrowse, _) => self.browse(client, false),
            Order::Detach(client) => {
                self.unregister(None, |registration| registration.client == client);
                self.clients.remove(&client);
                self.stop_browse_if_unwanted();
            }
        }
        self.apply();
    }

    fn register(&mut self, client: Client, session: SessionKey, port: u16, txt: &[(String, String)]) {
        let mine = |r: &&mut Registration| r.client == client && r.session == session;
        let before = self.registrations.iter_mut().find(mine);
        // The same names: an update of the TXT record is an announcement, not another service.
        let names = match &before {
            Some(registration) => Some((
                registration.info.get_fullname().trim_end_matches(SERVICE).trim_end_matches('.').to_owned(),
                registration.info.get_hostname().to_owned(),
            )),
            None => random_names(),
        };
        let Some((instance, host)) = names else { return };
        let info = match ServiceInfo::new(SERVICE, &instance, &host, "", port, txt) {
            Ok(info) => info,
            Err(error) => {
                tracing::warn!(target: "lansession::mdns", %error, "the session cannot be registered");
                return self.tell(client, MdnsEvent::Failed { why: error.to_string() });
            }
        };
        let mut info = info.enable_addr_auto();
        // The names are random: probing for their uniqueness would cost a second.
        info.set_requires_probe(false);
        let since = Instant::now();
        match before {
            Some(registration) => {
                registration.info = info;
                registration.waiting = true;
            }
            None => self.registrations.push(Registration { client, session, info, waiting: true, since, seen: false }),
        }
    }

    fn unregister(&mut self, mut parting: Option<Parting>, which: impl Fn(&Registration) -> bool) {
        for registration in self.registrations.iter().filter(|registration| which(registration)) {
            let Some(daemon) = &self.daemon else { continue };
            // Refused by a full queue: it lingers until its records expire.
            if let Ok(answer) = daemon.daemon.unregister(registration.info.get_fullname()) {
                self.goodbyes.push((Feed::new(answer), parting.take(), Instant::now()));
            }
        }
        self.registrations.retain(|registration| !which(registration));
    }

    fn browse(&mut self, client: Client, on: bool) {
        let Some(seat) = self.clients.get_mut(&client) else { return };
        let begins = on && !seat.browsing;
        seat.browsing = on;
        if begins {
            let known: Vec<_> = self.known.iter().map(|(name, event)| (name.clone(), event.clone())).collect();
            for (name, event) in known {
                if !self.is_own(client, &name) {
                    self.tell(client, event);
                }
            }
        }
        self.stop_browse_if_unwanted();
    }

    fn is_browse_wanted(&self) -> bool {
        self.clients.values().any(|seat| seat.browsing)
    }

    fn stop_browse_if_unwanted(&mut self) {
        if self.is_browse_wanted() {
            return;
        }
        self.known.clear();
        if let Some(daemon) = &mut self.daemon {
            if daemon.browse.take().is_some() {
                // Refused by a full queue: its channel is gone, so the daemon drops the browse by itself.
                let _again = daemon.daemon.stop_browse(SERVICE);
            }
        }
    }

    /// Brings the daemon to what is wanted of it.
    fn apply(&mut self) {
        let wanted = self.is_browse_wanted() || !self.registrations.is_empty();
        if self.daemon.is_none() {
            if !wanted || Instant::now() < self.restart {
                return;
            }
            match start(&self.setup) {
                Ok(daemon) => self.daemon = Some(daemon),
                Err(error) => return self.failed(&error.to_string()),
            }
            for registration in &mut self.registrations {
                registration.waiting = true;
                registration.since = Instant::now();
                registration.seen = false;
            }
        }
        let browse = self.is_browse_wanted();
        let Some(daemon) = &mut self.daemon else { return };
        for registration in self.registrations.iter_mut().filter(|registration| registration.waiting) {
            match daemon.daemon.register(registration.info.clone()) {
                Ok(()) => registration.waiting = false,
                Err(Error::Again) => break,
                Err(error) => return self.failed(&error.to_string()),
            }
        }
        if browse && daemon.browse.is_none() {
            match daemon.daemon.browse(SERVICE) {
                Ok(receiver) => daemon.browse = Some(Feed::new(receiver)),
                Err(Error::Again) => {}
                Err(error) => self.failed(&error.to_string()),
            }
        }
    }

    fn heard(&mut self, event: ServiceEvent) {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                let Some(event) = resolved(&service) else { return };
                let name = service.fullname.clone();
                self.registered(&name);
                if self.known.len() < KNOWN || self.known.contains_key(&name) {
                    self.known.insert(name.clone(), event.clone());
                }
                self.fan_out(&name, &event);
            }
            ServiceEvent::ServiceRemoved(_, name) => {
                self.known.remove(&name);
                self.fan_out(&name, &MdnsEvent::Removed { instance: name.clone() });
            }
            _ => {}
        }
    }

    fn monitor(&mut self, event: DaemonEvent) {
        match event {
            DaemonEvent::Announce(name, _) => self.registered(&name),
            DaemonEvent::Error(error) => {
                tracing::debug!(target: "lansession::mdns", %error, "mDNS daemon");
            }
            _ => {}
        }
    }

    /// One of ours went out, so the daemon has a socket.
    fn registered(&mut self, name: &str) {
        let mut seen = Vec::new();
        for registration in &mut self.registrations {
            if !registration.seen && registration.info.get_fullname().eq_ignore_ascii_case(name) {
                registration.seen = true;
                seen.push((registration.client, registration.session));
            }
        }
        for (client, session) in seen {
            self.pause = FIRST_PAUSE;
            self.tell(client, MdnsEvent::Registered { session });
        }
    }

    fn is_own(&self, client: Client, name: &str) -> bool {
        self.registrations
            .iter()
            .any(|registration| registration.client == client && registration.info.get_fullname() == name)
    }

    fn fan_out(&self, name: &str, event: &MdnsEvent) {
        for (client, seat) in &self.clients {
            if seat.browsing && !self.is_own(*client, name) {
                self.tell(*client, event.clone());
            }
        }
    }

    fn tell(&self, client: Client, event: MdnsEvent) {
        if let Some(seat) = self.clients.get(&client) {
            // Hints: one that does not fit is lost.
            let _full = seat.events.try_send(event);
        }
    }

    /// Gives the daemon up, tells why, and starts another after a pause.
    fn failed(&mut self, why: &str) {
        tracing::debug!(target: "lansession::mdns", why, "mDNS starts again");
        self.drop_daemon();
        self.restart = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        for client in self.clients.keys() {
            self.tell(*client, MdnsEvent::Failed { why: why.into() });
        }
    }

    fn drop_daemon(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            // Not waited for: it may be what hangs.
            let _status = daemon.daemon.shutdown();
        }
        self.known.clear();
    }

    async fn tick(&mut self) {
        self.goodbyes.retain(|(.., since)| since.elapsed() < ANSWER);
        self.apply();
        let late = |r: &Registration| !r.seen && !r.waiting && r.since.elapsed() > ANNOUNCED_WITHIN;
        // Others' announcements prove the socket.
        let unheard = self.registrations.iter().any(late) && !self.registrations.iter().any(|r| r.seen);
        if self.daemon.is_some() && unheard {
            return self.failed("no announcement left this machine");
        }
        let Some(daemon) = &self.daemon else { return };
        let Ok(receiver) = daemon.daemon.get_metrics() else { return };
        match timeout(ANSWER, receiver.recv_async()).await {
            Ok(Ok(metrics)) => {
                let cached: i64 = metrics.iter().filter(|(name, _)| name.starts_with("cached")).map(|(_, n)| *n).sum();
                if cached > CACHE {
                    self.failed("the mDNS cache is flooded");
                }
            }
            _ => self.failed("the mDNS daemon does not answer"),
        }
    }

    async fn end(mut self) {
        let Some(daemon) = self.daemon.take() else { return };
        let mut goodbyes = Vec::new();
        for registration in &self.registrations {
            goodbyes.extend(daemon.daemon.unregister(registration.info.get_fullname()));
        }
        let all = async {
            for goodbye in goodbyes {
                let _gone = goodbye.recv_async().await;
            }
        };
        let _late = timeout(GOODBYE, all).await;
        if let Ok(ended) = daemon.daemon.shutdown() {
            let _late = timeout(ANSWER, ended.recv_async()).await;
        }
    }
}

fn start(setup: &Setup) -> Result<Daemon, Error> {
    let daemon = ServiceDaemon::new_with_port(setup.port)?;
    match choose_interfaces(&daemon, setup).and_then(|()| daemon.monitor()) {
        Ok(monitor) => Ok(Daemon { daemon, monitor: Feed::new(monitor), browse: None }),
        Err(error) => {
            let _status = daemon.shutdown();
            Err(error)
        }
    }
}

/// Comes before anything is registered or asked, so nothing was sent on an interface that is not wanted.
fn choose_interfaces(daemon: &ServiceDaemon, setup: &Setup) -> Result<(), Error> {
    if setup.loopback_only {
        daemon.disable_interface(IfKind::All)?;
        // IPv6 multicast does not work on loopback.
        daemon.enable_interface(IfKind::LoopbackV4)?;
    } else if !setup.interfaces.is_empty() {
        daemon.disable_interface(IfKind::All)?;
        let wanted = setup.interfaces.clone();
        daemon.enable_interface(IfKind::Predicate(IfPredicate::new(move |interface| {
            wanted.iter().any(|wanted| {
                *wanted == interface.name || wanted.parse::<IpAddr>().is_ok_and(|wanted| wanted == interface.ip())
            })
        })))?;
    }
    Ok(())
}

fn resolved(service: &ResolvedService) -> Option<MdnsEvent> {
    if service.port == 0 {
        return None;
    }
    let mut addresses: Vec<SocketAddr> = service
        .addresses
        .iter()
        .map(|ip| match ip {
            ScopedIp::V6(v6) if v6.addr().is_unicast_link_local() => {
                SocketAddrV6::new(*v6.addr(), service.port, 0, v6.scope_id().index).into()
            }
            other => SocketAddr::new(other.to_ip_addr(), service.port),
        })
        .collect();
    // The daemon keeps them in no order.
    addresses.sort();
    addresses.truncate(ADDRESSES);
    let txt = service.txt_properties.iter().take(TXT_PAIRS);
    let txt = txt.map(|pair| (pair.key().to_owned(), pair.val_str().to_owned())).collect();
    Some(MdnsEvent::Resolved { instance: service.fullname.clone(), addresses, txt })
}

/// Names that say nothing of machine or user, and that nobody else has.
fn random_names() -> Option<(String, String)> {
    let mut random = [0; 16];
    SystemRandom::new().fill(&mut random).ok()?;
    let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let (instance, host) = text.split_at(16);
    Some((instance.to_owned(), format!("{host}.local.")))
}
