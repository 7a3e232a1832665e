//! One join: races TCP and TLS over all addresses, says Join on the first that stands, ends in a seat or a typed refusal
//! (protocol.md, "Join").

mod spec;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

pub(super) use self::spec::JoinSpec;
use super::core::{Core, Derivation, Owner};
use super::publication::SessionsEvent;
use crate::proto::clock::Moment;
use crate::proto::io::{Closed, LinkEvent, LinkId, RequestId};
use crate::proto::limits;
use crate::proto::links::Link;
use crate::types::{Error, HostKey, InviteId, InviteState, Password, Reason, Refusal, WIRE_MAJOR};
use crate::wire::frame::{Accept, Frame, MAX_MESSAGE, Reign, Way};

/// Where and whom to join, as far as discovery knows.
#[derive(Debug, Clone)]
pub(crate) struct Resolved {
    /// `None` where nothing but an address is known: whatever listed session is served there.
    pub(crate) key: Option<crate::types::SessionKey>,
    /// The only key that counts; `None` takes the one that is shown.
    pub(crate) host_key: Option<HostKey>,
    /// The host's incarnation as advertised; 0 where it is not known.
    pub(crate) incarnation: u64,
    /// The game's version at the host, where it is known: another one is refused without a packet.
    pub(crate) version: Option<u32>,
    /// The session can outlive this host: where it is gone, the next one is waited for.
    pub(crate) migratable: bool,
    /// Control addresses, best first.
    pub(crate) candidates: Vec<SocketAddr>,
    /// When the whole join, finding included, has taken too long.
    pub(crate) deadline: Moment,
}

/// A seat was granted.
#[derive(Debug)]
pub(super) struct Seated {
    pub(super) link: Link,
    pub(super) accept: Box<Accept>,
    /// The address it was reached at first, then the others.
    pub(super) addresses: Vec<SocketAddr>,
    /// When the whole join has taken too long.
    pub(super) deadline: Moment,
}

/// How a join ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Seated(Box<Seated>),
    /// What was to be said without a seat has been heard.
    Said,
    Failed(Error),
}

#[derive(Debug)]
pub(super) struct JoinAttempt {
    pub(super) spec: JoinSpec,
    pub(super) local_name: String,
    /// No seat is wanted: this invite is rejected.
    reject: Option<InviteId>,
    request: RequestId,
    candidates: Vec<SocketAddr>,
    tried: Vec<SocketAddr>,
    /// The next candidate of this round.
    next: usize,
    /// How often silent addresses were dialled once more beside the first dial.
    beside: u32,
    next_dial: Option<Moment>,
    dials: BTreeMap<LinkId, SocketAddr>,
    /// The link that said Join.
    winner: Option<Link>,
    /// The peer speaks another major version: only its Incompatible is waited for.
    foreign: bool,
    migratable: bool,
    /// How often a host has sent it on, and the reign it was sent to last.
    sent_on: u32,
    reign: Option<Reign>,
    retry_at: Option<Moment>,
    retries: u32,
    /// Nobody was reached: everybody is asked for the session, once, and until then an answer is waited for.
    asks_until: Option<Moment>,
    asked: bool,
    deadline: Moment,
}

impl JoinAttempt {
    pub(super) fn new(
        core: &mut Core,
        request: RequestId,
        local_name: String,
        spec: JoinSpec,
        password: Option<Password>,
        to: Resolved,
    ) -> Result<Self, Error> {
        if let Some(theirs) = to.version.filter(|theirs| *theirs != core.version) {
            return Err(Error::refused(Refusal::Incompatible { ours: core.version, theirs }));
        }
        let mut candidates = Vec::new();
        for candidate in to.candidates {
            if !candidates.contains(&candidate) && candidates.len() < limits::ADDRESSES {
                candidates.push(candidate);
            }
        }
        if candidates.is_empty() {
            return Err(Error::refused(Refusal::HostUnreachable { tried: Vec::new() }));
        }
        let over = spec.bytes_over();
        if over > 0 {
            let why =
                format!("the join's attributes, ticket and party are {over} bytes over what a host reads of a joiner");
            return Err(Error::invalid(why));
        }
        let deriving = password.is_some();
        if let Some(password) = password {
            let key = spec.key.ok_or_else(|| {
                let why = "the session behind this address did not say which it is, so no password can be proven to it";
                Error::new(crate::types::ErrorKind::Unreachable, why)
            })?;
            core.derive(Derivation::Join(request), password, key, spec.rounds);
        }
        Ok(Self {
            spec,
            local_name,
            reject: None,
            request,
            candidates,
            tried: Vec::new(),
            next: 0,
            beside: 0,
            next_dial: (!deriving).then_some(core.now),
            dials: BTreeMap::new(),
            winner: None,
            foreign: false,
            migratable: to.migratable,
            sent_on: 0,
            reign: None,
            retry_at: None,
            retries: 0,
            asks_until: None,
            asked: false,
            deadline: to.deadline,
        })
    }

