//! Every refusal with its own reason, and each delivered before the close.

use super::*;

fn hosted(net: &mut Net, what: impl Into<HostRequest>) -> (usize, SeatId, SessionKey, usize) {
    let (a, b) = (net.node(), net.node());
    let (seat, key) = net.host(a, what);
    (a, seat, key, b)
}

#[test]
fn switches_phase_policy_and_seats_each_say_their_own() {
    let mut net = Net::new(1);
    let (a, seat, key, b) = hosted(&mut net, room(1).attr("map", "dust"));
    assert_eq!(net.refused(b, key), Refusal::Full);
    net.update(a, seat, SettingsUpdate::new().max_members(4).locked(true), None);
    assert_eq!(net.refused(b, key), Refusal::Locked);
    net.update(a, seat, SettingsUpdate::new().closed(true), None);
    assert_eq!(net.refused(b, key), Refusal::Closed);
    net.update(a, seat, SettingsUpdate::new().join_in_progress(false), None);
    net.command(a, |request| Command::SetPhase { request, seat, phase: Phase::InProgress });
    assert_eq!(net.refused(b, key), Refusal::InProgress);
    net.update(a, seat, SettingsUpdate::new().policy(crate::types::JoinPolicy::FriendsOnly), None);
    assert!(net.nodes[a].adverts.is_empty(), "no longer listed");
    assert_eq!(net.refused(b, key), Refusal::NotFriend);
    net.update(a, seat, SettingsUpdate::new().policy(crate::types::JoinPolicy::InviteOnly), None);
    assert_eq!(net.refused(b, key), Refusal::NotInvited);
    assert_eq!(net.view(a, seat).members.len(), 1);
}

#[test]
fn reserved_slots_are_not_for_strangers() {
    let mut net = Net::new(2);
    let (a, seat, key, b) = hosted(&mut net, room(3).reserved_slots(2));
    assert_eq!(net.refused(b, key), Refusal::Full);
    net.update(a, seat, SettingsUpdate::new().reserved_slots(1), None);
    net.join(b, key);
}

#[test]
fn versions_sessions_and_incarnations_that_do_not_fit() {
    let mut net = Net::new(3);
    let (_, _, key, b) = hosted(&mut net, room(4));
    let old = net.node_with(VERSION - 1, Net::tuning());
    assert_eq!(net.refused(old, key), Refusal::Incompatible { ours: VERSION - 1, theirs: VERSION });
    let known = Resolved { version: Some(VERSION), ..net.resolved(key) };
    let request = net.ask_join_with(old, Net::join_command(None), known);
    assert_eq!(
        net.answer(old, request).unwrap_err().refusal(),
        Some(&Refusal::Incompatible { ours: VERSION - 1, theirs: VERSION })
    );
    let other = SessionKey { id: crate::types::SessionId::from_name("other"), ..key };
    let to = Resolved { key: Some(other), ..net.resolved(key) };
    let request = net.ask_join_with(b, Net::join_command(None), to);
    assert_eq!(net.refusal(b, request), Refusal::NotFound);
    let to = Resolved { incarnation: 1, ..net.resolved(key) };
    let request = net.ask_join_with(b, Net::join_command(None), to);
    assert_eq!(net.refusal(b, request), Refusal::NotFound);
}

#[test]
fn nothing_but_an_address_finds_what_is_listed_there_and_nothing_hidden() {
    let mut net = Net::new(4);
    let (a, seat, key, b) = hosted(&mut net, room(4));
    let c = net.node();
    let blind = Resolved { key: None, host_key: None, ..net.resolved(key) };
    let request = net.ask_join_with(b, Net::join_command(None), blind.clone());
    net.settle();
    net.seat_of(b, request);
    net.update(a, seat, SettingsUpdate::new().listed(false), None);
    let blind = Resolved { deadline: net.now + 5 * SECOND, ..blind };
    let request = net.ask_join_with(c, Net::join_command(None), blind);
    assert_eq!(net.refusal(c, request), Refusal::NotFound);
}

