"""What a DuckDB file holds, in a form in which two of them can be compared."""

import base64
import hashlib
import json
import zlib
from dataclasses import dataclass, field

import duckdb

# What Transload keeps beside dlt's tables.
OWN_TABLES = {"_transload_fence", "_transload_commits"}
SYSTEM_TABLES = {"_dlt_version", "_dlt_loads", "_dlt_pipeline_state"}
LINKS = ("_dlt_id", "_dlt_parent_id", "_dlt_list_idx", "_dlt_root_id", "_dlt_load_id")


@dataclass
class Dataset:
    """The tables of a dataset with their rows as texts, and what dlt keeps about them."""

    columns: dict = field(default_factory=dict)
    rows: dict = field(default_factory=dict)
    schemas: list = field(default_factory=list)
    schema_rows: list = field(default_factory=list)
    state: dict | None = None
    state_row: dict = field(default_factory=dict)
    states: int = 0
    loads: list = field(default_factory=list)

    def user_tables(self):
        """The tables that are no one's but the user's."""
        return [name for name in self.columns if name not in SYSTEM_TABLES | OWN_TABLES]


def read(database, dataset):
    """Reads a dataset. One that is not there has no tables."""
    found = Dataset()
    if not database.exists():
        return found
    with duckdb.connect(str(database), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        columns = connection.execute(
            "SELECT table_name, column_name, data_type, is_nullable = 'YES' "
            "FROM information_schema.columns WHERE table_schema = ? "
            "ORDER BY table_name, ordinal_position",
            [dataset],
        )
        for table, *column in columns.fetchall():
            found.columns.setdefault(table, []).append(tuple(column))
        for table, columns in found.columns.items():
            # As texts, since Python has not every value that DuckDB has.
            texts = ", ".join(f"{quoted(name)}::VARCHAR" for name, _, _ in columns)
            names = [name for name, _, _ in columns]
            selected = connection.execute(
                f"SELECT {texts} FROM {quoted(dataset)}.{quoted(table)}"
            )
            found.rows[table] = [dict(zip(names, row)) for row in selected.fetchall()]
    versions = sorted(found.rows.get("_dlt_version", []), key=lambda row: int(row["version"]))
    found.schemas = [json.loads(row["schema"]) for row in versions]
    found.schema_rows = versions
    states = sorted(found.rows.get("_dlt_pipeline_state", []), key=lambda row: int(row["version"]))
    found.states = len(states)
    if states:
        packed = base64.b64decode(states[-1]["state"])
        found.state = json.loads(zlib.decompress(packed))
        found.state_row = states[-1]
    found.loads = sorted(row["load_id"] for row in found.rows.get("_dlt_loads", []))
    return found


def quoted(name):
    """A name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def child_id(parent, table, index):
    """The `_dlt_id` that dlt derives for a row of a nested table."""
    digest = hashlib.shake_128(f"{parent}_{table}_{index}".encode()).digest(10)
    return base64.b64encode(digest).decode().rstrip("=")


def trees(found, problems, verbatim=False):
    """The rows of all tables as trees: each root row with the rows nested in it, and their links checked.

    Random ids are left out of the result, since they have no meaning but that of the links. What does not link goes
    into `problems`.
    """
    parents = parents_of(found)
    loads = {load: f"load {number}" for number, load in enumerate(found.loads)}
    below = {}
    for table in parents:
        for row in found.rows[table]:
            below.setdefault((parents[table], row["_dlt_parent_id"]), []).append((table, row))
    linked = set()

    def tree(table, row, root):
        own = row.get("_dlt_id")
        values = {name: value for name, value in row.items() if name not in LINKS}
        if "_dlt_load_id" in row:
            values["_dlt_load_id"] = loads.get(row["_dlt_load_id"], row["_dlt_load_id"])
        if "_dlt_root_id" in row:
            values["_dlt_root_id"] = row["_dlt_root_id"] == root
        for name in ("_dlt_list_idx", "_dlt_parent_id"):
            if name in row and (table not in parents or name == "_dlt_list_idx"):
                values[name] = row[name]
        if table in parents:
            derived = own == child_id(row["_dlt_parent_id"], table, row["_dlt_list_idx"])
            values["_dlt_id"] = "derived" if derived else own
        elif own is not None:
            values["_dlt_id"] = own if verbatim else f"{len(own)} characters"
        nested = []
        if own is not None:
            linked.add((table, own))
            for child_table, child in below.get((table, own), []):
                nested.append((child_table, tree(child_table, child, root)))
        return json.dumps([values, sorted(nested)], ensure_ascii=False)

    result = {}
    for table in found.user_tables():
        if table not in parents:
            rows = found.rows[table]
            ids = [row["_dlt_id"] for row in rows if row.get("_dlt_id") is not None]
            if len(ids) != len(set(ids)):
                problems.append(f"{table}: a _dlt_id is there twice")
            result[table] = sorted(tree(table, row, row.get("_dlt_id")) for row in rows)
    for table, parent in parents.items():
        for row in found.rows[table]:
            if (table, row["_dlt_id"]) not in linked:
                problems.append(f"{table}: no row of {parent} has the _dlt_id {row['_dlt_parent_id']}")
    return result


def parents_of(found):
    """The nested tables with their parents, by the stored schema."""
    if not found.schemas:
        return {}
    tables = found.schemas[-1]["tables"]
    return {
        name: table["parent"]
        for name, table in tables.items()
        if table.get("parent") and name in found.columns
    }
