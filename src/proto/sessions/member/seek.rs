//! After a lost link: dialling the host where it was, until the seat is back or the host's end is certain (protocol.md,
//! "Lost links").
//!
//! A close without End proves nothing by itself. A refused dial at the address of the lost link, another key there, or a
//! host that does not know the session does: then the end is told at once. Silence proves nothing and is waited out.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;

use super::super::core::{Core, Owner};
use super::super::publication::SessionsEvent;
use super::{MemberSeat, Side, ips};
use crate::proto::clock::Moment;
use crate::proto::io::{Closed, LinkEvent, LinkId, Output};
use crate::proto::limits;
use crate::proto::links::Link;
use crate::types::{HostKey, Left, LinkState, Reason, Refusal, Revision, SessionEvent, SessionSettings};
use crate::wire::datagram::DeathNotice;
use crate::wire::frame::{Accept, Frame, MAX_MESSAGE, Resume, Resumed};
use crate::wire::hash;

/// A dial without an answer is replaced by the next round once it is so old: the host may have come back meanwhile.
const OLD_DIAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Seek {
    give_up: Moment,
    next_round: Moment,
    rounds: u32,
    dials: BTreeMap<LinkId, (SocketAddr, Moment)>,
    /// The link that said Resume or Join, and until when it is waited for.
    joined: Option<(Link, Moment)>,
    /// Where its seat is not there any more it may ask for one as a newcomer, once.
    anew: bool,
    /// It does so.
    joins: bool,
}

impl Seek {
    pub(super) fn new(now: Moment, give_up: Moment, anew: bool) -> Self {
        Self { give_up, next_round: now, rounds: 0, dials: BTreeMap::new(), joined: None, anew, joins: false }
    }

    pub(super) fn deadline(&self) -> Moment {
        self.joined.as_ref().map_or(self.next_round, |(_, until)| *until).min(self.give_up)
    }

    pub(super) fn excuse(&mut self, by: Duration) {
        self.give_up = self.give_up + by;
        if let Some((_, until)) = &mut self.joined {
            *until = *until + by;
        }
    }

    pub(super) fn joined(&mut self) -> Option<&mut Link> {
        self.joined.as_mut().map(|(link, _)| link)
    }

    pub(super) fn stop(&mut self, core: &mut Core) {
        for (link, _) in std::mem::take(&mut self.dials) {
            core.close(link, false);
        }
        if let Some((link, _)) = self.joined.take() {
            if core.owners.contains_key(&link.id) {
                core.close(link.id, true);
            }
        }
    }
}

impl MemberSeat {
    /// Dials every known address of the host that is not being dialled.
    pub(super) fn seek_round(&mut self, core: &mut Core) {
        let Side::Seeking(seek) = &mut self.side else { return };
        let old: Vec<_> =
            seek.dials.iter().filter(|(_, (_, since))| *since + OLD_DIAL <= core.now).map(|(&link, _)| link).collect();
        for link in old {
            seek.dials.remove(&link);
            core.close(link, false);
        }
        for &address in &self.addresses {
            if !seek.dials.values().any(|(dialled, _)| *dialled == address) {
                let owner = Owner::Member(self.seat);
                let link = core.dial(owner, address, self.spec.host_key, &self.spec.user.identity);
                seek.dials.insert(link, (address, core.now));
            }
        }
        let pause = core.tuning.redial * 2_u32.pow(seek.rounds.min(3));
        seek.rounds += 1;
        seek.next_round = core.now + spread(core, pause);
    }

    /// What brings it back, at whichever host has its seat.
    pub(in super::super) fn resume(&self, version: u32) -> Resume {
        Resume {
            session: self.key,
            incarnation: self.spec.incarnation,
            version,
            nonce: self.spec.nonce,
            peer_incarnation: self.spec.peer_incarnation,
            token: self.token.clone(),
            have: self.view.revision(),
        }
    }

    pub(super) fn seek_link(&mut self, core: &mut Core, event: LinkEvent) -> Option<Left> {
        let resume = matches!(event, LinkEvent::Open { .. }).then(|| self.resume(core.version));
        let Side::Seeking(seek) = &mut self.side else { return None };
        match event {
            LinkEvent::Open { link, peer, binding, remote, fallback, .. } => {
                if seek.dials.remove(&link).is_none() || seek.joined.is_some() || fallback {
                    core.close(link, false);
                    return None;
                }
                let mut link = Link::new(core.now, link, peer, binding, remote);
                let frame = if seek.joins {
                    Frame::Join(Box::new(self.spec.frame(core.version, peer, &binding)))
                } else {
                    Frame::Resume(Box::new(resume?))
                };
                link.send(core.now, &mut core.actions, &frame);
                for (other, _) in std::mem::take(&mut seek.dials) {
                    core.close(other, false);
                }
                seek.joined = Some((link, core.now + core.tuning.join));
                None
            }
            LinkEvent::Frame { link, kind, more, payload } => {
                let (joined, _) = seek.joined.as_mut().filter(|(joined, _)| joined.id == link)?;
                match joined.receive(core.now, kind, more, payload, MAX_MESSAGE) {
                    Ok(frame) => self.seek_heard(core, frame?),
                    Err(()) => {
                        core.close(link, false);
                        seek.joined = None;
                        None
                    }
                }
            }
            LinkEvent::Closed { link, why } => {
                core.forget(link);
                if seek.joined.as_ref().is_some_and(|(joined, _)| joined.id == link) {
                    seek.joined = None;
                }
                let (address, _) = seek.dials.remove(&link)?;
                let proof = matches!(why, Closed::Refused | Closed::WrongKey);
                (proof && self.addresses.first() == Some(&address)).then(|| self.host_gone(core)).flatten()
            }
            _ => None,
        }
    }

