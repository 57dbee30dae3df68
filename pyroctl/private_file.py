"""Writes files that only their owner can read, whole or not at all."""

from __future__ import annotations

import contextlib
import os


def write_private(path: str, content: bytes, *, replace: bool = False) -> None:
    """Write a file that has its content and the mode 0600 from its first moment.

    Raises FileExistsError unless `replace`, and other OSErrors; the old file then stays.
    """
    import secrets

    temporary = f"{path}.{secrets.token_hex(4)}~"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with open(fd, "wb") as target:
            target.write(content)
            target.flush()
            os.fsync(fd)
        if replace:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Make renames in a directory survive a loss of power."""
    fd = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
