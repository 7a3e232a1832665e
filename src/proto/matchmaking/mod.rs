//! One starter of matchmaking: looks, joins the best, makes a session where there is none, and moves into a better one until
//! it is settled (protocol.md, "Matchmaking"). A pure state machine: the composer tells what happened and does what it orders.
//!
//! # The order of sessions
//!
//! [`Rank`]: a session that does not move is better than one that does, then more seats taken, then the lower key. It is
//! total, and the target of a merge judges it again by what is true, so of two sessions at most one moves into the other:
//! there are no cycles, and with each move the larger one grows.

mod seated;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::clock::Moment;
use super::io::SeatId;
use super::lan::Dice;
use super::limits;
use super::tuning::Tuning;
use crate::types::{Error, Progress, Refusal, SessionKey};
pub(crate) use seated::MergeOutcome;
use seated::Seated;

/// What a session is worth; more is better.
pub(crate) type Rank = (bool, u16, Reverse<SessionKey>);

/// The rank of a session: whether it may still move, its seats taken, what names it.
pub(crate) fn rank(mobile: bool, taken: u16, key: SessionKey) -> Rank {
    (!mobile, taken, Reverse(key))
}

/// A session that fits the starter's query and that it has no seat in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) key: SessionKey,
    pub(crate) mobile: bool,
    pub(crate) taken: u16,
    /// A stranger could join it now, as far as its advert tells.
    pub(crate) joinable: bool,
    /// And so could the members of another session, all of them.
    pub(crate) public: bool,
}

impl Candidate {
    fn rank(&self) -> Rank {
        rank(self.mobile, self.taken, self.key)
    }
}

/// What the composer is to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Order {
    /// Answered by [`Matchmaker::joined`].
    Join {
        to: SessionKey,
    },
    /// Give the join up; it is not answered.
    CancelJoin,
    /// Answered by [`Matchmaker::created`].
    Host,
    /// Freeze, and ask that session for seats; answered by [`Matchmaker::merge`].
    Merge {
        seat: SeatId,
        into: SessionKey,
    },
    /// Nothing came of it.
    Unfreeze(SeatId),
    /// Leave this seat.
    Leave(SeatId),
    /// End this session: nobody is left in it, it has moved.
    Quit(SeatId),
    /// At the host: this session moves no more.
    Settle(SeatId),
    /// At a member: this seat moves no more.
    Stay(SeatId),
    /// Ask the LAN anew.
    Refresh,
    Tell(Progress),
    /// Settled: hand this seat over. The last order.
    Done(SeatId),
    /// The last order.
    Fail(Error),
}

/// What the app asked for, as far as it decides anything here.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wish {
    /// Content with the first company.
    pub(crate) early: bool,
    /// Content with what there is after this.
    pub(crate) timeout: Option<Duration>,
    /// The query has an order: it decides among sessions that do not move.
    pub(crate) ordered: bool,
}

#[derive(Debug)]
enum State {
    Searching {
        /// Until then a session may still be heard of.
        until: Moment,
        /// Something fits; when to join the best.
        gather: Option<Moment>,
        /// After a refusal: not before this.
        pause: Option<Moment>,
    },
    Joining {
        to: SessionKey,
        /// As in `Searching`.
        until: Moment,
    },
    Creating,
    Seated(Seated),
    Over,
}

#[derive(Debug)]
pub(crate) struct Matchmaker {
    wish: Wish,
    deadline: Option<Moment>,
    state: State,
    /// In the query's order.
    candidates: Vec<Candidate>,
    /// Sessions that are not to be asked before a moment.
    holds: BTreeMap<SessionKey, Moment>,
    refresh: Moment,
    dice: Dice,
    orders: VecDeque<Order>,
}

impl Matchmaker {
    pub(crate) fn new(now: Moment, wish: Wish, tuning: &Tuning, seed: [u8; 32]) -> Self {
        let mut this = Self {
            wish,
            deadline: wish.timeout.map(|timeout| now + timeout),
            state: State::Over,
            candidates: Vec::new(),
            holds: BTreeMap::new(),
            refresh: now + tuning.mm_requery,
            dice: Dice::new(seed),
            orders: VecDeque::new(),
        };
        this.search(now, tuning);
        this
    }

    fn search(&mut self, now: Moment, tuning: &Tuning) {
        let until = now + tuning.mm_listen + self.dice.within(tuning.mm_listen_more);
        self.state = State::Searching { until, gather: None, pause: None };
        self.tell(Progress::Searching);
    }

    // ------------------------------------------------------------------------------------------------- inputs

    /// The sessions that fit, in the query's order.
    pub(crate) fn sight(&mut self, now: Moment, tuning: &Tuning, candidates: Vec<Candidate>) {
        self.candidates = candidates;
        self.consider(now, tuning);
    }

    /// The answer to [`Order::Join`]: the seat, or why there is none.
    pub(crate) fn joined(&mut self, now: Moment, tuning: &Tuning, result: Result<(SeatId, Roster), Error>) {
        match (&mut self.state, result) {
            (State::Joining { .. }, Ok((seat, roster))) => self.seat(now, tuning, seat, roster),
            (State::Joining { to, until }, Err(error)) => {
                let (to, until) = (*to, *until);
                self.refused(now, tuning, to, &error);
                let pause = self.dice.between(tuning.mm_next, tuning.mm_next + tuning.mm_next_more);
                self.state = State::Searching { until, gather: Some(now), pause: Some(now + pause) };
            }
            (State::Seated(_), result) => self.moved(now, tuning, result),
            // Too late: nobody wants it.
            (_, Ok((seat, _))) => self.orders.push_back(Order::Leave(seat)),
            (_, Err(_)) => {}
        }
    }

