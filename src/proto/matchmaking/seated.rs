//! A starter that has a seat: waits for company, moves into a better session, settles.

use super::{Candidate, Matchmaker, Order, Roster, State, rank};
use crate::proto::clock::Moment;
use crate::proto::io::SeatId;
use crate::proto::lan::Dice;
use crate::proto::tuning::Tuning;
use crate::types::{Error, Progress, Refusal, SessionKey};

/// How a merge that this starter's session asked for goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MergeOutcome {
    /// It asks another one itself.
    Busy,
    /// It takes nobody of ours, or was not reached.
    Refused,
    /// Members are on their way; with `own` there is a seat for the host too, once they are gone.
    Granted { own: bool },
    /// The time for it has passed, or the other one asked and ours is better.
    Over,
}

#[derive(Debug)]
pub(super) struct Seated {
    pub(super) seat: SeatId,
    pub(super) roster: Roster,
    /// When somebody came or went last.
    changed: Moment,
    /// When to look for a better session.
    tick: Moment,
    merge: Option<Merge>,
    settling: bool,
}

/// On the way into another session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Merge {
    /// The host asks; `own` once it is granted a seat itself.
    Asked { into: SessionKey, own: bool },
    /// This starter's own seat.
    Joining { to: SessionKey },
}

impl Seated {
    /// Where its own seat is on the way to.
    pub(super) fn moving(&self) -> Option<SessionKey> {
        match self.merge {
            Some(Merge::Joining { to }) => Some(to),
            _ => None,
        }
    }

    pub(super) fn poll_timeout(&self, deadline: Option<Moment>, tuning: &Tuning) -> Option<Moment> {
        if self.settling {
            return None;
        }
        if !self.roster.is_host {
            return deadline;
        }
        if self.merge.is_some() {
            return None;
        }
        let settle = (self.roster.taken() > 1).then(|| self.changed + tuning.mm_settle);
        [Some(self.tick), settle, deadline].into_iter().flatten().min()
    }
}

/// Whether a session said no to this very account, or this starter to that session: no other time will do.
fn excludes(error: &Error) -> bool {
    matches!(
        error.refusal(),
        Some(
            Refusal::Banned
                | Refusal::Refused(_)
                | Refusal::NotInvited
                | Refusal::NotFriend
                | Refusal::BadPassword
                | Refusal::RoleFull
                | Refusal::Incompatible { .. }
                | Refusal::Cancelled
        )
    )
}

fn next_tick(now: Moment, dice: &mut Dice, tuning: &Tuning) -> Moment {
    now + dice.between(tuning.mm_tick.mul_f64(0.8), tuning.mm_tick.mul_f64(1.2))
}

impl Matchmaker {
    pub(super) fn seat(&mut self, now: Moment, tuning: &Tuning, seat: SeatId, roster: Roster) {
        let tick = next_tick(now, &mut self.dice, tuning);
        self.tell(Progress::Waiting { members: roster.taken() });
        self.state = State::Seated(Seated { seat, roster, changed: now, tick, merge: None, settling: false });
        self.judge(now);
    }

    /// The state of a session it has a seat in.
    pub(crate) fn roster(&mut self, now: Moment, seat: SeatId, roster: Roster) {
        let State::Seated(seated) = &mut self.state else { return };
        if seated.seat != seat {
            return;
        }
        let changed = seated.roster.members != roster.members;
        let count = roster.taken();
        seated.roster = roster;
        if changed {
            seated.changed = now;
            self.tell(Progress::Waiting { members: count });
        }
        self.judge(now);
    }

    /// Whether it is settled, or shall be; and whether the host is alone and may follow its members.
    fn judge(&mut self, now: Moment) {
        let late = self.deadline.is_some_and(|deadline| deadline <= now);
        let early = self.wish.early;
        let State::Seated(seated) = &mut self.state else { return };
        let (seat, company) = (seated.seat, seated.roster.taken() > 1);
        if !seated.roster.mobile {
            return self.finish();
        }
        let content = late || (early && company);
        if !seated.roster.is_host {
            if content {
                self.orders.push_back(Order::Stay(seat));
                self.finish();
            }
            return;
        }
        match seated.merge {
            None if !seated.settling && (content || seated.roster.full) => {
                seated.settling = true;
                self.orders.push_back(Order::Settle(seat));
            }
            Some(Merge::Asked { into, own: true }) if !company => {
                seated.merge = Some(Merge::Joining { to: into });
                let from = seated.roster.key.id;
                self.tell(Progress::Moving { from, to: into.id });
                self.orders.push_back(Order::Join { to: into });
            }
            _ => {}
        }
    }

