//! Host migration: who may go on, who voted for whom, and the chain from founder to present host (protocol.md,
//! "Succession").
//!
//! An [`Order`] is the host's signed list of machines; a [`Vote`] is one machine's word for one candidate in one term; a
//! [`Takeover`] is an order and enough votes, so that a stranger can check it; a lineage is a list of takeovers.

use std::net::SocketAddr;

use bincode::de::{Decode, Decoder};
use bincode::error::DecodeError;

use crate::types::{
    AccountId, GameState, HostKey, Identity, Migration, PublicKey, Revision, SessionKey, SessionSnapshot,
};
use crate::wire::bytes::Writer;
use crate::wire::codec::{self, Numbered, message, numbered};
use crate::wire::hash;
use crate::wire::sign::{self, Context};

use super::keeper::Keeper;

/// The most machines that vote.
pub(crate) const MAX_VOTERS: usize = 15;
/// The most takeovers of one session.
pub(crate) const MAX_LINEAGE: usize = 16;
/// The most addresses of one machine.
pub(crate) const MAX_WAYS: usize = 4;
/// The most votes that a host gives when it abdicates.
pub(crate) const MAX_ABDICATION: usize = 3;

numbered! { Migration { Disabled = 0, Quorum = 1, AnySurvivor = 2 } unknown: Some(Self::Disabled) }

/// One host's rule: the branch of the session's history, and the term in it.
///
/// A takeover by a majority stays in its branch. One without opens a new branch, with one more fork behind it, which
/// gives way to any that has fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Reign {
    pub(crate) forks: u16,
    /// 0 for the founder's, else drawn at random.
    pub(crate) branch: u64,
    pub(crate) term: u32,
}

impl Reign {
    /// The founder's.
    pub(crate) const FOUNDER: Self = Self { forks: 0, branch: 0, term: 1 };

    pub(crate) fn same_branch(self, other: Self) -> bool {
        (self.forks, self.branch) == (other.forks, other.branch)
    }

    /// Whether this one stands where both are proved: never by numbers of members, never by clocks.
    #[must_use]
    pub(crate) fn supersedes(self, other: Self) -> bool {
        if self.same_branch(other) {
            return self.term > other.term;
        }
        let key = |reign: Self| (reign.forks, std::cmp::Reverse(reign.term), reign.branch);
        key(self) < key(other)
    }
}

/// One machine of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Voter {
    /// Verifies its votes; made anew at each attach and kept in memory only, so that a restarted machine is another one.
    pub(crate) seat: PublicKey,
    /// The key it would host under; `None` where it only votes, and for the host itself.
    pub(crate) host: Option<HostKey>,
}

/// Who votes, in the order of succession; the host itself is the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) session: SessionKey,
    pub(crate) host_key: HostKey,
    pub(crate) incarnation: u64,
    pub(crate) reign: Reign,
    /// One more with each order of this reign.
    pub(crate) cfg: u32,
    pub(crate) policy: Migration,
    /// Milliseconds of silence after which the host counts as lost.
    pub(crate) host_silence: u32,
    pub(crate) voters: Vec<Voter>,
    pub(crate) signature: [u8; 64],
}

impl Order {
    /// Signs it; `host` is the host key's.
    pub(crate) fn sign(mut self, host: &Identity) -> Self {
        self.signature = sign::sign(Context::Order, host, &self.statement());
        self
    }

    /// Whether the host that it names made it.
    #[must_use]
    pub(crate) fn verify(&self) -> bool {
        sign::verify(Context::Order, self.host_key.public_key(), &self.statement(), &self.signature)
    }

