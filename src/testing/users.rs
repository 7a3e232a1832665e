//! The users of one process on the virtual LAN, as the world sees them.
//!
//! A trait, so that the world can be tested with fakes, and so that it names nothing above `proto`.

use crate::proto::io::{Command, Output};

/// Those who hold handles: where commands come from and outputs go to.
pub(crate) trait Users: Send {
    fn take_command(&mut self) -> Option<Command>;
    fn deliver(&mut self, output: Output);
    /// The engine is gone: every wait ends with `Stopped`.
    fn stop(&mut self);
}
