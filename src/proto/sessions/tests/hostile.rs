//! Peers that mean harm, and races in which a word must not be lost.

use super::*;
use crate::types::Visibility;
use crate::wire::frame::{Change, Frame, frames};

fn end_of(net: &Net, node: usize) -> End {
    *net.peers.keys().find(|(at, _)| *at == node).unwrap()
}

fn say_raw(net: &mut Net, at: usize, link: LinkId, frame: &Frame) {
    for bytes in frames(frame) {
        let event = LinkEvent::Frame { link, kind: bytes[2], more: bytes[3] != 0, payload: bytes[4..].to_vec() };
        let now = net.now;
        net.nodes[at].sessions.handle_link(now, event);
    }
    net.drain();
}

#[test]
fn a_reader_that_sips_and_asks_for_everything_again_does_not_grow_its_queue() {
    let mut net = Net::new(1);
    let (a, b) = (net.node(), net.node());
    let mut settings = room(4);
    for number in 0..60 {
        settings = settings.attr_with(format!("text{number}"), "x".repeat(1_000), Visibility::Members);
    }
    let (_, key) = net.host(a, settings);
    net.join(b, key);
    let member = end_of(&net, b);
    let (_, link) = net.peers[&member];
    net.nodes[b].alive = false;
    net.deaf.insert(member, VecDeque::new());
    for _ in 0..200 {
        let now = net.now;
        net.nodes[a].sessions.handle_link(now, LinkEvent::Written { link, bytes: 1 });
        say_raw(&mut net, a, link, &Frame::Resync { have: Revision { term: 9, number: 1 } });
        net.run(SECOND);
    }
    let queued: usize = net.deaf[&member].iter().map(Vec::len).sum();
    assert!(queued <= 2 * limits::SEND_QUEUE, "{queued} bytes wait for one member");
}

#[test]
fn a_seat_that_lives_is_kept_however_many_processes_of_its_account_ask_for_it() {
    let mut net = Net::new(2);
    let nodes: Vec<_> = (0..7).map(|_| net.node()).collect();
    let (a, b) = (nodes[0], nodes[1]);
    let (host, key) = net.host(a, room(8));
    for &node in &nodes[1..] {
        net.nodes[node].users.clear();
        net.user_with(node, "ada", [9; 32]);
    }
    let seat = net.join(b, key);
    net.run(SECOND);
    let asked: Vec<_> = nodes[2..].iter().map(|&node| (node, net.ask_join(node, key))).collect();
    net.run(3 * SECOND);
    assert_eq!(net.seat(b, seat).left, None);
    for (node, request) in asked {
        assert_eq!(net.answer(node, request).unwrap_err().refusal(), Some(&Refusal::AlreadyMember));
    }
    assert_eq!(net.view(a, host).members.len(), 2);
}

#[test]
fn a_join_that_has_asked_dials_nobody_else() {
    let mut sessions = Sessions::new(VERSION, Net::tuning(), [1; 32]);
    let identity = Identity::from_seed([2; 32]).unwrap();
    let host = Identity::from_seed([3; 32]).unwrap();
    let account = identity.account();
    sessions.sign_in(LocalUser { identity, name: "ada".into(), external: None });
    let now = Moment::ZERO + SECOND;
    let to = Resolved {
        key: None,
        host_key: None,
        incarnation: 0,
        version: None,
        migratable: false,
        candidates: vec!["10.0.0.1:1".parse().unwrap(), "10.0.0.1:2".parse().unwrap()],
        deadline: now + 5 * SECOND,
    };
    sessions.join(now, RequestId(1), account, Net::join_command(None), to);
    let dialled = |sessions: &mut Sessions| {
        let actions = std::iter::from_fn(|| sessions.poll_action());
        actions.filter_map(|action| if let Action::Dial { link, .. } = action { Some(link) } else { None }).collect()
    };
    let first: Vec<LinkId> = dialled(&mut sessions);
    sessions.handle_timeout(now + 50 * MS);
    let second: Vec<LinkId> = dialled(&mut sessions);
    assert_eq!((first.len(), second.len()), (1, 1));
    // A crowded door: the first address is to be tried again in a moment.
    sessions.handle_link(now + 51 * MS, LinkEvent::Closed { link: first[0], why: Closed::ByPeer });
    let address: SocketAddr = "10.0.0.1:2".parse().unwrap();
    sessions.handle_link(
        now + 52 * MS,
        LinkEvent::Open {
            link: second[0],
            peer: host.public(),
            binding: [0; 32],
            local: address,
            remote: address,
            fallback: false,
        },
    );
    sessions.handle_timeout(now + SECOND);
    assert_eq!(dialled(&mut sessions), [], "one that waits for an answer needs no other link");
}

#[test]
fn a_host_cannot_fill_a_members_memory_with_members() {
    let mut net = Net::new(4);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, room(4));
    let seat = net.join(b, key);
    let state = net.view(a, host).clone();
    let mut view = document::Document::new(state.clone());
    let most = usize::from(SessionSettings::MAX_MEMBERS);
    for number in 0..3 * most {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let Ok(identity) = Identity::from_seed(bytes) else { continue };
        let member = crate::types::Member { account: identity.account(), ..state.members[0].clone() };
        view.apply(state.revision, &[Change::MemberJoined(member)]);
    }
    assert_eq!(view.state().members.len(), most);
    let _ = seat;
}

