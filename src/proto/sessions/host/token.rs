//! The token of a seat as its host keeps it (protocol.md, "Resume"): two hashes, never the token itself.
//!
//! A hash holds the session, the account and the peer incarnation too, so it counts for one attach of one account in one
//! session, at whichever host has it.

use crate::wire::hash;

/// Which tokens bring their member back to this seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SeatToken {
    /// Of the one that was sent last.
    current: Option<[u8; 32]>,
    /// Of the one it was sent for: valid until the member's first frame behind its answer, so that an answer which is lost
    /// locks nobody out.
    previous: Option<[u8; 32]>,
}

impl SeatToken {
    /// From what [`hashes`](Self::hashes) said: a successor has it so.
    pub(super) fn restore([current, previous]: [Option<[u8; 32]>; 2]) -> Self {
        Self { current, previous }
    }

    /// All that a later host has to know.
    pub(super) fn hashes(&self) -> [Option<[u8; 32]>; 2] {
        [self.current, self.previous]
    }

    /// A new attach: no earlier token counts.
    pub(super) fn issue(&mut self, hash: [u8; 32]) {
        *self = Self::restore([Some(hash), None]);
    }

    /// The member showed one and is sent the next. What it showed it has, so nothing older is needed any more; the new one
    /// may be lost on its way.
    pub(super) fn renew(&mut self, shown: [u8; 32], next: [u8; 32]) {
        *self = Self::restore([Some(next), Some(shown)]);
    }

    /// A frame came behind the answer with the current one: the member has it.
    pub(super) fn heard(&mut self) {
        self.previous = None;
    }

    /// Whether a token of this hash counts; in the same time whichever it is.
    pub(super) fn admits(&self, hash: &[u8; 32]) -> bool {
        let equal = |kept: Option<[u8; 32]>| {
            let same = hash::equal(&kept.unwrap_or_default(), hash);
            same & kept.is_some()
        };
        let [current, previous] = self.hashes().map(equal);
        current | previous
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_former_token_counts_until_the_new_one_is_known_to_have_come() {
        let [first, second, third, fourth] = [[1; 32], [2; 32], [3; 32], [4; 32]];
        let mut token = SeatToken::default();
        assert!(!token.admits(&first) && !token.admits(&[0; 32]));
        token.issue(first);
        assert!(token.admits(&first) && !token.admits(&[0; 32]));
        // Its answer is lost: the member has the first one still, and shows it again.
        token.renew(first, second);
        assert!(token.admits(&first) && token.admits(&second));
        token.renew(first, third);
        assert!(token.admits(&first) && token.admits(&third) && !token.admits(&second));
        assert_eq!(SeatToken::restore(token.hashes()), token);
        // This one came, and the frame that would say so did not: it is shown instead.
        token.renew(third, fourth);
        assert!(token.admits(&third) && token.admits(&fourth) && !token.admits(&first));
        token.heard();
        assert!(token.admits(&fourth) && !token.admits(&third));
        token.issue(first);
        assert!(token.admits(&first) && !token.admits(&fourth));
    }
}
