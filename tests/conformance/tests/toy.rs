//! The judge judged: a toy broker that tries again but knows no filter passes what it can do and
//! fails the rest.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{io::AsyncWriteExt, io::BufReader, net::TcpListener, task::JoinSet, time::sleep};
use volley_conformance::{
    cases::{Cases, Run},
    report::Report,
    sink::Place,
    subject::{Subject, remote::Remote},
    terms::Terms,
    wire,
};

/// A Broker's name and the address of one of its Triggers' subscribers.
type Routes = Arc<Mutex<Vec<(String, String)>>>;

/// Every subscriber of every Trigger, read from lines that the run writes in one form.
fn routes(yaml: &str) -> Vec<(String, String)> {
    let mut broker = String::new();
    let mut routes = Vec::new();
    for line in yaml.lines() {
        if let Some(name) = line.strip_prefix("  broker: ") {
            name.clone_into(&mut broker);
        }
        if let Some(rest) = line.strip_prefix("  subscriber: {uri: \"") {
            routes.push((broker.clone(), rest.trim_end_matches("\"}").to_owned()));
        }
    }
    routes
}

/// How often the toy tries to deliver an event.
const ATTEMPTS: usize = 6;
/// When it delivers again what was taken, if that is its habit.
const AGAIN: Duration = Duration::from_millis(50);

/// What a toy does wrong besides knowing no filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    Fine,
    /// It delivers every event once more.
    Repeats,
    /// It takes the event with this id and delivers it to nobody.
    Loses(&'static str),
}

async fn deliver(
    mut stream: tokio::net::TcpStream,
    routes: Vec<(String, String)>,
    habit: Habit,
) -> io::Result<()> {
    let own_host = stream.local_addr()?.to_string();
    let mut stream = BufReader::new(&mut stream);
    let Some(head) = wire::read_head(&mut stream).await? else {
        return Ok(());
    };
    let body = wire::read_body(&mut stream, &head).await?;
    // As behind a proxy that serves many hosts: what is for another one is not for this broker.
    if head.get("host") != Some(own_host.as_str()) {
        let answer = b"HTTP/1.1 421 Misdirected Request\r\nContent-Length: 0\r\n\r\n";
        return stream.write_all(answer).await;
    }
    let broker = head.word(1).rsplit('/').next().unwrap_or_default();
    let mut headers: Vec<_> = head
        .headers
        .iter()
        .filter(|(name, _)| name.starts_with("ce-") || name == "content-type")
        .cloned()
        .collect();
    headers.push(("Prefer".into(), "reply".into()));
    headers.push(("Kn-Namespace".into(), "conformance".into()));
    let urls: Vec<_> = routes
        .iter()
        .filter(|(name, _)| name == broker)
        .map(|(_, url)| url.as_str())
        .collect();
    if !matches!(habit, Habit::Loses(id) if head.get("ce-id") == Some(id)) {
        send(&urls, &headers, &body).await?;
    }
    stream
        .write_all(b"HTTP/1.1 202 Accepted\r\nAllow: POST, OPTIONS\r\nContent-Length: 0\r\n\r\n")
        .await?;
    if habit == Habit::Repeats {
        sleep(AGAIN).await;
        send(&urls, &headers, &body).await?;
    }
    Ok(())
}

async fn send(urls: &[&str], headers: &[(String, String)], body: &[u8]) -> io::Result<()> {
    for url in urls {
        let (authority, target) = wire::split_url(url);
        let request = wire::request("POST", &target, headers, body);
        for _ in 0..ATTEMPTS {
            let answer = wire::ask(&authority, &request, false).await?;
            if answer.status() / 100 == 2 {
                break;
            }
        }
    }
    Ok(())
}

async fn serve(listener: TcpListener, routes: Routes, habit: Habit) {
    let mut asked = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let routes = routes.lock().expect("nobody panics with it").clone();
        asked.spawn(deliver(stream, routes, habit));
    }
}

async fn judge(habit: Habit, only: &[&str]) -> Report {
    let terms = Terms {
        fenced: true,
        ..Terms::default()
    };
    judge_on(&terms, habit, only).await
}

