//! Where everything is put together: the handles, and the driver under them.

#[cfg(feature = "net")]
mod handover;
pub(crate) mod identity;
mod lock;
#[cfg(feature = "net")]
mod net;
mod start;

#[cfg(feature = "net")]
pub use handover::hand_over;
