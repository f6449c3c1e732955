//! How the files of a dataset are named: dlt's layouts, read by a parser of their own.

use std::collections::BTreeMap;

use transload_core::{DataFile, Error, ErrorKind, LoadId, Result, Sha256Hex};

use crate::time::Moment;

/// Folders and files of a dataset that are not data.
const RESERVED: [&str; 5] =
    ["_dlt_loads", "_dlt_version", "_dlt_pipeline_state", "_transload_commits", "init"];

/// A layout that was found to be safe: it keeps loads, files and tables apart, and stays in its folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Schema,
    Table,
    LoadId,
    FileId,
    Extension,
    Time(&'static str),
}

impl Part {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "schema_name" => Self::Schema,
            "table_name" => Self::Table,
            "load_id" => Self::LoadId,
            "file_id" => Self::FileId,
            "ext" => Self::Extension,
            _ => Self::Time(Moment::TOKENS.into_iter().find(|token| *token == name)?),
        })
    }
}

/// What names a file besides itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Naming<'a> {
    pub(crate) schema: &'a str,
    pub(crate) table: &'a str,
    pub(crate) load_id: &'a LoadId,
}

impl Layout {
    /// Why these cannot be placeholders of the user's own; `None` where they can.
    pub(crate) fn clash(own: &BTreeMap<String, String>) -> Option<String> {
        let name = own.keys().find(|name| Part::named(name).is_some())?;
        Some(format!("`{{{name}}}` is a placeholder already: it needs another name"))
    }

    /// Reads a layout, with placeholders of the user's own, which stand for the same text always. The error is the reason
    /// why it is none.
    pub(crate) fn parse(text: &str, own: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut parts = split(text, own)?;
        if !parts.contains(&Part::Extension) {
            parts.push(Part::Text(".".into()));
            parts.push(Part::Extension);
        }
        let layout = Self { parts };
        layout.stays_in_its_folder()?;
        if !layout.parts.contains(&Part::FileId) {
            return Err("without `{file_id}` one file would take the place of another".into());
        }
        let table = layout.parts.iter().position(|part| *part == Part::Table);
        let table = table.ok_or("without `{table_name}` the tables would be one")?;
        let (before, after) = (&layout.parts[..table], layout.parts.get(table + 1));
        if before.iter().any(|part| !matches!(part, Part::Text(_) | Part::Schema)) {
            return Err("only `{schema_name}` may stand before `{table_name}`".into());
        }
        if !separates(after) {
            return Err("behind `{table_name}` a character must follow that is no letter, digit or `_`, best a `/`: \
                        replacing `event` would take the files of `event_log` with it"
                .into());
        }
        let schema = before.iter().position(|part| *part == Part::Schema);
        if schema.is_some_and(|schema| !separates(layout.parts.get(schema + 1))) {
            return Err(
                "behind `{schema_name}` a character must follow that is no letter, digit or `_`"
                    .into(),
            );
        }
        Ok(layout)
    }

