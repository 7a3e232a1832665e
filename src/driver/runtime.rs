//! The driver's own thread, with a tokio runtime of its own: it goes on between a game's frames.

use std::fmt;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Config;
use super::machine::{CommandSource, Machine, OutputSink};
use super::turn::Driver;

/// How long a drop waits for the goodbyes: links may flush for half a second.
const PATIENCE: Duration = Duration::from_millis(800);

/// Keeps the driver's thread; dropped, it stops the driver and waits a little for its goodbyes.
pub(crate) struct DriverHandle {
    stop: Option<oneshot::Sender<()>>,
    ended: mpsc::Receiver<()>,
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
    Ok(DriverHandle { stop: Some(stop), ended, thread: Some(thread) })
}

impl Drop for DriverHandle {
    fn drop(&mut self) {
        self.stop = None;
        let Some(thread) = self.thread.take() else { return };
        // The last handle may be dropped by the driver itself, in an output nobody took.
        if thread.thread().id() == thread::current().id() {
            return;
        }
        match self.ended.recv_timeout(PATIENCE) {
            Err(mpsc::RecvTimeoutError::Timeout) => {
                tracing::warn!(target: "lansession::driver", "the driver did not end in time");
            }
            // Disconnected: the thread is at its end, or it panicked and has said so.
            _ => drop(thread.join()),
        }
    }
}

impl fmt::Debug for DriverHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriverHandle").finish_non_exhaustive()
    }
}