    /// Half of the machines, and one.
    pub(crate) fn quorum(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    pub(crate) fn position(&self, seat: PublicKey) -> Option<usize> {
        self.voters.iter().position(|voter| voter.seat == seat)
    }

    fn statement(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer
            .bytes(self.session.id.as_bytes())
            .bytes(self.session.founder.as_bytes())
            .bytes(self.host_key.as_bytes())
            .u64(self.incarnation);
        reign(&mut writer, self.reign);
        writer.u32(self.cfg).u8(self.policy.number()).u32(self.host_silence);
        writer.u16(u16::try_from(self.voters.len()).unwrap_or(u16::MAX));
        for voter in &self.voters {
            writer.bytes(voter.seat.as_bytes()).bytes(&voter.host.map_or([0; 32], HostKey::to_bytes));
        }
        writer.into_bytes()
    }
}

fn reign(writer: &mut Writer, reign: Reign) {
    writer.u16(reign.forks).u64(reign.branch).u32(reign.term);
}

/// What is voted about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ballot {
    pub(crate) session: SessionKey,
    pub(crate) incarnation: u64,
    /// The reign that the candidate would begin.
    pub(crate) reign: Reign,
    pub(crate) candidate: PublicKey,
    /// The key it would host under.
    pub(crate) host: HostKey,
}

impl Ballot {
    /// One machine's vote; `seat` is its seat key's.
    pub(crate) fn sign(&self, seat: &Identity) -> [u8; 64] {
        sign::sign(Context::Vote, seat, &self.statement())
    }

    #[must_use]
    pub(crate) fn verify(&self, voter: PublicKey, signature: &[u8; 64]) -> bool {
        sign::verify(Context::Vote, voter, &self.statement(), signature)
    }

    fn statement(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(self.session.id.as_bytes()).bytes(self.session.founder.as_bytes()).u64(self.incarnation);
        reign(&mut writer, self.reign);
        writer.bytes(self.candidate.as_bytes()).bytes(self.host.as_bytes());
        writer.into_bytes()
    }
}

/// One change of the host, provable to a stranger: the former host's order, and the votes of the machines in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Takeover {
    pub(crate) order: Order,
    pub(crate) reign: Reign,
    /// Its place in the order.
    pub(crate) candidate: u16,
    /// Places in the order, ascending, with their votes. Without a majority the candidate's own suffices, for a new branch.
    pub(crate) votes: Vec<(u16, [u8; 64])>,
}

impl Takeover {
    /// The key of the host that it made, if it follows on `host` and `former`.
    #[must_use]
    pub(crate) fn verify(
        &self,
        session: SessionKey,
        incarnation: u64,
        host: HostKey,
        former: Reign,
    ) -> Option<HostKey> {
        let order = &self.order;
        let ours = order.session == session && order.incarnation == incarnation;
        if !ours || order.host_key != host || order.reign != former || !order.verify() {
            return None;
        }
        let candidate = order.voters.get(usize::from(self.candidate))?;
        // The first is the host itself: it goes on in another term.
        let own = (self.candidate == 0).then_some(order.host_key);
        let host = candidate.host.or(own)?;
        let ballot = Ballot { session, incarnation, reign: self.reign, candidate: candidate.seat, host };
        let ascending = self.votes.windows(2).all(|pair| matches!(pair, [a, b] if a.0 < b.0));
        let valid = |(at, vote): &(u16, [u8; 64])| {
            order.voters.get(usize::from(*at)).is_some_and(|voter| ballot.verify(voter.seat, vote))
        };
        if !ascending || self.reign.term <= former.term || !self.votes.iter().all(valid) {
            return None;
        }
        let own = self.votes.iter().any(|(at, _)| *at == self.candidate);
        let elected = self.reign.same_branch(former) && self.votes.len() >= order.quorum();
        let forked = order.policy == Migration::AnySurvivor
            && former.forks.checked_add(1) == Some(self.reign.forks)
            && self.reign.branch != former.branch;
        (own && (elected || forked)).then_some(ballot.host)
    }
}

/// The host and the reign to which a chain of takeovers leads, if each follows on the one before.
#[must_use]
pub(crate) fn follow(session: SessionKey, incarnation: u64, lineage: &[Takeover]) -> Option<(HostKey, Reign)> {
    let mut at = (session.founder, Reign::FOUNDER);
    for takeover in lineage {
        at = (takeover.verify(session, incarnation, at.0, at.1)?, takeover.reign);
    }
    Some(at)
}

