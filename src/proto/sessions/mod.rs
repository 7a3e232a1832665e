//! Who is in: the control-channel half of the engine. Hosted sessions, seats at other hosts, and joins on their way there.
//!
//! Call order: any `handle_*` or command, then drain `poll_action`, `poll_output` and `poll_event` until each says
//! `None`, then sleep until `poll_timeout`. A forgotten drain delays, it never corrupts. The composer passes discovery's
//! findings in and these events out; neither half knows the other.

mod bounds;
mod command;
mod core;
mod document;
mod doorman;
mod friends;
mod host;
mod hosts;
#[cfg(all(test, feature = "testing"))]
mod inspect;
mod join;
mod matchmaking;
mod member;
mod party;
mod publication;
mod social;
mod succeed;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

#[cfg(all(test, feature = "testing"))]
pub(crate) use self::host::HostView;
#[cfg(all(test, feature = "testing"))]
pub(crate) use self::inspect::{MemberView, VoterView};
pub(crate) use self::join::Resolved;
pub(crate) use self::publication::{Merging, Publication, SessionsEvent};

use self::core::{Core, Derivation, Owner};
use self::host::HostAuthority;
use self::join::{JoinAttempt, JoinSpec};
use self::member::MemberSeat;
use self::party::Party;
use crate::proto::clock::Moment;
use crate::proto::io::{Action, Answer, JoinCommand, LinkEvent, LinkId, LocalUser, Output, RequestId, SeatId};
use crate::proto::limits;
use crate::proto::tuning::Tuning;
use crate::types::{
    AccountId, AccountRow, Error, ErrorKind, HostRequest, LanEvent, Left, MemberStatus, Refusal, SessionEvent,
    SessionKey, SessionSnapshot, UserEvent,
};

#[derive(Debug)]
pub(crate) struct Sessions {
    core: Core,
    users: BTreeMap<AccountId, LocalUser>,
    hosts: BTreeMap<SessionKey, HostAuthority>,
    members: BTreeMap<SeatId, MemberSeat>,
    /// Hosts that ask for their seats at another host of the session.
    yielding: BTreeMap<SeatId, MemberSeat>,
    joins: BTreeMap<RequestId, JoinAttempt>,
    /// Joins of several local users whose leader has its seat.
    parties: BTreeMap<RequestId, Party>,
    /// The host's own addresses, best first.
    addresses: Vec<IpAddr>,
    last_incarnation: u64,
}

impl Sessions {
    /// `version` is the game's; the seed is the only randomness there is, so it must come from a secure source.
    pub(crate) fn new(version: u32, tuning: Tuning, seed: [u8; 32]) -> Self {
        Self {
            core: Core::new(version, tuning, seed),
            users: BTreeMap::new(),
            hosts: BTreeMap::new(),
            members: BTreeMap::new(),
            yielding: BTreeMap::new(),
            joins: BTreeMap::new(),
            parties: BTreeMap::new(),
            addresses: Vec::new(),
            last_incarnation: 0,
        }
    }

    /// A user may host and join from now on. One that signs in again has its new name from then on.
    pub(crate) fn sign_in(&mut self, user: LocalUser) {
        let account = user.identity.account();
        if self.users.len() >= limits::USERS && !self.users.contains_key(&account) {
            let why = format!("{} users are signed in, which is the most", limits::USERS);
            self.core.outputs.push_back(Output::Lan(LanEvent::Trouble(why)));
            return;
        }
        self.users.insert(account, user);
    }

    /// Ends the user's sessions and joins, then says so.
    pub(crate) fn sign_out(&mut self, now: Moment, request: RequestId, account: AccountId) {
        self.core.now = now;
        if self.users.remove(&account).is_none() {
            self.core.done(request, Err(Error::new(ErrorKind::NotFound, "this user is not signed in")));
            return;
        }
        self.core.done(request, Ok(Answer::Unit));
        self.core.friends.forget(account);
        self.end_all(Some(account), &Left::SignedOut);
        self.core.outputs.push_back(Output::User { user: account, event: UserEvent::SignedOut });
    }

    /// Ends everything: members are told, goodbyes are asked for, every request is answered.
    pub(crate) fn shutdown(&mut self, now: Moment) {
        self.core.now = now;
        self.end_all(None, &Left::Shutdown);
        self.users.clear();
    }

