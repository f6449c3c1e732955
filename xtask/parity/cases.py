"""The cases: those that are written down in `cases/*.toml`, generated ones, and foreign data."""

import json
from pathlib import Path

import tomlkit

from generate import generated

HERE = Path(__file__).parent
# What a case may say of its resource, for all of its runs or for one.
OPTIONS = {
    "resource",
    "write_disposition",
    "merge_strategy",
    "primary_key",
    "merge_key",
    "merge_options",
    "columns",
    "max_table_nesting",
    "schema_contract",
}
# What a run may say besides: rows as text, rows of several tables, or the columns of a Parquet file.
ROWS = {"rows", "tables", "parquet", "format"}
VERDICTS = {"differs", "known_bug", "skip"}
KNOWN = OPTIONS | ROWS | VERDICTS
KNOWN |= {"id", "about", "table", "dlt_format", "naming", "pipeline_name", "runs", "variants", "fails", "ids"}
KNOWN |= {"expect", "expect_refused"}


def everywhere():
    """Differences on purpose that every load has: their kind and why."""
    return tomlkit.parse((HERE / "cases" / "everywhere.toml").read_text()).unwrap()["difference"]


def all_cases(real):
    """Every case, in the order of the groups' files. `real` has the rows that were fetched."""
    cases = []
    for path in sorted((HERE / "cases").glob("*.toml")):
        if path.stem == "everywhere":
            continue
        for case in tomlkit.parse(path.read_text()).unwrap()["case"]:
            cases += variants(case, path.stem)
    cases += generated()
    cases += real
    names = [case["id"] for case in cases]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise SystemExit(f"cases have the same id: {', '.join(sorted(twice))}")
    return [complete(case) for case in cases]


def variants(case, group):
    """A case, or one for each line of its `variants`."""
    case = {"group": group, **case}
    if unknown := set(case) - KNOWN - {"group"}:
        raise SystemExit(f"{group}.toml: {case['id']}: no such key: {', '.join(sorted(unknown))}")
    if "variants" not in case:
        return [case]
    lines = [line for line in case.pop("variants").splitlines() if line.strip()]
    return [{**case, "id": f"{case['id']}.{n}", "rows": line} for n, line in enumerate(lines, 1)]


def complete(case):
    """A case with its defaults, and its runs written out."""
    case = {"table": "t", "pipeline_name": "parity_pipeline", "dataset_name": "data", **case}
    shared = {key: case[key] for key in OPTIONS if key in case}
    runs = case.pop("runs", None) or [{key: case[key] for key in ROWS if key in case}]
    case["runs"] = []
    for run in runs:
        run = {"rows": run} if isinstance(run, str) else run
        kind = run.get("format", case.get("format", "jsonl"))
        options = {**shared, **{key: run[key] for key in OPTIONS if key in run}}
        tables = run.get("tables") or {case["table"]: run.get("rows", run.get("parquet"))}
        case["runs"].append(
            [
                {"table": table, "kind": "parquet" if "parquet" in run else kind,
                 "rows": rows, "options": options}
                for table, rows in tables.items()
            ]
        )
    return case


def write(case, folder):
    """Writes the files of a case. Returns its runs as lists of table, options and file."""
    runs = []
    for number, run in enumerate(case["runs"], 1):
        written = []
        for resource in run:
            path = folder / f"run{number}-{len(written) + 1}.{resource['kind']}"
            if resource["kind"] == "parquet":
                write_parquet(resource["rows"], path)
            else:
                path.write_text(resource["rows"].strip("\n") + "\n")
            written.append((resource["table"], resource["options"], path))
        runs.append(written)
    return runs


def write_parquet(columns, path):
    """Writes columns, each as `[name, type, values as JSON]`, to a Parquet file."""
    import pyarrow
    import pyarrow.parquet

    arrays, names = [], []
    for name, kind, values in columns:
        names.append(name)
        arrays.append(arrow_array(kind, json.loads(values)))
    pyarrow.parquet.write_table(pyarrow.table(arrays, names=names), path)


def arrow_array(kind, values):
    """An Arrow array of a type in Arrow's own notation. Dates, times and timestamps are given as integers."""
    import decimal

    import pyarrow

    simple = {
        "date32": pyarrow.date32(),
        "null": pyarrow.null(),
        "list<int64>": pyarrow.list_(pyarrow.int64()),
        "struct<x: int64, y: string>": pyarrow.struct([("x", pyarrow.int64()), ("y", pyarrow.string())]),
        "dictionary": pyarrow.dictionary(pyarrow.int32(), pyarrow.string()),
        "timestamp[us, UTC]": pyarrow.timestamp("us", "UTC"),
        "timestamp[us, +02:00]": pyarrow.timestamp("us", "+02:00"),
    }
    if kind.startswith("decimal("):
        precision, scale = map(int, kind[8:-1].split(","))
        values = [None if value is None else decimal.Decimal(value) for value in values]
        return pyarrow.array(values, pyarrow.decimal128(precision, scale))
    if kind.startswith("binary"):
        width = int(kind[7:-1]) if "[" in kind else -1
        values = [None if value is None else value.encode() for value in values]
        return pyarrow.array(values, pyarrow.binary(width))
    data_type = simple.get(kind) or pyarrow.type_for_alias(kind)
    if kind == "dictionary":
        return pyarrow.array(values).dictionary_encode()
    return pyarrow.array(values, data_type)
