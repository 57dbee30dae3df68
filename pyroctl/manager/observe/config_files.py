"""Whether the configuration's files have changed since they were read."""

from __future__ import annotations

import contextlib
import os

Stamps = dict[str, tuple[int, int]]


def stamps(file: str | None) -> Stamps:
    """Return when the file and its drop-ins were last changed, and their sizes."""
    if file is None:
        return {}
    directory = os.path.splitext(file)[0] + ".d"
    found: Stamps = {}
    with contextlib.suppress(OSError):
        names = sorted(name for name in os.listdir(directory) if name.endswith(".toml"))
        files = [file, *(os.path.join(directory, name) for name in names)]
        found |= {each: _stamp(each) for each in files}
    return found or {file: _stamp(file)}


def changed(before: Stamps, now: Stamps) -> int:
    """Return how many files differ, are new, or are gone."""
    return sum(before.get(file) != now.get(file) for file in before.keys() | now.keys())


def _stamp(file: str) -> tuple[int, int]:
    try:
        stat = os.stat(file)
    except OSError:
        return 0, -1
    return stat.st_mtime_ns, stat.st_size
