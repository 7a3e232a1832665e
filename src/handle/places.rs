//! A seat's state and role, whose turn it is, and seats held for others.

use super::core::Kind;
use super::pending::{Outcome, Pending, unfit};
use super::session::Session;
use crate::proto::io::{Command, RequestId};
use crate::types::{
    AccountId, Error, MemberStatus, Reservation, ReservationChange, ReservationId, ReserveRequest, Result, Revision,
    Role,
};

impl Session {
    /// Makes a reserved seat active: it is a member's from now on. One that is registered already, as a plain join is, has
    /// succeeded.
    ///
    /// # Errors
    /// `Ended`, `Stopped`; `InvalidState` for a dedicated host, which has no seat.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{JoinRequest, Lan, MemberStatus, Preset, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let five = Duration::from_secs(5);
    /// # let (ada, bob) = (lan.sign_in("Ada")?, lan.sign_in("Bob")?);
    /// # let room = ada.host(SessionSettings::new("room")).wait(five)?;
    /// let seat = bob.join(JoinRequest::from(room.code()).reserved(true)).wait(five)?;
    /// assert_eq!(seat.snapshot().member(bob.id()).unwrap().status, MemberStatus::Reserved);
    /// seat.register().wait(five)?;
    /// assert_eq!(seat.snapshot().member(bob.id()).unwrap().status, MemberStatus::Active);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[doc(alias = "AddSessionMember")]
    pub fn register(&self) -> Pending<Revision> {
        let seat = self.claim.id();
        self.changing(self.check_live(), |request| Command::Register { request, seat })
    }

