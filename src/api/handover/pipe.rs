//! The place on Windows: a named pipe under a name of this user's, and a lock file that tells who may have it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use super::{PATIENCE, from_env, place_name, take};
use crate::api::lock::Lock;
use crate::driver::doors::{Entrance, TAKEN};

const ERROR_PIPE_BUSY: i32 = 231;
/// Whoever serves the pipe learns who we are and cannot act for us.
const SECURITY_IDENTIFICATION: u32 = 0x0001_0000;
/// From one try to the next while another process hands over its link.
const RETRY: std::time::Duration = std::time::Duration::from_millis(20);

/// A place that is taken; dropped, it is free. The pipe ends with its server.
pub(crate) struct Place {
    _lock: Lock,
}

pub(super) fn directory() -> Option<PathBuf> {
    from_env("LOCALAPPDATA").map(|base| base.join("lansession"))
}

pub(super) fn open(directory: &Path, game: &str) -> io::Result<Option<(Entrance, Place)>> {
    fs::create_dir_all(directory)?;
    let lock = take(directory, game)?;
    Ok(lock.map(|lock| (Entrance { name: name(game) }, Place { _lock: lock })))
}

/// [`TAKEN`] once the frame has been read: the pipe leads one way. None where nobody is there.
pub(super) fn bring(_: &Path, game: &str, frame: &[u8]) -> io::Result<Option<u8>> {
    let mut options = OpenOptions::new();
    options.write(true).security_qos_flags(SECURITY_IDENTIFICATION);
    let tries = PATIENCE.as_millis() / RETRY.as_millis();
    for _ in 0..tries {
        let mut pipe = match options.open(name(game)) {
            Ok(pipe) => pipe,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY) => {
                thread::sleep(RETRY);
                continue;
            }
            Err(error) => return Err(error),
        };
        pipe.write_all(frame)?;
        // Returns once the other side has read it all, or closed.
        pipe.sync_all()?;
        return Ok(Some(TAKEN));
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// A name of this user's own: two users of one machine may play one game.
fn name(game: &str) -> String {
    let word = |name: &str| std::env::var(name).unwrap_or_default();
    let user = place_name(&format!("{}\\{}", word("USERDOMAIN"), word("USERNAME")));
    format!(r"\\.\pipe\lansession-{user}-{}", place_name(game))
}
