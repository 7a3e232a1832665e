//! What users ask of the seats they hold.

use super::Sessions;
use super::core::{Core, Owner};
use super::host::HostAuthority;
use crate::proto::clock::Moment;
use crate::proto::io::{Answer, Command, RequestId, SeatId};
use crate::types::{Error, ErrorKind, Left, SessionKey};
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
            Command::SetFriends { .. } | Command::Invite { .. } | Command::Revoke { .. } => self.social(command),
            Command::Leave { request, seat } => self.leave(request, seat),
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

    /// Only the host may; a seat that is no host's or none at all is told so.
    pub(super) fn at_host(
        &mut self,
        request: RequestId,
        seat: SeatId,
        run: impl FnOnce(&mut HostAuthority, &mut Core),
    ) {
        if let Some(host) = self.hosts.values_mut().find(|host| host.seat == seat) {
            run(host, &mut self.core);
        } else if self.members.contains_key(&seat) {
            let why = "only the session's host may do this";
            self.core.done(request, Err(Error::new(ErrorKind::NotOwner, why)));
        } else {
            self.core.done(request, Err(Error::new(ErrorKind::Ended, "this seat has ended")));
        }
    }

    /// A host that leaves ends its session: there is nobody to hand it to in this version. A seat that has ended before
    /// has been left.
    fn leave(&mut self, request: Option<RequestId>, seat: SeatId) {
        // A request is answered before the event it causes.
        if let Some(request) = request {
            self.core.done(request, Ok(Answer::Unit));
        }
        if let Some(member) = self.members.remove(&seat) {
            member.leave(&mut self.core, Left::Left);
        } else if let Some(key) = self.hosts.values().find(|host| host.seat == seat).map(|host| host.key) {
            self.destroy(key, Left::Left);
        }
    }

    pub(super) fn destroy(&mut self, key: SessionKey, own: Left) {
        if let Some(mut host) = self.hosts.remove(&key) {
            host.destroy(&mut self.core, own);
            self.core.owners.retain(|_, owner| *owner != Owner::Host(key));
        }
    }
}
