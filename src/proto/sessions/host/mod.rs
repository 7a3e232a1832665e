//! The host's authority over one session: it alone owns the state, seats or refuses, and tells every member (protocol.md,
//! "Join" and "Members").

mod admit;
mod command;
mod handoff;
#[cfg(any(test, feature = "testing"))]
mod invariants;
mod invites;
mod keep;
mod merge;
mod party;
mod reaffirm;
mod requests;
mod reservations;
mod resume;
mod rival;
mod roles;
mod seat;
mod seated;
mod states;
pub(super) mod succession;
mod token;
mod vouch;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub(super) use self::admit::ANY_SESSION;
use self::admit::Guest;
use self::handoff::Passing;
#[cfg(all(test, feature = "testing"))]
pub(crate) use self::invariants::HostView;
use self::invites::Invites;
pub(super) use self::keep::RestoreFrom;
use self::merge::Merge;
pub(super) use self::reservations::Amendment;
use self::reservations::Reservations;
use self::rival::Rivals;
pub(super) use self::rival::Verdict;
#[cfg(test)]
pub(super) use self::rival::{Ours, rival};
pub(super) use self::seat::Applied;
use self::seat::Seat;
use self::states::Deadlines;
use self::succession::Rule;
use self::vouch::Vouching;
use super::core::{Core, Derivation};
use super::document::Document;
use super::publication::{Publication, SessionsEvent, check_budget};
use crate::proto::clock::Moment;
use crate::proto::io::{Action, Answer, LinkEvent, LinkId, LocalUser, Output, RequestId, SeatId, SeatOpened};
use crate::proto::limits;
use crate::proto::links::{Bucket, Encoded, encode};
use crate::types::{
    AccountId, AccountRow, Error, ErrorKind, HostKey, HostRequest, Identity, Left, LinkState, Member, MemberStatus,
    Migration, Password, Phase, PublicFacts, ReservationId, Revision, Secret, SessionEvent, SessionKey,
    SessionSettings, SessionSnapshot, Visibility,
};
use crate::wire::datagram::GoodbyeReason;
use crate::wire::frame::{Cause, Change, Delta, Frame, view_digest};
use crate::wire::hash;

/// The answer that a commit brings to a local caller, told before the events it caused.
#[derive(Debug, Clone, Copy)]
enum Reply {
    Nobody,
    Unit(RequestId),
    Revision(RequestId),
    Reservation(RequestId, ReservationId),
}

#[derive(Debug)]
pub(super) struct HostAuthority {
    pub(super) key: SessionKey,
    pub(super) seat: SeatId,
    pub(super) user: LocalUser,
    pub(super) local_name: String,
    /// Serves TLS and signs.
    host: Identity,
    /// Whoever waits for the session to open; commands and joins count only afterwards.
    opening: Option<RequestId>,
    listening: bool,
    control_port: u16,
    port: u16,
    incarnation: u64,
    salt: u64,
    id_derived: bool,
    account_shown: bool,
    /// K of protocol.md, "Password"; the password itself is not kept.
    password_key: Option<Secret>,
    /// Ask the game about each joiner.
    admission: bool,
    /// Silence after which a member's link counts as lost, and how long its seat is held then.
    silence: Duration,
    grace: Duration,
    doc: Document,
    settings: SessionSettings,
    /// The revision of the last commit of settings: what `update_if` compares with.
    settings_revision: Revision,
    published: Option<PublicFacts>,
    /// It was listed and is hidden now: discovery still knows it.
    unlisted: bool,
    seats: BTreeMap<AccountId, Seat>,
    seat_of: BTreeMap<LinkId, AccountId>,
    guests: BTreeMap<LinkId, Guest>,
    bans: BTreeSet<AccountId>,
    invites: Invites,
    vouching: Vouching,
    /// Whom a locked session takes back.
    leavers: VecDeque<AccountId>,
    /// How seats ended whose holders may not know it: a member that dials back learns it instead of being seated again.
    gone: VecDeque<([u8; 16], Left)>,
    deadlines: Deadlines,
    reservations: Reservations,
    log: VecDeque<(u64, Encoded)>,
    log_bytes: usize,
    next_ask: u64,
    says: Bucket,
    merge: Merge,
    /// What goes on after this host; `None` where the session ends with it.
    pub(super) succession: Option<Rule>,
    passing: Passing,
    rivals: Rivals,
    /// A lower bound of the next deadline; `None` where it must be computed.
    wake: Option<Option<Moment>>,
}

