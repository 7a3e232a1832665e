//! Host, find and join game sessions on a local network: no server, no accounts, no configuration.
//!
//! A host advertises a session by UDP broadcast and multicast and by mDNS. A finder asks, with attribute filters, and sees
//! each session once, live, by whichever path works. It joins over a small protocol inside TLS; the host alone owns the
//! session's state: who is in, who may come in, what the settings are.
//!
//! # Two minutes
//!
//! A [`Lan`] is one game on this machine's networks. Local players [sign in](Lan::sign_in), and a [`User`] hosts, finds and
//! joins. [`Preset::Loopback`] keeps both ends of this example on one machine; a game leaves it out.
//!
//! ```
//! # if cfg!(not(feature = "net")) { return Ok(()) }
//! use std::time::Duration;
//! use lansession::{Field, Lan, Preset, SessionEvent, SessionQuery, SessionSettings, attr};
//! const SOON: Duration = Duration::from_secs(5);
//!
//! // Ada's machine.
//! let lan = Lan::builder("com.example.boxes").preset(Preset::Loopback).start()?;
//! let settings = SessionSettings::new("Ada's room").max_members(4).attr("map", "dust").port("game", 7777);
//! let room = lan.sign_in("Ada")?.host(settings).wait(SOON)?;
//! let mut events = room.events();
//!
//! // Bob's.
//! let other = Lan::builder("com.example.boxes").preset(Preset::Loopback).beacon_port(lan.beacon_port()).start()?;
//! let bob = other.sign_in("Bob")?;
//! let query = SessionQuery::new().filter(attr("map").eq("dust") & Field::OPEN_SLOTS.gt(0)).enough(1);
//! let found = bob.find(query).wait(SOON)?;
//! let seat = bob.join(&found[0]).wait(SOON)?;
//! assert_eq!(seat.snapshot().members.len(), 2);
//! assert_eq!(seat.endpoint("game")?.addr().port(), 7777); // where the game itself connects to
//!
//! // Ada's: the roster is her snapshot, and each change of it is an event.
//! let came = loop {
//!     match events.wait(SOON) {
//!         Some(SessionEvent::MemberJoined { member, .. }) if member.name == "Bob" => break member,
//!         other => assert!(other.is_some()),
//!     }
//! };
//! assert_eq!(room.snapshot().member(came.account), Some(&came));
//! # Ok::<(), lansession::Error>(())
//! ```
//!
//! Besides a [`Found`], one joins by [`RoomCode`] ("K7Q-F2M"), by [`JoinLink`], by [`Invite`], by [`SessionId`] or by a typed
//! address: see [`JoinRequest`]. A [`Browser`] is a find that goes on: a list that stays true. What is refused says why, in words and as
//! a stable code: [`Refusal`], [`Error::code`].
//!
//! # Players who know each other, and who do not
//!
//! - [`User::set_friends`] is what a session for [friends only](JoinPolicy::FriendsOnly) asks; the list never travels.
//! - [`Session::invite`] reaches the invitee's running game, which [receives invites](User::receive_invites) once it said so.
//! - [`User::set_presence`] lets friends find a user, with [`SessionQuery::accounts`].
//! - [`User::matchmake`] joins the best session or makes one, and ends with the others who do the same.
//! - [`User::join_with`] seats several local users at once; [`JoinRequest::reserve_for`] and [`Session::reserve`] hold seats for
//!   accounts that are still on their way.
//!
//! All of it is off until it is asked for. The recipes are [`cookbook::friends`], [`cookbook::quick_match`] and
//! [`cookbook::split_screen`].
//!
//! # Async, frames, or blocking
//!
//! The same handles serve all three; no runtime is asked of the game, and no type of one is in the API. A [`Lan`] brings a
//! thread of its own ([`LanBuilder::start_with`] runs it on a server's runtime instead), so heartbeats never wait for a
//! frame. A request is under way once it was called and answers with a [`Pending`]; events come from [`Events`].
//!
//! | | a request | events | the state |
//! | --- | --- | --- | --- |
//! | async, any executor | `.await` | [`events.next().await`](Events::next) | [`Session::watch`] |
//! | frame loop, never blocks | [`ready`](Pending::ready), [`try_take`](Pending::try_take) | [`FrameLoop::update`] | [`Session::snapshot`] |
//! | blocking, with a deadline | [`wait`](Pending::wait) | [`Events::wait`] | [`Session::snapshot`] |
//!
//! With [`start_frames`](LanBuilder::start_frames) nothing that a game reads changes between two updates:
//!
//! ```
//! # if cfg!(not(feature = "net")) { return Ok(()) }
//! use lansession::{Event, Lan, Preset, SessionEvent, SessionSettings};
//! let mut frames = Lan::builder("com.example.boxes").preset(Preset::Loopback).start_frames()?;
//! let mut opening = Some(frames.lan().sign_in("Ada")?.host(SessionSettings::new("Ada's room")));
//! let mut room = None;
//! let mut roster = Vec::new();
//! while room.is_none() || roster.is_empty() {
//!     for event in frames.update() {
//!         if let Event::Session { what: SessionEvent::MemberJoined { member, .. }, .. } = event {
//!             roster.push(member.name);
//!         }
//!     }
//!     if let Some(answer) = opening.as_mut().and_then(|opening| opening.try_take()) {
//!         (room, opening) = (Some(answer?), None);
//!     }
//! #   std::thread::sleep(std::time::Duration::from_millis(2));
//!     // draw the frame
//! }
//! assert_eq!(roster, ["Ada"]);
//! # Ok::<(), lansession::Error>(())
//! ```
//!
//! # The drop rule
//!
//! Each handle keeps alive what it names and what stands above it: a [`Session`] its [`User`], a [`User`] its [`Lan`].
//! Dropping the last one ends it politely: the seat is left, a hosted session ends, goodbyes are sent. So keep the
//! [`Session`] as long as the player shall be in it, or call [`Session::keep`]. Events, snapshots and queries carry ids and
//! keep nothing. [`Lan::close`] waits until the goodbyes are out; a process that is killed says none, and its sessions
//! vanish from the others' lists within 8 seconds.
//!
//! # Features
//!
//! | feature | default | brings |
//! | --- | --- | --- |
//! | `net` | yes | real sockets: the driver thread (tokio), UDP, TCP, TLS (rustls). Without it a start is `Unsupported` |
//! | `mdns` | yes | the second rendezvous, DNS-SD over multicast DNS |
//! | `serde` | yes | `Serialize` and `Deserialize` for the public types |
//! | `testing` | no | `lansession::testing`: the same handles on a virtual LAN, with a clock of its own, for a game's tests |
//! | `log` | no | events of `tracing` go to the `log` crate where no subscriber is set |
//!
//! # Logging
//!
//! `tracing`, with these targets: `lansession::discovery` (interfaces, sockets, sends), `lansession::link` (control
//! connections), `lansession::mdns` and `lansession::driver`. What a game should act on is an event or an error and never
//! only a line of the log. For "why is my list empty?" there is [`Lan::diagnose`].
//!
//! # Further
//!
//! The [`cookbook`] has recipes: a lobby, friends and invites, quick match, a dedicated server, split screen, coming back, two
//! windows on one PC, a bad network, Bevy, macroquad, an Unreal adapter.
//!
//! The README has a table of Unreal's and MPSD's names for all of this (the search of these pages knows them too), what to
//! know of each platform, the limits, and security in plain words; `protocol.md` has every byte. The examples `host` and
//! `client` are command line tools for debugging a LAN, `browser` is a server browser in the terminal, `game_loop` is a small
//! game to copy from, and `party` is the whole in one program.

