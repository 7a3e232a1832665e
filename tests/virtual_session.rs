//! Sessions on the virtual LAN: seats, refusals, changes, the order of events, and every way in which it ends.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Duration;

use lansession::testing::{Fault, VirtualLan};
use lansession::{
    AccountId, Error, ErrorKind, Events, HostRequest, JoinRequest, LanBuilder, Left, MemberUpdate, Pending, Phase,
    Reason, Refusal, Result, Schema, Session, SessionEvent, SessionQuery, SessionSettings, SettingsUpdate, User,
    ValueType, Verdict,
};

const GAME: &str = "com.example.boxes";
const SECOND: Duration = Duration::from_secs(1);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn user(net: &VirtualLan, node: &str, name: &str) -> User {
    net.lan(node, GAME).start().unwrap().sign_in(name).unwrap()
}

fn host(net: &VirtualLan, request: impl Into<HostRequest>) -> Session {
    user(net, "host", "Ada").host(request).wait(2 * SECOND).unwrap()
}

fn room() -> SessionSettings {
    SessionSettings::new("Ada's room").max_members(4)
}

/// Joins from a node of its own, named as the player.
fn joining(net: &VirtualLan, session: &Session, player: &str) -> Pending<Session> {
    user(net, player, player).join(session.link())
}

fn join(net: &VirtualLan, session: &Session, player: &str) -> Session {
    joining(net, session, player).wait(6 * SECOND).unwrap()
}

fn refusal(result: Result<Session>) -> Refusal {
    let error: Error = result.unwrap_err();
    error.refusal().unwrap_or_else(|| panic!("{error:?}")).clone()
}

fn members(session: &Session) -> usize {
    session.snapshot().members.len()
}

fn drain(events: &mut Events<SessionEvent>) -> Vec<SessionEvent> {
    std::iter::from_fn(|| events.try_next()).collect()
}

fn left(events: &[SessionEvent]) -> Option<Left> {
    events.iter().find_map(|event| if let SessionEvent::Left { why, .. } = event { Some(why.clone()) } else { None })
}

/// Lets time pass until the seat has ended.
fn until_left(net: &VirtualLan, longest: Duration, events: &mut Events<SessionEvent>) -> Left {
    let mut why = None;
    net.run_until(longest, || {
        why = why.take().or_else(|| left(&drain(events)));
        why.is_some()
    })
    .unwrap();
    why.unwrap()
}

#[test]
fn host_find_join_update_leave() {
    let net = VirtualLan::new(1);
    let session = host(&net, room().attr("map", "dust").port("game", 7_777));
    let bob = user(&net, "bob", "Bob");
    let found = bob.find(SessionQuery::new().enough(1)).wait(SECOND).unwrap();
    let before = net.now();
    let seat = bob.join(&found[0]).wait(SECOND).unwrap();
    assert!(net.now() - before < ms(20), "a join took {:?}", net.now() - before);
    assert_eq!((members(&session), members(&seat)), (2, 2));
    assert!(!seat.is_host() && session.is_host());
    assert_eq!(seat.endpoint("game").unwrap().addr().port(), 7_777);
    assert_eq!(seat.game_key(bob.id()).unwrap(), session.game_key(bob.id()).unwrap());

    session.update(SettingsUpdate::new().set("map", "ice").max_members(8)).wait(SECOND).unwrap();
    net.run_until(ms(50), || seat.snapshot().max_members == 8).unwrap();
    assert_eq!(seat.snapshot().attributes, session.snapshot().attributes);
    seat.update_me(MemberUpdate::new().ready(true).set("team", "red")).wait(SECOND).unwrap();
    net.run_until(ms(50), || session.snapshot().member(bob.id()).is_some_and(|member| member.ready)).unwrap();
    assert_eq!(seat.snapshot().revision, session.snapshot().revision);

    seat.leave().wait(SECOND).unwrap();
    net.run_until(ms(50), || members(&session) == 1).unwrap();
}

