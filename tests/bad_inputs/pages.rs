//! The index against itself and against the page for users.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::index::{self, Outcome};

/// The categories, each of which has a test.
const CATEGORIES: [&str; 12] = [
    "compressed",
    "config",
    "csv",
    "datetime",
    "encoding",
    "identifiers",
    "json-syntax",
    "numbers",
    "package",
    "parquet",
    "structure",
    "values",
];

#[test]
fn every_file_has_an_entry_and_every_entry_a_test() {
    let index = index::read();
    let mut ids = BTreeSet::new();
    let mut files = BTreeSet::new();
    for entry in &index.entries {
        assert!(ids.insert(&entry.id), "{} stands twice", entry.id);
        files.insert(entry.file.clone());
        assert!(CATEGORIES.contains(&entry.category()), "{}", entry.file);
        let refused = entry.outcome == Outcome::Refused;
        assert!(!refused || entry.rows.is_empty(), "{}: nothing of it is loaded", entry.id);
        assert_eq!(
            entry.outcome == Outcome::SetAside,
            !entry.set_aside.is_empty(),
            "{}: rows set aside",
            entry.id
        );
    }
    let root = index::folder().join("files");
    for category in std::fs::read_dir(&root).expect("the files") {
        let category = category.expect("a folder").path();
        for file in std::fs::read_dir(category).expect("a folder") {
            let file = file.expect("a file").path();
            let name = file.strip_prefix(&root).expect("below").display().to_string();
            assert!(files.contains(&name), "{name} is in no entry");
        }
    }
}

#[test]
fn the_page_has_the_differences() {
    let index = index::read();
    let mut table = String::from("| input | outcome | why |\n| --- | --- | --- |\n");
    let mut reasons: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for entry in &index.entries {
        if let Some(reason) = &entry.difference {
            reasons.entry(reason).or_default().push(entry);
        }
    }
    let mut rows: Vec<_> = reasons.into_iter().collect();
    rows.sort_by_key(|(_, entries)| entries[0].id.clone());
    for (reason, entries) in rows {
        let names: Vec<String> = entries.iter().map(|entry| format!("`{}`", entry.file)).collect();
        let outcomes: BTreeSet<&str> = entries
            .iter()
            .map(|entry| match entry.outcome {
                Outcome::Loads => "loads",
                Outcome::SetAside => "set aside",
                Outcome::Refused => "refused",
            })
            .collect();
        let outcomes: Vec<&str> = outcomes.into_iter().collect();
        writeln!(table, "| {} | {} | {reason} |", names.join(", "), outcomes.join(", "))
            .expect("a text takes it");
    }
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/bad-inputs.md");
    let page = std::fs::read_to_string(page).expect("the page");
    assert!(page.contains(&table), "docs/bad-inputs.md must have this table:\n\n{table}");
}
