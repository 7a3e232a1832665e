//! Joins of several, and seats held for others: all or none.

use super::*;
use crate::types::{JoinPolicy, Reservation};
use crate::types::{LinkState, MemberStatus, MemberTimeouts, ReservationChange, ReservationId, ReserveRequest, Role};
use crate::wire::frame::{Companion, Frame, Join, frames, kind};

const MICRO: Duration = Duration::from_micros(1);

fn account(seed: u8) -> AccountId {
    Identity::from_seed([seed; 32]).unwrap().account()
}

/// A node with three users: the leader and two more.
fn trio(net: &mut Net) -> (usize, [AccountId; 3]) {
    let node = net.node();
    let others = [net.user(node, "bob"), net.user(node, "cem")];
    (node, [net.account(node), others[0], others[1]])
}

fn ask_party(net: &mut Net, node: usize, key: SessionKey, what: JoinCommand) -> RequestId {
    let to = net.resolved(key);
    net.ask_join_with(node, what, to)
}

fn with(party: &[AccountId]) -> JoinCommand {
    JoinCommand { party: party.to_vec(), ..Net::join_command(None) }
}

fn seats_of(net: &Net, node: usize, request: RequestId) -> Vec<SeatId> {
    match net.answer(node, request) {
        Ok(Answer::Seats(seats)) => seats,
        other => panic!("no seats: {other:?}"),
    }
}

fn refusal_of(result: Result<Answer, Error>) -> Refusal {
    result.unwrap_err().refusal().expect("a refusal").clone()
}

fn reserve(net: &mut Net, node: usize, seat: SeatId, what: impl Into<ReserveRequest>) -> Result<Reservation, Error> {
    let what = Box::new(what.into());
    let request = net.command(node, |request| Command::Reserve { request, seat, what });
    net.settle();
    reservation(net, node, request)
}

fn change(
    net: &mut Net,
    (node, seat): (usize, SeatId),
    id: ReservationId,
    expected: Option<u32>,
    change: ReservationChange,
) -> Result<Reservation, Error> {
    let command = |request| Command::ChangeReservation { request, seat, id, expected, change };
    let request = net.command(node, command);
    net.settle();
    reservation(net, node, request)
}

fn reservation(net: &Net, node: usize, request: RequestId) -> Result<Reservation, Error> {
    net.answer(node, request).map(|answer| match answer {
        Answer::Reservation(_, reservation) => reservation,
        other => panic!("no reservation: {other:?}"),
    })
}

#[test]
fn three_into_two_seats_none_and_into_three_all_in_one_revision() {
    let mut net = Net::new(1);
    let a = net.node();
    let (host, key) = net.host(a, room(3));
    let (b, [ada, bob, cem]) = trio(&mut net);
    let before = net.view(a, host).revision;
    let request = ask_party(&mut net, b, key, with(&[bob, cem]));
    net.settle();
    assert_eq!(refusal_of(net.answer(b, request)), Refusal::Full);
    assert_eq!((net.view(a, host).revision, net.view(a, host).members.len()), (before, 1));
    assert!(net.nodes[b].seats.is_empty() && net.nodes[b].sessions.is_idle());

    net.update(a, host, SettingsUpdate::new().max_members(4), None);
    let before = net.view(a, host).revision;
    let request = ask_party(&mut net, b, key, with(&[bob, cem]));
    net.settle();
    let seats = seats_of(&net, b, request);
    let view = net.view(a, host);
    assert_eq!(view.revision.number, before.number + 1, "one revision, and none after it");
    for (seat, of) in seats.iter().zip([ada, bob, cem]) {
        assert_eq!(net.seat(b, *seat).opened.user, of);
        assert_eq!(names(&net.seat(b, *seat).events), ["joined", "present", "present", "present", "member joined"]);
        let member = view.member(of).unwrap();
        assert_eq!((member.status, member.link), (MemberStatus::Active, LinkState::Connected));
        assert_eq!(member.joined_revision, view.revision.number);
        let key_here = &net.seat(b, *seat).keys;
        assert!(net.seat(a, host).keys.iter().any(|key| key_here.contains(key)), "a game key each");
    }
    net.run(10 * SECOND);
    assert_eq!(net.view(a, host).members.len(), 4);
    // Each may go alone.
    net.leave(b, seats[1]);
    net.settle();
    assert_eq!(net.view(a, host).members.len(), 3);
    assert_eq!(net.seat(b, seats[0]).left, None);
}

