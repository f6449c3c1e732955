//! The statements of a publication, whole, for each way in and each disposition: to be read beside the pages of the Snowflake
//! documentation that `docs/destinations/snowflake.md` names.

use std::path::Path;

use transload_core::sql::plan_publication;
use transload_core::{
    Column, CopyJob, DataFile, DataType, Dataset, Disposition, Epoch, FileFormat, Job, JobContext,
    Load, LoadId, LoadJob, MergeStrategy, Publication, ReplaceStrategy, Schema, Sha256Hex,
    StagedFile, StagingAccess, StateRow, StorageCredentials, Table, TableChain, TablePublication,
    WriteDisposition,
};

use crate::dialect::SnowflakeDialect;
use crate::dialect::tests::{case_sensitive, dialect};

fn file(table: &str, number: usize, rows: u64) -> DataFile {
    let sha256 = Sha256Hex::of(table.as_bytes());
    DataFile {
        table: table.into(),
        name: DataFile::name_of(number, &sha256, FileFormat::Jsonl, true),
        format: FileFormat::Jsonl,
        gzip: true,
        rows,
        bytes: 1,
        sha256,
        columns: vec!["_dlt_id".into()],
        bounds: Default::default(),
        longest: Default::default(),
    }
}

fn table(name: &str, rows: &[u64], staged: bool) -> TablePublication {
    let files = rows.iter().enumerate().map(|(index, rows)| file(name, index + 1, *rows));
    let jobs = match staged {
        true if rows.is_empty() => Vec::new(),
        true => {
            let files = files.map(|file| {
                let key = format!("chess/p/1/{name}/{}", file.name);
                StagedFile { url: format!("s3://lake/{key}"), key, etag: None, file }
            });
            vec![Job::Copy(CopyJob { table: name.into(), files: files.collect() })]
        }
        false => files.map(|file| Job::Load(LoadJob { file })).collect(),
    };
    TablePublication { table: name.into(), rows: rows.iter().sum(), jobs }
}

fn schema() -> Schema {
    let text = r#"{"version":2,"version_hash":"h","engine_version":11,"name":"s","tables":{}}"#;
    let mut schema = Schema::from_json(text).unwrap();
    let mut players = Table::root("players", WriteDisposition::Append);
    players.put(Column::new("id", DataType::Bigint).not_null().with_hint("primary_key"));
    players.put(Column::new("state", DataType::Json));
    players.put(Column::new("_dlt_id", DataType::Text).not_null().with_hint("row_key"));
    let mut games = Table::nested("players__games", "players");
    games.put(Column::new("won", DataType::Bool));
    for (name, hint) in
        [("_dlt_root_id", "root_key"), ("_dlt_parent_id", "parent_key"), ("_dlt_id", "row_key")]
    {
        games.put(Column::new(name, DataType::Text).with_hint(hint));
    }
    for table in [players, games] {
        schema.tables.insert(table.name.clone(), table);
    }
    schema
}

/// What is run for a load of two tables, the second one of which may have no rows.
fn shown(
    dialect: &SnowflakeDialect,
    disposition: Disposition,
    staged: bool,
    nested: &[u64],
) -> String {
    let load = Load {
        load_id: LoadId::new("1795369539.5"),
        pipeline: "it's chess".into(),
        dataset: Dataset::new("Chess"),
        digest: Sha256Hex::of(b"manifest"),
        epoch: Epoch(4),
    };
    let publication = Publication {
        previous: Some(LoadId::new("1795369000.1")),
        chains: vec![TableChain {
            disposition,
            root: table("players", &[3, 2], staged),
            nested: vec![table("players__games", nested, staged)],
        }],
        state: Some(StateRow {
            version: 2,
            engine_version: 4,
            pipeline_name: "it's chess".into(),
            state: "eJy".into(),
            created_at: "2026-11-22T17:45:39.736473Z".into(),
            version_hash: "h".into(),
            dlt_id: "id".into(),
        }),
        stores_schema: true,
        published_at: "2026-11-22T17:45:39.736473Z".into(),
    };
    let access = match staged {
        true => StagingAccess::Credentials(StorageCredentials {
            access_key_id: "AKIAEXAMPLE".into(),
            secret_access_key: "canary".into(),
            ..StorageCredentials::default()
        }),
        false => StagingAccess::None,
    };
    let context = JobContext {
        load: &load,
        schema: &schema(),
        folder: Path::new("/package"),
        access: &access,
        on_bytes: &|_| (),
    };
    let plan = plan_publication(dialect, true, 255, &publication, &context).unwrap();
    let before: String = plan.before.iter().map(|statement| format!("{statement};\n")).collect();
    let shown = format!("{before}{}", plan.transaction);
    assert!(!shown.contains("canary"));
    shown
}

