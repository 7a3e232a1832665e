//! Matchmaking, composed: its machine decides, discovery and sessions do it, and its seats are not the user's before they
//! are settled.
//!
//! What a starter asks of the sessions goes under requests and local names of our own ([`INTERNAL`], [`HIDDEN`]); their
//! answers and all that these seats say are held back here. Once settled the seat gets the user's name and is told of as any
//! new one: the seat with its present state, its keys, the answer, the first events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rand::RngExt;
use rand::rngs::ChaCha12Rng;

use crate::types::{
    AccountId, Error, ErrorKind, Found, FoundData, JoinLink, JoinPolicy, MemberStatus, Progress, PublicFacts, Refusal,
    Secret, SessionEvent, SessionKey, SessionSnapshot, Sources, UserEvent, WIRE_MAJOR,
};
use crate::wire::frame::Move;

use super::{Asker, Engine, Mode};
use crate::proto::clock::Moment;
use crate::proto::io::{
    Answer, Command, JoinCommand, JoinTarget, MatchCommand, Output, RequestId, SeatId, SeatOpened, SuccessionView,
};
use crate::proto::limits;
use crate::proto::matchmaking::{Candidate, Matchmaker, MergeOutcome, Order, Roster, Wish};
use crate::proto::sessions::{Merging, Resolved, first_events};

/// Requests with this bit are ours.
const INTERNAL: u64 = 1 << 63;
/// Local names that begin with this are ours: no user's can.
const HIDDEN: char = '\0';

/// All matchmakings of one process.
#[derive(Debug)]
pub(super) struct Matchmaking {
    starters: BTreeMap<RequestId, Starter>,
    seats: BTreeMap<SeatId, Hidden>,
    /// Our requests, for whom they are and what they ask.
    requests: BTreeMap<RequestId, (RequestId, Asked)>,
    answers: VecDeque<(RequestId, Result<Answer, Error>)>,
    next: u64,
    rng: ChaCha12Rng,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Join,
    Host,
}

#[derive(Debug)]
struct Starter {
    account: AccountId,
    what: MatchCommand,
    machine: Matchmaker,
    list: Arc<[Found]>,
    /// Our request that is under way.
    request: Option<RequestId>,
    /// Where its host sends it, and whether the query's filter has still to be asked.
    moved: Option<(Move, bool)>,
}

/// A seat that its user does not see yet.
#[derive(Debug)]
struct Hidden {
    opened: Box<SeatOpened>,
    snapshot: Arc<SessionSnapshot>,
    keys: Vec<(AccountId, Secret)>,
    bans: Vec<AccountId>,
    succession: Option<Box<SuccessionView>>,
    /// `None` once nobody wants it: it is being left.
    starter: Option<RequestId>,
}

impl Hidden {
    fn roster(&self) -> Roster {
        Roster {
            key: self.snapshot.key,
            is_host: self.opened.is_host,
            mobile: self.snapshot.mobile,
            full: self.snapshot.open_slots() == 0,
            members: self.snapshot.members.iter().map(|member| member.account).collect(),
        }
    }
}

impl Matchmaking {
    pub(super) fn new(rng: ChaCha12Rng) -> Self {
        Self {
            starters: BTreeMap::new(),
            seats: BTreeMap::new(),
            requests: BTreeMap::new(),
            answers: VecDeque::new(),
            next: INTERNAL,
            rng,
        }
    }

    /// Takes an answer to a request of ours; gives back any other.
    pub(super) fn answered(&mut self, request: RequestId, result: Result<Answer, Error>) -> Option<Output> {
        if request.0 & INTERNAL == 0 {
            return Some(Output::Done { request, result });
        }
        self.answers.push_back((request, result));
        None
    }

    pub(super) fn of(&self, account: AccountId) -> Vec<RequestId> {
        self.starters.iter().filter(|(_, starter)| starter.account == account).map(|(&request, _)| request).collect()
    }

    pub(super) fn all(&self) -> Vec<RequestId> {
        self.starters.keys().copied().collect()
    }

    fn draw(&mut self, starter: RequestId, asked: Asked) -> RequestId {
        self.next += 1;
        let request = RequestId(self.next);
        self.requests.insert(request, (starter, asked));
        if let Some(starter) = self.starters.get_mut(&starter) {
            starter.request = Some(request);
        }
        request
    }

    fn starter_of(&mut self, seat: SeatId) -> Option<&mut Starter> {
        let starter = self.seats.get(&seat)?.starter?;
        self.starters.get_mut(&starter)
    }
}

