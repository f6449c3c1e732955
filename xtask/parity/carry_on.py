"""One tool goes on with the dataset of the other: `cargo xtask parity --continue`.

Each story is told twice: once by both tools in one dataset, once by dlt alone in another. After every step the two
datasets must be equal, as in the cases.
"""

import shutil

import cases
import compare
import dataset
import oracle
import ours

CASE = {"pipeline_name": "parity_pipeline", "dataset_name": "data"}
MERGE = {"write_disposition": "merge", "primary_key": "id"}
UPSERT = {**MERGE, "merge_strategy": "upsert"}

FIRST = '{"id":1,"name":"a","l":[1,2],"at":"2024-01-02T03:04:05Z"}'
SECOND = '{"id":2,"name":"b","l":[3],"o":{"p":1.5}}'
THIRD = '{"id":3,"name":"c","new":true,"l":[4],"n":[{"k":[{"deep":1}],"v":"x"}]}'
FOURTH = '{"id":"four","name":"d","l":["x"],"n":[{"k":[{"deep":2,"late":1}]}],"later":"2024-01-02"}'
KEYED = [
    '{"id":1,"v":"a"}\n{"id":2,"v":"b"}',
    '{"id":2,"v":"B"}\n{"id":3,"v":"c"}',
    '{"id":4,"v":"d","w":1}',
    '{"id":4,"v":"D","w":2}\n{"id":5}',
]

NESTED = [
    '{"id":1,"v":"a","l":[{"x":1,"m":[1,2]},{"x":2}]}\n{"id":2,"v":"b","l":[{"x":3}]}',
    '{"id":2,"v":"B","l":[{"x":4,"m":[5]}]}\n{"id":3,"v":"c"}',
    '{"id":1,"v":"A"}\n{"id":3,"v":"C","l":[{"x":6,"m":[7]}]}',
    '{"id":1,"v":"a","l":[{"x":8}]}\n{"id":2,"v":"b","l":[]}',
]

# Who loads, into which table, with what, by which options. `fresh`: with nothing left on the machine of earlier loads.
STORIES = {
    "dlt-continues-ours": [
        ("ours", "t", FIRST, {}),
        ("ours", "t", SECOND, {}),
        ("dlt", "t", THIRD, {}),
        ("dlt", "t", FOURTH, {}),
        ("ours", "t", FIRST, {}),
        ("dlt", "t", SECOND, {}),
    ],
    "we-continue-dlts": [
        ("dlt", "t", FIRST, {}),
        ("dlt", "t", SECOND, {}),
        ("ours", "t", THIRD, {}),
        ("ours", "t", FOURTH, {}),
        ("dlt", "t", FIRST, {}),
        ("ours", "t", SECOND, {}),
    ],
    "dlt-merges-into-ours": [
        ("ours", "u", KEYED[0], {"primary_key": "id"}),
        ("dlt", "u", KEYED[1], MERGE),
        ("ours", "u", KEYED[2], {"primary_key": "id"}),
        ("dlt", "u", KEYED[3], MERGE),
    ],
    "we-merge-into-dlts": [
        ("dlt", "u", KEYED[0], {"primary_key": "id"}),
        ("ours", "u", KEYED[1], MERGE),
        ("dlt", "u", KEYED[2], {"primary_key": "id"}),
        ("ours", "u", KEYED[3], MERGE),
    ],
    "both-merge-nested-rows": [
        ("dlt", "t", NESTED[0], MERGE),
        ("ours", "t", NESTED[1], MERGE),
        ("dlt", "t", NESTED[2], MERGE),
        ("ours", "t", NESTED[3], MERGE),
    ],
    "both-upsert": [
        ("ours", "t", NESTED[0], UPSERT),
        ("dlt", "t", NESTED[1], UPSERT),
        ("ours", "t", NESTED[2], UPSERT),
        ("dlt", "t", NESTED[3], UPSERT),
    ],
    "we-replace-dlts": [
        ("dlt", "t", FIRST, {}),
        ("ours", "t", SECOND, {"write_disposition": "replace"}),
        ("dlt", "t", THIRD, {"write_disposition": "replace"}),
        ("ours", "t", FOURTH, {}),
    ],
    "dlt-replaces-ours": [
        ("ours", "t", FIRST, {}),
        ("dlt", "t", SECOND, {"write_disposition": "replace"}),
        ("ours", "t", THIRD, {}),
        ("dlt", "t", FOURTH, {}),
    ],
    "tables-of-both": [
        ("ours", "t", FIRST, {"max_table_nesting": 0}),
        ("dlt", "u", KEYED[0], {}),
        ("ours", "v", THIRD, {"columns": {"id": {"data_type": "text"}}}),
        ("dlt", "t", SECOND, {"max_table_nesting": 0}),
        ("ours", "u", KEYED[2], {}),
    ],
    "nothing-new": [
        ("ours", "t", FIRST, {}),
        ("dlt", "t", FIRST, {}),
        ("ours", "t", FIRST, {}),
        ("dlt", "t", FIRST, {}),
    ],
}


def main(program, scratch, names):
    """Tells the stories and prints how they ended. Returns the exit code."""
    failed = 0
    stories = {name: steps for name, steps in STORIES.items() if not names or name in names}
    if not stories:
        raise SystemExit(f"there is no story {' or '.join(names)}: {', '.join(STORIES)}")
    for name, steps in stories.items():
        for fresh in (False, True):
            title = f"{name}{' with nothing left locally' if fresh else ''}"
            problems = tell(program, scratch / f"{name}-{fresh}", steps, fresh)
            failed += bool(problems)
            print(f"{'FAILED' if problems else 'equal '}  {title} ({len(steps)} loads)")
            for problem in problems:
                print("    " + problem.replace("\n", "\n    "))
    print(f"\n{2 * len(stories)} stories, {failed} failed")
    return int(failed > 0)


def tell(program, folder, steps, fresh):
    """What is different after which step. The story ends at the first step with a difference."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    both, alone = folder / "both.duckdb", folder / "alone.duckdb"
    on_purpose = {difference["kind"] for difference in cases.everywhere()}
    for number, (who, table, rows, options) in enumerate(steps, 1):
        path = folder / f"run{number}.jsonl"
        path.write_text(rows + "\n")
        run = [(table, options, path)]
        step = f"step {number} ({who})"
        if said := oracle.load(CASE, run, folder / "dlt-alone", alone):
            return [f"{step}: dlt alone: {said}"]
        if who == "dlt":
            # A folder that nobody used: dlt knows only what the dataset says.
            said = oracle.load(CASE, run, folder / f"dlt-{number}", both, sync=number > 1)
        else:
            if fresh:
                shutil.rmtree(folder / "pipelines", ignore_errors=True)
            said = ours.load(program, CASE, run, folder, both)
        if said:
            return [f"{step}: {said}"]
        pair = [dataset.read(database, CASE["dataset_name"]) for database in (alone, both)]
        found = [
            f"{step}: {kind}: {text}"
            for kind, text in compare.compare(*pair)
            if kind not in on_purpose
        ]
        if found:
            return found
    return []
