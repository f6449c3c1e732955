//! `pipeline.toml`: a pipeline and its resources, described by a file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use transload_core::registry::distance;
use transload_core::{Error, ErrorKind, FileFormat, MergeStrategy, ReplaceStrategy, Result};

use super::args::Progress;
use super::entries::{ColumnEntry, Disposition, NestedEntry};
use crate::incremental::{
    CursorValue, Incremental, LastValueFunc, OnCursorValueMissing, RangeBound, RowOrder,
};
use crate::{ColumnHints, CsvOptions, Reference, Resource, SchemaContract, SourceFormat};

/// What a `pipeline.toml` says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PipelineFile {
    pub(super) pipeline_name: Option<String>,
    #[serde(default)]
    pub(super) destination: Texts,
    pub(super) staging: Option<String>,
    pub(super) dataset_name: Option<String>,
    pub(super) loader_file_format: Option<FileFormat>,
    pub(super) pipelines_dir: Option<PathBuf>,
    pub(super) progress: Option<Progress>,
    pub(super) schema_contract: Option<SchemaContract>,
    pub(super) import_schema_path: Option<PathBuf>,
    pub(super) export_schema_path: Option<PathBuf>,
    #[serde(default)]
    pub(super) resources: Vec<ResourceEntry>,
}

/// One of its `[[resources]]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResourceEntry {
    pub(super) name: Option<String>,
    pub(super) table: String,
    pub(super) source: Texts,
    /// What the files hold, where their names do not say so.
    pub(super) format: Option<SourceFormat>,
    /// Where in JSON documents the rows stand.
    pub(super) path: Option<String>,
    /// How CSV is read.
    #[serde(default)]
    pub(super) csv: Option<CsvOptions>,
    pub(super) write_disposition: Option<Disposition>,
    pub(super) merge_strategy: Option<MergeStrategy>,
    pub(super) replace_strategy: Option<ReplaceStrategy>,
    #[serde(default)]
    pub(super) primary_key: Texts,
    #[serde(default)]
    pub(super) merge_key: Texts,
    pub(super) max_table_nesting: Option<usize>,
    pub(super) schema_contract: Option<SchemaContract>,
    pub(super) incremental: Option<IncrementalEntry>,
    #[serde(default)]
    pub(super) incremental_files: bool,
    #[serde(default)]
    pub(super) columns: IndexMap<String, ColumnEntry>,
    pub(super) description: Option<String>,
    pub(super) table_format: Option<String>,
    #[serde(default)]
    pub(super) references: Vec<Reference>,
    #[serde(default)]
    pub(super) hints: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) nested_hints: Vec<NestedEntry>,
}

/// What `incremental` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IncrementalEntry {
    cursor_path: String,
    initial_value: Option<CursorEntry>,
    end_value: Option<CursorEntry>,
    last_value_func: Option<LastValueFunc>,
    primary_key: Option<Texts>,
    row_order: Option<RowOrder>,
    on_cursor_value_missing: Option<OnCursorValueMissing>,
    lag: Option<f64>,
    range_start: Option<RangeBound>,
    range_end: Option<RangeBound>,
}

/// A value of a cursor. Dates and times of TOML are their texts: that is what rows of JSON have.
#[derive(Debug, Deserialize)]
#[serde(try_from = "toml::Value")]
struct CursorEntry(CursorValue);

impl TryFrom<toml::Value> for CursorEntry {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        Ok(Self(match value {
            toml::Value::String(text) => text.into(),
            toml::Value::Integer(value) => value.into(),
            toml::Value::Float(value) => value.into(),
            toml::Value::Boolean(value) => value.into(),
            toml::Value::Datetime(time) => time.to_string().into(),
            toml::Value::Array(_) | toml::Value::Table(_) => {
                return Err("a value of a cursor is a text, a number, a date or a truth value");
            }
        }))
    }
}

