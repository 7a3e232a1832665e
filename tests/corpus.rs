//! The committed corpus through the bodies of the fuzz targets: what fuzzing found stays fixed, on stable, in seconds.
//!
//! `fuzz/corpus/TARGET` holds the byte vectors of `protocol.md` and inputs that a run of `cargo fuzz` found. With
//! `LANSESSION_BLESS=1` the vectors are written anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

use lansession::fuzz;

/// What a target does with its input.
type Body = fn(&[u8]);

/// Each target with its body.
const TARGETS: [(&str, Body); 7] = [
    ("datagram", fuzz::datagram),
    ("frame", fuzz::frame),
    ("stream", fuzz::stream),
    ("filter", fuzz::filter),
    ("txt", fuzz::txt),
    ("link", fuzz::link),
    ("all", fuzz::all),
];
/// The most inputs of one target.
const MAX_FILES: usize = 128;
/// The most bytes of all inputs together.
const MAX_BYTES: usize = 200 << 10;

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
                seeds.push(("frame", name.clone(), message));
                seeds.push(("stream", name, bytes));
            }
            "filter" => seeds.push(("filter", name, bytes)),
            "txt" => seeds.push(("txt", name, bytes)),
            "link" => seeds.push(("link", name, bytes)),
            _ => {}
        }
    }
    seeds
}

/// Whether this is a checkout; the published package is without the corpus.
fn is_checkout() -> bool {
    root().join("fuzz").exists()
}

#[test]
fn no_input_of_the_corpus_breaks_anything() {
    if !is_checkout() {
        return;
    }
    for (target, body) in TARGETS {
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
