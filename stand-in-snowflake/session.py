"""A session: its transaction, and what each statement does in it."""

import datetime
import re
import secrets
import threading

import duckdb
import fakesnow.cursor
import fakesnow.instance
import snowflake.connector.errors
import sqlglot
from sqlglot import exp

import declared
import loading
import locks
import names
import stages
import users
from errors import Refused, does_not_exist, of_engine



def _types(expression):
    """In place of fakesnow's own change, which makes NUMBER(38, 0) an integer of 64 bits: only what the engine does not
    take is left out."""
    if isinstance(expression, exp.DataType) and expression.this.name in ("BINARY", "VARBINARY", "TIME", "VARCHAR", "TEXT"):
        expression.set("expressions", [])
    return expression


fakesnow.cursor.transforms.integer_precision = _types
# fakesnow changes a statement some seventy times, and each time a copy of it. Nobody else has the statement.
exp.Expression.transform.__kwdefaults__["copy"] = False
FAKESNOW = fakesnow.instance.FakeSnow()
_CONNECTING = threading.Lock()
# Rows of a SHOW.
MOST_SHOWN = 10_000
DONE = (["status"], [["Statement executed successfully."]])

_DDL = re.compile(r"(?is)\s*(CREATE|ALTER|DROP|TRUNCATE|COMMENT|GRANT|REVOKE|UNDROP)\b")
_WORDS_OF_DDL_THAT_STAYS = re.compile(r"(?is)\s*ALTER\s+SESSION\b")
_FORMATS = {"YYYY": "%Y", "MM": "%m", "DD": "%d", "HH24": "%H", "MI": "%M", "SS": "%S", "FF6": "%f", "FF9": "%n"}


