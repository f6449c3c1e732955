//! Keys that no plugin has: a misspelt one must not be passed over in silence, and one that only dlt knows is named.

use transload_core::registry::distance;
use transload_core::settings::{SettingKey, SettingKind};
use transload_core::{Error, ErrorKind, Result};

use super::Layers;
use super::files::File;
use super::lookup::{Environment, dotted};

/// Keys that belong to the destination, not to its plugin.
const OWN: [&str; 2] = ["destination_type", "destination_name"];

/// The table of a destination that holds its credentials.
const CREDENTIALS: &str = "credentials";

/// Keys that dlt reads and no plugin of ours does: an existing project may have them. Where a plugin declares one of
/// them after all, its word counts.
struct Dlt {
    /// The destination that has the keys; empty where all have them.
    plugin: &'static str,
    /// Keys of its section.
    keys: &'static [&'static str],
    /// Keys of its credentials.
    credentials: &'static [&'static str],
}

/// From the classes that dlt 1.x resolves for each destination. Keys that say where data goes are not among them: of
/// `staging_config`, say, nobody would notice that it is not used.
const DLT: [Dlt; 6] = [
    Dlt {
        plugin: "",
        keys: &[
            "environment",
            "replace_strategy",
            "enable_dataset_name_normalization",
            "info_tables_query_threshold",
            "truncate_tables_on_staging_destination_before_load",
        ],
        credentials: &[],
    },
    Dlt {
        plugin: "filesystem",
        keys: &[
            "read_only",
            "kwargs",
            "client_kwargs",
            "config_kwargs",
            "as_staging_destination",
            "current_datetime",
            "extra_placeholders",
            "always_refresh_views",
            "deltalake_storage_options",
            "deltalake_configuration",
            "deltalake_streamed_exec",
            "iceberg_table_properties",
            "iceberg_namespace_properties",
            "hf_dataset_card",
        ],
        // Of all stores: a project keeps those of several in one table.
        credentials: &[
            "azure_sas_token_permissions",
            "type",
            "token_uri",
            "auth_uri",
            "client_type",
            "client_id",
            "client_secret",
            "refresh_token",
            "scopes",
            "token",
            "auth_provider_x509_cert_url",
            "client_x509_cert_url",
            "universe_domain",
            "hf_token",
            "hf_endpoint",
            "sftp_port",
            "sftp_username",
            "sftp_password",
            "sftp_key_filename",
            "sftp_key_passphrase",
            "sftp_timeout",
            "sftp_banner_timeout",
            "sftp_auth_timeout",
            "sftp_channel_timeout",
            "sftp_allow_agent",
            "sftp_look_for_keys",
            "sftp_compress",
            "sftp_gss_auth",
            "sftp_gss_kex",
            "sftp_gss_deleg_creds",
            "sftp_gss_host",
            "sftp_gss_trust_dns",
        ],
    },
    Dlt {
        plugin: "redshift",
        keys: &["create_indexes", "csv_format"],
        credentials: &["drivername", "query"],
    },
    Dlt {
        plugin: "snowflake",
        keys: &["csv_format", "enable_atomic_swap", "use_decfloat"],
        credentials: &["drivername", "query", "port", "application"],
    },
    Dlt {
        plugin: "bigquery",
        keys: &[
            "should_set_case_sensitivity_on_new_dataset",
            "batch_size",
            "autodetect_schema",
            "ignore_unknown_values",
        ],
        // The last three are in the file of every service account; dlt passes over them.
        credentials: &[
            "type",
            "token_uri",
            "auth_uri",
            "client_type",
            "client_id",
            "client_secret",
            "refresh_token",
            "scopes",
            "token",
            "auth_provider_x509_cert_url",
            "client_x509_cert_url",
            "universe_domain",
        ],
    },
    Dlt {
        plugin: "duckdb",
        keys: &["create_indexes"],
        credentials: &[
            "drivername",
            "query",
            "username",
            "password",
            "host",
            "port",
            "read_only",
            "extensions",
            "global_config",
            "pragmas",
            "local_config",
        ],
    },
];

/// Of a path below the section of a destination, the part that is a key of dlt's: what is below that belongs to it.
pub(super) fn of_dlt<'p, 'n>(plugin: &str, path: &'p [&'n str]) -> Option<&'p [&'n str]> {
    let lists = || DLT.iter().filter(|dlt| [plugin, ""].contains(&dlt.plugin));
    match path {
        [CREDENTIALS, key, ..] => {
            lists().any(|dlt| dlt.credentials.contains(key)).then_some(&path[..2])
        }
        [key, ..] => lists().any(|dlt| dlt.keys.contains(key)).then_some(&path[..1]),
        [] => None,
    }
}

/// What is said of a key of dlt's.
pub(super) fn not_used(key: &str, place: &str) -> String {
    format!("dlt's setting `{key}` has no meaning here and is not used ({place})")
}

/// Looks at the section of the destination in each file and in the environment. Of the keys that no plugin has, those
/// of dlt are warnings and the first other one is the error.
pub(super) fn check(
    layers: &Layers,
    pipeline: &str,
    name: &str,
    plugin: &str,
    keys: &[SettingKey],
) -> Result<Vec<String>> {
    let shared = layers.shared_keys.iter().flat_map(|keys| keys.iter());
    let known: Vec<SettingKey> = keys.iter().chain(shared).copied().collect();
    let mut look = Look { plugin, known: &known, warnings: Vec::new() };
    let sections: &[&[&str]] = &[&["destination", name], &[pipeline, "destination", name]];
    let sections = if pipeline.is_empty() { &sections[..1] } else { sections };
    for section in sections {
        for file in layers.secrets.files().iter().chain(layers.config.files()) {
            look.at_file(file, section)?;
        }
        look.at_environment(&layers.environment, section)?;
        for path in layers.code.paths() {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            if let Some(inner) = path.strip_prefix(*section)
                && is_unknown(inner, &known)
            {
                look.at_unknown(section, inner, "code")?;
            }
        }
    }
    Ok(look.warnings)
}

