//! Where the driver's commands come from and where its outputs go.
//!
//! Traits, so that the driver's own tests run it with fakes and no handles.

use std::task::{Context, Poll};

use super::doors::Door;
use crate::proto::io::{Command, Output};

/// Where commands come from. `Ready(None)`: nobody can give commands any more, the driver ends.
pub(crate) trait CommandSource: Send {
    fn poll_command(&self, cx: &mut Context<'_>) -> Poll<Option<Command>>;

    /// The next door to be served; pending where there are none.
    fn poll_door(&self, _: &mut Context<'_>) -> Poll<Door> {
        Poll::Pending
    }
}

/// Where outputs go; never blocks.
pub(crate) trait OutputSink: Send {
    fn deliver(&mut self, output: Output);
}
