//! How plugins are found by name.
//!
//! A plugin crate announces itself with [`register!`](crate::register); naming the crate in a program
//! (`use the_crate as _;`) is what links it. A registry can also be filled by hand.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::settings::{SettingKey, Settings};
use crate::{Destination, Error, ErrorKind, Result, StagingDestination};

/// The version of the contract. It is raised when a plugin must be changed to build.
pub const CONTRACT_VERSION: u32 = 1;

/// Makes a destination from its settings. Opens no connection.
pub type CreateDestination = fn(&Settings) -> Result<Arc<dyn Destination>>;

/// Makes a staging destination from its settings. Opens no connection.
pub type CreateStaging = fn(&Settings) -> Result<Arc<dyn StagingDestination>>;

/// What a plugin crate announces.
#[derive(Clone, Copy)]
pub struct Plugin {
    /// The name by which pipelines and configuration know it.
    pub name: &'static str,
    /// Other names for the same.
    pub aliases: &'static [&'static str],
    /// What it is, in one line.
    pub summary: &'static str,
    /// The crate: `env!("CARGO_PKG_NAME")`.
    pub package: &'static str,
    /// Its version: `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// [`CONTRACT_VERSION`], as the plugin saw it.
    pub contract: u32,
    /// Its settings, for the reference and for errors.
    pub settings: &'static [SettingKey],
    /// Makes the destination, if it is one.
    pub destination: Option<CreateDestination>,
    /// Makes the staging destination, if it is one.
    pub staging: Option<CreateStaging>,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("name", &self.name)
            .field("package", &self.package)
            .finish_non_exhaustive()
    }
}

inventory::collect!(Plugin);

/// Announces a [`Plugin`]. Call it once in a plugin crate, outside any function.
#[macro_export]
macro_rules! register {
    ($plugin:expr) => {
        $crate::inventory::submit! { $plugin }
    };
}

/// The plugins that can be found by name.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    plugins: BTreeMap<&'static str, Plugin>,
    clashes: BTreeMap<&'static str, Vec<&'static str>>,
    absent: BTreeMap<String, String>,
}

impl Registry {
    /// A registry without plugins.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The plugins that are linked into this program.
    pub fn linked() -> Self {
        inventory::iter::<Plugin>
            .into_iter()
            .fold(Self::empty(), |registry, plugin| registry.with(*plugin))
    }

    /// The same registry with one plugin more. Two plugins under one name are an error when that name is asked for.
    #[must_use]
    pub fn with(mut self, plugin: Plugin) -> Self {
        for name in std::iter::once(&plugin.name).chain(plugin.aliases) {
            match self.plugins.get(name) {
                Some(known) => {
                    let packages = self.clashes.entry(name).or_insert_with(|| vec![known.package]);
                    packages.push(plugin.package);
                    packages.sort_unstable();
                }
                None => {
                    self.plugins.insert(name, plugin);
                }
            }
        }
        self
    }

    /// The same registry, which knows of a plugin that is not in this build and what to do to have it.
    #[must_use]
    pub fn knowing(mut self, name: &str, remedy: &str) -> Self {
        self.absent.insert(name.to_owned(), remedy.to_owned());
        self
    }

    /// The plugins, each once, sorted by name.
    pub fn plugins(&self) -> impl Iterator<Item = &Plugin> {
        self.plugins.iter().filter(|(name, plugin)| **name == plugin.name).map(|(_, plugin)| plugin)
    }

    /// The names of plugins that are known but not in this build, with the remedy.
    pub fn absent(&self) -> impl Iterator<Item = (&str, &str)> {
        let missing =
            self.absent.iter().filter(|(name, _)| !self.plugins.contains_key(name.as_str()));
        missing.map(|(name, remedy)| (name.as_str(), remedy.as_str()))
    }

    /// The plugin of this name that is a destination.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where there is none, or more than one; it lists the names that there are.
    pub fn destination(&self, name: &str) -> Result<(&Plugin, CreateDestination)> {
        let plugin = self.find(name, "destination", |plugin| plugin.destination.is_some())?;
        let create = plugin.destination.ok_or_else(|| self.wrong_role(name, "destination"))?;
        Ok((plugin, create))
    }

    /// The plugin of this name that is a staging destination.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where there is none, or more than one; it lists the names that there are.
    pub fn staging(&self, name: &str) -> Result<(&Plugin, CreateStaging)> {
        let plugin = self.find(name, "staging destination", |plugin| plugin.staging.is_some())?;
        let create = plugin.staging.ok_or_else(|| self.wrong_role(name, "staging destination"))?;
        Ok((plugin, create))
    }