impl IncrementalEntry {
    pub(super) fn incremental(&self) -> Incremental {
        let mut incremental = Incremental::new(&self.cursor_path);
        if let Some(CursorEntry(value)) = &self.initial_value {
            incremental = incremental.initial_value(value.clone());
        }
        if let Some(CursorEntry(value)) = &self.end_value {
            incremental = incremental.end_value(value.clone());
        }
        if let Some(func) = self.last_value_func {
            incremental = incremental.last_value_func(func);
        }
        if let Some(Texts(columns)) = &self.primary_key {
            incremental = incremental.primary_key(columns);
        }
        if let Some(order) = self.row_order {
            incremental = incremental.row_order(order);
        }
        if let Some(what) = self.on_cursor_value_missing {
            incremental = incremental.on_cursor_value_missing(what);
        }
        if let Some(lag) = self.lag {
            incremental = incremental.lag(lag);
        }
        if let Some(bound) = self.range_start {
            incremental = incremental.range_start(bound);
        }
        if let Some(bound) = self.range_end {
            incremental = incremental.range_end(bound);
        }
        incremental
    }
}

/// One text or a list of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Texts(pub(super) Vec<String>);

impl PipelineFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where it cannot be read or says what it cannot say, with its line and key.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Error::new(ErrorKind::Configuration, "the pipeline's file cannot be read")
                .with("file", path.display())
                .with_hint("name a pipeline.toml, or describe the pipeline by flags: `transload run --help`")
                .with_source(error)
        })?;
        let mut file: Self = toml::from_str(&text).map_err(|error| refused(path, &text, &error))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for schemas in [&mut file.import_schema_path, &mut file.export_schema_path] {
            *schemas = schemas.take().map(|schemas| folder.join(schemas));
        }
        for source in file.resources.iter_mut().flat_map(|resource| &mut resource.source.0) {
            if source != "-" && !source.contains("://") {
                *source = folder.join(&*source).to_string_lossy().into_owned();
            }
        }
        Ok(file)
    }
}

impl ResourceEntry {
    /// Its columns.
    pub(super) fn columns(&self) -> Vec<ColumnHints> {
        super::entries::columns(&self.columns)
    }

    /// The hints that nothing but the schema has to know, given to the resource.
    pub(super) fn give_hints(&self, mut resource: Resource) -> Resource {
        resource = resource.references(self.references.clone());
        if let Some(text) = &self.description {
            resource = resource.description(text);
        }
        if let Some(format) = &self.table_format {
            resource = resource.table_format(format);
        }
        for (name, value) in &self.hints {
            resource = resource.hint(name, value.clone());
        }
        for nested in &self.nested_hints {
            resource = resource.nested_hints(&nested.path.0, nested.hints());
        }
        resource
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;

        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts(vec![text.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                Ok(Texts(texts))
            }
        }

        deserializer.deserialize_any(TextsVisitor)
    }
}

/// Says what is wrong with a file, where, and what may stand there. The line itself is not quoted.
fn refused(path: &Path, text: &str, error: &toml::de::Error) -> Error {
    let message = error.message().trim().replace('\n', ", ");
    let refusal = Error::new(ErrorKind::Configuration, "the pipeline's file is wrong");
    let Some(span) = error.span() else {
        return refusal.with("file", path.display()).with("reason", message);
    };
    let start = span.start.min(text.len());
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let refusal = refusal.with("file", format!("{}:{line}", path.display()));
    let whole = text.lines().nth(line - 1).unwrap_or_default().trim();
    let key = match whole.split_once('=') {
        Some((key, _)) => key.trim(),
        None => whole.trim_matches(['[', ']']),
    };
    let refusal = if key.is_empty() { refusal } else { refusal.with("key", key) };
    let Some((unknown, known)) = unknown_word(&message) else {
        let misplaced = ["destination", "staging"].contains(&key)
            && message.contains("expected a string")
            || key.starts_with("destination.");
        let refusal = refusal.with("reason", message);
        return if misplaced {
            refusal.with_hint(
                "name the destination here; its settings belong into `.transload/config.toml`",
            )
        } else {
            refusal
        };
    };
    let near = known.iter().map(|word| (distance(word, &unknown), *word)).min();
    let refusal = refusal.with("reason", message.clone());
    match near {
        Some((edits, word)) if edits <= 2 && edits < word.len() => {
            refusal.with_hint(format!("did you mean `{word}`?"))
        }
        _ => refusal,
    }
}

