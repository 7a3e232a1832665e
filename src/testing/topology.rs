//! Machines, their interfaces, and the broadcast domains that these are plugged into.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::proto::io::Interface;
use crate::types::Error;

/// One network interface of a node: a name, the segment it is plugged into, its addresses.
///
/// ```
/// use lansession::testing::Nic;
/// let wired = Nic::new("eth0", "office").address("192.168.0.7/24").address("fe80::7/64");
/// let nothing_else = Nic::loopback();
/// assert_ne!(wired, nothing_else);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Nic {
    pub(super) name: String,
    /// `None` for a loopback interface: a segment of the node's own.
    pub(super) segment: Option<String>,
    pub(super) addresses: Vec<(IpAddr, u8)>,
    pub(super) wireless: bool,
    pub(super) point_to_point: bool,
    pub(super) problem: Option<Error>,
}

impl Nic {
    /// An interface on a segment: whoever is plugged into the same segment hears its broadcasts. The segment that nodes
    /// are plugged into by default is `lan`.
    #[must_use]
    pub fn new(name: impl Into<String>, segment: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            segment: Some(segment.into()),
            addresses: Vec::new(),
            wireless: false,
            point_to_point: false,
            problem: None,
        }
    }

    /// `lo` with 127.0.0.1/8. Broadcast to 127.255.255.255 and IPv4 multicast work on it, as on Linux; IPv6 does not.
    #[must_use]
    pub fn loopback() -> Self {
        Self { segment: None, ..Self::new("lo", "") }.address("127.0.0.1/8")
    }

    /// One more address with its prefix length, `10.0.0.7/24` or `fe80::7/64`. Text that is none is reported by
    /// [`VirtualLan::set_interfaces`](super::VirtualLan::set_interfaces).
    #[must_use]
    pub fn address(mut self, text: &str) -> Self {
        let parsed = text.split_once('/').and_then(|(address, prefix)| {
            let address: IpAddr = address.parse().ok()?;
            let prefix: u8 = prefix.parse().ok()?;
            (prefix <= if address.is_ipv4() { 32 } else { 128 }).then_some((address, prefix))
        });
        match parsed {
            Some(pair) => self.addresses.push(pair),
            None => {
                let why = format!("{text:?} is no address with a prefix length, like 10.0.0.7/24");
                self.problem.get_or_insert(Error::invalid(why));
            }
        }
        self
    }

    /// Whether it is a radio: engines space their multicasts further apart on those.
    #[must_use]
    pub fn wireless(mut self, wireless: bool) -> Self {
        self.wireless = wireless;
        self
    }

    /// Whether it is a tunnel with one other end, without broadcast.
    #[must_use]
    pub fn point_to_point(mut self, tunnel: bool) -> Self {
        self.point_to_point = tunnel;
        self
    }
}

/// An interface that is plugged in.
#[derive(Debug, Clone)]
pub(super) struct Attachment {
    pub(super) index: u32,
    pub(super) segment: usize,
    pub(super) nic: Nic,
}

impl Attachment {
    pub(super) fn is_loopback(&self) -> bool {
        self.nic.segment.is_none()
    }

    pub(super) fn has(&self, address: IpAddr) -> bool {
        self.nic.addresses.iter().any(|&(own, _)| own == address)
    }

    pub(super) fn has_family_of(&self, address: IpAddr) -> bool {
        self.nic.addresses.iter().any(|(own, _)| own.is_ipv4() == address.is_ipv4())
    }

    /// The broadcast address of one of its subnets.
    pub(super) fn broadcasts(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        let able = !self.nic.point_to_point;
        self.nic.addresses.iter().filter_map(move |&(address, prefix)| {
            let IpAddr::V4(v4) = address else { return None };
            if able { broadcast_of(v4, prefix) } else { None }
        })
    }

    fn subnet_holds(&self, target: IpAddr) -> Option<IpAddr> {
        self.nic.addresses.iter().find(|&&(own, prefix)| same_subnet(own, target, prefix)).map(|&(own, _)| own)
    }
}

