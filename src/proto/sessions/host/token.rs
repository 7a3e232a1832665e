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
    /// From what [`hashes`](Self::hashes) said: so a successor has it.
    pub(super) fn restore(hashes: &[[u8; 32]]) -> Self {
        Self { current: hashes.first().copied(), previous: hashes.get(1).copied() }
    }

    /// All that a later host has to know: the present one, and the one before it while that counts.
    pub(super) fn hashes(&self) -> impl Iterator<Item = [u8; 32]> + '_ {
        self.current.into_iter().chain(self.previous)
    }

    /// A new attach: no earlier token counts.
    pub(super) fn issue(&mut self, hash: [u8; 32]) {
        *self = Self::restore(&[hash]);
    }

    /// The member showed one and is sent the next. What it showed it has, so nothing older is needed any more; the new one
    /// may be lost on its way.
    pub(super) fn renew(&mut self, shown: [u8; 32], next: [u8; 32]) {
        *self = Self::restore(&[next, shown]);
    }

    /// A frame came behind the answer with the current one: the member has it.
    pub(super) fn heard(&mut self) {
        self.previous = None;
    }

    /// Whether a token of this hash counts; both are looked at, whichever it is.
    pub(super) fn admits(&self, hash: &[u8; 32]) -> bool {
        self.hashes().fold(false, |found, kept| found | hash::equal(&kept, hash))
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
        assert_eq!(SeatToken::restore(&token.hashes().collect::<Vec<_>>()), token);
        // This one came, and the frame that would say so did not: it is shown instead.
        token.renew(third, fourth);
        assert!(token.admits(&third) && token.admits(&fourth) && !token.admits(&first));
        token.heard();
        assert!(token.admits(&fourth) && !token.admits(&third));
        token.issue(first);
        assert!(token.admits(&first) && !token.admits(&fourth));
    }
}
