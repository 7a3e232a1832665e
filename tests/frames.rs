//! `FrameLoop` to the end: it keeps seats without a call, works wherever a game's loop runs, and shows one state per frame.
#![cfg(feature = "net")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use lansession::{
    Event, FrameLoop, Lan, Pending, Preset, Session, SessionEvent, SessionQuery, SessionSettings, SettingsUpdate,
};

const WAIT: Duration = Duration::from_secs(10);
const FRAME: Duration = Duration::from_millis(2);

fn frames(port: Option<u16>) -> FrameLoop {
    let builder = Lan::builder("com.example.frames").preset(Preset::Loopback);
    port.map_or(builder.clone(), |port| builder.beacon_port(port)).start_frames().unwrap()
}

fn settings() -> SessionSettings {
    SessionSettings::new("room").max_members(4).attr("round", 0)
}

/// A game's loop until the answer is there; the events that came meanwhile.
fn until<T>(frames: &mut FrameLoop, mut pending: Pending<T>) -> (T, Vec<Event>) {
    let (end, mut events) = (Instant::now() + WAIT, Vec::new());
    loop {
        events.extend(frames.update());
        if let Some(answer) = pending.try_take() {
            return (answer.unwrap(), events);
        }
        assert!(Instant::now() < end, "no answer within {WAIT:?}");
        thread::sleep(FRAME);
    }
}

/// Goes on until the condition holds.
fn play(frames: &mut FrameLoop, mut done: impl FnMut(&Event) -> bool) {
    let end = Instant::now() + WAIT;
    while !frames.update().any(|event| done(&event)) {
        assert!(Instant::now() < end, "not within {WAIT:?}");
        thread::sleep(FRAME);
    }
}

fn joined(event: &Event, name: &str) -> bool {
    matches!(event, Event::Session { what: SessionEvent::MemberJoined { member, .. }, .. } if member.name == name)
}

/// Two games on this machine: one hosts, the other finds, joins and leaves again.
fn a_game() {
    let mut host = frames(None);
    let mut guest = frames(Some(host.lan().beacon_port()));
    let hosting = host.lan().sign_in("Ada").unwrap().host(settings());
    let (room, events) = until(&mut host, hosting);
    assert!(events.iter().any(|event| joined(event, "Ada")) || room.snapshot().members.len() == 1);
    let bob = guest.lan().sign_in("Bob").unwrap();
    let (found, _) = until(&mut guest, bob.find(SessionQuery::new().enough(1).timeout(WAIT)));
    let (seat, _) = until(&mut guest, bob.join(&found[0]));
    play(&mut host, |event| joined(event, "Bob"));
    assert_eq!(room.snapshot().members.len(), 2);
    until(&mut guest, seat.leave());
    play(&mut host, |event| matches!(event, Event::Session { what: SessionEvent::MemberLeft { .. }, .. }));
}

async fn an_async_game() {
    let mut host = frames(None);
    let guest = Lan::builder("com.example.frames").preset(Preset::Loopback).beacon_port(host.lan().beacon_port());
    let guest = guest.start().unwrap();
    let room: Session = host.lan().sign_in("Ada").unwrap().host(settings()).await.unwrap();
    let bob = guest.sign_in("Bob").unwrap();
    let found = bob.find(SessionQuery::new().enough(1).timeout(WAIT)).await.unwrap();
    let seat = bob.join(&found[0]).await.unwrap();
    let mut events = seat.events();
    room.update(SettingsUpdate::new().set("round", 1)).await.unwrap();
    loop {
        match events.next().await.unwrap() {
            SessionEvent::SettingsChanged { .. } => break,
            other => assert!(!matches!(other, SessionEvent::Left { .. })),
        }
    }
    // The host's own view is latched until its frame.
    assert_eq!(room.snapshot().members.len(), 1);
    assert!(host.update().any(|event| joined(&event, "Bob")));
    assert_eq!(room.snapshot().members.len(), 2);
    seat.leave().await.unwrap();
    guest.close().await.unwrap();
}

