//! What an example remembers between two runs: recent hosts and friends, in one small JSON file.
//!
//! The file is a convenience and never a reason to fail. One that cannot be understood is renamed to `FILE.corrupt-N`,
//! where its player can still get at it, and the program goes on with nothing. Fields that a newer version wrote are
//! ignored. A change is written beside the file and renamed over it, so a power cut leaves the old file or the new one.
//! Two windows may share it: each change is made to what the file holds at that moment.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use lansession::{AccountId, JoinLink, Profile, SessionSettings};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most hosts that are remembered; the oldest goes first.
pub(crate) const RECENT: usize = 20;
/// The most friends.
pub(crate) const FRIENDS: usize = 256;
/// Nothing that this module writes is longer, so a longer file is none of its own.
const LONGEST: u64 = 256 * 1024;
/// So many corrupt files are kept; who has more of them has another problem.
const CORRUPT: u32 = 1_000;

/// A session that was joined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recent {
    /// How to join it again.
    #[serde(serialize_with = "print", deserialize_with = "parse")]
    pub(crate) link: JoinLink,
    /// Its name at that time.
    #[serde(deserialize_with = "session_name")]
    pub(crate) name: String,
    /// When it was joined, in seconds since 1970.
    pub(crate) when: u64,
}

/// A friend of this player.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Friend {
    /// Whom the key proves it to be.
    #[serde(serialize_with = "print", deserialize_with = "parse")]
    pub(crate) account: AccountId,
    /// What the player calls it.
    #[serde(deserialize_with = "player_name")]
    pub(crate) name: String,
}

/// All that is remembered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Memory {
    /// The latest first.
    pub(crate) recent: Vec<Recent>,
    /// In the order in which they were added.
    pub(crate) friends: Vec<Friend>,
}

fn print<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn parse<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// What is shown on a terminal is checked as if it came from the network: a file is as easily made.
fn session_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    SessionSettings::new(name.as_str()).check().map_err(serde::de::Error::custom)?;
    Ok(name)
}

fn player_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    check_player(&name).map_err(serde::de::Error::custom)?;
    Ok(name)
}

/// Whether a friend can be called so; the same rule as for a session's name.
pub(crate) fn check_player(name: &str) -> Result<(), lansession::Error> {
    debug_assert_eq!(Profile::MAX_NAME, SessionSettings::MAX_NAME);
    SessionSettings::new(name).check()
}

impl Memory {
    fn visit(&mut self, visited: Recent) {
        self.recent.retain(|recent| recent.link.key() != visited.link.key());
        self.recent.insert(0, visited);
        self.recent.truncate(RECENT);
    }

    fn befriend(&mut self, friend: Friend) -> Result<(), String> {
        if let Some(known) = self.friends.iter_mut().find(|known| known.account == friend.account) {
            known.name = friend.name;
        } else if self.friends.len() >= FRIENDS {
            return Err(format!("you have {FRIENDS} friends already; remove one first"));
        } else {
            self.friends.push(friend);
        }
        Ok(())
    }
}

/// The memory and the file it is kept in.
#[derive(Debug)]
pub(crate) struct Saved {
    /// Without one nothing is kept.
    path: Option<PathBuf>,
    memory: Memory,
    warnings: Vec<String>,
}

impl Saved {
    /// What the file holds; nothing where there is none. What is wrong with it is a [warning](Self::warnings).
    pub(crate) fn open(path: Option<PathBuf>) -> Self {
        let mut saved = Self { path, memory: Memory::default(), warnings: Vec::new() };
        saved.reload();
        saved
    }

