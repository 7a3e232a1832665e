//! Takeovers made by hand, for tests of those that judge them.

use crate::types::{HostKey, Identity, Migration, SessionKey};

use super::{Ballot, Order, Reign, Takeover, Voter};

pub(crate) fn key(number: u8) -> Identity {
    Identity::from_seed([number; 32]).unwrap()
}

/// A takeover of a session from `host` by `next`: four machines voted, the old host's among them, and three of them for it.
pub(crate) fn takeover(
    session: SessionKey,
    incarnation: u64,
    (host, former): (&Identity, Reign),
    (next, reign): (&Identity, Reign),
) -> Takeover {
    let next_key = HostKey::from(next.public());
    let voter = |n: u8| Voter { seat: key(200 + n).public(), host: (n == 1).then_some(next_key) };
    let order = Order {
        session,
        host_key: host.public().into(),
        incarnation,
        reign: former,
        cfg: 1,
        policy: if reign.forks > former.forks { Migration::AnySurvivor } else { Migration::Quorum },
        host_silence: 2_500,
        voters: (0..4).map(voter).collect(),
        signature: [0; 64],
    };
    let order = order.sign(host);
    let ballot = Ballot { session, incarnation, reign, candidate: key(201).public(), host: next_key };
    let votes = [1_u8, 2, 3].iter().map(|&n| (u16::from(n), ballot.sign(&key(200 + n)))).collect();
    Takeover { order, reign, candidate: 1, votes }
}

/// The reign by majority that follows on this one.
pub(crate) fn after(reign: Reign) -> Reign {
    Reign { term: reign.term + 1, ..reign }
}
