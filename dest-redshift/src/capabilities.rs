//! What Redshift can do.

use std::num::NonZeroUsize;

use transload_core::{
    AccessKind, BinaryEncoding, BinaryLiteral, Capabilities, CopySource, DataType, FileFormat,
    IdentifierCase, IdentifierRules, LiteralRules, MergeStrategy, ReplaceStrategy, StorageKind,
    WriteDisposition,
};

use crate::copy::CopyRules;
use crate::{RedshiftSettings, TextSize};

/// What Redshift can do with these settings. "Guide" is the Amazon Redshift Database Developer Guide.
pub(crate) fn capabilities(settings: &RedshiftSettings, copy: &CopyRules) -> Capabilities {
    Capabilities {
        // Guide, "Use a multi-row insert".
        loads: vec![FileFormat::InsertValues],
        copies: vec![CopySource {
            // Guide, "COPY from Amazon S3": the only bucket that COPY reads.
            storage: StorageKind::S3,
            // Guide, "Data format parameters". What cannot be had with these settings is refused when the load is planned.
            formats: [FileFormat::Parquet, FileFormat::Jsonl, FileFormat::Csv]
                .into_iter()
                .filter(|format| copy.takes(*format))
                .collect(),
            access: access(settings),
        }],
        // Guide, "Using a manifest to specify data files".
        copies_by_list: true,
        not_carried: vec![
            // COPY has no conversion into TIME for these two; in CSV it is text. Source: dlt, `RedshiftTypeMapper`.
            (FileFormat::Parquet, DataType::Time),
            (FileFormat::Jsonl, DataType::Time),
            // Guide, "Loading a column of the VARBYTE data type": from CSV (as hexadecimal), Parquet and ORC.
            (FileFormat::Jsonl, DataType::Binary),
            // Bytes are base64 in our text formats.
            (FileFormat::Csv, DataType::Binary),
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
        ],
        // Guide, "COPY": it takes part in transactions, and so does INSERT.
        loads_in_publication: true,
        atomic_publication: true,
        identifiers: IdentifierRules {
            // Guide, "Names and identifiers" and "enable_case_sensitive_identifier".
            case: if settings.has_case_sensitive_identifiers {
                IdentifierCase::Sensitive
            } else {
                IdentifierCase::Lower
            },
            // Guide, "Names and identifiers": 127 bytes.
            max_table_length: 127,
            max_column_length: 127,
            in_bytes: true,
        },
        // Guide, "Numeric types": a DECIMAL has at most 38 digits.
        decimal: (38, 9),
        wei: (38, 0),
        // Guide, "Datetime types": microseconds.
        timestamp_precision: 6,
        // Guide, "SQL reference": a statement has at most 16 MB.
        max_statement_bytes: Some(16 << 20),
        literals: Some(literals()),
        // Guide, "Loading data files": Parquet is split among the slices from 128 MB on, compressed text never.
        file_bytes: Some(128 << 20),
        // Guide, "Loading data files": a multiple of the slices, about equal in size, from 1 MB to 1 GB. Only the cluster
        // knows how many it has, and nothing is asked before files are written.
        slices: settings.slices.and_then(NonZeroUsize::new),
        sizes_text: settings.text_size == TextSize::Data,
        ..Capabilities::default()
    }
}

/// Guide, "Authorization parameters": a role is what Amazon recommends; keys may carry a session token.
fn access(settings: &RedshiftSettings) -> Vec<AccessKind> {
    let role = settings.staging_iam_role.as_ref().map(|_| AccessKind::Role);
    role.into_iter().chain([AccessKind::TemporaryCredentials, AccessKind::Credentials]).collect()
}

/// Guide, "Examples of character types", "FROM_HEX function" and "JSON_PARSE function". Source of the backslashes: dlt,
/// `escape_redshift_literal`.
fn literals() -> LiteralRules {
    LiteralRules {
        text_prefix: String::new(),
        backslash_escapes: true,
        binary: BinaryLiteral {
            before: "from_hex('".into(),
            encoding: BinaryEncoding::Hex,
            after: "')".into(),
        },
        json: ("json_parse(".into(), ")".into()),
    }
}

#[cfg(test)]
mod tests {
    use transload_core::settings::Settings;

    use super::*;
    use crate::config::{self, tests::COMPLETE};

    fn with(more: &[(&str, &str)]) -> Capabilities {
        let pairs = [&COMPLETE[..], more].concat();
        let settings = config::read(&Settings::from_pairs("redshift", &pairs)).unwrap();
        capabilities(&settings, &crate::copy_rules(&settings).unwrap())
    }

    #[test]
    fn the_capabilities_are_these() {
        let json = serde_json::to_string(&with(&[])).unwrap();
        insta::assert_snapshot!(json.replace("],\"", "],\n\""), @r#"
        {"loads":["insert_values"],
        "copies":[{"storage":"s3","formats":["parquet","jsonl"],
        "access":["temporary_credentials","credentials"]}],
        "copies_by_list":true,"not_carried":[["parquet","time"],["jsonl","time"],["jsonl","binary"],["csv","binary"]],
        "write_dispositions":["append","replace","merge"],
        "merge_strategies":["delete-insert","upsert","insert-only","scd2"],
        "replace_strategies":["truncate-and-insert","insert-from-staging"],
        "loads_in_publication":true,"atomic_publication":true,"max_tables_in_publication":null,"identifiers":{"case":"lower","max_table_length":127,"max_column_length":127,"in_bytes":true},"decimal":[38,9],
        "wei":[38,0],
        "timestamp_precision":6,"max_statement_bytes":16777216,"literals":{"text_prefix":"","backslash_escapes":true,"binary":{"before":"from_hex('","encoding":"hex","after":"')"},"json":["json_parse(",")"]},"file_bytes":134217728,"max_parallel_jobs":null}
        "#);
    }

    #[test]
    fn formats_that_the_settings_rule_out_are_not_claimed() {
        for (more, formats) in [
            (&[][..], &[FileFormat::Parquet, FileFormat::Jsonl][..]),
            (&[("staging_region", "eu-west-1")], &[FileFormat::Jsonl]),
            (&[("copy_options", "COMPUPDATE OFF")], &[FileFormat::Jsonl]),
            (&[("copy_options", "STATUPDATE OFF")], &[FileFormat::Parquet, FileFormat::Jsonl]),
            (
                &[("csv_empty_as_null", "true")],
                &[FileFormat::Parquet, FileFormat::Jsonl, FileFormat::Csv],
            ),
        ] {
            assert_eq!(with(more).copies[0].formats, formats, "{more:?}");
        }
    }

    #[test]
    fn slices_are_those_of_the_settings() {
        assert_eq!(with(&[]).slices, None);
        assert_eq!(with(&[("slices", "16")]).slices, NonZeroUsize::new(16));
        assert!(with(&[("text_size", "data")]).sizes_text && !with(&[]).sizes_text);
    }

    #[test]
    fn a_configured_role_comes_first() {
        let role = with(&[("staging_iam_role", "default")]);
        assert_eq!(role.copies[0].access[0], AccessKind::Role);
    }

    #[test]
    fn a_case_sensitive_cluster_tells_names_apart_by_case() {
        let sensitive = with(&[("has_case_sensitive_identifiers", "true")]);
        assert_eq!(sensitive.identifiers.case, IdentifierCase::Sensitive);
    }
}
