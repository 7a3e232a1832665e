//! Ids: fixed bytes, a text form in Crockford's base 32, eight letters in `Debug`.

use std::fmt;
use std::str::FromStr;

use super::error::{Error, ErrorKind};
use super::key::HostKey;

/// Crockford's base 32: no I, L, O, U; those and lower case are read as what they look like.
pub(crate) mod base32 {
    use super::{Error, ErrorKind};

    pub(crate) const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    pub(crate) fn encode(bytes: &[u8]) -> String {
        let mut text = String::with_capacity((bytes.len() * 8).div_ceil(5));
        let (mut bits, mut count) = (0_u32, 0);
        for &byte in bytes {
            bits = (bits << 8) | u32::from(byte);
            count += 8;
            while count >= 5 {
                count -= 5;
                text.push(letter(bits >> count));
            }
        }
        if count > 0 {
            text.push(letter(bits << (5 - count)));
        }
        text
    }

    fn letter(bits: u32) -> char {
        char::from(ALPHABET[(bits & 31) as usize])
    }

    pub(crate) fn value(letter: char) -> Option<u8> {
        let upper = match letter.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        ALPHABET.iter().position(|&a| char::from(a) == upper).and_then(|i| u8::try_from(i).ok())
    }

    pub(crate) fn decode<const N: usize>(text: &str) -> Result<[u8; N], Error> {
        let expected = (N * 8).div_ceil(5);
        let bad = |why: String| Error::new(ErrorKind::InvalidArgument, why);
        if text.chars().count() != expected {
            return Err(bad(format!(
                "an id of {N} bytes has {expected} letters, this text has {}",
                text.chars().count()
            )));
        }
        let mut out = [0; N];
        let (mut bits, mut count, mut at) = (0_u32, 0, 0);
        for (column, letter) in text.chars().enumerate() {
            let five =
                value(letter).ok_or_else(|| bad(format!("{letter:?} at letter {} is not base 32", column + 1)))?;
            bits = (bits << 5) | u32::from(five);
            count += 5;
            if count >= 8 {
                count -= 8;
                if let Some(slot) = out.get_mut(at) {
                    *slot = (bits >> count) as u8;
                }
                at += 1;
            }
        }
        if bits & ((1 << count) - 1) != 0 {
            return Err(bad("the last letter of the id has bits that no id has".into()));
        }
        Ok(out)
    }
}

macro_rules! id16 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Takes the id's 16 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The id's 16 bytes.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; 16] {
                self.0
            }

            pub(crate) fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        /// 26 letters of Crockford's base 32.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&base32::encode(&self.0))
            }
        }

        /// The first 8 letters.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&base32::encode(&self.0)[..8])
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                base32::decode(text).map(Self)
            }
        }
    };
}

id16! {
    /// A session's id: 16 bytes. By default derived from the founder's key, so nobody can squat it; see
    /// [`SessionId::from_name`] for ids of one's own.
    SessionId
}

id16! {
    /// An invite's id: 16 bytes, drawn by the host.
    InviteId
}

id16! {
    /// A reservation's id: 16 bytes, drawn by the host, or derived from the join that made it.
    ReservationId
}

impl SessionId {
    /// An id from a name of one's own, for services whose ids are strings: SHA-256 of the name, cut to 16 bytes.
    /// It is unique only together with the founder's key, because anybody may use the same name.
    ///
    /// ```
    /// use lansession::SessionId;
    /// assert_eq!(SessionId::from_name("arena-7"), SessionId::from_name("arena-7"));
    /// assert_ne!(SessionId::from_name("arena-7"), SessionId::from_name("arena-8"));
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(b"lansession named session id\0\0\0\0\0");
        context.update(name.as_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&context.finish().as_ref()[..16]);
        Self(id)
    }
}

/// What names one session in every list: its id and the key that founded it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize))]
pub struct SessionKey {
    /// The session's id.
    pub id: SessionId,
    /// The key of the host that founded it; it never changes.
    pub founder: HostKey,
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}@{:?}", self.id, self.founder)
    }
}

/// A browser of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrowserId(pub(crate) u64);

/// Six letters that one can shout across the room, `K7Q-F2M`: 30 bits of the session's id and founder key.
///
/// ```
/// use lansession::RoomCode;
/// let code: RoomCode = "k7q-f2m".parse().unwrap();
/// assert_eq!(code.to_string(), "K7Q-F2M");
/// assert!("K7Q".parse::<RoomCode>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomCode(u32);

impl RoomCode {
    /// The code of a session: the first 30 bits of SHA-256 over its context, id and founder key.
    #[must_use]
    pub fn of(session: SessionKey) -> Self {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(b"lansession room code\0\0\0\0\0\0\0\0\0\0\0\0");
        context.update(session.id.as_bytes());
        context.update(session.founder.as_bytes());
        let digest = context.finish();
        let mut first = [0; 4];
        first.copy_from_slice(&digest.as_ref()[..4]);
        Self(u32::from_be_bytes(first) >> 2)
    }

    pub(crate) fn from_bits(bits: u32) -> Option<Self> {
        (bits < 1 << 30).then_some(Self(bits))
    }

    pub(crate) fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for RoomCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in (0..6).rev() {
            let five = (self.0 >> (place * 5)) & 31;
            write!(f, "{}", char::from(base32::ALPHABET[five as usize]))?;
            if place == 3 {
                f.write_str("-")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RoomCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for RoomCode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut bits = 0_u32;
        let mut letters = 0;
        for letter in text.chars().filter(|c| !matches!(c, '-' | ' ')) {
            let five = base32::value(letter).ok_or_else(|| {
                Error::new(ErrorKind::InvalidArgument, format!("{letter:?} is not a letter of a room code"))
            })?;
            letters += 1;
            bits = (bits & 0x01ff_ffff) << 5 | u32::from(five);
        }
        if letters != 6 {
            let why = format!("a room code has 6 letters, like K7Q-F2M; this one has {letters}");
            return Err(Error::new(ErrorKind::InvalidArgument, why));
        }
        Ok(Self(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_through_text_and_name_what_is_wrong() {
        let id = SessionId::from_bytes(*b"0123456789abcdef");
        assert_eq!(id.to_string().len(), 26);
        assert_eq!(id.to_string().to_lowercase().parse::<SessionId>().unwrap(), id);
        assert!("ABC".parse::<SessionId>().unwrap_err().to_string().contains("26 letters"));
        let bad = id.to_string().replace('0', "U");
        assert!(bad.parse::<SessionId>().unwrap_err().to_string().contains("'U'"));
        assert!("ZZZZZZZZZZZZZZZZZZZZZZZZZZ".parse::<SessionId>().is_err());
    }

    #[test]
    fn a_room_code_belongs_to_id_and_founder() {
        let founder = HostKey::from_bytes([9; 32]).unwrap();
        let key = SessionKey { id: SessionId::from_name("a"), founder };
        let code = RoomCode::of(key);
        assert_eq!(code.to_string().parse::<RoomCode>().unwrap(), code);
        assert_ne!(RoomCode::of(SessionKey { id: SessionId::from_name("b"), founder }), code);
    }
}
