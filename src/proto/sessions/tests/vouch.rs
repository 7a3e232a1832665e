//! Friends of members: who is asked, by which knock, how often, and what a yes is worth when the seat is given.

use super::*;
use crate::types::JoinPolicy;
use crate::wire::frame::{Frame, VouchAsk, frames, kind, knock};

fn befriend(net: &mut Net, node: usize, friends: &[AccountId]) {
    let account = net.account(node);
    let friends = friends.to_vec();
    net.command(node, |_| Command::SetFriends { account, friends });
}

fn asked(net: &Net) -> u32 {
    net.frames.get(&kind::VOUCH_ASK).copied().unwrap_or_default()
}

fn words(net: &Net) -> u32 {
    net.frames.get(&kind::VOUCH).copied().unwrap_or_default()
}

/// A host, a member that is its friend, and the member's seat.
fn circle(net: &mut Net, what: impl Into<HostRequest>) -> (usize, SeatId, SessionKey, usize, SeatId) {
    let (a, b) = (net.node(), net.node());
    let (seat, key) = net.host(a, what);
    let bob = net.account(b);
    befriend(net, a, &[bob]);
    let bobs = net.join(b, key);
    (a, seat, key, b, bobs)
}

fn friends_only(max: u16) -> SessionSettings {
    room(max).policy(JoinPolicy::FriendsOnly)
}

/// How long a join takes that nothing holds up: its answer's way included.
fn trips(net: &Net) -> Duration {
    net.delay * 6
}

#[test]
fn a_friend_of_a_member_gets_in_and_a_stranger_waits_its_time_for_no() {
    let mut net = Net::new(1);
    let (_, _, key, b, _) = circle(&mut net, friends_only(4));
    assert_eq!(asked(&net), 0, "the host's own friends need nobody's word");
    let (c, d) = (net.node(), net.node());
    let cem = net.account(c);
    befriend(&mut net, b, &[cem]);
    net.join(c, key);
    assert_eq!((asked(&net), words(&net)), (1, 1));
    let request = net.ask_join(d, key);
    net.run(trips(&net) + 499 * MS);
    assert!(!net.nodes[d].done.contains_key(&request), "a no takes the whole round");
    net.run(MS);
    assert_eq!(net.answer(d, request).unwrap_err().refusal(), Some(&Refusal::NotFriend));
    assert_eq!((asked(&net), words(&net)), (3, 3), "both members, one word each");
}

#[test]
fn with_nobody_to_ask_a_no_takes_its_time_as_well() {
    let mut net = Net::new(2);
    let (a, b) = (net.node(), net.node());
    let (_, key) = net.host(a, friends_only(4));
    let request = net.ask_join(b, key);
    net.run(trips(&net) + 499 * MS);
    assert!(!net.nodes[b].done.contains_key(&request));
    net.run(MS);
    assert_eq!(net.answer(b, request).unwrap_err().refusal(), Some(&Refusal::NotFriend));
}

#[test]
fn a_no_is_remembered_until_the_roster_changes_or_ten_seconds_are_over() {
    let mut net = Net::new(3);
    let (a, _, key, b, _) = circle(&mut net, friends_only(8));
    let (c, d, e) = (net.node(), net.node(), net.node());
    assert_eq!(net.refused(c, key), Refusal::NotFriend);
    assert_eq!(asked(&net), 1);
    // Six seconds later: at once, and nobody is asked.
    let request = net.ask_join(c, key);
    net.settle();
    assert_eq!(net.answer(c, request).unwrap_err().refusal(), Some(&Refusal::NotFriend));
    assert_eq!(asked(&net), 1);
    // Another member comes who may know it.
    let (cem, dan) = (net.account(c), net.account(d));
    befriend(&mut net, a, &[dan]);
    befriend(&mut net, d, &[cem]);
    net.join(d, key);
    net.join(c, key);
    assert_eq!(asked(&net), 3);
    assert_eq!(net.refused(e, key), Refusal::NotFriend);
    let before = asked(&net);
    net.run(5 * SECOND);
    let known = net.account(e);
    befriend(&mut net, b, &[known]);
    net.join(e, key);
    assert!(asked(&net) > before, "ten seconds are over");
}

