//! A session's listener: one port, both families, no sharing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

/// Connections the system holds for us: a burst of a thousand must not push out the one that matters, whose next try comes
/// a second later. (The system may cap it.)
const BACKLOG: i32 = 1_024;
/// Random ports tried until one is free in both families.
const TRIES: usize = 8;

#[derive(Debug)]
pub(super) struct Listener {
    v4: Option<TcpListener>,
    v6: Option<TcpListener>,
    pub(super) port: u16,
}

impl Listener {
    /// Listens on every address, or on loopback alone. Port 0 takes a free one, the same in both families.
    pub(super) fn new(port: u16, loopback_only: bool) -> io::Result<Self> {
        let mut last = io::Error::other("no port is free in both families");
        for _ in 0..TRIES {
            match Self::attempt(port, loopback_only) {
                // A random port that only one family has free: another one.
                Err(error) if port == 0 && error.kind() == io::ErrorKind::AddrInUse => last = error,
                other => return other,
            }
        }
        Err(last)
    }

    fn attempt(port: u16, loopback_only: bool) -> io::Result<Self> {
        let (any4, any6) = if loopback_only {
            (Ipv4Addr::LOCALHOST, Ipv6Addr::LOCALHOST)
        } else {
            (Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED)
        };
        let v4 = match listen(any4.into(), port) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            other => other,
        };
        let taken = match &v4 {
            Ok(listener) => listener.local_addr()?.port(),
            Err(_) => port,
        };
        match (v4, listen(any6.into(), taken)) {
            (_, Err(error)) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
            // A machine with one family only.
            (Ok(v4), v6) => Ok(Self { v4: Some(v4), v6: v6.ok(), port: taken }),
            (Err(_), Ok(v6)) => Ok(Self { port: v6.local_addr()?.port(), v4: None, v6: Some(v6) }),
            (Err(error), Err(_)) => Err(error),
        }
    }

    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        for listener in [&self.v4, &self.v6].into_iter().flatten() {
            if let Poll::Ready(result) = listener.poll_accept(cx) {
                return Poll::Ready(result);
            }
        }
        Poll::Pending
    }
}

fn listen(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    let domain = if address.is_ipv6() { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Lets a restarted host have its port back while old connections linger; on Unix it shares nothing. On Windows it
    // would let another process take the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::new(address, port).into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
