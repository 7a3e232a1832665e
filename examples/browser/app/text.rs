//! Text on a terminal: how wide it is, what of it fits, where it breaks.

use ratatui::text::Span;

/// Columns on the screen: none for a combining mark, two for an ideogram.
pub(crate) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

fn char_width(c: char) -> usize {
    width(c.encode_utf8(&mut [0; 4]))
}

/// As much of the start as fits, with `…` where something is left out.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = start(text, columns.saturating_sub(1)).to_owned();
    if columns > 0 {
        out.push('…');
    }
    out
}

/// The longest start that fits.
fn start(text: &str, columns: usize) -> &str {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += char_width(c);
        if used > columns {
            return text.get(..at).unwrap_or_default();
        }
    }
    text
}

/// A cell of a table: exactly so wide, its text to the left.
pub(crate) fn left(text: &str, columns: usize) -> String {
    let text = fit(text, columns);
    let room = columns.saturating_sub(width(&text));
    text + &" ".repeat(room)
}

/// The same with its text to the right.
pub(crate) fn right(text: &str, columns: usize) -> String {
    let text = fit(text, columns);
    " ".repeat(columns.saturating_sub(width(&text))) + &text
}

/// Lines that fit: broken at spaces, and inside a word that is longer than a line.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut rest = paragraph;
        while width(rest) > columns {
            let head = start(rest, columns);
            // A character wider than the line would never be taken.
            let head = if head.is_empty() { rest.chars().next().map_or("", |c| &rest[..c.len_utf8()]) } else { head };
            let next = rest.get(head.len()..).unwrap_or_default();
            // An indent is no place to break.
            let indent = head.len() - head.trim_start().len();
            let space = head.rfind(' ').filter(|&at| at > indent);
            let (line, after) = match space {
                Some(_) if next.starts_with(' ') => (head, next),
                Some(at) => rest.split_at(at),
                None => (head, next),
            };
            lines.push(line.trim_end().to_owned());
            rest = after.trim_start();
        }
        if !rest.is_empty() || paragraph.is_empty() {
            lines.push(rest.to_owned());
        }
    }
    lines
}

/// A chat message's bytes as one line that cannot command a terminal or turn a line around: what the library does with
/// names it leaves alone in messages, which are the game's own.
pub(crate) fn clean(data: &[u8]) -> String {
    let bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    String::from_utf8_lossy(data).chars().map(|c| if bad(c) { ' ' } else { c }).collect()
}

/// How long ago, for people.
pub(crate) fn ago(seconds: u64) -> String {
    match seconds {
        0..60 => "just now".to_owned(),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_cut_by_columns() {
        assert_eq!((fit("arena", 5), fit("arena", 4)), ("arena".into(), "are…".into()));
        assert_eq!((fit("会議室の部屋", 7), width(&left("会議室の部屋", 6))), ("会議室…".into(), 6));
        assert_eq!((left("ab", 4), right("ab", 4), fit("ab", 0)), ("ab  ".into(), "  ab".into(), String::new()));
    }

    #[test]
    fn lines_break_at_spaces_and_inside_long_words() {
        assert_eq!(wrap("a host is near", 7), ["a host", "is near"]);
        assert_eq!(wrap("  lansession:ABC", 8), ["  lanses", "sion:ABC"]);
        assert_eq!(wrap("a\n\nb", 9), ["a", "", "b"]);
        assert_eq!(wrap("会議", 1), ["会", "議"]);
        assert!(wrap("", 9).is_empty());
    }

    #[test]
    fn a_message_commands_no_terminal() {
        assert_eq!(clean(b"hi\x1b[2J\nyou\xff"), "hi [2J you\u{fffd}");
        assert_eq!(clean("a\u{202e}b".as_bytes()), "a b");
    }

    #[test]
    fn times_are_for_people() {
        assert_eq!([ago(3), ago(61), ago(7_200), ago(200_000)], ["just now", "1 min ago", "2 h ago", "2 days ago"]);
    }
}
