//! How seats and sessions come and go: leaving, destroying, signing out, losing and finding the link, losing the host.

use super::*;
use crate::types::{LinkState, Member};

fn three(net: &mut Net) -> (usize, SeatId, SessionKey, usize, SeatId, usize, SeatId) {
    let (a, b, c) = (net.node(), net.node(), net.node());
    let (host, key) = net.host(a, room(4));
    let (second, third) = (net.join(b, key), net.join(c, key));
    net.take_events(a, host);
    net.take_events(b, second);
    net.take_events(c, third);
    (a, host, key, b, second, c, third)
}

fn member(net: &Net, node: usize, seat: SeatId, who: usize) -> Option<&Member> {
    net.view(node, seat).member(net.account(who))
}

#[test]
fn leaving_frees_the_seat_at_once() {
    let mut net = Net::new(1);
    let (a, host, _, b, second, c, third) = three(&mut net);
    let left = net.leave(b, second);
    assert!(matches!(net.answer(b, left), Ok(Answer::Unit)));
    assert_eq!(net.seat(b, second).left, Some(Left::Left));
    net.settle();
    for (node, seat) in [(a, host), (c, third)] {
        let events = net.take_events(node, seat);
        assert!(matches!(&events[..], [SessionEvent::MemberLeft { why: Left::Left, .. }]), "{events:?}");
    }
    let again = net.update_me(b, second, MemberUpdate::new().ready(true));
    assert_eq!(net.answer(b, again).unwrap_err().kind(), ErrorKind::Ended);
}

#[test]
fn destroying_tells_all_and_withdraws_the_advert() {
    let mut net = Net::new(2);
    let (a, host, key, b, second, c, third) = three(&mut net);
    assert!(net.nodes[a].adverts.contains_key(&key));
    let done = net.command(a, |request| Command::Destroy { request, seat: host });
    assert!(net.answer(a, done).is_ok());
    net.settle();
    for (node, seat) in [(a, host), (b, second), (c, third)] {
        assert_eq!(net.seat(node, seat).left, Some(Left::Destroyed));
    }
    assert!(net.nodes[a].adverts.is_empty() && net.listeners.is_empty());
    assert!(net.nodes.iter().all(|node| node.sessions.is_idle()));
}

#[test]
fn a_host_that_leaves_ends_the_session() {
    let mut net = Net::new(3);
    let (a, host, _, b, second, ..) = three(&mut net);
    net.leave(a, host);
    net.settle();
    assert_eq!(net.seat(a, host).left, Some(Left::Left));
    assert_eq!(net.seat(b, second).left, Some(Left::Destroyed));
}

#[test]
fn signing_out_and_closing_end_what_was_held() {
    let mut net = Net::new(4);
    let (a, host, _, b, second, c, third) = three(&mut net);
    let request = net.request(b);
    let account = net.account(b);
    net.nodes[b].sessions.sign_out(net.now, request, account);
    net.settle();
    assert!(net.answer(b, request).is_ok());
    assert_eq!(net.nodes[b].signed_out, [account]);
    assert_eq!(net.seat(b, second).left, Some(Left::SignedOut));
    assert!(member(&net, a, host, b).is_none());
    let now = net.now;
    net.nodes[a].sessions.shutdown(now);
    net.settle();
    assert_eq!(net.seat(a, host).left, Some(Left::Shutdown));
    assert_eq!(net.seat(c, third).left, Some(Left::Destroyed));
    let late = net.request(a);
    let account = net.account(a);
    net.nodes[a].sessions.host(now, late, account, room(2).into(), 0);
    net.drain();
    assert_eq!(net.answer(a, late).unwrap_err().kind(), ErrorKind::InvalidState);
}

