//! What happens in a run, drawn before it begins: a list that the shrinker can cut.

use std::fmt;
use std::time::Duration;

use rand::rngs::ChaCha12Rng;
use rand::{Rng, RngExt, SeedableRng};

use super::air::{TAPS, Weather, Wire, of_migration, within};
use crate::proto::clock::Moment;

/// What a run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Profile {
    /// A bit of everything.
    Mixed,
    /// Loss, duplicates, partitions, one-way cuts, pulled cables, new addresses.
    Network,
    /// Faults fired by frames: crashes, restarts, cuts, stalls.
    Keyed,
    /// Everything, and hostile nodes.
    Hostile,
    /// Hostile nodes and nothing else that goes wrong: what ends here ended by them.
    Siege,
    /// So many objects that caps are reached.
    Pressure,
    /// Invites, friends, reservations, parties, matchmaking.
    Social,
    /// Hosts that go, by their own will or not, and faults fired by what members say to each other then.
    Migration,
}

impl Profile {
    pub(super) const ALL: [Self; 8] = [
        Self::Mixed,
        Self::Network,
        Self::Keyed,
        Self::Hostile,
        Self::Siege,
        Self::Pressure,
        Self::Social,
        Self::Migration,
    ];

    pub(super) fn of_seed(seed: u64) -> Self {
        let at = usize::try_from(seed % 8).unwrap_or_default();
        Self::ALL.get(at).copied().unwrap_or(Self::Mixed)
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    pub(super) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    pub(super) fn has_foes(self) -> bool {
        matches!(self, Self::Hostile | Self::Siege)
    }
}

/// What somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Host,
    HostAgain,
    Browse,
    CloseBrowser,
    Refresh,
    Find,
    Join,
    JoinParty,
    Cancel,
    Leave,
    Destroy,
    Update,
    UpdateIf,
    UpdateMe,
    Say,
    Kick,
    Ban,
    Unban,
    Phase,
    Status,
    Role,
    Turn,
    Reserve,
    ChangeReservation,
    Invite,
    Revoke,
    AcceptInvite,
    RejectInvite,
    Friends,
    Presence,
    FindAccount,
    Matchmake,
    Diagnose,
    SignOut,
    Close,
    SetState,
    HandOver,
    CanHost,
    Successors,
    /// Many of one thing at once.
    Burst,
}

/// What goes wrong. Those with a time end by themselves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// This node and another hear each other no more.
    Cut(Duration),
    /// This node is not heard by another.
    OneWay(Duration),
    /// Nobody hears it and it hears nobody.
    Isolate(Duration),
    /// Two halves, by the bits.
    Split(u16, Duration),
    Crash,
    Restart(Duration),
    Freeze(Duration),
    /// The cable is out.
    Unplug(Duration),
    /// Another address.
    Renumber,
    /// Its process reads nothing from TCP.
    SlowReader(Duration),
    Weather(Weather, Duration),
    /// As above, to a node that hosts a session which others have joined.
    HostCrash,
    HostRestart(Duration),
    HostIsolate(Duration),
    HostFreeze(Duration),
}

/// What a hostile node does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evil {
    Replay,
    ReplayFlood,
    Tamper,
    FalseAdvert,
    FalseGoodbye,
    FalseDeath,
    Questions,
    Garbage,
    Dial,
    JoinWell,
    Return,
    Frames,
    OldFrames,
    Hangup,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum What {
    Do(Op),
    Go(Fault),
    Foe(Evil),
}

/// One thing that happens at its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Step {
    pub(super) at: Moment,
    pub(super) node: usize,
    pub(super) what: What,
    /// Decides whatever is to be chosen at that moment.
    pub(super) dice: u64,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.at.as_micros() / 1_000;
        write!(f, "{:>4}.{:03} n{} {:?} (dice {:#x})", ms / 1_000, ms % 1_000, self.node, self.what, self.dice)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Sent,
    Heard,
}

/// What a keyed fault does: to the sender of what was sent, to the hearer of what was heard, unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Only this copy is lost.
    Lose,
    Crash,
    CrashRestart(Duration),
    CutSender(Duration),
    CutReceiver(Duration),
    Split(u16, Duration),
    Stall(Duration),
}

/// A fault that a frame or datagram fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keyed {
    /// Which of [`TAPS`].
    pub(super) tap: usize,
    pub(super) when: When,
    /// So many go by first.
    pub(super) skip: u8,
    pub(super) act: Act,
}

