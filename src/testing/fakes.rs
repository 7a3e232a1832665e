//! Things that nobody hosts: list entries, members and states for tests of a game's own screens, which cannot write them
//! out because they may get more fields.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use ring::digest::{SHA256, digest};

use crate::types::{
    AccountId, Attributes, External, Found, FoundAddress, FoundData, HostKey, Identity, LinkState, Member,
    MemberStatus, Phase, PublicFacts, Revision, SessionId, SessionKey, SessionSettings, SessionSnapshot, Source,
    Sources, Value, Visibility, WIRE_MAJOR,
};

/// The same name, the same key.
pub(super) fn key_named(name: &str) -> AccountId {
    let mut seed = [0; 32];
    seed.copy_from_slice(digest(&SHA256, name.as_bytes()).as_ref());
    match Identity::from_seed(seed) {
        Ok(identity) => identity.account(),
        Err(error) => panic!("no key for {name:?}: {error}"),
    }
}

pub(super) fn session_named(name: &str) -> SessionKey {
    let founder = HostKey::from(key_named(&format!("host of {name}")).public_key());
    SessionKey { id: SessionId::from_name(name), founder }
}

fn checked(settings: SessionSettings) -> SessionSettings {
    if let Err(error) = settings.check() {
        panic!("a session with these settings cannot be: {error}");
    }
    settings
}

// ---------------------------------------------------------------------------------------------------------- members

/// A member of that name: number 0, ready to play, connected, no host. The same name has the same account.
///
/// ```
/// use lansession::testing::member;
/// let ada = member("Ada").number(2).ready(true).build();
/// assert_eq!(ada.to_string(), format!("#2 Ada ({:?})", ada.account));
/// assert_eq!(ada.account, member("Ada").build().account);
/// ```
#[must_use]
pub fn member(name: impl Into<String>) -> FakeMember {
    let name = name.into();
    FakeMember(Member {
        role: None,
        account: key_named(&name),
        name,
        external: None,
        number: 0,
        status: MemberStatus::Active,
        link: LinkState::Connected,
        ready: false,
        is_host: false,
        attributes: Attributes::new(),
        joined_revision: 1,
    })
}

/// Builds a [`Member`]; made by [`member`].
#[derive(Debug, Clone)]
pub struct FakeMember(Member);

impl FakeMember {
    /// Its seat's number.
    #[must_use]
    pub fn number(mut self, number: u16) -> Self {
        self.0.number = number;
        self
    }

    /// Its seat's state.
    #[must_use]
    pub fn status(mut self, status: MemberStatus) -> Self {
        self.0.status = status;
        self
    }

    /// Whether the host hears it.
    #[must_use]
    pub fn link(mut self, link: LinkState) -> Self {
        self.0.link = link;
        self
    }

    /// Its own "I am ready".
    #[must_use]
    pub fn ready(mut self, ready: bool) -> Self {
        self.0.ready = ready;
        self
    }

    /// It hosts.
    #[must_use]
    pub fn host(mut self) -> Self {
        self.0.is_host = true;
        self
    }

    /// Its role or team.
    #[must_use]
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.0.role = Some(role.into());
        self
    }

    /// Its account instead of one made from its name.
    #[must_use]
    pub fn account(mut self, account: AccountId) -> Self {
        self.0.account = account;
        self
    }

    /// Its account at the embedding service.
    #[must_use]
    pub fn external(mut self, external: External) -> Self {
        self.0.external = Some(external);
        self
    }

    /// An attribute of its own.
    ///
    /// # Panics
    /// For an attribute that cannot be.
    #[must_use]
    pub fn attr(mut self, name: &str, value: impl Into<Value>) -> Self {
        if let Err(error) = self.0.attributes.set(name, value) {
            panic!("a member with this attribute cannot be: {error}");
        }
        self
    }

    /// The member.
    #[must_use]
    pub fn build(self) -> Member {
        self.0
    }
}

// -------------------------------------------------------------------------------------------------------- snapshots

