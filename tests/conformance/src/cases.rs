//! The run: every chosen case against one subject, several at once.

use std::{io, sync::Arc};

use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    hostile,
    report::{Report, Verdict},
    scenario::Scenario,
    sink::Sink,
    stage::Stage,
    subject::{Subject, SubjectError},
    tables::{self, admission, admission::Admission},
    terms::Terms,
};

/// How long one case may take in all, so that a run always ends.
const BOUND: std::time::Duration = std::time::Duration::from_secs(120);

/// The cases of a run.
#[derive(Debug, Default, Clone)]
pub struct Cases {
    /// Cases that post events.
    pub scenarios: Vec<Scenario>,
    /// Cases that only declare objects.
    pub admissions: Vec<Admission>,
}

impl Cases {
    /// Every case whose name contains one of `only`, or all of them when it is empty.
    pub fn chosen(only: &[String]) -> Self {
        let wanted = |name: &str| only.is_empty() || only.iter().any(|part| name.contains(part));
        let mut scenarios = [tables::all(), hostile::rows()].concat();
        scenarios.retain(|one| wanted(&one.name));
        let mut admissions = admission::rows();
        admissions.retain(|one| wanted(&one.name));
        Self {
            scenarios,
            admissions,
        }
    }

    /// The names of all cases, in order.
    pub fn names(&self) -> Vec<&str> {
        let scenarios = self.scenarios.iter().map(|one| one.name.as_str());
        scenarios
            .chain(self.admissions.iter().map(|one| one.name.as_str()))
            .collect()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.scenarios.len() + self.admissions.len()
    }
}

/// Cases with their scenes set: sinks listen, names are given, YAML can be declared.
#[derive(Debug)]
pub struct Run {
    stages: Vec<Arc<Stage>>,
    admissions: Vec<Admission>,
    // Every stage also holds it; here it says that the run owns the sink.
    _sink: Arc<Sink>,
}

impl Run {
    /// Sets all scenes.
    ///
    /// # Errors
    ///
    /// Those of binding the sinks.
    pub async fn prepare(cases: Cases, terms: &Terms) -> io::Result<Self> {
        let sink = Arc::new(Sink::listen_in(&terms.place).await?);
        let mut stages = Vec::new();
        for (number, scenario) in cases.scenarios.into_iter().enumerate() {
            stages.push(Arc::new(Stage::set(scenario, number, &sink, terms).await?));
        }
        Ok(Self {
            stages,
            admissions: cases.admissions,
            _sink: sink,
        })
    }

    /// Everything to declare before the run, as YAML.
    pub fn yaml(&self) -> String {
        self.stages.iter().map(|stage| stage.yaml()).collect()
    }

    /// Runs everything, at most `at_once` cases side by side, and ends the subject.
    pub async fn play(self, subject: Arc<dyn Subject>, at_once: usize) -> Report {
        let mut report = Report::default();
        let objects: Vec<_> = self
            .stages
            .iter()
            .flat_map(|stage| stage.objects())
            .collect();
        if let Err(error) = subject.ready(&objects).await {
            // Go on: what is Ready can be judged, and what is not fails by itself.
            report.add(Verdict::of(
                "every object is Ready",
                vec![error.to_string()],
            ));
        }
        let baseline = subject.memory();
        let places = Arc::new(Semaphore::new(at_once.max(1)));
        let mut playing = JoinSet::new();
        for stage in &self.stages {
            let (stage, subject, places) = (stage.clone(), subject.clone(), places.clone());
            playing.spawn(async move {
                let _place = places.acquire_owned().await;
                play_one(&stage, &*subject, baseline).await
            });
        }
        while let Some(ended) = playing.join_next().await {
            report.add(ended.unwrap_or_else(|error| {
                Verdict::of("a case", vec![format!("the runner failed: {error}")])
            }));
        }
        for row in &self.admissions {
            report.add(admit(row, &*subject).await);
        }
        report.add(verdict(
            "the books of every Broker balance and SIGTERM ends it well",
            subject.finish().await,
        ));
        report
    }
}

async fn play_one(stage: &Stage, subject: &dyn Subject, baseline: Option<u64>) -> Verdict {
    let started = Instant::now();
    let problems = timeout(BOUND, stage.play(subject, baseline))
        .await
        .unwrap_or_else(|_| vec![format!("the case took longer than {BOUND:?}")]);
    let place = format!("broker {}", stage.broker);
    Verdict {
        took: started.elapsed(),
        place,
        ..Verdict::of(&stage.scenario.name, problems)
    }
}

async fn admit(row: &Admission, subject: &dyn Subject) -> Verdict {
    let problems = |admitted| {
        let problem = format!(
            "expected admitted = {}, got {admitted}, for\n{}",
            row.admitted, row.yaml
        );
        (admitted != row.admitted)
            .then_some(problem)
            .into_iter()
            .collect()
    };
    verdict(&row.name, subject.admits(&row.yaml).await.map(problems))
}

/// The verdict of a case that asks the subject only once.
fn verdict(name: &str, problems: Result<Vec<String>, SubjectError>) -> Verdict {
    match problems {
        Ok(problems) => Verdict::of(name, problems),
        Err(SubjectError::NotAsked(why)) => Verdict::not_run(name, why),
        Err(error) => Verdict::of(name, vec![error.to_string()]),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_has_its_own_name() {
        let cases = Cases::chosen(&[]);
        let names: BTreeSet<_> = cases.names().into_iter().collect();
        assert_eq!(names.len(), cases.count());
    }

    #[test]
    fn cases_are_chosen_by_a_part_of_their_name() {
        let cases = Cases::chosen(&["routing:".to_owned()]);
        assert!(cases.count() >= 7);
        assert!(
            cases
                .names()
                .iter()
                .all(|name| name.starts_with("routing:"))
        );
    }

    #[tokio::test]
    async fn every_scene_gives_yaml_without_open_places() {
        let run = Run::prepare(Cases::chosen(&[]), &Terms::default())
            .await
            .unwrap();
        let yaml = run.yaml();
        assert!(!yaml.contains("uri: @"), "a sink's name was not filled in");
        assert!(yaml.matches("kind: Broker").count() == run.stages.len());
    }
}
