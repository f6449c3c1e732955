//! The destination, on folders, on S3 and on Azure.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;

use common::{Package, Place, state};
use serde_json::{Value, json};
use transload_core::{
    Commit, CopyJob, Dataset, DatasetState, Destination, Disposition, ErrorKind, Fence, Inquiry,
    Job, LoadId, MergeStrategy, Publication, ReplaceStrategy, Result, SchemaChange, Sha256Hex,
    TableChain, TablePublication,
};

everywhere!(
    a_load_is_published_with_its_bookkeeping,
    appended_loads_stand_side_by_side,
    a_replaced_chain_holds_the_files_of_one_load,
    a_flat_layout_replaces_one_table_alone,
    a_replacement_spares_what_another_pipeline_is_about_to_publish,
    a_layout_without_the_load_replaces_what_the_logs_name,
    a_loader_that_wakes_up_late_removes_nothing_that_came_since,
    an_object_of_the_right_size_is_not_the_file_for_that,
    an_id_that_another_pipeline_took_is_taken,
    an_overtaken_loader_is_fenced,
    every_fence_has_its_own_epoch,
    a_load_out_of_order_is_fenced,
    publishing_twice_publishes_once,
    a_taken_load_id_is_refused,
    a_crash_before_the_commit_is_made_good,
    a_crash_after_the_commit_is_made_good,
    what_is_missing_is_not_published,
    a_dead_load_leaves_nothing_behind,
    clearing_spares_what_was_published,
    a_dataset_of_dlt_is_understood,
    every_load_is_found_again,
    old_states_go,
    two_pipelines_do_not_fence_each_other,
    a_damaged_log_stops_everything,
    what_a_store_cannot_do_is_refused,
    a_check_leaves_nothing_behind,
);

const LOADS: &str = "player_data/_dlt_loads";

fn inquiry(load_id: &str) -> Inquiry {
    Inquiry {
        dataset: Dataset::new("player_data"),
        pipeline: "chess pipeline".into(),
        schema: "chess".into(),
        load: Some(LoadId::new(load_id)),
    }
}

async fn describe(destination: &Arc<dyn Destination>, load_id: &str) -> DatasetState {
    destination.describe(&inquiry(load_id)).await.unwrap()
}

async fn fence(destination: &Arc<dyn Destination>, owner: &str) -> Fence {
    destination.fence(&Dataset::new("player_data"), "chess pipeline", owner).await.unwrap()
}

/// The publication of a package: its tables in one chain, with those in `empty` beside them.
fn publication(
    package: &Package,
    disposition: Disposition,
    previous: Option<&LoadId>,
) -> Publication {
    let of = |table: &str| {
        let files = package.files.iter().filter(|file| file.table == table);
        let jobs: Vec<Job> = files.clone().map(|file| package.load_job(file)).collect();
        TablePublication { table: table.into(), rows: files.map(|file| file.rows).sum(), jobs }
    };
    let nested: BTreeSet<&str> = package
        .files
        .iter()
        .map(|file| file.table.as_str())
        .filter(|table| *table != "players")
        .collect();
    Publication {
        previous: previous.cloned(),
        chains: vec![TableChain {
            disposition,
            root: of("players"),
            nested: nested.into_iter().map(of).collect(),
        }],
        state: Some(state(1)),
        stores_schema: true,
        published_at: "2026-11-22T17:45:39.736473Z".into(),
    }
}

const REPLACE: Disposition = Disposition::Replace(ReplaceStrategy::TruncateAndInsert);

/// Fences, loads the files, publishes.
async fn load(
    destination: &Arc<dyn Destination>,
    package: &mut Package,
    disposition: Disposition,
) -> Result<Commit> {
    let fence = fence(destination, "tester").await;
    package.load.epoch = fence.epoch;
    run(destination, package).await?;
    let publication = publication(package, disposition, fence.last_load.as_ref());
    destination.publish(&publication, &package.context()).await
}

async fn run(destination: &Arc<dyn Destination>, package: &Package) -> Result<u64> {
    let mut moved = 0;
    for file in &package.files {
        moved +=
            destination.run(&package.load_job(file), &package.context()).await?.statistics.bytes;
    }
    Ok(moved)
}

