//! Lost links on the virtual LAN (pain 7): the seat is held, its member comes back to it from wherever it is, nobody else does.
//!
//! Tokens that are stolen or shown again are in `proto::sessions::tests::resume`: no game can show one.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use lansession::testing::{Nic, VirtualLan};
use lansession::{
    Events, HostRequest, Left, LinkState, MemberUpdate, Refusal, Revision, Session, SessionEvent, SessionSettings,
    SettingsUpdate, User,
};

const GAME: &str = "com.example.boxes";
const SECOND: Duration = Duration::from_secs(1);

fn user(net: &VirtualLan, node: &str) -> User {
    net.lan(node, GAME).start().unwrap().sign_in(node).unwrap()
}

fn room(seats: u16) -> SessionSettings {
    SessionSettings::new("room").max_members(seats)
}

fn join(net: &VirtualLan, session: &Session, player: &str) -> Session {
    user(net, player).join(session.link()).wait(6 * SECOND).unwrap()
}

fn full(net: &VirtualLan, session: &Session, player: &str) {
    let refused = user(net, player).join(session.link()).wait(6 * SECOND).unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::Full));
}

fn drain(events: &mut Events<SessionEvent>) -> Vec<SessionEvent> {
    std::iter::from_fn(|| events.try_next()).collect()
}

fn link(session: &Session, of: &Session) -> Option<LinkState> {
    session.snapshot().member(of.user().id()).map(|member| member.link)
}

/// The revisions of a seat's events.
fn revisions(events: &[SessionEvent]) -> Vec<Revision> {
    let revision = |event: &SessionEvent| match event {
        SessionEvent::MemberAway { revision, .. }
        | SessionEvent::MemberBack { revision, .. }
        | SessionEvent::MemberLeft { revision, .. }
        | SessionEvent::MemberUpdated { revision, .. }
        | SessionEvent::SettingsChanged { revision, .. } => Some(*revision),
        _ => None,
    };
    events.iter().filter_map(revision).collect()
}

fn count(events: &[SessionEvent], which: fn(&SessionEvent) -> bool) -> usize {
    events.iter().filter(|event| which(event)).count()
}

fn is_away(event: &SessionEvent) -> bool {
    matches!(event, SessionEvent::MemberAway { .. })
}

fn is_back(event: &SessionEvent) -> bool {
    matches!(event, SessionEvent::MemberBack { .. })
}

/// Pulls the cable of a node, or plugs it in again with that address.
fn cable(net: &VirtualLan, node: &str, address: Option<&str>) {
    let plugged = address.map(|address| Nic::new("eth0", "lan").address(address));
    net.set_interfaces(node, [Nic::loopback()].into_iter().chain(plugged)).unwrap();
}