/// A session's state with these settings: revision 1.1, in the lobby, with one member, `Host`, unless others are given.
///
/// ```
/// use lansession::testing::{member, snapshot};
/// use lansession::SessionSettings;
/// let state = snapshot(SessionSettings::new("room").max_members(4))
///     .member(member("Ada").host())
///     .member(member("Bob").ready(true))
///     .build();
/// assert_eq!((state.open_slots(), state.members[1].number), (2, 1));
/// assert_eq!(state.host, Some(state.members[0].account));
/// ```
///
/// # Panics
/// For settings that cannot be.
#[must_use]
pub fn snapshot(settings: SessionSettings) -> FakeSnapshot {
    let settings = checked(settings);
    let key = session_named(&settings.name);
    FakeSnapshot(SessionSnapshot {
        roles: Vec::new(),
        turn: Vec::new(),
        timeouts: crate::types::MemberTimeouts::new(),
        ready_gate: false,
        matchmaking: false,
        mobile: false,
        anti_cheat: false,
        allow_sanctioned: true,
        migration: crate::types::Migration::Disabled,
        key,
        revision: Revision { term: 1, number: 1 },
        host: None,
        host_key: key.founder,
        listed: settings.is_listed(),
        name: settings.name,
        schema: settings.schema,
        version: 0,
        max_members: settings.max_members,
        reserved_slots: settings.reserved_slots,
        policy: settings.policy,
        phase: Phase::Lobby,
        closed: settings.closed,
        locked: settings.locked,
        join_in_progress: settings.join_in_progress,
        password: false,
        dedicated: false,
        keywords: settings.keywords,
        attributes: settings.attributes,
        ports: settings.ports,
        members: Vec::new(),
    })
}

/// Builds a [`SessionSnapshot`]; made by [`snapshot`].
#[derive(Debug, Clone)]
pub struct FakeSnapshot(SessionSnapshot);

impl FakeSnapshot {
    /// One more member; without a number of its own it gets the next one.
    #[must_use]
    pub fn member(mut self, member: FakeMember) -> Self {
        let mut member = member.build();
        if self.0.members.iter().any(|other| other.number == member.number) {
            let next = self.0.members.iter().map(|other| other.number.saturating_add(1)).max();
            member.number = next.unwrap_or(0);
        }
        self.0.members.push(member);
        self.0.members.sort_by_key(|member| member.number);
        self
    }

    /// Lobby, in progress or ended.
    #[must_use]
    pub fn phase(mut self, phase: Phase) -> Self {
        self.0.phase = phase;
        self
    }

    /// The state's name.
    #[must_use]
    pub fn revision(mut self, term: u32, number: u64) -> Self {
        self.0.revision = Revision { term, number };
        self
    }

    /// The game's version.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.0.version = version;
        self
    }

    /// Whether it has a password.
    #[must_use]
    pub fn password(mut self, password: bool) -> Self {
        self.0.password = password;
        self
    }

    /// Whose turn it is.
    #[must_use]
    pub fn turn(mut self, accounts: impl IntoIterator<Item = AccountId>) -> Self {
        self.0.turn = accounts.into_iter().collect();
        self
    }

    /// Whether the host holds no seat.
    #[must_use]
    pub fn dedicated(mut self, dedicated: bool) -> Self {
        self.0.dedicated = dedicated;
        self
    }

    /// The state.
    #[must_use]
    pub fn build(mut self) -> SessionSnapshot {
        if self.0.members.is_empty() && !self.0.dedicated {
            self = self.member(member("Host").host());
        }
        self.0.host = self.0.members.iter().find(|member| member.is_host).map(|member| member.account);
        self.0
    }
}

// ----------------------------------------------------------------------------------------------------- list entries

/// A listed session with these settings: one member, in the lobby, confirmed, heard by beacon from 10.77.0.1 with a ping of
/// 1 ms, of this finder's own version. The same name has the same key.
///
/// ```
/// use lansession::testing::found;
/// use lansession::{Refusal, SessionSettings};
/// let settings = SessionSettings::new("room").max_members(4).attr("map", "dust").port("game", 7777);
/// let entry = found(settings).members(4).build();
/// assert_eq!(entry.joinable(), Err(Refusal::Full));
/// assert_eq!(entry.endpoint("game").unwrap().to_string(), "10.77.0.1:7777");
/// ```
///
/// # Panics
/// For settings that cannot be.
#[must_use]
pub fn found(settings: SessionSettings) -> FakeFound {
    let settings = checked(settings);
    let key = session_named(&settings.name);
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1)), 40_001);
    let data = FoundData {
        key,
        host_key: key.founder,
        incarnation: 1,
        term: 1,
        facts: PublicFacts {
            matchmaking: false,
            mobile: false,
            anti_cheat: false,
            allow_sanctioned: true,
            name: settings.name,
            version: 0,
            revision: 1,
            members: 1,
            max_members: settings.max_members,
            open_slots: 0,
            reserved_slots: settings.reserved_slots,
            policy: settings.policy,
            phase: Phase::Lobby,
            password: false,
            closed: settings.closed,
            locked: settings.locked,
            join_in_progress: settings.join_in_progress,
            dedicated: false,
            keywords: settings.keywords,
            attributes: settings.attributes.visible_to(Visibility::Public),
            ports: settings.ports,
        },
        major: WIRE_MAJOR,
        incompatible: false,
        our_version: 0,
        addresses: vec![FoundAddress::new(address, Some(Duration::from_millis(1)))],
        sources: Sources::default(),
        confirmed: true,
        silent: false,
        migrating: false,
        migratable: false,
        listed: true,
        matched: None,
        started: 1,
    };
    FakeFound { data, addressed: false }
}

