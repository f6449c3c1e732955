//! The statement that brings files: one `COPY INTO` a table and load. Pages are those of the Snowflake documentation.

use transload_core::sql::{Statement, Step, Target};
use transload_core::{
    AccessKind, DataFile, Error, ErrorKind, FileFormat, Job, JobContext, Result, StagingAccess,
    StorageCredentials,
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
    let statement =
        statement.sql("MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE\nON_ERROR = ABORT_STATEMENT");
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
        (StagingAccess::Credentials(_), _, _) => {
            Err(Error::new(ErrorKind::Unsupported, "keys open S3 alone")
                .with("url", url)
                .with_hint("set `stage_name` or `storage_integration`"))
        }
        _ => Err(bug("COPY was given no way into the bucket", target)),
    }
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
