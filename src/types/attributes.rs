//! Named values with a visibility, bounded.

use std::collections::BTreeMap;

use super::error::Error;
use super::text::{check_name, is_displayable};
use super::value::Value;

/// Who sees an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(::serde::Serialize, ::serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Visibility {
    /// Everybody on the LAN: it is in the advert.
    #[default]
    Public,
    /// Members.
    Members,
    /// The host alone.
    Host,
}

/// A value and who sees it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Attribute {
    /// The value.
    pub value: Value,
    /// Who sees it.
    pub visibility: Visibility,
}

/// Named values: at most 64, names of 1 to 32 bytes that do not start with `@`, each value at most 1,024 bytes, lists of
/// at most 32 texts, no NaN.
///
/// Public attributes of a session travel in its advert, one datagram of 1,200 bytes, where they share at least 765 bytes
/// with the keywords; an update over that budget fails when it is made and says by how many bytes.
///
/// ```
/// use lansession::Attributes;
/// let mut attributes = Attributes::new();
/// attributes.set("map", "dust").unwrap();
/// assert_eq!(attributes.get("map").and_then(|v| v.as_str()), Some("dust"));
/// assert!(attributes.set("skill", f64::NAN).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attributes(BTreeMap<String, Attribute>);

impl Attributes {
    /// The most attributes.
    pub const MAX_COUNT: usize = 64;
    /// The longest name, in bytes.
    pub const MAX_NAME: usize = 32;
    /// The longest value, in bytes; of a list, all its texts together.
    pub const MAX_VALUE: usize = 1_024;
    /// The longest list.
    pub const MAX_LIST: usize = 32;

    /// No attributes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a public attribute.
    ///
    /// # Errors
    /// `InvalidArgument` naming the attribute and the bound it breaks.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) -> Result<(), Error> {
        self.set_with(name, value, Visibility::Public)
    }

    /// Sets an attribute with its visibility.
    ///
    /// # Errors
    /// `InvalidArgument` naming the attribute and the bound it breaks.
    pub fn set_with(
        &mut self,
        name: impl Into<String>,
        value: impl Into<Value>,
        visibility: Visibility,
    ) -> Result<(), Error> {
        self.insert(name.into(), Attribute { value: value.into(), visibility })
    }

    pub(crate) fn insert(&mut self, name: String, attribute: Attribute) -> Result<(), Error> {
        check_attribute_name(&name)?;
        check_value(&name, &attribute.value)?;
        if self.0.len() >= Self::MAX_COUNT && !self.0.contains_key(&name) {
            return Err(Error::invalid(format!("attribute {name:?} would be the 65th, at most 64 fit")));
        }
        self.0.insert(name, attribute);
        Ok(())
    }

    /// Removes an attribute; its former value.
    pub fn remove(&mut self, name: &str) -> Option<Attribute> {
        self.0.remove(name)
    }

    /// The value of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).map(|attribute| &attribute.value)
    }

    /// The value of that name with its visibility.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.0.get(name)
    }

    /// Names and attributes, in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Attribute)> {
        self.0.iter().map(|(name, attribute)| (name.as_str(), attribute))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that a viewer of this standing sees: `Members` sees public and members'.
    #[must_use]
    pub(crate) fn visible_to(&self, viewer: Visibility) -> Self {
        Self(self.0.iter().filter(|(_, a)| a.visibility <= viewer).map(|(n, a)| (n.clone(), a.clone())).collect())
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.0.len() > Self::MAX_COUNT {
            return Err(Error::invalid(format!("{} attributes, at most 64 fit", self.0.len())));
        }
        self.0.iter().try_for_each(|(name, attribute)| {
            check_attribute_name(name)?;
            check_value(name, &attribute.value)
        })
    }
}

pub(crate) fn check_attribute_name(name: &str) -> Result<(), Error> {
    check_name("an attribute's name", name, Attributes::MAX_NAME)?;
    if name.starts_with('@') {
        return Err(Error::invalid(format!("attribute name {name:?}: names with @ are the built-in fields")));
    }
    Ok(())
}

fn check_value(name: &str, value: &Value) -> Result<(), Error> {
    let size = match value {
        Value::Float(float) if float.is_nan() => {
            return Err(Error::invalid(format!("attribute {name:?} is NaN, which equals nothing and has no order")));
        }
        Value::List(list) if list.len() > Attributes::MAX_LIST => {
            return Err(Error::invalid(format!("attribute {name:?} lists {} texts, at most 32 fit", list.len())));
        }
        Value::String(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(list) => list.iter().map(String::len).sum(),
        _ => 0,
    };
    if size > Attributes::MAX_VALUE {
        let over = size - Attributes::MAX_VALUE;
        return Err(Error::invalid(format!("attribute {name:?} is {over} bytes over the 1024 of a value")));
    }
    let shown = match value {
        Value::String(text) => is_displayable(text),
        Value::List(list) => list.iter().all(|text| is_displayable(text)),
        _ => true,
    };
    if shown {
        Ok(())
    } else {
        Err(Error::invalid(format!("attribute {name:?} has a control or text-direction character")))
    }
}
