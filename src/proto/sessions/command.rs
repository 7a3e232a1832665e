//! What users ask of the seats they hold.

use std::time::Duration;

use super::Sessions;
use super::core::{Core, Owner};
use super::host::{Amendment, HostAuthority};
use crate::proto::clock::Moment;
use crate::proto::io::{Answer, Command, RequestId, SeatId};
use crate::types::{Error, ErrorKind, Left, MemberUpdate, ReserveRequest, SessionKey};
use crate::wire::frame::Request;

impl Sessions {
    /// What a seat's user asks for: updates, phase, kicks, answers, messages, leave, destroy. Other commands are not for
    /// this half of the engine and change nothing.
    pub(crate) fn command(&mut self, now: Moment, command: Command) {
        self.core.now = now;
        match command {
            Command::Update { request, seat, update, expected } => {
                self.at_host(request, seat, |host, core| host.update(core, request, &update, expected));
            }
            Command::SetPhase { request, seat, phase } => {
                self.at_host(request, seat, |host, core| host.set_phase(core, request, phase));
            }
            Command::Kick { request, seat, account, reason, ban } => {
                self.at_host(request, seat, |host, core| host.kick(core, request, account, reason, ban));
            }
            Command::Unban { request, seat, account } => {
                self.at_host(request, seat, |host, core| host.unban(core, request, account));
            }
            Command::Answer { seat, ask, verdict } => {
                if let Some(host) = self.hosts.values_mut().find(|host| host.seat == seat) {
                    host.answer(&mut self.core, ask, verdict);
                }
            }
            Command::UpdateMe { request, seat, update } => {
                if let Some(member) = self.members.get_mut(&seat) {
                    member.request(&mut self.core, request, Request::UpdateMe(*update));
                } else {
                    self.at_host(request, seat, |host, core| host.update_me(core, request, *update));
                }
            }
            Command::Say { request, seat, data } => {
                if let Some(member) = self.members.get_mut(&seat) {
                    member.request(&mut self.core, request, Request::Say(data.to_vec()));
                } else {
                    self.at_host(request, seat, |host, core| host.say(core, request, &data));
                }
            }
            // States, roles, turns, reservations.
            Command::SetStatus { request, seat, status } => {
                let run = |host: &mut HostAuthority, core: &mut Core| host.set_status(core, request, status);
                self.at_either(request, seat, Request::SetStatus(status), run);
            }
            // A host that has a seat was registered with it.
            Command::Register { request, seat } => self.at_either(request, seat, Request::Register, |host, core| {
                host.update_me(core, request, MemberUpdate::new());
            }),
            Command::SetRole { request, seat, account: None, role } => {
                let body = Request::SetRole(role.clone());
                self.at_either(request, seat, body, |host, core| host.set_role(core, request, None, role));
            }
            Command::SetRole { request, seat, account, role } => {
                self.at_host(request, seat, |host, core| host.set_role(core, request, account, role));
            }
            Command::SetTurn { request, seat, accounts } => {
                self.at_host(request, seat, |host, core| host.set_turn(core, request, accounts));
            }
            Command::Reserve { request, seat, what } => {
                let millis = |ttl: Duration| u32::try_from(ttl.as_millis()).unwrap_or(u32::MAX);
                let ReserveRequest { accounts, role, ttl } = (*what).clone();
                let body = Request::Reserve { accounts, role, ttl: ttl.map(millis) };
                self.at_either(request, seat, body, |host, core| host.reserve_here(core, request, &what));
            }
            Command::ChangeReservation { request, seat, id, expected, change } => {
                let amendment = Amendment { id, expected, change };
                let Amendment { change, .. } = amendment.clone();
                let body = Request::ChangeReservation { id, expected, change };
                let run = |host: &mut HostAuthority, core: &mut Core| host.amend_here(core, request, &amendment);
                self.at_either(request, seat, body, run);
            }
            Command::SetFriends { .. } | Command::Invite { .. } | Command::Revoke { .. } => self.social(command),
            Command::SetState { request, seat, data } => {
                self.at_host(request, seat, |host, core| host.set_state(core, request, data));
            }
            Command::SetSuccessors { request, seat, accounts } => {
                self.at_host(request, seat, |host, core| host.set_successors(core, request, accounts));
            }
            Command::SetCanHost { request, seat, can } => match self.members.get_mut(&seat) {
                Some(member) => {
                    member.set_can_host(&mut self.core, can);
                    self.core.done(request, Ok(Answer::Unit));
                }
                None => self.at_host(request, seat, |_, core| core.done(request, Ok(Answer::Unit))),
            },
            Command::Leave { request, seat } => self.leave(request, seat),
            Command::HandOver { request, seat, to } => self.hand_over(request, seat, to),
            Command::Destroy { request, seat } => {
                let key = self.hosts.values().find(|host| host.seat == seat).map(|host| host.key);
                match key {
                    Some(key) => {
                        self.core.done(request, Ok(Answer::Unit));
                        self.destroy(key, Left::Destroyed);
                    }
                    None => self.at_host(request, seat, |_, _| {}),
                }
            }
            _ => {}
        }
    }

    /// A member asks its host, a host does it.
    fn at_either(
        &mut self,
        request: RequestId,
        seat: SeatId,
        body: Request,
        run: impl FnOnce(&mut HostAuthority, &mut Core),
    ) {
        match self.members.get_mut(&seat) {
            Some(member) => member.request(&mut self.core, request, body),
            None => self.at_host(request, seat, run),
        }
    }

    /// Only the host may; a seat that is no host's or none at all is told so.
    pub(super) fn at_host(
        &mut self,
        request: RequestId,
        seat: SeatId,
        run: impl FnOnce(&mut HostAuthority, &mut Core),
    ) {
        if let Some(host) = self.hosts.values_mut().find(|host| host.seat == seat) {
            host.expire(&mut self.core);
            run(host, &mut self.core);
        } else if self.members.contains_key(&seat) {
            let why = "only the session's host may do this";
            self.core.done(request, Err(Error::new(ErrorKind::NotOwner, why)));
        } else {
            self.core.done(request, Err(Error::new(ErrorKind::Ended, "this seat has ended")));
        }
    }

    /// A host that leaves hands its session over. A seat that has ended before has been left.
    fn leave(&mut self, request: Option<RequestId>, seat: SeatId) {
        if let Some(key) = self.hosts.values().find(|host| host.seat == seat).map(|host| host.key) {
            return self.leave_hosted(request, key);
        }
        // A request is answered before the event it causes.
        if let Some(request) = request {
            self.core.done(request, Ok(Answer::Unit));
        }
        if let Some(member) = self.members.remove(&seat) {
            let key = member.key;
            member.leave(&mut self.core, Left::Left);
            self.stand(key);
        }
    }

    pub(super) fn destroy(&mut self, key: SessionKey, own: Left) {
        if let Some(mut host) = self.hosts.remove(&key) {
            host.destroy(&mut self.core, own);
            self.core.owners.retain(|_, owner| *owner != Owner::Host(key));
        }
    }
}
