//! The statement that brings files: one `COPY INTO` a table and load. Pages are those of the Snowflake documentation.

use transload_core::sql::{Statement, Step, Target};
use transload_core::{
    AccessKind, DataFile, Error, ErrorKind, FileFormat, Job, JobContext, Result, SharedAccess,
    StagingAccess, StorageCredentials,
};

use crate::dialect::{SnowflakeDialect, literal};
use crate::stage;

/// Files that a COPY may name. "COPY INTO <table>", FILES.
const MOST_FILES: usize = 1000;

/// How files are copied, as it is configured.
#[derive(Clone, Debug, Default)]
pub(crate) struct CopyRules {
    /// The external stage of the bucket.
    pub(crate) stage: Option<String>,
    /// The storage integration that opens the bucket.
    pub(crate) integration: Option<String>,
    /// Whether Parquet is read by the vectorised scanner.
    pub(crate) vectorized: bool,
}

/// The steps that bring the files of these jobs into the target: one.
pub(crate) fn load(
    dialect: &SnowflakeDialect,
    target: &Target<'_>,
    jobs: &[Job],
    context: &JobContext<'_>,
) -> Result<Vec<Step>> {
    let mut files: Vec<(String, &DataFile)> = Vec::new();
    let mut urls: Vec<&str> = Vec::new();
    for job in jobs {
        match job {
            Job::Load(job) => files.push((stage::path(context.load, &job.file), &job.file)),
            Job::Copy(job) => {
                files.extend(job.files.iter().map(|staged| (staged.key.clone(), &staged.file)));
                urls.extend(job.files.iter().map(|staged| staged.url.as_str()));
            }
            other => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "Snowflake copies files and nothing else",
                )
                .with("job", other.id()));
            }
        }
    }
    let Some((first, file)) = files.first() else { return Ok(Vec::new()) };
    if !urls.is_empty() && urls.len() != files.len() {
        return Err(bug("a table has staged files and local ones", target));
    }
    check_columns(target, &files)?;
    if files.iter().any(|(key, _)| self::folder(key) != self::folder(first)) {
        return Err(bug("the files of a table lie in more than one folder", target));
    }
    let folder = folder(first);
    let statement = Statement::new(format!("COPY INTO {}\nFROM ", target.name));
    let statement = match urls.first() {
        None => {
            let stage = stage::name(dialect, context.load);
            statement.sql(&literal(&format!("@{stage}/{folder}")))
        }
        Some(url) => from_bucket(statement, dialect, target, url, folder, context.access)?,
    };
    let rows = files.iter().map(|(_, file)| file.rows).sum();
    let statement =
        statement.sql("\n").sql(&list(&files, folder)).sql(&format(dialect, file, &files)?);
    // "COPY INTO <table>", MATCH_BY_COLUMN_NAME. A file has the names of the schema, which are stored in upper case, or as
    // they are.
    let names = if dialect.case_sensitive { "CASE_SENSITIVE" } else { "CASE_INSENSITIVE" };
    let statement =
        statement.sql(&format!("MATCH_BY_COLUMN_NAME = {names}\nON_ERROR = ABORT_STATEMENT"));
    Ok(vec![Step::rows(format!("load {}", target.table.name), statement, rows)])
}

/// The names of the files in their folder, or nothing where there are too many: then the folder is read, which is of this
/// table and load alone, and another number of rows than theirs is refused.
fn list(files: &[(String, &DataFile)], folder: &str) -> String {
    if files.len() > MOST_FILES {
        return String::new();
    }
    let names: Vec<String> = files.iter().map(|(key, _)| literal(&key[folder.len()..])).collect();
    format!("FILES = ({})\n", names.join(", "))
}

/// The folder of a key, with the `/` behind it.
fn folder(key: &str) -> &str {
    key.rfind('/').map_or("", |at| &key[..=at])
}

