//! The statements that read files.

use std::collections::BTreeMap;
use std::path::Path;

use transload_core::sql::{Dialect, InsertFile, Statement, Step, Target, column_list};
use transload_core::{
    Column, DataFile, DataType, Error, ErrorKind, FileFormat, Job, JobContext, LocalFile, Result,
};

/// The longest value that a text file may hold: a limit that DuckDB wants to be told, and that costs memory.
const LONGEST_LINE: u64 = 64 << 20;

/// The steps that bring the files of these jobs into the target: one for all files of a kind.
pub(crate) fn load(
    dialect: &dyn Dialect,
    target: &Target<'_>,
    jobs: &[Job],
    context: &JobContext<'_>,
) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for ((format, gzip, _), files) in group(context.local_files(jobs)?) {
        let name = format!("load {}", target.table.name);
        if format == FileFormat::InsertValues {
            steps.extend(files.into_iter().map(|LocalFile { file, path }| {
                let work = InsertFile { path, gzip, into: target.name.to_owned() };
                Step::rows(name.clone(), work, file.rows)
            }));
            continue;
        }
        let columns = columns_of(target, &files)?;
        let source = match format {
            FileFormat::Parquet => read_parquet(dialect, &files)?,
            FileFormat::Jsonl => read_json(dialect, &files, &columns, gzip)?,
            FileFormat::Csv => read_csv(dialect, &files, gzip)?,
            FileFormat::InsertValues => continue,
        };
        let mut values = Vec::new();
        for column in &columns {
            values.push(value(dialect, column, format)?);
        }
        let statement = Statement::new(format!(
            "INSERT INTO {} ({})\nSELECT {}\nFROM {source}",
            target.name,
            column_list(dialect, columns.iter().map(|column| column.name.as_str())),
            values.join(", "),
        ));
        let rows = files.iter().map(|local| local.file.rows).sum();
        steps.push(Step::rows(name, statement, rows));
    }
    Ok(steps)
}

/// Files that one statement can read: of one format and compression, and for CSV, where values are found by their
/// place, with the same columns.
type Kind<'a> = (FileFormat, bool, &'a [String]);

fn group(files: Vec<LocalFile<'_>>) -> Vec<(Kind<'_>, Vec<LocalFile<'_>>)> {
    let mut groups: Vec<(Kind<'_>, Vec<LocalFile<'_>>)> = Vec::new();
    for local in files {
        let file = local.file;
        let columns: &[String] = if file.format == FileFormat::Csv { &file.columns } else { &[] };
        let kind = (file.format, file.gzip, columns);
        match groups.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, group)) => group.push(local),
            None => groups.push((kind, vec![local])),
        }
    }
    groups
}

