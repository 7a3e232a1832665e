//! Players without a person, and a whole party of them: what the tests run.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use super::Failure;
use super::board::{Cell, HEIGHT, Heading, Runner, State, WIDTH};
use super::net::Counts;
use super::player::{Player, Setup, Stage};
use super::room::Story;
use lansession::{Phase, RoomCode};

/// A bot thinks so often.
const THINK: Duration = Duration::from_millis(100);
/// What a whole party may take beyond its round.
const PATIENCE: Duration = Duration::from_secs(30);

const NAMES: [&str; 8] = ["Ana", "Ben", "Cem", "Dee", "Eli", "Fay", "Gus", "Hed"];

/// A player that runs after gems, and when it is "it" after the others.
pub(crate) struct Bot {
    pub(crate) player: Player,
    thinks: Instant,
    asked: bool,
}

impl Bot {
    pub(crate) fn new(setup: Setup, number: usize) -> Result<Self, Failure> {
        let name = NAMES.get(number).copied().unwrap_or("Bot");
        Ok(Self { player: Player::new(setup, name)?, thinks: Instant::now(), asked: false })
    }

    pub(crate) fn frame(&mut self, now: Instant) {
        self.player.frame(now);
        let Some(room) = self.player.room_mut() else { return };
        if now < self.thinks {
            return;
        }
        self.thinks = now + THINK;
        match room.snapshot().phase {
            // Asked once: to be told so takes a moment.
            Phase::Lobby if !self.asked && room.me().is_some_and(|me| !me.ready) => {
                room.say("hi");
                room.ready(true);
                self.asked = true;
            }
            Phase::InProgress => {
                self.asked = false;
                if let Some(heading) = room.state().and_then(|state| wish(state, room.number())) {
                    room.steer(heading);
                }
            }
            _ => {}
        }
    }
}

/// Where a bot wants to run to.
fn wish(state: &State, number: u8) -> Option<Heading> {
    let me = state.runner(number)?;
    let others = state.runners.iter().filter(|runner| runner.number != number);
    let goals: Vec<Cell> = if state.it == Some(number) && state.runners.len() > 1 {
        others.map(|runner| runner.at).collect()
    } else {
        state.gems.clone()
    };
    way(me, &goals)
}

/// The first step of the shortest way to one of these cells.
fn way(me: &Runner, goals: &[Cell]) -> Option<Heading> {
    let index = |cell: Cell| usize::from(cell.y) * usize::from(WIDTH) + usize::from(cell.x);
    let mut seen = [false; WIDTH as usize * HEIGHT as usize];
    let mut open = VecDeque::from([(me.at, None)]);
    while let Some((cell, first)) = open.pop_front() {
        if goals.contains(&cell) && first.is_some() {
            return first;
        }
        for heading in Heading::MOVES {
            let next = cell.step(heading);
            if let Some(seen) = seen.get_mut(index(next)).filter(|seen| !**seen) {
                *seen = true;
                open.push_back((next, first.or(Some(heading))));
            }
        }
    }
    None
}

/// What a party of bots did.
struct Report {
    names: Vec<String>,
    stories: Vec<Story>,
    joined: usize,
    left: usize,
    meetings: u16,
    result: Vec<String>,
    scored: bool,
    host: Counts,
    members: Counts,
}

/// A whole game of bots in one process, each with its own `Lan`, over sockets on loopback. `true` where all of it happened.
pub(crate) fn party(setup: &Setup, bots: usize) -> Result<bool, Failure> {
    let mut party = Party::gather(setup, bots)?;
    let outcome = party.run();
    for bot in party.bots.drain(..) {
        bot.player.close();
    }
    let report = party.report;
    let happened = report.print();
    outcome.map(|()| happened)
}

struct Party {
    bots: Vec<Bot>,
    deadline: Instant,
    report: Report,
}

impl Party {
    fn gather(setup: &Setup, bots: usize) -> Result<Self, Failure> {
        let bots = (0..bots).map(|number| Bot::new(setup.clone(), number)).collect::<Result<Vec<_>, _>>()?;
        let report = Report {
            names: bots.iter().map(|bot| bot.player.name().to_owned()).collect(),
            stories: vec![Story::default(); bots.len()],
            joined: 0,
            left: 0,
            meetings: 0,
            result: Vec::new(),
            scored: false,
            host: Counts::default(),
            members: Counts::default(),
        };
        Ok(Self { bots, deadline: Instant::now() + PATIENCE + setup.round, report })
    }

