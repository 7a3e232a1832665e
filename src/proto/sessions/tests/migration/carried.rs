//! What the next host has of the former one, and what comes back to it.

use super::*;
use crate::wire::frame::{Frame, kind};

/// Fails when a member takes AlreadyMember from the host after the lost one for its end.
#[test]
fn a_member_whose_token_is_newer_than_the_copy_joins_again_and_has_its_seat() {
    let mut game = Game::new(61, 5, Migration::Quorum);
    let member = game.all[4];
    let number = game.view(member).member(game.net.account(member.node)).unwrap().number;
    // Each return brings a new token; the copy is sent once in a while.
    for _ in 0..2 {
        game.net.cut_links(member.node);
        game.net.run(50 * MS);
        assert!(game.is_linked(member));
    }
    let joins = game.net.frames[&kind::JOIN];
    game.kill(game.all[0]);
    game.united_under(game.all[1], SECOND);
    assert_eq!(game.net.frames[&kind::JOIN], joins + 1, "the successor has its last token");
    assert_eq!(game.left(member), None);
    assert_eq!(game.view(member).member(game.net.account(member.node)).unwrap().number, number, "its own seat");
}

/// Fails when the next host begins with the longest standing.
#[test]
fn the_order_that_a_host_set_by_hand_is_the_next_hosts_too() {
    let mut game = Game::new(62, 6, Migration::Quorum);
    let (host, all) = (game.all[0], game.all.clone());
    let accounts: Vec<_> = all.iter().map(|at| game.net.account(at.node)).collect();
    let first = vec![accounts[4], accounts[2]];
    game.net.command(host.node, |request| Command::SetSuccessors { request, seat: host.seat, accounts: first });
    game.net.run(2 * SECOND);
    let order = [4, 2, 1, 3, 5].map(|at| accounts[at]);
    assert_eq!(game.net.seat(host.node, host.seat).succession.successors, order);
    game.kill(host);
    game.united_under(all[4], SECOND);
    game.net.run(5 * SECOND);
    let after = |game: &Game, at: At| game.net.seat(at.node, at.seat).succession.successors.clone();
    assert_eq!(after(&game, all[4]), order[1..]);
    // Who comes later comes last.
    let late = game.net.node();
    let account = game.net.account(late);
    let seat = game.net.join(late, game.key);
    game.net.run(2 * SECOND);
    assert_eq!(after(&game, At { node: late, seat }), [&order[1..], &[account]].concat());
    game.kill(all[4]);
    game.united_under(all[2], SECOND);
}

/// Where nobody set an order, whoever stands longest comes first at the next host, however late it could be reached.
#[test]
fn an_order_that_nobody_set_stays_that_of_standing() {
    let mut game = Game::new(63, 5, Migration::Quorum);
    let all = game.all.clone();
    game.kill(all[0]);
    game.united_under(all[1], SECOND);
    assert!(game.net.nodes[all[1].node].sessions.hosts[&game.key].first_successors().is_empty());
}

/// Fails when a restored seat has no source: a crowd from elsewhere then costs those who come back their places.
#[test]
fn the_door_of_the_next_host_knows_from_where_its_members_come_back() {
    let mut game = Game::new(64, 5, Migration::Quorum);
    game.kill(game.all[0]);
    while game.hosts().is_empty() {
        game.net.run(Duration::from_micros(100));
    }
    let next = game.all[1];
    let sources: BTreeSet<_> = game.net.nodes[next.node].sessions.hosts[&game.key].roster_sources().collect();
    let back: BTreeSet<_> = game.all[2..].iter().map(|at| game.net.nodes[at.node].ip).collect();
    assert_eq!(sources, back);
}

/// A Keep waits for its turn on the link while deltas pass it. Fails when the last one simply stands.
#[test]
fn an_older_copy_undoes_nothing_that_deltas_have_told_since() {
    let mut game = Game::new(65, 5, Migration::Quorum);
    let (keeper, member) = (game.all[1], game.all[4]);
    let account = game.net.account(member.node);
    let copy = |game: &Game| {
        let standing = game.net.nodes[keeper.node].sessions.members[&keeper.seat].standing.as_ref();
        standing.unwrap().keeper.clone().unwrap()
    };
    let applied = |game: &Game| copy(game).seats.iter().find(|seat| seat.account == account).map(|seat| seat.applied.0);
    let hear = |game: &mut Game, copy| {
        game.net.nodes[keeper.node].sessions.members.get_mut(&keeper.seat).unwrap().heard_keeper(copy);
    };
    let old = copy(&game);
    game.net.update_me(member.node, member.seat, MemberUpdate::new().set("shots", 1));
    game.net.run(10 * MS);
    assert_eq!(applied(&game), Some(1));
    hear(&mut game, old.clone());
    assert_eq!(applied(&game), Some(1), "its request has taken effect");
    // The seat of that copy is gone, and there is another.
    game.net.leave(member.node, member.seat);
    game.net.run(10 * MS);
    game.net.join(member.node, game.key);
    hear(&mut game, old);
    assert_eq!(applied(&game), None, "nothing is known of the new one");
}

/// Fails when the next host takes any token of a seat's account.
#[test]
fn a_token_that_counts_no_more_counts_at_no_later_host_either() {
    let mut game = Game::new(66, 5, Migration::Quorum);
    let (next, member) = (game.all[1], game.all[4]);
    let account = game.net.account(member.node);
    let resume = |game: &Game| {
        let seat = &game.net.nodes[member.node].sessions.members[&member.seat];
        Frame::Resume(Box::new(seat.resume(VERSION)))
    };
    let show = |game: &mut Game, frame| resume::show(&mut game.net, next.node, game.key, account, frame).1;
    let old = resume(&game);
    for _ in 0..2 {
        game.net.cut_links(member.node);
        game.net.run(SECOND);
    }
    game.kill(game.all[0]);
    game.united_under(next, SECOND);
    game.net.run(SECOND);
    let refused = |heard: &[Frame]| matches!(heard, [Frame::Refuse { refusal: Refusal::AlreadyMember, .. }]);
    let heard = show(&mut game, &old);
    assert!(refused(&heard), "the token before the last two brought it back: {heard:?}");
    let last = resume(&game);
    let heard = show(&mut game, &last);
    assert!(matches!(heard[..], [Frame::Resumed(_), ..]), "{heard:?}");
}
