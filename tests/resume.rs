//! Loads that are finished from the staging storage alone, on an empty disk or another machine: every row once, or a refusal
//! that says why.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use transload::{
    ErrorKind, Event, Incremental, LoadId, LoadInfo, LoadStatus, Pipeline, PipelineBuilder,
    Resource, Step, Stop, WriteDisposition,
};

fn builder(folder: &Path) -> PipelineBuilder {
    transload::pipeline("moving")
        .destination("duckdb")
        .staging("filesystem")
        .dataset_name("d")
        .folder(folder)
        .pipelines_dir("pipelines")
        .setting("destination.filesystem.bucket_url", "staged")
}

fn pipeline(folder: &Path) -> Pipeline {
    builder(folder).build().unwrap()
}

fn rows(n: i64) -> Resource {
    Resource::rows("t", (0..n).map(|n| serde_json::json!({ "n": n, "tags": [n, n] })))
}

fn replace(n: i64) -> Resource {
    rows(n).write_disposition(WriteDisposition::Replace)
}

fn count(folder: &Path, sql: &str) -> i64 {
    let database = duckdb::Connection::open(folder.join("moving.duckdb")).unwrap();
    database.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
}

/// Stages a load as a whole and ends before it is published. Returns its id.
async fn staged(folder: &Path, resource: Resource) -> LoadId {
    let stop: Arc<OnceLock<Stop>> = Arc::default();
    let handle = Arc::clone(&stop);
    let observer = move |event: Event| {
        if let Event::StepEnded(Step::Stage) = event {
            handle.get().unwrap().stop();
        }
    };
    let pipeline = builder(folder).observer(observer).build().unwrap();
    stop.set(pipeline.stop_handle()).unwrap();
    let failed = pipeline.run(resource).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Interrupted);
    failed.info.loads.last().unwrap().load_id.clone().unwrap()
}

/// The same, and then the disk with the package is lost.
async fn orphaned(folder: &Path, resource: Resource) -> LoadId {
    let load_id = staged(folder, resource).await;
    lose_the_disk(folder);
    load_id
}

fn lose_the_disk(folder: &Path) {
    std::fs::remove_dir_all(folder.join("pipelines")).unwrap();
}

fn in_storage(folder: &Path, load_id: &LoadId) -> PathBuf {
    folder.join("staged/d/moving").join(load_id.as_str())
}

fn only(info: &LoadInfo) -> &transload::Receipt {
    let [receipt] = &info.loads[..] else { panic!("one load: {info}") };
    receipt
}

#[tokio::test]
async fn a_load_whose_package_is_lost_is_finished_from_its_manifest() {
    for resource in [rows as fn(i64) -> Resource, replace] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        pipeline(folder).run(resource(3)).await.unwrap();
        let load_id = orphaned(folder, resource(5)).await;
        let before = count(folder, "select count(*) from d.t");
        assert_eq!(before, 3, "nothing of it is visible");

        let info = pipeline(folder).resume().await.unwrap();
        let receipt = only(&info);
        assert_eq!(
            (receipt.load_id.as_ref(), receipt.status),
            (Some(&load_id), LoadStatus::Loaded)
        );
        assert!(receipt.resumed && receipt.files.iter().all(|file| file.url.is_some()));
        let loaded = receipt.tables.iter().map(|table| table.loaded_rows.unwrap()).sum::<u64>();
        assert_eq!(loaded, 15);
        let rows = count(folder, "select count(*) from d.t");
        assert!(rows == 8 || rows == 5, "all of it is visible: {rows}");

        // Again, with what is recorded here and without it: nothing is doubled, and what is done is reported.
        for disk_is_lost in [false, true] {
            if disk_is_lost {
                lose_the_disk(folder);
            }
            assert!(pipeline(folder).resume().await.unwrap().loads.is_empty());
            let info = pipeline(folder).resume_load(&load_id).await.unwrap();
            assert_eq!(only(&info).status, LoadStatus::Loaded);
            assert_eq!(count(folder, "select count(*) from d.t"), rows);
            assert_eq!(count(folder, "select count(*) from d.t__tags"), 2 * rows);
            assert_eq!(count(folder, "select count(*) from d._dlt_loads"), 2);
        }
        pipeline(folder).run(resource(1)).await.unwrap();
    }
}

