//! One connection as one task: connect or accept, handshake, then frames both ways until it ends.
//!
//! On the stream a frame is: length of the payload 2, kind 1, flags 1 (bit 0: more parts follow), payload.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::budget::Budget;
use super::slow::Slow;
use crate::driver::tls::{self, Proved};
use crate::proto::disturb::Disturbance;
use crate::proto::io::{Closed, LinkEvent, LinkId};
use crate::proto::tuning::Tuning;
use crate::wire::frame::HEADER;

/// The engine has a deadline per stage; this one ends what the engine has forgotten.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Frames a link may have waiting in the driver: what it sends beyond waits in its own socket.
const WINDOW: usize = 4;
/// Queued bytes that go out before a flush tells the engine of them.
const BATCH: usize = 64 << 10;
/// What a TLS record of a handshake starts with (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;
const MORE: u8 = 1;

/// What the driver tells a link.
#[derive(Debug)]
pub(super) enum Order {
    Send(Vec<u8>),
    Flush,
}

/// An event on its way to the driver; the permit gives the link its place back once the event was taken.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) event: LinkEvent,
    _place: Option<OwnedSemaphorePermit>,
}

/// A link's way to the driver.
pub(super) struct Outbox {
    link: LinkId,
    events: mpsc::UnboundedSender<Delivery>,
    window: Arc<Semaphore>,
    /// A simulated fault, for the stream once there is one.
    judge: Option<Disturbance>,
    /// How long last words may take.
    flush: Duration,
}

impl Outbox {
    pub(super) fn new(
        link: LinkId,
        events: mpsc::UnboundedSender<Delivery>,
        judge: Option<Disturbance>,
        flush: Duration,
    ) -> Self {
        Self { link, events, window: Arc::new(Semaphore::new(WINDOW)), judge, flush }
    }

    /// Told at once: there are few of these per link or per queued frame.
    fn tell(&self, event: LinkEvent) {
        // The driver is gone and this task is about to be.
        let _gone = self.events.send(Delivery { event, _place: None });
    }

    async fn frame(&self, kind: u8, more: bool, payload: Vec<u8>) {
        let place = Arc::clone(&self.window).acquire_owned().await.ok();
        let event = LinkEvent::Frame { link: self.link, kind, more, payload };
        let _gone = self.events.send(Delivery { event, _place: place });
    }
}

/// A connection that is dialled.
pub(super) async fn dial(to: SocketAddr, config: Arc<ClientConfig>, mut out: Outbox, orders: Orders) {
    let why = match connect(to, config, &mut out).await {
        Ok(stream) => run(stream, &out, orders).await,
        Err(why) => why,
    };
    out.tell(LinkEvent::Closed { link: out.link, why });
}

/// A connection that was accepted.
pub(super) async fn accept(
    stream: TcpStream,
    remote: SocketAddr,
    config: Arc<ServerConfig>,
    budget: Arc<Budget>,
    mut out: Outbox,
    orders: Orders,
) {
    let why = match greet(stream, remote, config, budget, &mut out).await {
        Ok(stream) => run(stream, &out, orders).await,
        Err(why) => why,
    };
    out.tell(LinkEvent::Closed { link: out.link, why });
}

pub(super) type Orders = mpsc::UnboundedReceiver<Order>;

async fn connect(
    to: SocketAddr,
    config: Arc<ClientConfig>,
    out: &mut Outbox,
) -> Result<tokio_rustls::client::TlsStream<Slow<TcpStream>>, Closed> {
    let stream = match timeout(Tuning::default().connect, TcpStream::connect(to)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(Closed::Refused),
        Ok(Err(error)) => {
            tracing::debug!(target: "lansession::link", link = out.link.0, %to, %error, "dial failed");
            return Err(Closed::Unreachable);
        }
        Err(_) => return Err(Closed::Unreachable),
    };
    let local = prepare(&stream)?;
    let name = ServerName::IpAddress(to.ip().into());
    let handshake = TlsConnector::from(config).connect(name, Slow::new(stream, out.judge.take()));
    let mut stream = match timeout(HANDSHAKE, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(handshake_failed(out, &error)),
        Err(_) => return Err(Closed::Handshake),
    };
    let Some(proved) = tls::proved(stream.get_ref().1) else {
        let _close_notify = timeout(out.flush, stream.shutdown()).await;
        return Err(Closed::Handshake);
    };
    opened(out, proved, local, to);
    Ok(stream)
}

