//! A host that goes of its own accord.

use super::*;

fn hand_over(game: &mut Game, at: At, to: Option<AccountId>) -> RequestId {
    game.net.command(at.node, |request| Command::HandOver { request, seat: at.seat, to })
}

#[test]
fn handing_over_makes_the_host_a_member_and_loses_nobody() {
    let mut game = Game::new(21, 5, Migration::Quorum);
    game.forget_events();
    let host = game.all[0];
    let asked = hand_over(&mut game, host, None);
    let took = game.united_under(game.all[1], SECOND);
    assert!(took < 100 * MS, "{took:?}");
    assert!(game.net.answer(host.node, asked).is_ok());
    game.net.run(SECOND);
    game.check_agreed();
    assert_eq!(game.view(host).members.len(), 5);
    assert_eq!((game.adverts(), game.view(host).revision.term), (1, 2));
    for at in game.all.clone() {
        let told = game.events(at);
        assert!(!told.contains(&"left") && !told.contains(&"member left"), "{told:?}");
        assert!(told.contains(&"host changed"), "{told:?}");
    }
    let back = game.all[1];
    let account = game.net.account(host.node);
    hand_over(&mut game, back, Some(account));
    game.united_under(host, SECOND);
    assert_eq!(game.view(host).revision.term, 3);
}

/// A machine may have promised a later term to another while it stood for its own. Fails when its votes as host begin behind
/// its reign alone: two could have its vote in one term.
#[test]
fn a_host_votes_above_all_that_its_machine_has_promised() {
    let mut game = Game::new(29, 4, Migration::Quorum);
    let (host, next) = (game.all[0], game.all[1]);
    game.kill(host);
    game.united_under(next, 5 * SECOND);
    game.net.nodes[next.node].sessions.hosts.get_mut(&game.key).unwrap().promise_before(7);
    game.net.run(SECOND);
    hand_over(&mut game, next, None);
    game.united_under(game.all[2], 5 * SECOND);
    let heir = game.all[2];
    let reign = game.net.nodes[heir.node].sessions.reigning(game.key).unwrap().reign;
    assert_eq!(reign.term, 8);
    let (_, _, promised) = game.net.nodes[next.node].sessions.promised(next.seat).unwrap();
    assert!(promised >= 8, "{promised}");
}

#[test]
fn it_may_go_to_whom_the_host_says() {
    let mut game = Game::new(22, 5, Migration::Quorum);
    let (host, to) = (game.all[0], game.all[3]);
    let account = game.net.account(to.node);
    hand_over(&mut game, host, Some(account));
    game.united_under(to, SECOND);
    game.net.run(2 * SECOND);
    let account = game.net.account(host.node);
    hand_over(&mut game, to, Some(account));
    game.united_under(host, SECOND);
    game.net.run(2 * SECOND);
    let account = game.net.account(to.node);
    hand_over(&mut game, host, Some(account));
    game.united_under(to, SECOND);
    let stranger = game.net.node();
    let account = game.net.account(stranger);
    let asked = hand_over(&mut game, to, Some(account));
    assert_eq!(game.net.answer(to.node, asked).unwrap_err().kind(), ErrorKind::InvalidState);
}

#[test]
fn a_host_that_leaves_is_gone_and_the_others_stay() {
    for machines in [2, 3, 8] {
        let mut game = Game::new(23, machines, Migration::Quorum);
        game.forget_events();
        let host = game.all[0];
        let left = game.net.leave(host.node, host.seat);
        game.net.run(200 * MS);
        assert!(game.net.answer(host.node, left).is_ok());
        assert_eq!(game.left(host), Some(Left::Left));
        assert!(game.net.nodes[host.node].sessions.is_idle());
        game.net.nodes[host.node].alive = false;
        game.united(SECOND);
        assert_eq!(game.hosts(), [game.all[1].node], "{machines}");
        assert_eq!(game.view(game.all[1]).members.len(), machines - 1, "its seat is free");
        assert_eq!(game.adverts(), 1);
    }
}

/// Fails when `leave_at_once` or `destroy` forgets who waits for the handoff.
#[test]
fn whoever_waits_for_a_handoff_is_answered_however_the_host_ends() {
    let mut game = Game::new(27, 3, Migration::Quorum);
    let host = game.all[0];
    let asked = hand_over(&mut game, host, None);
    game.net.command(host.node, |request| Command::Destroy { request, seat: host.seat });
    game.net.settle();
    assert_eq!(game.net.answer(host.node, asked).unwrap_err().kind(), ErrorKind::Ended);

    let mut game = Game::new(28, 3, Migration::Quorum);
    let host = game.all[0];
    let left = game.net.leave(host.node, host.seat);
    let now = game.net.now;
    game.net.nodes[host.node].sessions.shutdown(now);
    game.net.settle();
    assert!(game.net.answer(host.node, left).is_ok());
}

#[test]
fn a_process_that_ends_says_for_whom_it_votes() {
    let mut game = Game::new(24, 2, Migration::Quorum);
    let host = game.all[0];
    let now = game.net.now;
    game.net.nodes[host.node].sessions.shutdown(now);
    game.net.run(200 * MS);
    assert_eq!(game.left(host), Some(Left::Shutdown));
    game.net.nodes[host.node].alive = false;
    let took = game.united(SECOND);
    assert_eq!(game.hosts(), [game.all[1].node], "two of two: the host's vote and its own");
    assert!(took < 100 * MS, "{took:?}");
    assert_eq!(game.view(game.all[1]).revision.term, 2);
}

#[test]
fn one_that_does_not_answer_gives_way_to_the_next() {
    let mut game = Game::new(25, 5, Migration::Quorum);
    let host = game.all[0];
    game.net.run(400 * MS);
    game.net.dark.insert(game.all[1].node);
    game.net.leave(host.node, host.seat);
    game.net.run(SECOND);
    assert_eq!(game.left(host), Some(Left::Left), "within a second");
    game.net.nodes[host.node].alive = false;
    let silent = game.all[1];
    game.net.nodes[silent.node].alive = false;
    game.united(2 * SECOND);
    assert_eq!(game.hosts(), [game.all[2].node]);
}

#[test]
fn destroying_still_ends_it_for_all() {
    let mut game = Game::new(26, 3, Migration::Quorum);
    let host = game.all[0];
    game.net.command(host.node, |request| Command::Destroy { request, seat: host.seat });
    game.net.run(SECOND);
    for at in game.all.clone() {
        assert_eq!(game.left(at), Some(Left::Destroyed));
    }
    assert!(game.net.listeners.is_empty(), "nobody listens any more");
}
