//! Hostile nodes: they record what passes, forge, replay, flood and lie, with keys of their own and the addresses and ids of
//! others. What they cannot do is what nobody can: sign with another's key.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::users::Users;
use super::super::world::World;
use super::invariants::Lore;
use super::run::{BEACON_PORT, GAME, Run};
use super::schedule::Evil;
use super::workload::Dice;
use crate::proto::clock::Moment;
use crate::proto::io::{
    Action, Arrival, Command, Interface, LinkEvent, LinkId, MdnsEvent, Output, SendFailure, Transmit, Via,
};
use crate::proto::machine::Machine;
use crate::types::{
    AccountId, Attributes, HostKey, Identity, InviteId, MemberStatus, MemberUpdate, PathKind, Revision, Secret,
    SessionId, SessionKey,
};
use crate::wire::datagram::{Advert, DeathNotice, Goodbye, GoodbyeReason, Known, Query, Target};
use crate::wire::frame::{Companion, Frame, Join, MergeAnswer, MergeAsk, Request, Resume, frames, kind};
use crate::wire::hash;

/// What a hostile process has heard, and what it is to say.
#[derive(Default)]
struct Inner {
    interfaces: Vec<Interface>,
    transmits: VecDeque<Transmit>,
    actions: VecDeque<Action>,
    /// Those that stand, with the session they were dialled for.
    open: BTreeMap<LinkId, SessionKey>,
    dialled: BTreeMap<LinkId, SessionKey>,
    /// The nonce said on each link that asked for a seat.
    joins: BTreeMap<LinkId, [u8; 16]>,
    seats: BTreeMap<SessionKey, FoeSeat>,
    /// Links on which a token was shown that counts no more.
    stale: BTreeSet<LinkId>,
    broken: Option<String>,
}

/// A seat that a hostile account has, as any other may.
struct FoeSeat {
    nonce: [u8; 16],
    tokens: Vec<Secret>,
}

impl Inner {
    /// What a host says to it.
    fn told(&mut self, link: LinkId, frame: Frame) {
        let Some(session) = self.open.get(&link).copied() else { return };
        match frame {
            Frame::Accept(accept) => {
                if let Some(&nonce) = self.joins.get(&link) {
                    self.seats.insert(session, FoeSeat { nonce, tokens: vec![accept.token] });
                }
            }
            Frame::Resumed(_) if self.stale.contains(&link) => {
                self.broken = Some(format!("S11: a token that counts no more brought somebody back to {session:?}"));
            }
            Frame::Resumed(resumed) => {
                if let Some(seat) = self.seats.get_mut(&session) {
                    seat.tokens.push(resumed.token);
                }
            }
            _ => {}
        }
    }
}

#[derive(Clone, Default)]
struct Script(Arc<Mutex<Inner>>);

impl Script {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

impl Machine for Script {
    fn handle_command(&mut self, _: Moment, _: Command) {}
    fn handle_arrival(&mut self, _: Moment, _: Arrival) {}

    fn handle_interfaces(&mut self, _: Moment, interfaces: Vec<Interface>) {
        self.inner().interfaces = interfaces;
    }

    fn handle_send_failure(&mut self, _: Moment, _: SendFailure) {}

    fn handle_link(&mut self, _: Moment, event: LinkEvent) {
        let mut inner = self.inner();
        match event {
            LinkEvent::Open { link, .. } => {
                if let Some(session) = inner.dialled.get(&link).copied() {
                    inner.open.insert(link, session);
                }
            }
            LinkEvent::Closed { link, .. } => {
                inner.open.remove(&link);
                inner.dialled.remove(&link);
            }
            LinkEvent::Frame { link, kind: kind::ACCEPT | kind::RESUMED, more: false, ref payload } => {
                let LinkEvent::Frame { kind, .. } = event else { return };
                if let Ok(Some(frame)) = Frame::decode(kind, payload) {
                    inner.told(link, frame);
                }
            }
            _ => {}
        }
    }

