//! What BigQuery can do.

use transload_core::{
    AccessKind, Capabilities, CopySource, DataType, FileFormat, IdentifierCase, IdentifierRules,
    MergeStrategy, PublicationText, ReplaceStrategy, StorageKind, WriteDisposition,
};

use crate::BigQuerySettings;
use crate::dialect::TEXT_BYTES;
use crate::script::{AROUND_STEP, SCRIPT_BYTES};

/// What BigQuery can do with these settings. Pages are those of the BigQuery documentation.
pub(crate) fn capabilities(settings: &BigQuerySettings) -> Capabilities {
    let per_table = settings.is_per_table();
    // Load jobs into the tables themselves find the columns of CSV by their place in the table.
    let mut formats = vec![FileFormat::Parquet, FileFormat::Jsonl, FileFormat::Csv];
    formats.retain(|format| !per_table || *format != FileFormat::Csv);
    let mut claimed = Capabilities {
        // "Batch loading data", from local files.
        loads: formats.clone(),
        copies: vec![CopySource {
            // "Batch loading data": a load job takes only `gs://` URIs.
            storage: StorageKind::Gcs,
            formats,
            // "Loading Parquet data from Cloud Storage", permissions: who starts the job must be able to read the
            // bucket. A load job has no place for other keys.
            access: vec![AccessKind::OwnIdentity],
        }],
        // "Loading Parquet data from Cloud Storage", type conversions: none of them ends in JSON.
        not_carried: vec![(FileFormat::Parquet, DataType::Json)],
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
        ],
        // Load jobs are no statements, and cannot be part of a transaction.
        loads_in_publication: false,
        atomic_publication: true,
        // "Multi-statement transactions": at most 100 tables change. Fence, commit, loads, schema and state take five.
        max_tables_in_publication: Some(95),
        // "Quotas and limits", standard tables.
        max_columns: Some(10_000),
        // The script is reckoned in plain SQL: a tenth of it is left for what BigQuery writes at greater length.
        publication_text: Some(PublicationText {
            bytes: SCRIPT_BYTES / 10 * 9,
            around_step: AROUND_STEP,
            qualifier: settings.project().len() + "``.".len(),
            longest_value: Some(TEXT_BYTES),
        }),
        identifiers: IdentifierRules {
            // "Lexical structure", case sensitivity: tables as the dataset says, columns never. The contract has one
            // rule for both, and columns that differ in case alone are rarer than such tables.
            case: if settings.has_case_sensitive_identifiers {
                IdentifierCase::Sensitive
            } else {
                IdentifierCase::Insensitive
            },
            // "Create and use tables": 1,024 bytes of UTF-8. "Specify a schema": 300 characters.
            max_table_length: 1024,
            max_column_length: 300,
            in_bytes: false,
        },
        // "Data types", decimal types: NUMERIC has 38 digits, 9 of them behind the point, BIGNUMERIC 76 and 38.
        decimal: (38, 9),
        wei: (76, 38),
        // "Data types", timestamp type: microseconds.
        timestamp_precision: 6,
        // "Quotas and limits", query jobs: an unresolved query has at most 1 MB.
        max_statement_bytes: Some(SCRIPT_BYTES),
        // Large enough for few files and small enough to be sent again. The limit is 4 GB where text is compressed
        // ("Quotas and limits", load jobs).
        file_bytes: Some(256 << 20),
        // "Loading Parquet data from Cloud Storage", input file requirements: row groups of 16 MiB at least. A narrow
        // table has a million rows in them; the engine cuts those of wide ones.
        row_group_rows: Some(1 << 20),
        ..Capabilities::default()
    };
    if per_table {
        // Its load jobs are what publishes: each table by itself, and a merge moves rows by statements.
        claimed.write_dispositions = vec![WriteDisposition::Append, WriteDisposition::Replace];
        claimed.merge_strategies.clear();
        claimed.replace_strategies = vec![ReplaceStrategy::TruncateAndInsert];
        claimed.loads_in_publication = true;
        claimed.atomic_publication = false;
        claimed.max_tables_in_publication = None;
        claimed.publication_text = None;
    }
    claimed
}

#[cfg(test)]
mod tests {
    use transload_core::settings::Settings;

    use super::*;
    use crate::config;

    fn with(pair: (&str, &str)) -> Capabilities {
        let settings = Settings::from_pairs("bigquery", &[("project_id", "p"), pair]);
        capabilities(&config::read(&settings).unwrap())
    }

    #[test]
    fn the_capabilities_are_these() {
        let json = serde_json::to_string(&with(("location", "EU"))).unwrap();
        insta::assert_snapshot!(json.replace("],\"", "],\n\""), @r#"
        {"loads":["parquet","jsonl","csv"],
        "copies":[{"storage":"gcs","formats":["parquet","jsonl","csv"],
        "access":["own_identity"]}],
        "not_carried":[["parquet","json"]],
        "write_dispositions":["append","replace","merge"],
        "merge_strategies":["delete-insert","upsert","insert-only","scd2"],
        "replace_strategies":["truncate-and-insert","insert-from-staging"],
        "loads_in_publication":false,"atomic_publication":true,"max_tables_in_publication":95,"max_columns":10000,"publication_text":{"bytes":900000,"around_step":260,"qualifier":4,"longest_value":300000},"identifiers":{"case":"sensitive","max_table_length":1024,"max_column_length":300,"in_bytes":false},"decimal":[38,9],
        "wei":[76,38],
        "timestamp_precision":6,"max_statement_bytes":1000000,"literals":null,"file_bytes":268435456,"row_group_rows":1048576,"max_parallel_jobs":null}
        "#);
    }

    #[test]
    fn tables_that_are_published_one_by_one_are_not_merged() {
        let claimed = with(("publication", "per_table"));
        let all = with(("location", "EU"));
        assert!(claimed.loads_in_publication && !claimed.atomic_publication);
        assert_eq!(claimed.write_dispositions, all.write_dispositions[..2]);
        assert_eq!((claimed.max_tables_in_publication, claimed.loads.len()), (None, 2));
        assert!(claimed.merge_strategies.is_empty() && all.atomic_publication);
    }

    #[test]
    fn datasets_may_be_told_not_to_look_at_case() {
        let insensitive = with(("has_case_sensitive_identifiers", "false"));
        assert_eq!(insensitive.identifiers.case, IdentifierCase::Insensitive);
    }
}
