//! The end of a [`Lan`](crate::Lan): every request is answered, everybody is told goodbye.

use std::time::Duration;

use super::Engine;
use super::queries::Asker;
use crate::proto::clock::Moment;
use crate::proto::io::{Answer, Command, Output, RequestId};
use crate::types::{Error, ErrorKind, LanEvent};

/// A close under way: the answer is given at once, goodbyes go on for a moment.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) stop_at: Moment,
    pub(super) stopped: bool,
}

/// How long goodbyes are repeated after a close; see `Tuning::goodbye_at`.
const LINGER: Duration = Duration::from_millis(260);

impl Engine {
    pub(super) fn close(&mut self, now: Moment, request: RequestId) {
        let joins: Vec<RequestId> = self.joins.keys().copied().collect();
        for join in joins.into_iter().chain(self.matchmaking.all()) {
            self.cancel(now, join);
        }
        for (id, asker) in std::mem::take(&mut self.askers) {
            self.discovery.close(now, id);
            if let Asker::Find(find) = asker {
                self.done(find, Err(Error::new(ErrorKind::Stopped, "the LAN was closed")));
            }
        }
        for find in std::mem::take(&mut self.account_finds).into_keys() {
            self.done(find, Err(Error::new(ErrorKind::Stopped, "the LAN was closed")));
        }
        self.social.shutdown(now);
        self.sessions.shutdown(now);
        self.route(now);
        let linger = if self.discovery.wants_sockets() { LINGER } else { Duration::ZERO };
        self.closing = Some(Closing { stop_at: now + linger, stopped: false });
        self.outputs.push_back(Output::Lan(LanEvent::Closed));
        self.done(request, Ok(Answer::Unit));
    }

    pub(super) fn refuse_closed(&mut self, command: &Command) {
        let request = match command {
            Command::Close { request } => {
                self.done(*request, Ok(Answer::Unit));
                return;
            }
            Command::SignOut { request, .. }
            | Command::Host { request, .. }
            | Command::Join { request, .. }
            | Command::Matchmake { request, .. }
            | Command::Find { request, .. }
            | Command::RejectInvite { request, .. }
            | Command::Update { request, .. }
            | Command::UpdateMe { request, .. }
            | Command::SetPhase { request, .. }
            | Command::Kick { request, .. }
            | Command::Unban { request, .. }
            | Command::Say { request, .. }
            | Command::SetStatus { request, .. }
            | Command::Register { request, .. }
            | Command::SetRole { request, .. }
            | Command::SetTurn { request, .. }
            | Command::Reserve { request, .. }
            | Command::ChangeReservation { request, .. }
            | Command::Invite { request, .. }
            | Command::Revoke { request, .. }
            | Command::Destroy { request, .. }
            | Command::HandOver { request, .. }
            | Command::Diagnose { request }
            | Command::Leave { request: Some(request), .. } => *request,
            _ => return,
        };
        self.done(request, Err(Error::new(ErrorKind::Stopped, "the LAN was closed")));
    }
}
