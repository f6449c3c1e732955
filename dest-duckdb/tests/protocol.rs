//! The protocol of a load, step by step, against a real file.
#![allow(clippy::unwrap_used)]

mod common;

use common::{PIPELINE, World, chain, open, publication, state};
use std::process::{Command, Stdio};

use transload_core::{
    Column, CommitRecord, DataType, DatasetState, Destination as _, Disposition, Epoch, ErrorKind,
    ReplaceStrategy, SchemaChange, Sha256Hex,
};

const IN_PLACE: Disposition = Disposition::Replace(ReplaceStrategy::TruncateAndInsert);
const THROUGH_STAGING: Disposition = Disposition::Replace(ReplaceStrategy::InsertFromStaging);

/// A world with a table `players` of `id` and `name`.
async fn players() -> World {
    let mut world = World::new();
    world.table("players", &[("id", DataType::Bigint), ("name", DataType::Text)]);
    world.apply().await;
    world
}

fn rows(world: &mut World) -> Vec<String> {
    world.look("SELECT id, name FROM chess.chess.players ORDER BY id")
}

#[tokio::test]
async fn a_column_is_widened_with_the_values_in_it() {
    let mut world = World::new();
    world.table("t", &[("n", DataType::Bigint)]);
    world.schema.tables["t"].columns["n"].precision = Some(16);
    world.apply().await;
    world.meddle("INSERT INTO chess.chess.t VALUES (32767)");
    let mut wide = Column::new("n", DataType::Bigint);
    wide.precision = Some(64);
    let change = SchemaChange::WidenColumn { table: "t".into(), column: wide };
    let dataset = world.dataset.clone();
    for times in [1, 0] {
        let made = world.destination().apply(&dataset, std::slice::from_ref(&change)).await;
        assert_eq!(made.unwrap().len(), times);
    }
    assert_eq!(world.describe(None).await.tables["t"][0].native_type, "BIGINT");
    assert_eq!(world.look("SELECT n FROM chess.chess.t"), ["{'n': 32767}"]);
}

#[tokio::test]
async fn a_load_goes_from_nothing_to_committed() {
    let mut world = World::new();
    assert_eq!(world.describe(None).await, DatasetState::default());
    assert!(!world.database().exists(), "looking makes no database");
    world.destination().check().await.unwrap();
    assert!(!world.database().exists(), "nor does the check");

    world.table("players", &[("id", DataType::Bigint), ("name", DataType::Text)]);
    let statements = world.apply().await;
    assert_eq!(statements.len(), 7, "a dataset, five system tables, one table");
    world.apply().await;
    let found = world.describe(Some("1.0")).await;
    assert!(found.exists && found.fence.is_none() && found.commit.is_none());
    assert_eq!(found.tables["players"][1].name, "name");

    let load = world.fence("1.0").await;
    assert_eq!(load.epoch, Epoch(1));
    let one = world.parquet(
        "players",
        &["id", "name"],
        2,
        "SELECT 1 AS id, 'a' AS name UNION ALL SELECT 2, 'b'",
    );
    let two = world.parquet("players", &["name", "id"], 1, "SELECT 'c' AS name, 3 AS id");
    let mut publication =
        publication(None, vec![chain("players", Disposition::Append, &[&one, &two])]);
    publication.state = Some(state());
    publication.stores_schema = true;
    let commit = world.publish(&load, &publication).await.unwrap();
    assert_eq!((commit.rows["players"], commit.statements["players"]), (3, 1));

    let found = world.describe(Some("1.0")).await;
    let fence = found.fence.unwrap();
    assert_eq!(fence.epoch, Epoch(2));
    assert_eq!(fence.last_load.as_ref().map(|load| load.as_str()), Some("1.0"));
    let record =
        CommitRecord { load_id: load.load_id.clone(), digest: Some(Sha256Hex::of(b"1.0")) };
    assert_eq!(found.commit, Some(record));
    assert_eq!(found.state, Some(state()));
    assert_eq!(found.schema_hashes, ["h1"]);
    assert_eq!(found.schema, Some(world.schema.to_json()));
    let names =
        world.destination().query("FROM chess.players WHERE id > 1 ORDER BY id").await.unwrap();
    assert_eq!(names[1], [Some("3".to_owned()), Some("c".to_owned())]);
    assert_eq!(
        rows(&mut world),
        ["{'id': 1, 'name': a}", "{'id': 2, 'name': b}", "{'id': 3, 'name': c}"]
    );
    assert_eq!(
        world.look("SELECT * FROM chess.chess._dlt_loads"),
        [
            "{'load_id': 1.0, 'schema_name': chess, 'status': 0, 'inserted_at': '2026-11-22 17:45:39.736473+00', 'schema_version_hash': h1}"
        ]
    );
    assert!(!world.folder.join("chess.duckdb.wal").exists(), "it was closed properly");
}

