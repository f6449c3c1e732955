//! What a load needs, as pure differences: between a schema and a dataset, and from a manifest to jobs.

use std::collections::{BTreeMap, BTreeSet};

use transload_core::{
    Column, CopyJob, DataFile, DataType, DatasetState, Disposition, Error, ErrorKind, FollowUp,
    IdentifierCase, IdentifierRules, Job, LoadJob, Manifest, Publication, Result, Schema,
    SchemaChange, StageJob, StagedFile, StagedObject, Table, TableChain, TablePublication,
    WriteDisposition,
};

use crate::state::PipelineState;

/// What a destination says of the types of its columns.
#[derive(Clone, Copy)]
pub(crate) struct Types<'a> {
    /// See [`transload_core::Destination::native_type`].
    pub(crate) native: &'a dyn Fn(&Column) -> Result<String>,
    /// See [`transload_core::Destination::widens`].
    pub(crate) widens: &'a dyn Fn(&str, &str) -> bool,
    /// Bytes of the longest text in the rows of a load, by table and column, where they were measured.
    pub(crate) longest: &'a dyn Fn(&str, &str) -> Option<u64>,
}

impl Types<'_> {
    /// The column with what is known of its values.
    fn measured(self, table: &str, column: &Column) -> Column {
        let is_text = column.data_type == Some(DataType::Text) && column.precision.is_none();
        let longest = is_text.then(|| (self.longest)(table, &column.name)).flatten();
        Column { longest, ..column.clone() }
    }

    /// Whether a column has to be widened for a load. One that holds the texts of the load stays as it is, though it would be
    /// made with more room.
    fn must_widen(self, known: &str, column: &Column) -> Result<bool> {
        let wanted = (self.native)(column)?;
        let exact = column
            .longest
            .and_then(|longest| u32::try_from(longest.max(1)).ok())
            .map(|longest| Column { longest: None, precision: Some(longest), ..column.clone() });
        let holds = exact.is_some_and(|exact| {
            (self.native)(&exact).is_ok_and(|needed| !(self.widens)(known, &needed))
        });
        Ok((self.widens)(known, &wanted) && !holds)
    }
}

/// The changes that bring a dataset to a schema: additions only, for the tables of this load.
///
/// # Errors
/// Those of [`transload_core::Destination::native_type`].
pub(crate) fn schema_changes(
    schema: &Schema,
    tables: &[&str],
    state: &DatasetState,
    identifiers: &IdentifierRules,
    types: Types<'_>,
) -> Result<Vec<SchemaChange>> {
    let fold = |name: &str| match identifiers.case {
        IdentifierCase::Sensitive => name.to_owned(),
        _ => name.to_ascii_lowercase(),
    };
    let existing: BTreeMap<String, BTreeMap<String, &str>> = state
        .tables
        .iter()
        .map(|(table, columns)| {
            let columns = columns.iter().map(|c| (fold(&c.name), c.native_type.as_str()));
            (fold(table), columns.collect())
        })
        .collect();
    let mut changes = Vec::new();
    if !state.exists {
        changes.push(SchemaChange::CreateDataset);
    }
    for table in tables.iter().filter_map(|name| schema.tables.get(*name)) {
        // A column without a type was never seen in data; it is not created, as in dlt.
        let complete = Table {
            columns: table
                .complete_columns()
                .map(|column| (column.name.clone(), types.measured(&table.name, column)))
                .collect(),
            ..table.clone()
        };
        if complete.columns.is_empty() {
            continue;
        }
        match existing.get(&fold(&table.name)) {
            None => changes.push(SchemaChange::CreateTable(complete)),
            Some(known) => {
                let (known_columns, columns): (Vec<_>, Vec<_>) = complete
                    .columns
                    .into_values()
                    .partition(|column| known.contains_key(&fold(&column.name)));
                if !columns.is_empty() {
                    changes.push(SchemaChange::AddColumns { table: table.name.clone(), columns });
                }
                for column in known_columns {
                    if types.must_widen(known[&fold(&column.name)], &column)? {
                        changes
                            .push(SchemaChange::WidenColumn { table: table.name.clone(), column });
                    }
                }
            }
        }
    }
    Ok(changes)
}

