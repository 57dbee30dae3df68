"""Calling methods of remote objects, one by one or in a batch."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from Pyro5.errors import PyroError

from pyro_events._broker.delivery.publication import PendingResult
from pyro_events._broker.rpc import calls

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pyro_events._broker.rpc.session import Session
    from pyro_wire.framing import Frame

_log = logging.getLogger("pyro_events")


@dataclass(slots=True, eq=False)
class Batch:
    """A batch of calls under way, up to the first exception."""

    _session: Session
    _frame: Frame
    _target: Any
    _calls: Iterator[calls.Call]
    _results: list[object] = field(default_factory=list)
    _paused: bool = False

    def advance(self) -> None:
        """Execute call after call; one that waits keeps the client's connection unread."""
        for request in self._calls:
            try:
                result = call(self._session, self._target, *request)
            except Exception as error:  # noqa: BLE001 - it is sent to the caller
                self._fail(error)
                break
            if isinstance(result, PendingResult):
                if not result.done:
                    self._paused = True
                    self._session.connection.pause()
                    result.when_done(lambda pending=result: self._continue(pending))  # type: ignore[misc] # bound now
                    return
                result = result.value
            self._results.append(result)
        self._finish()

    def _continue(self, pending: PendingResult) -> None:
        if pending.error is not None:
            self._fail(pending.error)
            self._finish()
        else:
            self._results.append(pending.value)
            self.advance()

    def _fail(self, error: Exception) -> None:
        self._session._count_failure(error)  # noqa: SLF001 - a part of the session
        self._results.append(calls.wrap_exception(error))

    def _finish(self) -> None:
        self._session._answer(self._frame, self._results)  # noqa: SLF001 - the same
        if self._paused:
            self._session.resume()


def call(
    session: Session, target: Any, method: str, args: Sequence[Any], kwargs: dict[str, Any]
) -> object:
    """Call a method that clients may call; raises whatever that raises."""
    if method not in target.callable:
        raise AttributeError(f"the remote object has no exposed attribute or method {method!r}")
    try:
        return getattr(target, method)(session, *args, **kwargs)
    except (ValueError, TypeError, PermissionError, PyroError):
        raise
    except Exception:
        _log.exception("%s: error in %s", session, method)
        raise
