//! What goes on while a host lives, whole stack: who would go on after it, its state for them, and what it costs.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use lansession::testing::VirtualLan;
use lansession::{
    ErrorKind, Events, HostRequest, JoinRequest, Migration, Session, SessionEvent, SessionSettings, User,
};

const GAME: &str = "com.example.boxes";
const SECOND: Duration = Duration::from_secs(1);

fn user(net: &VirtualLan, node: &str, name: &str) -> User {
    net.lan(node, GAME).start().unwrap().sign_in(name).unwrap()
}

fn host(net: &VirtualLan, policy: Migration) -> Session {
    let request = HostRequest::new(SessionSettings::new("room")).migration(policy);
    user(net, "host", "Ada").host(request).wait(2 * SECOND).unwrap()
}

fn join(net: &VirtualLan, room: &Session, player: &str) -> Session {
    user(net, player, player).join(room.link()).wait(6 * SECOND).unwrap()
}

fn names(events: &mut Events<SessionEvent>) -> Vec<SessionEvent> {
    std::iter::from_fn(|| events.try_next()).collect()
}

#[test]
fn members_are_successors_in_the_order_of_their_coming() {
    let net = VirtualLan::new(1);
    let room = host(&net, Migration::Quorum);
    let (bob, eve) = (join(&net, &room, "bob"), join(&net, &room, "eve"));
    let wanted = [bob.user().id(), eve.user().id()];
    net.run_until(SECOND, || [&room, &bob, &eve].iter().all(|seat| seat.successors() == wanted)).unwrap();
    room.set_successors([wanted[1]]).wait(SECOND).unwrap();
    net.run_until(SECOND, || bob.successors() == [wanted[1], wanted[0]]).unwrap();
    eve.set_can_host(false).wait(SECOND).unwrap();
    net.run_until(3 * SECOND, || bob.successors() == wanted[..1]).unwrap();
    net.run_until(SECOND, || room.dump().contains("3 of 3 have it")).unwrap();
    assert!(room.dump().contains("migration Quorum, term 1"), "{}", room.dump());
    assert_eq!(bob.set_state("x").wait(SECOND).unwrap_err().kind(), ErrorKind::NotOwner);
    assert_eq!(room.set_state("wave 7").wait(SECOND).unwrap(), 1);
    assert_eq!(room.state().unwrap().data.as_ref(), b"wave 7");
    assert_eq!(bob.state(), None, "what successors keep is nothing to show");
}

#[test]
fn who_declines_at_the_door_is_no_successor() {
    let net = VirtualLan::new(2);
    let room = host(&net, Migration::AnySurvivor);
    let bob = user(&net, "bob", "Bob");
    let seat = bob.join(JoinRequest::from(room.link()).can_host(false)).wait(6 * SECOND).unwrap();
    net.advance(5 * SECOND);
    assert!(room.successors().is_empty() && seat.successors().is_empty());
    assert!(room.dump().contains("2 of 2 have it"), "it votes: {}", room.dump());
}

#[test]
fn a_host_cut_off_from_most_is_told() {
    let net = VirtualLan::new(3);
    let room = host(&net, Migration::Quorum);
    let seats = [join(&net, &room, "bob"), join(&net, &room, "eve")];
    net.run_until(SECOND, || room.successors().len() == 2).unwrap();
    let mut events = room.events();
    names(&mut events);
    net.crash("bob");
    net.crash("eve");
    net.advance(6 * SECOND);
    assert!(names(&mut events).contains(&SessionEvent::QuorumLost));
    drop(seats);
}

#[test]
fn a_session_without_a_policy_has_no_successors() {
    let net = VirtualLan::new(4);
    let room = host(&net, Migration::Disabled);
    let bob = join(&net, &room, "bob");
    net.advance(5 * SECOND);
    assert!(room.successors().is_empty() && bob.successors().is_empty());
    assert!(!room.dump().contains("migration"));
    assert_eq!(room.set_state("x").wait(SECOND).unwrap_err().kind(), ErrorKind::InvalidState);
    assert_eq!(room.set_successors([bob.user().id()]).wait(SECOND).unwrap_err().kind(), ErrorKind::InvalidState);
}