#[test]
fn one_refusal_is_for_all() {
    let mut net = Net::new(2);
    let a = net.node();
    let (host, key) = net.host(a, room(8).role(Role::new("tank").max(2)));
    let (b, [_, bob, cem]) = trio(&mut net);
    net.kick(a, host, cem, true);
    let request = ask_party(&mut net, b, key, with(&[bob, cem]));
    net.settle();
    assert_eq!(refusal_of(net.answer(b, request)), Refusal::Banned);
    net.command(a, |request| Command::Unban { request, seat: host, account: cem });
    let tanks = JoinCommand { role: Some("tank".into()), ..with(&[bob, cem]) };
    let request = ask_party(&mut net, b, key, tanks);
    net.settle();
    assert_eq!(refusal_of(net.answer(b, request)), Refusal::RoleFull);
    for (policy, expected) in
        [(JoinPolicy::FriendsOnly, Refusal::NotFriend), (JoinPolicy::InviteOnly, Refusal::NotInvited)]
    {
        net.update(a, host, SettingsUpdate::new().policy(policy), None);
        let request = ask_party(&mut net, b, key, with(&[bob, cem]));
        net.run(2 * SECOND);
        assert_eq!(refusal_of(net.answer(b, request)), expected);
    }
    net.update(a, host, SettingsUpdate::new().policy(JoinPolicy::Public), None);
    // One who is in already, over another process.
    let c = net.node();
    net.nodes[c].users.clear();
    net.user_with(c, "dan", [50; 32]);
    net.join(c, key);
    let members = net.view(a, host).members.len();
    let what = JoinCommand { reserve_for: vec![account(50)], ..with(&[bob]) };
    let request = ask_party(&mut net, b, key, what);
    net.settle();
    assert_eq!(refusal_of(net.answer(b, request)), Refusal::AlreadyMember);
    assert_eq!(net.view(a, host).members.len(), members);
}

/// A join that the host gets as it is, from a joiner that may say what it likes.
fn raw_join(
    net: &mut Net,
    key: SessionKey,
    leader: u8,
    companions: impl FnOnce(&[u8; 32]) -> Vec<Companion>,
) -> LinkId {
    raw_join_as(net, key, leader, leader, companions)
}

fn raw_join_as(
    net: &mut Net,
    key: SessionKey,
    leader: u8,
    nonce: u8,
    companions: impl FnOnce(&[u8; 32]) -> Vec<Companion>,
) -> LinkId {
    let (host, _, _) = net.listeners[&net.address(key)];
    let (link, binding) = (LinkId(net.nodes[host].next_incoming), [leader; 32]);
    net.nodes[host].next_incoming += 2;
    let remote: SocketAddr = "10.0.9.9:1".parse().unwrap();
    let peer = Identity::from_seed([leader; 32]).unwrap().public();
    let join = Join {
        session: key,
        incarnation: 0,
        nonce: [nonce; 16],
        peer_incarnation: 1,
        version: VERSION,
        name: "eve".into(),
        external: None,
        attributes: Attributes::new(),
        ticket: Vec::new(),
        password_proof: None,
        knock: None,
        invite: None,
        role: None,
        status: MemberStatus::Active,
        party: companions(&binding),
    };
    let local = net.address(key);
    let mut events = vec![
        LinkEvent::Incoming { link, session: key, remote },
        LinkEvent::HelloBegun { link },
        LinkEvent::Open { link, peer, binding, local, remote, fallback: false },
    ];
    events.extend(frames(&Frame::Join(Box::new(join))).into_iter().map(|bytes| LinkEvent::Frame {
        link,
        kind: bytes[2],
        more: bytes[3] != 0,
        payload: bytes[4..].to_vec(),
    }));
    for event in events {
        let now = net.now;
        net.nodes[host].sessions.handle_link(now, event);
    }
    let nobody = net.node();
    net.nodes[nobody].alive = false;
    net.peers.insert((host, link), (nobody, link));
    link
}

/// The last thing that the host says on this link, without the net passing it on.
fn last_frame(net: &mut Net, host: usize, link: LinkId) -> Option<Frame> {
    let mut said = None;
    while let Some(action) = net.nodes[host].sessions.poll_action() {
        if let Action::Send { link: to, bytes } = action {
            if to == link {
                said = Frame::decode(bytes[2], &bytes[4..]).unwrap();
            }
        }
    }
    net.drain();
    said
}