#[test]
fn a_yes_counts_while_its_member_has_a_seat_and_all_else_is_judged_again() {
    let mut net = Net::new(4);
    let (a, b, d) = (net.node(), net.node(), net.node());
    let (seat, key) = net.host(a, HostRequest::new(friends_only(5)).admission(true));
    let ask = |net: &mut Net, node: usize| {
        let request = net.ask_join(node, key);
        net.settle();
        let ask = net.take_events(a, seat).iter().rev().find_map(|event| match event {
            SessionEvent::JoinAsked(ask) => Some(ask.id),
            _ => None,
        });
        (request, ask)
    };
    let admit = |net: &mut Net, ask: Option<u64>| {
        let ask = ask.expect("the game is asked");
        net.command(a, |_| Command::Answer { seat, ask, verdict: Verdict::Admit });
        net.settle();
    };
    let circle = [net.account(b), net.account(d)];
    befriend(&mut net, a, &circle);
    for node in [b, d] {
        let (_, asked) = ask(&mut net, node);
        admit(&mut net, asked);
    }
    let nodes: Vec<_> = (0..4).map(|_| net.node()).collect();
    let friends: Vec<_> = nodes.iter().map(|&node| net.account(node)).collect();
    befriend(&mut net, b, &friends);
    let bob = net.account(b);
    // Its voucher is kicked while the game thinks: no. Were there another, that one's word would do.
    let (first, asked) = ask(&mut net, nodes[0]);
    net.kick(a, seat, bob, false);
    admit(&mut net, asked);
    assert_eq!(net.answer(nodes[0], first).unwrap_err().refusal(), Some(&Refusal::NotFriend));
    let (_, asked) = ask(&mut net, b);
    admit(&mut net, asked);
    befriend(&mut net, d, &friends);
    let (second, asked) = ask(&mut net, nodes[1]);
    net.kick(a, seat, bob, false);
    admit(&mut net, asked);
    net.seat_of(nodes[1], second);
    // Banned while the game thinks.
    let (third, asked) = ask(&mut net, nodes[2]);
    net.kick(a, seat, friends[2], true);
    admit(&mut net, asked);
    assert_eq!(net.answer(nodes[2], third).unwrap_err().refusal(), Some(&Refusal::Banned));
    // The policy is another one when the game has said its word: the members are asked then, and the game again.
    net.update(a, seat, SettingsUpdate::new().policy(JoinPolicy::Public), None);
    let (fourth, asked) = ask(&mut net, nodes[3]);
    net.update(a, seat, SettingsUpdate::new().policy(JoinPolicy::FriendsOnly), None);
    net.settle();
    admit(&mut net, asked);
    let again = net.take_events(a, seat).iter().rev().find_map(|event| match event {
        SessionEvent::JoinAsked(ask) => Some(ask.id),
        _ => None,
    });
    admit(&mut net, again);
    net.seat_of(nodes[3], fourth);
}

#[test]
fn the_policy_of_the_moment_decides_for_who_waits() {
    let mut net = Net::new(5);
    let (a, seat, key, ..) = circle(&mut net, friends_only(4));
    let (c, d) = (net.node(), net.node());
    let first = net.ask_join(c, key);
    net.run(100 * MS);
    net.update(a, seat, SettingsUpdate::new().policy(JoinPolicy::Public), None);
    net.run(SECOND);
    net.seat_of(c, first);
    net.update(a, seat, SettingsUpdate::new().policy(JoinPolicy::FriendsOnly), None);
    let second = net.ask_join(d, key);
    net.run(100 * MS);
    net.update(a, seat, SettingsUpdate::new().policy(JoinPolicy::InviteOnly), None);
    net.run(SECOND);
    assert_eq!(net.answer(d, second).unwrap_err().refusal(), Some(&Refusal::NotInvited));
}

#[test]
fn two_that_are_vouched_for_get_one_last_seat_once() {
    let mut net = Net::new(6);
    let (a, seat, key, b, _) = circle(&mut net, friends_only(3));
    let (c, d) = (net.node(), net.node());
    let both = [net.account(c), net.account(d)];
    befriend(&mut net, b, &both);
    let asked = [(c, net.ask_join(c, key)), (d, net.ask_join(d, key))];
    net.run(SECOND);
    let full = |(node, request): &(usize, RequestId)| {
        net.answer(*node, *request).is_err_and(|error| error.refusal() == Some(&Refusal::Full))
    };
    assert_eq!(asked.iter().filter(|join| full(join)).count(), 1);
    assert_eq!(net.view(a, seat).members.len(), 3);
}

