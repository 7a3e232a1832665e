//! Who may join, through the whole stack on the virtual LAN: friends of members, invites, hidden sessions.
#![cfg(all(feature = "testing", feature = "serde"))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use lansession::testing::VirtualLan;
use lansession::{
    AccountId, ErrorKind, Event, Events, HostRequest, Invite, InviteId, InviteRequest, InviteState, JoinPolicy,
    Refusal, Result, Session, SessionEvent, SessionQuery, SessionSettings, SettingsUpdate, UiTarget, User,
};
use serde_json::json;

const GAME: &str = "com.example.boxes";
const SECOND: Duration = Duration::from_secs(1);

fn user(net: &VirtualLan, name: &str) -> User {
    net.lan(name, GAME).start().unwrap().sign_in(name).unwrap()
}

fn room(policy: JoinPolicy) -> SessionSettings {
    SessionSettings::new("Ada's room").max_members(8).policy(policy)
}

fn host(ada: &User, request: impl Into<HostRequest>) -> Session {
    ada.host(request).wait(2 * SECOND).unwrap()
}

fn refusal(result: Result<Session>) -> Refusal {
    let error = result.unwrap_err();
    error.refusal().unwrap_or_else(|| panic!("{error:?}")).clone()
}

/// The invite as its invitee has it.
fn invite(session: &Session, id: InviteId, inviter: &User, invitee: AccountId) -> Invite {
    serde_json::from_value(json!({
        "id": id, "session": session.key(), "host_key": session.snapshot().host_key, "incarnation": 0,
        "name": session.snapshot().name, "inviter": inviter.id(), "inviter_name": inviter.name(), "invitee": invitee,
        "addresses": session.addresses(), "expires_in": { "secs": 300, "nanos": 0 }, "hold": false,
    }))
    .unwrap()
}

fn states(events: &mut Events<SessionEvent>) -> Vec<(AccountId, InviteState)> {
    let told = |event| match event {
        SessionEvent::InviteUpdated { account, state, .. } => Some((account, state)),
        _ => None,
    };
    std::iter::from_fn(|| events.try_next()).filter_map(told).collect()
}

#[test]
fn a_friend_of_a_member_gets_in_and_a_stranger_does_not() {
    let net = VirtualLan::new(1);
    let (ada, bob, cem, dan) = (user(&net, "Ada"), user(&net, "Bob"), user(&net, "Cem"), user(&net, "Dan"));
    ada.set_friends([bob.id()]).unwrap();
    bob.set_friends([cem.id(), ada.id(), cem.id()]).unwrap();
    assert_eq!(bob.friends().len(), 2);
    let session = host(&ada, room(JoinPolicy::FriendsOnly).listed(true));
    let bobs = bob.join(session.link()).wait(SECOND).unwrap();
    let found = cem.find(SessionQuery::new().enough(1)).wait(SECOND).unwrap();
    let before = net.now();
    let cems = cem.join(&found[0]).wait(SECOND).unwrap();
    assert!(net.now() - before < Duration::from_millis(50), "a yes takes a member's round trip");
    let before = net.now();
    assert_eq!(refusal(dan.join(session.link()).wait(5 * SECOND)), Refusal::NotFriend);
    assert!(net.now() - before >= Duration::from_millis(500));
    assert_eq!(cems.snapshot().members.len(), 3);
    // The member whose word it was has left: its friends are strangers now, who is in stays in.
    cems.leave().wait(SECOND).unwrap();
    bobs.leave().wait(SECOND).unwrap();
    assert_eq!(refusal(cem.join(session.link()).wait(5 * SECOND)), Refusal::NotFriend);
    session.update(SettingsUpdate::new().policy(JoinPolicy::Public)).wait(SECOND).unwrap();
    dan.join(session.link()).wait(SECOND).unwrap().leave().wait(SECOND).unwrap();
}

#[test]
fn friends_end_with_the_sign_in_and_have_a_bound() {
    let net = VirtualLan::new(2);
    let (ada, bob) = (user(&net, "Ada"), user(&net, "Bob"));
    let crowd = (0..1_025_u32).map(|at| {
        let mut seed = [7; 32];
        seed[..4].copy_from_slice(&at.to_be_bytes());
        lansession::Identity::from_seed(seed).unwrap().account()
    });
    let error = ada.set_friends(crowd).unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidArgument && error.to_string().contains("1024"), "{error}");
    let mut twice = [vec![bob.id(); 1_025], vec![ada.id()]].concat();
    ada.set_friends(twice.clone()).unwrap();
    twice.sort();
    twice.dedup();
    assert_eq!(ada.friends(), twice, "each counts once, and none is lost");
    ada.set_friends([bob.id()]).unwrap();
    ada.sign_out().wait(SECOND).unwrap();
    assert_eq!(ada.set_friends([bob.id()]).unwrap_err().kind(), ErrorKind::InvalidState);
    assert!(ada.friends().is_empty());
}

