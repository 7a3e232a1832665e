//! Host, find and join game sessions on a local network.
#![allow(dead_code, unused_imports)] // while the floors above are built
#[cfg(feature = "net")]
mod driver;
mod handle;
mod proto;
#[cfg(feature = "testing")]
pub mod testing;
mod types;
mod wire;
pub use handle::*;
pub use types::*;
#[doc(hidden)]
pub use wire::fuzz;
