//! The example `browser` without a terminal: what it remembers, and what it shows at 80x24.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(all(feature = "net", feature = "serde"))]

#[allow(dead_code)] // it is the programs'
#[path = "../examples/common/mod.rs"]
mod common;
