//! The simulated line of a Lan's datagrams: each leaves late, or never. Nothing here without a simulated fault.

use std::collections::BTreeMap;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::alarm::Alarm;
use crate::proto::disturb::Disturbance;
use crate::proto::io::Transmit;

/// Datagrams under way, as in a router's queue: 5 MiB at most. Beyond it the next one is lost.
const QUEUE: usize = 4_096;

#[derive(Default)]
pub(super) struct Delay {
    judge: Option<Disturbance>,
    /// By the time they leave, then by the order they came in.
    queue: BTreeMap<(Instant, u64), Transmit>,
    count: u64,
    alarm: Alarm,
}

impl Delay {
    pub(super) fn new(judge: Option<Disturbance>) -> Self {
        Self { judge, ..Self::default() }
    }

    /// Gives a datagram back that leaves now; keeps or loses any other.
    pub(super) fn pass(&mut self, transmit: Transmit) -> Option<Transmit> {
        let Some(judge) = &mut self.judge else { return Some(transmit) };
        match judge.datagram() {
            Some(Duration::ZERO) => return Some(transmit),
            Some(late) if self.queue.len() < QUEUE => {
                self.count += 1;
                self.queue.insert((Instant::now() + late, self.count), transmit);
            }
            Some(_) => tracing::debug!(target: "lansession::driver", "a simulated line is full"),
            None => {}
        }
        None
    }

    /// The next datagram whose time has come.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Transmit> {
        let Some(next) = self.queue.first_entry() else { return Poll::Pending };
        let (at, _) = *next.key();
        self.alarm.set(Some(at));
        if at > Instant::now() && !self.alarm.poll(cx) {
            return Poll::Pending;
        }
        Poll::Ready(next.remove())
    }

    /// All that is under way, in its order: nothing is to be lost because its sockets close.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Transmit> + use<> {
        std::mem::take(&mut self.queue).into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::io::Via;
    use crate::types::{NetworkFault, PathKind};

    fn judge(fault: NetworkFault) -> Option<Disturbance> {
        Some(Disturbance::new(fault, [7; 32]))
    }

    fn datagram(number: u32) -> Transmit {
        let bytes = number.to_be_bytes().as_slice().into();
        Transmit { via: Via::Routed, to: ([127, 0, 0, 1], 9).into(), path: PathKind::Unicast, bytes }
    }

    fn numbers(all: impl Iterator<Item = Transmit>) -> Vec<u32> {
        all.map(|one| u32::from_be_bytes(one.bytes[..].try_into().unwrap())).collect()
    }

    #[test]
    fn without_a_fault_nothing_waits() {
        let mut delay = Delay::new(None);
        assert!(delay.pass(datagram(1)).is_some());
        let mut lossy = Delay::new(judge(NetworkFault::new().loss(0.5)));
        let passed = (0..1_000).filter(|&n| lossy.pass(datagram(n)).is_some()).count();
        assert!((400..600).contains(&passed), "{passed}");
        assert!(lossy.queue.is_empty());
    }

    #[test]
    fn equal_delays_keep_the_order_jitter_does_not_and_the_line_is_bounded() {
        let latency = NetworkFault::new().latency(Duration::from_millis(500));
        let mut steady = Delay::new(judge(latency));
        let count = u32::try_from(QUEUE).unwrap();
        assert!((0..count + 50).all(|n| steady.pass(datagram(n)).is_none()));
        assert_eq!(numbers(steady.drain()), (0..count).collect::<Vec<_>>());
        assert!(steady.queue.is_empty());
        let mut shaken = Delay::new(judge(latency.jitter(Duration::from_millis(500))));
        assert!((0..50).all(|n| shaken.pass(datagram(n)).is_none()));
        let order = numbers(shaken.drain());
        assert_eq!(order.len(), 50);
        assert!(!order.is_sorted());
    }

    #[tokio::test]
    async fn a_datagram_leaves_when_its_time_has_come() {
        let mut delay = Delay::new(judge(NetworkFault::new().latency(Duration::from_millis(20))));
        let begun = Instant::now();
        assert!(delay.pass(datagram(1)).is_none() && delay.pass(datagram(2)).is_none());
        let first = std::future::poll_fn(|cx| delay.poll(cx)).await;
        assert!(begun.elapsed() >= Duration::from_millis(20));
        let second = std::future::poll_fn(|cx| delay.poll(cx)).await;
        assert_eq!(numbers([first, second].into_iter()), [1, 2]);
    }
}
