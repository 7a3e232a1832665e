//! The advert: all public facts of one session, signed (protocol.md, "Advert").

use crate::types::{HostKey, PathKind, PublicFacts, SessionId, SessionKey};

/// One session as its host tells it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Advert {
    pub(crate) host_key: HostKey,
    pub(crate) id: SessionId,
    /// Sent by multicast because many asked: others need not ask (scale.md rule H3).
    pub(crate) many: bool,
    /// The host has been up for more than a minute (scale.md rule F6).
    pub(crate) old: bool,
    /// The session can outlive its host.
    pub(crate) migratable: bool,
    /// Made by matchmaking and still ready to merge.
    pub(crate) mobile: bool,
    /// The id derives from founder key and `salt`; the decoder has checked it.
    pub(crate) id_derived: bool,
    /// The host key is the host's account.
    pub(crate) account_shown: bool,
    pub(crate) salt: u64,
    /// Unix milliseconds at the session's creation, or more; it only sorts.
    pub(crate) incarnation: u64,
    pub(crate) term: u32,
    pub(crate) sequence: u32,
    /// The asker's nonce in an answer, 0 in a beacon.
    pub(crate) echo: u64,
    /// How long this counts, in 100 ms.
    pub(crate) ttl: u16,
    /// The time to the next beacon, in 100 ms; 0 where none is planned.
    pub(crate) interval: u16,
    /// Distinct hosts the sender hears, itself included.
    pub(crate) hosts_heard: u16,
    pub(crate) tcp_port: u16,
    pub(crate) udp_port: u16,
    /// The path by which the question came, or by which this beacon goes.
    pub(crate) path: PathKind,
    pub(crate) facts: PublicFacts,
    /// Where the host is not the founder.
    pub(crate) lineage: Option<Lineage>,
    /// An extension this version does not know and must not ignore.
    pub(crate) incompatible: bool,
}

/// From whom the session came, where term > 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lineage {
    pub(crate) founder: HostKey,
    pub(crate) digest: [u8; 16],
}

/// What can be read of another major version's advert: the frozen prefix and the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForeignAdvert {
    pub(crate) major: u8,
    pub(crate) host_key: HostKey,
    pub(crate) id: SessionId,
    pub(crate) name: String,
}

impl Advert {
    pub(crate) fn founder(&self) -> HostKey {
        self.lineage.as_ref().map_or(self.host_key, |lineage| lineage.founder)
    }

    pub(crate) fn key(&self) -> SessionKey {
        SessionKey { id: self.id, founder: self.founder() }
    }

    /// What orders two adverts of one session; an echo of one's own nonce overrides it.
    pub(crate) fn order(&self) -> (u64, u32, u32) {
        (self.incarnation, self.term, self.sequence)
    }
}
