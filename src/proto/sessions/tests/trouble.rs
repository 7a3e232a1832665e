//! Lost frames, slow readers, repeated and cancelled joins, floods.

use super::*;
use crate::wire::frame::{Change, Frame, SettingChange};

fn pair(net: &mut Net) -> (usize, SeatId, SessionKey, usize, SeatId) {
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, room(8));
    let seat = net.join(b, key);
    net.take_events(a, host);
    net.take_events(b, seat);
    (a, host, key, b, seat)
}

fn set(net: &mut Net, a: usize, host: SeatId, value: i64) {
    net.update(a, host, SettingsUpdate::new().set("n", value), None);
}

#[test]
fn a_gap_is_filled_from_the_log() {
    let mut net = Net::new(1);
    let (a, host, _, b, seat) = pair(&mut net);
    net.swallow.insert(b, 2);
    for value in 0..5 {
        set(&mut net, a, host, value);
    }
    net.settle();
    assert_eq!(names(&net.take_events(b, seat)), ["settings"; 5], "each revision once, in order");
    assert_eq!(net.view(a, host), net.view(b, seat));
    assert_eq!(net.frames.get(&crate::wire::frame::kind::SNAPSHOT), None);
    // The next answer comes a second later at the soonest.
    net.swallow.insert(b, 1);
    set(&mut net, a, host, 5);
    set(&mut net, a, host, 6);
    net.settle();
    assert_ne!(net.view(a, host).revision, net.view(b, seat).revision);
    net.run(SECOND);
    assert_eq!(net.view(a, host), net.view(b, seat));
}

#[test]
fn a_gap_beyond_the_log_is_filled_by_a_snapshot() {
    let mut net = Net::new(2);
    let (a, host, _, b, seat) = pair(&mut net);
    net.swallow.insert(b, 300);
    for value in 0..301 {
        set(&mut net, a, host, value);
    }
    net.settle();
    assert_eq!(net.view(a, host), net.view(b, seat));
    assert_eq!(net.frames[&crate::wire::frame::kind::SNAPSHOT], 1);
    assert_eq!(names(&net.take_events(b, seat)), ["settings"]);
}

#[test]
fn a_view_that_went_wrong_is_seen_by_its_digest() {
    let mut net = Net::new(3);
    let (a, host, _, b, seat) = pair(&mut net);
    let member = net.nodes[b].sessions.members.get_mut(&seat).unwrap();
    let revision = member.state().revision;
    member.spoil(revision, &[Change::Setting(SettingChange::Name("spoilt".into()))]);
    for value in 0..70 {
        set(&mut net, a, host, value);
    }
    net.settle();
    assert_eq!(net.view(a, host), net.view(b, seat));
    assert_eq!(net.frames[&crate::wire::frame::kind::SNAPSHOT], 1);
}

#[test]
fn a_slow_reader_gets_one_snapshot_and_holds_nobody_up() {
    let mut net = Net::new(4);
    let (a, host, key, b, seat) = pair(&mut net);
    let c = net.node();
    let third = net.join(c, key);
    let link = *net.peers.keys().find(|(node, _)| *node == b).unwrap();
    net.deaf.insert(link, VecDeque::new());
    for value in 0..1_000 {
        let text = "x".repeat(600);
        net.update(a, host, SettingsUpdate::new().set("text", format!("{value}{text}")), None);
        net.run(MS / 10);
    }
    net.run(100 * MS);
    assert_eq!(net.view(a, host), net.view(c, third));
    let waiting = net.deaf.remove(&link).unwrap();
    let bytes: usize = waiting.iter().map(Vec::len).sum();
    assert!(bytes <= limits::SEND_QUEUE, "{bytes} bytes queued");
    let host_end = net.peers[&link];
    for bytes in waiting {
        net.send(host_end, bytes);
    }
    net.settle();
    assert_eq!(net.view(a, host), net.view(b, seat));
    assert_eq!(net.frames[&crate::wire::frame::kind::SNAPSHOT], 1);
    assert_eq!(net.seat(b, seat).left, None);
}

