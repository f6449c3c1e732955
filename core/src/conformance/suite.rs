//! A suite: the cases of one or more harnesses, and what became of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use super::case::{Case, Claim, Failure, Outcome};
use super::cases::{self, StagingWorld};
use super::harness::{Harness, StagingHarness};
use super::world::World;
use crate::Result;

/// What became of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its sentence is true.
    Passed,
    /// It is not; why.
    Failed(String),
    /// It was not tried; why.
    Ignored(String),
}

/// A case with its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseReport {
    /// The subject, and the sentence with underscores for blanks.
    pub name: String,
    /// What became of it.
    pub verdict: Verdict,
}

/// The cases of one or more harnesses.
#[derive(Default)]
pub struct Suite {
    pub(super) trials: Vec<Trial>,
}

/// A case that can be run.
pub(super) struct Trial {
    pub(super) name: String,
    /// The server without which it cannot run, and how to have it.
    pub(super) needs: Option<String>,
    pub(super) run: Box<dyn Fn() -> Verdict + Send + Sync>,
}

impl std::fmt::Debug for Suite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Suite({} cases)", self.trials.len())
    }
}

impl Suite {
    /// A suite without cases.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with every case for destinations, on the harness that `open` makes when it is first needed.
    #[must_use]
    pub fn destination<H: Harness + 'static>(
        mut self,
        open: impl Fn() -> Result<H> + Send + Sync + 'static,
    ) -> Self {
        let harness = opened(move || open().map(|harness| Arc::new(harness) as Arc<dyn Harness>));
        self.trials.extend(cases::destination().into_iter().map(|case| {
            let harness = Arc::clone(&harness);
            let name = case.name.clone();
            let run = move || match harness() {
                Ok(harness) => try_destination(&case, &harness),
                Err(error) => Verdict::Failed(error),
            };
            Trial { name, needs: None, run: Box::new(run) }
        }));
        self
    }

    /// The same with every case for staging destinations, on the harness that `open` makes when it is first needed.
    #[must_use]
    pub fn staging<H: StagingHarness + 'static>(
        mut self,
        open: impl Fn() -> Result<H> + Send + Sync + 'static,
    ) -> Self {
        let harness =
            opened(move || open().map(|harness| Arc::new(harness) as Arc<dyn StagingHarness>));
        self.trials.extend(cases::staging().into_iter().map(|case| {
            let harness = Arc::clone(&harness);
            let name = case.name.clone();
            let run = move || match harness() {
                Ok(harness) => try_staging(&case, &harness),
                Err(error) => Verdict::Failed(error),
            };
            Trial { name, needs: None, run: Box::new(run) }
        }));
        self
    }

    /// The same cases under a name: for a plugin that is tried in several places.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        for trial in &mut self.trials {
            trial.name = format!("{name}::{}", trial.name);
        }
        self
    }

    /// The same cases, which need a server: they are ignored with this reason until they are asked for by `--ignored` or
    /// `--include-ignored`. A server that is missing then is a failure.
    #[must_use]
    pub fn needing(mut self, reason: &str) -> Self {
        for trial in &mut self.trials {
            trial.needs = Some(reason.to_owned());
        }
        self
    }

    /// These cases and those of another suite.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.trials.extend(other.trials);
        self
    }

    /// Runs every case, one after the other.
    pub fn report(&self) -> Vec<CaseReport> {
        let report =
            |trial: &Trial| CaseReport { name: trial.name.clone(), verdict: (trial.run)() };
        self.trials.iter().map(report).collect()
    }
}

/// Makes a harness once, however often it is asked for.
fn opened<H: ?Sized + Send + Sync + 'static>(
    open: impl Fn() -> Result<Arc<H>> + Send + Sync + 'static,
) -> Arc<dyn Fn() -> Result<Arc<H>, String> + Send + Sync> {
    let harness = OnceLock::new();
    Arc::new(move || {
        harness
            .get_or_init(|| {
                open().map_err(|error| format!("the harness could not be made: {error:?}"))
            })
            .clone()
    })
}

fn try_destination(case: &Case<World>, harness: &Arc<dyn Harness>) -> Verdict {
    let destination = match harness.open() {
        Ok(destination) => destination,
        Err(error) => return Verdict::Failed(format!("it could not be opened: {error:?}")),
    };
    let missing = |claim: &Claim| claim.missing(destination.capabilities());
    if let Some(reason) = case.claims.iter().find_map(missing) {
        return Verdict::Ignored(reason);
    }
    if let Some(reason) = harness.exempt(&case.name) {
        return Verdict::Ignored(reason.to_owned());
    }
    drop(destination);
    end(|ended| {
        harness.block_on(Box::pin(async {
            let outcome = async {
                let mut world = World::new(Arc::clone(harness), case.variant)?;
                let outcome = (case.body)(&mut world).await;
                let dataset = world.dataset.clone();
                drop(world);
                harness.remove(&dataset).await.map_err(Failure::from).and(outcome)
            };
            *ended = Some(outcome.await);
        }));
    })
}

fn try_staging(case: &Case<StagingWorld>, harness: &Arc<dyn StagingHarness>) -> Verdict {
    let staging = match harness.open() {
        Ok(staging) => staging,
        Err(error) => return Verdict::Failed(format!("it could not be opened: {error:?}")),
    };
    let missing = |claim: &Claim| claim.missing_in_staging(staging.capabilities());
    if let Some(reason) = case.claims.iter().find_map(missing) {
        return Verdict::Ignored(reason);
    }
    if let Some(reason) = harness.exempt(&case.name) {
        return Verdict::Ignored(reason.to_owned());
    }
    end(|ended| {
        harness.block_on(Box::pin(async {
            let outcome = async {
                let mut world = StagingWorld::new(Arc::clone(harness))?;
                let outcome = (case.body)(&mut world).await;
                world.clean_up().await.and(outcome)
            };
            *ended = Some(outcome.await);
        }));
    })
}

/// The verdict of what a case ended with; a panic is a failure, and so is a case that was never brought to its end.
fn end(run: impl FnOnce(&mut Option<Outcome>)) -> Verdict {
    let mut ended = None;
    let panicked = catch_unwind(AssertUnwindSafe(|| run(&mut ended))).err();
    if let Some(panic) = panicked {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        return Verdict::Failed(format!("it panicked: {}", text.unwrap_or("without a word")));
    }
    match ended {
        Some(Ok(())) => Verdict::Passed,
        Some(Err(Failure::Untrue(why))) => Verdict::Failed(why),
        Some(Err(Failure::NotTried(why))) => Verdict::Ignored(why),
        None => Verdict::Failed("`block_on` came back before the case had ended".into()),
    }
}
