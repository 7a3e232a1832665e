//! Two hosts of one session, and whoever is sent from one to the other.

use rand::Rng;

use super::*;
use crate::types::{HostKey, Migration};
use crate::wire::frame::made::{after, key, takeover};
use crate::wire::frame::{Reign, Way};

use super::super::host::{Ours, Verdict, rival};
use crate::wire::frame::{Frame, frames, kind};

/// Somebody's own connection to a session's port, under this key, and what is said on it.
fn knock(net: &mut Net, from: usize, to: SocketAddr, identity: &Identity, said: &Frame) {
    let link = LinkId((1 << 40) + 2 * u64::from(net.rng.next_u32()));
    net.dial(from, link, to, None, identity.public());
    net.run(5 * MS);
    for bytes in frames(said) {
        net.send((from, link), bytes);
    }
    net.run(5 * MS);
}

/// How the session of this host goes on with another one, and in which reign; nobody need listen there.
fn way(net: &Net, node: usize, session: SessionKey, heir: u8) -> Way {
    let host = net.nodes[node].sessions.hosts.get(&session).unwrap();
    let step =
        takeover(session, host.incarnation(), (host.identity(), Reign::FOUNDER), (&key(heir), after(Reign::FOUNDER)));
    Way {
        session,
        incarnation: host.incarnation(),
        host_key: key(heir).public().into(),
        addresses: vec!["10.0.0.99:9".parse().unwrap()],
        lineage: vec![step],
    }
}

fn migrating_room(net: &mut Net, node: usize) -> (SeatId, SessionKey) {
    net.host(node, HostRequest::new(room(8)).migration(Migration::Quorum))
}

/// Makes a second host of the session on another machine: what a takeover leaves behind.
fn crown(net: &mut Net, old: usize, session: SessionKey, new: usize, heir: u8) -> Way {
    let mut proof = way(net, old, session, heir);
    // By an order that is later than any that its members have acked.
    let order = crate::wire::frame::Order { cfg: 99, ..proof.lineage[0].order.clone() };
    proof.lineage[0].order = order.sign(net.nodes[old].sessions.hosts[&session].identity());
    let (_, own) = migrating_room(net, new);
    let mut host = net.nodes[new].sessions.hosts.remove(&own).unwrap();
    host.crown(session, proof.incarnation, key(heir), after(Reign::FOUNDER), proof.lineage.clone());
    let address = net.address(own);
    net.listeners.insert(address, (new, session, key(heir).public()));
    net.nodes[new].adverts.remove(&own);
    net.nodes[new].sessions.hosts.insert(session, host);
    Way { addresses: vec![address], ..proof }
}

/// Fails when any line of `rival` is taken out.
#[test]
fn a_rival_is_judged_by_its_proof_alone() {
    let mut net = Net::new(1);
    let node = net.node();
    let (_, session) = migrating_room(&mut net, node);
    let good = way(&net, node, session, 77);
    let judge = |way: &Way| net.nodes[node].sessions.hosts[&session].judge_rival(way);
    assert_eq!(judge(&good), Verdict::GivesWay);
    let other = SessionKey { founder: key(5).public().into(), ..session };
    let few = {
        let mut few = good.clone();
        few.lineage[0].votes.pop();
        few
    };
    for bad in [
        Way { session: other, ..good.clone() },
        Way { incarnation: good.incarnation + 1, ..good.clone() },
        Way { host_key: key(66).public().into(), ..good.clone() },
        Way { lineage: Vec::new(), ..good.clone() },
        Way { host_key: session.founder, lineage: Vec::new(), ..good.clone() },
        few,
    ] {
        assert_eq!(judge(&bad), Verdict::Nonsense);
    }
    // One that went on without a majority gives way to us.
    let host = &net.nodes[node].sessions.hosts[&session];
    // Whoever was left out of our orders since they were made cannot vote us out.
    let ours = |acked| Ours {
        session,
        incarnation: good.incarnation,
        host_key: session.founder,
        reign: Reign::FOUNDER,
        acked,
    };
    assert_eq!((rival(&ours(1), &good), rival(&ours(2), &good)), (Verdict::GivesWay, Verdict::Stands));
    let fork = Reign { forks: 1, branch: 9, term: 70 };
    let step = takeover(session, good.incarnation, (host.identity(), Reign::FOUNDER), (&key(77), fork));
    assert_eq!(judge(&Way { lineage: vec![step], ..good }), Verdict::Stands);
}