fn broadcast_of(address: Ipv4Addr, prefix: u8) -> Option<Ipv4Addr> {
    let host_bits = 32_u32.checked_sub(u32::from(prefix)).filter(|&bits| bits >= 2)?;
    let mask = u32::MAX.checked_shl(host_bits).unwrap_or(0);
    Some(Ipv4Addr::from(u32::from(address) | !mask))
}

fn same_subnet(own: IpAddr, other: IpAddr, prefix: u8) -> bool {
    match (own, other) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let shift = 32_u32.saturating_sub(u32::from(prefix));
            (u32::from(a) ^ u32::from(b)).checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let shift = 128_u32.saturating_sub(u32::from(prefix));
            (u128::from(a) ^ u128::from(b)).checked_shr(shift).unwrap_or(0) == 0
        }
        _ => false,
    }
}

fn is_link_local(address: Ipv6Addr) -> bool {
    address.segments()[0] & 0xffc0 == 0xfe80
}

/// An address with a port, with the receiver's scope where it is link-local.
pub(super) fn scoped(address: IpAddr, port: u16, index: u32) -> SocketAddr {
    match address {
        IpAddr::V6(v6) if is_link_local(v6) => SocketAddrV6::new(v6, port, 0, index).into(),
        other => SocketAddr::new(other, port),
    }
}

/// A machine.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) attachments: Vec<Attachment>,
    indices: BTreeMap<String, u32>,
    /// Processes on it, alive or not, in the order of their starts.
    pub(super) processes: Vec<usize>,
    next_port: u16,
    pub(super) crashed: bool,
    pub(super) frozen: bool,
    /// Nobody reads TCP there.
    pub(super) stalled: bool,
    /// Speaks only the frozen ALPN.
    pub(super) fallback: bool,
}

impl Node {
    /// A port that nobody else has.
    pub(super) fn ephemeral(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(32_768);
        port
    }

    pub(super) fn owns(&self, address: IpAddr) -> bool {
        self.attachments.iter().any(|attachment| attachment.has(address))
    }

    pub(super) fn at(&self, index: u32) -> Option<&Attachment> {
        self.attachments.iter().find(|attachment| attachment.index == index)
    }

    /// What the operating system lists.
    pub(super) fn interfaces(&self) -> Vec<Interface> {
        let mut all = Vec::new();
        for attachment in &self.attachments {
            for &(address, prefix) in &attachment.nic.addresses {
                let broadcast = match address {
                    IpAddr::V4(v4) if !attachment.nic.point_to_point => broadcast_of(v4, prefix),
                    _ => None,
                };
                all.push(Interface {
                    index: attachment.index,
                    name: attachment.nic.name.clone(),
                    address,
                    prefix,
                    broadcast,
                    loopback: attachment.is_loopback(),
                    point_to_point: attachment.nic.point_to_point,
                    wireless: attachment.nic.wireless,
                    port: 0,
                    deaf: None,
                });
            }
        }
        all
    }

    /// Source address and interface for a target, as a routing table would choose: scope, subnet, then the first interface
    /// that is no loopback.
    pub(super) fn route(&self, to: SocketAddr) -> Option<(usize, IpAddr)> {
        let target = to.ip();
        if self.owns(target) {
            let at = self.attachments.iter().position(|attachment| attachment.has(target))?;
            return Some((at, target));
        }
        if let SocketAddr::V6(v6) = to {
            if v6.scope_id() != 0 {
                let at = self.attachments.iter().position(|attachment| attachment.index == v6.scope_id())?;
                let source = self.attachments.get(at)?.subnet_holds(target)?;
                return Some((at, source));
            }
        }
        let direct =
            self.attachments.iter().enumerate().find_map(|(at, a)| a.subnet_holds(target).map(|own| (at, own)));
        direct.or_else(|| {
            self.attachments.iter().enumerate().filter(|(_, a)| !a.is_loopback()).find_map(|(at, a)| {
                let own = a.nic.addresses.iter().find(|(own, _)| {
                    own.is_ipv4() == target.is_ipv4() && !matches!(own, IpAddr::V6(v6) if is_link_local(*v6))
                })?;
                Some((at, own.0))
            })
        })
    }
}

