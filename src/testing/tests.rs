//! The world with scripted machines: who hears what, and when.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::fault::{Fault, Rule, Verdict};
use super::topology::Nic;
use super::users::Users;
use super::world::World;
use crate::proto::clock::Moment;
use crate::proto::io::{
    Action, Arrival, Closed, Command, Interface, LinkEvent, LinkId, MdnsAction, MdnsEvent, Output, SendFailure,
    Transmit, Via,
};
use crate::proto::machine::Machine;
use crate::types::{HostKey, Identity, PathKind, SessionId, SessionKey};

const PORT: u16 = 4_000;
const SECOND: Duration = Duration::from_secs(1);

/// All that a machine heard, and what it is to say next.
#[derive(Default)]
struct Log {
    arrivals: Vec<(Moment, Arrival)>,
    failures: Vec<(Moment, SendFailure)>,
    links: Vec<(Moment, LinkEvent)>,
    listening: Vec<Result<u16, String>>,
    mdns: Vec<(Moment, MdnsEvent)>,
    derived: Vec<[u8; 32]>,
    interfaces: Vec<Interface>,
    looks: usize,
    timeouts: Vec<Moment>,
    transmits: Vec<Transmit>,
    actions: Vec<Action>,
    timer: Option<Moment>,
    outputs: Vec<Output>,
    pokes: usize,
    stopped: bool,
}

/// A machine that records what it hears and says what it is told to.
#[derive(Clone, Default)]
pub(super) struct Script(Arc<Mutex<Log>>);

impl Script {
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.0.lock().unwrap()
    }

    /// Says these things at the next turn.
    pub(super) fn act(&self, actions: impl IntoIterator<Item = Action>) {
        let mut log = self.log();
        log.actions.extend(actions);
        log.pokes += 1;
    }

    pub(super) fn send(&self, path: PathKind, via: Via, to: &str, bytes: &[u8]) {
        let transmit = Transmit { via, to: to.parse().unwrap(), path, bytes: Arc::from(bytes) };
        let mut log = self.log();
        log.transmits.push(transmit);
        log.pokes += 1;
    }

    /// The first interface whose address starts so.
    pub(super) fn local(&self, start: &str) -> Via {
        let log = self.log();
        let interface = log.interfaces.iter().find(|i| i.address.to_string().starts_with(start)).unwrap();
        Via::Interface { index: interface.index, address: interface.address }
    }

    /// By the first interface with this address.
    fn send_from(&self, address: &str, path: PathKind, to: &str, bytes: &[u8]) {
        let address: IpAddr = address.parse().unwrap();
        let index = self.log().interfaces.iter().find(|i| i.address == address).unwrap().index;
        self.send(path, Via::Interface { index, address }, to, bytes);
    }

    fn heard(&self) -> Vec<Vec<u8>> {
        self.log().arrivals.iter().map(|(_, arrival)| arrival.bytes.clone()).collect()
    }

    fn link_events(&self) -> Vec<LinkEvent> {
        self.log().links.iter().map(|(_, event)| event.clone()).collect()
    }

    fn frames(&self) -> Vec<Vec<u8>> {
        let frame = |event| if let LinkEvent::Frame { payload, .. } = event { Some(payload) } else { None };
        self.link_events().into_iter().filter_map(frame).collect()
    }

    fn closed(&self) -> Option<Closed> {
        self.link_events()
            .into_iter()
            .find_map(|e| if let LinkEvent::Closed { why, .. } = e { Some(why) } else { None })
    }

    fn opened(&self) -> Option<LinkId> {
        self.link_events()
            .into_iter()
            .find_map(|e| if let LinkEvent::Open { link, .. } = e { Some(link) } else { None })
    }
}

impl Machine for Script {
    fn handle_command(&mut self, _: Moment, _: Command) {}

    fn handle_arrival(&mut self, now: Moment, arrival: Arrival) {
        self.log().arrivals.push((now, arrival));
    }

    fn handle_interfaces(&mut self, _: Moment, interfaces: Vec<Interface>) {
        let mut log = self.log();
        log.interfaces = interfaces;
        log.looks += 1;
    }