/// What an advert says of a chain: it names one, it does not prove it.
#[must_use]
pub(crate) fn lineage_digest(session: SessionKey, incarnation: u64, lineage: &[Takeover]) -> [u8; 16] {
    let first: [u8; 32] = hash::hash(
        "lansession lineage",
        &[session.founder.as_bytes(), session.id.as_bytes(), &incarnation.to_be_bytes()],
    );
    let last = lineage
        .iter()
        .fold(first, |digest, takeover| hash::hash("lansession lineage", &[&digest, &codec::encode(takeover)]));
    hash::hash("lansession lineage end", &[&last])
}

/// How to reach one machine of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Successor {
    pub(crate) account: AccountId,
    pub(crate) seat: PublicKey,
    /// Where it listens, best first, at most 4; empty where it is not eligible.
    pub(crate) addresses: Vec<SocketAddr>,
}

/// H 29: the order, and what members need beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Succession {
    pub(crate) order: Order,
    /// As the voters of the order.
    pub(crate) successors: Vec<Successor>,
    /// How this host came to be it.
    pub(crate) lineage: Vec<Takeover>,
}

/// J 12: this member's machine takes part in votes, and would or would not go on as host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stand {
    pub(crate) seat: PublicKey,
    /// `None`: it only votes.
    pub(crate) host: Option<HostKey>,
    /// Where it listens, and its own addresses; the host puts the one it sees first.
    pub(crate) port: u16,
    pub(crate) addresses: Vec<SocketAddr>,
}

/// J 13: this order is the one that counts here now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrderAck {
    pub(crate) reign: Reign,
    pub(crate) cfg: u32,
    /// The highest term in this branch for which this machine has promised its vote.
    pub(crate) promised: u32,
}

/// Where a session goes on, with the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) session: SessionKey,
    pub(crate) incarnation: u64,
    pub(crate) host_key: HostKey,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) lineage: Vec<Takeover>,
}

impl Way {
    /// The reign in which the session that is meant goes on there, as the lineage proves it; an incarnation of 0 is not known.
    /// The word alone leads nowhere.
    #[must_use]
    pub(crate) fn proved(&self, session: SessionKey, incarnation: u64) -> Option<Reign> {
        let meant = session == self.session && (incarnation == 0 || incarnation == self.incarnation);
        let led = follow(self.session, self.incarnation, &self.lineage).filter(|(host, _)| *host == self.host_key);
        led.filter(|_| meant).map(|(_, reign)| reign)
    }
}

/// P 48: my host is gone; I wait here for the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Follow {
    pub(crate) session: SessionKey,
    pub(crate) incarnation: u64,
    /// Of the order that counts here.
    pub(crate) reign: Reign,
    pub(crate) cfg: u32,
    pub(crate) promised: u32,
    pub(crate) seat: PublicKey,
    pub(crate) have: Revision,
    /// Whether the keeper part is here, and up to which revision.
    pub(crate) kept: Option<Revision>,
    /// The version of the game's state; 0 for none.
    pub(crate) state: u64,
}

/// P 51: vote for me.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct VoteAsk {
    pub(crate) ballot: Ballot,
    pub(crate) have: Revision,
}

/// P 52: a vote, with the latest order that the voter holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vote {
    pub(crate) ballot: Ballot,
    pub(crate) voter: PublicKey,
    pub(crate) signature: [u8; 64],
    pub(crate) order: Order,
}

/// P 55: what a machine has of the session.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pulled {
    pub(crate) snapshot: SessionSnapshot,
    pub(crate) keeper: Option<Keeper>,
    pub(crate) state: Option<GameState>,
}

/// P 60: I am host no more; these are my votes for the first of my successors, each in a term of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Abdicate {
    pub(crate) have: Revision,
    pub(crate) votes: Vec<Vote>,
}

