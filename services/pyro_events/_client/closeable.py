"""What all helpers share: they have to be closed, and they call hooks."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any, Self

from pyro_events._client.process import process

_log = logging.getLogger("pyro_events")


class Helper:
    """Holds a connection, and warns when it is dropped unclosed.

    `_closed` is False from `_ready` on, with which constructors end, until `close` was called.
    """

    _closed = True
    _made = 0

    def _ready(self) -> None:
        self._closed, self._made = False, id(self)
        process.add(self)

    def _unclosed(self) -> str | None:
        """Return what was not closed, None if there is nothing to close. Takes no locks."""
        raise NotImplementedError

    def _abandon(self) -> None:
        """Release what was not closed, without waiting."""
        raise NotImplementedError

    def _after_fork(self, inherited: Any) -> None:
        """Put `inherited` in the place of everything that belongs to the parent process."""
        raise NotImplementedError

    def _at_exit(self, began: float) -> None:
        """Finish what can't wait: the interpreter has been ending since `began`."""

    def _call_hook(self, hook: str, notice: object) -> bool:
        """Call the user's method of that name; return whether it raised no exception."""
        try:
            getattr(self, hook)(notice)
        except Exception:  # noqa: BLE001 - it is the user's, and must not end the helper's work
            _log.exception("error in %s()", hook)
            return False
        return True

    def __reduce__(self) -> Any:
        raise TypeError(
            f"a {type(self).__name__} can't be copied or pickled: its connection is its own; "
            "make another one, with the same arguments"
        )

    def __del__(self) -> None:
        if self._closed or self._made != id(self):  # a copy of the attributes owns nothing
            return
        what = self._unclosed()
        if not sys.is_finalizing():  # when it is, locks may be held by threads that don't run
            self._abandon()
        if what is not None:
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
