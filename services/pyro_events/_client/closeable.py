"""What all helpers share: they have to be closed, and they call hooks."""

from __future__ import annotations

import logging
import warnings
from typing import Self

_log = logging.getLogger("pyro_events")


class Helper:
    """Holds a connection, and warns when it is dropped unclosed.

    `_closed` is False from the end of the constructor on, until `close` was called.
    """

    _closed = True

    def _abandon(self) -> str | None:
        """Release what was not closed, without waiting; return what it was, None for nothing."""
        raise NotImplementedError

    def _call_hook(self, hook: str, notice: object) -> bool:
        """Call the user's method of that name; return whether it raised no exception."""
        try:
            getattr(self, hook)(notice)
        except Exception:  # noqa: BLE001 - it is the user's, and must not end the helper's work
            _log.exception("error in %s()", hook)
            return False
        return True

    def __del__(self) -> None:
        if not self._closed and (what := self._abandon()) is not None:
            warnings.warn(f"unclosed {what}: {self!r}", ResourceWarning, source=self)  # noqa: B028 - there is no caller


class Closeable(Helper):
    """A helper that is a context manager, and so closes itself."""

    def close(self) -> None:
        """Release everything. Closing again does nothing, unless the last time was interrupted."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()
