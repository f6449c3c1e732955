//! Faults between a plugin and whoever calls it: answers that get lost, calls that are refused, slow or dropped.

use std::fmt;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use async_trait::async_trait;

use crate::{
    AccessRequest, Capabilities, Column, Commit, Dataset, DatasetState, Destination, Error,
    ErrorKind, Fence, Inquiry, Job, JobContext, JobOutcome, Load, LoadId, Publication, Result,
    SchemaChange, Scope, SealedManifest, StagedFile, StagedObject, StagingAccess,
    StagingCapabilities, StagingDestination, Survey, Table,
};

/// A method that may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Call {
    /// `check` of either.
    Check,
    /// [`Destination::describe`].
    Describe,
    /// [`Destination::apply`].
    Apply,
    /// [`Destination::fence`].
    Fence,
    /// [`Destination::run`].
    Run,
    /// [`Destination::publish`].
    Publish,
    /// [`Destination::clear`].
    Clear,
    /// [`Destination::survey`].
    Survey,
    /// [`Destination::drop_staging_tables`].
    DropStagingTables,
    /// [`StagingDestination::stage`].
    Stage,
    /// [`StagingDestination::write_manifest`].
    WriteManifest,
    /// [`StagingDestination::loads`].
    Loads,
    /// [`StagingDestination::read_manifests`].
    ReadManifests,
    /// [`StagingDestination::grant`].
    Grant,
    /// [`StagingDestination::fetch`].
    Fetch,
    /// [`StagingDestination::list`].
    List,
    /// [`StagingDestination::remove`].
    Remove,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The call is done, and its answer does not come back: [`ErrorKind::OutcomeUnknown`].
    LostAnswer,
    /// The call never arrives, and nobody knows: [`ErrorKind::OutcomeUnknown`].
    LostRequest,
    /// The future is polled so many times and then dropped; what becomes of the call, nobody knows.
    Dropped(u32),
    /// The call is refused for now, and nothing of it is done: [`ErrorKind::Transient`].
    Refused,
    /// The call fails for good, and nothing of it is done.
    Fails(ErrorKind),
    /// The call gives way to others so many times before it begins. No clock is involved.
    Slow(u32),
}

/// Which calls meet which faults. Clones share one plan and one count.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Plan>>);

#[derive(Debug, Default)]
struct Plan {
    calls: Vec<Call>,
    faults: Vec<(When, Fault)>,
}

#[derive(Debug, PartialEq, Eq)]
enum When {
    /// The call with this number, counted from 1.
    Number(usize),
    /// The call of this method with this number, counted from 1.
    Of(Call, usize),
}

impl Faults {
    /// No fault at all: for counting calls.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same with a fault at the call with this number, counted from 1 over all methods.
    #[must_use]
    pub fn at(self, number: usize, fault: Fault) -> Self {
        self.with(When::Number(number), fault)
    }

    /// The same with a fault at the call of this method with this number, counted from 1.
    #[must_use]
    pub fn on(self, call: Call, number: usize, fault: Fault) -> Self {
        self.with(When::Of(call, number), fault)
    }

    fn with(self, when: When, fault: Fault) -> Self {
        self.plan().faults.push((when, fault));
        self
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.plan().calls.clone()
    }

    fn plan(&self) -> std::sync::MutexGuard<'_, Plan> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and says what happens to it.
    fn next(&self, call: Call) -> Option<Fault> {
        let mut plan = self.plan();
        plan.calls.push(call);
        let number = plan.calls.len();
        let of_this = plan.calls.iter().filter(|other| **other == call).count();
        let hits = |when: &When| *when == When::Number(number) || *when == When::Of(call, of_this);
        plan.faults.iter().find(|(when, _)| hits(when)).map(|(_, fault)| *fault)
    }

