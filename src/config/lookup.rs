//! One key: which names it is asked for by, in which order, and in which places.

use std::collections::BTreeMap;

use transload_core::Secret;
use transload_core::settings::{Origin, SettingValue};

use super::Layers;

/// A place that can be asked for a key.
pub(super) trait Place {
    /// The value under exactly this key.
    fn find(&self, path: &[&str]) -> Option<(SettingValue, Origin)>;

    /// What this place calls the key: once for each of its files.
    fn names(&self, path: &[&str]) -> Vec<String>;
}

/// From where a key is asked for.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// The pipeline, whose name may stand before everything else; empty for none.
    pub(super) pipeline: &'a str,
    /// The sections around the key, which are dropped from the right.
    pub(super) sections: &'a [&'a str],
}

impl<'a> Scope<'a> {
    /// The paths under which a key is looked for: with the name of the pipeline, and without.
    fn paths(&self, key: &'a str) -> [Vec<Vec<&'a str>>; 2] {
        let paths = |outermost: Option<&'a str>| -> Vec<Vec<&'a str>> {
            (0..=self.sections.len())
                .rev()
                .map(|kept| {
                    let sections = self.sections[..kept].iter().copied();
                    outermost.into_iter().chain(sections).chain(key.split('.')).collect()
                })
                .collect()
        };
        let with_pipeline = (!self.pipeline.is_empty()).then_some(self.pipeline);
        [with_pipeline.map(|name| paths(Some(name))).unwrap_or_default(), paths(None)]
    }
}

/// What kinds of value a key can have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Accept {
    /// Anything.
    All,
    /// Anything but a table that the program made out of single values: such a one hides no text.
    NoTablesOfCode,
    /// Anything but a table: one of the same name farther out is somebody else's section.
    NoTables,
}

impl Layers {
    /// The value of a key in sections that are dropped from the right: `["normalize"]` and `"workers"` find
    /// `normalize.workers` before `workers`. What stands below `[<pipeline>]` goes before what does not.
    ///
    /// The key may have dots; those of its parts are never dropped.
    pub fn get(
        &self,
        pipeline: &str,
        sections: &[&str],
        key: &str,
    ) -> Option<(SettingValue, Origin)> {
        self.find(Scope { pipeline, sections }, key, Accept::All)
    }

    /// The `destination_type` under `[destination.<name>]`: which plugin a name of the user's own stands for. Of
    /// `dlt.destinations.filesystem` it gives the last part.
    pub fn destination_type(&self, pipeline: &str, name: &str) -> Option<(String, Origin)> {
        let inner = ["destination", name, "destination_type"];
        let with_pipeline = [&[pipeline], inner.as_slice()].concat();
        let paths = [with_pipeline.as_slice(), &inner];
        let paths = &paths[usize::from(pipeline.is_empty())..];
        let places: [&dyn Place; 4] = [&self.code, &self.environment, &self.secrets, &self.config];
        let found = paths.iter().find_map(|path| places.iter().find_map(|place| place.find(path)));
        match found {
            Some((SettingValue::Text(text), origin)) => {
                let last = text.expose().rsplit('.').next().unwrap_or_default();
                Some((last.trim().to_owned(), origin))
            }
            _ => None,
        }
    }

    pub(super) fn find(
        &self,
        scope: Scope<'_>,
        key: &str,
        accept: Accept,
    ) -> Option<(SettingValue, Origin)> {
        let lists = scope.paths(key);
        let ask = |place: &dyn Place, paths: &[Vec<&str>], tables: bool| {
            paths.iter().find_map(|path| {
                let is_accepted =
                    |value: &SettingValue| tables || !matches!(value, SettingValue::Map(_));
                place.find(path).filter(|(value, _)| is_accepted(value))
            })
        };
        let of_code =
            || lists.iter().find_map(|paths| ask(&self.code, paths, accept == Accept::All));
        let places = self.places();
        let tables = accept != Accept::NoTables;
        let of_places = || {
            lists
                .iter()
                .find_map(|paths| places.iter().find_map(|place| ask(*place, paths, tables)))
        };
        of_code().or_else(of_places)
    }