class Session:
    def __init__(self, user, database, parameters):
        self.token, self.master = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        self.user, self.parameters = user, {k.upper(): v for k, v in parameters.items()}
        # The first one that names a database makes it.
        with _CONNECTING:
            self.connection = FAKESNOW.connect(database, None)
        self.duck = self.connection._duck_conn
        self.in_transaction = self.cancelled = self.waits = self.expired = False
        self.copied = []

    def name(self):
        """What a test calls its sessions by."""
        return str(self.parameters.get("QUERY_TAG", ""))

    def run(self, sql):
        """Runs a statement. Returns the names of its columns and its rows as texts, or what a PUT is to do."""
        try:
            return self._run(sql)
        except Refused:
            raise
        except snowflake.connector.errors.Error as error:
            raise of_engine(error.msg or str(error)) from None
        except (duckdb.Error, sqlglot.errors.SqlglotError) as error:
            raise of_engine(str(error)) from None
        finally:
            if not self.in_transaction:
                locks.give_back(self)

    def _run(self, sql):
        words = sql.strip().upper()
        if words in ("BEGIN", "COMMIT", "ROLLBACK"):
            return self._transaction(words)
        if words.startswith("PUT "):
            return stages.put(sql)
        if words.startswith("REMOVE "):
            return ["name", "result"], [[key, "removed"] for key in stages.remove(sql)]
        if words.startswith("COPY "):
            return loading.COLUMNS, [[_text(value) for value in row] for row in self._copy(sql)]
        if match := re.match(rf"(?is)SHOW\s+TERSE\s+SCHEMAS\s+IN\s+DATABASE\s+({names.NAME})\s+STARTS\s+WITH\s+('.*')\s*$", sql):
            found = self._schemata(names.read(match[1]), loading.literals(match[2])[0])
            return ["created_on", "name", "kind", "database_name", "schema_name"], [[None, name, None, "", None] for name in found]
        if words.startswith("SHOW COLUMNS IN SCHEMA "):
            schema = names.read(sql[len("SHOW COLUMNS IN SCHEMA "):])
            self._require_schema(schema)
            return declared.SHOW_COLUMNS, declared.of_schema(schema)[:MOST_SHOWN]
        if _DDL.match(sql) and not _WORDS_OF_DDL_THAT_STAYS.match(sql):
            # It ends what is open, and cannot be rolled back.
            if self.in_transaction:
                self._transaction("COMMIT")
            return self._define(sql, words)
        return self._query(sql)

    def _transaction(self, words):
        if words == "BEGIN":
            if not self.in_transaction:
                self.duck.execute("BEGIN")
            self.in_transaction = True
            return DONE
        if self.in_transaction:
            self.in_transaction = False
            try:
                self.duck.execute(words)
            except duckdb.Error:
                loading.roll_back(self.copied)
                self.copied = []
                raise
            if words == "ROLLBACK":
                loading.roll_back(self.copied)
        self.copied = []
        return DONE

    def _copy(self, sql):
        # All files of a COPY or none: outside of a transaction it is one.
        if self.in_transaction:
            return loading.copy(self, sql)
        self._transaction("BEGIN")
        try:
            rows = loading.copy(self, sql)
        except BaseException:
            self._transaction("ROLLBACK")
            raise
        self._transaction("COMMIT")
        return rows

    def _define(self, sql, words):
        if words.startswith("ALTER USER "):
            match = re.match(r"(?is)ALTER\s+USER\s+(\w+)\s+SET\s+RSA_PUBLIC_KEY\s*=\s*'([^']*)'", sql)
            users.set_public_key(match[1], match[2])
            return DONE
        if re.match(r"(?is)CREATE\s+(OR\s+REPLACE\s+)?STAGE\b", sql):
            stages.create(sql)
            return DONE
        if match := re.match(rf"(?is)ALTER\s+TABLE\s+({names.NAME})\s+SWAP\s+WITH\s+({names.NAME})\s*$", sql):
            return self._swap(names.read(match[1]), names.read(match[2]))
        if words.startswith(("GRANT ", "REVOKE ", "COMMENT ")):
            return DONE
        if match := re.match(rf"(?is)CREATE\s+(?:TRANSIENT\s+)?SCHEMA\s+(IF\s+NOT\s+EXISTS\s+)?({names.NAME})\s*$", sql):
            self.duck.execute(f"CREATE SCHEMA {match[1] or ''}{names.quoted(names.read(match[2]))}")
            return DONE
        if match := re.match(rf"(?is)DROP\s+TABLE\s+(IF\s+EXISTS\s+)?({names.NAME})\s*$", sql):
            table = names.read(match[2])
            self.duck.execute(f"DROP TABLE {match[1] or ''}{names.quoted(table)}")
            declared.drop(table)
            loading.forget(table)
            return DONE
        if match := re.match(rf"(?is)DROP\s+SCHEMA\s+(?:IF\s+EXISTS\s+)?({names.NAME})", sql):
            schema = names.read(match[1])
            declared.drop_schema(schema)
            stages.drop_schema(schema)
            self.duck.execute(f"DROP SCHEMA IF EXISTS {names.quoted(schema)} CASCADE")
            return DONE
        # Rows lie in no order that counts.
        sql = re.sub(r"(?is)\)\s*CLUSTER BY \([^()]*\)\s*$", ")", sql)
        expression = sqlglot.parse_one(sql, read="snowflake")
        target = expression.find(exp.Table)
        table = target and names.of_expression(target)
        if isinstance(expression, exp.Create) and expression.kind == "TABLE" and isinstance(expression.this, exp.Schema):
            # Not by way of fakesnow: keys are written down and not enforced, and all digits are kept.
            exists = " IF NOT EXISTS" if expression.args.get("exists") else ""
            was_there = declared.columns(table)
            columns = declared.create(table, expression)
            try:
                self.duck.execute(f"CREATE TABLE{exists} {names.quoted(table)} ({', '.join(columns)})")
            except duckdb.Error:
                if not was_there:
                    declared.drop(table)
                raise
            if not (exists and was_there):
                loading.forget(table)
            return DONE
        result = self._engine(expression.sql(dialect="snowflake"))
        if isinstance(expression, exp.Alter):
            for action in expression.args.get("actions", ()):
                if isinstance(action, exp.ColumnDef):
                    declared.add(table, action)
                elif isinstance(action, exp.AlterColumn) and action.args.get("dtype"):
                    declared.change(table, action.this.name, action.args["dtype"])
        return result

    def _swap(self, one, other):
        swapped = names.of([*names.parts(one)[:-1], "_swapped"])
        self.duck.execute("BEGIN")
        for old, new in ((one, swapped), (other, one), (swapped, other)):
            self.duck.execute(f"ALTER TABLE {names.quoted(old)} RENAME TO {names.quoted(names.parts(new)[-1])}")
        self.duck.execute("COMMIT")
        declared.swap(one, other)
        return DONE

    def _query(self, sql):
        if match := re.match(r"(?is)SELECT\s+COUNT\(\*\)\s+FROM\s+(\S+)\.INFORMATION_SCHEMA\.SCHEMATA\s+"
                             r"WHERE\s+SCHEMA_NAME\s*=\s*''\s*$", sql):
            # fakesnow shows the schemata of the session's own database alone.
            return ["n"], [[str(self._schemata(names.read(match[1]), "").count(""))]]
        if match := re.match(r"(?is)SELECT\s+TABLE_NAME, COLUMN_NAME, DATA_TYPE, .*\sFROM\s+(\S+)\.INFORMATION_SCHEMA\.COLUMNS\s+"
                             r"WHERE\s+TABLE_SCHEMA\s*=\s*('.*')\s+ORDER\s", sql):
            schema = names.of([names.read(match[1]), *loading.literals(match[2])])
            return [f"c{n}" for n in range(8)], declared.told(schema)
        expression = sqlglot.parse_one(sql, read="snowflake")
        if isinstance(expression, (exp.Update, exp.Delete, exp.Merge)):
            target = expression.this.find(exp.Table)
            locks.take(names.of_expression(target), self)
        if isinstance(expression, exp.Insert) and expression.args.get("overwrite"):
            return self._overwrite(expression)
        changed = False
        for text in list(expression.find_all(exp.ToChar, exp.TimeToStr)):
            text.replace(_time_text(text))
            changed = True
        if _is_plain(expression):
            return self._plain(expression)
        if changed:
            sql = expression.sql(dialect="snowflake")
        return self._engine(sql)

    def _plain(self, expression):
        """Without fakesnow, which changes a statement in seventy ways before it comes to the engine."""
        counts = next((name for kind, name in _COUNTS.items() if isinstance(expression, kind)), None)
        self.duck.execute(expression.transform(_types_of_the_engine).sql(dialect="duckdb"))
        if counts:
            return [f"number of rows {counts}"], [[str(self.duck.fetchone()[0])]]
        titles = [column[0] for column in self.duck.description]
        return titles, [[_text(value) for value in row] for row in self.duck.fetchall()]

    def _overwrite(self, expression):
        """The rows of a query in the place of all that are there."""
        table = names.of_expression(expression.this.find(exp.Table))
        locks.take(table, self)
        whole = self.in_transaction
        if not whole:
            self._transaction("BEGIN")
        self.duck.execute(f"DELETE FROM {names.quoted(table)}")
        expression.set("overwrite", False)
        result = self._plain(expression)
        if not whole:
            self._transaction("COMMIT")
        return result

    def _engine(self, sql):
        cursor = self.connection.cursor()
        cursor.execute(sql, server=True)
        table = cursor._arrow_table
        if table is None:
            return DONE
        columns = [column.to_pylist() for column in table.columns]
        return table.column_names, [[_text(value) for value in row] for row in zip(*columns)]

    def _schemata(self, database, begins):
        rows = self.duck.execute(
            "SELECT schema_name FROM duckdb_schemas() WHERE upper(database_name) = upper(?) AND starts_with(schema_name, ?)",
            [database, begins]).fetchall()
        return [row[0] for row in rows]

    def _require_schema(self, schema):
        database, name = names.parts(schema)
        if name not in self._schemata(database, name):
            raise Refused("002043", "02000", "SQL compilation error:\nObject does not exist, or operation cannot be performed.")

    def columns(self, table):
        """Name to kind, nullability, the engine's type, and the length of a text."""
        database, schema, name = names.parts(table)
        rows = self.duck.execute(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE upper(database_name) = upper(?) "
            "AND upper(schema_name) = upper(?) AND upper(table_name) = upper(?) ORDER BY column_index",
            [database, schema, name]).fetchall()
        if not rows:
            raise does_not_exist(f"Table '{names.shown(table)}'")
        known = declared.columns(table)
        return {
            column: (known[column]["kind"], known[column]["nullable"], kind, declared.length(known[column]))
            for column, kind in rows
        }

    def cancel(self):
        self.cancelled = True
        self.duck.interrupt()
        locks.wake()

    def close(self):
        self.cancel()
        try:
            self._transaction("ROLLBACK")
        except duckdb.Error:
            pass
        locks.give_back(self)


