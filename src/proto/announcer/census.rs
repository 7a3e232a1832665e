//! How many hosts there are, as far as this one hears, and how busy the link is.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::proto::clock::Moment;
use crate::proto::limits;
use crate::types::{HostKey, SessionId};

/// Both: who chooses another's id must not take that host out of the count.
type Name = (HostKey, SessionId);

/// Distinct sessions heard, each until its advert's time to live is over; so many per source address, because ids are
/// free and every one widens the answer windows.
#[derive(Debug, Default)]
pub(crate) struct Census {
    heard: BTreeMap<Name, Counted>,
    /// When to look whether one is over: adverts come far more often than hosts go.
    expiry: BTreeSet<(Moment, Name)>,
    sources: BTreeMap<IpAddr, usize>,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    until: Moment,
    /// Its line in `expiry`.
    look: Moment,
    from: IpAddr,
}

impl Census {
    /// Another advert of a host that counts already, verified or not: true where it was one.
    pub(crate) fn renewed(&mut self, now: Moment, host: HostKey, id: SessionId, life: Duration) -> bool {
        self.expire(now);
        let Some(counted) = self.heard.get_mut(&(host, id)) else { return false };
        // Never sooner: this is not verified, and who counts few hosts answers more.
        counted.until = counted.until.max(now + life);
        true
    }

    pub(crate) fn heard(&mut self, now: Moment, host: HostKey, id: SessionId, from: IpAddr, life: Duration) {
        if self.renewed(now, host, id, life) {
            return;
        }
        let (name, until) = ((host, id), now + life);
        let count = self.sources.entry(from).or_default();
        if *count >= limits::HOSTS_COUNTED_PER_SOURCE || self.heard.len() >= limits::HOSTS_COUNTED {
            return;
        }
        *count += 1;
        self.heard.insert(name, Counted { until, look: until, from });
        self.expiry.insert((until, name));
    }

    pub(crate) fn gone(&mut self, host: HostKey, id: SessionId) {
        self.forget((host, id));
    }

    /// Distinct sessions that are there now.
    pub(crate) fn count(&mut self, now: Moment) -> usize {
        self.expire(now);
        self.heard.len()
    }

    fn expire(&mut self, now: Moment) {
        while self.expiry.first().is_some_and(|(look, _)| *look <= now) {
            let Some((_, name)) = self.expiry.pop_first() else { return };
            match self.heard.get_mut(&name).filter(|counted| counted.until > now) {
                Some(counted) => {
                    counted.look = counted.until;
                    self.expiry.insert((counted.until, name));
                }
                None => self.forget(name),
            }
        }
    }

    fn forget(&mut self, name: Name) {
        let Some(Counted { look, from, .. }) = self.heard.remove(&name) else { return };
        self.expiry.remove(&(look, name));
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