    fn handle_send_failure(&mut self, now: Moment, failure: SendFailure) {
        self.log().failures.push((now, failure));
    }

    fn handle_link(&mut self, now: Moment, event: LinkEvent) {
        self.log().links.push((now, event));
    }

    fn handle_listening(&mut self, _: Moment, _: SessionKey, result: Result<u16, String>) {
        self.log().listening.push(result);
    }

    fn handle_mdns(&mut self, now: Moment, event: MdnsEvent) {
        self.log().mdns.push((now, event));
    }

    fn handle_derived(&mut self, _: Moment, _: u64, key: Result<[u8; 32], String>) {
        self.log().derived.extend(key);
    }

    fn handle_timeout(&mut self, now: Moment) {
        let mut log = self.log();
        log.timeouts.push(now);
        log.timer = None;
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        let mut log = self.log();
        (!log.transmits.is_empty()).then(|| log.transmits.remove(0))
    }

    fn poll_action(&mut self) -> Option<Action> {
        let mut log = self.log();
        (!log.actions.is_empty()).then(|| log.actions.remove(0))
    }

    fn poll_output(&mut self) -> Option<Output> {
        None
    }

    fn farewell(&mut self) -> Vec<Transmit> {
        Vec::new()
    }
    fn poll_timeout(&mut self) -> Option<Moment> {
        self.log().timer
    }
}

impl Users for Script {
    /// Any command lets the world look at the machine.
    fn take_command(&mut self) -> Option<Command> {
        let mut log = self.log();
        log.pokes = log.pokes.checked_sub(1)?;
        Some(Command::Refresh { browser: crate::types::BrowserId(0) })
    }

    fn deliver(&mut self, output: Output) {
        self.log().outputs.push(output);
    }

    fn stop(&mut self) {
        self.log().stopped = true;
    }
}

fn process(world: &mut World, node: &str) -> Script {
    let script = Script::default();
    let node = world.node(node);
    world.start(node, PORT, Box::new(|_| true), Box::new(script.clone()), Box::new(script.clone()));
    script.act([Action::Sockets { open: true }]);
    script
}

fn pass(world: &mut World, time: Duration) {
    let deadline = world.now() + time;
    world.run(deadline);
}

/// `a` at 10.77.0.1, `b` at 10.77.0.2, … all on the segment `lan`.
fn world_of(nodes: &[&str]) -> (World, Vec<Script>) {
    let mut world = World::new(1);
    let scripts = nodes.iter().map(|node| process(&mut world, node)).collect();
    pass(&mut world, SECOND);
    (world, scripts)
}

fn broken(world: &mut World, fault: Fault) -> u64 {
    world.faults.add(fault.into_rule())
}

fn session(name: &str) -> (SessionKey, Identity) {
    let identity = Identity::from_seed([u8::try_from(name.len()).unwrap(); 32]).unwrap();
    let founder = HostKey::from(identity.public());
    (SessionKey { id: SessionId::from_name(name), founder }, identity)
}

// -------------------------------------------------------------------------------------------------------- datagrams

#[test]
fn every_process_on_the_segment_hears_a_broadcast_and_so_does_its_sender() {
    let (mut world, nodes) = world_of(&["a", "a", "b", "c"]);
    for (to, path) in [
        ("255.255.255.255:4000", PathKind::LimitedBroadcast),
        ("10.77.255.255:4000", PathKind::DirectedBroadcast),
        ("239.1.2.3:4000", PathKind::Ipv4Multicast),
    ] {
        nodes[0].send_from("10.77.0.1", path, to, to.as_bytes());
    }
    nodes[0].send_from("fe80::0:1", PathKind::Ipv6Multicast, "[ff02::77]:4000", b"six");
    nodes[0].send_from("10.77.0.1", PathKind::LimitedBroadcast, "255.255.255.255:4001", b"another port");
    pass(&mut world, SECOND);
    for node in &nodes {
        let mut heard = node.heard();
        heard.sort();
        assert_eq!(
            heard,
            [
                b"10.77.255.255:4000".to_vec(),
                b"239.1.2.3:4000".to_vec(),
                b"255.255.255.255:4000".to_vec(),
                b"six".to_vec()
            ]
        );
        assert!(node.log().arrivals.iter().all(|(_, arrival)| arrival.shared));
    }
    let b = nodes[2].log();
    let six = b.arrivals.iter().find(|(_, arrival)| arrival.bytes == b"six").unwrap();
    assert!(matches!(six.1.from, SocketAddr::V6(v6) if v6.scope_id() == six.1.interface), "{:?}", six.1.from);
    assert_eq!(world.traffic.datagrams, 5);
    assert_eq!(world.traffic.of("a"), 5);
    assert_eq!(world.traffic.on(PathKind::LimitedBroadcast), 2);
}