#[tokio::test]
async fn a_second_load_is_appended_behind_the_first() {
    let mut world = players().await;
    let file = world.parquet("players", &["id"], 1, "SELECT 1 AS id");
    for (previous, id) in [(None, "1.0"), (Some("1.0"), "2.0")] {
        let load = world.fence(id).await;
        let publication =
            publication(previous, vec![chain("players", Disposition::Append, &[&file])]);
        world.publish(&load, &publication).await.unwrap();
    }
    assert_eq!(rows(&mut world).len(), 2);
    assert_eq!(world.describe(Some("2.0")).await.fence.unwrap().epoch, Epoch(4));
}

#[tokio::test]
async fn replace_leaves_the_rows_of_the_load_alone() {
    for disposition in [IN_PLACE, THROUGH_STAGING] {
        let mut world = players().await;
        let old = world.parquet("players", &["id"], 2, "SELECT unnest([1, 2]) AS id");
        let load = world.fence("1.0").await;
        let publication_1 = publication(None, vec![chain("players", Disposition::Append, &[&old])]);
        world.publish(&load, &publication_1).await.unwrap();

        let new = world.parquet("players", &["id"], 1, "SELECT 9 AS id");
        let load = world.fence("2.0").await;
        let publication_2 = publication(Some("1.0"), vec![chain("players", disposition, &[&new])]);
        let commit = world.publish(&load, &publication_2).await.unwrap();
        assert_eq!((commit.rows["players"], commit.statements["players"]), (1, 1));
        assert_eq!(rows(&mut world), ["{'id': 9, 'name': NULL}"]);

        world.destination().clear(&load).await.unwrap();
        let left = world.look(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'chess_staging'",
        );
        assert!(left.is_empty(), "{left:?}");

        // A load without rows empties the table.
        let load = world.fence("3.0").await;
        let publication_3 = publication(Some("2.0"), vec![chain("players", disposition, &[])]);
        world.publish(&load, &publication_3).await.unwrap();
        assert!(rows(&mut world).is_empty());
    }
}

#[tokio::test]
async fn rows_that_do_not_reconcile_change_nothing() {
    for disposition in [Disposition::Append, IN_PLACE, THROUGH_STAGING] {
        let mut world = players().await;
        world.table("games", &[("id", DataType::Bigint)]);
        world.apply().await;
        let old = world.parquet("players", &["id"], 1, "SELECT 1 AS id");
        let load = world.fence("1.0").await;
        let first = publication(None, vec![chain("players", Disposition::Append, &[&old])]);
        world.publish(&load, &first).await.unwrap();
        let before = world.describe(None).await.fence;

        let good = world.parquet("games", &["id"], 1, "SELECT 1 AS id");
        let short = world.parquet("players", &["id"], 3, "SELECT unnest([1, 2]) AS id");
        let load = world.fence("2.0").await;
        let second = publication(
            Some("1.0"),
            vec![chain("games", disposition, &[&good]), chain("players", disposition, &[&short])],
        );
        let error = world.publish(&load, &second).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Terminal);
        assert_eq!(error.message(), "rows do not reconcile");
        assert_eq!((error.context("expected"), error.context("found")), (Some("3"), Some("2")));

        let found = world.describe(Some("2.0")).await;
        assert_eq!(found.commit, None);
        assert_eq!(found.fence.unwrap().epoch.0, before.unwrap().epoch.0 + 1);
        assert_eq!(rows(&mut world), ["{'id': 1, 'name': NULL}"]);
        assert!(world.look("SELECT * FROM chess.chess.games").is_empty());
    }
}

