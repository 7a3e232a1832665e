//! Who goes on after this host: which machines stand for it, the orders it signs, and who has them (protocol.md,
//! "Succession").

mod electorate;
mod keepers;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use self::electorate::Electorate;
use self::keepers::Keepers;
use super::super::core::{Core, Owner};
use super::HostAuthority;
use crate::proto::clock::Moment;
use crate::proto::io::{Answer, LinkEvent, LinkId, Output, RequestId, SuccessionView};
use crate::proto::limits;
use crate::proto::links::{Encoded, encode};
use crate::types::{AccountId, Error, ErrorKind, GameState, HostKey, Identity, Migration, PublicKey, SessionEvent};
use crate::wire::frame::{Frame, MAX_WAYS, Order, OrderAck, Reign, Stand, Succession, Successor, Takeover, Voter};

/// What a host holds for the case that it is lost.
#[derive(Debug)]
pub(in crate::proto::sessions) struct Rule {
    pub(in crate::proto::sessions) reign: Reign,
    /// Signs the host's own votes.
    pub(in crate::proto::sessions) seat_key: Identity,
    /// How it came to be host.
    pub(in crate::proto::sessions) lineage: Vec<Takeover>,
    /// The accounts that come first, whatever their standing.
    pub(in crate::proto::sessions) explicit: Vec<AccountId>,
    /// The game's own state.
    pub(in crate::proto::sessions) state: Option<GameState>,
    pub(in crate::proto::sessions) electorate: Electorate,
    /// The present order, signed.
    pub(in crate::proto::sessions) succession: Option<Succession>,
    /// The highest term that one of its machines has promised to another, where that is above the reign's own: an election
    /// that came to nothing.
    pub(in crate::proto::sessions) promised: Option<u32>,
    /// The present order as it goes out.
    encoded: Option<Encoded>,
    /// Whose machines stand.
    peers: BTreeMap<AccountId, Peer>,
    keepers: Keepers,
    /// Most of the machines that vote are away, and it was told.
    quorum_lost: bool,
    told: SuccessionView,
}

/// One member's machine.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Peer {
    seat: PublicKey,
    /// The key that it would serve under.
    host: Option<HostKey>,
    /// Where it listens: as the host sees it, then as it says.
    addresses: Vec<SocketAddr>,
    /// It was dialled and proved that key.
    eligible: bool,
    reach: Reach,
    /// The next change of it is not before this.
    next_after: Moment,
    /// What it has said meanwhile.
    next: Option<Stand>,
    /// The link on which it has acked an order last: since then it can have promised nothing to another.
    acked_by: Option<LinkId>,
    /// When it votes no more, while its link is lost.
    out_at: Option<Moment>,
    /// That time is over.
    out: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Found out, one way or the other.
    Known,
    Due,
    Asked {
        link: LinkId,
        until: Moment,
    },
}

impl Rule {
    /// The founder's, where the session is to outlive it.
    pub(super) fn of_founder(core: &mut Core, policy: Migration) -> Result<Option<Self>, Error> {
        if policy == Migration::Disabled {
            return Ok(None);
        }
        let seat_key = Identity::from_seed(core.random())?;
        let electorate = Electorate::alone(seat_key.public());
        Ok(Some(Self::new(Reign::FOUNDER, seat_key, Vec::new(), None, electorate)))
    }

    /// That of a host that goes on: the machines of the order by which it came to be, none of which has come yet.
    pub(super) fn restored(
        reign: Reign,
        seat_key: Identity,
        lineage: Vec<Takeover>,
        state: Option<GameState>,
        last: Option<&Succession>,
    ) -> Self {
        let own = seat_key.public();
        let won = lineage.last().map(|takeover| &takeover.order).or(last.map(|last| &last.order));
        let voters = won.map(|order| order.voters.clone()).unwrap_or_default();
        // A new branch has votes of its own: it begins anew.
        let forked = won.is_some_and(|order| !order.reign.same_branch(reign));
        let electorate = if forked { Electorate::alone(own) } else { Electorate::adopted(own, &voters) };
        let mut this = Self::new(reign, seat_key, lineage, state, electorate);
        for (voter, successor) in last.iter().flat_map(|last| last.order.voters.iter().zip(&last.successors)) {
            // The former host is none of them, until it stands again.
            let Some(host) = voter.host.filter(|_| voter.seat != own) else { continue };
            let peer = Peer {
                seat: voter.seat,
                host: Some(host),
                addresses: successor.addresses.clone(),
                eligible: true,
                reach: Reach::Known,
                next_after: Moment::ZERO,
                next: None,
                acked_by: None,
                out_at: None,
                out: false,
            };
            this.peers.insert(successor.account, peer);
        }
        this
    }

