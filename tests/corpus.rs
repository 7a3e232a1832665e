//! The committed corpus through the bodies of the fuzz targets: what fuzzing found stays fixed, on stable, in seconds.
//!
//! `fuzz/corpus/TARGET` holds the byte vectors of `protocol.md`, inputs made of them, and inputs that a run of `cargo fuzz`
//! found. With `LANSESSION_BLESS=1` all but the last are written anew. The inputs of the engines' targets go through their
//! bodies in the library's own tests (`proto::fuzz`), so that no feature is needed for it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

use lansession::{Identity, fuzz};

#[cfg(feature = "serde")]
#[path = "corpus/json.rs"]
mod json;
#[cfg(all(feature = "net", feature = "serde"))]
#[path = "corpus/saved.rs"]
mod saved;

/// What a target does with its input.
type Body = fn(&[u8]);

/// Each target with its body; none where another test has it, or these features do not.
const TARGETS: [(&str, Option<Body>); 16] = [
    ("datagram", Some(fuzz::datagram)),
    ("frame", Some(fuzz::frame)),
    ("stream", Some(fuzz::stream)),
    ("extensions", Some(fuzz::extensions)),
    ("filter", Some(fuzz::filter)),
    ("filter_text", Some(fuzz::filter_text)),
    ("names", Some(fuzz::names)),
    ("txt", Some(fuzz::txt)),
    ("link", Some(fuzz::link)),
    ("identity", Some(fuzz::identity)),
    ("json", JSON),
    ("saved", SAVED),
    ("guests", None),
    ("peers", None),
    ("party", None),
    ("all", Some(fuzz::all)),
];
#[cfg(feature = "serde")]
const JSON: Option<Body> = Some(json::json);
#[cfg(not(feature = "serde"))]
const JSON: Option<Body> = None;
#[cfg(all(feature = "net", feature = "serde"))]
const SAVED: Option<Body> = Some(saved::saved);
#[cfg(not(all(feature = "net", feature = "serde")))]
const SAVED: Option<Body> = None;
/// The most inputs of one target.
const MAX_FILES: usize = 128;
/// The most bytes of all inputs together.
const MAX_BYTES: usize = 300 << 10;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The inputs of a target, by name.
fn inputs(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = root().join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).expect("an input"))).collect()
}

/// The bytes of the page's blocks ```` ```hex NAME ```` and ```` ```text NAME ````.
fn vectors() -> Vec<(String, Vec<u8>)> {
    let page = fs::read_to_string(root().join("protocol.md")).expect("the page");
    let mut vectors = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some((tag, name)) = line.strip_prefix("```").and_then(|head| head.split_once(' ')) else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let bytes = match tag {
            "hex" => {
                let digits: Vec<u8> = body.concat().bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
                let byte =
                    |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).expect("ASCII"), 16).expect("hex digits");
                digits.chunks(2).map(byte).collect()
            }
            "text" => body.join("\n").into_bytes(),
            _ => continue,
        };
        vectors.push((name.to_owned(), bytes));
    }
    vectors
}

/// The inputs that the page's vectors are: target, name, bytes.
fn seeds() -> Vec<(&'static str, String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (name, bytes) in vectors() {
        let (kind, _) = name.split_once('-').unwrap_or((&name, ""));
        match kind {
            "advert" | "query" | "hint" | "probe" | "alive" | "goodbye" | "death" => {
                seeds.push(("datagram", name, bytes));
            }
            "frame" => {
                // Length, kind, flags, payload; the target `frame` takes kind and payload.
                let message = [&bytes[2..3], &bytes[4..]].concat();
                // A host hears what joiners, members and other hosts say; a member whatever there is.
                if bytes[2] < 16 || bytes[2] >= 48 {
                    seeds.push(("guests", name.clone(), [&GUEST[..], &said(&message)].concat()));
                }
                seeds.push(("peers", name.clone(), [&[3, 0, 0xc0, 0x18, 0][..], &said(&message)].concat()));
                seeds.push(("frame", name.clone(), message));
                seeds.push(("stream", name, bytes));
            }
            "filter" => seeds.push(("filter", name, bytes)),
            "txt" => seeds.push(("txt", name, bytes)),
            "link" => seeds.push(("link", name, bytes)),
            _ => {}
        }
    }
    seeds.push(("extensions", "three".into(), vec![0, 1, 0, 1, 7, 0, 9, 0, 2, 1, 2, 0x80, 1, 0, 0, 0, 0]));
    seeds.push(("party", "invite".into(), INVITED.concat()));
    seeds.extend(texts().into_iter().map(|(target, name, text)| (target, name.to_owned(), text.into_bytes())));
    seeds
}

/// A room; the third machine takes invites, the first sends one, it is joined with, and left.
const INVITED: [&[u8]; 7] =
    [&[3, 0, 0], &[0x20, 13, 2], &[0, 29, 0, 2, 5, 0, 0], &[0x8a], &[0x20, 2, 5, 0, 0], &[0x9a], &[0x20, 38, 0]];

