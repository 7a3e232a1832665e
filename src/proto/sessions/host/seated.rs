//! What seated members say, and how long a seat lasts (protocol.md, "Members").

use std::sync::Arc;

use super::super::bounds::{check_member_update, check_message, members_own_update};
use super::super::core::Core;
use super::{HostAuthority, Reply};
use crate::proto::io::LinkId;
use crate::proto::limits;
use crate::proto::links::encode;
use crate::types::{AccountId, Error, InviteState, Left, Member, MemberUpdate, Revision, SessionEvent, Visibility};
use crate::wire::frame::{Cause, Change, DoneResult, Frame, MAX_MESSAGE, MAX_TEXT, Request};
use crate::wire::hash;

impl HostAuthority {
    pub(in super::super) fn seat_frame(
        &mut self,
        core: &mut Core,
        account: AccountId,
        kind: u8,
        more: bool,
        payload: Vec<u8>,
    ) {
        let Some(seat) = self.seats.get_mut(&account) else { return };
        let Some(link) = &mut seat.link else { return };
        let id = link.id;
        let Ok(frame) = link.receive(core.now, kind, more, payload, MAX_MESSAGE) else {
            core.close(id, false);
            self.link_lost(core, account);
            return;
        };
        let first = !std::mem::replace(&mut seat.confirmed, true);
        seat.token.heard();
        if first {
            self.touch_kept();
            self.invites_used(core, account);
        }
        self.merge.heard(core.now, account);
        if !self.guests.is_empty() {
            self.settle_challenge(core, account);
        }
        match frame {
            Some(Frame::Request { number, body }) => self.request(core, account, number, body),
            Some(Frame::Stand(stand)) => self.stood(core, account, *stand),
            Some(Frame::OrderAck(ack)) => self.order_acked(core, account, ack),
            Some(Frame::Leave) => {
                self.resigned(account);
                self.end_link(core, account, None);
                self.free(core, account, Left::Left, Reply::Nobody);
            }
            Some(Frame::Stay) => self.settle(core),
            Some(Frame::Vote(vote)) => self.vote_of_member(core, *vote),
            Some(Frame::NoVote { promised, .. }) => self.no_vote_of_member(account, promised),
            Some(Frame::Prepared { revision }) => self.prepared(core, account, revision),
            Some(Frame::Resync { have }) => {
                self.wake = None;
                if let Some(seat) = self.seats.get_mut(&account) {
                    seat.ask_resync(have);
                }
                self.answer_resync(core, account);
            }
            Some(Frame::Vouch { ask, yes }) => self.vouched(core, account, ask, yes),
            // Acks and heartbeats were heard above; the rest is nothing that a member says.
            _ => {}
        }
    }

    fn request(&mut self, core: &mut Core, account: AccountId, number: u32, body: Request) {
        let Some(seat) = self.seats.get_mut(&account) else { return };
        if seat.applied.contains(number) {
            let invited = seat.invited.iter().find(|(of, _)| *of == number).map(|(_, ids)| ids.clone());
            match invited {
                Some(ids) => {
                    let result = DoneResult::Invited(self.doc.revision(), ids);
                    self.insist(core, account, &Frame::Done { number, result });
                }
                None => self.repeated(core, account, number, &body),
            }
            return;
        }
        let cause = Some(Cause { account, number });
        match body {
            Request::UpdateMe(update) => {
                let result = self.update_member(core, account, update, cause);
                self.reply(core, account, number, result);
            }
            Request::Invite(_) | Request::Revoke { .. } => self.invite_request(core, account, number, body),
            Request::Say(data) => {
                let taken = check_message(&data).and_then(|()| take_token(core, &mut seat.says));
                let revision = self.doc.revision();
                if taken.is_ok() {
                    self.note_applied(account, number);
                }
                self.reply(core, account, number, taken.clone().map(|()| revision));
                if taken.is_ok() {
                    self.spread(core, Some(account), &data.into());
                }
            }
            // States, roles, reservations.
            body => self.place_request(core, account, number, body),
        }
    }

