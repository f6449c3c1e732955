//! The tables that stand in a dataset beside the user's: dlt's, with exactly dlt's columns, so that dlt can go on with
//! the dataset, and two of our own for what dlt has no place for.

use crate::{Column, DataType, Table, WriteDisposition};

/// dlt's table of schemas: one row for each version.
pub const VERSION: &str = "_dlt_version";
/// dlt's table of loads: one row for each load that is complete.
pub const LOADS: &str = "_dlt_loads";
/// dlt's table of pipeline states.
pub const STATE: &str = "_dlt_pipeline_state";
/// The fences: one row for each pipeline.
pub const FENCE: &str = "_transload_fence";
/// The commits: one row for each load, with the digest of its manifest.
pub const COMMITS: &str = "_transload_commits";

/// How the names of Transload's own tables begin, in the dataset and in the staging dataset. No table of a user may be
/// called so.
pub const OWN_PREFIX: &str = "_transload_";

/// Every system table.
pub fn tables() -> Vec<Table> {
    vec![version(), loads(), pipeline_state(), fence(), commits()]
}

/// See [`VERSION`].
pub fn version() -> Table {
    table(
        VERSION,
        [
            required("version", DataType::Bigint),
            required("engine_version", DataType::Bigint),
            required("inserted_at", DataType::Timestamp),
            required("schema_name", DataType::Text),
            required("version_hash", DataType::Text),
            required("schema", DataType::Text),
        ],
    )
}

/// See [`LOADS`].
pub fn loads() -> Table {
    table(
        LOADS,
        [
            required("load_id", DataType::Text).with_precision(64),
            Column::new("schema_name", DataType::Text),
            required("status", DataType::Bigint),
            required("inserted_at", DataType::Timestamp),
            Column::new("schema_version_hash", DataType::Text),
        ],
    )
}

/// See [`STATE`].
pub fn pipeline_state() -> Table {
    table(
        STATE,
        [
            required("version", DataType::Bigint),
            required("engine_version", DataType::Bigint),
            required("pipeline_name", DataType::Text),
            required("state", DataType::Text),
            required("created_at", DataType::Timestamp),
            Column::new("version_hash", DataType::Text),
            required("_dlt_load_id", DataType::Text).with_precision(64),
            required("_dlt_id", DataType::Text).with_hint("unique").with_hint("row_key"),
        ],
    )
}

/// See [`FENCE`]. `seq` is the one column that every writer changes to a new value: engines that look for conflicts
/// column by column, and only where a value changed, find them there.
pub fn fence() -> Table {
    table(
        FENCE,
        [
            required("pipeline", DataType::Text),
            required("seq", DataType::Bigint),
            Column::new("last_load_id", DataType::Text),
            Column::new("last_digest", DataType::Text),
            required("owner", DataType::Text),
            required("updated_at", DataType::Timestamp),
        ],
    )
}

/// See [`COMMITS`].
pub fn commits() -> Table {
    table(
        COMMITS,
        [
            required("load_id", DataType::Text),
            required("pipeline", DataType::Text),
            required("schema_name", DataType::Text),
            required("digest", DataType::Text),
            required("epoch", DataType::Bigint),
            required("row_counts", DataType::Text),
            required("committed_at", DataType::Timestamp),
        ],
    )
}

fn required(name: &str, data_type: DataType) -> Column {
    Column::new(name, data_type).not_null()
}

fn table(name: &str, columns: impl IntoIterator<Item = Column>) -> Table {
    let mut table = Table::root(name, WriteDisposition::Skip);
    for column in columns {
        table.put(column);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Schema;

    #[test]
    fn dlts_tables_have_dlts_columns() {
        let dlt = Schema::from_json(include_str!("../../tests/data/dlt-schema.json")).unwrap();
        for ours in [version(), loads(), pipeline_state()] {
            let theirs = &dlt.tables[&ours.name];
            assert_eq!(
                ours.columns.values().collect::<Vec<_>>(),
                theirs.columns.values().collect::<Vec<_>>(),
                "{}",
                ours.name
            );
        }
    }
}
