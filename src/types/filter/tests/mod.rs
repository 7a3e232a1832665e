//! Facts for tests, and the tests by subject.

mod bounds;
mod laws;
mod meaning;
mod text;

use crate::types::*;

/// A lobby on `dust` with one attribute of each type and one hidden.
pub(in crate::types) fn facts() -> PublicFacts {
    let mut attributes = Attributes::new();
    attributes.set("map", "dust").unwrap();
    attributes.set("skill", 1200).unwrap();
    attributes.set("ratio", 1.5).unwrap();
    attributes.set("ranked", true).unwrap();
    attributes.set("hash", vec![0xc0_u8, 0xde]).unwrap();
    attributes.set("mods", vec!["a", "b"]).unwrap();
    attributes.set_with("secret", 7, Visibility::Members).unwrap();
    PublicFacts {
        matchmaking: false,
        mobile: false,
        anti_cheat: false,
        allow_sanctioned: true,
        name: "Ada's room".into(),
        version: 3,
        revision: 1,
        members: 2,
        max_members: 8,
        open_slots: 6,
        reserved_slots: 0,
        policy: JoinPolicy::FriendsOnly,
        phase: Phase::InProgress,
        password: true,
        closed: false,
        locked: false,
        join_in_progress: true,
        dedicated: false,
        keywords: vec!["ranked".into(), "eu-west".into()],
        attributes,
        ports: Vec::new(),
    }
}

pub(in crate::types) fn host_key() -> HostKey {
    HostKey::from_bytes([9; 32]).unwrap()
}

/// An entry of these facts, with this ping.
pub(in crate::types) fn found(id: &str, facts: PublicFacts, ping: Option<std::time::Duration>) -> FoundData {
    FoundData {
        key: SessionKey { id: SessionId::from_name(id), founder: host_key() },
        host_key: host_key(),
        incarnation: 1,
        term: 1,
        facts,
        major: 1,
        incompatible: false,
        our_version: 3,
        addresses: vec![FoundAddress::new("192.0.2.7:7777".parse().unwrap(), ping)],
        sources: Sources::default(),
        confirmed: true,
        silent: false,
        migrating: false,
        migratable: false,
        listed: true,
        matched: None,
        started: 1,
    }
}

fn at_host(filter: Filter) -> Truth {
    filter.verdict_at_host(&facts(), host_key())
}

fn at_finder(filter: Filter) -> bool {
    filter.accepts(&found("a", facts(), Some(std::time::Duration::from_micros(1_500))))
}
