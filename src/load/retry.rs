//! How long an answer is waited for, and how often and how long what failed is tried again.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;
use transload_core::{Error, ErrorKind, Result};

use super::event::{Event, Observer};
use crate::stop::Stop;

/// Tries after the first one, by the kind of the error. Any other kind ends it at once: an error that nobody has
/// classified is not tried again.
const TRIES: &[(ErrorKind, u32)] = &[
    // A connection that breaks, a service that is busy or gone. The time ends it, and this only what fails at once.
    (ErrorKind::Transient, 40),
    // Each is the whole load again, behind a raised fence.
    (ErrorKind::OutcomeUnknown, 5),
];

/// The wait before the first of them. It doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The wait before something is tried again; `None` where it is not. `chance` is between 0 and 1 and spreads the tries of
/// many loaders over half of the wait.
fn wait(
    kind: ErrorKind,
    failures: u32,
    since_the_first: Duration,
    budget: Duration,
    chance: f64,
) -> Option<Duration> {
    let (_, tries) = TRIES.iter().find(|(retried, _)| *retried == kind)?;
    let left = budget.checked_sub(since_the_first).filter(|left| !left.is_zero())?;
    if failures > *tries {
        return None;
    }
    let doubled = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(16));
    let wait = doubled.min(LONGEST_WAIT).mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0);
    // The last try comes when the time is up, and not before.
    Some(wait.min(left))
}

/// How patient a load is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How long, from its first failure, something is tried again.
    pub(crate) retry: Duration,
    /// How long the answer to a request is waited for that moves no rows.
    pub(crate) request: Duration,
    /// How long a job or a publication may take.
    pub(crate) job: Duration,
}

/// Tries again what may work when tried again, and gives up what hangs.
///
/// The time is taken here and not in the plugins: what dropping a request means is said by the contract, so that one
/// limit holds for all of them. Plugins have limits of their own for connections, which only they can tell from slow
/// work.
#[derive(Clone, Copy)]
pub(crate) struct Retries<'a> {
    pub(crate) patience: Patience,
    pub(crate) observer: &'a dyn Observer,
    pub(crate) stop: &'a Stop,
}

impl Retries<'_> {
    /// Asks what moves no rows and may be asked again.
    pub(crate) async fn request<T, F>(&self, step: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let Patience { request, .. } = self.patience;
        self.run(|| within(request, "load.request_timeout", ErrorKind::Transient, step())).await
    }

    /// Does what may take long and may be repeated even while an earlier try is still at work: a file is moved to or from
    /// a storage, where its name holds its hash, or something is added that may be there already.
    pub(crate) async fn repeatable<T, F>(&self, step: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let Patience { job, .. } = self.patience;
        self.run(|| within(job, "load.job_timeout", ErrorKind::Transient, step())).await
    }

    /// Runs a job on the destination. One that hangs may still be applied later, while the next try of it is at work in
    /// the same staging table: so it is not tried again here, but under the next epoch.
    pub(crate) async fn job<T, F>(&self, step: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.run(|| self.once(step())).await
    }

    /// Waits for what is never simply tried again.
    pub(crate) async fn once<T>(&self, step: impl Future<Output = Result<T>>) -> Result<T> {
        within(self.patience.job, "load.job_timeout", ErrorKind::OutcomeUnknown, step).await
    }

    async fn run<T, F>(&self, step: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut failures = Failures::default();
        loop {
            match step().await {
                Err(error) if error.is_transient() => failures.pause(self, error).await?,
                result => return result,
            }
        }
    }
}

/// The failures of one thing that is tried again and again.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    number: u32,
    first: Option<Instant>,
}

impl Failures {
    /// Waits until it is time to try again.
    ///
    /// # Errors
    /// The error itself, where it is not tried again; [`ErrorKind::Interrupted`] where the run is asked to stop, which
    /// does not wait.
    pub(crate) async fn pause(&mut self, retries: &Retries<'_>, error: Error) -> Result<()> {
        self.number += 1;
        let since = self.first.get_or_insert_with(Instant::now).elapsed();
        let budget = retries.patience.retry;
        let Some(wait) = wait(error.kind(), self.number, since, budget, rand::random()) else {
            return Err(match self.number {
                1 => error,
                tries => error.with("tries", tries),
            });
        };
        let (error, seconds) = (error.report(), wait.as_secs_f64());
        retries.observer.observe(Event::Retrying { error, seconds });
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = retries.stop.stopped() => {}
        }
        retries.stop.check()
    }
}

