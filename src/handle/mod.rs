//! What a user holds: handles, answers, events. Knows no runtime, no socket, no clock of its own.
//!
//! A [`Core`](core::Core) stands between the handles and whoever drives the engine: handles queue commands, the driver or
//! the virtual LAN takes them and delivers outputs. So the same handles work over real sockets and in a game's tests.

pub(crate) mod backend;
mod browser;
mod builder;
pub(crate) mod core;
mod deliver;
mod dump;
mod events;
mod inbox;
mod join;
mod lan;
mod links;
mod matchmaking;
mod migration;
mod pending;
mod places;
mod policy;
mod queue;
mod seat;
mod session;
mod social;
mod user;
mod users;
mod watch;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

pub use browser::Browser;
pub use builder::{LanBuilder, Preset};
pub use events::{Events, Next};
pub use join::JoinRequest;
pub use lan::Lan;
#[cfg(feature = "net")]
pub(crate) use links::check_game;
pub use matchmaking::Matchmaking;
pub use pending::Pending;
pub use session::Session;
pub use user::User;
pub use watch::{Changed, Watch};
