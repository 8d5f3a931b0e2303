//! Sinks behind TLS.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer},
    sign::{CertifiedKey, SingleCertAndKey},
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;
use volley_spec::route::HttpTarget;

use super::stage::{OK, Script, Sink, Stage, answers, answers_and_closes, failed, perform, status};
use crate::{
    egress::{Endpoint, SystemNetwork},
    outcome::{FailedKind, Outcome},
};

/// A TLS sink for `localhost`; returns its port and its certificate.
async fn server(tasks: &mut JoinSet<()>, script: Script) -> (u16, String) {
    let key = KeyPair::generate().unwrap();
    let cert = params("localhost").self_signed(&key).unwrap();
    let port = serve(tasks, cert.der().clone(), &key, script).await;
    (port, cert.pem())
}

fn params(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).unwrap()
}

/// What `openssl req -x509` makes: signed by itself, and a CA.
fn authority(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A TLS sink that shows `cert` and signs with `key`; returns its port.
async fn serve(
    tasks: &mut JoinSet<()>,
    cert: CertificateDer<'static>,
    key: &KeyPair,
    script: Script,
) -> u16 {
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = ring::sign::any_supported_type(&key).unwrap();
    let shown = SingleCertAndKey::from(CertifiedKey::new(vec![cert], key));
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(shown));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut buffer = Vec::new();
            for act in script.clone() {
                if perform(&mut stream, &mut buffer, act).await.is_err() {
                    break;
                }
            }
        }
    });
    port
}

/// The outcome of an attempt at `localhost`, which shows `cert`, where `given` is trusted.
async fn shown(cert: CertificateDer<'static>, key: &KeyPair, given: &str) -> Outcome {
    let mut tasks = JoinSet::new();
    let port = serve(&mut tasks, cert, key, answers(OK)).await;
    let mut stage = stage_at(&format!("https://localhost:{port}/"), Some(given));
    stage.attempt().await
}

/// Why there was no connection.
fn why(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Failed(failed) if failed.kind == FailedKind::Unreachable => &failed.message,
        other => panic!("it was not refused: {other:?}"),
    }
}

fn stage_at(url: &str, ca_certs: Option<&str>) -> Stage {
    let mut stage = Stage::over(
        Arc::new(SystemNetwork),
        Sink::default(),
        "http://x/",
        |_| {},
    );
    let target = HttpTarget {
        url: url.to_owned(),
        ca_certs: ca_certs.map(str::to_owned),
    };
    stage.to = Arc::new(Endpoint::parse(&target).unwrap());
    stage
}

#[tokio::test]
async fn the_certificates_of_a_target_are_trusted_for_it() {
    let mut tasks = JoinSet::new();
    let (port, pem) = server(&mut tasks, answers(OK)).await;
    let mut stage = stage_at(&format!("https://localhost:{port}/in"), Some(&pem));
    for _ in 0..5 {
        assert_eq!(status(&stage.attempt().await), 202);
    }
    assert_eq!(stage.egress.connections(), 1);
}

