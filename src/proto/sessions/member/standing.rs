//! A member's machine in the succession: whether it would go on as host, and what it keeps for that (protocol.md,
//! "Succession" and "Keeper part").

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::super::core::{Core, Owner};
use super::super::doorman::Stage;
use super::super::host::Applied;
use super::super::join::JoinSpec;
use super::vote::Promise;
use super::{MemberSeat, Side};
use crate::proto::io::{Action, LinkEvent, LinkId, Output, SuccessionView};
use crate::proto::limits;
use crate::proto::links::Link;
use crate::types::{AccountId, GameState, HostKey, Identity, LanEvent, Migration, PublicKey, WIRE_MAJOR};
use crate::wire::frame::{Change, Delta, Frame, Keeper, Order, OrderAck, Reign, Stand, Succession, Vote, follow};

/// The most addresses of its own that a member tells.
const OWN_ADDRESSES: usize = 3;

/// What one seat holds for the case that its host is lost.
#[derive(Debug)]
pub(in crate::proto::sessions) struct Standing {
    /// Signs votes.
    pub(in crate::proto::sessions) seat_key: Identity,
    /// Whether it has said so to the host: of several seats of one process only the first does.
    pub(in crate::proto::sessions) stands: bool,
    /// Would serve under this key: the listener is open, or is being opened.
    pub(in crate::proto::sessions) host: Option<Identity>,
    /// Of the listener; 0 while there is none.
    pub(in crate::proto::sessions) port: u16,
    /// This machine's own, best first.
    pub(in crate::proto::sessions) addresses: Vec<IpAddr>,
    /// The last order of the present host, verified: its lineage leads to it.
    pub(in crate::proto::sessions) succession: Option<Succession>,
    /// The one before it.
    pub(in crate::proto::sessions) former: Option<Succession>,
    /// What else the host knows, while this is one of its first successors.
    pub(in crate::proto::sessions) keeper: Option<Keeper>,
    /// The game's own state, for the same.
    pub(in crate::proto::sessions) state: Option<GameState>,
    /// The highest term for which a vote was promised, in this branch; in memory only.
    pub(in crate::proto::sessions) promised: u32,
    /// For the same term and candidate the same vote again.
    pub(in crate::proto::sessions) voted: Option<Vote>,
    /// The branch in which that was promised, and what was in others.
    pub(in crate::proto::sessions) branch: Reign,
    pub(in crate::proto::sessions) past: Vec<Promise>,
    /// Who has come to the listener and proved its key.
    pub(in crate::proto::sessions) guests: BTreeMap<LinkId, Link>,
}

impl Standing {
    fn link(&mut self, id: LinkId) -> Option<&mut Link> {
        self.guests.get_mut(&id)
    }

    /// Whether the last order names this machine among the first successors, who keep what the host knows.
    pub(in crate::proto::sessions) fn is_keeper(&self) -> bool {
        let own = self.seat_key.public();
        self.succession.as_ref().is_some_and(|last| keepers(&last.order).any(|seat| seat == own))
    }
}

/// The machines that keep what the host knows: the first that would go on after it.
pub(in crate::proto::sessions) fn keepers(order: &Order) -> impl Iterator<Item = PublicKey> + '_ {
    order.voters.iter().filter(|voter| voter.host.is_some()).map(|voter| voter.seat).take(limits::KEEPERS)
}

/// The accounts that would go on, in their order.
pub(in crate::proto::sessions) fn successors(last: &Succession) -> Vec<AccountId> {
    let pairs = last.order.voters.iter().zip(&last.successors);
    pairs.filter(|(voter, _)| voter.host.is_some()).map(|(_, successor)| successor.account).collect()
}

impl MemberSeat {
    /// The seat is new: it takes part in the succession, where the session is to outlive its host.
    pub(in crate::proto::sessions) fn enter_succession(&mut self, core: &mut Core) {
        if self.view.state().migration == Migration::Disabled {
            return;
        }
        let Ok(seat_key) = Identity::from_seed(core.random()) else { return };
        self.standing = Some(Standing {
            seat_key,
            stands: false,
            host: None,
            port: 0,
            addresses: Vec::new(),
            succession: None,
            former: None,
            keeper: None,
            state: None,
            promised: 0,
            voted: None,
            branch: Reign::FOUNDER,
            past: Vec::new(),
            guests: BTreeMap::new(),
        });
    }