/// The keys of the data files.
async fn data(place: &Place) -> Vec<String> {
    let keys = place.keys().await.into_iter();
    keys.filter(|key| !key.contains("/_") && !key.ends_with("/init")).collect()
}

async fn json_of(place: &Place, key: &str) -> Value {
    serde_json::from_slice(&place.get(key).await).unwrap()
}

async fn a_load_is_published_with_its_bookkeeping(place: Place) {
    let destination = place.destination();
    assert_eq!(describe(&destination, "1.5").await, DatasetState::default());
    let made = destination
        .apply(&Dataset::new("player_data"), &[SchemaChange::CreateDataset])
        .await
        .unwrap();
    assert_eq!(made.len(), 1);
    let again = destination
        .apply(&Dataset::new("player_data"), &[SchemaChange::CreateDataset])
        .await
        .unwrap();
    assert_eq!(again, [""; 0]);
    let mut package = Package::new("1.5").with("players", b"rows").with("players__games", b"g");
    let commit = load(&destination, &mut package, Disposition::Append).await.unwrap();
    assert_eq!(commit.rows, [("players".into(), 4), ("players__games".into(), 1)].into());
    assert_eq!(commit.statements, [("players".into(), 1), ("players__games".into(), 1)].into());

    let hash = &package.schema.version_hash;
    let keys = place.keys().await;
    assert_eq!(keys.len(), 8, "{keys:?}");
    let [players, games] = &data(&place).await[..] else { panic!("{keys:?}") };
    assert!(
        players.starts_with("player_data/players/1.5.") && players.ends_with(".parquet"),
        "{players}"
    );
    assert_eq!(place.get(players).await, b"rows");
    assert!(games.starts_with("player_data/players__games/1.5."), "{games}");
    assert_eq!(
        json_of(&place, "player_data/init").await,
        json!({"initial_version": 2, "current_version": 2})
    );
    assert_eq!(
        json_of(&place, &format!("{LOADS}/chess__1.5.jsonl")).await,
        json!({"load_id": "1.5", "schema_name": "chess", "status": 0,
               "inserted_at": "2026-11-22T17:45:39.736473Z", "schema_version_hash": hash})
    );
    let version =
        keys.iter().find(|key| key.starts_with("player_data/_dlt_version/chess__1.5__")).unwrap();
    assert_eq!(
        json_of(&place, version).await,
        json!({"version_hash": hash, "schema_name": "chess", "version": package.schema.version,
               "engine_version": 11, "inserted_at": "2026-11-22T17:45:39.736473Z",
               "schema": package.schema.to_json()})
    );
    let of_pipeline =
        version.replace("_dlt_version/chess__", "_dlt_pipeline_state/chess pipeline__");
    assert_eq!(
        json_of(&place, &of_pipeline).await,
        json!({"version": 1, "engine_version": 4, "pipeline_name": "chess pipeline", "state": "state 1",
               "created_at": "2026-11-22T17:45:39.736473Z",
               "version_hash": "SjxS6SQmsH2zFUBYGm0SKJFSQ4fFtLRH6AVDsthQttk=", "_dlt_load_id": "1.5"})
    );

    let state = describe(&destination, "1.5").await;
    assert!(state.exists);
    assert_eq!(state.schema.as_deref(), Some(package.schema.to_json().as_str()));
    assert_eq!(state.schema_hashes, [hash.as_str()]);
    assert_eq!(state.tables.keys().collect::<Vec<_>>(), ["players", "players__games"]);
    assert_eq!(state.tables["players"][0].native_type, "bigint");
    for (table, columns) in &state.tables {
        for column in columns {
            let made = &package.schema.tables[table].columns[&column.name];
            assert_eq!(destination.native_type(made).unwrap(), column.native_type);
        }
    }
    assert!(!state.tables["players"][0].nullable && state.tables["players"][1].nullable);
    assert_eq!(state.state.unwrap().state, "state 1");
    let fence = state.fence.unwrap();
    assert_eq!(
        (fence.epoch.0, fence.last_load, fence.owner),
        (2, Some(LoadId::new("1.5")), "tester".into())
    );
    assert_eq!(state.commit.unwrap().digest, Some(package.load.digest.clone()));
    assert!(describe(&destination, "1.4").await.commit.is_none());
    assert_eq!(place.leftovers(), [""; 0]);
}

