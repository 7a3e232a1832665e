use std::io::{Read, Write};

use rustls::{ClientConnection, Connection, ServerConnection};

use super::*;

fn identity(seed: u8) -> Identity {
    Identity::from_seed([seed; 32]).unwrap()
}

fn host_key(seed: u8) -> HostKey {
    HostKey::from(identity(seed).public())
}

/// The client's and the server's error.
type Failed = (Option<Error>, Option<Error>);

/// Passes bytes both ways until neither side has any.
fn shake(client: &mut Connection, server: &mut Connection) -> Result<(), Box<Failed>> {
    let (mut client_error, mut server_error) = (None, None);
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut rest = &wire[..];
        while !rest.is_empty() && server_error.is_none() {
            server.read_tls(&mut rest).unwrap();
            server_error = server.process_new_packets().err();
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut rest = &wire[..];
        while !rest.is_empty() && client_error.is_none() {
            client.read_tls(&mut rest).unwrap();
            client_error = client.process_new_packets().err();
        }
    }
    if client_error.is_none() && server_error.is_none() { Ok(()) } else { Err(Box::new((client_error, server_error))) }
}

fn pair(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> (Connection, Connection) {
    let name = ServerName::IpAddress(std::net::IpAddr::from([127, 0, 0, 1]).into());
    (ClientConnection::new(client, name).unwrap().into(), ServerConnection::new(server).unwrap().into())
}

fn proved_by(connection: &Connection) -> Option<Proved> {
    match connection {
        Connection::Client(client) => proved(client),
        Connection::Server(server) => proved(server),
    }
}

#[test]
fn both_sides_prove_their_keys_and_share_a_binding() {
    let (mut client, mut server) =
        pair(client(&identity(1), Some(host_key(2))).unwrap(), server(&identity(2)).unwrap());
    shake(&mut client, &mut server).unwrap();
    let (at_client, at_server) = (proved_by(&client).unwrap(), proved_by(&server).unwrap());
    assert_eq!(at_client.peer, identity(2).public());
    assert_eq!(at_server.peer, identity(1).public());
    assert_eq!(at_client.binding, at_server.binding);
    assert!(!at_client.fallback && !at_server.fallback);
    // No tickets: after the handshake the server has nothing of its own to say.
    assert!(!server.wants_write());
    server.writer().write_all(b"hello").unwrap();
    let mut wire = Vec::new();
    server.write_tls(&mut wire).unwrap();
    client.read_tls(&mut &wire[..]).unwrap();
    client.process_new_packets().unwrap();
    let mut text = [0; 5];
    client.reader().read_exact(&mut text).unwrap();
    assert_eq!(&text, b"hello");
}

#[test]
fn another_channel_has_another_binding() {
    let binding = || {
        let (mut client, mut server) = pair(client(&identity(1), None).unwrap(), server(&identity(2)).unwrap());
        shake(&mut client, &mut server).unwrap();
        proved_by(&client).unwrap().binding
    };
    assert_ne!(binding(), binding());
}

#[test]
fn a_key_that_is_not_the_pinned_one_is_refused() {
    let (mut client, mut server) =
        pair(client(&identity(1), Some(host_key(3))).unwrap(), server(&identity(2)).unwrap());
    let (at_client, _) = *shake(&mut client, &mut server).unwrap_err();
    assert!(is_wrong_key(&std::io::Error::other(at_client.unwrap())));
}

#[test]
fn without_a_common_protocol_nothing_is_proved() {
    let mut silent = Arc::unwrap_or_clone(client(&identity(1), None).unwrap());
    silent.alpn_protocols.clear();
    let (mut client, mut server) = pair(Arc::new(silent), server(&identity(2)).unwrap());
    shake(&mut client, &mut server).unwrap();
    assert!(proved_by(&client).is_none());
    assert!(proved_by(&server).is_none());

    let mut other = Arc::unwrap_or_clone(super::client(&identity(1), None).unwrap());
    other.alpn_protocols = vec![b"http/1.1".to_vec()];
    let (mut client, mut server) = pair(Arc::new(other), super::server(&identity(2)).unwrap());
    assert!(shake(&mut client, &mut server).is_err());
}

#[test]
fn another_version_falls_back_to_the_frozen_protocol() {
    let mut later = Arc::unwrap_or_clone(client(&identity(1), None).unwrap());
    later.alpn_protocols = vec![b"lansession/2".to_vec(), b"lansession".to_vec()];
    let (mut client, mut server) = pair(Arc::new(later), server(&identity(2)).unwrap());
    shake(&mut client, &mut server).unwrap();
    assert!(proved_by(&client).unwrap().fallback);
    assert!(proved_by(&server).unwrap().fallback);
}

/// Shows any key it likes and signs with its own.
fn impostor(shown: [u8; 32], seed: u8) -> Arc<CertifiedKey> {
    #[derive(Debug)]
    struct Shown(Key, Vec<u8>);
    impl SigningKey for Shown {
        fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
            self.0.choose_scheme(offered)
        }
        fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
            Some(SubjectPublicKeyInfoDer::from(self.1.as_slice()))
        }
        fn algorithm(&self) -> SignatureAlgorithm {
            SignatureAlgorithm::ED25519
        }
    }
    let spki = [&SPKI_PREFIX[..], &shown].concat();
    Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki.clone())], Arc::new(Shown(Key(identity(seed)), spki))))
}

