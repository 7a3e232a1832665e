//! `tcpdump` on a bridge, and a reader for what it wrote.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::inside::{SCRATCH, run};
use super::lan::{Segment, in_namespace};
use super::timing::pause;

/// A running capture of everything on one bridge.
#[derive(Debug)]
pub(crate) struct Capture {
    child: Child,
    path: String,
}

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
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let path = format!("{SCRATCH}/{}.pcap", COUNT.fetch_add(1, Ordering::Relaxed));
        let words = ["-i", "br0", "-n", "-U", "--immediate-mode", "-B", "8192", "-s", "0", "-Z", "root", "-w", &path];
        let mut child = in_namespace(segment.namespace(), Path::new("tcpdump"))
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("tcpdump starts");
        // "listening on br0, …" comes when the socket is open.
        let mut errors = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = String::new();
        while !said.contains("listening on") {
            let more = errors.read_line(&mut said).expect("tcpdump's standard error");
            assert!(more > 0, "tcpdump ended: {said}");
        }
        // The rest of what it says is a few lines at its end, which fit into the pipe.
        child.stderr = Some(errors.into_inner());
        pause(100);
        Self { child, path }
    }

    /// Ends the capture.
    pub(crate) fn stop(mut self) -> Vec<Packet> {
        pause(150);
        run("sh", &["-c", "kill -s TERM \"$0\"", &self.child.id().to_string()]);
        let _ = self.child.wait();
        parse(&fs::read(&self.path).expect("the capture can be read"))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The packets of a little-endian pcap file of Ethernet frames.
pub(crate) fn parse(file: &[u8]) -> Vec<Packet> {
    let word = |at: usize| -> Option<usize> {
        let bytes = file.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    assert_eq!(word(0), Some(0xa1b2_c3d4), "a pcap file");
    assert_eq!(word(20), Some(1), "of Ethernet");
    let mut packets = Vec::new();
    let mut at = 24;
    while let Some(length) = word(at + 8) {
        let Some(frame) = file.get(at + 16..at + 16 + length) else { break };
        packets.extend(packet(frame));
        at += 16 + length;
    }
    packets
}

fn packet(frame: &[u8]) -> Option<Packet> {
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
