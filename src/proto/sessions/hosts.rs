//! Sessions whose host is another one now: of those that look for it, and of those that are it (protocol.md, "Rival hosts"
//! and "Sent on").

use std::net::SocketAddr;

use super::Sessions;
use super::host::Verdict;
use crate::proto::clock::Moment;
use crate::types::{HostKey, SessionKey};
use crate::wire::frame::Way;

impl Sessions {
    /// A session that is looked for has another host, which has proved it: those that wait for one go there.
    pub(crate) fn handle_host_moved(
        &mut self,
        now: Moment,
        key: SessionKey,
        host_key: HostKey,
        addresses: &[SocketAddr],
    ) {
        self.core.now = now;
        for member in self.members.values_mut().filter(|member| member.key == key && member.is_seeking()) {
            member.moved(&mut self.core, host_key, addresses);
        }
        for join in self.joins.values_mut().filter(|join| join.spec.key == Some(key)) {
            join.moved(&mut self.core, host_key, addresses);
        }
    }

    /// Whether this session is hosted here.
    pub(crate) fn hosts(&self, key: SessionKey) -> bool {
        self.hosts.contains_key(&key)
    }

    /// A rival host of a session that is hosted here was reached, and brought this proof.
    pub(crate) fn rival_reached(&mut self, now: Moment, way: &Way) {
        self.core.now = now;
        let Some(host) = self.hosts.get_mut(&way.session) else { return };
        match host.judge_rival(way) {
            Verdict::GivesWay => {
                self.give_way(way);
            }
            Verdict::Stands => host.tell_rival(&mut self.core, way.host_key, way.addresses.clone()),
            Verdict::Nonsense => {}
        }
    }
}
