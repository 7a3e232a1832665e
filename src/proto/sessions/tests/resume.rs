//! Coming back by the token: what it brings, what it costs, and all the tokens that bring nothing.

use super::*;
use crate::types::{LinkState, Secret};
use crate::wire::frame::{Assembler, Frame, MAX_MESSAGE, Resume, Resumed, frames, kind};

/// A host of four seats and two members.
fn three(net: &mut Net) -> (usize, SeatId, SessionKey, usize, SeatId, usize, SeatId) {
    let (a, b, c) = (net.node(), net.node(), net.node());
    let (host, key) = net.host(a, room(4));
    let (second, third) = (net.join(b, key), net.join(c, key));
    net.run(10 * SECOND);
    for (node, seat) in [(a, host), (b, second), (c, third)] {
        net.take_events(node, seat);
    }
    net.frames.clear();
    (a, host, key, b, second, c, third)
}

/// What a seat would show now.
fn resume(net: &Net, node: usize, seat: SeatId) -> Resume {
    net.nodes[node].sessions.members[&seat].resume(VERSION)
}

/// Opens a link to a host as this account, says one frame, and reads what comes.
pub(super) fn show(net: &mut Net, at: usize, key: SessionKey, peer: AccountId, frame: &Frame) -> (LinkId, Vec<Frame>) {
    let link = LinkId(net.nodes[at].next_incoming);
    net.nodes[at].next_incoming += 2;
    let (now, remote) = (net.now, "10.9.9.9:9".parse().unwrap());
    let (local, binding) = (net.address(key), [link.0.to_be_bytes()[7]; 32]);
    let peer = peer.public_key();
    let sessions = &mut net.nodes[at].sessions;
    sessions.handle_link(now, LinkEvent::Incoming { link, session: key, remote });
    sessions.handle_link(now, LinkEvent::HelloBegun { link });
    sessions.handle_link(now, LinkEvent::Open { link, peer, binding, local, remote, fallback: false });
    (link, say(net, at, link, frame))
}

/// Says one frame on a link of [`show`], and reads what comes.
fn say(net: &mut Net, at: usize, link: LinkId, frame: &Frame) -> Vec<Frame> {
    for bytes in frames(frame) {
        let event = LinkEvent::Frame { link, kind: bytes[2], more: bytes[3] != 0, payload: bytes[4..].to_vec() };
        let now = net.now;
        net.nodes[at].sessions.handle_link(now, event);
    }
    let (mut heard, mut assembler) = (Vec::new(), Assembler::default());
    while let Some(action) = net.nodes[at].sessions.poll_action() {
        match action {
            Action::Send { link: to, bytes } if to == link => {
                let message = assembler.push(bytes[2], bytes[3] != 0, bytes[4..].to_vec(), MAX_MESSAGE).unwrap();
                heard.extend(message.and_then(|(kind, payload)| Frame::decode(kind, &payload).unwrap()));
            }
            action => net.act(at, action),
        }
    }
    net.drain();
    heard
}

/// Lets time pass until it is so.
fn until(net: &mut Net, what: impl Fn(&Net) -> bool) {
    let end = net.now + 10 * SECOND;
    while !what(net) {
        assert!(net.now < end, "never so");
        net.run(net.delay / 4);
    }
}

fn is_answered(net: &Net) -> bool {
    net.frames.contains_key(&kind::RESUMED)
}

fn resumed(heard: &[Frame]) -> &Resumed {
    match heard {
        [Frame::Resumed(resumed), ..] => resumed,
        other => panic!("not resumed: {other:?}"),
    }
}

