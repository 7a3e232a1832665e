//! A network for the handles' own tests: no engine; commands are read and outputs said by hand.

use std::any::Any;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::backend::{Backend, Drive, LanConfig};
use super::core::Core;
use super::{Lan, LanBuilder, Pending, Session, User};
use crate::proto::io::{Answer, Command, Output, RequestId, SeatId, SeatOpened};
use crate::types::*;

/// What a test does to the network.
#[derive(Default)]
pub(crate) struct Fake {
    core: Mutex<Option<Arc<Core>>>,
    pub(crate) config: Mutex<Option<LanConfig>>,
    identities: AtomicU8,
    pub(crate) guard_dropped: Arc<AtomicBool>,
    /// With a virtual clock: what to say one turn each, 10 ms apart.
    pub(crate) clock: Option<Arc<Clock>>,
}

#[derive(Default)]
pub(crate) struct Clock {
    now: AtomicU64,
    core: Mutex<Option<Arc<Core>>>,
    pub(crate) says: Mutex<VecDeque<Output>>,
}

impl Drive for Clock {
    fn now_micros(&self) -> u64 {
        self.now.load(Ordering::SeqCst)
    }

    fn turn(&self, deadline: u64) -> bool {
        let next = self.now_micros() + 10_000;
        if next > deadline {
            self.now.store(deadline, Ordering::SeqCst);
            return false;
        }
        self.now.store(next, Ordering::SeqCst);
        let said = self.says.lock().unwrap().pop_front();
        let core = self.core.lock().unwrap().clone();
        if let (Some(core), Some(output)) = (core, said) {
            core.deliver(output);
        }
        true
    }
}