    fn new(
        reign: Reign,
        seat_key: Identity,
        lineage: Vec<Takeover>,
        state: Option<GameState>,
        electorate: Electorate,
    ) -> Self {
        Self {
            reign,
            seat_key,
            lineage,
            explicit: Vec::new(),
            state,
            electorate,
            succession: None,
            promised: None,
            encoded: None,
            peers: BTreeMap::new(),
            keepers: Keepers::default(),
            quorum_lost: false,
            told: SuccessionView::default(),
        }
    }

    /// The same host goes on in another reign, whose first order is that of the same machines; in another branch it begins
    /// with itself.
    pub(super) fn begin(&mut self, takeover: Takeover) {
        let own = self.seat_key.public();
        let forked = !takeover.reign.same_branch(self.reign);
        self.electorate =
            if forked { Electorate::alone(own) } else { Electorate::adopted(own, self.electorate.voters()) };
        self.reign = takeover.reign;
        self.lineage.push(takeover);
        (self.succession, self.encoded, self.promised) = (None, None, None);
    }

    fn peer_of(&self, seat: PublicKey) -> Option<(AccountId, &Peer)> {
        self.peers.iter().find(|(_, peer)| peer.seat == seat).map(|(&account, peer)| (account, peer))
    }

    /// Whether a key is one of another machine already.
    fn is_taken(&self, by: AccountId, key: PublicKey) -> bool {
        let has = |peer: &Peer| peer.seat == key || peer.host.is_some_and(|host| host.public_key() == key);
        self.seat_key.public() == key || self.peers.iter().any(|(&of, peer)| of != by && has(peer))
    }

    fn deadline(&self) -> Option<Moment> {
        let of_peer = |peer: &Peer| {
            let dial = match peer.reach {
                Reach::Known | Reach::Due => None,
                Reach::Asked { until, .. } => Some(until),
            };
            let next = peer.next.as_ref().map(|_| peer.next_after);
            [dial, next, peer.out_at.filter(|_| !peer.out)].into_iter().flatten().min()
        };
        self.peers.values().filter_map(of_peer).chain(self.keepers.deadline()).min()
    }
}

impl HostAuthority {
    // ------------------------------------------------------------------------------------------------ what members say

    /// A member's machine stands, or stands otherwise. Each change costs every member a frame, so there is one a second.
    pub(super) fn stood(&mut self, core: &mut Core, account: AccountId, stand: Stand) {
        let Some(rule) = &mut self.succession else { return };
        match rule.peers.get_mut(&account).filter(|peer| peer.next_after > core.now) {
            Some(peer) => peer.next = Some(stand),
            None => self.stands(core, account, &stand),
        }
        self.wake = None;
        self.review(core);
    }

    /// One whose keys are another's does not.
    fn stands(&mut self, core: &mut Core, account: AccountId, stand: &Stand) {
        let (Some(rule), Some(seat)) = (&mut self.succession, self.seats.get(&account)) else { return };
        let Some(link) = &seat.link else { return };
        // One process is one machine, however many of its users are here.
        let beside = seat.machine.is_some_and(|leader| rule.peers.contains_key(&leader));
        let host = stand.host.filter(|_| stand.port != 0);
        let ours = [self.host.public()];
        let keys = std::iter::once(stand.seat).chain(host.map(HostKey::public_key));
        let mut taken = keys.map(|key| ours.contains(&key) || rule.is_taken(account, key));
        if beside || taken.any(|taken| taken) || host.is_some_and(|host| host.public_key() == stand.seat) {
            return;
        }
        let addresses = if host.is_some() { ways(link.remote, stand) } else { Vec::new() };
        let former = rule.peers.get(&account);
        let known = former.is_some_and(|peer| {
            (peer.seat, peer.host, peer.addresses.first()) == (stand.seat, host, addresses.first()) && peer.eligible
        });
        let peer = Peer {
            seat: stand.seat,
            host,
            addresses,
            eligible: known,
            reach: if host.is_some() && !known { Reach::Due } else { Reach::Known },
            next_after: core.now + core.tuning.dial_back,
            next: None,
            acked_by: former.filter(|peer| peer.seat == stand.seat).and_then(|peer| peer.acked_by),
            out_at: None,
            out: false,
        };
        if let Some(Peer { reach: Reach::Asked { link, .. }, .. }) = rule.peers.insert(account, peer) {
            core.close(link, false);
        }
    }

