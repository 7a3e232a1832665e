//! A join over loopback beside what it is made of, in the same run: a TCP connect, a TLS handshake, one question and its
//! answer. And the joins that one host takes in a second.
//!
//! Host and joiners are threads of this one process and share its cores.

mod common;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{heading, quantile, row, short};
use lansession::{Found, Lan, Preset, SessionQuery, SessionSettings, User};

/// What may stop a benchmark.
type Failure = Box<dyn std::error::Error + Send + Sync>;

const GAME: &str = "bench.lansession.join";
const LONG: Duration = Duration::from_secs(10);
const ROUNDS: usize = 300;
const THROUGHPUT: Duration = Duration::from_secs(4);

fn main() -> Result<(), Failure> {
    let host = Lan::builder(GAME).preset(Preset::Loopback).start()?;
    let room = host.sign_in("Host")?.host(SessionSettings::new("bench").max_members(512)).wait(LONG)?;
    latency(&host)?;
    rates(&host)?;
    room.destroy().wait(LONG)?;
    host.close().wait(LONG)?;
    Ok(())
}

/// Another `Lan` that meets the host's.
fn joiner(host: &Lan) -> Result<Lan, Failure> {
    Ok(Lan::builder(GAME).preset(Preset::Loopback).beacon_port(host.beacon_port()).start()?)
}

fn find(user: &User) -> Result<Found, Failure> {
    let found = user.find(SessionQuery::new().enough(1).timeout(LONG)).wait(LONG)?;
    Ok(found.into_iter().next().ok_or("the host was not found")?)
}

/// One row of times.
fn times(what: &str, mut figures: Vec<f64>) {
    figures.sort_by(f64::total_cmp);
    let cell = |part| short(quantile(&figures, part));
    row(&[what.into(), cell(0.5), cell(0.0), cell(0.95)]);
}

/// Each kind once per round, so that all meet the same machine.
fn latency(host: &Lan) -> Result<(), Failure> {
    let peer = tls::Peer::start()?;
    let lan = joiner(host)?;
    let user = lan.sign_in("Joiner")?;
    let found = find(&user)?;
    let mut all: [Vec<f64>; 5] = Default::default();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        drop(TcpStream::connect(peer.plain)?);
        all[0].push(start.elapsed().as_nanos() as f64);

        let start = Instant::now();
        let mut link = peer.connect()?;
        all[1].push(start.elapsed().as_nanos() as f64);
        link.ask()?;
        all[2].push(start.elapsed().as_nanos() as f64);
        drop(link);

        let start = Instant::now();
        let seat = user.join(&found).wait(LONG)?;
        all[3].push(start.elapsed().as_nanos() as f64);
        seat.leave().wait(LONG)?;
    }
    for _ in 0..ROUNDS / 10 {
        let start = Instant::now();
        let lan = joiner(host)?;
        let user = lan.sign_in("Newcomer")?;
        let seat = user.join(&find(&user)?).wait(LONG)?;
        all[4].push(start.elapsed().as_nanos() as f64);
        seat.leave().wait(LONG)?;
        lan.close().wait(LONG)?;
        // All finders here have one address, and a host answers one address ten times a second.
        thread::sleep(Duration::from_millis(200));
    }
    heading(&format!("Join over loopback, {ROUNDS} rounds"), &["what", "median", "least", "95 %"]);
    let [connect, handshake, answer, join, cold] = all;
    times("TCP connect", connect);
    times("TCP and TLS, raw public keys on both sides", handshake);
    times("TCP, TLS, one byte there and back", answer);
    times("join of a session that was found", join);
    times("open a `Lan`, sign in, find, join", cold);
    Ok(())
}

/// Joins and leaves of some users at once, from four `Lan`s, as many as go.
fn rates(host: &Lan) -> Result<(), Failure> {
    heading("Joins of one host, each with its leave", &["joiners at once", "joins per second", "median", "95 %"]);
    for count in [1, 4, 16] {
        let lans: Vec<Lan> = (0..4.min(count)).map(|_| joiner(host)).collect::<Result<_, _>>()?;
        let over = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for at in 0..count {
            let user = lans[at % lans.len()].sign_in(format!("Joiner {at}").as_str())?;
            let (found, over) = (find(&user)?, Arc::clone(&over));
            threads.push(thread::spawn(move || come_and_go(&user, &found, &over)));
        }
        let start = Instant::now();
        thread::sleep(THROUGHPUT);
        over.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().map_err(|_| "a joiner panicked")??);
        }
        let rate = all.len() as f64 / start.elapsed().as_secs_f64();
        all.sort_by(f64::total_cmp);
        let cell = |part| short(quantile(&all, part));
        row(&[count.to_string(), format!("{rate:.0}"), cell(0.5), cell(0.95)]);
        for lan in lans {
            lan.close().wait(LONG)?;
        }
    }
    Ok(())
}