    fn find(
        &self,
        name: &str,
        role: &'static str,
        has_role: impl Fn(&Plugin) -> bool,
    ) -> Result<&Plugin> {
        if let Some(packages) = self.clashes.get(name) {
            return Err(Error::new(ErrorKind::Configuration, "two plugins have the same name")
                .with("name", name)
                .with("packages", packages.join(", "))
                .with_hint("leave one of the two out of this build"));
        }
        if let Some(plugin) = self.plugins.get(name) {
            if plugin.contract != CONTRACT_VERSION {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    "the plugin was built for another contract",
                )
                .with("name", name)
                .with("package", plugin.package)
                .with("its contract", plugin.contract)
                .with("ours", CONTRACT_VERSION)
                .with_hint("build it with the version of transload-core that this program has"));
            }
            return Ok(plugin);
        }
        let known: Vec<&str> =
            self.plugins().filter(|plugin| has_role(plugin)).map(|plugin| plugin.name).collect();
        let error = Error::new(ErrorKind::Configuration, format!("no such {role}"))
            .with("name", name)
            .with("known", if known.is_empty() { "none".to_owned() } else { known.join(", ") });
        Err(match self.absent.get(name) {
            Some(remedy) => error.with_hint(format!("`{name}` is not in this build: {remedy}")),
            None => {
                let candidates =
                    known.iter().copied().chain(self.absent.keys().map(String::as_str));
                let near = candidates
                    .map(|candidate| (distance(candidate, name), candidate))
                    .filter(|(edits, _)| *edits <= 2)
                    .min()
                    .map(|(_, candidate)| candidate);
                error.with_hint(match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!(
                        "write one of the names above, or link the crate that has it with `use the_crate as _;`; a name \
                         of your own needs `destination_type` under `[destination.{name}]`"
                    ),
                })
            }
        })
    }

    fn wrong_role(&self, name: &str, role: &str) -> Error {
        let known: Vec<&str> = self
            .plugins()
            .filter(|plugin| {
                if role == "destination" {
                    plugin.destination.is_some()
                } else {
                    plugin.staging.is_some()
                }
            })
            .map(|plugin| plugin.name)
            .collect();
        Error::new(ErrorKind::Configuration, format!("the plugin is no {role}"))
            .with("name", name)
            .with("known", known.join(", "))
    }
}

/// Edits that lead from one name to the other (Levenshtein), for "did you mean".
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuse(_: &Settings) -> Result<Arc<dyn Destination>> {
        Err(Error::new(ErrorKind::Unsupported, "not made for use"))
    }

    fn plugin(name: &'static str, package: &'static str) -> Plugin {
        Plugin {
            name,
            aliases: &[],
            summary: "a test",
            package,
            version: "1.0.0",
            contract: CONTRACT_VERSION,
            settings: &[],
            destination: Some(refuse),
            staging: None,
        }
    }

    #[test]
    fn plugins_are_listed_once_and_in_order() {
        let registry = Registry::empty()
            .with(Plugin { aliases: &["pg", "a_first"], ..plugin("postgres", "dest-postgres") })
            .with(plugin("duckdb", "dest-duckdb"));
        assert_eq!(
            registry.plugins().map(|plugin| plugin.name).collect::<Vec<_>>(),
            ["duckdb", "postgres"]
        );
        assert_eq!(registry.destination("pg").unwrap().0.name, "postgres");
    }

    #[test]
    fn an_unknown_name_lists_those_that_there_are() {
        let registry = Registry::empty().with(plugin("duckdb", "dest-duckdb"));
        let error = registry.destination("duckdbb").unwrap_err();
        assert_eq!(error.to_string(), "no such destination (name: duckdbb, known: duckdb)");
        assert_eq!(error.hint(), Some("did you mean `duckdb`?"));
    }

    #[test]
    fn a_plugin_that_is_not_in_this_build_names_its_remedy() {
        let registry = Registry::empty().knowing("redshift", "build with `--features redshift`");
        let error = registry.destination("redshift").unwrap_err();
        assert_eq!(
            error.hint(),
            Some("`redshift` is not in this build: build with `--features redshift`")
        );
        assert_eq!(registry.absent().collect::<Vec<_>>().len(), 1);
    }

    #[test]
    fn two_plugins_under_one_name_are_an_error_that_names_both() {
        let registry = Registry::empty().with(plugin("lake", "one")).with(plugin("lake", "two"));
        let error = registry.destination("lake").unwrap_err();
        assert_eq!(error.context("packages"), Some("one, two"));
    }

    #[test]
    fn a_plugin_of_another_contract_is_reported_by_name() {
        let registry = Registry::empty().with(Plugin { contract: 99, ..plugin("lake", "one") });
        assert_eq!(registry.destination("lake").unwrap_err().context("its contract"), Some("99"));
    }

    #[test]
    fn a_destination_is_no_staging_destination() {
        let registry = Registry::empty().with(plugin("lake", "one"));
        assert_eq!(
            registry.staging("lake").unwrap_err().message(),
            "the plugin is no staging destination"
        );
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("duckdb", "duckdb"), 0);
        assert_eq!(distance("redshit", "redshift"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