#[test]
fn one_round_per_source_and_few_in_all() {
    let mut net = Net::new(7);
    let (_, _, key, b, _) = circle(&mut net, friends_only(200));
    let c = net.node();
    let second = net.user(c, "second");
    let to = net.resolved(key);
    let first = net.ask_join(c, key);
    let request = net.request(c);
    let what = JoinCommand { local_name: "other".into(), ..Net::join_command(None) };
    net.nodes[c].sessions.join(net.now, request, second, what, to);
    net.drain();
    net.run(trips(&net) + 100 * MS);
    assert_eq!(asked(&net), 1, "the second of this machine comes again when the first is told");
    net.run(2 * SECOND);
    for done in [first, request] {
        assert_eq!(net.answer(c, done).unwrap_err().refusal(), Some(&Refusal::NotFriend));
    }
    assert_eq!(asked(&net), 2);
    net.run(20 * SECOND);
    let before = asked(&net);
    let crowd: Vec<_> = (0..40).map(|_| net.node()).collect();
    for &node in &crowd {
        net.ask_join(node, key);
    }
    net.run(trips(&net) + 100 * MS);
    assert_eq!(asked(&net) - before, 16);
    net.run(2 * SECOND);
    assert!(asked(&net) - before <= 21, "two a second");
    let _ = b;
}

#[test]
fn a_member_says_no_of_an_account_once_and_six_times_a_minute() {
    let mut net = Net::new(8);
    let (_, _, key, b, bobs) = circle(&mut net, friends_only(30));
    let friend = net.node();
    let known = net.account(friend);
    befriend(&mut net, b, &[known]);
    for _ in 0..8 {
        let node = net.node();
        net.ask_join(node, key);
    }
    net.run(2 * SECOND);
    assert_eq!((asked(&net), words(&net)), (8, 6));
    // Strangers have used up what is said to strangers; a friend still gets its yes.
    net.join(friend, key);
    assert_eq!(net.seat(b, bobs).left, None);
}

/// A question as a host could make one of what it has.
fn question(net: &mut Net, b: usize, ask: VouchAsk) -> u32 {
    let member = *net.peers.keys().find(|(at, _)| *at == b).unwrap();
    let before = words(net);
    for bytes in frames(&Frame::VouchAsk(Box::new(ask))) {
        let event =
            LinkEvent::Frame { link: member.1, kind: bytes[2], more: bytes[3] != 0, payload: bytes[4..].to_vec() };
        net.nodes[b].sessions.handle_link(net.now, event);
    }
    net.settle();
    words(net) - before
}

#[test]
fn a_host_learns_nothing_of_accounts_that_did_not_come() {
    let mut net = Net::new(9);
    let (a, seat, key, b, _) = circle(&mut net, friends_only(8));
    let (cem, dan) = (Identity::from_seed([60; 32]).unwrap(), Identity::from_seed([61; 32]).unwrap());
    befriend(&mut net, b, &[cem.account()]);
    let of = |who: &Identity, session: SessionKey, host| VouchAsk {
        ask: 1,
        account: who.account(),
        session,
        incarnation: 0,
        peer_incarnation: 7,
        knock: knock(who, session, host, 0, 7),
    };
    let real = of(&cem, key, key.founder);
    let other = SessionKey { id: crate::types::SessionId::from_name("other"), ..key };
    // Another's knock, one for another session, one for another host, a changed one: silence, and the same silence twice,
    // for a friend as for a stranger.
    for _ in 0..2 {
        for who in [&cem, &dan] {
            let forged =
                VouchAsk { account: who.account(), ..of(&Identity::from_seed([62; 32]).unwrap(), key, key.founder) };
            assert_eq!(question(&mut net, b, forged), 0);
            assert_eq!(question(&mut net, b, of(who, other, key.founder)), 0);
            let foreign = Identity::from_seed([63; 32]).unwrap().public().into();
            assert_eq!(question(&mut net, b, of(who, key, foreign)), 0);
            assert_eq!(question(&mut net, b, VouchAsk { peer_incarnation: 8, ..of(who, key, key.founder) }), 0);
        }
    }
    assert_eq!(question(&mut net, b, real.clone()), 1);
    assert_eq!(question(&mut net, b, of(&dan, key, key.founder)), 1);
    assert_eq!(question(&mut net, b, of(&dan, key, key.founder)), 0, "once");
    // It became a friend since: that no was not the last word.
    befriend(&mut net, b, &[cem.account(), dan.account()]);
    assert_eq!(question(&mut net, b, of(&dan, key, key.founder)), 1);
    net.update(a, seat, SettingsUpdate::new().policy(JoinPolicy::Public), None);
    net.settle();
    assert_eq!(question(&mut net, b, real), 0, "nobody needs to know in a public session");
}

