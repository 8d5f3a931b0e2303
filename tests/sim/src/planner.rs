//! Who changes what is declared: as `volley serve` does when files change, without files.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::sleep;
use url::Url;
use volley_broker::objects::{IngressPaths, Paths as _};
use volley_dispatcher::Dispatcher;
use volley_spec::{
    plan::{Facts, plan},
    read::{Declarations, Pieces, read_file},
    report::DataPlane as _,
    route::{Backend, Plan},
};

use crate::{
    schedule::{Declared, Schedule, yaml},
    trace::{Fact, Trace, Who},
    world::Outside,
};

/// How often what could not be taken up is tried again.
const TRIED_EVERY: Duration = Duration::from_millis(500);

/// Turns what is declared into plans, by way of YAML, and hands them to the data plane.
pub(crate) struct Planner {
    /// Of every Broker.
    annotations: String,
    backend: Backend,
    pieces: Pieces,
    last: Arc<Plan>,
    plane: Arc<Dispatcher>,
    trace: Trace,
    known: Arc<Mutex<BTreeSet<Who>>>,
    paths: IngressPaths,
    /// Who is left out in this life, and until when.
    absent: Vec<(Who, Duration)>,
}

impl Planner {
    pub(crate) fn new(
        outside: &Outside,
        backend: Backend,
        plane: &Arc<Dispatcher>,
        paths: IngressPaths,
        trace: &Trace,
    ) -> Self {
        Self {
            annotations: outside.schedule.annotations(),
            backend,
            pieces: Pieces::new(),
            last: Arc::default(),
            plane: Arc::clone(plane),
            trace: trace.clone(),
            known: Arc::clone(&outside.known),
            paths,
            absent: Vec::new(),
        }
    }

    /// Notes who of those that stand declared is left out in this life. Only who was live once: a
    /// new one would just come later.
    pub(crate) fn miss(&mut self, outside: &Outside, standing: &Declared) {
        let now = self.trace.watch.begun;
        let absences = outside.schedule.absences.iter();
        let absences = absences.filter(|it| (it.from..it.to).contains(&now));
        let known = self.known.lock().expect("nobody panics with it");
        let absent = absences.filter_map(|absence| {
            let who = Who {
                trigger: absence.name.clone(),
                life: standing.get(&absence.name)?.life,
            };
            known.contains(&who).then_some((who, absence.to))
        });
        self.absent = absent.collect();
    }

    /// What is declared later in this life, and when: changes, and who comes back.
    pub(crate) fn changes(&self, schedule: &Schedule) -> Vec<(Duration, Declared)> {
        let begun = self.trace.watch.begun;
        let worlds = schedule.worlds.iter();
        let mut changes: Vec<_> = worlds.filter(|(at, _)| *at > begun).cloned().collect();
        for (_, back) in &self.absent {
            let standing = schedule.worlds.iter().rfind(|(at, _)| at <= back);
            let (_, standing) = standing.unwrap_or(&schedule.worlds[0]);
            changes.push((*back, standing.clone()));
        }
        changes.sort_by_key(|(at, _)| *at);
        changes
    }

    /// What is declared, without those whose files are not there now.
    fn files(&self, declared: &Declared) -> Declared {
        let now = self.trace.watch.now();
        let away = self.absent.iter().filter(|(_, back)| *back > now);
        let away: Vec<&Who> = away.map(|(who, _)| who).collect();
        let is_away = |name: &str, life| {
            let mut away = away.iter();
            away.any(|who| who.trigger == name && who.life == life)
        };
        let mut files = declared.clone();
        files.retain(|name, trigger| !is_away(name, trigger.life));
        files
    }
    /// Takes up `declared`; back once it is live.
    pub(crate) async fn declare(&mut self, declared: &Declared) {
        let files = self.files(declared);
        let (all, there) = (who_is(declared), who_is(&files));
        if all.len() > there.len() {
            let away = all.difference(&there).cloned().collect();
            self.trace.note(Fact::LeftOut(away));
        }
        self.trace.note(Fact::Applying(Arc::new(declared.clone())));
        let text = yaml(&files, &self.annotations);
        let reading = read_file("world.yaml", text.as_bytes(), &mut self.pieces);
        assert!(!reading.has_errors(), "{:?}\n{text}", reading.problems);
        let declarations = Declarations::gather([&reading]);
        let objects: Vec<_> = declarations
            .objects
            .into_values()
            .map(|declared| declared.object().clone())
            .collect();
        let life = |identity: &volley_spec::Identity| {
            let trigger = declared.get(identity.key.name.as_str());
            let broker = || declared.life_of(identity.key.name.as_str());
            trigger.map_or_else(|| broker().unwrap_or(1), |trigger| trigger.life)
        };
        let url = Url::parse("http://127.0.0.1:8080").expect("a URL");
        let mut outcome = plan(
            &objects,
            &Facts {
                public_url: url.clone(),
                own_urls: vec![url],
                backend: self.backend,
                backends: BTreeSet::from([self.backend]),
                max_unindexed: 1_000,
                stored: Arc::default(),
                incarnation: &life,
            },
        );
        outcome.reuse(&self.last);
        self.last = Arc::new(outcome.plan);
        // What the storage could not take up it may take up later.
        while !self.plane.apply(Arc::clone(&self.last)).await.is_empty() {
            sleep(TRIED_EVERY).await;
        }
        let mut known = self.known.lock().expect("nobody panics with it");
        known.extend(there);
        drop(known);
        self.trace.note(Fact::Live);
        self.paths.set(&self.last);
    }
}

fn who_is(declared: &Declared) -> BTreeSet<Who> {
    let named = declared.iter();
    named
        .map(|(name, trigger)| Who {
            trigger: name.clone(),
            life: trigger.life,
        })
        .collect()
}