fn server_with(key: Arc<CertifiedKey>) -> Arc<ServerConfig> {
    let mut config = Arc::unwrap_or_clone(server(&identity(2)).unwrap());
    config.cert_resolver = Arc::new(AlwaysResolvesServerRawPublicKeys::new(key));
    Arc::new(config)
}

#[test]
fn weak_keys_are_refused_on_both_sides() {
    let mut one = [0; 32];
    one[0] = 1;
    for weak in [one, [0; 32], [0xff; 32]] {
        let (mut client, mut server) = pair(client(&identity(1), None).unwrap(), server_with(impostor(weak, 9)));
        let (at_client, _) = *shake(&mut client, &mut server).unwrap_err();
        assert!(is_wrong_key(&std::io::Error::other(at_client.unwrap())));

        let mut joiner = Arc::unwrap_or_clone(super::client(&identity(1), None).unwrap());
        joiner.client_auth_cert_resolver = Arc::new(AlwaysResolvesClientRawPublicKeys::new(impostor(weak, 9)));
        let (mut client, mut server) = pair(Arc::new(joiner), super::server(&identity(2)).unwrap());
        let (_, at_server) = *shake(&mut client, &mut server).unwrap_err();
        assert!(is_wrong_key(&std::io::Error::other(at_server.unwrap())));
    }
}

#[test]
fn a_shown_key_must_have_signed() {
    let victim = identity(3).public().to_bytes();
    let (mut client, mut server) =
        pair(client(&identity(1), Some(host_key(3))).unwrap(), server_with(impostor(victim, 9)));
    assert!(shake(&mut client, &mut server).is_err());
}

#[test]
fn a_client_without_a_key_is_refused() {
    let config = ClientConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(RawKey { expect: None }));
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    let (mut client, mut server) = pair(Arc::new(config), server(&identity(2)).unwrap());
    assert!(shake(&mut client, &mut server).is_err());
}

#[test]
fn one_key_has_one_form() {
    let good = spki(identity(1).public());
    assert!(key(&CertificateDer::from(good.clone())).is_ok());
    assert!(key(&CertificateDer::from(good[..43].to_vec())).is_err());
    assert!(key(&CertificateDer::from([&good[..], &[0]].concat())).is_err());
    for index in 0..SPKI_PREFIX.len() {
        let mut bad = good.clone();
        bad[index] ^= 1;
        assert!(key(&CertificateDer::from(bad)).is_err(), "{index}");
    }
}