    fn handle_listening(&mut self, _: Moment, _: SessionKey, _: Result<u16, String>) {}
    fn handle_mdns(&mut self, _: Moment, _: MdnsEvent) {}
    fn handle_derived(&mut self, _: Moment, _: u64, _: Result<[u8; 32], String>) {}
    fn handle_timeout(&mut self, _: Moment) {}

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.inner().transmits.pop_front()
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.inner().actions.pop_front()
    }

    fn poll_output(&mut self) -> Option<Output> {
        None
    }

    fn poll_timeout(&mut self) -> Option<Moment> {
        None
    }

    fn farewell(&mut self) -> Vec<Transmit> {
        Vec::new()
    }
}

impl Users for Script {
    fn take_command(&mut self) -> Option<Command> {
        None
    }

    fn deliver(&mut self, _: Output) {}
    fn stop(&mut self) {}
}

/// One hostile node.
pub(super) struct Foe {
    script: Script,
    process: usize,
    identities: Vec<Identity>,
    next_link: u64,
}

impl Foe {
    pub(super) fn new(world: &mut World, node: usize, lore: &mut Lore) -> Self {
        let identities: Vec<_> = (0..2).map(|_| Identity::from_seed(world.draw()).unwrap()).collect();
        lore.foes.extend(identities.iter().map(Identity::account));
        let script = Script::default();
        script.inner().actions.push_back(Action::Sockets { open: true });
        let all = Box::new(|interface: &Interface| !interface.loopback);
        let process = world.start(node, BEACON_PORT, all, Box::new(script.clone()), Box::new(script.clone()));
        world.with(process, |_, _| {});
        Self { script, process, identities, next_link: 2 }
    }

    /// What a host did for it that none may do.
    pub(super) fn check(&self) -> Result<(), String> {
        self.script.inner().broken.take().map_or(Ok(()), Err)
    }

    fn shout(&self, bytes: &[u8], to: Option<SocketAddr>) {
        let mut inner = self.script.inner();
        let Some(own) = inner.interfaces.iter().find(|i| i.address.is_ipv4()).cloned() else { return };
        let everybody = SocketAddr::from(([255, 255, 255, 255], BEACON_PORT));
        let (to, path) = to.map_or((everybody, PathKind::LimitedBroadcast), |to| (to, PathKind::Unicast));
        let via = Via::Interface { index: own.index, address: own.address };
        inner.transmits.push_back(Transmit { via, to, path, bytes: bytes.into() });
    }
}

impl Run {
    pub(super) fn evil(&mut self, node: usize, evil: Evil, mut dice: Dice) {
        let dice = &mut dice;
        let at = node.saturating_sub(self.nodes.len());
        if at >= self.foes.len() {
            return;
        }
        match evil {
            Evil::Replay => self.replay(at, 1 + dice.below(8), dice),
            Evil::ReplayFlood => self.replay(at, 150 + dice.below(150), dice),
            Evil::Tamper => {
                for _ in 0..=dice.below(8) {
                    let Some(mut bytes) = self.recorded(dice) else { return };
                    let flip = dice.below(bytes.len());
                    // Kinds are close to each other: an advert becomes a goodbye.
                    let at_byte = if dice.percent(30) { 5 } else { flip };
                    if let Some(byte) = bytes.get_mut(at_byte) {
                        *byte ^= 1 << dice.below(8);
                    }
                    self.foes[at].shout(&bytes, self.somewhere(dice));
                }
            }
            Evil::FalseAdvert => self.false_advert(at, dice),
            Evil::FalseGoodbye => self.false_goodbye(at, dice),
            Evil::FalseDeath => self.false_death(at, dice),
            Evil::Questions => self.questions(at, dice),
            Evil::Garbage => {
                for _ in 0..dice.below(60) {
                    let mut bytes = vec![0; dice.below(1_300)];
                    bytes.iter_mut().for_each(|byte| *byte = dice.next() as u8);
                    let head = *b"lans\x01\x81\0\0";
                    bytes.iter_mut().zip(head).for_each(|(to, from)| *to = from);
                    self.foes[at].shout(&bytes, self.somewhere(dice));
                }
            }
            Evil::Dial => {
                for _ in 0..=dice.below(12) {
                    self.dial(at, dice);
                }
            }
            Evil::JoinWell => self.join_well(at, dice),
            Evil::Return => self.return_anyhow(at, dice),
            Evil::Frames => self.frames(at, dice),
            Evil::OldFrames => self.old_frames(at, dice),
            Evil::Hangup => {
                let mut inner = self.foes[at].script.inner();
                let links: Vec<LinkId> = inner.dialled.keys().copied().collect();
                let close = |&link: &LinkId| Action::Close { link, flush: false };
                inner.actions.extend(links.iter().filter(|_| dice.percent(50)).map(close));
            }
        }
        self.world.with(self.foes[at].process, |_, _| {});
    }

