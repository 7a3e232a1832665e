//! Whole drivers on loopback, with fakes for the engine.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::*;
use crate::proto::clock::Moment;
use crate::proto::io::*;
use crate::proto::machine::Machine;
use crate::types::{HostKey, Identity, PathKind, SessionId, SessionKey};

const WAIT: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub(super) enum Seen {
    Arrival(Arrival),
    Interfaces(Vec<Interface>),
    Failure(SendFailure),
    Link(LinkEvent),
    Listening(Result<u16, String>),
    Mdns,
    Derived(u64, bool),
    Timeout,
}

#[derive(Default)]
struct Script {
    seen: Vec<Seen>,
    actions: VecDeque<Action>,
    transmits: VecDeque<Transmit>,
    farewell: Vec<Transmit>,
    due: Option<Moment>,
    now: Moment,
}

#[derive(Clone, Default)]
struct Shared(Arc<(Mutex<Script>, Condvar)>);

impl Shared {
    fn with<R>(&self, f: impl FnOnce(&mut Script) -> R) -> R {
        f(&mut self.0.0.lock().unwrap())
    }

    fn saw(&self, seen: Seen) {
        self.with(|script| script.seen.push(seen));
        self.0.1.notify_all();
    }
}

struct Fake(Shared);

impl Machine for Fake {
    fn handle_command(&mut self, now: Moment, _: Command) {
        self.0.with(|script| script.now = now);
    }
    fn handle_arrival(&mut self, _: Moment, arrival: Arrival) {
        self.0.saw(Seen::Arrival(arrival));
    }
    fn handle_interfaces(&mut self, _: Moment, interfaces: Vec<Interface>) {
        self.0.saw(Seen::Interfaces(interfaces));
    }
    fn handle_send_failure(&mut self, _: Moment, failure: SendFailure) {
        self.0.saw(Seen::Failure(failure));
    }
    fn handle_link(&mut self, _: Moment, event: LinkEvent) {
        self.0.saw(Seen::Link(event));
    }
    fn handle_listening(&mut self, _: Moment, _: SessionKey, result: Result<u16, String>) {
        self.0.saw(Seen::Listening(result));
    }
    fn handle_mdns(&mut self, _: Moment, _: MdnsEvent) {
        self.0.saw(Seen::Mdns);
    }
    fn handle_derived(&mut self, _: Moment, id: u64, key: Result<[u8; 32], String>) {
        self.0.saw(Seen::Derived(id, key.is_ok()));
    }
    fn handle_timeout(&mut self, now: Moment) {
        if self.0.with(|script| script.due.is_some_and(|due| due <= now) && script.due.take().is_some()) {
            self.0.saw(Seen::Timeout);
        }
    }
    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.0.with(|script| script.transmits.pop_front())
    }
    fn poll_action(&mut self) -> Option<Action> {
        self.0.with(|script| script.actions.pop_front())
    }
    fn poll_output(&mut self) -> Option<Output> {
        None
    }
    fn poll_timeout(&mut self) -> Option<Moment> {
        self.0.with(|script| script.due)
    }
    fn farewell(&mut self) -> Vec<Transmit> {
        self.0.with(|script| std::mem::take(&mut script.farewell))
    }
}

struct Nudges(Mutex<mpsc::UnboundedReceiver<()>>);

impl CommandSource for Nudges {
    fn poll_command(&self, cx: &mut Context<'_>) -> Poll<Option<Command>> {
        let nudge = self.0.lock().unwrap().poll_recv(cx);
        nudge.map(|nudge| nudge.map(|()| Command::Diagnose { request: RequestId(0) }))
    }
}

struct Nowhere;

impl OutputSink for Nowhere {
    fn deliver(&mut self, _: Output) {}
}

/// A driver with a fake engine that does what the test says.
pub(super) struct Node {
    shared: Shared,
    nudge: mpsc::UnboundedSender<()>,
    handle: Option<DriverHandle>,
    read: usize,
}

pub(super) fn config(beacon_port: u16) -> Config {
    Config { beacon_port, loopback_only: true, mdns: false, ..Config::default() }
}