fn come_and_go(user: &User, found: &Found, over: &AtomicBool) -> Result<Vec<f64>, Failure> {
    let mut all = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let start = Instant::now();
        let seat = user.join(found).wait(LONG)?;
        all.push(start.elapsed().as_nanos() as f64);
        seat.leave().wait(LONG)?;
    }
    Ok(all)
}

#[path = "../tests/namespaces/any_key.rs"]
mod any_key;

/// The same kind of channel as the library's, on threads that block.
mod tls {
    use super::*;

    use ring::rand::SystemRandom;
    use ring::signature::Ed25519KeyPair;
    use ring::signature::KeyPair as _;
    use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
    use rustls::crypto::{CryptoProvider, ring as provider};
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
    use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
    use rustls::sign::CertifiedKey;
    use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

    use super::any_key::AnyKey;

    /// What precedes the key in an Ed25519 SubjectPublicKeyInfo (RFC 8410).
    const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

    /// A listener that only accepts, and one that speaks TLS and returns a byte.
    pub(crate) struct Peer {
        pub(crate) plain: SocketAddr,
        secure: SocketAddr,
        config: Arc<ClientConfig>,
    }

    /// An open channel.
    pub(crate) struct Link(StreamOwned<ClientConnection, TcpStream>);

    impl Peer {
        pub(crate) fn start() -> Result<Self, Failure> {
            let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let secure = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let crypto = Arc::new(provider::default_provider());
            let mut client = ClientConfig::builder_with_provider(Arc::clone(&crypto))
                .with_protocol_versions(&[&rustls::version::TLS13])?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyKey(Arc::clone(&crypto))))
                .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key(&crypto)?)));
            client.resumption = Resumption::disabled();
            client.enable_sni = false;
            let mut server = ServerConfig::builder_with_provider(Arc::clone(&crypto))
                .with_protocol_versions(&[&rustls::version::TLS13])?
                .with_client_cert_verifier(Arc::new(AnyKey(Arc::clone(&crypto))))
                .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(key(&crypto)?)));
            server.session_storage = Arc::new(NoServerSessionStorage {});
            server.send_tls13_tickets = 0;
            let peer = Self { plain: plain.local_addr()?, secure: secure.local_addr()?, config: Arc::new(client) };
            thread::spawn(move || plain.incoming().for_each(drop));
            let server = Arc::new(server);
            thread::spawn(move || {
                for stream in secure.incoming().flatten() {
                    // A channel that breaks is seen at its other end.
                    let _ = serve(stream, &server);
                }
            });
            Ok(peer)
        }

        pub(crate) fn connect(&self) -> Result<Link, Failure> {
            let mut stream = TcpStream::connect(self.secure)?;
            stream.set_nodelay(true)?;
            let mut connection = ClientConnection::new(Arc::clone(&self.config), ServerName::try_from("lan")?)?;
            while connection.is_handshaking() {
                connection.complete_io(&mut stream)?;
            }
            Ok(Link(StreamOwned::new(connection, stream)))
        }
    }

    impl Link {
        /// One byte there and back.
        pub(crate) fn ask(&mut self) -> io::Result<()> {
            self.0.write_all(&[1])?;
            self.0.flush()?;
            self.0.read_exact(&mut [0])
        }
    }

    fn serve(stream: TcpStream, config: &Arc<ServerConfig>) -> Result<(), Failure> {
        stream.set_nodelay(true)?;
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(config))?, stream);
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        stream.write_all(&byte)?;
        stream.flush()?;
        Ok(())
    }

    fn key(crypto: &CryptoProvider) -> Result<Arc<CertifiedKey>, Failure> {
        let random = "the system gives no random bytes";
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| random)?;
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).map_err(|_| "no key pair")?;
        let spki = CertificateDer::from([&SPKI, pair.public_key().as_ref()].concat());
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(pkcs8.as_ref().to_vec()));
        Ok(Arc::new(CertifiedKey::new(vec![spki], crypto.key_provider.load_private_key(private)?)))
    }
}
