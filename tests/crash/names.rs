//! The failpoints as they stand in the sources: each of them has to be passed by some case.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Where failpoints stand.
const SOURCES: [&str; 4] = ["src", "core/src", "dest-duckdb/src", "staging-filesystem/src"];

/// Those that no case passes, and why.
const NOT_PASSED: [(&str, &str); 6] = [
    ("begin an upload", "only files of 8 MiB go in parts: staging-filesystem/src/lost_answers.rs"),
    ("put a part", "the same"),
    ("complete an upload", "the same"),
    ("put", "only the destination writes over objects: staging-filesystem/src/lost_answers.rs"),
    ("list", "the same"),
    ("set a package aside", "only after a kill, in the run that finishes"),
];

/// Those that only S3 needs.
const S3_ONLY: [&str; 5] = [
    "get a piece",
    "create a fetched file",
    "write a fetched file",
    "sync a fetched file",
    "rename a fetched file",
];

/// What is wrong: failpoints that nobody passes, and exceptions that are none.
pub(crate) fn unmet(passed: &BTreeSet<String>, with_s3: bool) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = BTreeSet::new();
    for folder in SOURCES {
        scan(&root.join(folder), &mut names);
    }
    let mut wrong = Vec::new();
    if names.len() < 20 {
        wrong.push(format!("only {} failpoints were found in the sources", names.len()));
    }
    for name in &names {
        let is_passed = passed.contains(&format!("before {name}"));
        let excused = NOT_PASSED.iter().any(|(excused, _)| excused == name)
            || (!with_s3 && S3_ONLY.contains(&name.as_str()));
        match (is_passed, excused) {
            (false, false) => wrong.push(format!("no case passes the failpoint `{name}`")),
            (true, true) => wrong.push(format!("the failpoint `{name}` needs no exception")),
            _ => {}
        }
    }
    wrong
}

/// Adds the names of the failpoints in the sources below a folder.
pub(crate) fn scan(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("the sources are there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            scan(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source is a text");
            for call in ["around(", "before(", "request("] {
                for (_, rest) in
                    text.match_indices(call).map(|(at, _)| text.split_at(at + call.len()))
                {
                    let literal = rest.trim_start().strip_prefix('"');
                    names
                        .extend(literal.and_then(|rest| rest.split('"').next()).map(str::to_owned));
                }
            }
        }
    }
}
