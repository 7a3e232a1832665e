//! A game's own flat struct as attributes, and back (feature `serde`).
//!
//! Fields become attributes: texts, characters and unit enums a text, integers an int, floats a float, flags a flag,
//! byte strings and lists of `u8` bytes, lists of texts a list. `None` is no attribute. What nests deeper is an error
//! that names its path, as are integers beyond 64 bits with a sign, and NaN.

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;

use ::serde::de::{self, DeserializeOwned};
use ::serde::ser::{self, Serialize};

use super::attributes::Attributes;
use super::error::{Error, Result};
use read::FromFields;
use write::ToFields;

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