impl Node {
    pub(super) fn new(config: Config) -> Self {
        let shared = Shared::default();
        let (nudge, nudges) = mpsc::unbounded_channel();
        let handle = spawn(Fake(shared.clone()), config, Nudges(Mutex::new(nudges)), Nowhere).unwrap();
        Self { shared, nudge, handle: Some(handle), read: 0 }
    }

    pub(super) fn act(&self, action: Action) {
        self.shared.with(|script| script.actions.push_back(action));
        self.nudge.send(()).unwrap();
    }

    fn send(&self, transmit: Transmit) {
        self.shared.with(|script| script.transmits.push_back(transmit));
        self.nudge.send(()).unwrap();
    }

    /// The next thing the engine saw of which `pick` makes something; what comes before it is skipped.
    pub(super) fn next<R>(&mut self, mut pick: impl FnMut(&Seen) -> Option<R>) -> R {
        self.try_next(WAIT, &mut pick).expect("what the test waits for did not come")
    }

    fn try_next<R>(&mut self, wait: Duration, mut pick: impl FnMut(&Seen) -> Option<R>) -> Option<R> {
        let until = Instant::now() + wait;
        let (script, changed) = &*self.shared.0;
        let mut script = script.lock().unwrap();
        loop {
            while self.read < script.seen.len() {
                self.read += 1;
                if let Some(found) = pick(&script.seen[self.read - 1]) {
                    return Some(found);
                }
            }
            let left = until.checked_duration_since(Instant::now())?;
            script = changed.wait_timeout(script, left).unwrap().0;
        }
    }

    fn open_sockets(&mut self) -> Vec<Interface> {
        self.act(Action::Sockets { open: true });
        self.next(|seen| if let Seen::Interfaces(list) = seen { Some(list.clone()) } else { None })
    }

    fn arrival(&mut self, bytes: &[u8]) -> Arrival {
        self.next(|seen| match seen {
            Seen::Arrival(arrival) if arrival.bytes == bytes => Some(arrival.clone()),
            _ => None,
        })
    }

    fn listen(&mut self, session: SessionKey, key: &Identity, port: u16) -> u16 {
        self.act(Action::Listen { session, key: key.clone(), port });
        self.next(|seen| if let Seen::Listening(result) = seen { Some(result.clone().unwrap()) } else { None })
    }

    fn dial(&self, link: u64, port: u16, expect: Option<HostKey>, seed: u8) {
        let identity = identity(seed);
        self.act(Action::Dial { link: LinkId(link), to: ([127, 0, 0, 1], port).into(), expect, identity });
    }

    fn opened(&mut self) -> LinkId {
        self.next(|seen| match seen {
            Seen::Link(LinkEvent::Open { link, .. }) => Some(*link),
            Seen::Link(LinkEvent::Closed { why, .. }) => panic!("closed: {why:?}"),
            _ => None,
        })
    }

    fn closed(&mut self) -> Closed {
        self.next(|seen| if let Seen::Link(LinkEvent::Closed { why, .. }) = seen { Some(*why) } else { None })
    }

    fn frame(&mut self) -> (u8, bool, Vec<u8>) {
        self.next(|seen| match seen {
            Seen::Link(LinkEvent::Frame { kind, more, payload, .. }) => Some((*kind, *more, payload.clone())),
            _ => None,
        })
    }
}

pub(super) fn identity(seed: u8) -> Identity {
    Identity::from_seed([seed; 32]).unwrap()
}

fn host_key(seed: u8) -> HostKey {
    HostKey::from(identity(seed).public())
}

pub(super) fn session(n: u8) -> SessionKey {
    SessionKey { id: SessionId::from_bytes([n; 16]), founder: host_key(n) }
}

fn frame(kind: u8, more: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(payload.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend([kind, u8::from(more)]);
    bytes.extend(payload);
    bytes
}

/// A UDP port for a beacon port: one that no system gives out by itself, so that no other test's socket gets it.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut ports = std::iter::repeat_with(|| {
        let next = std::process::id().wrapping_mul(16).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        29_500 + u16::try_from(next % 3_000).unwrap()
    });
    ports.by_ref().take(3_000).find(|&port| UdpSocket::bind(("0.0.0.0", port)).is_ok()).unwrap()
}

fn loopback(list: &[Interface]) -> Via {
    let lo = list.iter().find(|i| i.address == IpAddr::from([127, 0, 0, 1])).unwrap();
    Via::Interface { index: lo.index, address: lo.address }
}