#[test]
fn joins_by_entry_id_code_link_and_address() {
    let net = VirtualLan::new(2);
    let session = host(&net, room().max_members(10));
    let address = std::net::SocketAddr::from(([10, 77, 0, 1], LanBuilder::BEACON_PORT));
    let requests: [JoinRequest; 4] =
        [session.id().into(), session.code().into(), session.link().into(), address.into()];
    let mut seats = Vec::new();
    for (number, request) in requests.into_iter().enumerate() {
        let bob = user(&net, &format!("bob {number}"), "Bob");
        seats.push(bob.join(request).wait(6 * SECOND).unwrap());
        assert_eq!(seats[number].key(), session.key());
    }
    net.run_until(SECOND, || members(&session) == 5).unwrap();
}

#[test]
fn events_come_in_their_order() {
    let net = VirtualLan::new(3);
    let session = host(&net, room().attr("map", "dust"));
    let mut at_host = session.events();
    let bob = join(&net, &session, "Bob");
    let mut at_bob = bob.events();
    let cid = join(&net, &session, "Cid");
    session.update(SettingsUpdate::new().set("map", "ice")).wait(SECOND).unwrap();
    session.set_phase(Phase::InProgress).wait(SECOND).unwrap();
    // A leave does not wait for what is still on its way.
    net.advance(ms(50));
    cid.leave().wait(SECOND).unwrap();
    bob.leave().wait(SECOND).unwrap();
    net.advance(SECOND);
    let (host_events, bob_events) = (drain(&mut at_host), drain(&mut at_bob));
    assert!(matches!(host_events[0], SessionEvent::Joined { .. }));
    assert!(matches!(bob_events[0], SessionEvent::Joined { .. }));
    let present = |events: &[SessionEvent]| {
        events.iter().filter(|e| matches!(e, SessionEvent::MemberJoined { present_before: true, .. })).count()
    };
    assert_eq!((present(&host_events), present(&bob_events)), (0, 1));
    assert_eq!(left(&bob_events), Some(Left::Left));
    assert!(matches!(bob_events.last(), Some(SessionEvent::Left { .. })) && at_bob.is_ended());

    let revisions: Vec<_> = bob_events.iter().filter_map(revision).collect();
    assert!(revisions.windows(2).all(|pair| pair[0] <= pair[1]), "{revisions:?}");
    // Both saw the same changes at the same revisions, as long as both were there.
    let changes = |events: &[SessionEvent]| -> Vec<SessionEvent> {
        let wanted =
            |e: &&SessionEvent| matches!(e, SessionEvent::SettingsChanged { .. } | SessionEvent::PhaseChanged { .. });
        events.iter().filter(wanted).cloned().collect()
    };
    assert_eq!(changes(&host_events), changes(&bob_events));
    assert_eq!(changes(&host_events).len(), 2);
}

fn revision(event: &SessionEvent) -> Option<lansession::Revision> {
    match event {
        SessionEvent::MemberJoined { revision, .. }
        | SessionEvent::MemberLeft { revision, .. }
        | SessionEvent::MemberUpdated { revision, .. }
        | SessionEvent::SettingsChanged { revision, .. }
        | SessionEvent::PhaseChanged { revision, .. } => Some(*revision),
        _ => None,
    }
}

#[test]
fn a_snapshot_is_never_behind_an_event() {
    let net = VirtualLan::new(4);
    let session = host(&net, room());
    let bob = join(&net, &session, "Bob");
    let mut events = bob.events();
    for round in 0..20 {
        session.update(SettingsUpdate::new().set("round", round)).wait(SECOND).unwrap();
        while let Some(event) = events.wait(ms(20)) {
            assert!(revision(&event).is_none_or(|revision| bob.snapshot().revision >= revision));
        }
    }
}

