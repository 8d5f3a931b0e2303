//! What goes out.

use super::stage::{OK, Stage, answers, endpoint, event, status};
use crate::egress::{Endpoint, EndpointError};
use rustls::pki_types::ServerName;
use volley_spec::route::HttpTarget;

#[tokio::test(start_paused = true)]
async fn an_event_goes_out_as_one_request_with_its_headers() {
    let mut stage = Stage::new();
    stage.sink.then(answers(OK));
    assert_eq!(status(&stage.attempt().await), 202);
    let request = stage.sink.requests().remove(0);
    assert!(
        request.starts_with("POST /in?x=1 HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.ends_with("\r\n\r\nhello"), "{request}");
    for header in [
        "host: 192.0.2.1:8000",
        "content-length: 5",
        "content-type: text/plain",
        "prefer: reply",
        "ce-id: e1",
        "ce-source: /stage",
        "ce-type: com.example.tested",
        "ce-specversion: 1.0",
    ] {
        assert_eq!(
            request.matches(&format!("\r\n{header}\r\n")).count(),
            1,
            "{header} in {request}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_without_data_says_that_its_length_is_zero() {
    let mut stage = Stage::new();
    stage.sink.then(answers(OK));
    stage.event = event(b"");
    assert_eq!(status(&stage.attempt().await), 202);
    assert!(stage.sink.requests()[0].contains("\r\ncontent-length: 0\r\n"));
}

#[tokio::test(start_paused = true)]
async fn user_and_password_of_a_url_go_into_a_header_and_nowhere_else() {
    let mut stage = Stage::new();
    stage.sink.then(answers(OK));
    stage.to = endpoint("http://al%69ce:p%40ss@192.0.2.1/");
    assert_eq!(status(&stage.attempt().await), 202);
    let request = stage.sink.requests().remove(0);
    assert!(
        request.contains("\r\nauthorization: Basic YWxpY2U6cEBzcw==\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\nhost: 192.0.2.1\r\n"), "{request}");
    assert!(
        !format!("{:?}", stage.to).contains("YWxpY2U6cEBzcw"),
        "it is not for logs"
    );
}

#[tokio::test(start_paused = true)]
async fn endpoints_of_one_host_and_port_share_connections() {
    let mut stage = Stage::new();
    stage.sink.then(answers(OK));
    for url in [
        "http://192.0.2.1/a",
        "http://192.0.2.1:80/b",
        "http://192.0.2.1",
    ] {
        stage.to = endpoint(url);
        assert_eq!(status(&stage.attempt().await), 202);
        stage.settle().await;
    }
    assert_eq!(stage.sink.connects(), 1);
    stage.to = endpoint("http://192.0.2.1:81/a");
    assert_eq!(status(&stage.attempt().await), 202);
    assert_eq!(stage.sink.connects(), 2);
}

#[test]
fn a_url_that_cannot_be_sent_to_is_an_error_and_never_a_panic() {
    for url in [
        "",
        "/path",
        "ftp://host/",
        "http://",
        "http://host:99999/",
        "https://host:x/",
    ] {
        let target = HttpTarget {
            url: url.into(),
            ca_certs: None,
        };
        assert!(
            matches!(Endpoint::parse(&target), Err(EndpointError::Url(_))),
            "{url}"
        );
    }
    let target = |ca: &str| HttpTarget {
        url: "https://host/".into(),
        ca_certs: Some(ca.into()),
    };
    for ca in [
        "",
        "no pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert!(
            matches!(Endpoint::parse(&target(ca)), Err(EndpointError::Trust(_))),
            "{ca}"
        );
    }
}

#[test]
fn over_tls_a_host_is_what_the_library_takes_as_a_name() {
    let long = ["x".repeat(63), "x".repeat(64), ["x"; 128].join(".")];
    let hosts = [
        "h",
        "h.",
        "_h",
        "a_b.example",
        "1a.example",
        "xn--bcher-kva.example",
        "127.0.0.1",
        "x-.example",
        "-x.example",
        "a..b",
        ".a",
        "${h}",
        "$(h)",
        "{h}",
        "a!b",
        "a~b",
        "a*b",
    ];
    let hosts = hosts.into_iter().chain(long.iter().map(String::as_str));
    let mut taken = 0;
    for host in hosts {
        let target = HttpTarget {
            url: format!("https://{host}/"),
            ca_certs: None,
        };
        let named = ServerName::try_from(host).is_ok();
        assert_eq!(Endpoint::parse(&target).is_ok(), named, "{host}");
        taken += usize::from(named);
    }
    assert_eq!(taken, 8);
}
