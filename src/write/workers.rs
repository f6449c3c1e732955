//! Threads that encode what the writers of a load hand them.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use transload_core::{Error, ErrorKind, Result};

type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads, shared by all writers of a load. The last one to drop it waits for its threads.
///
/// What is submitted never waits for anything else that is submitted, so a pool of any size makes progress.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workers(Option<Arc<Pool>>);

struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Shared {
    /// No job runs while the queue is held, so nobody leaves it half changed.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            // A job that panics is caught; its ticket says so.
            let _ = thread.join();
        }
    }
}

impl Workers {
    /// No threads: what is submitted is done at once, by the one who submits it. The default.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// So many threads; none for 0.
    ///
    /// # Errors
    /// [`ErrorKind::Terminal`] where the system gives no more threads.
    pub(crate) fn new(threads: usize) -> Result<Self> {
        if threads == 0 {
            return Ok(Self::none());
        }
        let mut pool = Pool { shared: Arc::default(), threads: Vec::with_capacity(threads) };
        for number in 1..=threads {
            let shared = Arc::clone(&pool.shared);
            let work = move || {
                while let Some(job) = shared.next() {
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            };
            let thread = std::thread::Builder::new().name(format!("encode {number}")).spawn(work);
            pool.threads.push(thread.map_err(|error| {
                Error::new(ErrorKind::Terminal, "a thread could not be started")
                    .with("threads", threads)
                    .with_source(error)
            })?);
        }
        Ok(Self(Some(Arc::new(pool))))
    }

    /// Hands in work.
    pub(super) fn submit<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Ticket<T> {
        let Some(pool) = &self.0 else { return Ticket(State::Done(work())) };
        let (sender, receiver) = mpsc::sync_channel(1);
        // Nobody may be waiting any more: a writer was dropped.
        let job = move || drop(sender.send(work()));
        pool.shared.lock().jobs.push_back(Box::new(job));
        pool.shared.changed.notify_one();
        Ticket(State::Under(receiver))
    }
}

/// What work will have given.
#[derive(Debug)]
pub(super) struct Ticket<T>(State<T>);

#[derive(Debug)]
enum State<T> {
    Done(T),
    Under(mpsc::Receiver<T>),
}

impl<T> Ticket<T> {
    /// Waits for the work to be done.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] where the work panicked.
    pub(super) fn wait(self) -> Result<T> {
        match self.0 {
            State::Done(done) => Ok(done),
            State::Under(receiver) => receiver
                .recv()
                .map_err(|_| Error::new(ErrorKind::Bug, "a thread that encodes has panicked")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_by_any_number_of_threads() {
        for threads in [0, 1, 3] {
            let workers = Workers::new(threads).unwrap();
            let tickets: Vec<_> = (0..50).map(|n| workers.submit(move || n * 2)).collect();
            let done: Vec<i32> = tickets.into_iter().map(|ticket| ticket.wait().unwrap()).collect();
            assert_eq!(done, (0..50).map(|n| n * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_panic_is_an_error_and_the_thread_goes_on() {
        let workers = Workers::new(1).unwrap();
        let ticket = workers.submit(|| panic!("on purpose"));
        assert_eq!(ticket.wait().map(|()| 0).unwrap_err().kind(), ErrorKind::Bug);
        assert_eq!(workers.submit(|| 7).wait().unwrap(), 7);
    }

    #[test]
    fn work_that_nobody_waits_for_is_done_before_the_pool_is_gone() {
        let (sender, receiver) = mpsc::channel();
        let workers = Workers::new(2).unwrap();
        for n in 0..10 {
            let sender = sender.clone();
            drop(workers.submit(move || sender.send(n).is_ok()));
        }
        drop((workers, sender));
        assert_eq!(receiver.iter().count(), 10);
    }
}