    /// Whether this seat is its machine's in the succession.
    pub(in crate::proto::sessions) fn stands(&self) -> bool {
        self.standing.as_ref().is_some_and(|standing| standing.stands)
    }

    /// A seat of which its user does not know yet might be left again: it is nobody to go on as host.
    pub(in crate::proto::sessions) fn may_stand(&self) -> bool {
        self.standing.is_some() && self.told
    }

    /// From now on it is.
    pub(in crate::proto::sessions) fn stand(&mut self, core: &mut Core, addresses: &[IpAddr]) {
        let Some(standing) = &mut self.standing else { return };
        standing.stands = true;
        standing.addresses = addresses.to_vec();
        if self.spec.can_host {
            self.offer(core);
        } else {
            self.say_stand(core);
        }
    }

    /// Asks for a listener under a fresh key; Stand follows once it is there.
    fn offer(&mut self, core: &mut Core) {
        let Ok(host) = Identity::from_seed(core.random()) else { return };
        let Some(standing) = &mut self.standing else { return };
        (standing.host, standing.port) = (Some(host.clone()), 0);
        core.actions.push_back(Action::Listen { session: self.key, key: host, port: 0 });
    }

    /// The answer to that.
    pub(in crate::proto::sessions) fn listening(&mut self, core: &mut Core, result: Result<u16, String>) {
        let Some(standing) = self.standing.as_mut().filter(|standing| standing.host.is_some()) else { return };
        match result {
            Ok(port) => standing.port = port,
            Err(why) => {
                standing.host = None;
                let why = format!("this machine cannot go on as host, its port cannot be opened: {why}");
                core.outputs.push_back(Output::Lan(LanEvent::Trouble(why)));
            }
        }
        self.say_stand(core);
    }

    /// Tells the host what this machine is: at the seat's begin, on a new link, and whenever it has changed.
    pub(in crate::proto::sessions) fn say_stand(&mut self, core: &mut Core) {
        let Some(standing) = self.standing.as_ref().filter(|standing| standing.stands) else { return };
        // Its port is being opened; the answer comes here.
        if standing.host.is_some() && standing.port == 0 {
            return;
        }
        let Side::Linked(link) = &mut self.side else { return };
        let (port, addresses) = match &standing.host {
            Some(_) => (standing.port, &*standing.addresses),
            None => (0, &[][..]),
        };
        let stand = Stand {
            seat: standing.seat_key.public(),
            host: standing.host.as_ref().map(|host| HostKey::from(host.public())),
            port,
            addresses: addresses.iter().take(OWN_ADDRESSES).map(|&ip| SocketAddr::new(ip, port)).collect(),
        };
        link.send(core.now, &mut core.actions, &Frame::Stand(Box::new(stand)));
    }

    /// This machine's addresses are others now.
    pub(in crate::proto::sessions) fn own_addresses(&mut self, core: &mut Core, addresses: &[IpAddr]) {
        let Some(standing) = self.standing.as_mut().filter(|standing| standing.stands) else { return };
        standing.addresses = addresses.to_vec();
        if standing.host.is_some() {
            self.say_stand(core);
        }
    }

    /// Whether its machine would go on as host from now on.
    pub(in crate::proto::sessions) fn set_can_host(&mut self, core: &mut Core, can: bool) {
        if std::mem::replace(&mut self.spec.can_host, can) == can || !self.stands() {
            return;
        }
        if can {
            self.offer(core);
        } else {
            let stood = self.stand_down(core);
            self.close_door(core);
            self.say_stand(core);
            if stood {
                self.next_place(core);
            }
        }
    }

