//! One engine among hosts made by hand: whom it dials for a proof, and what becomes of it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::*;
use crate::proto::io::{Arrival, Closed, LinkId, LocalUser};
use crate::types::{
    BrowserEvent, BrowserId, HostKey, HostRequest, Identity, Left, Migration, PathKind, PublicFacts, SessionEvent,
    SessionSettings,
};
use crate::wire::datagram::{Advert, Alive, Goodbye, GoodbyeReason, Kind, Lineage, Prefix, Probe};
use crate::wire::frame::made::{after, key, takeover};
use crate::wire::frame::{Frame, Reign, Takeover, Way, frames, lineage_digest};

struct One {
    engine: Engine,
    now: Moment,
    sent: Vec<Transmit>,
    actions: Vec<Action>,
    outputs: Vec<Output>,
}

fn peer() -> SocketAddr {
    "10.0.0.2:40000".parse().unwrap()
}

impl One {
    fn new() -> Self {
        let config = EngineConfig {
            game: "game".into(),
            version: 1,
            beacon_port: 7_777,
            beacons: true,
            mdns: false,
            targets: Vec::new(),
            tuning: Arc::default(),
        };
        let now = Moment::from_micros(1_000_000);
        let engine = Engine::new(config, [5; 32], 1_000);
        let mut one = Self { engine, now, sent: Vec::new(), actions: Vec::new(), outputs: Vec::new() };
        let interface = Interface {
            index: 2,
            name: "eth0".into(),
            address: "10.0.0.1".parse().unwrap(),
            prefix: 24,
            broadcast: Some("10.0.0.255".parse().unwrap()),
            loopback: false,
            point_to_point: false,
            wireless: false,
            port: 40_001,
            deaf: None,
        };
        one.engine.handle_interfaces(now, vec![interface]);
        one.drain();
        one
    }

    fn drain(&mut self) {
        self.sent.extend(std::iter::from_fn(|| self.engine.poll_transmit()));
        self.actions.extend(std::iter::from_fn(|| self.engine.poll_action()));
        self.outputs.extend(std::iter::from_fn(|| self.engine.poll_output()));
    }

    fn command(&mut self, command: Command) {
        self.engine.handle_command(self.now, command);
        self.drain();
    }

    fn link(&mut self, event: LinkEvent) {
        self.engine.handle_link(self.now, event);
        self.drain();
    }

    fn heard(&mut self, bytes: Vec<u8>, shared: bool) {
        let local: IpAddr = "10.0.0.1".parse().unwrap();
        self.engine.handle_arrival(self.now, Arrival { interface: 2, local, from: peer(), shared, bytes });
        self.drain();
    }

    /// Runs; probes to the peer are answered by this.
    fn run(&mut self, time: Duration, answer: &dyn Fn(&Probe) -> Option<Vec<u8>>) {
        let end = self.now + time;
        while let Some(next) = self.engine.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(next);
            self.engine.handle_timeout(self.now);
            self.drain();
            for transmit in std::mem::take(&mut self.sent) {
                let probe = Probe::decode(&transmit.bytes).ok().filter(|_| transmit.to == peer());
                if let Some(bytes) = probe.and_then(|probe| answer(&probe)) {
                    self.heard(bytes, false);
                }
                self.sent.push(transmit);
            }
        }
        self.now = end;
    }

    fn dialled(&mut self, host: HostKey) -> Option<(LinkId, SocketAddr)> {
        let wanted = |action: &Action| matches!(action, Action::Dial { expect, .. } if *expect == Some(host));
        let at = self.actions.iter().position(wanted)?;
        match self.actions.remove(at) {
            Action::Dial { link, to, .. } => Some((link, to)),
            _ => None,
        }
    }

    /// The host at the other end of a dial proves its key and answers.
    fn proves(&mut self, link: LinkId, host: &Identity, lineage: Vec<Takeover>) {
        let (local, remote) = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:6000".parse().unwrap());
        let peer = host.public();
        self.link(LinkEvent::Open { link, peer, binding: [0; 32], local, remote, fallback: false });
        self.says(link, &Frame::Lineage { lineage });
    }

    fn says(&mut self, link: LinkId, frame: &Frame) {
        for frame in frames(frame) {
            let (kind, more, payload) = (frame[2], frame[3] & 1 != 0, frame[4..].to_vec());
            self.link(LinkEvent::Frame { link, kind, more, payload });
        }
    }

    /// The host that it gives way to is asked for a seat, and has none.
    fn has_no_seat(&mut self, host: &Identity, lineage: Vec<Takeover>) {
        let (link, _) = self.dialled(host.public().into()).expect("asked for a seat before anything else");
        let (local, remote) = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:6000".parse().unwrap());
        self.link(LinkEvent::Open { link, peer: host.public(), binding: [0; 32], local, remote, fallback: false });
        self.says(link, &Frame::Won { lineage, began: 9 });
        self.says(link, &Frame::Refuse { refusal: crate::types::Refusal::NotFound, sticky: true });
    }
}