message! { Reign { forks, branch, term } }
message! { Voter { seat, host } }
message! {
    Order {
        session, host_key, incarnation, reign, cfg, policy, host_silence,
        voters = |d: &mut D| codec::list(d, MAX_VOTERS, Voter::decode),
        signature,
    }
}
message! { Ballot { session, incarnation, reign, candidate, host } }
message! {
    Takeover { order, reign, candidate, votes = |d: &mut D| codec::list(d, MAX_VOTERS, Decode::decode) }
}
message! { Successor { account, seat, addresses = ways } }
message! {
    Succession {
        order,
        successors = |d: &mut D| codec::list(d, MAX_VOTERS, Successor::decode),
        lineage = lineage,
    }
}
message! { Stand { seat, host, port, addresses = ways } }
message! { OrderAck { reign, cfg, promised } }
message! { Way { session, incarnation, host_key, addresses = ways, lineage = lineage } }
message! { Follow { session, incarnation, reign, cfg, promised, seat, have, kept, state } }
message! { VoteAsk { ballot, have } }
message! { Vote { ballot, voter, signature, order } }
message! { Pulled { snapshot, keeper, state } }
message! { Abdicate { have, votes = |d: &mut D| codec::list(d, MAX_ABDICATION, Vote::decode) } }

fn ways<D: Decoder>(from: &mut D) -> Result<Vec<SocketAddr>, DecodeError> {
    codec::list(from, MAX_WAYS, SocketAddr::decode)
}

pub(super) fn lineage<D: Decoder>(from: &mut D) -> Result<Vec<Takeover>, DecodeError> {
    codec::list(from, MAX_LINEAGE, Takeover::decode)
}

impl bincode::enc::Encode for GameState {
    fn encode<E: bincode::enc::Encoder>(&self, to: &mut E) -> Result<(), bincode::error::EncodeError> {
        self.version.encode(to)?;
        self.data.as_ref().encode(to)
    }
}

