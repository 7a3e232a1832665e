//! The text form: what it reads, what it prints, where it says that it is wrong.

use crate::types::*;

#[track_caller]
fn reads(text: &str, expected: &Filter) {
    let filter: Filter = text.parse().unwrap_or_else(|error: FilterError| panic!("{}", error.caret(text)));
    assert_eq!(&filter, expected, "{text}");
    assert_eq!(filter.to_string().parse::<Filter>().as_ref(), Ok(expected), "{filter}");
}

#[test]
fn reads_every_form() {
    reads("", &Filter::all());
    reads(" \n ", &Filter::all());
    reads("()", &Filter::all());
    reads("not ()", &!Filter::all());
    let map = || attr("map").eq("dust");
    reads("map == \"dust\"", &map());
    reads("map=='dust'", &map());
    reads("((map == 'dust'))", &map());
    reads("!!map == 'dust'", &map());
    reads("not map == 'dust'", &!map());
    reads("map != 'd\\u{fc}\\'\\\"\\\\'", &attr("map").ne("dü'\"\\"));
    reads("a<1&&b<=-2||!c>1.5", &((attr("a").lt(1) & attr("b").le(-2)) | !attr("c").gt(1.5)));
    reads("a < 1 and (b >= 2e3 or c > -1.5E-2)", &(attr("a").lt(1) & (attr("b").ge(2e3) | attr("c").gt(-1.5e-2))));
    reads("@open_slots > 0", &Field::OPEN_SLOTS.gt(0));
    reads("a.b-c_9 exists", &attr("a.b-c_9").exists());
    reads("`and` missing and `größe` exists", &(attr("and").missing() & attr("größe").exists()));
    reads("`a``b` exists", &attr("a`b").exists());
    reads("map in ['dust', 7, 1.5, true, 0xC0DE]", &{
        attr("map").is_in([Value::from("dust"), 7.into(), 1.5.into(), true.into(), vec![0xc0_u8, 0xde].into()])
    });
    reads("map not in []", &attr("map").not_in(Vec::<Value>::new()));
    reads("not map in ['a']", &!attr("map").is_in(["a"]));
    reads("mods contains 'x' and name prefix 'A'", &(attr("mods").contains("x") & attr("name").prefix("A")));
    reads("mods == ['a', 'b'] or mods == []", &{
        attr("mods").eq(vec!["a", "b"]) | attr("mods").eq(Value::List(Vec::new()))
    });
    reads("mods in [['a'], []]", &attr("mods").is_in([vec!["a"], vec![]]));
    reads("least == -9223372036854775808", &attr("least").eq(i64::MIN));
    reads("hash == 0x", &attr("hash").eq(Vec::<u8>::new()));
    reads("x < 1e999 and x > -1e999", &(attr("x").lt(f64::INFINITY) & attr("x").gt(f64::NEG_INFINITY)));
}