impl HostAuthority {
    /// Makes a session that still has to listen; the caller's request is answered once it does.
    pub(super) fn new(
        core: &mut Core,
        request: RequestId,
        user: LocalUser,
        what: HostRequest,
        incarnation: u64,
    ) -> Result<Self, Error> {
        what.check()?;
        let host = if what.show_account { user.identity.clone() } else { Identity::from_seed(core.random())? };
        let host_key = HostKey::from(host.public());
        let salt = u64::from_be_bytes(core.random());
        let id = what.id.unwrap_or_else(|| hash::derived_id(host_key, salt));
        let key = SessionKey { id, founder: host_key };
        let first = Revision { term: 1, number: 1 };
        let state = initial_state(core.version, key, first, &user, &what);
        check_budget(&state)?;
        let rounds = core.tuning.password_rounds;
        let mut this = Self {
            key,
            seat: core.seat_id(),
            user,
            local_name: what.local_name,
            host,
            opening: Some(request),
            listening: false,
            control_port: what.control_port,
            port: 0,
            incarnation,
            salt,
            id_derived: what.id.is_none(),
            account_shown: what.show_account,
            password_key: None,
            admission: what.admission,
            silence: what.host_silence.unwrap_or(core.tuning.host_silence),
            grace: what.grace.unwrap_or(core.tuning.grace),
            doc: Document::new(state),
            settings: SessionSettings { problem: None, ..what.settings },
            settings_revision: first,
            published: None,
            unlisted: false,
            seats: BTreeMap::new(),
            seat_of: BTreeMap::new(),
            guests: BTreeMap::new(),
            bans: BTreeSet::new(),
            invites: Invites::default(),
            vouching: Vouching::new(core.now),
            leavers: VecDeque::new(),
            gone: VecDeque::new(),
            deadlines: Deadlines::default(),
            reservations: Reservations::default(),
            log: VecDeque::new(),
            log_bytes: 0,
            next_ask: 1,
            says: Bucket::new(core.now),
            merge: Merge::default(),
            succession: Rule::of_founder(core, what.migration)?,
            passing: Passing::default(),
            rivals: Rivals::new(core.now),
            wake: None,
        };
        match what.password {
            Some(password) => this.derive(core, password, rounds),
            None => this.listen(core),
        }
        Ok(this)
    }

    fn derive(&mut self, core: &mut Core, password: Password, rounds: std::num::NonZeroU32) {
        core.derive(Derivation::Host(self.key), password, self.key, rounds);
    }

    fn listen(&mut self, core: &mut Core) {
        self.listening = true;
        core.actions.push_back(Action::Listen { session: self.key, key: self.host.clone(), port: self.control_port });
    }

    /// The password's key is there.
    pub(super) fn derived(&mut self, core: &mut Core, key: [u8; 32]) {
        self.password_key = Some(key.into());
        if !self.listening {
            self.listen(core);
        }
    }

    /// It listens: the session is open, its creator seated in the same step.
    pub(super) fn listening(&mut self, core: &mut Core, port: u16, addresses: &[IpAddr]) {
        let Some(request) = self.opening.take() else { return };
        self.port = port;
        let snapshot = Arc::new(self.doc.state().clone());
        core.outputs.push_back(Output::SeatOpened(Box::new(SeatOpened {
            seat: self.seat,
            user: self.user.identity.account(),
            local_name: self.local_name.clone(),
            is_host: true,
            host_addresses: addresses.to_vec(),
            control_port: port,
            snapshot: snapshot.clone(),
            reservation: None,
        })));
        core.done(request, Ok(Answer::Seat(self.seat)));
        core.tell(self.seat, super::first_events(&snapshot, self.user.identity.account()), Some(snapshot));
        self.opened(core.now);
        self.publish(core);
        self.review(core);
    }

    /// It is not open yet; whoever asked for it is answered with this error.
    pub(super) fn fail(&mut self, core: &mut Core, error: Error) {
        if let Some(request) = self.opening.take() {
            if self.listening {
                core.actions.push_back(Action::Unlisten { session: self.key });
            }
            core.done(request, Err(error));
        }
    }

    /// The key under which it serves.
    pub(super) fn host_key(&self) -> HostKey {
        self.host.public().into()
    }

    pub(super) fn opening(&self) -> Option<RequestId> {
        self.opening
    }

    pub(super) fn handle_link(&mut self, core: &mut Core, event: LinkEvent) {
        self.expire(core);
        if self.merge_link(core, &event) || self.succession_link(core, &event) || self.rival_link(core, &event) {
            return;
        }
        let heartbeat_only = matches!(&event, LinkEvent::Written { .. })
            || matches!(&event, LinkEvent::Frame { link, .. } if self.seat_of.contains_key(link));
        // Expired is expired, whatever comes at that very moment.
        self.expire_invites(core);
        match event {
            LinkEvent::Incoming { .. } => {}
            LinkEvent::HelloBegun { link } => {
                core.doorman.reached(core.now, &core.tuning, link, super::doorman::Stage::Hello);
            }
            LinkEvent::Open { link, peer, binding, remote, fallback, .. } => {
                self.guest_opened(core, link, peer, binding, remote, fallback);
            }
            LinkEvent::Frame { link, kind, more, payload } => match self.seat_of.get(&link).copied() {
                Some(account) => self.seat_frame(core, account, kind, more, payload),
                None => self.guest_frame(core, link, kind, more, payload),
            },
            LinkEvent::Written { link, bytes } => self.seat_written(core, link, bytes),
            LinkEvent::Closed { link, .. } => {
                core.forget(link);
                match self.seat_of.get(&link).copied() {
                    Some(account) => self.link_lost(core, account),
                    None => self.guest_closed(link),
                }
            }
        }
        // Signs of life only put deadlines off, so the bound still holds; everything else makes it anew.
        if !heartbeat_only {
            self.wake = None;
        }
    }