fn companion(user: u8, proof: Option<[u8; 64]>) -> Companion {
    Companion {
        account: account(user),
        name: "mallory".into(),
        external: None,
        attributes: Attributes::new(),
        nonce: [user; 16],
        role: None,
        proof,
    }
}

#[test]
fn a_companions_proof_is_its_own_for_this_channel_session_host_and_attempt() {
    let mut net = Net::new(3);
    let a = net.node();
    let (host, key) = net.host(a, room(8));
    let victim = Identity::from_seed([61; 32]).unwrap();
    let sign = |user: &Identity, binding: &[u8; 32], session, host, nonce: [u8; 16]| {
        Companion::prove(user, binding, session, host, &nonce)
    };
    let other_id = crate::types::SessionId::from_name("other");
    type Forge<'a> = Box<dyn Fn(&[u8; 32]) -> [u8; 64] + 'a>;
    let forged: [(u8, Forge<'_>); 6] = [
        (70, Box::new(|_| [0; 64])),
        (71, Box::new(|b| sign(&Identity::from_seed([71; 32]).unwrap(), b, key.id, key.founder, [71; 16]))),
        (72, Box::new(|_| sign(&victim, &[9; 32], key.id, key.founder, [72; 16]))),
        (73, Box::new(|b| sign(&victim, b, other_id, key.founder, [73; 16]))),
        (74, Box::new(|b| sign(&victim, b, key.id, victim.public().into(), [74; 16]))),
        (75, Box::new(|b| sign(&victim, b, key.id, key.founder, [1; 16]))),
    ];
    for (leader, proof) in forged {
        let link = raw_join(&mut net, key, leader, |binding| vec![companion(61, Some(proof(binding)))]);
        let said = last_frame(&mut net, a, link);
        assert!(matches!(said, Some(Frame::Refuse { refusal: Refusal::Refused(_), .. })), "{leader}: {said:?}");
        assert_eq!(net.view(a, host).members.len(), 1);
    }
    let genuine = |b: &[u8; 32]| vec![companion(61, Some(sign(&victim, b, key.id, key.founder, [76; 16])))];
    let link = raw_join(&mut net, key, 76, genuine);
    assert!(matches!(last_frame(&mut net, a, link), Some(Frame::Accept(_))));
    assert_eq!(net.view(a, host).members.len(), 3);
}

#[test]
fn a_companion_that_never_comes_frees_its_seat_at_the_exact_moment() {
    let mut net = Net::new(4);
    let a = net.node();
    let (host, key) = net.host(a, room(8));
    let user = Identity::from_seed([61; 32]).unwrap();
    let proved = |b: &[u8; 32]| vec![companion(61, Some(Companion::prove(&user, b, key.id, key.founder, &[70; 16])))];
    let link = raw_join(&mut net, key, 70, proved);
    net.drain();
    // The leader itself lives.
    let heartbeats = |net: &mut Net, time: Duration| {
        let end = net.now + time;
        while net.now < end {
            let now = net.now;
            let beat = LinkEvent::Frame { link, kind: kind::HEARTBEAT, more: false, payload: Vec::new() };
            net.nodes[a].sessions.handle_link(now, beat);
            net.run(SECOND.min(end.since(now)));
        }
    };
    let there = |net: &Net| net.view(a, host).member(account(61)).is_some();
    heartbeats(&mut net, Net::tuning().confirm - MICRO);
    assert!(there(&net));
    heartbeats(&mut net, MICRO);
    assert!(!there(&net));
    assert!(net.view(a, host).member(account(70)).is_some());
}

#[test]
fn a_companion_goes_with_a_leader_that_gives_up() {
    let mut net = Net::new(5);
    let a = net.node();
    let (host, key) = net.host(a, room(8));
    let (b, [_, bob, cem]) = trio(&mut net);
    let request = ask_party(&mut net, b, key, with(&[bob, cem]));
    while net.view(a, host).members.len() == 1 {
        net.run(MS);
    }
    assert_eq!(net.view(a, host).members.len(), 4);
    let now = net.now;
    net.nodes[b].sessions.cancel(now, request);
    net.settle();
    assert_eq!(net.view(a, host).members.len(), 1);
    assert_eq!(refusal_of(net.answer(b, request)), Refusal::Cancelled);
    assert!(net.nodes[b].sessions.is_idle() && net.nodes[b].seats.is_empty());
}

#[test]
fn if_one_cannot_take_its_seat_all_leave_and_the_error_says_so() {
    let mut net = Net::new(6);
    let a = net.node();
    let (host, key) = net.host(a, room(8));
    let (b, [ada, bob, cem]) = trio(&mut net);
    let request = ask_party(&mut net, b, key, with(&[bob, cem]));
    while net.view(a, host).members.len() == 1 {
        net.run(MS);
    }
    net.kick(a, host, cem, true);
    net.run(6 * SECOND);
    let error = net.answer(b, request).unwrap_err().to_string();
    assert!(error.contains("all have left") || error.contains("the whole party has left"), "{error}");
    assert_eq!(net.view(a, host).members.len(), 1);
    assert!(net.nodes[b].seats.is_empty(), "nothing was shown to {ada:?}");
    assert!(net.nodes[b].sessions.is_idle());
}

#[test]
fn a_user_signed_out_on_the_way_ends_the_join_of_all() {
    let mut net = Net::new(7);
    let a = net.node();
    let (host, key) = net.host(a, room(8));
    let (b, [_, bob, cem]) = trio(&mut net);
    for wait in [0, 5, 6, 7, 9, 11] {
        net.user_with(b, "bob", [90; 32]);
        let request = ask_party(&mut net, b, key, with(&[account(90), cem]));
        net.run(MS * wait);
        let out = net.request(b);
        let now = net.now;
        net.nodes[b].sessions.sign_out(now, out, account(90));
        net.run(6 * SECOND);
        if let Ok(answer) = net.answer(b, request) {
            panic!("seated within {wait} ms: {answer:?}");
        }
        assert_eq!(net.view(a, host).members.len(), 1, "after {wait} ms");
        assert!(net.nodes[b].sessions.is_idle());
    }
    let _ = bob;
}

#[test]
fn a_leaders_invite_and_a_members_word_on_it_are_enough_for_its_party() {
    let mut net = Net::new(18);
    let a = net.node();
    // The public has no seat at all: all are for the invited and whom they bring.
    let (host, key) = net.host(a, room(5).reserved_slots(5).policy(JoinPolicy::InviteOnly));
    let (b, [ann, bob, cem]) = trio(&mut net);
    let what = crate::types::InviteRequest::from([ann, cem]);
    net.command(a, |request| Command::Invite { request, seat: host, what: Box::new(what) });
    let request = ask_party(&mut net, b, key, JoinCommand { reserve_for: vec![account(50)], ..with(&[bob, cem]) });
    net.settle();
    assert_eq!(seats_of(&net, b, request).len(), 3);
    assert_eq!(net.view(a, host).members.len(), 5);
    let used = net.seat(a, host).events.iter().filter_map(|event| match event {
        SessionEvent::InviteUpdated { account, state: crate::types::InviteState::Accepted, .. } => Some(*account),
        _ => None,
    });
    assert_eq!(used.collect::<Vec<_>>(), [ann, cem], "each invite is used up by its own account");
}

#[test]
fn names_of_all_are_checked_while_they_join() {
    let mut net = Net::new(8);
    let a = net.node();
    let (_, key) = net.host(a, room(8));
    let (b, [_, bob, cem]) = trio(&mut net);
    let first = ask_party(&mut net, b, key, with(&[bob]));
    let second = ask_party(&mut net, b, key, JoinCommand { local_name: "other".into(), ..with(&[cem]) });
    let request = net.request(b);
    let to = net.resolved(key);
    let now = net.now;
    net.nodes[b].sessions.join(now, request, bob, Net::join_command(None), to);
    net.settle();
    assert_eq!(net.answer(b, request).unwrap_err().kind(), ErrorKind::AlreadyExists);
    seats_of(&net, b, first);
    // Its leader is seated already.
    assert!(net.answer(b, second).is_err());
}

#[test]
fn a_party_with_a_password_and_with_lost_links_gets_its_seats() {
    let mut net = Net::new(9);
    let a = net.node();
    let (host, key) = net.host(a, HostRequest::new(room(8)).password("swordfish"));
    let (b, [_, bob, cem]) = trio(&mut net);
    let what = JoinCommand { party: vec![bob, cem], ..Net::join_command(Some("swordfish")) };
    let request = ask_party(&mut net, b, key, what);
    net.settle();
    assert_eq!(seats_of(&net, b, request).len(), 3);
    let (c, [_, bob, cem]) = trio(&mut net);
    let what = JoinCommand { party: vec![bob, cem], ..Net::join_command(Some("swordfish")) };
    let request = ask_party(&mut net, c, key, what);
    while net.view(a, host).members.len() == 4 {
        net.run(MS);
    }
    net.cut_links(c);
    net.run(4 * SECOND);
    let seats = net.nodes[c].done[&request].is_ok();
    assert_eq!(net.view(a, host).members.len(), if seats { 7 } else { 4 });
}

#[test]
fn the_game_judges_a_party_once() {
    let mut net = Net::new(10);
    let a = net.node();
    let (host, key) = net.host(a, HostRequest::new(room(8)).admission(true));
    let (b, [_, bob, cem]) = trio(&mut net);
    let what = JoinCommand { reserve_for: vec![account(50)], ..with(&[bob, cem]) };
    let request = ask_party(&mut net, b, key, what);
    net.settle();
    let asks = |net: &mut Net| -> Vec<_> {
        let events = net.take_events(a, host);
        events.into_iter().filter_map(|e| if let SessionEvent::JoinAsked(ask) = e { Some(ask) } else { None }).collect()
    };
    let asked = asks(&mut net);
    assert_eq!((asked.len(), &asked[0].party), (1, &vec![bob, cem]));
    net.command(a, |_| Command::Answer { seat: host, ask: asked[0].id, verdict: Verdict::Admit });
    net.settle();
    assert_eq!(seats_of(&net, b, request).len(), 3);
    // Who comes for a reserved seat is asked about, too: nobody has seen it before.
    let c = net.node();
    net.nodes[c].users.clear();
    net.user_with(c, "dan", [50; 32]);
    let request = net.ask_join(c, key);
    net.settle();
    let asked = asks(&mut net);
    assert_eq!(asked.len(), 1);
    net.command(a, |_| Command::Answer { seat: host, ask: asked[0].id, verdict: Verdict::Admit });
    net.settle();
    net.seat_of(c, request);
}

#[test]
fn seats_for_a_party_are_claimed_by_their_accounts_and_by_nobody_else() {
    let mut net = Net::new(11);
    let (a, b, c, d) = (net.node(), net.node(), net.node(), net.node());
    let (host, key) = net.host(a, room(4));
    net.nodes[c].users.clear();
    net.user_with(c, "cem", [50; 32]);
    let what = JoinCommand { reserve_for: vec![account(50), account(51)], ..Net::join_command(None) };
    let before = net.view(a, host).revision.number;
    let request = ask_party(&mut net, b, key, what);
    net.settle();
    let seat = net.seat_of(b, request);
    assert_eq!(net.view(a, host).revision.number, before + 1);
    let id = net.seat(b, seat).opened.reservation.expect("a reservation");
    let held = net.view(b, seat).member(account(50)).unwrap().clone();
    assert_eq!((held.status, held.link), (MemberStatus::Reserved, LinkState::Away));
    assert_eq!(held.name, format!("{:?}", account(50)));
    assert_eq!(net.view(a, host).open_slots(), 0);
    assert_eq!(net.refused(d, key), Refusal::Full);
    // Full, closed, locked, in progress and for friends only: its seat is its own.
    let shut = SettingsUpdate::new().closed(true).locked(true).policy(JoinPolicy::InviteOnly).join_in_progress(false);
    net.update(a, host, shut, None);
    net.command(a, |request| Command::SetPhase { request, seat: host, phase: Phase::InProgress });
    net.settle();
    net.take_events(b, seat);
    let claimed = net.join(c, key);
    let now = net.view(b, seat).member(account(50)).unwrap().clone();
    assert_eq!((now.status, now.link, now.name.as_str()), (MemberStatus::Active, LinkState::Connected, "cem"));
    assert_eq!((now.number, now.joined_revision), (held.number, held.joined_revision));
    assert_eq!(names(&net.take_events(b, seat)), ["back", "member updated"]);
    // Claimed seats are no part of it any more.
    let rest = change(&mut net, (b, seat), id, None, ReservationChange::Cancel).unwrap();
    assert!(rest.accounts.is_empty());
    assert_eq!(net.view(a, host).members.len(), 3);
    assert_eq!(net.seat(c, claimed).left, None);
}

#[test]
fn a_ban_and_a_password_still_apply_to_who_claims() {
    let mut net = Net::new(12);
    let (a, c) = (net.node(), net.node());
    let (host, key) = net.host(a, HostRequest::new(room(4)).password("swordfish"));
    net.nodes[c].users.clear();
    net.user_with(c, "cem", [50; 32]);
    reserve(&mut net, a, host, account(50)).unwrap();
    assert_eq!(net.refused(c, key), Refusal::BadPassword);
    net.kick(a, host, account(50), true);
    assert_eq!(net.view(a, host).members.len(), 1);
    let to = net.resolved(key);
    let request = net.ask_join_with(c, Net::join_command(Some("swordfish")), to);
    assert_eq!(net.refusal(c, request), Refusal::Banned);
    assert_eq!(refusal_of(reserve(&mut net, a, host, account(50)).map(|_| Answer::Unit)), Refusal::Banned);
}

#[test]
fn a_reservation_is_all_or_none_and_changed_by_its_leader_alone() {
    let mut net = Net::new(13);
    let (a, b, c) = (net.node(), net.node(), net.node());
    let (host, key) = net.host(a, room(6).role(Role::new("tank").max(1)));
    let (at_b, at_c) = (net.join(b, key), net.join(c, key));
    let before = net.view(a, host).revision;
    let refused = |result: Result<Reservation, Error>| refusal_of(result.map(|_| Answer::Unit));
    let four: Vec<_> = (50..54).map(account).collect();
    assert_eq!(refused(reserve(&mut net, b, at_b, four)), Refusal::Full);
    let seated = net.account(c);
    assert_eq!(refused(reserve(&mut net, b, at_b, [account(50), seated])), Refusal::AlreadyMember);
    let tanks = ReserveRequest::from([account(50), account(51)]).role("tank");
    assert_eq!(refused(reserve(&mut net, b, at_b, tanks)), Refusal::RoleFull);
    let bards = ReserveRequest::from(account(50)).role("bard");
    assert!(matches!(refused(reserve(&mut net, b, at_b, bards)), Refusal::Refused(_)));
    assert_eq!(net.view(a, host).revision, before);

    let held = reserve(&mut net, b, at_b, [account(50), account(51)]).unwrap();
    assert_eq!((held.version, held.accounts.len()), (1, 2));
    assert_eq!(net.view(a, host).revision.number, before.number + 1);
    assert_eq!(refused(reserve(&mut net, c, at_c, account(50))), Refusal::AlreadyMember);
    let theirs = change(&mut net, (c, at_c), held.id, None, ReservationChange::Cancel).unwrap_err();
    assert_eq!(theirs.kind(), ErrorKind::NotOwner);
    let extended = change(&mut net, (b, at_b), held.id, Some(1), ReservationChange::Extend(vec![account(52)])).unwrap();
    assert_eq!((extended.version, extended.accounts.len()), (2, 3));
    let stale = change(&mut net, (b, at_b), held.id, Some(1), ReservationChange::Renew).unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Stale);
    let full = change(&mut net, (b, at_b), held.id, None, ReservationChange::Extend(vec![account(53)]));
    assert_eq!(refused(full), Refusal::Full);
    let absent = vec![account(50), account(53)];
    let absent = change(&mut net, (b, at_b), held.id, None, ReservationChange::Shrink(absent)).unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::NotFound);
    assert_eq!(net.view(a, host).members.len(), 6);
    let lower = net.update(a, host, SettingsUpdate::new().max_members(5), None);
    assert_eq!(net.answer(a, lower).unwrap_err().kind(), ErrorKind::InvalidArgument);
    let shrunk =
        change(&mut net, (b, at_b), held.id, Some(2), ReservationChange::Shrink(vec![account(50), account(52)]))
            .unwrap();
    assert_eq!((shrunk.version, &shrunk.accounts), (3, &vec![account(51)]));
    let gone = change(&mut net, (b, at_b), held.id, None, ReservationChange::Cancel).unwrap();
    assert!(gone.accounts.is_empty());
    let over = change(&mut net, (b, at_b), held.id, None, ReservationChange::Renew).unwrap_err();
    assert_eq!(over.kind(), ErrorKind::NotFound);
    assert_eq!(net.view(c, at_c).members.len(), 3);
}

