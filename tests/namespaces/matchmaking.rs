//! Players that look for a match at the same moment, on machines of their own: all end up together.

use std::time::Instant;

use super::inside::in_namespaces;
use super::lan::{Lan, Node};
use super::process::Proc;
use super::timing::{SECOND, Times};

fn starter(node: &Node, game: &str, player: &str) -> Proc {
    node.spawn("client", &["match", "--game", game, "--json", "--player", player, "--max-members", "8"])
}

/// So many start at once; the session that all of them are in, and how long the last one took.
fn round(lan: &Lan, number: usize, starters: usize) -> (Vec<Proc>, Instant) {
    let game = format!("{}.match{number}", super::GAME);
    let start = Instant::now();
    let players = (0..starters).map(|at| starter(&lan.nodes[at], &game, &format!("P{at}"))).collect();
    (players, start)
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn two_to_eight_starters_at_once_end_in_one_session_twenty_times() {
    in_namespaces(400 * SECOND, || {
        let lan = Lan::new(8);
        let mut full = Times::default();
        let mut part = Times::default();
        let sizes: Vec<usize> = (0..20).map(|round| 2 + round % 7).collect();
        for batch in sizes.chunks(5) {
            let rounds: Vec<_> = batch.iter().enumerate().map(|(at, &starters)| round(&lan, at, starters)).collect();
            for (players, start) in &rounds {
                let joined: Vec<_> = players.iter().map(|player| player.expect("joined", 60 * SECOND)).collect();
                let first = joined[0].id();
                assert!(joined.iter().all(|event| event.id() == first), "{joined:?}");
                let last = joined.iter().map(|event| event.at).max().expect("some");
                if players.len() == 8 {
                    full.between(*start, last)
                } else {
                    part.between(*start, last)
                }
                let members = joined.iter().map(|event| event.number("/session/members")).max();
                assert_eq!(members, u64::try_from(players.len()).ok(), "everybody is in it");
            }
        }
        println!("all of 8 together, full: {full}; 2 to 7, settled after 15 s of quiet: {part}");
    });
}
