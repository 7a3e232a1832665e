//! Filters: comparisons of fields, joined by and, or, not; in three-valued logic.

mod eval;
mod parse;
mod print;

use std::borrow::Cow;

use super::error::Error;
use super::value::Value;

pub use parse::FilterError;
pub(crate) use eval::{Lookup, Truth};

/// A field that a filter or an order names: an attribute, or a built-in field that starts with `@`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field(pub(crate) Cow<'static, str>);

/// A condition on sessions.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(pub(crate) Node);

/// The tree behind a [`Filter`]; what travels in a query.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    /// Matches everything: `And` of nothing.
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Test { field: Field, test: Comparison },
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
