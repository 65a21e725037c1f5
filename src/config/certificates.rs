//! The certificates that servers asked over TLS are checked against.

use std::path::{Path, PathBuf};

use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::error::ErrorKind;
use super::parse::Parser;
use super::resolved::Config;
use super::source::Span;

/// Where systems keep the certificates that they trust; the first that exists counts.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Reads the bundles when something is asked over TLS; a file that nobody needs may be missing.
pub(super) fn read(parser: &mut Parser, config: &mut Config) {
    let zones = config.forward_zones.iter().chain(&config.stub_zones);
    if !config.tls_upstream && !zones.into_iter().any(|zone| zone.tls) {
        return;
    }
    if !config.tls_cert_bundle.as_os_str().is_empty() {
        let (path, span) =
            (config.tls_cert_bundle.clone(), parser.settings.span("tls-cert-bundle"));
        add(parser, &path, span, &mut config.tls_roots);
    }
    if config.tls_system_cert {
        let found = SYSTEM.iter().find(|path| Path::new(path).exists()).unwrap_or(&SYSTEM[0]);
        let span = parser.settings.span("tls-system-cert");
        add(parser, &PathBuf::from(found), span, &mut config.tls_roots);
    }
}

fn add(parser: &mut Parser, path: &Path, span: Option<Span>, roots: &mut Vec<Vec<u8>>) {
    let Some(text) = parser.read(path, span) else { return };
    let before = roots.len();
    let found = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok);
    roots.extend(found.map(|der| der.to_vec()));
    if roots.len() == before {
        let kind = ErrorKind::NoCertificate { path: path.to_owned() };
        parser.errors.push(super::error::Error { span, kind });
    }
}