#[test]
fn a_reply_comes_to_the_socket_that_asked() {
    let (mut world, nodes) = world_of(&["a", "a", "b"]);
    nodes[1].send_from("10.77.0.1", PathKind::LimitedBroadcast, "255.255.255.255:4000", b"question");
    pass(&mut world, SECOND);
    let from = nodes[2].log().arrivals[0].1.from;
    nodes[2].send_from("10.77.0.2", PathKind::Unicast, &from.to_string(), b"answer");
    pass(&mut world, SECOND);
    assert_eq!(nodes[1].heard().last().unwrap(), b"answer");
    assert!(!nodes[0].heard().contains(&b"answer".to_vec()));
    assert!(!nodes[1].log().arrivals.last().unwrap().1.shared);
}

#[test]
fn unicast_to_the_shared_port_reaches_one_of_several() {
    let (mut world, nodes) = world_of(&["a", "b", "b"]);
    nodes[0].send(PathKind::Unicast, Via::Routed, "10.77.0.2:4000", b"typed");
    pass(&mut world, SECOND);
    assert_eq!(nodes[1].heard().len() + nodes[2].heard().len(), 1);
    assert!(nodes[0].log().failures.is_empty());
}

#[test]
fn port_unreachable_where_the_machine_is_and_silence_where_it_is_not() {
    let (mut world, nodes) = world_of(&["a", "b"]);
    nodes[0].send(PathKind::Unicast, Via::Routed, "10.77.0.2:9", &[0; 176]);
    nodes[0].send(PathKind::Unicast, Via::Routed, "10.77.9.9:9", &[0; 176]);
    pass(&mut world, SECOND);
    let log = nodes[0].log();
    assert_eq!(log.failures.len(), 1);
    assert!(log.failures[0].1.unreachable && log.failures[0].1.to == "10.77.0.2:9".parse().unwrap());
    assert!(log.failures[0].0 > Moment::ZERO + SECOND);
}

#[test]
fn loopback_carries_broadcast_and_ipv4_multicast_of_one_machine() {
    let mut world = World::new(1);
    let node = world.node("pc");
    world.plug(node, vec![Nic::loopback()]);
    let nodes = [process(&mut world, "pc"), process(&mut world, "pc"), process(&mut world, "other")];
    pass(&mut world, SECOND);
    nodes[0].send_from("127.0.0.1", PathKind::DirectedBroadcast, "127.255.255.255:4000", b"broadcast");
    nodes[0].send_from("127.0.0.1", PathKind::Ipv4Multicast, "239.1.2.3:4000", b"group");
    nodes[0].send_from("127.0.0.1", PathKind::LimitedBroadcast, "255.255.255.255:4000", b"limited");
    pass(&mut world, SECOND);
    assert_eq!(nodes[1].heard().len(), 2);
    assert!(nodes[2].heard().is_empty());
    assert_eq!(nodes[0].log().failures.len(), 1);
    assert!(!nodes[0].log().failures[0].1.unreachable);
}