impl Engine {
    pub(super) fn matchmake(&mut self, now: Moment, request: RequestId, account: AccountId, what: MatchCommand) {
        let free = self.sessions.check_name(account, &what.local_name);
        if let Err(error) = free.and_then(|()| self.check_starters(account, &what.local_name)) {
            return self.done(request, Err(error));
        }
        let many = || {
            let why = format!("{} matchmakings run, or too many finds and browsers", limits::MATCHMAKINGS);
            Error::new(ErrorKind::TooManyRequests, why)
        };
        if self.matchmaking.starters.len() >= limits::MATCHMAKINGS {
            return self.done(request, Err(many()));
        }
        let wish = Wish { early: what.early, timeout: what.timeout, ordered: !what.query.order.is_empty() };
        let seed = self.matchmaking.rng.random();
        let machine = Matchmaker::new(now, wish, &self.config.tuning, seed);
        let query = what.query.clone();
        let starter = Starter { account, what, machine, list: Arc::from([]), request: None, moved: None };
        self.matchmaking.starters.insert(request, starter);
        if self.open(now, Asker::Matchmake(request), query, Mode::Browse).is_none() {
            self.matchmaking.starters.remove(&request);
            self.done(request, Err(many()));
        }
    }

    /// The name of a matchmaking is taken as if its seat were there.
    pub(super) fn check_starters(&self, account: AccountId, local_name: &str) -> Result<(), Error> {
        let taken = |starter: &Starter| starter.account == account && starter.what.local_name == local_name;
        if !self.matchmaking.starters.values().any(taken) {
            return Ok(());
        }
        let why = format!("this user's matchmaking has the name {local_name:?}; give this session another local name");
        Err(Error::new(ErrorKind::AlreadyExists, why))
    }

    /// Nobody waits for it any more: leaves all that it holds.
    pub(super) fn cancel_matchmaking(&mut self, now: Moment, request: RequestId) -> bool {
        if !self.forget_starter(now, request) {
            return false;
        }
        self.done(request, Err(Error::refused(Refusal::Cancelled)));
        true
    }

    fn forget_starter(&mut self, now: Moment, request: RequestId) -> bool {
        let Some(starter) = self.matchmaking.starters.remove(&request) else { return false };
        self.close_query(now, Asker::Matchmake(request));
        self.cancel_internal(now, starter.request);
        let mine = self.matchmaking.seats.iter_mut().filter(|(_, hidden)| hidden.starter == Some(request));
        let seats: Vec<SeatId> = mine
            .map(|(&seat, hidden)| {
                hidden.starter = None;
                seat
            })
            .collect();
        for seat in seats {
            self.sessions.command(now, Command::Leave { request: None, seat });
        }
        true
    }

    fn cancel_internal(&mut self, now: Moment, request: Option<RequestId>) {
        let Some(request) = request else { return };
        self.matchmaking.requests.remove(&request);
        if self.joins.remove(&request).is_some() {
            self.close_query(now, Asker::Join(request));
        } else {
            self.sessions.cancel(now, request);
        }
    }

    // --------------------------------------------------------------------------------------- what others tell

    /// The list of a starter's query changed.
    pub(super) fn starter_heard(&mut self, now: Moment, request: RequestId, list: Arc<[Found]>) {
        let Some(starter) = self.matchmaking.starters.get_mut(&request) else { return };
        let sessions = &self.sessions;
        let account = starter.account;
        let strange = |found: &&Found| !found.addresses().is_empty() && !sessions.holds(account, found.key());
        let candidates = list.iter().filter(strange).map(candidate).collect();
        starter.list = list;
        starter.machine.sight(now, &self.config.tuning, candidates);
    }

    pub(super) fn merging(&mut self, now: Moment, seat: SeatId, outcome: Merging) {
        let outcome = match outcome {
            Merging::Busy => MergeOutcome::Busy,
            Merging::Refused => MergeOutcome::Refused,
            Merging::Granted { own } => MergeOutcome::Granted { own },
            Merging::Over => MergeOutcome::Over,
        };
        if let Some(starter) = self.matchmaking.starter_of(seat) {
            starter.machine.merge(now, &self.config.tuning, seat, outcome);
        }
    }

