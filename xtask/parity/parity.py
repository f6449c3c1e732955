"""Runs the cases through dlt and through Transload and says where they differ: `cargo xtask parity`."""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import time
from pathlib import Path

import cases
import compare
import dataset
import document
import oracle
import ours
import real

EQUAL, DIFFERS, SKIPPED, FAILED = "equal", "differs on purpose", "skipped", "FAILED"
BUG = "known bug"
VERDICTS = (EQUAL, DIFFERS, SKIPPED, BUG, FAILED)


def main():
    arguments = argparse.ArgumentParser(prog="cargo xtask parity")
    arguments.add_argument("--program", type=Path, required=True)
    arguments.add_argument("--scratch", type=Path, required=True)
    arguments.add_argument("--real", type=Path)
    arguments.add_argument("--processes", type=int, default=min(4, os.cpu_count() or 2))
    arguments.add_argument("--continue", dest="carry_on", action="store_true")
    arguments.add_argument("--files", action="store_true")
    arguments.add_argument("--document", type=Path)
    arguments.add_argument("--write", action="store_true")
    arguments.add_argument("cases", nargs="*")
    arguments = arguments.parse_args()
    prepare(arguments.scratch)
    if arguments.carry_on:
        import carry_on

        sys.exit(carry_on.main(arguments.program, arguments.scratch, arguments.cases))
    if arguments.files:
        import files

        sys.exit(files.main(arguments.program, arguments.scratch, arguments.cases))
    every = cases.all_cases(real.cases(arguments.real))
    chosen = [case for case in every if wanted(case, arguments.cases)]
    if not chosen:
        raise SystemExit(f"no case is called {' or '.join(arguments.cases)}")
    started = time.monotonic()
    results = run_all(chosen, arguments)
    failed = report(results, time.monotonic() - started)
    if arguments.document and not arguments.cases:
        failed |= document.check(arguments.document, every, cases.everywhere(), arguments.write)
    sys.exit(failed)


def prepare(scratch):
    """Gives dlt its settings and a place of its own, before it is asked for anything."""
    scratch.mkdir(parents=True, exist_ok=True)
    os.environ.update(oracle.ENVIRONMENT)
    os.environ["DLT_DATA_DIR"] = os.environ["DLT_PROJECT_DIR"] = str(scratch)
    os.chdir(scratch)


def wanted(case, names):
    return not names or any(
        case["id"] == name or case["id"].startswith(f"{name}.") or case["group"] == name
        for name in names
    )


def run_all(chosen, arguments):
    with multiprocessing.get_context("fork").Pool(arguments.processes) as pool:
        work = [(case, arguments.program, arguments.scratch, bool(arguments.cases)) for case in chosen]
        results = []
        for done, result in enumerate(pool.imap_unordered(run_case, work), 1):
            results.append(result)
            tell(result)
            if sys.stderr.isatty():
                print(f"\r{done} of {len(work)}", end="", file=sys.stderr, flush=True)
        return results


def run_case(work):
    case, program, scratch, keep = work
    if "skip" in case:
        return case, SKIPPED, [case["skip"]]
    folder = scratch / case["id"].replace("/", "-")
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "dlt").mkdir(parents=True)
    try:
        found = differences(case, program, folder)
    except Exception as error:  # A case that cannot be run must not stop the others.
        return case, FAILED, [f"the comparison itself failed: {type(error).__name__}: {error}"]
    verdict = judge(case, found)
    if verdict[0] in (EQUAL, DIFFERS) and not keep:
        shutil.rmtree(folder)
    return (case, *verdict)