    /// One commit: all changes or none, one revision; to every member, then to the host's own seat, then to finders.
    fn commit(&mut self, core: &mut Core, changes: &[Change], cause: Option<Cause>, reply: Reply) -> Revision {
        self.wake = None;
        self.vouching.roster_changed(changes);
        let cut = self.doc.cut(changes);
        let before = self.doc.revision();
        let revision = Revision { term: before.term, number: before.number + 1 };
        let events = self.doc.apply(revision, changes);
        let digest = (revision.number % super::document::DIGEST_EVERY == 0)
            .then(|| view_digest(&self.doc.visible_to(Visibility::Members)));
        let message = encode(&Frame::Delta(Delta { revision, cause, changes: cut, digest }));
        self.remember(revision.number, message.clone());
        for seat in self.seats.values_mut() {
            seat.deliver(core, &message);
        }
        self.follow(core.now, changes);
        self.answer_reply(core, reply, revision);
        core.tell(self.seat, events, Some(Arc::new(self.doc.state().clone())));
        self.publish(core);
        self.touch_kept();
        self.review(core);
        revision
    }

    fn remember(&mut self, number: u64, message: Encoded) {
        self.log_bytes += size_of(&message);
        self.log.push_back((number, message));
        while self.log.len() > limits::DELTA_LOG || self.log_bytes > limits::DELTA_LOG_BYTES {
            let Some((_, oldest)) = self.log.pop_front() else { break };
            self.log_bytes -= size_of(&oldest);
        }
    }

    /// Tells discovery what strangers may know now, if that is anything new.
    fn publish(&mut self, core: &mut Core) {
        if !self.doc.state().listed {
            if self.published.take().is_some() {
                self.unlisted = true;
                core.events.push_back(SessionsEvent::Withdraw { key: self.key, reason: GoodbyeReason::Unlisted });
            }
            return;
        }
        let facts = PublicFacts { open_slots: self.public_seats(core.now), ..PublicFacts::of(self.doc.state()) };
        let same = |old: &PublicFacts| PublicFacts { revision: facts.revision, ..old.clone() } == facts;
        if self.published.as_ref().is_some_and(same) {
            return;
        }
        self.published = Some(facts.clone());
        core.events.push_back(SessionsEvent::Publish(Box::new(Publication {
            key: self.key,
            host: self.host.clone(),
            id_derived: self.id_derived,
            account_shown: self.account_shown,
            salt: self.salt,
            incarnation: self.incarnation,
            term: self.doc.revision().term,
            tcp_port: self.port,
            facts,
            lineage: self.lineage().to_vec(),
            migratable: self.doc.state().migration != Migration::Disabled,
        })));
    }

    /// The game keys of the members whose links stand.
    fn tell_keys(&self, core: &mut Core) {
        let keys = self.seats.iter().filter_map(|(&account, seat)| {
            seat.link.as_ref()?;
            Some((account, Secret::from(seat.game_key)))
        });
        let keys = keys.collect();
        core.outputs.push_back(Output::SeatKeys { seat: self.seat, keys });
    }

    /// Ends the session: typed ends to all, then the goodbye; the host's own seat ends with `own`.
    pub(super) fn destroy(&mut self, core: &mut Core, own: Left) {
        if self.opening.is_some() {
            self.fail(core, Error::new(ErrorKind::Cancelled, "the session was ended before it was open"));
            return;
        }
        self.end_merge(core);
        self.end_handoff(core);
        self.end_dials(core);
        self.end_telling(core);
        self.dismiss_guests(core);
        for seat in self.seats.values_mut() {
            if let Some(mut link) = seat.link.take() {
                link.send(core.now, &mut core.actions, &Frame::End { why: Left::Destroyed });
                core.close(link.id, true);
            }
        }
        core.actions.push_back(Action::Unlisten { session: self.key });
        if self.published.take().is_some() || self.unlisted {
            core.events.push_back(SessionsEvent::Withdraw { key: self.key, reason: GoodbyeReason::Ended });
        }
        core.tell(self.seat, vec![SessionEvent::Left { why: own }], None);
    }

