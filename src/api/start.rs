//! How a [`Lan`] begins.

use std::future::Future;
use std::pin::Pin;

use crate::handle::{Lan, LanBuilder};
use crate::types::Result;

impl Lan {
    /// A builder for this game: an id that all copies of one game share and no other game has, 1 to 64 bytes; a reversed
    /// domain name does well. A process may have several `Lan`s.
    pub fn builder(game: impl Into<String>) -> LanBuilder {
        LanBuilder::new(game.into())
    }
}

impl LanBuilder {
    /// Starts, with a thread of its own; events are seen when they come. For a game with a frame loop there is
    /// [`start_frames`](Self::start_frames).
    ///
    /// # Errors
    /// `InvalidArgument` naming the value, `Io` where the system gives no thread, `Unsupported` without the feature `net`.
    pub fn start(self) -> Result<Lan> {
        self.start_as(false)
    }

    pub(crate) fn start_as(self, frames: bool) -> Result<Lan> {
        #[cfg(feature = "net")]
        let fallback = Some(super::net::own_thread());
        #[cfg(not(feature = "net"))]
        let fallback = None;
        self.launch(fallback, frames)
    }

    /// Starts without a thread: `spawn` gets all of the work as one future, for a server that has a tokio runtime, with I/O
    /// and time enabled. The future ends after a close; dropped before, it says its goodbyes and everything ends.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// ```
    /// # if cfg!(not(feature = "net")) { return }
    /// # use std::time::Duration;
    /// # use lansession::{Lan, Preset, SessionQuery};
    /// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    /// # runtime.block_on(async {
    /// let builder = Lan::builder("com.example.boxes").preset(Preset::Loopback);
    /// let lan = builder.start_with(|work| drop(tokio::spawn(work)))?;
    /// let found = lan.find(SessionQuery::new().timeout(Duration::from_millis(20))).await?;
    /// assert!(found.is_empty());
    /// # Ok::<(), lansession::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn start_with(self, spawn: impl FnOnce(Pin<Box<dyn Future<Output = ()> + Send>>)) -> Result<Lan> {
        #[cfg(feature = "net")]
        {
            let backend = super::net::Given::new();
            let lan = self.launch(Some(backend.clone()), false)?;
            if let Some(work) = backend.take() {
                spawn(work);
            }
            Ok(lan)
        }
        #[cfg(not(feature = "net"))]
        {
            drop(spawn);
            self.launch(None, false)
        }
    }
}