    /// What the file held when it was last looked at.
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// What went wrong since this was last asked, in words for the player.
    pub(crate) fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
    }

    /// Remembers a session that was joined.
    pub(crate) fn visited(&mut self, visited: Recent) {
        self.change(|memory| {
            memory.visit(visited);
            Ok(())
        });
    }

    /// Forgets one.
    pub(crate) fn forget(&mut self, link: &JoinLink) {
        self.change(|memory| {
            memory.recent.retain(|recent| recent.link.key() != link.key());
            Ok(())
        });
    }

    /// Adds a friend, or gives a known one another name.
    pub(crate) fn befriend(&mut self, friend: Friend) {
        self.change(|memory| memory.befriend(friend));
    }

    /// Removes one.
    pub(crate) fn unfriend(&mut self, account: AccountId) {
        self.change(|memory| {
            memory.friends.retain(|friend| friend.account != account);
            Ok(())
        });
    }

    fn change(&mut self, change: impl FnOnce(&mut Memory) -> Result<(), String>) {
        let readable = self.reload();
        if let Err(why) = change(&mut self.memory) {
            self.warnings.push(why);
            return;
        }
        // What could not be read is not written over.
        let Some(path) = self.path.as_ref().filter(|_| readable) else { return };
        if let Err(error) = write(path, &self.memory) {
            self.warnings.push(format!("{}: {error}; it will be forgotten at the end", path.display()));
        }
    }

    /// `false` where the file cannot be read now.
    fn reload(&mut self) -> bool {
        let Some(path) = &self.path else { return true };
        match read(path) {
            Ok(Some(memory)) => self.memory = memory,
            // Nothing was written yet, or it could not be: what is in memory counts.
            Ok(None) => {}
            Err(Unread::Io(error)) => {
                self.warnings.push(format!("{}: {error}; nothing is kept", path.display()));
                return false;
            }
            Err(Unread::Corrupt(why)) => self.warnings.push(match set_aside(path) {
                Ok(aside) => format!("{} is damaged ({why}); it is now {}", path.display(), aside.display()),
                Err(error) => {
                    // It must not be written over.
                    let warning = format!("{} is damaged ({why}) and stays: {error}", path.display());
                    self.path = None;
                    warning
                }
            }),
        }
        true
    }
}

/// Where a game's memory lies unless the player says otherwise; `None` where the system names no place.
pub(crate) fn default_path(game: &str) -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME")
        .or_else(|| folder("LOCALAPPDATA"))
        .or_else(|| folder("HOME").map(|home| home.join(".local").join("state")))?;
    // A game id may hold anything that can be shown; a file's name may not.
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' };
    Some(state.join("lansession").join(format!("{}.json", game.chars().map(plain).collect::<String>())))
}

enum Unread {
    Io(io::Error),
    Corrupt(String),
}

fn read(path: &Path) -> Result<Option<Memory>, Unread> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Unread::Io(error)),
    };
    let mut text = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut text).map_err(Unread::Io)?;
    contents(&text).map(Some).map_err(Unread::Corrupt)
}

