//! What spans the folders: derived values, TXT, links, filters, the tables of `protocol.md`, random round trips.

use std::time::Duration;

use proptest::prelude::*;

use super::datagram::{Advert, GameTag, Known, Query, Rank, Target};
use super::frame::{Change, Delta, Frame, MAX_MESSAGE, Request};
use super::txt::{self, MAX_TXT, Txt};
use super::{WireError, codec, filter, fuzz, golden, hash};
use crate::types::{
    AccountId, Attribute, Attributes, Comparison, Direction, ErrorKind, External, Field, HostKey, Identity, JoinLink,
    JoinPolicy, Left, LinkState, Member, MemberStatus, MemberUpdate, Node, OrderBy, PathKind, Phase, PublicFacts,
    Reason, Refusal, Revision, RoomCode, SessionId, SessionKey, Value, Visibility, WIRE_MAJOR,
};

fn host_key() -> HostKey {
    Identity::from_seed([1; 32]).unwrap().public().into()
}

fn key() -> SessionKey {
    SessionKey { id: SessionId::from_name("arena-7"), founder: host_key() }
}

#[test]
fn golden_derived_values() {
    let account = Identity::from_seed([2; 32]).unwrap().account();
    let rounds = std::num::NonZeroU32::new(600_000).unwrap();
    golden::check("derived-host-key-of-seed-01", host_key().as_bytes());
    golden::check("derived-game-tag", &hash::game_tag("com.example.boxes").0);
    golden::check("derived-session-id", hash::derived_id(host_key(), 7).as_bytes());
    golden::check("derived-named-session-id", key().id.as_bytes());
    golden::check("derived-host-tag", &hash::host_tag(host_key()));
    golden::check("derived-host-label", &hash::host_label(host_key()));
    golden::check("derived-known-tag", &hash::known_tag(1, key(), 2, 3, 4));
    golden::check("derived-facts-digest", &hash::facts_digest(b"facts"));
    golden::check("derived-cookie", &hash::cookie(&[3; 32], "192.168.0.9:50000".parse().unwrap(), 28_000_000));
    golden::check("derived-game-key", &hash::bound(&[4; 32], "game", key().id));
    let password = hash::password_key(b"swordfish", &hash::password_salt(key()), rounds);
    golden::check("derived-password-key", &password);
    let proof = hash::password_proof(&password, "joiner", &[4; 32], account, host_key());
    golden::check("derived-password-proof", &proof);
    golden::check("derived-seat-token", &hash::seat_token(key(), account, 5, &[7; 32]));
    let mut bloom = [0; 16];
    hash::bloom_insert(&mut bloom, 4, [1, 2, 3, 4, 5, 6]);
    golden::check("derived-bloom", &bloom);
    golden::check_text("room-code", &RoomCode::of(key()).to_string());
}

#[test]
fn the_pages_small_order_keys_are_refused() {
    let keys = golden::read_text("small-order");
    assert_eq!(keys.lines().count(), 5);
    for line in keys.lines() {
        let byte = |at: usize| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
        let mut key: [u8; 32] = std::array::from_fn(|at| byte(at * 2));
        assert!(HostKey::from_bytes(key).is_err());
        key[31] ^= 0x80;
        assert!(HostKey::from_bytes(key).is_err());
    }
}

fn record(name: Option<&str>) -> Txt {
    Txt {
        major: WIRE_MAJOR,
        game: hash::game_tag("com.example.boxes"),
        id: key().id,
        host_label: hash::host_label(host_key()),
        udp_port: 40_001,
        version: 7,
        name: name.map(str::to_owned),
    }
}

fn lines(record: &Txt) -> String {
    txt::encode(record).into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("\n")
}

#[test]
fn golden_txt_and_link_both_ways() {
    let pairs = |text: &str| -> Vec<(String, String)> {
        text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    };
    for (name, record) in [("txt-plain", record(None)), ("txt-named", record(Some("Ada's room")))] {
        golden::check_text(name, &lines(&record));
        let text = golden::read_text(name);
        assert_eq!(txt::decode(&pairs(&text)), Ok(record));
        golden::sweep(text.as_bytes(), fuzz::txt);
    }
    let other = Identity::from_seed([2; 32]).unwrap().public().into();
    for (name, host, addresses) in [
        ("link-plain", host_key(), &["192.168.0.7:40000"][..]),
        ("link-moved", other, &["192.168.0.7:40000", "[fd00::7]:40000"][..]),
    ] {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        let link = JoinLink::new("com.example.boxes", key(), host, addresses).unwrap();
        golden::check_text(name, &link.to_string());
        let text = golden::read_text(name);
        assert_eq!(text.parse(), Ok(link));
        golden::sweep(text.as_bytes(), fuzz::link);
    }
}

