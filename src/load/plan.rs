//! What a load needs, as pure differences: between a schema and a dataset, and from a manifest to jobs.

mod changes;

use std::collections::{BTreeMap, BTreeSet};

use transload_core::{
    CopyJob, DataFile, DatasetState, Disposition, Error, ErrorKind, FollowUp, IdentifierCase,
    IdentifierRules, Job, LoadJob, Manifest, Publication, Result, Schema, StageJob, StagedFile,
    StagedObject, TableChain, TablePublication, WriteDisposition,
};

use crate::state::PipelineState;
pub(crate) use changes::{Types, change_names, check_types, schema_changes};

/// Refuses jobs that do not bring each file of the manifest exactly once.
pub(crate) fn check_coverage(manifest: &Manifest, jobs: &[Job]) -> Result<()> {
    let mut brought: Vec<(&str, &str)> = Vec::new();
    for job in jobs {
        match job {
            Job::Load(job) => brought.push((&job.file.table, &job.file.name)),
            Job::Copy(job) => {
                brought.extend(
                    job.files.iter().map(|f| (f.file.table.as_str(), f.file.name.as_str())),
                );
            }
            _ => {}
        }
    }
    let mut written: Vec<(&str, &str)> =
        manifest.files.iter().map(|file| (file.table.as_str(), file.name.as_str())).collect();
    brought.sort_unstable();
    written.sort_unstable();
    if brought == written {
        return Ok(());
    }
    let missing = written.iter().find(|file| !brought.contains(file));
    Err(Error::new(ErrorKind::Bug, "the jobs of the load do not bring each of its files once")
        .with("files", written.len())
        .with("brought", brought.len())
        .with(
            "missing",
            missing.map_or("none".to_owned(), |(table, name)| format!("{table}/{name}")),
        )
        .with_hint("the staging destination has to ask for a copy of every file that it stages"))
}

/// Whether two names are one to the destination.
fn same(identifiers: &IdentifierRules, a: &str, b: &str) -> bool {
    match identifiers.case {
        IdentifierCase::Sensitive => a == b,
        // Engines fold ASCII letters alone: to DuckDB `Ä` and `ä` are two names.
        _ => a.eq_ignore_ascii_case(b),
    }
}

/// Refuses names that are two in the schema and one to the destination, and those that it counts as too long.
///
/// # Errors
/// [`ErrorKind::BadData`], naming both; [`ErrorKind::Configuration`].
pub(crate) fn check_names(
    schema: &Schema,
    tables: &[&str],
    identifiers: &IdentifierRules,
) -> Result<()> {
    let collision = |message: &'static str, names: [&str; 2]| {
        Error::new(ErrorKind::BadData, message)
            .with("code", "E_NAME_COLLISION")
            .with("name", names[0])
            .with("other name", names[1])
            .with_hint("the destination does not tell them apart: rename one, or use `naming = \"snake_case\"`")
    };
    let twins = |mut names: Box<dyn Iterator<Item = &str> + '_>| {
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        names.find_map(|name| {
            let folded = match identifiers.case {
                IdentifierCase::Sensitive => name.to_owned(),
                _ => name.to_ascii_lowercase(),
            };
            seen.insert(folded, name.to_owned()).map(|other| [other, name.to_owned()])
        })
    };
    // Tables of other loads are in the dataset too.
    if let Some([one, other]) = twins(Box::new(schema.tables.keys().map(String::as_str))) {
        return Err(collision("two tables have one name", [&one, &other]));
    }
    for table in tables.iter().filter_map(|name| schema.tables.get(*name)) {
        identifiers.check_table(&table.name)?;
        let mut columns = table.complete_columns().map(|column| column.name.as_str());
        columns
            .try_for_each(|column| identifiers.check_column(column))
            .map_err(|error| error.with("table", &table.name))?;
        let columns = table.complete_columns().map(|column| column.name.as_str());
        if let Some([one, other]) = twins(Box::new(columns)) {
            let error = collision("two columns of a table have one name", [&one, &other]);
            return Err(error.with("table", &table.name));
        }
    }
    Ok(())
}

