//! The whole: one game on this machine's networks.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::backend::{Backend, LanConfig};
use super::browser::Browser;
use super::core::{Core, Kind, stopped};
use super::events::Events;
use super::pending::{Outcome, Pending, unfit};
use super::user::User;
use crate::proto::io::{Command, LocalUser};
use crate::types::{AccountId, Diagnosis, Event, Found, Profile, Result, SessionId, SessionQuery};

/// One game on the local networks: where users sign in and sessions are found. Made by [`Lan::builder`].
///
/// A `Lan` is cheap to clone; users, sessions and browsers keep it. When the last of all these handles is dropped it is
/// closed: members leave, hosted sessions end, goodbyes are sent. A drop does not wait for that; [`close`](Self::close)
/// does. Where neither a session is hosted or joined nor anything is looked for, there is no socket and no packet.
///
/// ```
/// # if cfg!(not(feature = "net")) { return Ok(()) }
/// # use std::time::Duration;
/// use lansession::{Lan, Preset, SessionQuery};
/// let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
/// let query = SessionQuery::new().timeout(Duration::from_millis(20));
/// assert!(lan.find(query).wait(Duration::from_secs(5))?.is_empty());
/// lan.close().wait(Duration::from_secs(5))?;
/// # Ok::<(), lansession::Error>(())
/// ```
#[doc(alias = "bIsLANSession")]
#[derive(Clone)]
pub struct Lan(Arc<Inner>);

struct Inner {
    core: Arc<Core>,
    backend: Arc<dyn Backend>,
    config: LanConfig,
    /// The driver's; dropped last.
    _guard: Box<dyn Any + Send + Sync>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.core.close_unheard();
    }
}

impl Lan {
    pub(super) fn new(
        core: Arc<Core>,
        backend: Arc<dyn Backend>,
        config: LanConfig,
        guard: Box<dyn Any + Send + Sync>,
    ) -> Self {
        Self(Arc::new(Inner { core, backend, config, _guard: guard }))
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.0.core
    }

    pub(super) fn backend(&self) -> &Arc<dyn Backend> {
        &self.0.backend
    }

    pub(crate) fn config(&self) -> &LanConfig {
        &self.0.config
    }

    /// Signs a local user in: `"Ada"`, or a [`Profile`] with an identity and an external account id. Without an identity
    /// the user gets a fresh key that ends with the process. Several users may be signed in; 16 at most.
    ///
    /// # Errors
    /// `InvalidArgument` for a bad name or id, `AlreadyExists` where that account is signed in here, `TooManyRequests` for
    /// a 17th user, `Stopped` after a close.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use lansession::{ErrorKind, Lan, Preset};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// let ada = lan.sign_in("Ada")?;
    /// assert_eq!(ada.name(), "Ada");
    /// assert_eq!(lan.sign_in("").unwrap_err().kind(), ErrorKind::InvalidArgument);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn sign_in(&self, profile: impl Into<Profile>) -> Result<User> {
        self.sign_in_as(profile.into())
    }

    fn sign_in_as(&self, profile: Profile) -> Result<User> {
        profile.check()?;
        let Profile { name, identity, external } = profile;
        let identity = identity.map_or_else(|| self.0.backend.fresh_identity(), Ok)?;
        let account = identity.account();
        let command = Command::SignIn { user: LocalUser { identity, name: name.clone(), external } };
        let generation = self.core().sign_in(account, command)?;
        Ok(User::new(self.clone(), account, name, generation))
    }

    /// Finds sessions, once: until enough match or the query's timeout has passed. A menu that stays open should
    /// [`browse`](Self::browse). [`User::find`] asks with a user's rights.
    ///
    /// # Errors
    /// `InvalidArgument` naming what is wrong with the query, `Forbidden` where it asks for private sessions or reservations:
    /// that is for users who ask for themselves; `TooManyRequests` where 64 finds and browsers run, `Stopped`.
    #[doc(alias = "FindSessions")]
    pub fn find(&self, query: impl Into<SessionQuery>) -> Pending<Vec<Found>> {
        self.find_as(query.into(), None)
    }

    /// With this user's rights; what it may not ask is refused before anything is sent or looked up.
    pub(super) fn find_as(&self, query: SessionQuery, account: Option<AccountId>) -> Pending<Vec<Found>> {
        if let Err(error) = query.check().and_then(|()| query.check_rights(account)) {
            return Pending::ready_with(Err(error));
        }
        let query = Box::new(query.asked_at(self.beacon_port()));
        self.core().request(
            Kind::Find(account),
            |request| Command::Find { request, account, query },
            |outcome| match outcome {
                Outcome::Found(list) => Ok(list),
                other => Err(unfit(&other)),
            },
        )
    }

    /// Keeps a live list of sessions, for a menu. The first browse is the moment at which a firewall may ask.
    ///
    /// # Errors
    /// As [`find`](Self::find); `InvalidArgument` also for a query by account, which no live list can follow.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use lansession::{Lan, Preset, SessionQuery};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// let rooms = lan.browse(SessionQuery::new())?;
    /// assert!(rooms.list().is_empty()); // nothing was heard yet
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn browse(&self, query: impl Into<SessionQuery>) -> Result<Browser> {
        Browser::open(self, None, query.into())
    }

    /// What is known of a session: one's own, a joined one, one in a browser's list or in a user's last find.
    #[must_use]
    #[doc(alias = "GetSessionById")]
    pub fn known(&self, id: SessionId) -> Option<Found> {
        self.core().known(id)
    }

    /// What was tried on which interface and path, and what came of it: print it where a list stays empty.
    ///
    /// # Errors
    /// `Stopped` after a close.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{Lan, Preset};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// let diagnosis = lan.diagnose().wait(Duration::from_secs(5))?;
    /// assert!(!diagnosis.to_string().is_empty());
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn diagnose(&self) -> Pending<Diagnosis> {
        self.core().request(
            Kind::Plain,
            |request| Command::Diagnose { request },
            |outcome| match outcome {
                Outcome::Diagnosis(diagnosis) => Ok(diagnosis),
                other => Err(unfit(&other)),
            },
        )
    }

    /// Everything that happens from now on, in all sessions, browsers and users of this `Lan`. For each session that is
    /// open it starts with `Joined` and its members.
    pub fn events(&self) -> Events<Event> {
        Events::new(self.core().subscribe(), self.core().drive().cloned())
    }

    /// Closes: leaves and ends all sessions and says goodbye. Other requests fail with `Stopped` from now on. Ready once
    /// all is done, and also where it was closed before.
    ///
    /// # Errors
    /// None of its own.
    pub fn close(&self) -> Pending<()> {
        if self.core().is_stopped() {
            return Pending::ready_with(Ok(()));
        }
        self.core().request(Kind::Close, |request| Command::Close { request }, unit)
    }

    pub(super) fn check_open(&self) -> Result<()> {
        if self.core().is_closing() { Err(stopped()) } else { Ok(()) }
    }
}

pub(super) fn unit(outcome: Outcome) -> Result<()> {
    match outcome {
        Outcome::Unit => Ok(()),
        other => Err(unfit(&other)),
    }
}

impl fmt::Debug for Lan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lan").field("game", &self.config().game).field("core", self.core()).finish_non_exhaustive()
    }
}
