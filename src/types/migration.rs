//! What lets a session outlive its host.

use std::fmt;
use std::sync::Arc;

use super::error::Error;

/// What becomes of a session whose host is gone (protocol.md, "Host migration").
///
/// With migration on, members learn each other's addresses, and the first five in the order of succession hold what else
/// only the host knows: bans, the password's key, invites, reservations, attributes for the host.
///
/// ```
/// use lansession::{HostRequest, Migration, SessionSettings};
/// assert_eq!(Migration::default(), Migration::Disabled);
/// let request = HostRequest::new(SessionSettings::new("room")).migration(Migration::Quorum);
/// # let _ = request;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Migration {
    /// It ends with its host.
    #[default]
    Disabled,
    /// It goes on where most of its machines, the lost one counted, agree on the next host: never two of them. Two machines
    /// have no majority without each other: theirs goes on only where the host hands it over.
    Quorum,
    /// As `Quorum`, and where there is no majority whoever is left goes on. Where both halves of a broken network do, the
    /// side without the majority gives way once they meet again. For games of two.
    AnySurvivor,
}

/// The game's own state, kept by the host for its successors: opaque bytes under a version that rises with each change.
///
/// ```
/// use lansession::GameState;
/// assert_eq!(GameState::MAX, 262_144);
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GameState {
    /// 1 for the first, one more with each.
    pub version: u64,
    /// At most [`MAX`](Self::MAX) bytes.
    pub data: Arc<[u8]>,
}

impl GameState {
    /// The most bytes.
    pub const MAX: usize = 256 << 10;

    pub(crate) fn check(data: &[u8]) -> Result<(), Error> {
        match data.len().checked_sub(Self::MAX) {
            None | Some(0) => Ok(()),
            Some(over) => {
                Err(Error::invalid(format!("the game's state is {over} bytes over the {} that fit", Self::MAX)))
            }
        }
    }
}

impl fmt::Debug for GameState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GameState {{ version: {}, {} bytes }}", self.version, self.data.len())
    }
}
