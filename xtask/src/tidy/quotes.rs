//! Code in the guides is quoted from files that are built: a quote that is no longer there is a finding.

use std::fs;

use super::{Finding, Subject};
use crate::failure::{Context, Outcome};

const GUIDES: [&str; 1] = ["docs/writing-a-destination.md"];

/// What stands before a quote: `<!-- from examples/dest-minimal/src/lib.rs -->`.
const MARK: &str = "<!-- from ";

pub(super) fn check(subject: &Subject<'_>) -> Outcome<Vec<Finding>> {
    let mut findings = Vec::new();
    for guide in GUIDES {
        let text = subject.workspace.read(guide)?;
        let quotes = quotes(&text);
        if quotes.is_empty() {
            findings.push(Finding::new(
                guide,
                "the guide quotes no code",
                "see xtask/src/tidy/quotes.rs",
            ));
        }
        for quote in quotes {
            let path = subject.workspace.root().join(&quote.from);
            let source =
                fs::read_to_string(&path).context(|| format!("cannot read {}", quote.from))?;
            if !holds(&source, &quote.code) {
                findings.push(Finding::new(
                    format!("{guide}:{}", quote.line),
                    format!("the code is not in {}", quote.from),
                    "quote it as it is there now",
                ));
            }
        }
    }
    Ok(findings)
}

#[derive(Debug, PartialEq, Eq)]
struct Quote {
    line: usize,
    from: String,
    code: Vec<String>,
}

fn quotes(guide: &str) -> Vec<Quote> {
    let mut quotes = Vec::new();
    let mut lines = guide.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(from) = line.strip_prefix(MARK).and_then(|rest| rest.strip_suffix(" -->")) else {
            continue;
        };
        lines.next();
        let code = lines.by_ref().map(|(_, line)| line.to_owned());
        let code = code.take_while(|line| !line.starts_with("```")).collect();
        quotes.push(Quote { line: number + 1, from: from.to_owned(), code });
    }
    quotes
}

/// Whether these lines follow one another in a text, whatever they are indented by.
fn holds(source: &str, code: &[String]) -> bool {
    let source: Vec<&str> = source.lines().map(str::trim).collect();
    let code: Vec<&str> = code.iter().map(|line| line.trim()).collect();
    !code.is_empty() && source.windows(code.len()).any(|window| window == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUIDE: &str = "# A guide\n\n<!-- from a.rs -->\n```rust\nfn a() {\n    b();\n}\n```\n";

    #[test]
    fn a_quote_is_found_with_its_line() {
        let [quote] = &quotes(GUIDE)[..] else { panic!("one quote") };
        assert_eq!((quote.line, quote.from.as_str(), quote.code.len()), (3, "a.rs", 3));
    }

    #[test]
    fn a_quote_that_changed_is_noticed() {
        let code = &quotes(GUIDE)[0].code;
        assert!(holds("mod x {\n    fn a() {\n        b();\n    }\n}\n", code));
        assert!(!holds("fn a() {\n    c();\n}\n", code));
        assert!(!holds("fn a() {\n    b();\n", code));
    }
}
