//! The browser without its terminal: keys and news change the [`Model`], [`draw`] shows it, [`live`] does what it asks for.
//!
//! Nothing in the model touches a network, a file or a clock, so a test can press keys and read the screen.

pub(crate) mod draw;
mod keys;
mod line;
pub(crate) mod live;
mod room;
pub(crate) mod social;
mod text;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lansession::{
    AccountId, Diagnosis, Error, Filter, FilterError, Found, Invite, InviteId, JoinLink, JoinRequest, OrderBy, Refusal,
    RoomCode, SessionKey, SessionQuery,
};

use crate::common::saved::{Friend, Memory, Recent};
use line::Line;
pub(crate) use room::Room;
use social::InviteRow;

/// How long a line about something that happened stays.
const NOTICE: Duration = Duration::from_secs(6);

/// What fills the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    Sessions,
    Recent,
    Friends,
    Invites,
    Diagnosis,
    Session,
}

impl Tab {
    pub(crate) const ALL: [Self; 6] =
        [Self::Sessions, Self::Recent, Self::Friends, Self::Invites, Self::Diagnosis, Self::Session];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sessions => "Sessions",
            Self::Recent => "Recent",
            Self::Friends => "Friends",
            Self::Invites => "Invites",
            Self::Diagnosis => "Diagnosis",
            Self::Session => "Session",
        }
    }
}

/// Whom to join.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Found(Found),
    Link(JoinLink, String),
    Code(RoomCode),
    Address(SocketAddr),
    Invite(Box<Invite>),
}

impl Target {
    /// What a player typed: a room code, a link, an address.
    fn typed(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.to_ascii_lowercase().starts_with("lansession:") {
            return text.parse().map(|link: JoinLink| Self::Link(link, "the link".into())).map_err(|e| e.to_string());
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        text.parse().map(Self::Code).map_err(|error: Error| format!("{error}; or give a link or ADDRESS:PORT"))
    }

    pub(crate) fn name(&self) -> String {
        match self {
            Self::Found(found) => found.name().to_owned(),
            Self::Link(_, name) => name.clone(),
            Self::Code(code) => code.to_string(),
            Self::Address(address) => address.to_string(),
            Self::Invite(invite) => invite.name.clone(),
        }
    }

    fn needs_password(&self) -> bool {
        matches!(self, Self::Found(found) if found.password())
    }

    pub(crate) fn request(&self) -> JoinRequest {
        match self {
            Self::Found(found) => found.into(),
            Self::Link(link, _) => link.into(),
            Self::Code(code) => (*code).into(),
            Self::Address(address) => (*address).into(),
            Self::Invite(invite) => (&**invite).into(),
        }
    }
}

/// What the player wants done outside of the model.
#[derive(Debug)]
pub(crate) enum Action {
    Query(Box<SessionQuery>),
    Refresh,
    Diagnose,
    Join { target: Box<Target>, password: Option<String> },
    CancelJoin,
    Say(String),
    Ready(bool),
    Leave,
    Befriend(Friend),
    Unfriend(AccountId),
    Forget(JoinLink),
    Invite(AccountId),
    Accept(InviteId),
    Reject(InviteId),
    Quit,
}

/// A window over the screen.
#[derive(Debug)]
pub(crate) enum Popup {
    Help,
    /// All that is known of the selected session.
    Details(Scroll),
    /// Something to read.
    Told {
        title: String,
        text: String,
    },
    /// Something to type.
    Ask {
        what: Ask,
        line: Line,
        problem: Option<String>,
    },
    /// Whether to give up the seat, and the program with it.
    Leave {
        quit: bool,
    },
    /// Which friend to invite.
    Invite {
        at: usize,
    },
}

#[derive(Debug)]
pub(crate) enum Ask {
    Password(Box<Target>),
    Join,
    Friend,
}

/// The first line in sight; drawing keeps it within the text.
#[derive(Debug, Default)]
pub(crate) struct Scroll(Cell<usize>);

impl Scroll {
    fn by(&self, lines: isize) {
        self.0.set(self.0.get().saturating_add_signed(lines));
    }