/// Adds where the folder of a bucket is, and what opens it.
fn from_bucket(
    statement: Statement,
    dialect: &SnowflakeDialect,
    target: &Target<'_>,
    url: &str,
    key: &str,
    access: &StagingAccess,
) -> Result<Statement> {
    let rules = &dialect.copy;
    match (access, &rules.stage, &rules.integration) {
        // The stage begins where the storage does, and keys count from there.
        (StagingAccess::Configured(AccessKind::Integration), Some(stage), _) => {
            Ok(statement.sql(&literal(&format!("@{stage}/{key}"))))
        }
        (StagingAccess::Configured(AccessKind::Integration), None, Some(integration)) => {
            // Snowflake's own name of the scheme.
            let url = match folder(url).strip_prefix("gs://") {
                Some(rest) => format!("gcs://{rest}"),
                None => folder(url).to_owned(),
            };
            let text = format!("{}\nSTORAGE_INTEGRATION = {integration}", literal(&url));
            Ok(statement.sql(&text))
        }
        (StagingAccess::Credentials(credentials), _, _) if url.starts_with("s3://") => {
            let statement = statement.sql(&format!("{}\n", literal(folder(url))));
            Ok(with_keys(statement, credentials))
        }
        (StagingAccess::SharedAccess(access), _, _) => {
            let Some(place) = container(url, access) else {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "Snowflake reads containers at the hosts of Azure alone",
                )
                .with("url", url)
                .with("host", &access.host)
                .with_hint("take a container of Azure itself, or set `stage_name`"));
            };
            let signature = literal(&format!("?{}", access.token.expose()));
            let text =
                format!("{}\nCREDENTIALS = (AZURE_SAS_TOKEN = {signature})", literal(&place));
            Ok(statement.sql(&text).with_secret(access.token.clone()))
        }
        (StagingAccess::Credentials(_), _, _) => {
            Err(Error::new(ErrorKind::Unsupported, "keys open S3 alone")
                .with("url", url)
                .with_hint("set `stage_name` or `storage_integration`"))
        }
        _ => Err(bug("COPY was given no way into the bucket", target)),
    }
}

/// The folder of a file in a container, as Snowflake calls it: `azure://account.blob.core.windows.net/container/path/`. "COPY
/// INTO <table>", external locations.
fn container(url: &str, access: &SharedAccess) -> Option<String> {
    let (account, domain) = access.host.split_once('.')?;
    let is_plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
    };
    let is_azure = is_plain(account) && domain.starts_with("blob.") && is_plain(domain);
    let (_, path) = folder(url).split_once("://")?;
    let (container, path) = path.split_once('/')?;
    // `abfss://container@account.…` names the account besides.
    let container = container.split('@').next().unwrap_or(container);
    is_azure.then(|| format!("azure://{}/{container}/{path}", access.host))
}

/// Adds the keys to a bucket. "COPY INTO <table>", cloudProviderParams.
fn with_keys(statement: Statement, credentials: &StorageCredentials) -> Statement {
    let StorageCredentials { access_key_id, secret_access_key, session_token, .. } = credentials;
    let mut text = format!(
        "CREDENTIALS = (AWS_KEY_ID = {} AWS_SECRET_KEY = {}",
        literal(access_key_id),
        literal(secret_access_key.expose())
    );
    let mut secrets = vec![secret_access_key.clone()];
    if let Some(token) = session_token {
        text.push_str(&format!(" AWS_TOKEN = {}", literal(token.expose())));
        secrets.push(token.clone());
    }
    text.push(')');
    secrets.into_iter().fold(statement.sql(&text), Statement::with_secret)
}

/// How the files are to be read. "COPY INTO <table>", formatTypeOptions. `NULL_IF` is empty everywhere: by default the text
/// `\N` becomes NULL.
fn format(
    dialect: &SnowflakeDialect,
    first: &DataFile,
    files: &[(String, &DataFile)],
) -> Result<String> {
    if files.iter().any(|(_, file)| file.format != first.format) {
        return Err(Error::new(ErrorKind::Bug, "the files of a table have more than one format")
            .with("table", &first.table));
    }
    let compression = match first.gzip {
        _ if files.iter().any(|(_, file)| file.gzip != first.gzip) => "AUTO",
        true => "GZIP",
        false => "NONE",
    };
    let options = match first.format {
        FileFormat::Parquet => {
            let vectorized = match dialect.copy.vectorized {
                true => " USE_VECTORIZED_SCANNER = TRUE",
                false => "",
            };
            format!(
                "TYPE = PARQUET BINARY_AS_TEXT = FALSE USE_LOGICAL_TYPE = TRUE{vectorized} NULL_IF = ()"
            )
        }
        FileFormat::Jsonl => {
            format!("TYPE = JSON COMPRESSION = {compression} BINARY_FORMAT = BASE64 NULL_IF = ()")
        }
        FileFormat::Csv => format!(
            "TYPE = CSV COMPRESSION = {compression} PARSE_HEADER = TRUE FIELD_OPTIONALLY_ENCLOSED_BY = '\"' \
             ESCAPE_UNENCLOSED_FIELD = NONE EMPTY_FIELD_AS_NULL = TRUE BINARY_FORMAT = BASE64 \
             ERROR_ON_COLUMN_COUNT_MISMATCH = FALSE NULL_IF = ()"
        ),
        FileFormat::InsertValues => {
            return Err(Error::new(ErrorKind::Unsupported, "COPY does not take this format")
                .with("format", first.format));
        }
    };
    Ok(format!("FILE_FORMAT = ({options})\n"))
}