#[test]
fn a_reader_that_takes_nothing_loses_its_link_and_not_its_seat() {
    let mut net = Net::new(5);
    let (a, host, _, b, seat) = pair(&mut net);
    let link = *net.peers.keys().find(|(node, _)| *node == b).unwrap();
    net.deaf.insert(link, VecDeque::new());
    net.nodes[b].alive = false;
    // It still sends: only its reading stands still.
    for _ in 0..60 {
        let end = net.peers[&link];
        let beat = crate::wire::frame::frames(&Frame::Heartbeat).remove(0);
        let event = LinkEvent::Frame { link: end.1, kind: beat[2], more: false, payload: beat[4..].to_vec() };
        let now = net.now;
        net.nodes[a].sessions.handle_link(now, event);
        net.run(100 * MS);
        if !net.peers.contains_key(&link) || names(&net.seat(a, host).events).contains(&"away") {
            break;
        }
    }
    assert_eq!(names(&net.take_events(a, host)), ["away"]);
    assert_eq!(net.view(a, host).members.len(), 2);
    let _ = seat;
}

#[test]
fn a_join_whose_accept_is_lost_gets_the_same_seat() {
    let mut net = Net::new(6);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, room(2));
    let request = net.ask_join(b, key);
    // Join is read and answered; the link breaks before the answer is.
    while net.view(a, host).members.len() < 2 {
        net.run(net.delay / 4);
    }
    net.cut_links(b);
    net.settle();
    net.run(300 * MS);
    net.seat_of(b, request);
    assert_eq!(net.view(a, host).members.len(), 2);
    let events = names(&net.take_events(a, host));
    assert_eq!(events[2..], ["member joined", "member left", "member joined"], "an unconfirmed seat is free at once");
}

#[test]
fn the_same_nonce_over_another_link_is_the_same_seat() {
    let mut net = Net::new(7);
    let (a, host, key, b, seat) = pair(&mut net);
    // The member's link is gone and its host does not know yet: the new one replaces it without an event.
    let link = *net.peers.keys().find(|(node, _)| *node == b).unwrap();
    let other = net.peers.remove(&link).unwrap();
    net.post(net.now, b, LinkEvent::Closed { link: link.1, why: Closed::Broken });
    net.settle();
    net.peers.remove(&other);
    assert_eq!(names(&net.take_events(b, seat)), ["reconnecting", "reconnected"]);
    assert!(net.take_events(a, host).is_empty());
    assert_eq!(net.view(a, host).members.len(), 2);
    let _ = key;
}

#[test]
fn a_cancelled_join_leaves_no_ghost_whenever_it_is_cancelled() {
    for quarter in 0..60 {
        let mut net = Net::new(8 + quarter);
        let (a, b) = (net.node(), net.node());
        let (host, key) = net.host(a, room(2));
        let request = net.ask_join(b, key);
        net.run(net.delay * u32::try_from(quarter).unwrap() / 4);
        net.nodes[b].sessions.cancel(net.now, request);
        net.drain();
        let taken = match net.answer(b, request) {
            Ok(Answer::Seat(seat)) => Some(seat),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Cancelled);
                None
            }
            other => panic!("{other:?}"),
        };
        net.settle();
        assert_eq!(net.view(a, host).members.len(), 1 + usize::from(taken.is_some()), "after {quarter} quarters");
        if taken.is_none() {
            net.join(b, key);
        }
    }
}

#[test]
fn a_join_that_times_out_leaves_no_ghost() {
    let mut net = Net::new(9);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, HostRequest::new(room(2)).admission(true));
    let to = Resolved { deadline: net.now + SECOND, ..net.resolved(key) };
    let request = net.ask_join_with(b, Net::join_command(None), to);
    net.run(1_100 * MS);
    assert_eq!(net.answer(b, request).unwrap_err().kind(), ErrorKind::TimedOut);
    let asked = net.take_events(a, host).pop();
    let Some(SessionEvent::JoinAsked(ask)) = asked else { panic!("{asked:?}") };
    net.nodes[a].sessions.command(net.now, Command::Answer { seat: host, ask: ask.id, verdict: Verdict::Admit });
    net.settle();
    assert_eq!(net.view(a, host).members.len(), 1);
}