    fn seek_heard(&mut self, core: &mut Core, frame: Frame) -> Option<Left> {
        match frame {
            Frame::Resumed(resumed) => self.resumed(core, *resumed),
            Frame::Accept(accept) => self.back(core, *accept),
            Frame::End { why } => Some(why),
            Frame::Refuse { refusal, .. } => self.seek_refused(core, refusal),
            Frame::Incompatible { .. } => self.host_gone(core),
            Frame::NotHost(way) => {
                self.hang_up(core);
                self.pointed(core, &way);
                None
            }
            _ => None,
        }
    }

    /// A refusal is the host's last word: nothing dials again after it, except where the host asks for that.
    fn seek_refused(&mut self, core: &mut Core, refusal: Refusal) -> Option<Left> {
        match refusal {
            Refusal::NotFound => {
                self.forget_asked(core);
                self.seat_gone(core)
            }
            Refusal::Banned => Some(Left::Banned(Reason::default())),
            // Another process of this account has the seat.
            // Or its successors were told of an older token than the one it has.
            Refusal::AlreadyMember if !self.heir.moved => Some(Left::Superseded),
            Refusal::AlreadyMember => self.seat_gone(core),
            Refusal::TooManyRequests { after } | Refusal::Migrating { after } => {
                let Side::Seeking(seek) = &mut self.side else { return None };
                if let Some((link, _)) = seek.joined.take() {
                    core.close(link.id, false);
                }
                seek.next_round = core.now + after.max(core.tuning.redial);
                None
            }
            // The host after the one that was lost knows no such seat.
            _ if self.heir.moved => Some(Left::Superseded),
            _ => Some(Left::Expired),
        }
    }

    /// There is no such session or no such seat. One that was never confirmed is free at once when its link closes, and its
    /// member cannot know: it joins anew.
    fn seat_gone(&mut self, core: &mut Core) -> Option<Left> {
        let Side::Seeking(seek) = &mut self.side else { return None };
        if !std::mem::take(&mut seek.anew) {
            return if self.heir.moved { Some(Left::Superseded) } else { self.host_gone(core) };
        }
        seek.joins = true;
        if let Some((link, _)) = seek.joined.take() {
            core.close(link.id, false);
        }
        self.seek_round(core);
        None
    }

    /// The link that asked for the seat is of no use.
    fn hang_up(&mut self, core: &mut Core) {
        let Side::Seeking(seek) = &mut self.side else { return };
        if let Some((link, _)) = seek.joined.take() {
            core.close(link.id, false);
        }
    }

    /// Asks for the seat on a link that stands already: at the host whose key has proved that it is the next one.
    pub(super) fn return_by(&mut self, core: &mut Core, mut link: Link) {
        let frame = if self.heir.joins {
            Frame::Join(Box::new(self.spec.frame(core.version, link.peer, &link.binding)))
        } else {
            Frame::Resume(Box::new(self.resume(core.version)))
        };
        let (remote, joins) = (link.remote, self.heir.joins);
        let Side::Seeking(seek) = &mut self.side else { return };
        seek.stop(core);
        link.send(core.now, &mut core.actions, &frame);
        (seek.joins, seek.anew, seek.rounds) = (joins, !joins, 0);
        seek.give_up = core.now + self.grace + core.tuning.give_up;
        seek.joined = Some((link, core.now + core.tuning.join));
        seek.next_round = core.now + core.tuning.join;
        self.addresses = vec![remote];
    }

    fn resumed(&mut self, core: &mut Core, resumed: Resumed) -> Option<Left> {
        let Side::Seeking(seek) = &mut self.side else { return None };
        let (link, _) = seek.joined.take()?;
        if !self.is_ours(&resumed, &link) {
            return Some(turn_away(core, link));
        }
        let Resumed { token, revision, snapshot, .. } = resumed;
        self.token = token;
        self.unsure = None;
        self.linked(core, link);
        match snapshot {
            Some(snapshot) => self.snapshot(core, snapshot, Some(SessionEvent::Reconnected)),
            // What was missed follows, each revision with its events.
            None => {
                self.tell(core, vec![SessionEvent::Reconnected], Some(Arc::new(self.view.state().clone())));
                let have = self.view.revision();
                if revision.term != have.term || revision < have {
                    // No delta leads there.
                    self.ask_resync(core, Revision { number: 0, ..have });
                }
            }
        }
        None
    }

