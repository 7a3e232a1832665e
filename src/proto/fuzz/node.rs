//! One process of the fuzzed network: an engine, its users and what its system did for it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::watch::Watch;
use crate::proto::clock::Moment;
use crate::proto::engine::{Engine, EngineConfig};
use crate::proto::io::{Command, Interface, LocalUser};
use crate::proto::machine::Machine;
use crate::proto::tuning::Tuning;
use crate::types::Identity;

pub(super) const BEACON_PORT: u16 = 20_000;
const GAME: &str = "com.example.boxes";
/// The wall clock at the start, in Unix milliseconds.
const EPOCH_MS: u64 = 1_700_000_000_000;
/// So many wakes within so little time are no work but a loop.
const SPINS: u32 = 500;
const SPIN: Duration = Duration::from_millis(2);

/// A key pair by number.
pub(super) fn identity(number: u8) -> Identity {
    static ALL: OnceLock<Vec<Identity>> = OnceLock::new();
    let make = |number: u8| Identity::from_seed([number + 1; 32]).unwrap_or_else(|error| panic!("{error}"));
    let all = ALL.get_or_init(|| (0..16).map(make).collect());
    all.get(usize::from(number & 15)).cloned().unwrap_or_else(|| make(0))
}

pub(super) struct Node {
    pub(super) at: usize,
    pub(super) engine: Engine,
    /// When its engine's time began.
    born: Moment,
    pub(super) users: Vec<Identity>,
    pub(super) watch: Watch,
    pub(super) sockets: bool,
    pub(super) plugged: bool,
    /// Whether its system gives it no listener and no thread.
    pub(super) poor: bool,
    /// Nothing comes in or goes out.
    pub(super) dark: bool,
    pub(super) stopped: bool,
    pub(super) next_incoming: u64,
    pub(super) next_browser: u64,
    lives: u8,
    wakes: (u32, Moment),
    /// What its engine said last of its next wake; `None` since it was touched.
    wake: Option<Option<Moment>>,
}

impl Node {
    pub(super) fn new(at: usize, now: Moment) -> Self {
        let mut node = Self {
            at,
            engine: engine(at, 0, 0),
            born: now,
            users: Vec::new(),
            watch: Watch::default(),
            sockets: false,
            plugged: true,
            poor: false,
            dark: false,
            stopped: false,
            next_incoming: 1,
            next_browser: 1,
            lives: 0,
            wakes: (0, now),
            wake: None,
        };
        node.sign_in(now);
        node
    }

    /// Its process is killed and started again.
    pub(super) fn restart(&mut self, now: Moment) {
        self.lives = self.lives.wrapping_add(1);
        self.engine = engine(self.at, self.lives, now.as_micros() / 1_000);
        self.born = now;
        self.watch = Watch::default();
        self.sockets = false;
        self.stopped = false;
        self.users.clear();
        self.touched();
        self.sign_in(now);
    }

    fn sign_in(&mut self, now: Moment) {
        // Two users of the second process may make a party.
        let numbers: &[u8] = if self.at == 1 { &[1, 3] } else { &[if self.at == 0 { 0 } else { 2 }] };
        let now = self.age(now);
        for &number in numbers {
            let identity = identity(number);
            self.users.push(identity.clone());
            let user = LocalUser { identity, name: format!("user {number}"), external: None };
            self.engine.handle_command(now, Command::SignIn { user });
        }
    }

    /// The engine's own time.
    pub(super) fn age(&self, now: Moment) -> Moment {
        Moment::ZERO + now.since(self.born)
    }

    /// It is about to handle something.
    pub(super) fn touched(&mut self) {
        self.wake = None;
    }

    /// When it wants to be woken, never before a moment from now.
    pub(super) fn due(&mut self, now: Moment) -> Option<Moment> {
        let at = match self.wake {
            Some(known) => known,
            None => *self.wake.insert(self.engine.poll_timeout()),
        };
        let at = at?;
        Some((self.born + at.since(Moment::ZERO)).max(now + Duration::from_micros(1)))
    }

    /// An engine that wants to be woken at a time that has passed, again and again, takes a whole core.
    pub(super) fn count_wake(&mut self, now: Moment) {
        if now.since(self.wakes.1) > SPIN {
            self.wakes = (0, now);
        }
        self.wakes.0 += 1;
        assert!(self.wakes.0 < SPINS, "engine {} spins at {now:?}", self.at);
    }

    pub(super) fn ip(&self) -> IpAddr {
        ip(self.at)
    }

    /// The socket of its own.
    pub(super) fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip(), 30_000)
    }

    pub(super) fn interfaces(&self) -> Vec<Interface> {
        let interface = Interface {
            index: 2,
            name: "eth0".into(),
            address: self.ip(),
            prefix: 24,
            broadcast: Some(Ipv4Addr::new(10, 0, 0, 255)),
            loopback: false,
            point_to_point: false,
            wireless: self.at == 2,
            port: self.address().port(),
            deaf: None,
        };
        if self.plugged { vec![interface] } else { Vec::new() }
    }
}

pub(super) fn ip(at: usize) -> IpAddr {
    IpAddr::from([10, 0, 0, u8::try_from(at % 200).unwrap_or_default() + 1])
}

fn engine(at: usize, life: u8, age_ms: u64) -> Engine {
    let tuning = Tuning { password_rounds: NonZeroU32::MIN, ..Tuning::default() };
    let config = EngineConfig {
        game: GAME.into(),
        version: 7,
        beacon_port: BEACON_PORT,
        beacons: true,
        mdns: true,
        targets: Vec::new(),
        tuning: Arc::new(tuning),
    };
    let mut seed = [life; 32];
    if let Some(first) = seed.first_mut() {
        *first = u8::try_from(at % 200).unwrap_or_default();
    }
    Engine::new(config, seed, EPOCH_MS + age_ms)
}