fn refused(heard: &[Frame]) -> &Refusal {
    match heard {
        [Frame::Refuse { refusal, .. }] => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// The link of a seat stands, and what the host does reaches it.
fn still_lives(net: &mut Net, a: usize, host: SeatId, node: usize, seat: SeatId) {
    net.update(a, host, SettingsUpdate::new().set("alive", i64::try_from(net.now.as_micros()).unwrap()), None);
    net.run(100 * MS);
    assert!(net.nodes[node].sessions.members[&seat].is_linked());
    assert_eq!(net.view(node, seat), net.view(a, host));
}

/// Fails when `send_resumed` sends no deltas, or always the snapshot.
#[test]
fn the_deltas_that_were_missed_follow_each_revision_once_and_in_order() {
    let mut net = Net::new(1);
    let (a, host, _, b, second, c, third) = three(&mut net);
    let before = net.view(b, second).revision.number;
    net.dark.insert(b);
    for value in 0..40 {
        net.update(a, host, SettingsUpdate::new().set("n", value), None);
        net.update_me(c, third, MemberUpdate::new().set("n", value));
        net.run(500 * MS);
    }
    net.dark.remove(&b);
    net.run(4 * SECOND);
    let (events, others) = (net.take_events(b, second), net.take_events(c, third));
    assert_eq!(names(&events[..2]), ["reconnecting", "reconnected"]);
    let revisions: Vec<_> = events.iter().filter_map(SessionEvent::revision).map(|revision| revision.number).collect();
    let all: Vec<_> = (before + 1..=net.view(a, host).revision.number).collect();
    assert_eq!(revisions, all, "a hole or a repeat");
    assert_eq!(&events[2..], &others[..], "what the others saw, itself away and back too");
    let away = others.iter().filter(|event| matches!(event, SessionEvent::MemberAway { .. })).count();
    let back = others.iter().filter(|event| matches!(event, SessionEvent::MemberBack { .. })).count();
    assert_eq!((away, back), (1, 1));
    assert_eq!(net.frames.get(&kind::SNAPSHOT), None);
    assert_eq!(net.frames.get(&kind::JOIN), None, "nobody joins again");
    assert_eq!(net.view(b, second), net.view(a, host));
}

#[test]
fn what_the_log_has_no_more_comes_as_the_state() {
    let mut net = Net::new(2);
    let (a, host, _, b, second, ..) = three(&mut net);
    net.dark.insert(b);
    for value in 0..300 {
        net.update(a, host, SettingsUpdate::new().set("n", value), None);
        net.run(30 * MS);
    }
    net.dark.remove(&b);
    net.run(4 * SECOND);
    assert_eq!(names(&net.take_events(b, second)), ["reconnecting", "reconnected", "settings"]);
    assert_eq!(net.view(b, second), net.view(a, host));
    assert_eq!(net.frames.get(&kind::SNAPSHOT), None, "it is in Resumed");
    still_lives(&mut net, a, host, b, second);
}

/// Fails when the request's time runs on while the link is lost, and when the host does not know the number again.
#[test]
fn what_was_asked_takes_effect_once_though_the_link_was_lost_for_twenty_seconds() {
    let mut net = Net::new(3);
    let (a, host, _, b, second, c, third) = three(&mut net);
    // One whose answer is lost, one that never leaves.
    let said = net.say(b, second, "once");
    until(&mut net, |net| !net.seat(a, host).events.is_empty());
    net.dark.insert(b);
    net.queue.retain(|_, (node, _)| *node != b);
    let update = net.update_me(b, second, MemberUpdate::new().ready(true));
    net.run(20 * SECOND);
    net.dark.remove(&b);
    net.run(4 * SECOND);
    assert!(net.answer(b, said).is_ok() && net.answer(b, update).is_ok());
    for (node, seat) in [(a, host), (c, third)] {
        let events = net.take_events(node, seat);
        assert_eq!(names(&events), ["message", "away", "back", "member updated"]);
    }
}

/// Fails when `take_up` leaves the older link in place.
#[test]
fn the_half_open_link_ends_in_the_same_step_and_its_frames_count_no_more() {
    let mut net = Net::new(4);
    let (a, host, key, b, second, c, third) = three(&mut net);
    let old = *net.peers.keys().find(|(node, _)| *node == b).unwrap();
    let (_, old) = net.peers[&old];
    let account = net.account(b);
    let frame = Frame::Resume(Box::new(resume(&net, b, second)));
    let start = net.now;
    let (link, heard) = show(&mut net, a, key, account, &frame);
    assert_eq!(net.now, start, "no wait");
    assert_eq!(resumed(&heard).revision, net.view(a, host).revision);
    assert_eq!(resumed(&heard).snapshot, None);
    assert!(!net.peers.contains_key(&(a, old)), "its socket is closed");
    // Whatever the old one still says is nobody's word.
    let now = net.now;
    for frame in [Frame::Leave, Frame::Request { number: 1, body: crate::wire::frame::Request::Say(b"x".to_vec()) }] {
        let bytes = frames(&frame).remove(0);
        let event = LinkEvent::Frame { link: old, kind: bytes[2], more: false, payload: bytes[4..].to_vec() };
        net.nodes[a].sessions.handle_link(now, event);
    }
    net.nodes[a].sessions.handle_link(now, LinkEvent::Closed { link: old, why: Closed::Broken });
    assert!(net.take_events(a, host).is_empty(), "neither away nor back nor left");
    assert_eq!(net.view(a, host).members.len(), 3);
    let said =
        say(&mut net, a, link, &Frame::Request { number: 9, body: crate::wire::frame::Request::Say(b"y".to_vec()) });
    assert!(matches!(
        said[..],
        [Frame::Message { .. }, Frame::Done { .. }] | [Frame::Done { .. }, Frame::Message { .. }]
    ));
    net.settle();
    assert_eq!(names(&net.take_events(c, third)), ["message"]);
}

/// Fails when `admits` is not asked.
#[test]
fn pain_07_a_stolen_token_brings_nothing_whoever_shows_it() {
    let mut net = Net::new(5);
    let (a, host, key, b, second, c, third) = three(&mut net);
    let stolen = resume(&net, b, second);
    let (thief, stranger) = (net.account(c), net.user(a, "stranger"));
    // With everything the victim's, and with the thief's own attach around the stolen token.
    let own = resume(&net, c, third);
    let mixed = Resume { token: stolen.token.clone(), ..own.clone() };
    for away in [false, true] {
        if away {
            net.dark.insert(b);
            net.run(4 * SECOND);
            net.take_events(a, host);
        }
        for shown in [&stolen, &mixed] {
            let frame = Frame::Resume(Box::new(shown.clone()));
            assert_eq!(refused(&show(&mut net, a, key, thief, &frame).1), &Refusal::AlreadyMember);
            assert_eq!(refused(&show(&mut net, a, key, stranger, &frame).1), &Refusal::NotFound);
        }
        assert!(net.take_events(a, host).is_empty());
        still_lives(&mut net, a, host, c, third);
        net.take_events(a, host);
    }
    assert_eq!(net.view(a, host).member(net.account(b)).unwrap().link, LinkState::Away);
    net.dark.clear();
    net.run(4 * SECOND);
    still_lives(&mut net, a, host, b, second);
}

/// Fails when `heard` forgets nothing.
#[test]
fn pain_07_a_token_that_was_used_brings_nothing_again() {
    let mut net = Net::new(6);
    let (a, host, key, b, second, ..) = three(&mut net);
    let (account, first) = (net.account(b), resume(&net, b, second));
    net.cut_links(b);
    net.settle();
    let used = resume(&net, b, second);
    assert_ne!(used.token, first.token);
    net.take_events(a, host);
    for replayed in [first.clone(), Resume { have: used.have, ..first.clone() }] {
        let heard = show(&mut net, a, key, account, &Frame::Resume(Box::new(replayed))).1;
        assert_eq!(refused(&heard), &Refusal::AlreadyMember);
    }
    let guessed = Resume { token: Secret::from([0; 32]), ..used.clone() };
    assert_eq!(refused(&show(&mut net, a, key, account, &Frame::Resume(Box::new(guessed))).1), &Refusal::AlreadyMember);
    assert!(net.take_events(a, host).is_empty());
    still_lives(&mut net, a, host, b, second);
    // The refusal took nothing from the one that counts.
    net.cut_links(b);
    net.settle();
    still_lives(&mut net, a, host, b, second);
}

/// Fails when `renew` drops the token that was shown.
#[test]
fn an_answer_that_is_lost_locks_nobody_out() {
    let mut net = Net::new(7);
    let (a, host, _, b, second, ..) = three(&mut net);
    let token = resume(&net, b, second).token;
    for _ in 0..3 {
        net.cut_links(b);
        net.frames.clear();
        until(&mut net, is_answered);
        assert_eq!(resume(&net, b, second).token, token, "not there yet");
    }
    net.cut_links(b);
    net.run(5 * SECOND);
    assert_ne!(resume(&net, b, second).token, token);
    // Neither does a first frame that is lost: the new token came.
    let token = resume(&net, b, second).token;
    net.cut_links(b);
    until(&mut net, |net| resume(net, b, second).token != token);
    net.cut_links(b);
    net.run(5 * SECOND);
    still_lives(&mut net, a, host, b, second);
    let events = names(&net.take_events(b, second));
    assert_eq!(events.iter().filter(|name| **name == "left").count(), 0);
}

/// Fails when `judge_resume` does not look at the bans, or at the seats that ended.
#[test]
fn no_token_comes_back_after_kick_ban_or_leave() {
    let mut net = Net::new(8);
    let (a, host, key, b, second, c, third) = three(&mut net);
    let (kicked, banned) = (net.account(b), net.account(c));
    let tokens = [resume(&net, b, second), resume(&net, c, third)];
    net.kick(a, host, kicked, false);
    net.kick(a, host, banned, true);
    net.settle();
    let [kicks, bans] = tokens.map(|resume| Frame::Resume(Box::new(resume)));
    let heard = show(&mut net, a, key, kicked, &kicks).1;
    assert_eq!(heard, [Frame::End { why: Left::Kicked(Reason::new(3, "afk")) }]);
    assert_eq!(refused(&show(&mut net, a, key, banned, &bans).1), &Refusal::Banned);
    // In again by a join of its own, it has another seat: the old token is not that one's.
    let again = net.join(b, key);
    let heard = show(&mut net, a, key, kicked, &kicks).1;
    assert!(matches!(heard[..], [Frame::End { why: Left::Kicked(_) }]), "{heard:?}");
    let left = Frame::Resume(Box::new(resume(&net, b, again)));
    net.leave(b, again);
    net.settle();
    assert_eq!(refused(&show(&mut net, a, key, kicked, &left).1), &Refusal::NotFound);
    assert_eq!(net.view(a, host).members.len(), 1);
}

/// Fails when the hash is of the token alone.
#[test]
fn another_process_another_session_and_another_version_have_no_use_for_it() {
    let mut net = Net::new(9);
    let (a, host, key, b, second, ..) = three(&mut net);
    let account = net.account(b);
    let good = resume(&net, b, second);
    let heard = |net: &mut Net, key, resume| show(net, a, key, account, &Frame::Resume(Box::new(resume))).1;
    let other = Resume { peer_incarnation: good.peer_incarnation ^ 1, ..good.clone() };
    assert_eq!(refused(&heard(&mut net, key, other)), &Refusal::AlreadyMember);
    let other = Resume { nonce: [1; 16], ..good.clone() };
    assert_eq!(refused(&heard(&mut net, key, other)), &Refusal::AlreadyMember);
    let other = Resume { incarnation: 1, ..good.clone() };
    assert_eq!(refused(&heard(&mut net, key, other)), &Refusal::NotFound);
    let other = Resume { version: 6, ..good.clone() };
    assert_eq!(refused(&heard(&mut net, key, other)), &Refusal::Incompatible { ours: 6, theirs: VERSION });
    // A second session of the same host: shown there by either name.
    let request = net.request(a);
    let user = net.user(a, "second");
    net.nodes[a].sessions.host(net.now, request, user, room(4).into(), 1);
    net.settle();
    let elsewhere = net.nodes[a].seats[&net.seat_of(a, request)].snapshot.key;
    assert_eq!(refused(&heard(&mut net, elsewhere, good.clone())), &Refusal::NotFound);
    let renamed = Resume { session: elsewhere, ..good };
    assert_eq!(refused(&heard(&mut net, elsewhere, renamed)), &Refusal::NotFound);
    net.take_events(a, host);
    still_lives(&mut net, a, host, b, second);
}

/// Fails when `expire_away` is not called before a Resume or a Join is judged.
#[test]
fn expiry_is_at_its_exact_moment_once_and_before_whatever_comes_at_it() {
    for late in [false, true] {
        let mut net = Net::new(10);
        let (a, b, c) = (net.node(), net.node(), net.node());
        let what = HostRequest::new(room(2)).grace(10 * SECOND).host_silence(2 * SECOND);
        let (host, key) = net.host(a, what);
        let seat = net.join(b, key);
        net.run(9 * SECOND);
        net.take_events(a, host);
        let frame = Frame::Resume(Box::new(resume(&net, b, seat)));
        net.cut_links(b);
        net.dark.insert(b);
        let account = net.account(b);
        let lost = net.now;
        net.run(MS);
        assert_eq!(names(&net.take_events(a, host)), ["away"]);
        assert_eq!(net.refused(c, key), Refusal::Full, "a held seat is nobody else's");
        net.run((lost + 10 * SECOND).since(net.now) - MS / 1_000);
        assert_eq!(net.view(a, host).members.len(), 2);
        if late {
            // Input at the very moment, before the timer is looked at.
            net.now = lost + 10 * SECOND;
            let (_, heard) = show(&mut net, a, key, account, &frame);
            assert_eq!(heard, [Frame::End { why: Left::Expired }]);
            net.run(SECOND);
            let events = net.take_events(a, host);
            assert!(matches!(&events[..], [SessionEvent::MemberLeft { why: Left::Expired, .. }]), "{events:?}");
            net.join(c, key);
        } else {
            let (link, heard) = show(&mut net, a, key, account, &frame);
            resumed(&heard);
            say(&mut net, a, link, &Frame::Ack);
            net.run(SECOND);
            assert_eq!(names(&net.take_events(a, host)), ["back"]);
        }
    }
}

#[test]
fn a_session_without_grace_holds_nothing() {
    let mut net = Net::new(11);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, HostRequest::new(room(2)).grace(Duration::ZERO));
    let seat = net.join(b, key);
    net.run(9 * SECOND);
    net.take_events(a, host);
    net.cut_links(b);
    net.run(MS);
    let events = net.take_events(a, host);
    assert!(matches!(events.last(), Some(SessionEvent::MemberLeft { why: Left::Expired, .. })), "{events:?}");
    net.run(SECOND);
    assert_eq!(net.seat(b, seat).left, Some(Left::Expired));
}

/// The host's silence goes by what the session says, at both ends.
#[test]
fn silence_and_grace_are_the_sessions_own() {
    let mut net = Net::new(12);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, HostRequest::new(room(2)).host_silence(4 * SECOND).grace(60 * SECOND));
    let seat = net.join(b, key);
    net.run(SECOND);
    net.take_events(b, seat);
    net.dark.insert(b);
    net.run(3 * SECOND);
    assert!(net.take_events(b, seat).is_empty());
    net.run(1_500 * MS);
    assert_eq!(names(&net.take_events(b, seat)), ["reconnecting"]);
    net.run(55 * SECOND);
    net.dark.clear();
    net.run(4 * SECOND);
    still_lives(&mut net, a, host, b, seat);
}

