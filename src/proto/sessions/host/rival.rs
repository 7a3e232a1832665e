//! Two hosts of one session: which of them stands, and telling the other (protocol.md, "Rival hosts").
//!
//! What is heard deposes nobody. A host gives way to a proof that stands before its own, of a rival that it has reached itself:
//! one that cannot be reached would leave its members with nobody.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::super::core::{Core, Owner};
use super::super::doorman::Stage;
use super::super::publication::SessionsEvent;
use super::HostAuthority;
use crate::proto::clock::Moment;
use crate::proto::io::{LinkEvent, LinkId};
use crate::proto::limits;
use crate::proto::links::{Bucket, Link};
use crate::types::{HostKey, SessionKey};
use crate::wire::frame::{Frame, MAX_PROOF, MAX_WAYS, Reign, Takeover, Way, follow};

/// What a host compares a rival with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Ours {
    pub(in super::super) session: SessionKey,
    pub(in super::super) incarnation: u64,
    pub(in super::super) host_key: HostKey,
    pub(in super::super) reign: Reign,
    /// The last order of this reign that a majority has acknowledged: an older one makes nobody host any more.
    pub(in super::super) acked: u32,
}

/// Which of two hosts goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Verdict {
    /// We do.
    Stands,
    /// The other one does.
    GivesWay,
    /// The other one is no host of this session.
    Nonsense,
}

/// Judges a rival by its proof alone, so that each of two hosts comes to the same end.
pub(in super::super) fn rival(ours: &Ours, theirs: &Way) -> Verdict {
    let named =
        theirs.session == ours.session && theirs.incarnation == ours.incarnation && theirs.host_key != ours.host_key;
    if !named {
        return Verdict::Nonsense;
    }
    // Who was left out of our orders since cannot vote us out. It is told who goes on: closed without a word it would be host
    // beside us for ever, where no advert tells it.
    let of_ours = |step: &&Takeover| step.order.host_key == ours.host_key && step.order.reign == ours.reign;
    let outdated = theirs.lineage.iter().filter(of_ours).any(|step| step.order.cfg < ours.acked);
    match follow(theirs.session, theirs.incarnation, &theirs.lineage) {
        Some((host_key, reign)) if host_key == theirs.host_key => {
            let equal = reign == ours.reign && host_key < ours.host_key;
            let later = reign.supersedes(ours.reign) || equal;
            if later && !outdated { Verdict::GivesWay } else { Verdict::Stands }
        }
        _ => Verdict::Nonsense,
    }
}

/// Telling another host that this one goes on.
#[derive(Debug)]
struct Telling {
    host_key: HostKey,
    addresses: Vec<SocketAddr>,
    said: u32,
    next: Moment,
    /// Those that stand have a link.
    dials: BTreeMap<LinkId, Option<Link>>,
}

/// How this host came to be it, and who else says so.
#[derive(Debug)]
pub(super) struct Rivals {
    /// At most [`limits::RIVALS`], by the key that each serves under.
    telling: Vec<Telling>,
    judged: Bucket,
}

impl Rivals {
    pub(super) fn new(now: Moment) -> Self {
        Self { telling: Vec::new(), judged: Bucket::new(now) }
    }

    pub(super) fn deadline(&self) -> Option<Moment> {
        self.telling.iter().map(|telling| telling.next).min()
    }

    #[cfg(all(test, feature = "testing"))]
    pub(super) fn told(&self) -> usize {
        self.telling.len()
    }

    fn of(&mut self, link: LinkId) -> Option<&mut Telling> {
        self.telling.iter_mut().find(|telling| telling.dials.contains_key(&link))
    }
}

impl HostAuthority {
    pub(in super::super) fn reign(&self) -> Reign {
        let term = self.doc.revision().term;
        self.succession.as_ref().map_or(Reign { term, ..Reign::FOUNDER }, |rule| rule.reign)
    }

    pub(in super::super) fn lineage(&self) -> &[Takeover] {
        self.succession.as_ref().map_or(&[], |rule| &rule.lineage)
    }