#[test]
fn a_reservation_ends_at_its_exact_moment_and_renewing_starts_it_again() {
    let mut net = Net::new(14);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, room(8).timeouts(MemberTimeouts::new().reserved(Some(20 * SECOND))));
    net.nodes[b].users.clear();
    net.user_with(b, "bob", [50; 32]);
    let what = |ttl: Option<Duration>, seeds: [u8; 2]| {
        let what = ReserveRequest::from(seeds.map(account));
        ttl.map_or(what.clone(), |ttl| what.ttl(ttl))
    };
    let command = |net: &mut Net, what: ReserveRequest| {
        let request = net.command(a, |request| Command::Reserve { request, seat: host, what: Box::new(what) });
        reservation(net, a, request).unwrap()
    };
    let first = command(&mut net, what(None, [50, 51]));
    let second = command(&mut net, what(Some(25 * SECOND), [52, 53]));
    assert_eq!((first.expires_in, second.expires_in), (Some(20 * SECOND), Some(25 * SECOND)));
    net.run(15 * SECOND);
    let renew = |request| Command::ChangeReservation {
        request,
        seat: host,
        id: first.id,
        expected: None,
        change: ReservationChange::Renew,
    };
    net.command(a, renew);
    net.run(10 * SECOND - MICRO);
    assert_eq!(net.view(a, host).members.len(), 5);
    let before = net.view(a, host).revision.number;
    net.run(MICRO);
    assert_eq!((net.view(a, host).members.len(), net.view(a, host).revision.number), (3, before + 1));
    net.run(10 * SECOND - MS * 5);
    // The claim arrives at the very moment at which the reservation is over: its account is a newcomer like any other.
    net.update(a, host, SettingsUpdate::new().closed(true), None);
    let request = net.ask_join(b, key);
    net.run(MS * 5 - MICRO);
    assert_eq!(net.view(a, host).members.len(), 3);
    net.run(MICRO);
    assert_eq!(net.view(a, host).members.len(), 1);
    net.settle();
    assert_eq!(refusal_of(net.answer(b, request)), Refusal::Closed);
}

