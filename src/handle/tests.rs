use std::fmt::Debug;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::fake::{Fake, found, snapshot, take};
use super::*;
use crate::proto::io::{Answer, Command, Output, SeatId, SeatOpened};
use crate::types::*;

const LONG: Duration = Duration::from_secs(10);

/// An executor made by hand.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Hand(Arc<Count>, Waker);

impl Hand {
    fn new() -> Self {
        let count = Arc::new(Count::default());
        Self(Arc::clone(&count), Waker::from(count))
    }

    fn poll<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&self.1))
    }

    fn woken(&self) -> usize {
        self.0.0.load(Ordering::SeqCst)
    }
}

fn message(text: &str) -> SessionEvent {
    SessionEvent::Message { from: None, data: Arc::from(text.as_bytes()) }
}

fn all<T>(events: &mut Events<T>) -> Vec<T> {
    std::iter::from_fn(|| events.try_next()).collect()
}

#[test]
fn handles_are_what_the_api_promises() {
    fn handle<T: Clone + Debug + Send + Sync + 'static>() {}
    fn held<T: Debug + Send + Sync + 'static>() {}
    handle::<Lan>();
    handle::<LanBuilder>();
    handle::<User>();
    handle::<Session>();
    handle::<Browser>();
    handle::<JoinRequest>();
    held::<Pending<Session>>();
    held::<Pending<Vec<Found>>>();
    held::<Events<Event>>();
    held::<Watch<SessionSnapshot>>();
}

// ------------------------------------------------------------------------------------------------------- pending

#[test]
fn a_pending_is_awaited_by_any_executor() {
    let (fake, lan) = Fake::start();
    let mut find = pin!(lan.find(SessionQuery::new()));
    let request = fake.request();
    let (first, second) = (Hand::new(), Hand::new());
    assert!(first.poll(find.as_mut()).is_pending());
    assert!(second.poll(find.as_mut()).is_pending());
    fake.answer(request, Answer::Found(vec![found(1)]));
    assert_eq!((first.woken(), second.woken()), (0, 1), "the last one that polled");
    let Poll::Ready(Ok(list)) = second.poll(find.as_mut()) else { panic!("not ready") };
    assert_eq!(list, [found(1)]);
    assert!(matches!(second.poll(find), Poll::Ready(Err(error)) if error.kind() == ErrorKind::InvalidState));
}