/// Where a unicast ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) node: usize,
    /// The interface it comes by at that node.
    pub(super) index: u32,
    pub(super) local: bool,
}

/// All machines and segments.
#[derive(Debug, Default)]
pub(super) struct Topology {
    pub(super) nodes: Vec<Node>,
    names: BTreeMap<String, usize>,
    pub(super) segments: Vec<String>,
    /// Per segment: node and position of its attachment.
    members: Vec<Vec<(usize, usize)>>,
    owners: BTreeMap<(usize, IpAddr), (usize, u32)>,
    /// Pairs of segments that a router joins.
    routers: BTreeSet<(usize, usize)>,
}

impl Topology {
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// A new machine with one interface on the segment `lan`.
    pub(super) fn add(&mut self, name: &str) -> usize {
        let node = self.nodes.len();
        self.nodes.push(Node {
            name: name.to_owned(),
            attachments: Vec::new(),
            indices: BTreeMap::from([("lo".to_owned(), 1)]),
            processes: Vec::new(),
            next_port: 40_000,
            crashed: false,
            frozen: false,
            stalled: false,
            fallback: false,
        });
        self.names.insert(name.to_owned(), node);
        let (high, low) = ((node + 1) >> 8 & 0xff, (node + 1) & 0xff);
        let wired = Nic::new("eth0", "lan")
            .address(&format!("10.77.{high}.{low}/16"))
            .address(&format!("fe80::{high:x}:{low:x}/64"));
        self.plug(node, vec![Nic::loopback(), wired]);
        node
    }

    fn segment(&mut self, name: &str) -> usize {
        self.segments.iter().position(|known| known == name).unwrap_or_else(|| {
            self.segments.push(name.to_owned());
            self.segments.len() - 1
        })
    }

    /// A router carries unicast between two segments, and nothing else.
    #[cfg(test)]
    pub(super) fn join(&mut self, a: &str, b: &str) {
        let (a, b) = (self.segment(a), self.segment(b));
        self.routers.insert((a.min(b), a.max(b)));
        self.members.resize(self.segments.len(), Vec::new());
    }

    /// Replaces a machine's interfaces.
    pub(super) fn plug(&mut self, node: usize, nics: Vec<Nic>) {
        let mut attachments = Vec::new();
        for nic in nics {
            let own = format!("lo of {node}");
            let segment = self.segment(nic.segment.as_deref().unwrap_or(&own));
            let Some(machine) = self.nodes.get_mut(node) else { return };
            let fresh = u32::try_from(machine.indices.len()).unwrap_or(u32::MAX).saturating_add(1);
            let index = *machine.indices.entry(nic.name.clone()).or_insert(fresh);
            attachments.push(Attachment { index, segment, nic });
        }
        if let Some(machine) = self.nodes.get_mut(node) {
            machine.attachments = attachments;
        }
        self.rebuild(node);
    }

    fn rebuild(&mut self, changed: usize) {
        self.members.resize(self.segments.len(), Vec::new());
        for members in &mut self.members {
            members.retain(|&(node, _)| node != changed);
        }
        self.owners.retain(|_, &mut (node, _)| node != changed);
        let Some(machine) = self.nodes.get(changed) else { return };
        for (at, attachment) in machine.attachments.iter().enumerate() {
            if let Some(members) = self.members.get_mut(attachment.segment) {
                members.push((changed, at));
                members.sort_unstable();
            }
            for &(address, _) in &attachment.nic.addresses {
                self.owners.insert((attachment.segment, address), (changed, attachment.index));
            }
        }
    }

    pub(super) fn members(&self, segment: usize) -> &[(usize, usize)] {
        self.members.get(segment).map_or(&[], Vec::as_slice)
    }

