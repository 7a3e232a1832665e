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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::types::filter::tests::{facts, found};
    use crate::types::{SessionId, Value};

    fn entry(id: &str, skill: Option<Value>) -> FoundData {
        let mut facts = facts();
        facts.attributes.remove("skill");
        if let Some(skill) = skill {
            facts.attributes.set("skill", skill).unwrap();
        }
        found(id, facts, Some(Duration::from_millis(5)))
    }

    fn sorted(order: &str, entries: &[FoundData]) -> Vec<Option<Value>> {
        let order = OrderBy::parse_list(order).unwrap();
        let mut entries = entries.to_vec();
        entries.sort_by(|a, b| compare(&order, a, b));
        entries.iter().map(|entry| entry.facts.attributes.get("skill").cloned()).collect()
    }

    #[test]
    fn missing_stands_last_whichever_way_and_near_wants_numbers() {
        let some = |value: &dyn Fn() -> Value| Some(value());
        let (low, high, text) = (some(&|| 900.into()), some(&|| 1_300.5.into()), some(&|| "pro".into()));
        let entries = [entry("a", None), entry("b", text.clone()), entry("c", high.clone()), entry("d", low.clone())];
        assert_eq!(sorted("skill", &entries), [low.clone(), high.clone(), text.clone(), None]);
        assert_eq!(sorted("skill:desc", &entries), [text.clone(), high.clone(), low.clone(), None]);
        let near = sorted("skill:near 1200", &entries);
        assert_eq!(near[..2], [high, low]);
        assert!(near[2..].contains(&None) && near[2..].contains(&text));
    }

    #[test]
    fn ties_go_to_the_next_key_and_then_to_the_id() {
        let mut ids = ["a", "b", "c"].map(|id| entry(id, Some(1.into())));
        ids.sort_by(|a, b| compare(&[], a, b));
        assert!(ids.windows(2).all(|pair| pair[0].key.id < pair[1].key.id));
        let mut fast = entry("z", Some(1.into()));
        fast.addresses[0].rtt = Some(Duration::from_micros(300));
        let order = OrderBy::parse_list("skill, @ping_ms").unwrap();
        assert!(ids.iter().all(|slow| compare(&order, &fast, slow).is_lt()));
        let mut other = ids[0].clone();
        other.key.id = SessionId::from_bytes([0xff; 16]);
        assert_eq!(compare(&order, &ids[0], &ids[0]), Ordering::Equal);
        assert_eq!(compare(&order, &other, &ids[0]), Ordering::Greater);
    }

    fn value() -> impl Strategy<Value = Option<Value>> {
        proptest::option::of(prop_oneof![
            (-3_i64..3).prop_map(Value::Int),
            Just(Value::Int(i64::MAX)),
            (-3_i32..3).prop_map(|half| Value::Float(f64::from(half) / 2.0)),
            Just(Value::Float(f64::INFINITY)),
            "[ab]{0,2}".prop_map(Value::String),
            any::<bool>().prop_map(Value::Bool),
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_order_is_total(
            values in [value(), value(), value()],
            key in prop_oneof![Just("skill"), Just("skill:desc"), Just("skill:near 0.5"), Just("@keyword, skill")],
        ) {
            let order = OrderBy::parse_list(key).unwrap();
            let [x, y, z] = values;
            let (x, y, z) = (entry("x", x), entry("y", y), entry("z", z));
            for (a, b, c) in [(&x, &y, &z), (&y, &z, &x), (&z, &x, &y), (&x, &z, &y), (&z, &y, &x), (&y, &x, &z)] {
                prop_assert_eq!(compare(&order, a, b), compare(&order, b, a).reverse());
                prop_assert!(compare(&order, a, b).is_ne());
                if compare(&order, a, b).is_le() && compare(&order, b, c).is_le() {
                    prop_assert!(compare(&order, a, c).is_le());
                }
            }
        }
    }
}
