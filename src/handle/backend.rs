//! What stands below the handles: a network, real or virtual, and for the virtual one its clock.

use std::any::Any;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use crate::types::{Error, ErrorKind, Identity, JoinLink, NetworkFault};

/// Takes one link from another process; an error is told to that process.
pub(crate) type TakeLink = Arc<dyn Fn(JoinLink) -> Result<(), Error> + Send + Sync>;

/// One interface of this machine, named as a user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InterfaceChoice {
    Name(String),
    Address(IpAddr),
}

impl fmt::Display for InterfaceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// Everything a builder decides, checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LanConfig {
    /// 1 to 64 bytes.
    pub(crate) game: String,
    /// The game's version; only equal ones play together.
    pub(crate) version: u32,
    /// Use the loopback interface and no other.
    pub(crate) loopback_only: bool,
    /// Use these and no others; empty means every usable one.
    pub(crate) interfaces: Vec<InterfaceChoice>,
    /// Ask these addresses as well, with each query; a port of 0 was replaced by the beacon port.
    pub(crate) targets: Vec<SocketAddr>,
    /// Never 0.
    pub(crate) beacon_port: u16,
    pub(crate) mdns: bool,
    pub(crate) beacons: bool,
    /// What is wrong with the network on purpose.
    pub(crate) simulate: NetworkFault,
}

/// A network to stand on.
pub(crate) trait Backend: Send + Sync {
    /// Starts to serve `core`. What it returns is dropped after the last [`Lan`](super::Lan) handle, when
    /// `Command::Close` is queued already; that drop must not block for more than about 50 ms.
    fn attach(&self, core: Arc<Core>, config: LanConfig) -> Result<Box<dyn Any + Send + Sync>, Error>;

    /// A fresh identity, for users and requests that bring none.
    fn fresh_identity(&self) -> Result<Identity, Error>;

    /// A beacon port for a [`Preset::Loopback`](super::Preset) that names none: below 49,152 and not the default.
    fn loopback_port(&self) -> Result<u16, Error>;

    /// Takes the links that other processes of this game hand over, until what it returns is dropped; that drop must
    /// neither block nor call back.
    fn receive_links(&self, _game: &str, _take: TakeLink) -> Result<Box<dyn Any + Send + Sync>, Error> {
        Err(Error::new(ErrorKind::Unsupported, "this build or network has no local sockets to receive links by"))
    }

    /// A time that only goes on, for what is counted per second; none where there is no clock.
    fn uptime(&self) -> Option<Duration> {
        self.drive().map(|drive| Duration::from_micros(drive.now_micros()))
    }

    /// The virtual clock, where time is not the real one: every `wait` then turns it instead of blocking.
    fn drive(&self) -> Option<Arc<dyn Drive>> {
        None
    }
}

/// A virtual clock that a waiting caller turns.
pub(crate) trait Drive: Send + Sync {
    /// The virtual time, in microseconds.
    fn now_micros(&self) -> u64;

    /// Goes to the next thing that happens at or before `deadline` and lets it happen; answers and events may come
    /// meanwhile. Where nothing is left until then, sets the clock to `deadline` and says `false`.
    fn turn(&self, deadline_micros: u64) -> bool;
}
