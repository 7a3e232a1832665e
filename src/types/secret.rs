//! 32 secret bytes that no log shows.

use std::fmt;
use std::ops::Deref;

use zeroize::Zeroizing;

/// A key: cleared on drop, `***` in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(Zeroizing<[u8; 32]>);

impl From<[u8; 32]> for Secret {
    fn from(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

impl Deref for Secret {
    type Target = [u8; 32];

    fn deref(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{HostRequest, Identity, Password, Profile, SessionSettings};

    /// What a game might print of what it passes in, and what we might log of what we hold.
    #[test]
    fn planted_secrets_are_in_no_debug_text() {
        let identity = Identity::from_seed([0xa5; 32]).unwrap();
        let shown = [
            format!("{:?}", Secret::from([0xa5; 32])),
            format!("{identity:?}"),
            format!("{:?}", Profile::new("Ada").identity(identity.clone())),
            format!("{:?}", Password::from("swordfish")),
            format!("{:?}", HostRequest::new(SessionSettings::new("room")).password("swordfish")),
        ];
        for text in shown {
            assert!(!text.contains("swordfish") && !text.contains("165, 165") && !text.contains("a5a5"), "{text}");
        }
    }
}
