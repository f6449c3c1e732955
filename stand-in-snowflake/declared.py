"""The columns of tables as they were declared: the engine forgets lengths and decimals of a second."""

import json

from sqlglot import exp

import names

_tables = {}

_NAMES = {
    "DECIMAL": "NUMBER", "INT": "NUMBER", "BIGINT": "NUMBER", "VARCHAR": "VARCHAR", "TEXT": "VARCHAR", "CHAR": "VARCHAR",
    "NVARCHAR": "VARCHAR", "DOUBLE": "FLOAT", "FLOAT": "FLOAT", "BOOLEAN": "BOOLEAN", "DATE": "DATE", "TIME": "TIME",
    "TIMESTAMPTZ": "TIMESTAMP_TZ", "TIMESTAMP": "TIMESTAMP_NTZ", "TIMESTAMPNTZ": "TIMESTAMP_NTZ",
    "TIMESTAMPLTZ": "TIMESTAMP_LTZ", "BINARY": "BINARY", "VARBINARY": "BINARY", "VARIANT": "VARIANT",
    "ARRAY": "ARRAY", "OBJECT": "OBJECT",
}


def _column(definition):
    kind = definition.args["kind"]
    numbers = [int(str(parameter.this)) for parameter in kind.expressions]
    name = _NAMES[kind.this.name]
    nullable = not any(isinstance(c.kind, exp.NotNullColumnConstraint) for c in definition.args.get("constraints", ()))
    return {"kind": name, "numbers": numbers, "nullable": nullable}


_ENGINE = {
    "VARCHAR": "VARCHAR", "FLOAT": "DOUBLE", "BOOLEAN": "BOOLEAN", "DATE": "DATE", "TIME": "TIME", "BINARY": "BLOB",
    "TIMESTAMP_TZ": "TIMESTAMPTZ", "TIMESTAMP_NTZ": "TIMESTAMP", "TIMESTAMP_LTZ": "TIMESTAMPTZ", "VARIANT": "JSON",
    "ARRAY": "JSON", "OBJECT": "JSON",
}


def engine_type(column):
    if column["kind"] == "NUMBER":
        precision, scale = (column["numbers"] + [0])[:2] if column["numbers"] else (38, 0)
        return f"DECIMAL({precision}, {scale})"
    return _ENGINE[column["kind"]]


def create(table, expression):
    """Declares a table. Returns the columns that the engine is to make of it."""
    columns = [d for d in expression.this.expressions if isinstance(d, exp.ColumnDef)]
    made = {d.this.name if d.this.args.get("quoted") else d.this.name.upper(): _column(d) for d in columns}
    if table not in _tables or not expression.args.get("exists"):
        _tables[table] = made
    return [
        '"' + name.replace('"', '""') + f'" {engine_type(column)}' + ("" if column["nullable"] else " NOT NULL")
        for name, column in made.items()
    ]


def add(table, definition):
    _tables[table].setdefault(definition.this.name, _column(definition))


def change(table, column, kind):
    numbers = [int(str(parameter.this)) for parameter in kind.expressions]
    _tables[table][column] |= {"kind": _NAMES[kind.this.name], "numbers": numbers}


def drop(table):
    _tables.pop(table, None)


def drop_schema(schema):
    for table in [table for table in _tables if table.startswith(names.within(schema))]:
        del _tables[table]


def swap(one, other):
    _tables[one], _tables[other] = _tables[other], _tables[one]


def columns(table):
    return _tables.get(table, {})


def length(column):
    """Characters of a text; None for other types."""
    if column["kind"] != "VARCHAR":
        return None
    return column["numbers"][0] if column["numbers"] else 16777216


def shown(column):
    """What SHOW COLUMNS says of a type."""
    kind, numbers, shown = column["kind"], column["numbers"], {}
    if kind == "NUMBER":
        precision, scale = (numbers + [0])[:2] if numbers else (38, 0)
        shown = {"type": "FIXED", "precision": precision, "scale": scale}
    elif kind == "VARCHAR":
        shown = {"type": "TEXT", "length": length(column), "byteLength": 16777216, "fixed": False}
    elif kind == "BINARY":
        size = numbers[0] if numbers else 8388608
        shown = {"type": "BINARY", "length": size, "byteLength": size, "fixed": True}
    elif kind == "FLOAT":
        shown = {"type": "REAL"}
    elif kind.startswith("TIME"):
        shown = {"type": kind, "precision": 0, "scale": numbers[0] if numbers else 9}
    else:
        shown = {"type": kind}
    return json.dumps(shown | {"nullable": column["nullable"]})


def of_schema(schema):
    """The rows of SHOW COLUMNS IN SCHEMA."""
    return [
        [names.parts(table)[-1], names.parts(schema)[-1], name, shown(column), "true" if column["nullable"] else "NOT_NULL",
         "", "COLUMN", "", "", names.parts(schema)[0], "", None]
        for table in sorted(_tables) if table.startswith(names.within(schema))
        for name, column in _tables[table].items()
    ]


def told(schema):
    """The same from the information schema, as far as it is asked: table, column, type, nullable, precision, scale, length of a
    text and decimals of a second."""
    rows = []
    for table in sorted(_tables):
        for name, column in _tables[table].items() if table.startswith(names.within(schema)) else ():
            kind, numbers = column["kind"], [str(number) for number in column["numbers"]]
            told = [None] * 4
            if kind == "NUMBER":
                told[:2] = (numbers + ["0"])[:2] if numbers else ["38", "0"]
            elif kind == "VARCHAR":
                told[2] = str(length(column))
            elif kind.startswith("TIME"):
                told[3] = numbers[0] if numbers else "9"
            kind = "TEXT" if kind == "VARCHAR" else kind
            rows.append([names.parts(table)[-1], name, kind, "YES" if column["nullable"] else "NO", *told])
    return rows


SHOW_COLUMNS = ["table_name", "schema_name", "column_name", "data_type", "null?", "default", "kind", "expression",
                "comment", "database_name", "autoincrement", "schema_evolution_record"]