/// Whether the state of a load says what was read, so that a later load goes on from there. An older one that came after
/// it would take that back.
pub(crate) fn remembers(manifest: &Manifest) -> bool {
    let state = manifest.state.as_ref().map(PipelineState::from_row);
    state.is_some_and(|state| state.map_or(true, |state| state.remembers()))
}

/// Whether a load only adds rows that no other load can have read again since: it may come at any time, in any order.
pub(crate) fn may_come_late(manifest: &Manifest) -> bool {
    let adds = |root: &String| {
        matches!(
            manifest.schema.disposition_of(root),
            WriteDisposition::Append | WriteDisposition::Skip
        )
    };
    manifest.tables.iter().all(adds) && !remembers(manifest)
}

/// The files of a load as they lie in the staging storage.
pub(crate) fn staged_files(manifest: &Manifest, url: impl Fn(&str) -> String) -> Vec<StagedFile> {
    let staged = |file: &DataFile| {
        let key = manifest.key_of(file);
        StagedFile { file: file.clone(), url: url(&key), key, etag: None }
    };
    manifest.files.iter().map(staged).collect()
}

/// The files of a load that are not among these objects, by key and size.
pub(crate) fn missing_files(manifest: &Manifest, objects: &[StagedObject]) -> Vec<String> {
    let there: BTreeMap<&str, u64> =
        objects.iter().map(|object| (object.key.as_str(), object.bytes)).collect();
    let is_missing =
        |file: &&DataFile| there.get(manifest.key_of(file).as_str()) != Some(&file.bytes);
    manifest.files.iter().filter(is_missing).map(DataFile::path).collect()
}

/// The tables of a load, in the order of its chains: those with files, and those from which it may take rows.
pub(crate) fn tables_of(manifest: &Manifest) -> Vec<&str> {
    let with_files: BTreeSet<&str> =
        manifest.files.iter().map(|file| file.table.as_str()).collect();
    let mut tables = Vec::new();
    for root in &manifest.tables {
        for table in manifest.schema.chain_of(root) {
            let has_rows = with_files.contains(table);
            // What is nested in rows that make room goes with them, also where the load brings nothing in its place.
            let makes_room = matches!(
                manifest.schema.disposition_of(root),
                WriteDisposition::Replace | WriteDisposition::Merge
            );
            let known = manifest
                .schema
                .tables
                .get(table)
                .is_some_and(|table| table.complete_columns().count() > 0);
            if has_rows || (known && (makes_room || table == root)) {
                tables.push(table);
            }
        }
    }
    tables
}

/// The first jobs of a load.
pub(crate) fn first_jobs(manifest: &Manifest, staged: bool) -> Vec<Job> {
    let job = |file: &transload_core::DataFile| match staged {
        true => Job::Stage(StageJob { file: file.clone(), key: manifest.key_of(file) }),
        false => Job::Load(LoadJob { file: file.clone() }),
    };
    manifest.files.iter().map(job).collect()
}

/// Brings follow-ups together: one copy a table, its files in the order of their names, each once.
pub(crate) fn coalesce(follow_ups: Vec<FollowUp>) -> Vec<Job> {
    let mut copies: BTreeMap<String, BTreeMap<String, StagedFile>> = BTreeMap::new();
    let mut custom: BTreeMap<_, Job> = BTreeMap::new();
    for follow_up in follow_ups {
        match follow_up {
            FollowUp::Copy(file) => {
                copies
                    .entry(file.file.table.clone())
                    .or_default()
                    .insert(file.file.name.clone(), file);
            }
            FollowUp::Custom(job) => {
                let job = Job::Custom(job);
                custom.insert(job.id(), job);
            }
            // A follow-up that this engine does not know cannot be asked for: the contract's version is the same.
            _ => {}
        }
    }
    let copies = copies
        .into_iter()
        .map(|(table, files)| Job::Copy(CopyJob { table, files: files.into_values().collect() }));
    copies.chain(custom.into_values()).collect()
}

