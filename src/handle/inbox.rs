//! Frame mode's inbox: what came since the last update and is not to be seen before the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::proto::io::{Output, SeatId};
use crate::types::{
    AccountId, BrowserEvent, BrowserId, Found, LanEvent, SessionEvent, SessionKey, SessionSnapshot, UserEvent,
};

/// Outputs that wait for an update before they are folded; a game that loads a level for a minute does not update.
const STAGED: usize = 4_096;
/// Of events of the whole, and of each user's, how many are left by a fold.
const WHOLE: usize = 64;

/// One thing to apply at the next update.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "outputs are taken one by one; few wait at a time")]
pub(super) enum Staged {
    /// Tell of a new seat.
    Announce(SeatId),
    /// Neither `Done` nor `SeatOpened`.
    Output(Output),
    Stop,
}

/// Bounded: beyond [`STAGED`] outputs, events are dropped and counted as for a slow reader, states keep their latest.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    staged: Vec<Staged>,
    /// What the last fold left: folding again before it has doubled would gain little.
    folded: usize,
    /// What folds have dropped the finding of, and that is not lost again: nobody was told of it.
    untold: BTreeMap<BrowserId, BTreeSet<SessionKey>>,
}

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        self.staged.is_empty()
    }

    pub(super) fn push(&mut self, staged: Staged) {
        self.staged.push(staged);
        if self.staged.len() > STAGED.saturating_add(self.folded) {
            let fold = Fold { untold: std::mem::take(&mut self.untold), ..Fold::default() };
            (self.staged, self.untold) = fold.over(std::mem::take(&mut self.staged));
            self.folded = self.staged.len();
        }
    }

    pub(super) fn take(&mut self) -> Vec<Staged> {
        self.folded = 0;
        self.untold.clear();
        std::mem::take(&mut self.staged)
    }
}

#[derive(Default)]
struct Fold {
    seats: BTreeMap<SeatId, SeatFold>,
    browsers: BTreeMap<BrowserId, BrowserFold>,
    untold: BTreeMap<BrowserId, BTreeSet<SessionKey>>,
    /// The latest inbox of each user.
    invites: BTreeMap<AccountId, Output>,
    /// In their order: what was before a sign-out and what after it must not be mixed.
    users: Vec<(AccountId, UserEvent)>,
    lagged: BTreeMap<AccountId, u64>,
    whole: Vec<LanEvent>,
    missed: u64,
    stop: bool,
}

#[derive(Default)]
struct SeatFold {
    announced: bool,
    /// Something was said of it.
    heard: bool,
    missed: u64,
    snapshot: Option<Arc<SessionSnapshot>>,
    left: Option<SessionEvent>,
    /// The latest keys, addresses, bans and successors.
    keys: Option<Output>,
    addresses: Option<Output>,
    bans: Option<Output>,
    succession: Option<Output>,
}

#[derive(Default)]
struct BrowserFold {
    missed: u64,
    list: Option<Arc<[Found]>>,
    lost: BTreeSet<SessionKey>,
}

impl Fold {
    fn over(mut self, staged: Vec<Staged>) -> (Vec<Staged>, BTreeMap<BrowserId, BTreeSet<SessionKey>>) {
        staged.into_iter().for_each(|staged| self.take(staged));
        let untold = std::mem::take(&mut self.untold);
        (self.finish(), untold)
    }

    fn take(&mut self, staged: Staged) {
        match staged {
            Staged::Announce(seat) => self.seats.entry(seat).or_default().announced = true,
            Staged::Stop => self.stop = true,
            Staged::Output(Output::Seat { seat, events, snapshot }) => {
                let fold = self.seats.entry(seat).or_default();
                fold.heard = true;
                fold.snapshot = snapshot.or(fold.snapshot.take());
                for event in events {
                    match event {
                        SessionEvent::Left { .. } => fold.left = Some(event),
                        // A state, no change: the latest one follows.
                        SessionEvent::Joined { .. } => {}
                        SessionEvent::Lagged { missed } => fold.missed = fold.missed.saturating_add(missed),
                        _ => fold.missed = fold.missed.saturating_add(1),
                    }
                }
            }
            Staged::Output(output @ Output::SeatKeys { seat, .. }) => {
                self.seats.entry(seat).or_default().keys = Some(output);
            }
            Staged::Output(output @ Output::SeatAddresses { seat, .. }) => {
                self.seats.entry(seat).or_default().addresses = Some(output);
            }
            Staged::Output(output @ Output::SeatBans { seat, .. }) => {
                self.seats.entry(seat).or_default().bans = Some(output);
            }
            Staged::Output(output @ Output::SeatSuccession { seat, .. }) => {
                self.seats.entry(seat).or_default().succession = Some(output);
            }
            Staged::Output(Output::Browser { browser, list, events }) => {
                let (fold, untold) =
                    (self.browsers.entry(browser).or_default(), self.untold.entry(browser).or_default());
                fold.list = Some(list);
                for event in events {
                    fold.missed = fold.missed.saturating_add(1);
                    match event {
                        BrowserEvent::Found(found) => {
                            untold.insert(found.key());
                        }
                        BrowserEvent::Lost(key) => {
                            if !untold.remove(&key) && fold.lost.insert(key) {
                                fold.missed = fold.missed.saturating_sub(1);
                            }
                        }
                        BrowserEvent::Lagged { missed } => {
                            fold.missed = fold.missed.saturating_add(missed).saturating_sub(1);
                        }
                        BrowserEvent::Updated { .. } => {}
                    }
                }
            }
            Staged::Output(Output::Lan(LanEvent::Lagged(missed))) => self.missed = self.missed.saturating_add(missed),
            Staged::Output(Output::Lan(event)) => {
                self.whole.push(event);
                if self.whole.len() > WHOLE {
                    self.whole.remove(0);
                    self.missed = self.missed.saturating_add(1);
                }
            }
            Staged::Output(output @ Output::Invites { user, .. }) => {
                self.invites.insert(user, output);
            }
            Staged::Output(Output::User { user, event }) => match event {
                UserEvent::SignedOut => self.users.push((user, event)),
                UserEvent::Lagged { missed } => *self.lagged.entry(user).or_default() += missed,
                UserEvent::Matchmaking { .. } => {
                    // A state: the latest one stands for those before it.
                    self.users.retain(|(other, before)| *other != user || !same_progress(before, &event));
                    self.users.push((user, event));
                    self.crowd(user);
                }
                event => {
                    self.users.push((user, event));
                    self.crowd(user);
                }
            },
            // These are applied when they come.
            Staged::Output(Output::Done { .. } | Output::SeatOpened(_)) => {}
        }
    }