/// A session of five seats with migration on; a guest comes, asks for a seat, confirms it, and says something.
const GUEST: [u8; 13] = [3, 0, 0xc0, 0x18, 0, 0, 0x78, 0, 0, 0, 0x98, 0, 0x58];

/// A frame in an operation of the engines' targets: which link, kind, whether more follows, length, payload.
fn said(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len() - 1).unwrap().to_be_bytes();
    [&[0, message[0], 0], &length[..], &message[1..]].concat()
}

/// Texts that are none of the page's vectors.
fn texts() -> Vec<(&'static str, &'static str, String)> {
    let vector = |wanted: &str| {
        let found = vectors().into_iter().find(|(name, _)| name == wanted).unwrap();
        String::from_utf8(found.1).unwrap()
    };
    let account = Identity::from_seed([1; 32]).unwrap().account();
    let seed = "01".repeat(32);
    let filter = "map in [\"dust\", \"nuke\"] and (@open_slots > 0 or not skill >= 1000.5) and `not` exists and x missing \
                  and mods contains 0xc0de and region prefix \"eu\" and ranked != true";
    let link = vector("link-plain");
    let friend = format!(r#"{{"account": "{account}", "name": "Ada"}}"#);
    let recent = format!(r#"{{"link": "{link}", "name": "room", "when": 7}}"#);
    let json = |text: &str| text.replace("ACCOUNT", &account.to_string());
    vec![
        ("filter_text", "filter", filter.into()),
        ("filter_text", "order", "skill:near 1200.0,@ping_ms,`a b`:desc".into()),
        ("names", "code", "K7Q-F2M".into()),
        ("names", "account", account.to_string()),
        ("names", "id", "0123456789ABCDEFGHJKMNPQRS".into()),
        ("identity", "file", format!("lansession identity 1\n# x\nseed {seed}\naccount {account}\n")),
        ("saved", "file", format!(r#"{{"recent": [{recent}], "friends": [{friend}]}}"#)),
        ("json", "settings", json(SETTINGS)),
        ("json", "query", json(QUERY)),
        ("json", "attributes", json(ATTRIBUTES)),
        ("json", "refusal", r#"{"incompatible": {"ours": 1, "theirs": 2}}"#.into()),
        ("json", "left", r#"{"kicked": {"code": 7, "text": "AFK"}}"#.into()),
        ("json", "external", r#"{"provider": "eos", "id": "00ff"}"#.into()),
        ("json", "account", json("\"ACCOUNT\"")),
        (
            "json",
            "update",
            r#"{"set": {"map": "nuke"}, "remove": ["mode"], "max_members": 6, "ports": {"game": 7}}"#.into(),
        ),
        ("json", "timeouts", r#"{"reserved": 3.5, "ready": null, "inactive": 1}"#.into()),
    ]
}

const SETTINGS: &str = r#"{"name": "room", "max_members": 4, "policy": "friends_only", "closed": true, "keywords": ["eu"],
    "attributes": {"map": "dust", "seed": {"value": 7, "visibility": "host"}}, "ports": {"game": 7777},
    "roles": [{"name": "red", "max": 2}], "ready_gate": true}"#;
const QUERY: &str = r#"{"filter": "map exists", "order": "skill:desc", "take": 5, "timeout": 1.5, "accounts": ["ACCOUNT"],
    "targets": ["192.0.2.7:7777"], "private": true, "visibility": "private"}"#;
const ATTRIBUTES: &str = r#"{"map": "dust", "skill": 1200.5, "inf": {"float": "-inf"}, "blob": {"bytes": "c0de"},
    "mods": ["hats", "bots"], "hidden": {"value": true, "visibility": "members"}}"#;

/// Whether this is a checkout; the published package is without the corpus.
fn is_checkout() -> bool {
    root().join("fuzz").exists()
}

#[test]
fn pain_23_no_input_of_the_corpus_breaks_anything() {
    if !is_checkout() {
        return;
    }
    for (target, body) in TARGETS {
        let Some(body) = body else { continue };
        for (path, bytes) in inputs(target) {
            // The captured output names the input that broke it.
            println!("{}", path.display());
            body(&bytes);
            fuzz::all(&bytes);
        }
    }
}

#[test]
fn the_pages_vectors_are_in_the_corpus() {
    if !is_checkout() {
        return;
    }
    let seeds = seeds();
    assert!(seeds.len() > 30, "protocol.md has only {} vectors", seeds.len());
    for (target, name, bytes) in seeds {
        let path = root().join("fuzz/corpus").join(target).join(&name);
        if std::env::var_os("LANSESSION_BLESS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &bytes).unwrap();
        }
        let there = fs::read(&path).unwrap_or_default();
        assert!(there == bytes, "{} is not protocol.md's vector: set LANSESSION_BLESS=1", path.display());
    }
}

#[test]
fn the_corpus_is_small() {
    if !is_checkout() {
        return;
    }
    let mut all = 0;
    for (target, _) in TARGETS {
        let inputs = inputs(target);
        assert!((1..=MAX_FILES).contains(&inputs.len()), "{} inputs for {target}", inputs.len());
        all += inputs.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    }
    assert!(all <= MAX_BYTES, "{all} bytes of inputs, at most {MAX_BYTES}");
}
