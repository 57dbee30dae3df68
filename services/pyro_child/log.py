"""A service's log: lines on standard error that never make the service wait for their reader.

A manager that is stopped, or a full disk behind it, would else stop all services that log, and a
stranger can make most of them log.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import stat
import threading
import time
import weakref
from collections import deque
from typing import Final

KEPT: Final = 64 << 10
"""Bytes that are kept for a reader that takes none; then the oldest lines are dropped."""
_PATIENCE: Final = 0.2
"""Seconds that the end of the process waits for the reader."""
_PIPE_BUF: Final = select.PIPE_BUF  # a pipe takes as much at once, or nothing


class LogHandler(logging.Handler):
    """Writes each record as a line to a descriptor, at once or when its reader takes it.

    Lines that don't fit into what is kept are dropped, and counted in a line of their own. Control
    characters, which can come from clients, are escaped.
    """

    def __init__(self, form: str, file: int = 2, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.setFormatter(LineFormatter(form))
        self._inherited = file
        self._file = _non_blocking(file)
        self._lines: deque[bytes] = deque()
        self._rest = b""
        """Of the line that is being written."""
        self._size = 0
        self._dropped = 0
        self._thread: threading.Thread | None = None
        self._poll = select.poll()
        self._poll.register(self._file, select.POLLOUT)
        handler = weakref.ref(self)

        def in_child() -> None:
            if (forked := handler()) is not None:
                forked.leave()

        os.register_at_fork(after_in_child=in_child)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record or keep it; the caller has the handler's lock."""
        try:
            line = (self.format(record) + "\n").encode(errors="backslashreplace")
        except Exception:  # noqa: BLE001 - as all handlers do
            self.handleError(record)
            return
        self._lines.append(line)
        self._size += len(line)
        self._write()
        while self._size > KEPT and self._lines:
            self._size -= len(self._lines.popleft())
            self._dropped += 1
        if self._unwritten() and (self._thread is None or not self._thread.is_alive()):
            thread = threading.Thread(target=self._write_later, name="log", daemon=True)
            with contextlib.suppress(RuntimeError):  # the process ends, or has too many
                thread.start()
                self._thread = thread

    def close(self) -> None:
        """Wait a moment for the reader to take what is left."""
        deadline = time.monotonic() + _PATIENCE
        with self.lock or contextlib.nullcontext():
            while self._unwritten() and (left := deadline - time.monotonic()) > 0:
                if self._poll.poll(left * 1000):
                    self._write()
        super().close()

    def leave(self) -> None:
        """Leave our descriptor, and what is kept, to the parent; for a forked child."""
        self._forget()
        if self._file != self._inherited:
            self._poll.unregister(self._file)
            os.close(self._file)
            self._file = self._inherited
            self._poll.register(self._file, select.POLLOUT)

    def _write_later(self) -> None:
        """Write whenever the reader takes something, until nothing is left."""
        poll = select.poll()  # one can't be used by two threads at a time
        poll.register(self._file, select.POLLOUT)
        while True:
            poll.poll()
            with self.lock or contextlib.nullcontext():
                self._write()
                if not self._unwritten():
                    self._thread = None
                    return

    def _unwritten(self) -> bool:
        return bool(self._rest or self._lines or self._dropped)

    def _write(self) -> None:
        """Write what the reader takes without waiting."""
        while self._unwritten() and self._poll.poll(0):
            if not self._rest:
                self._rest = self._next()
            try:
                written = os.write(self._file, self._rest[:_PIPE_BUF])
            except BlockingIOError:
                return
            except OSError:  # nobody reads any more
                self._forget()
                return
            self._rest = self._rest[written:]

    def _forget(self) -> None:
        self._lines.clear()
        self._rest, self._size, self._dropped = b"", 0, 0

    def _next(self) -> bytes:
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            return b"%d lines of the log were dropped: nobody read it\n" % dropped
        line = self._lines.popleft()
        self._size -= len(line)
        return line


class LineFormatter(logging.Formatter):
    """Escapes what would control a terminal in a message; lines stay lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the formatted message."""
        record.message = printable(record.message)
        return super().formatMessage(record)


def printable(text: str) -> str:
    """Return the text with escapes for what is not printable, except line ends and tabs."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text
    )


def _non_blocking(file: int) -> int:
    """Return another descriptor of a pipe, which doesn't block and is ours alone; else the same.

    Those that were inherited are shared with other processes, which may want to wait. A user that
    may not open the pipe again waits only if another process fills it at the same moment.
    """
    with contextlib.suppress(OSError):
        if stat.S_ISFIFO(os.fstat(file).st_mode):
            return os.open(f"/proc/self/fd/{file}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return file
