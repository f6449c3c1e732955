//! How the rows of a table lie, and what else a table is made with: from the hints that dlt's adapter for BigQuery leaves.
//!
//! Hints are data of whoever wrote the schema: what they say is understood and written anew, never handed on as it is. Pages
//! are those of the BigQuery documentation.

use serde_json::Value;
use transload_core::{Column, DataType, Error, ErrorKind, Result, Table, WriteDisposition};

use crate::dialect::{literal, quoted};
use crate::labels::Labels;

/// Columns by which a table is clustered. "Introduction to clustered tables".
const CLUSTERED: usize = 4;

/// Ranges of a table that is partitioned by them. "Quotas and limits", partitioned tables.
const RANGES: i128 = 10_000;

const PARTITION: &str = "x-bigquery-partition";
const REQUIRE_FILTER: &str = "x-bigquery-require-partition-filter";
const PARTITION_DAYS: &str = "x-bigquery-partition-expiration-days";

/// What stands for the column in a template of dlt's.
const PLACEHOLDER: &str = "{column_name}";

/// Under this name dlt's adapter says which of its forms a partition has.
const FORM: &str = "_dlt_partition_spec_type";

/// Whether hints say what can be had.
///
/// # Errors
/// [`ErrorKind::Configuration`] where they do not.
pub(crate) fn check(table: &Table, labels: &Labels) -> Result<()> {
    clauses(table)?;
    options(table, labels)?;
    Ok(())
}

/// The clauses behind the columns: where rows lie.
///
/// # Errors
/// [`ErrorKind::Configuration`] for hints that say what cannot be.
pub(crate) fn clauses(table: &Table) -> Result<String> {
    let mut clauses = String::new();
    if let Some(partition) = partition(table)? {
        clauses.push_str(&format!(" PARTITION BY {partition}"));
    }
    let cluster = cluster(table)?;
    if !cluster.is_empty() {
        clauses.push_str(&format!(" CLUSTER BY {}", cluster.join(", ")));
    }
    Ok(clauses)
}

/// The options of a table: "Data definition language", `table_option_list`.
///
/// # Errors
/// As [`clauses`].
pub(crate) fn options(table: &Table, labels: &Labels) -> Result<String> {
    let text = |names: &[&str]| {
        let mut found = names.iter().filter_map(|name| table.hints.get(*name)?.as_str());
        found.next()
    };
    let mut options = Vec::new();
    if let Some(text) = text(&["x-bigquery-table-description", "description"]) {
        options.push(format!("description={}", literal(text)));
    }
    if let Some(text) = text(&["x-bigquery-table-expiration"]) {
        options.push(format!("expiration_timestamp=TIMESTAMP {}", literal(text)));
    }
    if let Some(days) = table.hints.get(PARTITION_DAYS).filter(|days| !days.is_null()) {
        let days = days.as_u64().filter(|days| *days > 0);
        let days =
            days.ok_or_else(|| refused(table, PARTITION_DAYS, "expected one day or more"))?;
        let by = partition(table)?.ok_or_else(|| not_partitioned(table, PARTITION_DAYS))?;
        if by.starts_with("RANGE_BUCKET") {
            return Err(refused(table, PARTITION_DAYS, "ranges of numbers have no time"));
        }
        options.push(format!("partition_expiration_days={days}"));
    }
    if table.hints.get(REQUIRE_FILTER) == Some(&Value::Bool(true)) {
        partition(table)?.ok_or_else(|| not_partitioned(table, REQUIRE_FILTER))?;
        if !matches!(table.write_disposition, None | Some(WriteDisposition::Append)) {
            let reason =
                "replacing and merging look at all partitions: expected the disposition `append`";
            return Err(refused(table, REQUIRE_FILTER, reason));
        }
        options.push("require_partition_filter=TRUE".to_owned());
    }
    if !labels.is_empty() {
        let pairs = labels.iter().map(|(k, v)| format!("({}, {})", literal(k), literal(v)));
        options.push(format!("labels=[{}]", pairs.collect::<Vec<_>>().join(", ")));
    }
    Ok(match options.is_empty() {
        true => String::new(),
        false => format!(" OPTIONS({})", options.join(", ")),
    })
}

