//! Rows 12 and 25: what goes over the wire, and what does not.

use std::path::Path;
use std::time::Duration;

use lansession::{Lan, SessionQuery, SessionSettings};

use super::avahi::Avahi;
use super::capture::{Capture, Packet};
use super::inside::{in_namespaces, run};
use super::lan::{Lan as Segments, Node, Segment};
use super::timing::{SECOND, pause};

/// Two machines reflect multicast DNS between two segments, which makes a loop of whatever they repeat. What our two
/// machines say in it stays what it is without them.
///
/// What bounds it is in mdns-sd and was not taken out.
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_12_a_loop_of_mdns_reflectors_does_not_make_us_talk() {
    in_namespaces(120 * SECOND, || {
        let segments = [Segment::new(0, 24), Segment::new(1, 24)];
        let (ours, theirs) = (Node::new("ours"), Node::new("theirs"));
        segments[0].plug(&ours, "eth0");
        segments[1].plug(&theirs, "eth0");
        let reflectors = [Node::new("r0"), Node::new("r1")];
        for node in &reflectors {
            segments[0].plug(node, "eth0");
            segments[1].plug(node, "eth1");
            node.settle();
        }
        [&ours, &theirs].into_iter().for_each(Node::settle);
        let hardware: Vec<String> = [&ours, &theirs]
            .iter()
            .map(|node| run("ip", &["netns", "exec", node.name(), "cat", "/sys/class/net/eth0/address"]))
            .collect();
        let said = |packets: &[Packet]| {
            let is_ours = |p: &&Packet| {
                let text: Vec<String> = p.source_hardware.iter().map(|byte| format!("{byte:02x}")).collect();
                hardware.iter().any(|own| own.trim() == text.join(":"))
            };
            // Each is in the capture twice: where it entered, and where it left.
            packets.iter().filter(|p| p.target_port == 5353).filter(is_ours).count()
        };
        let measure = || {
            let captures = [Capture::start(&segments[0]), Capture::start(&segments[1])];
            let host = ours.host("arena", &[]);
            let browse = theirs.client("browse", &[]);
            pause(12_000);
            host.line("quit");
            assert_eq!(host.exit(3 * SECOND), Some(0), "{}", host.transcript());
            pause(1_000);
            drop(browse);
            let packets: Vec<Packet> = captures.into_iter().flat_map(Capture::stop).collect();
            let all = packets.iter().filter(|p| p.target_port == 5353).count();
            (said(&packets), all)
        };
        let (alone, _) = measure();
        let daemons = reflectors.iter().map(Avahi::reflector).collect::<Vec<_>>();
        let (looped, all) = measure();
        println!("12 s of mDNS in a loop: {looped} captures of ours (without reflectors {alone}), {all} of all");
        assert!(all > 3 * looped, "nothing loops");
        assert!(looped <= 4 * alone.max(20), "{looped} captures of ours, without reflectors {alone}");
        drop(daemons);
    });
}

fn sockets() -> (usize, usize) {
    let lines = |name: &str| {
        let text = std::fs::read_to_string(format!("/proc/self/net/{name}")).expect("the sockets of this namespace");
        text.lines().count() - 1
    };
    let udp = lines("udp") + lines("udp6");
    let tcp = lines("tcp") + lines("tcp6");
    (udp, tcp)
}

fn until_no_sockets() {
    let end = std::time::Instant::now() + 3 * SECOND;
    while sockets() != (0, 0) {
        assert!(std::time::Instant::now() < end, "still {:?} sockets", sockets());
        pause(20);
    }
}

