//! Load jobs: what is asked for, as data.
//!
//! Pages are those of the BigQuery documentation; the words of requests are those of its REST reference, `Job`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use transload_core::{
    Column, CopyJob, CopyList, DataFile, Error, ErrorKind, FileFormat, Job, Load, Result,
    Sha256Hex, StagedFile, Table,
};

use crate::labels::Labels;
use crate::types;

/// Source URIs of one job. "Quotas and limits", load jobs.
const URIS: usize = 10_000;

/// Bytes of the longest file of compressed text. "Quotas and limits", load jobs.
const COMPRESSED_BYTES: u64 = 4 << 30;

/// A table of a dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) project: String,
    pub(crate) dataset: String,
    pub(crate) table: String,
}

impl Place {
    pub(crate) fn reference(&self) -> Value {
        json!({"projectId": self.project, "datasetId": self.dataset, "tableId": self.table})
    }
}

/// Files that one load job brings.
#[derive(Clone, Debug)]
pub(crate) struct Part<'a> {
    files: Vec<&'a DataFile>,
    /// Where they are; empty where the one file is uploaded.
    pub(crate) uris: Vec<&'a str>,
}

impl Part<'_> {
    /// The rows in the files.
    pub(crate) fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// The file that is uploaded.
    pub(crate) fn file(&self) -> Option<&DataFile> {
        self.files.first().copied().filter(|_| self.uris.is_empty())
    }
}

/// The parts of a job: mostly one.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for what a load job does not take.
pub(crate) fn parts(job: &Job) -> Result<Vec<Part<'_>>> {
    match job {
        Job::Load(load) => {
            check_file(&load.file, &load.file.name)?;
            Ok(vec![Part { files: vec![&load.file], uris: Vec::new() }])
        }
        Job::Copy(copy) => {
            for staged in &copy.files {
                if !staged.url.starts_with("gs://") {
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "BigQuery loads from Google Cloud Storage only",
                    )
                    .with("file", &staged.url)
                    .with_hint(
                        "point `bucket_url` to a `gs://` bucket, or leave the staging out",
                    ));
                }
                check_file(&staged.file, &staged.url)?;
            }
            groups(copy)
        }
        other => Err(Error::new(ErrorKind::Unsupported, "BigQuery does not know a step")
            .with("job", other.id())),
    }
}

fn check_file(file: &DataFile, name: &str) -> Result<()> {
    if file.format == FileFormat::InsertValues {
        return Err(Error::new(ErrorKind::Unsupported, "a load job does not take this format")
            .with("format", file.format)
            .with("file", name));
    }
    if file.gzip && file.bytes > COMPRESSED_BYTES {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "a compressed file is too long for BigQuery",
        )
        .with("file", name)
        .with("bytes", file.bytes)
        .with("longest", COMPRESSED_BYTES));
    }
    Ok(())
}

/// Files of one format that can be read together. Columns of CSV are found by their place; files of Parquet are read by the
/// schema of one of them ("Loading Parquet data"), so those have the same columns.
fn groups(copy: &CopyJob) -> Result<Vec<Part<'_>>> {
    let mut groups: Vec<Vec<&StagedFile>> = Vec::new();
    for format in FileFormat::ALL {
        let files: Vec<_> = copy.files.iter().filter(|it| it.file.format == format).collect();
        if format == FileFormat::Parquet {
            let mut by_columns: BTreeMap<BTreeSet<&str>, Vec<&StagedFile>> = BTreeMap::new();
            for staged in files {
                let columns = staged.file.columns.iter().map(String::as_str).collect();
                by_columns.entry(columns).or_default().push(staged);
            }
            groups.extend(by_columns.into_values());
            continue;
        }
        if format != FileFormat::Csv || files.is_empty() {
            groups.push(files);
            continue;
        }
        // The lists name files of their own job; those of ours have the same keys.
        let by_key: BTreeMap<&str, &StagedFile> =
            files.iter().map(|staged| (staged.key.as_str(), *staged)).collect();
        let only =
            CopyJob { table: copy.table.clone(), files: files.into_iter().cloned().collect() };
        for list in CopyList::of(&only)? {
            let found = list.files.iter().filter_map(|staged| by_key.get(staged.key.as_str()));
            groups.push(found.copied().collect());
        }
    }
    let chunks = groups.iter().flat_map(|group| group.chunks(URIS));
    Ok(chunks
        .map(|files| Part {
            files: files.iter().map(|staged| &staged.file).collect(),
            uris: files.iter().map(|staged| staged.url.as_str()).collect(),
        })
        .collect())
}

