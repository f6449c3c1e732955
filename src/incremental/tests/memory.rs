//! What stands in the state before and after a run.

use std::path::PathBuf;

use serde_json::json;
use transload_core::ErrorKind;

use super::{c, judged, row};
use crate::incremental::Memory;
use crate::resource::Resource;
use crate::source::input::find_files;
use crate::source::remote::Stores;
use crate::state::PipelineState;

/// A resource whose files were looked for.
fn looked_for(mut resource: Resource) -> Resource {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let settings = transload_core::settings::Settings::from_pairs("filesystem", &[]);
    let stores = Stores::new(settings).unwrap();
    runtime.block_on(find_files(std::slice::from_mut(&mut resource), &stores)).unwrap();
    resource
}

fn resource() -> Resource {
    Resource::json("r", "").incremental(c())
}

#[test]
fn what_was_remembered_stands_in_the_state_of_the_resource() {
    let mut state = PipelineState::new();
    let memory = Memory::recall(&state, "my", &mut [resource()]).unwrap();
    let judge = memory.judge("r").unwrap();
    let (_, seen) = judged(&judge, &[row(5, 3)], 1).unwrap();
    state.resource_mut("my", "r").insert("theirs".into(), json!(1));
    memory.store(&mut state, "my", &[("r".to_owned(), seen)].into()).unwrap();
    let held = state.resource("my", "r").unwrap();
    assert_eq!(held["incremental"]["c"]["unique_hashes"], json!(["kh9qjwkTY69oGWiLFCKn"]));
    assert_eq!(held["theirs"], 1);
    // The next run begins there.
    let memory = Memory::recall(&state, "my", &mut [resource()]).unwrap();
    let judge = memory.judge("r").unwrap();
    assert!(judged(&judge, &[row(5, 3), row(6, 2)], 1).unwrap().0.is_empty());
    // A run that replaces the table begins anew, and so does the one after it.
    let replace = || resource().write_disposition(transload_core::WriteDisposition::Replace);
    let memory = Memory::recall(&state, "my", &mut [replace()]).unwrap();
    let judge = memory.judge("r").unwrap();
    let (kept, seen) = judged(&judge, &[row(6, 2)], 1).unwrap();
    assert_eq!(kept, [6]);
    memory.store(&mut state, "my", &[("r".to_owned(), seen)].into()).unwrap();
    let held = state.resource("my", "r").unwrap();
    assert_eq!((&held["incremental"]["c"]["last_value"], held.get("theirs")), (&json!(2), None));
}

#[test]
fn two_resources_of_one_name_cannot_remember() {
    let state = PipelineState::new();
    let plain = || Resource::json("r", "");
    for mut two in [[resource(), plain()], [plain(), resource()]] {
        let error = Memory::recall(&state, "my", &mut two).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
    assert!(Memory::recall(&state, "my", &mut [plain(), plain()]).is_ok());
}

#[test]
fn files_that_were_loaded_are_taken_out_once_their_load_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a.jsonl", "b.jsonl"].map(|name| folder.path().join(name));
    paths.iter().for_each(|path| std::fs::write(path, "{}").unwrap());
    let of = || looked_for(Resource::files("r", &paths).only_new_files());
    let left = |resource: &Resource| match &resource.source {
        crate::resource::RowSource::Files(files) => {
            files.found.iter().map(|input| PathBuf::from(input.origin())).collect::<Vec<_>>()
        }
        _ => panic!("files"),
    };
    let mut state = PipelineState::new();
    let mut first = [of()];
    let memory = Memory::recall(&state, "my", &mut first).unwrap();
    assert_eq!((left(&first[0]).len(), memory.skipped("r")), (2, 0));
    // The load failed: nothing was stored, and nothing is remembered.
    let mut second = [of()];
    let memory = Memory::recall(&state, "my", &mut second).unwrap();
    assert_eq!(left(&second[0]).len(), 2);
    memory.store(&mut state, "my", &[].into()).unwrap();
    std::fs::write(&paths[1], "{}\n{}").unwrap();
    let mut third = [of()];
    let memory = Memory::recall(&state, "my", &mut third).unwrap();
    assert_eq!((left(&third[0]), memory.skipped("r")), (vec![paths[1].clone()], 1));
}

#[test]
fn new_files_alone_do_not_replace_a_table_and_must_be_files() {
    let state = PipelineState::new();
    let replace = transload_core::WriteDisposition::Replace;
    for resource in [
        Resource::files("r", ["a"]).write_disposition(replace),
        looked_for(Resource::files("r", ["-"])),
        Resource::json("r", "{}"),
    ] {
        let error = Memory::recall(&state, "my", &mut [resource.only_new_files()]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
}
