//! A member's return to its seat by its token (protocol.md, "Resume").
//!
//! The token names the seat and counts from the seat's own account only, which TLS has proved. So nothing else is asked: no
//! password, no policy, no word of the game, and no challenge of the older link, which ends in the same step.

use super::super::core::Core;
use super::admit::Guest;
use super::{HostAuthority, Reply};
use crate::proto::io::LinkId;
use crate::proto::links::Encoded;
use crate::types::{AccountId, Left, LinkState, Refusal, Revision, Secret, Visibility};
use crate::wire::frame::{Change, Frame, Proof, Resume, Resumed};
use crate::wire::hash;

enum Judgement {
    Refuse(Refusal),
    /// Its seat has ended, and it may not have heard so.
    Ended(Left),
    /// The token is this one's hash.
    Back([u8; 32]),
}

impl HostAuthority {
    pub(super) fn resume(&mut self, core: &mut Core, id: LinkId, resume: &Resume) {
        let Some(account) = self.guests.get(&id).map(Guest::account) else { return };
        match self.judge_resume(core, account, resume) {
            Judgement::Refuse(refusal) => self.refuse(core, id, refusal),
            Judgement::Ended(why) => self.dismiss(core, id, &Frame::End { why }),
            Judgement::Back(shown) => self.take_up(core, id, shown, resume.have),
        }
    }

    fn judge_resume(&self, core: &Core, account: AccountId, resume: &Resume) -> Judgement {
        if resume.version != core.version {
            return Judgement::Refuse(Refusal::Incompatible { ours: resume.version, theirs: core.version });
        }
        let here = resume.session == self.key && (resume.incarnation == 0 || resume.incarnation == self.incarnation);
        if self.opening.is_some() || !here {
            return Judgement::Refuse(Refusal::NotFound);
        }
        if self.bans.contains(&account) {
            return Judgement::Refuse(Refusal::Banned);
        }
        if let Some(why) = self.ended(&resume.nonce) {
            return Judgement::Ended(why);
        }
        let Some(seat) = self.seats.get(&account).filter(|seat| !seat.held) else {
            return Judgement::Refuse(Refusal::NotFound);
        };
        let shown = hash::seat_token(self.key, account, resume.peer_incarnation, &resume.token);
        // Whoever holds the seat has another token: a later process of this account, or this one, which has come back since.
        if !seat.token.admits(&shown) || seat.nonce != resume.nonce {
            return Judgement::Refuse(Refusal::AlreadyMember);
        }
        Judgement::Back(shown)
    }

    /// The seat is this link's now. The older one, if the host still believes in it, is closed without a word: at its other
    /// end nobody is left.
    fn take_up(&mut self, core: &mut Core, id: LinkId, shown: [u8; 32], have: Revision) {
        let Some(guest) = self.guests.remove(&id) else { return };
        let account = guest.account();
        core.doorman.remove(id);
        let Some(seat) = self.seats.get_mut(&account) else { return };
        // Who has a token had its Accept.
        let first = !std::mem::replace(&mut seat.confirmed, true);
        if let Some(former) = seat.attach(core.now, self.key.id, guest.link) {
            self.seat_of.remove(&former.id);
            core.close(former.id, false);
        }
        self.seat_of.insert(id, account);
        if first {
            self.invites_used(core, account);
        }
        self.tell_keys(core);
        if self.doc.state().member(account).is_some_and(|member| member.link == LinkState::Away) {
            self.commit(core, &[Change::MemberBack(account)], None, Reply::Nobody);
        }
        self.send_resumed(core, account, shown, have);
    }

    fn send_resumed(&mut self, core: &mut Core, account: AccountId, shown: [u8; 32], have: Revision) {
        let missed = self.missed_since(have);
        let snapshot = missed.is_none().then(|| self.doc.visible_to(Visibility::Members));
        let token = Secret::from(core.random());
        let Some(seat) = self.seats.get_mut(&account) else { return };
        seat.token.renew(shown, hash::seat_token(self.key, account, seat.peer_incarnation, &token));
        let Some(link) = &mut seat.link else { return };
        let host = self.doc.state().host;
        let proof = |_| Proof::sign(&self.user.identity, &link.binding, self.doc.state().host_key, self.key.id);
        let resumed = Resumed { token, host: host.map(proof), revision: self.doc.revision(), snapshot };
        link.send(core.now, &mut core.actions, &Frame::Resumed(Box::new(resumed)));
        seat.receiving = true;
        for message in missed.unwrap_or_default() {
            seat.deliver(core, &message);
        }
        self.send_order(core, account);
        self.review(core);
        self.tell_untold(core, account);
    }

    /// The deltas from that state on, where it is one of this session's own and the log still has them all.
    pub(super) fn missed_since(&self, have: Revision) -> Option<Vec<Encoded>> {
        let now = self.doc.revision();
        let logged = self.log.front().is_some_and(|(first, _)| *first <= have.number.saturating_add(1));
        let known = have.term == now.term && have.number <= now.number && (logged || have == now);
        known.then(|| {
            let missed = self.log.iter().filter(|(number, _)| *number > have.number);
            missed.map(|(_, message)| message.clone()).collect()
        })
    }

    /// Seats whose time is up are free before anybody is judged. Where it has been up for long this process slept, and the
    /// time is put off before anything else happens.
    pub(super) fn expire_away(&mut self, core: &mut Core) {
        let (now, stall) = (core.now, core.tuning.stall);
        let due = |seat: &super::Seat| {
            let until = seat.away_until.filter(|_| seat.link.is_none());
            until.is_some_and(|at| at <= now && now.since(at) < stall)
        };
        let due: Vec<_> = self.seats.iter().filter(|(_, seat)| due(seat)).map(|(&account, _)| account).collect();
        for account in due {
            self.free(core, account, Left::Expired, Reply::Nobody);
        }
    }

    /// How the seat of this attach ended, where its holder may not know.
    pub(super) fn ended(&self, nonce: &[u8; 16]) -> Option<Left> {
        self.gone.iter().find(|(gone, _)| gone == nonce).map(|(_, why)| why.clone())
    }
}
