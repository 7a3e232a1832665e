//! Where to reach the game's own transport.

use std::fmt;
use std::net::SocketAddr;

/// The addresses of one of the game's named ports, best first: the first is the address at which the host was really
/// reached. `Display` prints that first one, as a connect string.
///
/// ```
/// use lansession::Endpoint;
/// let endpoint = Endpoint::new(vec!["192.168.0.7:7777".parse().unwrap()]).unwrap();
/// assert_eq!(endpoint.to_string(), "192.168.0.7:7777");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[doc(alias = "GetResolvedConnectString")]
pub struct Endpoint(Vec<SocketAddr>);

impl Endpoint {
    /// An endpoint of these addresses, best first; `None` where there is none.
    #[must_use]
    pub fn new(addrs: Vec<SocketAddr>) -> Option<Self> {
        (!addrs.is_empty()).then_some(Self(addrs))
    }

    /// The best address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.0[0]
    }

    /// All addresses, best first.
    #[must_use]
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0[0], f)
    }
}
