//! One UDP socket each: how it is opened, read and written without blocking.
//!
//! The shared beacon port needs to know by which interface a datagram came. `socket-pktinfo` reads that without `unsafe`
//! here; it knows no tokio, so the same socket, duplicated, is registered with tokio for readiness, and tokio's `try_io`
//! runs the read. That holds on Windows too, where mio arms the socket again after a read that would block.

use std::fmt;
use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket_pktinfo::PktInfoUdpSocket;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::{Interest, ReadBuf};
use tokio::net::UdpSocket;

use super::Ports;
use crate::proto::io::{Arrival, Interface, Via};

/// No datagram of ours is longer than 1,200 bytes; what fills this was cut.
pub(super) const BUFFER: usize = 2_048;
/// A default buffer holds 92 datagrams of 1,200 bytes; the system may grant less than is asked.
const RECEIVE_BUFFER: usize = 256 << 10;

/// Enough for any network of one organisation, and the usual.
const ROUTED_HOPS: u32 = 64;

/// What a socket is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Bound to one address of one interface, hop limit 1: hears unicast only.
    Interface(Interface),
    /// Bound to the wildcard, hop limit 64.
    Routed { v6: bool },
    /// The beacon port, shared with every other process on this machine.
    Shared { v6: bool },
    /// Connected to one peer, so that the system reports when nobody listens there.
    Probe { via: Via, to: SocketAddr },
}

/// Resolves once a socket has an error.
type Failing = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// An open socket.
pub(super) struct Open {
    udp: Arc<UdpSocket>,
    failing: Option<Failing>,
    /// The same socket, where packet information is wanted.
    info: Option<PktInfoUdpSocket>,
    interface: u32,
    local: IpAddr,
}

impl Open {
    /// `port` is what a socket of an interface takes where it can.
    pub(super) fn new(place: &Place, ports: &Ports, port: u16) -> io::Result<Self> {
        match place {
            Place::Interface(interface) => interface_socket(interface, port),
            Place::Routed { v6 } => routed(*v6),
            Place::Shared { v6 } => shared(*v6, ports),
            Place::Probe { via, to } => probe(*via, *to),
        }
    }

    /// The port that it is bound to.
    pub(super) fn port(&self) -> u16 {
        self.udp.local_addr().map_or(0, |local| local.port())
    }

    /// Sends now or says why not. Readiness is not asked: a socket that was just opened is not known to be writable yet.
    pub(super) fn send(&self, bytes: &[u8], to: SocketAddr) -> io::Result<()> {
        SockRef::from(&*self.udp).send_to(bytes, &to.into()).map(drop)
    }

    /// Sends to the peer this socket is connected to.
    pub(super) fn send_connected(&self, bytes: &[u8]) -> io::Result<()> {
        SockRef::from(&*self.udp).send(bytes).map(drop)
    }

