//! One member's seat at its own end: the view, kept up to date by deltas; requests; the link (protocol.md, "Members").

mod door;
mod moved;
mod rise;
mod seek;
mod social;
mod standing;
pub(super) mod vote;
mod walk;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub(super) use self::rise::{Fallen, Risen};
use self::seek::Seek;
use self::social::Social;
pub(super) use self::standing::{Standing, keepers, successors};
pub(super) use self::vote::{Promise, Tally};
use self::walk::Heir;
use super::bounds::{check_member_update, check_message, check_role, check_status};
use super::core::Core;
use super::document::Document;
use super::join::{JoinSpec, Seated};
use super::publication::SessionsEvent;
use crate::proto::clock::Moment;
use crate::proto::io::{Answer, Closed, LinkEvent, Output, RequestId, SeatId, SeatOpened};
use crate::proto::limits;
use crate::proto::links::Link;
use crate::types::{
    AccountId, AccountRow, Error, ErrorKind, Left, Reason, Refusal, Revision, Secret, SessionEvent, SessionKey,
    SessionSettings, SessionSnapshot,
};
use crate::wire::frame::{Cause, Delta, DoneResult, Frame, MAX_MESSAGE, Reign, Request, view_digest};
use crate::wire::hash;

/// What a host may say of its own silence and grace.
const SILENCE: std::ops::RangeInclusive<u32> = 1_000..=30_000;
const GRACE: std::ops::RangeInclusive<u32> = 0..=3_600_000;

/// A request that was numbered and is not answered yet.
#[derive(Debug)]
struct Open {
    request: RequestId,
    body: Request,
    deadline: Moment,
    /// A host may have it.
    sent: bool,
}

#[derive(Debug)]
enum Side {
    Linked(Link),
    Seeking(Seek),
}

#[derive(Debug)]
pub(super) struct MemberSeat {
    pub(super) seat: SeatId,
    pub(super) local_name: String,
    pub(super) key: SessionKey,
    spec: JoinSpec,
    /// For coming back to this seat over another link.
    token: Secret,
    /// Until then its host may not have heard from it, so a lost link may have freed the seat.
    unsure: Option<Moment>,
    /// The one it was reached at last first.
    addresses: Vec<SocketAddr>,
    silence: Duration,
    grace: Duration,
    view: Document,
    side: Side,
    open: BTreeMap<u32, Open>,
    next_number: u32,
    /// A resync was asked for; when to ask again.
    resync: Option<Moment>,
    /// Its user has been told of it: not before all users of one join have their seats.
    told: bool,
    social: Social,
    /// What this machine is to the succession; `None` where the session ends with its host.
    pub(super) standing: Option<Standing>,
    /// Whom it follows, and the way to the next.
    pub(super) heir: Heir,
    /// The link was lost by its silence.
    silent: bool,
}

impl MemberSeat {
    /// Takes the seat that a join brought. Its user sees nothing of it before [`open`](Self::open).
    pub(super) fn new(core: &Core, seat: SeatId, local_name: String, mut spec: JoinSpec, seated: Seated) -> Self {
        let (now, tuning) = (core.now, &core.tuning);
        let Seated { link, accept, addresses, .. } = seated;
        spec.key = Some(accept.snapshot.key);
        spec.host_key = Some(accept.snapshot.host_key);
        // They have theirs now: who comes back to its seat brings nobody.
        spec.party.clear();
        let silence = Duration::from_millis(accept.host_silence.clamp(*SILENCE.start(), *SILENCE.end()).into());
        Self {
            seat,
            local_name,
            key: accept.snapshot.key,
            spec,
            token: accept.token,
            unsure: Some(now + tuning.confirm + silence),
            addresses,
            silence,
            grace: Duration::from_millis(accept.grace.clamp(*GRACE.start(), *GRACE.end()).into()),
            view: Document::new(accept.snapshot),
            side: Side::Linked(link),
            open: BTreeMap::new(),
            next_number: 1,
            resync: None,
            told: false,
            social: Social::new(now),
            standing: None,
            heir: Heir::new(Reign::FOUNDER, Vec::new(), 0),
            silent: false,
        }
    }