    /// The first line to show of so many, where so many fit.
    pub(crate) fn within(&self, lines: usize, fitting: usize) -> usize {
        self.0.set(self.0.get().min(lines.saturating_sub(fitting)));
        self.0.get()
    }
}

/// A built-in field or an attribute, and which way.
#[derive(Debug, Clone)]
pub(crate) struct Sort {
    pub(crate) key: String,
    pub(crate) descending: bool,
}

impl Sort {
    /// What every list can be sorted by.
    const BUILT_IN: [&'static str; 3] = ["@name", "@ping_ms", "@members"];

    fn order(&self) -> OrderBy {
        let key = self.key.as_str();
        if self.descending { OrderBy::descending(key) } else { OrderBy::ascending(key) }
    }
}

/// What `diagnose()` said last.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) advice: String,
    pub(crate) text: String,
    /// Sessions that are known, whether they fit the filter or not.
    pub(crate) sessions: usize,
}

impl From<&Diagnosis> for Report {
    fn from(diagnosis: &Diagnosis) -> Self {
        let Diagnosis { advice, sessions, .. } = diagnosis;
        Self { advice: advice.clone(), text: diagnosis.to_string(), sessions: *sessions }
    }
}

/// All that the screen shows.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) game: String,
    pub(crate) player: String,
    pub(crate) account: AccountId,
    /// Whether the account lasts for this run only.
    pub(crate) passing: bool,
    /// Since 1970; told with each frame.
    pub(crate) now: Duration,
    pub(crate) tab: Tab,
    pub(crate) list: Arc<[Found]>,
    selected: Option<SessionKey>,
    /// Where the selected one was, for when it is gone.
    at: usize,
    pub(crate) filter: Line,
    pub(crate) filtering: bool,
    pub(crate) filter_error: Option<FilterError>,
    /// The last text that was a filter.
    applied: Filter,
    pub(crate) sort: Sort,
    pub(crate) report: Option<Report>,
    pub(crate) report_scroll: Scroll,
    pub(crate) memory: Memory,
    pub(crate) recent_at: usize,
    pub(crate) friends_at: usize,
    /// In which sessions friends were found.
    pub(crate) whereabouts: BTreeMap<AccountId, Found>,
    /// Whether friends may find this player in its session.
    pub(crate) visible: bool,
    pub(crate) invites: Vec<InviteRow>,
    pub(crate) invites_at: usize,
    pub(crate) room: Option<Room>,
    pub(crate) joining: Option<String>,
    pub(crate) popup: Option<Popup>,
    /// A link that was opened while the player was at something else.
    offered: Option<JoinLink>,
    notice: Option<(String, Duration)>,
    actions: Vec<Action>,
}

impl Model {
    pub(crate) fn new(game: &str, player: &str, account: AccountId) -> Self {
        Self {
            game: game.to_owned(),
            player: player.to_owned(),
            account,
            passing: false,
            now: Duration::ZERO,
            tab: Tab::Sessions,
            list: Arc::from([]),
            selected: None,
            at: 0,
            filter: Line::new(1_024),
            filtering: false,
            filter_error: None,
            applied: Filter::all(),
            sort: Sort { key: "@name".into(), descending: false },
            report: None,
            report_scroll: Scroll::default(),
            memory: Memory::default(),
            recent_at: 0,
            friends_at: 0,
            whereabouts: BTreeMap::new(),
            visible: false,
            invites: Vec::new(),
            invites_at: 0,
            room: None,
            joining: None,
            popup: None,
            offered: None,
            notice: None,
            actions: Vec::new(),
        }
    }

    /// What was asked for since the last call.
    pub(crate) fn actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    // ------------------------------------------------------------------------------------------------------- news

    /// The list as it is now. The selection stays with its session, and where that is gone with its place.
    pub(crate) fn listed(&mut self, list: Arc<[Found]>) {
        self.list = list;
        let at = self.list.iter().position(|found| Some(found.key()) == self.selected);
        self.select(at.unwrap_or(self.at));
    }

    pub(crate) fn remembered(&mut self, memory: &Memory) {
        self.memory = memory.clone();
        self.recent_at = self.recent_at.min(self.memory.recent.len().saturating_sub(1));
        self.friends_at = self.friends_at.min(self.memory.friends.len().saturating_sub(1));
    }

    pub(crate) fn invited(&mut self, invites: Vec<InviteRow>) {
        self.invites = invites;
        self.invites_at = self.invites_at.min(self.invites.len().saturating_sub(1));
    }

    pub(crate) fn joined(&mut self, room: Room) {
        self.joining = None;
        self.room = Some(room);
        self.popup = None;
        self.tab = Tab::Session;
    }

    /// A join came to nothing. A wrong password is asked for again; what the player gave up is no news.
    pub(crate) fn refused(&mut self, target: Target, error: &Error) {
        self.joining = None;
        self.popup = match error.refusal() {
            Some(Refusal::Cancelled) => return,
            Some(refusal @ Refusal::BadPassword) => Some(Popup::Ask {
                problem: Some(refusal.to_string()),
                what: Ask::Password(Box::new(target)),
                line: Line::new(256),
            }),
            refusal => {
                let id = refusal.map_or_else(String::new, |refusal| format!("\n({})", refusal.id()));
                return self.told(&format!("Not in {}", target.name()), &format!("{error}{id}"));
            }
        };
    }

    /// Something to read and close.
    pub(crate) fn told(&mut self, title: &str, text: &str) {
        self.popup = Some(Popup::Told { title: title.to_owned(), text: text.to_owned() });
    }

