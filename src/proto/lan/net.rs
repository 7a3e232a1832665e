//! The usable interfaces, the ways out of them, and whether a source is on the link (protocol.md, "Discovery, host" and "Discovery, finder").

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::proto::io::{Arrival, Interface, Via};
use crate::types::PathKind;

/// The IPv4 group of questions and beacons: in the organisation-local scope, so routers keep it in (RFC 2365).
pub(crate) const IPV4_GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 76, 83);
/// The IPv6 group, link-local.
pub(crate) const IPV6_GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0x4c, 0x414e);

/// One way to everybody: from this address of this interface, by this path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Way {
    pub(crate) index: u32,
    pub(crate) address: IpAddr,
    pub(crate) path: PathKind,
}

/// Where a datagram came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From the link; answers go this way.
    OnLink(Via),
    /// Through a router or a VPN.
    OffLink,
    /// From an address that no answer may go to.
    Refused,
}

/// The interfaces as last told.
#[derive(Debug)]
pub(crate) struct Net {
    interfaces: Vec<Interface>,
    port: u16,
}

impl Net {
    pub(crate) fn new(port: u16) -> Self {
        Self { interfaces: Vec::new(), port }
    }

    pub(crate) fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    /// The UDP port that all instances of the game share.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The port of our own sockets: the one that most of them have. `None` while there is no socket.
    pub(crate) fn own_port(&self) -> Option<u16> {
        let ports = || self.interfaces.iter().map(|interface| interface.port).filter(|port| *port != 0);
        ports().max_by_key(|port| (ports().filter(|other| other == port).count(), std::cmp::Reverse(*port)))
    }

    pub(crate) fn set(&mut self, interfaces: &[Interface]) {
        self.interfaces = interfaces.to_vec();
        self.interfaces.sort();
    }

    /// Whether any interface is a radio: its multicasts are slow and cost everybody's air.
    pub(crate) fn wireless(&self) -> bool {
        self.interfaces.iter().any(|interface| interface.wireless)
    }

    /// Every way there is, by interface. Point-to-point links have none: what lies behind them is not on the link.
    pub(crate) fn ways(&self) -> Vec<Way> {
        let mut ways = Vec::new();
        for interface in self.interfaces.iter().filter(|interface| !interface.point_to_point) {
            let way = |path| Way { index: interface.index, address: interface.address, path };
            match interface.address {
                IpAddr::V4(_) => {
                    if interface.broadcast.is_some() || interface.loopback {
                        ways.push(way(PathKind::DirectedBroadcast));
                    }
                    ways.push(way(PathKind::Ipv4Multicast));
                    if !interface.loopback {
                        ways.push(way(PathKind::LimitedBroadcast));
                    }
                }
                IpAddr::V6(address) => {
                    if is_link_local(address) && !interface.loopback {
                        ways.push(way(PathKind::Ipv6Multicast));
                    }
                }
            }
        }
        ways
    }

    /// One way per interface: what an idle host's rare beacon takes.
    pub(crate) fn thrifty_ways(&self) -> Vec<Way> {
        let mut ways = self.ways();
        ways.retain(|way| matches!(way.path, PathKind::Ipv4Multicast | PathKind::Ipv6Multicast));
        ways.sort_by_key(|way| (way.index, way.path));
        ways.dedup_by_key(|way| way.index);
        ways
    }

    /// Where a way leads; `None` once its interface is gone.
    pub(crate) fn destination(&self, way: &Way) -> Option<SocketAddr> {
        let interface = self.interfaces.iter().find(|i| i.index == way.index && i.address == way.address)?;
        let ip = match way.path {
            PathKind::LimitedBroadcast => IpAddr::V4(Ipv4Addr::BROADCAST),
            PathKind::DirectedBroadcast if interface.loopback => IpAddr::V4(Ipv4Addr::new(127, 255, 255, 255)),
            PathKind::DirectedBroadcast => IpAddr::V4(interface.broadcast?),
            PathKind::Ipv4Multicast => IpAddr::V4(IPV4_GROUP),
            PathKind::Ipv6Multicast => {
                return Some(SocketAddr::V6(SocketAddrV6::new(IPV6_GROUP, self.port, 0, way.index)));
            }
            PathKind::Unicast | PathKind::Mdns => return None,
        };
        Some(SocketAddr::new(ip, self.port))
    }

