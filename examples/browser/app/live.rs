//! Does what the model asks for, and tells it what came of it: the only part that talks to the library.

use std::time::Duration;

use lansession::{
    Browser, Diagnosis, Error, Event, FrameLoop, LanBuilder, LanEvent, MemberUpdate, Pending, Profile, Result, Session,
    SessionEvent, User,
};

use super::social::Social;
use super::{Action, Model, Report, Room, Target};
use crate::common::saved::{Recent, Saved};

/// How often an empty list asks why it is empty.
const WHY_EMPTY: Duration = Duration::from_secs(3);
/// How long goodbyes may take.
const CLOSING: Duration = Duration::from_secs(2);

/// A request whose answer is only good or bad.
struct Running {
    what: &'static str,
    take: Box<dyn FnMut() -> Option<Result<()>>>,
}

impl Running {
    fn new<T: 'static>(what: &'static str, mut pending: Pending<T>) -> Self {
        Self { what, take: Box::new(move || pending.try_take().map(|answer| answer.map(drop))) }
    }
}

/// One player on the LAN.
pub(crate) struct Live {
    // Dropped in this order: seats, then what they stand on.
    session: Option<Session>,
    joining: Option<(Target, Pending<Session>)>,
    rooms: Browser,
    social: Social,
    user: User,
    frames: FrameLoop,
    diagnosing: Option<Pending<Diagnosis>>,
    /// When that was asked last.
    diagnosed: Duration,
    running: Vec<Running>,
    saved: Saved,
    quit: bool,
}

impl Live {
    /// Starts the library, signs the player in and opens the list. The model is the one to [`step`](Self::step) with.
    pub(crate) fn start(builder: LanBuilder, game: &str, profile: Profile, saved: Saved) -> Result<(Self, Model)> {
        let frames = builder.start_frames()?;
        let user = frames.lan().sign_in(profile)?;
        let mut model = Model::new(game, user.name(), user.id());
        let rooms = user.browse(model.query())?;
        let social = Social::start(&user, saved.memory())?;
        model.remembered(saved.memory());
        let live = Self {
            session: None,
            joining: None,
            rooms,
            social,
            user,
            frames,
            diagnosing: None,
            diagnosed: Duration::ZERO,
            running: Vec::new(),
            saved,
            quit: false,
        };
        Ok((live, model))
    }

    /// One frame: does what was asked for, takes over what happened. `false` at the end.
    pub(crate) fn step(&mut self, model: &mut Model, now: Duration) -> bool {
        model.now = now;
        for action in model.actions() {
            self.perform(model, action);
        }
        // The update first: an answer is there before the first event that it caused, so none of those comes to a seat
        // that is not known here yet.
        let events: Vec<Event> = self.frames.update().collect();
        self.answers(model);
        for event in &events {
            self.happened(model, event);
        }
        if let (Some(session), Some(room)) = (&self.session, &mut model.room) {
            room.became(session.snapshot());
        }
        model.listed(self.rooms.list());
        self.social.step(&self.user, self.session.as_ref(), model);
        self.explain(model);
        let warnings = self.saved.warnings();
        if !warnings.is_empty() {
            model.told("What is remembered", &warnings.join("\n"));
        }
        !self.quit
    }

    /// Leaves, and waits for the goodbyes to be out.
    pub(crate) fn close(self) {
        let _ = self.frames.lan().close().wait(CLOSING);
    }

