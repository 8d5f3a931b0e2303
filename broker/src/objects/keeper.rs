//! Keeps what runs in line with what the files say.
//!
//! ```text
//!   wait for a hint or a second
//!     -> read the tree -> judge -> new lives for deleted objects (safe in the ledger)
//!     -> plan -> paths of deleted Brokers go -> data plane takes the plan up
//!     -> paths of new Brokers answer -> status: live
//! ```
//!
//! The order of the last line is what makes Ready true: a new Broker is prepared and its Triggers
//! have noted where they begin before its path answers, and before it says Ready.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tracing::{error, info, warn};
use url::Url;
use uuid::Uuid;
use volley_channel::{Clock, LedgerError};
use volley_spec::{
    Identity, Problem,
    plan::{Facts, Outcome, Planner},
    report::{DataPlane, Refused},
    route::{Backend, Plan},
};

use super::{
    board::Board,
    files::{Files, Tree},
    incarnations::Incarnations,
    judge::{Judge, Verdict, subject},
    load::{Loaded, located},
    paths::Paths,
    watch::{POLL, Watch},
};

/// What was refused, or could not be written, is tried again after this long.
const RETRY: Duration = Duration::from_secs(1);
/// How many objects one line of the log names.
const NAMED: usize = 20;

/// What is known besides the declared objects.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Where users reach the data port; what `status.address` begins with.
    pub public_url: Url,
    /// Other URLs of the same data port, such as the address it listens on.
    pub own_urls: Vec<Url>,
    /// The channel of Brokers that name none.
    pub backend: Backend,
    /// The channels that this build has.
    pub backends: BTreeSet<Backend>,
    /// How many Triggers of a namespace may have filters that are tried for every event.
    pub max_unindexed: usize,
    /// The uids of the Brokers whose events the channel held when the process began.
    pub stored: Arc<BTreeSet<Uuid>>,
}

/// What the keeper works with.
pub struct Hands {
    /// The numbers of the objects' lives.
    pub incarnations: Box<dyn Incarnations>,
    /// What runs the routes.
    pub plane: Arc<dyn DataPlane>,
    /// Whoever answers producers.
    pub paths: Arc<dyn Paths>,
    /// Time.
    pub clock: Clock,
    /// When to look at the files again.
    pub watch: Watch,
}

impl Surroundings {
    fn facts<'a>(&self, incarnation: &'a (dyn Fn(&Identity) -> u64 + Sync)) -> Facts<'a> {
        Facts {
            public_url: self.public_url.clone(),
            own_urls: self.own_urls.clone(),
            backend: self.backend,
            backends: self.backends.clone(),
            max_unindexed: self.max_unindexed,
            stored: Arc::clone(&self.stored),
            incarnation,
        }
    }
}

impl std::fmt::Debug for Hands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hands").finish_non_exhaustive()
    }
}

/// Keeps what runs in line with what the files say.
#[derive(Debug)]
pub struct Keeper {
    files: Option<Files>,
    judge: Judge,
    surroundings: Surroundings,
    hands: Hands,
    board: Arc<Board>,
    planner: Planner,
    /// What the data plane is to be told, or was last told.
    outcome: Outcome,
    /// The Brokers whose paths answer.
    answering: BTreeSet<Uuid>,
    /// The data plane could not take up all of it.
    refused: bool,
    /// The plan differs from what the data plane took up.
    pending: bool,
    again_at: Option<Duration>,
    /// What was last written to the log, so that a problem is told once.
    told: BTreeSet<String>,
    /// Whether there were any when they were last looked at.
    had_problems: bool,
    /// What was last found declared and not taken up.
    left_out: BTreeSet<Identity>,
}

impl Keeper {
    /// A keeper of what was loaded. Nothing runs before [`run`](Self::run).
    pub fn new(loaded: Loaded, surroundings: Surroundings, hands: Hands) -> Self {
        let Loaded {
            files,
            judge,
            verdict,
            told,
        } = loaded;
        let board = Board::new(hands.clock, Arc::clone(&hands.plane));
        let mut keeper = Self {
            files: Some(files),
            judge,
            surroundings,
            hands,
            board,
            planner: Planner::default(),
            outcome: Outcome::default(),
            answering: BTreeSet::new(),
            refused: false,
            pending: true,
            again_at: None,
            told,
            had_problems: false,
            left_out: BTreeSet::new(),
        };
        keeper.plan(&verdict, &[]);
        keeper.tell_left_out(&verdict.held);
        keeper
    }

