//! A session that outlives its host (pain 8), over the public API on the virtual LAN.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use lansession::testing::VirtualLan;
use lansession::{
    BrowserEvent, Events, HostRequest, Lan, Left, LinkState, MemberUpdate, Migration, Session, SessionEvent,
    SessionQuery, SessionSettings, SettingsUpdate,
};

const GAME: &str = "com.example.boxes";
const SECOND: Duration = Duration::from_secs(1);

struct Player {
    node: String,
    lan: Lan,
    seat: Session,
    events: Events<SessionEvent>,
}

fn players(net: &VirtualLan, count: usize, migration: Migration) -> Vec<Player> {
    let mut all: Vec<Player> = Vec::new();
    for at in 0..count {
        let node = format!("m{at}");
        let lan = net.lan(&node, GAME).start().unwrap();
        let user = lan.sign_in(node.as_str()).unwrap();
        let seat = match all.first() {
            None => {
                let settings = SessionSettings::new("room").max_members(8);
                user.host(HostRequest::new(settings).migration(migration)).wait(SECOND).unwrap()
            }
            Some(host) => user.join(host.seat.link()).wait(6 * SECOND).unwrap(),
        };
        let events = seat.events();
        all.push(Player { node, lan, seat, events });
    }
    net.advance(2 * SECOND);
    for player in &mut all {
        drain(&mut player.events);
    }
    all
}

fn drain(events: &mut Events<SessionEvent>) -> Vec<SessionEvent> {
    std::iter::from_fn(|| events.try_next()).collect()
}

/// Whether all of them are in one session under one host.
fn united(players: &[Player]) -> bool {
    let hosts = players.iter().filter(|player| player.seat.is_host()).count();
    let first = players[0].seat.snapshot();
    let there = |player: &Player| {
        let state = player.seat.snapshot();
        let own = state.member(player.seat.user().id()).is_some_and(|member| member.link == LinkState::Connected);
        own && state.revision == first.revision && state.host_key == first.host_key
    };
    hosts == 1 && players.iter().all(there)
}

/// Fails when a member ends at the proof of its host's death, as it does without migration.
#[test]
fn pain_08_seven_of_eight_go_on_when_their_host_crashes() {
    let net = VirtualLan::new(8);
    let mut all = players(&net, 8, Migration::Quorum);
    all[0].seat.set_state("wave 7").wait(SECOND).unwrap();
    let watcher = net.lan("watcher", GAME).start().unwrap();
    let browser = watcher.browse(SessionQuery::new()).unwrap();
    let mut list = browser.events();
    net.advance(2 * SECOND);
    let listed: Vec<_> = std::iter::from_fn(|| list.try_next()).collect();
    assert_eq!(listed.iter().filter(|event| matches!(event, BrowserEvent::Found(_))).count(), 1);
    let (id, revision) = (all[0].seat.id(), all[0].seat.snapshot().revision);

    let before = net.now();
    net.crash("m0");
    let gone = all.remove(0);
    net.run_until(3 * SECOND, || united(&all)).unwrap();
    let took = net.now() - before;
    assert!(took < Duration::from_millis(100), "{took:?}");
    let host = &all[0].seat;
    assert!(host.is_host(), "the longest standing one");
    assert_eq!((host.id(), host.snapshot().members.len()), (id, 8));
    assert!(host.snapshot().revision > revision);
    let told = drain(&mut all[0].events);
    let state = told.iter().find_map(|event| match event {
        SessionEvent::BecameHost { state, .. } => Some(state.clone()),
        _ => None,
    });
    assert_eq!(&*state.flatten().unwrap().data, b"wave 7");
    for player in &mut all[1..] {
        let told = drain(&mut player.events);
        assert!(told.iter().any(|event| matches!(event, SessionEvent::HostChanged { discarded: 0, .. })), "{told:?}");
        assert!(!told.iter().any(|event| matches!(event, SessionEvent::Left { .. } | SessionEvent::MemberLeft { .. })));
    }
    // The host does what a host does, and a member what a member does.
    all[0].seat.update(SettingsUpdate::new().set("map", "ice")).wait(SECOND).unwrap();
    all[3].seat.update_me(MemberUpdate::new().ready(true)).wait(SECOND).unwrap();
    net.advance(SECOND);
    assert!(united(&all));
    // One entry all the time, and a joiner finds the way.
    net.advance(3 * SECOND);
    let heard: Vec<_> = std::iter::from_fn(|| list.try_next()).collect();
    assert!(!heard.iter().any(|event| matches!(event, BrowserEvent::Found(_) | BrowserEvent::Lost(_))), "{heard:?}");
    assert_eq!(browser.list().len(), 1);
    drop(gone);
}

