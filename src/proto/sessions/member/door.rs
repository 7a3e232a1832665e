//! Who comes to the listener of a machine that would go on as host: those who lost the host too, and wait here for the next
//! one (protocol.md, "Walk").

use super::super::core::{Core, Owner};
use super::vote::age;
use super::walk::{Parked, Step, is_newer};
use super::{MemberSeat, Side};
use crate::proto::io::LinkId;
use crate::proto::limits;
use crate::types::{AccountId, Left, Refusal, Revision, SessionSettings};
use crate::wire::frame::{Follow, Frame, MAX_MESSAGE, MAX_PRE_SEAT, Pulled, Succession, Vote, VoteAsk, follow};

impl MemberSeat {
    /// How much is read of whoever came: a machine of this session may hand over all of it.
    pub(super) fn door_limit(&self, link: LinkId) -> usize {
        if self.heir.parked.contains_key(&link) { MAX_MESSAGE } else { MAX_PRE_SEAT }
    }

    /// A word of one of them.
    pub(super) fn guest_said(&mut self, core: &mut Core, id: LinkId, frame: Frame) {
        match frame {
            Frame::Follow(follow) => self.guest_follows(core, id, follow),
            Frame::Vote(vote) if self.heir.parked.contains_key(&id) => self.voted(core, *vote),
            Frame::NoVote { promised, have } if self.heir.parked.contains_key(&id) => {
                self.not_voted(core, id, promised, have);
            }
            Frame::Succession(succession) if self.heir.parked.contains_key(&id) => self.adopt_order(*succession),
            Frame::Pulled(pulled) if self.heir.parked.contains_key(&id) => self.adopt_pulled(core, id, *pulled),
            Frame::Join(_) | Frame::Resume(_) | Frame::Claim(_) => self.send_on(core, id),
            Frame::LineageAsk { session } if session == self.key => {
                let lineage = self.heir.lineage.clone();
                self.dismiss_guest(core, id, &Frame::Lineage { lineage });
            }
            _ => self.turn_out(core, id),
        }
    }

    /// A joiner, or a member that has not heard: the host is elsewhere, or there is none yet.
    fn send_on(&mut self, core: &mut Core, id: LinkId) {
        let frame = if self.is_linked() { Frame::NotHost(Box::new(self.way())) } else { super::migrating(core) };
        self.dismiss_guest(core, id, &frame);
    }

    pub(in super::super) fn is_linked(&self) -> bool {
        matches!(self.side, Side::Linked(_))
    }

    /// The last word, delivered before the close.
    fn dismiss_guest(&mut self, core: &mut Core, id: LinkId, frame: &Frame) {
        self.heir.parked.remove(&id);
        if let Some(mut link) = self.standing.as_mut().and_then(|standing| standing.guests.remove(&id)) {
            link.send(core.now, &mut core.actions, frame);
        }
        core.close(id, true);
    }

    pub(super) fn dismiss_parked(&mut self, core: &mut Core, frame: &Frame) {
        for id in self.heir.parked.keys().copied().collect::<Vec<_>>() {
            self.dismiss_guest(core, id, frame);
        }
    }

    pub(super) fn guest_gone(&mut self, link: LinkId) {
        self.heir.parked.remove(&link);
    }

    fn say_to(&mut self, core: &mut Core, id: LinkId, frame: &Frame) {
        if let Some(link) = self.standing.as_mut().and_then(|standing| standing.guests.get_mut(&id)) {
            link.send(core.now, &mut core.actions, frame);
        }
    }

    // -------------------------------------------------------------------------------------------------------- parking

    /// Somebody has lost the host. Who hears it still asks it first.
    fn guest_follows(&mut self, core: &mut Core, id: LinkId, follow: Box<Follow>) {
        let account = self.guest_account(id);
        // The former host may come back to a seat that it left; it is no stranger to those who walk.
        let known = account.is_some_and(|account| self.view.state().member(account).is_some())
            || account.is_some() && account == self.view.state().host;
        let here = follow.session == self.key && follow.incarnation == self.incarnation();
        if !known || !here {
            self.dismiss_guest(core, id, &Frame::Refuse { refusal: Refusal::NotFound, sticky: true });
            return;
        }
        if self.is_linked() && self.heir.reign != follow.reign && self.heir.reign.supersedes(follow.reign) {
            let way = self.way();
            self.dismiss_guest(core, id, &Frame::NotHost(Box::new(way)));
            return;
        }
        core.doorman.remove(id);
        let older = self.heir.parked.keys().copied().find(|&other| self.guest_account(other) == account);
        if let Some(older) = older {
            self.turn_out(core, older);
        } else if self.heir.parked.len() >= limits::PARKED {
            self.dismiss_guest(core, id, &Frame::HostAlive);
            return;
        }
        if let Some(walk) = &mut self.heir.walk {
            walk.seen = walk.seen.max(follow.promised);
        }
        self.heir.parked.insert(id, Parked { follow, told: false, pulled: false });
        if self.is_linked() {
            self.probe_host(core);
            return;
        }
        self.park(core, id);
    }

