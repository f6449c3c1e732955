//! What Snowflake can do.

use transload_core::{
    AccessKind, Capabilities, CopySource, DataType, FileFormat, IdentifierCase, IdentifierRules,
    MergeStrategy, ReplaceStrategy, StorageKind, WriteDisposition,
};

use crate::SnowflakeSettings;

/// What Snowflake can do with these settings. Pages are those of the Snowflake documentation.
pub(crate) fn capabilities(settings: &SnowflakeSettings) -> Capabilities {
    let integrated = settings.stage_name.is_some() || settings.storage_integration.is_some();
    Capabilities {
        // "PUT" and "COPY INTO <table>", from an internal stage.
        loads: FORMATS.to_vec(),
        copies: copies(integrated, settings.stage_name.is_some()),
        not_carried: vec![
            // A text in a VARIANT, not what it says.
            (FileFormat::Parquet, DataType::Json),
            (FileFormat::Csv, DataType::Json),
        ],
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
            // dlt clones a staging table. "CREATE <object> … CLONE" and "ALTER TABLE … SWAP WITH" are DDL, which commits: the
            // tables of a load would change one after the other. Emptied and filled in the transaction, a table costs no more,
            // and keeps its grants.
            ReplaceStrategy::StagingOptimized,
        ],
        // "Transactions": COPY, INSERT and MERGE take part in them; DDL does not, and all of it runs before.
        loads_in_publication: true,
        atomic_publication: true,
        identifiers: IdentifierRules {
            // "Identifier requirements": 255 characters, and upper case where there are no quotes.
            case: IdentifierCase::Upper,
            max_table_length: 255,
            max_column_length: 255,
            in_bytes: false,
        },
        // "Numeric data types": a NUMBER has at most 38 digits.
        decimal: (38, 9),
        wei: (38, 0),
        // "Date & time data types": nine where a column says so. Six is what others and dlt's columns have.
        timestamp_precision: 6,
        // "Limits on Query Text Size": longer statements run, but are cut in the history.
        max_statement_bytes: Some(1_000_000),
        // "Preparing your data files": 100 to 250 MB compressed.
        file_bytes: Some(200_000_000),
        ..Capabilities::default()
    }
}

const FORMATS: [FileFormat; 3] = [FileFormat::Parquet, FileFormat::Jsonl, FileFormat::Csv];

/// "COPY INTO <table>", formatTypeOptions and cloud provider parameters: COPY takes keys for S3 and a SAS token for
/// Azure, and nothing for Google Cloud Storage. A stage or an integration needs neither. The contract hands over keys of
/// the S3 kind alone, so that Azure needs a stage: an integration wants an address that has the account in it.
fn copies(integrated: bool, has_stage: bool) -> Vec<CopySource> {
    let integration = integrated.then_some(AccessKind::Integration);
    let keys = [AccessKind::TemporaryCredentials, AccessKind::Credentials];
    let storages = [
        (StorageKind::S3, integration.into_iter().chain(keys).collect()),
        (StorageKind::Gcs, Vec::from_iter(integration)),
        (StorageKind::Azure, Vec::from_iter(integration.filter(|_| has_stage))),
    ];
    let open = storages.into_iter().filter(|(_, access)| !access.is_empty());
    open.map(|(storage, access)| CopySource { storage, formats: FORMATS.to_vec(), access })
        .collect()
}

#[cfg(test)]
mod tests {
    use transload_core::settings::Settings;

    use super::*;
    use crate::config::{self, tests::COMPLETE};

    fn with(more: &[(&str, &str)]) -> Capabilities {
        let pairs = [&COMPLETE[..], more].concat();
        capabilities(&config::read(&Settings::from_pairs("snowflake", &pairs)).unwrap())
    }

    #[test]
    fn the_capabilities_are_these() {
        let json = serde_json::to_string(&with(&[("stage_name", "LAKE")])).unwrap();
        insta::assert_snapshot!(json.replace("],\"", "],\n\""), @r#"
        {"loads":["parquet","jsonl","csv"],
        "copies":[{"storage":"s3","formats":["parquet","jsonl","csv"],
        "access":["integration","temporary_credentials","credentials"]},{"storage":"gcs","formats":["parquet","jsonl","csv"],
        "access":["integration"]},{"storage":"azure","formats":["parquet","jsonl","csv"],
        "access":["integration"]}],
        "not_carried":[["parquet","json"],["csv","json"]],
        "write_dispositions":["append","replace","merge"],
        "merge_strategies":["delete-insert","upsert","insert-only","scd2"],
        "replace_strategies":["truncate-and-insert","insert-from-staging","staging-optimized"],
        "loads_in_publication":true,"atomic_publication":true,"max_tables_in_publication":null,"identifiers":{"case":"upper","max_table_length":255,"max_column_length":255,"in_bytes":false},"decimal":[38,9],
        "wei":[38,0],
        "timestamp_precision":6,"max_statement_bytes":1000000,"literals":null,"file_bytes":200000000,"max_parallel_jobs":null}
        "#);
    }

    #[test]
    fn without_a_stage_only_s3_is_open() {
        let [s3] = &with(&[]).copies[..] else { panic!("one storage") };
        assert_eq!(s3.storage, StorageKind::S3);
        assert_eq!(s3.access, [AccessKind::TemporaryCredentials, AccessKind::Credentials]);
    }
}