fn transmit(via: Via, to: impl Into<SocketAddr>, path: PathKind, bytes: &[u8]) -> Transmit {
    Transmit { via, to: to.into(), path, bytes: bytes.into() }
}

/// A host and a joiner with a link between them.
fn linked() -> (Node, Node, LinkId, LinkId) {
    let (mut host, mut joiner) = (Node::new(config(0)), Node::new(config(0)));
    let port = host.listen(session(2), &identity(2), 0);
    joiner.dial(2, port, Some(host_key(2)), 1);
    let at_joiner = joiner.opened();
    let at_host = host.opened();
    (host, joiner, at_host, at_joiner)
}

#[test]
fn what_one_input_makes_the_engine_do_is_done_to_its_end() {
    let mut node = Node::new(config(0));
    let nothing = || Action::Unlisten { session: session(1) };
    node.shared.with(|script| script.actions.extend(std::iter::repeat_with(nothing).take(50_000)));
    node.listen(session(2), &identity(2), 0);
}

#[test]
fn a_link_opens_in_order_and_frames_go_both_ways() {
    let (mut host, mut joiner) = (Node::new(config(0)), Node::new(config(0)));
    let port = host.listen(session(2), &identity(2), 0);
    joiner.dial(2, port, Some(host_key(2)), 1);
    let (link, peer, binding) = joiner.next(|seen| match seen {
        Seen::Link(LinkEvent::Open { link, peer, binding, fallback: false, .. }) => Some((*link, *peer, *binding)),
        _ => None,
    });
    assert_eq!((link, peer), (LinkId(2), identity(2).public()));
    let mut order = Vec::new();
    let accepted = host.next(|seen| match seen {
        Seen::Link(LinkEvent::Incoming { link, session: to, .. }) => {
            assert_eq!(*to, session(2));
            order.push(*link);
            None
        }
        Seen::Link(LinkEvent::HelloBegun { link }) => {
            order.push(*link);
            None
        }
        Seen::Link(LinkEvent::Open { link, peer, binding: theirs, .. }) => {
            assert_eq!((*peer, *theirs), (identity(1).public(), binding));
            Some(*link)
        }
        _ => None,
    });
    assert_eq!(order, [accepted, accepted]);
    assert_eq!(accepted.0 % 2, 1);

    let long = vec![7; 65_535];
    joiner.act(Action::Send { link, bytes: frame(1, false, b"hello") });
    joiner.act(Action::Send { link, bytes: frame(2, true, &long) });
    joiner.act(Action::Send { link, bytes: frame(3, false, b"") });
    assert_eq!(host.frame(), (1, false, b"hello".to_vec()));
    assert_eq!(host.frame(), (2, true, long));
    assert_eq!(host.frame(), (3, false, Vec::new()));
    let mut written = 0;
    while written < 9 + 65_539 + 4 {
        written += joiner.next(|seen| match seen {
            Seen::Link(LinkEvent::Written { bytes, .. }) => Some(*bytes),
            _ => None,
        });
    }
    host.act(Action::Send { link: accepted, bytes: frame(4, false, b"welcome") });
    assert_eq!(joiner.frame(), (4, false, b"welcome".to_vec()));
}

#[test]
fn last_words_come_before_a_flushed_close() {
    let (host, mut joiner, at_host, at_joiner) = linked();
    let mut host = host;
    // The joiner's own bytes lie unread at the host: they must not turn its close into a reset.
    for _ in 0..20 {
        joiner.act(Action::Send { link: at_joiner, bytes: frame(1, false, &[0; 60_000]) });
    }
    host.act(Action::Send { link: at_host, bytes: frame(9, false, b"refused") });
    host.act(Action::Close { link: at_host, flush: true });
    assert_eq!(joiner.frame(), (9, false, b"refused".to_vec()));
    assert_eq!(joiner.closed(), Closed::ByPeer);
    assert_eq!(host.closed(), Closed::ByUs);
}

#[test]
fn an_immediate_close_is_told_once() {
    let (mut host, mut joiner, at_host, _) = linked();
    host.act(Action::Close { link: at_host, flush: false });
    host.act(Action::Close { link: at_host, flush: true });
    assert_eq!(host.closed(), Closed::ByUs);
    assert_eq!(joiner.closed(), Closed::ByPeer);
    let again = host.try_next(Duration::from_millis(100), |seen| matches!(seen, Seen::Link(_)).then_some(()));
    assert!(again.is_none());
}

