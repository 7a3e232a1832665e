//! By what a list of sessions is ordered.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::error::Error;
use super::filter::{Facts, Field, FilterError, FinderView, Lookup, Seen, check_field, order_key, order_list};
use super::found::FoundData;

/// By what a list is ordered: smallest, largest or nearest first; a missing field last, ties by session id.
///
/// Numbers order before text, text before flags, flags before bytes, bytes before lists. As text it is
/// `field[:asc|desc|near N]`, and a list of them has commas.
///
/// ```
/// use lansession::OrderBy;
/// let order: OrderBy = "skill:near 1200".parse().unwrap();
/// assert_eq!(order, OrderBy::near("skill", 1200.0));
/// assert_eq!(order.to_string(), "skill:near 1200.0");
/// assert_eq!(OrderBy::parse_list("@ping_ms, @members:desc").unwrap().len(), 2);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct OrderBy {
    pub(crate) field: Field,
    pub(crate) direction: Direction,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Direction {
    Ascending,
    Descending,
    Near(f64),
}

impl From<&str> for OrderBy {
    fn from(name: &str) -> Self {
        Self::ascending(name)
    }
}

impl OrderBy {
    /// Smallest first.
    #[must_use]
    pub fn ascending(field: impl Into<Field>) -> Self {
        Self { field: field.into(), direction: Direction::Ascending }
    }

    /// Largest first.
    #[must_use]
    pub fn descending(field: impl Into<Field>) -> Self {
        Self { field: field.into(), direction: Direction::Descending }
    }

    /// Nearest to `target` first; values that are no numbers count as missing.
    #[must_use]
    #[doc(alias = "Near")]
    pub fn near(field: impl Into<Field>, target: f64) -> Self {
        Self { field: field.into(), direction: Direction::Near(target) }
    }

    /// Several with commas between them, at most 4; none in an empty text.
    ///
    /// # Errors
    /// Where the text is wrong, and what was probably meant.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, FilterError> {
        order_list(text)
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        check_field(&self.field)?;
        match self.direction {
            Direction::Near(target) if !target.is_finite() => {
                Err(Error::invalid(format!("the order by {} is near {target}, which is no number", self.field)))
            }
            _ => Ok(()),
        }
    }

    fn compare(&self, a: &FoundData, b: &FoundData) -> Ordering {
        let (a, b) = (FinderView(a), FinderView(b));
        let (a, b) = (self.seen(&a), self.seen(&b));
        match self.direction {
            Direction::Ascending => missing_last(a, b, by_value),
            Direction::Descending => missing_last(a, b, |a, b| by_value(b, a)),
            Direction::Near(target) => missing_last(distance(a, target), distance(b, target), |a, b| a.total_cmp(b)),
        }
    }

    fn seen<'a>(&self, facts: &'a dyn Facts) -> Option<Seen<'a>> {
        match facts.field(self.field.as_str()) {
            Lookup::Value(Seen::Float(float)) if float.is_nan() => None,
            Lookup::Value(seen) => Some(seen),
            Lookup::Words([]) | Lookup::Missing | Lookup::Unknown => None,
            Lookup::Words(words) => Some(Seen::List(words)),
        }
    }
}

fn missing_last<T>(a: Option<T>, b: Option<T>, present: impl Fn(&T, &T) -> Ordering) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => present(&a, &b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    }
}

fn by_value(a: &Seen<'_>, b: &Seen<'_>) -> Ordering {
    a.rank().cmp(&b.rank()).then_with(|| a.compare(b).unwrap_or(Ordering::Equal))
}

fn distance(seen: Option<Seen<'_>>, target: f64) -> Option<f64> {
    match seen? {
        Seen::Int(int) => Some((int as f64 - target).abs()),
        Seen::Float(float) => Some((float - target).abs()),
        _ => None,
    }
}

/// Which of two entries stands first: by these keys, then by session id and founder, so that the order is total.
pub(crate) fn compare(order: &[OrderBy], a: &FoundData, b: &FoundData) -> Ordering {
    let by_keys = order.iter().map(|key| key.compare(a, b)).find(|order| order.is_ne());
    by_keys.unwrap_or_else(|| a.key.cmp(&b.key))
}

impl FromStr for OrderBy {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        order_key(text)
    }
}

impl fmt::Display for OrderBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.direction {
            Direction::Ascending => write!(f, "{}", self.field),
            Direction::Descending => write!(f, "{}:desc", self.field),
            Direction::Near(target) => write!(f, "{}:near {target:?}", self.field),
        }
    }
}
