//! "Where is this account?", sealed so that only its own process can read it (protocol.md, "Locate").
//!
//! Whoever does not know the account sees random bytes; whoever knows it and is not the account's process has no key to
//! answer with. There is no answer datagram: who may react dials the signed return address.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};

use crate::types::{AccountId, HostKey, Identity};
use crate::wire::bytes::{Reader, Writer};
use crate::wire::sign::{self, Context, SIGNATURE};
use crate::wire::{WireError, WireResult};

use super::prefix::{GameTag, Kind, Prefix, open, start};

const SALT: usize = 16;
/// Asker 32, listener key 32, address 16, port 2, Unix seconds 8, purpose 1, signature 64.
const SEALED: usize = 155;
const TAG: usize = 16;
/// The whole datagram.
#[cfg(test)]
pub(crate) const LOCATE_SIZE: usize = super::prefix::PREFIX + SALT + SEALED + TAG;

/// What the asker wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LocatePurpose {
    /// To deliver an invite.
    Invite,
    /// The account's presence session.
    Presence,
    /// All sessions of an account; asked by that account itself.
    Sessions,
}

impl LocatePurpose {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 3] = [Self::Invite, Self::Presence, Self::Sessions];

    fn number(self) -> u8 {
        match self {
            Self::Invite => 1,
            Self::Presence => 2,
            Self::Sessions => 3,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::Invite, Self::Presence, Self::Sessions].into_iter().find(|purpose| purpose.number() == number)
    }
}

/// What is sealed, beside the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Locate {
    pub(crate) asker: AccountId,
    /// The key that the asker's listener shows: a fresh one, so that who scans ports learns no account.
    pub(crate) listener: HostKey,
    /// Where to dial; a link-local one has no scope here, the receiver knows by which interface it came.
    pub(crate) reply_to: SocketAddr,
    /// Unix seconds by the asker's clock.
    pub(crate) at: u64,
    pub(crate) purpose: LocatePurpose,
}

/// One that came, still sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SealedLocate {
    pub(crate) game: GameTag,
    pub(crate) salt: [u8; SALT],
    sealed: [u8; SEALED + TAG],
}

/// One that was opened with an account, its signature not verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenedLocate {
    pub(crate) locate: Locate,
    statement: Vec<u8>,
    signature: [u8; SIGNATURE],
}

impl Locate {
    /// The datagram. A salt is drawn for each that differs: under one salt and target there is one key and one nonce.
    pub(crate) fn encode(
        &self,
        game: GameTag,
        asker: &Identity,
        target: AccountId,
        salt: [u8; SALT],
    ) -> WireResult<Vec<u8>> {
        let prefix = start(Kind::Locate, 0, game).into_bytes();
        let mut fields = self.fields();
        fields.extend_from_slice(&sign::sign(Context::Locate, asker, &statement(&prefix, &salt, target, &fields)));
        key(&salt, target)?
            .seal_in_place_append_tag(nonce(), Aad::from(&prefix), &mut fields)
            .map_err(|_| WireError::Value)?;
        Ok([&prefix[..], &salt, &fields].concat())
    }

    fn fields(&self) -> Vec<u8> {
        let address = match self.reply_to.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let mut writer = Writer::default();
        writer
            .bytes(self.asker.as_bytes())
            .bytes(self.listener.as_bytes())
            .bytes(&address.octets())
            .u16(self.reply_to.port())
            .u64(self.at)
            .u8(self.purpose.number());
        writer.into_bytes()
    }
}

impl SealedLocate {
    /// Reads one; nothing is opened here.
    pub(crate) fn decode(bytes: &[u8]) -> WireResult<Self> {
        let (_, mut reader) = open(Kind::Locate, bytes)?;
        let game = Prefix::peek(bytes)?.game;
        let sealed = Self { game, salt: reader.array()?, sealed: reader.array()? };
        reader.end()?;
        Ok(sealed)
    }

