//! Asking where an account is: a fresh listener, sealed Locates until somebody dials it, and what is said there
//! (protocol.md, "Locate" and "Links between users").
//!
//! Whoever dials has to prove the account that was asked for; everybody else that finds the port sees a key that means
//! nothing and is closed.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use crate::proto::clock::Moment;
use crate::proto::io::{Action, Interface, LinkEvent, LinkId, Via};
use crate::proto::lan::{Cx, Dice, Net, Way, is_link_local};
use crate::proto::limits;
use crate::proto::links::Link;
use crate::proto::tuning::Tuning;
use crate::types::{AccountId, AccountRow, Identity, InviteId, SessionKey};
use crate::wire::datagram::{Locate, LocatePurpose};
use crate::wire::frame::{Deliver, Frame, MAX_SOCIAL};

use super::reach;

/// What is wanted of the account.
#[derive(Debug)]
pub(super) enum Wanted {
    /// That it takes an invite.
    Deliver(Box<Deliver>),
    Rows(LocatePurpose),
}

/// What an ask came to.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// The invite is in its inbox.
    Received,
    Rows(Vec<AccountRow>),
}

/// How far a connection to the listener has come.
#[derive(Debug)]
enum Guest {
    Silent { until: Moment },
    Hello { until: Moment },
    Open { until: Moment, link: Box<Link> },
}

impl Guest {
    fn until(&self) -> Moment {
        match self {
            Self::Silent { until } | Self::Hello { until } | Self::Open { until, .. } => *until,
        }
    }

    fn stage(&self) -> u8 {
        match self {
            Self::Silent { .. } => 0,
            Self::Hello { .. } => 1,
            Self::Open { .. } => 2,
        }
    }
}

/// What goes out in the name of one address: by all paths of its interface, and to configured peers.
#[derive(Debug, Default)]
pub(super) struct Post {
    ways: Vec<Way>,
    targets: Vec<(Via, SocketAddr)>,
}

/// By interface and address.
pub(super) type Posts = BTreeMap<(u32, IpAddr), Post>;

/// Where a Locate goes now. Which of this machine's addresses a peer beyond the link sees, the routing table alone knows: so
/// it is told of each that may be it, and counts the one from which its datagram came.
pub(super) fn posts(net: &Net, targets: &[SocketAddr]) -> Posts {
    let mut posts = Posts::new();
    for way in net.ways() {
        posts.entry((way.index, way.address)).or_default().ways.push(way);
    }
    for &to in targets {
        if let Some(via @ Via::Interface { index, address }) = net.via_to(to) {
            posts.entry((index, address)).or_default().targets.push((via, to));
            continue;
        }
        let fits = |interface: &&Interface| {
            let near = matches!(interface.address, IpAddr::V6(v6) if is_link_local(v6));
            !interface.loopback && !near && interface.address.is_ipv6() == to.is_ipv6()
        };
        let mut own: Vec<&Interface> = net.interfaces().iter().filter(fits).collect();
        own.sort_by_key(|interface| !interface.point_to_point);
        for interface in own.into_iter().take(limits::LOCATE_WAYS) {
            posts.entry((interface.index, interface.address)).or_default().targets.push((Via::Routed, to));
        }
    }
    posts
}

/// One question under way.
#[derive(Debug)]
pub(super) struct Ask {
    asker: Identity,
    pub(super) target: AccountId,
    pub(super) wanted: Wanted,
    listener: Identity,
    /// The listener's name towards the driver: no session has it.
    pub(super) key: SessionKey,
    port: Option<u16>,
    /// When the first Locate went out.
    began: Option<Moment>,
    sent: usize,
    pub(super) deadline: Moment,
    pub(super) answered: bool,
    /// One datagram per address, the same each time: whoever has reacted to it does not do so again.
    sealed: BTreeMap<(u32, IpAddr), Vec<u8>>,
    guests: BTreeMap<LinkId, Guest>,
}