    fn guest_account(&self, id: LinkId) -> Option<AccountId> {
        self.standing.as_ref()?.guests.get(&id).map(|link| link.peer.into())
    }

    fn park(&mut self, core: &mut Core, id: LinkId) {
        let Some(parked) = self.heir.parked.get_mut(&id) else { return };
        if !std::mem::replace(&mut parked.told, true) {
            self.say_to(core, id, &Frame::Parked);
        }
        if self.heir.is_candidate() {
            self.ask(core, id);
        }
    }

    /// Whether the host answers, asked on behalf of those who do not hear it. Its own link's end may be on the way.
    fn probe_host(&mut self, core: &mut Core) {
        let Side::Linked(link) = &self.side else { return };
        if self.heir.probe.is_none() {
            let owner = Owner::Member(self.seat);
            let probe = core.dial(owner, link.remote, self.spec.host_key, &self.spec.user.identity);
            self.heir.probe = Some((probe, core.now + core.tuning.dial_closed));
        }
    }

    /// It does.
    pub(super) fn host_answers(&mut self, core: &mut Core) {
        if self.is_linked() {
            self.dismiss_parked(core, &Frame::HostAlive);
        }
    }

    /// It does not, in time. Who was heard lately is not dead; else the verdict here is near, and they wait for it.
    pub(super) fn host_silent(&mut self, core: &mut Core) {
        let Side::Linked(link) = &self.side else { return };
        if link.silent_at(core.tuning.heartbeat * 2) > core.now {
            self.dismiss_parked(core, &Frame::HostAlive);
        } else {
            self.heir.parked.iter_mut().for_each(|(_, parked)| parked.told = true);
            let ids: Vec<_> = self.heir.parked.keys().copied().collect();
            ids.into_iter().for_each(|id| self.say_to(core, id, &Frame::Parked));
        }
    }

    /// Nobody listens where the host was, though its link has not ended here.
    pub(super) fn dead_behind_its_link(&mut self, core: &mut Core) -> Option<Left> {
        if let Side::Linked(link) = &self.side {
            core.close(link.id, false);
            self.unlink(core);
        }
        let left = self.host_gone(core);
        let ids: Vec<_> = self.heir.parked.keys().copied().collect();
        ids.into_iter().for_each(|id| self.park(core, id));
        left
    }

    /// The link to the host is lost here, too.
    pub(super) fn park_all(&mut self, core: &mut Core) {
        let ids: Vec<_> = self.heir.parked.keys().copied().collect();
        ids.into_iter().for_each(|id| self.park(core, id));
    }

    // ------------------------------------------------------------------------------------------------------ candidate

    pub(super) fn ask_parked(&mut self, core: &mut Core) {
        for id in self.heir.parked.keys().copied().collect::<Vec<_>>() {
            self.ask(core, id);
        }
    }

    /// Asks for a vote; for what it has more of first.
    fn ask(&mut self, core: &mut Core, id: LinkId) {
        let have = self.view.revision();
        let Some(standing) = &self.standing else { return };
        let kept = standing.keeper.as_ref().map(|keeper| keeper.revision);
        let state = standing.state.as_ref().map_or(0, |state| state.version);
        let order = standing.succession.as_ref().map(|succession| &succession.order);
        let (Some(parked), Some(walk)) = (self.heir.parked.get_mut(&id), &mut self.heir.walk) else { return };
        let Step::Standing { tally, .. } = &walk.step else { return };
        let follow = &parked.follow;
        let later = order
            .is_some_and(|order| follow.reign.same_branch(order.reign) && (follow.reign.term, follow.cfg) > age(order));
        let more = later || follow.have > have || follow.kept > kept || follow.state > state;
        if more && !std::mem::replace(&mut parked.pulled, true) {
            walk.pulling = Some(core.now + core.tuning.pull);
            self.say_to(core, id, &Frame::Pull);
            return;
        }
        let ask = VoteAsk { ballot: tally.ballot, have };
        self.say_to(core, id, &Frame::VoteAsk(Box::new(ask)));
    }

