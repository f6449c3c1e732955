//! What a run tells whoever watches it.

use transload_core::{DataFile, ErrorReport, JobId, LoadId};

/// The steps of a load, in their order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Rows are read and become the files of a package.
    Normalise,
    /// Files go into the staging storage.
    Stage,
    /// The destination takes the files in.
    Copy,
    /// The load becomes visible.
    Publish,
}

impl Step {
    /// The name in receipts and on the screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normalise => "normalise",
            Self::Stage => "stage",
            Self::Copy => "copy",
            Self::Publish => "publish",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A load begins, anew or again.
    LoadStarted {
        /// The load.
        load_id: LoadId,
        /// Whether it was begun earlier and is being finished.
        resumed: bool,
        /// The destination that gets it.
        destination: String,
    },
    /// A step begins, with the number of jobs it has, where that is known.
    StepStarted {
        /// The step.
        step: Step,
        /// Its jobs.
        jobs: Option<usize>,
    },
    /// Rows were read and normalised.
    Rows {
        /// Rows of the source.
        rows: u64,
        /// Bytes of the source.
        bytes: u64,
    },
    /// A file of the package is ready.
    FileWritten(DataFile),
    /// Bytes moved, up or down.
    Bytes {
        /// The step that moves them. Several may be under way at once.
        step: Step,
        /// How many, since the last time.
        bytes: u64,
    },
    /// A job ended well.
    JobEnded {
        /// The step that it belongs to.
        step: Step,
        /// The job.
        job: JobId,
    },
    /// A step ended well.
    StepEnded(Step),
    /// Something failed and is tried again after a wait.
    Retrying {
        /// What failed.
        error: ErrorReport,
        /// Seconds until it is tried again.
        seconds: f64,
    },
    /// Something that the user should know and that stops nothing.
    Warning(String),
    /// The load is visible.
    LoadEnded(LoadId),
}

/// Someone who watches runs. Called from several threads; must not block.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn observe(&self, event: Event);
}

impl<F: Fn(Event) + Send + Sync> Observer for F {
    fn observe(&self, event: Event) {
        self(event);
    }
}