#[test]
fn as_many_seats_as_there_are_and_full_for_the_rest() {
    let net = VirtualLan::new(5);
    let session = host(&net, room());
    let joins: Vec<Pending<Session>> = (0..20).map(|n| joining(&net, &session, &format!("p{n}"))).collect();
    let results: Vec<Result<Session>> = joins.into_iter().map(|join| join.wait(10 * SECOND)).collect();
    let (seated, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!((seated.len(), refused.len(), members(&session)), (3, 17, 4));
    for result in refused {
        assert_eq!(refusal(result), Refusal::Full);
    }
}

#[test]
fn each_refusal_by_its_own_name() {
    let net = VirtualLan::new(6);
    let session = host(&net, room().join_in_progress(false));
    let try_join = |name: &str| joining(&net, &session, name).wait(6 * SECOND);
    session.update(SettingsUpdate::new().closed(true)).wait(SECOND).unwrap();
    assert_eq!(refusal(try_join("a")), Refusal::Closed);
    session.update(SettingsUpdate::new().closed(false).locked(true)).wait(SECOND).unwrap();
    assert_eq!(refusal(try_join("b")), Refusal::Locked);
    session.update(SettingsUpdate::new().locked(false)).wait(SECOND).unwrap();
    session.set_phase(Phase::InProgress).wait(SECOND).unwrap();
    assert_eq!(refusal(try_join("c")), Refusal::InProgress);
    session.set_phase(Phase::Lobby).wait(SECOND).unwrap();
    let _seat = try_join("d").unwrap();
    session.destroy().wait(SECOND).unwrap();
    net.advance(SECOND);
    let gone = joining(&net, &session, "e").wait(6 * SECOND).unwrap_err();
    assert!(matches!(gone.kind(), ErrorKind::Unreachable | ErrorKind::TimedOut | ErrorKind::Refused), "{gone:?}");
}

#[test]
fn another_version_is_incompatible_and_told_so_at_once() {
    let net = VirtualLan::new(7);
    let session = host(&net, room());
    let bob = net.lan("bob", GAME).version(9).start().unwrap().sign_in("Bob").unwrap();
    let before = net.now();
    let refused = refusal(bob.join(session.link()).wait(6 * SECOND));
    assert!(matches!(refused, Refusal::Incompatible { ours: 9, theirs: 0, .. }), "{refused:?}");
    assert!(net.now() - before < ms(50));
}

#[test]
fn passwords() {
    let net = VirtualLan::new(8);
    let session = host(&net, HostRequest::new(room()).password("swordfish"));
    let bob = user(&net, "bob", "Bob");
    let link = || JoinRequest::from(session.link());
    assert_eq!(refusal(bob.join(link()).wait(6 * SECOND)), Refusal::BadPassword);
    assert_eq!(refusal(bob.join(link().password("trout")).wait(6 * SECOND)), Refusal::BadPassword);
    let seat = bob.join(link().password("swordfish")).wait(6 * SECOND).unwrap();
    assert!(seat.snapshot().password);
}

#[test]
fn admission_admits_refuses_and_times_out() {
    let net = VirtualLan::new(9);
    let session = host(&net, HostRequest::new(room()).admission(true));
    let mut events = session.events();
    let ask = |events: &mut Events<SessionEvent>| loop {
        if let SessionEvent::JoinAsked(ask) = events.wait(2 * SECOND).unwrap() {
            return ask;
        }
    };
    let bob = user(&net, "bob", "Bob");
    let join = bob.join(JoinRequest::from(session.link()).ticket(*b"let me in"));
    let asked = ask(&mut events);
    assert_eq!((asked.account, &asked.ticket[..]), (bob.id(), &b"let me in"[..]));
    session.answer(&asked, Verdict::Admit);
    let _seat = join.wait(SECOND).unwrap();

    let join = joining(&net, &session, "Cid");
    let asked = ask(&mut events);
    session.answer(&asked, Verdict::Refuse(Reason::new(7, "no")));
    assert_eq!(refusal(join.wait(SECOND)), Refusal::Refused(Reason::new(7, "no")));

    let silent = joining(&net, &session, "Dan").wait(6 * SECOND);
    assert!(matches!(refusal(silent), Refusal::Refused(_) | Refusal::TimedOut));
    assert_eq!(members(&session), 2);
}

#[test]
fn kick_and_ban() {
    let net = VirtualLan::new(10);
    let session = host(&net, room());
    let bob = join(&net, &session, "Bob");
    let account: AccountId = bob.user().id();
    let mut events = bob.events();
    session.kick(account, Reason::new(1, "AFK")).wait(SECOND).unwrap();
    assert_eq!(until_left(&net, SECOND, &mut events), Left::Kicked(Reason::new(1, "AFK")));
    net.advance(10 * SECOND);
    assert_eq!(members(&session), 1, "nobody comes back by itself");
    let again = bob.user().join(session.link()).wait(6 * SECOND).unwrap();
    let mut events = again.events();
    session.ban(account, "cheating").wait(SECOND).unwrap();
    assert_eq!(until_left(&net, SECOND, &mut events), Left::Banned("cheating".into()));
    assert_eq!(refusal(bob.user().join(session.link()).wait(6 * SECOND)), Refusal::Banned);
    session.unban(account).wait(SECOND).unwrap();
    let _seat = bob.user().join(session.link()).wait(6 * SECOND).unwrap();
}

#[test]
fn only_the_host_decides() {
    let net = VirtualLan::new(11);
    let session = host(&net, room());
    let bob = join(&net, &session, "Bob");
    let ada = session.user().id();
    let errors = [
        bob.update(SettingsUpdate::new().name("Bob's")).wait(SECOND).unwrap_err(),
        bob.kick(ada, "mine now").wait(SECOND).unwrap_err(),
        bob.destroy().wait(SECOND).unwrap_err(),
        bob.set_phase(Phase::Ended).wait(SECOND).unwrap_err(),
    ];
    assert!(errors.iter().all(|error| error.kind() == ErrorKind::NotOwner), "{errors:?}");
}

#[test]
fn a_stale_update_is_refused_with_what_is_current() {
    let net = VirtualLan::new(12);
    let session = host(&net, room());
    let old = session.snapshot().revision;
    session.update(SettingsUpdate::new().name("one")).wait(SECOND).unwrap();
    let stale = session.update_if(old, SettingsUpdate::new().name("two")).wait(SECOND).unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Stale);
    let current = stale.current().unwrap();
    assert_eq!(current.name, "one");
    session.update_if(current.revision, SettingsUpdate::new().name("two")).wait(SECOND).unwrap();
}