async fn appended_loads_stand_side_by_side(place: Place) {
    let destination = place.destination();
    let mut files = Vec::new();
    for load_id in ["1.5", "2.5", "3.5"] {
        // The same content each time: it must not become one file.
        let mut package = Package::new(load_id).with("players", b"rows").with("players", b"rows");
        load(&destination, &mut package, Disposition::Append).await.unwrap();
        files.push(load_id);
        assert_eq!(data(&place).await.len(), files.len() * 2);
    }
    assert_eq!(describe(&destination, "3.5").await.fence.unwrap().epoch.0, 6);
}

async fn a_replaced_chain_holds_the_files_of_one_load(place: Place) {
    let destination = place.destination();
    let mut first = Package::new("1.5").with("players", b"rows").with("players__games", b"g");
    load(&destination, &mut first, REPLACE).await.unwrap();
    place.put("player_data/players/0.5.written-by-dlt.jsonl.gz", b"old").await;
    place.put(&format!("{LOADS}/chess__0.5.jsonl"), b"{}").await;
    place.put("player_data/players_old/0.5.x.jsonl", b"another table").await;
    // Files that a pipeline named as the table has staged in the same place.
    place.put("player_data/players/9.5/_manifest.json", b"{}").await;
    place.put("player_data/players/9.5/t/000001-x.parquet", b"staged").await;
    let mut second = Package::new("2.5").with("players", b"rows");
    load(&destination, &mut second, REPLACE).await.unwrap();
    let staged =
        ["player_data/players/9.5/_manifest.json", "player_data/players/9.5/t/000001-x.parquet"];
    let left: Vec<String> =
        place.keys().await.into_iter().filter(|key| key.contains("/players")).collect();
    assert_eq!(left.len(), 4, "{left:?}");
    assert!(left[0].starts_with("player_data/players/2.5."), "{left:?}");
    assert_eq!(left[1..3], staged);
    assert_eq!(left[3], "player_data/players_old/0.5.x.jsonl");
    // Replaced with no rows at all: empty.
    let mut third = Package::new("3.5");
    load(&destination, &mut third, REPLACE).await.unwrap();
    assert!(!data(&place).await.iter().any(|key| key.contains("players/2.5.")));
}

async fn a_flat_layout_replaces_one_table_alone(place: Place) {
    let layout = [("layout", "{table_name}.{load_id}.{file_id}.{ext}")];
    let destination = place.destination_with(&layout).unwrap();
    let mut first = Package::new("1.5").with("players", b"rows");
    load(&destination, &mut first, Disposition::Append).await.unwrap();
    place.put("player_data/players_old.0.5.x.jsonl", b"another table").await;
    let mut second = Package::new("2.5").with("players", b"rows");
    load(&destination, &mut second, REPLACE).await.unwrap();
    let left = data(&place).await;
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left[0].starts_with("player_data/players.2.5."), "{left:?}");
}

/// A package of another pipeline, fenced and with its files there.
async fn uploaded_by_another(destination: &Arc<dyn Destination>, load_id: &str) -> Package {
    let mut package = Package::new(load_id).with("players", b"theirs");
    package.load.pipeline = "other".into();
    let fence = destination.fence(&package.load.dataset, "other", "other").await.unwrap();
    package.load.epoch = fence.epoch;
    run(destination, &package).await.unwrap();
    package
}

