use super::*;
use crate::proto::io::Closed;
use crate::types::SessionId;
use crate::wire::frame::made::{after, key, takeover};
use crate::wire::frame::{Assembler, Order, frames};

fn session() -> SessionKey {
    SessionKey { id: SessionId::from_name("room"), founder: key(1).public().into() }
}

fn chain() -> Vec<Takeover> {
    vec![takeover(session(), 7, (&key(1), Reign::FOUNDER), (&key(2), after(Reign::FOUNDER)))]
}

fn wanted(lineage: &[Takeover]) -> Wanted {
    Wanted {
        session: session(),
        incarnation: 7,
        host_key: key(2).public().into(),
        term: 2,
        digest: lineage_digest(session(), 7, lineage),
        at: vec!["10.0.0.2:5000".parse().unwrap()],
        anew: false,
    }
}

fn room() -> Lineages {
    Lineages::new(Arc::default(), [9; 32])
}

fn at(ms: u64) -> Moment {
    Moment::from_micros(1_000_000 + ms * 1_000)
}

fn dials(room: &mut Lineages) -> Vec<LinkId> {
    let actions = std::iter::from_fn(|| room.poll_action());
    actions.filter_map(|action| if let Action::Dial { link, .. } = action { Some(link) } else { None }).collect()
}

/// The host answers with this lineage.
fn answer(room: &mut Lineages, link: LinkId, lineage: Vec<Takeover>) -> Option<Outcome> {
    let (local, remote) = ("10.0.0.1:1".parse().unwrap(), "10.0.0.2:5000".parse().unwrap());
    let (peer, binding) = (key(2).public(), [0; 32]);
    room.handle_link(at(1), LinkEvent::Open { link, peer, binding, local, remote, fallback: false });
    let sent = std::iter::from_fn(|| room.poll_action()).find_map(|action| match action {
        Action::Send { bytes, .. } => Some(bytes),
        _ => None,
    });
    let sent = sent.expect("it asks");
    let asked = Assembler::default().push(sent[2], false, sent[4..].to_vec(), 1_000).unwrap().unwrap();
    assert_eq!(Frame::decode(asked.0, &asked.1).unwrap(), Some(Frame::LineageAsk { session: session() }));
    for frame in frames(&Frame::Lineage { lineage }) {
        let (kind, more, payload) = (frame[2], frame[3] & 1 != 0, frame[4..].to_vec());
        room.handle_link(at(2), LinkEvent::Frame { link, kind, more, payload });
    }
    room.poll_event().map(|(_, outcome)| outcome)
}

/// Fails when the digest, the chain, the key it ends in or the term is not compared.
#[test]
fn what_was_promised_is_proved_and_nothing_else() {
    let lineage = chain();
    let fetch = |wanted: Wanted, lineage: Vec<Takeover>| {
        let mut room = room();
        room.fetch(at(0), wanted);
        let link = dials(&mut room)[0];
        answer(&mut room, link, lineage)
    };
    let proved = fetch(wanted(&lineage), lineage.clone());
    assert!(matches!(proved, Some(Outcome::Proved { reign, .. }) if reign == after(Reign::FOUNDER)));
    let third = takeover(session(), 7, (&key(2), after(Reign::FOUNDER)), (&key(3), after(after(Reign::FOUNDER))));
    let longer = vec![lineage[0].clone(), third];
    let few = vec![Takeover { votes: lineage[0].votes[..2].to_vec(), ..lineage[0].clone() }];
    // As true as the one that was promised, and another.
    let order = Order { cfg: 2, ..lineage[0].order.clone() }.sign(&key(1));
    let other = vec![Takeover { order, ..lineage[0].clone() }];
    assert!(matches!(fetch(wanted(&other), other.clone()), Some(Outcome::Proved { .. })));
    for (wanted, lineage) in [
        (wanted(&lineage), other),
        (wanted(&lineage), longer.clone()),
        (wanted(&longer), longer),
        (wanted(&few), few),
        (wanted(&[]), Vec::new()),
        (Wanted { term: 3, ..wanted(&lineage) }, lineage.clone()),
        (Wanted { incarnation: 8, ..wanted(&lineage) }, lineage.clone()),
    ] {
        assert_eq!(fetch(wanted, lineage), Some(Outcome::Forged));
    }
}

