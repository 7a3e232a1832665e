//! `Serialize` and `Deserialize` of the public types (feature `serde`).
//!
//! Ids, keys, room codes, filters and order keys are texts, as they print; enums are their names in snake case; a list
//! of order keys is one text with commas. Whatever a constructor or `check` refuses is refused here too. Settings,
//! updates and queries refuse fields that they do not know, so that a slip of the pen in a config file is told; facts and
//! snapshots ignore them. How values are written is told in [`value`].
//!
//! Optional fields are written as null and never left out, so that formats without field names work too.

mod forms;
mod value;

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use ::serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use ::serde::ser::{Serialize, Serializer};

use super::attributes::{Attribute, Attributes};
use super::error::Error;
use super::facts::PublicFacts;
use super::filter::{Field, Filter, check_field};
use super::found::{Found, FoundAddress, Sources};
use super::id::{InviteId, ReservationId, RoomCode, SessionId, base32};
use super::identity::External;
use super::key::{AccountId, HostKey, PublicKey};
use super::order::OrderBy;
use super::reason::Reason;
use super::settings::SessionSettings;
use super::text::{check_name, check_text};
pub(super) use forms::UpdateForm;

/// Reads a text and makes a `T` of it.
struct Text<T, E>(fn(&str) -> Result<T, E>, &'static str);

impl<T, E: fmt::Display> Visitor<'_> for Text<T, E> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_str<X: de::Error>(self, text: &str) -> Result<T, X> {
        (self.0)(text).map_err(X::custom)
    }
}

macro_rules! as_text {
    ($($type:ty: $what:literal),* $(,)?) => {
        $(impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text(<$type>::from_str, $what))
            }
        })*
    };
}

as_text! {
    SessionId: "a session id as text",
    InviteId: "an invite id as text",
    ReservationId: "a reservation id as text",
    AccountId: "an account id as text",
    HostKey: "a host key as text",
    RoomCode: "a room code",
    Filter: "a filter as text",
    OrderBy: "an order key as text",
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&base32::encode(self.as_bytes()))
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |text: &str| base32::decode(text).and_then(Self::from_bytes);
        deserializer.deserialize_str(Text(read, "a public key as text"))
    }
}

/// The plain name, without backticks.
impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |text: &str| {
            let field = Field::from(text);
            check_field(&field).map(|()| field)
        };
        deserializer.deserialize_str(Text(read, "a field's name"))
    }
}

/// A session's or a member's name.
pub(super) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let read = |text: &str| check_name("the name", text, SessionSettings::MAX_NAME).map(|()| text.to_owned());
    deserializer.deserialize_str(Text(read, "a name"))
}

pub(super) fn schema<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let read =
        |text: &str| check_text("the schema's name", text, SessionSettings::MAX_SCHEMA).map(|()| text.to_owned());
    deserializer.deserialize_str(Text(read, "a schema's name"))
}

pub(super) fn keywords<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let words = Vec::<String>::deserialize(deserializer)?;
    let settings = words.into_iter().fold(SessionSettings::new("x"), SessionSettings::keyword);
    settings.check().map_err(de::Error::custom)?;
    Ok(settings.keywords)
}

/// Pairs of a name and something as a map, in their order.
struct Pairs<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Pairs<V> {
    type Value = Vec<(String, V)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map with names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            // More than any map here may hold; the exact bound is checked by the type.
            if pairs.len() == 2 * Attributes::MAX_COUNT {
                return Err(de::Error::custom("too many names"));
            }
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

/// Named ports as a map.
pub(super) mod ports {
    use super::*;

    pub(in crate::types) fn serialize<S: Serializer>(
        ports: &[(String, u16)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(ports.iter().map(|(name, port)| (name, port)))
    }

    pub(in crate::types) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, u16)>, D::Error> {
        let ports = deserializer.deserialize_map(Pairs(PhantomData))?;
        let settings = SessionSettings { ports, ..SessionSettings::new("x") };
        settings.check().map_err(de::Error::custom)?;
        Ok(settings.ports)
    }
}

/// Attributes to set as a map.
pub(super) mod set {
    use super::*;