/// The options of a column: "Data definition language", `column_option_list`.
pub(crate) fn column_options(column: &Column) -> String {
    let mut options = Vec::new();
    if let Some(text) = column.hints.get("description").and_then(|text| text.as_str()) {
        options.push(format!("description={}", literal(text)));
    }
    for (hint, mode) in [
        ("x-bigquery-round-half-even", "ROUND_HALF_EVEN"),
        ("x-bigquery-round-half-away-from-zero", "ROUND_HALF_AWAY_FROM_ZERO"),
    ] {
        if column.has_hint(hint) {
            options.push(format!("rounding_mode='{mode}'"));
        }
    }
    match options.is_empty() {
        true => String::new(),
        false => format!(" OPTIONS({})", options.join(", ")),
    }
}

fn cluster(table: &Table) -> Result<Vec<String>> {
    const LIST: &str = "x-bigquery-cluster-columns";
    if let Some(Value::Array(names)) = table.hints.get(LIST) {
        let column = |name: &Value| {
            let found = name.as_str().and_then(|name| table.columns.get(name));
            let found = found.filter(|column| column.data_type.is_some());
            let column = found.ok_or_else(|| {
                refused(table, LIST, "expected names of columns").with("found", name)
            })?;
            clustering(table, LIST, column)
        };
        return names.iter().take(CLUSTERED).map(column).collect();
    }
    let hinted = table.complete_columns().filter_map(|column| {
        let hint = ["cluster", "x-bigquery-cluster"].into_iter().find(|hint| column.has_hint(hint));
        Some((hint?, column))
    });
    hinted.take(CLUSTERED).map(|(hint, column)| clustering(table, hint, column)).collect()
}

/// A column, as one by which a table is clustered. "Introduction to clustered tables", types of clustering columns.
fn clustering(table: &Table, hint: &str, column: &Column) -> Result<String> {
    if let Some(
        data_type @ (DataType::Double | DataType::Binary | DataType::Json | DataType::Time),
    ) = column.data_type
    {
        let reason = "a table is not clustered by a column of this type";
        return Err(refused(table, hint, reason)
            .with("column", &column.name)
            .with("type", data_type));
    }
    Ok(quoted(&column.name))
}

/// By what a table is partitioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Partitions {
    None,
    ByColumn,
    ByIngestion,
}

/// By what a table is partitioned, if its hints can be followed.
pub(crate) fn partitions(table: &Table) -> Partitions {
    match partition(table).ok().flatten() {
        None => Partitions::None,
        Some(expression) if ingestion(&expression).is_some() => Partitions::ByIngestion,
        Some(_) => Partitions::ByColumn,
    }
}

/// What stands behind PARTITION BY.
fn partition(table: &Table) -> Result<Option<String>> {
    let wrong = |reason: &str| refused(table, PARTITION, reason);
    match table.hints.get(PARTITION) {
        None | Some(Value::Null | Value::Bool(_)) => {}
        Some(Value::String(text)) => {
            let known = ingestion(text).ok_or_else(|| wrong(
                "expected `_PARTITIONDATE`, or `TIMESTAMP_TRUNC(_PARTITIONTIME, HOUR)` with DAY, MONTH or YEAR",
            ))?;
            return Ok(Some(known));
        }
        Some(Value::Object(spec)) => {
            let text = |key: &str| spec.get(key).and_then(Value::as_str);
            let (name, template) = match text(FORM) {
                Some(form) => {
                    let template = template_of(form, spec)
                        .ok_or_else(|| wrong("this form of it is not known").with("form", form))?;
                    if let Some(known) = ingestion(&template) {
                        return Ok(Some(known));
                    }
                    (text("column_name").unwrap_or_default(), template)
                }
                None => match spec.iter().next().filter(|_| spec.len() == 1) {
                    Some((name, Value::String(template))) => (name.as_str(), template.clone()),
                    _ => return Err(wrong("expected one column, and how it makes a partition")),
                },
            };
            let column = table.columns.get(name);
            let column =
                column.ok_or_else(|| wrong("the table has no such column").with("column", name))?;
            let made = by_column(column, &template).ok_or_else(|| {
                wrong("a column of this type does not make partitions so")
                    .with("column", name)
                    .with("found", &template)
            })?;
            return Ok(Some(made));
        }
        Some(_) => return Err(wrong("expected a text, or a table with one column")),
    }
    // "Introduction to partitioned tables": one column.
    let hinted = table.complete_columns().find_map(|column| {
        let hint = column.hints.get(PARTITION).or_else(|| column.hints.get("partition"));
        hint.filter(|hint| !matches!(hint, Value::Null | Value::Bool(false)))
            .map(|hint| (column, hint))
    });
    let Some((column, hint)) = hinted else { return Ok(None) };
    match hint {
        Value::String(unit) => {
            let made = by_unit(column, unit);
            made.map(Some).ok_or_else(|| {
                wrong("expected `hour`, `day`, `month` or `year`, and a date or timestamp")
                    .with("column", &column.name)
                    .with("found", unit)
            })
        }
        // dlt says no more than that it is the one: dates and times by day, and numbers as seconds since 1970, a day in each.
        _ => Ok(match column.data_type {
            Some(DataType::Bigint) => {
                let days =
                    "RANGE_BUCKET({column_name}, GENERATE_ARRAY(-172800000, 691200000, 86400))";
                by_column(column, days)
            }
            _ => by_unit(column, "day"),
        }),
    }
}