struct Guard(Arc<AtomicBool>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Backend for Fake {
    fn attach(&self, core: Arc<Core>, config: LanConfig) -> Result<Box<dyn Any + Send + Sync>> {
        if let Some(clock) = &self.clock {
            *clock.core.lock().unwrap() = Some(Arc::clone(&core));
        }
        *self.core.lock().unwrap() = Some(core);
        *self.config.lock().unwrap() = Some(config);
        Ok(Box::new(Guard(Arc::clone(&self.guard_dropped))))
    }

    fn fresh_identity(&self) -> Result<Identity> {
        Identity::from_seed([100 + self.identities.fetch_add(1, Ordering::SeqCst); 32])
    }

    fn loopback_port(&self) -> Result<u16> {
        Ok(20_001)
    }

    fn drive(&self) -> Option<Arc<dyn Drive>> {
        self.clock.clone().map(|clock| clock as Arc<dyn Drive>)
    }
}

impl Fake {
    pub(crate) fn with_clock() -> Arc<Self> {
        Arc::new(Self { clock: Some(Arc::default()), ..Self::default() })
    }

    pub(crate) fn builder(self: &Arc<Self>) -> LanBuilder {
        LanBuilder::new("com.example.boxes".into()).backend(Arc::clone(self) as Arc<dyn Backend>)
    }

    pub(crate) fn start() -> (Arc<Self>, Lan) {
        let fake = Arc::new(Self::default());
        let lan = fake.builder().launch(None, false).unwrap();
        (fake, lan)
    }

    pub(crate) fn core(&self) -> Arc<Core> {
        self.core.lock().unwrap().clone().unwrap()
    }

    pub(crate) fn say(&self, output: Output) {
        self.core().deliver(output);
    }

    pub(crate) fn command(&self) -> Option<Command> {
        self.core().take_command()
    }

    /// Their names, in order.
    pub(crate) fn commands(&self) -> Vec<String> {
        let named = |command| format!("{command:?}").split([' ', '{']).next().unwrap_or_default().to_owned();
        std::iter::from_fn(|| self.command()).map(named).collect()
    }

    /// Takes commands up to the next one with a request.
    pub(crate) fn request(&self) -> RequestId {
        let requested = std::iter::from_fn(|| self.command()).find_map(|command| match command {
            Command::SignOut { request, .. }
            | Command::Host { request, .. }
            | Command::Join { request, .. }
            | Command::Find { request, .. }
            | Command::Update { request, .. }
            | Command::UpdateMe { request, .. }
            | Command::SetPhase { request, .. }
            | Command::Kick { request, .. }
            | Command::Unban { request, .. }
            | Command::Say { request, .. }
            | Command::Leave { request: Some(request), .. }
            | Command::SetStatus { request, .. }
            | Command::Register { request, .. }
            | Command::SetRole { request, .. }
            | Command::SetTurn { request, .. }
            | Command::Reserve { request, .. }
            | Command::ChangeReservation { request, .. }
            | Command::Destroy { request, .. }
            | Command::HandOver { request, .. }
            | Command::Diagnose { request }
            | Command::Close { request } => Some(request),
            _ => None,
        });
        requested.unwrap()
    }

    pub(crate) fn answer(&self, request: RequestId, answer: Answer) {
        self.say(Output::Done { request, result: Ok(answer) });
    }

    /// Says that a seat is open, without the answer.
    pub(crate) fn open(&self, user: &User, seat: u64, is_host: bool) -> Arc<SessionSnapshot> {
        let snapshot = Arc::new(snapshot(1, &[user]));
        self.say(Output::SeatOpened(Box::new(SeatOpened {
            seat: SeatId(seat),
            user: user.id(),
            local_name: format!("room {seat}"),
            is_host,
            host_addresses: vec![IpAddr::from([192, 168, 0, 7]), IpAddr::from([10, 0, 0, 7])],
            control_port: 4_000,
            snapshot: Arc::clone(&snapshot),
            reservation: None,
        })));
        snapshot
    }

    /// A session hosted by this user.
    pub(crate) fn hosted(&self, user: &User, seat: u64) -> Session {
        let request = HostRequest::new(SessionSettings::new("room")).local_name(format!("room {seat}"));
        let mut pending = user.host(request);
        let request = self.request();
        self.open(user, seat, true);
        self.answer(request, Answer::Seat(SeatId(seat)));
        take(&mut pending).unwrap()
    }

    /// Events of a seat with the state they lead to.
    pub(crate) fn happens(&self, seat: u64, events: Vec<SessionEvent>, state: Option<SessionSnapshot>) {
        self.say(Output::Seat { seat: SeatId(seat), events, snapshot: state.map(Arc::new) });
    }
}

pub(crate) fn take<T>(pending: &mut Pending<T>) -> Result<T> {
    pending.try_take().expect("an answer")
}

pub(crate) fn host_key() -> HostKey {
    HostKey::from(Identity::from_seed([9; 32]).unwrap().public())
}

pub(crate) fn snapshot(number: u64, members: &[&User]) -> SessionSnapshot {
    let members = members.iter().zip(0..).map(|(user, number)| Member {
        role: None,
        account: user.id(),
        name: user.name().to_owned(),
        external: None,
        number,
        status: MemberStatus::Active,
        link: LinkState::Connected,
        ready: false,
        is_host: number == 0,
        attributes: Attributes::new(),
        joined_revision: 1,
    });
    SessionSnapshot {
        roles: Vec::new(),
        turn: Vec::new(),
        timeouts: MemberTimeouts::new(),
        ready_gate: false,
        matchmaking: false,
        mobile: false,
        anti_cheat: false,
        allow_sanctioned: true,
        migration: Migration::Disabled,
        key: SessionKey { id: SessionId::from_name("room"), founder: host_key() },
        revision: Revision { term: 1, number },
        host: None,
        host_key: host_key(),
        name: "room".into(),
        schema: String::new(),
        version: 0,
        max_members: 8,
        reserved_slots: 0,
        policy: JoinPolicy::Public,
        phase: Phase::Lobby,
        listed: true,
        closed: false,
        locked: false,
        join_in_progress: true,
        password: false,
        dedicated: false,
        keywords: Vec::new(),
        attributes: Attributes::new(),
        ports: vec![("game".into(), 7_777)],
        members: members.collect(),
    }
}

/// A listed session, named by a number.
pub(crate) fn found(name: u64) -> Found {
    let facts = PublicFacts {
        matchmaking: false,
        mobile: false,
        anti_cheat: false,
        allow_sanctioned: true,
        name: name.to_string(),
        version: 0,
        revision: 1,
        members: 1,
        max_members: 8,
        open_slots: 7,
        reserved_slots: 0,
        policy: JoinPolicy::Public,
        phase: Phase::Lobby,
        password: false,
        closed: false,
        locked: false,
        join_in_progress: true,
        dedicated: false,
        keywords: Vec::new(),
        attributes: Attributes::new(),
        ports: Vec::new(),
    };
    Found::new(FoundData {
        key: SessionKey { id: SessionId::from_name(&name.to_string()), founder: host_key() },
        host_key: host_key(),
        incarnation: 1,
        term: 1,
        facts,
        major: 1,
        incompatible: false,
        our_version: 0,
        addresses: Vec::new(),
        sources: Sources::default(),
        confirmed: true,
        silent: false,
        migrating: false,
        migratable: false,
        listed: true,
        matched: None,
        started: 1,
    })
}