/// Its token stands for the password: a change of what it proves would be a second join.
#[test]
fn behind_a_password_the_token_is_enough_and_nothing_else_is() {
    let mut net = Net::new(13);
    let (a, b, c) = (net.node(), net.node(), net.node());
    let (host, key) = net.host(a, HostRequest::new(room(4)).password("swordfish"));
    let to = net.resolved(key);
    let request = net.ask_join_with(b, Net::join_command(Some("swordfish")), to);
    net.settle();
    let seat = net.seat_of(b, request);
    net.run(10 * SECOND);
    net.cut_links(b);
    net.settle();
    still_lives(&mut net, a, host, b, seat);
    let stolen = Frame::Resume(Box::new(resume(&net, b, seat)));
    let other = net.account(c);
    assert_eq!(refused(&show(&mut net, a, key, other, &stolen).1), &Refusal::NotFound);
    assert_eq!(net.refused(c, key), Refusal::BadPassword);
}

/// Fails when `is_ours` does not look at the host's proof.
#[test]
fn a_link_on_which_the_hosts_account_is_not_proven_is_not_taken() {
    let mut net = Net::new(14);
    let (a, host, _, b, second, ..) = three(&mut net);
    let link = |net: &Net| *net.peers.keys().find(|(node, _)| *node == b).unwrap();
    net.cut_links(b);
    net.frames.clear();
    until(&mut net, is_answered);
    // On its way the answer becomes that of another channel.
    let forged = Frame::Resumed(Box::new(Resumed {
        token: Secret::from([1; 32]),
        host: Some(crate::wire::frame::Proof::sign(
            &Identity::from_seed([3; 32]).unwrap(),
            &[0; 32],
            net.view(a, host).host_key,
            net.view(a, host).key.id,
        )),
        revision: net.view(a, host).revision,
        snapshot: None,
    }));
    let (_, id) = link(&net);
    net.queue.retain(|_, (node, event)| {
        *node != b || !matches!(event, LinkEvent::Frame { kind, .. } if *kind == kind::RESUMED)
    });
    let bytes = frames(&forged).remove(0);
    let now = net.now;
    let event = LinkEvent::Frame { link: id, kind: bytes[2], more: false, payload: bytes[4..].to_vec() };
    net.nodes[b].sessions.handle_link(now, event);
    net.drain();
    assert_eq!(net.seat(b, second).left, Some(Left::HostLost));
}

