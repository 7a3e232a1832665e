//! Partial updates, and what they changed.

use super::attributes::{Attribute, Visibility};
use super::role::Role;
use super::settings::{JoinPolicy, SessionSettings};
use super::timeouts::MemberTimeouts;
use super::value::Value;

/// A partial update of a session's settings: what is not named stays.
///
/// ```
/// use lansession::SettingsUpdate;
/// let update = SettingsUpdate::new().set("map", "nuke").remove("mode").max_members(6);
/// assert!(!update.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[doc(alias = "FSessionSettingsUpdate")]
#[cfg_attr(
    feature = "serde",
    derive(::serde::Serialize, ::serde::Deserialize),
    serde(try_from = "super::serde::UpdateForm")
)]
pub struct SettingsUpdate {
    pub(crate) name: Option<String>,
    pub(crate) schema: Option<String>,
    pub(crate) max_members: Option<u16>,
    pub(crate) reserved_slots: Option<u16>,
    pub(crate) policy: Option<JoinPolicy>,
    pub(crate) listed: Option<bool>,
    pub(crate) closed: Option<bool>,
    pub(crate) locked: Option<bool>,
    pub(crate) join_in_progress: Option<bool>,
    pub(crate) keywords: Option<Vec<String>>,
    #[cfg_attr(feature = "serde", serde(with = "super::serde::some_ports"))]
    pub(crate) ports: Option<Vec<(String, u16)>>,
    pub(crate) roles: Option<Vec<Role>>,
    pub(crate) timeouts: Option<MemberTimeouts>,
    pub(crate) ready_gate: Option<bool>,
    #[cfg_attr(feature = "serde", serde(with = "super::serde::set"))]
    pub(crate) set: Vec<(String, Attribute)>,
    pub(crate) remove: Vec<String>,
}

impl SettingsUpdate {
    /// Changes nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Sets a public attribute.
    #[must_use]
    #[doc(alias = "UpdatedCustomSettings")]
    pub fn set(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set_with(name, value, Visibility::Public)
    }

    /// Sets an attribute with its visibility.
    #[must_use]
    pub fn set_with(mut self, name: impl Into<String>, value: impl Into<Value>, visibility: Visibility) -> Self {
        self.set.push((name.into(), Attribute { value: value.into(), visibility }));
        self
    }

    /// Removes an attribute; one that does not exist is no error.
    #[must_use]
    #[doc(alias = "RemovedCustomSettings")]
    pub fn remove(mut self, name: impl Into<String>) -> Self {
        self.remove.push(name.into());
        self
    }

    /// Another set of keywords.
    #[must_use]
    pub fn keywords(mut self, words: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.keywords = Some(words.into_iter().map(|word| word.into().to_ascii_lowercase()).collect());
        self
    }

    /// Another set of the game's named ports.
    #[must_use]
    pub fn ports(mut self, ports: impl IntoIterator<Item = (impl Into<String>, u16)>) -> Self {
        self.ports = Some(ports.into_iter().map(|(name, port)| (name.into(), port)).collect());
        self
    }

    /// Another name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Another schema name.
    #[must_use]
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = Some(name.into());
        self
    }

    /// Replaces the roles. Members keep a role that is gone until they take another.
    #[must_use]
    pub fn roles(mut self, roles: impl IntoIterator<Item = Role>) -> Self {
        self.roles = Some(roles.into_iter().collect());
        self
    }

    /// The settings after this update; nothing is checked here.
    pub(crate) fn applied_to(&self, settings: &SessionSettings) -> SessionSettings {
        let mut next = settings.clone();
        macro_rules! take {
            ($($field:ident),*) => { $(if let Some(value) = &self.$field { next.$field = value.clone(); })* };
        }
        take!(name, schema, max_members, reserved_slots, policy, closed, locked, join_in_progress, keywords, ports);
        take!(roles, timeouts, ready_gate);
        if self.listed.is_some() {
            next.listed = self.listed;
        }
        for name in &self.remove {
            next.attributes.remove(name);
        }
        for (name, attribute) in &self.set {
            if let Err(error) = next.attributes.insert(name.clone(), attribute.clone()) {
                next.problem.get_or_insert(error);
            }
        }
        next
    }
}

