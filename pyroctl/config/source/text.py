"""Reads files as text, if they may be used."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from pyroctl.config.source.ownership import distrust

if TYPE_CHECKING:
    from pyroctl.config.source.positions import Place


class UnreadableError(Exception):
    """The file can't be read; `place` is that of the first byte that isn't UTF-8, if any."""

    def __init__(self, reason: str, place: Place | None = None, hint: str | None = None) -> None:
        super().__init__(reason)
        self.place = place
        self.hint = hint


def read_text(file: str) -> str:
    """Read a regular file of UTF-8 text. Raises UnreadableError; never blocks on a FIFO.

    As root, it must not be another user's, nor one that others can write.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableError("is not a regular file")
            refusal = distrust(file, status)
            if refusal is not None:
                raise UnreadableError(refusal.reason, hint=refusal.hint)
            content = stream.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UnreadableError(f"can't be read: {reason}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line_start = before.rfind(b"\n") + 1
        place = before.count(b"\n") + 1, len(before[line_start:].decode()) + 1
        byte = content[error.start]
        reason = f"is not UTF-8: unexpected byte 0x{byte:02x}"
        raise UnreadableError(reason, place, "save the file as UTF-8") from error
