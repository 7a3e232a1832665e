//! What a find asks for.

use std::net::SocketAddr;
use std::time::Duration;

use super::error::{Error, ErrorKind};
use super::filter::{Field, Filter};
use super::found::Found;
use super::id::{RoomCode, SessionId};
use super::key::AccountId;
use super::matched::SessionVisibility;
use super::member::MemberStatus;
use super::order::OrderBy;
use super::settings::JoinPolicy;

/// What sessions to find, in which order, and when to be content.
///
/// ```
/// use lansession::{SessionQuery, attr};
/// let query = SessionQuery::new().filter(attr("map").eq("dust")).take(10).enough(1);
/// assert!(query.check().is_ok());
/// assert!(SessionQuery::new().take(101).check().is_err());
/// ```
#[derive(Debug, Clone, PartialEq)]
#[doc(alias = "FFindSessions")]
pub struct SessionQuery {
    pub(crate) filter: Filter,
    pub(crate) order: Vec<OrderBy>,
    pub(crate) take: u8,
    pub(crate) enough: Option<u16>,
    pub(crate) timeout: Duration,
    pub(crate) id: Option<SessionId>,
    pub(crate) code: Option<RoomCode>,
    pub(crate) targets: Vec<SocketAddr>,
    pub(crate) accounts: Vec<AccountId>,
    pub(crate) reservations: bool,
    pub(crate) inactive: bool,
    pub(crate) private: bool,
    pub(crate) visibility: Option<SessionVisibility>,
    pub(crate) version_up_to: Option<u32>,
}

impl SessionQuery {
    /// The most results: 100, as MPSD's `take`.
    pub const MAX_TAKE: u8 = 100;
    /// The most keys of an order.
    pub const MAX_ORDER: usize = 4;
    /// The most accounts to ask for.
    pub const MAX_ACCOUNTS: usize = 16;
    /// The most addresses to ask.
    pub const MAX_TARGETS: usize = 16;

    /// Everything, at most 100, for one second.
    #[must_use]
    pub fn new() -> Self {
        Self {
            filter: Filter::all(),
            order: Vec::new(),
            take: Self::MAX_TAKE,
            enough: None,
            timeout: Duration::from_secs(1),
            id: None,
            code: None,
            targets: Vec::new(),
            accounts: Vec::new(),
            reservations: false,
            inactive: false,
            private: false,
            visibility: None,
            version_up_to: None,
        }
    }

