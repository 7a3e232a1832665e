//! From "join this" to addresses that can be dialled: by entry, id, code, link or a typed address.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::types::{AccountId, Error, Found, HostKey, Refusal, RoomCode, SessionKey, SessionQuery};

use super::{Asker, Engine, Mode};
use crate::proto::clock::Moment;
use crate::proto::io::{JoinCommand, JoinTarget, RequestId};
use crate::proto::sessions::Resolved;

/// A join whose host is being looked for.
#[derive(Debug)]
pub(super) struct Resolve {
    account: AccountId,
    what: JoinCommand,
    /// A second session with the same id or code would make the target ambiguous: wait this long for it.
    settle: Option<Moment>,
    /// When to stop looking: then what a link or the player says is dialled, anything else was not found.
    deadline: Moment,
    /// The deadline of the whole join.
    join_by: Moment,
    heard: Vec<Found>,
}

/// How long a second answer is waited for after the first to a query by id or code.
const SETTLE: Duration = Duration::from_millis(100);
/// How long a typed address is asked by UDP before it is dialled.
const TYPED: Duration = Duration::from_millis(400);
/// How long a link's session is looked for on the LAN before the link's own addresses are dialled.
const LINKED: Duration = Duration::from_millis(150);

impl Resolve {
    pub(super) fn account(&self) -> AccountId {
        self.account
    }

    pub(super) fn due(&self) -> Moment {
        self.settle.map_or(self.deadline, |settle| settle.min(self.deadline))
    }
}

/// What the search came to.
pub(super) enum Resolution {
    One(Box<Found>),
    None,
    Several,
}

impl Engine {
    pub(super) fn join(&mut self, now: Moment, request: RequestId, account: AccountId, what: JoinCommand) {
        let join_by = now + what.timeout;
        if let Some(resolved) = self.at_hand(&what.target, join_by) {
            return self.sessions.join(now, request, account, what, resolved);
        }
        let query = match &what.target {
            JoinTarget::Found(found) => {
                // The list may have moved on since the caller took this entry.
                let current = self.discovery.entry(&found.key()).unwrap_or_else(|| found.clone());
                if !current.addresses().is_empty() {
                    return self.dial_found(now, request, account, what, &current, join_by);
                }
                // Heard just now, by a beacon: its address is not proven yet.
                SessionQuery::new().id(found.id())
            }
            JoinTarget::Link(link) => match self.discovery.entry(&link.key) {
                Some(entry) if !entry.addresses().is_empty() => {
                    return self.dial_found(now, request, account, what, &entry, join_by);
                }
                // The link may be older than the host's present address.
                _ => SessionQuery::new().id(link.key.id),
            },
            JoinTarget::Invite(invite) => SessionQuery::new().id(invite.session.id),
            JoinTarget::Id(id) => SessionQuery::new().id(*id),
            JoinTarget::Code(code) => SessionQuery::new().code(*code),
            JoinTarget::Address(address) => {
                let beacon = SocketAddr::new(address.ip(), self.config.beacon_port);
                let query = SessionQuery::new().at(*address);
                if beacon == *address { query } else { query.at(beacon) }
            }
        };
        let search = match &what.target {
            JoinTarget::Address(_) => TYPED,
            JoinTarget::Link(link) if !link.addresses.is_empty() => LINKED,
            _ => what.timeout,
        };
        // Ends are ours to see: a find would stop at the first of two that fit.
        let query = query.enough(u16::MAX).timeout(search.clamp(Duration::from_millis(1), Duration::from_secs(60)));
        let deadline = now + search;
        self.joins.insert(request, Resolve { account, what, settle: None, deadline, join_by, heard: Vec::new() });
        if self.open(now, Asker::Join(request), query, Mode::Browse).is_none() {
            self.joins.remove(&request);
            let after = Duration::from_secs(1);
            self.done(request, Err(Error::refused(Refusal::TooManyRequests { after })));
        }
    }

    /// The list of a join's query changed.
    pub(super) fn join_heard(&mut self, now: Moment, request: RequestId, list: &[Found]) {
        let Some(resolve) = self.joins.get_mut(&request) else { return };
        resolve.heard = fitting(&resolve.what.target, list);
        if !resolve.heard.is_empty() && resolve.settle.is_none() {
            let exact =
                matches!(resolve.what.target, JoinTarget::Found(_) | JoinTarget::Link(_) | JoinTarget::Invite(_));
            resolve.settle = Some(if exact { now } else { now + SETTLE });
        }
    }

    /// A join's query has ended.
    pub(super) fn join_searched(&mut self, now: Moment, request: RequestId, found: &[Found]) {
        self.join_heard(now, request, found);
        if let Some(resolve) = self.joins.get_mut(&request) {
            resolve.settle = Some(now);
        }
        self.joins_due(now);
    }

