//! The bounds of a filter, whichever way it was made.

use super::{Comparison, Field, Filter, Node};
use crate::types::attributes::Attributes;
use crate::types::error::Error;
use crate::types::text::{check_name, check_text};
use crate::types::value::Value;

impl Filter {
    /// Checks it against its bounds: 16 deep, 64 comparisons, 32 values a list, 1,024 bytes as text; no NaN, no built-in
    /// field that does not exist. A parsed filter has passed.
    ///
    /// # Errors
    /// `InvalidArgument` naming the bound, or the field that was probably meant.
    ///
    /// ```
    /// use lansession::attr;
    /// assert!(attr("skill").lt(f64::NAN).check().is_err());
    /// let error = attr("@slots").gt(0).check().unwrap_err();
    /// assert_eq!(error.to_string(), "there is no built-in field `@slots`: did you mean `@open_slots`?");
    /// ```
    pub fn check(&self) -> Result<(), Error> {
        self.check_bounds()?;
        self.0.fields(&mut |field| check_built_in(field))?;
        let length = self.to_string().len();
        if length > Self::MAX_TEXT {
            return Err(Error::invalid(format!("the filter has {length} bytes as text, at most 1024 fit")));
        }
        Ok(())
    }

    /// As [`check`](Self::check), but for built-in fields of newer versions: what a received filter must keep to.
    pub(crate) fn check_bounds(&self) -> Result<(), Error> {
        let depth = self.0.depth();
        if depth > Self::MAX_DEPTH {
            return Err(Error::invalid(format!("the filter is {depth} deep, at most 16 fit")));
        }
        let tests = self.0.tests();
        if tests > Self::MAX_TESTS {
            return Err(Error::invalid(format!("the filter has {tests} comparisons, at most 64 fit")));
        }
        self.0.check_tests()
    }
}

impl Node {
    /// 1 for a comparison, one more for each and, or, not around it.
    pub(crate) fn depth(&self) -> usize {
        match self {
            Self::Test { .. } => 1,
            Self::Not(node) => node.depth() + 1,
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().map(Self::depth).max().map_or(1, |depth| depth + 1),
        }
    }

    fn tests(&self) -> usize {
        match self {
            Self::Test { .. } => 1,
            Self::Not(node) => node.tests(),
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().map(Self::tests).sum(),
        }
    }

    fn fields(&self, each: &mut impl FnMut(&Field) -> Result<(), Error>) -> Result<(), Error> {
        match self {
            Self::Test { field, .. } => each(field),
            Self::Not(node) => node.fields(each),
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().try_for_each(|node| node.fields(each)),
        }
    }

    fn check_tests(&self) -> Result<(), Error> {
        match self {
            Self::Test { field, test } => {
                check_field_name(field)?;
                test.check(field)
            }
            Self::Not(node) => node.check_tests(),
            Self::And(nodes) | Self::Or(nodes) => nodes.iter().try_for_each(Self::check_tests),
        }
    }
}

impl Comparison {
    fn check(&self, field: &Field) -> Result<(), Error> {
        match self {
            Self::Eq(value)
            | Self::Ne(value)
            | Self::Lt(value)
            | Self::Le(value)
            | Self::Gt(value)
            | Self::Ge(value) => check_value(field, value),
            Self::In(values) | Self::NotIn(values) => {
                if values.len() > Filter::MAX_VALUES {
                    let count = values.len();
                    return Err(Error::invalid(format!("{field} is compared with {count} values, at most 32 fit")));
                }
                values.iter().try_for_each(|value| check_value(field, value))
            }
            Self::Contains(part) => match part {
                Value::String(_) | Value::Bytes(_) => check_value(field, part),
                other => Err(Error::invalid(format!("{field} contains {}: only text or bytes", other.type_name()))),
            },
            Self::Prefix(start) => check_text(&format!("the prefix of {field}"), start, Attributes::MAX_VALUE),
            Self::Exists | Self::Missing => Ok(()),
        }
    }
}

fn check_value(field: &Field, value: &Value) -> Result<(), Error> {
    let what = || format!("a value that {field} is compared with");
    match value {
        Value::Float(float) if float.is_nan() => {
            Err(Error::invalid(format!("{field} is compared with NaN, which equals nothing and has no order")))
        }
        Value::String(text) => check_text(&what(), text, Attributes::MAX_VALUE),
        Value::Bytes(bytes) if bytes.len() > Attributes::MAX_VALUE => {
            Err(Error::invalid(format!("{} is {} bytes, at most 1024 fit", what(), bytes.len())))
        }
        Value::List(list) if list.len() > Attributes::MAX_LIST => {
            Err(Error::invalid(format!("{} lists {} texts, at most 32 fit", what(), list.len())))
        }
        Value::List(list) => list.iter().try_for_each(|text| check_text(&what(), text, Attributes::MAX_VALUE)),
        Value::Int(_) | Value::Float(_) | Value::Bool(_) | Value::Bytes(_) => Ok(()),
    }
}

pub(in crate::types) fn check_field(field: &Field) -> Result<(), Error> {
    check_field_name(field)?;
    check_built_in(field)
}

fn check_field_name(field: &Field) -> Result<(), Error> {
    check_name("a field's name", field.as_str(), Attributes::MAX_NAME)
}

fn check_built_in(field: &Field) -> Result<(), Error> {
    if !field.is_built_in() || Field::BUILT_IN.contains(&field.as_str()) {
        return Ok(());
    }
    let name = field.as_str();
    Err(Error::invalid(match nearest(name, Field::BUILT_IN) {
        Some(meant) => format!("there is no built-in field `{name}`: did you mean `{meant}`?"),
        None => format!("there is no built-in field `{name}`: there are {}", Field::BUILT_IN.join(", ")),
    }))
}

/// The word that was probably meant: one that holds it, else the one with the fewest letters to change, at most 3.
pub(super) fn nearest<'a>(wrong: &str, words: &[&'a str]) -> Option<&'a str> {
    let wrong = wrong.to_ascii_lowercase();
    let stem = wrong.trim_start_matches('@');
    if let Some(holds) = words.iter().find(|word| stem.len() > 2 && word.contains(stem)) {
        return Some(holds);
    }
    let far = (stem.len() / 2).min(3);
    words
        .iter()
        .map(|word| (edits(&wrong, word), *word))
        .min_by_key(|(edits, _)| *edits)
        .filter(|(edits, _)| *edits <= far)
        .map(|(_, word)| word)
}

/// Levenshtein's distance, in characters.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, pair) in b.chars().zip(row.windows(2)) {
            let (diagonal, above) = match pair {
                [diagonal, above] => (*diagonal, *above),
                _ => (left, left),
            };
            left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}