# What is the same in Snowflake and in the engine.
_SAME = (exp.Case, exp.Cast, exp.Connector, exp.ConvertTimezone, exp.Count, exp.CurrentTimestamp, exp.Exists, exp.If, exp.Max,
         exp.Min, exp.RowNumber)
_COUNTS = {exp.Insert: "inserted", exp.Update: "updated", exp.Delete: "deleted", exp.Merge: "merged"}


def _is_plain(expression):
    # The engine has MERGE since fakesnow took it apart.
    if isinstance(expression, exp.Merge):
        return True
    if not isinstance(expression, (exp.Select, *_COUNTS)) or "INFORMATION_SCHEMA" in (t.db.upper() for t in expression.find_all(exp.Table)):
        return False
    kinds = {"VARIANT", "OBJECT", "ARRAY"}
    return all(
        isinstance(call, _SAME) or isinstance(call, exp.Anonymous) and call.name == "STRFTIME"
        for call in expression.find_all(exp.Func)
    ) and not any(kind.this.name in kinds for kind in expression.find_all(exp.DataType))


def _types_of_the_engine(expression):
    if isinstance(expression, exp.DataType) and expression.this.name.startswith("TIMESTAMP"):
        expression.set("expressions", [])
    return _types(expression)


def _time_text(text):
    """TO_CHAR of a time by one of the formats that tests and loaders use."""
    value, pattern = text.this, text.args.get("format") or (text.expressions or [None])[0]
    if pattern is None:
        return exp.cast(value.copy(), "VARCHAR")
    pattern = re.sub(r'"([^"]*)"', r"\1", pattern.name)
    if "%" not in pattern:
        pattern = re.sub("|".join(_FORMATS), lambda found: _FORMATS[found[0]], pattern)
    return exp.Anonymous(this="STRFTIME", expressions=[value.copy(), exp.Literal.string(pattern)])


def _text(value):
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex().upper()
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    return str(value)
