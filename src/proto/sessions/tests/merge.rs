//! Two mobile sessions become one: freezing, granting, moving; and who asks for what is not theirs.

use super::*;
use crate::types::{HostKey, HostRequest, PublicKey, SettingsUpdate};
use crate::wire::frame::{Frame, HEADER, MergeAnswer, MergeAsk, frames, header};

fn mobile(max: u16) -> HostRequest {
    let mut request = HostRequest::new(room(max));
    request.matchmaking = true;
    request
}

/// What the merge of this seat's session came to since the last time.
fn outcomes(net: &mut Net, node: usize) -> Vec<Merging> {
    let events = std::mem::take(&mut net.nodes[node].events);
    let outcome = |event| if let SessionsEvent::Merge { outcome, .. } = event { Some(outcome) } else { None };
    events.into_iter().filter_map(outcome).collect()
}

fn merge(net: &mut Net, node: usize, seat: SeatId, into: SessionKey) {
    let (now, to) = (net.now, net.resolved(into));
    net.nodes[node].sessions.merge(now, seat, to);
    net.drain();
}

/// Where members were told to go.
fn told(net: &Net, node: usize) -> Vec<SessionKey> {
    let events = net.nodes[node].events.iter();
    events
        .filter_map(|event| if let SessionsEvent::Move { to, .. } = event { Some(to.session) } else { None })
        .collect()
}

fn identity(number: u8) -> Identity {
    Identity::from_seed([number; 32]).unwrap()
}

/// Says this at the door under this key; the answer.
fn knock(net: &mut Net, node: usize, session: SessionKey, peer: PublicKey, ask: &MergeAsk) -> Option<MergeAnswer> {
    let (link, now, address) = (LinkId(90_001), net.now, net.address(session));
    let remote = SocketAddr::from(([10, 9, 9, 9], 9));
    let sessions = &mut net.nodes[node].sessions;
    sessions.handle_link(now, LinkEvent::Incoming { link, session, remote });
    sessions.handle_link(now, LinkEvent::HelloBegun { link });
    let local = address;
    sessions.handle_link(now, LinkEvent::Open { link, peer, binding: [0; 32], local, remote, fallback: false });
    while sessions.poll_action().is_some() {}
    for bytes in frames(&Frame::MergeAsk(Box::new(ask.clone()))) {
        let (_, kind, more) = header(*bytes.first_chunk().unwrap());
        sessions.handle_link(now, LinkEvent::Frame { link, kind, more, payload: bytes[HEADER..].to_vec() });
    }
    let mut answer = None;
    while let Some(action) = sessions.poll_action() {
        if let Action::Send { link: to, bytes } = action {
            assert_eq!(to, link);
            let (_, kind, _) = header(*bytes.first_chunk().unwrap());
            if let Ok(Some(Frame::MergeAnswer(said))) = Frame::decode(kind, &bytes[HEADER..]) {
                answer = Some(said);
            }
        }
    }
    answer
}

fn stranger(session: SessionKey, number: u8, accounts: &[u8]) -> (PublicKey, MergeAsk) {
    let own = identity(number).public();
    let from = SessionKey { id: crate::types::SessionId::from_bytes([0xff; 16]), founder: HostKey::from(own) };
    let accounts = accounts.iter().map(|&account| identity(account).account()).collect();
    (own, MergeAsk { session, from, taken: 1, accounts })
}

#[test]
fn members_go_first_and_the_host_when_it_is_alone() {
    let mut net = Net::new(1);
    let nodes: Vec<_> = (0..5).map(|_| net.node()).collect();
    let (better, better_key) = net.host(nodes[0], mobile(8));
    net.join(nodes[1], better_key);
    net.join(nodes[2], better_key);
    let (worse, worse_key) = net.host(nodes[3], mobile(8));
    let guest = net.join(nodes[4], worse_key);
    net.run(100 * MS);
    merge(&mut net, nodes[3], worse, better_key);
    net.run(100 * MS);
    assert_eq!(outcomes(&mut net, nodes[3]), [Merging::Granted { own: true }]);
    assert_eq!(told(&net, nodes[4]), [better_key]);
    assert_eq!(net.view(nodes[3], worse).members.len(), 2);

    let mut what = Net::join_command(None);
    what.local_name = "other".into();
    let to = net.resolved(better_key);
    let request = net.ask_join_with(nodes[4], what, to);
    net.run(100 * MS);
    net.seat_of(nodes[4], request);
    net.leave(nodes[4], guest);
    net.run(100 * MS);
    assert_eq!(net.view(nodes[3], worse).members.len(), 1);
    assert_eq!(net.view(nodes[0], better).members.len(), 4);
    let now = net.now;
    net.nodes[3].sessions.move_away(now, worse);
    net.drain();
    assert_eq!(net.seat(nodes[3], worse).left, Some(Left::Moved));
}

