"""Which files belong to a configuration: those that an include matches, and the drop-ins."""

from __future__ import annotations

import glob
import os

SUFFIX = ".toml"


def is_pattern(include: str) -> bool:
    """Return whether an include may match any number of files."""
    return glob.has_magic(include)


def below(directory: str, pattern: str) -> str:
    """Return the whole pattern of an include in a file of that directory."""
    return os.path.join(glob.escape(directory), pattern)


def matches(pattern: str) -> list[str]:
    """Return the files that a whole pattern matches, sorted."""
    return sorted(os.path.normpath(match) for match in glob.glob(pattern, recursive=True))


def dropin_directory(file: str) -> str:
    """Return the directory of a configuration file's drop-ins."""
    return os.path.splitext(file)[0] + ".d"


def dropins(directory: str) -> list[str]:
    """Return the names of the drop-ins there, sorted; raise OSError if it can't be read."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(filter(is_dropin, names))


def is_dropin(name: str) -> bool:
    """Return whether a file of that name in the directory is a drop-in."""
    return name.endswith(SUFFIX) and not name.startswith(".")
