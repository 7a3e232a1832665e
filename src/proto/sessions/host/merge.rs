//! Two sessions of matchmaking become one: the worse one's host freezes it, asks for seats, sends its members over; the
//! better one's host judges by what is true now, and holds seats (protocol.md, "Matchmaking").
//!
//! A frozen session seats nobody and grants nothing, so what it told of itself stays true while it asks. The asking
//! connection shows the key that the session is served under: nobody asks in another session's name.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use super::super::core::{Core, Owner};
use super::super::doorman::Stage;
use super::super::join::Resolved;
use super::super::publication::{Merging, SessionsEvent};
use super::{HostAuthority, Reply};
use crate::proto::clock::Moment;
use crate::proto::io::{LinkEvent, LinkId};
use crate::proto::limits;
use crate::proto::links::Link;
use crate::types::{AccountId, HostKey, JoinPolicy, LinkState, Phase, SessionKey};
use crate::wire::frame::{
    Change, Frame, MAX_ADDRESSES, MAX_MERGE, MAX_PRE_SEAT, MergeAnswer, MergeAsk, Move, SettingChange,
};

/// Both sides of merging, at one host.
#[derive(Debug, Default)]
pub(super) struct Merge {
    asking: Option<Asking>,
    /// Seats held here for members of another session, and until when.
    grants: BTreeMap<AccountId, Moment>,
    /// Members that were told to go: when their link closes they have gone.
    sent: BTreeMap<AccountId, Moment>,
}

/// This session is on its way into another one: frozen.
#[derive(Debug)]
struct Asking {
    into: SessionKey,
    host_key: HostKey,
    /// Of the step it is in.
    until: Moment,
    addresses: Vec<SocketAddr>,
    /// Addresses not dialled yet, and when the next one is.
    candidates: VecDeque<SocketAddr>,
    next_dial: Option<Moment>,
    dials: BTreeSet<LinkId>,
    /// The one that stood first.
    link: Option<Link>,
    /// For whom seats were asked, in their order.
    accounts: Vec<AccountId>,
    /// Members that were told to go and are still here.
    going: BTreeSet<AccountId>,
    /// The answer came.
    granted: bool,
    /// A seat is held for the host itself.
    own: bool,
}

impl Merge {
    pub(super) fn deadline(&self) -> Option<Moment> {
        let asking =
            self.asking.as_ref().map(|asking| asking.next_dial.map_or(asking.until, |at| at.min(asking.until)));
        asking.into_iter().chain(self.grants.values().copied()).min()
    }

    /// Nobody is seated here now.
    pub(super) fn is_frozen(&self) -> bool {
        self.asking.is_some()
    }

    /// How many seats are held for others than these accounts.
    pub(super) fn held(&self, accounts: &BTreeSet<AccountId>, now: Moment) -> usize {
        self.grants.iter().filter(|(other, until)| !accounts.contains(other) && **until > now).count()
    }

    pub(super) fn granted(&self, now: Moment) -> impl Iterator<Item = AccountId> + '_ {
        self.grants.iter().filter(move |(_, until)| **until > now).map(|(account, _)| *account)
    }

    /// Whether a seat is held for each of these accounts.
    pub(super) fn are_granted(&self, accounts: &BTreeSet<AccountId>, now: Moment) -> bool {
        accounts.iter().all(|account| self.grants.get(account).is_some_and(|until| *until > now))
    }

    /// The account has its seat.
    pub(super) fn claimed(&mut self, account: AccountId) {
        self.grants.remove(&account);
    }

    /// Whether this member was told to go.
    pub(super) fn has_sent(&self, account: AccountId) -> bool {
        self.sent.contains_key(&account)
    }

    /// A word from a member: one that was told to go long ago has stayed.
    pub(super) fn heard(&mut self, now: Moment, account: AccountId) {
        if self.sent.get(&account).is_some_and(|until| *until <= now) {
            self.sent.remove(&account);
        }
    }
}

impl HostAuthority {
    // ------------------------------------------------------------------------------------------- the one that asks

    /// Freezes this session and asks another one for seats; what comes of it is told as [`SessionsEvent::Merge`].
    pub(in super::super) fn ask_merge(&mut self, core: &mut Core, into: Resolved) {
        self.wake = None;
        let (Some(key), Some(host_key)) = (into.key, into.host_key) else {
            return self.merging(core, Merging::Refused);
        };
        // One that has promised seats stays until they are taken.
        let holds = self.merge.grants.values().any(|until| *until > core.now);
        if self.merge.asking.is_some() || holds || self.opening.is_some() || !self.doc.state().mobile {
            return self.merging(core, Merging::Busy);
        }
        let mut addresses = into.candidates;
        addresses.truncate(MAX_ADDRESSES);
        self.merge.asking = Some(Asking {
            into: key,
            host_key,
            until: core.now + core.tuning.mm_freeze,
            candidates: addresses.iter().copied().collect(),
            addresses,
            next_dial: None,
            dials: BTreeSet::new(),
            link: None,
            accounts: self.movers(),
            going: BTreeSet::new(),
            granted: false,
            own: false,
        });
        self.dial_merge(core);
    }

