//! What a member's machine holds for the succession.

use crate::types::{GameState, Identity};
use crate::wire::frame::{Keeper, Succession, Vote};

pub(in crate::proto::sessions) struct Standing {
    pub(in crate::proto::sessions) seat_key: Identity,
    pub(in crate::proto::sessions) host: Option<Identity>,
    pub(in crate::proto::sessions) port: u16,
    pub(in crate::proto::sessions) succession: Option<Succession>,
    pub(in crate::proto::sessions) former: Option<Succession>,
    pub(in crate::proto::sessions) keeper: Option<Keeper>,
    pub(in crate::proto::sessions) state: Option<GameState>,
    pub(in crate::proto::sessions) promised: u32,
    pub(in crate::proto::sessions) voted: Option<Vote>,
}