#[test]
fn a_flush_to_a_peer_that_takes_nothing_ends_within_its_second() {
    let mut host = Node::new(config(0));
    let port = host.listen(session(2), &identity(2), 0);
    // A peer that finishes the handshake and then reads nothing more.
    let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let name = rustls::pki_types::ServerName::IpAddress(IpAddr::from([127, 0, 0, 1]).into());
    let mut tls = rustls::ClientConnection::new(tls::client(&identity(1), None).unwrap(), name).unwrap();
    while tls.is_handshaking() || tls.wants_write() {
        tls.complete_io(&mut socket).unwrap();
    }
    let link = host.opened();
    for _ in 0..400 {
        host.act(Action::Send { link, bytes: frame(1, false, &[0; 60_000]) });
    }
    let begun = Instant::now();
    host.act(Action::Close { link, flush: true });
    assert_eq!(host.closed(), Closed::ByUs);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn a_wrong_key_a_closed_port_and_a_silent_refusal_are_told_apart() {
    let (mut host, mut joiner) = (Node::new(config(0)), Node::new(config(0)));
    let port = host.listen(session(2), &identity(2), 0);
    joiner.dial(2, port, Some(host_key(3)), 1);
    assert_eq!(joiner.closed(), Closed::WrongKey);
    assert_eq!(host.closed(), Closed::Handshake);
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    joiner.dial(4, unused, None, 1);
    assert_eq!(joiner.closed(), Closed::Refused);
}

#[test]
fn garbage_and_tls_1_2_are_turned_away() {
    let mut host = Node::new(config(0));
    let port = host.listen(session(2), &identity(2), 0);
    let mut garbage = TcpStream::connect(("127.0.0.1", port)).unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let closed = host.next(|seen| match seen {
        Seen::Link(LinkEvent::HelloBegun { .. }) => panic!("that was no hello"),
        Seen::Link(LinkEvent::Closed { why, .. }) => Some(*why),
        _ => None,
    });
    assert_eq!(closed, Closed::Handshake);

    // A TLS 1.2 hello: version 3.3, 32 random bytes, no session, ECDHE-ECDSA-AES128-GCM, no compression, no extensions.
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    hello[4] = u8::try_from(hello.len() - 5).unwrap();
    hello[8] = u8::try_from(hello.len() - 9).unwrap();
    let mut old = TcpStream::connect(("127.0.0.1", port)).unwrap();
    old.write_all(&hello).unwrap();
    assert_eq!(host.closed(), Closed::Handshake);
    let mut answer = Vec::new();
    let _reset = old.read_to_end(&mut answer);
    // At most an alert.
    assert!(answer.is_empty() || answer[0] == 0x15, "{answer:?}");
}

#[test]
fn a_frame_with_unknown_flags_ends_the_link() {
    let (mut host, joiner, _, at_joiner) = linked();
    joiner.act(Action::Send { link: at_joiner, bytes: vec![0, 0, 1, 0x80] });
    assert_eq!(host.closed(), Closed::Protocol);
}

#[test]
fn two_hundred_silent_connections_do_not_hold_up_a_dial() {
    let (mut host, mut joiner) = (Node::new(config(0)), Node::new(config(0)));
    let port = host.listen(session(2), &identity(2), 0);
    let silent: Vec<_> = (0..200).map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap()).collect();
    joiner.dial(2, port, Some(host_key(2)), 1);
    joiner.opened();
    host.opened();
    drop(silent);
}

#[test]
fn a_flooding_peer_does_not_hold_up_another() {
    let (mut host, flooder, _, flood) = linked();
    let port = host.listen(session(3), &identity(3), 0);
    for _ in 0..300 {
        flooder.act(Action::Send { link: flood, bytes: frame(1, false, &[0; 65_000]) });
    }
    let mut joiner = Node::new(config(0));
    joiner.dial(2, port, Some(host_key(3)), 1);
    let link = joiner.opened();
    joiner.act(Action::Send { link, bytes: frame(5, false, b"me too") });
    host.next(|seen| match seen {
        Seen::Link(LinkEvent::Frame { kind: 5, .. }) => Some(()),
        _ => None,
    });
}

