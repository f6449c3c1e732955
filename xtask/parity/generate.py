"""Cases that a generator made up. The seed is fixed: everyone has the same cases."""

import json
import random

SEED = 20_24
COUNTS = {"nested": 24, "identifiers": 14, "timestamps": 10, "numbers": 12, "unicode": 8, "evolution": 12}
WORDS = "id name value user order item tags created amount status details address code list child".split()


def generated():
    """All generated cases."""
    cases = []
    for kind, count in COUNTS.items():
        for number in range(1, count + 1):
            # Each has a generator of its own, so that more cases of one kind leave the others as they are.
            source = random.Random(f"{SEED} {kind} {number}")
            case = globals()[kind](source)
            cases.append({"id": f"{kind}-{number:02}", "group": "generated", "about": f"random {kind}", **case})
    return cases


def lines(rows):
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)


def scalar(source, key=""):
    # A point in time and a large integer have keys of their own: dlt stops at a column of timestamps that gets other
    # texts into its variant, and at integers that are no time. Cases of the group `types` are about these.
    if key == "created":
        return source.choice(["2024-05-06T07:08:09Z", "2024-05-06 07:08:09.25+02:00", None])
    if key == "amount":
        return source.choice([source.randint(-(2**63), 2**63 - 1), 7, None])
    return source.choice(
        [
            lambda: source.randint(-5, 5),
            lambda: source.choice([0.5, -1.25, 2.0, 1e10, 0.1]),
            lambda: source.choice([True, False]),
            lambda: None,
            lambda: source.choice(WORDS),
            lambda: "",
            lambda: str(source.randint(0, 99)),
        ]
    )()


def tree(source, depth, words):
    """An object with distinct keys out of a few: each list that is called otherwise is a table, which costs dlt time."""
    row = {}
    for key in source.sample(words, source.randint(1, len(words))):
        chance = source.random()
        if depth and chance < 0.2:
            row[key] = tree(source, depth - 1, words)
        elif depth and chance < 0.4:
            row[key] = [element(source, depth - 1, words) for _ in range(source.randint(0, 4))]
        else:
            row[key] = scalar(source, key)
    return row


def element(source, depth, words):
    chance = source.random()
    if chance < 0.5:
        return tree(source, depth, words)
    if depth and chance < 0.6:
        return [element(source, depth - 1, words) for _ in range(source.randint(0, 3))]
    return scalar(source)


def nested(source):
    words = source.sample(WORDS, source.randint(2, 4))
    rows = [tree(source, 3, words) for _ in range(source.randint(3, 12))]
    case = {"rows": lines(rows)}
    if source.random() < 0.3:
        case["max_table_nesting"] = source.randint(0, 4)
    return case


def evolution(source):
    words = source.sample(WORDS, 4)
    rows = lambda: [tree(source, 2, words) for _ in range(source.randint(1, 5))]
    return {
        "runs": [lines(rows()) for _ in range(3)],
        "write_disposition": source.choice(["append", "append", "replace"]),
    }


def identifier(source):
    alphabet = "aabbccddXYZ019__- .$%@+*|#/äß日😀"
    return "".join(source.choice(alphabet) for _ in range(source.randint(1, 14)))


def identifiers(source):
    # One key to a row and a table of its own for each, so that no two of them meet.
    tables = {}
    for number in range(12):
        name = f"t{number}"
        tables[name] = lines([{identifier(source): number, "o": {identifier(source): number}}])
    return {"runs": [{"tables": tables}], "naming": source.choice(["snake_case", "sql_cs_v1", "sql_ci_v1", "direct"])}


def timestamp(source):
    date = f"{source.randint(1, 9999):04}-{source.randint(1, 12):02}-{source.randint(1, 28):02}"
    time = f"{source.randint(0, 23):02}:{source.randint(0, 59):02}"
    seconds = source.choice(["", ":07", ":59", ":30.5", ":30.123456", ":30.1234567", ":00,25"])
    zone = source.choice(["", "Z", "+02:00", "-0530", "+14:00", " +01:00", "z", "+01"])
    return f"{date}{source.choice(['T', ' ', 't'])}{time}{seconds}{zone}"


def timestamps(source):
    rows = [{"at": "2024-01-02T03:04:05Z"}] + [{"at": timestamp(source)} for _ in range(15)]
    rows += [{f"new_{number}": timestamp(source)} for number in range(10)]
    rows += [{"at": source.uniform(-6e9, 6e9)}, {"at": source.randint(-(10**9), 10**10)}]
    return {"rows": lines(rows)}


def number(source):
    return source.choice(
        [
            lambda: source.choice([2**63 - 1, -(2**63), 2**53 + 1, 2**31, -1, 0]),
            lambda: source.uniform(-1, 1) * 10 ** source.randint(-300, 300),
            lambda: source.choice([1.7976931348623157e308, 5e-324, 2.2250738585072014e-308, -0.0, 1e16, 123456.789e3]),
            lambda: source.randint(-(10**15), 10**15) / 10 ** source.randint(0, 15),
            lambda: float(source.randint(-1000, 1000)),
        ]
    )()


def numbers(source):
    firsts = [0, 0.5, "text", True]
    rows = [dict(zip("abcd", firsts))]
    for _ in range(20):
        rows.append({"a": number(source), "b": number(source), "c": number(source)})
    # A whole double beyond 64 bits fails in dlt when it stands in a column of integers: a case of its own.
    for row in rows:
        if isinstance(row["a"], float) and abs(row["a"]) >= 2**63:
            row["a"] = 0
    return {"rows": lines(rows)}


def character(source):
    ranges = [(0x20, 0x7E), (0x01, 0x1F), (0xA0, 0x17F), (0x400, 0x4FF), (0x4E00, 0x4EFF), (0x1F600, 0x1F64F)]
    low, high = source.choice([*ranges, (0x200B, 0x200F), (0x300, 0x36F), (0xFFF0, 0xFFFF), (0x10FFF0, 0x10FFFF)])
    return chr(source.randint(low, high))


def unicode(source):
    text = lambda length: "".join(character(source) for _ in range(length))
    rows = [{"s": text(source.randint(0, 40)), "l": [text(5), text(1)]} for _ in range(20)]
    rows.append({"s": {text(3) + "k": text(4)}, "j": [[text(6)]]})
    dump = json.dumps
    return {"rows": "\n".join(dump(row, ensure_ascii=source.random() < 0.5) for row in rows)}
