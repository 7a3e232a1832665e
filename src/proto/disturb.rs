//! The judge of a simulated fault: what becomes of what is sent, from a seed. The driver and the virtual LAN both ask it.

use std::time::Duration;

use super::lan::Dice;
use crate::types::NetworkFault;

/// Draws the fate of one sender's datagrams and stream bytes.
#[derive(Debug)]
pub(crate) struct Disturbance {
    fault: NetworkFault,
    dice: Dice,
}

impl Disturbance {
    /// `drawn` is the seed where the fault names none.
    pub(crate) fn new(fault: NetworkFault, drawn: [u8; 32]) -> Self {
        let seed =
            fault.seed.map_or(drawn, |seed| std::array::from_fn(|at| seed.rotate_left(8 * (at as u32 % 8)) as u8));
        Self { fault, dice: Dice::new(seed) }
    }

    /// How much later the next datagram leaves; `None` where it is lost. Both are drawn for each, so that the same seed
    /// loses the same ones whatever the jitter.
    pub(crate) fn datagram(&mut self) -> Option<Duration> {
        let lost = self.dice.unit() < self.fault.loss;
        let late = self.late();
        (!lost).then_some(late)
    }

    /// How much later something leaves that cannot be lost.
    pub(crate) fn late(&mut self) -> Duration {
        self.fault.latency + self.dice.within(self.fault.jitter)
    }

    /// The same fault for another flow, with chances of its own; `None` where nothing of it delays.
    #[cfg(feature = "net")]
    pub(crate) fn for_stream(&mut self) -> Option<Self> {
        let dice = Dice::new(self.dice.bytes());
        (!self.fault.longest().is_zero()).then_some(Self { fault: self.fault, dice })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_fates_and_about_the_share_that_was_asked_for() {
        let ms = Duration::from_millis;
        let fault = NetworkFault::new().latency(ms(10)).jitter(ms(5)).loss(0.25);
        let fates = |fault, seed| {
            let mut judge = Disturbance::new(fault, [seed; 32]);
            (0..10_000).map(|_| judge.datagram()).collect::<Vec<_>>()
        };
        let first = fates(fault, 1);
        assert_eq!(first, fates(fault, 1));
        assert_ne!(first, fates(fault, 2));
        assert_eq!(fates(fault.seed(5), 1), fates(fault.seed(5), 2));
        assert_ne!(fates(fault.seed(5), 1), fates(fault.seed(6), 1));
        let lost = first.iter().filter(|fate| fate.is_none()).count();
        assert!((2_200..2_800).contains(&lost), "{lost}");
        assert!(first.iter().flatten().all(|late| (ms(10)..=ms(15)).contains(late)));
        let steady = fates(fault.jitter(Duration::ZERO), 1);
        assert!(first.iter().zip(&steady).all(|(a, b)| a.is_none() == b.is_none()), "the same ones are lost");
        assert!(fates(fault.loss(1.0), 1).iter().all(Option::is_none));
        assert!(fates(fault.loss(0.0), 1).iter().all(Option::is_some));
    }
}
