"""Loads JSON lines with dlt, in its best case: Parquet files, pages of 5,000 rows, no telemetry.

The rows are read by a generator over orjson, the fastest that a user could write, or with `--reader dlt` by the source
for files that comes with dlt. Prints the seconds of each step, of the wall and of all processors, without the time that Python needs to start and to
import dlt. With `--until normalise` it stops once the package holds its Parquet files.
"""

import argparse
import json
import os
import resource
import time


def cpu():
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def rows(path, page_rows=5000):
    import orjson

    page = []
    with open(path, "rb") as file:
        for line in file:
            page.append(orjson.loads(line))
            if len(page) == page_rows:
                yield page
                page = []
    if page:
        yield page


def events(reader, path):
    import dlt

    if reader == "orjson":
        return dlt.resource(rows(path), name="events", write_disposition="append")
    from dlt.sources.filesystem import filesystem, read_jsonl

    folder, name = os.path.split(os.path.abspath(path))
    return (filesystem(f"file://{folder}", file_glob=name) | read_jsonl(chunksize=5000)).with_name("events")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--input", required=True)
    arguments.add_argument("--work", required=True)
    arguments.add_argument("--reader", choices=["orjson", "dlt"], default="orjson")
    arguments.add_argument("--until", choices=["normalise", "load"], required=True)
    arguments.add_argument("--workers", type=int, default=1)
    arguments = arguments.parse_args()
    os.environ.update({
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "CRITICAL",
        "NORMALIZE__WORKERS": str(arguments.workers),
        "DATA_WRITER__DISABLE_COMPRESSION": "true",
        # Several workers need several files to work on.
        "SOURCES__DATA_WRITER__FILE_MAX_ITEMS": "10000",
        "LOAD__DELETE_COMPLETED_JOBS": "true",
    })
    import dlt

    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=os.path.join(arguments.work, "pipelines"),
        destination=dlt.destinations.duckdb(os.path.join(arguments.work, "loaded.duckdb")),
        dataset_name="bench",
    )
    data = events(arguments.reader, arguments.input)
    wall, processors = {}, {}
    steps = [("extract", lambda: pipeline.extract(data, loader_file_format="parquet")), ("normalise", pipeline.normalize)]
    if arguments.until == "load":
        steps.append(("load", pipeline.load))
    for name, step in steps:
        began, used = time.monotonic(), cpu()
        step()
        wall[name], processors[name] = time.monotonic() - began, cpu() - used
    print(json.dumps({"wall": wall, "cpu": processors, "rows": counts(pipeline, arguments.until)}))


def counts(pipeline, until):
    """The rows of each table. With several workers dlt's own trace does not count all of them."""
    if until == "load":
        tables = [name for name in pipeline.default_schema.tables if not name.startswith("_dlt")]
        with pipeline.sql_client() as client:
            return {name: client.execute_sql(f"SELECT count(*) FROM {name}")[0][0] for name in tables}
    import pyarrow.parquet

    rows = {}
    for load in pipeline.list_normalized_load_packages():
        for job in pipeline.get_load_package_info(load).jobs["new_jobs"]:
            table = job.job_file_info.table_name
            if not table.startswith("_dlt"):
                rows[table] = rows.get(table, 0) + pyarrow.parquet.read_metadata(job.file_path).num_rows
    return rows


if __name__ == "__main__":
    main()