/// Fails when a refused Resume does not become a Join where the first word may have been lost.
#[test]
fn a_seat_whose_first_word_was_lost_is_joined_anew() {
    let mut net = Net::new(15);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, room(2));
    let request = net.ask_join(b, key);
    until(&mut net, |net| net.nodes[b].done.contains_key(&request));
    // The Ack is on its way and never arrives: the host frees the seat at once.
    net.cut_links(b);
    net.queue.retain(|_, (node, event)| *node != a || !matches!(event, LinkEvent::Frame { .. }));
    net.settle();
    net.run(SECOND);
    let seat = net.seat_of(b, request);
    let events = names(&net.take_events(a, host));
    assert_eq!(events[2..], ["member joined", "member left", "member joined"]);
    still_lives(&mut net, a, host, b, seat);
}

#[test]
fn a_dedicated_host_gives_seats_back_too() {
    let mut net = Net::new(16);
    let (a, b, c) = (net.node(), net.node(), net.node());
    let (host, key) = net.host(a, HostRequest::new(room(2)).dedicated(true));
    let (seat, other) = (net.join(b, key), net.join(c, key));
    net.run(10 * SECOND);
    net.take_events(a, host);
    net.take_events(c, other);
    net.dark.insert(b);
    net.run(20 * SECOND);
    net.dark.remove(&b);
    net.run(4 * SECOND);
    assert_eq!(names(&net.take_events(a, host)), ["away", "back"]);
    assert_eq!(names(&net.take_events(c, other)), ["away", "back"]);
    still_lives(&mut net, a, host, b, seat);
}

/// Fails when the doorman does not know the roster: those that it closes come a dial later.
#[test]
fn a_whole_roster_behind_one_address_comes_back_at_once() {
    let mut net = Net::new(17);
    let a = net.node();
    let (host, key) = net.host(a, room(200));
    let members: Vec<_> = (0..120)
        .map(|_| {
            let node = net.node();
            net.nodes[node].ip = IpAddr::from([10, 200, 0, 1]);
            (node, net.join(node, key))
        })
        .collect();
    net.run(10 * SECOND);
    for &(node, _) in &members {
        net.cut_links(node);
    }
    net.run(20 * net.delay);
    assert!(net.nodes[a].sessions.core.tuning.redial > 20 * net.delay);
    for &(node, seat) in &members {
        assert!(net.nodes[node].sessions.members[&seat].is_linked(), "{node} has to dial again");
    }
    assert!(net.view(a, host).members.iter().all(|member| member.link == LinkState::Connected));
}