    /// The way by which a datagram that names `path` came.
    pub(crate) fn way_of(&self, via: Via, path: PathKind) -> Option<Way> {
        let Via::Interface { index, address } = via else { return None };
        let v6 = match path {
            PathKind::Ipv6Multicast => true,
            PathKind::Unicast | PathKind::Mdns => return None,
            _ => false,
        };
        let fits = |interface: &&Interface| interface.index == index && interface.address.is_ipv6() == v6;
        let same = self.interfaces.iter().filter(fits).find(|interface| interface.address == address);
        let found = same.or_else(|| self.interfaces.iter().find(fits))?;
        Some(Way { index, address: found.address, path })
    }

    /// How to reach an address on the link; `None` where it is not on any.
    pub(crate) fn via_to(&self, to: SocketAddr) -> Option<Via> {
        if refused(to) || self.is_broadcast(to.ip()) {
            return None;
        }
        let scope = match to {
            SocketAddr::V6(to) if is_link_local(*to.ip()) => Some(to.scope_id()),
            _ => None,
        };
        self.interfaces
            .iter()
            .find(|i| {
                !i.point_to_point
                    && in_prefix(i, to.ip())
                    && scope.is_none_or(|scope| scope == 0 || scope == i.index)
                    && loopback_fits(i, to.ip())
            })
            .map(|i| Via::Interface { index: i.index, address: i.address })
    }

    /// Where an arrival came from, and by which way an answer leaves.
    pub(crate) fn origin(&self, arrival: &Arrival) -> Origin {
        let ip = arrival.from.ip();
        if refused(arrival.from) || self.is_broadcast(ip) {
            return Origin::Refused;
        }
        let near = |i: &&Interface| arrival.interface == 0 || i.index == arrival.interface;
        let on_link = |i: &&Interface| !i.point_to_point && in_prefix(i, ip) && loopback_fits(i, ip);
        let via = |i: &Interface| Origin::OnLink(Via::Interface { index: i.index, address: i.address });
        let by_local = self.interfaces.iter().filter(near).filter(on_link).find(|i| i.address == arrival.local);
        if let Some(interface) = by_local.or_else(|| self.interfaces.iter().filter(near).find(on_link)) {
            return via(interface);
        }
        // From this machine itself: the kernel names whichever interface it likes.
        if let Some(interface) = self.interfaces.iter().find(|i| i.address == ip && !i.loopback) {
            return via(interface);
        }
        if ip.is_loopback() || matches!(ip, IpAddr::V6(v6) if is_link_local(v6)) {
            return Origin::Refused;
        }
        Origin::OffLink
    }

    fn is_broadcast(&self, ip: IpAddr) -> bool {
        let IpAddr::V4(ip) = ip else { return false };
        ip.is_broadcast() || self.interfaces.iter().any(|interface| interface.broadcast == Some(ip))
    }
}

fn refused(addr: SocketAddr) -> bool {
    addr.port() == 0 || addr.ip().is_unspecified() || addr.ip().is_multicast()
}

fn loopback_fits(interface: &Interface, ip: IpAddr) -> bool {
    !ip.is_loopback() || interface.loopback
}

pub(crate) fn is_link_local(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xffc0 == 0xfe80
}

