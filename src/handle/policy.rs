//! Whom a user counts as friends, and whom it invites.

use std::collections::BTreeSet;

use super::core::Core;
use super::pending::{Outcome, Pending, unfit};
use super::session::Session;
use super::user::User;
use crate::proto::io::Command;
use crate::proto::limits;
use crate::types::{AccountId, Error, ErrorKind, InviteId, InviteRequest, Result};

impl User {
    /// The most friends of one user.
    pub const MAX_FRIENDS: usize = limits::FRIENDS;

    /// The user's friends, in place of those it had; at most 1,024. They stay in this process: where a session is for
    /// [friends of its members](crate::JoinPolicy::FriendsOnly), its host asks about each joiner, and the answer is yes or
    /// nothing. Set them again when they change.
    ///
    /// # Errors
    /// `InvalidArgument` for more than 1,024, `InvalidState` after a sign-out, `Stopped`.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{JoinPolicy, Lan, Preset, Refusal, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let five = Duration::from_secs(5);
    /// # let (ada, bob) = (lan.sign_in("Ada")?, lan.sign_in("Bob")?);
    /// # let (cem, dan) = (lan.sign_in("Cem")?, lan.sign_in("Dan")?);
    /// ada.set_friends([bob.id()])?;
    /// bob.set_friends([cem.id()])?;
    /// assert_eq!(bob.friends(), [cem.id()]);
    /// let room = ada.host(SessionSettings::new("room").policy(JoinPolicy::FriendsOnly)).wait(five)?;
    /// let bobs = bob.join(room.link()).wait(five)?;
    /// // A friend of a member is no friend of the host, and gets in.
    /// let cems = cem.join(room.link()).wait(five)?;
    /// assert_eq!(dan.join(room.link()).wait(five).unwrap_err().refusal(), Some(&Refusal::NotFriend));
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn set_friends(&self, friends: impl IntoIterator<Item = AccountId>) -> Result<()> {
        let mut list = BTreeSet::new();
        for friend in friends {
            list.insert(friend);
            if list.len() > Self::MAX_FRIENDS {
                return Err(Error::invalid(format!("a user has at most {} friends", Self::MAX_FRIENDS)));
            }
        }
        self.lan().core().set_friends(self.id(), self.generation(), list.into_iter().collect())
    }

    /// The friends that were set, in the order of their accounts.
    #[must_use]
    pub fn friends(&self) -> Vec<AccountId> {
        self.lan().core().friends(self.id(), self.generation())
    }
}

impl Core {
    fn set_friends(&self, account: AccountId, generation: u64, friends: Vec<AccountId>) -> Result<()> {
        self.check_user(account, generation)?;
        self.tell(Command::SetFriends { account, friends: friends.clone() })?;
        self.with(|inner, _| {
            if let Some(user) = inner.users.get_mut(&account).filter(|user| user.generation == generation) {
                user.friends = friends;
            }
        });
        Ok(())
    }

    fn friends(&self, account: AccountId, generation: u64) -> Vec<AccountId> {
        let inner = self.lock();
        let user = inner.users.get(&account).filter(|user| user.generation == generation);
        user.map(|user| user.friends.clone()).unwrap_or_default()
    }
}

impl Session {
    /// Invites accounts into the session; any member may. The answer is the invites' ids, in the order of the accounts,
    /// once the host has them; what becomes of each is [`InviteUpdated`](crate::SessionEvent::InviteUpdated): delivered or
    /// unreachable, then accepted, rejected, expired or revoked.
    ///
    /// An invited account gets in whatever the [policy](crate::JoinPolicy), and may have a reserved slot. It must not be
    /// banned, and the session neither closed, locked nor in a phase that takes nobody; it needs the password unless the
    /// host said otherwise. Whoever is invited again by the same member keeps the first invite's id.
    ///
    /// # Errors
    /// `InvalidArgument` naming the value and its bound; `AlreadyExists` for a member, `Forbidden` for a banned account:
    /// then nobody is invited. `TooManyRequests` over 16 open invites of one inviter or 64 of the session, `InvalidState`
    /// where no seat can be held, `NotOwner` where a member lets an invite pass the password; `Ended`, `Stopped`.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{InviteRequest, JoinPolicy, Lan, Preset, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let five = Duration::from_secs(5);
    /// # let (ada, bob) = (lan.sign_in("Ada")?, lan.sign_in("Bob")?);
    /// let room = ada.host(SessionSettings::new("room").policy(JoinPolicy::InviteOnly)).wait(five)?;
    /// let ids = room.invite(InviteRequest::from(bob.id()).hold(true)).wait(five)?;
    /// assert_eq!(ids.len(), 1);
    /// let seat = bob.join(room.link()).wait(five)?;
    /// assert_eq!(seat.snapshot().members.len(), 2);
    /// assert!(room.revoke(ids[0]).wait(five).is_err(), "it is used");
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[doc(alias = "SendSessionInvite")]
    pub fn invite(&self, request: impl Into<InviteRequest>) -> Pending<Vec<InviteId>> {
        let what = request.into();
        if let Err(error) = self.check_live().and_then(|()| what.check()) {
            return Pending::ready_with(Err(error));
        }
        if what.passes_password && !self.is_host() {
            let why = "only the session's host may let an invite pass the password";
            return Pending::ready_with(Err(Error::new(ErrorKind::NotOwner, why)));
        }
        let (seat, what) = (self.claim.id(), Box::new(what));
        let command = |request| Command::Invite { request, seat, what };
        self.claim.core().request(super::core::Kind::Plain, command, |outcome| match outcome {
            Outcome::Invites(ids) => Ok(ids),
            other => Err(unfit(&other)),
        })
    }

    /// Takes an open invite back: its inviter may, and the host. A delivery under way ends. An invitee on another machine
    /// that has it already is not told; it is not invited when it comes, and loses it then.
    ///
    /// # Errors
    /// `NotFound` where there is no such open invite of this member; `Ended`, `Stopped`.
    pub fn revoke(&self, invite: InviteId) -> Pending<()> {
        let seat = self.claim.id();
        match self.check_live() {
            Err(error) => Pending::ready_with(Err(error)),
            Ok(()) => self.ask(|request| Command::Revoke { request, seat, invite }),
        }
    }
}
