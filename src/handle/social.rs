//! What others may ask of a user, and bring it: invites and presence.

use std::sync::Arc;

use super::core::{After, Core, Inner, Kind};
use super::lan::unit;
use super::pending::Pending;
use super::session::Session;
use super::user::User;
use crate::proto::io::{Command, SeatId};
use crate::types::{AccountId, Error, ErrorKind, Invite, InviteId, InvitesFrom, Result, SessionKey};

impl User {
    /// From whom this user receives invites from now on; from nobody before the first call. Anything but
    /// [`InvitesFrom::Nobody`] opens sockets, so that others find it, and closes them with the sign-out.
    ///
    /// Whoever may not invite gets no sign that this user is there. An invite is delivered straight from the inviter's
    /// process, proven by both accounts; see [`invites`](Self::invites).
    ///
    /// # Errors
    /// `InvalidState` after a sign-out, `Stopped`.
    pub fn receive_invites(&self, from: InvitesFrom) -> Result<()> {
        let account = self.id();
        self.lan().core().check_user(account, self.generation())?;
        self.lan().core().tell(Command::ReceiveInvites { account, from })
    }

    /// The invites that wait for an answer, the oldest first; at most 32, of them at most 4 from accounts that are neither
    /// friends nor in a session with this user. In frame mode they change with updates only.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{InvitesFrom, JoinPolicy, Lan, Preset, SessionSettings, UserEvent};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let (ada, bob) = (lan.sign_in("Ada")?, lan.sign_in("Bob")?);
    /// # let five = Duration::from_secs(5);
    /// bob.set_friends([ada.id()])?;
    /// bob.receive_invites(InvitesFrom::Friends)?;
    /// let mut events = bob.events();
    /// let room = ada.host(SessionSettings::new("room").policy(JoinPolicy::InviteOnly)).wait(five)?;
    /// room.invite(bob.id()).wait(five)?;
    /// let Some(UserEvent::InviteReceived(invite)) = events.wait(five) else { panic!("no invite") };
    /// assert_eq!((invite.inviter, &*invite.name), (ada.id(), "room"));
    /// assert_eq!(bob.invites(), [invite.clone()]);
    /// let seat = bob.join(&invite).wait(five)?;
    /// assert_eq!(seat.id(), room.id());
    /// assert!(bob.invites().is_empty());
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "GetAllSessionInvites")]
    pub fn invites(&self) -> Vec<Invite> {
        self.lan().core().invites(self.id(), self.generation()).to_vec()
    }

    /// The invite of that id, if it is among [`invites`](Self::invites).
    #[must_use]
    #[doc(alias = "GetSessionInviteById")]
    pub fn invite(&self, id: InviteId) -> Option<Invite> {
        self.lan().core().invites(self.id(), self.generation()).iter().find(|invite| invite.id == id).cloned()
    }

    /// Does not want an invite: it is gone from [`invites`](Self::invites), and the session's host is told, who tells the
    /// inviter.
    ///
    /// # Errors
    /// `NotFound` where there is no such invite; where the host cannot be told, why: the invite is gone here all the same.
    #[doc(alias = "RejectSessionInvite")]
    pub fn reject(&self, id: InviteId) -> Pending<()> {
        if let Err(error) = self.held(id) {
            return Pending::ready_with(Err(error));
        }
        let account = self.id();
        let command = |request| Command::RejectInvite { request, account, invite: id };
        self.lan().core().request(Kind::Plain, command, unit)
    }

    /// The player wants in: raises [`UserEvent::UiJoinRequested`](crate::UserEvent::UiJoinRequested), as a link does that
    /// was opened. One place of the game then shows where it leads and [joins](Self::join).
    ///
    /// # Errors
    /// `NotFound` where there is no such invite, `InvalidState` after a sign-out, `Stopped`.
    pub fn accept(&self, id: InviteId) -> Result<()> {
        self.held(id)?;
        self.lan().core().tell(Command::AcceptInvite { account: self.id(), invite: id })
    }

    fn held(&self, id: InviteId) -> Result<()> {
        self.lan().core().check_user(self.id(), self.generation())?;
        let missing = || Error::new(ErrorKind::NotFound, format!("{} has no invite {id}", self.name()));
        self.invite(id).map(drop).ok_or_else(missing)
    }

    /// The session in which this user's friends may find it; `None` where that is off, as it is at first.
    #[must_use]
    #[doc(alias = "GetPresenceSession")]
    pub fn presence(&self) -> Option<Session> {
        let (_, key) = self.lan().core().presence(self.id(), self.generation())?;
        self.seats(|seat| seat.snapshot.key == key).into_iter().next()
    }

    /// Lets this user's friends find it in that session, or in none. It opens sockets and lasts until the seat ends; one
    /// session at a time. Friends are those that *this* user's game has [set](Self::set_friends); to anybody else there is
    /// no sign that the account exists. Friends are told of a session that is not listed, too.
    ///
    /// They ask with [`SessionQuery::accounts`](crate::SessionQuery::accounts).
    ///
    /// # Errors
    /// `InvalidArgument` where the session is another user's, `Ended` where its seat has ended, `InvalidState` after a
    /// sign-out, `Stopped`.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{Lan, Preset, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let ada = lan.sign_in("Ada")?;
    /// let room = ada.host(SessionSettings::new("room")).wait(Duration::from_secs(5))?;
    /// assert!(ada.presence().is_none());
    /// ada.set_presence(Some(&room))?;
    /// assert!(room.is_presence());
    /// ada.set_presence(None)?;
    /// assert!(!room.is_presence());
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[doc(alias = "SetPresenceSession")]
    #[doc(alias = "ClearPresenceSession")]
    pub fn set_presence(&self, session: Option<&Session>) -> Result<()> {
        let seat = match session {
            Some(session) if session.user().id() != self.id() => {
                return Err(Error::invalid(format!(
                    "the session is {}'s, not {}'s",
                    session.user().name(),
                    self.name()
                )));
            }
            Some(session) if !session.is_live() => {
                return Err(Error::new(ErrorKind::Ended, "the seat has ended, it can be no presence"));
            }
            Some(session) => Some((session.seat_id(), session.key())),
            None => None,
        };
        self.lan().core().set_presence(self.id(), self.generation(), seat)
    }
}

