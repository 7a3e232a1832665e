//! What goes on while the host lives: who stands, the orders, what the first successors keep.

use super::*;
use crate::types::{GameState, LinkState, Migration};
use crate::wire::frame::{Frame, kind};

fn outliving(max: u16) -> HostRequest {
    HostRequest::new(room(max)).migration(Migration::Quorum)
}

/// A host, so many members one after the other, and the session.
fn crowd(net: &mut Net, members: usize) -> (SeatId, SessionKey, Vec<SeatId>) {
    let host = net.node();
    let (seat, key) = net.host(host, outliving(16));
    let seats = (0..members).map(|_| {
        let node = net.node();
        net.join(node, key)
    });
    let seats = seats.collect();
    net.settle();
    (seat, key, seats)
}

fn accounts(net: &Net, nodes: impl IntoIterator<Item = usize>) -> Vec<AccountId> {
    nodes.into_iter().map(|node| net.account(node)).collect()
}

fn keepers(net: &Net, key: SessionKey) -> BTreeSet<AccountId> {
    net.nodes[0].sessions.hosts[&key].keepers().into_iter().collect()
}

fn holds_part(net: &Net, node: usize) -> bool {
    net.nodes[node].sessions.members.values().any(|m| m.standing.as_ref().is_some_and(|s| s.keeper.is_some()))
}

fn game_state(net: &Net, node: usize) -> Option<GameState> {
    net.nodes[node].sessions.members.values().find_map(|m| m.standing.as_ref()?.state.clone())
}

fn set_state(net: &mut Net, seat: SeatId, data: &[u8]) -> RequestId {
    let data = data.to_vec();
    net.command(0, |request| Command::SetState { request, seat, data })
}

#[test]
fn members_stand_are_dialled_back_and_named_in_the_order_of_their_coming() {
    let mut net = Net::new(1);
    let (seat, key, seats) = crowd(&mut net, 3);
    let all = accounts(&net, 0..4);
    let told = &net.seat(0, seat).succession;
    assert_eq!((told.cfg, told.acked), (4, 4), "one order for each that came, and all have the last");
    assert_eq!(told.voters, all);
    assert_eq!(told.successors, all[1..]);
    for (node, seat) in (1..4).zip(seats) {
        let seen = &net.seat(node, seat).succession;
        assert_eq!((seen.cfg, &seen.voters, &seen.successors), (4, &told.voters, &told.successors));
        let standing = net.nodes[node].sessions.members[&seat].standing.as_ref().unwrap();
        let order = &standing.succession.as_ref().unwrap().order;
        assert!(order.verify() && order.position(standing.seat_key.public()) == Some(node));
    }
    assert_eq!(net.listeners.len(), 4, "each machine has one listener");
    assert_eq!(net.nodes[0].sessions.core.doorman.len(), 0);
    net.run(3 * SECOND);
    assert!((1..4).all(|node| net.nodes[node].sessions.core.doorman.len() == 0), "the dials back left nothing");
    assert_eq!(keepers(&net, key), all[1..].iter().copied().collect());
}

/// Fails when a member stands whatever the policy says.
#[test]
fn a_session_that_ends_with_its_host_opens_no_listener_and_sends_no_frame_for_it() {
    let mut net = Net::new(2);
    let host = net.node();
    let (seat, key) = net.host(host, room(8));
    for _ in 0..3 {
        let node = net.node();
        net.join(node, key);
    }
    net.run(10 * SECOND);
    assert_eq!(net.listeners.len(), 1);
    let of_succession = [kind::STAND, kind::ORDER_ACK, kind::SUCCESSION, kind::KEEP, kind::GAME_STATE];
    assert!(of_succession.iter().all(|kind| !net.frames.contains_key(kind)), "{:?}", net.frames);
    assert!(net.nodes[0].sessions.hosts[&key].succession.is_none());
    let refused = set_state(&mut net, seat, b"x");
    assert_eq!(net.answer(0, refused).unwrap_err().kind(), ErrorKind::InvalidState);
}

