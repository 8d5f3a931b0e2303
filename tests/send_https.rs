//! `volley send` to a server behind TLS: whom it trusts, and what it says where it does not.

use std::{fs, sync::Arc};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    process::Command,
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer},
};
use volley_conformance::binary::{Binary, Said};

/// A server for `localhost` that answers every request with 202; its port and certificate.
async fn server(tasks: &mut JoinSet<()>) -> (u16, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tasks.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut read = Vec::new();
            while !read.ends_with(b"the data") {
                if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let answer = b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n";
            // The test sees what it was answered.
            drop(stream.write_all(answer).await);
        }
    });
    (port, cert.pem())
}

async fn send(to: &str, more: &[&str]) -> Said {
    let args = [
        &["send", "--to", to, "--data", "the data", "--id", "1"],
        more,
    ]
    .concat();
    let command = Binary::at(env!("CARGO_BIN_EXE_volley")).command(&args);
    let output = Command::from(command).output().await;
    Said::of(&output.expect("the binary runs"))
}

#[tokio::test]
async fn an_event_goes_to_a_server_whose_certificate_is_trusted() {
    let mut tasks = JoinSet::new();
    let (port, pem) = server(&mut tasks).await;
    let folder = tempfile::tempdir().expect("a scratch folder");
    let file = folder.path().join("ca.pem");
    fs::write(&file, pem).expect("it can be written");
    let file = file.to_str().expect("a path that is text");
    let (to, trusted) = (format!("https://localhost:{port}/in"), ["--cacert", file]);

    let said = send(&to, &trusted).await;
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "202 Accepted: event 1\n"),
        "{said:?}"
    );

    let said = send(&to, &[]).await;
    assert_eq!(said.code, 4, "{said:?}");
    assert!(
        said.err.contains("no TLS connection") && said.err.contains("--cacert"),
        "{said:?}"
    );

    let elsewhere = format!("https://127.0.0.1:{port}/in");
    assert_eq!(
        send(&elsewhere, &trusted).await.code,
        4,
        "the certificate is for localhost"
    );

    let said = send(&to, &[&trusted[..], &["--dry-run", "curl"]].concat()).await;
    assert!(
        said.out.contains(&format!(" --cacert '{file}' ")),
        "{said:?}"
    );
}

#[tokio::test]
async fn certificates_that_can_not_be_used_are_wrong_usage() {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "").expect("it can be written");
    for path in [empty.as_path(), &folder.path().join("nowhere.pem")] {
        let path = path.to_str().expect("a path that is text");
        let said = send("https://localhost:1/", &["--cacert", path]).await;
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains("--cacert takes a file"), "{said:?}");
    }
}