/// The session of `founder` under its next host.
struct Heir {
    host: Identity,
    session: SessionKey,
    salt: u64,
    incarnation: u64,
    facts: PublicFacts,
    lineage: Vec<Takeover>,
}

impl Heir {
    fn new(founder: &Identity, session: SessionKey, incarnation: u64, salt: u64, facts: PublicFacts) -> Self {
        let host = key(77);
        let step = takeover(session, incarnation, (founder, Reign::FOUNDER), (&host, after(Reign::FOUNDER)));
        Self { host, session, salt, incarnation, facts, lineage: vec![step] }
    }

    fn advert(&self) -> Vec<u8> {
        let digest = lineage_digest(self.session, self.incarnation, &self.lineage);
        let advert = Advert {
            host_key: self.host.public().into(),
            id: self.session.id,
            many: false,
            old: false,
            migratable: true,
            id_derived: true,
            account_shown: false,
            salt: self.salt,
            incarnation: self.incarnation,
            term: 2,
            sequence: 1,
            echo: 0,
            ttl: 100,
            interval: 40,
            hosts_heard: 1,
            tcp_port: 6_000,
            udp_port: 40_000,
            path: PathKind::Ipv4Multicast,
            facts: self.facts.clone(),
            lineage: Some(Lineage { founder: self.session.founder, digest }),
            incompatible: false,
        };
        advert.encode(hash::game_tag("game"), &self.host)
    }

    fn alive(&self, probe: &Probe) -> Option<Vec<u8>> {
        let host_key = HostKey::from(self.host.public());
        let alive = Alive {
            host_key,
            id: self.session.id,
            incarnation: self.incarnation,
            term: 2,
            sequence: 1,
            echo: probe.nonce,
            ttl: 100,
            digest: probe.known_digest,
        };
        (probe.host_tag == hash::host_tag(host_key)).then(|| alive.encode(hash::game_tag("game"), &self.host))
    }
}

fn founded(founder: &Identity, salt: u64) -> SessionKey {
    let host_key = founder.public().into();
    SessionKey { id: hash::derived_id(host_key, salt), founder: host_key }
}

fn some_facts() -> PublicFacts {
    let mut one = One::new();
    hosting(&mut one).2
}

/// Signs in as key 1, hosts under its own key, and listens.
fn hosting(one: &mut One) -> (SessionKey, u64, PublicFacts, u64) {
    let identity = key(1);
    let account = identity.account();
    one.command(Command::SignIn { user: LocalUser { identity, name: "ada".into(), external: None } });
    let what = HostRequest::new(SessionSettings::new("room")).migration(Migration::Quorum).show_account(true);
    one.command(Command::Host { request: RequestId(1), account, what: Box::new(what) });
    let listen = |action: &Action| match action {
        Action::Listen { session, .. } => Some(*session),
        _ => None,
    };
    let session = one.actions.iter().find_map(listen).unwrap();
    one.engine.handle_listening(one.now, session, Ok(5_000));
    one.drain();
    one.run(Duration::from_millis(200), &|_| None);
    let mut adverts = one.sent.iter().filter_map(|transmit| Advert::decode(&transmit.bytes).ok());
    let advert = adverts.next_back().expect("it announces itself");
    assert!(advert.migratable);
    (session, advert.incarnation, advert.facts, advert.salt)
}

/// Fails when the engine does not dial, dials somebody else than who echoed, or does not tell what came of it.
#[test]
fn a_browse_shows_a_migrated_session_once_its_host_was_dialled_and_proved_it() {
    let session = founded(&key(1), 9);
    let heir = Heir::new(&key(1), session, 1_000, 9, some_facts());
    let mut one = One::new();
    one.command(Command::OpenBrowser { browser: BrowserId(1), query: Box::default() });
    one.run(Duration::from_millis(100), &|_| None);
    one.heard(heir.advert(), true);
    assert!(one.dialled(heir.host.public().into()).is_none(), "it has echoed nothing yet");
    one.run(Duration::from_millis(300), &|probe| heir.alive(probe));
    let (link, to) = one.dialled(heir.host.public().into()).expect("a dial for the proof");
    assert_eq!(to, "10.0.0.2:6000".parse().unwrap());
    one.proves(link, &heir.host, heir.lineage.clone());
    one.run(Duration::from_millis(100), &|_| None);
    let found = one.outputs.iter().find_map(|output| match output {
        Output::Browser { events, .. } => events.iter().find_map(|event| match event {
            BrowserEvent::Found(found) => Some(found.clone()),
            _ => None,
        }),
        _ => None,
    });
    let found = found.expect("listed");
    assert_eq!((found.key(), found.host_key()), (session, heir.host.public().into()));
    assert!(one.actions.iter().any(|action| matches!(action, Action::Close { link: closed, .. } if *closed == link)));
}

