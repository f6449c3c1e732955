//! dlt's own files in a dataset: loads, versions of the schema, states of pipelines. Either tool reads what the other
//! wrote.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use transload_core::{
    DatasetState, Error, ErrorKind, ExistingColumn, Load, LoadId, Publication, Result, Schema,
    StateRow,
};

use crate::commit_log::{CommitEntry, CommitLog, Entry, Row};
use crate::layout::segment;
use crate::store::Store;
use crate::types::native_type;

const LOADS: &str = "_dlt_loads";
const VERSIONS: &str = "_dlt_version";
const STATES: &str = "_dlt_pipeline_state";

/// The version of dlt's storage that a new dataset has.
const STORAGE_VERSION: u64 = 2;

#[derive(Serialize, Deserialize)]
struct Init {
    initial_version: u64,
    current_version: u64,
}

#[derive(Serialize)]
struct LoadRow<'a> {
    load_id: &'a LoadId,
    schema_name: &'a str,
    status: u8,
    inserted_at: &'a str,
    schema_version_hash: &'a str,
}

#[derive(Serialize, Deserialize)]
struct VersionRow {
    version_hash: String,
    schema_name: String,
    version: u64,
    engine_version: u32,
    inserted_at: String,
    schema: String,
}

/// Without `_dlt_id`: dlt does not write it here, and fails on a key that it does not know.
#[derive(Serialize, Deserialize)]
struct StateFile {
    version: u64,
    engine_version: u64,
    pipeline_name: String,
    state: String,
    created_at: String,
    version_hash: Option<String>,
    #[serde(rename = "_dlt_load_id", alias = "dlt_load_id")]
    load_id: Option<String>,
}

/// dlt's file names hold hashes as hexadecimal, since base64 has a `/`.
fn hex_of_hash(hash: &str) -> String {
    match STANDARD.decode(hash) {
        Ok(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Err(_) => "none".to_owned(),
    }
}

fn hash_of_hex(hex: &str) -> Option<String> {
    let bytes =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok());
    bytes.collect::<Option<Vec<u8>>>().map(|bytes| STANDARD.encode(bytes))
}

fn line(row: &impl Serialize) -> String {
    serde_json::to_string(row).expect("a row has only text keys")
}

/// Makes the file that says that a dataset is there.
pub(crate) async fn write_init(store: &Store, dataset: &str) -> Result<Vec<String>> {
    let key = format!("{dataset}/init");
    if let Some(there) = store.read(&key).await? {
        // dlt's first version left the file empty.
        let version = match serde_json::from_slice::<Init>(&there) {
            Ok(init) => init.current_version,
            Err(_) if there.is_empty() => 1,
            Err(error) => {
                return Err(Error::new(
                    ErrorKind::Terminal,
                    "the folder holds an `init` that is not a dataset's",
                )
                .with("object", store.url(&key))
                .with_source(error));
            }
        };
        if version > STORAGE_VERSION {
            return Err(Error::new(ErrorKind::Terminal, "the dataset was written by a newer dlt")
                .with("object", store.url(&key))
                .with("version", version)
                .with("understood", STORAGE_VERSION));
        }
        return Ok(Vec::new());
    }
    let init = Init { initial_version: STORAGE_VERSION, current_version: STORAGE_VERSION };
    store.create(&key, &line(&init).into()).await?;
    Ok(vec![format!("create {}", store.url(&key))])
}

/// The rows that a publication brings, in the order in which they are written: the row of the load comes last.
pub(crate) fn rows(load: &Load, schema: &Schema, publication: &Publication) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let load_id = segment("load id", load.load_id.as_str())?;
    let schema_name = segment("schema", &schema.name)?;
    let hash = hex_of_hash(&schema.version_hash);
    if publication.stores_schema {
        let row = VersionRow {
            version_hash: schema.version_hash.clone(),
            schema_name: schema.name.clone(),
            version: schema.version,
            engine_version: schema.engine_version,
            inserted_at: publication.published_at.clone(),
            schema: schema.to_json(),
        };
        rows.push(Row {
            key: format!("{VERSIONS}/{schema_name}__{load_id}__{hash}.jsonl"),
            line: line(&row),
        });
    }
    if let Some(state) = &publication.state {
        let pipeline = segment("pipeline", &state.pipeline_name)?;
        let row = StateFile {
            version: state.version,
            engine_version: state.engine_version,
            pipeline_name: state.pipeline_name.clone(),
            state: state.state.clone(),
            created_at: state.created_at.clone(),
            version_hash: Some(state.version_hash.clone()),
            load_id: Some(load_id.to_owned()),
        };
        // The hash in this name is that of the schema, as dlt has it.
        rows.push(Row {
            key: format!("{STATES}/{pipeline}__{load_id}__{hash}.jsonl"),
            line: line(&row),
        });
    }
    let row = LoadRow {
        load_id: &load.load_id,
        schema_name,
        status: 0,
        inserted_at: &publication.published_at,
        schema_version_hash: &schema.version_hash,
    };
    rows.push(Row { key: format!("{LOADS}/{schema_name}__{load_id}.jsonl"), line: line(&row) });
    Ok(rows)
}