/// The staging table that the parts are brought into: as the schema of the load says, whatever the files say, and for so many
/// milliseconds since 1970. Every column may be NULL there, and none has a policy tag.
///
/// # Errors
/// Those of the types.
pub(crate) fn staging_table(
    place: &Place,
    table: &Table,
    parts: &[Part<'_>],
    labels: &Labels,
    until: u128,
) -> Result<Value> {
    Ok(json!({
        "tableReference": place.reference(),
        // Columns of CSV are found by their place.
        "schema": {"fields": fields(table, parts.first())?},
        "expirationTime": until.to_string(),
        "labels": labels,
    }))
}

/// The configuration of the load job that brings a part into its staging table, which is there.
///
/// # Errors
/// Those of the types.
pub(crate) fn configuration(
    place: &Place,
    table: &Table,
    part: &Part<'_>,
    labels: &Labels,
) -> Result<Value> {
    // Once: a job with its id runs once, and the table is that of one load and epoch.
    let (format, mut load) = loading(place, part, "WRITE_APPEND")?;
    match format {
        FileFormat::Parquet => {
            parquet(&mut load);
            // Its files have schemas of their own, and may lack columns: the table decides. They have no word for what a text
            // is to become.
            if table.complete_columns().any(|column| column.has_hint(types::GEOGRAPHY)) {
                load["schema"] = json!({"fields": fields(table, Some(part))?});
            }
        }
        FileFormat::Jsonl => {
            load["sourceFormat"] = "NEWLINE_DELIMITED_JSON".into();
            load["schema"] = json!({"fields": fields(table, Some(part))?});
            load["encoding"] = "UTF-8".into();
        }
        FileFormat::Csv => {
            load["sourceFormat"] = "CSV".into();
            load["schema"] = json!({"fields": fields(table, Some(part))?});
            load["encoding"] = "UTF-8".into();
            load["skipLeadingRows"] = 1.into();
            load["allowQuotedNewlines"] = true.into();
            // Files from before the last columns were seen.
            load["allowJaggedRows"] = true.into();
        }
        FileFormat::InsertValues => {}
    }
    Ok(json!({"jobType": "LOAD", "labels": labels, "load": load}))
}

/// The configuration of the load job that brings a part into the table itself, which is there as `live` says: as the API
/// answers, `Table`.
///
/// # Errors
/// [`ErrorKind::Unsupported`] for a format whose columns are found by their place.
pub(crate) fn direct_configuration(
    place: &Place,
    live: &Value,
    part: &Part<'_>,
    replaces: bool,
    labels: &Labels,
) -> Result<Value> {
    // The one that keeps the schema of the table: REST reference, `JobConfigurationLoad`.
    let write = if replaces { "WRITE_TRUNCATE_DATA" } else { "WRITE_APPEND" };
    let (format, mut load) = loading(place, part, write)?;
    let fields: Vec<Value> =
        live["schema"]["fields"].as_array().into_iter().flatten().map(without_policy).collect();
    let has_geography = fields.iter().any(|field| field["type"] == "GEOGRAPHY");
    match format {
        FileFormat::Parquet => {
            parquet(&mut load);
            if has_geography {
                load["schema"] = json!({"fields": fields});
            }
        }
        FileFormat::Jsonl => {
            load["sourceFormat"] = "NEWLINE_DELIMITED_JSON".into();
            load["schema"] = json!({"fields": fields});
            load["encoding"] = "UTF-8".into();
        }
        other => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "files of this format are not loaded into a table itself",
            )
            .with("table", &place.table)
            .with("format", other)
            .with_hint("load `parquet` or `jsonl`, or set `publication = \"transaction\"`"));
        }
    }
    Ok(json!({"jobType": "LOAD", "labels": labels, "load": load}))
}

