//! What holds for every filter.

use proptest::prelude::*;

use super::{facts, found, host_key};
use crate::types::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c]{0,3}",
        "[ -~]{0,6}",
        proptest::collection::vec(any::<char>(), 0..4)
            .prop_map(|chars| { chars.into_iter().filter(|c| is_displayable(c.encode_utf8(&mut [0; 4]))).collect() })
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::String),
        any::<i64>().prop_map(Value::Int),
        (-3_i64..3).prop_map(Value::Int),
        any::<f64>().prop_filter("NaN is refused", |float| !float.is_nan()).prop_map(Value::Float),
        prop_oneof![Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(-0.0), Just(1e16), Just(5e-324)]
            .prop_map(Value::Float),
        any::<bool>().prop_map(Value::Bool),
        proptest::collection::vec(any::<u8>(), 0..4).prop_map(Value::Bytes),
        proptest::collection::vec(text(), 0..3).prop_map(Value::List),
    ]
}

fn field() -> impl Strategy<Value = Field> {
    prop_oneof![
        prop_oneof![
            Just("map"),
            Just("skill"),
            Just("mods"),
            Just("nothing"),
            Just("secret"),
            Just("not"),
            Just("true")
        ]
        .prop_map(Field::from),
        prop_oneof![Just(Field::PING_MS), Just(Field::OPEN_SLOTS), Just(Field::KEYWORD), Just(Field::HOST)],
        "[a-z0-9._` -]{1,6}".prop_map(Field::from),
        "[^@\\p{C}\\p{Z}]{1,6}".prop_filter("displayable", |name| is_displayable(name)).prop_map(Field::from),
    ]
}

fn comparison() -> impl Strategy<Value = Filter> {
    let values = || proptest::collection::vec(value(), 0..4);
    (field(), 0..12, value(), values(), text(), any::<bool>()).prop_map(|(field, which, value, values, text, bytes)| {
        match which {
            0 => field.eq(value),
            1 => field.ne(value),
            2 => field.lt(value),
            3 => field.le(value),
            4 => field.gt(value),
            5 => field.ge(value),
            6 => field.is_in(values),
            7 => field.not_in(values),
            8 if bytes => field.contains(text.into_bytes()),
            8 => field.contains(text),
            9 => field.prefix(text),
            10 => field.exists(),
            _ => field.missing(),
        }
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let leaf = prop_oneof![20 => comparison(), 1 => Just(Filter::all()), 1 => Just(!Filter::all())];
    leaf.prop_recursive(6, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a & b),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| a | b),
            inner.prop_map(|a| !a),
        ]
    })
}

fn at_host(filter: &Filter) -> Truth {
    filter.verdict_at_host(&facts(), host_key())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_filter_parses_back_from_what_it_prints(filter in filter()) {
        let text = filter.to_string();
        if filter.check().is_ok() {
            prop_assert_eq!(text.parse::<Filter>(), Ok(filter));
        } else {
            prop_assert!(text.parse::<Filter>().is_err());
        }
    }

    #[test]
    fn parsing_never_panics_and_what_it_accepts_is_checked(text in "[a-c@`'\"\\\\()\\[\\]!=<>&|,. 0-9xe-]{0,40}") {
        match text.parse::<Filter>() {
            Ok(filter) => prop_assert!(filter.check().is_ok()),
            Err(error) => {
                prop_assert!(error.column() >= 1 && error.column() <= text.chars().count() + 1);
                prop_assert!(error.caret(&text).contains('^'));
            }
        }
        let _ = OrderBy::parse_list(&text);
    }

    #[test]
    fn any_text_is_refused_or_read_without_a_panic(text in any::<String>()) {
        let _ = text.parse::<Filter>().map_err(|error| error.caret(&text));
    }

    #[test]
    fn not_not_is_nothing_and_de_morgan_holds(a in filter(), b in filter()) {
        prop_assert_eq!(&!!a.clone(), &a);
        prop_assert_eq!(at_host(&!(a.clone() & b.clone())), at_host(&(!a.clone() | !b.clone())));
        prop_assert_eq!(at_host(&!(a.clone() | b.clone())), at_host(&(!a & !b)));
    }

    /// What a host is sure of, the finder finds too: no answer that is wanted is ever withheld.
    #[test]
    fn a_sure_host_is_never_wrong(filter in filter(), ping in proptest::option::of(0_u64..200)) {
        let entry = found("a", facts(), ping.map(std::time::Duration::from_millis));
        match at_host(&filter) {
            Truth::True => prop_assert!(filter.accepts(&entry)),
            Truth::False => prop_assert!(!filter.accepts(&entry)),
            Truth::Unknown => {}
        }
    }
}
