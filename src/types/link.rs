//! The join link: what a QR code, a chat message or the platform's own UI hands over.

use std::fmt;
use std::net::{SocketAddr, SocketAddrV6};
use std::str::FromStr;

use super::error::Error;
use super::id::{SessionId, SessionKey};
use super::key::HostKey;
use super::text::check_name;

/// A `lansession:` URI: a session's id, its founder's key, the host's key and addresses; never a password.
///
/// Text form (protocol.md, "Join link"): `lansession:ID?g=GAME&f=FOUNDER&h=HOST&a=ADDR:PORT&a=…`, at most 2 KiB. `h` is
/// left out where it is the same as `f`. What a newer version adds is ignored.
///
/// Opening a link must not join by itself: show the player where it leads first.
///
/// ```
/// use lansession::{HostKey, JoinLink, SessionId, SessionKey};
/// let founder = HostKey::from_bytes([9; 32]).unwrap();
/// let key = SessionKey { id: SessionId::from_name("arena-7"), founder };
/// let address = "192.168.0.7:40000".parse().unwrap();
/// let link = JoinLink::new("com.example.boxes", key, founder, [address]).unwrap();
/// assert!(link.to_string().starts_with("lansession:") && link.to_string().ends_with("&a=192.168.0.7:40000"));
/// assert_eq!(link.to_string().parse::<JoinLink>().unwrap(), link);
/// assert_eq!(link.addresses(), [address]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinLink {
    pub(crate) game: String,
    pub(crate) key: SessionKey,
    pub(crate) host_key: HostKey,
    /// Control addresses, best first, at most 8.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl JoinLink {
    /// The URI's scheme.
    pub const SCHEME: &'static str = "lansession";
    /// The longest text, in bytes.
    pub const MAX_TEXT: usize = 2_048;
    /// The longest game id, in bytes.
    pub const MAX_GAME: usize = 255;
    /// The most addresses.
    pub const MAX_ADDRESSES: usize = 8;

    /// A link to a session: the game's id, what names the session, the key its host serves under, and the host's control
    /// addresses, best first. The scopes of link-local addresses are left out: they mean nothing on another machine.
    ///
    /// # Errors
    /// `InvalidArgument` naming the part: a game id that is empty, over 255 bytes or not displayable, over 8 addresses,
    /// an address without a port.
    pub fn new(
        game: impl Into<String>,
        key: SessionKey,
        host_key: HostKey,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<Self, Error> {
        let game = game.into();
        check_name("the link's game id", &game, Self::MAX_GAME)?;
        let addresses: Vec<_> = addresses.into_iter().map(without_scope).collect();
        if addresses.len() > Self::MAX_ADDRESSES {
            return Err(Error::invalid(format!("the link has {} addresses, at most 8 fit", addresses.len())));
        }
        if let Some(bad) = addresses.iter().find(|address| address.port() == 0 || address.ip().is_unspecified()) {
            return Err(Error::invalid(format!("the link's address {bad} is none that one can connect to")));
        }
        Ok(Self { game, key, host_key, addresses })
    }

    /// The game's id: a link to another game is not for this one.
    #[must_use]
    pub fn game(&self) -> &str {
        &self.game
    }

    /// What names the session.
    #[must_use]
    pub fn key(&self) -> SessionKey {
        self.key
    }

    /// The session's id.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.key.id
    }

    /// The key its host served under when the link was made.
    #[must_use]
    pub fn host_key(&self) -> HostKey {
        self.host_key
    }

    /// The host's control addresses when the link was made, best first.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}

fn without_scope(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), v6.port(), 0, 0).into(),
        v4 => v4,
    }
}

/// Whether a byte stands for itself in the query of a URI (RFC 3986), `&`, `=`, `+` and the like left out.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':')
}

fn write_encoded(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for byte in text.bytes() {
        if is_plain(byte) { write!(f, "{}", char::from(byte))? } else { write!(f, "%{byte:02X}")? }
    }
    Ok(())
}

/// The text of a percent-encoded part; `what` names it in the error.
fn decoded(what: &str, text: &str) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit =
            || rest.next().and_then(|byte| char::from(byte).to_digit(16)).and_then(|d| u8::try_from(d).ok());
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(Error::invalid(format!("{what} has a % without two hexadecimal digits")));
        };
        bytes.push(high << 4 | low);
    }
    String::from_utf8(bytes).map_err(|_| Error::invalid(format!("{what} is not UTF-8")))
}

/// Puts the part's name before what is wrong with it.
fn part<T>(what: &str, value: Result<T, Error>) -> Result<T, Error> {
    value.map_err(|error| Error::invalid(format!("{what}: {error}")))
}

fn once<T>(what: &str, slot: &mut Option<T>, value: T) -> Result<(), Error> {
    if slot.replace(value).is_some() { Err(Error::invalid(format!("{what} is there twice"))) } else { Ok(()) }
}

