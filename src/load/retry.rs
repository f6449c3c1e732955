//! Trying again what may work when tried again.

use std::future::Future;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use transload_core::Result;

use super::event::{Event, Observer};
use crate::stop::Stop;

/// How often and how long a step is tried again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    /// Tries after the first one.
    pub(crate) times: usize,
    /// The wait before the first of them, which doubles each time, with jitter.
    pub(crate) first_wait: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { times: 5, first_wait: Duration::from_millis(500) }
    }
}

impl Retries {
    /// Runs a step, and again while it fails with what is transient. Any other error ends it at once: an error that
    /// nobody has classified is not retried. A run that is asked to stop does not wait.
    pub(crate) async fn run<T, F: Future<Output = Result<T>>>(
        &self,
        observer: &dyn Observer,
        stop: &Stop,
        step: impl Fn() -> F,
    ) -> Result<T> {
        let waits = ExponentialBuilder::default()
            .with_min_delay(self.first_wait)
            .with_max_delay(Duration::from_secs(30))
            .with_max_times(self.times)
            .with_jitter()
            .with_jitter_seed(rand::random())
            .build();
        for wait in waits {
            let error = match step().await {
                Err(error) if error.is_transient() => error,
                result => return result,
            };
            let (error, seconds) = (error.report(), wait.as_secs_f64());
            observer.observe(Event::Retrying { error, seconds });
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.stopped() => {}
            }
            stop.check()?;
        }
        step().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use transload_core::{Error, ErrorKind};

    const FAST: Retries = Retries { times: 3, first_wait: Duration::from_millis(1) };

    async fn tries_of(kind: ErrorKind, failures: usize) -> (usize, bool) {
        let tries = AtomicUsize::new(0);
        let result = FAST
            .run(&|_: Event| {}, &Stop::default(), || async {
                if tries.fetch_add(1, Ordering::Relaxed) < failures {
                    Err(Error::new(kind, "no"))
                } else {
                    Ok(())
                }
            })
            .await;
        (tries.into_inner(), result.is_ok())
    }

    #[tokio::test]
    async fn only_what_is_transient_is_tried_again() {
        assert_eq!(tries_of(ErrorKind::Transient, 2).await, (3, true));
        assert_eq!(tries_of(ErrorKind::Transient, 9).await, (4, false));
        assert_eq!(tries_of(ErrorKind::Terminal, 1).await, (1, false));
        assert_eq!(tries_of(ErrorKind::OutcomeUnknown, 1).await, (1, false));
    }

    #[tokio::test]
    async fn a_run_that_is_asked_to_stop_does_not_wait() {
        let stop = Stop::default();
        let slow = Retries { times: 3, first_wait: Duration::from_secs(3600) };
        let asked = stop.clone();
        let step = || async { Err::<(), _>(Error::new(ErrorKind::Transient, "no")) };
        let result = slow.run(&move |_: Event| asked.stop(), &stop, step).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Interrupted);
    }
}
