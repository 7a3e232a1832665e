//! A door on Windows: a named pipe, inbound. Its default rights let other users read, which an inbound pipe does not offer,
//! and nobody but this user (and the system) write; so there is no answer byte here.

use std::io;

use tokio::net::windows::named_pipe::{NamedPipeServer, ServerOptions};
use tokio::time::sleep;

use super::{PAUSE, receive};
use crate::handle::backend::TakeLink;

/// The pipe's name.
pub(crate) struct Entrance {
    pub(crate) name: String,
}

pub(super) async fn serve(entrance: Entrance, take: TakeLink) {
    let mut pipe = match open(&entrance.name) {
        Ok(pipe) => pipe,
        Err(error) => {
            // The lock is ours, so this name was taken by somebody who is no process of this game.
            tracing::warn!(target: "lansession::driver", %error, "links of other processes cannot be received");
            return;
        }
    };
    loop {
        match pipe.connect().await {
            Ok(()) => drop(receive(&mut pipe, &take).await),
            Err(error) => {
                tracing::debug!(target: "lansession::driver", %error, "a process with a link could not be let in");
                sleep(PAUSE).await;
            }
        }
        // The one instance is used again.
        let _was_not_connected = pipe.disconnect();
    }
}

fn open(name: &str) -> io::Result<NamedPipeServer> {
    let mut options = ServerOptions::new();
    options.first_pipe_instance(true).reject_remote_clients(true).access_inbound(true).access_outbound(false);
    options.max_instances(1).create(name)
}