#[test]
fn a_broken_link_is_away_then_back_and_nothing_is_lost() {
    let mut net = Net::new(5);
    let (a, host, _, b, second, c, third) = three(&mut net);
    let keys = net.seat(b, second).keys.clone();
    net.cut_links(b);
    net.run(net.delay / 2);
    assert_eq!(names(&net.take_events(b, second)), ["reconnecting"]);
    assert_eq!(member(&net, a, host, b).unwrap().link, LinkState::Away);
    let update = net.update_me(b, second, MemberUpdate::new().ready(true));
    net.update(a, host, SettingsUpdate::new().set("map", "nuke"), None);
    net.settle();
    assert_eq!(names(&net.take_events(b, second)), ["reconnected", "away", "settings", "back", "member updated"]);
    assert!(net.answer(b, update).is_ok(), "what was asked meanwhile is done");
    assert_eq!(names(&net.take_events(c, third)), ["away", "settings", "back", "member updated"]);
    assert_eq!(net.view(a, host), net.view(b, second));
    assert_ne!(net.seat(b, second).keys, keys, "another channel, another key");
    let keys: BTreeMap<_, _> = net.seat(a, host).keys.iter().cloned().collect();
    assert_eq!(keys[&net.account(b)], net.seat(b, second).keys[0].1);
    assert!(member(&net, a, host, b).unwrap().ready);
}

#[test]
fn a_member_that_stays_silent_expires_on_time() {
    let mut net = Net::new(6);
    let (a, host, key, b, second, ..) = three(&mut net);
    net.run(SECOND);
    let start = net.now;
    net.dark.insert(b);
    net.run(2_600 * MS);
    assert_eq!(member(&net, a, host, b).unwrap().link, LinkState::Away);
    assert_eq!(net.seat(b, second).left, None);
    assert_eq!(names(&net.take_events(b, second)), ["reconnecting"]);
    while member(&net, a, host, b).is_some() {
        net.run(10 * MS);
        assert!(net.now.since(start) < 34 * SECOND, "never expires");
    }
    assert!(net.now.since(start) >= 31 * SECOND);
    let events = net.take_events(a, host);
    assert_eq!(names(&events), ["away", "member left"]);
    assert!(matches!(events[1], SessionEvent::MemberLeft { why: Left::Expired, .. }));
    // Back too late: it is told, not seated again.
    net.dark.remove(&b);
    net.run(3 * SECOND);
    assert_eq!(net.seat(b, second).left, Some(Left::Expired));
    assert_eq!(net.view(a, host).members.len(), 2);
    net.update(a, host, SettingsUpdate::new().locked(true), None);
    net.join(b, key);
}

#[test]
fn kicked_while_away_is_told_when_it_comes_back() {
    let mut net = Net::new(7);
    let (a, host, _, b, second, ..) = three(&mut net);
    net.dark.insert(b);
    net.run(4 * SECOND);
    let account = net.account(b);
    net.kick(a, host, account, false);
    net.dark.remove(&b);
    net.run(4 * SECOND);
    assert_eq!(net.seat(b, second).left, Some(Left::Kicked(Reason::new(3, "afk"))));
    assert_eq!(net.view(a, host).members.len(), 2);
}

#[test]
fn a_killed_host_process_is_lost_in_milliseconds() {
    let mut net = Net::new(8);
    let (a, _, key, b, second, c, third) = three(&mut net);
    net.kill(a);
    net.run(20 * MS);
    for (node, seat) in [(b, second), (c, third)] {
        assert_eq!(net.seat(node, seat).left, Some(Left::HostLost));
        assert_eq!(names(&net.take_events(node, seat)), ["reconnecting", "left"]);
        let dead = |event: &SessionsEvent| matches!(event, SessionsEvent::HostDead { key: k, .. } if *k == key);
        assert!(net.nodes[node].events.iter().any(dead));
    }
}

#[test]
fn a_machine_without_power_is_waited_for_until_grace_has_passed() {
    let mut net = Net::new(9);
    let (a, _, _, b, second, ..) = three(&mut net);
    net.run(SECOND);
    let start = net.now;
    net.dark.insert(a);
    net.run(2_600 * MS);
    assert_eq!(names(&net.take_events(b, second)), ["reconnecting"]);
    let update = net.update_me(b, second, MemberUpdate::new().ready(true));
    net.run(30 * SECOND);
    assert_eq!(net.seat(b, second).left, None);
    assert!(!net.nodes[b].done.contains_key(&update), "a request waits for the link as long as its seat does");
    net.run(6 * SECOND);
    assert_eq!(net.seat(b, second).left, Some(Left::HostLost));
    assert_eq!(net.answer(b, update).unwrap_err().kind(), ErrorKind::Ended);
    assert!(net.now.since(start) < 40 * SECOND);
}

