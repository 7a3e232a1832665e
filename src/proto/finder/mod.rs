//! The finder's questions: when, by which ways, and when no more (protocol.md, "Discovery, finder").
//!
//! A question that is not answered in full is repeated nine times in 0.9 s, then ever more rarely; when every host that
//! the hosts know of has answered, it stops. It knows entries only as numbers: what an answer means is the directory's.

mod ask;
mod known;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Moment;
use super::io::Via;
use super::lan::{Asked, Bucket, BucketTable, Cx, Dice, Purpose, Way};
use super::limits;
use crate::types::{Node, PathKind, SessionId};
use crate::wire::datagram::{Hint, Known, Query, Target};

use ask::Ask;

pub(crate) use known::KnownSession;

/// What a question is about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wish {
    pub(crate) filter: Option<Node>,
    pub(crate) target: Target,
    /// Asked by unicast as well.
    pub(crate) targets: Vec<SocketAddr>,
    /// Goes on until it is closed, and keeps the hosts' interest alive.
    pub(crate) lasting: bool,
}

/// What is known at the moment of a question.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sight {
    /// Hosts that answered.
    pub(crate) hosts: usize,
    /// Hosts that there are, as the hosts tell it; a little pessimistic. 0 = nobody told.
    pub(crate) total: usize,
    /// The median of what they tell.
    pub(crate) median: usize,
    /// The one session that was asked for is there.
    pub(crate) satisfied: bool,
    pub(crate) known: Vec<KnownSession>,
}

/// All open questions of one process.
#[derive(Debug)]
pub(crate) struct Finder {
    asks: BTreeMap<u64, Ask>,
    /// Questions of others, by when they came; each counts once, whatever its copies.
    heard: VecDeque<(Moment, u64)>,
    /// The last multicast that answered many.
    heard_many: Option<Moment>,
    open_since: Option<Moment>,
    working: BTreeMap<Way, Moment>,
    /// Ways by which others' questions came: what carries those in a crowd carries ours.
    carrying: BTreeMap<Way, Moment>,
    /// Which nonce went to which typed address.
    aimed: VecDeque<(u64, SocketAddr)>,
    /// Typed and configured addresses that answered.
    answered: BTreeMap<SocketAddr, Moment>,
    configured: Vec<SocketAddr>,
    fetches: BucketTable,
    /// Fetches by address, and all: a hint can come in anybody's name, under a nonce that all have heard.
    fetched: BucketTable,
    fetching: Bucket,
}

impl Finder {
    pub(crate) fn new(dice: &mut Dice, configured: Vec<SocketAddr>) -> Self {
        Self {
            asks: BTreeMap::new(),
            heard: VecDeque::new(),
            heard_many: None,
            open_since: None,
            working: BTreeMap::new(),
            carrying: BTreeMap::new(),
            aimed: VecDeque::new(),
            answered: BTreeMap::new(),
            configured,
            fetches: BucketTable::new(dice.number(), limits::LIMITER_SLOTS),
            fetched: BucketTable::new(dice.number(), limits::LIMITER_SLOTS),
            fetching: Bucket::default(),
        }
    }

    /// Sockets are open, or closed again: what was heard before counts no more.
    pub(crate) fn set_open(&mut self, now: Moment, open: bool) {
        if open {
            self.open_since.get_or_insert(now);
        } else {
            self.open_since = None;
            self.heard.clear();
            self.working.clear();
            self.carrying.clear();
            self.answered.clear();
        }
    }

    pub(crate) fn open(&mut self, cx: &mut Cx<'_>, id: u64, wish: Wish) {
        // Who has listened already need not listen first.
        let listened = self.open_since.is_some_and(|at| cx.now.since(at) >= Duration::from_millis(10));
        let wait = if listened { Duration::ZERO } else { cx.dice.within(cx.tuning.listen) };
        self.asks.insert(id, Ask::new(wish, cx.now + wait));
    }

    pub(crate) fn close(&mut self, id: u64) {
        self.asks.remove(&id);
    }

    /// Asks anew from the start, at most four times a second.
    pub(crate) fn refresh(&mut self, now: Moment, id: u64) {
        if let Some(ask) = self.asks.get_mut(&id) {
            ask.restart(now);
        }
    }

    /// What came up is asked at once; what a former way told counts no more.
    pub(crate) fn interfaces_changed(&mut self, cx: &mut Cx<'_>, added: bool) {
        let ways = cx.net.ways();
        self.working.retain(|way, _| ways.contains(way));
        self.carrying.retain(|way, _| ways.contains(way));
        if added {
            for ask in self.asks.values_mut() {
                ask.listen(cx);
            }
        }
    }