#[test]
fn segments_are_apart_and_a_router_carries_what_is_routed() {
    let mut world = World::new(1);
    for (name, segment, address) in [("a", "one", "10.1.0.1/24"), ("b", "two", "10.2.0.1/24")] {
        let node = world.node(name);
        world.plug(node, vec![Nic::new("eth0", segment).address(address)]);
    }
    let nodes = [process(&mut world, "a"), process(&mut world, "b")];
    pass(&mut world, SECOND);
    nodes[0].send_from("10.1.0.1", PathKind::LimitedBroadcast, "255.255.255.255:4000", b"all");
    nodes[0].send(PathKind::Unicast, Via::Routed, "10.2.0.1:4000", b"too early");
    pass(&mut world, SECOND);
    assert!(nodes[1].heard().is_empty());
    world.topology.join("one", "two");
    nodes[0].send(PathKind::Unicast, Via::Routed, "10.2.0.1:4000", b"routed");
    nodes[0].send_from("10.1.0.1", PathKind::Unicast, "10.2.0.1:4000", b"on-link only");
    pass(&mut world, SECOND);
    assert_eq!(nodes[1].heard(), [b"routed".to_vec()]);
}

#[test]
fn loss_duplication_delay_and_paths() {
    let (mut world, nodes) = world_of(&["a", "b"]);
    let guard = broken(&mut world, Fault::loss(0.2));
    for _ in 0..1_000 {
        nodes[0].send_from("10.77.0.1", PathKind::LimitedBroadcast, "255.255.255.255:4000", b"x");
    }
    pass(&mut world, SECOND);
    let heard = nodes[1].heard().len();
    assert!((740..860).contains(&heard), "{heard}");
    assert_eq!(nodes[0].heard().len(), 1_000, "a machine does not lose what it tells itself");
    world.faults.remove(guard);
    let twice = broken(&mut world, Fault::duplicate(1.0).path(PathKind::DirectedBroadcast));
    broken(&mut world, Fault::silence().path(PathKind::LimitedBroadcast).from("a").to("b"));
    broken(&mut world, Fault::delay(SECOND, SECOND).from("a"));
    nodes[0].send_from("10.77.0.1", PathKind::LimitedBroadcast, "255.255.255.255:4000", b"y");
    nodes[0].send_from("10.77.0.1", PathKind::DirectedBroadcast, "10.77.255.255:4000", b"z");
    pass(&mut world, SECOND);
    assert_eq!(nodes[1].heard().len(), heard);
    pass(&mut world, SECOND);
    assert_eq!(nodes[1].heard().len(), heard + 2);
    world.faults.remove(twice);
}

#[test]
fn reordering_lets_later_ones_overtake() {
    let (mut world, nodes) = world_of(&["a", "b"]);
    world.conditions.delay = (Duration::from_millis(1), Duration::from_millis(1));
    broken(&mut world, Fault::reorder(0.5, Duration::from_millis(50)));
    for number in 0..20_u8 {
        nodes[0].send_from("10.77.0.1", PathKind::LimitedBroadcast, "255.255.255.255:4000", &[number]);
        pass(&mut world, Duration::from_millis(2));
    }
    pass(&mut world, SECOND);
    let heard = nodes[1].heard();
    assert_eq!(heard.len(), 20);
    assert!(heard.windows(2).any(|pair| pair[0] > pair[1]));
}

#[test]
fn rules_see_the_bytes() {
    let (mut world, nodes) = world_of(&["a", "b"]);
    let rule: Rule = Box::new(|flight, _| if flight.bytes == b"bad" { Verdict::Drop } else { Verdict::Pass });
    world.faults.add(rule);
    nodes[0].send_from("10.77.0.1", PathKind::LimitedBroadcast, "255.255.255.255:4000", b"bad");
    nodes[0].send_from("10.77.0.1", PathKind::LimitedBroadcast, "255.255.255.255:4000", b"good");
    pass(&mut world, SECOND);
    assert_eq!(nodes[1].heard(), [b"good".to_vec()]);
}

#[test]
fn a_changed_interface_is_noticed_within_two_seconds_and_the_old_one_fails() {
    let (mut world, nodes) = world_of(&["a", "b"]);
    let a = world.node("a");
    let old = nodes[0].log().interfaces.iter().find(|i| i.name == "eth0").unwrap().clone();
    world.plug(a, vec![Nic::new("eth0", "lan").address("10.77.8.8/16")]);
    let via = Via::Interface { index: old.index, address: old.address };
    nodes[0].send(PathKind::LimitedBroadcast, via, "255.255.255.255:4000", b"gone");
    pass(&mut world, 2 * SECOND);
    assert_eq!(nodes[0].log().failures.len(), 1);
    assert_eq!(nodes[0].log().looks, 2);
    assert_eq!(nodes[0].log().interfaces.len(), 1);
    nodes[0].send_from("10.77.8.8", PathKind::LimitedBroadcast, "255.255.255.255:4000", b"back");
    pass(&mut world, SECOND);
    assert_eq!(nodes[1].heard(), [b"back".to_vec()]);
}

