//! Line 9 (pain 10): silent connections, a slow-loris and a joiner that reads nothing delay no real join.

use super::inside::in_namespaces;
use super::lan::Lan;
use super::timing::{SECOND, Times, pause, quiet};
use super::{attack, helper};

const PORT: &str = "40123";

/// Fails when a full door makes no room (`Doorman::admit` without a victim): joins took up to 0.9 s.
#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_10_1000_silent_connections_a_slow_loris_and_a_joiner_that_never_reads_delay_no_join() {
    in_namespaces(180 * SECOND, || {
        let lan = Lan::new(4);
        let (host, player, stranger, sleeper) = (&lan.nodes[0], &lan.nodes[1], &lan.nodes[2], &lan.nodes[3]);
        let host = host.host("arena", &["--control-port", PORT, "--max-members", "16", "--no-mdns"]);
        let join = || {
            let join = player.client("join", &["--name", "arena", "--player", "Bob", "--no-mdns"]);
            let joined = join.expect("joined", 10 * SECOND);
            join.line("leave");
            assert_eq!(join.exit(3 * SECOND), Some(0), "{}", join.transcript());
            joined.at_ms()
        };
        pause(1_500);
        quiet();
        let mut before = Times::default();
        for _ in 0..3 {
            before.add(join());
            pause(500);
        }
        println!("for information, without a flood: {before}");

        // A member that stops reading, and state it would have to read.
        let asleep = sleeper.client("join", &["--name", "arena", "--player", "Zed", "--no-mdns"]);
        asleep.expect("joined", 5 * SECOND);
        asleep.signal("STOP");
        for round in 0..50 {
            host.line(&format!("set filler={round:0>400}"));
        }
        // A thousand, half of them from the joiner's own address, and two that dribble a ClientHello.
        let to: std::net::SocketAddr = format!("10.50.0.1:{PORT}").parse().expect("an address");
        let floods = [helper::flood(player, to, 500, 60), helper::flood(stranger, to, 500, 60)];
        let _drips = [
            helper::dribble(player, to, "160301020001000000000000000000000000000000", 60),
            helper::dribble(stranger, to, "00ff00ff", 60),
        ];
        let _loris = attack::slow_loris(stranger, &to.to_string(), 50, 60);
        for flood in &floods {
            flood.expect("flooded", 20 * SECOND);
        }
        let mut times = Times::default();
        for _ in 0..10 {
            times.add(join());
            pause(700);
        }
        for flood in &floods {
            assert!(flood.all("flooded").len() > 2, "the flood went on: {}", flood.transcript());
        }
        times.all_within("join, from the start of `client`, under the flood", 200.0);
        assert_eq!(host.newcomers().len(), 14, "silent connections take no seat: {}", host.transcript());
    });
}
