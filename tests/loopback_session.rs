//! Sessions of several `Lan`s in one process over real sockets: what `virtual_session.rs` shows on the virtual LAN, and
//! what only threads, runtimes and the system's sockets can show.
#![cfg(feature = "net")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use lansession::{
    BrowserEvent, ErrorKind, Event, Events, HostRequest, InviteState, InvitesFrom, JoinPolicy, JoinRequest, Lan,
    LanBuilder, LanEvent, Left, MemberUpdate, Pending, Preset, Refusal, Result, Session, SessionEvent, SessionId,
    SessionQuery, SessionSettings, SettingsUpdate, User, UserEvent,
};

/// No step takes so long on a machine that works.
const LONG: Duration = Duration::from_secs(20);

/// A LAN on loopback: a game and a port of its own, so that tests do not see each other.
struct Room {
    game: String,
    port: u16,
    /// Keeps the port.
    _first: Lan,
}

impl Room {
    fn new(name: &str) -> Self {
        let game = format!("com.example.{name}");
        let first = Lan::builder(game.clone()).preset(Preset::Loopback).start().unwrap();
        Self { port: first.beacon_port(), game, _first: first }
    }

    fn builder(&self) -> LanBuilder {
        Lan::builder(self.game.clone()).preset(Preset::Loopback).beacon_port(self.port)
    }

    fn user(&self, name: &str) -> User {
        self.builder().start().unwrap().sign_in(name).unwrap()
    }

    fn host(&self, request: impl Into<HostRequest>) -> Session {
        self.user("Ada").host(request).wait(LONG).unwrap()
    }
}

fn settings() -> SessionSettings {
    SessionSettings::new("Ada's room").max_members(4)
}

fn refusal(result: Result<Session>) -> Refusal {
    let error = result.unwrap_err();
    error.refusal().unwrap_or_else(|| panic!("{error:?}")).clone()
}

/// Reads on until the event that is meant.
fn until<T: std::fmt::Debug, R>(events: &mut Events<T>, mut pick: impl FnMut(&T) -> Option<R>) -> R {
    let end = Instant::now() + LONG;
    let mut seen = Vec::new();
    while let Some(event) = events.wait(end.saturating_duration_since(Instant::now())) {
        if let Some(found) = pick(&event) {
            return found;
        }
        seen.push(event);
    }
    panic!("not among {seen:?}");
}

fn until_left(events: &mut Events<SessionEvent>) -> Left {
    until(events, |event| if let SessionEvent::Left { why, .. } = event { Some(why.clone()) } else { None })
}

/// Waits until the session has so many members.
fn until_members(session: &Session, count: usize) {
    let (mut watch, end) = (session.watch(), Instant::now() + LONG);
    while session.snapshot().members.len() != count {
        let left = end.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "{}", session.dump());
        let _ = watch.wait(left.min(Duration::from_millis(100)));
    }
}

#[test]
fn host_find_join_update_leave_destroy() {
    let net = Room::new("story");
    let session = net.host(settings().attr("map", "dust").port("game", 7_777));
    let mut at_host = session.events();
    let bob = net.user("Bob");
    let rooms = bob.browse(SessionQuery::new()).unwrap();
    let mut list = rooms.events();
    let found = bob.find(SessionQuery::new().enough(1)).wait(LONG).unwrap();
    assert_eq!((found.len(), found[0].key()), (1, session.key()));
    let seat = bob.join(&found[0]).wait(LONG).unwrap();
    let mut at_bob = seat.events();
    until(&mut list, |event| matches!(event, BrowserEvent::Found(_)).then_some(()));

    let before = session.snapshot().revision;
    session.update(SettingsUpdate::new().set("map", "ice")).wait(LONG).unwrap();
    assert_eq!(session.snapshot().attributes.get("map"), Some(&"ice".into()));
    until(&mut at_bob, |event| matches!(event, SessionEvent::SettingsChanged { .. }).then_some(()));
    assert_eq!(seat.snapshot().attributes, session.snapshot().attributes);
    let stale = session.update_if(before, SettingsUpdate::new().set("map", "sand")).wait(LONG).unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::Stale);
    let ready = seat.update_me(MemberUpdate::new().ready(true)).wait(LONG).unwrap();
    assert!(seat.snapshot().revision >= ready && seat.snapshot().member(bob.id()).unwrap().ready);
    assert_eq!(seat.game_key(bob.id()).unwrap(), session.game_key(bob.id()).unwrap());
    assert_eq!(seat.endpoint("game").unwrap().addr().port(), 7_777);

    seat.leave().wait(LONG).unwrap();
    assert_eq!(until_left(&mut at_bob), Left::Left);
    assert!(at_bob.wait(LONG).is_none() && at_bob.is_ended());
    let gone = until(&mut at_host, |event| match event {
        SessionEvent::MemberLeft { member, why, .. } => Some((member.account, why.clone())),
        _ => None,
    });
    assert_eq!(gone, (bob.id(), Left::Left));

    let again = bob.join(session.link()).wait(LONG).unwrap();
    let mut at_bob = again.events();
    session.destroy().wait(LONG).unwrap();
    assert_eq!((until_left(&mut at_host), until_left(&mut at_bob)), (Left::Destroyed, Left::Destroyed));
    let lost = until(&mut list, |event| if let BrowserEvent::Lost(key) = event { Some(*key) } else { None });
    assert_eq!(lost, session.key());
}