async fn a_replacement_spares_what_another_pipeline_is_about_to_publish(place: Place) {
    let destination = place.destination();
    let mut old = Package::new("1.5").with("players", b"old");
    load(&destination, &mut old, Disposition::Append).await.unwrap();
    let theirs = uploaded_by_another(&destination, "2.5").await;
    let mut ours = Package::new("3.5").with("players", b"ours");
    load(&destination, &mut ours, REPLACE).await.unwrap();
    let both = data(&place).await;
    assert_eq!(both.len(), 2, "{both:?}");
    assert!(both[0].contains("/2.5.") && both[1].contains("/3.5."), "{both:?}");
    // They publish what they uploaded, and only then our replacement comes to its end.
    let publication = publication(&theirs, Disposition::Append, None);
    destination.publish(&publication, &theirs.context()).await.unwrap();
    place.delete(&format!("{LOADS}/chess__3.5.jsonl")).await;
    fence(&destination, "next").await;
    assert_eq!(data(&place).await, both);
    // Now that it is published it is replaced like any other.
    let mut last = Package::new("4.5").with("players", b"last");
    load(&destination, &mut last, REPLACE).await.unwrap();
    assert_eq!(data(&place).await.len(), 1);
}

async fn a_layout_without_the_load_replaces_what_the_logs_name(place: Place) {
    let destination =
        place.destination_with(&[("layout", "{table_name}/{file_id}.{ext}")]).unwrap();
    for load_id in ["1.5", "2.5"] {
        let mut package = Package::new(load_id).with("players", b"rows");
        load(&destination, &mut package, Disposition::Append).await.unwrap();
    }
    let theirs = uploaded_by_another(&destination, "3.5").await;
    let published = publication(&theirs, Disposition::Append, None);
    destination.publish(&published, &theirs.context()).await.unwrap();
    let before = data(&place).await;
    assert_eq!(before.len(), 3);
    // Another load of theirs is on its way.
    uploaded_by_another(&destination, "4.5").await;
    let mut last = Package::new("5.5").with("players", b"last");
    load(&destination, &mut last, REPLACE).await.unwrap();
    let left = data(&place).await;
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(!left.iter().any(|key| before.contains(key)), "{left:?}");
}

async fn a_loader_that_wakes_up_late_removes_nothing_that_came_since(place: Place) {
    let destination = place.destination();
    let mut first = Package::new("1.5").with("players", b"first");
    load(&destination, &mut first, Disposition::Append).await.unwrap();
    let [gone] = &data(&place).await[..] else { panic!("one file") };
    let mut second = Package::new("2.5").with("players", b"second");
    load(&destination, &mut second, REPLACE).await.unwrap();
    let before = data(&place).await;
    let mut third = Package::new("3.5").with("players", b"third");
    load(&destination, &mut third, Disposition::Append).await.unwrap();
    let whole = data(&place).await;
    let came = whole.iter().find(|key| !before.contains(key)).unwrap();
    // The entry of the second names the third's file as well, and its follow-up has not come to its end.
    let entry = "player_data/_transload_commits/chess%20pipeline/00000000000000000004.json";
    let mut value = json_of(&place, entry).await;
    assert_eq!(value["removed"], json!([gone.strip_prefix("player_data/").unwrap()]));
    value["removed"].as_array_mut().unwrap().push(json!(came.strip_prefix("player_data/")));
    place.put(entry, value.to_string().as_bytes()).await;
    place.delete(&format!("{LOADS}/chess__2.5.jsonl")).await;
    place.put(gone, b"first").await;
    let publication = publication(&second, REPLACE, Some(&first.load.load_id));
    destination.publish(&publication, &second.context()).await.unwrap();
    assert_eq!(data(&place).await, whole);
}

async fn an_object_of_the_right_size_is_not_the_file_for_that(place: Place) {
    let destination = place.destination();
    let mut package = Package::new("1.5").with("players", b"rows");
    package.load.epoch = fence(&destination, "tester").await.epoch;
    run(&destination, &package).await.unwrap();
    let [key] = &data(&place).await[..] else { panic!("one file") };
    place.put(key, b"rowz").await;
    let again = run(&destination, &package).await;
    // A bucket's object is believed by its size; in a folder the name may belong to someone else.
    match again {
        Ok(moved) => assert_eq!((moved, place.is_local()), (0, false)),
        Err(error) => {
            assert!(place.is_local());
            assert_eq!(error.message(), "another object has the name of a data file");
        }
    }
    place.put(key, b"rows").await;
    std::fs::write(package.path(&package.files[0]), b"rowz").unwrap();
    let error = run(&destination, &package).await.unwrap_err();
    assert_eq!(error.message(), "the data file is damaged");
}

