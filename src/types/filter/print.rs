//! Filters and fields as text, with the fewest parentheses.

use std::fmt;

use super::{Comparison, Field, Filter, Node};
use crate::types::value::Value;

/// Words that are no field names unless they stand in backticks.
pub(super) const RESERVED: [&str; 10] =
    ["and", "or", "not", "in", "contains", "prefix", "exists", "missing", "true", "false"];

pub(super) fn starts_name(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

pub(super) fn continues_name(c: char) -> bool {
    starts_name(c) || c.is_ascii_digit() || matches!(c, '.' | '-')
}

/// The text form: see [`Filter`]. A filter that passes [`check`](Filter::check) parses back to itself.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_all() { Ok(()) } else { self.0.print(f) }
    }
}

/// As it stands in a filter: in backticks where the name is a reserved word or holds other characters.
impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.as_str();
        let word = name.strip_prefix('@').unwrap_or(name);
        let bare = word.starts_with(starts_name) && word.chars().all(continues_name) && !RESERVED.contains(&name);
        if bare { f.write_str(name) } else { write!(f, "`{}`", name.replace('`', "``")) }
    }
}

impl Node {
    fn print(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(nodes) if nodes.is_empty() => f.write_str("()"),
            Self::Or(nodes) if nodes.is_empty() => f.write_str("not ()"),
            Self::And(nodes) => joined(f, nodes, " and ", |node| matches!(node, Self::Or(_))),
            Self::Or(nodes) => joined(f, nodes, " or ", |_| false),
            Self::Not(node) => {
                f.write_str("not ")?;
                node.print_within(f, matches!(**node, Self::And(_) | Self::Or(_)))
            }
            Self::Test { field, test } => {
                write!(f, "{field} ")?;
                test.print(f)
            }
        }
    }

    fn print_within(&self, f: &mut fmt::Formatter<'_>, parentheses: bool) -> fmt::Result {
        if parentheses && !self.is_all() && !self.is_none() {
            f.write_str("(")?;
            self.print(f)?;
            f.write_str(")")
        } else {
            self.print(f)
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, nodes: &[Node], by: &str, parentheses: fn(&Node) -> bool) -> fmt::Result {
    for (at, node) in nodes.iter().enumerate() {
        if at > 0 {
            f.write_str(by)?;
        }
        node.print_within(f, parentheses(node))?;
    }
    Ok(())
}

impl Comparison {
    fn print(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operator, value) = match self {
            Self::Eq(value) => ("==", value),
            Self::Ne(value) => ("!=", value),
            Self::Lt(value) => ("<", value),
            Self::Le(value) => ("<=", value),
            Self::Gt(value) => (">", value),
            Self::Ge(value) => (">=", value),
            Self::Contains(value) => ("contains", value),
            Self::In(values) => return print_list(f, "in", values),
            Self::NotIn(values) => return print_list(f, "not in", values),
            Self::Prefix(start) => return write!(f, "prefix {}", Value::String(start.clone())),
            Self::Exists => return f.write_str("exists"),
            Self::Missing => return f.write_str("missing"),
        };
        write!(f, "{operator} ")?;
        print_value(f, value)
    }
}

fn print_list(f: &mut fmt::Formatter<'_>, operator: &str, values: &[Value]) -> fmt::Result {
    write!(f, "{operator} [")?;
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            f.write_str(", ")?;
        }
        print_value(f, value)?;
    }
    f.write_str("]")
}

/// The grammar has no word for infinity, but numbers that round to it.
fn print_value(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Float(float) if float.is_infinite() => f.write_str(if *float > 0.0 { "1e999" } else { "-1e999" }),
        other => write!(f, "{other}"),
    }
}
