//! A small multicast DNS: who registered is resolved at whoever browses on a common segment, some time later.
//!
//! Times after what `mdns-sd` was measured at: 50 ms to about 1 s to resolve, 1 s for a goodbye. A crashed process's
//! records linger for two minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::fault::between;
use super::topology::scoped;
use super::world::{What, World};
use crate::proto::io::{MdnsAction, MdnsEvent};
use crate::types::{PathKind, SessionKey};

const RESOLVE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
const GOODBYE: Duration = Duration::from_secs(1);
const LINGER: Duration = Duration::from_secs(120);

#[derive(Debug, Clone)]
struct Record {
    instance: String,
    port: u16,
    txt: Vec<(String, String)>,
}

/// All registrations and browsers.
#[derive(Debug, Default)]
pub(super) struct Registry {
    records: BTreeMap<(usize, SessionKey), Record>,
    browsers: BTreeSet<usize>,
    next: u64,
}

impl World {
    pub(super) fn mdns_act(&mut self, process: usize, action: MdnsAction) {
        match action {
            MdnsAction::Register { session, port, txt } => {
                let key = (process, session);
                self.mdns.next += 1;
                let fresh = format!("lansession-{}", self.mdns.next);
                let instance = self.mdns.records.get(&key).map_or(fresh, |record| record.instance.clone());
                let record = Record { instance, port, txt };
                self.mdns.records.insert(key, record.clone());
                self.schedule(RESOLVE.0, What::Mdns(process, MdnsEvent::Registered { session }));
                for browser in self.mdns.browsers.clone() {
                    self.resolve_for(process, &record, browser);
                }
            }
            MdnsAction::Unregister { session } => {
                if let Some(record) = self.mdns.records.remove(&(process, session)) {
                    self.withdraw(process, &record.instance, GOODBYE);
                }
            }
            MdnsAction::Browse => {
                self.mdns.browsers.insert(process);
                let known: Vec<(usize, Record)> =
                    self.mdns.records.iter().map(|(&(own, _), record)| (own, record.clone())).collect();
                for (own, record) in known {
                    self.resolve_for(own, &record, process);
                }
            }
            MdnsAction::StopBrowse => {
                self.mdns.browsers.remove(&process);
            }
        }
    }

    fn resolve_for(&mut self, process: usize, record: &Record, browser: usize) {
        let Some((addresses, delay)) = self.heard_by(process, record.port, browser) else { return };
        let after = between(&mut self.rng, RESOLVE.0, RESOLVE.1) + delay;
        let (instance, txt) = (record.instance.clone(), record.txt.clone());
        self.schedule(after, What::Mdns(browser, MdnsEvent::Resolved { instance, addresses, txt }));
    }

    fn withdraw(&mut self, process: usize, instance: &str, after: Duration) {
        for browser in self.mdns.browsers.clone() {
            if self.heard_by(process, 0, browser).is_some() {
                let event = MdnsEvent::Removed { instance: instance.to_owned() };
                self.schedule(after, What::Mdns(browser, event));
            }
        }
    }

    /// The addresses that one process's records have at another, and how long they take.
    fn heard_by(&mut self, process: usize, port: u16, browser: usize) -> Option<(Vec<SocketAddr>, Duration)> {
        let (node, listener) = (self.processes.get(process)?.node, self.processes.get(browser)?.node);
        let (here, there) = (self.topology.nodes.get(node)?, self.topology.nodes.get(listener)?);
        let mut addresses = Vec::new();
        let mut common = None;
        for own in &here.attachments {
            let Some(other) = there.attachments.iter().find(|other| other.segment == own.segment) else { continue };
            common = common.or(Some(own.segment));
            addresses.extend(own.nic.addresses.iter().map(|&(address, _)| scoped(address, port, other.index)));
        }
        let (delay, _) = self.pass(node, listener, common?, Some(PathKind::Mdns), &[])?;
        Some((addresses, delay))
    }

    pub(super) fn mdns_gone(&mut self, process: usize) {
        self.mdns.browsers.remove(&process);
        let own: Vec<_> = self.mdns.records.keys().filter(|(own, _)| *own == process).copied().collect();
        for key in own {
            if let Some(record) = self.mdns.records.remove(&key) {
                self.withdraw(process, &record.instance, LINGER);
            }
        }
    }
}