/// Whether dlt's own row of a load is there.
pub(crate) async fn has_load(
    store: &Store,
    dataset: &str,
    schema: &str,
    load_id: &str,
) -> Result<bool> {
    let key = format!("{dataset}/{LOADS}/{schema}__{load_id}.jsonl");
    if store.head(&key).await?.is_some() {
        return Ok(true);
    }
    let end = format!("__{load_id}.jsonl");
    let objects = store.list(&format!("{dataset}/{LOADS}/")).await?;
    Ok(objects.iter().any(|object| object.key.ends_with(&end)))
}

/// The ids of all loads that have a row of dlt's.
pub(crate) async fn load_ids(store: &Store, dataset: &str) -> Result<Vec<LoadId>> {
    let objects = store.list(&format!("{dataset}/{LOADS}/")).await?;
    let id = |key: &str| Some(LoadId::new(key.strip_suffix(".jsonl")?.rsplit_once("__")?.1));
    Ok(objects.iter().filter_map(|object| id(&object.key)).collect())
}

/// A file of versions or states, taken apart by its name: what it is of, the load, the hash in hexadecimal.
struct Named {
    key: String,
    of: String,
    load_id: String,
    hex: String,
}

async fn files(store: &Store, dataset: &str, folder: &str, of: &str) -> Result<Vec<Named>> {
    let objects = store.list(&format!("{dataset}/{folder}/")).await?;
    let mut files: Vec<Named> = objects
        .into_iter()
        .filter_map(|object| named(object.key))
        .filter(|named| named.of == of)
        .collect();
    files.sort_by(|a, b| b.load_id.cmp(&a.load_id));
    Ok(files)
}

fn named(key: String) -> Option<Named> {
    let (_, name) = key.rsplit_once('/')?;
    let mut parts = name.strip_suffix(".jsonl")?.rsplitn(3, "__").map(str::to_owned);
    let (hex, load_id, of) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Named { key, of, load_id, hex })
}

async fn read<T: serde::de::DeserializeOwned>(store: &Store, key: &str) -> Result<Option<T>> {
    let Some(bytes) = store.read(key).await? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        Error::new(ErrorKind::Terminal, "a bookkeeping file of the dataset is damaged")
            .with("object", store.url(key))
            .with_source(error)
    })
}

/// What a commit brought whose rows may not have been written yet.
fn row_of<T: serde::de::DeserializeOwned>(
    commit: Option<&CommitEntry>,
    folder: &str,
    of: &str,
) -> Option<(String, T)> {
    let row = commit?.rows.iter().find(|row| {
        row.key.starts_with(folder) && named(row.key.clone()).is_some_and(|named| named.of == of)
    })?;
    Some((commit?.load_id.as_str().to_owned(), serde_json::from_str(&row.line).ok()?))
}

/// Fills in the stored schemas of that name, and the tables of the newest.
pub(crate) async fn describe_schema(
    store: &Store,
    dataset: &str,
    schema: &str,
    newest: Option<&CommitEntry>,
    state: &mut DatasetState,
) -> Result<()> {
    let files = files(store, dataset, VERSIONS, schema).await?;
    let committed = row_of::<VersionRow>(newest, VERSIONS, schema);
    let stored = files.iter().filter_map(|file| hash_of_hex(&file.hex));
    let mut hashes: Vec<String> =
        committed.iter().map(|(_, row)| row.version_hash.clone()).chain(stored).collect();
    let mut seen = BTreeSet::new();
    hashes.retain(|hash| seen.insert(hash.clone()));
    state.schema_hashes = hashes;
    let row = match (files.first(), committed) {
        (Some(file), committed)
            if committed.as_ref().is_none_or(|(load_id, _)| *load_id < file.load_id) =>
        {
            read::<VersionRow>(store, &file.key).await?
        }
        (_, committed) => committed.map(|(_, row)| row),
    };
    let Some(row) = row else { return Ok(()) };
    let stored: Schema = Schema::from_json(&row.schema)?;
    for table in stored.tables.values() {
        let columns: Vec<ExistingColumn> = table
            .complete_columns()
            .filter_map(|column| {
                let native_type = native_type(column)?;
                let (name, nullable) = (column.name.clone(), column.nullable);
                Some(ExistingColumn { name, native_type, nullable })
            })
            .collect();
        if !columns.is_empty() {
            state.tables.insert(table.name.clone(), columns);
        }
    }
    state.schema = Some(row.schema);
    Ok(())
}