#[test]
fn in_a_plain_thread() {
    a_game();
    // The loop may be made on one thread and run on another.
    let mut made_here = frames(None);
    let run_there = thread::spawn(move || {
        let hosting = made_here.lan().sign_in("Ada").unwrap().host(settings());
        until(&mut made_here, hosting).0.snapshot().members.len()
    });
    assert_eq!(run_there.join().unwrap(), 1);
}

#[test]
fn under_pollster() {
    pollster::block_on(an_async_game());
    pollster::block_on(async { a_game() });
}

#[tokio::test]
async fn inside_a_tokio_runtime_of_one_thread() {
    an_async_game().await;
    // It blocks, but the driver has a thread of its own.
    a_game();
    let mut loop_in_async = frames(None);
    assert!(loop_in_async.wait_event(Duration::from_millis(5)).is_none());
}

#[test]
fn inside_a_tokio_runtime_that_is_entered_and_after_its_end() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let guard = runtime.enter();
    let mut host = frames(None);
    let hosting = host.lan().sign_in("Ada").unwrap().host(settings());
    let (room, _) = until(&mut host, hosting);
    drop(guard);
    drop(runtime);
    until(&mut host, room.update(SettingsUpdate::new().set("round", 1)));
    let end = Instant::now() + WAIT;
    while round(&room) != Some(1) {
        assert!(Instant::now() < end);
        drop(host.update());
    }
}

fn round(room: &Session) -> Option<i64> {
    room.snapshot().attributes.get("round").and_then(|round| round.as_int())
}

/// Between two updates nothing that is read changes, while another machine and this one's own driver change all of it.
#[test]
fn one_frame_sees_one_state() {
    let mut host = frames(None);
    let mut guest = frames(Some(host.lan().beacon_port()));
    let hosting = host.lan().sign_in("Ada").unwrap().host(settings());
    let (room, _) = until(&mut host, hosting);
    let bob = guest.lan().sign_in("Bob").unwrap();
    let joining = bob.join(room.link());
    let (seat, _) = until(&mut guest, joining);
    let rooms = bob.browse(SessionQuery::new()).unwrap();
    play(&mut guest, |event| matches!(event, Event::Browser { .. }));

    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let changing = {
        let (room, stop) = (room.clone(), Arc::clone(&stop));
        thread::spawn(move || {
            let mut round = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                round += 1;
                // The host's loop is not updated: answers do not wait for frames.
                room.update(SettingsUpdate::new().set("round", round)).wait(WAIT).unwrap();
            }
            round
        })
    };
    let (mut states, mut lists) = (0, 0);
    let end = Instant::now() + WAIT;
    while states < 20 || lists < 3 {
        let before = seat.snapshot().revision;
        let listed = rooms.list();
        let mut last = None;
        for event in guest.update() {
            if let Event::Session { what: SessionEvent::SettingsChanged { revision, .. }, .. } = event {
                last = Some(revision);
            }
        }
        let (state, list) = (seat.snapshot(), rooms.list());
        assert!(last.is_none_or(|last| last == state.revision), "the state is that of the batch's last event");
        states += usize::from(state.revision != before);
        lists += usize::from(!Arc::ptr_eq(&list, &listed));
        // A long frame.
        for _ in 0..5 {
            thread::sleep(FRAME);
            assert!(Arc::ptr_eq(&state, &seat.snapshot()) && Arc::ptr_eq(&list, &rooms.list()));
            assert_eq!(bob.sessions().len(), 1);
        }
        assert!(Instant::now() < end, "{states} states and {lists} lists were seen");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let rounds = changing.join().unwrap();
    assert_eq!(round(&room), Some(0), "never updated");
    // The last answer came before the state that it speaks of.
    while round(&room) != Some(rounds) {
        assert!(Instant::now() < end + WAIT);
        drop(host.update());
    }
}
