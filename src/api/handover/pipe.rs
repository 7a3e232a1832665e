//! The place on Windows: a named pipe under a name of this user's, and a lock file that tells who may have it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
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
        let (frame, (say, said)) = (frame.to_vec(), mpsc::channel());
        // Neither has a time-out: a process that hangs keeps this thread and not its caller.
        thread::spawn(move || {
            // The flush returns once the other side has read it all. One that has done so already may have closed.
            let read =
                |pipe: &File| pipe.sync_all().or_else(|error| if is_closed(&error) { Ok(()) } else { Err(error) });
            let _nobody_waits = say.send(pipe.write_all(&frame).and_then(|()| read(&pipe)));
        });
        return said.recv_timeout(PATIENCE).map_err(|_| io::ErrorKind::TimedOut)?.map(|()| Some(TAKEN));
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn is_closed(error: &io::Error) -> bool {
    const ERROR_NO_DATA: i32 = 232;
    const ERROR_PIPE_NOT_CONNECTED: i32 = 233;
    error.kind() == io::ErrorKind::BrokenPipe
        || matches!(error.raw_os_error(), Some(ERROR_NO_DATA | ERROR_PIPE_NOT_CONNECTED))
}

/// A name of this user's own: two users of one machine may play one game.
fn name(game: &str) -> String {
    let word = |name: &str| std::env::var(name).unwrap_or_default();
    let user = place_name(&format!("{}\\{}", word("USERDOMAIN"), word("USERNAME")));
    format!(r"\\.\pipe\lansession-{user}-{}", place_name(game))
}