#[test]
fn txt_is_small_and_tells_what_is_wrong_with_it() {
    let longest = Txt { udp_port: u16::MAX, version: u32::MAX, ..record(Some(&"n".repeat(64))) };
    assert!(lines(&longest).len() < 200);
    let with = |key: &str, value: &str| {
        let mut pairs = txt::encode(&record(None));
        pairs.retain(|(name, _)| name != key);
        pairs.insert(0, (key.to_owned(), value.to_owned()));
        txt::decode(&pairs)
    };
    assert_eq!(with("zz", "1"), Ok(record(None)));
    assert_eq!(with("m", "2"), Err(WireError::Major(2)));
    assert_eq!(with("u", "0"), Err(WireError::Value));
    assert_eq!(with("u", "+1"), Err(WireError::Value));
    assert_eq!(with("h", "short"), Err(WireError::Value));
    assert_eq!(with("n", "a\u{1b}"), Err(WireError::Value));
    assert_eq!(with("zz", &"x".repeat(MAX_TXT)), Err(WireError::Bound));
    assert_eq!(txt::decode(&[]), Err(WireError::Short));
    let upper: Vec<_> = txt::encode(&record(None)).into_iter().map(|(k, v)| (k.to_uppercase(), v)).collect();
    assert_eq!(txt::decode(&upper), Ok(record(None)));
}

#[test]
fn golden_filter_both_ways() {
    let test = |name: &str, test| Node::Test { field: Field::from(name), test };
    let node = Node::And(vec![
        test("map", Comparison::Eq("dust".into())),
        Node::Or(vec![
            test("@open_slots", Comparison::Gt(0.into())),
            Node::Not(Box::new(test("mode", Comparison::In(vec!["ctf".into(), "ffa".into()])))),
        ]),
        test("mods", Comparison::Contains("hats".into())),
        test("skill", Comparison::Le(1_200.5.into())),
        test("x", Comparison::Exists),
    ]);
    golden::check("filter", &codec::encode(&node));
    let bytes = golden::read("filter");
    assert_eq!(codec::decode(&bytes, filter::MAX_FILTER), Ok(node));
    golden::sweep(&bytes, fuzz::filter);
}

/// The rows of the page's table after `<!-- NAME -->`, each as its cells.
fn table(name: &str) -> Vec<Vec<String>> {
    let page = include_str!("../../protocol.md");
    let start = page.find(&format!("<!-- {name} -->")).unwrap_or_else(|| panic!("protocol.md has no table {name}"));
    page[start..]
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect())
        .collect()
}

