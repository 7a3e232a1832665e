//! Discovery has proof that the session has another host: the seat is asked for there (protocol.md, "Sent on").

use std::net::SocketAddr;

use super::super::core::Core;
use super::MemberSeat;
use crate::types::HostKey;

impl MemberSeat {
    /// The session goes on with this host. Its own word is asked for, too: it is followed once it has said so itself.
    pub(in super::super) fn moved(&mut self, core: &mut Core, host_key: HostKey, addresses: &[SocketAddr]) {
        if self.is_seeking() && !addresses.is_empty() && self.spec.host_key != Some(host_key) {
            self.ask_at(core, host_key, addresses);
        }
    }
}

#[cfg(test)]
impl MemberSeat {
    pub(in super::super) fn host_key(&self) -> Option<HostKey> {
        self.spec.host_key
    }
}
