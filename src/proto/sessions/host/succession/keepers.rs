//! Who keeps what only the host knows, and what each of them has (protocol.md, "Keeper part").
//!
//! The first successors of the present order get all of it, and nobody else gets any. One transfer is under way to each at a
//! time; what is newer replaces what waits. Whoever drops out of the first forgets it when the order comes that says so.

use std::collections::BTreeMap;

use super::super::super::core::Core;
use super::super::super::member::keepers;
use super::super::HostAuthority;
use crate::proto::clock::Moment;
use crate::proto::io::LinkId;
use crate::proto::links::{Encoded, encode};
use crate::types::AccountId;
use crate::wire::frame::Frame;
use crate::wire::{codec, hash};

#[derive(Debug)]
pub(super) struct Keepers {
    /// What is known now may differ from what was encoded last.
    dirty: bool,
    /// The next encoding is not before this.
    earliest: Moment,
    digest: Option<[u8; 32]>,
    part: Option<Encoded>,
    /// Of the part: one more with each.
    version: u64,
    state: Option<(u64, Encoded)>,
    of: BTreeMap<AccountId, Has>,
}

/// What one keeper was sent over its present link.
#[derive(Debug, Clone, Copy)]
struct Has {
    link: LinkId,
    part: u64,
    state: u64,
}

impl Default for Keepers {
    fn default() -> Self {
        Self {
            dirty: true,
            earliest: Moment::ZERO,
            digest: None,
            part: None,
            version: 0,
            state: None,
            of: BTreeMap::new(),
        }
    }
}

impl Keepers {
    pub(super) fn deadline(&self) -> Option<Moment> {
        (self.dirty && !self.of.is_empty()).then_some(self.earliest)
    }
}

impl HostAuthority {
    /// Something has changed of what successors keep.
    pub(in crate::proto::sessions) fn touch_kept(&mut self) {
        if let Some(rule) = &mut self.succession {
            rule.keepers.dirty = true;
            self.wake = None;
        }
    }

    /// Sends each keeper what it has not, as far as the link is free for it.
    pub(in crate::proto::sessions) fn keep(&mut self, core: &mut Core) {
        let Some(rule) = &mut self.succession else { return };
        let Some(last) = &rule.succession else { return };
        let named: Vec<_> = keepers(&last.order).collect();
        let accounts = last.successors.iter().filter(|successor| named.contains(&successor.seat));
        let accounts: Vec<_> = accounts.map(|successor| successor.account).collect();
        let before = std::mem::take(&mut rule.keepers.of);
        for account in accounts {
            let link = self.seats.get(&account).filter(|seat| seat.receiving).and_then(|seat| seat.link.as_ref());
            if let Some(link) = link.map(|link| link.id) {
                let had = before.get(&account).filter(|has| has.link == link);
                rule.keepers.of.insert(account, had.copied().unwrap_or(Has { link, part: 0, state: 0 }));
            }
        }
        if rule.keepers.of.is_empty() {
            return;
        }
        self.encode_kept(core);
        let Some(rule) = &mut self.succession else { return };
        let Keepers { part, version, state, of, .. } = &mut rule.keepers;
        for (account, has) in of {
            let Some(seat) = self.seats.get_mut(account).filter(|seat| !seat.is_transferring()) else { continue };
            if let Some(part) = part.as_ref().filter(|_| has.part < *version) {
                has.part = *version;
                seat.transfer(core, part);
            } else if let Some((newest, state)) = state.as_ref().filter(|(newest, _)| has.state < *newest) {
                has.state = *newest;
                seat.transfer(core, state);
            }
        }
    }

    /// All of it to one member at once, whatever is under way: the host is about to go.
    pub(in crate::proto::sessions::host) fn keep_now(&mut self, core: &mut Core, account: AccountId) {
        let Some(rule) = &mut self.succession else { return };
        (rule.keepers.dirty, rule.keepers.earliest) = (true, core.now);
        self.encode_kept(core);
        let Some(rule) = &mut self.succession else { return };
        let Keepers { part, version, state, of, .. } = &mut rule.keepers;
        let (Some(seat), Some(has)) = (self.seats.get_mut(&account), of.get_mut(&account)) else { return };
        if let Some(part) = part.as_ref().filter(|_| has.part < *version) {
            has.part = *version;
            let _ = seat.insist_encoded(core, part);
        }
        if let Some((newest, state)) = state.as_ref().filter(|(newest, _)| has.state < *newest) {
            has.state = *newest;
            let _ = seat.insist_encoded(core, state);
        }
    }

    fn encode_kept(&mut self, core: &Core) {
        let Some(rule) = &mut self.succession else { return };
        if let Some(state) = &rule.state {
            if rule.keepers.state.as_ref().is_none_or(|(version, _)| *version < state.version) {
                rule.keepers.state = Some((state.version, encode(&Frame::GameState(state.clone()))));
            }
        }
        if !rule.keepers.dirty || rule.keepers.earliest > core.now {
            return;
        }
        // Times run on by themselves: only when they end counts.
        let digest = hash::hash("lansession kept", &[&codec::encode(&self.keeper(Moment::ZERO))]);
        let part = Frame::Keep(Box::new(self.keeper(core.now)));
        let Some(rule) = &mut self.succession else { return };
        rule.keepers.dirty = false;
        if rule.keepers.digest != Some(digest) {
            (rule.keepers.digest, rule.keepers.part) = (Some(digest), Some(encode(&part)));
            rule.keepers.version += 1;
            rule.keepers.earliest = core.now + core.tuning.keep_interval;
        }
    }

    #[cfg(test)]
    pub(in crate::proto::sessions) fn keepers(&self) -> Vec<AccountId> {
        self.succession.iter().flat_map(|rule| rule.keepers.of.keys().copied()).collect()
    }
}