/// Builds a [`Found`]; made by [`found`].
#[derive(Debug, Clone)]
pub struct FakeFound {
    data: FoundData,
    /// An address was given, so the made-up one is out.
    addressed: bool,
}

impl FakeFound {
    /// Seats taken; 1 where nothing else is said.
    #[must_use]
    pub fn members(mut self, members: u16) -> Self {
        self.data.facts.members = members;
        self
    }

    /// Lobby, in progress or ended.
    #[must_use]
    pub fn phase(mut self, phase: Phase) -> Self {
        self.data.facts.phase = phase;
        self
    }

    /// Whether it needs a password.
    #[must_use]
    pub fn password(mut self, password: bool) -> Self {
        self.data.facts.password = password;
        self
    }

    /// The game's version there; the finder's is 0, so any other is incompatible.
    #[must_use]
    pub fn version(mut self, version: u32) -> Self {
        self.data.facts.version = version;
        self
    }

    /// Where it is and how far away; a second call adds an address.
    #[must_use]
    pub fn address(mut self, address: SocketAddr, ping: Option<Duration>) -> Self {
        if !std::mem::replace(&mut self.addressed, true) {
            self.data.addresses.clear();
        }
        self.data.addresses.push(FoundAddress::new(address, ping));
        self
    }

    /// By which path it came; a second call adds one.
    #[must_use]
    pub fn source(mut self, source: Source) -> Self {
        self.data.sources.insert(source);
        self
    }

    /// Whether it answered a question of ours.
    #[must_use]
    pub fn confirmed(mut self, confirmed: bool) -> Self {
        self.data.confirmed = confirmed;
        self
    }

    /// Whether the last probes went unanswered.
    #[must_use]
    pub fn silent(mut self, silent: bool) -> Self {
        self.data.silent = silent;
        self
    }

    /// The entry.
    #[must_use]
    pub fn build(mut self) -> Found {
        let facts = &mut self.data.facts;
        facts.open_slots = facts.max_members.saturating_sub(facts.reserved_slots).saturating_sub(facts.members);
        if self.data.sources == Sources::default() {
            self.data.sources.insert(Source::Beacon);
        }
        Found::new(self.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Refusal;

    #[test]
    fn members_get_numbers() {
        let state = snapshot(SessionSettings::new("room")).member(member("a")).member(member("b")).build();
        assert_eq!(state.members.iter().map(|m| m.number).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(state.host, None);
        let bob = member("Bob").role("red").build();
        let turn = snapshot(SessionSettings::new("room")).member(member("Bob").role("red")).turn([bob.account]).build();
        assert_eq!((turn.members[0].role.as_deref(), turn.turn), (Some("red"), vec![bob.account]));
        let alone = snapshot(SessionSettings::new("room")).build();
        assert_eq!(alone.host, Some(alone.members[0].account));
    }

    #[test]
    fn entries_are_what_was_asked_for() {
        let settings = SessionSettings::new("room").attr_with("seed", 7, Visibility::Members);
        let far = SocketAddr::from(([10, 0, 0, 9], 5));
        let entry = found(settings).version(2).address(far, None).build();
        assert!(entry.attributes().is_empty());
        assert_eq!(entry.addresses().len(), 1);
        assert_eq!(entry.joinable(), Err(Refusal::Incompatible { ours: 0, theirs: 2 }));
        assert!(entry.sources().contains(Source::Beacon));
    }

    #[test]
    #[should_panic(expected = "cannot be")]
    fn bad_settings_are_told() {
        let _ = found(SessionSettings::new(""));
    }
}
