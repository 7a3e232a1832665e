//! What a session needs to outlive its host: the game's own state, who goes on, who would not.

use super::core::Kind;
use super::pending::{Outcome, Pending, unfit};
use super::session::Session;
use crate::proto::io::Command;
use crate::types::{AccountId, Error, GameState, Result};

/// The most accounts that a host puts first.
const MAX_FIRST: usize = crate::proto::limits::SUCCESSORS;

/// Host migration; see [`Migration`](crate::Migration).
impl Session {
    /// Hands the game's own state to those that would go on; host only. It replaces what was set before. The answer is its
    /// version, the first is 1. A new host gets the latest that came with
    /// [`SessionEvent::BecameHost`](crate::SessionEvent).
    ///
    /// The five first successors hold it, and read it. It goes to them when it is set and when one becomes a successor, one
    /// transfer at a time; a newer one takes the place of one that waits.
    ///
    /// # Errors
    /// `InvalidArgument` over [`GameState::MAX`] bytes, saying by how many; `InvalidState` where the session ends with its
    /// host; `NotOwner`, `Ended`, `Stopped`.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{ErrorKind, HostRequest, Lan, Migration, Preset, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let five = Duration::from_secs(5);
    /// let request = HostRequest::new(SessionSettings::new("room")).migration(Migration::Quorum);
    /// let room = lan.sign_in("Ada")?.host(request).wait(five)?;
    /// assert_eq!(room.set_state("wave 7").wait(five)?, 1);
    /// let state = room.state().unwrap();
    /// assert_eq!((state.version, &*state.data), (1, b"wave 7".as_slice()));
    /// let large = room.set_state(vec![0; 300_000]).wait(five).unwrap_err();
    /// assert_eq!(large.kind(), ErrorKind::InvalidArgument);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn set_state(&self, data: impl Into<Vec<u8>>) -> Pending<u64> {
        let data = data.into();
        if let Err(error) = self.check_host().and_then(|()| GameState::check(&data)) {
            return Pending::ready_with(Err(error));
        }
        let seat = self.seat_id();
        self.claim.core().request(
            Kind::Plain,
            |request| Command::SetState { request, seat, data },
            |outcome| match outcome {
                Outcome::Version(version) => Ok(version),
                other => Err(unfit(&other)),
            },
        )
    }

    /// The game's own state as this host has set it, or got it when it [became the host](crate::SessionEvent::BecameHost);
    /// `None` at a member.
    #[must_use]
    pub fn state(&self) -> Option<GameState> {
        self.claim.lock().succession.state.clone()
    }

    /// Puts these accounts first in the order of succession, at most 14; host only. After them, and where the list is empty,
    /// the longest standing come first. Whoever cannot be reached or would not host comes last all the same. The next host
    /// goes on with the order as [`successors`](Self::successors) last had it, and whoever came later after it, until it sets
    /// its own.
    ///
    /// # Errors
    /// `InvalidArgument` for too many or for one twice; `InvalidState` where the session ends with its host; `NotOwner`,
    /// `Ended`, `Stopped`.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::{Duration, Instant};
    /// # use lansession::{HostRequest, Lan, Migration, Preset, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let other = Lan::builder("com.example.boxes").preset(Preset::Loopback).beacon_port(lan.beacon_port()).start()?;
    /// # let five = Duration::from_secs(5);
    /// let request = HostRequest::new(SessionSettings::new("room")).migration(Migration::Quorum);
    /// let room = lan.sign_in("Ada")?.host(request).wait(five)?;
    /// let bob = other.sign_in("Bob")?;
    /// let seat = bob.join(room.code()).wait(five)?;
    /// room.set_successors([bob.id()]).wait(five)?;
    /// # let until = Instant::now() + five;
    /// # while room.successors().is_empty() && Instant::now() < until { std::thread::sleep(Duration::from_millis(5)) }
    /// assert_eq!(room.successors(), [bob.id()]);
    /// # drop(seat);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[doc(alias = "host-assigned ids")]
    pub fn set_successors(&self, accounts: impl IntoIterator<Item = AccountId>) -> Pending<()> {
        let accounts: Vec<_> = accounts.into_iter().take(MAX_FIRST + 1).collect();
        if let Err(error) = self.check_host().and_then(|()| check_first(&accounts)) {
            return Pending::ready_with(Err(error));
        }
        let seat = self.seat_id();
        self.ask(|request| Command::SetSuccessors { request, seat, accounts })
    }

    /// Who would go on after the host, in this order; those alone that would and that the host can reach. At a member it is
    /// the host's last word.
    #[must_use]
    pub fn successors(&self) -> Vec<AccountId> {
        self.claim.lock().succession.successors.clone()
    }

    /// Whether this machine would go on as host from now on; [`JoinRequest::can_host`](crate::JoinRequest::can_host) says so
    /// when it joins. At the host, and where the session ends with it, this changes nothing.
    ///
    /// # Errors
    /// `Ended`, `Stopped`.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{Lan, Preset, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let five = Duration::from_secs(5);
    /// # let room = lan.sign_in("Ada")?.host(SessionSettings::new("room")).wait(five)?;
    /// let seat = lan.sign_in("Bob")?.join(room.code()).wait(five)?;
    /// seat.set_can_host(false).wait(five)?;
    /// assert!(room.successors().is_empty());
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn set_can_host(&self, can: bool) -> Pending<()> {
        if let Err(error) = self.check_live() {
            return Pending::ready_with(Err(error));
        }
        let seat = self.seat_id();
        self.ask(|request| Command::SetCanHost { request, seat, can })
    }
}

fn check_first(accounts: &[AccountId]) -> Result<()> {
    if accounts.len() > MAX_FIRST {
        return Err(Error::invalid(format!("more than {MAX_FIRST} accounts are to come first in the succession")));
    }
    let twice =
        accounts.iter().enumerate().find(|(at, account)| accounts.iter().take(*at).any(|other| other == *account));
    match twice {
        Some((_, account)) => Err(Error::invalid(format!("account {account:?} is in the succession twice"))),
        None => Ok(()),
    }
}