/// Every column of the files is one of the table: COPY would leave out the others, and say nothing.
fn check_columns(target: &Target<'_>, files: &[(String, &DataFile)]) -> Result<()> {
    let mut columns = files.iter().flat_map(|(_, file)| &file.columns);
    match columns.find(|name| !target.table.columns.contains_key(*name)) {
        Some(column) => {
            Err(bug("a file has a column that its table has not", target).with("column", column))
        }
        None => Ok(()),
    }
}

fn bug(message: &'static str, target: &Target<'_>) -> Error {
    Error::new(ErrorKind::Bug, message).with("table", &target.table.name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use transload_core::sql::Transaction;
    use transload_core::{
        Column, CopyJob, DataType, Dataset, Epoch, Load, LoadId, LoadJob, Schema, Sha256Hex,
        StagedFile, Table, WriteDisposition,
    };

    use super::*;
    use crate::dialect::tests::{case_sensitive, dialect};

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
            session_token: token.then(|| "token-canary'==".into()),
            region: Some("eu-west-1".into()),
            endpoint: None,
        })
    }

    fn steps(
        dialect: &SnowflakeDialect,
        jobs: &[Job],
        access: &StagingAccess,
    ) -> Result<Vec<Step>> {
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
        let target = Target { name: "\"RAW\".\"D\".\"IT'S\"", table: &table() };
        super::load(dialect, &target, jobs, &context)
    }

    fn shown(dialect: &SnowflakeDialect, jobs: &[Job], access: &StagingAccess) -> String {
        Transaction { steps: steps(dialect, jobs, access).unwrap() }.to_string()
    }

    fn with(stage: Option<&str>, integration: Option<&str>, vectorized: bool) -> SnowflakeDialect {
        let rules = CopyRules {
            stage: stage.map(str::to_owned),
            integration: integration.map(str::to_owned),
            vectorized,
        };
        SnowflakeDialect { copy: Arc::new(rules), ..dialect() }
    }

    fn copies(files: Vec<StagedFile>) -> Vec<Job> {
        vec![Job::Copy(CopyJob { table: "it's".into(), files })]
    }

    #[test]
    fn every_format_and_every_way_in_has_its_statement() {
        let integration = StagingAccess::Configured(AccessKind::Integration);
        let parquet =
            |number, columns: &[&str]| staged(number, FileFormat::Parquet, false, columns);
        let signature = |host: &str| {
            StagingAccess::SharedAccess(SharedAccess {
                host: host.into(),
                token: "sv=1&sp=rl&sig=canary%3D'".into(),
            })
        };
        let in_azure = |begins: &str| {
            let mut azure = parquet(1, &["text"]);
            azure.url = azure.url.replace("s3://lake", begins);
            copies(vec![azure])
        };
        let mut gcs = parquet(1, &["text"]);
        gcs.url = gcs.url.replace("s3://", "gs://");
        let mut shown = String::new();
        for (dialect, jobs, access) in [
            (
                with(None, None, true),
                copies(vec![parquet(1, &["text", "wei"]), parquet(2, &["text"])]),
                credentials(false),
            ),
            (dialect(), copies(vec![parquet(1, &["text"])]), credentials(true)),
            (
                with(Some("RAW.PUBLIC.LAKE"), Some("IGNORED"), false),
                copies(vec![staged(1, FileFormat::Jsonl, true, &["json", "binary"])]),
                integration.clone(),
            ),
            (with(None, Some("LAKE"), false), copies(vec![gcs]), integration),
            (
                dialect(),
                copies(vec![
                    staged(1, FileFormat::Csv, true, &["text"]),
                    staged(2, FileFormat::Csv, false, &["text", "time"]),
                ]),
                credentials(false),
            ),
            (
                dialect(),
                vec![
                    Job::Load(LoadJob { file: staged(1, FileFormat::Jsonl, true, &["json"]).file }),
                    Job::Load(LoadJob { file: staged(2, FileFormat::Jsonl, true, &["json"]).file }),
                ],
                StagingAccess::None,
            ),
            (dialect(), in_azure("az://lake"), signature("acc.blob.core.windows.net")),
            (
                dialect(),
                in_azure("abfss://lake@acc.dfs.core.chinacloudapi.cn"),
                signature("acc.blob.core.chinacloudapi.cn"),
            ),
            (
                with(Some("RAW.PUBLIC.LAKE"), None, false),
                in_azure("az://lake"),
                StagingAccess::Configured(AccessKind::Integration),
            ),
            (
                case_sensitive(),
                copies(vec![staged(1, FileFormat::Csv, false, &["text"])]),
                credentials(false),
            ),
        ] {
            shown.push_str(&self::shown(&dialect, &jobs, &access));
            shown.push('\n');
        }
        assert!(!shown.contains("canary"));
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn more_files_than_a_copy_may_name_are_read_by_their_folder() {
        let files = |count| {
            (1..=count)
                .map(|number| staged(number, FileFormat::Parquet, false, &["text"]))
                .collect()
        };
        let named = shown(&dialect(), &copies(files(1000)), &credentials(false));
        let whole = shown(&dialect(), &copies(files(1001)), &credentials(false));
        assert_eq!(named.matches(".parquet'").count(), 1000);
        assert!(!whole.contains("FILES") && whole.contains("3003 rows"), "{whole}");
        assert!(whole.contains("FROM 's3://lake/stage/d/p/1/it%27s/'"), "{whole}");
    }

    #[test]
    fn credentials_are_sent_and_never_shown() {
        let jobs = copies(vec![staged(1, FileFormat::Parquet, false, &["text"])]);
        let steps = steps(&dialect(), &jobs, &credentials(true)).unwrap();
        let transload_core::sql::Work::Statement(statement) = &steps[0].work else {
            panic!("a statement")
        };
        let (sent, _) = statement.render(&dialect());
        assert!(sent.contains(CANARY) && sent.contains("AWS_TOKEN = 'token-canary''=='"), "{sent}");
        assert!(!format!("{statement} {statement:?}").contains("canary"));
    }

    #[test]
    fn what_cannot_be_copied_is_refused() {
        let parquet = || copies(vec![staged(1, FileFormat::Parquet, false, &["text"])]);
        let unknown = copies(vec![staged(1, FileFormat::Parquet, false, &["unknown"])]);
        let mut azure = staged(1, FileFormat::Parquet, false, &["text"]);
        azure.url = "az://container/b.parquet".into();
        let mixed = copies(vec![
            staged(1, FileFormat::Parquet, false, &["text"]),
            staged(2, FileFormat::Jsonl, false, &["text"]),
        ]);
        let mut elsewhere = staged(2, FileFormat::Parquet, false, &["text"]);
        elsewhere.key = "d/p/2/it%27s/a.parquet".into();
        let apart = copies(vec![staged(1, FileFormat::Parquet, false, &["text"]), elsewhere]);
        for (jobs, access, kind) in [
            (parquet(), StagingAccess::None, ErrorKind::Bug),
            (parquet(), StagingAccess::Configured(AccessKind::Integration), ErrorKind::Bug),
            (unknown, credentials(false), ErrorKind::Bug),
            (mixed, credentials(false), ErrorKind::Bug),
            (apart, credentials(false), ErrorKind::Bug),
            (copies(vec![azure.clone()]), credentials(false), ErrorKind::Unsupported),
            (
                copies(vec![azure]),
                StagingAccess::SharedAccess(SharedAccess {
                    host: "127.0.0.1:10000/acc".into(),
                    token: "sig=canary".into(),
                }),
                ErrorKind::Unsupported,
            ),
            (
                copies(vec![staged(1, FileFormat::InsertValues, false, &["text"])]),
                credentials(false),
                ErrorKind::Unsupported,
            ),
        ] {
            assert_eq!(steps(&dialect(), &jobs, &access).unwrap_err().kind(), kind);
        }
    }
}
