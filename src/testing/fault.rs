//! What goes wrong between two nodes: rules that look at each copy of each datagram, and at each TCP segment, and give a
//! verdict; each lives as long as its guard.

use std::collections::BTreeSet;
use std::sync::Weak;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha12Rng;

use super::Shared;
use super::topology::Topology;
use crate::proto::clock::Moment;
use crate::types::{NetworkFault, PathKind};

/// Something under way to one receiving node.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the moment and the bytes are for the rules of this crate's own tests")
)]
pub(crate) struct Flight<'a> {
    pub(crate) now: Moment,
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    pub(crate) segment: &'a str,
    /// `None` for what is no datagram of ours: a TCP segment, an ARP packet.
    pub(crate) path: Option<PathKind>,
    /// Empty for what is no datagram of ours and no frame.
    pub(crate) bytes: &'a [u8],
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    /// Lost; TCP sends it again later.
    Drop,
    /// Arrives so much later than it would have.
    Delay(Duration),
    /// Arrives twice; TCP hides that.
    Duplicate,
}

/// A rule. Same randomness, same verdicts.
pub(crate) type Rule = Box<dyn FnMut(&Flight<'_>, &mut ChaCha12Rng) -> Verdict + Send>;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Effect {
    Loss(f64),
    Duplicate(f64),
    Delay(f64, Duration, Duration),
    Network(NetworkFault),
}

/// Something that is wrong with the network, everywhere or between some nodes only.
///
/// Give it to [`VirtualLan::fault`](super::VirtualLan::fault); it holds until the guard is dropped. Faults add up.
///
/// ```
/// use lansession::{PathKind, testing::Fault};
/// let bad_radio = Fault::loss(0.2).between("host", "guest");
/// let no_multicast = Fault::silence().path(PathKind::Ipv4Multicast);
/// assert_ne!(bad_radio, no_multicast);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    effect: Effect,
    from: Option<String>,
    to: Option<String>,
    either_way: bool,
    segment: Option<String>,
    paths: Vec<PathKind>,
}

impl Fault {
    fn new(effect: Effect) -> Self {
        Self { effect, from: None, to: None, either_way: false, segment: None, paths: Vec::new() }
    }

    /// Each copy is lost with this probability, independently per receiving node.
    #[must_use]
    pub fn loss(probability: f64) -> Self {
        Self::new(Effect::Loss(probability))
    }

    /// Nothing arrives. TCP connections stay and send again until it ends.
    #[must_use]
    pub fn silence() -> Self {
        Self::loss(1.0)
    }

    /// Each datagram arrives twice with this probability.
    #[must_use]
    pub fn duplicate(probability: f64) -> Self {
        Self::new(Effect::Duplicate(probability))
    }

    /// Each datagram is, with this probability, up to `by` late, so that later ones overtake it.
    #[must_use]
    pub fn reorder(probability: f64, by: Duration) -> Self {
        Self::new(Effect::Delay(probability, Duration::ZERO, by))
    }

    /// Everything takes so much longer: between `least` and `most`, evenly.
    #[must_use]
    pub fn delay(least: Duration, most: Duration) -> Self {
        Self::new(Effect::Delay(1.0, least, most))
    }

    /// Only what this node sends.
    #[must_use]
    pub fn from(mut self, node: impl Into<String>) -> Self {
        self.from = Some(node.into());
        self
    }

    /// Only what comes to this node.
    #[must_use]
    pub fn to(mut self, node: impl Into<String>) -> Self {
        self.to = Some(node.into());
        self
    }

    /// Only what these two send each other.
    #[must_use]
    pub fn between(mut self, a: impl Into<String>, b: impl Into<String>) -> Self {
        (self.from, self.to, self.either_way) = (Some(a.into()), Some(b.into()), true);
        self
    }

    /// Only on this segment.
    #[must_use]
    pub fn on(mut self, segment: impl Into<String>) -> Self {
        self.segment = Some(segment.into());
        self
    }