impl<C> Decode<C> for GameState {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        let version = Decode::decode(from)?;
        let data = codec::bytes::<{ GameState::MAX }, _>(from)?.into();
        Ok(Self { version, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::SessionId;

    fn key(number: u8) -> Identity {
        Identity::from_seed([number; 32]).unwrap()
    }

    fn session() -> SessionKey {
        SessionKey { id: SessionId::from_name("room"), founder: key(1).public().into() }
    }

    /// The host is 1, its seat key 101; others vote with 101 + n and would host under 51 + n.
    fn order(host: u8, reign: Reign, others: u8) -> Order {
        let voter = |n: u8| Voter { seat: key(101 + n).public(), host: (n > 0).then(|| key(51 + n).public().into()) };
        let order = Order {
            session: session(),
            host_key: key(host).public().into(),
            incarnation: 7,
            reign,
            cfg: 3,
            policy: Migration::AnySurvivor,
            host_silence: 2_500,
            voters: (0..=others).map(voter).collect(),
            signature: [0; 64],
        };
        order.sign(&key(host))
    }

    fn takeover(order: Order, reign: Reign, candidate: u8, voters: &[u8]) -> Takeover {
        let ballot = Ballot {
            session: session(),
            incarnation: 7,
            reign,
            candidate: key(101 + candidate).public(),
            host: key(51 + candidate).public().into(),
        };
        let votes = voters.iter().map(|&n| (u16::from(n), ballot.sign(&key(101 + n)))).collect();
        Takeover { order, reign, candidate: candidate.into(), votes }
    }

    const SECOND: Reign = Reign { term: 2, ..Reign::FOUNDER };

    #[test]
    fn fewer_forks_stand_then_the_later_term_then_the_lower_branch() {
        let reign = |forks, branch, term| Reign { forks, branch, term };
        assert!(SECOND.supersedes(Reign::FOUNDER) && !Reign::FOUNDER.supersedes(SECOND));
        assert!(Reign::FOUNDER.supersedes(reign(1, 9, 8)) && !reign(1, 9, 8).supersedes(Reign::FOUNDER));
        assert!(reign(1, 9, 3).supersedes(reign(1, 5, 2)) && !reign(1, 5, 2).supersedes(reign(1, 9, 3)));
        assert!(reign(1, 5, 3).supersedes(reign(1, 9, 3)) && !reign(1, 9, 3).supersedes(reign(1, 5, 3)));
        assert!(!SECOND.supersedes(SECOND));
    }

    #[test]
    fn a_majority_makes_a_host_and_less_makes_none() {
        let founder = session().founder;
        let made = |takeover: &Takeover| takeover.verify(session(), 7, founder, Reign::FOUNDER);
        let of_four = order(1, Reign::FOUNDER, 3);
        let won = takeover(of_four.clone(), SECOND, 1, &[1, 2, 3]);
        assert_eq!(made(&won), Some(key(52).public().into()));
        assert_eq!(made(&takeover(of_four.clone(), SECOND, 1, &[1, 2])), None, "two of four are no majority");
        assert_eq!(made(&takeover(of_four.clone(), SECOND, 1, &[0, 2, 3])), None, "the candidate's own is missing");
        assert_eq!(made(&takeover(of_four.clone(), Reign::FOUNDER, 1, &[1, 2, 3])), None, "no later term");
        let twice = Takeover { votes: vec![won.votes[0], won.votes[0], won.votes[1]], ..won.clone() };
        assert_eq!(made(&twice), None, "one machine counts once");
        assert_eq!(made(&Takeover { candidate: 2, ..won.clone() }), None, "the votes were for another");
        assert_eq!(won.verify(session(), 8, founder, Reign::FOUNDER), None, "of another incarnation");
        let unsigned = Order { cfg: 4, ..of_four.clone() };
        assert_eq!(made(&takeover(unsigned, SECOND, 1, &[1, 2, 3])), None, "the host did not sign this order");
        let again =
            Ballot { session: session(), incarnation: 7, reign: SECOND, candidate: key(101).public(), host: founder };
        let votes = [0_u8, 1, 2].map(|n| (u16::from(n), again.sign(&key(101 + n)))).to_vec();
        let host = Takeover { order: of_four.clone(), reign: SECOND, candidate: 0, votes };
        assert_eq!(made(&host), Some(founder), "the host itself, in another term");
        let mut unwilling = of_four;
        unwilling.voters[1].host = None;
        let unwilling = unwilling.sign(&key(1));
        assert_eq!(made(&takeover(unwilling, SECOND, 1, &[1, 2, 3])), None, "who has no host key cannot be host");
    }

    #[test]
    fn one_machine_alone_may_only_open_a_new_branch() {
        let founder = session().founder;
        let alone = |reign| takeover(order(1, Reign::FOUNDER, 1), reign, 1, &[1]);
        let made = |reign| alone(reign).verify(session(), 7, founder, Reign::FOUNDER);
        assert_eq!(made(Reign { forks: 1, branch: 9, term: 70 }), Some(key(52).public().into()));
        assert_eq!(made(SECOND), None);
        assert_eq!(made(Reign { forks: 2, branch: 9, term: 2 }), None);
        assert_eq!(made(Reign { forks: 1, branch: 0, term: 2 }), None);
        let majority = Order { policy: Migration::Quorum, ..order(1, Reign::FOUNDER, 1) }.sign(&key(1));
        let against = takeover(majority, Reign { forks: 1, branch: 9, term: 70 }, 1, &[1]);
        assert_eq!(against.verify(session(), 7, founder, Reign::FOUNDER), None, "not where the host wants a majority");
    }

    #[test]
    fn a_chain_is_followed_link_by_link_and_its_digest_names_it() {
        let first = takeover(order(1, Reign::FOUNDER, 3), SECOND, 1, &[0, 1, 2]);
        let third = Reign { term: 3, ..SECOND };
        let second = takeover(order(52, SECOND, 3), third, 2, &[0, 2, 3]);
        let chain = [first.clone(), second.clone()];
        assert_eq!(follow(session(), 7, &[]), Some((session().founder, Reign::FOUNDER)));
        assert_eq!(follow(session(), 7, &chain), Some((key(53).public().into(), third)));
        assert_eq!(follow(session(), 7, std::slice::from_ref(&second)), None);
        assert_eq!(follow(session(), 7, &[second, first.clone()]), None);
        let digest = |lineage: &[Takeover]| lineage_digest(session(), 7, lineage);
        assert_ne!(digest(&chain), digest(&[first]));
        assert_ne!(digest(&chain), lineage_digest(session(), 8, &chain));
    }
}
