//! Whether a run did what the index says.

use std::io::Read as _;

use serde_json::Value as Json;

use crate::generated;
use crate::index::{self, Entry, Outcome};
use crate::run::{Seen, run};

/// Memory that a run may take, in MiB, if its entry does not say.
const MEBIBYTES: u64 = 256;

/// Runs all inputs of a category, and fails with all that is not as it should be.
pub(crate) fn category(category: &str) {
    let index = index::read();
    let entries: Vec<&Entry> =
        index.entries.iter().filter(|entry| entry.category() == category).collect();
    assert!(!entries.is_empty(), "no input of category {category}");
    let mut faults = Vec::new();
    for entry in &entries {
        for fault in entry_faults(entry) {
            faults.push(format!("{} {} ({}): {fault}", entry.id, entry.file, entry.what));
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

fn entry_faults(entry: &Entry) -> Vec<String> {
    let input = generated::input(entry);
    let one = run(entry, &input, "1");
    let mut faults = faults(entry, &input, &one);
    let four = run(entry, &input, "4");
    let same = one.exit == four.exit
        && one.aside == four.aside
        && one.tables == four.tables
        && without_paths(&one) == without_paths(&four);
    if !same {
        faults.push(format!(
            "with one worker {:?} {:?} {}, with four {:?} {:?} {}",
            one.exit, one.tables, one.result["error"], four.exit, four.tables, four.result["error"]
        ));
    }
    faults
}

/// The error without what differs from folder to folder.
fn without_paths(seen: &Seen) -> String {
    let folder = seen.folder().path().display().to_string();
    seen.result["error"].to_string().replace(&folder, "")
}

/// What is not as the entry says.
fn faults(entry: &Entry, input: &[u8], seen: &Seen) -> Vec<String> {
    let mut faults = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            faults.push(what);
        }
    };
    let error = &seen.result["error"];
    let kind = entry.kind.as_deref().unwrap_or("bad_data");
    let exit = match (entry.outcome, kind) {
        (Outcome::Loads, _) => 0,
        (Outcome::SetAside, _) => 4,
        (_, "configuration" | "unsupported") => 2,
        _ => 1,
    };
    must(seen.exit == Some(exit), format!("exit {:?} and not {exit}; {error}", seen.exit));
    must(!seen.stderr.contains("panicked"), seen.stderr.clone());
    if entry.outcome == Outcome::Refused {
        must(error["kind"] == kind, format!("kind {} and not {kind}", error["kind"]));
        let code = seen.context("code");
        must(code == entry.code.as_deref(), format!("code {code:?} and not {:?}", entry.code));
        let file = seen.context("file").unwrap_or_default();
        must(file.ends_with(entry.name()), format!("the error names no file: {error}"));
        let line = seen.context("line").and_then(|line| line.parse().ok());
        must(entry.line.is_none() || line == entry.line, format!("line {line:?}; {error}"));
        let helps = error["hint"].is_string() || seen.context("reason").is_some();
        must(helps, format!("neither a reason nor a hint: {error}"));
        for word in &entry.says {
            must(error.to_string().contains(word), format!("{word:?} is not in {error}"));
        }
        must(seen.pending == 0, "a package is left".to_owned());
    } else {
        must(error.is_null(), format!("an error: {error}"));
    }
    let mut rows = entry.rows.clone();
    rows.insert("users".to_owned(), 1);
    must(seen.tables == rows, format!("rows {:?} and not {rows:?}", seen.tables));
    let users = seen.folder().ask("SELECT sum(n) FROM (FROM main.users UNION ALL FROM lake.users)");
    must(users.as_deref() == Some("14"), "the users are not what they were".to_owned());
    let counted = |load: &Json| {
        let tables = load["tables"].as_array().cloned().unwrap_or_default();
        tables.into_iter().all(|table| {
            let is_merged = table["write_disposition"] == "merge";
            let there = table["table"].as_str().map(|name| rows[name]);
            table["loaded_rows"] == table["rows"]
                // Of rows with one key a merge keeps one.
                && (table["rows"].as_u64() == there || is_merged && table["rows"].as_u64() > there)
        })
    };
    let loads = seen.result["loads"].as_array().cloned().unwrap_or_default();
    let wanted = if entry.outcome == Outcome::Refused { "failed" } else { "loaded" };
    must(
        loads.iter().all(|load| load["status"] == wanted && (wanted == "failed" || counted(load))),
        format!("the receipt says otherwise: {}", seen.result["loads"]),
    );
    for (table, columns) in &entry.columns {
        let sql = format!(
            "SELECT coalesce(string_agg(column_name || ' ' || data_type, ', ' ORDER BY ordinal_position), '') FROM information_schema.columns \
             WHERE table_schema = 'lake' AND table_name = '{table}' AND NOT starts_with(column_name, '_dlt_')"
        );
        let found = seen.folder().ask(&sql).unwrap_or_default();
        let wanted = columns.join(", ");
        must(found == wanted, format!("columns {found} and not {wanted}"));
    }
    for (sql, wanted) in &entry.answers {
        let found = seen.folder().ask(sql);
        must(found == *wanted, format!("{sql}: {found:?} and not {wanted:?}"));
    }
    if let Some(column) = &entry.reads_back {
        let database = seen.folder().database();
        let wanted = values(input, column);
        let found: Vec<Option<String>> = database
            .prepare(&format!("SELECT \"{column}\" FROM t ORDER BY id"))
            .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect())
            .expect("the values");
        must(found == wanted, format!("{column} is not read back as it was written"));
    }
    let all = seen.result["loads"].to_string();
    for warning in &entry.warns {
        must(all.contains(warning), format!("no warning {warning}"));
    }
    aside_faults(entry, input, seen, &mut faults);
    for value in shown(input, &seen.stderr) {
        faults.push(format!("the value {value:?} is on stderr: {}", seen.stderr));
    }
    let most = entry.mebibytes.unwrap_or(MEBIBYTES);
    if seen.mebibytes.is_some_and(|mebibytes| mebibytes > most) {
        faults.push(format!("{:?} MiB of memory", seen.mebibytes));
    }
    faults
}

