//! What the README says of the code is true: names, dependencies, limits.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn section<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let start = text.find(from).unwrap_or_else(|| panic!("README has no {from:?}")) + from.len();
    let end = text[start..].find(to).map_or(text.len(), |at| start + at);
    &text[start..end]
}

/// The cells of a Markdown table's rows, without its head.
fn rows(table: &str) -> Vec<Vec<String>> {
    table
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn sources(dir: &Path, out: &mut String) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            out.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

fn source() -> String {
    let mut out = String::new();
    sources(Path::new("src"), &mut out);
    out
}

#[test]
fn every_foreign_name_of_the_table_is_an_alias_and_every_alias_is_in_the_table() {
    let readme = fs::read_to_string("README.md").unwrap();
    let source = source();
    let aliases: BTreeSet<String> =
        source.split("doc(alias = \"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect();
    let mut listed = BTreeSet::new();
    for row in rows(section(&readme, "<!-- names -->", "<!-- /names -->")) {
        let [theirs, ours, _] = row.as_slice() else { panic!("a row of three cells: {row:?}") };
        if theirs.starts_with("MPSD") || ours == "not yet" {
            continue;
        }
        for name in quoted(theirs) {
            assert!(aliases.contains(&name), "{name:?} of the table is no alias");
            assert!(listed.insert(name.clone()), "{name:?} is listed twice");
        }
    }
    let missing: Vec<&String> = aliases.difference(&listed).collect();
    assert!(missing.is_empty(), "aliases that the README does not list: {missing:?}");
}

#[test]
fn our_names_of_the_table_exist() {
    let readme = fs::read_to_string("README.md").unwrap();
    let source = source();
    for row in rows(section(&readme, "<!-- names -->", "<!-- /names -->")) {
        for name in row.get(1).map(|cell| quoted(cell)).unwrap_or_default() {
            let last = name.rsplit("::").next().unwrap();
            let forms = [
                format!("fn {last}"),
                format!("struct {last}"),
                format!("enum {last}"),
                format!("    {last} {{"),
                format!("pub {last}:"),
                format!("{last}: "),
                format!("const {last}"),
                last.to_owned(),
            ];
            assert!(forms.iter().any(|form| source.contains(form)), "{name} does not exist");
        }
    }
}

#[test]
fn every_row_is_shown_by_a_test_that_exists_and_only_what_comes_later_is_not() {
    let readme = fs::read_to_string("README.md").unwrap();
    let mut tests = source();
    sources(Path::new("tests"), &mut tests);
    let mut later = Vec::new();
    for row in rows(section(&readme, "<!-- names -->", "<!-- /names -->")) {
        if row[1] == "not yet" {
            later.push(row[0].clone());
            continue;
        }
        let shown = quoted(&row[2]);
        assert_eq!(shown.len(), 1, "{row:?} names one test");
        assert!(tests.contains(&format!("fn {}()", shown[0])), "{row:?}: no such test");
    }
    assert_eq!(later, ["C ABI"]);
}

#[test]
fn every_dependency_has_its_reason() {
    let readme = fs::read_to_string("README.md").unwrap();
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    let table = section(&manifest, "[dependencies]", "\n[");
    let used: BTreeSet<String> =
        table.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.trim().to_owned()).collect();
    let mut explained = BTreeSet::new();
    for row in rows(section(&readme, "<!-- dependencies -->", "\n\n")) {
        explained.extend(quoted(&row[0]));
    }
    assert_eq!(used, explained);
}

#[test]
fn the_sections_of_the_protocol_that_the_code_names_exist() {
    let page = fs::read_to_string("protocol.md").unwrap();
    let headings: BTreeSet<&str> =
        page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim()).collect();
    let source = source().replace("\n//! ", " ").replace("\n/// ", " ");
    for named in source.split("protocol.md, \"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(headings.contains(named), "protocol.md has no section {named:?}");
    }
}
