//! One line that the player types: a filter, a password, a message.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::text::width;

/// The text and where the next letter goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line {
    letters: Vec<char>,
    cursor: usize,
    /// The most bytes of it.
    longest: usize,
}

impl Line {
    /// An empty one that takes so many bytes.
    pub(crate) fn new(longest: usize) -> Self {
        Self { longest, ..Self::default() }
    }

    pub(crate) fn text(&self) -> String {
        self.letters.iter().collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.letters.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.letters.clear();
        self.cursor = 0;
    }

    fn insert(&mut self, letter: char) {
        let bytes: usize = self.letters.iter().map(|c| c.len_utf8()).sum();
        if !letter.is_control() && bytes + letter.len_utf8() <= self.longest {
            self.letters.insert(self.cursor, letter);
            self.cursor += 1;
        }
    }

    /// Whether the key changed the text or moved in it; others are the caller's.
    pub(crate) fn key(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        // With Alt Gr, which makes letters such as `@`, both are reported.
        let other = control != key.modifiers.contains(KeyModifiers::ALT);
        match key.code {
            KeyCode::Char('u') if control => self.clear(),
            KeyCode::Char('a') if control => self.cursor = 0,
            KeyCode::Char('e') if control => self.cursor = self.letters.len(),
            KeyCode::Char(letter) if !other => self.insert(letter),
            KeyCode::Backspace => {
                if let Some(before) = self.cursor.checked_sub(1) {
                    self.letters.remove(before);
                    self.cursor = before;
                }
            }
            KeyCode::Delete => {
                if self.cursor < self.letters.len() {
                    self.letters.remove(self.cursor);
                }
            }
            KeyCode::Left => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Right => self.cursor = self.letters.len().min(self.cursor + 1),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.letters.len(),
            _ => return false,
        }
        true
    }

    /// What of it is seen in so many columns, with the cursor in sight.
    pub(crate) fn view(&self, columns: usize, hidden: bool) -> View {
        let letters: Vec<char> = if hidden { vec!['*'; self.letters.len()] } else { self.letters.clone() };
        let span = |from: usize, to: usize| -> usize {
            letters.iter().skip(from).take(to.saturating_sub(from)).map(|c| width(c.encode_utf8(&mut [0; 4]))).sum()
        };
        let mut first = 0;
        while first < self.cursor && span(first, self.cursor) >= columns {
            first += 1;
        }
        let mut last = first;
        while last < letters.len() && span(first, last + 1) <= columns {
            last += 1;
        }
        View { text: letters[first..last].iter().collect(), first, cursor: span(first, self.cursor) }
    }

    /// In which column of a view its character of this index (from 0) is; `None` where it is out of sight.
    pub(crate) fn column(&self, view: &View, at: usize) -> Option<usize> {
        let letters = at.checked_sub(view.first)?;
        Some(self.letters.iter().skip(view.first).take(letters).map(|c| width(c.encode_utf8(&mut [0; 4]))).sum())
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        let mut line = Self::new(text.len());
        text.chars().for_each(|letter| line.insert(letter));
        line
    }
}

/// The part of a line that is in sight.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) text: String,
    /// The first character in sight.
    first: usize,
    /// The cursor's column.
    pub(crate) cursor: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(line: &mut Line, keys: &[KeyCode]) {
        for &code in keys {
            assert!(line.key(KeyEvent::new(code, KeyModifiers::NONE)));
        }
    }

    #[test]
    fn letters_go_where_the_cursor_is() {
        let mut line = Line::new(4);
        press(&mut line, &[KeyCode::Char('b'), KeyCode::Home, KeyCode::Char('a'), KeyCode::End, KeyCode::Char('c')]);
        assert_eq!(line.text(), "abc");
        press(&mut line, &[KeyCode::Left, KeyCode::Backspace, KeyCode::Delete, KeyCode::Delete]);
        assert_eq!(line.text(), "a");
        press(&mut line, &[KeyCode::Char('é'), KeyCode::Char('ö')]);
        assert_eq!(line.text(), "aé", "four bytes and no more");
        let at = KeyEvent::new(KeyCode::Char('@'), KeyModifiers::CONTROL | KeyModifiers::ALT);
        assert!(!Line::new(9).key(KeyEvent::new(KeyCode::Char('x'), KeyModifiers::CONTROL)) && Line::new(9).key(at));
    }

    #[test]
    fn the_cursor_stays_in_sight() {
        let mut line = Line::from("0123456789");
        let view = line.view(5, false);
        assert_eq!((view.text.as_str(), view.cursor), ("6789", 4));
        assert_eq!((line.column(&view, 7), line.column(&view, 2)), (Some(1), None));
        press(&mut line, &[KeyCode::Home]);
        assert_eq!((line.view(5, true).text.as_str(), line.view(5, true).cursor), ("*****", 0));
        let wide = Line::from("会議室");
        assert_eq!((wide.view(5, false).text.as_str(), wide.view(5, false).cursor), ("議室", 4));
    }
}
