//! After the host: from the verdict that it is lost to the next one (protocol.md, "Walk").
//!
//! Every member that lost its host walks the last order: it waits at the first machine of it that answers, votes there, and
//! comes back to its seat under whoever wins; where it is its own turn it stands itself. All the while the lost host is still
//! dialled: nobody follows another while that one answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rand::Rng;

use super::super::core::{Core, Owner};
use super::vote::{Tally, age};
use super::{MemberSeat, Side};
use crate::proto::clock::Moment;
use crate::proto::io::{Closed, LinkEvent, LinkId};
use crate::proto::limits;
use crate::proto::links::Link;
use crate::types::{HostKey, Left, Migration, Revision, SessionEvent, SessionSnapshot};
use crate::wire::frame::{
    Abdicate, Follow, Frame, MAX_LINEAGE, MAX_MESSAGE, MAX_WAYS, Order, Pulled, Reign, Takeover, Vote, VoteAsk, Way,
    follow,
};

/// The first of the order are dialled together.
const AHEAD: usize = 3;
/// A candidate that is always told of a higher promise gives way to the next after so many.
const MAX_BALLOTS: u32 = 8;

/// What one seat knows of its session's hosts, and does when the present one is lost.
#[derive(Debug)]
pub(in super::super) struct Heir {
    /// Of the host that is followed, and how it came to be host.
    pub(in super::super) reign: Reign,
    pub(in super::super) lineage: Vec<Takeover>,
    /// The number of its first revision; 0 where that is not known.
    pub(in super::super) began: u64,
    lost: Option<Lost>,
    pub(super) walk: Option<Walk>,
    /// Who asked whether the host lives: a dial to it shows.
    pub(super) probe: Option<(LinkId, Moment)>,
    /// Who waits at this machine's own listener.
    pub(super) parked: BTreeMap<LinkId, Parked>,
    /// Another host than the one that was lost is followed.
    pub(in super::super) moved: bool,
    /// It has no token: it asks for its seat as one that joins.
    pub(super) joins: bool,
    /// It is the next host.
    pub(in super::super) won: Option<Takeover>,
}

/// One machine that waits at this one.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) follow: Box<Follow>,
    /// It was told that it may wait.
    pub(super) told: bool,
    /// It was asked for what it has.
    pub(super) pulled: bool,
}

#[derive(Debug, Clone, Copy)]
struct Lost {
    at: Moment,
    by_peer: bool,
}

#[derive(Debug)]
pub(super) struct Walk {
    began: Moment,
    proof: bool,
    /// Places in the order, as they are gone through.
    route: Vec<usize>,
    at: usize,
    until: Moment,
    pub(super) step: Step,
    dials: BTreeMap<LinkId, Dial>,
    /// The highest promise heard of.
    pub(super) seen: u32,
    /// The votes of a host that abdicated.
    given: Vec<Vote>,
    ballots: u32,
    /// A machine that has more is waited for.
    pub(super) pulling: Option<Moment>,
    hints: Vec<SocketAddr>,
}

#[derive(Debug)]
pub(super) enum Step {
    /// The one at `at` is dialled or asked.
    Asking,
    /// It said that this machine may wait.
    Parked(LinkId),
    /// It is this machine's turn.
    Standing { tally: Tally, since: Moment },
    /// Between two rounds.
    Resting,
}

#[derive(Debug)]
struct Dial {
    to: Target,
    link: Option<Link>,
    said: bool,
    address: SocketAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// A place in the order.
    Place(usize),
    /// Where another machine or discovery says that the session goes on.
    Hint,
}

impl Heir {
    pub(in super::super) fn new(reign: Reign, lineage: Vec<Takeover>, began: u64) -> Self {
        Self {
            reign,
            lineage,
            began,
            lost: None,
            walk: None,
            probe: None,
            parked: BTreeMap::new(),
            moved: false,
            joins: false,
            won: None,
        }
    }

    pub(super) fn owns(&self, link: LinkId) -> bool {
        self.walk.as_ref().is_some_and(|walk| walk.dials.contains_key(&link))
            || self.probe.is_some_and(|(probe, _)| probe == link)
    }

    /// Whether it is its turn.
    pub(super) fn is_candidate(&self) -> bool {
        matches!(self.walk, Some(Walk { step: Step::Standing { .. }, .. }))
    }
}