#[test]
fn a_word_that_nobody_asked_for_seats_nobody() {
    let mut net = Net::new(10);
    let (a, seat, key, b, _) = circle(&mut net, friends_only(8));
    let c = net.node();
    let request = net.ask_join(c, key);
    net.run(trips(&net) + 100 * MS);
    let member = *net.peers.keys().find(|(at, _)| *at == b).unwrap();
    let (_, link) = net.peers[&member];
    for ask in 0..100 {
        for bytes in frames(&Frame::Vouch { ask, yes: true }) {
            let event = LinkEvent::Frame { link, kind: bytes[2], more: false, payload: bytes[4..].to_vec() };
            net.nodes[a].sessions.handle_link(net.now, event);
        }
    }
    net.run(SECOND);
    assert_eq!(net.answer(c, request).unwrap_err().refusal(), Some(&Refusal::NotFriend));
    assert_eq!(net.view(a, seat).members.len(), 2);
}

#[test]
fn a_joiner_with_another_knock_than_its_own_is_a_stranger_and_nobody_is_asked() {
    let mut net = Net::new(11);
    let (a, _, key, b, _) = circle(&mut net, friends_only(8));
    let c = net.node();
    let known = net.account(c);
    befriend(&mut net, b, &[known]);
    let identity = Identity::from_seed([70; 32]).unwrap();
    let now = net.now;
    let link = LinkId(9_001);
    let remote = "10.0.9.9:1".parse().unwrap();
    net.nodes[a].sessions.handle_link(now, LinkEvent::Incoming { link, session: key, remote });
    let open =
        LinkEvent::Open { link, peer: identity.public(), binding: [1; 32], local: remote, remote, fallback: false };
    net.nodes[a].sessions.handle_link(now, open);
    let join = crate::wire::frame::Join {
        session: key,
        incarnation: 0,
        nonce: [1; 16],
        peer_incarnation: 1,
        version: VERSION,
        name: "mallory".into(),
        external: None,
        attributes: Attributes::new(),
        ticket: Vec::new(),
        password_proof: None,
        knock: Some([5; 64]),
        invite: None,
        role: None,
        status: MemberStatus::Active,
        party: Vec::new(),
    };
    for bytes in frames(&Frame::Join(Box::new(join))) {
        let event = LinkEvent::Frame { link, kind: bytes[2], more: false, payload: bytes[4..].to_vec() };
        net.nodes[a].sessions.handle_link(now, event);
    }
    let refused = std::iter::from_fn(|| net.nodes[a].sessions.poll_action())
        .any(|action| matches!(action, Action::Send { link: to, bytes } if to == link && bytes[2] == kind::REFUSE));
    assert!(refused && asked(&net) == 0);
}

#[test]
fn one_that_knows_only_an_address_is_vouched_for_too() {
    let mut net = Net::new(12);
    let (_, _, key, b, _) = circle(&mut net, friends_only(8).listed(true));
    let c = net.node();
    let known = net.account(c);
    befriend(&mut net, b, &[known]);
    let blind = Resolved { key: None, host_key: None, ..net.resolved(key) };
    let request = net.ask_join_with(c, Net::join_command(None), blind);
    net.settle();
    net.seat_of(c, request);
}

#[test]
fn a_joiner_that_hangs_up_frees_its_source_for_no_other_round() {
    let mut net = Net::new(12);
    let (_, _, key, _, _) = circle(&mut net, friends_only(30));
    let c = net.node();
    for _ in 0..10 {
        let request = net.ask_join(c, key);
        net.run(trips(&net) + 10 * MS);
        net.nodes[c].sessions.cancel(net.now, request);
        net.drain();
        net.run(10 * MS);
    }
    assert!(asked(&net) <= 2, "{} rounds in a quarter of a second", asked(&net));
    // Its next one is asked about as soon as the first round would be over.
    let before = asked(&net);
    net.run(500 * MS);
    let request = net.ask_join(c, key);
    net.run(trips(&net) + 10 * MS);
    assert_eq!(asked(&net), before + 1);
    assert_eq!(net.refusal(c, request), Refusal::NotFriend);
}
