//! Seats that one account holds for others: a party's places, each claimed by its own account.

use std::time::Duration;

use super::error::Error;
use super::id::ReservationId;
use super::key::AccountId;
use super::role::Role;
use super::text::check_name;

/// Seats held for accounts that have not joined yet, as the host last told.
///
/// See [`Session::reserve`](crate::Session::reserve).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize))]
pub struct Reservation {
    /// What names it, towards its session's host.
    pub id: ReservationId,
    /// One more with each change of it.
    pub version: u32,
    /// Whose seats it still holds: an account that has claimed its seat is a member and no longer part of this.
    pub accounts: Vec<AccountId>,
    /// How long they are held from now on; `None` = without end.
    pub expires_in: Option<Duration>,
}

impl Reservation {
    /// The most accounts of one reservation, and of all reservations of one account in one session.
    pub const MAX_ACCOUNTS: usize = 16;
    /// The longest time to hold.
    pub const MAX_TTL: Duration = Duration::from_secs(600);
}

/// Seats to hold for other accounts: all of them or none.
///
/// ```
/// use std::time::Duration;
/// use lansession::{Identity, ReserveRequest};
/// let friend = Identity::from_seed([7; 32])?.account();
/// let request = ReserveRequest::from([friend]).role("healer").ttl(Duration::from_secs(60));
/// assert_eq!(request, ReserveRequest::from(vec![friend]).role("healer").ttl(Duration::from_secs(60)));
/// # Ok::<(), lansession::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReserveRequest {
    pub(crate) accounts: Vec<AccountId>,
    pub(crate) role: Option<String>,
    pub(crate) ttl: Option<Duration>,
}

impl ReserveRequest {
    /// The role that each of the seats gets.
    #[must_use]
    pub fn role(mut self, name: impl Into<String>) -> Self {
        self.role = Some(name.into());
        self
    }

    /// How long the seats are held, at most 10 minutes; unless said, as long as the session's
    /// [`MemberTimeouts::reserved`](crate::MemberTimeouts) says.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        check_accounts(&self.accounts)?;
        if let Some(role) = &self.role {
            check_name("the role's name", role, Role::MAX_NAME)?;
        }
        match self.ttl {
            Some(ttl) if ttl > Reservation::MAX_TTL => {
                let why = format!("the time to hold is {} s, at most 600", ttl.as_secs());
                Err(Error::invalid(why))
            }
            _ => Ok(()),
        }
    }
}

impl From<AccountId> for ReserveRequest {
    fn from(account: AccountId) -> Self {
        vec![account].into()
    }
}

impl From<Vec<AccountId>> for ReserveRequest {
    fn from(accounts: Vec<AccountId>) -> Self {
        Self { accounts, role: None, ttl: None }
    }
}

impl<const N: usize> From<[AccountId; N]> for ReserveRequest {
    fn from(accounts: [AccountId; N]) -> Self {
        accounts.to_vec().into()
    }
}

/// What becomes of a reservation: all of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReservationChange {
    /// Seats for these accounts, too; they are held as long as the others.
    Extend(Vec<AccountId>),
    /// The seats of these accounts are given up.
    Shrink(Vec<AccountId>),
    /// Its time starts again.
    Renew,
    /// All its seats are given up.
    Cancel,
}

impl ReservationChange {
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Extend(accounts) | Self::Shrink(accounts) => check_accounts(accounts),
            Self::Renew | Self::Cancel => Ok(()),
        }
    }
}

fn check_accounts(accounts: &[AccountId]) -> Result<(), Error> {
    let most = Reservation::MAX_ACCOUNTS;
    if accounts.is_empty() || accounts.len() > most {
        return Err(Error::invalid(format!("{} accounts, a reservation has 1 to {most}", accounts.len())));
    }
    match accounts.iter().enumerate().find(|(at, account)| accounts.iter().take(*at).any(|other| other == *account)) {
        Some((_, twice)) => Err(Error::invalid(format!("account {twice:?} is named twice"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Identity;

    #[test]
    fn a_request_names_what_is_out_of_its_bounds() {
        let account = |seed: u8| Identity::from_seed([seed; 32]).unwrap().account();
        let why = |request: ReserveRequest| request.check().unwrap_err().to_string();
        assert!(ReserveRequest::from(account(1)).ttl(Reservation::MAX_TTL).check().is_ok());
        assert!(why(Vec::new().into()).contains("1 to 16"));
        assert!(why((1..18).map(account).collect::<Vec<_>>().into()).contains("17 accounts"));
        assert!(why([account(1), account(1)].into()).contains("twice"));
        assert!(why(ReserveRequest::from(account(1)).ttl(Duration::from_secs(601))).contains("at most 600"));
        assert!(why(ReserveRequest::from(account(1)).role("")).contains("role"));
        assert!(ReservationChange::Shrink(Vec::new()).check().is_err());
    }
}
