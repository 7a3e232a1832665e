//! The engines, sans I/O: time and randomness are arguments, nothing here blocks or sleeps.
//!
//! Not under semver until 1.0. [`engine`] composes [`discovery`] (who is there), the sessions (who is in) and [`social`] (who
//! is where), [`matchmaking`] (who goes together) and [`lineage`] (who took over from whom); none knows another.
//!
//! # The way of a datagram, from socket to list
//!
//! 1. The driver (or the virtual LAN) reads it and makes an [`io::Arrival`]: interface, source, and whether it came to the
//!    port that all share. [`engine`] hands it to [`discovery`] and drains what that brings about.
//! 2. `discovery::inbound` peeks at the prefix (magic, game, major), asks [`lan`]'s `Net` whether the source is on the link
//!    and which way an answer leaves, decodes one kind, and looks the echo up among our own nonces. All that is cheap comes
//!    first; nothing is verified yet, and what fails is dropped without a word.
//! 3. A question or probe goes to the [`announcer`], which may answer now, later in its window, or to all. An advert also
//!    feeds the announcer's census: how many hosts there are decides how much each may say.
//! 4. A hint goes to the [`finder`], which asks again with the cookie. Everything else is the [`directory`]'s.
//! 5. `directory::accept`: tombstones, repeats, order; then `verify` allots a budget and only now the signature is checked.
//!    An echo makes an entry confirmed and its source an address; without one it is hearsay, and `life` sends a probe.
//! 6. The directory says what changed ([`directory::Change`]); `discovery::settle`, last in every call, carries that to the
//!    views (`discovery::views`), which draw their lists anew when due: filter, order, take, then found, updated, lost.
//! 7. [`engine`] turns a list into an [`io::Output`]; handles show it. A list of what is shown goes back to the directory,
//!    which watches those entries closely and the others hardly.

pub(crate) mod announcer;
pub(crate) mod clock;
pub(crate) mod directory;
pub(crate) mod discovery;
#[cfg(any(feature = "net", feature = "testing", test))]
pub(crate) mod disturb;
pub(crate) mod engine;
pub(crate) mod finder;
pub(crate) mod io;
pub(crate) mod lan;
pub(crate) mod limits;
pub(crate) mod lineage;
pub(crate) mod links;
pub(crate) mod machine;
pub(crate) mod matchmaking;
pub(crate) mod sessions;
pub(crate) mod social;
pub(crate) mod tuning;
