//! Matchmaking on the virtual LAN: any number of starters, loss, capacities, and what each of them is told.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use lansession::testing::{Fault, VirtualLan};
use lansession::{
    Events, Matchmaking, Pending, Progress, Result, Session, SessionId, SessionQuery, SessionSettings, User, UserEvent,
};

const GAME: &str = "com.example.boxes";
const SECOND: Duration = Duration::from_secs(1);
/// No seed takes longer until all are settled.
const LONGEST: Duration = Duration::from_secs(180);
/// How often the clock stops for a look.
const LOOK: Duration = Duration::from_millis(20);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn user(net: &VirtualLan, node: &str) -> User {
    net.lan(node, GAME).start().unwrap().sign_in(node).unwrap()
}

fn room(seats: u16) -> SessionSettings {
    SessionSettings::new("match").max_members(seats)
}

fn matchmaking(seats: u16) -> Matchmaking {
    Matchmaking::new(SessionQuery::new(), room(seats))
}

/// One starter on a machine of its own.
struct Starter {
    user: User,
    events: Events<UserEvent>,
    pending: Pending<Session>,
    session: Option<Session>,
    told: Vec<(Duration, Progress)>,
}

impl Starter {
    fn new(net: &VirtualLan, node: &str, what: Matchmaking) -> Self {
        let user = user(net, node);
        let events = user.events();
        let pending = user.matchmake(what);
        Self { user, events, pending, session: None, told: Vec::new() }
    }

    /// Takes in what came; whether it is settled.
    fn look(&mut self, now: Duration) -> bool {
        while let Some(event) = self.events.try_next() {
            if let UserEvent::Matchmaking { progress, .. } = event {
                self.told.push((now, progress));
            }
        }
        if self.session.is_none() {
            self.session = self.pending.try_take().map(Result::unwrap);
        }
        self.session.is_some()
    }

    fn session(&self) -> &Session {
        self.session.as_ref().unwrap()
    }
}

/// Lets time pass until all are settled.
fn settle(net: &VirtualLan, starters: &mut [Starter], seed: u64) {
    while net.now() < LONGEST {
        net.advance(LOOK);
        let now = net.now();
        let settled = starters.iter_mut().filter_map(|starter| starter.look(now).then_some(())).count();
        if settled == starters.len() {
            return;
        }
    }
    let stuck: Vec<_> = starters.iter().map(|starter| (starter.user.name(), starter.told.last().copied())).collect();
    panic!("not all are settled after {LONGEST:?} (seed {seed}): {stuck:?}");
}

/// Who sits where, as the seats themselves say; every member of a session must see the same one.
fn sessions(starters: &[Starter], seed: u64) -> BTreeMap<SessionId, BTreeSet<String>> {
    let mut sessions = BTreeMap::<SessionId, BTreeSet<String>>::new();
    for starter in starters {
        assert!(!starter.session().snapshot().mobile, "a settled session may still move (seed {seed})");
        sessions.entry(starter.session().id()).or_default().insert(starter.user.name().to_owned());
    }
    for starter in starters {
        let snapshot = starter.session().snapshot();
        let seen: BTreeSet<String> = snapshot.members.iter().map(|member| member.name.clone()).collect();
        assert_eq!(seen, sessions[&starter.session().id()], "{} sees others (seed {seed})", starter.user.name());
    }
    sessions
}

/// Two to eight starters within half a second, sessions of eight: one session. The moment of the last change.
fn one_session(seed: u64, loss: f64) -> Duration {
    let net = VirtualLan::new(seed);
    let count = 2 + usize::try_from(seed % 7).unwrap();
    let spread = [0, 500][usize::try_from(seed / 7 % 2).unwrap()];
    let _loss = (loss > 0.0).then(|| net.fault(Fault::loss(loss)));
    let mut starters = Vec::new();
    for number in 0..count {
        starters.push(Starter::new(&net, &format!("p{number}"), matchmaking(8)));
        // Uneven, and the same for a seed.
        let gap =
            (seed.wrapping_mul(6_364_136_223_846_793_005) >> (number * 5 % 48)) % (2 * spread / (count as u64) + 1);
        net.advance(ms(gap));
    }
    settle(&net, &mut starters, seed);
    // A member whose link is lost comes back, and what is on its way to the last of them arrives.
    let roster = |starter: &Starter| starter.session().snapshot().members.clone();
    let agree = || starters.iter().all(|starter| roster(starter) == roster(&starters[0]));
    let _ = net.run_until(60 * SECOND, agree);
    let sessions = sessions(&starters, seed);
    assert_eq!(
        sessions.len(),
        1,
        "{count} starters ended in several sessions (seed {seed}, loss {loss}): {sessions:?}"
    );
    if std::env::var_os("LANSESSION_TRACE").is_some() {
        for starter in &starters {
            println!("{}: {:?}", starter.user.name(), starter.told);
        }
        println!("{}", net.transcript());
    }
    let last = starters.iter().filter_map(|starter| starter.told.last().map(|(at, _)| *at)).max();
    last.unwrap_or_default()
}

/// Without loss and with 20 %, in turn.
fn over_seeds(from: u64, seeds: u64) {
    let began = Instant::now();
    let mut lasts = [Vec::new(), Vec::new()];
    for seed in from..from + seeds {
        let lossy = usize::try_from(seed % 2).unwrap();
        lasts[lossy].push((one_session(seed / 2, [0.0, 0.2][lossy]), seed));
    }
    for (loss, lasts) in ["no loss", "20 % loss"].iter().zip(&mut lasts) {
        lasts.sort();
        let at = |part: usize| lasts.get((lasts.len() * part / 100).min(lasts.len() - 1)).copied().unwrap_or_default();
        let ((p50, _), (p99, _), (most, seed)) = (at(50), at(99), at(100));
        println!("{loss}: {} seeds, last change p50 {p50:?} p99 {p99:?} max {most:?} (seed {seed})", lasts.len());
    }
    println!("{seeds} seeds in {:?}", began.elapsed());
}

#[test]
fn starters_end_in_one_session() {
    over_seeds(0, 40);
}

#[test]
#[ignore = "many seeds: for a release build"]
fn starters_end_in_one_session_in_ten_thousand_seeds() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    over_seeds(number("LANSESSION_FIRST_SEED").unwrap_or(0), number("LANSESSION_SEEDS").unwrap_or(10_000));
}
