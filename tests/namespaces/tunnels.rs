//! Row 15: a VPN that carries neither broadcast nor multicast; and row 21: links that know IPv6 only.

use super::inside::in_namespaces;
use super::lan::{Node, Segment};
use super::native;
use super::timing::{SECOND, pause};

/// A tunnel device between two machines that share no LAN. Nothing is found through it by asking all; a configured
/// address is probed, its entry is like any other, and a running list follows it.
///
/// Fails when configured addresses are not asked by unicast (`Finder::ask_targets`).
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_15_a_vpn_without_multicast_finds_configured_addresses_and_their_entries_live() {
    in_namespaces(90 * SECOND, || {
        let (a, b) = (Node::new("a"), Node::new("b"));
        let _tun = native::tun(&a, "tun0", Some(&b));
        a.batch("addr add 10.8.0.1 peer 10.8.0.2 dev tun0\nlink set tun0 up\n");
        b.batch("addr add 10.8.0.2 peer 10.8.0.1 dev tun0\nlink set tun0 up\n");
        let host = a.host("arena", &["--attr", "map=dust"]);
        let none = b.client("find", &["--timeout", "1s"]);
        assert_eq!(none.exit(5 * SECOND), Some(1), "{}", none.transcript());

        let find = b.client("find", &["--at", "10.8.0.1", "--enough", "1", "--timeout", "3s"]);
        let found = find.expect("found", 4 * SECOND);
        println!("through the tunnel: found after {:.1} ms", found.at_ms());
        assert!(found.field("/session/confirmed") == true && found.sources() == ["direct"], "{}", found.json);
        assert_eq!(found.text("/session/attributes/map"), "dust");
        assert!(
            found.field("/session/addresses/0").as_str().is_some_and(|a| a.starts_with("10.8.0.1:")),
            "{}",
            found.json
        );

        let browse = b.client("browse", &["--at", "10.8.0.1"]);
        browse.expect("found", 5 * SECOND);
        let join = b.client("join", &["--at", "10.8.0.1", "--name", "arena", "--player", "Bob"]);
        join.expect("joined", 5 * SECOND);
        let seated = browse.expect_where("updated", join.started, 70 * SECOND, |e| e.number("/session/members") == 2);
        println!("the seat shows after {:?}", seated.at.duration_since(join.started));
        // It ends as any other: with the goodbye.
        let quit = host.line("quit");
        browse.expect_where("lost", quit, 9 * SECOND, |_| true);
    });
}

/// Two links, both of them with nothing but link-local IPv6 addresses: one of them leads to the host.
///
/// Fails when an address is bound or dialled without its interface (the scope, `bindable`).
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_21_on_links_with_ipv6_only_a_session_is_found_and_joined() {
    in_namespaces(90 * SECOND, || {
        let (left, right) = (Segment::new(0, 24), Segment::new(1, 24));
        let (centre, on_left, on_right) = (Node::new("centre"), Node::new("left"), Node::new("right"));
        for (segment, node, interface) in [
            (&left, &centre, "eth0"),
            (&right, &centre, "eth1"),
            (&left, &on_left, "eth0"),
            (&right, &on_right, "eth0"),
        ] {
            segment.plug(node, interface);
            node.batch(&format!("addr flush dev {interface} scope global\n"));
        }
        [&centre, &on_left, &on_right].into_iter().for_each(Node::settle);
        let _rooms = [on_left.host("left", &["--no-mdns"]), on_right.host("right", &["--no-mdns"])];
        let _own = centre.host("centre", &["--no-mdns"]);
        pause(1_500);
        let find = centre.client("find", &["--enough", "3", "--no-mdns", "--timeout", "3s"]);
        assert_eq!(find.exit(5 * SECOND), Some(0), "{}", find.transcript());
        assert_eq!(find.all("found").len(), 3, "{}", find.transcript());
        for (node, name) in [(&centre, "left"), (&centre, "right"), (&on_left, "centre"), (&on_right, "centre")] {
            let join = node.client("join", &["--name", name, "--no-mdns", "--player", "Bob"]);
            join.expect("joined", 5 * SECOND);
            join.line("leave");
            assert_eq!(join.exit(3 * SECOND), Some(0), "{}", join.transcript());
        }
    });
}
