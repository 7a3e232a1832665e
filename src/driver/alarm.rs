//! A timer of the driver's task.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is set, moved or off.
#[derive(Default)]
pub(super) struct Alarm {
    at: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    pub(super) fn set(&mut self, at: Option<Instant>) {
        self.at = at;
    }

    /// Whether it went off; then it is off.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(at) = self.at else { return false };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        let over = sleep.as_mut().poll(cx).is_ready();
        if over {
            self.at = None;
            self.sleep = None;
        }
        over
    }
}
