//! Which text may travel and be shown: UTF-8 without control characters and without bidi overrides.
//!
//! A name with an escape sequence rewrites a terminal, one with a bidi override a server list; so both are refused where
//! text is set and again where it is decoded.

use super::error::{Error, ErrorKind};

/// No C0, C1, line or paragraph separator, no bidi control.
pub(crate) fn is_displayable(text: &str) -> bool {
    !text.chars().any(|c| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

/// Text of at most `max` bytes that may be shown; `what` names it in the error.
pub(crate) fn check_text(what: &str, text: &str, max: usize) -> Result<(), Error> {
    if text.len() > max {
        let over = text.len() - max;
        return Err(Error::new(ErrorKind::InvalidArgument, format!("{what} is {over} bytes over its {max}")));
    }
    if !is_displayable(text) {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("{what} has a control or text-direction character"),
        ));
    }
    Ok(())
}

/// As [`check_text`], and not empty.
pub(crate) fn check_name(what: &str, text: &str, max: usize) -> Result<(), Error> {
    if text.is_empty() {
        return Err(Error::new(ErrorKind::InvalidArgument, format!("{what} is empty")));
    }
    check_text(what, text, max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_and_bidi_are_refused_and_the_excess_is_named() {
        assert!(check_text("name", "Ada's room \u{1F3AE}", 64).is_ok());
        for bad in ["a\u{1b}[2J", "a\u{202e}b", "a\nb", "\u{85}", "\u{2028}", "\u{2067}"] {
            assert!(check_text("name", bad, 64).is_err(), "{bad:?}");
        }
        assert!(check_name("name", "", 64).is_err());
        assert!(check_text("name", "abcdef", 4).unwrap_err().to_string().contains("2 bytes over"));
    }
}
