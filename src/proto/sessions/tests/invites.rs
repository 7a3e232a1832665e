//! Invites: rows of the host, their limits, their exact ends, and what an invite does not pass.

use super::*;
use crate::proto::io::JoinTarget;
use crate::types::{Invite, InviteId, InviteRequest, InviteState, JoinPolicy};
use crate::wire::frame::{Frame, frames, kind};

fn invite(net: &mut Net, node: usize, seat: SeatId, what: impl Into<InviteRequest>) -> Result<Vec<InviteId>, Error> {
    let what = Box::new(what.into());
    let request = net.command(node, |request| Command::Invite { request, seat, what });
    net.settle();
    net.answer(node, request).map(|answer| match answer {
        Answer::Invites(ids) => ids,
        other => panic!("no invites: {other:?}"),
    })
}

/// The invite as it is delivered: by its inviter's process.
fn pointer(net: &Net, inviter: usize, id: InviteId) -> Invite {
    let made = net.nodes[inviter].events.iter().find_map(|event| match event {
        SessionsEvent::InviteMade(invite) if invite.id == id => Some((**invite).clone()),
        _ => None,
    });
    let mut invite = made.expect("made here");
    // This network has its own ports.
    invite.addresses = vec![net.address(invite.session)];
    invite
}

fn ask_with(net: &mut Net, node: usize, invite: &Invite) -> RequestId {
    let what = JoinCommand { target: JoinTarget::Invite(Box::new(invite.clone())), ..Net::join_command(None) };
    let to = Resolved::of_invite(invite, net.now + 5 * SECOND);
    net.ask_join_with(node, what, to)
}

fn refused_with(net: &mut Net, node: usize, invite: &Invite) -> Refusal {
    let request = ask_with(net, node, invite);
    net.settle();
    net.answer(node, request).unwrap_err().refusal().unwrap().clone()
}

fn told(net: &mut Net, node: usize, seat: SeatId) -> Vec<(InviteId, InviteState)> {
    let events = net.take_events(node, seat);
    let states = events.into_iter().filter_map(|event| match event {
        SessionEvent::InviteUpdated { invite, state, .. } => Some((invite, state)),
        _ => None,
    });
    states.collect()
}

fn accounts(count: u8) -> Vec<AccountId> {
    (0..count).map(|at| Identity::from_seed([100 + at; 32]).unwrap().account()).collect()
}

/// A host under invite only, and a member that was invited.
fn circle(net: &mut Net, what: impl Into<HostRequest>) -> (usize, SeatId, SessionKey, usize, SeatId) {
    let (a, b) = (net.node(), net.node());
    let (seat, key) = net.host(a, what);
    let bob = net.account(b);
    let id = invite(net, a, seat, bob).unwrap()[0];
    let request = ask_with(net, b, &pointer(net, a, id));
    net.settle();
    let bobs = net.seat_of(b, request);
    assert_eq!(told(net, a, seat), [(id, InviteState::Accepted)]);
    (a, seat, key, b, bobs)
}

fn invite_only(max: u16) -> SessionSettings {
    room(max).policy(JoinPolicy::InviteOnly)
}

#[test]
fn an_invite_lets_its_invitee_in_once_and_nobody_else() {
    let mut net = Net::new(1);
    let (a, seat, key, b, bobs) = circle(&mut net, invite_only(8));
    let (c, d) = (net.node(), net.node());
    assert_eq!(net.refused(c, key), Refusal::NotInvited);
    let cem = net.account(c);
    let id = invite(&mut net, b, bobs, cem).unwrap()[0];
    let pointer = pointer(&net, b, id);
    assert_eq!((pointer.inviter, pointer.invitee), (net.account(b), cem));
    assert_eq!(refused_with(&mut net, d, &pointer), Refusal::NotInvited, "a stranger with another's invite");
    let request = ask_with(&mut net, c, &pointer);
    net.settle();
    let cems = net.seat_of(c, request);
    assert_eq!(told(&mut net, b, bobs), [(id, InviteState::Accepted)]);
    assert_eq!(told(&mut net, a, seat), [], "the inviter is told, nobody else");
    net.leave(c, cems);
    net.settle();
    assert_eq!(refused_with(&mut net, c, &pointer), Refusal::NotInvited, "it is used");
}

