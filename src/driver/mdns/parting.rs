//! Goodbyes on their way to the daemon: a process that ends right after its last session waits for them a moment.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

static UNDER_WAY: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

/// One goodbye that has not left this process yet; dropped once it has, or never will.
pub(super) struct Parting(());

impl Parting {
    pub(super) fn new() -> Self {
        *UNDER_WAY.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        Self(())
    }
}

impl Drop for Parting {
    fn drop(&mut self) {
        let mut count = UNDER_WAY.0.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_sub(1);
        UNDER_WAY.1.notify_all();
    }
}

/// Until no goodbye is under way, but no longer than this.
pub(in crate::driver) fn wait(within: Duration) {
    let count = UNDER_WAY.0.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = UNDER_WAY.1.wait_timeout_while(count, within, |count| *count > 0);
    drop(waited.unwrap_or_else(PoisonError::into_inner));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_last_goodbye() {
        let parting = Parting::new();
        let other = std::thread::spawn(move || drop(parting));
        wait(Duration::from_secs(3_600));
        other.join().unwrap();
    }
}
