//! Traces, with a small collector beside the built binary: the spans of a producer's trace, and none
//! where nobody asked for any.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    thread,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, Span},
};
use prost::Message as _;
use volley_conformance::binary::{Binary, Served, Started, pause};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// Reads one export and answers it.
fn export(stream: TcpStream) -> Option<ExportTraceServiceRequest> {
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    assert!(line.starts_with("POST /v1/traces HTTP/1.1"), "{line}");
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().expect("a number");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body");
    let answer =
        b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
    (&stream).write_all(answer).expect("it listens");
    Some(ExportTraceServiceRequest::decode(body.as_slice()).expect("protobuf"))
}

/// Takes exports until there are `wanted` spans, for at most half a minute.
fn collect(listener: &TcpListener, wanted: usize) -> (Vec<ResourceSpans>, Vec<Span>) {
    listener.set_nonblocking(true).expect("a listener");
    let (mut resources, mut spans) = (Vec::new(), Vec::new());
    let mut beats = 0;
    while spans.len() < wanted {
        let Ok((stream, _)) = listener.accept() else {
            beats += 1;
            assert!(beats < 1_500, "only these came: {spans:?}");
            pause();
            continue;
        };
        stream.set_nonblocking(false).expect("a stream");
        for resource in export(stream)
            .into_iter()
            .flat_map(|export| export.resource_spans)
        {
            let scopes = resource.scope_spans.iter();
            spans.extend(scopes.flat_map(|scope| scope.spans.clone()));
            resources.push(resource);
        }
    }
    spans.sort_by_key(|span| span.end_time_unix_nano);
    (resources, spans)
}

fn attribute(all: &[KeyValue], name: &str) -> String {
    let found = all.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.clone()) {
        Some(AnyValue {
            value: Some(Value::StringValue(text)),
        }) => text,
        Some(AnyValue {
            value: Some(Value::IntValue(number)),
        }) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A Broker `shop` whose events of type `good` go to one sink, and of type `bad` to another one.
fn objects(good: &str, bad: &str) -> String {
    let trigger = |name: &str, uri: &str| {
        format!(
            "---\napiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {{name: {name}}}\nspec:\n  \
             broker: shop\n  filters: [{{exact: {{type: {name}}}}}]\n  subscriber: {{uri: {uri}}}\n  \
             delivery: {{retry: 1, backoffDelay: PT0.01S}}\n"
        )
    };
    format!(
        "apiVersion: eventing.knative.dev/v1\nkind: Broker\nmetadata: {{name: shop}}\n{}{}",
        trigger("good", good),
        trigger("bad", bad)
    )
}

fn send(served: &Served, kind: &str, more: &[&str]) {
    let args = ["send", "--to", "broker/shop", "--type", kind, "--id", kind];
    let said = served.run(&[&args[..], more].concat());
    assert_eq!(said.code, 0, "{said:?}");
}

fn sink(binary: &Binary, status: &str) -> (Started, String) {
    let mut sink = binary.start(&["sink", "--listen", "127.0.0.1:0", "--status", status]);
    let said = sink.error();
    let url = said.trim().strip_prefix("listening on ").expect("where");
    (sink, url.to_owned())
}

#[test]
fn attempts_are_spans_below_the_span_of_the_producer() {
    let collector = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = format!("http://{}", collector.local_addr().expect("an address"));
    let plain = Binary::at(env!("CARGO_BIN_EXE_volley"));
    let traced = plain.clone().with("OTEL_EXPORTER_OTLP_ENDPOINT", &at);
    let ((_one, good), (_two, bad)) = (sink(&plain, "200"), sink(&plain, "503"));
    let mut served = traced.serve_text(&objects(&good, &bad));
    let (resources, spans) = thread::scope(|scope| {
        let collecting = scope.spawn(|| collect(&collector, 4));
        send(&served, "good", &[]);
        let recorded = format!("traceparent=00-{TRACE}-{PARENT}-01");
        let ignored = format!("traceparent=00-{TRACE}-{PARENT}-00");
        send(&served, "good", &["-e", &ignored]);
        for kind in ["good", "bad", "nobody"] {
            send(&served, kind, &["-e", &recorded]);
            served.settled("shop");
        }
        // What is left goes out at the end.
        let pid = served.child.id().to_string();
        let told = Command::new("kill").arg(&pid).status();
        assert!(told.is_ok_and(|status| status.success()), "SIGTERM");
        assert_eq!(served.child.wait(), Some(0));
        collecting.join().expect("it collects")
    });
    let told: Vec<[String; 4]> = spans
        .iter()
        .map(|span| {
            let of = |name| attribute(&span.attributes, name);
            let status = span.status.clone().unwrap_or_default();
            [
                span.name.clone(),
                of("volley.outcome"),
                of("http.response.status_code"),
                status.message,
            ]
        })
        .collect();
    assert_eq!(
        told,
        [
            ["deliver default/shop good", "delivered", "200", ""],
            [
                "deliver default/shop bad",
                "retrying",
                "503",
                "answered 503"
            ],
            [
                "deliver default/shop bad",
                "dropped",
                "503",
                "retriesExhausted: answered 503"
            ],
            ["unmatched default/shop", "unmatched", "None", ""],
        ]
    );
    for span in &spans {
        assert_eq!(
            (hex(&span.trace_id), hex(&span.parent_span_id)),
            (TRACE.to_owned(), PARENT.to_owned())
        );
        assert!(
            span.start_time_unix_nano <= span.end_time_unix_nano,
            "{span:?}"
        );
        assert_eq!(attribute(&span.attributes, "messaging.system"), "volley");
    }
    let resource = resources[0].resource.clone().expect("a resource");
    assert_eq!(attribute(&resource.attributes, "service.name"), "volley");
}

#[test]
fn a_collector_that_is_away_or_not_understood_stops_nothing() {
    let plain = Binary::at(env!("CARGO_BIN_EXE_volley"));
    let (_sink, good) = sink(&plain, "200");
    for (name, value, said) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "no traces are sent"),
        (
            "OTEL_SERVICE_NAME",
            "shop",
            "traces can't be sent; they are dropped",
        ),
    ] {
        let away = plain
            .clone()
            .with("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
        let mut served = away.with(name, value).serve_text(&objects(&good, &good));
        send(
            &served,
            "good",
            &["-e", &format!("traceparent=00-{TRACE}-{PARENT}-01")],
        );
        served.settled("shop");
        let pid = served.child.id().to_string();
        let told = Command::new("kill").arg(&pid).status();
        assert!(told.is_ok_and(|status| status.success()), "SIGTERM");
        assert_eq!(served.child.wait(), Some(0));
        assert_eq!(served.log(said).len(), 1, "{said}");
    }
}
