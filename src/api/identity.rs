//! Keys that last: fresh ones from the system's randomness, kept ones from a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use super::lock::{Lock, beside, new_private};
use crate::types::{Error, ErrorKind, Identity, Result};

/// The first line of an identity file.
const HEAD: &str = "lansession identity 1";
/// The longest identity file that is read.
const LONGEST: u64 = 1_024;
/// Copies of a game on one machine that get a lasting key each.
const NUMBERED: usize = 16;

/// The identity files of this process. A process-wide thing by nature: the lock says "this process".
static HELD: Mutex<BTreeMap<PathBuf, (Lock, Identity)>> = Mutex::new(BTreeMap::new());

/// Bytes of the system's secure randomness.
#[expect(clippy::disallowed_methods, reason = "keys and the engines' seed are drawn here, and nowhere below")]
pub(super) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(Error::new(ErrorKind::Io, "the system gives no random bytes")),
    }
}

impl Identity {
    /// A fresh identity from the system's secure randomness; it lasts as long as the value.
    ///
    /// # Errors
    /// `Io` where the system gives no random bytes.
    ///
    /// ```
    /// use lansession::Identity;
    /// assert_ne!(Identity::generate()?.account(), Identity::generate()?.account());
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn generate() -> Result<Self> {
        Self::from_seed(*Zeroizing::new(random()?))
    }

    /// The identity kept in this file, which is made where there is none.
    ///
    /// Two copies of a game that run at once are two players: while one process has the file, another one gets the identity
    /// of `FILE.2`, the next of `FILE.3`, and beyond 16 a fresh one. Calls of one process with one path give one identity.
    /// Whoever can read the file is that player, so it is readable for its owner alone, and one that others can read, that
    /// belongs to another user or that is a link is refused. A damaged file is refused too and never replaced: another key
    /// would be another player.
    ///
    /// # Errors
    /// `Io` naming the file and what is wrong with it.
    ///
    /// ```
    /// use lansession::Identity;
    /// let file = std::env::temp_dir().join(format!("lansession-doc-{}", std::process::id()));
    /// let identity = Identity::load_or_create(&file)?;
    /// assert_eq!(identity.account(), Identity::load_or_create(&file)?.account());
    /// # std::fs::remove_file(&file).unwrap();
    /// # let _ = std::fs::remove_file(file.with_extension("lock"));
    /// # Ok::<(), lansession::Error>(())
    /// ```
    pub fn load_or_create(path: impl AsRef<Path>) -> Result<Self> {
        load_or_create(path.as_ref())
    }
}

fn load_or_create(path: &Path) -> Result<Identity> {
    let asked = std::path::absolute(path).map_err(|error| failed(path, &error))?;
    if asked.file_name().is_none() {
        return Err(Error::new(ErrorKind::InvalidArgument, format!("{} is no name of a file", path.display())));
    }
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, identity)) = held.get(&asked) {
        return Ok(identity.clone());
    }
    for number in 1..=NUMBERED {
        let path = if number == 1 { asked.clone() } else { suffixed(&asked, &number.to_string()) };
        let lock = Lock::take(&suffixed(&path, "lock")).map_err(|error| failed(&path, &error))?;
        let Some(lock) = lock else { continue };
        let identity = match load(&path, &lock)? {
            Some(identity) => identity,
            None => create(&path)?,
        };
        held.insert(asked, (lock, identity.clone()));
        return Ok(identity);
    }
    Identity::generate()
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::new(ErrorKind::Io, format!("identity file {}: {error}", path.display()))
}

fn refused(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Io, format!("identity file {}: {why}; it is left as it is", path.display()))
}

fn load(path: &Path, lock: &Lock) -> Result<Option<Identity>> {
    let named = match fs::symlink_metadata(path) {
        Ok(named) => named,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, &error)),
    };
    if !named.is_file() {
        return Err(refused(path, "it is no regular file"));
    }
    let file = File::open(path).map_err(|error| failed(path, &error))?;
    let opened = file.metadata().map_err(|error| failed(path, &error))?;
    let own = lock.file().metadata().map_err(|error| failed(path, &error))?;
    check_owner(path, &named, &opened, &own)?;
    let mut text = Zeroizing::new(String::new());
    file.take(LONGEST).read_to_string(&mut text).map_err(|error| failed(path, &error))?;
    match parse(&text) {
        Some(identity) => Ok(Some(identity)),
        None => Err(refused(path, "it is damaged; restore it, or move it away to become another player")),
    }
}

