//! What a find asks for.

use std::net::SocketAddr;
use std::time::Duration;

use super::error::Error;
use super::filter::{Field, Filter};
use super::id::{RoomCode, SessionId};
use super::order::OrderBy;

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
}

impl SessionQuery {
    /// The most results: 100, as MPSD's `take`.
    pub const MAX_TAKE: u8 = 100;
    /// The most keys of an order.
    pub const MAX_ORDER: usize = 4;
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

    /// Asks this address as well: typed by a player, or a VPN peer that no broadcast reaches.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.targets.push(address);
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
        if self.order.len() > Self::MAX_ORDER {
            return Err(Error::invalid(format!("{} order keys, at most 4 fit", self.order.len())));
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
