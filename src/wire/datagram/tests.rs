use std::net::SocketAddr;

use super::*;
use crate::types::{
    AccountId, Attributes, Comparison, Field, HostKey, Identity, JoinPolicy, Node, OrderBy, PathKind, Phase,
    PublicFacts, RoomCode, SessionId,
};
use crate::wire::filter::MAX_FILTER;
use crate::wire::golden;
use crate::wire::sign::{Context, verify_datagram};
use crate::wire::{codec, fuzz, hash};

const GAME: GameTag = GameTag(*b"gametag!");

fn host() -> Identity {
    Identity::from_seed([1; 32]).unwrap()
}

fn host_key() -> HostKey {
    host().public().into()
}

fn founder() -> HostKey {
    Identity::from_seed([2; 32]).unwrap().public().into()
}

fn plain() -> Advert {
    Advert {
        host_key: host_key(),
        id: hash::derived_id(host_key(), 7),
        many: false,
        old: false,
        migratable: false,
        id_derived: true,
        account_shown: false,
        salt: 7,
        incarnation: 1_700_000_000_000,
        term: 1,
        sequence: 3,
        echo: 0,
        ttl: 140,
        interval: 40,
        hosts_heard: 1,
        tcp_port: 40_000,
        udp_port: 40_001,
        path: PathKind::Ipv4Multicast,
        facts: PublicFacts {
            matchmaking: false,
            mobile: false,
            anti_cheat: false,
            allow_sanctioned: true,
            name: "Ada's room".into(),
            version: 1,
            revision: 2,
            members: 1,
            max_members: 8,
            open_slots: 7,
            reserved_slots: 0,
            policy: JoinPolicy::Public,
            phase: Phase::Lobby,
            password: false,
            closed: false,
            locked: false,
            join_in_progress: true,
            dedicated: false,
            keywords: Vec::new(),
            attributes: Attributes::new(),
            ports: Vec::new(),
        },
        lineage: None,
        incompatible: false,
    }
}

fn rich() -> Advert {
    let mut attributes = Attributes::new();
    attributes.set("map", "dust").unwrap();
    attributes.set("skill", 1_200).unwrap();
    attributes.set("gravity", 9.81).unwrap();
    attributes.set("ranked", true).unwrap();
    attributes.set("seed", vec![0_u8, 255]).unwrap();
    attributes.set("mods", vec!["hats", "bots"]).unwrap();
    let mut advert = plain();
    advert.id = SessionId::from_name("arena-7");
    advert.lineage = Some(Lineage { founder: founder(), digest: [0xd1; 16] });
    (advert.many, advert.old, advert.migratable) = (true, true, true);
    (advert.id_derived, advert.account_shown) = (false, true);
    (advert.term, advert.echo, advert.path) = (2, 0x0102_0304_0506_0708, PathKind::Unicast);
    advert.facts = PublicFacts {
        name: "Zoë".into(),
        policy: JoinPolicy::InviteOnly,
        phase: Phase::InProgress,
        password: true,
        closed: true,
        locked: true,
        join_in_progress: false,
        dedicated: true,
        keywords: vec!["fun".into(), "no-bots".into()],
        attributes,
        ports: vec![("game".into(), 7_777), ("v".into(), 80)],
        ..advert.facts
    };
    advert
}

fn query() -> Query {
    Query {
        nonce: 0x1122_3344_5566_7788,
        many: false,
        renew: false,
        cookie: None,
        path: PathKind::LimitedBroadcast,
        target: Target::Any,
        take: 0,
        expect: 0,
        cap: 0,
        rank: None,
        filter: None,
        known: Known::None,
    }
}

fn full_query() -> Query {
    let map = Node::Test { field: Field::from("map"), test: Comparison::In(vec!["dust".into(), "nuke".into()]) };
    let open = Node::Test { field: Field::from("@open_slots"), test: Comparison::Gt(0.into()) };
    let not = Node::Not(Box::new(Node::Test { field: Field::from("x"), test: Comparison::Missing }));
    Query {
        many: true,
        renew: true,
        cookie: Some([0xc0; 16]),
        path: PathKind::Unicast,
        target: Target::Session(SessionId::from_name("arena-7")),
        take: 100,
        expect: 256,
        cap: 1_000,
        rank: Some(Rank { order: OrderBy::near("skill", 1_200.0), threshold: Some(-30.5) }),
        filter: Some(Node::And(vec![map, Node::Or(vec![open, not])])),
        known: Known::Tags(vec![[1; 6], [2; 6]]),
        ..query()
    }
}

