//! A network that is worse than the one at hand, for trying a game on it.

use std::time::Duration;

use super::error::{Error, Result};

/// Latency, jitter and loss that a [`Lan`](crate::Lan) adds to what it sends: see
/// [`LanBuilder::simulate`](crate::LanBuilder::simulate).
///
/// Of datagrams a share is lost and the rest leaves late; with jitter they overtake each other. A control connection (TCP)
/// loses nothing and keeps its order: what is written to it leaves late. Both ends see twice the latency per round trip
/// where both simulate it.
///
/// ```
/// use std::time::Duration;
/// use lansession::NetworkFault;
/// let bad_wifi = NetworkFault::new().latency(Duration::from_millis(40)).jitter(Duration::from_millis(30)).loss(0.1);
/// assert!(bad_wifi.check().is_ok());
/// let error = NetworkFault::new().loss(1.5).check().unwrap_err();
/// assert!(error.to_string().contains("1.5"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[must_use = "a fault does nothing before LanBuilder::simulate has it"]
#[doc(alias = "SimulatedLatency")]
#[doc(alias = "SimulatedPacketLoss")]
pub struct NetworkFault {
    pub(crate) latency: Duration,
    pub(crate) jitter: Duration,
    pub(crate) loss: f64,
    pub(crate) seed: Option<u64>,
}

impl NetworkFault {
    /// The longest latency, and the longest jitter: beyond a second each the library's own deadlines would be what is tried.
    pub const MAX_DELAY: Duration = Duration::from_secs(1);

    /// No fault yet.
    pub const fn new() -> Self {
        Self { latency: Duration::ZERO, jitter: Duration::ZERO, loss: 0.0, seed: None }
    }

    /// Everything leaves so much later; at most one second.
    pub const fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// And up to so much later still, drawn evenly for each datagram; at most one second.
    pub const fn jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// This share of the datagrams is lost: 0.0 for none, 1.0 for all.
    pub const fn loss(mut self, share: f64) -> Self {
        self.loss = share;
        self
    }

    /// Draws from this seed: the n-th datagram then has the same fate in every run. Without it each run is another.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Whether all values are within their bounds; a start checks it too.
    ///
    /// # Errors
    /// `InvalidArgument` naming the value and its bound.
    pub fn check(&self) -> Result<()> {
        for (what, delay) in [("latency", self.latency), ("jitter", self.jitter)] {
            if delay > Self::MAX_DELAY {
                return Err(Error::invalid(format!("a simulated {what} of {delay:?}, at most 1 s fits")));
            }
        }
        if !(0.0..=1.0).contains(&self.loss) {
            return Err(Error::invalid(format!("a simulated loss of {}, it must be 0.0 to 1.0", self.loss)));
        }
        Ok(())
    }

    /// Nothing is wrong.
    #[cfg(any(feature = "net", feature = "testing", test))]
    pub(crate) fn is_none(&self) -> bool {
        self.latency.is_zero() && self.jitter.is_zero() && self.loss <= 0.0
    }

    /// The longest that anything can be held back.
    #[cfg(feature = "net")]
    pub(crate) fn longest(&self) -> Duration {
        self.latency + self.jitter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_their_bounds_are_named() {
        let second = NetworkFault::MAX_DELAY;
        let most = NetworkFault::new().latency(second).jitter(second).loss(1.0);
        assert!(most.check().is_ok() && !most.is_none());
        assert!(NetworkFault::new().seed(7).is_none());
        let over = second + Duration::from_nanos(1);
        for (fault, word) in [
            (NetworkFault::new().latency(over), "latency"),
            (NetworkFault::new().jitter(Duration::MAX), "jitter"),
            (NetworkFault::new().loss(1.01), "1.01"),
            (NetworkFault::new().loss(-0.1), "-0.1"),
            (NetworkFault::new().loss(f64::NAN), "NaN"),
        ] {
            let error = fault.check().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
