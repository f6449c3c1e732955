"""Names of tables, as they are looked up: their parts, in the case in which they are stored."""

import re

# Nobody has it in a name.
_BETWEEN = "\x1f"

PART = r'(?:"(?:[^"]|"")*"|\w+)'
NAME = rf"{PART}(?:\.{PART})*"


def of(parts):
    return _BETWEEN.join(parts)


def read(text):
    """A name as it stands in a statement."""
    parts = re.findall(r'"((?:[^"]|"")*)"|(\w+)', text)
    return of(quoted.replace('""', '"') or plain.upper() for quoted, plain in parts)


def of_expression(table):
    """The name of a parsed table."""
    return of(part.name if part.args.get("quoted") else part.name.upper() for part in table.parts)


def parts(name):
    return name.split(_BETWEEN)


def within(schema):
    """How the names of a schema begin."""
    return schema + _BETWEEN


def quoted(name):
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts(name))


def shown(name):
    return ".".join(parts(name))
