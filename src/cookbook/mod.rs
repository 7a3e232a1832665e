//! Recipes: what a game does with this library, from a lobby to an engine's plug-in.
//!
//! | recipe | shows |
//! | --- | --- |
//! | [`lobby`] | a lobby with ready flags, chat, a start and an end, in a frame loop |
//! | [`friends`] | friends only, invites, presence, links that are opened |
//! | [`quick_match`] | matchmaking behind one button |
//! | [`dedicated_server`] | a host without a seat, in a server's own tokio runtime, that asks about each joiner |
//! | [`split_screen`] | several players at one screen |
//! | [`outlive`] | a session that goes on when its host crashes or leaves |
//! | [`rejoin`] | a lost link, a crash, a match that takes back only those who were in it |
//! | [`two_windows`] | two copies of the game on one PC, for development |
//! | [`bad_network`] | latency and loss on purpose, and tests on a virtual LAN |
//! | [`bevy`] | a plug-in for Bevy |
//! | [`macroquad`] | the same for macroquad, or any loop that is one function |
//! | [`unreal`] | notes for an adapter behind Unreal's `ISessions` |
//!
//! The programs here are compiled and run as tests, with [`Preset::Loopback`](crate::Preset::Loopback) so that they stay on
//! one machine: a game leaves that line out. Where a program needs another crate it is not compiled, and says so. Waiting in
//! them is [`Pending::wait`](crate::Pending::wait), the shortest to read; a frame loop asks
//! [`try_take`](crate::Pending::try_take), async code awaits.

#[doc = include_str!("lobby.md")]
pub mod lobby {}

#[doc = include_str!("friends.md")]
pub mod friends {}

#[doc = include_str!("quick_match.md")]
pub mod quick_match {}

#[doc = include_str!("dedicated_server.md")]
pub mod dedicated_server {}

#[doc = include_str!("split_screen.md")]
pub mod split_screen {}

#[doc = include_str!("outlive.md")]
pub mod outlive {}

#[doc = include_str!("rejoin.md")]
pub mod rejoin {}

#[doc = include_str!("two_windows.md")]
pub mod two_windows {}

#[doc = include_str!("bad_network.md")]
pub mod bad_network {}

#[doc = include_str!("bevy.md")]
pub mod bevy {}

#[doc = include_str!("macroquad.md")]
pub mod macroquad {}

#[doc = include_str!("unreal.md")]
pub mod unreal {}
