//! Which Locates were reacted to, so that a recording of one is not (protocol.md, "Locate").
//!
//! Memory is bounded, and who fills it loses its own place only: an asker may date its questions as late as counts, and must
//! not by that make those of others too old.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::AccountId;

type Salt = [u8; 16];

/// One asker's. Where a salt had to be forgotten, no question of it counts that is not later.
#[derive(Debug, Default)]
struct Asker {
    salts: BTreeSet<(u64, Salt)>,
    floor: u64,
}

#[derive(Debug)]
pub(super) struct Seen {
    askers: BTreeMap<AccountId, Asker>,
    most: usize,
    /// Unix seconds: for those of whom nothing is remembered.
    floor: u64,
}

impl Seen {
    pub(super) fn new(most: usize) -> Self {
        Self { askers: BTreeMap::new(), most, floor: 0 }
    }

    /// Whether this one was, or was perhaps forgotten.
    pub(super) fn contains(&self, asker: AccountId, at: u64, salt: Salt) -> bool {
        let seen = |known: &Asker| at <= known.floor || known.salts.contains(&(at, salt));
        at <= self.floor || self.askers.get(&asker).is_some_and(seen)
    }

    /// It is reacted to. What the clock refuses by now, `window` seconds before `unix_s`, need not be remembered.
    pub(super) fn insert(&mut self, unix_s: u64, window: u64, asker: AccountId, at: u64, salt: Salt) {
        let oldest = (unix_s.saturating_sub(window), [0; 16]);
        self.askers.retain(|_, known| {
            known.salts = known.salts.split_off(&oldest);
            !known.salts.is_empty()
        });
        self.askers.entry(asker).or_default().salts.insert((at, salt));
        if self.askers.values().map(|known| known.salts.len()).sum::<usize>() > self.most {
            self.forget_one();
        }
    }

    /// The oldest of whoever has most.
    fn forget_one(&mut self) {
        let Some((&asker, known)) = self.askers.iter_mut().max_by_key(|(_, known)| known.salts.len()) else { return };
        if let Some((at, _)) = known.salts.pop_first() {
            known.floor = known.floor.max(at);
        }
        if known.salts.is_empty() {
            self.floor = self.floor.max(known.floor);
            self.askers.remove(&asker);
        }
    }
}
