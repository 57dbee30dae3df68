"""Reading a secret from a file that nobody else may read."""

from __future__ import annotations

import os
import stat
from typing import IO, Final

_READABLE_BY_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def open_private(file: str) -> IO[bytes]:
    """Open a regular file. Raises OSError, and ValueError if other users can read or write it.

    Root may let our group read its own file, as systemd and Kubernetes do with credentials.
    """
    fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    stream = os.fdopen(fd, "rb")
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{file} is not a regular file")  # noqa: TRY301 - closes it, too
        if status.st_mode & _forbidden(status):
            mode = stat.S_IMODE(status.st_mode)
            raise ValueError(  # noqa: TRY301 - the same
                f"other users can read {file} (mode {mode:04o}), so it isn't used: chmod 600 {file}"
            )
    except BaseException:
        stream.close()
        raise
    return stream


def _forbidden(status: os.stat_result) -> int:
    """Return the permissions that a secret must not have."""
    ours = status.st_uid == os.geteuid()
    return _READABLE_BY_OTHERS & ~(0 if ours or status.st_uid else stat.S_IRGRP)
