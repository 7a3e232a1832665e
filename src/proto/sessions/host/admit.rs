//! Who asks for a seat, and the checks in their fixed order (protocol.md, "Join"): version, session, ban, password, an
//! own seat, policy, phase and switches, role, seat, the game's admission.
//!
//! An account that holds a seat is judged by that seat before policy and phase: coming back is not coming in.

use std::net::{IpAddr, SocketAddr};

use super::super::bounds::{attribute_bytes, member_budget, members_own};
use super::super::core::Core;
use super::super::document::member_update;
use super::super::doorman::Stage;
use super::seat::Applied;
use super::vouch::Round;
use super::{HostAuthority, Reply};
use crate::proto::clock::Moment;
use crate::proto::io::LinkId;
use crate::proto::limits;
use crate::proto::links::Link;
use crate::types::{
    AccountId, JoinAsk, Left, LinkState, Phase, PublicKey, Reason, Refusal, Secret, SessionEvent, SessionId, Verdict,
    Visibility, WIRE_MAJOR,
};
use crate::wire::frame::{Accept, Change, Frame, Grant, Join, MAX_PRE_SEAT, MAX_PROOF, Proof, kind::CLAIM};
use crate::wire::hash;

/// The id that stands for "the session that is served here": what a joiner with nothing but an address asks for.
pub(crate) const ANY_SESSION: SessionId = SessionId::from_bytes([0; 16]);

/// A peer without a seat, its key proved.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) link: Link,
    pub(super) waiting: Option<Waiting>,
    /// The members were asked about it.
    pub(super) round: Option<Round>,
}

#[derive(Debug)]
pub(super) enum Waiting {
    /// A wrong password: told late.
    Refusal { at: Moment, refusal: Refusal },
    /// Its account has a connected seat; a word on the older link until then means that is alive.
    Challenge { since: Moment, until: Moment, join: Box<Join> },
    /// The members are asked.
    Vouch { until: Moment, join: Box<Join> },
    /// The game is asked.
    Admission { ask: u64, until: Moment, join: Box<Join> },
}

impl Guest {
    pub(super) fn deadline(&self) -> Option<Moment> {
        self.waiting.as_ref().map(|waiting| match waiting {
            Waiting::Refusal { at, .. } => *at,
            Waiting::Challenge { until, .. } | Waiting::Vouch { until, .. } | Waiting::Admission { until, .. } => {
                *until
            }
        })
    }

    pub(super) fn account(&self) -> AccountId {
        self.link.peer.into()
    }

    pub(super) fn source(&self) -> IpAddr {
        self.link.remote.ip()
    }
}

enum Judgement {
    Refuse(Refusal),
    WrongPassword,
    /// Its seat has ended, and it may not have heard so.
    Ended(Left),
    /// The seat it holds.
    Back,
    /// Another process of this account, and the seat's link stands.
    Challenge,
    /// A stranger to the host: its members may know it.
    Vouch,
    Ask,
    Seat,
}

impl HostAuthority {
    pub(super) fn guest_opened(
        &mut self,
        core: &mut Core,
        id: LinkId,
        peer: PublicKey,
        binding: [u8; 32],
        remote: SocketAddr,
        fallback: bool,
    ) {
        let mut link = Link::new(core.now, id, peer, binding, remote);
        if fallback {
            let frame = Frame::Incompatible { major: WIRE_MAJOR, version: core.version };
            link.send(core.now, &mut core.actions, &frame);
            core.close(id, true);
            return;
        }
        core.doorman.reached(core.now, &core.tuning, id, Stage::Open);
        self.guests.insert(id, Guest { link, waiting: None, round: None });
    }

    pub(super) fn guest_closed(&mut self, link: LinkId) {
        self.guests.remove(&link);
    }

    /// The door is crowded or its time is up.
    pub(in super::super) fn evict(&mut self, core: &mut Core, link: LinkId) {
        self.wake = None;
        if self.guests.get(&link).is_some_and(|guest| guest.waiting.is_some()) {
            self.refuse(core, link, Refusal::TooManyRequests { after: core.tuning.wrong_password });
        } else {
            self.guests.remove(&link);
            core.close(link, false);
        }
    }

