"""What a test lets go wrong, and what it asks the stand-in: statements that begin with STAND_IN.

    STAND_IN FAIL '<beginning>' CODE '<code>' STATE '<state>' MESSAGE '<message>' FOR '<name>'
    STAND_IN LOSE BEFORE|AFTER '<beginning>' FOR '<name>'
    STAND_IN STATUS <number> '<beginning>' FOR '<name>'
    STAND_IN SLOW <answers> '<beginning>' FOR '<name>'
    STAND_IN SKIP '<beginning>' FOR '<name>'
    STAND_IN EXPIRE '<beginning>' FOR '<name>'
    STAND_IN END '<beginning>' CODE '<code>' FOR '<name>'
    STAND_IN HISTORY FOR '<name>'
    STAND_IN SESSIONS FOR '<name>'

Each fault is for the next statement that begins so, of a session whose QUERY_TAG is the name. EXPIRE leaves a session that can
be renewed, END leaves none: whoever renews it is told that its master token is no more. SKIP is for a COPY, which then says of its
first file that it was loaded before.
"""

import re

_faults = []

_PATTERNS = [
    r"(?P<kind>FAIL) '(?P<begins>[^']*)' CODE '(?P<code>\d+)' STATE '(?P<state>\w+)' MESSAGE '(?P<message>(?:[^']|'')*)'",
    r"(?P<kind>LOSE) (?P<moment>BEFORE|AFTER) '(?P<begins>[^']*)'",
    r"(?P<kind>STATUS) (?P<status>\d+) '(?P<begins>[^']*)'",
    r"(?P<kind>SLOW) (?P<answers>\d+) '(?P<begins>[^']*)'",
    r"(?P<kind>SKIP) '(?P<begins>[^']*)'",
    r"(?P<kind>EXPIRE) '(?P<begins>[^']*)'",
    r"(?P<kind>END) '(?P<begins>[^']*)' CODE '(?P<code>\d+)'",
]


def command(sql, requests, sessions):
    name = re.search(r" FOR '([^']*)'$", sql)[1]
    words = sql.removeprefix("STAND_IN ")
    if words.startswith("HISTORY"):
        columns = ["query_text", "query_tag", "execution_status", "repeated"]
        rows = [[e["sql"], e["tag"], e["status"], str(e["repeated"])] for e in requests.values() if e["name"] == name]
        return _table(columns, rows)
    if words.startswith("SESSIONS"):
        rows = [[str(s.in_transaction), str(s.waits)] for s in sessions.values() if s.name() == name]
        return _table(["in_transaction", "waits"], rows)
    for pattern in _PATTERNS:
        if match := re.match(pattern + " FOR ", words):
            fault = match.groupdict() | {"name": name}
            for number in ("status", "answers"):
                if number in fault:
                    fault[number] = int(fault[number])
            _faults.append(fault)
            return _table(["status"], [["done"]])
    raise ValueError(sql)


def _table(columns, rows):
    return {"queryId": "stand-in", "rowtype": [{"name": name} for name in columns], "rowset": rows, "total": len(rows)}


def next_for(name, sql):
    for fault in _faults:
        if fault["name"] == name and sql.upper().startswith(fault["begins"].upper()):
            _faults.remove(fault)
            return fault
    return None