    fn voted(&mut self, core: &mut Core, vote: Vote) {
        // Signed by the same host in the same reign it needs no proof beside: what it says of the voters is enough to count.
        if let Some(succession) = self.standing.as_mut().and_then(|standing| standing.succession.as_mut()) {
            let (old, new) = (&succession.order, &vote.order);
            let same = new.session == old.session
                && new.host_key == old.host_key
                && new.incarnation == old.incarnation
                && new.reign == old.reign;
            if same && is_newer(new, Some(old)) && new.verify() {
                let known = std::mem::take(&mut succession.successors);
                succession.successors = new
                    .voters
                    .iter()
                    .filter_map(|voter| known.iter().find(|successor| successor.seat == voter.seat).cloned())
                    .collect();
                if succession.successors.len() == new.voters.len() {
                    succession.order = new.clone();
                } else {
                    succession.successors = known;
                    self.pull_from_voter(core, &vote);
                }
            } else if is_newer(new, Some(old)) {
                self.pull_from_voter(core, &vote);
            }
        }
        let Some(walk) = &mut self.heir.walk else { return };
        if let Step::Standing { tally, .. } = &mut walk.step {
            tally.add(vote);
        }
        self.count(core);
    }

    /// It knows a later order; with the whole of it, its vote counts.
    fn pull_from_voter(&mut self, core: &mut Core, vote: &Vote) {
        let from = self.heir.parked.iter().find(|(_, parked)| parked.follow.seat == vote.voter && !parked.pulled);
        let Some(id) = from.map(|(&id, _)| id) else { return };
        if let Some(parked) = self.heir.parked.get_mut(&id) {
            parked.pulled = true;
        }
        self.say_to(core, id, &Frame::Pull);
    }

    fn not_voted(&mut self, core: &mut Core, id: LinkId, promised: u32, have: Revision) {
        let behind = have > self.view.revision();
        let Some(walk) = &mut self.heir.walk else { return };
        walk.seen = walk.seen.max(promised);
        let Step::Standing { tally, .. } = &walk.step else { return };
        let outbid = promised >= tally.ballot.reign.term;
        let Some(parked) = self.heir.parked.get_mut(&id) else { return };
        parked.follow.promised = promised;
        if behind && !std::mem::replace(&mut parked.pulled, true) {
            walk.pulling = Some(core.now + core.tuning.pull);
            self.say_to(core, id, &Frame::Pull);
        } else if outbid {
            self.stand_again(core);
        }
    }

    /// A later order of this branch than the own one, with its proof.
    fn adopt_order(&mut self, new: Succession) {
        let incarnation = self.incarnation();
        let order = &new.order;
        let ours = order.session == self.key && order.incarnation == incarnation && order.verify();
        let Some(standing) = &mut self.standing else { return };
        let newer = is_newer(order, standing.succession.as_ref().map(|succession| &succession.order));
        let fits = new.successors.len() == order.voters.len();
        let made = follow(self.key, incarnation, &new.lineage);
        if ours && newer && fits && made == Some((order.host_key, order.reign)) {
            if order.reign.supersedes(self.heir.reign) {
                (self.heir.reign, self.heir.lineage) = (order.reign, new.lineage.clone());
            }
            standing.former = standing.succession.replace(new);
        }
    }

    /// What another machine has and this one lacks, so that nothing a voter saw is lost.
    fn adopt_pulled(&mut self, core: &mut Core, id: LinkId, pulled: Pulled) {
        let Pulled { snapshot, keeper, state } = pulled;
        let Some(seat) = self.heir.parked.get(&id).map(|parked| parked.follow.seat) else { return };
        let keeps = self.order().is_some_and(|order| super::standing::keepers(order).any(|keeper| keeper == seat));
        let known = self.order().is_some_and(|order| order.position(seat).is_some());
        let bounded = snapshot.members.len() <= usize::from(SessionSettings::MAX_MEMBERS);
        let ours = snapshot.key == self.key && bounded && snapshot.member(self.account()).is_some();
        let reigned = self.order().is_some_and(|order| snapshot.revision.term <= order.reign.term);
        if ours && known && reigned && snapshot.revision > self.view.revision() {
            self.snapshot(core, snapshot, None);
        }
        if let Some(standing) = &mut self.standing {
            let mine = standing.keeper.as_ref().map(|keeper| keeper.revision);
            if let Some(keeper) = keeper.filter(|keeper| keeps && Some(keeper.revision) > mine) {
                standing.keeper = Some(keeper);
            }
            let mine = standing.state.as_ref().map_or(0, |state| state.version);
            if let Some(state) = state.filter(|state| keeps && state.version > mine) {
                standing.state = Some(state);
            }
        }
        if let Some(walk) = &mut self.heir.walk {
            walk.pulling = None;
        }
        // The others were asked for a state that is an older one now.
        self.ask_parked(core);
        self.count(core);
    }
}
