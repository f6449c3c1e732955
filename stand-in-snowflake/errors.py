"""Errors as Snowflake numbers them."""

import re


class Refused(Exception):
    """A statement that is refused: a code of six digits, an SQLSTATE and a message."""

    def __init__(self, code, state, message):
        super().__init__(message)
        self.code, self.state, self.message = code, state, message


def does_not_exist(what):
    return Refused("002003", "02000", f"SQL compilation error:\n{what} does not exist or not authorized.")


# What the engine says, and what Snowflake says in its place.
_ENGINE = [
    (r"(?i)write-write conflict|Conflict on|Transaction conflict|TransactionContext Error", "000625", "57014"),
    (r"(?i)interrupt", "000604", "57014"),
    (r"(?i)schema .* does not exist|No .*schema", "002043", "02000"),
    (r"(?i)does not exist", "002003", "02000"),
    (r"(?i)already exists", "002002", "42710"),
    (r"(?i)NOT NULL constraint", "100072", "22000"),
    (r"(?i)Conversion Error|Out of Range|could not convert|overflow", "100038", "22018"),
    (r"(?i)binder error|not found in FROM", "000904", "42000"),
    (r"(?i)syntax error|parser error", "001003", "42000"),
]


def of_engine(message):
    for pattern, code, state in _ENGINE:
        if re.search(pattern, message):
            if code == "000604":
                message = "SQL execution canceled"
            return Refused(code, state, message)
    return Refused("000603", "XX000", f"SQL execution internal error: {message}")
