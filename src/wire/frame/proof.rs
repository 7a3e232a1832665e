//! What is signed inside the channel, digests and sizes (protocol.md, "Proofs").

use super::MAX_PRE_SEAT;
use super::message::{Companion, Frame, Grant, Join, Proof};
use crate::types::{AccountId, HostKey, Identity, Revision, SessionId, SessionKey, SessionSnapshot};
use crate::wire::bytes::Writer;
use crate::wire::sign::{self, Context};
use crate::wire::{codec, hash};

impl Grant {
    /// The host's word that `account` has a seat; `host` is the host key.
    pub(crate) fn sign(
        host: &Identity,
        session: SessionKey,
        revision: Revision,
        account: AccountId,
        peer_incarnation: u64,
    ) -> Self {
        let SessionKey { id, founder } = session;
        let mut grant = Self { session: id, founder, revision, account, peer_incarnation, signature: [0; 64] };
        grant.signature = sign::sign(Context::Seat, host, &grant.statement());
        grant
    }

    /// Whether this host gave it.
    #[must_use]
    pub(crate) fn verify(&self, host: HostKey) -> bool {
        sign::verify(Context::Seat, host.public_key(), &self.statement(), &self.signature)
    }

    fn statement(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer
            .bytes(self.session.as_bytes())
            .bytes(self.founder.as_bytes())
            .u32(self.revision.term)
            .u64(self.revision.number)
            .bytes(self.account.as_bytes())
            .u64(self.peer_incarnation);
        writer.into_bytes()
    }
}

impl Proof {
    /// Proves an account over one channel to one host of one session.
    pub(crate) fn sign(account: &Identity, binding: &[u8; 32], host: HostKey, session: SessionId) -> Self {
        let statement = Self::statement(binding, host, session);
        Self { account: account.account(), signature: sign::sign(Context::Account, account, &statement) }
    }

    /// Whether this account signed for this channel, host and session.
    #[must_use]
    pub(crate) fn verify(&self, binding: &[u8; 32], host: HostKey, session: SessionId) -> bool {
        let statement = Self::statement(binding, host, session);
        sign::verify(Context::Account, self.account.public_key(), &statement, &self.signature)
    }

    fn statement(binding: &[u8; 32], host: HostKey, session: SessionId) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(binding).bytes(host.as_bytes()).bytes(session.as_bytes());
        writer.into_bytes()
    }
}

impl Companion {
    /// A further local user's word for one join: it counts on this channel only, at this host, for this session and for
    /// the leader's very attempt.
    pub(crate) fn prove(
        user: &Identity,
        binding: &[u8; 32],
        session: SessionId,
        host: HostKey,
        leaders_nonce: &[u8; 16],
    ) -> [u8; 64] {
        let statement = Self::statement(user.account(), binding, session, host, leaders_nonce);
        sign::sign(Context::SeatUser, user, &statement)
    }

    /// Whether this account signed for this channel, session, host and attempt.
    #[must_use]
    pub(crate) fn verify(
        &self,
        proof: &[u8; 64],
        binding: &[u8; 32],
        session: SessionId,
        host: HostKey,
        leaders_nonce: &[u8; 16],
    ) -> bool {
        let statement = Self::statement(self.account, binding, session, host, leaders_nonce);
        sign::verify(Context::SeatUser, self.account.public_key(), &statement, proof)
    }

    fn statement(
        account: AccountId,
        binding: &[u8; 32],
        session: SessionId,
        host: HostKey,
        leaders_nonce: &[u8; 16],
    ) -> Vec<u8> {
        let mut writer = Writer::default();
        let nonce = hash::sha256(leaders_nonce);
        writer.bytes(binding).bytes(session.as_bytes()).bytes(host.as_bytes()).bytes(account.as_bytes()).bytes(&nonce);
        writer.into_bytes()
    }
}

/// The digest of a state as one member sees it.
pub(crate) fn view_digest(snapshot: &SessionSnapshot) -> [u8; 8] {
    hash::hash("lansession view", &[&codec::encode(snapshot)])
}

/// Whether a join fits into what a host reads of a peer without a seat; else the bytes over.
pub(crate) fn join_fits(join: &Join) -> Result<(), usize> {
    match codec::encode(join).len().saturating_sub(MAX_PRE_SEAT) {
        0 => Ok(()),
        over => Err(over),
    }
}

/// A message as the frames that go on the stream.
pub(crate) fn frames(frame: &Frame) -> Vec<Vec<u8>> {
    let (kind, payload) = frame.encode();
    super::split(kind, &payload)
}