    /// Listens no more, and keeps nothing for a host that it will not be.
    fn close_door(&mut self, core: &mut Core) {
        let Some(standing) = &mut self.standing else { return };
        (standing.keeper, standing.state) = (None, None);
        standing.guests.clear();
        if standing.host.take().is_none() {
            return;
        }
        standing.port = 0;
        core.actions.push_back(Action::Unlisten { session: self.key });
        let own = Owner::Standing(self.seat);
        let links: Vec<_> = core.owners.iter().filter(|(_, owner)| **owner == own).map(|(&link, _)| link).collect();
        links.into_iter().for_each(|link| core.close(link, false));
    }

    /// The seat has ended.
    pub(super) fn sit_down(&mut self, core: &mut Core) {
        self.close_door(core);
        self.standing = None;
    }

    // -------------------------------------------------------------------------------------------- the listener's links

    /// What happened on a link that came to this machine's listener.
    pub(in crate::proto::sessions) fn standing_link(&mut self, core: &mut Core, event: LinkEvent) {
        let limit = self.door_limit(super::super::link_of(&event));
        let Some(standing) = &mut self.standing else { return };
        match event {
            LinkEvent::Incoming { .. } => {}
            LinkEvent::HelloBegun { link } => core.doorman.reached(core.now, &core.tuning, link, Stage::Hello),
            LinkEvent::Open { link: id, peer, binding, remote, fallback, .. } => {
                let mut link = Link::new(core.now, id, peer, binding, remote);
                if fallback {
                    let frame = Frame::Incompatible { major: WIRE_MAJOR, version: core.version };
                    link.send(core.now, &mut core.actions, &frame);
                    core.close(id, true);
                    return;
                }
                core.doorman.reached(core.now, &core.tuning, id, Stage::Open);
                standing.guests.insert(id, link);
            }
            LinkEvent::Frame { link: id, kind, more, payload } => {
                let Some(link) = standing.link(id) else { return };
                match link.receive(core.now, kind, more, payload, limit) {
                    Ok(None | Some(Frame::Heartbeat)) => {}
                    Ok(Some(frame)) => self.guest_said(core, id, frame),
                    Err(()) => self.turn_out(core, id),
                }
            }
            LinkEvent::Written { link: id, bytes } => {
                if let Some(link) = standing.link(id) {
                    link.written(core.now, bytes);
                }
            }
            LinkEvent::Closed { link, .. } => {
                core.forget(link);
                standing.guests.remove(&link);
                self.guest_gone(link);
            }
        }
    }

    /// The door is crowded, or its time is up.
    pub(in crate::proto::sessions) fn turn_out(&mut self, core: &mut Core, link: LinkId) {
        if let Some(standing) = &mut self.standing {
            standing.guests.remove(&link);
        }
        self.guest_gone(link);
        core.close(link, false);
    }

    // ------------------------------------------------------------------------------------------------- the host's words

    /// A new order. One that does not follow on what is known here, or is not this host's, changes nothing.
    pub(in crate::proto::sessions) fn heard_order(&mut self, core: &mut Core, new: Succession) {
        let policy = self.view.state().migration;
        let expected = |order: &Order, spec: &JoinSpec| {
            let incarnation = spec.incarnation == 0 || spec.incarnation == order.incarnation;
            order.session == self.key && Some(order.host_key) == spec.host_key && incarnation && order.policy == policy
        };
        if !expected(&new.order, &self.spec) || !is_sound(&new) {
            return;
        }
        let Some(standing) = &mut self.standing else { return };
        let (reign, cfg) = (new.order.reign, new.order.cfg);
        let again = standing.succession.as_ref() == Some(&new);
        if !again {
            let last = standing.succession.as_ref();
            let follows = last.is_none_or(|last| {
                let had = &last.order;
                reign.supersedes(had.reign) || (reign == had.reign && cfg > had.cfg)
            });
            if !follows || !proved(&new, last) {
                return;
            }
            standing.enter_branch(reign);
            if self.heir.reign != reign {
                (self.heir.reign, self.heir.lineage) = (reign, new.lineage.clone());
            }
            standing.former = standing.succession.replace(new);
            if !standing.is_keeper() {
                (standing.keeper, standing.state) = (None, None);
            }
        }
        let (stands, promised) = (standing.stands, standing.promised);
        if let Side::Linked(link) = &mut self.side {
            if stands {
                link.send(core.now, &mut core.actions, &Frame::OrderAck(OrderAck { reign, cfg, promised }));
            }
        }
        if !again {
            self.tell_successors(core);
        }
    }