impl Ask {
    pub(super) fn new(
        asker: Identity,
        target: AccountId,
        wanted: Wanted,
        listener: Identity,
        key: SessionKey,
        deadline: Moment,
    ) -> Self {
        Self {
            asker,
            target,
            wanted,
            listener,
            key,
            port: None,
            began: None,
            sent: 0,
            deadline,
            answered: false,
            sealed: BTreeMap::new(),
            guests: BTreeMap::new(),
        }
    }

    pub(super) fn asker(&self) -> AccountId {
        self.asker.account()
    }

    /// Whether a Locate names this ask's listener: it is our own.
    pub(super) fn is_own(&self, locate: &Locate) -> bool {
        self.listener.public() == locate.listener.public_key()
    }

    pub(super) fn listen(&self, actions: &mut VecDeque<Action>) {
        actions.push_back(Action::Listen { session: self.key, key: self.listener.clone(), port: 0 });
    }

    pub(super) fn listening(&mut self, port: u16) {
        self.port = Some(port);
    }

    // ---------------------------------------------------------------------------------------------- datagrams

    /// Sends what is due.
    pub(super) fn cast(&mut self, cx: &mut Cx<'_>, dice: &mut Dice, unix_s: u64, posts: &Posts) {
        let Some(port) = self.port.filter(|_| !self.answered) else { return };
        if posts.is_empty() || !self.due(cx.now, cx.tuning) {
            return;
        }
        let began = *self.began.get_or_insert(cx.now);
        // What was missed while this process slept is not made up for.
        while cx.tuning.locate_at.get(self.sent).is_some_and(|&at| began + at <= cx.now) {
            self.sent += 1;
        }
        for (&address, post) in posts {
            let bytes = match self.sealed.get(&address) {
                Some(bytes) => bytes.clone(),
                None => {
                    let Some(bytes) = self.seal(cx, dice, SocketAddr::new(address.1, port), unix_s) else { continue };
                    self.sealed.insert(address, bytes.clone());
                    bytes
                }
            };
            cx.cast(&post.ways, |_| Some(bytes.clone()));
            for &(via, to) in &post.targets {
                cx.send(via, to, bytes.clone().into());
            }
        }
    }

    fn seal(&self, cx: &Cx<'_>, dice: &mut Dice, reply_to: SocketAddr, unix_s: u64) -> Option<Vec<u8>> {
        let purpose = match self.wanted {
            Wanted::Deliver(_) => LocatePurpose::Invite,
            Wanted::Rows(purpose) => purpose,
        };
        let listener = self.listener.public().into();
        let locate = Locate { asker: self.asker(), listener, reply_to, at: unix_s, purpose };
        let salt = *dice.bytes().first_chunk()?;
        locate.encode(cx.game, &self.asker, self.target, salt).ok()
    }

    fn due(&self, now: Moment, tuning: &Tuning) -> bool {
        self.next_cast(tuning).is_some_and(|at| at <= now)
    }

    fn next_cast(&self, tuning: &Tuning) -> Option<Moment> {
        let at = tuning.locate_at.get(self.sent).filter(|_| self.port.is_some() && !self.answered)?;
        Some(self.began.map_or(Moment::ZERO, |began| began + *at))
    }

    /// `has_ways`: there is an interface to send by; without one nothing is due but the end.
    pub(super) fn poll_timeout(&self, tuning: &Tuning, has_ways: bool) -> Moment {
        let cast = self.next_cast(tuning).filter(|_| has_ways);
        let guests = self.guests.values().map(Guest::until).min();
        [cast, guests].into_iter().flatten().min().map_or(self.deadline, |at| at.min(self.deadline))
    }

    // -------------------------------------------------------------------------------------------------- links