#[test]
fn prints_the_fewest_parentheses() {
    let (a, b, c) = (|| attr("a").exists(), || attr("b").exists(), || attr("c").exists());
    for (filter, text) in [
        (a() & b() & c(), "a exists and b exists and c exists"),
        (a() & (b() & c()), "a exists and b exists and c exists"),
        (a() | b() & c(), "a exists or b exists and c exists"),
        ((a() | b()) & c(), "(a exists or b exists) and c exists"),
        (!a() & b(), "not a exists and b exists"),
        (!(a() & b()), "not (a exists and b exists)"),
        (!(a() | b()) | c(), "not (a exists or b exists) or c exists"),
        (!!a(), "a exists"),
        (Filter::all(), ""),
        (!Filter::all(), "not ()"),
        (Filter::all() & a(), "a exists"),
        (!Filter::all() | a(), "a exists"),
        (Filter::all() | a(), ""),
        (attr("in").not_in([1]), "`in` not in [1]"),
        (attr("9").eq("q\"\\"), r#"`9` == "q\"\\""#),
    ] {
        assert_eq!(filter.to_string(), text);
        assert_eq!(text.parse::<Filter>().unwrap(), filter);
    }
}

#[test]
fn an_error_points_at_its_column_and_says_what_was_meant() {
    for (text, column, says) in [
        ("map = 'dust'", 5, "write `==`"),
        ("map <> 'dust'", 5, "write `!=`"),
        ("a => 1", 3, "write `>=`"),
        ("a === 1", 3, "write `==`"),
        ("a == 1 & b == 2", 8, "`and`"),
        ("a == 1 | b == 2", 8, "`or`"),
        ("a == 1 AND b == 2", 8, "did you mean `and`"),
        ("a == 1 b == 2", 8, "expected `and`, `or` or the end"),
        ("@slots > 0", 1, "did you mean `@open_slots`"),
        ("a exists and @pink_ms < 9", 14, "did you mean `@ping_ms`"),
        ("@zzzzzzzz exists", 1, "@open_slots, @members"),
        ("@ open", 1, "follows `@`"),
        ("map == dust", 8, "`\"dust\"`"),
        ("ranked == True", 11, "write `true`"),
        ("map", 4, "expected a comparison"),
        ("map ==", 7, "the text ends"),
        ("map == 'dust", 8, "no `'` at its end"),
        ("map == “dust”", 8, "straight quotes"),
        ("'dust' == map", 1, "stands left"),
        ("(a exists", 1, "no `)`"),
        ("a exists)", 9, "closes nothing"),
        ("a in [1, 2", 6, "no `]`"),
        ("a in [1 2]", 9, "`,` or `]`"),
        ("a in 1", 6, "expected a list"),
        ("a not 1", 7, "expected `in`"),
        ("a contain 'x'", 3, "did you mean `contains`"),
        ("a is 'x'", 3, "write `==`"),
        ("skill near 1200", 7, "orders"),
        ("a contains 1", 12, "text or bytes"),
        ("a prefix 1", 10, "takes a text"),
        ("a == [1]", 7, "texts only"),
        ("a == 1.", 8, "write `1.0`"),
        ("a == .5", 6, "write `0.5`"),
        ("a == 1e", 8, "after `e`"),
        ("a == 12ab", 8, "ends here"),
        ("a == 0xabc", 6, "odd"),
        ("a == 0xag", 9, "hex digits"),
        ("a == 9223372036854775808", 6, "does not fit 64 bits"),
        ("1 < a < 3", 1, "stands left"),
        ("a < 3 < b", 7, "do not chain"),
        ("not", 4, "the text ends"),
        ("and == 1", 1, "backticks"),
        ("größe == 1", 3, "backticks"),
        ("a == 'x\\q'", 8, "escapes are"),
        ("a == 'x\\n'", 8, "control"),
        ("a == '\u{202e}'", 7, "control"),
        ("`` exists", 1, "empty"),
        ("a1234567890123456789012345678901x exists", 1, "over its 32"),
        ("a == 1 and\n  b = 2", 16, "write `==`"),
    ] {
        let error = text.parse::<Filter>().expect_err(text);
        assert_eq!(error.column(), column, "{text}: {error}");
        assert!(error.message().contains(says), "{text}: {error}");
        assert!(error.caret(text).lines().count() >= 2);
    }
}

#[test]
fn the_caret_stands_under_the_character_of_its_line() {
    let text = "a == 1 and\n\tb = 2";
    let error = text.parse::<Filter>().unwrap_err();
    assert!(error.caret(text).starts_with(" b = 2\n   ^ "), "{}", error.caret(text));
    assert!(error.caret("").ends_with("write `==`"));
    let error: Error = error.into();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn orders_read_and_print() {
    let order = OrderBy::parse_list("skill:near -3, @ping_ms ,`a:b`:asc, x:desc").unwrap();
    assert_eq!(
        order,
        [OrderBy::near("skill", -3.0), "@ping_ms".into(), OrderBy::ascending("a:b"), OrderBy::descending("x")]
    );
    let printed: Vec<String> = order.iter().map(ToString::to_string).collect();
    assert_eq!(printed, ["skill:near -3.0", "@ping_ms", "`a:b`", "x:desc"]);
    assert_eq!(OrderBy::parse_list(&printed.join(",")).unwrap(), order);
    assert_eq!(OrderBy::parse_list(" ").unwrap(), []);
    for (text, column, says) in [
        ("a,", 3, "expected a field"),
        ("a:down", 3, "`asc`, `desc` or `near`"),
        ("a:near", 7, "a number"),
        ("a:near 1e999", 8, "infinity"),
        ("@pong", 1, "no built-in field"),
        ("a b", 3, "expected `,`"),
        ("a,b,c,d,e", 9, "at most 4"),
    ] {
        let error = OrderBy::parse_list(text).expect_err(text);
        assert_eq!(error.column(), column, "{text}: {error}");
        assert!(error.message().contains(says), "{text}: {error}");
    }
    assert!("a,b".parse::<OrderBy>().is_err());
}
