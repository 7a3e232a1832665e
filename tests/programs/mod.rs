//! The example programs of this build, run and read as the namespace suite does.

#[allow(dead_code)] // the namespace suite uses all of it
#[path = "../namespaces/process.rs"]
pub(crate) mod process;

mod timing {
    pub(crate) const SECOND: std::time::Duration = std::time::Duration::from_secs(1);
}

mod inside {
    pub(crate) fn run(program: &str, words: &[&str]) {
        assert!(std::process::Command::new(program).args(words).status().is_ok_and(|status| status.success()));
    }
}