fn in_prefix(interface: &Interface, ip: IpAddr) -> bool {
    // A prefix that short is a mistake, or somebody's attempt to make the whole Internet a neighbour.
    if interface.prefix < 8 {
        return false;
    }
    match (interface.address, ip) {
        (IpAddr::V4(own), IpAddr::V4(ip)) => {
            let shift = 32_u32.saturating_sub(interface.prefix.into());
            (u32::from(own) ^ u32::from(ip)).checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V6(own), IpAddr::V6(ip)) => {
            if is_link_local(own) && is_link_local(ip) {
                return true;
            }
            let shift = 128_u32.saturating_sub(interface.prefix.into());
            (u128::from(own) ^ u128::from(ip)).checked_shr(shift).unwrap_or(0) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(index: u32, address: &str, prefix: u8) -> Interface {
        let address: IpAddr = address.parse().unwrap();
        let broadcast = match address {
            IpAddr::V4(v4) => Some(Ipv4Addr::from(u32::from(v4) | (u32::MAX >> prefix))),
            IpAddr::V6(_) => None,
        };
        let loopback = address.is_loopback();
        Interface {
            index,
            name: format!("if{index}"),
            address,
            prefix,
            broadcast,
            loopback,
            point_to_point: false,
            wireless: false,
            port: 0,
            deaf: None,
        }
    }

    fn arrival(index: u32, from: &str) -> Arrival {
        Arrival {
            interface: index,
            local: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            from: from.parse().unwrap(),
            shared: true,
            bytes: Vec::new(),
        }
    }

    #[test]
    fn only_the_arrival_interfaces_prefix_is_on_the_link() {
        let mut net = Net::new(7);
        net.set(&[interface(2, "192.168.1.5", 25), interface(3, "10.0.0.1", 16), interface(1, "127.0.0.1", 8)]);
        let on_link = |arrival| matches!(net.origin(&arrival), Origin::OnLink(_));
        assert!(on_link(arrival(2, "192.168.1.100:9")));
        assert!(!on_link(arrival(2, "192.168.1.200:9")));
        assert!(!on_link(arrival(2, "10.0.7.7:9")));
        assert!(on_link(arrival(3, "10.0.7.7:9")));
        assert!(on_link(arrival(1, "192.168.1.5:9")), "from this machine, whatever the kernel calls the interface");
        for refused in ["192.168.1.127:9", "0.0.0.0:9", "224.0.0.1:9", "192.168.1.9:0", "255.255.255.255:9"] {
            assert_eq!(net.origin(&arrival(2, refused)), Origin::Refused, "{refused}");
        }
        assert_eq!(net.origin(&arrival(2, "127.0.0.1:9")), Origin::Refused);
        assert_eq!(net.origin(&arrival(2, "8.8.8.8:9")), Origin::OffLink);
        assert_eq!(net.via_to("8.8.8.8:9".parse().unwrap()), None);
        assert!(net.via_to("10.0.255.254:9".parse().unwrap()).is_some());
        assert!(net.via_to("10.0.255.255:9".parse().unwrap()).is_none());
    }

    #[test]
    fn our_port_is_the_one_that_most_sockets_have() {
        let mut net = Net::new(7);
        assert_eq!(net.own_port(), None);
        let at = |index, address, port| Interface { port, ..interface(index, address, 24) };
        net.set(&[at(1, "127.0.0.1", 9), at(2, "192.168.1.5", 8), at(3, "10.0.0.1", 8), at(4, "10.0.1.1", 0)]);
        assert_eq!(net.own_port(), Some(8));
        net.set(&[at(1, "127.0.0.1", 0)]);
        assert_eq!(net.own_port(), None);
    }

    #[test]
    fn four_ways_and_on_loopback_two() {
        let mut net = Net::new(7);
        net.set(&[interface(2, "192.168.1.5", 24), interface(2, "fe80::1", 64), interface(1, "127.0.0.1", 8)]);
        let to: Vec<String> = net.ways().iter().filter_map(|way| net.destination(way)).map(|a| a.to_string()).collect();
        assert_eq!(
            to,
            [
                "127.255.255.255:7",
                "239.255.76.83:7",
                "192.168.1.255:7",
                "239.255.76.83:7",
                "255.255.255.255:7",
                "[ff02::4c:414e%2]:7"
            ]
        );
        assert_eq!(net.thrifty_ways().len(), 2);
    }
}