    fn invite_request(&mut self, core: &mut Core, account: AccountId, number: u32, body: Request) {
        let taken = match self.seats.get_mut(&account) {
            Some(seat) => seat.updates.take(core.now, core.tuning.update_interval, limits::UPDATE_BURST),
            None => return,
        };
        let revision = self.doc.revision();
        let result = match (taken, body) {
            (Err(after), _) => Err(too_many(after)),
            (Ok(()), Request::Invite(what)) => self.make_invites(core, account, &what).map(Some),
            (Ok(()), Request::Revoke { invite, hold_only }) => {
                let ended = self.take_back(core, account, invite, hold_only);
                ended.map(|ended| {
                    self.tell_inviters(core, &ended, InviteState::Revoked);
                    None
                })
            }
            (Ok(()), _) => return,
        };
        if result.is_ok() {
            self.note_applied(account, number);
        }
        match result {
            Ok(Some(ids)) => {
                if let Some(seat) = self.seats.get_mut(&account) {
                    seat.invited.push_back((number, ids.clone()));
                    if seat.invited.len() > limits::REQUESTS {
                        seat.invited.pop_front();
                    }
                }
                self.insist(core, account, &Frame::Done { number, result: DoneResult::Invited(revision, ids) });
            }
            Ok(None) => self.reply(core, account, number, Ok(revision)),
            Err(error) => self.reply(core, account, number, Err(error)),
        }
    }

    pub(super) fn note_applied(&mut self, account: AccountId, number: u32) {
        if let Some(seat) = self.seats.get_mut(&account) {
            seat.applied.insert(number);
        }
        self.touch_kept();
    }

    fn update_member(
        &mut self,
        core: &mut Core,
        account: AccountId,
        update: MemberUpdate,
        cause: Option<Cause>,
    ) -> Result<Revision, Error> {
        if let Some(seat) = self.seats.get_mut(&account) {
            let tuning = &core.tuning;
            let taken = seat.updates.take(core.now, tuning.update_interval, limits::UPDATE_BURST);
            taken.map_err(too_many)?;
        }
        let update = members_own_update(update);
        check_member_update(self.doc.state(), account, &update)?;
        if let (Some(seat), Some(cause)) = (self.seats.get_mut(&account), cause) {
            seat.applied.insert(cause.number);
        }
        Ok(self.commit_member_update(core, account, update, cause, Reply::Nobody))
    }

    /// An update without effect makes no revision.
    pub(super) fn commit_member_update(
        &mut self,
        core: &mut Core,
        account: AccountId,
        update: MemberUpdate,
        cause: Option<Cause>,
        reply: Reply,
    ) -> Revision {
        let effect = self.doc.state().member(account).is_some_and(|member| changes_something(member, &update));
        if effect {
            self.commit(core, &[Change::MemberUpdated { account, update, status: None }], cause, reply)
        } else {
            let revision = self.doc.revision();
            if let Reply::Revision(request) = reply {
                core.done(request, Ok(crate::proto::io::Answer::Revision(revision)));
            }
            revision
        }
    }

    /// After the delta it caused, so a requester is up to date when it is answered.
    pub(super) fn reply(&mut self, core: &mut Core, account: AccountId, number: u32, result: Result<Revision, Error>) {
        let result = match result {
            Ok(revision) => DoneResult::Ok(revision),
            Err(error) => DoneResult::Failed {
                code: error.code(),
                text: error.to_string().chars().take(MAX_TEXT / 4).collect(),
                retry_after_ms: error.retry_after().map_or(0, super::admit::millis),
            },
        };
        self.insist(core, account, &Frame::Done { number, result });
    }

