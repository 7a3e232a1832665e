//! Each local user's friends, as its game has set them. They answer questions one account at a time and never travel.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::AccountId;

#[derive(Debug, Default)]
pub(super) struct Friends(BTreeMap<AccountId, BTreeSet<AccountId>>);

impl Friends {
    /// Replaces a user's friends.
    pub(super) fn set(&mut self, user: AccountId, friends: BTreeSet<AccountId>) {
        self.0.insert(user, friends);
    }

    pub(super) fn forget(&mut self, user: AccountId) {
        self.0.remove(&user);
    }

    pub(super) fn contains(&self, user: AccountId, account: AccountId) -> bool {
        self.0.get(&user).is_some_and(|friends| friends.contains(&account))
    }
}
