//! The session has another host: the seat is sought there (protocol.md, "Sent on").

use std::net::SocketAddr;

use super::super::core::Core;
use super::{MemberSeat, Side};
use crate::proto::limits;
use crate::types::HostKey;
use crate::wire::frame::{Way, follow};

impl MemberSeat {
    /// Its host, or who was it, says where the session goes on. The proof is checked; what leads nowhere changes nothing, and
    /// the silence that follows is waited out like any other.
    pub(super) fn not_host(&mut self, core: &mut Core, way: &Way) {
        let named = way.session == self.key
            && (self.spec.incarnation == 0 || self.spec.incarnation == way.incarnation)
            && Some(way.host_key) != self.spec.host_key;
        let led = || follow(way.session, way.incarnation, &way.lineage);
        // A host may only send its members on, not back.
        let later = self.reign.zip(led().map(|(_, reign)| reign)).is_none_or(|(ours, theirs)| theirs.supersedes(ours));
        match led() {
            Some((host_key, reign)) if named && later && host_key == way.host_key && !way.addresses.is_empty() => {
                self.spec.incarnation = way.incarnation;
                self.reign = Some(reign);
                self.moved(core, host_key, &way.addresses);
            }
            _ => {
                if let Side::Seeking(seek) = &mut self.side {
                    seek.hang_up(core);
                }
            }
        }
    }

    /// The session goes on with this host, which has proved it.
    pub(in super::super) fn moved(&mut self, core: &mut Core, host_key: HostKey, addresses: &[SocketAddr]) {
        if addresses.is_empty() || self.spec.host_key == Some(host_key) {
            return;
        }
        self.spec.host_key = Some(host_key);
        self.addresses = addresses.iter().copied().take(limits::ADDRESSES).collect();
        match &mut self.side {
            Side::Linked(link) => {
                core.close(link.id, false);
                self.link_lost(core);
            }
            Side::Seeking(seek) => {
                seek.restart(core);
                self.seek_round(core);
            }
        }
    }
}

#[cfg(test)]
impl MemberSeat {
    pub(in super::super) fn host_key(&self) -> Option<HostKey> {
        self.spec.host_key
    }
}
