//! The scripted scenarios: what random schedules meet seldom.

use super::*;

/// Runs until a frame of this kind has left, `count` of them.
fn until_sent(game: &mut Game, kind: u8, count: u32) {
    let before = game.net.frames.get(&kind).copied().unwrap_or_default();
    for _ in 0..20_000 {
        if game.net.frames.get(&kind).copied().unwrap_or_default() >= before + count {
            return;
        }
        game.net.run(Duration::from_micros(100));
    }
    panic!("no frame {kind}");
}

/// 1: the first successor has votes, and dies before it has said that it won.
#[test]
fn a_candidate_that_dies_with_votes_in_its_hand_gives_way_to_the_next_in_a_later_term() {
    let mut game = Game::new(51, 7, Migration::Quorum);
    game.kill(game.all[0]);
    until_sent(&mut game, kind::VOTE, 2);
    game.kill(game.all[1]);
    game.united(8 * SECOND);
    assert_eq!(game.hosts(), [game.all[2].node]);
    assert_eq!(game.view(game.all[2]).revision.term, 3, "the second term was promised away");
}

/// 2: a voter restarts between two candidates of one term: its new process has another key, and no vote in the old order.
#[test]
fn a_voter_that_restarts_votes_no_second_time() {
    let mut game = Game::new(52, 5, Migration::Quorum);
    game.kill(game.all[0]);
    until_sent(&mut game, kind::VOTE, 1);
    // Its process ends with its memory; the two that are left beside the candidate have given one vote at most each.
    let voter = game.all[4];
    game.kill(voter);
    let took = game.united(8 * SECOND);
    assert!(took < 8 * SECOND);
    assert_eq!(game.hosts().len(), 1);
}

/// 4: the host sleeps for three seconds and wakes while its members come back under another.
#[test]
fn a_host_that_slept_learns_that_it_is_none_any_more() {
    let mut game = Game::new(54, 5, Migration::Quorum);
    let host = game.all[0];
    game.net.dark.insert(host.node);
    while game.hosts().len() < 2 {
        game.net.run(10 * MS);
    }
    game.net.dark.remove(&host.node);
    for _ in 0..30 {
        game.hear_rivals();
        game.net.run(SECOND);
    }
    game.united(SECOND);
    assert_eq!(game.hosts(), [game.all[1].node]);
    assert_eq!(game.left(host), None, "it has its seat, as a member");
    assert!(game.events(host).contains(&"host changed"));
}

/// 5 and 6: whatever was under way when the host died takes effect once, and is answered.
#[test]
fn what_was_asked_of_the_lost_host_takes_effect_once() {
    for micros in [0, 500, 1_000, 1_500, 2_000, 3_000] {
        let mut game = Game::new(55, 5, Migration::Quorum);
        let member = game.all[3];
        let asked = game.net.update_me(member.node, member.seat, MemberUpdate::new().set("shots", 1));
        game.net.run(Duration::from_micros(micros));
        game.kill(game.all[0]);
        game.united(SECOND);
        game.net.run(SECOND);
        assert!(game.net.answer(member.node, asked).is_ok(), "{micros}");
        let account = game.net.account(member.node);
        for &at in &game.all[1..] {
            let shots = game.view(at).member(account).unwrap().attributes.get("shots").cloned();
            assert_eq!(shots.as_ref().and_then(crate::types::Value::as_int), Some(1), "{micros}");
        }
        let number = game.net.update_me(member.node, member.seat, MemberUpdate::new().ready(true));
        game.net.run(SECOND);
        assert!(game.net.answer(member.node, number).is_ok());
    }
}

/// 7: two halves. With the host counted, the half that has it is the larger one.
#[test]
fn of_two_halves_the_one_with_the_host_goes_on() {
    for machines in [4, 8] {
        let mut game = Game::new(57, machines, Migration::Quorum);
        for at in &game.all[machines / 2..] {
            game.net.walls.insert(at.node, 1);
        }
        for at in &game.all[..machines / 2] {
            game.net.walls.insert(at.node, 0);
        }
        game.net.run(20 * SECOND);
        assert_eq!(game.hosts(), [game.all[0].node]);
        game.net.walls.clear();
        game.united(20 * SECOND);
        assert_eq!(game.hosts(), [game.all[0].node]);
    }
}

/// 7, any survivor: the half without the host goes on, too, and comes back to the one that was not forked.
#[test]
fn a_half_that_went_on_alone_gives_way_when_they_meet() {
    for machines in [2, 4, 8] {
        let mut game = Game::new(58, machines, Migration::AnySurvivor);
        for (at, machine) in game.all.clone().into_iter().enumerate() {
            game.net.walls.insert(machine.node, u8::from(at >= machines / 2));
        }
        game.net.run(20 * SECOND);
        assert_eq!(game.hosts().len(), 2, "{machines}");
        game.net.walls.clear();
        for _ in 0..60 {
            game.hear_rivals();
            game.net.run(SECOND);
        }
        game.united(SECOND);
        assert_eq!(game.hosts(), [game.all[0].node], "fewer forks");
        assert!(game.alive().iter().all(|&at| game.left(at).is_none()));
        game.check_agreed();
    }
}

/// 8: the host has said for whom it votes, and the first of them dies with it.
#[test]
fn a_host_and_its_successor_that_die_in_a_handoff_leave_it_to_the_next() {
    let mut game = Game::new(59, 7, Migration::Quorum);
    let host = game.all[0];
    game.net.command(host.node, |request| Command::HandOver { request, seat: host.seat, to: None });
    until_sent(&mut game, kind::ABDICATE, 1);
    game.kill(host);
    game.kill(game.all[1]);
    game.united(8 * SECOND);
    assert_eq!(game.hosts(), [game.all[2].node]);
}
