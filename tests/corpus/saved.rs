//! The body of the fuzz target for the file in which the examples remember hosts and friends.
//! `fuzz/fuzz_targets/saved.rs` includes this file.

#[path = "../../examples/common/saved.rs"]
#[allow(dead_code, reason = "only its parser is called here")]
mod file;

pub(crate) fn saved(bytes: &[u8]) {
    let Ok(memory) = file::contents(bytes) else { return };
    assert!(memory.recent.len() <= file::RECENT && memory.friends.len() <= file::FRIENDS);
    let printed = serde_json::to_vec_pretty(&memory).expect("what was read can be written");
    assert_eq!(file::contents(&printed).ok(), Some(memory));
}
