//! Host, find and join game sessions on a local network.
mod api;
#[doc(hidden)]
pub mod bench;
#[cfg(feature = "net")]
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
