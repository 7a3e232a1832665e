//! Everything there and back through JSON, and what is refused on the way.

use std::fmt;
use std::time::Duration;

use ::serde::de::DeserializeOwned;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::value::{Tagged, TaggedRef};
use crate::types::filter::tests::{facts, found, host_key};
use crate::types::*;

#[track_caller]
fn same<T: ::serde::Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: &T, json: &Json) {
    assert_eq!(&serde_json::to_value(value).unwrap(), json);
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value, "{text}");
}

#[track_caller]
fn round<T: ::serde::Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: &T) {
    same(value, &serde_json::to_value(value).unwrap());
}

#[track_caller]
fn refused<T: DeserializeOwned + fmt::Debug>(json: &Json, says: &str) {
    let error = serde_json::from_str::<T>(&json.to_string()).unwrap_err().to_string();
    assert!(error.contains(says), "{json}: {error}");
}

fn account() -> AccountId {
    AccountId::from_bytes([9; 32]).unwrap()
}

#[test]
fn ids_and_keys_are_text() {
    let id = SessionId::from_name("a");
    same(&id, &json!(id.to_string()));
    let invite = InviteId::from_bytes([7; 16]);
    same(&invite, &json!(invite.to_string()));
    same(&account(), &json!(account().to_string()));
    same(&host_key(), &json!(host_key().to_string()));
    same(&account().public_key(), &json!(account().to_string()));
    let key = SessionKey { id, founder: host_key() };
    same(&key, &json!({"id": id.to_string(), "founder": host_key().to_string()}));
    let code = RoomCode::of(key);
    same(&code, &json!(code.to_string()));
    refused::<SessionId>(&json!("ABC"), "26 letters");
    refused::<RoomCode>(&json!("ABC"), "6 letters");
    refused::<AccountId>(&json!("0".repeat(52)), "weak or non-canonical");
    refused::<PublicKey>(&json!("0".repeat(52)), "weak or non-canonical");
}

#[test]
fn filters_and_orders_are_text() {
    let filter = attr("map").eq("dust") & Field::OPEN_SLOTS.gt(0);
    same(&filter, &json!("map == \"dust\" and @open_slots > 0"));
    same(&OrderBy::near("skill", 1200.0), &json!("skill:near 1200.0"));
    same(&attr("not"), &json!("not"));
    same(&Field::PING_MS, &json!("@ping_ms"));
    refused::<Filter>(&json!("map = 1"), "column 5: `=` alone");
    refused::<Field>(&json!("@pong"), "no built-in field");
    let query = SessionQuery::new().filter(filter).order_by(["@ping_ms".into(), OrderBy::descending("skill")]);
    let query = query.take(5).enough(2).timeout(Duration::from_micros(1_500)).id(SessionId::from_name("a"));
    round(&query.at("192.0.2.7:7777".parse().unwrap()));
    let short: SessionQuery = serde_json::from_value(json!({"filter": "map exists", "order": "skill:desc"})).unwrap();
    assert_eq!(short, SessionQuery::new().filter(attr("map").exists()).order_by([OrderBy::descending("skill")]));
    let account = Identity::from_seed([1; 32]).unwrap().account();
    let asked = SessionQuery::new().accounts([account]).private(true).inactive(true).reservations(true);
    let asked = asked.visibility(SessionVisibility::Private).version_up_to(7);
    let text = serde_json::to_value(&asked).unwrap();
    assert_eq!((&text["accounts"][0], &text["visibility"]), (&json!(account.to_string()), &json!("private")));
    assert_eq!(serde_json::from_value::<SessionQuery>(text).unwrap(), asked);
    refused::<SessionQuery>(&json!({"visibility": "private"}), "private(true)");
    refused::<SessionQuery>(&json!({"take": 101}), "take is 101");
    refused::<SessionQuery>(&json!({"order": "a:up"}), "order: column 3");
    refused::<SessionQuery>(&json!({"filters": ""}), "unknown field");
}

