"""Does with DuckDB's own SQL what a loader does with JSON lines. What no loader can beat, as a yardstick.

`copy`    COPY (FROM read_json(…)) TO one file of Parquet: nested columns stay nested
`parquet` one file of Parquet for each table that a loader makes: objects flattened, lists as tables with ids
`tables`  the same tables in a database, straight from JSON
`staged`  `parquet`, then the files into tables of a database
`nested`  one nested table in a database

Types are told from the whole input, as a loader must that does not know it. Prints the seconds of each step, without the
time that Python needs to start, and the rows of each table.
"""

import argparse
import json
import os
import resource
import time

import duckdb


def cpu():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


class Table:
    """A table that a loader makes: the expressions of its columns over `v`, and the lists in it."""

    def __init__(self, name, parent=None, path=None):
        self.name, self.parent, self.path = name, parent, path
        self.columns, self.lists = [], []

    def add(self, expression, name, data_type):
        if data_type.id == "struct":
            for field, inner in data_type.children:
                self.add(f"{expression}.{quoted(field)}", f"{name}__{field}" if name else field, inner)
        elif data_type.id == "list":
            self.lists.append((expression, name or "list", data_type.children[0][1]))
        else:
            self.columns.append((expression, name or "value"))

    def source(self):
        """SQL of the rows as `v`, with an id; those of a list with the parent's id and the place in the list."""
        if self.parent is None:
            return "(SELECT r AS v, md5('root' || number) AS id FROM raw)"
        return (
            f"(SELECT v, parent, place, md5(parent || '{self.name}' || place) AS id FROM (SELECT id AS parent, "
            f"unnest({self.path}) AS v, generate_subscripts({self.path}, 1) - 1 AS place FROM {self.parent.source()}))"
        )

    def select(self):
        columns = [f"{expression} AS {quoted(name)}" for expression, name in self.columns]
        own = ["'1' AS _dlt_load_id"] if self.parent is None else ["parent AS _dlt_parent_id", "place AS _dlt_list_idx"]
        return f"SELECT {', '.join(columns + own + ['id AS _dlt_id'])} FROM {self.source()}"


def tables_of(names, types):
    root = Table("events")
    for name, data_type in zip(names, types):
        root.add(f"v.{quoted(name)}", name, data_type)
    tables = [root]
    for table in tables:
        for path, name, element in table.lists:
            child = Table(f"{table.name}__{name}", table, path)
            child.add("v", "", element)
            tables.append(child)
    return tables


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--input", required=True)
    arguments.add_argument("--work", required=True)
    arguments.add_argument("--mode", choices=["copy", "parquet", "tables", "staged", "nested"], required=True)
    arguments.add_argument("--threads", type=int)
    arguments = arguments.parse_args()
    began, used = time.monotonic(), cpu()
    database = os.path.join(arguments.work, "loaded.duckdb")
    connection = duckdb.connect(":memory:" if arguments.mode in ("copy", "parquet") else database)
    connection.execute("SET preserve_insertion_order = false; SET TimeZone = 'UTC'")
    if arguments.threads:
        connection.execute(f"SET threads = {arguments.threads}")
    read = f"read_json('{arguments.input}', format = 'newline_delimited', sample_size = -1, map_inference_threshold = -1)"

    def file(name):
        return os.path.join(arguments.work, f"{name}.parquet")

    def copy(select, name):
        connection.execute(f"COPY ({select}) TO '{file(name)}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1)")

    rows = {}
    if arguments.mode == "copy":
        copy(f"FROM {read}", "events")
        rows["events"] = connection.execute(f"SELECT count(*) FROM '{file('events')}'").fetchone()[0]
    elif arguments.mode == "nested":
        connection.execute(f"CREATE TABLE events AS FROM {read}")
        rows["events"] = connection.execute("SELECT count(*) FROM events").fetchone()[0]
    else:
        connection.execute(f"CREATE TEMP TABLE raw AS SELECT r, row_number() OVER () AS number FROM {read} r")
        data_type = connection.sql("SELECT r FROM raw").types[0]
        names, types = zip(*data_type.children)
        for table in tables_of(names, types):
            if arguments.mode == "tables":
                connection.execute(f"CREATE TABLE {table.name} AS {table.select()}")
                source = table.name
            else:
                copy(table.select(), table.name)
                source = f"'{file(table.name)}'"
            if arguments.mode == "staged":
                connection.execute(f"CREATE TABLE {table.name} AS FROM {source}")
            rows[table.name] = connection.execute(f"SELECT count(*) FROM {source}").fetchone()[0]
    connection.close()
    print(json.dumps({"wall": {"work": time.monotonic() - began}, "cpu": {"work": cpu() - used}, "rows": rows}))


if __name__ == "__main__":
    main()