#[test]
fn the_page_lists_every_code() {
    let refusals = [
        Refusal::Full,
        Refusal::RoleFull,
        Refusal::Closed,
        Refusal::Locked,
        Refusal::InProgress,
        Refusal::AlreadyMember,
        Refusal::NotInvited,
        Refusal::InviteExpired,
        Refusal::NotFriend,
        Refusal::BadPassword,
        Refusal::Banned,
        Refusal::Incompatible { ours: 0, theirs: 0 },
        Refusal::NotFound,
        Refusal::Ambiguous,
        Refusal::Refused(Reason::default()),
        Refusal::HostUnreachable { tried: Vec::new() },
        Refusal::TimedOut,
        Refusal::Cancelled,
        Refusal::TooManyRequests { after: Duration::ZERO },
        Refusal::Migrating { after: Duration::ZERO },
    ];
    let expected: Vec<_> = refusals
        .iter()
        .map(|refusal| {
            (refusal.code().to_string(), refusal.id().to_owned(), if refusal.is_sticky() { "yes" } else { "no" })
        })
        .collect();
    let found: Vec<_> = table("refusals")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone(), if row[2] == "yes" { "yes" } else { "no" }))
        .collect();
    assert_eq!(found, expected);

    let endings = [
        Left::Left,
        Left::Kicked(Reason::default()),
        Left::Banned(Reason::default()),
        Left::Destroyed,
        Left::HostLost,
        Left::Superseded,
        Left::SignedOut,
        Left::Shutdown,
        Left::Expired,
        Left::Moved,
    ];
    let expected: Vec<_> = endings.iter().map(|left| (left.code().to_string(), left.id().to_owned())).collect();
    let found: Vec<_> = table("endings").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(found, expected);

    let kinds = [
        ErrorKind::InvalidArgument,
        ErrorKind::InvalidState,
        ErrorKind::NotFound,
        ErrorKind::AlreadyExists,
        ErrorKind::NotOwner,
        ErrorKind::Forbidden,
        ErrorKind::Refused,
        ErrorKind::Unreachable,
        ErrorKind::TimedOut,
        ErrorKind::Cancelled,
        ErrorKind::Stale,
        ErrorKind::TooManyRequests,
        ErrorKind::Ended,
        ErrorKind::Stopped,
        ErrorKind::Io,
        ErrorKind::Unsupported,
        ErrorKind::Internal,
    ];
    let expected: Vec<_> = kinds
        .iter()
        .map(|kind| (crate::types::Error::new(*kind, "").code().to_string(), format!("{kind:?}")))
        .collect();
    let found: Vec<_> = table("errors").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_page_lists_every_limit_of_the_wire() {
    use super::{datagram, frame};
    use crate::types::{InviteRequest, Profile, SessionSettings};
    let expected = [
        ("datagram", datagram::MAX_DATAGRAM),
        ("query, at least", datagram::QUERY_SIZE),
        ("probe, at least", datagram::PROBE_SIZE),
        ("locate, exactly", datagram::LOCATE_SIZE),
        ("attributes and keywords of an advert, at least", datagram::MIN_ATTRIBUTE_BYTES),
        ("filter in a query", filter::MAX_FILTER),
        ("TXT pairs", MAX_TXT),
        ("join link", JoinLink::MAX_TEXT),
        ("addresses of a link", JoinLink::MAX_ADDRESSES),
        ("payload of a frame", frame::MAX_FRAME),
        ("message", MAX_MESSAGE),
        ("message of a peer without a seat", frame::MAX_PRE_SEAT),
        ("proof of a takeover from a peer without a seat", frame::MAX_PROOF),
        ("message of a link between users", frame::MAX_SOCIAL),
        ("rows of an answer", frame::MAX_ROWS),
        ("ticket", frame::MAX_TICKET),
        ("lobby message", frame::MAX_SAY),
        ("changes of a commit", frame::MAX_CHANGES),
        ("session name", SessionSettings::MAX_NAME),
        ("schema name", SessionSettings::MAX_SCHEMA),
        ("members", SessionSettings::MAX_MEMBERS.into()),
        ("roles", SessionSettings::MAX_ROLES),
        ("role name", crate::types::Role::MAX_NAME),
        ("accounts that come with a join", frame::MAX_PARTY),
        ("accounts of an invite", InviteRequest::MAX_INVITEES),
        ("accounts of a MergeAsk", frame::MAX_MERGE),
        ("addresses of a Move", frame::MAX_ADDRESSES),
        ("voters of an order", frame::MAX_VOTERS),
        ("takeovers of a lineage", frame::MAX_LINEAGE),
        ("addresses of a successor", frame::MAX_WAYS),
        ("votes of an abdication", frame::MAX_ABDICATION),
        ("game's state", crate::types::GameState::MAX),
        ("bans of a keeper part", frame::MAX_BANS),
        ("leavers of a keeper part", frame::MAX_LEAVERS),
        ("endings of a keeper part", frame::MAX_GONE),
        ("invites of a keeper part", frame::MAX_INVITES),
        ("reservations of a keeper part", frame::MAX_RESERVATIONS),
        ("keywords", SessionSettings::MAX_KEYWORDS),
        ("keyword", SessionSettings::MAX_KEYWORD),
        ("named ports", SessionSettings::MAX_PORTS),
        ("port name", SessionSettings::MAX_PORT_NAME),
        ("attributes", Attributes::MAX_COUNT),
        ("attribute or field name", Attributes::MAX_NAME),
        ("attribute value", Attributes::MAX_VALUE),
        ("texts of a list value", Attributes::MAX_LIST),
        ("player name", Profile::MAX_NAME),
        ("provider name", External::MAX_PROVIDER),
        ("external id", External::MAX_ID),
        ("reason text", Reason::MAX_TEXT),
        ("failure text", frame::MAX_TEXT),
        ("accounts of a reservation", crate::types::Reservation::MAX_ACCOUNTS),
    ];
    let found: Vec<_> = table("limits").into_iter().map(|row| (row[0].clone(), row[1].replace(',', ""))).collect();
    let expected: Vec<_> = expected.iter().map(|(what, limit)| ((*what).to_owned(), limit.to_string())).collect();
    assert_eq!(found, expected);
}

