//! Chance, from a seed: the same seed gives the same transcript.

use std::time::Duration;

use rand::rngs::ChaCha12Rng;
use rand::{Rng, SeedableRng};

/// The random numbers of one discovery. Nonces come from it, so the seed must be secret on a real network.
pub(crate) struct Dice(ChaCha12Rng);

impl Dice {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A nonce; never 0, which says "none".
    pub(crate) fn nonce(&mut self) -> u64 {
        self.number().max(1)
    }

    pub(crate) fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// Below `bound`; 0 for 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.number() % bound as u64) as usize }
    }

    /// Uniform in 0 to 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform from 0 to `most`.
    pub(crate) fn within(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.unit())
    }

    /// Uniform between the two.
    pub(crate) fn between(&mut self, least: Duration, most: Duration) -> Duration {
        least + self.within(most.saturating_sub(least))
    }

    /// An exponentially distributed feedback timer in 0 to `most`: of many that draw, few are early and silence the rest.
    pub(crate) fn exponential(&mut self, most: Duration, lambda: f64) -> Duration {
        let floor = (-lambda).exp();
        let late = 1.0 + (self.unit() * (1.0 - floor) + floor).ln() / lambda;
        most.mul_f64(late.clamp(0.0, 1.0))
    }
}

impl std::fmt::Debug for Dice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dice")
    }
}