    /// Only datagrams that go this way; called again, that way too. Without it, TCP suffers as well.
    #[must_use]
    pub fn path(mut self, path: PathKind) -> Self {
        self.paths.push(path);
        self
    }

    fn concerns(&self, flight: &Flight<'_>) -> bool {
        let named = |name: &Option<String>, node: &str| name.as_deref().is_none_or(|name| name == node);
        let forth = named(&self.from, flight.from) && named(&self.to, flight.to);
        let back = self.either_way && named(&self.from, flight.to) && named(&self.to, flight.from);
        (forth || back)
            && self.segment.as_deref().is_none_or(|segment| segment == flight.segment)
            && (self.paths.is_empty() || flight.path.is_some_and(|path| self.paths.contains(&path)))
    }

    pub(super) fn into_rule(self) -> Rule {
        Box::new(move |flight, rng| {
            if !self.concerns(flight) {
                return Verdict::Pass;
            }
            match self.effect {
                Effect::Loss(p) if hits(rng, p) => Verdict::Drop,
                Effect::Duplicate(p) if flight.path.is_some() && hits(rng, p) => Verdict::Duplicate,
                Effect::Network(NetworkFault { loss, .. }) if flight.path.is_some() && hits(rng, loss) => Verdict::Drop,
                Effect::Network(NetworkFault { latency, jitter, .. }) => {
                    Verdict::Delay(between(rng, latency, latency + jitter))
                }
                Effect::Delay(p, least, most) if hits(rng, p) => Verdict::Delay(between(rng, least, most)),
                _ => Verdict::Pass,
            }
        })
    }
}

/// The fault of one sender, between all of them (whatever seed it has, the LAN's own counts). Narrow it as any other.
impl From<NetworkFault> for Fault {
    fn from(fault: NetworkFault) -> Self {
        Self::new(Effect::Network(fault))
    }
}

pub(super) fn hits(rng: &mut ChaCha12Rng, probability: f64) -> bool {
    probability >= 1.0 || (probability > 0.0 && rng.random_bool(probability))
}

pub(super) fn between(rng: &mut ChaCha12Rng, least: Duration, most: Duration) -> Duration {
    let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
    let (low, high) = (micros(least), micros(most.max(least)));
    Duration::from_micros(if low == high { low } else { rng.random_range(low..=high) })
}

/// How long it takes, and how often it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passage {
    pub(super) extra: Duration,
    pub(super) copies: usize,
}

/// All rules and cuts.
#[derive(Default)]
pub(super) struct Faults {
    rules: Vec<(u64, Rule)>,
    next: u64,
    /// Pairs of nodes that do not reach each other, smaller first.
    pub(super) cuts: BTreeSet<(usize, usize)>,
}

impl Faults {
    pub(super) fn add(&mut self, rule: Rule) -> u64 {
        self.next += 1;
        self.rules.push((self.next, rule));
        self.next
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.rules.retain(|(own, _)| *own != id);
    }

    /// Whether something passes from one node to another, and how.
    #[allow(clippy::too_many_arguments)] // one flight, spelled by its parts to keep the borrow of the topology short
    pub(super) fn judge(
        &mut self,
        rng: &mut ChaCha12Rng,
        topology: &Topology,
        now: Moment,
        (from, to): (usize, usize),
        segment: usize,
        path: Option<PathKind>,
        bytes: &[u8],
    ) -> Option<Passage> {
        let mut passage = Passage { extra: Duration::ZERO, copies: 1 };
        if self.cuts.contains(&(from.min(to), from.max(to))) {
            return None;
        }
        if self.rules.is_empty() {
            return Some(passage);
        }
        let name = |node: usize| topology.nodes.get(node).map_or("", |node| node.name.as_str());
        let segment = topology.segments.get(segment).map_or("", String::as_str);
        let flight = Flight { now, from: name(from), to: name(to), segment, path, bytes };
        for (_, rule) in &mut self.rules {
            match rule(&flight, rng) {
                Verdict::Pass => {}
                Verdict::Drop => return None,
                Verdict::Delay(extra) => passage.extra += extra,
                Verdict::Duplicate => passage.copies += 1,
            }
        }
        Some(passage)
    }
}