    /// Where a unicast from this interface of this node ends; through a router only if `routed`.
    pub(super) fn way(&self, node: usize, segment: usize, to: IpAddr, routed: bool) -> Option<Way> {
        let machine = self.nodes.get(node)?;
        if let Some(own) = machine.attachments.iter().find(|a| a.has(to)) {
            return Some(Way { node, index: own.index, local: true });
        }
        if let Some(&(node, index)) = self.owners.get(&(segment, to)) {
            return Some(Way { node, index, local: false });
        }
        if !routed {
            return None;
        }
        let beyond = self.routers.iter().filter_map(|&(a, b)| match segment {
            s if s == a => Some(b),
            s if s == b => Some(a),
            _ => None,
        });
        let (node, index) = beyond.into_iter().find_map(|other| self.owners.get(&(other, to)).copied())?;
        Some(Way { node, index, local: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn broadcast_addresses_of_subnets() {
        assert_eq!(broadcast_of(Ipv4Addr::new(10, 0, 0, 7), 24), Some(Ipv4Addr::new(10, 0, 0, 255)));
        assert_eq!(broadcast_of(Ipv4Addr::new(10, 0, 0, 7), 16), Some(Ipv4Addr::new(10, 0, 255, 255)));
        assert_eq!(broadcast_of(Ipv4Addr::new(10, 0, 0, 7), 0), Some(Ipv4Addr::BROADCAST));
        assert_eq!(broadcast_of(Ipv4Addr::new(10, 0, 0, 7), 31), None);
        assert_eq!(broadcast_of(Ipv4Addr::new(10, 0, 0, 7), 32), None);
    }

    #[test]
    fn routes_by_scope_then_subnet_then_default() {
        let mut topology = Topology::default();
        let node = topology.add("a");
        topology.plug(
            node,
            vec![
                Nic::loopback(),
                Nic::new("tun0", "far").address("172.16.0.1/24"),
                Nic::new("eth0", "lan").address("10.0.0.1/24").address("fe80::1/64"),
            ],
        );
        let route = |text: &str| topology.nodes[node].route(text.parse().unwrap()).map(|(_, source)| source);
        assert_eq!(route("10.0.0.9:1"), Some(ip("10.0.0.1")));
        assert_eq!(route("172.16.0.9:1"), Some(ip("172.16.0.1")));
        assert_eq!(route("8.8.8.8:1"), Some(ip("172.16.0.1")));
        assert_eq!(route("127.0.0.1:1"), Some(ip("127.0.0.1")));
        assert_eq!(route("[fe80::9%2]:1"), Some(ip("fe80::1")));
        assert_eq!(route("[fe80::9%3]:1"), None);
        assert_eq!(route("[2001:db8::1]:1"), None);
    }

    #[test]
    fn an_index_stays_with_its_name() {
        let mut topology = Topology::default();
        let node = topology.add("a");
        let before = topology.nodes[node].interfaces().iter().find(|i| i.name == "eth0").unwrap().index;
        topology.plug(node, vec![Nic::new("wlan0", "lan").address("10.0.0.2/24")]);
        topology.plug(node, vec![Nic::new("eth0", "lan").address("10.0.0.3/24")]);
        assert_eq!(topology.nodes[node].interfaces()[0].index, before);
        assert!(topology.way(node, 0, ip("10.0.0.2"), false).is_none());
    }

    #[test]
    fn a_router_carries_unicast_only_where_it_was_asked_for() {
        let mut topology = Topology::default();
        let (a, b) = (topology.add("a"), topology.add("b"));
        topology.plug(a, vec![Nic::new("eth0", "one").address("10.1.0.1/24")]);
        topology.plug(b, vec![Nic::new("eth0", "two").address("10.2.0.1/24")]);
        topology.join("one", "two");
        let segment = topology.nodes[a].attachments[0].segment;
        assert_eq!(topology.way(a, segment, ip("10.2.0.1"), true).map(|way| way.node), Some(b));
        assert_eq!(topology.way(a, segment, ip("10.2.0.1"), false), None);
    }

    #[test]
    fn a_bad_address_is_kept_as_a_problem() {
        assert!(Nic::new("eth0", "lan").address("10.0.0.1").problem.is_some());
        assert!(Nic::new("eth0", "lan").address("10.0.0.1/33").problem.is_some());
    }
}