    /// Whether the session lives on.
    #[must_use]
    pub(super) fn handle_timeout(&mut self, core: &mut Core) -> bool {
        if self.wake.flatten().is_some_and(|at| at > core.now) {
            return true;
        }
        self.wake = None;
        // What is promised until now counts until now: before anybody waits for it.
        self.expire(core);
        self.expire_invites(core);
        self.time_out_guests(core);
        self.time_out_seats(core);
        self.time_out_merge(core);
        self.time_out_handoff(core);
        self.review(core);
        self.reaffirm(core);
        self.time_out_telling(core);
        !self.is_abandoned(core.now)
    }

    pub(super) fn poll_timeout(&mut self, core: &Core) -> Option<Moment> {
        if self.wake.is_none() {
            let guests = self.guests.values().filter_map(Guest::deadline);
            let seats = self.seats.values().filter_map(|seat| seat.deadline(&core.tuning, self.silence));
            let promises =
                [self.deadlines.next(), self.invites.deadline(), self.merge.deadline(), self.succession_deadline()];
            let hosts = [self.handoff_deadline(), self.reaffirm_deadline(), self.rivals.deadline()];
            let promises = promises.into_iter().chain(hosts).flatten();
            self.wake = Some(guests.chain(seats).chain(promises).min());
        }
        self.wake.flatten()
    }

    /// This process slept: nobody else is to blame for the time that passed.
    pub(super) fn excuse(&mut self, now: Moment, by: Duration) {
        self.wake = None;
        self.seats.values_mut().for_each(|seat| seat.excuse(now, by));
        self.excuse_peers(by);
    }

    /// What its user's seat here is to those who ask for the account; none where a dedicated host holds no seat.
    pub(super) fn row(&self, addresses: &[IpAddr]) -> Option<AccountRow> {
        if self.opening.is_some() {
            return None;
        }
        let addresses = addresses.iter().map(|&ip| SocketAddr::new(ip, self.port)).collect();
        super::publication::row(self.doc.state(), self.user.identity.account(), self.incarnation, addresses)
    }

    /// Where its members were reached last, each as often as there are seats.
    pub(super) fn roster_sources(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.seats.values().filter_map(|seat| seat.source)
    }

    pub(super) fn state(&self) -> &SessionSnapshot {
        self.doc.state()
    }

    /// Where it is served, if it is hidden and open.
    pub(super) fn hidden(&self, addresses: &[IpAddr]) -> Option<(SessionKey, HostKey, u64, Vec<SocketAddr>)> {
        let hidden = self.opening.is_none() && !self.doc.state().listed;
        let at = addresses.iter().map(|&ip| SocketAddr::new(ip, self.port)).collect();
        hidden.then_some((self.key, self.host_key(), self.incarnation, at))
    }

    pub(super) fn owns(&self, account: AccountId) -> bool {
        self.user.identity.account() == account
    }

    pub(super) fn uses_name(&self, account: AccountId, local_name: &str) -> bool {
        self.owns(account) && self.local_name == local_name
    }

    pub(super) fn view(&self) -> SessionSnapshot {
        self.doc.visible_to(Visibility::Members)
    }
}

pub(super) fn size_of(message: &Encoded) -> usize {
    message.iter().map(Vec::len).sum()
}

fn initial_state(
    version: u32,
    key: SessionKey,
    revision: Revision,
    user: &LocalUser,
    what: &HostRequest,
) -> SessionSnapshot {
    let creator = Member {
        role: None,
        account: user.identity.account(),
        name: user.name.clone(),
        external: user.external.clone(),
        number: 0,
        status: MemberStatus::Active,
        link: LinkState::Connected,
        ready: false,
        is_host: true,
        attributes: crate::types::Attributes::new(),
        joined_revision: revision.number,
    };
    let mut state = SessionSnapshot {
        roles: Vec::new(),
        turn: Vec::new(),
        timeouts: crate::types::MemberTimeouts::new(),
        ready_gate: false,
        matchmaking: what.matchmaking,
        mobile: what.matchmaking,
        anti_cheat: what.anti_cheat,
        allow_sanctioned: what.allow_sanctioned,
        migration: what.migration,
        key,
        revision,
        host: (!what.dedicated).then_some(creator.account),
        host_key: key.founder,
        name: String::new(),
        schema: String::new(),
        version,
        max_members: 0,
        reserved_slots: 0,
        policy: what.settings.policy,
        phase: Phase::Lobby,
        listed: false,
        closed: false,
        locked: false,
        join_in_progress: false,
        password: what.password.is_some(),
        dedicated: what.dedicated,
        keywords: Vec::new(),
        attributes: crate::types::Attributes::new(),
        ports: Vec::new(),
        members: if what.dedicated { Vec::new() } else { vec![creator] },
    };
    command::put(&mut state, &what.settings);
    state
}
