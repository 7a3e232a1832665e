//! From attributes to the fields of a struct or map.

use ::serde::de::value::{BytesDeserializer, SeqDeserializer, StrDeserializer};
use ::serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use ::serde::forward_to_deserialize_any;

use super::Wrong;
use crate::types::attributes::Attributes;
use crate::types::error::Result;
use crate::types::value::Value;

/// All attributes as the fields of one struct.
pub(super) struct FromFields<'a>(pub(super) &'a Attributes);

impl<'de> Deserializer<'de> for FromFields<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        let fields = self.0.iter().map(|(name, attribute)| (name, &attribute.value)).collect::<Vec<_>>();
        visitor.visit_map(EachField { fields: fields.into_iter(), value: None })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit seq tuple tuple_struct
        map struct enum identifier ignored_any
    }
}

struct EachField<'a> {
    fields: std::vec::IntoIter<(&'a str, &'a Value)>,
    value: Option<(&'a str, &'a Value)>,
}

impl<'de> MapAccess<'de> for EachField<'_> {
    type Error = Wrong;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Wrong> {
        self.value = self.fields.next();
        self.value.map(|(name, _)| seed.deserialize(StrDeserializer::<Wrong>::new(name))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Wrong> {
        let (name, value) = self.value.take().ok_or_else(|| Wrong::new("a value was asked for before its name"))?;
        seed.deserialize(FromValue(value)).map_err(|wrong| wrong.at(name))
    }
}

struct FromValue<'a>(&'a Value);

impl<'de> Deserializer<'de> for FromValue<'_> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0 {
            Value::String(text) => visitor.visit_str(text),
            Value::Int(int) => visitor.visit_i64(*int),
            Value::Float(float) => visitor.visit_f64(*float),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Bytes(bytes) => visitor.visit_bytes(bytes),
            Value::List(list) => visitor.visit_seq(SeqDeserializer::new(list.iter().map(String::as_str))),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0 {
            Value::Bytes(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.iter().copied())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0 {
            // A struct cannot tell an empty list of texts from no bytes.
            Value::List(list) if list.is_empty() => visitor.visit_bytes(&[]),
            Value::Bytes(bytes) => BytesDeserializer::<Wrong>::new(bytes).deserialize_any(visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match self.0 {
            Value::String(variant) => {
                let variant: StrDeserializer<'_, Wrong> = variant.as_str().into_deserializer();
                variant.deserialize_enum(name, variants, visitor)
            }
            other => {
                Err(Wrong::new(format!("a text is wanted that names a variant, this is of type {}", other.type_name())))
            }
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string unit unit_struct map struct identifier
        ignored_any
    }
}
