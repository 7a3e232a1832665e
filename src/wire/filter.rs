//! How a filter and an order travel (protocol.md, "Filter").

use std::borrow::Cow;

use bincode::de::{Decode, Decoder};
use bincode::enc::{Encode, Encoder};
use bincode::error::{DecodeError, EncodeError};

use super::codec::{self, message};
use super::values::number;
use crate::types::{Attributes, Comparison, Direction, Field, Node, OrderBy, Value};

/// The longest filter in a query, in bytes.
pub(crate) const MAX_FILTER: usize = 256;
/// A comparison alone is 1 deep.
const MAX_DEPTH: usize = 16;
const MAX_TESTS: usize = 64;
const MAX_VALUES: usize = 32;

/// Whether a filter fits into a query; else the bytes over. One that does not is left to the finder alone.
pub(crate) fn filter_fits(node: &Node) -> Result<(), usize> {
    match codec::encode(node).len().saturating_sub(MAX_FILTER) {
        0 => Ok(()),
        over => Err(over),
    }
}

impl Encode for Field {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        self.0.as_ref().encode(to)
    }
}

impl<C> Decode<C> for Field {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        codec::name::<{ Attributes::MAX_NAME }, _>(from).map(|name| Self(Cow::Owned(name)))
    }
}

impl Encode for Direction {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::Ascending => 0_u32.encode(to),
            Self::Descending => 1_u32.encode(to),
            Self::Near(target) => (2_u32, target).encode(to),
        }
    }
}

impl<C> Decode<C> for Direction {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        match u32::decode(from)? {
            0 => Ok(Self::Ascending),
            1 => Ok(Self::Descending),
            2 => number(from).map(Self::Near),
            _ => Err(DecodeError::Other("unknown direction")),
        }
    }
}

message! { OrderBy { field, direction } }

impl Encode for Comparison {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::Eq(value) => (0_u32, value).encode(to),
            Self::Ne(value) => (1_u32, value).encode(to),
            Self::Lt(value) => (2_u32, value).encode(to),
            Self::Le(value) => (3_u32, value).encode(to),
            Self::Gt(value) => (4_u32, value).encode(to),
            Self::Ge(value) => (5_u32, value).encode(to),
            Self::In(values) => (6_u32, values).encode(to),
            Self::NotIn(values) => (7_u32, values).encode(to),
            Self::Contains(part) => (8_u32, part).encode(to),
            Self::Prefix(start) => (9_u32, start).encode(to),
            Self::Exists => 10_u32.encode(to),
            Self::Missing => 11_u32.encode(to),
        }
    }
}

impl<C> Decode<C> for Comparison {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        Ok(match u32::decode(from)? {
            0 => Self::Eq(Value::decode(from)?),
            1 => Self::Ne(Value::decode(from)?),
            2 => Self::Lt(Value::decode(from)?),
            3 => Self::Le(Value::decode(from)?),
            4 => Self::Gt(Value::decode(from)?),
            5 => Self::Ge(Value::decode(from)?),
            6 => Self::In(codec::list(from, MAX_VALUES, Value::decode)?),
            7 => Self::NotIn(codec::list(from, MAX_VALUES, Value::decode)?),
            8 => match Value::decode(from)? {
                part @ (Value::String(_) | Value::Bytes(_)) => Self::Contains(part),
                _ => return Err(DecodeError::Other("contains takes text or bytes")),
            },
            9 => Self::Prefix(codec::text::<{ Attributes::MAX_VALUE }, _>(from)?),
            10 => Self::Exists,
            11 => Self::Missing,
            // Not "unknown": what a host cannot read it cannot answer truly, and the finder that sent it gets no wrong
            // silence from hosts that can.
            _ => return Err(DecodeError::Other("unknown comparison")),
        })
    }
}

impl Encode for Node {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::And(nodes) => (0_u32, nodes).encode(to),
            Self::Or(nodes) => (1_u32, nodes).encode(to),
            Self::Not(node) => (2_u32, node).encode(to),
            Self::Test { field, test } => (3_u32, field, test).encode(to),
        }
    }
}

impl<C> Decode<C> for Node {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        let mut tests = 0;
        node(from, MAX_DEPTH, &mut tests)
    }
}

/// A tree of at most `depth` levels; `tests` counts its leaves, an empty "and" or "or" among them.
fn node<D: Decoder>(from: &mut D, depth: usize, tests: &mut usize) -> Result<Node, DecodeError> {
    let below = depth.checked_sub(1).ok_or(DecodeError::LimitExceeded)?;
    let mut leaf = || {
        *tests = tests.saturating_add(1);
        if *tests > MAX_TESTS { Err(DecodeError::LimitExceeded) } else { Ok(()) }
    };
    match u32::decode(from)? {
        join @ (0 | 1) => {
            let length = codec::length(from, MAX_TESTS)?;
            if length == 0 {
                leaf()?;
            }
            let mut nodes = Vec::new();
            for _ in 0..length {
                nodes.push(node(from, below, tests)?);
            }
            Ok(if join == 0 { Node::And(nodes) } else { Node::Or(nodes) })
        }
        2 => node(from, below, tests).map(|inner| Node::Not(Box::new(inner))),
        3 => {
            leaf()?;
            Ok(Node::Test { field: Field::decode(from)?, test: Comparison::decode(from)? })
        }
        _ => Err(DecodeError::Other("unknown kind of condition")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::WireError;

    fn nested(levels: usize) -> Node {
        (1..levels)
            .fold(Node::Test { field: Field::from("a"), test: Comparison::Exists }, |node, _| Node::Not(Box::new(node)))
    }

    #[test]
    fn sixteen_levels_pass_and_no_more() {
        let at = nested(MAX_DEPTH);
        assert_eq!(codec::decode::<Node>(&codec::encode(&at), MAX_FILTER), Ok(at));
        let over = codec::encode(&nested(MAX_DEPTH + 1));
        assert_eq!(codec::decode::<Node>(&over, MAX_FILTER), Err(WireError::Bound));
        assert_eq!(codec::decode::<Node>(&vec![2; 60_000], 1 << 20), Err(WireError::Bound));
    }

    #[test]
    fn sixty_four_tests_pass_and_no_more() {
        let test = || Node::Test { field: Field::from("a"), test: Comparison::Exists };
        let all =
            |count: usize| codec::encode(&Node::Or(vec![Node::And((0..count).map(|_| test()).collect()), test()]));
        assert!(codec::decode::<Node>(&all(63), 1_024).is_ok());
        assert_eq!(codec::decode::<Node>(&all(64), 1_024), Err(WireError::Bound));
        assert_eq!(filter_fits(&test()), Ok(()));
        let long = Node::Test { field: Field::from("a"), test: Comparison::Prefix("x".repeat(260)) };
        assert_eq!(filter_fits(&long), Err(codec::encode(&long).len() - MAX_FILTER));
    }

    #[test]
    fn unknown_comparisons_and_nan_are_refused() {
        assert_eq!(codec::decode::<Node>(&[3, 1, b'a', 12], 99), Err(WireError::Value));
        let nan = [&[3, 1, b'a', 0, 2][..], &f64::NAN.to_be_bytes()].concat();
        assert_eq!(codec::decode::<Node>(&nan, 99), Err(WireError::Value));
    }
}