    fn recorded(&self, dice: &mut Dice) -> Option<Vec<u8>> {
        let air = self.sky.air();
        air.datagrams.get(dice.below(air.datagrams.len())).cloned()
    }

    /// Everybody, or one node's shared or own port.
    fn somewhere(&self, dice: &mut Dice) -> Option<SocketAddr> {
        if dice.percent(50) {
            return None;
        }
        let live = self.nodes.get(dice.below(self.nodes.len()))?.live.as_ref()?;
        let process = self.world.processes.get(live.id)?;
        let address = process.sockets.iter().map(|socket| socket.address).find(|address| address.is_ipv4())?;
        let port = if dice.percent(50) { BEACON_PORT } else { process.port };
        Some(SocketAddr::new(address, port))
    }

    fn replay(&self, at: usize, count: usize, dice: &mut Dice) {
        for _ in 0..count {
            let Some(bytes) = self.recorded(dice) else { return };
            self.foes[at].shout(&bytes, self.somewhere(dice));
        }
    }

    /// A signed advert that passed by.
    fn advert(&self, dice: &mut Dice) -> Option<Advert> {
        let air = self.sky.air();
        let adverts: Vec<_> = air.datagrams.iter().filter_map(|bytes| Advert::decode(bytes).ok()).collect();
        dice.pick(&adverts).cloned()
    }

    /// The id of another's session under a key of one's own, or another's key without its signature.
    fn false_advert(&self, at: usize, dice: &mut Dice) {
        let Some(mut advert) = self.advert(dice) else { return };
        let foe = &self.foes[at];
        let own = &foe.identities[dice.below(2)];
        if dice.percent(70) {
            advert.host_key = HostKey::from(own.public());
            advert.id_derived = false;
        }
        advert.sequence = advert.sequence.saturating_add(u32::try_from(dice.below(1_000)).unwrap_or(1));
        advert.incarnation = advert.incarnation.saturating_add(u64::try_from(dice.below(3)).unwrap_or(0));
        advert.term = advert.term.saturating_add(u32::from(dice.percent(20)));
        advert.facts.name = "not what it was".to_owned();
        advert.facts.members = 0;
        foe.shout(&advert.encode(hash::game_tag(GAME), own), self.somewhere(dice));
    }

    fn false_goodbye(&self, at: usize, dice: &mut Dice) {
        let Some(advert) = self.advert(dice) else { return };
        let foe = &self.foes[at];
        let own = &foe.identities[0];
        let goodbye = Goodbye {
            host_key: if dice.percent(50) { advert.host_key } else { own.public().into() },
            id: advert.id,
            incarnation: advert.incarnation.saturating_add(u64::from(dice.percent(30))),
            term: advert.term,
            sequence: advert.sequence.saturating_add(1_000),
            reason: if dice.percent(50) { GoodbyeReason::Ended } else { GoodbyeReason::Unlisted },
            next: None,
        };
        foe.shout(&goodbye.encode(hash::game_tag(GAME), own), self.somewhere(dice));
    }

