//! Staging the lists of files from which a destination copies.

use std::path::Path;

use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use transload_core::{
    CopyList, Error, ErrorKind, Job, JobContext, Load, Manifest, Result, StageJob, StagingAccess,
    StagingDestination,
};

use super::{Chosen, Loader, Retries};

impl Loader<'_> {
    /// Stages the lists of these jobs. A list is a file as the others are, named by its content, so that doing it again
    /// writes the same. The folder is for what is uploaded, and is the caller's to remove.
    pub(super) async fn stage_lists(
        &self,
        staging: &Chosen<dyn StagingDestination>,
        jobs: &[Job],
        manifest: &Manifest,
        load: &Load,
        folder: &Path,
    ) -> Result<()> {
        let context = JobContext {
            load,
            schema: &manifest.schema,
            folder,
            access: &StagingAccess::None,
            on_bytes: &|_| (),
        };
        let mut uploads = Vec::new();
        for job in jobs {
            let Job::Copy(copy) = job else { continue };
            for list in CopyList::of(copy)? {
                let path = folder.join(list.file.path());
                let written = path
                    .parent()
                    .map_or(Ok(()), std::fs::create_dir_all)
                    .and_then(|()| std::fs::write(&path, &list.bytes));
                written.map_err(|error| {
                    Error::new(ErrorKind::Terminal, "could not write a list of staged files")
                        .with("file", path.display())
                        .with_hint("make room in the folder for temporary files, or point TMPDIR to another one")
                        .with_source(error)
                })?;
                uploads.push(Job::Stage(StageJob { file: list.file, key: list.key }));
            }
        }
        // What an upload asks for is the copy of a file of rows, which this is not.
        let limit = staging.plugin.capabilities().max_parallel_uploads.unwrap_or(self.workers);
        let stage = |job| async move {
            let again = Retries::default();
            again.run(self.observer, self.stop, || staging.plugin.stage(job, &context)).await
        };
        stream::iter(uploads.iter().map(stage))
            .buffer_unordered(limit.clamp(1, self.workers.max(1)))
            .try_for_each(|_| future::ready(Ok(())))
            .await
    }
}
