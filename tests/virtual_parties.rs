//! Parties, reservations, roles, turns and member states on the virtual LAN, through the public API.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use lansession::testing::{Fault, VirtualLan};
use lansession::{
    Error, ErrorKind, Events, HostRequest, JoinRequest, Lan, Left, LinkState, MemberStatus, MemberTimeouts,
    MemberUpdate, Phase, Refusal, ReservationChange, ReserveRequest, Role, Session, SessionEvent, SessionSettings,
    SettingsUpdate, User,
};

const GAME: &str = "com.example.boxes";
const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn lan(net: &VirtualLan, node: &str) -> Lan {
    net.lan(node, GAME).start().unwrap()
}

fn user(net: &VirtualLan, node: &str) -> User {
    lan(net, node).sign_in(node).unwrap()
}

fn host(net: &VirtualLan, request: impl Into<HostRequest>) -> Session {
    user(net, "host").host(request).wait(2 * SECOND).unwrap()
}

fn room(max: u16) -> SessionSettings {
    SessionSettings::new("room").max_members(max)
}

fn refusal(error: &Error) -> Refusal {
    error.refusal().unwrap_or_else(|| panic!("{error:?}")).clone()
}

fn members(session: &Session) -> usize {
    session.snapshot().members.len()
}

fn drain(events: &mut Events<SessionEvent>) -> Vec<SessionEvent> {
    std::iter::from_fn(|| events.try_next()).collect()
}

/// Three users of one machine.
fn trio(net: &VirtualLan, node: &str) -> [User; 3] {
    let lan = lan(net, node);
    ["ann", "bob", "cem"].map(|name| lan.sign_in(name).unwrap())
}

#[test]
fn a_party_of_three_takes_three_seats_in_one_revision_or_none() {
    let net = VirtualLan::new(1);
    let session = host(&net, room(3));
    let mut events = session.events();
    let [ann, bob, cem] = trio(&net, "sofa");
    let before = session.snapshot().revision;
    let error = ann.join_with(&[&bob, &cem], session.link()).wait(6 * SECOND).unwrap_err();
    assert_eq!(refusal(&error), Refusal::Full);
    assert_eq!((session.snapshot().revision, members(&session)), (before, 1));
    assert!([&ann, &bob, &cem].iter().all(|user| user.sessions().is_empty()));

    session.update(SettingsUpdate::new().max_members(4)).wait(SECOND).unwrap();
    drain(&mut events);
    let seats = ann.join_with(&[&bob, &cem], session.link()).wait(6 * SECOND).unwrap();
    let joined: Vec<_> = drain(&mut events)
        .into_iter()
        .filter_map(|event| match event {
            SessionEvent::MemberJoined { member, revision, .. } => Some((member.account, revision.number)),
            _ => None,
        })
        .collect();
    let at = before.number + 2;
    assert_eq!(joined, [(ann.id(), at), (bob.id(), at), (cem.id(), at)]);
    for (seat, of) in seats.iter().zip([&ann, &bob, &cem]) {
        assert_eq!((seat.user().id(), seat.key()), (of.id(), session.key()));
        assert_eq!(seat.game_key(of.id()).unwrap(), session.game_key(of.id()).unwrap());
    }
    // Each is a member of its own from now on.
    seats[1].update_me(MemberUpdate::new().ready(true)).wait(SECOND).unwrap();
    net.run_until(SECOND, || session.snapshot().member(bob.id()).is_some_and(|member| member.ready)).unwrap();
    seats[2].leave().wait(SECOND).unwrap();
    net.run_until(SECOND, || members(&session) == 3).unwrap();
    drop(seats);
    net.run_until(SECOND, || members(&session) == 1).unwrap();
}

#[test]
fn a_party_that_nobody_waits_for_any_more_leaves() {
    let net = VirtualLan::new(2);
    let session = host(&net, room(8));
    let [ann, bob, cem] = trio(&net, "sofa");
    drop(ann.join_with(&[&bob, &cem], session.link()));
    net.advance(SECOND);
    assert_eq!(members(&session), 1);
    // Kept seats stay without a handle.
    ann.join_with(&[&bob, &cem], session.link()).detach();
    net.run_until(SECOND, || members(&session) == 4).unwrap();
    net.advance(SECOND);
    assert_eq!((members(&session), ann.sessions().len(), cem.sessions().len()), (4, 1, 1));
}

