//! What a host decides about its session, and what it decides once, when it makes it.

use std::fmt;

use super::attributes::{Attributes, Visibility};
use super::error::Error;
use super::id::SessionId;
use super::migration::Migration;
use super::role::Role;
use super::schema::Schema;
use super::text::{check_name, check_text};
use super::timeouts::MemberTimeouts;
use super::value::Value;

/// Who may join; the host enforces it at each join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
#[doc(alias = "ESessionJoinPolicy")]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum JoinPolicy {
    /// Everybody.
    #[default]
    Public,
    /// Friends of any member.
    FriendsOnly,
    /// Invited accounts.
    InviteOnly,
}

impl JoinPolicy {
    /// `public`, `friends_only` or `invite_only`: what `@policy` compares with.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::FriendsOnly => "friends_only",
            Self::InviteOnly => "invite_only",
        }
    }
}

/// Where a match stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
#[doc(alias = "EOnlineSessionState")]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Phase {
    /// Gathering.
    #[default]
    Lobby,
    /// Playing.
    InProgress,
    /// Over.
    Ended,
}

impl Phase {
    /// `lobby`, `in_progress` or `ended`: what `@phase` compares with.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lobby => "lobby",
            Self::InProgress => "in_progress",
            Self::Ended => "ended",
        }
    }
}

/// A password; `Debug` prints `***`, the memory is cleared on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(zeroize::Zeroizing<String>);

impl Password {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self(zeroize::Zeroizing::new(text.to_owned()))
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(zeroize::Zeroizing::new(text))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A session's settings; change them later with [`SettingsUpdate`](crate::SettingsUpdate).
///
/// A chain cannot return errors, so a bad value is kept and named by [`check`](Self::check) and by the call that uses
/// the settings.
///
/// ```
/// use lansession::SessionSettings;
/// let settings = SessionSettings::new("Ada's room").max_members(4).attr("map", "dust").port("game", 7777);
/// assert!(settings.check().is_ok());
/// assert!(SessionSettings::new("").check().is_err());
/// ```
#[derive(Debug, Clone, PartialEq)]
#[doc(alias = "FSessionSettings")]
pub struct SessionSettings {
    pub(crate) name: String,
    pub(crate) schema: String,
    pub(crate) declared: Option<Schema>,
    pub(crate) max_members: u16,
    pub(crate) reserved_slots: u16,
    pub(crate) policy: JoinPolicy,
    pub(crate) listed: Option<bool>,
    pub(crate) closed: bool,
    pub(crate) locked: bool,
    pub(crate) join_in_progress: bool,
    pub(crate) keywords: Vec<String>,
    pub(crate) attributes: Attributes,
    pub(crate) ports: Vec<(String, u16)>,
    pub(crate) roles: Vec<Role>,
    pub(crate) timeouts: MemberTimeouts,
    pub(crate) ready_gate: bool,
    pub(crate) problem: Option<Error>,
}

impl SessionSettings {
    /// The longest name, schema name and port name, in bytes.
    pub const MAX_NAME: usize = 64;
    /// The longest schema name, in bytes.
    pub const MAX_SCHEMA: usize = 32;
    /// The most members.
    pub const MAX_MEMBERS: u16 = 1_000;
    /// The most keywords.
    pub const MAX_KEYWORDS: usize = 16;
    /// The longest keyword, in bytes.
    pub const MAX_KEYWORD: usize = 32;
    /// The most named ports.
    pub const MAX_PORTS: usize = 8;
    /// The longest name of a port, in bytes.
    pub const MAX_PORT_NAME: usize = 8;
    /// The most roles.
    pub const MAX_ROLES: usize = 16;

