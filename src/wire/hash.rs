//! Derived values: everything that is SHA-256, HMAC or PBKDF2 of something (protocol.md, "Derived values").

use std::net::{IpAddr, SocketAddr};

use ring::digest::{SHA256, digest};
use ring::hmac;

use crate::types::{AccountId, HostKey, ReservationId, SessionId, SessionKey};

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

/// SHA-256 of these bytes alone.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(digest(&SHA256, bytes).as_ref()) {
        *to = *from;
    }
    out
}

/// The id of the reservation that a join made for the accounts that its leader brings along.
pub(crate) fn party_id(leaders_nonce: &[u8; 16]) -> ReservationId {
    ReservationId::from_bytes(hash("lansession party", &[leaders_nonce]))
}

/// What a host keeps of a seat's token: it counts in this session, for this account and this process of it only.
pub(crate) fn seat_token(session: SessionKey, account: AccountId, peer_incarnation: u64, token: &[u8; 32]) -> [u8; 32] {
    hash(
        "lansession seat token",
        &[
            session.id.as_bytes(),
            session.founder.as_bytes(),
            account.as_bytes(),
            &peer_incarnation.to_be_bytes(),
            token,
        ],
    )
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

/// The places of a tag in a Bloom filter of so many bits: `h1 + i * h2`, the tag's halves as 24-bit numbers, h2 made odd.
fn bloom_places(bits: usize, hashes: u8, tag: [u8; 6]) -> impl Iterator<Item = usize> {
    let [a, b, c, d, e, f] = tag;
    let (h1, h2) = (u64::from(u32::from_be_bytes([0, a, b, c])), u64::from(u32::from_be_bytes([0, d, e, f]) | 1));
    let bits = u64::try_from(bits).unwrap_or(u64::MAX).max(1);
    (0..u64::from(hashes)).map(move |i| usize::try_from(h1.wrapping_add(i.wrapping_mul(h2)) % bits).unwrap_or_default())
}

/// Puts a tag into a Bloom filter.
pub(crate) fn bloom_insert(bits: &mut [u8], hashes: u8, tag: [u8; 6]) {
    for place in bloom_places(bits.len().saturating_mul(8), hashes, tag) {
        if let Some(byte) = bits.get_mut(place / 8) {
            *byte |= 0x80 >> (place % 8);
        }
    }
}

/// Whether a Bloom filter may hold a tag. An empty one holds none.
pub(crate) fn bloom_contains(bits: &[u8], hashes: u8, tag: [u8; 6]) -> bool {
    hashes > 0
        && bloom_places(bits.len().saturating_mul(8), hashes, tag)
            .all(|place| bits.get(place / 8).is_some_and(|byte| byte & (0x80 >> (place % 8)) != 0))
}

/// What proves that an asker receives at the address it asks from: only this host can make it, for this minute.
pub(crate) fn cookie(secret: &[u8; 32], from: SocketAddr, minute: u64) -> [u8; 16] {
    let address = match from.ip() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    };
    let all = hmac(secret, &[&address.octets(), &from.port().to_be_bytes(), &minute.to_be_bytes()]);
    all.first_chunk().copied().unwrap_or_default()
}

/// What names a host key in DNS-SD, where the key itself would be a text too long.
pub(crate) fn host_label(host: HostKey) -> [u8; 12] {
    hash("lansession host label", &[host.as_bytes()])
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
    fn a_bloom_filter_holds_what_was_put_in() {
        let mut bits = [0; 200];
        let tags = (0..128_u64).map(|n| hash::<6>("tag", &[&n.to_be_bytes()]));
        tags.clone().for_each(|tag| bloom_insert(&mut bits, 6, tag));
        assert!(tags.clone().all(|tag| bloom_contains(&bits, 6, tag)));
        let false_hits =
            (1_000..11_000_u64).filter(|n: &u64| bloom_contains(&bits, 6, hash("tag", &[&n.to_be_bytes()]))).count();
        assert!(false_hits < 60, "{false_hits} of 10,000");
        assert!(!bloom_contains(&[], 6, [0; 6]));
    }

    #[test]
    fn a_cookie_is_for_one_address_and_one_minute() {
        let at = |text: &str, minute| cookie(&[1; 32], text.parse().unwrap(), minute);
        assert_eq!(at("10.0.0.1:5", 9), at("[::ffff:10.0.0.1]:5", 9));
        assert_ne!(at("10.0.0.1:5", 9), at("10.0.0.1:6", 9));
        assert_ne!(at("10.0.0.1:5", 9), at("10.0.0.1:5", 10));
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