#[test]
fn a_session_on_its_way_seats_nobody() {
    let mut net = Net::new(9);
    let (a, b, c, late) = (net.node(), net.node(), net.node(), net.node());
    let (_, better) = net.host(a, mobile(8));
    net.join(b, better);
    let (worse, key) = net.host(c, mobile(8));
    merge(&mut net, c, worse, better);
    let mut what = Net::join_command(None);
    what.patient = false;
    let to = net.resolved(key);
    let request = net.ask_join_with(late, what, to);
    assert!(matches!(net.refusal(late, request), Refusal::Migrating { .. }));
    // The way led nowhere: it thawed.
    assert_eq!(net.view(c, worse).members.len(), 1);
    net.join(late, key);
}

#[test]
fn the_worse_one_is_told_so_and_thaws() {
    let mut net = Net::new(2);
    let (a, b, c) = (net.node(), net.node(), net.node());
    let (better, better_key) = net.host(a, mobile(8));
    net.join(b, better_key);
    let (_, worse_key) = net.host(c, mobile(8));
    merge(&mut net, a, better, worse_key);
    net.run(100 * MS);
    assert_eq!(outcomes(&mut net, a), [Merging::Refused]);
    let d = net.node();
    net.join(d, better_key);
}

#[test]
fn of_two_that_ask_each_other_the_better_one_takes_the_other() {
    let mut net = Net::new(3);
    let (a, b, c) = (net.node(), net.node(), net.node());
    let (better, better_key) = net.host(a, mobile(8));
    net.join(b, better_key);
    let (worse, worse_key) = net.host(c, mobile(8));
    merge(&mut net, a, better, worse_key);
    merge(&mut net, c, worse, better_key);
    net.run(500 * MS);
    assert_eq!(outcomes(&mut net, c), [Merging::Granted { own: true }]);
    assert!(matches!(outcomes(&mut net, a)[..], [Merging::Over | Merging::Refused]));
}

#[test]
fn a_merge_in_which_nobody_goes_ends_by_itself_and_its_seats_are_free_again() {
    let mut net = Net::new(4);
    let (a, b, c) = (net.node(), net.node(), net.node());
    let (_, better_key) = net.host(a, mobile(3));
    net.join(b, better_key);
    let (worse, _) = net.host(c, mobile(3));
    merge(&mut net, c, worse, better_key);
    net.run(100 * MS);
    assert_eq!(outcomes(&mut net, c), [Merging::Granted { own: true }]);
    // The last seat is held.
    let d = net.node();
    assert_eq!(net.refused(d, better_key), Refusal::Full);
    net.run(Tuning::default().mm_freeze);
    assert_eq!(outcomes(&mut net, c), [Merging::Over]);
    net.run(5 * SECOND);
    net.join(d, better_key);
}

#[test]
fn a_member_that_was_sent_and_whose_link_closes_has_gone() {
    let mut net = Net::new(5);
    let (a, b, c, d, e) = (net.node(), net.node(), net.node(), net.node(), net.node());
    let (_, better_key) = net.host(a, mobile(8));
    net.join(b, better_key);
    net.join(e, better_key);
    let (worse, worse_key) = net.host(c, mobile(8));
    net.join(d, worse_key);
    net.run(100 * MS);
    merge(&mut net, c, worse, better_key);
    net.run(100 * MS);
    assert_eq!(outcomes(&mut net, c), [Merging::Granted { own: true }]);
    net.kill(d);
    net.run(100 * MS);
    assert_eq!(net.view(c, worse).members.len(), 1, "no seat is held for one that has moved");
}