    /// Whether this comes from the host of this seat: as for an Accept, its account is proven over this very channel. The
    /// password is not: the dial takes the key that has proven it, and no other.
    fn is_ours(&self, resumed: &Resumed, link: &Link) -> bool {
        let host_key = HostKey::from(link.peer);
        let state = resumed.snapshot.as_ref().unwrap_or(self.view.state());
        let whole = resumed.snapshot.as_ref().is_none_or(|snapshot| {
            let bounded = snapshot.members.len() <= usize::from(SessionSettings::MAX_MEMBERS);
            bounded && snapshot.revision == resumed.revision && snapshot.member(self.account()).is_some()
        });
        let hosted = match (&resumed.host, state.host) {
            (None, None) => true,
            (Some(proof), Some(account)) => {
                proof.account == account && proof.verify(&link.binding, host_key, self.key.id)
            }
            _ => false,
        };
        whole && hosted && state.key == self.key && state.host_key == host_key
    }

    /// What others should know of the host's death; those that have been here longest say it first.
    pub(super) fn obituary(&self) -> SessionsEvent {
        let state = self.view.state();
        let number = |account| state.member(account).map_or(u16::MAX, |member| member.number);
        let own = number(self.account());
        let earlier =
            state.members.iter().filter(|m| !m.is_host && m.link == LinkState::Connected && m.number < own).count();
        let notice = DeathNotice {
            id: self.key.id,
            host_tag: hash::host_tag(state.host_key),
            incarnation: self.spec.incarnation,
            term: state.revision.term,
            sequence: 0,
        };
        SessionsEvent::HostDead { key: self.key, rank: u32::try_from(earlier).unwrap_or(u32::MAX), notice }
    }

    fn back(&mut self, core: &mut Core, accept: Accept) -> Option<Left> {
        let Side::Seeking(seek) = &mut self.side else { return None };
        let (link, _) = seek.joined.take()?;
        if !self.spec.accepts(&accept, link.peer, &link.binding) {
            return Some(turn_away(core, link));
        }
        self.token = accept.token;
        self.heir.joins = false;
        self.unsure = Some(core.now + core.tuning.confirm + self.silence);
        self.linked(core, link);
        self.snapshot(core, accept.snapshot, Some(SessionEvent::Reconnected));
        None
    }

    /// The link stands: first a word that confirms it, then what was asked and not answered.
    fn linked(&mut self, core: &mut Core, mut link: Link) {
        link.send(core.now, &mut core.actions, &Frame::Ack);
        for (&number, open) in &mut self.open {
            open.deadline = core.now + core.tuning.request;
            open.sent = true;
            let body = open.body.clone();
            link.send(core.now, &mut core.actions, &Frame::Request { number, body });
        }
        let remote = link.remote;
        if self.addresses.first() != Some(&remote) {
            self.addresses.retain(|address| *address != remote);
            self.addresses.insert(0, remote);
            if self.told {
                let addresses = ips(&self.addresses);
                core.outputs.push_back(Output::SeatAddresses { seat: self.seat, addresses, port: Some(remote.port()) });
            }
        }
        self.side = Side::Linked(link);
        self.silent = false;
        self.end_walk(core, &Frame::HostAlive);
        self.say_stand(core);
        self.tell_key(core);
    }

    pub(super) fn seek_timeout(&mut self, core: &mut Core) -> Option<Left> {
        let Side::Seeking(seek) = &mut self.side else { return None };
        if seek.give_up <= core.now {
            return Some(Left::HostLost);
        }
        if let Some((link, _)) = seek.joined.take_if(|(_, until)| *until <= core.now) {
            core.close(link.id, false);
        }
        if seek.joined.is_none() && seek.next_round <= core.now {
            self.seek_round(core);
        }
        None
    }

    /// Discovery heard the host at these addresses.
    pub(in super::super) fn host_addresses(&mut self, core: &mut Core, addresses: &[SocketAddr]) {
        for &address in addresses {
            if !self.addresses.contains(&address) {
                // The one it was lost at stays first: only a refusal there is a proof.
                self.addresses.truncate(limits::ADDRESSES - 1);
                self.addresses.push(address);
            }
        }
        self.walk_hints(core, addresses);
        if matches!(&self.side, Side::Seeking(seek) if seek.joined.is_none()) {
            self.seek_round(core);
        }
    }

    /// Discovery heard the host's signed goodbye: where no link says otherwise, that is the end.
    #[must_use]
    pub(in super::super) fn host_ended(&self) -> bool {
        self.is_seeking()
    }

    pub(in super::super) fn is_seeking(&self) -> bool {
        matches!(self.side, Side::Seeking(_))
    }
}

/// Who answers so is not the host.
fn turn_away(core: &mut Core, mut link: Link) -> Left {
    link.send(core.now, &mut core.actions, &Frame::Leave);
    core.close(link.id, true);
    Left::HostLost
}

/// The pause, a fifth more or less: members that lost one host together need not dial it together.
fn spread(core: &mut Core, pause: Duration) -> Duration {
    let part = core.rng.next_u32() % 401;
    pause * (800 + part) / 1_000
}