#[test]
fn it_is_over_exactly_when_it_is() {
    let mut net = Net::new(2);
    let (a, b) = (net.node(), net.node());
    let (seat, _) = net.host(a, invite_only(8));
    let bob = net.account(b);
    for (early, fits) in [(MS, true), (Duration::ZERO, false)] {
        let made = net.now;
        let id = invite(&mut net, a, seat, InviteRequest::from(bob).ttl(10 * SECOND)).unwrap()[0];
        let pointer = pointer(&net, a, id);
        // Dial, handshake and Join are five trips; so the Join is there `early` before the end.
        let at = made + 10 * SECOND;
        let wait = at.since(net.now).checked_sub(net.delay * 5 + early).unwrap();
        net.run(wait);
        let request = ask_with(&mut net, b, &pointer);
        net.settle();
        let in_time = net.answer(b, request);
        assert_eq!(in_time.is_ok(), fits, "{in_time:?}");
        let state = if fits { InviteState::Accepted } else { InviteState::Expired };
        assert_eq!(told(&mut net, a, seat), [(id, state)]);
        match in_time {
            Ok(Answer::Seat(bobs)) => {
                net.leave(b, bobs);
                net.settle();
            }
            other => assert_eq!(other.unwrap_err().refusal(), Some(&Refusal::InviteExpired)),
        }
        assert_eq!(
            refused_with(&mut net, a + 1, &pointer),
            if fits { Refusal::NotInvited } else { Refusal::InviteExpired }
        );
    }
    let c = net.node();
    let id = invite(&mut net, a, seat, InviteRequest::from(bob).ttl(SECOND)).unwrap()[0];
    let pointer = pointer(&net, a, id);
    net.run(2 * SECOND);
    assert_eq!(refused_with(&mut net, c, &pointer), Refusal::NotInvited, "expired, and never this account's");
}

#[test]
fn it_passes_policy_and_hidden_and_reserved_but_no_switch_no_phase_and_no_ban() {
    let mut net = Net::new(3);
    let (a, seat, _, b, bobs) = circle(&mut net, invite_only(4).reserved_slots(3).listed(false));
    let c = net.node();
    let cem = net.account(c);
    let id = invite(&mut net, b, bobs, cem).unwrap()[0];
    let pointer = pointer(&net, b, id);
    net.update(a, seat, SettingsUpdate::new().locked(true), None);
    assert_eq!(refused_with(&mut net, c, &pointer), Refusal::Locked);
    net.update(a, seat, SettingsUpdate::new().closed(true), None);
    assert_eq!(refused_with(&mut net, c, &pointer), Refusal::Closed);
    net.update(a, seat, SettingsUpdate::new().join_in_progress(false), None);
    net.command(a, |request| Command::SetPhase { request, seat, phase: Phase::InProgress });
    assert_eq!(refused_with(&mut net, c, &pointer), Refusal::InProgress);
    net.command(a, |request| Command::SetPhase { request, seat, phase: Phase::Lobby });
    net.update(a, seat, SettingsUpdate::new().closed(false).locked(false), None);
    net.update(a, seat, SettingsUpdate::new().policy(JoinPolicy::FriendsOnly), None);
    let request = ask_with(&mut net, c, &pointer);
    net.settle();
    let cems = net.seat_of(c, request);
    assert_eq!(net.view(a, seat).open_slots(), 0, "in a reserved slot");
    net.leave(c, cems);
    net.settle();
    let id = invite(&mut net, b, bobs, cem).unwrap()[0];
    told(&mut net, b, bobs);
    net.kick(a, seat, cem, true);
    net.settle();
    assert_eq!(told(&mut net, b, bobs), [(id, InviteState::Revoked)], "a ban takes the invite with it");
    assert_eq!(refused_with(&mut net, c, &pointer), Refusal::Banned);
    assert_eq!(invite(&mut net, b, bobs, cem).unwrap_err().kind(), ErrorKind::Forbidden);
    let unbanned = net.command(a, |request| Command::Unban { request, seat, account: cem });
    net.settle();
    assert!(net.answer(a, unbanned).is_ok() && net.seat(a, seat).bans.is_empty());
    let ada = net.account(a);
    assert_eq!(invite(&mut net, b, bobs, ada).unwrap_err().kind(), ErrorKind::AlreadyExists);
}

