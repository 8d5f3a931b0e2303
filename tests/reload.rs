//! Live reload under load: filters, sinks, Triggers and files change while producers post; nobody
//! misses an event and nobody gets one twice.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use fastrand::Rng;
use tokio::{task::JoinSet, time::sleep};
use volley_conformance::{
    books::Account,
    declare::{Declared, broker, trigger, yaml},
    producer::{Producer, seed},
    sink::Sink,
    subject::{
        Subject,
        volley::{Volley, is_ready},
    },
};

const CHANGES: usize = 100;
const PRODUCERS: usize = 4;
const KINDS: [&str; 2] = ["com.example.blue", "com.example.red"];

/// The version of something that changes while events are posted: even while it is live, odd
/// while it changes.
type Version = AtomicU64;

/// What producers and the changes share.
#[derive(Debug, Default)]
struct World {
    /// Of the filter of `flip`: with an even version v it wants the kind v / 2 % 2.
    flip: Version,
    /// Of the life of `comes`: with an even version v it is there if v / 2 is odd.
    comes: Version,
    over: AtomicBool,
}

/// An accepted event and the versions around its POST.
#[derive(Debug)]
struct Posted {
    id: String,
    kind: usize,
    flip: (u64, u64),
    comes: (u64, u64),
}

/// The version that held all the time, if one did.
fn certain((before, after): (u64, u64)) -> Option<u64> {
    (before == after && before.is_multiple_of(2)).then_some(before / 2)
}

async fn produce(mut producer: Producer, name: usize, world: Arc<World>) -> Vec<Posted> {
    let versions = || {
        (
            world.flip.load(Ordering::SeqCst),
            world.comes.load(Ordering::SeqCst),
        )
    };
    let mut all = Vec::new();
    while !world.over.load(Ordering::SeqCst) {
        let id = format!("{name}-{}", all.len());
        let kind = all.len() % 2;
        let before = versions();
        let status = producer.event(&id, KINDS[kind], &[]).await;
        assert_eq!(status.expect("an answer"), 202, "event {id}");
        let after = versions();
        all.push(Posted {
            id,
            kind,
            flip: (before.0, after.0),
            comes: (before.1, after.1),
        });
        sleep(Duration::from_millis(2)).await;
    }
    all
}

/// The changing side.
struct Stage {
    volley: Volley,
    sink: Sink,
    world: Arc<World>,
    moves: u64,
    /// The files that hold the stable Triggers now.
    stable: Vec<String>,
    files: u64,
}

impl Stage {
    async fn set() -> Self {
        let sink = Sink::listen().await.expect("a sink");
        let volley = Volley::start(
            env!("CARGO_BIN_EXE_volley").into(),
            &broker("shop").yaml(),
            &[],
        )
        .await
        .expect("it starts");
        let mut stage = Self {
            volley,
            sink,
            world: Arc::default(),
            moves: 0,
            stable: Vec::new(),
            files: 0,
        };
        let (all, red) = stage.stable_triggers();
        stage.keep(&[yaml(&[&all, &red])]).await;
        stage.live("flip", &stage.flip(0)).await;
        stage.live("moving", &stage.moving(0)).await;
        for object in [&all, &red] {
            let ready = stage
                .volley
                .until(object.object(), |shown| shown.is_some_and(is_ready));
            ready.await.expect("it gets Ready");
        }
        stage
    }

    fn trigger(&self, name: &str) -> Declared {
        trigger(name, "shop", &self.sink.url(&format!("/{name}")))
    }

    fn stable_triggers(&self) -> (Declared, Declared) {
        let red = format!("filters: [{{exact: {{type: {}}}}}]", KINDS[1]);
        (self.trigger("all"), self.trigger("red").spec(red))
    }

    fn flip(&self, version: u64) -> Declared {
        let kind = KINDS[usize::from(!version.is_multiple_of(2))];
        self.trigger("flip")
            .spec(format!("filters: [{{exact: {{type: {kind}}}}}]"))
            .annotation("example.com/version", &version.to_string())
    }

    fn moving(&self, version: u64) -> Declared {
        let place = self.sink.url(&format!("/moving-{}", version % 2));
        trigger("moving", "shop", &place).annotation("example.com/version", &version.to_string())
    }

    /// Writes an object to a file of its own and waits until the newest form is live.
    async fn live(&self, file: &str, object: &Declared) {
        let written = object.yaml();
        self.volley.apply(file, &written).await.expect("a file");
        let shown = self.volley.until(object.object(), |shown| {
            shown.is_some_and(|shown| {
                let annotations = &shown["metadata"]["annotations"];
                let version = annotations["example.com/version"].as_str();
                version.is_none_or(|version| written.contains(&format!("version: \"{version}\"")))
                    && shown["status"]["observedGeneration"] == shown["metadata"]["generation"]
                    && is_ready(shown)
            })
        });
        shown.await.expect("it goes live");
    }

    /// Keeps the stable Triggers in these files from now on, and in no other.
    async fn keep(&mut self, pieces: &[String]) {
        let old = std::mem::take(&mut self.stable);
        for piece in pieces {
            self.files += 1;
            let name = format!("stable-{}", self.files);
            self.volley.apply(&name, piece).await.expect("a file");
            self.stable.push(name);
        }
        for name in old {
            let path = self.volley.objects().join(format!("{name}.yaml"));
            fs::remove_file(path).expect("it was there");
        }
    }

