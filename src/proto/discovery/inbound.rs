//! Datagrams in: whose they are, whether they may be believed, and who gets them.

use super::{Cx, Discovery, DiscoveryEvent, cx};
use crate::proto::announcer::Asker;
use crate::proto::clock::Moment;
use crate::proto::directory::Heard;
use crate::proto::io::{Arrival, Via};
use crate::proto::lan::{Asked, Origin, Purpose};
use crate::types::{PathKind, WIRE_MAJOR};
use crate::wire::datagram::{
    Advert, Alive, DeathNotice, ForeignAdvert, Goodbye, GoodbyeReason, Hint, Kind, PROBE_SIZE, Prefix, Probe, Query,
};

use std::time::Duration;

impl Discovery {
    /// A datagram that came. What is not of this game, malformed or from nowhere is dropped without a word.
    pub(crate) fn handle_arrival(&mut self, now: Moment, arrival: &Arrival) {
        self.now = now;
        let Ok(prefix) = Prefix::peek(&arrival.bytes) else { return };
        if prefix.game != self.game {
            return;
        }
        let origin = self.net.origin(arrival);
        let via = match origin {
            Origin::OnLink(via) => via,
            Origin::OffLink => Via::Routed,
            Origin::Refused => return,
        };
        if prefix.major != WIRE_MAJOR {
            self.foreign(now, arrival, via);
            self.settle(now);
            return;
        }
        match prefix.known_kind() {
            Some(Kind::Query) => self.question(now, arrival, via),
            Some(Kind::Probe) => self.probe(now, arrival, via),
            Some(Kind::Advert) => self.advert(now, arrival, via),
            Some(Kind::Hint) => self.hint(now, arrival, via),
            Some(Kind::Alive) => self.alive(now, arrival, via),
            Some(Kind::Goodbye) => self.goodbye(now, arrival, via),
            Some(Kind::Death) => self.death(now, arrival, via),
            // The engine gives it to the social room.
            Some(Kind::Locate) | None => {}
        }
        self.settle(now);
    }

    fn question(&mut self, now: Moment, arrival: &Arrival, via: Via) {
        let Ok(query) = Query::decode(&arrival.bytes) else { return };
        if self.nonces.is_ours(query.nonce) {
            return;
        }
        // A copy that says it was broadcast must have come to the shared port of this link.
        let to_all = query.path != PathKind::Unicast;
        if to_all && (via == Via::Routed || !arrival.shared) {
            return;
        }
        if to_all {
            self.announcer.heard_cast(now);
            self.paths.heard(via, query.path);
            self.finder.heard_question(cx!(self, now), &query);
        }
        let asker = Asker { from: arrival.from, via, size: arrival.bytes.len() };
        self.announcer.handle_question(cx!(self, now), &query, asker);
    }

    fn probe(&mut self, now: Moment, arrival: &Arrival, via: Via) {
        let Ok(probe) = Probe::decode(&arrival.bytes) else { return };
        if arrival.bytes.len() < PROBE_SIZE || self.nonces.is_ours(probe.nonce) {
            return;
        }
        let asker = Asker { from: arrival.from, via, size: arrival.bytes.len() };
        self.announcer.handle_probe(cx!(self, now), &probe, asker);
    }

    /// The question that an echo answers; beyond the link only typed and configured addresses may answer.
    fn asked(&mut self, now: Moment, echo: u64, arrival: &Arrival, via: Via) -> Option<Asked> {
        let asked = self.nonces.get(now, echo, self.config.tuning.nonce_life)?;
        let may = match asked.purpose {
            Purpose::Target => via != Via::Routed || self.finder.is_target(arrival.from),
            Purpose::Question { .. } => via != Via::Routed,
            Purpose::Probe | Purpose::Fetch => true,
        };
        may.then_some(asked)
    }