#[test]
fn lobby_messages_reach_everybody() {
    let net = VirtualLan::new(13);
    let session = host(&net, room());
    let (bob, cid) = (join(&net, &session, "Bob"), join(&net, &session, "Cid"));
    let mut all = [session.events(), bob.events(), cid.events()];
    bob.say(*b"hello").wait(SECOND).unwrap();
    net.advance(ms(100));
    for events in &mut all {
        let heard = drain(events).into_iter().any(|event| {
            matches!(event, SessionEvent::Message { from, ref data, .. } if from == Some(bob.user().id()) && data[..] == *b"hello")
        });
        assert!(heard);
    }
}

#[test]
fn dropping_the_last_handle_leaves() {
    let net = VirtualLan::new(14);
    let session = host(&net, room());
    drop(join(&net, &session, "Bob"));
    net.run_until(SECOND, || members(&session) == 1).unwrap();
    let bob = user(&net, "Bob", "Bob");
    drop(bob.join(session.link()));
    net.advance(5 * SECOND);
    assert_eq!(members(&session), 1, "a join that nobody waits for leaves nobody seated");
}

#[test]
fn the_host_s_goodbyes() {
    for (seed, ends) in [(15, Left::Destroyed), (16, Left::Destroyed)] {
        let net = VirtualLan::new(seed);
        let session = host(&net, room());
        let bob = join(&net, &session, "Bob");
        let mut events = bob.events();
        if seed == 15 {
            session.destroy().wait(SECOND).unwrap();
        } else {
            drop(session);
        }
        assert_eq!(until_left(&net, SECOND, &mut events), ends);
        assert_eq!(drain(&mut events), []);
    }
}

#[test]
fn a_killed_host_is_told_within_three_seconds() {
    for seed in 0..20 {
        let net = VirtualLan::new(seed);
        let session = host(&net, room());
        let seats = [join(&net, &session, "Bob"), join(&net, &session, "Cid")];
        let mut events: Vec<_> = seats.iter().map(Session::events).collect();
        net.advance(ms(seed * 333));
        net.crash("host");
        for events in &mut events {
            assert_eq!(until_left(&net, 3 * SECOND, events), Left::HostLost);
        }
        let dead = session.update(SettingsUpdate::new().name("ghost")).wait(SECOND).unwrap_err();
        assert!(matches!(dead.kind(), ErrorKind::Stopped | ErrorKind::Ended), "{dead:?}");
    }
}

