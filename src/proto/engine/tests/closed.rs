//! The composer alone: what a closed engine says, the caps that several rooms share, goodbyes at the last moment.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use super::*;
use crate::proto::io::{JoinCommand, JoinTarget, LocalUser, MatchCommand, SeatId};
use crate::proto::limits;
use crate::types::{
    AccountId, BrowserId, ErrorKind, HostRequest, Identity, InviteId, InviteRequest, MemberStatus, MemberUpdate, Phase,
    Reason, Refusal, ReservationChange, ReservationId, ReserveRequest, SessionId, SessionSettings, SettingsUpdate,
};
use crate::wire::datagram::{Goodbye, Kind, Prefix};

const NOW: Moment = Moment::from_micros(1_000_000);

fn identity(number: u8) -> Identity {
    Identity::from_seed([number + 1; 32]).unwrap()
}

fn engine(users: u8) -> Engine {
    let config = EngineConfig {
        game: "com.example.boxes".into(),
        version: 1,
        beacon_port: 20_000,
        beacons: true,
        mdns: false,
        targets: Vec::new(),
        tuning: Arc::new(Tuning { password_rounds: NonZeroU32::MIN, ..Tuning::default() }),
    };
    let mut engine = Engine::new(config, [7; 32], 1_700_000_000_000);
    for number in 0..users {
        let user = LocalUser { identity: identity(number), name: format!("user {number}"), external: None };
        engine.handle_command(NOW, Command::SignIn { user });
    }
    engine
}

fn answers(engine: &mut Engine) -> Vec<(u64, Result<Answer, Error>)> {
    let outputs = std::iter::from_fn(|| engine.poll_output());
    let done = |output| if let Output::Done { request, result } = output { Some((request.0, result)) } else { None };
    outputs.filter_map(done).collect()
}

fn matching(local_name: &str) -> Box<MatchCommand> {
    let host = HostRequest::new(SessionSettings::new("match").max_members(4));
    let local_name = local_name.to_owned();
    Box::new(MatchCommand { query: SessionQuery::new(), host, local_name, early: false, timeout: None })
}

/// One command of each kind that has an answer.
fn commands(account: AccountId) -> Vec<Command> {
    let (request, seat) = (RequestId(0), SeatId(1));
    let invite = InviteId::from_bytes([1; 16]);
    let id = ReservationId::from_bytes([1; 16]);
    let query = Box::new(SessionQuery::new());
    let what = Box::new(HostRequest::new(SessionSettings::new("room")));
    vec![
        Command::SignOut { request, account },
        Command::Host { request, account, what },
        Command::Join { request, account, what: Box::new(JoinCommand::of(JoinTarget::Id(SessionId::from_name("a")))) },
        Command::Matchmake { request, account, what: matching("match") },
        Command::Find { request, account: None, query },
        Command::RejectInvite { request, account, invite },
        Command::Update { request, seat, update: Box::new(SettingsUpdate::new()), expected: None },
        Command::UpdateMe { request, seat, update: Box::new(MemberUpdate::new()) },
        Command::SetPhase { request, seat, phase: Phase::Ended },
        Command::Kick { request, seat, account, reason: Reason::default(), ban: false },
        Command::Unban { request, seat, account },
        Command::Say { request, seat, data: vec![1].into() },
        Command::SetStatus { request, seat, status: MemberStatus::Ready },
        Command::Register { request, seat },
        Command::SetRole { request, seat, account: None, role: None },
        Command::SetTurn { request, seat, accounts: Vec::new() },
        Command::Reserve { request, seat, what: Box::new(ReserveRequest::from(account)) },
        Command::ChangeReservation { request, seat, id, expected: None, change: ReservationChange::Renew },
        Command::Invite { request, seat, what: Box::new(InviteRequest::from(account)) },
        Command::Revoke { request, seat, invite },
        Command::Leave { request: Some(request), seat },
        Command::Destroy { request, seat },
        Command::Diagnose { request },
    ]
}

