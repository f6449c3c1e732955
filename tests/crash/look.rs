//! What a reader sees, from outside and while nobody loads.

use std::path::Path;

use duckdb::{Connection, Row};

use crate::truth::{Seen, SeenRow, TABLES};

/// Reads the dataset of a case's folder. One that is not there is empty.
pub(crate) fn look(database: &Path) -> Seen {
    let mut seen = Seen::default();
    if !database.exists() {
        return seen;
    }
    let connection = Connection::open(database).expect("the database opens");
    seen.staging = rows(
        &connection,
        "select table_name from information_schema.tables where table_schema = 'd_staging'",
        |row| row.get(0),
    );
    let columns: Vec<(String, String)> = rows(
        &connection,
        "select table_name, column_name from information_schema.columns where table_schema = 'd'",
        |row| Ok((row.get(0)?, row.get(1)?)),
    );
    let has = |table: &str| columns.iter().any(|(name, _)| name == table);
    if has("_dlt_loads") {
        seen.loads = rows(&connection, "select load_id from d._dlt_loads", |row| row.get(0));
    }
    if has("_transload_commits") {
        seen.commits =
            rows(&connection, "select load_id from d._transload_commits", |row| row.get(0));
    }
    for table in TABLES {
        if !has(table) {
            continue;
        }
        let retires =
            columns.iter().any(|(name, column)| name == table && column == "_dlt_valid_to");
        let valid = if retires { "_dlt_valid_to is null" } else { "true" };
        let sql = format!("select batch, seq, {valid}, _dlt_load_id, _dlt_id from d.{table}");
        let found = rows(&connection, &sql, |row| {
            Ok(SeenRow {
                mark: (row.get(0)?, row.get(1)?, row.get(2)?),
                load: row.get(3)?,
                id: row.get(4)?,
            })
        });
        seen.tables.insert(table, found);
    }
    if has("events__tags") {
        seen.tags = rows(&connection, "select value, _dlt_parent_id from d.events__tags", |row| {
            Ok((row.get(0)?, row.get(1)?))
        });
    }
    seen
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    read: impl Fn(&Row<'_>) -> duckdb::Result<T>,
) -> Vec<T> {
    let read_all = || -> duckdb::Result<Vec<T>> {
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([], |row| read(row))?;
        rows.collect()
    };
    read_all().unwrap_or_else(|error| panic!("{sql}: {error}"))
}
