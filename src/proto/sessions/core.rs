//! What every session of one process shares: the clock's last word, randomness, ids, the queues towards the driver.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use rand::rngs::ChaCha12Rng;
use rand::{Rng, SeedableRng};

use super::doorman::Doorman;
use super::friends::Friends;
use super::publication::SessionsEvent;
use crate::proto::clock::Moment;
use crate::proto::io::{Action, Answer, LinkId, Output, RequestId, SeatId};
use crate::proto::tuning::Tuning;
use crate::types::{Error, HostKey, Identity, Password, SessionEvent, SessionKey, SessionSnapshot};
use crate::wire::hash;

/// Who gets what happens on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Host(SessionKey),
    Join(RequestId),
    Member(SeatId),
    /// Came to the listener of a member that would go on as host.
    Standing(SeatId),
}

/// Who waits for a password's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Derivation {
    Host(SessionKey),
    Join(RequestId),
}

#[derive(Debug)]
pub(super) struct Core {
    pub(super) now: Moment,
    /// The game's version.
    pub(super) version: u32,
    pub(super) tuning: Tuning,
    pub(super) rng: ChaCha12Rng,
    pub(super) doorman: Doorman,
    /// Of each local user.
    pub(super) friends: Friends,
    /// This machine's own addresses, best first.
    pub(super) addresses: Vec<IpAddr>,
    pub(super) owners: BTreeMap<LinkId, Owner>,
    pub(super) derivations: BTreeMap<u64, Derivation>,
    pub(super) actions: VecDeque<Action>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) events: VecDeque<SessionsEvent>,
    next_link: u64,
    next_seat: u64,
    next_derivation: u64,
    next_attach: u64,
}

impl Core {
    pub(super) fn new(version: u32, tuning: Tuning, seed: [u8; 32]) -> Self {
        Self {
            now: Moment::ZERO,
            version,
            tuning,
            rng: ChaCha12Rng::from_seed(seed),
            doorman: Doorman::default(),
            friends: Friends::default(),
            addresses: Vec::new(),
            owners: BTreeMap::new(),
            derivations: BTreeMap::new(),
            actions: VecDeque::new(),
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            next_link: 2,
            next_seat: 1,
            next_derivation: 1,
            next_attach: u64::MAX,
        }
    }

    pub(super) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// A join of a companion, which nobody asked for by itself: from the top, where the handles' own never come.
    pub(super) fn attach_id(&mut self) -> RequestId {
        self.next_attach -= 1;
        RequestId(self.next_attach)
    }

    pub(super) fn seat_id(&mut self) -> SeatId {
        let id = SeatId(self.next_seat);
        self.next_seat += 1;
        id
    }

    /// Asks for a password's key; `key` is the session it opens.
    pub(super) fn derive(&mut self, owner: Derivation, password: Password, key: SessionKey, rounds: NonZeroU32) {
        let id = self.next_derivation;
        self.next_derivation += 1;
        self.derivations.insert(id, owner);
        self.actions.push_back(Action::Derive { id, password, salt: hash::password_salt(key), rounds });
    }

    /// Dials; the engine's links have even numbers.
    pub(super) fn dial(
        &mut self,
        owner: Owner,
        to: SocketAddr,
        expect: Option<HostKey>,
        identity: &Identity,
    ) -> LinkId {
        let link = LinkId(self.next_link);
        self.next_link += 2;
        self.owners.insert(link, owner);
        self.actions.push_back(Action::Dial { link, to, expect, identity: identity.clone() });
        link
    }

    #[cfg(test)]
    pub(super) fn dialled(&self) -> u64 {
        self.next_link / 2 - 1
    }

    /// Closes a link and forgets it: whatever it still says finds no owner.
    pub(super) fn close(&mut self, link: LinkId, flush: bool) {
        self.forget(link);
        self.actions.push_back(Action::Close { link, flush });
    }

    /// Forgets a link that is gone already.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.owners.remove(&link);
        self.doorman.remove(link);
    }

    pub(super) fn done(&mut self, request: RequestId, result: Result<Answer, Error>) {
        self.outputs.push_back(Output::Done { request, result });
    }

    pub(super) fn tell(&mut self, seat: SeatId, events: Vec<SessionEvent>, snapshot: Option<Arc<SessionSnapshot>>) {
        if !events.is_empty() || snapshot.is_some() {
            self.outputs.push_back(Output::Seat { seat, events, snapshot });
        }
    }
}