    fn advert(&mut self, now: Moment, arrival: &Arrival, via: Via) {
        let Ok(advert) = Advert::decode(&arrival.bytes) else { return };
        if self.announcer.is_ours(advert.host_key, advert.id) {
            return;
        }
        let asked = self.asked(now, advert.echo, arrival, via);
        if via == Via::Routed && asked.is_none() {
            return;
        }
        if arrival.shared {
            self.announcer.heard_cast(now);
        }
        let (host, id, many, echo, path) = (advert.host_key, advert.id, advert.many, advert.echo, advert.path);
        let life =
            Duration::from_millis(u64::from(advert.ttl) * 100).clamp(Duration::from_secs(1), Duration::from_secs(120));
        let heard = Heard { bytes: &arrival.bytes, from: arrival.from, via, shared: arrival.shared, asked };
        let verified = self.directory.handle_advert(cx!(self, now), advert, &heard);
        self.paths.heard(via, path);
        self.announcer.heard_host(now, host, id, arrival.from.ip(), life);
        if arrival.shared && many {
            self.finder.heard_many(now);
        }
        if !verified {
            return;
        }
        if let Some(asked) = asked {
            if let Some(way) = self.net.way_of(via, path) {
                self.finder.works(now, way);
            }
            if asked.purpose == Purpose::Target {
                self.finder.target_answered(now, echo, arrival.from);
            }
        }
    }

    fn hint(&mut self, now: Moment, arrival: &Arrival, via: Via) {
        let Ok(hint) = Hint::decode(&arrival.bytes) else { return };
        let Some(asked) = self.asked(now, hint.echo, arrival, via) else { return };
        if arrival.shared || self.announcer.is_ours(hint.host_key, hint.id) {
            return;
        }
        self.paths.heard(via, PathKind::Unicast);
        self.finder.handle_hint(cx!(self, now), &hint, asked, arrival.from, via);
    }

    fn alive(&mut self, now: Moment, arrival: &Arrival, via: Via) {
        let Ok(alive) = Alive::decode(&arrival.bytes) else { return };
        let Some(asked) = self.asked(now, alive.echo, arrival, via) else { return };
        if self.announcer.is_ours(alive.host_key, alive.id) {
            return;
        }
        self.paths.heard(via, PathKind::Unicast);
        let heard =
            Heard { bytes: &arrival.bytes, from: arrival.from, via, shared: arrival.shared, asked: Some(asked) };
        self.directory.handle_alive(cx!(self, now), &alive, &heard);
    }

    fn goodbye(&mut self, now: Moment, arrival: &Arrival, via: Via) {
        let Ok(goodbye) = Goodbye::decode(&arrival.bytes) else { return };
        let heard = Heard { bytes: &arrival.bytes, from: arrival.from, via, shared: arrival.shared, asked: None };
        let listed = self.directory.of_host(goodbye.id, goodbye.host_key);
        if self.directory.handle_goodbye(cx!(self, now), &goodbye, &heard) {
            // Of an unlisted one nobody here knows the incarnation: it may be the end of a former one.
            if let (Some(key), GoodbyeReason::Ended) = (listed, goodbye.reason) {
                self.events.push_back(DiscoveryEvent::Ended(key));
            }
            self.announcer.heard_goodbye(goodbye.host_key, goodbye.id);
        }
    }

    fn death(&mut self, now: Moment, arrival: &Arrival, via: Via) {
        let Ok(death) = DeathNotice::decode(&arrival.bytes) else { return };
        if via == Via::Routed {
            return;
        }
        let said = |own: &DeathNotice| (own.id, own.host_tag) == (death.id, death.host_tag);
        self.notices.retain(|(_, _, own)| !said(own));
        self.directory.handle_death(cx!(self, now), &death);
        self.directory.handle_timeout(cx!(self, now));
    }

    fn foreign(&mut self, now: Moment, arrival: &Arrival, via: Via) {
        let Ok(foreign) = ForeignAdvert::decode(&arrival.bytes) else { return };
        if via == Via::Routed {
            return;
        }
        let heard = Heard { bytes: &arrival.bytes, from: arrival.from, via, shared: arrival.shared, asked: None };
        self.directory.handle_foreign(cx!(self, now), &foreign, &heard);
    }
}
