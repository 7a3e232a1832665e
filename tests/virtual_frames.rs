//! A frame loop that stands still loses nothing: five seconds and more without a call of `update`.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use lansession::testing::{Fault, VirtualLan};
use lansession::{Event, FrameLoop, Left, LinkState, Session, SessionEvent, SessionSettings};

const SECOND: Duration = Duration::from_secs(1);
const FRAME: Duration = Duration::from_millis(16);
const GAME: &str = "com.example.boxes";

struct Setup {
    net: VirtualLan,
    host: FrameLoop,
    guest: FrameLoop,
    room: Session,
    seat: Session,
}

fn setup(seed: u64) -> Setup {
    let net = VirtualLan::new(seed);
    let mut host = net.lan("host", GAME).start_frames().unwrap();
    let mut guest = net.lan("guest", GAME).start_frames().unwrap();
    let room = host.lan().sign_in("Ada").unwrap().host(SessionSettings::new("room")).wait(SECOND).unwrap();
    let seat = guest.lan().sign_in("Bob").unwrap().join(room.link()).wait(SECOND).unwrap();
    net.frame(FRAME);
    drop((host.update(), guest.update()));
    assert_eq!((room.snapshot().members.len(), seat.snapshot().members.len()), (2, 2));
    Setup { net, host, guest, room, seat }
}

fn trouble(events: &[Event]) -> Vec<&SessionEvent> {
    let of_session = events.iter().filter_map(|event| match event {
        Event::Session { what, .. } => Some(what),
        _ => None,
    });
    of_session.filter(|what| !matches!(what, SessionEvent::Message { .. })).collect()
}

#[test]
fn a_minute_without_an_update_costs_neither_side_its_seat() {
    let Setup { net, mut host, mut guest, room, seat } = setup(1);
    for pause in [5, 60] {
        net.advance(pause * SECOND);
        let events: Vec<Event> = host.update().chain(guest.update()).collect();
        assert!(trouble(&events).is_empty(), "after {pause} s: {events:?}");
        for state in [room.snapshot(), seat.snapshot()] {
            assert!(state.members.iter().all(|member| member.link == LinkState::Connected) && state.members.len() == 2);
        }
    }
    // What was asked for before a pause has happened in it.
    let mut said = seat.say(*b"hello");
    net.advance(5 * SECOND);
    assert!(said.try_take().unwrap().is_ok());
    assert!(host.update().any(|event| matches!(event, Event::Session { what: SessionEvent::Message { .. }, .. })));
}

#[test]
fn nothing_is_seen_before_the_update_however_long_it_takes() {
    let Setup { net, mut host, mut guest, room, seat } = setup(2);
    let rooms = guest.lan().browse(lansession::SessionQuery::new()).unwrap();
    let (state, list) = (seat.snapshot(), rooms.list());
    room.destroy().detach();
    for _ in 0..300 {
        net.frame(FRAME);
        assert!(std::sync::Arc::ptr_eq(&state, &seat.snapshot()) && std::sync::Arc::ptr_eq(&list, &rooms.list()));
        assert_eq!((seat.user().sessions().len(), guest.lan().known(seat.id()).is_some()), (1, true));
    }
    let events: Vec<Event> = guest.update().collect();
    let last = trouble(&events).into_iter().next_back();
    assert!(matches!(last, Some(SessionEvent::Left { why: Left::Destroyed, .. })), "{events:?}");
    assert!(seat.user().sessions().is_empty());
    drop(host.update());
}

#[test]
fn a_level_that_loads_for_ten_seconds_on_a_bad_network_costs_no_seat() {
    let Setup { net, mut host, mut guest, room, seat: _seat } = setup(3);
    let _bad = net.fault(Fault::loss(0.2));
    for _ in 0..3 {
        net.advance(10 * SECOND);
        let lost = |event: &Event| matches!(event, Event::Session { what: SessionEvent::Left { .. }, .. });
        let events: Vec<Event> = host.update().chain(guest.update()).filter(lost).collect();
        assert!(events.is_empty(), "{events:?}");
    }
    assert_eq!(room.snapshot().members.len(), 2);
}