#[test]
fn the_password_is_passed_if_the_host_says_so_and_for_as_long_as_the_seat_lasts() {
    let mut net = Net::new(4);
    let (a, b, c) = (net.node(), net.node(), net.node());
    let (seat, key) = net.host(a, HostRequest::new(room(8)).password("swordfish"));
    let (bob, cem) = (net.account(b), net.account(c));
    let plain = invite(&mut net, a, seat, bob).unwrap()[0];
    let plain = pointer(&net, a, plain);
    assert_eq!(refused_with(&mut net, b, &plain), Refusal::BadPassword);
    let passing = invite(&mut net, a, seat, InviteRequest::from(bob).passes_password(true)).unwrap()[0];
    assert_eq!(passing, plain.id, "the same invite, made better");
    let request = ask_with(&mut net, b, &plain);
    net.settle();
    let bobs = net.seat_of(b, request);
    let not_his = invite(&mut net, b, bobs, InviteRequest::from(cem).passes_password(true));
    assert_eq!(not_his.unwrap_err().kind(), ErrorKind::NotOwner);
    net.cut_links(b);
    net.run(SECOND);
    assert!(net.seat(b, bobs).events.contains(&SessionEvent::Reconnected));
    net.leave(b, bobs);
    net.settle();
    assert_eq!(net.refused(b, key), Refusal::BadPassword);
}

#[test]
fn a_held_seat_is_the_invitees_for_a_minute_and_half_the_seats_are_the_most() {
    let mut net = Net::new(5);
    let (a, b, c) = (net.node(), net.node(), net.node());
    let (seat, key) = net.host(a, room(4));
    let others = accounts(4);
    let held = invite(&mut net, a, seat, InviteRequest::from(others[0]).hold(true)).unwrap()[0];
    assert_eq!(net.nodes[a].adverts[&key].facts.open_slots, 2, "strangers see what they can have");
    let again = invite(&mut net, a, seat, InviteRequest::from(others[1]).hold(true));
    assert!(again.unwrap_err().to_string().contains("holds a seat"));
    let bobs = net.join(b, key);
    // Two seats are open, one is held: half of them.
    let over = invite(&mut net, b, bobs, InviteRequest::from(others[1]).hold(true));
    assert!(over.unwrap_err().to_string().contains("1 of 2 open seats"));
    let cems = net.join(c, key);
    let d = net.node();
    assert_eq!(net.refused(d, key), Refusal::Full);
    // Six seconds were waited for that, and some milliseconds for each step.
    let left = (Moment::ZERO + 61 * SECOND).since(net.now);
    net.run(left - net.delay * 6 - MS);
    assert_eq!(net.refused(d, key), Refusal::Full, "until the very end");
    net.join(d, key);
    assert!(told(&mut net, a, seat).is_empty(), "the invite itself still counts");
    net.leave(c, cems);
    net.settle();
    let revoked = net.command(a, |request| Command::Revoke { request, seat, invite: held });
    net.settle();
    assert!(net.answer(a, revoked).is_ok());
}

#[test]
fn an_invitee_takes_the_seat_that_is_held_for_it_when_all_others_are_gone() {
    let mut net = Net::new(6);
    let (a, b, c, d) = (net.node(), net.node(), net.node(), net.node());
    let (seat, key) = net.host(a, room(3));
    let cem = net.account(c);
    let id = invite(&mut net, a, seat, InviteRequest::from(cem).hold(true)).unwrap()[0];
    net.join(b, key);
    assert_eq!(net.refused(d, key), Refusal::Full);
    assert_eq!(net.nodes[a].adverts[&key].facts.open_slots, 0);
    let pointer = pointer(&net, a, id);
    let request = ask_with(&mut net, c, &pointer);
    net.settle();
    net.seat_of(c, request);
    assert_eq!(net.view(a, seat).members.len(), 3);
}