    async fn through<T>(&self, call: Call, work: impl Future<Output = Result<T>>) -> Result<T> {
        let lost = || {
            Error::new(ErrorKind::OutcomeUnknown, "the answer was lost")
                .with("call", format!("{call:?}"))
        };
        match self.next(call) {
            None => work.await,
            Some(Fault::LostAnswer) => {
                // A call that failed by itself has an answer to lose all the same.
                let _ = work.await;
                Err(lost())
            }
            Some(Fault::LostRequest) => Err(lost()),
            Some(Fault::Dropped(polls)) => {
                give_up(polls, work).await;
                Err(lost())
            }
            Some(Fault::Refused) => Err(Error::new(ErrorKind::Transient, "refused for now")
                .with("call", format!("{call:?}"))),
            Some(Fault::Fails(kind)) => {
                Err(Error::new(kind, "made to fail").with("call", format!("{call:?}")))
            }
            Some(Fault::Slow(times)) => {
                give_way(times).await;
                work.await
            }
        }
    }
}

/// Lets others run so many times.
pub(super) async fn give_way(times: u32) {
    for _ in 0..times {
        let mut asked = false;
        poll_fn(|context| {
            if asked {
                return Poll::Ready(());
            }
            asked = true;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Polls a future so many times at most, then drops it.
async fn give_up(polls: u32, work: impl Future) {
    let mut work = Box::pin(work);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        match work.as_mut().poll(context) {
            Poll::Pending if left > 0 => Poll::Pending,
            _ => Poll::Ready(()),
        }
    })
    .await;
}

/// A destination between which and its caller there are faults.
pub struct FaultyDestination {
    inner: Arc<dyn Destination>,
    faults: Faults,
    capabilities: Capabilities,
}

impl FaultyDestination {
    /// This destination, with these faults before it.
    pub fn new(inner: Arc<dyn Destination>, faults: Faults) -> Self {
        let capabilities = inner.capabilities().clone();
        Self { inner, faults, capabilities }
    }

    /// The same with other claims: fewer than the destination has, so that one of its ways of loading is tried alone.
    pub fn claiming(mut self, change: impl FnOnce(&mut Capabilities)) -> Self {
        change(&mut self.capabilities);
        self
    }
}

impl fmt::Debug for FaultyDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FaultyDestination").field(&self.inner).finish()
    }
}

#[async_trait]
impl Destination for FaultyDestination {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn identity(&self) -> String {
        self.inner.identity()
    }

    fn native_type(&self, column: &Column) -> Result<String> {
        self.inner.native_type(column)
    }

    fn widens(&self, from: &str, to: &str) -> bool {
        self.inner.widens(from, to)
    }

    fn check_table(&self, table: &Table) -> Result<()> {
        self.inner.check_table(table)
    }

    async fn check(&self) -> Result<()> {
        self.faults.through(Call::Check, self.inner.check()).await
    }

    async fn describe(&self, inquiry: &Inquiry) -> Result<DatasetState> {
        self.faults.through(Call::Describe, self.inner.describe(inquiry)).await
    }

    async fn apply(&self, dataset: &Dataset, changes: &[SchemaChange]) -> Result<Vec<String>> {
        self.faults.through(Call::Apply, self.inner.apply(dataset, changes)).await
    }

    async fn fence(&self, dataset: &Dataset, pipeline: &str, owner: &str) -> Result<Fence> {
        self.faults.through(Call::Fence, self.inner.fence(dataset, pipeline, owner)).await
    }

    async fn run(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        self.faults.through(Call::Run, self.inner.run(job, context)).await
    }

    async fn publish(&self, publication: &Publication, context: &JobContext<'_>) -> Result<Commit> {
        self.faults.through(Call::Publish, self.inner.publish(publication, context)).await
    }

    async fn clear(&self, load: &Load) -> Result<()> {
        self.faults.through(Call::Clear, self.inner.clear(load)).await
    }

    async fn survey(&self, dataset: &Dataset) -> Result<Survey> {
        self.faults.through(Call::Survey, self.inner.survey(dataset)).await
    }