/// Refuses a column whose type in the dataset is not the one that it would be created with, unless one of the two holds all
/// values of the other: a cast there may change values and say nothing. Refuses a column that the destination cannot have at
/// all, too.
pub(crate) fn check_types(
    schema: &Schema,
    tables: &[&str],
    state: &DatasetState,
    identifiers: &IdentifierRules,
    types: Types<'_>,
) -> Result<()> {
    for table in tables.iter().filter_map(|name| schema.tables.get(*name)) {
        let existing = state.tables.iter().find(|(name, _)| same(identifiers, name, &table.name));
        for column in table.complete_columns() {
            let wanted =
                (types.native)(column).map_err(|error| error.with("table", &table.name))?;
            let Some((_, existing)) = existing else { continue };
            let existing = existing.iter().find(|e| same(identifiers, &e.name, &column.name));
            let Some(existing) = existing else { continue };
            let known = existing.native_type.as_str();
            let holds = known.eq_ignore_ascii_case(&wanted)
                || (types.widens)(known, &wanted)
                || (types.widens)(&wanted, known);
            if !holds {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    "a column has another type in the dataset than in the schema",
                )
                .with("table", &table.name)
                .with("column", &column.name)
                .with("in the dataset", &existing.native_type)
                .with("in the schema", wanted)
                .with_hint(
                    "give the column the type that it has (`columns` of the resource), or load into another table",
                ));
            }
        }
    }
    Ok(())
}

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