fn aside_faults(entry: &Entry, input: &[u8], seen: &Seen, faults: &mut Vec<String>) {
    let found: Vec<_> =
        seen.aside.iter().map(|row| (row.line, row.offset, row.code.clone())).collect();
    if found != entry.set_aside {
        faults.push(format!("set aside {found:?} and not {:?}", entry.set_aside));
    }
    let text = unpacked(input);
    for row in &seen.aside {
        let at = row.offset as usize;
        let same = text.get(at..at + row.bytes.len()) == Some(&row.bytes[..]);
        if !same && !entry.file.ends_with(".parquet") {
            faults.push(format!("the row at offset {at} is not kept as it was"));
        }
        if !row.file.ends_with(entry.name()) || row.reason.is_empty() {
            faults.push(format!("the reason names {:?} and says {:?}", row.file, row.reason));
        }
    }
}

/// The input as its reader sees it: without compression.
fn unpacked(input: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let packed = input.starts_with(b"\x1f\x8b");
    let decoded = flate2::read::MultiGzDecoder::new(input).read_to_end(&mut text);
    if packed && decoded.is_ok() { text } else { input.to_vec() }
}

/// The values of a key, row by row.
fn values(input: &[u8], key: &str) -> Vec<Option<String>> {
    let rows = serde_json::Deserializer::from_slice(input).into_iter::<Json>();
    rows.map(|row| row.expect("JSON")[key].as_str().map(str::to_owned)).collect()
}

/// Values of the input that stand in what was printed: texts behind a colon, and long numbers.
fn shown(input: &[u8], printed: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(&input[..input.len().min(1 << 16)]).into_owned();
    let quoted = text.split(":\"").skip(1).filter_map(|rest| rest.split('"').next());
    let numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|digits| digits.len() > 9);
    quoted
        .filter(|value| value.trim().len() > 4)
        .chain(numbers)
        .filter(|value| printed.contains(*value))
        .map(str::to_owned)
        .collect()
}
