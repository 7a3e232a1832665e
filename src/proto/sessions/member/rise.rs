//! A member that becomes the host, and a host that becomes a member: the seat stays the same one (protocol.md, "Win" and
//! "Two hosts").

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::super::core::Core;
use super::super::document::Document;
use super::super::host::RestoreFrom;
use super::super::join::JoinSpec;
use super::seek::Seek;
use super::social::Social;
use super::standing::Standing;
use super::vote::Promise;
use super::walk::Heir;
use super::{MemberSeat, Side};
use crate::proto::io::{LinkId, LocalUser, RequestId, SeatId};
use crate::proto::links::Link;
use crate::types::{GameState, HostKey, Identity, PublicKey, Secret, SessionEvent, SessionSnapshot};
use crate::wire::frame::{Frame, Keeper, Reign, Request, Succession, Takeover, Vote, Way};

/// What a member leaves behind that has become the host.
#[derive(Debug)]
pub(in super::super) struct Risen {
    pub(in super::super) from: RestoreFrom,
    /// The state before it.
    pub(in super::super) before: SessionSnapshot,
    /// Who came to its listener, and whether it waits for the next host.
    pub(in super::super) guests: Vec<(Link, bool)>,
    /// What its user asked of the former host and has no answer to.
    pub(in super::super) open: BTreeMap<u32, (RequestId, Request)>,
    /// Who may be host beside it, and where: the one before it; where it goes on without a majority, whoever may do the same.
    pub(in super::super) rivals: Vec<(HostKey, Vec<SocketAddr>)>,
    /// What its machine has promised, in each branch.
    pub(in super::super) promises: Vec<Promise>,
    /// Its user was told that the link is lost.
    pub(in super::super) was_lost: bool,
}

/// A host that is none any more.
#[derive(Debug)]
pub(in super::super) struct Fallen {
    pub(in super::super) seat: SeatId,
    pub(in super::super) local_name: String,
    pub(in super::super) user: LocalUser,
    pub(in super::super) view: SessionSnapshot,
    pub(in super::super) incarnation: u64,
    pub(in super::super) password_key: Option<Secret>,
    pub(in super::super) silence: Duration,
    pub(in super::super) grace: Duration,
    /// Its listener stays.
    pub(in super::super) host: Identity,
    pub(in super::super) port: u16,
    pub(in super::super) addresses: Vec<IpAddr>,
    pub(in super::super) seat_key: Identity,
    pub(in super::super) reign: Reign,
    pub(in super::super) lineage: Vec<Takeover>,
    pub(in super::super) began: u64,
    pub(in super::super) succession: Option<Succession>,
    pub(in super::super) keeper: Keeper,
    pub(in super::super) state: Option<GameState>,
    /// Of its machine, before it was host.
    pub(in super::super) promises: Vec<Promise>,
    /// The highest term in which it has voted, for itself or for another, in the branch of its reign.
    pub(in super::super) promised: u32,
}

/// The other candidates of an order.
fn candidates(last: &Succession, own: PublicKey) -> impl Iterator<Item = (HostKey, Vec<SocketAddr>)> + '_ {
    let others = last.order.voters.iter().zip(&last.successors).filter(move |(voter, _)| voter.seat != own);
    others.filter_map(|(voter, successor)| Some((voter.host?, successor.addresses.clone())))
}

impl MemberSeat {
    /// It has won: all of it, for the host that it is from now on.
    pub(in super::super) fn rise(mut self, core: &mut Core) -> Option<Risen> {
        let takeover = self.heir.won.take()?;
        let standing = self.standing.take()?;
        let incarnation = takeover.order.incarnation;
        let forked = takeover.reign.forks > takeover.order.reign.forks;
        let promises = standing.promises();
        let before = self.view.state().clone();
        let waits: Vec<LinkId> = self.heir.parked.keys().copied().collect();
        // They are told as guests of the host.
        self.heir.parked.clear();
        self.end_walk(core, &Frame::HostAlive);
        if let Side::Seeking(seek) = &mut self.side {
            seek.stop(core);
        }
        // The chain that leads to the order, which may be older than the host that was followed last.
        let known = standing.succession.as_ref().map(|succession| succession.lineage.clone());
        let mut lineage = known.unwrap_or(self.heir.lineage);
        let reign = takeover.reign;
        lineage.push(takeover);
        let guests = standing.guests.into_iter().map(|(id, link)| (link, waits.contains(&id))).collect();
        let open = self.open.into_iter().map(|(number, open)| (number, (open.request, open.body))).collect();
        let from = RestoreFrom {
            user: self.spec.user,
            local_name: self.local_name,
            seat: self.seat,
            snapshot: before.clone(),
            keeper: standing.keeper,
            state: standing.state,
            host: standing.host?,
            port: standing.port,
            incarnation,
            reign,
            lineage,
            seat_key: standing.seat_key,
            succession: standing.succession,
        };
        let mut rivals = vec![(before.host_key, self.addresses)];
        if forked {
            rivals.extend(from.succession.iter().flat_map(|last| candidates(last, from.seat_key.public())));
        }
        Some(Risen { promises, from, before, guests, open, was_lost: self.told, rivals })
    }