    /// A host sends this seat elsewhere. A seat that its user sees stays, and says so; so does one whose own query does not
    /// want that session.
    pub(super) fn asked_to_move(&mut self, now: Moment, seat: SeatId, to: Move) {
        let known = self.discovery.entry(&to.session).is_some();
        let Some(starter) = self.matchmaking.starter_of(seat) else { return self.sessions.settle(now, seat) };
        let listed = starter.list.iter().any(|found| found.key() == to.session);
        if known && !listed {
            return self.sessions.settle(now, seat);
        }
        // One that is under way stays as it was told: another word of the host's changes nothing of it.
        if starter.machine.ask_move(seat, to.session) {
            starter.moved = Some((to, !listed));
        }
    }

    /// Holds back what hidden seats say; what is for users goes on.
    pub(super) fn withhold(&mut self, now: Moment, output: Output) -> Option<Output> {
        match output {
            Output::SeatOpened(opened) if opened.local_name.starts_with(HIDDEN) => {
                let snapshot = Arc::clone(&opened.snapshot);
                let (keys, bans) = (Vec::new(), Vec::new());
                let hidden = Hidden { snapshot, keys, bans, succession: None, starter: None, opened };
                self.matchmaking.seats.insert(hidden.opened.seat, hidden);
                None
            }
            Output::Done { request, result } => self.matchmaking.answered(request, result),
            Output::SeatKeys { seat, keys } => match self.matchmaking.seats.get_mut(&seat) {
                Some(hidden) => {
                    hidden.keys = keys;
                    None
                }
                None => Some(Output::SeatKeys { seat, keys }),
            },
            Output::SeatAddresses { seat, addresses, port } => match self.matchmaking.seats.get_mut(&seat) {
                Some(hidden) => {
                    hidden.opened.host_addresses = addresses;
                    hidden.opened.control_port = port.unwrap_or(hidden.opened.control_port);
                    None
                }
                None => Some(Output::SeatAddresses { seat, addresses, port }),
            },
            Output::SeatBans { seat, bans } => match self.matchmaking.seats.get_mut(&seat) {
                Some(hidden) => {
                    hidden.bans = bans;
                    None
                }
                None => Some(Output::SeatBans { seat, bans }),
            },
            Output::SeatSuccession { seat, what } => match self.matchmaking.seats.get_mut(&seat) {
                Some(hidden) => {
                    hidden.succession = Some(what);
                    None
                }
                None => Some(Output::SeatSuccession { seat, what }),
            },
            Output::Seat { seat, events, snapshot } => {
                if !self.matchmaking.seats.contains_key(&seat) {
                    return Some(Output::Seat { seat, events, snapshot });
                }
                self.hidden_heard(now, seat, &events, snapshot);
                None
            }
            other => Some(other),
        }
    }

    fn hidden_heard(
        &mut self,
        now: Moment,
        seat: SeatId,
        events: &[SessionEvent],
        snapshot: Option<Arc<SessionSnapshot>>,
    ) {
        let Some(hidden) = self.matchmaking.seats.get_mut(&seat) else { return };
        if let Some(snapshot) = snapshot {
            hidden.snapshot = snapshot;
        }
        // Its host may have been lost meanwhile, and it may be the next one.
        for event in events {
            match event {
                SessionEvent::BecameHost { .. } => hidden.opened.is_host = true,
                SessionEvent::HostChanged { new, .. } if *new != Some(hidden.opened.user) => {
                    hidden.opened.is_host = false
                }
                _ => {}
            }
        }
        let (roster, request) = (hidden.roster(), hidden.starter);
        let left = events.iter().any(|event| matches!(event, SessionEvent::Left { .. }));
        if left {
            self.matchmaking.seats.remove(&seat);
        }
        let Some(starter) = request.and_then(|request| self.matchmaking.starters.get_mut(&request)) else { return };
        if left {
            starter.machine.ended(now, &self.config.tuning, seat);
        } else {
            starter.machine.roster(now, seat, roster);
        }
    }

    // ------------------------------------------------------------------------------------------- what is ordered

    pub(super) fn matchmaking_timeout(&mut self, now: Moment) {
        for starter in self.matchmaking.starters.values_mut() {
            if starter.machine.poll_timeout(&self.config.tuning).is_some_and(|at| at <= now) {
                starter.machine.handle_timeout(now, &self.config.tuning);
            }
        }
    }

    pub(super) fn matchmaking_due(&self) -> Option<Moment> {
        let due = |starter: &Starter| starter.machine.poll_timeout(&self.config.tuning);
        self.matchmaking.starters.values().filter_map(due).min()
    }