    /// A question of another finder, by this way.
    pub(crate) fn heard_question(&mut self, cx: &mut Cx<'_>, query: &Query, way: Option<Way>) {
        self.carrying.extend(way.map(|way| (way, cx.now)));
        if self.heard.iter().any(|(_, nonce)| *nonce == query.nonce) {
            return;
        }
        if self.heard.len() >= limits::HEARD {
            self.heard.pop_front();
        }
        self.heard.push_back((cx.now, query.nonce));
        for ask in self.asks.values_mut() {
            ask.heard_question(cx, query, self.heard_many);
        }
    }

    /// A multicast that answers many.
    pub(crate) fn heard_many(&mut self, now: Moment) {
        self.heard_many = Some(now);
    }

    /// An answer or a beacon came that names this way.
    pub(crate) fn works(&mut self, now: Moment, way: Way) {
        self.working.insert(way, now);
    }

    /// An answer to a question to a typed address; one that was fetched by a cookie is known by where it came from.
    pub(crate) fn target_answered(&mut self, now: Moment, nonce: u64, from: SocketAddr) {
        let aimed = self.aimed.iter().find(|(aimed, _)| *aimed == nonce).map(|(_, target)| *target);
        let near = || self.aimed.iter().map(|(_, target)| *target).find(|target| target.ip() == from.ip());
        if let Some(target) = aimed.or_else(near) {
            self.answered.insert(target, now);
        }
    }

    /// Whether this is a typed or configured address: only such may be beyond the link.
    pub(crate) fn is_target(&self, addr: SocketAddr) -> bool {
        let mut all = self.configured.iter().chain(self.asks.values().flat_map(|ask| &ask.wish.targets));
        all.any(|target| target.ip() == addr.ip())
    }

    /// The advert is longer than the question: fetch it, with the cookie that proves this address.
    pub(crate) fn handle_hint(&mut self, cx: &mut Cx<'_>, hint: &Hint, asked: Asked, from: SocketAddr, via: Via) {
        let purpose = if asked.purpose == Purpose::Target { Purpose::Target } else { Purpose::Fetch };
        self.fetch(cx, hint.id, Some(hint.cookie), from, via, purpose);
    }

    /// Asks one host for one session's advert. Only to an address that has echoed a nonce of ours: the question is long.
    /// A nonce that went to all was overheard by all, so the echo proves little: hence few to one address, and so few in
    /// all that they never push out the nonces of others.
    pub(crate) fn fetch(
        &mut self,
        cx: &mut Cx<'_>,
        id: SessionId,
        cookie: Option<[u8; 16]>,
        to: SocketAddr,
        via: Via,
        purpose: Purpose,
    ) {
        let word = u64::from_be_bytes(id.to_bytes().first_chunk().copied().unwrap_or_default());
        if !self.fetches.of_with(to, word).take(cx.now, 6, Duration::from_millis(250))
            || !self.fetched.of_ip(to.ip()).take(cx.now, 12, Duration::from_millis(250))
            || !self.fetching.take(cx.now, 256, Duration::from_millis(10))
        {
            return;
        }
        let nonce = cx.nonces.draw(cx.now, cx.dice, purpose);
        let mut query = plain(nonce, Target::Session(id));
        query.cookie = cookie;
        let bytes = query.encode(cx.game);
        cx.send(via, to, Arc::from(bytes));
    }

    /// Asks everybody for one session: its own address did not answer.
    pub(crate) fn ask_all_for(&mut self, cx: &mut Cx<'_>, id: SessionId) {
        let nonce = cx.nonces.draw(cx.now, cx.dice, Purpose::Question { prompt: false });
        let ways = cx.net.ways();
        self.send(cx, plain(nonce, Target::Session(id)), &ways);
    }

    /// The questions that are due.
    pub(crate) fn due(&self, now: Moment) -> Vec<u64> {
        self.asks.iter().filter(|(_, ask)| ask.next.is_some_and(|next| next <= now)).map(|(id, _)| *id).collect()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        self.asks.values().filter_map(|ask| ask.next).min()
    }

