//! The sessions of this process, listed like any other (protocol.md, "Discovery, finder").

use std::net::IpAddr;
use std::sync::Arc;

use super::{Directory, blank, own_addresses};
use crate::proto::clock::Moment;
use crate::proto::lan::{Cx, Net};
use crate::types::{HostKey, PublicFacts, SessionKey, Source, Sources};
use crate::wire::frame::Reign;

/// A session of this process: it is listed like any other.
#[derive(Debug, Clone)]
pub(crate) struct Own {
    pub(crate) key: SessionKey,
    pub(crate) host_key: HostKey,
    pub(crate) incarnation: u64,
    pub(crate) reign: Reign,
    pub(crate) tcp_port: u16,
    pub(crate) facts: PublicFacts,
    pub(crate) former: Vec<(HostKey, Reign)>,
    pub(crate) migratable: bool,
}

impl Directory {
    /// The sessions of this process.
    pub(crate) fn set_own(&mut self, now: Moment, net: &Net, own: Own) {
        let addresses = own_addresses(net);
        let mut sources = Sources::default();
        sources.insert(Source::Beacon);
        self.lose_if(own.key, |entry| entry.incarnation != own.incarnation);
        if let Some(entry) = self.entries.get_mut(&own.key) {
            // Of another host until now: this process goes on with it, and it is the same entry.
            entry.own = true;
            entry.host_key = own.host_key;
            entry.facts = own.facts;
            entry.tcp_port = own.tcp_port;
            entry.term = own.reign.term;
            entry.reign = own.reign;
            entry.former = own.former;
            entry.migratable = own.migratable;
            entry.own_addresses = addresses;
            (entry.check, entry.confirm, entry.measure, entry.trial) = (None, None, None, None);
            (entry.silent, entry.migrating, entry.next_host) = (false, false, None);
            self.refresh(own.key);
            self.schedule(own.key);
            return;
        }
        let mut entry = blank(now, own.key, own.host_key, IpAddr::from([0, 0, 0, 0]), own.facts);
        entry.incarnation = own.incarnation;
        entry.term = own.reign.term;
        entry.tcp_port = own.tcp_port;
        entry.own = true;
        entry.reign = own.reign;
        entry.former = own.former;
        entry.migratable = own.migratable;
        // Ours it is, whoever else names that id.
        entry.derived = true;
        entry.own_addresses = addresses;
        entry.sources = sources;
        self.insert(entry);
    }

    pub(crate) fn drop_own(&mut self, key: SessionKey) {
        self.lose_if(key, |entry| entry.own);
    }

    /// A session of ours that is over: what somebody recorded of it counts as little here as with everybody else.
    pub(crate) fn end_own(&mut self, now: Moment, key: SessionKey) {
        if self.entries.get(&key).is_some_and(|entry| entry.own) {
            let tuning = Arc::clone(&self.tuning);
            self.bury(now, key, None, &tuning);
        }
        self.drop_own(key);
    }

    /// It goes on elsewhere: the entry is held for the next host.
    pub(crate) fn hand_over_own(&mut self, cx: &mut Cx<'_>, key: SessionKey, next: Option<HostKey>) {
        if !self.active {
            return self.drop_own(key);
        }
        let Some(entry) = self.entries.get_mut(&key).filter(|entry| entry.own) else { return };
        entry.own = false;
        entry.echoed = Some(cx.now);
        entry.heard = cx.now;
        self.hold(cx, key, next);
    }
}
