//! What each comparison means, and what is known where.

use super::{at_finder, at_host, facts, found, host_key};
use crate::types::*;

/// Decides at the host and at the finder, which must agree.
#[track_caller]
fn is(expected: bool, filter: Filter) {
    filter.check().unwrap();
    assert_eq!(at_host(filter.clone()), Truth::from(expected), "at the host: {filter}");
    assert_eq!(at_finder(filter.clone()), expected, "at the finder: {filter}");
    assert_eq!(at_finder(!filter.clone()), !expected, "not {filter}");
}

#[test]
fn each_comparison_decides_values_of_its_type() {
    is(true, attr("map").eq("dust"));
    is(false, attr("map").eq("Dust"));
    is(true, attr("map").ne("nuke"));
    is(false, attr("map").ne("dust"));
    is(true, attr("skill").lt(1201));
    is(false, attr("skill").lt(1200));
    is(true, attr("skill").le(1200));
    is(false, attr("skill").le(1199));
    is(true, attr("skill").gt(1199));
    is(false, attr("skill").gt(1200));
    is(true, attr("skill").ge(1200));
    is(false, attr("skill").ge(1201));
    is(true, attr("map").is_in(["nuke", "dust"]));
    is(false, attr("map").is_in(["nuke"]));
    is(false, attr("map").is_in(Vec::<Value>::new()));
    is(false, attr("map").not_in(["nuke", "dust"]));
    is(true, attr("map").not_in(["nuke"]));
    is(true, attr("map").contains("us"));
    is(false, attr("map").contains("un"));
    is(true, attr("map").prefix("du"));
    is(false, attr("map").prefix("ust"));
    is(true, attr("map").exists());
    is(false, attr("map").missing());
}

#[test]
fn a_missing_field_and_a_value_of_another_type_match_only_the_negative_comparisons() {
    let every = |field: &str, value: Value| {
        let field = || attr(field);
        is(false, field().eq(value.clone()));
        is(true, field().ne(value.clone()));
        is(false, field().lt(value.clone()));
        is(false, field().le(value.clone()));
        is(false, field().gt(value.clone()));
        is(false, field().ge(value.clone()));
        is(false, field().is_in([value.clone()]));
        is(true, field().not_in([value.clone()]));
        is(false, field().prefix("7"));
        is(false, field().contains("7"));
    };
    for value in [Value::from("x"), 7.into(), 7.5.into(), true.into(), vec![1_u8].into(), vec!["x"].into()] {
        every("nothing", value);
    }
    is(false, attr("nothing").exists());
    is(true, attr("nothing").missing());
    every("map", 1200.into());
    every("skill", "1200".into());
    every("ratio", "1.5".into());
    every("ranked", 1.into());
    every("hash", "c0de".into());
    every("mods", "a".into());
    is(true, attr("mods").exists());
}

#[test]
fn a_negated_comparison_is_not_the_opposite_one() {
    is(true, !attr("nothing").gt(3));
    is(false, attr("nothing").le(3));
}

#[test]
fn integers_and_floats_compare_exactly() {
    let big = (1_i64 << 53) + 1;
    let mut facts = facts();
    facts.attributes.set("big", big).unwrap();
    facts.attributes.set("least", i64::MIN).unwrap();
    facts.attributes.set("half", -2.5).unwrap();
    facts.attributes.set("endless", f64::INFINITY).unwrap();
    let holds = |filter: Filter| filter.verdict_at_host(&facts, host_key()) == Truth::True;
    assert!(holds(attr("skill").eq(1200.0)));
    assert!(holds(attr("skill").lt(1200.5)));
    assert!(holds(attr("big").gt(9_007_199_254_740_992.0)));
    assert!(!holds(attr("big").eq(9_007_199_254_740_992.0)));
    assert!(holds(attr("least").eq(-9_223_372_036_854_775_808.0)));
    assert!(holds(attr("least").gt(-9_223_372_036_854_777_856.0)));
    assert!(holds(attr("big").lt(f64::INFINITY) & attr("least").gt(f64::NEG_INFINITY)));
    assert!(holds(attr("half").lt(-2) & attr("half").gt(-3)));
    assert!(holds(attr("endless").gt(i64::MAX) & attr("endless").eq(f64::INFINITY)));
    assert!(holds(attr("ratio").is_in([Value::from(1), 1.5.into()])));
}

#[test]
fn lists_flags_and_bytes() {
    is(true, attr("mods").eq(vec!["a", "b"]));
    is(false, attr("mods").eq(vec!["b", "a"]));
    is(true, attr("mods").ne(vec!["a"]));
    is(true, attr("mods").contains("a"));
    is(false, attr("mods").contains("A"));
    is(true, attr("mods").lt(vec!["b"]));
    is(true, attr("ranked").eq(true));
    is(true, attr("ranked").gt(false));
    is(true, attr("hash").eq(vec![0xc0_u8, 0xde]));
    is(true, attr("hash").contains(vec![0xde_u8]));
    is(true, attr("hash").contains(Vec::<u8>::new()));
    is(false, attr("hash").contains(vec![0xde_u8, 0xc0]));
}