#[test]
fn who_holds_seats_is_bounded_and_a_removed_leaders_go_with_it() {
    let mut net = Net::new(15);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, room(100).timeouts(MemberTimeouts::new().reserved(None)));
    let seat = net.join(b, key);
    for seed in 1..=16 {
        reserve(&mut net, b, seat, account(100 + seed)).unwrap();
    }
    let over = reserve(&mut net, b, seat, account(200)).unwrap_err();
    assert!(matches!(over.refusal(), Some(Refusal::Refused(why)) if why.text().contains("16")), "{over}");
    for seed in 1..=16 {
        reserve(&mut net, a, host, account(140 + seed)).unwrap();
    }
    let c = net.node();
    let at_c = net.join(c, key);
    let over = reserve(&mut net, c, at_c, account(200)).unwrap_err();
    assert!(matches!(over.refusal(), Some(Refusal::Refused(why)) if why.text().contains("32")), "{over}");
    let bob = net.account(b);
    let before = net.view(a, host).revision.number;
    net.kick(a, host, bob, false);
    assert_eq!(net.view(a, host).revision.number, before + 1, "in one revision");
    assert_eq!(net.view(a, host).members.len(), 2 + 16);
    reserve(&mut net, c, at_c, account(200)).unwrap();
    // Nothing else would ever free these.
    net.leave(c, at_c);
    net.settle();
    assert_eq!(net.view(a, host).members.len(), 1 + 16);
}

