//! What the documents tell people to type: YAML that holds, commands and flags that there are, metrics
//! that are measured, and every line and README's first screen run as they stand. The lines of the
//! examples' READMEs run in `examples.rs` as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use volley_conformance::{
    books::Account,
    declare::{broker, trigger, yaml},
    sink::Sink,
    subject::{Subject, volley::Volley},
};

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

/// Every document by its path from the root.
fn documents() -> BTreeMap<String, String> {
    let mut paths = vec![root().join("README.md")];
    let folders = [root().join("docs"), root().join("deploy/examples")];
    let mut folders = Vec::from(folders);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.extension() {
                Some(ending) if ending == "md" => paths.push(path),
                _ if path.is_dir() => folders.push(path),
                _ => {}
            }
        }
    }
    let named = paths.into_iter().map(|path| {
        let name = path.strip_prefix(root()).expect("below the root");
        let text = fs::read_to_string(&path).expect("text");
        (name.display().to_string(), text)
    });
    named.collect()
}

/// The topics of `volley help`.
fn topics() -> BTreeMap<String, String> {
    let folder = root().join("src/command/help");
    let entries = fs::read_dir(folder).expect("a folder");
    let texts = entries.map(|entry| {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("text");
        (path.display().to_string(), text)
    });
    texts.collect()
}

/// The blocks of a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    let after = text.split(fence.as_str()).skip(1);
    after
        .filter_map(|rest| Some(rest.split_once("\n```")?.0))
        .collect()
}

fn volley(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_volley"));
    command.args(args).output().expect("the binary runs")
}

#[test]
fn every_yaml_of_the_documents_holds() {
    let mut count = 0;
    for (name, text) in documents() {
        for block in blocks(&text, "yaml") {
            count += 1;
            let mut whole = block.to_owned();
            if !block.contains("apiVersion") {
                let part = block.replace('\n', "\n  ");
                let uri = "subscriber: {uri: 'http://127.0.0.1:9/'}";
                whole = format!(
                    "{}---\n{}\n  {part}\n",
                    broker("b").yaml(),
                    format_args!(
                        "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata: {{name: t}}\n\
                         spec:\n  broker: b\n  {uri}"
                    )
                );
            }
            let folder = TempDir::new().expect("a folder");
            fs::write(folder.path().join("block.yaml"), &whole).expect("written");
            let path = folder.path().to_str().expect("a path that is text");
            let output = volley(&["check", path]);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(output.status.code(), Some(0), "{name}:\n{whole}\n{said}");
            assert_eq!(said, "", "{name}:\n{whole}");
        }
    }
    assert!(count >= 2, "only {count} blocks were found");
}

/// The command lines of a document: those of its blocks, and what stands in backquotes.
fn commands(text: &str) -> Vec<String> {
    let inline = text.split('`').skip(1).step_by(2).map(str::to_owned);
    let blocks = blocks(text, "sh").join("\n");
    let lines = blocks.lines().map(str::to_owned);
    // In the topics of `volley help` a command stands alone on its line.
    let alone = text
        .lines()
        .filter_map(|line| line.strip_prefix("  volley "));
    let alone = alone.map(|line| format!("volley {line}"));
    let all = inline.chain(lines).chain(alone);
    let all = all.map(|line| line.replace('\n', " "));
    all.filter(|line| line.starts_with("volley ")).collect()
}

/// The verb, or verb and noun, that a command line begins with.
fn verb(line: &str) -> Vec<&str> {
    let words = line.split_whitespace().skip(1);
    let words = words.take_while(|word| word.chars().all(|c| c.is_ascii_lowercase()));
    let words: Vec<&str> = words.collect();
    let two = matches!(words.first(), Some(&("log" | "filter")));
    words.into_iter().take(if two { 2 } else { 1 }).collect()
}

