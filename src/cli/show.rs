//! What a person sees of a load, and the small words that all commands share.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;

use crate::{LoadInfo, LoadStatus, Receipt, SetAsideRows};

/// A number with commas: `1,234,567`.
pub(super) fn count(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun: `1 row`, `2 rows`.
pub(super) fn counted(number: impl Into<u64>, noun: &str) -> String {
    let number = number.into();
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A size: `812 B`, `12.3 kB`, `4.7 GB`.
pub(super) fn bytes(number: u64) -> String {
    let mut size = number as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if size < 999.5 || unit == "TB" {
            let decimals = usize::from(unit != "B" && size < 99.95);
            return format!("{size:.decimals$} {unit}");
        }
        size /= 1000.0;
    }
    unreachable!("the last unit takes every size")
}

/// A time: `0.12 s`, `8.3 s`, `2 min 5 s`.
pub(super) fn seconds(number: f64) -> String {
    match number {
        n if n < 1.0 => format!("{n:.2} s"),
        n if n < 60.0 => format!("{n:.1} s"),
        n => format!("{} min {} s", (n / 60.0) as u64, (n % 60.0) as u64),
    }
}

/// A time that has passed, in its greatest unit: `12 s`, `5 min`, `3 h`, `41 d`.
pub(super) fn age(passed: Duration) -> String {
    let passed = passed.as_secs();
    let (unit, seconds) = match passed {
        0..60 => ("s", 1),
        60..3_600 => ("min", 60),
        3_600..86_400 => ("h", 3_600),
        _ => ("d", 86_400),
    };
    format!("{} {unit}", passed / seconds)
}

/// A time of a receipt, to the second: `2026-11-22 18:38:34 UTC`.
pub(super) fn moment(rfc3339: &str) -> String {
    match rfc3339.get(..19).and_then(|text| text.split_once('T')) {
        Some((day, time)) => format!("{day} {time} UTC"),
        None => rfc3339.to_owned(),
    }
}

/// Lines with aligned columns, indented. Columns from `right` on are aligned to the right, but for the last.
pub(super) fn columns(rows: &[Vec<String>], right: usize) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widest = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|text| text.width()).max().unwrap_or(0)
    };
    // Looked for once, not for each of the cells.
    let widths: Vec<usize> = (0..columns).map(widest).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::from(" ");
        for (index, cell) in row.iter().enumerate() {
            let blanks = " ".repeat(widths[index].saturating_sub(cell.width()));
            let last = index + 1 == row.len();
            match (index >= right && !last, last) {
                (true, _) => line.push_str(&format!(" {blanks}{cell} ")),
                (_, true) => line.push_str(&format!(" {cell}")),
                _ => line.push_str(&format!(" {cell}{blanks} ")),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// All loads of a run.
pub(super) fn loads(info: &LoadInfo) -> String {
    if info.loads.is_empty() {
        return format!("pipeline {}: there was nothing to do", info.pipeline);
    }
    info.loads.iter().map(receipt).collect::<Vec<_>>().join("\n\n")
}

/// One load.
pub(super) fn receipt(receipt: &Receipt) -> String {
    let mut text = headline(receipt);
    text.push('\n');
    let mut facts =
        vec![fact("dataset", format!("{} on {}", receipt.dataset, endpoint(&receipt.destination)))];
    if let Some(staging) = &receipt.staging {
        let place = common_url(receipt).map(|url| format!(" at {url}")).unwrap_or_default();
        facts.push(fact("staged", format!("by {}{place}", endpoint(staging))));
    } else if let Some(url) = common_url(receipt) {
        facts.push(fact("files", url));
    }
    if let Some(format) = receipt.format {
        facts.push(fact("format", format.to_string()));
    }
    if !receipt.schema_changes.is_empty() {
        let tables =
            receipt.schema_changes.iter().filter(|change| !change.contains('.')).count() as u64;
        let columns = receipt.schema_changes.len() as u64 - tables;
        let version = receipt
            .schema_version
            .map(|version| format!("version {version}, "))
            .unwrap_or_default();
        let changes =
            format!("{} and {} added", counted(tables, "table"), counted(columns, "column"));
        facts.push(fact("schema", format!("{version}{changes}")));
    }
    if !receipt.seconds.is_empty() {
        let steps = receipt
            .seconds
            .iter()
            .map(|(step, time)| format!("{} {}", step.as_str(), seconds(*time)));
        facts.push(fact("steps", steps.collect::<Vec<_>>().join(", ")));
    }
    text.push_str(&columns(&facts, usize::MAX));
    if !receipt.tables.is_empty() {
        text.push('\n');
        text.push_str(&tables(receipt));
    }
    for aside in &receipt.set_aside {
        text.push('\n');
        text.push_str(&set_aside(receipt, aside));
    }
    for warning in &receipt.warnings {
        let _ = write!(text, "\nwarning: {warning}\n");
    }
    text.trim_end().to_owned()
}

/// The rows of a table that were set aside, and what to do with them.
fn set_aside(receipt: &Receipt, aside: &SetAsideRows) -> String {
    let codes = aside.codes.iter().map(|(code, rows)| format!("{code} {}", count(*rows)));
    let codes = codes.collect::<Vec<_>>().join(", ");
    let path = |file: &String| {
        let folder = receipt.package.as_deref().unwrap_or(Path::new(""));
        folder.join(file).display().to_string()
    };
    let mut text =
        format!("{} of {} set aside: {codes}\n", counted(aside.rows, "row"), aside.table);
    let mut lines: Vec<Vec<String>> =
        aside.files.iter().map(|file| fact("rows", path(file))).collect();
    lines.push(fact("reasons", path(&aside.reasons)));
    text.push_str(&columns(&lines, usize::MAX));
    text.push_str("  once they are repaired there, load that file into the table\n");
    text
}

fn headline(receipt: &Receipt) -> String {
    let load = receipt.load_id.as_ref().map(|load| format!(" {load}")).unwrap_or_default();
    let what = match receipt.status {
        LoadStatus::Loaded => "loaded",
        LoadStatus::Pending => "pending, to be resumed",
        LoadStatus::Failed => "failed, nothing was loaded",
    };
    let again = if receipt.resumed { " (begun by an earlier run)" } else { "" };
    let rows = match receipt.status {
        LoadStatus::Failed => String::new(),
        _ => format!(
            ", {} in {}",
            counted(receipt.rows(), "row"),
            counted(receipt.tables.len() as u64, "table")
        ),
    };
    format!("pipeline {}, load{load}: {what}{again}{rows}", receipt.pipeline)
}

fn tables(receipt: &Receipt) -> String {
    let row = |cells: [String; 5]| cells.to_vec();
    let mut rows = vec![row(["table", "rows", "files", "size", "disposition"].map(str::to_owned))];
    rows.extend(receipt.tables.iter().map(|table| {
        row([
            table.table.clone(),
            count(table.rows),
            count(table.files as u64),
            bytes(table.bytes),
            table.write_disposition.to_string(),
        ])
    }));
    if receipt.tables.len() > 1 {
        let files: usize = receipt.tables.iter().map(|table| table.files).sum();
        let size = receipt.tables.iter().map(|table| table.bytes).sum();
        rows.push(row([
            "total".into(),
            count(receipt.rows()),
            count(files as u64),
            bytes(size),
            String::new(),
        ]));
    }
    columns(&rows, 1)
}

/// A line of what is known, with its name in front.
pub(super) fn fact(name: &str, value: impl Into<String>) -> Vec<String> {
    vec![name.to_owned(), value.into()]
}

/// A destination by the name that was chosen, and the plugin behind it where that is another one.
pub(super) fn endpoint(endpoint: &crate::Endpoint) -> String {
    if endpoint.r#type.is_empty() || endpoint.r#type == endpoint.name {
        endpoint.name.clone()
    } else {
        format!("{} ({})", endpoint.name, endpoint.r#type)
    }
}

/// The folder that all files of a load lie below.
pub(super) fn common_url(receipt: &Receipt) -> Option<String> {
    let mut urls = receipt.files.iter().filter_map(|file| file.url.as_deref());
    let first = urls.next()?;
    let common = urls.fold(first, |common, url| {
        let same = common.char_indices().zip(url.chars()).find(|((_, a), b)| a != b);
        let end = same.map_or(common.len().min(url.len()), |((at, _), _)| at);
        &common[..end]
    });
    // One table's files share its folder, which is not that of the load.
    let table = receipt
        .tables
        .iter()
        .find(|table| table.files > 0 && common.contains(&format!("/{}/", table.table)));
    let common = match table {
        Some(table) => {
            common.rsplit_once(&format!("/{}/", table.table)).map_or(common, |(before, _)| before)
        }
        None => common.rsplit_once('/').map_or(common, |(folder, _)| folder),
    };
    Some(format!("{common}/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoint, FileReceipt, Step, TableReceipt};
    use transload_core::{LoadId, Sha256Hex};

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0_u64, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0, 999, 1000, 99_949, 99_950, 999_499, 999_500].map(bytes),
            ["0 B", "999 B", "1.0 kB", "99.9 kB", "100 kB", "999 kB", "1.0 MB"]
        );
        assert_eq!([0.123, 8.34, 125.0].map(seconds), ["0.12 s", "8.3 s", "2 min 5 s"]);
        assert_eq!(moment("2026-11-22T18:38:34.118891Z"), "2026-11-22 18:38:34 UTC");
        assert_eq!([counted(1_u64, "row"), counted(2_u64, "row")], ["1 row", "2 rows"]);
    }

    #[test]
    fn what_has_passed_is_told_in_its_greatest_unit() {
        let shown = [0, 59, 60, 3_599, 3_600, 86_399, 86_400, 3_456_000]
            .map(|seconds| age(Duration::from_secs(seconds)));
        assert_eq!(shown, ["0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "1 d", "40 d"]);
    }

    #[test]
    fn a_load_is_shown_with_its_tables_and_where_its_files_lie() {
        let file = |table: &str| FileReceipt {
            table: table.into(),
            name: "000001-x.parquet".into(),
            rows: 2,
            bytes: 1500,
            sha256: Sha256Hex::of(b""),
            url: Some(format!("s3://lake/d/p/1.5/{table}/000001-x.parquet")),
        };
        let table = |table: &str, rows| TableReceipt {
            table: table.into(),
            rows,
            files: 1,
            bytes: 1500,
            ..Default::default()
        };
        let receipt_with = |files: Vec<FileReceipt>| Receipt {
            pipeline: "p".into(),
            load_id: Some(LoadId::new("1.5")),
            status: LoadStatus::Loaded,
            destination: Endpoint { name: "mine".into(), r#type: "duckdb".into() },
            staging: Some(Endpoint { name: "filesystem".into(), r#type: "filesystem".into() }),
            dataset: "d".into(),
            seconds: [(Step::Normalise, 0.5), (Step::Publish, 61.0)].into(),
            tables: vec![table("players", 1200), table("players__games", 3)],
            files,
            schema_changes: vec!["players".into(), "players.id".into(), "players.name".into()],
            schema_version: Some(2),
            ..Receipt::default()
        };
        let shown = receipt(&receipt_with(vec![file("players"), file("players__games")]));
        insta::assert_snapshot!(shown, @r"
        pipeline p, load 1.5: loaded, 1,203 rows in 2 tables
          dataset  d on mine (duckdb)
          staged   by filesystem at s3://lake/d/p/1.5/
          schema   version 2, 1 table and 2 columns added
          steps    normalise 0.50 s, publish 1 min 1 s

          table            rows  files    size  disposition
          players         1,200      1  1.5 kB  append
          players__games      3      1  1.5 kB  append
          total           1,203      2  3.0 kB
        ");
        assert_eq!(
            common_url(&receipt_with(vec![file("players")])).as_deref(),
            Some("s3://lake/d/p/1.5/")
        );
        assert_eq!(common_url(&receipt_with(Vec::new())), None);
    }
}