/// Fails when `forget_asked` is taken out: the next seat's numbers begin anew.
#[test]
fn what_was_said_in_a_seat_that_is_gone_is_not_said_again_in_the_next() {
    let mut net = Net::new(16);
    let (a, b, c, d) = (net.node(), net.node(), net.node(), net.node());
    let (_, better_key) = net.host(a, mobile(8));
    net.join(b, better_key);
    let (worse, worse_key) = net.host(c, mobile(8));
    let guest = net.join(d, worse_key);
    net.run(100 * MS);
    merge(&mut net, c, worse, better_key);
    net.run(100 * MS);
    assert_eq!(told(&net, d), [better_key]);
    net.take_events(c, worse);
    let said = net.say(d, guest, "once");
    while !names(&net.seat(c, worse).events).contains(&"message") {
        net.run(MS / 10);
    }
    net.cut_links(d);
    // Not sent yet: it takes effect in the next seat.
    net.run(MS / 10);
    let later = net.say(d, guest, "later");
    net.run(10 * SECOND);
    assert_eq!(net.view(c, worse).members.len(), 2, "it came back, and has another seat");
    let told = net.take_events(c, worse);
    assert!(names(&told).contains(&"member left"));
    assert_eq!(names(&told).iter().filter(|name| **name == "message").count(), 2, "{:?}", names(&told));
    assert_eq!(net.answer(d, said).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(net.answer(d, later).is_ok());
}

#[test]
fn nobody_asks_in_another_sessions_name_or_for_a_closed_door() {
    let mut net = Net::new(6);
    let (a, b) = (net.node(), net.node());
    let (seat, key) = net.host(a, mobile(4));
    net.join(b, key);
    let (own, ask) = stranger(key, 40, &[50, 51]);
    let other = identity(41).public();
    assert_eq!(knock(&mut net, a, key, other, &ask), Some(MergeAnswer::NotBetter));
    let elsewhere = MergeAsk { session: ask.from, ..ask.clone() };
    assert_eq!(knock(&mut net, a, key, own, &elsewhere), Some(MergeAnswer::NotBetter));
    let larger = MergeAsk { taken: 3, ..ask.clone() };
    assert_eq!(knock(&mut net, a, key, own, &larger), Some(MergeAnswer::NotBetter));
    assert_eq!(knock(&mut net, a, key, own, &ask), Some(MergeAnswer::Granted(2)));
    // The same again holds no more; another one finds nothing left.
    assert_eq!(knock(&mut net, a, key, own, &ask), Some(MergeAnswer::Granted(2)));
    let (third, more) = stranger(key, 42, &[60]);
    assert_eq!(knock(&mut net, a, key, third, &more), Some(MergeAnswer::Granted(0)));
    net.run(6 * SECOND);
    net.update(a, seat, SettingsUpdate::new().closed(true), None);
    assert_eq!(knock(&mut net, a, key, own, &ask), Some(MergeAnswer::NotBetter));
}

#[test]
fn a_banned_account_ends_the_row() {
    let mut net = Net::new(7);
    let (a, b) = (net.node(), net.node());
    let (seat, key) = net.host(a, mobile(8));
    net.join(b, key);
    net.kick(a, seat, identity(51).account(), true);
    let (own, ask) = stranger(key, 40, &[50, 51, 52]);
    assert_eq!(knock(&mut net, a, key, own, &ask), Some(MergeAnswer::Granted(1)));
}

#[test]
fn one_that_stays_settles_the_session_for_all() {
    let mut net = Net::new(8);
    let (a, b) = (net.node(), net.node());
    let (seat, key) = net.host(a, mobile(8));
    let guest = net.join(b, key);
    assert!(net.view(a, seat).mobile && net.view(b, guest).mobile);
    let now = net.now;
    net.nodes[b].sessions.settle(now, guest);
    net.drain();
    net.run(100 * MS);
    assert!(!net.view(a, seat).mobile && !net.view(b, guest).mobile && net.view(a, seat).matchmaking);
    // A settled session asks nobody.
    let (_, other) = net.host(b, {
        let mut other = mobile(8);
        other.local_name = "other".into();
        other
    });
    merge(&mut net, a, seat, other);
    assert_eq!(outcomes(&mut net, a), [Merging::Busy]);
}

/// Somebody whose account is that of [`identity`].
fn known(net: &mut Net, number: u8) -> usize {
    let node = net.node();
    net.nodes[node].users.clear();
    net.user_with(node, "known", [number; 32]);
    node
}

fn reserve_one(net: &mut Net, node: usize, seat: SeatId, number: u8) -> Result<Answer, Error> {
    let what = Box::new(crate::types::ReserveRequest::from(identity(number).account()));
    let request = net.command(node, |request| Command::Reserve { request, seat, what });
    net.settle();
    net.answer(node, request)
}

fn hold_one(net: &mut Net, node: usize, seat: SeatId, number: u8) -> Result<Answer, Error> {
    let what = Box::new(crate::types::InviteRequest::from(identity(number).account()).hold(true));
    let request = net.command(node, |request| Command::Invite { request, seat, what });
    net.settle();
    net.answer(node, request)
}

#[test]
fn a_seat_held_by_an_invite_and_one_that_is_granted_are_two() {
    for reserved_slots in [0, 1] {
        let mut net = Net::new(10);
        let a = net.node();
        let mut what = mobile(3);
        what.settings = what.settings.reserved_slots(reserved_slots);
        let (seat, key) = net.host(a, what);
        hold_one(&mut net, a, seat, 50).unwrap();
        let (own, ask) = stranger(key, 40, &[51, 52]);
        assert_eq!(knock(&mut net, a, key, own, &ask), Some(MergeAnswer::Granted(1)));
        let (invited, granted, late) = (known(&mut net, 50), known(&mut net, 51), net.node());
        let asked = net.ask_join(late, key);
        net.settle();
        net.join(invited, key);
        net.join(granted, key);
        assert_eq!(net.view(a, seat).members.len(), 3);
        assert_eq!(net.refusal(late, asked), Refusal::Full);
    }
}

#[test]
fn what_is_granted_is_not_held_once_more_by_an_invite() {
    let mut net = Net::new(11);
    let a = net.node();
    let (seat, key) = net.host(a, mobile(3));
    let (own, ask) = stranger(key, 40, &[51, 52]);
    assert_eq!(knock(&mut net, a, key, own, &ask), Some(MergeAnswer::Granted(2)));
    assert_eq!(hold_one(&mut net, a, seat, 50).unwrap_err().kind(), ErrorKind::InvalidState);
    let granted = [known(&mut net, 51), known(&mut net, 52)];
    for node in granted {
        net.join(node, key);
    }
}

#[test]
fn a_grant_is_used_by_a_seat_however_it_comes() {
    let mut net = Net::new(12);
    let a = net.node();
    let (seat, key) = net.host(a, mobile(3));
    let (own, ask) = stranger(key, 40, &[51]);
    assert_eq!(knock(&mut net, a, key, own, &ask), Some(MergeAnswer::Granted(1)));
    reserve_one(&mut net, a, seat, 51).unwrap();
    let b = net.node();
    net.join(b, key);
}

#[test]
fn a_session_on_its_way_holds_no_more_seats_either() {
    let mut net = Net::new(13);
    let (a, b, c) = (net.node(), net.node(), net.node());
    let (_, better) = net.host(a, mobile(8));
    net.join(b, better);
    let (worse, _) = net.host(c, mobile(8));
    merge(&mut net, c, worse, better);
    let refused = reserve_one(&mut net, c, worse, 50).unwrap_err();
    assert!(matches!(refused.refusal(), Some(Refusal::Migrating { .. })), "{refused}");
    assert_eq!(net.view(c, worse).members.len(), 1);
    net.run(3 * SECOND);
    reserve_one(&mut net, c, worse, 50).unwrap();
}

#[test]
fn an_invites_held_seat_is_the_reserved_one_of_its_invitee() {
    let mut net = Net::new(14);
    let (a, b) = (net.node(), net.node());
    let (seat, key) = net.host(a, mobile(4));
    hold_one(&mut net, a, seat, 50).unwrap();
    let what = JoinCommand { reserve_for: vec![identity(50).account()], ..Net::join_command(None) };
    let to = net.resolved(key);
    net.ask_join_with(b, what, to);
    net.settle();
    assert_eq!(net.view(a, seat).members.len(), 3);
    let c = net.node();
    net.join(c, key);
}

#[test]
fn asking_again_for_others_first_grants_no_more_seats_than_there_are() {
    let mut net = Net::new(15);
    let a = net.node();
    let (_, key) = net.host(a, mobile(3));
    let (own, ask) = stranger(key, 40, &[51, 52]);
    assert_eq!(knock(&mut net, a, key, own, &ask), Some(MergeAnswer::Granted(2)));
    let (own, ask) = stranger(key, 40, &[51, 53, 52]);
    assert_eq!(knock(&mut net, a, key, own, &ask), Some(MergeAnswer::Granted(1)));
    for number in [51, 52] {
        let node = known(&mut net, number);
        net.join(node, key);
    }
}