#[test]
fn a_killed_member_is_away_and_then_gone() {
    let net = VirtualLan::new(17);
    let session = host(&net, room());
    let _bob = join(&net, &session, "Bob");
    let mut events = session.events();
    net.crash("Bob");
    net.advance(5 * SECOND);
    assert_eq!(members(&session), 2);
    assert!(drain(&mut events).iter().any(|event| matches!(event, SessionEvent::MemberAway { .. })));
    net.advance(31 * SECOND);
    assert_eq!(members(&session), 1);
    let gone = drain(&mut events);
    assert!(gone.iter().any(|e| matches!(e, SessionEvent::MemberLeft { why: Left::Expired, .. })), "{gone:?}");
}

#[test]
fn pain_07_a_cut_that_heals_in_time_costs_no_seat() {
    let net = VirtualLan::new(18);
    let session = host(&net, room().max_members(2));
    let bob = join(&net, &session, "Bob");
    let mut events = bob.events();
    net.cut("host", "Bob");
    net.advance(10 * SECOND);
    assert_eq!(refusal(joining(&net, &session, "Cid").wait(6 * SECOND)), Refusal::Full);
    session.update(SettingsUpdate::new().name("while you were away")).wait(SECOND).unwrap();
    net.heal("host", "Bob");
    net.run_until(10 * SECOND, || bob.snapshot().name == "while you were away").unwrap();
    assert_eq!(members(&session), 2);
    assert_eq!(left(&drain(&mut events)), None);
}

#[test]
fn a_join_over_a_bad_network_still_ends_in_a_seat_or_a_reason() {
    for seed in 0..50 {
        let net = VirtualLan::new(seed);
        let session = host(&net, room());
        let _loss = net.fault(Fault::loss(0.2));
        match joining(&net, &session, "Bob").wait(20 * SECOND) {
            Ok(seat) => net.run_until(5 * SECOND, || members(&session) == members(&seat)).unwrap(),
            Err(error) => assert!(matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Unreachable), "{error:?}"),
        }
    }
}

/// Fails when a silent address is dialled only once: a SYN that is lost twice comes after three seconds, and 18 of 300 such
/// joins were told that their host is unreachable.
#[test]
fn a_fifth_of_loss_keeps_nobody_out() {
    for seed in 0..300 {
        let net = VirtualLan::new(seed);
        let session = host(&net, room());
        let bob = user(&net, "guest", "Bob");
        let _bad_wifi = net.fault(Fault::loss(0.2));
        let found = bob.find(SessionQuery::new().enough(1)).wait(ms(3_000)).unwrap();
        let seat = bob.join(&found[0]).wait(ms(3_000)).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        drop((seat, session));
    }
}

#[test]
fn futures_run_on_the_virtual_clock() {
    let net = VirtualLan::new(19);
    let ada = user(&net, "host", "Ada");
    let bob = user(&net, "bob", "Bob");
    net.block_on(async {
        let session = ada.host(room()).await.unwrap();
        let found = bob.find(SessionQuery::new().enough(1)).await.unwrap();
        let seat = bob.join(&found[0]).await.unwrap();
        let mut events = session.events();
        while let Some(event) = events.next().await {
            if matches!(event, SessionEvent::MemberJoined { present_before, .. } if !present_before || members(&session) == 2) {
                break;
            }
        }
        seat.leave().await.unwrap();
    });
}

#[test]
fn frames_see_events_when_they_update() {
    let net = VirtualLan::new(20);
    let mut frames = net.lan("host", GAME).start_frames().unwrap();
    let ada = frames.lan().sign_in("Ada").unwrap();
    let mut hosting = ada.host(room());
    let mut session = None;
    for _ in 0..10 {
        net.frame(ms(16));
        for _ in frames.update() {}
        session = session.or_else(|| hosting.try_take());
    }
    let session = session.unwrap().unwrap();
    let bob = joining(&net, &session, "Bob");
    net.frame(ms(500));
    assert_eq!(members(&session), 1, "nothing moves between two updates");
    let joined = frames.update().any(|event| format!("{event:?}").contains("MemberJoined"));
    assert!(joined);
    assert_eq!(members(&session), 2);
    drop(bob);
}

