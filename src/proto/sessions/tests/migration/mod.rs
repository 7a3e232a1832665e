//! A session that outlives its host (protocol.md, "Host migration"): scripted, and at random.

mod carried;
mod handoff;
mod random;
mod scenarios;
mod walk;

use super::*;
use crate::types::Migration;
use crate::wire::frame::kind;

/// One machine in the session.
#[derive(Debug, Clone, Copy)]
struct At {
    node: usize,
    seat: SeatId,
}

struct Game {
    net: Net,
    key: SessionKey,
    /// The founder first.
    all: Vec<At>,
}

impl Game {
    /// A session of so many machines, each of which has the last order.
    fn new(seed: u64, machines: usize, migration: Migration) -> Self {
        Self::with(seed, machines, HostRequest::new(room(16)).migration(migration))
    }

    fn with(seed: u64, machines: usize, request: HostRequest) -> Self {
        let mut net = Net::new(seed);
        let host = net.node();
        let (seat, key) = net.host(host, request);
        let mut this = Self { net, key, all: vec![At { node: host, seat }] };
        for _ in 1..machines {
            this.enter();
        }
        this.net.run(SECOND);
        this
    }

    fn enter(&mut self) -> At {
        let node = self.net.node();
        let seat = self.net.join(node, self.key);
        let at = At { node, seat };
        self.all.push(at);
        at
    }

    fn alive(&self) -> Vec<At> {
        self.all.iter().copied().filter(|at| self.net.nodes[at.node].alive).collect()
    }

    fn hosts(&self) -> Vec<usize> {
        let hosting = |at: &At| self.net.nodes[at.node].sessions.hosts.contains_key(&self.key);
        self.alive().into_iter().filter(hosting).map(|at| at.node).collect()
    }

    fn left(&self, at: At) -> Option<Left> {
        self.net.seat(at.node, at.seat).left.clone()
    }

    fn view(&self, at: At) -> &SessionSnapshot {
        self.net.view(at.node, at.seat)
    }

    fn events(&mut self, at: At) -> Vec<&'static str> {
        names(&self.net.take_events(at.node, at.seat))
    }

    fn forget_events(&mut self) {
        for at in self.all.clone() {
            self.net.take_events(at.node, at.seat);
        }
    }

    fn kill(&mut self, at: At) {
        self.net.kill(at.node);
    }

    fn is_linked(&self, at: At) -> bool {
        let sessions = &self.net.nodes[at.node].sessions;
        sessions.hosts.contains_key(&self.key)
            || sessions.members.get(&at.seat).is_some_and(|member| member.is_linked())
    }

    /// How long until all who live are under one host, which is the same for all.
    fn united(&mut self, most: Duration) -> Duration {
        let start = self.net.now;
        while self.net.now.since(start) < most {
            let alive = self.alive();
            let one = self.hosts().len() == 1 && alive.iter().all(|&at| self.left(at).is_none() && self.is_linked(at));
            let agreed = alive.iter().all(|&at| self.view(at).host_key == self.view(alive[0]).host_key);
            let current = alive.iter().all(|&at| self.view(at).revision == self.view(alive[0]).revision);
            if one && agreed && current {
                return self.net.now.since(start);
            }
            self.net.run(MS);
        }
        let views: Vec<_> = self.alive().iter().map(|&at| (at, self.left(at), self.is_linked(at))).collect();
        panic!("not under one host after {most:?}: hosts {:?}, {views:?}", self.hosts());
    }

    /// The same, under this one.
    fn united_under(&mut self, host: At, most: Duration) -> Duration {
        let start = self.net.now;
        while self.hosts() != [host.node] && self.net.now.since(start) < most {
            self.net.run(MS);
        }
        self.united(most);
        assert_eq!(self.hosts(), [host.node]);
        self.net.now.since(start)
    }

    /// What the engine does with words of rivals: it asks for their proof.
    fn prove_rivals(&mut self) {
        for node in self.hosts() {
            for event in std::mem::take(&mut self.net.nodes[node].events) {
                if let SessionsEvent::Superseded { way, .. } = event {
                    let now = self.net.now;
                    self.net.nodes[node].sessions.rival_reached(now, &way);
                    self.net.drain();
                }
            }
        }
    }

    /// What discovery does: two hosts of one session hear each other's adverts, and fetch each other's proof.
    fn hear_rivals(&mut self) {
        let hosts = self.hosts();
        for &from in &hosts {
            for &to in &hosts {
                if to == from || self.net.cut_off(from, to) {
                    continue;
                }
                let address = self.net.listeners.iter().find(|(_, (at, key, _))| *at == from && *key == self.key);
                let Some(address) = address.map(|(address, _)| *address) else { continue };
                let sessions = &self.net.nodes[from].sessions;
                let way = crate::wire::frame::Way {
                    addresses: vec![address],
                    ..sessions.hosts[&self.key].way(&sessions.core)
                };
                let now = self.net.now;
                self.net.nodes[to].sessions.rival_reached(now, &way);
                self.net.drain();
            }
        }
    }

    /// At whom the state is the same, members' and hosts' views alike.
    fn check_agreed(&self) {
        let alive = self.alive();
        let first = self.view(alive[0]);
        for &at in &alive[1..] {
            assert_eq!(self.view(at).members, first.members);
            assert_eq!(self.view(at).host, first.host);
            assert_eq!(self.view(at).revision, first.revision);
        }
    }

    fn adverts(&self) -> usize {
        self.alive().iter().filter(|at| self.net.nodes[at.node].adverts.contains_key(&self.key)).count()
    }
}