#[test]
fn text_orders_by_code_point() {
    let mut facts = facts();
    facts.attributes.set("letter", "\u{1f3ae}").unwrap();
    // In UTF-16 units it would stand before U+FF5E.
    assert_eq!(attr("letter").gt("\u{ff5e}").verdict_at_host(&facts, host_key()), Truth::True);
    is(true, attr("map").gt("Z"));
}

#[test]
fn every_built_in_field() {
    is(true, Field::OPEN_SLOTS.eq(6) & Field::MEMBERS.eq(2) & Field::MAX_MEMBERS.eq(8) & Field::VERSION.eq(3));
    is(true, Field::NAME.contains("room"));
    is(true, Field::POLICY.eq(JoinPolicy::FriendsOnly) & Field::POLICY.eq("friends_only"));
    is(true, Field::PHASE.eq(Phase::InProgress) & Field::PHASE.eq("in_progress"));
    is(true, Field::PASSWORD.eq(true) & Field::CLOSED.eq(false));
    is(true, Field::HOST.eq(host_key()) & Field::HOST.prefix(&host_key().to_string()[..8]));
}

#[test]
fn keywords_match_each_for_itself_without_case() {
    let word = || Field::KEYWORD;
    is(true, word().eq("Ranked"));
    is(true, word().contains("EU-West"));
    is(false, word().contains("rank"));
    is(true, word().prefix("EU"));
    is(true, word().is_in(["x", "RANKED"]));
    is(false, word().not_in(["x", "RANKED"]));
    is(false, word().ne("ranked"));
    is(true, word().ne("casual"));
    is(true, word().eq(vec!["ranked", "eu-west"]));
    is(true, word().lt("f"));
    is(true, word().exists());
    is(false, word().eq(7));
    let mut without = facts();
    without.keywords.clear();
    let holds = |filter: Filter| filter.verdict_at_host(&without, host_key()) == Truth::True;
    assert!(holds(word().missing() & word().ne("x") & word().not_in(["x"]) & !word().eq("x")));
}

#[test]
fn a_hidden_attribute_is_missing_so_no_filter_asks_for_its_value() {
    for filter in [attr("secret").eq(7), attr("secret").exists(), attr("secret").gt(0)] {
        is(false, filter);
    }
    is(true, attr("secret").missing());
}

#[test]
fn a_host_knows_no_ping_and_stays_silent_on_neither_side_of_it() {
    let fast = || Field::PING_MS.lt(50);
    assert_eq!(at_host(fast()), Truth::Unknown);
    assert_eq!(at_host(!fast()), Truth::Unknown);
    assert_eq!(at_host(Field::PING_MS.exists()), Truth::Unknown);
    assert_eq!(at_host(fast() & attr("map").eq("nuke")), Truth::False);
    assert_eq!(at_host(fast() | attr("map").eq("dust")), Truth::True);
    assert!(at_finder(fast()) && !at_finder(!fast()));
    assert!(at_finder(Field::PING_MS.eq(1.5)));
    let unmeasured = found("a", facts(), None);
    assert!(!fast().accepts(&unmeasured));
    assert!((!fast()).accepts(&unmeasured));
    assert!(Field::PING_MS.missing().accepts(&unmeasured));
}

#[test]
fn a_built_in_field_of_a_newer_version_is_unknown() {
    assert_eq!(at_host(attr("@moon").eq(1)), Truth::Unknown);
    assert_eq!(at_host(!attr("@moon").eq(1)), Truth::Unknown);
    assert!(!at_finder(attr("@moon").ne(1)));
}

#[test]
fn and_or_not_follow_kleene() {
    let known = |truth: Truth| match truth {
        True => Filter::all(),
        False => !Filter::all(),
        Unknown => Field::PING_MS.exists(),
    };
    // The plain comparisons, so that normal form does not do the work.
    let tested = |truth: Truth| match truth {
        True => attr("map").exists(),
        False => attr("map").missing(),
        Unknown => Field::PING_MS.exists(),
    };
    use Truth::{False, True, Unknown};
    for (a, b, and, or) in [
        (True, True, True, True),
        (True, False, False, True),
        (True, Unknown, Unknown, True),
        (False, False, False, False),
        (False, Unknown, False, Unknown),
        (Unknown, Unknown, Unknown, Unknown),
    ] {
        for (a, b) in [(a, b), (b, a)] {
            for make in [&known as &dyn Fn(Truth) -> Filter, &tested] {
                assert_eq!(at_host(make(a) & make(b)), and, "{a:?} and {b:?}");
                assert_eq!(at_host(make(a) | make(b)), or, "{a:?} or {b:?}");
            }
        }
    }
    for (a, not) in [(True, False), (False, True), (Unknown, Unknown)] {
        assert_eq!(at_host(!known(a)), not);
        assert_eq!(at_host(!tested(a)), not);
    }
}

#[test]
fn a_received_tree_that_is_not_normal_means_the_same() {
    let test = || Node::Test { field: attr("map"), test: Comparison::Exists };
    let tree = Node::And(vec![
        Node::And(vec![test(), Node::Not(Box::new(Node::Not(Box::new(test()))))]),
        Node::Or(vec![Node::Or(vec![test()]), Node::And(Vec::new())]),
    ]);
    assert_eq!(tree.eval(&filter::FinderView(&found("a", facts(), None))), Truth::True);
}