/// Keeps a [`Fault`] in force; dropping it ends the fault.
#[derive(Debug)]
#[must_use = "the fault ends when its guard is dropped"]
pub struct FaultGuard {
    pub(super) shared: Weak<Shared>,
    pub(super) id: u64,
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.lock().faults.remove(self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn flight<'a>(from: &'a str, to: &'a str, path: Option<PathKind>) -> Flight<'a> {
        Flight { now: Moment::ZERO, from, to, segment: "lan", path, bytes: &[] }
    }

    #[test]
    fn a_fault_concerns_whom_it_names() {
        let one_way = Fault::silence().from("a").to("b");
        assert!(one_way.concerns(&flight("a", "b", None)));
        assert!(!one_way.concerns(&flight("b", "a", None)));
        let both = Fault::silence().between("a", "b");
        assert!(both.concerns(&flight("b", "a", None)) && both.concerns(&flight("a", "b", None)));
        assert!(!both.concerns(&flight("a", "c", None)));
        let path = Fault::silence().path(PathKind::LimitedBroadcast).path(PathKind::DirectedBroadcast);
        assert!(path.concerns(&flight("a", "b", Some(PathKind::DirectedBroadcast))));
        assert!(!path.concerns(&flight("a", "b", Some(PathKind::Unicast))));
        assert!(!path.concerns(&flight("a", "b", None)));
        assert!(!Fault::silence().on("attic").concerns(&flight("a", "b", None)));
    }

    #[test]
    fn rules_add_up_and_end() {
        let mut rng = ChaCha12Rng::seed_from_u64(1);
        let mut topology = Topology::default();
        let pair = (topology.add("a"), topology.add("b"));
        let mut faults = Faults::default();
        let ms = Duration::from_millis;
        let late = faults.add(Fault::delay(ms(5), ms(5)).into_rule());
        faults.add(Fault::duplicate(1.0).into_rule());
        let mut judge = |faults: &mut Faults, path| faults.judge(&mut rng, &topology, Moment::ZERO, pair, 0, path, &[]);
        let datagram = Some(PathKind::Unicast);
        assert_eq!(judge(&mut faults, datagram), Some(Passage { extra: ms(5), copies: 2 }));
        assert_eq!(judge(&mut faults, None), Some(Passage { extra: ms(5), copies: 1 }));
        faults.remove(late);
        assert_eq!(judge(&mut faults, datagram), Some(Passage { extra: ms(0), copies: 2 }));
        faults.cuts.insert((0, 1));
        assert_eq!(judge(&mut faults, datagram), None);
    }

    #[test]
    fn loss_is_as_frequent_as_said() {
        let mut rng = ChaCha12Rng::seed_from_u64(7);
        let mut rule = Fault::loss(0.2).into_rule();
        let lost = (0..10_000).filter(|_| rule(&flight("a", "b", None), &mut rng) == Verdict::Drop).count();
        assert!((1_800..2_200).contains(&lost), "{lost}");
        let late = Duration::from_millis(9);
        let fault: Fault = NetworkFault::new().loss(0.2).latency(late).into();
        let mut rule = fault.into_rule();
        let unicast = flight("a", "b", Some(PathKind::Unicast));
        let verdicts: Vec<Verdict> = (0..10_000).map(|_| rule(&unicast, &mut rng)).collect();
        let lost = verdicts.iter().filter(|&&verdict| verdict == Verdict::Drop).count();
        assert!((1_800..2_200).contains(&lost), "{lost}");
        assert!(verdicts.iter().all(|&verdict| verdict == Verdict::Drop || verdict == Verdict::Delay(late)));
        assert!((0..100).all(|_| rule(&flight("a", "b", None), &mut rng) == Verdict::Delay(late)), "TCP loses nothing");
    }
}
