//! The control frames (protocol.md, "Control channel").
//!
//! On the stream each frame is: length of the payload 2, kind 1, flags 1 (bit 0: more parts follow), payload. A message
//! that does not fit one frame goes in parts of one kind, at most 1 MiB together. The payload is `bincode`.

mod message;
mod parts;
mod state;

pub(crate) use message::{Accept, Cause, DoneResult, Frame, Grant, Join, Proof, Request};
pub(crate) use parts::{Assembler, header, split};
pub(crate) use state::{Change, Delta, SettingChange};

/// The longest payload of one frame.
pub(crate) const MAX_FRAME: usize = 65_535;
/// The longest message, over all its parts.
pub(crate) const MAX_MESSAGE: usize = 1 << 20;
/// The longest message of a peer that holds no seat.
pub(crate) const MAX_PRE_SEAT: usize = 8 << 10;
/// The frame's header.
pub(crate) const HEADER: usize = 4;
