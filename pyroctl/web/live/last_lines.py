"""The last line of each log, read again only when the log has changed."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from pyroctl.log_reader.files import Source, last_lines

if TYPE_CHECKING:
    from pyroctl.paths import Paths

LONGEST = 300


class LastLines:
    """Lives in the event loop's thread."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._known: dict[str, tuple[tuple[int, int], str]] = {}

    def of(self, service: str) -> str:
        """Return the last line that a service has written, without its time; "" without any."""
        path = self._paths.service_log(service)
        try:
            found = os.stat(path)
        except OSError:
            return ""
        state = found.st_ino, found.st_size
        known = self._known.get(service)
        if known is None or known[0] != state:
            lines = []
            with contextlib.suppress(OSError):
                lines = last_lines([Source(service, "output", path)], 1)
            known = state, lines[0].text[:LONGEST] if lines else ""
            self._known[service] = known
        return known[1]
