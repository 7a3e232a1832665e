//! The driver's own thread, with a tokio runtime of its own: it goes on between a game's frames.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Config;
use super::handles::{CommandSource, OutputSink};
use super::turn::Driver;
use crate::proto::machine::Machine;

/// How long a drop waits: enough for the first goodbyes to leave a process that ends right after, too short for a frame
/// loop to be missed.
const PATIENCE: Duration = Duration::from_millis(50);

/// Keeps the driver's thread. Dropped, it lets the engine end (`Command::Close` was given before), by force after 0.6 s,
/// and waits a little for the first goodbyes; the thread goes on for as long as it takes, at most about two seconds.
pub(crate) struct DriverHandle {
    stop: Option<oneshot::Sender<()>>,
    /// Under a lock so that handles can be shared between threads.
    ended: Mutex<mpsc::Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts a driver on a thread of its own. No socket is opened before the engine asks for one.
///
/// # Errors
/// Where the system gives no thread or no event queue.
pub(crate) fn spawn<M, C, S>(machine: M, config: Config, commands: C, sink: S) -> io::Result<DriverHandle>
where
    M: Machine + 'static,
    C: CommandSource + 'static,
    S: OutputSink + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    let (stop, stopped) = oneshot::channel();
    let (done, ended) = mpsc::channel::<()>();
    let driver = Driver::new(machine, config, commands, sink).stop_with(stopped);
    let work = move || {
        runtime.block_on(driver.run());
        drop(runtime);
        drop(done);
    };
    let thread = thread::Builder::new().name("lansession".into()).spawn(work)?;
    Ok(DriverHandle { stop: Some(stop), ended: Mutex::new(ended), thread: Some(thread) })
}

impl DriverHandle {
    /// Drops the handle without waiting, for a caller that knows its goodbyes to be on their way.
    pub(crate) fn detach(mut self) {
        self.thread = None;
    }
}

impl Drop for DriverHandle {
    fn drop(&mut self) {
        self.stop = None;
        let Some(thread) = self.thread.take() else { return };
        // The last handle may be dropped by the driver itself, in an output nobody took.
        if thread.thread().id() == thread::current().id() {
            return;
        }
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Err(mpsc::RecvTimeoutError::Disconnected) = ended.recv_timeout(PATIENCE) {
            // At its end already, or it panicked and has said so.
            drop(thread.join());
        }
    }
}

impl fmt::Debug for DriverHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriverHandle").finish_non_exhaustive()
    }
}
