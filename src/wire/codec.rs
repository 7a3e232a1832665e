//! `bincode` with every length bounded (protocol.md, "Notation").
//!
//! A list or text is read item by item after its length was compared with its own bound, so that no length makes an
//! allocation, and no recursive type is read without a depth.

use bincode::config::{Config, standard};
use bincode::de::read::Reader;
use bincode::de::{Decode, Decoder};
use bincode::enc::Encode;
use bincode::error::DecodeError;

use super::{WireError, WireResult};
use crate::types::is_displayable;

/// Implements both directions of a struct: each field in order, read by its own `Decode` or by the function named.
macro_rules! message {
    ($type:ty { $($field:ident $(= $read:expr)?),* $(,)? }) => {
        impl bincode::enc::Encode for $type {
            fn encode<E: bincode::enc::Encoder>(&self, to: &mut E) -> Result<(), bincode::error::EncodeError> {
                $(self.$field.encode(to)?;)*
                Ok(())
            }
        }

        impl<C> bincode::de::Decode<C> for $type {
            fn decode<D: bincode::de::Decoder<Context = C>>(
                from: &mut D,
            ) -> Result<Self, bincode::error::DecodeError> {
                Ok(Self { $($field: $crate::wire::codec::message!(@read from $(, $read)?)),* })
            }
        }
    };
    (@read $from:ident) => { bincode::de::Decode::decode($from)? };
    (@read $from:ident, $read:expr) => { $read($from)? };
}

/// Implements both directions of an enum without fields: its number, and what an unknown number is read as.
macro_rules! numbered {
    ($type:ty { $($variant:ident = $number:literal),* $(,)? } unknown: $unknown:expr) => {
        impl $crate::wire::codec::Numbered for $type {
            fn number(self) -> u8 {
                match self { $(Self::$variant => $number,)* }
            }

            fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$variant),)*
                    _ => $unknown,
                }
            }
        }

        impl bincode::enc::Encode for $type {
            fn encode<E: bincode::enc::Encoder>(&self, to: &mut E) -> Result<(), bincode::error::EncodeError> {
                u32::from($crate::wire::codec::Numbered::number(*self)).encode(to)
            }
        }

        impl<C> bincode::de::Decode<C> for $type {
            fn decode<D: bincode::de::Decoder<Context = C>>(
                from: &mut D,
            ) -> Result<Self, bincode::error::DecodeError> {
                let number = u32::decode(from)?;
                $crate::wire::codec::Numbered::from_number(number)
                    .ok_or(bincode::error::DecodeError::Other("unknown number"))
            }
        }
    };
}

pub(crate) use {message, numbered};

/// An enum without fields: one byte in a datagram, a varint in a frame.
pub(crate) trait Numbered: Copy {
    fn number(self) -> u8;
    /// `None` where an unknown number has no safe reading.
    fn from_number(number: u32) -> Option<Self>;
}

/// The most that `bincode` may claim: each integer is claimed with its full width, so eight times the longest message.
const CLAIM: usize = 16 << 20;

fn config() -> impl Config {
    standard().with_big_endian().with_limit::<CLAIM>()
}

/// The bytes of a value.
pub(crate) fn encode<T: Encode>(value: &T) -> Vec<u8> {
    // Writing to memory cannot fail and no type of ours refuses to be written.
    bincode::encode_to_vec(value, config()).unwrap_or_default()
}

/// The value that these bytes are, all of them, where there are at most `limit`.
pub(crate) fn decode<T: Decode<()>>(bytes: &[u8], limit: usize) -> WireResult<T> {
    let (value, rest) = decode_front(bytes, limit)?;
    if rest.is_empty() { Ok(value) } else { Err(WireError::Trailing) }
}

/// The value at the front, and the bytes after it.
pub(crate) fn decode_front<T: Decode<()>>(bytes: &[u8], limit: usize) -> WireResult<(T, &[u8])> {
    if bytes.len() > limit {
        return Err(WireError::Bound);
    }
    let (value, used) = bincode::decode_from_slice(bytes, config()).map_err(reason)?;
    Ok((value, bytes.get(used..).unwrap_or_default()))
}