// ------------------------------------------------------------------------------------------------- random round trips

fn any_text(max: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof!["[a-zA-Z0-9 ]", Just("é".to_owned()), Just("\u{1F3AE}".to_owned())],
        1..=max / 4,
    )
    .prop_map(|parts| parts.concat())
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any_text(64).prop_map(Value::String),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter("NaN", |float| !float.is_nan()).prop_map(Value::Float),
        any::<bool>().prop_map(Value::Bool),
        proptest::collection::vec(any::<u8>(), 0..64).prop_map(Value::Bytes),
        proptest::collection::vec(any_text(16), 0..8).prop_map(Value::List),
    ]
}

fn any_visibility() -> impl Strategy<Value = Visibility> {
    prop_oneof![Just(Visibility::Public), Just(Visibility::Members), Just(Visibility::Host)]
}

fn any_attributes(public: bool) -> impl Strategy<Value = Attributes> {
    proptest::collection::vec(("[a-z_.]{1,12}", any_value(), any_visibility()), 0..4).prop_map(move |all| {
        let mut attributes = Attributes::new();
        for (name, value, visibility) in all {
            let visibility = if public { Visibility::Public } else { visibility };
            attributes.set_with(name, value, visibility).unwrap();
        }
        attributes
    })
}

fn any_account() -> impl Strategy<Value = AccountId> {
    any::<u8>().prop_map(|seed| Identity::from_seed([seed; 32]).unwrap().account())
}

fn any_field() -> impl Strategy<Value = Field> {
    "[@a-z]{1,32}".prop_map(|name| Field(name.into()))
}

fn any_node() -> impl Strategy<Value = Node> {
    let comparison = prop_oneof![
        any_value().prop_map(Comparison::Eq),
        any_value().prop_map(Comparison::Ge),
        proptest::collection::vec(any_value(), 0..4).prop_map(Comparison::NotIn),
        any_text(32).prop_map(|text| Comparison::Contains(text.into())),
        any_text(32).prop_map(Comparison::Prefix),
        Just(Comparison::Missing),
    ];
    let test = (any_field(), comparison).prop_map(|(field, test)| Node::Test { field, test });
    test.prop_recursive(6, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Node::And),
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Node::Or),
            inner.prop_map(|node| Node::Not(Box::new(node))),
        ]
    })
}

fn any_known() -> impl Strategy<Value = Known> {
    prop_oneof![
        Just(Known::None),
        proptest::collection::vec(any::<[u8; 6]>(), 0..=40).prop_map(Known::Tags),
        (proptest::collection::vec(any::<u8>(), 1..400), 1_u8..=16)
            .prop_map(|(bits, hashes)| Known::Bloom { bits, hashes }),
    ]
}

fn any_query() -> impl Strategy<Value = Query> {
    let order = (any_field(), prop_oneof![Just(Direction::Descending), Just(Direction::Near(1.5))])
        .prop_map(|(field, direction)| OrderBy { field, direction });
    let rank = (order, proptest::option::of(-9.0..9.0)).prop_map(|(order, threshold)| Rank { order, threshold });
    let target = prop_oneof![
        Just(Target::Any),
        any::<[u8; 16]>().prop_map(|id| Target::Session(SessionId::from_bytes(id))),
        (0_u32..1 << 30).prop_map(|bits| Target::Code(RoomCode::from_bits(bits).unwrap())),
    ];
    let filter = proptest::option::of(any_node().prop_filter("too long", |node| filter::filter_fits(node).is_ok()));
    let numbers = (any::<u64>(), any::<u8>(), any::<u16>(), any::<u16>(), any::<bool>(), any::<bool>());
    (numbers, proptest::option::of(any::<[u8; 16]>()), target, proptest::option::of(rank), filter, any_known())
        .prop_map(|((nonce, take, expect, cap, many, renew), cookie, target, rank, filter, known)| Query {
            nonce,
            many,
            renew,
            cookie,
            path: PathKind::DirectedBroadcast,
            target,
            take,
            expect,
            cap,
            rank,
            filter,
            known,
        })
}