#[test]
fn a_proof_is_kept_and_asked_for_anew_only_where_that_is_wanted() {
    let (mut room, lineage) = (room(), chain());
    room.fetch(at(0), wanted(&lineage));
    let link = dials(&mut room)[0];
    assert!(matches!(answer(&mut room, link, lineage.clone()), Some(Outcome::Proved { .. })));
    room.fetch(at(10), wanted(&lineage));
    assert!(dials(&mut room).is_empty());
    assert!(matches!(room.poll_event(), Some((_, Outcome::Proved { .. }))));
    room.fetch(at(10), Wanted { anew: true, ..wanted(&lineage) });
    assert_eq!(dials(&mut room).len(), 1);
    assert!(room.poll_event().is_none());
}

/// Fails when any of the three bounds is taken out: one of a session at once, eight in all, the burst.
#[test]
fn many_claimants_are_asked_a_few_at_a_time() {
    let of = |id: u32, host: u8| Wanted {
        session: SessionKey { id: SessionId::from_name(&id.to_string()), ..session() },
        host_key: key(host).public().into(),
        ..wanted(&chain())
    };
    let mut room = room();
    for host in 2..12 {
        room.fetch(at(0), of(1, host));
        room.fetch(at(0), of(1, host));
    }
    let first = dials(&mut room);
    assert_eq!(first.len(), 1, "of one session one at each address");
    room.handle_link(at(1), LinkEvent::Closed { link: first[0], why: Closed::Refused });
    assert_eq!(room.poll_event().unwrap().1, Outcome::Unreachable);
    assert_eq!(dials(&mut room).len(), 1, "the next one");
    // Who is elsewhere need not wait for them.
    for n in 1..6_u8 {
        let elsewhere = vec![format!("10.0.1.{n}:1").parse().unwrap()];
        room.fetch(at(1), Wanted { at: elsewhere, ..of(1, 100 + n) });
    }
    assert_eq!(dials(&mut room).len(), limits::LINEAGES_PER_SESSION - 1);
    for id in 2..200 {
        room.fetch(at(1), of(id, 2));
    }
    assert_eq!(dials(&mut room).len(), limits::LINEAGE_FETCHES - limits::LINEAGES_PER_SESSION);
    assert!(room.waiting.len() <= limits::LINEAGES_WAITING);
    let mut dialled = 12;
    for second in 1..60 {
        room.handle_timeout(at(second * 2_001));
        dialled += dials(&mut room).len();
        assert!(room.open.len() <= limits::LINEAGE_FETCHES);
    }
    assert!(dialled <= 12 + limits::LINEAGES_WAITING, "{dialled}");
    assert!(room.open.is_empty() && room.links.is_empty() && room.poll_timeout().is_none());
}

#[test]
fn the_longest_proof_fits_its_message() {
    use crate::wire::frame::{MAX_LINEAGE, MAX_VOTERS};
    let one = takeover(session(), 7, (&key(1), Reign::FOUNDER), (&key(2), after(Reign::FOUNDER)));
    let mut full = one.clone();
    full.order.voters = vec![one.order.voters[1]; MAX_VOTERS];
    full.votes = vec![(u16::MAX, [0xff; 64]); MAX_VOTERS];
    full.order.reign = Reign { forks: u16::MAX, branch: u64::MAX, term: u32::MAX };
    full.reign = full.order.reign;
    let frame = Frame::Lineage { lineage: vec![full; MAX_LINEAGE] };
    let bytes: usize = frames(&frame).iter().map(|frame| frame.len() - 4).sum();
    assert!(bytes + 200 <= MAX_PROOF, "{bytes}");
}
