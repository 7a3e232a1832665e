//! The committed inputs through the bodies, and random ones.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::{guests, party, peers};

type Body = fn(&[u8]);

const BODIES: [(&str, Body); 3] = [("guests", guests), ("peers", peers), ("party", party)];

#[test]
fn no_input_of_the_corpus_breaks_an_engine() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.exists() {
        return;
    }
    for (target, body) in BODIES {
        let mut paths: Vec<_> =
            fs::read_dir(fuzz.join("corpus").join(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty());
        for path in paths {
            // The captured output names the input that broke it.
            println!("{}", path.display());
            body(&fs::read(path).unwrap());
        }
    }
}

#[test]
fn random_operations_break_no_engine() {
    // The same each time; PROPTEST_RNG_SEED names others.
    let config = ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() };
    let rng_seed = match config.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        named => named,
    };
    let config = ProptestConfig { rng_seed, ..config };
    proptest!(config, |(bytes in proptest::collection::vec(any::<u8>(), 0..160))| {
        for (_, body) in BODIES {
            body(&bytes);
        }
    });
}
