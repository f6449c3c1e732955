//! Staging the lists of files from which a destination copies.

use transload_core::{
    CopyJob, CopyList, Error, ErrorKind, Job, JobContext, Result, StageJob, StagingDestination,
};

use super::Loader;

impl Loader<'_> {
    /// Stages the lists of a copy. A list is a file as the others are, named by its content, so that doing it again writes
    /// the same. The folder of the context is for what is uploaded, and is the caller's to remove.
    pub(super) async fn stage_lists(
        &self,
        staging: &dyn StagingDestination,
        copy: &CopyJob,
        context: &JobContext<'_>,
    ) -> Result<()> {
        for list in CopyList::of(copy)? {
            let path = context.folder.join(list.file.path());
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
            let upload = Job::Stage(StageJob { file: list.file, key: list.key });
            // What it asks for is the copy of a file of rows, which this is not.
            self.retries().repeatable(|| staging.stage(&upload, context)).await?;
        }
        Ok(())
    }
}
