"""The files of a log that were put aside: numbered, bounded, compressed in the background."""

from __future__ import annotations

import contextlib
import gzip
import os
import threading
from typing import TYPE_CHECKING, BinaryIO

from pyroctl.paths import rotated_logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.core.spec import LogSpec

BLOCK = 1 << 18
LEVEL = 6


class Archive:
    """Keeps what becomes of one log file after it is full.

    `put_aside`, `use` and `close` belong to the event loop's thread. A thread of its own compresses
    while there is something to compress; renaming is done under a lock, by both. `tell` may be
    called from that thread.
    """

    def __init__(self, path: str, spec: LogSpec, tell: Callable[[str], None]) -> None:
        self._path = path
        self._spec = spec
        self._tell = tell
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._worker: threading.Thread | None = None

    def use(self, spec: LogSpec) -> None:
        """Keep to other bounds from now on."""
        self._spec = spec

    def put_aside(self) -> None:
        """Make the log file number 1, and number n number n + 1; let go of the oldest.

        Raises OSError; then the log file is where it was.
        """
        with self._lock:
            for number, name in reversed(rotated_logs(self._path)):
                self._shift(number, name)
            if self._spec.keep:
                os.replace(self._path, f"{self._path}.1")
            else:
                os.unlink(self._path)
            self._trim()
            if self._spec.gzip and self._spec.keep and self._worker is None:
                self._worker = threading.Thread(target=self._compress_all, name="log-gzip")
                self._worker.start()

    def close(self) -> None:
        """Compress no more; what is unfinished stays as it was."""
        self._closing.set()
        worker = self._worker
        if worker is not None:
            worker.join()

    def _shift(self, number: int, name: str) -> None:
        plain = f"{self._path}.{number}"
        if name != plain:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(plain)  # see rotated_logs
        if number >= self._spec.keep:
            os.unlink(name)
        else:
            os.replace(name, f"{self._path}.{number + 1}{name.removeprefix(plain)}")

    def _trim(self) -> None:
        """Let the oldest go while all of them, and a full log file, are more than is allowed."""
        if self._spec.total_bytes is None:
            return
        room = self._spec.total_bytes - self._spec.max_bytes
        for _, name in rotated_logs(self._path):
            room -= os.stat(name).st_size
            if room < 0:
                os.unlink(name)

    # --- in the thread --------------------------------------------------------------------------

    def _compress_all(self) -> None:
        try:
            while (source := self._next_plain()) is not None:
                with source:
                    self._compress(source)
        except OSError as error:
            self._tell(f"{self._path}: not compressed: {error.strerror or error}")
            self._worker = None

    def _next_plain(self) -> BinaryIO | None:
        """Open the oldest file that isn't compressed; None, and the thread is over, without one."""
        with self._lock:
            for _, name in reversed(rotated_logs(self._path)):
                if not name.endswith(".gz") and not self._closing.is_set():
                    return open(name, "rb")
            self._worker = None
            return None

    def _compress(self, source: BinaryIO) -> None:
        part = f"{self._path}.part"
        status = os.fstat(source.fileno())
        try:
            with open(part, "wb") as target:
                os.fchmod(target.fileno(), status.st_mode & 0o777)
                with gzip.GzipFile("", "wb", LEVEL, target, status.st_mtime) as packed:
                    while (block := source.read(BLOCK)) and not self._closing.is_set():
                        packed.write(block)
                target.flush()
                os.fsync(target.fileno())  # the plain one goes
            if not self._closing.is_set():
                os.utime(part, ns=(status.st_atime_ns, status.st_mtime_ns))
                self._replace(status.st_ino, part)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part)

    def _replace(self, inode: int, part: str) -> None:
        """Put the compressed file in the place of the plain one, which may have moved on."""
        with self._lock:
            for _, name in rotated_logs(self._path):
                if os.stat(name).st_ino == inode:
                    os.replace(part, f"{name}.gz")
                    os.unlink(name)
                    return
