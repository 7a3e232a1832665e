//! A door on Unix: a socket in a directory that is this user's alone; who connects is asked for, beside that.

use std::os::unix::net::UnixListener as Bound;

use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use super::{PATIENCE, PAUSE, receive};
use crate::handle::backend::TakeLink;

/// A bound socket, non-blocking, and the user whose processes it serves.
pub(crate) struct Entrance {
    pub(crate) listener: Bound,
    pub(crate) user: u32,
}

pub(super) async fn serve(entrance: Entrance, take: TakeLink) {
    let listener = match UnixListener::from_std(entrance.listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::warn!(target: "lansession::driver", %error, "links of other processes cannot be received");
            return;
        }
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => answer(stream, entrance.user, &take).await,
            Err(error) => {
                tracing::debug!(target: "lansession::driver", %error, "a process with a link could not be let in");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn answer(mut stream: UnixStream, user: u32, take: &TakeLink) {
    // The directory keeps others out; the system's administrator it does not.
    if !stream.peer_cred().is_ok_and(|peer| peer.uid() == user) {
        tracing::debug!(target: "lansession::driver", "a process of another user brought a link");
        return;
    }
    let byte = receive(&mut stream, take).await;
    let _nobody_waits = timeout(PATIENCE, stream.write_all(&[byte])).await;
}