/// Everything but the rows of the system tables, which are the same in all.
fn without_system_rows(shown: String) -> String {
    let kept = shown.split("\n-- ").filter(|step| !step.starts_with("write _"));
    kept.collect::<Vec<_>>().join("\n-- ")
}

#[test]
fn rows_are_appended_through_a_bucket_with_all_that_makes_them_a_load() {
    insta::assert_snapshot!(shown(&dialect(), Disposition::Append, true, &[4]));
}

#[test]
fn rows_are_appended_through_a_stage_of_its_own() {
    let shown = shown(&dialect(), Disposition::Append, false, &[4]);
    insta::assert_snapshot!(without_system_rows(shown));
}

#[test]
fn tables_are_emptied_and_filled_in_one_transaction() {
    let [truncate, optimized] =
        [ReplaceStrategy::TruncateAndInsert, ReplaceStrategy::StagingOptimized].map(|strategy| {
            without_system_rows(shown(&dialect(), Disposition::Replace(strategy), true, &[4]))
        });
    // Nothing is cloned or swapped: that would commit.
    assert_eq!(truncate, optimized);
    insta::assert_snapshot!(truncate);
}

#[test]
fn tables_are_overwritten_from_staging_and_emptied_where_there_is_nothing() {
    let strategy = Disposition::Replace(ReplaceStrategy::InsertFromStaging);
    insta::assert_snapshot!(without_system_rows(shown(&dialect(), strategy, true, &[])));
}

#[test]
fn rows_are_merged_out_of_staging_tables_into_which_they_are_copied() {
    let upsert = Disposition::Merge(MergeStrategy::Upsert);
    insta::assert_snapshot!(without_system_rows(shown(&dialect(), upsert, true, &[4])));
}

#[test]
fn names_are_written_as_they_are_where_case_counts() {
    insta::assert_snapshot!(shown(&case_sensitive(), Disposition::Append, false, &[4]));
}

#[test]
fn no_path_has_a_statement_that_commits_in_its_transaction() {
    let merges = [MergeStrategy::DeleteInsert, MergeStrategy::Upsert, MergeStrategy::InsertOnly]
        .map(Disposition::Merge);
    let replaces = [
        ReplaceStrategy::TruncateAndInsert,
        ReplaceStrategy::InsertFromStaging,
        ReplaceStrategy::StagingOptimized,
    ]
    .map(Disposition::Replace);
    for disposition in [Disposition::Append].into_iter().chain(merges).chain(replaces) {
        for staged in [true, false] {
            let shown = shown(&dialect(), disposition, staged, &[4]);
            let (_, transaction) = shown.split_once("BEGIN\n").unwrap();
            for line in transaction.lines() {
                let word = line.split(' ').next().unwrap_or_default();
                let commits =
                    ["CREATE", "ALTER", "DROP", "TRUNCATE", "COMMENT", "GRANT", "PUT", "REMOVE"];
                assert!(!commits.contains(&word), "{disposition:?}: {line}");
            }
        }
    }
}