impl MemberSeat {
    pub(super) fn order(&self) -> Option<&Order> {
        self.standing.as_ref()?.succession.as_ref().map(|succession| &succession.order)
    }

    /// The session's own; a member that came by an address alone learns it from the first order.
    pub(super) fn incarnation(&self) -> u64 {
        match self.spec.incarnation {
            0 => self.order().map_or(0, |order| order.incarnation),
            known => known,
        }
    }

    /// The way to the host that is followed.
    pub(in super::super) fn way(&self) -> Way {
        Way {
            session: self.key,
            incarnation: self.incarnation(),
            host_key: self.spec.host_key.unwrap_or(self.view.state().host_key),
            addresses: self.addresses.iter().take(MAX_WAYS).copied().collect(),
            lineage: self.heir.lineage.clone(),
        }
    }

    fn migrates(&self) -> bool {
        self.view.state().migration != Migration::Disabled
    }

    // --------------------------------------------------------------------------------------------------- the verdict

    /// The link is lost, which proves nothing yet.
    pub(super) fn host_missed(&mut self, core: &Core, by_peer: bool) {
        self.heir.lost = Some(Lost { at: core.now, by_peer });
        self.heir.moved = false;
    }

    /// As above, unless more is known of how it was lost.
    pub(super) fn host_lost(&mut self, core: &Core) {
        if self.heir.lost.is_none() {
            self.host_missed(core, false);
        }
    }

    /// What a seat is told where the state is another host's.
    pub(super) fn host_changed(&self, new: &SessionSnapshot) -> SessionEvent {
        let old = self.view.state();
        // What this seat saw beyond the last revision that the new host went on from.
        let discarded = match self.heir.began {
            0 => 0,
            began => (old.revision.number + 1).saturating_sub(began),
        };
        SessionEvent::HostChanged { old: old.host, new: new.host, revision: new.revision, discarded }
    }

    /// The host that is followed gives way to another.
    pub(super) fn sent_on(&mut self, core: &mut Core, way: &Way) {
        if let Side::Linked(link) = &self.side {
            core.close(link.id, true);
            self.unlink(core);
            self.pointed(core, way);
        }
    }

    /// The host asks for a vote for itself: somebody promised a term above its own.
    pub(super) fn host_asks_vote(&mut self, core: &mut Core, ask: &VoteAsk) {
        let have = self.view.revision();
        let own = self.order().and_then(|order| order.voters.first()).map(|host| host.seat);
        let Side::Linked(link) = &mut self.side else { return };
        let Some(standing) = self.standing.as_mut().filter(|standing| standing.stands) else { return };
        if Some(ask.ballot.candidate) != own {
            return;
        }
        let frame = match standing.cast(ask.ballot, ask.have, have) {
            Some(vote) => Frame::Vote(Box::new(vote)),
            None => Frame::NoVote { promised: standing.floor(), have },
        };
        link.send(core.now, &mut core.actions, &frame);
    }

    /// The host is about to hand over to this machine: all that it says before is here.
    pub(super) fn prepare(&mut self, core: &mut Core, revision: Revision) {
        let ready = self.standing.as_ref().is_some_and(|standing| standing.port != 0 && standing.keeper.is_some());
        if let (true, Side::Linked(link)) = (ready && revision <= self.view.revision(), &mut self.side) {
            link.send(core.now, &mut core.actions, &Frame::Prepared { revision });
        }
    }

    /// Nobody answers where the host was, or another does.
    pub(super) fn host_gone(&mut self, core: &mut Core) -> Option<Left> {
        if !self.heir.walk.as_ref().is_some_and(|walk| walk.proof) {
            core.events.push_back(self.obituary());
        }
        if self.migrates() { self.start_walk(core, true, Vec::new()) } else { Some(Left::HostLost) }
    }

    /// The host is back, or the seat has ended: whoever waits here goes elsewhere.
    pub(super) fn end_walk(&mut self, core: &mut Core, last: &Frame) {
        if let Some(walk) = self.heir.walk.take() {
            walk.dials.into_keys().for_each(|link| core.close(link, false));
        }
        if let Some((link, _)) = self.heir.probe.take() {
            core.close(link, false);
        }
        self.heir.lost = None;
        self.dismiss_parked(core, last);
    }

