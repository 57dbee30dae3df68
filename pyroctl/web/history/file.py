"""The file with the history of a page: mapped, so that a killed process loses nothing."""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
from typing import TYPE_CHECKING

from pyroctl.core.series import SIZE, Series

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)


class HistoryFile:
    """Series in a file of fixed size, which takes room on the disk only as series begin.

    Raises OSError if it can't be made.
    """

    def __init__(self, folder: str) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        self.path = os.path.join(folder, "series")
        existed = os.path.exists(self.path)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            if os.fstat(self._fd).st_size != SIZE:
                os.ftruncate(self._fd, 0)
                os.ftruncate(self._fd, SIZE)
            os.posix_fallocate(self._fd, 0, mmap.PAGESIZE * 32)
            self._map = mmap.mmap(self._fd, SIZE)
        except BaseException:
            os.close(self._fd)
            raise
        self.series = Series(memoryview(self._map), self._room)
        if existed and self.series.fresh:
            log.warning("%s has another layout: the history is empty", self.path)

    def add(self, time: float, values: Mapping[str, float | None]) -> None:
        """Add a sample of some series, and keep none of the file in the memory of this process."""
        self.series.add(time, values)
        self._map.madvise(mmap.MADV_DONTNEED)  # the kernel has it, and writes it when it likes

    def close(self) -> None:
        """Leave the file to the next process."""
        del self.series
        with contextlib.suppress(BufferError):  # somebody still reads; the process ends anyway
            self._map.close()
        os.close(self._fd)

    def _room(self, size: int) -> bool:
        """Take room on the disk: to write into a mapped file without it would kill us."""
        try:
            os.posix_fallocate(self._fd, 0, size)
        except OSError as error:
            log.warning("no room for more history: %s", error)
            return False
        return True
