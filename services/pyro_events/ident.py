"""Reading the identification, a secret that the clients of an event service share."""

from __future__ import annotations

import logging
import os
import stat
from typing import Final

__all__ = ["read_ident"]

SHORTEST: Final = 16
"""Bytes; a shorter identification can be guessed."""
_READABLE_BY_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_log = logging.getLogger(__name__)


def read_ident(file: str) -> str:
    """Return the identification in a file, without the white space around it.

    Raises OSError if the file can't be read, and ValueError if it is empty or no UTF-8, or if other
    users can read or write it. Logs a warning if it is short enough to be guessed. Any thread may
    call it.
    """
    fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{file} is not a regular file")
        if status.st_mode & _forbidden(status):
            mode = stat.S_IMODE(status.st_mode)
            raise ValueError(
                f"other users can read {file} (mode {mode:04o}), so it isn't used: chmod 600 {file}"
            )
        content = stream.read()
    ident = content.decode().strip()
    if not ident:
        raise ValueError(f"{file} is empty")
    if len(ident.encode()) < SHORTEST:
        _log.warning(
            "the identification in %s has fewer than %d bytes and can be guessed;"
            " pyroctl secret new makes a better one", file, SHORTEST,
        )  # fmt: skip
    return ident


def _forbidden(status: os.stat_result) -> int:
    """Return the permissions that a secret must not have.

    Root may let our group read its own file, as systemd and Kubernetes do with credentials.
    """
    ours = status.st_uid == os.geteuid()
    return _READABLE_BY_OTHERS & ~(0 if ours or status.st_uid else stat.S_IRGRP)
