//! The file in which the examples remember hosts and friends. The body is in `tests/corpus`, so that plain `cargo test` runs it over the corpus.
#![no_main]

#[path = "../../tests/corpus/saved.rs"]
mod saved;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| saved::saved(bytes));
