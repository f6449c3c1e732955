//! The statements that bring files: COPY from S3, and `INSERT` of `insert_values` files.
//!
//! "Guide" is the Amazon Redshift Database Developer Guide.

use transload_core::sql::{InsertFile, Statement, Step, Target, column_list};
use transload_core::{
    AccessKind, Column, CopyJob, CopyList, DataType, Error, ErrorKind, FileFormat, Job, JobContext,
    Result, Secret, StagingAccess, StorageCredentials,
};

use crate::dialect::literal;
use crate::options::CopyOptions;

/// How files are copied, as it is configured.
#[derive(Clone, Debug, Default)]
pub(crate) struct CopyRules {
    /// The role that reads the bucket: `default`, or ARNs.
    pub(crate) role: Option<String>,
    /// The region of the bucket, where it is not the cluster's.
    pub(crate) region: Option<String>,
    /// What the user adds.
    pub(crate) options: CopyOptions,
    /// Whether an empty text of a CSV may become NULL.
    pub(crate) csv_empty_as_null: bool,
}

impl CopyRules {
    /// Whether COPY takes files of this format, as it is configured: not Parquet from another region or with options that
    /// columnar formats do not take (Guide, "COPY from columnar data formats"), and not CSV, which does not tell an empty
    /// text from NULL (Guide, "Data conversion parameters"), unless that is agreed to.
    pub(crate) fn takes(&self, format: FileFormat) -> bool {
        match format {
            FileFormat::Parquet => self.region.is_none() && self.options.fit(format),
            FileFormat::Jsonl => true,
            FileFormat::Csv => self.csv_empty_as_null,
            FileFormat::InsertValues => false,
        }
    }
}

/// The steps that bring the files of these jobs into the target.
pub(crate) fn load(
    dialect: &crate::dialect::RedshiftDialect,
    target: &Target<'_>,
    jobs: &[Job],
    context: &JobContext<'_>,
) -> Result<Vec<Step>> {
    let name = format!("load {}", target.table.name);
    let mut steps = Vec::new();
    for job in jobs {
        match job {
            Job::Load(job) if job.file.format == FileFormat::InsertValues => {
                let file = &job.file;
                let path = context.folder.join(file.path());
                let work = InsertFile { path, gzip: file.gzip, into: target.name.to_owned() };
                steps.push(Step::rows(name.clone(), work, file.rows));
            }
            Job::Copy(job) => {
                for list in CopyList::of(job)? {
                    let statement = copy(dialect, target, job, &list, context.access)?;
                    steps.push(Step::rows(name.clone(), statement, list.rows()));
                }
            }
            other => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "Redshift reads files from S3, and insert_values files",
                )
                .with("job", other.id()));
            }
        }
    }
    Ok(steps)
}

