//! The tag of each statement: what it belongs to. It survives where comments in SQL are stripped, and the history and
//! the costs of an account are looked up by it.

use transload_core::Load;

/// A template for tags, with the placeholders of dlt.
#[derive(Clone, Debug)]
pub(crate) struct QueryTag {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Placeholder(Placeholder),
}

#[derive(Clone, Copy, Debug)]
enum Placeholder {
    Table,
    LoadId,
    Operation,
    Pipeline,
    /// `source` and `resource`: a destination does not know them.
    Unknown,
}

impl QueryTag {
    /// Reads a template: placeholders in braces, and braces that are doubled for braces themselves. `None` for another.
    pub(crate) fn read(template: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = template;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            let brace = &rest[at..];
            if brace.starts_with("{{") || brace.starts_with("}}") {
                text.push_str(&brace[..1]);
                rest = &brace[2..];
                continue;
            }
            let (name, after) = brace.strip_prefix('{')?.split_once('}')?;
            let placeholder = match name {
                "table" => Placeholder::Table,
                "load_id" => Placeholder::LoadId,
                "operation" => Placeholder::Operation,
                "pipeline_name" => Placeholder::Pipeline,
                "source" | "resource" => Placeholder::Unknown,
                _ => return None,
            };
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(Part::Placeholder(placeholder));
            rest = after;
        }
        text.push_str(rest);
        parts.push(Part::Text(text));
        Some(Self { parts })
    }

    /// The tag of a statement. Values are escaped as in JSON, which most templates are.
    fn fill(&self, work: &Work, step: &str) -> String {
        let value = |placeholder| match placeholder {
            Placeholder::Table => table_of(step),
            Placeholder::LoadId => work.load_id.as_deref().unwrap_or_default(),
            Placeholder::Operation => work.operation,
            Placeholder::Pipeline => work.pipeline.as_deref().unwrap_or_default(),
            Placeholder::Unknown => "",
        };
        let mut tag = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => tag.push_str(text),
                Part::Placeholder(placeholder) => {
                    let quoted = serde_json::Value::from(value(*placeholder)).to_string();
                    tag.push_str(&quoted[1..quoted.len() - 1]);
                }
            }
        }
        tag
    }
}

/// What a statement belongs to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Work {
    load_id: Option<String>,
    pipeline: Option<String>,
    operation: &'static str,
}

impl Work {
    /// Something that is asked or made beside a load.
    pub(crate) fn new(operation: &'static str) -> Self {
        Self { operation, ..Self::default() }
    }

    /// A part of a load.
    pub(crate) fn of(load: &Load, operation: &'static str) -> Self {
        Self {
            load_id: Some(load.load_id.as_str().to_owned()),
            pipeline: Some(load.pipeline.clone()),
            operation,
        }
    }
}

tokio::task_local! {
    /// What the statements belong to that this task sends: the toolkit between does not know.
    static WORK: Work;
}

/// Runs a future whose statements belong to this work.
pub(crate) async fn within<F: Future>(work: Work, future: F) -> F::Output {
    WORK.scope(work, future).await
}

/// The tag of a statement that this task sends now: by the template, or in our own words.
pub(crate) fn tag(template: Option<&QueryTag>, step: &str) -> String {
    let work = WORK.try_with(Work::clone).unwrap_or_default();
    match template {
        Some(template) => template.fill(&work, step),
        None => {
            let mut tag = serde_json::json!({ "tool": "transload", "operation": work.operation });
            for (key, value) in [
                ("load_id", work.load_id.as_deref()),
                ("pipeline", work.pipeline.as_deref()),
                ("table", Some(table_of(step))),
                ("step", Some(step)),
            ] {
                if let Some(value) = value.filter(|value| !value.is_empty()) {
                    tag[key] = value.into();
                }
            }
            tag.to_string()
        }
    }
}

/// How the names of steps begin that are about one table, which stands behind.
const ABOUT_A_TABLE: [&str; 21] = [
    "load ",
    "put ",
    "publish ",
    "gather ",
    "empty ",
    "write ",
    "merge ",
    "update ",
    "make room in ",
    "note rows to make room for ",
    "note rows to bring to ",
    "note new rows of ",
    "close rows of ",
    "open rows of ",
    "look for rows of one key with different ",
    // Statements that stand alone.
    "create table ",
    "alter table ",
    "drop table ",
    "comment on table ",
    "comment on column ",
    "insert into ",
];

/// The table in the name of a step: `load players`.
fn table_of(step: &str) -> &str {
    ABOUT_A_TABLE.iter().find_map(|begin| step.strip_prefix(begin)).unwrap_or_default()
}

