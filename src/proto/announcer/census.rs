//! How many hosts there are, as far as this one hears, and how busy the link is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::proto::clock::Moment;
use crate::proto::limits;
use crate::types::{HostKey, SessionId};
use crate::wire::hash;

type Tag = [u8; 16];

/// Distinct sessions heard, each until its advert's time to live is over; so many per source address, because ids are
/// free and every one widens the answer windows.
#[derive(Debug, Default)]
pub(crate) struct Census {
    heard: BTreeMap<Tag, (Moment, IpAddr)>,
    expiry: BTreeSet<(Moment, Tag)>,
    sources: BTreeMap<IpAddr, usize>,
}

/// A hash: with less, who chooses an id could meet another's tag and take that host out of the count.
fn tag(host: HostKey, id: SessionId) -> Tag {
    hash::hash("lansession census", &[host.as_bytes(), id.as_bytes()])
}

impl Census {
    /// Another advert of a host that counts already, verified or not: true where it was one.
    pub(crate) fn renewed(&mut self, now: Moment, host: HostKey, id: SessionId, life: Duration) -> bool {
        self.expire(now);
        let tag = tag(host, id);
        let Some((old, _)) = self.heard.get_mut(&tag) else { return false };
        // Never sooner: this is not verified, and who counts few hosts answers more.
        let until = (now + life).max(*old);
        self.expiry.remove(&(*old, tag));
        *old = until;
        self.expiry.insert((until, tag));
        true
    }

    pub(crate) fn heard(&mut self, now: Moment, host: HostKey, id: SessionId, from: IpAddr, life: Duration) {
        if self.renewed(now, host, id, life) {
            return;
        }
        let (tag, until) = (tag(host, id), now + life);
        let count = self.sources.entry(from).or_default();
        if *count >= limits::HOSTS_COUNTED_PER_SOURCE || self.heard.len() >= limits::HOSTS_COUNTED {
            return;
        }
        *count += 1;
        self.heard.insert(tag, (until, from));
        self.expiry.insert((until, tag));
    }

    pub(crate) fn gone(&mut self, host: HostKey, id: SessionId) {
        self.forget(tag(host, id));
    }

    /// Distinct sessions that are there now.
    pub(crate) fn count(&mut self, now: Moment) -> usize {
        self.expire(now);
        self.heard.len()
    }

    fn expire(&mut self, now: Moment) {
        while let Some(&(until, tag)) = self.expiry.first() {
            if until > now {
                break;
            }
            self.forget(tag);
        }
    }

    fn forget(&mut self, tag: Tag) {
        let Some((until, from)) = self.heard.remove(&tag) else { return };
        self.expiry.remove(&(until, tag));
        if let Some(count) = self.sources.get_mut(&from) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.sources.remove(&from);
            }
        }
    }
}

/// Datagrams to all, heard and sent in the last moments: who would add one to a busy link waits.
#[derive(Debug, Default)]
pub(crate) struct Sense(VecDeque<Moment>);

impl Sense {
    pub(crate) fn hit(&mut self, now: Moment) {
        if self.0.len() >= limits::HEARD {
            self.0.pop_front();
        }
        self.0.push_back(now);
    }

    pub(crate) fn count(&self, now: Moment, window: Duration) -> usize {
        let from = now - window;
        self.0.iter().rev().take_while(|&&at| at >= from).count()
    }
}

#[cfg(all(test, feature = "testing"))]
impl Census {
    pub(crate) fn len(&self) -> usize {
        self.heard.len().max(self.expiry.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u8) -> HostKey {
        HostKey::from_bytes([number; 32]).unwrap()
    }

    #[test]
    fn one_source_cannot_widen_the_window() {
        let mut census = Census::default();
        let now = Moment::from_micros(1);
        let life = Duration::from_secs(10);
        for n in 0..100_u8 {
            census.heard(now, host(9), SessionId::from_bytes([n; 16]), [10, 0, 0, 1].into(), life);
        }
        assert_eq!(census.count(now), limits::HOSTS_COUNTED_PER_SOURCE);
        census.heard(now, host(9), SessionId::from_bytes([200; 16]), [10, 0, 0, 2].into(), life);
        assert_eq!(census.count(now), limits::HOSTS_COUNTED_PER_SOURCE + 1);
        census.gone(host(9), SessionId::from_bytes([200; 16]));
        assert_eq!(census.count(now), limits::HOSTS_COUNTED_PER_SOURCE);
        assert_eq!(census.count(now + life), 0);
    }
}