    /// What is known of every object, for whoever asks.
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// Hands the plan over, then goes on as long as it is polled: reads what changes, and hands
    /// that over. Dropping it stops the reading; what was handed over goes on running.
    pub async fn run(mut self) {
        loop {
            let retry = self.pending && !self.hand_over().await;
            let limit = self.limit(retry);
            self.hands.watch.changed(limit).await;
            if let Some(tree) = self.read().await {
                self.take(&tree).await;
            }
            self.pending |= retry;
        }
    }

    /// How long to wait at most before the next reading.
    fn limit(&self, retry: bool) -> Duration {
        let now = self.hands.clock.now();
        let again = self.again_at.map(|at| at.saturating_sub(now));
        let usual = if retry { RETRY } else { POLL };
        again.map_or(usual, |again| again.min(usual))
    }

    /// Reads the files. `None`: there is nothing new to judge.
    async fn read(&mut self) -> Option<Tree> {
        let mut files = self.files.take()?;
        let reading = tokio::task::spawn_blocking(move || {
            let tree = files.read();
            (files, tree)
        });
        let (files, tree) = match reading.await {
            Ok(read) => read,
            Err(error) => {
                error!(%error, "the files can't be read any more; what runs goes on unchanged");
                return None;
            }
        };
        self.files = Some(files);
        let due = self.again_at.is_some_and(|at| tree.began >= at);
        (tree.changed || due).then_some(tree)
    }

    /// Judges a reading and plans what follows.
    async fn take(&mut self, tree: &Tree) {
        let verdict = self.judge.take(tree);
        self.again_at = verdict.again_at;
        let mut deleted = true;
        if !verdict.deleted.is_empty() {
            deleted = self.delete(&verdict.deleted).await;
        }
        let changes = !verdict.changed.is_empty() || (deleted && !verdict.deleted.is_empty());
        if changes {
            info!(
                changed = verdict.changed.len(),
                deleted = verdict.deleted.len(),
                "declared objects changed"
            );
            let gone = if deleted { &verdict.deleted[..] } else { &[] };
            self.plan(&verdict, gone);
            self.pending = true;
        } else {
            let warnings = self.board.warnings();
            self.board.note(&verdict, warnings);
            self.tell(&verdict.problems);
        }
        self.tell_left_out(&verdict.held);
        if !deleted {
            self.again_at = Some(self.hands.clock.now() + RETRY);
        }
    }

    /// Begins the next life of deleted objects, so that none of them can inherit a backlog.
    async fn delete(&mut self, deleted: &[Identity]) -> bool {
        match self.hands.incarnations.raise(deleted).await {
            Ok(()) => {
                for identity in deleted {
                    info!(object = %identity, "deleted");
                    self.judge.forget(identity);
                }
                true
            }
            Err(error) => {
                let lost = matches!(error, LedgerError::Fenced);
                error!(%error, lost, "deletes wait: they can't be written to the ledger");
                false
            }
        }
    }

    /// Plans what changed and what is gone, and notes what there is to say about it.
    fn plan(&mut self, verdict: &Verdict, gone: &[Identity]) {
        let incarnations = &self.hands.incarnations;
        let incarnation = |identity: &Identity| incarnations.of(identity);
        let facts = self.surroundings.facts(&incarnation);
        let holding = self.judge.holding();
        let changed = verdict.changed.iter();
        let changed = changed.filter_map(|identity| holding.get(identity));
        let changed = changed.map(|declared| declared.object().clone());
        let mut outcome = self.planner.change(changed, gone, &facts);
        let warnings = located(std::mem::take(&mut outcome.warnings), &self.judge);
        let told: Vec<Problem> = verdict.problems.iter().chain(&warnings).cloned().collect();
        self.board.note(verdict, warnings);
        self.board.planned(holding, &outcome, gone);
        self.outcome.plan = outcome.plan;
        // What was refused is still to be told.
        self.outcome.objects.extend(outcome.objects);
        self.tell(&told);
    }