    pub(super) fn start_walk(&mut self, core: &mut Core, proof: bool, given: Vec<Vote>) -> Option<Left> {
        if proof && given.is_empty() && self.is_hopeless() {
            return Some(Left::HostLost);
        }
        match &mut self.heir.walk {
            Some(walk) => walk.proof |= proof,
            None => {
                let route = self.route(&given);
                self.heir.walk = Some(Walk::new(core.now, proof, route, given));
                self.walk_round(core);
            }
        }
        None
    }

    /// Whether nobody can go on: too few are left for a majority, or nobody would serve.
    fn is_hopeless(&self) -> bool {
        let state = self.view.state();
        let Some(order) = self.order() else {
            // The first order has not come. Whoever has it may go on; alone, nobody has.
            return state.members.len() <= 2;
        };
        let eligible = order.voters.iter().skip(1).any(|voter| voter.host.is_some());
        let left = order.voters.len().saturating_sub(1);
        !eligible
            || (order.policy == Migration::Quorum && left < order.quorum())
            || self.heir.lineage.len() >= MAX_LINEAGE
    }

    /// Whom the host that abdicated votes for, then as the order says.
    fn route(&self, given: &[Vote]) -> Vec<usize> {
        let Some(order) = self.order() else { return Vec::new() };
        let mut route: Vec<usize> = given.iter().filter_map(|vote| order.position(vote.ballot.candidate)).collect();
        let eligible = order.voters.iter().enumerate().skip(1).filter(|(_, voter)| voter.host.is_some());
        for (place, _) in eligible {
            if !route.contains(&place) {
                route.push(place);
            }
        }
        route
    }

    /// The host is host no more and says for whom it votes.
    pub(super) fn abdicated(&mut self, core: &mut Core, said: Abdicate) -> Option<Left> {
        let Side::Linked(link) = &self.side else { return None };
        let id = link.id;
        let own = self.order().and_then(|order| order.voters.first()).map(|host| host.seat);
        let valid = |vote: &Vote| Some(vote.voter) == own && vote.ballot.verify(vote.voter, &vote.signature);
        let given: Vec<_> = said.votes.into_iter().filter(valid).collect();
        core.close(id, true);
        self.unlink(core);
        self.start_walk(core, true, given)
    }

    // ------------------------------------------------------------------------------------------------------ the walk

    fn is_own(&self, place: usize) -> bool {
        let Some(standing) = self.standing.as_ref().filter(|standing| standing.stands) else { return false };
        let voter = self.order().and_then(|order| order.voters.get(place));
        voter.is_some_and(|voter| voter.seat == standing.seat_key.public())
    }

    fn walk_round(&mut self, core: &mut Core) {
        let Some(walk) = &mut self.heir.walk else { return };
        walk.at = 0;
        let ahead: Vec<_> = walk.route.iter().take(AHEAD).copied().collect();
        let hints = walk.hints.clone();
        for place in ahead {
            if !self.is_own(place) {
                self.dial_place(core, place);
            }
        }
        hints.into_iter().for_each(|address| self.dial_hint(core, address, None));
        self.enter(core);
    }

    /// Whether anything of it is dialled.
    fn dial_place(&mut self, core: &mut Core, place: usize) -> bool {
        let Some(succession) = self.standing.as_ref().and_then(|standing| standing.succession.as_ref()) else {
            return false;
        };
        let host = succession.order.voters.get(place).and_then(|voter| voter.host);
        let addresses = succession.successors.get(place).map(|successor| successor.addresses.clone());
        let (Some(host), Some(addresses), Some(walk)) = (host, addresses, &mut self.heir.walk) else { return false };
        for address in addresses {
            let said = walk.dials.values().any(|dial| dial.to == Target::Place(place) && dial.said);
            if said || walk.dials.values().any(|dial| dial.address == address) {
                continue;
            }
            let link = core.dial(Owner::Member(self.seat), address, Some(host), &self.spec.user.identity);
            walk.dials.insert(link, Dial { to: Target::Place(place), link: None, said: false, address });
        }
        walk.dials.values().any(|dial| dial.to == Target::Place(place))
    }

