//! Reacting to a Locate, or not: who may be reacted to is dialled at the address it has signed; all else is silence
//! (protocol.md, "Locate").
//!
//! Cheap checks come first, and nothing is sent before the last has passed: a stranger's question and one for an account
//! that does not exist look the same from outside.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use crate::proto::clock::Moment;
use crate::proto::io::{Action, Arrival, LinkEvent, LinkId, Via};
use crate::proto::lan::{Bucket, Cx, Origin, is_link_local};
use crate::proto::limits;
use crate::proto::links::Link;
use crate::proto::tuning::Tuning;
use crate::types::{AccountId, AccountRow, HostKey, Identity};
use crate::wire::datagram::{Locate, LocatePurpose, SealedLocate};
use crate::wire::frame::{Deliver, Frame, MAX_ROWS, MAX_SOCIAL};

use super::seen::Seen;

/// A question for one of the users here, genuine and fresh. Whether its asker may know is still to be decided.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) user: AccountId,
    pub(crate) asker: AccountId,
    pub(crate) purpose: LocatePurpose,
    salt: [u8; 16],
    at: u64,
    listener: HostKey,
    to: SocketAddr,
}

#[cfg(test)]
impl Asked {
    /// As if it had been another question.
    pub(super) fn forge_salt(&mut self, number: u32, at: u64) {
        self.salt = [0; 16];
        self.salt[..4].copy_from_slice(&number.to_be_bytes());
        self.at = at;
    }
}

/// What an asker that may know gets.
#[derive(Debug, Clone)]
pub(crate) enum Reaction {
    /// It may deliver its invite.
    Invite {
        stranger: bool,
    },
    Rows(Vec<AccountRow>),
}

fn is_stranger(reaction: &Reaction) -> bool {
    matches!(reaction, Reaction::Invite { stranger: true })
}

/// One dial to an asker.
#[derive(Debug)]
struct Dial {
    asked: Asked,
    reaction: Reaction,
    until: Moment,
    open: Option<Link>,
}

/// What a dial brought.
#[derive(Debug)]
pub(super) struct Brought {
    pub(super) user: AccountId,
    pub(super) asker: AccountId,
    pub(super) stranger: bool,
    pub(super) deliver: Box<Deliver>,
    pub(super) remote: SocketAddr,
}

/// All that this process does for askers.
#[derive(Debug)]
pub(super) struct Answers {
    dials: BTreeMap<LinkId, Dial>,
    known: Seen,
    strangers: Seen,
    /// Opened lately: copies of one question come by every path, several times.
    opened: VecDeque<[u8; 16]>,
    /// Listeners that have had their answer lately.
    served: VecDeque<HostKey>,
    checks: Bucket,
    all: Bucket,
    /// Of `all`, what strangers may have: keys are free, and friends are to be answered beside any crowd.
    all_strangers: Bucket,
    askers: BTreeMap<AccountId, Bucket>,
}

impl Answers {
    pub(super) fn new() -> Self {
        Self {
            dials: BTreeMap::new(),
            known: Seen::new(limits::LOCATES_SEEN),
            strangers: Seen::new(limits::LOCATES_SEEN_STRANGERS),
            opened: VecDeque::new(),
            served: VecDeque::new(),
            checks: Bucket::default(),
            all: Bucket::default(),
            all_strangers: Bucket::default(),
            askers: BTreeMap::new(),
        }
    }

    /// A Locate that came: what it asks, if it is for one of these accounts, signed, fresh and from the link.
    pub(super) fn hear(
        &mut self,
        cx: &Cx<'_>,
        arrival: &Arrival,
        accounts: &[AccountId],
        targets: &[SocketAddr],
        unix_s: u64,
        own: impl Fn(&Locate) -> bool,
    ) -> Option<Asked> {
        if accounts.is_empty() || !arrival.shared {
            return None;
        }
        let origin = cx.net.origin(arrival);
        let from = arrival.from.ip();
        match origin {
            Origin::OnLink(_) => {}
            Origin::OffLink if targets.iter().any(|target| target.ip() == from) => {}
            Origin::OffLink | Origin::Refused => return None,
        }
        let sealed = SealedLocate::decode(&arrival.bytes).ok()?;
        if sealed.game != cx.game || self.opened.contains(&sealed.salt) {
            return None;
        }
        let (user, opened) = accounts.iter().find_map(|&user| Some((user, sealed.open(user)?)))?;
        let locate = opened.locate.clone();
        // Our own question, for the same account on another machine.
        if own(&locate) {
            return None;
        }
        if locate.at.abs_diff(unix_s) > cx.tuning.locate_clock.as_secs() {
            return None;
        }
        let to = match origin {
            Origin::OnLink(Via::Interface { index, .. }) => on_link(cx, locate.reply_to, index)?,
            // From beyond the link nothing but the configured peer itself is dialled.
            _ => Some(locate.reply_to).filter(|to| to.ip() == from && to.port() != 0)?,
        };
        if !self.checks.take(cx.now, limits::LOCATE_CHECKS, cx.tuning.locate_check) {
            return None;
        }
        if !opened.verify() {
            return None;
        }
        if self.opened.len() >= limits::LOCATES_OPENED {
            self.opened.pop_front();
        }
        self.opened.push_back(sealed.salt);
        Some(Asked {
            user,
            asker: locate.asker,
            purpose: locate.purpose,
            salt: sealed.salt,
            at: locate.at,
            listener: locate.listener,
            to,
        })
    }

