use super::*;
use crate::types::{HostKey, JoinPolicy, MemberStatus, SessionId, SessionKey, Value};

fn member(last: u8, number: u16) -> Member {
    Member {
        role: None,
        account: AccountId::from_bytes([last; 32]).unwrap(),
        name: format!("m{last}"),
        external: None,
        number,
        status: MemberStatus::Active,
        link: LinkState::Connected,
        ready: false,
        is_host: false,
        attributes: Attributes::new(),
        joined_revision: 1,
    }
}

fn state() -> SessionSnapshot {
    let founder = HostKey::from_bytes([9; 32]).unwrap();
    let mut attributes = Attributes::new();
    attributes.set("map", "dust").unwrap();
    attributes.set_with("plan", "rush", Visibility::Members).unwrap();
    attributes.set_with("seed", 7_i64, Visibility::Host).unwrap();
    SessionSnapshot {
        roles: Vec::new(),
        turn: Vec::new(),
        timeouts: crate::types::MemberTimeouts::new(),
        ready_gate: false,
        matchmaking: false,
        mobile: false,
        anti_cheat: false,
        migration: crate::types::Migration::Disabled,
        allow_sanctioned: true,
        key: SessionKey { id: SessionId::from_name("a"), founder },
        revision: at(1),
        host: None,
        host_key: founder,
        name: "room".into(),
        schema: String::new(),
        version: 1,
        max_members: 4,
        reserved_slots: 0,
        policy: JoinPolicy::Public,
        phase: Phase::Lobby,
        listed: true,
        closed: false,
        locked: false,
        join_in_progress: true,
        password: false,
        dedicated: true,
        keywords: Vec::new(),
        attributes,
        ports: Vec::new(),
        members: vec![member(3, 0), member(4, 1), member(5, 2)],
    }
}

/// Fails when the events of an adopted state tell of members as they were under the former host: found by the simulator.
#[test]
fn who_is_host_is_said_of_members_as_it_is_in_the_new_state() {
    let mut old = state();
    old.members[0].is_host = true;
    let mut new = old.clone();
    (new.members[0].is_host, new.members[1].is_host) = (false, true);
    new.members.iter_mut().for_each(|member| member.ready = true);
    new.revision = at(2);
    let told = Document::new(old).adopt(new).into_iter();
    let updated = told.filter_map(|event| match event {
        SessionEvent::MemberUpdated { member, .. } => Some(member.is_host),
        _ => None,
    });
    assert_eq!(updated.collect::<Vec<_>>(), [false, true, false]);
}

fn at(number: u64) -> Revision {
    Revision { term: 1, number }
}

fn attribute(name: &str, value: i64, visibility: Visibility) -> Change {
    let value = Some(Attribute { value: Value::Int(value), visibility });
    Change::Setting(SettingChange::Attribute { name: name.into(), value })
}

#[test]
fn one_commits_events_come_in_the_documented_order_whatever_the_changes_order() {
    let mut doc = Document::new(state());
    let [a, b, c] = [3, 4, 5].map(|last| AccountId::from_bytes([last; 32]).unwrap());
    let update = MemberUpdate::new().ready(true).set("team", "red");
    let changes = [
        Change::Phase(Phase::InProgress),
        attribute("round", 1, Visibility::Public),
        Change::MemberUpdated { account: a, update, status: None },
        Change::MemberAway(b),
        Change::Setting(SettingChange::MaxMembers(6)),
        Change::MemberJoined(member(6, 2)),
        Change::MemberLeft { account: c, why: Left::Left },
    ];
    // The seat of the one that left is taken in the same commit.
    let changes: Vec<_> = changes.into_iter().rev().collect();
    let events = doc.apply(at(2), &changes);
    let kinds: Vec<_> =
        events.iter().map(|event| format!("{event:?}").split([' ', '{']).next().unwrap().to_owned()).collect();
    let expected = ["MemberLeft", "MemberJoined", "MemberAway", "MemberUpdated", "SettingsChanged", "PhaseChanged"];
    assert_eq!(kinds, expected);
    let SessionEvent::SettingsChanged { changes, revision } = &events[4] else { unreachable!() };
    assert_eq!((changes.len(), *revision), (2, at(2)));
    let numbers: Vec<_> = doc.state().members.iter().map(|member| member.number).collect();
    assert_eq!(numbers, [0, 1, 2]);
}

#[test]
fn what_changes_nothing_says_nothing() {
    let mut doc = Document::new(state());
    let a = AccountId::from_bytes([3; 32]).unwrap();
    let stranger = AccountId::from_bytes([6; 32]).unwrap();
    let changes = [
        Change::MemberBack(a),
        Change::MemberAway(stranger),
        Change::MemberLeft { account: stranger, why: Left::Left },
        Change::MemberJoined(member(3, 7)),
        Change::MemberUpdated { account: a, update: MemberUpdate::new().ready(false), status: None },
        Change::Setting(SettingChange::Name("room".into())),
        Change::Phase(Phase::Lobby),
    ];
    assert_eq!(doc.apply(at(2), &changes), []);
    assert_eq!(doc.revision(), at(2));
}

#[test]
fn the_cut_tells_members_neither_hidden_values_nor_hidden_names() {
    let doc = Document::new(state());
    assert_eq!(doc.cut(&[attribute("seed", 8, Visibility::Host)]), []);
    assert_eq!(doc.cut(&[attribute("never", 8, Visibility::Host)]), []);
    let gone = Change::Setting(SettingChange::Attribute { name: "seed".into(), value: None });
    assert_eq!(doc.cut(&[gone]), []);
    let hidden = doc.cut(&[attribute("map", 8, Visibility::Host)]);
    assert_eq!(hidden, [Change::Setting(SettingChange::Attribute { name: "map".into(), value: None })]);
    let shown = attribute("seed", 8, Visibility::Members);
    assert_eq!(doc.cut(std::slice::from_ref(&shown)), [shown]);
}

#[test]
fn a_cut_delta_keeps_a_cut_view_equal_to_the_cut_state() {
    let mut host = Document::new(state());
    let mut member = Document::new(host.visible_to(Visibility::Members));
    let all = [Visibility::Public, Visibility::Members, Visibility::Host];
    let mut number = 1;
    for first in all {
        for second in all {
            for (value, visibility) in [(1, first), (2, second)] {
                number += 1;
                let changes = [attribute("x", value, visibility)];
                let cut = host.cut(&changes);
                host.apply(at(number), &changes);
                member.apply(at(number), &cut);
                assert_eq!(member.state(), &host.visible_to(Visibility::Members));
            }
        }
    }
}

#[test]
fn adopting_a_state_tells_the_difference_and_a_seat_taken_anew_is_another_seat() {
    let mut doc = Document::new(state());
    let mut new = state();
    new.revision = at(9);
    new.members.remove(0);
    new.members[0].joined_revision = 5;
    new.members[1].link = LinkState::Away;
    new.members.push(member(7, 3));
    new.attributes.remove("map");
    new.phase = Phase::InProgress;
    let events = doc.adopt(new.clone());
    assert_eq!(doc.state(), &new);
    let left = events.iter().filter(|event| matches!(event, SessionEvent::MemberLeft { .. })).count();
    let joined = events.iter().filter(|event| matches!(event, SessionEvent::MemberJoined { .. })).count();
    let away = events.iter().filter(|event| matches!(event, SessionEvent::MemberAway { .. })).count();
    assert_eq!((left, joined, away, events.len()), (2, 2, 1, 7));
    assert_eq!(doc.adopt(new), []);
}