    pub(super) fn joins_due(&mut self, now: Moment) {
        let due: Vec<RequestId> = self.joins.iter().filter(|(_, r)| r.due() <= now).map(|(id, _)| *id).collect();
        for request in due {
            self.close_query(now, Asker::Join(request));
            let Some(resolve) = self.joins.remove(&request) else { continue };
            let Resolve { account, what, heard, join_by, .. } = resolve;
            match resolution(heard) {
                Resolution::One(found) => self.dial_found(now, request, account, what, &found, join_by),
                Resolution::Several => self.done(request, Err(Error::refused(Refusal::Ambiguous))),
                Resolution::None => match what.target {
                    JoinTarget::Address(address) => {
                        let resolved = resolved(None, None, vec![address], None, join_by);
                        self.sessions.join(now, request, account, what, resolved);
                    }
                    JoinTarget::Link(ref link) if !link.addresses.is_empty() => {
                        let candidates = link.addresses.clone();
                        let resolved = resolved(Some(link.key), Some(link.host_key), candidates, None, join_by);
                        self.sessions.join(now, request, account, what, resolved);
                    }
                    _ => self.done(request, Err(Error::refused(Refusal::NotFound))),
                },
            }
        }
    }

    /// What needs no search: an invite says where, and a hidden session of this process is known to nobody else.
    fn at_hand(&self, target: &JoinTarget, join_by: Moment) -> Option<Resolved> {
        match target {
            JoinTarget::Invite(invite) => {
                let mut resolved = Resolved::of_invite(invite, join_by);
                // The host may have moved since; what has proved its address goes first.
                // The same, where another one took over: the entry's has proved it.
                if let Some(entry) = self.discovery.entry(&invite.session).filter(Found::is_confirmed) {
                    resolved.host_key = Some(entry.host_key());
                    resolved.migratable = entry.data().migratable;
                    let proven = entry.addresses().iter().map(|address| address.addr);
                    resolved.candidates = proven.chain(resolved.candidates).collect();
                    resolved.version = Some(entry.version());
                }
                (!resolved.candidates.is_empty()).then_some(resolved)
            }
            JoinTarget::Id(id) => self.sessions.hidden(|key| key.id == *id, join_by),
            JoinTarget::Code(code) => self.sessions.hidden(|key| RoomCode::of(key) == *code, join_by),
            JoinTarget::Found(_) | JoinTarget::Link(_) | JoinTarget::Address(_) => None,
        }
    }

    fn dial_found(
        &mut self,
        now: Moment,
        request: RequestId,
        account: AccountId,
        what: JoinCommand,
        found: &Found,
        join_by: Moment,
    ) {
        let candidates = found.addresses().iter().map(|address| address.addr).collect();
        let resolved = resolved(Some(found.key()), Some(found.host_key()), candidates, Some(found), join_by);
        self.sessions.join(now, request, account, what, resolved);
    }
}

fn resolution(heard: Vec<Found>) -> Resolution {
    let keys: BTreeSet<SessionKey> = heard.iter().map(Found::key).collect();
    if keys.len() > 1 {
        return Resolution::Several;
    }
    heard.into_iter().next().map_or(Resolution::None, |found| Resolution::One(Box::new(found)))
}

fn resolved(
    key: Option<SessionKey>,
    host_key: Option<HostKey>,
    candidates: Vec<SocketAddr>,
    entry: Option<&Found>,
    deadline: Moment,
) -> Resolved {
    Resolved {
        key,
        host_key,
        candidates,
        incarnation: entry.map_or(0, |found| found.data().incarnation),
        version: entry.map(Found::version),
        migratable: entry.is_some_and(|found| found.data().migratable),
        deadline,
    }
}

/// The entries that a join names: a browse by typed address lists what else is on the LAN as well. A typed control port
/// names one session, any other port all of that machine.
fn fitting(target: &JoinTarget, list: &[Found]) -> Vec<Found> {
    let reached: Vec<Found> = list.iter().filter(|found| !found.addresses().is_empty()).cloned().collect();
    let of = |fits: &dyn Fn(&Found) -> bool| reached.iter().filter(|found| fits(found)).cloned().collect::<Vec<_>>();
    match target {
        JoinTarget::Found(entry) => of(&|found| found.key() == entry.key()),
        JoinTarget::Id(id) => of(&|found| found.id() == *id),
        JoinTarget::Code(code) => of(&|found| found.code() == *code),
        JoinTarget::Address(address) => {
            let exact = of(&|found| found.addresses().iter().any(|a| a.addr == *address));
            if exact.is_empty() {
                of(&|found| found.addresses().iter().any(|a| a.addr.ip() == address.ip()))
            } else {
                exact
            }
        }
        JoinTarget::Link(link) => of(&|found| found.key() == link.key),
        JoinTarget::Invite(invite) => of(&|found| found.key() == invite.session),
    }
}