    pub(super) fn tell_successors(&self, core: &mut Core) {
        let standing = self.standing.as_ref().filter(|_| self.told);
        let Some(last) = standing.and_then(|standing| standing.succession.as_ref()) else { return };
        let what = SuccessionView {
            term: last.order.reign.term,
            cfg: last.order.cfg,
            successors: successors(last),
            voters: last.successors.iter().map(|successor| successor.account).collect(),
            ..SuccessionView::default()
        };
        core.outputs.push_back(Output::SeatSuccession { seat: self.seat, what: Box::new(what) });
    }

    /// The host's own half. Only the first successors hold it.
    pub(in crate::proto::sessions) fn heard_keeper(&mut self, mut keeper: Keeper) {
        let standing = self.standing.as_mut().filter(|standing| standing.is_keeper() && standing.host.is_some());
        let Some(standing) = standing else { return };
        // It waits for its turn on the link while deltas pass it: it does not undo what they told.
        let (at, view) = (keeper.revision, self.view.state());
        keeper.seats.retain(|seat| view.member(seat.account).is_none_or(|member| member.joined_revision <= at.number));
        if let Some(had) = standing.keeper.as_ref().filter(|had| had.revision.term == at.term) {
            let had: BTreeMap<_, _> = had.seats.iter().map(|seat| ((seat.account, seat.nonce), seat.applied)).collect();
            for seat in &mut keeper.seats {
                if let Some(&had) = had.get(&(seat.account, seat.nonce)) {
                    seat.applied = Applied::from(seat.applied).and(had.into()).into();
                }
            }
        }
        standing.keeper = Some(keeper);
    }

    pub(super) fn heard_state(&mut self, state: GameState) {
        if let Some(standing) =
            self.standing.as_mut().filter(|standing| standing.is_keeper() && standing.host.is_some())
        {
            standing.state = Some(state);
        }
    }

    /// A commit tells whose request took effect, before the next Keep does; and who has another seat now.
    pub(super) fn keep_delta(&mut self, delta: &Delta) {
        let Some(keeper) = self.standing.as_mut().and_then(|standing| standing.keeper.as_mut()) else { return };
        for change in &delta.changes {
            let other = match change {
                Change::MemberLeft { account, .. } => *account,
                Change::MemberJoined(member) | Change::MemberClaimed(member) => member.account,
                _ => continue,
            };
            keeper.seats.retain(|seat| seat.account != other);
        }
        if let Some(cause) = delta.cause {
            if let Some(seat) = keeper.seats.iter_mut().find(|seat| seat.account == cause.account) {
                let mut applied = Applied::from(seat.applied);
                applied.insert(cause.number);
                seat.applied = applied.into();
            }
        }
    }
}

/// Whether the parts of it fit each other.
fn is_sound(succession: &Succession) -> bool {
    let Succession { order, successors, .. } = succession;
    let named = order.voters.iter().zip(successors).all(|(voter, successor)| voter.seat == successor.seat);
    let seats: BTreeSet<_> = order.voters.iter().map(|voter| voter.seat).collect();
    let own = order.voters.first().is_some_and(|host| host.host.is_none());
    own && named && order.voters.len() == successors.len() && seats.len() == order.voters.len()
}

/// Whether its host signed it and is the host; the chain is not verified twice.
fn proved(new: &Succession, last: Option<&Succession>) -> bool {
    let order = &new.order;
    let known = |last: &Succession| {
        let had = &last.order;
        had.reign == order.reign && had.incarnation == order.incarnation && last.lineage == new.lineage
    };
    order.verify()
        && (last.is_some_and(known)
            || follow(order.session, order.incarnation, &new.lineage) == Some((order.host_key, order.reign)))
}
