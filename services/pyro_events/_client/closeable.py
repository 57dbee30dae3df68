"""What all helpers have in common: they have to be closed."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class Closeable:
    """Something that holds a connection: a context manager that warns when it is dropped unclosed.

    `_closed` is False from the end of the constructor on, until `close` was called.
    """

    _closed = True

    def close(self) -> None:
        """Release everything. Closing again does nothing, unless the last time was interrupted."""
        raise NotImplementedError

    def _abandon(self) -> str | None:
        """Release what was not closed, without waiting; says what it was, None for nothing."""
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

    def __del__(self) -> None:
        if not self._closed and (what := self._abandon()) is not None:
            warnings.warn(f"unclosed {what}: {self!r}", ResourceWarning, source=self)  # noqa: B028 - nobody called