fn alive() -> Alive {
    Alive {
        host_key: host_key(),
        id: plain().id,
        incarnation: 1_700_000_000_000,
        term: 1,
        sequence: 4,
        echo: 5,
        ttl: 140,
        digest: plain().facts_digest(),
    }
}

fn goodbye(reason: GoodbyeReason, next: Option<HostKey>) -> Goodbye {
    Goodbye { host_key: host_key(), id: plain().id, incarnation: 9, term: 1, sequence: 5, reason, next }
}

fn death() -> DeathNotice {
    DeathNotice { id: plain().id, host_tag: hash::host_tag(host_key()), incarnation: 9, term: 1, sequence: 5 }
}

fn hint() -> Hint {
    let from: SocketAddr = "192.168.0.9:50000".parse().unwrap();
    let cookie = hash::cookie(&[3; 32], from, 28_000_000);
    Hint { host_key: host_key(), id: plain().id, echo: 6, cookie, size: 700 }
}

fn probe() -> Probe {
    Probe { nonce: 6, id: plain().id, host_tag: hash::host_tag(host_key()), known_digest: plain().facts_digest() }
}

fn asker() -> Identity {
    Identity::from_seed([10; 32]).unwrap()
}

fn target() -> AccountId {
    Identity::from_seed([11; 32]).unwrap().account()
}

fn locate() -> Locate {
    Locate {
        asker: asker().account(),
        listener: host_key(),
        reply_to: "192.168.0.7:40004".parse().unwrap(),
        at: 1_700_000_000,
        purpose: LocatePurpose::Invite,
    }
}

/// Every golden datagram with its name.
fn all() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("advert-plain", plain().encode(GAME, &host())),
        ("advert-rich", rich().encode(GAME, &host())),
        ("query-plain", query().encode(GAME)),
        ("query-full", full_query().encode(GAME)),
        ("hint", hint().encode(GAME)),
        ("probe", probe().encode(GAME)),
        ("alive", alive().encode(GAME, &host())),
        ("goodbye-ended", goodbye(GoodbyeReason::Ended, None).encode(GAME, &host())),
        ("goodbye-handover", goodbye(GoodbyeReason::Handover, Some(founder())).encode(GAME, &host())),
        ("death", death().encode(GAME)),
        ("locate", locate().encode(GAME, &asker(), target(), [9; 16]).unwrap()),
    ]
}

#[test]
fn golden_bytes_both_ways() {
    for (name, bytes) in all() {
        golden::check(name, &bytes);
    }
    let of = golden::read;
    assert_eq!(Advert::decode(&of("advert-plain")), Ok(plain()));
    assert_eq!(Advert::decode(&of("advert-rich")), Ok(rich()));
    assert_eq!(Query::decode(&of("query-plain")), Ok(query()));
    assert_eq!(Query::decode(&of("query-full")), Ok(full_query()));
    assert_eq!(Hint::decode(&of("hint")), Ok(hint()));
    assert_eq!(Probe::decode(&of("probe")), Ok(probe()));
    assert_eq!(Alive::decode(&of("alive")), Ok(alive()));
    assert_eq!(Goodbye::decode(&of("goodbye-ended")), Ok(goodbye(GoodbyeReason::Ended, None)));
    let handover = goodbye(GoodbyeReason::Handover, Some(founder()));
    assert_eq!(Goodbye::decode(&of("goodbye-handover")), Ok(handover));
    assert_eq!(DeathNotice::decode(&of("death")), Ok(death()));
    let opened = SealedLocate::decode(&of("locate")).unwrap().open(target()).unwrap();
    assert_eq!((&opened.locate, opened.verify()), (&locate(), true));
}

#[test]
fn sizes_are_as_the_page_says_and_no_answer_is_larger_than_its_request() {
    let size = |name: &str| all().into_iter().find(|(n, _)| *n == name).unwrap().1.len();
    assert_eq!(size("advert-plain"), 199 + "Ada's room".len());
    assert_eq!((size("query-plain"), size("query-full")), (512, 512));
    assert_eq!((size("probe"), size("alive"), size("hint")), (176, 162, 90));
    assert_eq!((size("goodbye-ended"), size("death"), size("locate")), (177, 56, LOCATE_SIZE));
    assert_eq!(LOCATE_SIZE, 203);
    const { assert!(162 <= PROBE_SIZE && 90 <= QUERY_SIZE) };
}

