//! What is sent in the first moment after Ready is delivered like anything else.

use std::collections::BTreeMap;

use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::TcpStream,
    task::JoinSet,
};
use volley_conformance::{
    declare::{broker, trigger, yaml},
    producer::headers,
    sink::Sink,
    subject::{
        Subject,
        volley::{Volley, is_ready},
    },
    wire::{read_body, read_head},
};

const PRODUCERS: usize = 50;

/// The requests of one producer, for one write: the id of each, and all that is sent.
fn requests(place: &(String, String), producer: usize, each: usize) -> (Vec<String>, Vec<u8>) {
    let (authority, target) = place;
    let ids: Vec<_> = (0..each)
        .map(|number| format!("{producer}-{number}"))
        .collect();
    let write = |id: &String| {
        let mut head = format!("POST {target} HTTP/1.1\r\nhost: {authority}\r\n");
        for (name, value) in headers(id, "com.example.first", &[]) {
            head.extend([&name, ": ", &value, "\r\n"]);
        }
        head + "content-length: 2\r\n\r\n{}"
    };
    let sent: String = ids.iter().map(write).collect();
    let sent = sent.into_bytes();
    (ids, sent)
}

/// Connections for [`send`].
async fn connect(place: &(String, String)) -> Vec<TcpStream> {
    let mut open = Vec::new();
    for _ in 0..PRODUCERS {
        open.push(TcpStream::connect(&place.0).await.expect("a connection"));
    }
    open
}

/// Posts `each` events on every connection at once, the next one without waiting for an answer to the one
/// before; the ids, all of which were accepted, each once.
async fn send(
    place: &(String, String),
    open: Vec<TcpStream>,
    each: usize,
) -> BTreeMap<String, usize> {
    let mut sending = JoinSet::new();
    let prepared: Vec<_> = (0..PRODUCERS)
        .map(|name| requests(place, name, each))
        .collect();
    for (mut stream, (ids, sent)) in open.into_iter().zip(prepared) {
        sending.spawn(async move {
            let (reader, mut writer) = stream.split();
            let mut reader = BufReader::new(reader);
            let write = async {
                writer
                    .write_all(&sent)
                    .await
                    .expect("the requests are sent")
            };
            let read = async {
                for id in &ids {
                    let head = read_head(&mut reader).await.expect("an answer");
                    let head = head.expect("an open connection");
                    assert_eq!(head.word(1), "202", "event {id}: {head:?}");
                    read_body(&mut reader, &head).await.expect("its body");
                }
            };
            tokio::join!(write, read);
            ids
        });
    }
    let mut all = BTreeMap::new();
    while let Some(ids) = sending.join_next().await {
        let ids = ids.expect("every producer was answered");
        all.extend(ids.into_iter().map(|id| (id, 1)));
    }
    all
}

#[tokio::test]
async fn ten_thousand_events_right_after_the_ready_line_all_arrive_once() {
    let sink = Sink::listen().await.expect("a sink");
    let objects = yaml(&[
        &broker("shop"),
        &trigger("all", "shop", &sink.url("/all")),
        &trigger("first", "shop", &sink.url("/first"))
            .spec("filters: [{exact: {type: com.example.first}}]"),
    ]);
    let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), &objects, &[])
        .await
        .expect("it starts");
    let place = volley.broker("default", "shop");
    let sent = send(&place, connect(&place).await, 10_000 / PRODUCERS).await;
    assert_eq!(sent.len(), 10_000);
    let books = volley
        .books_until("default", "shop", |books| books.is_done())
        .await
        .expect("everything is finished");
    assert_eq!(books.accepted, 10_000);
    for path in ["/all", "/first"] {
        assert!(sink.ids(path) == sent, "{path}: {:?}", books.triggers);
    }
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}

#[tokio::test]
async fn a_trigger_added_live_gets_all_that_is_sent_once_it_says_ready() {
    const ROUNDS: usize = 4;
    let sink = Sink::listen().await.expect("a sink");
    let objects = broker("shop").yaml();
    let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), &objects, &[])
        .await
        .expect("it starts");
    let place = volley.broker("default", "shop");
    for round in 0..ROUNDS {
        let name = format!("live-{round}");
        let path = format!("/{name}");
        let added = trigger(&name, "shop", &sink.url(&path));
        let open = connect(&place).await;
        volley.apply(&name, &added.yaml()).await.expect("a file");
        let ready = volley.until(added.object(), |shown| shown.is_some_and(is_ready));
        ready.await.expect("it gets Ready");
        let sent = send(&place, open, 50).await;
        let books = volley
            .books_until("default", "shop", |books| books.is_done())
            .await
            .expect("everything is finished");
        assert!(sink.ids(&path) == sent, "{name}: {:?}", books.row(&name));
    }
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}
