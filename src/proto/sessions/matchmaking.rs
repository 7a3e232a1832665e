//! What matchmaking does with the seats it holds: merge, settle, stay, move away, take its final name.

use super::Sessions;
use super::host::HostAuthority;
use super::join::Resolved;
use super::publication::Merging;
use crate::proto::clock::Moment;
use crate::proto::io::SeatId;
use crate::types::{AccountId, Left, SessionKey};

impl Sessions {
    /// Freezes the session of this seat and asks another one for seats.
    pub(crate) fn merge(&mut self, now: Moment, seat: SeatId, into: Resolved) {
        self.core.now = now;
        if let Some(host) = self.hosts.values_mut().find(|host| host.seat == seat) {
            host.ask_merge(&mut self.core, into);
        }
    }

    /// Nothing came of it.
    pub(crate) fn unfreeze(&mut self, now: Moment, seat: SeatId) {
        self.core.now = now;
        if let Some(host) = self.hosts.values_mut().find(|host| host.seat == seat) {
            host.end_asking(&mut self.core, Merging::Over);
        }
    }

    /// The session of this seat moves no more; a member tells its host so.
    pub(crate) fn settle(&mut self, now: Moment, seat: SeatId) {
        self.core.now = now;
        if let Some(host) = self.hosts.values_mut().find(|host| host.seat == seat) {
            host.settle(&mut self.core);
        } else if let Some(member) = self.members.get_mut(&seat) {
            member.stay(&mut self.core);
        }
    }

    /// Ends the session of this seat: it has moved.
    pub(crate) fn move_away(&mut self, now: Moment, seat: SeatId) {
        self.core.now = now;
        if let Some(key) = self.hosts.values().find(|host| host.seat == seat).map(|host| host.key) {
            self.destroy(key, Left::Moved);
        }
    }

    /// The name by which its user shall know this seat.
    pub(crate) fn rename(&mut self, seat: SeatId, local_name: &str) {
        if let Some(host) = self.hosts.values_mut().find(|host| host.seat == seat) {
            local_name.clone_into(&mut host.local_name);
        } else if let Some(member) = self.members.get_mut(&seat) {
            local_name.clone_into(&mut member.local_name);
        }
    }

    /// Whether this account has a seat in that session, or is about to.
    pub(crate) fn holds(&self, account: AccountId, key: SessionKey) -> bool {
        self.hosts.get(&key).is_some_and(|host: &HostAuthority| host.owns(account))
            || self.members.values().any(|member| member.key == key && member.account() == account)
    }
}