#[test]
fn two_frame_loops_on_one_thread() {
    let net = Room::new("frames");
    let mut host = net.builder().start_frames().unwrap();
    let mut guest = net.builder().start_frames().unwrap();
    let (ada, bob) = (host.lan().sign_in("Ada").unwrap(), guest.lan().sign_in("Bob").unwrap());
    let mut hosting = ada.host(settings());
    let (mut finding, mut joining) = (None::<Pending<Vec<_>>>, None::<Pending<Session>>);
    let (mut session, mut seat) = (None::<Session>, None::<Session>);
    let (mut at_host, mut at_guest) = (Vec::new(), Vec::new());
    let end = Instant::now() + LONG;
    while at_guest.iter().filter(|event| matches!(event, SessionEvent::SettingsChanged { .. })).count() == 0 {
        assert!(Instant::now() < end, "{at_host:?} {at_guest:?}");
        let pick = |event| if let Event::Session { what, .. } = event { Some(what) } else { None };
        at_host.extend(host.update().filter_map(pick));
        // A frame waits a little, as one that is drawn does.
        let before = seat.as_ref().map(Session::snapshot);
        std::thread::yield_now();
        assert_eq!(before, seat.as_ref().map(Session::snapshot), "nothing changes within a frame");
        at_guest.extend(guest.wait_event(Duration::from_millis(2)).into_iter().chain(guest.update()).filter_map(pick));
        if let Some(done) = hosting.try_take() {
            session = Some(done.unwrap());
            finding = Some(bob.find(SessionQuery::new().enough(1)));
        }
        if let Some(found) = finding.as_mut().and_then(Pending::try_take) {
            joining = Some(bob.join(&found.unwrap()[0]));
        }
        if let Some(joined) = joining.as_mut().and_then(Pending::try_take) {
            seat = Some(joined.unwrap());
            session.as_ref().unwrap().update(SettingsUpdate::new().name("arena")).detach();
        }
    }
    assert!(matches!(at_host[0], SessionEvent::Joined { .. }) && matches!(at_guest[0], SessionEvent::Joined { .. }));
    assert_eq!(seat.unwrap().snapshot().name, "arena");
}

#[test]
fn a_password_opens_and_a_wrong_one_does_not() {
    let net = Room::new("password");
    let session = net.host(HostRequest::new(settings()).password("sésame"));
    let bob = net.user("Bob");
    let with = |password: &str| bob.join(JoinRequest::from(session.link()).password(password)).wait(LONG);
    assert_eq!(refusal(with("wrong")), Refusal::BadPassword);
    assert_eq!(refusal(bob.join(session.link()).wait(LONG)), Refusal::BadPassword);
    let seat = with("sésame").unwrap();
    assert_eq!(seat.snapshot().members.len(), 2);
    // Whoever says a password wants a host that knows it.
    let open = net.host(settings());
    let cid = net.user("Cid");
    assert_eq!(refusal(cid.join(JoinRequest::from(open.link()).password("any")).wait(LONG)), Refusal::BadPassword);
    until_members(&open, 1);
}

