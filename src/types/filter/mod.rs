//! Filters: comparisons of fields, joined by and, or, not; in three-valued logic.
//!
//! A [`Filter`] is always in normal form: no `And` in an `And`, no `Or` in an `Or`, no double negation, and "all" and
//! "none" only as the whole. So equal conditions that were joined in another shape are equal, and
//! `parse(print(f)) == f` holds. Each rewriting is exact in three-valued logic.

mod check;
mod error;
mod eval;
mod field;
mod lex;
mod parse;
mod print;
#[cfg(test)]
pub(super) mod tests;
mod view;

use std::ops::{BitAnd, BitOr, Not};
use std::str::FromStr;

use super::facts::PublicFacts;
use super::found::{Found, FoundData};
use super::key::HostKey;
use super::value::Value;

pub(super) use check::check_field;
pub use error::FilterError;
pub(crate) use eval::Truth;
pub(super) use eval::{Facts, Lookup, Seen};
pub use field::{Field, attr};
pub(super) use parse::{order_key, order_list};
pub(super) use view::FinderView;

/// A condition on sessions.
///
/// In code it is made from [`attr`] and [`Field`] and joined by `&`, `|` and `!`; as text, which parses and prints, it is
/// for people: never format a player's words into it.
///
/// ```
/// use lansession::{Field, Filter, attr};
/// let filter = attr("map").eq("dust") & Field::OPEN_SLOTS.gt(0);
/// assert_eq!(filter.to_string(), "map == \"dust\" and @open_slots > 0");
/// assert_eq!("map == 'dust' && @open_slots > 0".parse::<Filter>().unwrap(), filter);
/// ```
///
/// # What it means
/// - A missing field matches only `!=`, `not in` and `missing`; a value of another type is as missing. So
///   `not (k > 3)` matches a session without `k`, and `k <= 3` does not.
/// - Integers and floats compare exactly, text by code point, bytes byte by byte, `false < true`, `==` on a list is the
///   whole list, and lists order text by text.
/// - `contains` finds a part of a text or of bytes, or one whole text of a list.
/// - `@keyword` stands for each keyword in turn, without regard to ASCII case: `==`, `in` and `contains` match where any
///   keyword does, `!=` and `not in` where none does. Compared with a list it is the list of keywords.
/// - `@ping_ms` is known to the finder alone. A host answers unless the filter is *definitely* false, so a condition on
///   the ping silences none; the finder then decides. A built-in field that a host's version does not know counts
///   there as unknown too.
///
/// # Text
/// ```text
/// filter = and { ("or" | "||") and } ;     and = not { ("and" | "&&") not } ;     not = { "not" | "!" } atom ;
/// atom   = "(" [ filter ] ")" | field cmp value | field ["not"] "in" "[" [ value { "," value } ] "]"
///        | field ("contains" | "prefix") value | field ("exists" | "missing") ;
/// cmp    = "==" | "!=" | "<" | "<=" | ">" | ">=" ;
/// field  = name | "@" name | "`" { any but "`", or "``" } "`" ;
/// name   = (letter | "_") { letter | digit | "_" | "." | "-" } ;                  (* ASCII; no reserved word *)
/// value  = string | int | float | "true" | "false" | "0x" { hexdigit hexdigit } | "[" [ string { "," string } ] "]" ;
/// int    = ["-"] digit {digit} ;           float = int ( "." digit {digit} [exp] | exp ) ;
/// exp    = ("e" | "E") ["+" | "-"] digit {digit} ;
/// string = '"' { char | escape } '"' | "'" { char | escape } "'" ;
/// escape = "\" ( '"' | "'" | "\" | "n" | "t" | "u{" hex "}" ) ;
/// ```
/// Empty text and `()` match all; `not ()` matches none. A float too large for 64 bits is infinity, which prints as
/// `1e999`. Words are lower case and reserved; such a field name goes in backticks. No attribute holds a control
/// character, so no filter does, escaped or not.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Filter(pub(crate) Node);

