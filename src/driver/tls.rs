//! TLS 1.3 with raw public keys (RFC 7250), and nothing else TLS can do (protocol.md, "Control channel").
//!
//! Ed25519 on both sides, X25519, no certificates, no server name, no tickets, no resumption, no early data. TLS 1.2 would
//! be unsafe: it signs 32 bytes of the peer's choice first, and the same key signs our own statements.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, ring as provider, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{
    CertificateError, ClientConfig, ConnectionCommon, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved,
    ServerConfig, SignatureAlgorithm, SignatureScheme,
};

use crate::types::{HostKey, Identity, PublicKey};

/// This version's protocol.
const ALPN: &[u8] = b"lansession/1";
/// Frozen for all versions: over it only an `Incompatible` is said.
const ALPN_FALLBACK: &[u8] = b"lansession";
const EXPORTER_LABEL: &[u8] = b"EXPORTER-lansession";
const EXPORTER_CONTEXT: &[u8] = b"channel";
/// What precedes the 32 key bytes of an Ed25519 SubjectPublicKeyInfo (RFC 8410 section 4), byte for byte: one key has
/// one form.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What a finished handshake proved.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proved {
    pub(super) peer: PublicKey,
    pub(super) binding: [u8; 32],
    pub(super) fallback: bool,
}

/// The accepting side's configuration.
pub(super) fn server(identity: &Identity) -> Result<Arc<ServerConfig>, Error> {
    let resolver = AlwaysResolvesServerRawPublicKeys::new(certified(identity));
    let mut config = ServerConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(RawKey { expect: None }))
        .with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![ALPN.to_vec(), ALPN_FALLBACK.to_vec()];
    // A resumed connection copies the stored key instead of proving it.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// The dialling side's configuration; `expect` is the only key it takes, `None` takes any sound one.
pub(super) fn client(identity: &Identity, expect: Option<HostKey>) -> Result<Arc<ClientConfig>, Error> {
    let resolver = AlwaysResolvesClientRawPublicKeys::new(certified(identity));
    let verifier = RawKey { expect: expect.map(HostKey::public_key) };
    let mut config = ClientConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![ALPN.to_vec(), ALPN_FALLBACK.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

/// What the finished handshake proved; `None` where no protocol was agreed on: a peer that offers none is none of ours,
/// and `rustls` lets it through.
pub(super) fn proved<D>(connection: &ConnectionCommon<D>) -> Option<Proved> {
    let fallback = match connection.alpn_protocol() {
        Some(ALPN) => false,
        Some(ALPN_FALLBACK) => true,
        _ => return None,
    };
    let peer = match connection.peer_certificates() {
        Some([spki]) => key(spki).ok()?,
        _ => return None,
    };
    let binding = connection.export_keying_material([0; 32], EXPORTER_LABEL, Some(EXPORTER_CONTEXT)).ok()?;
    Some(Proved { peer, binding, fallback })
}

/// Whether a handshake failed because of the peer's key.
pub(super) fn is_wrong_key(error: &std::io::Error) -> bool {
    matches!(tls_error(error), Some(Error::InvalidCertificate(_)))
}

/// Whether the peer ended it with an alert, which it does where it does not like us.
pub(super) fn is_alert(error: &std::io::Error) -> bool {
    matches!(tls_error(error), Some(Error::AlertReceived(_)))
}

fn tls_error(error: &std::io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

fn key(spki: &CertificateDer<'_>) -> Result<PublicKey, Error> {
    let refused = || Error::InvalidCertificate(CertificateError::BadEncoding);
    let bytes = spki.as_ref().strip_prefix(&SPKI_PREFIX).ok_or_else(refused)?;
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| refused())?;
    // Small-order and non-canonical keys, under which anybody can sign.
    PublicKey::from_bytes(bytes).map_err(|_| refused())
}

fn spki(key: PublicKey) -> Vec<u8> {
    [&SPKI_PREFIX[..], &key.to_bytes()].concat()
}

fn crypto() -> Arc<CryptoProvider> {
    static CRYPTO: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(CRYPTO.get_or_init(|| {
        Arc::new(CryptoProvider { kx_groups: vec![provider::kx_group::X25519], ..provider::default_provider() })
    }))
}

fn certified(identity: &Identity) -> Arc<CertifiedKey> {
    let spki = CertificateDer::from(spki(identity.public()));
    Arc::new(CertifiedKey::new(vec![spki], Arc::new(Key(identity.clone()))))
}

/// An identity as TLS wants it: the seed is not copied and never takes the form of a key file.
struct Key(Identity);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&SignatureScheme::ED25519).then(|| Box::new(Key(self.0.clone())) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(spki(self.0.public())))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.pair().sign(message).as_ref().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// Takes one raw key, or any sound one.
#[derive(Debug)]
struct RawKey {
    expect: Option<PublicKey>,
}

impl RawKey {
    fn check(&self, spki: &CertificateDer<'_>, more: &[CertificateDer<'_>]) -> Result<(), Error> {
        let key = key(spki)?;
        if self.expect.is_some_and(|expect| expect != key) || !more.is_empty() {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        Ok(())
    }
}

fn verify(
    message: &[u8],
    spki: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    if signature.scheme != SignatureScheme::ED25519 {
        return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
    }
    let spki = SubjectPublicKeyInfoDer::from(spki.as_ref());
    verify_tls13_signature_with_raw_key(message, &spki, signature, &crypto().signature_verification_algorithms)
}

fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("TLS 1.2 is not spoken".into()))
}

impl ServerCertVerifier for RawKey {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for RawKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