impl fmt::Display for Keyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = TAPS.get(self.tap).map_or("?", |&(name, _)| name);
        write!(f, "on {name} {:?}, after {} others: {:?}", self.when, self.skip, self.act)
    }
}

/// A whole run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Schedule {
    pub(super) seed: u64,
    pub(super) profile: Profile,
    /// Honest ones.
    pub(super) nodes: usize,
    pub(super) foes: usize,
    pub(super) grace: Duration,
    /// When everything heals and nobody asks for anything more.
    pub(super) heal: Moment,
    pub(super) weather: Weather,
    pub(super) mdns: bool,
    pub(super) cold_arp: bool,
    pub(super) socket_buffer: bool,
    pub(super) steps: Vec<Step>,
    pub(super) keyed: Vec<Keyed>,
}

fn ms(rng: &mut ChaCha12Rng, least: u64, most: u64) -> Duration {
    Duration::from_millis(rng.random_range(least..=most))
}

impl Schedule {
    /// A pure function of seed and profile.
    pub(super) fn draw(seed: u64, profile: Profile) -> Self {
        let mut rng = ChaCha12Rng::seed_from_u64(seed ^ 0x5eed_0000_0000_0000);
        let rng = &mut rng;
        let active = ms(rng, 4_000, 14_000);
        let foes = if profile.has_foes() { rng.random_range(1..=2) } else { 0 };
        let calm = matches!(profile, Profile::Siege);
        let rough = |rng: &mut ChaCha12Rng, of: f64| !calm && rng.random_bool(of);
        let grace = match rng.random_range(0..10) {
            0 => Duration::from_secs(30),
            1..=3 => Duration::from_secs(8),
            _ => Duration::from_secs(3),
        };
        let nodes = match rng.random_range(0..10) {
            0 => rng.random_range(7..=9),
            1..=3 => rng.random_range(5..=6),
            _ => rng.random_range(3..=4),
        };
        let mut this = Self {
            seed,
            profile,
            nodes,
            foes,
            grace,
            heal: Moment::ZERO + active,
            weather: if rough(rng, 0.4) { weather(rng) } else { Weather::default() },
            mdns: rng.random_bool(0.2),
            cold_arp: rough(rng, 0.3),
            socket_buffer: rough(rng, 0.3),
            steps: Vec::new(),
            keyed: Vec::new(),
        };
        this.beginnings(rng);
        let ops = rng.random_range(12..=45);
        for _ in 0..ops {
            let op = pick(rng, this.ops());
            this.push(rng, active, What::Do(op));
        }
        if profile == Profile::Migration {
            for _ in 0..rng.random_range(1..=4) {
                let fault = host_fault(rng);
                this.push(rng, active, What::Go(fault));
            }
        }
        let faults = match profile {
            Profile::Siege => 0,
            Profile::Network => rng.random_range(3..=10),
            Profile::Pressure | Profile::Social | Profile::Keyed => rng.random_range(0..=3),
            Profile::Mixed | Profile::Hostile => rng.random_range(0..=6),
            Profile::Migration => rng.random_range(0..=4),
        };
        for _ in 0..faults {
            let fault = fault(rng);
            this.push(rng, active, What::Go(fault));
        }
        let keyed = match profile {
            Profile::Siege => 0,
            Profile::Keyed => rng.random_range(2..=7),
            Profile::Migration => rng.random_range(1..=8),
            _ => rng.random_range(0..=2),
        };
        for _ in 0..keyed {
            let tap = match profile {
                Profile::Migration => of_migration().nth(rng.random_range(0..of_migration().count())).unwrap_or(0),
                _ => rng.random_range(0..TAPS.len()),
            };
            let datagram = matches!(TAPS.get(tap), Some((_, Wire::Datagram(_))));
            let when = if !datagram && rng.random_bool(0.4) { When::Heard } else { When::Sent };
            let act = act(rng, when);
            this.keyed.push(Keyed { tap, when, skip: rng.random_range(0..=6), act });
        }
        for _ in 0..this.foes * rng.random_range(10..=30) {
            let evil = pick(rng, EVILS);
            let at = Moment::ZERO + within(rng, active);
            let node = this.nodes + rng.random_range(0..this.foes);
            this.steps.push(Step { at, node, what: What::Foe(evil), dice: rng.next_u64() });
        }
        this.steps.sort_by_key(|step| step.at);
        this
    }

