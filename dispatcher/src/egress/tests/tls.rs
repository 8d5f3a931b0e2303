//! Sinks behind TLS.

use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;
use volley_spec::route::HttpTarget;

use super::stage::{OK, Script, Sink, Stage, answers, answers_and_closes, failed, perform, status};
use crate::{
    egress::{Endpoint, SystemNetwork},
    outcome::FailedKind,
};

/// A TLS sink for `localhost`; returns its port and its certificate.
async fn server(tasks: &mut JoinSet<()>, script: Script) -> (u16, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
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
    (port, cert.pem())
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
