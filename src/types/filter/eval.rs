//! Three-valued evaluation: true, false, or not known here.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Comparison, Node};
use crate::types::value::Value;

/// Kleene's three values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    True,
    False,
    /// It depends on something that is not known here.
    Unknown,
}

impl Truth {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::True, Self::True) => Self::True,
            _ => Self::Unknown,
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }

    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl From<bool> for Truth {
    fn from(known: bool) -> Self {
        if known { Self::True } else { Self::False }
    }
}

/// A value as it is seen in facts, which hold some without a [`Value`] around them.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::types) enum Seen<'a> {
    Text(Cow<'a, str>),
    Int(i64),
    Float(f64),
    Bool(bool),
    Bytes(&'a [u8]),
    List(&'a [String]),
}

impl<'a> From<&'a Value> for Seen<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text.as_str().into()),
            Value::Int(int) => Self::Int(*int),
            Value::Float(float) => Self::Float(*float),
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Bytes(bytes) => Self::Bytes(bytes),
            Value::List(list) => Self::List(list),
        }
    }
}

/// What facts say of one field.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::types) enum Lookup<'a> {
    Value(Seen<'a>),
    /// Several words of which each is the field's value.
    Words(&'a [String]),
    Missing,
    /// Not to be known here.
    Unknown,
}

/// Something that a filter is evaluated over.
pub(in crate::types) trait Facts {
    /// The field of this name, with the `@` of a built-in one.
    fn field(&self, name: &str) -> Lookup<'_>;
}

impl Node {
    pub(in crate::types) fn eval(&self, facts: &dyn Facts) -> Truth {
        match self {
            Self::And(nodes) => {
                let mut all = Truth::True;
                for node in nodes {
                    all = all.and(node.eval(facts));
                    if all == Truth::False {
                        break;
                    }
                }
                all
            }
            Self::Or(nodes) => {
                let mut any = Truth::False;
                for node in nodes {
                    any = any.or(node.eval(facts));
                    if any == Truth::True {
                        break;
                    }
                }
                any
            }
            Self::Not(node) => node.eval(facts).not(),
            Self::Test { field, test } => test.eval(&facts.field(field.as_str())),
        }
    }
}

impl Comparison {
    fn eval(&self, lookup: &Lookup<'_>) -> Truth {
        match lookup {
            Lookup::Unknown => Truth::Unknown,
            Lookup::Missing | Lookup::Words([]) => matches!(self, Self::Ne(_) | Self::NotIn(_) | Self::Missing).into(),
            Lookup::Value(seen) => self.holds(seen).into(),
            Lookup::Words(words) => self.holds_for_words(words).into(),
        }
    }

    fn holds(&self, seen: &Seen<'_>) -> bool {
        let order = |value: &Value| seen.compare(&value.into());
        let equal = |value: &Value| order(value) == Some(Ordering::Equal);
        match self {
            Self::Eq(value) => equal(value),
            Self::Ne(value) => !equal(value),
            Self::Lt(value) => order(value).is_some_and(Ordering::is_lt),
            Self::Le(value) => order(value).is_some_and(Ordering::is_le),
            Self::Gt(value) => order(value).is_some_and(Ordering::is_gt),
            Self::Ge(value) => order(value).is_some_and(Ordering::is_ge),
            Self::In(values) => values.iter().any(equal),
            Self::NotIn(values) => !values.iter().any(equal),
            Self::Contains(part) => match (seen, part) {
                (Seen::Text(text), Value::String(part)) => text.contains(part.as_str()),
                (Seen::List(list), Value::String(text)) => list.contains(text),
                (Seen::Bytes(bytes), Value::Bytes(part)) => {
                    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
                }
                _ => false,
            },
            Self::Prefix(start) => matches!(seen, Seen::Text(text) if text.starts_with(start.as_str())),
            Self::Exists => true,
            Self::Missing => false,
        }
    }

    /// Any of the words, which are folded to lower case; with a list, all of them.
    fn holds_for_words(&self, words: &[String]) -> bool {
        let equal = |value: &Value| match value {
            Value::String(text) => words.iter().any(|word| word.eq_ignore_ascii_case(text)),
            Value::List(list) => words == list,
            _ => false,
        };
        match self {
            Self::Eq(value) | Self::Contains(value) => equal(value),
            Self::Ne(value) => !equal(value),
            Self::In(values) => values.iter().any(equal),
            Self::NotIn(values) => !values.iter().any(equal),
            Self::Prefix(start) => {
                let start = start.to_ascii_lowercase();
                words.iter().any(|word| word.starts_with(&start))
            }
            Self::Lt(_) | Self::Le(_) | Self::Gt(_) | Self::Ge(_) | Self::Exists | Self::Missing => {
                words.iter().any(|word| self.holds(&Seen::Text(word.as_str().into())))
            }
        }
    }
}

impl Seen<'_> {
    /// How two values of one type compare; integers and floats are one type. `None` for others and for NaN.
    pub(in crate::types) fn compare(&self, other: &Seen<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Seen::Text(b)) => Some(a.as_ref().cmp(b.as_ref())),
            (Self::Int(a), Seen::Int(b)) => Some(a.cmp(b)),
            (Self::Float(a), Seen::Float(b)) => a.partial_cmp(b),
            (Self::Int(a), Seen::Float(b)) => int_with_float(*a, *b),
            (Self::Float(a), Seen::Int(b)) => int_with_float(*b, *a).map(Ordering::reverse),
            (Self::Bool(a), Seen::Bool(b)) => Some(a.cmp(b)),
            (Self::Bytes(a), Seen::Bytes(b)) => Some(a.cmp(b)),
            (Self::List(a), Seen::List(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// Where values of this type stand among those of other types.
    pub(in crate::types) fn rank(&self) -> u8 {
        match self {
            Self::Int(_) | Self::Float(_) => 0,
            Self::Text(_) => 1,
            Self::Bool(_) => 2,
            Self::Bytes(_) => 3,
            Self::List(_) => 4,
        }
    }
}

/// Exact: converting either to the other's type would round, and 2^53 + 1 would equal 2^53.
fn int_with_float(int: i64, float: f64) -> Option<Ordering> {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    if float.is_nan() {
        None
    } else if float >= TWO_63 {
        Some(Ordering::Less)
    } else if float < -TWO_63 {
        Some(Ordering::Greater)
    } else {
        // In range, so the cast is exact.
        let whole = float.trunc() as i64;
        Some(int.cmp(&whole).then_with(|| {
            let rest = float.fract();
            if rest > 0.0 {
                Ordering::Less
            } else if rest < 0.0 {
                Ordering::Greater
            } else {
                Ordering::Equal
            }
        }))
    }
}