    /// Shows the seat to its user: the seat and its key. The answer comes next, then [`begin`](Self::begin).
    pub(super) fn open(&mut self, core: &mut Core) {
        self.told = true;
        let port = match &self.side {
            Side::Linked(link) => Some(link.remote.port()),
            Side::Seeking(_) => self.addresses.first().map(SocketAddr::port),
        };
        core.outputs.push_back(Output::SeatOpened(Box::new(SeatOpened {
            seat: self.seat,
            user: self.account(),
            local_name: self.local_name.clone(),
            is_host: false,
            host_addresses: ips(&self.addresses),
            control_port: port.unwrap_or_default(),
            snapshot: Arc::new(self.view.state().clone()),
            reservation: self.spec.reservation(),
        })));
        self.tell_key(core);
    }

    /// Its first events.
    pub(super) fn begin(&mut self, core: &mut Core) {
        // Said in each Join; the host has made it.
        self.spec.reserve_for.clear();
        let snapshot = Arc::new(self.view.state().clone());
        let mut events = super::first_events(&snapshot, self.account());
        if self.is_seeking() {
            events.push(SessionEvent::Reconnecting);
        }
        core.tell(self.seat, events, Some(snapshot));
        self.tell_successors(core);
    }

    fn tell(&self, core: &mut Core, events: Vec<SessionEvent>, snapshot: Option<Arc<SessionSnapshot>>) {
        if self.told {
            core.tell(self.seat, events, snapshot);
        }
    }

    pub(super) fn account(&self) -> AccountId {
        self.spec.account()
    }

    fn tell_key(&mut self, core: &mut Core) {
        let Side::Linked(link) = &self.side else { return };
        if !self.told {
            return;
        }
        let keys = vec![(self.account(), hash::bound(&link.binding, "game", self.key.id).into())];
        core.outputs.push_back(Output::SeatKeys { seat: self.seat, keys });
    }

    /// What happened on one of its links; `Some` when the seat has ended.
    #[must_use]
    pub(super) fn handle_link(&mut self, core: &mut Core, event: LinkEvent) -> Option<Left> {
        if self.heir.owns(super::link_of(&event)) {
            return self.walk_link(core, event);
        }
        let Side::Linked(link) = &mut self.side else { return self.seek_link(core, event) };
        match event {
            LinkEvent::Frame { link: id, kind, more, payload } if id == link.id => {
                match link.receive(core.now, kind, more, payload, MAX_MESSAGE) {
                    Ok(frame) => self.heard(core, frame?),
                    Err(()) => {
                        core.close(id, false);
                        self.link_lost(core);
                        None
                    }
                }
            }
            LinkEvent::Written { link: id, bytes } if id == link.id => {
                link.written(core.now, bytes);
                None
            }
            LinkEvent::Closed { link: id, why } if id == link.id => {
                core.forget(id);
                self.host_missed(core, why == Closed::ByPeer);
                self.link_lost(core);
                None
            }
            _ => None,
        }
    }

    fn heard(&mut self, core: &mut Core, frame: Frame) -> Option<Left> {
        match frame {
            Frame::Delta(delta) => self.delta(core, delta),
            Frame::Snapshot(snapshot) => self.snapshot(core, *snapshot, None),
            Frame::Done { number, result } => self.answered(core, number, result),
            Frame::Message { from, data } => {
                self.tell(core, vec![SessionEvent::Message { from, data: data.into() }], None);
            }
            Frame::VouchAsk(question) => self.vouch(core, &question),
            Frame::InviteState { invite, account, state } => self.invite_state(core, invite, account, state),
            Frame::Abdicate(said) => return self.abdicated(core, *said),
            Frame::NotHost(way) => self.sent_on(core, &way),
            Frame::VoteAsk(ask) => self.host_asks_vote(core, &ask),
            Frame::Prepare { revision } => self.prepare(core, revision),
            Frame::Move(to) => core.events.push_back(SessionsEvent::Move { seat: self.seat, to: *to }),
            Frame::Succession(order) => self.heard_order(core, *order),
            Frame::Keep(keeper) => self.heard_keeper(*keeper),
            Frame::GameState(state) => self.heard_state(state),
            Frame::End { why } => return Some(why),
            _ => {}
        }
        None
    }

