//! The engines, sans I/O: time and randomness are arguments, nothing here blocks or sleeps.
//!
//! Not under semver until 1.0. [`engine`] composes [`discovery`] (who is there) and the sessions (who is in); neither
//! knows the other.

pub(crate) mod announcer;
pub(crate) mod clock;
pub(crate) mod directory;
pub(crate) mod discovery;
pub(crate) mod engine;
pub(crate) mod finder;
pub(crate) mod io;
pub(crate) mod lan;
pub(crate) mod limits;
pub(crate) mod machine;
pub(crate) mod sessions;
pub(crate) mod tuning;
