//! The golden bytes: the blocks of `protocol.md` that the tests hold in both directions, and the sweeps over them.
//!
//! A block opens with ```` ```hex NAME ````. With `LANSESSION_BLESS=1` a test writes its block instead of comparing it.

use std::fs;
use std::path::PathBuf;

use super::fuzz;

fn page() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("protocol.md")
}

/// The text of a named block.
fn block(page: &str, tag: &str, name: &str) -> Option<String> {
    let open = format!("```{tag} {name}\n");
    let start = page.find(&open)? + open.len();
    let length = page[start..].find("```")?;
    Some(page[start..start + length].to_owned())
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    assert!(digits.len() % 2 == 0);
    digits.chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// The page's bytes of this name.
pub(crate) fn read(name: &str) -> Vec<u8> {
    let page = fs::read_to_string(page()).unwrap();
    from_hex(&block(&page, "hex", name).unwrap_or_else(|| panic!("protocol.md has no block `hex {name}`")))
}

/// The page's text of this name.
pub(crate) fn read_text(name: &str) -> String {
    let page = fs::read_to_string(page()).unwrap();
    let text = block(&page, "text", name).unwrap_or_else(|| panic!("protocol.md has no block `text {name}`"));
    text.trim_end().to_owned()
}

/// Writes the page anew if that is wanted.
fn bless(new: impl FnOnce(String) -> String) -> bool {
    if std::env::var_os("LANSESSION_BLESS").is_none() {
        return false;
    }
    // Tests run side by side in one process; nothing else writes the page.
    static PAGE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = PAGE.lock();
    fs::write(page(), new(fs::read_to_string(page()).unwrap_or_default())).unwrap();
    true
}

fn bless_block(tag: &str, name: &str, body: &str) -> bool {
    let open = format!("```{tag} {name}\n");
    bless(|text| match (text.find(&open), block(&text, tag, name)) {
        (Some(at), Some(old)) => {
            let start = at + open.len();
            format!("{}{body}{}", &text[..start], &text[start + old.len()..])
        }
        _ => format!("{text}\n{open}{body}```\n"),
    })
}

/// Where the rows of the table after `<!-- NAME -->` are, below its heading.
fn rows(page: &str, name: &str) -> std::ops::Range<usize> {
    let mark = format!("<!-- {name} -->");
    let mark = page.find(&mark).unwrap_or_else(|| panic!("protocol.md has no table {name}"));
    let line = mark + page[mark..].find("\n|---").expect("a table has a heading") + 1;
    let start = line + page[line..].find('\n').expect("rows below the heading") + 1;
    let length: usize = page[start..].split_inclusive('\n').take_while(|row| row.starts_with('|')).map(str::len).sum();
    start..start + length
}

/// These are the rows of the page's table of this name.
pub(crate) fn check_rows(name: &str, expected: &[String]) {
    let body: String = expected.iter().map(|row| format!("{row}\n")).collect();
    let place = |text: String| {
        let at = rows(&text, name);
        format!("{}{body}{}", &text[..at.start], &text[at.end..])
    };
    if !bless(place) {
        let page = fs::read_to_string(page()).unwrap();
        let found: Vec<_> = page[rows(&page, name)].lines().collect();
        assert_eq!(found, expected, "protocol.md's table {name} is not what the code has");
    }
}

/// These are the page's bytes of this name.
pub(crate) fn check(name: &str, bytes: &[u8]) {
    let hex: Vec<String> =
        bytes.chunks(32).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>()).collect();
    if !bless_block("hex", name, &format!("{}\n", hex.join("\n"))) {
        assert_eq!(read(name), bytes, "protocol.md's block `hex {name}` is not what the code writes");
    }
}

/// This is the page's text of this name.
pub(crate) fn check_text(name: &str, text: &str) {
    if !bless_block("text", name, &format!("{text}\n")) {
        assert_eq!(read_text(name), text, "protocol.md's block `text {name}` is not what the code writes");
    }
}

/// Runs a fuzz body over every truncation and every damaged byte.
pub(crate) fn sweep(bytes: &[u8], body: fn(&[u8])) {
    body(bytes);
    for length in 0..bytes.len() {
        body(&bytes[..length]);
    }
    let mut damaged = bytes.to_vec();
    for at in 0..bytes.len() {
        let sound = bytes[at];
        for bit in 0..8 {
            damaged[at] = sound ^ (1 << bit);
            body(&damaged);
        }
        for value in [0, 0xff, 0x7f, 0x80, sound.wrapping_add(1), sound.wrapping_sub(1)] {
            damaged[at] = value;
            body(&damaged);
        }
        damaged[at] = sound;
    }
}

#[test]
fn random_bytes_panic_nowhere() {
    use proptest::prelude::*;
    proptest!(|(bytes in proptest::collection::vec(any::<u8>(), 0..300))| {
        fuzz::all(&bytes);
    });
}
