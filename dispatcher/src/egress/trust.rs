//! Whom egress trusts: the platform's roots, and the certificates that a Destination names.
//!
//! Settings are made when an endpoint is parsed, off the way of events, and shared by all
//! endpoints that trust the same: their sessions are resumed together.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use rustls::{ClientConfig, RootCertStore};
use verifier::Verifier;
use volley_spec::tls::{self, CertificatesError};

mod verifier;

/// How many different texts of certificates are kept; a process with more makes settings anew.
const KEPT: usize = 256;

/// Why certificates can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The text is not PEM, or holds no certificate.
    #[error(
        "the CA certificates are not usable ({0}); paste the PEM text of one or more certificates"
    )]
    Certificates(CertificatesError),
    /// The TLS library refused the settings.
    #[error("TLS can't be set up: {0}")]
    Settings(String),
}

/// The TLS settings that trust the platform's roots and `ca_certs` (PEM) besides: what those signed,
/// and a sink that shows one of them itself.
///
/// The first call of a process reads the platform's roots from disk.
///
/// # Errors
///
/// `ca_certs` holds no usable certificate: the author has to mend it.
pub fn settings(ca_certs: Option<&str>) -> Result<Arc<ClientConfig>, TrustError> {
    static MADE: Mutex<BTreeMap<String, Arc<ClientConfig>>> = Mutex::new(BTreeMap::new());
    let text = ca_certs.unwrap_or_default();
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = made.get(text) {
        return Ok(Arc::clone(known));
    }
    let config = Arc::new(make(ca_certs)?);
    if made.len() >= KEPT {
        made.clear();
    }
    made.insert(text.to_owned(), Arc::clone(&config));
    Ok(config)
}

fn make(ca_certs: Option<&str>) -> Result<ClientConfig, TrustError> {
    let given = match ca_certs {
        Some(text) => tls::certificates(text).map_err(TrustError::Certificates)?,
        None => Vec::new(),
    };
    let mut roots = platform_roots().clone();
    for certificate in &given {
        let added = roots.add(certificate.clone());
        added.map_err(|error| TrustError::Settings(error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier {
        roots,
        given,
        supported: provider.signature_verification_algorithms,
    };
    // "Dangerous" is a verifier of one's own in general: this one is the library's but for what a
    // Destination names itself.
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError::Settings(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn platform_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "a part of the platform's root certificates can't be read");
        }
        let mut roots = RootCertStore::empty();
        let (_, unusable) = roots.add_parsable_certificates(found.certs);
        if unusable > 0 {
            tracing::debug!(unusable, "root certificates of the platform passed over");
        }
        roots
    })
}