/// One COPY. Guide, "COPY" and "Using a manifest to specify data files".
fn copy(
    dialect: &crate::dialect::RedshiftDialect,
    target: &Target<'_>,
    job: &CopyJob,
    list: &CopyList<'_>,
    access: &StagingAccess,
) -> Result<Statement> {
    let rules = &dialect.copy;
    let columns = columns_of(target, list)?;
    let Some(first) = list.files.first().map(|staged| &staged.file) else {
        return Err(Error::new(ErrorKind::Bug, "a list without files").with("table", &job.table));
    };
    if !list.url.starts_with("s3://") {
        return Err(
            Error::new(ErrorKind::Unsupported, "COPY reads from S3 only").with("list", &list.url)
        );
    }
    let format = first.format;
    if !rules.takes(format) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "COPY does not take this format, as it is configured",
        )
        .with("format", format));
    }
    // In the order of the files: COPY finds the values of columnar files and of CSV by their place.
    let names = column_list(dialect, list.columns().iter().map(String::as_str));
    let statement =
        Statement::new(format!("COPY {} ({names})\nFROM {}\n", target.name, literal(&list.url)));
    let (statement, known_region) = authorized(statement, rules, access)?;
    let mut rest = vec!["MANIFEST".to_owned()];
    match format {
        FileFormat::Parquet => {
            rest.push("FORMAT AS PARQUET".to_owned());
            if columns.iter().any(|column| column.data_type == Some(DataType::Json)) {
                // Guide, "COPY from columnar data formats": needed where a column is SUPER.
                rest.push("SERIALIZETOJSON".to_owned());
            }
        }
        FileFormat::Jsonl => {
            rest.push("FORMAT AS JSON 'auto'".to_owned());
            // Guide, "Using automatic recognition with DATEFORMAT and TIMEFORMAT".
            rest.push("DATEFORMAT 'auto'\nTIMEFORMAT 'auto'".to_owned());
        }
        FileFormat::Csv => {
            rest.push("FORMAT AS CSV\nIGNOREHEADER 1".to_owned());
            // Asked for by `csv_empty_as_null`: without it the format is not claimed.
            rest.push("EMPTYASNULL".to_owned());
            rest.push("DATEFORMAT 'auto'\nTIMEFORMAT 'auto'".to_owned());
        }
        // Refused above.
        FileFormat::InsertValues => {}
    }
    let complete = |columns: &[String]| columns.len() == list.columns().len();
    if format != FileFormat::Jsonl
        && !list.files.iter().all(|staged| complete(&staged.file.columns))
    {
        // Files from before the last columns were seen. Guide, "Data conversion parameters".
        rest.push("FILLRECORD".to_owned());
    }
    if first.gzip {
        rest.push("GZIP".to_owned());
    }
    // Guide, "COPY from columnar data formats": REGION is refused there.
    match rules.region.as_deref().or(known_region.as_deref()) {
        Some(region) if format != FileFormat::Parquet => {
            rest.push(format!("REGION {}", literal(region)));
        }
        _ => {}
    }
    rest.extend(rules.options.texts().map(str::to_owned));
    Ok(statement.sql(&format!("\n{}", rest.join("\n"))))
}

/// Adds who reads the bucket, and says in which region it is, where that is known. Guide, "Authorization parameters".
fn authorized(
    statement: Statement,
    rules: &CopyRules,
    access: &StagingAccess,
) -> Result<(Statement, Option<String>)> {
    match (access, rules.role.as_deref()) {
        (StagingAccess::Configured(AccessKind::Role), Some("default")) => {
            Ok((statement.sql("IAM_ROLE default"), None))
        }
        (StagingAccess::Configured(AccessKind::Role), Some(role)) => {
            Ok((statement.sql(&format!("IAM_ROLE {}", literal(role))), None))
        }
        (StagingAccess::Credentials(credentials), _) => {
            let StorageCredentials {
                access_key_id, secret_access_key, session_token, region, ..
            } = credentials;
            let mut text = format!(
                "aws_access_key_id={access_key_id};aws_secret_access_key={}",
                secret_access_key.expose()
            );
            let mut secrets = vec![secret_access_key.clone()];
            if let Some(token) = session_token {
                text.push_str(&format!(";token={}", token.expose()));
                secrets.push(token.clone());
            }
            // A semicolon would begin a value of its own.
            let parts = secrets.iter().map(Secret::expose).chain([access_key_id.as_str()]);
            if parts.into_iter().any(|part| part.contains(';') || part.is_empty()) {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    "the keys of the staging destination are none that COPY can take",
                )
                .with_hint("set `staging_iam_role`, or look at the keys again"));
            }
            let statement = statement.sql(&format!("CREDENTIALS {}", literal(&text)));
            let statement = secrets.into_iter().fold(statement, Statement::with_secret);
            Ok((statement, region.clone()))
        }
        _ => Err(Error::new(ErrorKind::Bug, "COPY was given no way into the bucket")),
    }
}