/// Fails when a host that leaves ends its session.
#[test]
fn pain_08_a_host_that_leaves_hands_over_and_nobody_else_leaves() {
    let net = VirtualLan::new(9);
    let mut all = players(&net, 8, Migration::Quorum);
    let before = net.now();
    all[0].seat.leave().wait(SECOND).unwrap();
    let mut gone = all.remove(0);
    net.run_until(SECOND, || united(&all)).unwrap();
    let took = net.now() - before;
    assert!(took < Duration::from_millis(200), "{took:?}");
    let left = drain(&mut gone.events);
    assert!(matches!(left.last(), Some(SessionEvent::Left { why: Left::Left, .. })), "{left:?}");
    assert_eq!(all[0].seat.snapshot().members.len(), 7);
    for player in &mut all {
        let told = drain(&mut player.events);
        assert!(!told.iter().any(|event| matches!(event, SessionEvent::Left { .. })), "{told:?}");
    }
}

/// Fails when closing says nothing to the successors: then two machines have no majority.
#[test]
fn pain_08_a_process_that_closes_leaves_the_session_to_the_other() {
    let net = VirtualLan::new(10);
    let mut all = players(&net, 2, Migration::Quorum);
    let gone = all.remove(0);
    gone.lan.close().wait(SECOND).unwrap();
    net.run_until(SECOND, || united(&all)).unwrap();
    assert_eq!(all[0].seat.snapshot().members.len(), 1);
}

#[test]
fn pain_08_two_players_end_or_go_on_as_their_policy_says() {
    let net = VirtualLan::new(11);
    let mut all = players(&net, 2, Migration::Quorum);
    net.crash("m0");
    net.run_until(SECOND, || {
        drain(&mut all[1].events).iter().any(|event| matches!(event, SessionEvent::Left { why: Left::HostLost, .. }))
    })
    .unwrap();

    let net = VirtualLan::new(12);
    let mut all = players(&net, 2, Migration::AnySurvivor);
    net.crash("m0");
    let _gone = all.remove(0);
    net.run_until(SECOND, || united(&all)).unwrap();
}

#[test]
fn a_session_is_handed_to_whom_the_host_says_and_back() {
    let net = VirtualLan::new(13);
    let all = players(&net, 4, Migration::Quorum);
    let to = all[2].seat.user().id();
    all[0].seat.hand_over(to).wait(SECOND).unwrap();
    net.run_until(SECOND, || all[2].seat.is_host() && united(&all)).unwrap();
    assert!(!all[0].seat.is_host());
    let denied = all[0].seat.update(SettingsUpdate::new().set("map", "ice")).wait(SECOND).unwrap_err();
    assert_eq!(denied.kind(), lansession::ErrorKind::NotOwner);
    net.advance(2 * SECOND);
    all[2].seat.hand_over(all[0].seat.user().id()).wait(SECOND).unwrap();
    net.run_until(SECOND, || all[0].seat.is_host() && united(&all)).unwrap();
    assert_eq!(all[0].node, "m0");
}

/// Two halves of a broken network: the one with the majority goes on, the other joins it again.
#[test]
fn a_host_that_was_cut_off_becomes_a_member_of_the_others_session() {
    let net = VirtualLan::new(14);
    let mut all = players(&net, 5, Migration::Quorum);
    for at in 1..5 {
        net.cut("m0", &format!("m{at}"));
        net.cut(&format!("m{at}"), "m0");
    }
    net.run_until(10 * SECOND, || united(&all[1..])).unwrap();
    assert!(all[0].seat.is_host(), "it does not know");
    for at in 1..5 {
        net.heal("m0", &format!("m{at}"));
        net.heal(&format!("m{at}"), "m0");
    }
    net.run_until(30 * SECOND, || united(&all)).unwrap();
    assert!(!all[0].seat.is_host());
    let told = drain(&mut all[0].events);
    assert!(told.iter().any(|event| matches!(event, SessionEvent::HostChanged { .. })), "{told:?}");
    assert!(!told.iter().any(|event| matches!(event, SessionEvent::Left { .. })), "{told:?}");
}
