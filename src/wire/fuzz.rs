//! The bodies of the fuzz targets: any bytes may go in, none may panic, and what is read is written the same.
//!
//! They live here, so that plain `cargo test` runs them over damaged golden bytes too.

use super::datagram::{
    Advert, Alive, DeathNotice, ForeignAdvert, GameTag, Goodbye, Hint, Kind, Prefix, Probe, Query, facts_digest_of,
};
use super::{WireResult, sign};

/// What was read, written and read again, is the same.
fn again<T: PartialEq + std::fmt::Debug>(value: &T, bytes: &[u8], decode: impl Fn(&[u8]) -> WireResult<T>) {
    assert_eq!(decode(bytes).as_ref(), Ok(value));
}

fn unsigned(mut statement: Vec<u8>) -> Vec<u8> {
    statement.extend_from_slice(&[0; sign::SIGNATURE]);
    statement
}

/// One datagram of any kind.
pub fn datagram(bytes: &[u8]) {
    let _ = ForeignAdvert::decode(bytes);
    let Ok(prefix) = Prefix::peek(bytes) else { return };
    let game: GameTag = prefix.game;
    match prefix.known_kind() {
        Some(Kind::Advert) => {
            if let Ok(advert) = Advert::decode(bytes) {
                assert!(facts_digest_of(bytes).is_ok());
                if !advert.incompatible {
                    again(&advert, &unsigned(advert.statement(game)), Advert::decode);
                }
            }
        }
        Some(Kind::Query) => {
            if let Ok(query) = Query::decode(bytes) {
                again(&query, &query.encode(game), Query::decode);
            }
        }
        Some(Kind::Hint) => {
            if let Ok(hint) = Hint::decode(bytes) {
                again(&hint, &hint.encode(game), Hint::decode);
            }
        }
        Some(Kind::Probe) => {
            if let Ok(probe) = Probe::decode(bytes) {
                again(&probe, &probe.encode(game), Probe::decode);
            }
        }
        Some(Kind::Alive) => {
            if let Ok(alive) = Alive::decode(bytes) {
                again(&alive, &unsigned(alive.statement(game)), Alive::decode);
            }
        }
        Some(Kind::Goodbye) => {
            if let Ok(goodbye) = Goodbye::decode(bytes) {
                again(&goodbye, &unsigned(goodbye.statement(game)), Goodbye::decode);
            }
        }
        Some(Kind::Death) => {
            if let Ok(notice) = DeathNotice::decode(bytes) {
                again(&notice, &notice.encode(game), DeathNotice::decode);
            }
        }
        None => {}
    }
}

/// Every body in turn.
pub fn all(bytes: &[u8]) {
    datagram(bytes);
}
