//! Hosts that say they took over: whom finders follow, and whom never.

use super::segment::{PORT, facts, publication};
use super::*;
use crate::types::Identity;
use crate::wire::datagram::{Advert, Goodbye, Kind, Prefix};
use crate::wire::frame::made::{after, key, takeover};
use crate::wire::frame::{Reign, Takeover, follow, lineage_digest};

/// Answers what a node wants to know of claimants, as the engine would: by this lineage, under each of these hosts' keys.
fn prove(lan: &mut Segment, node: usize, lineage: &[Takeover]) -> usize {
    let claims = std::mem::take(&mut lan.nodes[node].claims);
    let asked = claims.len();
    for claim in claims {
        let digest = lineage_digest(claim.key, claim.incarnation, lineage);
        let led = follow(claim.key, claim.incarnation, lineage).filter(|(host, _)| *host == claim.host_key);
        let proof = match led {
            Some((_, reign)) if digest == claim.digest && reign.term == claim.term => {
                let former = lineage.iter().map(|step| (step.order.host_key, step.order.reign)).collect();
                Proof::Holds { reign, former }
            }
            _ => Proof::Forged,
        };
        let now = lan.now();
        lan.nodes[node].discovery.handle_proof(now, claim.key, claim.host_key, proof);
        lan.drain(node);
    }
    asked
}

/// Runs, and lets every finder fetch what it asks for within 10 ms.
fn run(lan: &mut Segment, duration: Duration, finders: &[usize], lineage: &[Takeover]) -> usize {
    let end = lan.now() + duration;
    let mut asked = 0;
    while lan.now() < end {
        lan.run((10 * MS).min(end.since(lan.now())));
        asked += finders.iter().map(|&finder| prove(lan, finder, lineage)).sum::<usize>();
    }
    asked
}

/// The lineage by which the session of host 1 goes on under this key.
fn chain(next: &Identity) -> Vec<Takeover> {
    let what = publication(1);
    let second = after(Reign::FOUNDER);
    vec![takeover(what.key, what.incarnation, (&what.identity, Reign::FOUNDER), (next, second))]
}

/// The session of host 1, as the next host tells it.
fn continued(next: &Identity, lineage: Vec<Takeover>) -> Publication {
    let term = lineage.last().map_or(1, |step| step.reign.term);
    Publication {
        identity: next.clone(),
        term,
        tcp_port: 6_000,
        facts: facts("goes on"),
        lineage,
        migratable: true,
        ..publication(1)
    }
}

fn host(lan: &mut Segment) -> usize {
    let host = lan.host(1);
    lan.nodes[host].publication.as_mut().unwrap().migratable = true;
    lan.publish(host);
    host
}

fn crown(lan: &mut Segment, node: usize, what: Publication) {
    lan.nodes[node].publication = Some(what);
    lan.publish(node);
}

fn lost(lan: &Segment, node: usize) -> usize {
    lan.events(node, 1).iter().filter(|event| matches!(event, BrowserEvent::Lost(_))).count()
}

fn found(lan: &Segment, node: usize) -> usize {
    lan.events(node, 1).iter().filter(|event| matches!(event, BrowserEvent::Found(_))).count()
}

/// Fails when `judge` follows without having asked the former host, or when the entry is keyed by its host.
#[test]
fn after_a_crash_the_entry_moves_and_is_never_lost() {
    for (seed, loss) in (0..20).map(|seed| (seed, if seed % 2 == 0 { 0.0 } else { 0.2 })) {
        let mut lan = Segment::new(300 + seed, loss);
        let (old, next, finder) = (host(&mut lan), lan.node(2), lan.node(3));
        lan.browse(finder, 1, SessionQuery::new());
        run(&mut lan, 4_000 * MS, &[finder], &[]);
        let session = lan.key(old);
        lan.kill(old);
        run(&mut lan, 2_500 * MS, &[finder], &[]);
        let heir = key(77);
        let lineage = chain(&heir);
        crown(&mut lan, next, continued(&heir, lineage.clone()));
        run(&mut lan, 9_000 * MS, &[finder], &lineage);
        let list = lan.list(finder, 1);
        assert_eq!(list.len(), 1, "seed {seed}");
        assert_eq!((list[0].key(), list[0].host_key()), (session, heir.public().into()), "seed {seed}");
        assert_eq!(list[0].addresses()[0].addr.port(), 6_000);
        assert!(!list[0].is_migrating() && !list[0].is_silent());
        assert_eq!((lost(&lan, finder), found(&lan, finder)), (0, 1), "seed {seed}: {:?}", lan.events(finder, 1));
        assert_eq!(lan.nodes[finder].moved, [session]);
        lan.run(60_000 * MS);
        assert_eq!((lan.list(finder, 1).len(), lost(&lan, finder)), (1, 0), "seed {seed}: it lives on");
    }
}