#[test]
fn a_cable_pulled_for_twenty_seconds_loses_nothing() {
    let mut net = Net::new(10);
    let (a, host, _, b, second, c, third) = three(&mut net);
    net.dark.insert(a);
    net.run(20 * SECOND);
    net.dark.remove(&a);
    net.run(5 * SECOND);
    for (node, seat) in [(b, second), (c, third)] {
        assert_eq!(net.seat(node, seat).left, None);
        assert!(net.nodes[node].sessions.members[&seat].is_linked());
        assert_eq!(net.view(node, seat), net.view(a, host));
    }
    assert!(net.view(a, host).members.iter().all(|member| member.link == LinkState::Connected));
}

#[test]
fn another_key_or_a_goodbye_where_the_host_was_is_its_end() {
    let mut net = Net::new(11);
    let (a, _, key, b, second, c, third) = three(&mut net);
    let address = net.address(key);
    let stranger = Identity::from_seed([5; 32]).unwrap().public();
    net.listeners.insert(address, (a, key, stranger));
    net.cut_links(b);
    net.settle();
    assert_eq!(net.seat(b, second).left, Some(Left::HostLost));
    net.dark.insert(a);
    net.run(3 * SECOND);
    net.nodes[c].sessions.handle_host_ended(net.now, key);
    net.drain();
    assert_eq!(net.seat(c, third).left, Some(Left::Destroyed));
}

#[test]
fn a_refused_dial_at_an_address_it_was_not_lost_at_proves_nothing() {
    let mut net = Net::new(19);
    let (a, b, c) = (net.node(), net.node(), net.node());
    let (_, key) = net.host(a, room(4));
    let other = SocketAddr::new(net.nodes[c].ip, 9);
    let to = Resolved { candidates: vec![net.address(key), other], ..net.resolved(key) };
    let request = net.ask_join_with(b, Net::join_command(None), to);
    net.settle();
    let seat = net.seat_of(b, request);
    net.dark.insert(a);
    net.run(10 * SECOND);
    assert_eq!(net.seat(b, seat).left, None);
    net.dark.clear();
    net.run(5 * SECOND);
    assert!(net.nodes[b].sessions.members[&seat].is_linked());
}

#[test]
fn a_process_that_slept_blames_nobody() {
    let mut net = Net::new(12);
    let (a, host, _, b, second, ..) = three(&mut net);
    net.run(SECOND);
    // Nothing runs for ten seconds anywhere: whoever wakes first has heard nobody.
    net.now = net.now + 10 * SECOND;
    net.run(SECOND);
    assert!(net.take_events(a, host).is_empty());
    assert!(net.take_events(b, second).is_empty());
}

#[test]
fn idle_links_cost_two_heartbeats_a_second_and_stay() {
    let mut net = Net::new(13);
    let (a, b) = (net.node(), net.node());
    let (_, key) = net.host(a, room(2));
    net.join(b, key);
    net.frames.clear();
    net.run(60 * SECOND);
    let beats = net.frames[&crate::wire::frame::kind::HEARTBEAT];
    assert!((230..=250).contains(&beats), "{beats}");
    assert_eq!(net.frames.len(), 1);
}