    fn delta(&mut self, core: &mut Core, delta: Delta) {
        let have = self.view.revision();
        if delta.revision <= have {
            return;
        }
        let reaffirmed = delta.revision.term == self.heir.reign.term;
        if (delta.revision.term != have.term && !reaffirmed) || delta.revision.number != have.number.saturating_add(1) {
            self.ask_resync(core, have);
            return;
        }
        let events = self.view.apply(delta.revision, &delta.changes);
        self.keep_delta(&delta);
        self.resync = None;
        if let Some(Cause { account, number }) = delta.cause {
            // Its reservation comes with Done.
            let body = self.open.get(&number).map(|open| &open.body);
            let reserves = matches!(body, Some(Request::Reserve { .. } | Request::ChangeReservation { .. }));
            if account == self.account() && !reserves {
                self.settle(core, number, Ok(delta.revision));
            }
        }
        self.tell(core, events, Some(Arc::new(self.view.state().clone())));
        if delta.digest.is_some_and(|digest| digest != view_digest(self.view.state())) {
            // No revision to go on from: the whole state is wanted.
            self.ask_resync(core, Revision { number: 0, ..have });
        }
    }

    /// The whole state, where it is not older than this one; `first` comes before the events of the difference.
    fn snapshot(&mut self, core: &mut Core, snapshot: SessionSnapshot, first: Option<SessionEvent>) {
        let seated = snapshot.member(self.account()).is_some();
        let sound = seated && snapshot.members.len() <= usize::from(SessionSettings::MAX_MEMBERS);
        let had = self.view.state();
        let changed = had.host_key != snapshot.host_key;
        // The losing branch of a session may have the higher term.
        let current = snapshot.key == self.key && (changed || snapshot.revision >= had.revision) && sound;
        let mut events: Vec<_> = first.into_iter().collect();
        if current {
            self.resync = None;
            if changed {
                events.insert(0, self.host_changed(&snapshot));
            }
            events.extend(self.view.adopt(snapshot));
        }
        self.tell(core, events, Some(Arc::new(self.view.state().clone())));
    }

    fn ask_resync(&mut self, core: &mut Core, have: Revision) {
        if self.resync.is_some() {
            return;
        }
        if let Side::Linked(link) = &mut self.side {
            self.resync = Some(core.now + core.tuning.resync * 2);
            link.send(core.now, &mut core.actions, &Frame::Resync { have });
        }
    }

    /// Numbers a request and sends it; without a link it goes out once there is one again.
    pub(super) fn request(&mut self, core: &mut Core, request: RequestId, body: Request) {
        // Answers that come without the requests being read are a host that fills its members' memory.
        let unread = matches!(&self.side, Side::Linked(link) if link.queued() > limits::SEND_QUEUE);
        if self.open.len() >= limits::REQUESTS || unread {
            let after = core.tuning.heartbeat;
            core.done(request, Err(Error::refused(Refusal::TooManyRequests { after })));
            return;
        }
        // What the host would not even read costs no link.
        let checked = match &body {
            Request::UpdateMe(update) => check_member_update(self.view.state(), self.account(), update),
            Request::Say(data) => check_message(data),
            Request::Register
            | Request::Revoke { .. }
            | Request::Reserve { .. }
            | Request::ChangeReservation { .. } => Ok(()),
            Request::SetStatus(status) => check_status(self.view.state(), self.account(), *status),
            Request::SetRole(role) => {
                let known = role.as_ref().map_or(Ok(()), |role| check_role(self.view.state(), role));
                known.map_err(Error::refused)
            }
            Request::Invite(request) => request.check(),
        };
        if let Err(error) = checked {
            core.done(request, Err(error));
            return;
        }
        let number = self.next_number;
        self.next_number += 1;
        let sent = !self.is_seeking();
        if let Side::Linked(link) = &mut self.side {
            let body = body.clone();
            link.send(core.now, &mut core.actions, &Frame::Request { number, body });
        }
        self.open.insert(number, Open { request, body, deadline: core.now + core.tuning.request, sent });
    }

    fn answered(&mut self, core: &mut Core, number: u32, result: DoneResult) {
        let result = match result {
            DoneResult::Ok(revision) => Ok(revision),
            DoneResult::Reserved(revision, reservation) => {
                if let Some(open) = self.open.remove(&number) {
                    core.done(open.request, Ok(Answer::Reservation(revision, reservation)));
                }
                return;
            }
            DoneResult::Invited(revision, ids) => {
                let asked = self.open.get(&number).map(|open| &open.body);
                if !matches!(asked, Some(Request::Invite(_))) {
                    return self.settle(core, number, Ok(revision));
                }
                if let Some(Open { request, body: Request::Invite(what), .. }) = self.open.remove(&number) {
                    self.invited(core, request, &what, ids);
                }
                return;
            }
            DoneResult::Failed { code, text, retry_after_ms } => Err(error_of(code, text, retry_after_ms)),
        };
        self.settle(core, number, result);
    }

