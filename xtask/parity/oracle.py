"""Loads a case with dlt, which says what is right."""

import contextlib
import os

import dlt
import pyarrow.parquet
from dlt.common import json
from dlt.destinations import duckdb

# dlt reads the environment when it is first asked for a setting; the runner sets these for all.
ENVIRONMENT = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    "LOAD__RAISE_ON_MAX_RETRIES": "1",
    "NORMALIZE__WORKERS": "1",
}


@contextlib.contextmanager
def environment(case):
    """The settings of a case that dlt takes from the environment."""
    settings = {"SCHEMA__NAMING": case["naming"]} if "naming" in case else {}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name in settings:
            del os.environ[name]


def rows_of(path):
    """The rows of a file, read as dlt's own readers do it."""
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path)
    if path.suffix == ".json":
        document = json.loadb(path.read_bytes())
        return document if isinstance(document, list) else [document]
    return [json.loadb(line) for line in path.read_bytes().splitlines() if line.strip()]


def resource(table, options, path):
    """A resource of dlt for one file."""
    disposition = options.get("write_disposition")
    of_merge = options.get("merge_options", {})
    if strategy := options.get("merge_strategy"):
        of_merge = {"strategy": strategy, **of_merge}
    if of_merge:
        disposition = {"disposition": disposition, **of_merge}

    def rows():
        yield rows_of(path)

    hints = {
        "name": options.get("resource", table),
        "table_name": table,
        "write_disposition": disposition,
        "primary_key": options.get("primary_key"),
        "merge_key": options.get("merge_key"),
        "columns": {
            name: {"name": name, **column} for name, column in options.get("columns", {}).items()
        },
        "max_table_nesting": options.get("max_table_nesting"),
        "schema_contract": options.get("schema_contract"),
    }
    given = {key: value for key, value in hints.items() if value not in (None, {}, [])}
    return dlt.resource(rows, **given)


def pipeline(case, folder, database):
    """The pipeline of a case, whose working folder is in `folder`."""
    return dlt.pipeline(
        case["pipeline_name"],
        pipelines_dir=str(folder),
        destination=duckdb(
            str(database), preferred_loader_file_format=case.get("dlt_format", "parquet")
        ),
        dataset_name=case["dataset_name"],
    )


def load(case, run, folder, database, sync=False):
    """Loads one run, after dlt has taken over what the dataset holds if that is asked for.

    Returns nothing, or what dlt says against it.
    """
    with environment(case):
        worker = pipeline(case, folder, database)
        if worker.has_pending_data:
            worker.drop_pending_packages()
        try:
            if sync:
                worker.sync_destination()
                if worker.first_run or not worker.default_schema.data_tables():
                    return "sync: dlt found no schema or no state in the dataset"
            resources = [resource(table, options, path) for table, options, path in run]
            worker.run(resources)
        except Exception as error:  # dlt raises whatever its parts raise
            return reason(error)
        finally:
            worker.deactivate()
    return None


def reason(error):
    """The step that failed and the innermost reason, on one line."""
    step = getattr(error, "step", "run")
    while (inner := getattr(error, "exception", None) or error.__cause__) is not None:
        error = inner
    return f"{step}: {type(error).__name__}: {' '.join(str(error).split())}"[:300]