#[test]
fn cold_arp_delays_or_loses_the_first_unicast_only() {
    let (mut world, nodes) = world_of(&["a", "b"]);
    world.conditions.cold_arp = true;
    let arp_only: Rule = Box::new(|flight, _| match flight.path {
        None if flight.now < Moment::ZERO + 2 * SECOND => Verdict::Drop,
        _ => Verdict::Pass,
    });
    let id = world.faults.add(arp_only);
    nodes[0].send(PathKind::Unicast, Via::Routed, "10.77.0.2:4000", b"lost");
    nodes[0].send_from("10.77.0.1", PathKind::LimitedBroadcast, "255.255.255.255:4000", b"broadcast");
    pass(&mut world, 4 * SECOND);
    assert_eq!(nodes[1].heard(), [b"broadcast".to_vec()]);
    world.faults.remove(id);
    nodes[0].send(PathKind::Unicast, Via::Routed, "10.77.0.2:4000", b"after");
    nodes[0].send(PathKind::Unicast, Via::Routed, "10.77.0.2:4000", b"after");
    pass(&mut world, SECOND);
    assert_eq!(nodes[1].heard().len(), 3);
}

#[test]
fn a_full_socket_buffer_drops() {
    let (mut world, nodes) = world_of(&["a", "b"]);
    world.conditions.socket_buffer = true;
    world.conditions.delay = (Duration::from_millis(1), Duration::from_millis(1));
    for _ in 0..1_000 {
        nodes[0].send_from("10.77.0.1", PathKind::LimitedBroadcast, "255.255.255.255:4000", b"x");
    }
    pass(&mut world, SECOND);
    assert_eq!(nodes[1].heard().len(), 166);
    nodes[0].send_from("10.77.0.1", PathKind::LimitedBroadcast, "255.255.255.255:4000", b"x");
    pass(&mut world, SECOND);
    assert_eq!(nodes[1].heard().len(), 167);
}

#[test]
fn a_frozen_process_hears_all_when_it_wakes() {
    let (mut world, nodes) = world_of(&["a", "b"]);
    let b = world.node("b");
    world.freeze(b, 5 * SECOND);
    nodes[1].log().timer = Some(world.now() + SECOND);
    nodes[0].send_from("10.77.0.1", PathKind::LimitedBroadcast, "255.255.255.255:4000", b"x");
    pass(&mut world, 4 * SECOND);
    assert!(nodes[1].heard().is_empty() && nodes[1].log().timeouts.is_empty());
    pass(&mut world, 2 * SECOND);
    assert_eq!(nodes[1].log().arrivals[0].0, Moment::ZERO + 6 * SECOND);
}

#[test]
fn timers_are_exact_and_a_passed_one_does_not_stop_the_clock() {
    let (mut world, nodes) = world_of(&["a"]);
    let at = world.now() + Duration::from_micros(12_345);
    nodes[0].log().timer = Some(at);
    nodes[0].act([]);
    pass(&mut world, SECOND);
    nodes[0].log().timer = Some(Moment::ZERO);
    nodes[0].act([]);
    pass(&mut world, SECOND);
    assert_eq!(nodes[0].log().timeouts, [at, Moment::ZERO + 2 * SECOND + Duration::from_micros(1)]);
}

// ------------------------------------------------------------------------------------------------------ connections

/// `b` listens, `a` has dialled it; nothing has happened yet.
fn dialled(world: &mut World, nodes: &[Script], expect: Option<HostKey>) {
    let (key, identity) = session("room");
    nodes[1].act([Action::Listen { session: key, key: identity, port: 0 }]);
    pass(world, SECOND);
    let port = nodes[1].log().listening[0].clone().unwrap();
    let to = SocketAddr::new(Ipv4Addr::new(10, 77, 0, 2).into(), port);
    let identity = Identity::from_seed([9; 32]).unwrap();
    nodes[0].act([Action::Dial { link: LinkId(2), to, expect, identity }]);
}

