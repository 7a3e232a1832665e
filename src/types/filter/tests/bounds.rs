//! The bounds, for filters from code and from text.

use crate::types::*;

fn deep(levels: usize) -> Filter {
    (1..levels).fold(attr("a").exists(), |filter, level| {
        if level % 2 == 0 { filter & attr("b").exists() } else { filter | attr("b").exists() }
    })
}

#[test]
fn depth_sixteen_fits_and_prints_and_seventeen_does_not() {
    let fits = deep(16);
    fits.check().unwrap();
    assert_eq!(fits.to_string().parse::<Filter>().unwrap(), fits);
    assert!(deep(17).check().unwrap_err().to_string().contains("17 deep"));
    assert!(deep(17).to_string().parse::<Filter>().unwrap_err().message().contains("deep"));
    let nots = (1..16).fold(attr("a").exists(), |filter, _| !(filter & attr("b").exists()));
    assert!(nots.check().is_err());
}

#[test]
fn text_cannot_make_the_parser_recurse() {
    for nested in ["(".repeat(1_024), "not (".repeat(200), format!("{}a exists{}", "(".repeat(17), ")".repeat(17))] {
        assert!(nested.parse::<Filter>().unwrap_err().message().contains("16 deep"), "{nested}");
    }
    let sixteen = format!("{}a exists{}", "(".repeat(16), ")".repeat(16));
    assert_eq!(sixteen.parse::<Filter>().unwrap(), attr("a").exists());
    assert_eq!("!".repeat(1_000).parse::<Filter>().unwrap_err().column(), 1_001);
    assert_eq!(" ".repeat(1_025).parse::<Filter>().unwrap_err().column(), 1_025);
}

#[test]
fn sixty_four_comparisons_and_thirty_two_values_fit() {
    let many = |count: usize| (1..count).fold(attr("a").eq(0), |filter, _| filter & attr("a").eq(0));
    many(64).check().unwrap();
    assert!(many(65).check().unwrap_err().to_string().contains("65 comparisons"));
    let error = many(65).to_string().parse::<Filter>().unwrap_err();
    assert_eq!((error.column(), error.message()), (64 * 11 + 1, "this is the 65th comparison, at most 64 fit"));
    attr("a").is_in(0..32).check().unwrap();
    assert!(attr("a").not_in(0..33).check().unwrap_err().to_string().contains("33 values"));
    let list = attr("a").is_in(0..33).to_string();
    assert!(list.parse::<Filter>().unwrap_err().message().contains("33rd"));
}

#[test]
fn values_and_names_keep_to_what_an_attribute_can_hold() {
    for (filter, says) in [
        (attr("a").eq(f64::NAN), "NaN"),
        (attr("a").is_in([1.0, f64::NAN]), "NaN"),
        (attr("").exists(), "empty"),
        (attr("a".repeat(33)).exists(), "1 bytes over"),
        (attr("a\n").exists(), "control"),
        (attr("a").eq("\u{1b}"), "control"),
        (attr("a").prefix("x".repeat(1_025)), "1 bytes over"),
        (attr("a").eq("x".repeat(1_025)), "1 bytes over"),
        (attr("a").eq(vec!["x"; 33]), "33 texts"),
        (attr("a").contains(1), "only text or bytes"),
        (attr("a").eq("x".repeat(1_020)), "as text"),
        (attr("@Open_Slots").gt(0), "did you mean `@open_slots`"),
        (attr("@opne_slots").gt(0), "did you mean `@open_slots`"),
        (attr("@").gt(0), "there are @open_slots"),
        (attr("a").exists() & (attr("b").exists() | !attr("@x").gt(0)), "no built-in field `@x`"),
    ] {
        let error = filter.check().expect_err(&filter.to_string());
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(SessionQuery::new().filter(filter).check().is_err());
    }
    attr("@newer").exists().check_bounds().unwrap();
    for order in [OrderBy::near("a", f64::NAN), OrderBy::near("a", f64::INFINITY), "@x".into(), "".into()] {
        assert!(SessionQuery::new().order_by([order]).check().is_err());
    }
}
