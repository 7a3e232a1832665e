//! Roles and teams: named places within a session, with caps that the host enforces.

use std::fmt;

use super::error::Error;
use super::text::check_name;

/// One role or team of a session: how many members should have it, and how many may.
///
/// ```
/// use lansession::{Role, SessionSettings};
/// let settings = SessionSettings::new("Raid").role(Role::new("tank").target(1).max(2)).role(Role::new("healer"));
/// assert!(settings.check().is_ok());
/// assert_eq!(Role::new("tank").max(2).to_string(), "tank (at most 2)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize))]
pub struct Role {
    /// 1 to 16 bytes, unique within the session.
    pub name: String,
    /// How many members should have it; for the game and for matchmakers, the host does not enforce it.
    #[cfg_attr(feature = "serde", serde(default))]
    pub target: Option<u16>,
    /// How many may have it; the next one is refused with `RoleFull`. `None`: as many as there are seats.
    #[cfg_attr(feature = "serde", serde(default))]
    pub max: Option<u16>,
}

impl Role {
    /// The longest name, in bytes.
    pub const MAX_NAME: usize = 16;

    /// A role without target and cap.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), target: None, max: None }
    }

    /// How many members should have it.
    #[must_use]
    pub fn target(mut self, members: u16) -> Self {
        self.target = Some(members);
        self
    }

    /// How many members may have it.
    #[must_use]
    pub fn max(mut self, members: u16) -> Self {
        self.max = Some(members);
        self
    }

    pub(super) fn check_all(roles: &[Self], most: usize) -> Result<(), Error> {
        if roles.len() > most {
            return Err(Error::invalid(format!("{} roles, at most {most} fit", roles.len())));
        }
        for (at, role) in roles.iter().enumerate() {
            check_name("a role's name", &role.name, Self::MAX_NAME)?;
            if roles.iter().take(at).any(|other| other.name == role.name) {
                return Err(Error::invalid(format!("two roles are named {:?}", role.name)));
            }
            if let (Some(target), Some(max)) = (role.target, role.max) {
                if target > max {
                    let name = &role.name;
                    return Err(Error::invalid(format!("role {name:?} has the target {target} over its max {max}")));
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.max {
            Some(max) => write!(f, "{} (at most {max})", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_targets_fit() {
        let why = |roles: &[Role]| Role::check_all(roles, 2).unwrap_err().to_string();
        assert!(Role::check_all(&[Role::new("a").target(1).max(1), Role::new("b")], 2).is_ok());
        assert!(why(&[Role::new("a"), Role::new("a")]).contains("two roles"));
        assert!(why(&[Role::new("a").target(2).max(1)]).contains("target 2 over its max 1"));
        assert!(why(&[Role::new("")]).contains("role"));
        assert!(why(&[Role::new("a"), Role::new("b"), Role::new("c")]).contains("at most 2"));
    }
}