#[tokio::test]
async fn a_load_is_recorded_where_it_was_finished() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let load_id = orphaned(folder, rows(2)).await;
    let digest = pipeline(folder).resume().await.unwrap().loads[0].digest.clone();
    let packages = pipeline(folder).working_folder().packages().unwrap();
    let [package] = &packages[..] else { panic!("one package") };
    assert_eq!((&package.load_id, package.status), (&load_id, transload::PackageStatus::Loaded));
    assert_eq!(Some(package.manifest().unwrap().digest()), digest);
    let commit = "select count(*) from d._transload_commits where digest = '";
    assert_eq!(count(folder, &format!("{commit}{}'", digest.unwrap())), 1);
}

#[tokio::test]
async fn a_load_in_the_storage_may_be_that_of_a_run_on_another_machine() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let load_id = staged(folder, rows(4)).await;
    let other = builder(folder).pipelines_dir("other machine").build().unwrap();
    assert_eq!(only(&other.resume().await.unwrap()).load_id.as_ref(), Some(&load_id));
    drop(other);
    // The machine that has the package finds that it is done.
    let info = pipeline(folder).run(rows(1)).await.unwrap();
    assert_eq!(info.loads[0].load_id.as_ref(), Some(&load_id));
    assert_eq!(count(folder, "select count(*) from d.t"), 5);
}

#[tokio::test]
async fn a_load_whose_uploads_had_not_all_ended_cannot_be_resumed_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let load_id = orphaned(folder, rows(2)).await;
    std::fs::remove_file(in_storage(folder, &load_id).join("_manifest.json")).unwrap();
    let warnings: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let said = Arc::clone(&warnings);
    let observer = move |event: Event| {
        if let Event::Warning(text) = event {
            said.lock().unwrap().push(text);
        }
    };
    let info = builder(folder).observer(observer).build().unwrap().resume().await.unwrap();
    assert!(info.loads.is_empty());
    let warnings = warnings.lock().unwrap().clone();
    assert!(warnings[0].contains("without its manifest"), "{warnings:?}");

    let failed = pipeline(folder).resume_load(&load_id).await.unwrap_err();
    assert!(failed.error.message().contains("its files were not all there"), "{failed}");
    assert!(failed.error.hint().unwrap().contains("load its source again"));
    for unknown in ["1.5", "../../evil", ".."] {
        let failed = pipeline(folder).resume_load(&LoadId::new(unknown)).await.unwrap_err();
        assert_eq!(failed.error.message(), "there is no such load to resume", "{unknown}");
    }
}

#[tokio::test]
async fn staged_files_that_are_gone_or_damaged_are_refused_and_nothing_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let load_id = orphaned(folder, rows(50)).await;
    let table = in_storage(folder, &load_id).join("t");
    let file = std::fs::read_dir(&table).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    std::fs::write(&file, flipped).unwrap();
    let failed = pipeline(folder).resume().await.unwrap_err();
    assert_eq!(failed.error.context("code"), Some("E_PACKAGE_DAMAGED"), "{failed}");
    std::fs::remove_file(&file).unwrap();
    let failed = pipeline(folder).resume().await.unwrap_err();
    assert_eq!(failed.error.context("code"), Some("E_STAGED_MISSING"), "{failed}");
    assert!(
        failed
            .error
            .context("the first")
            .unwrap()
            .contains(&*file.file_name().unwrap().to_string_lossy())
    );
    std::fs::write(&file, whole).unwrap();
    pipeline(folder).resume().await.unwrap();
    assert_eq!(count(folder, "select count(*) from d.t"), 50);
}

#[tokio::test]
async fn a_damaged_manifest_in_the_storage_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let load_id = orphaned(folder, rows(2)).await;
    let manifest = in_storage(folder, &load_id).join("_manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, &text[..text.len() / 2]).unwrap();
    let failed = pipeline(folder).resume().await.unwrap_err();
    assert_eq!(failed.error.message(), "the manifest of the package is damaged");
    assert!(failed.error.context("manifest").unwrap().contains(load_id.as_str()));
}

