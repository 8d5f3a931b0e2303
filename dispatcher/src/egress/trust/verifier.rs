//! Whether a sink is whom its certificate says: the library's judgement, and one thing besides.
//!
//! A certificate that a Destination names is good for the sink that shows it, too, whoever signed
//! it. The library looks for a signer in any case and takes no CA's certificate for a sink's, but
//! people make such (`openssl req -x509` does), and what else delivers events takes them.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

/// The certificate is a CA's, and nobody named it.
#[derive(Debug, thiserror::Error)]
#[error(
    "the certificate that it shows is that of a CA; trust this very certificate, or make one with \
     -addext basicConstraints=critical,CA:FALSE"
)]
struct ShownByAuthority;

/// Trusts what a CA among its roots signed, and what was given.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) roots: RootCertStore,
    pub(super) given: Vec<CertificateDer<'static>>,
    pub(super) supported: WebPkiSupportedAlgorithms,
}

/// Whether the library refused for nothing but what a certificate that was given need not have: a
/// signer, or that it is no CA's.
///
/// It looks at the time of a certificate before it looks for these, so that one that is expired or
/// not valid yet is refused for that.
fn only_lacks_a_signer(error: &Error) -> bool {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        other => is_of_authority(other),
    }
}

fn is_of_authority(error: &Error) -> bool {
    let Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) = error else {
        return false;
    };
    matches!(
        cause.downcast_ref::<webpki::Error>(),
        Some(webpki::Error::CaUsedAsEndEntity)
    )
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = ParsedCertificate::try_from(end_entity)?;
        let signed = verify_server_cert_signed_by_trust_anchor(
            &shown,
            &self.roots,
            intermediates,
            now,
            self.supported.all,
        );
        match signed {
            Err(error) if only_lacks_a_signer(&error) && self.given.contains(end_entity) => {}
            Err(error) if is_of_authority(&error) => {
                return Err(Error::Other(OtherError(Arc::new(ShownByAuthority))));
            }
            judged => judged?,
        }
        verify_server_name(&shown, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.supported)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.supported)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.supported.supported_schemes()
    }
}
