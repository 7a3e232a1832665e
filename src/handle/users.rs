//! Who is signed in, as the core keeps it: from the sign-in to the end that each of them hears of.

use std::any::Any;
use std::sync::{Arc, Weak};

use super::core::{After, Core, Inner, Waiter, stopped};
use super::queue::Queue;
use super::seat::SeatCell;
use crate::proto::io::{Command, SeatId};
use crate::proto::limits;
use crate::types::{AccountId, Error, ErrorKind, Invite, Result, SessionKey, UserEvent};

/// Who listens to one sign-in.
pub(super) type UserQueues = Vec<Weak<Queue<UserEvent>>>;

/// A signed-in user.
#[derive(Debug)]
pub(super) struct SignedIn {
    /// Tells a later sign-in of the same account from this one.
    pub(super) generation: u64,
    pub(super) leaving: bool,
    /// No handle is left; kept seats still need it.
    pub(super) orphan: bool,
    pub(super) events: UserQueues,
    /// Open while it receives other processes' links.
    pub(super) door: Option<Box<dyn Any + Send + Sync>>,
    /// As the game has set them.
    pub(super) friends: Vec<AccountId>,
    /// As the engine has told them last, the oldest first.
    pub(super) invites: Arc<[Invite]>,
    /// The seat in which friends may see this user.
    pub(super) presence: Option<(SeatId, SessionKey)>,
}

impl Core {
    pub(super) fn sign_in(&self, account: AccountId, command: Command) -> Result<u64> {
        self.with(|inner, after| {
            inner.admit()?;
            if inner.users.get(&account).is_some_and(|user| !user.leaving) {
                let why = format!("account {account:?} is signed in already");
                return Err(Error::new(ErrorKind::AlreadyExists, why));
            }
            if inner.users.values().filter(|user| !user.leaving).count() >= limits::USERS {
                let why = format!("{} users are signed in already", limits::USERS);
                return Err(Error::new(ErrorKind::TooManyRequests, why));
            }
            inner.last_sign_in += 1;
            let generation = inner.last_sign_in;
            inner.departs(after, account);
            let user = SignedIn {
                generation,
                leaving: false,
                orphan: false,
                events: Vec::new(),
                door: None,
                friends: Vec::new(),
                invites: Arc::from([]),
                presence: None,
            };
            inner.users.insert(account, user);
            inner.command(after, command);
            Ok(generation)
        })
    }

    /// Whether this sign-in still stands.
    pub(super) fn check_user(&self, account: AccountId, generation: u64) -> Result<()> {
        Self::signed_in(&mut self.lock(), account, generation).map(|_| ())
    }

    pub(super) fn signed_in(inner: &mut Inner, account: AccountId, generation: u64) -> Result<&mut SignedIn> {
        if inner.stopped || inner.closing {
            return Err(stopped());
        }
        match inner.users.get_mut(&account) {
            Some(user) if user.generation == generation && !user.leaving => Ok(user),
            _ => Err(signed_out()),
        }
    }

    /// The user's last handle is gone.
    pub(super) fn user_dropped(&self, account: AccountId, generation: u64) {
        self.with(|inner, after| {
            if let Some(user) = inner.users.get_mut(&account) {
                if user.generation == generation {
                    user.orphan = true;
                    inner.sign_out_orphan(after, account);
                }
            }
        });
    }
}

impl Inner {
    /// Signs a user out whose last handle is gone, once no kept seat needs it and no detached request is to make one.
    pub(super) fn sign_out_orphan(&mut self, after: &mut After, account: AccountId) {
        let Some(user) = self.users.get(&account) else { return };
        let kept = |cell: &Arc<SeatCell>| {
            let seat = cell.lock();
            seat.user == account && seat.keep && seat.ended.is_none()
        };
        let to_keep = |waiter: &Waiter| waiter.slot.is_none() && waiter.seats.contains(&account);
        if !user.orphan || self.seats.values().any(kept) || self.requests.values().any(to_keep) {
            return;
        }
        if !user.leaving {
            let request = self.draw_request();
            self.command(after, Command::SignOut { request, account });
        }
        self.departs(after, account);
    }

    /// The account's sign-in is none any more but for its listeners, who wait for the engine's word.
    pub(super) fn departs(&mut self, after: &mut After, account: AccountId) {
        self.finds.remove(&Some(account));
        if let Some(user) = self.users.remove(&account) {
            // It removes a file: not under the lock.
            after.doors.extend(user.door);
            self.departing.entry(account).or_default().push_back(user.events);
        }
    }
}

fn signed_out() -> Error {
    Error::new(ErrorKind::InvalidState, "the user has signed out")
}