/// Fails (without end) when an address of the former host that refuses starts a check of one's own session.
#[test]
fn of_a_session_that_goes_on_here_nothing_is_asked_of_its_former_host() {
    let mut lan = Segment::new(320, 0.0);
    let (old, finder) = (host(&mut lan), lan.node(2));
    lan.browse(finder, 1, SessionQuery::new());
    run(&mut lan, 4_000 * MS, &[finder], &[]);
    let to = lan.list(finder, 1)[0].addresses()[0].addr;
    let to = SocketAddr::new(to.ip(), lan.nodes[old].port);
    lan.kill(old);
    let heir = key(77);
    crown(&mut lan, finder, continued(&heir, chain(&heir)));
    for _ in 0..3 {
        let (now, via) = (lan.now(), Via::Interface { index: 2, address: lan.nodes[finder].address });
        let why = "Connection refused".to_owned();
        let failure = SendFailure { via, to, path: PathKind::Unicast, why, unreachable: true };
        lan.nodes[finder].discovery.handle_send_failure(now, &failure);
        lan.drain(finder);
    }
    run(&mut lan, 20_000 * MS, &[], &[]);
    let list = lan.list(finder, 1);
    assert_eq!((list.len(), lost(&lan, finder)), (1, 0));
    assert!(!list[0].is_migrating() && !list[0].is_silent());
}

/// Fails when the answer of the host that is known does not count (`answered` in `judge`).
#[test]
fn nobody_follows_a_takeover_while_the_old_host_answers() {
    let mut lan = Segment::new(330, 0.0);
    let (old, next, finder) = (host(&mut lan), lan.node(2), lan.node(3));
    lan.browse(finder, 1, SessionQuery::new());
    run(&mut lan, 4_000 * MS, &[finder], &[]);
    let heir = key(77);
    let lineage = chain(&heir);
    crown(&mut lan, next, continued(&heir, lineage.clone()));
    let asked = run(&mut lan, 20_000 * MS, &[finder], &lineage);
    assert_eq!(lan.list(finder, 1)[0].host_key(), publication(1).key.founder);
    assert_eq!(asked, 1, "a refused claimant costs one fetch a minute");
    // Once it is silent, the same claim counts, though it was refused for a minute.
    lan.kill(old);
    run(&mut lan, 12_000 * MS, &[finder], &lineage);
    assert_eq!(lan.list(finder, 1)[0].host_key(), heir.public().into());
    assert_eq!((lost(&lan, finder), found(&lan, finder)), (0, 1));
}