    /// Settings with this name; 8 members, public, listed, open, joinable in progress.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            schema: String::new(),
            declared: None,
            max_members: 8,
            reserved_slots: 0,
            policy: JoinPolicy::Public,
            listed: None,
            closed: false,
            locked: false,
            join_in_progress: true,
            keywords: Vec::new(),
            attributes: Attributes::new(),
            ports: Vec::new(),
            roles: Vec::new(),
            timeouts: MemberTimeouts::new(),
            ready_gate: false,
            problem: None,
        }
    }

    /// The schema's name: which set of attributes the session uses. Up to 32 bytes.
    #[must_use]
    #[doc(alias = "SchemaName")]
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = name.into();
        self
    }

    /// A schema by its name and keys: the attributes, now and after each update, are held to what it declares. Another
    /// [`schema`](Self::schema) name ends that. It is code, not data: serde writes the name alone.
    #[must_use]
    pub fn declared(mut self, schema: Schema) -> Self {
        schema.name().clone_into(&mut self.schema);
        self.declared = Some(schema);
        self
    }

    /// Seats in all, 1 to 1,000.
    #[must_use]
    #[doc(alias = "NumMaxConnections")]
    pub fn max_members(mut self, max: u16) -> Self {
        self.max_members = max;
        self
    }

    /// Seats held back from the public, at most `max_members`.
    #[must_use]
    #[doc(alias = "NumPrivateConnections")]
    pub fn reserved_slots(mut self, slots: u16) -> Self {
        self.reserved_slots = slots;
        self
    }

    /// Who may join.
    #[must_use]
    #[doc(alias = "JoinPolicy")]
    pub fn policy(mut self, policy: JoinPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Whether it is advertised; by default a public session is, others are not.
    #[must_use]
    pub fn listed(mut self, listed: bool) -> Self {
        self.listed = Some(listed);
        self
    }

    /// Takes no new members.
    #[must_use]
    #[doc(alias = "bAllowNewMembers")]
    pub fn closed(mut self, closed: bool) -> Self {
        self.closed = closed;
        self
    }

    /// Takes back only those who were in it.
    #[must_use]
    pub fn locked(mut self, locked: bool) -> Self {
        self.locked = locked;
        self
    }

    /// Whether one may join while the match runs; on by default.
    #[must_use]
    #[doc(alias = "bAllowJoinInProgress")]
    pub fn join_in_progress(mut self, on: bool) -> Self {
        self.join_in_progress = on;
        self
    }

    /// One more keyword: 1 to 32 bytes, compared without regard to ASCII case, at most 16.
    #[must_use]
    pub fn keyword(mut self, word: impl Into<String>) -> Self {
        self.keywords.push(word.into().to_ascii_lowercase());
        self
    }

    /// A public attribute.
    #[must_use]
    #[doc(alias = "CustomSettings")]
    pub fn attr(self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.attr_with(name, value, Visibility::Public)
    }

    /// An attribute with its visibility.
    #[must_use]
    pub fn attr_with(mut self, name: impl Into<String>, value: impl Into<Value>, visibility: Visibility) -> Self {
        if let Err(error) = self.attributes.set_with(name, value, visibility) {
            self.problem.get_or_insert(error);
        }
        self
    }

    /// All attributes at once.
    #[must_use]
    pub fn attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// A port of the game's own, by name (1 to 8 bytes, at most 8 of them): `("game", 7777)`.
    #[must_use]
    pub fn port(mut self, name: impl Into<String>, port: u16) -> Self {
        self.ports.push((name.into(), port));
        self
    }

    /// Adds a role or team; up to 16.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.roles.push(role);
        self
    }

    /// How long a member may stay in each state.
    #[must_use]
    pub fn timeouts(mut self, timeouts: MemberTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The match starts only when all active members are ready; off unless said.
    #[must_use]
    pub fn ready_gate(mut self, on: bool) -> Self {
        self.ready_gate = on;
        self
    }

    /// Whether the session is to be advertised.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.listed.unwrap_or(self.policy == JoinPolicy::Public)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// `InvalidArgument` naming the first value out of its range and by how much. The byte budget of an advert is
    /// checked where the session is made, see [`Attributes`].
    pub fn check(&self) -> Result<(), Error> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        check_name("the session's name", &self.name, Self::MAX_NAME)?;
        check_text("the schema's name", &self.schema, Self::MAX_SCHEMA)?;
        if self.max_members == 0 || self.max_members > Self::MAX_MEMBERS {
            return Err(Error::invalid(format!("max_members is {}, it must be 1 to 1000", self.max_members)));
        }
        if self.reserved_slots > self.max_members {
            let (held, all) = (self.reserved_slots, self.max_members);
            return Err(Error::invalid(format!("reserved_slots is {held}, more than max_members, which is {all}")));
        }
        if self.keywords.len() > Self::MAX_KEYWORDS {
            return Err(Error::invalid(format!("{} keywords, at most 16 fit", self.keywords.len())));
        }
        for word in &self.keywords {
            check_name("a keyword", word, Self::MAX_KEYWORD)?;
        }
        if self.ports.len() > Self::MAX_PORTS {
            return Err(Error::invalid(format!("{} named ports, at most 8 fit", self.ports.len())));
        }
        for (at, (name, port)) in self.ports.iter().enumerate() {
            check_name("a port's name", name, Self::MAX_PORT_NAME)?;
            if *port == 0 {
                return Err(Error::invalid(format!("port {name:?} is 0, it must be 1 to 65535")));
            }
            if self.ports.iter().take(at).any(|(other, _)| other == name) {
                return Err(Error::invalid(format!("two ports are named {name:?}")));
            }
        }
        Role::check_all(&self.roles, Self::MAX_ROLES)?;
        self.timeouts.check()?;
        self.attributes.check()?;
        match &self.declared {
            Some(schema) if schema.name() == self.schema => schema.check(&self.attributes),
            _ => Ok(()),
        }
    }
}

