//! Links that are opened: what they raise, what they do not do, and how many a second.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use lansession::testing::VirtualLan;
use lansession::{
    ErrorKind, Event, HostKey, JoinLink, SessionId, SessionKey, SessionSettings, UiTarget, User, UserEvent,
};

const GAME: &str = "com.example.boxes";
const SECOND: Duration = Duration::from_secs(1);

fn user(net: &VirtualLan, node: &str, name: &str) -> User {
    net.lan(node, GAME).start().unwrap().sign_in(name).unwrap()
}

fn link(game: &str) -> JoinLink {
    let founder = HostKey::from_bytes([9; 32]).unwrap();
    let key = SessionKey { id: SessionId::from_name("arena"), founder };
    JoinLink::new(game, key, founder, ["10.77.0.9:40000".parse().unwrap()]).unwrap()
}

fn target(event: Option<UserEvent>) -> UiTarget {
    match event {
        Some(UserEvent::UiJoinRequested { target, .. }) => target,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_link_is_shown_and_joined_only_when_the_game_says_so() {
    let net = VirtualLan::new(1);
    let room = user(&net, "host", "Ada").host(SessionSettings::new("room").listed(false)).wait(SECOND).unwrap();
    let bob = user(&net, "bob", "Bob");
    let cid = user(&net, "cid", "Cid");
    let (mut events, mut of_cid) = (bob.events(), cid.events());
    net.advance(SECOND);
    let packets = net.traffic().datagrams;
    bob.open_link(&room.link().to_string()).unwrap();
    let shown = target(events.try_next());
    assert_eq!(shown, UiTarget::Link(room.link()));
    net.advance(10 * SECOND);
    assert_eq!((net.traffic().datagrams, room.snapshot().members.len()), (packets, 1), "nothing is asked or dialled");
    assert!(events.try_next().is_none() && of_cid.try_next().is_none());
    let seat = bob.join(shown).wait(5 * SECOND).unwrap();
    assert_eq!(seat.id(), room.id());
}

#[test]
fn what_is_no_link_of_this_game_is_refused() {
    let net = VirtualLan::new(2);
    let bob = user(&net, "bob", "Bob");
    let mut events = bob.events();
    let long = format!("{}&x={}", link(GAME), "x".repeat(JoinLink::MAX_TEXT));
    for text in ["", "http://example.com", "lansession:", &link("com.example.other").to_string(), &long] {
        let error = bob.open_link(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{text}: {error}");
    }
    assert!(events.try_next().is_none());
    assert_eq!(bob.receive_links().unwrap_err().kind(), ErrorKind::Unsupported, "a virtual LAN has no local sockets");
    bob.sign_out().wait(SECOND).unwrap();
    assert_eq!(bob.open_link(&link(GAME).to_string()).unwrap_err().kind(), ErrorKind::InvalidState);
    assert_eq!(bob.receive_links().unwrap_err().kind(), ErrorKind::InvalidState);
}

#[test]
fn four_links_in_any_second_whoever_opens_them() {
    let net = VirtualLan::new(3);
    let lan = net.lan("node", GAME).start().unwrap();
    let (ada, bob) = (lan.sign_in("Ada").unwrap(), lan.sign_in("Bob").unwrap());
    let text = link(GAME).to_string();
    for number in 0..4 {
        if number % 2 == 0 { &ada } else { &bob }.open_link(&text).unwrap();
        net.advance(Duration::from_millis(100));
    }
    let error = ada.open_link(&text).unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::TooManyRequests, Some(Duration::from_millis(600))));
    net.advance(Duration::from_micros(599_999));
    assert!(ada.open_link(&text).is_err());
    net.advance(Duration::from_micros(1));
    ada.open_link(&text).unwrap();
    assert!(bob.open_link(&text).is_err(), "the window slides");
}

#[test]
fn in_frame_mode_a_link_is_seen_with_the_next_update() {
    let net = VirtualLan::new(4);
    let mut frames = net.lan("node", GAME).start_frames().unwrap();
    let ada = frames.lan().sign_in("Ada").unwrap();
    let mut events = ada.events();
    ada.open_link(&link(GAME).to_string()).unwrap();
    assert!(events.try_next().is_none());
    let told: Vec<Event> = frames.update().collect();
    assert!(
        matches!(&told[..], [Event::User { user, what: UserEvent::UiJoinRequested { .. }, .. }] if *user == ada.id()),
        "{told:?}"
    );
    assert_eq!(target(events.try_next()), UiTarget::Link(link(GAME)));
    assert_eq!(frames.update().count(), 0);
}
