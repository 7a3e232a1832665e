//! Who a user is: an Ed25519 key, a display name, and the embedding service's own account id.

use std::fmt;
use std::sync::Arc;

use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use super::error::{Error, ErrorKind};
use super::key::{AccountId, PublicKey};
use super::text::check_name;

/// An Ed25519 key pair. It signs only this crate's typed statements, never bytes of a caller's choice.
///
/// This crate's own copy of the secret seed is cleared on drop; the copies inside `ring` and `rustls` are not.
/// `Debug` shows the public key alone.
///
/// ```
/// use lansession::Identity;
/// let identity = Identity::from_seed([7; 32]).unwrap();
/// assert_eq!(identity.account(), Identity::from_seed([7; 32]).unwrap().account());
/// assert_eq!(format!("{identity:?}").len(), "Identity()".len() + 8);
/// ```
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl Identity {
    /// The key pair of a 32-byte secret seed (RFC 8032 section 5.1.5). The seed must come from a secure random source.
    ///
    /// # Errors
    /// `Internal` where the crypto library refuses the seed, which no seed is known to do.
    pub fn from_seed(seed: [u8; 32]) -> Result<Self, Error> {
        let seed = Zeroizing::new(seed);
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed[..])
            .map_err(|_| Error::new(ErrorKind::Internal, "the crypto library refused a key seed"))?;
        let mut public = [0; 32];
        public.copy_from_slice(pair.public_key().as_ref());
        let public = PublicKey::from_bytes(public)?;
        Ok(Self(Arc::new(Inner { seed, pair, public })))
    }

    /// The account this identity proves.
    #[must_use]
    pub fn account(&self) -> AccountId {
        self.0.public.into()
    }

    pub(crate) fn public(&self) -> PublicKey {
        self.0.public
    }

    pub(crate) fn pair(&self) -> &Ed25519KeyPair {
        &self.0.pair
    }

    pub(crate) fn seed(&self) -> &[u8; 32] {
        &self.0.seed
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?})", self.0.public)
    }
}

/// An account id of the embedding service (Steam, EOS, a game's own), shown to members. Nothing here proves it: a game
/// that needs proof checks a ticket in its admission.
///
/// ```
/// use lansession::External;
/// let external = External::new("eos", b"0002a4").unwrap();
/// assert_eq!(external.provider(), "eos");
/// assert!(External::new("eos", &[0; 65]).is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(::serde::Serialize, ::serde::Deserialize),
    serde(try_from = "super::serde::ExternalForm")
)]
pub struct External {
    provider: String,
    #[cfg_attr(feature = "serde", serde(with = "super::serde::hex"))]
    id: Vec<u8>,
}

impl External {
    /// The longest id, in bytes.
    pub const MAX_ID: usize = 64;
    /// The longest provider name, in bytes.
    pub const MAX_PROVIDER: usize = 16;

    /// An id at a provider: 1 to 16 bytes of name, at most 64 of id.
    ///
    /// # Errors
    /// `InvalidArgument` naming the bound.
    pub fn new(provider: impl Into<String>, id: impl Into<Vec<u8>>) -> Result<Self, Error> {
        let external = Self { provider: provider.into(), id: id.into() };
        external.check()?;
        Ok(external)
    }

    /// The provider's name.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The id's bytes.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    fn check(&self) -> Result<(), Error> {
        check_name("the provider's name", &self.provider, Self::MAX_PROVIDER)?;
        if self.id.len() > Self::MAX_ID {
            let over = self.id.len() - Self::MAX_ID;
            return Err(Error::invalid(format!("the external account id is {over} bytes over its 64")));
        }
        Ok(())
    }
}

/// How a user signs in: a display name, an identity (fresh where none is given), an external account id.
///
/// ```
/// use lansession::{Identity, Profile};
/// let profile = Profile::new("Ada").identity(Identity::from_seed([7; 32]).unwrap()).external("eos", *b"0002");
/// assert_eq!(profile.name(), "Ada");
/// ```
#[derive(Debug, Clone)]
pub struct Profile {
    pub(crate) name: String,
    pub(crate) identity: Option<Identity>,
    pub(crate) external: Option<External>,
}

impl Profile {
    /// The longest display name, in bytes.
    pub const MAX_NAME: usize = 64;

    /// A profile with this display name, 1 to 64 bytes.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), identity: None, external: None }
    }

    /// The identity to sign in with; without one the user gets a fresh key that ends with the process.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The embedding service's account id; checked at the sign-in.
    #[must_use]
    pub fn external(mut self, provider: impl Into<String>, id: impl Into<Vec<u8>>) -> Self {
        self.external = Some(External { provider: provider.into(), id: id.into() });
        self
    }

    /// The display name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        check_name("the player's name", &self.name, Self::MAX_NAME)?;
        self.external.as_ref().map_or(Ok(()), External::check)
    }
}

impl From<&str> for Profile {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl From<String> for Profile {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}