#[test]
fn member_attributes_are_bounded_for_joiners_members_and_the_host() {
    let mut net = Net::new(10);
    let (a, host, key, b, seat) = pair(&mut net);
    let mut large = MemberUpdate::new();
    for at in 0..9 {
        large = large.set(format!("a{at}"), "x".repeat(1_000));
    }
    for (node, seat) in [(a, host), (b, seat)] {
        let request = net.update_me(node, seat, large.clone());
        net.settle();
        let error = net.answer(node, request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains("bytes over"), "{error}");
    }
    // What one member may weigh shrinks with the seats, so that the whole still fits one message.
    let fits = net.update_me(b, seat, MemberUpdate::new().set("a", "x".repeat(1_000)));
    net.settle();
    assert!(net.answer(b, fits).is_ok());
    let more = net.update(a, host, SettingsUpdate::new().max_members(1_000), None);
    assert_eq!(net.answer(a, more).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let c = net.node();
    let mut attributes = Attributes::new();
    for at in 0..9 {
        attributes.set(format!("a{at}"), "x".repeat(1_000)).unwrap();
    }
    let to = net.resolved(key);
    let request = net.ask_join_with(c, JoinCommand { attributes, ..Net::join_command(None) }, to);
    assert_eq!(net.answer(c, request).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn lobby_messages_go_to_all_in_one_order_and_a_flood_is_slowed() {
    let mut net = Net::new(11);
    let (a, host, _, b, seat) = pair(&mut net);
    let asked: Vec<_> = (0..12).map(|n| net.say(b, seat, &format!("m{n}"))).collect();
    net.say(a, host, "host");
    net.settle();
    let done = asked.iter().filter(|request| net.answer(b, **request).is_ok()).count();
    assert_eq!(done, 8);
    let error = net.answer(b, asked[11]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManyRequests);
    assert!(error.retry_after().is_some_and(|after| !after.is_zero()));
    let at_host = net.take_events(a, host);
    assert_eq!(at_host.len(), 9);
    assert_eq!(at_host, net.take_events(b, seat));
    net.run(SECOND);
    let again = net.say(b, seat, "later");
    let long = net.say(b, seat, &"x".repeat(1_025));
    net.settle();
    assert!(net.answer(b, again).is_ok());
    assert_eq!(net.answer(b, long).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn a_request_whose_answer_was_lost_takes_effect_once() {
    let mut net = Net::new(14);
    let (a, host, _, b, seat) = pair(&mut net);
    let said = net.say(b, seat, "once");
    while net.seat(a, host).events.is_empty() {
        net.run(net.delay / 4);
    }
    net.cut_links(b);
    net.settle();
    assert!(net.answer(b, said).is_ok());
    assert_eq!(names(&net.take_events(a, host)), ["message", "away", "back"]);
}

#[test]
fn garbage_costs_its_sender_the_link() {
    let mut net = Net::new(12);
    let (a, host, _, b, seat) = pair(&mut net);
    let link = *net.peers.keys().find(|(node, _)| *node == b).unwrap();
    let end = net.peers[&link];
    let event = LinkEvent::Frame { link: end.1, kind: 3, more: false, payload: vec![0xff; 40] };
    let now = net.now;
    net.nodes[a].sessions.handle_link(now, event);
    net.settle();
    assert_eq!(names(&net.take_events(a, host)), ["away", "back"]);
    assert_eq!(names(&net.take_events(b, seat)), ["reconnecting", "reconnected", "away", "back"]);
}

#[test]
fn only_the_frozen_protocol_in_common_is_told_as_such_on_both_sides() {
    let mut net = Net::new(13);
    let (a, b) = (net.node(), net.node());
    let (_, key) = net.host(a, room(2));
    let request = net.ask_join(b, key);
    // The driver found no common ALPN but the frozen one.
    let opens: Vec<_> = net.queue.values_mut().collect();
    for (_, event) in opens {
        if let LinkEvent::Open { fallback, .. } = event {
            *fallback = true;
        }
    }
    net.settle();
    let error = net.answer(b, request).unwrap_err();
    assert!(matches!(error.refusal(), Some(Refusal::Incompatible { .. })), "{error:?}");
}