#[test]
fn no_damaged_datagram_panics_and_what_is_read_is_written_the_same() {
    for (_, bytes) in all() {
        golden::sweep(&bytes, fuzz::datagram);
    }
}

#[test]
fn signatures_count_for_their_kind_and_a_flipped_bit_breaks_them() {
    for (name, context) in
        [("advert-rich", Context::Advert), ("alive", Context::Alive), ("goodbye-ended", Context::Goodbye)]
    {
        let mut bytes = golden::read(name);
        assert!(verify_datagram(context, host().public(), &bytes));
        for other in Context::ALL.into_iter().filter(|other| *other != context) {
            assert!(!verify_datagram(other, host().public(), &bytes));
        }
        bytes[70] ^= 1;
        assert!(!verify_datagram(context, host().public(), &bytes));
    }
}

#[test]
fn the_facts_digest_is_the_same_on_both_sides_whatever_the_moment() {
    let mut advert = rich();
    let first = advert.facts_digest();
    assert_eq!(facts_digest_of(&advert.encode(GAME, &host())), Ok(first));
    (advert.sequence, advert.echo, advert.ttl, advert.many, advert.hosts_heard) = (99, 98, 97, false, 96);
    assert_eq!(facts_digest_of(&advert.encode(GAME, &host())), Ok(first));
    advert.facts.members += 1;
    assert_ne!(advert.facts_digest(), first);
}

#[test]
fn an_id_that_claims_to_derive_must() {
    let mut advert = plain();
    advert.salt += 1;
    assert_eq!(Advert::decode(&advert.encode(GAME, &host())), Err(WireError::Value));
    advert.id_derived = false;
    assert!(Advert::decode(&advert.encode(GAME, &host())).is_ok());
    let mut later = plain();
    (later.id, later.term) = (hash::derived_id(founder(), 7), 2);
    later.lineage = Some(Lineage { founder: founder(), digest: [0; 16] });
    assert_eq!(Advert::decode(&later.encode(GAME, &host())), Ok(later.clone()));
    assert_eq!(later.founder(), founder());
}

#[test]
fn unknown_values_are_read_as_the_most_restrictive_and_unknown_extensions_by_their_bit() {
    let name = 64 + 1 + plain().facts.name.len();
    let mut bytes = plain().encode(GAME, &host());
    bytes[name + 20] = 77;
    bytes[name + 21] = 77;
    bytes[name + 22] = 77;
    let facts = Advert::decode(&bytes).unwrap().facts;
    assert_eq!((facts.policy, facts.phase, facts.password), (JoinPolicy::InviteOnly, Phase::Ended, true));

    let with = |extension: &[u8]| {
        let mut bytes = plain().statement(GAME);
        bytes.extend_from_slice(extension);
        bytes.extend_from_slice(&[0; 64]);
        Advert::decode(&bytes)
    };
    assert_eq!(with(&[0, 9, 0, 1, 5]), Ok(plain()));
    assert!(with(&[0x80, 9, 0, 1, 5]).unwrap().incompatible);
    assert_eq!(with(&[0, 9, 0, 1, 5, 0, 8, 0, 0]), Err(WireError::Value));

    let mut query = query().encode(GAME);
    query[67..71].copy_from_slice(&[0x80, 7, 0, 0]);
    assert_eq!(Query::decode(&query), Err(WireError::Critical(0x8007)));
}

#[test]
fn another_major_is_read_as_far_as_it_is_frozen() {
    let mut bytes = rich().encode(GAME, &host());
    bytes[4] = 99;
    assert_eq!(Advert::decode(&bytes), Err(WireError::Major(99)));
    assert_eq!(Prefix::peek(&bytes).unwrap().major, 99);
    let foreign = ForeignAdvert::decode(&bytes).unwrap();
    assert_eq!((foreign.major, foreign.host_key, foreign.name.as_str()), (99, host_key(), "Zoë"));
    bytes.truncate(64 + 1 + 4 + 64);
    assert_eq!(ForeignAdvert::decode(&bytes).unwrap(), foreign);
    bytes.pop();
    assert_eq!(ForeignAdvert::decode(&bytes), Err(WireError::Short));
    assert_eq!(ForeignAdvert::decode(&plain().encode(GAME, &host())), Err(WireError::Value));
}