#[test]
fn a_password_is_proven_by_both_sides_and_a_wrong_one_waits_a_second() {
    let mut net = Net::new(5);
    let (_, _, key, b) = hosted(&mut net, HostRequest::new(room(4)).password("swordfish"));
    let start = net.now;
    let to = net.resolved(key);
    let right = net.ask_join_with(b, Net::join_command(Some("swordfish")), to);
    net.settle();
    net.seat_of(b, right);
    let c = net.node();
    let to = net.resolved(key);
    let request = net.ask_join_with(c, Net::join_command(None), to);
    net.run(900 * MS);
    assert!(net.nodes[c].done.contains_key(&request), "none is no guess, and is answered at once");
    assert_eq!(net.refusal(c, request), Refusal::BadPassword);
    let to = net.resolved(key);
    let request = net.ask_join_with(c, Net::join_command(Some("trout")), to);
    net.run(900 * MS);
    assert!(!net.nodes[c].done.contains_key(&request), "a wrong one is answered within a second");
    assert_eq!(net.refusal(c, request), Refusal::BadPassword);
    assert!(net.now > start);
    // A host that cannot prove the password is an impostor: nothing is joined.
    let (d, e) = (net.node(), net.node());
    let (_, open) = net.host(d, room(4));
    let to = net.resolved(open);
    let request = net.ask_join_with(e, Net::join_command(Some("swordfish")), to);
    assert_eq!(net.refusal(e, request), Refusal::BadPassword);
    assert_eq!(net.nodes[d].seats.values().next().unwrap().snapshot.members.len(), 1);
}

#[test]
fn a_system_that_derives_no_key_fails_the_host_and_the_join() {
    let mut net = Net::new(50);
    let (a, _, key, b) = hosted(&mut net, HostRequest::new(room(4)).password("swordfish"));
    net.nodes[b].threads = false;
    let to = net.resolved(key);
    let join = net.ask_join_with(b, Net::join_command(Some("swordfish")), to);
    let account = net.account(b);
    let host = net.request(b);
    let what = HostRequest::new(room(4)).password("swordfish");
    net.nodes[b].sessions.host(net.now, host, account, what, 0);
    net.settle();
    for request in [join, host] {
        let error = net.answer(b, request).unwrap_err();
        assert!(error.kind() == ErrorKind::Io && error.to_string().contains("no thread"), "{error}");
    }
    // Nothing of them is left in the way.
    net.nodes[b].threads = true;
    let to = net.resolved(key);
    let join = net.ask_join_with(b, Net::join_command(Some("swordfish")), to);
    net.settle();
    net.seat_of(b, join);
    assert_eq!(net.nodes[a].seats.values().next().unwrap().snapshot.members.len(), 2);
}

#[test]
fn guesses_from_one_address_are_few_at_a_time_and_keep_nobody_out() {
    let mut net = Net::new(6);
    let (_, _, key, b) = hosted(&mut net, HostRequest::new(room(40)).password("swordfish"));
    let guessers: Vec<_> = (0..6).map(|n| net.user(b, &format!("guess{n}"))).collect();
    let mut asked = Vec::new();
    for account in guessers {
        let request = net.request(b);
        let to = Resolved { deadline: net.now + 500 * MS, ..net.resolved(key) };
        net.nodes[b].sessions.join(net.now, request, account, Net::join_command(Some("no")), to);
        asked.push(request);
    }
    let to = net.resolved(key);
    let right = net.ask_join_with(b, Net::join_command(Some("swordfish")), to);
    net.run(100 * MS);
    net.seat_of(b, right);
    let early = asked.iter().filter(|request| net.nodes[b].done.contains_key(request)).count();
    assert_eq!(early, 2, "the fifth and sixth are told at once that there are too many");
    let error = net.answer(b, asked[5]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManyRequests);
}

#[test]
fn kicked_may_return_and_banned_may_not() {
    let mut net = Net::new(7);
    let (a, seat, key, b) = hosted(&mut net, room(4));
    let member = net.join(b, key);
    let account = net.account(b);
    let kick = net.kick(a, seat, account, false);
    net.settle();
    assert!(matches!(net.answer(a, kick), Ok(Answer::Unit)));
    assert_eq!(net.seat(b, member).left, Some(Left::Kicked(Reason::new(3, "afk"))));
    assert_eq!(net.view(a, seat).members.len(), 1);
    net.run(40 * SECOND);
    assert_eq!(net.view(a, seat).members.len(), 1, "nothing dials by itself after a kick");
    let member = net.join(b, key);
    net.kick(a, seat, account, true);
    net.settle();
    assert_eq!(net.seat(b, member).left, Some(Left::Banned(Reason::new(3, "afk"))));
    assert_eq!(net.refused(b, key), Refusal::Banned);
    net.command(a, |request| Command::Unban { request, seat, account });
    net.join(b, key);
}