async fn an_id_that_another_pipeline_took_is_taken(place: Place) {
    let destination = place.destination();
    let theirs = uploaded_by_another(&destination, "1.5").await;
    let publication = publication(&theirs, Disposition::Append, None);
    destination.publish(&publication, &theirs.context()).await.unwrap();
    let record = describe(&destination, "1.5").await.commit.unwrap();
    assert_eq!((record.load_id, record.digest), (LoadId::new("1.5"), None));
}

async fn an_overtaken_loader_is_fenced(place: Place) {
    let (slow, fast) = (place.destination(), place.destination());
    let mut package = Package::new("1.5").with("players", b"rows");
    package.load.epoch = fence(&slow, "slow").await.epoch;
    run(&slow, &package).await.unwrap();
    let mut other = Package::new("1.5").with("players", b"rows");
    other.load.epoch = fence(&fast, "fast").await.epoch;
    let publication = publication(&package, Disposition::Append, None);
    let error = slow.publish(&publication, &package.context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert_eq!(error.context("by"), Some("fast"));
    assert_eq!(slow.clear(&package.load).await.unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(data(&place).await.len(), 1, "an overtaken loader cleans up nothing");
    assert_eq!(run(&fast, &other).await.unwrap(), 0, "the files are there already");
    fast.publish(&publication, &other.context()).await.unwrap();
    let error = slow.publish(&publication, &package.context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
}

async fn every_fence_has_its_own_epoch(place: Place) {
    let mut loaders = tokio::task::JoinSet::new();
    for number in 0..16 {
        let destination = place.destination();
        loaders.spawn(async move { fence(&destination, &format!("owner {number}")).await.epoch.0 });
    }
    let epochs: BTreeSet<u64> = loaders.join_all().await.into_iter().collect();
    assert_eq!(epochs, (1..=16).collect());
}

async fn a_load_out_of_order_is_fenced(place: Place) {
    let destination = place.destination();
    load(&destination, &mut Package::new("1.5").with("players", b"a"), Disposition::Append)
        .await
        .unwrap();
    let mut package = Package::new("2.5").with("players", b"b");
    package.load.epoch = fence(&destination, "tester").await.epoch;
    run(&destination, &package).await.unwrap();
    for previous in [None, Some(&LoadId::new("0.5"))] {
        let publication = publication(&package, Disposition::Append, previous);
        let error = destination.publish(&publication, &package.context()).await.unwrap_err();
        assert_eq!((error.kind(), error.context("last load")), (ErrorKind::Fenced, Some("1.5")));
    }
}

async fn publishing_twice_publishes_once(place: Place) {
    let destination = place.destination();
    let mut package = Package::new("1.5").with("players", b"rows");
    let first = load(&destination, &mut package, Disposition::Append).await.unwrap();
    let keys = place.keys().await;
    let publication = publication(&package, Disposition::Append, None);
    let again = destination.publish(&publication, &package.context()).await.unwrap();
    assert_eq!((again, place.keys().await), (first.clone(), keys));
    // And after the fence was raised once more.
    assert_eq!(load(&destination, &mut package, Disposition::Append).await.unwrap(), first);
    assert_eq!(data(&place).await.len(), 1);
    let entries = place.keys().await.into_iter().filter(|key| key.contains("_transload_commits"));
    assert_eq!(entries.count(), 3);
}

async fn a_taken_load_id_is_refused(place: Place) {
    let destination = place.destination();
    load(&destination, &mut Package::new("1.5").with("players", b"rows"), Disposition::Append)
        .await
        .unwrap();
    let mut other = Package::new("1.5").with("players", b"other");
    other.load.digest = Sha256Hex::of(b"another manifest");
    let error = load(&destination, &mut other, Disposition::Append).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Terminal, "the load id is taken by another load")
    );
}

async fn a_crash_before_the_commit_is_made_good(place: Place) {
    let mut package = Package::new("1.5").with("players", b"rows").with("players", b"more");
    {
        let destination = place.destination();
        package.load.epoch = fence(&destination, "crashes").await.epoch;
        destination.run(&package.load_job(&package.files[0]), &package.context()).await.unwrap();
    }
    let destination = place.destination();
    let state = describe(&destination, "1.5").await;
    assert!(state.commit.is_none() && state.state.is_none() && state.schema.is_none());
    assert_eq!(state.fence.unwrap().last_load, None);
    load(&destination, &mut package, Disposition::Append).await.unwrap();
    assert_eq!(data(&place).await.len(), 2);
}

async fn a_crash_after_the_commit_is_made_good(place: Place) {
    let destination = place.destination();
    let mut first = Package::new("1.5").with("players", b"rows");
    load(&destination, &mut first, Disposition::Append).await.unwrap();
    let [old] = &data(&place).await[..] else { panic!("one file") };
    let mut second = Package::new("2.5").with("players", b"newer");
    load(&destination, &mut second, REPLACE).await.unwrap();
    let whole = place.keys().await;
    let of_second = |key: &&String| key.contains("/_dlt_") && key.contains("__2.5");
    let rows: Vec<String> = whole.iter().filter(of_second).cloned().collect();
    assert_eq!(rows.len(), 3, "{whole:?}");
    // Each number of rows that can have been written when it happened, the removed file still there.
    for written in 0..3 {
        for key in &rows {
            place.delete(key).await;
        }
        for key in rows.iter().filter(|key| !key.contains("_dlt_loads")).take(written) {
            place.put(key, b"{\"torn").await;
        }
        place.put(old, b"rows").await;
        let destination = place.destination();
        if written == 0 {
            // Whoever looks first sees the commit already.
            let state = describe(&destination, "2.5").await;
            assert_eq!(state.commit.unwrap().digest, Some(second.load.digest.clone()));
            assert_eq!(state.state.unwrap().state, "state 1");
            assert!(state.schema.is_some());
        }
        match written {
            0 => drop(fence(&destination, "next").await),
            1 => destination.clear(&second.load).await.unwrap(),
            _ => {
                let publication = publication(&second, REPLACE, Some(&first.load.load_id));
                destination.publish(&publication, &second.context()).await.unwrap();
            }
        }
        let keys: Vec<String> = place
            .keys()
            .await
            .into_iter()
            .filter(|key| !key.contains("_transload_commits"))
            .collect();
        let expected: Vec<String> =
            whole.iter().filter(|key| !key.contains("_transload_commits")).cloned().collect();
        assert_eq!(keys, expected, "after {written}");
        for key in &rows {
            json_of(&place, key).await;
        }
    }
}

async fn what_is_missing_is_not_published(place: Place) {
    let destination = place.destination();
    let mut package = Package::new("1.5").with("players", b"rows").with("players", b"more");
    package.load.epoch = fence(&destination, "tester").await.epoch;
    destination.run(&package.load_job(&package.files[0]), &package.context()).await.unwrap();
    let whole = publication(&package, Disposition::Append, None);
    let error = destination.publish(&whole, &package.context()).await.unwrap_err();
    assert_eq!(error.message(), "a data file is not there as it was loaded");
    run(&destination, &package).await.unwrap();
    let mut fewer = whole.clone();
    fewer.chains[0].root.rows -= 1;
    let error = destination.publish(&fewer, &package.context()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.context("rows of the files")),
        (ErrorKind::Terminal, Some("8"))
    );
    assert!(describe(&destination, "1.5").await.commit.is_none());
    destination.publish(&whole, &package.context()).await.unwrap();
}

