//! Where settings come from: files, the environment and the program, in dlt's order.
//!
//! [`Layers`] reads the places once. [`Layers::resolve`] then looks up the keys of a plugin and hands over
//! [`Settings`](transload_core::settings::Settings), [`Layers::read_section`] reads the settings of the engine.
//!
//! The order is that of dlt: the program first; then, with the name of the pipeline as the outermost section and
//! after that without it, the environment, `secrets.toml` and `config.toml`. In each of them the sections are dropped
//! from the right until the key is found.

mod files;
mod lookup;
mod report;
mod resolve;
mod unknown;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use transload_core::settings::{SettingKey, SettingValue};
use transload_core::{Result, Secret};

pub use report::{Line, State, report, secrets_of, warnings};

use files::Files;
use lookup::{Code, Environment};

/// The folders that hold `secrets.toml` and `config.toml`; the first has priority.
const FOLDERS: [&str; 2] = [".transload", ".dlt"];

/// Every place that settings can come from, read and ready to be asked.
#[derive(Clone)]
pub struct Layers {
    code: Code,
    environment: Environment,
    secrets: Files,
    config: Files,
    folder: PathBuf,
    shared_keys: Vec<&'static [SettingKey]>,
}

impl Layers {
    /// Layers without any place. What shall be read must be named.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Sets a value from the program, which outranks every other place. The key is the whole one:
    /// `destination.redshift.credentials`.
    pub fn set(&mut self, key: &str, value: SettingValue) {
        self.code.set(key, value);
    }

    /// The folder that relative paths start from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The files that were read; the first has priority.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.secrets.paths().chain(self.config.paths())
    }

    /// The files that would have been read but do not exist.
    pub fn absent_files(&self) -> impl Iterator<Item = &Path> {
        self.secrets.absent().chain(self.config.absent())
    }
}

impl fmt::Debug for Layers {
    /// Names the places and nothing that stands in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers")
            .field("files", &self.files().collect::<Vec<_>>())
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}

/// Says what [`Layers`] shall read.
#[derive(Default)]
pub struct Builder {
    code: Code,
    environment: BTreeMap<String, Secret>,
    project: Option<PathBuf>,
    home: Option<PathBuf>,
    folder: Option<PathBuf>,
    shared_keys: Vec<&'static [SettingKey]>,
}

impl Builder {
    /// The environment, for example `std::env::vars_os()`. Variables that are not UTF-8 are left out.
    #[must_use]
    pub fn environment<N: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        for (name, value) in variables {
            if let (Ok(name), Ok(value)) = (name.into().into_string(), value.into().into_string()) {
                self.environment.insert(name, Secret::new(value));
            }
        }
        self
    }

    /// The folder of the project: its `.transload/` and, where there is one, its `.dlt/` are read.
    #[must_use]
    pub fn project(mut self, folder: impl Into<PathBuf>) -> Self {
        self.project = Some(folder.into());
        self
    }

    /// The home folder, read like that of the project, with less priority.
    #[must_use]
    pub fn home(mut self, folder: impl Into<PathBuf>) -> Self {
        self.home = Some(folder.into());
        self
    }

    /// The folder that relative paths start from; that of the project where none is given.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// A value from the program, see [`Layers::set`].
    #[must_use]
    pub fn value(mut self, key: &str, value: SettingValue) -> Self {
        self.code.set(key, value);
        self
    }

    /// Keys of the engine that may stand in the section of any destination beside those of its plugin.
    #[must_use]
    pub fn shared_keys(mut self, keys: &'static [SettingKey]) -> Self {
        self.shared_keys.push(keys);
        self
    }

    /// Reads the files.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](transload_core::ErrorKind::Configuration) where a file cannot be read or is not
    /// TOML; it names the place in the file and shows nothing of it.
    pub fn build(self) -> Result<Layers> {
        let mut folders: Vec<PathBuf> = Vec::new();
        for above in [&self.project, &self.home].into_iter().flatten() {
            let [own, dlt] = FOLDERS.map(|name| above.join(name));
            let dlt = dlt.is_dir().then_some(dlt);
            for folder in std::iter::once(own).chain(dlt) {
                if !folders.contains(&folder) {
                    folders.push(folder);
                }
            }
        }
        Ok(Layers {
            code: self.code,
            environment: Environment::new(self.environment),
            secrets: Files::read("secrets.toml", &folders)?,
            config: Files::read("config.toml", &folders)?,
            folder: self.folder.or(self.project).unwrap_or_default(),
            shared_keys: self.shared_keys,
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("project", &self.project)
            .field("home", &self.home)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
