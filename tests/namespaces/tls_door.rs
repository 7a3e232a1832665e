//! A stranger's handshake: TLS 1.3 with raw public keys by protocol.md, with a key of its own and for any host.

use std::net::TcpStream;
use std::sync::Arc;

use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::client::AlwaysResolvesClientRawPublicKeys;
use rustls::crypto::ring as provider;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{ClientConfig, ClientConnection, Error, SignatureAlgorithm, SignatureScheme, StreamOwned};

use crate::any_key::AnyKey;

/// What precedes the 32 bytes of a key.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Finishes a handshake; `None` where the host did not.
pub(crate) fn open(mut stream: TcpStream, seed: &[u8]) -> Option<StreamOwned<ClientConnection, TcpStream>> {
    let pair = Arc::new(Ed25519KeyPair::from_seed_unchecked(seed).expect("a key"));
    let spki = CertificateDer::from([&SPKI[..], pair.public_key().as_ref()].concat());
    let key = Arc::new(CertifiedKey::new(vec![spki], Arc::new(Key(pair))));
    let crypto = Arc::new(provider::default_provider());
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&crypto))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey(crypto)))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(key)));
    config.alpn_protocols = vec![b"lansession/1".to_vec()];
    config.enable_sni = false;
    let name = ServerName::IpAddress(stream.peer_addr().ok()?.ip().into());
    let mut connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).ok()?;
    }
    Some(StreamOwned::new(connection, stream))
}

#[derive(Debug)]
struct Key(Arc<Ed25519KeyPair>);

impl SigningKey for Key {
    fn choose_scheme(&self, _: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        Some(Box::new(Self(Arc::clone(&self.0))))
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from([&SPKI[..], self.0.public_key().as_ref()].concat()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).as_ref().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}