    fn stays_in_its_folder(&self) -> Result<(), String> {
        // A placeholder counts as a letter: what it stands for is checked when it is known.
        let shape: String = self
            .parts
            .iter()
            .map(|part| if let Part::Text(text) = part { text.as_str() } else { "x" })
            .collect();
        if shape.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err("it begins or ends with `/`, or has an empty, `.` or `..` segment".into());
        }
        match shape.chars().find(|c| c.is_control() || *c == '\\') {
            Some(c) => Err(format!("it has the character `{}`", c.escape_default())),
            None => Ok(()),
        }
    }

    /// Whether the load can be seen in the name of a file.
    pub(crate) fn names_the_load(&self) -> bool {
        self.parts.contains(&Part::LoadId)
    }

    /// The key of a file, below the folder of its dataset. It is a function of the load and the file: repeating a load
    /// makes the same objects, and no other load makes them.
    pub(crate) fn key(&self, naming: Naming<'_>, file: &DataFile) -> Result<String> {
        let mut key = self.prefix_parts(naming.schema, naming.table)?;
        let rest = self.parts.iter().skip_while(|part| **part != Part::Table).skip(1);
        let load_id = segment("load id", naming.load_id.as_str())?;
        for part in rest {
            match part {
                Part::Text(text) => key.push_str(text),
                Part::Schema => key.push_str(segment("schema", naming.schema)?),
                Part::Table => key.push_str(naming.table),
                Part::LoadId => key.push_str(load_id),
                Part::FileId => {
                    key.push_str(
                        Sha256Hex::of(format!("{load_id}/{}", file.path()).as_bytes()).short(),
                    );
                }
                Part::Extension => {
                    key.push_str(file.format.extension());
                    key.push_str(if file.gzip { ".gz" } else { "" });
                }
                Part::Time(token) => {
                    let text = Moment::of_load_id(load_id).and_then(|moment| moment.token(token));
                    key.push_str(&text.ok_or_else(|| {
                        Error::new(
                            ErrorKind::Terminal,
                            "the load id is no time, so the layout cannot name a file",
                        )
                        .with("load", load_id)
                        .with("placeholder", token)
                    })?);
                }
            }
        }
        Ok(key)
    }

    /// What the keys of a table begin with, and those of no other table.
    pub(crate) fn prefix(&self, schema: &str, table: &str) -> Result<String> {
        let mut prefix = self.prefix_parts(schema, table)?;
        prefix.extend(self.behind(&Part::Table));
        Ok(prefix)
    }

    /// The character behind a part, where a text follows it.
    fn behind(&self, part: &Part) -> Option<char> {
        let at = self.parts.iter().position(|other| other == part)?;
        match self.parts.get(at + 1) {
            Some(Part::Text(text)) => text.chars().next(),
            _ => None,
        }
    }

    fn prefix_parts(&self, schema: &str, table: &str) -> Result<String> {
        let mut prefix = String::new();
        for part in self.parts.iter().take_while(|part| **part != Part::Table) {
            match part {
                Part::Text(text) => prefix.push_str(text),
                _ => prefix.push_str(self.apart("schema", schema, &Part::Schema)?),
            }
        }
        prefix.push_str(self.apart("table", table, &Part::Table)?);
        let first = prefix.split('/').next().unwrap_or_default();
        if RESERVED.contains(&first) {
            return Err(Error::new(
                ErrorKind::Configuration,
                "the name is taken by the dataset itself",
            )
            .with("table", table)
            .with("folder", first)
            .with_hint(
                "give the table another name, or put something before `{table_name}` in `layout`",
            ));
        }
        Ok(prefix)
    }

    /// A name that does not hold the character by which it is told from what follows.
    fn apart<'n>(&self, what: &'static str, name: &'n str, part: &Part) -> Result<&'n str> {
        let name = segment(what, name)?;
        match self.behind(part).filter(|separator| name.contains(*separator)) {
            None => Ok(name),
            Some(separator) => Err(Error::new(
                ErrorKind::Configuration,
                "a name holds the character that separates names in the layout",
            )
            .with(what, name)
            .with("character", separator)
            .with_hint("use `/` in `layout`, as in `{table_name}/{load_id}.{file_id}.{ext}`")),
        }
    }

    /// Whether a key below the folder of the dataset can be that of a data file of this load.
    pub(crate) fn is_of_load(&self, key: &str, load_id: &LoadId) -> bool {
        if key.split('/').next().is_some_and(|first| RESERVED.contains(&first)) {
            return false;
        }
        let pieces: Vec<Option<&str>> = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
                Part::LoadId => Some(load_id.as_str()),
                _ => None,
            })
            .collect();
        self.names_the_load() && is_like(key, &pieces)
    }
}

/// Whether a text is these pieces in a row, where `None` is any text within a segment.
fn is_like(text: &str, pieces: &[Option<&str>]) -> bool {
    match pieces {
        [] => text.is_empty(),
        [Some(piece), rest @ ..] => {
            text.strip_prefix(piece).is_some_and(|text| is_like(text, rest))
        }
        [None, rest @ ..] => {
            let segment = text.split('/').next().unwrap_or_default();
            segment.char_indices().any(|(at, c)| is_like(&text[at + c.len_utf8()..], rest))
        }
    }
}

fn separates(part: Option<&Part>) -> bool {
    match part {
        Some(Part::Text(text)) => {
            text.chars().next().is_some_and(|c| !c.is_alphanumeric() && c != '_')
        }
        _ => false,
    }
}

fn split(text: &str, own: &BTreeMap<String, String>) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(['{', '}']).unwrap_or(rest.len());
        if end > 0 {
            parts.push(Part::Text(rest[..end].to_owned()));
        }
        rest = &rest[end..];
        if let Some(inside) = rest.strip_prefix('{') {
            let (name, behind) = inside.split_once('}').ok_or("a `{` has no `}`")?;
            let part = || own.get(name).cloned().map(Part::Text);
            parts.push(Part::named(name).or_else(part).ok_or_else(|| unknown(name, own))?);
            rest = behind;
        } else if rest.starts_with('}') {
            return Err("a `}` has no `{`".into());
        }
    }
    Ok(parts)
}

fn unknown(name: &str, own: &BTreeMap<String, String>) -> String {
    let named = ["schema_name", "table_name", "load_id", "file_id", "ext"];
    let own = own.keys().map(String::as_str);
    let known: Vec<&str> = named.into_iter().chain(Moment::TOKENS).chain(own).collect();
    format!("it has no placeholder `{{{}}}`; there are {}", name.escape_default(), known.join(", "))
}