    pub(in crate::types) fn serialize<S: Serializer>(
        set: &[(String, Attribute)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(set.iter().map(|(name, attribute)| (name, attribute)))
    }

    pub(in crate::types) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, Attribute)>, D::Error> {
        deserializer.deserialize_map(Pairs(PhantomData))
    }
}

/// Named ports that may be absent, as a map.
pub(super) mod some_ports {
    use super::*;

    #[derive(::serde::Serialize, ::serde::Deserialize)]
    struct Ports(#[serde(with = "ports")] Vec<(String, u16)>);

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(in crate::types) fn serialize<S: Serializer>(
        ports: &Option<Vec<(String, u16)>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        ports.clone().map(Ports).serialize(serializer)
    }

    pub(in crate::types) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<(String, u16)>>, D::Error> {
        Ok(Option::<Ports>::deserialize(deserializer)?.map(|ports| ports.0))
    }
}

/// Bytes as hex text in formats that people read.
pub(super) mod hex {
    use super::*;

    pub(in crate::types) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&encode(bytes))
        } else {
            serializer.serialize_bytes(bytes)
        }
    }

    pub(in crate::types) fn deserialize<'de, D: Deserializer<'de>, B: TryFrom<Vec<u8>>>(
        deserializer: D,
    ) -> Result<B, D::Error> {
        let bytes = if deserializer.is_human_readable() {
            deserializer.deserialize_str(Text(decode, "bytes as hex text"))?
        } else {
            deserializer.deserialize_byte_buf(Bytes)?
        };
        B::try_from(bytes).map_err(|_| de::Error::custom("another number of bytes was expected"))
    }

    pub(super) fn encode(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn decode(text: &str) -> Result<Vec<u8>, Error> {
        let wrong = || Error::invalid("bytes are written in pairs of hex digits");
        let digit = |c: char| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or_else(wrong);
        let digits = text.chars().map(digit).collect::<Result<Vec<u8>, Error>>()?;
        digits.chunks(2).map(|pair| if let [high, low] = pair { Ok(high << 4 | low) } else { Err(wrong()) }).collect()
    }

    struct Bytes;

    impl<'de> Visitor<'de> for Bytes {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<u8>, A::Error> {
            let mut bytes = Vec::new();
            while let Some(byte) = seq.next_element()? {
                bytes.push(byte);
            }
            Ok(bytes)
        }
    }
}

#[derive(::serde::Deserialize)]
pub(super) struct ExternalForm {
    provider: String,
    #[serde(with = "hex")]
    id: Vec<u8>,
}

impl TryFrom<ExternalForm> for External {
    type Error = Error;

    fn try_from(form: ExternalForm) -> Result<Self, Error> {
        Self::new(form.provider, form.id)
    }
}

#[derive(::serde::Deserialize)]
pub(super) struct ReasonForm {
    #[serde(default)]
    code: u32,
    #[serde(default)]
    text: String,
}

impl TryFrom<ReasonForm> for Reason {
    type Error = Error;

    fn try_from(form: ReasonForm) -> Result<Self, Error> {
        let reason = Self::new(form.code, form.text);
        reason.check()?;
        Ok(reason)
    }
}

impl Serialize for Sources {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

#[derive(::serde::Serialize)]
struct FoundForm<'a> {
    id: SessionId,
    founder: HostKey,
    host_key: HostKey,
    code: RoomCode,
    #[serde(flatten)]
    facts: &'a PublicFacts,
    ping_ms: Option<f64>,
    addresses: &'a [FoundAddress],
    sources: Sources,
    confirmed: bool,
    silent: bool,
    /// The localisation key of the refusal to expect, `None` where one could join.
    not_joinable: Option<&'static str>,
}

/// Flat: its keys, then what its advert says, then what this finder knows. There is no way back: an entry is made by a
/// find alone.
impl Serialize for Found {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FoundForm {
            id: self.id(),
            founder: self.key().founder,
            host_key: self.host_key(),
            code: self.code(),
            facts: self.facts(),
            ping_ms: self.ping().map(|ping| ping.as_secs_f64() * 1_000.0),
            addresses: self.addresses(),
            sources: self.sources(),
            confirmed: self.is_confirmed(),
            silent: self.is_silent(),
            not_joinable: self.joinable().err().map(|refusal| refusal.id()),
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests;
