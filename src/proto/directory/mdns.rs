//! What DNS-SD told: hints that a probe confirms, never more.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::entry::{Check, Entry};
use super::life::send_probe;
use super::{Change, Directory};
use crate::proto::clock::Moment;
use crate::proto::lan::Cx;
use crate::proto::limits;
use crate::types::{HostKey, SessionId, SessionKey, Source};
use crate::wire::hash;
use crate::wire::txt;

/// Gaps between the probes of one instance; then it is let be until it is resolved anew.
const GAPS: [Duration; 7] = [
    Duration::from_millis(150),
    Duration::from_millis(300),
    Duration::from_millis(600),
    Duration::from_millis(1_200),
    Duration::from_millis(2_400),
    Duration::from_millis(10_000),
    Duration::from_millis(30_000),
];

/// Between the probes of one that was listed and lost.
const AWAY: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Instance {
    id: SessionId,
    host_label: [u8; 12],
    addresses: Vec<SocketAddr>,
    next: Option<Moment>,
    tries: usize,
    /// The entry that it became.
    entry: Option<SessionKey>,
    /// It was one before.
    proved: bool,
}

impl Instance {
    fn is(&self, id: SessionId, host_key: HostKey) -> bool {
        self.id == id && self.host_label == hash::host_label(host_key)
    }
}

#[derive(Debug, Default)]
pub(super) struct Instances(BTreeMap<String, Instance>);

impl Instances {
    /// Whether an instance names this session under this host.
    pub(super) fn names(&self, id: SessionId, host_key: HostKey) -> bool {
        self.0.values().any(|instance| instance.is(id, host_key))
    }

    /// As [`names`](Self::names); those that do belong to its entry now and are probed no more.
    pub(super) fn claim(&mut self, key: SessionKey, host_key: HostKey) -> bool {
        let mut any = false;
        for instance in self.0.values_mut().filter(|instance| instance.id == key.id) {
            if instance.is(key.id, host_key) {
                instance.entry = Some(key);
                instance.proved = true;
                instance.next = None;
                any = true;
            }
        }
        any
    }

    pub(super) fn entry_gone(&mut self, key: SessionKey) {
        for instance in self.0.values_mut().filter(|instance| instance.entry == Some(key)) {
            instance.entry = None;
            // Its record is still there, so it may only be away: it is asked now and then.
            instance.tries = GAPS.len();
            instance.next = Some(Moment::ZERO);
        }
    }

    /// Makes room for one more: the one that was asked most often in vain goes.
    fn make_room(&mut self) -> bool {
        let vain = self.0.iter().filter(|(_, instance)| instance.entry.is_none() && instance.tries > 0);
        let most = vain.max_by_key(|(_, instance)| instance.tries).map(|(name, _)| name.clone());
        self.0.len() < limits::MDNS_INSTANCES || most.is_some_and(|name| self.0.remove(&name).is_some())
    }

    /// Interfaces changed: what did not answer may do so now.
    pub(super) fn again(&mut self, now: Moment) {
        for instance in self.0.values_mut().filter(|instance| instance.entry.is_none()) {
            instance.tries = 0;
            instance.next = Some(now);
        }
    }

    pub(super) fn next(&self) -> Option<Moment> {
        self.0.values().filter_map(|instance| instance.next).min()
    }
}

impl Directory {
    /// An instance with its addresses.
    pub(crate) fn handle_resolved(
        &mut self,
        cx: &mut Cx<'_>,
        instance: String,
        addresses: &[SocketAddr],
        pairs: &[(String, String)],
    ) {
        let Ok(txt) = txt::decode(pairs) else { return };
        if txt.game != cx.game || (!self.instances.0.contains_key(&instance) && !self.instances.make_room()) {
            return;
        }
        let mut udp: Vec<SocketAddr> = addresses.iter().map(|a| port(*a, txt.udp_port)).collect();
        udp.retain(|to| cx.net.via_to(*to).is_some());
        udp.sort();
        udp.dedup();
        udp.truncate(limits::HINTED_ADDRESSES);
        let named = |entry: &&Entry| entry.key.id == txt.id && hash::host_label(entry.host_key) == txt.host_label;
        let entry = self.entries.values().find(named).map(|entry| entry.key);
        let next = if entry.is_none() && !udp.is_empty() { Some(cx.now) } else { None };
        let known = self.instances.0.get(&instance);
        let same = known.is_some_and(|known| known.addresses == udp && known.id == txt.id && known.entry == entry);
        if same {
            return;
        }
        let (id, host_label, proved) = (txt.id, txt.host_label, entry.is_some());
        let instance_of = Instance { id, host_label, addresses: udp, next, tries: 0, entry, proved };
        self.instances.0.insert(instance, instance_of);
        if let Some(key) = entry {
            if let Some(entry) = self.entries.get_mut(&key) {
                entry.sources.insert(Source::Mdns);
            }
            self.refresh(key);
        }
    }

    /// An instance is gone: the entry loses that source and is looked at, no more.
    pub(crate) fn handle_removed(&mut self, cx: &mut Cx<'_>, instance: &str) {
        let Some(gone) = self.instances.0.remove(instance) else { return };
        let Some(key) = gone.entry else { return };
        if self.instances.0.values().any(|other| other.entry == Some(key)) {
            return;
        }
        if let Some(entry) = self.entries.get_mut(&key).filter(|entry| !entry.own) {
            entry.sources.remove(Source::Mdns);
            if entry.check.is_none() && entry.echoed.is_some() && self.active {
                entry.check = Some(Check { tries: 0, next: cx.now, gap: cx.tuning.probe_gap });
            }
        }
        self.refresh(key);
        self.schedule(key);
    }

    pub(super) fn probe_instances(&mut self, cx: &mut Cx<'_>) {
        let due = |(_, instance): &(&String, &Instance)| instance.next.is_some_and(|at| at <= cx.now);
        let names: Vec<String> = self.instances.0.iter().filter(due).map(|(name, _)| name.clone()).collect();
        for name in names {
            let Some(instance) = self.instances.0.get_mut(&name) else { continue };
            let tries = instance.tries;
            instance.tries += 1;
            let gap = GAPS.get(tries).copied().or(instance.proved.then_some(AWAY));
            instance.next = gap.map(|gap| cx.now + gap);
            let (id, addresses) = (instance.id, instance.addresses.clone());
            for to in addresses {
                // Asked anew each time: the interface may be gone since.
                let Some(via) = cx.net.via_to(to) else { continue };
                if self.may_bother(cx.now, to) {
                    send_probe(cx, id, [0; 8], [0; 8], to, via);
                }
            }
            if tries == 2 && self.ask_all.take(cx.now, 4, Duration::from_millis(500)) {
                self.changes.push_back(Change::AskAll(id));
            }
        }
    }
}

fn port(mut addr: SocketAddr, port: u16) -> SocketAddr {
    addr.set_port(port);
    addr
}

#[cfg(all(test, feature = "testing"))]
impl Instances {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