/// Found by the simulator (hostile, seed 0x494ad). Fails when only members count as taken.
#[test]
fn a_session_does_not_become_too_small_for_the_seats_it_holds() {
    let mut net = Net::new(8);
    let a = net.node();
    let (seat, _) = net.host(a, room(4));
    invite(&mut net, a, seat, InviteRequest::from(accounts(1)[0]).hold(true)).unwrap();
    let small = net.update(a, seat, SettingsUpdate::new().max_members(1), None);
    assert!(net.answer(a, small).unwrap_err().to_string().contains("2 seats are taken"));
    let fits = net.update(a, seat, SettingsUpdate::new().max_members(2), None);
    net.answer(a, fits).unwrap();
}

#[test]
fn a_held_seat_is_free_again_when_its_invite_is_rejected_revoked_or_undeliverable() {
    let mut net = Net::new(7);
    let (a, _, key, b, bobs) = circle(&mut net, invite_only(4).listed(true));
    let c = net.node();
    let cem = net.account(c);
    let open = |net: &Net| net.nodes[a].adverts[&key].facts.open_slots;
    let hold = InviteRequest::from(cem).hold(true);
    let id = invite(&mut net, b, bobs, hold.clone()).unwrap()[0];
    assert_eq!(open(&net), 1);
    let pointer = pointer(&net, b, id);
    // A stranger's no frees nothing, and is answered like the invitee's own.
    let d = net.node();
    let stranger = Invite { invitee: net.account(d), ..pointer.clone() };
    let reject = |net: &mut Net, node: usize, invite: &Invite| {
        let request = net.request(node);
        let (now, deadline) = (net.now, net.now + 5 * SECOND);
        net.nodes[node].sessions.reject_invite(now, request, invite, deadline);
        net.drain();
        net.settle();
        net.answer(node, request)
    };
    assert!(matches!(reject(&mut net, d, &stranger), Ok(Answer::Unit)));
    assert_eq!((open(&net), told(&mut net, b, bobs)), (1, vec![]));
    assert!(matches!(reject(&mut net, c, &pointer), Ok(Answer::Unit)));
    assert_eq!((open(&net), told(&mut net, b, bobs)), (2, vec![(id, InviteState::Rejected)]));
    assert!(matches!(reject(&mut net, c, &pointer), Ok(Answer::Unit)), "twice is once");
    assert_eq!(told(&mut net, b, bobs), []);

    let id = invite(&mut net, b, bobs, hold.clone()).unwrap()[0];
    let bob = net.account(b);
    assert_eq!(open(&net), 1);
    for state in [InviteState::Delivered, InviteState::Unreachable] {
        let now = net.now;
        net.nodes[b].sessions.invite_delivery(now, key, bob, id, state);
        net.settle();
    }
    let both = vec![(id, InviteState::Delivered), (id, InviteState::Unreachable)];
    assert_eq!((open(&net), told(&mut net, b, bobs)), (2, both));
    let revoked = net.command(b, |request| Command::Revoke { request, seat: bobs, invite: id });
    net.settle();
    assert!(net.answer(b, revoked).is_ok());
    assert_eq!(told(&mut net, b, bobs), [(id, InviteState::Revoked)]);
    let now = net.now;
    net.nodes[b].sessions.invite_delivery(now, key, bob, id, InviteState::Unreachable);
    net.settle();
    assert_eq!(told(&mut net, b, bobs), [], "nothing follows an end");
    assert_eq!(refused_with(&mut net, c, &pointer).code(), Refusal::NotInvited.code(), "under invite only");
}

