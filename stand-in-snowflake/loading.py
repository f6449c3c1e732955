"""COPY INTO, as Snowflake runs it: files it has loaded are skipped, columns are matched by name, and a bad value is
reported by file, line and column."""

import base64
import gzip
import io
import json
import re
import zlib

import pyarrow
import pyarrow.csv
import pyarrow.parquet

import names
import stages
from errors import Refused

# The files that were loaded into a table, which Snowflake remembers for 64 days.
_loaded = {}

COLUMNS = ["file", "status", "rows_parsed", "rows_loaded", "error_limit", "errors_seen", "first_error",
           "first_error_line", "first_error_character", "first_error_column_name"]

_KNOWN = {"CREDENTIALS", "STORAGE_INTEGRATION", "FILES", "FILE_FORMAT", "MATCH_BY_COLUMN_NAME", "ON_ERROR", "FORCE"}
_FORMATS = {
    "PARQUET": {"TYPE", "BINARY_AS_TEXT", "USE_LOGICAL_TYPE", "USE_VECTORIZED_SCANNER", "NULL_IF", "COMPRESSION"},
    "JSON": {"TYPE", "COMPRESSION", "BINARY_FORMAT", "NULL_IF"},
    "CSV": {"TYPE", "COMPRESSION", "PARSE_HEADER", "FIELD_OPTIONALLY_ENCLOSED_BY", "ESCAPE_UNENCLOSED_FIELD",
            "EMPTY_FIELD_AS_NULL", "BINARY_FORMAT", "ERROR_ON_COLUMN_COUNT_MISMATCH", "NULL_IF"},
}


def forget(table):
    """A table that is made or dropped has loaded nothing."""
    _loaded.pop(table, None)


def roll_back(files):
    for table, file in files:
        _loaded.get(table, set()).discard(file)


def literals(text):
    return [found.replace("''", "'").replace("\\\\", "\\") for found in re.findall(r"'((?:[^'\\]|\\.|'')*)'", text)]


def copy(session, sql):
    """Runs a COPY in the session's transaction. Returns the rows of its answer."""
    match = re.match(rf"(?is)COPY\s+INTO\s+({names.NAME})\s+FROM\s+('(?:[^'\\]|\\.|'')*')(.*)", sql)
    if not match:
        raise Refused("001003", "42000", "SQL compilation error:\nsyntax error in COPY")
    table, location, options = names.read(match[1]), literals(match[2])[0], match[3]
    bare = re.sub(r"\([^()]*(?:\([^()]*\)[^()]*)*\)", "()", re.sub(r"'(?:[^'\\]|\\.|'')*'", "''", options))
    unknown = {name.upper() for name in re.findall(r"(\w+)\s*=", bare)} - _KNOWN
    if unknown:
        raise Refused("001003", "42000", f"SQL compilation error:\ninvalid parameter '{unknown.pop()}'")
    keys = stages.keys_of(options)
    if location.startswith("@"):
        place, _ = stages.resolve(location)
        place = place if keys is None else stages.Place(place.bucket, place.prefix, keys)
    elif keys is None:
        raise Refused("001003", "42000", "SQL compilation error:\nno credentials for an external location")
    else:
        place = stages.of_url(location, keys)
    if named := re.search(r"(?is)\bFILES\s*=\s*\(((?:'(?:[^'\\]|\\.|'')*'|[^()'])*)\)", options):
        listed = literals(named[1])
        if len(listed) > 1000:
            raise Refused("001003", "42000", "SQL compilation error:\nmore than 1000 files")
        files = [place.prefix + name for name in listed]
    else:
        files = stages.list_keys(place)
    read = _reader(options)
    # How a name of a file and one of the table are brought together.
    fold = str.upper if re.search(r"(?i)=\s*CASE_INSENSITIVE", bare) else str
    types = session.columns(table)
    known = _loaded.setdefault(table, set())
    rows = []
    for key in files:
        data, tag = stages.read(place, key)
        if (key, tag) in known:
            rows.append([key, "LOAD_SKIPPED", 0, 0, 1, 0, "File was loaded before.", None, None, None])
            continue
        try:
            found, first_line = read(data, lambda name, kinds={fold(name): kind for name, (kind, *_) in types.items()}: kinds.get(fold(name)))
        except (pyarrow.ArrowException, ValueError, OSError, EOFError, zlib.error):
            raise Refused("100069", "22P02", f"Error parsing the file: it is damaged.\n  File '{key}'") from None
        loaded = _insert(session, table, types, key, found, first_line, fold)
        known.add((key, tag))
        session.copied.append((table, (key, tag)))
        rows.append([key, "LOADED", loaded, loaded, 1, 0, None, None, None, None])
    return rows or [["Copy executed with 0 files processed."]]


