//! Random lives over many seeds: whatever happens, all views come to agree, and each seat's events make its view.

use super::*;
use crate::types::Visibility;

/// Folds a seat's events into the roster and settings it should show.
pub(super) fn check_events(watched: &Watched) {
    let mut members: BTreeMap<AccountId, crate::types::Member> = BTreeMap::new();
    let mut last = None;
    let mut first = true;
    for event in &watched.events {
        assert_eq!(first, matches!(event, SessionEvent::Joined { .. }), "Joined is first and once");
        first = false;
        let revision = event.revision();
        assert!(revision >= last || revision.is_none(), "revisions go back");
        last = revision.or(last);
        match event {
            SessionEvent::MemberJoined { member, .. } => {
                assert!(members.insert(member.account, member.clone()).is_none(), "joined twice");
            }
            SessionEvent::MemberLeft { member, .. } => {
                assert!(members.remove(&member.account).is_some(), "left and was not there");
            }
            SessionEvent::MemberUpdated { member, .. } => {
                assert!(members.insert(member.account, member.clone()).is_some());
            }
            SessionEvent::MemberAway { account, .. } => {
                members.get_mut(account).unwrap().link = crate::types::LinkState::Away;
            }
            SessionEvent::MemberBack { account, .. } => {
                members.get_mut(account).unwrap().link = crate::types::LinkState::Connected;
            }
            _ => {}
        }
    }
    if watched.left.is_none() {
        let shown: BTreeMap<_, _> = watched.snapshot.members.iter().map(|m| (m.account, m.clone())).collect();
        assert_eq!(members, shown, "the events do not make the roster");
    }
}

fn life(seed: u64) {
    let mut net = Net::new(seed);
    net.jitter = 4_000;
    let a = net.node();
    let (host, key) = net.host(a, room(5));
    let players: Vec<_> = (0..6).map(|_| net.node()).collect();
    let mut seats: BTreeMap<usize, SeatId> = BTreeMap::new();
    let mut asked: BTreeMap<usize, RequestId> = BTreeMap::new();
    for _ in 0..120 {
        let player = players[(net.rng.next_u32() % 6) as usize];
        let number = i64::from(net.rng.next_u32() % 5);
        if let Some(request) = asked.get(&player).copied() {
            if let Some(result) = net.nodes[player].done.get(&request).cloned() {
                asked.remove(&player);
                if let Ok(Answer::Seat(seat)) = result {
                    seats.insert(player, seat);
                }
            }
        }
        let seat = seats.get(&player).copied().filter(|seat| net.seat(player, *seat).left.is_none());
        match (net.rng.next_u32() % 16, seat) {
            (0..=4, None) if !asked.contains_key(&player) => {
                let request = net.ask_join(player, key);
                asked.insert(player, request);
            }
            (0..=2, Some(seat)) => {
                let update = MemberUpdate::new().set(format!("k{number}"), number).ready(number % 2 == 0);
                net.update_me(player, seat, update);
            }
            (3, Some(seat)) => {
                net.update_me(player, seat, MemberUpdate::new().remove(format!("k{number}")));
            }
            (4, Some(seat)) => {
                net.leave(player, seat);
            }
            (5, _) => {
                let account = net.account(player);
                net.kick(a, host, account, false);
            }
            (6, _) => net.cut_links(player),
            (7, _) => {
                net.swallow.insert(player, 1 + net.rng.next_u32() % 4);
            }
            (8, _) => {
                net.dark.insert(player);
            }
            (9 | 10, _) => {
                let dark: Vec<_> = net.dark.iter().copied().collect();
                dark.into_iter().for_each(|node| {
                    net.dark.remove(&node);
                });
            }
            (11 | 12, _) => {
                let visibility =
                    [Visibility::Public, Visibility::Members, Visibility::Host][(net.rng.next_u32() % 3) as usize];
                let update = SettingsUpdate::new().set_with(format!("s{}", number % 3), number, visibility);
                net.update(a, host, update.max_members(5 + u16::try_from(number).unwrap()), None);
            }
            (13, _) => {
                let phase = [Phase::Lobby, Phase::InProgress][(net.rng.next_u32() % 2) as usize];
                net.command(a, |request| Command::SetPhase { request, seat: host, phase });
            }
            (14, Some(seat)) => {
                net.say(player, seat, "hi");
            }
            _ => {}
        }
        let pause = net.rng.next_u64() % 700_000;
        net.run(Duration::from_micros(pause));
    }
    net.dark.clear();
    net.swallow.clear();
    net.run(45 * SECOND);
    // A link loses nothing but here; that a last delta was lost shows with the next one.
    net.update(a, host, SettingsUpdate::new().name("last"), None);
    net.run(3 * SECOND);
    let view = net.nodes[a].sessions.hosts[&key].view();
    assert_eq!(view.attributes, net.view(a, host).attributes.visible_to(Visibility::Members));
    let mut held = 1;
    for &player in &players {
        for (seat, watched) in &net.nodes[player].seats {
            check_events(watched);
            if watched.left.is_none() {
                held += 1;
                assert_eq!(*watched.snapshot, view, "seed {seed}, player {player}");
                assert!(net.nodes[player].sessions.members[seat].is_linked());
            }
        }
        let open = net.nodes[player].next_request - 1 - net.nodes[player].done.len() as u64;
        assert_eq!(open, 0, "every request has its answer");
    }
    assert_eq!(view.members.len(), held, "seed {seed}: as many seats as are held");
    check_events(net.seat(a, host));
}

#[test]
fn all_views_come_to_agree() {
    for seed in 0..60 {
        let result = std::panic::catch_unwind(|| life(seed));
        if result.is_err() {
            panic!("seed {seed}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_transcript() {
    let run = |seed| {
        let mut net = Net::new(seed);
        net.jitter = 2_000;
        let (a, b, c) = (net.node(), net.node(), net.node());
        let (_, key) = net.host(a, room(2));
        net.ask_join(b, key);
        net.ask_join(c, key);
        net.run(10 * SECOND);
        net.nodes.iter().map(|node| node.transcript.join("\n")).collect::<Vec<_>>()
    };
    assert_eq!(run(3), run(3));
}