    /// A machine has an order. One that has promised its vote to another since does not count.
    pub(super) fn order_acked(&mut self, core: &mut Core, account: AccountId, ack: OrderAck) {
        let Some(rule) = &mut self.succession else { return };
        let Some(seat) = rule.peers.get(&account).map(|peer| peer.seat) else { return };
        if ack.reign != rule.reign {
            return;
        }
        if ack.promised > rule.reign.term {
            rule.promised = rule.promised.max(Some(ack.promised));
            self.wake = None;
            self.reaffirm(core);
        } else {
            rule.electorate.ack(seat, ack.cfg);
            let link = self.seats.get(&account).and_then(|seat| seat.link.as_ref()).map(|link| link.id);
            if let Some(peer) = rule.peers.get_mut(&account) {
                peer.acked_by = link;
            }
            self.wake = None;
            self.review(core);
        }
    }

    /// A member leaves of its own accord: its machine gives no vote any more. What it may have promised while its link was
    /// lost is not known unless it has acked an order since: then it holds the next order up as one that vanished.
    pub(super) fn resigned(&mut self, account: AccountId) {
        let link = self.seats.get(&account).and_then(|seat| seat.link.as_ref()).map(|link| link.id);
        let Some(rule) = &mut self.succession else { return };
        if let Some(peer) = rule.peers.get(&account).filter(|peer| peer.acked_by.is_some() && peer.acked_by == link) {
            rule.electorate.resign(peer.seat);
        }
    }

    // ------------------------------------------------------------------------------------------------------- the order

    /// Does what is due after anything has changed: whom to dial, who votes no more, the next order, who keeps what.
    pub(in crate::proto::sessions) fn review(&mut self, core: &mut Core) {
        if self.succession.is_none() || self.opening.is_some() {
            return;
        }
        self.follow_peers(core);
        self.dial_back(core);
        while self.next_order(core) {}
        self.judge_quorum(core);
        self.keep(core);
        self.tell_succession(core);
    }

    fn follow_peers(&mut self, core: &mut Core) {
        let Some(rule) = &mut self.succession else { return };
        let gone: Vec<_> = rule.peers.keys().filter(|account| !self.seats.contains_key(account)).copied().collect();
        for account in gone {
            if let Some(Peer { reach: Reach::Asked { link, .. }, .. }) = rule.peers.remove(&account) {
                core.close(link, false);
            }
        }
        let due = |peer: &&mut Peer| peer.next.is_some() && peer.next_after <= core.now;
        let due = rule.peers.iter_mut().filter(|(_, peer)| due(peer));
        let due: Vec<_> = due.filter_map(|(&account, peer)| Some((account, peer.next.take()?))).collect();
        for (account, stand) in due {
            self.stands(core, account, &stand);
        }
        let Some(rule) = &mut self.succession else { return };
        for (account, peer) in &mut rule.peers {
            let linked = self.seats.get(account).is_some_and(|seat| seat.link.is_some());
            peer.out_at = if linked { None } else { peer.out_at.or(Some(core.now + core.tuning.voter_out)) };
            peer.out = peer.out_at.is_some_and(|at| at <= core.now);
            self.wake = None;
        }
    }

    /// One dial to each that would go on, where the host sees it: nobody is named who cannot be reached.
    fn dial_back(&mut self, core: &mut Core) {
        let Some(rule) = &mut self.succession else { return };
        for peer in rule.peers.values_mut() {
            match peer.reach {
                Reach::Asked { link, until } if until <= core.now => {
                    core.close(link, false);
                    peer.reach = Reach::Known;
                }
                Reach::Due if peer.out_at.is_none() => {
                    let (Some(&to), Some(key)) = (peer.addresses.first(), peer.host) else { continue };
                    let link = core.dial(Owner::Host(self.key), to, Some(key), &self.host);
                    peer.reach = Reach::Asked { link, until: core.now + core.tuning.dial_back };
                    self.wake = None;
                }
                _ => {}
            }
        }
    }