/// The columns that any of the files has, in the order of the table. The others become NULL.
fn columns_of<'t>(target: &Target<'t>, files: &[LocalFile<'_>]) -> Result<Vec<&'t Column>> {
    let mut in_files: BTreeMap<&str, &DataFile> = BTreeMap::new();
    for local in files {
        in_files.extend(local.file.columns.iter().map(|column| (column.as_str(), local.file)));
    }
    let mut columns = Vec::new();
    for column in target.table.complete_columns() {
        if in_files.remove(column.name.as_str()).is_some() {
            columns.push(column);
        }
    }
    match in_files.first_key_value() {
        None if !columns.is_empty() => Ok(columns),
        None => Err(Error::new(ErrorKind::Bug, "the files of a table have no columns")
            .with("table", &target.table.name)),
        Some((column, file)) => {
            Err(Error::new(ErrorKind::Bug, "a file has a column that its table has not")
                .with("table", &target.table.name)
                .with("column", column)
                .with("file", &file.name))
        }
    }
}

fn read_parquet(dialect: &dyn Dialect, files: &[LocalFile<'_>]) -> Result<String> {
    Ok(format!(
        "read_parquet({}, union_by_name = true, hive_partitioning = false)",
        paths(dialect, files)?
    ))
}

fn read_json(
    dialect: &dyn Dialect,
    files: &[LocalFile<'_>],
    columns: &[&Column],
    gzip: bool,
) -> Result<String> {
    let mut types = Vec::new();
    for column in columns {
        types.push(format!("{}: '{}'", dialect.literal(&column.name), json_type(column)));
    }
    Ok(format!(
        "read_json({}, format = 'newline_delimited', columns = {{{}}}, compression = '{}', \
         maximum_object_size = {LONGEST_LINE}, hive_partitioning = false)",
        paths(dialect, files)?,
        types.join(", "),
        if gzip { "gzip" } else { "uncompressed" },
    ))
}

/// The type in which a value is taken from JSON: what is not exact in a JSON value stays as its text.
fn json_type(column: &Column) -> &'static str {
    match column.data_type {
        Some(DataType::Double) => "DOUBLE",
        Some(DataType::Bool) => "BOOLEAN",
        Some(DataType::Bigint) if column.precision.unwrap_or(64) <= 64 => "BIGINT",
        // Numbers with more than 17 digits would go through a double.
        Some(DataType::Bigint | DataType::Decimal | DataType::Wei | DataType::Json) => "JSON",
        _ => "VARCHAR",
    }
}

fn read_csv(dialect: &dyn Dialect, files: &[LocalFile<'_>], gzip: bool) -> Result<String> {
    let columns = files.first().map(|local| local.file.columns.as_slice()).unwrap_or_default();
    let types: Vec<String> =
        columns.iter().map(|column| format!("{}: 'VARCHAR'", dialect.literal(column))).collect();
    let largest = files.iter().map(|local| local.file.bytes).max().unwrap_or_default();
    // Small files cannot hold a long line, and buffers of this size cost time.
    let buffers = if gzip || largest > 2_000_000 {
        format!(", max_line_size = {LONGEST_LINE}, buffer_size = {}", 2 * LONGEST_LINE)
    } else {
        String::new()
    };
    // An empty field is NULL, and one that is empty in quotes is an empty text.
    Ok(format!(
        "read_csv({}, columns = {{{}}}, auto_detect = false, header = true, delim = ',', quote = '\"', \
         escape = '\"', new_line = '\\n', nullstr = '', allow_quoted_nulls = false, strict_mode = true, \
         compression = '{}', hive_partitioning = false{buffers})",
        paths(dialect, files)?,
        types.join(", "),
        if gzip { "gzip" } else { "none" },
    ))
}

/// The expression that takes a column from a file and makes its type of it.
fn value(dialect: &dyn Dialect, column: &Column, format: FileFormat) -> Result<String> {
    let name = dialect.quote(&column.name);
    let typed = dialect.type_name(column)?;
    Ok(match (format, column.data_type) {
        (FileFormat::Jsonl | FileFormat::Csv, Some(DataType::Binary)) => {
            format!("from_base64({name})")
        }
        (FileFormat::Jsonl, Some(DataType::Json)) => name,
        // The text of a JSON number or of what stands in its quotes.
        (FileFormat::Jsonl, _) if json_type(column) == "JSON" => {
            format!("CAST({name} ->> '$' AS {typed})")
        }
        (FileFormat::Jsonl | FileFormat::Csv, Some(DataType::Text)) => name,
        _ => format!("CAST({name} AS {typed})"),
    })
}

/// A list of paths as literals.
fn paths(dialect: &dyn Dialect, files: &[LocalFile<'_>]) -> Result<String> {
    let mut literals = Vec::new();
    for local in files {
        literals.push(dialect.literal(&pattern(&local.path)?));
    }
    Ok(format!("[{}]", literals.join(", ")))
}

/// The pattern that only this path matches: DuckDB takes `[`, `*` and `?` in a path for wildcards, and where the folder
/// is called `[a]` reads the file in `a` instead.
fn pattern(path: &Path) -> Result<String> {
    let refused = |reason: &str| {
        Error::new(ErrorKind::Configuration, "DuckDB cannot read from this folder")
            .with("path", path.display())
            .with("reason", reason)
    };
    let absolute = std::path::absolute(path)
        .map_err(|error| refused("it has no absolute path").with_source(error))?;
    let text = absolute.to_str().ok_or_else(|| refused("its name is not UTF-8"))?;
    let wild = text.contains(['[', '*', '?']);
    if wild && cfg!(unix) && text.contains('\\') {
        return Err(refused("its name holds both a backslash and a wildcard"));
    }
    Ok(text.replace('[', "[[]").replace('*', "[*]").replace('?', "[?]"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use transload_core::sql::Transaction;
    use transload_core::{
        Dataset, Epoch, Load, LoadId, LoadJob, Schema, Sha256Hex, StagingAccess, Table,
        WriteDisposition,
    };

    use super::*;
    use crate::dialect::DuckDbDialect;

    fn table() -> Table {
        let mut table = Table::root("it's", WriteDisposition::Append);
        for data_type in DataType::ALL {
            table.put(Column::new(data_type.as_str(), data_type));
        }
        table
    }

    fn job(number: usize, format: FileFormat, gzip: bool, columns: &[&str]) -> Job {
        let sha256 = Sha256Hex::of(b"");
        let name = DataFile::name_of(number, &sha256, format, gzip);
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        let file = DataFile {
            table: "it's".into(),
            name,
            format,
            gzip,
            rows: 3,
            bytes: 100,
            sha256,
            columns,
            bounds: Default::default(),
            longest: Default::default(),
        };
        Job::Load(LoadJob { file })
    }

    fn steps(jobs: &[Job]) -> Result<String> {
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
            folder: Path::new("/it's/[odd]"),
            access: &StagingAccess::None,
            on_bytes: &|_| (),
        };
        let target = Target { name: "\"d\".\"it's\"", table: &table() };
        let steps = super::load(&DuckDbDialect, &target, jobs, &context)?;
        Ok(Transaction { steps }.to_string())
    }

    fn all() -> Vec<&'static str> {
        DataType::ALL.iter().map(|data_type| data_type.as_str()).collect()
    }

    #[test]
    fn parquet_files_are_read_by_one_statement() {
        let jobs = [
            job(1, FileFormat::Parquet, false, &["time", "json", "wei"]),
            job(2, FileFormat::Parquet, false, &["text"]),
        ];
        insta::assert_snapshot!(steps(&jobs).unwrap());
    }

    #[test]
    fn text_files_are_read_by_kind() {
        let jobs = [
            job(1, FileFormat::Jsonl, false, &all()),
            job(2, FileFormat::Jsonl, true, &["text"]),
            job(3, FileFormat::Csv, true, &all()),
            job(4, FileFormat::Csv, true, &["text"]),
            job(5, FileFormat::InsertValues, false, &["text"]),
        ];
        insta::assert_snapshot!(steps(&jobs).unwrap());
    }

    #[test]
    fn a_column_that_the_table_has_not_is_refused() {
        let error = steps(&[job(1, FileFormat::Parquet, false, &["text", "other"])]).unwrap_err();
        assert_eq!((error.kind(), error.context("column")), (ErrorKind::Bug, Some("other")));
        assert!(steps(&[job(1, FileFormat::Parquet, false, &[])]).is_err());
    }

    #[test]
    fn a_path_matches_itself_only() {
        let of = |path: &str| pattern(Path::new(path));
        assert_eq!(of("/a/[w]/x*?.parquet").unwrap(), "/a/[[]w]/x[*][?].parquet");
        assert_eq!(of("/a/b").unwrap(), "/a/b");
        assert_eq!(of("/a\\b/*").unwrap_err().kind(), ErrorKind::Configuration);
    }
}
