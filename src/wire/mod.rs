//! Bytes to messages and back (`protocol.md`).
//!
//! Datagrams have fixed-width fields written by hand, so that their sizes cannot drift; what varies in length inside
//! them, and every control frame, is `bincode` in big-endian order with an explicit limit. No decoder panics, every list
//! has a bound, text and keys are checked on the way in.

pub(crate) mod bytes;
pub(crate) mod codec;
pub(crate) mod datagram;
pub(crate) mod extension;
pub(crate) mod filter;
pub(crate) mod frame;
#[doc(hidden)]
pub(crate) mod fuzz;
#[cfg(test)]
pub(crate) mod golden;
pub(crate) mod hash;
pub(crate) mod sign;
#[cfg(test)]
mod tests;
pub(crate) mod txt;
pub(crate) mod values;

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireError {
    /// Not this protocol at all.
    Magic,
    /// Another major version.
    Major(u8),
    /// Ends too early.
    Short,
    /// Bytes are left over.
    Trailing,
    /// A length or count over its bound.
    Bound,
    /// A value outside its range, or text or a key that is refused.
    Value,
    /// A critical extension that this version does not know.
    Critical(u16),
}

pub(crate) type WireResult<T> = Result<T, WireError>;