/// A field as it is, without its policy tags: naming them needs a right of its own, and the table keeps them.
fn without_policy(field: &Value) -> Value {
    let mut field = field.clone();
    if let Some(field) = field.as_object_mut() {
        field.remove("policyTags");
    }
    field
}

/// What every load job has, and the format of its files.
fn loading(place: &Place, part: &Part<'_>, write: &str) -> Result<(FileFormat, Value)> {
    let Some(file) = part.files.first() else {
        return Err(
            Error::new(ErrorKind::Bug, "a load job without files").with("table", &place.table)
        );
    };
    let mut load = json!({
        "destinationTable": place.reference(),
        "createDisposition": "CREATE_NEVER",
        "writeDisposition": write,
        "autodetect": false,
        "maxBadRecords": 0,
        "ignoreUnknownValues": false,
    });
    if !part.uris.is_empty() {
        load["sourceUris"] = json!(part.uris);
    }
    Ok((file.format, load))
}

/// "Loading Parquet data": lists as arrays, and decimals by their digits.
fn parquet(load: &mut Value) {
    load["sourceFormat"] = "PARQUET".into();
    load["parquetOptions"] = json!({"enableListInference": true, "enumAsString": true});
    load["decimalTargetTypes"] = json!(["NUMERIC", "BIGNUMERIC"]);
}

/// The columns of the files in their order, then those that no file has.
fn fields(table: &Table, part: Option<&Part<'_>>) -> Result<Vec<Value>> {
    let files = part.into_iter().flat_map(|part| &part.files);
    let longest = files.max_by_key(|file| file.columns.len());
    let in_files: Vec<&str> =
        longest.into_iter().flat_map(|file| file.columns.iter().map(String::as_str)).collect();
    let column = |name: &&str| -> Result<&Column> {
        table.columns.get(*name).ok_or_else(|| {
            Error::new(ErrorKind::Bug, "a file has a column that its table has not")
                .with("table", &table.name)
                .with("column", *name)
        })
    };
    let mut columns = in_files.iter().map(column).collect::<Result<Vec<_>>>()?;
    columns.extend(table.complete_columns().filter(|it| !in_files.contains(&it.name.as_str())));
    columns.into_iter().map(types::field).collect()
}

/// What the ids of the load jobs of a part begin with: whatever happens, it is the same for the same rows, on any machine.
///
/// The epoch is not in it: a load that was interrupted finds the job that it had begun. Parts that share a table are each
/// other's, and belong to one epoch.
pub(crate) fn job_stem(place: &Place, load: &Load, job: &Job, part: Option<usize>) -> String {
    let mut told = told(place, load, job);
    if let Some(part) = part {
        told.extend([load.epoch.to_string(), part.to_string()]);
    }
    stem(load, &told)
}

/// The same for a part that goes into the table itself, whatever the epoch: what was brought once is there.
pub(crate) fn direct_stem(place: &Place, load: &Load, job: &Job, part: usize) -> String {
    let mut told = told(place, load, job);
    told.extend(["per table".to_owned(), place.table.clone(), part.to_string()]);
    stem(load, &told)
}

fn told(place: &Place, load: &Load, job: &Job) -> Vec<String> {
    vec![
        place.project.clone(),
        load.dataset.name.clone(),
        load.dataset.staging.clone(),
        load.pipeline.clone(),
        load.load_id.to_string(),
        load.digest.to_string(),
        job.id().to_string(),
    ]
}

fn stem(load: &Load, told: &[String]) -> String {
    let told = json!(told).to_string();
    format!("transload_{}_{}", load.load_id.tag(), &Sha256Hex::of(told.as_bytes()).as_str()[..40])
}

