//! The second rendezvous: what the mDNS adapter is asked to do, and what its answers are worth.

use std::collections::BTreeMap;

use super::{Cx, Discovery, cx};
use crate::proto::announcer::Publication;
use crate::proto::clock::Moment;
use crate::proto::io::{MdnsAction, MdnsEvent};
use crate::types::{SessionKey, WIRE_MAJOR};
use crate::wire::datagram::GameTag;
use crate::wire::hash;
use crate::wire::txt::{self, Txt};

#[derive(Debug, Clone, PartialEq, Eq)]
struct Record {
    tcp_port: u16,
    host_label: [u8; 12],
    version: u32,
    /// With which UDP port.
    registered: Option<u16>,
}

/// What is registered and whether anybody browses.
#[derive(Debug)]
pub(super) struct Rendezvous {
    on: bool,
    records: BTreeMap<SessionKey, Record>,
    gone: Vec<SessionKey>,
    browsing: bool,
}

impl Rendezvous {
    pub(super) fn new(on: bool) -> Self {
        Self { on, records: BTreeMap::new(), gone: Vec::new(), browsing: false }
    }

    /// The name is not told: whoever finds the record asks by unicast and gets all facts.
    pub(super) fn publish(&mut self, what: &Publication) {
        if !what.listed {
            self.withdraw(what.key);
            return;
        }
        let host_label = hash::host_label(what.identity.public().into());
        let old = self.records.get(&what.key);
        let same = |old: &&Record| old.tcp_port == what.tcp_port && old.version == what.facts.version;
        if old.filter(same).is_some() {
            return;
        }
        let record = Record { tcp_port: what.tcp_port, host_label, version: what.facts.version, registered: None };
        self.records.insert(what.key, record);
    }

    pub(super) fn withdraw(&mut self, key: SessionKey) {
        if self.records.remove(&key).is_some_and(|record| record.registered.is_some()) {
            self.gone.push(key);
        }
    }

    /// What the adapter is to do now. A record names the port of our own sockets, so that each of several processes on
    /// one machine is asked alone; so it waits for the first of them.
    pub(super) fn settle(&mut self, udp_port: Option<u16>, game: GameTag, browse: bool) -> Vec<MdnsAction> {
        if !self.on {
            return Vec::new();
        }
        let mut actions: Vec<MdnsAction> =
            self.gone.drain(..).map(|session| MdnsAction::Unregister { session }).collect();
        for (key, record) in &mut self.records {
            let Some(udp_port) = udp_port.filter(|port| record.registered != Some(*port)) else { continue };
            record.registered = Some(udp_port);
            let txt = Txt {
                major: WIRE_MAJOR,
                game,
                id: key.id,
                host_label: record.host_label,
                udp_port,
                version: record.version,
                name: None,
            };
            actions.push(MdnsAction::Register { session: *key, port: record.tcp_port, txt: txt::encode(&txt) });
        }
        if browse != self.browsing {
            self.browsing = browse;
            actions.push(if browse { MdnsAction::Browse } else { MdnsAction::StopBrowse });
        }
        actions
    }
}

impl Discovery {
    /// What the mDNS adapter heard.
    pub(crate) fn handle_mdns(&mut self, now: Moment, event: MdnsEvent) {
        self.now = now;
        match event {
            MdnsEvent::Resolved { instance, addresses, txt } => {
                self.paths.mdns_works();
                if self.is_own_record(&txt) {
                    return;
                }
                self.paths.mdns_heard();
                self.directory.handle_resolved(cx!(self, now), instance, &addresses, &txt);
                self.directory.handle_timeout(cx!(self, now));
            }
            MdnsEvent::Removed { instance } => {
                self.directory.handle_removed(cx!(self, now), &instance);
                self.directory.handle_timeout(cx!(self, now));
            }
            MdnsEvent::Registered { .. } => self.paths.mdns_works(),
            MdnsEvent::Failed { why } => self.paths.mdns_failed(now, why),
        }
        self.settle(now);
    }

    fn is_own_record(&self, pairs: &[(String, String)]) -> bool {
        let Ok(txt) = txt::decode(pairs) else { return false };
        self.announcer
            .publications()
            .any(|own| own.key.id == txt.id && hash::host_label(own.identity.public().into()) == txt.host_label)
    }
}