#[test]
fn a_pending_is_looked_at_taken_and_waited_for() {
    let (fake, lan) = Fake::start();
    let mut find = lan.find(SessionQuery::new());
    let request = fake.request();
    assert!(find.ready().is_none() && find.try_take().is_none());
    fake.answer(request, Answer::Found(vec![]));
    assert!(matches!(find.ready(), Some(Ok(list)) if list.is_empty()));
    assert!(find.ready().is_some(), "it stays");
    assert_eq!(take(&mut find).unwrap(), []);
    assert!(find.try_take().is_none());
    assert_eq!(find.wait(LONG).unwrap_err().kind(), ErrorKind::InvalidState);

    let find = lan.find(SessionQuery::new());
    let request = fake.request();
    let core = fake.core();
    let late = std::thread::spawn(move || core.deliver(Output::Done { request, result: Ok(Answer::Found(vec![])) }));
    assert_eq!(find.wait(LONG).unwrap(), []);
    late.join().unwrap();

    let find = lan.find(SessionQuery::new());
    assert_eq!(find.wait(Duration::ZERO).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(fake.commands(), ["Find", "Cancel"]);
}

#[test]
fn a_wait_turns_a_virtual_clock_to_the_answer_and_no_further_than_its_end() {
    let fake = Fake::with_clock();
    let lan = fake.builder().launch(None, false).unwrap();
    let clock = fake.clock.clone().unwrap();
    let find = lan.find(SessionQuery::new());
    let request = fake.request();
    let noise = Output::Lan(LanEvent::Interfaces(Vec::new()));
    clock.says.lock().unwrap().extend([noise, Output::Done { request, result: Ok(Answer::Found(vec![])) }]);
    assert_eq!(find.wait(LONG).unwrap(), []);
    assert_eq!(backend::Drive::now_micros(&*clock), 20_000);

    let error = lan.find(SessionQuery::new()).wait(Duration::from_millis(15)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(backend::Drive::now_micros(&*clock), 35_000);

    let mut events = lan.events();
    clock.says.lock().unwrap().push_back(Output::Lan(LanEvent::Recovered("x".into())));
    assert_eq!(events.wait(LONG), Some(Event::Lan(LanEvent::Recovered("x".into()))));
    fake.core().stopped();
    assert_eq!(events.wait(LONG), Some(Event::Lan(LanEvent::Closed)));
    assert_eq!(events.wait(LONG), None, "an end is no timeout");
    assert_eq!(backend::Drive::now_micros(&*clock), 45_000);
}

#[test]
fn a_dropped_find_and_a_dropped_join_are_given_up_and_a_dropped_update_is_not() {
    let (fake, lan) = Fake::start();
    let ada = lan.sign_in("Ada").unwrap();
    let room = fake.hosted(&ada, 1);
    drop(lan.find(SessionQuery::new()));
    drop(ada.join(SessionId::from_name("other")));
    drop(room.update(SettingsUpdate::new().name("arena")));
    drop(lan.diagnose());
    assert_eq!(fake.commands(), ["Find", "Cancel", "Join", "Cancel", "Update", "Diagnose"]);
}

#[test]
fn a_seat_that_comes_too_late_is_left_again_wherever_its_answer_was() {
    let (fake, lan) = Fake::start();
    let ada = lan.sign_in("Ada").unwrap();
    // Before the answer.
    let pending = ada.join(SessionId::from_name("a"));
    let request = fake.request();
    drop(pending);
    fake.open(&ada, 1, false);
    fake.answer(request, Answer::Seat(SeatId(1)));
    assert_eq!(fake.commands(), ["Cancel", "Leave"]);
    // After the answer, not looked at.
    let pending = ada.join(SessionRequest::b());
    let request = fake.request();
    fake.open(&ada, 2, false);
    fake.answer(request, Answer::Seat(SeatId(2)));
    drop(pending);
    assert_eq!(fake.commands(), ["Leave"]);
    // After it was looked at.
    let mut pending = ada.join(SessionRequest::b());
    let request = fake.request();
    fake.open(&ada, 3, false);
    fake.answer(request, Answer::Seat(SeatId(3)));
    assert!(pending.ready().is_some());
    assert_eq!(fake.commands(), [""; 0]);
    drop(pending);
    assert_eq!(fake.commands(), ["Leave"]);
}

struct SessionRequest;

impl SessionRequest {
    fn b() -> JoinRequest {
        JoinRequest::from(SessionId::from_name("b")).local_name("b")
    }
}

#[test]
fn a_detached_session_stays_and_a_detached_failure_is_told() {
    let (fake, lan) = Fake::start();
    let ada = lan.sign_in("Ada").unwrap();
    let mut events = lan.events();
    for answered_before in [false, true] {
        let seat = 1 + u64::from(answered_before);
        let pending = ada.host(HostRequest::new(SessionSettings::new("room")).local_name(seat.to_string()));
        let request = fake.request();
        let answer = || {
            fake.open(&ada, seat, true);
            fake.answer(request, Answer::Seat(SeatId(seat)));
        };
        if answered_before {
            answer();
            pending.detach();
        } else {
            pending.detach();
            answer();
        }
        assert_eq!(fake.commands(), [""; 0]);
        drop(ada.session_named(&format!("room {seat}")).unwrap());
        assert_eq!(fake.commands(), [""; 0]);
    }
    all(&mut events);
    let pending = ada.join(SessionRequest::b());
    let request = fake.request();
    pending.detach();
    fake.say(Output::Done { request, result: Err(Error::refused(Refusal::Full)) });
    assert!(matches!(all(&mut events).as_slice(), [Event::Lan(LanEvent::Trouble(why))] if why.contains("full")));
}

#[test]
fn what_a_user_found_is_forgotten_with_its_sign_in() {
    let (fake, lan) = Fake::start();
    let ada = lan.sign_in("Ada").unwrap();
    let (mut early, mut late) = (ada.find(SessionQuery::new()), ada.find(SessionQuery::new()));
    fake.answer(fake.request(), Answer::Found(vec![found(1)]));
    assert!(take(&mut early).is_ok() && lan.known(found(1).id()).is_some());
    let second = fake.request();
    ada.sign_out().detach();
    fake.answer(fake.request(), Answer::Unit);
    fake.say(Output::User { user: ada.id(), event: UserEvent::SignedOut });
    // An answer that was on its way is still one, and nothing to remember.
    fake.answer(second, Answer::Found(vec![found(2)]));
    assert_eq!(take(&mut late).unwrap(), [found(2)]);
    assert_eq!((lan.known(found(1).id()), lan.known(found(2).id())), (None, None));
}

#[test]
fn a_detached_session_stays_though_nobody_holds_its_user() {
    let (fake, lan) = Fake::start();
    let mut events = lan.events();
    let ada = lan.sign_in("Ada").unwrap();
    let account = ada.id();
    ada.host(SessionSettings::new("room")).detach();
    let request = fake.request();
    drop(ada);
    assert_eq!(fake.commands(), [""; 0], "a sign-out would end what was asked for");
    let bob = lan.sign_in("Bob").unwrap();
    fake.commands();
    let opened = SeatOpened {
        seat: SeatId(1),
        user: account,
        local_name: "game".into(),
        is_host: true,
        host_addresses: Vec::new(),
        control_port: 4_000,
        snapshot: Arc::new(snapshot(1, &[&bob])),
        reservation: None,
    };
    fake.say(Output::SeatOpened(Box::new(opened)));
    fake.answer(request, Answer::Seat(SeatId(1)));
    assert_eq!(fake.commands(), [""; 0]);
    fake.happens(1, vec![SessionEvent::Left { why: Left::HostLost }], None);
    assert_eq!(fake.commands(), ["SignOut"], "its last seat has ended");

    // And where it comes to nothing, the user goes at once.
    lan.sign_in("Cem").unwrap().join(SessionRequest::b()).detach();
    let request = fake.request();
    assert_eq!(fake.commands(), [""; 0]);
    fake.say(Output::Done { request, result: Err(Error::refused(Refusal::Full)) });
    assert_eq!(fake.commands(), ["SignOut"]);
    assert!(all(&mut events).iter().any(|event| matches!(event, Event::Lan(LanEvent::Trouble(_)))));
}

#[test]
fn a_seat_is_its_users_presence_from_its_first_moment_whoever_looks_at_the_answer() {
    let (fake, lan) = Fake::start();
    let ada = lan.sign_in("Ada").unwrap();
    let ask = |name: &str| HostRequest::new(SessionSettings::new("room")).local_name(name).presence(true);
    let seat = |seat| {
        let request = fake.request();
        fake.open(&ada, seat, true);
        fake.answer(request, Answer::Seat(SeatId(seat)));
    };
    ada.host(ask("a")).detach();
    seat(1);
    assert_eq!(fake.commands(), ["SetPresence"]);
    assert!(ada.presence().is_some());
    let pending = ada.host(ask("b"));
    seat(2);
    assert_eq!(fake.commands(), ["SetPresence"], "nobody has looked yet");
    assert!(pending.wait(LONG).unwrap().is_presence());

    let bob = lan.sign_in("Bob").unwrap();
    let party = ada.join_with(&[&bob], SessionRequest::b().presence(true));
    let request = fake.request();
    fake.open(&ada, 3, false);
    fake.open(&bob, 4, false);
    fake.answer(request, Answer::Seats(vec![SeatId(3), SeatId(4)]));
    assert!(party.wait(LONG).unwrap().iter().all(Session::is_presence));
}

#[test]
fn matchmaking_asks_an_address_without_a_port_at_the_beacon_port_and_detached_keeps_its_user() {
    let (fake, lan) = Fake::start();
    let query = SessionQuery::new().at("192.168.0.7:0".parse().unwrap());
    lan.sign_in("Ada").unwrap().matchmake((query, SessionSettings::new("duel"))).detach();
    let commands: Vec<Command> = std::iter::from_fn(|| fake.command()).collect();
    let [Command::SignIn { .. }, Command::Matchmake { what, .. }] = commands.as_slice() else { panic!("{commands:?}") };
    assert_eq!(what.query.targets[0].port(), lan.beacon_port());
}

#[test]
fn bad_values_fail_at_the_call_and_send_nothing() {
    let (fake, lan) = Fake::start();
    let ada = lan.sign_in("Ada").unwrap();
    let room = fake.hosted(&ada, 1);
    fake.commands();
    let id = SessionId::from_name("x");
    let join = |request: JoinRequest| ada.join(request).wait(Duration::ZERO).unwrap_err();
    let long = "x".repeat(200);
    let errors = [
        (lan.find(SessionQuery::new().take(101)).wait(LONG).unwrap_err(), "take is 101"),
        (lan.browse(SessionQuery::new().enough(0)).unwrap_err(), "enough is 0"),
        (lan.browse(SessionQuery::new().at("0.0.0.0:7".parse().unwrap())).unwrap_err(), "0.0.0.0:7"),
        (lan.find(SessionQuery::new().at("[ff02::1]:7".parse().unwrap())).wait(LONG).unwrap_err(), "[ff02::1]:7"),
        (ada.host(SessionSettings::new("a").max_members(0)).wait(LONG).unwrap_err(), "max_members is 0"),
        (
            ada.host(HostRequest::new(SessionSettings::new("a")).password("")).wait(LONG).unwrap_err(),
            "password is empty",
        ),
        (join(JoinRequest::from(id).local_name("")), "the local name is empty"),
        (join(JoinRequest::from(id).ticket(vec![0; 1_030])), "6 bytes over"),
        (join(JoinRequest::from(id).timeout(Duration::from_millis(99))), "99 ms"),
        (join(JoinRequest::from(id).timeout(Duration::from_secs(61))), "61000 ms"),
        (join(JoinRequest::from(id).attr("skill", f64::NAN)), "skill"),
        (join("192.168.0.7:0".parse::<std::net::SocketAddr>().unwrap().into()), "192.168.0.7:0"),
        (room.update(SettingsUpdate::new().max_members(2_000)).wait(LONG).unwrap_err(), "2000"),
        (room.update(SettingsUpdate::new().set("a", f64::NAN)).wait(LONG).unwrap_err(), "NaN"),
        (room.update_me(MemberUpdate::new().name("")).wait(LONG).unwrap_err(), "player's name is empty"),
        (room.kick(ada.id(), "").wait(LONG).unwrap_err(), "cannot remove itself"),
        (room.say(vec![0; 1_025]).wait(LONG).unwrap_err(), "1 byte over its 1024"),
        (room.ban(Identity::from_seed([1; 32]).unwrap().account(), long).wait(LONG).unwrap_err(), "72 bytes over"),
    ];
    for (error, words) in errors {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        assert!(error.to_string().contains(words), "{error} lacks {words:?}");
    }
    assert_eq!(fake.commands(), [""; 0]);
}

#[test]
fn an_address_to_ask_without_a_port_is_asked_at_the_beacon_port() {
    let (fake, lan) = Fake::start();
    let query = || SessionQuery::new().at("192.168.0.7:0".parse().unwrap()).at("192.168.0.8:9".parse().unwrap());
    let browser = lan.browse(query()).unwrap();
    browser.set_query(query()).unwrap();
    let _find = lan.find(query());
    for _ in 0..3 {
        let (Command::OpenBrowser { query, .. } | Command::SetQuery { query, .. } | Command::Find { query, .. }) =
            fake.command().unwrap()
        else {
            panic!("another command")
        };
        let ports: Vec<u16> = query.targets.iter().map(std::net::SocketAddr::port).collect();
        assert_eq!(ports, [lan.beacon_port(), 9]);
    }
}

#[test]
fn a_cross_check_against_an_old_state_does_not_fail_an_update_early() {
    let (fake, lan) = Fake::start();
    let room = fake.hosted(&lan.sign_in("Ada").unwrap(), 1);
    // 8 members now; the update before this one may have made room for so many.
    let mut pending = room.update(SettingsUpdate::new().reserved_slots(20));
    assert!(pending.try_take().is_none());
}

#[test]
fn commands_are_bounded_and_what_ends_things_passes() {
    let (fake, lan) = Fake::start();
    let browser = lan.browse(SessionQuery::new()).unwrap();
    (0..5_000).for_each(|_| browser.refresh());
    assert_eq!(lan.diagnose().wait(LONG).unwrap_err().kind(), ErrorKind::TooManyRequests);
    drop(browser);
    let commands = fake.commands();
    assert_eq!((commands.len(), commands.last().unwrap().as_str()), (4_097, "CloseBrowser"));
}

#[test]
fn finds_and_browsers_are_bounded_together() {
    let (_fake, lan) = Fake::start();
    let browser = lan.browse(SessionQuery::new()).unwrap();
    let finds: Vec<_> = (0..63).map(|_| lan.find(SessionQuery::new())).collect();
    assert_eq!(lan.browse(SessionQuery::new()).unwrap_err().kind(), ErrorKind::TooManyRequests);
    drop(browser);
    assert!(lan.browse(SessionQuery::new()).is_ok());
    drop(finds);
}

// ------------------------------------------------------------------------------------------------- drops and ends

#[test]
fn each_handle_keeps_what_stands_above_it_and_the_last_ends_it_politely() {
    let (fake, lan) = Fake::start();
    let room = fake.hosted(&lan.sign_in("Ada").unwrap(), 1);
    drop(lan);
    let other = room.clone();
    drop(room);
    assert_eq!(fake.commands(), [""; 0]);
    assert!(!fake.guard_dropped.load(Ordering::SeqCst));
    drop(other);
    assert_eq!(fake.commands(), ["Leave", "SignOut", "Close"]);
    assert!(fake.guard_dropped.load(Ordering::SeqCst));
}

#[test]
fn a_kept_seat_outlives_its_handles_and_its_user_handle() {
    let (fake, lan) = Fake::start();
    let ada = lan.sign_in("Ada").unwrap();
    let room = fake.hosted(&ada, 1);
    room.keep();
    drop((room, ada));
    assert_eq!(fake.commands(), [""; 0]);
    fake.happens(1, vec![SessionEvent::Left { why: Left::Destroyed }], None);
    assert_eq!(fake.commands(), ["SignOut"]);
}

#[test]
fn a_user_finds_its_seats_again() {
    let (fake, lan) = Fake::start();
    let (ada, bob) = (lan.sign_in("Ada").unwrap(), lan.sign_in("Bob").unwrap());
    let room = fake.hosted(&ada, 1);
    assert_eq!(ada.sessions().len(), 1);
    assert!(bob.sessions().is_empty());
    assert_eq!(ada.session(room.id()).unwrap().key(), room.key());
    assert!(lan.known(room.id()).unwrap().joinable().is_ok());
    let again = HostRequest::new(SessionSettings::new("b")).local_name("room 1");
    assert_eq!(ada.host(again.clone()).wait(LONG).unwrap_err().kind(), ErrorKind::AlreadyExists);
    drop(room.leave());
    drop(room);
    assert_eq!(fake.commands(), ["Leave"], "one is enough");
    assert!(ada.sessions().is_empty());
    drop(ada.host(again));
    assert_eq!(fake.commands(), ["Host", "Cancel"]);
}

#[test]
fn a_sign_out_ends_the_user_and_the_account_may_come_again() {
    let (fake, lan) = Fake::start();
    let profile = Profile::new("Ada").identity(Identity::from_seed([1; 32]).unwrap());
    let ada = lan.sign_in(profile.clone()).unwrap();
    assert_eq!(lan.sign_in(profile.clone()).unwrap_err().kind(), ErrorKind::AlreadyExists);
    let mut events = ada.events();
    let mut out = ada.sign_out();
    let request = fake.request();
    assert_eq!(ada.host(SessionSettings::new("a")).wait(LONG).unwrap_err().kind(), ErrorKind::InvalidState);
    fake.answer(request, Answer::Unit);
    fake.say(Output::User { user: ada.id(), event: UserEvent::SignedOut });
    take(&mut out).unwrap();
    assert_eq!((events.try_next(), events.is_ended()), (Some(UserEvent::SignedOut), true));
    let again = lan.sign_in(profile).unwrap();
    drop(ada);
    assert_eq!(fake.commands(), ["SignIn"], "the old handle does not sign the new user out");
    assert!(again.sign_out().try_take().is_none());
}

#[test]
fn each_sign_in_hears_of_its_own_end_and_of_no_other() {
    let (fake, lan) = Fake::start();
    let profile = Profile::new("Ada").identity(Identity::from_seed([1; 32]).unwrap());
    let out = |fake: &Fake, account| fake.say(Output::User { user: account, event: UserEvent::SignedOut });
    // Signed out, signed in again before the engine said so, and then dropped: three ends under way for one account.
    let first = lan.sign_in(profile.clone()).unwrap();
    let account = first.id();
    let mut at_first = first.events();
    first.sign_out().detach();
    let second = lan.sign_in(profile.clone()).unwrap();
    let mut at_second = second.events();
    drop(second);
    let third = lan.sign_in(profile).unwrap();
    let mut at_third = third.events();
    assert_eq!(fake.commands(), ["SignIn", "SignOut", "SignIn", "SignOut", "SignIn"]);

    out(&fake, account);
    assert_eq!((at_first.try_next(), at_first.is_ended()), (Some(UserEvent::SignedOut), true));
    assert_eq!((at_second.try_next(), at_second.is_ended()), (None, false));
    out(&fake, account);
    assert_eq!((at_second.try_next(), at_second.is_ended()), (Some(UserEvent::SignedOut), true));
    assert_eq!((at_third.try_next(), at_third.is_ended()), (None, false));
    drop(third);
    fake.core().stopped();
    assert!(at_third.is_ended(), "nothing more can come");
}

#[test]
fn a_full_queue_stops_no_leave_and_a_stopped_core_answers_a_close() {
    let (fake, lan) = Fake::start();
    let ada = lan.sign_in("Ada").unwrap();
    let room = fake.hosted(&ada, 1);
    let rooms = lan.browse(SessionQuery::new()).unwrap();
    (0..5_000).for_each(|_| rooms.refresh());
    assert_eq!(room.say(*b"x").wait(LONG).unwrap_err().kind(), ErrorKind::TooManyRequests);
    room.leave().detach();
    assert_eq!(fake.commands().last().unwrap(), "Leave");

    fake.core().stopped();
    let close = lan.core().request(core::Kind::Close, |request| Command::Close { request }, lan::unit);
    assert!(close.wait(Duration::ZERO).is_ok(), "whoever closes while it stops is answered");
}

#[test]
fn a_watch_wakes_for_another_state_and_not_for_the_same_one() {
    let (fake, lan) = Fake::start();
    let ada = lan.sign_in("Ada").unwrap();
    let room = fake.hosted(&ada, 1);
    let mut watch = room.watch();
    fake.happens(1, vec![SessionEvent::Reconnected], Some(snapshot(1, &[&ada])));
    assert!(watch.try_changed().is_none());
    fake.happens(1, vec![], Some(snapshot(2, &[&ada])));
    assert_eq!(watch.try_changed().unwrap().revision.number, 2);
}

#[test]
fn the_17th_user_is_one_too_many() {
    let (_fake, lan) = Fake::start();
    let users: Vec<_> = (0..16).map(|i| lan.sign_in(format!("user {i}")).unwrap()).collect();
    assert_eq!(lan.sign_in("one more").unwrap_err().kind(), ErrorKind::TooManyRequests);
    drop(users);
    assert!(lan.sign_in("one more").is_ok());
}

#[test]
fn a_stop_answers_everybody() {
    let (fake, lan) = Fake::start();
    let ada = lan.sign_in("Ada").unwrap();
    let room = fake.hosted(&ada, 1);
    let (mut seat, mut whole, mut watch) = (room.events(), lan.events(), room.watch());
    let browser = lan.browse(SessionQuery::new()).unwrap();
    let mut list = browser.events();
    let mut find = lan.find(SessionQuery::new());
    let mut close = lan.close();
    assert_eq!(lan.sign_in("Bob").unwrap_err().kind(), ErrorKind::Stopped);
    assert_eq!(room.say(*b"x").wait(LONG).unwrap_err().kind(), ErrorKind::Stopped);
    fake.core().stopped();
    fake.core().stopped();
    assert_eq!(take(&mut find).unwrap_err().kind(), ErrorKind::Stopped);
    take(&mut close).unwrap();
    lan.close().wait(LONG).unwrap();
    assert_eq!(all(&mut seat).last(), Some(&SessionEvent::Left { why: Left::Shutdown }));
    assert!(seat.is_ended() && list.try_next().is_none() && list.is_ended());
    assert_eq!(all(&mut whole).last(), Some(&Event::Lan(LanEvent::Closed)));
    assert!(whole.is_ended() && lan.events().is_ended());
    assert_eq!(watch.wait(LONG), None);
    assert_eq!(room.snapshot().name, "room", "the last state stays");
    let mut context = Context::from_waker(Waker::noop());
    assert!(fake.core().poll_command(&mut context).is_ready());
}

#[test]
fn the_driver_is_woken_for_a_command() {
    let (fake, lan) = Fake::start();
    let hand = Hand::new();
    let core = fake.core();
    let mut context = Context::from_waker(&hand.1);
    assert!(core.poll_command(&mut context).is_pending());
    let _find = lan.find(SessionQuery::new());
    assert_eq!(hand.woken(), 1);
    assert!(matches!(core.poll_command(&mut context), Poll::Ready(Some(Command::Find { .. }))));
}

// -------------------------------------------------------------------------------------------------------- events

#[test]
fn a_subscription_begins_with_the_present_state_whatever_the_engine_says_first() {
    let (fake, lan) = Fake::start();
    let (ada, bob) = (lan.sign_in("Ada").unwrap(), lan.sign_in("Bob").unwrap());
    let mut whole = lan.events();
    let mut pending = ada.join(SessionId::from_name("room"));
    let request = fake.request();
    fake.open(&ada, 1, false);
    assert_eq!(all(&mut whole), [], "an answer is ready before the first event it caused");
    fake.answer(request, Answer::Seat(SeatId(1)));
    let room = take(&mut pending).unwrap();
    let mut events = room.events();
    let now = Arc::new(snapshot(2, &[&ada, &bob]));
    let joined = |member: &Member, number, present_before| SessionEvent::MemberJoined {
        member: member.clone(),
        present_before,
        revision: Revision { term: 1, number },
    };
    let first = vec![SessionEvent::Joined { snapshot: room.snapshot() }, joined(&now.members[0], 1, false)];
    fake.happens(1, [first.clone(), vec![message("a")]].concat(), None);
    fake.happens(1, vec![joined(&now.members[1], 2, false)], Some((*now).clone()));
    let expected = [first, vec![message("a"), joined(&now.members[1], 2, false)]].concat();
    assert_eq!(all(&mut events), expected);
    let wrapped = |what| Event::Session { user: ada.id(), session: room.id(), what };
    assert_eq!(all(&mut whole), expected.into_iter().map(wrapped).collect::<Vec<_>>());
    // A later one: others first, oneself last.
    let later = [
        SessionEvent::Joined { snapshot: Arc::clone(&now) },
        joined(&now.members[1], 2, true),
        joined(&now.members[0], 2, false),
    ];
    assert_eq!(all(&mut room.events()), later);
    // Nothing after the end.
    fake.happens(1, vec![SessionEvent::Left { why: Left::HostLost }, message("late")], None);
    fake.happens(1, vec![message("later")], None);
    assert_eq!(all(&mut events), [SessionEvent::Left { why: Left::HostLost }]);
    assert!(events.is_ended());
    assert_eq!(all(&mut room.events()).len(), 4);
    assert_eq!(room.say(*b"x").wait(LONG).unwrap_err().kind(), ErrorKind::Ended);
    assert!(room.leave().wait(LONG).is_ok());
}

#[test]
fn a_slow_reader_lags_gets_the_state_again_and_hears_of_the_end() {
    let (fake, lan) = Fake::start();
    let ada = lan.sign_in("Ada").unwrap();
    let room = fake.hosted(&ada, 1);
    let (mut slow, mut quick) = (room.events(), room.events());
    let mut heard = 0;
    for number in 2..3_002 {
        fake.happens(1, vec![message("x")], Some(snapshot(number, &[&ada])));
        heard += all(&mut quick).len();
    }
    fake.happens(1, vec![SessionEvent::Left { why: Left::Destroyed }], None);
    assert_eq!(heard, 3_002);
    let events = all(&mut slow);
    let SessionEvent::Lagged { missed } = events[0] else { panic!("{:?}", events[0]) };
    let SessionEvent::Joined { snapshot } = &events[1] else { panic!("{:?}", events[1]) };
    assert!(snapshot.revision.number > 1_000);
    assert_eq!(events.last(), Some(&SessionEvent::Left { why: Left::Destroyed }));
    let rest = u64::try_from(events.len()).unwrap() - 3;
    assert_eq!(missed + rest, 3_001, "each change is either read or counted");
    assert_eq!(3_001 - snapshot.revision.number, rest, "what follows the state is what came after it");
    assert!(slow.is_ended());
}

#[test]
fn a_slow_reader_of_everything_hears_of_an_end_before_the_seat_that_came_after() {
    let (fake, lan) = Fake::start();
    let ada = lan.sign_in("Ada").unwrap();
    let mut slow = lan.events();
    // In, out, and in again: one session, one user.
    let _first = fake.hosted(&ada, 1);
    fake.happens(1, vec![SessionEvent::Left { why: Left::HostLost }], None);
    let _second = fake.hosted(&ada, 2);
    for number in 2..2_002 {
        fake.happens(2, vec![message("x")], Some(snapshot(number, &[&ada])));
    }
    let mut seated = Vec::new();
    for event in all(&mut slow) {
        match event {
            Event::Session { what: SessionEvent::Joined { .. }, .. } => seated.push(true),
            Event::Session { what: SessionEvent::Left { .. }, .. } => seated.push(false),
            _ => {}
        }
    }
    assert_eq!(seated, [false, true], "{seated:?}");
}

#[test]
fn a_slow_list_reader_still_hears_of_each_loss_it_must_know() {
    let (fake, lan) = Fake::start();
    let browser = lan.browse(SessionQuery::new()).unwrap();
    let mut events = browser.events();
    let lists = |events| Output::Browser { browser: browser.id(), list: Arc::from([found(1)]), events };
    fake.say(lists(vec![BrowserEvent::Found(found(1))]));
    assert_eq!(browser.list().len(), 1);
    assert_eq!(lan.known(found(1).id()), Some(found(1)));
    assert_eq!(all(&mut events).len(), 1);
    fake.say(lists(vec![BrowserEvent::Lost(found(1).key())]));
    for other in 2..10_000 {
        // One that flaps while nobody reads, and was never told.
        let flaps = vec![BrowserEvent::Found(found(other % 3 + 2)), BrowserEvent::Lost(found(other % 3 + 2).key())];
        fake.say(lists(flaps));
    }
    let events = all(&mut events);
    assert!(events.len() < 2_000);
    assert!(matches!(events[0], BrowserEvent::Lagged { missed } if missed > 1_000));
    assert_eq!(events[1], BrowserEvent::Lost(found(1).key()));
}

#[test]
fn events_and_watches_wake_their_readers() {
    let (fake, lan) = Fake::start();
    let ada = lan.sign_in("Ada").unwrap();
    let room = fake.hosted(&ada, 1);
    let (hand, mut events, mut watch) = (Hand::new(), room.events(), room.watch());
    all(&mut events);
    assert!(hand.poll(pin!(events.next())).is_pending());
    assert!(hand.poll(pin!(watch.changed())).is_pending());
    fake.happens(1, vec![message("x")], Some(snapshot(2, &[&ada])));
    assert_eq!(hand.woken(), 2);
    assert_eq!(hand.poll(pin!(events.next())), Poll::Ready(Some(message("x"))));
    let Poll::Ready(Some(now)) = hand.poll(pin!(watch.changed())) else { panic!("no change") };
    assert_eq!((now.revision.number, watch.current().revision.number), (2, 2));
    assert!(watch.try_changed().is_none());

    let core = fake.core();
    let seat = SeatId(1);
    let said = std::thread::spawn(move || {
        core.deliver(Output::Seat { seat, events: vec![message("y")], snapshot: None });
    });
    assert_eq!(events.wait(LONG), Some(message("y")));
    said.join().unwrap();
}

// -------------------------------------------------------------------------------------------------------- session

#[test]
fn a_seat_knows_the_way_to_its_host() {
    let (fake, lan) = Fake::start();
    let ada = lan.sign_in("Ada").unwrap();
    let room = fake.hosted(&ada, 1);
    assert_eq!(room.endpoint("game").unwrap().to_string(), "192.168.0.7:7777");
    assert_eq!(room.endpoint("game").unwrap().addrs().len(), 2);
    assert!(room.endpoint("voice").unwrap_err().to_string().contains("it has game"));
    assert_eq!(room.link().addresses[0].to_string(), "192.168.0.7:4000");
    assert_eq!(room.link().game, "com.example.boxes");
    assert_eq!(room.code(), RoomCode::of(room.key()));
    fake.say(Output::SeatAddresses { seat: SeatId(1), addresses: Vec::new(), port: None });
    assert_eq!(room.endpoint("game").unwrap_err().kind(), ErrorKind::Unreachable);
    assert_eq!(room.game_key(ada.id()).unwrap_err().kind(), ErrorKind::NotFound);
    fake.say(Output::SeatKeys { seat: SeatId(1), keys: vec![(ada.id(), [3; 32].into())] });
    assert_eq!(room.game_key(ada.id()).unwrap(), [3; 32]);
    let dump = room.dump();
    assert!(dump.contains("Ada") && dump.contains("host") && !dump.contains("3, 3"));
}

#[test]
fn who_has_changed_something_sees_it() {
    let (fake, lan) = Fake::start();
    let ada = lan.sign_in("Ada").unwrap();
    let room = fake.hosted(&ada, 1);
    let mut events = room.events();
    all(&mut events);
    let hand = Hand::new();
    let mut change = pin!(room.update(SettingsUpdate::new().name("arena")));
    let mut other = room.set_phase(Phase::InProgress);
    let (request, second) = (fake.request(), fake.request());
    fake.answer(request, Answer::Revision(Revision { term: 1, number: 2 }));
    fake.answer(second, Answer::Revision(Revision { term: 1, number: 9 }));
    assert!(hand.poll(change.as_mut()).is_pending(), "the state is not there yet");
    fake.happens(1, vec![message("x")], Some(snapshot(2, &[&ada])));
    assert!(hand.poll(change).is_ready());
    assert!(other.try_take().is_none());
    fake.happens(1, vec![SessionEvent::Left { why: Left::Destroyed }], None);
    assert!(take(&mut other).is_ok(), "no state comes any more");
}

#[test]
fn what_only_a_host_may_is_refused_at_a_member() {
    let (fake, lan) = Fake::start();
    let ada = lan.sign_in("Ada").unwrap();
    let mut pending = ada.join(SessionId::from_name("room"));
    let request = fake.request();
    fake.open(&ada, 1, false);
    fake.answer(request, Answer::Seat(SeatId(1)));
    let room = take(&mut pending).unwrap();
    let errors = [
        room.update(SettingsUpdate::new()).wait(LONG).unwrap_err(),
        room.set_phase(Phase::Ended).wait(LONG).unwrap_err(),
        room.kick(ada.id(), "").wait(LONG).unwrap_err(),
        room.unban(ada.id()).wait(LONG).unwrap_err(),
        room.destroy().wait(LONG).unwrap_err(),
    ];
    assert!(errors.iter().all(|error| error.kind() == ErrorKind::NotOwner));
    assert_eq!(fake.commands(), [""; 0]);
}

#[test]
fn a_verdict_goes_out_with_a_reason_that_fits() {
    let (fake, lan) = Fake::start();
    let room = fake.hosted(&lan.sign_in("Ada").unwrap(), 1);
    let ask = JoinAsk {
        id: 5,
        session: room.id(),
        account: Identity::from_seed([1; 32]).unwrap().account(),
        name: "Bob".into(),
        external: None,
        ticket: Vec::new(),
        party: Vec::new(),
        binding: [0; 32],
        deadline: LONG,
    };
    room.answer(&ask, Verdict::Refuse(Reason::new(7, "x".repeat(500))));
    let Some(Command::Answer { seat: SeatId(1), ask: 5, verdict: Verdict::Refuse(reason) }) = fake.command() else {
        panic!("no answer")
    };
    assert_eq!(reason, Reason::new(7, ""));
}

// -------------------------------------------------------------------------------------------------------- builder

#[test]
fn a_builder_checks_and_names_what_is_wrong() {
    let fake = Arc::new(Fake::default());
    let target = |text: &str| [text.parse().unwrap()];
    let bad = [
        (LanBuilder::new(String::new()).backend(fake.clone()), "the game id is empty"),
        (LanBuilder::new("x".repeat(65)).backend(fake.clone()), "1 bytes over"),
        (LanBuilder::new("a\nb".into()).backend(fake.clone()), "control"),
        (fake.builder().beacon_port(0), "beacon port is 0"),
        (fake.builder().interface(""), "interface's name is empty"),
        (fake.builder().targets(target("0.0.0.0:5")), "0.0.0.0:5"),
        (fake.builder().targets([target("10.0.0.1:5")[0]; 17]), "17 targets"),
    ];
    for (builder, words) in bad {
        let error = builder.launch(None, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(words), "{error} lacks {words:?}");
    }
    let nothing = LanBuilder::new("a".into()).launch(None, false).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::Unsupported);
}

#[test]
fn a_preset_stands_under_what_is_set() {
    let fake = Arc::new(Fake::default());
    let config = |builder: LanBuilder| {
        builder.launch(None, false).unwrap();
        fake.config.lock().unwrap().clone().unwrap()
    };
    let default = config(fake.builder());
    assert_eq!((default.beacon_port, default.loopback_only), (LanBuilder::BEACON_PORT, false));
    assert_eq!(default.mdns, cfg!(feature = "mdns"));
    let loopback = config(fake.builder().mdns(true).preset(Preset::Loopback).targets(["10.0.0.1:0".parse().unwrap()]));
    assert_eq!((loopback.beacon_port, loopback.loopback_only, loopback.mdns), (20_001, true, true));
    assert_eq!(loopback.targets[0].port(), 20_001);
    let chosen = config(fake.builder().interface("eth0").interface(std::net::Ipv4Addr::LOCALHOST).beacon_port(5));
    let names: Vec<String> = chosen.interfaces.iter().map(ToString::to_string).collect();
    assert_eq!((names, chosen.beacon_port), (vec!["eth0".to_owned(), "127.0.0.1".to_owned()], 5));
}