    fn push(&mut self, rng: &mut ChaCha12Rng, active: Duration, what: What) {
        let at = Moment::ZERO + within(rng, active);
        let node = rng.random_range(0..self.nodes);
        self.steps.push(Step { at, node, what, dice: rng.next_u64() });
    }

    /// Somebody hosts and somebody looks, or nothing would happen.
    fn beginnings(&mut self, rng: &mut ChaCha12Rng) {
        let early = Duration::from_millis(300);
        if self.profile == Profile::Social {
            for node in 0..self.nodes {
                let at = Moment::ZERO;
                self.steps.push(Step { at, node, what: What::Do(Op::Friends), dice: rng.next_u64() });
                self.steps.push(Step { at, node, what: What::Do(Op::Presence), dice: rng.next_u64() });
            }
        }
        self.push(rng, early, What::Do(Op::Host));
        if rng.random_bool(0.4) {
            self.push(rng, early, What::Do(Op::Host));
        }
        for node in 0..self.nodes {
            if rng.random_bool(0.5) {
                let at = Moment::ZERO + within(rng, early);
                self.steps.push(Step { at, node, what: What::Do(Op::Browse), dice: rng.next_u64() });
            }
            if rng.random_bool(if self.profile == Profile::Migration { 0.95 } else { 0.7 }) {
                let at = Moment::ZERO + early + within(rng, 4 * early);
                self.steps.push(Step { at, node, what: What::Do(Op::Join), dice: rng.next_u64() });
            }
        }
    }

    fn ops(&self) -> &'static [(Op, u32)] {
        match self.profile {
            Profile::Social => SOCIAL,
            Profile::Pressure => PRESSURE,
            Profile::Migration => MIGRATION,
            _ => COMMON,
        }
    }

    /// Everything that is in it, for whoever looks for the fault.
    pub(super) fn describe(&self) -> String {
        let mut text = format!(
            "{} honest nodes, {} hostile, grace {:?}, heals at {:?}, weather {:?}, mdns {}, cold arp {}, buffers {}\n",
            self.nodes,
            self.foes,
            self.grace,
            self.heal.since(Moment::ZERO),
            self.weather,
            self.mdns,
            self.cold_arp,
            self.socket_buffer,
        );
        for keyed in &self.keyed {
            text.push_str(&format!("         {keyed}\n"));
        }
        for step in &self.steps {
            text.push_str(&format!("{step}\n"));
        }
        text
    }
}

fn weather(rng: &mut ChaCha12Rng) -> Weather {
    Weather {
        loss: [0.0, 0.02, 0.1, 0.2].get(rng.random_range(0..4)).copied().unwrap_or(0.0),
        duplicate: [0.0, 0.1].get(rng.random_range(0..2)).copied().unwrap_or(0.0),
        late: [0.0, 0.1, 0.5].get(rng.random_range(0..3)).copied().unwrap_or(0.0),
        by: ms(rng, 1, 80),
    }
}

fn fault(rng: &mut ChaCha12Rng) -> Fault {
    let short = ms(rng, 50, 6_000);
    match rng.random_range(0..13) {
        0 | 1 => Fault::Cut(short),
        2 | 3 => Fault::OneWay(short),
        4 => Fault::Isolate(short),
        5 => Fault::Split(rng.random(), short),
        6 => Fault::Crash,
        7 => Fault::Restart(ms(rng, 5, 300)),
        8 => Fault::Freeze(ms(rng, 100, 5_000)),
        9 => Fault::Unplug(short),
        10 => Fault::Renumber,
        11 => Fault::SlowReader(short),
        _ => Fault::Weather(weather(rng), short),
    }
}

fn host_fault(rng: &mut ChaCha12Rng) -> Fault {
    match rng.random_range(0..8) {
        0..=2 => Fault::HostCrash,
        3 => Fault::HostRestart(ms(rng, 5, 300)),
        4 | 5 => Fault::HostIsolate(ms(rng, 50, 9_000)),
        6 => Fault::HostFreeze(ms(rng, 100, 7_000)),
        _ => Fault::Split(rng.random(), ms(rng, 50, 9_000)),
    }
}

fn act(rng: &mut ChaCha12Rng, when: When) -> Act {
    let short = ms(rng, 50, 5_000);
    match rng.random_range(0..8) {
        0 if when == When::Sent => Act::Lose,
        0 | 1 => Act::Crash,
        2 | 3 => Act::CrashRestart(ms(rng, 5, 300)),
        4 => Act::CutSender(short),
        5 => Act::CutReceiver(short),
        6 => Act::Split(rng.random(), short),
        _ => Act::Stall(ms(rng, 100, 4_000)),
    }
}

