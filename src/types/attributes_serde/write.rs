//! From a flat struct or map to names and values.

use ::serde::ser::{self, Impossible, Serialize, Serializer};

use super::Wrong;
use crate::types::error::Result;
use crate::types::value::Value;

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
pub(super) struct ToFields;

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
pub(super) struct Collect {
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