#[test]
fn kick_and_ban_say_why_and_only_one_keeps_out() {
    let net = Room::new("kick");
    let session = net.host(settings());
    let bob = net.user("Bob");
    let seat = bob.join(session.link()).wait(LONG).unwrap();
    let mut events = seat.events();
    session.kick(bob.id(), "afk").wait(LONG).unwrap();
    let Left::Kicked(reason) = until_left(&mut events) else { panic!("not kicked") };
    assert_eq!(reason.text(), "afk");
    assert_eq!(seat.say(*b"but").wait(LONG).unwrap_err().kind(), ErrorKind::Ended);
    let seat = bob.join(session.link()).wait(LONG).unwrap();
    let mut events = seat.events();
    session.ban(bob.id(), "again").wait(LONG).unwrap();
    assert!(matches!(until_left(&mut events), Left::Banned(_)));
    assert_eq!(refusal(bob.join(session.link()).wait(LONG)), Refusal::Banned);
    session.unban(bob.id()).wait(LONG).unwrap();
    let _seat = bob.join(session.link()).wait(LONG).unwrap();
}

#[test]
fn twenty_at_once_for_three_seats() {
    let net = Room::new("crowd");
    let session = net.host(settings());
    let users: Vec<User> = (0..20).map(|number| net.user(&format!("p{number}"))).collect();
    let joins: Vec<Pending<Session>> = users.iter().map(|user| user.join(session.link())).collect();
    let results: Vec<Result<Session>> = joins.into_iter().map(|join| join.wait(LONG)).collect();
    let (seated, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!((seated.len(), refused.len(), session.snapshot().members.len()), (3, 17, 4));
    for result in refused {
        assert_eq!(refusal(result), Refusal::Full);
    }
    drop(seated);
    until_members(&session, 1);
}

#[test]
fn handles_are_dropped_in_every_order_and_the_seat_is_left() {
    let net = Room::new("drops");
    let session = net.host(settings());
    let mut at_host = session.events();
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in orders {
        let lan = net.builder().start().unwrap();
        let user = lan.sign_in("Bob").unwrap();
        let seat = user.join(session.link()).wait(LONG).unwrap();
        let (mut events, browser) = (seat.events(), user.browse(SessionQuery::new()).unwrap());
        let (mut seat, mut user, mut lan) = (Some(seat), Some(user), Some(lan));
        for handle in order {
            match handle {
                0 => drop(seat.take()),
                1 => drop(user.take()),
                _ => drop(lan.take()),
            }
        }
        let why = until(&mut at_host, |event| match event {
            SessionEvent::MemberAway { .. } => panic!("{order:?}: away instead of gone"),
            SessionEvent::MemberLeft { why, .. } => Some(why.clone()),
            _ => None,
        });
        assert_eq!(why, Left::Left, "{order:?}");
        assert_eq!(until_left(&mut events), Left::Left, "{order:?}");
        drop(browser);
        assert!(events.wait(LONG).is_none() && events.is_ended());
    }
    // A host's handles: the session ends for its members.
    let bob = net.user("Bob");
    let seat = bob.join(session.link()).wait(LONG).unwrap();
    let mut at_bob = seat.events();
    drop(session);
    assert_eq!(until_left(&mut at_bob), Left::Destroyed);
    assert!(matches!(until_left(&mut at_host), Left::Left | Left::SignedOut | Left::Shutdown));
}

#[test]
fn a_user_whose_handles_are_dropped_has_an_end_that_is_told() {
    let net = Room::new("users");
    let lan = net.builder().start().unwrap();
    let bob = lan.sign_in("Bob").unwrap();
    let mut events = bob.events();
    drop(bob);
    until(&mut events, |event| matches!(event, UserEvent::SignedOut).then_some(()));
    assert!(events.wait(LONG).is_none() && events.is_ended());
}

#[test]
fn joins_that_nobody_waits_for_leave_no_ghosts() {
    let net = Room::new("ghosts");
    let session = net.host(settings());
    let bob = net.user("Bob");
    for step in 0..20_u32 {
        let mut join = bob.join(session.link());
        let end = Instant::now() + Duration::from_micros(400) * step;
        while Instant::now() < end && join.ready().is_none() {
            std::thread::yield_now();
        }
        drop(join);
    }
    until_members(&session, 1);
    let end = Instant::now() + LONG;
    let _seat = loop {
        match bob.join(session.link()).wait(LONG) {
            Ok(seat) => break seat,
            // The seat before is being left.
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
    };
    until_members(&session, 2);
}

#[test]
fn a_session_that_ends_while_they_join_leaves_nobody_waiting() {
    let net = Room::new("ends");
    for _ in 0..3 {
        let session = net.host(settings().max_members(20));
        let users: Vec<User> = (0..6).map(|number| net.user(&format!("p{number}"))).collect();
        let mut joins: Vec<Pending<Session>> = users.iter().map(|user| user.join(session.link())).collect();
        let other =
            |event: &SessionEvent| matches!(event, SessionEvent::MemberJoined { member, .. } if !member.is_host);
        until(&mut session.events(), |event| other(event).then_some(()));
        session.destroy().wait(LONG).unwrap();
        for join in joins.drain(..) {
            match join.wait(LONG) {
                Ok(seat) => assert!(matches!(until_left(&mut seat.events()), Left::Destroyed | Left::HostLost)),
                Err(error) => {
                    let refusal = error.refusal().unwrap_or_else(|| panic!("{error:?}"));
                    assert!(matches!(refusal, Refusal::NotFound | Refusal::HostUnreachable { .. }), "{refusal:?}");
                }
            }
        }
    }
}

#[test]
fn garbage_and_silence_at_the_door_keep_nobody_out() {
    let net = Room::new("garbage");
    let session = net.host(settings());
    let door = (Ipv4Addr::LOCALHOST, session.control_port());
    let mut strangers = Vec::new();
    for number in 0..200_u32 {
        let mut stranger = TcpStream::connect(door).unwrap();
        // Some say nothing, some what is no TLS, some the beginning of a handshake and no more.
        let words: &[u8] = match number % 4 {
            0 => &[],
            1 => b"GET / HTTP/1.1\r\n\r\n",
            2 => &[0x16, 3, 1, 0x40, 0],
            _ => &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0],
        };
        // It may have been shown the door already.
        let _ = stranger.write_all(words);
        strangers.push(stranger);
    }
    let bob = net.user("Bob");
    let seat = bob.join(session.link()).wait(LONG).unwrap();
    until_members(&session, 2);
    drop((strangers, seat));
    until_members(&session, 1);
}

#[test]
fn a_close_answers_everything_that_is_pending_and_ends_everything_that_is_read() {
    let net = Room::new("close");
    let other = net.host(settings());
    let lan = net.builder().start().unwrap();
    let ada = lan.sign_in("Eve").unwrap();
    let seat = ada.join(other.link()).wait(LONG).unwrap();
    let own = ada.host(HostRequest::new(settings()).local_name("own")).wait(LONG).unwrap();
    let browser = lan.browse(SessionQuery::new()).unwrap();
    let (mut whole, mut list, mut user) = (lan.events(), browser.events(), ada.events());
    let (mut at_seat, mut at_own) = (seat.events(), own.events());
    let find = lan.find(SessionQuery::new().enough(9).timeout(Duration::from_secs(60)));
    let nowhere = JoinRequest::from(SessionId::from_name("nowhere")).local_name("a").timeout(Duration::from_secs(60));
    let join = ada.join(nowhere);
    let hosting = ada.host(HostRequest::new(settings()).local_name("b").password("deriving"));
    let update = own.update(SettingsUpdate::new().name("last"));
    let say = seat.say(*b"bye");
    lan.close().wait(LONG).unwrap();

    let short = Duration::from_secs(5);
    assert!(find.wait(short).is_err_and(|error| error.kind() == ErrorKind::Stopped));
    assert_eq!(join.wait(short).unwrap_err().kind(), ErrorKind::Cancelled);
    assert_ne!(hosting.wait(short).map(|_| ()).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(update.wait(short).is_ok());
    assert!(say.wait(short).is_ok_and(|()| true) || seat.say(*b"late").wait(short).is_err());
    assert_eq!((until_left(&mut at_seat), until_left(&mut at_own)), (Left::Shutdown, Left::Shutdown));
    until(&mut whole, |event| matches!(event, Event::Lan(LanEvent::Closed)).then_some(()));
    while whole.wait(LONG).is_some() {}
    while list.wait(LONG).is_some() {}
    while user.wait(LONG).is_some() {}
    assert!(whole.is_ended() && list.is_ended() && user.is_ended());
    for error in [
        lan.find(SessionQuery::new()).wait(short).unwrap_err(),
        ada.join(other.link()).wait(short).unwrap_err(),
        own.destroy().wait(short).unwrap_err(),
        lan.sign_in("Late").unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Stopped, "{error:?}");
    }
    assert!(lan.close().wait(short).is_ok(), "twice is once");
    until_members(&other, 1);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn on_the_games_own_runtime() {
    let net = Room::new("runtime");
    runtime().block_on(async {
        let start = || {
            let spawned = |work| drop(tokio::spawn(work));
            net.builder().start_with(spawned).unwrap()
        };
        let (one, two) = (start(), start());
        let session = one.sign_in("Ada").unwrap().host(settings()).await.unwrap();
        let bob = two.sign_in("Bob").unwrap();
        let found = bob.find(SessionQuery::new().enough(1)).await.unwrap();
        let seat = bob.join(&found[0]).await.unwrap();
        let (mut watch, mut events) = (seat.watch(), seat.events());
        session.update(SettingsUpdate::new().name("arena")).await.unwrap();
        let state = tokio::time::timeout(LONG, watch.changed()).await.unwrap().unwrap();
        assert_eq!(state.name, "arena");
        session.destroy().await.unwrap();
        let left = async {
            loop {
                match events.next().await {
                    Some(SessionEvent::Left { why, .. }) => return why,
                    Some(_) => {}
                    None => panic!("no end"),
                }
            }
        };
        assert_eq!(tokio::time::timeout(LONG, left).await.unwrap(), Left::Destroyed);
        one.close().await.unwrap();
    });
}

#[test]
fn a_driver_that_is_dropped_with_its_runtime_answers_everything() {
    let net = Room::new("dropped");
    let outer = runtime();
    let (lan, find, mut events) = outer.block_on(async {
        let lan = net.builder().start_with(|work| drop(tokio::spawn(work))).unwrap();
        let ada = lan.sign_in("Ada").unwrap();
        let session = ada.host(settings()).await.unwrap();
        let events = session.events();
        session.keep();
        (lan.clone(), lan.find(SessionQuery::new().enough(9).timeout(Duration::from_secs(60))), events)
    });
    drop(outer);
    assert_eq!(find.wait(LONG).unwrap_err().kind(), ErrorKind::Stopped);
    assert_eq!(until_left(&mut events), Left::Shutdown);
    assert_eq!(lan.sign_in("Bob").unwrap_err().kind(), ErrorKind::Stopped);
    assert!(lan.close().wait(LONG).is_ok());
}

#[test]
fn blocking_within_a_runtime_does_not_panic() {
    let net = Room::new("blocking");
    runtime().block_on(async {
        let session = net.host(settings());
        let bob = net.user("Bob");
        let seat = bob.join(session.link()).wait(LONG).unwrap();
        let mut events = seat.events();
        assert!(events.wait(LONG).is_some());
        drop((session, bob));
        assert_eq!(until_left(&mut events), Left::Destroyed);
        // And the last handle of a Lan may go there, too.
        drop(seat);
    });
}

#[test]
fn an_invite_and_a_presence_go_over_real_sockets() {
    let room = Room::new("social");
    let (ada, bob) = (room.user("Ada"), room.user("Bob"));
    bob.set_friends([ada.id()]).unwrap();
    bob.receive_invites(InvitesFrom::Friends).unwrap();
    let game = ada.host(settings().policy(JoinPolicy::InviteOnly)).wait(LONG).unwrap();
    let (mut at_ada, mut at_bob) = (game.events(), bob.events());
    // The other process opens its sockets while the first already asks; the question is repeated until then.
    let id = game.invite(bob.id()).wait(LONG).unwrap()[0];
    let invite = until(&mut at_bob, |event| match event {
        UserEvent::InviteReceived(invite) => Some(invite.clone()),
        _ => None,
    });
    assert_eq!((invite.id, invite.inviter), (id, ada.id()));
    let state = |event: &SessionEvent| match event {
        SessionEvent::InviteUpdated { state, .. } => Some(*state),
        _ => None,
    };
    assert_eq!(until(&mut at_ada, state), InviteState::Delivered);
    let seat = bob.join(&invite).wait(LONG).unwrap();
    assert_eq!(until(&mut at_ada, state), InviteState::Accepted);
    assert!(bob.invites().is_empty());

    // Ada, Bob's friend, finds him in his presence session; Cid, a stranger, does not.
    let own = bob.host(HostRequest::from(SessionSettings::new("Bob's room")).local_name("own")).wait(LONG).unwrap();
    bob.set_presence(Some(&own)).unwrap();
    let of_bob = |timeout| SessionQuery::new().accounts([bob.id()]).timeout(timeout);
    let found = ada.find(of_bob(LONG)).wait(LONG).unwrap();
    assert_eq!(found.iter().map(|found| found.name()).collect::<Vec<_>>(), ["Bob's room"]);
    let request = JoinRequest::from(&found[0]).local_name("own");
    assert_eq!(ada.join(request).wait(LONG).unwrap().id(), own.id());
    let cid = room.user("Cid");
    assert!(cid.find(of_bob(Duration::from_millis(300))).wait(LONG).unwrap().is_empty());
    drop((seat, game));
}