/// The columns of the longest file, each of which the table has.
fn columns_of<'t>(target: &Target<'t>, list: &CopyList<'_>) -> Result<Vec<&'t Column>> {
    let bug = |message: &'static str| {
        Error::new(ErrorKind::Bug, message).with("table", &target.table.name)
    };
    let mut columns = Vec::new();
    for name in list.columns() {
        let column = target.table.columns.get(name).ok_or_else(|| {
            bug("a file has a column that its table has not").with("column", name)
        })?;
        columns.push(column);
    }
    if columns.is_empty() { Err(bug("the files of a table have no columns")) } else { Ok(columns) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use transload_core::sql::Transaction;
    use transload_core::{
        DataFile, Dataset, Epoch, Load, LoadId, LoadJob, Schema, Sha256Hex, StagedFile, Table,
        WriteDisposition,
    };

    use super::*;
    use crate::dialect::RedshiftDialect;
    use crate::dialect::tests::dialect;

    const CANARY: &str = "wJalr/secret+canary";

    fn table() -> Table {
        let mut table = Table::root("it's", WriteDisposition::Append);
        for data_type in DataType::ALL {
            table.put(Column::new(data_type.as_str(), data_type));
        }
        table
    }

    fn staged(number: usize, format: FileFormat, gzip: bool, columns: &[&str]) -> StagedFile {
        let sha256 = Sha256Hex::of(b"");
        let name = DataFile::name_of(number, &sha256, format, gzip);
        StagedFile {
            key: format!("d/p/1/it%27s/{name}"),
            url: format!("s3://lake/stage/d/p/1/it%27s/{name}"),
            etag: None,
            file: DataFile {
                table: "it's".into(),
                name,
                format,
                gzip,
                rows: 3,
                bytes: 100,
                sha256,
                columns: columns.iter().map(|column| (*column).to_owned()).collect(),
                bounds: Default::default(),
                longest: Default::default(),
            },
        }
    }

    fn credentials(token: bool) -> StagingAccess {
        StagingAccess::Credentials(StorageCredentials {
            access_key_id: "AKIAEXAMPLE".into(),
            secret_access_key: CANARY.into(),
            session_token: token.then(|| "token-canary==".into()),
            region: Some("eu-west-1".into()),
            endpoint: None,
        })
    }

    fn steps(dialect: &RedshiftDialect, jobs: &[Job], access: &StagingAccess) -> Result<String> {
        let load = Load {
            load_id: LoadId::new("1"),
            pipeline: "p".into(),
            dataset: Dataset::new("d"),
            digest: Sha256Hex::of(b""),
            epoch: Epoch(1),
        };
        let text = r#"{"version":1,"engine_version":11,"name":"s","tables":{}}"#;
        let context = JobContext {
            load: &load,
            schema: &Schema::from_json(text).unwrap(),
            folder: Path::new("/package"),
            access,
            on_bytes: &|_| (),
        };
        let target = Target { name: "\"d\".\"it's\"", table: &table() };
        let steps = super::load(dialect, &target, jobs, &context)?;
        Ok(Transaction { steps }.to_string())
    }

    fn with_csv() -> RedshiftDialect {
        let rules = CopyRules { csv_empty_as_null: true, ..CopyRules::default() };
        RedshiftDialect { copy: Arc::new(rules), ..dialect() }
    }

    fn copies(files: Vec<StagedFile>) -> Vec<Job> {
        vec![Job::Copy(CopyJob { table: "it's".into(), files })]
    }

    #[test]
    fn every_format_and_every_way_in_has_its_statement() {
        let parquet =
            |number, columns: &[&str]| staged(number, FileFormat::Parquet, false, columns);
        let role = StagingAccess::Configured(AccessKind::Role);
        let with = |role: &str, options: &[&str]| {
            let options: Vec<String> = options.iter().map(|text| (*text).to_owned()).collect();
            let rules = CopyRules {
                role: Some(role.into()),
                region: None,
                options: CopyOptions::read(&options).unwrap(),
                csv_empty_as_null: false,
            };
            RedshiftDialect { copy: Arc::new(rules), ..dialect() }
        };
        let mut shown = String::new();
        for (dialect, files, access) in [
            (
                dialect(),
                vec![parquet(1, &["text", "wei"]), parquet(2, &["text", "wei"])],
                credentials(false),
            ),
            (
                dialect(),
                vec![parquet(1, &["json"]), parquet(2, &["json", "text"])],
                credentials(true),
            ),
            (
                with("arn:aws:iam::1:role/a,arn:aws:iam::2:role/b", &["STATUPDATE OFF"]),
                vec![parquet(1, &["text"])],
                role.clone(),
            ),
            (
                with("default", &["COMPUPDATE OFF"]),
                vec![staged(1, FileFormat::Jsonl, true, &["json", "date"])],
                role.clone(),
            ),
            (dialect(), vec![staged(1, FileFormat::Jsonl, false, &["json"])], credentials(false)),
            (
                with_csv(),
                vec![
                    staged(1, FileFormat::Csv, true, &["text"]),
                    staged(2, FileFormat::Csv, true, &["text", "time"]),
                ],
                credentials(false),
            ),
        ] {
            shown.push_str(&steps(&dialect, &copies(files), &access).unwrap());
            shown.push('\n');
        }
        assert!(!shown.contains("canary"));
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn credentials_are_sent_and_never_shown() {
        let job = CopyJob {
            table: "it's".into(),
            files: vec![staged(1, FileFormat::Parquet, false, &["text"])],
        };
        let lists = CopyList::of(&job).unwrap();
        let target = Target { name: "t", table: &table() };
        let statement = copy(&dialect(), &target, &job, &lists[0], &credentials(true)).unwrap();
        let (sent, _) = statement.render(&dialect());
        assert!(sent.contains(CANARY) && sent.contains("token=token-canary=="), "{sent}");
        assert!(!format!("{statement} {statement:?}").contains("canary"));
    }

    #[test]
    fn files_that_no_one_statement_can_read_have_one_each() {
        let files = vec![
            staged(1, FileFormat::Parquet, false, &["text", "date"]),
            staged(2, FileFormat::Parquet, false, &["date", "text"]),
        ];
        let shown = steps(&dialect(), &copies(files), &credentials(false)).unwrap();
        assert_eq!(shown.matches("COPY ").count(), 2);
    }

    #[test]
    fn insert_files_are_read_when_their_turn_comes() {
        let file = staged(1, FileFormat::InsertValues, true, &["text"]).file;
        let jobs = [Job::Load(LoadJob { file })];
        let shown = steps(&dialect(), &jobs, &StagingAccess::None).unwrap();
        assert!(shown.contains("INSERT INTO \"d\".\"it's\" VALUES …"), "{shown}");
    }

    #[test]
    fn what_cannot_be_copied_is_refused() {
        let parquet = || copies(vec![staged(1, FileFormat::Parquet, false, &["text"])]);
        let unknown = copies(vec![staged(1, FileFormat::Parquet, false, &["unknown"])]);
        let mut local = staged(1, FileFormat::Parquet, false, &["text"]);
        local.url = "file:///a/b.parquet".into();
        let mut odd = credentials(false);
        if let StagingAccess::Credentials(keys) = &mut odd {
            keys.secret_access_key = "a;b".into();
        }
        for (jobs, access, kind) in [
            (parquet(), StagingAccess::None, ErrorKind::Bug),
            (parquet(), StagingAccess::Configured(AccessKind::Role), ErrorKind::Bug),
            (unknown, credentials(false), ErrorKind::Bug),
            (copies(vec![local]), credentials(false), ErrorKind::Unsupported),
            (
                copies(vec![staged(1, FileFormat::Csv, false, &["text"])]),
                credentials(false),
                ErrorKind::Unsupported,
            ),
            (parquet(), odd, ErrorKind::Configuration),
        ] {
            assert_eq!(steps(&dialect(), &jobs, &access).unwrap_err().kind(), kind);
        }
    }
}