/// The configuration of the job that takes over what a load job of an earlier epoch has brought.
pub(crate) fn copied(from: &Value, place: &Place, labels: &Labels) -> Value {
    json!({
        "jobType": "COPY",
        "labels": labels,
        "copy": {
            "sourceTable": from,
            "destinationTable": place.reference(),
            "createDisposition": "CREATE_IF_NEEDED",
            "writeDisposition": "WRITE_TRUNCATE",
        },
    })
}

#[cfg(test)]
mod tests {
    use transload_core::{DataType, Dataset, Epoch, LoadId, LoadJob, WriteDisposition};

    use super::*;
    use crate::labels;

    fn table() -> Table {
        let mut table = Table::root("t", WriteDisposition::Append);
        for data_type in DataType::ALL {
            table.put(Column::new(data_type.as_str(), data_type));
        }
        table.put(Column::new("id", DataType::Text).with_precision(5).not_null());
        table
    }

    fn file(number: usize, format: FileFormat, columns: &[&str]) -> DataFile {
        let sha256 = Sha256Hex::of(b"");
        DataFile {
            table: "t".into(),
            name: DataFile::name_of(number, &sha256, format, false),
            format,
            gzip: false,
            rows: 3,
            bytes: 100,
            sha256,
            columns: columns.iter().map(|column| (*column).to_owned()).collect(),
            bounds: Default::default(),
            longest: Default::default(),
        }
    }

    fn staged(number: usize, format: FileFormat, columns: &[&str]) -> StagedFile {
        let file = file(number, format, columns);
        let key = format!("d/p/1/t/{}", file.name);
        StagedFile { url: format!("gs://lake/{key}"), key, etag: None, file }
    }

    fn load(epoch: u64) -> Load {
        Load {
            load_id: LoadId::new("1"),
            pipeline: "p".into(),
            dataset: Dataset::new("d"),
            digest: Sha256Hex::of(b""),
            epoch: Epoch(epoch),
        }
    }

    fn place() -> Place {
        Place { project: "p".into(), dataset: "d_staging".into(), table: "t__x_e1".into() }
    }

    fn copy(files: Vec<StagedFile>) -> Job {
        Job::Copy(CopyJob { table: "t".into(), files })
    }

    fn shown(job: &Job) -> String {
        let labels = labels::of_load(&load(1), &Labels::from([("team".into(), "chess".into())]));
        let parts = parts(job).unwrap();
        let made = staging_table(&place(), &table(), &parts, &labels, 1_700_000_000_000).unwrap();
        let mut shown = format!("{made}\n");
        for part in &parts {
            let asked = configuration(&place(), &table(), part, &labels).unwrap();
            let text = serde_json::to_string_pretty(&asked).unwrap();
            shown.push_str(&format!("{} rows\n{text}\n", part.rows()));
        }
        shown
    }

    #[test]
    fn every_format_has_its_request() {
        let columns = &["id", "bigint"];
        let mut all = String::new();
        for format in [FileFormat::Parquet, FileFormat::Jsonl, FileFormat::Csv] {
            all.push_str(&shown(&copy(vec![
                staged(1, format, columns),
                staged(2, format, columns),
            ])));
        }
        all.push_str(&shown(&Job::Load(LoadJob { file: file(1, FileFormat::Jsonl, columns) })));
        insta::assert_snapshot!(all);
    }

