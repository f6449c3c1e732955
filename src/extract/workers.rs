//! Shredding on all cores: one thread reads, some shred, and whoever called takes the chunks in their order.
//!
//! At most a fixed number of chunks is on the way, whatever the input and however slow its writing is. The threads are
//! not waited for when the work ends early: one of them may be blocked by a source that never ends.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use transload_core::{Column, Error, ErrorKind, Result};

use super::Opened;
use crate::incremental::Judge;
use crate::normalize::{Shredded, Snapshot, Worker};
use crate::source::{ArrowRows, Chunk, JsonRows, ParquetFile};
use crate::stop::Stop;

/// A chunk of a resource, in the order of the input.
#[derive(Debug)]
pub(super) enum Work {
    /// Rows of JSON, and what they became against the schema of that moment.
    Json(JsonRows, Result<Box<Shredded>>),
    /// Rows of Arrow, as they came.
    Arrow(ArrowRows),
    /// The columns of an input without rows.
    Columns(Vec<Column>),
    /// A file that may go into the load as it is.
    File(ParquetFile),
    /// The resource has no more.
    End,
}

/// One chunk on its way, with the resource that it belongs to.
pub(super) type Delivery = (usize, Result<Work>);

/// The schema that workers shred against: the newest one that has been accepted.
#[derive(Clone, Debug)]
pub(super) struct Latest(Arc<Mutex<Arc<Snapshot>>>);

impl Latest {
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self(Arc::new(Mutex::new(snapshot)))
    }

    pub(super) fn set(&self, snapshot: Arc<Snapshot>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    fn get(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Task {
    number: u64,
    resource: usize,
    table: Arc<str>,
    judge: Option<Arc<Judge>>,
    chunk: Chunk,
}

/// The chunks of all resources, shredded, in their order. [`Deliveries::next`] is called once for each; what was
/// delivered makes room for another chunk when the next one is asked for.
pub(super) struct Deliveries {
    done: Receiver<(u64, Delivery)>,
    /// Those that came before their turn.
    early: BTreeMap<u64, Delivery>,
    next: u64,
    ended: usize,
    resources: usize,
    /// A token for each chunk that may be on the way.
    tokens: SyncSender<()>,
    /// Whether the delivery before must give its token back.
    owes: bool,
    /// The number of the first resource of which more is wanted.
    enough: Arc<AtomicUsize>,
    stop: Stop,
}

/// How often a stop is looked for while nothing comes.
const PATIENCE: Duration = Duration::from_millis(100);

impl Deliveries {
    /// Begins to read. `workers` chunks are shredded at a time.
    pub(super) fn begin(
        resources: Vec<Opened>,
        workers: usize,
        latest: &Latest,
        stop: &Stop,
    ) -> Self {
        let workers = workers.max(1);
        let on_the_way = workers * 2 + 1;
        let (tokens, spent) = sync_channel(on_the_way);
        // The first chunk of a resource travels alone: what it adds to the schema is most of what all of them would.
        let _ = tokens.try_send(());
        let (done_sender, done) = channel();
        let (task_sender, tasks) = sync_channel::<Task>(on_the_way);
        let tasks = Arc::new(Mutex::new(tasks));
        for _ in 0..workers {
            let (tasks, done, latest) = (Arc::clone(&tasks), done_sender.clone(), latest.clone());
            thread::spawn(move || shred(&tasks, &done, &latest));
        }
        let count = resources.len();
        let enough = Arc::new(AtomicUsize::new(0));
        let enough_read = Arc::clone(&enough);
        thread::spawn(move || {
            read(resources, on_the_way, &spent, &task_sender, &done_sender, &enough_read)
        });
        Self {
            done,
            early: BTreeMap::new(),
            next: 0,
            ended: 0,
            resources: count,
            tokens,
            owes: false,
            enough,
            stop: stop.clone(),
        }
    }

    /// Asks for no more of a resource. What is on the way still comes.
    pub(super) fn end(&self, resource: usize) {
        self.enough.fetch_max(resource + 1, Ordering::Relaxed);
    }

    /// The next chunk, or none after the last one of the last resource.
    ///
    /// # Errors
    /// [`ErrorKind::Interrupted`] once a stop was asked for.
    pub(super) fn next(&mut self) -> Result<Option<Delivery>> {
        if self.owes {
            self.owes = false;
            // The reader may have ended.
            let _ = self.tokens.try_send(());
        }
        while self.ended < self.resources {
            self.stop.check()?;
            if let Some(delivery) = self.early.remove(&self.next) {
                self.next += 1;
                match delivery.1 {
                    Ok(Work::End) => self.ended += 1,
                    _ => self.owes = true,
                }
                return Ok(Some(delivery));
            }
            match self.done.recv_timeout(PATIENCE) {
                Ok((number, delivery)) => {
                    self.early.insert(number, delivery);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new(ErrorKind::Bug, "a worker ended unexpectedly"));
                }
            }
        }
        Ok(None)
    }
}

fn shred(tasks: &Mutex<Receiver<Task>>, done: &Sender<(u64, Delivery)>, latest: &Latest) {
    let mut worker = Worker::default();
    loop {
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Task { number, resource, table, judge, chunk }) = task else { return };
        let work = match chunk {
            Chunk::Json(rows) => {
                let shredded = latest.get().shred(&table, &rows, judge.as_deref(), &mut worker);
                Work::Json(rows, shredded.map(Box::new))
            }
            Chunk::Arrow(rows) => Work::Arrow(rows),
            Chunk::Columns(columns) => Work::Columns(columns),
            Chunk::File(file) => Work::File(file),
        };
        if done.send((number, (resource, Ok(work)))).is_err() {
            return;
        }
    }
}

/// Reads the resources one after the other. Ends when nobody waits for more.
fn read(
    resources: Vec<Opened>,
    on_the_way: usize,
    tokens: &Receiver<()>,
    tasks: &SyncSender<Task>,
    done: &Sender<(u64, Delivery)>,
    enough: &AtomicUsize,
) {
    let mut number = 0;
    // Tokens that are here and not on the way with a chunk.
    let mut held = on_the_way - 1;
    for (resource, Opened { table, chunks, judge, .. }) in resources.into_iter().enumerate() {
        let table: Arc<str> = table.into();
        for (index, chunk) in chunks.enumerate() {
            if enough.load(Ordering::Relaxed) > resource {
                break;
            }
            // The second chunk waits until the first one has been taken.
            let wanted = if index <= 1 { on_the_way } else { 1 };
            while held < wanted {
                if tokens.recv().is_err() {
                    return;
                }
                held += 1;
            }
            held -= 1;
            let sent = match chunk {
                Ok(chunk) => {
                    let (table, judge) = (Arc::clone(&table), judge.clone());
                    let task = Task { number, resource, table, judge, chunk };
                    tasks.send(task).is_ok()
                }
                Err(error) => {
                    // Nothing of a run with an error is loaded.
                    let _ = done.send((number, (resource, Err(error))));
                    return;
                }
            };
            if !sent {
                return;
            }
            number += 1;
        }
        if done.send((number, (resource, Ok(Work::End)))).is_err() {
            return;
        }
        number += 1;
    }
}
