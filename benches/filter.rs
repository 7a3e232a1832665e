//! A filter of ten comparisons: parse, print, and the decision at the host and at the finder.

mod common;

fn main() -> lansession::Result<()> {
    println!("`{}`", lansession::bench::FILTER);
    common::cases("Filter of ten comparisons", lansession::bench::filter()?);
    Ok(())
}
