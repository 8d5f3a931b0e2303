//! What TLS asks of a Destination: certificates that can be read, and a host that one can be for.
//!
//! The checks refuse by these functions what egress could not use, and egress asks the same ones:
//! what `check` took is never found unusable when an event is due. Nothing is verified here, and
//! no key is looked at.

use rustls_pki_types::{
    CertificateDer, ServerName,
    pem::{self, PemObject},
};
use url::Host;

/// What is wrong with a certificate whose text lost lines, or was altered.
const DAMAGED: &str = "a part of it is missing or changed";

/// Why a text of certificates can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificatesError {
    /// It is not PEM, or holds none.
    #[error("no certificate in the text")]
    Missing,
    /// One of them is damaged, or of a kind that can't be trusted.
    #[error("certificate {number} can't be read: {why}")]
    Unreadable {
        /// Which one; the first is 1.
        number: usize,
        /// What is wrong with it.
        why: String,
    },
}

/// The certificates in `pem`, each of which can be a trust anchor.
///
/// # Errors
///
/// There is none, or one of them can't be used: its author has to mend it.
pub fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, CertificatesError> {
    let mut found = Vec::new();
    for read in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let number = found.len() + 1;
        let unreadable = |why| CertificatesError::Unreadable { number, why };
        let certificate = read.map_err(|error| {
            unreadable(match error {
                pem::Error::MissingSectionEnd { .. } => "its END line is missing".to_owned(),
                _ => DAMAGED.to_owned(),
            })
        })?;
        webpki::anchor_from_trusted_cert(&certificate).map_err(|error| {
            unreadable(match error {
                webpki::Error::BadDer | webpki::Error::TrailingData(_) => DAMAGED.to_owned(),
                other => other.to_string(),
            })
        })?;
        found.push(certificate);
    }
    if found.is_empty() {
        return Err(CertificatesError::Missing);
    }
    Ok(found)
}

/// The name that a certificate has to be for so that it is one of `host`'s; none where no
/// certificate can be.
pub fn server_name(host: &Host<&str>) -> Option<ServerName<'static>> {
    match host {
        Host::Domain(name) => ServerName::try_from((*name).to_owned()).ok(),
        Host::Ipv4(address) => Some(ServerName::IpAddress((*address).into())),
        Host::Ipv6(address) => Some(ServerName::IpAddress((*address).into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_a_certificate_can_be_for() {
        let longest = "x".repeat(63);
        for name in ["h", "sink.example", "a_b.example", "_h", "h.", &longest] {
            assert!(server_name(&Host::Domain(name)).is_some(), "{name}");
        }
        let longer = "x".repeat(64);
        for name in [
            "${HOST}",
            "$(HOST)",
            "a..b",
            ".a",
            "x-.example",
            "-x.example",
            "a b",
            &longer,
        ] {
            assert!(server_name(&Host::Domain(name)).is_none(), "{name}");
        }
        assert!(server_name(&Host::Ipv4([127, 0, 0, 1].into())).is_some());
        assert!(server_name(&Host::Ipv6(std::net::Ipv6Addr::LOCALHOST)).is_some());
    }
}