    /// Makes the plan live. False: something was refused and has to be tried again.
    async fn hand_over(&mut self) -> bool {
        let plan = Arc::new(self.outcome.plan.clone());
        let before = self.answering.len();
        self.answering.retain(|uid| plan.brokers.contains_key(uid));
        if self.answering.len() < before {
            self.open(&plan);
        }
        let refused = self.hands.plane.apply(Arc::clone(&plan)).await;
        let unknown: BTreeSet<Uuid> = refused.iter().map(|refused| refused.uid).collect();
        let live = plan.brokers.keys().filter(|uid| !unknown.contains(uid));
        self.answering.extend(live.copied());
        self.open(&plan);
        self.settle(&refused);
        self.pending = false;
        self.tell_refused(&refused);
        refused.is_empty()
    }

    /// Shows what the data plane took up. Statuses are kept only as long as they are needed to
    /// try again; then those of all objects, since what refuses a Broker shows at its Triggers.
    fn settle(&mut self, refused: &[Refused]) {
        if !refused.is_empty() && !self.refused {
            let incarnations = &self.hands.incarnations;
            let incarnation = |identity: &Identity| incarnations.of(identity);
            let facts = self.surroundings.facts(&incarnation);
            self.outcome.objects = self.planner.again(&facts).objects;
        }
        self.refused = !refused.is_empty();
        let judged = if refused.is_empty() {
            std::mem::take(&mut self.outcome.objects)
        } else {
            self.outcome.objects.clone()
        };
        self.board.live(judged, refused);
    }

    /// Lets exactly the Brokers answer that the data plane runs.
    fn open(&self, plan: &Plan) {
        let answering = |uid: &Uuid| self.answering.contains(uid);
        let brokers: BTreeMap<_, _> = plan
            .brokers
            .iter()
            .filter(|(uid, _)| answering(uid))
            .map(|(uid, broker)| (*uid, Arc::clone(broker)))
            .collect();
        self.hands.paths.set(&Plan { brokers });
    }

    /// Writes each problem to the log once, for as long as it is there.
    fn tell(&mut self, problems: &[Problem]) {
        let lines: BTreeSet<String> = problems.iter().map(ToString::to_string).collect();
        let new = |problem: &&Problem| !self.told.contains(&problem.to_string());
        let holds = |object| self.judge.holding().contains_key(&object);
        for problem in problems.iter().filter(new) {
            let what = match subject(problem).map(holds) {
                _ if !problem.is_error() => "a declared object may not mean what it says",
                Some(true) => "a declared object has a problem; what it said before holds",
                Some(false) => "a declared object has a problem and is not taken up",
                None => "a file has a problem; what it declared before holds",
            };
            warn!(%problem, "{what}");
        }
        if self.had_problems && lines.is_empty() {
            info!("the declared objects have no problem any more");
        }
        self.had_problems = !lines.is_empty();
        self.told = lines;
    }

    /// Names once what files declare that was never taken up, with mistakes of its own or of its
    /// neighbours.
    fn tell_left_out(&mut self, held: &BTreeMap<Identity, String>) {
        let holding = self.judge.holding();
        let left_out = held
            .keys()
            .filter(|identity| !holding.contains_key(identity));
        let left_out: BTreeSet<Identity> = left_out.cloned().collect();
        let new: Vec<String> = left_out
            .difference(&self.left_out)
            .map(ToString::to_string)
            .collect();
        if !new.is_empty() {
            let named = new[..new.len().min(NAMED)].join(", ");
            warn!(
                count = new.len(),
                objects = named,
                "declared, and not taken up before the mistakes of their files are mended"
            );
        }
        self.left_out = left_out;
    }

    fn tell_refused(&self, refused: &[Refused]) {
        for refused in refused {
            warn!(uid = %refused.uid, why = refused.message, "not taken up; it is tried again");
        }
    }
}
