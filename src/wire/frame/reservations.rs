//! How reservations travel (protocol.md, "Reservations and parties").

use std::time::Duration;

use bincode::de::{Decode, Decoder};
use bincode::enc::{Encode, Encoder};
use bincode::error::{DecodeError, EncodeError};

use crate::types::{AccountId, Reservation, ReservationChange, ReservationId};
use crate::wire::codec::{self, message};

/// The accounts of a reservation.
pub(super) fn accounts<D: Decoder>(from: &mut D) -> Result<Vec<AccountId>, DecodeError> {
    codec::list(from, Reservation::MAX_ACCOUNTS, AccountId::decode)
}

fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

impl Encode for ReservationId {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        self.as_bytes().encode(to)
    }
}

impl<C> Decode<C> for ReservationId {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        Decode::decode(from).map(Self::from_bytes)
    }
}

/// On the wire a time is in whole milliseconds.
struct Row {
    id: ReservationId,
    version: u32,
    accounts: Vec<AccountId>,
    expires_in: Option<u32>,
}

message! { Row { id, version, accounts = accounts, expires_in } }

impl Encode for Reservation {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        let Self { id, version, accounts, expires_in } = self.clone();
        Row { id, version, accounts, expires_in: expires_in.map(milliseconds) }.encode(to)
    }
}

impl<C> Decode<C> for Reservation {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        let Row { id, version, accounts, expires_in } = Decode::decode(from)?;
        let expires_in = expires_in.map(|millis| Duration::from_millis(millis.into()));
        Ok(Self { id, version, accounts, expires_in })
    }
}

impl Encode for ReservationChange {
    fn encode<E: Encoder>(&self, to: &mut E) -> Result<(), EncodeError> {
        match self {
            Self::Extend(accounts) => (0_u32, accounts).encode(to),
            Self::Shrink(accounts) => (1_u32, accounts).encode(to),
            Self::Renew => 2_u32.encode(to),
            Self::Cancel => 3_u32.encode(to),
        }
    }
}

impl<C> Decode<C> for ReservationChange {
    fn decode<D: Decoder<Context = C>>(from: &mut D) -> Result<Self, DecodeError> {
        match u32::decode(from)? {
            0 => accounts(from).map(Self::Extend),
            1 => accounts(from).map(Self::Shrink),
            2 => Ok(Self::Renew),
            3 => Ok(Self::Cancel),
            _ => Err(DecodeError::Other("unknown change of a reservation")),
        }
    }
}