    /// What becomes of such a dial; whether the event was one's.
    pub(super) fn succession_link(&mut self, core: &mut Core, event: &LinkEvent) -> bool {
        let (id, open) = match event {
            LinkEvent::Open { link, .. } => (*link, true),
            LinkEvent::Closed { link, .. } => (*link, false),
            _ => return false,
        };
        let Some(rule) = &mut self.succession else { return false };
        let asked = |peer: &&mut Peer| matches!(peer.reach, Reach::Asked { link, .. } if link == id);
        let Some(peer) = rule.peers.values_mut().find(asked) else { return false };
        (peer.reach, peer.eligible) = (Reach::Known, open);
        if open {
            core.close(id, false);
        } else {
            core.forget(id);
        }
        self.wake = None;
        self.review(core);
        true
    }

    /// The machines that shall vote: those whose links stand or were lost just now, and of too many the longest standing; in
    /// the order in which they would go on.
    fn wanted(&self, rule: &Rule) -> Vec<Voter> {
        let mut all: Vec<_> = rule
            .peers
            .iter()
            .filter(|(_, peer)| !peer.out)
            // A newcomer waits for the dial: one order instead of two.
            .filter(|(_, peer)| peer.reach == Reach::Known || rule.electorate.has(peer.seat))
            .filter_map(|(&account, peer)| {
                let member = self.doc.state().member(account)?;
                Some(((member.joined_revision, member.number), account, peer))
            })
            .collect();
        all.sort_by_key(|(standing, ..)| *standing);
        all.truncate(limits::SUCCESSORS);
        let place = |account| rule.explicit.iter().position(|first| *first == account).unwrap_or(usize::MAX);
        all.sort_by_key(|&(standing, account, peer)| (!peer.eligible, place(account), standing));
        let voter = |peer: &Peer| Voter { seat: peer.seat, host: peer.host.filter(|_| peer.eligible) };
        all.into_iter().map(|(.., peer)| voter(peer)).collect()
    }

    /// Makes the next order, if there is one to make and most have the one before; tells it to every member.
    fn next_order(&mut self, core: &mut Core) -> bool {
        let Some(rule) = &self.succession else { return false };
        let wanted = self.wanted(rule);
        let Some(rule) = &mut self.succession else { return false };
        let first = rule.succession.is_none();
        if !first && !rule.electorate.step(&wanted) {
            return false;
        }
        let order = Order {
            session: self.key,
            host_key: self.host.public().into(),
            incarnation: self.incarnation,
            reign: rule.reign,
            cfg: rule.electorate.cfg(),
            policy: self.doc.state().migration,
            host_silence: super::admit::millis(core.tuning.host_silence),
            voters: rule.electorate.voters().to_vec(),
            signature: [0; 64],
        };
        let order = order.sign(&self.host);
        // A dedicated host names no account.
        let own = self.doc.state().host.unwrap_or_else(|| self.host.public().into());
        let before = rule.succession.iter().flat_map(|last| &last.successors);
        let former: BTreeMap<_, _> = before.map(|successor| (successor.seat, successor.account)).collect();
        let successor = |voter: &Voter| {
            let known = rule.peer_of(voter.seat);
            let addresses = known.filter(|_| voter.host.is_some()).map(|(_, peer)| peer.addresses.clone());
            let account = known.map(|(account, _)| account).or(former.get(&voter.seat).copied()).unwrap_or(own);
            Successor { account, seat: voter.seat, addresses: addresses.unwrap_or_default() }
        };
        let successors = order.voters.iter().map(successor).collect();
        let succession = Succession { order, successors, lineage: rule.lineage.clone() };
        let message = encode(&Frame::Succession(Box::new(succession.clone())));
        (rule.succession, rule.encoded) = (Some(succession), Some(message));
        for account in self.seats.keys().copied().collect::<Vec<_>>() {
            self.send_order(core, account);
        }
        true
    }

    /// The present order to one member: when there is a new one, and on each new link.
    pub(super) fn send_order(&mut self, core: &mut Core, account: AccountId) {
        let Some(message) = self.succession.as_ref().and_then(|rule| rule.encoded.clone()) else { return };
        let Some(seat) = self.seats.get_mut(&account).filter(|seat| seat.receiving) else { return };
        if !seat.insist_encoded(core, &message) {
            self.give_up_link(core, account);
        }
    }

