//! TLS with servers (RFC 7858), over streams that the broker connected.
//!
//! A server with a name in the configuration has to prove it with a certificate that leads to one
//! of the roots of the configuration; without roots it cannot. A server without a name gets
//! encryption against whoever only listens (RFC 7858 §4.1, opportunistic).

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::config::Config;

/// Begins TLS sessions; remembers sessions, so that the next one with a server is cheaper.
pub(super) struct Tls {
    checked: TlsConnector,
    unchecked: TlsConnector,
}

impl Tls {
    /// What the configuration says.
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        // A bundle may hold what is no certificate authority; the others are as good as ever.
        roots.add_parsable_certificates(
            config.tls_roots.iter().map(|der| CertificateDer::from(der.as_slice())),
        );
        let begin = || {
            ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
        };
        let mut checked = begin()?.with_root_certificates(roots).with_no_client_auth();
        checked.enable_sni = config.tls_use_sni;
        let any = Arc::new(AnyCertificate(Arc::clone(&provider)));
        let unchecked =
            begin()?.dangerous().with_custom_certificate_verifier(any).with_no_client_auth();
        Ok(Self { checked: Arc::new(checked).into(), unchecked: Arc::new(unchecked).into() })
    }

    /// A session over `stream` with the server at `ip`, which has to prove to be `name`.
    pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        ip: IpAddr,
        name: Option<&str>,
    ) -> io::Result<TlsStream<S>> {
        match name {
            Some(name) => {
                let name = ServerName::try_from(name.to_owned())
                    .map_err(|_| io::ErrorKind::InvalidInput)?;
                self.checked.connect(name, stream).await
            }
            None => self.unchecked.connect(ServerName::IpAddress(ip.into()), stream).await,
        }
    }
}

/// Takes any certificate. That its holder has the key is checked all the same.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::PrivateKeyDer;

    use super::*;

    /// A root, and a server of `dns.example` with a certificate of it.
    fn authority() -> (Vec<u8>, TlsAcceptor) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_key = KeyPair::generate().unwrap();
        let root = params.self_signed(&root_key).unwrap();
        let issuer = Issuer::new(params, root_key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["dns.example".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        (root.der().to_vec(), Arc::new(server).into())
    }

    /// Whether there is a session with the server, which has to prove to be `name`.
    async fn succeeds(acceptor: &TlsAcceptor, roots: Vec<Vec<u8>>, name: Option<&str>) -> bool {
        let tls = Tls::new(&Config { tls_roots: roots, ..Config::default() }).unwrap();
        let (ours, theirs) = tokio::io::duplex(16_384);
        let client = tls.connect(ours, "192.0.2.1".parse().unwrap(), name);
        let server = acceptor.accept(theirs);
        let (client, _) = tokio::join!(client, server);
        if let Err(error) = &client {
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        }
        client.is_ok()
    }

    #[tokio::test]
    async fn a_server_with_a_name_has_to_prove_it() {
        let (root, server) = authority();
        let (other_root, _) = authority();
        for (case, roots, name, expected) in [
            ("proven", vec![root.clone()], Some("dns.example"), true),
            ("another name", vec![root.clone()], Some("other.example"), false),
            ("another root", vec![other_root], Some("dns.example"), false),
            ("no root", Vec::new(), Some("dns.example"), false),
            ("no name, no root", Vec::new(), None, true),
            ("no name", vec![root], None, true),
        ] {
            assert_eq!(succeeds(&server, roots, name).await, expected, "{case}");
        }
    }

    #[test]
    fn a_bundle_may_hold_what_is_no_certificate() {
        let config = Config { tls_roots: vec![b"junk".to_vec()], ..Config::default() };
        assert!(Tls::new(&config).is_ok());
    }
}