/// The name of a step that is a statement by itself: its first words, and the table that they are about.
pub(crate) fn step_of(sql: &str) -> String {
    let is_keyword = |word: &&str| word.bytes().all(|byte| byte.is_ascii_uppercase());
    let words: Vec<&str> = sql.split(' ').take_while(is_keyword).collect();
    let rest = sql.get(words.join(" ").len()..).unwrap_or_default().trim_start();
    let mut words: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
    if let Some(at) = words.iter().position(|word| word == "if") {
        words.truncate(at);
    }
    // Database, dataset, table.
    if let Some(table) = quoted_names(rest).nth(2) {
        words.push(table);
    }
    words.join(" ")
}

/// The names at the beginning of a text: quoted, with a point between two.
fn quoted_names(text: &str) -> impl Iterator<Item = String> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let mut name = String::new();
        let mut chars = rest.take()?.strip_prefix('"')?.char_indices();
        let text = chars.as_str();
        while let Some((at, c)) = chars.next() {
            let behind = &text[at + c.len_utf8()..];
            match c {
                '"' if behind.starts_with('"') => {
                    chars.next();
                    name.push('"');
                }
                '"' => {
                    rest = behind.strip_prefix('.');
                    return Some(name);
                }
                _ => name.push(c),
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use transload_core::{Dataset, Epoch, LoadId, Sha256Hex};

    use super::*;

    fn load() -> Load {
        Load {
            load_id: LoadId::new("1795369539.5"),
            pipeline: "it's \"chess\"".into(),
            dataset: Dataset::new("d"),
            digest: Sha256Hex::of(b""),
            epoch: Epoch(1),
        }
    }

    #[tokio::test]
    async fn a_statement_says_what_it_belongs_to() {
        assert_eq!(tag(None, ""), r#"{"operation":"","tool":"transload"}"#);
        let of_a_load = within(Work::of(&load(), "publish"), async { tag(None, "load players") });
        assert_eq!(
            of_a_load.await,
            r#"{"load_id":"1795369539.5","operation":"publish","pipeline":"it's \"chess\"","step":"load players","table":"players","tool":"transload"}"#
        );
    }

    #[test]
    fn every_step_of_a_publication_says_its_table() {
        let all = transload_core::conformance::statements(&crate::dialect::tests::dialect());
        let all = all.unwrap();
        let steps = all.lines().filter_map(|line| line.strip_prefix("-- "));
        let steps = steps.map(|step| step.split(':').next().unwrap_or_default());
        for step in steps.filter(|step| !step.ends_with(" the fence")) {
            let table = table_of(step);
            assert!(
                ["players", "players__games"].contains(&table) || table.starts_with('_'),
                "{step}"
            );
        }
    }

    #[test]
    fn a_statement_that_stands_alone_is_a_step() {
        for (sql, step, table) in [
            (
                "CREATE TABLE IF NOT EXISTS \"RAW\".\"D\".\"IT'S \"\"A\"\" T\" (\n  \"A\" DATE)",
                "create table IT'S \"A\" T",
                "IT'S \"A\" T",
            ),
            (
                "ALTER TABLE \"RAW\".\"D\".\"T\" ADD COLUMN IF NOT EXISTS \"A\" DATE",
                "alter table T",
                "T",
            ),
            ("COMMENT ON COLUMN \"RAW\".\"D\".\"T\".\"A\" IS 'x'", "comment on column T", "T"),
            ("DROP TABLE IF EXISTS \"RAW\".\"D\".\"T\"", "drop table T", "T"),
            ("SHOW COLUMNS IN SCHEMA \"RAW\".\"D\"", "show columns in schema", ""),
            ("SELECT CAST(\"SEQ\" AS VARCHAR) FROM t", "select", ""),
            ("INSERT INTO \"RAW\".\"D\".\"T\" (\"A\") SELECT 1", "insert into T", "T"),
            ("\"", "", ""),
            ("", "", ""),
        ] {
            assert_eq!((step_of(sql).as_str(), table_of(&step_of(sql))), (step, table), "{sql}");
        }
    }

    #[tokio::test]
    async fn a_template_is_filled_in() {
        let template = QueryTag::read(
            r#"{{"p": "{pipeline_name}", "l": "{load_id}", "t": "{table}{source}"}}"#,
        )
        .unwrap();
        let filled = within(Work::of(&load(), "publish"), async {
            tag(Some(&template), "make room in players")
        });
        assert_eq!(filled.await, r#"{"p": "it's \"chess\"", "l": "1795369539.5", "t": "players"}"#);
        for wrong in ["{other}", "{\"canary\": 1}", "canary}", "{"] {
            assert!(QueryTag::read(wrong).is_none(), "{wrong}");
        }
    }
}