/// Fails when the host's `link_lost` frees the seat, when a Resume finds none, when `take_up` says nothing of the return, and
/// when a request's time runs on while the link is lost.
#[test]
fn pain_07_a_full_session_holds_the_seat_and_its_member_returns_from_another_address() {
    for dedicated in [false, true] {
        let net = VirtualLan::new(7);
        let session = user(&net, "host").host(HostRequest::new(room(3)).dedicated(dedicated)).wait(2 * SECOND).unwrap();
        let (bob, cid) = (join(&net, &session, "bob"), join(&net, &session, "cid"));
        let _dee = dedicated.then(|| join(&net, &session, "dee"));
        bob.update_me(MemberUpdate::new().set("team", "red").ready(true)).wait(SECOND).unwrap();
        net.advance(10 * SECOND);
        let before = session.snapshot().member(bob.user().id()).unwrap().clone();
        let (mut at_host, mut at_bob, mut at_cid) = (session.events(), bob.events(), cid.events());
        drain(&mut at_host);
        drain(&mut at_cid);
        let seen = bob.snapshot().revision;
        drain(&mut at_bob);

        cable(&net, "bob", None);
        net.run_until(5 * SECOND, || link(&session, &bob) == Some(LinkState::Away)).unwrap();
        net.run_until(SECOND, || link(&cid, &bob) == Some(LinkState::Away)).unwrap();
        let asked = bob.update_me(MemberUpdate::new().set("hat", 3));
        full(&net, &session, "eve");
        for name in ["first", "second", "third"] {
            session.update(SettingsUpdate::new().name(name)).wait(SECOND).unwrap();
            cid.update_me(MemberUpdate::new().set("while", name)).wait(SECOND).unwrap();
            net.advance(5 * SECOND);
        }
        full(&net, &session, "eva");

        cable(&net, "bob", Some("10.77.0.201/24"));
        net.run_until(6 * SECOND, || link(&session, &bob) == Some(LinkState::Connected)).unwrap();
        asked.wait(SECOND).unwrap();
        net.advance(SECOND);
        let after = session.snapshot().member(bob.user().id()).unwrap().clone();
        assert_eq!((after.number, after.joined_revision, after.ready), (before.number, before.joined_revision, true));
        assert_eq!(after.attributes.iter().count(), before.attributes.iter().count() + 1, "what it asked for, once");
        assert_eq!(bob.snapshot().members, session.snapshot().members);
        assert_eq!(bob.snapshot().revision, session.snapshot().revision);

        let (at_host, at_bob, at_cid) = (drain(&mut at_host), drain(&mut at_bob), drain(&mut at_cid));
        for events in [&at_host, &at_bob, &at_cid] {
            assert_eq!((count(events, is_away), count(events, is_back)), (1, 1), "{events:?}");
            assert_eq!(count(events, |event| matches!(event, SessionEvent::MemberLeft { .. })), 0);
        }
        assert!(matches!(at_bob[..2], [SessionEvent::Reconnecting, SessionEvent::Reconnected]), "{at_bob:?}");
        let missed = revisions(&at_bob);
        let numbers: Vec<u64> = missed.iter().map(|revision| revision.number).collect();
        let all: Vec<u64> = (seen.number + 1..=session.snapshot().revision.number).collect();
        assert_eq!(numbers, all, "neither hole nor repeat");
        assert_eq!(revisions(&at_cid), missed);
    }
}

