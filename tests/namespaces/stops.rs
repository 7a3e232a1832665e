//! A stop takes no time that a player would notice: `Lan::close` and the drop of the last handle return within 50 ms,
//! whatever goes on. In this process, on a network that is not there: an interface whose packets nobody gets.

use std::process::Command;
use std::time::{Duration, Instant};

use lansession::{
    Browser, Event, HostRequest, JoinLink, Lan, LinkState, Pending, Preset, Session, SessionEvent, SessionId,
    SessionKey, SessionQuery, SessionSettings, User,
};

use super::inside::{feed, in_namespaces};
use super::timing::{SECOND, Times, pause};

const LIMIT: f64 = 50.0;
const ROUNDS: usize = 10;
const WAIT: Duration = Duration::from_secs(10);

fn start() -> Lan {
    Lan::builder(super::GAME).start().expect("a start")
}

fn host(lan: &Lan, name: &str) -> Session {
    lan.sign_in(name).expect("a user").host(SessionSettings::new(name)).wait(WAIT).expect("a session")
}

/// What a state keeps alive beside its `Lan`.
#[derive(Default)]
struct Held {
    lans: Vec<Lan>,
    users: Vec<User>,
    seats: Vec<Session>,
    joins: Vec<Pending<Session>>,
    browsers: Vec<Browser>,
}

/// Puts a fresh `Lan` into a state, again and again, and ends it once by `close` and once by dropping everything.
fn measure(what: &str, mut state: impl FnMut(&Lan) -> Held) {
    let (mut closed, mut dropped) = (Times::default(), Times::default());
    for _ in 0..ROUNDS {
        let lan = start();
        let held = state(&lan);
        let begun = Instant::now();
        lan.close().wait(WAIT).expect("a close");
        closed.between(begun, Instant::now());
        drop((lan, held));

        let lan = start();
        let Held { lans, users, seats, joins, browsers } = state(&lan);
        let begun = Instant::now();
        drop((joins, seats, browsers, users, lan));
        dropped.between(begun, Instant::now());
        drop(lans);
    }
    closed.all_within(&format!("{what}: close"), LIMIT);
    dropped.all_within(&format!("{what}: drop"), LIMIT);
}

/// Another machine's session on this one, and a link to it.
fn far() -> (Lan, Session) {
    let lan = start();
    let room = host(&lan, "far");
    (lan, room)
}

fn drop_tcp(on: bool) {
    let rules = if on {
        "table inet stops {\nchain out {\ntype filter hook output priority 0; policy accept;\nmeta l4proto tcp drop\n}\n}\n"
    } else {
        "delete table inet stops\n"
    };
    feed(Command::new("nft").args(["-f", "-"]), rules);
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn pain_24_a_stop_and_a_drop_return_within_50_ms_from_any_state() {
    in_namespaces(120 * SECOND, || {
        // Whatever is sent by it is gone; a neighbour that is known and not there is a black hole.
        let lines = "link add eth0 type veth peer name dead0\nlink set dead0 addrgenmode none up\n\
                     addr add 10.99.0.1/24 brd + dev eth0\nlink set eth0 up\n\
                     neigh add 10.99.0.77 lladdr 02:00:00:00:00:77 dev eth0 nud permanent\n";
        feed(Command::new("ip").args(["-batch", "-"]), lines);
        pause(2_000);

        measure("idle", |_| Held::default());
        measure("hosting", |lan| Held { seats: vec![host(lan, "room")], ..Held::default() });
        measure("hosting, at once", |lan| {
            let ada = lan.sign_in("Ada").expect("a user");
            Held { joins: vec![ada.host(SessionSettings::new("room"))], users: vec![ada], ..Held::default() }
        });
        measure("browsing", |lan| {
            let browser = lan.browse(SessionQuery::new()).expect("a browser");
            pause(20);
            Held { browsers: vec![browser], ..Held::default() }
        });

        let (other, room) = far();
        let join = |lan: &Lan, link: JoinLink| {
            let bob = lan.sign_in("Bob").expect("a user");
            (bob.join(link), bob)
        };
        measure("in a session", |lan| {
            let (join, bob) = join(lan, room.link());
            Held { seats: vec![join.wait(WAIT).expect("a seat")], users: vec![bob], ..Held::default() }
        });
        measure("hosting a member", |lan| {
            let (own, member) = (host(lan, "room"), start());
            let (join, bob) = join(&member, own.link());
            let seats = vec![join.wait(WAIT).expect("a seat"), own];
            Held { seats, users: vec![bob], lans: vec![member], ..Held::default() }
        });
        measure("dialling a black hole", |lan| {
            let founder = room.key().founder;
            let key = SessionKey { id: SessionId::from_name("nowhere"), founder };
            let nobody = "10.99.0.77:40000".parse().expect("an address");
            let link = JoinLink::new(super::GAME, key, founder, [nobody]).expect("a link");
            let (join, bob) = join(lan, link);
            pause(50);
            Held { joins: vec![join], users: vec![bob], ..Held::default() }
        });

        let settings = SessionSettings::new("asks");
        let asks = other.sign_in("Cid").expect("a user").host(HostRequest::new(settings).admission(true));
        let asks = asks.wait(WAIT).expect("a session");
        let mut asked = asks.events();
        measure("joining, and the host's game says nothing", |lan| {
            let (join, bob) = join(lan, asks.link());
            let asks = |event| matches!(event, SessionEvent::JoinAsked { .. });
            while !asks(asked.wait(WAIT).expect("the host is asked")) {}
            Held { joins: vec![join], users: vec![bob], ..Held::default() }
        });

        // The peers are there and hear nothing any more: neither a leave nor the end of the connection.
        let mut silent = false;
        measure("in sessions that have gone silent", |lan| {
            if std::mem::replace(&mut silent, true) {
                drop_tcp(false);
            }
            let (own, member) = (host(lan, "room"), start());
            let (joining, bob) = join(&member, own.link());
            let theirs = joining.wait(WAIT).expect("a seat");
            let (joining, cid) = join(lan, room.link());
            let seats = vec![own, theirs, joining.wait(WAIT).expect("a seat")];
            drop_tcp(true);
            Held { seats, users: vec![bob, cid], lans: vec![member], ..Held::default() }
        });
    });
}

#[test]
#[ignore = "needs namespaces: run by .ci/run"]
fn five_seconds_without_an_update_lose_no_membership() {
    in_namespaces(60 * SECOND, || {
        let builder = || Lan::builder(super::GAME).preset(Preset::Loopback);
        let mut hosting = builder().start_frames().expect("a start");
        let port = hosting.lan().beacon_port();
        let mut guest = builder().beacon_port(port).start_frames().expect("a start");
        let room = host(hosting.lan(), "room");
        let bob = guest.lan().sign_in("Bob").expect("a user");
        let seat = bob.join(room.link()).wait(WAIT).expect("a seat");
        pause(100);
        drop((hosting.update(), guest.update()));
        // Longer than a host waits for a silent member, and a member for a silent host.
        pause(5_000);
        let ends = |event: &Event| matches!(event, Event::Session { what, .. } if !matches!(what, SessionEvent::Message { .. }));
        let events: Vec<Event> = hosting.update().chain(guest.update()).filter(ends).collect();
        assert!(events.is_empty(), "{events:?}");
        for state in [room.snapshot(), seat.snapshot()] {
            assert!(state.members.len() == 2 && state.members.iter().all(|member| member.link == LinkState::Connected));
        }
    });
}
