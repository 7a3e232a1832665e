//! What a segment's bridge drops, by nftables; each packet is judged once for every receiver.

use std::fmt::Write as _;
use std::path::Path;

use super::inside::feed;
use super::lan::{Segment, in_namespace};

/// Datagrams, or a share of everything, that do not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drops {
    /// To 255.255.255.255.
    LimitedBroadcast,
    /// To the broadcast address of the network.
    DirectedBroadcast,
    /// To IPv4 groups, multicast DNS excepted.
    Ipv4Multicast,
    /// To IPv6 groups, multicast DNS and neighbour discovery excepted.
    Ipv6Multicast,
    /// Multicast DNS, both families.
    Mdns,
    /// So many of a hundred frames of any kind, drawn for each receiver.
    Percent(u8),
}

/// The five ways by which a session can be found without knowing an address.
pub(crate) const PATHS: [Drops; 5] =
    [Drops::LimitedBroadcast, Drops::DirectedBroadcast, Drops::Ipv4Multicast, Drops::Ipv6Multicast, Drops::Mdns];

impl Drops {
    fn rule(self) -> String {
        match self {
            Self::LimitedBroadcast => "ip daddr 255.255.255.255 meta l4proto udp".into(),
            Self::DirectedBroadcast => {
                "ether daddr ff:ff:ff:ff:ff:ff ip daddr != 255.255.255.255 meta l4proto udp".into()
            }
            Self::Ipv4Multicast => "ip daddr 224.0.0.0/4 udp dport != 5353".into(),
            Self::Ipv6Multicast => "ip6 daddr ff00::/8 udp dport != 5353".into(),
            Self::Mdns => "udp dport 5353".into(),
            Self::Percent(share) => format!("numgen random mod 100 < {share}"),
        }
    }
}

impl Segment {
    /// Cuts the network in two: the machines plugged in first, so many of them, and the others.
    pub(crate) fn split(&self, first: u16) {
        let near: Vec<String> = (1..=first).map(|port| format!("\"p{port}\"")).collect();
        let near = near.join(", ");
        let text = format!(
            "table bridge lan {{}}\ndelete table bridge lan\ntable bridge lan {{\nchain pass {{\n\
             type filter hook forward priority 0; policy accept;\n\
             iifname {{ {near} }} oifname != {{ {near} }} counter drop\n\
             iifname != {{ {near} }} oifname {{ {near} }} counter drop\n}}\n}}\n"
        );
        feed(in_namespace(self.namespace(), Path::new("nft")).args(["-f", "-"]), &text);
    }

    /// Replaces the rules of this bridge; none lets everything pass.
    pub(crate) fn drops(&self, drops: &[Drops]) {
        let mut text = String::from(
            "table bridge lan {}\ndelete table bridge lan\ntable bridge lan {\nchain pass {\n\
             type filter hook forward priority 0; policy accept;\n",
        );
        for one in drops {
            let _ = writeln!(text, "{} counter drop", one.rule());
        }
        text.push_str("}\n}\n");
        feed(in_namespace(self.namespace(), Path::new("nft")).args(["-f", "-"]), &text);
    }
}