#[test]
fn sixteen_open_invites_of_one_inviter_and_sixty_four_in_all() {
    let mut net = Net::new(8);
    let a = net.node();
    let (seat, key) = net.host(a, room(20));
    let invitees = |from: u8| -> Vec<AccountId> {
        (0..16).map(|at| Identity::from_seed([from + at; 32]).unwrap().account()).collect()
    };
    let ids = invite(&mut net, a, seat, invitees(100)).unwrap();
    assert_eq!(ids.len(), 16);
    let one = accounts(40)[39];
    let over = invite(&mut net, a, seat, one).unwrap_err();
    assert!(over.refusal().is_some_and(|refusal| matches!(refusal, Refusal::TooManyRequests { .. })));
    assert_eq!(invite(&mut net, a, seat, invitees(100)).unwrap(), ids, "the same again are the same");
    for _ in 0..3 {
        let node = net.node();
        let theirs = net.join(node, key);
        assert_eq!(invite(&mut net, node, theirs, invitees(100)).unwrap().len(), 16);
    }
    let node = net.node();
    let theirs = net.join(node, key);
    let over = invite(&mut net, node, theirs, one).unwrap_err();
    assert!(over.refusal().is_some_and(|refusal| matches!(refusal, Refusal::TooManyRequests { .. })));
    net.run(301 * SECOND);
    assert!(invite(&mut net, node, theirs, one).is_ok(), "those are over");
    assert_eq!(told(&mut net, a, seat).iter().filter(|(_, state)| *state == InviteState::Expired).count(), 16);
}

#[test]
fn who_leaves_keeps_its_word_and_who_is_kicked_does_not() {
    let mut net = Net::new(9);
    let (a, seat, key, b, bobs) = circle(&mut net, invite_only(8));
    let (c, d) = (net.node(), net.node());
    let (cem, dan) = (net.account(c), net.account(d));
    let id = invite(&mut net, b, bobs, vec![cem, dan]).unwrap()[0];
    let mine = pointer(&net, b, id);
    net.leave(b, bobs);
    net.settle();
    let request = ask_with(&mut net, c, &mine);
    net.settle();
    let cems = net.seat_of(c, request);
    let e = net.node();
    let eve = net.account(e);
    let id = invite(&mut net, c, cems, eve).unwrap()[0];
    let theirs = pointer(&net, c, id);
    net.kick(a, seat, cem, false);
    net.settle();
    assert_eq!(refused_with(&mut net, e, &theirs), Refusal::NotInvited);
    // Dan's is of who left: it stands.
    net.join(d, key);
}

#[test]
fn an_inviter_whose_link_was_lost_is_told_when_it_is_back_and_a_lost_answer_is_given_again() {
    let mut net = Net::new(10);
    let (_, _, _, b, bobs) = circle(&mut net, invite_only(8));
    let c = net.node();
    let cem = net.account(c);
    let id = invite(&mut net, b, bobs, cem).unwrap()[0];
    let pointer = pointer(&net, b, id);
    net.dark.insert(b);
    net.run(4 * SECOND);
    let request = ask_with(&mut net, c, &pointer);
    net.settle();
    net.seat_of(c, request);
    assert_eq!(told(&mut net, b, bobs), []);
    net.dark.remove(&b);
    net.cut_links(b);
    net.run(10 * SECOND);
    assert_eq!(told(&mut net, b, bobs), [(id, InviteState::Accepted)]);
    // The request arrives, its answer does not.
    let d = net.node();
    let what = Box::new(InviteRequest::from(net.account(d)));
    let request = net.command(b, |request| Command::Invite { request, seat: bobs, what });
    net.run(net.delay);
    net.cut_links(b);
    net.run(2 * SECOND);
    assert!(matches!(net.answer(b, request), Ok(Answer::Invites(ids)) if ids.len() == 1));
}

#[test]
fn a_hidden_session_and_one_that_is_not_there_look_the_same() {
    let mut net = Net::new(11);
    let (a, b) = (net.node(), net.node());
    let (_, key) = net.host(a, room(4).listed(false));
    let wrong = SessionKey { id: crate::types::SessionId::from_name("no"), ..key };
    let mut took = Vec::new();
    for asked in [None, Some(wrong)] {
        let to = Resolved { key: asked, ..net.resolved(key) };
        let from = net.now;
        let request = net.ask_join_with(b, Net::join_command(None), to);
        while !net.nodes[b].done.contains_key(&request) {
            net.run(MS);
        }
        assert_eq!(net.answer(b, request).unwrap_err().refusal(), Some(&Refusal::NotFound));
        took.push(net.now.since(from));
    }
    assert_eq!(took[0], took[1]);
    // Who knows it by its own process joins by its id; who has a link has its key.
    let known = net.nodes[a].sessions.hidden(|k| k.id == key.id, net.now).expect("hosted here");
    assert_eq!((known.key, known.candidates.len()), (Some(key), 1));
    net.join(b, key);
    assert!(net.nodes[b].sessions.hidden(|k| k.id == key.id, net.now).is_some(), "a member knows it, too");
}

