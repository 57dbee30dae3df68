"""The manager's own log, which survives a full or read-only disk like those of services."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pyroctl.core.spec import LogSpec
from pyroctl.manager.output.logfile import LogFile, now

if TYPE_CHECKING:
    from logging import LogRecord

BOUNDS = LogSpec(max_bytes=5_000_000, keep=2)


class ManagerLog(logging.Handler):
    """Writes records into a log file; usable from any thread, like all handlers of logging."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._file = LogFile(path, BOUNDS, lambda _: None)
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def emit(self, record: LogRecord) -> None:
        """Write a record; if that fails, the file reports the number later."""
        self._file.append(f"{self.format(record)}\n".encode(errors="replace"), now())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
