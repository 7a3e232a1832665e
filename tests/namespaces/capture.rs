//! Everything that passes a bridge, read by a packet socket in its namespace.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::helper;
use super::lan::Segment;
use super::process::Proc;
use super::timing::{SECOND, pause};

/// A running capture of everything on one bridge.
#[derive(Debug)]
pub(crate) struct Capture(Proc);

/// The transport of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

/// One TCP segment or datagram.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) transport: Transport,
    pub(crate) source: IpAddr,
    pub(crate) source_port: u16,
    pub(crate) target: IpAddr,
    pub(crate) target_port: u16,
    /// The hardware address it came from: the same for both families.
    pub(crate) source_hardware: [u8; 6],
    /// IPv4 time to live, or IPv6 hop limit.
    pub(crate) hops: u8,
    pub(crate) payload: Vec<u8>,
}

impl Capture {
    /// Starts to write down what passes.
    pub(crate) fn start(segment: &Segment) -> Self {
        let watch = helper::watch(segment, 120);
        watch.expect("watching", 5 * SECOND);
        Self(watch)
    }

    /// Ends the capture. A packet is in it more than once: at the port where it entered, and where it left.
    pub(crate) fn stop(self) -> Vec<Packet> {
        pause(200);
        let frames = self.0.all("frame");
        frames.iter().filter_map(|e| packet(&helper::unhex(e.text("/hex")))).collect()
    }
}

/// The packet in an Ethernet frame.
pub(crate) fn packet(frame: &[u8]) -> Option<Packet> {
    let source_hardware = frame.get(6..12)?.try_into().ok()?;
    let rest = frame.get(14..)?;
    let (next, hops, source, target, rest): (u8, u8, IpAddr, IpAddr, &[u8]) = match frame.get(12..14)? {
        [0x08, 0x00] => {
            let header = usize::from(rest.first()? & 15) * 4;
            let length = usize::from(u16::from_be_bytes(rest.get(2..4)?.try_into().ok()?));
            let address = |at| -> Option<IpAddr> {
                Some(Ipv4Addr::from(<[u8; 4]>::try_from(rest.get(at..at + 4)?).ok()?).into())
            };
            (*rest.get(9)?, *rest.get(8)?, address(12)?, address(16)?, rest.get(header..length)?)
        }
        [0x86, 0xdd] => {
            let length = usize::from(u16::from_be_bytes(rest.get(4..6)?.try_into().ok()?));
            let address = |at| -> Option<IpAddr> {
                Some(Ipv6Addr::from(<[u8; 16]>::try_from(rest.get(at..at + 16)?).ok()?).into())
            };
            (*rest.get(6)?, *rest.get(7)?, address(8)?, address(24)?, rest.get(40..40 + length)?)
        }
        _ => return None,
    };
    let port = |at| -> Option<u16> { Some(u16::from_be_bytes(rest.get(at..at + 2)?.try_into().ok()?)) };
    let (transport, payload) = match next {
        6 => (Transport::Tcp, rest.get(usize::from(rest.get(12)? >> 4) * 4..)?),
        17 => (Transport::Udp, rest.get(8..)?),
        _ => return None,
    };
    Some(Packet {
        transport,
        source,
        source_port: port(0)?,
        target,
        target_port: port(2)?,
        source_hardware,
        hops,
        payload: payload.to_vec(),
    })
}