    /// The same way, to say no to an invite.
    pub(super) fn rejecting(mut self, invite: InviteId) -> Self {
        self.reject = Some(invite);
        self
    }

    /// The password's key is there: dial.
    pub(super) fn derived(&mut self, core: &mut Core, key: [u8; 32]) {
        self.spec.password_key = Some(key.into());
        self.next_dial = Some(core.now);
    }

    #[must_use]
    pub(super) fn handle_timeout(&mut self, core: &mut Core) -> Option<Outcome> {
        if core.now >= self.deadline {
            self.give_up(core);
            return Some(Outcome::Failed(Error::refused(Refusal::TimedOut)));
        }
        if self.asks_until.is_some_and(|at| at <= core.now) {
            return Some(self.unreached());
        }
        if self.retry_at.is_some_and(|at| at <= core.now) {
            self.retry_at = None;
            (self.next, self.beside) = (0, 0);
            self.next_dial = Some(core.now);
        }
        if self.next_dial.is_some_and(|at| at <= core.now) {
            self.dial_next(core);
        }
        None
    }

    pub(super) fn poll_timeout(&self) -> Option<Moment> {
        [Some(self.deadline), self.next_dial, self.retry_at, self.asks_until].into_iter().flatten().min()
    }

    fn dial_next(&mut self, core: &mut Core) {
        self.next_dial = None;
        if let Some(&to) = self.candidates.get(self.next) {
            self.next += 1;
            self.dial(core, to);
        } else {
            // Lost SYNs are sent again after one second and three: a second connection is quicker, whichever stands first.
            let silent: BTreeSet<SocketAddr> = self.dials.values().copied().collect();
            self.beside += 1;
            silent.into_iter().for_each(|to| self.dial(core, to));
        }
        self.next_dial = if self.next < self.candidates.len() {
            Some(core.now + core.tuning.dial_stagger)
        } else {
            let again = !self.dials.is_empty() && self.beside < limits::DIALS_BESIDE;
            again.then(|| core.now + core.tuning.dial_beside)
        };
    }

    fn dial(&mut self, core: &mut Core, to: SocketAddr) {
        if !self.tried.contains(&to) {
            self.tried.push(to);
        }
        let link = core.dial(Owner::Join(self.request), to, self.spec.host_key, &self.spec.user.identity);
        self.dials.insert(link, to);
    }

    #[must_use]
    pub(super) fn handle_link(&mut self, core: &mut Core, event: LinkEvent) -> Option<Outcome> {
        match event {
            LinkEvent::Open { link, peer, binding, remote, fallback, .. } => {
                self.opened(core, Link::new(core.now, link, peer, binding, remote), fallback);
                None
            }
            LinkEvent::Frame { link, kind, more, payload } => {
                let winner = self.winner.as_mut().filter(|winner| winner.id == link)?;
                match winner.receive(core.now, kind, more, payload, MAX_MESSAGE) {
                    Ok(frame) => self.heard(core, frame?),
                    Err(()) => {
                        core.close(link, false);
                        self.lost(core, link, Closed::Protocol)
                    }
                }
            }
            LinkEvent::Closed { link, why } => {
                core.forget(link);
                self.lost(core, link, why)
            }
            LinkEvent::Written { .. } | LinkEvent::Incoming { .. } | LinkEvent::HelloBegun { .. } => None,
        }
    }

    /// The first link that stands says Join; the others were only raced for it.
    fn opened(&mut self, core: &mut Core, mut link: Link, fallback: bool) {
        if self.winner.is_some() || self.dials.remove(&link.id).is_none() {
            core.close(link.id, false);
            return;
        }
        for (other, _) in std::mem::take(&mut self.dials) {
            core.close(other, false);
        }
        (self.next_dial, self.retry_at) = (None, None);
        self.foreign = fallback;
        let frame = if fallback {
            Frame::Incompatible { major: WIRE_MAJOR, version: core.version }
        } else if let Some(invite) = self.reject {
            Frame::RejectInvite { invite }
        } else {
            Frame::Join(Box::new(self.spec.frame(core.version, link.peer, &link.binding)))
        };
        link.send(core.now, &mut core.actions, &frame);
        self.winner = Some(link);
    }