    fn dial_hint(&mut self, core: &mut Core, address: SocketAddr, expect: Option<HostKey>) {
        let Some(walk) = &mut self.heir.walk else { return };
        let hints = walk.dials.values().filter(|dial| dial.to == Target::Hint).count();
        if hints >= limits::ADDRESSES || walk.dials.values().any(|dial| dial.address == address) {
            return;
        }
        let link = core.dial(Owner::Member(self.seat), address, expect, &self.spec.user.identity);
        walk.dials.insert(link, Dial { to: Target::Hint, link: None, said: false, address });
    }

    /// Goes on along the route to the first machine that is worth waiting for, or rests.
    fn enter(&mut self, core: &mut Core) {
        loop {
            let Some(walk) = &mut self.heir.walk else { return };
            let Some(&place) = walk.route.get(walk.at) else {
                walk.step = Step::Resting;
                let pause = core.tuning.walk_pause + part(core, core.tuning.walk_pause_more);
                let Some(walk) = &mut self.heir.walk else { return };
                walk.until = core.now + pause;
                return;
            };
            let taken = if self.is_own(place) { self.stand_now(core) } else { self.approach(core, place) };
            if taken {
                return;
            }
            if let Some(walk) = &mut self.heir.walk {
                walk.at += 1;
            }
        }
    }

    pub(super) fn next_place(&mut self, core: &mut Core) {
        if let Some(walk) = &mut self.heir.walk {
            walk.at += 1;
        }
        self.enter(core);
    }

    fn approach(&mut self, core: &mut Core, place: usize) -> bool {
        if !self.dial_place(core, place) {
            return false;
        }
        let rank = core.tuning.rank;
        let Some(walk) = &mut self.heir.walk else { return false };
        (walk.step, walk.until) = (Step::Asking, core.now + rank);
        let open = walk.dials.iter().find(|(_, dial)| dial.to == Target::Place(place) && dial.link.is_some());
        if let Some(id) = open.map(|(&id, _)| id) {
            self.say_follow(core, id);
        }
        true
    }

    /// Over the first link that stands; the others of the same machine were only raced for it.
    fn say_follow(&mut self, core: &mut Core, id: LinkId) {
        let follow = self.follow_frame();
        let Some(walk) = &mut self.heir.walk else { return };
        let Some(Dial { link: Some(link), said, to, .. }) = walk.dials.get_mut(&id) else { return };
        if std::mem::replace(said, true) {
            return;
        }
        link.send(core.now, &mut core.actions, &Frame::Follow(Box::new(follow)));
        let to = *to;
        let raced = walk.dials.iter().filter(|(other, dial)| **other != id && dial.to == to && to != Target::Hint);
        for other in raced.map(|(&other, _)| other).collect::<Vec<_>>() {
            walk.dials.remove(&other);
            core.close(other, false);
        }
    }

    fn follow_frame(&self) -> Follow {
        let standing = self.standing.as_ref();
        let order = self.order();
        Follow {
            session: self.key,
            incarnation: self.incarnation(),
            reign: order.map_or(self.heir.reign, |order| order.reign),
            cfg: order.map_or(0, |order| order.cfg),
            promised: standing.map_or(0, |standing| standing.floor()),
            seat: standing.map_or(self.spec.user.identity.public(), |standing| standing.seat_key.public()),
            have: self.view.revision(),
            kept: standing.and_then(|standing| standing.keeper.as_ref()).map(|keeper| keeper.revision),
            state: standing.and_then(|standing| standing.state.as_ref()).map_or(0, |state| state.version),
        }
    }

    // ------------------------------------------------------------------------------------------------------- its links

