//! Flags, variables and files, and what they give.

use std::{ffi::OsString, fs, net::SocketAddr, path::Path, time::Duration};

use volley_broker::objects::OnProblem;
use volley_spec::route::Backend;

use super::{OnCorruption, Orphans, ServeOptions};
use crate::{
    cli::{self, Cli, Command, Refused},
    failure::Failure,
};

fn read(args: &[&str]) -> Result<Cli, Refused> {
    let args = ["volley"].iter().chain(args);
    cli::read(args.map(OsString::from).collect())
}

fn serve(args: &[&str]) -> ServeOptions {
    let args: Vec<&str> = ["serve"].iter().chain(args).copied().collect();
    match read(&args) {
        Ok(Cli {
            command: Command::Serve(options),
            ..
        }) => *options,
        other => panic!("not serve: {other:?}"),
    }
}

fn refused(args: &[&str]) -> String {
    let args: Vec<&str> = ["serve"].iter().chain(args).copied().collect();
    match read(&args) {
        Err(Refused::ByClap(error)) => {
            assert_eq!(error.exit_code(), 2);
            error.to_string()
        }
        Err(Refused::ByFile(failure)) => told(&failure),
        Ok(cli) => panic!("read: {cli:?}"),
    }
}

fn told(failure: &Failure) -> String {
    let mut out = Vec::new();
    failure.report(false, &mut out);
    String::from_utf8(out).expect("text")
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[test]
fn files_are_understood_without_a_flag_too() {
    let options = serve(&["a", "--display", "-f", "b", "c"]);
    assert_eq!(options.files, [Path::new("b")]);
    assert_eq!(options.more_files, [Path::new("a"), Path::new("c")]);
}

#[test]
fn every_default_is_what_the_manual_says() {
    let options = serve(&["-f", "a"]);
    assert_eq!(options.files, [Path::new("a")]);
    assert_eq!(options.data, Path::new("./volley-data"));
    assert_eq!(options.channel, Backend::Log);
    assert_eq!((options.listen, options.admin), (local(8080), local(8081)));
    assert_eq!(
        (options.public_url.as_ref(), options.display()),
        (None, None)
    );
    assert_eq!(options.max_event_bytes, 1 << 20);
    assert_eq!(options.max_connections, 10_000);
    assert_eq!(options.metrics_max_triggers, 1_000);
    assert_eq!(options.max_unindexed, 1_000);
    assert_eq!(options.memory_max_bytes, 256 << 20);
    assert_eq!(
        (options.log_max_bytes, options.log_segment_bytes),
        (None, 256 << 20)
    );
    assert_eq!(options.on_corruption, OnCorruption::Stop);
    assert_eq!(options.on_problem, OnProblem::Stop);
    assert_eq!(options.drain_delay(false), Duration::ZERO);
    assert_eq!(options.drain_delay(true), Duration::from_secs(5));
    assert_eq!(options.shutdown_timeout, Duration::from_secs(25));
    assert_eq!(
        options.orphans,
        Orphans::Keep(Duration::from_secs(7 * 86_400))
    );
    assert!(!options.admin_open && options.threads.is_none() && options.log_format.is_none());
}

#[test]
fn every_flag_can_be_set() {
    let options = serve(&[
        "-f",
        "a",
        "-f",
        "b",
        "--data",
        "d",
        "--channel",
        "memory",
        "--listen",
        "0.0.0.0:0",
        "--admin",
        "localhost:9",
        "--admin-open",
        "--public-url",
        "https://e.example/x",
        "--display=127.0.0.1:7",
        "--threads",
        "2",
        "--max-event-bytes",
        "64KiB",
        "--max-connections",
        "5",
        "--memory-max-bytes",
        "1GiB",
        "--log-max-bytes",
        "1TiB",
        "--log-segment-bytes",
        "8MiB",
        "--on-corruption",
        "quarantine",
        "--drain-delay",
        "250ms",
        "--shutdown-timeout",
        "1m",
        "--on-problem",
        "skip",
        "--orphans",
        "discard",
        "--secret-dir",
        "s",
        "--log-format",
        "json",
        "--log",
        "debug",
    ]);
    assert_eq!(options.files.len(), 2);
    assert_eq!(options.admin, local(9));
    assert!(options.admin_open);
    assert_eq!(options.display(), Some(local(7)));
    assert_eq!(options.max_event_bytes, 64 << 10);
    assert_eq!(options.drain_delay(true), Duration::from_millis(250));
    assert_eq!(options.orphans, Orphans::Discard);
    assert_eq!(
        serve(&["--display", "-f", "a"]).display(),
        Some(local(8082))
    );
}

#[test]
fn values_out_of_range_are_refused_with_the_way_to_write_them() {
    for (args, words) in [
        (["--max-event-bytes", "65535"], "from 64KiB to 1GiB"),
        (["--max-event-bytes", "1MB"], "1MiB"),
        (["--threads", "0"], "1..=1024"),
        (["--listen", "8080"], "127.0.0.1:8080"),
        (["--drain-delay", "5"], "25s"),
        (["--drain-delay=-1s", "--display"], "25s"),
        (["--orphans", "forever"], "or discard"),
        (["--channel", "rabbit"], "log, memory, kafka or nats"),
        (["--channel", "kafka"], "this build has no channel kafka"),
        (["--public-url", "events.example"], "absolute URL"),
        (["--on-problem", "go"], "stop or skip"),
        (["--lisen", "127.0.0.1:1"], "--listen"),
    ] {
        let told = refused(&args);
        assert!(told.contains(words), "{args:?}: {told}");
    }
}

fn with_file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a scratch file");
    fs::write(file.path(), text).expect("it can be written");
    file
}

