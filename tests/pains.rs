//! Each row of the pains has its tests, named after it (`pain_07_…`), in namespaces or on the virtual LAN.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn names(dir: &Path, rows: &mut BTreeSet<u8>) {
    for entry in fs::read_dir(dir).expect("a folder of this package") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            names(&path, rows);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            let tests = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn "));
            let numbers = tests.filter_map(|rest| rest.split('(').next()?.split_once("pain_")?.1.get(..3));
            rows.extend(numbers.filter_map(|number| number.strip_suffix('_')?.parse::<u8>().ok()));
        }
    }
}

#[test]
fn each_of_the_25_rows_has_a_test_that_bears_its_number() {
    let mut rows = BTreeSet::new();
    for dir in ["tests", "src"] {
        names(Path::new(dir), &mut rows);
    }
    let missing: Vec<u8> = (1..=25).filter(|row| !rows.contains(row)).collect();
    assert!(missing.is_empty(), "no test bears these numbers: {missing:?}");
    assert!(rows.iter().all(|row| (1..=25).contains(row)), "there are 25 rows: {rows:?}");
}