    /// Takes the answers to our requests and does what the machines order; whether there was anything.
    pub(super) fn drive_matchmaking(&mut self, now: Moment) -> bool {
        let mut moved = false;
        while let Some((request, result)) = self.matchmaking.answers.pop_front() {
            moved = true;
            self.internal_answer(now, request, result);
        }
        for request in self.matchmaking.all() {
            while let Some(order) =
                self.matchmaking.starters.get_mut(&request).and_then(|starter| starter.machine.poll_order())
            {
                moved = true;
                self.obey(now, request, order);
            }
        }
        moved
    }

    fn internal_answer(&mut self, now: Moment, request: RequestId, result: Result<Answer, Error>) {
        let seat = match &result {
            Ok(Answer::Seat(seat)) => Some(*seat),
            _ => None,
        };
        let asked = self.matchmaking.requests.remove(&request);
        let Some((owner, asked)) = asked.filter(|(owner, _)| self.matchmaking.starters.contains_key(owner)) else {
            if let Some(seat) = seat {
                self.sessions.command(now, Command::Leave { request: None, seat });
            }
            return;
        };
        let Some(starter) = self.matchmaking.starters.get_mut(&owner) else { return };
        starter.request = None;
        let result = match (result, seat.and_then(|seat| self.matchmaking.seats.get_mut(&seat).map(|h| (seat, h)))) {
            (Ok(_), Some((seat, hidden))) => {
                let unasked =
                    starter.moved.take().is_some_and(|(to, unasked)| unasked && to.session == hidden.snapshot.key);
                if unasked && !starter.what.query.filter.accepts(&as_found(&hidden.snapshot)) {
                    // Not heard of before, and now that it is known it does not fit.
                    self.sessions.command(now, Command::Leave { request: None, seat });
                    Err(Error::refused(Refusal::Cancelled))
                } else {
                    hidden.starter = Some(owner);
                    Ok((seat, hidden.roster()))
                }
            }
            (Ok(_), None) => Err(Error::new(ErrorKind::Ended, "the seat ended at once")),
            (Err(error), _) => Err(error),
        };
        let Some(starter) = self.matchmaking.starters.get_mut(&owner) else { return };
        match asked {
            Asked::Join => starter.machine.joined(now, &self.config.tuning, result),
            Asked::Host => starter.machine.created(now, &self.config.tuning, result),
        }
    }

    fn obey(&mut self, now: Moment, request: RequestId, order: Order) {
        match order {
            Order::Join { to } => self.join_for(now, request, to),
            Order::CancelJoin => {
                let under_way = self.matchmaking.starters.get_mut(&request).and_then(|starter| starter.request.take());
                self.cancel_internal(now, under_way);
            }
            Order::Host => self.host_for(now, request),
            Order::Merge { seat, into } => match self.discovery.entry(&into) {
                Some(entry) => self.sessions.merge(now, seat, resolved(now, &entry)),
                None => self.merging(now, seat, Merging::Refused),
            },
            Order::Unfreeze(seat) => self.sessions.unfreeze(now, seat),
            Order::Leave(seat) => self.sessions.command(now, Command::Leave { request: None, seat }),
            Order::Quit(seat) => self.sessions.move_away(now, seat),
            Order::Settle(seat) | Order::Stay(seat) => self.sessions.settle(now, seat),
            Order::Refresh => {
                if let Some(query) = self.query_of(Asker::Matchmake(request)) {
                    self.discovery.refresh(now, query);
                }
            }
            Order::Tell(progress) => self.tell_progress(request, progress),
            Order::Done(seat) => self.present(now, request, seat),
            Order::Fail(error) => {
                self.forget_starter(now, request);
                self.done(request, Err(error));
            }
        }
    }

    fn tell_progress(&mut self, request: RequestId, progress: Progress) {
        let Some(starter) = self.matchmaking.starters.get(&request) else { return };
        let event = UserEvent::Matchmaking { local_name: starter.what.local_name.clone(), progress };
        self.outputs.push_back(Output::User { user: starter.account, event });
    }