async fn a_dead_load_leaves_nothing_behind(place: Place) {
    let destination = place.destination();
    load(&destination, &mut Package::new("1.5").with("players", b"a"), Disposition::Append)
        .await
        .unwrap();
    let mut dead = Package::new("2.5").with("players", b"b").with("players__games", b"c");
    dead.load.epoch = fence(&destination, "tester").await.epoch;
    run(&destination, &dead).await.unwrap();
    assert_eq!(data(&place).await.len(), 3);
    destination.clear(&dead.load).await.unwrap();
    destination.clear(&dead.load).await.unwrap();
    let left = data(&place).await;
    assert_eq!(left.len(), 1);
    assert!(left[0].contains("/1.5."), "{left:?}");
}

async fn clearing_spares_what_was_published(place: Place) {
    let destination = place.destination();
    let mut package = Package::new("1.5").with("players", b"rows");
    load(&destination, &mut package, Disposition::Append).await.unwrap();
    let keys = place.keys().await;
    destination.clear(&package.load).await.unwrap();
    assert_eq!(place.keys().await, keys);
    // Another pipeline with a load of the same id, which it did not publish.
    let mut other = package.load.clone();
    other.pipeline = "other".into();
    other.epoch = destination.fence(&other.dataset, "other", "tester").await.unwrap().epoch;
    destination.clear(&other).await.unwrap();
    assert_eq!(data(&place).await.len(), 1);
    // The same where dlt published it.
    place.put("player_data/players/7.5.dlt.jsonl", b"rows of dlt").await;
    place.put(&format!("{LOADS}/chess__7.5.jsonl"), b"{}").await;
    other.load_id = LoadId::new("7.5");
    destination.clear(&other).await.unwrap();
    assert_eq!(data(&place).await.len(), 2);
}

