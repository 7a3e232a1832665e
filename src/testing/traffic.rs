//! What was sent: counters for packet budgets, and a transcript that two runs of one seed share to the byte.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use crate::proto::clock::Moment;
use crate::types::PathKind;

/// What nodes have sent since the start: each datagram once, however many hear it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// Datagrams sent.
    pub datagrams: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Datagrams by the way they went.
    pub by_path: BTreeMap<PathKind, u64>,
    /// Datagrams by the node that sent them.
    pub by_node: BTreeMap<String, u64>,
    /// Frames on control connections.
    pub frames: u64,
    /// Their bytes, headers included.
    pub frame_bytes: u64,
}

impl Traffic {
    /// Datagrams that went this way.
    #[must_use]
    pub fn on(&self, path: PathKind) -> u64 {
        self.by_path.get(&path).copied().unwrap_or(0)
    }

    /// Datagrams that this node sent.
    #[must_use]
    pub fn of(&self, node: &str) -> u64 {
        self.by_node.get(node).copied().unwrap_or(0)
    }

    /// What was sent since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        fn less<K: Ord + Clone>(now: &BTreeMap<K, u64>, before: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
            let gone = |key: &K| before.get(key).copied().unwrap_or(0);
            let rest = now.iter().map(|(key, count)| (key.clone(), count.saturating_sub(gone(key))));
            rest.filter(|&(_, count)| count > 0).collect()
        }
        Self {
            datagrams: self.datagrams.saturating_sub(earlier.datagrams),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            by_path: less(&self.by_path, &earlier.by_path),
            by_node: less(&self.by_node, &earlier.by_node),
            frames: self.frames.saturating_sub(earlier.frames),
            frame_bytes: self.frame_bytes.saturating_sub(earlier.frame_bytes),
        }
    }
}

/// Lines kept; older ones live on in the digest only.
const KEPT: usize = 100_000;

/// One thing that happened.
#[derive(Debug, Clone)]
struct Entry {
    at: Moment,
    process: usize,
    what: &'static str,
    detail: String,
    length: usize,
    digest: u64,
}

/// Everything that processes sent, said and were told.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    entries: VecDeque<Entry>,
    dropped: u64,
    digest: u64,
    /// Nobody will read it.
    muted: bool,
}

/// FNV-1a: to tell runs apart, not to resist anybody.
fn fold(mut digest: u64, bytes: &[u8]) -> u64 {
    for &byte in bytes {
        digest = (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    digest
}

impl Transcript {
    #[cfg(test)]
    pub(super) fn mute(&mut self) {
        self.muted = true;
    }

    pub(super) fn note(
        &mut self,
        at: Moment,
        process: usize,
        what: &'static str,
        detail: impl Into<String>,
        bytes: &[u8],
    ) {
        if self.muted {
            return;
        }
        let (detail, own) = (detail.into(), fold(0xcbf2_9ce4_8422_2325, bytes));
        let mut digest = fold(self.digest, &at.as_micros().to_be_bytes());
        digest = fold(digest, &u64::try_from(process).unwrap_or(u64::MAX).to_be_bytes());
        digest = fold(fold(digest, what.as_bytes()), detail.as_bytes());
        self.digest = fold(digest, &own.to_be_bytes());
        if self.entries.len() == KEPT {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.entries.push_back(Entry { at, process, what, detail, length: bytes.len(), digest: own });
    }

    /// All lines that are kept, and a digest over all that ever were.
    pub(super) fn text(&self, seed: u64, names: &[String]) -> String {
        let mut text = format!("seed {seed}, digest {:016x}\n", self.digest);
        if self.dropped > 0 {
            let _ = writeln!(text, "({} earlier lines dropped)", self.dropped);
        }
        for Entry { at, process, what, detail, length, digest } in &self.entries {
            let ms = at.as_micros() / 1_000;
            let us = at.as_micros() % 1_000;
            let name = names.get(*process).map_or("?", String::as_str);
            let _ = write!(text, "{ms:>8}.{us:03} {name:<10} {what} {detail}");
            if *length > 0 {
                let _ = write!(text, " {length} B {digest:016x}");
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_since() {
        let mut before = Traffic { datagrams: 3, ..Traffic::default() };
        before.by_path.insert(PathKind::Unicast, 3);
        let mut now = Traffic { datagrams: 5, bytes: 7, ..before.clone() };
        now.by_path.insert(PathKind::Mdns, 2);
        let since = now.since(&before);
        assert_eq!((since.datagrams, since.bytes), (2, 7));
        assert_eq!((since.on(PathKind::Unicast), since.on(PathKind::Mdns)), (0, 2));
        assert_eq!(since.by_path.len(), 1);
    }

    #[test]
    fn a_transcript_tells_any_difference() {
        let line = |at, what, bytes: &[u8]| {
            let mut transcript = Transcript::default();
            transcript.note(Moment::from_micros(at), 0, what, "x", bytes);
            transcript.text(1, &["a".into()])
        };
        assert_eq!(line(1_500, "sent", b"abc"), line(1_500, "sent", b"abc"));
        assert_ne!(line(1_500, "sent", b"abc"), line(1_501, "sent", b"abc"));
        assert_ne!(line(1_500, "sent", b"abc"), line(1_500, "sent", b"abd"));
        assert!(line(1_500, "sent", b"abc").contains("1.500 a          sent x 3 B"), "{}", line(1_500, "sent", b"abc"));
    }
}