    /// The asker may know: it is dialled, unless it was, or asks too often.
    pub(super) fn react(
        &mut self,
        now: Moment,
        tuning: &Tuning,
        actions: &mut VecDeque<Action>,
        (link, identity): (LinkId, Identity),
        (asked, reaction, unix_s): (Asked, Reaction, u64),
    ) -> bool {
        let stranger = is_stranger(&reaction);
        let seen = if stranger { &self.strangers } else { &self.known };
        if seen.contains(asked.asker, asked.at, asked.salt) {
            return false;
        }
        // The same question by another interface: whichever way stands first is taken.
        let same = self.dials.values().filter(|dial| dial.asked.listener == asked.listener).count();
        let enough = self.served.contains(&asked.listener) || same >= limits::LOCATE_WAYS;
        if !enough && !self.may_dial(now, tuning, asked.asker, stranger, same) {
            // Nothing was done about it: its next copy may find a token.
            self.opened.retain(|salt| *salt != asked.salt);
            return false;
        }
        let seen = if stranger { &mut self.strangers } else { &mut self.known };
        seen.insert(unix_s, tuning.locate_clock.as_secs(), asked.asker, asked.at, asked.salt);
        if enough {
            return false;
        }
        let (to, expect, until) = (asked.to, Some(asked.listener), now + tuning.connect);
        actions.push_back(Action::Dial { link, to, expect, identity });
        self.dials.insert(link, Dial { asked, reaction, until, open: None });
        true
    }

    /// `same`: as many dials to this listener are under way; only the first costs a token.
    fn may_dial(&mut self, now: Moment, tuning: &Tuning, asker: AccountId, stranger: bool, same: usize) -> bool {
        let strangers = || self.dials.values().filter(|dial| is_stranger(&dial.reaction)).count();
        if self.dials.len() >= limits::LOCATE_DIALS || (stranger && strangers() >= limits::LOCATE_DIALS_STRANGERS) {
            return false;
        }
        if same > 0 {
            return true;
        }
        let (burst, every) = (limits::LOCATE_BURST, tuning.locate_dial);
        let share = (limits::LOCATE_BURST_STRANGERS, tuning.locate_dial_stranger);
        if !self.all.has(now, burst, every) || (stranger && !self.all_strangers.has(now, share.0, share.1)) {
            return false;
        }
        if !take_of(&mut self.askers, now, asker, limits::LOCATE_ASKER_BURST, tuning.locate_asker) {
            return false;
        }
        self.all.take(now, burst, every) && (!stranger || self.all_strangers.take(now, share.0, share.1))
    }

    pub(super) fn has(&self, link: LinkId) -> bool {
        self.dials.contains_key(&link)
    }