#[test]
fn a_port_in_use_is_an_error_and_unlisten_frees_it() {
    let mut host = Node::new(config(0));
    let port = host.listen(session(2), &identity(2), 0);
    host.act(Action::Listen { session: session(3), key: identity(3), port });
    let refused = host.next(|seen| if let Seen::Listening(result) = seen { Some(result.clone()) } else { None });
    assert!(refused.is_err());
    host.act(Action::Unlisten { session: session(2) });
    assert_eq!(host.listen(session(3), &identity(3), port), port);
    // Both families on one port.
    assert!(TcpStream::connect(("::1", port)).is_ok());
}

#[test]
fn broadcast_and_multicast_reach_every_driver_on_the_beacon_port() {
    let port = free_port();
    let (mut a, mut b) = (Node::new(config(port)), Node::new(config(port)));
    let list = a.open_sockets();
    b.open_sockets();
    let via = loopback(&list);
    a.send(transmit(via, ([127, 255, 255, 255], port), PathKind::DirectedBroadcast, b"broadcast"));
    a.send(transmit(via, ([239, 255, 76, 83], port), PathKind::Ipv4Multicast, b"multicast"));
    for node in [&mut a, &mut b] {
        for bytes in [&b"broadcast"[..], b"multicast"] {
            let arrival = node.arrival(bytes);
            assert!(arrival.shared);
            let Via::Interface { index, .. } = via else { panic!() };
            assert_eq!(arrival.interface, index);
        }
    }
}

#[test]
fn every_socket_of_a_driver_has_one_port_that_the_engine_is_told() {
    let port = free_port();
    let own = |list: &[Interface]| {
        let ports: std::collections::BTreeSet<u16> = list.iter().map(|interface| interface.port).collect();
        assert_eq!(ports.len(), 1, "{list:?}");
        *ports.first().unwrap()
    };
    let chosen = free_port();
    let fixed = || Config { unicast_port: chosen, ..config(port) };
    let (mut a, mut b) = (Node::new(fixed()), Node::new(fixed()));
    let (first, second) = (a.open_sockets(), b.open_sockets());
    assert_eq!(own(&first), chosen);
    let other = own(&second);
    assert!(other != chosen && other != 0 && other != port, "a second process takes a free one");
    // It is where a datagram comes from, and where one gets to this driver alone.
    let via = loopback(&first);
    a.send(transmit(via, ([127, 0, 0, 1], other), PathKind::Unicast, b"by the port told"));
    let arrival = b.arrival(b"by the port told");
    assert_eq!((arrival.from.port(), arrival.shared), (chosen, false));
    // Closed and opened again, it is the same.
    b.act(Action::Sockets { open: false });
    assert_eq!(own(&b.open_sockets()), other);
}

#[test]
fn a_beacon_port_that_cannot_be_opened_is_told_and_taken_once_it_is_free() {
    let taken = UdpSocket::bind(("0.0.0.0", free_port())).unwrap();
    let mut a = Node::new(config(taken.local_addr().unwrap().port()));
    let list = a.open_sockets();
    let v4 = |list: &[Interface]| list.iter().find(|i| i.address.is_ipv4()).unwrap().clone();
    assert!(v4(&list).deaf.is_some_and(|why| !why.is_empty()));
    assert_ne!(v4(&list).port, 0, "its own socket is not concerned");
    drop(taken);
    a.next(|seen| if let Seen::Interfaces(list) = seen { v4(list).deaf.is_none().then_some(()) } else { None });
}

#[tokio::test]
async fn an_address_that_is_on_its_way_has_no_port_and_its_sends_are_no_failure() {
    let Config { beacon_port: beacon, unicast_port: unicast, group_v4, group_v6, .. } = config(free_port());
    let mut udp = udp::Udp::new(udp::Ports { beacon, unicast, group_v4, group_v6 }, false);
    let listed = interfaces::list(&config(0)).unwrap();
    let up = listed.into_iter().find(|interface| interface.address.is_ipv4()).unwrap();
    // Nobody has this one (RFC 5737): as an IPv6 address in its first second.
    let coming = Interface { address: [192, 0, 2, 1].into(), ..up.clone() };
    udp.update(vec![coming.clone(), up.clone()]);
    let told = udp.interfaces();
    assert_eq!((told[0].port, told[1].port == 0), (0, false));
    let via = Via::Interface { index: coming.index, address: coming.address };
    assert!(udp.send(&transmit(via, ([127, 0, 0, 1], 9), PathKind::Unicast, b"x")).is_ok());
}

