//! What the suite itself does on a node: this program, started again there, acts instead of testing.

use std::env;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::lan::{Node, Segment, in_namespace};
use super::process::Proc;

pub(crate) const ACT: &str = "LANSESSION_ACT";

/// Opens `count` connections to `to`, says nothing, holds them for a second, and begins again; until it is killed, at
/// most `seconds` long. It says `flooded` when all of a round stand.
pub(crate) fn flood(node: &Node, to: SocketAddr, count: usize, seconds: u64) -> Proc {
    act(node, &format!("flood {to} {count} {seconds}"))
}

/// Connects to `to`, sends `bytes` as hex digits, and reads nothing.
pub(crate) fn dribble(node: &Node, to: SocketAddr, hex: &str, seconds: u64) -> Proc {
    act(node, &format!("dribble {to} {hex} {seconds}"))
}

/// Sends one datagram to each of the addresses, from the address `from`: the text, a dash, and which one it is.
pub(crate) fn send(node: &Node, from: &str, to: &[&str], text: &str) -> Proc {
    act(node, &format!("send {from} {text} {}", to.join(" ")))
}

/// Says `heard` with the text of each datagram that comes to this port, over IPv6 to the one above it.
pub(crate) fn hear(node: &Node, port: u16, seconds: u64) -> Proc {
    act(node, &format!("hear {port} {seconds}"))
}

/// Says `frame` with each Ethernet frame of the segment as hex digits.
pub(crate) fn watch(segment: &Segment, seconds: u64) -> Proc {
    act_in(segment.namespace(), &format!("watch {seconds}"))
}

fn act(node: &Node, what: &str) -> Proc {
    act_in(node.name(), what)
}

fn act_in(namespace: &str, what: &str) -> Proc {
    start(namespace, "helper::acts", what, &[])
}

/// Starts this program there, to act as that one of its tests, with further variables.
pub(crate) fn start(namespace: &str, test: &str, what: &str, environment: &[(&str, &Path)]) -> Proc {
    let exe = env::current_exe().expect("the path of this test program");
    // `env` sets them for this program alone, not for what starts it.
    let mut command = in_namespace(namespace, Path::new("env"));
    for (name, value) in environment {
        command.arg(format!("{name}={}", value.display()));
    }
    command.arg(exe);
    command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads", "1"]).env(ACT, what);
    Proc::start(&mut command, format!("{namespace}: {what}"))
}

/// No test: what the functions above start. It does nothing when it is run as a test.
#[test]
#[ignore = "started by other tests"]
fn acts() {
    let Ok(text) = env::var(ACT) else { return };
    let words: Vec<&str> = text.split(' ').collect();
    let number = |at: usize| words[at].parse::<u64>().expect("a number");
    println!();
    match words[0] {
        "flood" => do_flood(words[1].parse().expect("an address"), number(2), number(3)),
        "dribble" => do_dribble(words[1].parse().expect("an address"), words[2], number(3)),
        "send" => do_send(words[1], words[2], &words[3..]),
        "watch" => do_watch(number(1)),
        "hear" => do_hear(u16::try_from(number(1)).expect("a port"), number(2)),
        other => panic!("unknown act {other}"),
    }
}

fn do_flood(to: SocketAddr, count: u64, seconds: u64) {
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let held: Vec<_> =
            (0..count).map_while(|_| TcpStream::connect_timeout(&to, Duration::from_secs(1)).ok()).collect();
        println!("{{\"event\":\"flooded\",\"connections\":{}}}", held.len());
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn do_dribble(to: SocketAddr, hex: &str, seconds: u64) {
    let bytes = unhex(hex);
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        let Ok(mut stream) = TcpStream::connect_timeout(&to, Duration::from_secs(1)) else { continue };
        println!("{{\"event\":\"connected\"}}");
        for byte in &bytes {
            if stream.write_all(&[*byte]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        // Waits for the host to close.
        let _ = stream.set_read_timeout(Some(Duration::from_secs(3)));
        let _ = stream.read(&mut [0; 1]);
    }
}

/// The bytes of some hex digits.
pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hex digits")).collect()
}

fn do_watch(seconds: u64) {
    const EVERY_PROTOCOL: u16 = 3;
    let protocol = Protocol::from(i32::from(EVERY_PROTOCOL.to_be()));
    let mut socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).expect("a packet socket");
    let _ = socket.set_recv_buffer_size(4 << 20);
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    println!("{{\"event\":\"watching\"}}");
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut buffer = [0; 2048];
    while Instant::now() < end {
        if let Ok(length) = socket.read(&mut buffer) {
            let hex: String = buffer[..length].iter().map(|byte| format!("{byte:02x}")).collect();
            println!("{{\"event\":\"frame\",\"hex\":\"{hex}\"}}");
        }
    }
}

fn do_send(from: &str, text: &str, to: &[&str]) {
    for (at, target) in to.iter().enumerate() {
        let target: SocketAddr = target.parse().expect("an address");
        let from = if target.is_ipv6() { "[::]:0".to_owned() } else { format!("{from}:0") };
        let socket = UdpSocket::bind(from).expect("a socket");
        socket.set_broadcast(true).expect("broadcast");
        let result = socket.send_to(format!("{text}-{at}").as_bytes(), target);
        println!("{{\"event\":\"sent\",\"ok\":{}}}", result.is_ok());
    }
}

fn do_hear(port: u16, seconds: u64) {
    let v4 = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).expect("a socket");
    let mdns = UdpSocket::bind(("224.0.0.251", 5353)).expect("a socket for multicast DNS");
    for (socket, group) in [(&v4, "239.77.0.1"), (&mdns, "224.0.0.251")] {
        socket.join_multicast_v4(&group.parse().expect("a group"), &Ipv4Addr::UNSPECIFIED).expect("the IPv4 group");
    }
    let v6 = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port + 1)).expect("a socket");
    v6.join_multicast_v6(&"ff02::7a".parse().expect("a group"), interface_index()).expect("the IPv6 group");
    println!("{{\"event\":\"hearing\"}}");
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut buffer = [0; 1500];
    for socket in [&v4, &mdns, &v6] {
        socket.set_read_timeout(Some(Duration::from_millis(10))).expect("a timeout");
    }
    while Instant::now() < end {
        for socket in [&v4, &mdns, &v6] {
            if let Ok((length, _)) = socket.recv_from(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                println!("{}", serde_json::json!({ "event": "heard", "text": text }));
            }
        }
    }
}

/// The index of `eth0` in this namespace.
fn interface_index() -> u32 {
    let text = std::fs::read_to_string("/proc/net/if_inet6").expect("the IPv6 addresses");
    let line = text.lines().find(|line| line.ends_with(" eth0")).expect("eth0 has an IPv6 address");
    let word = line.split_whitespace().nth(1).expect("an index");
    u32::from_str_radix(word, 16).expect("hex")
}