fn connected() -> (World, Vec<Script>) {
    let (mut world, nodes) = world_of(&["a", "b"]);
    dialled(&mut world, &nodes, Some(session("room").0.founder));
    pass(&mut world, SECOND);
    (world, nodes)
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(payload.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend([7, 0]);
    bytes.extend(payload);
    bytes
}

fn say(script: &Script, payload: &[u8]) {
    let link = script.opened().unwrap();
    script.act([Action::Send { link, bytes: frame(payload) }]);
}

#[test]
fn both_ends_open_with_the_other_s_key_and_one_binding() {
    let (_, nodes) = connected();
    let (dialler, listener) = (nodes[0].link_events(), nodes[1].link_events());
    let [LinkEvent::Open { peer, binding, local, remote, fallback: false, .. }] = &dialler[..] else {
        panic!("{dialler:?}")
    };
    assert_eq!(*peer, session("room").1.public());
    let [
        LinkEvent::Incoming { link, remote: seen, .. },
        LinkEvent::HelloBegun { .. },
        LinkEvent::Open { peer: account, binding: same, local: there, .. },
    ] = &listener[..]
    else {
        panic!("{listener:?}")
    };
    assert_eq!(*account, Identity::from_seed([9; 32]).unwrap().public());
    assert_eq!((binding, local, remote), (same, seen, there));
    assert_eq!(link.0 % 2, 1);
}

#[test]
fn frames_keep_their_order_and_count_as_written() {
    let (mut world, nodes) = connected();
    for number in 0..50 {
        say(&nodes[0], &[number]);
    }
    say(&nodes[1], b"back");
    pass(&mut world, SECOND);
    assert_eq!(nodes[1].frames(), (0..50).map(|n| vec![n]).collect::<Vec<_>>());
    assert_eq!(nodes[0].frames(), [b"back".to_vec()]);
    let written = |event: &LinkEvent| if let LinkEvent::Written { bytes, .. } = event { *bytes } else { 0 };
    assert_eq!(nodes[0].link_events().iter().map(written).sum::<usize>(), 50 * 5);
    assert_eq!((world.traffic.frames, world.traffic.frame_bytes), (51, 258));
}

#[test]
fn another_key_than_expected_is_no_connection() {
    let (mut world, nodes) = world_of(&["a", "b"]);
    dialled(&mut world, &nodes, Some(session("another room").0.founder));
    pass(&mut world, SECOND);
    assert_eq!(nodes[0].closed(), Some(Closed::WrongKey));
    assert_eq!(nodes[1].closed(), Some(Closed::Handshake));
    assert!(nodes[0].opened().is_none() && nodes[1].opened().is_none());
}

#[test]
fn refused_and_unreachable_dials() {
    let (mut world, nodes) = world_of(&["a", "b"]);
    let identity = Identity::from_seed([9; 32]).unwrap();
    let dial = |link, to: &str| Action::Dial {
        link: LinkId(link),
        to: to.parse().unwrap(),
        expect: None,
        identity: identity.clone(),
    };
    nodes[0].act([dial(2, "10.77.0.2:1"), dial(4, "10.77.9.9:1"), dial(6, "[2001:db8::1]:1")]);
    pass(&mut world, 4 * SECOND);
    let mut closed: Vec<(u64, Closed)> = Vec::new();
    for event in nodes[0].link_events() {
        if let LinkEvent::Closed { link, why } = event {
            closed.push((link.0, why));
        }
    }
    closed.sort_by_key(|&(link, _)| link);
    assert_eq!(closed, [(2, Closed::Refused), (4, Closed::Unreachable), (6, Closed::Unreachable)]);
}

#[test]
fn a_cut_is_silent_and_a_heal_delivers() {
    let (mut world, nodes) = connected();
    let pair = (world.node("a"), world.node("b"));
    world.faults.cuts.insert(pair);
    say(&nodes[0], b"held up");
    say(&nodes[0], b"and this");
    pass(&mut world, 20 * SECOND);
    assert!(nodes[1].frames().is_empty() && nodes[0].closed().is_none() && nodes[1].closed().is_none());
    world.faults.cuts.clear();
    pass(&mut world, 2 * SECOND);
    assert_eq!(nodes[1].frames(), [b"held up".to_vec(), b"and this".to_vec()]);
}

#[test]
fn loss_delays_and_loses_nothing() {
    let (mut world, nodes) = connected();
    broken(&mut world, Fault::loss(0.3));
    for number in 0..100 {
        say(&nodes[0], &[number]);
    }
    pass(&mut world, 60 * SECOND);
    assert_eq!(nodes[1].frames(), (0..100).map(|n| vec![n]).collect::<Vec<_>>());
}

#[test]
fn a_crash_ends_connections_and_refuses_dials() {
    let (mut world, nodes) = connected();
    say(&nodes[1], b"last words");
    pass(&mut world, Duration::ZERO);
    let b = world.node("b");
    world.crash(b);
    assert!(nodes[1].log().stopped);
    pass(&mut world, Duration::from_millis(10));
    assert_eq!(nodes[0].frames(), [b"last words".to_vec()]);
    assert_eq!(nodes[0].closed(), Some(Closed::ByPeer));
    let to = SocketAddr::new(Ipv4Addr::new(10, 77, 0, 2).into(), nodes[1].log().listening[0].clone().unwrap());
    let identity = Identity::from_seed([9; 32]).unwrap();
    nodes[0].log().links.clear();
    nodes[0].act([Action::Dial { link: LinkId(4), to, expect: None, identity }]);
    pass(&mut world, SECOND);
    assert_eq!(nodes[0].closed(), Some(Closed::Refused));
}

#[test]
fn who_writes_after_a_crash_behind_a_cut_learns_it_when_it_heals() {
    let (mut world, nodes) = connected();
    let pair = (world.node("a"), world.node("b"));
    world.faults.cuts.insert(pair);
    world.crash(pair.1);
    pass(&mut world, 5 * SECOND);
    assert_eq!(nodes[0].closed(), None);
    world.faults.cuts.clear();
    pass(&mut world, 5 * SECOND);
    assert_eq!(nodes[0].closed(), Some(Closed::ByPeer));
}

#[test]
fn a_flushing_close_sends_all_and_a_sudden_one_what_was_written() {
    for flush in [true, false] {
        let (mut world, nodes) = connected();
        let link = nodes[0].opened().unwrap();
        let big = frame(&[1; 60_000]);
        let sends = (0..10).map(|_| Action::Send { link, bytes: big.clone() });
        nodes[0].act(sends.chain([Action::Close { link, flush }]));
        pass(&mut world, SECOND);
        assert_eq!(nodes[0].closed(), Some(Closed::ByUs));
        assert_eq!(nodes[1].closed(), Some(Closed::ByPeer));
        assert_eq!(nodes[1].frames().len(), if flush { 10 } else { 4 });
    }
}

#[test]
fn a_reader_that_takes_nothing_holds_up_the_writer_and_nobody_else() {
    let (mut world, nodes) = connected();
    let b = world.node("b");
    world.stall(b, true);
    let link = nodes[0].opened().unwrap();
    let big = frame(&[1; 60_000]);
    nodes[0].act((0..10).map(|_| Action::Send { link, bytes: big.clone() }));
    pass(&mut world, 10 * SECOND);
    let written = |log: &Script| log.link_events().iter().filter(|e| matches!(e, LinkEvent::Written { .. })).count();
    assert_eq!((written(&nodes[0]), nodes[1].frames().len()), (4, 0));
    world.stall(b, false);
    pass(&mut world, SECOND);
    assert_eq!((written(&nodes[0]), nodes[1].frames().len()), (10, 10));
}

#[test]
fn garbage_is_a_protocol_error() {
    let (mut world, nodes) = connected();
    let link = nodes[0].opened().unwrap();
    nodes[0].act([Action::Send { link, bytes: vec![0, 9, 1] }]);
    pass(&mut world, SECOND);
    assert_eq!(nodes[1].closed(), Some(Closed::Protocol));
    assert_eq!(nodes[0].closed(), Some(Closed::ByPeer));
}

#[test]
fn a_lost_address_is_silence_and_a_lost_port_is_taken() {
    let (mut world, nodes) = connected();
    let b = world.node("b");
    world.plug(b, Vec::new());
    say(&nodes[0], b"x");
    pass(&mut world, 10 * SECOND);
    assert!(nodes[0].closed().is_none() && nodes[1].frames().is_empty());
    let port = nodes[1].log().listening[0].clone().unwrap();
    let (key, identity) = session("second room");
    nodes[1].act([Action::Listen { session: key, key: identity, port }]);
    pass(&mut world, SECOND);
    assert!(nodes[1].log().listening[1].is_err());
}

// -------------------------------------------------------------------------------------------------------- the rest

#[test]
fn mdns_resolves_on_common_segments_and_removes() {
    let (mut world, nodes) = world_of(&["a", "b"]);
    let (key, _) = session("room");
    let txt = vec![("v".to_owned(), "1".to_owned())];
    nodes[0].act([Action::Mdns(MdnsAction::Register { session: key, port: 77, txt })]);
    nodes[1].act([Action::Mdns(MdnsAction::Browse)]);
    pass(&mut world, 2 * SECOND);
    assert!(matches!(nodes[0].log().mdns[..], [(_, MdnsEvent::Registered { .. })]));
    {
        let log = nodes[1].log();
        let [(_, MdnsEvent::Resolved { addresses, .. })] = &log.mdns[..] else { panic!("{:?}", log.mdns) };
        assert!(addresses.contains(&"10.77.0.1:77".parse().unwrap()), "{addresses:?}");
        assert!(!addresses.iter().any(|address| address.ip().is_loopback()));
    }
    nodes[0].act([Action::Mdns(MdnsAction::Unregister { session: key })]);
    pass(&mut world, 2 * SECOND);
    assert!(matches!(nodes[1].log().mdns.last(), Some((_, MdnsEvent::Removed { .. }))));
}

#[test]
fn a_password_s_key_is_derived() {
    let (mut world, nodes) = world_of(&["a"]);
    let rounds = std::num::NonZeroU32::new(10).unwrap();
    nodes[0].act([Action::Derive { id: 1, password: "swordfish".into(), salt: [1; 32], rounds }]);
    pass(&mut world, SECOND);
    assert_eq!(nodes[0].log().derived, [crate::wire::hash::password_key(b"swordfish", &[1; 32], rounds)]);
}

#[test]
fn stop_ends_a_process_and_closes_its_sockets() {
    let (mut world, nodes) = connected();
    nodes[1].act([Action::Stop]);
    pass(&mut world, SECOND);
    assert!(nodes[1].log().stopped);
    assert_eq!(nodes[0].closed(), Some(Closed::ByPeer));
    nodes[0].send(PathKind::Unicast, Via::Routed, "10.77.0.2:4000", &[0; 176]);
    pass(&mut world, SECOND);
    assert!(nodes[0].log().failures[0].1.unreachable);
}

#[test]
fn same_seed_same_transcript() {
    let run = |seed| {
        let mut world = World::new(seed);
        let nodes: Vec<Script> = (0..5).map(|n| process(&mut world, &format!("n{n}"))).collect();
        broken(&mut world, Fault::loss(0.3));
        pass(&mut world, SECOND);
        for (number, node) in nodes.iter().enumerate() {
            node.send_from(
                &format!("10.77.0.{}", number + 1),
                PathKind::LimitedBroadcast,
                "255.255.255.255:4000",
                &[1, 2, 3],
            );
        }
        dialled(&mut world, &nodes, None);
        pass(&mut world, 5 * SECOND);
        if let Some(link) = nodes[0].opened() {
            nodes[0].act([Action::Send { link, bytes: frame(b"x") }]);
        }
        pass(&mut world, 5 * SECOND);
        let arrivals: Vec<_> = nodes.iter().map(|node| node.log().arrivals.clone()).collect();
        (world.transcript(), arrivals)
    };
    let first = run(3);
    assert_eq!(first, run(3));
    assert_ne!(first.1, run(4).1);
    assert!(first.0.starts_with("seed 3, digest "));
}
