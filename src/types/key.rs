//! Ed25519 public keys as identities, and the ones that are refused.
//!
//! `ring`, and so TLS through it, accepts small-order and non-canonical public keys; under such a key one constant
//! signature verifies thousands of different messages. Whoever parses a key goes through [`PublicKey::from_bytes`],
//! so no such key enters (protocol.md, "Keys").

use std::fmt;
use std::str::FromStr;

use super::error::{Error, ErrorKind};
use super::id::base32;

/// The y coordinates of Ed25519's small-order points (RFC 8032 section 5.1), little-endian, sign bit cleared.
const SMALL_ORDER_Y: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    {
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        minus_one
    },
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// A canonical Ed25519 public key that is not of small order: 32 bytes (RFC 8032).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Takes a key's 32 bytes.
    ///
    /// # Errors
    /// `InvalidArgument` where y is not below 2^255 - 19 or the point is of small order: anybody can sign for those.
    ///
    /// ```
    /// use lansession::PublicKey;
    /// assert!(PublicKey::from_bytes([0; 32]).is_err());
    /// assert!(PublicKey::from_bytes([0xff; 32]).is_err());
    /// ```
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, Error> {
        let mut y = bytes;
        y[31] &= 0x7f;
        let non_canonical = y[31] == 0x7f && y[1..31].iter().all(|&b| b == 0xff) && y[0] >= 0xed;
        if non_canonical || SMALL_ORDER_Y.contains(&y) {
            return Err(Error::new(ErrorKind::InvalidArgument, "weak or non-canonical Ed25519 public key"));
        }
        Ok(Self(bytes))
    }

    /// The key's 32 bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32::encode(&self.0)[..8])
    }
}

macro_rules! key_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(PublicKey);

        impl $name {
            /// Takes the key's 32 bytes.
            ///
            /// # Errors
            /// `InvalidArgument` for a weak or non-canonical key, see [`PublicKey::from_bytes`].
            pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, Error> {
                PublicKey::from_bytes(bytes).map(Self)
            }

            /// The key's 32 bytes.
            #[must_use]
            pub fn to_bytes(self) -> [u8; 32] {
                self.0.to_bytes()
            }

            /// The key itself.
            #[must_use]
            pub fn public_key(self) -> PublicKey {
                self.0
            }

            pub(crate) fn as_bytes(&self) -> &[u8; 32] {
                self.0.as_bytes()
            }
        }

        impl From<PublicKey> for $name {
            fn from(key: PublicKey) -> Self {
                Self(key)
            }
        }

        /// All 52 letters of Crockford's base 32.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&base32::encode(self.0.as_bytes()))
            }
        }

        /// The first 8 letters: enough for a log line.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                Self::from_bytes(base32::decode(text)?)
            }
        }
    };
}

key_newtype! {
    /// An account: the public key of a player's [`Identity`](crate::Identity). Shown inside a session only, never
    /// broadcast.
    #[doc(alias = "FAccountId")]
    AccountId
}
key_newtype! {
    /// The key under which one hosted session is advertised and served; fresh for each session unless the host asks
    /// for its account to be shown.
    HostKey
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_order_and_non_canonical_keys_are_refused_with_either_sign() {
        for y in SMALL_ORDER_Y {
            for sign in [0, 0x80] {
                let mut key = y;
                key[31] |= sign;
                assert!(PublicKey::from_bytes(key).is_err(), "{key:02x?}");
            }
        }
        for low in 0xed..=0xff {
            let mut key = [0xff; 32];
            key[0] = low;
            assert!(PublicKey::from_bytes(key).is_err());
            key[31] = 0x7f;
            assert!(PublicKey::from_bytes(key).is_err());
        }
    }

    #[test]
    fn text_form_round_trips() {
        let account = AccountId::from_bytes([9; 32]).unwrap();
        assert_eq!(account.to_string().len(), 52);
        assert_eq!(account.to_string().parse::<AccountId>().unwrap(), account);
        assert_eq!(format!("{account:?}").len(), 8);
    }
}
