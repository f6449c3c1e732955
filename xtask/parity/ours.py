"""Loads a case with Transload, as a user does it: by the program and a file that describes the pipeline."""

import json
import os
import subprocess

# The exit code of a load that is done, but with rows set aside.
SET_ASIDE = 4
PASSED_ON = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


def environment():
    """What the program gets of the environment: nothing of the user's own settings."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}


def load(program, case, run, folder, database):
    """Loads one run. Returns nothing, or what Transload says against it."""
    description = folder / "pipeline.toml"
    description.write_text(describe(case, run, folder))
    settings = environment()
    settings["DESTINATION__DUCKDB__CREDENTIALS"] = str(database)
    # dlt sets no row aside: a row that cannot be loaded fails the load. Those that a contract leaves out are gone with
    # dlt, and set aside with us.
    leaves_out = any("discard" in json.dumps(options.get("schema_contract")) for _, options, _ in run)
    if not leaves_out:
        settings["NORMALIZE__MAX_SET_ASIDE"] = "0"
    if "naming" in case:
        settings["SCHEMA__NAMING"] = case["naming"]
    done = subprocess.run(
        [program, "run", description, "--output", "json", "--progress", "off"],
        cwd=folder,
        env=settings,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode in ((0, SET_ASIDE) if leaves_out else (0,)):
        return None
    try:
        error = json.loads(done.stdout)["error"]
        context = ", ".join(f"{name}: {value}" for name, value in error["context"])
        said = f"{error['kind']}: {error['message']} ({context})"
    except (json.JSONDecodeError, KeyError, TypeError, ValueError):
        said = done.stderr
    return f"exit code {done.returncode}: {' '.join(said.split())}"[:600]


def describe(case, run, folder):
    """The text of the `pipeline.toml` of a run."""
    lines = [
        f"pipeline_name = {text(case['pipeline_name'])}",
        'destination = "duckdb"',
        f"dataset_name = {text(case['dataset_name'])}",
        f"pipelines_dir = {text(str(folder / 'pipelines'))}",
    ]
    for table, options, path in run:
        lines += ["", "[[resources]]", f"table = {text(table)}", f"source = {text(str(path))}"]
        if "resource" in options:
            lines.append(f"name = {text(options['resource'])}")
        disposition = options.get("write_disposition")
        if of_merge := options.get("merge_options"):
            disposition = {"disposition": disposition, **of_merge}
        if disposition:
            lines.append(f"write_disposition = {inline(disposition)}")
        for key in ("merge_strategy", "primary_key", "merge_key"):
            if key in options:
                lines.append(f"{key} = {json.dumps(options[key])}")
        if "max_table_nesting" in options:
            lines.append(f"max_table_nesting = {options['max_table_nesting']}")
        if "schema_contract" in options:
            lines.append(f"schema_contract = {inline(options['schema_contract'])}")
        for name, column in options.get("columns", {}).items():
            lines.append(f"columns.{text(name)} = {inline(column)}")
    return "\n".join(lines) + "\n"


def inline(value):
    """A value in TOML's notation."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{text(k)} = {inline(v)}" for k, v in value.items()) + " }"
    return text(value) if isinstance(value, str) else json.dumps(value)


def text(value):
    """A basic string of TOML. JSON's escapes are TOML's, but for pairs of surrogates."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