    pub(super) fn walk_link(&mut self, core: &mut Core, event: LinkEvent) -> Option<Left> {
        if let Some((probe, _)) = self.heir.probe {
            match &event {
                LinkEvent::Open { link, .. } if *link == probe => {
                    core.close(probe, false);
                    self.heir.probe = None;
                    self.host_answers(core);
                    return None;
                }
                LinkEvent::Closed { link, why } if *link == probe => {
                    core.forget(probe);
                    self.heir.probe = None;
                    let dead = matches!(why, Closed::Refused | Closed::WrongKey);
                    return if dead { self.dead_behind_its_link(core) } else { None };
                }
                _ => {}
            }
        }
        let walk = self.heir.walk.as_mut()?;
        match event {
            LinkEvent::Open { link: id, peer, binding, remote, fallback, .. } => {
                let dial = walk.dials.get_mut(&id)?;
                if fallback {
                    walk.dials.remove(&id);
                    core.close(id, false);
                    return None;
                }
                dial.link = Some(Link::new(core.now, id, peer, binding, remote));
                let current = walk.route.get(walk.at).copied();
                let due = match dial.to {
                    Target::Place(place) => Some(place) == current && matches!(walk.step, Step::Asking),
                    Target::Hint => true,
                };
                if due {
                    walk.until = walk.until.max(core.now + core.tuning.rank);
                    self.say_follow(core, id);
                }
                None
            }
            LinkEvent::Frame { link: id, kind, more, payload } => {
                let link = walk.dials.get_mut(&id)?.link.as_mut()?;
                match link.receive(core.now, kind, more, payload, MAX_MESSAGE) {
                    Ok(frame) => self.walk_heard(core, id, frame?),
                    Err(()) => {
                        core.close(id, false);
                        self.walk_lost(core, id);
                        None
                    }
                }
            }
            LinkEvent::Written { link: id, bytes } => {
                if let Some(link) = walk.dials.get_mut(&id).and_then(|dial| dial.link.as_mut()) {
                    link.written(core.now, bytes);
                }
                None
            }
            LinkEvent::Closed { link, .. } => {
                core.forget(link);
                self.walk_lost(core, link);
                None
            }
            _ => None,
        }
    }

    fn walk_lost(&mut self, core: &mut Core, id: LinkId) {
        let Some(walk) = &mut self.heir.walk else { return };
        let Some(dial) = walk.dials.remove(&id) else { return };
        let current = walk.route.get(walk.at).copied();
        let left = walk.dials.values().any(|other| other.to == dial.to);
        let gone = match walk.step {
            Step::Asking => dial.to == Target::Place(current.unwrap_or(usize::MAX)) && !left,
            Step::Parked(at) => at == id,
            Step::Standing { .. } | Step::Resting => false,
        };
        if gone {
            self.next_place(core);
        }
    }

    fn drop_dial(&mut self, core: &mut Core, id: LinkId) {
        core.close(id, false);
        self.walk_lost(core, id);
    }

    fn walk_heard(&mut self, core: &mut Core, id: LinkId, frame: Frame) -> Option<Left> {
        match frame {
            Frame::Parked => {
                let until = core.now + self.ballot_time(core);
                let walk = self.heir.walk.as_mut()?;
                let dial = walk.dials.get(&id)?;
                let current = Target::Place(walk.route.get(walk.at).copied().unwrap_or(usize::MAX));
                if dial.to == current && matches!(walk.step, Step::Asking) {
                    (walk.step, walk.until) = (Step::Parked(id), until);
                }
            }
            Frame::HostAlive => {
                let pause = core.tuning.host_alive;
                core.close(id, false);
                let walk = self.heir.walk.as_mut()?;
                walk.dials.remove(&id);
                (walk.step, walk.until) = (Step::Resting, core.now + pause);
                self.seek_round(core);
            }
            Frame::VoteAsk(ask) => self.asked_to_vote(core, id, &ask),
            Frame::Pull => self.pulled(core, id),
            Frame::NotHost(way) => {
                core.close(id, true);
                self.walk_lost(core, id);
                self.pointed(core, &way);
            }
            Frame::Won { lineage, began } => self.heard_won(core, id, lineage, began),
            Frame::Refuse { .. } | Frame::End { .. } => self.drop_dial(core, id),
            _ => {}
        }
        None
    }

    fn asked_to_vote(&mut self, core: &mut Core, id: LinkId, ask: &VoteAsk) {
        let have = self.view.revision();
        let (Some(standing), Some(walk)) = (&mut self.standing, &mut self.heir.walk) else { return };
        let Some(link) = walk.dials.get_mut(&id).filter(|dial| dial.said).and_then(|dial| dial.link.as_mut()) else {
            return;
        };
        // A machine that is not in the electorate may wait; its word does not count.
        let vote = standing.stands.then(|| standing.cast(ask.ballot, ask.have, have)).flatten();
        let frame = match vote {
            Some(vote) => Frame::Vote(Box::new(vote)),
            None => Frame::NoVote { promised: standing.floor(), have },
        };
        link.send(core.now, &mut core.actions, &frame);
    }