#[test]
fn a_request_to_reserve_takes_effect_once_whatever_becomes_of_its_link() {
    let mut net = Net::new(16);
    let (a, b) = (net.node(), net.node());
    let (host, key) = net.host(a, room(8));
    let seat = net.join(b, key);
    let what = Box::new(ReserveRequest::from(account(50)));
    let request = net.command(b, |request| Command::Reserve { request, seat, what });
    net.run(MS);
    assert_eq!(net.view(a, host).members.len(), 3);
    // Done, and lost on its way back: the same number is sent again over the next link.
    net.cut_links(b);
    net.run(2 * SECOND);
    let held = reservation(&net, b, request).unwrap();
    assert_eq!((held.version, held.accounts), (1, vec![account(50)]));
    assert_eq!(net.view(a, host).members.len(), 3);
}

#[test]
fn reserved_users_and_a_leader_with_a_reserved_seat_join_together() {
    let mut net = Net::new(17);
    let a = net.node();
    let (host, key) = net.host(a, room(4));
    let (b, [ada, bob, cem]) = trio(&mut net);
    reserve(&mut net, a, host, [ada, bob]).unwrap();
    let request = ask_party(&mut net, b, key, with(&[bob, cem]));
    net.settle();
    assert_eq!(seats_of(&net, b, request).len(), 3);
    let view = net.view(a, host);
    assert!(view.members.iter().all(|m| m.status == MemberStatus::Active && m.link == LinkState::Connected));
    assert_eq!(view.members.len(), 4);
}