/// A form of dlt's adapter as a template.
fn template_of(form: &str, spec: &serde_json::Map<String, Value>) -> Option<String> {
    let number = |key: &str| spec.get(key).and_then(Value::as_i64);
    let unit = || spec.get("granularity").and_then(Value::as_str);
    Some(match form {
        "BigQueryIngestionTimePartition" => "_PARTITIONDATE".to_owned(),
        "BigQueryTimestampTruncIngestionPartition" => {
            format!("TIMESTAMP_TRUNC(_PARTITIONTIME, {})", unit()?)
        }
        "BigQueryDateColumnPartition" => PLACEHOLDER.to_owned(),
        "BigQueryTimestampOrDateTimePartition" => format!("DATE({PLACEHOLDER})"),
        "BigQueryDateTruncPartition" => format!("DATE_TRUNC({PLACEHOLDER}, {})", unit()?),
        "BigQueryTimestampTruncPartition" | "BigQueryDatetimeTruncPartition" => {
            format!("TIMESTAMP_TRUNC({PLACEHOLDER}, {})", unit()?)
        }
        "BigQueryRangeBucketPartition" => format!(
            "RANGE_BUCKET({PLACEHOLDER}, GENERATE_ARRAY({}, {}, {}))",
            number("start")?,
            number("end")?,
            number("interval").unwrap_or(1)
        ),
        _ => return None,
    })
}

/// Partitions by the time at which rows came.
fn ingestion(text: &str) -> Option<String> {
    let compact = compact(text);
    if matches!(compact.as_str(), "_PARTITIONDATE" | "DATE(_PARTITIONTIME)") {
        return Some("_PARTITIONDATE".to_owned());
    }
    let unit = compact.strip_prefix("TIMESTAMP_TRUNC(_PARTITIONTIME,")?.strip_suffix(')')?;
    Some(format!("TIMESTAMP_TRUNC(_PARTITIONTIME, {})", known_unit(unit)?))
}

/// A template, understood: "Data definition language", `partition_expression`.
fn by_column(column: &Column, template: &str) -> Option<String> {
    let name = quoted(&column.name);
    let compact = compact(&template.replace(PLACEHOLDER, "?"));
    let data_type = column.data_type?;
    if let Some(range) = compact.strip_prefix("RANGE_BUCKET(?,GENERATE_ARRAY(") {
        let numbers = range.strip_suffix("))")?.split(',').map(|number| number.parse().ok());
        let numbers: Vec<i64> = numbers.collect::<Option<_>>()?;
        let [start, end, step] = numbers[..] else { return None };
        let ranges = (i128::from(end) - i128::from(start)).checked_div(i128::from(step))?;
        let fits = data_type == DataType::Bigint && step > 0 && (1..=RANGES).contains(&ranges);
        return fits
            .then(|| format!("RANGE_BUCKET({name}, GENERATE_ARRAY({start}, {end}, {step}))"));
    }
    let truncated = ["DATE_TRUNC(?,", "DATETIME_TRUNC(?,", "TIMESTAMP_TRUNC(?,"]
        .iter()
        .find_map(|function| compact.strip_prefix(function)?.strip_suffix(')'));
    match (compact.as_str(), truncated) {
        ("?" | "DATE(?)", _) => by_unit(column, "DAY"),
        (_, Some(unit)) => by_unit(column, unit),
        _ => None,
    }
}

