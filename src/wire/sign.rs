//! Signed statements (protocol.md, "Signatures").
//!
//! What is signed is a 32-byte context, then all bytes of the statement as sent before the signature. Each context is
//! unique to its kind and starts with `l`, so none can be taken for another's, nor for TLS 1.3's (64 spaces first).

use ring::signature::{ED25519, UnparsedPublicKey};

use crate::types::{Identity, PublicKey};

/// What a signature is for; its text, zero padded to 32 bytes, comes first in the signed input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Context {
    Advert,
    Alive,
    Goodbye,
    /// A host's word that an account has a seat.
    Seat,
    /// A host's account over a channel.
    Account,
    /// A further local user's word that it takes part in a join.
    SeatUser,
    /// A question where an account is.
    Locate,
    /// An inviter's pointer to a session.
    Invite,
    /// A joiner's word that it came to a session.
    Knock,
    /// A host's list of who votes and goes on after it.
    Order,
    /// One machine's word for the next host.
    Vote,
}

impl Context {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 11] = [
        Self::Advert,
        Self::Alive,
        Self::Goodbye,
        Self::Seat,
        Self::Account,
        Self::SeatUser,
        Self::Locate,
        Self::Invite,
        Self::Knock,
        Self::Order,
        Self::Vote,
    ];

    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Advert => "lansession advert",
            Self::Alive => "lansession alive",
            Self::Goodbye => "lansession goodbye",
            Self::Seat => "lansession seat",
            Self::Account => "lansession account",
            Self::SeatUser => "lansession seat-user",
            Self::Locate => "lansession locate",
            Self::Invite => "lansession invite",
            Self::Knock => "lansession knock",
            Self::Order => "lansession order",
            Self::Vote => "lansession vote",
        }
    }
}

/// The signature's length.
pub(crate) const SIGNATURE: usize = 64;

fn input(context: Context, statement: &[u8]) -> Vec<u8> {
    let mut input = super::hash::padded(context.text()).to_vec();
    input.extend_from_slice(statement);
    input
}

/// Signs a statement.
pub(crate) fn sign(context: Context, identity: &Identity, statement: &[u8]) -> [u8; SIGNATURE] {
    #[cfg(all(fuzzing, feature = "testing"))]
    if stand_in::on() {
        return stand_in::of(identity.public(), &input(context, statement));
    }
    let mut out = [0; SIGNATURE];
    let signature = identity.pair().sign(&input(context, statement));
    for (to, from) in out.iter_mut().zip(signature.as_ref()) {
        *to = *from;
    }
    out
}

/// Whether the key made this signature of this statement.
#[must_use]
pub(crate) fn verify(context: Context, key: PublicKey, statement: &[u8], signature: &[u8]) -> bool {
    #[cfg(all(fuzzing, feature = "testing"))]
    if stand_in::on() {
        return stand_in::of(key, &input(context, statement)) == signature;
    }
    UnparsedPublicKey::new(&ED25519, key.as_bytes()).verify(&input(context, statement), signature).is_ok()
}

/// Whether a datagram whose last 64 bytes are its signature was signed by this key.
#[must_use]
pub(crate) fn verify_datagram(context: Context, key: PublicKey, datagram: &[u8]) -> bool {
    let verified = || {
        datagram
            .len()
            .checked_sub(SIGNATURE)
            .and_then(|at| datagram.split_at_checked(at))
            .is_some_and(|(statement, signature)| verify(context, key, statement, signature))
    };
    #[cfg(all(test, feature = "testing"))]
    let verified = || memory::of(context, key, datagram, verified);
    verified()
}

/// What this thread has verified: on a virtual LAN a thousand machines check the same signature in one process.
#[cfg(all(test, feature = "testing"))]
mod memory {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::Context;
    use crate::types::PublicKey;

    const KEPT: usize = 100_000;

    thread_local! {
        static ANSWERS: RefCell<BTreeMap<[u8; 32], bool>> = const { RefCell::new(BTreeMap::new()) };
    }

    pub(super) fn of(context: Context, key: PublicKey, datagram: &[u8], verify: impl FnOnce() -> bool) -> bool {
        let name: [u8; 32] = crate::wire::hash::hash(context.text(), &[key.as_bytes(), datagram]);
        ANSWERS.with_borrow_mut(|answers| {
            if answers.len() >= KEPT {
                answers.clear();
            }
            *answers.entry(name).or_insert_with(verify)
        })
    }
}

/// Under `cargo fuzz` alone, and there only in the engines' bodies, which ask for it: a third of their time went to curve
/// arithmetic. A changed key, context, statement or signature is refused as ever; that nobody can make one is not what
/// those bodies look at, and plain `cargo test` sends the same inputs through them with the real thing.
#[cfg(all(fuzzing, feature = "testing"))]
pub(crate) mod stand_in {
    use std::cell::Cell;

    use super::SIGNATURE;
    use crate::types::PublicKey;

    thread_local! {
        static ON: Cell<bool> = const { Cell::new(false) };
    }

    /// From here on, on this thread.
    pub(crate) fn begin() {
        ON.set(true);
    }

    pub(super) fn on() -> bool {
        ON.get()
    }

    pub(super) fn of(key: PublicKey, input: &[u8]) -> [u8; SIGNATURE] {
        let digest = ring::digest::digest(&ring::digest::SHA512, &[key.as_bytes(), input].concat());
        let mut out = [0; SIGNATURE];
        for (to, from) in out.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_counts_for_one_context_and_one_statement() {
        let identity = Identity::from_seed([3; 32]).unwrap();
        let signature = sign(Context::Advert, &identity, b"facts");
        assert!(verify(Context::Advert, identity.public(), b"facts", &signature));
        assert!(!verify(Context::Goodbye, identity.public(), b"facts", &signature));
        assert!(!verify(Context::Advert, identity.public(), b"fact", &signature));
        assert!(!verify_datagram(Context::Advert, identity.public(), &signature[1..]));
    }

    #[test]
    fn contexts_are_distinct_and_start_with_l() {
        for (at, context) in Context::ALL.iter().enumerate() {
            assert!(context.text().starts_with('l') && context.text().len() <= 32);
            assert!(Context::ALL.iter().skip(at + 1).all(|other| other.text() != context.text()));
        }
    }
}