#[test]
fn a_request_that_no_handle_makes_is_refused_by_the_host() {
    let mut net = Net::new(12);
    let (a, seat, key, b, _) = circle(&mut net, invite_only(8));
    let member = *net.peers.keys().find(|(at, _)| *at == b).unwrap();
    let (_, link) = net.peers[&member];
    for (number, what) in [
        InviteRequest::from(vec![]),
        InviteRequest::from(accounts(1)).ttl(Duration::ZERO),
        InviteRequest::from(accounts(2)).hold(true),
        InviteRequest::from(accounts(1)).passes_password(true),
    ]
    .into_iter()
    .enumerate()
    {
        let number = 100 + u32::try_from(number).unwrap();
        let frame = Frame::Request { number, body: crate::wire::frame::Request::Invite(what) };
        for bytes in frames(&frame) {
            let event = LinkEvent::Frame { link, kind: bytes[2], more: false, payload: bytes[4..].to_vec() };
            net.nodes[a].sessions.handle_link(net.now, event);
        }
        let failed = std::iter::from_fn(|| net.nodes[a].sessions.poll_action()).any(|action| match action {
            Action::Send { bytes, .. } => {
                bytes[2] == kind::DONE
                    && matches!(
                        Frame::decode(bytes[2], &bytes[4..]),
                        Ok(Some(Frame::Done { result: crate::wire::frame::DoneResult::Failed { .. }, .. }))
                    )
            }
            _ => false,
        });
        assert!(failed, "{number}");
    }
    let c = net.node();
    assert_eq!(net.refused(c, key), Refusal::NotInvited);
    assert_eq!(net.view(a, seat).members.len(), 2);
}

#[test]
fn an_invite_that_ends_while_the_game_thinks_stands_for_no_password_any_more() {
    let mut net = Net::new(14);
    let (a, b) = (net.node(), net.node());
    let (seat, _) = net.host(a, HostRequest::new(room(8)).password("swordfish").admission(true));
    let bob = net.account(b);
    let id = invite(&mut net, a, seat, InviteRequest::from(bob).passes_password(true)).unwrap()[0];
    let pointer = pointer(&net, a, id);
    let request = ask_with(&mut net, b, &pointer);
    net.settle();
    let Some(SessionEvent::JoinAsked(asked)) = net.take_events(a, seat).pop() else { panic!("not asked") };
    net.command(a, |request| Command::Revoke { request, seat, invite: id });
    net.nodes[a].sessions.command(net.now, Command::Answer { seat, ask: asked.id, verdict: Verdict::Admit });
    assert_eq!(net.refusal(b, request), Refusal::BadPassword);
}

#[test]
fn a_seat_that_nobody_took_uses_no_invite_up() {
    let mut net = Net::new(15);
    let (a, b) = (net.node(), net.node());
    let (seat, _) = net.host(a, invite_only(8));
    let bob = net.account(b);
    let id = invite(&mut net, a, seat, bob).unwrap()[0];
    let pointer = pointer(&net, a, id);
    // Dial, handshake, Join: the host has its row and the joiner not yet its Accept when the link breaks.
    let request = ask_with(&mut net, b, &pointer);
    net.run(net.delay * 5 + MS / 2);
    assert_eq!(net.view(a, seat).members.len(), 2);
    net.cut_links(b);
    net.settle();
    net.run(SECOND);
    net.seat_of(b, request);
    assert_eq!(told(&mut net, a, seat), [(id, InviteState::Accepted)], "told once, when it is there to stay");
    let cem = accounts(1)[0];
    assert!(invite(&mut net, a, seat, cem).is_ok());
}
