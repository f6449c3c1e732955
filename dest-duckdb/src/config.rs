//! The settings of the destination.

use std::collections::BTreeMap;
use std::path::PathBuf;

use transload_core::settings::Settings;
use transload_core::{Error, ErrorKind, Result, settings};

settings! {
    /// The settings of destination `duckdb`.
    pub struct DuckDbSettings {
        /// The database, as a path or as `duckdb:///path`, where dlt's configuration has it.
        pub credentials: DuckDbCredentials,
        /// The file of the database, made where it is missing. A relative path starts in the working folder.
        /// By default `<pipeline>.duckdb`.
        pub database: Option<String>,
        /// How many threads DuckDB uses. By default one for each core.
        pub threads: Option<u32>,
        /// How much memory DuckDB uses, for example `4GB`. By default 80% of what the machine has.
        pub memory_limit: Option<String>,
    }
}

settings! {
    /// How dlt names the database.
    pub struct DuckDbCredentials (from_text = database_from_text) {
        /// The file of the database.
        pub database: Option<String>,
    }
}

/// What a database is opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) path: PathBuf,
    pub(crate) threads: Option<u32>,
    pub(crate) memory_limit: Option<String>,
}

/// Reads the settings and finds the file.
pub(crate) fn read(settings: &Settings) -> Result<Config> {
    let DuckDbSettings { credentials, database, threads, memory_limit } = settings.read()?;
    let (key, path) = match (credentials.database, database) {
        (Some(path), _) => ("credentials.database", path),
        (None, Some(path)) => ("database", path),
        (None, None) => ("database", format!("{}.duckdb", settings.pipeline)),
    };
    // Someone may have written the URL into the key itself.
    let path = match path.starts_with("duckdb:") {
        true => path_of(&path).map_err(|reason| settings.wrong(key, reason))?,
        false => path,
    };
    check(&path).map_err(|reason| settings.wrong(key, reason))?;
    if threads == Some(0) {
        return Err(settings.wrong("threads", "there must be one"));
    }
    Ok(Config { path: settings.path(path), threads, memory_limit })
}

/// A path, or a URL as SQLAlchemy writes it: `duckdb:///relative`, `duckdb:////absolute`.
fn database_from_text(text: &str) -> Result<BTreeMap<String, String>> {
    let path = path_of(text).map_err(|reason| {
        Error::new(ErrorKind::Configuration, "the name of the database cannot be read")
            .with("reason", reason)
            .with_hint("write a path, or `duckdb:///path`")
    })?;
    Ok(BTreeMap::from([("database".to_owned(), path)]))
}

fn path_of(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let Some(rest) = text.strip_prefix("duckdb:") else { return Ok(text.to_owned()) };
    if rest.contains('?') {
        return Err("options are keys of their own, such as `threads`");
    }
    match rest.strip_prefix("//") {
        None => Ok(rest.to_owned()),
        Some(rest) => rest
            .strip_prefix('/')
            .map(str::to_owned)
            .ok_or("a file has no host: write three slashes"),
    }
}

fn check(path: &str) -> Result<(), &'static str> {
    match path {
        "" => Err("it is empty"),
        // A load must outlive the process: what is committed is not loaded again.
        ":memory:" => Err("a database in memory is gone with the process, and the load with it"),
        _ if path.starts_with(':') => Err("such names mean something to dlt only: write a path"),
        _ if path.starts_with("md:") || path.starts_with("motherduck:") => {
            Err("MotherDuck is not supported: write a path")
        }
        _ if path.contains('\0') => Err("it is no path"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<Config> {
        let mut settings = Settings::from_pairs("duckdb", pairs);
        settings.folder = "/data".into();
        settings.pipeline = "chess".into();
        read(&settings)
    }

    #[test]
    fn the_database_is_found() {
        for (pairs, path) in [
            (&[][..], "/data/chess.duckdb"),
            (&[("database", "a/b.db")], "/data/a/b.db"),
            (&[("database", "/a/b.db")], "/a/b.db"),
            (&[("credentials.database", "c.db"), ("database", "d.db")], "/data/c.db"),
            (&[("database", "duckdb:////a/b.db")], "/a/b.db"),
        ] {
            assert_eq!(config(pairs).unwrap().path, PathBuf::from(path));
        }
    }

    #[test]
    fn a_text_stands_for_the_credentials() {
        for (text, path) in [
            ("chess.duckdb", "chess.duckdb"),
            ("duckdb:///chess.duckdb", "chess.duckdb"),
            ("duckdb:////data/chess.duckdb", "/data/chess.duckdb"),
            ("duckdb:chess.duckdb", "chess.duckdb"),
        ] {
            assert_eq!(database_from_text(text).unwrap()["database"], path);
        }
        for text in ["duckdb://host/path", "duckdb:///a?threads=1"] {
            assert_eq!(database_from_text(text).unwrap_err().kind(), ErrorKind::Configuration);
        }
    }

    #[test]
    fn what_is_no_file_is_refused_with_a_reason() {
        for name in [":memory:", "", ":pipeline:", "md:chess"] {
            let error = config(&[("database", name)]).unwrap_err();
            assert_eq!(error.context("key"), Some("destination.duckdb.database"), "{name}");
        }
        assert!(config(&[("threads", "0")]).is_err());
    }
}