    fn settle(&mut self, core: &mut Core, number: u32, result: Result<Revision, Error>) {
        let Some(open) = self.open.remove(&number) else { return };
        let result = result.and_then(|revision| match open.body {
            Request::Say(_) | Request::Revoke { .. } => Ok(Answer::Unit),
            Request::UpdateMe(_) | Request::Register | Request::SetStatus(_) | Request::SetRole(_) => {
                Ok(Answer::Revision(revision))
            }
            // No host of ours answers so.
            Request::Invite(_) => Ok(Answer::Invites(Vec::new())),
            Request::Reserve { .. } | Request::ChangeReservation { .. } => {
                Err(Error::new(ErrorKind::NotFound, "the reservation is over"))
            }
        });
        core.done(open.request, result);
    }

    /// The seat is gone, and with it its host's memory of what was asked there: what is for others is not asked again in
    /// the next one, where it could take effect a second time. What is for the seat itself is.
    fn forget_asked(&mut self, core: &mut Core) {
        let for_others =
            |body: &Request| matches!(body, Request::Say(_) | Request::Invite(_) | Request::Reserve { .. });
        let lost: Vec<_> = self.open.iter().filter(|(_, o)| o.sent && for_others(&o.body)).map(|(&n, _)| n).collect();
        for number in lost {
            let why = "the seat in which it was asked is gone, and with it the answer";
            self.settle(core, number, Err(Error::new(ErrorKind::TimedOut, why)));
        }
    }

    #[must_use]
    pub(super) fn handle_timeout(&mut self, core: &mut Core) -> Option<Left> {
        let left = self.walk_timeout(core);
        if left.is_some() || self.heir.won.is_some() {
            return left;
        }
        if self.is_seeking() {
            return self.seek_timeout(core);
        }
        let late: Vec<_> = self.open.iter().filter(|(_, o)| o.deadline <= core.now).map(|(&n, _)| n).collect();
        for number in late {
            self.settle(core, number, Err(Error::new(ErrorKind::TimedOut, "the host gave no answer in time")));
        }
        let Side::Linked(link) = &mut self.side else { return None };
        let stalled = link.stalled_at(core.tuning.stalled_reader).is_some_and(|at| at <= core.now);
        if stalled || link.silent_at(self.silence) <= core.now {
            core.close(link.id, false);
            self.silent = !stalled;
            self.link_lost(core);
            return None;
        }
        if link.heartbeat_at(core.tuning.heartbeat) <= core.now {
            link.send(core.now, &mut core.actions, &Frame::Heartbeat);
        }
        if self.resync.is_some_and(|at| at <= core.now) {
            self.resync = None;
            self.ask_resync(core, self.view.revision());
        }
        None
    }

    pub(super) fn poll_timeout(&self, core: &Core) -> Option<Moment> {
        let link = match &self.side {
            Side::Linked(link) => link,
            // Requests wait for the link, which their host has not lost for them to fail.
            Side::Seeking(seek) => return Some(seek.deadline()).into_iter().chain(self.walk_deadline(core)).min(),
        };
        let next = link.heartbeat_at(core.tuning.heartbeat).min(link.silent_at(self.silence));
        let stalled = link.stalled_at(core.tuning.stalled_reader);
        let link = [Some(next), self.resync, stalled, self.walk_deadline(core)].into_iter().flatten();
        self.open.values().map(|open| open.deadline).chain(link).min()
    }

    /// This process slept: the host is not to blame for the silence.
    pub(super) fn excuse(&mut self, now: Moment, by: Duration) {
        self.excuse_walk(by);
        match &mut self.side {
            Side::Linked(link) => link.excuse(now),
            Side::Seeking(seek) => seek.excuse(by),
        }
    }

    /// The link is lost, the seat is not: the host is looked for where it was.
    fn link_lost(&mut self, core: &mut Core) {
        self.unlink(core);
        self.seek_round(core);
        self.park_all(core);
    }

