"""Where names are kept: Pyro5's own storages, checked before use, with safe regular expressions.

`re` holds the interpreter's lock while it backtracks: `(a+)+$` on one name of 28 letters stops
every client for seconds. The `regex` package takes the same syntax and a timeout; its weak point
are large counted repeats, which it unrolls when it compiles.
"""

from __future__ import annotations

import contextlib
import math
import re
import sqlite3
import time
from typing import TYPE_CHECKING, Any

from Pyro5.errors import NamingError
from Pyro5.nameserver import MemoryStorage, SqlStorage

from pyro_child import CannotServe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

LONGEST_PATTERN = 512
LARGEST_REPEAT = 1000
"""The product of all counted repeats of a pattern at most."""
MATCH_TIMEOUT = 0.5
"""Seconds for all names together."""

_COUNTED = re.compile(r"\{(?:\d*,)?(\d+),?\}")


class StorageError(CannotServe):
    """The storage can't be used: for good, unless another process has only locked it for now."""

    def __init__(self, file: str, reason: object) -> None:
        super().__init__(
            f"can't keep names in {file}: {reason}; "
            "specify a writable file of a name server, or a new one",
            permanent="locked" not in str(reason),
        )


Entry = tuple[str, "frozenset[str] | set[str]"]
"""What a storage keeps under a name: the URI and the metadata."""


class _Watched:
    """Reports each change before the client that made it has its answer."""

    watcher: Callable[[Mapping[str, Entry | None]], None] = staticmethod(lambda _: None)
    """Called by the thread that makes the change, with the new entries; None for a removed one."""

    def __setitem__(self, name: str, entry: Entry) -> None:
        super().__setitem__(name, entry)  # type: ignore[misc] # of the storage
        self.watcher({name: entry})

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)  # type: ignore[misc] # of the storage
        self.watcher({name: None})


class _SafeMatching:
    """Overrides how a storage lists names by a client's regular expression."""

    def optimized_regex_list(self, regex: str, return_metadata: bool = False) -> Mapping[str, Any]:
        everything: Mapping[str, Any] = self.everything(return_metadata)  # type: ignore[attr-defined] # of the storage
        return {name: everything[name] for name in matching(regex, everything)}


class Memory(_Watched, _SafeMatching, MemoryStorage):  # type: ignore[misc] # Pyro5 ships no types
    """Names that end with the process."""


class Sql(_Watched, _SafeMatching, SqlStorage):  # type: ignore[misc] # Pyro5 ships no types
    """Names in an SQLite file."""

    def remove_items(self, items: Iterable[str]) -> None:  # noqa: D102 - of the storage
        removed = list(items)
        super().remove_items(removed)
        self.watcher(dict.fromkeys(removed))


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
    """Find out now what would otherwise show only at a client's lookup."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as db:
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        db.execute("BEGIN IMMEDIATE")  # needs the right to write
        db.execute("ROLLBACK")


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    """Return the names that match from their start, as with `re.match`. Raises NamingError."""
    import regex  # noqa: PLC0415 - most name servers never see a pattern

    if len(pattern) > LONGEST_PATTERN:
        raise NamingError(f"invalid regex: longer than {LONGEST_PATTERN} characters")
    if math.prod(max(1, int(count)) for count in _COUNTED.findall(pattern)) > LARGEST_REPEAT:
        raise NamingError(f"invalid regex: its repeats multiply to more than {LARGEST_REPEAT}")
    deadline = time.monotonic() + MATCH_TIMEOUT
    try:
        match = regex.compile(pattern).match
        return [
            name for name in names if match(name, timeout=max(0.001, deadline - time.monotonic()))
        ]
    except TimeoutError:
        raise NamingError(f"regex takes longer than {MATCH_TIMEOUT} s; use a simpler one") from None
    except (regex.error, RecursionError) as error:
        raise NamingError(f"invalid regex: {error}") from None
