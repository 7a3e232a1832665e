//! How a `Lan` is to be: values collected in a chain, checked at the start.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::backend::{Backend, InterfaceChoice, LanConfig};
use super::core::Core;
use super::lan::Lan;
use crate::types::{Error, ErrorKind, NetworkFault, Result, SessionQuery, check_name};

/// A starting point for a [`LanBuilder`]; values set on the builder stand over it, whatever the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Preset {
    /// Every usable interface, the default beacon port, beacons and mDNS.
    #[default]
    Default,
    /// This machine only: the loopback interface, no mDNS, and a random beacon port, so that tests which run at the same
    /// time do not see each other. Two `Lan`s that shall meet share a port: `.beacon_port(p)` on both, for instance with
    /// the first one's [`Lan::beacon_port`].
    Loopback,
}

/// Makes a [`Lan`]; from [`Lan::builder`]. Nothing is opened or sent before a session is hosted, joined or looked for.
///
/// ```
/// # if cfg!(not(feature = "net")) { return Ok(()) }
/// use lansession::{ErrorKind, Lan, Preset};
/// let lan = Lan::builder("com.example.boxes").version(3).preset(Preset::Loopback).start()?;
/// let other = Lan::builder("com.example.boxes").preset(Preset::Loopback).beacon_port(lan.beacon_port()).start()?;
/// assert_eq!(other.beacon_port(), lan.beacon_port());
///
/// let error = Lan::builder("").start().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidArgument);
/// # Ok::<(), lansession::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder makes nothing before it is started"]
pub struct LanBuilder {
    game: String,
    version: u32,
    preset: Preset,
    interfaces: Vec<InterfaceChoice>,
    targets: Vec<SocketAddr>,
    beacon_port: Option<u16>,
    mdns: Option<bool>,
    beacons: bool,
    simulate: NetworkFault,
    backend: Option<Arc<dyn Backend>>,
}

impl LanBuilder {
    /// The longest game id, in bytes.
    pub const MAX_GAME: usize = 64;
    /// The most interfaces.
    pub const MAX_INTERFACES: usize = 32;
    /// The beacon port where none is set: the UDP port at which this library's processes on one LAN meet, unassigned and
    /// below the ports that systems give out.
    pub const BEACON_PORT: u16 = 29_417;

    pub(crate) fn new(game: String) -> Self {
        Self {
            game,
            version: 0,
            preset: Preset::Default,
            interfaces: Vec::new(),
            targets: Vec::new(),
            beacon_port: None,
            mdns: None,
            beacons: true,
            simulate: NetworkFault::new(),
            backend: None,
        }
    }