    fn pulled(&mut self, core: &mut Core, id: LinkId) {
        let (Some(standing), Some(walk)) = (&self.standing, &mut self.heir.walk) else { return };
        let Some(link) = walk.dials.get_mut(&id).filter(|dial| dial.said).and_then(|dial| dial.link.as_mut()) else {
            return;
        };
        if let Some(succession) = &standing.succession {
            link.send(core.now, &mut core.actions, &Frame::Succession(Box::new(succession.clone())));
        }
        let pulled = Pulled {
            snapshot: self.view.state().clone(),
            keeper: standing.keeper.clone(),
            state: standing.state.clone(),
        };
        link.send(core.now, &mut core.actions, &Frame::Pulled(Box::new(pulled)));
    }

    /// The session goes on there, somebody says: asked there, which proves it.
    pub(super) fn pointed(&mut self, core: &mut Core, way: &Way) {
        let reign = way.proved(self.key, self.incarnation());
        if reign.is_some_and(|reign| self.is_later(reign, &way.lineage)) {
            self.ask_at(core, way.host_key, &way.addresses);
        }
    }

    pub(super) fn ask_at(&mut self, core: &mut Core, host_key: HostKey, addresses: &[SocketAddr]) {
        if self.heir.walk.is_none() {
            let route = self.route(&[]);
            let mut walk = Walk::new(core.now, false, route, Vec::new());
            walk.until = core.now + core.tuning.ballot;
            self.heir.walk = Some(walk);
        }
        for &address in addresses {
            self.dial_hint(core, address, Some(host_key));
        }
    }

    /// Whether a proved reign is that of the host that is followed, stands over it, or came out of it: where that host is lost,
    /// a branch of its own session is better than none.
    fn is_later(&self, reign: Reign, lineage: &[Takeover]) -> bool {
        let ours = self.heir.reign;
        let descends = || lineage.iter().any(|takeover| takeover.order.reign == ours);
        reign == ours || reign.supersedes(ours) || (self.is_seeking() && descends())
    }

    fn heard_won(&mut self, core: &mut Core, id: LinkId, lineage: Vec<Takeover>, began: u64) {
        let said = |dial: &Dial| dial.said && dial.link.is_some();
        let Some(walk) = self.heir.walk.as_mut().filter(|walk| walk.dials.get(&id).is_some_and(said)) else { return };
        let Some(link) = walk.dials.get_mut(&id).and_then(|dial| dial.link.take()) else { return };
        let host_key = HostKey::from(link.peer);
        match follow(self.key, self.incarnation(), &lineage) {
            Some((key, reign)) if key == host_key && self.is_later(reign, &lineage) => {
                if let Some(walk) = &mut self.heir.walk {
                    walk.dials.remove(&id);
                }
                self.follow_host(core, host_key, reign, lineage, began);
                self.return_by(core, link);
            }
            _ => self.drop_dial(core, id),
        }
    }

    /// Another is the host from now on, by proof. The seat is there once it has said so.
    fn follow_host(&mut self, core: &mut Core, host_key: HostKey, reign: Reign, lineage: Vec<Takeover>, began: u64) {
        if reign != self.heir.reign {
            self.heir.moved = true;
            if let Some(standing) = &mut self.standing {
                standing.enter_branch(reign);
                standing.promise(reign.term);
                if !reign.same_branch(self.heir.reign) {
                    // Orders of another branch mean nothing in this one.
                    (standing.succession, standing.former) = (None, None);
                }
            }
        }
        (self.heir.reign, self.heir.lineage, self.heir.began) = (reign, lineage, began);
        self.spec.host_key = Some(host_key);
        let way = Way { host_key, ..self.way() };
        self.end_walk(core, &Frame::NotHost(Box::new(way)));
        self.heir.lost = Some(Lost { at: core.now, by_peer: false });
    }

    // --------------------------------------------------------------------------------------------------- its own turn

    fn ballot_time(&self, core: &Core) -> Duration {
        let ballot = core.tuning.ballot;
        let any = self.order().is_some_and(|order| order.policy == Migration::AnySurvivor);
        if any { ballot.max(core.tuning.any_survivor + core.tuning.rank) } else { ballot }
    }

