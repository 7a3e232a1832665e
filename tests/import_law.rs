//! The import law: each layer imports only what stands left of it, and siblings inside `proto` do not know each other.
//!
//! types <- wire <- proto <- handle <- {driver, testing} <- api <- frame

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Lowest first; `driver` and `testing` stand beside each other.
const LAYERS: [&[&str]; 7] =
    [&["types"], &["wire"], &["proto"], &["handle"], &["driver", "testing"], &["api"], &["frame"]];

/// What every room of `proto` may use; these use none of the others.
const SHARED: [&str; 7] = ["clock", "io", "lan", "limits", "links", "machine", "tuning"];

/// Rooms of `proto` that put others together, and which.
const COMPOSERS: [(&str, &[&str]); 2] = [
    ("discovery", &["announcer", "directory", "finder"]),
    ("engine", &["discovery", "lineage", "matchmaking", "sessions", "social"]),
];

fn rank(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|layers| layers.contains(&layer))
}

/// Each source file with its module path: `src/proto/engine/mod.rs` is `proto::engine`.
fn modules() -> Vec<(PathBuf, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut files) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let place = path.strip_prefix(&root).unwrap().with_extension("");
                let mut module: Vec<String> = place.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
                if module.last().is_some_and(|last| last == "mod" || last == "lib") {
                    module.pop();
                }
                files.push((path, module));
            }
        }
    }
    files.sort();
    files
}

/// The text without comments (where doc links name anything), strings, and the unit tests at a file's end, which may make
/// their fixtures with what stands above.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut code = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or_default();
        let mut outside = true;
        let mut escaped = false;
        for letter in line.replace("'\"'", "' '").chars() {
            if letter == '"' && !escaped {
                outside = !outside;
            } else if outside {
                code.push(letter);
            }
            escaped = letter == '\\' && !escaped;
        }
        code.push('\n');
    }
    code
}

/// All paths that begin with one of the keywords `crate` and `super`, braces opened: `crate::{a::b, c}` is two.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for head in ["crate::", "super::"] {
        for (at, _) in code.match_indices(head) {
            let before = code[..at].chars().next_back();
            // `pub(crate)` has no `::`; `super::super::` is read from its first `super`.
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            open(&code[at..], &mut Vec::new(), &mut found);
        }
    }
    found
}

/// Reads one path or brace group at the start of `text`; what it took.
fn open(text: &str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let start = prefix.len();
    let mut at = text.len() - text.trim_start().len();
    loop {
        let rest = &text[at..];
        if rest.starts_with('{') {
            at += 1;
            loop {
                at += open(&text[at..], prefix, found);
                let gap = text[at..].len() - text[at..].trim_start().len();
                at += gap;
                match text[at..].chars().next() {
                    Some(',') => at += 1,
                    Some('}') => break at += 1,
                    // `as` and what cannot be read: on to the next comma or brace.
                    Some(_) => at += text[at..].find([',', '}']).unwrap_or(text.len() - at),
                    None => break,
                }
            }
            break;
        }
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*').unwrap_or(rest.len());
        if word == 0 {
            break;
        }
        prefix.push(rest[..word].to_owned());
        at += word;
        if !text[at..].starts_with("::") {
            found.push(prefix.clone());
            break;
        }
        at += 2;
    }
    prefix.truncate(start);
    at
}

/// The path from the crate's root. `super` is one up from the module that the file is.
fn absolute(module: &[String], path: &[String]) -> Vec<String> {
    if path.first().is_some_and(|first| first == "crate") {
        return path[1..].to_vec();
    }
    let ups = path.iter().take_while(|part| *part == "super").count();
    let kept = module.len().saturating_sub(ups);
    module[..kept].iter().chain(&path[ups..]).cloned().collect()
}

fn is_test(module: &[String]) -> bool {
    module.iter().any(|part| part == "tests" || part == "fake")
}

#[test]
fn each_layer_imports_only_what_stands_left_of_it() {
    let mut wrong = Vec::new();
    for (file, module) in modules() {
        if is_test(&module) {
            continue;
        }
        let Some(own) = module.first().and_then(|layer| rank(layer)) else { continue };
        for path in paths(&code(&fs::read_to_string(&file).unwrap())) {
            let path = absolute(&module, &path);
            let Some(layer) = path.first() else { continue };
            let fits = layer == &module[0] || rank(layer).is_none_or(|rank| rank < own);
            if !fits {
                wrong.push(format!("{} imports {}", file.display(), path.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "against the order of the layers:\n{}", wrong.join("\n"));
}

#[test]
fn siblings_inside_proto_do_not_know_each_other() {
    let modules = modules();
    let rooms: BTreeSet<&str> = modules
        .iter()
        .filter(|(_, module)| module.first().is_some_and(|layer| layer == "proto"))
        .filter_map(|(_, module)| module.get(1).map(String::as_str))
        .collect();
    let mut wrong = Vec::new();
    for (file, module) in &modules {
        let Some(own) = module.get(1).filter(|_| module[0] == "proto" && !is_test(module)) else { continue };
        let composes = COMPOSERS.iter().find(|(room, _)| room == own).map_or(&[][..], |(_, rooms)| rooms);
        for path in paths(&code(&fs::read_to_string(file).unwrap())) {
            let path = absolute(module, &path);
            if path.first().is_none_or(|layer| layer != "proto") {
                continue;
            }
            let Some(room) = path.get(1).map(String::as_str) else { continue };
            if rooms.contains(room) && room != own && !SHARED.contains(&room) && !composes.contains(&room) {
                wrong.push(format!("{} imports {}", file.display(), path.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "siblings that know each other:\n{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_imports_reads_them() {
    let text = "use crate::{proto::{io::Via, clock}, wire::hash as h, types::*};\n// crate::api::x\nlet a = \"crate::frame\";\
                \nuse super::super::limits;\nfn f(x: crate::driver::Machine) {}\npub(crate) struct S;";
    let read: BTreeSet<String> = paths(&code(text)).into_iter().map(|path| path.join("::")).collect();
    let expected = [
        "crate::driver::Machine",
        "crate::proto::clock",
        "crate::proto::io::Via",
        "crate::types::*",
        "crate::wire::hash",
        "super::super::limits",
    ];
    assert_eq!(read.iter().map(String::as_str).collect::<Vec<_>>(), expected);
    let module = ["proto", "engine", "resolve"].map(str::to_owned);
    let path = ["super", "super", "limits"].map(str::to_owned);
    assert_eq!(absolute(&module, &path), ["proto", "limits"]);
}

#[test]
fn nothing_below_the_driver_names_a_runtime_and_no_layer_but_api_names_the_driver() {
    for (file, module) in modules() {
        let Some(layer) = module.first() else { continue };
        let code = code(&fs::read_to_string(&file).unwrap());
        if ["types", "wire", "proto", "handle", "testing"].contains(&layer.as_str()) {
            for name in ["tokio::", "rustls::", "socket2::", "mdns_sd::", "if_addrs::"] {
                assert!(!code.contains(name), "{} names {name}", file.display());
            }
        }
        if !["driver", "api"].contains(&layer.as_str()) {
            assert!(!code.contains("crate::driver"), "{} names the driver", file.display());
        }
    }
}
