//! Who hosts a session now: what discovery heard, the proof that was fetched for it, and the sessions that it matters to.

use super::Engine;
use super::addresses_of;
use crate::proto::clock::Moment;
use crate::proto::discovery::{Claimant, Proof};
use crate::proto::lineage::{Outcome, Wanted};
use crate::types::SessionKey;
use crate::wire::frame::{Way, lineage_digest};

impl Engine {
    /// A host says that a session goes on with it, and has echoed: its proof is worth a connection.
    pub(super) fn claimed(&mut self, now: Moment, claimant: Claimant) {
        let Claimant { key, host_key, incarnation, term, digest, at } = claimant;
        // One of our own is not given up for what was proved once.
        let anew = self.sessions.hosts(key);
        let wanted = Wanted { session: key, incarnation, host_key, term, digest, at: vec![at], anew };
        self.lineages.fetch(now, wanted);
    }

    /// A rival of a session that is hosted here, with its proof: it counts once the rival was reached by us.
    pub(super) fn superseded(&mut self, now: Moment, way: Way, reached: bool) {
        if reached {
            return self.sessions.rival_reached(now, &way);
        }
        let Way { session, incarnation, host_key, addresses, lineage } = way;
        let Some(term) = lineage.last().map(|step| step.reign.term) else { return };
        let digest = lineage_digest(session, incarnation, &lineage);
        self.lineages.fetch(now, Wanted { session, incarnation, host_key, term, digest, at: addresses, anew: true });
    }

    /// What a claimant answered.
    pub(super) fn proof_came(&mut self, now: Moment, wanted: Wanted, outcome: Outcome) {
        let Wanted { session, incarnation, host_key, at, .. } = wanted;
        let proof = match outcome {
            Outcome::Proved { reign, lineage } => {
                if self.sessions.hosts(session) {
                    let lineage = lineage.to_vec();
                    let way = Way { session, incarnation, host_key, addresses: at, lineage };
                    self.sessions.rival_reached(now, &way);
                    // Where it gave way, its entry waits for that host before the proof is told.
                    while let Some(event) = self.sessions.poll_event() {
                        self.route_sessions(now, event);
                    }
                }
                let former = lineage.iter().map(|step| (step.order.host_key, step.order.reign)).collect();
                Proof::Holds { reign, former }
            }
            Outcome::Forged => Proof::Forged,
            Outcome::Unreachable => Proof::Unreachable,
        };
        // It is asked for a seat first: to finders, and to our own list, the session is ours until that is there.
        if self.sessions.gives_way(session) {
            self.proofs.insert(session, (host_key, proof));
        } else {
            self.discovery.handle_proof(now, session, host_key, proof);
        }
    }

    /// A session that was hosted here has gone to another host.
    pub(super) fn handed_over(&mut self, now: Moment, key: SessionKey) {
        if let Some((host_key, proof)) = self.proofs.remove(&key) {
            self.discovery.handle_proof(now, key, host_key, proof);
        }
    }

    /// The entry of a session has a proven host: whoever waits for it goes there.
    pub(super) fn host_moved(&mut self, now: Moment, key: SessionKey) {
        let Some(entry) = self.discovery.entry(&key) else { return };
        // Only one that has answered at this address; and never one of this process.
        if entry.is_confirmed() && !self.sessions.hosts(key) {
            self.sessions.handle_host_moved(now, key, entry.host_key(), &addresses_of(&entry));
        }
    }
}