    /// Somebody has found the port.
    pub(super) fn incoming(&mut self, now: Moment, tuning: &Tuning, actions: &mut VecDeque<Action>, link: LinkId) {
        if self.guests.len() >= limits::ASK_GUESTS {
            let least = self.guests.iter().min_by_key(|(link, guest)| (guest.stage(), **link)).map(|(&link, _)| link);
            if let Some(least) = least {
                self.close(actions, least, false);
            }
        }
        self.guests.insert(link, Guest::Silent { until: now + tuning.first_byte });
    }

    pub(super) fn has(&self, link: LinkId) -> bool {
        self.guests.contains_key(&link)
    }

    fn close(&mut self, actions: &mut VecDeque<Action>, link: LinkId, flush: bool) {
        if self.guests.remove(&link).is_some() {
            actions.push_back(Action::Close { link, flush });
        }
    }

    /// What happened on a link to the listener.
    pub(super) fn handle_link(
        &mut self,
        now: Moment,
        tuning: &Tuning,
        actions: &mut VecDeque<Action>,
        event: LinkEvent,
    ) -> Option<Answer> {
        match event {
            LinkEvent::Incoming { .. } => {}
            LinkEvent::HelloBegun { link } => {
                if let Some(guest) = self.guests.get_mut(&link) {
                    *guest = Guest::Hello { until: now + tuning.handshake };
                }
            }
            LinkEvent::Open { link, peer, binding, local: _, remote, fallback } => {
                if !self.has(link) {
                    return None;
                }
                if fallback || AccountId::from(peer) != self.target {
                    self.close(actions, link, false);
                    return None;
                }
                let mut open = Link::new(now, link, peer, binding, remote);
                if let Wanted::Deliver(deliver) = &self.wanted {
                    open.send(now, actions, &Frame::Deliver(deliver.clone()));
                }
                let until = now + tuning.locate_frame;
                self.guests.insert(link, Guest::Open { until, link: Box::new(open) });
            }
            LinkEvent::Frame { link, kind, more, payload } => {
                let Some(Guest::Open { link: open, .. }) = self.guests.get_mut(&link) else { return None };
                let remote = open.remote;
                let answer = match (open.receive(now, kind, more, payload, MAX_SOCIAL), &self.wanted) {
                    (Ok(Some(Frame::Received { invite })), Wanted::Deliver(deliver)) => {
                        (invite == deliver.pointer.invite).then_some(Answer::Received)
                    }
                    (Ok(Some(Frame::Rows(mut rows))), Wanted::Rows(_)) => {
                        rows.retain(|row| row.member == self.target);
                        rows.iter_mut().for_each(|row| reach::sort(&mut row.addresses, remote));
                        Some(Answer::Rows(rows))
                    }
                    (Ok(None), _) => return None,
                    _ => None,
                };
                self.close(actions, link, false);
                if answer.is_some() && !self.answered {
                    self.answered = true;
                    self.deadline = self.deadline.min(now + tuning.locate_linger);
                }
                return answer;
            }
            LinkEvent::Written { .. } => {}
            LinkEvent::Closed { link, .. } => {
                self.guests.remove(&link);
            }
        }
        None
    }

    /// Closes connections that used up their time.
    pub(super) fn expire(&mut self, now: Moment, actions: &mut VecDeque<Action>) {
        let late: Vec<LinkId> = self.guests.iter().filter(|(_, g)| g.until() <= now).map(|(&link, _)| link).collect();
        for link in late {
            self.close(actions, link, false);
        }
    }

    /// It is over: nobody can connect any more.
    pub(super) fn end(mut self, actions: &mut VecDeque<Action>) {
        for link in self.guests.keys().copied().collect::<Vec<_>>() {
            self.close(actions, link, false);
        }
        actions.push_back(Action::Unlisten { session: self.key });
    }

    /// Which invite it carries.
    pub(super) fn invite(&self) -> Option<(SessionKey, InviteId)> {
        match &self.wanted {
            Wanted::Deliver(deliver) => Some((deliver.pointer.session, deliver.pointer.invite)),
            Wanted::Rows(_) => None,
        }
    }
}