impl fmt::Display for JoinLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}?g=", Self::SCHEME, self.key.id)?;
        write_encoded(f, &self.game)?;
        write!(f, "&f={}", self.key.founder)?;
        if self.host_key != self.key.founder {
            write!(f, "&h={}", self.host_key)?;
        }
        for address in &self.addresses {
            f.write_str("&a=")?;
            write_encoded(f, &address.to_string())?;
        }
        Ok(())
    }
}

impl FromStr for JoinLink {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > Self::MAX_TEXT {
            let over = text.len() - Self::MAX_TEXT;
            return Err(Error::invalid(format!("the link is {over} bytes over its 2048")));
        }
        let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
        if !scheme.eq_ignore_ascii_case(Self::SCHEME) {
            return Err(Error::invalid("the link does not start with \"lansession:\""));
        }
        let (id, query) = rest.split_once('?').unwrap_or((rest, ""));
        let id = part("the link's session id", id.parse())?;
        let (mut game, mut founder, mut host, mut addresses) = (None, None, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "g" => once("the link's game id (g)", &mut game, decoded("the link's game id (g)", value)?)?,
                "f" => once(
                    "the link's founder key (f)",
                    &mut founder,
                    part("the link's founder key (f)", value.parse())?,
                )?,
                "h" => once("the link's host key (h)", &mut host, part("the link's host key (h)", value.parse())?)?,
                "a" => {
                    let what = "the link's address (a)";
                    let address = decoded(what, value)?;
                    let bad = |_| Error::invalid(format!("{what} {address:?} is no ADDRESS:PORT"));
                    addresses.push(address.parse::<SocketAddr>().map_err(bad)?);
                    if addresses.len() > Self::MAX_ADDRESSES {
                        return Err(Error::invalid("the link has over 8 addresses (a)"));
                    }
                }
                _ => {}
            }
        }
        let missing = |what: &str| Error::invalid(format!("the link has no {what}"));
        let founder: HostKey = founder.ok_or_else(|| missing("founder key (f)"))?;
        let game = game.ok_or_else(|| missing("game id (g)"))?;
        Self::new(game, SessionKey { id, founder }, host.unwrap_or(founder), addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> JoinLink {
        let founder = HostKey::from_bytes([9; 32]).unwrap();
        let key = SessionKey { id: SessionId::from_name("arena-7"), founder };
        let addresses = ["192.168.0.7:40000", "[fe80::1]:40000"].map(|text| text.parse().unwrap());
        JoinLink::new("com.example/böxes & co", key, HostKey::from_bytes([8; 32]).unwrap(), addresses).unwrap()
    }

    #[test]
    fn it_round_trips_and_survives_a_qr_codes_capitals() {
        let text = link().to_string();
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
        assert_eq!(text.parse::<JoinLink>().unwrap(), link());
        let mut same = link();
        same.host_key = same.key.founder;
        assert!(!same.to_string().contains("&h="));
        assert_eq!(same.to_string().parse::<JoinLink>().unwrap(), same);
        assert_eq!(text.replacen("lansession", "LANSESSION", 1).parse::<JoinLink>().unwrap(), link());
        assert_eq!(format!("{text}&zz=1").parse::<JoinLink>().unwrap(), link());
    }

    #[test]
    fn the_longest_link_fits_its_bound() {
        let mut long = link();
        long.game = "ä".repeat(127);
        long.addresses = vec!["[1111:2222:3333:4444:5555:6666:7777:8888]:65535".parse().unwrap(); 8];
        assert!(long.to_string().len() <= JoinLink::MAX_TEXT);
        assert_eq!(long.to_string().parse::<JoinLink>().unwrap(), long);
    }

    #[test]
    fn an_error_names_the_part() {
        let text = link().to_string();
        let why = |text: &str| text.parse::<JoinLink>().unwrap_err().to_string();
        assert!(why("http://x").contains("\"lansession:\""));
        assert!(why("lansession:ABC?g=a").contains("session id"));
        assert!(why(&text.replace("?g=com", "?x=com")).contains("game id (g)"));
        assert!(why(&text.replace("&f=", "&ff=")).contains("founder key (f)"));
        assert!(why(&text.replace("&h=", "&h=!")).contains("host key (h)"));
        assert!(why(&text.replace("192.168.0.7:40000", "192.168.0.7")).contains("address (a)"));
        assert!(why(&text.replace("192.168.0.7:40000", "192.168.0.7:0")).contains("192.168.0.7:0"));
        assert!(why(&text.replace("%20", "%2")).contains("game id (g)"));
        assert!(why(&format!("{text}&g=b")).contains("twice"));
        assert!(why(&format!("{text}{}", "&a=1.1.1.1:1".repeat(7))).contains("over 8"));
        assert!(why(&format!("{text}&{}", "x".repeat(2_048))).contains("over its 2048"));
    }
}
