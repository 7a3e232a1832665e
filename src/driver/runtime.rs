//! The driver's own thread, with a tokio runtime of its own: it goes on between a game's frames.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError, mpsc};
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
    /// Lets the thread end by itself, once the engine says so: for a caller that must not wait.
    pub(crate) fn detach(mut self) {
        self.thread = None;
        if let Some(stop) = self.stop.take() {
            // An error means that the driver has ended.
            let _ = stop.send(());
        }
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
        match ended.recv_timeout(PATIENCE) {
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
