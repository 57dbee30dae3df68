"""The rotated files of a log: numbered, bounded, compressed in the background."""

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
    """Rotates one log file.

    `rotate`, `use` and `close` belong to the event loop's thread. A separate thread compresses
    while there is something to compress; both rename under a lock. `warn` may be called from that
    thread.
    """

    def __init__(self, path: str, spec: LogSpec, warn: Callable[[str], None]) -> None:
        self._path = path
        self._spec = spec
        self._warn = warn
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._worker: threading.Thread | None = None

    def use(self, spec: LogSpec) -> None:
        """Change the limits."""
        self._spec = spec

    def rotate(self) -> None:
        """Rename the log file to number 1, and each number n to n + 1; remove the oldest.

        Raises OSError; then the log file keeps its name.
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
        """Stop compressing; a file that is not finished stays as it was."""
        self._closing.set()
        if (worker := self._worker) is not None:
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
        """Remove the oldest while all of them and a full log file exceed `total_bytes`."""
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
            self._warn(f"{self._path}: not compressed: {error.strerror or error}")
            self._worker = None

    def _next_plain(self) -> BinaryIO | None:
        """Open the oldest file that is not compressed; return None if the thread has to end."""
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
                os.fsync(target.fileno())  # before the original is removed
            if not self._closing.is_set():
                os.utime(part, ns=(status.st_atime_ns, status.st_mtime_ns))
                self._replace(status.st_ino, part)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part)

    def _replace(self, inode: int, part: str) -> None:
        """Replace the original, which may have a new name, by the compressed file."""
        with self._lock:
            for _, name in rotated_logs(self._path):
                if os.stat(name).st_ino == inode:
                    os.replace(part, f"{name}.gz")
                    os.unlink(name)
                    return
