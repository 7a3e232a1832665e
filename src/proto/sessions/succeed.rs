//! From member to host and back: the same seat under the same id, what its user holds goes on (protocol.md, "Win", "Handoff"
//! and "Two hosts").

use std::sync::Arc;
use std::time::Duration;

use super::Sessions;
use super::core::Owner;
use super::document::Document;
use super::host::{Applied, HostAuthority};
use super::member::{MemberSeat, Risen};
use crate::proto::io::{Answer, Command, Output, RequestId, SeatId};
use crate::types::{AccountId, Error, ErrorKind, Left, ReserveRequest, SessionEvent, SessionKey};
use crate::wire::frame::{Request, Way};

impl Sessions {
    /// Does what members and hosts have decided about who is host. To be called after whatever they were told.
    pub(super) fn succeed(&mut self, seat: SeatId) {
        let member = self.members.get(&seat).or_else(|| self.yielding.get(&seat));
        let Some(member) = member else { return };
        if member.heir.won.is_some() {
            self.rise(seat);
        } else if member.is_linked() && self.yielding.contains_key(&seat) {
            self.yielded(seat);
        }
    }

    /// A member is the host from now on.
    fn rise(&mut self, seat: SeatId) {
        let Some(member) = self.members.remove(&seat) else { return };
        let key = member.key;
        let Some(risen) = member.rise(&mut self.core) else { return };
        let Risen { promises, from, before, guests, open, was_lost, rivals } = risen;
        let (user, state) = (from.user.identity.account(), from.state.clone());
        let kept = from.keeper.iter().flat_map(|keeper| &keeper.seats).find(|seat| seat.account == user);
        let applied = kept.map(|seat| Applied::from(seat.applied)).unwrap_or_default();
        let mut host = HostAuthority::restore(&mut self.core, from);
        for owner in self.core.owners.values_mut().filter(|owner| **owner == Owner::Standing(seat)) {
            *owner = Owner::Host(key);
        }
        let now = host.state().clone();
        let revision = now.revision;
        let mut events = vec![SessionEvent::HostChanged { old: before.host, new: now.host, revision, discarded: 0 }];
        if was_lost {
            events.push(SessionEvent::Reconnected);
        }
        events.extend(Document::new(before).adopt(now.clone()));
        events.push(SessionEvent::BecameHost { state, revision });
        let (addresses, port) = (self.addresses.clone(), Some(host.port()));
        self.core.outputs.push_back(Output::SeatAddresses { seat, addresses, port });
        self.core.tell(seat, events, Some(Arc::new(now)));
        host.begin_reign(&mut self.core, promises);
        // Those of them that live are to know.
        for (host_key, addresses) in rivals {
            host.tell_rival(&mut self.core, host_key, addresses);
        }
        for (link, waits) in guests {
            host.adopt_guest(&mut self.core, link, waits);
        }
        self.hosts.insert(key, host);
        // What was asked of the former host is for this one now, unless it took effect.
        for (number, (request, body)) in open {
            self.redo(key, seat, applied.contains(number), request, body);
        }
    }

    fn redo(&mut self, key: SessionKey, seat: SeatId, applied: bool, request: RequestId, body: Request) {
        let Some(host) = self.hosts.get(&key) else { return };
        if applied {
            let revision = host.state().revision;
            let result = match body {
                Request::Say(_) | Request::Revoke { .. } => Ok(Answer::Unit),
                Request::Reserve { .. } | Request::ChangeReservation { .. } | Request::Invite(_) => {
                    let why = "it took effect at the host that is gone, whose answer is lost";
                    Err(Error::new(ErrorKind::Ended, why))
                }
                _ => Ok(Answer::Revision(revision)),
            };
            self.core.done(request, result);
            return;
        }
        let now = self.core.now;
        let command = match body {
            Request::UpdateMe(update) => Command::UpdateMe { request, seat, update: Box::new(update) },
            Request::Say(data) => Command::Say { request, seat, data: data.into() },
            Request::Register => Command::Register { request, seat },
            Request::SetStatus(status) => Command::SetStatus { request, seat, status },
            Request::SetRole(role) => Command::SetRole { request, seat, account: None, role },
            Request::Reserve { accounts, role, ttl } => {
                let ttl = ttl.map(|millis| Duration::from_millis(millis.into()));
                let mut what = ReserveRequest::from(accounts);
                (what.role, what.ttl) = (role, ttl);
                Command::Reserve { request, seat, what: Box::new(what) }
            }
            Request::ChangeReservation { id, expected, change } => {
                Command::ChangeReservation { request, seat, id, expected, change }
            }
            Request::Invite(what) => Command::Invite { request, seat, what: Box::new(what) },
            Request::Revoke { invite, .. } => Command::Revoke { request, seat, invite },
        };
        self.command(now, command);
    }

    // --------------------------------------------------------------------------------------------------- handing over

    /// A host has given its votes: its seat ends, or is a member's.
    pub(super) fn pass(&mut self, key: SessionKey) {
        let Some(passed) = self.hosts.get_mut(&key).and_then(HostAuthority::passed) else { return };
        let Some(host) = self.hosts.remove(&key) else { return };
        self.core.owners.retain(|_, owner| *owner != Owner::Host(key));
        let seat = host.seat;
        if let Some(request) = passed.request {
            self.core.done(request, Ok(Answer::Unit));
        }
        if let Some(why) = passed.leaves {
            host.close_listener(&mut self.core);
            self.core.tell(seat, vec![SessionEvent::Left { why }], None);
            self.stand(key);
            return;
        }
        let Some(fallen) = host.fall(&self.core, self.addresses.clone()) else { return };
        let mut member = MemberSeat::of_host(&mut self.core, fallen);
        member.take_over_seat();
        self.core.outputs.push_back(Output::SeatKeys { seat, keys: Vec::new() });
        self.core.outputs.push_back(Output::SeatBans { seat, bans: Vec::new() });
        member.follow_votes(&mut self.core, passed.votes);
        self.members.insert(seat, member);
    }

