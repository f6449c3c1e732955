"""Both tools write the same rows into a folder, listed file by file: `cargo xtask parity --files`.

Each story is told twice, into a folder by dlt's destination `filesystem` and into another by ours. Paths are equal once loads,
files and times have names that both know; files are equal in their rows, but for what is random or a load's own.
"""

import gzip
import itertools
import json
import re
import shutil
import subprocess

import dlt
import oracle
import ours
import pyarrow.csv
import pyarrow.parquet
from dlt.destinations import filesystem

PIPELINE, DATASET = "parity_pipeline", "data"
CASE = {"pipeline_name": PIPELINE, "dataset_name": DATASET}
REPLACE = {"write_disposition": "replace"}

FIRST = '{"id":1,"name":"a","l":[1,2],"o":{"p":1.5},"at":"2024-01-02T03:04:05Z"}\n{"id":2,"name":null}'
SECOND = '{"id":3,"name":"c","new":true,"l":[4],"n":[{"k":[{"deep":1}],"v":"x"}]}'
THIRD = '{"id":"four","name":"d, \\"e\\"\\nf"}'

STORIES = {
    "one-load": [("t", FIRST, {})],
    "appended": [("t", FIRST, {}), ("t", SECOND, {}), ("t", THIRD, {})],
    "replaced": [("t", FIRST, {}), ("t", SECOND, REPLACE), ("t", THIRD, REPLACE)],
    "two-tables": [("t", FIRST, {}), ("u", SECOND, {}), ("t", THIRD, REPLACE)],
}
FORMATS = ["jsonl", "parquet", "csv"]
LAYOUTS = [
    "{table_name}/{load_id}.{file_id}.{ext}",
    "{table_name}.{load_id}.{file_id}.{ext}",
    "{schema_name}/{table_name}/{load_id}/{file_id}.{ext}",
    "{table_name}/{YYYY}/{MM}/{DD}/{HH}/{load_id}.{file_id}.{ext}",
    "{table_name}/year={YY}/month={MMM}/day={ddd}/{load_id}.{file_id}.{ext}",
    "{table_name}/{curr_date}/{timestamp}-{load_package_timestamp}/{load_id}.{file_id}.{ext}",
    "{table_name}/{MMMM}-{dddd}-{Q}/{load_id}.{file_id}.{ext}",
    "{table_name}/{region}-{owner}/{load_id}.{file_id}.{ext}",
]
EXTRA = {"region": "eu", "owner": "me"}
# Our own commit log, beside what dlt writes.
OWN = "_transload_"
# Of rows of our tables: random, or the load's own. Of dlt's tables: times and hashes of a schema that has our engine's hints.
LOAD = r"\d{10}\.\d{1,7}"
VARYING = {"_dlt_id", "_dlt_parent_id", "_dlt_load_id", "_dlt_root_id"}
VARYING_OF_SYSTEM = {"_dlt_load_id", "inserted_at", "created_at", "schema", "state", "version_hash", "schema_version_hash", "load_id"}


def main(program, scratch, names):
    """Tells the stories and prints how they ended. Returns the exit code."""
    stories = {name: steps for name, steps in STORIES.items() if not names or name in names}
    if not stories:
        raise SystemExit(f"there is no story {' or '.join(names)}: {', '.join(STORIES)}")
    # Every format in the usual layout, and every layout in the usual format.
    ways = [(FORMATS[0], layout) for layout in LAYOUTS] + [(kind, LAYOUTS[0]) for kind in FORMATS[1:]]
    failed, told = 0, 0
    for number, ((name, steps), (kind, layout)) in enumerate(itertools.product(stories.items(), ways)):
        problems, files = tell(program, scratch / f"files-{number}", steps, kind, layout)
        failed += bool(problems)
        told += 1
        print(f"{'FAILED' if problems else 'equal '}  {name}: {kind}, {layout} ({files} files)")
        for problem in problems:
            print("    " + problem.replace("\n", "\n    "), flush=True)
    print(f"\n{told} stories, {failed} failed")
    return int(failed > 0)