    fn heard(&mut self, core: &mut Core, frame: Frame) -> Option<Outcome> {
        match frame {
            Frame::Accept(accept) if self.reject.is_none() => {
                let mut link = self.winner.take()?;
                if !self.spec.accepts(&accept, link.peer, &link.binding) {
                    link.send(core.now, &mut core.actions, &Frame::Leave);
                    core.close(link.id, true);
                    // A host that does not know the password is an impostor, or the password is wrong.
                    let refusal = if self.spec.password_key.is_some() {
                        Refusal::BadPassword
                    } else {
                        Refusal::HostUnreachable { tried: self.tried.clone() }
                    };
                    return Some(Outcome::Failed(Error::refused(refusal)));
                }
                link.send(core.now, &mut core.actions, &Frame::Ack);
                let mut addresses = vec![link.remote];
                addresses.extend(self.candidates.iter().filter(|&&other| other != link.remote));
                Some(Outcome::Seated(Box::new(Seated { link, accept, addresses, deadline: self.deadline })))
            }
            Frame::Refuse { refusal, sticky } => {
                self.hang_up(core);
                self.invite_refused(core, &refusal);
                match refusal {
                    Refusal::Migrating { .. } if !self.spec.patient && !self.migratable => {
                        Some(Outcome::Failed(Error::refused(refusal)))
                    }
                    Refusal::TooManyRequests { after } | Refusal::Migrating { after }
                        if !sticky && core.now + after < self.deadline =>
                    {
                        self.retry_at = Some(core.now + after.max(core.tuning.rejoin));
                        None
                    }
                    Refusal::Incompatible { theirs, .. } => {
                        let refusal = Refusal::Incompatible { ours: core.version, theirs };
                        Some(Outcome::Failed(Error::refused(refusal)))
                    }
                    refusal => Some(Outcome::Failed(Error::refused(refusal))),
                }
            }
            Frame::Incompatible { version, .. } => {
                self.hang_up(core);
                let refusal = Refusal::Incompatible { ours: core.version, theirs: version };
                Some(Outcome::Failed(Error::refused(refusal)))
            }
            Frame::Done { number: 0, .. } if self.reject.is_some() => {
                self.hang_up(core);
                Some(Outcome::Said)
            }
            Frame::NotHost(way) => self.not_host(core, &way),
            // The seat of this very attempt has ended already.
            Frame::End { why } => {
                self.hang_up(core);
                Some(Outcome::Failed(Error::refused(Refusal::Refused(Reason::from(why.to_string())))))
            }
            _ => None,
        }
    }

    /// A dial failed, or the link that said Join is gone without a word: the next address, or the same ones again.
    fn lost(&mut self, core: &mut Core, link: LinkId, why: Closed) -> Option<Outcome> {
        let won = self.winner.as_ref().is_some_and(|winner| winner.id == link);
        if won {
            self.winner = None;
            if self.foreign {
                let refusal = Refusal::Incompatible { ours: core.version, theirs: core.version };
                return Some(Outcome::Failed(Error::refused(refusal)));
            }
        }
        let dialled = self.dials.remove(&link);
        if !won && dialled.is_none() {
            return None;
        }
        // A crowded door closes without a word; the joiner that comes again gets in.
        if won || matches!(why, Closed::ByPeer | Closed::Broken) {
            if self.retries < limits::JOIN_RETRIES {
                self.retries += 1;
                if self.retry_at.is_none() {
                    self.retry_at = Some(core.now + core.tuning.rejoin);
                }
            }
        } else if let (Closed::WrongKey, Some(at)) = (why, dialled) {
            let before = self.candidates.iter().position(|&c| c == at);
            self.candidates.retain(|&candidate| candidate != at);
            if before.is_some_and(|position| position < self.next) {
                self.next -= 1;
            }
        }
        if let (Closed::Unreachable | Closed::Refused, Some(at)) = (why, dialled) {
            // What was dialled beside it waits for the same silence.
            self.dials.retain(|&beside, to| {
                let same = *to == at;
                if same {
                    core.close(beside, false);
                }
                !same
            });
        }
        if self.next < self.candidates.len() && self.winner.is_none() && self.retry_at.is_none() {
            self.next_dial = Some(core.now);
            self.dial_next(core);
        }
        if self.dials.is_empty() && self.next >= self.candidates.len() {
            // Nothing is silent any more: there is nothing to dial beside.
            self.next_dial = None;
        }
        let idle = self.dials.is_empty() && self.winner.is_none() && self.next_dial.is_none();
        if idle && self.retry_at.is_none() && self.migratable {
            // Another host may go on within the time of this join: it is looked for, and the old one tried now and then.
            self.retry_at = Some(core.now + core.tuning.redial);
            core.events.extend(self.spec.key.map(|key| SessionsEvent::HostSuspect { key }));
        }
        if !idle || self.retry_at.is_some() || self.asks_until.is_some() {
            return None;
        }
        // What this join goes by may be old: the host of the session may be elsewhere by now.
        let ask = self.spec.key.filter(|_| self.spec.patient && !self.asked);
        let Some(key) = ask else { return Some(self.unreached()) };
        (self.asked, self.asks_until) = (true, Some(core.now + core.tuning.redial * 2));
        core.events.push_back(SessionsEvent::HostSuspect { key });
        None
    }