#[test]
fn every_command_and_flag_of_the_documents_is_there() {
    let mut helps: BTreeMap<String, String> = BTreeMap::new();
    let mut count = 0;
    for (name, text) in documents().into_iter().chain(topics()) {
        for line in commands(&text) {
            let words = verb(&line);
            let help = helps.entry(words.join(" ")).or_insert_with(|| {
                let output = volley(&[&words[..], &["--help"]].concat());
                assert!(output.status.success(), "{name}: there is no {line:?}");
                String::from_utf8_lossy(&output.stdout).into_owned()
            });
            let flags = line
                .split_whitespace()
                .filter(|word| word.starts_with("--"));
            for flag in flags {
                count += 1;
                let flag = flag.split('=').next().unwrap_or_default();
                let flag = flag.trim_end_matches([')', ',', ';', '.']);
                let known = help.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
                assert!(
                    known.into_iter().any(|word| word == flag),
                    "{name}: {line:?} has {flag}, which that command does not"
                );
            }
        }
    }
    assert!(count >= 20, "only {count} flags were found");
}

/// What a part of a metric's name may be called where it is asked for.
fn family(name: &str) -> &str {
    let endings = ["_bucket", "_sum", "_count"];
    let stem = endings.iter().find_map(|ending| name.strip_suffix(ending));
    stem.unwrap_or(name)
}

#[tokio::test]
async fn every_metric_of_the_documents_is_measured() {
    let objects = broker("default").yaml();
    let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), &objects, &[]);
    let volley = volley.await.expect("it starts");
    let page = volley.metrics().await.expect("the metrics");
    let helps = page.lines().filter_map(|line| line.strip_prefix("# HELP "));
    let known: BTreeSet<&str> = helps
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let mut count = 0;
    for (name, text) in documents() {
        let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_' && c != '*');
        for word in words.filter(|word| word.starts_with("volley_") && !word.ends_with('*')) {
            count += 1;
            assert!(
                known.contains(family(word)) || known.contains(word),
                "{name}: {word} is not among the metrics"
            );
        }
    }
    assert!(count >= 3, "only {count} metrics were found");
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}

/// The lines of all documents that can be typed: more than the name of a command.
fn lines() -> BTreeSet<String> {
    let documents = documents().into_iter().chain(topics());
    let all = documents.flat_map(|(_, text)| commands(&text));
    all.filter(|line| verb(line).len() + 1 < line.split_whitespace().count())
        .collect()
}

/// The file that a line of a document makes: `echo 'TEXT' > NAME`.
fn made(line: &str) -> Option<(&str, &str)> {
    let (text, name) = line.strip_prefix("echo '")?.split_once("' > ")?;
    Some((name, text))
}

/// A place in which each line can be typed as it stands, but for the words that stand for something.
struct Desk {
    volley: Volley,
    folder: TempDir,
    _sink: Sink,
}

