//! Trying again what may work when tried again.

use std::future::Future;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use transload_core::{Error, Result};

use super::event::{Event, Observer};

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
    /// nobody has classified is not retried.
    pub(crate) async fn run<T, F: Future<Output = Result<T>>>(
        &self,
        observer: &dyn Observer,
        step: impl FnMut() -> F,
    ) -> Result<T> {
        let policy = ExponentialBuilder::default()
            .with_min_delay(self.first_wait)
            .with_max_delay(Duration::from_secs(30))
            .with_max_times(self.times)
            .with_jitter();
        let tell = |error: &Error, wait: Duration| {
            observer
                .observe(Event::Retrying { error: error.report(), seconds: wait.as_secs_f64() });
        };
        step.retry(policy).when(Error::is_transient).notify(tell).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use transload_core::ErrorKind;

    const FAST: Retries = Retries { times: 3, first_wait: Duration::from_millis(1) };

    async fn tries_of(kind: ErrorKind, failures: usize) -> (usize, bool) {
        let tries = AtomicUsize::new(0);
        let result = FAST
            .run(&|_: Event| {}, || async {
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
}
