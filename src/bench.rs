//! What `benches/` measures of the parts that are not public: names and closures. Hidden, and no promise.

use std::hint::black_box;

use crate::types::{
    Attributes, Filter, Found, FoundData, HostKey, Identity, JoinPolicy, LinkState, Member, MemberStatus, PathKind,
    Phase, PublicFacts, Result, Revision, SessionId, SessionKey, SessionSnapshot, Sources, Visibility, WIRE_MAJOR,
};
use crate::wire::datagram::{Advert, GameTag, Known, Query, Target};
use crate::wire::frame::{self, Accept, Assembler, Frame, Grant, MAX_MESSAGE, Proof};
use crate::wire::sign::{self, Context};

/// A name, the bytes it is about, and one round of it.
pub type Case = (&'static str, usize, Box<dyn Fn()>);

/// Ten comparisons over attributes and built-in fields, the last of them decides.
pub const FILTER: &str = "map in [\"dust\", \"nuke\"] and @open_slots > 0 and skill >= 1000 and skill < 1500 \
     and mods contains \"hats\" and not (@password == true) and (mode == \"ctf\" or mode == \"ffa\") \
     and region prefix \"eu\" and ranked == true";

const GAME: GameTag = GameTag(*b"gametag!");

fn case<T>(name: &'static str, bytes: usize, run: impl Fn() -> T + 'static) -> Case {
    let run = move || {
        black_box(run());
    };
    (name, bytes, Box::new(run))
}

fn facts() -> Result<PublicFacts> {
    let mut attributes = Attributes::new();
    attributes.set("map", "dust")?;
    attributes.set("mode", "ffa")?;
    attributes.set("region", "eu-west")?;
    attributes.set("skill", 1_200)?;
    attributes.set("ranked", true)?;
    attributes.set("mods", vec!["hats", "bots"])?;
    Ok(PublicFacts {
        matchmaking: false,
        mobile: false,
        anti_cheat: false,
        allow_sanctioned: true,
        name: "Ada's room".into(),
        version: 1,
        revision: 70_000,
        members: 3,
        max_members: 8,
        open_slots: 5,
        reserved_slots: 0,
        policy: JoinPolicy::Public,
        phase: Phase::Lobby,
        password: false,
        closed: false,
        locked: false,
        join_in_progress: true,
        dedicated: false,
        keywords: vec!["fun".into(), "no-bots".into()],
        attributes,
        ports: vec![("game".into(), 7_777)],
    })
}

fn advert(host: &Identity) -> Result<Advert> {
    Ok(Advert {
        host_key: host.public().into(),
        id: SessionId::from_name("arena-7"),
        many: false,
        old: false,
        migratable: false,
        id_derived: false,
        account_shown: false,
        salt: 7,
        incarnation: 1_700_000_000_000,
        term: 1,
        sequence: 3,
        echo: 5,
        ttl: 140,
        interval: 40,
        hosts_heard: 1,
        tcp_port: 40_000,
        udp_port: 40_001,
        path: PathKind::Ipv4Multicast,
        facts: facts()?,
        lineage: None,
        incompatible: false,
    })
}

fn query() -> Result<Query> {
    let filter: Filter = FILTER.parse()?;
    Ok(Query {
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
        filter: Some(filter.0),
        known: Known::Tags(vec![[9; 6]; 20]),
    })
}

fn accept(host: &Identity, members: u16) -> Result<Frame> {
    let account = host.account();
    let host_key = HostKey::from(host.public());
    let key = SessionKey { id: SessionId::from_name("arena-7"), founder: host_key };
    let revision = Revision { term: 1, number: 70_000 };
    let mut own = Attributes::new();
    own.set_with("team", "red", Visibility::Members)?;
    own.set_with("class", "scout", Visibility::Members)?;
    let member = |number: u16| Member {
        role: None,
        account,
        name: format!("Player {number}"),
        external: None,
        number,
        status: MemberStatus::Active,
        link: LinkState::Connected,
        ready: number % 2 == 0,
        is_host: number == 0,
        attributes: own.clone(),
        joined_revision: number.into(),
    };
    let facts = facts()?;
    let snapshot = SessionSnapshot {
        roles: Vec::new(),
        turn: Vec::new(),
        timeouts: crate::types::MemberTimeouts::new(),
        ready_gate: false,
        matchmaking: false,
        mobile: false,
        anti_cheat: false,
        migration: crate::types::Migration::Disabled,
        allow_sanctioned: true,
        key,
        revision,
        host: Some(account),
        host_key,
        name: facts.name,
        schema: "ffa".into(),
        version: 1,
        max_members: 128,
        reserved_slots: 0,
        policy: JoinPolicy::Public,
        phase: Phase::Lobby,
        listed: true,
        closed: false,
        locked: false,
        join_in_progress: true,
        password: false,
        dedicated: false,
        keywords: facts.keywords,
        attributes: facts.attributes,
        ports: facts.ports,
        members: (0..members).map(member).collect(),
    };
    Ok(Frame::Accept(Box::new(Accept {
        number: 1,
        token: [7; 32].into(),
        grant: Grant::sign(host, key, revision, account, 5),
        host: Some(Proof::sign(host, &[8; 32], host_key, key.id)),
        password_proof: None,
        host_silence: 2_500,
        grace: 30_000,
        snapshot,
    })))
}

/// Datagrams and frames to bytes and back.
///
/// # Errors
/// None that a change of the constants above does not make.
pub fn codec() -> Result<Vec<Case>> {
    let host = Identity::from_seed([1; 32])?;
    let (advert, query) = (advert(&host)?, query()?);
    let said = advert.encode(GAME, &host);
    let asked = query.encode(GAME);
    let mut cases = Vec::new();
    let size = said.len();
    let (bytes, key) = (said.clone(), host.public());
    cases.push(case("advert: verify the signature", size, move || {
        sign::verify_datagram(Context::Advert, key, black_box(&bytes))
    }));
    cases.push(case("advert: decode", size, move || Advert::decode(black_box(&said))));
    let (unsigned, signer) = (advert.clone(), host.clone());
    cases.push(case("advert: encode and sign", size, move || black_box(&unsigned).encode(GAME, &signer)));
    cases.push(case("advert: encode alone", size, move || black_box(&advert).statement(GAME)));
    cases.push(case("query, ten tests, 20 known: encode", asked.len(), move || black_box(&query).encode(GAME)));
    cases.push(case("query, ten tests, 20 known: decode", asked.len(), move || Query::decode(black_box(&asked))));
    let names = [
        (8, "accept, 8 members: encode", "accept, 8 members: decode", "accept, 8 members: cut and put together"),
        (
            100,
            "accept, 100 members: encode",
            "accept, 100 members: decode",
            "accept, 100 members: cut and put together",
        ),
    ];
    for (members, encode, decode, cut) in names {
        let message = accept(&host, members)?;
        let (kind, payload) = message.encode();
        let size = payload.len();
        cases.push(case(encode, size, move || black_box(&message).encode()));
        let bytes = payload.clone();
        cases.push(case(decode, size, move || Frame::decode(kind, black_box(&bytes))));
        cases.push(case(cut, size, move || round(kind, black_box(&payload))));
    }
    let long = vec![7; MAX_MESSAGE];
    cases.push(case("message of 1 MiB: cut and put together", MAX_MESSAGE, move || round(1, black_box(&long))));
    Ok(cases)
}

/// A message cut into frames, and put together by who reads them.
fn round(kind: u8, payload: &[u8]) -> Option<(u8, Vec<u8>)> {
    let mut assembler = Assembler::default();
    let mut whole = None;
    for frame in frame::split(kind, payload) {
        let (head, part) = frame.split_first_chunk()?;
        let (_, kind, more) = frame::header(*head);
        whole = assembler.push(kind, more, part.to_vec(), MAX_MESSAGE).ok()?;
    }
    whole
}

/// A filter of ten comparisons: read, written, decided.
///
/// # Errors
/// None that a change of the constants above does not make.
pub fn filter() -> Result<Vec<Case>> {
    let host_key = HostKey::from(Identity::from_seed([1; 32])?.public());
    let filter: Filter = FILTER.parse()?;
    let facts = facts()?;
    let found = Found::new(FoundData {
        key: SessionKey { id: SessionId::from_name("arena-7"), founder: host_key },
        host_key,
        incarnation: 1,
        term: 1,
        facts: facts.clone(),
        major: WIRE_MAJOR,
        incompatible: false,
        our_version: 1,
        addresses: Vec::new(),
        sources: Sources::default(),
        confirmed: true,
        silent: false,
        migrating: false,
        migratable: false,
        listed: true,
        matched: None,
        started: 1,
    });
    if !filter.matches(&found) {
        return Err(crate::types::Error::invalid("the filter of the benchmark does not match"));
    }
    let (printed, asked, told) = (filter.clone(), filter.clone(), facts);
    let size = FILTER.len();
    Ok(vec![
        case("parse", size, || black_box(FILTER).parse::<Filter>()),
        case("print", size, move || black_box(&printed).to_string()),
        case("decide at the host", size, move || black_box(&asked).verdict_at_host(black_box(&told), host_key)),
        case("decide at the finder", size, move || black_box(&filter).matches(black_box(&found))),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_can_be_made_and_runs() {
        for (name, bytes, run) in codec().unwrap().into_iter().chain(filter().unwrap()) {
            assert!(bytes > 0, "{name}");
            run();
        }
        assert_eq!(FILTER.matches(" and ").count() + FILTER.matches(" or ").count(), 9);
    }
}