#[test]
fn who_asked_the_beacon_port_from_beyond_the_link_is_answered_by_it() {
    let port = free_port();
    let mut a = Node::new(config(port));
    a.open_sockets();
    // Connected, as a firewall is: what comes from another port does not get in.
    let asker = UdpSocket::bind("127.0.0.1:0").unwrap();
    asker.connect(("127.0.0.1", port)).unwrap();
    asker.set_read_timeout(Some(WAIT)).unwrap();
    asker.send(b"question").unwrap();
    let question = a.arrival(b"question");
    a.send(transmit(Via::Routed, question.from, PathKind::Unicast, b"answer"));
    assert_eq!(asker.recv(&mut [0; 16]).unwrap(), 6);
    // A question of its own goes out by a port that no other process shares.
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    other.set_read_timeout(Some(WAIT)).unwrap();
    a.send(transmit(Via::Routed, other.local_addr().unwrap(), PathKind::Unicast, b"typed"));
    assert_ne!(other.recv_from(&mut [0; 16]).unwrap().1.port(), port);
}

#[test]
fn a_unicast_answer_reaches_the_asker_alone() {
    let port = free_port();
    let (mut a, mut b) = (Node::new(config(port)), Node::new(config(port)));
    let via = loopback(&a.open_sockets());
    b.open_sockets();
    a.send(transmit(via, ([127, 255, 255, 255], port), PathKind::DirectedBroadcast, b"question"));
    let question = b.arrival(b"question");
    b.send(transmit(via, question.from, PathKind::Unicast, b"answer"));
    let answer = a.arrival(b"answer");
    assert!(!answer.shared);
    assert_eq!(answer.local, IpAddr::from([127, 0, 0, 1]));
    let stray = b.try_next(Duration::from_millis(50), |seen| match seen {
        Seen::Arrival(arrival) if arrival.bytes == b"answer" => Some(()),
        _ => None,
    });
    assert!(stray.is_none());
}

#[test]
fn routed_and_ipv6_sends_arrive() {
    let mut a = Node::new(config(free_port()));
    let list = a.open_sockets();
    for (bind, via) in [
        ("127.0.0.1:0", Some(Via::Routed)),
        ("[::1]:0", Some(Via::Routed)),
        (
            "[::1]:0",
            list.iter().find(|i| i.address.is_ipv6()).map(|i| Via::Interface { index: i.index, address: i.address }),
        ),
    ] {
        let Some(via) = via else { continue };
        let peer = UdpSocket::bind(bind).unwrap();
        peer.set_read_timeout(Some(WAIT)).unwrap();
        a.send(transmit(via, peer.local_addr().unwrap(), PathKind::Unicast, b"typed"));
        let mut buffer = [0; 16];
        let (length, from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"typed");
        peer.send_to(b"back", from).unwrap();
        assert!(!a.arrival(b"back").shared);
    }
}

#[test]
fn a_killed_host_is_noticed_by_the_probe() {
    let mut a = Node::new(config(free_port()));
    let via = loopback(&a.open_sockets());
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = peer.local_addr().unwrap();
    peer.set_read_timeout(Some(WAIT)).unwrap();
    let probe = [7; 176];
    a.send(transmit(via, to, PathKind::Unicast, &probe));
    let (_, from) = peer.recv_from(&mut [0; 512]).unwrap();
    peer.send_to(b"alive", from).unwrap();
    let alive = a.arrival(b"alive");
    assert_eq!((alive.from, alive.shared), (to, false));
    drop(peer);
    a.send(transmit(via, to, PathKind::Unicast, &probe));
    let failure = a.next(|seen| if let Seen::Failure(failure) = seen { Some(failure.clone()) } else { None });
    assert!(failure.unreachable, "{failure:?}");
    assert_eq!((failure.to, failure.via), (to, via));
}