#[test]
fn signing_out_answers_a_join_that_still_looks_for_its_host() {
    let net = VirtualLan::new(61);
    let bob = user(&net, "bob", "Bob");
    let request = JoinRequest::from(lansession::SessionId::from_name("nowhere")).timeout(30 * SECOND);
    let mut join = bob.join(request);
    net.advance(ms(50));
    bob.sign_out().wait(SECOND).unwrap();
    net.advance(ms(50));
    let error = join.try_take().expect("answered with the sign-out").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn a_host_whose_address_changes_is_found_again_by_its_members() {
    use lansession::testing::Nic;
    for browsing in [true, false] {
        let net = VirtualLan::new(62);
        let session = host(&net, room());
        let bob = user(&net, "bob", "Bob");
        let _rooms = browsing.then(|| bob.browse(SessionQuery::new()).unwrap());
        let seat = bob.join(session.link()).wait(6 * SECOND).unwrap();
        let mut events = seat.events();
        net.advance(SECOND);
        net.set_interfaces("host", [Nic::new("eth0", "lan").address("10.77.9.9/16")]).unwrap();
        let mut back = false;
        let outcome = net.run_until(30 * SECOND, || {
            back |= drain(&mut events).iter().any(|event| matches!(event, SessionEvent::Reconnected));
            back
        });
        assert!(outcome.is_ok(), "browsing: {browsing}, {}", seat.dump());
        assert_eq!(members(&session), 2);
    }
}

#[test]
fn what_a_host_says_of_anti_cheat_and_sanctions_is_told() {
    let net = VirtualLan::new(7);
    let user = |node: &str, name: &str| net.lan(node, GAME).start().unwrap().sign_in(name).unwrap();
    let (ada, bob) = (user("ada", "Ada"), user("bob", "Bob"));
    let strict = HostRequest::from(SessionSettings::new("strict")).anti_cheat(true).allow_sanctioned(false);
    let _strict = ada.host(strict).wait(2 * SECOND).unwrap();
    let _plain =
        ada.host(HostRequest::from(SessionSettings::new("plain")).local_name("plain")).wait(2 * SECOND).unwrap();
    let mut found = bob.find(SessionQuery::new()).wait(3 * SECOND).unwrap();
    found.sort_by(|a, b| a.name().cmp(b.name()));
    let said: Vec<_> = found.iter().map(|f| (f.name(), f.facts().anti_cheat, f.facts().allow_sanctioned)).collect();
    assert_eq!(said, [("plain", false, true), ("strict", true, false)]);
    let seat = bob.join(&found[1]).wait(3 * SECOND).unwrap();
    assert!(seat.snapshot().anti_cheat && !seat.snapshot().allow_sanctioned);
}

#[test]
fn a_declared_schema_holds_the_session_and_its_updates() {
    let net = VirtualLan::new(8);
    let duel = Schema::new("duel").required("map", ValueType::String).max_bytes(8).key("skill", ValueType::Int);
    let settings = SessionSettings::new("room").declared(duel).attr("map", "dust");
    let ada = user(&net, "host", "Ada");
    let wrong = ada.host(settings.clone().attr("skill", "high")).wait(2 * SECOND).unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::InvalidArgument);
    let room = ada.host(settings).wait(2 * SECOND).unwrap();
    assert_eq!(room.snapshot().schema, "duel");
    let update = |update| room.update(update).wait(2 * SECOND).map_err(|error| error.to_string());
    assert!(update(SettingsUpdate::new().remove("map")).unwrap_err().contains("requires"));
    assert!(update(SettingsUpdate::new().set("sklil", 3)).unwrap_err().contains("not declared"));
    assert!(update(SettingsUpdate::new().set("map", "a long name")).unwrap_err().contains("11 bytes"));
    update(SettingsUpdate::new().set("skill", 3)).unwrap();
    // Another schema, and nothing is declared any more.
    update(SettingsUpdate::new().schema("ffa").set("anything", true)).unwrap();
}