/// The names of what is added or widened: `table` and `table.column`.
pub(crate) fn change_names(changes: &[SchemaChange]) -> Vec<String> {
    let mut names = Vec::new();
    for change in changes {
        match change {
            SchemaChange::CreateTable(table) => {
                names.push(table.name.clone());
                names.extend(table.columns.keys().map(|column| format!("{}.{column}", table.name)));
            }
            SchemaChange::WidenColumn { table, column } => {
                names.push(format!("{table}.{}", column.name));
            }
            SchemaChange::AddColumns { table, columns } => {
                names.extend(columns.iter().map(|column| format!("{table}.{}", column.name)));
            }
            _ => {}
        }
    }
    names
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
    use transload_core::{Dataset, ExistingColumn, FileFormat, LoadId, Sha256Hex};

    /// Types in our own words, none of them wider than another.
    const SAME: Types<'static> = Types {
        native: &|column| Ok(format!("{:?}", column.data_type)),
        widens: &|_, _| false,
        longest: &|_, _| None,
    };

    fn file(table: &str, number: usize, rows: u64) -> DataFile {
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

    fn manifest(disposition: WriteDisposition, files: Vec<DataFile>) -> Manifest {
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
    fn a_text_is_made_for_its_longest_value_and_widened_for_a_longer_one() {
        /// `text(n)`: so many bytes as the precision says, or ten times the longest.
        fn native(column: &Column) -> Result<String> {
            let size = column.longest.map_or(9999, |longest| longest * 10);
            Ok(format!("text({})", column.precision.map_or(size, u64::from)))
        }
        fn widens(from: &str, to: &str) -> bool {
            let size = |name: &str| name[5..name.len() - 1].parse::<u64>().unwrap();
            size(from) < size(to)
        }
        let mut schema = manifest(WriteDisposition::Append, vec![]).schema;
        let mut table = Table::root("t", WriteDisposition::Append);
        table.put(Column::new("a", DataType::Text));
        table.put(Column::new("declared", DataType::Text).with_precision(5));
        schema.tables.insert("t".into(), table);
        let changes = |there: Option<&str>, longest: Option<u64>| {
            let tables = there.map(|native_type| {
                let column = |name: &str, native_type: &str| ExistingColumn {
                    name: name.into(),
                    native_type: native_type.into(),
                    nullable: true,
                };
                ("t".to_owned(), vec![column("a", native_type), column("declared", "text(5)")])
            });
            let state = DatasetState {
                exists: true,
                tables: tables.into_iter().collect(),
                ..DatasetState::default()
            };
            let longest = |_: &str, _: &str| longest;
            let types = Types { native: &native, widens: &widens, longest: &longest };
            let rules = IdentifierRules::default();
            schema_changes(&schema, &["t"], &state, &rules, types).unwrap()
        };
        let [SchemaChange::CreateTable(made)] = &changes(None, Some(7))[..] else {
            panic!("a table")
        };
        assert_eq!(native(&made.columns["a"]).unwrap(), "text(70)");
        assert_eq!(native(&made.columns["declared"]).unwrap(), "text(5)");
        for (there, longest, wanted) in [
            // It holds them, though with less room than it would be made with.
            ("text(7)", Some(7), None),
            ("text(70)", Some(1), None),
            ("text(6)", Some(7), Some("text(70)")),
            // Who does not measure wants all that there is.
            ("text(70)", None, Some("text(9999)")),
        ] {
            let found = changes(Some(there), longest);
            let widened = found.iter().map(|change| match change {
                SchemaChange::WidenColumn { column, .. } => native(column).unwrap(),
                other => panic!("{other:?}"),
            });
            assert_eq!(
                widened.collect::<Vec<_>>(),
                wanted.into_iter().collect::<Vec<_>>(),
                "{there} {longest:?}"
            );
        }
        // A text of a schema has no length of its own, and its hash knows none.
        let json = serde_json::to_string(&made.columns["a"]).unwrap();
        assert!(!json.contains("longest"), "{json}");
    }

    #[test]
    fn a_new_dataset_is_created_with_its_tables() {
        let manifest = manifest(
            WriteDisposition::Append,
            vec![file("players", 1, 1), file("players__l", 1, 2)],
        );
        let tables = tables_of(&manifest);
        assert_eq!(tables, ["players", "players__l"]);
        let changes = schema_changes(
            &manifest.schema,
            &tables,
            &DatasetState::default(),
            &IdentifierRules::default(),
            SAME,
        )
        .unwrap();
        assert_eq!(changes[0], SchemaChange::CreateDataset);
        assert_eq!(changes.len(), 3);
        assert!(change_names(&changes).contains(&"players.id".to_owned()));
    }

    #[test]
    fn only_what_is_missing_is_added_whatever_its_case() {
        let mut manifest = manifest(WriteDisposition::Append, vec![file("players", 1, 1)]);
        manifest.schema.tables["players"].put(Column::new("born", DataType::Date));
        let column = |name: &str| ExistingColumn {
            name: name.into(),
            native_type: "X".into(),
            nullable: true,
        };
        let mut state = DatasetState { exists: true, ..DatasetState::default() };
        state.tables.insert(
            "PLAYERS".into(),
            ["ID", "NAME", "_DLT_LOAD_ID", "_DLT_ID"].map(column).to_vec(),
        );
        let rules = IdentifierRules { case: IdentifierCase::Upper, ..IdentifierRules::default() };
        let changes = schema_changes(&manifest.schema, &["players"], &state, &rules, SAME).unwrap();
        assert_eq!(change_names(&changes), ["players.born"]);
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
    fn a_column_without_a_type_is_not_created() {
        let mut manifest = manifest(WriteDisposition::Append, vec![]);
        let mut hinted = Column::new("later", DataType::Text);
        hinted.data_type = None;
        manifest.schema.tables["players"].put(hinted);
        let changes = schema_changes(
            &manifest.schema,
            &["players"],
            &DatasetState::default(),
            &IdentifierRules::default(),
            SAME,
        )
        .unwrap();
        assert!(!change_names(&changes).contains(&"players.later".to_owned()));
    }

    #[test]
    fn a_replaced_chain_takes_its_nested_tables_along_without_rows() {
        let replaced = manifest(WriteDisposition::Replace, vec![file("players", 1, 1)]);
        assert_eq!(tables_of(&replaced), ["players", "players__l", "players__m"]);
        let appended = manifest(WriteDisposition::Append, vec![file("players", 1, 1)]);
        assert_eq!(tables_of(&appended), ["players"]);
    }

    #[test]
    fn a_column_of_another_type_is_refused_with_both() {
        let manifest = manifest(WriteDisposition::Append, vec![file("players", 1, 1)]);
        let types =
            Types { widens: &|from, to| (from, to) == ("some(Date)", "Some(Bigint)"), ..SAME };
        let with = |native_type: &str| {
            let column = ExistingColumn {
                name: "ID".into(),
                native_type: native_type.into(),
                nullable: true,
            };
            let mut state = DatasetState { exists: true, ..DatasetState::default() };
            state.tables.insert("players".into(), vec![column]);
            let rules =
                IdentifierRules { case: IdentifierCase::Lower, ..IdentifierRules::default() };
            check_types(&manifest.schema, &["players"], &state, &rules, types)
        };
        with("some(bigint)").unwrap();
        with("some(Date)").unwrap();
        let error = with("Some(Double)").unwrap_err();
        assert_eq!(error.context("in the dataset"), Some("Some(Double)"));
        assert_eq!(error.context("in the schema"), Some("Some(Bigint)"));
    }

    #[test]
    fn a_column_that_holds_less_than_the_schema_wants_is_widened() {
        let manifest = manifest(WriteDisposition::Append, vec![file("players", 1, 1)]);
        let column =
            ExistingColumn { name: "ID".into(), native_type: "narrow".into(), nullable: true };
        let mut state = DatasetState { exists: true, ..DatasetState::default() };
        state.tables.insert("players".into(), vec![column]);
        let rules = IdentifierRules { case: IdentifierCase::Lower, ..IdentifierRules::default() };
        let types = Types { widens: &|from, to| from == "narrow" && to == "Some(Bigint)", ..SAME };
        check_types(&manifest.schema, &["players"], &state, &rules, types).unwrap();
        let changes =
            schema_changes(&manifest.schema, &["players"], &state, &rules, types).unwrap();
        let widened: Vec<_> = changes
            .iter()
            .filter(|change| matches!(change, SchemaChange::WidenColumn { .. }))
            .cloned()
            .collect();
        assert_eq!(change_names(&widened), ["players.id"]);
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