    /// Hands the session over; without an account to the first in order.
    pub(super) fn hand_over(&mut self, request: RequestId, seat: SeatId, to: Option<AccountId>) {
        self.at_host(request, seat, |host, core| host.hand_over(core, Some(request), to, None));
    }

    /// A host leaves: somebody else goes on, where somebody may.
    pub(super) fn leave_hosted(&mut self, request: Option<RequestId>, key: SessionKey) {
        let Some(host) = self.hosts.get_mut(&key) else { return };
        if host.is_passing() {
            if let Some(request) = request {
                self.core.done(request, Ok(Answer::Unit));
            }
        } else if host.has_successor() {
            host.hand_over(&mut self.core, request, None, Some(Left::Left));
        } else {
            if let Some(request) = request {
                self.core.done(request, Ok(Answer::Unit));
            }
            self.destroy(key, Left::Left);
        }
    }

    /// The same where there is no time to ask: its user signs out, or the process ends.
    pub(super) fn drop_hosted(&mut self, key: SessionKey, why: Left) {
        match self.hosts.get_mut(&key) {
            Some(host) if host.has_successor() => {
                host.leave_at_once(&mut self.core, why);
                self.pass(key);
            }
            _ => self.destroy(key, why),
        }
    }

    // ------------------------------------------------------------------------------------------------------ two hosts

    /// Another host of this session has shown a proof that stands over this one's. Before anything else its seat there is
    /// asked for: a host that is heard of and cannot be reached deposes nobody.
    pub(super) fn give_way(&mut self, way: &Way) {
        let Some(host) = self.hosts.get(&way.session) else { return };
        let seat = host.seat;
        if self.yielding.contains_key(&seat) {
            return;
        }
        // One that holds no seat has none to come back to.
        let fallen = host.fall(&self.core, self.addresses.clone()).filter(|_| !host.is_dedicated());
        let Some(mut fallen) = fallen else {
            return self.end_superseded(way.session, way);
        };
        // Only there: no member of its own is asked.
        fallen.succession = None;
        let mut member = MemberSeat::of_host(&mut self.core, fallen);
        member.follow_claim(&mut self.core, way);
        self.yielding.insert(seat, member);
    }

    /// Whether the host of this session asks for its seat at another one.
    pub(crate) fn gives_way(&self, key: SessionKey) -> bool {
        self.hosts.get(&key).is_some_and(|host| self.yielding.contains_key(&host.seat))
    }

    /// It has its seat there: this host is none any more.
    fn yielded(&mut self, seat: SeatId) {
        let Some(mut member) = self.yielding.remove(&seat) else { return };
        let key = member.key;
        let before = self.hosts.get(&key).map(|host| host.view());
        if let Some(mut host) = self.hosts.remove(&key) {
            host.give_way(&mut self.core, &member.way());
            self.core.owners.retain(|_, owner| *owner != Owner::Host(key));
        }
        self.core.outputs.push_back(Output::SeatBans { seat, bans: Vec::new() });
        member.take_over_seat();
        if let Some(before) = before {
            member.tell_of_new_host(&mut self.core, &before);
        }
        self.members.insert(seat, member);
    }

    /// It has none there, or could not ask.
    pub(super) fn yielding_ended(&mut self, seat: SeatId, why: &Left) {
        let Some(member) = self.yielding.remove(&seat) else { return };
        let (key, way) = (member.key, member.way());
        let reached = member.heir.moved;
        member.end(&mut self.core, Left::Superseded);
        // Who has not proved that it serves the session is not given way to.
        if !reached || *why == Left::HostLost {
            return;
        }
        self.end_superseded(key, &way);
    }

    /// The session goes on there, and its host here has no seat in it.
    fn end_superseded(&mut self, key: SessionKey, way: &Way) {
        let Some(mut host) = self.hosts.remove(&key) else { return };
        host.give_way(&mut self.core, way);
        host.close_listener(&mut self.core);
        self.core.owners.retain(|_, owner| *owner != Owner::Host(key));
        self.core.tell(host.seat, vec![SessionEvent::Left { why: Left::Superseded }], None);
        self.stand(key);
    }
}

/// What a test asks of a host.
#[cfg(test)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Reigning {
    pub(super) reign: crate::wire::frame::Reign,
    pub(super) host_key: crate::types::HostKey,
    /// Its chain leads to it.
    pub(super) proved: bool,
}

#[cfg(test)]
impl Sessions {
    pub(super) fn reigning(&self, key: SessionKey) -> Option<Reigning> {
        let host = self.hosts.get(&key)?;
        let (reign, host_key) = (host.reign(), host.host_key());
        let made = crate::wire::frame::follow(key, host.incarnation(), host.lineage());
        Some(Reigning { reign, host_key, proved: made == Some((host_key, reign)) })
    }

    pub(super) fn promised(&self, seat: SeatId) -> Option<(u16, u64, u32)> {
        let member = self.members.get(&seat)?;
        let reign = member.heir.reign;
        member.standing.as_ref().map(|standing| (reign.forks, reign.branch, standing.floor()))
    }
}
