//! What a dialect makes of the toolkit, as text: for a snapshot that its author reads.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use crate::sql::{Dialect, migration, plan_publication};
use crate::{
    Bounds, Column, DataFile, DataType, Dataset, Disposition, Epoch, Error, FileFormat, Job,
    JobContext, Load, LoadId, LoadJob, MergeStrategy, Publication, ReplaceStrategy, Schema,
    SchemaChange, Sha256Hex, StagingAccess, Table, TableChain, TablePublication, WriteDisposition,
};

/// Every statement of a dialect for a chain of two tables: how the dataset is made, and how rows that lie in staging tables
/// are published by each disposition. What reads files is not among them: [`Dialect::load`] has statements of its own.
///
/// # Errors
/// Those of the dialect.
pub fn statements(dialect: &dyn Dialect) -> Result<String, Error> {
    let dataset = Dataset::new("chess");
    let changes: Vec<SchemaChange> = std::iter::once(SchemaChange::CreateDataset)
        .chain(tables(None).map(SchemaChange::CreateTable))
        .collect();
    let mut shown = String::from("# the dataset\n\n");
    for statement in migration(dialect, &dataset, &changes, &BTreeMap::new())? {
        shown.push_str(&format!("{statement};\n"));
    }
    for disposition in [
        Disposition::Append,
        Disposition::Replace(ReplaceStrategy::InsertFromStaging),
        Disposition::Merge(MergeStrategy::DeleteInsert),
        Disposition::Merge(MergeStrategy::Upsert),
        Disposition::Merge(MergeStrategy::InsertOnly),
        Disposition::Merge(MergeStrategy::Scd2),
    ] {
        shown.push_str(&format!("\n# {disposition:?}\n\n"));
        shown.push_str(&published(dialect, &dataset, disposition)?);
    }
    Ok(shown)
}

fn published(
    dialect: &dyn Dialect,
    dataset: &Dataset,
    disposition: Disposition,
) -> Result<String, Error> {
    let strategy = match disposition {
        Disposition::Merge(strategy) => Some(strategy),
        _ => None,
    };
    let mut schema = Schema {
        version: 1,
        version_hash: "hash".into(),
        engine_version: crate::SCHEMA_ENGINE_VERSION,
        name: "chess".into(),
        tables: Default::default(),
        settings: json!({}),
        normalizers: json!({}),
        previous_hashes: Vec::new(),
        rest: BTreeMap::new(),
    };
    schema.tables.extend(tables(strategy).map(|table| (table.name.clone(), table)));
    let load = Load {
        load_id: LoadId::new("1795369539.5"),
        pipeline: "it's chess".into(),
        dataset: dataset.clone(),
        digest: Sha256Hex::of(b"manifest"),
        epoch: Epoch(4),
    };
    let chain = TableChain {
        disposition,
        root: table("players", 3),
        nested: vec![table("players__games", 2)],
    };
    let publication = Publication {
        previous: Some(LoadId::new("1795369000.1")),
        chains: vec![chain],
        state: None,
        stores_schema: false,
        published_at: "2026-11-22T17:45:39.736473Z".into(),
    };
    let context = JobContext {
        load: &load,
        schema: &schema,
        folder: Path::new(""),
        access: &StagingAccess::None,
        on_bytes: &|_| (),
    };
    let plan = plan_publication(dialect, false, 127, &publication, &context)?;
    let before: String = plan.before.iter().map(|statement| format!("{statement};\n")).collect();
    Ok(format!("{before}{}\n", plan.transaction))
}

/// A table whose rows lie in one staging table.
fn table(name: &str, rows: u64) -> TablePublication {
    let sha256 = Sha256Hex::of(name.as_bytes());
    let key =
        Bounds { least: Some("3".into()), greatest: Some("40".into()), nulls: 0, distinct: None };
    let file = DataFile {
        table: name.into(),
        name: DataFile::name_of(1, &sha256, FileFormat::Parquet, false),
        format: FileFormat::Parquet,
        gzip: false,
        rows,
        bytes: 1,
        sha256,
        columns: vec!["id".into()],
        bounds: BTreeMap::from([("id".to_owned(), key)]),
        longest: BTreeMap::new(),
    };
    TablePublication { table: name.into(), rows, jobs: vec![Job::Load(LoadJob { file })] }
}

/// `players` with its `games`, with the hints that a strategy goes by.
fn tables(strategy: Option<MergeStrategy>) -> impl Iterator<Item = Table> {
    let text = |name: &str, hint: &str| Column::new(name, DataType::Text).with_hint(hint);
    let mut players = Table::root("players", WriteDisposition::Append);
    players.put(Column::new("id", DataType::Bigint).not_null().with_hint("primary_key"));
    players.put(Column::new("na\"me", DataType::Text));
    let mut at = Column::new("at", DataType::Timestamp);
    at.hints.insert("dedup_sort".into(), json!("desc"));
    players.put(at);
    players.put(Column::new("gone", DataType::Bool).with_hint("hard_delete"));
    match strategy {
        Some(MergeStrategy::Scd2) => {
            players.put(Column::new("since", DataType::Timestamp).with_hint("x-valid-from"));
            players.put(Column::new("until", DataType::Timestamp).with_hint("x-valid-to"));
            players.put(text("_dlt_id", "x-row-version").not_null());
        }
        _ => players.put(text("_dlt_id", "row_key").not_null()),
    }
    let mut games = Table::nested("players__games", "players");
    games.put(Column::new("won", DataType::Bool));
    if strategy.is_some() {
        games.put(text("_dlt_root_id", "root_key"));
    }
    games.put(text("_dlt_parent_id", "parent_key"));
    games.put(text("_dlt_id", "row_key").not_null());
    [players, games].into_iter()
}
