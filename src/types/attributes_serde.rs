//! A game's own flat struct as attributes, and back (feature `serde`).
//!
//! Fields become attributes: texts, characters and unit enums a text, integers an int, floats a float, flags a flag,
//! byte strings and lists of `u8` bytes, lists of texts a list. `None` is no attribute. What nests deeper is an error
//! that names its path, as are integers beyond 64 bits with a sign, and NaN.

use std::fmt;

use ::serde::de::value::{BytesDeserializer, SeqDeserializer, StrDeserializer};
use ::serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use ::serde::forward_to_deserialize_any;
use ::serde::ser::{self, Impossible, Serialize, Serializer};

use super::attributes::Attributes;
use super::error::{Error, Result};
use super::value::Value;

impl Attributes {
    /// The fields of a flat struct, or of a map with text keys, as public attributes.
    ///
    /// # Errors
    /// `InvalidArgument` naming the path of the first field that is no value, or the bound it breaks.
    ///
    /// ```
    /// use lansession::Attributes;
    /// #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    /// struct Match { map: String, rounds: u8, mode: Mode, cup: Option<String> }
    /// #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
    /// enum Mode { Flags, Deathmatch }
    ///
    /// let arena = Match { map: "dust".into(), rounds: 5, mode: Mode::Flags, cup: None };
    /// let attributes = Attributes::from_serde(&arena).unwrap();
    /// assert_eq!(attributes.len(), 3);
    /// assert_eq!(attributes.get("mode").and_then(|mode| mode.as_str()), Some("Flags"));
    /// assert_eq!(attributes.to::<Match>().unwrap(), arena);
    /// ```
    pub fn from_serde<T: Serialize + ?Sized>(fields: &T) -> Result<Self> {
        let mut attributes = Self::new();
        for (name, value) in fields.serialize(ToFields).map_err(Wrong::into_error)? {
            if attributes.get(&name).is_some() {
                return Err(Error::invalid(format!("two fields are named {name:?}")));
            }
            attributes.set(name, value)?;
        }
        Ok(attributes)
    }

    /// A struct whose fields are the attributes of their names; attributes that it does not know are left out.
    ///
    /// # Errors
    /// `InvalidArgument` naming the attribute that is missing, or of another type than the field's.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T> {
        T::deserialize(FromFields(self)).map_err(Wrong::into_error)
    }
}

/// What is wrong, and at which path.
#[derive(Debug)]
struct Wrong {
    path: String,
    message: String,
}

impl Wrong {
    fn new(message: impl fmt::Display) -> Self {
        Self { path: String::new(), message: message.to_string() }
    }

    fn nested(what: &str) -> Self {
        Self::new(format!("{what} is none of text, integer, float, flag, bytes and list of texts"))
    }

    /// In this field, or at this place of a list.
    fn at(mut self, step: &str) -> Self {
        self.path.insert_str(0, step);
        self
    }

    fn into_error(self) -> Error {
        Error::invalid(if self.path.is_empty() { self.message } else { format!("{}: {}", self.path, self.message) })
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Wrong {}

impl ser::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message)
    }
}

impl de::Error for Wrong {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message)
    }
}

type Fields = Vec<(String, Value)>;
type No<T> = Impossible<T, Wrong>;

/// Refuses these kinds with one message each.
macro_rules! refuse {
    ($ok:ty, $with:expr; $($name:ident($($type:ty),*) = $what:literal;)*) => {
        $(fn $name(self $(, _: $type)*) -> Result<$ok, Wrong> {
            Err($with($what))
        })*
    };
}

/// The whole: a struct or a map.
struct ToFields;

fn no_struct(what: &str) -> Wrong {
    Wrong::new(format!("{what} has no named fields: a struct or a map with text keys is wanted"))
}