#[test]
fn only_the_host_decides() {
    let mut net = Net::new(8);
    let (a, seat, key, b) = hosted(&mut net, room(4));
    let member = net.join(b, key);
    let account = net.account(a);
    let asked = [
        net.update(b, member, SettingsUpdate::new().max_members(2), None),
        net.kick(b, member, account, false),
        net.command(b, |request| Command::SetPhase { request, seat: member, phase: Phase::Ended }),
        net.command(b, |request| Command::Destroy { request, seat: member }),
        net.command(b, |request| Command::Unban { request, seat: member, account }),
    ];
    for request in asked {
        assert_eq!(net.answer(b, request).unwrap_err().kind(), ErrorKind::NotOwner);
    }
    let own = net.kick(a, seat, account, false);
    assert_eq!(net.answer(a, own).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn the_game_is_asked_and_its_word_or_its_silence_counts() {
    let mut net = Net::new(9);
    let (a, seat, key, b) = hosted(&mut net, HostRequest::new(room(2)).admission(true));
    let ask = |net: &mut Net, node| {
        let request = net.ask_join(node, key);
        net.settle();
        match net.take_events(a, seat).pop() {
            Some(SessionEvent::JoinAsked(ask)) => (request, ask),
            other => panic!("not asked: {other:?}"),
        }
    };
    let (request, asked) = ask(&mut net, b);
    assert_eq!(asked.account, net.account(b));
    let no = Command::Answer { seat, ask: asked.id, verdict: Verdict::Refuse(Reason::from("no bots")) };
    net.nodes[a].sessions.command(net.now, no);
    assert_eq!(net.refusal(b, request), Refusal::Refused(Reason::from("no bots")));
    let (request, _) = ask(&mut net, b);
    net.run(2_900 * MS);
    assert!(!net.nodes[b].done.contains_key(&request));
    assert!(matches!(net.refusal(b, request), Refusal::Refused(_)));
    // Two are admitted for one seat: seats are counted again at the end.
    let c = net.node();
    let (first, one) = ask(&mut net, b);
    let (second, two) = ask(&mut net, c);
    for ask in [one.id, two.id] {
        let yes = Command::Answer { seat, ask, verdict: Verdict::Admit };
        net.nodes[a].sessions.command(net.now, yes);
    }
    net.settle();
    net.seat_of(b, first);
    assert_eq!(net.refusal(c, second), Refusal::Full);
}

#[test]
fn a_second_process_of_a_seated_account_is_told_so_and_the_seat_stays() {
    let mut net = Net::new(10);
    let (a, seat, key, b) = hosted(&mut net, room(4));
    let c = net.node();
    net.nodes[b].users.clear();
    net.nodes[c].users.clear();
    net.user_with(b, "ada", [9; 32]);
    net.user_with(c, "ada", [9; 32]);
    let first = net.join(b, key);
    net.run(2 * SECOND);
    assert_eq!(net.refused(c, key), Refusal::AlreadyMember);
    assert_eq!(net.seat(b, first).left, None);
    assert_eq!(net.view(a, seat).members.len(), 2);
    // The older process stops without a word: a second later the newer one has the seat.
    net.dark.insert(b);
    net.run(200 * MS);
    let taken = net.ask_join(c, key);
    net.run(1_100 * MS);
    net.seat_of(c, taken);
    assert_eq!(net.view(a, seat).members.len(), 2);
}

#[test]
fn local_names_are_one_users_own() {
    let mut net = Net::new(11);
    let (a, _, key, b) = hosted(&mut net, room(4));
    let again = net.request(a);
    let account = net.account(a);
    net.nodes[a].sessions.host(net.now, again, account, room(2).into(), 0);
    net.drain();
    assert_eq!(net.answer(a, again).unwrap_err().kind(), ErrorKind::AlreadyExists);
    let other = HostRequest::new(room(2)).local_name("party");
    net.host(a, other);
    net.join(b, key);
    let twice = net.ask_join(b, key);
    assert_eq!(net.answer(b, twice).unwrap_err().kind(), ErrorKind::AlreadyExists);
    // The host itself holds a seat already.
    let to = net.resolved(key);
    let own = net.ask_join_with(a, JoinCommand { local_name: "x".into(), ..Net::join_command(None) }, to);
    assert_eq!(net.refusal(a, own), Refusal::AlreadyMember);
}

#[test]
fn addresses_that_do_not_answer_are_named() {
    let mut net = Net::new(12);
    let (_, _, key, b) = hosted(&mut net, room(4));
    let dead: SocketAddr = "10.0.0.1:9".parse().unwrap();
    let to = Resolved { candidates: vec![dead], ..net.resolved(key) };
    let request = net.ask_join_with(b, Net::join_command(None), to);
    assert_eq!(net.refusal(b, request), Refusal::HostUnreachable { tried: vec![dead] });
    let to = Resolved { candidates: Vec::new(), ..net.resolved(key) };
    let request = net.ask_join_with(b, Net::join_command(None), to);
    assert_eq!(net.refusal(b, request), Refusal::HostUnreachable { tried: vec![] });
    // One of three answers: the join takes it, however silent the first one is.
    let silent: SocketAddr = "10.9.9.9:9".parse().unwrap();
    let good = net.address(key);
    let to = Resolved { candidates: vec![silent, dead, good], ..net.resolved(key) };
    let request = net.ask_join_with(b, Net::join_command(None), to);
    net.run(100 * MS);
    net.seat_of(b, request);
}
