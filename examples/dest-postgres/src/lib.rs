//! A stranger's destination for PostgreSQL 15 and later, on the contract and its toolkit for SQL alone.
//!
//! A load is one transaction: COPY brings each file into its table, or into a staging table from which it is merged.

mod classify;
mod client;
mod dialect;

use std::sync::Arc;

use transload_core::settings::Settings;
use transload_core::sql::SqlDestination;
use transload_core::{
    AccessKind, BinaryEncoding, BinaryLiteral, CONTRACT_VERSION, Capabilities, CopySource,
    DataType, FileFormat, IdentifierRules, LiteralRules, MergeStrategy, Plugin, ReplaceStrategy,
    Result, Secret, StorageKind, WriteDisposition, check_encrypted, settings,
};

pub use client::Postgres;
pub use dialect::PostgresDialect;

settings! {
    /// The login to a database of PostgreSQL.
    pub struct PostgresSettings {
        /// The server. Nothing is encrypted, so another machine needs `allow_insecure`.
        pub host: String = "localhost",
        /// Its port.
        pub port: u16 = "5432",
        /// The database.
        pub database: String,
        /// The user, who may make schemas in it.
        pub username: String,
        /// The password.
        pub password: Secret,
        /// Whether the server may be another machine.
        pub allow_insecure: bool = "false",
    }
}

transload_core::register!(Plugin {
    name: "postgres",
    aliases: &[],
    summary: "PostgreSQL on this machine, by COPY",
    package: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    contract: CONTRACT_VERSION,
    settings: PostgresSettings::KEYS,
    destination: Some(|settings| Ok(Arc::new(create(settings)?))),
    staging: None,
});

/// A database of PostgreSQL as a destination.
pub type PostgresDestination = SqlDestination<Postgres, PostgresDialect>;

/// The destination with these settings. It connects when it is first asked.
///
/// # Errors
/// [`Configuration`](transload_core::ErrorKind::Configuration) where a setting is missing or wrong.
pub fn create(settings: &Settings) -> Result<PostgresDestination> {
    let read: PostgresSettings = settings.read()?;
    check_encrypted(false, &read.host, read.allow_insecure, &settings.full_key("allow_insecure"))?;
    Ok(SqlDestination::new(Postgres::new(read), PostgresDialect, capabilities()))
}

fn capabilities() -> Capabilities {
    let formats = vec![FileFormat::Csv, FileFormat::InsertValues];
    Capabilities {
        loads: formats.clone(),
        // Staged files as well, which the engine fetches for it where they lie elsewhere.
        copies: vec![CopySource {
            storage: StorageKind::Local,
            formats,
            access: vec![AccessKind::LocalPaths],
        }],
        // Bytes are base64 in CSV, which COPY does not read: a table that has some goes by INSERT.
        not_carried: vec![(FileFormat::Csv, DataType::Binary)],
        write_dispositions: vec![
            WriteDisposition::Append,
            WriteDisposition::Replace,
            WriteDisposition::Merge,
        ],
        merge_strategies: vec![
            MergeStrategy::DeleteInsert,
            MergeStrategy::Upsert,
            MergeStrategy::InsertOnly,
            MergeStrategy::Scd2,
        ],
        replace_strategies: vec![
            ReplaceStrategy::TruncateAndInsert,
            ReplaceStrategy::InsertFromStaging,
            ReplaceStrategy::StagingOptimized,
        ],
        loads_in_publication: true,
        atomic_publication: true,
        decimal: (38, 9),
        wei: (76, 0),
        timestamp_precision: 6,
        literals: Some(LiteralRules {
            text_prefix: "E".into(),
            backslash_escapes: true,
            binary: BinaryLiteral {
                before: "'\\x".into(),
                encoding: BinaryEncoding::Hex,
                after: "'".into(),
            },
            json: (String::new(), String::new()),
        }),
        // 63 bytes, after which PostgreSQL cuts.
        identifiers: IdentifierRules { in_bytes: true, ..IdentifierRules::default() },
        ..Capabilities::default()
    }
}