/// Fails when the one that took over does not tell, or when the one that was told does not look for itself first.
#[test]
fn a_host_that_was_replaced_gives_way_and_its_members_go_on() {
    let mut net = Net::new(2);
    let (old, member, new) = (net.node(), net.node(), net.node());
    let (seat, session) = migrating_room(&mut net, old);
    let joined = net.join(member, session);
    let was: HostKey = session.founder;
    let former = net.address(session);
    let way = crown(&mut net, old, session, new, 77);
    {
        let now = net.now;
        let Sessions { hosts, core, .. } = &mut net.nodes[new].sessions;
        core.now = now;
        hosts.get_mut(&session).unwrap().tell_rival(core, was, vec![former]);
    }
    net.run(SECOND);
    let superseded = |net: &Net| {
        net.nodes[old].events.iter().find_map(|event| match event {
            SessionsEvent::Superseded { way, reached } => Some(((**way).clone(), *reached)),
            _ => None,
        })
    };
    let (theirs, reached) = superseded(&net).expect("it was told");
    assert!(!reached && theirs.host_key == way.host_key, "and looks for itself before it believes");
    assert_eq!(theirs.addresses[0], way.addresses[0], "where the word came from");
    assert!(net.nodes[old].sessions.hosts(session), "hearsay deposes nobody");
    // The engine has dialled it.
    let now = net.now;
    net.nodes[old].sessions.rival_reached(now, &theirs);
    net.settle();
    assert!(!net.nodes[old].sessions.hosts(session));
    // It has gone there first, and is a member now.
    assert_eq!(net.nodes[old].seats[&seat].left, None);
    assert!(net.nodes[old].sessions.members[&seat].is_linked());
    assert_eq!(net.view(old, seat).host_key, way.host_key);
    assert!(names(&net.seat(old, seat).events).contains(&"host changed"));
    assert!(
        net.nodes[old]
            .events
            .iter()
            .any(|event| matches!(event, SessionsEvent::HandedOver { next, .. } if *next == Some(way.host_key)))
    );
    // The member has verified the proof and dials the next host, under its key.
    assert!(net.nodes[member].seats[&joined].events.iter().any(|event| matches!(event, SessionEvent::Reconnecting)));
    net.run(SECOND);
    let spec = net.nodes[member].sessions.members[&joined].host_key();
    assert_eq!(spec, Some(way.host_key));
}

/// Fails when the one that stands does not answer with its own claim.
#[test]
fn whoever_stands_says_so_to_whoever_claims() {
    let mut net = Net::new(3);
    let (old, new) = (net.node(), net.node());
    let (_, session) = migrating_room(&mut net, old);
    let way = crown(&mut net, old, session, new, 77);
    let at = way.addresses[0];
    let now = net.now;
    {
        // The former host does not know; it takes the new one for a rival and tells it.
        let Sessions { hosts, core, .. } = &mut net.nodes[old].sessions;
        core.now = now;
        hosts.get_mut(&session).unwrap().tell_rival(core, way.host_key, vec![at]);
    }
    net.run(SECOND);
    let heard = net.nodes[old].events.iter().any(
        |event| matches!(event, SessionsEvent::Superseded { way: theirs, reached: true } if theirs.host_key == way.host_key),
    );
    assert!(heard, "its own dial settled it");
}

/// Fails when a claim under another key than the proof's is judged, or when claims are judged without a bound.
#[test]
fn claims_of_strangers_cost_little_and_change_nothing() {
    let mut net = Net::new(4);
    let (node, stranger) = (net.node(), net.node());
    let (seat, session) = migrating_room(&mut net, node);
    let stolen = way(&net, node, session, 77);
    let at = net.address(session);
    for n in 0..40_u8 {
        // The proof is true, who brings it is not whom it names.
        knock(&mut net, stranger, at, &key(n + 1), &Frame::Claim(Box::new(stolen.clone())));
    }
    assert!(net.nodes[node].events.iter().all(|event| !matches!(event, SessionsEvent::Superseded { .. })));
    assert_eq!(net.nodes[node].seats[&seat].left, None);
    let mut judged = 0;
    for _ in 0..40 {
        knock(&mut net, stranger, at, &key(77), &Frame::Claim(Box::new(stolen.clone())));
        judged = net.nodes[node].events.iter().filter(|e| matches!(e, SessionsEvent::Superseded { .. })).count();
    }
    assert!((1..=10).contains(&judged), "{judged}");
    assert!(net.nodes[node].sessions.hosts(session), "and none of them deposed it");
}

/// Fails when a hidden session answers, or when the answer is not the session's own lineage.
#[test]
fn a_lineage_is_shown_to_whoever_asks_for_a_listed_session() {
    let mut net = Net::new(5);
    let (old, new, stranger) = (net.node(), net.node(), net.node());
    let (_, session) = migrating_room(&mut net, old);
    let way = crown(&mut net, old, session, new, 77);
    let lineages = |net: &Net| net.frames.get(&kind::LINEAGE).copied().unwrap_or_default();
    knock(&mut net, stranger, way.addresses[0], &key(9), &Frame::LineageAsk { session });
    assert_eq!(lineages(&net), 1);
    let other = SessionKey { founder: key(5).public().into(), ..session };
    knock(&mut net, stranger, way.addresses[0], &key(9), &Frame::LineageAsk { session: other });
    let (_, hidden) = net.host(stranger, HostRequest::new(room(2).listed(false)));
    let at = net.address(hidden);
    knock(&mut net, old, at, &key(9), &Frame::LineageAsk { session: hidden });
    assert_eq!(lineages(&net), 1);
}