impl Serializer for ToFields {
    type Ok = Fields;
    type Error = Wrong;
    type SerializeSeq = No<Fields>;
    type SerializeTuple = No<Fields>;
    type SerializeTupleStruct = No<Fields>;
    type SerializeTupleVariant = No<Fields>;
    type SerializeMap = Collect;
    type SerializeStruct = Collect;
    type SerializeStructVariant = No<Fields>;

    refuse! { Fields, no_struct;
        serialize_bool(bool) = "a flag";
        serialize_i8(i8) = "an integer";
        serialize_i16(i16) = "an integer";
        serialize_i32(i32) = "an integer";
        serialize_i64(i64) = "an integer";
        serialize_u8(u8) = "an integer";
        serialize_u16(u16) = "an integer";
        serialize_u32(u32) = "an integer";
        serialize_u64(u64) = "an integer";
        serialize_f32(f32) = "a float";
        serialize_f64(f64) = "a float";
        serialize_char(char) = "a character";
        serialize_str(&str) = "a text";
        serialize_bytes(&[u8]) = "a byte string";
        serialize_none() = "nothing";
        serialize_unit() = "a unit";
        serialize_unit_variant(&'static str, u32, &'static str) = "an enum";
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Fields, Wrong> {
        Ok(Fields::new())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Fields, Wrong> {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Fields, Wrong> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Fields, Wrong> {
        Err(no_struct("an enum"))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<No<Fields>, Wrong> {
        Err(no_struct("a list"))
    }

    fn serialize_tuple(self, _: usize) -> Result<No<Fields>, Wrong> {
        Err(no_struct("a tuple"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<No<Fields>, Wrong> {
        Err(no_struct("a tuple"))
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<No<Fields>, Wrong> {
        Err(no_struct("an enum"))
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<No<Fields>, Wrong> {
        Err(no_struct("an enum"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Collect, Wrong> {
        Ok(Collect::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Collect, Wrong> {
        Ok(Collect::default())
    }
}

#[derive(Default)]
struct Collect {
    fields: Fields,
    key: Option<String>,
}

impl Collect {
    fn field<T: Serialize + ?Sized>(&mut self, name: String, value: &T) -> Result<(), Wrong> {
        if let Some(value) = value.serialize(ToValue).map_err(|wrong| wrong.at(&name))? {
            self.fields.push((name, value));
        }
        Ok(())
    }
}

impl ser::SerializeStruct for Collect {
    type Ok = Fields;
    type Error = Wrong;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Wrong> {
        self.field(name.to_owned(), value)
    }

    fn end(self) -> Result<Fields, Wrong> {
        Ok(self.fields)
    }
}

impl ser::SerializeMap for Collect {
    type Ok = Fields;
    type Error = Wrong;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Wrong> {
        match key.serialize(ToValue)? {
            Some(Value::String(name)) => self.key = Some(name),
            _ => return Err(Wrong::new("a map's key is no text")),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Wrong> {
        let name = self.key.take().ok_or_else(|| Wrong::new("a map's value has no key"))?;
        self.field(name, value)
    }

    fn end(self) -> Result<Fields, Wrong> {
        Ok(self.fields)
    }
}

/// One field: a value, or `None` where it is absent.
struct ToValue;

type Field = Option<Value>;

macro_rules! plain {
    ($($name:ident: $type:ty),*) => {
        $(fn $name(self, value: $type) -> Result<Field, Wrong> {
            Ok(Some(value.into()))
        })*
    };
}

impl Serializer for ToValue {
    type Ok = Field;
    type Error = Wrong;
    type SerializeSeq = ToList;
    type SerializeTuple = ToList;
    type SerializeTupleStruct = ToList;
    type SerializeTupleVariant = No<Field>;
    type SerializeMap = No<Field>;
    type SerializeStruct = No<Field>;
    type SerializeStructVariant = No<Field>;

    plain! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_f32: f32, serialize_f64: f64,
        serialize_str: &str, serialize_bytes: &[u8]
    }

    refuse! { Field, Wrong::nested;
        serialize_unit() = "a unit";
        serialize_unit_struct(&'static str) = "a unit";
    }

    fn serialize_u64(self, value: u64) -> Result<Field, Wrong> {
        i64::try_from(value)
            .map(|int| Some(int.into()))
            .map_err(|_| Wrong::new(format!("{value} does not fit a 64-bit integer with a sign")))
    }

    fn serialize_char(self, value: char) -> Result<Field, Wrong> {
        Ok(Some(value.to_string().into()))
    }

    fn serialize_none(self) -> Result<Field, Wrong> {
        Ok(None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Field, Wrong> {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Field, Wrong> {
        Ok(Some(variant.into()))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Field, Wrong> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Field, Wrong> {
        Err(Wrong::nested("an enum with content"))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<ToList, Wrong> {
        Ok(ToList::default())
    }

    fn serialize_tuple(self, _: usize) -> Result<ToList, Wrong> {
        Ok(ToList::default())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<ToList, Wrong> {
        Ok(ToList::default())
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<No<Field>, Wrong> {
        Err(Wrong::nested("an enum with content"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<No<Field>, Wrong> {
        Err(Wrong::nested("a map"))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<No<Field>, Wrong> {
        Err(Wrong::nested("a struct"))
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<No<Field>, Wrong> {
        Err(Wrong::nested("an enum with content"))
    }
}

/// Texts, or bytes: serde hands out a `Vec<u8>` as a list of integers.
#[derive(Default)]
struct ToList {
    texts: Vec<String>,
    bytes: Vec<u8>,
}

impl ToList {
    fn push<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Wrong> {
        let index = self.texts.len() + self.bytes.len();
        let at = |wrong: Wrong| wrong.at(&format!("[{index}]"));
        match item.serialize(ToValue).map_err(at)? {
            Some(Value::String(text)) if self.bytes.is_empty() => self.texts.push(text),
            Some(Value::Int(int)) if self.texts.is_empty() => {
                let byte =
                    u8::try_from(int).map_err(|_| at(Wrong::new("a list holds texts or bytes, not integers")))?;
                self.bytes.push(byte);
            }
            _ => return Err(at(Wrong::new("a list holds texts or bytes"))),
        }
        Ok(())
    }

    fn value(self) -> Field {
        Some(if self.bytes.is_empty() { Value::List(self.texts) } else { Value::Bytes(self.bytes) })
    }
}

macro_rules! list {
    ($($trait:ident: $push:ident),*) => {
        $(impl ser::$trait for ToList {
            type Ok = Field;
            type Error = Wrong;

            fn $push<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Wrong> {
                self.push(item)
            }

            fn end(self) -> Result<Field, Wrong> {
                Ok(self.value())
            }
        })*
    };
}

list! { SerializeSeq: serialize_element, SerializeTuple: serialize_element, SerializeTupleStruct: serialize_field }

/// All attributes as the fields of one struct.
struct FromFields<'a>(&'a Attributes);

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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ::serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Mode {
        Flags,
        #[serde(rename = "ffa")]
        FreeForAll,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Rounds(u16);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Match {
        map: String,
        skill: i64,
        small: u8,
        unsigned: u64,
        ratio: f64,
        third: f32,
        ranked: bool,
        grade: char,
        hash: Vec<u8>,
        key: [u8; 3],
        mods: Vec<String>,
        none: Vec<String>,
        no_bytes: Vec<u8>,
        mode: Mode,
        second: Option<Mode>,
        cup: Option<String>,
        rounds: Rounds,
    }

    fn arena() -> Match {
        Match {
            map: "dust".into(),
            skill: i64::MIN,
            small: 255,
            unsigned: 7,
            ratio: 1.5,
            third: 0.25,
            ranked: true,
            grade: 'ü',
            hash: vec![0xc0, 0xde],
            key: [1, 2, 3],
            mods: vec!["a".into(), "b".into()],
            none: Vec::new(),
            no_bytes: Vec::new(),
            mode: Mode::FreeForAll,
            second: Some(Mode::Flags),
            cup: None,
            rounds: Rounds(9),
        }
    }

    #[test]
    fn a_flat_struct_goes_there_and_back() {
        let attributes = Attributes::from_serde(&arena()).unwrap();
        assert_eq!(attributes.get("hash"), Some(&Value::Bytes(vec![0xc0, 0xde])));
        assert_eq!(attributes.get("mode"), Some(&"ffa".into()));
        assert_eq!(attributes.get("rounds"), Some(&9.into()));
        assert_eq!(attributes.get("cup"), None);
        assert_eq!(attributes.to::<Match>().unwrap(), arena());
    }

    #[test]
    fn other_attributes_are_left_out_and_integers_serve_as_floats() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Part {
            ratio: f64,
            note: Option<String>,
        }
        let mut attributes = Attributes::new();
        attributes.set("ratio", 2).unwrap();
        attributes.set("other", vec!["x"]).unwrap();
        assert_eq!(attributes.to::<Part>().unwrap(), Part { ratio: 2.0, note: None });
        let all: BTreeMap<String, serde_json::Value> = attributes.to().unwrap();
        assert_eq!(all["other"], serde_json::json!(["x"]));
        assert_eq!(Attributes::from_serde(&all).unwrap().get("other"), Some(&vec!["x"].into()));
    }

    #[track_caller]
    fn refused<T: Serialize + ?Sized>(fields: &T, says: &str) {
        let error = Attributes::from_serde(fields).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }

    #[test]
    fn what_is_no_value_is_refused_with_its_path() {
        use serde_json::json;
        refused(&json!({"a": 1, "team": {"name": "red"}}), "team: a map is none of text");
        refused(&json!({"tags": ["a", ["b"]]}), "tags[1]: a list holds texts or bytes");
        refused(&json!({"tags": [{"a": 1}]}), "tags[0]: a map is none");
        refused(&json!({"tags": ["a", 1]}), "tags[1]: a list holds texts or bytes");
        refused(&json!({"tags": [256]}), "tags[0]: a list holds texts or bytes, not integers");
        refused(&json!({"n": u64::MAX}), "n: 18446744073709551615 does not fit");
        refused(&json!([1]), "a list has no named fields");
        refused("text", "a text has no named fields");
        refused(&BTreeMap::from([("unit", ())]), "unit: a unit is none");
        refused(&BTreeMap::from([("skill", f64::NAN)]), "\"skill\" is NaN");
        refused(&BTreeMap::from([("@name", 1)]), "built-in");
        refused(&BTreeMap::from([(7, 1)]), "key is no text");
        refused(&BTreeMap::from([("r", Ok::<u8, u8>(1))]), "r: an enum with content");
    }

    #[test]
    fn what_does_not_fit_the_struct_is_named() {
        #[derive(Debug, Deserialize)]
        #[allow(dead_code)]
        struct Small {
            rounds: u8,
            mode: Mode,
        }
        let with = |rounds: Value, mode: Value| {
            let mut attributes = Attributes::new();
            attributes.set("rounds", rounds).unwrap();
            attributes.set("mode", mode).unwrap();
            attributes.to::<Small>().map(|_| String::new()).unwrap_or_else(|error| error.to_string())
        };
        assert_eq!(with(1.into(), "ffa".into()), "");
        assert!(with(300.into(), "ffa".into()).starts_with("rounds: invalid value: integer `300`"));
        assert!(with(1.5.into(), "ffa".into()).starts_with("rounds: invalid type: floating point"));
        assert!(with(1.into(), "duel".into()).starts_with("mode: unknown variant `duel`"));
        assert!(with(1.into(), 2.into()).starts_with("mode: a text is wanted"));
        assert!(Attributes::new().to::<Small>().unwrap_err().to_string().contains("missing field `rounds`"));
    }
}