/// The word that serde did not know, and those that it does.
fn unknown_word(message: &str) -> Option<(String, Vec<&str>)> {
    let rest = message
        .strip_prefix("unknown field `")
        .or_else(|| message.strip_prefix("unknown variant `"))?;
    let (unknown, rest) = rest.split_once('`')?;
    Some((unknown.to_owned(), rest.split('`').skip(1).step_by(2).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PipelineFile> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipeline.toml");
        std::fs::write(&path, text).unwrap();
        PipelineFile::read(&path)
    }

    #[test]
    fn a_file_is_read_with_its_resources_and_columns_in_order() {
        let file = parse(
            r#"
            pipeline_name = "p"
            loader_file_format = "insert_values"
            progress = "off"
            [[resources]]
            table = "t"
            source = ["a.jsonl", "-", "https://x/y"]
            format = "jsonl"
            path = "data"
            primary_key = "id"
            merge_key = ["a", "b"]
            write_disposition = "replace"
            replace_strategy = "insert-from-staging"
            columns.z = { data_type = "decimal", precision = 10, scale = 2 }
            columns.a = { data_type = "timestamp", nullable = false, timezone = false }
            "#,
        )
        .unwrap();
        assert_eq!(file.loader_file_format, Some(FileFormat::InsertValues));
        let resource = &file.resources[0];
        assert!(
            resource.source.0[0].ends_with("/a.jsonl")
                && resource.source.0[0].len() > "/a.jsonl".len()
        );
        assert_eq!(resource.source.0[1..], ["-", "https://x/y"]);
        assert_eq!(
            (resource.format, resource.path.as_deref()),
            (Some(SourceFormat::Jsonl), Some("data"))
        );
        assert_eq!(
            (&resource.primary_key.0[..], &resource.merge_key.0[..]),
            (&["id".to_owned()][..], &["a".to_owned(), "b".to_owned()][..])
        );
        let columns = resource.columns();
        assert_eq!((columns[0].name.as_str(), columns[0].scale), ("z", Some(2)));
        assert_eq!((columns[1].nullable, columns[1].timezone), (Some(false), Some(false)));
    }

    #[test]
    fn hints_are_read_in_all_their_forms() {
        let file = parse(
            r#"
            schema_contract = { columns = "freeze" }
            [[resources]]
            table = "t"
            source = "a.jsonl"
            description = "what it is"
            table_format = "native"
            schema_contract = "evolve"
            hints = { x-owner = "me" }
            references = [{ referenced_table = "o", columns = ["a"], referenced_columns = ["b"] }]
            columns.id = { data_type = "bigint", primary_key = true, x-any = [1, { k = "v" }] }
            columns.ts = { dedup_sort = "desc", description = "when" }
            [resources.write_disposition]
            disposition = "merge"
            strategy = "scd2"
            validity_column_names = ["from", "to"]
            boundary_timestamp = "2024-01-01"
            [[resources.nested_hints]]
            path = ["l", "m"]
            primary_key = "v"
            columns.v = { data_type = "decimal" }
            write_disposition = "append"
            "#,
        )
        .unwrap();
        assert_eq!(file.schema_contract.unwrap().columns, crate::ContractMode::Freeze);
        let entry = &file.resources[0];
        let disposition = entry.write_disposition.as_ref().unwrap();
        assert_eq!(disposition.strategy, Some(MergeStrategy::Scd2));
        assert_eq!(disposition.options.validity_column_names, Some(["from".into(), "to".into()]));
        let resource = entry.give_hints(Resource::json("t", "").columns(entry.columns()));
        assert_eq!(resource.columns[0].hints["x-any"], serde_json::json!([1, {"k": "v"}]));
        assert_eq!(resource.nested[0].0, ["l", "m"]);
        assert_eq!(resource.nested[0].1.primary_key, ["v"]);
        assert_eq!(resource.hints.hints["x-owner"], "me");

        let error = parse("[[resources]]\ntable = \"t\"\nsource = \"x\"\nwrite_disposition = { disposition = \"merge\", stratgy = \"scd2\" }\n")
            .unwrap_err();
        assert!(error.context("file").unwrap().ends_with(":4"), "{error:?}");
        assert_eq!(error.hint(), Some("did you mean `strategy`?"));
        let error = parse("schema_contract = \"frozen\"\n").unwrap_err();
        assert!(error.context("reason").unwrap().contains("freeze"), "{error:?}");
    }

    #[test]
    fn an_incremental_resource_is_read() {
        let of = |incremental: &str| {
            let text = format!(
                "[[resources]]\ntable = \"t\"\nsource = \"x\"\nincremental_files = true\nincremental = {{ {incremental} }}\n"
            );
            let file = parse(&text)?;
            assert!(file.resources[0].incremental_files);
            Ok::<_, Error>(file.resources[0].incremental.as_ref().unwrap().incremental())
        };
        let all = r#"cursor_path = "a.b", initial_value = "2024-01-01", end_value = 2024-02-01, lag = 3600,
            row_order = "asc", on_cursor_value_missing = "include", range_start = "open", range_end = "closed",
            last_value_func = "max", primary_key = ["a", "b"]"#;
        let expected = Incremental::new("a.b")
            .initial_value("2024-01-01")
            .end_value("2024-02-01")
            .lag(3600.0)
            .row_order(RowOrder::Asc)
            .on_cursor_value_missing(OnCursorValueMissing::Include)
            .range_start(RangeBound::Open)
            .range_end(RangeBound::Closed)
            .last_value_func(LastValueFunc::Max)
            .primary_key(["a", "b"]);
        assert_eq!(of(&all.replace('\n', " ")).unwrap(), expected);
        assert_eq!(of(r#"cursor_path = "a""#).unwrap(), Incremental::new("a"));
        let off = of(r#"cursor_path = "a", initial_value = 5, primary_key = []"#).unwrap();
        assert_eq!(off, Incremental::new("a").initial_value(5).primary_key([""; 0]));
        let error = of(r#"cursor_path = "a", initial_value = [1]"#).unwrap_err();
        assert!(error.context("reason").unwrap().contains("a value of a cursor"), "{error:?}");
        let error = of(r#"cursor_path = "a", range_start = "shut""#).unwrap_err();
        assert!(error.context("reason").unwrap().contains("`closed`"), "{error:?}");
        assert!(of("lag = 3").unwrap_err().context("reason").unwrap().contains("`cursor_path`"));
    }

    #[test]
    fn a_wrong_file_names_line_key_and_what_is_allowed() {
        let error = parse("pipeline_name = \"p\"\ndestinatoin = \"duckdb\"\n").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.context("file").unwrap().ends_with("pipeline.toml:2"));
        assert_eq!(error.context("key"), Some("destinatoin"));
        assert_eq!(error.hint(), Some("did you mean `destination`?"));

        let error = parse("loader_file_format = \"avro\"\n").unwrap_err();
        assert!(error.context("reason").unwrap().contains("`insert_values`"), "{error:?}");
        assert_eq!(error.context("key"), Some("loader_file_format"));

        let text = "[[resources]]\ntable = \"t\"\nsource = \"x\"\nwrite_disposition = \"upsert\"\n";
        let error = parse(text).unwrap_err();
        assert!(error.context("file").unwrap().ends_with(":4"), "{error:?}");
        assert!(error.context("reason").unwrap().contains("`merge`"));

        let error = parse("[[resources]]\nsource = \"x\"\n").unwrap_err();
        assert!(error.context("reason").unwrap().contains("missing field `table`"));
        let error = parse("[[resources]]\ntable = \"t\"\nsource = 3\n").unwrap_err();
        assert!(
            error.context("reason").unwrap().contains("a text or a list of texts"),
            "{error:?}"
        );
        let error = parse("[destination.filesystem]\nbucket_url = \"x\"\n").unwrap_err();
        assert!(error.hint().unwrap().contains(".transload/config.toml"), "{error:?}");
        assert!(parse("a = \n").unwrap_err().context("file").unwrap().ends_with(":1"));
    }
}