    fn run(&mut self) -> Result<(), Failure> {
        let (host, _) = self.bots.split_first_mut().ok_or("no bots")?;
        host.player.host();
        let mut code: Option<RoomCode> = None;
        self.until("the host opens a room", |party| {
            code = party.bots.first().and_then(|host| Some(host.player.room()?.session().code()));
            code.is_some()
        })?;
        let code = code.ok_or("no room")?;
        for bot in self.bots.iter_mut().skip(1) {
            bot.player.join_text(&code.to_string());
        }
        let all = self.bots.len();
        self.until("all are in the room and ready", |party| {
            let Some(room) = party.bots.first().and_then(|host| host.player.room()) else { return false };
            let snapshot = room.snapshot();
            party.report.joined = snapshot.members.len();
            snapshot.members.len() == all && snapshot.members.iter().all(|member| member.ready)
        })?;
        self.host(|host| host.player.room_mut().ok_or("the host has no room")?.start())?;
        self.until("the game has ended for all", |party| party.report.stories.iter().all(|story| story.ended))?;
        self.tally();
        for bot in self.bots.iter_mut().skip(1) {
            bot.player.room_mut().ok_or("a bot has no room")?.leave();
        }
        self.until("all members have left", |party| {
            let members = party.bots.first().and_then(|host| Some(host.player.room()?.snapshot().members.len()));
            members == Some(1) && party.bots.iter().skip(1).all(Bot::is_out)
        })?;
        self.host(|host| {
            host.player.room_mut().ok_or("the host has no room")?.leave();
            Ok(())
        })?;
        self.until("the host has left", |party| party.bots.iter().all(Bot::is_out))
    }

    fn host(&mut self, act: impl FnOnce(&mut Bot) -> Result<(), String>) -> Result<(), Failure> {
        Ok(act(self.bots.first_mut().ok_or("no bots")?)?)
    }

    /// What the room showed at its end.
    fn tally(&mut self) {
        let report = &mut self.report;
        for (at, room) in self.bots.iter().filter_map(|bot| bot.player.room()).enumerate() {
            if at > 0 {
                report.members.add(&room.counts());
                continue;
            }
            report.host = room.counts();
            report.result = room.result();
            if let Some(state) = room.state() {
                report.meetings = state.meetings;
                report.scored = state.runners.iter().any(|runner| runner.score > 0);
            }
        }
    }

    /// Turns everybody's frames until it is so.
    fn until(&mut self, what: &str, mut so: impl FnMut(&mut Self) -> bool) -> Result<(), Failure> {
        loop {
            let now = Instant::now();
            for (bot, story) in self.bots.iter_mut().zip(&mut self.report.stories) {
                bot.frame(now);
                if let Some(room) = bot.player.room() {
                    *story = room.story();
                }
            }
            self.report.left = self.bots.iter().filter(|bot| bot.is_out()).count();
            if so(self) {
                return Ok(());
            }
            if now > self.deadline {
                let notices: Vec<&str> = self.bots.iter().map(|bot| bot.player.notice.as_str()).collect();
                return Err(format!("this did not happen in time: {what} (the bots say: {notices:?})").into());
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Bot {
    fn is_out(&self) -> bool {
        matches!(self.player.stage, Stage::Menu)
    }
}

impl Report {
    fn print(&self) -> bool {
        let all = self.names.len();
        let count = |of: fn(&Story) -> bool| self.stories.iter().filter(|story| of(story)).count();
        let steps = [
            ("joined", self.joined),
            ("ready", count(|story| story.ready)),
            ("started", count(|story| story.started)),
            ("moved", count(|story| story.moved)),
            ("ended", count(|story| story.ended)),
            ("left", self.left),
        ];
        println!("players  {all}: {}", self.names.join(", "));
        println!("meetings {}", self.meetings);
        println!("scores   {}", self.result.join(", "));
        println!("host     packets: {}", self.host);
        println!("members  packets: {}", self.members);
        let words: Vec<String> = steps.iter().map(|(step, of)| format!("{step} {of}/{all}")).collect();
        println!("story    {}, points {}", words.join(", "), if self.scored { "scored" } else { "none" });
        all > 0 && self.scored && !self.result.is_empty() && steps.iter().all(|&(_, of)| of == all)
    }
}
