//! The machine's own networks: the engine, the driver that turns it, and the handles' core between them.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::identity::random;
use crate::driver::{CommandSource, Config, Driver, DriverHandle, OutputSink, spawn, wait_for_goodbyes};
use crate::handle::LanBuilder;
use crate::handle::backend::{Backend, LanConfig};
use crate::handle::core::Core;
use crate::proto::engine::{Engine, EngineConfig};
use crate::proto::io::{Command, Output};
use crate::proto::tuning::Tuning;
use crate::types::{Error, ErrorKind, Identity, Result};

/// How long the drop of the last handle waits for the first goodbyes, those of mDNS included.
const PARTING: Duration = Duration::from_millis(30);
/// Below what systems give out by themselves: Linux from 32,768, others from 49,152.
const LOOPBACK_PORTS: std::ops::Range<u16> = 20_000..29_000;

/// A driver on a thread of its own.
pub(super) fn own_thread() -> Arc<dyn Backend> {
    Arc::new(OwnThread)
}

struct OwnThread;

impl Backend for OwnThread {
    fn attach(&self, core: Arc<Core>, config: LanConfig) -> Result<Box<dyn Any + Send + Sync>> {
        let engine = engine(&config)?;
        let handle = spawn(engine, driver_config(&config)?, Commands(Arc::clone(&core)), Outputs(Arc::clone(&core)));
        let handle =
            handle.map_err(|error| Error::new(ErrorKind::Io, format!("the driver's thread did not start: {error}")))?;
        Ok(Box::new(Guard { core, handle: Some(handle) }))
    }

    fn fresh_identity(&self) -> Result<Identity> {
        Identity::generate()
    }

    fn loopback_port(&self) -> Result<u16> {
        loopback_port()
    }
}

/// Waits a moment for the first goodbyes, then lets the thread end by itself: a game's frame must not hang on it.
struct Guard {
    core: Arc<Core>,
    handle: Option<DriverHandle>,
}

impl Drop for Guard {
    #[expect(clippy::disallowed_methods, reason = "two waits share one real deadline")]
    fn drop(&mut self) {
        let begun = Instant::now();
        self.core.wait_closed(PARTING);
        wait_for_goodbyes(PARTING.saturating_sub(begun.elapsed()));
        // `Command::Close` is queued, so the driver ends in bounded time; its handle's drop would wait for that.
        if let Some(handle) = self.handle.take() {
            handle.detach();
        }
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A driver in the caller's runtime.
pub(super) struct Given(Mutex<Option<Work>>);

impl Given {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(None)))
    }

    pub(super) fn take(&self) -> Option<Work> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Backend for Given {
    fn attach(&self, core: Arc<Core>, config: LanConfig) -> Result<Box<dyn Any + Send + Sync>> {
        let (engine, options) = (engine(&config)?, driver_config(&config)?);
        let (commands, outputs) = (Commands(Arc::clone(&core)), Outputs(core));
        // The driver is made where it runs: what it opens needs the runtime.
        let work = async move { Driver::new(engine, options, commands, outputs).run().await };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(work));
        Ok(Box::new(()))
    }

    fn fresh_identity(&self) -> Result<Identity> {
        Identity::generate()
    }

    fn loopback_port(&self) -> Result<u16> {
        loopback_port()
    }
}

#[expect(clippy::disallowed_methods, reason = "the wall clock is an argument of the engine; this is where it is read")]
fn engine(config: &LanConfig) -> Result<Engine> {
    // The wall clock only makes incarnations rise; one before 1970 counts as 1970.
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let unix_ms = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
    let options = EngineConfig {
        game: config.game.clone(),
        version: config.version,
        beacon_port: config.beacon_port,
        beacons: config.beacons,
        mdns: config.mdns,
        targets: config.targets.clone(),
        tuning: Arc::new(Tuning::default()),
    };
    Ok(Engine::new(options, random()?, unix_ms))
}

fn driver_config(config: &LanConfig) -> Result<Config> {
    Ok(Config {
        beacon_port: config.beacon_port,
        loopback_only: config.loopback_only,
        interfaces: config.interfaces.iter().map(ToString::to_string).collect(),
        mdns: config.mdns,
        simulate: config.simulate,
        simulate_seed: random()?,
        ..Config::default()
    })
}

fn loopback_port() -> Result<u16> {
    let [high, low] = random::<2>()?;
    let span = LOOPBACK_PORTS.end - LOOPBACK_PORTS.start;
    let port = LOOPBACK_PORTS.start + u16::from_be_bytes([high, low]) % span;
    Ok(if port == LanBuilder::BEACON_PORT { LOOPBACK_PORTS.start } else { port })
}

/// Dropped with the driver, however that ends: nobody waits for an answer that cannot come.
struct Commands(Arc<Core>);

impl CommandSource for Commands {
    fn poll_command(&self, cx: &mut Context<'_>) -> Poll<Option<Command>> {
        self.0.poll_command(cx)
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.0.stopped();
    }
}

struct Outputs(Arc<Core>);

impl OutputSink for Outputs {
    fn deliver(&mut self, output: Output) {
        self.0.deliver(output);
    }
}