#[test]
fn who_may_be_of_a_party_is_checked_before_a_packet() {
    let net = VirtualLan::new(3);
    let session = host(&net, room(8));
    let [ann, bob, _] = trio(&net, "sofa");
    let stranger = user(&net, "else");
    let kind = |result: Result<Vec<Session>, Error>| result.unwrap_err().kind();
    let link = session.link();
    assert_eq!(kind(ann.join_with(&[&ann], &link).wait(SECOND)), ErrorKind::InvalidArgument);
    assert_eq!(kind(ann.join_with(&[&bob, &bob], &link).wait(SECOND)), ErrorKind::InvalidArgument);
    assert_eq!(kind(ann.join_with(&[&stranger], &link).wait(SECOND)), ErrorKind::InvalidArgument);
    let held = JoinRequest::from(&link).reserve_for([bob.id()]);
    assert_eq!(kind(ann.join_with(&[&bob], held).wait(SECOND)), ErrorKind::InvalidArgument);
    let own = bob.join(&link).wait(6 * SECOND).unwrap();
    assert_eq!(kind(ann.join_with(&[&bob], &link).wait(SECOND)), ErrorKind::AlreadyExists);
    assert_eq!(members(&session), 2);
    drop(own);
}

#[test]
fn a_party_elsewhere_claims_what_its_leader_reserved() {
    let net = VirtualLan::new(4);
    let session = host(&net, room(4));
    let (lead, dan, eve) = (user(&net, "lead"), user(&net, "dan"), user(&net, "eve"));
    let request = JoinRequest::from(session.link()).reserve_for([dan.id(), eve.id()]);
    let seat = lead.join(request).wait(6 * SECOND).unwrap();
    let id = seat.reservation().unwrap();
    let held = session.snapshot().member(dan.id()).unwrap().clone();
    assert_eq!((held.status, held.link), (MemberStatus::Reserved, LinkState::Away));
    let error = user(&net, "late").join(session.link()).wait(6 * SECOND).unwrap_err();
    assert_eq!(refusal(&error), Refusal::Full);
    session.update(SettingsUpdate::new().closed(true)).wait(SECOND).unwrap();
    let at_dan = dan.join(session.link()).wait(6 * SECOND).unwrap();
    let mine = at_dan.snapshot().member(dan.id()).unwrap().clone();
    assert_eq!((mine.status, mine.name.as_str(), mine.number), (MemberStatus::Active, "dan", held.number));

    let renewed = seat.change_reservation(id, ReservationChange::Renew).wait(SECOND).unwrap();
    assert_eq!((&renewed.accounts, renewed.expires_in), (&vec![eve.id()], Some(30 * SECOND)));
    let others = at_dan.change_reservation(id, ReservationChange::Cancel).wait(SECOND).unwrap_err();
    assert_eq!(others.kind(), ErrorKind::NotOwner);
    let stale = seat.change_reservation_if(id, 1, ReservationChange::Cancel).wait(SECOND).unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Stale);
    seat.change_reservation_if(id, renewed.version, ReservationChange::Cancel).wait(SECOND).unwrap();
    assert_eq!(members(&session), 3);
    let error = eve.join(session.link()).wait(6 * SECOND).unwrap_err();
    assert_eq!(refusal(&error), Refusal::Closed);
}

