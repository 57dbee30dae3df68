"""What all helpers have in common: they have to be closed."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class WarnsUnclosed:
    """Something that holds a connection, and warns when it is dropped unclosed.

    `_closed` is False from the end of the constructor on, until `close` was called.
    """

    _closed = True

    def _abandon(self) -> str | None:
        """Release what was not closed, without waiting; return what it was, None for nothing."""
        raise NotImplementedError

    def __del__(self) -> None:
        if not self._closed and (what := self._abandon()) is not None:
            warnings.warn(f"unclosed {what}: {self!r}", ResourceWarning, source=self)  # noqa: B028 - nobody called


class Closeable(WarnsUnclosed):
    """A context manager that closes itself."""

    def close(self) -> None:
        """Release everything. Closing again does nothing, unless the last time was interrupted."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