/// Partitions by the date or time in a column.
fn by_unit(column: &Column, unit: &str) -> Option<String> {
    let name = quoted(&column.name);
    let unit = known_unit(&compact(unit))?;
    match (column.data_type?, unit) {
        (DataType::Date, "DAY") => Some(name),
        (DataType::Date, "MONTH" | "YEAR") => Some(format!("DATE_TRUNC({name}, {unit})")),
        (DataType::Timestamp, "DAY") => Some(format!("DATE({name})")),
        (DataType::Timestamp, _) => Some(format!("TIMESTAMP_TRUNC({name}, {unit})")),
        _ => None,
    }
}

fn known_unit(text: &str) -> Option<&'static str> {
    let text = text.trim_matches('\'');
    ["HOUR", "DAY", "MONTH", "YEAR"].into_iter().find(|unit| *unit == text)
}

/// Without blanks, in capitals.
fn compact(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_uppercase()
}

fn refused(table: &Table, hint: &str, reason: &str) -> Error {
    Error::new(ErrorKind::Configuration, "a hint for BigQuery cannot be followed")
        .with("table", &table.name)
        .with("hint", hint)
        .with("reason", reason)
        .with_hint("correct the hint, and load again")
}

fn not_partitioned(table: &Table, hint: &str) -> Error {
    refused(table, hint, "the table has no partitions")
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use transload_core::WriteDisposition;

    use super::*;

    fn table() -> Table {
        let mut table = Table::root("t", WriteDisposition::Append);
        for (name, data_type) in [
            ("d", DataType::Date),
            ("at", DataType::Timestamp),
            ("n", DataType::Bigint),
            ("a`b", DataType::Text),
        ] {
            table.put(Column::new(name, data_type));
        }
        table
    }

    fn with(hints: Value) -> Table {
        let Value::Object(hints) = hints else { panic!("an object") };
        Table { hints: hints.into_iter().collect(), ..table() }
    }

    fn shown(table: &Table) -> String {
        let text =
            clauses(table).and_then(|clauses| Ok(clauses + &options(table, &Labels::new())?));
        text.unwrap_or_else(|error| {
            assert_eq!(error.kind(), ErrorKind::Configuration);
            error.to_string()
        })
    }

    #[test]
    fn hints_are_understood_or_refused() {
        let form = |form: &str, rest: Value| {
            let mut spec = json!({"_dlt_partition_spec_type": form});
            spec.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            json!({"x-bigquery-partition": spec})
        };
        let mut all = String::new();
        for hints in [
            json!({"x-bigquery-partition": "_PARTITIONDATE"}),
            json!({"x-bigquery-partition": "timestamp_trunc(_PARTITIONTIME, hour)"}),
            json!({"x-bigquery-partition": {"n": "RANGE_BUCKET({column_name}, GENERATE_ARRAY(0, 1000000, 10000))"}}),
            json!({"x-bigquery-partition": {"d": "DATE_TRUNC({column_name}, MONTH)"}}),
            form(
                "BigQueryRangeBucketPartition",
                json!({"column_name": "n", "start": 0, "end": 10}),
            ),
            form(
                "BigQueryTimestampTruncPartition",
                json!({"column_name": "at", "granularity": "HOUR"}),
            ),
            form("BigQueryDateColumnPartition", json!({"column_name": "d"})),
            form("BigQueryIngestionTimePartition", json!({"column_name": "d"})),
            form(
                "BigQueryTimestampTruncIngestionPartition",
                json!({"column_name": "d", "granularity": "MONTH"}),
            ),
            json!({"x-bigquery-cluster-columns": ["n", "a`b"]}),
            json!({"x-bigquery-partition": {"d": "{column_name}"}, "x-bigquery-partition-expiration-days": 30,
                   "x-bigquery-require-partition-filter": true}),
            json!({"x-bigquery-table-description": "it's", "description": "another",
                   "x-bigquery-table-expiration": "2030-01-01 00:00:00+00:00"}),
            // What cannot be.
            json!({"x-bigquery-partition": "1) OPTIONS("}),
            json!({"x-bigquery-partition": {"a`b": "DATE({column_name})"}}),
            json!({"x-bigquery-partition": {"d": "TIMESTAMP_TRUNC({column_name}, HOUR)"}}),
            json!({"x-bigquery-partition": {"n": "RANGE_BUCKET({column_name}, GENERATE_ARRAY(0, 10001, 1))"}}),
            json!({"x-bigquery-partition": {"n": "RANGE_BUCKET({column_name}, GENERATE_ARRAY(0, 10, 0))"}}),
            json!({"x-bigquery-partition": {"x": "{column_name}"}}),
            json!({"x-bigquery-partition": {"d": "{column_name}", "at": "DATE({column_name})"}}),
            form("BigQueryOtherPartition", json!({})),
            json!({"x-bigquery-cluster-columns": ["x"]}),
            json!({"x-bigquery-partition-expiration-days": 30}),
            json!({"x-bigquery-partition": "_PARTITIONDATE", "x-bigquery-partition-expiration-days": 0}),
            json!({"x-bigquery-partition": {"n": "RANGE_BUCKET({column_name}, GENERATE_ARRAY(0, 10, 1))"},
                   "x-bigquery-partition-expiration-days": 30}),
            json!({"x-bigquery-require-partition-filter": true}),
        ] {
            all.push_str(&format!("{}\n", shown(&with(hints))));
        }
        for (data_type, hint) in [
            (DataType::Double, "cluster"),
            (DataType::Binary, "x-bigquery-cluster"),
            (DataType::Json, "cluster"),
            (DataType::Time, "cluster"),
        ] {
            let mut table = table();
            table.put(Column::new("c", data_type).with_hint(hint));
            all.push_str(&format!("{}\n", shown(&table)));
            assert!(check(&table, &Labels::new()).is_err());
        }
        insta::assert_snapshot!(all);
        let replaced = Table {
            write_disposition: Some(WriteDisposition::Replace),
            ..with(
                json!({"x-bigquery-partition": "_PARTITIONDATE", "x-bigquery-require-partition-filter": true}),
            )
        };
        assert!(shown(&replaced).contains("expected the disposition `append`"));
    }

    #[test]
    fn a_column_may_say_how_long_its_partitions_are() {
        for (name, unit, expected) in [
            ("at", json!("month"), " PARTITION BY TIMESTAMP_TRUNC(`at`, MONTH)"),
            ("d", json!("year"), " PARTITION BY DATE_TRUNC(`d`, YEAR)"),
            ("d", json!(true), " PARTITION BY `d`"),
            ("d", json!(false), ""),
            ("a`b", json!(true), ""),
        ] {
            let mut table = table();
            table.columns[name].hints.insert("partition".into(), unit);
            assert_eq!(shown(&table), expected, "{name}");
        }
        let mut hourly = table();
        hourly.columns["d"].hints.insert("x-bigquery-partition".into(), "hour".into());
        assert!(shown(&hourly).contains("`hour`, `day`"), "{}", shown(&hourly));
    }

    #[test]
    fn a_table_has_labels() {
        let labels = Labels::from([("team".to_owned(), "chess".to_owned())]);
        assert_eq!(options(&table(), &labels).unwrap(), " OPTIONS(labels=[('team', 'chess')])");
    }

    #[test]
    fn a_column_has_options() {
        let mut column =
            Column::new("c", DataType::Decimal).with_hint("x-bigquery-round-half-even");
        column.hints.insert("description".into(), "it's".into());
        assert_eq!(
            column_options(&column),
            r" OPTIONS(description='it\'s', rounding_mode='ROUND_HALF_EVEN')"
        );
        assert_eq!(column_options(&Column::new("c", DataType::Bool)), "");
    }
}