/// Fails when a host believes an advert, or a proof that it did not fetch itself; or when it goes on after it did.
#[test]
fn a_host_gives_way_to_a_later_one_that_it_has_reached() {
    let mut one = One::new();
    let (session, incarnation, facts, salt) = hosting(&mut one);
    one.command(Command::OpenBrowser { browser: BrowserId(1), query: Box::default() });
    one.run(Duration::from_millis(100), &|_| None);
    let heir = Heir::new(&key(1), session, incarnation, salt, facts);
    let host_key = HostKey::from(heir.host.public());
    let left = |one: &One| {
        one.outputs.iter().any(|output| match output {
            Output::Seat { events, .. } => {
                events.iter().any(|event| matches!(event, SessionEvent::Left { why: Left::Superseded }))
            }
            _ => false,
        })
    };
    one.heard(heir.advert(), true);
    one.run(Duration::from_millis(300), &|probe| heir.alive(probe));
    assert!(!left(&one));
    let (link, _) = one.dialled(host_key).expect("a dial for the proof");
    one.sent.clear();
    one.proves(link, &heir.host, heir.lineage.clone());
    assert!(!left(&one), "not before it has been there");
    one.has_no_seat(&heir.host, heir.lineage.clone());
    one.run(Duration::from_millis(300), &|probe| heir.alive(probe));
    assert!(left(&one));
    let goodbye = one.sent.iter().find_map(|transmit| Goodbye::decode(&transmit.bytes).ok()).expect("finders are told");
    assert_eq!((goodbye.reason, goodbye.next), (GoodbyeReason::Handover, Some(host_key)));
    // Its own list has the session all the time, under the host that it gave way to.
    let entry = one.engine.discovery.entry(&session).expect("held");
    assert_eq!((entry.host_key(), entry.is_migrating()), (host_key, false));
    let lost = one.outputs.iter().any(|output| {
        matches!(output, Output::Browser { events, .. } if events.iter().any(|e| matches!(e, BrowserEvent::Lost(_))))
    });
    assert!(!lost);
}

/// Fails when the lineage of another session, or one cut short, is believed.
#[test]
fn a_host_stays_where_the_rival_proves_nothing() {
    let mut one = One::new();
    let (session, incarnation, facts, salt) = hosting(&mut one);
    let heir = Heir::new(&key(1), session, incarnation, salt, facts);
    let mut few = heir.lineage.clone();
    few[0].votes.pop();
    for lineage in [Vec::new(), few] {
        one.heard(heir.advert(), true);
        one.run(Duration::from_millis(300), &|probe| heir.alive(probe));
        if let Some((link, _)) = one.dialled(heir.host.public().into()) {
            one.proves(link, &heir.host, lineage);
        }
        one.run(Duration::from_secs(61), &|_| None);
        assert!(one.engine.sessions.hosts(session));
    }
    let said = |transmit: &Transmit| Prefix::peek(&transmit.bytes).unwrap().known_kind() == Some(Kind::Goodbye);
    assert!(!one.sent.iter().any(said));
}

/// Fails when a Claim is believed without a dial of our own.
#[test]
fn a_claim_by_tcp_makes_a_host_look_for_itself() {
    let mut one = One::new();
    let (session, incarnation, facts, salt) = hosting(&mut one);
    let heir = Heir::new(&key(1), session, incarnation, salt, facts);
    let host_key = HostKey::from(heir.host.public());
    let way = Way {
        session,
        incarnation,
        host_key,
        addresses: vec!["10.0.0.77:6000".parse().unwrap()],
        lineage: heir.lineage.clone(),
    };
    let (link, local, remote) = (LinkId(1), "10.0.0.1:5000".parse().unwrap(), "10.0.0.2:50000".parse().unwrap());
    one.link(LinkEvent::Incoming { link, session, remote });
    one.link(LinkEvent::HelloBegun { link });
    one.link(LinkEvent::Open { link, peer: heir.host.public(), binding: [0; 32], local, remote, fallback: false });
    for frame in frames(&Frame::Claim(Box::new(way))) {
        let (kind, more, payload) = (frame[2], frame[3] & 1 != 0, frame[4..].to_vec());
        one.link(LinkEvent::Frame { link, kind, more, payload });
    }
    assert!(one.engine.sessions.hosts(session), "said is not shown");
    let (first, to) = one.dialled(host_key).expect("where the word came from");
    assert_eq!(to, "10.0.0.2:6000".parse().unwrap());
    let (second, to) = one.dialled(host_key).expect("and where it says that it is");
    assert_eq!(to, "10.0.0.77:6000".parse().unwrap());
    one.link(LinkEvent::Closed { link: second, why: Closed::Unreachable });
    one.proves(first, &heir.host, heir.lineage.clone());
    one.has_no_seat(&heir.host, heir.lineage.clone());
    assert!(!one.engine.sessions.hosts(session));
}
