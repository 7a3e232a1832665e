//! One run: the world, its nodes, the agenda made of a schedule, and a look at everything after each step.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::super::topology::Nic;
use super::super::world::World;
use super::air::{Sky, Weather};
use super::app::{App, News};
use super::brain::Process;
use super::hostile::Foe;
use super::invariants::Lore;
use super::schedule::{Act, Fault, Keyed, Schedule, What};
use super::workload::Dice;
use crate::proto::clock::Moment;
use crate::proto::engine::EngineConfig;
use crate::proto::io::{Command, LocalUser};
use crate::proto::tuning::Tuning;
use crate::types::{AccountId, Identity};

pub(super) const GAME: &str = "com.example.chaos";
pub(super) const BEACON_PORT: u16 = 29_417;
/// After the seats' grace, so long until everything must have come to rest.
const REST: Duration = Duration::from_secs(15);
/// Local users of one process.
const USERS: usize = 2;

/// A process that lives.
pub(super) struct Live {
    pub(super) id: usize,
    pub(super) process: Process,
    pub(super) app: App,
}

/// A machine of a player.
pub(super) struct Node {
    pub(super) users: Vec<Identity>,
    pub(super) live: Option<Live>,
    /// Processes started here.
    starts: u32,
    /// The last number of its address, and whether the cable is in.
    address: usize,
    /// Datagrams sent, when last counted.
    pub(super) sent: u64,
    /// The most sessions hosted and questions open since then.
    pub(super) wishes: u64,
}

impl Node {
    pub(super) fn accounts(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.users.iter().map(Identity::account)
    }

    pub(super) fn account(&self, dice: &mut Dice) -> AccountId {
        dice.pick(&self.users).map_or_else(|| self.users[0].account(), Identity::account)
    }
}

/// What is to be done at a moment.
#[derive(Debug, Clone)]
enum Todo {
    Step(usize),
    Open(Vec<(usize, usize)>),
    Weather(Weather),
    Plug(usize),
    Read(usize),
    Start(usize),
    Count,
    Heal,
}

pub(super) struct Run {
    pub(super) world: World,
    pub(super) sky: Sky,
    pub(super) schedule: Schedule,
    pub(super) nodes: Vec<Node>,
    pub(super) foes: Vec<Foe>,
    pub(super) lore: Lore,
    agenda: BTreeMap<(Moment, u64), Todo>,
    sequence: u64,
    /// One more with each thing that has to differ from all others.
    pub(super) counter: i64,
    healed: bool,
}

impl Run {
    pub(super) fn new(schedule: Schedule) -> Self {
        let all = schedule.nodes + schedule.foes;
        let mut world = World::new(schedule.seed);
        world.conditions.cold_arp = schedule.cold_arp;
        world.conditions.socket_buffer = schedule.socket_buffer;
        world.transcript.mute();
        let sky = Sky::new(all, schedule.foes > 0);
        sky.air().weather = schedule.weather;
        sky.air().armed.clone_from(&schedule.keyed);
        world.faults.add(sky.rule());
        for node in 0..all {
            world.node(&format!("n{node}"));
        }
        let identity = |world: &mut World| Identity::from_seed(world.draw()).unwrap();
        let nodes = (0..schedule.nodes)
            .map(|at| Node {
                users: (0..USERS).map(|_| identity(&mut world)).collect(),
                live: None,
                starts: 0,
                address: at + 1,
                sent: 0,
                wishes: 0,
            })
            .collect();
        let mut lore = Lore::default();
        let foes = (0..schedule.foes).map(|at| Foe::new(&mut world, schedule.nodes + at, &mut lore)).collect();
        let mut this = Self {
            world,
            sky,
            nodes,
            foes,
            lore,
            agenda: BTreeMap::new(),
            sequence: 0,
            counter: 0,
            healed: false,
            schedule,
        };
        for node in 0..this.nodes.len() {
            this.start(node);
        }
        for at in 0..this.schedule.steps.len() {
            this.later(this.schedule.steps[at].at, Todo::Step(at));
        }
        this.later(this.schedule.heal, Todo::Heal);
        this.later(Moment::ZERO + Duration::from_secs(1), Todo::Count);
        this
    }

