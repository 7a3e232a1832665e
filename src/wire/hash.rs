//! Derived values: everything that is SHA-256, HMAC or PBKDF2 of something (protocol.md, "Derived values").

use ring::digest::{SHA256, digest};
use ring::hmac;

use crate::types::{AccountId, HostKey, SessionId, SessionKey};

use super::datagram::GameTag;

/// A context text, zero padded to 32 bytes.
pub(crate) fn padded(text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(text.as_bytes()) {
        *to = *from;
    }
    out
}

/// The first N bytes of SHA-256 over the padded context and the parts.
pub(crate) fn hash<const N: usize>(context: &str, parts: &[&[u8]]) -> [u8; N] {
    let mut input = padded(context).to_vec();
    for part in parts {
        input.extend_from_slice(part);
    }
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(digest(&SHA256, &input).as_ref()) {
        *to = *from;
    }
    out
}

/// The tag of a game id, at the start of every datagram.
pub(crate) fn game_tag(game: &str) -> GameTag {
    GameTag(hash("lansession game", &[game.as_bytes()]))
}

/// The id that belongs to a founder key and a salt.
pub(crate) fn derived_id(founder: HostKey, salt: u64) -> SessionId {
    SessionId::from_bytes(hash("lansession session id", &[founder.as_bytes(), &salt.to_be_bytes()]))
}

/// The tag of a host key in probes and death notices.
pub(crate) fn host_tag(host: HostKey) -> [u8; 8] {
    hash("lansession host tag", &[host.as_bytes()])
}

/// The tag of a session in its present state, under one query's nonce.
pub(crate) fn known_tag(nonce: u64, key: SessionKey, incarnation: u64, term: u32, revision: u64) -> [u8; 6] {
    hash(
        "lansession known",
        &[
            &nonce.to_be_bytes(),
            key.id.as_bytes(),
            key.founder.as_bytes(),
            &incarnation.to_be_bytes(),
            &term.to_be_bytes(),
            &revision.to_be_bytes(),
        ],
    )
}

/// The digest of an advert's facts part, by which a probe learns whether it missed a change.
pub(crate) fn facts_digest(encoded_facts: &[u8]) -> [u8; 8] {
    hash("lansession facts", &[encoded_facts])
}

/// HMAC-SHA256.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        context.update(part);
    }
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(context.sign().as_ref()) {
        *to = *from;
    }
    out
}

/// Compares without telling by its time where the difference is.
#[must_use]
pub(crate) fn equal(a: &[u8; 32], b: &[u8; 32]) -> bool {
    // An HMAC under any key hides the bytes; ring compares the tags in constant time.
    let key = hmac::Key::new(hmac::HMAC_SHA256, &[]);
    hmac::verify(&key, a, hmac::sign(&key, b).as_ref()).is_ok()
}

/// What a channel's 32-byte binding becomes for one purpose in one session: the game's own key, a ticket's binding.
pub(crate) fn bound(binding: &[u8; 32], purpose: &str, session: SessionId) -> [u8; 32] {
    hmac(binding, &[&padded(purpose), session.as_bytes()])
}

/// The salt under which a session's password becomes a key.
pub(crate) fn password_salt(session: SessionKey) -> [u8; 32] {
    hash("lansession password", &[session.founder.as_bytes(), session.id.as_bytes()])
}

/// PBKDF2-HMAC-SHA256: slow on purpose, so never on the driver's thread.
pub(crate) fn password_key(password: &[u8], salt: &[u8; 32], rounds: std::num::NonZeroU32) -> [u8; 32] {
    let mut key = [0; 32];
    ring::pbkdf2::derive(ring::pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, password, &mut key);
    key
}

/// The proof that a side knows the password's key; `side` is `joiner` or `host`.
pub(crate) fn password_proof(
    key: &[u8; 32],
    side: &str,
    binding: &[u8; 32],
    account: AccountId,
    host: HostKey,
) -> [u8; 32] {
    hmac(key, &[side.as_bytes(), binding, account.as_bytes(), host.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_is_of_all_bytes() {
        let mut other = [7; 32];
        assert!(equal(&[7; 32], &other));
        other[31] = 8;
        assert!(!equal(&[7; 32], &other));
    }

    #[test]
    fn purposes_and_sides_give_different_secrets() {
        let session = SessionId::from_name("a");
        assert_ne!(bound(&[1; 32], "game", session), bound(&[1; 32], "ticket", session));
        let account = AccountId::from_bytes([9; 32]).unwrap();
        let host = HostKey::from_bytes([9; 32]).unwrap();
        let side = |side| password_proof(&[1; 32], side, &[2; 32], account, host);
        assert_ne!(side("joiner"), side("host"));
    }
}