#[test]
fn a_kick_outlives_the_link_it_was_said_on() {
    let mut net = Net::new(5);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, room(4));
    let request = net.ask_join(b, key);
    while net.view(a, host).members.len() == 1 {
        net.run(MS / 4);
    }
    let (_, link) = end_of(&net, b);
    let account = net.account(b);
    net.kick(a, host, account, false);
    // Neither Accept nor End arrives.
    net.queue.retain(|_, (node, _)| *node != b);
    let now = net.now;
    net.post(now, b, LinkEvent::Closed { link, why: Closed::Broken });
    net.run(2 * SECOND);
    assert_eq!(net.view(a, host).members.len(), 1);
    assert!(net.answer(b, request).unwrap_err().refusal().is_some());
}

#[test]
fn an_end_that_was_asked_for_is_answered_before_it_is_told() {
    let mut net = Net::new(6);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, room(4));
    let seat = net.join(b, key);
    for (node, seat) in [(b, seat), (a, host)] {
        net.nodes[node].transcript.clear();
        let leave = net.leave(node, seat);
        let expected = [format!("done {}", leave.0), format!("seat {} left", seat.0)];
        assert_eq!(net.nodes[node].transcript, expected);
    }
    let (host, _) = net.host(a, room(4));
    net.nodes[a].transcript.clear();
    let destroy = net.command(a, |request| Command::Destroy { request, seat: host });
    assert_eq!(net.nodes[a].transcript, [format!("done {}", destroy.0), format!("seat {} left", host.0)]);
    let (host, _) = net.host(a, room(4));
    net.nodes[a].transcript.clear();
    let (request, account) = (net.request(a), net.account(a));
    net.nodes[a].sessions.sign_out(net.now, request, account);
    net.drain();
    assert_eq!(net.nodes[a].transcript, [format!("done {}", request.0), format!("seat {} left", host.0)]);
}

#[test]
fn resyncs_in_a_row_get_one_answer_a_second() {
    let mut net = Net::new(7);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, room(4));
    let seat = net.join(b, key);
    let (_, link) = net.peers[&end_of(&net, b)];
    // Asked again and again within the second: one answer, the others wait.
    for _ in 0..20 {
        say_raw(&mut net, a, link, &Frame::Resync { have: Revision { term: 9, number: 1 } });
    }
    net.update(a, host, SettingsUpdate::new().name("arena"), None);
    net.run(5 * SECOND);
    assert_eq!(net.view(a, host), net.view(b, seat));
    assert_eq!(net.frames[&crate::wire::frame::kind::SNAPSHOT], 2);
}

#[test]
fn a_host_that_reads_nothing_costs_its_member_the_link_and_no_memory() {
    let mut net = Net::new(8);
    let (a, b) = (net.node(), net.node());
    let (_, key) = net.host(a, room(4));
    let seat = net.join(b, key);
    let member = end_of(&net, b);
    let host_end = net.peers[&member];
    net.nodes[a].alive = false;
    net.deaf.insert(host_end, VecDeque::new());
    let mut refused = 0;
    for _ in 0..200 {
        let request = net.say(b, seat, &"x".repeat(1_000));
        refused += usize::from(net.nodes[b].done.contains_key(&request));
        // It beats its heart, or the silence would tell.
        say_raw(&mut net, b, member.1, &Frame::Heartbeat);
        net.run(50 * MS);
        if !net.peers.contains_key(&member) {
            break;
        }
    }
    assert!(refused > 0, "32 at a time");
    assert_eq!(names(&net.take_events(b, seat)).last(), Some(&"reconnecting"));
    let queued: usize = net.deaf[&host_end].iter().map(Vec::len).sum();
    assert!(queued <= limits::SEND_QUEUE, "{queued} bytes");
}

#[test]
fn a_host_that_sips_costs_its_member_no_more_than_a_queue() {
    let mut net = Net::new(9);
    let (a, b) = (net.node(), net.node());
    let (_, key) = net.host(a, room(4));
    let seat = net.join(b, key);
    let member = end_of(&net, b);
    let host_end = net.peers[&member];
    net.nodes[a].alive = false;
    net.deaf.insert(host_end, VecDeque::new());
    for _ in 0..2_000 {
        net.say(b, seat, &"x".repeat(1_000));
        say_raw(&mut net, b, member.1, &Frame::Heartbeat);
        net.nodes[b].sessions.handle_link(net.now, LinkEvent::Written { link: member.1, bytes: 1 });
        // Answered at once, so that more may be asked.
        for number in 0..40 {
            let number = number + u32::try_from(net.nodes[b].next_request).unwrap().saturating_sub(40);
            let result = crate::wire::frame::DoneResult::Failed { code: 9, text: String::new(), retry_after_ms: 0 };
            say_raw(&mut net, b, member.1, &Frame::Done { number, result });
        }
        net.run(MS);
    }
    let queued: usize = net.deaf[&host_end].iter().map(Vec::len).sum();
    assert!(queued <= 2 * limits::SEND_QUEUE, "{queued} bytes");
}
