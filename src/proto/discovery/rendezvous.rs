//! The second rendezvous: what the mDNS adapter is asked to do, and what its answers are worth.

use std::collections::BTreeMap;
use std::time::Duration;

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
    /// Registered once it is known from which port our sockets answer, or after this.
    at: Moment,
    registered: Option<u16>,
}

/// What is registered and whether anybody browses.
#[derive(Debug)]
pub(super) struct Rendezvous {
    on: bool,
    records: BTreeMap<SessionKey, Record>,
    gone: Vec<SessionKey>,
    udp_port: u16,
    browsing: bool,
    now: Moment,
}

/// Our own first announcement comes back by then and tells our port.
const PATIENCE: Duration = Duration::from_millis(100);

impl Rendezvous {
    pub(super) fn new(on: bool) -> Self {
        Self { on, records: BTreeMap::new(), gone: Vec::new(), udp_port: 0, browsing: false, now: Moment::ZERO }
    }

    /// The name is not told: whoever finds the record asks by unicast and gets all facts.
    pub(super) fn publish(&mut self, now: Moment, what: &Publication) {
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
        let record = Record {
            tcp_port: what.tcp_port,
            host_label,
            version: what.facts.version,
            at: now + PATIENCE,
            registered: None,
        };
        self.records.insert(what.key, record);
    }

    pub(super) fn withdraw(&mut self, key: SessionKey) {
        if self.records.remove(&key).is_some_and(|record| record.registered.is_some()) {
            self.gone.push(key);
        }
    }

    pub(super) fn learn(&mut self, udp_port: u16) {
        self.udp_port = udp_port;
    }

    pub(super) fn next(&self) -> Option<Moment> {
        let waiting = self.records.values().filter(|record| record.registered.is_none());
        if self.on { waiting.map(|record| record.at).min() } else { None }
    }

    /// What the adapter is to do now.
    pub(super) fn settle(&mut self, now: Moment, game: GameTag, browse: bool) -> Vec<MdnsAction> {
        self.now = now;
        if !self.on {
            return Vec::new();
        }
        let mut actions: Vec<MdnsAction> =
            self.gone.drain(..).map(|session| MdnsAction::Unregister { session }).collect();
        for (key, record) in &mut self.records {
            if record.at > now || record.registered == Some(self.udp_port) {
                continue;
            }
            record.registered = Some(self.udp_port);
            let txt = Txt {
                major: WIRE_MAJOR,
                game,
                id: key.id,
                host_label: record.host_label,
                udp_port: self.udp_port,
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