    /// One line about something that happened.
    pub(crate) fn notice(&mut self, text: impl Into<String>) {
        self.notice = Some((text.into(), self.now));
    }

    /// The line, while it is news.
    pub(crate) fn news(&self) -> Option<&str> {
        let (text, since) = self.notice.as_ref()?;
        (self.now.saturating_sub(*since) < NOTICE).then_some(text)
    }

    /// A seat that has not ended.
    pub(crate) fn seated(&self) -> Option<&Room> {
        self.room.as_ref().filter(|room| room.ended.is_none())
    }

    // ---------------------------------------------------------------------------------------------------- choices

    pub(crate) fn selected_at(&self) -> usize {
        self.at
    }

    pub(crate) fn selected(&self) -> Option<&Found> {
        self.list.get(self.at)
    }

    fn select(&mut self, at: usize) {
        self.at = at.min(self.list.len().saturating_sub(1));
        if let Some(found) = self.list.get(self.at) {
            self.selected = Some(found.key());
        }
    }

    /// Applies the filter line as it is typed; one that cannot be read leaves the list as it is.
    fn refilter(&mut self) {
        match self.filter.text().parse::<Filter>() {
            Ok(filter) => {
                self.filter_error = None;
                if filter != self.applied {
                    self.applied = filter;
                    self.ask();
                }
            }
            Err(error) => self.filter_error = Some(error),
        }
    }

    /// What the list shall show.
    pub(crate) fn query(&self) -> SessionQuery {
        SessionQuery::new().filter(self.applied.clone()).order_by([self.sort.order()])
    }

    fn ask(&mut self) {
        let query = Box::new(self.query());
        self.act(Action::Query(query));
    }

    /// The next thing to sort by: name, ping, players, then each attribute that a listed session has.
    fn next_sort(&mut self) {
        let attributes: BTreeSet<&str> =
            self.list.iter().flat_map(|found| found.attributes().iter().map(|(name, _)| name)).collect();
        let keys: Vec<&str> = Sort::BUILT_IN.into_iter().chain(attributes).collect();
        let next = keys.iter().position(|key| *key == self.sort.key).map_or(0, |at| at + 1);
        let key = keys.get(next).copied().unwrap_or(Sort::BUILT_IN[0]).to_owned();
        self.sort = Sort { key, descending: false };
        self.ask();
    }

    fn flip_sort(&mut self) {
        self.sort.descending = !self.sort.descending;
        self.ask();
    }

    fn join(&mut self, target: Target) {
        if self.seated().is_some() {
            return self.notice("You are in a session: leave it first (tab 6, then l)");
        }
        if target.needs_password() {
            let what = Ask::Password(Box::new(target));
            self.popup = Some(Popup::Ask { what, line: Line::new(256), problem: None });
        } else {
            self.join_with(target, None);
        }
    }

    /// An invite was accepted: its join follows.
    pub(crate) fn join_invited(&mut self, invite: &Invite) {
        self.join(Target::Invite(Box::new(invite.clone())));
    }

    /// A link was opened outside: where it leads is shown, and the player says whether to follow. Not in the middle of a
    /// word: an Enter that was meant for a password must not follow it.
    pub(crate) fn offer(&mut self, link: &JoinLink) {
        if self.is_busy() {
            self.offered = Some(link.clone());
            return self.notice("A link was opened: it is shown once you are done here");
        }
        let line = Line::from(link.to_string().as_str());
        self.popup = Some(Popup::Ask { what: Ask::Join, line, problem: None });
    }

    /// A window is open, or something is being typed.
    fn is_busy(&self) -> bool {
        let talking = self.tab == Tab::Session && self.room.as_ref().is_some_and(|room| room.typing.is_some());
        self.popup.is_some() || self.filtering || talking
    }

    fn join_with(&mut self, target: Target, password: Option<String>) {
        self.popup = None;
        self.joining = Some(target.name());
        self.act(Action::Join { target: Box::new(target), password });
    }

    pub(crate) fn friend(&self, account: AccountId) -> Option<&Friend> {
        self.memory.friends.iter().find(|friend| friend.account == account)
    }

    /// Friends who have no seat where this player is.
    pub(crate) fn invitable(&self) -> Vec<&Friend> {
        let Some(room) = self.seated() else { return Vec::new() };
        let absent = |friend: &&Friend| room.snapshot.member(friend.account).is_none();
        self.memory.friends.iter().filter(absent).collect()
    }

    pub(crate) fn recent(&self) -> Option<&Recent> {
        self.memory.recent.get(self.recent_at)
    }

    /// A link to a listed session, from what the list knows.
    pub(crate) fn link_to(&self, found: &Found) -> Option<JoinLink> {
        let addresses = found.addresses().iter().map(|at| at.addr).take(JoinLink::MAX_ADDRESSES);
        JoinLink::new(self.game.as_str(), found.key(), found.host_key(), addresses).ok()
    }
}
