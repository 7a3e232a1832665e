//! What an attacker gets by numbers: reflected packets, exhausted budgets, crowded lists, silenced finders.

use super::segment::publication;
use super::*;
use crate::proto::io::{Arrival, MdnsEvent, Transmit};
use crate::types::{HostKey, Identity, PathKind};
use crate::wire::datagram::{Advert, Alive, DeathNotice, Hint, Kind, Known, Prefix, Probe, Query, Target};
use crate::wire::txt::{self, Txt};

fn kind(bytes: &[u8]) -> Option<Kind> {
    Prefix::peek(bytes).ok()?.known_kind()
}

fn identity(number: u16) -> Identity {
    let mut seed = [9; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    Identity::from_seed(seed).unwrap()
}

fn advert(host: HostKey, salt: u64) -> Advert {
    Advert {
        host_key: host,
        id: hash::derived_id(host, salt),
        many: false,
        old: false,
        migratable: false,
        id_derived: true,
        account_shown: false,
        salt,
        incarnation: 1_000,
        term: 1,
        sequence: 1,
        echo: 0,
        ttl: 1_200,
        interval: 40,
        hosts_heard: 1,
        tcp_port: 1,
        udp_port: 1,
        path: PathKind::Ipv4Multicast,
        facts: segment::facts("fake"),
        lineage: None,
        incompatible: false,
    }
}

/// Without a valid signature.
fn forged(advert: &Advert) -> Vec<u8> {
    let mut bytes = advert.statement(hash::game_tag("game"));
    bytes.extend([1; 64]);
    bytes
}

fn signed(advert: &Advert, host: &Identity) -> Vec<u8> {
    advert.encode(hash::game_tag("game"), host)
}

fn question(nonce: u64, path: PathKind, many: bool) -> Vec<u8> {
    let (target, rank, filter, known) = (Target::Any, None, None, Known::None);
    let query = Query {
        nonce,
        many,
        renew: false,
        cookie: None,
        path,
        target,
        take: 0,
        expect: 0,
        cap: 0,
        rank,
        filter,
        known,
    };
    query.encode(hash::game_tag("game"))
}

/// What a node sends at this very moment after something came.
fn after(lan: &mut Segment, node: usize, from: &str, shared: bool, bytes: Vec<u8>) -> Vec<Transmit> {
    let local = lan.nodes[node].address;
    let arrival = Arrival { interface: 2, local, from: from.parse().unwrap(), shared, bytes };
    let now = lan.now();
    let discovery = &mut lan.nodes[node].discovery;
    discovery.handle_arrival(now, &arrival);
    std::iter::from_fn(|| discovery.poll_transmit()).collect()
}

/// Makes a host count `hosts` others, two per address.
fn populate(lan: &mut Segment, host: usize, hosts: u16, ttl: u16) {
    for n in 0..hosts {
        let mut advert = advert(identity(n).public().into(), 1);
        advert.ttl = ttl;
        lan.inject(host, &format!("10.0.0.{}:40000", n % 250 + 5), true, signed(&advert, &identity(n)));
    }
}

/// The unicasts that one of `hosts` hosts sends to a victim in so many seconds, asked in its name ten times a second.
fn reflected(lan: &mut Segment, host: usize, seconds: u64, nonce: u64) -> usize {
    let mut sent = 0;
    for n in 0..seconds * 10 {
        let bytes = question(nonce + n, PathKind::Unicast, false);
        sent += after(lan, host, "10.0.0.3:40000", false, bytes).len();
        lan.run(100 * MS);
    }
    sent
}

#[test]
fn five_hundred_hosts_together_send_a_victim_about_what_one_may() {
    let mut lan = Segment::new(40, 0.0);
    let host = lan.host(0);
    lan.run(5_000 * MS);
    populate(&mut lan, host, 499, 1_200);
    // One packet each at once, then 400 a second from all: 500 + 400 * 30 in half a minute.
    let sent = reflected(&mut lan, host, 30, 1_000);
    assert!((1..=1 + 24).contains(&sent), "{sent}");
}

#[test]
fn a_stranger_cannot_make_five_hundred_hosts_think_that_they_are_few() {
    let mut lan = Segment::new(41, 0.0);
    let host = lan.host(0);
    lan.run(5_000 * MS);
    populate(&mut lan, host, 499, 1_200);
    // The same adverts once more, unsigned, as if each counted for a moment only.
    populate(&mut lan, host, 499, 0);
    lan.run(3_000 * MS);
    // And a goodbye of a session whose id is chosen so that key and id together look like another's.
    let (own, other) = (identity(5_000), HostKey::from(identity(3).public()));
    let mut id = hash::derived_id(other, 1).to_bytes();
    let keys = own.public().to_bytes();
    id.iter_mut().zip(other.to_bytes().iter().zip(keys)).for_each(|(id, (a, b))| *id ^= a ^ b);
    let goodbye = crate::wire::datagram::Goodbye {
        host_key: own.public().into(),
        id: crate::types::SessionId::from_bytes(id),
        incarnation: 1,
        term: 1,
        sequence: 1,
        reason: GoodbyeReason::Ended,
        next: None,
    };
    let now = lan.now();
    let before = lan.nodes[host].discovery.announcer.hosts(now);
    lan.inject(host, "10.0.0.9:4", true, goodbye.encode(hash::game_tag("game"), &own));
    assert_eq!(lan.nodes[host].discovery.announcer.hosts(now), before);
    assert_eq!(before, 500);
}

#[test]
fn answers_use_up_nothing_that_probes_need() {
    let mut lan = Segment::new(42, 0.0);
    let host = lan.host(0);
    lan.run(5_000 * MS);
    populate(&mut lan, host, 2_000, 1_200);
    for nonce in 0..4 {
        after(&mut lan, host, "10.0.0.3:40000", false, question(50 + nonce, PathKind::Unicast, false));
    }
    let probe = Probe { nonce: 7, id: lan.key(host).id, host_tag: [0; 8], known_digest: [0; 8] };
    let out = after(&mut lan, host, "10.0.0.3:40001", false, probe.encode(hash::game_tag("game")));
    assert_eq!(out.len(), 1, "or the entry of whoever asked would be lost");
    assert!(Alive::decode(&out[0].bytes).is_ok());
}

/// The last nonce that a finder sent to all, as any bystander hears it.
fn overheard(lan: &Segment, bystander: usize) -> u64 {
    let queries = lan.nodes[bystander].heard.iter().rev().filter_map(|arrival| Query::decode(&arrival.bytes).ok());
    queries.filter(|query| !query.renew).map(|query| query.nonce).next().expect("a question was heard")
}

#[test]
fn hints_with_an_overheard_nonce_make_no_finder_shout_at_a_victim() {
    let mut lan = Segment::new(43, 0.0);
    let (finder, bystander) = (lan.node(1), lan.node(2));
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(20 * MS);
    let echo = overheard(&lan, bystander);
    let host_key = identity(1).public().into();
    let mut to_one = 0;
    let mut to_all = 0;
    for n in 0..4_000_u32 {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        let hint = Hint { host_key, id: crate::types::SessionId::from_bytes(id), echo, cookie: [0; 16], size: 900 };
        let bytes = hint.encode(hash::game_tag("game"));
        let victim = format!("10.0.0.77:{}", 1_000 + n);
        to_one += after(&mut lan, finder, &victim, false, bytes.clone()).len();
        to_all += after(&mut lan, finder, &format!("10.0.0.{}:9", 80 + n % 160), false, bytes).len();
        if n % 4 == 0 {
            lan.run(MS);
        }
    }
    // One second.
    assert!((1..=16).contains(&to_one), "{to_one}");
    assert!(to_all <= 400, "{to_all}");
}

fn flood(lan: &mut Segment, finder: usize, datagrams: &[Vec<u8>], at: &mut usize, count: usize) {
    for _ in 0..count {
        *at += 1;
        let from = format!("10.0.0.{}:40000", 20 + *at % 230);
        let bytes = datagrams[*at % datagrams.len()].clone();
        after(lan, finder, &from, false, bytes);
    }
}

#[test]
fn a_flood_with_an_overheard_nonce_delays_no_answer_to_a_probe() {
    let mut lan = Segment::new(44, 0.0);
    let hosts: Vec<_> = (0..5).map(|n| lan.host(n)).collect();
    let (finder, bystander) = (lan.node(10), lan.node(11));
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(3_000 * MS);
    let now = lan.now();
    lan.nodes[finder].discovery.refresh(now, QueryId(1));
    lan.run(20 * MS);
    let echo = overheard(&lan, bystander);
    let datagrams: Vec<_> =
        (0..50).map(|n| forged(&Advert { echo, ..advert(identity(n).public().into(), 1) })).collect();
    let mut at = 0;
    flood(&mut lan, finder, &datagrams, &mut at, 3_000);
    let probes = |lan: &Segment| -> usize {
        let of = |host: &usize| lan.nodes[*host].heard.iter().filter(|a| kind(&a.bytes) == Some(Kind::Probe)).count();
        hosts.iter().map(of).sum()
    };
    let before = probes(&lan);
    let now = lan.now();
    for host in &hosts {
        let key = lan.key(*host);
        lan.nodes[finder].discovery.suspect(now, key);
    }
    lan.drain(finder);
    for _ in 0..300 {
        flood(&mut lan, finder, &datagrams, &mut at, 20);
        lan.run(MS);
    }
    let asked = probes(&lan) - before;
    assert!(asked <= 7, "{asked} probes until five hosts were believed");
}

#[test]
fn twenty_thousand_forged_adverts_a_second_keep_no_real_host_away() {
    let mut lan = Segment::new(45, 0.0);
    let old = lan.host(0);
    let (finder, bystander) = (lan.node(10), lan.node(11));
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(3_000 * MS);
    let known = lan.key(old);
    let mut datagrams = Vec::new();
    let mut at = 0;
    let host = lan.host(5);
    let now = lan.now();
    lan.nodes[finder].discovery.refresh(now, QueryId(1));
    for ms in 0..900 {
        if ms % 100 == 0 {
            let echo = overheard(&lan, bystander);
            datagrams = (0..60)
                .map(|n| {
                    let mut advert = advert(identity(n).public().into(), 1);
                    match n % 3 {
                        0 => advert.echo = echo,
                        1 => advert.sequence = 2,
                        _ => {
                            advert.host_key = known.founder;
                            advert.id = known.id;
                            advert.salt = 0;
                            advert.sequence = 1_000_000;
                        }
                    }
                    forged(&advert)
                })
                .collect();
        }
        flood(&mut lan, finder, &datagrams, &mut at, 20);
        lan.run(MS);
    }
    let key = lan.key(host);
    let list = lan.list(finder, 1);
    assert!(list.iter().any(|found| found.key() == key && found.is_confirmed()), "the newcomer");
    assert!(list.iter().any(|found| found.key() == known && !found.is_silent()), "and who was there");
    assert_eq!(list.len(), 2);
}

#[test]
fn questions_for_everybody_that_nobody_answers_silence_no_finder() {
    let mut lan = Segment::new(46, 0.0);
    let host = lan.host(0);
    lan.run(120_000 * MS);
    let finder = lan.node(10);
    lan.browse(finder, 1, SessionQuery::new());
    let mut nonce = 1;
    for _ in 0..500 {
        nonce += 1;
        lan.inject(finder, "10.0.0.66:4", true, question(nonce, PathKind::Ipv4Multicast, true));
        lan.run(2 * MS);
    }
    let key = lan.key(host);
    assert!(lan.list(finder, 1).iter().any(|found| found.key() == key));
}

/// Fails when a finder takes such a question for its own before it has asked itself, as often as it hears one: it asks 300 ms
/// late.
#[test]
fn questions_for_everybody_that_nobody_answers_put_no_find_off() {
    for seed in 0..20 {
        let mut lan = Segment::new(seed, 0.0);
        let host = lan.host(0);
        lan.run(120_000 * MS);
        let finder = lan.node(10);
        lan.browse(finder, 1, SessionQuery::new());
        let (key, mut waited) = (lan.key(host), 0);
        while !lan.list(finder, 1).iter().any(|found| found.key() == key) && waited < 1_000 {
            let nonce = 1_000 * seed + waited;
            lan.inject(finder, "10.0.0.66:4", true, question(nonce, PathKind::Ipv4Multicast, waited % 2 == 0));
            lan.run(MS);
            waited += 1;
        }
        assert!(waited <= 80, "seed {seed}: found after {waited} ms");
    }
}

#[test]
fn fakes_in_the_name_of_a_machine_do_not_take_its_place_in_the_list() {
    let mut lan = Segment::new(47, 0.0);
    let (finder, bystander) = (lan.node(10), lan.node(11));
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(20 * MS);
    let mut host = None;
    for n in 0..300_u16 {
        // Half of them echo what the finder asked everybody.
        let echo = if n % 2 == 0 { overheard(&lan, bystander) } else { 0 };
        let advert = Advert { echo, ..advert(identity(n).public().into(), 1) };
        lan.inject(finder, "10.0.0.6:40000", n % 2 == 1, signed(&advert, &identity(n)));
        lan.run(15 * MS);
        if n == 150 {
            host = Some(lan.host(5));
        }
    }
    let key = lan.key(host.unwrap());
    assert!(lan.list(finder, 1).iter().any(|found| found.key() == key), "{}", lan.list(finder, 1).len());
}

#[test]
fn unsigned_news_of_a_restart_brings_no_host_a_flood_of_probes() {
    let mut lan = Segment::new(48, 0.0);
    let host = lan.host(0);
    let finder = lan.node(10);
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(3_000 * MS);
    lan.nodes[host].heard.clear();
    let mut news = advert(lan.key(host).founder, 0);
    news.incarnation = 9_999;
    for _ in 0..500 {
        lan.inject(finder, "10.0.0.66:4", true, forged(&news));
        lan.run(2 * MS);
    }
    let probes = lan.nodes[host].heard.iter().filter(|a| kind(&a.bytes) == Some(Kind::Probe)).count();
    assert!(probes <= 2, "{probes}");
}

#[test]
fn a_thousand_forged_records_make_a_finder_knock_at_few_doors() {
    let mut lan = Segment::new(49, 0.0);
    let finder = lan.node_with(10, |config| config.mdns = true);
    let victim = lan.node(76);
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(1_000 * MS);
    lan.nodes[victim].heard.clear();
    let before = lan.sent - lan.casts;
    for n in 0..1_000_u16 {
        let host = HostKey::from(identity(n).public());
        let record = Txt {
            major: 1,
            game: hash::game_tag("game"),
            id: hash::derived_id(host, 1),
            host_label: hash::host_label(host),
            udp_port: 1_000 + n,
            version: 1,
            name: None,
        };
        let addresses = vec!["10.0.0.77:1".parse().unwrap()];
        let now = lan.now();
        let event = MdnsEvent::Resolved { instance: format!("i{n}"), addresses, txt: txt::encode(&record) };
        lan.nodes[finder].discovery.handle_mdns(now, event);
        lan.drain(finder);
    }
    lan.run(1_000 * MS);
    let knocks = lan.sent - lan.casts - before;
    assert!(knocks <= 210, "{knocks}");
}

#[test]
fn a_session_seen_by_mdns_alone_comes_back_after_an_outage() {
    let mut lan = Segment::new(50, 0.0);
    lan.passes = |_| false;
    let host = lan.host(1);
    let finder = lan.node_with(2, |config| config.mdns = true);
    lan.browse(finder, 1, SessionQuery::new());
    let what = publication(1);
    let record = Txt {
        major: 1,
        game: hash::game_tag("game"),
        id: what.key.id,
        host_label: hash::host_label(what.key.founder),
        udp_port: lan.nodes[host].port,
        version: 1,
        name: None,
    };
    let event = MdnsEvent::Resolved {
        instance: "x".into(),
        addresses: vec![SocketAddr::new(lan.nodes[host].address, 1)],
        txt: txt::encode(&record),
    };
    let now = lan.now();
    lan.nodes[finder].discovery.handle_mdns(now, event);
    lan.drain(finder);
    lan.run(1_000 * MS);
    assert_eq!(lan.list(finder, 1).len(), 1);
    lan.nodes[host].alive = false;
    lan.run(20_000 * MS);
    assert!(lan.list(finder, 1).is_empty());
    lan.nodes[host].alive = true;
    lan.run(40_000 * MS);
    assert_eq!(lan.list(finder, 1).len(), 1, "its record was there all the time");
}

#[test]
fn a_borrowed_id_stands_in_nobodys_way() {
    let mut lan = Segment::new(51, 0.0);
    let finder = lan.node(10);
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(20 * MS);
    let id = publication(0).key.id;
    let (first, second) = (identity(1), identity(2));
    let borrowed = |host: &Identity, sequence| {
        let lent = Advert { id_derived: false, id, sequence, ..advert(host.public().into(), 1) };
        signed(&lent, host)
    };
    lan.inject(finder, "10.0.0.66:4", true, borrowed(&first, 1));
    lan.run(50 * MS);
    assert_eq!(lan.list(finder, 1).len(), 1, "an id may be chosen");
    let host = lan.host(0);
    lan.run(1_000 * MS);
    lan.inject(finder, "10.0.0.67:4", true, borrowed(&second, 1));
    lan.inject(finder, "10.0.0.66:4", true, borrowed(&first, 2));
    lan.run(50 * MS);
    let keys: Vec<_> = lan.list(finder, 1).iter().map(Found::key).collect();
    assert_eq!(keys, [lan.key(host)], "but one that derives from a key belongs to that key");
}

#[test]
fn one_liar_among_few_hosts_slows_no_finder() {
    let mut lan = Segment::new(52, 0.0);
    let (finder, bystander) = (lan.node(10), lan.node(11));
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(10 * MS);
    let liar = identity(1);
    let advert = Advert { echo: overheard(&lan, bystander), hosts_heard: 65_535, ..advert(liar.public().into(), 1) };
    lan.inject(finder, "10.0.0.66:4", false, signed(&advert, &liar));
    let asked = lan.questions;
    lan.run(1_000 * MS);
    assert!(lan.questions - asked >= 4, "{}", lan.questions - asked);
}

#[test]
fn the_same_answer_from_a_second_address_of_its_host_is_followed_up() {
    let mut lan = Segment::new(53, 0.0);
    let (finder, second, bystander) = (lan.node(10), lan.node(20), lan.node(11));
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(10 * MS);
    let host = identity(1);
    let answer = signed(&Advert { echo: overheard(&lan, bystander), ..advert(host.public().into(), 1) }, &host);
    lan.inject(finder, "10.0.0.66:4", false, answer.clone());
    let address = SocketAddr::new(lan.nodes[second].address, lan.nodes[second].port);
    lan.inject(finder, &address.to_string(), false, answer);
    lan.run(2_100 * MS);
    assert!(lan.nodes[second].heard.iter().any(|arrival| kind(&arrival.bytes) == Some(Kind::Probe)));
}

/// Fails when a host counts adverts whose signatures nobody checked: it takes itself for one of thousands and puts its
/// answer off.
#[test]
fn forged_adverts_from_everywhere_put_no_answer_off() {
    let mut lan = Segment::new(54, 0.0);
    let host = lan.host(0);
    lan.run(5_000 * MS);
    for n in 0..4_000_u16 {
        let bytes = forged(&advert(identity(n).public().into(), 1));
        lan.inject(host, &format!("10.0.0.{}:40000", n % 250 + 5), true, bytes);
    }
    let out = after(&mut lan, host, "10.0.0.3:40000", true, question(9, PathKind::DirectedBroadcast, false));
    assert!(out.iter().any(|sent| kind(&sent.bytes) == Some(Kind::Advert)), "{} sent", out.len());
}

/// Fails when a question for one session waits in the window of all hosts: free keys and forged addresses make a host count
/// thousands, and a join by id would take as long.
#[test]
fn a_question_for_one_session_is_answered_at_once_however_many_hosts_there_seem_to_be() {
    let mut lan = Segment::new(55, 0.0);
    let host = lan.host(0);
    lan.run(5_000 * MS);
    populate(&mut lan, host, 400, 1_200);
    let mut sent = 0;
    for nonce in 0..3 {
        let all = after(&mut lan, host, "10.0.0.3:40000", true, question(nonce, PathKind::DirectedBroadcast, false));
        sent += all.len();
    }
    assert_eq!(sent, 0, "answers to all wait for their windows");
    let id = lan.key(host).id;
    let mut one = Query::decode(&question(9, PathKind::DirectedBroadcast, false)).unwrap();
    one.target = Target::Session(id);
    let out = after(&mut lan, host, "10.0.0.4:40000", true, one.encode(hash::game_tag("game")));
    assert!(out.iter().any(|sent| kind(&sent.bytes) == Some(Kind::Advert)), "{} sent", out.len());
}

/// Fails when a hinted address is shown as one to join (`Entry::hint` noting it as proven).
#[test]
fn an_address_that_never_echoed_is_no_place_to_join() {
    let mut lan = Segment::new(56, 0.0);
    let (finder, bystander) = (lan.node(10), lan.node(11));
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(10 * MS);
    let host = identity(1);
    let answer = Advert { echo: overheard(&lan, bystander), ..advert(host.public().into(), 1) };
    lan.inject(finder, "10.0.0.66:4", false, signed(&answer, &host));
    for n in 0..50_u32 {
        let beacon = Advert { sequence: 100 + n, echo: 0, ..answer.clone() };
        lan.inject(finder, &format!("10.0.0.{}:4", 100 + n), true, signed(&beacon, &host));
        lan.inject(finder, &format!("10.0.0.{}:4", 160 + n), true, signed(&beacon, &host));
    }
    lan.run(3_000 * MS);
    let list = lan.list(finder, 1);
    let addresses: Vec<String> = list[0].addresses().iter().map(|address| address.addr.ip().to_string()).collect();
    assert_eq!(addresses, ["10.0.0.66"]);
}

/// Fails when a death notice loses an entry, or pulls a check forward each time.
#[test]
fn a_false_word_that_a_host_died_ends_nothing_and_costs_few_probes() {
    let mut lan = Segment::new(57, 0.0);
    let (host, finder) = (lan.host(0), lan.node(10));
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(2_000 * MS);
    let key = lan.key(host);
    let death =
        DeathNotice { id: key.id, host_tag: hash::host_tag(key.founder), incarnation: 1_000, term: 1, sequence: 900 };
    let probes = |lan: &Segment| {
        lan.nodes[host].heard.iter().filter(|arrival| kind(&arrival.bytes) == Some(Kind::Probe)).count()
    };
    let before = probes(&lan);
    for _ in 0..100 {
        lan.inject(finder, "10.0.0.66:4", true, death.encode(hash::game_tag("game")));
        lan.run(40 * MS);
    }
    assert_eq!(lan.list(finder, 1).len(), 1);
    assert!(!lan.events(finder, 1).iter().any(|event| matches!(event, BrowserEvent::Lost(_))));
    assert!((1..=4).contains(&(probes(&lan) - before)), "{}", probes(&lan) - before);
}

/// 64 lists that open at once ask 27 times each in their first second. Fails when `Discovery::may_leave` lets all pass.
#[test]
fn pain_12_one_interface_carries_only_so_many_datagrams_to_all() {
    let mut lan = Segment::new(46, 0.0);
    let finder = lan.node(10);
    for id in 0..64_u64 {
        let filter = attr("number").eq(i64::try_from(id).unwrap());
        lan.browse(finder, id, SessionQuery::new().filter(filter));
    }
    lan.run(1_000 * MS);
    let most = u64::from(limits::INTERFACE_CASTS) + 1_000 / 4 + 1;
    assert!((500..=most).contains(&lan.casts), "{}", lan.casts);
    // It fills again.
    lan.run(10_000 * MS);
    assert!(lan.casts > most, "{}", lan.casts);
}