#[test]
fn weak_keys_bad_names_and_foreign_bytes_are_refused() {
    let advert = plain().encode(GAME, &host());
    let with = |at: usize, bytes: &[u8]| {
        let mut advert = advert.clone();
        advert[at..at + bytes.len()].copy_from_slice(bytes);
        Advert::decode(&advert)
    };
    assert_eq!(with(16, &[0; 32]), Err(WireError::Value));
    assert_eq!(with(65, b"\x1b"), Err(WireError::Value));
    assert_eq!(with(65, b"\xff"), Err(WireError::Value));
    assert_eq!(with(64, b"\x00"), Err(WireError::Value));
    assert_eq!(with(64, b"\xff"), Err(WireError::Bound));
    assert_eq!(with(0, b"x"), Err(WireError::Magic));
    assert_eq!(with(5, &[1]), Err(WireError::Value));
    assert_eq!(Advert::decode(&[&advert[..], &[0; 1_100]].concat()), Err(WireError::Bound));
}

#[test]
fn every_query_fits_and_known_answers_yield() {
    let mut query = full_query();
    query.filter = Some(Node::Test { field: Field::from("nn"), test: Comparison::Prefix("x".repeat(MAX_FILTER - 6)) });
    assert_eq!(codec::encode(query.filter.as_ref().unwrap()).len(), MAX_FILTER);
    query.rank = Some(Rank { order: OrderBy::near("n".repeat(32).as_str(), 1.0), threshold: Some(1.0) });
    query.known = Known::Tags(vec![[9; 6]; 40]);
    assert_eq!(Query::decode(&query.encode(GAME)), Ok(query.clone()));
    query.known = Known::Bloom { bits: vec![1; query.room_for_known()], hashes: 4 };
    assert!(query.room_for_known() > 700);
    assert_eq!(query.encode(GAME).len(), MAX_DATAGRAM);
    assert_eq!(Query::decode(&query.encode(GAME)), Ok(query.clone()));
    query.known = Known::Bloom { bits: vec![1; query.room_for_known() + 1], hashes: 4 };
    assert_eq!(Query::decode(&query.encode(GAME)).unwrap().known, Known::None);
    let mut bare = tests::query();
    assert_eq!(bare.room_for_known(), query::MAX_BLOOM);
    bare.known = Known::Bloom { bits: vec![1; query::MAX_BLOOM], hashes: 16 };
    assert_eq!(Query::decode(&bare.encode(GAME)), Ok(bare.clone()));
    bare.known = Known::Bloom { bits: vec![1; 9], hashes: 0 };
    assert_eq!(Query::decode(&bare.encode(GAME)), Err(WireError::Bound));
    bare.known = Known::None;
    bare.target = Target::Code(RoomCode::from_bits(0x3fff_ffff).unwrap());
    assert_eq!(Query::decode(&bare.encode(GAME)), Ok(bare.clone()));
}

#[test]
fn an_advert_within_its_budget_is_never_larger_than_a_datagram() {
    let mut advert = rich();
    advert.facts.name = "n".repeat(64);
    advert.facts.ports = (0..8).map(|at| (format!("port-no{at}"), u16::MAX)).collect();
    advert.facts.attributes = Attributes::new();
    let mut filler = 0;
    while budget_check(&advert.facts).is_ok() {
        filler += 1;
        advert.facts.attributes.set("filler", "x".repeat(filler)).unwrap();
    }
    advert.facts.attributes.set("filler", "x".repeat(filler - 1)).unwrap();
    assert_eq!(budget_check(&advert.facts), Ok(()));
    let bytes = advert.encode(GAME, &host());
    // What is kept free for a migratable session's order.
    assert_eq!(bytes.len() + 24, MAX_DATAGRAM);
    assert_eq!(Advert::decode(&bytes), Ok(advert));
}

#[test]
fn kinds_are_requests_or_not_and_have_one_number_each() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_number(kind.number()), Some(kind));
        assert_eq!(kind.number() < 128, matches!(kind, Kind::Query | Kind::Probe | Kind::Locate));
    }
    assert_eq!(Kind::from_number(4), None);
}