    /// The places that a key is looked for in, in their order. Files that do not exist share one line.
    pub(super) fn looked_at(&self, scope: Scope<'_>, key: &str) -> Vec<String> {
        let mut names = Vec::new();
        for paths in scope.paths(key) {
            for place in self.places() {
                names.extend(paths.iter().flat_map(|path| place.names(path)));
            }
        }
        let absent: Vec<String> =
            self.absent_files().map(|path| path.display().to_string()).collect();
        if !absent.is_empty() {
            names.push(format!("files that do not exist: {}", absent.join(", ")));
        }
        if self.environment.variables().next().is_none() {
            // A library does not read the environment by itself: whoever set a variable must not be told to set it.
            names.push(NO_ENVIRONMENT.to_owned());
        }
        names
    }

    fn places(&self) -> [&dyn Place; 3] {
        [&self.environment, &self.secrets, &self.config]
    }
}

/// What stands among the places where the program handed no environment over.
const NO_ENVIRONMENT: &str =
    "no environment variables: hand them over with `.environment(std::env::vars_os())`";

/// A key as one text.
pub(super) fn dotted(path: &[&str]) -> String {
    path.join(".")
}

/// The environment as it was handed in.
#[derive(Clone)]
pub(super) struct Environment(BTreeMap<String, Secret>);

impl Environment {
    pub(super) fn new(variables: BTreeMap<String, Secret>) -> Self {
        Self(variables)
    }

    pub(super) fn variables(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// All of it, for plugins.
    pub(super) fn handed_on(&self) -> BTreeMap<String, Secret> {
        self.0.clone()
    }

    /// The variable of a key.
    pub(super) fn name(path: &[&str]) -> String {
        path.join("__").to_uppercase()
    }
}

impl Place for Environment {
    fn find(&self, path: &[&str]) -> Option<(SettingValue, Origin)> {
        let variable = Self::name(path);
        let value = SettingValue::Text(self.0.get(&variable)?.clone());
        Some((value, Origin::Environment { variable }))
    }

    fn names(&self, path: &[&str]) -> Vec<String> {
        match self.0.is_empty() {
            true => Vec::new(),
            false => vec![format!("environment variable {}", Self::name(path))],
        }
    }
}

/// What the program set: values by path. A text for a whole table may stand beside values for keys of that table.
#[derive(Clone, Default)]
pub(super) struct Code(BTreeMap<Vec<String>, SettingValue>);

impl Code {
    pub(super) fn set(&mut self, key: &str, value: SettingValue) {
        self.insert(key.split('.').map(str::to_owned).collect(), value);
    }

    fn insert(&mut self, path: Vec<String>, value: SettingValue) {
        match value {
            SettingValue::Map(map) => {
                for (name, value) in map {
                    let mut path = path.clone();
                    path.push(name);
                    self.insert(path, value);
                }
            }
            value => {
                self.0.insert(path, value);
            }
        }
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &[String]> {
        self.0.keys().map(Vec::as_slice)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &SettingValue> {
        self.0.values()
    }

    /// The values below a path, as tables in one another.
    fn table(&self, path: &[String]) -> BTreeMap<String, SettingValue> {
        let below: Vec<&Vec<String>> =
            self.0.keys().filter(|key| key.len() > path.len() && key.starts_with(path)).collect();
        let mut table = BTreeMap::new();
        for key in below {
            let inner = &key[..=path.len()];
            let value = match self.0.get(inner) {
                Some(value) => value.clone(),
                None => SettingValue::Map(self.table(inner)),
            };
            table.insert(key[path.len()].clone(), value);
        }
        table
    }
}

impl Place for Code {
    fn find(&self, path: &[&str]) -> Option<(SettingValue, Origin)> {
        let path: Vec<String> = path.iter().map(|name| (*name).to_owned()).collect();
        let value = self.0.get(&path).cloned().or_else(|| {
            let table = self.table(&path);
            (!table.is_empty()).then_some(SettingValue::Map(table))
        })?;
        Some((value, Origin::Code))
    }

    fn names(&self, _: &[&str]) -> Vec<String> {
        Vec::new()
    }
}
