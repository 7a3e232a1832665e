//! JSON into every public type. The body is in `tests/corpus`, so that plain `cargo test` runs it over the corpus.
#![no_main]

#[path = "../../tests/corpus/json.rs"]
mod json;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| json::json(bytes));
