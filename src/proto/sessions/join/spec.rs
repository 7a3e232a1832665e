//! What a joiner says on every link, and what it demands of an Accept (protocol.md, "Join").

use std::num::NonZeroU32;

use crate::proto::io::LocalUser;
use crate::types::{
    AccountId, Attributes, HostKey, InviteId, MemberStatus, PublicKey, ReservationId, Secret, SessionKey,
    SessionSettings,
};
use crate::wire::frame::{Accept, Companion, Join, join_fits, knock};
use crate::wire::hash;

use super::super::host::ANY_SESSION;

/// One attach: the same on every link that tries for it, except for what is bound to the channel.
#[derive(Debug, Clone)]
pub(in super::super) struct JoinSpec {
    pub(in super::super) user: LocalUser,
    /// `None` where nothing but an address is known: whatever is served there.
    pub(in super::super) key: Option<SessionKey>,
    pub(in super::super) host_key: Option<HostKey>,
    pub(in super::super) incarnation: u64,
    pub(in super::super) nonce: [u8; 16],
    pub(in super::super) peer_incarnation: u64,
    pub(in super::super) ticket: Vec<u8>,
    pub(in super::super) attributes: Attributes,
    pub(in super::super) invite: Option<InviteId>,
    pub(in super::super) password_key: Option<Secret>,
    pub(in super::super) rounds: NonZeroU32,
    pub(in super::super) role: Option<String>,
    pub(in super::super) status: MemberStatus,
    /// The other local users of this join, each with the nonce of its own seat.
    pub(in super::super) party: Vec<(LocalUser, [u8; 16])>,
    /// The accounts for which seats are to be reserved.
    pub(in super::super) reserve_for: Vec<(AccountId, [u8; 16])>,
    /// Waits for a session that is on its way into another one.
    pub(in super::super) patient: bool,
}

impl JoinSpec {
    pub(in super::super) fn account(&self) -> AccountId {
        self.user.identity.account()
    }

    /// Its own and the other local users'.
    pub(in super::super) fn accounts(&self) -> impl Iterator<Item = AccountId> + '_ {
        std::iter::once(self.account()).chain(self.party.iter().map(|(user, _)| user.identity.account()))
    }

    pub(in super::super) fn frame(&self, version: u32, host: PublicKey, binding: &[u8; 32]) -> Join {
        let host = HostKey::from(host);
        let proof = |key: &Secret| hash::password_proof(key, "joiner", binding, self.account(), host);
        let session = self.key.unwrap_or(SessionKey { id: ANY_SESSION, founder: host });
        let (incarnation, peer) = (self.incarnation, self.peer_incarnation);
        Join {
            session,
            incarnation: self.incarnation,
            nonce: self.nonce,
            peer_incarnation: self.peer_incarnation,
            version,
            name: self.user.name.clone(),
            external: self.user.external.clone(),
            attributes: self.attributes.clone(),
            ticket: self.ticket.clone(),
            password_proof: self.password_key.as_ref().map(proof),
            // Always: the policy may be another one than was advertised by the time the host reads this.
            knock: Some(knock(&self.user.identity, session, host, incarnation, peer)),
            invite: self.invite.map(InviteId::to_bytes),
            role: self.role.clone(),
            status: self.status,
            party: self.companions(host, binding),
        }
    }

    fn companions(&self, host: HostKey, binding: &[u8; 32]) -> Vec<Companion> {
        let session = self.key.map_or(ANY_SESSION, |key| key.id);
        let users = self.party.iter().map(|(user, nonce)| Companion {
            account: user.identity.account(),
            name: user.name.clone(),
            external: user.external.clone(),
            attributes: self.attributes.clone(),
            nonce: *nonce,
            role: self.role.clone(),
            proof: Some(Companion::prove(&user.identity, binding, session, host, &self.nonce)),
        });
        let others = self.reserve_for.iter().map(|&(account, nonce)| Companion {
            account,
            name: format!("{account:?}"),
            external: None,
            attributes: Attributes::new(),
            nonce,
            role: self.role.clone(),
            proof: None,
        });
        users.chain(others).collect()
    }

    /// What a companion says on its own link: that it is the one whose seat this is.
    pub(in super::super) fn of_companion(&self, user: LocalUser, nonce: [u8; 16], peer_incarnation: u64) -> Self {
        Self {
            user,
            nonce,
            peer_incarnation,
            ticket: Vec::new(),
            invite: None,
            party: Vec::new(),
            reserve_for: Vec::new(),
            ..self.clone()
        }
    }

    /// The reservation that this join makes.
    pub(in super::super) fn reservation(&self) -> Option<ReservationId> {
        (!self.reserve_for.is_empty()).then(|| hash::party_id(&self.nonce))
    }

    /// By how much the join is larger than what a host reads of a peer without a seat.
    pub(super) fn bytes_over(&self) -> usize {
        let mut join = self.frame(0, self.user.identity.public(), &[0; 32]);
        join.password_proof = Some([0; 32]);
        join_fits(&join).err().unwrap_or(0)
    }

    /// Whether this Accept is the one that was asked for, by the host that was asked: an impostor under its own key can
    /// list any name and accept everybody, but it proves neither the password nor another account.
    pub(in super::super) fn accepts(&self, accept: &Accept, host: PublicKey, binding: &[u8; 32]) -> bool {
        let host_key = HostKey::from(host);
        let snapshot = &accept.snapshot;
        let session = self.key.is_none_or(|key| key == snapshot.key) && snapshot.host_key == host_key;
        let founded = self.key.is_some() || snapshot.key.founder == host_key;
        let grant = &accept.grant;
        let granted = grant.session == snapshot.key.id
            && grant.founder == snapshot.key.founder
            && grant.revision == snapshot.revision
            && grant.account == self.account()
            && grant.peer_incarnation == self.peer_incarnation
            && grant.verify(host_key);
        let hosted = match (&accept.host, snapshot.host) {
            (None, None) => true,
            (Some(proof), Some(account)) => {
                proof.account == account && proof.verify(binding, host_key, snapshot.key.id)
            }
            _ => false,
        };
        let seated = snapshot.member(self.account()).is_some_and(|member| member.number == accept.number);
        let bounded = snapshot.members.len() <= usize::from(SessionSettings::MAX_MEMBERS);
        bounded && session && founded && granted && hosted && seated && self.password_proven(accept, host_key, binding)
    }

    fn password_proven(&self, accept: &Accept, host: HostKey, binding: &[u8; 32]) -> bool {
        let Some(key) = &self.password_key else { return true };
        let expected = hash::password_proof(key, "host", binding, self.account(), host);
        accept.password_proof.is_some_and(|proof| hash::equal(&proof, &expected))
    }
}
