//! A signed-in local user: hosts, joins, finds.

use std::fmt;
use std::sync::Arc;

use super::browser::Browser;
use super::core::Kind;
use super::events::Events;
use super::join::{JoinRequest, check_local_name, check_password};
use super::lan::{Lan, unit};
use super::matchmaking::Matchmaking;
use super::pending::{Outcome, Pending, unfit};
use super::seat::Seat;
use super::session::Session;
use crate::proto::io::{Command, JoinCommand, RequestId};
use crate::types::{AccountId, Error, ErrorKind, Found, HostRequest, Result, SessionId, SessionQuery, UserEvent};

/// A local user, from [`Lan::sign_in`]. Cheap to clone; sessions and browsers keep it. When the last of these handles is
/// dropped the user is signed out.
///
/// ```
/// # if cfg!(not(feature = "net")) { return Ok(()) }
/// # use std::time::Duration;
/// # use lansession::{Lan, Preset, SessionSettings};
/// let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
/// let ada = lan.sign_in("Ada")?;
/// let room = ada.host(SessionSettings::new("Ada's room")).wait(Duration::from_secs(5))?;
/// assert_eq!(ada.session_named("game").unwrap().id(), room.id());
/// # Ok::<(), lansession::Error>(())
/// ```
#[derive(Clone)]
pub struct User(Arc<Inner>);

struct Inner {
    account: AccountId,
    name: String,
    generation: u64,
    lan: Lan,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.lan.core().user_dropped(self.account, self.generation);
    }
}

impl User {
    pub(super) fn new(lan: Lan, account: AccountId, name: String, generation: u64) -> Self {
        Self(Arc::new(Inner { account, name, generation, lan }))
    }

    pub(super) fn lan(&self) -> &Lan {
        &self.0.lan
    }

    /// Which of the account's sign-ins this is.
    pub(super) fn generation(&self) -> u64 {
        self.0.generation
    }

    /// The user's account.
    #[must_use]
    pub fn id(&self) -> AccountId {
        self.0.account
    }

    /// The display name it signed in with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Makes a session, seats this user in it unless it is dedicated, and advertises it if it is listed.
    ///
    /// The session ends when the last [`Session`] handle of this seat is dropped, or with [`Session::destroy`].
    ///
    /// # Errors
    /// `InvalidArgument` naming the value and its bound, `AlreadyExists` where this user has a session of that local name,
    /// `Io` where its port cannot be had, `InvalidState` after a sign-out, `Stopped`.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{ErrorKind, Lan, Preset, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let ada = lan.sign_in("Ada")?;
    /// let settings = SessionSettings::new("Ada's room").max_members(4).attr("map", "dust").port("game", 7777);
    /// let room = ada.host(settings).wait(Duration::from_secs(5))?;
    /// assert!(room.is_host());
    /// assert_eq!(room.snapshot().members[0].name, "Ada");
    ///
    /// let refused = ada.host(SessionSettings::new("")).wait(Duration::from_secs(5));
    /// assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidArgument);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[doc(alias = "CreateSession")]
    pub fn host(&self, request: impl Into<HostRequest>) -> Pending<Session> {
        self.host_as(request.into())
    }

    fn host_as(&self, what: HostRequest) -> Pending<Session> {
        let checked = what.check().and_then(|()| check_password(what.password.as_ref()));
        if let Err(error) = checked.and_then(|()| self.check_seat_name(&what.local_name)) {
            return Pending::ready_with(Err(error));
        }
        let account = self.id();
        self.open(what.presence, |request| Command::Host { request, account, what: Box::new(what) })
    }

    /// Joins a session: an entry of a list, an id, a room code, a link, an address.
    ///
    /// # Errors
    /// [`Error::refusal`](crate::Error::refusal) says why the host or the network refused. `InvalidArgument` naming the
    /// value and its bound, `AlreadyExists` where this user has a session of that local name, `InvalidState` after a
    /// sign-out, `Stopped`.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{Lan, Preset, SessionQuery, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let (ada, bob) = (lan.sign_in("Ada")?, lan.sign_in("Bob")?);
    /// # let five = Duration::from_secs(5);
    /// let room = ada.host(SessionSettings::new("Ada's room")).wait(five)?;
    /// let found = bob.find(SessionQuery::new().enough(1)).wait(five)?;
    /// let seat = bob.join(&found[0]).wait(five)?;
    /// assert_eq!(seat.id(), room.id());
    /// assert_eq!(seat.snapshot().members.len(), 2);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[doc(alias = "JoinSession")]
    #[doc(alias = "RegisterPlayers")]
    pub fn join(&self, request: impl Into<JoinRequest>) -> Pending<Session> {
        self.join_as(request.into())
    }

