//! Where things are: the repository, its test stack, the user's cache.

use std::env;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure, Outcome};

/// The folders that tasks work in.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Asks the environment, not the compiled-in path: several clones may share one target folder,
    /// and then also the binary of this crate.
    pub(crate) fn locate() -> Outcome<Workspace> {
        let package = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        match package.as_deref().and_then(Path::parent) {
            Some(root) => Ok(Workspace { root: root.to_path_buf() }),
            None => Err(Failure::new("cannot tell where the repository is")
                .with_hint("start this program as `cargo xtask …`")),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The link to the DuckDB library that `.cargo/config.toml` names in `DUCKDB_LIB_DIR`.
    pub(crate) fn duckdb_link(&self) -> PathBuf {
        self.root.join(".duckdb")
    }

    /// What belongs to the running test stack of this clone.
    pub(crate) fn stack(&self) -> PathBuf {
        self.root.join(".stack")
    }

    /// What is fetched once for all clones of this user.
    pub(crate) fn cache(&self) -> Outcome<PathBuf> {
        // The XDG specification says to ignore a relative value.
        let explicit = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
        let folder = match explicit {
            Some(folder) => folder,
            None => env::home_dir().filter(|home| home.is_absolute()).map_or_else(
                || {
                    Err(Failure::new("this user has no home folder to keep a cache in")
                        .with_hint("set XDG_CACHE_HOME to an absolute path"))
                },
                |home| Ok(home.join(".cache")),
            )?,
        };
        Ok(folder.join("transload"))
    }

    /// A path as a user in the repository would write it.
    pub(crate) fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }

    /// Reads a text file of the repository.
    pub(crate) fn read(&self, path: &str) -> Outcome<String> {
        std::fs::read_to_string(self.root.join(path)).context(|| format!("cannot read {path}"))
    }
}