    fn false_death(&self, at: usize, dice: &mut Dice) {
        let Some(advert) = self.advert(dice) else { return };
        for _ in 0..=dice.below(10) {
            let notice = DeathNotice {
                id: advert.id,
                host_tag: hash::host_tag(advert.host_key),
                incarnation: advert.incarnation,
                term: advert.term,
                sequence: advert.sequence,
            };
            self.foes[at].shout(&notice.encode(hash::game_tag(GAME)), self.somewhere(dice));
        }
    }

    fn questions(&self, at: usize, dice: &mut Dice) {
        for _ in 0..dice.below(120) {
            let query = Query {
                nonce: dice.next(),
                many: dice.percent(30),
                renew: dice.percent(30),
                cookie: None,
                path: PathKind::LimitedBroadcast,
                target: Target::Any,
                take: 0,
                expect: 0,
                cap: 0,
                rank: None,
                filter: None,
                known: Known::None,
            };
            self.foes[at].shout(&query.encode(hash::game_tag(GAME)), self.somewhere(dice));
        }
    }

    // ------------------------------------------------------------------------------------------------- connections

    fn dial(&mut self, at: usize, dice: &mut Dice) -> Option<()> {
        let listening: Vec<_> = self.world.streams.listeners.iter().map(|(&at, own)| (at, own.session)).collect();
        let &((node, port), session) = dice.pick(&listening)?;
        let attachments = &self.world.topology.nodes.get(node)?.attachments;
        let addresses = attachments.iter().filter(|a| !a.is_loopback()).flat_map(|a| a.nic.addresses.iter());
        let address = addresses.map(|&(address, _)| address).find(|address| address.is_ipv4())?;
        let foe = &mut self.foes[at];
        let link = LinkId(foe.next_link);
        foe.next_link += 2;
        let identity = foe.identities[dice.below(2)].clone();
        let mut inner = foe.script.inner();
        inner.dialled.insert(link, session);
        inner.actions.push_back(Action::Dial { link, to: SocketAddr::new(address, port), expect: None, identity });
        Some(())
    }

    fn link(&self, at: usize, dice: &mut Dice) -> Option<(LinkId, SessionKey)> {
        let inner = self.foes[at].script.inner();
        let open: Vec<_> = inner.open.iter().map(|(&link, &session)| (link, session)).collect();
        dice.pick(&open).copied()
    }

    fn say(&self, at: usize, link: LinkId, frame: &Frame) {
        let mut inner = self.foes[at].script.inner();
        inner.actions.extend(frames(frame).into_iter().map(|bytes| Action::Send { link, bytes }));
    }

    /// As anybody may: a stranger is welcome where the policy says so.
    fn join_well(&self, at: usize, dice: &mut Dice) {
        let Some((link, session)) = self.link(at, dice) else { return };
        let nonce = u128::from(dice.next()).to_be_bytes();
        self.foes[at].script.inner().joins.insert(link, nonce);
        self.say(at, link, &Frame::Join(Box::new(join(session, nonce, Vec::new()))));
        self.say(at, link, &Frame::Ack);
    }

    /// Back to a seat of its own, at whoever is host now: by the last token, or by one that is none or counts no more.
    fn return_anyhow(&self, at: usize, dice: &mut Dice) {
        let Some((link, session)) = self.link(at, dice) else { return };
        let mut inner = self.foes[at].script.inner();
        let Some(seat) = inner.seats.get(&session) else { return };
        let (old, nonce) = (seat.tokens.len().saturating_sub(2), seat.nonce);
        let stale = dice.percent(60);
        let token = if !stale {
            seat.tokens.last().cloned()
        } else if dice.percent(50) {
            seat.tokens.get(dice.below(old)).filter(|_| old > 0).cloned()
        } else {
            Some(Secret::from([7; 32]))
        };
        let Some(token) = token else { return };
        if stale {
            inner.stale.insert(link);
        }
        drop(inner);
        let have = Revision { term: 1, number: 1 };
        let resume = Resume { session, incarnation: 0, version: 1, nonce, peer_incarnation: 1, token, have };
        self.say(at, link, &Frame::Resume(Box::new(resume)));
    }