    /// Whether it stands: asks all who wait here, and those who will.
    fn stand_now(&mut self, core: &mut Core) -> bool {
        let until = core.now + self.ballot_time(core);
        let full = self.heir.lineage.len() >= MAX_LINEAGE;
        let (Some(standing), Some(walk)) = (&mut self.standing, &mut self.heir.walk) else { return false };
        // The listener is not there yet, or the chain of hosts is as long as it may be.
        if standing.port == 0 || full {
            return false;
        }
        let own = standing.seat_key.public();
        let given = walk.given.iter().find(|vote| vote.ballot.candidate == own).cloned();
        let Some(mut tally) = standing.stand(walk.seen, given.as_ref().map(|vote| vote.ballot.reign.term)) else {
            return false;
        };
        if let Some(vote) = given {
            tally.add(vote);
        }
        (walk.step, walk.until) = (Step::Standing { tally, since: core.now }, until);
        walk.ballots = 0;
        self.ask_parked(core);
        self.count(core);
        true
    }

    /// Its user would be no host any more: who waits here goes on. Whether it stood.
    pub(super) fn stand_down(&mut self, core: &mut Core) -> bool {
        self.dismiss_parked(core, &super::migrating(core));
        let Some(walk) = &mut self.heir.walk else { return false };
        let stood = matches!(walk.step, Step::Standing { .. });
        if stood {
            walk.step = Step::Resting;
            self.heir.won = None;
        }
        stood
    }

    /// A higher term is promised somewhere: the same again above it.
    pub(super) fn stand_again(&mut self, core: &mut Core) {
        let (Some(standing), Some(walk)) = (&mut self.standing, &mut self.heir.walk) else { return };
        walk.ballots += 1;
        if walk.ballots > MAX_BALLOTS {
            return;
        }
        let (seen, Step::Standing { tally, .. }) = (walk.seen, &mut walk.step) else { return };
        let Some(next) = standing.stand(seen, None) else { return };
        *tally = next;
        self.ask_parked(core);
        self.count(core);
    }

    /// Whether the votes are enough. What somebody has more of is waited for first.
    pub(super) fn count(&mut self, core: &mut Core) {
        let (now, wait) = (core.now, core.tuning.any_survivor);
        let least = core.tuning.ballot / 2;
        let (Some(standing), Some(walk)) = (&self.standing, &self.heir.walk) else { return };
        let Some(succession) = &standing.succession else { return };
        let Step::Standing { tally, since } = &walk.step else { return };
        if walk.pulling.is_some_and(|until| until > now) {
            return;
        }
        let order = &succession.order;
        let mut won = tally.takeover(order);
        if won.is_none() && order.policy == Migration::AnySurvivor {
            let alone = walk.proof && order.voters.len() <= 2;
            let first = walk.began == *since || walk.began + wait > *since;
            let due = if first { walk.began + wait } else { *since + least };
            if alone || due <= now {
                let (branch, random) = (core.rng.next_u64(), core.rng.next_u32());
                let host = standing.host.as_ref();
                won = host.and_then(|host| super::vote::fork(order, &standing.seat_key, host, branch, random));
            }
        }
        self.heir.won = won;
    }

    /// When a candidate goes on without a majority.
    fn fork_at(&self, core: &Core) -> Option<Moment> {
        // An order that came meanwhile may not name it: then it goes on with nobody.
        let own = self.standing.as_ref().map(|standing| standing.seat_key.public());
        let named = |order: &Order| own.is_some_and(|own| order.position(own).is_some());
        let any = self.order().is_some_and(|order| order.policy == Migration::AnySurvivor && named(order));
        // What is waited for comes first: a time that has passed would be due again and again.
        let walk = self.heir.walk.as_ref().filter(|walk| any && walk.pulling.is_none())?;
        let Step::Standing { since, .. } = &walk.step else { return None };
        let first = walk.began + core.tuning.any_survivor;
        Some(if first > *since { first } else { *since + core.tuning.ballot / 2 })
    }

    // ------------------------------------------------------------------------------------------------------------ time

    pub(super) fn walk_deadline(&self, core: &Core) -> Option<Moment> {
        let verdict = self.verdict_at(core);
        let probe = self.heir.probe.map(|(_, until)| until);
        let walk = self.heir.walk.as_ref();
        let steps = walk.map(|walk| walk.until);
        let pull = walk.and_then(|walk| walk.pulling);
        [verdict, probe, steps, pull, self.fork_at(core)].into_iter().flatten().min()
    }

