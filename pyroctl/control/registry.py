"""Which deployments of this user run: a small file for each, written by its manager.

The files only say where to look; whether a manager runs is decided by its lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from typing import TYPE_CHECKING, NamedTuple

from pyroctl.control.client import manager_pid
from pyroctl.directories import make_private
from pyroctl.errors import NotPermitted, PyroctlError
from pyroctl.paths import Paths, deployment_paths, registry_directory

if TYPE_CHECKING:
    from collections.abc import Mapping


class Entry(NamedTuple):
    """A deployment that runs."""

    name: str
    pid: int
    root: str | None
    config: str | None
    paths: Paths


def enter(paths: Paths, name: str, config: str | None, environ: Mapping[str, str]) -> None:
    """Record that this deployment's manager runs; failing to do so harms only the list."""
    root = None if paths == deployment_paths(config, None, environ) else os.path.dirname(paths.logs)
    facts = {"name": name, "root": root, "config": config, "paths": paths._asdict()}
    file = _file(paths, environ)
    with contextlib.suppress(OSError, PyroctlError):
        make_private(os.path.dirname(file))
        temporary = f"{file}.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8") as target:
            json.dump(facts, target)
        os.replace(temporary, file)


def leave(paths: Paths, environ: Mapping[str, str]) -> None:
    """Remove the record of this deployment."""
    with contextlib.suppress(OSError):
        os.unlink(_file(paths, environ))


def running(environ: Mapping[str, str]) -> list[Entry]:
    """Return the deployments whose manager runs, by name, and forget the others."""
    directory = registry_directory(environ)
    try:
        files = sorted(file for file in os.listdir(directory) if file.endswith(".json"))
    except OSError:
        return []
    entries = []
    for file in files:
        path = os.path.join(directory, file)
        entry = _read(path)
        if entry is not None:
            entries.append(entry)
        else:
            with contextlib.suppress(OSError):
                os.unlink(path)
    return sorted(entries, key=lambda entry: (entry.name, entry.paths.run))


def _read(path: str) -> Entry | None:
    """Return the entry of a file; None if its manager has ended or the file is damaged."""
    try:
        with open(path, encoding="utf-8") as file:
            facts = json.load(file)
        paths = Paths(**facts["paths"])
        pid = manager_pid(paths)
        if pid is None:
            return None
        return Entry(str(facts["name"]), pid, facts["root"], facts["config"], paths)
    except (OSError, ValueError, KeyError, TypeError, NotPermitted):
        return None


def _file(paths: Paths, environ: Mapping[str, str]) -> str:
    identity = zlib.crc32(os.fsencode(paths.run))
    return os.path.join(registry_directory(environ), f"{identity:08x}.json")
