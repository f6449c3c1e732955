"""Locks: UPDATE, DELETE and MERGE take a table until their transaction ends, and others wait for it."""

import threading

from errors import Refused

_held = {}
_changed = threading.Condition()


def take(table, session):
    with _changed:
        while _held.get(table, session) is not session:
            if session.cancelled:
                raise Refused("000604", "57014", "SQL execution canceled")
            session.waits = True
            _changed.wait()
        session.waits = False
        _held[table] = session


def give_back(session):
    with _changed:
        for table in [table for table, holder in _held.items() if holder is session]:
            del _held[table]
        _changed.notify_all()


def wake():
    """Lets those that wait look whether they were cancelled."""
    with _changed:
        _changed.notify_all()