/// Fails when `Directory::handle_advert` lists an advert with a lineage that was not proved.
#[test]
fn a_fresh_finder_lists_what_is_proved_and_nothing_else() {
    let heir = key(77);
    let lineage = chain(&heir);
    let mut lan = Segment::new(340, 0.0);
    let (next, finder) = (lan.node(2), lan.node(3));
    crown(&mut lan, next, continued(&heir, lineage.clone()));
    lan.browse(finder, 1, SessionQuery::new());
    lan.run(1_000 * MS);
    assert!(lan.list(finder, 1).is_empty(), "not before the proof came");
    assert_eq!(lan.nodes[finder].claims.len(), 1);
    prove(&mut lan, finder, &lineage);
    lan.run(50 * MS);
    let list = lan.list(finder, 1);
    assert_eq!((list[0].key(), list[0].host_key()), (publication(1).key, heir.public().into()));
    assert!(list[0].is_confirmed() && list[0].joinable().is_ok());
    // A find by id, too.
    let other = lan.node(4);
    lan.find(other, 2, SessionQuery::new().id(publication(1).key.id).timeout(2_000 * MS));
    run(&mut lan, 500 * MS, &[other], &lineage);
    assert_eq!(lan.done(other, 2).unwrap()[0].host_key(), heir.public().into());
    // Forged, cut short, of another session or incarnation, with another digest: never.
    let what = publication(1);
    let stranger = key(66);
    let forged = takeover(what.key, what.incarnation, (&stranger, Reign::FOUNDER), (&heir, after(Reign::FOUNDER)));
    let few = Takeover { votes: lineage[0].votes[..2].to_vec(), ..lineage[0].clone() };
    let elsewhere = publication(2).key;
    let foreign =
        takeover(elsewhere, what.incarnation, (&what.identity, Reign::FOUNDER), (&heir, after(Reign::FOUNDER)));
    let earlier = takeover(what.key, 999, (&what.identity, Reign::FOUNDER), (&heir, after(Reign::FOUNDER)));
    for (n, bad) in [(5, forged), (6, few), (7, foreign), (8, earlier)] {
        let mut lan = Segment::new(341, 0.0);
        let (next, finder) = (lan.node(2), lan.node(n));
        crown(&mut lan, next, continued(&heir, vec![bad.clone()]));
        lan.browse(finder, 1, SessionQuery::new());
        run(&mut lan, 20_000 * MS, &[finder], &[bad]);
        assert!(lan.list(finder, 1).is_empty() && lan.events(finder, 1).is_empty());
        // The true lineage is not what this advert names.
        let mut lan = Segment::new(342, 0.0);
        let (next, finder) = (lan.node(2), lan.node(n));
        crown(&mut lan, next, continued(&heir, vec![lineage[0].clone(), lineage[0].clone()]));
        lan.browse(finder, 1, SessionQuery::new());
        run(&mut lan, 5_000 * MS, &[finder], &lineage);
        assert!(lan.list(finder, 1).is_empty());
    }
}

/// A host's advert, recorded or made up.
fn said(host: &Identity, lineage: &[Takeover], sequence: u32, echo: u64) -> Vec<u8> {
    let what = publication(1);
    let digest = lineage_digest(what.key, what.incarnation, lineage);
    let advert = Advert {
        host_key: host.public().into(),
        id: what.key.id,
        many: false,
        old: false,
        migratable: true,
        id_derived: true,
        account_shown: false,
        salt: what.salt,
        incarnation: what.incarnation,
        term: lineage.last().map_or(1, |step| step.reign.term),
        sequence,
        echo,
        ttl: 100,
        interval: 40,
        hosts_heard: 1,
        tcp_port: 6_000,
        udp_port: PORT,
        path: PathKind::Ipv4Multicast,
        facts: facts("claimed"),
        lineage: (!lineage.is_empty()).then_some(crate::wire::datagram::Lineage { founder: what.key.founder, digest }),
        incompatible: false,
    };
    advert.encode(hash::game_tag("game"), host)
}

/// Fails when a claimant that has echoed nothing is examined (`Stage::Heard`), or when its words keep the entry alive.
#[test]
fn hearsay_of_a_takeover_moves_ends_and_prolongs_nothing() {
    let mut lan = Segment::new(350, 0.0);
    let (old, finder) = (host(&mut lan), lan.node(3));
    lan.browse(finder, 1, SessionQuery::new());
    run(&mut lan, 4_000 * MS, &[finder], &[]);
    let heir = key(77);
    let lineage = chain(&heir);
    for sequence in 1..200 {
        lan.inject(finder, "10.0.0.50:40000", true, said(&heir, &lineage, sequence, 0));
        lan.inject(finder, "10.0.0.51:40000", false, said(&heir, &lineage, sequence, 99));
        assert_eq!(run(&mut lan, 100 * MS, &[finder], &lineage), 0, "no connection for hearsay");
    }
    assert_eq!(lan.list(finder, 1)[0].host_key(), publication(1).key.founder);
    assert_eq!(lost(&lan, finder), 0);
    // The dead one is not kept either.
    lan.kill(old);
    let mut sequence = 200;
    for _ in 0..150 {
        sequence += 1;
        lan.inject(finder, "10.0.0.50:40000", true, said(&heir, &lineage, sequence, 0));
        run(&mut lan, 100 * MS, &[finder], &lineage);
    }
    assert!(lan.list(finder, 1).is_empty(), "held for twelve seconds, no longer");
    assert_eq!((lost(&lan, finder), found(&lan, finder)), (1, 1));
}

