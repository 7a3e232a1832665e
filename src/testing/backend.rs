//! Where the handles meet the world: a network to stand on, a clock to turn, an engine to run.

use std::any::Any;
use std::num::NonZeroU32;
use std::sync::{Arc, Weak};

use super::Shared;
use super::process::InterfaceFilter;
use super::users::Users;
use crate::FrameLoop;
use crate::handle::LanBuilder;
use crate::handle::backend::{Backend, Drive, InterfaceChoice, LanConfig};
use crate::handle::core::Core;
use crate::proto::clock::Moment;
use crate::proto::engine::{Engine, EngineConfig};
use crate::proto::io::{Command, Interface, Output};
use crate::proto::tuning::Tuning;
use crate::types::{Error, ErrorKind, Event, Identity, Result};

pub(super) fn backend(shared: &Arc<Shared>, node: usize) -> Arc<dyn Backend> {
    Arc::new(Virtual { shared: Arc::downgrade(shared), node })
}

/// One node as handles see it. Weak: a handle that outlives the LAN keeps nothing of it.
struct Virtual {
    shared: Weak<Shared>,
    node: usize,
}

impl Virtual {
    fn shared(&self) -> Result<Arc<Shared>> {
        self.shared.upgrade().ok_or_else(|| Error::new(ErrorKind::Stopped, "the virtual LAN is gone"))
    }
}

impl Backend for Virtual {
    fn attach(&self, core: Arc<Core>, config: LanConfig) -> Result<Box<dyn Any + Send + Sync>> {
        let shared = self.shared()?;
        let mut world = shared.lock();
        if world.is_crashed(self.node) {
            return Err(Error::new(ErrorKind::InvalidState, "the node has crashed; restart it first"));
        }
        let (seed, unix_ms) = (world.draw(), world.unix_ms());
        let engine = Engine::new(engine_config(&config), seed, unix_ms);
        let filter = interface_filter(&config);
        let process = world.start(self.node, config.beacon_port, filter, Box::new(engine), Box::new(Handles(core)));
        world.simulate(process, config.simulate);
        // `Command::Close` comes before the last handle is gone; the world needs no more.
        Ok(Box::new(()))
    }

    fn fresh_identity(&self) -> Result<Identity> {
        let seed = self.shared()?.lock().draw();
        Identity::from_seed(seed)
    }

    fn loopback_port(&self) -> Result<u16> {
        Ok(self.shared()?.lock().loopback_port())
    }

    fn drive(&self) -> Option<Arc<dyn Drive>> {
        Some(Arc::new(Clock(Weak::clone(&self.shared))))
    }
}

fn engine_config(config: &LanConfig) -> EngineConfig {
    // A password's key takes ten rounds: what it costs a thief of traffic is not what a game tests.
    const ROUNDS: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
    let tuning = Tuning { password_rounds: ROUNDS, ..Tuning::default() };
    EngineConfig {
        game: config.game.clone(),
        version: config.version,
        beacon_port: config.beacon_port,
        beacons: config.beacons,
        mdns: config.mdns,
        targets: config.targets.clone(),
        tuning: Arc::new(tuning),
    }
}

fn interface_filter(config: &LanConfig) -> InterfaceFilter {
    let (loopback_only, choices) = (config.loopback_only, config.interfaces.clone());
    Box::new(move |interface: &Interface| {
        let chosen = choices.iter().any(|choice| match choice {
            InterfaceChoice::Name(name) => *name == interface.name,
            InterfaceChoice::Address(address) => *address == interface.address,
        });
        (choices.is_empty() || chosen) && (!loopback_only || interface.loopback)
    })
}

struct Clock(Weak<Shared>);

impl Drive for Clock {
    fn now_micros(&self) -> u64 {
        self.0.upgrade().map_or(0, |shared| shared.lock().now().as_micros())
    }

    fn turn(&self, deadline_micros: u64) -> bool {
        self.0.upgrade().is_some_and(|shared| shared.lock().turn(Moment::from_micros(deadline_micros)))
    }
}

/// A network on which nothing is ever answered.
struct Silence;

impl Backend for Silence {
    fn attach(&self, _: Arc<Core>, _: LanConfig) -> Result<Box<dyn Any + Send + Sync>> {
        Ok(Box::new(()))
    }

    fn fresh_identity(&self) -> Result<Identity> {
        Identity::from_seed([1; 32])
    }

    fn loopback_port(&self) -> Result<u16> {
        Ok(20_000)
    }
}

/// A [`FrameLoop`] whose next update yields these events, and nothing after them: for tests of what a game does with an
/// event. Requests of its `Lan` are never answered.
///
/// ```
/// use lansession::{Event, LanEvent, testing};
/// let mut frames = testing::play([Event::Lan(LanEvent::Recovered("eth0".into()))]);
/// assert_eq!(frames.update().count(), 1);
/// assert_eq!(frames.update().count(), 0);
/// ```
pub fn play(events: impl IntoIterator<Item = Event>) -> FrameLoop {
    match LanBuilder::new("played".to_owned()).backend(Arc::new(Silence)).launch(None, true) {
        Ok(lan) => FrameLoop::played(lan, events),
        Err(error) => unreachable!("a valid name and no network cannot fail: {error}"),
    }
}

struct Handles(Arc<Core>);

impl Users for Handles {
    fn take_command(&mut self) -> Option<Command> {
        self.0.take_command()
    }

    fn deliver(&mut self, output: Output) {
        self.0.deliver(output);
    }

    fn stop(&mut self) {
        self.0.stopped();
    }
}
