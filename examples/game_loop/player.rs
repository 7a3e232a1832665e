//! One player of the game: signed in, in the menu, on the way into a room, in it. What a person's keys and a bot call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lansession::{
    Browser, ErrorKind, Event, Field, Found, FrameLoop, JoinLink, JoinRequest, LanBuilder, LanEvent, Left, Pending,
    Refusal, RoomCode, Session, SessionQuery, User,
};

use super::Failure;
use super::net::HostNet;
use super::room::{self, Room};

/// How a player comes to its network.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) lan: LanBuilder,
    /// Nothing outside this machine.
    pub(crate) loopback: bool,
    /// How long a round takes.
    pub(crate) round: Duration,
}

pub(crate) enum Stage {
    Menu,
    Hosting(Pending<Session>, HostNet),
    /// Looking for a room of that name.
    Finding(Pending<Vec<Found>>, String),
    /// And under which name to look where no such code is known.
    Joining(Pending<Session>, Option<String>),
    Room(Box<Room>),
}

pub(crate) struct Player {
    frames: FrameLoop,
    user: User,
    rooms: Option<Browser>,
    setup: Setup,
    pub(crate) stage: Stage,
    /// The last thing that a player should know, in words.
    pub(crate) notice: String,
}

impl Player {
    pub(crate) fn new(setup: Setup, name: &str) -> Result<Self, Failure> {
        let frames = setup.lan.clone().start_frames()?;
        let user = frames.lan().sign_in(name)?;
        Ok(Self { frames, user, rooms: None, setup, stage: Stage::Menu, notice: String::new() })
    }

    pub(crate) fn name(&self) -> &str {
        self.user.name()
    }

    /// Once a frame: everything that has happened since the last one, and a step of the game.
    pub(crate) fn frame(&mut self, now: Instant) {
        for event in self.frames.update() {
            match event {
                Event::Lan(LanEvent::Trouble(what)) => self.notice = format!("Trouble with the network: {what}"),
                Event::Lan(LanEvent::Recovered(what)) => self.notice = format!("Works again: {what}"),
                // A room has its own events, the menu reads the list as it is.
                _ => {}
            }
        }
        self.stage = match std::mem::replace(&mut self.stage, Stage::Menu) {
            Stage::Menu => Stage::Menu,
            Stage::Hosting(pending, net) => self.hosting(pending, net, now),
            Stage::Finding(pending, name) => self.finding(pending, name),
            Stage::Joining(pending, name) => self.joining(pending, name, now),
            Stage::Room(room) => self.in_room(room, now),
        };
        if let Stage::Room(_) = self.stage {
            // Who plays looks for nobody: the next look at the menu asks anew.
            self.rooms = None;
        }
    }

    fn hosting(&mut self, mut pending: Pending<Session>, net: HostNet, now: Instant) -> Stage {
        match pending.try_take() {
            None => Stage::Hosting(pending, net),
            Some(Ok(session)) => {
                self.notice.clear();
                Stage::Room(Box::new(Room::hosted(session, net, self.setup.round, now)))
            }
            Some(Err(error)) => self.back(format!("The room could not be opened: {error}")),
        }
    }

    fn finding(&mut self, mut pending: Pending<Vec<Found>>, name: String) -> Stage {
        match pending.try_take() {
            None => Stage::Finding(pending, name),
            Some(Ok(found)) => match found.first() {
                Some(found) => Stage::Joining(self.user.join(found), None),
                None => self.back(format!("No room is called {name:?}, and it is no code of one.")),
            },
            Some(Err(error)) => self.back(format!("Looking for {name:?} failed: {error}")),
        }
    }

    fn joining(&mut self, mut pending: Pending<Session>, name: Option<String>, now: Instant) -> Stage {
        match pending.try_take() {
            None => Stage::Joining(pending, name),
            Some(Ok(session)) => match Room::joined(session, self.setup.loopback, now) {
                Ok(room) => {
                    self.notice.clear();
                    Stage::Room(Box::new(room))
                }
                Err(error) => self.back(format!("You were let in, but could not play: {error}")),
            },
            Some(Err(error)) => match (error.refusal(), name) {
                // "ARENAS" could be a code as well.
                (Some(Refusal::NotFound | Refusal::HostUnreachable { .. }), Some(name)) => self.find(name),
                _ if error.kind() == ErrorKind::Refused => self.back(format!("You were not let in: {error}.")),
                _ => self.back(format!("You could not join: {error}.")),
            },
        }
    }

    fn in_room(&mut self, mut room: Box<Room>, now: Instant) -> Stage {
        if let Some(problem) = room.frame(now) {
            self.notice = problem;
        }
        match room.left() {
            None => Stage::Room(room),
            Some(Left::Left) => self.back("You have left the room.".into()),
            Some(why) => {
                let why = format!("You are out of the room: {why}.");
                self.back(why)
            }
        }
    }

    fn back(&mut self, why: String) -> Stage {
        self.notice = why;
        Stage::Menu
    }

    /// The rooms on this LAN. The first call is the moment at which a firewall may ask.
    pub(crate) fn rooms(&mut self) -> Arc<[Found]> {
        if self.rooms.is_none() {
            match self.user.browse(SessionQuery::new()) {
                Ok(rooms) => self.rooms = Some(rooms),
                Err(error) => self.notice = format!("Rooms cannot be looked for: {error}"),
            }
        }
        self.rooms.as_ref().map_or_else(|| Arc::from([]), Browser::list)
    }

    pub(crate) fn host(&mut self) {
        self.stage = match HostNet::open(self.setup.loopback) {
            Err(error) => self.back(format!("No UDP port for the game: {error}")),
            Ok(net) => {
                let name = format!("{}'s room", self.name());
                let settings = room::settings(&name, net.port(), self.setup.round);
                self.notice = "Opening a room …".into();
                Stage::Hosting(self.user.host(settings), net)
            }
        };
    }

    pub(crate) fn join(&mut self, request: impl Into<JoinRequest>) {
        self.notice = "Joining …".into();
        self.stage = Stage::Joining(self.user.join(request), None);
    }

    /// Joins what somebody typed: a link, a code, a room's name.
    pub(crate) fn join_text(&mut self, text: &str) {
        let text = text.trim();
        self.notice = format!("Looking for {text} …");
        self.stage = if text.starts_with("lansession:") {
            match text.parse::<JoinLink>() {
                Ok(link) => Stage::Joining(self.user.join(link), None),
                Err(error) => self.back(format!("That is no link to a room: {error}")),
            }
        } else if let Ok(code) = text.parse::<RoomCode>() {
            Stage::Joining(self.user.join(code), Some(text.to_owned()))
        } else {
            self.find(text.to_owned())
        };
    }

    fn find(&mut self, name: String) -> Stage {
        let query = SessionQuery::new().filter(Field::NAME.eq(name.as_str())).enough(1);
        Stage::Finding(self.user.find(query.timeout(Duration::from_secs(3))), name)
    }

    pub(crate) fn room(&self) -> Option<&Room> {
        if let Stage::Room(room) = &self.stage { Some(room) } else { None }
    }

    pub(crate) fn room_mut(&mut self) -> Option<&mut Room> {
        if let Stage::Room(room) = &mut self.stage { Some(room) } else { None }
    }

    /// Leaves whatever there is, with a goodbye.
    pub(crate) fn close(self) {
        let Self { frames, stage, .. } = self;
        drop(stage);
        // All that can fail here is the goodbye; others will see us go without.
        let _ = frames.lan().close().wait(Duration::from_secs(2));
    }
}
