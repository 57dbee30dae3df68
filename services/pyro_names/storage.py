"""Where names are kept: Pyro5's own storages, checked before use and armoured."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

from Pyro5.errors import NamingError
from Pyro5.nameserver import MemoryStorage, SqlStorage

from pyro_names.matching import matching

if TYPE_CHECKING:
    from collections.abc import Mapping


class StorageError(Exception):
    """The storage can't be used; `permanent` unless somebody else only holds it for now."""

    def __init__(self, file: str, reason: object) -> None:
        super().__init__(
            f"names can't be kept in {file}: {reason}; "
            "name a writable file of a name server, or a new one"
        )
        self.permanent = "locked" not in str(reason)


class _CarefulMatching:
    """Overrides how a storage lists names by a regular expression that a client gave."""

    def optimized_regex_list(self, regex: str, return_metadata: bool = False) -> Mapping[str, Any]:
        everything: Mapping[str, Any] = self.everything(return_metadata)  # type: ignore[attr-defined] # of the storage
        return {name: everything[name] for name in matching(regex, everything)}


class Memory(_CarefulMatching, MemoryStorage):  # type: ignore[misc] # Pyro5 ships no types
    """Names that end with the process."""


class Sql(_CarefulMatching, SqlStorage):  # type: ignore[misc] # Pyro5 ships no types
    """Names in an SQLite file."""


def open_storage(storage: str) -> Memory | Sql:
    """Open `memory` or `sql:FILE`, creating FILE; raises StorageError."""
    if storage == "memory":
        return Memory()
    file = storage.removeprefix("sql:")
    try:
        _check(file)
        return Sql(file)
    except (sqlite3.Error, NamingError) as error:
        raise StorageError(file, error) from None


def _check(file: str) -> None:
    """Find out now what would otherwise only show at somebody's lookup."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as db:
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        db.execute("BEGIN IMMEDIATE")  # needs the right to write
        db.execute("ROLLBACK")
