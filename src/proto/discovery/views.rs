//! What readers see: each find's or browse's list, and what happened to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::proto::clock::Moment;
use crate::proto::tuning::Tuning;
use crate::types::{BrowserEvent, Found, SessionKey, SessionQuery};

/// What a query is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// One answer: as soon as enough match, or at the timeout.
    Find,
    /// A live list, until it is closed.
    Browse,
}

#[derive(Debug)]
pub(super) struct View {
    pub(super) query: SessionQuery,
    pub(super) mode: Mode,
    /// When a find ends.
    pub(super) deadline: Option<Moment>,
    listed: BTreeMap<SessionKey, (u64, Found)>,
    list: Arc<[Found]>,
    last: Option<Moment>,
    /// When to tell the list anew.
    due: Option<Moment>,
    told: bool,
}

/// What a view has to say.
pub(super) enum Told {
    List { list: Arc<[Found]>, events: Vec<BrowserEvent> },
    Done(Vec<Found>),
}

impl View {
    pub(super) fn new(now: Moment, query: SessionQuery, mode: Mode) -> Self {
        let deadline = (mode == Mode::Find).then(|| now + query.timeout);
        Self {
            query,
            mode,
            deadline,
            listed: BTreeMap::new(),
            list: Arc::from([]),
            last: None,
            due: Some(now),
            told: false,
        }
    }

    pub(super) fn set_query(&mut self, now: Moment, query: SessionQuery) {
        self.query = query;
        self.due = Some(now);
    }

    /// An entry changed. What happens at once is told at once, then one list gathers for a moment.
    pub(super) fn touch(&mut self, now: Moment, ping: bool, entries: usize, tuning: &Tuning) {
        // Short lists are cheap to draw: a handful of answers is not worth a wait.
        let cost = Duration::from_micros(40).saturating_mul(u32::try_from(entries).unwrap_or(u32::MAX));
        let interval = if ping { tuning.ping_interval } else { tuning.list_interval.min(cost) };
        let at = self.last.map_or(now, |last| (last + interval).max(now));
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    pub(super) fn next(&self) -> Option<Moment> {
        self.due.into_iter().chain(self.deadline).min()
    }

    pub(super) fn shown(&self) -> impl Iterator<Item = SessionKey> {
        self.listed.keys().copied()
    }

    pub(super) fn fits(&self, found: &Found) -> bool {
        self.query.keeps(found)
    }

    /// Whether the one session that was asked for is there.
    pub(super) fn satisfied<'a>(&self, mut entries: impl Iterator<Item = &'a Found>) -> bool {
        (self.query.id.is_some() || self.query.code.is_some())
            && entries.any(|found| found.is_confirmed() && self.fits(found))
    }

    /// Draws the list anew where that is due.
    pub(super) fn draw<'a>(&mut self, now: Moment, entries: impl Iterator<Item = (&'a Found, u64)>) -> Option<Told> {
        let ends = self.deadline.is_some_and(|at| at <= now);
        if !ends && self.due.is_none_or(|at| at > now) {
            return None;
        }
        self.due = None;
        self.last = Some(now);
        let mut fitting: Vec<(Found, u64)> =
            entries.filter(|(found, _)| self.fits(found)).map(|(found, version)| (found.clone(), version)).collect();
        let take = usize::from(self.query.take);
        // What proved to live goes first where not all find room: a flood of recordings crowds out nobody.
        let crowded = fitting.len() > take;
        fitting.sort_by(|(a, _), (b, _)| {
            let lives = if crowded { b.is_confirmed().cmp(&a.is_confirmed()) } else { std::cmp::Ordering::Equal };
            lives.then_with(|| compare(&self.query, a, b))
        });
        let living = fitting.iter().filter(|(found, _)| found.is_confirmed()).count();
        fitting.truncate(take);
        if crowded {
            fitting.sort_by(|(a, _), (b, _)| compare(&self.query, a, b));
        }
        let enough = self.mode == Mode::Find && self.query.enough_count().is_some_and(|count| living >= count.into());
        let list: Vec<Found> = fitting.iter().map(|(found, _)| found.clone()).collect();
        let events = self.replace(fitting);
        if self.mode == Mode::Find {
            return (ends || enough).then_some(Told::Done(list));
        }
        let same =
            events.is_empty() && self.list.len() == list.len() && self.list.iter().zip(&list).all(|(a, b)| a == b);
        if same && self.told {
            return None;
        }
        self.told = true;
        self.list = Arc::from(list);
        Some(Told::List { list: Arc::clone(&self.list), events })
    }

    fn replace(&mut self, fitting: Vec<(Found, u64)>) -> Vec<BrowserEvent> {
        let mut events = Vec::new();
        let keys: BTreeSet<SessionKey> = fitting.iter().map(|(found, _)| found.key()).collect();
        let gone: Vec<SessionKey> = self.listed.keys().filter(|key| !keys.contains(key)).copied().collect();
        for key in gone {
            self.listed.remove(&key);
            events.push(BrowserEvent::Lost(key));
        }
        for (found, version) in fitting {
            let key = found.key();
            match self.listed.insert(key, (version, found.clone())) {
                None => events.push(BrowserEvent::Found(found)),
                // A restart under the same key is another session.
                Some((_, old)) if old.data().incarnation != found.data().incarnation => {
                    events.push(BrowserEvent::Lost(key));
                    events.push(BrowserEvent::Found(found));
                }
                Some((before, old)) if before != version => {
                    events.push(BrowserEvent::Updated { old, new: found });
                }
                Some(_) => {}
            }
        }
        events
    }
}

fn compare(query: &SessionQuery, a: &Found, b: &Found) -> std::cmp::Ordering {
    crate::types::compare(&query.order, a.data(), b.data()).then_with(|| a.key().cmp(&b.key()))
}
