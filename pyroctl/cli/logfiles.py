"""Reads the log files that a manager writes: the last lines, several services in order of time."""

from __future__ import annotations

import heapq
import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

BLOCK = 65536


class Line(NamedTuple):
    """One line of a log; `time` is ISO 8601 with offset."""

    time: str
    service: str
    text: str


def last_lines(
    files: dict[str, str], count: int | None, since: datetime | None = None
) -> list[Line]:
    """Give the last `count` lines (None: all) of the services' log files, oldest first."""
    newest_first = heapq.merge(
        *(_backwards(service, path) for service, path in files.items()),
        key=lambda line: line.time,
        reverse=True,
    )
    lines: list[Line] = []
    for line in newest_first:
        if count is not None and len(lines) >= count:
            break
        if since is not None and line.time < since.isoformat(timespec="milliseconds"):
            break
        lines.append(line)
    return lines[::-1]


def parse(service: str, raw: bytes) -> Line:
    """Take a line of a log file apart."""
    time, _, text = raw.decode(errors="replace").partition(" ")
    return Line(time, service, text)


def versions(path: str) -> list[str]:
    """Give the log file and its rotated predecessors, newest first."""
    found = [path] if os.path.exists(path) else []
    number = 1
    while os.path.exists(f"{path}.{number}"):
        found.append(f"{path}.{number}")
        number += 1
    return found


def _backwards(service: str, path: str) -> Iterator[Line]:
    for version in versions(path):
        for raw in _lines_backwards(version):
            yield parse(service, raw)


def _lines_backwards(path: str) -> Iterator[bytes]:
    """Give a file's complete lines from the last to the first, reading only what is asked for."""
    with open(path, "rb") as file:
        position = file.seek(0, os.SEEK_END)
        rest = b""
        while position:
            size = min(BLOCK, position)
            position = file.seek(position - size)
            first, *lines = (file.read(size) + rest).split(b"\n")
            rest = first
            yield from (line for line in reversed(lines) if line)
        if rest:
            yield rest
