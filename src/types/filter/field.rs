//! What a filter or an order names, and the comparisons that start from it.

use std::borrow::Cow;

use super::{Comparison, Filter, Node};
use crate::types::key::HostKey;
use crate::types::settings::{JoinPolicy, Phase};
use crate::types::value::Value;

/// A field that a filter or an order names: an attribute, or a built-in field that starts with `@`.
///
/// ```
/// use lansession::{Field, attr};
/// assert_eq!(attr("map").as_str(), "map");
/// assert_eq!(Field::PING_MS.lt(50).to_string(), "@ping_ms < 50");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field(pub(crate) Cow<'static, str>);

/// The attribute of this name.
///
/// ```
/// use lansession::attr;
/// assert_eq!(attr("mode").is_in(["ctf", "ffa"]).to_string(), r#"mode in ["ctf", "ffa"]"#);
/// ```
#[must_use]
pub fn attr(name: impl Into<Field>) -> Field {
    name.into()
}

macro_rules! built_in {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl Field {
            $($(#[$doc])* pub const $name: Self = Self(Cow::Borrowed($text));)*

            /// Every built-in field.
            pub(super) const BUILT_IN: &'static [&'static str] = &[$($text),*];
        }
    };
}

built_in! {
    /// `@open_slots`: public seats that are free, an integer.
    OPEN_SLOTS = "@open_slots";
    /// `@members`: seats taken, an integer.
    MEMBERS = "@members";
    /// `@max_members`: seats in all, an integer.
    MAX_MEMBERS = "@max_members";
    /// `@name`: the session's name, text.
    NAME = "@name";
    /// `@ping_ms`: the measured round trip in milliseconds, a float; missing until it is measured, unknown to the host.
    PING_MS = "@ping_ms";
    /// `@policy`: `"public"`, `"friends_only"` or `"invite_only"`.
    POLICY = "@policy";
    /// `@phase`: `"lobby"`, `"in_progress"` or `"ended"`.
    PHASE = "@phase";
    /// `@version`: the game's version, an integer.
    VERSION = "@version";
    /// `@password`: whether one is needed.
    PASSWORD = "@password";
    /// `@host`: the text of the key its host serves under.
    HOST = "@host";
    /// `@keyword`: each of the session's keywords, without regard to ASCII case.
    KEYWORD = "@keyword";
    /// `@closed`: whether it takes no new members.
    CLOSED = "@closed";
}

impl Field {
    /// Its name, with the `@` of a built-in field.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name starts with `@`.
    pub(crate) fn is_built_in(&self) -> bool {
        self.0.starts_with('@')
    }

    /// Is this value.
    #[doc(alias = "Equals")]
    pub fn eq(self, value: impl Into<Value>) -> Filter {
        self.test(Comparison::Eq(value.into()))
    }

    /// Is another value, of another type, or missing.
    #[doc(alias = "NotEquals")]
    pub fn ne(self, value: impl Into<Value>) -> Filter {
        self.test(Comparison::Ne(value.into()))
    }

    /// Is less.
    #[doc(alias = "LessThan")]
    pub fn lt(self, value: impl Into<Value>) -> Filter {
        self.test(Comparison::Lt(value.into()))
    }

    /// Is less or equal.
    #[doc(alias = "LessThanEquals")]
    pub fn le(self, value: impl Into<Value>) -> Filter {
        self.test(Comparison::Le(value.into()))
    }

    /// Is greater.
    #[doc(alias = "GreaterThan")]
    pub fn gt(self, value: impl Into<Value>) -> Filter {
        self.test(Comparison::Gt(value.into()))
    }

    /// Is greater or equal.
    #[doc(alias = "GreaterThanEquals")]
    pub fn ge(self, value: impl Into<Value>) -> Filter {
        self.test(Comparison::Ge(value.into()))
    }

    /// Is one of these, at most 32.
    #[doc(alias = "In")]
    pub fn is_in(self, values: impl IntoIterator<Item = impl Into<Value>>) -> Filter {
        self.test(Comparison::In(values.into_iter().map(Into::into).collect()))
    }

    /// Is none of these, at most 32, or missing.
    #[doc(alias = "NotIn")]
    pub fn not_in(self, values: impl IntoIterator<Item = impl Into<Value>>) -> Filter {
        self.test(Comparison::NotIn(values.into_iter().map(Into::into).collect()))
    }

    /// Is a text or bytes with this part, or a list with this text.
    pub fn contains(self, value: impl Into<Value>) -> Filter {
        self.test(Comparison::Contains(value.into()))
    }

    /// Is a text that begins so.
    pub fn prefix(self, start: impl Into<String>) -> Filter {
        self.test(Comparison::Prefix(start.into()))
    }

    /// Is there, with a value of any type.
    pub fn exists(self) -> Filter {
        self.test(Comparison::Exists)
    }

    /// Is not there.
    pub fn missing(self) -> Filter {
        self.test(Comparison::Missing)
    }

    fn test(self, test: Comparison) -> Filter {
        Filter(Node::Test { field: self, test })
    }
}

impl From<&str> for Field {
    fn from(name: &str) -> Self {
        Self(Cow::Owned(name.to_owned()))
    }
}

impl From<String> for Field {
    fn from(name: String) -> Self {
        Self(Cow::Owned(name))
    }
}

/// What `@policy` compares with.
impl From<JoinPolicy> for Value {
    fn from(policy: JoinPolicy) -> Self {
        policy.as_str().into()
    }
}

/// What `@phase` compares with.
impl From<Phase> for Value {
    fn from(phase: Phase) -> Self {
        phase.as_str().into()
    }
}

/// What `@host` compares with.
impl From<HostKey> for Value {
    fn from(key: HostKey) -> Self {
        key.to_string().into()
    }
}
