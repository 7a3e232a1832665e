//! What successors keep of a host, and a host made of it again (protocol.md, "Keeper part").

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use super::super::core::Core;
use super::super::document::Document;
use super::admit::millis;
use super::invites::Invites;
use super::reservations::Reservations;
use super::seat::{Applied, Seat};
use super::states::Deadlines;
use super::succession::Rule;
use super::token::SeatToken;
use super::vouch::Vouching;
use super::{HostAuthority, Merge};
use crate::proto::clock::Moment;
use crate::proto::io::{LocalUser, SeatId};
use crate::proto::links::Bucket;
use crate::types::{AccountId, GameState, HostKey, Identity, LinkState, Revision, SessionSettings, SessionSnapshot};
use crate::wire::frame::{Keeper, KeptSeat, Reign, Succession, Takeover};

/// All that a host is made of that goes on with a session.
#[derive(Debug)]
pub(in crate::proto::sessions) struct RestoreFrom {
    pub(in crate::proto::sessions) user: LocalUser,
    pub(in crate::proto::sessions) local_name: String,
    pub(in crate::proto::sessions) seat: SeatId,
    /// The state that it adopts, as members see it.
    pub(in crate::proto::sessions) snapshot: SessionSnapshot,
    /// The former host's own half, where it came.
    pub(in crate::proto::sessions) keeper: Option<Keeper>,
    pub(in crate::proto::sessions) state: Option<GameState>,
    /// Serves TLS and signs; its listener is open at that port.
    pub(in crate::proto::sessions) host: Identity,
    pub(in crate::proto::sessions) port: u16,
    /// Of the session, as its founder drew it.
    pub(in crate::proto::sessions) incarnation: u64,
    /// The reign that begins, and how it came to be.
    pub(in crate::proto::sessions) reign: Reign,
    pub(in crate::proto::sessions) lineage: Vec<Takeover>,
    pub(in crate::proto::sessions) seat_key: Identity,
    /// The last order of the former host: where its machines are.
    pub(in crate::proto::sessions) succession: Option<Succession>,
}

impl HostAuthority {
    /// What successors keep, as of now.
    pub(in crate::proto::sessions) fn keeper(&self, now: Moment) -> Keeper {
        let (invites, expired_invites) = self.invites.kept(now);
        let seats = self.seats.iter().map(|(&account, seat)| KeptSeat {
            account,
            nonce: seat.nonce,
            peer_incarnation: seat.peer_incarnation,
            tokens: seat.token.hashes().collect(),
            confirmed: seat.confirmed,
            proved: seat.proved,
            held: seat.held,
            leader: seat.leader,
            applied: seat.applied.into(),
            invited: seat.invited.iter().filter(|(_, ids)| self.invites.open_of(ids)).cloned().collect(),
        });
        Keeper {
            revision: self.doc.revision(),
            settings: self.settings_revision,
            salt: self.salt,
            id_derived: self.id_derived,
            admission: self.admission,
            silence: millis(self.silence),
            grace: millis(self.grace),
            password_key: self.password_key.as_ref().map(|key| **key),
            attributes: self.doc.state().attributes.clone(),
            bans: self.bans.iter().copied().collect(),
            leavers: self.leavers.iter().copied().collect(),
            gone: self.gone.iter().cloned().collect(),
            seats: seats.collect(),
            deadlines: self.deadlines.kept(now),
            invites,
            expired_invites,
            reservations: self.reservations.kept(),
        }
    }