    /// The datagram as it came; its flags are zero, or it does not open.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = start(Kind::Locate, 0, self.game);
        writer.bytes(&self.salt).bytes(&self.sealed);
        writer.into_bytes()
    }

    /// Tries one account: `None` where the question is not for it.
    pub(crate) fn open(&self, target: AccountId) -> Option<OpenedLocate> {
        let prefix = start(Kind::Locate, 0, self.game).into_bytes();
        let mut bytes = self.sealed;
        let fields = key(&self.salt, target).ok()?.open_in_place(nonce(), Aad::from(&prefix), &mut bytes).ok()?;
        let (fields, signature) = fields.split_last_chunk::<SIGNATURE>()?;
        let locate = read(fields).ok()?;
        let statement = statement(&prefix, &self.salt, target, fields);
        Some(OpenedLocate { locate, statement, signature: *signature })
    }
}

impl OpenedLocate {
    /// Whether the asker it names has signed it, for this target.
    #[must_use]
    pub(crate) fn verify(&self) -> bool {
        sign::verify(Context::Locate, self.locate.asker.public_key(), &self.statement, &self.signature)
    }
}

fn read(fields: &[u8]) -> WireResult<Locate> {
    let mut reader = Reader::new(fields);
    let locate = Locate {
        asker: AccountId::from_bytes(reader.array()?).map_err(|_| WireError::Value)?,
        listener: HostKey::from_bytes(reader.array()?).map_err(|_| WireError::Value)?,
        reply_to: {
            let ip = Ipv6Addr::from(reader.array::<16>()?);
            let ip = ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4);
            SocketAddr::new(ip, reader.u16()?)
        },
        at: reader.u64()?,
        purpose: LocatePurpose::from_number(reader.u8()?).ok_or(WireError::Value)?,
    };
    reader.end()?;
    Ok(locate)
}

fn statement(prefix: &[u8], salt: &[u8; SALT], target: AccountId, fields: &[u8]) -> Vec<u8> {
    [prefix, salt, target.as_bytes(), fields].concat()
}

/// HKDF-SHA256(salt, target account), without info: one key per salt and target.
fn key(salt: &[u8; SALT], target: AccountId) -> WireResult<LessSafeKey> {
    let secret = Salt::new(HKDF_SHA256, salt).extract(target.as_bytes());
    let key = secret.expand(&[], &CHACHA20_POLY1305).map_err(|_| WireError::Value)?;
    Ok(LessSafeKey::new(UnboundKey::from(key)))
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAME: GameTag = GameTag(*b"gametag!");

    fn identity(seed: u8) -> Identity {
        Identity::from_seed([seed; 32]).unwrap()
    }

    fn locate(purpose: LocatePurpose) -> Locate {
        Locate {
            asker: identity(10).account(),
            listener: identity(1).public().into(),
            reply_to: "[fd00::7]:40004".parse().unwrap(),
            at: 1_700_000_000,
            purpose,
        }
    }

    #[test]
    fn only_the_target_opens_it_and_only_the_asker_signs_it() {
        let (bob, cid) = (identity(11).account(), identity(12).account());
        for purpose in LocatePurpose::ALL {
            let bytes = locate(purpose).encode(GAME, &identity(10), bob, [5; SALT]).unwrap();
            assert_eq!(bytes.len(), LOCATE_SIZE);
            let sealed = SealedLocate::decode(&bytes).unwrap();
            assert_eq!(sealed.encode(), bytes);
            let opened = sealed.open(bob).unwrap();
            assert_eq!(opened.locate, locate(purpose));
            assert!(opened.verify());
            assert_eq!(sealed.open(cid), None);
        }
        // Whoever knows the target can seal, but not sign in another's name.
        let forged = locate(LocatePurpose::Invite).encode(GAME, &identity(12), bob, [5; SALT]).unwrap();
        assert!(!SealedLocate::decode(&forged).unwrap().open(bob).unwrap().verify());
    }

    #[test]
    fn no_flipped_bit_opens() {
        let bob = identity(11).account();
        let bytes = locate(LocatePurpose::Presence).encode(GAME, &identity(10), bob, [5; SALT]).unwrap();
        for at in 8..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert_eq!(SealedLocate::decode(&damaged).unwrap().open(bob), None, "byte {at}");
        }
    }
}