    fn unreached(&self) -> Outcome {
        Outcome::Failed(Error::refused(Refusal::HostUnreachable { tried: self.tried.clone() }))
    }

    /// What this says of the invite that it came with: the host has proved its key, so it knows.
    fn invite_refused(&self, core: &mut Core, refusal: &Refusal) {
        let state = match refusal {
            Refusal::InviteExpired => InviteState::Expired,
            Refusal::NotInvited | Refusal::NotFriend | Refusal::Banned => InviteState::Revoked,
            _ => return,
        };
        if let Some(invite) = self.spec.invite {
            let invitee = self.spec.account();
            core.events.push_back(SessionsEvent::InviteRefused { invitee, invite, state });
        }
    }

    /// Who was host says where the session goes on: the proof is checked, the word alone leads nowhere.
    fn not_host(&mut self, core: &mut Core, way: &Way) -> Option<Outcome> {
        self.hang_up(core);
        let proved = way.proved(self.spec.key.unwrap_or(way.session), self.spec.incarnation);
        let on = |reign: &Reign| self.reign.is_none_or(|former| reign.supersedes(former));
        match proved.filter(on) {
            Some(reign) if self.sent_on < limits::SENT_ON && !way.addresses.is_empty() => {
                self.sent_on += 1;
                self.reign = Some(reign);
                self.spec.key = Some(way.session);
                self.moved(core, way.host_key, &way.addresses);
                None
            }
            _ => Some(self.unreached()),
        }
    }

    /// The session has another host, which has proved it.
    pub(super) fn moved(&mut self, core: &mut Core, host_key: HostKey, addresses: &[SocketAddr]) {
        let same = self.spec.host_key == Some(host_key);
        let waits = self.retry_at.is_some() || self.asks_until.is_some();
        if self.winner.is_some() || addresses.is_empty() || (same && !waits) {
            return;
        }
        if same && self.asks_until.is_none() {
            // It was just tried, and the next try has its time: where each dial fails at once this would be a loop.
            let new = addresses.iter().filter(|address| !self.candidates.contains(address)).copied();
            let new: Vec<_> = new.take(limits::ADDRESSES.saturating_sub(self.candidates.len())).collect();
            self.candidates.extend(new);
            return;
        }
        for (link, _) in std::mem::take(&mut self.dials) {
            core.close(link, false);
        }
        self.spec.host_key = Some(host_key);
        self.candidates = addresses.iter().copied().take(limits::ADDRESSES).collect();
        (self.next, self.beside) = (0, 0);
        (self.retry_at, self.asks_until) = (None, None);
        self.next_dial = Some(core.now);
    }

    /// Its host is gone or was not reached: another one may come, or it is elsewhere.
    pub(super) fn awaits_host(&self) -> bool {
        let lost = self.migratable && self.retry_at.is_some();
        self.winner.is_none() && (lost || self.asks_until.is_some())
    }

    fn hang_up(&mut self, core: &mut Core) {
        if let Some(link) = self.winner.take() {
            core.close(link.id, false);
        }
    }

    /// Leaves no ghost: a host that has answered, or is about to, reads Leave behind the Join.
    pub(super) fn give_up(&mut self, core: &mut Core) {
        for (link, _) in std::mem::take(&mut self.dials) {
            core.close(link, false);
        }
        if let Some(mut link) = self.winner.take() {
            link.send(core.now, &mut core.actions, &Frame::Leave);
            core.close(link.id, true);
        }
    }
}
