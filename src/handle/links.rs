//! Links that are opened: by the game itself, or by another process of it. They become an event and nothing else.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use super::core::{After, Core, Inner, stopped};
use super::user::User;
use crate::proto::io::Output;
use crate::proto::limits;
use crate::types::{AccountId, Error, ErrorKind, JoinLink, Refusal, Result, UiTarget, UserEvent};

impl User {
    /// A join link was opened: typed, scanned, or handed over by the system's link handler. Checks it and raises
    /// [`UserEvent::UiJoinRequested`] for this user. Nothing is looked for or dialled: the game shows where the link leads,
    /// asks the player, and joins with the event's target.
    ///
    /// # Errors
    /// `InvalidArgument` where the text is no link, is over 2 KiB or is of another game; `TooManyRequests` for a fifth link
    /// in a second; `InvalidState` after a sign-out; `Stopped`.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{ErrorKind, Lan, Preset, SessionSettings, UserEvent};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let room = lan.sign_in("Ada")?.host(SessionSettings::new("room")).wait(Duration::from_secs(5))?;
    /// let bob = lan.sign_in("Bob")?;
    /// let mut events = bob.events();
    /// bob.open_link(&room.link().to_string())?;
    /// if let Some(UserEvent::UiJoinRequested { target, .. }) = events.try_next() {
    ///     // "Join Ada's room?" - "Yes"
    ///     let seat = bob.join(target).wait(Duration::from_secs(5))?;
    ///     assert_eq!(seat.id(), room.id());
    /// } else {
    ///     panic!("no event");
    /// }
    /// assert_eq!(bob.open_link("http://example.com").unwrap_err().kind(), ErrorKind::InvalidArgument);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn open_link(&self, text: &str) -> Result<()> {
        self.check()?;
        let link: JoinLink = text.parse()?;
        let lan = self.lan();
        check_game(&lan.config().game, &link)?;
        lan.core().open_link(self.id(), self.generation(), link, lan.backend().uptime())
    }

    /// From now on, links that other processes of this game hand over (`hand_over`) are opened for this user, as by
    /// [`open_link`](Self::open_link), until it signs out: so the program that the system starts for a clicked link passes
    /// it to the one that runs already. Only processes of the same user of this machine can.
    ///
    /// # Errors
    /// `AlreadyExists` where another process of this game, or another user of this one, receives them; `Io` where the
    /// directory of the local socket is not this user's alone, or the system refuses; `Unsupported` without the feature
    /// `net`; `InvalidState` after a sign-out; `Stopped`.
    pub fn receive_links(&self) -> Result<()> {
        let (account, generation) = (self.id(), self.generation());
        let lan = self.lan();
        if lan.core().receives_links(account, generation)? {
            return Ok(());
        }
        let (core, backend) = (Arc::downgrade(lan.core()), Arc::downgrade(lan.backend()));
        let game = lan.config().game.clone();
        let take = move |link: JoinLink| {
            let (Some(core), Some(backend)) = (core.upgrade(), backend.upgrade()) else { return Err(stopped()) };
            check_game(&game, &link)?;
            core.open_link(account, generation, link, backend.uptime())
        };
        let door = lan.backend().receive_links(&lan.config().game, Arc::new(take))?;
        lan.core().keep_door(account, generation, door)
    }
}

impl Core {
    /// A link is to be shown to a user: from the game itself, or from another process. The driver is not asked: nothing is
    /// looked for or dialled before the game says so.
    pub(super) fn open_link(
        &self,
        account: AccountId,
        generation: u64,
        link: JoinLink,
        now: Option<Duration>,
    ) -> Result<()> {
        let opened: Result<()> = self.with(|inner, after| {
            Self::signed_in(inner, account, generation)?;
            if let Some(now) = now {
                inner.admit_link(now)?;
            }
            let event = UserEvent::UiJoinRequested { target: UiTarget::Link(link) };
            inner.accept(after, Output::User { user: account, event });
            Ok(())
        });
        self.staged().notify_all();
        opened
    }

    pub(super) fn receives_links(&self, account: AccountId, generation: u64) -> Result<bool> {
        Self::signed_in(&mut self.lock(), account, generation).map(|user| user.door.is_some())
    }

    /// From now on this user receives links, until it signs out.
    pub(super) fn keep_door(
        &self,
        account: AccountId,
        generation: u64,
        door: Box<dyn Any + Send + Sync>,
    ) -> Result<()> {
        self.with(|inner, after| match Self::signed_in(inner, account, generation) {
            Ok(user) => {
                after.doors.extend(user.door.replace(door));
                Ok(())
            }
            Err(error) => {
                after.doors.push(door);
                Err(error)
            }
        })
    }
}

impl Inner {
    /// Another process may receive links from now on.
    pub(super) fn close_doors(&mut self, after: &mut After) {
        after.doors.extend(self.users.values_mut().filter_map(|user| user.door.take()));
    }

    /// At most so many links in any second, whoever opens them.
    fn admit_link(&mut self, now: Duration) -> Result<()> {
        let window = Duration::from_secs(1);
        while self.links_opened.front().is_some_and(|&at| now.saturating_sub(at) >= window) {
            self.links_opened.pop_front();
        }
        match self.links_opened.front() {
            Some(&oldest) if self.links_opened.len() >= limits::LINKS_PER_SECOND => {
                let after = window.saturating_sub(now.saturating_sub(oldest));
                Err(Error::refused(Refusal::TooManyRequests { after }))
            }
            _ => {
                self.links_opened.push_back(now);
                Ok(())
            }
        }
    }
}

/// A link to another game is not for this one.
pub(crate) fn check_game(game: &str, link: &JoinLink) -> Result<()> {
    if link.game() == game {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidArgument, format!("the link is of the game {:?}, this is {game:?}", link.game())))
}