/// The tree behind a [`Filter`]; what travels in a query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// `And` of nothing matches all.
    And(Vec<Node>),
    /// `Or` of nothing matches none.
    Or(Vec<Node>),
    Not(Box<Node>),
    Test {
        field: Field,
        test: Comparison,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Comparison {
    Eq(Value),
    Ne(Value),
    Lt(Value),
    Le(Value),
    Gt(Value),
    Ge(Value),
    In(Vec<Value>),
    NotIn(Vec<Value>),
    Contains(Value),
    Prefix(String),
    Exists,
    Missing,
}

impl Filter {
    /// The deepest nesting of and, or, not and a comparison.
    pub const MAX_DEPTH: usize = 16;
    /// The most comparisons.
    pub const MAX_TESTS: usize = 64;
    /// The most values of one `in` or `not in`.
    pub const MAX_VALUES: usize = 32;
    /// The longest text form, in bytes.
    pub const MAX_TEXT: usize = 1_024;

    /// Matches every session.
    pub fn all() -> Self {
        Self(Node::And(Vec::new()))
    }

    /// Whether it definitely matches this entry, as a find or a browse would decide it.
    #[must_use]
    pub fn matches(&self, found: &Found) -> bool {
        self.accepts(found.data())
    }

    /// As [`matches`](Self::matches).
    pub(crate) fn accepts(&self, found: &FoundData) -> bool {
        self.0.eval(&FinderView(found)) == Truth::True
    }

    /// What a host can tell of its own session. It stays silent on [`Truth::False`] alone. Only the public view is
    /// looked at, else a stranger reads hidden attributes through answer and silence.
    pub(crate) fn verdict_at_host(&self, facts: &PublicFacts, host: HostKey) -> Truth {
        self.0.eval(&view::HostView(facts, host))
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::all()
    }
}

impl BitAnd for Filter {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(Node::all_of(vec![self.0, other.0]))
    }
}

impl BitOr for Filter {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(Node::any_of(vec![self.0, other.0]))
    }
}

impl Not for Filter {
    type Output = Self;

    fn not(self) -> Self {
        Self(self.0.negated())
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        parse::filter(text)
    }
}

impl TryFrom<&str> for Filter {
    type Error = FilterError;

    fn try_from(text: &str) -> Result<Self, FilterError> {
        text.parse()
    }
}

impl Node {
    fn is_all(&self) -> bool {
        matches!(self, Self::And(nodes) if nodes.is_empty())
    }

    fn is_none(&self) -> bool {
        matches!(self, Self::Or(nodes) if nodes.is_empty())
    }

    /// All of these, which are in normal form, in normal form.
    fn all_of(nodes: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(nodes.len());
        for node in nodes {
            match node {
                Self::And(inner) => flat.extend(inner),
                none if none.is_none() => return none,
                other => flat.push(other),
            }
        }
        match flat.pop() {
            Some(only) if flat.is_empty() => only,
            Some(last) => {
                flat.push(last);
                Self::And(flat)
            }
            None => Self::And(flat),
        }
    }

    /// Any of these, which are in normal form, in normal form.
    fn any_of(nodes: Vec<Self>) -> Self {
        let mut flat = Vec::with_capacity(nodes.len());
        for node in nodes {
            match node {
                Self::Or(inner) => flat.extend(inner),
                all if all.is_all() => return all,
                other => flat.push(other),
            }
        }
        match flat.pop() {
            Some(only) if flat.is_empty() => only,
            Some(last) => {
                flat.push(last);
                Self::Or(flat)
            }
            None => Self::Or(flat),
        }
    }

    fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            Self::And(nodes) if nodes.is_empty() => Self::Or(nodes),
            Self::Or(nodes) if nodes.is_empty() => Self::And(nodes),
            other => Self::Not(Box::new(other)),
        }
    }
}
