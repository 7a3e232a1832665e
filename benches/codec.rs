//! Datagrams and frames to bytes and back, signatures included.

mod common;

fn main() -> lansession::Result<()> {
    common::cases("Codec, one thread", lansession::bench::codec()?);
    Ok(())
}