    /// Only sessions that this filter matches; a second call narrows further.
    #[must_use]
    #[doc(alias = "Filters")]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = if self.filter == Filter::all() { filter } else { self.filter & filter };
        self
    }

    /// Only sessions with this keyword, compared without regard to ASCII case.
    #[must_use]
    pub fn keyword(self, word: &str) -> Self {
        self.filter(Field::KEYWORD.contains(word.to_ascii_lowercase()))
    }

    /// Orders by these, the first first.
    #[must_use]
    pub fn order_by(mut self, order: impl IntoIterator<Item = OrderBy>) -> Self {
        self.order = order.into_iter().collect();
        self
    }

    /// At most so many, 0 to 100. A `take` with an order does not end a find early: the best may answer last.
    #[must_use]
    #[doc(alias = "MaxResults")]
    pub fn take(mut self, most: u8) -> Self {
        self.take = most;
        self
    }

    /// Ends the find as soon as so many match; an id or a code implies 1.
    #[must_use]
    pub fn enough(mut self, count: u16) -> Self {
        self.enough = Some(count);
        self
    }

    /// How long a find waits, 1 s by default, at most 60 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The session of this id.
    #[must_use]
    #[doc(alias = "SessionId")]
    pub fn id(mut self, id: SessionId) -> Self {
        self.id = Some(id);
        self
    }

    /// The session of this room code.
    #[must_use]
    pub fn code(mut self, code: RoomCode) -> Self {
        self.code = Some(code);
        self
    }

    /// Asks this address as well: typed by a player, or a VPN peer that no broadcast reaches. Port 0 stands for the beacon
    /// port.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.targets.push(address);
        self
    }

    /// The sessions in which one of these accounts is ready or active, at most 16 accounts: a friend's game, or one's own.
    /// Each entry tells [which](crate::Found::matched). The entries of the first account come first, then those of the
    /// second, in the query's order within each; a session with two of them stands in both groups.
    ///
    /// Users of this process are answered here and now. Any other account is asked for on the LAN in the name of the user
    /// who [finds](crate::User::find) (by [`Lan::find`](crate::Lan::find) none is), where only its own process can tell, and
    /// does so for friends while its presence is on; there is no telling an account that does not answer
    /// from one that does not exist. Such a find ends when all have answered, at the latest with the
    /// [`timeout`](Self::timeout). A browse takes no accounts.
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return Ok(()) }
    /// # use std::time::Duration;
    /// # use lansession::{ErrorKind, Lan, Preset, SessionQuery, SessionSettings, SessionVisibility};
    /// # let (five, lan) = (Duration::from_secs(5), Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?);
    /// let (ada, bob) = (lan.sign_in("Ada")?, lan.sign_in("Bob")?);
    /// let _room = ada.host(SessionSettings::new("hideout").listed(false)).wait(five)?;
    /// let mine = SessionQuery::new().accounts([ada.id()]).private(true);
    /// let found = ada.find(mine.clone()).wait(five)?;
    /// assert_eq!(found[0].visibility(), SessionVisibility::Private);
    /// assert_eq!(found[0].matched().unwrap().account, ada.id());
    /// assert_eq!(bob.find(mine).wait(five).unwrap_err().kind(), ErrorKind::Forbidden);
    /// # Ok::<(), lansession::Error>(())
    /// ```
    #[must_use]
    #[doc(alias = "TargetUser")]
    #[doc(alias = "FindFriendSession")]
    pub fn accounts(mut self, accounts: impl IntoIterator<Item = AccountId>) -> Self {
        self.accounts.clear();
        for account in accounts {
            if !self.accounts.contains(&account) {
                self.accounts.push(account);
            }
        }
        self
    }

    /// Also sessions in which the account only holds a reserved seat; off by default. It may be asked for oneself alone,
    /// by [`User::find`](crate::User::find) with that very user in [`accounts`](Self::accounts): anything else is `Forbidden`.
    #[must_use]
    pub fn reservations(mut self, widen: bool) -> Self {
        self.reservations = widen;
        self
    }

    /// Also sessions in which the account is inactive; off by default. Without accounts it has no effect.
    #[must_use]
    pub fn inactive(mut self, widen: bool) -> Self {
        self.inactive = widen;
        self
    }

    /// Also sessions that are not advertised; off by default. It may be asked for oneself alone, as
    /// [`reservations`](Self::reservations): anything else is `Forbidden`, whether or not there is such a session.
    #[must_use]
    pub fn private(mut self, widen: bool) -> Self {
        self.private = widen;
        self
    }

    /// Only sessions of this [visibility](crate::Found::visibility). `Private` ones are found with
    /// [`private`](Self::private) alone.
    #[must_use]
    pub fn visibility(mut self, visibility: SessionVisibility) -> Self {
        self.visibility = Some(visibility);
        self
    }

    /// Only sessions whose game version is at most this.
    #[must_use]
    pub fn version_up_to(mut self, version: u32) -> Self {
        self.version_up_to = Some(version);
        self
    }

    /// Whether a session is one that this query asks for.
    pub(crate) fn keeps(&self, found: &Found) -> bool {
        let data = found.data();
        self.id.is_none_or(|id| id == found.id())
            && self.code.is_none_or(|code| code == found.code())
            && self.version_up_to.is_none_or(|most| data.facts.version <= most)
            && self.visibility.is_none_or(|wanted| wanted == found.visibility())
            && (data.listed || self.private)
            && data.matched.is_none_or(|member| self.counts(member.status))
            && self.filter.accepts(data)
    }

    /// Whether a seat in this state counts as being in the session.
    fn counts(&self, status: MemberStatus) -> bool {
        match status {
            MemberStatus::Reserved => self.reservations,
            MemberStatus::Inactive => self.inactive,
            MemberStatus::Ready | MemberStatus::Active => true,
        }
    }

    /// Everything that a host can decide, as one filter: what travels in the question.
    pub(crate) fn asked(&self) -> Filter {
        let version = self.version_up_to.map(|most| Field::VERSION.le(i64::from(most)));
        let open = Field::OPEN_SLOTS.gt(0);
        let public = |public: bool| {
            if public { Field::POLICY.eq(JoinPolicy::Public) } else { Field::POLICY.ne(JoinPolicy::Public) }
        };
        let visibility = self.visibility.and_then(|visibility| match visibility {
            SessionVisibility::Open => Some(open & public(true)),
            SessionVisibility::Visible => Some(open & public(false)),
            SessionVisibility::Full => Some(Field::OPEN_SLOTS.eq(0)),
            SessionVisibility::Private => None,
        });
        [version, visibility]
            .into_iter()
            .flatten()
            .fold(self.filter.clone(), |all, more| if all == Filter::all() { more } else { all & more })
    }

    /// Whether whoever asks may ask this; decided by the request alone, whatever there is.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(crate) fn check_rights(&self, asker: Option<AccountId>) -> Result<(), Error> {
        let own = asker.is_some_and(|asker| self.accounts == [asker]);
        let asked = [(self.private, "private sessions"), (self.reservations, "reservations")];
        match asked.into_iter().find(|(asked, _)| *asked && !own) {
            Some((_, what)) => {
                let why = format!("{what} are told to an account that asks for itself and nobody else");
                Err(Error::new(ErrorKind::Forbidden, why))
            }
            None => Ok(()),
        }
    }

    /// Addresses without a port are asked at this one.
    pub(crate) fn asked_at(mut self, beacon_port: u16) -> Self {
        for target in self.targets.iter_mut().filter(|target| target.port() == 0) {
            target.set_port(beacon_port);
        }
        self
    }

    /// How many matches end a find early.
    pub(crate) fn enough_count(&self) -> Option<u16> {
        self.enough.or_else(|| (self.id.is_some() || self.code.is_some()).then_some(1))
    }

    /// Checks every value.
    ///
    /// # Errors
    /// `InvalidArgument` naming the first value out of its range.
    pub fn check(&self) -> Result<(), Error> {
        if self.take > Self::MAX_TAKE {
            return Err(Error::invalid(format!("take is {}, it must be 0 to 100", self.take)));
        }
        if self.timeout.is_zero() || self.timeout > Duration::from_secs(60) {
            return Err(Error::invalid("the timeout of a find must be over 0 and at most 60 s"));
        }
        if self.enough == Some(0) {
            return Err(Error::invalid("enough is 0, it must be at least 1"));
        }
        if self.targets.len() > Self::MAX_TARGETS {
            return Err(Error::invalid(format!("{} addresses to ask, at most 16 fit", self.targets.len())));
        }
        let nobody = |at: &&SocketAddr| at.ip().is_unspecified() || at.ip().is_multicast();
        if let Some(target) = self.targets.iter().find(nobody) {
            return Err(Error::invalid(format!("{target} is no host's address, it cannot be asked")));
        }
        if self.order.len() > Self::MAX_ORDER {
            return Err(Error::invalid(format!("{} order keys, at most 4 fit", self.order.len())));
        }
        if self.accounts.len() > Self::MAX_ACCOUNTS {
            return Err(Error::invalid(format!("{} accounts to ask for, at most 16 fit", self.accounts.len())));
        }
        if self.visibility == Some(SessionVisibility::Private) && !self.private {
            return Err(Error::invalid("the visibility is private, which finds nothing without private(true)"));
        }
        self.order.iter().try_for_each(OrderBy::check)?;
        self.filter.check()
    }
}

impl Default for SessionQuery {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Filter> for SessionQuery {
    fn from(filter: Filter) -> Self {
        Self::new().filter(filter)
    }
}
