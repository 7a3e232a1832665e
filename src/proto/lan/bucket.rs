//! Token buckets: one moment each, and a fixed-size table of them under a secret hash.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::proto::clock::Moment;

/// A token bucket as the moment at which it would be full again: rate and size are the caller's, so both may vary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Bucket {
    full: Moment,
}

impl Bucket {
    /// Takes one token of at most `burst`, of which one comes back per `every`.
    pub(crate) fn take(&mut self, now: Moment, burst: u32, every: Duration) -> bool {
        let allowed = self.has(now, burst, every);
        if allowed {
            self.full = self.full.max(now) + every;
        }
        allowed
    }

    /// Takes one token, or the next that comes back: when it may be used.
    pub(crate) fn take_next(&mut self, now: Moment, burst: u32, every: Duration) -> Moment {
        let at = now.max(self.full - every.saturating_mul(burst.saturating_sub(1)));
        self.full = self.full.max(now) + every;
        at
    }

    /// When it would be full again.
    pub(crate) fn full(&self) -> Moment {
        self.full
    }

    /// Whether [`take`](Self::take) would succeed.
    pub(crate) fn has(&self, now: Moment, burst: u32, every: Duration) -> bool {
        burst > 0 && self.full <= now + every.saturating_mul(burst - 1)
    }
}

/// Buckets by address, without memory that grows: slots are chosen by a hash under a secret, so nobody can aim at
/// another's slot.
#[derive(Debug, Clone)]
pub(crate) struct BucketTable {
    secret: u64,
    slots: Vec<Bucket>,
}

impl BucketTable {
    pub(crate) fn new(secret: u64, slots: usize) -> Self {
        Self { secret, slots: vec![Bucket::default(); slots.max(1)] }
    }

    /// The bucket of a source address.
    pub(crate) fn of_ip(&mut self, ip: IpAddr) -> &mut Bucket {
        let hash = self.hash_ip(ip);
        self.slot(hash)
    }

    /// The bucket of an address with its port.
    pub(crate) fn of(&mut self, addr: SocketAddr) -> &mut Bucket {
        let hash = mix(self.hash_ip(addr.ip()) ^ u64::from(addr.port()));
        self.slot(hash)
    }

    /// The bucket of an address with its port and a further word.
    pub(crate) fn of_with(&mut self, addr: SocketAddr, word: u64) -> &mut Bucket {
        let hash = mix(self.hash_ip(addr.ip()) ^ u64::from(addr.port())) ^ word;
        self.slot(mix(hash))
    }

    fn hash_ip(&self, ip: IpAddr) -> u64 {
        let bits = match ip {
            IpAddr::V4(ip) => u128::from(u32::from(ip)),
            IpAddr::V6(ip) => u128::from(ip),
        };
        let low = mix(self.secret ^ (bits & u128::from(u64::MAX)) as u64);
        mix(low ^ (bits >> 64) as u64 ^ self.secret.rotate_left(17))
    }

    fn slot(&mut self, hash: u64) -> &mut Bucket {
        let at = (hash % self.slots.len() as u64) as usize;
        &mut self.slots[at]
    }
}

/// The finalizer of SplitMix64.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut bucket = Bucket::default();
        let every = Duration::from_millis(100);
        let start = Moment::from_micros(1_000_000);
        let burst = (0..10).filter(|_| bucket.take(start, 3, every)).count();
        assert_eq!(burst, 3);
        assert!(!bucket.take(start + Duration::from_millis(99), 3, every));
        assert!(bucket.take(start + every, 3, every));
        let later = start + Duration::from_secs(60);
        assert_eq!((0..10).filter(|_| bucket.take(later, 3, every)).count(), 3);
    }

    #[test]
    fn sources_do_not_share_a_slot_as_a_rule() {
        let mut table = BucketTable::new(7, 512);
        let now = Moment::from_micros(1);
        let taken = (1..=20_u8)
            .filter(|&host| table.of_ip(IpAddr::from([10, 0, 0, host])).take(now, 1, Duration::from_secs(1)))
            .count();
        assert!(taken >= 18, "{taken}");
        assert!(!table.of_ip(IpAddr::from([10, 0, 0, 1])).take(now, 1, Duration::from_secs(1)));
    }
}
