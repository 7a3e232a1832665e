//! One error type for the whole crate: what kind, a stable code, and what is left to do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::refusal::Refusal;
use super::snapshot::SessionSnapshot;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A value that was passed in is out of its range; the message names it and what was expected.
    InvalidArgument,
    /// The call does not fit the present state.
    InvalidState,
    /// Nothing of that name or id is known here.
    NotFound,
    /// It exists already: a second session of one local name, a second seat of one user.
    AlreadyExists,
    /// Only the session's host may do this.
    NotOwner,
    /// This account has no right to ask that.
    Forbidden,
    /// The host refused; see [`Error::refusal`].
    Refused,
    /// Nobody answered at any address.
    Unreachable,
    /// The deadline passed.
    TimedOut,
    /// The request was cancelled.
    Cancelled,
    /// The state has changed since the revision that was named; see [`Error::current`].
    Stale,
    /// Too many requests; see [`Error::retry_after`].
    TooManyRequests,
    /// The session has ended.
    Ended,
    /// The [`Lan`](crate::Lan) was closed.
    Stopped,
    /// The operating system refused: sockets, files.
    Io,
    /// This build or platform cannot do it.
    Unsupported,
    /// A bug of this crate.
    Internal,
}

impl ErrorKind {
    fn code(self) -> u16 {
        match self {
            Self::InvalidArgument => 1,
            Self::InvalidState => 2,
            Self::NotFound => 3,
            Self::AlreadyExists => 4,
            Self::NotOwner => 5,
            Self::Forbidden => 6,
            Self::Refused => 7,
            Self::Unreachable => 8,
            Self::TimedOut => 9,
            Self::Cancelled => 10,
            Self::Stale => 11,
            Self::TooManyRequests => 12,
            Self::Ended => 13,
            Self::Stopped => 14,
            Self::Io => 15,
            Self::Unsupported => 16,
            Self::Internal => 17,
        }
    }
}

/// Why a call failed.
///
/// Match on [`kind`](Self::kind) to decide, show the `Display` text to a developer, and
/// [`Refusal::id`](crate::Refusal::id) to a player.
///
/// ```
/// use lansession::{ErrorKind, RoomCode};
/// let error = "K7".parse::<RoomCode>().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidArgument);
/// assert_eq!(error.code(), 1);
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    refusal: Option<Refusal>,
    current: Option<Arc<SessionSnapshot>>,
    retry_after: Option<Duration>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner { kind, message: message.into(), refusal: None, current: None, retry_after: None }))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub(crate) fn refused(refusal: Refusal) -> Self {
        let retry_after = match &refusal {
            Refusal::TooManyRequests { after } => Some(*after),
            _ => None,
        };
        let kind = match &refusal {
            Refusal::HostUnreachable { .. } => ErrorKind::Unreachable,
            Refusal::TimedOut => ErrorKind::TimedOut,
            Refusal::Cancelled => ErrorKind::Cancelled,
            Refusal::TooManyRequests { .. } => ErrorKind::TooManyRequests,
            _ => ErrorKind::Refused,
        };
        let message = refusal.to_string();
        Self(Arc::new(Inner { kind, message, refusal: Some(refusal), current: None, retry_after }))
    }

    /// A refusal with more words than its own.
    pub(crate) fn refused_because(refusal: Refusal, message: impl Into<String>) -> Self {
        let mut inner = match Arc::try_unwrap(Self::refused(refusal).0) {
            Ok(inner) => inner,
            Err(shared) => return Self(shared),
        };
        inner.message = message.into();
        Self(Arc::new(inner))
    }

    pub(crate) fn stale(current: Arc<SessionSnapshot>) -> Self {
        let message = format!("the settings have changed since: the state is now {}", current.revision);
        Self(Arc::new(Inner {
            kind: ErrorKind::Stale,
            message,
            refusal: None,
            current: Some(current),
            retry_after: None,
        }))
    }

    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// A number that never changes its meaning: the refusal's own code (100 and above) where the host refused, else the
    /// kind's (below 100).
    #[must_use]
    pub fn code(&self) -> u16 {
        self.0.refusal.as_ref().map_or_else(|| self.0.kind.code(), Refusal::code)
    }

    /// Why a join was refused, where it was.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        self.0.refusal.as_ref()
    }

    /// The current state, where the error is [`ErrorKind::Stale`].
    #[must_use]
    pub fn current(&self) -> Option<&Arc<SessionSnapshot>> {
        self.0.current.as_ref()
    }

    /// When to try again, where the error is [`ErrorKind::TooManyRequests`].
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({}): {}", self.0.kind, self.code(), self.0.message)
    }
}

impl std::error::Error for Error {}

/// By code and message.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.code() == other.code() && self.0.message == other.0.message
    }
}