    fn later(&mut self, at: Moment, what: Todo) {
        self.sequence += 1;
        self.agenda.insert((at, self.sequence), what);
    }

    fn after(&mut self, wait: Duration, what: Todo) {
        self.later(self.world.now() + wait, what);
    }

    pub(super) fn end(&self) -> Moment {
        self.schedule.heal + self.schedule.grace + REST
    }

    // ------------------------------------------------------------------------------------------------- the run

    /// To its end, or to the first broken invariant.
    pub(super) fn go(&mut self) -> Result<(), String> {
        let end = self.end();
        loop {
            while let Some(entry) = self.agenda.first_entry().filter(|entry| entry.key().0 <= self.world.now()) {
                let todo = entry.remove();
                self.todo(todo)?;
            }
            self.world.take_commands();
            self.look()?;
            let next = self.agenda.keys().next().map_or(end, |&(at, _)| at.min(end));
            if !self.world.step(next) && self.world.now() >= end {
                break;
            }
            self.look()?;
        }
        self.at_rest()
    }

    /// One second more, after the end.
    pub(super) fn rest_on(&mut self) -> Result<(), String> {
        let until = self.world.now() + Duration::from_secs(1);
        while self.world.step(until) {
            self.look()?;
        }
        Ok(())
    }

    fn todo(&mut self, todo: Todo) -> Result<(), String> {
        match todo {
            Todo::Step(at) => {
                let Some(step) = self.schedule.steps.get(at).copied() else { return Ok(()) };
                match step.what {
                    What::Do(op) => self.ask(step.node, op, Dice::new(step.dice)),
                    What::Go(fault) => self.fault(step.node, fault, Dice::new(step.dice)),
                    What::Foe(evil) => self.evil(step.node, evil, Dice::new(step.dice)),
                }
            }
            Todo::Open(ways) => {
                ways.into_iter().for_each(|(from, to)| self.sky.air().set(from, to, false));
                self.rough();
            }
            Todo::Weather(weather) => self.sky.air().weather = weather,
            Todo::Plug(node) => self.plug(node, true),
            Todo::Read(node) => self.world.stall(node, false),
            Todo::Start(node) => self.start(node),
            Todo::Count => {
                self.check_budget()?;
                self.after(Duration::from_secs(1), Todo::Count);
            }
            Todo::Heal => self.heal(),
        }
        Ok(())
    }

    /// After each step: what was told is checked as an app would, what was touched is looked into, and what was keyed to a
    /// frame happens.
    fn look(&mut self) -> Result<(), String> {
        for node in 0..self.nodes.len() {
            let Some(live) = self.nodes[node].live.as_ref() else { continue };
            let (id, process) = (live.id, live.process.clone());
            let mut brain = process.brain();
            if !brain.touched && brain.outputs.is_empty() {
                continue;
            }
            brain.touched = false;
            let outputs = std::mem::take(&mut brain.outputs);
            let heard = std::mem::take(&mut brain.heard);
            let wishes = brain.engine.wishes() as u64;
            self.lore.look(node, id, &mut brain)?;
            drop(brain);
            let own = &mut self.nodes[node];
            own.wishes = own.wishes.max(wishes);
            for output in outputs {
                let Some(live) = self.nodes[node].live.as_mut() else { break };
                for news in live.app.told(output)? {
                    self.news(node, news)?;
                }
            }
            if self.world.processes.get(id).is_some_and(|own| !own.alive) {
                self.ended(node);
            }
            let mut air = self.sky.air();
            if !air.armed.is_empty() {
                heard.into_iter().for_each(|kind| air.heard(node, kind));
            }
        }
        self.foes.iter().try_for_each(Foe::check)?;
        let fired = std::mem::take(&mut self.sky.air().fired);
        for (keyed, from, to) in fired {
            self.fire(keyed, from, to);
        }
        Ok(())
    }