#[test]
fn a_member_reserves_and_the_time_of_it_runs_out() {
    let net = VirtualLan::new(5);
    let session = host(&net, room(6).role(Role::new("tank").max(1)));
    let (bob, dan) = (user(&net, "bob"), user(&net, "dan"));
    let seat = bob.join(session.link()).wait(6 * SECOND).unwrap();
    let twice = seat.reserve([dan.id(), dan.id()]).wait(SECOND).unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::InvalidArgument);
    let unknown = seat.reserve(ReserveRequest::from(dan.id()).role("bard")).wait(SECOND).unwrap_err();
    assert!(unknown.to_string().contains("tank"), "{unknown}");
    let held = seat.reserve(ReserveRequest::from(dan.id()).role("tank").ttl(10 * SECOND)).wait(SECOND).unwrap();
    assert_eq!((held.version, held.expires_in), (1, Some(10 * SECOND)));
    assert_eq!(seat.snapshot().members.len(), 3, "a reservation is answered once its seats can be seen");
    let full = session.set_role(Some("tank")).wait(SECOND).unwrap_err();
    assert_eq!(refusal(&full), Refusal::RoleFull);
    net.advance(11 * SECOND);
    assert_eq!((members(&session), members(&seat)), (2, 2));
    let over = seat.change_reservation(held.id, ReservationChange::Renew).wait(SECOND).unwrap_err();
    assert_eq!(over.kind(), ErrorKind::NotFound);
}

#[test]
fn reserved_then_registered_and_reserved_then_gone() {
    let net = VirtualLan::new(6);
    let session = host(&net, room(4).timeouts(MemberTimeouts::new().reserved(Some(5 * SECOND))));
    let (bob, dan) = (user(&net, "bob"), user(&net, "dan"));
    let reserved = || JoinRequest::from(session.link()).reserved(true);
    let at_bob = bob.join(reserved()).wait(6 * SECOND).unwrap();
    let at_dan = dan.join(reserved()).wait(6 * SECOND).unwrap();
    let mut events = at_dan.events();
    at_bob.register().wait(SECOND).unwrap();
    at_bob.register().wait(SECOND).unwrap();
    net.advance(6 * SECOND);
    assert_eq!(session.snapshot().member(bob.id()).unwrap().status, MemberStatus::Active);
    assert_eq!(session.snapshot().member(dan.id()), None);
    assert!(matches!(drain(&mut events).last(), Some(SessionEvent::Left { why: Left::Expired, .. })));
}

#[test]
fn the_turn_goes_round_and_the_gate_opens_when_all_are_ready() {
    let net = VirtualLan::new(7);
    let session = host(&net, room(4).ready_gate(true));
    let bob = user(&net, "bob");
    let seat = bob.join(session.link()).wait(6 * SECOND).unwrap();
    let mut events = seat.events();
    let ada = session.user().id();
    session.set_turn([bob.id(), ada]).wait(SECOND).unwrap();
    net.run_until(SECOND, || seat.snapshot().turn == [bob.id(), ada]).unwrap();
    assert!(drain(&mut events).iter().any(|event| matches!(event, SessionEvent::TurnChanged { .. })));
    assert_eq!(seat.set_turn([bob.id()]).wait(SECOND).unwrap_err().kind(), ErrorKind::NotOwner);

    let error = session.set_phase(Phase::InProgress).wait(SECOND).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidState);
    assert!(error.to_string().contains("bob") && error.to_string().contains("host"), "{error}");
    for one in [&session, &seat] {
        one.update_me(MemberUpdate::new().ready(true)).wait(SECOND).unwrap();
    }
    session.set_phase(Phase::InProgress).wait(SECOND).unwrap();
    seat.leave().wait(SECOND).unwrap();
    net.run_until(SECOND, || session.snapshot().turn == [ada]).unwrap();
}

#[test]
fn a_party_joins_through_a_lossy_network_whole_or_not_at_all() {
    for seed in 0..20 {
        let net = VirtualLan::new(100 + seed);
        let session = host(&net, room(8));
        let loss = net.fault(Fault::loss(0.1));
        let [ann, bob, cem] = trio(&net, "sofa");
        let mut joining = ann.join_with(&[&bob, &cem], session.link());
        // The machine is unplugged at some moment of it, and back for the last tries.
        net.advance(ms(seed * 3));
        net.cut("sofa", "host");
        net.advance(ms(400));
        net.heal("sofa", "host");
        net.advance(6 * SECOND);
        let seated = joining.try_take().expect("answered by its deadline");
        net.advance(40 * SECOND);
        drop(loss);
        let expected = if seated.is_ok() { 4 } else { 1 };
        assert_eq!(members(&session), expected, "seed {seed}: {:?}", seated.as_ref().err());
    }
}