fn pick<T: Copy>(rng: &mut ChaCha12Rng, from: &[(T, u32)]) -> T {
    let all: u32 = from.iter().map(|(_, weight)| weight).sum();
    let mut at = rng.random_range(0..all);
    for &(what, weight) in from {
        if at < weight {
            return what;
        }
        at -= weight;
    }
    unreachable!("the weights add up")
}

const COMMON: &[(Op, u32)] = &[
    (Op::Host, 5),
    (Op::HostAgain, 1),
    (Op::Browse, 3),
    (Op::CloseBrowser, 1),
    (Op::Refresh, 1),
    (Op::Find, 3),
    (Op::Join, 24),
    (Op::JoinParty, 4),
    (Op::Cancel, 2),
    (Op::Leave, 4),
    (Op::Destroy, 1),
    (Op::Update, 10),
    (Op::UpdateIf, 2),
    (Op::UpdateMe, 14),
    (Op::Say, 8),
    (Op::Kick, 2),
    (Op::Ban, 2),
    (Op::Unban, 1),
    (Op::Phase, 2),
    (Op::Status, 4),
    (Op::Role, 3),
    (Op::Turn, 1),
    (Op::Reserve, 4),
    (Op::ChangeReservation, 2),
    (Op::Invite, 3),
    (Op::Revoke, 1),
    (Op::AcceptInvite, 2),
    (Op::RejectInvite, 1),
    (Op::Friends, 2),
    (Op::Presence, 1),
    (Op::FindAccount, 1),
    (Op::Matchmake, 1),
    (Op::Diagnose, 1),
    (Op::SignOut, 1),
    (Op::Close, 1),
    (Op::SetState, 2),
    (Op::HandOver, 2),
    (Op::CanHost, 1),
    (Op::Successors, 1),
];

const SOCIAL: &[(Op, u32)] = &[
    (Op::Host, 4),
    (Op::Join, 12),
    (Op::JoinParty, 10),
    (Op::Leave, 4),
    (Op::Update, 4),
    (Op::UpdateMe, 4),
    (Op::Kick, 2),
    (Op::Ban, 2),
    (Op::Status, 4),
    (Op::Role, 4),
    (Op::Reserve, 10),
    (Op::ChangeReservation, 6),
    (Op::Invite, 12),
    (Op::Revoke, 3),
    (Op::AcceptInvite, 12),
    (Op::RejectInvite, 3),
    (Op::Friends, 4),
    (Op::Presence, 4),
    (Op::FindAccount, 4),
    (Op::Matchmake, 8),
    (Op::SignOut, 1),
];

const PRESSURE: &[(Op, u32)] = &[
    (Op::Host, 3),
    (Op::Browse, 2),
    (Op::Join, 8),
    (Op::Leave, 2),
    (Op::Update, 2),
    (Op::UpdateMe, 4),
    (Op::Kick, 1),
    (Op::Burst, 14),
];

const MIGRATION: &[(Op, u32)] = &[
    (Op::Host, 1),
    (Op::Browse, 1),
    (Op::Join, 16),
    (Op::JoinParty, 2),
    (Op::Leave, 5),
    (Op::Update, 5),
    (Op::UpdateIf, 1),
    (Op::UpdateMe, 8),
    (Op::Say, 4),
    (Op::Kick, 2),
    (Op::Ban, 1),
    (Op::Phase, 1),
    (Op::Status, 1),
    (Op::Role, 1),
    (Op::Reserve, 2),
    (Op::Invite, 2),
    (Op::AcceptInvite, 2),
    (Op::SignOut, 1),
    (Op::Close, 1),
    (Op::SetState, 5),
    (Op::HandOver, 6),
    (Op::CanHost, 2),
    (Op::Successors, 2),
];

const EVILS: &[(Evil, u32)] = &[
    (Evil::Replay, 6),
    (Evil::ReplayFlood, 2),
    (Evil::Tamper, 4),
    (Evil::FalseAdvert, 4),
    (Evil::FalseGoodbye, 4),
    (Evil::FalseDeath, 3),
    (Evil::Questions, 2),
    (Evil::Garbage, 2),
    (Evil::Dial, 5),
    (Evil::JoinWell, 4),
    (Evil::Return, 5),
    (Evil::Frames, 8),
    (Evil::OldFrames, 6),
    (Evil::Hangup, 3),
];