    /// On this network instead of the machine's own.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn backend(mut self, backend: Arc<dyn Backend>) -> Self {
        self.backend = Some(backend);
        self
    }

    /// The game's version, 0 by default. Sessions of another version are listed and cannot be joined.
    #[doc(alias = "BuildUniqueId")]
    pub fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// A starting point other than the default.
    pub fn preset(mut self, preset: Preset) -> Self {
        self.preset = preset;
        self
    }

    /// Uses this interface, by name or by address, and no others but those named by further calls. One that does not exist
    /// yet is used when it comes. At most 32.
    pub fn interface(mut self, name_or_address: impl ToString) -> Self {
        let text = name_or_address.to_string();
        self.interfaces.push(match text.parse::<IpAddr>() {
            Ok(address) => InterfaceChoice::Address(address),
            Err(_) => InterfaceChoice::Name(text),
        });
        self
    }

    /// Asks these addresses too, with every query and where friends are: VPN peers that no broadcast reaches. Of friends
    /// beyond the link only these are heard, so each names the other. Port 0 stands for the beacon port. At most 16.
    pub fn targets(mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.targets.extend(addresses);
        self
    }

    /// The UDP port at which the game's processes meet, the same for all of them; [`BEACON_PORT`](Self::BEACON_PORT) by
    /// default, 1 to 65535.
    pub fn beacon_port(mut self, port: u16) -> Self {
        self.beacon_port = Some(port);
        self
    }

    /// Whether multicast DNS is used beside the beacons; on by default where the feature `mdns` is.
    pub fn mdns(mut self, on: bool) -> Self {
        self.mdns = Some(on);
        self
    }

    /// Whether broadcasts and multicasts of this library's own are sent; on by default. Without them there is mDNS, and
    /// addresses that are known.
    pub fn beacons(mut self, on: bool) -> Self {
        self.beacons = on;
        self
    }

    /// Makes the network worse on purpose, for all that this `Lan` sends: its beacons, queries, answers and probes are lost
    /// or late, its control connections are late. Not for a release.
    ///
    /// The game's own packets, mDNS (turn it [off](Self::mdns) to try discovery at a loss) and what others send are as they
    /// are; on a [virtual LAN](crate#features) it works as over sockets. Of datagrams that wait 4,096 are kept, as in the
    /// queue of a router, and a stream takes 256 KiB before its writer waits.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// use std::time::Duration;
    /// use lansession::{ErrorKind, Lan, NetworkFault, Preset, SessionSettings};
    /// let bad = NetworkFault::new().latency(Duration::from_millis(5)).loss(0.2);
    /// let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).simulate(bad).start()?;
    /// let (ada, bob) = (lan.sign_in("Ada")?, lan.sign_in("Bob")?);
    /// let room = ada.host(SessionSettings::new("room")).wait(Duration::from_secs(5))?;
    /// let seat = bob.join(room.link()).wait(Duration::from_secs(5))?; // late, and whole
    /// assert_eq!(seat.snapshot().members.len(), 2);
    ///
    /// let error = Lan::builder("com.example.boxes").simulate(NetworkFault::new().loss(20.0)).start().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[doc(alias = "SimulatedLatency")]
    #[doc(alias = "SimulatedPacketLoss")]
    pub fn simulate(mut self, fault: NetworkFault) -> Self {
        self.simulate = fault;
        self
    }

    /// Starts on `fallback`, unless another network was set.
    pub(crate) fn launch(self, fallback: Option<Arc<dyn Backend>>, frames: bool) -> Result<Lan> {
        let Some(backend) = self.backend.clone().or(fallback) else {
            let why = "this build has no network: it lacks the feature \"net\"";
            return Err(Error::new(ErrorKind::Unsupported, why));
        };
        let config = self.config(&*backend)?;
        let core = Core::new(backend.drive(), frames);
        let guard = backend.attach(Arc::clone(&core), config.clone())?;
        Ok(Lan::new(core, backend, config, guard))
    }

    fn config(self, backend: &dyn Backend) -> Result<LanConfig> {
        let Self { game, version, preset, interfaces, mut targets, beacon_port, mdns, beacons, simulate, backend: _ } =
            self;
        check_name("the game id", &game, Self::MAX_GAME)?;
        if interfaces.len() > Self::MAX_INTERFACES {
            return Err(Error::invalid(format!("{} interfaces are named, at most 32 fit", interfaces.len())));
        }
        if interfaces.iter().any(|choice| matches!(choice, InterfaceChoice::Name(name) if name.is_empty())) {
            return Err(Error::invalid("an interface's name is empty"));
        }
        if targets.len() > SessionQuery::MAX_TARGETS {
            return Err(Error::invalid(format!("{} targets, at most 16 fit", targets.len())));
        }
        if let Some(target) = targets.iter().find(|target| target.ip().is_unspecified()) {
            return Err(Error::invalid(format!("target {target} is no host's address")));
        }
        simulate.check()?;
        let loopback_only = preset == Preset::Loopback;
        let beacon_port = match beacon_port {
            Some(0) => return Err(Error::invalid("the beacon port is 0, it must be 1 to 65535")),
            Some(port) => port,
            None if loopback_only => backend.loopback_port()?,
            None => Self::BEACON_PORT,
        };
        for target in targets.iter_mut().filter(|target| target.port() == 0) {
            target.set_port(beacon_port);
        }
        let mdns = mdns.unwrap_or(!loopback_only && cfg!(feature = "mdns"));
        Ok(LanConfig { game, version, loopback_only, interfaces, targets, beacon_port, mdns, beacons, simulate })
    }
}

impl Lan {
    /// The UDP port at which this `Lan` meets others.
    #[must_use]
    pub fn beacon_port(&self) -> u16 {
        self.config().beacon_port
    }
}

impl std::fmt::Debug for LanBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LanBuilder")
            .field("game", &self.game)
            .field("version", &self.version)
            .field("preset", &self.preset)
            .field("interfaces", &self.interfaces)
            .field("targets", &self.targets)
            .field("beacon_port", &self.beacon_port)
            .field("mdns", &self.mdns)
            .field("beacons", &self.beacons)
            .field("simulate", &self.simulate)
            .finish_non_exhaustive()
    }
}
