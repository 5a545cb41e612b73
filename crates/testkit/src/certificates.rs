//! Certificates of an authority of one's own, for servers under test that speak TLS.

#![expect(clippy::expect_used, reason = "tests can not go on without it, and say so")]

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What a server shows that calls itself `localhost`, and the authority that vouches for it; another one each time.
///
/// # Panics
/// Where none can be made.
#[must_use]
pub fn localhost() -> (ServerConfig, CertificateDer<'static>) {
    let mut authority = CertificateParams::new(Vec::new()).expect("no name is a name");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let own = CertificateParams::new(vec!["localhost".to_owned()]).expect("localhost is a name");
    let own = own.signed_by(&key, &authority).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key that can be read");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions that fit the provider")
        .with_no_client_auth()
        .with_single_cert(vec![own.der().clone()], key)
        .expect("a key that fits the certificate");
    (config, authority.der().clone())
}

/// A certificate as files hold it, such as that of `SSL_CERT_FILE`.
#[must_use]
pub fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let lines: Vec<String> =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
