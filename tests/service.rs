//! Volley as a service: what the service manager hears, the limit of open files, and whether what
//! stands in `deploy` fits the binary.

use std::{
    collections::BTreeSet,
    fs,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use volley_conformance::{
    declare::{broker, trigger, yaml},
    producer::Producer,
    sink::Sink,
    subject::{Subject, volley::Volley},
};

fn deploy(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(path)
}

/// A program that starts the binary in other surroundings: `before` are lines of its shell script.
fn started_by(folder: &TempDir, before: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.path().join("start");
    let binary = env!("CARGO_BIN_EXE_volley");
    fs::write(
        &path,
        format!("#!/bin/sh\n{before}\nexec {binary} \"$@\"\n"),
    )
    .expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("made executable");
    path
}

async fn start(program: PathBuf, objects: &str, flags: &[&str]) -> Volley {
    Volley::start(program, objects, flags)
        .await
        .expect("it starts")
}

async fn end(volley: Volley) {
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}

/// The messages that came, one a line.
fn heard(socket: &UnixDatagram) -> Vec<String> {
    let mut lines = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(length) = socket.recv(&mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..length]);
        lines.extend(text.lines().map(str::to_owned));
    }
    lines
}

#[tokio::test]
async fn the_service_manager_hears_ready_and_stopping() {
    let folder = TempDir::new().expect("a scratch folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .expect("it is set");
    let program = started_by(&folder, &format!("export NOTIFY_SOCKET={}", path.display()));
    let sink = Sink::listen().await.expect("a sink");
    let objects = yaml(&[&broker("shop"), &trigger("t", "shop", &sink.url("/t"))]);
    let volley = start(program, &objects, &[]).await;
    let ready = heard(&socket);
    assert_eq!(
        ready.first().map(String::as_str),
        Some("READY=1"),
        "{ready:?}"
    );
    let status = format!("STATUS=takes events at http://{}", volley.data());
    assert!(ready.contains(&status), "{ready:?}");
    let mut producer = Producer::new(volley.broker("default", "shop"));
    assert_eq!(producer.event("1", "t", &[]).await.expect("an answer"), 202);
    drop(producer);
    end(volley).await;
    assert_eq!(heard(&socket), ["STOPPING=1"]);
}

#[tokio::test]
async fn a_service_manager_without_a_path_hears_it_too() {
    let folder = TempDir::new().expect("a scratch folder");
    let name = format!("volley-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let socket = UnixDatagram::bind_addr(&address).expect("a socket");
    let patience = Some(Duration::from_millis(500));
    socket.set_read_timeout(patience).expect("it is set");
    let program = started_by(&folder, &format!("export NOTIFY_SOCKET=@{name}"));
    let volley = start(program, &broker("shop").yaml(), &[]).await;
    assert_eq!(heard(&socket).first().map(String::as_str), Some("READY=1"));
    end(volley).await;
}

#[tokio::test]
async fn a_hangup_ends_no_service() {
    let program = env!("CARGO_BIN_EXE_volley").into();
    let volley = start(program, &broker("shop").yaml(), &[]).await;
    let pid = volley.pid().to_string();
    let sent = Command::new("kill").args(["-HUP", &pid]).status();
    assert!(sent.expect("it was sent").success());
    let told = "nothing to do on SIGHUP";
    for _ in 0..100 {
        if volley.log().contains(told) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(volley.log().contains(told), "{}", volley.log());
    end(volley).await;
}

#[tokio::test]
async fn a_manager_that_does_not_listen_keeps_nobody_from_starting() {
    let folder = TempDir::new().expect("a scratch folder");
    let program = started_by(&folder, "export NOTIFY_SOCKET=/nowhere/notify");
    let volley = start(program, &broker("shop").yaml(), &[]).await;
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
    assert!(volley.log().contains("NOTIFY_SOCKET"), "{}", volley.log());
}

#[tokio::test]
async fn the_soft_limit_of_open_files_becomes_the_hard_one() {
    let folder = TempDir::new().expect("a scratch folder");
    let program = started_by(&folder, "ulimit -S -n 256");
    let volley = start(program, &broker("shop").yaml(), &[]).await;
    let limits = fs::read_to_string(format!("/proc/{}/limits", volley.pid())).expect("its limits");
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = line.expect("a line").split_whitespace().collect();
    assert_ne!(words[3], "256");
    assert_eq!(words[3], words[4], "{words:?}");
    end(volley).await;
}

/// The words of `text` that are names of metrics.
fn metrics(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("volley_"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn every_metric_of_dashboard_and_alerts_is_on_the_page_with_a_help_text() {
    let sink = Sink::listen().await.expect("a sink");
    let objects = yaml(&[&broker("shop"), &trigger("t", "shop", &sink.url("/t"))]);
    let volley = start(env!("CARGO_BIN_EXE_volley").into(), &objects, &[]).await;
    let mut producer = Producer::new(volley.broker("default", "shop"));
    assert_eq!(producer.event("1", "t", &[]).await.expect("an answer"), 202);
    volley
        .books_until("default", "shop", |books| {
            books.is_done() && books.accepted == 1
        })
        .await
        .expect("it is delivered");
    let page = volley.metrics().await.expect("a page");
    let samples = metrics(&page);
    let dashboard = fs::read_to_string(deploy("monitoring/dashboard.json")).expect("a dashboard");
    let parsed: Value = serde_json::from_str(&dashboard).expect("JSON");
    let panels = parsed["panels"].as_array().expect("panels");
    let told = |panel: &Value| {
        panel["description"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    };
    assert!(panels.len() >= 10 && panels.iter().all(told));
    let alerts = fs::read_to_string(deploy("monitoring/alerts.yaml")).expect("alerts");
    let used = &metrics(&dashboard) | &metrics(&alerts);
    assert!(used.len() >= 15, "{used:?}");
    for name in &used {
        assert!(samples.contains(name), "{name} is not on the page");
        let base = name.strip_suffix("_bucket").unwrap_or(name);
        let help = page
            .lines()
            .find_map(|line| line.strip_prefix(&format!("# HELP {base} ")));
        assert!(
            help.is_some_and(|help| help.len() > 8),
            "{base} has no help text"
        );
    }
    // And the other way: nothing that can be looked at is left out of the dashboard.
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    for name in families.filter_map(|line| line.split(' ').next()) {
        let shown = used
            .iter()
            .any(|used| used.strip_suffix("_bucket").unwrap_or(used) == name);
        assert!(
            shown || name == "volley_build_info",
            "{name} is in no panel or alert"
        );
    }
    drop(producer);
    end(volley).await;
}

/// The flags of `volley serve`, from its help.
fn flags() -> BTreeSet<String> {
    let help = Command::new(env!("CARGO_BIN_EXE_volley"))
        .args(["serve", "--help"])
        .output()
        .expect("it runs");
    let help = String::from_utf8(help.stdout).expect("text");
    let words = help.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
    words
        .filter(|word| word.starts_with("--") || word.starts_with("VOLLEY_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_unit_the_container_and_the_compose_file_name_what_there_is() {
    let flags = flags();
    let known = |word: &str| assert!(flags.contains(word), "volley serve knows no {word}");
    let unit = fs::read_to_string(deploy("systemd/volley.service")).expect("a unit");
    for line in [
        "Type=notify",
        "StateDirectory=volley",
        "DynamicUser=yes",
        "LimitNOFILE=1048576",
        "RestartPreventExitStatus=2",
    ] {
        assert!(unit.lines().any(|have| have == line), "{line}");
    }
    let runs = unit
        .lines()
        .find(|line| line.starts_with("ExecStart="))
        .expect("what it runs");
    runs.split(' ')
        .filter(|word| word.starts_with("--"))
        .for_each(known);
    let container = fs::read_to_string(deploy("container/Containerfile")).expect("a file");
    let words = container.split(|c: char| c.is_whitespace() || c == '=');
    words
        .filter(|word| word.starts_with("VOLLEY_"))
        .for_each(known);
    assert!(container.contains("USER 65532:65532") && container.contains("STOPSIGNAL SIGTERM"));
    // Every file that the compose file mounts is there.
    let compose = fs::read_to_string(deploy("container/compose.yaml")).expect("a file");
    let mounts = compose
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- ../"));
    let mut count = 0;
    for mount in mounts {
        let path = mount.split(':').next().expect("a path");
        assert!(deploy(path).exists(), "{path} is not there");
        count += 1;
    }
    assert!(count >= 6, "{count}");
    let settings = compose.lines().map(str::trim);
    let settings = settings.filter(|line| line.starts_with("VOLLEY_"));
    let settings: Vec<&str> = settings
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect();
    settings.iter().copied().for_each(known);
    // The quickstart delivers to the receiver that this starts.
    assert!(settings.contains(&"VOLLEY_DISPLAY"), "{settings:?}");
    assert!(deploy("../deploy/container/Containerfile").is_file());
}