#[test]
fn a_file_sets_what_no_flag_sets() {
    let file = with_file(
        "filename: [a, b]\nlisten: 127.0.0.1:1\nmax-connections: 7\nadmin-open: true\n\
         display: on\nserver: http://127.0.0.1:3\n",
    );
    let path = file.path().to_str().expect("a path");
    let options = serve(&["--listen", "127.0.0.1:2", "--config", path]);
    assert_eq!(options.files, [Path::new("a"), Path::new("b")]);
    assert_eq!(options.listen, local(2), "the flag wins");
    assert_eq!(options.max_connections, 7);
    assert!(options.admin_open);
    assert_eq!(options.display(), Some(local(8082)));
    let Ok(Cli {
        command: Command::Get(args),
        ..
    }) = read(&["get", "brokers", "--config", path])
    else {
        panic!("not get");
    };
    assert_eq!(args.asked.server, "http://127.0.0.1:3");
}

#[test]
fn an_unknown_key_or_a_wrong_value_of_a_file_is_named() {
    for (text, words) in [
        (
            "lisen: x\n",
            "unknown key \"lisen\"\nhint: did you mean \"listen\"?",
        ),
        ("colour: x\n", "did you mean \"color\"?"),
        ("zzz: x\n", "hint: keys are the flags' names"),
        ("threads: 0\n", "invalid value '0' for '--threads"),
        (
            "threads: {a: 1}\n",
            "threads: neither a text nor a list of texts",
        ),
        ("- threads\n", "not a list of settings"),
        ("config: x\n", "unknown key \"config\""),
        ("a: [\n", "error: "),
    ] {
        let file = with_file(text);
        let path = file.path().to_str().expect("a path");
        let told = refused(&["-f", "a", "--config", path]);
        assert!(
            told.contains(words) && told.contains(path),
            "{text:?}: {told}"
        );
    }
    let told = refused(&["-f", "a", "--config", "/nowhere/volley.yaml"]);
    assert!(told.contains("/nowhere/volley.yaml"), "{told}");
}
