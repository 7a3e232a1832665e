//! The body of the fuzz target for the file in which the examples remember hosts and friends.
//! `fuzz/fuzz_targets/saved.rs` includes this file.

#[path = "../../examples/common/saved.rs"]
#[allow(dead_code, reason = "only its parser is called here")]
mod saved;

pub(crate) fn saved(bytes: &[u8]) {
    let Ok(memory) = saved::contents(bytes) else { return };
    assert!(memory.recent.len() <= saved::RECENT && memory.friends.len() <= saved::FRIENDS);
    let printed = serde_json::to_vec_pretty(&memory).expect("what was read can be written");
    assert_eq!(saved::contents(&printed).ok(), Some(memory));
}