    /// Sets this seat's state, after MPSD's member states; [`MemberTimeouts`](crate::MemberTimeouts) says how long each
    /// lasts. A member that is not `Reserved` never is again.
    ///
    /// # Errors
    /// `InvalidState` for a way back to `Reserved`; `Ended`, `Stopped`.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{ErrorKind, Lan, MemberStatus, Preset, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let five = Duration::from_secs(5);
    /// # let room = lan.sign_in("Ada")?.host(SessionSettings::new("room")).wait(five)?;
    /// room.set_status(MemberStatus::Inactive).wait(five)?;
    /// assert_eq!(room.snapshot().members[0].status, MemberStatus::Inactive);
    /// let back = room.set_status(MemberStatus::Reserved).wait(five).unwrap_err();
    /// assert_eq!(back.kind(), ErrorKind::InvalidState);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn set_status(&self, status: MemberStatus) -> Pending<Revision> {
        let seat = self.claim.id();
        self.changing(self.check_live(), |request| Command::SetStatus { request, seat, status })
    }

    /// Takes a role or joins a team; `None` gives it up.
    ///
    /// # Errors
    /// [`Refusal::RoleFull`](crate::Refusal::RoleFull); [`Refusal::Refused`](crate::Refusal::Refused) naming the roles that
    /// the session has; `Ended`, `Stopped`.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{Lan, Preset, Refusal, Role, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let five = Duration::from_secs(5);
    /// # let (ada, bob) = (lan.sign_in("Ada")?, lan.sign_in("Bob")?);
    /// let settings = SessionSettings::new("raid").role(Role::new("tank").max(1)).role(Role::new("healer"));
    /// let room = ada.host(settings).wait(five)?;
    /// let seat = bob.join(room.code()).wait(five)?;
    /// seat.set_role(Some("tank")).wait(five)?;
    /// let full = room.set_role(Some("tank")).wait(five).unwrap_err();
    /// assert_eq!(full.refusal(), Some(&Refusal::RoleFull));
    /// room.assign_role(bob.id(), Some("healer")).wait(five)?;
    /// assert_eq!(room.snapshot().member(bob.id()).unwrap().role.as_deref(), Some("healer"));
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn set_role(&self, role: Option<&str>) -> Pending<Revision> {
        let (seat, role) = (self.claim.id(), role.map(str::to_owned));
        let checked = self.check_live().and_then(|()| check_role(role.as_deref()));
        self.changing(checked, |request| Command::SetRole { request, seat, account: None, role })
    }

    /// Gives a member a role or a team; host only.
    ///
    /// # Errors
    /// As [`set_role`](Self::set_role); `NotFound` where that account has no seat; `NotOwner`.
    pub fn assign_role(&self, account: AccountId, role: Option<&str>) -> Pending<Revision> {
        let (seat, role) = (self.claim.id(), role.map(str::to_owned));
        let checked = self.check_host().and_then(|()| check_role(role.as_deref()));
        self.changing(checked, |request| Command::SetRole { request, seat, account: Some(account), role })
    }

    /// Says whose turn it is, in this order; host only. A member that leaves is taken out of it. Members learn it by
    /// [`SessionEvent::TurnChanged`](crate::SessionEvent::TurnChanged), finders as `my_turn` of their own row.
    ///
    /// # Errors
    /// `InvalidArgument` naming an account that has no seat or is named twice; `NotOwner`, `Ended`, `Stopped`.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{Lan, Preset, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let five = Duration::from_secs(5);
    /// # let (ada, bob) = (lan.sign_in("Ada")?, lan.sign_in("Bob")?);
    /// # let room = ada.host(SessionSettings::new("room")).wait(five)?;
    /// # let seat = bob.join(room.code()).wait(five)?;
    /// room.set_turn([bob.id(), ada.id()]).wait(five)?;
    /// assert_eq!(room.snapshot().turn, [bob.id(), ada.id()]);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn set_turn(&self, accounts: impl IntoIterator<Item = AccountId>) -> Pending<Revision> {
        let (seat, accounts) = (self.claim.id(), accounts.into_iter().collect());
        self.changing(self.check_host(), |request| Command::SetTurn { request, seat, accounts })
    }

    /// Holds seats for other accounts, whoever of the members asks: all or none, in one revision. Each account claims its
    /// own by joining, whatever the session's policy; until then the seat is a member in the state `Reserved`.
    ///
    /// # Errors
    /// One [refusal](crate::Error::refusal) for all: `Full`, `RoleFull`, `Banned`, `AlreadyMember`, `Closed`, `Locked`,
    /// `InProgress`, or `Refused` beyond 32 reservations of the session or 16 seats of one account; `InvalidArgument` for
    /// 0 or more than 16 accounts, one named twice, or a time over 10 minutes; `Ended`, `Stopped`.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{Lan, MemberStatus, Preset, ReservationChange, SessionSettings};
    /// # let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
    /// # let five = Duration::from_secs(5);
    /// # let (ada, bob, cem) = (lan.sign_in("Ada")?, lan.sign_in("Bob")?, lan.sign_in("Cem")?);
    /// # let room = ada.host(SessionSettings::new("room").max_members(3)).wait(five)?;
    /// let held = room.reserve([bob.id(), cem.id()]).wait(five)?;
    /// assert_eq!(room.snapshot().open_slots(), 0);
    /// let seat = bob.join(room.code()).wait(five)?; // it claims what is held for it
    /// assert_eq!(seat.snapshot().member(bob.id()).unwrap().status, MemberStatus::Active);
    ///
    /// let held = room.change_reservation(held.id, ReservationChange::Cancel).wait(five)?;
    /// assert!(held.accounts.is_empty());
    /// assert_eq!(room.snapshot().open_slots(), 1);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[doc(alias = "RequestReservation")]
    pub fn reserve(&self, request: impl Into<ReserveRequest>) -> Pending<Reservation> {
        let (seat, what) = (self.claim.id(), Box::new(request.into()));
        let checked = self.check_live().and_then(|()| what.check());
        self.reserving(checked, |request| Command::Reserve { request, seat, what })
    }

    /// Changes a reservation of this account: all of the change or nothing. The answer is the reservation as it then is.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve); `NotFound` where it is over, or an account to take out is not in it; `NotOwner` where
    /// another account made it.
    #[doc(alias = "RequestReservationUpdate")]
    #[doc(alias = "CancelReservation")]
    pub fn change_reservation(&self, id: ReservationId, change: ReservationChange) -> Pending<Reservation> {
        self.change_reservation_as(id, None, change)
    }

    /// As [`change_reservation`](Self::change_reservation), if it still is of this version.
    ///
    /// # Errors
    /// As [`change_reservation`](Self::change_reservation), and `Stale`.
    pub fn change_reservation_if(
        &self,
        id: ReservationId,
        version: u32,
        change: ReservationChange,
    ) -> Pending<Reservation> {
        self.change_reservation_as(id, Some(version), change)
    }

    fn change_reservation_as(
        &self,
        id: ReservationId,
        expected: Option<u32>,
        change: ReservationChange,
    ) -> Pending<Reservation> {
        let seat = self.claim.id();
        let checked = self.check_live().and_then(|()| change.check());
        let command = |request| Command::ChangeReservation { request, seat, id, expected, change };
        self.reserving(checked, command)
    }

    /// The reservation that this seat's join made with [`JoinRequest::reserve_for`](crate::JoinRequest::reserve_for); it
    /// may be over by now.
    #[must_use]
    pub fn reservation(&self) -> Option<ReservationId> {
        self.claim.lock().reservation
    }

    fn changing(&self, checked: Result<()>, command: impl FnOnce(RequestId) -> Command) -> Pending<Revision> {
        match checked {
            Err(error) => Pending::ready_with(Err(error)),
            Ok(()) => self.change(command),
        }
    }

    fn reserving(&self, checked: Result<()>, command: impl FnOnce(RequestId) -> Command) -> Pending<Reservation> {
        if let Err(error) = checked {
            return Pending::ready_with(Err(error));
        }
        self.claim.core().request(Kind::Change(self.claim.id()), command, |outcome| match outcome {
            Outcome::Reservation(_, reservation) => Ok(reservation),
            other => Err(unfit(&other)),
        })
    }
}

fn check_role(role: Option<&str>) -> Result<(), Error> {
    role.map_or(Ok(()), |role| crate::types::check_name("the role's name", role, Role::MAX_NAME))
}