async fn judge_on(terms: &Terms, habit: Habit, only: &[&str]) -> Report {
    let only: Vec<_> = only.iter().map(ToString::to_string).collect();
    let cases = Cases::chosen(&only);
    assert!(cases.count() > 0, "no case is called {only:?}");
    let run = Run::prepare(cases, terms).await.expect("sinks listen");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!(
        "http://{}/{{namespace}}/{{broker}}",
        listener.local_addr().expect("it is bound")
    );
    let table: Routes = Arc::new(Mutex::new(routes(&run.yaml())));
    let mut serving = JoinSet::new();
    serving.spawn(serve(listener, table, habit));
    let subject: Arc<dyn Subject> = Arc::new(Remote {
        url,
        apply_command: "true".into(),
        check_command: None,
        ready_after: Duration::ZERO,
    });
    run.play(subject, 4).await
}

#[tokio::test]
async fn a_broker_that_delivers_to_all_passes_the_rows_about_that() {
    let report = judge(
        Habit::Fine,
        &[
            "routing: a Trigger without filter gets the event",
            "routing: two Triggers without filter both get it",
            "ingress: a body of 65536 bytes arrives once",
            "ingress: version 0.3, Binary",
        ],
    )
    .await;
    assert_eq!(report.failed(), 0, "{report}");
    assert_eq!(report.passed(), 4);
    // A toy has no books that could balance, and that is no reason to say they do.
    assert_eq!(report.not_run(), 1, "{report}");
}

#[tokio::test]
async fn without_a_check_command_admission_is_not_run_and_says_so() {
    let report = judge(
        Habit::Fine,
        &["admission: an empty any", "admission: nested"],
    )
    .await;
    assert_eq!((report.passed(), report.failed()), (0, 0), "{report}");
    let text = report.to_string();
    assert!(
        text.contains("    admission: an empty any is refused\n"),
        "{text}"
    );
    assert!(text.contains("--check-command"), "{text}");
}

#[tokio::test]
async fn a_broker_without_filters_or_checks_is_found_out() {
    let report = judge(
        Habit::Fine,
        &[
            "routing: a Trigger whose filter does not match gets nothing",
            "ingress: ce-id is missing",
            "ingress: GET is not allowed",
        ],
    )
    .await;
    assert_eq!(report.failed(), 3, "{report}");
    let text = report.to_string();
    assert!(text.contains("@t: expected 0 requests, got 1"), "{text}");
    assert!(text.contains("expected [405], got 202"), "{text}");
}

#[tokio::test]
async fn rows_that_go_on_when_all_is_settled_need_no_books() {
    let report = judge(
        Habit::Fine,
        &[
            "redelivery: a receiver that fails by Fibonacci gets every event",
            "hostile: says close, and stays",
            "hostile: talks on unasked",
            "hostile: the connection closes right after each keep-alive answer",
            "hostile: two answers to one request",
        ],
    )
    .await;
    assert_eq!(report.failed(), 0, "{report}");
}

#[tokio::test]
async fn a_broker_that_delivers_again_what_was_taken_is_found_out() {
    let report = judge(
        Habit::Repeats,
        &["routing: a Trigger without filter gets the event"],
    )
    .await;
    let text = report.to_string();
    assert!(text.contains("@t: expected 1 requests, got 2"), "{text}");
}

#[tokio::test]
async fn a_row_stops_at_the_first_event_that_never_arrives() {
    let terms = Terms {
        fenced: true,
        bound: Duration::from_millis(300),
        ..Terms::default()
    };
    let row = "hostile: the connection closes right after each keep-alive answer";
    let text = judge_on(&terms, Habit::Loses("e3"), &[row])
        .await
        .to_string();
    assert!(
        text.contains("event e3 was not taken within 300ms"),
        "{text}"
    );
    assert!(text.contains("@n: expected 8 requests, got 2"), "{text}");
}

#[tokio::test]
async fn sinks_are_reached_where_they_were_told_to_listen() {
    let terms = Terms {
        fenced: true,
        place: Place::new([127, 0, 0, 2].into(), None).expect("an address"),
        ..Terms::default()
    };
    let row = "hostile: says close, and stays";
    let report = judge_on(&terms, Habit::Fine, &[row]).await;
    assert_eq!(report.failed(), 0, "{report}");
}