fn any_facts() -> impl Strategy<Value = PublicFacts> {
    let ports = proptest::collection::vec(("[a-z]{1,8}", 1_u16..), 0..=8);
    let keywords = proptest::collection::vec("[a-z]{1,32}", 0..=8);
    let switches = any::<[bool; 5]>();
    (any_text(60), any::<(u32, u64, u16, u16)>(), keywords, any_attributes(true), ports, switches).prop_map(
        |(name, (version, revision, members, max_members), keywords, attributes, ports, [a, b, c, d, e])| PublicFacts {
            matchmaking: false,
            mobile: false,
            anti_cheat: false,
            allow_sanctioned: true,
            name,
            version,
            revision,
            members,
            max_members,
            open_slots: members,
            reserved_slots: max_members,
            policy: JoinPolicy::FriendsOnly,
            phase: Phase::InProgress,
            password: a,
            closed: b,
            locked: c,
            join_in_progress: d,
            dedicated: e,
            keywords,
            attributes,
            ports,
        },
    )
}

fn any_member() -> impl Strategy<Value = Member> {
    let external = proptest::option::of(("[a-z]{1,16}", proptest::collection::vec(any::<u8>(), 0..=64)))
        .prop_map(|external| external.map(|(provider, id)| External::new(provider, id).unwrap()));
    (any_account(), any_text(60), external, any::<(u16, bool, bool, u64)>(), any_attributes(false)).prop_map(
        |(account, name, external, (number, ready, is_host, joined_revision), attributes)| Member {
            role: None,
            account,
            name,
            external,
            number,
            status: MemberStatus::Inactive,
            link: LinkState::Connected,
            ready,
            is_host,
            attributes,
            joined_revision,
        },
    )
}

fn any_update() -> impl Strategy<Value = MemberUpdate> {
    let set = proptest::collection::vec(
        ("[a-z]{1,32}", any_value(), any_visibility())
            .prop_map(|(name, value, visibility)| (name, Attribute { value, visibility })),
        0..4,
    );
    (proptest::option::of(any_text(60)), any::<Option<bool>>(), set, proptest::collection::vec("[a-z]{1,32}", 0..4))
        .prop_map(|(name, ready, set, remove)| MemberUpdate { name, ready, set, remove })
}

proptest! {
    #[test]
    fn any_query_round_trips(query in any_query()) {
        let bytes = query.encode(GameTag([1; 8]));
        prop_assert!((512..=1_200).contains(&bytes.len()));
        let read = Query::decode(&bytes).unwrap();
        let dropped = read.known == Known::None && matches!(query.known, Known::Bloom { .. });
        prop_assert!(read == query || dropped);
    }

    #[test]
    fn any_facts_round_trip_within_their_budget(facts in any_facts(), moment in any::<(u64, u32, u16)>()) {
        let host = Identity::from_seed([1; 32]).unwrap();
        let advert = Advert {
            host_key: host_key(),
            id: key().id,
            many: false,
            old: true,
            migratable: false,
            id_derived: false,
            account_shown: true,
            salt: moment.0,
            incarnation: moment.0,
            term: 1,
            sequence: moment.1,
            echo: moment.0,
            ttl: moment.2,
            interval: moment.2,
            hosts_heard: moment.2,
            tcp_port: moment.2,
            udp_port: moment.2,
            path: PathKind::Mdns,
            facts,
            lineage: None,
            incompatible: false,
        };
        let bytes = advert.encode(GameTag([1; 8]), &host);
        if super::datagram::budget_check(&advert.facts).is_ok() {
            prop_assert_eq!(Advert::decode(&bytes), Ok(advert));
        }
    }

    #[test]
    fn any_commit_round_trips(
        members in proptest::collection::vec(any_member(), 0..4),
        update in any_update(),
        account in any_account(),
        number in any::<u64>(),
    ) {
        let mut changes: Vec<_> = members.into_iter().map(Change::MemberJoined).collect();
        changes.push(Change::MemberUpdated { account, update: update.clone(), status: None });
        let revision = Revision { term: 1, number };
        for frame in [
            Frame::Delta(Delta { revision, cause: None, changes, digest: None }),
            Frame::Request { number: 1, body: Request::UpdateMe(update) },
        ] {
            let (kind, payload) = frame.encode();
            prop_assert_eq!(Frame::decode(kind, &payload), Ok(Some(frame)));
        }
    }
}
