//! Secrets that are mounted as files (`--secret-dir`): objects like declared ones, whose values are
//! never shown.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink};

use serde_json::Value;
use tempfile::TempDir;
use volley_conformance::{
    declare::broker,
    subject::{ObjectName, Subject, volley::Volley},
};

async fn start(objects: &str, flags: &[&str]) -> Volley {
    let program = env!("CARGO_BIN_EXE_volley").into();
    Volley::start(program, objects, flags)
        .await
        .expect("it starts")
}

async fn end(volley: Volley) {
    assert_eq!(volley.finish().await.expect("it ends"), [""; 0]);
}

fn secret(namespace: &str, name: &str) -> ObjectName {
    ObjectName {
        plural: "secrets",
        namespace: namespace.into(),
        name: name.into(),
    }
}

fn keys(object: &Value) -> BTreeSet<String> {
    let data = object["data"].as_object().expect("its data");
    assert!(data.values().all(|value| value == "***"), "{object}");
    data.keys().cloned().collect()
}

#[tokio::test]
async fn mounted_secrets_are_objects_and_follow_their_files() {
    let folder = TempDir::new().expect("a scratch folder");
    let dir = folder.path().join("secrets");
    // As Kubernetes mounts them: keys are links into a folder that is swapped as a whole.
    let token = dir.join("shop/token");
    fs::create_dir_all(token.join("..2025_1")).expect("a folder");
    fs::write(token.join("..2025_1/password"), b"hunter2\xff\x00").expect("a value");
    symlink("..2025_1", token.join("..data")).expect("a link");
    symlink("..data/password", token.join("password")).expect("a link");
    let flag = dir.display().to_string();
    let volley = start(&broker("shop").yaml(), &["--secret-dir", &flag]).await;
    let shown = volley
        .object(&secret("shop", "token"))
        .await
        .expect("it is there");
    assert_eq!(keys(&shown), BTreeSet::from(["password".to_owned()]));
    assert!(!shown.to_string().contains("aHVudGVy"), "{shown}");

    fs::create_dir_all(dir.join("shop/other")).expect("a folder");
    fs::write(dir.join("shop/other/key"), "value").expect("a value");
    let came = volley
        .until(secret("shop", "other"), |shown| shown.is_some())
        .await;
    assert!(came.expect("it comes").is_some());
    fs::write(token.join("user"), "me").expect("a value");
    let more = |shown: Option<&Value>| shown.is_some_and(|shown| keys(shown).len() == 2);
    volley
        .until(secret("shop", "token"), more)
        .await
        .expect("it changes");
    fs::remove_dir_all(dir.join("shop/other")).expect("removed");
    let gone = volley
        .until(secret("shop", "other"), |shown| shown.is_none())
        .await;
    assert!(gone.expect("it goes").is_none());
    assert!(!volley.log().contains("hunter2"), "{}", volley.log());
    end(volley).await;
}

#[tokio::test]
async fn a_mounted_secret_that_is_too_large_or_declared_twice_is_a_problem_without_its_value() {
    let folder = TempDir::new().expect("a scratch folder");
    let dir = folder.path().join("secrets");
    for name in ["large", "twice"] {
        fs::create_dir_all(dir.join("default").join(name)).expect("a folder");
    }
    fs::write(dir.join("default/large/key"), vec![b'x'; 2 << 20]).expect("a value");
    fs::write(dir.join("default/twice/key"), "hunter2").expect("a value");
    let twice = "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: twice\nstringData:\n  key: hunter2\n";
    let objects = format!("{}{twice}", broker("shop").yaml());
    let flag = dir.display().to_string();
    let flags = ["--secret-dir", &flag, "--on-problem", "skip"];
    let volley = start(&objects, &flags).await;
    let log = volley.log();
    assert!(
        log.contains("its values have more than 1048576 bytes"),
        "{log}"
    );
    assert!(log.contains("defined twice"), "{log}");
    assert!(
        !log.contains("hunter2") && !log.contains("aHVudGVy"),
        "{log}"
    );
    end(volley).await;
}
