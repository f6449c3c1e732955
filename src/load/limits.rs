//! What a load may be at most, held against it before it is sealed.

use std::collections::BTreeMap;
use std::path::Path;

use transload_core::sql::publication_bytes;
use transload_core::{
    Capabilities, DatasetState, Disposition, Epoch, Error, ErrorKind, Job, JobContext, Load,
    Manifest, Result, Sha256Hex, StagingAccess,
};

use super::plan;

/// How many tables a publication is told to be at most, where several pipelines would do.
const SPLIT: &str = "split the resources over several pipelines, or lower `max_table_nesting`";

/// Refuses a load that is more than its destination can publish at once. `jobs` are those that will bring its rows.
///
/// # Errors
/// [`ErrorKind::Unsupported`], with what to do.
pub(super) fn check_limits(
    capabilities: &Capabilities,
    manifest: &Manifest,
    dispositions: &BTreeMap<String, Disposition>,
    state: &DatasetState,
    jobs: impl FnOnce() -> Vec<Job>,
) -> Result<()> {
    let refused = |message: &'static str| Error::new(ErrorKind::Unsupported, message);
    let tables = plan::tables_of(manifest);
    if let Some(most) = capabilities.max_tables_in_publication
        && tables.len() > most
    {
        return Err(refused("the load has more tables than can be published at once")
            .with("tables", tables.len())
            .with("at most", most)
            .with_hint(SPLIT));
    }
    if let Some(most) = capabilities.max_columns {
        for table in tables.iter().filter_map(|table| manifest.schema.tables.get(*table)) {
            let columns = table.complete_columns().count();
            if columns > most {
                return Err(refused("a table has more columns than the destination takes")
                    .with("table", &table.name)
                    .with("columns", columns)
                    .with("at most", most)
                    .with_hint(
                        "give the column with many keys the type `json`, or lower `max_table_nesting`",
                    ));
            }
        }
    }
    if let Some(text) = &capabilities.publication_text {
        let previous = manifest.previous.clone();
        let publication = plan::publication(manifest, dispositions, &jobs(), state, previous);
        let load = Load {
            load_id: manifest.load_id.clone(),
            pipeline: manifest.pipeline.clone(),
            dataset: manifest.dataset.clone(),
            digest: Sha256Hex::of(b""),
            epoch: Epoch(u64::from(u32::MAX)),
        };
        let context = JobContext {
            load: &load,
            schema: &manifest.schema,
            folder: Path::new(""),
            access: &StagingAccess::None,
            on_bytes: &|_| (),
        };
        let bytes = publication_bytes(text, &publication, &context)?;
        if bytes > text.bytes {
            return Err(refused(
                "the load is published by a text that is too long for its destination",
            )
            .with("bytes", bytes)
            .with("at most", text.bytes)
            .with("tables", tables.len())
            .with_hint(SPLIT));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use transload_core::{
        Column, DataFile, DataType, Dataset, FileFormat, LoadId, PublicationText, Schema, Table,
        WriteDisposition,
    };

    /// A load of so many tables of so many columns.
    fn manifest(tables: usize, columns: usize) -> Manifest {
        let text = r#"{"version":1,"engine_version":11,"name":"s","tables":{}}"#;
        let mut schema = Schema::from_json(text).unwrap();
        let mut files = Vec::new();
        for number in 0..tables {
            let name = format!("table_{number:04}");
            let mut table = Table::root(&name, WriteDisposition::Append);
            for column in 0..columns {
                table.put(Column::new(format!("a_column_{column:05}"), DataType::Bigint));
            }
            schema.tables.insert(name.clone(), table);
            let sha256 = Sha256Hex::of(name.as_bytes());
            files.push(DataFile {
                table: name,
                name: DataFile::name_of(1, &sha256, FileFormat::Parquet, false),
                format: FileFormat::Parquet,
                gzip: false,
                rows: 1,
                bytes: 1,
                sha256,
                columns: Vec::new(),
                bounds: BTreeMap::new(),
                longest: BTreeMap::new(),
            });
        }
        Manifest {
            manifest_version: 1,
            load_id: LoadId::new("1.5"),
            pipeline: "p".into(),
            dataset: Dataset::new("d"),
            created_at: "2026-11-22T17:45:39.0Z".into(),
            destination: "w".into(),
            place: "here".into(),
            previous: None,
            staging: None,
            format: FileFormat::Parquet,
            tables: schema.tables.keys().cloned().collect(),
            files,
            schema,
            state: None,
        }
    }

    fn check(capabilities: &Capabilities, manifest: &Manifest) -> Result<()> {
        let jobs = plan::first_jobs(manifest, false);
        let state = DatasetState::default();
        check_limits(capabilities, manifest, &BTreeMap::new(), &state, || jobs)
    }

    #[test]
    fn what_is_within_the_limits_or_has_none_is_let_by() {
        check(&Capabilities::default(), &manifest(200, 3)).unwrap();
        let capabilities = Capabilities {
            max_tables_in_publication: Some(2),
            max_columns: Some(3),
            publication_text: Some(PublicationText { bytes: 10_000, ..PublicationText::default() }),
            ..Capabilities::default()
        };
        check(&capabilities, &manifest(2, 3)).unwrap();
        for (manifest, what) in [(manifest(3, 3), "tables"), (manifest(1, 4), "columns")] {
            let error = check(&capabilities, &manifest).unwrap_err();
            assert!(error.kind() == ErrorKind::Unsupported && error.hint().is_some());
            assert!(error.context(what).is_some(), "{error}");
        }
    }

    #[test]
    fn a_publication_that_is_too_long_is_refused_by_the_length_of_its_names() {
        let text = PublicationText {
            bytes: 1_000_000,
            around_step: 250,
            // The schema, which is stored in it, is packed.
            longest_value: Some(100_000),
            ..PublicationText::default()
        };
        let capabilities = Capabilities { publication_text: Some(text), ..Capabilities::default() };
        check(&capabilities, &manifest(90, 100)).unwrap();
        // Each name stands twice in the statement that moves its table.
        let error = check(&capabilities, &manifest(90, 400)).unwrap_err();
        let bytes: usize = error.context("bytes").unwrap().parse().unwrap();
        assert!((90 * 400 * 32..90 * 400 * 48).contains(&bytes), "{error}");
        assert!(error.hint().unwrap().contains("several pipelines"));
    }
}
