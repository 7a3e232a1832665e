//! A seat in a session, frame by frame: lobby, chat, ready, start, play, end. The same at the host and at a member, for a
//! person and for a bot.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lansession::{
    AccountId, Events, Left, Member, MemberUpdate, Pending, Phase, Revision, Session, SessionEvent, SessionSettings,
    SessionSnapshot, SettingsUpdate, Value, Visibility,
};

use super::board::{Board, Heading, RUNNERS, State, TICKS};
use super::net::{Counts, HostNet, MemberNet, OpenError};

const TICK: Duration = Duration::from_millis(1_000 / TICKS as u64);
/// Chat lines that are kept.
const LINES: usize = 100;
/// A line of chat, in characters: one line of the screen, and under the library's 1 KiB whatever they are.
pub(crate) const LINE: usize = 60;
/// The attribute with the result of the last round.
const RESULT: &str = "result";

/// What a host sets up.
pub(crate) fn settings(name: &str, port: u16, round: Duration) -> SessionSettings {
    SessionSettings::new(name)
        .max_members(u16::try_from(RUNNERS).unwrap_or(u16::MAX))
        .ready_gate(true)
        .attr("seconds", u32::try_from(round.as_secs()).unwrap_or(u32::MAX))
        .port("game", port)
}

/// A line of chat, from a member by its number or from the game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) from: Option<(u16, String)>,
    pub(crate) text: String,
}

/// A request under way, for its failure.
enum Asked {
    Done(&'static str, Pending<()>),
    Changed(&'static str, Pending<Revision>),
}

enum Role {
    Host { net: HostNet, board: Option<Board>, round: Duration },
    Member { net: Box<MemberNet>, state: Option<State> },
}

/// What has happened here; the headless run asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Story {
    pub(crate) ready: bool,
    pub(crate) started: bool,
    pub(crate) moved: bool,
    pub(crate) ended: bool,
}

pub(crate) struct Room {
    session: Session,
    events: Events<SessionEvent>,
    me: AccountId,
    role: Role,
    asked: Vec<Asked>,
    heading: Heading,
    next_tick: Instant,
    lines: VecDeque<Line>,
    left: Option<Left>,
    story: Story,
}

impl Room {
    pub(crate) fn hosted(session: Session, net: HostNet, round: Duration, now: Instant) -> Self {
        Self::new(session, Role::Host { net, board: None, round }, now)
    }

    pub(crate) fn joined(session: Session, loopback: bool, now: Instant) -> Result<Self, OpenError> {
        let net = Box::new(MemberNet::open(&session, loopback)?);
        Ok(Self::new(session, Role::Member { net, state: None }, now))
    }

    fn new(session: Session, role: Role, now: Instant) -> Self {
        Self {
            events: session.events(),
            me: session.user().id(),
            session,
            role,
            asked: Vec::new(),
            heading: Heading::Still,
            next_tick: now,
            lines: VecDeque::new(),
            left: None,
            story: Story::default(),
        }
    }

    /// Once a frame, after `FrameLoop::update`. What it returns has gone wrong, in words.
    pub(crate) fn frame(&mut self, now: Instant) -> Option<String> {
        let mut problem = None;
        while let Some(event) = self.events.try_next() {
            self.hear(event);
        }
        self.asked.retain_mut(|asked| {
            let (what, failed) = match asked {
                Asked::Done(what, pending) => (*what, pending.try_take().map(Result::err)),
                Asked::Changed(what, pending) => (*what, pending.try_take().map(Result::err)),
            };
            if let Some(Some(error)) = &failed {
                problem = Some(format!("could not {what}: {error}"));
            }
            failed.is_none()
        });
        self.play(now);
        self.remember();
        problem
    }