#[test]
fn a_claim_that_brings_others_is_judged_by_the_switches() {
    let mut net = Net::new(40);
    let a = net.node();
    let (host, key) = net.host(a, room(8));
    let (b, [ada, bob, _]) = trio(&mut net);
    reserve(&mut net, a, host, ada).unwrap();
    let expected = [
        (SettingsUpdate::new().locked(true), Refusal::Locked),
        (SettingsUpdate::new().locked(false).closed(true), Refusal::Closed),
    ];
    for (update, expected) in expected {
        net.update(a, host, update, None);
        let request = ask_party(&mut net, b, key, with(&[bob]));
        net.settle();
        assert_eq!(refusal_of(net.answer(b, request)), expected);
        assert_eq!(net.view(a, host).members.len(), 2);
    }
    // Those who are awaited come all the same.
    net.update(a, host, SettingsUpdate::new().closed(false), None);
    reserve(&mut net, a, host, bob).unwrap();
    net.update(a, host, SettingsUpdate::new().closed(true), None);
    let request = ask_party(&mut net, b, key, with(&[bob]));
    net.settle();
    assert_eq!(seats_of(&net, b, request).len(), 2);
}

#[test]
fn a_leader_that_never_said_a_word_leaves_no_reserved_seat_behind() {
    let mut net = Net::new(41);
    let a = net.node();
    let (host, key) = net.host(a, room(4));
    for _ in 0..2 {
        let link = raw_join(&mut net, key, 70, |_| vec![companion(61, None), companion(62, None)]);
        net.drain();
        assert_eq!(net.view(a, host).members.len(), 4);
        let (now, why) = (net.now, Closed::Broken);
        net.nodes[a].sessions.handle_link(now, LinkEvent::Closed { link, why });
        net.drain();
        assert_eq!(net.view(a, host).members.len(), 1);
    }
}