#[test]
fn who_would_not_host_votes_and_listens_to_nobody_and_may_change_its_mind() {
    let mut net = Net::new(3);
    let (seat, key, seats) = crowd(&mut net, 1);
    let unwilling = net.node();
    let (command, to) = (JoinCommand { can_host: false, ..Net::join_command(None) }, net.resolved(key));
    let request = net.ask_join_with(unwilling, command, to);
    net.settle();
    let other = net.seat_of(unwilling, request);
    let all = accounts(&net, 0..3);
    assert_eq!(net.seat(0, seat).succession.voters, all);
    assert_eq!(net.seat(0, seat).succession.successors, all[1..2]);
    assert_eq!(net.listeners.len(), 2);
    assert!(!holds_part(&net, unwilling));
    net.run(SECOND);
    net.command(unwilling, |request| Command::SetCanHost { request, seat: other, can: true });
    net.settle();
    assert_eq!(net.seat(0, seat).succession.successors, all[1..]);
    assert!(holds_part(&net, unwilling) && net.listeners.len() == 3);
    net.run(SECOND);
    net.command(1, |request| Command::SetCanHost { request, seat: seats[0], can: false });
    net.settle();
    assert_eq!(net.seat(0, seat).succession.successors, all[2..]);
    assert_eq!(net.seat(0, seat).succession.voters, [all[0], all[2], all[1]], "it votes on, the last of all");
    assert!(!holds_part(&net, 1) && net.listeners.len() == 2);
}

/// Fails when every machine that stands is eligible, dialled back or not.
#[test]
fn a_machine_that_cannot_be_dialled_votes_and_is_named() {
    let mut net = Net::new(4);
    let (seat, key, _) = crowd(&mut net, 1);
    let shut = net.node();
    net.walled.insert(shut);
    net.join(shut, key);
    net.run(4 * SECOND);
    let told = &net.seat(0, seat).succession;
    assert_eq!((told.voters.len(), told.successors.len()), (3, 1));
    assert_eq!(told.unreached, [net.account(shut)]);
    assert!(!holds_part(&net, shut));
}

#[test]
fn the_hosts_own_order_comes_first_and_only_five_keep() {
    let mut net = Net::new(5);
    let (seat, key, _) = crowd(&mut net, 7);
    let all = accounts(&net, 0..8);
    assert_eq!(keepers(&net, key), all[1..6].iter().copied().collect());
    set_state(&mut net, seat, b"one");
    net.run(SECOND);
    assert!((1..8).all(|node| holds_part(&net, node) == (node < 6)));
    assert!((1..8).all(|node| game_state(&net, node).is_some() == (node < 6)));
    let first = vec![all[7]];
    net.command(0, |request| Command::SetSuccessors { request, seat, accounts: first });
    net.run(SECOND);
    assert_eq!(net.seat(0, seat).succession.successors, [&all[7..], &all[1..7]].concat());
    // S21. Fails when a machine keeps what it has after an order without it.
    assert!((1..8).all(|node| holds_part(&net, node) == (node < 5 || node == 7)));
    assert!((1..8).all(|node| game_state(&net, node).is_some() == (node < 5 || node == 7)));
    assert_eq!(net.frames[&kind::GAME_STATE], 6, "one for each that keeps it, and one more");
}

