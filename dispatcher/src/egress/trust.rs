//! Whom egress trusts: the platform's roots, and the certificates that a Destination names.
//!
//! Settings are made when an endpoint is parsed, off the way of events, and shared by all
//! endpoints that trust the same: their sessions are resumed together.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// How many different texts of certificates are kept; a process with more makes settings anew.
const KEPT: usize = 256;

/// Why certificates can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// The text is not PEM, or holds no certificate.
    #[error(
        "the CA certificates are not usable ({0}); paste the PEM text of one or more certificates"
    )]
    Certificates(String),
    /// The TLS library refused the settings.
    #[error("TLS can't be set up: {0}")]
    Settings(String),
}

/// The TLS settings that trust the platform's roots and `ca_certs` (PEM) besides.
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
    let mut roots = platform_roots().clone();
    if let Some(text) = ca_certs {
        add_certificates(&mut roots, text)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError::Settings(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn add_certificates(roots: &mut RootCertStore, text: &str) -> Result<(), TrustError> {
    let mut found = 0;
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = certificate.map_err(|e| TrustError::Certificates(e.to_string()))?;
        roots
            .add(certificate)
            .map_err(|e| TrustError::Certificates(e.to_string()))?;
        found += 1;
    }
    if found == 0 {
        return Err(TrustError::Certificates(
            "no certificate in the text".into(),
        ));
    }
    Ok(())
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