/// Fails when any of the caps in `Claims::make_room` is taken out.
#[test]
fn a_thousand_claimants_cost_bounded_work_and_hide_nobody() {
    let mut lan = Segment::new(360, 0.0);
    let (old, next, finder) = (host(&mut lan), lan.node(2), lan.node(3));
    lan.browse(finder, 1, SessionQuery::new());
    run(&mut lan, 4_000 * MS, &[finder], &[]);
    lan.kill(old);
    let sent = lan.sent;
    let flood = |lan: &mut Segment, round: u32| {
        for n in 0..10_u32 {
            let mut seed = [3; 32];
            seed[..4].copy_from_slice(&(round * 10 + n).to_be_bytes());
            let stranger = Identity::from_seed(seed).unwrap();
            let from = format!("10.0.0.{}:40000", 100 + n);
            lan.inject(finder, &from, true, said(&stranger, &chain(&stranger), 1, 0));
        }
    };
    for round in 0..50 {
        flood(&mut lan, round);
        assert_eq!(run(&mut lan, 50 * MS, &[finder], &[]), 0);
        let open = lan.nodes[finder].discovery.directory.claimants();
        assert!(open <= limits::CLAIMS_PER_SESSION, "{open} claims of one session");
    }
    assert!(lan.sent - sent < 400, "{} datagrams for 500 strangers", lan.sent - sent);
    let heir = key(77);
    let lineage = chain(&heir);
    crown(&mut lan, next, continued(&heir, lineage.clone()));
    for round in 50..100 {
        flood(&mut lan, round);
        run(&mut lan, 50 * MS, &[finder], &lineage);
    }
    assert_eq!(lan.list(finder, 1)[0].host_key(), heir.public().into());
    assert_eq!((lost(&lan, finder), found(&lan, finder)), (0, 1));
}

/// Fails when a goodbye of a handover ends the entry, or when its `next` is not held to.
#[test]
fn a_handover_is_one_entry_that_changes_its_host() {
    let mut lan = Segment::new(370, 0.0);
    let (old, next, finder) = (host(&mut lan), lan.node(2), lan.node(3));
    for node in [old, next, finder] {
        lan.browse(node, 1, SessionQuery::new());
    }
    run(&mut lan, 4_000 * MS, &[old, next, finder], &[]);
    let heir = key(77);
    let lineage = chain(&heir);
    let (now, session) = (lan.now(), lan.key(old));
    lan.nodes[old].discovery.hand_over(now, session, Some(heir.public().into()));
    lan.drain(old);
    run(&mut lan, 200 * MS, &[finder, old], &lineage);
    assert!(lan.list(finder, 1)[0].is_migrating());
    crown(&mut lan, next, continued(&heir, lineage.clone()));
    let start = lan.now();
    run(&mut lan, 300 * MS, &[old, next, finder], &lineage);
    for node in [old, next, finder] {
        let list = lan.list(node, 1);
        assert_eq!(
            (list.len(), list[0].host_key()),
            (1, heir.public().into()),
            "node {node} {:?}",
            lan.now().since(start)
        );
        assert!(!list[0].is_migrating());
        assert_eq!((lost(&lan, node), found(&lan, node)), (0, 1), "node {node}");
    }
    // Nobody came: twelve seconds, then it is lost.
    let mut lan = Segment::new(371, 0.0);
    let (old, finder) = (host(&mut lan), lan.node(3));
    lan.browse(finder, 1, SessionQuery::new());
    run(&mut lan, 4_000 * MS, &[finder], &[]);
    let now = lan.now();
    lan.nodes[old].discovery.hand_over(now, session, None);
    lan.drain(old);
    run(&mut lan, 1_000 * MS, &[finder], &[]);
    // Recordings of the goodbye hold it no longer. Fails when its sequence is not compared.
    let goodbye = |bytes: &[u8]| Prefix::peek(bytes).unwrap().known_kind() == Some(Kind::Goodbye);
    let heard = lan.nodes[finder].heard.iter().find(|arrival| goodbye(&arrival.bytes)).unwrap();
    let recorded = heard.bytes.clone();
    for _ in 0..10 {
        lan.inject(finder, "10.0.0.50:40000", true, recorded.clone());
        run(&mut lan, 1_000 * MS, &[finder], &[]);
        assert!(lan.list(finder, 1)[0].is_migrating());
    }
    run(&mut lan, 2_000 * MS, &[finder], &[]);
    assert!(lan.list(finder, 1).is_empty());
}

