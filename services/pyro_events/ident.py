"""Reading the identification, a secret that the clients of an event service share."""

from __future__ import annotations

import logging
from typing import Final

from pyro_wire.private_file import open_private

__all__ = ["read_ident"]

SHORTEST: Final = 16
"""Bytes; a shorter identification can be guessed."""
_log = logging.getLogger(__name__)


def read_ident(file: str) -> str:
    """Return the identification in a file, without the white space around it.

    Raises OSError if the file can't be read, and ValueError if it is empty or no UTF-8, or if other
    users can read or write it. Logs a warning if it is short enough to be guessed. Any thread may
    call it.
    """
    with open_private(file) as stream:
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
