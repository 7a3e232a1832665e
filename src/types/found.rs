//! A session as a finder sees it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::attributes::Attributes;
use super::endpoint::Endpoint;
use super::error::Error;
use super::facts::PublicFacts;
use super::id::{RoomCode, SessionId, SessionKey};
use super::key::HostKey;
use super::matched::{AccountRow, MatchedMember, SessionVisibility};
use super::refusal::Refusal;
use super::settings::{JoinPolicy, Phase};

/// By which path an entry came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Source {
    /// Our own datagrams: broadcast, multicast, or an answer to them.
    Beacon,
    /// DNS-SD over multicast DNS.
    Mdns,
    /// An address that was typed, configured or taken from a link.
    Direct,
}

/// A set of [`Source`]s.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Sources(u8);

impl Sources {
    pub(crate) fn insert(&mut self, source: Source) -> bool {
        let before = self.0;
        self.0 |= 1 << source as u8;
        before != self.0
    }

    pub(crate) fn remove(&mut self, source: Source) -> bool {
        let before = self.0;
        self.0 &= !(1 << source as u8);
        before != self.0
    }

    /// Whether it holds this one.
    #[must_use]
    pub fn contains(self, source: Source) -> bool {
        self.0 & (1 << source as u8) != 0
    }

    /// Those it holds.
    pub fn iter(self) -> impl Iterator<Item = Source> {
        [Source::Beacon, Source::Mdns, Source::Direct].into_iter().filter(move |&s| self.contains(s))
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// One address of a session's host, proven by an echo of our own nonce from it, or given by the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize))]
pub struct FoundAddress {
    /// The host's address with the session's control port.
    pub addr: SocketAddr,
    /// The smallest of the last measured round-trip times.
    pub rtt: Option<Duration>,
}

impl FoundAddress {
    pub(crate) fn new(addr: SocketAddr, rtt: Option<Duration>) -> Self {
        Self { addr, rtt }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FoundData {
    pub(crate) key: SessionKey,
    pub(crate) host_key: HostKey,
    pub(crate) incarnation: u64,
    pub(crate) term: u32,
    pub(crate) facts: PublicFacts,
    /// The wire's major version; another than ours can be shown and not joined.
    pub(crate) major: u8,
    /// A critical extension that this version does not know.
    pub(crate) incompatible: bool,
    /// This finder's own game version.
    pub(crate) our_version: u32,
    /// Best first.
    pub(crate) addresses: Vec<FoundAddress>,
    pub(crate) sources: Sources,
    pub(crate) confirmed: bool,
    pub(crate) silent: bool,
    /// Its host is gone, and another one may go on.
    pub(crate) migrating: bool,
    /// It can outlive its host.
    pub(crate) migratable: bool,
    /// Whether it is advertised: what came by an advert is.
    pub(crate) listed: bool,
    /// By whose seat it was found, where it was asked for by account.
    pub(crate) matched: Option<MatchedMember>,
    /// Unix milliseconds; 0 where it is not known.
    pub(crate) started: u64,
}

/// One session of a find or a browse: a snapshot, cheap to clone.
#[derive(Clone, PartialEq)]
#[doc(alias = "FindSessions")]
pub struct Found(Arc<FoundData>);

impl Found {
    pub(crate) fn new(data: FoundData) -> Self {
        Self(Arc::new(data))
    }

    /// What an account's own process tells of one of its sessions. A private session shows no keywords.
    pub(crate) fn of_row(row: AccountRow, our_version: u32) -> Self {
        let AccountRow { key, host_key, incarnation, term, mut facts, listed, addresses, .. } = row;
        if !listed {
            facts.keywords.clear();
        }
        let mut sources = Sources::default();
        sources.insert(Source::Direct);
        Self::new(FoundData {
            key,
            host_key,
            incarnation,
            term,
            facts,
            major: WIRE_MAJOR,
            incompatible: false,
            our_version,
            addresses: addresses.into_iter().map(|addr| FoundAddress::new(addr, None)).collect(),
            sources,
            confirmed: true,
            silent: false,
            migrating: false,
            migratable: false,
            listed,
            matched: Some(MatchedMember { account: row.member, status: row.status, my_turn: row.my_turn }),
            started: row.started,
        })
    }

    pub(crate) fn data(&self) -> &FoundData {
        &self.0
    }

    /// What names it in every list.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        self.0.key
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.key.id
    }

    /// The key its host serves under.
    #[must_use]
    pub fn host_key(&self) -> HostKey {
        self.0.host_key
    }

    /// Six letters by which others on this LAN can join it.
    #[must_use]
    pub fn code(&self) -> RoomCode {
        RoomCode::of(self.0.key)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.facts.name
    }

    /// All that its advert says.
    #[must_use]
    pub fn facts(&self) -> &PublicFacts {
        &self.0.facts
    }

    /// Its public attributes.
    #[must_use]
    pub fn attributes(&self) -> &Attributes {
        &self.0.facts.attributes
    }

    /// Its keywords.
    #[must_use]
    pub fn keywords(&self) -> &[String] {
        &self.0.facts.keywords
    }

    /// Seats taken.
    #[must_use]
    pub fn members(&self) -> u16 {
        self.0.facts.members
    }

    /// Seats in all.
    #[must_use]
    pub fn max_members(&self) -> u16 {
        self.0.facts.max_members
    }

    /// Public seats that are free.
    #[must_use]
    pub fn open_slots(&self) -> u16 {
        self.0.facts.open_slots
    }

    /// Who may join.
    #[must_use]
    pub fn policy(&self) -> JoinPolicy {
        self.0.facts.policy
    }

    /// Lobby, in progress or ended.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.0.facts.phase
    }

    /// The game's version at the host.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.0.facts.version
    }

    /// Whether matchmaking made it.
    #[must_use]
    pub fn matchmaking(&self) -> bool {
        self.0.facts.matchmaking
    }

    /// Whether matchmaking may still move its members into another session.
    #[must_use]
    pub fn mobile(&self) -> bool {
        self.0.facts.mobile
    }

    /// Whether a password is needed.
    #[must_use]
    pub fn password(&self) -> bool {
        self.0.facts.password
    }

    /// The member by which it was found, where the query asked for [`accounts`](crate::SessionQuery::accounts).
    #[must_use]
    pub fn matched(&self) -> Option<&MatchedMember> {
        self.0.matched.as_ref()
    }

    /// When it began, by its host's clock; `None` where nobody has said so.
    #[must_use]
    pub fn started_at(&self) -> Option<SystemTime> {
        let since = (self.0.started > 0).then(|| Duration::from_millis(self.0.started))?;
        UNIX_EPOCH.checked_add(since)
    }

    /// How many have accepted: the seats taken. As in MPSD the number is approximate; it may hold a few reserved seats.
    #[must_use]
    pub fn accepted(&self) -> u16 {
        self.0.facts.members
    }

    /// Who sees it, and whether there is room.
    #[must_use]
    pub fn visibility(&self) -> SessionVisibility {
        match (self.0.listed, self.0.facts.open_slots, self.0.facts.policy) {
            (false, ..) => SessionVisibility::Private,
            (true, 0, _) => SessionVisibility::Full,
            (true, _, JoinPolicy::Public) => SessionVisibility::Open,
            (true, ..) => SessionVisibility::Visible,
        }
    }

    /// What restricts joins of a session that is advertised: friends only, or invited ones. `None` where anybody may ask,
    /// and for a private session, as in MPSD; [`policy`](Self::policy) tells it of any session.
    #[must_use]
    pub fn join_restriction(&self) -> Option<JoinPolicy> {
        Some(self.0.facts.policy).filter(|policy| self.0.listed && *policy != JoinPolicy::Public)
    }

    /// The measured round trip to the host: the smallest over its addresses. `None` until one was measured: an answer to all
    /// that ask is held back a little and tells none.
    #[must_use]
    #[doc(alias = "PingSearchResults")]
    pub fn ping(&self) -> Option<Duration> {
        self.0.addresses.iter().filter_map(|address| address.rtt).min()
    }

    /// Its addresses, best first.
    #[must_use]
    pub fn addresses(&self) -> &[FoundAddress] {
        &self.0.addresses
    }

    /// By which paths it came.
    #[must_use]
    pub fn sources(&self) -> Sources {
        self.0.sources
    }

    /// Whether it echoed a question of ours, so it is no recording.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.0.confirmed
    }