/// Fails when the goodbye of a handover is believed from anybody but the host of the entry.
#[test]
fn a_strangers_handover_is_nothing() {
    let mut lan = Segment::new(372, 0.0);
    let (_, finder) = (host(&mut lan), lan.node(3));
    lan.browse(finder, 1, SessionQuery::new());
    run(&mut lan, 4_000 * MS, &[finder], &[]);
    let (what, stranger) = (publication(1), key(66));
    let goodbye = |host_key: HostKey, incarnation, identity: &Identity| {
        let reason = GoodbyeReason::Handover;
        let next = Some(stranger.public().into());
        let goodbye = Goodbye { host_key, id: what.key.id, incarnation, term: 1, sequence: 9_999, reason, next };
        goodbye.encode(hash::game_tag("game"), identity)
    };
    lan.inject(finder, "10.0.0.50:40000", true, goodbye(what.key.founder, 1_000, &stranger));
    lan.inject(finder, "10.0.0.50:40000", true, goodbye(stranger.public().into(), 1_000, &stranger));
    lan.inject(finder, "10.0.0.50:40000", true, goodbye(what.key.founder, 999, &what.identity));
    run(&mut lan, 100 * MS, &[finder], &[]);
    assert!(!lan.list(finder, 1)[0].is_migrating());
}

/// Fails when `supersedes` is not asked in `judge`, or when a former host's recordings are claims (`is_past`).
#[test]
fn of_two_proved_hosts_the_later_reign_stands_and_the_former_host_is_no_claimant() {
    let (heir, third) = (key(77), key(78));
    let mut lineage = chain(&heir);
    let second = after(Reign::FOUNDER);
    let what = publication(1);
    let longer = {
        let mut longer = lineage.clone();
        longer.push(takeover(what.key, what.incarnation, (&heir, second), (&third, after(second))));
        longer
    };
    let prove_each = |lan: &mut Segment, finder: usize| {
        for lineage in [&lineage, &longer] {
            let known = |claim: &Claimant| lineage.len() as u32 + 1 == claim.term;
            let (mine, others): (Vec<_>, Vec<_>) =
                std::mem::take(&mut lan.nodes[finder].claims).into_iter().partition(known);
            lan.nodes[finder].claims = mine;
            prove(lan, finder, lineage);
            lan.nodes[finder].claims.extend(others);
        }
    };
    for seed in 0..10 {
        let mut lan = Segment::new(380 + seed, 0.0);
        let (one, two, finder) = (lan.node(2), lan.node(4), lan.node(3));
        crown(&mut lan, one, continued(&heir, lineage.clone()));
        crown(&mut lan, two, continued(&third, longer.clone()));
        lan.browse(finder, 1, SessionQuery::new());
        for _ in 0..100 {
            lan.run(10 * MS);
            prove_each(&mut lan, finder);
        }
        let list = lan.list(finder, 1);
        assert_eq!((list.len(), list[0].host_key()), (1, third.public().into()), "seed {seed}");
        assert_eq!((lost(&lan, finder), found(&lan, finder)), (0, 1), "seed {seed}");
        // The founder's and the former host's words of that time, again and again.
        for sequence in 10..60 {
            lan.inject(finder, "10.0.0.50:40000", true, said(&what.identity, &[], sequence, 0));
            lan.inject(finder, "10.0.0.50:40000", true, said(&heir, &lineage, sequence, 0));
            lan.run(100 * MS);
            assert!(lan.nodes[finder].claims.is_empty());
        }
        assert_eq!(lan.list(finder, 1)[0].host_key(), third.public().into());
        assert_eq!(lost(&lan, finder), 0);
    }
    lineage.clear();
}