    fn ours(&self) -> Ours {
        let host_key = self.host_key();
        Ours {
            session: self.key,
            incarnation: self.incarnation,
            host_key,
            reign: self.reign(),
            acked: self.acked_order(),
        }
    }

    /// Where this session is served, with the proof.
    pub(in super::super) fn way(&self, core: &Core) -> Way {
        let addresses = core.addresses.iter().map(|&ip| SocketAddr::new(ip, self.port));
        Way {
            session: self.key,
            incarnation: self.incarnation,
            host_key: self.host_key(),
            addresses: addresses.take(MAX_WAYS).collect(),
            lineage: self.lineage().to_vec(),
        }
    }

    /// Which of the two goes on.
    pub(in super::super) fn judge_rival(&self, theirs: &Way) -> Verdict {
        rival(&self.ours(), theirs)
    }

    // ------------------------------------------------------------------------------------------------ the one that tells

    /// The host that was before, one that says it is, or one that may be: it is told where it was last, until it answers or
    /// the time for it is over.
    pub(in super::super) fn tell_rival(&mut self, core: &mut Core, host_key: HostKey, addresses: Vec<SocketAddr>) {
        if self.rivals.telling.iter().any(|telling| telling.host_key == host_key) || addresses.is_empty() {
            return;
        }
        if self.rivals.telling.len() >= limits::RIVALS {
            let oldest = self.rivals.telling.remove(0);
            oldest.dials.into_keys().for_each(|link| core.close(link, false));
        }
        let mut addresses = addresses;
        addresses.truncate(MAX_WAYS);
        self.rivals.telling.push(Telling { host_key, addresses, said: 0, next: core.now, dials: BTreeMap::new() });
        self.wake = None;
    }

    pub(super) fn end_telling(&mut self, core: &mut Core) {
        self.end_telling_of(core, |_| true);
    }

    fn end_telling_of(&mut self, core: &mut Core, over: impl Fn(&Telling) -> bool) {
        self.wake = None;
        self.rivals.telling.retain_mut(|telling| {
            let over = over(telling);
            if over {
                std::mem::take(&mut telling.dials).into_keys().for_each(|link| core.close(link, false));
            }
            !over
        });
    }

    pub(super) fn time_out_telling(&mut self, core: &mut Core) {
        let (often, later) = limits::SUPERSEDED_NOTICES;
        let (own, now) = (Owner::Host(self.key), core.now);
        self.end_telling_of(core, |telling| telling.next <= now && telling.said >= often + later);
        for telling in self.rivals.telling.iter_mut().filter(|telling| telling.next <= now) {
            for link in std::mem::take(&mut telling.dials).into_keys() {
                core.close(link, false);
            }
            telling.said += 1;
            let pause = if telling.said <= often { core.tuning.superseded } else { core.tuning.superseded_later };
            telling.next = now + pause;
            for &to in &telling.addresses {
                telling.dials.insert(core.dial(own, to, Some(telling.host_key), &self.host), None);
            }
            self.wake = None;
        }
    }

    /// What happens on a link to a rival; whether it was that.
    pub(super) fn rival_link(&mut self, core: &mut Core, event: &LinkEvent) -> bool {
        let way = matches!(event, LinkEvent::Open { .. }).then(|| self.way(core));
        let Some(telling) = self.rivals.of(super::super::link_of(event)) else { return false };
        match event {
            LinkEvent::Open { link: id, peer, binding, remote, fallback, .. } => {
                let Some(way) = way.filter(|_| !fallback) else {
                    telling.dials.remove(id);
                    core.close(*id, false);
                    return true;
                };
                let mut link = Link::new(core.now, *id, *peer, *binding, *remote);
                link.send(core.now, &mut core.actions, &Frame::Claim(Box::new(way)));
                telling.dials.insert(*id, Some(link));
            }
            LinkEvent::Frame { link: id, kind, more, payload } => {
                let Some(Some(link)) = telling.dials.get_mut(id) else { return true };
                let said = match link.receive(core.now, *kind, *more, payload.clone(), MAX_PROOF) {
                    Ok(None | Some(Frame::Heartbeat)) => return true,
                    Ok(said) => said,
                    Err(()) => None,
                };
                let told = telling.host_key;
                telling.dials.remove(id);
                core.close(*id, false);
                self.rival_said(core, told, said);
            }
            LinkEvent::Closed { link, .. } => {
                core.forget(*link);
                telling.dials.remove(link);
            }
            _ => {}
        }
        true
    }