#[test]
fn an_empty_datagram_hides_nothing_behind_it() {
    let port = free_port();
    let mut a = Node::new(config(port));
    a.open_sockets();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for round in 0..20_u8 {
        sender.send_to(&[], ("127.0.0.1", port)).unwrap();
        sender.send_to(&[round; 3], ("127.0.0.1", port)).unwrap();
        sender.send_to(&[round; 3_000], ("127.0.0.1", port)).unwrap();
    }
    for round in 0..20_u8 {
        assert!(a.arrival(&[round; 3]).shared);
    }
}

#[test]
fn a_send_by_an_interface_that_is_gone_fails_without_harm() {
    let mut a = Node::new(config(free_port()));
    let via = loopback(&a.open_sockets());
    let gone = Via::Interface { index: 9_999, address: [10, 9, 9, 9].into() };
    a.send(transmit(gone, ([127, 0, 0, 1], 9), PathKind::Unicast, b"x"));
    let failure = a.next(|seen| if let Seen::Failure(failure) = seen { Some(failure.clone()) } else { None });
    assert!(!failure.unreachable);
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    a.send(transmit(via, peer.local_addr().unwrap(), PathKind::Unicast, b"y"));
    peer.set_read_timeout(Some(WAIT)).unwrap();
    assert_eq!(peer.recv(&mut [0; 8]).unwrap(), 1);
}

#[test]
fn timers_go_off_and_keys_are_derived() {
    let mut node = Node::new(config(0));
    node.act(Action::Derive { id: 7, password: "swordfish".into(), salt: [1; 32], rounds: std::num::NonZeroU32::MIN });
    node.next(|seen| matches!(seen, Seen::Derived(7, true)).then_some(()));
    node.shared.with(|script| script.due = Some(script.now + Duration::from_millis(30)));
    node.nudge.send(()).unwrap();
    node.next(|seen| matches!(seen, Seen::Timeout).then_some(()));
}

#[test]
fn a_dropped_driver_says_goodbye() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(WAIT)).unwrap();
    let to = peer.local_addr().unwrap();
    let goodbye = |node: &mut Node| {
        let via = loopback(&node.open_sockets());
        node.shared.with(|script| script.farewell = vec![transmit(via, to, PathKind::Unicast, b"goodbye")]);
    };
    let mut node = Node::new(config(free_port()));
    goodbye(&mut node);
    drop(node.handle.take());
    assert_eq!(peer.recv(&mut [0; 64]).unwrap(), 7);

    // On a foreign runtime that is torn down under it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shared = Shared::default();
    let (nudge, nudges) = mpsc::unbounded_channel();
    let driver = Driver::new(Fake(shared.clone()), config(free_port()), Nudges(Mutex::new(nudges)), Nowhere);
    let future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(driver.run());
    runtime.spawn(future);
    shared.with(|script| script.actions.push_back(Action::Sockets { open: true }));
    nudge.send(()).unwrap();
    runtime.block_on(async {
        while shared.with(|script| script.seen.is_empty()) {
            tokio::task::yield_now().await;
        }
    });
    let list = shared.with(|script| match &script.seen[0] {
        Seen::Interfaces(list) => list.clone(),
        other => panic!("{other:?}"),
    });
    let farewell = vec![transmit(loopback(&list), to, PathKind::Unicast, b"bye")];
    shared.with(|script| script.farewell = farewell);
    drop(runtime);
    assert_eq!(peer.recv(&mut [0; 64]).unwrap(), 3);
}

#[test]
fn queued_words_leave_before_the_driver_does() {
    let (mut host, mut joiner, _, at_joiner) = linked();
    joiner.act(Action::Send { link: at_joiner, bytes: frame(6, false, b"leave") });
    joiner.act(Action::Stop);
    drop(joiner.handle.take());
    assert_eq!(host.frame(), (6, false, b"leave".to_vec()));
    assert_eq!(host.closed(), Closed::ByPeer);
}