def differences(case, program, folder):
    """All differences of a case but those that every load has on purpose."""
    theirs, mine = folder / "dlt.duckdb", folder / "ours.duckdb"
    found = []
    outcomes = []
    for run in cases.write(case, folder):
        outcomes.append(
            (oracle.load(case, run, folder / "dlt", theirs), ours.load(program, case, run, folder, mine))
        )
    for number, (dlt_says, we_say) in enumerate(outcomes, 1):
        if (dlt_says is None) != (we_say is None):
            found.append(("outcome", f"run {number}: dlt {dlt_says or 'loads'}; ours {we_say or 'loads'}"))
        if we_say is not None and not we_say.startswith(("exit code 1:", "exit code 2:")):
            # What can never be loaded must be refused before it is written down as a load to be finished.
            found.append(("outcome", f"run {number}: we leave a load behind: {we_say}"))
    both_fail = any(dlt_says and we_say for dlt_says, we_say in outcomes)
    if both_fail != case.get("fails", False):
        found.append(("outcome", f"expected both to {'fail' if case.get('fails') else 'load'}: {outcomes}"))
    one, other = (dataset.read(path, case["dataset_name"]) for path in (theirs, mine))
    if not found and not both_fail:
        on_purpose = {difference["kind"] for difference in cases.everywhere()}
        compared = compare.compare(one, other, case.get("ids") == "verbatim")
        found += [pair for pair in compared if pair[0] not in on_purpose]
    found += [("expectation", problem) for problem in unmet(case, mine, outcomes[-1][1])]
    return found


def unmet(case, database, we_say):
    """What a case expects of Transload and did not get."""
    problems = []
    if refusal := case.get("expect_refused"):
        if we_say is None or refusal not in we_say:
            problems.append(f"to be refused with `{refusal}`, but: {we_say or 'it was loaded'}")
    for expected in case.get("expect", []):
        import duckdb

        try:
            with duckdb.connect(str(database), read_only=True) as connection:
                connection.execute("SET TimeZone = 'UTC'; USE data")
                rows = connection.execute(expected["sql"]).fetchall()
        except duckdb.Error as error:
            rows = str(error)
        got = json.loads(json.dumps(rows, default=str))
        if got != expected["rows"]:
            problems.append(f"{expected['sql']}: expected {expected['rows']}, got {got}")
    return problems


def judge(case, found):
    unexpected = [text for kind, text in found if kind == "expectation"]
    differ = [f"{kind}: {text}" for kind, text in found if kind != "expectation"]
    if unexpected:
        return FAILED, ["it is not as the case expects of us"] + unexpected + differ
    if "differs" in case:
        if differ:
            return DIFFERS, differ
        return FAILED, ["it is said to differ on purpose, but it is equal: take `differs` away"]
    if "known_bug" in case:
        if differ:
            return BUG, [case["known_bug"], *differ]
        return FAILED, ["it is said to have a bug, but it is equal: take `known_bug` away"]
    return (FAILED, differ) if differ else (EQUAL, [])


def tell(result):
    """Prints what is wrong with a case, as soon as it is known."""
    case, verdict, lines = result
    if verdict in (FAILED, BUG):
        print(f"\n{verdict}: {case['id']} ({case['group']}) {case.get('about', '')}")
        for line in lines:
            print("    " + line.replace("\n", "\n    "), flush=True)


def report(results, seconds):
    """Prints the table of the groups. Returns whether anything failed."""
    groups = {}
    for case, verdict, _ in sorted(results, key=lambda result: result[0]["group"]):
        groups.setdefault(case["group"], dict.fromkeys(VERDICTS, 0))[verdict] += 1
    total = {verdict: sum(group[verdict] for group in groups.values()) for verdict in VERDICTS}
    width = max(len(name) for name in [*groups, "group"])
    print(f"\n{'group':<{width}}  {'cases':>5}  " + "  ".join(VERDICTS))
    for name, group in [*groups.items(), ("all", total)]:
        counts = "  ".join(f"{group[verdict]:>{len(verdict)}}" for verdict in VERDICTS)
        print(f"{name:<{width}}  {sum(group.values()):>5}  {counts}")
    compared = sum(total.values()) - total[SKIPPED]
    print(f"\n{compared} cases went through both in {seconds:.0f} s")
    return bool(total[FAILED] or total[BUG])


if __name__ == "__main__":
    main()
