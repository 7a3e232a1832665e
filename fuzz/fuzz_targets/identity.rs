//! An identity file. The body is in the library, so that plain `cargo test` runs it over the corpus.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lansession::fuzz::identity(bytes));
