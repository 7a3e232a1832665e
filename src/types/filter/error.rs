//! Where a filter's or an order's text is wrong, and what was probably meant.

use std::fmt;

use crate::types::error::Error;

/// A text that is no filter or order: where, why, and what to write instead.
///
/// ```
/// use lansession::Filter;
/// let text = "map = 'dust'";
/// let error = text.parse::<Filter>().unwrap_err();
/// assert_eq!(error.column(), 5);
/// assert_eq!(error.caret(text), "map = 'dust'\n    ^ `=` alone is no comparison: write `==`");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    column: usize,
    message: String,
}

impl FilterError {
    pub(super) fn new(column: usize, message: impl Into<String>) -> Self {
        Self { column, message: message.into() }
    }

    /// The first character that is wrong, counted from 1 in characters; one past the end where something is missing.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// What is wrong, without the column.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The line of `text` that is wrong, and under it a caret at the column with the message. Control characters are
    /// shown as spaces.
    #[must_use]
    pub fn caret(&self, text: &str) -> String {
        let before = self.column.saturating_sub(1);
        let start = text.chars().take(before).enumerate().filter(|(_, c)| *c == '\n').map(|(at, _)| at + 1).last();
        let start = start.unwrap_or(0);
        let line: String = text
            .chars()
            .skip(start)
            .take_while(|c| *c != '\n')
            .map(|c| if crate::types::is_displayable(c.encode_utf8(&mut [0; 4])) { c } else { ' ' })
            .collect();
        format!("{line}\n{:width$}^ {}", "", self.message, width = before - start)
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.message)
    }
}

impl std::error::Error for FilterError {}

impl From<FilterError> for Error {
    fn from(error: FilterError) -> Self {
        Self::invalid(error.to_string())
    }
}