async fn a_dataset_of_dlt_is_understood(place: Place) {
    let schema = common::schema();
    let hex = "bff353cc550ce82dc2ebd03033b5f20c43d545c63853382a2df30151c09291ad";
    let hash = "v/NTzFUM6C3C69AwM7XyDEPVRcY4UzgqLfMBUcCSka0=";
    place.put("player_data/init", br#"{"initial_version":2,"current_version":2}"#).await;
    place.put(&format!("{LOADS}/chess__1795371173.014197.jsonl"), b"{}").await;
    let version = json!({"version_hash": hash, "schema_name": "chess", "version": 2, "engine_version": 11,
        "inserted_at": "2026-11-22T18:12:53.141546+00:00", "schema": schema.to_json()});
    for load_id in ["1795371173.1414251", "1795371100.5"] {
        let key = format!("player_data/_dlt_version/chess__{load_id}__{hex}.jsonl");
        place.put(&key, version.to_string().as_bytes()).await;
    }
    let row = |load_id: &str| {
        json!({"version": 1, "engine_version": 4, "pipeline_name": "chess pipeline", "state": load_id,
            "created_at": "2026-11-22T18:12:53.033343+00:00", "version_hash": "x", "_dlt_load_id": load_id})
    };
    // The second one was never completed.
    for load_id in ["1795371173.014197", "1795371174.5"] {
        let key = format!("player_data/_dlt_pipeline_state/chess pipeline__{load_id}__{hex}.jsonl");
        place.put(&key, row(load_id).to_string().as_bytes()).await;
    }
    let destination = place.destination();
    let state = describe(&destination, "1795371173.014197").await;
    assert!(state.exists && state.fence.is_none());
    assert_eq!(state.schema, Some(schema.to_json()));
    assert_eq!(state.schema_hashes, [hash]);
    assert_eq!(state.tables.len(), 2);
    assert_eq!(state.state.unwrap().state, "1795371173.014197");
    assert_eq!(state.commit.unwrap().digest, None);
    assert!(describe(&destination, "1795371174.5").await.commit.is_none());
    // And it goes on from there.
    let mut package = Package::new("1795371175.5").with("players", b"rows");
    load(&destination, &mut package, Disposition::Append).await.unwrap();
    assert_eq!(describe(&destination, "1795371175.5").await.state.unwrap().state, "state 1");
    let newer = br#"{"initial_version":2,"current_version":3}"#;
    place.put("player_data/init", newer).await;
    let error = destination
        .apply(&Dataset::new("player_data"), &[SchemaChange::CreateDataset])
        .await
        .unwrap_err();
    assert_eq!(error.message(), "the dataset was written by a newer dlt");
}

async fn every_load_is_found_again(place: Place) {
    let destination = place.destination();
    // The clock went back once: the order of publication is not that of the ids.
    let ids = ["1.5", "3.5", "2.5", "4.5"];
    for load_id in ids {
        load(&destination, &mut Package::new(load_id).with("players", b"a"), Disposition::Append)
            .await
            .unwrap();
    }
    for key in place.keys().await.iter().filter(|key| key.starts_with(LOADS)) {
        place.delete(key).await;
    }
    for load_id in ids {
        let record = describe(&destination, load_id).await.commit.unwrap();
        assert_eq!(record.digest, Some(Sha256Hex::of(load_id.as_bytes())), "{load_id}");
    }
    for load_id in ["0.5", "2.6", "5.5"] {
        assert!(describe(&destination, load_id).await.commit.is_none(), "{load_id}");
    }
}

async fn old_states_go(place: Place) {
    let destination = place.destination_with(&[("max_state_files", "2")]).unwrap();
    for load_id in ["1.5", "2.5", "3.5", "4.5"] {
        load(&destination, &mut Package::new(load_id).with("players", b"a"), Disposition::Append)
            .await
            .unwrap();
    }
    let keys = place.keys().await;
    let states: Vec<&String> =
        keys.iter().filter(|key| key.contains("_dlt_pipeline_state")).collect();
    assert_eq!(states.len(), 2, "{states:?}");
    assert!(states[0].contains("__3.5__") && states[1].contains("__4.5__"), "{states:?}");
}

async fn two_pipelines_do_not_fence_each_other(place: Place) {
    let destination = place.destination();
    let mut package = Package::new("1.5").with("players", b"rows");
    package.load.epoch = fence(&destination, "tester").await.epoch;
    run(&destination, &package).await.unwrap();
    destination.fence(&package.load.dataset, "other", "other").await.unwrap();
    let publication = publication(&package, Disposition::Append, None);
    destination.publish(&publication, &package.context()).await.unwrap();
}

async fn a_damaged_log_stops_everything(place: Place) {
    let destination = place.destination();
    let mut package = Package::new("1.5").with("players", b"rows");
    load(&destination, &mut package, Disposition::Append).await.unwrap();
    let entry = "player_data/_transload_commits/chess%20pipeline/00000000000000000002.json";
    let whole = place.get(entry).await;
    let newer = String::from_utf8(whole.clone()).unwrap().replace("\"format\":1", "\"format\":2");
    for bytes in [&whole[..20], newer.as_bytes(), b""] {
        place.put(entry, bytes).await;
        assert_eq!(
            destination.describe(&inquiry("1.5")).await.unwrap_err().kind(),
            ErrorKind::Terminal
        );
        let fenced = destination.fence(&package.load.dataset, &package.load.pipeline, "x").await;
        assert_eq!(fenced.unwrap_err().kind(), ErrorKind::Terminal);
    }
    place.put(entry, &whole).await;
    fence(&destination, "x").await;
    place.delete(entry).await;
    let error = destination.describe(&inquiry("1.5")).await.unwrap_err();
    assert_eq!(error.message(), "the commit log has a gap");
}

async fn what_a_store_cannot_do_is_refused(place: Place) {
    let destination = place.destination();
    let mut package = Package::new("1.5").with("players", b"rows");
    let merge = Disposition::Merge(MergeStrategy::Upsert);
    assert_eq!(
        load(&destination, &mut package, merge).await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    let copy = Job::Copy(CopyJob { table: "players".into(), files: vec![] });
    let error = destination.run(&copy, &package.context()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    for name in ["../other", "a/b", "", ".."] {
        let error = destination.fence(&Dataset::new(name), "p", "o").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
    }
    assert!(describe(&destination, "1.5").await.commit.is_none());
}

async fn a_check_leaves_nothing_behind(place: Place) {
    place.destination().check().await.unwrap();
    assert_eq!(place.keys().await, [""; 0]);
}