    pub(super) fn insist(&mut self, core: &mut Core, account: AccountId, frame: &Frame) {
        let Some(seat) = self.seats.get_mut(&account) else { return };
        if !seat.insist(core, frame) {
            self.give_up_link(core, account);
        }
    }

    /// A lobby message to everybody; its sender gets it too, in the host's order.
    pub(super) fn spread(&mut self, core: &mut Core, from: Option<AccountId>, data: &Arc<[u8]>) {
        let message = encode(&Frame::Message { from, data: data.to_vec() });
        for seat in self.seats.values_mut() {
            seat.deliver(core, &message);
        }
        core.tell(self.seat, vec![SessionEvent::Message { from, data: data.clone() }], None);
    }

    fn answer_resync(&mut self, core: &mut Core, account: AccountId) {
        let Some(seat) = self.seats.get_mut(&account) else { return };
        let Some(have) = seat.take_resync(core.now, &core.tuning) else { return };
        if seat.is_collapsed() {
            return;
        }
        let messages = self.missed_since(have).unwrap_or_else(|| {
            let snapshot = self.doc.visible_to(Visibility::Members);
            // Within the queue's cap: a reader that sips and asks for everything again would grow it without end.
            vec![encode(&Frame::Snapshot(Box::new(snapshot)))]
        });
        if let Some(seat) = self.seats.get_mut(&account) {
            messages.iter().for_each(|message| seat.deliver(core, message));
        }
    }

    pub(super) fn seat_written(&mut self, core: &mut Core, link: LinkId, bytes: usize) {
        let Some(account) = self.seat_of.get(&link) else { return };
        let Some(seat) = self.seats.get_mut(account) else { return };
        if seat.written(core.now, bytes) {
            self.wake = None;
            let snapshot = self.doc.visible_to(Visibility::Members);
            seat.send_snapshot(core, &encode(&Frame::Snapshot(Box::new(snapshot))));
        }
        self.keep(core);
    }

    /// A link that is still open and of no use: silent, stalled, or overrun.
    pub(super) fn give_up_link(&mut self, core: &mut Core, account: AccountId) {
        if let Some(link) = self.seats.get(&account).and_then(|seat| seat.link.as_ref()) {
            core.close(link.id, false);
        }
        self.link_lost(core, account);
    }

    /// Only Leave, kick and destroy end a seat: this one is held. One that was never confirmed is free at once.
    pub(super) fn link_lost(&mut self, core: &mut Core, account: AccountId) {
        let Some(seat) = self.seats.get_mut(&account) else { return };
        let Some(link) = seat.link.take() else { return };
        self.seat_of.remove(&link.id);
        if !seat.confirmed {
            // It never learned that it was in, nor what it holds: its next attempt begins anew, with the same company.
            let party = hash::party_id(&seat.nonce);
            let mut gone = vec![account];
            let own = |seat: &AccountId| self.reservations.leader_of(*seat) == Some(account);
            gone.extend(self.reservations.seats_of(party).iter().copied().filter(own));
            self.vacate(core, &gone, &Left::Left, Vec::new(), None, Reply::Nobody);
            return;
        }
        if self.merge.has_sent(account) {
            self.free(core, account, Left::Left, Reply::Nobody);
            return;
        }
        seat.away_until = Some(core.now + self.grace);
        self.tell_keys(core);
        self.commit(core, &[Change::MemberAway(account)], None, Reply::Nobody);
        self.pass_challenge(core, account);
    }

    /// Closes a seat's link after a last word, if there is one to say.
    pub(super) fn end_link(&mut self, core: &mut Core, account: AccountId, why: Option<Left>) {
        let Some(mut link) = self.seats.get_mut(&account).and_then(|seat| seat.link.take()) else { return };
        self.seat_of.remove(&link.id);
        if let Some(why) = why {
            link.send(core.now, &mut core.actions, &Frame::End { why });
        }
        core.close(link.id, true);
    }