    fn hear(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::MemberJoined { member, present_before: false, .. } if member.account != self.me => {
                self.tell(format!("{} came in", member.name));
            }
            SessionEvent::MemberLeft { member, why, .. } => self.tell(format!("{} is gone: {why}", member.name)),
            SessionEvent::MemberAway { account, .. } => {
                let name = self.name(account);
                self.tell(format!("{name} has lost the connection"));
            }
            SessionEvent::MemberBack { account, .. } => {
                let name = self.name(account);
                self.tell(format!("{name} is back"));
            }
            SessionEvent::Message { from, data, .. } => {
                let snapshot = self.session.snapshot();
                let from = from.and_then(|account| snapshot.member(account)).map(|m| (m.number, m.name.clone()));
                // Whoever sends it may send anything; a terminal obeys control characters.
                let text = String::from_utf8_lossy(&data).chars().filter(|c| !c.is_control()).take(LINE).collect();
                self.push(Line { from, text });
            }
            SessionEvent::PhaseChanged { new, .. } => match new {
                Phase::InProgress => self.tell("The game is on.".into()),
                Phase::Ended => {
                    self.tell("The game is over.".into());
                    self.ready(false);
                }
                _ => self.tell("Back in the lobby.".into()),
            },
            SessionEvent::Reconnecting => self.tell("The connection to the host is lost; trying again …".into()),
            SessionEvent::Reconnected => self.tell("The connection is back.".into()),
            SessionEvent::Left { why, .. } => self.left = Some(why),
            _ => {}
        }
    }

    fn play(&mut self, now: Instant) {
        let snapshot = self.session.snapshot();
        let me = self.number();
        let due = now >= self.next_tick;
        if due {
            // A frame that comes late makes the game slow for a moment, and not the next frames busy.
            self.next_tick = (self.next_tick + TICK).max(now);
        }
        let mut over = None;
        match &mut self.role {
            Role::Host { net, board, round } => {
                net.follow(&self.session);
                let headings = net.receive(now);
                match snapshot.phase {
                    Phase::InProgress => {
                        let numbers = numbers(&snapshot);
                        let board = board.get_or_insert_with(|| new_board(&numbers, *round));
                        board.seat(&numbers);
                        for (number, heading) in headings {
                            board.steer(number, heading);
                        }
                        board.steer(me, self.heading);
                        if due && !board.is_over() {
                            board.tick();
                            net.send(board.state());
                            over = board.is_over().then(|| result(&snapshot, board.state()));
                        }
                    }
                    Phase::Lobby => *board = None,
                    _ => {}
                }
            }
            Role::Member { net, state } => {
                net.follow(&self.session);
                if let Some(newest) = net.receive() {
                    *state = Some(newest);
                }
                match snapshot.phase {
                    Phase::InProgress if due => net.send(self.heading),
                    Phase::Lobby => *state = None,
                    _ => {}
                }
            }
        }
        if snapshot.phase != Phase::InProgress {
            self.heading = Heading::Still;
        }
        if let Some(result) = over {
            self.finish(result);
        }
    }

    /// The host's word on how it ended goes through the session: packets get lost, this does not.
    fn finish(&mut self, result: Vec<String>) {
        let update = SettingsUpdate::new().set_with(RESULT, result, Visibility::Members);
        self.change("tell the result", |session| session.update(update));
        self.change("end the game", |session| session.set_phase(Phase::Ended));
    }

    fn remember(&mut self) {
        let snapshot = self.session.snapshot();
        self.story.ready |= snapshot.member(self.me).is_some_and(|member| member.ready);
        self.story.started |= snapshot.phase == Phase::InProgress;
        self.story.ended |= self.story.started && snapshot.phase == Phase::Ended;
        let moves = self.state().and_then(|state| state.runner(self.number()));
        self.story.moved |= moves.is_some_and(|runner| runner.heading != Heading::Still);
    }

    /// Says something to all; the host passes it on, to us too.
    pub(crate) fn say(&mut self, text: &str) {
        let text: String = text.chars().take(LINE).collect();
        self.asked.push(Asked::Done("say that", self.session.say(text.into_bytes())));
    }

    pub(crate) fn ready(&mut self, ready: bool) {
        self.change("change the ready flag", |session| session.update_me(MemberUpdate::new().ready(ready)));
    }

