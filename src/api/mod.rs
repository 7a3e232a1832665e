//! Where everything is put together: the handles, and the driver under them.

mod identity;
mod lock;
#[cfg(feature = "net")]
mod net;
mod start;
