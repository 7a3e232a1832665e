//! There and back, and what is refused with its path.

use std::collections::BTreeMap;

use ::serde::{Deserialize, Serialize};

use crate::types::{Attributes, Value};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Mode {
    Flags,
    #[serde(rename = "ffa")]
    FreeForAll,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Rounds(u16);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Match {
    map: String,
    skill: i64,
    small: u8,
    unsigned: u64,
    ratio: f64,
    third: f32,
    ranked: bool,
    grade: char,
    hash: Vec<u8>,
    key: [u8; 3],
    mods: Vec<String>,
    none: Vec<String>,
    no_bytes: Vec<u8>,
    mode: Mode,
    second: Option<Mode>,
    cup: Option<String>,
    rounds: Rounds,
}

fn arena() -> Match {
    Match {
        map: "dust".into(),
        skill: i64::MIN,
        small: 255,
        unsigned: 7,
        ratio: 1.5,
        third: 0.25,
        ranked: true,
        grade: 'ü',
        hash: vec![0xc0, 0xde],
        key: [1, 2, 3],
        mods: vec!["a".into(), "b".into()],
        none: Vec::new(),
        no_bytes: Vec::new(),
        mode: Mode::FreeForAll,
        second: Some(Mode::Flags),
        cup: None,
        rounds: Rounds(9),
    }
}

#[test]
fn a_flat_struct_goes_there_and_back() {
    let attributes = Attributes::from_serde(&arena()).unwrap();
    assert_eq!(attributes.get("hash"), Some(&Value::Bytes(vec![0xc0, 0xde])));
    assert_eq!(attributes.get("mode"), Some(&"ffa".into()));
    assert_eq!(attributes.get("rounds"), Some(&9.into()));
    assert_eq!(attributes.get("cup"), None);
    assert_eq!(attributes.to::<Match>().unwrap(), arena());
}

#[test]
fn other_attributes_are_left_out_and_integers_serve_as_floats() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Part {
        ratio: f64,
        note: Option<String>,
    }
    let mut attributes = Attributes::new();
    attributes.set("ratio", 2).unwrap();
    attributes.set("other", vec!["x"]).unwrap();
    assert_eq!(attributes.to::<Part>().unwrap(), Part { ratio: 2.0, note: None });
    let all: BTreeMap<String, serde_json::Value> = attributes.to().unwrap();
    assert_eq!(all["other"], serde_json::json!(["x"]));
    assert_eq!(Attributes::from_serde(&all).unwrap().get("other"), Some(&vec!["x"].into()));
}

#[track_caller]
fn refused<T: Serialize + ?Sized>(fields: &T, says: &str) {
    let error = Attributes::from_serde(fields).unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn what_is_no_value_is_refused_with_its_path() {
    use serde_json::json;
    refused(&json!({"a": 1, "team": {"name": "red"}}), "team: a map is none of text");
    refused(&json!({"tags": ["a", ["b"]]}), "tags[1]: a list holds texts or bytes");
    refused(&json!({"tags": [{"a": 1}]}), "tags[0]: a map is none");
    refused(&json!({"tags": ["a", 1]}), "tags[1]: a list holds texts or bytes");
    refused(&json!({"tags": [256]}), "tags[0]: a list holds texts or bytes, not integers");
    refused(&json!({"n": u64::MAX}), "n: 18446744073709551615 does not fit");
    refused(&json!([1]), "a list has no named fields");
    refused("text", "a text has no named fields");
    refused(&BTreeMap::from([("unit", ())]), "unit: a unit is none");
    refused(&BTreeMap::from([("skill", f64::NAN)]), "\"skill\" is NaN");
    refused(&BTreeMap::from([("@name", 1)]), "built-in");
    refused(&BTreeMap::from([(7, 1)]), "key is no text");
    refused(&BTreeMap::from([("r", Ok::<u8, u8>(1))]), "r: an enum with content");
}

#[test]
fn what_does_not_fit_the_struct_is_named() {
    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Small {
        rounds: u8,
        mode: Mode,
    }
    let with = |rounds: Value, mode: Value| {
        let mut attributes = Attributes::new();
        attributes.set("rounds", rounds).unwrap();
        attributes.set("mode", mode).unwrap();
        attributes.to::<Small>().map(|_| String::new()).unwrap_or_else(|error| error.to_string())
    };
    assert_eq!(with(1.into(), "ffa".into()), "");
    assert!(with(300.into(), "ffa".into()).starts_with("rounds: invalid value: integer `300`"));
    assert!(with(1.5.into(), "ffa".into()).starts_with("rounds: invalid type: floating point"));
    assert!(with(1.into(), "duel".into()).starts_with("mode: unknown variant `duel`"));
    assert!(with(1.into(), 2.into()).starts_with("mode: a text is wanted"));
    assert!(Attributes::new().to::<Small>().unwrap_err().to_string().contains("missing field `rounds`"));
}
