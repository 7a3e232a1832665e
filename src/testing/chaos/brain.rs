//! One process of a run: the engine behind a lock of its own, so that invariants can look inside between two steps.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::users::Users;
use crate::proto::clock::Moment;
use crate::proto::engine::{Engine, EngineConfig};
use crate::proto::io::{Action, Arrival, Command, Interface, LinkEvent, MdnsEvent, Output, SendFailure, Transmit};
use crate::proto::machine::Machine;
use crate::types::SessionKey;

/// A process's insides.
pub(super) struct Brain {
    pub(super) engine: Engine,
    pub(super) commands: VecDeque<Command>,
    pub(super) outputs: Vec<Output>,
    /// Something happened to it since the last look.
    pub(super) touched: bool,
    /// Kinds of frames it has heard since the last look.
    pub(super) heard: Vec<u8>,
    /// Wakes in a row after which it wanted to be woken at once again.
    pub(super) spins: u32,
    /// The last moment it was told.
    pub(super) now: Moment,
}

/// What the world and the run hold of it.
#[derive(Clone)]
pub(super) struct Process(Arc<Mutex<Brain>>);

impl Process {
    pub(super) fn new(config: EngineConfig, seed: [u8; 32], unix_ms: u64) -> Self {
        Self(Arc::new(Mutex::new(Brain {
            engine: Engine::new(config, seed, unix_ms),
            commands: VecDeque::new(),
            outputs: Vec::new(),
            touched: false,
            heard: Vec::new(),
            spins: 0,
            now: Moment::ZERO,
        })))
    }

    pub(super) fn brain(&self) -> MutexGuard<'_, Brain> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn told(&self, now: Moment) -> MutexGuard<'_, Brain> {
        let mut brain = self.brain();
        (brain.touched, brain.now) = (true, now);
        brain
    }
}

impl Users for Process {
    fn take_command(&mut self) -> Option<Command> {
        self.brain().commands.pop_front()
    }

    fn deliver(&mut self, output: Output) {
        self.brain().outputs.push(output);
    }

    fn stop(&mut self) {}
}

impl Machine for Process {
    fn handle_command(&mut self, now: Moment, command: Command) {
        self.told(now).engine.handle_command(now, command);
    }

    fn handle_arrival(&mut self, now: Moment, arrival: Arrival) {
        self.told(now).engine.handle_arrival(now, arrival);
    }

    fn handle_interfaces(&mut self, now: Moment, interfaces: Vec<Interface>) {
        self.told(now).engine.handle_interfaces(now, interfaces);
    }

    fn handle_send_failure(&mut self, now: Moment, failure: SendFailure) {
        self.told(now).engine.handle_send_failure(now, failure);
    }

    fn handle_link(&mut self, now: Moment, event: LinkEvent) {
        let mut brain = self.told(now);
        if let LinkEvent::Frame { kind, more: false, .. } = &event {
            brain.heard.push(*kind);
        }
        brain.engine.handle_link(now, event);
    }

    fn handle_listening(&mut self, now: Moment, session: SessionKey, result: Result<u16, String>) {
        self.told(now).engine.handle_listening(now, session, result);
    }

    fn handle_mdns(&mut self, now: Moment, event: MdnsEvent) {
        self.told(now).engine.handle_mdns(now, event);
    }

    fn handle_derived(&mut self, now: Moment, id: u64, key: Result<[u8; 32], String>) {
        self.told(now).engine.handle_derived(now, id, key);
    }

    fn handle_timeout(&mut self, now: Moment) {
        let mut brain = self.told(now);
        brain.engine.handle_timeout(now);
        let again = brain.engine.poll_timeout().is_some_and(|at| at <= now);
        brain.spins = if again { brain.spins + 1 } else { 0 };
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.brain().engine.poll_transmit()
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.brain().engine.poll_action()
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.brain().engine.poll_output()
    }

    fn poll_timeout(&mut self) -> Option<Moment> {
        self.brain().engine.poll_timeout()
    }

    fn farewell(&mut self) -> Vec<Transmit> {
        self.brain().engine.farewell()
    }
}