    fn judge_quorum(&mut self, core: &mut Core) {
        let Some(rule) = &mut self.succession else { return };
        let linked = |seat: PublicKey| {
            let account = rule.peer_of(seat).map(|(account, _)| account);
            account.and_then(|account| self.seats.get(&account)).is_some_and(|seat| seat.link.is_some())
        };
        let there = rule.electorate.voters().iter().skip(1).filter(|voter| linked(voter.seat)).count() + 1;
        let lost = there < rule.electorate.quorum();
        if std::mem::replace(&mut rule.quorum_lost, lost) != lost {
            let event = if lost { SessionEvent::QuorumLost } else { SessionEvent::QuorumRegained };
            core.tell(self.seat, vec![event], None);
        }
    }

    fn tell_succession(&mut self, core: &mut Core) {
        let Some(rule) = &mut self.succession else { return };
        let Some(last) = &rule.succession else { return };
        let unreached =
            |peer: &Peer| peer.host.is_some() && !peer.eligible && peer.reach == Reach::Known && peer.out_at.is_none();
        let view = SuccessionView {
            term: rule.reign.term,
            cfg: last.order.cfg,
            successors: super::super::member::successors(last),
            voters: last.successors.iter().map(|successor| successor.account).collect(),
            acked: rule.electorate.acked(),
            unreached: rule.peers.iter().filter(|(_, peer)| unreached(peer)).map(|(&account, _)| account).collect(),
            state: rule.state.clone(),
        };
        if view != rule.told {
            rule.told = view.clone();
            core.outputs.push_back(Output::SeatSuccession { seat: self.seat, what: Box::new(view) });
        }
    }

    /// The last order that most have.
    pub(super) fn acked_order(&self) -> u32 {
        let acked = |rule: &Rule| rule.electorate.cfg() - u32::from(!rule.electorate.is_acked());
        self.succession.as_ref().map_or(0, acked)
    }

    pub(super) fn succession_deadline(&self) -> Option<Moment> {
        self.succession.as_ref().and_then(Rule::deadline)
    }

    /// This process slept: nobody is put out for that.
    pub(super) fn excuse_peers(&mut self, by: std::time::Duration) {
        for peer in self.succession.iter_mut().flat_map(|rule| rule.peers.values_mut()) {
            peer.out_at = peer.out_at.map(|at| at + by);
        }
    }

    /// The session ends: nobody need be dialled any more.
    pub(super) fn end_dials(&mut self, core: &mut Core) {
        for peer in self.succession.iter_mut().flat_map(|rule| rule.peers.values_mut()) {
            if let Reach::Asked { link, .. } = std::mem::replace(&mut peer.reach, Reach::Known) {
                core.close(link, false);
            }
        }
    }

    // ------------------------------------------------------------------------------------------ what the host's user asks

    fn rule_of_user(&mut self) -> Result<&mut Rule, Error> {
        let why = "the session ends with its host: it was made without a migration policy";
        self.succession.as_mut().ok_or_else(|| Error::new(ErrorKind::InvalidState, why))
    }

    pub(in crate::proto::sessions) fn set_state(&mut self, core: &mut Core, request: RequestId, data: Vec<u8>) {
        let set = GameState::check(&data).and_then(|()| {
            let rule = self.rule_of_user()?;
            let version = rule.state.as_ref().map_or(0, |state| state.version).saturating_add(1);
            rule.state = Some(GameState { version, data: data.into() });
            Ok(version)
        });
        if set.is_ok() {
            self.wake = None;
            self.review(core);
        }
        core.done(request, set.map(Answer::Version));
    }

    #[cfg(test)]
    pub(in crate::proto::sessions) fn first_successors(&self) -> &[AccountId] {
        self.succession.as_ref().map_or(&[], |rule| &rule.explicit)
    }

    pub(in crate::proto::sessions) fn set_successors(
        &mut self,
        core: &mut Core,
        request: RequestId,
        accounts: Vec<AccountId>,
    ) {
        let set = self.rule_of_user().map(|rule| rule.explicit = accounts);
        if set.is_ok() {
            self.touch_kept();
            self.review(core);
        }
        core.done(request, set.map(|()| Answer::Unit));
    }
}

/// Where a machine that would go on listens: as the host sees it, then as it says.
fn ways(remote: SocketAddr, stand: &Stand) -> Vec<SocketAddr> {
    let mut seen = remote;
    seen.set_port(stand.port);
    let mut ways = vec![seen];
    for said in stand.addresses.iter().map(|said| SocketAddr::new(said.ip(), stand.port)) {
        if ways.len() < MAX_WAYS && !said.ip().is_unspecified() && !ways.contains(&said) {
            ways.push(said);
        }
    }
    ways
}