    /// The answer of one that was told.
    fn rival_said(&mut self, core: &mut Core, told: HostKey, said: Option<Frame>) {
        match said {
            Some(Frame::Claim(theirs)) if theirs.host_key == told && self.judge_rival(&theirs) == Verdict::GivesWay => {
                core.events.push_back(SessionsEvent::Superseded { way: theirs, reached: true });
            }
            // It knows.
            Some(Frame::NotHost(theirs)) if theirs.host_key == self.host_key() => {
                self.end_telling_of(core, |telling| telling.host_key == told);
            }
            // It follows another host beside this one: that one is to be told, or to be heard.
            Some(Frame::NotHost(theirs)) => match self.judge_rival(&theirs) {
                Verdict::GivesWay => core.events.push_back(SessionsEvent::Superseded { way: theirs, reached: false }),
                Verdict::Stands => self.tell_rival(core, theirs.host_key, theirs.addresses),
                Verdict::Nonsense => {}
            },
            _ => {}
        }
    }

    // ------------------------------------------------------------------------------------------------ the one that is told

    /// A guest says that the session is its own. It costs nothing to say so, therefore: only under the key that it would serve
    /// under, and a few in a second.
    pub(super) fn claimed(&mut self, core: &mut Core, id: LinkId, mut theirs: Way) {
        core.doorman.reached(core.now, &core.tuning, id, Stage::Joining);
        let Some(guest) = self.guests.get(&id) else { return };
        let (peer, remote) = (HostKey::from(guest.link.peer), guest.link.remote);
        let (every, burst) = (core.tuning.claim_interval, limits::CLAIM_BURST);
        let listens = self.opening.is_none() && peer == theirs.host_key;
        if !listens || self.rivals.judged.take(core.now, every, burst).is_err() {
            self.guests.remove(&id);
            return core.close(id, false);
        }
        match self.judge_rival(&theirs) {
            Verdict::Stands => {
                let ours = self.way(core);
                self.dismiss(core, id, &Frame::Claim(Box::new(ours)));
            }
            Verdict::GivesWay => {
                // Where it comes from, before where it says that it is.
                if let Some(port) = theirs.addresses.first().map(SocketAddr::port) {
                    let mut seen = remote;
                    seen.set_port(port);
                    theirs.addresses.retain(|address| *address != seen);
                    theirs.addresses.insert(0, seen);
                    theirs.addresses.truncate(MAX_WAYS);
                }
                self.guests.remove(&id);
                core.close(id, false);
                core.events.push_back(SessionsEvent::Superseded { way: Box::new(theirs), reached: false });
            }
            Verdict::Nonsense => {
                self.guests.remove(&id);
                core.close(id, false);
            }
        }
    }
}

#[cfg(test)]
impl HostAuthority {
    /// Makes it the host that took over that session, as far as others can tell.
    pub(in super::super) fn crown(
        &mut self,
        key: SessionKey,
        incarnation: u64,
        host: crate::types::Identity,
        reign: Reign,
        lineage: Vec<Takeover>,
    ) {
        let state = self.doc.state().clone();
        let revision = crate::types::Revision { term: reign.term, number: 100 };
        let host_key = host.public().into();
        self.doc = super::Document::new(crate::types::SessionSnapshot { key, host_key, revision, ..state });
        (self.key, self.incarnation, self.host) = (key, incarnation, host);
        if let Some(rule) = &mut self.succession {
            (rule.reign, rule.lineage) = (reign, lineage);
        }
    }

    pub(in super::super) fn identity(&self) -> &crate::types::Identity {
        &self.host
    }

    pub(in super::super) fn incarnation(&self) -> u64 {
        self.incarnation
    }
}