    /// The seat of a host that handed over, or gave way. It looks for the next one where its votes went, or where that one
    /// says that it is.
    pub(in super::super) fn of_host(core: &mut Core, fallen: Fallen) -> Self {
        let account = fallen.user.identity.account();
        let attributes = fallen.view.member(account).map(|member| member.attributes.clone()).unwrap_or_default();
        let spec = JoinSpec {
            key: Some(fallen.view.key),
            host_key: Some(fallen.view.host_key),
            incarnation: fallen.incarnation,
            nonce: core.random(),
            peer_incarnation: u64::from_be_bytes(core.random()),
            ticket: Vec::new(),
            attributes,
            invite: None,
            password_key: fallen.password_key,
            rounds: core.tuning.password_rounds,
            role: None,
            status: crate::types::MemberStatus::Active,
            party: Vec::new(),
            reserve_for: Vec::new(),
            patient: false,
            can_host: true,
            user: fallen.user,
        };
        let mut heir = Heir::new(fallen.reign, fallen.lineage, fallen.began);
        heir.joins = true;
        let give_up = core.now + fallen.grace + core.tuning.give_up;
        Self {
            seat: fallen.seat,
            local_name: fallen.local_name,
            key: fallen.view.key,
            spec,
            token: Secret::from([0; 32]),
            unsure: None,
            addresses: Vec::new(),
            silence: fallen.silence,
            grace: fallen.grace,
            view: Document::new(fallen.view),
            side: Side::Seeking(Seek::new(core.now, give_up, false)),
            open: BTreeMap::new(),
            next_number: 1,
            resync: None,
            told: false,
            social: Social::new(core.now),
            standing: Some(Standing {
                seat_key: fallen.seat_key,
                stands: false,
                host: Some(fallen.host),
                port: fallen.port,
                addresses: fallen.addresses,
                succession: fallen.succession,
                former: None,
                keeper: Some(fallen.keeper),
                state: fallen.state,
                // As host of this reign it votes for no other in it.
                promised: fallen.promised,
                voted: None,
                branch: fallen.reign,
                past: fallen.promises,
                guests: BTreeMap::new(),
            }),
            heir,
            silent: false,
        }
    }

    /// From now on it is the seat that its user has.
    pub(in super::super) fn take_over_seat(&mut self) {
        self.told = true;
        if let Some(standing) = &mut self.standing {
            standing.stands = true;
        }
    }

    /// The host gave its votes away: it promises no other, and comes back under whoever wins.
    pub(in super::super) fn follow_votes(&mut self, core: &mut Core, votes: Vec<Vote>) {
        if let (Some(standing), Some(last)) = (&mut self.standing, votes.last()) {
            standing.promise(last.ballot.reign.term);
            standing.voted = votes.first().cloned();
        }
        self.tell(core, vec![SessionEvent::Reconnecting], None);
        let _ = self.start_walk(core, false, votes);
    }

    /// Another host claims the session: its proof is asked for at that host.
    pub(in super::super) fn follow_claim(&mut self, core: &mut Core, way: &Way) {
        self.pointed(core, way);
    }

    /// What its user hears where it was told nothing while it asked there.
    pub(in super::super) fn tell_of_new_host(&mut self, core: &mut Core, before: &SessionSnapshot) {
        let discarded = (before.revision.number + 1).saturating_sub(self.heir.began);
        let (old, now) = (before.host, self.view.state().clone());
        let mut events = vec![SessionEvent::HostChanged { old, new: now.host, revision: now.revision, discarded }];
        events.extend(Document::new(before.clone()).adopt(now.clone()));
        core.tell(self.seat, events, Some(std::sync::Arc::new(now)));
        self.tell_key(core);
        self.say_stand(core);
    }
}