/// A host that answers each Join with NotHost, as one does that stepped down.
fn sent_on(net: &mut Net, to: &Way, joiner: usize, session: SessionKey) -> RequestId {
    let request = net.ask_join(joiner, session);
    // Its link stands, and its Join is on the way.
    net.run(4 * MS);
    let ends: Vec<End> = net.peers.keys().filter(|(at, _)| *at == joiner).copied().collect();
    let now = net.now;
    for (_, link) in ends {
        for bytes in frames(&Frame::NotHost(Box::new(to.clone()))) {
            let event = LinkEvent::Frame { link, kind: bytes[2], more: bytes[3] != 0, payload: bytes[4..].to_vec() };
            net.nodes[joiner].sessions.handle_link(now, event);
        }
    }
    net.settle();
    request
}

/// Fails when `not_host` goes without verifying, or when it does not go.
#[test]
fn a_joiner_follows_a_proof_and_no_bare_word() {
    let mut net = Net::new(6);
    let (old, new, joiner, other) = (net.node(), net.node(), net.node(), net.node());
    let (_, session) = migrating_room(&mut net, old);
    let way = crown(&mut net, old, session, new, 77);
    let request = sent_on(&mut net, &way, joiner, session);
    let seat = net.seat_of(joiner, request);
    assert_eq!(net.nodes[joiner].seats[&seat].snapshot.host_key, way.host_key);
    let mut forged = way.clone();
    forged.lineage[0].votes.pop();
    let request = sent_on(&mut net, &forged, other, session);
    assert!(matches!(net.answer(other, request).unwrap_err().refusal(), Some(Refusal::HostUnreachable { .. })));
}

/// Fails when a join of a session that can outlive its host gives up with the host.
#[test]
fn a_join_waits_for_the_next_host() {
    let mut net = Net::new(7);
    let (old, new, joiner) = (net.node(), net.node(), net.node());
    let (_, session) = migrating_room(&mut net, old);
    let way = crown(&mut net, old, session, new, 77);
    let dead = Resolved { migratable: true, candidates: vec!["10.0.0.1:9".parse().unwrap()], ..net.resolved(session) };
    let (request, account) = (net.request(joiner), net.account(joiner));
    let now = net.now;
    let command = Net::join_command(None);
    net.nodes[joiner].sessions.join(now, request, account, command, dead);
    net.run(SECOND);
    assert!(!net.nodes[joiner].done.contains_key(&request) && net.nodes[joiner].sessions.is_seeking(session));
    let now = net.now;
    net.nodes[joiner].sessions.handle_host_moved(now, session, way.host_key, &way.addresses);
    net.settle();
    let seat = net.seat_of(joiner, request);
    assert_eq!(net.nodes[joiner].seats[&seat].snapshot.host_key, way.host_key);
}

/// Fails when a known host that is named again is dialled again at once: found by the simulator where each dial fails at once.
#[test]
fn a_join_that_hears_of_the_host_that_it_tries_keeps_its_pace() {
    let mut net = Net::new(9);
    let (old, joiner) = (net.node(), net.node());
    let (_, session) = migrating_room(&mut net, old);
    let dead: SocketAddr = "10.0.0.1:9".parse().unwrap();
    let resolved = Resolved { migratable: true, candidates: vec![dead], ..net.resolved(session) };
    let (request, account) = (net.request(joiner), net.account(joiner));
    let now = net.now;
    net.nodes[joiner].sessions.join(now, request, account, Net::join_command(None), resolved);
    for _ in 0..100 {
        net.run(10 * MS);
        let now = net.now;
        net.nodes[joiner].sessions.handle_host_moved(now, session, session.founder, &[dead]);
    }
    let dials = net.nodes[joiner].sessions.dialled();
    assert!((2..=6).contains(&dials), "{dials} in a second");
    let now = net.now;
    let there = net.address(session);
    net.nodes[joiner].sessions.handle_host_moved(now, session, session.founder, &[there]);
    net.run(SECOND);
    net.seat_of(joiner, request);
}

#[test]
fn a_host_that_took_over_tells_the_former_one_for_so_long_and_no_longer() {
    let mut net = Net::new(8);
    let (old, new) = (net.node(), net.node());
    let (_, session) = migrating_room(&mut net, old);
    let former = net.address(session);
    let way = crown(&mut net, old, session, new, 77);
    net.nodes[old].alive = false;
    net.dark.insert(old);
    {
        let now = net.now;
        let Sessions { hosts, core, .. } = &mut net.nodes[new].sessions;
        core.now = now;
        hosts.get_mut(&session).unwrap().tell_rival(core, session.founder, vec![former]);
    }
    let mut dials = 0;
    for _ in 0..900 {
        net.run(SECOND);
        dials = dials.max(net.nodes[new].sessions.dialled());
    }
    let (often, later) = limits::SUPERSEDED_NOTICES;
    assert_eq!(dials, u64::from(often + later));
    let _ = way;
}
