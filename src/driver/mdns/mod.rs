//! The mDNS adapter: what a driver asks of the process's one daemon, and what it hears from it.
//!
//! Everything heard is a hint; so where a driver does not keep up, events are lost and nothing waits. The daemon starts
//! with the first registration or browse and ends with the last: nothing talks when nobody asked.

mod hub;
mod parting;
mod worker;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::mpsc;

use self::hub::{Client, Hub, Setup};
pub(super) use self::parting::wait as wait_for_goodbyes;
use super::Config;
use crate::proto::io::{MdnsAction, MdnsEvent};
use crate::types::SessionKey;

/// Hints that may wait for the driver.
const EVENTS: usize = 256;

pub(super) struct Mdns {
    enabled: bool,
    setup: Setup,
    attached: Option<(Arc<Hub>, Client)>,
    registered: BTreeSet<SessionKey>,
    browsing: bool,
    events: mpsc::Receiver<MdnsEvent>,
    sender: mpsc::Sender<MdnsEvent>,
}

impl Mdns {
    pub(super) fn new(config: &Config) -> Self {
        let (sender, events) = mpsc::channel(EVENTS);
        Self {
            enabled: config.mdns,
            setup: Setup {
                port: config.mdns_port,
                loopback_only: config.loopback_only,
                interfaces: config.interfaces.clone(),
            },
            attached: None,
            registered: BTreeSet::new(),
            browsing: false,
            events,
            sender,
        }
    }

    pub(super) fn act(&mut self, action: MdnsAction) {
        if !self.enabled {
            return;
        }
        match &action {
            MdnsAction::Register { session, .. } => drop(self.registered.insert(*session)),
            MdnsAction::Unregister { session } => drop(self.registered.remove(session)),
            MdnsAction::Browse => self.browsing = true,
            MdnsAction::StopBrowse => self.browsing = false,
        }
        let wanted = self.browsing || !self.registered.is_empty();
        if self.attached.is_none() && wanted {
            match Hub::attach(&self.setup, self.sender.clone()) {
                Ok(attached) => self.attached = Some(attached),
                Err(error) => {
                    // The next action tries again.
                    let _full = self.sender.try_send(MdnsEvent::Failed { why: error.to_string() });
                    return;
                }
            }
        }
        if let Some((hub, client)) = &self.attached {
            hub.tell(*client, action);
        }
        if !wanted {
            self.detach();
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<MdnsEvent> {
        match self.events.poll_recv(cx) {
            Poll::Ready(Some(event)) => Poll::Ready(event),
            // A sender is held here, so the channel never closes.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn detach(&mut self) {
        if let Some((hub, client)) = self.attached.take() {
            hub.detach(client);
        }
    }
}

impl Drop for Mdns {
    fn drop(&mut self) {
        self.detach();
    }
}

#[cfg(test)]
mod tests;
