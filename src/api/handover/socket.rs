//! The place on Unix: a socket of mode 600 in a directory of mode 700, both this user's; never in /tmp, never abstract.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::{PATIENCE, from_env, place_name, take};
use crate::api::lock::Lock;
use crate::driver::doors::Entrance;

/// A place that is taken; dropped, it is free.
pub(crate) struct Place {
    socket: PathBuf,
    /// Last: whoever has it next finds no socket, or removes it.
    _lock: Lock,
}

impl Drop for Place {
    fn drop(&mut self) {
        // Where it stays, the next one removes it.
        let _ = fs::remove_file(&self.socket);
    }
}

/// The runtime directory goes with the login; a cache may stay for ever, so what is there may be stale.
pub(super) fn directory() -> Option<PathBuf> {
    let home = || from_env("HOME");
    let cache = || {
        if cfg!(target_vendor = "apple") {
            home().map(|home| home.join("Library/Caches"))
        } else {
            from_env("XDG_CACHE_HOME").or_else(|| home().map(|home| home.join(".cache")))
        }
    };
    from_env("XDG_RUNTIME_DIR").or_else(cache).map(|base| base.join("lansession"))
}

pub(super) fn open(directory: &Path, game: &str) -> io::Result<Option<(Entrance, Place)>> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let kept = check(directory)?;
    let Some(lock) = take(directory, game)? else { return Ok(None) };
    // What this process creates shows who this process is.
    let user = lock.file().metadata()?.uid();
    if kept.uid() != user {
        return Err(refused("it belongs to another user"));
    }
    let socket = socket(directory, game);
    // With the lock ours, this one is of a process that died.
    match fs::remove_file(&socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&socket)?;
    let place = Place { socket, _lock: lock };
    fs::set_permissions(&place.socket, Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(Some((Entrance { listener, user }, place)))
}

/// The answer to a frame; none where nobody is there.
pub(super) fn bring(directory: &Path, game: &str, frame: &[u8]) -> io::Result<Option<u8>> {
    let absent = |error: &io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
    let kept = match check(directory) {
        Err(error) if absent(&error) => return Ok(None),
        other => other?,
    };
    let socket = socket(directory, game);
    let there = match fs::symlink_metadata(&socket) {
        Err(error) if absent(&error) => return Ok(None),
        other => other?,
    };
    if !there.file_type().is_socket() || there.uid() != kept.uid() {
        return Err(refused("what lies there is no socket of this user"));
    }
    let mut stream = match UnixStream::connect(&socket) {
        // A socket whose process is dead.
        Err(error) if absent(&error) => return Ok(None),
        other => other?,
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut answer = [0];
    match stream.write_all(frame).and_then(|()| stream.read_exact(&mut answer)) {
        // It closed without a word: its user signs out, or it ends. Nobody has the link.
        Err(error) if gone(&error) => Ok(None),
        other => other.map(|()| answer.first().copied()),
    }
}

fn gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

fn socket(directory: &Path, game: &str) -> PathBuf {
    directory.join(place_name(game) + ".sock")
}

/// This directory keeps everybody else out.
fn check(directory: &Path) -> io::Result<Metadata> {
    let found = fs::symlink_metadata(directory)?;
    if !found.is_dir() {
        return Err(refused("it is no directory"));
    }
    if found.mode() & 0o077 != 0 {
        return Err(refused(&format!("others have rights in it (mode {:o}, it must be 700)", found.mode() & 0o777)));
    }
    Ok(found)
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}