    /// When a lost host that does not answer counts as dead.
    fn verdict_at(&self, core: &Core) -> Option<Moment> {
        let lost = self.heir.lost.filter(|_| self.heir.walk.is_none() && self.migrates() && self.is_seeking())?;
        // A host that closed, and one that was silent for so long already; else what broke may be this machine's own.
        let wait = if lost.by_peer { core.tuning.dial_closed } else { self.patience(core) };
        Some(lost.at + wait)
    }

    fn patience(&self, core: &Core) -> Duration {
        if self.silent { core.tuning.dial_closed } else { self.silence }
    }

    pub(super) fn walk_timeout(&mut self, core: &mut Core) -> Option<Left> {
        if self.heir.probe.is_some_and(|(_, until)| until <= core.now) {
            if let Some((link, _)) = self.heir.probe.take() {
                core.close(link, false);
            }
            self.host_silent(core);
        }
        if self.verdict_at(core).is_some_and(|at| at <= core.now) {
            return self.start_walk(core, false, Vec::new());
        }
        if self.fork_at(core).is_some_and(|at| at <= core.now) {
            self.count(core);
        }
        let walk = self.heir.walk.as_mut()?;
        if walk.pulling.is_some_and(|until| until <= core.now) {
            walk.pulling = None;
            self.ask_parked(core);
            self.count(core);
        }
        let walk = self.heir.walk.as_mut()?;
        if self.heir.won.is_some() || walk.until > core.now {
            return None;
        }
        match &walk.step {
            Step::Asking => {
                let place = walk.route.get(walk.at).map(|&place| Target::Place(place));
                let dials = walk.dials.iter().filter(|(_, dial)| Some(dial.to) == place);
                let dials: Vec<_> = dials.map(|(&link, _)| link).collect();
                for link in dials {
                    walk.dials.remove(&link);
                    core.close(link, false);
                }
                self.next_place(core);
            }
            Step::Parked(link) => {
                let link = *link;
                self.drop_dial(core, link);
            }
            Step::Standing { .. } => {
                self.dismiss_parked(core, &super::migrating(core));
                self.next_place(core);
            }
            Step::Resting => {
                self.renew_route();
                self.walk_round(core);
            }
        }
        None
    }

    /// The order may have become a later one.
    fn renew_route(&mut self) {
        let given = self.heir.walk.as_mut().map(|walk| std::mem::take(&mut walk.given)).unwrap_or_default();
        let route = self.route(&given);
        if let Some(walk) = &mut self.heir.walk {
            (walk.route, walk.given) = (route, given);
        }
    }

    /// Discovery heard the session's host at these addresses.
    pub(super) fn walk_hints(&mut self, core: &mut Core, addresses: &[SocketAddr]) {
        let Some(walk) = &mut self.heir.walk else { return };
        walk.hints = addresses.iter().take(limits::ADDRESSES).copied().collect();
        for &address in addresses {
            self.dial_hint(core, address, None);
        }
    }

    /// This process slept: nobody waited meanwhile.
    pub(super) fn excuse_walk(&mut self, by: Duration) {
        if let Some(walk) = &mut self.heir.walk {
            walk.until = walk.until + by;
            walk.began = walk.began + by;
        }
        if let Some(lost) = &mut self.heir.lost {
            lost.at = lost.at + by;
        }
    }
}

impl Walk {
    fn new(now: Moment, proof: bool, route: Vec<usize>, given: Vec<Vote>) -> Self {
        Self {
            began: now,
            proof,
            route,
            at: 0,
            until: now,
            step: Step::Resting,
            dials: BTreeMap::new(),
            seen: 0,
            given,
            ballots: 0,
            pulling: None,
            hints: Vec::new(),
        }
    }
}

/// A random part of it.
fn part(core: &mut Core, whole: Duration) -> Duration {
    whole * (core.rng.next_u32() % 1_001) / 1_000
}

/// Whether one order of this branch is later than another.
pub(super) fn is_newer(order: &Order, than: Option<&Order>) -> bool {
    than.is_none_or(|than| order.reign.same_branch(than.reign) && age(order) > age(than))
}