#[test]
fn two_users_of_one_process_hold_two_seats() {
    let mut net = Net::new(14);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, room(4));
    let first = net.join(b, key);
    let guest = net.user(b, "second");
    let request = net.request(b);
    let to = net.resolved(key);
    net.nodes[b].sessions.join(net.now, request, guest, Net::join_command(None), to);
    net.settle();
    let second = net.seat_of(b, request);
    // And one in the very process that hosts.
    let local = net.user(a, "third");
    let request = net.request(a);
    let to = net.resolved(key);
    net.nodes[a].sessions.join(net.now, request, local, Net::join_command(None), to);
    net.settle();
    let third = net.seat_of(a, request);
    assert_eq!(net.view(a, host).members.len(), 4);
    for (node, seat) in [(b, first), (b, second), (a, third)] {
        assert_eq!(net.view(node, seat), net.view(a, host));
    }
    let numbers: Vec<_> = net.view(a, host).members.iter().map(|member| member.number).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
}

#[test]
fn a_session_that_is_not_open_yet_can_be_given_up() {
    let mut net = Net::new(16);
    let a = net.node();
    let account = net.account(a);
    for sign_out in [false, true] {
        let request = net.request(a);
        net.nodes[a].sessions.host(net.now, request, account, room(2).into(), 0);
        // What it asked for is not answered yet.
        while net.nodes[a].sessions.poll_action().is_some() {}
        if sign_out {
            let out = net.request(a);
            net.nodes[a].sessions.sign_out(net.now, out, account);
        } else {
            net.nodes[a].sessions.cancel(net.now, request);
        }
        net.drain();
        assert_eq!(net.answer(a, request).unwrap_err().kind(), ErrorKind::Cancelled);
        assert!(net.nodes[a].sessions.is_idle() && net.nodes[a].seats.is_empty());
    }
}

#[test]
fn a_port_that_cannot_be_opened_is_an_error_of_the_system() {
    let mut net = Net::new(17);
    let a = net.node();
    let account = net.account(a);
    let request = net.request(a);
    net.nodes[a].sessions.host(net.now, request, account, room(2).into(), 0);
    let Some(Action::Listen { session, .. }) = net.nodes[a].sessions.poll_action() else { panic!("no listen") };
    net.nodes[a].sessions.handle_listening(net.now, session, Err("in use".into()));
    net.drain();
    let error = net.answer(a, request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("in use"), "{error}");
}

#[test]
fn a_restarted_member_gets_its_away_seat_with_ready_cleared_and_its_former_process_does_not() {
    let mut net = Net::new(18);
    let (a, b, c) = (net.node(), net.node(), net.node());
    let (host, key) = net.host(a, room(4));
    for (node, name) in [(b, "ada"), (c, "ada again")] {
        net.nodes[node].users.clear();
        net.user_with(node, name, [9; 32]);
    }
    let former = net.join(b, key);
    net.update_me(b, former, MemberUpdate::new().ready(true).set("team", "red"));
    net.settle();
    net.take_events(a, host);
    net.dark.insert(b);
    net.run(4 * SECOND);
    let later = net.join(c, key);
    assert_eq!(names(&net.take_events(a, host)), ["away", "back", "member updated"]);
    let member = member(&net, a, host, c).unwrap();
    assert!(!member.ready && member.name == "ada again" && member.attributes.is_empty());
    assert_eq!(member.number, 1);
    net.dark.clear();
    net.run(5 * SECOND);
    assert_eq!(net.seat(b, former).left, Some(Left::Superseded));
    assert_eq!(net.seat(c, later).left, None);
    assert_eq!(net.view(a, host).members.len(), 2);
}

#[test]
fn a_dedicated_host_has_a_handle_and_no_seat() {
    let mut net = Net::new(15);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, HostRequest::new(room(1)).dedicated(true));
    assert_eq!(names(&net.take_events(a, host)), ["joined"]);
    assert!(net.nodes[a].adverts[&key].facts.dedicated);
    let seat = net.join(b, key);
    assert_eq!(net.view(b, seat).host, None);
    net.say(a, host, "welcome");
    net.settle();
    let message = net.take_events(b, seat).pop();
    assert_eq!(message, Some(SessionEvent::Message { from: None, data: b"welcome"[..].into() }));
    let me = net.update_me(a, host, MemberUpdate::new().ready(true));
    assert_eq!(net.answer(a, me).unwrap_err().kind(), ErrorKind::InvalidState);
}
