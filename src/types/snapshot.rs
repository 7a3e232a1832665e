//! A session's state at one revision, as one member sees it.

use std::fmt;

use super::attributes::Attributes;
use super::error::Error;
use super::id::SessionKey;
use super::key::{AccountId, HostKey};
use super::member::Member;
use super::migration::Migration;
use super::refusal::Refusal;
use super::role::Role;
use super::settings::{JoinPolicy, Phase};
use super::timeouts::MemberTimeouts;

/// The name of a state: the host's term and the number of changes, compared as a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize))]
pub struct Revision {
    /// The host's term: 1 for the founder, higher with each new host.
    pub term: u32,
    /// One more with each change; it goes on over terms.
    pub number: u64,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term, self.number)
    }
}

/// A session's whole state as a member sees it; read-only.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[doc(alias = "ISession")]
#[doc(alias = "ToLogString")]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize))]
pub struct SessionSnapshot {
    /// Which session it is.
    pub key: SessionKey,
    /// The state's name.
    pub revision: Revision,
    /// The present host's account; `None` where a dedicated host has no user.
    #[doc(alias = "GetOwnerAccountId")]
    pub host: Option<AccountId>,
    /// The key the host serves under.
    pub host_key: HostKey,
    /// The session's name, 1 to 64 bytes.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "super::serde::name"))]
    pub name: String,
    /// The schema's name; empty where none was set.
    #[cfg_attr(feature = "serde", serde(deserialize_with = "super::serde::schema"))]
    pub schema: String,
    /// The game's version.
    pub version: u32,
    /// Seats in all.
    pub max_members: u16,
    /// Of them, held back from the public.
    pub reserved_slots: u16,
    /// Who may join.
    pub policy: JoinPolicy,
    /// Lobby, in progress or ended.
    pub phase: Phase,
    /// Whether it is advertised.
    pub listed: bool,
    /// Takes no new members.
    pub closed: bool,
    /// Takes back only those who were in it.
    pub locked: bool,
    /// Whether one may join while the match runs.
    pub join_in_progress: bool,
    /// Whether a password is needed.
    pub password: bool,
    /// Whether the host holds no seat.
    pub dedicated: bool,
    /// Keywords, folded to lower case (ASCII).
    #[cfg_attr(feature = "serde", serde(deserialize_with = "super::serde::keywords"))]
    pub keywords: Vec<String>,
    /// The attributes that this member may see.
    pub attributes: Attributes,
    /// The game's own named ports.
    #[cfg_attr(feature = "serde", serde(with = "super::serde::ports"))]
    pub ports: Vec<(String, u16)>,
    /// The members, by number.
    pub members: Vec<Member>,
    /// The roles or teams it has.
    pub roles: Vec<Role>,
    /// Whose turn it is; members only, in the order that the host gave.
    pub turn: Vec<AccountId>,
    /// How long a member may stay in each state.
    pub timeouts: MemberTimeouts,
    /// Whether the match may start only when all active members are ready.
    pub ready_gate: bool,
    /// Whether matchmaking made it.
    pub matchmaking: bool,
    /// Whether matchmaking may still move its members into another session; it never does once this is false.
    pub mobile: bool,
    /// Whether its host says that the match runs under the game's anti-cheat; the library only tells it.
    pub anti_cheat: bool,
    /// Whether its host lets players in that are under the service's sanctions; the game's admission decides who is.
    pub allow_sanctioned: bool,
    /// What becomes of it when its host is gone.
    #[cfg_attr(feature = "serde", serde(default))]
    pub migration: Migration,
}

impl SessionSnapshot {
    /// Public seats that are free: seats in all, less those held back and those taken; never below zero.
    #[must_use]
    #[doc(alias = "GetNumOpenConnections")]
    pub fn open_slots(&self) -> u16 {
        let taken = u16::try_from(self.members.len()).unwrap_or(u16::MAX);
        self.max_members.saturating_sub(self.reserved_slots).saturating_sub(taken)
    }

    /// The member with this account.
    #[must_use]
    pub fn member(&self, account: AccountId) -> Option<&Member> {
        self.members.iter().find(|member| member.account == account)
    }

    /// Whether a stranger could join now, as far as this state tells; else the refusal that would come.
    ///
    /// # Errors
    /// The first of the host's checks that would fail.
    #[doc(alias = "IsJoinable")]
    pub fn joinable(&self) -> Result<(), Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        if self.locked {
            return Err(Refusal::Locked);
        }
        if self.phase != Phase::Lobby && !(self.phase == Phase::InProgress && self.join_in_progress) {
            return Err(Refusal::InProgress);
        }
        if self.open_slots() == 0 { Err(Refusal::Full) } else { Ok(()) }
    }

    /// The port of that name.
    ///
    /// # Errors
    /// `NotFound` naming the ports that exist.
    pub fn port(&self, name: &str) -> Result<u16, Error> {
        port_named(&self.ports, name)
    }
}

pub(super) fn port_named(ports: &[(String, u16)], name: &str) -> Result<u16, Error> {
    ports.iter().find(|(n, _)| n == name).map(|&(_, port)| port).ok_or_else(|| {
        let names: Vec<&str> = ports.iter().map(|(n, _)| n.as_str()).collect();
        let have = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Error::new(super::ErrorKind::NotFound, format!("the session has no port named {name:?}; it has {have}"))
    })
}

impl fmt::Display for SessionSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {:?} {}/{} {:?} {:?} rev {}",
            self.key,
            self.name,
            self.members.len(),
            self.max_members,
            self.policy,
            self.phase,
            self.revision
        )
    }
}