/// Fails when the seat's time is another than *grace*.
#[test]
fn pain_07_expiry_frees_the_seat_once_and_at_its_moment() {
    let net = VirtualLan::new(8);
    let what = HostRequest::new(room(2)).grace(12 * SECOND).host_silence(SECOND);
    let session = user(&net, "host").host(what).wait(2 * SECOND).unwrap();
    let bob = join(&net, &session, "bob");
    net.advance(5 * SECOND);
    let (mut at_host, mut at_bob) = (session.events(), bob.events());
    drain(&mut at_host);
    cable(&net, "bob", None);
    net.run_until(3 * SECOND, || link(&session, &bob) == Some(LinkState::Away)).unwrap();
    let away = net.now();
    full(&net, &session, "cid");
    net.run_until(13 * SECOND, || link(&session, &bob).is_none()).unwrap();
    let held = net.now() - away;
    assert!(held > 11_900 * SECOND / 1_000 && held <= 12_001 * SECOND / 1_000, "held for {held:?}");
    let _dee = join(&net, &session, "dee");
    // It comes too late, and is told instead of seated.
    cable(&net, "bob", Some("10.77.0.202/24"));
    net.advance(4 * SECOND);
    let end = drain(&mut at_bob).pop();
    assert!(matches!(end, Some(SessionEvent::Left { why: Left::Expired, .. })), "{end:?}");
    let events = drain(&mut at_host);
    let gone: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            SessionEvent::MemberLeft { member, why, .. } => Some((member.account, why.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(gone, [(bob.user().id(), Left::Expired)]);
    assert_eq!(session.snapshot().members.len(), 2);
}

/// Fails when `seek_refused` goes on after a ban.
#[test]
fn pain_18_who_was_kicked_while_away_is_told_and_dials_no_more() {
    let net = VirtualLan::new(9);
    let session = user(&net, "host").host(room(4)).wait(2 * SECOND).unwrap();
    let seats = [join(&net, &session, "bob"), join(&net, &session, "cid")];
    net.advance(5 * SECOND);
    let mut events = seats.each_ref().map(Session::events);
    for node in ["bob", "cid"] {
        cable(&net, node, None);
    }
    net.run_until(5 * SECOND, || seats.iter().all(|seat| link(&session, seat) == Some(LinkState::Away))).unwrap();
    session.kick(seats[0].user().id(), "afk").wait(SECOND).unwrap();
    session.ban(seats[1].user().id(), "cheating").wait(SECOND).unwrap();
    cable(&net, "bob", Some("10.77.0.201/24"));
    cable(&net, "cid", Some("10.77.0.202/24"));
    net.advance(6 * SECOND);
    let [bob, cid] = events.each_mut().map(|events| drain(events).pop());
    assert!(matches!(bob, Some(SessionEvent::Left { why: Left::Kicked(_), .. })), "{bob:?}");
    assert!(matches!(cid, Some(SessionEvent::Left { why: Left::Banned(_), .. })), "{cid:?}");
    let before = net.traffic();
    net.advance(60 * SECOND);
    let later = net.traffic().since(&before);
    assert_eq!(later.frame_bytes, 0, "nobody is in, and nobody asks to be");
    assert_eq!(session.snapshot().members.len(), 1);
}

/// The host moves, not the member: its new address comes from the directory.
#[test]
fn a_host_with_a_new_address_is_found_and_its_seats_are_taken_up_there() {
    let net = VirtualLan::new(10);
    let session = user(&net, "host").host(room(4)).wait(2 * SECOND).unwrap();
    let seats = [join(&net, &session, "bob"), join(&net, &session, "cid")];
    net.advance(5 * SECOND);
    let mut events = session.events();
    drain(&mut events);
    cable(&net, "host", None);
    net.advance(6 * SECOND);
    cable(&net, "host", Some("10.77.0.220/24"));
    let back = || seats.iter().all(|seat| link(&session, seat) == Some(LinkState::Connected));
    net.run_until(8 * SECOND, || back() && link(&seats[0], &seats[1]) == Some(LinkState::Connected)).unwrap();
    let events = drain(&mut events);
    assert_eq!((count(&events, is_away), count(&events, is_back)), (2, 2), "{events:?}");
    net.advance(SECOND);
    for seat in &seats {
        assert_eq!(seat.snapshot().members, session.snapshot().members);
    }
}

/// Fails when a Resume is put off or refused while the host believes in the older link.
#[test]
fn the_half_open_link_never_blocks_the_return() {
    let net = VirtualLan::new(11);
    let what = HostRequest::new(room(2)).host_silence(30 * SECOND);
    let session = user(&net, "host").host(what).wait(2 * SECOND).unwrap();
    let bob = join(&net, &session, "bob");
    net.advance(10 * SECOND);
    let (mut at_host, mut at_bob) = (session.events(), bob.events());
    drain(&mut at_host);
    drain(&mut at_bob);
    // Another address: what the host has of the old link is silent, and it will believe in it for half a minute.
    cable(&net, "bob", Some("10.77.0.230/24"));
    let mut back = false;
    net.run_until(45 * SECOND, || {
        back |= drain(&mut at_bob).contains(&SessionEvent::Reconnected);
        back
    })
    .unwrap();
    session.update(SettingsUpdate::new().name("here")).wait(SECOND).unwrap();
    net.run_until(SECOND, || bob.snapshot().name == "here").unwrap();
    net.advance(40 * SECOND);
    let left = count(&drain(&mut at_host), |event| matches!(event, SessionEvent::MemberLeft { .. }));
    assert_eq!((left, session.snapshot().members.len()), (0, 2));
    assert_eq!(link(&session, &bob), Some(LinkState::Connected));
}