/// In this process, alone in its namespace: a library that was started and asked nothing has no socket, nor has one whose
/// last session and find are over, and nothing is sent.
///
/// Fails when sockets stay until the close (`Discovery::wants_sockets`).
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_25_no_socket_and_no_packet_before_the_first_use_and_after_the_last() {
    in_namespaces(60 * SECOND, || {
        let lines = "link add eth0 type veth peer name peer0\nlink set peer0 addrgenmode none up\n\
                     link set eth0 addrgenmode none\naddr add 10.99.0.1/24 brd + dev eth0\nlink set eth0 up\n";
        super::inside::feed(std::process::Command::new("ip").args(["-batch", "-"]), lines);
        pause(1_500);
        // Datagrams and segments of this namespace; that the system leaves a group is its own word.
        let sent = || {
            let v4 = std::fs::read_to_string("/proc/self/net/snmp").expect("the counters");
            let of = |what: &str, at: usize| {
                let line = v4.lines().filter(|line| line.starts_with(what)).nth(1).expect("a line of figures");
                line.split_whitespace().nth(at).and_then(|word| word.parse::<u64>().ok()).expect("a counter")
            };
            let v6 = std::fs::read_to_string("/proc/self/net/snmp6").expect("the counters");
            let line = v6.lines().find(|line| line.starts_with("Udp6OutDatagrams")).expect("a line");
            let v6 = line.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok()).expect("a counter");
            of("Udp:", 4) + of("Tcp:", 11) + v6
        };
        let before = sent();
        let lan = Lan::builder(super::GAME).start().expect("a start");
        let ada = lan.sign_in("Ada").expect("a user");
        pause(2_000);
        assert_eq!((sockets(), sent() - before), ((0, 0), 0), "before the first use");

        let found = lan.find(SessionQuery::new().timeout(Duration::from_millis(300))).wait(5 * SECOND);
        assert_eq!(found.expect("an answer").len(), 0);
        assert!(sent() > before, "it asked");
        until_no_sockets();
        let room = ada.host(SessionSettings::new("room")).wait(5 * SECOND).expect("a session");
        assert!(sockets().0 > 0 && sockets().1 > 0, "a host listens");
        room.destroy().wait(5 * SECOND).expect("an end");
        drop(room);
        // The goodbyes of both paths, then nothing.
        until_no_sockets();
        let after = sent();
        pause(3_000);
        assert_eq!((sockets(), sent() - after), ((0, 0), 0), "after the last use");
    });
}

/// The evening of a host and a member, all of it captured: neither the machine's name nor the user's is in any packet.
///
/// Fails when mDNS names the machine (the system's host name in `random_names`).
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_25_neither_the_machines_name_nor_the_users_is_on_the_wire() {
    in_namespaces(60 * SECOND, || {
        let lan = Segments::new(2);
        run("hostname", &["secret-machine"]);
        let words = ["HOSTNAME=secret-machine", "USER=secret-user", "LOGNAME=secret-user", "HOME=/home/secret-user"];
        let start = |node: &Node, program: &str, rest: &[&str]| {
            let examples = super::lan::examples();
            let mut command = node.command(Path::new("env"));
            command.args(words).arg(examples.join(program)).args(rest).args(["--game", super::GAME, "--json"]);
            super::process::Proc::start(&mut command, program.to_owned())
        };
        let capture = Capture::start(&lan.segment);
        let host = start(&lan.nodes[0], "host", &["--name", "arena"]);
        host.expect("ready", 5 * SECOND);
        let member = start(&lan.nodes[1], "client", &["join", "--name", "arena"]);
        member.expect("joined", 6 * SECOND);
        pause(3_000);
        member.line("leave");
        assert_eq!(member.exit(3 * SECOND), Some(0), "{}", member.transcript());
        host.line("quit");
        assert_eq!(host.exit(3 * SECOND), Some(0), "{}", host.transcript());
        let packets = capture.stop();
        assert!(packets.iter().any(|p| p.target_port == 5353) && packets.len() > 20, "all of it was captured");
        assert!(packets.iter().any(|p| contains(&p.payload, b"arena")), "the session's own name is");
        for packet in &packets {
            assert!(!contains(&packet.payload, b"secret"), "{packet:?}");
        }
    });
}

fn contains(payload: &[u8], word: &[u8]) -> bool {
    payload.to_ascii_lowercase().windows(word.len()).any(|window| window == word)
}
