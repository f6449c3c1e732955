//! Staging the lists of files from which a destination copies.

use transload_core::{CopyList, Error, ErrorKind, Job, JobContext, Result, StageJob};

use super::negotiate::{Route, Way};
use super::transfer::Scratch;
use super::{Loader, StagingAccess};

impl Loader<'_> {
    /// Stages the lists of the copies among these jobs, for a destination that copies by lists. A list is a file as the
    /// others are, named by its content, so that doing it again writes the same.
    pub(super) async fn stage_lists(
        &self,
        route: Route,
        jobs: &[Job],
        context: &JobContext<'_>,
        scratch: &Scratch,
    ) -> Result<()> {
        let (Some(staging), Way::Staged(_)) = (self.staging, route.way) else { return Ok(()) };
        if !self.destination.plugin.capabilities().copies_by_list {
            return Ok(());
        }
        let folder = scratch.folder()?;
        let context = JobContext {
            folder: &folder,
            access: &StagingAccess::None,
            on_bytes: &|_| (),
            ..*context
        };
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
                let upload = Job::Stage(StageJob { file: list.file, key: list.key });
                // What it asks for is the copy of a file of rows, which this is not.
                self.retries().repeatable(|| staging.plugin.stage(&upload, &context)).await?;
            }
        }
        Ok(())
    }
}
