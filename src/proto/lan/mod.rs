//! What announcer, finder and directory share: interfaces and ways, nonces, dice, limiters.
//!
//! None of the three knows the others; each method of theirs gets a [`Cx`] for what it needs from outside.

mod bucket;
mod dice;
mod net;
mod nonces;

pub(crate) use bucket::{Bucket, BucketTable};
pub(crate) use dice::Dice;
pub(crate) use net::{Net, Origin, Way, is_link_local};
pub(crate) use nonces::{Asked, Nonces, Purpose};

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use super::clock::Moment;
use super::io::{Transmit, Via};
use super::tuning::Tuning;
use crate::types::PathKind;
use crate::wire::datagram::GameTag;

/// The surroundings of one call: what time it is, where one can send, where to put what is to be sent.
pub(crate) struct Cx<'a> {
    pub(crate) now: Moment,
    pub(crate) net: &'a Net,
    pub(crate) nonces: &'a mut Nonces,
    pub(crate) dice: &'a mut Dice,
    pub(crate) out: &'a mut VecDeque<Transmit>,
    pub(crate) tuning: &'a Tuning,
    pub(crate) game: GameTag,
    /// Whether broadcasts and multicasts may be sent at all.
    pub(crate) beacons: bool,
}

impl Cx<'_> {
    /// One datagram to one address.
    pub(crate) fn send(&mut self, via: Via, to: SocketAddr, bytes: Arc<[u8]>) {
        self.out.push_back(Transmit { via, to, path: PathKind::Unicast, bytes });
    }

    /// One datagram by each of these ways; `encode` is called once per kind of path, which the datagram names.
    pub(crate) fn cast(&mut self, ways: &[Way], mut encode: impl FnMut(PathKind) -> Option<Vec<u8>>) {
        if !self.beacons {
            return;
        }
        let mut encoded = BTreeMap::<PathKind, Option<Arc<[u8]>>>::new();
        for way in ways {
            let bytes = encoded.entry(way.path).or_insert_with(|| encode(way.path).map(Arc::from));
            let (Some(bytes), Some(to)) = (bytes, self.net.destination(way)) else { continue };
            let via = Via::Interface { index: way.index, address: way.address };
            self.out.push_back(Transmit { via, to, path: way.path, bytes: Arc::clone(bytes) });
        }
    }
}