macro_rules! setters {
    ($($(#[$doc:meta])* $field:ident: $type:ty),* $(,)?) => {
        impl SettingsUpdate {
            $($(#[$doc])*
            #[must_use]
            pub fn $field(mut self, value: $type) -> Self {
                self.$field = Some(value);
                self
            })*
        }
    };
}

setters! {
    /// Another number of seats.
    max_members: u16,
    /// Another number of seats held back.
    reserved_slots: u16,
    /// Another policy.
    policy: JoinPolicy,
    /// Whether it is advertised.
    listed: bool,
    /// Whether it takes no new members.
    closed: bool,
    /// Whether it takes back only those who were in it.
    locked: bool,
    /// Whether one may join while the match runs.
    join_in_progress: bool,
    /// New timeouts of the members' states; they count from now on for those that are in one.
    timeouts: MemberTimeouts,
    /// Turns the ready gate on or off.
    ready_gate: bool,
}

/// An update of one's own seat: what is not named stays.
///
/// ```
/// use lansession::MemberUpdate;
/// assert!(!MemberUpdate::new().ready(true).set("team", "red").is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MemberUpdate {
    pub(crate) name: Option<String>,
    pub(crate) ready: Option<bool>,
    pub(crate) set: Vec<(String, Attribute)>,
    pub(crate) remove: Vec<String>,
}

impl MemberUpdate {
    /// Changes nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Another display name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// One's own "I am ready".
    #[must_use]
    pub fn ready(mut self, ready: bool) -> Self {
        self.ready = Some(ready);
        self
    }

    /// Sets an attribute of one's own, which members see.
    #[must_use]
    pub fn set(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set.push((name.into(), Attribute { value: value.into(), visibility: Visibility::Members }));
        self
    }

    /// Removes an attribute of one's own.
    #[must_use]
    pub fn remove(mut self, name: impl Into<String>) -> Self {
        self.remove.push(name.into());
        self
    }
}

/// One attribute's change: `old` is `None` where it is new, `new` where it was removed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AttributeChange {
    /// The attribute's name.
    pub name: String,
    /// Its value before.
    pub old: Option<Value>,
    /// Its value now.
    pub new: Option<Value>,
}

impl AttributeChange {
    pub(crate) fn new(name: impl Into<String>, old: Option<Value>, new: Option<Value>) -> Self {
        Self { name: name.into(), old, new }
    }
}

/// One setting's change, with its old and new value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[doc(alias = "FSessionUpdate")]
pub enum SettingsChange {
    /// The name.
    Name(String, String),
    /// The schema's name.
    Schema(String, String),
    /// Seats in all.
    MaxMembers(u16, u16),
    /// Seats held back.
    ReservedSlots(u16, u16),
    /// Who may join.
    Policy(JoinPolicy, JoinPolicy),
    /// Whether it is advertised.
    Listed(bool, bool),
    /// Whether it takes no new members.
    Closed(bool, bool),
    /// Whether it takes back only those who were in it.
    Locked(bool, bool),
    /// Whether one may join while the match runs.
    JoinInProgress(bool, bool),
    /// The keywords.
    Keywords(Vec<String>, Vec<String>),
    /// The game's named ports.
    Ports(Vec<(String, u16)>, Vec<(String, u16)>),
    /// The roles.
    Roles(Vec<Role>, Vec<Role>),
    /// The timeouts of the members' states.
    Timeouts(MemberTimeouts, MemberTimeouts),
    /// The ready gate.
    ReadyGate(bool, bool),
    /// Whether matchmaking may still move the session's members.
    Mobile(bool, bool),
    /// An attribute.
    Attribute(AttributeChange),
}