#[tokio::test]
async fn a_stale_connection_behind_tls_costs_no_attempt() {
    let mut tasks = JoinSet::new();
    let (port, pem) = server(&mut tasks, answers_and_closes(OK)).await;
    let mut stage = stage_at(&format!("https://localhost:{port}/"), Some(&pem));
    for _ in 0..5 {
        assert_eq!(status(&stage.attempt().await), 202);
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let mut tasks = JoinSet::new();
    let (port, _) = server(&mut tasks, answers(OK)).await;
    let mut stage = stage_at(&format!("https://localhost:{port}/"), None);
    assert_eq!(failed(&stage.attempt().await), FailedKind::Unreachable);
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let mut tasks = JoinSet::new();
    let (port, pem) = server(&mut tasks, answers(OK)).await;
    let mut stage = stage_at(&format!("https://127.0.0.1:{port}/"), Some(&pem));
    assert_eq!(failed(&stage.attempt().await), FailedKind::Unreachable);
}

#[tokio::test]
async fn a_certificate_of_a_ca_that_is_given_is_its_own_sinks_too() {
    let key = KeyPair::generate().unwrap();
    let cert = authority("localhost").self_signed(&key).unwrap();
    let outcome = shown(cert.der().clone(), &key, &cert.pem()).await;
    assert_eq!(status(&outcome), 202);
    let cert = authority("127.0.0.1").self_signed(&key).unwrap();
    let mut tasks = JoinSet::new();
    let port = serve(&mut tasks, cert.der().clone(), &key, answers(OK)).await;
    let mut stage = stage_at(&format!("https://127.0.0.1:{port}/"), Some(&cert.pem()));
    assert_eq!(status(&stage.attempt().await), 202);
}

#[tokio::test]
async fn a_certificate_that_is_given_needs_no_ca_that_is() {
    let key = KeyPair::generate().unwrap();
    let mut ca = authority("ca.example");
    ca.distinguished_name
        .push(DnType::CommonName, "an authority of its own");
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap());
    let cert = params("localhost").signed_by(&key, &ca.unwrap()).unwrap();
    let outcome = shown(cert.der().clone(), &key, &cert.pem()).await;
    assert_eq!(status(&outcome), 202);
    let other = params("localhost").self_signed(&KeyPair::generate().unwrap());
    let outcome = shown(cert.der().clone(), &key, &other.unwrap().pem()).await;
    assert!(why(&outcome).contains("UnknownIssuer"), "{outcome:?}");
}

#[tokio::test]
async fn another_certificate_of_a_ca_is_refused_with_what_to_do() {
    let key = KeyPair::generate().unwrap();
    let cert = authority("localhost").self_signed(&key).unwrap();
    let renewed = authority("localhost").self_signed(&key).unwrap();
    let other = authority("localhost").self_signed(&KeyPair::generate().unwrap());
    for given in [other.unwrap().pem(), renewed.pem()] {
        let outcome = shown(cert.der().clone(), &key, &given).await;
        assert!(
            why(&outcome).contains("basicConstraints=critical,CA:FALSE"),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_certificate_that_is_given_is_good_for_its_names_and_its_time_alone() {
    let key = KeyPair::generate().unwrap();
    let [mut expired, mut early] = ["localhost"; 2].map(authority);
    expired.not_after = date_time_ymd(2001, 1, 1);
    early.not_before = date_time_ymd(4000, 1, 1);
    let mut late = params("localhost");
    late.not_after = date_time_ymd(2001, 1, 1);
    for (params, reason) in [
        (authority("other.example"), "not valid for name"),
        (expired, "expired"),
        (early, "not valid yet"),
        (late, "expired"),
    ] {
        let cert = params.self_signed(&key).unwrap();
        let outcome = shown(cert.der().clone(), &key, &cert.pem()).await;
        assert!(why(&outcome).contains(reason), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_given_is_refused_from_one_who_has_not_its_key() {
    let key = KeyPair::generate().unwrap();
    let cert = authority("localhost").self_signed(&key).unwrap();
    let thief = KeyPair::generate().unwrap();
    let outcome = shown(cert.der().clone(), &thief, &cert.pem()).await;
    assert!(why(&outcome).contains("BadSignature"), "{outcome:?}");
}

#[tokio::test]
async fn plain_http_where_tls_was_wanted_is_unreachable_and_the_other_way_round_broken() {
    let mut tasks = JoinSet::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = super::stage::say("HTTP/1.1 400 Bad Request\r\n\r\n");
            let said = perform(&mut stream, &mut Vec::new(), answer).await;
            drop(said);
        }
    });
    let mut stage = stage_at(&format!("https://127.0.0.1:{plain}/"), None);
    assert_eq!(failed(&stage.attempt().await), FailedKind::Unreachable);
    let (port, _) = server(&mut tasks, answers(OK)).await;
    let mut stage = stage_at(&format!("http://127.0.0.1:{port}/"), None);
    assert_eq!(failed(&stage.attempt().await), FailedKind::Broken);
}