#[test]
fn values_keep_their_type() {
    for (value, json) in [
        (Value::from("dust"), json!("dust")),
        (1.into(), json!(1)),
        (i64::MIN.into(), json!(i64::MIN)),
        (1.0.into(), json!(1.0)),
        (f64::INFINITY.into(), json!({"float": "inf"})),
        (f64::NEG_INFINITY.into(), json!({"float": "-inf"})),
        (true.into(), json!(true)),
        (vec![0xc0_u8, 0xde].into(), json!({"bytes": "c0de"})),
        (vec!["a", "b"].into(), json!(["a", "b"])),
        (Value::List(Vec::new()), json!([])),
        (Value::Bytes(Vec::new()), json!({"bytes": ""})),
    ] {
        same(&value, &json);
        let tagged = serde_json::to_string(&TaggedRef::from(&value)).unwrap();
        if !tagged.contains("null") {
            assert_eq!(Value::from(serde_json::from_str::<Tagged>(&tagged).unwrap()), value);
        }
    }
    assert!(serde_json::to_string(&Value::Float(f64::NAN)).is_err());
    refused::<Value>(&json!(u64::MAX), "does not fit");
    refused::<Value>(&json!(null), "expected a text");
    refused::<Value>(&json!({"bytes": "c0d"}), "pairs of hex digits");
    refused::<Value>(&json!({"float": "nan"}), "\"inf\" or \"-inf\"");
    refused::<Value>(&json!({"value": 1}), "unknown field");
    refused::<Value>(&json!({}), "missing field");
    refused::<Value>(&json!(["a", 1]), "expected a string");
    refused::<Value>(&json!(vec!["a"; 33]), "at most 32");
}

