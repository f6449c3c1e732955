"""Starts local-bigquery with a cheaper look at its catalogue, and with an eye for compressed uploads.

For every statement it asks `duckdb_tables()` which tables there are, several times. That function goes through all tables of
all databases and fetches figures of each, which took most of the time of a test. The answers are the same here: those of
DuckLake's own tables, or of the one table that is asked for.
"""

import gzip
import inspect
import pathlib
import sys
import threading

# DuckDB asks at every statement whether it is there, which is a search through all folders where it is not.
for absent in ("pandas", "polars", "torch", "tensorflow"):
    sys.modules.setdefault(absent, None)

import duckdb
from local_bigquery import cli
from local_bigquery.engine import database
from local_bigquery.jobs import query, runner

TABLES = """
SELECT t.table_name, 'TABLE', coalesce(s.record_count, 0)
FROM {0}.ducklake_table t JOIN {0}.ducklake_schema d USING (schema_id)
LEFT JOIN {0}.ducklake_table_stats s USING (table_id)
WHERE d.schema_name = $1 AND t.table_name = coalesce($2, t.table_name)
AND t.end_snapshot IS NULL AND d.end_snapshot IS NULL
UNION ALL SELECT v.view_name, 'VIEW', 0
FROM {0}.ducklake_view v JOIN {0}.ducklake_schema d USING (schema_id)
WHERE d.schema_name = $1 AND v.view_name = coalesce($2, v.view_name)
AND v.end_snapshot IS NULL AND d.end_snapshot IS NULL
ORDER BY 1
"""
theirs = database.objects


def objects(project_id, dataset_id, table_id=None):
    if project_id == "emulator" and table_id is not None:
        # The results of a query.
        name = database.quote(project_id, dataset_id, table_id)
        try:
            [(rows,)] = database.fetch(f"SELECT count(*) FROM {name}")
        except duckdb.CatalogException:
            return []
        return [(table_id, "TABLE", rows)]
    lake = database.quote(f"__ducklake_metadata_{project_id}")
    try:
        return database.fetch(TABLES.format(lake), [dataset_id, table_id])
    except duckdb.CatalogException:
        # A project that is none of DuckLake's.
        return theirs(project_id, dataset_id, table_id)


first = threading.Lock()


def load(cursor, configuration, upload):
    """Reads an upload that is compressed as BigQuery does: by what it is, and not by its name."""
    if upload:
        content = pathlib.Path(upload).read_bytes()
        if content.startswith(b"\x1f\x8b"):
            pathlib.Path(upload).write_bytes(gzip.decompress(content))
    with first:
        # The first one makes a secret for the bucket; two at once would be in each other's way.
        for uri in configuration.sourceUris or []:
            runner.load.paths(cursor, uri)
    return runner.load.run(cursor, configuration, upload)


database.objects = objects
runner.HANDLERS["load"] = load
# The same question for temporary tables stands in the middle of a function.
asked = "duckdb_tables() WHERE temporary"
source = inspect.getsource(query.execute)
if asked not in source:
    raise SystemExit("this local-bigquery looks for temporary tables in another way")
cheaper = "duckdb_columns() WHERE database_name = 'temp'"
exec(source.replace(asked, cheaper), query.__dict__)
cli.main()