#[test]
fn an_invite_admits_its_invitee_and_nobody_else_and_not_for_ever() {
    let net = VirtualLan::new(3);
    let (ada, bob, cem) = (user(&net, "Ada"), user(&net, "Bob"), user(&net, "Cem"));
    let session = host(&ada, room(JoinPolicy::InviteOnly));
    let mut at_host = session.events();
    assert_eq!(refusal(bob.join(session.link()).wait(SECOND)), Refusal::NotInvited);
    let ids = session.invite(bob.id()).wait(SECOND).unwrap();
    let bobs = invite(&session, ids[0], &ada, bob.id());
    assert_eq!(refusal(cem.join(&bobs).wait(SECOND)), Refusal::NotInvited);
    let seat = bob.join(UiTarget::from(bobs.clone())).wait(SECOND).unwrap();
    net.advance(SECOND);
    // There is nobody at Bob's to tell: his process takes no invites.
    let told = states(&mut at_host);
    assert_eq!(told.last(), Some(&(bob.id(), InviteState::Accepted)), "{told:?}");

    // A member invites, briefly.
    let mut at_bob = seat.events();
    let request = InviteRequest::from([cem.id()]).ttl(2 * SECOND).hold(true);
    let ids = seat.invite(request).wait(SECOND).unwrap();
    let cems = invite(&session, ids[0], &bob, cem.id());
    net.advance(3 * SECOND);
    assert_eq!(refusal(cem.join(&cems).wait(SECOND)), Refusal::InviteExpired);
    assert_eq!(states(&mut at_bob).last(), Some(&(cem.id(), InviteState::Expired)));
    assert_eq!(session.revoke(ids[0]).wait(SECOND).unwrap_err().kind(), ErrorKind::NotFound);

    let ids = seat.invite(vec![cem.id()]).wait(SECOND).unwrap();
    let cems = invite(&session, ids[0], &bob, cem.id());
    session.revoke(ids[0]).wait(SECOND).unwrap();
    net.advance(SECOND);
    assert_eq!(states(&mut at_bob).last(), Some(&(cem.id(), InviteState::Revoked)));
    assert_eq!(refusal(cem.join(&cems).wait(SECOND)), Refusal::NotInvited);
}

#[test]
fn what_no_invite_can_be_fails_at_the_call() {
    let net = VirtualLan::new(4);
    let (ada, bob) = (user(&net, "Ada"), user(&net, "Bob"));
    let session = host(&ada, room(JoinPolicy::Public));
    let seat = bob.join(session.link()).wait(SECOND).unwrap();
    let kind = |session: &Session, request: InviteRequest| session.invite(request).wait(SECOND).unwrap_err().kind();
    assert_eq!(kind(&session, InviteRequest::from(vec![])), ErrorKind::InvalidArgument);
    assert_eq!(kind(&session, bob.id().into()), ErrorKind::AlreadyExists);
    let other = lansession::Identity::from_seed([9; 32]).unwrap().account();
    assert_eq!(kind(&seat, InviteRequest::from(other).passes_password(true)), ErrorKind::NotOwner);
    assert_eq!(kind(&seat, ada.id().into()), ErrorKind::AlreadyExists);
    session.ban(other, "").wait(SECOND).unwrap();
    assert_eq!((session.bans(), seat.bans()), (vec![other], vec![]));
    assert_eq!(kind(&seat, other.into()), ErrorKind::Forbidden);
    session.unban(other).wait(SECOND).unwrap();
    assert!(session.bans().is_empty());
    seat.leave().wait(SECOND).unwrap();
    assert_eq!(kind(&seat, other.into()), ErrorKind::Ended);
}

#[test]
fn a_hidden_session_is_joined_by_link_by_invite_and_by_who_is_at_home_there() {
    let net = VirtualLan::new(5);
    let homes = (net.lan("Ada", GAME).start().unwrap(), net.lan("Bob", GAME).start().unwrap());
    let (ada, bob, cem) = (homes.0.sign_in("Ada").unwrap(), homes.1.sign_in("Bob").unwrap(), user(&net, "Cem"));
    let session = host(&ada, room(JoinPolicy::Public).listed(false));
    assert!(bob.find(SessionQuery::new()).wait(3 * SECOND).unwrap().is_empty());
    // By nothing but its id or its host's address it looks like none.
    assert_eq!(refusal(bob.join(session.id()).wait(6 * SECOND)), Refusal::NotFound);
    assert_eq!(refusal(bob.join(session.addresses()[0]).wait(6 * SECOND)), Refusal::NotFound);
    bob.join(session.link()).wait(SECOND).unwrap().keep();
    let ids = session.invite(cem.id()).wait(SECOND).unwrap();
    cem.join(invite(&session, ids[0], &ada, cem.id())).wait(SECOND).unwrap().keep();
    // A second player at the host's machine, and one at a member's.
    let homes: [(&lansession::Lan, &str); 2] = [(&homes.0, "Eve"), (&homes.1, "Fay")];
    for (lan, name) in homes {
        let player = lan.sign_in(name).unwrap();
        player.join(session.id()).wait(SECOND).unwrap().keep();
    }
    assert_eq!(session.snapshot().members.len(), 5);
}

#[test]
fn in_frame_mode_bans_and_invites_are_seen_with_updates() {
    let net = VirtualLan::new(6);
    let mut frames = net.lan("Ada", GAME).start_frames().unwrap();
    let ada = frames.lan().sign_in("Ada").unwrap();
    let session = ada.host(room(JoinPolicy::Public)).wait(SECOND).unwrap();
    let other = lansession::Identity::from_seed([9; 32]).unwrap().account();
    let ids = session.invite(other).wait(SECOND).unwrap();
    session.ban(other, "").wait(SECOND).unwrap();
    assert!(session.bans().is_empty());
    let told: Vec<Event> = frames.update().collect();
    let revoked = told.iter().any(|event| {
        matches!(event, Event::Session { what: SessionEvent::InviteUpdated { invite, state: InviteState::Revoked, .. }, .. }
            if *invite == ids[0])
    });
    assert!(revoked && session.bans() == [other], "{told:?}");
}