/// Fails when a claimant that did not echo at first is not asked again (`claim.next` in `handle_claim`).
#[test]
fn a_claimant_that_could_not_be_reached_is_asked_again() {
    let mut lan = Segment::new(440, 0.0);
    let (old, next, finder) = (host(&mut lan), lan.node(2), lan.node(3));
    lan.browse(finder, 1, SessionQuery::new());
    run(&mut lan, 4_000 * MS, &[finder], &[]);
    let heir = key(77);
    let lineage = chain(&heir);
    lan.kill(old);
    // It is heard, and what is sent to it comes nowhere.
    lan.inject(finder, "10.0.0.50:40000", true, said(&heir, &lineage, 1, 0));
    assert_eq!(run(&mut lan, 3_000 * MS, &[finder], &lineage), 0);
    crown(&mut lan, next, continued(&heir, lineage.clone()));
    run(&mut lan, 2_000 * MS, &[finder], &lineage);
    assert_eq!(lan.list(finder, 1)[0].host_key(), heir.public().into());
    assert_eq!((lost(&lan, finder), found(&lan, finder)), (0, 1));
}

/// Fails when a former host is no claimant whatever it says (the term in `is_past`, or in `examine`).
#[test]
fn a_former_host_that_its_members_affirmed_is_followed_again() {
    let mut lan = Segment::new(441, 0.0);
    let (old, next, finder) = (host(&mut lan), lan.node(2), lan.node(3));
    lan.browse(finder, 1, SessionQuery::new());
    run(&mut lan, 4_000 * MS, &[finder], &[]);
    let heir = key(77);
    let lineage = chain(&heir);
    lan.kill(old);
    crown(&mut lan, next, continued(&heir, lineage.clone()));
    run(&mut lan, 9_000 * MS, &[finder], &lineage);
    assert_eq!(lan.list(finder, 1)[0].host_key(), heir.public().into());
    // It was cut off with most of its members, who voted for it in a later term; the other one gives way.
    let what = publication(1);
    let third = after(after(Reign::FOUNDER));
    let affirmed =
        vec![takeover(what.key, what.incarnation, (&what.identity, Reign::FOUNDER), (&what.identity, third))];
    lan.nodes[old].alive = true;
    crown(&mut lan, old, continued(&what.identity, affirmed.clone()));
    let now = lan.now();
    lan.nodes[next].discovery.hand_over(now, what.key, Some(what.key.founder));
    lan.drain(next);
    run(&mut lan, 15_000 * MS, &[finder], &affirmed);
    let list = lan.list(finder, 1);
    assert_eq!((list.len(), list[0].host_key()), (1, what.key.founder));
    assert_eq!((lost(&lan, finder), found(&lan, finder)), (0, 1));
}

/// Fails when one's own session is kept without its forks (`Own::reign`), or when its end buries the founder that lives
/// (`lives` in `is_buried`).
#[test]
fn who_went_on_alone_finds_the_session_again_that_others_went_on_with() {
    let heir = key(77);
    let what = publication(1);
    let alone = Reign { forks: 1, branch: 7, term: 9_000 };
    let fork = vec![takeover(what.key, what.incarnation, (&what.identity, Reign::FOUNDER), (&heir, alone))];
    for ended in [true, false] {
        let mut lan = Segment::new(442, 0.0);
        let (old, survivor) = (host(&mut lan), lan.node(2));
        lan.browse(survivor, 1, SessionQuery::new());
        run(&mut lan, 4_000 * MS, &[], &[]);
        crown(&mut lan, survivor, continued(&heir, fork.clone()));
        run(&mut lan, 1_000 * MS, &[], &[]);
        assert_eq!(lan.list(survivor, 1)[0].host_key(), heir.public().into());
        if ended {
            lan.withdraw(survivor, GoodbyeReason::Ended);
            assert!(lan.list(survivor, 1).is_empty());
        } else {
            let now = lan.now();
            lan.nodes[survivor].discovery.hand_over(now, what.key, Some(what.key.founder));
            lan.drain(survivor);
        }
        lan.nodes[survivor].publication = None;
        run(&mut lan, 40_000 * MS, &[survivor], &[]);
        let list = lan.list(survivor, 1);
        assert_eq!((list.len(), list[0].host_key()), (1, what.key.founder));
        assert_eq!(lost(&lan, survivor), usize::from(ended));
        // Where the founder is gone, too, recordings of it bring nothing back.
        lan.kill(old);
        run(&mut lan, 30_000 * MS, &[survivor], &[]);
        assert!(lan.list(survivor, 1).is_empty());
        for sequence in 500..520 {
            lan.inject(survivor, "10.0.0.50:40000", true, said(&what.identity, &[], sequence, 0));
            lan.run(200 * MS);
            assert!(!ended || lan.list(survivor, 1).is_empty());
        }
    }
}

