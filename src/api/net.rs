//! The machine's own networks: the engine, the driver that turns it, and the handles' core between them.

use std::any::Any;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

use super::handover;
use super::identity::random;
use crate::driver::doors::Door;
use crate::driver::{CommandSource, Config, Driver, DriverHandle, OutputSink, spawn, wait_for_goodbyes};
use crate::handle::LanBuilder;
use crate::handle::backend::{Backend, LanConfig, TakeLink};
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
    Arc::new(OwnThread(DoorsToServe::default()))
}

struct OwnThread(DoorsToServe);

impl Backend for OwnThread {
    fn attach(&self, core: Arc<Core>, config: LanConfig) -> Result<Box<dyn Any + Send + Sync>> {
        let engine = engine(&config)?;
        let handle = spawn(engine, driver_config(&config)?, self.0.commands(&core), Outputs(Arc::clone(&core)));
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

    fn receive_links(&self, game: &str, take: TakeLink) -> Result<Box<dyn Any + Send + Sync>> {
        self.0.open(game, take)
    }

    fn uptime(&self) -> Option<Duration> {
        Some(uptime())
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
pub(super) struct Given {
    work: Mutex<Option<Work>>,
    doors: DoorsToServe,
}

impl Given {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { work: Mutex::new(None), doors: DoorsToServe::default() })
    }

    pub(super) fn take(&self) -> Option<Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Backend for Given {
    fn attach(&self, core: Arc<Core>, config: LanConfig) -> Result<Box<dyn Any + Send + Sync>> {
        let (engine, options) = (engine(&config)?, driver_config(&config)?);
        let (commands, outputs) = (self.doors.commands(&core), Outputs(core));
        // The driver is made where it runs: what it opens needs the runtime.
        let work = async move { Driver::new(engine, options, commands, outputs).run().await };
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::pin(work));
        Ok(Box::new(()))
    }

    fn fresh_identity(&self) -> Result<Identity> {
        Identity::generate()
    }

    fn loopback_port(&self) -> Result<u16> {
        loopback_port()
    }

    fn receive_links(&self, game: &str, take: TakeLink) -> Result<Box<dyn Any + Send + Sync>> {
        self.doors.open(game, take)
    }

    fn uptime(&self) -> Option<Duration> {
        Some(uptime())
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

#[expect(clippy::disallowed_methods, reason = "how often links are opened is counted by the real clock")]
fn uptime() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// The way of a door from the thread that opens it to the driver that serves it.
#[derive(Default)]
struct DoorsToServe(Mutex<Option<mpsc::UnboundedSender<Door>>>);

impl DoorsToServe {
    /// What the driver of this core takes its commands and doors from.
    fn commands(&self, core: &Arc<Core>) -> Commands {
        let (sender, doors) = mpsc::unbounded_channel();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        Commands { core: Arc::clone(core), doors: Mutex::new(doors) }
    }

    fn open(&self, game: &str, take: TakeLink) -> Result<Box<dyn Any + Send + Sync>> {
        let (entrance, place) = handover::open(game)?;
        let (door, key) = Door::new(entrance, take);
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match sender.map(|sender| sender.send(door)) {
            // The key first: the place is given up once nobody is let in any more.
            Some(Ok(())) => Ok(Box::new((key, place))),
            Some(Err(_)) | None => Err(Error::new(ErrorKind::Stopped, "the Lan was closed")),
        }
    }
}

/// Dropped with the driver, however that ends: nobody waits for an answer that cannot come.
struct Commands {
    core: Arc<Core>,
    doors: Mutex<mpsc::UnboundedReceiver<Door>>,
}

impl CommandSource for Commands {
    fn poll_command(&self, cx: &mut Context<'_>) -> Poll<Option<Command>> {
        self.core.poll_command(cx)
    }

    fn poll_door(&self, cx: &mut Context<'_>) -> Poll<Door> {
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        // Without a sender nothing comes any more, which is no news.
        match doors.poll_recv(cx) {
            Poll::Ready(Some(door)) => Poll::Ready(door),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

impl Drop for Commands {
    fn drop(&mut self) {
        self.core.stopped();
    }
}

struct Outputs(Arc<Core>);

impl OutputSink for Outputs {
    fn deliver(&mut self, output: Output) {
        self.0.deliver(output);
    }
}
