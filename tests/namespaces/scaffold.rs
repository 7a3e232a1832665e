//! The scaffold itself: the LAN carries what it should, the rules drop what they say, captures show it.

use super::capture::{Capture, Transport, packet};
use super::helper;
use super::inside::in_namespaces;
use super::lan::Lan;
use super::rules::{Drops, PATHS};
use super::timing::{SECOND, pause};

const PORT: u16 = 7400;

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn each_rule_drops_its_own_path_and_nothing_else() {
    in_namespaces(60 * SECOND, || {
        let lan = Lan::new(2);
        let targets = [
            format!("255.255.255.255:{PORT}"),
            format!("10.50.0.255:{PORT}"),
            format!("239.77.0.1:{PORT}"),
            format!("[ff02::7a%2]:{}", PORT + 1),
            "224.0.0.251:5353".to_owned(),
            format!("10.50.0.2:{PORT}"),
        ];
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        let heard = |drops: &[Drops]| -> Vec<bool> {
            lan.segment.drops(drops);
            let ear = helper::hear(&lan.nodes[1], PORT, 20);
            ear.expect("hearing", 5 * SECOND);
            let mouth = scoped_send(&lan, &targets);
            assert_eq!(mouth.exit(5 * SECOND), Some(0), "{}", mouth.transcript());
            assert!(mouth.all("sent").iter().all(|e| e.field("/ok") == true), "{}", mouth.transcript());
            pause(200);
            let texts: Vec<String> = ear.all("heard").iter().map(|e| e.text("/text").to_owned()).collect();
            (0..targets.len()).map(|at| texts.contains(&format!("hello-{at}"))).collect()
        };
        assert_eq!(heard(&[]), [true; 6], "everything passes without rules");
        for (at, path) in PATHS.into_iter().enumerate() {
            let mut expected = [true; 6];
            expected[at] = false;
            assert_eq!(heard(&[path]), expected, "{path:?}");
        }
        assert_eq!(heard(&PATHS), [false, false, false, false, false, true], "all five");
        assert!(heard(&[Drops::Percent(99)]).iter().filter(|heard| **heard).count() <= 2);
    });
}

fn scoped_send(lan: &Lan, targets: &[&str]) -> super::process::Proc {
    helper::send(&lan.nodes[0], "10.50.0.1", targets, "hello")
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn a_capture_shows_both_families_and_their_payload() {
    in_namespaces(30 * SECOND, || {
        let lan = Lan::new(2);
        let capture = Capture::start(&lan.segment);
        let to = format!("10.50.0.2:{PORT}");
        assert_eq!(scoped_send(&lan, &[&to, "255.255.255.255:9", "[ff02::7a%2]:9"]).exit(5 * SECOND), Some(0));
        let packets = capture.stop();
        let sent: Vec<_> = packets.iter().filter(|p| p.payload.starts_with(b"hello-")).collect();
        assert!(sent.iter().all(|p| p.transport == Transport::Udp));
        assert!(sent.iter().any(|p| p.target_port == PORT && p.payload == b"hello-0"), "{packets:?}");
        assert!(sent.iter().any(|p| p.target.to_string() == "255.255.255.255"), "{packets:?}");
        assert!(sent.iter().any(|p| p.source.is_ipv6() && p.payload == b"hello-2"), "{packets:?}");
    });
}

#[test]
fn a_frame_is_read() {
    let frame = [
        &[2_u8; 6][..],
        &[4; 6],
        &[0x08, 0x00, 0x45, 0, 0, 31, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2],
        &[0, 7, 0, 9, 0, 11, 0, 0],
        b"abc",
        &[0; 15],
    ]
    .concat();
    let packet = packet(&frame).expect("a datagram");
    assert_eq!((packet.source_port, packet.target_port, packet.hops), (7, 9, 64));
    assert_eq!((packet.payload.as_slice(), packet.source_hardware), (&b"abc"[..], [4; 6]));
    for length in 0..42 {
        assert!(super::capture::packet(&frame[..length]).is_none(), "cut at {length}");
    }
}
