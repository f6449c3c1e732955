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
            case: match settings.has_case_sensitive_identifiers {
                true => IdentifierCase::Sensitive,
                false => IdentifierCase::Upper,
            },
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
/// Azure, and nothing for Google Cloud Storage. A stage or an integration needs neither. An integration wants an address that has
/// the account in it, which that of a file in Azure need not have: there it has to be the one of a stage.
fn copies(integrated: bool, has_stage: bool) -> Vec<CopySource> {
    let integration = integrated.then_some(AccessKind::Integration);
    let keys = [AccessKind::TemporaryCredentials, AccessKind::Credentials];
    let storages = [
        (StorageKind::S3, integration.into_iter().chain(keys).collect()),
        (StorageKind::Gcs, Vec::from_iter(integration)),
        (
            StorageKind::Azure,
            // A storage that has a signature to give gives it as its credentials.
            integration
                .filter(|_| has_stage)
                .into_iter()
                .chain([AccessKind::Credentials])
                .collect(),
        ),
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
        "access":["integration","credentials"]}],
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
    fn without_a_stage_keys_open_s3_and_a_signature_azure() {
        let [s3, azure] = &with(&[]).copies[..] else { panic!("two storages") };
        assert_eq!((s3.storage, azure.storage), (StorageKind::S3, StorageKind::Azure));
        assert_eq!(s3.access, [AccessKind::TemporaryCredentials, AccessKind::Credentials]);
        assert_eq!(azure.access, [AccessKind::Credentials]);
        let [_, gcs, azure] = &with(&[("storage_integration", "LAKE")]).copies[..] else {
            panic!("three storages")
        };
        assert_eq!(
            (gcs.storage, &gcs.access[..]),
            (StorageKind::Gcs, &[AccessKind::Integration][..])
        );
        assert_eq!(azure.access, [AccessKind::Credentials], "an integration needs a stage there");
    }

    #[test]
    fn names_are_folded_unless_the_settings_keep_them() {
        assert_eq!(with(&[]).identifiers.case, IdentifierCase::Upper);
        let kept = with(&[("has_case_sensitive_identifiers", "true")]);
        assert_eq!(kept.identifiers.case, IdentifierCase::Sensitive);
    }
}