/// A name that can be one segment of a key, or a part of one, as it stands.
pub(crate) fn segment<'n>(what: &'static str, name: &'n str) -> Result<&'n str> {
    if name.is_empty()
        || name.chars().all(|c| c == '.')
        || name.contains(['/', '\\'])
        || name.contains(char::is_control)
    {
        return Err(Error::new(ErrorKind::Configuration, "a name cannot be that of a file")
            .with(what, name.escape_debug())
            .with_hint("leave out `/`, `\\` and control characters"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use transload_core::FileFormat;

    use super::*;

    const LOAD: &str = "1795316645.067891";

    fn file(gzip: bool) -> DataFile {
        let sha256 = Sha256Hex::of(b"rows");
        DataFile {
            table: "players".into(),
            name: DataFile::name_of(1, &sha256, FileFormat::Jsonl, gzip),
            format: FileFormat::Jsonl,
            gzip,
            rows: 1,
            bytes: 4,
            sha256,
            columns: vec![],
            bounds: Default::default(),
            longest: Default::default(),
        }
    }

    fn parse(layout: &str) -> Result<Layout, String> {
        Layout::parse(layout, &BTreeMap::new())
    }

    fn key(layout: &str, table: &str) -> Result<String> {
        let load_id = LoadId::new(LOAD);
        let naming = Naming { schema: "chess", table, load_id: &load_id };
        parse(layout).unwrap().key(naming, &file(true))
    }

    #[test]
    fn layouts_name_files() {
        let id = "8bf1a925502c0db8";
        for (layout, expected, prefix) in [
            ("{table_name}/{load_id}.{file_id}.{ext}", "players/LOAD.ID.jsonl.gz", "players/"),
            (
                "{schema_name}/{table_name}/{file_id}.{ext}",
                "chess/players/ID.jsonl.gz",
                "chess/players/",
            ),
            ("{table_name}/{file_id}", "players/ID.jsonl.gz", "players/"),
            ("{table_name}.{load_id}.{file_id}.{ext}", "players.LOAD.ID.jsonl.gz", "players."),
            ("t-{table_name}/{file_id}.{ext}", "t-players/ID.jsonl.gz", "t-players/"),
            (
                "{table_name}/year={YYYY}/{MM}-{DD}/{HH}{mm}{ss}/{ddd}{Q}/{load_id}.{file_id}.{ext}",
                "players/year=2026/11-22/030405/sun4/LOAD.ID.jsonl.gz",
                "players/",
            ),
            (
                "{table_name}/{curr_date}/{timestamp}/{load_package_timestamp_ms}/{file_id}.{ext}",
                "players/2026-11-22/1795316645/1795316645067/ID.jsonl.gz",
                "players/",
            ),
            (
                "{table_name}/{table_name}-{schema_name}{file_id}",
                "players/players-chessID.jsonl.gz",
                "players/",
            ),
        ] {
            let expected = expected.replace("LOAD", LOAD).replace("ID", id);
            assert_eq!(key(layout, "players").unwrap(), expected, "{layout}");
            let parsed = parse(layout).unwrap();
            assert_eq!(parsed.prefix("chess", "players").unwrap(), prefix, "{layout}");
            assert!(expected.starts_with(prefix), "{layout}");
            let load_id = LoadId::new(LOAD);
            assert_eq!(
                parsed.is_of_load(&expected, &load_id),
                layout.contains("load_id"),
                "{layout}"
            );
            assert!(!parsed.is_of_load(&expected, &LoadId::new("1795316645.067892")), "{layout}");
        }
    }

    #[test]
    fn layouts_that_lose_files_are_refused() {
        for (layout, reason) in [
            ("{table_name}/{load_id}.{ext}", "without `{file_id}`"),
            ("{load_id}.{file_id}.{ext}", "without `{table_name}`"),
            ("{table_name}", "without `{file_id}`"),
            ("{file_id}/{table_name}", "only `{schema_name}`"),
            ("{YYYY}/{table_name}/{file_id}", "only `{schema_name}`"),
            ("{table_name}{load_id}.{file_id}", "behind `{table_name}`"),
            ("{table_name}_{load_id}.{file_id}", "behind `{table_name}`"),
            ("{table_name}1/{file_id}", "behind `{table_name}`"),
            ("{schema_name}{table_name}/{file_id}", "behind `{schema_name}`"),
            ("{file_id}.{ext}/{table_name}", "only `{schema_name}`"),
            ("../{table_name}/{file_id}", "`..` segment"),
            ("{table_name}/../{file_id}", "`..` segment"),
            ("/{table_name}/{file_id}", "begins or ends with `/`"),
            ("{table_name}//{file_id}", "empty"),
            ("{table_name}/{file_id}.{ext}/", "begins or ends with `/`"),
            ("{table_name}/\n{file_id}", "the character `\\n`"),
            ("{table_name}\\{file_id}", "the character `\\\\`"),
            ("{table_name}/{file_id", "a `{` has no `}`"),
            ("{table_name}/file_id}", "a `}` has no `{`"),
            (
                "{table_name}/{file_id.__class__}",
                "no placeholder `{file_id.__class__}`; there are schema_name,",
            ),
            ("{table_name}/{file_id:>10}", "no placeholder"),
            ("{{table_name}}/{file_id}", "no placeholder"),
            ("", "without `{file_id}`"),
        ] {
            let error = parse(layout).map(|_| ()).unwrap_err();
            assert!(error.contains(reason), "{layout}: {error}");
        }
    }

    #[test]
    fn names_that_run_into_others_are_refused() {
        for (layout, table) in [
            ("{table_name}/{file_id}", ".."),
            ("{table_name}/{file_id}", "a/b"),
            ("{table_name}/{file_id}", ""),
            ("{table_name}/{file_id}", "a\nb"),
            ("{table_name}.{file_id}", "players.old"),
            ("{table_name}/{file_id}", "_dlt_loads"),
            ("{table_name}/{file_id}", "_transload_commits"),
            ("{table_name}/{file_id}", "init"),
        ] {
            assert_eq!(key(layout, table).unwrap_err().kind(), ErrorKind::Configuration, "{table}");
        }
        assert!(key("t-{table_name}/{file_id}", "init").is_ok());
    }

    #[test]
    fn two_files_of_one_content_have_two_names() {
        let (load_id, layout) = (LoadId::new(LOAD), parse("{table_name}/{file_id}").unwrap());
        let naming = Naming { schema: "s", table: "players", load_id: &load_id };
        let mut second = file(false);
        second.name = second.name.replace("000001", "000002");
        let first = layout.key(naming, &file(false)).unwrap();
        assert_ne!(first, layout.key(naming, &second).unwrap());
        let other = LoadId::new("1795316645.5");
        assert_ne!(first, layout.key(Naming { load_id: &other, ..naming }, &file(false)).unwrap());
    }

    #[test]
    fn a_load_id_that_is_no_time_names_no_date() {
        let (load_id, file) = (LoadId::new("first"), file(false));
        let naming = Naming { schema: "s", table: "t", load_id: &load_id };
        assert!(parse("{table_name}/{file_id}").unwrap().key(naming, &file).is_ok());
        let dated = parse("{table_name}/{YYYY}/{file_id}").unwrap();
        assert_eq!(dated.key(naming, &file).unwrap_err().kind(), ErrorKind::Terminal);
    }

    #[test]
    fn placeholders_of_ones_own_stand_for_their_texts() {
        let own = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect()
        };
        let layout = "{region}/{table_name}/{load_id}.{file_id}-{owner}.{ext}";
        let all = own(&[("region", "eu/west"), ("owner", "{table_name}"), ("unused", "x")]);
        let load_id = LoadId::new(LOAD);
        let naming = Naming { schema: "chess", table: "players", load_id: &load_id };
        let parsed = Layout::parse(layout, &all).unwrap();
        let key = parsed.key(naming, &file(false)).unwrap();
        assert!(key.starts_with(&format!("eu/west/players/{LOAD}.")), "{key}");
        // A text is a text, whatever it looks like.
        assert!(key.ends_with("-{table_name}.jsonl"), "{key}");
        assert!(parsed.is_of_load(&key, &load_id));
        for (layout, pairs, reason) in [
            (layout, &[("region", "eu")][..], "it has no placeholder `{owner}`"),
            (layout, &[("region", ".."), ("owner", "x")], "it begins or ends with `/`"),
            (layout, &[("region", "a\nb"), ("owner", "x")], "it has the character `\\n`"),
            ("{table_name}{sep}{file_id}", &[("sep", "x")], "behind `{table_name}` a character"),
        ] {
            let error = Layout::parse(layout, &own(pairs)).unwrap_err();
            assert!(error.starts_with(reason), "{error}");
        }
        assert!(Layout::parse("{table_name}{sep}{file_id}", &own(&[("sep", "/")])).is_ok());
        let clash = Layout::clash(&own(&[("region", "eu"), ("table_name", "x")])).unwrap();
        assert!(clash.starts_with("`{table_name}` is a placeholder already"), "{clash}");
        assert_eq!(Layout::clash(&all), None);
    }
}