    async fn change(&mut self, random: &mut Rng) {
        let (all, red) = self.stable_triggers();
        match random.u8(0..10) {
            0..3 => self.flip_filter().await,
            3..6 => {
                self.moves += 1;
                self.live("moving", &self.moving(self.moves)).await;
            }
            6..8 => self.come_or_go().await,
            8 => {
                self.keep(&[yaml(&[&red, &all])]).await;
                sleep(Duration::from_millis(random.u64(0..100))).await;
            }
            _ => {
                self.keep(&[all.yaml(), red.yaml()]).await;
                sleep(Duration::from_millis(random.u64(0..100))).await;
            }
        }
    }

    async fn flip_filter(&self) {
        let odd = self.world.flip.fetch_add(1, Ordering::SeqCst) + 1;
        self.live("flip", &self.flip(odd.div_ceil(2))).await;
        self.world.flip.fetch_add(1, Ordering::SeqCst);
    }

    async fn come_or_go(&self) {
        let odd = self.world.comes.fetch_add(1, Ordering::SeqCst) + 1;
        if odd.div_ceil(2).is_multiple_of(2) {
            let path = self.volley.objects().join("comes.yaml");
            fs::remove_file(path).expect("it was there");
            let gone = |books: &Account| books.row("comes").is_none();
            let books = self.volley.books_until("default", "shop", gone).await;
            books.expect("it goes");
        } else {
            self.live("comes", &self.trigger("comes")).await;
        }
        self.world.comes.fetch_add(1, Ordering::SeqCst);
    }
}

type Arrived = BTreeMap<String, usize>;

/// Checks that each event arrived as often as `wanted` says, where it says something.
fn compare(
    name: &str,
    posted: &[Posted],
    arrived: &Arrived,
    wanted: impl Fn(&Posted) -> Option<usize>,
) {
    let mut wrong = Vec::new();
    for one in posted {
        let got = arrived.get(&one.id).copied().unwrap_or(0);
        if got > 1 || wanted(one).is_some_and(|wanted| wanted != got) {
            wrong.push(format!("{one:?} arrived {got} times"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{name}: {} wrong, such as {}",
        wrong.len(),
        wrong[0]
    );
}

#[tokio::test]
async fn a_hundred_changes_under_load_lose_nothing_and_repeat_nothing() {
    let mut random = Rng::with_seed(seed());
    let mut stage = Stage::set().await;
    let mut producing = JoinSet::new();
    for name in 0..PRODUCERS {
        let producer = Producer::new(stage.volley.broker("default", "shop"));
        producing.spawn(produce(producer, name, stage.world.clone()));
    }
    let uid =
        |shown: Option<serde_json::Value>| shown.expect("it is there")["metadata"]["uid"].clone();
    let all = stage.trigger("all").object();
    let before = uid(stage.volley.object(&all).await);
    for _ in 0..CHANGES {
        stage.change(&mut random).await;
    }
    stage.world.over.store(true, Ordering::SeqCst);
    let mut posted = Vec::new();
    while let Some(ended) = producing.join_next().await {
        posted.extend(ended.expect("every event was accepted"));
    }
    let books = stage
        .volley
        .books_until("default", "shop", Account::is_done)
        .await;
    let books = books.expect("everything is finished");
    println!(
        "{} events, {} rows in the books",
        posted.len(),
        books.triggers.len()
    );
    assert_eq!(books.accepted, posted.len() as u64);
    assert_eq!(
        before,
        uid(stage.volley.object(&all).await),
        "files came and went, not objects"
    );

    let ids = |path: &str| stage.sink.ids(path);
    compare("all", &posted, &ids("/all"), |_| Some(1));
    compare("red", &posted, &ids("/red"), |one| Some(one.kind));
    let mut moved = ids("/moving-0");
    for (id, count) in ids("/moving-1") {
        *moved.entry(id).or_insert(0) += count;
    }
    compare("moving", &posted, &moved, |_| Some(1));
    compare("flip", &posted, &ids("/flip"), |one| {
        certain(one.flip).map(|version| usize::from(version % 2 == one.kind as u64))
    });
    compare("comes", &posted, &ids("/comes"), |one| {
        // What still waited when it was deleted is gone by rule, and counted.
        certain(one.comes).and_then(|version| version.is_multiple_of(2).then_some(0))
    });
    let lives: Vec<_> = books
        .triggers
        .iter()
        .filter(|row| row.name == "comes")
        .collect();
    let delivered: u64 = lives.iter().map(|row| row.delivered).sum();
    let dropped: u64 = lives.iter().map(|row| row.dropped_total()).sum();
    let matched: u64 = lives.iter().map(|row| row.matched).sum();
    // Attempts that were under way when it was deleted count as dropped, whatever they came to.
    let arrived = ids("/comes").len() as u64;
    assert!((delivered..=delivered + dropped).contains(&arrived));
    assert_eq!(matched, delivered + dropped);
    assert_eq!(books.broken_laws(), [""; 0]);
    assert_eq!(stage.volley.finish().await.expect("it ends"), [""; 0]);
}