#[tokio::test]
async fn a_loader_that_was_overtaken_is_fenced_and_changes_nothing() {
    let mut world = players().await;
    let file = world.parquet("players", &["id"], 1, "SELECT 1 AS id");
    let stale = world.fence("1.0").await;
    let fresh = world.fence("1.0").await;
    assert_eq!(fresh.epoch.0, stale.epoch.0 + 1);
    let publication = publication(None, vec![chain("players", THROUGH_STAGING, &[&file])]);
    let error = world.publish(&stale, &publication).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert_eq!(error.context("pipeline"), Some(PIPELINE));
    assert!(rows(&mut world).is_empty());
    world.publish(&fresh, &publication).await.unwrap();
    // The same publication once more, as after a lost answer.
    assert_eq!(world.publish(&fresh, &publication).await.unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(rows(&mut world).len(), 1);
    // What the stale loader left in its private tables goes with the load.
    world.destination().clear(&fresh).await.unwrap();
    let left = world.look(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'chess_staging'",
    );
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_load_that_does_not_follow_the_last_one_is_fenced() {
    let mut world = players().await;
    let file = world.parquet("players", &["id"], 1, "SELECT 1 AS id");
    let chains = vec![chain("players", Disposition::Append, &[&file])];
    let load = world.fence("1.0").await;
    let foreign = publication(Some("0.5"), chains.clone());
    assert_eq!(world.publish(&load, &foreign).await.unwrap_err().kind(), ErrorKind::Fenced);
    world.publish(&load, &publication(None, chains.clone())).await.unwrap();
    let load = world.fence("2.0").await;
    let forgetful = publication(None, chains.clone());
    assert_eq!(world.publish(&load, &forgetful).await.unwrap_err().kind(), ErrorKind::Fenced);
    world.publish(&load, &publication(Some("1.0"), chains)).await.unwrap();
    assert_eq!(rows(&mut world).len(), 2);
}

#[tokio::test]
async fn columns_are_added_and_old_rows_have_none() {
    let mut world = players().await;
    world.meddle("INSERT INTO chess.chess.players VALUES (1, 'a')");
    let change = SchemaChange::AddColumns {
        table: "players".into(),
        columns: vec![Column::new("born", DataType::Date).not_null()],
    };
    let dataset = world.dataset.clone();
    for _ in 0..2 {
        world.destination().apply(&dataset, std::slice::from_ref(&change)).await.unwrap();
    }
    assert!(world.describe(None).await.tables["players"][2].nullable);
    assert_eq!(world.look("FROM chess.chess.players"), ["{'id': 1, 'name': a, 'born': NULL}"]);
}

#[tokio::test]
async fn a_load_of_another_tool_is_known_without_a_digest() {
    let mut world = players().await;
    world.meddle("INSERT INTO chess.chess._dlt_loads VALUES ('7.0', 'chess', 0, now(), 'h')");
    let commit = world.describe(Some("7.0")).await.commit.unwrap();
    assert_eq!((commit.load_id.as_str(), commit.digest), ("7.0", None));
    // A state counts only with its load.
    world.meddle(
        "INSERT INTO chess.chess._dlt_pipeline_state VALUES \
         (1, 4, 'it''s a pipeline', 'old', now(), NULL, '7.0', 'x'), \
         (2, 4, 'it''s a pipeline', 'incomplete', now(), NULL, '8.0', 'y')",
    );
    assert_eq!(world.describe(None).await.state.unwrap().state, "old");
}

#[tokio::test]
async fn an_id_that_another_pipeline_took_is_found_with_its_digest() {
    let mut world = players().await;
    let digest = |text: &str| Sha256Hex::of(text.as_bytes());
    let insert = |pipeline: &str, digest: Sha256Hex| {
        format!(
            "INSERT INTO chess.chess._transload_commits VALUES \
             ('7.0', '{pipeline}', 'chess', '{}', 2, '{{}}', now())",
            digest.as_str()
        )
    };
    world.meddle("INSERT INTO chess.chess._dlt_loads VALUES ('7.0', 'chess', 0, now(), 'h')");
    world.meddle(&insert("other", digest("theirs")));
    let commit = world.describe(Some("7.0")).await.commit.unwrap();
    assert_eq!(commit.digest, Some(digest("theirs")));
    // Our own counts before it.
    world.meddle(&insert("it''s a pipeline", digest("ours")));
    let commit = world.describe(Some("7.0")).await.commit.unwrap();
    assert_eq!(commit.digest, Some(digest("ours")));
    assert_eq!(world.describe(Some("8.0")).await.commit, None);
}

#[tokio::test]
async fn names_are_found_in_any_case() {
    let mut world = World::new();
    // As a hand may have made them. Letters beyond ASCII are not folded by DuckDB, so these are other schemas.
    world.meddle(
        "CREATE SCHEMA \"Chess\"; CREATE SCHEMA \"Äß\"; CREATE SCHEMA \"äß\"; \
         CREATE TABLE chess.\"Chess\".\"Players\" (\"ID\" BIGINT, \"Name\" VARCHAR)",
    );
    let found = world.describe(Some("1.0")).await;
    assert!(found.exists);
    assert_eq!(found.tables["Players"][0].name, "ID", "names are as they were made");

    world.table("players", &[("id", DataType::Bigint), ("name", DataType::Text)]);
    world.apply().await;
    let file = world.parquet("players", &["id"], 1, "SELECT 1 AS id");
    let chains = vec![chain("players", THROUGH_STAGING, &[&file])];
    let load = world.fence("1.0").await;
    let mut publication = publication(None, chains);
    publication.stores_schema = true;
    world.publish(&load, &publication).await.unwrap();

    for dataset in ["chess", "CHESS"] {
        world.dataset = transload_core::Dataset::new(dataset);
        let found = world.describe(Some("1.0")).await;
        assert_eq!(found.commit.unwrap().digest, Some(Sha256Hex::of(b"1.0")));
        assert_eq!(found.fence.unwrap().last_load.unwrap().as_str(), "1.0");
        assert_eq!(found.schema_hashes, ["h1"]);
    }
    world.destination().clear(&load).await.unwrap();
    let schemas = "SELECT schema_name AS s FROM duckdb_schemas() \
                   WHERE database_name = 'chess' AND NOT internal ORDER BY s";
    let schemas = world.look(schemas);
    assert_eq!(schemas[0], "{'s': Chess}");
    assert_eq!(world.look("FROM chess.chess.players").len(), 1);

    // System tables in other letters.
    world.meddle(
        "ALTER TABLE chess.chess._dlt_loads RENAME TO x; ALTER TABLE chess.chess.x RENAME TO _DLT_LOADS; \
         DROP TABLE chess.chess._transload_commits",
    );
    assert_eq!(world.describe(Some("1.0")).await.commit.unwrap().digest, None);
    for (dataset, exists) in [("ÄSS", false), ("Äß", true)] {
        world.dataset = transload_core::Dataset::new(dataset);
        assert_eq!(world.describe(None).await.exists, exists);
    }
}

#[tokio::test]
async fn a_load_is_never_published_on_top_of_itself() {
    let mut world = players().await;
    let file = world.parquet("players", &["id"], 1, "SELECT 1 AS id");
    let chains = vec![chain("players", Disposition::Append, &[&file])];
    let load = world.fence("1.0").await;
    world.publish(&load, &publication(None, chains.clone())).await.unwrap();
    let load = world.fence("1.0").await;
    let again = publication(Some("1.0"), chains);
    assert_eq!(world.publish(&load, &again).await.unwrap_err().kind(), ErrorKind::Fenced);
    assert_eq!(rows(&mut world).len(), 1);
}

#[tokio::test]
async fn a_clock_that_goes_back_makes_no_schema_the_newest() {
    let mut world = players().await;
    world.meddle(
        "INSERT INTO chess.chess._dlt_version VALUES \
         (2, 11, '2026-01-02', 'chess', 'old', '{\"v\":2}'), \
         (10, 11, '2026-01-01', 'chess', 'new', '{\"v\":10}'), \
         (10, 11, '2025-01-01', 'chess', 'before', '{\"v\":9}')",
    );
    let found = world.describe(None).await;
    assert_eq!(found.schema_hashes, ["new", "before", "old"]);
    assert_eq!(found.schema.as_deref(), Some("{\"v\":10}"));
}

#[tokio::test]
async fn types_are_described_in_the_words_in_which_they_are_asked_for() {
    let mut world = World::new();
    let mut columns = Vec::new();
    for data_type in DataType::ALL {
        for precision in [None, Some(0), Some(3), Some(6), Some(9), Some(20), Some(38), Some(100)] {
            for (scale, timezone) in [(None, None), (Some(2), Some(false)), (Some(0), Some(true))] {
                let name = format!("c{}", columns.len());
                columns.push(Column { precision, scale, timezone, ..Column::new(name, data_type) });
            }
        }
    }
    columns.retain(|column| world.destination().native_type(column).is_ok());
    // System tables too: dlt's may be compared as well.
    for table in transload_core::sql::system::tables() {
        world.schema.tables.insert(table.name.clone(), table);
    }
    world.table("every", &[]);
    for column in &columns {
        world.schema.tables["every"].put(column.clone());
    }
    world.apply().await;
    let found = world.describe(None).await.tables;
    let mut seen = std::collections::BTreeSet::new();
    for table in world.schema.tables.clone().values() {
        for (column, existing) in table.columns.values().zip(&found[&table.name]) {
            let native = world.destination().native_type(column).unwrap();
            assert_eq!(existing.native_type, native, "{column:?}");
            seen.insert(native);
        }
    }
    for name in [
        "VARCHAR",
        "DECIMAL(38,9)",
        "DECIMAL(9,2)",
        "DECIMAL(38,0)",
        "TIMESTAMP WITH TIME ZONE",
        "TIMESTAMP",
        "TIMESTAMP_S",
        "TIMESTAMP_MS",
        "TIMESTAMP_NS",
        "JSON",
        "BLOB",
        "DOUBLE",
        "BOOLEAN",
        "DATE",
        "TIME",
        "BIGINT",
        "TINYINT",
        "SMALLINT",
        "INTEGER",
        "HUGEINT",
    ] {
        assert!(seen.contains(name), "{name}: {seen:?}");
    }
    let place = format!("duckdb:{}", world.database().canonicalize().unwrap().display());
    assert_eq!(world.destination().identity(), place);
}

#[tokio::test]
async fn a_dataset_without_our_tables_gets_a_fence() {
    let mut world = World::new();
    world.meddle("CREATE SCHEMA chess; CREATE TABLE chess.chess.players (id BIGINT)");
    assert!(world.describe(Some("1.0")).await.exists);
    assert_eq!(world.fence("1.0").await.epoch, Epoch(1));
    assert_eq!(world.fence("1.0").await.epoch, Epoch(2));
}

#[tokio::test]
async fn two_fences_of_one_pipeline_become_one() {
    let mut world = players().await;
    world.meddle(
        "INSERT INTO chess.chess._transload_fence VALUES \
         ('it''s a pipeline', 5, NULL, NULL, 'a', now()), \
         ('it''s a pipeline', 3, '1.0', 'digest', 'b', now()), ('other', 9, NULL, NULL, 'c', now())",
    );
    assert_eq!(world.fence("2.0").await.epoch, Epoch(6));
    let fence = world.describe(None).await.fence.unwrap();
    assert_eq!(fence.last_load.unwrap().as_str(), "1.0");
    assert_eq!(world.look("SELECT 1 FROM chess.chess._transload_fence").len(), 2);
}

#[tokio::test]
async fn two_destinations_of_one_file_share_it() {
    let mut world = players().await;
    let other = open(&world.folder);
    let dataset = world.dataset.clone();
    let first = world.fence("1.0").await.epoch;
    let (a, b) = (world.destination(), &other);
    let (a, b) = tokio::join!(a.fence(&dataset, PIPELINE, "a"), b.fence(&dataset, PIPELINE, "b"));
    let mut epochs = [a.unwrap().epoch.0, b.unwrap().epoch.0];
    epochs.sort_unstable();
    assert_eq!(epochs, [first.0 + 1, first.0 + 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_publication_leaves_no_transaction_open() {
    let mut world = players().await;
    let query = "SELECT range AS id, 'name ' || range AS name FROM range(2000000)";
    let file = world.parquet("players", &["id", "name"], 2_000_000, query);
    let publication = publication(None, vec![chain("players", IN_PLACE, &[&file])]);
    for wait in [0, 1, 5, 20, 60, 150] {
        let load = world.fence("1.0").await;
        let wait = std::time::Duration::from_millis(wait);
        if tokio::time::timeout(wait, world.publish(&load, &publication)).await.is_ok() {
            break;
        }
        // A lost answer: all or nothing.
        let found = world.describe(Some("1.0")).await;
        let rows = rows(&mut world).len();
        assert_eq!(rows, if found.commit.is_some() { 2_000_000 } else { 0 });
        if found.commit.is_some() {
            break;
        }
    }
    let dataset = world.dataset.clone();
    world.destination().fence(&dataset, PIPELINE, "after").await.unwrap();
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_says_what_to_do() {
    let mut world = World::new();
    std::fs::write(world.database(), "no database ".repeat(1000)).unwrap();
    let error = world.destination().check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);

    let missing = world.folder.join("missing");
    let error = open(&missing).check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.hint().unwrap().contains("make the folder"));
}

#[tokio::test]
async fn a_database_of_another_process_is_waited_for() {
    let mut world = players().await;
    drop(world.look("SELECT 1"));
    let mut child = process("holds_a_database", &world).stdin(Stdio::piped()).spawn().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut lines = std::io::BufRead::lines(std::io::Read::by_ref(&mut out));
    let held = lines.any(|line| line.is_ok_and(|line| line.contains("held")));
    assert!(held);
    let error = world.destination().check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transient);
    assert!(error.hint().unwrap().contains("another process"));
    drop(child.stdin.take());
    child.wait().unwrap();
    world.destination().check().await.unwrap();
}

/// A process that runs one of the ignored tests in the folder of this world.
fn process(test: &str, world: &World) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", test, "--nocapture"])
        .env("TRANSLOAD_TEST_FOLDER", &world.folder)
        .stdout(Stdio::piped());
    command
}

#[test]
#[ignore = "a process of another test"]
#[expect(clippy::print_stdout, reason = "the other test waits for it")]
fn holds_a_database() {
    let Some(folder) = std::env::var_os("TRANSLOAD_TEST_FOLDER") else { return };
    let _connection = duckdb::Connection::open(World::at(folder.into()).database()).unwrap();
    println!("held");
    std::io::read_to_string(std::io::stdin()).unwrap();
}

const KILLED_ROWS: u64 = 1_000_000;

#[tokio::test]
async fn a_killed_publication_is_there_as_a_whole_or_not_at_all() {
    let mut world = players().await;
    let query = format!("SELECT range AS id, 'name ' || range AS name FROM range({KILLED_ROWS})");
    let file = world.parquet("players", &["id", "name"], KILLED_ROWS, &query);
    std::fs::write(world.folder.join("file.json"), serde_json::to_vec(&file).unwrap()).unwrap();
    world.look("SELECT 1");
    let mut outcomes = Vec::new();
    for wait in [50, 100, 200, 300, 400, 600, 900, 1500, 3000, 6000, 30000] {
        let mut child = process("publishes_until_killed", &world).spawn().unwrap();
        // Somewhere between opening the file and long after the commit.
        tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let found = world.describe(Some("1.0")).await;
        let committed = found.commit.is_some();
        let counted = world.look("SELECT count(*) AS n FROM chess.chess.players");
        assert_eq!(counted, [format!("{{'n': {}}}", if committed { KILLED_ROWS } else { 0 })]);
        outcomes.push(committed);
        if committed {
            break;
        }
    }
    assert_eq!(outcomes.last(), Some(&true), "{outcomes:?}");
}

#[tokio::test]
#[ignore = "a process of another test"]
async fn publishes_until_killed() {
    let Some(folder) = std::env::var_os("TRANSLOAD_TEST_FOLDER") else { return };
    let mut world = World::at(folder.into());
    world.table("players", &[("id", DataType::Bigint), ("name", DataType::Text)]);
    let file = std::fs::read(world.folder.join("file.json")).unwrap();
    let file = serde_json::from_slice(&file).unwrap();
    let load = world.fence("1.0").await;
    let publication = publication(None, vec![chain("players", IN_PLACE, &[&file])]);
    world.publish(&load, &publication).await.unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test]
#[ignore = "needs a Python with dlt: name it in TRANSLOAD_TEST_DLT"]
async fn dlt_goes_on_with_the_dataset() {
    let python = std::env::var_os("TRANSLOAD_TEST_DLT").unwrap();
    let mut world = World::new();
    let columns = ["id", "name", "_dlt_load_id", "_dlt_id"];
    world.table("players", &columns.map(|name| (name, DataType::Text)));
    let table = &mut world.schema.tables["players"];
    table.put(Column::new("id", DataType::Bigint));
    world.apply().await;
    let query = "SELECT 1 AS id, NULL::VARCHAR AS name, '1.0' AS _dlt_load_id, 'x' AS _dlt_id";
    let file = world.parquet("players", &columns, 1, query);
    let load = world.fence("1.0").await;
    let mut publication = publication(None, vec![chain("players", Disposition::Append, &[&file])]);
    publication.stores_schema = true;
    world.publish(&load, &publication).await.unwrap();
    world.look("SELECT 1");
    // dlt does not get along with a file that is called like its dataset.
    let renamed = world.folder.join("other.duckdb");
    std::fs::rename(world.database(), &renamed).unwrap();
    let script = "\
import dlt, sys
pipeline = dlt.pipeline('chess', destination=dlt.destinations.duckdb(sys.argv[1]), dataset_name='chess', pipelines_dir=sys.argv[2])
pipeline.sync_destination()
print(pipeline.run([{'id': 2, 'name': 'b'}], table_name='players', write_disposition='append'))
with pipeline.sql_client() as client:
    rows = client.execute_sql('SELECT id, name FROM players ORDER BY id')
    assert rows == [(1, None), (2, 'b')], rows
    loads = client.execute_sql('SELECT count(*) FROM _dlt_loads')
    assert loads == [(2,)], loads
";
    let output = std::process::Command::new(python)
        .args(["-c", script])
        .arg(&renamed)
        .arg(world.folder.join("pipelines"))
        .current_dir(&world.folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&renamed, world.database()).unwrap();
    assert_eq!(world.fence("2.0").await.epoch, Epoch(3));
    assert_eq!(world.describe(None).await.schema_hashes.len(), 2);
}
