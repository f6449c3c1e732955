"""What is different between two datasets, as short sentences under a stable key each."""

import json

from dlt.common.schema.utils import generate_version_hash
from dlt.common.versioned_state import generate_state_version_hash

from dataset import OWN_TABLES, SYSTEM_TABLES, trees

SHOWN = 3


def compare(theirs, ours, verbatim=False):
    """A list of pairs: what kind of difference it is, and the difference."""
    found = []
    found += tables(theirs, ours)
    found += rows(theirs, ours, verbatim)
    found += schemas(theirs, ours)
    found += states(theirs, ours)
    return found


def tables(theirs, ours):
    found = []
    for name in sorted(set(theirs.columns) | set(ours.columns)):
        kind = "system tables" if name in SYSTEM_TABLES else "tables"
        if name not in theirs.columns:
            if name not in OWN_TABLES:
                found.append((kind, f"{name}: dlt has no such table, ours is {shown(ours, name)}"))
        elif name not in ours.columns:
            found.append((kind, f"{name}: we have no such table, dlt's is {shown(theirs, name)}"))
        elif theirs.columns[name] != ours.columns[name]:
            found.append(
                (kind, f"{name}: columns differ\n  dlt  {shown(theirs, name)}\n  ours {shown(ours, name)}")
            )
    return found


def shown(dataset, table):
    return ", ".join(
        f"{name} {kind}{'' if nullable else ' NOT NULL'}"
        for name, kind, nullable in dataset.columns[table]
    )


def rows(theirs, ours, verbatim):
    found = []
    for name, dataset in (("dlt", theirs), ("ours", ours)):
        problems = []
        trees(dataset, problems)
        found += [("links", f"{name}: {problem}") for problem in problems[:SHOWN]]
    theirs_by_table, ours_by_table = trees(theirs, [], verbatim), trees(ours, [], verbatim)
    for table in sorted(set(theirs_by_table) & set(ours_by_table)):
        missing = without(theirs_by_table[table], ours_by_table[table])
        added = without(ours_by_table[table], theirs_by_table[table])
        if missing or added:
            lines = [f"{table}: {len(missing)} rows are with dlt alone, {len(added)} with us alone"]
            for one, other in list(zip(missing, added))[:SHOWN]:
                lines += [f"  dlt  {cut(one, other)}", f"  ours {cut(other, one)}"]
            lines += [f"  dlt  {one[:600]}" for one in missing[len(added) :][:SHOWN]]
            lines += [f"  ours {one[:600]}" for one in added[len(missing) :][:SHOWN]]
            found.append(("rows", "\n".join(lines)))
    return found


def cut(text, other):
    """The part of a text in which it differs from another, with a bit of what is around."""
    if len(text) <= 400:
        return text
    start = next((i for i, (a, b) in enumerate(zip(text, other)) if a != b), 0)
    return f"…{text[max(0, start - 80) : start + 240]}…"


def without(one, other):
    """The elements of a sorted list that another does not have, as often as they lack."""
    counts = {}
    for element in other:
        counts[element] = counts.get(element, 0) + 1
    left = []
    for element in one:
        if counts.get(element, 0):
            counts[element] -= 1
        else:
            left.append(element)
    return left


def schemas(theirs, ours):
    if not theirs.schemas or not ours.schemas:
        if bool(theirs.schemas) == bool(ours.schemas):
            return []
        return [("schema", f"stored: {len(theirs.schemas)} with dlt, {len(ours.schemas)} with us")]
    found = []
    versions = lambda dataset: [int(row["version"]) for row in dataset.schema_rows]
    if versions(theirs) != versions(ours):
        found.append(("schema.versions", f"dlt {versions(theirs)}, ours {versions(ours)}"))
    dlt_schema, our_schema = theirs.schemas[-1], ours.schemas[-1]
    count = lambda schema: len(schema.get("previous_hashes", []))
    if count(dlt_schema) != count(our_schema):
        found.append(("schema.previous_hashes", f"dlt {count(dlt_schema)}, ours {count(our_schema)}"))
    ignored = {"version", "version_hash", "previous_hashes", "tables"}
    for key in sorted((set(dlt_schema) | set(our_schema)) - ignored):
        found += values(f"schema.{key}", dlt_schema.get(key), our_schema.get(key))
    for name in sorted(set(dlt_schema["tables"]) | set(our_schema["tables"])):
        table = [schema["tables"].get(name) for schema in (dlt_schema, our_schema)]
        if None in table:
            found.append(("schema.tables", f"{name} is only in the schema of {'dlt' if table[0] else 'Transload'}"))
            continue
        for key in sorted((set(table[0]) | set(table[1])) - {"columns"}):
            about_system = name in SYSTEM_TABLES and key == "description"
            kind = "schema.system_description" if about_system else "schema.table"
            found += values(kind, table[0].get(key), table[1].get(key), f"{name}.{key}")
        columns = [list(one.get("columns", {}).values()) for one in table]
        names = [[column["name"] for column in one] for one in columns]
        if names[0] != names[1]:
            found.append(("schema.columns", f"{name}: dlt {names[0]}, ours {names[1]}"))
        else:
            for one, other in zip(*columns):
                found += values("schema.column", one, other, f"{name}.{one['name']}")
    for row, schema in zip(ours.schema_rows, ours.schemas):
        if not row["version_hash"] == schema["version_hash"] == generate_version_hash(schema):
            found.append(("schema.version_hash", f"version {row['version']}: not as dlt computes it"))
        if int(row["version"]) != schema["version"]:
            found.append(("schema.version_hash", f"version {row['version']} is stored as another"))
    if ours.loads and newest_hash(ours) != our_schema["version_hash"]:
        found.append(("schema.version_hash", "the newest load names another schema"))
    return found


def values(kind, one, other, where=""):
    if one == other:
        return []
    if isinstance(one, dict) and isinstance(other, dict):
        one, other = (
            {key: value for key, value in a.items() if key not in b or b[key] != value}
            for a, b in ((one, other), (other, one))
        )
    as_text = lambda value: json.dumps(value, ensure_ascii=False)[:400]
    return [(kind, f"{where}{': ' if where else ''}dlt {as_text(one)}, ours {as_text(other)}")]


def states(theirs, ours):
    if theirs.state is None or ours.state is None:
        if (theirs.state is None) == (ours.state is None):
            return []
        return [("state", f"dlt {theirs.state is not None}, ours {ours.state is not None}")]
    found = []
    if theirs.states != ours.states:
        found.append(("state.rows", f"dlt {theirs.states}, ours {ours.states}"))
    for key in sorted((set(theirs.state) | set(ours.state)) - {"_version_hash"}):
        found += values(f"state.{key}", theirs.state.get(key), ours.state.get(key))
    hashes = {
        ours.state["_version_hash"],
        ours.state_row["version_hash"],
        generate_state_version_hash(ours.state),
    }
    if len(hashes) != 1:
        found.append(("state._version_hash", f"not as dlt computes it: {hashes}"))
    return found


def newest_hash(found):
    """The hash of the schema that the newest load names."""
    rows = {row["load_id"]: row["schema_version_hash"] for row in found.rows["_dlt_loads"]}
    return rows[found.loads[-1]]