    /// The answer to [`Order::Host`].
    pub(crate) fn created(&mut self, now: Moment, tuning: &Tuning, result: Result<(SeatId, Roster), Error>) {
        if !matches!(self.state, State::Creating) {
            return;
        }
        match result {
            Ok((seat, roster)) => {
                self.tell(Progress::Created { session: roster.key.id });
                self.seat(now, tuning, seat, roster);
            }
            Err(error) => self.fail(error),
        }
    }

    /// This seat has ended, and nobody asked for it.
    pub(crate) fn ended(&mut self, now: Moment, tuning: &Tuning, seat: SeatId) {
        let State::Seated(seated) = &self.state else { return };
        if seated.seat != seat {
            return;
        }
        let key = seated.roster.key;
        match seated.moving() {
            // The new one is as good as there.
            Some(to) => self.state = State::Joining { to, until: now },
            None => {
                self.hold(key, now, tuning.mm_again);
                self.search(now, tuning);
            }
        }
    }

    /// What is due.
    pub(crate) fn handle_timeout(&mut self, now: Moment, tuning: &Tuning) {
        if self.refresh <= now && !matches!(self.state, State::Over) {
            self.refresh = now + tuning.mm_requery;
            self.orders.push_back(Order::Refresh);
        }
        self.holds.retain(|_, until| *until > now);
        self.consider(now, tuning);
        self.seated_timeout(now, tuning);
    }

    pub(crate) fn poll_timeout(&self, tuning: &Tuning) -> Option<Moment> {
        let own = match &self.state {
            State::Searching { until, gather, pause } => {
                let next = gather.unwrap_or(*until);
                let next = self.deadline.map_or(next, |deadline| next.min(deadline));
                Some(pause.map_or(next, |pause| next.max(pause)))
            }
            State::Seated(seated) => seated.poll_timeout(self.deadline, tuning),
            State::Joining { .. } | State::Creating => None,
            State::Over => return None,
        };
        Some(own.map_or(self.refresh, |own| own.min(self.refresh)))
    }

    #[must_use]
    pub(crate) fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    // ------------------------------------------------------------------------------------------------ searching

    /// While it searches: joins the best once all had time to be heard, or makes a session.
    fn consider(&mut self, now: Moment, tuning: &Tuning) {
        let best = self.best(now);
        let again = self.again(now, tuning);
        let late = self.deadline.is_some_and(|deadline| deadline <= now);
        let State::Searching { until, gather, pause } = &mut self.state else { return };
        if pause.is_some_and(|pause| pause > now) {
            return;
        }
        let Some(to) = best else {
            *gather = None;
            if *until <= now && !late && again.is_some() {
                *pause = again;
            } else if *until <= now || late {
                self.state = State::Creating;
                self.orders.push_back(Order::Host);
            }
            return;
        };
        let at = *gather.get_or_insert(now + tuning.mm_gather);
        if at <= now || late {
            let until = *until;
            self.state = State::Joining { to, until };
            self.tell(Progress::Joining { session: to.id });
            self.orders.push_back(Order::Join { to });
        }
    }

    /// The best that can be joined now.
    fn best(&self, now: Moment) -> Option<SessionKey> {
        let open = self.candidates.iter().filter(|candidate| candidate.joinable && !self.is_held(candidate.key, now));
        let mut open = open.peekable();
        if self.wish.ordered {
            if let Some(first) = open.clone().find(|candidate| !candidate.mobile) {
                return Some(first.key);
            }
        }
        open.peek()?;
        open.max_by_key(|candidate| candidate.rank()).map(|candidate| candidate.key)
    }

    /// When a session that it just failed to reach is worth another try, rather than one more session.
    fn again(&self, now: Moment, tuning: &Tuning) -> Option<Moment> {
        let State::Searching { until, .. } = &self.state else { return None };
        let open = self.candidates.iter().filter(|candidate| candidate.joinable);
        let held = open.filter_map(|candidate| self.holds.get(&candidate.key).copied());
        let soon = held.filter(|held| *held > now && *held <= now + tuning.mm_tick).min();
        soon.filter(|_| now < *until + tuning.mm_join)
    }

    /// What a session said no to is not asked of it again too soon.
    fn refused(&mut self, now: Moment, tuning: &Tuning, key: SessionKey, error: &Error) {
        let after = match error.refusal() {
            Some(Refusal::Migrating { after } | Refusal::TooManyRequests { after }) => (*after).min(tuning.mm_refused),
            Some(refusal) if refusal.is_sticky() && *refusal != Refusal::Full => tuning.mm_refused,
            Some(Refusal::Full) => tuning.mm_again,
            // A lost packet or a crowded door: it is as good as before.
            _ => tuning.mm_tick,
        };
        self.hold(key, now, after);
    }

    fn hold(&mut self, key: SessionKey, now: Moment, after: Duration) {
        if self.holds.len() < limits::MM_HOLDS || self.holds.contains_key(&key) {
            self.holds.insert(key, now + after);
        }
    }

    fn is_held(&self, key: SessionKey, now: Moment) -> bool {
        self.holds.get(&key).is_some_and(|until| *until > now)
    }

    fn tell(&mut self, progress: Progress) {
        self.orders.push_back(Order::Tell(progress));
    }

    fn fail(&mut self, error: Error) {
        self.state = State::Over;
        self.orders.push_back(Order::Fail(error));
    }
}

/// What a starter is told of the session it has a seat in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Roster {
    pub(crate) key: SessionKey,
    pub(crate) is_host: bool,
    pub(crate) mobile: bool,
    /// No seat is free for a stranger.
    pub(crate) full: bool,
    pub(crate) members: Vec<crate::types::AccountId>,
}

impl Roster {
    fn taken(&self) -> u16 {
        u16::try_from(self.members.len()).unwrap_or(u16::MAX)
    }
}