    fn news(&mut self, node: usize, news: News) -> Result<(), String> {
        match news {
            News::Seated { key, accounts } => self.check_seated(node, key, &accounts),
            News::Found(key) => self.check_found(node, key),
            News::Lost(key) => self.check_lost(node, key),
            News::Done(request, result) => self.check_done(node, request, &result),
            News::Asked(seat, ask) => {
                self.verdict(node, seat, &ask);
                Ok(())
            }
        }
    }

    // ------------------------------------------------------------------------------------------------ processes

    pub(super) fn start(&mut self, node: usize) {
        if self.nodes[node].live.is_some() {
            return;
        }
        if self.world.is_crashed(node) {
            self.world.restart(node);
        }
        let rounds = NonZeroU32::MIN;
        let tuning = Tuning { password_rounds: rounds, grace: self.schedule.grace, ..Tuning::default() };
        let config = EngineConfig {
            game: GAME.to_owned(),
            version: 1,
            beacon_port: BEACON_PORT,
            beacons: true,
            mdns: self.schedule.mdns,
            targets: Vec::new(),
            tuning: Arc::new(tuning),
        };
        let seed = self.world.draw();
        // A restarted machine may have another idea of the time: a day before, or after.
        let skew = match (self.nodes[node].starts, seed[0] % 4) {
            (1.., 0) => -86_400_000,
            (1.., 1) => 86_400_000,
            _ => 0,
        };
        let unix_ms = self.world.unix_ms().saturating_add_signed(skew);
        let process = Process::new(config, seed, unix_ms);
        let boxes = (Box::new(process.clone()), Box::new(process.clone()));
        let id = self.world.start(node, BEACON_PORT, Box::new(|interface| !interface.loopback), boxes.0, boxes.1);
        let own = &mut self.nodes[node];
        own.starts += 1;
        for (at, identity) in own.users.iter().enumerate() {
            let user = LocalUser { identity: identity.clone(), name: format!("p{node}{at}"), external: None };
            process.brain().commands.push_back(Command::SignIn { user });
        }
        own.live = Some(Live { id, process, app: App::default() });
    }

    fn crash(&mut self, node: usize) {
        if node < self.nodes.len() {
            self.gone(node);
            self.world.crash(node);
            self.rough();
        }
    }

    fn gone(&mut self, node: usize) {
        let Some(live) = self.nodes[node].live.take() else { return };
        self.lore.reigns.present(live.id, Vec::new());
        self.lore.seated.extend(live.app.seats.values().map(|seat| (seat.key(), seat.opened.user)));
    }

    /// Its process ends by its own wish.
    pub(super) fn ended(&mut self, node: usize) {
        self.gone(node);
        self.after(Duration::from_millis(500), Todo::Start(node));
    }

