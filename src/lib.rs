//! Host, find and join game sessions on a local network.
#![warn(clippy::disallowed_methods)]
#![cfg_attr(
    not(feature = "mdns"),
    allow(
        dead_code,
        reason = "the engines are the same for every set of features; a smaller one does not call all of them"
    )
)]

mod api;
#[doc(hidden)]
pub mod bench;
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
pub use frame::FrameLoop;
pub use handle::*;
pub use types::*;
#[doc(hidden)]
pub use wire::fuzz;