    /// The host starts, once all are ready.
    pub(crate) fn start(&mut self) -> Result<(), String> {
        let snapshot = self.session.snapshot();
        let waiting: Vec<&str> = snapshot.members.iter().filter(|m| !m.ready).map(|m| m.name.as_str()).collect();
        if !self.is_host() {
            return Err("Only the host starts the game.".into());
        }
        if !waiting.is_empty() {
            return Err(format!("Not ready yet: {}", waiting.join(", ")));
        }
        self.change("start the game", |session| session.set_phase(Phase::InProgress));
        Ok(())
    }

    /// The host, after a game.
    pub(crate) fn back_to_lobby(&mut self) {
        self.change("go back to the lobby", |session| session.set_phase(Phase::Lobby));
    }

    pub(crate) fn steer(&mut self, heading: Heading) {
        self.heading = heading;
    }

    /// Leaves; the host's room ends. [`left`](Self::left) tells when it is done.
    pub(crate) fn leave(&mut self) {
        self.asked.push(Asked::Done("leave", self.session.leave()));
    }

    fn change(&mut self, what: &'static str, ask: impl FnOnce(&Session) -> Pending<Revision>) {
        self.asked.push(Asked::Changed(what, ask(&self.session)));
    }

    fn tell(&mut self, text: String) {
        self.push(Line { from: None, text });
    }

    fn push(&mut self, line: Line) {
        self.lines.push_back(line);
        if self.lines.len() > LINES {
            self.lines.pop_front();
        }
    }

    fn name(&self, account: AccountId) -> String {
        self.session.snapshot().member(account).map_or_else(|| "Somebody".into(), |member| member.name.clone())
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn snapshot(&self) -> Arc<SessionSnapshot> {
        self.session.snapshot()
    }

    pub(crate) fn me(&self) -> Option<Member> {
        self.session.snapshot().member(self.me).cloned()
    }

    /// Our number on the board.
    pub(crate) fn number(&self) -> u8 {
        let snapshot = self.session.snapshot();
        snapshot.member(self.me).and_then(|member| u8::try_from(member.number).ok()).unwrap_or(u8::MAX)
    }

    pub(crate) fn is_host(&self) -> bool {
        matches!(self.role, Role::Host { .. })
    }

    pub(crate) fn lines(&self) -> &VecDeque<Line> {
        &self.lines
    }

    /// The board as we last saw it.
    pub(crate) fn state(&self) -> Option<&State> {
        match &self.role {
            Role::Host { board, .. } => board.as_ref().map(Board::state),
            Role::Member { state, .. } => state.as_ref(),
        }
    }

    /// `Ada 7`, best first, once a round is over.
    pub(crate) fn result(&self) -> Vec<String> {
        let snapshot = self.session.snapshot();
        match snapshot.attributes.get(RESULT) {
            Some(Value::List(result)) => result.clone(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        match &self.role {
            Role::Host { net, .. } => net.counts,
            Role::Member { net, .. } => net.counts,
        }
    }

    pub(crate) fn story(&self) -> Story {
        self.story
    }

    /// Why the seat has ended, if it has.
    pub(crate) fn left(&self) -> Option<&Left> {
        self.left.as_ref()
    }
}

fn numbers(snapshot: &SessionSnapshot) -> Vec<u8> {
    snapshot.members.iter().filter_map(|member| u8::try_from(member.number).ok()).collect()
}

fn new_board(numbers: &[u8], round: Duration) -> Board {
    let ticks = u16::try_from(round.as_millis() / TICK.as_millis()).unwrap_or(u16::MAX);
    // The standard library's own random keys: enough to lay gems.
    let seed = std::collections::hash_map::RandomState::new().build_hasher().finish();
    Board::new(numbers, ticks, seed)
}

fn result(snapshot: &SessionSnapshot, state: &State) -> Vec<String> {
    let name = |number: u8| {
        let member = snapshot.members.iter().find(|member| member.number == u16::from(number));
        member.map_or("somebody", |member| &member.name)
    };
    state.ranking().iter().map(|runner| format!("{} {}", name(runner.number), runner.score)).collect()
}