#[tokio::test]
async fn a_load_of_another_place_is_left_to_it_and_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let load_id = orphaned(folder, rows(2)).await;
    let elsewhere = || {
        let database = ("destination.duckdb.credentials", "other.duckdb");
        builder(folder).setting(database.0, database.1).build().unwrap()
    };
    assert!(elsewhere().resume().await.unwrap().loads.is_empty());
    let failed = elsewhere().resume_load(&load_id).await.unwrap_err();
    assert_eq!(failed.error.message(), "an unfinished load of this pipeline goes elsewhere");
    assert!(failed.error.context("its place").unwrap().contains("moving.duckdb"));
    pipeline(folder).resume().await.unwrap();
    assert_eq!(count(folder, "select count(*) from d.t"), 2);
}

#[tokio::test]
async fn rows_that_a_later_run_has_read_again_do_not_come_twice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let load_id = orphaned(folder, rows(3)).await;
    // Whoever lost the disk starts the same run again.
    pipeline(folder).run(rows(3)).await.unwrap();
    let info = pipeline(folder).resume().await.unwrap();
    assert_eq!(only(&info).status, LoadStatus::Pending);
    assert!(only(&info).warnings[0].contains("is left out"), "{info}");
    assert_eq!(count(folder, "select count(*) from d.t"), 3);
    // Who asks for it by name gets it, and who gives it up is asked no more.
    let other = orphaned(folder, rows(2)).await;
    pipeline(folder).resume_load(&load_id).await.unwrap();
    assert_eq!(count(folder, "select count(*) from d.t"), 6);
    pipeline(folder).drop_package(&other).await.unwrap();
    assert!(!in_storage(folder, &other).join("_manifest.json").exists());
    assert!(pipeline(folder).resume().await.unwrap().loads.is_empty());
    let gone = pipeline(folder).drop_package(&other).await.unwrap_err();
    assert_eq!(gone.message(), "there is no such package here");
}

#[tokio::test]
async fn of_two_runs_from_the_same_point_the_first_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let first = orphaned(folder, rows(3)).await;
    let second = orphaned(folder, rows(3)).await;
    let info = pipeline(folder).resume().await.unwrap();
    let found: Vec<_> =
        info.loads.iter().map(|load| (load.load_id.clone().unwrap(), load.status)).collect();
    assert_eq!(found, [(first, LoadStatus::Loaded), (second, LoadStatus::Pending)]);
    assert_eq!(count(folder, "select count(*) from d.t"), 3);
}

#[tokio::test]
async fn an_older_load_does_not_replace_newer_rows_even_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let load_id = orphaned(folder, replace(3)).await;
    pipeline(folder).run(replace(5)).await.unwrap();
    let failed = pipeline(folder).resume_load(&load_id).await.unwrap_err();
    assert_eq!(failed.error.message(), "another load of this pipeline was published meanwhile");
    assert_eq!(count(folder, "select count(*) from d.t"), 5);
}

#[tokio::test]
async fn a_load_that_remembers_a_cursor_does_not_take_back_a_newer_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let since = |n| rows(n).incremental(Incremental::new("n"));
    let load_id = orphaned(folder, since(3)).await;
    pipeline(folder).run(since(5)).await.unwrap();
    let failed = pipeline(folder).resume_load(&load_id).await.unwrap_err();
    assert_eq!(failed.error.message(), "another load of this pipeline was published meanwhile");
    pipeline(folder).run(since(6)).await.unwrap();
    assert_eq!(count(folder, "select count(*) from d.t"), 6);
}

#[tokio::test]
async fn a_package_here_goes_before_its_manifest_in_the_storage() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let load_id = staged(folder, rows(2)).await;
    let info = pipeline(folder).resume().await.unwrap();
    assert_eq!(only(&info).load_id.as_ref(), Some(&load_id));
    assert_eq!(count(folder, "select count(*) from d.t"), 2);
}

#[tokio::test]
async fn a_load_that_is_set_aside_here_is_not_taken_from_the_storage() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let load_id = staged(folder, rows(2)).await;
    pipeline(folder).working_folder().set_aside(&load_id).unwrap();
    assert!(pipeline(folder).resume().await.unwrap().loads.is_empty());
    let failed = pipeline(folder).resume_load(&load_id).await.unwrap_err();
    assert_eq!(failed.error.message(), "the load is set aside");
    pipeline(folder).working_folder().restore(&load_id).unwrap();
    pipeline(folder).resume().await.unwrap();
    assert_eq!(count(folder, "select count(*) from d.t"), 2);
}
