//! One open question's schedule (protocol.md, "Discovery, finder").

use std::time::Duration;

use super::{Sight, Wish};
use crate::proto::clock::Moment;
use crate::proto::lan::Cx;
use crate::wire::datagram::{Query, Target};

#[derive(Debug)]
pub(super) struct Ask {
    pub(super) wish: Wish,
    /// When to look again; `None` once nothing more is to be asked.
    pub(super) next: Option<Moment>,
    /// Questions sent or adopted.
    pub(super) asked: u32,
    last: Option<Moment>,
    last_many: bool,
    /// Another's question to all counted as ours.
    adopted: bool,
    extended: bool,
    /// Everything that there is has answered; from now on only renewals.
    full: bool,
    /// Others' questions count as ours up to then: whoever asks for everybody, and is heard by us alone, must not silence
    /// us.
    patience: Moment,
}

/// So long others' questions may stand for ours before the first of our own, and after it.
const PATIENCE: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(4)];

/// A question for everybody, ours or another's that stands for ours, shows so soon whether it is answered.
const LOOK: Duration = Duration::from_millis(40);

/// A finder that no host has answered yet asks so often by its schedule, however many others seem to ask.
const UNHEARD: u32 = 5;

/// What goes on around.
#[derive(Debug, Clone, Copy)]
pub(super) struct Crowd {
    pub(super) any: bool,
    pub(super) lately: usize,
    pub(super) longer: usize,
    pub(super) many_answer: Option<Moment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Wait,
    Renew,
    Ask { many: bool },
}

impl Ask {
    pub(super) fn new(wish: Wish, next: Moment) -> Self {
        Self {
            wish,
            next: Some(next),
            asked: 0,
            last: None,
            last_many: false,
            adopted: false,
            extended: false,
            full: false,
            patience: next + PATIENCE[0],
        }
    }

    /// Anew from the start; the first question of all is still to come.
    pub(super) fn restart(&mut self, now: Moment) {
        if self.last.is_none() {
            return;
        }
        let next = self.last.map_or(now, |last| (last + Duration::from_millis(250)).max(now));
        *self = Self { last: self.last, extended: true, ..Self::new(self.wish.clone(), next) };
    }

    /// Sockets stand: before the first question of all comes the listening, which begins now. Who asked before asks anew.
    pub(super) fn listen(&mut self, cx: &mut Cx<'_>) {
        if self.last.is_none() {
            *self = Self::new(self.wish.clone(), cx.now + cx.dice.within(cx.tuning.listen));
        } else {
            self.restart(cx.now);
        }
    }

    pub(super) fn renewed(&mut self, next: Moment) {
        if self.full && self.wish.lasting {
            self.next = Some(next);
        }
    }

    /// Another's renewal is ours as well; another's question for everybody too, unless it is narrower.
    ///
    /// One such question is trusted before it is answered, never a second: anybody can ask for everybody, and a finder that
    /// hears only that must ask for itself at once.
    pub(super) fn heard_question(&mut self, cx: &mut Cx<'_>, query: &Query, many_answer: Option<Moment>) {
        if query.renew {
            if self.full && self.wish.lasting && self.next.is_some() {
                // Drawn anew from the middle: the exact moment does not matter, that two do not coincide does.
                let skew = Duration::from_micros(query.nonce % 1_000_000) * 10;
                self.next = Some(cx.now + cx.tuning.renew + skew);
            }
            return;
        }
        let narrower = query.target != Target::Any || (query.filter.is_some() && query.filter != self.wish.filter);
        let due = self.last.is_none_or(|last| cx.now > last + Duration::from_millis(50));
        let settled = self.full || self.next.is_none() || !self.wish.targets.is_empty();
        let unanswered = self.adopted && self.is_silent(many_answer);
        if !query.many || narrower || !due || settled || unanswered || cx.now >= self.patience {
            return;
        }
        self.asked += 1;
        self.last = Some(cx.now);
        self.last_many = true;
        self.adopted = true;
        let look = self.gap(cx).min(LOOK);
        self.next = Some((cx.now + look).min(self.patience.max(cx.now)));
    }