/// Fails when `given_up` does not hold what can outlive its host, or holds anything else.
#[test]
fn only_what_can_outlive_its_host_is_held_and_a_death_notice_shows_it_at_once() {
    let mut lan = Segment::new(390, 0.0);
    let (old, member, finder) = (host(&mut lan), lan.node(2), lan.node(3));
    let other = lan.host(5);
    lan.browse(finder, 1, SessionQuery::new());
    run(&mut lan, 4_000 * MS, &[finder], &[]);
    let (session, plain) = (lan.key(old), lan.key(other));
    lan.kill(old);
    lan.kill(other);
    let now = lan.now();
    lan.nodes[member].discovery.death_notice(now, session, obituary(session, 1_000), 0);
    lan.nodes[member].discovery.death_notice(now, plain, obituary(plain, 1_000), 1);
    lan.drain(member);
    run(&mut lan, 1_300 * MS, &[finder], &[]);
    let list = lan.list(finder, 1);
    assert_eq!(list.len(), 1, "the other one is gone");
    assert!(list[0].key() == session && list[0].is_migrating());
    run(&mut lan, 12_000 * MS, &[finder], &[]);
    assert!(lan.list(finder, 1).is_empty());
}

/// Fails when each member says it, or when a notice that was heard does not keep the others silent.
#[test]
fn two_survivors_say_that_the_host_died_and_a_lie_costs_few_packets() {
    for seed in 0..20 {
        let mut lan = Segment::new(400 + seed, 0.0);
        let (old, finder) = (host(&mut lan), lan.node(3));
        let members: Vec<usize> = (10..20).map(|n| lan.node(n)).collect();
        for &member in &members {
            // Without sockets it hears nobody.
            lan.browse(member, 1, SessionQuery::new());
        }
        run(&mut lan, 4_000 * MS, &[finder], &[]);
        let session = lan.key(old);
        let now = lan.now();
        for (rank, &member) in members.iter().enumerate() {
            lan.nodes[member].discovery.death_notice(now, session, obituary(session, 1_000), rank as u32);
            lan.drain(member);
        }
        lan.run(1_000 * MS);
        let notices = |node: &segment::Node| {
            let death = |bytes: &[u8]| Prefix::peek(bytes).unwrap().known_kind() == Some(Kind::Death);
            node.heard
                .iter()
                .filter(|arrival| death(&arrival.bytes))
                .map(|arrival| arrival.from)
                .collect::<BTreeSet<_>>()
        };
        assert!((1..=2).contains(&notices(&lan.nodes[finder]).len()), "seed {seed}");
    }
    // A lie: the host lives.
    let mut lan = Segment::new(430, 0.0);
    let (old, finder) = (host(&mut lan), lan.node(3));
    lan.browse(finder, 1, SessionQuery::new());
    run(&mut lan, 4_000 * MS, &[finder], &[]);
    let session = lan.key(old);
    let sent = lan.sent;
    for _ in 0..200 {
        let lie = obituary(session, 1_000).encode(hash::game_tag("game"));
        lan.inject(finder, "10.0.0.50:40000", true, lie);
        lan.run(50 * MS);
    }
    assert_eq!((lan.list(finder, 1).len(), lost(&lan, finder)), (1, 0));
    // Two checks of one probe and one answer each, beside what is said anyway.
    assert!(lan.sent - sent < 40, "{}", lan.sent - sent);
}