    fn end_all(&mut self, account: Option<AccountId>, why: &Left) {
        let ours = |other: AccountId| account.is_none() || account == Some(other);
        self.end_parties(&ours);
        let joins: Vec<_> =
            self.joins.iter().filter(|(_, join)| join.spec.accounts().any(ours)).map(|(&request, _)| request).collect();
        joins.into_iter().for_each(|request| self.cancel_now(request));
        let members: Vec<_> = self.members.iter().filter(|(_, m)| ours(m.account())).map(|(&seat, _)| seat).collect();
        let mut keys = BTreeSet::new();
        for seat in members {
            if let Some(member) = self.members.remove(&seat) {
                let key = member.key;
                member.leave(&mut self.core, why.clone());
                keys.insert(key);
            }
        }
        keys.into_iter().for_each(|key| self.stand(key));
        let hosts: Vec<_> =
            self.hosts.iter().filter(|(_, host)| ours(host.user.identity.account())).map(|(&key, _)| key).collect();
        for key in hosts {
            self.drop_hosted(key, why.clone());
        }
    }

    /// What must hold between any two steps.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn check_invariants(&self, now: Moment) {
        self.hosts.values().for_each(|host| host.check_invariants(now));
    }

    /// Makes a session. Answered with the seat once it listens; `unix_ms` only sorts its adverts.
    pub(crate) fn host(
        &mut self,
        now: Moment,
        request: RequestId,
        account: AccountId,
        what: HostRequest,
        unix_ms: u64,
    ) {
        self.core.now = now;
        let incarnation = unix_ms.max(self.last_incarnation + 1);
        match self.new_host(request, account, what, incarnation) {
            Ok(host) => {
                self.last_incarnation = incarnation;
                self.hosts.insert(host.key, host);
            }
            Err(error) => self.core.done(request, Err(error)),
        }
    }

    fn new_host(
        &mut self,
        request: RequestId,
        account: AccountId,
        what: HostRequest,
        incarnation: u64,
    ) -> Result<HostAuthority, Error> {
        self.check_name(account, &what.local_name)?;
        let user = self.user(account)?.clone();
        if self.hosts.len() >= limits::HOSTED {
            let why = format!("this process hosts {} sessions, which is the most", limits::HOSTED);
            return Err(Error::new(ErrorKind::InvalidState, why));
        }
        if let Some(id) = what.id.filter(|_| what.show_account) {
            let key = SessionKey { id, founder: user.identity.public().into() };
            if self.hosts.contains_key(&key) {
                return Err(Error::new(ErrorKind::AlreadyExists, format!("this user hosts {id} already")));
            }
        }
        HostAuthority::new(&mut self.core, request, user, what, incarnation)
    }

    fn user(&self, account: AccountId) -> Result<&LocalUser, Error> {
        self.users.get(&account).ok_or_else(|| Error::new(ErrorKind::InvalidState, "this user is not signed in"))
    }

    /// Whether a user may host or join under this local name.
    pub(crate) fn check_name(&self, account: AccountId, local_name: &str) -> Result<(), Error> {
        self.user(account)?;
        let hosted = self.hosts.values().any(|host| host.uses_name(account, local_name));
        let member = self.members.values().any(|m| m.account() == account && m.local_name == local_name);
        let join = self.joins.values().any(|j| j.spec.account() == account && j.local_name == local_name);
        if hosted || member || join || self.party_uses(account, local_name) {
            let why = format!("this user has a session named {local_name:?}; give this one another local name");
            return Err(Error::new(ErrorKind::AlreadyExists, why));
        }
        Ok(())
    }

    /// The answer to `Action::Listen`: the port, or what the operating system said.
    pub(crate) fn handle_listening(&mut self, now: Moment, session: SessionKey, result: Result<u16, String>) {
        self.core.now = now;
        let Some(host) = self.hosts.get_mut(&session) else {
            if let Some(member) = self.members.values_mut().find(|member| member.key == session && member.stands()) {
                member.listening(&mut self.core, result);
            }
            return;
        };
        match result {
            Ok(port) => host.listening(&mut self.core, port, &self.addresses),
            Err(why) => {
                let error = Error::new(ErrorKind::Io, format!("the session's port cannot be opened: {why}"));
                host.fail(&mut self.core, error);
                self.hosts.remove(&session);
            }
        }
    }

    /// The answer to `Action::Derive`: the key, or what the operating system said.
    pub(crate) fn handle_derived(&mut self, now: Moment, id: u64, key: Result<[u8; 32], String>) {
        self.core.now = now;
        let Some(owner) = self.core.derivations.remove(&id) else { return };
        let key = key.map_err(|why| Error::new(ErrorKind::Io, format!("the password's key cannot be derived: {why}")));
        match (owner, key) {
            (Derivation::Host(session), Ok(key)) => {
                if let Some(host) = self.hosts.get_mut(&session) {
                    host.derived(&mut self.core, key);
                }
            }
            (Derivation::Host(session), Err(error)) => {
                if let Some(mut host) = self.hosts.remove(&session) {
                    host.fail(&mut self.core, error);
                }
            }
            (Derivation::Join(request), Ok(key)) => {
                if let Some(join) = self.joins.get_mut(&request) {
                    join.derived(&mut self.core, key);
                    self.time_out_join(request);
                }
            }
            (Derivation::Join(request), Err(error)) => {
                if self.joins.remove(&request).is_some() {
                    self.core.done(request, Err(error));
                }
            }
        }
    }

    /// Joins the session that discovery found for this command.
    pub(crate) fn join(
        &mut self,
        now: Moment,
        request: RequestId,
        account: AccountId,
        what: JoinCommand,
        to: Resolved,
    ) {
        self.core.now = now;
        match self.new_join(request, account, what, to) {
            Ok(join) => {
                self.joins.insert(request, join);
                self.time_out_join(request);
            }
            Err(error) => self.core.done(request, Err(error)),
        }
    }

    fn new_join(
        &mut self,
        request: RequestId,
        account: AccountId,
        what: JoinCommand,
        to: Resolved,
    ) -> Result<JoinAttempt, Error> {
        self.check_name(account, &what.local_name)?;
        let spec = JoinSpec {
            user: self.user(account)?.clone(),
            key: to.key,
            host_key: to.host_key,
            incarnation: to.incarnation,
            nonce: self.core.random(),
            peer_incarnation: u64::from_be_bytes(self.core.random()),
            ticket: what.ticket,
            attributes: what.attributes,
            invite: what.target.invite(),
            password_key: None,
            rounds: self.core.tuning.password_rounds,
            role: what.role,
            status: what.status,
            party: self.companions(&what.party, &what.local_name)?,
            reserve_for: what.reserve_for.into_iter().map(|account| (account, self.core.random())).collect(),
            patient: what.patient,
            can_host: what.can_host,
        };
        JoinAttempt::new(&mut self.core, request, what.local_name, spec, what.password, to)
    }

    /// The answer is not wanted any more: gives up a join, or a session that does not listen yet.
    pub(crate) fn cancel(&mut self, now: Moment, request: RequestId) {
        self.core.now = now;
        self.cancel_now(request);
        let opening = self.hosts.iter().find(|(_, host)| host.opening() == Some(request)).map(|(&key, _)| key);
        if let Some(mut host) = opening.and_then(|key| self.hosts.remove(&key)) {
            host.fail(&mut self.core, Error::new(ErrorKind::Cancelled, "the request was cancelled"));
        }
    }

    fn cancel_now(&mut self, request: RequestId) {
        if let Some(mut join) = self.joins.remove(&request) {
            join.give_up(&mut self.core);
            self.core.done(request, Err(Error::refused(Refusal::Cancelled)));
        }
        self.end_party(request, Error::refused(Refusal::Cancelled));
    }

    /// What happened on a link.
    pub(crate) fn handle_link(&mut self, now: Moment, event: LinkEvent) {
        self.core.now = now;
        if let LinkEvent::Incoming { link, session, remote } = event {
            self.incoming(link, session, remote);
            return;
        }
        match self.core.owners.get(&link_of(&event)).copied() {
            Some(Owner::Host(key)) => {
                if let Some(host) = self.hosts.get_mut(&key) {
                    host.handle_link(&mut self.core, event);
                    self.pass(key);
                }
            }
            Some(Owner::Join(request)) => {
                if let Some(join) = self.joins.get_mut(&request) {
                    let outcome = join.handle_link(&mut self.core, event);
                    self.join_ended(request, outcome);
                }
            }
            Some(Owner::Member(seat)) => {
                if let Some(member) = self.members.get_mut(&seat).or_else(|| self.yielding.get_mut(&seat)) {
                    let ended = member.handle_link(&mut self.core, event);
                    self.member_ended(seat, ended);
                }
            }
            Some(Owner::Standing(seat)) => {
                if let Some(member) = self.members.get_mut(&seat) {
                    member.standing_link(&mut self.core, event);
                    self.succeed(seat);
                }
            }
            // Closed by us before this came.
            None => {}
        }
    }

    fn incoming(&mut self, link: LinkId, session: SessionKey, remote: SocketAddr) {
        let standing = |member: &&MemberSeat| member.key == session && member.stands();
        let owner = match self.members.values().find(standing) {
            _ if self.hosts.contains_key(&session) => Owner::Host(session),
            Some(member) => Owner::Standing(member.seat),
            None => return self.core.close(link, false),
        };
        let Core { doorman, tuning, now, .. } = &mut self.core;
        let mut roster = BTreeMap::new();
        if doorman.is_crowded() {
            let sources = self.hosts.values().flat_map(HostAuthority::roster_sources);
            sources.for_each(|source| *roster.entry(source).or_default() += 1);
        }
        let evicted = doorman.admit(*now, tuning, link, remote.ip(), &roster);
        self.core.owners.insert(link, owner);
        if let Some(evicted) = evicted {
            self.evict(evicted);
        }
    }

    fn evict(&mut self, link: LinkId) {
        match self.core.owners.get(&link) {
            Some(Owner::Host(key)) => {
                if let Some(host) = self.hosts.get_mut(key) {
                    return host.evict(&mut self.core, link);
                }
            }
            Some(Owner::Standing(seat)) => {
                if let Some(member) = self.members.get_mut(seat) {
                    return member.turn_out(&mut self.core, link);
                }
            }
            _ => {}
        }
        self.core.close(link, false);
    }

    fn member_ended(&mut self, seat: SeatId, ended: Option<Left>) {
        let Some(why) = ended else { return self.succeed(seat) };
        if self.yielding.contains_key(&seat) {
            return self.yielding_ended(seat, &why);
        }
        if let Some(member) = self.members.remove(&seat) {
            self.party_lost(seat, &why);
            let key = member.key;
            member.end(&mut self.core, why);
            self.stand(key);
        }
    }

    /// The first seat of this process in a session is its machine's there, unless it hosts the session.
    pub(super) fn stand(&mut self, key: SessionKey) {
        let taken = self.members.values().any(|member| member.key == key && member.stands());
        if taken || self.hosts.contains_key(&key) {
            return;
        }
        if let Some(member) = self.members.values_mut().find(|member| member.key == key && member.may_stand()) {
            member.stand(&mut self.core, &self.addresses);
        }
    }

    /// The addresses under which others reach this machine, best first.
    pub(crate) fn handle_addresses(&mut self, addresses: &[IpAddr]) {
        if self.addresses == addresses {
            return;
        }
        self.addresses = addresses.to_vec();
        for member in self.members.values_mut() {
            member.own_addresses(&mut self.core, addresses);
        }
        self.core.addresses = addresses.to_vec();
        for host in self.hosts.values().filter(|host| host.opening().is_none()) {
            let addresses = self.addresses.clone();
            self.core.outputs.push_back(Output::SeatAddresses { seat: host.seat, addresses, port: None });
        }
    }

    /// Discovery heard a session's host at these control addresses: members that look for it dial there.
    pub(crate) fn handle_host_addresses(&mut self, now: Moment, key: SessionKey, addresses: &[SocketAddr]) {
        self.core.now = now;
        for member in self.members.values_mut().filter(|member| member.key == key) {
            member.host_addresses(&mut self.core, addresses);
        }
    }

    /// Discovery heard a session's signed end: members that look for its host need not any more.
    pub(crate) fn handle_host_ended(&mut self, now: Moment, key: SessionKey) {
        self.core.now = now;
        let ended = |member: &MemberSeat| member.key == key && member.host_ended();
        let seats: Vec<_> = self.members.iter().filter(|(_, m)| ended(m)).map(|(&seat, _)| seat).collect();
        for seat in seats {
            self.member_ended(seat, Some(Left::Destroyed));
        }
    }

    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        self.core.now = now;
        let late = self.poll_timeout().map(|at| now.since(at)).unwrap_or_default();
        if late > self.core.tuning.stall {
            self.hosts.values_mut().for_each(|host| host.excuse(now, late));
            self.members.values_mut().for_each(|member| member.excuse(now, late));
        }
        for link in self.core.doorman.expired(now) {
            self.evict(link);
        }
        for key in self.hosts.keys().copied().collect::<Vec<_>>() {
            if self.hosts.get_mut(&key).is_some_and(|host| !host.handle_timeout(&mut self.core)) {
                self.destroy(key, Left::Destroyed);
            }
            self.pass(key);
        }
        for seat in self.members.keys().chain(self.yielding.keys()).copied().collect::<Vec<_>>() {
            let member = self.members.get_mut(&seat).or_else(|| self.yielding.get_mut(&seat));
            let ended = member.and_then(|member| member.handle_timeout(&mut self.core));
            self.member_ended(seat, ended);
        }
        for request in self.joins.keys().copied().collect::<Vec<_>>() {
            self.time_out_join(request);
        }
    }

    fn time_out_join(&mut self, request: RequestId) {
        let outcome = self.joins.get_mut(&request).and_then(|join| join.handle_timeout(&mut self.core));
        self.join_ended(request, outcome);
    }

    #[must_use]
    pub(crate) fn poll_action(&mut self) -> Option<Action> {
        self.core.actions.pop_front()
    }

    #[must_use]
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.core.outputs.pop_front()
    }

    #[must_use]
    pub(crate) fn poll_event(&mut self) -> Option<SessionsEvent> {
        self.core.events.pop_front()
    }

    #[must_use]
    pub(crate) fn poll_timeout(&mut self) -> Option<Moment> {
        let core = &self.core;
        let hosts = self.hosts.values_mut().filter_map(|host| host.poll_timeout(core)).min();
        let seats = self.members.values().chain(self.yielding.values());
        let members = seats.filter_map(|member| member.poll_timeout(core)).min();
        let joins = self.joins.values().filter_map(JoinAttempt::poll_timeout).min();
        [hosts, members, joins, core.doorman.next_deadline()].into_iter().flatten().min()
    }

    /// Whether a member here has lost this session's host and dials it.
    pub(crate) fn is_seeking(&self, key: SessionKey) -> bool {
        let joins = || self.joins.values().any(|join| join.spec.key == Some(key) && join.awaits_host());
        self.members.values().any(|member| member.key == key && member.is_seeking()) || joins()
    }

    /// The sessions in which an account of this process has a seat, all of them; empty where it is not signed in here.
    pub(crate) fn rows(&self, account: AccountId) -> Vec<AccountRow> {
        let hosts = self.hosts.values().filter(|host| host.owns(account));
        let members = self.members.values().filter(|member| member.account() == account);
        hosts.filter_map(|host| host.row(&self.addresses)).chain(members.filter_map(MemberSeat::row)).collect()
    }

    /// Users here that have a seat.
    pub(crate) fn seated_accounts(&self) -> Vec<AccountId> {
        let hosts = self.hosts.values().map(|host| host.user.identity.account());
        hosts.chain(self.members.values().map(MemberSeat::account)).collect()
    }

    /// Whether a user has a seat in that session.
    pub(crate) fn has_seat(&self, user: AccountId, session: SessionKey) -> bool {
        let host = self.hosts.get(&session).is_some_and(|host| host.owns(user));
        host || self.members.values().any(|member| member.key == session && member.account() == user)
    }

    /// Whether an account holds a seat in a session that this user is in. A reserved one is no company yet: any member may
    /// reserve for anybody.
    pub(crate) fn is_with(&self, user: AccountId, account: AccountId) -> bool {
        let hosts = self.hosts.values().filter(|host| host.owns(user)).map(HostAuthority::state);
        let members = self.members.values().filter(|member| member.account() == user).map(MemberSeat::state);
        let seated = |state: &SessionSnapshot| {
            state.member(account).is_some_and(|member| member.status != MemberStatus::Reserved)
        };
        hosts.chain(members).any(seated)
    }

    /// Whether this account is signed in here.
    pub(crate) fn is_own(&self, account: AccountId) -> bool {
        self.users.contains_key(&account)
    }

    /// Whether a session is hosted here, or about to be.
    pub(crate) fn is_hosting(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// How many dials there were.
    #[cfg(test)]
    pub(crate) fn dialled(&self) -> u64 {
        self.core.dialled()
    }

    /// Whether any session is hosted here, or any seat held or sought elsewhere.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.hosts.is_empty() && self.members.is_empty() && self.joins.is_empty()
    }
}

fn link_of(event: &LinkEvent) -> LinkId {
    match event {
        LinkEvent::Incoming { link, .. }
        | LinkEvent::HelloBegun { link }
        | LinkEvent::Open { link, .. }
        | LinkEvent::Frame { link, .. }
        | LinkEvent::Written { link, .. }
        | LinkEvent::Closed { link, .. } => *link,
    }
}

/// What a new seat is told first: the state, each member that was there, then its own arrival.
pub(crate) fn first_events(snapshot: &std::sync::Arc<SessionSnapshot>, own: AccountId) -> Vec<SessionEvent> {
    let joined = |member: &crate::types::Member, present_before| SessionEvent::MemberJoined {
        member: member.clone(),
        present_before,
        revision: snapshot.revision,
    };
    let others = snapshot.members.iter().filter(|member| member.account != own);
    let mine = snapshot.members.iter().filter(|member| member.account == own);
    std::iter::once(SessionEvent::Joined { snapshot: snapshot.clone() })
        .chain(others.map(|member| joined(member, true)))
        .chain(mine.map(|member| joined(member, false)))
        .collect()
}

#[cfg(test)]
use self::succeed::Reigning;

#[cfg(test)]
mod tests;