/// Ours alone, and the file that was looked at before it was opened.
#[cfg(unix)]
fn check_owner(path: &Path, named: &fs::Metadata, opened: &fs::Metadata, own: &fs::Metadata) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    if (named.dev(), named.ino()) != (opened.dev(), opened.ino()) {
        return Err(refused(path, "it was exchanged while it was opened"));
    }
    if opened.uid() != own.uid() {
        return Err(refused(path, "it belongs to another user"));
    }
    if opened.mode() & 0o077 != 0 {
        let mode = opened.mode() & 0o777;
        return Err(refused(path, &format!("others may read it (mode {mode:o}, it must be 600)")));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_owner(_: &Path, _: &fs::Metadata, _: &fs::Metadata, _: &fs::Metadata) -> Result<()> {
    Ok(())
}

fn create(path: &Path) -> Result<Identity> {
    let identity = Identity::generate()?;
    let draft = beside(path, "new");
    // Of a former process with this id, which did not come to its rename.
    let _ = fs::remove_file(&draft);
    let written = write(&draft, &identity).and_then(|()| fs::rename(&draft, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&draft);
        return Err(failed(path, &error));
    }
    // The name is to outlive a power cut as well; not all systems can say so of a directory.
    let _ = path.parent().map(|directory| File::open(directory).and_then(|directory| directory.sync_all()));
    Ok(identity)
}

fn write(path: &Path, identity: &Identity) -> io::Result<()> {
    let mut file = new_private(path)?;
    file.write_all(print(identity).as_bytes())?;
    file.sync_all()
}

/// The seed is secret; the account beside it shows damage.
fn print(identity: &Identity) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(256));
    text.push_str(HEAD);
    text.push_str("\n# Whoever has this file is this player. Keep it secret.\nseed ");
    for byte in identity.seed() {
        let _ = write!(text, "{byte:02x}");
    }
    let _ = writeln!(text, "\naccount {}", identity.account());
    text
}

fn parse(text: &str) -> Option<Identity> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    if lines.next()? != HEAD {
        return None;
    }
    let digits = lines.next()?.strip_prefix("seed ")?;
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut seed = Zeroizing::new([0; 32]);
    for (byte, at) in seed.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
    }
    let identity = Identity::from_seed(*seed).ok()?;
    let account = lines.next()?.strip_prefix("account ")?;
    (account.parse() == Ok(identity.account())).then_some(identity)
}

/// The body of the fuzz target for identity files.
#[doc(hidden)]
pub fn fuzz(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(identity) = parse(text) {
        let again = parse(&print(&identity)).map(|identity| identity.account());
        assert_eq!(again, Some(identity.account()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("lansession-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("player.key")
        }

        /// As if by a process that comes later.
        fn restart(&self) {
            HELD.lock().unwrap().retain(|path, _| !path.starts_with(&self.0));
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            self.restart();
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_keeps_its_identity_and_nothing_else_stays_beside_it() {
        let directory = Directory::new("keeps");
        let first = Identity::load_or_create(directory.file()).unwrap();
        assert_eq!(Identity::load_or_create(directory.file()).unwrap().account(), first.account());
        directory.restart();
        assert_eq!(Identity::load_or_create(directory.file()).unwrap().account(), first.account());
        directory.restart();
        let names: Vec<_> = fs::read_dir(&directory.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["player.key"]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(directory.file()).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_second_process_gets_a_key_of_its_own_and_keeps_it() {
        let directory = Directory::new("second");
        let first = Identity::load_or_create(directory.file()).unwrap();
        let other = || {
            // What another process does: the first one's lock is on disk, its registry is not ours.
            let (lock, own) = HELD.lock().unwrap().remove(&directory.file()).unwrap();
            let second = Identity::load_or_create(directory.file()).unwrap();
            HELD.lock().unwrap().insert(directory.file(), (lock, own));
            second
        };
        let second = other();
        assert_ne!(second.account(), first.account());
        assert_eq!(other().account(), second.account());
        assert!(directory.0.join("player.key.2").exists());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_lock_of_a_process_that_is_gone_is_stale() {
        let directory = Directory::new("stale");
        let first = Identity::load_or_create(directory.file()).unwrap();
        let lock = suffixed(&directory.file(), "lock");
        let held = fs::read_to_string(&lock).unwrap();
        directory.restart();
        fs::write(&lock, held.replacen(&std::process::id().to_string(), "4194305", 1)).unwrap();
        assert_eq!(Identity::load_or_create(directory.file()).unwrap().account(), first.account());
    }

    #[test]
    fn a_damaged_file_is_named_and_left_alone() {
        let directory = Directory::new("damaged");
        let identity = Identity::load_or_create(directory.file()).unwrap();
        let good = print(&identity);
        let zero = good.replacen("seed ", "seed 00", 1);
        for bad in ["", "garbage", &good[..good.len() / 2], &good.replace("identity 1", "identity 2"), &zero] {
            directory.restart();
            fs::write(directory.file(), bad).unwrap();
            let error = Identity::load_or_create(directory.file()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io);
            assert!(error.to_string().contains("player.key: it is damaged"), "{error}");
            assert_eq!(fs::read_to_string(directory.file()).unwrap(), bad);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_and_a_link_are_refused() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let directory = Directory::new("open");
        Identity::load_or_create(directory.file()).unwrap();
        directory.restart();
        fs::set_permissions(directory.file(), fs::Permissions::from_mode(0o640)).unwrap();
        let error = Identity::load_or_create(directory.file()).unwrap_err();
        assert!(error.to_string().contains("mode 640"), "{error}");

        fs::set_permissions(directory.file(), fs::Permissions::from_mode(0o600)).unwrap();
        let link = directory.0.join("link.key");
        symlink(directory.file(), &link).unwrap();
        let error = Identity::load_or_create(&link).unwrap_err();
        assert!(error.to_string().contains("no regular file"), "{error}");
    }
}
