//! Values and attributes.
//!
//! In formats that people read (JSON, TOML, RON) a text, an integer, a float, a flag and a list of texts are themselves,
//! so a float keeps its point: `1.0` is a float and `1` an integer. Bytes are `{"bytes": "c0de"}`, infinities
//! `{"float": "inf"}` and `{"float": "-inf"}`. An attribute that is public is its value; another one is
//! `{"value": 7, "visibility": "members"}`. In other formats a value is an enum with its type's name, an attribute a
//! struct. All of it is without loss; NaN has no form.

use std::fmt;

use ::serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use ::serde::ser::{self, Serialize, SerializeStruct, Serializer};

use super::hex;
use crate::types::attributes::{Attribute, Attributes, Visibility};
use crate::types::value::Value;

#[derive(::serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TaggedRef<'a> {
    String(&'a str),
    Int(i64),
    Float(f64),
    Bool(bool),
    Bytes(&'a [u8]),
    List(&'a [String]),
}

#[derive(::serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Tagged {
    String(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    Bytes(Vec<u8>),
    List(Vec<String>),
}

impl<'a> From<&'a Value> for TaggedRef<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::String(text) => Self::String(text),
            Value::Int(int) => Self::Int(*int),
            Value::Float(float) => Self::Float(*float),
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Bytes(bytes) => Self::Bytes(bytes),
            Value::List(list) => Self::List(list),
        }
    }
}

impl From<Tagged> for Value {
    fn from(tagged: Tagged) -> Self {
        match tagged {
            Tagged::String(text) => Self::String(text),
            Tagged::Int(int) => Self::Int(int),
            Tagged::Float(float) => Self::Float(float),
            Tagged::Bool(flag) => Self::Bool(flag),
            Tagged::Bytes(bytes) => Self::Bytes(bytes),
            Tagged::List(list) => Self::List(list),
        }
    }
}

/// Plain in formats that people read, where bytes are `{"bytes": "c0de"}`; without loss.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if matches!(self, Self::Float(float) if float.is_nan()) {
            return Err(ser::Error::custom("NaN is no value"));
        }
        if !serializer.is_human_readable() {
            return TaggedRef::from(self).serialize(serializer);
        }
        match self {
            Self::String(text) => serializer.serialize_str(text),
            Self::Int(int) => serializer.serialize_i64(*int),
            Self::Float(float) if float.is_infinite() => {
                serializer.collect_map([("float", if *float > 0.0 { "inf" } else { "-inf" })])
            }
            Self::Float(float) => serializer.serialize_f64(*float),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Bytes(bytes) => serializer.collect_map([("bytes", hex::encode(bytes))]),
            Self::List(list) => list.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return no_nan(Tagged::deserialize(deserializer)?.into());
        }
        deserializer.deserialize_any(Plain { attribute: false }).map(|attribute| attribute.value)
    }
}

fn no_nan<E: de::Error>(value: Value) -> Result<Value, E> {
    match value {
        Value::Float(float) if float.is_nan() => Err(E::custom("NaN is no value")),
        value => Ok(value),
    }
}

/// A value; in formats that people read with its visibility around it where it is not public.
impl Serialize for Attribute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() && self.visibility == Visibility::Public {
            return self.value.serialize(serializer);
        }
        let mut form = serializer.serialize_struct("Attribute", 2)?;
        form.serialize_field("value", &self.value)?;
        form.serialize_field("visibility", &self.visibility)?;
        form.end()
    }
}

impl<'de> Deserialize<'de> for Attribute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(::serde::Deserialize)]
        struct Form {
            value: Value,
            visibility: Visibility,
        }
        if deserializer.is_human_readable() {
            return deserializer.deserialize_any(Plain { attribute: true });
        }
        let Form { value, visibility } = Form::deserialize(deserializer)?;
        Ok(Self { value, visibility })
    }
}

/// Reads the plain form of a value, or of an attribute.
struct Plain {
    attribute: bool,
}

fn public(value: impl Into<Value>) -> Attribute {
    Attribute { value: value.into(), visibility: Visibility::Public }
}

impl<'de> Visitor<'de> for Plain {
    type Value = Attribute;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, an integer, a float, a flag, a list of texts or {\"bytes\": hex}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Attribute, E> {
        Ok(public(text))
    }

    fn visit_i64<E: de::Error>(self, int: i64) -> Result<Attribute, E> {
        Ok(public(int))
    }

    fn visit_u64<E: de::Error>(self, int: u64) -> Result<Attribute, E> {
        let int =
            i64::try_from(int).map_err(|_| E::custom(format!("{int} does not fit a 64-bit integer with a sign")))?;
        Ok(public(int))
    }

    fn visit_f64<E: de::Error>(self, float: f64) -> Result<Attribute, E> {
        no_nan(float.into()).map(public)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Attribute, E> {
        Ok(public(flag))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Attribute, E> {
        Ok(public(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Attribute, A::Error> {
        let mut list = Vec::<String>::new();
        while let Some(text) = seq.next_element()? {
            if list.len() == Attributes::MAX_LIST {
                return Err(de::Error::custom("a list holds at most 32 texts"));
            }
            list.push(text);
        }
        Ok(public(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attribute, A::Error> {
        let (mut value, mut visibility) = (None, None);
        while let Some(key) = map.next_key::<String>()? {
            let read = match key.as_str() {
                "bytes" => Value::Bytes(hex::decode(&map.next_value::<String>()?).map_err(de::Error::custom)?),
                "float" => match map.next_value::<String>()?.as_str() {
                    "inf" => f64::INFINITY.into(),
                    "-inf" => f64::NEG_INFINITY.into(),
                    _ => return Err(de::Error::custom("a float in words is \"inf\" or \"-inf\"")),
                },
                "value" if self.attribute => map.next_value()?,
                "visibility" if self.attribute && visibility.is_none() => {
                    visibility = Some(map.next_value()?);
                    continue;
                }
                other => return Err(de::Error::unknown_field(other, &["bytes", "float", "value", "visibility"])),
            };
            if value.replace(read).is_some() {
                return Err(de::Error::custom("two values for one attribute"));
            }
        }
        let value = value.ok_or_else(|| de::Error::missing_field("value"))?;
        Ok(Attribute { value, visibility: visibility.unwrap_or_default() })
    }
}

/// A map of names to attributes.
impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Named;

        impl<'de> Visitor<'de> for Named {
            type Value = Attributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of names to attributes")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
                let mut attributes = Attributes::new();
                while let Some((name, attribute)) = map.next_entry::<String, Attribute>()? {
                    if attributes.get(&name).is_some() {
                        return Err(de::Error::custom(format!("two attributes are named {name:?}")));
                    }
                    attributes.insert(name, attribute).map_err(de::Error::custom)?;
                }
                Ok(attributes)
            }
        }

        deserializer.deserialize_map(Named)
    }
}
