//! Who goes on after this host: whom it knows to stand, the order it signs, and who has it (protocol.md, "Succession").

use super::super::core::Core;
use crate::types::{AccountId, Error, GameState, Identity, Migration};
use crate::wire::frame::{Reign, Takeover};

/// What a host holds for the case that it is lost.
#[derive(Debug)]
pub(in crate::proto::sessions) struct Rule {
    pub(in crate::proto::sessions) reign: Reign,
    /// Signs the host's own votes.
    pub(in crate::proto::sessions) seat_key: Identity,
    /// How it came to be host.
    pub(in crate::proto::sessions) lineage: Vec<Takeover>,
    /// The accounts that come first, whatever their standing.
    pub(in crate::proto::sessions) explicit: Vec<AccountId>,
    /// The game's own state.
    pub(in crate::proto::sessions) state: Option<GameState>,
}

impl Rule {
    /// The founder's, where the session is to outlive it.
    pub(super) fn of_founder(core: &mut Core, policy: Migration) -> Result<Option<Self>, Error> {
        if policy == Migration::Disabled {
            return Ok(None);
        }
        let seat_key = Identity::from_seed(core.random())?;
        Ok(Some(Self { reign: Reign::FOUNDER, seat_key, lineage: Vec::new(), explicit: Vec::new(), state: None }))
    }
}