    /// Drops a user's oldest event where there are too many.
    fn crowd(&mut self, user: AccountId) {
        let plain = |(of, event): &(AccountId, UserEvent)| *of == user && *event != UserEvent::SignedOut;
        if self.users.iter().filter(|entry| plain(entry)).count() > WHOLE {
            if let Some(oldest) = self.users.iter().position(plain) {
                self.users.remove(oldest);
                *self.lagged.entry(user).or_default() += 1;
            }
        }
    }

    fn finish(self) -> Vec<Staged> {
        let mut staged = Vec::new();
        // In the order in which they were taken: one that ended is told of before the next one in the same session.
        for (seat, fold) in self.seats {
            staged.extend(fold.announced.then_some(Staged::Announce(seat)));
            let mut events = Vec::new();
            if fold.missed > 0 {
                events.push(SessionEvent::Lagged { missed: fold.missed });
                let again = fold.snapshot.clone();
                events.extend(again.map(|snapshot| SessionEvent::Joined { snapshot }));
            }
            events.extend(fold.left);
            let latest = [fold.keys, fold.addresses, fold.bans, fold.succession];
            staged.extend(latest.into_iter().flatten().map(Staged::Output));
            if fold.heard {
                staged.push(Staged::Output(Output::Seat { seat, events, snapshot: fold.snapshot }));
            }
        }
        for (browser, fold) in self.browsers {
            let mut events = Vec::new();
            if fold.missed > 0 {
                events.push(BrowserEvent::Lagged { missed: fold.missed });
            }
            events.extend(fold.lost.into_iter().map(BrowserEvent::Lost));
            if let Some(list) = fold.list {
                staged.push(Staged::Output(Output::Browser { browser, list, events }));
            }
        }
        staged.extend(self.invites.into_values().map(Staged::Output));
        let lagged = self.lagged.into_iter().map(|(user, missed)| (user, UserEvent::Lagged { missed }));
        let users = lagged.chain(self.users).map(|(user, event)| Staged::Output(Output::User { user, event }));
        staged.extend(users);
        if self.missed > 0 {
            staged.push(Staged::Output(Output::Lan(LanEvent::Lagged(self.missed))));
        }
        staged.extend(self.whole.into_iter().map(|event| Staged::Output(Output::Lan(event))));
        if self.stop {
            staged.push(Staged::Stop);
        }
        staged
    }
}

/// Whether both tell of one matchmaking.
fn same_progress(a: &UserEvent, b: &UserEvent) -> bool {
    match (a, b) {
        (UserEvent::Matchmaking { local_name: left, .. }, UserEvent::Matchmaking { local_name: right, .. }) => {
            left == right
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{HostKey, Identity, JoinLink, SessionId, UiTarget};

    #[test]
    fn a_users_events_are_folded_to_the_latest_and_a_sign_out_is_never_dropped() {
        let user = Identity::from_seed([1; 32]).unwrap().account();
        let founder = HostKey::from_bytes([9; 32]).unwrap();
        let mut inbox = Inbox::default();
        let mut say = |event| inbox.push(Staged::Output(Output::User { user, event }));
        say(UserEvent::SignedOut);
        for number in 0..=STAGED {
            let key = SessionKey { id: SessionId::from_name(&number.to_string()), founder };
            let link = JoinLink::new("game", key, founder, []).unwrap();
            say(UserEvent::UiJoinRequested { target: UiTarget::Link(link) });
        }
        let events: Vec<UserEvent> = inbox
            .take()
            .into_iter()
            .map(|staged| match staged {
                Staged::Output(Output::User { event, .. }) => event,
                other => panic!("{other:?}"),
            })
            .collect();
        let pushed_after = STAGED + 2 - (STAGED + 1);
        assert!(events.len() <= WHOLE + 2 + pushed_after, "{}", events.len());
        let missed = events.iter().map(|event| if let UserEvent::Lagged { missed } = event { *missed } else { 0 });
        let shown = events.iter().filter(|event| matches!(event, UserEvent::UiJoinRequested { .. })).count();
        assert_eq!(missed.sum::<u64>() + shown as u64, STAGED as u64 + 1, "each is told or counted");
        assert!(events.contains(&UserEvent::SignedOut));
    }
}