def tell(program, folder, steps, kind, layout):
    """What is different after which step, and how many files there are at the end."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    theirs, mine = folder / "theirs", folder / "mine"
    compared = 0
    for number, (table, rows, options) in enumerate(steps, 1):
        path = folder / f"run{number}.jsonl"
        path.write_text(rows + "\n")
        run = [(table, options, path)]
        for who, said in (
            ("dlt", load_theirs(run, folder, theirs, kind, layout)),
            ("ours", load_ours(program, run, folder, mine, kind, layout)),
        ):
            if said:
                return [f"step {number}: {who}: {said}"], 0
        one, other = read(theirs), read(mine)
        problems = [f"step {number}: only dlt has {path}" for path in sorted(one.keys() - other.keys())]
        problems += [f"step {number}: only we have {path}" for path in sorted(other.keys() - one.keys())]
        for path in sorted(one.keys() & other.keys()):
            if one[path] != other[path]:
                problems.append(f"step {number}: {path}:\n  dlt  {one[path]}\n  ours {other[path]}")
        if problems:
            return problems, 0
        compared = len(one)
    shutil.rmtree(folder)
    return [], compared


def load_theirs(run, folder, bucket, kind, layout):
    worker = dlt.pipeline(
        PIPELINE,
        pipelines_dir=str(folder / "dlt"),
        destination=filesystem(bucket_url=bucket.as_uri(), layout=layout, extra_placeholders=EXTRA),
        dataset_name=DATASET,
    )
    try:
        resources = [oracle.resource(table, options, path) for table, options, path in run]
        worker.run(resources, loader_file_format=kind)
    except Exception as error:  # dlt raises whatever its parts raise
        return oracle.reason(error)
    finally:
        worker.deactivate()
    return None


def load_ours(program, run, folder, bucket, kind, layout):
    description = folder / "pipeline.toml"
    text = ours.describe(CASE, run, folder).replace('destination = "duckdb"', 'destination = "filesystem"', 1)
    description.write_text(f'loader_file_format = "{kind}"\n' + text)
    environment = ours.environment()
    environment["DESTINATION__FILESYSTEM__BUCKET_URL"] = str(bucket)
    environment["DESTINATION__FILESYSTEM__LAYOUT"] = layout
    environment["DESTINATION__FILESYSTEM__EXTRA_PLACEHOLDERS"] = json.dumps(EXTRA)
    done = subprocess.run(
        [program, "run", description, "--progress", "off"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else f"exit code {done.returncode}: {done.stderr}"


def read(bucket):
    """What lies in a folder: by path, with names that both know, what each file holds."""
    root = bucket / DATASET
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    files = [path for path in files if not path.relative_to(root).parts[0].startswith(OWN)]
    # Loads are numbered in their order. dlt stores a schema under a time of its own.
    text = " ".join(path.name for path in files if path.parent.name == "_dlt_loads")
    loads = sorted(set(re.findall(LOAD, text)))
    found = {}
    for path in files:
        name = str(path.relative_to(root))
        for number, load in enumerate(loads, 1):
            name = name.replace(load, f"<load {number}>")
        # Where the load is left out of a name, its time may still be in it.
        name = re.sub(r"(?<=[./])[0-9a-f]{10,16}(?=\.(jsonl|csv|parquet))", "<file>", name)
        name = re.sub(r"__[0-9a-f]{30,}(?=\.jsonl)", "__<hash>", name)
        if name.startswith("_dlt_version/"):
            name = re.sub(f"{LOAD}|<load [0-9]+>", "<time>", name)
        name = re.sub(r"(?<!\w)\d{10}(\d{3})?(?=\D|$)", "<time>", name)
        holds = contents(path, name)
        # Two files of a table in one load would have one name.
        found.setdefault(name, []).append(holds)
    return {name: sorted(holds, key=str) for name, holds in found.items()}


def contents(path, name):
    if name == "init":
        return path.read_text()
    rows = rows_of(path)
    varying = VARYING_OF_SYSTEM if name.startswith("_dlt_") else VARYING
    if name.startswith("_dlt_version/"):
        # dlt counts a change twice: as it extracts and as it normalises.
        varying = varying | {"version"}
    shown = [{key: "…" if key in varying and value is not None else plain(value) for key, value in row.items()} for row in rows]
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in shown)


def plain(value):
    """A value as JSON lines, CSV and Parquet agree on it."""
    return value.isoformat() if hasattr(value, "isoformat") else value


def rows_of(path):
    name = path.name
    if name.endswith(".parquet"):
        return pyarrow.parquet.read_table(path).to_pylist()
    data = path.read_bytes()
    data = gzip.decompress(data) if name.endswith(".gz") else data
    if ".csv" in name:
        return pyarrow.csv.read_csv(pyarrow.py_buffer(data), parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True)).to_pylist()
    return [json.loads(line) for line in data.decode().splitlines()]
