//! Where a system has neither local sockets nor named pipes there is no such place.

use std::io;
use std::path::{Path, PathBuf};

use crate::driver::doors::Entrance;

/// None can be taken.
pub(crate) enum Place {}

pub(super) fn directory() -> Option<PathBuf> {
    None
}

pub(super) fn open(_: &Path, _: &str) -> io::Result<Option<(Entrance, Place)>> {
    Ok(None)
}

pub(super) fn bring(_: &Path, _: &str, _: &[u8]) -> io::Result<Option<u8>> {
    Ok(None)
}