def _reader(options):
    text = re.search(r"(?is)\bFILE_FORMAT\s*=\s*\((.*)\)\s*MATCH_BY", options)
    named = dict(re.findall(r"(\w+)\s*=\s*(\(\)|'[^']*'|\w+)", text[1])) if text else {}
    kind = named.get("TYPE", "CSV").upper()
    unknown = set(named) - _FORMATS.get(kind, set())
    if kind not in _FORMATS or unknown:
        raise Refused("001003", "42000", f"SQL compilation error:\ninvalid format {kind} {unknown}")
    if not re.search(r"(?i)MATCH_BY_COLUMN_NAME\s*=\s*CASE_(IN)?SENSITIVE", options) or named.get("NULL_IF") != "()":
        raise Refused("000002", "0A000", "Unsupported feature 'other than by name, without NULL_IF = ()'.")
    if kind != "PARQUET" and named.get("COMPRESSION") not in ("GZIP", "NONE", "AUTO"):
        raise Refused("000002", "0A000", "Unsupported feature 'compression'.")
    unpacked = lambda data: gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    if kind == "PARQUET":
        if named.get("USE_LOGICAL_TYPE") != "TRUE" or named.get("BINARY_AS_TEXT") != "FALSE":
            raise Refused("000002", "0A000", "Unsupported feature 'Parquet without logical types'.")
        return lambda data, kind_of: (pyarrow.parquet.read_table(io.BytesIO(data)), 1)
    if named.get("BINARY_FORMAT") != "BASE64":
        raise Refused("000002", "0A000", "Unsupported feature 'other binary formats'.")
    if kind == "JSON":
        return lambda data, kind_of: (_json_lines(unpacked(data), kind_of), 1)
    return lambda data, kind_of: (_csv(unpacked(data)), 2)


def _json_lines(data, kind_of):
    """The values of each column as texts: numbers keep their digits, and a VARIANT its JSON."""
    rows = [json.loads(line, parse_float=_Number, parse_int=_Number) for line in data.decode().split("\n") if line]
    found = list(dict.fromkeys(name for row in rows for name in row))

    def text(name, value):
        if value is None:
            return None
        if kind_of(name) == "VARIANT":
            return _dump(value)
        if isinstance(value, bool):
            return "true" if value else "false"
        return value.text if isinstance(value, _Number) else value if isinstance(value, str) else _dump(value)

    columns = {name: pyarrow.array([text(name, row.get(name)) for row in rows], pyarrow.string()) for name in found}
    # A row of nothing is a row.
    return pyarrow.table(columns | {"\x1f": pyarrow.nulls(len(rows))})


class _Number:
    def __init__(self, text):
        self.text = text


def _dump(value):
    """JSON as it was, each number in its own digits."""
    if isinstance(value, _Number):
        return value.text
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{_dump(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_dump, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _csv(data):
    options = pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)
    header = pyarrow.csv.open_csv(io.BytesIO(data), parse_options=options).schema
    return pyarrow.csv.read_csv(
        io.BytesIO(data),
        parse_options=options,
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={name: pyarrow.string() for name in header.names},
            null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False),
    )


def _insert(session, table, types, file, found, first_line, fold):
    """Inserts what is in both, by name. The first value that does not fit ends it."""
    by_name = {fold(name): name for name in found.column_names}
    matched = [name for name in types if fold(name) in by_name]
    columns = {f"c{i}": _plain(found.column(by_name[fold(name)]), types[name][0]) for i, name in enumerate(matched)}
    lines = pyarrow.array(range(first_line, first_line + found.num_rows), pyarrow.int64())
    numbered = pyarrow.table(columns | {"line": lines})
    values = []
    for i, name in enumerate(matched):
        kind, _, engine_type, length = types[name]
        value = f"TRY_CAST(c{i} AS {engine_type})" if kind != "VARIANT" else f"CAST(c{i} AS JSON)"
        values.append((i, name, value, length))
    duck = session.duck
    for i, name, value, length in values:
        wrong = [f"(c{i} IS NOT NULL AND {value} IS NULL)"]
        if length:
            wrong.append(f"length(CAST(c{i} AS VARCHAR)) > {length}")
        if not types[name][1]:
            wrong.append(f"c{i} IS NULL")
        bad = duck.execute(f"SELECT line, CAST(c{i} AS VARCHAR) FROM numbered WHERE {' OR '.join(wrong)} ORDER BY line LIMIT 1").fetchone()
        if bad:
            raise _bad_value(table, name, list(types).index(name) + 1, file, bad[0], bad[1], types[name])
    for name, (_, nullable, *_) in types.items():
        if not nullable and name not in matched and found.num_rows:
            raise _bad_value(table, name, list(types).index(name) + 1, file, first_line, None, types[name])
    into = ", ".join(names.quoted(name) for name in matched or list(types)[:1])
    selected = ", ".join(value for _, _, value, _ in values) or "NULL"
    duck.execute(f"INSERT INTO {names.quoted(table)} ({into}) SELECT {selected} FROM numbered ORDER BY line")
    return found.num_rows


def _plain(column, kind):
    """Texts of bytes are base64; bytes themselves stay."""
    column = column.combine_chunks()
    if kind == "BINARY" and pyarrow.types.is_string(column.type):
        decoded = [None if value is None else base64.b64decode(value) for value in column.to_pylist()]
        return pyarrow.array(decoded, pyarrow.binary())
    return column


def _bad_value(table, name, position, file, line, value, declared):
    kind, _, _, length = declared
    if value is None:
        code, reason = "100072", "NULL result in a non-nullable column"
    elif length and len(value) > length:
        code, reason = "100078", f"String '{value}' is too long and would be truncated"
    elif kind == "NUMBER":
        code, reason = "100038", f"Numeric value '{value}' is not recognized"
    else:
        code, reason = "100040", f"{kind.capitalize()} '{value}' is not recognized"
    short = names.parts(table)[-1]
    return Refused(code, "22018", (
        f"{reason}\n  File '{file}', line {line}, character 1\n  Row {line}, column \"{short}\"[\"{name}\":{position}]\n"
        "  If you would like to continue loading when an error is encountered, use other values such as 'SKIP_FILE' or "
        "'CONTINUE' for the ON_ERROR option. For more information on loading options, please run 'info loading_data' in a "
        "SQL client."))
