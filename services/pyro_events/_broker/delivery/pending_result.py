"""The result of a call that comes later, because a queue is full."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class PendingResult:
    """Finishes exactly once; who asks afterwards is told at once. For the loop's thread only."""

    __slots__ = ("_callbacks", "done", "value")

    def __init__(self) -> None:
        self.done = False
        self.value: object = None
        self._callbacks: list[Callable[[], None]] = []

    def finish(self, value: object = None) -> None:
        """Tell everybody who waits."""
        self.done = True
        self.value = value
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def when_done(self, callback: Callable[[], None]) -> None:
        """Call when it is finished, at once if it is."""
        if self.done:
            callback()
        else:
            self._callbacks.append(callback)

    def then(self, give: Callable[[], object]) -> PendingResult:
        """Give what finishes after this one, with what `give` gives then."""
        held = PendingResult()
        self.when_done(lambda: held.finish(give()))
        return held