    fn run<T: 'static>(&mut self, what: &'static str, pending: Pending<T>) {
        self.running.push(Running::new(what, pending));
    }

    fn perform(&mut self, model: &mut Model, action: Action) {
        match action {
            Action::Query(query) => told(model, "The filter", self.rooms.set_query(*query)),
            Action::Refresh => self.rooms.refresh(),
            Action::Diagnose => self.diagnosing = Some(self.frames.lan().diagnose()),
            Action::Join { target, password } => {
                let mut request = target.request();
                if let Some(password) = password {
                    request = request.password(password);
                }
                self.joining = Some((*target, self.user.join(request)));
            }
            Action::CancelJoin => self.joining = None,
            Action::Befriend(friend) => {
                model.notice(format!("{} is a friend now", friend.name));
                self.saved.befriend(friend);
                self.friends(model);
            }
            Action::Unfriend(account) => {
                self.saved.unfriend(account);
                self.friends(model);
            }
            Action::Forget(link) => {
                self.saved.forget(&link);
                model.remembered(self.saved.memory());
            }
            Action::Accept(invite) => told(model, "The invite", self.social.accept(&self.user, invite)),
            Action::Reject(invite) => {
                let rejected = self.social.reject(&self.user, invite);
                self.run("The invite", rejected);
            }
            Action::Quit => self.quit = true,
            Action::Say(_) | Action::Ready(_) | Action::Leave | Action::Invite(_) => self.inside(model, action),
        }
    }

    /// What needs a seat.
    fn inside(&mut self, model: &mut Model, action: Action) {
        let Some(session) = self.session.clone() else { return };
        match action {
            Action::Say(text) => self.run("The message", session.say(text.into_bytes())),
            Action::Ready(ready) => self.run("Ready", session.update_me(MemberUpdate::new().ready(ready))),
            Action::Leave => self.run("Leaving", session.leave()),
            Action::Invite(account) => {
                let name = model.friend(account).map_or_else(|| format!("{account:?}"), |friend| friend.name.clone());
                if let Some(room) = &mut model.room {
                    room.tell(format!("* you invite {name}"));
                }
                let invited = self.social.invite(&session, account);
                self.run("The invite", invited);
            }
            _ => {}
        }
    }

    fn friends(&mut self, model: &mut Model) {
        model.remembered(self.saved.memory());
        told(model, "Friends", self.social.set_friends(&self.user, self.saved.memory()));
    }

    fn answers(&mut self, model: &mut Model) {
        if let Some((target, mut pending)) = self.joining.take() {
            match pending.try_take() {
                None => self.joining = Some((target, pending)),
                Some(Ok(session)) => self.joined(model, session),
                Some(Err(error)) => model.refused(target, &error),
            }
        }
        if let Some(answer) = self.diagnosing.as_mut().and_then(Pending::try_take) {
            self.diagnosing = None;
            match answer {
                Ok(diagnosis) => model.report = Some(Report::from(&diagnosis)),
                Err(error) => model.notice(format!("Diagnosis: {error}")),
            }
        }
        self.running.retain_mut(|running| match (running.take)() {
            None => true,
            Some(answer) => {
                told(model, running.what, answer);
                false
            }
        });
    }

    fn joined(&mut self, model: &mut Model, session: Session) {
        let snapshot = session.snapshot();
        let visited = Recent { link: session.link(), name: snapshot.name.clone(), when: model.now.as_secs() };
        self.saved.visited(visited);
        model.remembered(self.saved.memory());
        let mut room = Room::new(snapshot, self.user.id(), session.link());
        let ports = room.snapshot.ports.iter().map(|(name, _)| name.clone());
        let at = |name: String| session.endpoint(&name).ok().map(|endpoint| (name, endpoint.to_string()));
        room.endpoints = ports.filter_map(at).collect();
        model.joined(room);
        self.session = Some(session);
    }

    fn happened(&mut self, model: &mut Model, event: &Event) {
        match event {
            Event::Session { session, what, .. } if self.session.as_ref().is_some_and(|own| own.id() == *session) => {
                if let Some(room) = &mut model.room {
                    room.hear(what);
                }
                self.social.session_event(model, what);
                if matches!(what, SessionEvent::Left { .. }) {
                    if let (Some(session), Some(room)) = (self.session.take(), &mut model.room) {
                        room.became(session.snapshot());
                    }
                }
            }
            Event::User { what, .. } => self.social.user_event(model, what),
            Event::Lan(LanEvent::Trouble(why)) => model.notice(format!("Trouble: {why}")),
            Event::Lan(LanEvent::Recovered(what)) => model.notice(format!("Works again: {what}")),
            _ => {}
        }
    }

    /// Asks why the list is empty, while it is.
    fn explain(&mut self, model: &Model) {
        let due = model.report.is_none() || model.now.saturating_sub(self.diagnosed) >= WHY_EMPTY;
        if model.list.is_empty() && self.diagnosing.is_none() && due {
            self.diagnosed = model.now;
            self.diagnosing = Some(self.frames.lan().diagnose());
        }
    }
}

fn told(model: &mut Model, what: &str, answer: Result<(), Error>) {
    if let Err(error) = answer {
        model.notice(format!("{what}: {error}"));
    }
}