    /// Joins with other local users of the same [`Lan`], all or none: their seats are given in one revision, each user then
    /// has its own link and its own [`Session`], this user's first. Role, state, attributes and password of the request are
    /// for all of them; one refusal is for all, and if one of them cannot take its seat up, all leave.
    ///
    /// # Errors
    /// As [`join`](Self::join), each user being checked; `InvalidArgument` where one is named twice, is of another `Lan`, or
    /// there are more than 15 others.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{Lan, Preset, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let five = Duration::from_secs(5);
    /// # let room = lan.sign_in("Ada")?.host(SessionSettings::new("room").max_members(3)).wait(five)?;
    /// let (bob, cem) = (lan.sign_in("Bob")?, lan.sign_in("Cem")?);
    /// let seats = bob.join_with(&[&cem], room.code()).wait(five)?;
    /// assert_eq!(seats[1].user().id(), cem.id());
    /// assert_eq!(room.snapshot().members.len(), 3);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn join_with(&self, others: &[&User], request: impl Into<JoinRequest>) -> Pending<Vec<Session>> {
        self.join_with_as(others, request.into())
    }

    fn join_with_as(&self, others: &[&User], request: JoinRequest) -> Pending<Vec<Session>> {
        let presence = request.shows_presence();
        let what = match self.party_command(others, request) {
            Ok(what) => what,
            Err(error) => return Pending::ready_with(Err(error)),
        };
        let account = self.id();
        let mut users = vec![self.clone()];
        users.extend(others.iter().map(|other| (*other).clone()));
        let command = |request| Command::Join { request, account, what: Box::new(what) };
        self.lan().core().request(Kind::Opening { presence }, command, move |outcome| match outcome {
            Outcome::Seat(claim) => Ok(vec![Session::new(claim, users.swap_remove(0))]),
            Outcome::Seats(claims) => {
                Ok(claims.into_iter().zip(users).map(|(claim, user)| Session::new(claim, user)).collect())
            }
            other => Err(unfit(&other)),
        })
    }

    fn party_command(&self, others: &[&User], request: JoinRequest) -> Result<JoinCommand> {
        if let Some(other) = others.iter().find(|other| !Arc::ptr_eq(other.lan().core(), self.lan().core())) {
            let why = format!("{} is a user of another Lan; it joins by itself", other.name());
            return Err(Error::invalid(why));
        }
        let party: Vec<_> = others.iter().map(|other| other.id()).collect();
        if party.contains(&self.id()) {
            return Err(Error::invalid(format!("{} leads the party and is in it once", self.name())));
        }
        let what = request.into_command(party)?;
        std::iter::once(&self).chain(others).try_for_each(|user| user.check_seat_name(&what.local_name))?;
        if what.reserve_for.contains(&self.id()) {
            return Err(Error::invalid("a seat of one's own is not reserved for oneself"));
        }
        Ok(what)
    }

    fn join_as(&self, request: JoinRequest) -> Pending<Session> {
        let presence = request.shows_presence();
        let command = self.party_command(&[], request);
        match command {
            Err(error) => Pending::ready_with(Err(error)),
            Ok(what) => {
                let account = self.id();
                self.open(presence, |request| Command::Join { request, account, what: Box::new(what) })
            }
        }
    }

    /// Finds a session that fits and joins the best; where one refuses, the next; where there is none, makes one. Any number
    /// of players who do this at the same time end in as few sessions as their seats allow.
    ///
    /// A session made so is *mobile* at first: where two of them meet, the members of the smaller one move into the larger.
    /// It is settled, and answered with, once it is full, once nobody came or went for 15 s in company, or as
    /// [`Matchmaking::early`] and [`Matchmaking::timeout`] say; one that is settled never moves. Until then its seat is not
    /// among this user's [`sessions`](Self::sessions), and [`UserEvent::Matchmaking`] tells what happens. Without a timeout
    /// it waits for company as long as it takes; dropping the `Pending` ends it and leaves whatever it held.
    ///
    /// # Errors
    /// `InvalidArgument` naming the value and its bound, or the setting under which nobody could find the new session;
    /// `AlreadyExists` where this user has a session or matchmaking of that local name; `TooManyRequests` beyond 16 of them;
    /// those of [`host`](Self::host) where none can be made.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{Lan, Matchmaking, Preset, SessionQuery, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let (ada, bob) = (lan.sign_in("Ada")?, lan.sign_in("Bob")?);
    /// let duel = || Matchmaking::new(SessionQuery::new(), SessionSettings::new("duel").max_members(2));
    /// let (one, other) = (ada.matchmake(duel()), bob.matchmake(duel()));
    /// let (one, other) = (one.wait(Duration::from_secs(20))?, other.wait(Duration::from_secs(20))?);
    /// assert_eq!(one.id(), other.id());
    /// assert_eq!(one.snapshot().members.len(), 2);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[doc(alias = "StartMatchmaking")]
    pub fn matchmake(&self, matchmaking: impl Into<Matchmaking>) -> Pending<Session> {
        let command = matchmaking.into().into_command(self.lan().beacon_port());
        match command.and_then(|what| self.check_seat_name(&what.local_name).map(|()| what)) {
            Err(error) => Pending::ready_with(Err(error)),
            Ok(what) => {
                let account = self.id();
                let presence = what.host.presence;
                self.open(presence, |request| Command::Matchmake { request, account, what: Box::new(what) })
            }
        }
    }

    /// Finds sessions, once, with this user's rights; see [`Lan::find`].
    ///
    /// # Errors
    /// As [`Lan::find`], and `InvalidState` after a sign-out.
    #[doc(alias = "FindSessions")]
    #[doc(alias = "CancelFindSessions")]
    pub fn find(&self, query: impl Into<SessionQuery>) -> Pending<Vec<Found>> {
        match self.check() {
            Err(error) => Pending::ready_with(Err(error)),
            Ok(()) => self.lan().find_as(query.into(), Some(self.id())),
        }
    }

    /// Keeps a live list of sessions, with this user's rights; see [`Lan::browse`].
    ///
    /// # Errors
    /// As [`Lan::browse`], and `InvalidState` after a sign-out.
    pub fn browse(&self, query: impl Into<SessionQuery>) -> Result<Browser> {
        self.check()?;
        Browser::open(self.lan(), Some(self.clone()), query.into())
    }

    /// The sessions in which this user has a seat, in the order in which it took them.
    #[must_use]
    #[doc(alias = "GetAllSessions")]
    pub fn sessions(&self) -> Vec<Session> {
        self.seats(|_| true)
    }

    /// The session of that id, where this user has a seat in it; [`Lan::known`] knows others.
    #[must_use]
    #[doc(alias = "GetSessionById")]
    pub fn session(&self, id: SessionId) -> Option<Session> {
        self.seats(|seat| seat.snapshot.key.id == id).into_iter().next()
    }

    /// The session that this user knows by that local name.
    #[must_use]
    #[doc(alias = "GetSessionByName")]
    pub fn session_named(&self, local_name: &str) -> Option<Session> {
        self.seats(|seat| seat.local_name == local_name).into_iter().next()
    }

    /// What happens to this user, outside of its sessions.
    pub fn events(&self) -> Events<UserEvent> {
        let core = self.lan().core();
        Events::new(core.subscribe_user(self.id(), self.0.generation), core.drive().cloned())
    }

    /// Leaves and ends this user's sessions, then signs it out.
    ///
    /// # Errors
    /// `InvalidState` where it has signed out, `Stopped` after a close.
    pub fn sign_out(&self) -> Pending<()> {
        match self.check() {
            Err(error) => Pending::ready_with(Err(error)),
            Ok(()) => {
                let account = self.id();
                let command = |request| Command::SignOut { request, account };
                self.lan().core().request(Kind::SignOut(account), command, unit)
            }
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        self.lan().core().check_user(self.id(), self.0.generation)
    }

    fn check_seat_name(&self, name: &str) -> Result<()> {
        self.check()?;
        check_local_name(name)?;
        if self.session_named(name).is_some() {
            let why = format!("{} has a session named {name:?} already; set another local_name", self.name());
            return Err(Error::new(ErrorKind::AlreadyExists, why));
        }
        Ok(())
    }

    fn open(&self, presence: bool, command: impl FnOnce(RequestId) -> Command) -> Pending<Session> {
        let user = self.clone();
        self.lan().core().request(Kind::Opening { presence }, command, move |outcome| match outcome {
            Outcome::Seat(claim) => Ok(Session::new(claim, user)),
            other => Err(unfit(&other)),
        })
    }

    pub(super) fn seats(&self, fits: impl Fn(&Seat) -> bool) -> Vec<Session> {
        let account = self.id();
        let claims = self.lan().core().claims(|seat| seat.user == account && seat.is_live() && fits(seat));
        claims.into_iter().map(|claim| Session::new(claim, self.clone())).collect()
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id()).field("name", &self.name()).finish_non_exhaustive()
    }
}