async fn within<T>(
    limit: Duration,
    key: &'static str,
    kind: ErrorKind,
    step: impl Future<Output = Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(limit, step).await {
        Ok(result) => result,
        Err(_) => Err(Error::new(kind, "no answer came in time")
            .with("seconds", limit.as_secs())
            .with_hint(format!("if it needs longer than that, raise `{key}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const MINUTES: Duration = Duration::from_secs(300);
    const PATIENCE: Patience =
        Patience { retry: MINUTES, request: Duration::from_secs(60), job: MINUTES };

    #[test]
    fn a_wait_doubles_up_to_the_longest_and_is_spread_over_half_of_it() {
        let waits = |chance| {
            [1, 2, 3, 6, 7, 40].map(|failures| {
                let wait = wait(ErrorKind::Transient, failures, Duration::ZERO, MINUTES, chance);
                wait.unwrap().as_secs_f64()
            })
        };
        assert_eq!(waits(1.0), [0.5, 1.0, 2.0, 16.0, 30.0, 30.0]);
        assert_eq!(waits(0.0), [0.25, 0.5, 1.0, 8.0, 15.0, 15.0]);
    }

    #[test]
    fn a_budget_ends_by_number_and_by_time() {
        let wait = |kind, failures, seconds| {
            wait(kind, failures, Duration::from_secs(seconds), MINUTES, 1.0)
        };
        assert!(wait(ErrorKind::Transient, 40, 0).is_some());
        assert!(wait(ErrorKind::Transient, 41, 0).is_none());
        assert!(wait(ErrorKind::OutcomeUnknown, 5, 0).is_some());
        assert!(wait(ErrorKind::OutcomeUnknown, 6, 0).is_none());
        assert_eq!(wait(ErrorKind::Transient, 20, 290), Some(Duration::from_secs(10)));
        assert!(wait(ErrorKind::Transient, 20, 300).is_none());
    }

    #[test]
    fn only_what_passes_is_tried_again() {
        use ErrorKind::*;
        for kind in [Configuration, Unsupported, BadData, Terminal, Fenced, Interrupted, Bug] {
            assert!(wait(kind, 1, Duration::ZERO, MINUTES, 1.0).is_none(), "{kind}");
        }
    }

    /// Tries something that fails until this much time is gone. Returns the tries, the waits and the result.
    async fn gone_for(time: Duration, kind: ErrorKind) -> (usize, Vec<f64>, Result<()>) {
        let (tries, waits) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let observer = |event: Event| {
            if let Event::Retrying { seconds, .. } = event {
                waits.lock().unwrap().push(seconds);
            }
        };
        let begun = Instant::now();
        let stop = Stop::default();
        let retries = Retries { patience: PATIENCE, observer: &observer, stop: &stop };
        let step = || async {
            tries.fetch_add(1, Ordering::Relaxed);
            if begun.elapsed() < time { Err(Error::new(kind, "gone")) } else { Ok(()) }
        };
        let result = retries.request(step).await;
        (tries.into_inner(), waits.into_inner().unwrap(), result)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_gone_for_thirty_seconds_fails_nothing() {
        let (tries, waits, result) = gone_for(Duration::from_secs(30), ErrorKind::Transient).await;
        result.unwrap();
        assert_eq!(waits.len(), tries - 1, "each wait is seen");
        assert!(waits.iter().sum::<f64>() >= 30.0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_gone_for_longer_than_the_budget_fails_with_its_own_error() {
        let (tries, waits, result) = gone_for(MINUTES * 2, ErrorKind::Transient).await;
        let error = result.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Transient, "gone"));
        assert_eq!(error.context("tries"), Some(tries.to_string().as_str()));
        assert!((waits.iter().sum::<f64>() - MINUTES.as_secs_f64()).abs() < 0.1, "{waits:?}");
        for kind in [ErrorKind::Terminal, ErrorKind::OutcomeUnknown] {
            assert_eq!(gone_for(MINUTES, kind).await.0, 1, "{kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_is_given_up_as_what_it_is() {
        let stop = Stop::default();
        let retries = Retries { patience: PATIENCE, observer: &|_: Event| {}, stop: &stop };
        let hangs = || std::future::pending::<Result<()>>();
        let error = retries.request(hangs).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Transient, "it may be asked again, and was");
        assert!(error.context("tries").is_some());
        assert!(error.hint().unwrap().contains("load.request_timeout"));
        let error = retries.job(hangs).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "it may be applied later");
        assert_eq!((error.context("tries"), error.context("seconds")), (None, Some("300")));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_is_asked_to_stop_does_not_wait() {
        let stop = Stop::default();
        let asked = stop.clone();
        let observer = move |_: Event| asked.stop();
        let retries = Retries { patience: PATIENCE, observer: &observer, stop: &stop };
        let begun = Instant::now();
        let step = || async { Err::<(), _>(Error::new(ErrorKind::Transient, "no")) };
        assert_eq!(retries.request(step).await.unwrap_err().kind(), ErrorKind::Interrupted);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