    fn join_for(&mut self, now: Moment, owner: RequestId, to: SessionKey) {
        let request = self.matchmaking.draw(owner, Asked::Join);
        let Some(starter) = self.matchmaking.starters.get(&owner) else { return };
        let account = starter.account;
        let listed = starter.list.iter().find(|found| found.key() == to).cloned();
        let told = starter.moved.as_ref().map(|(told, _)| told).filter(|told| told.session == to);
        let target = match (listed, told) {
            (Some(found), _) if !found.addresses().is_empty() => JoinTarget::Found(found),
            (_, Some(told)) => {
                let game = self.config.game.clone();
                match JoinLink::new(game, told.session, told.host_key, told.addresses.iter().copied()) {
                    Ok(link) => JoinTarget::Link(link),
                    Err(error) => return self.done(request, Err(error)),
                }
            }
            _ => return self.done(request, Err(Error::refused(Refusal::NotFound))),
        };
        let what = JoinCommand {
            target,
            local_name: hidden_name(request),
            password: None,
            ticket: Vec::new(),
            attributes: crate::types::Attributes::new(),
            timeout: self.config.tuning.mm_join,
            role: None,
            status: MemberStatus::Active,
            party: Vec::new(),
            reserve_for: Vec::new(),
            patient: false,
            can_host: true,
        };
        self.join(now, request, account, what);
    }

    fn host_for(&mut self, now: Moment, owner: RequestId) {
        let request = self.matchmaking.draw(owner, Asked::Host);
        let Some(starter) = self.matchmaking.starters.get(&owner) else { return };
        let mut what = starter.what.host.clone();
        what.local_name = hidden_name(request);
        what.matchmaking = true;
        let account = starter.account;
        let unix_ms = self.unix_ms.saturating_add(now.as_micros() / 1_000);
        self.sessions.host(now, request, account, what, unix_ms);
    }

    /// Settled: the seat is the user's from now on.
    fn present(&mut self, now: Moment, request: RequestId, seat: SeatId) {
        let Some(starter) = self.matchmaking.starters.get(&request) else { return };
        let (account, local_name) = (starter.account, starter.what.local_name.clone());
        let hidden = self.matchmaking.seats.remove(&seat);
        self.forget_starter(now, request);
        let Some(Hidden { mut opened, snapshot, keys, bans, succession, .. }) = hidden else {
            return self.done(request, Err(Error::new(ErrorKind::Ended, "the session ended as it was settled")));
        };
        self.sessions.rename(seat, &local_name);
        opened.local_name = local_name;
        opened.snapshot = Arc::clone(&snapshot);
        let opened = Output::SeatOpened(opened);
        self.seat_opened(&opened);
        self.outputs.push_back(opened);
        self.outputs.push_back(Output::SeatKeys { seat, keys });
        self.done(request, Ok(Answer::Seat(seat)));
        let events = first_events(&snapshot, account);
        self.outputs.push_back(Output::Seat { seat, events, snapshot: Some(snapshot) });
        if !bans.is_empty() {
            self.outputs.push_back(Output::SeatBans { seat, bans });
        }
        if let Some(what) = succession {
            self.outputs.push_back(Output::SeatSuccession { seat, what });
        }
    }
}

fn hidden_name(request: RequestId) -> String {
    format!("{HIDDEN}{}", request.0)
}

fn candidate(found: &Found) -> Candidate {
    let facts = found.facts();
    Candidate {
        key: found.key(),
        mobile: facts.mobile,
        taken: facts.members,
        joinable: !facts.password && found.joinable().is_ok(),
        public: facts.policy == JoinPolicy::Public,
    }
}

fn resolved(now: Moment, entry: &Found) -> Resolved {
    Resolved {
        key: Some(entry.key()),
        host_key: Some(entry.host_key()),
        incarnation: entry.data().incarnation,
        version: Some(entry.version()),
        migratable: entry.data().migratable,
        candidates: entry.addresses().iter().map(|address| address.addr).collect(),
        deadline: now,
    }
}

/// A session as a finder would have seen it before this seat was taken.
fn as_found(snapshot: &SessionSnapshot) -> FoundData {
    let mut facts = PublicFacts::of(snapshot);
    facts.members = facts.members.saturating_sub(1);
    facts.open_slots = facts.open_slots.saturating_add(1);
    FoundData {
        key: snapshot.key,
        host_key: snapshot.host_key,
        incarnation: 0,
        term: snapshot.revision.term,
        our_version: facts.version,
        facts,
        major: WIRE_MAJOR,
        incompatible: false,
        addresses: Vec::new(),
        sources: Sources::default(),
        confirmed: true,
        silent: false,
        migrating: false,
        migratable: false,
        listed: snapshot.listed,
        matched: None,
        started: 0,
    }
}
