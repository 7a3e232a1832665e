//! What was tried on the network and what came of it.

use std::fmt;
use std::net::IpAddr;

/// One of the ways a datagram can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PathKind {
    /// To 255.255.255.255.
    LimitedBroadcast,
    /// To the subnet's own broadcast address.
    DirectedBroadcast,
    /// To the IPv4 group.
    Ipv4Multicast,
    /// To the IPv6 link-local group.
    Ipv6Multicast,
    /// To one address.
    Unicast,
    /// Through multicast DNS.
    Mdns,
}

impl fmt::Display for PathKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LimitedBroadcast => "limited broadcast",
            Self::DirectedBroadcast => "directed broadcast",
            Self::Ipv4Multicast => "IPv4 multicast",
            Self::Ipv6Multicast => "IPv6 multicast",
            Self::Unicast => "unicast",
            Self::Mdns => "mDNS",
        })
    }
}

/// How a path does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathState {
    /// Not used yet.
    Idle,
    /// Sent, and nobody was heard on it.
    Unanswered,
    /// Somebody was heard on it.
    Working,
    /// The operating system refuses; its words.
    Failing(String),
}

/// One path of one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathReport {
    /// The interface's name.
    pub interface: String,
    /// Its address.
    pub address: Option<IpAddr>,
    /// Which path.
    pub path: PathKind,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams of this game heard.
    pub heard: u64,
    /// Sends that the operating system refused.
    pub failed: u64,
    /// How it does.
    pub state: PathState,
}

/// Why the list is full, or empty: every path of every interface, and a sentence a player can act on.
///
/// `Display` prints all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnosis {
    /// Each path of each interface.
    pub paths: Vec<PathReport>,
    /// Sessions of this game that are known now.
    pub sessions: usize,
    /// Sessions heard whose version does not fit.
    pub incompatible: usize,
    /// What to do, in words.
    pub advice: String,
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.advice)?;
        for report in &self.paths {
            let PathReport { interface, address, path, sent, heard, failed, state } = report;
            let address = address.map_or_else(String::new, |a| format!(" {a}"));
            write!(f, "  {interface}{address} by {path}: sent {sent}, heard {heard}, failed {failed}")?;
            match state {
                PathState::Failing(why) => writeln!(f, " ({why})")?,
                _ => writeln!(f)?,
            }
        }
        write!(f, "  why is my list empty: https://docs.rs/lansession (README, \"Why is my list empty?\")")
    }
}
