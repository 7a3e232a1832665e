//! A live list of sessions.

use std::fmt;
use std::sync::Arc;

use super::events::Events;
use super::lan::Lan;
use super::user::User;
use crate::proto::io::Command;
use crate::types::{BrowserEvent, BrowserId, Error, ErrorKind, Found, Result, SessionQuery};

/// A live list of the sessions that fit a query, from [`Lan::browse`] and [`User::browse`]. It ends when its last handle is
/// dropped.
///
/// ```
/// # if cfg!(not(feature = "net")) { return Ok(()) }
/// # use std::time::Duration;
/// # use lansession::{BrowserEvent, Lan, Preset, SessionQuery, SessionSettings};
/// let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
/// let rooms = lan.browse(SessionQuery::new())?;
/// let mut events = rooms.events();
/// let _room = lan.sign_in("Ada")?.host(SessionSettings::new("Ada's room")).wait(Duration::from_secs(5))?;
/// let Some(BrowserEvent::Found(found)) = events.wait(Duration::from_secs(5)) else { panic!("not found") };
/// assert_eq!(found.name(), "Ada's room");
/// assert_eq!(rooms.list().len(), 1);
/// # Ok::<(), lansession::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a browser ends when it is dropped"]
pub struct Browser(Arc<Inner>);

struct Inner {
    id: BrowserId,
    lan: Lan,
    _user: Option<User>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.lan.core().close_browser(self.id);
    }
}

impl Browser {
    pub(super) fn open(lan: &Lan, user: Option<User>, query: SessionQuery) -> Result<Self> {
        check(&query)?;
        let query = Box::new(query.asked_at(lan.beacon_port()));
        let id = lan.core().open_browser(|browser| Command::OpenBrowser { browser, query })?;
        Ok(Self(Arc::new(Inner { id, lan: lan.clone(), _user: user })))
    }

    /// What names it in [`Event::Browser`](crate::Event).
    #[must_use]
    pub fn id(&self) -> BrowserId {
        self.0.id
    }

    /// The list as it is, in the query's order. A pointer: keep it as long as you like. In frame mode it changes with
    /// updates only.
    #[must_use]
    pub fn list(&self) -> Arc<[Found]> {
        self.0.lan.core().list(self.0.id)
    }

    /// The list's changes, beginning with `Found` for each entry that is in it.
    pub fn events(&self) -> Events<BrowserEvent> {
        let core = self.0.lan.core();
        Events::new(core.subscribe_browser(self.0.id), core.drive().cloned())
    }

    /// Another query; entries that do not fit it are lost, known ones that do are found at once.
    ///
    /// # Errors
    /// `InvalidArgument` naming what is wrong with the query, `Stopped` after a close.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use lansession::{ErrorKind, Lan, Preset, SessionQuery};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// let rooms = lan.browse(SessionQuery::new())?;
    /// assert_eq!(rooms.set_query(SessionQuery::new().take(101)).unwrap_err().kind(), ErrorKind::InvalidArgument);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn set_query(&self, query: impl Into<SessionQuery>) -> Result<()> {
        let query = query.into();
        check(&query)?;
        let query = Box::new(query.asked_at(self.0.lan.beacon_port()));
        self.0.lan.core().tell(Command::SetQuery { browser: self.0.id, query })
    }

    /// Asks again now, as for a "refresh" button; the list keeps itself up to date without.
    pub fn refresh(&self) {
        // What a full queue or a closed Lan would say is said by the next call that can.
        let _ = self.0.lan.core().tell(Command::Refresh { browser: self.0.id });
    }
}

/// A list by account would have to be asked of those accounts' machines over and over; and what needs it needs accounts.
fn check(query: &SessionQuery) -> Result<()> {
    query.check()?;
    if !query.accounts.is_empty() {
        return Err(Error::new(ErrorKind::InvalidArgument, "a browse takes no accounts; ask for them with a find"));
    }
    query.check_rights(None)
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser").field("id", &self.0.id.0).field("list", &self.list().len()).finish_non_exhaustive()
    }
}