    /// Who would go, the newest first; the host itself last, and only if all the others are named.
    fn movers(&self) -> Vec<AccountId> {
        let state = self.doc.state();
        let mut others: Vec<_> = state.members.iter().filter(|member| !member.is_host).collect();
        others.sort_by_key(|member| Reverse((member.joined_revision, member.number)));
        let ready = |account: AccountId| self.seats.get(&account).is_some_and(|seat| seat.confirmed && seat.receiving);
        let all = others.len();
        let mut movers: Vec<_> = others
            .into_iter()
            .filter(|member| member.link == LinkState::Connected && ready(member.account))
            .map(|member| member.account)
            .take(MAX_MERGE - 1)
            .collect();
        if movers.len() == all {
            movers.extend(state.host);
        }
        movers
    }

    fn dial_merge(&mut self, core: &mut Core) {
        let Some(asking) = &mut self.merge.asking else { return };
        asking.next_dial = None;
        match asking.candidates.pop_front().filter(|_| !asking.accounts.is_empty()) {
            Some(to) => {
                asking.dials.insert(core.dial(Owner::Host(self.key), to, Some(asking.host_key), &self.host));
                asking.next_dial = (!asking.candidates.is_empty()).then(|| core.now + core.tuning.dial_stagger);
            }
            None if asking.dials.is_empty() && asking.link.is_none() => self.end_asking(core, Merging::Refused),
            None => {}
        }
    }

    /// What happens on the link of a question of ours; whether it was that.
    pub(super) fn merge_link(&mut self, core: &mut Core, event: &LinkEvent) -> bool {
        let Some(asking) = &mut self.merge.asking else { return false };
        let ours = |link: LinkId| asking.link.as_ref().is_some_and(|open| open.id == link);
        match event {
            LinkEvent::Open { link, peer, binding, remote, fallback, .. } if asking.dials.contains(link) => {
                asking.dials.remove(link);
                asking.next_dial = None;
                for other in std::mem::take(&mut asking.dials) {
                    core.close(other, false);
                }
                if *fallback {
                    core.close(*link, false);
                    self.end_asking(core, Merging::Refused);
                    return true;
                }
                let mut link = Link::new(core.now, *link, *peer, *binding, *remote);
                let taken = u16::try_from(self.doc.state().members.len()).unwrap_or(u16::MAX);
                let accounts = asking.accounts.clone();
                let ask = MergeAsk { session: asking.into, from: self.key, taken, accounts };
                link.send(core.now, &mut core.actions, &Frame::MergeAsk(Box::new(ask)));
                asking.link = Some(link);
            }
            LinkEvent::Frame { link, kind, more, payload } if ours(*link) => {
                let Some(open) = &mut asking.link else { return true };
                match open.receive(core.now, *kind, *more, payload.clone(), MAX_PRE_SEAT) {
                    Ok(Some(Frame::MergeAnswer(answer))) => self.merge_answered(core, answer),
                    Ok(Some(Frame::Refuse { .. } | Frame::Incompatible { .. })) | Err(()) => {
                        self.end_asking(core, Merging::Refused);
                    }
                    Ok(_) => {}
                }
            }
            LinkEvent::Closed { link, .. } if ours(*link) || asking.dials.contains(link) => {
                core.forget(*link);
                if !asking.dials.remove(link) {
                    asking.link = None;
                }
                self.dial_merge(core);
            }
            LinkEvent::Written { link, .. } | LinkEvent::Incoming { link, .. } | LinkEvent::HelloBegun { link }
                if ours(*link) || asking.dials.contains(link) => {}
            _ => return false,
        }
        self.wake = None;
        true
    }

    fn merge_answered(&mut self, core: &mut Core, answer: MergeAnswer) {
        let seats = match answer {
            MergeAnswer::Busy => return self.end_asking(core, Merging::Busy),
            MergeAnswer::NotBetter | MergeAnswer::Granted(0) => return self.end_asking(core, Merging::Refused),
            MergeAnswer::Granted(seats) => usize::from(seats),
        };
        let host = self.doc.state().host;
        let Some(asking) = &mut self.merge.asking else { return };
        if let Some(link) = asking.link.take() {
            core.close(link.id, false);
        }
        asking.granted = true;
        asking.until = core.now + core.tuning.mm_freeze;
        let granted: Vec<AccountId> = asking.accounts.iter().take(seats).copied().collect();
        asking.own = granted.last().copied() == host && host.is_some();
        let to = Move { session: asking.into, host_key: asking.host_key, addresses: asking.addresses.clone() };
        asking.going = granted.into_iter().filter(|account| Some(*account) != host).collect();
        let (own, going) = (asking.own, asking.going.clone());
        self.merging(core, Merging::Granted { own });
        let until = core.now + core.tuning.mm_grant;
        for account in going {
            self.merge.sent.insert(account, until);
            self.insist(core, account, &Frame::Move(Box::new(to.clone())));
        }
        self.merge_moved(core);
    }