    fn unlink(&mut self, core: &mut Core) {
        self.resync = None;
        self.host_lost(core);
        if self.told {
            core.outputs.push_back(Output::SeatKeys { seat: self.seat, keys: Vec::new() });
        }
        self.tell(core, vec![SessionEvent::Reconnecting], None);
        core.events.push_back(SessionsEvent::HostSuspect { key: self.key });
        // A session that moves has freed the seat of a member that was told to go and may not have heard it.
        let anew = self.view.state().mobile || self.unsure.is_some_and(|until| core.now <= until);
        self.side = Side::Seeking(Seek::new(core.now, core.now + self.grace + core.tuning.give_up, anew));
    }

    /// Says so to the host and ends; without a link the host frees the seat when its time is up.
    pub(super) fn leave(mut self, core: &mut Core, why: Left) {
        let link = match &mut self.side {
            Side::Linked(link) => Some(link),
            Side::Seeking(seek) => seek.joined(),
        };
        if let Some(link) = link {
            link.send(core.now, &mut core.actions, &Frame::Leave);
            core.close(link.id, true);
        }
        self.end(core, why);
    }

    /// Says that this seat moves no more.
    pub(super) fn stay(&mut self, core: &mut Core) {
        if let Side::Linked(link) = &mut self.side {
            link.send(core.now, &mut core.actions, &Frame::Stay);
        }
    }

    /// The last event, after every open request has its answer.
    pub(super) fn end(mut self, core: &mut Core, why: Left) {
        let last = if self.is_linked() { Frame::HostAlive } else { migrating(core) };
        self.end_walk(core, &last);
        self.sit_down(core);
        match &mut self.side {
            // A close that nobody ordered would be a second one.
            Side::Linked(link) if core.owners.contains_key(&link.id) => core.close(link.id, true),
            Side::Linked(_) => {}
            Side::Seeking(seek) => seek.stop(core),
        }
        for open in std::mem::take(&mut self.open).into_values() {
            core.done(open.request, Err(Error::new(ErrorKind::Ended, format!("the seat has ended: {why}"))));
        }
        self.tell(core, vec![SessionEvent::Left { why }], None);
    }

    /// What this seat is to those who ask for the account.
    pub(super) fn row(&self) -> Option<AccountRow> {
        super::publication::row(self.view.state(), self.account(), self.spec.incarnation, self.addresses.clone())
    }

    pub(super) fn state(&self) -> &SessionSnapshot {
        self.view.state()
    }

    #[cfg(test)]
    pub(super) fn spoil(&mut self, revision: Revision, changes: &[crate::wire::frame::Change]) {
        self.view.apply(revision, changes);
    }
}

/// There is no host at the moment.
fn migrating(core: &Core) -> Frame {
    Frame::Refuse { refusal: Refusal::Migrating { after: core.tuning.mm_migrating }, sticky: false }
}

fn ips(addresses: &[SocketAddr]) -> Vec<IpAddr> {
    let mut ips = Vec::new();
    for address in addresses {
        if !ips.contains(&address.ip()) {
            ips.push(address.ip());
        }
    }
    ips
}

/// The host's word as an error of ours; a code that this version does not know is the host's refusal all the same.
fn error_of(code: u16, text: String, retry_after_ms: u32) -> Error {
    let too_many = Refusal::TooManyRequests { after: Duration::from_millis(retry_after_ms.into()) };
    let kind = match code {
        1 => ErrorKind::InvalidArgument,
        2 => ErrorKind::InvalidState,
        3 => ErrorKind::NotFound,
        4 => ErrorKind::AlreadyExists,
        5 => ErrorKind::NotOwner,
        6 => ErrorKind::Forbidden,
        11 => ErrorKind::Stale,
        code if code == too_many.code() => return Error::refused(too_many),
        code if code == Refusal::Refused(Reason::default()).code() => {
            let said = text.strip_prefix("the host refused: ").unwrap_or(&text).to_owned();
            return Error::refused_because(Refusal::Refused(Reason::from(said)), text);
        }
        code if Refusal::of_code(code).is_some() => {
            return Refusal::of_code(code)
                .map_or_else(|| Error::invalid(&*text), |r| Error::refused_because(r, &*text));
        }
        _ => ErrorKind::Refused,
    };
    Error::new(kind, text)
}

#[cfg(all(test, feature = "testing"))]
impl MemberSeat {
    pub(super) fn open_requests(&self) -> usize {
        self.open.len()
    }
}