    /// Settled: whatever else was under way is given up.
    fn finish(&mut self) {
        let State::Seated(seated) = std::mem::replace(&mut self.state, State::Over) else { return };
        if seated.moving().is_some() {
            self.orders.push_back(Order::CancelJoin);
        }
        self.orders.push_back(Order::Done(seated.seat));
    }

    pub(super) fn seated_timeout(&mut self, now: Moment, tuning: &Tuning) {
        self.judge(now);
        let State::Seated(seated) = &mut self.state else { return };
        let (seat, own) = (seated.seat, seated.roster.key);
        if !seated.roster.is_host || seated.merge.is_some() || seated.settling {
            return;
        }
        let taken = seated.roster.taken();
        if taken > 1 && seated.changed + tuning.mm_settle <= now {
            seated.settling = true;
            self.orders.push_back(Order::Settle(seat));
            return;
        }
        if seated.tick > now {
            return;
        }
        seated.tick = next_tick(now, &mut self.dice, tuning);
        let mine = rank(true, taken, own);
        let better = |candidate: &&Candidate| {
            candidate.joinable && candidate.public && candidate.rank() > mine && !self.is_held(candidate.key, now)
        };
        let best = self.candidates.iter().filter(better).max_by_key(|candidate| candidate.rank());
        let Some(into) = best.map(|candidate| candidate.key) else { return };
        if let State::Seated(seated) = &mut self.state {
            seated.merge = Some(Merge::Asked { into, own: false });
            self.orders.push_back(Order::Merge { seat, into });
        }
    }

    /// How the merge goes that [`Order::Merge`] asked for.
    pub(crate) fn merge(&mut self, now: Moment, tuning: &Tuning, seat: SeatId, outcome: MergeOutcome) {
        let State::Seated(seated) = &mut self.state else { return };
        let Some(merge) = seated.merge.filter(|_| seated.seat == seat && seated.roster.is_host) else { return };
        let into = match merge {
            Merge::Asked { into, .. } => into,
            Merge::Joining { to } => to,
        };
        let after = match outcome {
            MergeOutcome::Granted { own } => {
                seated.merge = Some(Merge::Asked { into, own });
                return self.judge(now);
            }
            MergeOutcome::Busy => tuning.mm_tick,
            MergeOutcome::Refused | MergeOutcome::Over => tuning.mm_again,
        };
        if seated.moving().is_some() {
            self.orders.push_back(Order::CancelJoin);
        }
        if let State::Seated(seated) = &mut self.state {
            seated.merge = None;
        }
        let after = self.dice.between(after.mul_f64(0.5), after.mul_f64(1.5));
        self.hold(into, now, after);
        self.judge(now);
    }

    /// The host says that a seat is held there; whether it goes. One that is on the way already stays on it.
    pub(crate) fn ask_move(&mut self, seat: SeatId, to: SessionKey) {
        let State::Seated(seated) = &mut self.state else { return };
        if seated.seat != seat || seated.roster.is_host || seated.merge.is_some() || seated.roster.key == to {
            return;
        }
        seated.merge = Some(Merge::Joining { to });
        let from = seated.roster.key.id;
        self.tell(Progress::Moving { from, to: to.id });
        self.orders.push_back(Order::Join { to });
    }

    /// How the join of another session went.
    pub(super) fn moved(&mut self, now: Moment, tuning: &Tuning, result: Result<(SeatId, Roster), Error>) {
        let State::Seated(seated) = &mut self.state else { return };
        let (old, was_host, to) = (seated.seat, seated.roster.is_host, seated.moving());
        match result {
            Ok((seat, _)) if to.is_none() => self.orders.push_back(Order::Leave(seat)),
            Ok((seat, roster)) => {
                // A host comes here alone, and frozen since then.
                self.orders.push_back(if was_host { Order::Quit(old) } else { Order::Leave(old) });
                self.seat(now, tuning, seat, roster);
            }
            Err(error) => {
                seated.merge = None;
                if was_host {
                    self.orders.push_back(Order::Unfreeze(old));
                } else if excludes(&error) {
                    // The others may want to go there, this one never can: its session must not try again.
                    self.orders.push_back(Order::Stay(old));
                }
                if let Some(to) = to {
                    self.refused(now, tuning, to, &error);
                }
                self.judge(now);
            }
        }
    }
}