    pub(super) fn guest_frame(&mut self, core: &mut Core, id: LinkId, kind: u8, more: bool, payload: Vec<u8>) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        // A proof is longer than what else a stranger may say.
        let limit = if kind == CLAIM { MAX_PROOF } else { MAX_PRE_SEAT };
        match guest.link.receive(core.now, kind, more, payload, limit) {
            Ok(None | Some(Frame::Heartbeat)) => {}
            Ok(Some(Frame::Join(join))) if guest.waiting.is_none() => {
                core.doorman.reached(core.now, &core.tuning, id, Stage::Joining);
                self.expire_away(core);
                self.judge_and_answer(core, id, join);
            }
            Ok(Some(Frame::Resume(resume))) if guest.waiting.is_none() => {
                self.expire_away(core);
                self.resume(core, id, &resume);
            }
            Ok(Some(Frame::RejectInvite { invite })) if guest.waiting.is_none() => {
                let account = guest.account();
                self.reject_invite(core, id, account, invite);
            }
            Ok(Some(Frame::LineageAsk { session })) if guest.waiting.is_none() => {
                let known = session == self.key && self.opening.is_none() && self.doc.state().listed;
                let answer = Frame::Lineage { lineage: self.lineage().to_vec() };
                let refusal = Frame::Refuse { refusal: Refusal::NotFound, sticky: true };
                self.dismiss(core, id, if known { &answer } else { &refusal });
            }
            Ok(Some(Frame::Claim(way))) if guest.waiting.is_none() => self.claimed(core, id, *way),
            Ok(Some(Frame::MergeAsk(ask))) if guest.waiting.is_none() => self.answer_merge(core, id, &ask),
            // It lost a host of this session: this is the next one.
            Ok(Some(Frame::Follow(_))) if guest.waiting.is_none() => self.say_won(core, id),
            // Said to a candidate that has won meanwhile.
            Ok(Some(Frame::Vote(_) | Frame::NoVote { .. } | Frame::Succession(_) | Frame::Pulled(_))) => {}
            // A joiner that gave up, or nothing that a joiner says.
            Ok(Some(_)) | Err(()) => {
                self.guests.remove(&id);
                core.close(id, false);
            }
        }
    }

    pub(super) fn judge_and_answer(&mut self, core: &mut Core, id: LinkId, join: Box<Join>) {
        let Some(guest) = self.guests.get(&id) else { return };
        let account = guest.account();
        match self.judge(core, guest, &join) {
            Judgement::Refuse(refusal) => self.refuse(core, id, refusal),
            Judgement::WrongPassword => self.refuse_late(core, id, Refusal::BadPassword),
            Judgement::Ended(why) => self.dismiss(core, id, &Frame::End { why }),
            Judgement::Back => self.give_back(core, id, &join),
            Judgement::Challenge => {
                let (since, until) = (core.now, core.now + core.tuning.same_account);
                self.wait(id, Waiting::Challenge { since, until, join });
                if let Some(link) = self.seats.get_mut(&account).and_then(|seat| seat.link.as_mut()) {
                    link.send(core.now, &mut core.actions, &Frame::Heartbeat);
                }
            }
            Judgement::Vouch => self.ask_members(core, id, join),
            Judgement::Ask => self.ask(core, id, join),
            Judgement::Seat => self.seat(core, id, &join),
        }
    }

    fn judge(&self, core: &Core, guest: &Guest, join: &Join) -> Judgement {
        let account = guest.account();
        if join.version != core.version {
            // As the joiner will read it: its own version first.
            return Judgement::Refuse(Refusal::Incompatible { ours: join.version, theirs: core.version });
        }
        let asked_here = join.session == self.key && (join.incarnation == 0 || join.incarnation == self.incarnation);
        let any = join.session.id == ANY_SESSION && self.doc.state().listed;
        if self.opening.is_some() || !(asked_here || any) {
            return Judgement::Refuse(Refusal::NotFound);
        }
        if self.bans.contains(&account) {
            return Judgement::Refuse(Refusal::Banned);
        }
        // None is no guess, so it need not be slowed down.
        if self.lacks_password(account, join, core.now) {
            return Judgement::Refuse(Refusal::BadPassword);
        }
        if let (Some(key), Some(proof)) = (&self.password_key, join.password_proof) {
            let expected = hash::password_proof(key, "joiner", &guest.link.binding, account, self.host_key());
            if !hash::equal(&proof, &expected) {
                return Judgement::WrongPassword;
            }
        }
        if self.doc.state().host == Some(account) {
            return Judgement::Refuse(Refusal::AlreadyMember);
        }
        if let Some(seat) = self.seats.get(&account).filter(|seat| !seat.held) {
            let again = seat.nonce == join.nonce || seat.link.is_none();
            return if again { Judgement::Back } else { Judgement::Challenge };
        }
        if let Some(why) = self.ended(&join.nonce) {
            return Judgement::Ended(why);
        }
        match self.newcomer_refusal(core, guest, join) {
            Some(Refusal::NotFriend) if guest.round.is_none() => return Judgement::Vouch,
            Some(refusal) => return Judgement::Refuse(refusal),
            None => {}
        }
        if self.admission { Judgement::Ask } else { Judgement::Seat }
    }

    /// Policy, phase and switches, role, seat: what is checked again after the game's word. Who has a reserved seat is
    /// judged by that: it only claims it.
    fn newcomer_refusal(&self, core: &Core, guest: &Guest, join: &Join) -> Option<Refusal> {
        let account = guest.account();
        let refusal = if !self.is_held(account) {
            self.policy_refusal(core, guest, join).or_else(|| self.switch_refusal(core, account))
        } else if join.party.iter().all(|companion| self.is_held(companion.account)) {
            None
        } else {
            // Whom it brings has no seat yet.
            self.switch_refusal(core, account)
        };
        refusal.or_else(|| self.place_refusal(core.now, account, &guest.link.binding, join))
    }

    fn switch_refusal(&self, core: &Core, account: AccountId) -> Option<Refusal> {
        let state = self.doc.state();
        if state.phase != Phase::Lobby && !(state.phase == Phase::InProgress && state.join_in_progress) {
            return Some(Refusal::InProgress);
        }
        if state.closed {
            return Some(Refusal::Closed);
        }
        if state.locked && !self.leavers.contains(&account) {
            return Some(Refusal::Locked);
        }
        self.frozen_refusal(core)
    }

    /// A session on its way into another one gives no seat, neither to a joiner nor to a reservation.
    pub(super) fn frozen_refusal(&self, core: &Core) -> Option<Refusal> {
        self.merge.is_frozen().then_some(Refusal::Migrating { after: core.tuning.mm_migrating })
    }

    /// It proves none where one is needed. Its invite stands for it, or did when it took the seat that it holds.
    fn lacks_password(&self, account: AccountId, join: &Join, now: Moment) -> bool {
        let stood = || self.seats.get(&account).is_some_and(|seat| !seat.held && !seat.proved);
        let wanted = self.password_key.is_some() && join.password_proof.is_none();
        wanted && !stood() && !self.invites.pass_password(account, now)
    }

    pub(super) fn wait(&mut self, id: LinkId, waiting: Waiting) {
        if let Some(guest) = self.guests.get_mut(&id) {
            guest.waiting = Some(waiting);
        }
    }

    pub(super) fn refuse(&mut self, core: &mut Core, id: LinkId, refusal: Refusal) {
        let sticky = refusal.is_sticky();
        self.dismiss(core, id, &Frame::Refuse { refusal, sticky });
    }

    /// The last word, delivered before the close.
    pub(super) fn dismiss(&mut self, core: &mut Core, id: LinkId, frame: &Frame) {
        if let Some(mut guest) = self.guests.remove(&id) {
            guest.link.send(core.now, &mut core.actions, frame);
            core.close(id, true);
        }
    }

    pub(super) fn dismiss_guests(&mut self, core: &mut Core) {
        for id in self.guests.keys().copied().collect::<Vec<_>>() {
            self.refuse(core, id, Refusal::NotFound);
        }
    }

    /// A wrong password costs its guesser a second and a place at the door; the right one waits for nothing.
    fn refuse_late(&mut self, core: &mut Core, id: LinkId, refusal: Refusal) {
        let source = |guest: &Guest| guest.link.remote.ip();
        let Some(from) = self.guests.get(&id).map(source) else { return };
        let late = |guest: &&Guest| source(guest) == from && matches!(guest.waiting, Some(Waiting::Refusal { .. }));
        if self.guests.values().filter(late).count() >= limits::WRONG_PASSWORDS_PER_SOURCE {
            self.refuse(core, id, Refusal::TooManyRequests { after: core.tuning.wrong_password });
        } else {
            let at = core.now + core.tuning.wrong_password;
            self.wait(id, Waiting::Refusal { at, refusal });
        }
    }

    fn ask(&mut self, core: &mut Core, id: LinkId, join: Box<Join>) {
        let Some(account) = self.guests.get(&id).map(Guest::account) else { return };
        // The same attempt over another connection keeps its place; another attempt of the account takes it.
        let older = self.guests.iter().find_map(|(&other, guest)| match &guest.waiting {
            Some(Waiting::Admission { ask, until, join: former }) if other != id && guest.account() == account => {
                Some((other, *ask, *until, former.nonce == join.nonce))
            }
            _ => None,
        });
        if let Some((other, ask, until, same)) = older {
            self.refuse(core, other, Refusal::Cancelled);
            if same {
                self.wait(id, Waiting::Admission { ask, until, join });
                return;
            }
        }
        let asked = self.guests.values().filter(|g| matches!(g.waiting, Some(Waiting::Admission { .. }))).count();
        if asked >= limits::ADMISSIONS {
            self.refuse(core, id, Refusal::TooManyRequests { after: core.tuning.wrong_password });
            return;
        }
        let ask = self.next_ask;
        self.next_ask += 1;
        let Some(guest) = self.guests.get(&id) else { return };
        let event = SessionEvent::JoinAsked(JoinAsk {
            id: ask,
            session: self.key.id,
            account,
            name: join.name.clone(),
            external: join.external.clone(),
            ticket: join.ticket.clone(),
            party: join.party.iter().filter(|user| user.proof.is_some()).map(|user| user.account).collect(),
            binding: hash::bound(&guest.link.binding, "ticket", self.key.id),
            deadline: core.tuning.admission,
        });
        self.wait(id, Waiting::Admission { ask, until: core.now + core.tuning.admission, join });
        core.tell(self.seat, vec![event], None);
    }

    /// The game's word on a joiner; one that came too late, or for a joiner that left, changes nothing.
    pub(in super::super) fn answer(&mut self, core: &mut Core, ask: u64, verdict: Verdict) {
        self.wake = None;
        let asked = self.guests.iter().find_map(|(&id, guest)| match &guest.waiting {
            Some(Waiting::Admission { ask: a, join, .. }) if *a == ask => Some((id, guest.account(), join.clone())),
            _ => None,
        });
        let Some((id, account, join)) = asked else { return };
        let seated = self.seats.contains_key(&account) && !self.is_held(account);
        match verdict {
            Verdict::Refuse(reason) => self.refuse(core, id, Refusal::Refused(reason)),
            Verdict::Admit if self.bans.contains(&account) => self.refuse(core, id, Refusal::Banned),
            // A proof stays one; an invite that stood for it may have ended.
            Verdict::Admit if self.lacks_password(account, &join, core.now) => {
                self.refuse(core, id, Refusal::BadPassword);
            }
            Verdict::Admit if seated => self.refuse(core, id, Refusal::AlreadyMember),
            Verdict::Admit => {
                let Some(guest) = self.guests.get(&id) else { return };
                match self.newcomer_refusal(core, guest, &join) {
                    // The policy changed while the game thought; it is asked again after its members.
                    Some(Refusal::NotFriend) if guest.round.is_none() => self.ask_members(core, id, join),
                    Some(refusal) => self.refuse(core, id, refusal),
                    None => self.seat(core, id, &join),
                }
            }
        }
    }

    /// A word came on a seat's link: all who challenged it are too late.
    pub(super) fn settle_challenge(&mut self, core: &mut Core, account: AccountId) {
        let challengers = self.guests.iter().filter_map(|(&id, guest)| match &guest.waiting {
            Some(Waiting::Challenge { since, .. }) if guest.account() == account && *since < core.now => Some(id),
            _ => None,
        });
        for id in challengers.collect::<Vec<_>>() {
            self.wake = None;
            self.refuse(core, id, Refusal::AlreadyMember);
        }
    }

    /// The seat's link is gone: whoever challenged it need not wait.
    pub(super) fn pass_challenge(&mut self, core: &mut Core, account: AccountId) {
        let challenge = |guest: &Guest| matches!(guest.waiting, Some(Waiting::Challenge { .. }));
        let found = self.guests.iter().find(|(_, guest)| guest.account() == account && challenge(guest));
        let Some(id) = found.map(|(&id, _)| id) else { return };
        if let Some(Waiting::Challenge { join, .. }) = self.guests.get_mut(&id).and_then(|g| g.waiting.take()) {
            self.challenge_passed(core, id, join);
        }
    }

    /// A new seat: one commit, then the joiner's Accept with the state that has it.
    fn seat(&mut self, core: &mut Core, id: LinkId, join: &Join) {
        let Some(guest) = self.guests.remove(&id) else { return };
        let account = guest.account();
        core.doorman.remove(id);
        self.seat_of.insert(id, account);
        let changes = self.place(core, account, guest.link, join);
        self.leavers.retain(|leaver| *leaver != account);
        self.tell_keys(core);
        // They take their seats in this very commit. Who has none but a reserved one has not come yet.
        let companions = join.party.iter().filter(|companion| companion.proof.is_some());
        self.invites.set_aside(account);
        companions.for_each(|companion| self.invites.set_aside(companion.account));
        self.commit(core, &changes, None, Reply::Nobody);
        self.send_accept(core, account);
    }

    /// The seat this account holds, over its newest connection.
    fn give_back(&mut self, core: &mut Core, id: LinkId, join: &Join) {
        let Some(guest) = self.guests.remove(&id) else { return };
        let account = guest.account();
        core.doorman.remove(id);
        let Some(seat) = self.seats.get_mut(&account) else { return };
        let restarted = seat.nonce != join.nonce;
        let was_away = self.doc.state().member(account).is_some_and(|member| member.link == LinkState::Away);
        let former = seat.attach(core.now, self.key.id, guest.link);
        seat.peer_incarnation = join.peer_incarnation;
        seat.proved |= join.password_proof.is_some();
        if restarted {
            seat.nonce = join.nonce;
            seat.applied = Applied::default();
            seat.invited.clear();
            seat.machine = None;
        }
        self.seat_of.insert(id, account);
        if let Some(mut former) = former {
            self.seat_of.remove(&former.id);
            former.send(core.now, &mut core.actions, &Frame::End { why: Left::Superseded });
            core.close(former.id, true);
        }
        self.tell_keys(core);
        let mut changes = Vec::new();
        if was_away {
            changes.push(Change::MemberBack(account));
        }
        if let Some(member) = self.doc.state().member(account).filter(|_| restarted) {
            let attributes = members_own(&join.attributes);
            let fits = attribute_bytes(&attributes) <= member_budget(self.doc.state().max_members);
            let attributes = if fits { &attributes } else { &member.attributes };
            let update = member_update(member, &join.name, false, attributes);
            if !update.is_empty() {
                changes.push(Change::MemberUpdated { account, update, status: None });
            }
        }
        if !changes.is_empty() {
            self.commit(core, &changes, None, Reply::Nobody);
        }
        self.send_accept(core, account);
    }

    fn send_accept(&mut self, core: &mut Core, account: AccountId) {
        let snapshot = self.doc.visible_to(Visibility::Members);
        let host = self.host_key();
        let token = Secret::from(core.random());
        let (Some(seat), Some(member)) = (self.seats.get_mut(&account), snapshot.member(account)) else { return };
        seat.token.issue(hash::seat_token(self.key, account, seat.peer_incarnation, &token));
        let Some(link) = &mut seat.link else { return };
        let number = member.number;
        let proof = |key: &Secret| hash::password_proof(key, "host", &link.binding, account, host);
        let grant = Grant::sign(&self.host, self.key, self.doc.revision(), account, seat.peer_incarnation);
        let accept = Accept {
            number,
            token,
            grant,
            host: snapshot.host.map(|_| Proof::sign(&self.user.identity, &link.binding, host, self.key.id)),
            // Nothing to guess the password by for one that came without it.
            password_proof: self.password_key.as_ref().filter(|_| seat.proved).map(proof),
            host_silence: millis(self.silence),
            grace: millis(self.grace),
            snapshot,
        };
        link.send(core.now, &mut core.actions, &Frame::Accept(Box::new(accept)));
        seat.receiving = true;
        self.tell_untold(core, account);
        self.send_order(core, account);
        self.touch_kept();
    }

    pub(super) fn time_out_guests(&mut self, core: &mut Core) {
        let due = |guest: &Guest| guest.deadline().is_some_and(|at| at <= core.now);
        let due: Vec<_> = self.guests.iter().filter(|(_, guest)| due(guest)).map(|(&id, _)| id).collect();
        for id in due {
            let Some(waiting) = self.guests.get_mut(&id).and_then(|guest| guest.waiting.take()) else { continue };
            match waiting {
                Waiting::Refusal { refusal, .. } => self.refuse(core, id, refusal),
                Waiting::Admission { .. } => {
                    self.refuse(core, id, Refusal::Refused(Reason::from("the game gave no answer in time")));
                }
                Waiting::Challenge { join, .. } => self.challenge_passed(core, id, join),
                Waiting::Vouch { join, .. } => self.round_over(core, id, join),
            }
        }
    }

    /// The seat's link had its time and said nothing: as if it were away.
    fn challenge_passed(&mut self, core: &mut Core, id: LinkId, join: Box<Join>) {
        let Some(account) = self.guests.get(&id).map(Guest::account) else { return };
        if self.bans.contains(&account) {
            self.refuse(core, id, Refusal::Banned);
        } else if self.seats.contains_key(&account) && !self.is_held(account) {
            self.give_back(core, id, &join);
        } else {
            self.judge_and_answer(core, id, join);
        }
    }
}

pub(super) fn millis(duration: std::time::Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(all(test, feature = "testing"))]
impl Guest {
    pub(super) fn is_asked(&self) -> bool {
        matches!(&self.waiting, Some(Waiting::Admission { .. }))
    }
}
