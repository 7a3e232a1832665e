//! What the attributes of one kind of session are: keys, types, sizes; the host's settings are held to it.

use super::attributes::{Attributes, check_attribute_name};
use super::error::Error;
use super::settings::SessionSettings;
use super::text::check_name;
use super::value::Value;

/// The type of an attribute's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueType {
    /// Text.
    String,
    /// A whole number of 64 bits.
    Int,
    /// A number with a fraction; whole ones serve as well.
    Float,
    /// True or false.
    Bool,
    /// Bytes.
    Bytes,
    /// Texts.
    List,
}

impl ValueType {
    fn takes(self, value: &Value) -> bool {
        matches!(
            (self, value),
            (Self::String, Value::String(_))
                | (Self::Int | Self::Float, Value::Int(_))
                | (Self::Float, Value::Float(_))
                | (Self::Bool, Value::Bool(_))
                | (Self::Bytes, Value::Bytes(_))
                | (Self::List, Value::List(_))
        )
    }

    fn name(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Int => "an integer",
            Self::Float => "a number",
            Self::Bool => "a bool",
            Self::Bytes => "bytes",
            Self::List => "a list",
        }
    }
}

/// The keys that sessions of one schema may have, each with its type and size. Settings made with one
/// ([`SessionSettings::declared`]) are held to it when the session is made and at each update; what is wrong is named.
///
/// It is the host's own guard: finders and members need not know it.
///
/// ```
/// use lansession::{Schema, SessionSettings, ValueType};
/// let duel = Schema::new("duel").required("map", ValueType::String).max_bytes(16).key("skill", ValueType::Int);
/// let room = |map: &str| SessionSettings::new("room").declared(duel.clone()).attr("map", map);
/// assert!(room("dust").attr("skill", 1200).check().is_ok());
/// let why = room("dust").attr("skil", 1200).check().unwrap_err().to_string();
/// assert!(why.contains("\"skil\"") && why.contains("map, skill"), "{why}");
/// assert!(room("a map with a very long name").check().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    name: String,
    keys: Vec<Key>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    name: String,
    of: ValueType,
    required: bool,
    max_bytes: Option<usize>,
}

impl Schema {
    /// A schema without keys, of this name (1 to 32 bytes).
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), keys: Vec::new() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A key that sessions may have; up to 64.
    #[must_use]
    pub fn key(self, name: impl Into<String>, of: ValueType) -> Self {
        self.with(name.into(), of, false)
    }

    /// A key that every session has.
    #[must_use]
    pub fn required(self, name: impl Into<String>, of: ValueType) -> Self {
        self.with(name.into(), of, true)
    }

    /// The most bytes of the value of the key that was declared last: of a text, of bytes, of all texts of a list.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        if let Some(key) = self.keys.last_mut() {
            key.max_bytes = Some(bytes);
        }
        self
    }

    fn with(mut self, name: String, of: ValueType, required: bool) -> Self {
        self.keys.push(Key { name, of, required, max_bytes: None });
        self
    }

    /// Whether these attributes are what the schema declares, whatever their visibility.
    ///
    /// # Errors
    /// `InvalidArgument` naming the key that is not declared, missing, too long or of another type; or what is wrong with
    /// the schema itself.
    pub fn check(&self, attributes: &Attributes) -> Result<(), Error> {
        check_name("the schema's name", &self.name, SessionSettings::MAX_SCHEMA)?;
        if self.keys.len() > Attributes::MAX_COUNT {
            return Err(Error::invalid(format!("schema {:?} has over {} keys", self.name, Attributes::MAX_COUNT)));
        }
        for (at, key) in self.keys.iter().enumerate() {
            check_attribute_name(&key.name)?;
            if self.keys.iter().take(at).any(|other| other.name == key.name) {
                return Err(Error::invalid(format!("schema {:?} declares {:?} twice", self.name, key.name)));
            }
            if key.required && attributes.get(&key.name).is_none() {
                return Err(Error::invalid(format!("schema {:?} requires {:?}", self.name, key.name)));
            }
        }
        attributes.iter().try_for_each(|(name, attribute)| self.check_one(name, &attribute.value))
    }

    fn check_one(&self, name: &str, value: &Value) -> Result<(), Error> {
        let schema = &self.name;
        let Some(key) = self.keys.iter().find(|key| key.name == name) else {
            let names: Vec<&str> = self.keys.iter().map(|key| key.name.as_str()).collect();
            let names = names.join(", ");
            return Err(Error::invalid(format!("{name:?} is not declared by schema {schema:?}, which has {names}")));
        };
        if !key.of.takes(value) {
            let (is, wants) = (value.type_name(), key.of.name());
            return Err(Error::invalid(format!("{name:?} is {is}, schema {schema:?} wants {wants}")));
        }
        let bytes = match value {
            Value::String(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::List(list) => list.iter().map(String::len).sum(),
            _ => 0,
        };
        match key.max_bytes {
            Some(most) if bytes > most => {
                Err(Error::invalid(format!("{name:?} has {bytes} bytes, schema {schema:?} takes {most}")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_names_what_does_not_fit_it() {
        let schema = Schema::new("duel")
            .required("map", ValueType::String)
            .max_bytes(4)
            .key("pace", ValueType::Float)
            .key("mods", ValueType::List)
            .max_bytes(3);
        let with = |pairs: &[(&str, Value)]| {
            let mut attributes = Attributes::new();
            pairs.iter().for_each(|(name, value)| attributes.set(*name, value.clone()).unwrap());
            schema.check(&attributes).map_err(|error| error.to_string())
        };
        let map = || ("map", Value::from("dust"));
        assert_eq!(with(&[map(), ("pace", 2.into()), ("mods", vec!["ab".to_owned(), "c".to_owned()].into())]), Ok(()));
        let why = |pairs: &[(&str, Value)]| with(pairs).unwrap_err();
        assert!(why(&[]).contains("requires \"map\""));
        assert!(why(&[map(), ("map2", 1.into())]).contains("which has map, pace, mods"));
        assert!(why(&[map(), ("pace", "fast".into())]).contains("wants a number"));
        assert!(why(&[("map", "dusty".into())]).contains("5 bytes"));
        assert!(why(&[map(), ("mods", vec!["abcd".to_owned()].into())]).contains("4 bytes"));
        let twice = Schema::new("x").key("a", ValueType::Int).key("a", ValueType::Int);
        assert!(twice.check(&Attributes::new()).unwrap_err().to_string().contains("twice"));
        assert!(Schema::new("").check(&Attributes::new()).is_err());
    }
}