    /// One question, or a later look, or none any more.
    pub(crate) fn ask(&mut self, cx: &mut Cx<'_>, id: u64, sight: &Sight) {
        let heard = |window: Duration| {
            let from = cx.now - window;
            self.heard.iter().rev().take_while(|(at, _)| *at >= from).count()
        };
        let crowd = ask::Crowd {
            any: !self.heard.is_empty(),
            lately: heard(cx.tuning.many_window),
            longer: heard(cx.tuning.crowd_window),
            many_answer: self.heard_many,
        };
        let Some(ask) = self.asks.get_mut(&id) else { return };
        let answered = !ask.wish.targets.is_empty() && ask.wish.targets.iter().all(|t| self.answered.contains_key(t));
        let sight = &Sight { satisfied: sight.satisfied || answered, ..sight.clone() };
        match ask.decide(cx, sight, &crowd) {
            ask::Step::Wait => {}
            ask::Step::Renew => {
                let mut query = plain(cx.dice.nonce(), Target::Any);
                query.renew = true;
                let ways = self.ways(cx, 3, false);
                self.send(cx, query, &ways);
                self.ask_targets(cx, id, true);
                // One renewal speaks for all browsers of this process.
                let next = cx.now + cx.dice.between(cx.tuning.renew, cx.tuning.renew * 2);
                self.asks.values_mut().for_each(|ask| ask.renewed(next));
            }
            ask::Step::Ask { many } => {
                let prompt = sight.median <= usize::from(cx.tuning.prompt_answers) && !many;
                let (number, wish) = (ask.asked - 1, ask.wish.clone());
                let nonce = cx.nonces.draw(cx.now, cx.dice, Purpose::Question { prompt });
                let mut query = plain(nonce, wish.target);
                query.filter = wish.filter;
                query.many = many;
                query.expect = u16::try_from(sight.median).unwrap_or(u16::MAX);
                if !many {
                    query.known = known::known(cx, &query, &sight.known);
                }
                let ways = self.ways(cx, number, many);
                self.send(cx, query, &ways);
                self.ask_targets(cx, id, false);
            }
        }
    }

    /// Questions 1 and 2 go by all ways, later ones by those that are known to work, every eighth by all again. In a crowd
    /// each goes by one way of an interface: copies are what floods a link.
    fn ways(&mut self, cx: &Cx<'_>, number: u32, many: bool) -> Vec<Way> {
        let all = cx.net.ways();
        if (number < 2 && !many) || number % 8 == 7 {
            return all;
        }
        let fresh = cx.now - Duration::from_secs(120);
        self.working.retain(|_, at| *at >= fresh);
        let lately = cx.now - Duration::from_secs(1);
        self.carrying.retain(|_, at| *at >= lately);
        let mut ways = Vec::new();
        for interface in cx.net.interfaces() {
            let mine = |way: &&Way| way.index == interface.index && !ways.contains(*way);
            let working: Vec<Way> = self.working.keys().filter(mine).copied().collect();
            let carrying = self.carrying.keys().find(|way| many && way.index == interface.index);
            if working.is_empty() && !self.working.keys().any(|way| way.index == interface.index) {
                if let Some(way) = carrying {
                    if mine(&way) {
                        ways.push(*way);
                    }
                    continue;
                }
                let untried: Vec<Way> = all.iter().filter(mine).copied().collect();
                ways.extend(untried);
            } else {
                ways.extend(working.into_iter().take(if many { 1 } else { usize::MAX }));
            }
        }
        ways
    }

    fn send(&self, cx: &mut Cx<'_>, mut query: Query, ways: &[Way]) {
        let game = cx.game;
        cx.cast(ways, |path| {
            query.path = path;
            Some(query.encode(game))
        });
    }

    /// Typed and configured addresses, until they have answered; from then on only with the renewals.
    fn ask_targets(&mut self, cx: &mut Cx<'_>, id: u64, renew: bool) {
        let Some(ask) = self.asks.get(&id) else { return };
        let mut targets: Vec<SocketAddr> = self.configured.iter().chain(&ask.wish.targets).copied().collect();
        targets.sort();
        targets.dedup();
        targets.retain(|target| renew || !self.answered.contains_key(target));
        let wish = ask.wish.clone();
        for to in targets {
            let nonce = cx.nonces.draw(cx.now, cx.dice, Purpose::Target);
            if self.aimed.len() >= limits::HEARD {
                self.aimed.pop_front();
            }
            self.aimed.push_back((nonce, to));
            let mut query = plain(nonce, wish.target);
            query.filter = wish.filter.clone();
            let via = cx.net.via_to(to).unwrap_or(Via::Routed);
            let bytes = query.encode(cx.game);
            cx.send(via, to, Arc::from(bytes));
        }
    }
}

fn plain(nonce: u64, target: Target) -> Query {
    Query {
        nonce,
        many: false,
        renew: false,
        cookie: None,
        path: PathKind::Unicast,
        target,
        take: 0,
        expect: 0,
        cap: 0,
        rank: None,
        filter: None,
        known: Known::None,
    }
}