#[cfg(target_os = "linux")]
#[test]
fn fifty_drivers_leave_no_thread_and_no_descriptor_behind() {
    // Alone in a process: other tests open descriptors too.
    const FLAG: &str = "LANSESSION_DRIVER_LEAK_TEST";
    if std::env::var_os(FLAG).is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "driver::tests::fifty_drivers_leave_no_thread_and_no_descriptor_behind"])
            .env(FLAG, "1")
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let count = |what: &str| std::fs::read_dir(format!("/proc/self/{what}")).unwrap().count();
    let cycle = |n: u8| {
        let mut node = Node::new(config(free_port()));
        let via = loopback(&node.open_sockets());
        let port = node.listen(session(2), &identity(2), 0);
        node.dial(2, port, Some(host_key(2)), 1);
        node.opened();
        node.opened();
        node.send(transmit(via, ([127, 0, 0, 1], 9), PathKind::Unicast, &[n; 176]));
        node.act(Action::Stop);
        let begun = Instant::now();
        drop(node);
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    };
    // The last threads of a cycle may still be at their end.
    let settle = |fds: Option<usize>, tasks: usize| {
        let until = Instant::now() + WAIT;
        while count("task") != tasks || fds.is_some_and(|fds| count("fd") != fds) {
            assert!(Instant::now() < until, "{} descriptors, {} threads left", count("fd"), count("task"));
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let tasks = count("task");
    // What the process opens once and keeps.
    cycle(0);
    settle(None, tasks);
    let fds = count("fd");
    for n in 1..50 {
        cycle(n);
    }
    settle(Some(fds), tasks);
}

#[test]
fn simulated_loss_takes_just_the_datagrams_it_drew_and_latency_keeps_their_order() {
    let fault = NetworkFault::new().loss(0.3).latency(Duration::from_millis(30)).seed(7);
    let mut a = Node::new(Config { simulate: fault, ..config(free_port()) });
    let via = loopback(&a.open_sockets());
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(WAIT)).unwrap();
    let to = peer.local_addr().unwrap();
    let mut judge = Disturbance::new(fault, [0; 32]);
    // All of them fit into the default buffer of a socket.
    let kept: Vec<u16> = (0..200).filter(|_| judge.datagram().is_some()).collect();
    assert!((110..170).contains(&kept.len()), "{}", kept.len());
    for number in 0..200_u16 {
        a.send(transmit(via, to, PathKind::Unicast, &number.to_be_bytes()));
    }
    let mut buffer = [0; 8];
    for number in kept {
        assert_eq!(peer.recv(&mut buffer).unwrap(), 2);
        assert_eq!(buffer[..2], number.to_be_bytes());
    }
    // Nothing else is on its way but what leaves when the sockets close.
    peer.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(peer.recv(&mut buffer).is_err());
}

#[test]
fn what_waits_on_a_simulated_line_leaves_before_its_sockets_close() {
    let fault = NetworkFault::new().latency(NetworkFault::MAX_DELAY);
    let mut a = Node::new(Config { simulate: fault, ..config(free_port()) });
    let via = loopback(&a.open_sockets());
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(WAIT)).unwrap();
    let to = peer.local_addr().unwrap();
    a.send(transmit(via, to, PathKind::Unicast, b"goodbye"));
    a.act(Action::Sockets { open: false });
    assert_eq!(peer.recv(&mut [0; 16]).unwrap(), 7);
    a.open_sockets();
    a.send(transmit(via, to, PathKind::Unicast, b"bye"));
    drop(a.handle.take());
    assert_eq!(peer.recv(&mut [0; 16]).unwrap(), 3);
}

#[test]
fn a_slow_link_opens_and_keeps_its_order_to_the_last_word() {
    let fault = NetworkFault::new().latency(Duration::from_millis(10)).jitter(Duration::from_millis(10)).loss(1.0);
    let slow = || Node::new(Config { simulate: fault, ..config(0) });
    let (mut host, mut joiner) = (slow(), slow());
    let port = host.listen(session(2), &identity(2), 0);
    joiner.dial(2, port, Some(host_key(2)), 1);
    let (at_joiner, at_host) = (joiner.opened(), host.opened());
    for number in 0..50 {
        joiner.act(Action::Send { link: at_joiner, bytes: frame(number, false, &[number; 20_000]) });
    }
    for number in 0..50 {
        assert_eq!(host.frame(), (number, false, vec![number; 20_000]));
    }
    host.act(Action::Send { link: at_host, bytes: frame(9, false, b"refused") });
    host.act(Action::Close { link: at_host, flush: true });
    assert_eq!(joiner.frame(), (9, false, b"refused".to_vec()));
    assert_eq!(joiner.closed(), Closed::ByPeer);
    assert_eq!(host.closed(), Closed::ByUs);
}