    /// Somebody left: a merge whose members have all gone is over, or goes on with the host's own seat.
    pub(super) fn merge_moved(&mut self, core: &mut Core) {
        let state = self.doc.state();
        let Some(asking) = self.merge.asking.as_mut().filter(|asking| asking.granted) else { return };
        let before = asking.going.len();
        asking.going.retain(|account| state.member(*account).is_some());
        if !asking.going.is_empty() {
            return;
        }
        if !asking.own {
            self.end_asking(core, Merging::Over);
        } else if before > 0 {
            // The host's own way: a step of its own.
            asking.until = core.now + core.tuning.mm_freeze;
        }
    }

    /// Thaws.
    pub(in super::super) fn end_asking(&mut self, core: &mut Core, outcome: Merging) {
        self.wake = None;
        if self.end_merge(core) {
            self.merging(core, outcome);
        }
    }

    fn merging(&self, core: &mut Core, outcome: Merging) {
        core.events.push_back(SessionsEvent::Merge { seat: self.seat, outcome });
    }

    // ----------------------------------------------------------------------------------------- the one that is asked

    /// Another session asks for seats here.
    pub(super) fn answer_merge(&mut self, core: &mut Core, id: LinkId, ask: &MergeAsk) {
        core.doorman.reached(core.now, &core.tuning, id, Stage::Joining);
        let Some(peer) = self.guests.get(&id).map(|guest| HostKey::from(guest.link.peer)) else { return };
        let answer = self.judge_merge(core, peer, ask);
        self.dismiss(core, id, &Frame::MergeAnswer(answer));
    }

    fn judge_merge(&mut self, core: &mut Core, peer: HostKey, ask: &MergeAsk) -> MergeAnswer {
        let state = self.doc.state();
        let open_to_all = state.policy == JoinPolicy::Public
            && !state.closed
            && !state.locked
            && !state.password
            && (state.phase == Phase::Lobby || (state.phase == Phase::InProgress && state.join_in_progress));
        let asked = ask.session == self.key && ask.from.founder == peer && self.opening.is_none();
        if !asked || !open_to_all {
            return MergeAnswer::NotBetter;
        }
        self.merge.grants.retain(|_, until| *until > core.now);
        let taken = u16::try_from(state.members.len() + self.merge.grants.len()).unwrap_or(u16::MAX);
        let mine = (!state.mobile, taken, Reverse(self.key));
        if mine <= (false, ask.taken, Reverse(ask.from)) {
            return MergeAnswer::NotBetter;
        }
        if let Some(asking) = &self.merge.asking {
            // Each asks the other: the better one is ours, so ours is the question that is dropped.
            if asking.into != ask.from || asking.granted {
                return MergeAnswer::Busy;
            }
            self.end_asking(core, Merging::Over);
        }
        MergeAnswer::Granted(self.grant(core, &ask.accounts))
    }

    /// Holds seats for the first that fit; how many.
    fn grant(&mut self, core: &Core, accounts: &[AccountId]) -> u16 {
        let state = self.doc.state();
        let room = usize::from(self.public_seats(core.now)).min(limits::GRANTS);
        let mut seats = 0;
        for &account in accounts {
            let seated = state.member(account).is_some();
            // One that is held already goes on being held, whoever asks: nobody takes it by naming others first.
            let needs = !seated && !self.merge.grants.contains_key(&account);
            if self.bans.contains(&account) || (needs && self.merge.grants.len() >= room) {
                break;
            }
            seats += 1;
            if !seated {
                self.merge.grants.insert(account, core.now + core.tuning.mm_grant);
            }
        }
        self.wake = None;
        seats
    }

    // -------------------------------------------------------------------------------------------------- both

    /// This session moves no more.
    pub(in super::super) fn settle(&mut self, core: &mut Core) {
        if !self.doc.state().mobile {
            return;
        }
        // Members that were told to go may; who stays is settled.
        self.end_asking(core, Merging::Over);
        self.commit(core, &[Change::Setting(SettingChange::Mobile(false))], None, Reply::Nobody);
    }

    pub(super) fn time_out_merge(&mut self, core: &mut Core) {
        let now = core.now;
        self.merge.grants.retain(|_, until| *until > now);
        let Some(asking) = &self.merge.asking else { return };
        if asking.until <= now {
            self.end_asking(core, Merging::Over);
        } else if asking.next_dial.is_some_and(|at| at <= now) {
            self.dial_merge(core);
        }
    }

    /// Nothing is asked any more; whether something was.
    pub(super) fn end_merge(&mut self, core: &mut Core) -> bool {
        let Some(asking) = self.merge.asking.take() else { return false };
        for link in asking.dials.into_iter().chain(asking.link.map(|link| link.id)) {
            core.close(link, false);
        }
        true
    }
}

#[cfg(all(test, feature = "testing"))]
impl Merge {
    pub(super) fn sizes(&self, census: &mut limits::Census) {
        census.push(("grants", self.grants.len(), limits::GRANTS));
    }
}