/// Fails when `refuse_closed` forgets one of them: its caller would wait for ever.
#[test]
fn a_closed_engine_answers_every_request_and_stops() {
    let account = identity(0).account();
    for command in commands(account) {
        let mut engine = engine(1);
        engine.handle_command(NOW, Command::Close { request: RequestId(1) });
        assert!(matches!(answers(&mut engine)[..], [(1, Ok(Answer::Unit))]));
        let text = format!("{command:?}");
        engine.handle_command(NOW, command);
        match &answers(&mut engine)[..] {
            [(0, Err(error))] => assert_eq!(error.kind(), ErrorKind::Stopped, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
        engine.handle_command(NOW, Command::Leave { request: None, seat: SeatId(1) });
        engine.handle_command(NOW, Command::Close { request: RequestId(2) });
        assert!(matches!(answers(&mut engine)[..], [(2, Ok(Answer::Unit))]));
        let stop = engine.poll_timeout().unwrap_or(NOW);
        engine.handle_timeout(stop);
        let actions = std::iter::from_fn(|| engine.poll_action()).filter(|action| matches!(action, Action::Stop));
        assert_eq!(actions.count(), 1, "{text}");
    }
}

/// Fails when a seat that does not exist is no longer looked for: the request would have no answer.
#[test]
fn a_request_for_a_seat_that_is_gone_is_answered() {
    let account = identity(0).account();
    for command in commands(account).into_iter().skip(6).take(16) {
        let mut engine = engine(1);
        let text = format!("{command:?}");
        engine.handle_command(NOW, command);
        assert_eq!(answers(&mut engine).len(), 1, "{text}");
    }
}

/// Fails when one of the askers opens its query without looking at `limits::QUERIES`.
#[test]
fn finds_browsers_joins_and_matchmakings_share_one_cap() {
    let mut engine = engine(1);
    let account = identity(0).account();
    for number in 0..limits::QUERIES {
        let browser = BrowserId(number as u64);
        engine.handle_command(NOW, Command::OpenBrowser { browser, query: Box::new(SessionQuery::new()) });
    }
    assert!(std::iter::from_fn(|| engine.poll_output()).all(|output| !matches!(output, Output::Lan(_))));
    let request = RequestId(1);
    let asked = SessionQuery::new().accounts([identity(5).account()]);
    let find = |query: SessionQuery| Command::Find { request, account: Some(account), query: Box::new(query) };
    let typed = JoinTarget::Address("10.0.0.9:40000".parse::<SocketAddr>().unwrap());
    let over = [
        find(SessionQuery::new()),
        find(asked),
        Command::Join { request, account, what: Box::new(JoinCommand::of(typed)) },
        Command::Join { request, account, what: Box::new(JoinCommand::of(JoinTarget::Id(SessionId::from_name("a")))) },
        Command::Matchmake { request, account, what: matching("match") },
    ];
    for command in over {
        let text = format!("{command:?}");
        engine.handle_command(NOW, command);
        match &answers(&mut engine)[..] {
            [(1, Err(error))] => {
                let refused = matches!(error.refusal(), Some(Refusal::TooManyRequests { .. }));
                assert!(refused || error.kind() == ErrorKind::TooManyRequests, "{text}: {error}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    let browser = BrowserId(1_000);
    engine.handle_command(NOW, Command::OpenBrowser { browser, query: Box::new(SessionQuery::new()) });
    let told = std::iter::from_fn(|| engine.poll_output());
    assert_eq!(told.filter(|output| matches!(output, Output::Lan(LanEvent::Trouble(_)))).count(), 1);
    // One that is closed makes room.
    engine.handle_command(NOW, Command::CloseBrowser { browser: BrowserId(0) });
    engine.handle_command(NOW, find(SessionQuery::new()));
    assert!(answers(&mut engine).is_empty());
}

/// Fails when `Sessions::sign_in` or `Engine::matchmake` does not look at its cap.
#[test]
fn users_and_matchmakings_have_a_cap_each() {
    let mut engine = engine(u8::try_from(limits::USERS).unwrap());
    let user = LocalUser { identity: identity(100), name: "one more".into(), external: None };
    engine.handle_command(NOW, Command::SignIn { user });
    let told = std::iter::from_fn(|| engine.poll_output());
    assert_eq!(told.filter(|output| matches!(output, Output::Lan(LanEvent::Trouble(_)))).count(), 1);
    engine.handle_command(NOW, Command::SignOut { request: RequestId(900), account: identity(100).account() });
    assert!(matches!(&answers(&mut engine)[..], [(900, Err(error))] if error.kind() == ErrorKind::NotFound));

    for number in 0..=limits::MATCHMAKINGS {
        let account = identity(u8::try_from(number % limits::USERS).unwrap()).account();
        let request = RequestId(number as u64);
        let what = matching(&format!("match {number}"));
        engine.handle_command(NOW, Command::Matchmake { request, account, what });
    }
    match &answers(&mut engine)[..] {
        [(request, Err(error))] => {
            assert_eq!((*request, error.kind()), (limits::MATCHMAKINGS as u64, ErrorKind::TooManyRequests));
        }
        other => panic!("{other:?}"),
    }
}

/// Fails when `farewell` forgets what is hosted: a driver that is torn down would leave it in all lists for 8 s.
#[test]
fn the_last_words_are_a_goodbye_for_each_hosted_session() {
    let mut engine = engine(1);
    let account = identity(0).account();
    let interface = Interface {
        index: 2,
        name: "eth0".into(),
        address: [10, 0, 0, 1].into(),
        prefix: 24,
        broadcast: Some([10, 0, 0, 255].into()),
        loopback: false,
        point_to_point: false,
        wireless: false,
        port: 30_000,
        deaf: None,
    };
    let mut keys = Vec::new();
    for number in 0..2_u64 {
        let what = HostRequest::new(SessionSettings::new("room")).local_name(format!("game {number}"));
        engine.handle_command(NOW, Command::Host { request: RequestId(number), account, what: Box::new(what) });
        engine.handle_interfaces(NOW, vec![interface.clone()]);
        let listen = std::iter::from_fn(|| engine.poll_action()).find_map(|action| match action {
            Action::Listen { session, .. } => Some(session),
            _ => None,
        });
        let session = listen.unwrap();
        engine.handle_listening(NOW, session, Ok(40_000));
        keys.push(session.id);
    }
    while engine.poll_transmit().is_some() {}
    let words = engine.farewell();
    let said = |bytes: &[u8]| {
        let prefix = Prefix::peek(bytes).unwrap();
        assert_eq!(prefix.known_kind(), Some(Kind::Goodbye));
        Goodbye::decode(bytes).unwrap().id
    };
    let said: Vec<_> = words.iter().map(|transmit| said(&transmit.bytes)).collect();
    assert!(keys.iter().all(|id| said.contains(id)), "{said:?}");
    assert!(said.iter().all(|id| keys.contains(id)));
}
