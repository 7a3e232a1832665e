//! A file that says "this process has it": lock files that outlive a crash without locking anybody out.
//!
//! The standard library's file locks need Rust 1.89. On Windows a file that is open for nobody else is a lock, and the
//! system removes it with its process. Elsewhere the lock file names its process, and one whose process is gone is stale.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A lock that this process has; held for as long as the value lives, or the process.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    file: File,
}

impl Lock {
    /// Takes the lock; `None` where another process has it.
    pub(super) fn take(path: &Path) -> io::Result<Option<Self>> {
        // Each round ends with the lock taken or found in use, but for races with others that take stale ones.
        for _ in 0..8 {
            match create(path) {
                Ok(file) => return Ok(Some(Self { path: path.to_owned(), file })),
                Err(error) if in_use(&error) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            if !remove_stale(path)? {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// The open file: what this process creates shows who this process is.
    pub(super) fn file(&self) -> &File {
        &self.file
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Where it stays, it is stale once the process ends.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(windows)]
fn create(path: &Path) -> io::Result<File> {
    use std::os::windows::fs::OpenOptionsExt;
    const FILE_FLAG_DELETE_ON_CLOSE: u32 = 0x0400_0000;
    OpenOptions::new().write(true).create(true).share_mode(0).custom_flags(FILE_FLAG_DELETE_ON_CLOSE).open(path)
}

#[cfg(windows)]
fn in_use(error: &io::Error) -> bool {
    const ERROR_SHARING_VIOLATION: i32 = 32;
    error.raw_os_error() == Some(ERROR_SHARING_VIOLATION)
}

#[cfg(windows)]
fn remove_stale(_: &Path) -> io::Result<bool> {
    Ok(false)
}

/// Puts a lock file that says all it has to say into place at once: nobody must read half of it and call it stale.
#[cfg(not(windows))]
fn create(path: &Path) -> io::Result<File> {
    let draft = beside(path, "draft");
    // A draft of this process id is of a former process: there is one lock at a time here.
    let _ = fs::remove_file(&draft);
    let mut file = new_private(&draft)?;
    let linked = file.write_all(owner::own().as_bytes()).and_then(|()| fs::hard_link(&draft, path));
    let _ = fs::remove_file(&draft);
    match linked {
        Ok(()) => Ok(file),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        // A file system without links.
        Err(_) => {
            let mut file = new_private(path)?;
            file.write_all(owner::own().as_bytes())?;
            Ok(file)
        }
    }
}

#[cfg(not(windows))]
fn in_use(_: &io::Error) -> bool {
    false
}

/// Whether the lock is free now, because its process was gone.
#[cfg(not(windows))]
fn remove_stale(path: &Path) -> io::Result<bool> {
    let read = |path: &Path| match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    };
    let Some(owner) = read(path)? else { return Ok(true) };
    if owner::may_live(&owner) {
        return Ok(false);
    }
    // Moved, then looked at again: another process may have put its own there since.
    let aside = beside(path, "stale");
    match fs::rename(path, &aside) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        other => other?,
    }
    if read(&aside)?.is_some_and(|moved| moved != owner) {
        fs::rename(&aside, path)?;
        return Ok(false);
    }
    fs::remove_file(&aside)?;
    Ok(true)
}

/// A name of this process's own beside a path, hidden where names with a dot are.
pub(super) fn beside(path: &Path, what: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.{what}", std::process::id()))
}

/// A new file that nobody else can read.
pub(super) fn new_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Which process a lock file names.
#[cfg(not(windows))]
mod owner {
    use std::fs;
    use std::process::{Command, Stdio};

    /// Process id, its start time and the namespace in which the id counts; a dash where that is not known.
    pub(super) fn own() -> String {
        let id = std::process::id().to_string();
        let start = start_time("self").unwrap_or_else(|| "-".into());
        format!("{id} {start} {}\n", namespace())
    }

    /// Whether that process may be alive; what cannot be told counts as alive: at worst one gets a key of its own.
    pub(super) fn may_live(owner: &str) -> bool {
        let mut words = owner.split_whitespace();
        let (Some(id), Some(start), Some(space)) = (words.next(), words.next(), words.next()) else { return true };
        if id.parse::<u32>().is_err() || space != namespace() {
            return true;
        }
        if start == "-" {
            return signalable(id);
        }
        // An id that was given to another process since has another start time.
        start_time(id).is_some_and(|now| now == start)
    }

    /// Linux, Android: field 22 of `/proc/ID/stat`, in ticks since boot, with the boot's own id.
    fn start_time(id: &str) -> Option<String> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The second field is the program's name in parentheses and may hold anything.
        let (_, rest) = stat.rsplit_once(')')?;
        let ticks = rest.split_whitespace().nth(19)?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Some(format!("{ticks}@{}", boot.trim()))
    }

    fn namespace() -> String {
        let link = fs::read_link("/proc/self/ns/pid").ok();
        link.map_or_else(|| "-".into(), |link| link.to_string_lossy().into_owned())
    }

    /// macOS and the like, which tell nothing in files.
    fn signalable(id: &str) -> bool {
        let mut kill = Command::new("kill");
        kill.args(["-0", id]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        kill.status().map_or(true, |status| status.success())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn this_process_lives_and_one_that_reuses_its_id_does_not() {
            let own = own();
            assert!(may_live(&own));
            assert!(may_live("garbage"), "what cannot be told counts as alive");
            if let Some(start) = start_time("self") {
                assert!(!may_live(&own.replace(&start, "1@other-boot")));
                assert!(!may_live(&own.replacen(&std::process::id().to_string(), "4194305", 1)), "no such id");
            }
        }
    }
}