#[test]
fn the_newest_state_wins_and_one_transfer_is_under_way() {
    let mut net = Net::new(6);
    let (seat, _, _) = crowd(&mut net, 1);
    net.run(SECOND);
    for number in 0..20_u8 {
        let set = set_state(&mut net, seat, &vec![number; GameState::MAX]);
        assert!(matches!(net.answer(0, set), Ok(Answer::Version(version)) if version == u64::from(number) + 1));
    }
    net.run(SECOND);
    let kept = game_state(&net, 1).unwrap();
    assert_eq!((kept.version, kept.data[0], kept.data.len()), (20, 19, GameState::MAX));
    assert!(net.frames[&kind::GAME_STATE] <= 3 * 5, "in parts of 64 KiB: {:?}", net.frames);
    let over = set_state(&mut net, seat, &[0; GameState::MAX + 1]);
    assert_eq!(net.answer(0, over).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_lost_machine_votes_no_more_after_three_seconds_and_again_once_it_is_back() {
    let mut net = Net::new(7);
    let (seat, _, _) = crowd(&mut net, 3);
    let all = accounts(&net, 0..4);
    net.dark.insert(3);
    net.cut_links(3);
    net.run(2_900 * MS);
    assert_eq!(net.seat(0, seat).succession.voters, all);
    net.run(300 * MS);
    assert_eq!(net.seat(0, seat).succession.voters, all[..3], "out long before its seat is free");
    net.dark.clear();
    net.run(4 * SECOND);
    assert_eq!(net.seat(0, seat).succession.voters, all);
    assert!(!names(&net.seat(0, seat).events).contains(&"quorum lost"));
}

/// A host that is cut off from most cannot make itself their majority (session.md 3.2). Fails when an order is replaced
/// before most have it.
#[test]
fn without_most_of_its_machines_a_host_changes_nothing_and_says_so() {
    let mut net = Net::new(8);
    let (seat, _, _) = crowd(&mut net, 4);
    net.dark.extend([2, 3, 4]);
    (2..5).for_each(|node| net.cut_links(node));
    net.run(15 * SECOND);
    assert_eq!(net.seat(0, seat).succession.voters.len(), 4, "one was put out, and most never said that they know");
    assert!(names(&net.seat(0, seat).events).contains(&"quorum lost"));
    net.dark.clear();
    net.run(15 * SECOND);
    assert_eq!(net.seat(0, seat).succession.voters.len(), 5);
    assert_eq!(names(&net.seat(0, seat).events).iter().filter(|name| **name == "quorum regained").count(), 1);
}

#[test]
fn all_may_leave_one_after_the_other_and_the_host_stays_its_own_majority() {
    let mut net = Net::new(9);
    let (seat, _, seats) = crowd(&mut net, 4);
    for (node, seat) in (1..5).zip(seats) {
        net.leave(node, seat);
    }
    net.settle();
    assert_eq!(net.seat(0, seat).succession.voters, accounts(&net, [0]));
    assert_eq!(net.listeners.len(), 1, "who left listens no more");
    assert!(!names(&net.seat(0, seat).events).contains(&"quorum lost"));
}

/// Several users of one process are one machine, whichever of them leaves.
#[test]
fn one_process_has_one_vote_and_one_listener() {
    let mut net = Net::new(10);
    let (seat, key, _) = crowd(&mut net, 1);
    let both = net.node();
    let second = net.user(both, "second");
    let (command, to) = (JoinCommand { party: vec![second], ..Net::join_command(None) }, net.resolved(key));
    let request = net.ask_join_with(both, command, to);
    net.settle();
    let Answer::Seats(seats) = net.answer(both, request).unwrap() else { panic!("two seats") };
    assert_eq!(net.seat(0, seat).succession.voters.len(), 3);
    assert_eq!(net.listeners.len(), 3);
    assert!(seats.iter().all(|seat| net.seat(both, *seat).succession.successors.len() == 2), "both know the order");
    net.leave(both, seats[0]);
    net.run(SECOND);
    assert_eq!(net.seat(0, seat).succession.voters.last(), Some(&second), "the other one stands now");
    assert_eq!((net.seat(0, seat).succession.voters.len(), net.listeners.len()), (3, 3));
}

#[test]
fn a_seat_beside_the_host_does_not_stand() {
    let mut net = Net::new(11);
    let (seat, key, _) = crowd(&mut net, 0);
    let second = net.user(0, "second");
    let (request, to) = (net.request(0), net.resolved(key));
    let now = net.now;
    net.nodes[0].sessions.join(now, request, second, Net::join_command(None), to);
    net.settle();
    net.seat_of(0, request);
    assert_eq!((net.seat(0, seat).succession.voters.len(), net.listeners.len()), (1, 1));
    assert!(!net.frames.contains_key(&kind::STAND));
}

/// Fails when keys are not compared with those of other machines.
#[test]
fn nobody_stands_under_another_machines_keys() {
    let mut net = Net::new(12);
    let (seat, key, _) = crowd(&mut net, 2);
    let standing = |net: &Net, node: usize| {
        let member = net.nodes[node].sessions.members.values().next().unwrap();
        let standing = member.standing.as_ref().unwrap();
        (standing.seat_key.clone(), standing.host.clone().unwrap(), standing.port)
    };
    let ((seat_key, host, port), account) = (standing(&net, 1), net.account(2));
    net.run(2 * SECOND);
    let before = net.seat(0, seat).succession.clone();
    let thief = crate::wire::frame::Stand {
        seat: seat_key.public(),
        host: Some(host.public().into()),
        port,
        addresses: Vec::new(),
    };
    let now = net.now;
    let sessions = &mut net.nodes[0].sessions;
    sessions.core.now = now;
    let (_, payload) = Frame::Stand(Box::new(thief)).encode();
    let authority = sessions.hosts.get_mut(&key).unwrap();
    authority.seat_frame(&mut sessions.core, account, kind::STAND, false, payload);
    net.run(3 * SECOND);
    assert_eq!(net.seat(0, seat).succession, before);
}

/// A member that changes its mind without end costs the others one order a second.
#[test]
fn a_fickle_member_is_heard_once_a_second() {
    let mut net = Net::new(13);
    let (seat, _, seats) = crowd(&mut net, 2);
    net.run(2 * SECOND);
    let before = net.frames[&kind::SUCCESSION];
    for turn in 0..40 {
        net.command(1, |request| Command::SetCanHost { request, seat: seats[0], can: turn % 2 == 1 });
        net.run(25 * MS);
    }
    net.run(3 * SECOND);
    assert_eq!(net.seat(0, seat).succession.successors.len(), 2, "its last word counts");
    assert!(net.frames[&kind::SUCCESSION] - before <= 12, "{:?}", net.frames);
}

#[test]
fn an_order_of_somebody_else_or_an_older_one_changes_nothing() {
    let mut net = Net::new(14);
    let (_, _, seats) = crowd(&mut net, 2);
    let member = &net.nodes[1].sessions.members[&seats[0]];
    let held = member.standing.as_ref().unwrap().succession.clone().unwrap();
    let forger = Identity::from_seed([9; 32]).unwrap();
    let mut forged = held.clone();
    forged.order.cfg += 1;
    let unsigned = forged.clone();
    forged.order = forged.order.sign(&forger);
    let mut foreign = forged.clone();
    foreign.order.host_key = forger.public().into();
    foreign.order = foreign.order.sign(&forger);
    let mut unnamed = held.clone();
    unnamed.successors.pop();
    for order in [unsigned, forged, foreign, unnamed] {
        let Sessions { core, members, .. } = &mut net.nodes[1].sessions;
        let member = members.get_mut(&seats[0]).unwrap();
        member.heard_order(core, order);
        assert_eq!(member.standing.as_ref().unwrap().succession.as_ref(), Some(&held));
    }
}

/// What a host keeps for its successors makes the same host again: who is kept out, who may come, what took effect.
#[test]
fn a_host_made_of_its_part_does_what_the_former_did() {
    let mut net = Net::new(15);
    let host = net.node();
    let request = HostRequest::new(room(8).attr_with("seed", 7, crate::types::Visibility::Host));
    let (seat, key) = net.host(host, request.migration(Migration::Quorum).password("swordfish"));
    let nodes: Vec<_> = (0..7).map(|_| net.node()).collect();
    let [heir, member, banned, expected, invited, guesser, leaver] = nodes[..] else { panic!() };
    let join = |net: &mut Net, node: usize, password: Option<&str>, invite: Option<crate::types::InviteId>| {
        let authority = net.nodes.iter().filter(|node| node.alive);
        let authority = authority.into_iter().find_map(|node| node.sessions.hosts.get(&key)).unwrap();
        let (host_key, incarnation) = (authority.state().host_key, 0);
        let mut to = net.resolved(key);
        (to.host_key, to.incarnation) = (Some(host_key), incarnation);
        let mut command = Net::join_command(password);
        if let Some(id) = invite {
            let invite = crate::types::Invite {
                id,
                session: key,
                host_key,
                incarnation,
                name: "room".into(),
                inviter: net.account(0),
                inviter_name: "user0".into(),
                invitee: net.account(node),
                addresses: to.candidates.clone(),
                expires_in: SECOND,
                hold: false,
            };
            command.target = crate::proto::io::JoinTarget::Invite(Box::new(invite));
        }
        net.ask_join_with(node, command, to)
    };
    for node in [heir, member, leaver] {
        join(&mut net, node, Some("swordfish"), None);
        net.settle();
    }
    let seat_at = |net: &Net, node: usize| *net.nodes[node].sessions.members.keys().next().unwrap();
    net.update_me(member, seat_at(&net, member), MemberUpdate::new().ready(true));
    net.leave(leaver, seat_at(&net, leaver));
    net.kick(host, seat, net.account(banned), true);
    let what = Box::new(crate::types::ReserveRequest::from(vec![net.account(expected)]));
    net.command(host, |request| Command::Reserve { request, seat, what });
    let what = crate::types::InviteRequest::new([net.account(invited)]).passes_password(true);
    let request = net.command(host, |request| Command::Invite { request, seat, what: Box::new(what) });
    let Answer::Invites(ids) = net.answer(host, request).unwrap() else { panic!("invited") };
    set_state(&mut net, seat, b"wave 7");
    net.run(SECOND);

    let standing = net.nodes[heir].sessions.members[&seat_at(&net, heir)].standing.as_ref().unwrap();
    let (kept, order) = (standing.keeper.clone().unwrap(), standing.succession.clone());
    let authority = &net.nodes[host].sessions.hosts[&key];
    let wanted = authority.keeper(net.now);
    assert_eq!((&kept.seats, &kept.bans, &kept.invites.len()), (&wanted.seats, &wanted.bans, &1));
    assert_eq!(game_state(&net, heir).map(|state| state.version), Some(1));
    let reign = crate::wire::frame::Reign { term: 2, ..crate::wire::frame::Reign::FOUNDER };
    let (own, port) = (standing.host.clone().unwrap(), standing.port);
    let from = host::RestoreFrom {
        user: net.nodes[heir].sessions.users[&net.account(heir)].clone(),
        local_name: "game".into(),
        seat: seat_at(&net, heir),
        snapshot: net.view(heir, seat_at(&net, heir)).clone(),
        keeper: Some(kept),
        state: game_state(&net, heir),
        host: own,
        port,
        incarnation: order.as_ref().unwrap().order.incarnation,
        reign,
        lineage: Vec::new(),
        seat_key: standing.seat_key.clone(),
        succession: order,
    };
    net.kill(host);
    let now = net.now;
    let sessions = &mut net.nodes[heir].sessions;
    sessions.core.now = now;
    let heir_seat = from.seat;
    sessions.members.remove(&heir_seat);
    let restored = HostAuthority::restore(&mut sessions.core, from);
    sessions.hosts.insert(key, restored);

    let state = net.nodes[heir].sessions.hosts[&key].state().clone();
    assert_eq!((state.host, state.revision.term), (Some(net.account(heir)), 2));
    assert_eq!(state.attributes.get("seed").and_then(crate::types::Value::as_int), Some(7), "the host's own too");
    assert!(state.members.iter().all(|m| (m.account == net.account(heir)) == (m.link == LinkState::Connected)));
    let again = net.nodes[heir].sessions.hosts[&key].keeper(now);
    let of_member = |kept: &crate::wire::frame::Keeper| {
        kept.seats.iter().find(|seat| seat.account == net.account(member)).cloned().unwrap()
    };
    assert_eq!(of_member(&again), of_member(&wanted), "its nonce and its numbers");
    assert_eq!(of_member(&again).applied, (1, 1));
    assert_eq!(
        (&again.bans, &again.leavers, &again.password_key),
        (&wanted.bans, &wanted.leavers, &wanted.password_key)
    );
    assert_eq!((&again.reservations, again.deadlines.len()), (&wanted.reservations, wanted.deadlines.len()));

    let request = join(&mut net, banned, Some("swordfish"), None);
    assert_eq!(net.refusal(banned, request), Refusal::Banned);
    let request = join(&mut net, guesser, Some("sword"), None);
    assert_eq!(net.refusal(guesser, request), Refusal::BadPassword);
    let request = join(&mut net, invited, None, Some(ids[0]));
    net.settle();
    net.seat_of(invited, request);
    let request = join(&mut net, expected, Some("swordfish"), None);
    net.settle();
    net.seat_of(expected, request);
    let state = net.nodes[heir].sessions.hosts[&key].state();
    assert_eq!(state.member(net.account(expected)).map(|m| m.status), Some(MemberStatus::Active));
    net.run(31 * SECOND);
    let state = net.nodes[heir].sessions.hosts[&key].state();
    let left: Vec<_> = state.members.iter().map(|member| member.account).collect();
    assert!(!left.contains(&net.account(member)) && !left.contains(&net.account(host)), "their grace is over");
}