/// The newest committed state of a pipeline.
pub(crate) async fn newest_state(
    store: &Store,
    dataset: &str,
    schema: &str,
    pipeline: &str,
    newest: Option<&CommitEntry>,
) -> Result<Option<StateRow>> {
    let committed = row_of::<StateFile>(newest, STATES, pipeline);
    for file in files(store, dataset, STATES, pipeline).await? {
        if committed.as_ref().is_some_and(|(load_id, _)| *load_id >= file.load_id) {
            break;
        }
        // dlt writes the state before the row of the load: one without the other was never committed.
        if has_load(store, dataset, schema, &file.load_id).await? {
            return Ok(read::<StateFile>(store, &file.key).await?.map(state_row));
        }
    }
    Ok(committed.map(|(_, row)| state_row(row)))
}

fn state_row(file: StateFile) -> StateRow {
    StateRow {
        version: file.version,
        engine_version: file.engine_version,
        pipeline_name: file.pipeline_name,
        state: file.state,
        created_at: file.created_at,
        version_hash: file.version_hash.unwrap_or_default(),
        dlt_id: String::new(),
    }
}

/// Does what has to follow a commit, as far as it is not done: writes its rows, removes the files that it replaces.
/// Doing it twice, or at the same time as another, does it once.
pub(crate) async fn follow_up(
    store: &Store,
    dataset: &str,
    log: &CommitLog<'_>,
    entry: &Entry,
    max_state_files: i64,
) -> Result<()> {
    let Some(commit) = entry.commit() else { return Ok(()) };
    let at = |key: &str| format!("{dataset}/{key}");
    let Some((last, before)) = commit.rows.split_last() else { return Ok(()) };
    if store.head(&at(&last.key)).await?.is_some() {
        return Ok(());
    }
    for row in before {
        store.write(&at(&row.key), row.line.clone().into()).await?;
        let state = row.key.starts_with(STATES).then(|| named(row.key.clone())).flatten();
        if let (Some(state), Ok(most @ 1..)) = (state, usize::try_from(max_state_files)) {
            let files = files(store, dataset, STATES, &state.of).await?;
            let old: Vec<String> = files.into_iter().skip(most).map(|file| file.key).collect();
            store.remove(&old).await?;
        }
    }
    if !commit.removed.is_empty() {
        // Another may have finished this long ago, and published since.
        let later = log.added_after(entry).await?;
        let removed = commit.removed.iter().filter(|key| !later.contains(*key));
        let removed: Vec<String> = removed.map(|key| at(key)).collect();
        store.remove(&removed).await?;
    }
    store.write(&at(&last.key), last.line.clone().into()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_go_into_names_and_come_back() {
        let (hash, hex) = (
            "v/NTzFUM6C3C69AwM7XyDEPVRcY4UzgqLfMBUcCSka0=",
            "bff353cc550ce82dc2ebd03033b5f20c43d545c63853382a2df30151c09291ad",
        );
        assert_eq!(hex_of_hash(hash), hex);
        assert_eq!(hash_of_hex(hex).as_deref(), Some(hash));
        assert_eq!(hash_of_hex("none"), None);
        assert_eq!(hash_of_hex("abc"), None);
    }

    #[test]
    fn names_are_taken_apart_from_behind() {
        let of =
            |name: &str| named(format!("d/_dlt_version/{name}")).map(|n| (n.of, n.load_id, n.hex));
        assert_eq!(
            of("my__schema__1.5__ab.jsonl"),
            Some(("my__schema".into(), "1.5".into(), "ab".into()))
        );
        assert_eq!(of("schema__1.5.jsonl"), None);
        assert_eq!(of("init"), None);
    }
}
