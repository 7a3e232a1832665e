//! The TXT pairs of the DNS-SD record (protocol.md, "DNS-SD").
//!
//! They are a hint: enough to ask the host by unicast, nothing to track a player by. No account, and no name unless the
//! session's host wants it shown.

use crate::types::{SessionId, SessionSettings, WIRE_MAJOR, base32, is_displayable};

use super::datagram::GameTag;
use super::{WireError, WireResult};

/// The most bytes of all pairs as a TXT record; beyond it some resolvers fall back to TCP.
pub(crate) const MAX_TXT: usize = 400;

/// What a host says of one session by DNS-SD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Txt {
    /// The wire's major version.
    pub(crate) major: u8,
    pub(crate) game: GameTag,
    pub(crate) id: SessionId,
    /// See [`crate::wire::hash::host_label`].
    pub(crate) host_label: [u8; 12],
    /// The port that answers queries by unicast.
    pub(crate) udp_port: u16,
    /// The game's version.
    pub(crate) version: u32,
    pub(crate) name: Option<String>,
}

/// The pairs, in their order.
pub(crate) fn encode(txt: &Txt) -> Vec<(String, String)> {
    let mut pairs = vec![
        ("m", txt.major.to_string()),
        ("g", base32::encode(&txt.game.0)),
        ("id", txt.id.to_string()),
        ("h", base32::encode(&txt.host_label)),
        ("u", txt.udp_port.to_string()),
        ("v", txt.version.to_string()),
    ];
    pairs.extend(txt.name.clone().map(|name| ("n", name)));
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Reads pairs; keys without regard to case, the first of each counts, unknown ones are ignored (RFC 6763 section 6.4).
/// Of another major version only `m` is read: `Major`.
pub(crate) fn decode(pairs: &[(String, String)]) -> WireResult<Txt> {
    // One length byte a pair and the equals sign.
    let size = |(key, value): &(String, String)| key.len().saturating_add(value.len()).saturating_add(2);
    if pairs.iter().map(size).fold(0, usize::saturating_add) > MAX_TXT {
        return Err(WireError::Bound);
    }
    let find =
        |wanted: &str| pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str());
    let get = |wanted| find(wanted).ok_or(WireError::Short);
    let major = number(get("m")?)?;
    if major != WIRE_MAJOR {
        return Err(WireError::Major(major));
    }
    let name = find("n").filter(|name| !name.is_empty());
    if name.is_some_and(|name| name.len() > SessionSettings::MAX_NAME || !is_displayable(name)) {
        return Err(WireError::Value);
    }
    Ok(Txt {
        major,
        game: GameTag(base32::decode(get("g")?).map_err(|_| WireError::Value)?),
        id: get("id")?.parse().map_err(|_| WireError::Value)?,
        host_label: base32::decode(get("h")?).map_err(|_| WireError::Value)?,
        udp_port: match number(get("u")?)? {
            0 => return Err(WireError::Value),
            port => port,
        },
        version: number(get("v")?)?,
        name: name.map(str::to_owned),
    })
}

/// A decimal number, digits alone.
fn number<T: std::str::FromStr>(text: &str) -> WireResult<T> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_err(|_| WireError::Value)
    } else {
        Err(WireError::Value)
    }
}
