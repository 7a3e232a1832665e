//! The air between the nodes: who reaches whom, how lossy it is, the tap on every frame and datagram that fires the faults
//! keyed to them, and the recorder of hostile nodes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::ChaCha12Rng;

use super::super::fault::{Flight, Rule, Verdict, between, hits};
use super::schedule::{Act, Keyed, When};
use crate::wire::frame::{HEADER, header, kind};

/// What a keyed fault can wait for; one line each. Frames by their kind (protocol.md, "Frames"), datagrams by theirs.
pub(super) const TAPS: &[(&str, Wire)] = &[
    ("Join", Wire::Frame(kind::JOIN)),
    ("Accept", Wire::Frame(kind::ACCEPT)),
    ("Ack", Wire::Frame(kind::ACK)),
    ("Refuse", Wire::Frame(kind::REFUSE)),
    ("Request", Wire::Frame(kind::REQUEST)),
    ("Delta", Wire::Frame(kind::DELTA)),
    ("Done", Wire::Frame(kind::DONE)),
    ("Snapshot", Wire::Frame(kind::SNAPSHOT)),
    ("Resync", Wire::Frame(kind::RESYNC)),
    ("Leave", Wire::Frame(kind::LEAVE)),
    ("End", Wire::Frame(kind::END)),
    ("Message", Wire::Frame(kind::MESSAGE)),
    ("VouchAsk", Wire::Frame(kind::VOUCH_ASK)),
    ("Vouch", Wire::Frame(kind::VOUCH)),
    ("Deliver", Wire::Frame(kind::DELIVER)),
    ("MergeAsk", Wire::Frame(kind::MERGE_ASK)),
    ("MergeAnswer", Wire::Frame(kind::MERGE_ANSWER)),
    ("Move", Wire::Frame(kind::MOVE)),
    // Host migration.
    ("Succession", Wire::Frame(kind::SUCCESSION)),
    ("OrderAck", Wire::Frame(kind::ORDER_ACK)),
    ("Keep", Wire::Frame(kind::KEEP)),
    ("Follow", Wire::Frame(kind::FOLLOW)),
    ("Parked", Wire::Frame(kind::PARKED)),
    ("VoteAsk", Wire::Frame(kind::VOTE_ASK)),
    ("Vote", Wire::Frame(kind::VOTE)),
    ("NoVote", Wire::Frame(kind::NO_VOTE)),
    ("Pull", Wire::Frame(kind::PULL)),
    ("Pulled", Wire::Frame(kind::PULLED)),
    ("Won", Wire::Frame(kind::WON)),
    ("Claim", Wire::Frame(kind::CLAIM)),
    ("Prepare", Wire::Frame(kind::PREPARE)),
    ("Prepared", Wire::Frame(kind::PREPARED)),
    ("Abdicate", Wire::Frame(kind::ABDICATE)),
    ("Stand", Wire::Frame(kind::STAND)),
    ("GameState", Wire::Frame(kind::GAME_STATE)),
    ("HostAlive", Wire::Frame(kind::HOST_ALIVE)),
    ("NotHost", Wire::Frame(kind::NOT_HOST)),
    ("LineageAsk", Wire::Frame(kind::LINEAGE_ASK)),
    ("Resume", Wire::Frame(kind::RESUME)),
    ("Resumed", Wire::Frame(kind::RESUMED)),
    ("query", Wire::Datagram(1)),
    ("probe", Wire::Datagram(2)),
    ("advert", Wire::Datagram(129)),
    ("goodbye", Wire::Datagram(132)),
    ("death notice", Wire::Datagram(133)),
];

/// Those of them that belong to host migration, and to coming back.
pub(super) fn of_migration() -> impl Iterator<Item = usize> {
    let of = |wire: &Wire| matches!(wire, Wire::Frame(kind) if *kind >= kind::FOLLOW || LATER.contains(kind));
    TAPS.iter().enumerate().filter(move |(_, (_, wire))| of(wire)).map(|(at, _)| at)
}

const LATER: [u8; 9] = [
    kind::SUCCESSION,
    kind::ORDER_ACK,
    kind::KEEP,
    kind::STAND,
    kind::GAME_STATE,
    kind::NOT_HOST,
    kind::LINEAGE_ASK,
    kind::RESUME,
    kind::RESUMED,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    Frame(u8),
    Datagram(u8),
}

/// How bad the radio is, everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Weather {
    pub(super) loss: f64,
    pub(super) duplicate: f64,
    pub(super) late: f64,
    pub(super) by: Duration,
}

/// The state of the network. Nodes are named `n0`, `n1`, …
pub(super) struct Air {
    /// `cut[from][to]`: how many faults keep this way closed.
    cut: Vec<Vec<u32>>,
    pub(super) weather: Weather,
    /// What waits for a frame or datagram to be sent, in the schedule's order.
    pub(super) armed: Vec<Keyed>,
    /// What came, with sender and receiver.
    pub(super) fired: Vec<(Keyed, usize, usize)>,
    pub(super) datagrams: VecDeque<Vec<u8>>,
    pub(super) frames: VecDeque<Vec<u8>>,
    recording: bool,
}

