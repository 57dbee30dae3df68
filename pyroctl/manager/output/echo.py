"""Prints the output of services on the manager's standard output."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_WAITING = 4 << 20
"""Bytes that wait for a slow reader; further lines are not shown (the logs have them)."""
FLUSH_TIMEOUT = 1.0
"""Seconds for the rest, at the end."""


class Echo:
    """Writes lines, each with the label of its service in front, in a separate thread.

    So a terminal that was stopped, or a pipe without a reader, blocks nothing. `write` and `close`
    may be called from any thread.
    """

    def __init__(self, descriptor: int, label: Callable[[str], str]) -> None:
        self._descriptor = descriptor
        self._label = label
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._bytes = self._dropped = 0
        self._closing = False
        self._thread = threading.Thread(target=self._write_all, name="echo", daemon=True)
        self._thread.start()

    def write(self, service: str, lines: bytes) -> None:
        """Print whole lines, each with its newline."""
        label = self._label(service).encode()
        block = label + lines[:-1].replace(b"\n", b"\n" + label) + b"\n"
        with self._changed:
            if self._bytes + len(block) > MOST_WAITING:
                self._dropped += lines.count(b"\n")
                return
            if self._dropped:
                notice = f"[pyroctl] {self._dropped} lines are not shown here: output was blocked\n"
                block = notice.encode() + block
                self._dropped = 0
            self._waiting.append(block)
            self._bytes += len(block)
            self._changed.notify()

    def close(self) -> None:
        """Write what is left, if it is read soon, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(FLUSH_TIMEOUT)

    def _write_all(self) -> None:
        while (block := self._next()) is not None:
            rest = memoryview(block)
            try:
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
            except OSError:
                return  # the reader has gone; the logs have it
            with self._changed:
                self._bytes -= len(block)

    def _next(self) -> bytes | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            return self._waiting.popleft() if self._waiting else None