    /// Well-formed frames that make no sense there, or claim what is not so.
    fn frames(&self, at: usize, dice: &mut Dice) {
        let Some((link, session)) = self.link(at, dice) else { return };
        for _ in 0..=dice.below(12) {
            let frame = self.lie(session, dice);
            self.say(at, link, &frame);
        }
    }

    fn lie(&self, session: SessionKey, dice: &mut Dice) -> Frame {
        let number = u32::try_from(dice.below(5)).unwrap_or(1);
        let somebody: AccountId = self.nodes[dice.below(self.nodes.len())].account(dice);
        let revision = Revision { term: 1, number: u64::try_from(dice.below(20)).unwrap_or(1) };
        match dice.below(16) {
            0 => Frame::Ack,
            1 => Frame::Request { number, body: Request::UpdateMe(MemberUpdate::new().set("n", i64::MAX)) },
            2 => Frame::Request { number: u32::MAX - number, body: Request::Say(b"spam".to_vec()) },
            3 => Frame::Request { number, body: Request::Register },
            4 => Frame::Leave,
            5 => Frame::Resync { have: revision },
            6 => Frame::Vouch { ask: u64::from(number), yes: true },
            7 => Frame::RejectInvite { invite: InviteId::from_bytes([0; 16]) },
            8 => Frame::MergeAsk(Box::new(MergeAsk {
                session,
                from: SessionKey { id: SessionId::from_bytes([7; 16]), founder: session.founder },
                taken: 1,
                accounts: vec![somebody],
            })),
            9 => Frame::Stay,
            10 => Frame::End { why: crate::types::Left::Destroyed },
            11 => Frame::Done { number, result: crate::wire::frame::DoneResult::Ok(revision) },
            12 => Frame::MergeAnswer(MergeAnswer::Granted(9)),
            13 => Frame::Request {
                number,
                body: Request::Reserve { accounts: vec![somebody], role: None, ttl: Some(1_000) },
            },
            14 => {
                // A companion that signed nothing.
                let companion = Companion {
                    account: somebody,
                    name: "stolen".to_owned(),
                    external: None,
                    attributes: Attributes::new(),
                    nonce: [3; 16],
                    role: None,
                    proof: Some([0; 64]),
                };
                Frame::Join(Box::new(join(session, [9; 16], vec![companion])))
            }
            _ => Frame::Join(Box::new(join(session, u128::from(dice.next()).to_be_bytes(), Vec::new()))),
        }
    }

    /// Frames of others, and those with a byte changed.
    fn old_frames(&self, at: usize, dice: &mut Dice) {
        let Some((link, _)) = self.link(at, dice) else { return };
        for _ in 0..=dice.below(8) {
            let air = self.sky.air();
            let Some(mut bytes) = air.frames.get(dice.below(air.frames.len())).cloned() else { return };
            drop(air);
            if dice.percent(30) {
                // Behind the length, so that it is still one frame.
                let flip = 2 + dice.below(bytes.len().saturating_sub(2));
                if let Some(byte) = bytes.get_mut(flip) {
                    *byte ^= 1 << dice.below(8);
                }
            }
            self.foes[at].script.inner().actions.push_back(Action::Send { link, bytes });
        }
    }
}

fn join(session: SessionKey, nonce: [u8; 16], party: Vec<Companion>) -> Join {
    Join {
        session,
        incarnation: 0,
        nonce,
        peer_incarnation: 1,
        version: 1,
        name: "mallory".to_owned(),
        external: None,
        attributes: Attributes::new(),
        ticket: Vec::new(),
        password_proof: Some([1; 32]),
        knock: Some([2; 64]),
        invite: None,
        role: None,
        status: MemberStatus::Active,
        party,
    }
}
