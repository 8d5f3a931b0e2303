//! What the documents tell people to type: YAML that holds, commands and flags that there are, metrics
//! that are measured, and the guide's `send` lines run as they stand.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
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

#[tokio::test]
async fn the_send_lines_of_the_guide_send() {
    let sink = Sink::listen().await.expect("a sink");
    let objects = yaml(&[
        &broker("default"),
        &trigger("all", "default", &sink.url("/")),
    ]);
    let volley = Volley::start(env!("CARGO_BIN_EXE_volley").into(), &objects, &[]);
    let volley = volley.await.expect("it starts");
    let guide = fs::read_to_string(root().join("docs/guide.md")).expect("the guide");
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("order.json"), "{\"id\":7}").expect("written");
    let binary = Path::new(env!("CARGO_BIN_EXE_volley")).parent();
    let binary = binary.expect("a folder").to_str().expect("text");
    let path = format!("{binary}:{}", env::var("PATH").unwrap_or_default());
    let mut sent = 0;
    for line in commands(&guide) {
        let is_whole = line.starts_with("volley send -");
        if !is_whole {
            continue;
        }
        let data = volley.data();
        let line = line.replace("127.0.0.1:8080", data);
        // As many in a moment.
        let line = line.replace("--count 1000 --rate 50", "--count 10 --rate 500");
        let mut command = Command::new("sh");
        command.args(["-c", &line]).current_dir(folder.path());
        let server = format!("http://{}", volley.admin());
        command.env("PATH", &path).env("VOLLEY_SERVER", server);
        let output = command.output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {said}");
        sent += 1;
    }
    assert!(sent >= 4, "only {sent} lines were found");
    let books = volley.books_until("default", "default", Account::is_done);
    assert_eq!(books.await.expect("they settle").accepted, 12);
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}