/// What a file of these bytes holds; what is wrong with it otherwise.
pub(crate) fn contents(text: &[u8]) -> Result<Memory, String> {
    if text.len() as u64 > LONGEST {
        return Err(format!("it is over {} KiB long", LONGEST / 1024));
    }
    let mut memory: Memory = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    memory.recent.truncate(RECENT);
    memory.friends.truncate(FRIENDS);
    Ok(memory)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

/// Whom one plays with is nobody else's business.
fn new_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn write(path: &Path, memory: &Memory) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = beside(path, &format!(".{}.new", std::process::id()));
    // Of a former process with this id, which did not come to its rename.
    let _ = fs::remove_file(&draft);
    let written = serde_json::to_vec_pretty(memory).map_err(io::Error::from).and_then(|text| {
        let mut file = new_private(&draft)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Renames the file to the first free `.corrupt-N`. The new name is taken by an empty file of ours before, so no other
/// file is written over, whoever else does the same.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    for number in 1..=CORRUPT {
        let aside = beside(path, &format!(".corrupt-{number}"));
        match new_private(&aside) {
            Ok(_) => {
                return fs::rename(path, &aside).map(|()| aside.clone()).inspect_err(|_| {
                    let _ = fs::remove_file(&aside);
                });
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("there are {CORRUPT} damaged ones already")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lansession::{HostKey, Identity, SessionId, SessionKey};

    /// A folder of this test's own, which need not exist.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("lansession-saved-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("deep").join("game.json")
        }

        fn open(&self) -> Saved {
            Saved::open(Some(self.file()))
        }

        fn names(&self) -> Vec<String> {
            let folder = fs::read_dir(self.file().parent().unwrap()).unwrap();
            let mut names: Vec<_> =
                folder.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn recent(number: u64) -> Recent {
        let founder = HostKey::from_bytes([9; 32]).unwrap();
        let key = SessionKey { id: SessionId::from_name(&number.to_string()), founder };
        let link = JoinLink::new("com.example.boxes", key, founder, ["192.168.0.7:40000".parse().unwrap()]).unwrap();
        Recent { link, name: format!("room {number}"), when: number }
    }

    fn friend(number: u16) -> Friend {
        let mut seed = [7; 32];
        seed[..2].copy_from_slice(&number.to_be_bytes());
        let account = Identity::from_seed(seed).unwrap().account();
        Friend { account, name: format!("friend {number}") }
    }

    #[test]
    fn a_missing_folder_is_made_and_all_comes_back() {
        let folder = Folder::new("back");
        let mut saved = folder.open();
        assert_eq!(*saved.memory(), Memory::default());
        assert!(saved.warnings().is_empty(), "nothing is there, nothing is wrong");
        saved.visited(recent(1));
        saved.visited(recent(2));
        saved.befriend(friend(1));
        let mut again = folder.open();
        assert_eq!(again.memory().recent, [recent(2), recent(1)], "the latest first");
        assert_eq!(again.memory().friends, [friend(1)]);
        again.visited(Recent { when: 9, ..recent(1) });
        again.forget(&recent(2).link);
        again.unfriend(friend(1).account);
        assert_eq!(folder.open().memory().recent, [Recent { when: 9, ..recent(1) }]);
        assert!(folder.open().memory().friends.is_empty() && again.warnings().is_empty());
    }

    #[test]
    fn a_write_leaves_one_whole_file_that_only_its_owner_reads() {
        let folder = Folder::new("whole");
        let mut saved = folder.open();
        saved.visited(recent(1));
        let draft = beside(&folder.file(), &format!(".{}.new", std::process::id()));
        fs::write(&draft, "of a crash").unwrap();
        saved.visited(recent(2));
        assert_eq!(folder.names(), ["game.json"], "no draft stays");
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt, PermissionsExt};
            let before = fs::metadata(folder.file()).unwrap();
            assert_eq!(before.permissions().mode() & 0o777, 0o600);
            saved.visited(recent(3));
            assert_ne!(fs::metadata(folder.file()).unwrap().ino(), before.ino(), "renamed over, not written into");
        }
    }

    #[test]
    fn a_failed_write_is_told_and_what_is_known_stays() {
        let folder = Folder::new("failed");
        fs::create_dir_all(&folder.0).unwrap();
        fs::write(folder.0.join("deep"), "a file where a folder should be").unwrap();
        let mut saved = folder.open();
        assert_eq!(saved.warnings().len(), 1);
        saved.befriend(friend(1));
        assert_eq!(saved.warnings().len(), 1);
        saved.befriend(friend(2));
        assert_eq!(saved.memory().friends, [friend(1), friend(2)]);

        // And where it can be read and not written.
        let mut saved = Saved::open(Some(folder.0.join("deep")));
        assert!(saved.warnings()[0].contains("deep.corrupt-1"));
        fs::create_dir(folder.0.join(format!("deep.{}.new", std::process::id()))).unwrap();
        saved.befriend(friend(1));
        assert!(saved.warnings()[0].contains("forgotten at the end"));
    }

    #[test]
    fn both_lists_are_bounded() {
        let folder = Folder::new("bounds");
        let mut memory = Memory::default();
        (0..30).for_each(|number| memory.visit(recent(number)));
        assert_eq!((memory.recent.len(), memory.recent[0].when, memory.recent[19].when), (RECENT, 29, 10));
        assert!((0..256).all(|number| memory.befriend(friend(number)).is_ok()));
        assert!(memory.befriend(friend(256)).unwrap_err().contains("256 friends"));
        memory.befriend(Friend { name: "Bea".into(), ..friend(3) }).unwrap();
        assert_eq!((memory.friends.len(), memory.friends[3].name.as_str()), (FRIENDS, "Bea"));

        // A file may hold more, from a newer version or an editor.
        memory.recent.extend((100..110).map(recent));
        memory.friends.push(friend(256));
        write(&folder.file(), &memory).unwrap();
        let mut saved = folder.open();
        assert_eq!((saved.memory().recent.len(), saved.memory().friends.len()), (RECENT, FRIENDS));
        saved.befriend(friend(256));
        assert!(saved.warnings()[0].contains("remove one first"));

        // The longest that fits is within what is read.
        let long = "é".repeat(32);
        let addresses = vec!["[1111:2222:3333:4444:5555:6666:7777:8888]:65535".parse().unwrap(); 8];
        let host = HostKey::from_bytes([8; 32]).unwrap();
        for recent in &mut memory.recent {
            recent.name = long.clone();
            recent.link = JoinLink::new("ä".repeat(127), recent.link.key(), host, addresses.clone()).unwrap();
        }
        memory.friends.iter_mut().for_each(|friend| friend.name = long.clone());
        assert!((serde_json::to_vec_pretty(&memory).unwrap().len() as u64) < LONGEST);
    }

    #[test]
    fn a_corrupt_file_is_set_aside_and_never_over_another() {
        let folder = Folder::new("corrupt");
        fs::create_dir_all(folder.file().parent().unwrap()).unwrap();
        let escape = "{\"friends\": [{\"account\": \"ACCOUNT\", \"name\": \"\\u001b[2J\"}]}";
        let escape = escape.replace("ACCOUNT", &friend(1).account.to_string());
        let long = " ".repeat(300 * 1024);
        let texts =
            ["", "{\"recent\": [", "7", "{\"recent\": [{\"link\": \"http://x\"}]}", escape.as_str(), long.as_str()];
        for (number, text) in (1..).zip(texts) {
            fs::write(folder.file(), text).unwrap();
            let mut saved = folder.open();
            let warnings = saved.warnings();
            assert!(warnings[0].contains(&format!("game.json.corrupt-{number}")), "{warnings:?}");
            assert_eq!(*saved.memory(), Memory::default(), "{text:?}");
            let aside = beside(&folder.file(), &format!(".corrupt-{number}"));
            assert_eq!(fs::read_to_string(aside).unwrap(), text);
        }
        assert_eq!(folder.names().len(), texts.len(), "the file itself is gone: {:?}", folder.names());
    }

    #[test]
    fn a_file_that_is_damaged_meanwhile_costs_nothing_that_is_known() {
        let folder = Folder::new("meanwhile");
        let mut saved = folder.open();
        saved.befriend(friend(1));
        fs::write(folder.file(), "{").unwrap();
        saved.befriend(friend(2));
        assert_eq!(saved.warnings().len(), 1);
        assert_eq!(folder.open().memory().friends, [friend(1), friend(2)]);
        assert_eq!(folder.names(), ["game.json", "game.json.corrupt-1"]);
    }

    #[test]
    fn two_windows_share_a_file() {
        let folder = Folder::new("shared");
        let (mut one, mut other) = (folder.open(), folder.open());
        one.befriend(friend(1));
        other.befriend(friend(2));
        assert_eq!(folder.open().memory().friends, [friend(1), friend(2)]);
    }

    #[test]
    fn what_a_newer_version_adds_is_ignored_and_what_is_missing_is_empty() {
        let folder = Folder::new("newer");
        fs::create_dir_all(folder.file().parent().unwrap()).unwrap();
        let account = friend(1).account;
        let text = format!(
            "{{\"theme\": 1, \"friends\": [{{\"account\": \"{account}\", \"name\": \"friend 1\", \"since\": 3}}]}}"
        );
        fs::write(folder.file(), text).unwrap();
        let mut saved = folder.open();
        assert_eq!((saved.memory().friends.clone(), saved.memory().recent.len()), (vec![friend(1)], 0));
        assert!(saved.warnings().is_empty());
    }

    #[test]
    fn without_a_file_it_lasts_as_long_as_the_program() {
        let mut saved = Saved::open(None);
        saved.befriend(friend(1));
        assert_eq!((saved.memory().friends.len(), saved.warnings().len()), (1, 0));
    }
}