impl Session {
    /// Whether its user's friends may find the user here.
    #[must_use]
    #[doc(alias = "IsPresenceSession")]
    pub fn is_presence(&self) -> bool {
        let user = self.user();
        let presence = user.lan().core().presence(user.id(), user.generation());
        self.is_live() && presence.is_some_and(|(seat, _)| seat == self.seat_id())
    }
}

impl Inner {
    /// A new seat is where its user's friends may find it.
    pub(super) fn show_presence(&mut self, after: &mut After, id: SeatId) {
        let Some(cell) = self.seats.get(&id) else { return };
        let seat = cell.lock();
        let (account, key) = (seat.user, seat.snapshot.key);
        drop(seat);
        if let Some(user) = self.users.get_mut(&account).filter(|user| !user.leaving) {
            user.presence = Some((id, key));
            self.command(after, Command::SetPresence { account, session: Some(key) });
        }
    }
}

impl Core {
    fn invites(&self, account: AccountId, generation: u64) -> Arc<[Invite]> {
        let inner = self.lock();
        let user = inner.users.get(&account).filter(|user| user.generation == generation);
        user.map_or_else(|| Arc::from([]), |user| Arc::clone(&user.invites))
    }

    fn presence(&self, account: AccountId, generation: u64) -> Option<(SeatId, SessionKey)> {
        self.lock().users.get(&account).filter(|user| user.generation == generation)?.presence
    }

    fn set_presence(&self, account: AccountId, generation: u64, seat: Option<(SeatId, SessionKey)>) -> Result<()> {
        self.check_user(account, generation)?;
        self.tell(Command::SetPresence { account, session: seat.map(|(_, key)| key) })?;
        self.with(|inner, _| {
            if let Some(user) = inner.users.get_mut(&account).filter(|user| user.generation == generation) {
                user.presence = seat;
            }
        });
        Ok(())
    }
}