#[test]
fn seats_of_a_leader_that_has_left_end_whatever_the_timeouts_become() {
    let mut net = Net::new(42);
    let (a, b) = (net.node(), net.node());
    let timeouts = |reserved| MemberTimeouts::new().reserved(reserved);
    let (host, key) = net.host(a, room(8).timeouts(timeouts(Some(30 * SECOND))));
    let seat = net.join(b, key);
    reserve(&mut net, b, seat, account(61)).unwrap();
    net.leave(b, seat);
    net.settle();
    net.update(a, host, SettingsUpdate::new().timeouts(timeouts(None)), None);
    net.run(31 * SECOND);
    assert_eq!(net.view(a, host).members.len(), 1);
}

#[test]
fn a_party_of_the_same_id_takes_no_other_partys_seats() {
    let mut net = Net::new(43);
    let a = net.node();
    let (host, key) = net.host(a, room(8).timeouts(MemberTimeouts::new().reserved(None)));
    // Seats of one that stays a member, under the id that a second leader chooses too.
    let first = raw_join_as(&mut net, key, 70, 9, |_| vec![companion(61, None)]);
    net.drain();
    let second = raw_join_as(&mut net, key, 71, 9, |_| vec![companion(62, None)]);
    assert!(matches!(last_frame(&mut net, a, second), Some(Frame::Refuse { refusal: Refusal::Refused(_), .. })));
    assert_eq!(net.view(a, host).members.len(), 3);
    let (now, why) = (net.now, Closed::Broken);
    net.nodes[a].sessions.handle_link(now, LinkEvent::Closed { link: first, why });
    net.drain();
    assert_eq!(net.view(a, host).members.len(), 1);
}