    pub(super) fn is_up(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|own| own.live.is_some())
    }

    // --------------------------------------------------------------------------------------------------- faults

    /// From now on for a while what is lost may be lost by an honest fault.
    pub(super) fn rough(&mut self) {
        self.lore.rough_until = self.world.now() + Duration::from_secs(12);
    }

    fn close(&mut self, ways: Vec<(usize, usize)>, time: Duration) {
        ways.iter().for_each(|&(from, to)| self.sky.air().set(from, to, true));
        self.rough();
        self.after(time, Todo::Open(ways));
    }

    fn all_ways(&self, of: usize) -> Vec<(usize, usize)> {
        (0..self.nodes.len()).filter(|&other| other != of).flat_map(|other| [(of, other), (other, of)]).collect()
    }

    fn split(&mut self, bits: u16, time: Duration) {
        let side = |node: usize| bits >> (node % 16) & 1;
        let count = self.nodes.len();
        let pairs = (0..count).flat_map(|a| (0..count).map(move |b| (a, b)));
        let ways = pairs.filter(|&(a, b)| side(a) != side(b)).collect();
        self.close(ways, time);
    }

    /// One that hosts a session which others have joined.
    fn some_host(&self, dice: &mut Dice) -> Option<usize> {
        let hosts = |live: &Live| {
            live.process.brain().engine.sessions().hosted().any(|host| host.open && host.state.members.len() > 1)
        };
        let live = self.nodes.iter().enumerate().filter(|(_, node)| node.live.as_ref().is_some_and(hosts));
        let all: Vec<usize> = live.map(|(node, _)| node).collect();
        dice.pick(&all).copied()
    }

    fn fault(&mut self, node: usize, fault: Fault, mut dice: Dice) {
        let (node, fault) = match fault {
            Fault::HostCrash | Fault::HostRestart(_) | Fault::HostIsolate(_) | Fault::HostFreeze(_) => {
                let Some(host) = self.some_host(&mut dice) else { return };
                let same = match fault {
                    Fault::HostRestart(after) => Fault::Restart(after),
                    Fault::HostIsolate(time) => Fault::Isolate(time),
                    Fault::HostFreeze(time) => Fault::Freeze(time),
                    _ => Fault::Crash,
                };
                (host, same)
            }
            _ => (node, fault),
        };
        let other = (node + 1 + dice.below(self.nodes.len().saturating_sub(1).max(1))) % self.nodes.len();
        match fault {
            Fault::Cut(time) => self.close(vec![(node, other), (other, node)], time),
            Fault::OneWay(time) => self.close(vec![(node, other)], time),
            Fault::Isolate(time) => self.close(self.all_ways(node), time),
            Fault::Split(bits, time) => self.split(bits, time),
            Fault::Crash => self.crash(node),
            Fault::Restart(after) => {
                self.crash(node);
                self.after(after, Todo::Start(node));
            }
            Fault::Freeze(time) => self.stop(node, time),
            Fault::Unplug(time) => {
                self.plug(node, false);
                self.after(time, Todo::Plug(node));
            }
            Fault::Renumber => {
                self.nodes[node].address += 20;
                self.plug(node, true);
            }
            Fault::SlowReader(time) => {
                self.world.stall(node, true);
                self.rough();
                self.after(time, Todo::Read(node));
            }
            Fault::Weather(weather, time) => {
                let before = std::mem::replace(&mut self.sky.air().weather, weather);
                self.rough();
                self.after(time, Todo::Weather(before));
            }
            Fault::HostCrash | Fault::HostRestart(_) | Fault::HostIsolate(_) | Fault::HostFreeze(_) => {}
        }
    }

    fn stop(&mut self, node: usize, time: Duration) {
        if self.is_up(node) {
            self.world.freeze(node, time);
            self.lore.rough_until = self.world.now() + time + Duration::from_secs(12);
        }
    }

    fn plug(&mut self, node: usize, plugged: bool) {
        let address = self.nodes[node].address;
        let wired =
            Nic::new("eth0", "lan").address(&format!("10.77.0.{address}/16")).address(&format!("fe80::{address:x}/64"));
        let nics = if plugged { vec![Nic::loopback(), wired] } else { vec![Nic::loopback()] };
        self.world.plug(node, nics);
        self.rough();
    }

    /// What was keyed to a frame or datagram happens.
    fn fire(&mut self, keyed: Keyed, from: usize, to: usize) {
        let honest = |node: usize| node < self.nodes.len();
        if !honest(from) || !honest(to) {
            return;
        }
        match keyed.act {
            Act::Lose => {}
            Act::Crash => self.crash(from),
            Act::CrashRestart(after) => {
                self.crash(from);
                self.after(after, Todo::Start(from));
            }
            Act::CutSender(time) => self.close(self.all_ways(from), time),
            Act::CutReceiver(time) => self.close(self.all_ways(to), time),
            Act::Split(bits, time) => self.split(bits, time),
            Act::Stall(time) => self.stop(from, time),
        }
    }

    /// The network is whole from now on, and nobody asks for anything more.
    fn heal(&mut self) {
        self.healed = true;
        self.sky.air().heal();
        self.agenda.retain(|_, todo| matches!(todo, Todo::Count));
        for node in 0..self.nodes.len() {
            self.world.stall(node, false);
            self.world.thaw(node);
            self.plug(node, true);
            if !self.is_up(node) && self.schedule.seed.wrapping_add(node as u64) % 3 > 0 {
                self.start(node);
            }
        }
        self.rough();
    }
}