    /// What happened on a dialled link.
    pub(super) fn handle_link(
        &mut self,
        now: Moment,
        tuning: &Tuning,
        actions: &mut VecDeque<Action>,
        event: LinkEvent,
    ) -> Option<Brought> {
        match event {
            LinkEvent::Open { link, fallback: true, .. } => self.close(actions, link, false),
            LinkEvent::Open { link, peer, binding, local: _, remote, fallback: false } => {
                let listener = self.dials.get(&link)?.asked.listener;
                self.serve(actions, link, listener);
                let dial = self.dials.get_mut(&link)?;
                let mut open = Link::new(now, link, peer, binding, remote);
                dial.until = now + tuning.locate_frame;
                match &mut dial.reaction {
                    Reaction::Invite { .. } => dial.open = Some(open),
                    Reaction::Rows(rows) => {
                        rows.truncate(MAX_ROWS);
                        open.send(now, actions, &Frame::Rows(std::mem::take(rows)));
                        self.close(actions, link, true);
                    }
                }
            }
            LinkEvent::Frame { link, kind, more, payload } => {
                let dial = self.dials.get_mut(&link)?;
                let open = dial.open.as_mut()?;
                match open.receive(now, kind, more, payload, MAX_SOCIAL) {
                    Ok(Some(Frame::Deliver(deliver))) => {
                        let (user, asker, remote) = (dial.asked.user, dial.asked.asker, open.remote);
                        let stranger = is_stranger(&dial.reaction);
                        return Some(Brought { user, asker, stranger, deliver, remote });
                    }
                    Ok(None) => {}
                    _ => self.close(actions, link, false),
                }
            }
            LinkEvent::Closed { link, .. } => {
                self.dials.remove(&link);
            }
            LinkEvent::Incoming { .. } | LinkEvent::HelloBegun { .. } | LinkEvent::Written { .. } => {}
        }
        None
    }

    /// This link stands: the other ways to the same listener are not needed, now or later.
    fn serve(&mut self, actions: &mut VecDeque<Action>, link: LinkId, listener: HostKey) {
        let others = self.dials.iter().filter(|(id, dial)| **id != link && dial.asked.listener == listener);
        for other in others.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.close(actions, other, false);
        }
        if self.served.len() >= limits::LOCATES_OPENED {
            self.served.pop_front();
        }
        self.served.push_back(listener);
    }

    /// The last word on the link of what was brought.
    pub(super) fn finish(&mut self, now: Moment, actions: &mut VecDeque<Action>, link: LinkId, word: Option<&Frame>) {
        if let (Some(open), Some(word)) = (self.dials.get_mut(&link).and_then(|dial| dial.open.as_mut()), word) {
            open.send(now, actions, word);
        }
        self.close(actions, link, word.is_some());
    }

    fn close(&mut self, actions: &mut VecDeque<Action>, link: LinkId, flush: bool) {
        if self.dials.remove(&link).is_some() {
            actions.push_back(Action::Close { link, flush });
        }
    }

    /// Ends the dials that used up their time, or all of one user's.
    pub(super) fn expire(&mut self, now: Moment, actions: &mut VecDeque<Action>, of: Option<AccountId>) {
        let over = |dial: &Dial| dial.until <= now || of == Some(dial.asked.user);
        let links: Vec<LinkId> = self.dials.iter().filter(|(_, dial)| over(dial)).map(|(&link, _)| link).collect();
        for link in links {
            self.close(actions, link, false);
        }
    }

    #[cfg(test)]
    pub(super) fn forget_copies(&mut self) {
        self.opened.clear();
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        self.dials.values().map(|dial| dial.until).min()
    }
}

/// A token of this account's bucket. Where there are too many accounts, the fullest bucket is forgotten: it says least.
pub(super) fn take_of(
    buckets: &mut BTreeMap<AccountId, Bucket>,
    now: Moment,
    account: AccountId,
    burst: u32,
    every: std::time::Duration,
) -> bool {
    if !buckets.contains_key(&account) && buckets.len() >= limits::LOCATE_ASKERS {
        let fullest = buckets.iter().min_by_key(|(_, bucket)| bucket.full()).map(|(&account, _)| account);
        if let Some(fullest) = fullest {
            buckets.remove(&fullest);
        }
    }
    buckets.entry(account).or_default().take(now, burst, every)
}

/// The address if it is on the very link by which the question came: else a friend could be made to knock at any port of
/// this machine itself, or of another network.
fn on_link(cx: &Cx<'_>, to: SocketAddr, index: u32) -> Option<SocketAddr> {
    let to = match to {
        SocketAddr::V6(mut v6) if is_link_local(*v6.ip()) => {
            v6.set_scope_id(index);
            SocketAddr::V6(v6)
        }
        other => other,
    };
    match cx.net.via_to(to)? {
        Via::Interface { index: at, .. } if at == index => Some(to),
        _ => None,
    }
}

#[cfg(all(test, feature = "testing"))]
impl Answers {
    pub(super) fn sizes(&self, census: &mut limits::Census) {
        census.push(("dials to askers", self.dials.len(), limits::LOCATE_DIALS));
        census.push(("locates opened", self.opened.len(), limits::LOCATES_OPENED));
        census.push(("listeners served", self.served.len(), limits::LOCATES_OPENED));
        census.push(("askers of accounts", self.askers.len(), limits::LOCATE_ASKERS));
    }
}