    /// Whether the last probes went unanswered; it will be lost unless it is heard.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.0.silent
    }

    /// Whether its host is gone and another machine may go on as host: the entry is held for twelve seconds, and then it is
    /// [`Updated`](crate::BrowserEvent::Updated) or lost. A join waits for the next host.
    ///
    /// ```
    /// # use lansession::Found;
    /// fn label(found: &Found) -> &'static str {
    ///     if found.is_migrating() { "changing hosts" } else { "open" }
    /// }
    /// # let _ = label;
    /// ```
    #[must_use]
    pub fn is_migrating(&self) -> bool {
        self.0.migrating
    }

    /// Whether a stranger could join now, as far as the advert tells; else the refusal to expect.
    ///
    /// # Errors
    /// The first of the host's checks that would fail. Seats may be gone by the time one asks.
    pub fn joinable(&self) -> Result<(), Refusal> {
        let FoundData { facts, major, incompatible, our_version, .. } = &*self.0;
        if *major != WIRE_MAJOR || *incompatible || facts.version != *our_version {
            return Err(Refusal::Incompatible { ours: *our_version, theirs: facts.version });
        }
        match facts.policy {
            JoinPolicy::InviteOnly => return Err(Refusal::NotInvited),
            JoinPolicy::FriendsOnly | JoinPolicy::Public => {}
        }
        if facts.phase != Phase::Lobby && !(facts.phase == Phase::InProgress && facts.join_in_progress) {
            return Err(Refusal::InProgress);
        }
        if facts.closed {
            return Err(Refusal::Closed);
        }
        if facts.locked {
            return Err(Refusal::Locked);
        }
        if facts.open_slots == 0 { Err(Refusal::Full) } else { Ok(()) }
    }

    /// The addresses of one of the game's named ports.
    ///
    /// # Errors
    /// `NotFound` naming the ports that exist; `Unreachable` where no address is known yet.
    pub fn endpoint(&self, port: &str) -> Result<Endpoint, Error> {
        let port = super::snapshot::port_named(&self.0.facts.ports, port)?;
        let addrs = self.0.addresses.iter().map(|a| SocketAddr::new(a.addr.ip(), port)).collect();
        Endpoint::new(addrs)
            .ok_or_else(|| Error::new(super::ErrorKind::Unreachable, "no address of the host is known yet"))
    }
}

/// The major version of the bytes this crate speaks (protocol.md, "Versions").
pub(crate) const WIRE_MAJOR: u8 = 1;

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("key", &self.0.key).field("name", &self.0.facts.name).finish_non_exhaustive()
    }
}