    /// No host has answered many since the last question that counts as ours.
    fn is_silent(&self, many_answer: Option<Moment>) -> bool {
        many_answer.is_none_or(|at| self.last.is_some_and(|last| at < last))
    }

    /// What to do now that its moment has come.
    pub(super) fn decide(&mut self, cx: &mut Cx<'_>, sight: &Sight, crowd: &Crowd) -> Step {
        let now = cx.now;
        if self.last.is_none() && crowd.any && !self.extended {
            self.extended = true;
            self.next = Some(now + cx.dice.within(cx.tuning.listen_more));
            return Step::Wait;
        }
        let (mut broken, mut unheard) = (false, false);
        if let Some(last) = self.last {
            let slot = if self.last_many { cx.tuning.mc_slot } else { cx.tuning.uni_slot };
            let expected = if sight.median > cx.tuning.prompt_answers.into() { sight.median } else { 0 };
            let window = slot.saturating_mul(u32::try_from(expected).unwrap_or(u32::MAX)).min(cx.tuning.mc_cap);
            let silent = self.is_silent(crowd.many_answer);
            broken = self.adopted && silent && now > last + window / 8 + Duration::from_millis(30);
            let over = last + window + Duration::from_millis(15);
            if now < over && !broken {
                self.next = Some(over);
                return Step::Wait;
            }
            if self.is_full(sight) {
                let was = std::mem::replace(&mut self.full, true);
                self.next = self.wish.lasting.then(|| now + cx.dice.between(cx.tuning.renew, cx.tuning.renew * 2));
                return if was && self.wish.lasting { Step::Renew } else { Step::Wait };
            }
            self.full = false;
            let due = last + self.gap(cx);
            if self.last_many && sight.hosts > 0 && now < due.min(self.patience) {
                self.next = Some(due.min(self.patience));
                return Step::Wait;
            }
            // Others' questions make ours needless only where they are answered: that many are heard proves nothing.
            unheard = silent && sight.hosts == 0;
            let persists = unheard && self.asked < UNHEARD;
            if crowd.longer >= cx.tuning.crowd_questions && now < self.patience && !persists {
                let later = now + cx.dice.between(Duration::from_millis(200), Duration::from_secs(1));
                self.next = Some(later.min(self.patience));
                return Step::Wait;
            }
        }
        let many = crowd.lately >= cx.tuning.many_questions && !broken && !unheard;
        self.asked += 1;
        self.last = Some(now);
        self.last_many = many;
        self.adopted = false;
        // Spread, since all of a crowd run out of it together.
        self.patience = now + cx.dice.between(PATIENCE[1], PATIENCE[1] * 2);
        let gap = if many { self.gap(cx).min(LOOK) } else { self.gap(cx) };
        self.next = Some(now + gap + cx.dice.within(gap / 10));
        Step::Ask { many }
    }

    /// From this question to the next.
    fn gap(&self, cx: &Cx<'_>) -> Duration {
        let at = &cx.tuning.ask_at;
        let number = self.asked as usize;
        match (at.get(number), at.get(number.wrapping_sub(1))) {
            (Some(next), Some(this)) => next.saturating_sub(*this),
            _ => {
                let later = u32::try_from(number.saturating_sub(at.len())).unwrap_or(u32::MAX).min(5);
                (Duration::from_secs(1) * (1 << later)).min(cx.tuning.ask_later)
            }
        }
    }

    fn is_full(&self, sight: &Sight) -> bool {
        if !self.wish.targets.is_empty() {
            return sight.satisfied;
        }
        match self.wish.target {
            // With a filter nobody knows how many there should be.
            Target::Any => self.wish.filter.is_none() && sight.total > 0 && sight.hosts >= sight.total,
            Target::Session(_) | Target::Code(_) => sight.satisfied,
        }
    }
}