/// Recordings kept of each.
const KEPT: usize = 48;

#[derive(Clone)]
pub(super) struct Sky(Arc<Mutex<Air>>);

fn number(name: &str) -> usize {
    name.get(1..).and_then(|digits| digits.parse().ok()).unwrap_or(usize::MAX)
}

impl Sky {
    pub(super) fn new(nodes: usize, recording: bool) -> Self {
        Self(Arc::new(Mutex::new(Air {
            cut: vec![vec![0; nodes]; nodes],
            weather: Weather::default(),
            armed: Vec::new(),
            fired: Vec::new(),
            datagrams: VecDeque::new(),
            frames: VecDeque::new(),
            recording,
        })))
    }

    pub(super) fn air(&self) -> MutexGuard<'_, Air> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn rule(&self) -> Rule {
        let sky = self.clone();
        Box::new(move |flight, rng| sky.air().judge(flight, rng))
    }
}

impl Air {
    /// Closes or opens the way from one node to another.
    pub(super) fn set(&mut self, from: usize, to: usize, closed: bool) {
        if let Some(way) = self.cut.get_mut(from).and_then(|row| row.get_mut(to)) {
            *way = if closed { *way + 1 } else { way.saturating_sub(1) };
        }
    }

    pub(super) fn heal(&mut self) {
        self.cut.iter_mut().flatten().for_each(|way| *way = 0);
        self.weather = Weather::default();
        self.armed.clear();
    }

    fn judge(&mut self, flight: &Flight<'_>, rng: &mut ChaCha12Rng) -> Verdict {
        let (from, to) = (number(flight.from), number(flight.to));
        let datagram = flight.path.is_some();
        if !flight.bytes.is_empty() && (!self.armed.is_empty() || self.recording) {
            if self.tap(from, to, datagram, flight.bytes) {
                return Verdict::Drop;
            }
            if self.recording {
                let into = if datagram { &mut self.datagrams } else { &mut self.frames };
                if into.len() == KEPT {
                    into.pop_front();
                }
                into.push_back(flight.bytes.to_vec());
            }
        }
        if self.cut.get(from).and_then(|row| row.get(to)).is_some_and(|&way| way > 0) {
            return Verdict::Drop;
        }
        let Weather { loss, duplicate, late, by } = self.weather;
        if hits(rng, loss) {
            Verdict::Drop
        } else if datagram && hits(rng, duplicate) {
            Verdict::Duplicate
        } else if hits(rng, late) {
            Verdict::Delay(between(rng, Duration::ZERO, by))
        } else {
            Verdict::Pass
        }
    }

    /// Fires what waits for these bytes; whether they are lost by that.
    fn tap(&mut self, from: usize, to: usize, datagram: bool, bytes: &[u8]) -> bool {
        let mut lost = false;
        let mut at = 0;
        while let Some(keyed) = self.armed.get_mut(at) {
            let hit = keyed.when == When::Sent
                && match TAPS.get(keyed.tap).map(|&(_, wire)| wire) {
                    Some(Wire::Frame(kind)) => !datagram && kinds(bytes).any(|other| other == kind),
                    Some(Wire::Datagram(kind)) => datagram && bytes.get(5) == Some(&kind),
                    None => false,
                };
            if !hit {
                at += 1;
            } else if keyed.skip > 0 {
                keyed.skip -= 1;
                at += 1;
            } else {
                let keyed = self.armed.remove(at);
                // The bytes go with those that send or hear no more.
                lost |= matches!(keyed.act, Act::Lose | Act::CutSender(_) | Act::CutReceiver(_));
                self.fired.push((keyed, from, to));
            }
        }
        lost
    }

    /// Something was heard: what waits for that.
    pub(super) fn heard(&mut self, node: usize, kind: u8) {
        let at = self.armed.iter_mut().position(|keyed| {
            let wire = TAPS.get(keyed.tap).map(|&(_, wire)| wire);
            let hit = keyed.when == When::Heard && wire == Some(Wire::Frame(kind));
            let skipped = hit && keyed.skip > 0;
            keyed.skip -= u8::from(skipped);
            hit && !skipped
        });
        if let Some(at) = at {
            let keyed = self.armed.remove(at);
            self.fired.push((keyed, node, node));
        }
    }
}

/// The kinds of the frames in one buffer.
fn kinds(bytes: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (head, body) = rest.split_first_chunk::<HEADER>()?;
        let (length, kind, _) = header(*head);
        rest = body.get(length..)?;
        Some(kind)
    })
}

/// A moment within so much time, evenly.
pub(super) fn within(rng: &mut ChaCha12Rng, most: Duration) -> Duration {
    let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(rng.random_range(0..=most))
}
