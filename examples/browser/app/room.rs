//! The session in which the player is: its state, and what happened and was said.

use std::collections::VecDeque;
use std::sync::Arc;

use lansession::{AccountId, JoinLink, RoomCode, SessionEvent, SessionSnapshot, SettingsChange};

use super::line::Line;
use super::text::clean;

/// The most lines of the log.
const LOG: usize = 200;
/// The most bytes of a message: the library's own bound.
const MESSAGE: usize = 1_024;

#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) snapshot: Arc<SessionSnapshot>,
    pub(crate) me: AccountId,
    pub(crate) link: JoinLink,
    /// The game's own ports, as connect strings.
    pub(crate) endpoints: Vec<(String, String)>,
    /// The oldest first.
    pub(crate) log: VecDeque<String>,
    /// The selected member.
    pub(crate) at: usize,
    /// The message that is being typed.
    pub(crate) typing: Option<Line>,
    pub(crate) reconnecting: bool,
    /// Why the seat ended.
    pub(crate) ended: Option<String>,
}

impl Room {
    pub(crate) fn new(snapshot: Arc<SessionSnapshot>, me: AccountId, link: JoinLink) -> Self {
        Self {
            snapshot,
            me,
            link,
            endpoints: Vec::new(),
            log: VecDeque::new(),
            at: 0,
            typing: None,
            reconnecting: false,
            ended: None,
        }
    }

    pub(crate) fn code(&self) -> RoomCode {
        RoomCode::of(self.snapshot.key)
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.snapshot.member(self.me).is_some_and(|member| member.ready)
    }

    pub(super) fn type_message(&mut self) {
        self.typing = Some(Line::new(MESSAGE));
    }

    /// The state as it is after the events that were [heard](Self::hear).
    pub(crate) fn became(&mut self, snapshot: Arc<SessionSnapshot>) {
        self.snapshot = snapshot;
        self.at = self.at.min(self.snapshot.members.len().saturating_sub(1));
    }

    pub(crate) fn tell(&mut self, line: impl Into<String>) {
        self.log.push_back(line.into());
        while self.log.len() > LOG {
            self.log.pop_front();
        }
    }

    fn name(&self, account: AccountId) -> String {
        self.snapshot.member(account).map_or_else(|| format!("{account:?}"), |member| member.name.clone())
    }

    pub(crate) fn hear(&mut self, event: &SessionEvent) {
        match event {
            SessionEvent::MemberJoined { member, present_before: false, .. } if member.account != self.me => {
                self.tell(format!("* {} came", member.name));
            }
            SessionEvent::MemberLeft { member, why, .. } => self.tell(format!("* {} is gone: {why}", member.name)),
            SessionEvent::MemberAway { account, .. } => {
                let name = self.name(*account);
                self.tell(format!("* {name} is away"));
            }
            SessionEvent::MemberBack { account, .. } => {
                let name = self.name(*account);
                self.tell(format!("* {name} is back"));
            }
            SessionEvent::SettingsChanged { changes, .. } => {
                for change in changes {
                    self.tell(format!("* {}", setting(change)));
                }
            }
            SessionEvent::PhaseChanged { new, .. } => self.tell(format!("* the phase is now {}", new.as_str())),
            SessionEvent::Message { from, data, .. } => {
                let name = from.map_or_else(|| "host".to_owned(), |account| self.name(account));
                self.tell(format!("{name}: {}", clean(data)));
            }
            SessionEvent::Reconnecting => {
                self.reconnecting = true;
                self.tell("* the link to the host is lost; trying again");
            }
            SessionEvent::Reconnected => {
                self.reconnecting = false;
                self.tell("* the link stands again");
            }
            SessionEvent::Lagged { missed, .. } => self.tell(format!("* {missed} events were missed")),
            SessionEvent::Left { why, .. } => {
                self.typing = None;
                self.ended = Some(why.to_string());
            }
            _ => {}
        }
    }
}

fn setting(change: &SettingsChange) -> String {
    match change {
        SettingsChange::Name(_, new) => format!("the session is now called {new}"),
        SettingsChange::MaxMembers(_, new) => format!("there are now {new} seats"),
        SettingsChange::Policy(_, new) => format!("the policy is now {}", new.as_str()),
        SettingsChange::Closed(_, new) => (if *new { "closed to new members" } else { "open again" }).to_owned(),
        SettingsChange::Locked(_, new) => (if *new { "locked" } else { "unlocked" }).to_owned(),
        SettingsChange::Attribute(change) => match &change.new {
            Some(new) => format!("{} is now {new}", change.name),
            None => format!("{} is removed", change.name),
        },
        _ => "the settings changed".to_owned(),
    }
}
