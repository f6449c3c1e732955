//! Lines that must not be in a source file: unfinished work, stray output, secrets in traces.

use std::fs;
use std::process::Command;

use super::{Finding, Subject};
use crate::failure::{Context, Outcome};
use crate::process;

// Written in two halves, so that this file does not find itself.
const UNFINISHED: [&str; 2] = [concat!("todo", "!("), concat!("unimplemented", "!(")];
const NOTES: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
const OUTPUT: [&str; 4] = [
    concat!("print", "ln!("),
    concat!("eprint", "ln!("),
    concat!("print", "!("),
    concat!("eprint", "!("),
];
const INSTRUMENT: [&str; 2] = [concat!("#[", "instrument"), concat!("#[tracing", "::instrument")];

pub(super) fn check(subject: &Subject<'_>) -> Outcome<Vec<Finding>> {
    let root = subject.workspace.root();
    // Also files that are not added yet: a finding is cheapest before the commit.
    let list = process::output(Command::new("git").current_dir(root).args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "--",
        "*.rs",
    ]))?;
    let mut findings = Vec::new();
    // git goes on listing a file that is deleted and not committed yet.
    for path in list.lines().filter(|path| root.join(path).is_file()) {
        let text = fs::read_to_string(root.join(path)).context(|| format!("cannot read {path}"))?;
        findings.extend(of_file(path, &text));
    }
    Ok(findings)
}

fn of_file(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |line: usize, what: String, remedy: &str| {
        findings.push(Finding::new(format!("{path}:{}", line + 1), what, remedy));
    };
    let may_print = may_print(path);
    let lines: Vec<&str> = text.lines().collect();
    for (number, line) in lines.iter().enumerate() {
        if let Some(note) = note_without_issue(line) {
            find(number, format!("{note} without an issue"), "write the issue's number: #12");
        }
        if line.trim_start().starts_with("//") {
            continue;
        }
        if let Some(word) = UNFINISHED.iter().find(|word| line.contains(*word)) {
            find(number, format!("{word}…) is unfinished work"), "finish it or return an error");
        }
        if !may_print && let Some(word) = OUTPUT.iter().find(|word| is_called(line, word)) {
            find(
                number,
                format!("{word}…) outside the command line"),
                "use `tracing`, or return the text to src/cli",
            );
        }
        if INSTRUMENT.iter().any(|word| line.trim_start().starts_with(word))
            && !attribute(&lines[number..]).contains("skip_all")
        {
            find(
                number,
                "a trace of all arguments may hold secrets and rows".to_owned(),
                "add `skip_all`, and name the fields that are worth it",
            );
        }
    }
    findings
}

/// Who talks to a terminal, or to cargo.
fn may_print(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    path.starts_with("src/cli/")
        || matches!(path, "src/main.rs" | "src/cli.rs")
        // The `main` of other crates' tests.
        || path == "core/src/conformance/runner.rs"
        || parts.iter().any(|part| matches!(*part, "examples" | "tests" | "xtask" | "build.rs"))
}

/// Whether the macro itself is there, not a longer name that ends like it.
fn is_called(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(start, _)| !line[..start].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
}

fn note_without_issue(line: &str) -> Option<&'static str> {
    let note = NOTES.into_iter().find(|note| has_word(line, note))?;
    let has_issue =
        line.split('#').skip(1).any(|after| after.starts_with(|c: char| c.is_ascii_digit()));
    (!has_issue).then_some(note)
}

fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        !line[..start].ends_with(part_of_word)
            && !line[start + word.len()..].starts_with(part_of_word)
    })
}

/// An attribute's text up to the bracket that ends it, which may be some lines below.
fn attribute(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(line);
        if line.trim_end().ends_with(']') {
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        of_file(path, text).into_iter().map(|finding| finding.place).collect()
    }

    #[test]
    fn unfinished_work_is_found_with_its_line() {
        let text = format!("//! x\nfn f() {{\n    {}\"later\")\n}}\n", UNFINISHED[0]);
        assert_eq!(findings("src/a.rs", &text), ["src/a.rs:3"]);
    }

    #[test]
    fn a_note_needs_an_issue() {
        let note = NOTES[0];
        assert_eq!(findings("src/a.rs", &format!("// {note}: later\n")), ["src/a.rs:1"]);
        assert!(findings("src/a.rs", &format!("// {note}(#12): later\n")).is_empty());
        assert!(findings("src/a.rs", &format!("// {note}S is a word of its own\n")).is_empty());
    }

    #[test]
    fn output_belongs_to_the_command_line() {
        let text = format!("{}\"x\");\n", OUTPUT[1]);
        assert_eq!(findings("core/src/a.rs", &text), ["core/src/a.rs:1"]);
        for path in ["src/cli/run.rs", "src/main.rs", "examples/query.rs", "core/tests/a.rs"] {
            assert!(findings(path, &text).is_empty(), "{path}");
        }
        assert!(findings("dest-duckdb/build.rs", &text).is_empty());
        assert!(findings("core/src/a.rs", &format!("/// {text}")).is_empty());
        assert!(findings("core/src/a.rs", &format!("my_{text}")).is_empty());
    }

    #[test]
    fn a_trace_names_what_it_takes() {
        let attribute = INSTRUMENT[1];
        assert_eq!(findings("src/a.rs", &format!("{attribute}]\n")), ["src/a.rs:1"]);
        assert!(findings("src/a.rs", &format!("{attribute}(skip_all)]\n")).is_empty());
        let wide = format!("{attribute}(\n    skip_all,\n    fields(table),\n)]\nfn f() {{}}\n");
        assert!(findings("src/a.rs", &wide).is_empty());
    }
}