/// The rows in the files of a job.
pub(crate) fn rows_of(job: &Job) -> u64 {
    match job {
        Job::Load(job) => job.file.rows,
        Job::Copy(job) => job.files.iter().map(|staged| staged.file.rows).sum(),
        _ => 0,
    }
}

/// The publication of a load.
pub(crate) fn publication(
    manifest: &Manifest,
    dispositions: &BTreeMap<String, Disposition>,
    jobs: &[Job],
    state: &DatasetState,
    previous: Option<transload_core::LoadId>,
) -> Publication {
    let publication_of = |table: &str| TablePublication {
        table: table.to_owned(),
        rows: manifest.rows_of(table),
        jobs: jobs.iter().filter(|job| job.table() == table).cloned().collect(),
    };
    let tables = tables_of(manifest);
    let chains =
        manifest.tables.iter().filter(|root| tables.contains(&root.as_str())).map(|root| {
            let members = manifest.schema.chain_of(root);
            let nested = members.iter().skip(1).filter(|table| tables.contains(table));
            TableChain {
                disposition: dispositions.get(root).copied().unwrap_or(Disposition::Append),
                root: publication_of(root),
                nested: nested.map(|table| publication_of(table)).collect(),
            }
        });
    Publication {
        previous,
        chains: chains.collect(),
        state: manifest.state.clone(),
        stores_schema: state.schema_hashes.first() != Some(&manifest.schema.version_hash),
        published_at: manifest.created_at.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use transload_core::ReplaceStrategy;
    use transload_core::{Column, DataType, Dataset, FileFormat, LoadId, Sha256Hex};

    pub(super) fn file(table: &str, number: usize, rows: u64) -> DataFile {
        let sha256 = Sha256Hex::of(format!("{table}{number}").as_bytes());
        DataFile {
            table: table.into(),
            name: DataFile::name_of(number, &sha256, FileFormat::Parquet, false),
            format: FileFormat::Parquet,
            gzip: false,
            rows,
            bytes: 1,
            sha256,
            columns: vec![],
            bounds: Default::default(),
            longest: Default::default(),
        }
    }

    pub(super) fn manifest(disposition: WriteDisposition, files: Vec<DataFile>) -> Manifest {
        let mut schema =
            Schema::from_json(include_str!("../../core/tests/data/dlt-schema.json")).unwrap();
        schema.tables["players"].write_disposition = Some(disposition);
        Manifest {
            manifest_version: 1,
            load_id: LoadId::new("1.5"),
            pipeline: "p".into(),
            dataset: Dataset::new("d"),
            created_at: "2026-11-22T17:45:39.0Z".into(),
            destination: "duckdb".into(),
            place: "here".into(),
            previous: None,
            staging: None,
            format: FileFormat::Parquet,
            tables: vec!["players".into()],
            files,
            schema,
            state: None,
        }
    }

    #[test]
    fn a_name_that_the_destination_counts_as_too_long_is_refused() {
        let mut manifest = manifest(WriteDisposition::Append, vec![]);
        // 32 characters of two bytes each.
        manifest.schema.tables["players"].put(Column::new("é".repeat(32), DataType::Text));
        let check = |in_bytes| {
            let rules = IdentifierRules { in_bytes, ..IdentifierRules::default() };
            check_names(&manifest.schema, &["players"], &rules)
        };
        check(false).unwrap();
        let error = check(true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let shown = ["table", "bytes", "longest"].map(|key| error.context(key));
        assert_eq!(shown, [Some("players"), Some("64"), Some("63")]);
    }

    #[test]
    fn a_replaced_chain_takes_its_nested_tables_along_without_rows() {
        let replaced = manifest(WriteDisposition::Replace, vec![file("players", 1, 1)]);
        assert_eq!(tables_of(&replaced), ["players", "players__l", "players__m"]);
        let appended = manifest(WriteDisposition::Append, vec![file("players", 1, 1)]);
        assert_eq!(tables_of(&appended), ["players"]);
    }

    #[test]
    fn every_file_is_brought_once() {
        let manifest =
            manifest(WriteDisposition::Append, vec![file("players", 1, 1), file("players", 2, 1)]);
        let jobs = first_jobs(&manifest, false);
        check_coverage(&manifest, &jobs).unwrap();
        let error = check_coverage(&manifest, &jobs[1..]).unwrap_err();
        assert!(error.context("missing").unwrap().starts_with("players/000001"));
        let twice = [jobs.clone(), jobs[..1].to_vec()].concat();
        assert_eq!(check_coverage(&manifest, &twice).unwrap_err().kind(), ErrorKind::Bug);
    }

    #[test]
    fn only_loads_that_add_and_remember_nothing_may_come_late() {
        let mut appends = manifest(WriteDisposition::Append, vec![file("players", 1, 1)]);
        assert!(may_come_late(&appends));
        let mut state = PipelineState::new();
        let row = |state: &mut PipelineState| state.bump("2026-11-22T17:45:39.0Z", "id".into());
        appends.state = row(&mut state);
        assert!(appends.state.is_some() && may_come_late(&appends), "a state without memory");
        state.resource_mut("s", "players").insert("incremental".into(), serde_json::json!({}));
        appends.state = row(&mut state);
        assert!(!may_come_late(&appends));
        assert!(!may_come_late(&manifest(WriteDisposition::Replace, vec![])));
        assert!(!may_come_late(&manifest(WriteDisposition::Merge, vec![])));
    }

    #[test]
    fn a_staged_load_is_copied_from_where_its_uploads_went() {
        let manifest =
            manifest(WriteDisposition::Append, vec![file("players", 1, 1), file("players", 2, 1)]);
        let files = staged_files(&manifest, |key| format!("s3://b/{key}"));
        let jobs = coalesce(files.into_iter().map(FollowUp::Copy).collect());
        check_coverage(&manifest, &jobs).unwrap();
        let [Job::Copy(copy)] = &jobs[..] else { panic!("one copy") };
        assert!(copy.files[0].url.starts_with("s3://b/d/p/1.5/players/000001-"));
        let object = |key: &String, bytes| StagedObject {
            key: key.clone(),
            bytes,
            modified_at: String::new(),
        };
        let there = vec![object(&copy.files[0].key, 1), object(&copy.files[1].key, 7)];
        assert_eq!(missing_files(&manifest, &there), [manifest.files[1].path()]);
    }

    #[test]
    fn follow_ups_of_one_table_become_one_copy_and_repeated_ones_count_once() {
        let staged = |number| {
            let file = file("players", number, 1);
            let key = format!("k/{}", file.path());
            FollowUp::Copy(StagedFile { url: format!("s3://b/{key}"), key, file, etag: None })
        };
        let jobs = coalesce(vec![staged(2), staged(1), staged(2)]);
        let [Job::Copy(copy)] = &jobs[..] else { panic!("one copy") };
        assert_eq!(
            copy.files.iter().map(|f| &f.file.name[..6]).collect::<Vec<_>>(),
            ["000001", "000002"]
        );
        assert_eq!(jobs[0].id().as_str(), "copy:players");
    }

    #[test]
    fn a_publication_holds_the_chains_with_the_manifests_numbers() {
        let manifest = manifest(
            WriteDisposition::Replace,
            vec![file("players", 1, 3), file("players", 2, 4), file("players__m", 1, 5)],
        );
        let jobs = first_jobs(&manifest, false);
        let dispositions = BTreeMap::from([(
            "players".to_owned(),
            Disposition::Replace(ReplaceStrategy::TruncateAndInsert),
        )]);
        let publication =
            publication(&manifest, &dispositions, &jobs, &DatasetState::default(), None);
        let [chain] = &publication.chains[..] else { panic!("one chain") };
        assert_eq!((chain.root.rows, chain.root.jobs.len()), (7, 2));
        let nested: Vec<_> = chain.nested.iter().map(|t| (t.table.as_str(), t.rows)).collect();
        assert_eq!(nested, [("players__l", 0), ("players__m", 5)]);
        assert!(publication.stores_schema);
    }
}