#![warn(clippy::disallowed_methods)]
#![cfg_attr(
    not(feature = "mdns"),
    allow(
        dead_code,
        reason = "the engines are the same for every set of features; a smaller one does not call all of them"
    )
)]

#[cfg(all(target_family = "wasm", feature = "net"))]
compile_error!("no UDP on wasm: put lansession under [target.'cfg(not(target_family = \"wasm\"))'.dependencies]");

mod api;
#[doc(hidden)]
pub mod bench;
pub mod cookbook;
#[cfg(feature = "net")]
#[expect(clippy::disallowed_methods, reason = "the edge: sockets and timers live in real time")]
mod driver;
mod frame;
mod handle;
mod proto;
#[cfg(feature = "testing")]
pub mod testing;
mod types;
mod wire;

#[cfg(feature = "net")]
pub use api::hand_over;
pub use frame::FrameLoop;
pub use handle::*;
pub use types::*;

/// The bodies of the fuzz targets. Hidden, and no promise.
#[doc(hidden)]
pub mod fuzz {
    pub use crate::api::identity::fuzz as identity;
    #[cfg(any(test, feature = "testing"))]
    pub use crate::proto::fuzz::{guests, party, peers};
    pub use crate::wire::fuzz::*;
}

/// The programs of the README compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