    async fn drop_staging_tables(&self, dataset: &Dataset, tables: &[String]) -> Result<()> {
        let work = self.inner.drop_staging_tables(dataset, tables);
        self.faults.through(Call::DropStagingTables, work).await
    }
}

/// A staging destination between which and its caller there are faults.
pub struct FaultyStaging {
    inner: Arc<dyn StagingDestination>,
    faults: Faults,
}

impl FaultyStaging {
    /// This staging destination, with these faults before it.
    pub fn new(inner: Arc<dyn StagingDestination>, faults: Faults) -> Self {
        Self { inner, faults }
    }
}

impl fmt::Debug for FaultyStaging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FaultyStaging").field(&self.inner).finish()
    }
}

#[async_trait]
impl StagingDestination for FaultyStaging {
    fn capabilities(&self) -> &StagingCapabilities {
        self.inner.capabilities()
    }

    async fn check(&self) -> Result<()> {
        self.faults.through(Call::Check, self.inner.check()).await
    }

    fn url(&self, key: &str) -> String {
        self.inner.url(key)
    }

    async fn stage(&self, job: &Job, context: &JobContext<'_>) -> Result<JobOutcome> {
        self.faults.through(Call::Stage, self.inner.stage(job, context)).await
    }

    async fn write_manifest(&self, manifest: &SealedManifest) -> Result<()> {
        self.faults.through(Call::WriteManifest, self.inner.write_manifest(manifest)).await
    }

    async fn loads(&self, scope: &Scope) -> Result<Vec<LoadId>> {
        self.faults.through(Call::Loads, self.inner.loads(scope)).await
    }

    async fn read_manifests(&self, scope: &Scope) -> Result<Vec<SealedManifest>> {
        self.faults.through(Call::ReadManifests, self.inner.read_manifests(scope)).await
    }

    async fn grant(&self, request: &AccessRequest) -> Result<StagingAccess> {
        self.faults.through(Call::Grant, self.inner.grant(request)).await
    }

    async fn fetch(&self, file: &StagedFile, to: &Path) -> Result<()> {
        self.faults.through(Call::Fetch, self.inner.fetch(file, to)).await
    }

    async fn list(&self, scope: &Scope) -> Result<Vec<StagedObject>> {
        self.faults.through(Call::List, self.inner.list(scope)).await
    }

    async fn remove(&self, keys: &[String]) -> Result<()> {
        self.faults.through(Call::Remove, self.inner.remove(keys)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    async fn answer(done: &AtomicU32) -> Result<u32> {
        give_way(2).await;
        done.fetch_add(1, Ordering::SeqCst);
        Ok(7)
    }

    async fn meet(fault: Fault) -> (Result<u32>, u32) {
        let done = AtomicU32::new(0);
        let faults = Faults::none().on(Call::Check, 2, fault);
        assert_eq!(faults.through(Call::Check, answer(&done)).await.unwrap(), 7);
        let result = faults.through(Call::Check, answer(&done)).await;
        assert_eq!(faults.calls(), [Call::Check, Call::Check]);
        (result, done.load(Ordering::SeqCst) - 1)
    }

    #[tokio::test]
    async fn each_fault_is_what_it_says() {
        for (fault, kind, done) in [
            (Fault::LostAnswer, Some(ErrorKind::OutcomeUnknown), 1),
            (Fault::LostRequest, Some(ErrorKind::OutcomeUnknown), 0),
            (Fault::Dropped(0), Some(ErrorKind::OutcomeUnknown), 0),
            (Fault::Dropped(2), Some(ErrorKind::OutcomeUnknown), 0),
            (Fault::Dropped(3), Some(ErrorKind::OutcomeUnknown), 1),
            (Fault::Refused, Some(ErrorKind::Transient), 0),
            (Fault::Fails(ErrorKind::Fenced), Some(ErrorKind::Fenced), 0),
            (Fault::Slow(5), None, 1),
        ] {
            let (result, found) = meet(fault).await;
            assert_eq!((result.err().map(|error| error.kind()), found), (kind, done), "{fault:?}");
        }
    }
}
