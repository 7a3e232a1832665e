//! The public half of a session's state: what its advert says.

use super::attributes::{Attributes, Visibility};
use super::settings::{JoinPolicy, Phase};
use super::snapshot::SessionSnapshot;

/// Everything a stranger may know of a session. Attributes here are public ones only.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize))]
pub struct PublicFacts {
    /// The session's name.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "super::serde::name"))]
    pub name: String,
    /// The game's version.
    pub version: u32,
    /// The state's revision number within its term.
    pub revision: u64,
    /// Seats taken.
    pub members: u16,
    /// Seats in all.
    pub max_members: u16,
    /// Public seats that are free.
    pub open_slots: u16,
    /// Seats held back from the public.
    pub reserved_slots: u16,
    /// Who may join; a value this version does not know counts as invite only.
    pub policy: JoinPolicy,
    /// Lobby, in progress or ended; a value this version does not know counts as ended.
    pub phase: Phase,
    /// Whether a password is needed.
    pub password: bool,
    /// Takes no new members.
    pub closed: bool,
    /// Takes back only those who were in it.
    pub locked: bool,
    /// Whether one may join while the match runs.
    pub join_in_progress: bool,
    /// Whether the host holds no seat.
    pub dedicated: bool,
    /// Whether matchmaking made it.
    pub matchmaking: bool,
    /// Whether matchmaking may still move its members into another session.
    pub mobile: bool,
    /// Whether its host says that the match runs under the game's anti-cheat.
    pub anti_cheat: bool,
    /// Whether its host lets players in that are under the service's sanctions.
    pub allow_sanctioned: bool,
    /// Keywords, folded to lower case (ASCII).
    #[cfg_attr(feature = "serde", serde(deserialize_with = "super::serde::keywords"))]
    pub keywords: Vec<String>,
    /// Public attributes.
    pub attributes: Attributes,
    /// The game's named ports.
    #[cfg_attr(feature = "serde", serde(with = "super::serde::ports"))]
    pub ports: Vec<(String, u16)>,
}

impl PublicFacts {
    /// What a stranger may know of a state: public attributes only.
    pub(crate) fn of(state: &SessionSnapshot) -> Self {
        Self {
            name: state.name.clone(),
            version: state.version,
            revision: state.revision.number,
            members: u16::try_from(state.members.len()).unwrap_or(u16::MAX),
            max_members: state.max_members,
            open_slots: state.open_slots(),
            reserved_slots: state.reserved_slots,
            policy: state.policy,
            phase: state.phase,
            password: state.password,
            closed: state.closed,
            locked: state.locked,
            join_in_progress: state.join_in_progress,
            dedicated: state.dedicated,
            matchmaking: state.matchmaking,
            mobile: state.mobile,
            anti_cheat: state.anti_cheat,
            allow_sanctioned: state.allow_sanctioned,
            keywords: state.keywords.clone(),
            attributes: state.attributes.visible_to(Visibility::Public),
            ports: state.ports.clone(),
        }
    }
}