    #[test]
    fn a_table_that_is_loaded_itself_keeps_what_it_is() {
        let live = json!({"schema": {"fields": [
            {"name": "id", "type": "INTEGER", "mode": "REQUIRED", "description": "which"},
            {"name": "text", "type": "STRING", "mode": "NULLABLE", "policyTags": {"names": ["x"]}},
        ]}});
        let mut with_place = live.clone();
        with_place["schema"]["fields"][1] = json!({"name": "text", "type": "GEOGRAPHY"});
        let target = Place { table: "t".into(), dataset: "d".into(), ..place() };
        let labels = Labels::new();
        let mut all = String::new();
        for (live, format, replaces) in [
            (&live, FileFormat::Parquet, false),
            (&live, FileFormat::Jsonl, true),
            (&with_place, FileFormat::Parquet, true),
        ] {
            let job = copy(vec![staged(1, format, &["id"]), staged(2, format, &["id"])]);
            for part in parts(&job).unwrap() {
                let asked = direct_configuration(&target, live, &part, replaces, &labels).unwrap();
                all.push_str(&format!("{}\n", serde_json::to_string_pretty(&asked).unwrap()));
            }
        }
        insta::assert_snapshot!(all);
        let job = copy(vec![staged(1, FileFormat::Csv, &["id"])]);
        let part = &parts(&job).unwrap()[0];
        let error = direct_configuration(&target, &live, part, false, &labels).unwrap_err();
        assert!(error.hint().unwrap().contains("transaction"), "{error}");
    }

    #[test]
    fn files_that_no_one_job_can_read_are_parts() {
        let many: Vec<StagedFile> =
            (0..URIS + 1).map(|number| staged(number, FileFormat::Parquet, &["id"])).collect();
        let job = copy(many);
        let found = parts(&job).unwrap();
        assert_eq!(found.iter().map(|part| part.uris.len()).collect::<Vec<_>>(), [URIS, 1]);
        let job = copy(vec![
            staged(1, FileFormat::Parquet, &["id"]),
            staged(2, FileFormat::Parquet, &["text", "id"]),
            staged(3, FileFormat::Parquet, &["id", "text"]),
        ]);
        let found = parts(&job).unwrap();
        assert_eq!(found.iter().map(|part| part.uris.len()).collect::<Vec<_>>(), [1, 2]);
        let job = copy(vec![
            staged(1, FileFormat::Csv, &["id", "text"]),
            staged(2, FileFormat::Csv, &["text", "id"]),
            staged(3, FileFormat::Csv, &["id"]),
        ]);
        let found = parts(&job).unwrap();
        assert_eq!(found.iter().map(|part| part.uris.len()).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn what_no_load_job_takes_is_refused() {
        let elsewhere =
            StagedFile { url: "s3://lake/x".into(), ..staged(1, FileFormat::Parquet, &["id"]) };
        let error = parts(&copy(vec![elsewhere])).unwrap_err();
        assert!(error.hint().unwrap().contains("gs://"), "{error:?}");
        let values = Job::Load(LoadJob { file: file(1, FileFormat::InsertValues, &["id"]) });
        assert_eq!(parts(&values).unwrap_err().kind(), ErrorKind::Unsupported);
        let mut long = file(1, FileFormat::Jsonl, &["id"]);
        (long.gzip, long.bytes) = (true, COMPRESSED_BYTES + 1);
        assert!(parts(&Job::Load(LoadJob { file: long })).is_err());
    }

    #[test]
    fn ids_are_those_of_the_rows_and_not_of_who_loads_them() {
        let job = copy(vec![staged(1, FileFormat::Parquet, &["id"])]);
        let stem = |load: &Load, part| job_stem(&place(), load, &job, part);
        assert_eq!(stem(&load(1), None), stem(&load(2), None));
        assert_ne!(stem(&load(1), Some(0)), stem(&load(2), Some(0)));
        assert_ne!(stem(&load(1), Some(0)), stem(&load(1), Some(1)));
        let direct = |load: &Load, part| direct_stem(&place(), load, &job, part);
        assert_eq!(direct(&load(1), 0), direct(&load(2), 0), "a part that is there stays there");
        assert_ne!(direct(&load(1), 0), direct(&load(1), 1));
        assert_ne!(direct(&load(1), 0), stem(&load(1), None));
        let other = Load { digest: Sha256Hex::of(b"x"), ..load(1) };
        assert_ne!(stem(&load(1), None), stem(&other, None));
        // REST reference, `JobReference`: letters, digits, underscores and dashes.
        insta::assert_snapshot!(stem(&load(1), None));
    }
}