/// What is decided once, when a session is made.
///
/// ```
/// use lansession::{HostRequest, SessionSettings};
/// let request = HostRequest::new(SessionSettings::new("room")).local_name("party").password("swordfish");
/// assert!(!format!("{request:?}").contains("swordfish"));
/// ```
#[derive(Debug, Clone)]
#[doc(alias = "FCreateSession")]
pub struct HostRequest {
    pub(crate) settings: SessionSettings,
    pub(crate) local_name: String,
    pub(crate) id: Option<SessionId>,
    pub(crate) dedicated: bool,
    pub(crate) presence: bool,
    pub(crate) anti_cheat: bool,
    pub(crate) allow_sanctioned: bool,
    pub(crate) password: Option<Password>,
    pub(crate) show_account: bool,
    pub(crate) control_port: u16,
    pub(crate) admission: bool,
    /// Made by matchmaking, and mobile until it is settled.
    pub(crate) matchmaking: bool,
    pub(crate) migration: Migration,
}

impl HostRequest {
    /// A request with these settings.
    #[must_use]
    pub fn new(settings: SessionSettings) -> Self {
        Self {
            settings,
            local_name: "game".into(),
            id: None,
            dedicated: false,
            presence: false,
            anti_cheat: false,
            allow_sanctioned: true,
            password: None,
            show_account: false,
            control_port: 0,
            admission: false,
            matchmaking: false,
            migration: Migration::Disabled,
        }
    }

    /// The name by which this process knows the session, `game` by default; a user's second session needs another.
    #[must_use]
    #[doc(alias = "SessionName")]
    pub fn local_name(mut self, name: impl Into<String>) -> Self {
        self.local_name = name.into();
        self
    }

    /// An id of one's own instead of one derived from the host key. It is unique only together with the founder's key.
    #[must_use]
    #[doc(alias = "SessionIdOverride")]
    pub fn id(mut self, id: SessionId) -> Self {
        self.id = Some(id);
        self
    }

    /// Makes it the host user's presence session: friends may find the user here and come too. Off by default;
    /// [`User::set_presence`](crate::User::set_presence) does the same later.
    #[must_use]
    #[doc(alias = "bPresenceEnabled")]
    pub fn presence(mut self, on: bool) -> Self {
        self.presence = on;
        self
    }

    /// Says that the match runs under the game's anti-cheat; off by default. Finders and members are told, nothing is
    /// enforced: [`admission`](Self::admission) is where a game checks its joiners.
    #[must_use]
    #[doc(alias = "bAntiCheatProtected")]
    pub fn anti_cheat(mut self, on: bool) -> Self {
        self.anti_cheat = on;
        self
    }

    /// Says whether players under the service's sanctions may come; they may by default. Told, not enforced, as
    /// [`anti_cheat`](Self::anti_cheat).
    #[must_use]
    #[doc(alias = "bAllowSanctionedPlayers")]
    pub fn allow_sanctioned(mut self, on: bool) -> Self {
        self.allow_sanctioned = on;
        self
    }

    /// The creator takes no seat.
    #[must_use]
    #[doc(alias = "bIsDedicatedServerSession")]
    pub fn dedicated(mut self, dedicated: bool) -> Self {
        self.dedicated = dedicated;
        self
    }

    /// A password that each joiner must prove to know; see `protocol.md`, "Password", for what it protects from.
    #[must_use]
    pub fn password(mut self, password: impl Into<Password>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Serves under the account's own key, so that everybody on the LAN sees which account hosts. Off by default.
    #[must_use]
    pub fn show_account(mut self, show: bool) -> Self {
        self.show_account = show;
        self
    }

    /// The TCP port of the session; 0, the default, takes a free one.
    #[must_use]
    pub fn control_port(mut self, port: u16) -> Self {
        self.control_port = port;
        self
    }

    /// What becomes of the session when this host is gone; it ends with it by default.
    #[must_use]
    pub fn migration(mut self, policy: Migration) -> Self {
        self.migration = policy;
        self
    }

    /// Asks the game about each joiner: [`SessionEvent::JoinAsked`](crate::SessionEvent), answered with
    /// [`Session::answer`](crate::Session::answer) within 3 s. Off by default.
    #[must_use]
    pub fn admission(mut self, ask: bool) -> Self {
        self.admission = ask;
        self
    }
}

impl From<SessionSettings> for HostRequest {
    fn from(settings: SessionSettings) -> Self {
        Self::new(settings)
    }
}