#[test]
fn attributes_are_a_map_and_hidden_ones_say_so() {
    let mut attributes = Attributes::new();
    attributes.set("map", "dust").unwrap();
    attributes.set("hash", vec![1_u8]).unwrap();
    attributes.set_with("seed", 7, Visibility::Host).unwrap();
    attributes.set_with("key", vec![2_u8], Visibility::Members).unwrap();
    same(
        &attributes,
        &json!({
            "map": "dust",
            "hash": {"bytes": "01"},
            "seed": {"value": 7, "visibility": "host"},
            "key": {"value": {"bytes": "02"}, "visibility": "members"},
        }),
    );
    assert!(
        serde_json::from_str::<Attributes>(r#"{"a": 1, "a": 2}"#).unwrap_err().to_string().contains("two attributes")
    );
    refused::<Attributes>(&json!({"@name": 1}), "built-in");
    refused::<Attributes>(&json!({"a": "x".repeat(1_025)}), "1 bytes over");
    refused::<Attributes>(&json!({"a": "\u{1b}"}), "control");
    refused::<Attributes>(&json!({"a": {"value": 1, "bytes": ""}}), "two values");
    refused::<Attributes>(&json!({"a": {"visibility": "host"}}), "missing field");
    let many: serde_json::Map<String, Json> = (0..65).map(|at| (format!("a{at}"), json!(at))).collect();
    refused::<Attributes>(&Json::Object(many), "at most 64");
}

#[test]
fn settings_and_updates_are_checked() {
    let settings = SessionSettings::new("Ada's room").max_members(4).keyword("Ranked").port("game", 7777);
    let settings = settings.attr("map", "dust").attr_with("seed", 7, Visibility::Host).policy(JoinPolicy::FriendsOnly);
    round(&settings);
    round(&settings.clone().listed(true).closed(true).schema("duel").reserved_slots(1));
    let short: SessionSettings =
        serde_json::from_value(json!({"name": "room", "keywords": ["EU"], "ports": {"game": 7}})).unwrap();
    assert_eq!(short, SessionSettings::new("room").keyword("eu").port("game", 7));
    assert!(serde_json::to_string(&SessionSettings::new("x").attr("a", f64::NAN)).is_err());
    refused::<SessionSettings>(&json!({}), "name is empty");
    refused::<SessionSettings>(&json!({"name": "x", "max_members": 0}), "max_members");
    refused::<SessionSettings>(&json!({"name": "x", "ports": {"game": 0}}), "port \"game\" is 0");
    refused::<SessionSettings>(&json!({"name": "x", "maxmembers": 4}), "unknown field");

    round(&SettingsUpdate::new());
    let update = SettingsUpdate::new().set("map", "nuke").set_with("seed", 8, Visibility::Host).remove("mode");
    round(&update.max_members(6).keywords(["EU"]).ports([("game", 7)]).name("x").policy(JoinPolicy::InviteOnly));
    let short: SettingsUpdate = serde_json::from_value(json!({"set": {"map": "nuke"}, "keywords": ["EU"]})).unwrap();
    assert_eq!(short, SettingsUpdate::new().set("map", "nuke").keywords(["eu"]));
    refused::<SettingsUpdate>(&json!({"set": {"@map": 1}}), "built-in");
    refused::<SettingsUpdate>(&json!({"max_members": 1_001}), "max_members");
    refused::<SettingsUpdate>(&json!({"remove": [""]}), "empty");
}

#[test]
fn facts_members_and_snapshots() {
    round(&facts());
    let mut spoiled = serde_json::to_value(facts()).unwrap();
    spoiled["later"] = json!(1);
    assert_eq!(serde_json::from_value::<PublicFacts>(spoiled.clone()).unwrap(), facts());
    spoiled["name"] = json!("\u{202e}");
    refused::<PublicFacts>(&spoiled, "text-direction");
    let member = Member {
        role: None,
        account: account(),
        name: "Ada".into(),
        external: Some(External::new("eos", *b"0002").unwrap()),
        number: 0,
        status: MemberStatus::Active,
        link: LinkState::Away,
        ready: true,
        is_host: true,
        attributes: Attributes::new(),
        joined_revision: 1,
    };
    round(&member);
    let snapshot = SessionSnapshot {
        roles: Vec::new(),
        turn: Vec::new(),
        timeouts: MemberTimeouts::new(),
        ready_gate: false,
        matchmaking: false,
        mobile: false,
        anti_cheat: false,
        migration: Migration::Disabled,
        allow_sanctioned: true,
        key: SessionKey { id: SessionId::from_name("a"), founder: host_key() },
        revision: Revision { term: 1, number: 42 },
        host: Some(account()),
        host_key: host_key(),
        name: "Ada's room".into(),
        schema: String::new(),
        version: 3,
        max_members: 8,
        reserved_slots: 1,
        policy: JoinPolicy::Public,
        phase: Phase::Ended,
        listed: true,
        closed: false,
        locked: false,
        join_in_progress: true,
        password: false,
        dedicated: false,
        keywords: vec!["eu".into()],
        attributes: facts().attributes,
        ports: vec![("voice".into(), 9), ("game".into(), 7)],
        members: vec![member],
    };
    round(&snapshot);
    let mut spoiled = serde_json::to_value(&snapshot).unwrap();
    spoiled["members"][0]["name"] = json!("");
    refused::<SessionSnapshot>(&spoiled, "name is empty");
    spoiled["members"][0]["name"] = json!("Ada");
    spoiled["ports"] = json!({"far-too-long": 1});
    refused::<SessionSnapshot>(&spoiled, "over its 8");
}

#[test]
fn reasons_refusals_and_ends() {
    same(&Left::HostLost, &json!("host_lost"));
    same(&Left::Kicked(Reason::new(7, "AFK")), &json!({"kicked": {"code": 7, "text": "AFK"}}));
    same(&Refusal::Full, &json!("full"));
    same(&Refusal::Incompatible { ours: 1, theirs: 2 }, &json!({"incompatible": {"ours": 1, "theirs": 2}}));
    round(&Refusal::HostUnreachable { tried: vec!["[::1]:7".parse().unwrap()] });
    round(&Refusal::TooManyRequests { after: Duration::from_millis(1_500) });
    refused::<Reason>(&json!({"text": "\u{7}"}), "control");
    refused::<Reason>(&json!({"text": "x".repeat(129)}), "1 bytes over");
    same(&External::new("eos", [0, 255]).unwrap(), &json!({"provider": "eos", "id": "00ff"}));
    refused::<External>(&json!({"provider": "", "id": ""}), "empty");
    same(&MemberStatus::Reserved, &json!("reserved"));
    same(&LinkState::Connected, &json!("connected"));
    for policy in [JoinPolicy::Public, JoinPolicy::FriendsOnly, JoinPolicy::InviteOnly] {
        same(&policy, &json!(policy.as_str()));
    }
    for phase in [Phase::Lobby, Phase::InProgress, Phase::Ended] {
        same(&phase, &json!(phase.as_str()));
    }
    let ask = JoinAsk {
        id: 1,
        session: SessionId::from_name("a"),
        account: account(),
        name: "Bob".into(),
        external: None,
        ticket: vec![1, 2],
        party: Vec::new(),
        binding: [3; 32],
        deadline: Duration::from_secs(3),
    };
    round(&ask);
    let mut spoiled = serde_json::to_value(&ask).unwrap();
    spoiled["binding"] = json!("03");
    refused::<JoinAsk>(&spoiled, "number of bytes");
}

#[test]
fn an_entry_is_flat() {
    let json = serde_json::to_value(Found::new(found("a", facts(), Some(Duration::from_micros(1_500))))).unwrap();
    assert_eq!(json["name"], "Ada's room");
    assert_eq!(json["ping_ms"], 1.5);
    assert_eq!(json["attributes"]["map"], "dust");
    assert_eq!(json["not_joinable"], Json::Null);
    assert_eq!(json["addresses"][0]["addr"], "192.0.2.7:7777");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_json_is_read_or_refused_without_a_panic(text in r#"[\[\]{}",:a-d0-9.e-]{0,30}"#) {
        let _ = serde_json::from_str::<Attributes>(&text);
        let _ = serde_json::from_str::<SettingsUpdate>(&text);
    }
}