    /// The next datagram; `Ok(None)` for one that is nothing (empty, or too long).
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<Option<Arrival>>> {
        let Some(info) = &self.info else {
            let mut read = ReadBuf::new(buffer);
            let from = ready!(self.udp.poll_recv_from(cx, &mut read))?;
            return Poll::Ready(Ok(self.arrival(read.filled(), from, self.interface, self.local, false)));
        };
        loop {
            ready!(self.udp.poll_recv_ready(cx))?;
            match self.udp.try_io(Interest::READABLE, || self.read_with_info(info, buffer)) {
                Ok((length, from)) => {
                    let bytes = buffer.get(..length).unwrap_or_default();
                    let index = u32::try_from(from.if_index).unwrap_or(0);
                    return Poll::Ready(Ok(self.arrival(bytes, from.addr_src, index, from.addr_dst, true)));
                }
                // Readiness is cleared now; asking again registers the waker.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// `socket-pktinfo` takes an empty datagram for an error and reports whatever error came before it. If that was "would
    /// block", an attacker's empty datagram would hide all that wait behind it: so that word is checked.
    fn read_with_info(
        &self,
        info: &PktInfoUdpSocket,
        buffer: &mut [u8],
    ) -> io::Result<(usize, socket_pktinfo::PktInfo)> {
        let result = info.recv(buffer);
        match &result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match SockRef::from(&*self.udp).peek(&mut [MaybeUninit::uninit(); 1]) {
                    Err(peeked) if peeked.kind() == io::ErrorKind::WouldBlock => result,
                    _ => Err(io::ErrorKind::Interrupted.into()),
                }
            }
            _ => result,
        }
    }

    fn arrival(&self, bytes: &[u8], from: SocketAddr, interface: u32, local: IpAddr, shared: bool) -> Option<Arrival> {
        if bytes.is_empty() || bytes.len() >= BUFFER {
            return None;
        }
        Some(Arrival { interface, local, from, shared, bytes: bytes.to_vec() })
    }

    /// An error that the system has for this socket, where it comes without anything to read: Linux tells of a port
    /// unreachable so.
    pub(super) fn poll_error(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let udp = &self.udp;
            let failing = self.failing.get_or_insert_with(|| {
                let udp = Arc::clone(udp);
                Box::pin(async move { udp.ready(Interest::ERROR).await.map(drop) })
            });
            let ready = ready!(failing.as_mut().poll(cx));
            self.failing = None;
            if let Err(error) = ready {
                return Poll::Ready(error);
            }
            // Takes the readiness back.
            let _blocks = self.udp.try_io(Interest::ERROR, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
            if let Ok(Some(error)) = SockRef::from(&*self.udp).take_error() {
                return Poll::Ready(error);
            }
        }
    }

    /// Joins the beacon group on an interface.
    pub(super) fn join(&self, interface: &Interface, ports: &Ports) -> io::Result<()> {
        let socket = SockRef::from(&*self.udp);
        let result = match interface.address {
            IpAddr::V4(address) => socket.join_multicast_v4(&ports.group_v4, &address),
            IpAddr::V6(_) => socket.join_multicast_v6(&ports.group_v6, interface.index),
        };
        match result {
            // A member already.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(()),
            other => other,
        }
    }

    /// Leaves the group again; an address that is gone has left by itself.
    pub(super) fn leave(&self, interface: &Interface, ports: &Ports) {
        let socket = SockRef::from(&*self.udp);
        let _left = match interface.address {
            IpAddr::V4(address) => socket.leave_multicast_v4(&ports.group_v4, &address),
            IpAddr::V6(_) => socket.leave_multicast_v6(&ports.group_v6, interface.index),
        };
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("udp", &self.udp).finish_non_exhaustive()
    }
}

/// An address of an interface as one to bind to: link-local IPv6 needs the scope.
pub(in crate::driver) fn bindable(address: IpAddr, index: u32, port: u16) -> SocketAddr {
    match address {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => SocketAddrV6::new(v6, port, 0, index).into(),
        other => SocketAddr::new(other, port),
    }
}

fn wildcard(v6: bool, port: u16) -> SocketAddr {
    if v6 { (Ipv6Addr::UNSPECIFIED, port).into() } else { (Ipv4Addr::UNSPECIFIED, port).into() }
}

fn plain(v6: bool, hops: u32) -> io::Result<Socket> {
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if v6 {
        socket.set_only_v6(true)?;
        socket.set_unicast_hops_v6(hops)?;
    } else {
        socket.set_ttl_v4(hops)?;
    }
    Ok(socket)
}

fn finish(socket: Socket, interface: u32, local: IpAddr) -> io::Result<Open> {
    // A wish: a small buffer loses datagrams in bursts, it does not break anything.
    let _wish = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    Ok(Open { udp: Arc::new(UdpSocket::from_std(socket.into())?), failing: None, info: None, interface, local })
}

fn interface_socket(interface: &Interface, wanted: u16) -> io::Result<Open> {
    let socket = plain(interface.address.is_ipv6(), 1)?;
    match interface.address {
        IpAddr::V4(address) => {
            socket.set_broadcast(true)?;
            socket.set_multicast_if_v4(&address)?;
            socket.set_multicast_ttl_v4(1)?;
            socket.set_multicast_loop_v4(true)?;
        }
        IpAddr::V6(_) => {
            socket.set_multicast_if_v6(interface.index)?;
            socket.set_multicast_hops_v6(1)?;
            socket.set_multicast_loop_v6(true)?;
        }
    }
    let at = |port| bindable(interface.address, interface.index, port).into();
    // Another process has it; no sharing, or it would take our answers. Windows forbids whole ranges.
    let taken = |error: &io::Error| matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied);
    match socket.bind(&at(wanted)) {
        Err(error) if wanted != 0 && taken(&error) => {
            tracing::debug!(target: "lansession::discovery", %error, port = wanted, "unicast port taken, using a free one");
            socket.bind(&at(0))?;
        }
        other => other?,
    }
    finish(socket, interface.index, interface.address)
}

fn routed(v6: bool) -> io::Result<Open> {
    let socket = plain(v6, ROUTED_HOPS)?;
    let local = wildcard(v6, 0);
    socket.bind(&local.into())?;
    finish(socket, 0, local.ip())
}

fn probe(via: Via, to: SocketAddr) -> io::Result<Open> {
    let (hops, interface, local) = match via {
        Via::Interface { index, address } => (1, index, bindable(address, index, 0)),
        Via::Routed => (ROUTED_HOPS, 0, wildcard(to.is_ipv6(), 0)),
    };
    let socket = plain(to.is_ipv6(), hops)?;
    socket.bind(&local.into())?;
    socket.connect(&to.into())?;
    Ok(Open {
        udp: Arc::new(UdpSocket::from_std(socket.into())?),
        failing: None,
        info: None,
        interface,
        local: local.ip(),
    })
}

fn shared(v6: bool, ports: &Ports) -> io::Result<Open> {
    let info = PktInfoUdpSocket::new(if v6 { Domain::IPV6 } else { Domain::IPV4 })?;
    info.set_nonblocking(true)?;
    info.set_reuse_address(true)?;
    // Both: with REUSEPORT alone another user's socket on the port gives EADDRINUSE.
    #[cfg(unix)]
    info.set_reuse_port(true)?;
    let twin = info.try_clone_std()?;
    {
        let socket = SockRef::from(&twin);
        // Answers to those beyond the link leave by it.
        if v6 {
            socket.set_only_v6(true)?;
            socket.set_unicast_hops_v6(ROUTED_HOPS)?;
        } else {
            socket.set_ttl_v4(ROUTED_HOPS)?;
        }
        // Only the groups joined by this socket; Linux delivers everybody's otherwise.
        #[cfg(target_os = "linux")]
        if v6 {
            socket.set_multicast_all_v6(false)?;
        } else {
            socket.set_multicast_all_v4(false)?;
        }
        let _wish = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    }
    let local = wildcard(v6, ports.beacon);
    info.bind(&local.into())?;
    // Not inherited by the duplicate on Windows.
    twin.set_nonblocking(true)?;
    Ok(Open {
        udp: Arc::new(UdpSocket::from_std(twin)?),
        failing: None,
        info: Some(info),
        interface: 0,
        local: local.ip(),
    })
}
