//! What an attribute can hold.

use std::fmt;

/// An attribute's value: text, a 64-bit integer, a float that is not NaN, a flag, bytes or a list of texts.
///
/// There is no conversion from `u64` or `usize`: half of their range has no `i64`, and a value that fits on one machine
/// and not on another is a bug that shows in the field. Convert with `i64::try_from`.
///
/// Equality of an integer and a float is exact, as everywhere in [`Filter`](crate::Filter)s; `==` on `Value` itself
/// compares type and content.
///
/// ```
/// use lansession::Value;
/// assert_eq!(Value::from("dust"), Value::String("dust".into()));
/// assert_eq!(Value::from(7_u8), Value::Int(7));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// UTF-8 text.
    String(String),
    /// A 64-bit integer.
    Int(i64),
    /// A float; NaN is refused where it is set.
    Float(f64),
    /// A flag.
    Bool(bool),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list of texts.
    List(Vec<String>),
}

impl Value {
    /// The name of the value's type, as in messages: `string`, `int`, `float`, `bool`, `bytes`, `list`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "string",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Bool(_) => "bool",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
        }
    }

    /// The text, where it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, where it is one.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(*int),
            _ => None,
        }
    }

    /// The float, where it is one; an integer is not.
    #[must_use]
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(float) => Some(*float),
            _ => None,
        }
    }

    /// The flag, where it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(flag) => Some(*flag),
            _ => None,
        }
    }
}

/// As the filter text writes it: `"dust"`, `12`, `1.5`, `true`, `0xc0de`; a list as `["a", "b"]`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => quoted(f, text),
            Self::Int(int) => write!(f, "{int}"),
            Self::Float(float) => write!(f, "{float:?}"),
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Bytes(bytes) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Self::List(list) => {
                f.write_str("[")?;
                for (at, text) in list.iter().enumerate() {
                    if at > 0 {
                        f.write_str(", ")?;
                    }
                    quoted(f, text)?;
                }
                f.write_str("]")
            }
        }
    }
}

fn quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{{{:x}}}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

macro_rules! from {
    ($($from:ty => |$value:ident| $make:expr),* $(,)?) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $make
            }
        })*
    };
}

from! {
    &str => |v| Self::String(v.to_owned()),
    String => |v| Self::String(v),
    bool => |v| Self::Bool(v),
    i8 => |v| Self::Int(v.into()),
    i16 => |v| Self::Int(v.into()),
    i32 => |v| Self::Int(v.into()),
    i64 => |v| Self::Int(v),
    u8 => |v| Self::Int(v.into()),
    u16 => |v| Self::Int(v.into()),
    u32 => |v| Self::Int(v.into()),
    f32 => |v| Self::Float(v.into()),
    f64 => |v| Self::Float(v),
    Vec<String> => |v| Self::List(v),
    Vec<&str> => |v| Self::List(v.into_iter().map(str::to_owned).collect()),
    Vec<u8> => |v| Self::Bytes(v),
    &[u8] => |v| Self::Bytes(v.to_vec()),
}
