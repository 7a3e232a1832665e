//! The engine on real sockets: tokio on a thread of its own, one task that feeds the engine and drains it.
//!
//! No policy lives here. Commands, datagrams, link events, mDNS events, derived keys, interface changes and the engine's
//! own deadline come in, each at most a batch per turn so that no source starves another; what the engine wants done is
//! done at once and never waits.

mod alarm;
mod clock;
mod delay;
mod derive;
pub(crate) mod doors;
mod handles;
mod interfaces;
mod links;
#[cfg(feature = "mdns")]
mod mdns;
mod quiet;
mod runtime;
mod tls;
mod turn;
mod udp;

use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) use handles::{CommandSource, OutputSink};
pub(crate) use runtime::{DriverHandle, spawn};
pub(crate) use turn::Driver;

use crate::proto::disturb::Disturbance;
use crate::types::NetworkFault;
use crate::wire::datagram::{BEACON_PORT, GROUP_V4, GROUP_V6};

/// What the driver is told once.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The UDP port all processes share, for broadcasts, multicasts and typed addresses.
    pub(crate) beacon_port: u16,
    /// The UDP port of the sockets bound to one address, for firewalls; 0 takes a free one. Where it is in use (a second
    /// process of this machine), a free one is taken too.
    pub(crate) unicast_port: u16,
    pub(crate) group_v4: Ipv4Addr,
    pub(crate) group_v6: Ipv6Addr,
    /// Only loopback interfaces, and listeners on loopback alone.
    pub(crate) loopback_only: bool,
    /// Names or addresses of the interfaces to use; empty: all.
    pub(crate) interfaces: Vec<String>,
    /// Whether to take part in mDNS at all (needs the feature too).
    pub(crate) mdns: bool,
    /// 5353, except in tests.
    pub(crate) mdns_port: u16,
    /// What is wrong with the network on purpose, and where its chance comes from.
    pub(crate) simulate: NetworkFault,
    pub(crate) simulate_seed: [u8; 32],
}

impl Default for Config {
    fn default() -> Self {
        Self {
            beacon_port: BEACON_PORT,
            unicast_port: 0,
            group_v4: GROUP_V4,
            group_v6: GROUP_V6,
            loopback_only: false,
            interfaces: Vec::new(),
            mdns: true,
            mdns_port: 5353,
            simulate: NetworkFault::new(),
            simulate_seed: [0; 32],
        }
    }
}

impl Config {
    /// The judge of the simulated fault, where there is one.
    fn disturbance(&self) -> Option<Disturbance> {
        (!self.simulate.is_none()).then(|| Disturbance::new(self.simulate, self.simulate_seed))
    }

    /// Whether some interfaces of this machine are not to be used.
    fn is_restricted(&self) -> bool {
        self.loopback_only || !self.interfaces.is_empty()
    }
}

/// Waits until the goodbyes that were ordered by mDNS have left, but no longer than this.
pub(crate) fn wait_for_goodbyes(within: std::time::Duration) {
    #[cfg(feature = "mdns")]
    mdns::wait_for_goodbyes(within);
    #[cfg(not(feature = "mdns"))]
    let _nobody = within;
}

#[cfg(test)]
mod tests;