/// What is looked for, and what was found.
struct Look<'a> {
    plugin: &'a str,
    known: &'a [SettingKey],
    warnings: Vec<String>,
}

impl Look<'_> {
    fn at_file(&mut self, file: &File, section: &[&str]) -> Result<()> {
        let mut unknown: Vec<(usize, Vec<&str>)> = file
            .lines
            .iter()
            .filter_map(|(path, line)| {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                let inner = path.strip_prefix(section)?;
                is_unknown(inner, self.known).then(|| (*line, inner.to_vec()))
            })
            .collect();
        // By line, and a table before its keys.
        unknown.sort_by_key(|(line, inner)| (*line, inner.len()));
        let mut tables: Vec<&[&str]> = Vec::new();
        for (line, inner) in &unknown {
            if tables.iter().any(|table| inner.starts_with(table)) {
                continue;
            }
            self.at_unknown(section, inner, &format!("{}:{line}", file.path.display()))?;
            tables.push(of_dlt(self.plugin, inner).unwrap_or(inner));
        }
        Ok(())
    }

    fn at_environment(&mut self, environment: &Environment, section: &[&str]) -> Result<()> {
        let prefix = format!("{}__", Environment::name(section));
        for (variable, _) in environment.variables() {
            let Some(inner) = variable.strip_prefix(&prefix) else { continue };
            // Names have no lower case in the environment: compared is what the keys would be called there.
            let inner: Vec<String> = inner.split("__").map(str::to_lowercase).collect();
            let inner: Vec<&str> = inner.iter().map(String::as_str).collect();
            let known_there = !is_unknown(&inner, self.known)
                || names(self.known, "").iter().any(|name| {
                    let path: Vec<&str> = section.iter().copied().chain(name.split('.')).collect();
                    Environment::name(&path) == variable
                });
            if !known_there {
                self.at_unknown(section, &inner, &format!("environment variable {variable}"))?;
            }
        }
        Ok(())
    }

    fn at_unknown(&mut self, section: &[&str], inner: &[&str], place: &str) -> Result<()> {
        match of_dlt(self.plugin, inner).filter(|key| is_unknown(key, self.known)) {
            Some(key) => {
                self.warnings.push(not_used(&dotted(&[section, key].concat()), place));
                Ok(())
            }
            None => Err(no_such_setting(section, inner, self.known).with("in", place)),
        }
    }
}

fn is_unknown(path: &[&str], known: &[SettingKey]) -> bool {
    match path {
        [name] if OWN.contains(name) => false,
        _ => !leads_somewhere(path, known),
    }
}

fn leads_somewhere(path: &[&str], known: &[SettingKey]) -> bool {
    let [name, rest @ ..] = path else { return true };
    match known.iter().find(|key| key.name == *name).map(|key| key.kind) {
        Some(SettingKind::Group(group)) => leads_somewhere(rest, group.keys),
        Some(SettingKind::Map) => true,
        Some(_) => rest.is_empty(),
        None => false,
    }
}

fn no_such_setting(section: &[&str], path: &[&str], known: &[SettingKey]) -> Error {
    let (name, tables) = path.split_last().map_or(("", path), |(last, tables)| (*last, tables));
    let level = level(tables, known);
    let error = Error::new(ErrorKind::Configuration, "there is no such setting")
        .with("key", dotted(&[section, path].concat()));
    let elsewhere = names(known, "").into_iter().find(|key| {
        key.rsplit_once('.').is_some_and(|(_, last)| last == name)
            && !level.iter().any(|k| k.name == name)
    });
    match elsewhere {
        Some(key) => error.with_hint(format!("did you mean `{}.{key}`?", dotted(section))),
        None => suggest(error, name, level.iter().map(|key| key.name)),
    }
}

/// The keys of the innermost group that a path leads to.
fn level<'a>(tables: &[&str], known: &'a [SettingKey]) -> &'a [SettingKey] {
    let [name, rest @ ..] = tables else { return known };
    match known.iter().find(|key| key.name == *name).map(|key| key.kind) {
        Some(SettingKind::Group(group)) => level(rest, group.keys),
        _ => &[],
    }
}

/// Every key, with those of the groups around it.
pub(super) fn names(keys: &[SettingKey], above: &str) -> Vec<String> {
    let join = transload_core::settings::join_key;
    keys.iter()
        .flat_map(|key| {
            let name = join(above, key.name);
            match key.kind {
                SettingKind::Group(group) => {
                    let inner = names(group.keys, &name);
                    std::iter::once(name).chain(inner).collect()
                }
                _ => vec![name],
            }
        })
        .collect()
}

/// Names the known key that is meant, or else all of them.
pub(super) fn suggest<'a>(
    error: Error,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Error {
    let near = known
        .clone()
        .map(|key| (distance(key, name), key))
        .filter(|(edits, key)| *edits <= 2 && *edits < key.len())
        .min();
    match near {
        Some((_, key)) => error.with_hint(format!("did you mean `{key}`?")),
        None => {
            let known: Vec<&str> = known.collect();
            error.with("known", if known.is_empty() { "none".into() } else { known.join(", ") })
        }
    }
}
