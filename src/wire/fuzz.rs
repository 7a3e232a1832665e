//! The bodies of the fuzz targets for bytes and texts: any may go in, none may panic, and what is read is written the same.
//!
//! They live here, so that plain `cargo test` runs them over damaged golden bytes too. Those for the engines are in
//! `proto::fuzz`, those for JSON and for the examples' files in `tests/corpus`.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use super::bytes::Reader;
use super::datagram::{
    Advert, Alive, DeathNotice, ForeignAdvert, GameTag, Goodbye, Hint, Kind, Prefix, Probe, Query, SealedLocate,
    facts_digest_of,
};
use super::frame::{Assembler, Frame, HEADER, MAX_FRAME, MAX_MESSAGE, Takeover, follow, header, lineage_digest};
use super::txt::{self, MAX_TXT};
use super::{WireResult, codec, extension, sign};
use crate::types::{
    AccountId, Filter, HostKey, Identity, InviteId, JoinLink, Node, OrderBy, ReservationId, RoomCode, SessionId,
};

/// What was read, written and read again, is the same.
fn again<T: PartialEq + Debug>(value: &T, bytes: &[u8], decode: impl Fn(&[u8]) -> WireResult<T>) {
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
        Some(Kind::Locate) => {
            if let Ok(sealed) = SealedLocate::decode(bytes) {
                again(&sealed, &sealed.encode(), SealedLocate::decode);
                // With the account that the golden one is for, so that its fields are reached.
                let target = Identity::from_seed([11; 32]).map(|identity| identity.account());
                if let Some(opened) = target.ok().and_then(|target| sealed.open(target)) {
                    let _ = opened.verify();
                }
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

/// One message: its kind, then its payload.
pub fn frame(bytes: &[u8]) {
    let Some((kind, payload)) = bytes.split_first() else { return };
    if let Ok(Some(frame)) = Frame::decode(*kind, payload) {
        match &frame {
            Frame::Won { lineage, .. } | Frame::Lineage { lineage } => chain(lineage),
            Frame::NotHost(way) | Frame::Claim(way) => chain(&way.lineage),
            _ => {}
        }
        let (kind, payload) = frame.encode();
        assert_eq!(Frame::decode(kind, &payload).as_ref(), Ok(&Some(frame)));
    }
}

/// A stranger checks who is host now.
fn chain(lineage: &[Takeover]) {
    let Some(first) = lineage.first().map(|takeover| &takeover.order) else { return };
    let (session, incarnation) = (first.session, first.incarnation);
    if let Some((_, reign)) = follow(session, incarnation, lineage) {
        assert!(lineage.last().is_some_and(|last| last.reign == reign));
    }
    let _ = lineage_digest(session, incarnation, lineage);
}

/// What later minor versions add.
pub fn extensions(bytes: &[u8]) {
    const KNOWN: [u16; 3] = [1, 9, 0x8001];
    let mut reader = Reader::new(bytes);
    if let Ok(found) = extension::read(&mut reader, &KNOWN) {
        assert_eq!(reader.len(), 0);
        assert!(found.known.len() <= KNOWN.len());
        assert!(found.critical.is_none_or(|id| id & 0x8000 != 0 && !KNOWN.contains(&id)));
        assert_eq!(extension::skip(&mut Reader::new(bytes)).is_ok(), critical_free(bytes));
    }
}

fn critical_free(bytes: &[u8]) -> bool {
    extension::read(&mut Reader::new(bytes), &[]).is_ok_and(|found| found.critical.is_none())
}

/// The bytes of a control connection.
pub fn stream(bytes: &[u8]) {
    let (mut rest, mut assembler) = (bytes, Assembler::default());
    while let Some((head, after)) = rest.split_first_chunk::<HEADER>() {
        let (length, kind, more) = header(*head);
        assert!(length <= MAX_FRAME);
        let Some((payload, after)) = after.split_at_checked(length) else { return };
        rest = after;
        match assembler.push(kind, more, payload.to_vec(), MAX_MESSAGE) {
            Ok(Some((kind, payload))) => frame(&[&[kind], payload.as_slice()].concat()),
            Ok(None) => {}
            Err(_) => return,
        }
    }
}

/// A query's filter.
pub fn filter(bytes: &[u8]) {
    if let Ok(node) = codec::decode::<Node>(bytes, 1 << 16) {
        again(&node, &codec::encode(&node), |bytes| codec::decode(bytes, 1 << 16));
    }
}

/// A filter as players and config files write it.
pub fn filter_text(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match text.parse::<Filter>() {
        Ok(filter) => {
            assert_eq!(filter.check().map_err(|error| error.to_string()), Ok(()));
            assert_eq!(filter.to_string().parse(), Ok(filter));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(order) = OrderBy::parse_list(text) {
        let printed: Vec<_> = order.iter().map(OrderBy::to_string).collect();
        assert_eq!(OrderBy::parse_list(&printed.join(",")), Ok(order));
    }
}

/// Room codes, ids and keys as players type them.
pub fn names(bytes: &[u8]) {
    fn name<T: FromStr + Display + PartialEq + Debug>(text: &str) {
        if let Ok(value) = text.parse::<T>() {
            assert_eq!(value.to_string().parse().ok(), Some(value));
        }
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    name::<RoomCode>(text);
    name::<SessionId>(text);
    name::<InviteId>(text);
    name::<ReservationId>(text);
    name::<AccountId>(text);
    name::<HostKey>(text);
}

/// TXT pairs, one a line.
pub fn txt(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let pair = |line: &str| {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        (key.to_owned(), value.to_owned())
    };
    let pairs: Vec<_> = text.lines().map(pair).collect();
    if let Ok(record) = txt::decode(&pairs) {
        let pairs = txt::encode(&record);
        assert!(pairs.iter().map(|(key, value)| key.len() + value.len() + 2).sum::<usize>() <= MAX_TXT);
        assert_eq!(txt::decode(&pairs), Ok(record));
    }
}

/// A join link.
pub fn link(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(link) = text.parse::<JoinLink>() {
        let text = link.to_string();
        assert!(text.len() <= JoinLink::MAX_TEXT);
        assert_eq!(text.parse().as_ref(), Ok(&link));
    }
}

/// Every body in turn.
pub fn all(bytes: &[u8]) {
    datagram(bytes);
    frame(bytes);
    stream(bytes);
    extensions(bytes);
    filter(bytes);
    filter_text(bytes);
    names(bytes);
    txt(bytes);
    link(bytes);
}