async fn greet(
    stream: TcpStream,
    remote: SocketAddr,
    config: Arc<ServerConfig>,
    budget: Arc<Budget>,
    out: &mut Outbox,
) -> Result<tokio_rustls::server::TlsStream<Slow<TcpStream>>, Closed> {
    let local = prepare(&stream)?;
    let mut first = [0; 1];
    match timeout(HANDSHAKE, stream.peek(&mut first)).await {
        Ok(Ok(1..)) if first == [TLS_HANDSHAKE] => {}
        Ok(Ok(0)) => return Err(Closed::ByPeer),
        Ok(Ok(_)) | Err(_) => return Err(Closed::Handshake),
        Ok(Err(error)) => return Err(broken(&error)),
    }
    out.tell(LinkEvent::HelloBegun { link: out.link });
    let stream = Slow::new(stream, out.judge.take());
    let handshake = budget.metered(remote.ip(), TlsAcceptor::from(config).accept(stream));
    let mut stream = match timeout(HANDSHAKE, handshake).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(handshake_failed(out, &error)),
        Err(_) => return Err(Closed::Handshake),
    };
    let Some(proved) = tls::proved(stream.get_ref().1) else {
        let _close_notify = timeout(out.flush, stream.shutdown()).await;
        return Err(Closed::Handshake);
    };
    opened(out, proved, local, remote);
    Ok(stream)
}

fn prepare(stream: &TcpStream) -> Result<SocketAddr, Closed> {
    // Without it a small frame waits for the one before it to be acknowledged; the link works nevertheless.
    let _wish = stream.set_nodelay(true);
    stream.local_addr().map_err(|_| Closed::Broken)
}

fn opened(out: &Outbox, proved: Proved, local: SocketAddr, remote: SocketAddr) {
    let Proved { peer, binding, fallback } = proved;
    out.tell(LinkEvent::Open { link: out.link, peer, binding, local, remote, fallback });
}

fn handshake_failed(out: &Outbox, error: &io::Error) -> Closed {
    tracing::debug!(target: "lansession::link", link = out.link.0, %error, "handshake failed");
    if tls::is_wrong_key(error) {
        return Closed::WrongKey;
    }
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Closed::Handshake,
        _ => broken(error),
    }
}

fn broken(error: &io::Error) -> Closed {
    if tls::is_alert(error) {
        return Closed::ByPeer;
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Closed::ByPeer,
        _ => Closed::Broken,
    }
}

/// Why one direction ended.
enum End {
    Read(Closed),
    WriteFailed(Closed),
    Flushed,
}

async fn run<S: AsyncRead + AsyncWrite>(stream: S, out: &Outbox, mut orders: Orders) -> Closed {
    let (mut from, mut to) = tokio::io::split(stream);
    let end = {
        let mut reading = pin!(read(&mut from, out));
        let mut writing = pin!(write(&mut to, out, &mut orders));
        poll_fn(|cx| {
            // Writing first: an order to close counts even while the peer floods.
            if let Poll::Ready(end) = writing.as_mut().poll(cx) {
                return Poll::Ready(end);
            }
            reading.as_mut().poll(cx).map(End::Read)
        })
        .await
    };
    match end {
        End::Read(why) => why,
        // What the peer sent before it closed still counts: a refusal may be among it.
        End::WriteFailed(why) => timeout(out.flush, read(&mut from, out)).await.unwrap_or(why),
        End::Flushed => {
            // Closing over unread bytes would send a reset, and that would take our last words from the peer.
            let _late = timeout(out.flush, discard(&mut from)).await;
            Closed::ByUs
        }
    }
}

async fn read<R: AsyncRead + Unpin>(from: &mut R, out: &Outbox) -> Closed {
    loop {
        let mut header = [0; HEADER];
        if let Err(error) = from.read_exact(&mut header).await {
            return broken(&error);
        }
        let [high, low, kind, flags] = header;
        if flags & !MORE != 0 {
            return Closed::Protocol;
        }
        let mut payload = vec![0; usize::from(u16::from_be_bytes([high, low]))];
        if let Err(error) = from.read_exact(&mut payload).await {
            return broken(&error);
        }
        out.frame(kind, flags & MORE != 0, payload).await;
    }
}

async fn write<W: AsyncWrite + Unpin>(to: &mut W, out: &Outbox, orders: &mut Orders) -> End {
    while let Some(first) = orders.recv().await {
        let mut next = Some(first);
        let mut written = 0;
        while let Some(order) = next {
            let bytes = match order {
                Order::Send(bytes) => bytes,
                Order::Flush => return finish(to, out, written).await,
            };
            if let Err(error) = to.write_all(&bytes).await {
                return End::WriteFailed(broken(&error));
            }
            written += bytes.len();
            next = if written < BATCH { orders.try_recv().ok() } else { None };
        }
        if let Err(error) = to.flush().await {
            return End::WriteFailed(broken(&error));
        }
        out.tell(LinkEvent::Written { link: out.link, bytes: written });
    }
    // Nobody can order anything any more: as if told to close.
    finish(to, out, 0).await
}

async fn finish<W: AsyncWrite + Unpin>(to: &mut W, out: &Outbox, written: usize) -> End {
    let last = async {
        to.flush().await?;
        to.shutdown().await
    };
    if let Ok(Ok(())) = timeout(out.flush, last).await {
        if written > 0 {
            out.tell(LinkEvent::Written { link: out.link, bytes: written });
        }
    }
    End::Flushed
}

async fn discard<R: AsyncRead + Unpin>(from: &mut R) {
    let mut waste = [0; 1_024];
    while matches!(from.read(&mut waste).await, Ok(1..)) {}
}