impl Desk {
    async fn ready() -> Self {
        let sink = Sink::listen().await.expect("a sink");
        let wanted = trigger("default", "default", &sink.url("/"));
        let objects = yaml(&[&broker("default"), &wanted]);
        let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), &objects, &[]);
        let volley = volley.await.expect("it starts");
        let folder = TempDir::new().expect("a folder");
        let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"com.example.a"}"#;
        for (name, text) in [
            ("order.json", r#"{"id":7}"#),
            ("event.json", event),
            ("trigger.yaml", &wanted.yaml()),
            ("all.yaml", &objects),
        ] {
            fs::write(folder.path().join(name), text).expect("written");
        }
        // Other files are there only if a document says how to make them.
        for (_, text) in documents() {
            for (name, text) in text.lines().filter_map(made) {
                fs::write(folder.path().join(name), text).expect("written");
            }
        }
        let deploy = folder.path().join("deploy");
        std::os::unix::fs::symlink(root().join("deploy"), deploy).expect("a link");
        Self {
            volley,
            folder,
            _sink: sink,
        }
    }

    /// The line with what its words stand for, on ports of this test.
    fn typed(&self, line: &str) -> String {
        let data = self.volley.objects().with_file_name("volley-data");
        let data = data.display().to_string();
        let words = line.split(' ').map(|word| {
            let plain = word.trim_matches(['[', ']']);
            match plain {
                "PATH" | "FOLDER" => "all.yaml",
                "EVENT" => "event.json",
                "KIND" => "trigger",
                "NAME" => "default",
                "COMMAND" => "send",
                "SHELL" => "bash",
                "POS" => "0",
                "DIR" => &data,
                "--display" => "--display=127.0.0.1:0 --listen 127.0.0.1:0 --admin 127.0.0.1:0",
                _ => plain,
            }
            .to_owned()
        });
        let words: Vec<String> = words.collect();
        let line = words
            .join(" ")
            .replace("127.0.0.1:8080", self.volley.data())
            .replace("127.0.0.1:8082", "127.0.0.1:0")
            .replace("127.0.0.1:8083", "127.0.0.1:0")
            // As many in a moment.
            .replace("--count 1000 --rate 50", "--count 10 --rate 500");
        match line.starts_with("volley sink ") && !line.contains("--listen") {
            true => format!("{line} --listen 127.0.0.1:0"),
            false => line,
        }
    }

    fn shell(&self, line: &str) -> Command {
        let binary = Path::new(env!("CARGO_BIN_EXE_volley")).parent();
        let binary = binary.expect("a folder").to_str().expect("text");
        let path = format!("{binary}:{}", env::var("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("exec {line}")])
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .env("PATH", &path)
            .env("VOLLEY_SERVER", format!("http://{}", self.volley.admin()));
        command
    }

    /// Types a line. What does not end by itself says that it listens, or waits.
    fn types(&self, line: &str) {
        let typed = self.typed(line);
        let mut shell = self.shell(&typed);
        let verb = verb(&typed)[0];
        let waits = ["serve", "sink", "tail"].contains(&verb) && !line.contains("--help");
        if !waits {
            let output = shell.output().expect("a shell");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            // No is an answer, too.
            let asks = line.starts_with("volley filter test");
            let fine = output.status.success() || (asks && output.status.code() == Some(1));
            assert!(fine, "{line}: {typed}: {said}");
            return;
        }
        let child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("a shell");
        if verb == "serve" {
            let mut ready = String::new();
            let lines =
                BufReader::new(child.stdout.take().expect("its output")).read_line(&mut ready);
            assert!(
                lines.is_ok() && ready.contains("ready"),
                "{line}: {typed}: {ready}"
            );
        } else {
            std::thread::park_timeout(Duration::from_millis(300));
        }
        let ended = child.try_wait().expect("it can be asked");
        assert_eq!(ended, None, "{line}: {typed}");
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }
}

#[tokio::test]
async fn every_line_of_the_documents_can_be_typed() {
    let desk = Desk::ready().await;
    let lines = lines();
    for line in &lines {
        desk.types(line);
    }
    assert!(lines.len() >= 35, "only {} lines were found", lines.len());
    let books = desk
        .volley
        .books_until("default", "default", Account::is_done);
    assert!(books.await.expect("they settle").accepted >= 12);
    assert_eq!(desk.volley.finish().await.expect("it ends"), [""; 0]);
}

/// README's first screen as it stands, but for the ports.
#[tokio::test]
async fn the_first_screen_shows_what_happens() {
    let desk = Desk::ready().await;
    let readme = fs::read_to_string(root().join("README.md")).expect("the README");
    let (shown, display) = (blocks(&readme, "sh"), {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("its address").to_string()
    });
    let own = desk.folder.path().join("quickstart");
    fs::create_dir(&own).expect("a folder");
    for file in fs::read_dir(root().join("deploy/examples/quickstart")).expect("the quickstart") {
        let file = file.expect("a file");
        let text = fs::read_to_string(file.path()).expect("text");
        let text = text.replace("127.0.0.1:8082", &display);
        fs::write(own.join(file.file_name()), text).expect("written");
    }
    let serve = shown[0]
        .replace("cargo run --release --", "volley")
        .replace("deploy/examples/quickstart", "quickstart")
        .replace("--display", &format!("--display={display}"));
    let serve = format!("{serve} --listen 127.0.0.1:0 --admin 127.0.0.1:0");
    let mut shell = desk.shell(&serve);
    let child = shell.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = child.expect("a shell");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut next = || lines.next().expect("a line").expect("it can be read");
    let ready: serde_json::Value = serde_json::from_str(&next()).expect("JSON");
    let data = ready["data"].as_str().expect("an address");
    let posted = desk
        .shell(&shown[1].replace("http://127.0.0.1:8080", data))
        .output()
        .expect("a shell");
    let answer = String::from_utf8_lossy(&posted.stdout).into_owned();
    assert!(answer.starts_with("HTTP/1.1 202 Accepted"), "{answer}");
    let expected = blocks(&readme, "text")[0];
    let arrived: Vec<String> = expected.lines().map(|_| next()).collect();
    assert_eq!(arrived.join("\n"), expected);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    assert_eq!(desk.volley.finish().await.expect("it ends"), [""; 0]);
}