    /// A host that goes on with a session: one commit after the state that it adopts. Every seat but its own is away and has
    /// all of its grace, every time that was left begins to run again.
    pub(in crate::proto::sessions) fn restore(core: &mut Core, from: RestoreFrom) -> Self {
        let RestoreFrom { user, local_name, seat, snapshot, keeper, state: game, .. } = from;
        let own = user.identity.account();
        let host_key = HostKey::from(from.host.public());
        let kept: BTreeMap<AccountId, KeptSeat> =
            keeper.iter().flat_map(|keeper| keeper.seats.iter().map(|seat| (seat.account, seat.clone()))).collect();
        // One that was reserved after the last word of the former host has no row that would ever free it: its account has
        // the grace of all others to come.
        let held = |account: AccountId| kept.get(&account).is_some_and(|seat| seat.held);
        let revision = Revision { term: from.reign.term, number: snapshot.revision.number.saturating_add(1) };
        let mut state = SessionSnapshot { revision, host: Some(own), host_key, dedicated: false, ..snapshot };
        if let Some(keeper) = &keeper {
            state.attributes = merged(&state, keeper);
        }
        let millis_or = |kept: fn(&Keeper) -> u32, own| keeper.as_ref().map(kept).map_or(own, from_millis);
        let silence = millis_or(|keeper| keeper.silence, core.tuning.host_silence);
        let grace = millis_or(|keeper| keeper.grace, core.tuning.grace);
        let mut seats = BTreeMap::new();
        for member in &mut state.members {
            member.is_host = member.account == own;
            if member.account == own {
                member.link = LinkState::Connected;
                continue;
            }
            let nobody = held(member.account);
            if !nobody {
                member.link = LinkState::Away;
            }
            let until = (!nobody).then(|| core.now + grace);
            // The former host's, for one, has no nonce: it comes back as one that was restarted.
            let nonce = core.random();
            let mut seat = restored_seat(core.now, kept.get(&member.account), nonce, nobody, until);
            seat.source = from.succession.as_ref().and_then(|last| source_of(last, member.account));
            seats.insert(member.account, seat);
        }
        let by_hand = from.succession.as_ref().map(|last| order_by_hand(last, &state)).unwrap_or_default();
        let keeper = keeper.as_ref();
        let list = |part: fn(&Keeper) -> &[AccountId]| keeper.map(part).unwrap_or_default().iter().copied();
        let settings_revision = keeper.map_or(revision, |keeper| keeper.settings);
        let mut this = Self {
            key: state.key,
            seat,
            user,
            local_name,
            opening: None,
            listening: true,
            control_port: 0,
            port: from.port,
            incarnation: from.incarnation,
            salt: keeper.map_or(0, |keeper| keeper.salt),
            id_derived: keeper.is_some_and(|keeper| keeper.id_derived),
            account_shown: false,
            password_key: keeper.and_then(|keeper| keeper.password_key).map(Into::into),
            admission: keeper.is_some_and(|keeper| keeper.admission),
            settings: settings_of(&state),
            settings_revision,
            published: None,
            seat_of: BTreeMap::new(),
            guests: BTreeMap::new(),
            bans: list(|keeper| &keeper.bans).collect(),
            invites: keeper
                .map(|keeper| Invites::restored(core.now, &keeper.invites, &keeper.expired_invites))
                .unwrap_or_default(),
            vouching: Vouching::new(core.now),
            leavers: list(|keeper| &keeper.leavers).collect(),
            gone: keeper.map(|keeper| keeper.gone.iter().cloned().collect()).unwrap_or_default(),
            deadlines: Deadlines::default(),
            reservations: keeper
                .map(|keeper| {
                    Reservations::restored(&keeper.reservations, |account| {
                        seats.get(&account).is_some_and(|seat: &Seat| seat.held)
                    })
                })
                .unwrap_or_default(),
            seats,
            doc: Document::new(state),
            log: VecDeque::new(),
            log_bytes: 0,
            next_ask: 1,
            says: Bucket::new(core.now),
            merge: Merge::default(),
            succession: None,
            host: from.host,
            silence,
            grace,
            passing: super::handoff::Passing::default(),
            rivals: super::rival::Rivals::new(core.now),
            unlisted: false,
            wake: None,
        };
        this.restore_deadlines(core.now, keeper.map(|keeper| &*keeper.deadlines).unwrap_or_default());
        let mut rule = Rule::restored(from.reign, from.seat_key, from.lineage, game, from.succession.as_ref());
        rule.explicit = by_hand;
        this.succession = Some(rule);
        this
    }
}

/// The seat of one member that has not come yet. One that successors know nothing of is its account's all the same.
fn restored_seat(
    now: Moment,
    kept: Option<&KeptSeat>,
    nonce: [u8; 16],
    held: bool,
    away_until: Option<Moment>,
) -> Seat {
    let nonce = kept.map_or(nonce, |kept| kept.nonce);
    let mut seat = Seat::held(now, nonce);
    (seat.held, seat.away_until) = (held, away_until);
    // It was let in: what that took is not asked for again.
    seat.confirmed = !held;
    if let Some(kept) = kept {
        seat.peer_incarnation = kept.peer_incarnation;
        (seat.confirmed, seat.proved, seat.leader) = (kept.confirmed, kept.proved, kept.leader);
        seat.token = SeatToken::restore(&kept.tokens);
        seat.applied = Applied::from(kept.applied);
        seat.invited = kept.invited.iter().cloned().collect();
    }
    seat
}

/// Where a member's machine was seen last, where members are told so: at its return the door knows that it holds a seat.
fn source_of(last: &Succession, account: AccountId) -> Option<IpAddr> {
    let successor = last.successors.iter().find(|successor| successor.account == account)?;
    successor.addresses.first().map(SocketAddr::ip)
}

/// The order that the former host's user set, as it was published: where nobody set one, the longest standing come first.
fn order_by_hand(last: &Succession, state: &SessionSnapshot) -> Vec<AccountId> {
    let ranked = last.order.voters.iter().zip(&last.successors).filter(|(voter, _)| voter.host.is_some());
    let ranked: Vec<_> = ranked.map(|(_, successor)| successor.account).collect();
    let standing = |account: &AccountId| state.member(*account).map(|member| (member.joined_revision, member.number));
    if ranked.iter().filter_map(standing).is_sorted() { Vec::new() } else { ranked }
}

fn from_millis(millis: u32) -> std::time::Duration {
    std::time::Duration::from_millis(millis.into())
}

/// The attributes that members see, which may be later than the kept ones, and those for the host alone.
fn merged(state: &SessionSnapshot, keeper: &Keeper) -> crate::types::Attributes {
    let mut all = state.attributes.clone();
    let hidden = keeper.attributes.iter().filter(|(_, a)| a.visibility == crate::types::Visibility::Host);
    for (name, attribute) in hidden {
        if all.attribute(name).is_none() {
            let _ = all.insert(name.to_owned(), attribute.clone());
        }
    }
    all
}

/// The settings that make a state: the other way of `command::put`.
fn settings_of(state: &SessionSnapshot) -> SessionSettings {
    let mut settings = SessionSettings::new(state.name.clone());
    settings.schema.clone_from(&state.schema);
    settings.max_members = state.max_members;
    settings.reserved_slots = state.reserved_slots;
    settings.policy = state.policy;
    settings.listed = Some(state.listed);
    settings.closed = state.closed;
    settings.locked = state.locked;
    settings.join_in_progress = state.join_in_progress;
    settings.keywords.clone_from(&state.keywords);
    settings.attributes = state.attributes.clone();
    settings.ports.clone_from(&state.ports);
    settings.roles.clone_from(&state.roles);
    settings.timeouts = state.timeouts;
    settings.ready_gate = state.ready_gate;
    settings
}
