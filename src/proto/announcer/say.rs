//! What a host says unasked, and the multicasts that answer many: announcements, changes, beacons
//! (protocol.md, "Discovery, host").

use std::time::Duration;

use super::Announcer;
use super::hosted::Saying;
use crate::proto::lan::{Cx, Way};
use crate::types::SessionKey;

impl Announcer {
    /// First after an exponential timer, so of many that start at once few are early and the rest defer; then thrice more.
    pub(super) fn announce(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        let interval = self.interval(cx);
        let Some(hosted) = self.hosted.get_mut(&key) else { return };
        let first = cx.now + cx.dice.exponential(cx.tuning.announce_delay, 10.0);
        hosted.announce.clear();
        hosted.announce.push_back((first, false));
        hosted.announce.extend(cx.tuning.announce_again.iter().map(|after| (first + *after, true)));
        hosted.announce_tries = 0;
        hosted.beacon = cx.now + cx.dice.between(interval.mul_f64(0.8), interval.mul_f64(1.2));
    }

    /// A change is told at once, but no more than a few in a row, then one a second; where nobody asked lately there is
    /// nobody to tell. One that waits for its turn is told with all that changed until then.
    pub(super) fn tell_change(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        self.leases.retain(|_, until| *until > cx.now);
        let interested = !self.leases.is_empty();
        let hosts = self.hosts(cx.now);
        let Some(hosted) = self.hosted.get_mut(&key) else { return };
        if !interested || !cx.beacons {
            return;
        }
        if hosted.announce.iter().any(|(_, repeat)| !repeat) {
            return;
        }
        let every = cx.tuning.change_interval.max(refill(hosts));
        let at = hosted.changes.take_next(cx.now, cx.tuning.change_burst, every);
        hosted.announce.clear();
        hosted.announce.push_back((at, false));
        if hosts <= 50 {
            hosted.announce.extend(cx.tuning.announce_again.iter().take(2).map(|after| (at + *after, true)));
        }
        hosted.announce_tries = 0;
        self.fire_announcement(cx, key);
    }

    pub(super) fn fire_announcement(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        let hosts = self.hosts(cx.now);
        let busy = self.sense.count(cx.now, cx.tuning.busy_window);
        let Some(hosted) = self.hosted.get_mut(&key) else { return };
        let Some(&(at, repeat)) = hosted.announce.front() else { return };
        if at > cx.now || !hosted.what.listed {
            return;
        }
        let limit = if repeat { cx.tuning.busy / 4 } else { cx.tuning.busy / 2 };
        if busy >= limit && hosted.announce_tries < 10 {
            hosted.announce_tries += 1;
            let least = Duration::from_millis(1);
            let wait = cx.dice.between(least, Duration::from_millis(40 << hosted.announce_tries.min(5)));
            let by = (cx.now + wait).since(at);
            hosted.announce.iter_mut().for_each(|(at, _)| *at = *at + by);
            return;
        }
        while hosted.announce.front().is_some_and(|(at, _)| *at <= cx.now) {
            hosted.announce.pop_front();
        }
        let just_said = hosted.last_cast.is_some_and(|last| cx.now.since(last) < Duration::from_millis(20));
        let paid = hosted.bucket.take(cx.now, burst(hosts), refill(hosts));
        // News goes out also where questions have used up the bucket, which any stranger can do; it has a bucket of its own.
        if repeat && (just_said || !paid) {
            return;
        }
        let ways = cx.net.ways();
        self.cast(cx, key, 0, false, &ways);
    }

    pub(super) fn fire_cast(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        // Where few hosts are, what makes the link busy is not they, and deferring would help nobody but a flood.
        let Some(since) = self.hosted.get(&key).map(|hosted| hosted.since) else { return };
        let few = self.crowd(cx, since) <= cx.tuning.prompt_answers.into();
        let busy = !few && self.sense.count(cx.now, cx.tuning.busy_window) >= cx.tuning.busy;
        let Some(hosted) = self.hosted.get_mut(&key) else { return };
        let Some(cast) = hosted.cast.as_mut().filter(|cast| cast.at <= cx.now) else { return };
        if busy && cast.tries < 10 {
            let window = cast.window.max(Duration::from_millis(20)) * (1 << cast.tries.min(4));
            let window = window.min(cx.tuning.mc_cap);
            cast.tries += 1;
            cast.at = cx.now + cx.dice.within(window);
            return;
        }
        let (nonce, many, ways) = (cast.nonce, cast.many, std::mem::take(&mut cast.ways));
        hosted.cast = None;
        if many {
            hosted.pending.clear();
        }
        self.cast(cx, key, nonce, many, &ways);
    }

    pub(super) fn fire_beacon(&mut self, cx: &mut Cx<'_>, key: SessionKey) {
        let hosts = self.hosts(cx.now);
        let interval = self.interval(cx);
        let hot = cx.now < self.hot_until;
        let Some(hosted) = self.hosted.get_mut(&key) else { return };
        if hosted.beacon > cx.now || !hosted.what.listed || !cx.beacons {
            return;
        }
        if hot || hosted.bucket.take(cx.now, burst(hosts), refill(hosts)) {
            let ways = self.beacon_ways(cx);
            self.cast(cx, key, 0, false, &ways);
        } else {
            hosted.beacon = cx.now + cx.dice.between(interval.mul_f64(0.8), interval.mul_f64(1.2));
        }
    }

    /// One advert to all; every one is numbered above the last, because only a higher number keeps an entry alive.
    fn cast(&mut self, cx: &mut Cx<'_>, key: SessionKey, echo: u64, many: bool, ways: &[Way]) {
        let interval = self.interval(cx);
        let hosts = self.hosts(cx.now);
        let udp_port = udp_port(cx);
        let Some(hosted) = self.hosted.get_mut(&key) else { return };
        hosted.sequence = hosted.sequence.saturating_add(1);
        hosted.last_cast = Some(cx.now);
        hosted.beacon = cx.now + cx.dice.between(interval.mul_f64(0.8), interval.mul_f64(1.2));
        let (now, game) = (cx.now, cx.game);
        cx.cast(ways, |path| {
            let saying = Saying { echo, many, path, interval, hosts, udp_port };
            Some(hosted.advert(now, &saying).encode(game, &hosted.what.identity))
        });
        self.sense.hit(cx.now);
    }
}

/// Where unicast questions reach this process alone; before any socket stands, the port that all share.
pub(super) fn udp_port(cx: &Cx<'_>) -> u16 {
    cx.net.own_port().unwrap_or_else(|| cx.net.port())
}

/// HOST_BUCKET: all hosts together stay near 50 multicasts a second, whatever is asked.
pub(super) fn burst(hosts: usize) -> u32 {
    4 + 40 / u32::try_from(hosts.max(1)).unwrap_or(u32::MAX)
}

pub(super) fn refill(hosts: usize) -> Duration {
    Duration::from_secs_f64((hosts as f64 / 50.0).max(1.0))
}

/// Where a limit of answers is used up and the bucket above too: one multicast per this is left, for all who ask. A limit
/// that ends in silence would be what an attacker is after.
pub(super) fn relief(hosts: usize) -> Duration {
    Duration::from_secs_f64((hosts as f64 / 50.0).max(0.1))
}
