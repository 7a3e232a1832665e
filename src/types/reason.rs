//! What a game says when it kicks or refuses: a number to show by, a text to log.

use std::fmt;

use super::error::Error;
use super::text::check_text;

/// A game's own reason: `code` chooses the text that the player sees, `text` goes to the log.
///
/// ```
/// use lansession::Reason;
/// assert_eq!(Reason::from("AFK").text(), "AFK");
/// assert_eq!(Reason::new(7, "AFK").code(), 7);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[cfg_attr(
    feature = "serde",
    derive(::serde::Serialize, ::serde::Deserialize),
    serde(try_from = "super::serde::ReasonForm")
)]
pub struct Reason {
    code: u32,
    text: String,
}

impl Reason {
    /// The longest text, in bytes.
    pub const MAX_TEXT: usize = 128;

    /// A reason of the game's own numbering.
    #[must_use]
    pub fn new(code: u32, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// The game's own number; 0 where only a text was given.
    #[must_use]
    pub fn code(&self) -> u32 {
        self.code
    }

    /// The text, at most 128 bytes, without control and bidi characters.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        check_text("the reason", &self.text, Self::MAX_TEXT)
    }
}

impl From<&str> for Reason {
    fn from(text: &str) -> Self {
        Self::new(0, text)
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self::new(0, text)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.is_empty() { write!(f, "reason {}", self.code) } else { f.write_str(&self.text) }
    }
}
