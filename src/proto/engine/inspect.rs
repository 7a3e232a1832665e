//! What a test of a whole run may look at inside.

use super::Engine;
use crate::proto::limits::{self, Census};
use crate::proto::sessions::Sessions;
use crate::types::SessionKey;
use crate::wire::frame::Reign;

impl Engine {
    pub(crate) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The reign in which a session ended, as this process was told.
    pub(crate) fn ended(&self, key: &SessionKey) -> Option<Reign> {
        self.discovery.ended(key)
    }

    /// What its users want of the network: sessions hosted, lists asked for, accounts looked for.
    pub(crate) fn wishes(&self) -> usize {
        self.askers.len() + self.sessions.hosted().count() + self.social.questions()
    }

    /// Everything that an outsider can grow, with its cap.
    pub(crate) fn sizes(&self) -> Census {
        let mut census = Census::new();
        self.discovery.sizes(&mut census);
        self.sessions.sizes(&mut census);
        self.social.sizes(&mut census);
        census.push(("askers of lists", self.askers.len(), limits::QUERIES));
        census
    }
}
