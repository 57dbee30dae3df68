"""What a log's files are called: `es.log`, and put aside `es.log.1`, `es.log.2.gz`."""

from __future__ import annotations

import os


def versions(path: str) -> list[str]:
    """Give the log file and those that were put aside, newest first."""
    current = [path] if os.path.exists(path) else []
    return current + [name for _, name in put_aside(path)]


def put_aside(path: str) -> list[tuple[int, str]]:
    """Give number and name of the files that were put aside, newest first.

    If one is there plain and compressed, its writer died just before it removed the plain one.
    """
    directory, base = os.path.split(path)
    found: dict[int, str] = {}
    try:
        entries = os.listdir(directory or ".")
    except FileNotFoundError:
        return []
    for entry in entries:
        if entry.startswith(base + "."):
            number = entry[len(base) + 1 :].removesuffix(".gz")
            if number.isdecimal() and (entry.endswith(".gz") or int(number) not in found):
                found[int(number)] = os.path.join(directory, entry)
    return sorted(found.items())