    /// The seat is free again; its link has been ended before.
    pub(super) fn free(&mut self, core: &mut Core, account: AccountId, why: Left, reply: Reply) {
        if self.seats.contains_key(&account) {
            self.vacate(core, &[account], &why, Vec::new(), None, reply);
        }
    }

    /// Frees these seats and those that go with them, in one revision with what else is to change.
    pub(super) fn vacate(
        &mut self,
        core: &mut Core,
        gone: &[AccountId],
        why: &Left,
        mut changes: Vec<Change>,
        cause: Option<Cause>,
        reply: Reply,
    ) -> Revision {
        let removed = matches!(why, Left::Kicked(_) | Left::Banned(_));
        for &account in gone {
            changes.extend(self.forget_seat(account, why));
            for follower in self.followers(account, removed) {
                changes.extend(self.forget_seat(follower, &Left::Left));
            }
        }
        self.tell_keys(core);
        let revision = self.commit_some(core, &changes, cause, reply);
        self.merge_moved(core);
        revision
    }

    fn forget_seat(&mut self, account: AccountId, why: &Left) -> Option<Change> {
        let seat = self.seats.remove(&account)?;
        // One that never said a word may have lost the link on which its end was told, too.
        if !matches!(why, Left::Left) && !seat.held {
            self.gone.push_back((seat.nonce, why.clone()));
            if self.gone.len() > limits::GONE {
                self.gone.pop_front();
            }
        }
        if !seat.confirmed && matches!(why, Left::Left | Left::Expired) {
            self.invites.put_back(account);
        }
        if seat.confirmed && matches!(why, Left::Left | Left::Expired) {
            self.leavers.push_back(account);
            if self.leavers.len() > limits::LEAVERS {
                self.leavers.pop_front();
            }
        }
        Some(Change::MemberLeft { account, why: why.clone() })
    }

    pub(super) fn time_out_seats(&mut self, core: &mut Core) {
        let due = |seat: &super::Seat| seat.deadline(&core.tuning, self.silence).is_some_and(|at| at <= core.now);
        let due: Vec<_> = self.seats.iter().filter(|(_, seat)| due(seat)).map(|(&account, _)| account).collect();
        for account in due {
            self.time_out_seat(core, account);
        }
    }

    fn time_out_seat(&mut self, core: &mut Core, account: AccountId) {
        let (now, tuning, silence) = (core.now, core.tuning.clone(), self.silence);
        let Some(seat) = self.seats.get_mut(&account) else { return };
        let Some(link) = &mut seat.link else {
            if seat.away_until.is_some_and(|at| at <= now) {
                self.free(core, account, Left::Expired, Reply::Nobody);
            }
            return;
        };
        let unconfirmed = !seat.confirmed && seat.accepted + tuning.confirm <= now;
        let stalled = link.stalled_at(tuning.stalled_reader).is_some_and(|at| at <= now);
        if unconfirmed || stalled || link.silent_at(silence) <= now {
            self.give_up_link(core, account);
            return;
        }
        if link.heartbeat_at(tuning.heartbeat) <= now {
            link.send(now, &mut core.actions, &Frame::Heartbeat);
        }
        self.answer_resync(core, account);
    }
}

fn changes_something(member: &Member, update: &MemberUpdate) -> bool {
    update.name.as_ref().is_some_and(|name| *name != member.name)
        || update.ready.is_some_and(|ready| ready != member.ready)
        || update.remove.iter().any(|name| member.attributes.attribute(name).is_some())
        || update.set.iter().any(|(name, attribute)| member.attributes.attribute(name) != Some(attribute))
}

pub(super) fn take_token(core: &Core, bucket: &mut super::Bucket) -> Result<(), Error> {
    bucket.take(core.now, core.tuning.message_interval, limits::MESSAGE_BURST).map_err(too_many)
}

pub(super) fn too_many(after: std::time::Duration) -> Error {
    Error::refused(crate::types::Refusal::TooManyRequests { after })
}