fn reason(error: DecodeError) -> WireError {
    match error {
        DecodeError::UnexpectedEnd { .. } => WireError::Short,
        DecodeError::LimitExceeded | DecodeError::OutsideUsizeRange(_) => WireError::Bound,
        _ => WireError::Value,
    }
}

/// A length of at most `max`.
pub(crate) fn length<D: Decoder>(from: &mut D, max: usize) -> Result<usize, DecodeError> {
    usize::try_from(u64::decode(from)?).ok().filter(|&length| length <= max).ok_or(DecodeError::LimitExceeded)
}

/// At most MAX bytes.
pub(crate) fn bytes<const MAX: usize, D: Decoder>(from: &mut D) -> Result<Vec<u8>, DecodeError> {
    let length = length(from, MAX)?;
    from.claim_bytes_read(length)?;
    let mut bytes = vec![0; length];
    from.reader().read(&mut bytes)?;
    Ok(bytes)
}

/// Text of at most MAX bytes that may be shown.
pub(crate) fn text<const MAX: usize, D: Decoder>(from: &mut D) -> Result<String, DecodeError> {
    let text = String::from_utf8(bytes::<MAX, D>(from)?).map_err(|_| DecodeError::Other("text is not UTF-8"))?;
    if is_displayable(&text) { Ok(text) } else { Err(DecodeError::Other("text with a control or bidi character")) }
}

/// As [`text`], and not empty.
pub(crate) fn name<const MAX: usize, D: Decoder>(from: &mut D) -> Result<String, DecodeError> {
    let name = text::<MAX, D>(from)?;
    if name.is_empty() { Err(DecodeError::Other("empty name")) } else { Ok(name) }
}

/// Text for a log, made what may travel: errors and reasons quote what their maker was given.
pub(crate) fn clip(text: &str, max: usize) -> String {
    let shown = |c: char| if is_displayable(c.encode_utf8(&mut [0; 4])) { c } else { ' ' };
    let mut clipped: String = text.chars().map(shown).collect();
    while clipped.len() > max {
        clipped.pop();
    }
    clipped
}

/// At most `max` of what `read` reads.
pub(crate) fn list<T, D: Decoder>(
    from: &mut D,
    max: usize,
    mut read: impl FnMut(&mut D) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let length = length(from, max)?;
    let mut list = Vec::new();
    for _ in 0..length {
        list.push(read(from)?);
    }
    Ok(list)
}

/// What `read` reads, if the byte before it says that it is there.
pub(crate) fn option<T, D: Decoder>(
    from: &mut D,
    read: impl FnOnce(&mut D) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    if bool::decode(from)? { read(from).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_as_the_page_says() {
        assert_eq!(encode(&250_u16), [250]);
        assert_eq!(encode(&251_u16), [251, 0, 251]);
        assert_eq!(encode(&65_536_u32), [252, 0, 1, 0, 0]);
        assert_eq!(encode(&(1_u64 << 32)), [253, 0, 0, 0, 1, 0, 0, 0, 0]);
        assert_eq!(encode(&-1_i64), [1]);
        assert_eq!(encode(&1_i64), [2]);
        assert_eq!(encode(&Some(7_u8)), [1, 7]);
        assert_eq!(encode(&"ab"), [2, b'a', b'b']);
        assert_eq!(encode(&1.0_f64), [0x3f, 0xf0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn limits_and_leftovers_are_errors() {
        assert_eq!(decode::<u16>(&[1, 2], 2), Err(WireError::Trailing));
        assert_eq!(decode::<u16>(&[1, 2], 1), Err(WireError::Bound));
        assert_eq!(decode::<u16>(&[251, 2], 9), Err(WireError::Short));
        assert_eq!(decode::<bool>(&[2], 9), Err(WireError::Value));
    }
}
